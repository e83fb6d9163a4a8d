-- How a tenant is changed, whatever the surface: locked, compared with what
-- the caller knows, written, answered and recorded.


create or replace function prov.tenant_claim(params jsonb, out status int,
        out body json, out tenant prov.tenants)
    language plpgsql
as $$
begin
    select t.* into tenant
    from prov.tenants t
    where t.id = (params ->> 'tenant')::uuid
    for update;

    if not found then
        status := 404;
        body := json_build_object('code', 'tenant_not_found',
            'detail', 'You have no tenant with this id.');
        return;
    end if;

    select p.status, p.body into status, body
    from prov.precondition(params, tenant.version) p;
end
$$;

comment on function prov.tenant_claim(jsonb) is
    'Locks the tenant that is about to be changed; a status and what to '
    'answer, when it is not there or not what the preconditions say.';


create or replace function prov.tenant_deleted(tenant prov.tenants)
    returns json
    language plpgsql stable parallel safe
as $$
begin
    if tenant.status = 'deleted' then
        return json_build_object('code', 'tenant_deleted',
            'detail', 'The tenant is deleted: restore it before you change '
                      'it.',
            'tenant', tenant.id);
    end if;

    return null;
end
$$;

comment on function prov.tenant_deleted(prov.tenants) is
    'What to answer, with status 409, when a tenant cannot be changed because '
    'it is deleted; null when it can.';


create or replace function prov.tenant_wanted(tenant prov.tenants,
        input jsonb)
    returns prov.tenants
    language plpgsql immutable parallel safe
as $$
begin
    tenant.client_name := coalesce(input ->> 'client_name',
                                   input ->> 'company_name');
    tenant.email := input ->> 'email';
    tenant.phone_number := input ->> 'phone_number';
    tenant.industry := input ->> 'industry';
    tenant.slug := coalesce(input ->> 'slug', tenant.slug);
    tenant.external_id := input ->> 'external_id';
    tenant.metadata := coalesce(nullif(input -> 'metadata', 'null'), '{}');

    return tenant;
end
$$;

comment on function prov.tenant_wanted(prov.tenants, jsonb) is
    'The tenant with everything that can be given replaced: what was not '
    'given is gone, but for the slug, which stays.';


create or replace function prov.tenant_save(ctx jsonb, was prov.tenants,
        wanted prov.tenants, out status int, out body json,
        out headers jsonb)
    language plpgsql
as $$
declare
    code  text;
    found_ record;
begin
    -- What changes nothing is no new version, so that a caller who repeats
    -- himself does not disturb others.  The clock rather than now(), which
    -- may be before a change that this one has waited for; read once: a status
    -- that changes has read it.

    if wanted is distinct from was then
        wanted.version := was.version + 1;
        wanted.updated_at := case
            when wanted.status = was.status or was.status = 'deleted'
                then greatest(clock_timestamp(), was.updated_at)
            when wanted.status = 'deleted' then wanted.deleted_at
            else wanted.status_changed_at end;
    end if;

    begin
        update prov.tenants as t
        set updated_at = wanted.updated_at,
            version = wanted.version,
            status = wanted.status,
            slug = wanted.slug,
            client_name = wanted.client_name,
            email = wanted.email,
            external_id = wanted.external_id,
            phone_number = wanted.phone_number,
            industry = wanted.industry,
            metadata = wanted.metadata,
            status_reason = wanted.status_reason,
            status_changed_at = wanted.status_changed_at,
            suspended_from = wanted.suspended_from,
            deleted_from = wanted.deleted_from,
            deleted_at = wanted.deleted_at,
            purge_after = wanted.purge_after
        where t.id = was.id
        returning prov.tenant_json(t) into body;
    exception
        when unique_violation then
            get stacked diagnostics code = constraint_name;
    end;

    if code is not null then
        select c.code, c.tenant into found_
        from prov.tenant_conflict(wanted.email, wanted.external_id,
            wanted.slug, was.id) c;

        status := 409;
        body := prov.tenant_taken(coalesce(found_.code, code), found_.tenant);
        return;
    end if;

    status := 200;
    headers := jsonb_build_object('ETag', prov.etag(wanted.version));

    perform prov.record(ctx, 'tenant', was.id, was.id, status,
        prov.tenant_json(was), body, headers,
        case
            when wanted is not distinct from was then null
            when wanted.status = was.status then 'tenant.updated'
            when was.status = 'deleted' then 'tenant.restored'
            when wanted.status in ('suspended', 'cancelled', 'deleted')
                then 'tenant.' || wanted.status
            else 'tenant.resumed'
        end);
end
$$;

comment on function prov.tenant_save(jsonb, prov.tenants, prov.tenants) is
    'Makes a locked tenant what is wanted, answers it and records that; 409 '
    'when something of it is somebody else''s.  What changes nothing leaves '
    'no event.';


create or replace function prov.tenant_turn(ctx jsonb, params jsonb,
        target text, sources text[], reason text, out status int,
        out body json, out headers jsonb)
    language plpgsql
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

    target := coalesce(target, was.suspended_from, 'active');

    if was.status <> all (sources) then
        status := 409;
        body := prov.tenant_invalid_transition(was.status, target, sources);
        return;
    end if;

    wanted.status := target;
    wanted.status_reason := reason;
    wanted.status_changed_at := greatest(clock_timestamp(), was.updated_at);
    wanted.suspended_from := case when target = 'suspended' then was.status
                             end;

    select s.* into status, body, headers
    from prov.tenant_save(ctx, was, wanted) s;
end
$$;

comment on function prov.tenant_turn(jsonb, jsonb, text, text[], text) is
    'Gives a tenant another status (null: the one before its suspension), '
    'which is possible from some only.';


create or replace function prov.tenant_invalid_transition(status text,
        target text, sources text[])
    returns json
    language plpgsql stable parallel safe
as $$
begin
    return json_build_object('code', 'invalid_transition',
        'detail', format('The tenant is %s; this is for tenants that are %s.',
            replace(status, '_', ' '),
            replace(array_to_string(sources, ', '), '_', ' ')),
        'from', status, 'to', target);
end
$$;

comment on function prov.tenant_invalid_transition(text, text, text[]) is
    'What to answer, with status 409, when a tenant''s status does not allow '
    'what is wanted.';
