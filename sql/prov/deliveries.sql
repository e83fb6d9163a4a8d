-- Deliveries, as partners see them: jobs of the kind "webhook", whose queue is
-- the endpoint.  How they are listed and shown, made once more, and made of
-- events that there was none of.


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


-- Of each endpoint the newest deliveries are looked at: a page of each where
-- nothing is left out, else as many of each as leave 5,000 of all.  Where one
-- has more, the page ends at the newest that was not looked at, however few it
-- has: so no filter costs more.

create or replace function prov.delivery_page(owner uuid, filter jsonb,
        queues uuid[], newest timestamptz, first uuid, size int,
        out ids uuid[], out moment timestamptz, out id uuid)
    language plpgsql stable
as $$
declare
    depth   constant int := case
        when filter ?| '{tenant,status,event_type}'
            then greatest(size + 1, 5000 / greatest(cardinality(queues), 1))
        else size + 1 end;
    since   constant timestamptz :=
        coalesce((filter ->> 'since')::timestamptz, '-infinity');
    until   constant timestamptz :=
        coalesce((filter ->> 'until')::timestamptz, 'infinity');
    whose   constant uuid := filter ->> 'tenant';
    state_  constant text := filter ->> 'status';
    type_   constant text := filter ->> 'event_type';
    visit   record;
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
                where i.queue = q.queue and i.partner = owner
                    and (i.created_at, i.id) <= (newest, first)
                    and i.created_at >= since and i.created_at < until
                order by i.created_at desc, i.id desc
                limit depth) j) v
        order by v.created_at desc, v.id desc
    loop
        if visit.n = depth or visit.wanted and cardinality(ids) = size then
            moment := visit.created_at;
            id := visit.id;
            exit;
        end if;

        if visit.wanted then
            ids := ids || visit.id;
        end if;
    end loop;
end
$$;

comment on function prov.delivery_page(uuid, jsonb, uuid[], timestamptz, uuid,
    int) is
    'The ids of at most size deliveries to these endpoints of a partner''s that '
    'match a filter, newest first, and where the next page begins: null after '
    'the last one.';


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


-- What was not delivered, a part at a time: each part says where the next one
-- begins.

create or replace function prov.recover_failed(w prov.webhook_endpoints,
        after timestamptz, after_id uuid, size int, out n int,
        out moment timestamptz, out id uuid)
    language plpgsql
as $$
declare
    nobody  constant uuid := '00000000-0000-0000-0000-000000000000';
    behind  constant uuid := coalesce(after_id, nobody);
    ids     uuid[];
begin
    ids := array(
        select j.id
        from prov.jobs j
        where j.queue = w.id and j.state in ('failed', 'cancelled')
            and (j.created_at, j.id) > (after, behind)
        order by j.created_at, j.id
        limit size);
    n := cardinality(ids);

    if n = size then
        id := ids[size];
        moment := (select j.created_at from prov.jobs j where j.id = ids[size]);
    end if;

    perform prov.delivery_again(ids);
end
$$;

comment on function prov.recover_failed(prov.webhook_endpoints, timestamptz,
    uuid, int) is
    'Has at most size deliveries made again that have failed or were '
    'cancelled, the oldest first, behind a place; and where that ended, when '
    'there may be more.';


-- What there is no delivery of: the endpoint was disabled, or not there yet,
-- or had other types.  A delivery has the time of its event, recovered or not:
-- so the deliveries of the 5,000 events that are looked at are in one piece of
-- an index.

create or replace function prov.recover_missed(w prov.webhook_endpoints,
        since timestamptz, after xid8, after_id uuid, size int, out n int,
        out xid xid8, out id uuid)
    language plpgsql
as $$
declare
    nobody  constant uuid := '00000000-0000-0000-0000-000000000000';
    behind  constant uuid := coalesce(after_id, nobody);
    begin_  constant xid8 := coalesce(after, prov.events_before(w.partner,
        since, pg_snapshot_xmin(pg_current_snapshot())));
    types   constant text[] := array(
        select t.event_type
        from prov.event_types() t
        where w.event_types && prov.event_patterns(t.event_type));
    looked  record;
begin
    with seen as materialized (
        select e.id, e.xid, e.at, e.tenant, e.type
        from prov.events e
        where e.partner = w.partner and (e.xid, e.id) > (begin_, behind)
        order by e.xid, e.id
        limit 5000
    ), told as materialized (
        select j.event
        from prov.jobs j
        where j.queue = w.id and j.partner = w.partner
            and j.created_at >= (select min(s.at) from seen s)
            and j.created_at <= (select max(s.at) from seen s)
    ), missed as materialized (
        select s.*
        from seen s
        where s.at >= since and s.type = any (types)
            and s.id not in (select t.event from told t
                             where t.event is not null)
        order by s.xid, s.id
        limit size
    ), made as (
        insert into prov.jobs (id, kind, queue, partner, tenant, event,
            created_at)
        select prov.uuid7_beside(m.id), 'webhook', w.id, w.partner, m.tenant,
            m.id, m.at
        from missed m
    )
    select (select count(*) from seen) as seen,
        (select count(*) from missed) as missed,
        l.xid, l.id
    into looked
    from (
        (select m.xid, m.id, 1 as k from missed m
         order by m.xid desc, m.id desc limit 1)
        union all
        (select s.xid, s.id, 2 from seen s
         order by s.xid desc, s.id desc limit 1)) l
    where l.k = 2 or (select count(*) from missed) = size
    order by l.k
    limit 1;

    n := coalesce(looked.missed, 0);

    if n = size or looked.seen = 5000 then
        xid := looked.xid;
        id := looked.id;
    end if;
end
$$;

comment on function prov.recover_missed(prov.webhook_endpoints, timestamptz,
    xid8, uuid, int) is
    'Makes at most size deliveries of events that there is none of, the '
    'oldest first, behind a place; and where that ended, when there may be '
    'more.';
