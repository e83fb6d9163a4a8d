\ir helpers.psql
select * from no_plan();

-- Events as they are read: pages, cursors and filters of a partner, what a
-- worker is told for its listeners, and what each costs in a table where one
-- partner has nearly everything.

\set many 30000
\set alpha '''00000000-0000-7000-8000-00000000000a'''
\set beta '''00000000-0000-7000-8000-00000000000b'''

create function pg_temp.list(partner text, params jsonb default '{}')
    returns table (status int, body json, headers jsonb)
    language sql
as $$
    select c.status, c.body, c.headers
    from pg_temp.call('partner.event_list', pg_temp.context(partner), params,
        null) c
$$;

create function pg_temp.types(body json)
    returns text
    language sql
return (select string_agg(e ->> 'type', ' ' order by n)
        from json_array_elements(body -> 'data') with ordinality d (e, n));

-- What is written here is of a transaction that has not ended: events of ones
-- that have.

create function pg_temp.event(xid int, partner text, type text,
        tenant text default null, at timestamptz default now())
    returns void
    language sql
begin atomic
    insert into prov.events (id, xid, at, partner, tenant, type, request_id,
        data)
    values (prov.uuid7(), xid::text::xid8, at, partner::uuid, tenant::uuid,
        type, 'r', json_build_object('n', xid));
end;

select results_eq('select status, body::jsonb ->> ''data'' from '
    'pg_temp.list(''alpha'')', $$ values (200, '[]') $$,
    'a partner without events has none');
select is((select body ->> 'next_cursor' from pg_temp.list('alpha',
        jsonb_build_object('cursor', (select body ->> 'next_cursor'
            from pg_temp.list('alpha'))))),
    (select body ->> 'next_cursor' from pg_temp.list('alpha')),
    'where nothing is new the cursor stays');

select pg_temp.event(9, :alpha, 'tenant.updated',
        '0194f0a0-0000-7000-8000-000000000001'),
    pg_temp.event(5, :alpha, 'tenant.created',
        '0194f0a0-0000-7000-8000-000000000001'),
    pg_temp.event(7, :beta, 'tenant.created'),
    pg_temp.event(12, :alpha, 'api_key.created'),
    pg_temp.event(13, :alpha, 'tenant.configuration.updated',
        '0194f0a0-0000-7000-8000-000000000002') \g /dev/null

select is(pg_temp.types(body), 'tenant.created tenant.updated '
    'api_key.created tenant.configuration.updated',
    'they come in the order of their transactions, the partner''s own alone')
from pg_temp.list('alpha');
select is(body ->> 'has_more', 'false', 'and no more is there')
from pg_temp.list('alpha');
select is(headers, null, 'so no page is linked to') from pg_temp.list('alpha');

select is(pg_temp.types(body) || (body ->> 'has_more'),
    'tenant.created tenant.updatedtrue', 'a page has what it is told to')
from pg_temp.list('alpha', '{"limit": 2}');
select alike(headers ->> 'Link', '</api/provisioning/events?limit=2&cursor=%>; '
    'rel="next"', 'and links to the next') from pg_temp.list('alpha',
    '{"limit": 2}');
select is(pg_temp.types(body), wanted, 'filter: ' || params)
from (values
    ('{"type": ["tenant.*"]}',
        'tenant.created tenant.updated tenant.configuration.updated'),
    ('{"type": ["tenant.created", "api_key.created"]}',
        'tenant.created api_key.created'),
    ('{"type": ["*"], "tenant": "0194f0a0-0000-7000-8000-000000000002"}',
        'tenant.configuration.updated'),
    ('{"type": ["tenant_created"]}', null),
    ('{"type": ["tenant"]}', null),
    ('{"since": "2100-01-01T00:00:00Z"}', null)) f (params, wanted)
cross join lateral pg_temp.list('alpha', params::jsonb);

select is(pg_temp.types(body), 'api_key.created tenant.configuration.updated',
    'a cursor goes with any filter, and by whatever name')
from (select body ->> 'next_cursor' as cursor
      from pg_temp.list('alpha', '{"limit": 2, "type": ["tenant.*"]}')) c
cross join lateral pg_temp.list('alpha',
    jsonb_build_object('Last-Event-ID', c.cursor, 'cursor', 'x'));
select is(format('%s %s', status, body ->> 'code'), '400 invalid_cursor',
    'no cursor: ' || left(params::text, 50))
from (values ('{"cursor": "x"}'::jsonb),
    (jsonb_build_object('cursor', prov.list_cursor('events02', '5',
        prov.uuid7()))),
    (jsonb_build_object('cursor', prov.list_cursor('events01', 'x',
        prov.uuid7()))),
    (jsonb_build_object('cursor', prov.events_cursor('1000000000000',
        prov.uuid7())))) p (params)
cross join lateral pg_temp.list('alpha', params);

-- what is not past is not shown: this very transaction has not ended

select pg_temp.call('partner.tenant_create', pg_temp.context('alpha'), '{}',
    '{"client_name": "A", "email": "a@example.com"}') \g /dev/null
select is(count(*), 5::bigint, 'a change has left its event')
from prov.events where partner = :alpha;
select is(json_array_length(body -> 'data'), 4,
    'which is not shown before it is committed')
from pg_temp.list('alpha');

-- nor is it a place to stand at, even when others begun later have ended

savepoint later;
insert into prov.events (id, partner, type) values (prov.uuid7(), :alpha, 'x');
rollback to later;
select ok(pg_current_xact_id() < pg_snapshot_xmax(pg_current_snapshot()),
    'another transaction has begun later, and has ended');
select is(format('%s %s', status, body ->> 'code'), '400 invalid_cursor',
    'a cursor of a transaction under way is none')
from pg_temp.list('alpha', jsonb_build_object('cursor',
    prov.events_cursor(pg_current_xact_id(), :alpha)));

-- one of them

select is(format('%s %s', c.status, c.body ->> 'type'), wanted, said)
from (values ('alpha', '200 tenant.updated', 'an event is shown to whose it is'),
    ('beta', '404 ', 'and to nobody else')) w (partner, wanted, said)
cross join lateral pg_temp.call('partner.event_get',
    pg_temp.context(w.partner), jsonb_build_object('event', (
        select id from prov.events where type = 'tenant.updated')), null) c;


-- What a worker is told.

create function pg_temp.since(request jsonb)
    returns table (feed int, cursor text, more boolean, chunk text)
    language plpgsql
as $$
begin
    set local role prov_worker;
    return query select * from prov.events_since(request, null, null);
    reset role;
end
$$;

create function pg_temp.begun(partner text, params jsonb default '{}',
        extra jsonb default '{}')
    returns json
    language sql
return (select body from pg_temp.call('prov.events_begin',
    pg_temp.context(partner, extra), params, null));

select is(pg_temp.begun('alpha') ->> 'partner', :alpha,
    'a stream knows whose it is');
select is(pg_temp.begun('alpha', '{"cursor": "x"}') ->> 'code',
    'invalid_cursor', 'and that a cursor is none');
select is_empty(format('select * from pg_temp.since(%L)',
    jsonb_build_object('feeds', jsonb_build_array(jsonb_build_array(:alpha,
        '{}'::jsonb, pg_temp.begun('alpha') ->> 'cursor')))),
    'it begins behind all that has been shown');
select is(regexp_replace(string_agg(format('%s %s: %s', feed, more,
        regexp_replace(chunk, 'id: \S+|data: [^\n]*|\n', ' ', 'g')),
        '; ' order by feed), '\s+', ' ', 'g'),
    '0 f: event: tenant.created event: tenant.updated event: api_key.created '
    'event: tenant.configuration.updated ; 1 f: event: tenant.created ; '
    '2 f: event: api_key.created ; 4 f: ',
    'feeds are told what is theirs, and who has nothing new is left out')
from pg_temp.since(jsonb_build_object('feeds', jsonb_build_array(
    jsonb_build_array(:alpha, '{}'::jsonb, prov.events_cursor('1', :alpha)),
    jsonb_build_array(:beta, '{}'::jsonb, prov.events_cursor('1', :alpha)),
    jsonb_build_array(:alpha, '{"type": ["api_key.*"]}'::jsonb,
        prov.events_cursor('9', 'ffffffff-ffff-ffff-ffff-ffffffffffff')),
    jsonb_build_array(:beta, '{}'::jsonb, prov.events_cursor('8', :alpha)),
    jsonb_build_array(:beta, '{"type": ["api_key.*"]}'::jsonb,
        prov.events_cursor('1', :alpha)))));
select is(format('%s %s %s', feed, cursor, more), '0  f',
    'a place that is not known is told as such')
from pg_temp.since(jsonb_build_object('feeds', jsonb_build_array(
    jsonb_build_array(:alpha, '{}'::jsonb,
        prov.events_cursor('1000000000000', :alpha)))));
select is((select chunk ~ '^id: [\w-]+\nevent: tenant\.created\ndata: \{[^\n]+\}\n\n$'
    from pg_temp.since(jsonb_build_object('feeds', jsonb_build_array(
        jsonb_build_array(:beta, '{}'::jsonb,
            prov.events_cursor('1', :alpha)))))), true,
    'an event is as Server-Sent Events have it');

-- who may listen no longer

select set_config('prov.partner', :alpha, true) \g /dev/null
insert into prov.api_keys (id, partner, name, scopes, secret_hash, expires_at,
    revoked_at, version)
select ('0194f0a0-0000-7000-8000-00000000000' || n)::uuid, :alpha, 'k',
    '{event:read}', sha256('x'), case n when 2 then now() - interval '1 s' end,
    case n when 3 then now() end, case n when 4 then 2 else 1 end
from generate_series(1, 4) n;

select is(string_agg(feed || ' ' || cursor, ', ' order by feed desc),
    '-3 key_expired, -4 key_revoked, -5 reconnect, -6 reconnect',
    'keys that are good no longer, or were changed, are told')
from pg_temp.since(jsonb_build_object('callers', jsonb_build_array(
    jsonb_build_array(:alpha),
    jsonb_build_array(:alpha, '0194f0a0-0000-7000-8000-000000000001', 1),
    jsonb_build_array(:alpha, '0194f0a0-0000-7000-8000-000000000002', 1),
    jsonb_build_array(:alpha, '0194f0a0-0000-7000-8000-000000000003', 1),
    jsonb_build_array(:alpha, '0194f0a0-0000-7000-8000-000000000004', 1),
    jsonb_build_array(:alpha, '0194f0a0-0000-7000-8000-000000000005', 1))));

update prov.partners set status = 'suspended' where id = :beta;
select is(string_agg(feed || ' ' || cursor, ', '), '-2 partner_unknown',
    'and partners that are not active')
from pg_temp.since(jsonb_build_object('callers', jsonb_build_array(
    jsonb_build_array(:alpha), jsonb_build_array(:beta))));
update prov.partners set status = 'active' where id = :beta;
select is(current_setting('prov.operator') || current_setting('prov.key'), '',
    'and nothing stays open for it');


-- What it costs: the plans of the statements, in a large table.

delete from prov.events;
insert into prov.events (id, xid, at, partner, type, data)
select ('0194f0a0-0000-7000-9000-' || lpad(to_hex(n), 12, '0'))::uuid,
    (100 + n % 500)::text::xid8,
    '2025-01-01Z'::timestamptz + n % 500 * interval '1 min',
    case when n % 1000 = 0 then :beta else :alpha end::uuid,
    case when n % 5000 = 7 then 'tenant.purged' else 'tenant.created' end,
    '{}'
from generate_series(1, :many) n;
analyze prov.events;

create function pg_temp.explained(statement text)
    returns text
    language plpgsql
as $$
declare
    line  text;
    lines text := '';
begin
    perform set_config('prov.worker', 'on', true);
    set local role prov_api;
    for line in execute 'explain (analyze, costs off, timing off) ' || statement
    loop
        lines := lines || line || E'\n';
    end loop;
    reset role;
    return lines;
end
$$;

prepare page (uuid, xid8, uuid, xid8) as
    select e.* from prov.events e
    where e.partner = $1 and (e.xid, e.id) > ($2, $3) and e.xid < $4
    order by e.xid, e.id limit 101;

select matches(plan, 'Index Scan using events_in_order .*\n\s+Index Cond: '
    '\(\(partner = \$1\) AND \(ROW\(xid, id\) > ROW\(\$2, \$3\)\) AND '
    '\(xid < \$4\)\)', said)
from (values (:alpha, 'a page is found by the index, cursor, watermark and '
        'all'),
    (:beta, 'also of who has little')) p (partner, said)
cross join lateral pg_temp.explained(format('execute page (%L, ''350'', '
    '''00000000-0000-0000-0000-000000000000'', ''600'')', p.partner)) plan;
select unalike(plan, '%Sort%', 'and needs no sorting')
from pg_temp.explained(format('execute page (%L, ''350'', '
    '''00000000-0000-0000-0000-000000000000'', ''600'')', :alpha)) plan;

select ok(b >= 100 and b < 350 and not exists (
        select from prov.events e
        where e.partner = :alpha and e.xid < b::text::xid8
            and e.at >= '2025-01-01Z'::timestamptz + interval '250 min'),
    'what was there since then is found by halving')
from (select prov.events_before(:alpha, '2025-01-01Z'::timestamptz
    + interval '250 min', '600')::text::int as b) x;
select is(prov.events_before(:alpha, '2000-01-01Z', '600')::text, '0',
    'since before the first: from the beginning');
select is(prov.events_before('00000000-0000-7000-8000-00000000dead', now(),
    '600')::text, '0', 'and where there is nothing');

-- a filter that finds little: pages end, and lead on

with recursive pages (n, body) as (
    select 1, (select body::jsonb from pg_temp.list('alpha',
        '{"type": ["tenant.purged"]}'))
    union all
    select n + 1, (select l.body::jsonb from pg_temp.list('alpha',
        jsonb_build_object('type', '["tenant.purged"]'::jsonb, 'cursor',
            body ->> 'next_cursor')) l)
    from pages where body ->> 'has_more' = 'true'
)
select ok(count(*) between 6 and 8
    and sum(jsonb_array_length(body -> 'data')) = :many / 5000,
    'a filter looks at 5,000 events a page, and finds all')
from pages;

-- an answer is bounded, whoever asks

select ok(count(*) = 100 and sum(octet_length(chunk)) < 1200000
        and bool_and(more) and count(*) filter (where cursor is null) > 10
        and count(chunk) > 10,
    'an answer ends after a megabyte; the rest is to be asked for again')
from pg_temp.since(jsonb_build_object('feeds', (
    select jsonb_agg(jsonb_build_array(:alpha, '{}'::jsonb,
        prov.events_cursor('101', :alpha)))
    from generate_series(1, 100))));

select ok(count(*) = 1000 and bool_and(more) filter (where cursor is null)
        and count(cursor) between 1 and 999 and min(feed) filter (
            where cursor is not null) = 0,
    'and so is the time that filters take which find nothing')
from pg_temp.since(jsonb_build_object('feeds', (
    select jsonb_agg(jsonb_build_array(:alpha, '{"type": ["none"]}'::jsonb,
        prov.events_cursor('50', :alpha)))
    from generate_series(1, 1000))));

select * from finish();
rollback;
