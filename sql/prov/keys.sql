-- API keys: what one looks like, what the gateway asks of them, and whether
-- a caller who came with one may still.
--
-- A key's text is pk_<client id>_<secret><checksum>: the client id is the
-- key's id in 32 hexadecimal digits, the secret 43 characters of base64url,
-- the checksum the first 8 hexadecimal digits of the SHA-256 of what stands
-- before it.  The gateway makes a key, checks the checksum of one that it is
-- shown, and compares the secret's hash itself: no secret comes here, but for
-- those of operators' keys, which are made at psql.


create or replace function prov.api_key_secret()
    returns text
    language sql volatile
return
    -- three random UUIDs have 366 random bits, more than the hash keeps
    translate(rtrim(encode(sha256(uuid_send(gen_random_uuid())
        || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())),
        'base64'), '='), '+/', '-_');

comment on function prov.api_key_secret() is
    'A new secret: 256 random bits in base64url.';


create or replace function prov.api_key_hash(secret text)
    returns bytea
    language plpgsql immutable parallel safe
as $$
begin
    -- in language sql this would be a statement, with a parameter

    return sha256(convert_to(secret, 'UTF8'));
end
$$;

comment on function prov.api_key_hash(text) is
    'What is kept of a secret.';


create or replace function prov.api_key_made(ctx jsonb)
    returns bytea
    language plpgsql stable
as $$
begin
    if ctx #>> '{secret,hash}' is null then
        raise exception 'The gateway has made no secret for the key.'
            using errcode = 'PV503', constraint = 'secrets_unavailable';
    end if;

    return decode(ctx #>> '{secret,hash}', 'hex');
end
$$;

comment on function prov.api_key_made(jsonb) is
    'The hash of the secret that the gateway has made for a key.';


create or replace function prov.api_key_text(id uuid, secret text)
    returns text
    language plpgsql immutable parallel safe
as $$
declare
    text constant text := 'pk_' || replace(id::text, '-', '') || '_' || secret;
begin
    return text || left(encode(sha256(convert_to(text, 'UTF8')), 'hex'), 8);
end
$$;

comment on function prov.api_key_text(uuid, text) is
    'The key as its holder sends it.';


create or replace function prov.api_key_json(k prov.api_keys)
    returns json
    language sql stable
return json_build_object(
    'api_key', k.id,
    'client_id', replace(k.id::text, '-', ''),
    'name', k.name,
    'status', case when k.revoked_at is not null then 'revoked'
                   when k.expires_at <= now() then 'expired'
                   else 'active' end,
    'scopes', to_json(k.scopes::text[]),
    'ip_allow', to_json(k.ip_allow::cidr[]::text[]),
    'expires_at', prov.rfc3339(k.expires_at),
    'previous_until', case when k.previous_until > now()
                           then prov.rfc3339(k.previous_until) end,
    'revoked_at', prov.rfc3339(k.revoked_at),
    'last_used_at', prov.rfc3339(k.last_used_at),
    'created_at', prov.rfc3339(k.created_at),
    'updated_at', prov.rfc3339(k.updated_at));

comment on function prov.api_key_json(prov.api_keys) is
    'A key as it is answered: everything but the secret.';


create or replace function prov.api_key_shown(key json, secret text)
    returns json
    language sql stable parallel safe
return (rtrim(key::text, '}') || ', "key" : '
    || coalesce(to_json(secret)::text, 'null') || '}')::json;

comment on function prov.api_key_shown(json, text) is
    'A key as it is answered once, with what stands for its text.  Without '
    'that, as it is recorded, and as a repeated answer has it: "key" is null.';


create or replace function prov.api_key_ips(list jsonb, out allow cidr[],
        out wrong text)
    language plpgsql immutable
as $$
begin
    allow := '{}';

    for wrong in select e.value from jsonb_array_elements_text(
        coalesce(nullif(list, 'null'), '[]')) e
    loop
        begin
            allow := allow || wrong::cidr;
        exception
            when invalid_text_representation then
                allow := null;
                return;
        end;
    end loop;

    wrong := null;
end
$$;

comment on function prov.api_key_ips(jsonb) is
    'A list of networks as such; or the first of them that is none.';


create or replace function prov.api_key_given(input jsonb, out allow cidr[],
        out status int, out body json)
    language plpgsql stable
as $$
declare
    wrong text;
begin
    if (input ->> 'expires_at')::timestamptz <= now() then
        status := 422;
        body := json_build_object('code', 'expires_at_past',
            'detail', 'expires_at must be in the future.');
        return;
    end if;

    select i.allow, i.wrong into allow, wrong
    from prov.api_key_ips(input -> 'ip_allow') i;

    if allow is null then
        status := 422;
        body := json_build_object('code', 'ip_allow_invalid',
            'detail', 'ip_allow must have addresses, or networks without '
                      'bits behind the prefix.', 'value', wrong);
    end if;
end
$$;

comment on function prov.api_key_given(jsonb) is
    'From where a key may be used, as it is given; or why that, or its end, '
    'cannot be.';


-- "granted" in ctx is what the caller may do in this API, as the gateway has
-- worked it out: permissions, "resource:*" where none of that resource is
-- missing, "*" where none at all is.

create or replace function prov.api_key_beyond(ctx jsonb, scopes text[])
    returns text[]
    language sql stable
return (select coalesce(array_agg(s.scope), '{}')
    from unnest(scopes) as s (scope)
    where not coalesce(ctx -> 'granted' ? s.scope, false));

comment on function prov.api_key_beyond(jsonb, text[]) is
    'Which of these scopes the caller does not have, and so cannot give; one '
    'that nothing needs is misspelt, and nobody has it.';


create or replace function prov.api_key_wider(ctx jsonb, allow cidr[],
        expires_at timestamptz)
    returns json
    language plpgsql stable
as $$
declare
    own    prov.api_keys;
    detail text;
begin
    if ctx #>> '{principal,kind}' is distinct from 'key' then
        return null;
    end if;

    select * into own
    from prov.api_keys k
    where k.id = (ctx #>> '{principal,key}')::uuid;

    if own.expires_at < coalesce(api_key_wider.expires_at, 'infinity') then
        detail := format('Your own key is good until %s, and a key that it '
            'makes or changes not for longer.', prov.rfc3339(own.expires_at));

    elsif own.ip_allow <> '{}'
        and (allow = '{}' or exists (
            select
            from unnest(allow) as a (network)
            where not exists (
                select
                from unnest(own.ip_allow) as o (network)
                where a.network::inet <<= o.network::inet)))
    then
        detail := 'Your own key is for some networks only, and a key that it '
            'makes or changes for no others: say which, in ip_allow.';
    end if;

    return case when detail is not null
        then json_build_object('code', 'api_key_wider', 'detail', detail) end;
end
$$;

comment on function prov.api_key_wider(jsonb, cidr[], timestamptz) is
    'What to answer, with status 403, when the caller is a key and this one '
    'could be used for longer, or from elsewhere; null when it could not.';


create or replace function prov.api_key_change(ctx jsonb, params jsonb,
        more boolean, out status int, out body json)
    language plpgsql
as $$
declare
    k      prov.api_keys;
    beyond text[];
begin
    select * into k
    from prov.api_keys a
    where a.id = (params ->> 'api_key')::uuid
    for update;

    if not found then
        status := 404;
        body := json_build_object('code', 'api_key_not_found',
            'detail', 'You have no API key with this id.');
        return;
    end if;

    select p.status, p.body into status, body
    from prov.precondition(params, k.version) p;

    if status is not null or not more then
        return;
    end if;

    -- who makes a key's secret or widens its networks could be the key

    beyond := prov.api_key_beyond(ctx, k.scopes);

    if beyond <> '{}' and not coalesce(ctx -> 'granted' ? '*', false) then
        status := 403;
        body := json_build_object('code', 'scope_not_granted',
            'detail', 'The key may more than you, so you cannot change it.',
            'scopes', beyond);
        return;
    end if;

    body := prov.api_key_wider(ctx, k.ip_allow, k.expires_at);

    if body is not null then
        status := 403;

    elsif k.revoked_at is not null then
        status := 409;
        body := json_build_object('code', 'api_key_revoked',
            'detail', 'The key was revoked, which is for good; make another '
                      'one.');

    elsif k.expires_at <= now() then
        status := 409;
        body := json_build_object('code', 'api_key_expired',
            'detail', 'The key has expired; make another one.');
    end if;
end
$$;

comment on function prov.api_key_change(jsonb, jsonb, boolean) is
    'Locks a key that is about to be changed, or says why it cannot be.  '
    'With "more" the change gives something, rather than only taking away.';


-- What the gateway asks when it is shown a key: {"key": id}.  The answer is
-- for the gateway alone.

create or replace function prov.api_key_find(request jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    k      prov.api_keys;
    active boolean := true;
begin
    perform set_config('prov.partner', '', true);
    perform set_config('prov.key', request ->> 'key', true);

    select * into k
    from prov.api_keys a
    where a.id = (request ->> 'key')::uuid;

    perform set_config('prov.key', '', true);

    -- a key for one surface is none for another, whatever its scopes say

    if k.id is null
        or not exists (select from pg_catalog.pg_roles r
            where r.rolname = 'prov_' || k.surface
                and pg_has_role(session_user, r.oid, 'member'))
    then
        status := 404;
        return;
    end if;

    if k.partner is not null then
        perform set_config('prov.partner', k.partner::text, true);
        active := exists (select from prov.partners p
            where p.id = k.partner and p.status = 'active');
    end if;

    status := 200;
    body := json_build_object(
        'key', k.id,
        'partner', k.partner,
        'active', active,
        'revoked', k.revoked_at is not null,
        'expires', floor(extract(epoch from k.expires_at)),
        'used', floor(extract(epoch from k.last_used_at)),
        'hash', encode(k.secret_hash, 'hex'),
        'previous', encode(k.previous_hash, 'hex'),
        'previous_until', floor(extract(epoch from k.previous_until)),
        'scopes', to_json(k.scopes::text[]),
        'ip_allow', to_json(k.ip_allow::cidr[]::text[]));
end
$$;

comment on function prov.api_key_find(jsonb, jsonb, jsonb) is
    'What the gateway must know of a key that it is shown: status 200, or '
    '404 when there is no such key for its surface.';


create or replace function prov.api_key_used(request jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
begin
    -- Nobody waits for it, and it waits for nobody.  An operator's key has no
    -- partner, and is open to the login of its own surface only.

    perform set_config('prov.partner', coalesce(request ->> 'partner', ''),
        true);

    if request ->> 'partner' is null
       and pg_has_role(session_user, 'prov_operator', 'member')
    then
        perform set_config('prov.key', request ->> 'key', true);
    end if;

    update prov.api_keys as k
    set last_used_at = now()
    where k.id = (
        select u.id from prov.api_keys u
        where u.id = (request ->> 'key')::uuid
            and (u.last_used_at is null
                 or u.last_used_at <= now() - interval '1 minute')
        for update skip locked);

    perform set_config('prov.key', '', true);

    status := 204;
end
$$;

comment on function prov.api_key_used(jsonb, jsonb, jsonb) is
    'Notes that a key was used, at most once a minute.';


create or replace function prov.api_key_here(allow cidr[], ip text)
    returns boolean
    language plpgsql stable
as $$
begin
    if allow = '{}' then
        return true;
    end if;

    -- a client at a UNIX socket is in no network; an IPv4 address that came
    -- through an IPv6 socket is one all the same

    if ip is null or ip !~ '^[0-9A-Fa-f.:]+$' then
        return false;
    end if;

    return regexp_replace(ip, '^::ffff:([0-9.]+)$', '\1', 'i')::inet
        <<= any (allow::inet[]);
end
$$;

comment on function prov.api_key_here(cidr[], text) is
    'Whether a caller at this address may use a key that is for these '
    'networks.';


create or replace function prov.api_key_unfit(k prov.api_keys, ip text)
    returns text
    language sql stable
return case when k.id is null or k.revoked_at is not null then 'key_revoked'
            when k.expires_at <= now() then 'key_expired'
            when not prov.api_key_here(k.ip_allow, ip)
                then 'key_ip_not_allowed' end;

comment on function prov.api_key_unfit(prov.api_keys, text) is
    'Why a key cannot be used from an address; null when it can.';


create or replace function prov.api_key_refusal(ctx jsonb)
    returns text
    language plpgsql
as $$
declare
    k prov.api_keys;
begin
    -- as its partner: prov.enter() has opened that one's rows

    select * into k
    from prov.api_keys a
    where a.id = (ctx #>> '{principal,key}')::uuid;

    return prov.api_key_unfit(k, ctx ->> 'ip');
end
$$;

comment on function prov.api_key_refusal(jsonb) is
    'Why a caller who came with a key may not any more; null when he may.';


create or replace function prov.refusal(request jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    claim constant text := request ->> 'partner';
    code  text;
begin
    if request #>> '{principal,kind}' = 'key'
       and claim ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
    then
        perform set_config('prov.partner', claim, true);

        if exists (select from prov.partners p
                   where p.id = claim::uuid and p.status = 'active')
        then
            code := prov.api_key_refusal(request);
        end if;

    elsif request #>> '{principal,kind}' = 'key' and claim is null then
        code := prov.operator_key_refusal(request);
    end if;

    if code = 'key_ip_not_allowed' then
        status := 403;
        body := json_build_object('code', code, 'detail',
            'The API key may not be used from this address.');
    elsif code is not null then
        status := 401;
        body := json_build_object('code', code, 'detail', case code
            when 'key_expired' then 'The API key has expired.'
            else 'The API key was revoked.' end);
    else
        status := 403;
        body := json_build_object('code', 'partner_unknown',
            'detail', 'The partner that the caller acts for is not known '
                      'here, or not active.');
    end if;
end
$$;

comment on function prov.refusal(jsonb, jsonb, jsonb) is
    'Why prov.enter() has returned no row to a caller who came with a key.';


create or replace function prov.token_bought(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    key constant uuid := ctx #>> '{principal,key}';
begin
    -- never the token, which the gateway signs when this is committed

    status := 200;
    body := json_build_object('scope', params -> 'scope',
        'expires_in', params -> 'expires_in');

    perform prov.record(ctx, 'token', key, null, status, null, body, null);
end
$$;

comment on function prov.token_bought(jsonb, jsonb, jsonb) is
    'Records that a token is given for an API key, for which scope and how '
    'long.';
