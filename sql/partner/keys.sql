-- The partner API's keys: made, listed, shown, changed, rotated, revoked.
--
-- Who may change a key may let himself in with it, so that is refused to a
-- caller who may less than the key.  Revoking is not: it only takes away.


create or replace function partner.api_key_create(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    id         constant uuid := ctx ->> 'id';
    scopes     constant text[] := array(
        select distinct jsonb_array_elements_text(input -> 'scopes')
        order by 1);
    expires_at constant timestamptz := input ->> 'expires_at';
    beyond     constant text[] := prov.api_key_beyond(ctx, scopes);
    allow      cidr[];
    key        json;
begin
    if beyond <> '{}' then
        status := 403;
        body := json_build_object('code', 'scope_not_granted',
            'detail', 'A key can be given only what you may do yourself.',
            'scopes', beyond);
        return;
    end if;

    select g.allow, g.status, g.body into allow, status, body
    from prov.api_key_given(input) g;

    if status is not null then
        return;
    end if;

    body := prov.api_key_wider(ctx, allow, expires_at);

    if body is not null then
        status := 403;
        return;
    end if;

    insert into prov.api_keys as k (id, partner, name, scopes, ip_allow,
        expires_at, secret_hash)
    values (id, (ctx ->> 'partner')::uuid, input ->> 'name', scopes, allow,
        expires_at, prov.api_key_made(ctx))
    returning prov.api_key_json(k) into key;

    status := 201;
    body := prov.api_key_shown(key,
        case when params ->> 'dry_run' is distinct from 'true'
             then ctx #>> '{secret,text}' end);
    headers := jsonb_build_object('ETag', prov.etag(1),
        'Location', (ctx ->> 'base') || '/api-keys/' || id);

    perform prov.record(ctx, 'api_key', id, null, status, null,
        prov.api_key_shown(key, null), headers, 'api_key.created', key);
end
$$;

comment on function partner.api_key_create(jsonb, jsonb, jsonb) is
    'Makes a key for the caller''s partner, and shows its secret once.';


create or replace function partner.api_key_list(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql stable security definer
as $$
declare
    owner  constant uuid := ctx ->> 'partner';
    items  text[] := '{}';
    next   text;
    page   record;
    row    record;
begin
    page := prov.list_begin('ak1', params);

    if page.moment is null then
        status := 400;
        body := prov.list_invalid_cursor();
        return;
    end if;

    for row in
        select k.created_at, k.id, prov.api_key_json(k)::text as item
        from prov.api_keys k
        where k.partner = owner
            and (k.created_at, k.id) <= (page.moment, page.id)
        order by k.created_at desc, k.id desc
        limit page.size + 1
    loop
        if cardinality(items) = page.size then
            next := prov.cursor_write('ak1', row.created_at, row.id);
            exit;
        end if;

        items := items || row.item;
    end loop;

    status := 200;
    body := prov.list_page(items, next);

    if next is not null then
        headers := jsonb_build_object('Link', format(
            '<%s/api-keys?limit=%s&cursor=%s>; rel="next"',
            ctx ->> 'base', page.size, next));
    end if;
end
$$;

comment on function partner.api_key_list(jsonb, jsonb, jsonb) is
    'Lists the keys of the caller''s partner, newest first, page by page.';


create or replace function partner.api_key_get(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql stable security definer
as $$
begin
    select 200, prov.api_key_json(k),
           jsonb_build_object('ETag', prov.etag(k.version))
    into status, body, headers
    from prov.api_keys k
    where k.id = (params ->> 'api_key')::uuid;

    if not found then
        status := 404;
        body := json_build_object('code', 'api_key_not_found',
            'detail', 'You have no API key with this id.');
    end if;
end
$$;

comment on function partner.api_key_get(jsonb, jsonb, jsonb) is
    'Shows one of the partner''s keys, without its secret.';


create or replace function partner.api_key_update(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    k     prov.api_keys;
    old   json;
    allow cidr[];
begin
    select c.status, c.body into status, body
    from prov.api_key_change(ctx, params, true) c;

    if status is not null then
        return;
    end if;

    select * into k
    from prov.api_keys a
    where a.id = (params ->> 'api_key')::uuid;

    select g.allow, g.status, g.body into allow, status, body
    from prov.api_key_given(input) g;

    if status is not null then
        return;
    end if;

    body := prov.api_key_wider(ctx,
        case when input ? 'ip_allow' then allow else k.ip_allow end,
        k.expires_at);

    if body is not null then
        status := 403;
        return;
    end if;

    old := prov.api_key_json(k);

    update prov.api_keys as a
    set name = coalesce(input ->> 'name', a.name),
        ip_allow = case when input ? 'ip_allow' then allow
                        else a.ip_allow end,
        version = a.version + 1, updated_at = now()
    where a.id = k.id
    returning * into k;

    status := 200;
    body := prov.api_key_json(k);
    headers := jsonb_build_object('ETag', prov.etag(k.version));

    perform prov.record(ctx, 'api_key', k.id, null, status, old, body,
        headers, 'api_key.updated');
end
$$;

comment on function partner.api_key_update(jsonb, jsonb, jsonb) is
    'Changes a key''s name, and from where it may be used.';


create or replace function partner.api_key_rotate(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    overlap constant interval := make_interval(secs =>
        coalesce((input ->> 'overlap_seconds')::numeric, 86400)::float8);
    k       prov.api_keys;
    old     json;
    key     json;
begin
    select c.status, c.body into status, body
    from prov.api_key_change(ctx, params, true) c;

    if status is not null then
        return;
    end if;

    select * into k
    from prov.api_keys a
    where a.id = (params ->> 'api_key')::uuid;

    old := prov.api_key_json(k);

    update prov.api_keys as a
    set previous_hash = case when overlap > '0' then a.secret_hash end,
        previous_until = case when overlap > '0' then now() + overlap end,
        secret_hash = prov.api_key_made(ctx),
        version = a.version + 1, updated_at = now()
    where a.id = k.id
    returning prov.api_key_json(a), a.version into key, k.version;

    status := 200;
    body := prov.api_key_shown(key,
        case when params ->> 'dry_run' is distinct from 'true'
             then ctx #>> '{secret,text}' end);
    headers := jsonb_build_object('ETag', prov.etag(k.version));

    perform prov.record(ctx, 'api_key', k.id, null, status, old,
        prov.api_key_shown(key, null), headers, 'api_key.rotated', key);
end
$$;

comment on function partner.api_key_rotate(jsonb, jsonb, jsonb) is
    'Gives a key another secret, and shows it once; the one before stays '
    'good for a while.';


create or replace function partner.api_key_revoke(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    k   prov.api_keys;
    old json;
    was int;
begin
    select c.status, c.body into status, body
    from prov.api_key_change(ctx, params, false) c;

    if status is not null then
        return;
    end if;

    select * into k
    from prov.api_keys a
    where a.id = (params ->> 'api_key')::uuid;

    old := prov.api_key_json(k);
    was := k.version;

    if k.revoked_at is null then
        update prov.api_keys as a
        set revoked_at = now(), version = a.version + 1, updated_at = now(),
            previous_hash = null, previous_until = null
        where a.id = k.id
        returning * into k;
    end if;

    status := 200;
    body := prov.api_key_json(k);
    headers := jsonb_build_object('ETag', prov.etag(k.version));

    perform prov.record(ctx, 'api_key', k.id, null, status, old, body,
        headers, case when k.version > was then 'api_key.revoked' end);
end
$$;

comment on function partner.api_key_revoke(jsonb, jsonb, jsonb) is
    'Ends a key for good; to revoke it again changes nothing.';
