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


-- Deliveries: jobs of the kind "webhook", whose queue is the endpoint.

create or replace function prov.delivery_status(state text, tries int)
    returns text
    language sql immutable parallel safe
return case state
    when 'waiting' then case when tries = 0 then 'pending'
                             else 'retrying' end
    when 'done' then 'succeeded'
    else state end;

comment on function prov.delivery_status(text, int) is
    'The state of a job as that of a delivery.';


create or replace function prov.delivery_json(j prov.jobs)
    returns json
    language plpgsql stable
as $$
begin
    return json_build_object(
        'delivery', j.id,
        'webhook_endpoint', j.queue,
        'event', j.event,
        'event_type', coalesce(
            (select e.type from prov.events e where e.id = j.event),
            j.data ->> 'type'),
        'tenant', j.tenant,
        'status', prov.delivery_status(j.state, j.tries),
        'attempt_count', (select count(*) from prov.job_attempts a
                          where a.job = j.id),
        'created_at', prov.rfc3339(j.created_at),
        'next_attempt_at', case when j.state = 'waiting'
                                then prov.rfc3339(greatest(j.due,
                                    case when j.lease_worker is null
                                         then j.lease_until end)) end,
        'finished_at', prov.rfc3339(j.finished_at));
end
$$;

comment on function prov.delivery_json(prov.jobs) is
    'A delivery as lists have it.';


create or replace function prov.delivery_whole(j prov.jobs)
    returns json
    language plpgsql stable
as $$
declare
    payload  text := coalesce(
        (select prov.event_text(e) from prov.events e where e.id = j.event),
        j.data ->> 'payload', 'null');
    attempts json := (
        select coalesce(json_agg(json_build_object(
                'attempt', t.n,
                'at', prov.rfc3339(t.at),
                'status', t.status,
                'duration_ms', t.duration_ms,
                'error', t.error,
                'headers', t.headers,
                'body', t.body) order by t.n), '[]')
        from (
            select row_number() over (order by a.attempt) as n, a.*
            from prov.job_attempts a
            where a.job = j.id
            order by a.attempt desc
            limit 100) t);
begin
    return rtrim(prov.delivery_json(j)::text, '}') || ', "payload" : '
        || payload || ', "attempts" : ' || attempts || '}';
end
$$;

comment on function prov.delivery_whole(prov.jobs) is
    'A delivery with what is sent, and the last hundred attempts.';


-- Of each endpoint the newest deliveries are looked at, as many of each as
-- leave 5,000 of all.  Where one has more, the page ends at the newest that
-- was not looked at, however few it has: so no filter costs more.

create or replace function prov.delivery_page(filter jsonb, queues uuid[],
        newest timestamptz, first uuid, size int, out ids uuid[],
        out moment timestamptz, out id uuid)
    language plpgsql stable
as $$
declare
    depth  constant int := greatest(size + 1,
        5000 / greatest(cardinality(queues), 1));
    since  constant timestamptz :=
        coalesce((filter ->> 'since')::timestamptz, '-infinity');
    until  constant timestamptz :=
        coalesce((filter ->> 'until')::timestamptz, 'infinity');
    whose  constant uuid := filter ->> 'tenant';
    state_ constant text := filter ->> 'status';
    type_  constant text := filter ->> 'event_type';
    visit  record;
begin
    ids := '{}';

    for visit in
        select v.id, v.created_at, v.n,
            (whose is null or v.tenant is not distinct from whose)
            and (state_ is null
                 or prov.delivery_status(v.state, v.tries) = state_)
            and (type_ is null
                 or type_ = coalesce(
                     (select e.type from prov.events e where e.id = v.event),
                     v.data ->> 'type')) as wanted
        from (
            select j.*,
                row_number() over (partition by q.queue
                    order by j.created_at desc, j.id desc) as n
            from unnest(queues) as q (queue)
            cross join lateral (
                select i.*
                from prov.jobs i
                where i.queue = q.queue
                    and (i.created_at, i.id) <= (newest, first)
                    and i.created_at >= since and i.created_at < until
                order by i.created_at desc, i.id desc
                limit depth) j) v
        order by v.created_at desc, v.id desc
    loop
        if visit.n = depth or visit.wanted and cardinality(ids) = size then
            moment := visit.created_at;
            id := visit.id;
            return;
        end if;

        if visit.wanted then
            ids := ids || visit.id;
        end if;
    end loop;
end
$$;

comment on function prov.delivery_page(jsonb, uuid[], timestamptz, uuid, int)
    is 'The ids of at most size deliveries to these endpoints that match a '
    'filter, newest first, and where the next page begins: null after the '
    'last one.';


create or replace function prov.delivery_again(ids uuid[])
    returns void
    language sql
as $$
    update prov.jobs as j
    set state = 'waiting', due = now(), tries = 0, seq = null,
        finished_at = null, error = null,
        lease_until = case when j.lease_worker is not null
                           then j.lease_until end
    where j.id = any (ids);
$$;

comment on function prov.delivery_again(uuid[]) is
    'Has deliveries made at once, and then as often as new ones.';
