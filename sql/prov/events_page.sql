-- Events as they are read: by pages, and by the gateway's workers for all who
-- listen.
--
-- Their order is that of (xid, id), and only those are shown whose transaction
-- came before every one that is still under way.  So whoever has seen an event
-- has seen all before it: none appears there later, however long its
-- transaction took to commit.


create or replace function prov.events_cursor(xid xid8, id uuid)
    returns text
    language plpgsql stable parallel safe
as $$
begin
    return prov.list_cursor('events01', xid::text, id);
end
$$;

comment on function prov.events_cursor(xid8, uuid) is
    'The opaque cursor of what comes after this event.';


-- What is given away is past: a cursor of a transaction that is not, or has not
-- begun yet, is made up, or one of another cluster, or of before a restore, and
-- would skip what is to come.  Not only for whoever shows it: places behind
-- which nothing is are one to a worker.

create or replace function prov.events_cursor_read(cursor text, out xid xid8,
        out id uuid)
    language plpgsql stable parallel safe
as $$
declare
    found_ record := prov.list_cursor_read('events01', cursor);
begin
    if found_.place ~ '^[0-9]{1,18}$'
       and found_.place::xid8 < pg_snapshot_xmin(pg_current_snapshot())
    then
        xid := found_.place;
        id := found_.id;
    end if;
end
$$;

comment on function prov.events_cursor_read(text) is
    'The event that a cursor stands behind; nulls when it is none of ours.';


create or replace function prov.events_filter(params jsonb)
    returns jsonb
    language sql immutable parallel safe
return jsonb_strip_nulls(jsonb_build_object('type', params -> 'type',
    'tenant', params -> 'tenant', 'since', params -> 'since'));

comment on function prov.events_filter(jsonb) is
    'What of an operation''s parameters says which events are meant.';


-- Since when: there is no index of times, nor is one needed.  The time of an
-- event is that of its transaction's begin, and xid grows with the moment in
-- which that transaction first wrote.  So what was written before an event of
-- ten minutes earlier cannot have begun later, unless a transaction has waited
-- for ten minutes before it wrote anything; and such an event is found by
-- halving.

create or replace function prov.events_before(partner_ uuid,
        since timestamptz, watermark xid8)
    returns xid8
    language plpgsql stable
as $$
declare
    early  constant timestamptz := since - interval '10 minutes';
    low    numeric;
    high   numeric := watermark::text::numeric;
    middle numeric;
    visit  record;
begin
    select e.xid, e.at into visit
    from prov.events e
    where e.partner = partner_
    order by e.xid, e.id
    limit 1;

    if not found or visit.at >= early then
        return '0'::xid8;
    end if;

    -- what is at low is early, what is from high on may not be

    low := visit.xid::text::numeric;

    while high - low > 1 loop
        middle := div(low + high, 2);

        select e.xid, e.at into visit
        from prov.events e
        where e.partner = partner_ and e.xid >= middle::text::xid8
            and e.xid < high::text::xid8
        order by e.xid, e.id
        limit 1;

        if found and visit.at < early then
            low := visit.xid::text::numeric;
        else
            high := middle;
        end if;
    end loop;

    return low::text::xid8;
end
$$;

comment on function prov.events_before(uuid, timestamptz, xid8) is
    'A transaction of the partner''s before which nothing has happened since '
    'then; 0 where there is none.';


-- A filter looks at each event, and after 5,000 the page ends, however few it
-- has: so there is a bound, and the cursor is where to go on.

create or replace function prov.events_page(partner_ uuid, filter jsonb,
        watermark xid8, size int, bytes int, inout xid xid8, inout id uuid,
        out events prov.events[], out more boolean)
    language plpgsql stable
as $$
declare
    types   constant text[] := (
        select array_agg(case
            when t.value = '*' then '%'
            when t.value like '%.*' then
                replace(rtrim(t.value, '*'), '_', '\_') || '%'
            else replace(t.value, '_', '\_') end)
        from jsonb_array_elements_text(filter -> 'type') t);
    tenant_ constant uuid := filter ->> 'tenant';
    since   constant timestamptz := filter ->> 'since';
    visited int := 0;
    held    int := 0;
    visit   prov.events;
begin
    if xid is null then
        xid := '0';
        id := '00000000-0000-0000-0000-000000000000';

        if since is not null then
            xid := prov.events_before(partner_, since, watermark);
        end if;
    end if;

    events := '{}';
    more := false;

    for visit in
        select e.*
        from prov.events e
        where e.partner = partner_ and (e.xid, e.id) > (events_page.xid,
                events_page.id)
            and e.xid < watermark
        order by e.xid, e.id
        limit 5001
    loop
        if cardinality(events) = size or visited = 5000 or held >= bytes then
            more := true;
            exit;
        end if;

        visited := visited + 1;
        xid := visit.xid;
        id := visit.id;

        continue when visit.at < since
            or visit.tenant is distinct from coalesce(tenant_, visit.tenant)
            or not visit.type like any (types);

        events := events || visit;
        held := held + octet_length(visit.data::text);
    end loop;
end
$$;

comment on function prov.events_page(uuid, jsonb, xid8, int, int, xid8, uuid)
    is
    'At most size events, of some bytes, behind a place; the place where the '
    'next page begins, and whether something is there already.';


create or replace function prov.events_begin(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql stable security definer
as $$
declare
    cursor  constant text := coalesce(
        nullif(params ->> 'Last-Event-ID', ''),
        nullif(params ->> 'last_event_id', ''), params ->> 'cursor');
    filter  jsonb := prov.events_filter(params);
    partner constant uuid := ctx ->> 'partner';
    xid     xid8;
    id      uuid;
begin
    if cursor is not null then
        select c.xid, c.id into xid, id
        from prov.events_cursor_read(cursor) c;

        if xid is null then
            status := 400;
            body := prov.events_invalid_cursor();
            return;
        end if;
    elsif filter ? 'since' then
        xid := prov.events_before(partner, (filter ->> 'since')::timestamptz,
            pg_snapshot_xmin(pg_current_snapshot()));
        id := '00000000-0000-0000-0000-000000000000';
    else
        -- from now on: behind whatever is shown already

        xid := (pg_snapshot_xmin(pg_current_snapshot())::text::numeric - 1)
            ::text;
        id := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
    end if;

    status := 200;
    body := json_build_object('partner', partner, 'filter', filter,
        'cursor', prov.events_cursor(xid, id),
        'version', (
            select k.version
            from prov.api_keys k
            where k.id = (ctx #>> '{principal,key}')::uuid));
end
$$;

comment on function prov.events_begin(jsonb, jsonb, jsonb) is
    'Where a stream of events begins, and what prov.events_since() is asked '
    'for it.';


create or replace function prov.events_invalid_cursor()
    returns json
    language sql stable parallel safe
return json_build_object('code', 'invalid_cursor',
    'detail', 'The cursor, or Last-Event-ID, must be one that this feed has '
              'given, unchanged. Begin anew with "since".');

comment on function prov.events_invalid_cursor() is
    'What to answer, with status 400, to a cursor that is none of the feed''s.';


-- One question for all who listen to a worker: which feeds have something new,
-- and who may not listen any longer.  Each feed gets a page in its turn, until
-- the answer is large enough; those behind it are asked for again.

create or replace function prov.events_since(request jsonb, params jsonb,
        input jsonb)
    returns table (feed int, cursor text, more boolean, chunk text)
    language plpgsql security definer rows 10
as $$
declare
    watermark constant xid8 := pg_snapshot_xmin(pg_current_snapshot());
    until     constant timestamptz := clock_timestamp() + interval '250 ms';
    room      int := 1048576;
    ignored   text := prov.work();
    asked     record;
    key       prov.api_keys;
    page      record;
begin
    -- who may not: feed is the caller's number, below 0

    ignored := set_config('prov.operator', 'on', true);

    -- materialized: the index is reached by what is a column, and not by what
    -- is taken out of JSON, which might tell something (see docs/database.md);
    -- "offset 0" has each looked for by itself

    return query
        with callers as materialized (
            select -q.n::int as n, (q.caller ->> 0)::uuid as partner
            from jsonb_array_elements(request -> 'callers') with ordinality
                as q (caller, n)
        )
        select c.n, 'partner_unknown', false, null::text
        from callers c
        where not exists (
            select from prov.partners p
            where p.id = c.partner and p.status = 'active'
            offset 0);

    ignored := set_config('prov.operator', '', true);

    for asked in
        select -q.n::int as n, (q.caller ->> 1)::uuid as key,
            (q.caller ->> 2)::int as version
        from jsonb_array_elements(request -> 'callers') with ordinality
            as q (caller, n)
        where q.caller ->> 1 is not null
        order by 2
    loop
        if asked.key is distinct from key.id then
            ignored := set_config('prov.key', asked.key::text, true);
            select * into key from prov.api_keys k where k.id = asked.key;
        end if;

        feed := asked.n;
        more := false;
        cursor := case when key.revoked_at is not null then 'key_revoked'
                       when key.expires_at <= now() then 'key_expired'
                       when key.version is distinct from asked.version
                           then 'reconnect' end;

        if cursor is not null then
            return next;
        end if;
    end loop;

    ignored := set_config('prov.key', '', true);

    -- what is new

    for asked in
        with feeds as materialized (
            select (f.n - 1)::int as n, (f.feed ->> 0)::uuid as partner,
                f.feed -> 1 as filter, c.xid, c.id
            from jsonb_array_elements(request -> 'feeds') with ordinality
                as f (feed, n)
            cross join lateral prov.events_cursor_read(f.feed ->> 2) c
        )
        select f.*
        from feeds f
        where f.xid is null or exists (
            select from prov.events e
            where e.partner = f.partner and (e.xid, e.id) > (f.xid, f.id)
                and e.xid < watermark)
        order by f.n
    loop
        feed := asked.n;
        cursor := null;
        more := asked.xid is not null;
        chunk := null;

        if asked.xid is not null and room > 0 then
            page := prov.events_page(asked.partner, asked.filter, watermark,
                100, least(room, 65536), asked.xid, asked.id);

            cursor := prov.events_cursor(page.xid, page.id);
            more := page.more;
            chunk := (
                select string_agg('id: ' || prov.events_cursor(e.xid, e.id)
                    || E'\nevent: ' || e.type || E'\ndata: '
                    || translate(prov.event_text(e), E'\r\n', '  ')
                    || E'\n\n', '' order by e.xid, e.id)
                from unnest(page.events) e);
            room := case when clock_timestamp() < until
                then room - coalesce(octet_length(chunk), 1024) else 0 end;
        end if;

        return next;
    end loop;

    ignored := set_config('prov.worker', '', true);
end
$$;

comment on function prov.events_since(jsonb, jsonb, jsonb) is
    'What is new for those who listen to a worker: per feed the text of a '
    'page, the cursor behind it, and whether more is there.  Without a cursor '
    'a feed is to be asked for again (more), or its place is not known here. '
    'Numbers below 0 are callers who may listen no longer; their cursor is the '
    'reason.';
