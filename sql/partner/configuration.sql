-- The partner API's configurations of tenants: read, changed, compared, and
-- brought back.


create or replace function partner.configuration_get(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql stable security definer
as $$
declare
    whose constant uuid := params ->> 'tenant';
begin
    select 200, prov.configuration_json(whose, v.version, v.moment, v.content),
           jsonb_build_object('ETag', prov.etag(v.version))
    into status, body, headers
    from prov.tenants t
    cross join lateral prov.configuration_version(t.id, null) v
    where t.id = whose;

    if not found then
        select m.status, m.body into status, body
        from prov.configuration_missing(whose, null) m;
    end if;
end
$$;

comment on function partner.configuration_get(jsonb, jsonb, jsonb) is
    'Shows the latest version of a tenant''s configuration.';


create or replace function partner.configuration_replace(ctx jsonb,
        params jsonb, input jsonb, out status int, out body json,
        out headers jsonb)
    language plpgsql security definer
as $$
declare
    c record;
begin
    select * into c from prov.configuration_claim(params);

    if c.status is not null then
        status := c.status;
        body := c.body;
        return;
    end if;

    select s.status, s.body, s.headers into status, body, headers
    from prov.configuration_save(ctx, (params ->> 'tenant')::uuid, c.version,
        c.moment, c.content, input) s;
end
$$;

comment on function partner.configuration_replace(jsonb, jsonb, jsonb) is
    'Makes a tenant''s configuration what is given.';


create or replace function partner.configuration_update(ctx jsonb,
        params jsonb, input jsonb, out status int, out body json,
        out headers jsonb)
    language plpgsql security definer
as $$
declare
    c record;
begin
    select * into c from prov.configuration_claim(params);

    if c.status is not null then
        status := c.status;
        body := c.body;
        return;
    end if;

    select s.status, s.body, s.headers into status, body, headers
    from prov.configuration_save(ctx, (params ->> 'tenant')::uuid, c.version,
        c.moment, c.content, prov.json_merge(c.content, input)) s;
end
$$;

comment on function partner.configuration_update(jsonb, jsonb, jsonb) is
    'Changes members of a tenant''s configuration (RFC 7396).';


create or replace function partner.configuration_rollback(ctx jsonb,
        params jsonb, input jsonb, out status int, out body json,
        out headers jsonb)
    language plpgsql security definer
as $$
declare
    whose  constant uuid := params ->> 'tenant';
    wanted constant int := (input ->> 'version')::numeric::int;
    c      record;
    former jsonb;
begin
    select * into c from prov.configuration_claim(params);

    if c.status is null then
        select v.content into former
        from prov.configuration_version(whose, wanted) v;

        if former is null then
            select m.status, m.body into c.status, c.body
            from prov.configuration_missing(whose, wanted) m;
        end if;
    end if;

    if c.status is not null then
        status := c.status;
        body := c.body;
        return;
    end if;

    select s.status, s.body, s.headers into status, body, headers
    from prov.configuration_save(ctx, whose, c.version, c.moment, c.content,
        former) s;
end
$$;

comment on function partner.configuration_rollback(jsonb, jsonb, jsonb) is
    'Makes a tenant''s configuration what it was in an earlier version.';


create or replace function partner.configuration_version_list(ctx jsonb,
        params jsonb, input jsonb, out status int, out body json,
        out headers jsonb)
    language plpgsql stable security definer
as $$
declare
    whose   constant uuid := params ->> 'tenant';
    size    constant int := least(greatest(
        coalesce((params ->> 'limit')::numeric::int, 25), 1), 100);
    binding constant bytea := prov.list_binding('configuration_version_list',
        params, '-version');
    place   text;
    first   int := 2147483647;
    items   text[] := '{}';
    next    text;
    row     record;
begin
    if not exists (select from prov.tenants t where t.id = whose) then
        select m.status, m.body into status, body
        from prov.configuration_missing(whose, null) m;
        return;
    end if;

    if params ? 'cursor' then
        select c.place into place
        from prov.list_cursor_read(binding, params ->> 'cursor') c;

        if place is null or place !~ '^[1-9][0-9]{0,8}$' then
            status := 400;
            body := prov.list_invalid_cursor();
            return;
        end if;

        first := place;
    end if;

    for row in
        select c.version, c.created_at
        from prov.configurations c
        where c.tenant = whose and c.version <= first
        order by c.tenant desc, c.version desc
        limit size + 1
    loop
        if cardinality(items) = size then
            next := prov.list_cursor(binding, row.version::text, whose);
            exit;
        end if;

        items := items || format('{"version": %s, "created_at": "%s"}',
            row.version, prov.rfc3339(row.created_at));
    end loop;

    status := 200;
    body := prov.list_page(items, next);
    headers := prov.list_link(format('%s/tenants/%s/configuration/versions',
        ctx ->> 'base', whose), params, size, next);
end
$$;

comment on function partner.configuration_version_list(jsonb, jsonb, jsonb) is
    'Lists the versions of a tenant''s configuration, the latest first.';


create or replace function partner.configuration_version_get(ctx jsonb,
        params jsonb, input jsonb, out status int, out body json,
        out headers jsonb)
    language plpgsql stable security definer
as $$
declare
    whose  constant uuid := params ->> 'tenant';
    wanted constant int := (params ->> 'version')::numeric::int;
begin
    select 200, prov.configuration_json(whose, v.version, v.moment, v.content),
           jsonb_build_object('ETag', prov.etag(v.version))
    into status, body, headers
    from prov.configuration_version(whose, wanted) v
    where v.moment is not null;

    if not found then
        select m.status, m.body into status, body
        from prov.configuration_missing(whose, wanted) m;
    end if;
end
$$;

comment on function partner.configuration_version_get(jsonb, jsonb, jsonb) is
    'Shows one version of a tenant''s configuration.';


create or replace function partner.configuration_diff(ctx jsonb,
        params jsonb, input jsonb, out status int, out body json,
        out headers jsonb)
    language plpgsql stable security definer
as $$
declare
    whose constant uuid := params ->> 'tenant';
    to_   int := (params ->> 'to')::numeric::int;
    from_ int := (params ->> 'from')::numeric::int;
    before jsonb;
    after  jsonb;
begin
    if not exists (select from prov.tenants t where t.id = whose) then
        select m.status, m.body into status, body
        from prov.configuration_missing(whose, null) m;
        return;
    end if;

    if to_ is null then
        select v.version into to_
        from prov.configuration_version(whose, null) v;
    end if;

    from_ := coalesce(from_, greatest(to_ - 1, 0));

    select v.content into before from prov.configuration_version(whose, from_) v;
    select v.content into after from prov.configuration_version(whose, to_) v;

    if before is null or after is null then
        select m.status, m.body into status, body
        from prov.configuration_missing(whose,
            case when after is null then to_ else from_ end) m;
        return;
    end if;

    status := 200;
    body := format('{"tenant": "%s", "from": %s, "to": %s, "diff": %s}',
        whose, from_, to_, prov.json_diff(before, after));
end
$$;

comment on function partner.configuration_diff(jsonb, jsonb, jsonb) is
    'What is different between two versions of a tenant''s configuration.';
