\ir helpers.psql
select * from no_plan();

-- a chain grows with its tenant

-- one transaction has one time, so the order is that of the ids

create function pg_temp.nth(n bigint, operation text)
    returns jsonb
    language sql
return pg_temp.context('alpha', jsonb_build_object('operation', operation,
    'mutation', '0194f0a0-0000-7000-8000-' || lpad(n::text, 12, '0'),
    'request_id', 'change-' || n));

create temporary table made as
select pg_temp.nth(1, 'tenant_create') as ctx;
create temporary table t as
select (m.ctx ->> 'id')::uuid as id, c.* from made m
cross join lateral pg_temp.call('partner.tenant_create', m.ctx, '{}',
    '{"client_name": "Chained", "email": "c@example.com"}') c;
select is(c.status, 200, 'a tenant is changed')
from t, generate_series(2, 7) n, pg_temp.call('partner.tenant_update',
    pg_temp.nth(n, 'tenant_update'), jsonb_build_object('tenant', t.id),
    jsonb_build_object('industry', 'I' || n)) c;

create function pg_temp.verify(params jsonb, partner text default 'alpha')
    returns setof json
    language sql
return (select r.body from pg_temp.call('partner.audit_verify',
    pg_temp.context(partner, '{"operation": "audit_verify"}'), params,
    null) r);

create function pg_temp.verdict(params jsonb default '{}')
    returns text
    language plpgsql
as $$
declare
    answer json;
begin
    answer := (select v from t, pg_temp.verify(
        jsonb_build_object('tenant', t.id) || params) v);
    return concat_ws(' ', answer ->> 'valid', answer ->> 'checked',
        answer #>> '{broken,seq}', answer #>> '{broken,reason}');
end
$$;

select results_eq($$ select a.seq, a.prev_hash is null, a.chain = t.id
    from t join entries a on a.tenant = t.id order by a.seq $$,
    $$ select n, n = 1, true from generate_series(1::bigint, 7) n $$,
    'each of its entries is a link');
select is(a.prev_hash, b.hash, 'which holds the hash of the one before')
from t join entries a on a.tenant = t.id
join entries b on b.chain = a.chain and b.seq = a.seq - 1;
select is(length(a.hash), 32, 'a SHA-256')
from t join entries a on a.tenant = t.id where a.seq = 1;
select is(encode(a.hash, 'hex'), encode(sha256(convert_to(format(
        '["prov.audit.1", "%s", 1, null, "%s", "%s", '
        '"00000000-0000-7000-8000-00000000000a", "%s", "tenant_create", '
        '"tenant", "%s", 201, null, 1, "user", "https://issuer.example", '
        'null, "change-1", "%s"]', t.id, a.mutation, prov.rfc3339(a.at),
        t.id, t.id, encode(sha256(convert_to(json_build_array(
            'prov.audit_details.1', 'user-1', '192.0.2.1', 'curl/8', null,
            t.body::text, t.headers::text)::text, 'UTF8')), 'hex')),
        'UTF8')), 'hex'), 'of the documented form')
from t join entries a on a.tenant = t.id where a.seq = 1;

select is(pg_temp.verdict(), 'true 7', 'the chain is proven');
select is(pg_temp.verdict('{"from": 4}'), 'true 4', 'or its end');
select is(v ->> 'next_from', '4', 'or a part, which says how to go on')
from t, pg_temp.verify(jsonb_build_object('tenant', t.id, 'limit', 3)) v;
select is(pg_temp.verdict('{"from": 4, "limit": 2}'), 'true 2',
    'from where it ended');
select is(pg_temp.verdict('{"from": 8}'), 'true 0', 'after its end is nothing');
select is(v #>> '{last,hash}', encode(a.hash, 'hex'), 'the end is told')
from t join entries a on a.tenant = t.id and a.seq = 7,
    pg_temp.verify(jsonb_build_object('tenant', t.id)) v;
select is(pg_temp.verdict(jsonb_build_object('anchor',
        a.seq || ':' || encode(a.hash, 'hex'))), 'true 7',
    'a link that is known from before is still there')
from t join entries a on a.tenant = t.id where a.seq = 5;
select is(pg_temp.verdict(jsonb_build_object('anchor', anchor)), wanted,
    'or not: ' || wanted)
from (values ('5:' || repeat('00', 32), 'false 7 5 replaced'),
    ('9:' || repeat('00', 32), 'false 7 9 missing')) as a (anchor, wanted);
select is(r.status || ' ' || (r.body ->> 'code'), '404 tenant_not_found',
    'another partner''s is not found')
from t, pg_temp.call('partner.audit_verify', pg_temp.context('beta'),
    jsonb_build_object('tenant', t.id), null) r;

-- the partner's own chain

select set_config('prov.partner', '00000000-0000-7000-8000-00000000000a',
    true) \g /dev/null
select lives_ok(format($$ select prov.record(%L, 'api_key', null, null, 200,
        null, '{}', null) $$, pg_temp.nth(10 + n, 'api_key_update')
        || '{"partner": "00000000-0000-7000-8000-00000000000a"}'),
    'what concerns no tenant is recorded') from generate_series(1, 3) n;
select is(v ->> 'chain' || ' ' || (v ->> 'valid') || ' ' || (v ->> 'checked'),
    '00000000-0000-7000-8000-00000000000a true 3', 'in the partner''s chain')
from pg_temp.verify('{}') v;
select is(v ->> 'valid' || ' ' || (v ->> 'checked'), 'true 0',
    'which another partner does not see')
from pg_temp.verify('{}', 'beta') v;

-- what an outcome has shut out is no link

select is(o.status, 0, 'a mutation is shut out')
from pg_temp.call('prov.outcome', pg_temp.nth(20, 'tenant_delete'), '{}',
    null) o;
select is(pg_temp.verdict(), 'true 7', 'which is no link of a chain');
select is(count(*), 1::bigint, 'but is shown') from pg_temp.call(
    'partner.audit_list', pg_temp.context('alpha'),
    '{"outcome": "not_committed"}', null) r,
    json_array_elements(r.body -> 'data') e
where e ->> 'link' is null;

-- nobody changes what was written

select is(pg_temp.refusal(statement, role), '42501',
    format('%s: %s', role, statement))
from unnest(array[session_user::text, 'prov_owner', 'prov_api',
        'prov_partner']) role,
    unnest(array['update prov.audit set status = 200',
        'delete from prov.audit', 'truncate prov.audit',
        'update prov.audit_details set ip = null',
        'truncate prov.audit_details']) statement;
select is(pg_temp.refusal('delete from prov.audit_details', role), wanted,
    role || ': details stay as long as their tenant')
from (values (session_user::text, '42501'), ('prov_partner', '42501')) as r (role, wanted);
select is(pg_temp.rows_for(role, 'delete from prov.audit_details'),
    0::bigint, role || ' deletes none that it has not been told to')
from unnest(array['prov_owner', 'prov_api']) role;
select set_config('prov.tenant', t.id::text, true) from t \g /dev/null
select is(pg_temp.refusal(format('delete from prov.audit_details where tenant '
    '= %L', t.id), 'prov_api'), '42501',
    'nor those of a tenant that is there') from t;

-- who can, being a superuser with the triggers off, is found out

create function pg_temp.tampered(statement text, params jsonb default '{}')
    returns text
    language plpgsql
as $$
declare
    verdict text;
begin
    begin
        alter table prov.audit disable trigger user;
        alter table prov.audit_details disable trigger user;
        execute format(statement, (select id from t));
        verdict := pg_temp.verdict(params);
        raise exception using errcode = 'TT000', message = verdict;
    exception
        when sqlstate 'TT000' then
            return sqlerrm;
    end;
end
$$;

select is(pg_temp.tampered(statement), wanted, format('%s: %s', regexp_replace(
    statement, '\s+', ' ', 'g'), wanted))
from (values
    ('update prov.audit set status = 200 where chain = %L and seq = 1',
        'false 0 1 altered'),
    ('update prov.audit set operation = ''x'' where chain = %L and seq = 4',
        'false 3 4 altered'),
    ('update prov.audit set at = at - interval ''1 day''
        where chain = %L and seq = 7', 'false 6 7 altered'),
    ('update prov.audit set request_id = null where chain = %L and seq = 5',
        'false 4 5 altered'),
    ('update prov.audit set hash = sha256(''x'')
        where chain = %L and seq = 3', 'false 2 3 altered'),
    ('update prov.audit a set request_id = ''x'', hash = prov.audit_hash(
            a.chain, a.seq, a.prev_hash, a.mutation, a.at, a.partner, a.tenant,
            a.operation, a.resource, a.resource_id, a.status, a.code, a.times,
            a.kind, a.issuer, a.key_id, ''x'', a.details_hash)
        where chain = %L and seq = 3', 'false 3 4 unlinked'),
    ('delete from prov.audit where chain = %L and seq = 1',
        'false 0 1 missing'),
    ('delete from prov.audit where chain = %L and seq in (4, 5)',
        'false 3 4 missing'),
    ('delete from prov.audit where chain = %L and seq = 7',
        'false 6 7 missing'),
    ('delete from prov.audit where chain = %L', 'false 0 1 missing'),
    ('update prov.audit set seq = seq + 100 where chain = %L and seq = 2',
        'false 1 2 missing'),
    ('update prov.audit_details set after = ''{}''
        where chain = %L and seq = 6', 'false 5 6 details_altered'),
    ('update prov.audit_details set subject = ''nobody''
        where chain = %L and seq = 2', 'false 1 2 details_altered'),
    ('delete from prov.audit_details where chain = %L and seq = 3',
        'false 2 3 details_missing')
) as s (statement, wanted);
select is(pg_temp.tampered('delete from prov.audit where chain = %L
    and seq < 4', '{"from": 4}'), 'false 0 3 missing',
    'a part is compared with what was before it');
select is(pg_temp.verdict(), 'true 7', 'all that was undone again');

-- a purged tenant's details are forgotten, and its chain still holds

create function pg_temp.purge()
    returns text
    language plpgsql
as $$
begin
    perform set_config('prov.partner', '00000000-0000-7000-8000-00000000000a',
        true);
    set local role prov_api;
    perform prov.purge(pg_temp.context('alpha'), p)
    from prov.tenants p
    where p.id = (select t.id from t);
    reset role;
    return pg_temp.verdict();
end
$$;
grant select on t to prov_api;
select is(pg_temp.purge(), 'true 7', 'purged, a tenant''s chain still holds');
select is(count(*), 0::bigint, 'without a detail')
from t join prov.audit_details d on d.tenant = t.id or d.chain = t.id;
select is(count(*), 7::bigint, 'which is said') from t, pg_temp.call(
    'partner.audit_list', pg_temp.context('alpha'),
    jsonb_build_object('tenant', t.id), null) r,
    json_array_elements(r.body -> 'data') e
where e #>> '{link,details}' = 'purged'
    and e #>> '{principal,subject}' is null and e ->> 'ip' is null;

-- lists

create function pg_temp.walk(filter jsonb, size int default 2)
    returns text
    language plpgsql
as $$
declare
    answer record;
    cursor_ text;
    pages  int := 0;
    found_ text[] := '{}';
begin
    loop
        select * into answer from pg_temp.call('partner.audit_list',
            pg_temp.context('alpha'), filter || jsonb_strip_nulls(
                jsonb_build_object('limit', size, 'cursor', cursor_)), null);
        found_ := found_ || array(select coalesce(e #>> '{link,seq}', '-')
            from json_array_elements(answer.body -> 'data') e);
        pages := pages + 1;
        cursor_ := answer.body ->> 'next_cursor';
        exit when cursor_ is null or pages > 20;
    end loop;
    return array_to_string(found_, ' ') || ' in ' || pages;
end
$$;

select is(pg_temp.walk(jsonb_build_object('tenant', t.id)),
    '7 6 5 4 3 2 1 in 4', 'a tenant''s entries, newest first') from t;
select is(pg_temp.walk('{}'), '- 3 2 1 7 6 5 4 3 2 1 in 6',
    'all of the partner''s');
select is(pg_temp.walk(filter), wanted, filter::text)
from (values
    ('{"operation": "tenant_create"}'::jsonb, '1 in 1'),
    ('{"operation": "tenant_update", "limit": 1}', '7 6 5 4 3 2 in 4'),
    ('{"resource": "api_key"}', '3 2 1 in 2'),
    ('{"request_id": "change-5"}', '5 in 1'),
    ('{"status": 201}', '1 in 1'),
    ('{"status": 0}', '- in 1'),
    ('{"outcome": "success", "resource": "api_key"}', '3 2 1 in 2'),
    ('{"outcome": "denied"}', ' in 1'),
    ('{"subject": "user-1"}', '3 2 1 in 2'),
    ('{"subject": "nobody"}', ' in 1'),
    ('{"key": "k"}', ' in 1'),
    ('{"after": "2100-01-01T00:00:00Z"}', ' in 1'),
    ('{"before": "2000-01-01T00:00:00Z"}', ' in 1'),
    ('{"after": "2000-01-01T00:00:00Z", "before": "2100-01-01T00:00:00Z",
        "resource": "api_key"}', '3 2 1 in 2')
) as f (filter, wanted);
select is(r.headers ->> 'Link', null, 'no next page, no Link')
from pg_temp.call('partner.audit_list', pg_temp.context('alpha'),
    '{"request_id": "a/b ä", "resource": "api_key", "limit": 1}', null) r;
select is(prov.audit_query('{"request_id": "a/b ä&", "resource": "api_key",
    "limit": 1, "cursor": "x"}'), 'request_id=a%2Fb%20%C3%A4%26&'
    'resource=api_key&', 'its filters are in the Link');
select is(r.status || ' ' || (r.body ->> 'code'), '400 invalid_cursor',
    'a cursor of another list is refused')
from pg_temp.call('partner.audit_list', pg_temp.context('alpha'),
    jsonb_build_object('cursor', prov.cursor_write('tn1', now(),
        prov.uuid7())), null) r;

-- one entry

select is(r.body::jsonb #>> '{link,hash}', encode(e.hash, 'hex'),
    'an entry is shown with its hash')
from entries e, pg_temp.call('partner.audit_get', pg_temp.context('alpha'),
    jsonb_build_object('audit', e.mutation), null) r
where e.resource = 'api_key' and e.seq = 2;
select is(r.body ->> 'after', '{}', 'and what was after')
from entries e, pg_temp.call('partner.audit_get', pg_temp.context('alpha'),
    jsonb_build_object('audit', e.mutation), null) r
where e.resource = 'api_key' and e.seq = 2;
select is(r.status || ' ' || (r.body ->> 'code'), '404 audit_not_found',
    'but not to another partner')
from entries e, pg_temp.call('partner.audit_get', pg_temp.context('beta'),
    jsonb_build_object('audit', e.mutation), null) r
where e.resource = 'api_key' and e.seq = 2;

select * from finish();
rollback;
