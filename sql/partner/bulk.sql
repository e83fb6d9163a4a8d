-- The partner API: many tenants in one request.


create or replace function partner.tenant_bulk(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    atomic  constant boolean := coalesce((input ->> 'atomic')::boolean, false);
    items   constant jsonb[] := array(
        select jsonb_array_elements(input -> 'tenants'));
    many    constant int := cardinality(items);
    ids     uuid[];
    made    int;
    refused boolean;
    results text;
    r       record;
begin
    -- What is only tried is tried now, however many there are.

    if (many > 100 or ctx #>> '{prefer,respond_async}' = 'true')
       and params ->> 'dry_run' is distinct from 'true'
    then
        select a.status, a.body, a.headers into status, body, headers
        from prov.operation_accept(ctx, items, atomic) a;
        return;
    end if;

    ids := prov.uuid7_many((ctx ->> 'id')::uuid, many);

    begin
        r := prov.tenant_insert_many((ctx ->> 'partner')::uuid, ids, items);

        made := cardinality(array_positions(r.statuses, 201));
        refused := atomic and made < many;

        if refused then
            raise sqlstate 'PVALL';
        end if;
    exception
        when sqlstate 'PVALL' then
            null;  -- what was made is gone, what is known of it is not
    end;

    -- when none is made, nobody is told of one that would have been

    select string_agg('{"index": ' || u.k - 1 || case
               when u.status = 201 then
                   ', "status": 201, "tenant": "' || u.id || '"}'
               else format(', "status": %s, "problem": {"type": '
                       '"about:blank", "title": "%s", "status": %1$s, %3$s}',
                   u.status, case u.status when 400 then 'Bad Request'
                                           else 'Conflict' end,
                   ltrim(case
                       when refused
                            and (u.body ->> 'tenant')::uuid = any (ids)
                           then (u.body::jsonb - 'tenant')::text
                       else u.body::text end, '{')) end,
               ', ' order by u.k)
    into results
    from unnest(ids, r.statuses, r.bodies)
        with ordinality u (id, status, body, k)
    where u.status <> 201 or not refused;

    if refused then
        status := 409;
        body := format('{"code": "bulk_refused", "detail": %s, '
            '"results": [%s]}', to_json(format('All or none of the %s tenants '
                'were to be made, and %s cannot be: none was.', many,
                many - made)), results);
        return;
    end if;

    status := case when made = many then 201 else 200 end;
    body := format('{"created": %s, "failed": %s, "results": [%s]}', made,
        many - made, results);

    perform prov.record_many(ctx, 'tenant',
        array(select u.id from unnest(ids, r.statuses)
                  with ordinality u (id, status, k)
              where u.status = 201 order by u.k),
        array(select u.body from unnest(r.bodies, r.statuses)
                  with ordinality u (body, status, k)
              where u.status = 201 order by u.k), 'tenant.created');
    perform prov.record(ctx, 'bulk', (ctx ->> 'id')::uuid, null, status, null,
        body, null);
end
$$;

comment on function partner.tenant_bulk(jsonb, jsonb, jsonb) is
    'Makes up to 1,000 tenants: all or none of them, or as many as can be; more '
    'than 100 of them, or when asked to, after it has answered.';
