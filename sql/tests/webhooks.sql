\ir helpers.psql
\ir webhooks.psql
select * from no_plan();

-- Webhook endpoints: made, shown, changed, enabled, disabled, rotated,
-- deleted; every refusal, and whose they are.


-- made

create temporary table made as
select a.*, (a.body ->> 'webhook_endpoint')::uuid as id
from pg_temp.ask('webhook_create', '{}', '{"url": "https://a.example/x",
    "event_types": ["tenant.*", "api_key.revoked", "tenant.*"],
    "headers": {"x-b": "2", "X-A": "1"}, "description": "CRM"}') a;
select id as a from made \gset

create function pg_temp.row() returns prov.webhook_endpoints language sql
    return (select w from prov.webhook_endpoints w, made m where w.id = m.id);

select is(m.status || ' ' || (m.headers - 'Location')::text,
    '201 {"ETag": "\"1\""}', 'an endpoint is made') from made m;
select is(m.headers ->> 'Location',
    '/api/provisioning/webhook-endpoints/' || m.id, 'and has a place')
from made m;
select is(m.body::jsonb - '{webhook_endpoint,secret,created_at,updated_at}'
        ::text[], '{"url": "https://a.example/x", "description": "CRM",
    "event_types": ["api_key.revoked", "tenant.*"],
    "header_names": ["X-A", "x-b"], "status": "active",
    "disabled_reason": null, "disabled_at": null, "failing_since": null,
    "algorithm": "v1", "public_key": null, "previous_until": null}',
    'types and names are sorted, each once') from made m;
select matches(m.body ->> 'secret', '^whsec_', 'its secret is shown')
from made m;
select is(to_jsonb(pg_temp.row())::text like
        '%' || (m.body ->> 'secret') || '%', false,
    'and kept as it was sealed only') from made m;
select matches((w).secret || ' ' || (w).headers,
    '^k1\.sealed\..* k1\.headers\.', 'as are headers')
from (select pg_temp.row() as w) r;
select is(count(*), 0::bigint, 'nothing secret is in the audit')
from entries e, made m
where e::text like '%' || (m.body ->> 'secret') || '%'
    or e::text like '%sealed%';
select is(e.operation || ' ' || (e.after ->> 'secret' is null),
    'webhook_create true', 'which tells of it')
from entries e where e.resource = 'webhook_endpoint' and e.resource_id = :'a';

create temporary table pair as
select a.*, (a.body ->> 'webhook_endpoint')::uuid as id
from pg_temp.ask('webhook_create', '{}', '{"url": "https://b.example",
    "event_types": ["*"], "algorithm": "v1a", "description": null,
    "headers": null}') a;
select id as b from pair \gset
select is((p.body ->> 'secret') is null and (p.body ->> 'public_key') ^@ 'whpk_'
    and w.secret ^@ 'k1.private.' and w.headers is null, true,
    'one with a pair of keys has a public key, and no secret')
from pair p join prov.webhook_endpoints w using (id);

select is(pg_temp.said('webhook_create', '{}', jsonb_build_object('url',
        'https://x', 'event_types', '["*"]'::jsonb) || more), wanted,
    format('refused: %s', more))
from (values
    ('{"event_types": ["*", "tenant.renamed"]}'::jsonb,
        '422 event_type_unknown'),
    ('{"event_types": ["tenants.*"]}', '422 event_type_unknown'),
    ('{"event_types": ["tenant"]}', '422 event_type_unknown'),
    ('{"headers": {"Host": "x"}}', '422 header_not_allowed'),
    ('{"headers": {"WEBHOOK-id": "x"}}', '422 header_not_allowed'),
    ('{"headers": {"X-A": "1", "x-a": "2"}}', '422 header_not_allowed')
) as t (more, wanted);
select is(a.body ->> 'event_type', 'api.*', 'the first that is wrong is named')
from pg_temp.ask('webhook_create', '{}', '{"url": "https://x",
    "event_types": ["tenant.*", "zebra", "api.*"]}') a;
select is(pg_temp.refusal($$ select pg_temp.ask('webhook_create', '{}',
        '{"url": "https://x", "event_types": ["*"], "headers": {"X": "y"}}',
        'alpha', '{"sealed": null}') $$), 'PV503 secrets_unavailable',
    'headers that were not sealed are not kept');
select is(count(*), 2::bigint, 'none of these was made')
from prov.webhook_endpoints;

select set_config('prov.webhook_limit', '2', true) \g /dev/null
select is(pg_temp.said('webhook_create', '{}', '{"url": "https://x",
    "event_types": ["*"]}'), '403 webhook_limit_reached',
    'there are at most so many');
select is(pg_temp.said('webhook_create', '{}', '{"url": "https://x",
    "event_types": ["*"]}', 'beta'), '201', 'of each partner');
select set_config('prov.webhook_limit', '', true) \g /dev/null

create temporary table keyed as
select n, k.* from generate_series(1, 2) n,
    pg_temp.ask_with_key('webhook_create', 'make',
        jsonb_build_object('n', n) - 'n',
        '{"url": "https://x", "event_types": ["*"]}') k;
select is(string_agg(k.status || ' ' || ((k.body ->> 'secret') is null), ', '
        order by k.n) || ' ' || count(distinct k.body ->> 'webhook_endpoint'),
    '201 false, 201 true 1', 'a repetition makes none, and shows no secret')
from keyed k;

select is(t.status || ' ' || (t.body #>> '{resource,url}') || ' '
        || ((t.body #>> '{resource,secret}') is null),
    '201 https://dry true', 'it can be tried, which shows no secret')
from pg_temp.try('webhook_create', '{}', '{"url": "https://dry",
    "event_types": ["*"]}') t;
select is(count(*), 0::bigint, 'and makes none')
from prov.webhook_endpoints where url = 'https://dry';


-- shown

select is(a.status || ' ' || a.headers || ' ' || (a.body::jsonb
        = (m.body::jsonb - 'secret')), '200 {"ETag": "\"1\""} true',
    'it is shown, without its secret')
from made m, pg_temp.ask('webhook_get', pg_temp.hook(m.id)) a;

select is(json_array_length(a.body -> 'data') || ' '
        || ((a.body ->> 'next_cursor') is null), '3 true', 'all are listed')
from pg_temp.ask('webhook_list') a;
create temporary table pages as
with recursive page as (
    select a.body, 1 as n from pg_temp.ask('webhook_list', '{"limit": 2}') a
    union all
    select a.body, p.n + 1
    from page p
    cross join lateral pg_temp.ask('webhook_list', jsonb_build_object('limit',
        2, 'cursor', p.body ->> 'next_cursor')) a
    where p.body ->> 'next_cursor' is not null
)
select d ->> 'webhook_endpoint' as id, p.n, k
from page p, json_array_elements(p.body -> 'data') with ordinality d (d, k);
select is(count(distinct id) || ' ' || max(n), '3 2', 'page by page')
from pages;
select is(pg_temp.said('webhook_list', '{"cursor": "x"}'),
    '400 invalid_cursor', 'a cursor is looked at');
select matches(a.headers ->> 'Link', '^</api/provisioning/webhook-endpoints\?'
    'limit=1&cursor=[A-Za-z0-9_-]{36}>; rel="next"$', 'the link is there')
from pg_temp.ask('webhook_list', '{"limit": 1}') a;


-- changed

create temporary table hidden as
select w.headers, w.secret from prov.webhook_endpoints w where w.id = :'a';

select is(a.status || ' ' || (a.headers ->> 'ETag') || ' '
        || (a.body ->> 'description') || ' ' || (a.body ->> 'url') || ' '
        || (a.body ->> 'header_names'),
    '200 "2" Other https://a.example/x ["X-A","x-b"]',
    'what is named is changed, the rest stays')
from pg_temp.ask('webhook_update', pg_temp.hook(:'a'),
    '{"description": "Other"}') a;
select is((w.headers, w.secret)::text, (h.headers, h.secret)::text,
    'what is sealed, too')
from hidden h, prov.webhook_endpoints w where w.id = :'a';
select is(coalesce(a.body ->> 'description', '')
        || (a.body ->> 'header_names'), '["X-C"]',
    'null removes; headers are replaced as a whole')
from pg_temp.ask('webhook_update', pg_temp.hook(:'a'),
    '{"description": null, "headers": {"X-C": "3"}}') a;
select isnt(w.headers, h.headers, 'those that are kept, too')
from hidden h, prov.webhook_endpoints w where w.id = :'a';
select is(a.body ->> 'header_names', '[]', 'or removed')
from pg_temp.ask('webhook_update', pg_temp.hook(:'a'), '{"headers": null}') a;
select is(w.headers, null, 'which leaves nothing of them')
from prov.webhook_endpoints w where w.id = :'a';
select is(pg_temp.said('webhook_update', pg_temp.hook(:'a') || params, input),
    wanted, format('refused: %s %s', params, input))
from (values
    ('{"If-Match": "\"1\""}'::jsonb, '{"url": "https://x"}'::jsonb,
        '412 precondition_failed'),
    ('{}', '{"event_types": ["x.*"]}', '422 event_type_unknown'),
    ('{}', '{"headers": {"Expect": "x"}}', '422 header_not_allowed')
) as t (params, input, wanted);
select is(pg_temp.said('webhook_update', pg_temp.hook(:'a')
        || '{"If-Match": "\"4\""}', '{"event_types": ["tenant.created"]}'),
    '200', 'of the version that is there');
select is(e.before ->> 'event_types' || (e.after ->> 'event_types'),
    '["api_key.revoked","tenant.*"]["tenant.created"]',
    'the audit has both')
from entries e where e.resource_id = :'a' order by e.seq desc limit 1;
select is(string_agg(d ->> 'path', ' ' order by d ->> 'path'),
    '/updated_at /url', 'a change can be tried')
from pg_temp.try('webhook_update', pg_temp.hook(:'a'),
    '{"url": "https://dry"}') t, json_array_elements(t.body -> 'diff') d
where t.status = 200;
select is(url, 'https://a.example/x', 'and is not made')
from prov.webhook_endpoints where id = :'a';

-- another URL begins anew

update prov.webhook_endpoints set failing_since = now() - interval '4 days'
where id = :'a';
select isnt(a.body ->> 'failing_since', null,
    'another description does not make a receiver better')
from pg_temp.ask('webhook_update', pg_temp.hook(:'a'),
    '{"description": "x"}') a;
select isnt(a.body ->> 'failing_since', null, 'nor the same URL')
from pg_temp.ask('webhook_update', pg_temp.hook(:'a'),
    '{"url": "https://a.example/x"}') a;
select is(a.body ->> 'failing_since', null, 'another one has not failed yet')
from pg_temp.ask('webhook_update', pg_temp.hook(:'a'),
    '{"url": "https://other.example/x"}') a;

insert into prov.jobs (id, kind, queue, partner, attempt, lease_worker,
    lease_until, leased_at)
values ('0194f0a0-0000-7000-8000-000000000021', 'webhook', :'a',
    '00000000-0000-7000-8000-00000000000a', 1, 'w', now() + interval '1 min',
    clock_timestamp());
select pg_temp.ask('webhook_update', pg_temp.hook(:'a'),
    '{"url": "https://third.example/x"}') \g /dev/null
select is(r.accepted, true, 'what was on its way to the one before')
from prov.jobs_report('{"worker": "w", "jobs": [{
    "id": "0194f0a0-0000-7000-8000-000000000021", "attempt": 1,
    "verdict": "failed", "log": {"status": 410}}]}', null, null) r;
select is((w).status || ' ' || ((w).failing_since is null), 'active true',
    'says nothing of it')
from (select pg_temp.row() as w) r;


-- disabled and enabled

select is((a.body ->> 'status') || ' ' || (a.body ->> 'disabled_reason')
        || ' ' || ((a.body ->> 'disabled_at') is not null), 'disabled requested '
        'true', 'an endpoint is disabled')
from pg_temp.ask('webhook_disable', pg_temp.hook(:'a')) a;
update prov.webhook_endpoints set disabled_reason = 'gone', failing_since = now()
where id = :'a';
select is(a.body ->> 'disabled_reason', 'gone', 'whatever the reason was')
from pg_temp.ask('webhook_disable', pg_temp.hook(:'a')) a;
select is((a.body ->> 'status') || coalesce(a.body ->> 'disabled_reason',
        a.body ->> 'disabled_at', a.body ->> 'failing_since', ''), 'active',
    'one that is enabled has a clean record')
from pg_temp.ask('webhook_enable', pg_temp.hook(:'a')) a;
select is(pg_temp.said(operation, pg_temp.hook(:'a')
        || '{"If-Match": "\"1\""}'), '412 precondition_failed',
    operation || ' of a version that is no more')
from unnest(array['webhook_enable', 'webhook_disable', 'webhook_rotate',
    'webhook_delete']) operation;
select is(t.body #>> '{resource,status}', 'disabled', 'it can be tried')
from pg_temp.try('webhook_disable', pg_temp.hook(:'a'), null) t;
select is((w).status, 'active', 'which changes nothing')
from (select pg_temp.row() as w) r;


-- rotated

create temporary table rotated (n serial, status int, body json, secret text);
create function pg_temp.rotate(input jsonb) returns text language plpgsql
as $$
declare
    a record;
begin
    a := pg_temp.ask('webhook_rotate', (select pg_temp.hook(id) from made),
        input);
    insert into rotated (status, body, secret)
    select a.status, a.body, w.secret from pg_temp.row() w;
    return concat_ws(' ', a.status, a.body ->> 'code');
end
$$;

-- of which rotations the secrets sign now, the current one first

create function pg_temp.signs() returns text language sql
    return (
        select string_agg(r.n::text, ' ' order by s.k)
        from pg_temp.row() w,
            jsonb_array_elements_text(to_jsonb(array[w.secret])
                || prov.webhook_previous(w, now())::jsonb)
                with ordinality s (secret, k)
        join rotated r on r.secret = s.secret);

insert into rotated (secret) select (pg_temp.row()).secret;
select is(pg_temp.rotate('{"overlap_seconds": 3600}'), '200',
    'a secret is rotated');
select is(r.body ->> 'secret' ^@ 'whsec_' and (r.body ->> 'previous_until')
        = prov.rfc3339((now() + interval '1 h')::timestamptz(3)), true,
    'another one is shown, and until when the one before is good')
from rotated r where n = 2;
select is(pg_temp.signs(), '2 1', 'both sign');
select is(pg_temp.rotate(null), '200', 'a day, if it is not said');
select is(pg_temp.rotate('{"overlap_seconds": 60}'), '200', 'or less');
select is(pg_temp.signs(), '4 3 2 1', 'none is lost before its time');
select is(r.body ->> 'previous_until',
    prov.rfc3339((now() + interval '1 day')::timestamptz(3)),
    'until when earlier ones are good is when the last of them ends')
from rotated r where n = 4;
select is(pg_temp.rotate('{"overlap_seconds": 60}'),
    '409 rotation_limit_reached', 'more than three are not kept');
select is((r.body ->> 'until', r.body ->> 'limit', r.body ->> 'detail')::text,
    format('(%s,3,"Requests are signed with 3 earlier secrets already, one of '
        'them until %1$s. Rotate again after that, or end all of them at once '
        'with ""overlap_seconds"": 0.")',
        prov.rfc3339((now() + interval '1 min')::timestamptz(3))),
    'and until when, and what to do, is said') from rotated r where n = 5;
delete from rotated where n = 5;
select is(pg_temp.signs(), '4 3 2 1', 'nothing was changed');
update prov.webhook_endpoints w
set previous_untils[1] = now() where w.id = :'a';
select is(pg_temp.rotate('{"overlap_seconds": 60}'), '200',
    'as soon as one has ended, it can be');
select is(pg_temp.signs(), '6 4 2 1', 'which signs no more');
select is(pg_temp.rotate('{"overlap_seconds": 0}') || pg_temp.signs(),
    '2007', 'without overlap all earlier ones end');
select is(r.body ->> 'previous_until', null, 'at once')
from rotated r where n = 7;

select is(a.body ->> 'public_key' <> (p.body ->> 'public_key')
        and (a.body ->> 'secret') is null, true,
    'a pair of keys is rotated likewise')
from pair p, pg_temp.ask('webhook_rotate', pg_temp.hook(p.id)) a;
select is(w.secret ^@ 'k1.private.' and w.previous_secrets[1] ^@ 'k1.private.',
    true, 'the private ones are kept')
from prov.webhook_endpoints w where w.id = :'b';
select is(t.status || coalesce(t.body #>> '{resource,secret}', ''), '200',
    'a rotation can be tried, which shows no secret')
from pg_temp.try('webhook_rotate', pg_temp.hook(:'a'), null) t;
select is(pg_temp.signs(), '7', 'and is none');
select is(string_agg((k.body ->> 'secret' is null)::text, ' ' order by n)
        || count(distinct k.body ->> 'updated_at'), 'false true1',
    'a repetition with the same key rotates once')
from generate_series(1, 2) n,
    pg_temp.ask_with_key('webhook_rotate', 'rotate', pg_temp.hook(:'a')
        || jsonb_build_object('n', n) - 'n', '{"overlap_seconds": 60}') k;
select is(cardinality((pg_temp.row()).previous_secrets), 1,
    'so one secret is kept');


-- somebody else's, and nobody's

create temporary table kept as select pg_temp.row() as w;
select is(pg_temp.said(operation, pg_temp.hook(id), input, partner),
    '404 webhook_not_found', format('%s: %s', operation, what))
from (values ('webhook_get', null::jsonb), ('webhook_update', '{}'),
    ('webhook_delete', null), ('webhook_enable', null),
    ('webhook_disable', null), ('webhook_rotate', null),
    ('webhook_test', null),
    ('webhook_recover', '{"since": "2025-01-01T00:00:00Z"}')) o (operation,
        input),
    (values (:'a'::uuid, 'beta', 'another partner''s'),
        ('00000000-0000-7000-8000-00000000dead', 'alpha', 'unknown'))
        w (id, partner, what);
select is(pg_temp.row(), k.w, 'nothing of it was changed') from kept k;
select is(count(*) filter (where d ->> 'webhook_endpoint' in (:'a', :'b')),
    0::bigint, 'nor is it in another partner''s list')
from pg_temp.ask('webhook_list', '{}', null, 'beta') a,
    json_array_elements(a.body -> 'data') d;
select is(pg_temp.rows_for('prov_api', statement), 0::bigint,
    'no function sees it: ' || regexp_replace(statement, '\s+', ' ', 'g'))
from (select set_config('prov.partner',
          '00000000-0000-7000-8000-00000000000b', true),
        set_config('prov.worker', '', true)) s,
    unnest(array[
        $$ select from prov.webhook_endpoints
           where partner <> '00000000-0000-7000-8000-00000000000b' $$,
        $$ update prov.webhook_endpoints set url = 'https://evil'
           where partner <> '00000000-0000-7000-8000-00000000000b' $$,
        $$ delete from prov.webhook_endpoints
           where partner <> '00000000-0000-7000-8000-00000000000b' $$
    ]) statement;


-- deleted

select is(t.body #>> '{resource,deleted}', 'true', 'that can be tried')
from pg_temp.try('webhook_delete', pg_temp.hook(:'a'), null) t;
select is(a.status || ' ' || (a.body ->> 'deleted'), '200 true',
    'an endpoint is deleted')
from pg_temp.ask('webhook_delete', pg_temp.hook(:'a')) a;
select is(pg_temp.said('webhook_delete', pg_temp.hook(:'a')),
    '404 webhook_not_found', 'once');
select is(e.before ->> 'url' || coalesce(e.after ->> 'url', ''),
    'https://third.example/x', 'the audit knows what it was')
from entries e where e.operation = 'webhook_delete'
    and e.resource_id = :'a';

select is(e.last is not null and e.reason is null, true,
    'the chain of all this holds')
from (select set_config('prov.partner',
          '00000000-0000-7000-8000-00000000000a', true)) s,
    prov.audit_fault('00000000-0000-7000-8000-00000000000a', 1, 1000) e;

select * from finish();
rollback;
