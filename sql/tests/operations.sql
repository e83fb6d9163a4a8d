\ir helpers.psql
\ir operations.psql
select * from no_plan();

-- which are accepted

select is(b.status, w.status, w.said)
from (values
    ('as few as 100 are made at once', 100, '{}'::jsonb, '{}'::jsonb, 201),
    ('101 are not', 101, '{}', '{}', 202),
    ('nor is one, if he who asks likes it better', 1,
        '{"prefer": {"respond_async": true, "wait": 0}}', '{}', 202),
    ('another preference does not matter', 1,
        '{"prefer": {"respond_async": false, "wait": 5}}', '{}', 201),
    ('a trial is made at once', 101,
        '{"prefer": {"respond_async": true, "wait": 0}}',
        '{"dry_run": true}', 201)
) as w (said, n, extra, params, status)
cross join lateral pg_temp.bulk(jsonb_build_object('tenants',
    pg_temp.some(md5(w.said), w.n)), w.extra, w.params) b;

delete from prov.jobs where kind = 'bulk';

create temporary table asked as
select * from pg_temp.bulk(jsonb_build_object('tenants',
    pg_temp.some('each', 250) || pg_temp.some('EACH', 2)),
    '{"id": "0194f0a0-0000-7000-8000-000000000001",
      "prefer": {"respond_async": true, "wait": 0},
      "mutation": "0194f0a0-0000-7000-8000-0000000000ff"}');

select is(a.status || ' ' || pg_temp.shown(a.body), '202 pending 1 252/0/0',
    'what is accepted is shown') from asked a;
select is(a.headers, '{"ETag": "\"1\"", "Retry-After": "1",
    "Preference-Applied": "respond-async", "Location":
    "/api/provisioning/operations/0194f0a0-0000-7000-8000-000000000001"}',
    'and where it is to be found, and that it was asked for') from asked a;
select is(pg_temp.made('each'), 0::bigint, 'nothing is made yet');
select is(o.status || ' ' || o.body::text, '202 ' || a.body::text,
    'what was answered can be asked for again')
from asked a, pg_temp.call('prov.outcome', pg_temp.context('alpha',
    '{"mutation": "0194f0a0-0000-7000-8000-0000000000ff"}'), '{}', null) o;
select is(jsonb_object_agg(k, v), '{"kind": "bulk", "state": "waiting"}',
    'there is a job for it')
from asked a, prov.jobs j, jsonb_each(to_jsonb(j)) e (k, v)
where j.operation = (a.body ->> 'operation')::uuid and k in ('kind', 'state');
select is((select count(*) from prov.operations o where o.ctx ?| array[
    'mutation', 'id', 'prefer']), 0::bigint,
    'of who has asked is kept what he is');

-- how it is done

create temporary table ids as
select i.index, i.id from prov.operation_items i, asked a
where i.operation = (a.body ->> 'operation')::uuid;

select is(pg_temp.slice(), 'next', 'it is done a slice at a time');
select is(pg_temp.shown(g.body) || (g.headers ->> 'ETag')
    || (g.headers ->> 'Retry-After'), 'running 1 252/100/0"2"1',
    'and shows how far it is')
from asked a, pg_temp.operation('get', a.body) g;
select is(pg_temp.made('each'), 100::bigint, 'what is done is there');
select is(pg_temp.slice() || ' ' || pg_temp.slice(), 'next done',
    'until it is over');
select is(pg_temp.slice(), null, 'and then no more');
select is(format('%s %s %s', pg_temp.shown(g.body), g.headers,
    g.body #>> '{steps,0,status}'),
    'succeeded 1 252/252/2 {"ETag": "\"5\""} succeeded', 'it is over')
from asked a, pg_temp.operation('get', a.body) g;
select is(pg_temp.items(a.body), '250 succeeded, 2 failed email_taken',
    'each item says what became of it') from asked a;
select is_empty($$
    select 1 from ids i
    left join prov.tenants t on t.id = i.id
    where (t.id is null) <> (i.index >= 250)
$$, 'with the ids that they had from the beginning');
select is((select count(*) from prov.operation_items i
    where (i.input is null) <> (i.state = 'succeeded')), 0::bigint,
    'what is made is not kept twice');

select results_eq($$
    select e.type, count(*), count(distinct e.tenant)
    from prov.events e
    where e.tenant in (select id from ids)
        or e.data ->> 'operation' = (select body ->> 'operation' from asked)
    group by e.type order by e.type
$$, $$ values
    ('operation.completed'::text, 1::bigint, 0::bigint),
    ('tenant.created', 250, 250)
$$, 'each has left its event, and the end too');
select results_eq($$
    select e.resource, e.status::int, e.operation, e.subject, count(*)
    from entries e
    where e.resource_id in (select id from ids)
        or e.resource_id = (select (body ->> 'operation')::uuid from asked)
    group by e.resource, e.status, e.operation, e.subject
    order by e.resource, e.status
$$, $$ values
    ('operation'::text, 200, 'tenant_bulk'::text, 'user-1'::text, 1::bigint),
    ('operation', 202, 'tenant_bulk', 'user-1', 1),
    ('tenant', 201, 'tenant_bulk', 'user-1', 250)
$$, 'and in the audit it is he who has asked');

-- its items, page by page

create function pg_temp.page(params jsonb, out status int, out body json,
        out headers jsonb)
    language plpgsql
as $$
begin
    select * into status, body, headers
    from pg_temp.call('partner.operation_item_list', pg_temp.context('alpha'),
        jsonb_build_object('operation', (select a.body ->> 'operation'
                                         from asked a)) || params, null);
end
$$;

select is(json_array_length(p.body -> 'data') || ' '
    || (p.body #>> '{data,0,index}'), '100 0', 'items come page by page')
from pg_temp.page('{}') p;
select is(json_array_length(n.body -> 'data') || ' '
    || (n.body #>> '{data,0,index}') || ' ' || (n.body #>> '{data,0,state}')
    || ' ' || coalesce(n.headers ->> 'Link', '-'), '52 200 succeeded -',
    'the next after the one before')
from pg_temp.page('{"limit": 200}') p,
    pg_temp.page(jsonb_build_object('limit', 200, 'cursor',
        p.body ->> 'next_cursor')) n;
select is(json_array_length(p.body -> 'data') || ' '
    || (p.body #>> '{data,0,problem,code}') || ' '
    || (p.body #>> '{data,0,problem,tenant}'), '2 email_taken ' || t.id,
    'those in a state, and what was in their way')
from pg_temp.page('{"state": "failed"}') p, prov.tenants t
where t.email = 'each1@example.com';
select is(p.status, 400, 'a cursor belongs to its filter')
from pg_temp.page('{"limit": 1}') f, pg_temp.page(jsonb_build_object('state',
    'failed', 'cursor', f.body ->> 'next_cursor')) p;

-- purged

select is(d.status, 200, 'a tenant is purged') from prov.tenants t,
    pg_temp.call('partner.tenant_delete', pg_temp.context('alpha'),
        jsonb_build_object('tenant', t.id, 'purge', true), null) d
where t.email = 'each1@example.com';
select is(p.body #>> '{data,0,index}', '1', 'its item goes with it')
from pg_temp.page('{}') p;
select is(p.body #>> '{data,0,problem,tenant}', null,
    'and is nobody''s trouble any more')
from pg_temp.page('{"state": "failed"}') p;

-- tried again

create temporary table again as
select r.* from asked a, pg_temp.operation('retry', a.body) r;

select is(r.status || ' ' || pg_temp.shown(r.body) || ' '
    || (r.headers ->> 'Retry-After'), '202 pending 2 252/250/0 1',
    'what has failed can be tried again') from again r;
select is(format('%s %s %s', r.status, r.body ->> 'code', r.body ->> 'from'),
    '409 invalid_transition pending', 'not twice at once')
from asked a, pg_temp.operation('retry', a.body) r;
select is(pg_temp.slice(), 'done', 'it is done');
select is(pg_temp.shown(g.body) || ' ' || (g.body #>> '{steps,0,failed}')
    || ' ' || (g.body #>> '{steps,1,total}'), 'succeeded 2 252/252/1 2 2',
    'and what is not in the way any more is made')
from asked a, pg_temp.operation('get', a.body) g;
select is((select t.id from prov.tenants t
    where t.email = 'EACH1@example.com'), i.id, 'under the id it had')
from ids i where i.index = 250;

-- all or none

create temporary table whole as
select * from pg_temp.bulk(jsonb_build_object('atomic', true, 'tenants',
    pg_temp.some('whole', 150)));
select is(pg_temp.slice(), 'done', 'of all or none');
select is(pg_temp.shown(g.body), 'succeeded 1 150/150/0', 'all are made')
from whole w, pg_temp.operation('get', w.body) g;

create temporary table none as
select * from pg_temp.bulk(jsonb_build_object('atomic', true, 'tenants',
    pg_temp.some('none', 150) || pg_temp.some('NONE', 1)
    || pg_temp.some('whole', 1)));
select is(pg_temp.slice(), 'done', 'or');
select is(pg_temp.made('none'), 0::bigint, 'none is');
select is(format('%s %s %s', pg_temp.shown(g.body),
    g.body #>> '{errors,0,code}', pg_temp.items(g.body)),
    'failed 1 152/152/152 bulk_refused 150 failed bulk_refused, '
    '2 failed email_taken', 'and it is told why')
from none n, pg_temp.operation('get', n.body) g;
select is((select count(*) from prov.operation_items i, none n
    where i.operation = (n.body ->> 'operation')::uuid and i.index = 150
        and i.problem ->> 'tenant' is null), 1::bigint,
    'but of none that was not made');
select is((select e.type from prov.events e, none n
    where e.data ->> 'operation' = n.body ->> 'operation'),
    'operation.failed', 'as an event says, too');

-- cancelled

create temporary table stopped as
select * from pg_temp.bulk(jsonb_build_object('tenants',
    pg_temp.some('stopped', 250)));
select is(pg_temp.slice(), 'next', 'of one that has begun');
create temporary table cancelled as
select c.* from stopped s, pg_temp.operation('cancel', s.body) c;
select is(c.status || ' ' || pg_temp.shown(c.body), '200 cancelled 1 250/100/0',
    'what is done stays when it is cancelled') from cancelled c;
select is(pg_temp.slice(), null, 'and nothing more is');
select is(pg_temp.items(s.body), '100 succeeded, 150 cancelled',
    'the items say so') from stopped s;
select is(c.status || ' ' || (c.headers ->> 'ETag'),
    '200 ' || (d.headers ->> 'ETag'), 'twice does no harm')
from cancelled d, stopped s, pg_temp.operation('cancel', s.body) c;
select is(format('%s %s %s', c.status, c.body ->> 'code', c.body ->> 'to'),
    '409 invalid_transition cancelled', 'what is over is not cancelled')
from whole w, pg_temp.operation('cancel', w.body) c;
select is(pg_temp.shown(r.body), 'pending 2 250/100/0', 'it can go on')
from stopped s, pg_temp.operation('retry', s.body) r;
select is(pg_temp.slice() || ' ' || pg_temp.slice(), 'next done', 'later');
select is(pg_temp.made('stopped'), 250::bigint, 'and makes each once');
select is(format('%s %s', r.status, r.body ->> 'detail'), '409 The operation '
    'has nothing that could be tried again.', 'and then there is no more')
from stopped s, pg_temp.operation('retry', s.body) r;

-- cancelled while a slice is being done: whoever does it sees it in the end

create temporary table late as
select * from pg_temp.bulk(jsonb_build_object('atomic', true, 'tenants',
    pg_temp.some('late', 101)));
create function pg_temp.meanwhile()
    returns trigger
    language plpgsql security definer
as $$
begin
    update prov.operations set cancel_requested = true
    where id = (select (body ->> 'operation')::uuid from late);
    return null;
end
$$;
create trigger meanwhile after insert on prov.tenants
    for each statement execute function pg_temp.meanwhile();
select is(pg_temp.slice(), 'done', 'all or none');
drop trigger meanwhile on prov.tenants;
select is(pg_temp.made('late') || ' ' || pg_temp.items(l.body),
    '0 101 cancelled', 'are none when it is cancelled in the middle')
from late l;

-- lists, and whose they are

insert into prov.operations (id, partner, operation, status, ctx)
select prov.uuid7(), p.id, 'tenant_bulk', 'failed', '{}'
from prov.partners p, generate_series(1, 7)
where p.slug = 'alpha';

select is(l.body #>> '{data,0,status}' || ' ' || json_array_length(
    l.body -> 'data'), 'failed 2', 'operations are listed')
from pg_temp.call('partner.operation_list', pg_temp.context('alpha'),
    '{"limit": 2, "status": "failed"}', null) l;
select is((select count(*) from json_array_elements(n.body -> 'data') o
    where o ->> 'status' = 'failed'), 6::bigint, 'page by page')
from pg_temp.call('partner.operation_list', pg_temp.context('alpha'),
    '{"limit": 2, "status": "failed"}', null) l,
    pg_temp.call('partner.operation_list', pg_temp.context('alpha'),
        jsonb_build_object('limit', 50, 'status', 'failed', 'cursor',
            l.body ->> 'next_cursor'), null) n;
select is(l.status, 400, 'a cursor belongs to its filter')
from pg_temp.call('partner.operation_list', pg_temp.context('alpha'),
    '{"limit": 2}', null) f,
    pg_temp.call('partner.operation_list', pg_temp.context('alpha'),
        jsonb_build_object('status', 'failed', 'cursor',
            f.body ->> 'next_cursor'), null) l;
select is(json_array_length(l.body -> 'data'), 0, 'to nobody else')
from pg_temp.call('partner.operation_list', pg_temp.context('beta'), '{}',
    null) l;
select is(c.status || ' ' || (c.body ->> 'code'), '404 operation_not_found',
    'nor are they anybody else''s: ' || w.what)
from (values ('get'), ('item_list'), ('cancel'), ('retry')) w (what), asked a,
    pg_temp.call('partner.operation_' || w.what, pg_temp.context('beta'),
        jsonb_build_object('operation', a.body ->> 'operation'), null) c;

select * from finish();
rollback;

-- as if it had never been: the next file's plans depend on sizes

vacuum full prov.tenants, prov.tenant_labels, prov.audit, prov.audit_details,
    prov.operations, prov.operation_items, prov.jobs, prov.events;
