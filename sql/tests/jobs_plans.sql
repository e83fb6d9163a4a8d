\ir helpers.psql
select * from no_plan();

-- Whatever is in the tables: a claim and a report look at what they are about,
-- and not at all that waits, nor at all that is done.

create function pg_temp.queue(n int) returns uuid language sql
    return ('00000000-0000-7000-9000-' || lpad(n::text, 12, '0'))::uuid;

-- rows of the table and entries of its indexes that a statement has read, as a
-- worker's login has it

create function pg_temp.reads() returns bigint language sql volatile
    return (select sum(pg_stat_get_xact_tuples_returned(c.oid)
                       + pg_stat_get_xact_tuples_fetched(c.oid))
            from pg_catalog.pg_class c
            where c.oid = 'prov.jobs'::regclass
                or c.oid in (select i.indexrelid from pg_catalog.pg_index i
                             where i.indrelid = 'prov.jobs'::regclass));

create function pg_temp.read(statement text, request jsonb)
    returns bigint
    language plpgsql
as $$
declare
    before bigint := pg_temp.reads();
begin
    set local role prov_worker;
    set local enable_seqscan = off;
    set local plan_cache_mode = force_generic_plan;
    execute statement using request;
    reset role;
    return pg_temp.reads() - before;
end
$$;

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

select * from finish();
rollback;
