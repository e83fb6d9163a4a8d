-- The partner API's feed of events: what webhooks are sent, to be fetched.


create or replace function partner.event_list(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql stable security definer
as $$
declare
    size     constant int := least(greatest(
        coalesce((params ->> 'limit')::numeric::int, 100), 1), 1000);
    asked_   constant text := coalesce(
        nullif(params ->> 'Last-Event-ID', ''),
        nullif(params ->> 'last_event_id', ''), params ->> 'cursor');
    place    record;
    page     record;
    next_    text;
begin
    place := prov.events_cursor_read(asked_);

    if asked_ is not null and place.xid is null then
        status := 400;
        body := prov.events_invalid_cursor();
        return;
    end if;

    page := prov.events_page((ctx ->> 'partner')::uuid,
        prov.events_filter(params), pg_snapshot_xmin(pg_current_snapshot()),
        size, 1048576, place.xid, place.id);

    -- there is always one, for whoever comes again: where nothing is new, the
    -- one that was sent

    next_ := prov.events_cursor(page.xid, page.id);

    if page.more then
        headers := prov.list_link(ctx ->> 'base' || '/events',
            params - '{Last-Event-ID,last_event_id}'::text[], size, next_);
    end if;

    status := 200;
    body := '{"data": [' || coalesce((
            select string_agg(prov.event_text(e), ', ' order by e.xid, e.id)
            from unnest(page.events) e), '')
        || '], "next_cursor": ' || to_json(next_)
        || ', "has_more": ' || page.more || '}';
end
$$;

comment on function partner.event_list(jsonb, jsonb, jsonb) is
    'Lists the caller''s events, oldest first, page by page.';


create or replace function partner.event_get(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql stable security definer
as $$
begin
    select 200, prov.event_text(e) into status, body
    from prov.events e
    where e.id = (params ->> 'event')::uuid;

    if not found then
        status := 404;
        body := json_build_object('code', 'event_not_found',
            'detail', 'You have no event with this id, or it is older than '
                      'events are kept.');
    end if;
end
$$;

comment on function partner.event_get(jsonb, jsonb, jsonb) is
    'Shows one of the caller''s events.';
