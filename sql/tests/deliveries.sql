\ir helpers.psql
\ir webhooks.psql
select * from no_plan();

-- Deliveries: listed, shown, sent again, recovered; every refusal, and whose
-- they are.

create function pg_temp.made(partner text) returns uuid language sql
    return (select (a.body ->> 'webhook_endpoint')::uuid
            from pg_temp.ask('webhook_create', '{}', jsonb_build_object(
                'url', 'https://' || partner || '.example', 'event_types',
                '["tenant.*"]'::jsonb), partner) a);
select pg_temp.made('alpha') as a \gset
select pg_temp.made('alpha') as other \gset
select pg_temp.made('beta') as b \gset

create function pg_temp.since(input text) returns jsonb language sql
    return jsonb_build_object('since', input);


-- types

select is(string_agg(d ->> 'event_type', ' '), string_agg(t.event_type, ' '),
    'all types of events are listed')
from pg_temp.ask('event_type_list') a,
    json_array_elements(a.body -> 'data') with ordinality d (d, n)
full join (select *, row_number() over () as n from prov.event_types()) t
    using (n);


-- a test

create temporary table test as
select a.*, (a.body ->> 'delivery')::uuid as id
from pg_temp.ask('webhook_test', pg_temp.hook(:'a')) a;
select is(t.status || ' ' || t.headers || ' ' || (t.body ->> 'status')
        || ' ' || (t.body ->> 'event_type'),
    format('202 {"Location": "/api/provisioning/deliveries/%s"} pending '
        'webhook_endpoint.test', t.id), 'a test is on its way')
from test t;
select is(a.body -> 'payload' ->> 'type' || ' '
        || (a.body -> 'payload' -> 'data' ->> 'webhook_endpoint')
        || ' ' || (a.body -> 'payload' ->> 'id' = a.body ->> 'event'),
    format('webhook_endpoint.test %s true', :'a'), 'it is shown with what is '
    'sent')
from test t, pg_temp.ask('delivery_get', jsonb_build_object('delivery', t.id))
    a;
select is(count(*), 0::bigint, 'it is no event of the feed')
from prov.events e, test t where e.id = (t.body ->> 'event')::uuid;
select is(t.status || ' ' || (t.body #>> '{resource,status}'), '202 pending',
    'it can be tried')
from pg_temp.try('webhook_test', pg_temp.hook(:'a'), null) t;
select is(count(distinct k.body ->> 'delivery'), 1::bigint,
    'and repeated')
from generate_series(1, 2) n, pg_temp.ask_with_key('webhook_test', 'test',
    pg_temp.hook(:'a') || jsonb_build_object('n', n) - 'n', null) k;
select is(count(*), 2::bigint, 'so there are two')
from prov.jobs where kind = 'webhook';


-- listed: of 40 events the first ten to the other endpoint

delete from prov.jobs where kind <> 'task';
create function pg_temp.id(kind text, n int) returns uuid language sql
    return format('0194f0a0-0000-7000-%s-%s', kind, lpad(n::text, 12, '0'))
        ::uuid;
insert into prov.events (id, partner, tenant, type, data, at)
select pg_temp.id('9000', n), '00000000-0000-7000-8000-00000000000a',
    pg_temp.id('a000', n % 4), case n % 2 when 0 then 'tenant.created'
        else 'tenant.updated' end, '{"x": 1}',
    '2025-02-10T00:00:00Z'::timestamptz + n * interval '1 h'
from generate_series(0, 39) n;
insert into prov.jobs (id, kind, queue, partner, tenant, event, state, tries,
    created_at)
select pg_temp.id('b000', n), 'webhook', case when n < 10 then :'other'
        else :'a' end::uuid, e.partner, e.tenant, e.id,
    (array['waiting', 'waiting', 'done', 'failed', 'cancelled'])[n % 5 + 1],
    case n % 5 when 0 then 0 when 4 then 0 else 1 end, e.at
from generate_series(0, 39) n
join prov.events e on e.id = pg_temp.id('9000', n);

-- ids of a list, page by page, as they are numbered above

create function pg_temp.listed(params jsonb, size int default 100,
        partner text default 'alpha')
    returns text
    language plpgsql
as $$
declare
    found_ text[] := '{}';
    next   text;
    a      record;
begin
    loop
        a := pg_temp.ask('delivery_list', params || jsonb_strip_nulls(
            jsonb_build_object('limit', size, 'cursor', next)), null, partner);

        if a.status <> 200 then
            return a.status || ' ' || (a.body ->> 'code');
        end if;

        found_ := found_ || array(
            select ltrim(right(d ->> 'delivery', 12), '0')
            from json_array_elements(a.body -> 'data') d);
        next := a.body ->> 'next_cursor';

        exit when next is null;
    end loop;

    return array_to_string(found_, ' ');
end
$$;

create temporary table asked (params jsonb, wanted text);
insert into asked
select t.params, (
    select string_agg(coalesce(nullif(n::text, '0'), ''), ' '
        order by n desc)
    from generate_series(0, 39) n
    where case t.what
        when 'all' then true
        when 'none' then false
        when 'created' then n % 2 = 0
        when 'tenant' then n % 4 = 2
        when 'other' then n < 10
        when 'later' then n >= 24
        when 'earlier' then n < 24
        when 'both' then n % 5 = 3 and n % 2 = 1 and n >= 10
        else n % 5 = t.what::int end)
from (values
    ('{}'::jsonb, 'all'),
    ('{"status": "pending"}', '0'), ('{"status": "retrying"}', '1'),
    ('{"status": "succeeded"}', '2'), ('{"status": "failed"}', '3'),
    ('{"status": "cancelled"}', '4'),
    ('{"event_type": "tenant.created"}', 'created'),
    ('{"event_type": "tenant.purged"}', 'none'),
    (jsonb_build_object('tenant', pg_temp.id('a000', 2)), 'tenant'),
    (jsonb_build_object('tenant', pg_temp.id('a000', 9)), 'none'),
    (pg_temp.hook(:'other'), 'other'), (pg_temp.hook(:'b'), 'none'),
    ('{"since": "2025-02-11T00:00:00Z"}', 'later'),
    ('{"until": "2025-02-11T00:00:00Z"}', 'earlier'),
    (pg_temp.hook(:'a') || '{"status": "failed",
        "event_type": "tenant.updated"}', 'both')
) t (params, what);

select is(pg_temp.listed(a.params, size), coalesce(a.wanted, ''),
    format('deliveries, %s a page: %s', size, a.params))
from asked a, unnest(array[100, 3, 1]) size;
select is(pg_temp.listed('{}', 3, 'beta'), '', 'none is another partner''s');
select is(pg_temp.listed('{"cursor": "x"}'), '400 invalid_cursor',
    'a cursor is looked at');
select matches(a.headers ->> 'Link', '^</api/provisioning/deliveries\?'
    'status=failed&limit=1&cursor=[A-Za-z0-9_-]+>; rel="next"$',
    'a link has the filters')
from pg_temp.ask('delivery_list', '{"limit": 1, "status": "failed"}') a;
delete from prov.webhook_endpoints where id = :'other';
select is(pg_temp.listed(pg_temp.hook(:'other')), a.wanted,
    'those of an endpoint that was deleted are found by its id')
from asked a where a.params = pg_temp.hook(:'other');


-- shown

insert into prov.job_attempts (job, attempt, partner, at, status, headers,
    body, duration_ms, error)
values (pg_temp.id('b000', 13), 2, '00000000-0000-7000-8000-00000000000a',
        '2025-02-11T00:00:00Z', null, null, null, 5, 'refused'),
    (pg_temp.id('b000', 13), 5, '00000000-0000-7000-8000-00000000000a',
        '2025-02-11T00:00:05Z', 500, 'A: b', 'no', 7, 'answered 500');
select is(a.status || ' ' || (a.body -> 'payload')::text, '200 '
    || prov.event_text(e), 'a delivery is shown with what is sent')
from prov.events e, pg_temp.ask('delivery_get', jsonb_build_object('delivery',
    pg_temp.id('b000', 13))) a
where e.id = pg_temp.id('9000', 13);
select is((a.body -> 'attempts')::jsonb, '[{"attempt": 1,
    "at": "2025-02-11T00:00:00.000Z", "status": null, "duration_ms": 5,
    "error": "refused", "headers": null, "body": null}, {"attempt": 2,
    "at": "2025-02-11T00:00:05.000Z", "status": 500, "duration_ms": 7,
    "error": "answered 500", "headers": "A: b", "body": "no"}]',
    'and what came of it')
from pg_temp.ask('delivery_get', jsonb_build_object('delivery',
    pg_temp.id('b000', 13))) a;
delete from prov.events where id = pg_temp.id('9000', 12);
select is(a.status || (a.body ->> 'payload'), null,
    'of an event that is not kept the payload is not there')
from pg_temp.ask('delivery_get', jsonb_build_object('delivery',
    pg_temp.id('b000', 12))) a;


-- sent again

create function pg_temp.delivery(n int) returns jsonb language sql
    return jsonb_build_object('delivery', pg_temp.id('b000', n));

select is(a.status || ' ' || (a.body ->> 'status') || ' '
        || coalesce(a.body ->> 'finished_at', '-'), '202 pending -',
    'a delivery that has failed is sent again')
from pg_temp.ask('delivery_resend', pg_temp.delivery(13)) a;
select is((j.state, j.tries, j.due = now(), j.seq)::text, '(waiting,0,t,)',
    'at once, as if it were new')
from prov.jobs j where j.id = pg_temp.id('b000', 13);
select is(e.before ->> 'status' || ' ' || (e.after ->> 'status'),
    'failed pending', 'which the audit knows')
from entries e where e.operation = 'delivery_resend';
select is(t.body #>> '{resource,status}', 'pending', 'it can be tried')
from pg_temp.try('delivery_resend', pg_temp.delivery(18), null) t;
select is(j.state, 'failed', 'and then is not sent')
from prov.jobs j where j.id = pg_temp.id('b000', 18);
select is(string_agg(k.status || ' ' || (k.body ->> 'status'), ' '),
    '202 pending 202 pending', 'a repetition with the same key is answered')
from generate_series(1, 2) n, pg_temp.ask_with_key('delivery_resend', 'again',
    pg_temp.delivery(18) || jsonb_build_object('n', n) - 'n', null) k;
select is(count(*), 2::bigint, 'and done once')
from entries where operation = 'delivery_resend';

update prov.jobs set lease_worker = 'w',
    lease_until = clock_timestamp() + interval '1 h'
where id = pg_temp.id('b000', 15);
select is(pg_temp.said('delivery_resend', pg_temp.delivery(n), null, partner),
    wanted, what)
from (values (15, 'alpha', '409 delivery_under_way', 'not while it is made'),
    (3, 'alpha', '409 webhook_deleted', 'not to an endpoint that is gone'),
    (999, 'alpha', '404 delivery_not_found', 'nor when there is none'),
    (20, 'beta', '404 delivery_not_found', 'or it is somebody else''s'))
    t (n, partner, wanted, what);
update prov.jobs set lease_worker = null where id = pg_temp.id('b000', 15);
select is(pg_temp.said('delivery_resend', pg_temp.delivery(15)), '202',
    'what was given back for a while is sent at once');
select is(pg_temp.said('delivery_get', pg_temp.delivery(n), null, partner),
    '404 delivery_not_found', format('%s sees no delivery %s', partner, n))
from (values (999, 'alpha'), (20, 'beta')) t (n, partner);
select is(pg_temp.said('delivery_get', jsonb_build_object('delivery', j.id)),
    '404 delivery_not_found', 'a job of another kind is none')
from prov.jobs j where j.kind = 'task' limit 1;

update prov.webhook_endpoints set status = 'disabled' where id = :'a';
select is(pg_temp.said(operation, params, input), '409 webhook_disabled',
    operation || ' of an endpoint that is disabled')
from (values ('delivery_resend', pg_temp.delivery(20), null::jsonb),
    ('webhook_test', pg_temp.hook(:'a'), null),
    ('webhook_recover', pg_temp.hook(:'a'),
        pg_temp.since('2025-01-01T00:00:00Z'))) t (operation, params, input);
update prov.webhook_endpoints set status = 'active' where id = :'a';

select is(pg_temp.rows_for('prov_api', statement), 0::bigint,
    'no function sees another partner''s: ' || statement)
from (select set_config('prov.partner',
          '00000000-0000-7000-8000-00000000000b', true),
        set_config('prov.worker', '', true)) s,
    unnest(array['select from prov.jobs', 'select from prov.job_attempts',
        'select from prov.events',
        'update prov.jobs set due = now()', 'delete from prov.jobs'])
        statement;


-- recovered

delete from prov.jobs where kind <> 'task';
delete from prov.events;
insert into prov.events (id, partner, tenant, type, data, at)
select prov.uuid7_beside(prov.uuid7_at(m.at)), m.partner::uuid,
    pg_temp.id('a000', n % 4), case when n = 50 then 'api_key.created'
        else 'tenant.updated' end, json_build_object('n', n), m.at
from generate_series(1, 60) n,
    lateral (select '2025-02-10T00:00:00Z'::timestamptz
            + n * interval '1 min' as at,
        case when n = 60 then '00000000-0000-7000-8000-00000000000b'
            else '00000000-0000-7000-8000-00000000000a' end as partner) m;

-- up to 40 there was a delivery: it has succeeded, failed or was cancelled,
-- or waits

insert into prov.jobs (id, kind, queue, partner, tenant, event, state,
    created_at, tries, finished_at, due)
select prov.uuid7_beside(e.id), 'webhook', :'a', e.partner, e.tenant, e.id,
    (array['done', 'failed', 'cancelled', 'waiting'])[(e.data ->> 'n')::int % 4
        + 1], e.at, 3, now(), now() + interval '1 h'
from prov.events e where (e.data ->> 'n')::int <= 40;

-- events by number whose delivery is to be made now

create function pg_temp.due() returns text language sql
begin atomic
    select string_agg(n, ' ' order by n::int)
    from (
        select e.data ->> 'n' as n
        from prov.jobs j join prov.events e on e.id = j.event
        where j.state = 'waiting' and j.due = now()) d;
end;

create function pg_temp.recovered(input jsonb) returns text language sql
    return (select concat_ws(' ', a.status, a.body ->> 'code',
                a.body ->> 'recovered', a.body ->> 'more',
                case when a.body ->> 'next_cursor' is not null
                     then 'cursor' end)
            from pg_temp.ask('webhook_recover',
                (select pg_temp.hook(w.id) from prov.webhook_endpoints w
                 where w.partner = '00000000-0000-7000-8000-00000000000a'),
                input) a);

select is(t.status || ' ' || (t.body #>> '{resource,recovered}'), '202 38',
    'it can be tried')
from pg_temp.try('webhook_recover', pg_temp.hook(:'a'),
    pg_temp.since('2025-02-10T00:00:00Z')) t;
select is(pg_temp.due(), null, 'which sends nothing');
select is(pg_temp.recovered(pg_temp.since('2025-02-10T00:30:00Z')),
    '202 23 false', 'what was not delivered since then is sent');
select is(pg_temp.due(), '30 33 34 37 38 41 42 43 44 45 46 47 48 49 51 52 53 '
    '54 55 56 57 58 59', 'what has failed, or was cancelled, or never begun, '
    'of the types that are wanted');
select is(count(*), 0::bigint, 'each has the time of its event')
from prov.jobs j join prov.events e on e.id = j.event
where j.created_at <> e.at;
select is(pg_temp.recovered(pg_temp.since('2025-02-10T00:30:00Z')),
    '202 0 false', 'none twice');
select is(pg_temp.recovered(pg_temp.since('2025-01-01T00:00:00Z')),
    '202 15 false', 'and from before that');
select is(pg_temp.recovered(pg_temp.since('2025-02-10T00:59:00Z')),
    '202 0 false', 'the moment itself is among it, but not what is waiting');
select is((e.after ->> 'recovered', e.resource_id)::text,
    format('(0,%s)', :'a'), 'the audit tells of it')
from entries e where e.operation = 'webhook_recover'
order by e.seq desc limit 1;
update prov.jobs set state = 'failed' where kind = 'webhook';
select is(string_agg(k.body ->> 'recovered', ' '), '10 10',
    'a repetition with the same key is one')
from generate_series(1, 2) n, pg_temp.ask_with_key('webhook_recover', 'rec',
    pg_temp.hook(:'a') || jsonb_build_object('n', n) - 'n',
    pg_temp.since('2025-02-10T00:49:00Z')) k;

-- in parts

delete from prov.jobs where kind <> 'task';
delete from prov.events;
insert into prov.events (id, xid, partner, type, data, at)
select prov.uuid7_beside(prov.uuid7_at(m.at)), (n / 10 + 1)::text::xid8,
    '00000000-0000-7000-8000-00000000000a', 'tenant.updated',
    json_build_object('n', n), m.at
from generate_series(1, 9000) n,
    lateral (select '2025-02-10T00:00:00Z'::timestamptz
        + n / 7 * interval '1 s' as at) m;
insert into prov.jobs (id, kind, queue, partner, event, state, created_at, due)
select prov.uuid7_beside(e.id), 'webhook', :'a', e.partner, e.id,
    case when (e.data ->> 'n')::int <= 1500 then 'failed' else 'done' end,
    e.at, now() - interval '1 s'
from prov.events e where (e.data ->> 'n')::int <= 7800;

create function pg_temp.parts(since text) returns text language plpgsql
as $$
declare
    whose constant jsonb := (select pg_temp.hook(w.id)
        from prov.webhook_endpoints w
        where w.partner = '00000000-0000-7000-8000-00000000000a');
    said  text := '';
    next  text;
    a     record;
begin
    loop
        a := pg_temp.ask('webhook_recover', whose, jsonb_strip_nulls(
            jsonb_build_object('since', since, 'cursor', next)));

        if a.status <> 202 then
            return said || a.status;
        end if;

        said := said || (a.body ->> 'recovered') || ' ';
        next := a.body ->> 'next_cursor';

        -- what fails again is no reason to begin anew

        update prov.jobs set state = 'failed', finished_at = now(),
            due = now() - interval '1 s'
        where state = 'waiting' and kind = 'webhook'
            and created_at < '2025-02-10T00:01:00Z';

        exit when next is null;
    end loop;

    return said;
end
$$;

select is(pg_temp.parts('2025-02-10T00:00:00Z'), '1000 500 1000 200 ',
    'many are recovered in parts, each of which says where to go on');
select is(count(*) || ' ' || count(distinct event), '9000 9000',
    'so that there is a delivery of each event, and one')
from prov.jobs where kind = 'webhook';
select is(pg_temp.parts('2025-02-10T00:10:00Z'), '0 0 ',
    'what is left is looked at in parts, too');
-- rows that were read, by whatever way

create function pg_temp.reads() returns bigint language sql volatile
    return (select sum(pg_stat_get_xact_tuples_fetched(c.oid)
                + case when c.relkind = 'r'
                    then pg_stat_get_xact_tuples_returned(c.oid) else 0 end)
            from unnest(array['prov.jobs', 'prov.events']::regclass[]) t (oid)
            join pg_catalog.pg_class c
                on c.oid = t.oid
                or c.oid in (select i.indexrelid from pg_catalog.pg_index i
                             where i.indrelid = t.oid));

discard plans;
select pg_temp.reads() as before \gset
select is(pg_temp.recovered(pg_temp.since('2025-02-10T00:02:00Z')),
    '202 0 true cursor', 'of 9,000 events that were delivered');
select cmp_ok(pg_temp.reads() - :before, '<', 12000::bigint,
    'one request looks at 5,000');
select pg_temp.reads() as before \gset
select is(pg_temp.said('delivery_list', '{}'), '200', 'of as many deliveries');
select cmp_ok(pg_temp.reads() - :before, '<', 200::bigint,
    'a page reads what is on it');
select pg_temp.reads() as before \gset
select is(pg_temp.said('delivery_list', '{"status": "cancelled"}'), '200',
    'and one that leaves out most');
select cmp_ok(pg_temp.reads() - :before, '<', 6000::bigint, '5,000');

select is(pg_temp.recovered(pg_temp.since('2025-02-10T00:00:00Z')
    || jsonb_build_object('cursor', c)), '400 invalid_cursor',
    'a cursor that is none is refused: ' || c)
from unnest(array['x', repeat('A', 40),
    prov.list_cursor(prov.list_binding('operations', '{}', ''), 'd1',
        prov.uuid7()),
    prov.list_cursor(prov.list_binding('recover', jsonb_build_object(
        'webhook_endpoint', :'a', 'since',
        '2025-02-10T00:00:00Z'::timestamptz), ''), 'z1', prov.uuid7())]) c;
select is(pg_temp.recovered(pg_temp.since('2025-02-10T00:00:01Z')
    || jsonb_build_object('cursor', a.body ->> 'next_cursor')),
    '400 invalid_cursor', 'and so is one of another moment')
from pg_temp.ask('webhook_recover', pg_temp.hook(:'a'),
    pg_temp.since('2025-02-10T00:00:00Z')) a;

select * from finish();
rollback;
