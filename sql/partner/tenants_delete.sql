-- The partner API's tenants: deleted and restored, removed for good, and handed
-- over.


create or replace function partner.tenant_delete(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    claim  constant record := prov.tenant_claim(params);
    was    constant prov.tenants := claim.tenant;
    wanted prov.tenants := was;
begin
    if claim.status is not null then
        status := claim.status;
        body := claim.body;
        return;
    end if;

    if (params ->> 'purge')::boolean then
        status := 200;
        body := prov.purge(ctx, was);

        perform prov.record(ctx, 'tenant', was.id, was.id, status, null, body,
            null, 'tenant.purged');
        return;
    end if;

    -- a tenant that is deleted already stays as it is

    if was.status <> 'deleted' then
        wanted.status := 'deleted';
        wanted.deleted_from := was.status;
        wanted.deleted_at := greatest(clock_timestamp(), was.updated_at);
        wanted.purge_after := wanted.deleted_at + prov.purge_after();
    end if;

    select s.* into status, body, headers
    from prov.tenant_save(ctx, was, wanted) s;
end
$$;

comment on function partner.tenant_delete(jsonb, jsonb, jsonb) is
    'Deletes one of the caller''s tenants, which can be restored for a time; '
    'with "purge" removes all of it, for good.';


create or replace function partner.tenant_restore(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    claim  constant record := prov.tenant_claim(params);
    was    constant prov.tenants := claim.tenant;
    wanted prov.tenants := was;
begin
    if claim.status is not null then
        status := claim.status;
        body := claim.body;
        return;
    end if;

    if was.status <> 'deleted' then
        status := 409;
        body := prov.tenant_invalid_transition(was.status, was.status,
            '{deleted}');
        return;
    end if;

    wanted.status := was.deleted_from;
    wanted.deleted_from := null;
    wanted.deleted_at := null;
    wanted.purge_after := null;

    select s.* into status, body, headers
    from prov.tenant_save(ctx, was, wanted) s;
end
$$;

comment on function partner.tenant_restore(jsonb, jsonb, jsonb) is
    'Gives a deleted tenant the status back that it had before.';


create or replace function partner.tenant_export(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    page   constant jsonb := ctx ->> 'page';
    start  constant text := page ->> 'table';
    size   constant int := 65536;
    after  text[] := case when page ->> 'after' is not null then
                         array(select jsonb_array_elements_text(
                             page -> 'after')) end;
    begun  boolean := coalesce((page ->> 'begun')::boolean, false);
    chunk  text := '';
    next   jsonb;
    tenant prov.tenants;
    part   record;
    rows   text;
    place  text[];
begin
    -- one of several pages, see docs/openapi.md; the next one is named by a
    -- table, the last row of it that was given, and whether one had any

    select t.* into tenant
    from prov.tenants t
    where t.id = (params ->> 'tenant')::uuid;

    if not found then
        status := 404;
        body := json_build_object('code', 'tenant_not_found',
            'detail', 'You have no tenant with this id.');
        return;
    end if;

    -- what grows inside a tenant is seen by this

    perform set_config('prov.tenant', tenant.id::text, true);

    if page is null then
        chunk := format('{"tenant": %s, "exported_at": "%s", "tables": {',
            prov.tenant_json(tenant), prov.rfc3339(now()));
    end if;

    for part in
        select t.name, t.key
        from prov.tenant_tables() t
        where not t.kept and (start is null or t.name >= start)
        order by t.name
    loop
        if octet_length(chunk) >= size then
            next := jsonb_build_object('table', part.name, 'begun', begun);
            exit;
        end if;

        select e.rows, e.place into rows, place
        from prov.export_rows(part.name, part.key, tenant.id, after,
            size - octet_length(chunk)) e;

        if after is not null then
            chunk := chunk || coalesce(', ' || rows, '');
        elsif rows is not null then
            chunk := chunk || case when begun then ', ' else '' end
                || to_json(part.name) || ': [' || rows;
        end if;

        if place is not null then
            next := jsonb_build_object('table', part.name, 'begun', true,
                'after', place);
            exit;
        end if;

        if after is not null or rows is not null then
            chunk := chunk || ']';
            begun := true;
        end if;

        after := null;
    end loop;

    if next is null then
        chunk := chunk || '}}';
    end if;

    status := 200;
    body := to_json(chunk);
    headers := jsonb_strip_nulls(jsonb_build_object(
        'Content-Type', 'application/json', 'Next-Page', next::text));
end
$$;

comment on function partner.tenant_export(jsonb, jsonb, jsonb) is
    'Everything about one of the caller''s tenants, wherever it is, without '
    'secrets, page by page.';
