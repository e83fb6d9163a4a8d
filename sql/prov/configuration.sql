-- A tenant's configuration: its versions, and how a new one comes about.


create or replace function prov.json_merge(target jsonb, patch jsonb)
    returns jsonb
    language plpgsql immutable parallel safe
as $$
begin
    if jsonb_typeof(patch) <> 'object' then
        return patch;
    end if;

    if target is null or jsonb_typeof(target) <> 'object' then
        target := '{}';
    end if;

    -- As deep as the gateway reads, which is not far; and each level at once,
    -- because to add members one by one copies all of them for each.

    return (
        select coalesce(jsonb_object_agg(m.key, m.value), '{}')
        from (
            select t.key, t.value
            from jsonb_each(target) t
            where not patch ? t.key
            union all
            select p.key, case when jsonb_typeof(p.value) = 'object'
                then prov.json_merge(target -> p.key, p.value)
                else p.value end
            from jsonb_each(patch) p
            where jsonb_typeof(p.value) <> 'null'
        ) m);
end
$$;

comment on function prov.json_merge(jsonb, jsonb) is
    'A JSON merge patch (RFC 7396) applied.';


create or replace function prov.configuration_json(tenant uuid, version int,
        moment timestamptz, content jsonb)
    returns json
    language sql stable parallel safe
return format('{"tenant": "%s", "version": %s, "created_at": %s, '
    '"configuration": %s}', tenant, version,
    coalesce('"' || prov.rfc3339(moment) || '"', 'null'), content)::json;

comment on function prov.configuration_json(uuid, int, timestamptz, jsonb) is
    'A version of a configuration as it is answered.';


create or replace function prov.configuration_version(whose uuid,
        wanted int, out version int, out moment timestamptz,
        out content jsonb)
    language plpgsql stable
as $$
begin
    if wanted is null then
        select c.version, c.created_at, c.content
        into version, moment, content
        from prov.configurations c
        where c.tenant = whose
        order by c.version desc
        limit 1;
    elsif wanted > 0 then
        select c.version, c.created_at, c.content
        into version, moment, content
        from prov.configurations c
        where c.tenant = whose and c.version = wanted;
    end if;

    if version is null and coalesce(wanted, 0) = 0 then
        version := 0;
        content := '{}';
    end if;
end
$$;

comment on function prov.configuration_version(uuid, int) is
    'A version of a tenant''s configuration, without one the latest; version '
    '0 is what there was before the first.  Nulls when there is none.';


create or replace function prov.configuration_missing(whose uuid,
        wanted int, out status int, out body json)
    language plpgsql stable
as $$
begin
    status := 404;

    if not exists (select from prov.tenants t where t.id = whose) then
        body := json_build_object('code', 'tenant_not_found',
            'detail', 'You have no tenant with this id.');
    else
        body := json_build_object('code', 'configuration_version_not_found',
            'detail', format('The configuration has no version %s.',
                             wanted));
    end if;
end
$$;

comment on function prov.configuration_missing(uuid, int) is
    'What to answer when a tenant, or a version of its configuration, is not '
    'there.';


create or replace function prov.configuration_claim(params jsonb,
        out status int, out body json, out version int,
        out moment timestamptz, out content jsonb)
    language plpgsql
as $$
declare
    tenant prov.tenants;
begin
    select t.* into tenant
    from prov.tenants t
    where t.id = (params ->> 'tenant')::uuid
    for no key update;

    if not found then
        select m.status, m.body into status, body
        from prov.configuration_missing((params ->> 'tenant')::uuid, null) m;
        return;
    end if;

    select v.version, v.moment, v.content into version, moment, content
    from prov.configuration_version(tenant.id, null) v;

    select p.status, p.body into status, body
    from prov.precondition(params, version) p;

    if status is null then
        body := prov.tenant_deleted(tenant);
        status := case when body is not null then 409 end;
    end if;
end
$$;

comment on function prov.configuration_claim(jsonb) is
    'Locks the configuration that is about to be changed, by its tenant, and '
    'shows the latest version; a status and what to answer, when that is not '
    'there, not what the preconditions say, or deleted.';


create or replace function prov.configuration_save(ctx jsonb, whose uuid,
        was int, was_moment timestamptz, was_content jsonb, content jsonb,
        out status int, out body json, out headers jsonb)
    language plpgsql
as $$
declare
    next   int := was;
    moment timestamptz(3) := was_moment;
begin
    if octet_length(content::text) > 65536 then
        status := 422;
        body := json_build_object('code', 'configuration_too_large',
            'detail', format('The configuration would have %s bytes, and may '
                             'have 65536.', octet_length(content::text)));
        return;
    end if;

    -- what changes nothing makes no version, but for the first

    if was = 0 or content <> was_content then
        next := was + 1;
        moment := greatest(clock_timestamp(), was_moment);

        insert into prov.configurations (tenant, version, partner,
            created_at, content)
        values (whose, next, (ctx ->> 'partner')::uuid, moment, content);
    else
        content := was_content;  -- the same, if perhaps in other words: 1.0
    end if;

    status := 200;
    body := prov.configuration_json(whose, next, moment, content);
    headers := jsonb_build_object('ETag', prov.etag(next));

    perform prov.record(ctx, 'configuration', whose, whose, status,
        prov.configuration_json(whose, was, was_moment, was_content), body,
        headers, case when next > was then 'tenant.configuration.updated' end);
end
$$;

comment on function prov.configuration_save(jsonb, uuid, int, timestamptz,
    jsonb, jsonb) is
    'Adds a version to a claimed configuration, answers it and records that; '
    '422 when it is too large.';
