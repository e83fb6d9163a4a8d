\ir helpers.psql
\ir operations.psql
select * from no_plan();

-- what is in the way for a moment, and for too long

create temporary table blocked as
select * from pg_temp.bulk(jsonb_build_object('tenants',
    pg_temp.some('blocked', 101)));
create function pg_temp.block()
    returns trigger
    language plpgsql
as $$
begin
    raise lock_not_available;
end
$$;
create trigger block before insert on prov.tenants
    for each statement execute function pg_temp.block();
select is(pg_temp.slice(), 'next', 'a lock that is not to be had');
select is(format('%s %s %s', j.state, j.data ->> 'stalls',
    j.due > now() + interval '500 ms'), 'waiting 1 t',
    'is asked for again a little later')
from blocked b, prov.jobs j
where j.operation = (b.body ->> 'operation')::uuid;
select is(pg_temp.shown(g.body), 'pending 1 101/0/0', 'nothing is done of it')
from blocked b, pg_temp.operation('get', b.body) g;
update prov.jobs set due = now(), data = data || '{"stalls": 60}'
where operation = (select (body ->> 'operation')::uuid from blocked);
select is(pg_temp.slice(), 'done', 'but not for ever');
select is(pg_temp.shown(g.body) || ' ' || (g.body #>> '{errors,0,code}'),
    'failed 1 101/101/101 overloaded', 'and it is told')
from blocked b, pg_temp.operation('get', b.body) g;
drop trigger block on prov.tenants;

create temporary table endless as
select * from pg_temp.bulk(jsonb_build_object('tenants',
    pg_temp.some('endless', 101)));
update prov.jobs set attempt = 9
where operation = (select (body ->> 'operation')::uuid from endless);
select is(pg_temp.slice(), 'next', 'what was lost nine times is done');
update prov.jobs set attempt = attempt + 10
where operation = (select (body ->> 'operation')::uuid from endless);
select is(pg_temp.slice(), 'done', 'what was lost ten times is given up');
select is(pg_temp.shown(g.body) || ' ' || (g.body #>> '{errors,0,code}'),
    'failed 1 101/101/1 overloaded', 'and it is told, too')
from endless e, pg_temp.operation('get', e.body) g;

create temporary table returned as
select * from pg_temp.bulk(jsonb_build_object('tenants',
    pg_temp.some('returned', 101)));
do $$
declare
    job record;
begin
    set local role prov_worker;

    for i in 1 .. 11 loop
        select c.id, c.attempt into job
        from prov.jobs_claim('{"worker": "w", "limit": 64, "per_queue": 8,
                               "lease": 60}', null, null) c
        where c.kind = 'bulk'
        limit 1;

        perform prov.jobs_report(jsonb_build_object('worker', 'w', 'jobs',
            jsonb_build_array(jsonb_build_object('id', job.id, 'attempt',
                job.attempt, 'verdict', 'return'))), null, null);
    end loop;

    reset role;
    perform set_config('prov.worker', '', true);
end
$$;
select is(j.attempt, 11, 'a part is given back eleven times, not begun')
from prov.jobs j, returned r
where j.operation = (r.body ->> 'operation')::uuid;
select is(pg_temp.slice() || ' ' || pg_temp.slice(), 'next done',
    'which is no reason to give up');

create temporary table hopeless as
select * from pg_temp.bulk(jsonb_build_object('tenants',
    pg_temp.some('hopeless', 101)));
update prov.jobs set attempt = 9, tries = 9
where operation = (select (body ->> 'operation')::uuid from hopeless);
select is(pg_temp.slice(), 'done', 'what has failed nine times is given up');
select is(pg_temp.shown(g.body) || ' ' || (g.body #>> '{errors,0,code}'),
    'failed 1 101/101/101 overloaded', 'before its job is, and it is told')
from hopeless h, pg_temp.operation('get', h.body) g;

-- stopped by what has changed

create temporary table halted as
select w.why, b.body
from (values ('suspended', '{}'::jsonb),
    ('revoked', '{"principal": {"kind": "key", "subject": "k", "key":
      "0194f0a0-0000-7000-8000-00000000000c", "scopes": ["*"]},
      "partner": "00000000-0000-7000-8000-00000000000a"}'),
    ('narrowed', '{"principal": {"kind": "key", "subject": "k", "key":
      "0194f0a0-0000-7000-8000-00000000000d", "scopes": ["tenant:*"]},
      "permission": "tenant:create",
      "partner": "00000000-0000-7000-8000-00000000000a"}'),
    ('quota', '{}')) as w (why, extra)
cross join lateral (
    select prov.operation_accept(pg_temp.context(
        '00000000-0000-7000-8000-00000000000a',
        '{"operation": "tenant_bulk"}' || w.extra),
        array(select jsonb_array_elements(pg_temp.some(w.why, 150))),
        false) as a) a
cross join lateral (select (a.a).body) b;
update prov.jobs set due = due + interval '1 hour' where kind = 'bulk';

create function pg_temp.halt(why text)
    returns text
    language plpgsql
as $$
declare
    whose uuid := (select h.body ->> 'operation' from halted h
                   where h.why = halt.why);
begin
    update prov.jobs set due = now() where operation = whose;
    return pg_temp.slice();
end
$$;

update prov.partners set status = 'suspended' where slug = 'alpha';
select is(pg_temp.halt('suspended'), 'done', 'a partner is suspended');
update prov.partners set status = 'active' where slug = 'alpha';
select is(pg_temp.halt('revoked'), 'done', 'a key is revoked');
insert into prov.api_keys (id, partner, name, scopes, secret_hash)
values ('0194f0a0-0000-7000-8000-00000000000d',
    '00000000-0000-7000-8000-00000000000a', 'k', '{tenant:*}', sha256('k'));
select is(pg_temp.halt('narrowed'), 'next', 'a key is good');
update prov.api_keys set scopes = '{tenant:read,webhook:*}'
where id = '0194f0a0-0000-7000-8000-00000000000d';
select is(pg_temp.halt('narrowed'), 'done', 'and then has not the scope');
insert into prov.quotas (id, quota, tenants)
select p.id, count(t.id) + 120, count(t.id)
from prov.partners p join prov.tenants t on t.partner = p.id
where p.slug = 'alpha' group by p.id;
select is(pg_temp.halt('quota') || ' ' || pg_temp.halt('quota'), 'next done',
    'a quota is reached');

select results_eq($$
    select h.why, pg_temp.shown(g.body), g.body #>> '{errors,0,code}',
        pg_temp.items(g.body)
    from halted h, pg_temp.operation('get', h.body) g
    order by h.why
$$, $$ values
    ('narrowed', 'failed 1 150/150/50', 'permission_denied',
     '100 succeeded, 50 failed permission_denied'),
    ('quota', 'failed 1 150/150/50', 'partner_quota_exceeded',
     '100 succeeded, 50 failed partner_quota_exceeded'),
    ('revoked', 'failed 1 150/150/150', 'key_revoked',
     '150 failed key_revoked'),
    ('suspended', 'failed 1 150/150/150', 'partner_unknown',
     '150 failed partner_unknown')
$$, 'that ends it, and is told');

select * from finish();
rollback;

-- as if it had never been: the next file's plans depend on sizes

vacuum full prov.tenants, prov.tenant_labels, prov.audit, prov.audit_details,
    prov.operations, prov.operation_items, prov.jobs, prov.events;
