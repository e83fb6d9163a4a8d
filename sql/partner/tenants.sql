-- The partner API's tenants: made and read.


create or replace function partner.tenant_create(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    id      constant text := ctx ->> 'id';
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
        ignored := prov.record(ctx, 'tenant', id::uuid, id::uuid, status, null,
            body, headers, 'tenant.created');
    end if;
end
$$;

comment on function partner.tenant_create(jsonb, jsonb, jsonb) is
    'Makes a tenant of the caller''s partner.';


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
