-- What workers tell of their jobs, and what comes of it: the next try, the
-- next step, the end of a job or of an endpoint.


-- The first try is at once, and the tenth, which is the last, four and a half
-- days later.

create or replace function prov.job_delay(tries int)
    returns interval
    language plpgsql volatile
as $$
declare
    seconds constant int[] := '{5,300,1800,7200,18000,36000,50400,72000,'
                              '86400}';
begin
    return make_interval(secs => seconds[tries] * (0.9 + random() / 5)
        * coalesce(nullif(current_setting('prov.retry_scale', true), '')
                   ::float8, 1));
end
$$;

comment on function prov.job_delay(int) is
    'How long to wait after so many tries, give or take a tenth; null after '
    'the last.  The setting prov.retry_scale is a factor.';


create or replace function prov.jobs_report(request jsonb, params jsonb,
        input jsonb)
    returns table (id uuid, accepted boolean)
    language plpgsql security definer rows 64
as $$
#variable_conflict use_column
declare
    moment  constant timestamptz := clock_timestamp();
    worker  constant text := request ->> 'worker';
    r       record;
    ignored text;
begin
    ignored := prov.work();

    -- What is given back for a while is a lease that nobody has, and keeps its
    -- place: were it due later, those that wait for it would stand before it,
    -- and a queue would never be looked through as far as that.

    -- What waits is what is not finished.  To ask for the state would lead to
    -- the index of those that wait, and past all of them.  An id is a range, as
    -- that is looked up for each also where there are few jobs.

    with told as materialized (
        select t.*
        from jsonb_to_recordset(request -> 'jobs') as t (id uuid,
            attempt int, verdict text, retry_after float8, step int,
            data jsonb, log jsonb, ours boolean)
    ), held as materialized (
        select j.id, j.kind, j.queue, j.partner, j.tenant, j.data as had,
            j.tries + (t.verdict = 'retry')::int as tries, t.attempt,
            t.verdict, t.step, t.data, t.log, t.ours,
            case when t.retry_after is not null
                then least(greatest(t.retry_after, 0), 86400)
                end as retry_after,
            case when t.verdict = 'retry'
                then prov.job_delay(j.tries + 1) end as delay
        from prov.jobs j
        join told t on t.id = j.id
        where j.id = any (array(select o.id from told o))
            and j.finished_at is null and j.attempt = t.attempt
            and j.lease_worker = worker
        order by j.id
        for update of j
    ), logged as (
        insert into prov.job_attempts (job, attempt, partner, tenant, at,
            status, headers, body, duration_ms, error)
        select h.id, h.attempt, h.partner, h.tenant, moment,
            (h.log ->> 'status')::int, left(h.log ->> 'headers', 8192),
            left(h.log ->> 'body', 8192), (h.log ->> 'duration')::float8,
            left(h.log ->> 'error', 1000)
        from held h
        where h.log is not null and h.kind <> 'task'
        on conflict do nothing
    ), judged as (
        select h.*,
            case
                when h.kind = 'task' or h.verdict in ('next', 'return', 'lost')
                    then 'waiting'
                when h.verdict = 'done' then 'done'
                when h.verdict = 'retry' and h.delay is not null
                    then 'waiting'
                else 'failed'
            end as state
        from held h
    ), changed as (
        update prov.jobs as j
        set state = g.state,
            due = case
                when g.verdict in ('return', 'lost') then j.due
                when g.verdict = 'next' then
                    moment + make_interval(secs => coalesce(g.retry_after, 0))
                when g.kind = 'task' then moment
                    + least(g.delay, (g.had ->> 'every')::interval)
                when g.state = 'waiting' then moment + greatest(g.delay,
                    make_interval(secs => g.retry_after))
                else j.due end,
            seq = case when g.verdict in ('return', 'lost') then j.seq end,
            tries = case
                when g.verdict in ('done', 'next') or g.kind = 'task'
                     and g.delay is null and g.verdict <> 'lost' then 0
                else g.tries end,
            step = case when g.verdict = 'next'
                        then coalesce(g.step, j.step) else j.step end,
            -- what was given back was not begun: see prov.job_bulk()
            data = case when g.kind = 'bulk' and g.verdict = 'return'
                then coalesce(j.data, '{}') || jsonb_build_object('attempt',
                    coalesce((j.data ->> 'attempt')::int, 0) + 1)
                else coalesce(g.data, j.data) end,
            error = case when g.verdict in ('retry', 'failed')
                         then left(g.log ->> 'error', 1000) end,
            finished_at = case when g.state <> 'waiting' then moment end,
            -- what was lost has lapsed: see prov.jobs_lease()
            lease_worker = case when g.verdict = 'lost'
                                then j.lease_worker end,
            lease_until = case g.verdict
                when 'return' then moment
                    + make_interval(secs => g.retry_after)
                when 'lost' then least(j.lease_until, moment
                    + make_interval(secs => 5 * j.lapsed)) end
        from judged g
        where j.id between g.id and g.id
        returning j.id, g.kind, g.queue, g.verdict, g.ours, j.leased_at,
            g.log ->> 'status' as answer
    )
    select array_agg(t.id order by t.id) as ids,
        array_agg(c.id is not null order by t.id) as accepted,
        array_agg(distinct c.queue) filter (where c.kind = 'webhook'
            and c.verdict = 'done') as well,
        jsonb_agg(jsonb_build_array(c.queue, c.leased_at, c.answer = '410'))
            filter (where c.kind = 'webhook' and c.ours is not true
                and (c.verdict = 'retry'
                     or c.verdict = 'failed' and c.answer is not null)) as ill
    into r
    from told t
    left join changed c on c.id = t.id;

    if r.well is not null or r.ill is not null then
        ignored := prov.webhooks_judge(moment, r.well, r.ill);
    end if;

    return query select u.* from unnest(r.ids, r.accepted) u;
end
$$;

comment on function prov.jobs_report(jsonb, jsonb, jsonb) is
    'What came of jobs: {"worker", "jobs": [{"id", "attempt", "verdict", '
    '"retry_after" (s), "step", "data", "log", "ours"}]}, verdict "done", '
    '"retry", "failed", "next", "return" or "lost"; "ours": it was no fault of '
    'the receiver''s.  Heard is only who has the lease still: '
    'for each job, whether it was accepted.';


-- Of failures those count that are the receiver's: it was tried (a name or an
-- address that cannot be sent to is its own), and has not been changed since.
-- What fails because of the gateway is said to (ours), is given back, or fails
-- without an answer.

create or replace function prov.webhooks_judge(moment timestamptz,
        well uuid[], ill jsonb)
    returns void
    language plpgsql
as $$
declare
    patience constant interval := coalesce(nullif(
        current_setting('prov.webhook_patience', true), ''), '5 days');
    failures uuid[] := '{}';
    goners   uuid[] := '{}';
    w        prov.webhook_endpoints;
    gone     boolean;
begin
    if ill is not null then
        select array_agg(f.value ->> 0),
            array_agg(f.value ->> 0) filter (where f.value -> 2 = 'true')
        into failures, goners
        from jsonb_array_elements(ill) f;
    end if;

    -- One that another transaction has is left to the next report.  To
    -- disable one writes into its partner's audit, for which reports wait for
    -- each other: so all take partners in the same order.

    for w in
        select f.*
        from (
            select e.*
            from prov.webhook_endpoints e
            where e.id = any (well || failures)
                and (e.id = any (well) and e.failing_since is not null
                     or e.id = any (failures) and e.status = 'active'
                        and (e.id = any (goners) or e.failing_since is null
                             or e.failing_since <= moment - patience))
            order by e.id
            for no key update skip locked) f
        order by f.partner, f.id
    loop
        gone := (
            select bool_or(f.value -> 2 = 'true')
            from jsonb_array_elements(ill) f
            where (f.value ->> 0)::uuid = w.id
                and (f.value ->> 1)::timestamptz < w.updated_at is not true);

        if gone and w.status = 'active' then
            perform prov.webhook_disable(w, 'gone');
        elsif w.id = any (well) then
            update prov.webhook_endpoints as e
            set failing_since = null
            where e.id = w.id;
        elsif gone is null then
            null;  -- what was sent before it was changed
        elsif w.failing_since is null then
            update prov.webhook_endpoints as e
            set failing_since = moment
            where e.id = w.id;
        elsif w.failing_since <= moment - patience then
            perform prov.webhook_disable(w, 'failing');
        end if;
    end loop;
end
$$;

comment on function prov.webhooks_judge(timestamptz, uuid[], jsonb) is
    'Notes since when endpoints fail, and disables those that are gone, or '
    'have failed for 5 days (setting prov.webhook_patience).  Failures are '
    '[endpoint, since when the delivery was leased, whether the answer was '
    '410].';


create or replace function prov.webhook_disable(was prov.webhook_endpoints,
        reason text)
    returns void
    language plpgsql
as $$
declare
    partner constant text := current_setting('prov.partner', true);
    after   json;
begin
    -- this is nobody's request, but the partner's concern all the same

    perform set_config('prov.partner', was.partner::text, true);

    update prov.webhook_endpoints as w
    set status = 'disabled', disabled_reason = reason, disabled_at = now(),
        updated_at = now(), version = w.version + 1
    where w.id = was.id
    returning prov.webhook_json(w) into after;

    perform prov.record(jsonb_build_object('mutation', prov.uuid7(),
            'partner', was.partner, 'operation', 'webhook_disabled',
            'principal', '{"kind": "system", "subject": "webhooks"}'::jsonb),
        'webhook_endpoint', was.id, null, 200, prov.webhook_json(was), after,
        null, 'webhook_endpoint.disabled');

    perform set_config('prov.partner', partner, true);
end
$$;

comment on function prov.webhook_disable(prov.webhook_endpoints, text) is
    'Disables an endpoint of whatever partner, records that and leaves an '
    'event.  What waits for it is cancelled when it is due.';


-- Kinds that need nothing but the database: prov.job_<kind>() does a part of
-- the job, in one transaction with what comes of it.

create or replace function prov.job_run(request jsonb, params jsonb,
        input jsonb, out verdict text, out wait int, out operation uuid)
    language plpgsql security definer
as $$
declare
    job    prov.jobs;
    result record;
begin
    perform prov.work();

    select j.* into job
    from prov.jobs j
    where j.id = (request ->> 'id')::uuid
        and j.attempt = (request ->> 'attempt')::int
        and j.lease_worker = request ->> 'worker' and j.state = 'waiting'
    for update;

    if not found then
        verdict := 'lost';
        return;
    end if;

    -- as its partner, and as nobody's worker

    perform set_config('prov.worker', '', true);
    perform set_config('prov.partner', coalesce(job.partner::text, ''), true);

    execute format('select r.verdict, r.wait, r.step, r.data from prov.%I($1) r',
                   'job_' || job.kind)
    into result
    using job;

    perform set_config('prov.partner', '', true);

    perform prov.jobs_report(jsonb_build_object('worker', job.lease_worker,
        'jobs', jsonb_build_array(jsonb_build_object('id', job.id,
            'attempt', job.attempt, 'verdict', result.verdict,
            'retry_after', result.wait / 1000.0, 'step', result.step,
            'data', result.data))), null, null);

    verdict := result.verdict;
    wait := result.wait;
    operation := job.operation;
end
$$;

comment on function prov.job_run(jsonb, jsonb, jsonb) is
    'Does a part of a leased job: {"worker", "id", "attempt"}.  What came of '
    'it is reported already: "done", "failed", "retry", or "next" with the '
    'milliseconds until the next part; "lost" when the lease was. And which '
    'operation it is a part of.';
