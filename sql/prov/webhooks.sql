-- Webhook endpoints: how one is shown, what may be asked of one, which events
-- there are.  What is secret comes here sealed by the gateway, but for the one
-- text that is shown once; how deliveries are made is in jobs.sql and
-- job_report.sql.


create or replace function prov.event_types(out event_type text,
        out description text)
    returns setof record
    language sql immutable parallel safe
as $$
    select * from (values
        ('tenant.created', 'A tenant was created.'),
        ('tenant.updated', 'A tenant was changed.'),
        ('tenant.suspended', 'A tenant was suspended.'),
        ('tenant.resumed', 'A suspended tenant was resumed.'),
        ('tenant.cancelled', 'A tenant was cancelled.'),
        ('tenant.deleted',
         'A tenant was deleted; it can still be restored.'),
        ('tenant.restored', 'A deleted tenant was restored.'),
        ('tenant.purged', 'A tenant was removed for good.'),
        ('tenant.configuration.updated',
         'A tenant''s configuration was changed.'),
        ('api_key.created', 'An API key was created.'),
        ('api_key.updated', 'An API key was changed.'),
        ('api_key.revoked', 'An API key was revoked.'),
        ('api_key.rotated', 'An API key got another secret.'),
        ('operation.completed', 'A long operation has ended as it should.'),
        ('operation.failed',
         'A long operation has failed, or a part of it.'),
        ('webhook_endpoint.disabled',
         'A webhook endpoint was disabled because it did not take its '
         'events.'),
        ('webhook_endpoint.test',
         'A test, sent because somebody has asked for it.')) as t
$$;

comment on function prov.event_types() is
    'All types of events; the document describes each.';


create or replace function prov.webhook_json(w prov.webhook_endpoints)
    returns json
    language sql stable
return json_build_object(
    'webhook_endpoint', w.id,
    'url', w.url,
    'description', w.description,
    'event_types', to_json(w.event_types),
    'header_names', to_json(w.header_names),
    'status', w.status,
    'disabled_reason', w.disabled_reason,
    'disabled_at', prov.rfc3339(w.disabled_at),
    'failing_since', prov.rfc3339(w.failing_since),
    'algorithm', w.algorithm,
    'public_key', w.public_key,
    'previous_until', case when w.previous_until > now()
                           then prov.rfc3339(w.previous_until) end,
    'created_at', prov.rfc3339(w.created_at),
    'updated_at', prov.rfc3339(w.updated_at));

comment on function prov.webhook_json(prov.webhook_endpoints) is
    'An endpoint as it is answered: everything but what is secret.';


create or replace function prov.webhook_shown(endpoint json, secret text)
    returns json
    language sql stable parallel safe
return (rtrim(endpoint::text, '}') || ', "secret" : '
    || coalesce(to_json(secret)::text, 'null') || '}')::json;

comment on function prov.webhook_shown(json, text) is
    'An endpoint as it is answered once, with its secret.  Without one, as it '
    'is recorded, and as a repeated answer has it: "secret" is null.';


-- Secrets that were rotated away sign as well until their time is over.

create or replace function prov.webhook_previous(w prov.webhook_endpoints,
        moment timestamptz)
    returns json
    language sql stable parallel safe
return (
    select coalesce(json_agg(p.secret order by p.n), '[]')
    from unnest(w.previous_secrets, w.previous_untils)
        with ordinality as p (secret, until, n)
    where p.until > moment);

comment on function prov.webhook_previous(prov.webhook_endpoints, timestamptz)
    is 'Those of an endpoint''s previous secrets that are still good, sealed, '
    'the last one first.';


create or replace function prov.webhook_left(w prov.webhook_endpoints,
        moment timestamptz, out secrets text[], out untils timestamptz[],
        out until timestamptz)
    language sql stable parallel safe
begin atomic
    select coalesce(array_agg(p.secret order by p.n), '{}'),
        coalesce(array_agg(p.until order by p.n), '{}'), max(p.until)
    from unnest(w.previous_secrets, w.previous_untils)
        with ordinality as p (secret, until, n)
    where p.until > moment;
end;

comment on function prov.webhook_left(prov.webhook_endpoints, timestamptz) is
    'The columns of an endpoint''s previous secrets without those that are '
    'good no longer.';


create or replace function prov.webhook_find(params jsonb,
        out endpoint prov.webhook_endpoints, out status int, out body json)
    language plpgsql
as $$
begin
    -- params have a condition only where the operation has one

    select w.* into endpoint
    from prov.webhook_endpoints w
    where w.id = (params ->> 'webhook_endpoint')::uuid
    for no key update;

    if endpoint.id is null then
        status := 404;
        body := json_build_object('code', 'webhook_not_found',
            'detail', 'You have no webhook endpoint with this id.');
        return;
    end if;

    select p.status, p.body into status, body
    from prov.precondition(params, endpoint.version) p;
end
$$;

comment on function prov.webhook_find(jsonb) is
    'Locks an endpoint that is about to be changed, or says why it cannot '
    'be.';


create or replace function prov.webhook_changed(ctx jsonb,
        was prov.webhook_endpoints, endpoint prov.webhook_endpoints,
        out status int, out body json, out headers jsonb)
    language plpgsql
as $$
begin
    status := 200;
    body := prov.webhook_json(endpoint);
    headers := jsonb_build_object('ETag', prov.etag(endpoint.version));

    perform prov.record(ctx, 'webhook_endpoint', endpoint.id, null, status,
        prov.webhook_json(was), body, headers);
end
$$;

comment on function prov.webhook_changed(jsonb, prov.webhook_endpoints,
    prov.webhook_endpoints) is
    'What is answered when an endpoint was changed, and recorded.';


create or replace function prov.webhook_find_active(params jsonb,
        out endpoint prov.webhook_endpoints, out status int, out body json)
    language plpgsql
as $$
declare
    found_ constant record := prov.webhook_find(params);
begin
    endpoint := found_.endpoint;
    status := found_.status;
    body := found_.body;

    if status is null and endpoint.status <> 'active' then
        status := 409;
        body := json_build_object('code', 'webhook_disabled', 'detail',
            'The webhook endpoint is disabled: enable it first.');
    end if;
end
$$;

comment on function prov.webhook_find_active(jsonb) is
    'Locks an endpoint that something is about to be sent to, or says why '
    'nothing can be.';


create or replace function prov.webhook_switch(ctx jsonb, params jsonb,
        wanted text, out status int, out body json, out headers jsonb)
    language plpgsql
as $$
declare
    was record;
    w   prov.webhook_endpoints;
begin
    was := prov.webhook_find(params);
    status := was.status;
    body := was.body;

    if status is not null then
        return;
    end if;

    -- one that is disabled keeps the reason; one that is active has none, and
    -- begins anew

    update prov.webhook_endpoints as e
    set status = wanted,
        disabled_reason = case wanted when 'disabled'
            then coalesce(e.disabled_reason, 'requested') end,
        disabled_at = case wanted when 'disabled'
            then coalesce(e.disabled_at, now()) end,
        failing_since = case wanted when 'disabled'
            then e.failing_since end,
        version = e.version + 1, updated_at = now()
    where e.id = (was.endpoint).id
    returning * into w;

    select c.status, c.body, c.headers into status, body, headers
    from prov.webhook_changed(ctx, was.endpoint, w) c;
end
$$;

comment on function prov.webhook_switch(jsonb, jsonb, text) is
    'Enables or disables an endpoint.';


-- What partners choose: each must mean something, and none is the gateway's.

create or replace function prov.webhook_wrong_type(filter text[])
    returns text
    language sql immutable parallel safe
return (
    select f.pattern
    from unnest(filter) with ordinality as f (pattern, n)
    where not exists (
        select
        from prov.event_types() t
        where f.pattern = any (prov.event_patterns(t.event_type)))
    order by f.n
    limit 1);

comment on function prov.webhook_wrong_type(text[]) is
    'The first of these that no event has; null when each has some.';


create or replace function prov.webhook_wrong_header(names text[])
    returns text
    language sql immutable parallel safe
return (
    select n.name
    from unnest(names) with ordinality as n (name, i)
    where lower(n.name) ~ '^(webhook-|content-|proxy-|sec-|:)'
        or lower(n.name) in ('host', 'connection', 'keep-alive', 'te',
            'trailer', 'transfer-encoding', 'upgrade', 'expect',
            'user-agent', 'accept', 'accept-encoding', 'date', 'via',
            'http2-settings')
        or exists (
            select
            from unnest(names) with ordinality as o (name, i)
            where lower(o.name) = lower(n.name) and o.i < n.i)
    order by n.i
    limit 1);

comment on function prov.webhook_wrong_header(text[]) is
    'The first of these that is the gateway''s own to send, or is there '
    'twice; null when none is.';


create or replace function prov.webhook_checked(input jsonb, out types text[],
        out names text[], out status int, out body json)
    language plpgsql stable
as $$
declare
    wrong text;
begin
    types := array(
        select distinct t.type
        from jsonb_array_elements_text(
            coalesce(nullif(input -> 'event_types', 'null'), '[]'))
            as t (type)
        order by 1);
    names := array(
        select h.name
        from jsonb_object_keys(
            coalesce(nullif(input -> 'headers', 'null'), '{}')) as h (name)
        order by lower(h.name), h.name);

    wrong := prov.webhook_wrong_type(types);

    if wrong is not null then
        status := 422;
        body := json_build_object('code', 'event_type_unknown', 'detail',
            format('There is no event type "%s"; GET /event-types lists all.',
                   wrong), 'event_type', wrong);
        return;
    end if;

    wrong := prov.webhook_wrong_header(names);

    if wrong is not null then
        status := 422;
        body := json_build_object('code', 'header_not_allowed', 'detail',
            format('The header "%s" is not yours to set.', wrong),
            'header', wrong);
    end if;
end
$$;

comment on function prov.webhook_checked(jsonb) is
    'The event types and the names of headers of a body, sorted; or what to '
    'answer when one of them cannot be.';


create or replace function prov.webhook_sealed(ctx jsonb, names text[])
    returns text
    language plpgsql stable
as $$
begin
    if names = '{}' then
        return null;
    end if;

    if ctx ->> 'sealed' is null then
        raise exception 'The headers have not been sealed.'
            using errcode = 'PV503', constraint = 'secrets_unavailable';
    end if;

    return ctx ->> 'sealed';
end
$$;

comment on function prov.webhook_sealed(jsonb, text[]) is
    'Headers as they are kept: as the gateway has sealed them, and never in '
    'another way.';
