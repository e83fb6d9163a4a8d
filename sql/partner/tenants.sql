-- The partner API's tenants: made, read, listed.


create or replace function partner.tenant_create(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    id constant uuid := ctx ->> 'id';
begin
    body := prov.tenant_alias(input);

    if body is not null then
        status := 400;
        return;
    end if;

    select i.status, i.body into status, body
    from prov.tenant_insert(ctx, input) i;

    if status = 201 then
        headers := jsonb_build_object('ETag', prov.etag(1),
            'Location', (ctx ->> 'base') || '/tenants/' || id);

        perform prov.record(ctx, 'tenant', id, id, status, null, body,
            headers);
    end if;
end
$$;

comment on function partner.tenant_create(jsonb, jsonb, jsonb) is
    'Makes a tenant of the caller''s partner.';


create or replace function partner.tenant_get(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql stable security definer
as $$
begin
    select 200, prov.tenant_json(t),
           jsonb_build_object('ETag', prov.etag(t.version))
    into status, body, headers
    from prov.tenants t
    where t.id = (params ->> 'tenant')::uuid;

    if not found then
        status := 404;
        body := json_build_object('code', 'tenant_not_found',
            'detail', 'You have no tenant with this id.');
    end if;
end
$$;

comment on function partner.tenant_get(jsonb, jsonb, jsonb) is
    'Shows one of the caller''s tenants.';


create or replace function partner.tenant_list(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql stable security definer
as $$
declare
    size   constant int := least(greatest(
        coalesce((params ->> 'limit')::numeric::int, 25), 1), 100);
    moment timestamptz := 'infinity';
    first  uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
    items  text[] := '{}';
    next   text;
    row    record;
begin
    if params ->> 'cursor' is not null then
        select c.moment, c.id into moment, first
        from prov.cursor_read('tn1', params ->> 'cursor') c;

        if moment is null then
            status := 400;
            body := json_build_object('code', 'invalid_cursor',
                'detail', 'cursor must be the next_cursor of a page of this '
                          'list, unchanged.');
            return;
        end if;
    end if;

    -- the row after the last one shown is where the next page begins

    for row in
        select t.created_at, t.id, prov.tenant_json(t)::text as item
        from prov.tenants t
        where (t.created_at, t.id) <= (moment, first)
        order by t.created_at desc, t.id desc
        limit size + 1
    loop
        if cardinality(items) = size then
            next := prov.cursor_write('tn1', row.created_at, row.id);
            exit;
        end if;

        items := items || row.item;
    end loop;

    status := 200;
    body := '{"data": [' || array_to_string(items, ', ')
        || '], "next_cursor": ' || coalesce(to_json(next)::text, 'null')
        || '}';

    if next is not null then
        headers := jsonb_build_object('Link', format(
            '<%s/tenants?limit=%s&cursor=%s>; rel="next"',
            ctx ->> 'base', size, next));
    end if;
end
$$;

comment on function partner.tenant_list(jsonb, jsonb, jsonb) is
    'Lists the caller''s tenants, newest first, page by page.';
