\ir helpers.psql
select * from no_plan();

-- Operators: what their entrance opens and to whom, that no partner's call
-- gains anything by the same setting, and their keys.  What the operations do
-- is in t/operator.t.

create function pg_temp.operate(operation text, params jsonb, input jsonb,
        extra jsonb default '{}', out status int, out body json,
        out headers jsonb)
    returns setof record
    language plpgsql
as $$
declare
    ctx constant jsonb := pg_temp.context(null,
        jsonb_build_object('operation', operation) || extra) - 'partner';
begin
    set local role prov_operator;
    return query execute format(
        'select r.status, r.body, r.headers from prov.operator_enter($1) e '
        'left join lateral operator.%I(e.ctx, $2, $3) r on true', operation)
        using ctx, params, input;
    reset role;
end
$$;

create function pg_temp.with_key(key uuid)
    returns jsonb
    language sql
return jsonb_build_object('principal', jsonb_build_object('kind', 'key',
    'key', key, 'subject', key, 'scopes', '["*"]'::json));


-- who may call what

select is(has_function_privilege(role, f.oid, 'execute'),
    role = 'prov_operator', format('%s and %s', role, f.oid::regprocedure))
from pg_catalog.pg_proc f,
     unnest(array['prov_partner', 'prov_operator']) as role
where f.pronamespace = 'operator'::regnamespace
    or f.oid = 'prov.operator_enter'::regproc;
select is(has_function_privilege('prov_operator', f.oid, 'execute'), false,
    format('prov_operator and %s', f.oid::regprocedure))
from pg_catalog.pg_proc f
where f.pronamespace = 'partner'::regnamespace
    or f.oid = 'prov.enter'::regproc;
select is(pg_temp.refusal(statement, role), '42501',
    format('%s: %s', role, statement))
from unnest(array['prov_partner', 'prov_operator']) as role,
     unnest(array[
        $$ select prov.operator_key_add('mine') $$,
        $$ select prov.operator_key_revoke('mine') $$,
        $$ select prov.partner_limit(null, null) $$,
        $$ select prov.partner_save(null, null, null, null, null) $$,
        'select from prov.quotas', 'select from prov.partners',
        'select from prov.api_keys', 'update prov.quotas set quota = 9']
     ) as statement;


-- what the entrance opens

select is((select o.body -> 'data' -> 0 ->> 'slug'
    from pg_temp.operate('partner_list', '{"q": "bet"}', null) o), 'beta',
    'an operator sees partners');
select is(current_setting('prov.partner'),
    'ffffffff-ffff-ffff-ffff-ffffffffffff', 'and acts for none');
select is(pg_temp.rows_for('prov_api', 'select from ' || t), 0::bigint,
    'no row of ' || t || ' is open to him')
from unnest(array['prov.tenants', 'prov.api_keys', 'prov.audit',
    'prov.idempotency', 'prov.purges']) as t;

-- a partner's calls, had somebody made the setting for them

select pg_temp.create_tenant('beta', '{"client_name": "B",
    "email": "b@example.com", "external_id": "b"}') \g /dev/null
select pg_temp.call('partner.api_key_create', pg_temp.context('beta',
    '{"operation": "api_key_create", "granted": ["*", "tenant:read"]}'), '{}',
    '{"name": "B", "scopes": ["tenant:read"]}') \g /dev/null
select prov.operator_key_add('Root') as operators \gset

select set_config('prov.operator', '', true) \g /dev/null
create temporary table answer as
select operation, params, 'as it is' as what, c.status, c.body::text
from (values ('tenant_list', '{}'::jsonb), ('api_key_list', '{}'),
    ('audit_list', '{}')) as t (operation, params),
    pg_temp.call('partner.' || operation, pg_temp.context(
        '00000000-0000-7000-8000-00000000000a'), params, null) c;
select set_config('prov.operator', 'on', true) \g /dev/null
insert into answer
select operation, params, 'with the setting', c.status, c.body::text
from (values ('tenant_list', '{}'::jsonb), ('api_key_list', '{}'),
    ('audit_list', '{}')) as t (operation, params),
    pg_temp.call('partner.' || operation, pg_temp.context(
        '00000000-0000-7000-8000-00000000000a'), params, null) c;
select is((select array_agg(distinct a.status || a.body) from answer a
           where a.operation = o), array['200{"data": [], "next_cursor": null}'],
    o || ' shows a partner nothing more by that setting')
from unnest(array['tenant_list', 'api_key_list', 'audit_list']) as o;

select is(pg_temp.rows_for('prov_api', 'select from ' || t), 0::bigint,
    'nor does any function see another row of ' || t)
from (select set_config('prov.partner',
          '00000000-0000-7000-8000-00000000000a', true)) s,
     unnest(array['prov.tenants', 'prov.api_keys']) as t;
select is(pg_temp.rows_for('prov_api', $$ update prov.api_keys
    set revoked_at = now() $$), 0::bigint, 'nor changes a key of operators');
select is(pg_temp.refusal($$ insert into prov.api_keys (id, surface, name,
    scopes, secret_hash) values (prov.uuid7(), 'operator', 'mine', '{*}',
    sha256('x')) $$, 'prov_api'), '42501', 'nor makes one');
select is((select c.status from pg_temp.call('partner.tenant_get',
        pg_temp.context('ffffffff-ffff-ffff-ffff-ffffffffffff'),
        '{"tenant": "0194f0a0-0000-7000-8000-000000000001"}', null) c), null,
    'no partner is the operators''');
select set_config('prov.operator', '', true) \g /dev/null


-- keys of operators

select matches(:'operators'::text, '^pk_', 'a key of an operator is shown');
select substring(:'operators' from 4 for 32)::uuid as key
    \gset
select is(k.surface || ' ' || k.scopes::text || ' ' || coalesce(k.partner::text,
    'nobody'), 'operator {*} nobody', 'it is no partner''s, and may everything')
from prov.api_keys k where k.id = :'key';
select is((select o.status from pg_temp.operate('partner_list', '{}', null,
    pg_temp.with_key(:'key')) o), 200, 'who comes with it gets in');
select is((select o.status from pg_temp.operate('partner_list', '{}', null,
    pg_temp.with_key(k.id)) o), null, 'not so with a partner''s')
from prov.api_keys k where k.surface = 'partner';
select is((select c.status from pg_temp.call('partner.tenant_list',
        pg_temp.context('00000000-0000-7000-8000-00000000000a',
            pg_temp.with_key(:'key')), '{}', null) c),
    null, 'nor with it as a partner');
select isnt(prov.operator_key_revoke(:'key'), null, 'it is revoked');
select is((select o.status from pg_temp.operate('partner_list', '{}', null,
    pg_temp.with_key(:'key')) o), null, 'and lets nobody in');
select is((select r.body ->> 'code' from prov.refusal(pg_temp.context(null,
    pg_temp.with_key(:'key')) - 'partner', null, null) r), 'key_revoked',
    'who is told why');
select is(prov.operator_key_revoke(:'operators'), revoked_at,
    'twice is once, also by the key itself')
from prov.api_keys where id = :'key';
select is(pg_temp.refusal($$ select prov.operator_key_revoke(
    '00000000-0000-7000-8000-00000000000a') $$), 'P0002', 'another is unknown');
select is(pg_temp.refusal($$ select prov.operator_key_add('By the owner') $$,
    'prov_owner'), '', 'a member of prov_owner may make one');


-- what was done to a partner, found in the audit

create function pg_temp.plan_of_audit() returns text
    language plpgsql
as $$
declare
    line text;
    plan text := '';
begin
    perform set_config('prov.partner',
        'ffffffff-ffff-ffff-ffff-ffffffffffff', true);
    set local role prov_api;
    execute 'prepare w(uuid, timestamptz, uuid) as select a.*
        from prov.audit a
        where a.partner = ''ffffffff-ffff-ffff-ffff-ffffffffffff''
            and a.resource_id = $1 and (a.at, a.mutation) <= ($2, $3)
        order by a.at desc, a.mutation desc';
    for line in execute 'explain (costs off) execute w(
        ''00000000-0000-7000-8000-00000000000a'', now(),
        ''00000000-0000-7000-8000-00000000000a'')'
    loop
        plan := plan || line || E'\n';
    end loop;
    deallocate w;
    reset role;
    return plan;
end
$$;

select matches(pg_temp.plan_of_audit(), 'Index Scan Backward using '
    'audit_of_operated on audit a\n +Index Cond: \(\(resource_id = \$1\) '
    'AND \(ROW\(at, mutation\) <= ', 'by an index of its own');
select ok(pg_get_functiondef('prov.audit_page'::regproc) like
    '%where a.partner = ''ffffffff-ffff-ffff-ffff-ffffffffffff''%and '
    'a.resource_id = partner_%', 'which the list asks for');


-- counting

select o.body ->> 'partner' as small
from pg_temp.operate('partner_create', '{}', '{"slug": "small",
    "name": "Small", "tenant_quota": 2}') o \gset
select is(pg_temp.refusal(format($$ select pg_temp.create_tenant('small',
    '{"client_name": "X", "email": "%s@example.com"}') $$, n)), wanted,
    format('tenant %s of 2', n))
from (values (1, ''), (2, ''), (3, 'PV403 partner_quota_exceeded')) as t
    (n, wanted);
select is(tenants, 2, 'those that are there count') from prov.quotas
where id = :'small';
delete from prov.tenants where partner = :'small' and email = '1@example.com';
select is(tenants, 1, 'those that go do not') from prov.quotas
where id = :'small';
select is((select o.status from pg_temp.operate('partner_update',
    jsonb_build_object('partner', :'small'), '{"tenant_quota": null}') o), 200,
    'the quota goes');
select is(count(*), 0::bigint, 'and the count with it') from prov.quotas;
select is(pg_temp.refusal(format($$ select pg_temp.create_tenant('small',
    '{"client_name": "X", "email": "%s@example.com"}') $$, n)), '',
    format('tenant %s without a quota', n))
from generate_series(4, 6) n;
select pg_temp.operate('partner_update', jsonb_build_object('partner',
    :'small'), '{"tenant_quota": 3}') \g /dev/null
select is(tenants, 4, 'a quota begins with what is there') from prov.quotas
where id = :'small';

select is(current_setting('prov.partner'),
    'ffffffff-ffff-ffff-ffff-ffffffffffff',
    'and whose rows were counted is closed again');

-- counting what one statement makes

create function pg_temp.make(numbers text[], partners uuid[])
    returns text
    language sql
return pg_temp.refusal(format($$
    insert into prov.tenants (id, partner, client_name, slug, email, metadata)
    select prov.uuid7(), u.partner, u.number, 'quota-' || u.number,
        u.number || '@example.com', '{"of": "several"}'
    from unnest(%L::text[], %L::uuid[]) as u (number, partner)
    on conflict do nothing
$$, numbers, partners));

create function pg_temp.counts(partners uuid[])
    returns text
    language sql
return (
    select string_agg(concat_ws('/', q.tenants, (
            select count(*) from prov.tenants t where t.partner = u.partner), (
            select count(*) from prov.tenant_labels l
            where l.partner = u.partner)), ' ' order by u.k)
    from unnest(partners) with ordinality u (partner, k)
    left join prov.quotas q on q.id = u.partner);

select o.body ->> 'partner' as other
from pg_temp.operate('partner_create', '{}', '{"slug": "other",
    "name": "Other", "tenant_quota": 3}') o \gset
select '00000000-0000-7000-8000-00000000000a' as free \gset
select pg_temp.operate('partner_update', jsonb_build_object('partner',
    :'small'), '{"tenant_quota": 6}') \g /dev/null

select is(pg_temp.make(w.numbers, w.partners), w.said,
    'one statement: ' || w.name)
    || E'\n' || is(pg_temp.counts(array[:'small', :'other', :'free']::uuid[]),
    w.counts, 'then there are ' || w.counts)
from (values
    (1, 'one too many of three', '{a1,a2,a3}'::text[],
     array[:'small', :'small', :'small']::uuid[],
     'PV403 partner_quota_exceeded', '4/4/0 0/0/0 0/0'),
    (2, 'as many as there may be', '{a1,a2}',
     array[:'small', :'small']::uuid[], '', '6/6/2 0/0/0 0/0'),
    (3, 'nothing that is new', '{a1,a2}',
     array[:'small', :'small']::uuid[], '', '6/6/2 0/0/0 0/0'),
    (4, 'nothing at all', '{}', '{}', '', '6/6/2 0/0/0 0/0'),
    (5, 'several partners, one of which has too many', '{b1,b2,b3,b4}',
     array[:'other', :'free', :'small', :'other']::uuid[],
     'PV403 partner_quota_exceeded', '6/6/2 0/0/0 0/0'),
    (6, 'several partners', '{b1,b2,b3,b4,a1}',
     array[:'other', :'free', :'other', :'free', :'other']::uuid[], '',
     '6/6/2 2/2/2 2/2')
) as w (n, name, numbers, partners, said, counts)
order by w.n;

select is(format('%s %s', b.status, b.body -> 'created'), '201 1',
    'a bulk request up to the quota')
from pg_temp.call('partner.tenant_bulk', pg_temp.context('other',
    '{"operation": "tenant_bulk"}'), '{}', '{"tenants": [
    {"client_name": "B", "email": "b5@example.com"}]}') b;
select is(pg_temp.refusal($$ select pg_temp.call('partner.tenant_bulk',
    pg_temp.context('other', '{"operation": "tenant_bulk"}'), '{}',
    '{"tenants": [{"client_name": "B", "email": "b6@example.com"},
                  {"client_name": "B", "email": "b7@example.com"}]}') $$),
    'PV403 partner_quota_exceeded', 'and beyond it');
select is(pg_temp.counts(array[:'other']::uuid[]), '3/3/2',
    'of which nothing is made');

select * from finish();
rollback;
