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
