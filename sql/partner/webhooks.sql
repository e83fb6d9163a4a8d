-- The partner API's webhook endpoints: made, listed, shown, changed, deleted,
-- enabled, disabled, given another secret.


create or replace function partner.webhook_create(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    id        constant uuid := ctx ->> 'id';
    owner     constant uuid := ctx ->> 'partner';
    algorithm constant text := coalesce(input ->> 'algorithm', 'v1');
    most      constant int := coalesce(nullif(
        current_setting('prov.webhook_limit', true), ''), '50');
    given     record;
    endpoint  json;
begin
    given := prov.webhook_checked(input);

    if given.status is not null then
        status := given.status;
        body := given.body;
        return;
    end if;

    -- one after the other, so that nobody counts too few

    perform pg_advisory_xact_lock(hashtextextended(owner::text, 5119));

    if (select count(*) from prov.webhook_endpoints w
        where w.partner = owner) >= most
    then
        status := 403;
        body := json_build_object('code', 'webhook_limit_reached', 'detail',
            format('You have %s webhook endpoints, which is as many as there '
                   'may be.', most), 'limit', most);
        return;
    end if;

    insert into prov.webhook_endpoints as w (id, partner, url, description,
        event_types, headers, header_names, algorithm, secret, public_key)
    values (id, owner, input ->> 'url', input ->> 'description',
        given.types, prov.webhook_sealed(ctx, given.names), given.names,
        algorithm,
        ctx #>> array['secret', case algorithm when 'v1' then 'sealed'
                                    else 'private' end],
        case when algorithm = 'v1a' then ctx #>> '{secret,public_key}' end)
    returning prov.webhook_json(w) into endpoint;

    status := 201;
    body := prov.webhook_shown(endpoint,
        case when algorithm = 'v1'
                  and params ->> 'dry_run' is distinct from 'true'
             then ctx #>> '{secret,text}' end);
    headers := jsonb_build_object('ETag', prov.etag(1),
        'Location', (ctx ->> 'base') || '/webhook-endpoints/' || id);

    perform prov.record(ctx, 'webhook_endpoint', id, null, status, null,
        prov.webhook_shown(endpoint, null), headers);
end
$$;

comment on function partner.webhook_create(jsonb, jsonb, jsonb) is
    'Makes an endpoint for the caller''s partner, and shows its secret once.';


create or replace function partner.webhook_list(ctx jsonb, params jsonb,
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
    page := prov.list_begin('we1', params);

    if page.moment is null then
        status := 400;
        body := prov.list_invalid_cursor();
        return;
    end if;

    for row in
        select w.created_at, w.id, prov.webhook_json(w)::text as item
        from prov.webhook_endpoints w
        where w.partner = owner
            and (w.created_at, w.id) <= (page.moment, page.id)
        order by w.created_at desc, w.id desc
        limit page.size + 1
    loop
        if cardinality(items) = page.size then
            next := prov.cursor_write('we1', row.created_at, row.id);
            exit;
        end if;

        items := items || row.item;
    end loop;

    status := 200;
    body := prov.list_page(items, next);

    if next is not null then
        headers := jsonb_build_object('Link', format(
            '<%s/webhook-endpoints?limit=%s&cursor=%s>; rel="next"',
            ctx ->> 'base', page.size, next));
    end if;
end
$$;

comment on function partner.webhook_list(jsonb, jsonb, jsonb) is
    'Lists the endpoints of the caller''s partner, newest first, page by '
    'page.';


create or replace function partner.webhook_get(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql stable security definer
as $$
begin
    select 200, prov.webhook_json(w),
           jsonb_build_object('ETag', prov.etag(w.version))
    into status, body, headers
    from prov.webhook_endpoints w
    where w.id = (params ->> 'webhook_endpoint')::uuid;

    if not found then
        status := 404;
        body := json_build_object('code', 'webhook_not_found',
            'detail', 'You have no webhook endpoint with this id.');
    end if;
end
$$;

comment on function partner.webhook_get(jsonb, jsonb, jsonb) is
    'Shows one of the partner''s endpoints, without its secret.';


create or replace function partner.webhook_update(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    was     record;
    given   record;
    moved   boolean;
    w       prov.webhook_endpoints;
    ignored text;
begin
    was := prov.webhook_find(params);
    status := was.status;
    body := was.body;

    if status is not null then
        return;
    end if;

    given := prov.webhook_checked(input);
    status := given.status;
    body := given.body;

    if status is not null then
        return;
    end if;

    moved := input ->> 'url' <> (was.endpoint).url;

    -- A new URL begins with a clean record.  Until no claim is at the queue:
    -- what is leased from now on is sent there, and what was leased before
    -- says nothing of it (see prov.webhooks_judge()).

    if moved then
        ignored := pg_advisory_xact_lock(
            uuid_hash_extended((was.endpoint).id, 5118));
    end if;

    update prov.webhook_endpoints as e
    set url = coalesce(input ->> 'url', e.url),
        failing_since = case when moved is not true
            then e.failing_since end,
        description = case when input ? 'description'
            then input ->> 'description' else e.description end,
        event_types = case when input ? 'event_types'
            then given.types else e.event_types end,
        headers = case when input ? 'headers'
            then prov.webhook_sealed(ctx, given.names) else e.headers end,
        header_names = case when input ? 'headers'
            then given.names else e.header_names end,
        version = e.version + 1, updated_at = clock_timestamp()
    where e.id = (params ->> 'webhook_endpoint')::uuid
    returning * into w;

    select c.status, c.body, c.headers into status, body, headers
    from prov.webhook_changed(ctx, was.endpoint, w) c;
end
$$;

comment on function partner.webhook_update(jsonb, jsonb, jsonb) is
    'Changes where events are sent to, which, and with which headers.';


create or replace function partner.webhook_delete(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    whose constant uuid := params ->> 'webhook_endpoint';
    was   record;
begin
    was := prov.webhook_find(params);
    status := was.status;
    body := was.body;

    if status is not null then
        return;
    end if;

    -- what waits for it is cancelled when it is due

    delete from prov.webhook_endpoints e where e.id = whose;

    status := 200;
    body := json_build_object('webhook_endpoint', whose, 'deleted', true);

    perform prov.record(ctx, 'webhook_endpoint', whose, null, status,
        prov.webhook_json(was.endpoint), body, null);
end
$$;

comment on function partner.webhook_delete(jsonb, jsonb, jsonb) is
    'Deletes an endpoint, and with it its secret.';


create or replace function partner.webhook_enable(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
begin
    select s.* into status, body, headers
    from prov.webhook_switch(ctx, params, 'active') s;
end
$$;

comment on function partner.webhook_enable(jsonb, jsonb, jsonb) is
    'Has events sent again, from now on.';


create or replace function partner.webhook_disable(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
begin
    select s.* into status, body, headers
    from prov.webhook_switch(ctx, params, 'disabled') s;
end
$$;

comment on function partner.webhook_disable(jsonb, jsonb, jsonb) is
    'Has no events sent any more, because somebody has asked for that.';


create or replace function partner.webhook_rotate(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    most    constant int := 3;
    overlap constant interval := make_interval(secs =>
        coalesce((input ->> 'overlap_seconds')::numeric, 86400)::float8);
    until   constant timestamptz(3) := now() + overlap;
    was     record;
    good    record;
    first   timestamptz;
    w       prov.webhook_endpoints;
begin
    was := prov.webhook_find(params);
    status := was.status;
    body := was.body;

    if status is not null then
        return;
    end if;

    -- Each secret stays good until the end that it was given, so that nobody
    -- who has one is left out because somebody else has asked once more.

    good := prov.webhook_left(was.endpoint, now());

    if overlap > '0' and cardinality(good.secrets) >= most then
        first := (select min(u) from unnest(good.untils) u);
        status := 409;
        body := json_build_object('code', 'rotation_limit_reached', 'detail',
            format('Requests are signed with %s earlier secrets already, one '
                   'of them until %s. Rotate again after that, or end all of '
                   'them at once with "overlap_seconds": 0.',
                   cardinality(good.secrets), prov.rfc3339(first)),
            'limit', most, 'until', prov.rfc3339(first));
        return;
    end if;

    if overlap > '0' then
        good.secrets := (was.endpoint).secret || good.secrets;
        good.untils := until || good.untils;
        good.until := greatest(good.until, until);
    else
        good.secrets := '{}';
        good.untils := '{}';
        good.until := null;
    end if;

    update prov.webhook_endpoints as e
    set previous_secrets = good.secrets, previous_untils = good.untils,
        previous_until = good.until,
        secret = ctx #>> array['secret', case e.algorithm
            when 'v1' then 'sealed' else 'private' end],
        public_key = case when e.algorithm = 'v1a'
            then ctx #>> '{secret,public_key}' end,
        version = e.version + 1, updated_at = now()
    where e.id = (params ->> 'webhook_endpoint')::uuid
    returning * into w;

    status := 200;
    body := prov.webhook_shown(prov.webhook_json(w),
        case when w.algorithm = 'v1'
                  and params ->> 'dry_run' is distinct from 'true'
             then ctx #>> '{secret,text}' end);
    headers := jsonb_build_object('ETag', prov.etag(w.version));

    perform prov.record(ctx, 'webhook_endpoint', w.id, null, status,
        prov.webhook_json(was.endpoint),
        prov.webhook_shown(prov.webhook_json(w), null), headers);
end
$$;

comment on function partner.webhook_rotate(jsonb, jsonb, jsonb) is
    'Gives an endpoint another secret, or pair of keys; requests are signed '
    'with those before, too, for a while.';
