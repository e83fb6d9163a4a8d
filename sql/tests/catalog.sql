\ir helpers.psql
select * from no_plan();

-- Rules that the catalog itself must obey, so that no table, policy or
-- function added later can forget them.  Each rule is a query for offenders.
-- First nothing offends; then something made to offend must be found, or the
-- rule would not be one.

create schema if not exists tenant authorization prov_owner;

create temporary view ours as
select n.oid, n.nspname
from pg_catalog.pg_namespace n
where n.nspname in ('prov', 'partner', 'operator', 'portal', 'tenant');

create temporary view surface as
select o.oid, o.nspname, 'prov_' || o.nspname as role
from ours o
where o.nspname in ('partner', 'operator', 'portal');

create temporary view relation as
select c.*, o.nspname, format('%s.%s', o.nspname, c.relname) as name
from pg_catalog.pg_class c
join ours o on o.oid = c.relnamespace;

create temporary view foreign_key as
select c.*, format('%s.%s', r.name, c.conname) as name,
    r.nspname, r.relname,
    (select f.relnamespace from pg_catalog.pg_class f
     where f.oid = c.confrelid) as target,
    (select array_agg(a.attname::text order by a.attname)
     from pg_catalog.pg_attribute a
     where a.attrelid = c.conrelid and a.attnum = any (c.conkey)) as columns
from pg_catalog.pg_constraint c
join relation r on r.oid = c.conrelid
where c.contype = 'f';

create temporary view unique_index as
select i.*, format('%s.%s', o.nspname, x.relname) as name,
    o.nspname, r.relname,
    (select array_agg(pg_get_indexdef(i.indexrelid, k, false) order by k)
     from generate_series(1, i.indnkeyatts) k) as columns
from pg_catalog.pg_index i
join pg_catalog.pg_class x on x.oid = i.indexrelid
join pg_catalog.pg_class r on r.oid = i.indrelid
join ours o on o.oid = r.relnamespace
where i.indisunique or i.indisexclusion;

create temporary view policy as
select format('%s.%s', r.name, p.polname) as name, r.nspname, r.relname,
    p.polroles::regrole[]::text as roles, condition.expression, condition.tree
from pg_catalog.pg_policy p
join relation r on r.oid = p.polrelid
cross join lateral (values
    (pg_get_expr(p.polqual, p.polrelid), p.polqual::text),
    (pg_get_expr(p.polwithcheck, p.polrelid), p.polwithcheck::text)
) as condition (expression, tree)
where condition.tree is not null;

create temporary view routine as
select p.*, o.nspname, p.oid::regprocedure::text as name
from pg_catalog.pg_proc p
join ours o on o.oid = p.pronamespace
where not exists (select from pg_catalog.pg_depend d
                  where d.objid = p.oid and d.deptype = 'e');

create temporary view granted as
select format('%s %s', a.privilege_type, g.name) as name,
    a.grantee::regrole::text as grantee, g.kind, a.privilege_type
from (
    select 'schema', o.nspname::text, n.nspacl, n.nspowner, 'n'::"char"
    from ours o join pg_catalog.pg_namespace n on n.oid = o.oid
    union all
    select 'relation', r.name, r.relacl, r.relowner,
        case r.relkind when 'S' then 's' else 'r' end::"char"
    from relation r
    where r.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
    union all
    select 'column', r.name || '.' || c.attname, c.attacl, r.relowner,
        'c'::"char"
    from relation r
    join pg_catalog.pg_attribute c on c.attrelid = r.oid
    where c.attacl is not null
    union all
    select 'function', f.name, f.proacl, f.proowner, 'f'::"char"
    from routine f
) as g (kind, name, acl, owner, type)
cross join lateral aclexplode(coalesce(g.acl, acldefault(g.type, g.owner))) a
where a.grantee <> g.owner;


create temporary table rule (rule text primary key, offenders text);

insert into rule values

-- row-level security

('every table has row-level security, forced upon its owner', $$
    select name from relation
    where relkind in ('r', 'p')
        and not (relrowsecurity and relforcerowsecurity)
$$),
('every table has a policy', $$
    select name from relation r
    where relkind in ('r', 'p')
        and not exists (select from policy p
                        where (p.nspname, p.relname) = (r.nspname, r.relname))
$$),
('a policy is one equality with a setting, and only the record of migrations '
 'is open to whom it names', $$
    select name || ': ' || expression from policy
    where expression !~ ('^\((id|partner|tenant) = \(NULLIF\('
              'current_setting\(''prov\.(partner|tenant|key)''::text, true\), '
              '''''::text\)\)::uuid\)$')
        and (nspname, relname) <> ('prov', 'migrations')
        and not (name = 'prov.partners.partners_claimed' and expression =
             '((slug)::text = NULLIF(current_setting(''prov.claim''::text, '
             'true), ''''::text))')
        and not (name in ('prov.partners.partners_of_operators',
                          'prov.quotas.quotas_of_operators')
                 and expression = '(current_setting(''prov.operator''::text, '
             'true) = ''on''::text)')
        and not (name ~ ('^prov\.(events|webhook_endpoints|jobs|job_attempts|'
                         'operations|operation_items)\.\w+_of_workers$')
                 and expression = '(current_setting(''prov.worker''::text, '
             'true) = ''on''::text)')
        and not (name = 'prov.api_keys.api_keys_of_operators'
                 and expression = '((surface)::text = ''operator''::text)'
                 and roles = '{prov_owner}')
$$),
('no policy has a subquery (Citus refuses those)', $$
    select name from policy where tree ~ 'SUBLINK'
$$),
('the planner knows nothing of a column that policies compare, so that a plan '
 'suits every caller', $$
    select r.name || '.' || a.attname
    from relation r
    join pg_catalog.pg_attribute a on a.attrelid = r.oid
    where r.relkind in ('r', 'p') and a.attname in ('partner', 'tenant')
        and not a.attisdropped and a.attstattarget <> 0
$$),
('only tables have rows: no view, no foreign table bypasses them', $$
    select name from relation where relkind in ('v', 'm', 'f')
$$),

-- who owns what

('tables belong to prov_owner', $$
    select name from relation
    where relkind not in ('i', 'I', 'c', 't')
        and relowner <> 'prov_owner'::regrole
$$),
('schemas belong to prov_owner', $$
    select o.nspname from ours o
    join pg_catalog.pg_namespace n on n.oid = o.oid
    where n.nspowner <> 'prov_owner'::regrole
$$),
('functions belong to prov_api, but for a table''s own triggers', $$
    select name from routine
    where proowner <> case when prorettype = 'trigger'::regtype
                          then 'prov_owner' else 'prov_api' end::regrole
$$),

-- functions

('an operation is plpgsql and security definer', $$
    select r.name from routine r
    join surface s on s.oid = r.pronamespace
    join pg_catalog.pg_language l on l.oid = r.prolang
    where not r.prosecdef or l.lanname <> 'plpgsql'
$$),
('a surface has nothing but operations: (jsonb, jsonb, jsonb) to (status, '
 'body, headers), and those for several requests at once', $$
    select r.name from routine r
    join surface s on s.oid = r.pronamespace
    where not coalesce(
        oidvectortypes(r.proargtypes) = 'bigint[], jsonb[], jsonb[], jsonb[]'
        and r.proretset and r.proallargtypes[5:]::regtype[]
            = array['bigint', 'int', 'json', 'jsonb']::regtype[]
        and r.proargnames[5:] = array['place', 'status', 'body', 'headers']
        and r.proname like '%\_several'
        and exists (select from routine o
                    where o.pronamespace = r.pronamespace
                        and o.proname || '_several' = r.proname), false)
    and not coalesce(
        r.pronargs = 3 and 'jsonb'::regtype = all (r.proargtypes)
        and r.proallargtypes[4:]::regtype[]
            = array['int', 'json', 'jsonb']::regtype[]
        and r.proargnames[4:] = array['status', 'body', 'headers'], false)
$$),
('no function has settings of its own (a search_path costs a sixth of a '
 'create)', $$
    select name from routine where proconfig is not null
$$),
('functions are named once: the gateway''s parameters have no type', $$
    select nspname || '.' || proname from routine
    group by nspname, proname having count(*) > 1
$$),

-- who may what

('PUBLIC may nothing', $$
    select name from granted where grantee = '-'
$$),
('a surface''s role may call its operations', $$
    select r.name from routine r
    join surface s on s.oid = r.pronamespace
    where not has_function_privilege(s.role, r.oid, 'execute')
$$),
('of the rest it may call what the gateway''s own statements do', $$
    select g.name from granted g
    join surface s on s.role = g.grantee
    where g.kind = 'function' and g.name !~ format('^EXECUTE %s\.', s.nspname)
        and g.name <> case s.nspname
            when 'partner' then 'EXECUTE prov.enter(jsonb)'
            else format('EXECUTE prov.%s_enter(jsonb)', s.nspname) end
        and g.name <> all (array[
            'EXECUTE prov.outcome(jsonb,jsonb,jsonb)',
            'EXECUTE prov.ready(jsonb,jsonb,jsonb)',
            'EXECUTE prov.refusal(jsonb,jsonb,jsonb)',
            'EXECUTE prov.attempts(jsonb,jsonb,jsonb)',
            'EXECUTE prov.api_key_find(jsonb,jsonb,jsonb)',
            'EXECUTE prov.api_key_used(jsonb,jsonb,jsonb)',
            'EXECUTE prov.token_bought(jsonb,jsonb,jsonb)',
            'EXECUTE prov.events_begin(jsonb,jsonb,jsonb)',
            'EXECUTE prov.idempotency_begin(jsonb,jsonb,jsonb)',
            'EXECUTE prov.idempotency_end(jsonb,bytea,integer,json,jsonb)',
            'EXECUTE prov.dry_run(jsonb,jsonb,jsonb,text,text)',
            'EXECUTE prov.dry_run_diff(jsonb)',
            'EXECUTE prov.validated(jsonb,jsonb,jsonb,text,text)',
            'EXECUTE prov.unvalidated(jsonb,integer,json)',
            'EXECUTE prov.schema_version()'])
$$),
('it touches no table and creates nothing', $$
    select g.grantee || ' ' || g.name from granted g
    join surface s on s.role = g.grantee
    where g.kind in ('relation', 'column')
        or g.privilege_type in ('CREATE', 'TEMPORARY')
$$),
('a worker may claim, run and report jobs, and nothing else', $$
    select name from granted
    where grantee = 'prov_worker'
        and (kind, name) <> ('schema', 'USAGE prov')
        and name <> all (array[
            'EXECUTE prov.jobs_claim(jsonb,jsonb,jsonb)',
            'EXECUTE prov.jobs_report(jsonb,jsonb,jsonb)',
            'EXECUTE prov.job_run(jsonb,jsonb,jsonb)',
            'EXECUTE prov.events_since(jsonb,jsonb,jsonb)',
            'EXECUTE prov.ready(jsonb,jsonb,jsonb)',
            'EXECUTE prov.schema_version()'])
$$),
('nobody has a privilege but our roles', $$
    select grantee || ' ' || name from granted
    where grantee not in ('-', 'prov_owner', 'prov_api', 'prov_partner',
        'prov_operator', 'prov_portal', 'prov_worker')
$$),
('what is written for good is only read and added to, and only an audit '
 'entry''s details may go', $$
    select g.grantee || ' ' || g.name from granted g
    where g.name ~ ' prov\.(audit|audit_details|purges)(\.|$)'
        and g.privilege_type not in ('SELECT', 'INSERT')
        and g.name <> 'DELETE prov.audit_details'
$$),

-- names, because they are error codes; comments, because they are read

('constraints have names of their own', $$
    select c.conname::text from pg_catalog.pg_constraint c
    join ours o on o.oid = c.connamespace
    where c.conname ~ '_(pkey|key|fkey|check|excl)\d*$'
$$),
('every table, function and schema has a comment', $$
    select name from relation
    where relkind in ('r', 'p')
        and obj_description(oid, 'pg_class') is null
    union all
    select name from routine where obj_description(oid, 'pg_proc') is null
    union all
    select nspname from ours
    where obj_description(oid, 'pg_namespace') is null and nspname <> 'tenant'
$$),

-- ready for Citus

('no foreign key leaves its schema', $$
    select f.name from foreign_key f
    where f.target <> f.connamespace
$$),
('events, jobs, operations, audit and idempotency refer to nothing', $$
    select name from foreign_key
    where relname in ('events', 'jobs', 'job_attempts', 'operations',
        'operation_items', 'audit', 'idempotency')
$$),
('no primary key has the partner in it, and no foreign key but the one to '
 'the partners'' table', $$
    select u.name from unique_index u
    where u.indisprimary and 'partner' = any (u.columns)
    union all
    select f.name from foreign_key f
    where 'partner' = any (f.columns)
        and (f.confrelid <> 'prov.partners'::regclass
             or f.columns <> array['partner'])
$$),
('the tenant comes first in every key inside a tenant', $$
    select name from unique_index
    where nspname = 'tenant' and columns[1] <> 'tenant'
$$),
('every table inside a tenant has a key', $$
    select r.name from relation r
    where r.nspname = 'tenant' and r.relkind in ('r', 'p')
        and not exists (select from unique_index u where u.indrelid = r.oid)
$$),
('and a tenant that is never null', $$
    select r.name from relation r
    where r.nspname = 'tenant' and r.relkind in ('r', 'p')
        and not exists (
            select from pg_catalog.pg_attribute a
            where a.attrelid = r.oid and a.attname = 'tenant'
                and a.attnotnull)
$$),
('inside a tenant there is no trigger', $$
    select r.name || '.' || t.tgname from pg_catalog.pg_trigger t
    join relation r on r.oid = t.tgrelid
    where r.nspname = 'tenant' and not t.tgisinternal
$$),
('inside a tenant policies ask for the tenant', $$
    select name from policy
    where nspname = 'tenant' and expression !~ 'prov\.tenant'
$$),
-- what belongs to a tenant

('the tenant of a row is an id', $$
    select r.name from relation r
    join pg_catalog.pg_attribute a on a.attrelid = r.oid
    where r.relkind in ('r', 'p') and a.attname = 'tenant'
        and not a.attisdropped and a.atttypid <> 'uuid'::regtype
$$),
('what is removed with a tenant may be removed, and is found by an index', $$
    select t.name from prov.tenant_tables() t
    join relation r on r.oid = t.name::regclass
    where not t.kept
        and not (
            has_table_privilege('prov_api', r.oid, 'delete')
            and exists (
                select from pg_catalog.pg_policy p
                where p.polrelid = r.oid and p.polcmd in ('*', 'd')
                    and 'prov_api'::regrole = any (p.polroles))
            and exists (
                select from pg_catalog.pg_index i
                join pg_catalog.pg_attribute a on a.attrelid = i.indrelid
                    and a.attnum = i.indkey[0]
                where i.indrelid = r.oid and a.attname = t.key
                    and coalesce(pg_get_expr(i.indpred, i.indrelid), '')
                        in ('', '(tenant IS NOT NULL)')))
$$),
('what is a secret by its name says so, for exports', $$
    select t.name || '.' || a.attname from prov.tenant_tables() t
    join pg_catalog.pg_attribute a on a.attrelid = t.name::regclass
    where a.attnum > 0 and not a.attisdropped
        and a.attname ~ 'secret|password|passwd|token|private|credential'
        and coalesce(col_description(a.attrelid, a.attnum), '') !~ '^Secret'
$$),
('and nothing is kept but the audit and the receipts', $$
    select t.name from prov.tenant_tables() t
    where t.kept and t.name not in ('prov.audit', 'prov.purges')
$$),

('a foreign key has an index to look from', $$
    select f.name from foreign_key f
    where not exists (
        select from pg_catalog.pg_index i
        where i.indrelid = f.conrelid and i.indpred is null
            and (i.indkey::int2[])[0:cardinality(f.conkey) - 1] @> f.conkey)
$$);


create function pg_temp.offenders(rule text)
    returns setof text
    language plpgsql
as $$
begin
    return query execute (
        select format('select o.name::text from (%s) o (name)', r.offenders)
        from rule r where r.rule = offenders.rule);
end
$$;

select is_empty(format('select * from pg_temp.offenders(%L)', rule), rule)
from rule;

-- roles

select is_empty($$
    select rolname from pg_catalog.pg_roles
    where rolname ~ '^prov_(owner|api|partner|operator|worker)$'
        and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb
             or rolreplication
             or rolcanlogin <> (rolname in ('prov_partner', 'prov_operator',
                                           'prov_worker')))
$$, 'nobody logs in as owner or api, and no role has a privilege of the '
    'cluster');
select is_empty($$
    select a.rolname, b.rolname
    from pg_catalog.pg_roles a, pg_catalog.pg_roles b
    where a.rolname ~ '^prov_(owner|api|partner|operator|worker)$'
        and b.rolname ~ '^prov_(owner|api|partner|operator|worker)$' and a <> b
        and pg_has_role(a.oid, b.oid, 'member')
$$, 'none of them is a member of another');
select is_empty($$
    select rolname from pg_catalog.pg_roles
    where rolname ~ '^prov_(owner|api|partner|operator|worker)$'
        and 'search_path=pg_catalog' <> all (coalesce(rolconfig, '{}'))
$$, 'their search_path is pg_catalog');
select is_empty($$
    select s.role, wanted
    from surface s, unnest(array['statement_timeout', 'lock_timeout',
        'idle_in_transaction_session_timeout',
        'default_transaction_isolation', 'enable_seqscan',
        'enable_bitmapscan', 'enable_sort', 'enable_incremental_sort', 'jit',
        'enable_memoize', 'plan_cache_mode']) as wanted
    where not exists (
        select from pg_catalog.pg_roles r, unnest(r.rolconfig) as setting
        where r.rolname = s.role and split_part(setting, '=', 1) = wanted)
$$, 'the gateway''s roles have limits');
select is_empty($$
    select r.rolname, s.name
    from pg_catalog.pg_roles r, pg_catalog.pg_settings s
    where r.rolname in (select role from surface union select 'prov_worker')
        and s.category like 'Query Tuning%'
        and coalesce((
            select split_part(c, '=', 2) from unnest(r.rolconfig) c
            where split_part(c, '=', 1) = s.name), s.reset_val) <> s.setting
$$, 'theirs and a worker''s statements are planned alike, and in tests as well');
select is((select array_agg(s.role order by s.role) from surface s),
    '{prov_operator,prov_partner}', 'there are two of them');
select is(has_database_privilege(s.role, current_database(), p), held,
    format('%s %s %s', s.role, case when held then 'may' else 'may not' end,
        p))
from surface s, (values ('connect', true), ('create', false),
    ('temporary', false)) as t (p, held);
select is(has_schema_privilege(s.role, n, p), false,
    format('nor may %s %s schema %s', s.role, p, n))
from surface s, (values ('public', 'create'), ('partner', 'usage'),
    ('operator', 'usage')) as t (n, p)
where n <> s.nspname;

-- now somebody forgets something

create table prov.forgotten (id int primary key);
create view prov.peephole as select 1 as one;
create function prov.forgotten(text) returns int language sql
    set search_path = prov return 1;
create function prov.forgotten(jsonb) returns int language sql return 1;
create function partner.stray(jsonb) returns int language sql
    set work_mem = '1MB' return 1;
create schema portal;
create function operator.mine(ctx jsonb, params jsonb, input jsonb,
    out status int, out body json, out headers jsonb)
    language plpgsql security definer as 'begin end';
revoke all on function operator.mine from public;
grant execute on function partner.tenant_get to prov_operator;
grant execute on function prov.operator_enter to prov_partner;
grant select on prov.tenants to prov_operator;
grant execute on function prov.uuid7() to prov_worker;
create role stranger;
grant execute on function prov.uuid7() to stranger;
grant update (code) on prov.audit to prov_api;
create policy loose on prov.tenants using (partner is not null);
create policy spying on prov.tenants using (
    current_setting('prov.operator', true) = 'on');
create policy nosy on prov.tenants using (partner = (
    select p.id from prov.partners p limit 1));
alter table prov.operations add constraint owned
    foreign key (partner) references prov.partners;
create table prov.shared (partner uuid references prov.partners,
    n int references prov.forgotten, primary key (partner, n));
create table prov.pairs (partner uuid, id int,
    foreign key (partner, id) references prov.shared);
create table tenant.usage (id int, partner uuid references prov.partners,
    primary key (id));
create policy usage_of_partner on tenant.usage using (
    partner = nullif(current_setting('prov.partner', true), '')::uuid);
create trigger busy before update on tenant.usage
    for each row execute function prov.append_only();
create table tenant.keyless ();
create table prov.stuck (tenant text);
create trigger stuck_for_good before delete on prov.stuck
    for each statement execute function prov.append_only();
create table prov.sticky (tenant uuid, client_secret text);

select isnt_empty(format('select * from pg_temp.offenders(%L)', rule),
    'found when broken: ' || rule)
from rule;

select * from finish();
rollback;
