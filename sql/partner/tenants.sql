-- The partner API's tenants: made and read.


create or replace function partner.tenant_create(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    id      constant uuid := ctx ->> 'id';
    ignored text;
    made    record;
begin
    if input ? 'company_name' then
        body := prov.tenant_alias(input);

        if body is not null then
            status := 400;
            return;
        end if;
    end if;

    made := prov.tenant_insert(ctx, input);
    status := made.status;
    body := made.body;

    if status = 201 then
        headers := jsonb_build_object('ETag', '"1"',
            'Location', (ctx ->> 'base') || '/tenants/' || id);
        ignored := prov.record(ctx, 'tenant', id, id, status, null, body,
            headers, 'tenant.created');
    end if;
end
$$;

comment on function partner.tenant_create(jsonb, jsonb, jsonb) is
    'Makes a tenant of the caller''s partner.';


create or replace function partner.tenant_create_several(places bigint[],
        ctxs jsonb[], params jsonb[], inputs jsonb[])
    returns table (place bigint, status int, body json, headers jsonb)
    language plpgsql security definer
as $$
declare
    ids       uuid[];
    mutations uuid[];
    shown     jsonb[];
    made      int[];
    r         record;
begin
    select array_agg((u.ctx ->> 'id')::uuid order by u.k),
           array_agg((u.ctx ->> 'mutation')::uuid order by u.k)
    into ids, mutations
    from unnest(ctxs) with ordinality u (ctx, k);

    r := prov.tenant_insert_many((ctxs[1] ->> 'partner')::uuid, ids, inputs);

    shown := array(
        select case when u.status = 201 then jsonb_build_object('ETag', '"1"',
                   'Location', (u.ctx ->> 'base') || '/tenants/' || u.id) end
        from unnest(ctxs, ids, r.statuses)
            with ordinality u (ctx, id, status, k)
        order by u.k);
    made := array_positions(r.statuses, 201);

    if cardinality(made) = cardinality(inputs) then
        perform prov.record_made(ctxs, mutations, 'tenant', ids, r.bodies,
            shown, 'tenant.created');

    elsif cardinality(made) > 0 then
        perform prov.record_made(
            array(select ctxs[k] from unnest(made) k),
            array(select mutations[k] from unnest(made) k),
            'tenant',
            array(select ids[k] from unnest(made) k),
            array(select r.bodies[k] from unnest(made) k),
            array(select shown[k] from unnest(made) k), 'tenant.created');
    end if;

    return query
        select u.place, u.status, u.body, u.headers
        from unnest(places, r.statuses, r.bodies, shown)
            as u (place, status, body, headers);
end
$$;

comment on function partner.tenant_create_several(bigint[], jsonb[], jsonb[],
    jsonb[]) is
    'Makes a tenant for each of several requests of one partner, as '
    'partner.tenant_create() would one after the other, but for slugs that are '
    'derived: of namesakes the first by e-mail address has it as it is, as in '
    'a bulk request.  Each answer says the place of its request.';


create or replace function partner.tenant_get(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql stable security definer
as $$
declare
    asked  constant uuid := params ->> 'tenant';
    tenant prov.tenants;
begin
    -- What is rendered is an expression and no part of the statement: it is
    -- made ready once in a transaction, which reads share.

    select t.* into tenant
    from prov.tenants t
    where t.id = asked;

    if found then
        status := 200;
        body := prov.tenant_json(tenant);
        headers := jsonb_build_object('ETag', prov.etag(tenant.version));
        return;
    end if;

    status := 404;
    body := json_build_object('code', 'tenant_not_found',
        'detail', 'You have no tenant with this id.');
end
$$;

comment on function partner.tenant_get(jsonb, jsonb, jsonb) is
    'Shows one of the caller''s tenants.';
