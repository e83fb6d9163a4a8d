\ir helpers.psql
select * from no_plan();

-- What comes of what workers report; and what runs in the database.

create function pg_temp.worker(function text, request jsonb)
    returns setof jsonb
    language plpgsql
as $$
begin
    set local role prov_worker;
    return query execute format('select to_jsonb(r) from prov.%I($1, null, '
                                'null) r', function) using request;
    reset role;
end
$$;

create function pg_temp.queue(n int) returns uuid language sql
    return ('00000000-0000-7000-9000-' || lpad(n::text, 12, '0'))::uuid;

-- a leased job, of whatever kind

create function pg_temp.job(n int, kind text default 'test',
        queue int default 1, tries int default 0, tenant int default null,
        leased timestamptz default clock_timestamp())
    returns uuid
    language sql
begin atomic
    insert into prov.jobs (id, kind, queue, partner, tenant, seq, attempt,
        tries, lease_worker, lease_until, leased_at, due, data)
    values (pg_temp.queue(n), kind, pg_temp.queue(queue),
        '00000000-0000-7000-8000-00000000000a', pg_temp.queue(tenant), 1, 3,
        tries, 'w', clock_timestamp() + interval '1 min', leased,
        now() - interval '1 s', '{"had": 1}')
    on conflict (id) do update
    set tries = excluded.tries, state = 'waiting', attempt = 3, seq = 1,
        lease_worker = 'w', lease_until = excluded.lease_until,
        leased_at = excluded.leased_at,
        due = excluded.due, data = excluded.data, step = 0, error = null,
        finished_at = null, kind = excluded.kind, queue = excluded.queue,
        tenant = excluded.tenant
    returning id;
end;

create function pg_temp.report(n int, verdict text, extra jsonb default '{}',
        worker text default 'w', attempt int default 3)
    returns boolean
    language sql
begin atomic
    select (r ->> 'accepted')::boolean
    from pg_temp.worker('jobs_report', jsonb_build_object('worker',
        report.worker, 'jobs', jsonb_build_array(jsonb_build_object('id',
            pg_temp.queue(report.n), 'attempt', report.attempt, 'verdict',
            report.verdict) || report.extra))) r;
end;

-- what a job is like now, but for the times

create function pg_temp.like(n int) returns text language sql
begin atomic
    select format('%s tries=%s step=%s seq=%s data=%s %s%s', j.state, j.tries,
        j.step, coalesce(j.seq::text, '-'), j.data,
        case when j.lease_worker is null and j.lease_until is null
             then 'free' else 'leased' end,
        case when j.finished_at is not null then ' finished' end)
    from prov.jobs j where j.id = pg_temp.queue(n);
end;

create function pg_temp.until(n int) returns float8 language sql
    return (select extract(epoch from j.due - clock_timestamp())
            from prov.jobs j where j.id = pg_temp.queue(n));

delete from prov.jobs;

-- verdicts

select pg_temp.job(11) \g /dev/null
select ok(pg_temp.report(11, 'done'), 'a job is done');
select is(pg_temp.like(11), 'done tries=0 step=0 seq=- data={"had": 1} free '
    'finished', 'and that for good');
select is(pg_temp.report(11, 'done'), false, 'once');

select pg_temp.job(11) \g /dev/null
select ok(pg_temp.report(11, 'failed', '{"log": {"error": "no"}}'),
    'it failed');
select is(pg_temp.like(11), 'failed tries=0 step=0 seq=- data={"had": 1} free '
    'finished', 'for good, too');
select is(error, 'no', 'and why') from prov.jobs;

select pg_temp.job(11, tries => 1) \g /dev/null
select ok(pg_temp.report(11, 'retry', '{"data": {"b": 2}}'),
    'it is to be tried again');
select is(pg_temp.like(11), 'waiting tries=2 step=0 seq=- data={"b": 2} free',
    'it waits, and holds up nobody');

select pg_temp.job(11, tries => 2) \g /dev/null
select ok(pg_temp.report(11, 'next', '{"step": 4, "retry_after": 7,
    "data": {"c": 3}}'), 'it goes on');
select is(pg_temp.like(11), 'waiting tries=0 step=4 seq=- data={"c": 3} free',
    'with the next step, which has all its tries');
select ok(pg_temp.until(11) between 6 and 7, 'when it is said');

select pg_temp.job(11, tries => 2) \g /dev/null
select ok(pg_temp.report(11, 'return'), 'it is given back');
select is(pg_temp.like(11), 'waiting tries=2 step=0 seq=1 data={"had": 1} free',
    'as it was');
select ok(due = now() - interval '1 s', 'due when it was') from prov.jobs;

select pg_temp.job(11) \g /dev/null
select ok(pg_temp.report(11, 'return', '{"retry_after": 5}'),
    'or for a while');
select is((due = now() - interval '1 s', lease_worker,
        lease_until between clock_timestamp() + interval '4 s'
            and clock_timestamp() + interval '5 s')::text, '(t,,t)',
    'nobody has it then, and it keeps its place') from prov.jobs;

select pg_temp.job(11, tries => 2) \g /dev/null
select ok(pg_temp.report(11, 'lost'), 'nobody knows what became of it');
select is(pg_temp.like(11), 'waiting tries=2 step=0 seq=1 data={"had": 1} '
    'leased', 'it is as it was');
select ok(lease_until <= clock_timestamp() and lease_worker = 'w'
        and due = now() - interval '1 s',
    'but for the lease, which has lapsed') from prov.jobs;

update prov.jobs set lapsed = 3, lease_until = now() + interval '1 min';
select ok(pg_temp.report(11, 'lost'), 'not for the first time');
select ok(lease_until between clock_timestamp() + interval '14 s'
        and clock_timestamp() + interval '15 s', 'it has a pause')
from prov.jobs;
update prov.jobs set lapsed = 3, lease_until = now() + interval '2 s';
select ok(pg_temp.report(11, 'lost'), 'however often');
select ok(lease_until = now() + interval '2 s', 'none longer than its lease')
from prov.jobs;
update prov.jobs set lapsed = 0;

-- who is heard

select pg_temp.job(11) \g /dev/null
select is(pg_temp.report(11, 'done', worker => 'v'), false,
    'another worker is not heard');
select is(pg_temp.report(11, 'done', attempt => 2), false,
    'nor is who had it before');
select is(pg_temp.report(12, 'done'), false, 'nor what is about no job');
select is(pg_temp.like(11), 'waiting tries=0 step=0 seq=1 data={"had": 1} '
    'leased', 'nothing came of it');
update prov.jobs set lease_until = clock_timestamp();
select is(pg_temp.report(11, 'done'), true,
    'one whose lease is over is heard as long as nobody else has it');

-- many at once, each for itself

select pg_temp.job(n) from generate_series(1, 64) n \g /dev/null
update prov.jobs set attempt = 9 where id = pg_temp.queue(5);
select is(count(*) filter (where (r ->> 'accepted')::boolean), 63::bigint,
    'many are reported at once')
from pg_temp.worker('jobs_report', jsonb_build_object('worker', 'w', 'jobs',
    (select jsonb_agg(jsonb_build_object('id', pg_temp.queue(n), 'attempt', 3,
        'verdict', 'done')) from generate_series(1, 64) n))) r;
select is(count(*), 1::bigint, 'and all but who was not heard are done')
from prov.jobs where state = 'waiting';
select is((select count(*) from pg_temp.worker('jobs_report',
    '{"worker": "w", "jobs": []}')), 0::bigint, 'none is none');

-- the times between tries

select ok(coalesce(pg_temp.report(11, 'retry') and pg_temp.until(11)
        between wanted * 0.9 - 1 and wanted * 1.1, false),
    format('after %s failures it waits %s s', tries + 1, wanted))
from unnest('{5,300,1800,7200,18000,36000,50400,72000,86400}'::float8[])
        with ordinality as w (wanted, n),
    lateral (select n::int - 1 as tries offset 0) t,
    lateral (select pg_temp.job(11, tries => tries) offset 0) j
where j.job is not null;
select pg_temp.job(11, tries => 9) \g /dev/null
select ok(pg_temp.report(11, 'retry'), 'after ten');
select is(pg_temp.like(11), 'failed tries=10 step=0 seq=- data={"had": 1} '
    'free finished', 'it has failed');

create temporary table delays as
select extract(epoch from prov.job_delay(3)) as s from generate_series(1, 200);
select ok(min(s) between 1620 and 1700 and max(s) between 1900 and 1980,
    'some wait a tenth less, some a tenth more') from delays;

select pg_temp.job(11) \g /dev/null
select ok(pg_temp.report(11, 'retry', '{"retry_after": 60}')
    and pg_temp.until(11) between 59 and 60, 'longer, when it is asked for');
select pg_temp.job(11, tries => 1) \g /dev/null
select ok(pg_temp.report(11, 'retry', '{"retry_after": 60}')
    and pg_temp.until(11) > 260, 'but not shorter');
select pg_temp.job(11) \g /dev/null
select ok(pg_temp.report(11, 'retry', '{"retry_after": 1e9}')
    and pg_temp.until(11) between 86390 and 86400, 'nor more than a day');
select pg_temp.job(11) \g /dev/null
select ok(pg_temp.report(11, 'retry', '{"retry_after": -5}')
    and pg_temp.until(11) > 4, 'nor backwards');
select set_config('prov.retry_scale', '0.001', true) \g /dev/null
select pg_temp.job(11, tries => 1) \g /dev/null
select ok(pg_temp.report(11, 'retry') and pg_temp.until(11) < 0.4,
    'a setting makes it faster, for tests');
select set_config('prov.retry_scale', '', true) \g /dev/null

-- the log

delete from prov.job_attempts;
select pg_temp.job(11, tenant => 7), pg_temp.report(11, 'retry',
    jsonb_build_object('log', jsonb_build_object('status', 500, 'headers',
        'A: b', 'body', repeat('é', 9000), 'duration', 12.6,
        'error', null))) \g /dev/null
select is((a.attempt, a.status, a.headers, a.body = repeat('é', 8192),
        a.duration_ms, a.error, a.partner, a.tenant)::text,
    format('(3,500,"A: b",t,13,,00000000-0000-7000-8000-00000000000a,%s)',
        pg_temp.queue(7)), 'what was answered is kept, 8,192 characters of it')
from prov.job_attempts a;
select pg_temp.job(11), pg_temp.report(11, 'retry',
    '{"log": {"error": "refused"}}') \g /dev/null
select is(count(*), 1::bigint, 'once for each attempt')
from prov.job_attempts;

-- endpoints

delete from prov.jobs;
insert into prov.webhook_endpoints (id, partner, url, secret)
select pg_temp.queue(n), p::uuid, 'https://' || n || '.example', 'sealed'
from (values (1, '00000000-0000-7000-8000-00000000000a'),
    (2, '00000000-0000-7000-8000-00000000000a'),
    (3, '00000000-0000-7000-8000-00000000000b')) v (n, p);

create function pg_temp.endpoint(n int) returns text language sql
begin atomic
    select format('%s %s %s version=%s', w.status,
        coalesce(w.disabled_reason, '-'),
        case when w.failing_since is null then 'well' else 'failing' end,
        w.version)
    from prov.webhook_endpoints w where w.id = pg_temp.queue(n);
end;

select pg_temp.job(11, 'webhook', 1),
    pg_temp.report(11, 'retry', '{"log": {"status": 500}}') \g /dev/null
select is(pg_temp.endpoint(1), 'active - failing version=1',
    'an endpoint is known to fail');
create temporary table since as
select failing_since from prov.webhook_endpoints where id = pg_temp.queue(1);
select pg_sleep(0.01), pg_temp.job(11, 'webhook', 1),
    pg_temp.report(11, 'retry', '{"log": {"error": "x"}}') \g /dev/null
select is(w.failing_since, s.failing_since, 'since the first time')
from prov.webhook_endpoints w, since s where w.id = pg_temp.queue(1);
select pg_temp.job(11, 'webhook', 1), pg_temp.report(11, 'return'),
    pg_temp.job(11, 'test', 1), pg_temp.report(11, 'done') \g /dev/null
select is(pg_temp.endpoint(1), 'active - failing version=1',
    'what was not sent says nothing of it');
select pg_temp.job(13, 'webhook', 2), pg_temp.report(13, 'retry',
    '{"ours": true, "log": {"error": "x"}}') \g /dev/null
select is(pg_temp.endpoint(2), 'active - well version=1',
    'nor does what was our own fault');
select is(pg_temp.like(13), 'waiting tries=1 step=0 seq=- data={"had": 1} '
    'free', 'which is a try all the same');
delete from prov.jobs;
select pg_temp.job(11, 'webhook', 1),
    pg_temp.report(11, 'done', '{"log": {"status": 204}}') \g /dev/null
select is(pg_temp.endpoint(1), 'active - well version=1',
    'a success ends that');

update prov.webhook_endpoints set failing_since = now() - interval '4 days 23 h';
select pg_temp.job(11, 'webhook', 1), pg_temp.report(11, 'retry') \g /dev/null
select is(pg_temp.endpoint(1), 'active - failing version=1',
    'four days are borne');
update prov.webhook_endpoints set failing_since = now() - interval '5 days';
select pg_temp.job(n, 'webhook', 1 + n % 2) from generate_series(11, 14) n
    \g /dev/null
select is(count(*), 4::bigint, 'of many that are reported together')
from pg_temp.worker('jobs_report', jsonb_build_object('worker', 'w', 'jobs',
    (select jsonb_agg(jsonb_build_object('id', pg_temp.queue(n), 'attempt', 3,
        'verdict', case n when 12 then 'done' else 'retry' end))
     from generate_series(11, 14) n))) r;
select is(pg_temp.endpoint(1), 'active - well version=1',
    'one success is enough');
select is(pg_temp.endpoint(2), 'disabled failing failing version=2',
    'five days without any are not borne');
select is(e.type || ' ' || (e.data ->> 'disabled_reason') || ' '
        || (e.data ->> 'status'), 'webhook_endpoint.disabled failing disabled',
    'there is an event') from prov.events e;
select is(j.queue, pg_temp.queue(1), 'which the others are told')
from prov.jobs j join prov.events e on e.id = j.event;
select is((a.partner, a.tenant, a.operation, a.resource, a.resource_id,
        a.status, a.kind, a.subject, a.before ->> 'status',
        a.after ->> 'status')::text,
    format('(%s,,webhook_disabled,webhook_endpoint,%s,200,system,webhooks,active,'
        'disabled)', '00000000-0000-7000-8000-00000000000a',
        pg_temp.queue(2)), 'and an entry of the partner''s audit')
from entries a where a.operation = 'webhook_disabled';
select is(current_setting('prov.partner'), '', 'whose rows are closed again');
select is(e.last, 1::bigint, 'its chain holds')
from (select set_config('prov.partner',
          '00000000-0000-7000-8000-00000000000a', true)) s,
    prov.audit_fault('00000000-0000-7000-8000-00000000000a', 1, 10) e
where e.reason is null;
select set_config('prov.partner', '', true) \g /dev/null

select pg_temp.job(11, 'webhook', 3),
    pg_temp.report(11, 'failed', '{"log": {"status": 404}}') \g /dev/null
select is(pg_temp.endpoint(3), 'disabled failing failing version=2',
    'another partner''s likewise');
update prov.webhook_endpoints set status = 'active', failing_since = null,
    disabled_reason = null;
select pg_temp.job(11, 'webhook', 3),
    pg_temp.report(11, 'failed', '{"log": {"status": 410}}') \g /dev/null
select is(pg_temp.endpoint(3), 'disabled gone well version=3',
    'one that says it is gone at once');
select pg_temp.job(11, 'webhook', 3),
    pg_temp.report(11, 'failed', '{"log": {"status": 410}}') \g /dev/null
select is(pg_temp.endpoint(3), 'disabled gone well version=3', 'once');
select is(count(*), 2::bigint, 'with its own event')
from prov.events where partner = '00000000-0000-7000-8000-00000000000b';

-- whose fault it is

update prov.webhook_endpoints set status = 'active', failing_since = null,
    disabled_reason = null, version = 1, updated_at = now();
select pg_temp.job(11, 'webhook', 3), pg_temp.report(11, 'failed',
    '{"log": {"error": "the event is not kept any more"}}') \g /dev/null
select is(pg_temp.endpoint(3), 'active - well version=1',
    'what fails without having been sent is not the receiver''s fault');
select pg_temp.job(11, 'webhook', 3), pg_temp.report(11, 'return',
    '{"retry_after": 5}') \g /dev/null
select is(pg_temp.endpoint(3), 'active - well version=1',
    'nor what the gateway cannot unseal, and gives back');
select pg_temp.job(11, 'webhook', 3), pg_temp.report(11, 'retry',
    '{"log": {"error": "the address is not public"}}') \g /dev/null
select is(pg_temp.endpoint(3), 'active - failing version=1',
    'an address that is refused is');
update prov.webhook_endpoints set failing_since = null;
select pg_temp.job(11, 'webhook', 3), pg_temp.report(11, 'failed',
    '{"log": {"status": 400}}') \g /dev/null
select is(pg_temp.endpoint(3), 'active - failing version=1',
    'and whatever it answers');

-- what was sent before it was changed

update prov.webhook_endpoints set failing_since = null,
    updated_at = clock_timestamp();
select pg_temp.job(n, 'webhook', 3, leased => clock_timestamp()
    - n * interval '1 s'), pg_temp.report(n, verdict, log)
from (values (11, 'retry', '{"log": {"status": 500}}'::jsonb),
    (12, 'failed', '{"log": {"status": 410}}')) v (n, verdict, log) \g /dev/null
select is(pg_temp.endpoint(3), 'active - well version=1',
    'what was sent before an endpoint was changed says nothing of it');
update prov.webhook_endpoints set failing_since = now() - interval '9 days';
select pg_temp.job(11, 'webhook', 3, leased => clock_timestamp()
    - interval '1 s'), pg_temp.report(11, 'retry') \g /dev/null
select is(pg_temp.endpoint(3), 'active - failing version=1',
    'neither is it the last of a series');
select pg_temp.job(11, 'webhook', 3, leased => null),
    pg_temp.report(11, 'retry') \g /dev/null
select is(pg_temp.endpoint(3), 'disabled failing failing version=2',
    'of what is leased since nobody knows when it does');

select set_config('prov.webhook_patience', '1 ms', true) \g /dev/null
select pg_temp.job(11, 'webhook', 1), pg_temp.report(11, 'retry'),
    pg_sleep(0.01) \g /dev/null
select pg_temp.job(11, 'webhook', 1), pg_temp.report(11, 'retry') \g /dev/null
select is(pg_temp.endpoint(1), 'disabled failing failing version=2',
    'how long is borne can be set');

-- what runs in the database

create function prov.job_trial(job prov.jobs, out verdict text, out wait int,
        out step int, out data jsonb)
    language plpgsql
as $$
begin
    if job.step = 2 then
        raise division_by_zero;
    end if;

    verdict := job.data ->> 'say';
    wait := 5000;
    step := job.step + 1;
    data := jsonb_build_object('say', 'done', 'partner',
        current_setting('prov.partner'), 'worker',
        current_setting('prov.worker'));
end
$$;

create function pg_temp.run(attempt int default 3) returns text language sql
    return (select concat_ws(' ', r ->> 'verdict', r ->> 'wait')
            from pg_temp.worker('job_run', jsonb_build_object('worker', 'w',
                'id', pg_temp.queue(11), 'attempt', run.attempt)) r);

delete from prov.jobs;
select pg_temp.job(11, 'trial') \g /dev/null
update prov.jobs set data = '{"say": "next"}';
select is(pg_temp.run(2), 'lost', 'who has lost the lease runs nothing');
select is(pg_temp.run(), 'next 5000', 'a part of it is done');
select is(pg_temp.like(11), 'waiting tries=0 step=1 seq=- data={"say": "done", '
    '"worker": "", "partner": "00000000-0000-7000-8000-00000000000a"} free',
    'as its partner, and reported');
select ok(pg_temp.until(11) between 4 and 5, 'the next is later');
select is(pg_temp.run(), 'lost', 'it has to be leased again');
update prov.jobs set lease_worker = 'w', attempt = 4;
select is(pg_temp.run(4), 'done 5000', 'the last');
select is(state, 'done', 'ends it') from prov.jobs;
select pg_temp.job(11, 'trial') \g /dev/null
update prov.jobs set step = 2;
select is(pg_temp.refusal('select pg_temp.run()'), '22012',
    'what fails is an error, and the worker''s to report');
select is(pg_temp.like(11), 'waiting tries=0 step=2 seq=1 data={"had": 1} '
    'leased', 'nothing came of it');

select * from finish();
rollback;
