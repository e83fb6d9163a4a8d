\ir helpers.psql
select * from no_plan();

-- Row-level security, from below: what each role sees and may, by the two
-- settings alone, with no function in between.

insert into prov.tenants (id, partner, slug, client_name, email)
values
    ('0194f0a0-0000-7000-8000-000000000001',
     '00000000-0000-7000-8000-00000000000a', 'a', 'A', 'a@example.com'),
    ('0194f0a0-0000-7000-8000-000000000002',
     '00000000-0000-7000-8000-00000000000a', 'b', 'B', 'b@example.com'),
    ('0194f0a0-0000-7000-8000-000000000003',
     '00000000-0000-7000-8000-00000000000b', 'c', 'C', 'c@example.com');
insert into prov.audit (mutation, partner, status, operation)
values
    (prov.uuid7(), '00000000-0000-7000-8000-00000000000a', 201, 'x'),
    (prov.uuid7(), '00000000-0000-7000-8000-00000000000a', 201, 'x'),
    (prov.uuid7(), '00000000-0000-7000-8000-00000000000b', 201, 'x'),
    (prov.uuid7(), null, 401, 'x');

create function pg_temp.sees(role text, partner text, claim text default '')
    returns text
    language plpgsql
as $$
begin
    perform set_config('prov.partner', partner, true);
    perform set_config('prov.claim', claim, true);
    return concat_ws(' ',
        pg_temp.rows_for(role, 'select from prov.partners'),
        pg_temp.rows_for(role, 'select from prov.tenants'),
        pg_temp.rows_for(role, 'select from prov.audit'));
end
$$;

select is(pg_temp.sees('prov_api', ''), '0 0 0', 'an empty actor sees nothing');
select is(pg_temp.sees('prov_api', '00000000-0000-7000-8000-00000000000a'),
    '1 2 2', 'a partner sees itself, its tenants, its audit');
select is(pg_temp.sees('prov_api', '00000000-0000-7000-8000-00000000000b'),
    '1 1 1', 'another one sees its own');
select is(pg_temp.sees('prov_api', '00000000-0000-7000-8000-00000000dead'),
    '0 0 0', 'an unknown one sees nothing');
select is(pg_temp.sees('prov_api', '', 'alpha'), '1 0 0',
    'a claim opens that one partner''s row, and nothing of its tenants');
select is(pg_temp.sees('prov_owner', '00000000-0000-7000-8000-00000000000a'),
    '0 0 0', 'the owner is forced, and sees nothing');
reset "prov.partner";
select is(pg_temp.rows_for('prov_api', 'select from prov.tenants'), 0::bigint,
    'a setting that was never made counts as empty');

-- writes, as alpha

select set_config('prov.partner', '00000000-0000-7000-8000-00000000000a',
    true) \g /dev/null

select is(pg_temp.refusal(statement, role), wanted,
    format('%s: %s', role, regexp_replace(statement, '\s+', ' ', 'g')))
from (values
    ('prov_api', $$ insert into prov.tenants (id, partner, slug, client_name,
        email) values (prov.uuid7(), '00000000-0000-7000-8000-00000000000a',
        'mine', 'M', 'm@m') $$, ''),
    ('prov_api', $$ insert into prov.tenants (id, partner, slug, client_name,
        email) values (prov.uuid7(), '00000000-0000-7000-8000-00000000000b',
        'theirs', 'T', 't@t') $$, '42501'),
    ('prov_api', $$ insert into prov.audit (mutation, partner, status,
        operation) values (prov.uuid7(),
        '00000000-0000-7000-8000-00000000000b', 200, 'x') $$, '42501'),
    ('prov_api', $$ insert into prov.audit (mutation, partner, status,
        operation) values (prov.uuid7(), null, 200, 'x') $$, '42501'),
    ('prov_api', $$ insert into prov.partners (id, slug, name)
        values (prov.uuid7(), 'theirs', 'T') $$, '42501'),
    ('prov_api', $$ update prov.partners set slug = 'x' $$, '42501'),
    ('prov_api', $$ update prov.tenants set id = prov.uuid7() $$, '42501'),
    ('prov_api', $$ update prov.tenants set partner = null $$, '42501'),
    ('prov_api', $$ truncate prov.tenants $$, '42501'),
    ('prov_api', $$ insert into prov.migrations (version, name, checksum)
        values (99, 'x', 'x') $$, '42501'),
    ('prov_api', $$ create table prov.mine () $$, '42501'),
    ('prov_api', $$ create table partner.mine () $$, '42501'),
    ('prov_api', $$ alter table prov.tenants disable row level security $$,
        '42501'),
    ('prov_owner', $$ insert into prov.tenants (id, partner, slug, client_name,
        email) values (prov.uuid7(), '00000000-0000-7000-8000-00000000000a',
        'owners', 'O', 'o@o') $$, '42501')
) as t (role, statement, wanted);
select is(pg_temp.rows_for('prov_api', $$ update prov.partners
    set status = 'suspended' where slug = 'beta' $$), 0::bigint,
    'a partner cannot suspend another');
select is(pg_temp.rows_for('prov_api', $$ update prov.tenants
    set client_name = 'X' where partner
        <> nullif(current_setting('prov.partner', true), '')::uuid
$$), 0::bigint, 'nor change its tenants');
select is(pg_temp.rows_for('prov_api', $$ delete from prov.tenants t
    where t.partner <> nullif(current_setting('prov.partner', true), '')::uuid
$$), 0::bigint, 'nor delete them');
select is(pg_temp.rows_for('prov_owner', 'update prov.tenants set version = 2'),
    0::bigint, 'the owner changes nothing either');

-- the gateway's role: functions, and nothing else

select is(pg_temp.refusal(statement, 'prov_partner'), '42501',
    format('prov_partner: %s', regexp_replace(statement, '\s+', ' ', 'g')))
from (
    select format('select from prov.%I', t)
    from unnest(array['partners', 'tenants', 'audit', 'migrations']) t
    union all values
        ('create table prov.mine ()'),
        ('create table partner.mine ()'),
        ('create table public.mine ()'),
        ('create schema mine'),
        ('create temporary table mine ()'),
        ($$ select prov.partner_add('mine', 'Mine') $$),
        ($$ select prov.partner_set_status('alpha', 'suspended') $$),
        ($$ select prov.tenant_conflict('a@example.com', null, null) $$),
        ($$ select prov.record('{}', null, null, null, 200, null, null,
            null) $$),
        ('select prov.uuid7()'),
        ('select prov.append_only()')
) as t (statement);
select is(pg_temp.rows_for('prov_partner',
        'select prov.schema_version()'), 1::bigint,
    'it may ask for the version of the schema');

-- a function called without entering

select set_config('prov.partner', '', true) \g /dev/null
create function pg_temp.uninvited(operation text, params jsonb, input jsonb,
        out answer text)
    language plpgsql
as $$
declare
    ctx constant jsonb :=
        pg_temp.context('00000000-0000-7000-8000-00000000000a');
begin
    set local role prov_partner;
    execute format('select r.status || '' '' || r.body
        from partner.%I($1, $2, $3) r', operation)
        using ctx, params, input
        into answer;
    reset role;
end
$$;
select matches(pg_temp.uninvited('tenant_get',
    '{"tenant": "0194f0a0-0000-7000-8000-000000000001"}', null), '^404 ',
    'reads nothing');
select is(pg_temp.uninvited('tenant_list', '{}', null),
    '200 {"data": [], "next_cursor": null}', 'lists nothing');
select is(pg_temp.refusal($$ select pg_temp.uninvited('tenant_create', '{}',
    '{"client_name": "X", "email": "x@example.com"}') $$), '42501',
    'makes nothing');

-- One login for all surfaces, against the advice, and one transaction, as
-- changes that are sent together share one: each entrance begins anew.

insert into prov.webhook_endpoints (id, partner, url, secret)
values
    ('0194f0a0-0000-7000-8000-000000000011',
     '00000000-0000-7000-8000-00000000000a', 'https://a.example', 's'),
    ('0194f0a0-0000-7000-8000-000000000012',
     '00000000-0000-7000-8000-00000000000b', 'https://b.example', 's');

create role prov_trial login in role prov_partner, prov_operator, prov_worker;

create function pg_temp.enters(statement text, request jsonb,
        out answer text)
    language plpgsql
as $$
begin
    set local role prov_trial;
    execute statement into answer using request;
    reset role;
    answer := format('%s: partner=%s operator=%s worker=%s', answer,
        current_setting('prov.partner', true),
        current_setting('prov.operator', true),
        current_setting('prov.worker', true));
end
$$;

\set operate 'select e.ctx ->> ''base'' from prov.operator_enter($1) e'
\set work 'select j.kind from prov.jobs_claim($1, null, null) j'
\set list 'select string_agg(d ->> ''url'', '' '') from prov.enter($1) e, partner.webhook_list(e.ctx, ''{}'', null) r, json_array_elements(r.body -> ''data'') d'
\set claim '{"worker": "w", "limit": 1, "per_queue": 1, "lease": 1, "per_partner": 1}'

delete from prov.jobs;
select matches(pg_temp.enters(:'operate', pg_temp.context(null)),
    'operator=on worker=$', 'one login may be let in as an operator');
select matches(pg_temp.enters(:'work', :'claim'), 'worker=on',
    'and work');
select is(pg_temp.enters(:'list',
        pg_temp.context('00000000-0000-7000-8000-00000000000a')),
    'https://a.example: partner=00000000-0000-7000-8000-00000000000a '
    'operator= worker=', 'a partner it enters as sees its own all the same');
select pg_temp.enters(:'operate', pg_temp.context(null)),
    pg_temp.enters(:'work', :'claim') \g /dev/null
select is(pg_temp.enters(:'list', pg_temp.context('alpha')),
    'https://a.example: partner=00000000-0000-7000-8000-00000000000a '
    'operator= worker=', 'also one that is named by its slug');
select pg_temp.enters(:'operate', pg_temp.context(null)),
    pg_temp.enters(:'work', :'claim') \g /dev/null
select is(pg_temp.enters('select count(*) from prov.enter($1)',
        pg_temp.context('nobody')), '0: partner= operator= worker=',
    'nor is anything left to who is not let in');
select pg_temp.enters(:'work', :'claim') \g /dev/null
select is(pg_temp.enters(:'operate', pg_temp.context(null)),
    '/api/provisioning: partner=ffffffff-ffff-ffff-ffff-ffffffffffff '
    'operator=on worker=', 'an operator is no worker');
select is(pg_temp.enters('select r.verdict from prov.job_run($1, null, null) r',
        '{"worker": "w", "id": "0194f0a0-0000-7000-8000-000000000011",
          "attempt": 1}'), 'lost: partner= operator= worker=on',
    'and what runs in the database is neither''s');
select pg_temp.enters(:'operate', pg_temp.context(null)) \g /dev/null
select matches(pg_temp.enters(:'work', :'claim'),
    'partner= operator= worker=on', 'nor is a worker');
select pg_temp.enters(:'operate', pg_temp.context(null)) \g /dev/null
select matches(pg_temp.enters(
        'select count(*) from prov.jobs_report($1, null, null)',
        '{"worker": "w", "jobs": []}'), 'partner= operator= worker=on',
    'whatever he tells');

select * from finish();
rollback;
