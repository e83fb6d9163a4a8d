\ir helpers.psql
select * from no_plan();

-- What is done from time to time.

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

-- claims the task, as if it were the only one, and runs it

create function pg_temp.task(name text) returns text language plpgsql
as $$
declare
    claimed jsonb;
begin
    update prov.jobs set due = now() + interval '1 day';
    update prov.jobs set due = now() where data ->> 'task' = name;

    select c into claimed
    from pg_temp.worker('jobs_claim', '{"worker": "w", "limit": 10,
        "per_queue": 8, "lease": 60}') c
    where c ->> 'kind' = 'task';

    return (select concat_ws(' ', r ->> 'verdict', r ->> 'wait')
            from pg_temp.worker('job_run', jsonb_build_object('worker', 'w',
                'id', claimed -> 'id', 'attempt', claimed -> 'attempt')) r);
end
$$;

create function pg_temp.tenant(partner text, key text) returns uuid
    language sql
begin atomic
    select (c.body ->> 'tenant')::uuid
    from pg_temp.create_tenant(tenant.partner, jsonb_build_object(
        'client_name', tenant.key, 'email',
        tenant.key || '@example.com')) c;
end;

select is(string_agg(j.data ->> 'task', ' ' order by j.id), 'purge_expired '
    'expire_answers expire_secrets expire_records', 'the tasks are there')
from prov.jobs j where j.kind = 'task';
select is(count(*), 4::bigint, 'each in a queue of its own')
from prov.jobs j where j.queue = j.id and j.partner is null;

-- once per interval

select is(pg_temp.task('expire_secrets'), 'done', 'a task is done');
select is((j.state, j.due > now() + interval '9 min',
        j.due < now() + interval '11 min', j.lease_worker)::text,
    '(waiting,t,t,)', 'and due again after its interval')
from prov.jobs j where j.data ->> 'task' = 'expire_secrets';
select is(count(*), 0::bigint, 'nobody else gets it before')
from pg_temp.worker('jobs_claim', '{"worker": "v", "limit": 10,
    "per_queue": 8, "lease": 60}') c where c ->> 'kind' = 'task';

-- one that fails is not given up

update prov.jobs set due = now(), tries = 12
where data ->> 'task' = 'expire_secrets';
select is(count(*), 1::bigint, 'a task fails')
from pg_temp.worker('jobs_claim', '{"worker": "w", "limit": 10,
    "per_queue": 8, "lease": 60}') c,
    pg_temp.worker('jobs_report', jsonb_build_object('worker', 'w', 'jobs',
        jsonb_build_array(c - 'data' || '{"verdict": "retry"}'))) r
where c ->> 'kind' = 'task';
select is((j.state, j.due between now() + interval '9 min'
        and now() + interval '11 min', j.tries)::text, '(waiting,t,0)',
    'it is due again after its interval')
from prov.jobs j where j.data ->> 'task' = 'expire_secrets';

-- the time of grace

create temporary table gone as
select pg_temp.tenant(p, 'gone' || n) as id
from generate_series(1, 25) n, unnest(array['alpha', 'beta']) p;
create temporary table stays as
select pg_temp.tenant('alpha', 'stays' || n) as id from generate_series(1, 3) n;

update prov.tenants t
set status = 'deleted', deleted_from = 'active', deleted_at = now(),
    purge_after = now() - interval '1 s'
from gone g where g.id = t.id;

select is(pg_temp.task('purge_expired'), 'next', 'twenty are removed, and it '
    'goes on at once');
select is(count(*), 30::bigint, 'thirty are left')
from prov.tenants t join gone g on g.id = t.id;
select is(due <= clock_timestamp(), true, 'now')
from prov.jobs where data ->> 'task' = 'purge_expired';
select is(pg_temp.task('purge_expired') || ' ' || pg_temp.task('purge_expired'),
    'next done', 'until there are none');
select is((select count(*) from prov.tenants t join gone g on g.id = t.id)
    || ' ' || (select count(*) from prov.tenants t
               join stays s on s.id = t.id), '0 3', 'others stay');
select is(count(*), 25::bigint, 'each partner''s leave an event of theirs')
from prov.events e join gone g on g.id = e.tenant
where e.type = 'tenant.purged'
    and e.partner = '00000000-0000-7000-8000-00000000000b';
select is((current_setting('prov.partner'), current_setting('prov.operator'),
        current_setting('prov.worker'))::text, '("","",on)',
    'nothing is open afterwards but what reports');

-- answers

insert into prov.idempotency (id, partner, request, mutation, created_at)
select sha256((p || age)::bytea), p::uuid, '', prov.uuid7(), now() - age
from unnest(array['00000000-0000-7000-8000-00000000000a',
        'ffffffff-ffff-ffff-ffff-ffffffffffff']) p,
    unnest(array[interval '25 h', '23 h']) age;
insert into prov.idempotency (id, partner, request, mutation, created_at)
select sha256(('b' || n)::bytea), '00000000-0000-7000-8000-00000000000b', '',
    prov.uuid7(), now() - interval '25 h' from generate_series(1, 1100) n;
select is(pg_temp.task('expire_answers') || ' '
    || pg_temp.task('expire_answers'), 'next done',
    'old answers are deleted, a thousand at a time');
select is(count(*) || ' ' || (min(created_at) > now() - interval '24 h'),
    '2 true', 'those of all, and no others') from prov.idempotency;

-- secrets

insert into prov.api_keys (id, partner, name, scopes, secret_hash,
    previous_hash, previous_until)
select prov.uuid7(), p::uuid, 'k', '{tenant:read}', sha256('a'), sha256('b'),
    now() + age
from unnest(array['00000000-0000-7000-8000-00000000000a',
        '00000000-0000-7000-8000-00000000000b']) p,
    unnest(array[interval '1 h', '-1 s']) age;
insert into prov.webhook_endpoints (id, partner, url, secret,
    previous_secrets, previous_untils, previous_until)
select prov.uuid7(), '00000000-0000-7000-8000-00000000000b', 'https://x', 's',
    array['b' || age, 'a'], array[now() + age, now() + age - interval '1 min'],
    now() + age
from unnest(array[interval '1 h', '30 s', '-1 s']) age;
select is(pg_temp.task('expire_secrets'), 'done', 'secrets are looked at');
select is((select count(*) from prov.api_keys where previous_hash is not null)
    || ' ' || (select string_agg(array_to_string(w.previous_secrets, '+')
                   || '/' || cardinality(w.previous_untils), ' '
                   order by w.previous_until nulls last)
               from prov.webhook_endpoints w),
    '2 b00:00:30/1 b01:00:00+a/2 /0',
    'those that were good for a while are forgotten when they are no more');

-- records

delete from prov.events;
delete from prov.jobs where kind <> 'task';

create temporary table age as
select prov.uuid7_beside(prov.uuid7_at(now() - a)) as id, a,
    a < '30 days' as stays
from unnest(array[interval '1 h', '29 days', '31 days', '400 days']) a;

insert into prov.events (id, partner, type)
select id, '00000000-0000-7000-8000-00000000000a', 'x' from age;
insert into prov.jobs (id, kind, queue, state)
select id, 'x', id, 'done' from age;
insert into prov.job_attempts (job, attempt) select id, 1 from age;
insert into prov.operations (id, partner, operation, ctx, finished_at)
select id, '00000000-0000-7000-8000-00000000000a', 'x', '{}',
    case when a < '400 days' then now() end from age;
insert into prov.operation_items (operation, index, id, partner)
select id, 1, id, '00000000-0000-7000-8000-00000000000a' from age;

select is(pg_temp.task('expire_records'), 'done', 'records are looked at');
select is((select count(*) from prov.events e join age a using (id)
        where a.stays) || ' ' || (select count(*) from prov.events),
    '2 2', 'events stay for 30 days');
select is((select count(*) from prov.jobs j join age a using (id)
        where a.stays) || ' ' || (select count(*) from prov.jobs), '2 6',
    'and jobs, but for tasks, which stay for ever');
select is((select count(*) from prov.job_attempts j join age a on a.id = j.job
        where a.stays) || ' ' || (select count(*) from prov.job_attempts),
    '2 2', 'and attempts');
select is(count(*), 3::bigint, 'and operations, but for one that is under way')
from prov.operations;
select is(count(*), 3::bigint, 'with their parts') from prov.operation_items;

insert into prov.events (id, partner, type)
select prov.uuid7_beside(prov.uuid7_at(now() - interval '31 days')),
    '00000000-0000-7000-8000-00000000000a', 'x'
from generate_series(1, 1001);
select is(pg_temp.task('expire_records') || ' '
    || pg_temp.task('expire_records'), 'next done', 'a thousand at a time');

insert into prov.operations (id, partner, operation, ctx, finished_at)
select prov.uuid7_beside(prov.uuid7_at(now() - interval '31 days')),
    '00000000-0000-7000-8000-00000000000a', 'x', '{}', now()
from generate_series(1, 11);
select is(pg_temp.task('expire_records') || ' '
    || pg_temp.task('expire_records'), 'next done', 'operations ten at a time');

select set_config('prov.retention', '30 min', true) \g /dev/null
select pg_temp.task('expire_records') \g /dev/null
select is(count(*), 0::bigint, 'how long can be set') from prov.events;

select is(left(prov.uuid7_at('2026-11-21T12:00:00.123Z')::text, 15),
    left((lpad(to_hex(1795262400123), 12, '0') || '70008000000000000000')
        ::uuid::text, 15), 'a moment''s first UUID');
select ok(prov.uuid7_at(clock_timestamp() - interval '1 ms') < prov.uuid7()
    and prov.uuid7() < prov.uuid7_at(clock_timestamp() + interval '2 s'),
    'is between those before and after it');

select * from finish();
rollback;
