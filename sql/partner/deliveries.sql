-- The partner API's deliveries: what was sent to webhooks, what came of it,
-- and sending it once more; and which events there are.


create or replace function partner.event_type_list(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql stable security definer
as $$
begin
    status := 200;
    body := (
        select json_build_object('data', json_agg(json_build_object(
            'event_type', t.event_type,
            'description', t.description,
            'schema', '/components/schemas/'
                || translate(initcap(translate(t.event_type, '._', '  ')),
                             ' ', '') || 'Event')))
        from prov.event_types() t);
end
$$;

comment on function partner.event_type_list(jsonb, jsonb, jsonb) is
    'Lists all types of events, and where the document describes each.';


create or replace function partner.webhook_test(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    was   record;
    w     prov.webhook_endpoints;
    event constant uuid := prov.uuid7_beside((ctx ->> 'id')::uuid);
    j     prov.jobs;
begin
    was := prov.webhook_find_active(params);
    w := was.endpoint;
    status := was.status;
    body := was.body;

    if status is not null then
        return;
    end if;

    -- an event of this endpoint alone: the job brings it along

    insert into prov.jobs as i (id, kind, queue, partner, event, data)
    values ((ctx ->> 'id')::uuid, 'webhook', w.id, w.partner, event,
        jsonb_build_object('type', 'webhook_endpoint.test', 'payload',
            format('{"id": "%s", "type": "webhook_endpoint.test", '
                '"created_at": "%s", "data": {"webhook_endpoint": "%s", '
                '"message": "This is a test: nothing has happened."}, '
                '"request_id": %s}', event, prov.rfc3339(now()), w.id,
                coalesce(to_json(ctx ->> 'request_id')::text, 'null'))))
    returning * into j;

    status := 202;
    body := prov.delivery_json(j);
    headers := jsonb_build_object(
        'Location', (ctx ->> 'base') || '/deliveries/' || j.id);

    perform prov.record(ctx, 'webhook_endpoint', w.id, null, status, null,
        body, headers);
end
$$;

comment on function partner.webhook_test(jsonb, jsonb, jsonb) is
    'Sends an endpoint an event that says that nothing has happened.';


create or replace function partner.webhook_recover(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    most    constant int := 1000;
    since   constant timestamptz := input ->> 'since';
    binding constant bytea := prov.list_binding('recover', jsonb_build_object(
        'webhook_endpoint', params -> 'webhook_endpoint', 'since', since), '');
    was     record;
    w       prov.webhook_endpoints;
    place   record;
    failed  record;
    missed  record;
    n       int := 0;
    next    text;
begin
    was := prov.webhook_find_active(params);
    w := was.endpoint;
    status := was.status;
    body := was.body;

    if status is not null then
        return;
    end if;

    place := prov.list_cursor_read(binding, input ->> 'cursor');

    if input ? 'cursor'
       and place.place ~ '^(d[0-9]{1,15}|e[0-9]{1,18})$' is not true
    then
        status := 400;
        body := json_build_object('code', 'invalid_cursor', 'detail',
            'cursor must be the next_cursor of the last answer to the same '
            'request, unchanged.');
        return;
    end if;

    -- first what has failed, then what was never tried

    if place.place like 'e%' is not true then
        failed := prov.recover_failed(w, coalesce(
                prov.list_moment_read(substr(place.place, 2)), since),
            place.id, most);
        n := failed.n;

        if failed.id is not null then
            next := prov.list_cursor(binding,
                'd' || prov.list_moment(failed.moment), failed.id);
        end if;

        place.place := null;
        place.id := null;
    end if;

    if next is null then
        missed := prov.recover_missed(w, since,
            substr(place.place, 2)::xid8, place.id, most - n);
        n := n + missed.n;

        if missed.id is not null then
            next := prov.list_cursor(binding, 'e' || missed.xid, missed.id);
        end if;
    end if;

    status := 202;
    body := json_build_object('webhook_endpoint', w.id,
        'since', prov.rfc3339(since), 'recovered', n,
        'more', next is not null, 'next_cursor', next);

    perform prov.record(ctx, 'webhook_endpoint', w.id, null, status, null,
        body, null);
end
$$;

comment on function partner.webhook_recover(jsonb, jsonb, jsonb) is
    'Sends an endpoint what has happened since a moment and was not '
    'delivered, a part at a time.';


create or replace function partner.delivery_list(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql stable security definer
as $$
declare
    filter constant jsonb := params - '{limit,cursor}'::text[];
    owner  constant uuid := ctx ->> 'partner';
    queues uuid[];
    begins record;
    page   record;
    items  text[];
    next   text;
begin
    begins := prov.list_begin('de1', params);

    if begins.moment is null then
        status := 400;
        body := prov.list_invalid_cursor();
        return;
    end if;

    -- those of one that was deleted are found by its id only

    queues := case when filter ? 'webhook_endpoint'
        then array[(filter ->> 'webhook_endpoint')::uuid]
        else array(select w.id from prov.webhook_endpoints w
                   where w.partner = owner) end;

    page := prov.delivery_page(owner, filter, queues, begins.moment,
        begins.id, begins.size);

    items := array(
        select prov.delivery_json(j)::text
        from prov.jobs j
        where j.id = any (page.ids)
        order by j.created_at desc, j.id desc);

    status := 200;

    if page.id is not null then
        next := prov.cursor_write('de1', page.moment, page.id);
        headers := jsonb_build_object('Link', format(
            '<%s/deliveries?%slimit=%s&cursor=%s>; rel="next"',
            ctx ->> 'base', prov.audit_query(filter), begins.size, next));
    end if;

    body := prov.list_page(items, next);
end
$$;

comment on function partner.delivery_list(jsonb, jsonb, jsonb) is
    'Lists the deliveries to the partner''s endpoints, newest first, page by '
    'page.';


create or replace function partner.delivery_get(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql stable security definer
as $$
begin
    select 200, prov.delivery_whole(j)
    into status, body
    from prov.jobs j
    where j.id = (params ->> 'delivery')::uuid and j.kind = 'webhook';

    if not found then
        status := 404;
        body := json_build_object('code', 'delivery_not_found',
            'detail', 'You have no delivery with this id.');
    end if;
end
$$;

comment on function partner.delivery_get(jsonb, jsonb, jsonb) is
    'Shows a delivery with what is sent, and what was tried.';


create or replace function partner.delivery_resend(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    j      prov.jobs;
    w      prov.webhook_endpoints;
    before json;
begin
    select * into j
    from prov.jobs i
    where i.id = (params ->> 'delivery')::uuid and i.kind = 'webhook'
    for no key update;

    if not found then
        status := 404;
        body := json_build_object('code', 'delivery_not_found',
            'detail', 'You have no delivery with this id.');
        return;
    end if;

    select * into w
    from prov.webhook_endpoints e
    where e.id = j.queue;

    if w.id is null or w.status <> 'active' then
        status := 409;
        body := case when w.id is null
            then json_build_object('code', 'webhook_deleted', 'detail',
                'The webhook endpoint was deleted.')
            else json_build_object('code', 'webhook_disabled', 'detail',
                'The webhook endpoint is disabled: enable it first.') end;
        return;
    end if;

    if j.state = 'waiting' and j.lease_worker is not null
       and j.lease_until > clock_timestamp()
    then
        status := 409;
        body := json_build_object('code', 'delivery_under_way', 'detail',
            'The delivery is being made this moment.');
        return;
    end if;

    before := prov.delivery_json(j);

    perform prov.delivery_again(array[j.id]);

    select * into j from prov.jobs i where i.id = j.id;

    status := 202;
    body := prov.delivery_json(j);

    perform prov.record(ctx, 'delivery', j.id, null, status, before, body,
        null);
end
$$;

comment on function partner.delivery_resend(jsonb, jsonb, jsonb) is
    'Has a delivery made at once, whatever has become of it so far.';
