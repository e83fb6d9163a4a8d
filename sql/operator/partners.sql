-- The operator API's partners: made, listed, shown, changed, suspended and
-- resumed.


create or replace function operator.partner_create(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    id    constant uuid := ctx ->> 'id';
    quota constant int := (input ->> 'tenant_quota')::numeric;
begin
    insert into prov.partners as p (id, slug, name, contact_email)
    values (id, input ->> 'slug', input ->> 'name',
        input ->> 'contact_email')
    on conflict do nothing
    returning prov.partner_json(p, quota) into body;

    if not found then
        status := 409;
        body := json_build_object('code', 'partner_slug_taken',
            'detail', 'Another partner has this slug.');
        return;
    end if;

    if quota is not null then
        insert into prov.quotas (id, quota, tenants) values (id, quota, 0);
    end if;

    status := 201;
    headers := jsonb_build_object('ETag', prov.etag(1),
        'Location', (ctx ->> 'base') || '/partners/' || id);

    perform prov.record(ctx, 'partner', id, null, status, null, body,
        headers);
end
$$;

comment on function operator.partner_create(jsonb, jsonb, jsonb) is
    'Makes a partner, active from the start.';


create or replace function operator.partner_get(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql stable security definer
as $$
begin
    select 200, prov.partner_json(p, q.quota),
           jsonb_build_object('ETag', prov.etag(p.version))
    into status, body, headers
    from prov.partners p
    left join prov.quotas q on q.id = p.id
    where p.id = (params ->> 'partner')::uuid;

    if not found then
        status := 404;
        body := prov.partner_missing();
    end if;
end
$$;

comment on function operator.partner_get(jsonb, jsonb, jsonb) is
    'Shows a partner.';


create or replace function operator.partner_list(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql stable security definer
as $$
declare
    wanted constant text := params ->> 'status';
    start  constant text := lower(params ->> 'q');
    items  text[] := '{}';
    next   text;
    page   record;
    row    record;
begin
    page := prov.list_begin('pn1', params);

    if page.moment is null then
        status := 400;
        body := prov.list_invalid_cursor();
        return;
    end if;

    for row in
        select p.created_at, p.id, prov.partner_json(p, q.quota)::text as item
        from prov.partners p
        left join prov.quotas q on q.id = p.id
        where (p.created_at, p.id) <= (page.moment, page.id)
            and (wanted is null or p.status = wanted)
            and (start is null or starts_with(p.slug, start)
                 or starts_with(lower(p.name), start))
        order by p.created_at desc, p.id desc
        limit page.size + 1
    loop
        if cardinality(items) = page.size then
            next := prov.cursor_write('pn1', row.created_at, row.id);
            exit;
        end if;

        items := items || row.item;
    end loop;

    status := 200;
    body := prov.list_page(items, next);

    if next is not null then
        headers := prov.list_link((ctx ->> 'base') || '/partners', params,
            page.size, next);
    end if;
end
$$;

comment on function operator.partner_list(jsonb, jsonb, jsonb) is
    'Lists partners, newest first, page by page.';


create or replace function operator.partner_update(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    claim  record;
    wanted prov.partners;
    quota  int;
begin
    claim := prov.partner_claim(params);

    if claim.status is not null then
        status := claim.status;
        body := claim.body;
        return;
    end if;

    -- RFC 7396: what is not there stays, null removes what is optional

    wanted := claim.partner;
    quota := claim.quota;
    wanted.name := coalesce(input ->> 'name', wanted.name);

    if input ? 'contact_email' then
        wanted.contact_email := input ->> 'contact_email';
    end if;

    if input ? 'tenant_quota' then
        quota := (input ->> 'tenant_quota')::numeric;
    end if;

    select s.* into status, body, headers
    from prov.partner_save(ctx, claim.partner, claim.quota, wanted, quota) s;
end
$$;

comment on function operator.partner_update(jsonb, jsonb, jsonb) is
    'Changes a partner by a JSON merge patch (RFC 7396).';


create or replace function operator.partner_suspend(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
begin
    select t.status, t.body, t.headers into status, body, headers
    from prov.partner_turn(ctx, params, 'active', 'suspended',
        input ->> 'reason', 'The partner is suspended already.') t;
end
$$;

comment on function operator.partner_suspend(jsonb, jsonb, jsonb) is
    'Stops a partner: its tokens and keys are refused from the next '
    'transaction on.';


create or replace function operator.partner_resume(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
begin
    select t.status, t.body, t.headers into status, body, headers
    from prov.partner_turn(ctx, params, 'suspended', 'active', null,
        'The partner is not suspended.') t;
end
$$;

comment on function operator.partner_resume(jsonb, jsonb, jsonb) is
    'Lets a suspended partner act again.';
