\ir helpers.psql
select * from no_plan();

create temporary table t as
select c.body ->> 'tenant' as id
from pg_temp.create_tenant('alpha', '{"client_name": "T",
    "email": "t@example.com"}') c;

create function pg_temp.ask(operation text, params jsonb default '{}',
        input jsonb default null, partner text default 'alpha',
        out status int, out body json, out headers jsonb)
    language plpgsql
as $$
begin
    select c.* into status, body, headers
    from t, pg_temp.call('partner.configuration_' || operation,
        pg_temp.context(partner, jsonb_build_object('operation',
            'configuration_' || operation)),
        jsonb_build_object('tenant', t.id) || params, input) c;
end
$$;

-- a merge patch, with the examples of RFC 7396

select is(prov.json_merge(original, patch), result,
    format('%s and %s', original, patch))
from (values
    ('{"a":"b"}'::jsonb, '{"a":"c"}'::jsonb, '{"a":"c"}'::jsonb),
    ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'),
    ('{"a":"b"}', '{"a":null}', '{}'),
    ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'),
    ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'),
    ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'),
    ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'),
    ('["a","b"]', '["c","d"]', '["c","d"]'),
    ('{"a":"b"}', '["c"]', '["c"]'),
    ('{"a":"foo"}', 'null', 'null'),
    ('{"a":"foo"}', '"bar"', '"bar"'),
    ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'),
    ('[1,2]', '{"a":"b","c":null}', '{"a":"b"}'),
    ('{}', '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}')
) as w (original, patch, result);

-- versions

select is(format('%s %s %s', g.status, g.body::text, g.headers), format(
    '200 {"tenant": "%s", "version": 0, "created_at": null, '
    '"configuration": {}} {"ETag": "\"0\""}', t.id),
    'in the beginning it is empty')
from t, pg_temp.ask('get') g;

create temporary table said (n int generated always as identity, what text);
create function pg_temp.note(operation text, params jsonb, input jsonb)
    returns void
    language sql
begin atomic
    insert into said (what)
    select format('%s %s %s %s', a.status, a.body ->> 'version',
        coalesce(a.body ->> 'configuration', a.body ->> 'code'),
        a.headers ->> 'ETag')
    from pg_temp.ask(operation, params, input) a;
end;

select pg_temp.note(operation, params, input)
from (values
    (1, 'replace', '{}'::jsonb, '{"a": {"b": 1, "c": 2}}'::jsonb),
    (2, 'replace', '{}', '{"a": {"c": 2, "b": 1}}'),
    (3, 'update', '{"If-Match": "\"1\""}', '{"a": {"b": null}, "d": []}'),
    (4, 'update', '{"If-Match": "\"1\""}', '{"e": 1}'),
    (5, 'update', '{}', '{"e": null}'),
    (6, 'rollback', '{"If-Match": "\"2\""}', '{"version": 1}'),
    (7, 'rollback', '{}', '{"version": 7}'),
    (8, 'replace', '{}', jsonb_build_object('x', repeat('ü', 40000))),
    (9, 'version_get', '{"version": 2}', null),
    (10, 'version_get', '{"version": 4}', null),
    (11, 'get', '{}', null)
) as w (n, operation, params, input)
order by n \g /dev/null
select results_eq($$ select what from said order by n $$, array[
    '200 1 {"a": {"b": 1, "c": 2}} "1"',
    '200 1 {"a": {"b": 1, "c": 2}} "1"',
    '200 2 {"a": {"c": 2}, "d": []} "2"',
    '412  precondition_failed ',
    '200 2 {"a": {"c": 2}, "d": []} "2"',
    '200 3 {"a": {"b": 1, "c": 2}} "3"',
    '404  configuration_version_not_found ',
    '422  configuration_too_large ',
    '200 2 {"a": {"c": 2}, "d": []} "2"',
    '404  configuration_version_not_found ',
    '200 3 {"a": {"b": 1, "c": 2}} "3"'],
    'each change is a version, and only a change');

select is(pg_temp.refusal($$
    insert into prov.configurations (tenant, version, partner, content)
    select t.id, 9, t.partner, jsonb_build_object('x', repeat('x', 65536))
    from prov.tenants t
$$), '23514 configuration_too_large', 'the table has that bound, too');
select is(pg_temp.refusal($$
    insert into prov.configurations (tenant, version, partner, content)
    select t.id, 9, t.partner, '[]' from prov.tenants t
$$), '23514 configuration_invalid', 'and takes objects only');
select is(r.status, 200, '64 KiB are not too large')
from pg_temp.ask('replace', '{}', jsonb_build_object('x',
    repeat('x', 65536 - 9))) r;

-- compared

select is(coalesce(d.body ->> 'diff', d.body ->> 'code'), w.diff,
    format('from %s to %s', w.params ->> 'from', w.params ->> 'to'))
from (values
    ('{"from": 1, "to": 2}'::jsonb, '[{"path": "/a/b", "before": 1}, '
        '{"path": "/d", "after": []}]'),
    ('{"to": 2}', '[{"path": "/a/b", "before": 1}, '
        '{"path": "/d", "after": []}]'),
    ('{"from": 1, "to": 3}', '[]'),
    ('{"from": 0, "to": 1}', '[{"path": "/a", "after": {"b": 1, "c": 2}}]'),
    ('{"from": 1, "to": 0}', '[{"path": "/a", "before": {"b": 1, "c": 2}}]'),
    ('{"from": 1, "to": 9}', 'configuration_version_not_found'),
    ('{"from": 9}', 'configuration_version_not_found')
) as w (params, diff)
cross join lateral pg_temp.ask('diff', w.params) d;

-- listed

select is(string_agg(v ->> 'version', ' ' order by n), '4 3 2 1',
    'the versions are listed, the latest first')
from pg_temp.ask('version_list') l,
    json_array_elements(l.body -> 'data') with ordinality v (v, n);
create temporary table page as
select l.body, l.headers from pg_temp.ask('version_list', '{"limit": 2}') l;
select is(p.headers ->> 'Link', format('</api/provisioning/tenants/%s/'
    'configuration/versions?limit=2&cursor=%s>; rel="next"', t.id,
    p.body ->> 'next_cursor'), 'with a link to the next page')
from page p, t;
select is(string_agg(v ->> 'version', ' ' order by n), '2 1', 'which goes on')
from page p,
    pg_temp.ask('version_list', jsonb_build_object('limit', 2, 'cursor',
        p.body ->> 'next_cursor')) l,
    json_array_elements(l.body -> 'data') with ordinality v (v, n);
select is(l.body ->> 'code', 'invalid_cursor', 'a cursor is one of this list')
from pg_temp.ask('version_list', '{"cursor": "x"}') l;

-- written down

select results_eq($$
    select d.before ->> 'version', d.after ->> 'version', a.resource
    from t
    join prov.audit a on a.tenant = t.id::uuid
    join prov.audit_details d on d.chain = a.chain and d.seq = a.seq
    where a.resource = 'configuration'
    order by a.seq
$$, $$ values ('0', '1', 'configuration'), ('1', '1', 'configuration'),
    ('1', '2', 'configuration'), ('2', '2', 'configuration'),
    ('2', '3', 'configuration'), ('3', '4', 'configuration') $$,
    'the audit has each change, before and after');

-- whose

select is(string_agg(format('%s %s', a.status, a.body ->> 'code'), ', '),
    '404 tenant_not_found, 404 tenant_not_found, 404 tenant_not_found, '
    '404 tenant_not_found, 404 tenant_not_found, 404 tenant_not_found, '
    '404 tenant_not_found', 'of another partner''s there is nothing')
from unnest(array['get', 'replace', 'update', 'rollback', 'version_list',
    'version_get', 'diff']) operation
cross join lateral pg_temp.ask(operation, '{"version": 1}', '{"version": 1}',
    'beta') a;

-- a tenant's end

update prov.tenants set status = 'deleted', deleted_at = now();
select is(a.status || ' ' || (a.body ->> 'code'), '409 tenant_deleted',
    'of a deleted one nothing is changed')
from pg_temp.ask('replace', '{}', '{}') a;
select is(a.body ->> 'version', '4', 'but it is shown')
from pg_temp.ask('get') a;
delete from prov.tenants;
select is_empty('select from prov.configurations',
    'versions go with their tenant');

select * from finish();
rollback;
