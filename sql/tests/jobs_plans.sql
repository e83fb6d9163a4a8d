\ir helpers.psql
select * from no_plan();

-- Whatever is in the tables: a claim and a report look at what they are about,
-- and not at all that waits, nor at all that is done.

create function pg_temp.queue(n int) returns uuid language sql
    return ('00000000-0000-7000-9000-' || lpad(n::text, 12, '0'))::uuid;

-- rows of the tables and entries of their indexes that a statement has read

create function pg_temp.reads() returns bigint language sql volatile
    return (select sum(pg_stat_get_xact_tuples_returned(c.oid)
                       + pg_stat_get_xact_tuples_fetched(c.oid))
            from unnest(array['prov.jobs', 'prov.webhook_endpoints']
                ::regclass[]) t (oid)
            join pg_catalog.pg_class c
                on c.oid = t.oid
                or c.oid in (select i.indexrelid from pg_catalog.pg_index i
                             where i.indrelid = t.oid));

create function pg_temp.read(statement text, request jsonb)
    returns bigint
    language plpgsql
as $$
declare
    before bigint := pg_temp.reads();
begin
    set local role prov_worker;
    execute statement using request;
    reset role;
    return pg_temp.reads() - before;
end
$$;

-- without what was rolled back before

reindex table prov.jobs;
reindex table prov.webhook_endpoints;

delete from prov.jobs;
insert into prov.jobs (id, kind, queue, partner, tenant, seq, due)
select prov.uuid7(), 'test', pg_temp.queue(n % 20),
    '00000000-0000-7000-8000-00000000000a', pg_temp.queue(n), 1,
    now() - n * interval '1 s'
from generate_series(1, 4000) n;
insert into prov.jobs (id, kind, queue, partner, tenant, state, finished_at)
select prov.uuid7(), 'test', pg_temp.queue(n % 20),
    '00000000-0000-7000-8000-00000000000a', pg_temp.queue(n), 'done', now()
from generate_series(1, 4000) n;

create function pg_temp.round(kind text) returns bigint language plpgsql
as $$
declare
    claimed bigint;
    ids     jsonb;
    told    bigint;
begin
    claimed := pg_temp.read('select count(*) from prov.jobs_claim($1, null, '
        'null)', '{"worker": "w", "limit": 64, "per_queue": 8, "lease": 60}');

    select jsonb_agg(jsonb_build_object('id', j.id, 'attempt', 1, 'verdict',
        'done', 'log', '{"status": 200}'::jsonb)) into ids
    from prov.jobs j where j.lease_worker = 'w' and j.state = 'waiting';

    if jsonb_array_length(ids) <> 64 then
        return null;
    end if;

    told := pg_temp.read('select count(*) from prov.jobs_report($1, null, '
        'null)', jsonb_build_object('worker', 'w', 'jobs', ids));

    return case kind when 'claim' then claimed else told end;
end
$$;

select cmp_ok(pg_temp.round('claim'), '<', 3000::bigint,
    'a claim of 64 among 4,000 looks at few, without statistics');
select cmp_ok(pg_temp.round('report'), '<', 1500::bigint, 'so does a report');

analyze prov.jobs;
discard plans;

select cmp_ok(pg_temp.round('claim'), '<', 3000::bigint,
    'and a claim with statistics');
select cmp_ok(pg_temp.round('report'), '<', 1500::bigint, 'and a report');

-- deliveries, of an endpoint among many

discard plans;

insert into prov.webhook_endpoints (id, partner, url, secret)
select pg_temp.queue(n), case when n = 7
        then '00000000-0000-7000-8000-00000000000a'
        else '00000000-0000-7000-8000-00000000000b' end::uuid, 'https://x', 's'
from generate_series(1, 2000) n;
create function pg_temp.delivered(verdict text, log jsonb) returns bigint
    language plpgsql
as $$
begin
    update prov.jobs as j set kind = 'webhook', queue = pg_temp.queue(7),
        lease_worker = 'w', lease_until = now() + interval '1 min',
        attempt = 1, state = 'waiting', finished_at = null
    where j.id in (select i.id from prov.jobs i order by i.id limit 64);

    return pg_temp.read('select count(*) from prov.jobs_report($1, null, '
        'null)', (select jsonb_build_object('worker', 'w', 'jobs',
            jsonb_agg(jsonb_build_object('id', j.id, 'attempt', 1, 'verdict',
                verdict, 'log', log)))
            from prov.jobs j where j.kind = 'webhook'));
end
$$;

select cmp_ok(pg_temp.delivered(verdict, log), '<', 1500::bigint,
    'of endpoints those are looked at that it is about: ' || verdict)
from (values ('done', '{"status": 204}'::jsonb),
    ('retry', '{"status": 500}'), ('done', '{"status": 204}'),
    ('failed', '{"status": 410}')) v (verdict, log);
select is(status || ' ' || disabled_reason, 'disabled gone', 'which was that')
from prov.webhook_endpoints where id = pg_temp.queue(7);

select * from finish();
rollback;
