\ir helpers.psql
select * from no_plan();

-- Each change leaves its event, and a job for each endpoint that wants it.

create function pg_temp.types(partner text, since uuid default null)
    returns text
    language sql
return (select string_agg(e.type, ' ' order by e.ctid) from prov.events e
    where e.partner = types.partner::uuid and (since is null or e.id > since));

\set alpha 00000000-0000-7000-8000-00000000000a
\set beta 00000000-0000-7000-8000-00000000000b

create function pg_temp.act(operation text, params jsonb,
        input jsonb default null, partner text default 'alpha',
        out status int, out body json, out headers jsonb)
    language sql
begin atomic
    select c.* from pg_temp.call('partner.' || act.operation,
        pg_temp.context(act.partner, jsonb_build_object('operation',
            act.operation, 'granted', array['*', 'tenant:read'])),
        act.params, act.input) c;
end;

-- a tenant's life

create temporary table one as
select (c.body ->> 'tenant')::uuid as id, c.body
from pg_temp.create_tenant('alpha', '{"client_name": "One",
    "email": "one@example.com"}') c;

select is(e.type || ' ' || e.tenant || ' ' || e.partner || ' ' || e.request_id,
    'tenant.created ' || one.id || ' ' || :'alpha' || ' request-1',
    'a tenant that is made leaves an event of its partner')
from one, prov.events e;
select is(e.data::text, one.body::text, 'with what was answered, to the byte')
from one, prov.events e;
select is(e.id, a.mutation, 'under the id that it has in the audit')
from prov.events e, prov.audit a;
select is(e.xid, pg_current_xact_id(), 'and the transaction''s')
from prov.events e;

select pg_temp.act('tenant_update', t, '{"industry": "mining"}'),
    pg_temp.act('tenant_update', t, '{"industry": "mining"}'),
    pg_temp.act('tenant_replace', t, '{"client_name": "Two",
        "email": "one@example.com"}'),
    pg_temp.act('configuration_replace', t, '{"a": 1}'),
    pg_temp.act('configuration_replace', t, '{"a": 1}'),
    pg_temp.act('configuration_update', t, '{"b": 1}'),
    pg_temp.act('configuration_rollback', t, '{"version": 1}'),
    pg_temp.act('tenant_suspend', t, '{"reason": "x"}'),
    pg_temp.act('tenant_suspend', t, '{"reason": "x"}'),
    pg_temp.act('tenant_resume', t, '{}'),
    pg_temp.act('tenant_suspend', t, '{}'),
    pg_temp.act('tenant_delete', t),
    pg_temp.act('tenant_delete', t),
    pg_temp.act('tenant_restore', t),
    pg_temp.act('tenant_cancel', t, '{}')
from one, jsonb_build_object('tenant', one.id) t \g /dev/null

select is(pg_temp.types(:'alpha'), 'tenant.created tenant.updated '
    'tenant.updated tenant.configuration.updated '
    'tenant.configuration.updated tenant.configuration.updated '
    'tenant.suspended tenant.resumed tenant.suspended tenant.deleted '
    'tenant.restored tenant.cancelled', 'each change leaves one, and what '
    'changes nothing or is refused leaves none');
select is((e.data -> 'configuration')::text, '{"a": 1}',
    'that of a configuration has the configuration')
from prov.events e where e.type like '%.configuration.%'
order by e.ctid desc limit 1;

select pg_temp.act('tenant_upsert', '{"external_id": "x1"}',
        '{"client_name": "Up", "email": "up@example.com"}'),
    pg_temp.act('tenant_upsert', '{"external_id": "x1"}',
        '{"client_name": "Upper", "email": "up@example.com"}')
    \g /dev/null

select is((select string_agg(e.type, ' ' order by e.ctid)
    from prov.events e join prov.tenants t on t.id = e.tenant
    where t.external_id = 'x1'), 'tenant.created tenant.updated',
    'so does what is made or replaced by its external_id');

-- many at once

create temporary table bulk as
select c.*, now() from pg_temp.act('tenant_bulk', '{}', '{"tenants": [
    {"client_name": "B1", "email": "b1@example.com"},
    {"client_name": "Up", "email": "up@example.com"},
    {"client_name": "B2", "email": "b2@example.com"}]}') c;

select results_eq($$
    select e.type, e.data ->> 'client_name' from prov.events e
    join bulk b on b.body::text like '%' || e.tenant || '%'
    where e.data ->> 'client_name' like 'B%' order by e.ctid
$$, $$values ('tenant.created', 'B1'), ('tenant.created', 'B2')$$,
    'of many that are made at once each has an event');
select is((select count(*) from prov.events e
    join prov.audit a on a.mutation = e.id and a.tenant = e.tenant
        and a.operation = 'tenant_bulk'), 2::bigint,
    'under the id of its own audit entry');

-- what is tried, refused or somebody else's

create temporary table before as select count(*) as n from prov.events;

select pg_temp.act('tenant_update', t, '{"email": "up@example.com"}'),
    pg_temp.act('tenant_update', t, '{"client_name": "x"}', 'beta'),
    pg_temp.act('tenant_bulk', '{}', '{"atomic": true, "tenants": [
        {"client_name": "A1", "email": "a1@example.com"},
        {"client_name": "Up", "email": "up@example.com"}]}')
from one, jsonb_build_object('tenant', one.id) t \g /dev/null

create function pg_temp.tried(ctx jsonb)
    returns text
    language plpgsql
as $$
declare
    shown text;
begin
    set local role prov_partner;
    select r.body ->> 'dry_run' into shown
    from prov.enter(ctx) e, prov.dry_run(e.ctx, '{}', '{"client_name": "Dry",
        "email": "dry@example.com"}', 'partner', 'tenant_create') r;
    reset role;
    return shown;
end
$$;

select is(pg_temp.tried(pg_temp.context('alpha',
        '{"operation": "tenant_create"}')), 'true',
    'a dry run shows what would be');
select is((select count(*) from prov.events), n,
    'what is refused, or tried only, leaves none') from before;

-- keys

create temporary table key as
select (c.body ->> 'api_key')::uuid as id, c.body
from pg_temp.act('api_key_create', '{}', '{"name": "K",
    "scopes": ["tenant:read"]}') c;

select pg_temp.act('api_key_update', k, '{"name": "L"}'),
    pg_temp.act('api_key_rotate', k, '{}'), pg_temp.act('api_key_revoke', k),
    pg_temp.act('api_key_revoke', k)
from key, jsonb_build_object('api_key', key.id) k \g /dev/null

select is((select string_agg(e.type, ' ' order by e.ctid) from prov.events e
    where e.data ->> 'api_key' = key.id::text),
    'api_key.created api_key.updated api_key.rotated api_key.revoked',
    'an API key''s life is told, too') from key;
select is((select count(*) from prov.events e
    where e.data::text like '%pk\_%' or e.data::jsonb ? 'key'), 0::bigint,
    'but never the key');

-- what operators do to a partner

create function pg_temp.given(partner text, ctx jsonb)
    returns int
    language plpgsql
as $$
declare
    status int;
begin
    set local role prov_operator;
    select r.status into status
    from prov.operator_enter(ctx) e,
        operator.partner_key_create(e.ctx, jsonb_build_object('partner',
            partner), '{"name": "First", "scopes": ["tenant:read"]}') r;
    reset role;
    return status;
end
$$;

select is(pg_temp.given(:'beta', pg_temp.context('', '{"granted": ["*"]}')),
    201, 'an operator makes a key for a partner');
select is(pg_temp.types(:'beta'), 'api_key.created',
    'the event is that partner''s');

-- endpoints

insert into prov.webhook_endpoints (id, partner, url, secret, event_types,
    status)
select ('00000000-0000-7000-9000-00000000000' || n)::uuid, p::uuid,
    'https://' || n || '.example', 'sealed', types::text[], s
from (values (1, :'alpha', '{*}', 'active'),
    (2, :'alpha', '{tenant.*}', 'active'),
    (3, :'alpha', '{tenant.configuration.*,tenant.deleted}', 'active'),
    (4, :'alpha', '{tenant.created}', 'disabled'),
    (5, :'alpha', '{api_key.*,tenant}', 'active'),
    (6, :'beta', '{*}', 'active')) v (n, p, types, s);

create function pg_temp.jobs()
    returns text
    language sql
as $$
    with taken as (delete from prov.jobs where kind = 'webhook' returning *)
    select string_agg(right(j.queue::text, 1), '' order by j.queue)
    from taken j join prov.events e on e.id = j.event
        and e.partner = j.partner and e.tenant is not distinct from j.tenant
$$;

create temporary table two as
select (c.body ->> 'tenant')::uuid as id
from pg_temp.create_tenant('alpha', '{"client_name": "Two",
    "email": "two@example.com"}') c;

select is((j.kind, j.state, j.attempt, j.seq, j.due = now(), a.seq)::text,
    '(webhook,waiting,0,1,t,1)', 'a job is due at once, and has its place in '
    'the tenant''s chain')
from prov.jobs j join prov.audit a on a.mutation = j.event
where j.queue = '00000000-0000-7000-9000-000000000001';
select ok(j.id::text ~ '^.{14}7' and left(j.id::text, 13) = left(j.event::text,
    13), 'its id is of the event''s millisecond')
from prov.jobs j where j.kind = 'webhook' limit 1;
select is(pg_temp.jobs(), '12', 'those who want a tenant that is made get it');

select pg_temp.act('configuration_replace', t, '{"a": 1}')
from two, jsonb_build_object('tenant', two.id) t \g /dev/null
select is(pg_temp.jobs(), '123', 'those who want a configuration');

select pg_temp.act('tenant_suspend', t, '{}')
from two, jsonb_build_object('tenant', two.id) t \g /dev/null
select is(j.seq, 3::bigint, 'the third change has the third place')
from prov.jobs j where j.kind = 'webhook' limit 1;
select is(pg_temp.jobs(), '12', 'those who want its status');

select pg_temp.act('tenant_delete', t)
from two, jsonb_build_object('tenant', two.id) t \g /dev/null
select is(pg_temp.jobs(), '123', 'those who want its end, by name');

select pg_temp.act('api_key_create', '{}', '{"name": "K",
    "scopes": ["tenant:read"]}') \g /dev/null
select is(j.seq, null, 'what is of no tenant has no place')
from prov.jobs j where j.kind = 'webhook' limit 1;
select is(pg_temp.jobs(), '15', 'those who want keys');

select pg_temp.act('tenant_bulk', '{}', '{"tenants": [
    {"client_name": "C1", "email": "c1@example.com"},
    {"client_name": "C2", "email": "c2@example.com"}]}') \g /dev/null
select is((select string_agg(j.seq::text, '') from prov.jobs j
    where j.kind = 'webhook'), '1111', 'many at once are each the first');
select is(pg_temp.jobs(), '1122', 'and those who want them get them all');

select pg_temp.given(:'beta', pg_temp.context('', '{"granted": ["*"]}'))
    \g /dev/null
select is(pg_temp.jobs(), '6', 'what an operator does goes to the partner''s '
    'endpoints');

select is(f::text[] && prov.event_patterns(t), w, format('%s by %s', t, f))
from (values ('tenant.created', '{*}', true), ('tenant.created', '{}', false),
    ('tenant.created', '{tenant.*}', true),
    ('tenant.created', '{tenant}', false),
    ('tenant.created', '{tenant.create}', false),
    ('tenant.created', '{api_key.*,tenant.created}', true),
    ('tenant.configuration.updated', '{tenant.configuration.*}', true),
    ('tenant.configuration.updated', '{tenant.*}', true),
    ('tenant.configuration.updated', '{tenant.updated}', false),
    ('tenant.configuration.updated', '{tenant.configuration}', false),
    ('tenant.created', '{tenant.created.*}', false),
    ('tenants.created', '{tenant.*}', false),
    ('tenant.created', '{.*}', false),
    ('tenant.created', '{tenant.%}', false)) v (t, f, w);

-- a purge takes what is the tenant's, and says so

select pg_temp.act('tenant_update', t, '{"industry": "x"}'),
    pg_temp.act('tenant_delete', t || '{"purge": true}')
from one, jsonb_build_object('tenant', one.id) t \g /dev/null

select is((select string_agg(e.type, ' ') from prov.events e
    where e.tenant = one.id), 'tenant.purged', 'a purge leaves only the event '
    'that says so') from one;
select is((select string_agg(e.type, ' ') from prov.jobs j
    join prov.events e on e.id = j.event where j.tenant = one.id
        and j.queue = '00000000-0000-7000-9000-000000000002'),
    'tenant.purged', 'and of the deliveries those of it') from one;

-- who sees them

select set_config('prov.partner', '', true) \g /dev/null
select is(pg_temp.rows_for('prov_api', format('select from prov.%I', name)),
    0::bigint, name || ': nothing without a partner')
from unnest(array['events', 'webhook_endpoints', 'jobs', 'job_attempts',
    'operations', 'operation_items']) name;

select set_config('prov.partner', :'beta', true) \g /dev/null
select is(pg_temp.rows_for('prov_api', 'select from prov.events'),
    2::bigint, 'a partner sees its own events');
select is(pg_temp.rows_for('prov_api', 'select from prov.jobs'),
    0::bigint, 'and its own jobs, not the tasks');
select is(pg_temp.refusal(format('insert into prov.events (id, partner, type) '
    'values (prov.uuid7(), %L, ''x'')', :'alpha'), 'prov_api'), '42501',
    'nor writes another''s');
select is(pg_temp.refusal('select * from prov.jobs', role), '42501',
    role || ' touches no table')
from unnest(array['prov_worker', 'prov_partner']) role;
select is(pg_temp.refusal('select prov.jobs_claim(''{}'', null, null)', role),
    '42501', role || ' claims nothing')
from unnest(array['prov_partner', 'prov_operator']) role;

select * from finish();
rollback;
