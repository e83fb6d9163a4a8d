\ir helpers.psql
select * from no_plan();

-- A table as a later release may have it, inside a tenant, with a secret.

create schema if not exists tenant authorization prov_owner;
set local role prov_owner;
grant usage on schema tenant to prov_api;
create table tenant.mailboxes (
    tenant uuid not null, name text not null, at timestamptz(3),
    password text, quota bigint, more jsonb, primary key (tenant, name));
comment on column tenant.mailboxes.password is 'Secret: for the mail server.';
alter table tenant.mailboxes enable row level security;
alter table tenant.mailboxes force row level security;
create policy mailboxes_of_tenant on tenant.mailboxes to prov_api
    using (tenant = nullif(current_setting('prov.tenant', true), '')::uuid);
grant select, delete on tenant.mailboxes to prov_api;
reset role;

create temporary table one as
select (c.body ->> 'tenant')::uuid as id, c.body
from pg_temp.create_tenant('alpha', '{"client_name": "One",
    "email": "one@example.com", "metadata": {"a": "b"}}') c;
create temporary table two as
select (c.body ->> 'tenant')::uuid as id
from pg_temp.create_tenant('alpha', '{"client_name": "Two",
    "email": "two@example.com"}') c;

insert into tenant.mailboxes
select id, 'sales', '2025-02-10 17:30:00.1234+01'::timestamptz, 'hunter2', 9007199254740993,
    '{"x": [1]}'::jsonb from one
union all
select id, 'info', null, null, null, null from one
union all
select id, 'two', now(), 'hunter3', 1, null from two;

-- all pages of it, as the gateway asks for them

create function pg_temp.export(partner text, tenant uuid, out status int,
        out body json, out pages int, out longest int)
    language plpgsql
as $$
declare
    page  record;
    name  text;
    text_ text := '';
begin
    pages := 0;
    loop
        select * into page from pg_temp.call('partner.tenant_export',
            pg_temp.context(partner) || jsonb_strip_nulls(jsonb_build_object(
                'page', name)),
            jsonb_build_object('tenant', tenant), null);
        status := page.status;
        body := page.body;
        exit when status <> 200;
        text_ := text_ || (page.body #>> '{}');
        pages := pages + 1;
        longest := greatest(longest, octet_length(page.body #>> '{}'));
        name := page.headers ->> 'Next-Page';
        exit when name is null;
    end loop;
    if status = 200 then
        body := text_;
    end if;
end
$$;

create temporary table export as
select e.* from one, pg_temp.export('alpha', one.id) e;

select is(status, 200, 'a tenant is exported') from export;
select is(e.body ->> 'tenant', one.body::text, 'with what is shown of it')
from one, export e;
select is(e.body ->> 'exported_at', prov.rfc3339(now()), 'and when it was')
from export e;
select is(e.body #>> '{tables,tenant.mailboxes}', format('[{"tenant":"%1$s",'
    '"name":"info","at":null,"password":null,"quota":null,"more":null}, '
    '{"tenant":"%1$s","name":"sales","at":"2025-02-10T16:30:00.123Z",'
    '"password":"[redacted]","quota":9007199254740993,"more":{"x": [1]}}]',
    one.id), 'its rows in the order of their key, as they are, but for secrets')
from one, export e;
select is((select array_agg(c order by c) from json_object_keys(
        e.body #> '{tables,prov.tenants,0}') c),
    (select array_agg(a.attname::text order by a.attname::text)
     from pg_catalog.pg_attribute a
     where a.attrelid = 'prov.tenants'::regclass and a.attnum > 0
         and not a.attisdropped), 'every column is there')
from export e;
select is((select string_agg(t.name, ' ' order by t.name)
        from prov.tenant_tables() t
        where not t.kept and (e.body #> array['tables', t.name]) is not null),
    (select string_agg(k, ' ' order by k)
     from json_object_keys(e.body -> 'tables') k),
    'and every table that has something')
from export e;
select unalike(e.body::text, '%hunter%', 'no secret is told') from export e;
select unalike(e.body::text, '%two%', 'nor anything of another tenant''s')
from export e;
select is(e.status || ' ' || (e.body ->> 'code'), '404 tenant_not_found',
    'another partner''s tenant is not found')
from one, pg_temp.export('beta', one.id) e;
select is(json_array_length(e.body #> '{tables,tenant.mailboxes}'), 1,
    'each gets its own')
from two, pg_temp.export('alpha', two.id) e;

-- of any length

insert into tenant.mailboxes (tenant, name, more)
select two.id, 'n' || n, to_jsonb(repeat('x', n % 1000))
from two, generate_series(1, 1000) n;
insert into tenant.mailboxes (tenant, name, more)
select two.id, repeat('y', 400) || n, to_jsonb(repeat('x', 40000))
from two, generate_series(1, 4) n;

create temporary table long as
select e.* from two, pg_temp.export('alpha', two.id) e;

select cmp_ok(pages, '>', 8, 'a long one has many pages') from long;
select cmp_ok(longest, '<', 300000, 'none of them is much longer than another')
from long;
select is((select array_agg(m ->> 'name') from long,
        json_array_elements(body #> '{tables,tenant.mailboxes}') m),
    (select array_agg(m.name order by m.name) from tenant.mailboxes m, two
     where m.tenant = two.id), 'together they have every row once, in order');

select * from finish();
rollback;
