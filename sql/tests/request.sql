\ir helpers.psql
select * from no_plan();

-- the entrance

insert into prov.partners (id, slug, name, status)
values ('00000000-0000-7000-8000-00000000000c', 'closed', 'C', 'suspended');

prepare entered as
select e.ctx ->> 'partner', current_setting('prov.partner'),
    current_setting('prov.tenant'), current_setting('prov.claim', true)
from prov.enter(pg_temp.context('alpha')) e;
select set_config('prov.partner', 'left over', true),
    set_config('prov.tenant', 'left over', true) \g /dev/null
select results_eq('entered', $$ values
    ('00000000-0000-7000-8000-00000000000a',
     '00000000-0000-7000-8000-00000000000a', '', '') $$,
    'a partner named by its slug is entered, whatever was left over');

select is(e.ctx ->> 'partner', '00000000-0000-7000-8000-00000000000b',
    'or by its id')
from prov.enter(pg_temp.context('00000000-0000-7000-8000-00000000000b')) e;
select is(e.ctx, pg_temp.context('00000000-0000-7000-8000-00000000000b',
        '{"mutation": 1, "id": 2}'), 'the rest of the context is untouched')
from prov.enter(pg_temp.context('00000000-0000-7000-8000-00000000000b',
    '{"mutation": 1, "id": 2}')) e;

create function pg_temp.entrance(ctx jsonb)
    returns text
    language plpgsql
as $$
declare
    n int;
begin
    perform set_config('prov.partner',
        '00000000-0000-7000-8000-00000000000a', true);
    n := (select count(*) from prov.enter(ctx));
    return n || current_setting('prov.partner')
        || current_setting('prov.tenant') || current_setting('prov.claim', true);
end
$$;

select is(pg_temp.entrance(pg_temp.context(claim)), '0',
    format('nobody enters as %s', coalesce(to_json(claim), 'null')))
from (values ('nobody'), (''), (null), ('closed'),
    ('00000000-0000-7000-8000-00000000000c'),
    ('00000000-0000-7000-8000-00000000dead'), ('ALPHA'), ('alpha '),
    ('{00000000-0000-7000-8000-00000000000a}'),
    ('0000000000007000800000000000000a'),
    (E'00000000-0000-7000-8000-00000000000a\n'), (''' or true --')
) as t (claim);
select is(pg_temp.entrance('{}'), '0', 'nor without a claim');
select is(pg_temp.entrance('{"partner": ["alpha"]}'), '0',
    'nor with one that is no string');
select is(pg_temp.refusal($$ insert into prov.partners (id, slug, name)
        values (prov.uuid7(), '00000000-0000-7000-8000-00000000000a', 'X') $$),
    '23514 partner_slug_invalid', 'no partner''s slug can pass for an id');

-- Who enters again in the same transaction is not looked for again, unless
-- somebody else has entered meanwhile.  (Nothing but this test suspends a
-- partner within a transaction.)

create function pg_temp.again(claim text, opened text, left_over text)
    returns text
    language plpgsql
as $$
declare
    request constant jsonb := pg_temp.context(claim);
    first   jsonb;
begin
    update prov.partners set status = 'active' where slug = 'alpha';
    first := (select e.ctx from prov.enter(request) e);
    update prov.partners set status = 'suspended' where slug = 'alpha';
    perform set_config('prov.partner', coalesce(opened,
            current_setting('prov.partner')), true),
        set_config(left_over, 'left over', true);
    return (select case when e.ctx = first then 'the same, ' end
                || concat(current_setting('prov.partner'), ' ',
                    current_setting('prov.tenant', true),
                    current_setting('prov.operator', true),
                    current_setting('prov.worker', true))
            from prov.enter(request) e);
end
$$;

savepoint again;
select is(pg_temp.again(claim, null, left_over),
    'the same, 00000000-0000-7000-8000-00000000000a ',
    format('who has entered as %s enters again, without what is left of %s',
        claim, left_over))
from (values ('alpha'), ('00000000-0000-7000-8000-00000000000a')) c (claim),
    (values ('prov.tenant'), ('prov.operator'), ('prov.worker')) l (left_over);
rollback to again;
select is(pg_temp.again('alpha', opened, 'prov.tenant'), null,
    format('not where "%s" is open by then', opened))
from (values (''), ('00000000-0000-7000-8000-00000000000b')) o (opened);
rollback to again;
select is(pg_temp.again('00000000-0000-7000-8000-00000000000a', '',
    'prov.tenant'), null, 'nor by id where nothing is');
select set_config('prov.partner', '00000000-0000-7000-8000-00000000000a', true)
\g /dev/null
select is((select count(*) from prov.enter(pg_temp.context(
    '00000000-0000-7000-8000-00000000000a')) e), 0::bigint,
    'nor who was refused, whatever is open');
rollback to again;
update prov.partners set status = 'active' where slug = 'closed';
select isnt_empty($$ select from prov.enter(pg_temp.context('closed')) $$,
    'another one enters');
select is((select e.ctx ->> 'partner' from prov.enter(pg_temp.context('alpha'))
    e), '00000000-0000-7000-8000-00000000000a', 'and then the first, as itself');
rollback to again;

-- partners, for an operator

set local role prov_owner;
select is(prov.partner_add('delta', 'Delta'), prov.partner_add('delta', 'D'),
    'adding a partner twice adds it once');
select is(prov.partner_set_status('delta', 'suspended'),
    prov.partner_add('delta', 'D'), 'a partner is suspended');
reset role;
select is(name || ' ' || status, 'Delta suspended', 'it stays as it was added')
from prov.partners where slug = 'delta';
select is(pg_temp.entrance(pg_temp.context('delta')), '0',
    'and does not enter any more');
select is(current_setting('prov.partner'), '',
    'neither leaves anybody''s rows open');
select is(pg_temp.refusal(statement), wanted, statement)
from (values
    ($$ select prov.partner_set_status('nobody', 'active') $$, 'P0002'),
    ($$ select prov.partner_set_status('delta', 'sleepy') $$,
        '23514 partner_status_invalid'),
    ($$ select prov.partner_add('No Slug', 'X') $$, '23514 slug_invalid'),
    ($$ select prov.partner_add('x', ' ') $$, '23514 name_invalid')
) as t (statement, wanted);

-- the audit

create function pg_temp.mutate(partner text, extra jsonb)
    returns text
    language plpgsql
as $$
begin
    perform prov.record(e.ctx || extra, 'thing', null, null, 200, '{"a": 1}',
        '{"a":  2}', '{"ETag": "\"2\""}')
    from prov.enter(pg_temp.context(partner)) e;
    return 'recorded';
end
$$;

select is(pg_temp.mutate('alpha', jsonb_build_object(
        'mutation', '0194f0a0-0000-7000-8000-000000000001',
        'ip', repeat('1', 1000), 'user_agent', repeat('ü', 1000),
        'principal', '{"kind": "key", "subject": "s", "key": "k1"}'::json)),
    'recorded', 'a mutation is recorded');
select results_eq($$
    select kind, subject, issuer, key_id, length(ip), length(user_agent),
        before::text, after::text
    from entries where mutation = '0194f0a0-0000-7000-8000-000000000001'
$$, $$ values ('key', 's', null, 'k1', 64, 512, '{"a": 1}', '{"a":  2}') $$,
    'what a caller may make long is cut');
select is(pg_temp.refusal($$ select pg_temp.mutate('alpha',
        '{"mutation": "0194f0a0-0000-7000-8000-000000000001"}') $$),
    'PV503 mutation_fenced', 'the same mutation is not recorded twice');
select is(pg_temp.refusal($$ select pg_temp.mutate('alpha',
        '{"mutation": null}') $$), '23502',
    'nothing changes without a mutation''s id');

select is(pg_temp.refusal(statement, role), '42501',
    format('%s: %s', role, statement))
from unnest(array[session_user::text, 'prov_owner', 'prov_api',
        'prov_partner']) role,
    unnest(array['update prov.audit set status = 200',
        'delete from prov.audit', 'truncate prov.audit']) statement;

-- what became of a mutation

create temporary table made as
select ctx.ctx, c.*
from (select pg_temp.context('alpha', '{"operation": "tenant_create"}') ctx)
    ctx
cross join lateral pg_temp.call('partner.tenant_create', ctx.ctx, '{}',
    '{"client_name": "Ä  B", "email": "a@example.com"}') c;

select is(o.*::text, (m.status, m.body, m.headers)::text,
    'a mutation that committed is answered as it was, to the byte')
from made m, pg_temp.call('prov.outcome', m.ctx, '{}', null) o;
select is(o.*::text, (m.status, m.body, m.headers)::text, 'and again')
from made m, pg_temp.call('prov.outcome', m.ctx, '{}', '{}') o;

create temporary table lost as
select pg_temp.context('alpha', '{"operation": "tenant_create"}') as ctx;
select is(o.*::text, '(0,,)', 'one that did not is answered with 0')
from lost l, pg_temp.call('prov.outcome', l.ctx, '{}', null) o;
select is(o.*::text, '(0,,)', 'and again')
from lost l, pg_temp.call('prov.outcome', l.ctx, '{}', null) o;
select is(pg_temp.refusal(format($$
        select pg_temp.call('partner.tenant_create', %L, '{}',
            '{"client_name": "Late", "email": "late@example.com"}')
    $$, l.ctx)), 'PV503 mutation_fenced', 'and never commits any more')
from lost l;
select is((select count(*) from prov.tenants where client_name = 'Late'),
    0::bigint, 'nothing of it is left');
select results_eq($$
    select status::int, operation, partner, tenant, after::text
    from lost l, entries a where a.mutation = (l.ctx ->> 'mutation')::uuid
$$, $$ values (0, 'tenant_create',
    '00000000-0000-7000-8000-00000000000a'::uuid, null::uuid, null::text) $$,
    'the audit keeps that it was shut out');
select is(pg_temp.refusal(format($$
        select pg_temp.call('prov.outcome', %L, '{}', null)
    $$, m.ctx || '{"partner": "beta"}')), 'PV503 outcome_unknown',
    'of somebody else''s mutation nothing is told')
from made m;

-- ready

create function pg_temp.ready(request jsonb, out status int, out body json,
        out headers jsonb)
    language plpgsql
as $$
begin
    set local role prov_partner;
    select r.status, r.body, r.headers into status, body, headers
    from prov.ready(request, null, null) r;
    reset role;
end
$$;

select is(r.status || ' ' || r.body, format(
        '200 {"status" : "ready", "schema_version" : %s}',
        (select max(version) from prov.migrations)),
    'ready: every operation is there')
from pg_temp.ready('{"surface": "partner", "operations":
    ["tenant_create", "tenant_get", "tenant_list"]}') r;
select is(r.status, 200, 'ready: nothing is asked for')
from pg_temp.ready('{"surface": "partner", "operations": []}') r;

create function partner.one_argument(jsonb, out status int, out body json,
    out headers jsonb) language sql return (1, null, null);
create function partner.text_body(ctx jsonb, params jsonb, input jsonb,
    out status int, out body text, out headers jsonb)
    language sql return (1, null, null);
create function partner.other_names(ctx jsonb, params jsonb, input jsonb,
    out status int, out payload json, out headers jsonb)
    language sql return (1, null, null);
create function partner.scalar(ctx jsonb, params jsonb, input jsonb)
    returns json language sql return 'null'::json;
create function partner.forbidden(ctx jsonb, params jsonb, input jsonb,
    out status int, out body json, out headers jsonb)
    language sql return (1, null, null);
create function partner.table_form(ctx jsonb, params jsonb, input jsonb)
    returns table (status int, body json, headers jsonb)
    language sql begin atomic select 1, null::json, null::jsonb; end;
grant execute on all functions in schema partner to prov_partner;
revoke execute on function partner.forbidden from public, prov_partner;

select is(r.status || ' ' || (r.body ->> 'code'), '503 not_ready',
    'not ready: some are not there, or not as they must be')
from pg_temp.ready('{"surface": "partner", "operations": ["gone",
    "tenant_get", "one_argument", "text_body", "other_names", "scalar",
    "forbidden", "table_form"]}') r;
select is(r.body ->> 'missing', '["partner.gone", "partner.one_argument", '
        '"partner.text_body", "partner.other_names", "partner.scalar", '
        '"partner.forbidden"]', 'they are listed')
from pg_temp.ready('{"surface": "partner", "operations": ["gone",
    "tenant_get", "one_argument", "text_body", "other_names", "scalar",
    "forbidden", "table_form"]}') r;
select is(r.body ->> 'detail', wanted, wanted)
from (values
    ('gone', 'The database cannot serve every operation: partner.gone is '
        'missing; run sql/migrate.'),
    ('scalar', 'The database cannot serve every operation: partner.scalar '
        'does not return (status integer, body json, headers jsonb); run '
        'sql/migrate.'),
    ('forbidden', 'The database cannot serve every operation: '
        'partner.forbidden may not be called; run sql/migrate.')
) as t (operation, wanted)
cross join lateral pg_temp.ready(jsonb_build_object('surface', 'partner',
    'operations', jsonb_build_array(operation))) r;
select is(r.body ->> 'missing', '["nowhere.tenant_get"]',
    'not ready: a surface that is not there')
from pg_temp.ready('{"surface": "nowhere", "operations": ["tenant_get"]}') r;
select is(r.body ->> 'detail', format('The database''s schema is at version '
        '%s, this gateway needs 9999: run sql/migrate.', max(m.version)),
    'not ready: the schema is older than the gateway')
from prov.migrations m, pg_temp.ready('{"surface": "partner", "operations": [],
    "schema_version": 9999}') r
group by r.body ->> 'detail';
create schema closed;
create function closed.tenant_get(ctx jsonb, params jsonb, input jsonb,
    out status int, out body json, out headers jsonb)
    language sql return (1, null, null);
select is(r.body ->> 'missing', '["closed.tenant_get"]',
    'not ready: a schema that the role may not use')
from pg_temp.ready('{"surface": "closed", "operations": ["tenant_get"]}') r;
delete from prov.migrations;
select is(r.body ->> 'detail', 'The database''s schema is at version 0, this '
        'gateway needs 1: run sql/migrate.', 'not ready: never migrated')
from pg_temp.ready('{"surface": "partner", "operations": []}') r;

select * from finish();
rollback;
