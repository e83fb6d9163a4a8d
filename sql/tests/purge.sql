\ir helpers.psql
select * from no_plan();

-- Tables as later releases will have them: inside a tenant; referring to a
-- tenant, and to what refers to one; and one that may be emptied only when the
-- tenant has gone.

create schema if not exists tenant authorization prov_owner;
set local role prov_owner;
grant usage on schema tenant to prov_api;

create table tenant.meters (
    tenant uuid not null, id int not null, primary key (tenant, id));
create table tenant.readings (
    tenant uuid not null, meter int not null, n int not null,
    primary key (tenant, meter, n),
    foreign key (tenant, meter) references tenant.meters);
create table prov.a_contracts (
    tenant uuid not null references prov.tenants, id int primary key,
    partner uuid not null);
create table prov.b_invoices (
    tenant uuid not null, contract int not null references prov.a_contracts,
    partner uuid not null);
create table prov.a_traces (
    tenant uuid not null, partner uuid not null, what text);

create function prov.traces_stay()
    returns trigger
    language plpgsql
as $$
begin
    if exists (select from prov.tenants t where t.id = old.tenant) then
        raise exception 'not yet';
    end if;
    return old;
end
$$;
create trigger traces_stay before delete on prov.a_traces
    for each row execute function prov.traces_stay();

do $$
declare
    t text;
begin
    foreach t in array array['tenant.meters', 'tenant.readings',
        'prov.a_contracts', 'prov.b_invoices', 'prov.a_traces']
    loop
        execute format('alter table %s enable row level security', t);
        execute format('alter table %s force row level security', t);
        execute format('grant select, delete on %s to prov_api', t);
        execute format('create policy p on %s to prov_api using (%s = '
            'nullif(current_setting(%L, true), '''')::uuid)', t,
            case when t like 'tenant.%' then 'tenant' else 'partner' end,
            case when t like 'tenant.%' then 'prov.tenant'
                else 'prov.partner' end);
    end loop;
end
$$;
reset role;

select results_eq($$
    select t.name from prov.tenant_tables() t
    where t.name ~ 'a_contracts|b_invoices|a_traces|tenants$|meters|readings'
$$, array['prov.b_invoices', 'prov.a_contracts', 'prov.tenants',
    'tenant.readings', 'prov.a_traces', 'tenant.meters'],
    'who refers to another goes first, then the tenant, then what waits for '
    'that');

create function pg_temp.filled(partner text, key text, out id uuid)
    language plpgsql
as $$
begin
    select (c.body ->> 'tenant')::uuid into id
    from pg_temp.create_tenant(partner, jsonb_build_object('client_name',
        'Secretly ' || key, 'email', key || '@secret.example',
        'external_id', key, 'metadata', '{"note": "private"}'::jsonb)) c;

    insert into tenant.meters values (id, 1), (id, 2);
    insert into tenant.readings select id, 1, n from generate_series(1, 5) n;
    insert into prov.a_contracts select t.id, hashtext(key), t.partner
    from prov.tenants t where t.id = filled.id;
    insert into prov.b_invoices select t.id, hashtext(key), t.partner
    from prov.tenants t, generate_series(1, 3) where t.id = filled.id;
    insert into prov.a_traces select t.id, t.partner, 'private ' || key
    from prov.tenants t where t.id = filled.id;
end
$$;

create temporary table one as select f.id from pg_temp.filled('alpha', 'one') f;
create temporary table two as select f.id from pg_temp.filled('alpha', 'two') f;
create temporary table her as select f.id from pg_temp.filled('beta', 'her') f;

create function pg_temp.rows_of(id uuid)
    returns text
    language sql
as $$
    select string_agg(n::text, ' ') from (values
        ((select count(*) from prov.tenants t where t.id = rows_of.id)),
        ((select count(*) from tenant.meters t where t.tenant = rows_of.id)),
        ((select count(*) from tenant.readings t where t.tenant = rows_of.id)),
        ((select count(*) from prov.a_contracts t
          where t.tenant = rows_of.id)),
        ((select count(*) from prov.b_invoices t where t.tenant = rows_of.id)),
        ((select count(*) from prov.a_traces t where t.tenant = rows_of.id))
    ) as t (n)
$$;

create function pg_temp.purge(partner text, tenant uuid, extra jsonb
        default '{}', out status int, out body json, out headers jsonb)
    language sql
begin atomic
    select c.* from pg_temp.call('partner.tenant_delete',
        pg_temp.context(partner, '{"operation": "tenant_delete"}'),
        jsonb_build_object('tenant', tenant, 'purge', true) || extra, null) c;
end;

select is(p.status || ' ' || (p.body ->> 'code'), '404 tenant_not_found',
    'another partner''s tenant is not found, nor removed')
from one, pg_temp.purge('beta', one.id) p;
select is(p.status || ' ' || (p.body ->> 'code'), '412 precondition_failed',
    'nor is another version')
from one, pg_temp.purge('alpha', one.id, '{"If-Match": "\"2\""}') p;
select is(pg_temp.rows_of(one.id), '1 2 5 1 3 1', 'it is all there') from one;

create temporary table receipt as
select p.* from one, pg_temp.purge('alpha', one.id) p;

select is(status, 200, 'a tenant is removed') from receipt;
select is(pg_temp.rows_of(one.id), '0 0 0 0 0 0', 'everything of it') from one;
select is(pg_temp.rows_of(two.id), '1 2 5 1 3 1', 'and nothing of another')
from two;
select is(pg_temp.rows_of(her.id), '1 2 5 1 3 1', 'nor of another partner''s')
from her;
select ok(body::jsonb - 'removed' - 'purged_at' = jsonb_build_object('tenant',
        one.id, 'purged_by', '{"kind": "user", "subject": "user-1",
        "issuer": "https://issuer.example", "key": null}'::jsonb)
    and (body ->> 'purged_at')::timestamptz = now()::timestamptz(3),
    'the receipt says which, when and by whom') from one, receipt;
select is((body::jsonb -> 'removed') - 'prov.audit_details'
        - 'prov.tenant_labels', '{"prov.tenants": 1, "prov.events": 1,
    "tenant.meters": 2, "tenant.readings": 5, "prov.a_contracts": 1,
    "prov.b_invoices": 3, "prov.a_traces": 1}', 'and how many rows, of what')
from receipt;
select results_eq($$
    select p.partner, p.kind, p.subject, p.issuer, p.removed
    from prov.purges p join one on one.id = p.tenant
$$, $$
    select '00000000-0000-7000-8000-00000000000a'::uuid, 'user', 'user-1',
        'https://issuer.example', (r.body -> 'removed')::jsonb
    from receipt r
$$, 'it is kept');
select is((select count(*) from prov.purges p join prov.audit a
        on a.mutation = p.mutation and a.tenant = p.tenant and a.status = 200
        and a.operation = 'tenant_delete'), 1::bigint,
    'and the audit has the same');
select is(p.status, 404, 'a second time there is nothing to remove')
from one, pg_temp.purge('alpha', one.id) p;
select is(pg_temp.refusal(statement, role), '42501', format('%s: %s', role,
    statement))
from (values ('prov_api', 'delete from prov.purges'),
    ('prov_api', 'update prov.purges set subject = null'),
    ('postgres', 'delete from prov.purges'),
    ('postgres', 'truncate prov.purges'),
    ('prov_partner', 'select * from prov.purges'),
    ('prov_partner', 'select prov.purge_expired()')) as t (role, statement);
select is(c.status, 201, 'what it was called is free again')
from pg_temp.create_tenant('alpha', '{"client_name": "Secretly one",
    "email": "one@secret.example", "external_id": "one",
    "slug": "secretly-one"}') c;

-- what is due

create temporary table due (n int, tenant uuid, gone boolean);
insert into due
select n, (select f.id from pg_temp.filled(case when n % 2 = 0 then 'alpha'
        else 'beta' end, 'due-' || n) f), n <= 4
from generate_series(1, 8) n;
update prov.tenants t
set status = 'deleted', deleted_from = 'active', deleted_at = now(),
    purge_after = case when d.n = 5 then now() + interval '1 s'
        else now() - d.n * interval '1 s' end
from due d where d.tenant = t.id and d.n <= 5;
update prov.partners set status = 'suspended' where slug = 'beta';
select set_config('prov.partner', '', true) \g /dev/null

set local role prov_owner;
select is(prov.purge_expired(3), 3, 'as many as are asked for are removed');
select is(prov.purge_expired(), 1, 'then what is left');
select is(prov.purge_expired(), 0, 'then nothing');
reset role;
select is((select string_agg(d.n::text, ' ' order by d.n) from due d
    where not exists (select from prov.tenants t where t.id = d.tenant)),
    '1 2 3 4', 'what is due goes, also of a suspended partner; the rest stays');
select is(pg_temp.rows_of(d.tenant), case when d.gone then '0 0 0 0 0 0'
    else '1 2 5 1 3 1' end, format('number %s, with all it has', d.n))
from due d;
select is((select string_agg(distinct concat_ws(' ', p.kind, p.subject), ',')
    from prov.purges p join due d on d.tenant = p.tenant),
    'system purge_expired', 'the receipts say that nobody asked for it');
select is((select count(*) from prov.audit a join due d on d.tenant = a.tenant
    and d.gone where a.operation = 'tenant_purge'), 4::bigint,
    'so does the audit');
select is(current_setting('prov.partner') || current_setting('prov.tenant')
    || current_setting('prov.operator'), '', 'nothing stays open behind it');

select * from finish();
rollback;
