\ir helpers.psql
select * from no_plan();

-- How jobs are leased: to whom, how many, in which order, for how long.  What
-- takes several sessions is in lib/Jobs.pm.

create function pg_temp.worker(function text, request jsonb)
    returns table (id uuid, kind text, attempt int, step int, data json)
    language plpgsql
as $$
begin
    set local role prov_worker;
    return query execute format('select r.id, r.kind, r.attempt, r.step, '
        'r.data::json from prov.%I($1, null, null) r',
        function) using request;
    reset role;
end
$$;

create function pg_temp.claim(size int, per_queue int default 8,
        after uuid default null, worker text default 'w')
    returns table (id uuid, kind text, attempt int, step int, data json)
    language sql
begin atomic
    select c.* from pg_temp.worker('jobs_claim', jsonb_build_object(
        'worker', claim.worker, 'limit', claim.size, 'per_queue',
        claim.per_queue, 'lease', 60, 'after', claim.after)) c;
end;

-- the names of those that were leased, and the last row's step

create function pg_temp.leased(size int, per_queue int default 8,
        after uuid default null, worker text default 'w', out names text,
        out wait int, out last uuid)
    language plpgsql
as $$
declare
    c record;
begin
    for c in select * from pg_temp.claim(size, per_queue, after, worker) loop
        if c.kind = '' then
            wait := c.step;
            last := c.data ->> 'after';
        else
            names := concat_ws(' ', names, (select n.name from named n
                                            where n.id = c.id));
        end if;
    end loop;
end
$$;

create temporary table named (id uuid, name text);

create function pg_temp.queue(n int) returns uuid language sql
    return ('00000000-0000-7000-9000-' || lpad(n::text, 12, '0'))::uuid;

create function pg_temp.job(name text, queue int, due interval default '0',
        tenant int default null, seq bigint default null)
    returns void
    language plpgsql
as $$
declare
    job uuid := prov.uuid7();
begin
    insert into prov.jobs (id, kind, queue, due, tenant, seq, data)
    values (job, 'test', pg_temp.queue(queue), now() + due,
        pg_temp.queue(tenant), seq, '{"a": 1}');
    insert into named values (job, name);
end
$$;

-- leases are over, or never were; that they lapse is no part of most tests

create function pg_temp.over(lapsing boolean default false) returns void
    language sql
begin atomic
    update prov.jobs
    set lease_until = clock_timestamp(),
        lapsed = case when lapsing then lapsed else 0 end
    where lease_until is not null;
end;

create function pg_temp.none() returns void language sql begin atomic
    delete from prov.jobs;
end;

create function pg_temp.sorted(names text) returns text language sql
    return (select string_agg(n, ' ' order by n)
            from string_to_table(names, ' ') n);

select pg_temp.none() \g /dev/null

select results_eq('select kind, step, data::text from pg_temp.claim(10)',
    $$values ('', null::int, '{"after" : "00000000-0000-0000-0000-000000000000"}')$$,
    'where nothing waits nothing is leased, and nothing is to be waited for');

select pg_temp.job('a', 1, '-1 s') \g /dev/null

select results_eq('select kind, attempt, step, data::text '
        'from pg_temp.claim(1) where kind <> ''''',
    $$values ('test', 1, 0, '{"a": 1}')$$, 'a job comes with what it has');
select is((j.state, j.lease_worker, j.due = now() - interval '1 s',
        j.lease_until between clock_timestamp() + interval '59 s'
            and clock_timestamp() + interval '60 s')::text,
    '(waiting,w,t,t)', 'and is leased for as long as was asked')
from prov.jobs j;
select is(names, null, 'it is not leased again') from pg_temp.leased(10);
select pg_temp.over() \g /dev/null
select results_eq('select kind, attempt from pg_temp.claim(10, worker => '
        '''v'') where kind <> ''''', $$values ('test', 2)$$,
    'until the lease is over, and then with another number');
select is(lease_worker, 'v', 'to another worker') from prov.jobs;

-- when to come again

select pg_temp.none() \g /dev/null
select pg_temp.job('a', 1), pg_temp.job('b', 1, '1 h'),
    pg_temp.job('c', 2, '10 s') \g /dev/null
select is((names, wait)::text, '(a,0)', 'as many as were asked for: at once')
from pg_temp.leased(1);
select ok(names is null and wait between 8000 and 10000,
    'none: when the first is due') from pg_temp.leased(10);
select pg_temp.none() \g /dev/null
select pg_temp.job('b', 1), pg_temp.job('a', 1, '1 min')
    \g /dev/null
select ok(names = 'b' and wait between 58000 and 60000,
    'also the first of a queue that has some already')
from pg_temp.leased(10);
select pg_temp.none() \g /dev/null
select pg_temp.job('a', 1, '10 days') \g /dev/null
select is(wait, 86400000, 'a day at most') from pg_temp.leased(10);

-- queues take turns

select pg_temp.none() \g /dev/null
select pg_temp.job('a' || n, 1), pg_temp.job('b' || n, 2),
    pg_temp.job('c' || n, 3)
from generate_series(1, 9) n \g /dev/null

create function pg_temp.initials(names text) returns text language sql
    return (select string_agg(left(n, 1), '' order by n)
            from string_to_table(names, ' ') n);

select is(pg_temp.initials(names), 'aabbcc', 'of each as many')
from pg_temp.leased(6);
select * from pg_temp.leased(2) \gset
select is(pg_temp.initials(:'names'), 'ab', 'where there is no room for all, '
    'the first');
select is(:'last'::uuid, pg_temp.queue(2), 'up to here');
select * from pg_temp.leased(2, after => pg_temp.queue(2)) \gset
select is(pg_temp.initials(:'names'), 'ac', 'the next time the next ones');
select is(:'last'::uuid, pg_temp.queue(1), 'and round again');

select pg_temp.none() \g /dev/null
select pg_temp.job('a', 1), pg_temp.job('c', 3)
    \g /dev/null
select pg_temp.job('b' || n, 2) from generate_series(1, 9) n \g /dev/null
select is(pg_temp.initials(names), 'abbbbc',
    'what some leave, others may have') from pg_temp.leased(6);

-- but so many of a queue at a time

select pg_temp.none() \g /dev/null
select pg_temp.job('a' || n, 1, -n * interval '1 s')
from generate_series(1, 9) n \g /dev/null
select is(pg_temp.sorted(names), 'a7 a8 a9', 'three of a queue, those that '
    'are due first') from pg_temp.leased(10, 3);
select is((names, wait)::text, '(,)', 'and no more, whoever asks, nor is '
    'there a time to wait for')
from pg_temp.leased(10, 3, worker => 'v');
update prov.jobs j set state = 'done', lease_until = null, lease_worker = null
from named n where n.id = j.id and n.name in ('a9', 'a7');
select is(pg_temp.sorted(names), 'a5 a6', 'as many as were done make room')
from pg_temp.leased(10, 3, worker => 'v');
select is(pg_temp.sorted(names), 'a2 a3 a4', 'those that may be more, more')
from pg_temp.leased(10, 6, worker => 'v');

-- who keeps what he got takes no turns of those who are done

select pg_temp.none() \g /dev/null
select pg_temp.job('a' || n, n, '-1 s'), pg_temp.job('b' || n, n),
    pg_temp.job('c' || n, n, '1 min')
from generate_series(1, 9) n \g /dev/null
select is(pg_temp.initials(names), 'aaaaaaaaa', 'one of each queue')
from pg_temp.leased(9, 1);
select pg_temp.job('d1', 10), pg_temp.job('d2', 10) \g /dev/null
select is(left(names, 1), 'd', 'who has more gets it, with little room, too')
from pg_temp.leased(1, 1);
select ok(names is null and wait between 58000 and 60000,
    'and it is known when something else is due')
from pg_temp.leased(1, 1);

-- the order of a tenant's

select pg_temp.none() \g /dev/null
select pg_temp.job('a3', 1, '-3 s', 7, 3),
    pg_temp.job('a1', 1, '-1 s', 7, 1), pg_temp.job('a2', 1, '-2 s', 7, 2),
    pg_temp.job('b1', 2, '0', 7, 3), pg_temp.job('x', 1, '0', 8, 9),
    pg_temp.job('y', 1, '0', null, 9), pg_temp.job('z', 1, '0', 7, null)
    \g /dev/null
select is(pg_temp.sorted(names), 'a1 b1 x y z', 'of a tenant the first, of '
    'each queue, and what has no order') from pg_temp.leased(10);
select is(names, null, 'others wait for it') from pg_temp.leased(10);
select pg_temp.over() \g /dev/null
select is(pg_temp.sorted(names), 'a1 b1 x y z', 'even when the lease was lost')
from pg_temp.leased(10);
update prov.jobs j set seq = null, due = now() + interval '5 s',
    lease_until = null, lease_worker = null
from named n where n.id = j.id and n.name = 'a1';
select is(names, 'a2', 'what was tried holds up nobody')
from pg_temp.leased(10);
update prov.jobs j set state = 'done', seq = null, lease_until = null
from named n where n.id = j.id and n.name = 'a2';
select is(names, 'a3', 'nor what is done') from pg_temp.leased(10);

-- one tenant's many hold up no other's, and a walk has an end

select pg_temp.none() \g /dev/null
select pg_temp.job('a' || n, 1, '-1 s', 7, n)
from generate_series(1, 200) n \g /dev/null
select pg_temp.job('b', 1, '0', 8, 1) \g /dev/null
select is(pg_temp.sorted(names), 'a1 b', 'who waits holds up nobody else')
from pg_temp.leased(10);

-- what was given back holds up its followers, and is not lost behind them

select pg_temp.none() \g /dev/null
select pg_temp.job('a' || n, 1, '-1 s', 7, n)
from generate_series(1, 300) n \g /dev/null
select is(names, 'a1', 'of many the first') from pg_temp.leased(10);
select format('{"worker": "w", "jobs": [{"id": "%s", "attempt": 1, "verdict": '
    '"return", "retry_after": 30}]}', id) as report
from prov.jobs where lease_worker = 'w' \gset
set role prov_worker;
select accepted from prov.jobs_report(:'report', null, null) \g /dev/null
reset role;
select ok(names is null and wait between 29000 and 30000,
    'given back for a while it is not taken, and it is said until when')
from pg_temp.leased(10);
select pg_temp.over() \g /dev/null
select is(names, 'a1', 'and then it is, however many wait for it')
from pg_temp.leased(10);

select pg_temp.none() \g /dev/null
select pg_temp.job('q' || n, n, '1 h')
from generate_series(1, 1200) n \g /dev/null
select pg_temp.job('due', 1100, '0') \g /dev/null
select is((names, wait, last)::text, format('(,0,%s)', pg_temp.queue(1000)),
    '1,000 queues are looked at, and then it is another''s turn')
from pg_temp.leased(10);
select is(names, 'due', 'who goes on from there')
from pg_temp.leased(10, after => pg_temp.queue(1000));

-- deliveries

select pg_temp.none() \g /dev/null
insert into prov.webhook_endpoints (id, partner, url, secret, headers,
    event_types, previous_secrets, previous_untils, previous_until)
select pg_temp.queue(n), '00000000-0000-7000-8000-00000000000a',
    'https://' || n || '.example', 'sealed', 'sealed-too', '{*}', p.secrets,
    p.untils, (select max(u) from unnest(p.untils) u)
from generate_series(1, 4) n
join (values
    (1, '{former}'::text[], array[now() + interval '1 h']),
    (2, '{former,older}', array[now() - interval '1 s', now() - interval '1 h']),
    (3, '{}', '{}'),
    (4, '{b,over,a}', array[now() + interval '1 min', now() - interval '1 s',
        now() + interval '1 h'])) p (n, secrets, untils) using (n);

create temporary table one as
select (c.body ->> 'tenant')::uuid as id
from pg_temp.create_tenant('alpha', '{"client_name": "One \"x\"",
    "email": "one@example.com"}') c;
create temporary table given as
select c.id, c.data from pg_temp.claim(10) c where c.kind = 'webhook';

select is(d.data::jsonb - 'payload', jsonb_build_object('endpoint', w.id,
        'url', w.url, 'headers', 'sealed-too', 'algorithm', 'v1',
        'secret', 'sealed', 'previous_secrets',
        case w.id when pg_temp.queue(1) then '["former"]'
            when pg_temp.queue(4) then '["b", "a"]' else '[]' end::jsonb,
        'event', j.event,
        'type', 'tenant.created'), 'a delivery comes with all it needs')
from given d join prov.jobs j on j.id = d.id
join prov.webhook_endpoints w on w.id = j.queue;
select is((d.data ->> 'payload'), format('{"id": "%s", "type": '
    '"tenant.created", "created_at": "%s", "data": %s, "request_id": '
    '"request-1"}', e.id, prov.rfc3339(e.at), e.data),
    'the bytes to send among it')
from given d join prov.jobs j on j.id = d.id
join prov.events e on e.id = j.event limit 1;

delete from prov.events;
select pg_temp.over() \g /dev/null
select is(count(*) filter (where data ->> 'payload' is null), 4::bigint,
    'of an event that is gone they come without')
from pg_temp.claim(10) where kind = 'webhook';

update prov.jobs set data = '{"type": "webhook.test", "payload": "bytes"}',
    event = null;
select pg_temp.over() \g /dev/null
select is(count(*) filter (where (data ->> 'type', data ->> 'payload')
        = ('webhook.test', 'bytes')), 4::bigint,
    'and a job can bring its own')
from pg_temp.claim(10) where kind = 'webhook';

update prov.webhook_endpoints set status = 'disabled'
where id = pg_temp.queue(1);
delete from prov.webhook_endpoints where id = pg_temp.queue(2);
select is(count(*), 0::bigint, 'what is leased is so')
from pg_temp.claim(10) where kind = 'webhook';
select pg_temp.over() \g /dev/null
select is(count(*), 2::bigint, 'what is not active gets nothing')
from pg_temp.claim(10) where kind = 'webhook';
select is(string_agg(right(queue::text, 1) || ' ' || state || ' '
        || (finished_at is not null) || ' ' || (seq is null), ', '
        order by queue), '1 cancelled true true, 2 cancelled true true, '
        '3 waiting false false, 4 waiting false false', 'that is cancelled')
from prov.jobs;

-- a partner with many queues leaves something to others

select pg_temp.none() \g /dev/null
insert into prov.jobs (id, kind, queue, partner)
select prov.uuid7(), 'test', pg_temp.queue(q), pg_temp.queue(case
    when q = 20 then 2 else 1 end)
from generate_series(1, 20) q, generate_series(1, 4);

create function pg_temp.partners(size int, partners jsonb)
    returns text
    language plpgsql
as $$
declare
    got text;
begin
    set local role prov_worker;
    select string_agg(format('%s:%s', p, n), ' ' order by p) into got
    from (
        select right(c.partner::text, 1) as p, count(*) as n
        from prov.jobs_claim(jsonb_build_object('worker', 'w', 'limit', size,
            'per_queue', 4, 'lease', 60, 'per_partner', 6, 'partners',
            partners), null, null) c
        where c.kind <> ''
        group by c.partner) g;
    reset role;
    update prov.jobs set lease_until = null, lease_worker = null;
    return got;
end
$$;

select is(pg_temp.partners(64, '{}'), '1:6 2:4',
    'a partner gets as many as he may, from however many queues');
select is(pg_temp.partners(64,
    '{"00000000-0000-7000-9000-000000000001": 4}'), '1:2 2:4',
    'less what the worker has of his');
select is(pg_temp.partners(2,
    '{"00000000-0000-7000-9000-000000000001": 6}'), '2:2',
    'and who has as many is no one''s turn');

-- leases that end without a word of who had them

create function pg_temp.lapsed() returns text language sql
    return (select string_agg(format('%s:%s:%s', n.name, j.attempt, j.lapsed),
                ' ' order by n.name)
            from prov.jobs j join named n on n.id = j.id);

-- what a claim gets, with how many of those that lapsed under way; and what
-- ended

create function pg_temp.after(size int, has int, out names text,
        out ended text)
    language plpgsql
as $$
declare
    c record;
begin
    for c in
        select * from pg_temp.worker('jobs_claim', jsonb_build_object(
            'worker', 'w', 'limit', size, 'per_queue', 8, 'lease', 60,
            'lapsed', has))
    loop
        if c.kind = '' then
            ended := (select string_agg(n.name, ' ' order by n.name)
                      from json_array_elements(c.data -> 'ended') e
                      join named n on n.id = (e ->> 'id')::uuid);
        else
            names := concat_ws(' ', names, (select n.name from named n
                                            where n.id = c.id));
        end if;
    end loop;

    names := pg_temp.sorted(names);
    perform pg_temp.over(true);
end
$$;

delete from named;
select pg_temp.none() \g /dev/null
select pg_temp.job('a', 1, '-1 s'), pg_temp.job('b', 1), pg_temp.job('c', 2),
    pg_temp.job('d', 3) \g /dev/null
select is(pg_temp.after(10, 0)::text, '("a b c d",)', 'all are leased');
select is(pg_temp.lapsed(), 'a:1:0 b:1:0 c:1:0 d:1:0', 'for the first time');
select is(pg_temp.after(10, 1)::text, '("a b c d",)',
    'again when their leases have lapsed');
select is(pg_temp.lapsed(), 'a:2:1 b:2:1 c:2:1 d:2:1', 'which is counted');
select is(pg_temp.after(10, 1)::text, '(,)',
    'not by who has one that has lapsed twice');
select pg_temp.job('e', 1) \g /dev/null
select is(pg_temp.after(10, 0)::text, '("a e",)',
    'and by others one at a time, beside what is new');
select is(pg_temp.lapsed(), 'a:3:2 b:2:1 c:2:1 d:2:1 e:1:0', 'of it');
update prov.jobs set lease_worker = null, lease_until = null
where id <> (select id from named where name = 'a');
select is(pg_temp.after(10, 1)::text, '("b c d e",)',
    'what was reported, or given back, has lapsed no more');
select is(pg_temp.lapsed(), 'a:3:2 b:3:0 c:3:0 d:3:0 e:2:0', 'at all');

delete from prov.jobs where id <> (select id from named where name = 'a');
update prov.jobs set lapsed = 4, partner = pg_temp.queue(1);
select pg_temp.job('f', 1) \g /dev/null
select is(pg_temp.after(1, 0)::text, '(f,a)',
    'the fifth time it ends, which is no reason to go without');
select is((state, error, lapsed, lease_worker, seq)::text, '(failed,'
    '"whoever did it was lost, five times on end",0,,)', 'it has failed')
from prov.jobs where id = (select id from named where name = 'a');
select results_eq('select attempt, status, error, partner = pg_temp.queue(1) '
        'from prov.job_attempts', $$values (3, null::int,
    'whoever did it was lost, five times on end', true)$$,
    'and there is an attempt that says so');

select pg_temp.none() \g /dev/null
select pg_temp.job(format('g%s', n), n) from generate_series(1, 15) n
    \g /dev/null
update prov.jobs set lapsed = 4, lease_worker = 'v', lease_until = now();
select is(cardinality(string_to_array(ended, ' ')), 10,
    'a claim ends ten at most') from pg_temp.after(10, 0);
select is(cardinality(string_to_array(ended, ' ')), 5,
    'the next one the others') from pg_temp.after(10, 0);

-- what a claim costs the waiting

select is(current_setting('synchronous_commit'), 'off',
    'nobody waits for the disk');

select * from finish();
rollback;
