-- How jobs are given to workers.  Only a worker's login may call
-- prov.jobs_claim(); it is for the jobs of all partners, which the setting
-- prov.worker opens.  docs/jobs.md has the whole of it.


-- Who works is nobody else, whoever has entered in this transaction before.

create or replace function prov.work()
    returns text
    language plpgsql
as $$
begin
    return set_config('prov.tenant', '', true)
        || set_config('prov.operator', '', true)
        || set_config('prov.partner', '', true)
        || set_config('prov.worker', 'on', true);
end
$$;

comment on function prov.work() is
    'The entrance of a worker: opens to this transaction what is done for all '
    'partners.';


-- Queues take turns: the walk goes on after the one that the last claim ended
-- with, from index entry to index entry, and looks at 1,000 at most.  One that
-- another claim is at is passed by, so that one at a time counts its leases.
-- So is one whose first jobs are all leased, which is nobody's turn: else
-- those that do not answer would take the turns of those that do.  And so is
-- one of a partner who has as many places of this worker as he may: he can
-- have many queues.

create or replace function prov.jobs_walk(moment timestamptz, after uuid,
        until uuid, wanted int, most int, per_queue int, sated uuid[],
        out queues uuid[], out kinds text[], out taken uuid[], out busy uuid[], out last uuid,
        out looked int, out next_due timestamptz)
    language plpgsql
as $$
begin
    with recursive walk as (
        select after as queue, null::text as kind,
            null::timestamptz as due, null::boolean as free,
            null::boolean as ours, 0 as k, 0 as n
        union all
        select j.queue, j.kind, j.due, f.free, l.ours, w.k + l.ours::int,
            w.n + 1
        from walk w
        cross join lateral (
            select i.queue, i.kind, i.due, i.partner
            from prov.jobs i
            where i.state = 'waiting' and i.queue > w.queue
                and i.queue <= until
            order by i.queue, i.due, i.id
            limit 1) j
        cross join lateral (
            select j.due <= moment
                and (j.partner is null or j.partner <> all (sated))
                and exists (
                select
                from (
                    select i.lease_until
                    from prov.jobs i
                    where i.state = 'waiting' and i.queue = j.queue
                        and i.due <= moment
                    order by i.due, i.id
                    limit per_queue) h
                where h.lease_until is null
                    or h.lease_until <= moment) as free
            offset 0) f
        cross join lateral (
            select f.free and pg_try_advisory_xact_lock(
                uuid_hash_extended(j.queue, 5118)) as ours
            offset 0) l
        where w.k < wanted and w.n < most
    )
    select coalesce(array_agg(w.queue order by w.n)
               filter (where w.ours), '{}'),
        coalesce(array_agg(w.kind order by w.n) filter (where w.ours), '{}'),
        coalesce(array_agg(w.queue)
            filter (where w.free and not w.ours), '{}'),
        coalesce(array_agg(w.queue)
            filter (where w.due <= moment and not w.free), '{}'),
        (array_agg(w.queue order by w.n desc))[1], max(w.n),
        min(w.due) filter (where w.due > moment)
    into queues, kinds, taken, busy, last, looked, next_due
    from walk w;
end
$$;

comment on function prov.jobs_walk(timestamptz, uuid, uuid, int, int, int,
    uuid[]) is
    'Queues between two that have something due, as many as are wanted, and '
    'locks them for this transaction; which of them another transaction has, '
    'which have as much under way as they may, or belong to partners who '
    'have; where the walk ended, after how many; and when something is due in '
    'those that have nothing yet.';


-- Of a queue the first 256 that are due are looked at, in the order in which
-- they became so.

-- A lease that has ended and is still somebody's has lapsed: he was lost, and
-- those that he had under way beside the one that was too much for him lost
-- theirs, too.  So one that has lapsed twice is leased alone of its sort: who
-- is lost the next time does not take another of them along.  What has lapsed
-- five times is not leased any more: it comes without an attempt.

create or replace function prov.jobs_lease(worker text, moment timestamptz,
        until timestamptz, queues uuid[], share int, per_queue int, size int,
        held_by jsonb, per_partner int, doubtful boolean)
    returns table (id uuid, kind text, attempt int, step int, data text,
        partner uuid, lapsed int)
    language plpgsql rows 64
as $$
#variable_conflict use_column
begin
    return query
        with chosen as materialized (
            select t.id, t.suspect
            from (
            select c.id, c.place, c.suspect, q.n, c.partner,
                row_number() over (
                    partition by c.partner order by c.place, q.n) as turn
            from unnest(queues) with ordinality as q (queue, n)
            cross join lateral (
                select r.id, r.partner, r.suspect,
                    row_number() over () as place
                from (
                    select w.id, w.partner, w.leased, w.suspect
                    from (
                        select i.id, i.due, i.partner, i.tenant, i.seq,
                            coalesce(i.lease_until > moment, false) as leased,
                            i.lapsed > 0 and i.lease_worker is not null
                                as suspect
                        from prov.jobs i
                        where i.state = 'waiting' and i.queue = q.queue
                            and i.due <= moment
                        order by i.due, i.id
                        limit 256) w
                    where w.leased or (doubtful or not w.suspect)
                        and (w.tenant is null or (
                            select e.id from prov.jobs e
                            where e.tenant = w.tenant and e.queue = q.queue
                                and e.seq < w.seq
                            order by e.seq limit 1) is null)
                    limit per_queue) r
                where not r.leased
                limit share) c
            ) t
            where t.partner is null
                or t.turn <= per_partner
                    - coalesce((held_by ->> t.partner::text)::int, 0)
            order by t.place, t.n
            limit size
        ), held as materialized (
            select j.id, j.lease_worker is not null and j.lapsed >= 4 as spent
            from prov.jobs j
            where j.id = any (array(
                    select c.id from chosen c where not c.suspect
                    union all
                    (select c.id from chosen c where c.suspect limit 1)))
                and j.finished_at is null
                and (j.lease_until is null or j.lease_until <= moment)
            order by j.id
            for update skip locked
        ), leased as (
            update prov.jobs as j
            set attempt = j.attempt + 1, lease_worker = worker,
                lease_until = until, leased_at = moment,
                lapsed = case when j.lease_worker is null then 0
                              else j.lapsed + 1 end
            from held h
            where j.id between h.id and h.id and not h.spent
            returning j.*
        )
        select l.id, l.kind, l.attempt, l.step,
            case when l.kind = 'webhook'
                then format('{"endpoint": "%s", "url": %s, "headers": %s, '
                    '"algorithm": "%s", "secret": %s, '
                    '"previous_secrets": %s, "event": %s, "type": %s, '
                    '"payload": %s}',
                    w.id, to_json(w.url), coalesce(to_json(w.headers), 'null'),
                    w.algorithm, to_json(w.secret),
                    case when w.previous_until > moment
                        then prov.webhook_previous(w, moment) else '[]' end,
                    coalesce(to_json(l.event), 'null'),
                    coalesce(to_json(coalesce(e.type, l.data ->> 'type')),
                             'null'),
                    coalesce(to_json(coalesce(prov.event_text(e),
                                              l.data ->> 'payload')), 'null'))
                else l.data::text end,
            l.partner, l.lapsed
        from leased l
        left join prov.webhook_endpoints w
            on l.kind = 'webhook' and w.id = l.queue
        left join prov.events e on e.id = l.event
        union all
        select h.id, null, null, null, null, null, null
        from held h
        where h.spent;
end
$$;

comment on function prov.jobs_lease(text, timestamptz, timestamptz, uuid[],
    int, int, int, jsonb, int, boolean) is
    'Leases jobs of these queues: of each at most a share, and no more than '
    'per_queue together with what is leased already; of a partner no more '
    'than per_partner together with what the worker holds of his.  Not one whose tenant '
    'has an earlier one in the queue that was never tried.  A delivery has '
    'what it needs as its data: the payload is the event''s, or what the job '
    'brings, and null when the event is gone.  At most one, and only where '
    'doubtful, whose lease lapsed before; what has lapsed too often comes '
    'without an attempt, and is not leased.';


create or replace function prov.job_lapsed(whose uuid, moment timestamptz)
    returns prov.jobs
    language plpgsql
as $$
declare
    job prov.jobs;
    why constant text := 'whoever did it was lost, five times on end';
begin
    update prov.jobs as j
    set state = case when j.kind = 'task' then 'waiting' else 'failed' end,
        due = case when j.kind = 'task'
            then moment + (j.data ->> 'every')::interval else j.due end,
        finished_at = case when j.kind <> 'task' then moment end,
        lapsed = 0, seq = null, error = why,
        lease_worker = null, lease_until = null
    where j.id = whose
    returning j.* into job;

    if job.kind <> 'task' then
        insert into prov.job_attempts (job, attempt, partner, tenant, at,
            error)
        values (job.id, job.attempt, job.partner, job.tenant, moment, why)
        on conflict do nothing;
    end if;

    if exists (select from prov.operations o
               where o.id = job.operation
                   and o.status in ('pending', 'running'))
    then
        perform set_config('prov.partner', job.partner::text, true);
        perform prov.operation_give_up(job.operation,
            'A part of it was begun five times, and never done.');
        perform set_config('prov.partner', '', true);
    end if;

    return job;
end
$$;

comment on function prov.job_lapsed(uuid, timestamptz) is
    'The end of a job that nobody comes back from, and of the operation that '
    'it does; a task has its next turn.';


create or replace function prov.jobs_claim(request jsonb, params jsonb,
        input jsonb)
    returns table (id uuid, kind text, attempt int, step int, data text,
        partner uuid, lapsed int)
    language plpgsql security definer rows 64
as $$
declare
    moment    constant timestamptz := clock_timestamp();
    nobody    constant uuid := '00000000-0000-0000-0000-000000000000';
    after     constant uuid := coalesce((request ->> 'after')::uuid, nobody);
    worker    constant text := request ->> 'worker';
    per_queue constant int := greatest((request ->> 'per_queue')::int, 1);
    until     constant timestamptz := moment
        + make_interval(secs => (request ->> 'lease')::float8);
    size      constant int := greatest((request ->> 'limit')::int, 1);
    most      constant int := coalesce((request ->> 'per_partner')::int, size);
    held_by   jsonb := coalesce(request -> 'partners', '{}');
    sated     constant uuid[] := array(
        select h.key::uuid
        from jsonb_each_text(held_by) h
        where h.value::int >= most);
    doubtful  boolean := coalesce((request ->> 'lapsed')::int, 0) = 0;
    again     boolean;
    job       prov.jobs;
    ended     json[] := '{}';
    leased    record;
    got       uuid[] := '{}';
    room      int := size;
    share     int;
    n         int;
    walk      record;
    rest      record;
    dead      uuid[];
    cut       boolean;
    next_due  timestamptz;
    ignored   text;
begin
    -- a lease need not survive a crash: who had it is dead, or will be heard

    ignored := set_config('synchronous_commit', 'off', true);
    ignored := prov.work();

    walk := prov.jobs_walk(moment, after,
        'ffffffff-ffff-ffff-ffff-ffffffffffff', room, 1000, per_queue, sated);

    if cardinality(walk.queues) < room and walk.looked < 1000
       and after <> nobody
    then
        rest := prov.jobs_walk(moment, nobody, after,
            room - cardinality(walk.queues), 1000 - walk.looked, per_queue,
            sated);

        walk.queues := walk.queues || rest.queues;
        walk.kinds := walk.kinds || rest.kinds;
        walk.taken := walk.taken || rest.taken;
        walk.busy := walk.busy || rest.busy;
        walk.looked := walk.looked + rest.looked;
        walk.next_due := least(walk.next_due, rest.next_due);
        walk.last := case when rest.looked > 0 then rest.last
                          else walk.last end;
    end if;

    cut := cardinality(walk.queues) >= room or walk.looked >= 1000;

    if 'webhook' = any (walk.kinds) then
        dead := prov.webhooks_cancel(moment, walk.queues, walk.kinds);

        if dead is not null then
            walk.queues := array(select q from unnest(walk.queues) q
                                 where q <> all (dead));
        end if;
    end if;

    -- to each the same; what some leave, the others may have

    share := ceil(room::float8 / greatest(cardinality(walk.queues), 1));

    loop
        exit when walk.queues = '{}';

        n := 0;
        again := false;

        for leased in
            select l.* from prov.jobs_lease(worker, moment, until,
                walk.queues, least(share, per_queue), per_queue, room,
                held_by, most, doubtful) l
        loop
            if leased.attempt is null then
                job := prov.job_lapsed(leased.id, moment);
                ended := ended || json_build_object('id', job.id, 'kind',
                    job.kind);
                again := true;
                -- its end is in its partner's audit, for which others wait
                doubtful := job.operation is null and cardinality(ended) < 10;
                continue;
            end if;

            if leased.lapsed > 1 then
                doubtful := false;
                again := true;
            end if;

            id := leased.id;
            kind := leased.kind;
            attempt := leased.attempt;
            step := leased.step;
            data := leased.data;
            partner := leased.partner;
            lapsed := leased.lapsed;
            got := got || partner;
            n := n + 1;

            return next;
        end loop;

        room := room - n;

        exit when room = 0 or not again and (n = 0 or share >= per_queue);

        share := per_queue;

        -- what he has got counts when there is more to be had

        select held_by || coalesce(jsonb_object_agg(g.partner, g.n
            + coalesce((held_by ->> g.partner::text)::int, 0)), '{}')
        into held_by
        from (
            select u.partner, count(*) as n
            from unnest(got) as u (partner)
            where u.partner is not null
            group by u.partner) g;

        got := '{}';
    end loop;

    -- when to come again: at once when there may be more; where nothing was
    -- leased, also for what was given back for a while

    id := null;
    kind := '';
    attempt := null;
    partner := null;
    lapsed := null;
    data := case when cardinality(ended) = 0
        then json_build_object('after', walk.last)
        else json_build_object('after', walk.last, 'ended',
            array_to_json(ended)) end;

    step := null;

    if room = 0 or cut or dead is not null or cardinality(ended) > 0 then
        step := 0;
    else
        next_due := least(walk.next_due, (
            select min(d.due)
            from unnest(walk.queues || walk.taken || walk.busy) as q (queue)
            cross join lateral (
                select j.due
                from prov.jobs j
                where j.state = 'waiting' and j.queue = q.queue
                    and j.due > moment
                order by j.due, j.id
                limit 1) d), (
            select min(b.lease_until)
            from unnest(walk.queues || walk.busy) as q (queue)
            cross join lateral (
                select j.lease_until, j.lease_worker
                from prov.jobs j
                where j.state = 'waiting' and j.queue = q.queue
                    and j.due <= moment
                order by j.due, j.id
                limit 256) b
            where room = size and b.lease_worker is null
                and b.lease_until > moment),
            case when walk.taken <> '{}'
                then moment + interval '5 ms' end);
        step := case when next_due is not null
            then least(ceil(extract(epoch from next_due - moment) * 1000),
                       86400000) end;
    end if;

    return next;
end
$$;

comment on function prov.jobs_claim(jsonb, jsonb, jsonb) is
    'Leases jobs to a worker: {"worker", "limit", "per_queue", "lease" (s), '
    '"after" (queue), "per_partner", "partners" (how many jobs of each the '
    'worker has), "lapsed" (how many it has whose leases lapsed before)}. '
    'The last row is none: its step are the milliseconds '
    'until something is due (0: there may be more, null: nothing is), its '
    'data the queue that the next claim goes on after, and what was ended '
    'since its leases lapse.';


create or replace function prov.webhooks_cancel(moment timestamptz,
        queues uuid[], kinds text[])
    returns uuid[]
    language plpgsql
as $$
declare
    dead uuid[];
begin
    select array_agg(q.queue) into dead
    from unnest(queues, kinds) as q (queue, kind)
    where q.kind = 'webhook'
        and not exists (select from prov.webhook_endpoints w
                        where w.id = q.queue and w.status = 'active');

    if dead is not null then
        update prov.jobs as j
        set state = 'cancelled', seq = null, finished_at = moment
        where j.id = any (array(
            select i.id
            from unnest(dead) as d (queue)
            cross join lateral (
                select k.id
                from prov.jobs k
                where k.state = 'waiting' and k.queue = d.queue
                    and k.due <= moment
                    and (k.lease_until is null or k.lease_until <= moment
                         or k.lease_worker is null)
                order by k.due, k.id
                limit 1000
                for update skip locked) i));
    end if;

    return dead;
end
$$;

comment on function prov.webhooks_cancel(timestamptz, uuid[], text[]) is
    'Cancels what is due to endpoints that are not active, or there no more: '
    'up to 1,000 of each.  Returns these endpoints.';
