\ir helpers.psql
select * from no_plan();

-- The gateway's statement for a dry run, as the gateway's role.

create function pg_temp.try(surface text, operation text, ctx jsonb,
        params jsonb, input jsonb, out status int, out body json,
        out headers jsonb)
    returns setof record
    language plpgsql
as $$
begin
    set local role prov_partner;
    return query select r.status, r.body, r.headers
        from prov.enter(ctx) e
        left join lateral prov.dry_run(e.ctx, params, input, surface,
            operation) r on true;
    reset role;
end
$$;

create function pg_temp.try_refused(surface text, operation text)
    returns text
    language sql
return pg_temp.refusal(format($$ select r.* from prov.enter(%L) e
    cross join lateral prov.dry_run(e.ctx, '{"tenant":
        "00000000-0000-7000-8000-00000000dead"}', '{}', %L, %L) r $$,
    pg_temp.context('alpha'), surface, operation), 'prov_partner');

create temporary table tried as
select t.*
from (select pg_temp.context('alpha', '{"operation": "tenant_create"}') ctx)
    ctx
cross join lateral pg_temp.try('partner', 'tenant_create', ctx.ctx, '{}',
    '{"client_name": "Acme", "email": "a@example.com"}') t;

select is(t.status || ' ' || t.headers, '201 {"Dry-Run": "true"}',
    'a dry run has the status of the change, and one header')
from tried t;
select is((select array_agg(k) from json_object_keys(t.body) k),
    '{dry_run,status,resource,diff}', 'and four members')
from tried t;
select is((t.body -> 'diff')::jsonb, jsonb_build_array(jsonb_build_object(
    'path', '', 'after', t.body -> 'resource')), 'what is new is new as a '
    'whole')
from tried t;
select is((select count(*) from prov.tenants)
    + (select count(*) from prov.audit), 0::bigint, 'nothing is kept');
select is(current_setting('prov.partner'),
    '00000000-0000-7000-8000-00000000000a',
    'what was entered stays entered');

select is(c.status, 201, 'afterwards it can be done')
from pg_temp.create_tenant('alpha',
    '{"client_name": "Acme", "email": "a@example.com"}') c;
select is(t.status || ' ' || (t.body ->> 'code') || coalesce(t.headers::text,
    ''), '409 email_taken', 'a conflict is answered as it is')
from pg_temp.try('partner', 'tenant_create', pg_temp.context('alpha'), '{}',
    '{"client_name": "Acme", "email": "a@example.com"}') t;
select is(t.body #>> '{diff,0}', '{"path": "/industry", "after": "Air", '
    '"before": null}', 'of a change it says what would be different')
from prov.tenants x
cross join lateral pg_temp.try('partner', 'tenant_update',
    pg_temp.context('alpha', '{"operation": "tenant_update"}'),
    jsonb_build_object('tenant', x.id), '{"industry": "Air"}') t;
select is(x.industry || x.version, null, 'and makes none')
from prov.tenants x;

-- a constraint that is looked at only when a transaction ends

create table prov.late (n int not null constraint late_taken unique
    deferrable initially deferred);
insert into prov.late values (1);
grant insert on prov.late to prov_api;
create function partner.late(ctx jsonb, params jsonb, input jsonb,
    out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
begin
    insert into prov.late values (1);
    status := 204;
end
$$;
alter function partner.late owner to prov_api;
grant execute on function partner.late to prov_partner;

select is(pg_temp.try_refused('partner', 'late'), '23505 late_taken',
    'is looked at');
delete from prov.late;
select is(t.status || t.body::text, '200{"dry_run": true, "status": 204, '
    '"resource": null, "diff": []}', 'where there is no entry in the audit '
    'nothing is known to differ')
from pg_temp.try('partner', 'late', pg_temp.context('alpha'), '{}', '{}') t;

-- what may be tried: what may be done

create function prov.refused(ctx jsonb, params jsonb, input jsonb,
    out status int, out body json, out headers jsonb)
    language plpgsql security definer as 'begin status := 200; end';
alter function prov.refused owner to prov_api;
revoke execute on function prov.refused from public, prov_partner;

select is(pg_temp.try_refused('prov', 'outcome'), '',
    'what the gateway may call it may try');
select is(pg_temp.try_refused(surface, operation), wanted,
    format('but not %s.%s', surface, operation))
from (values ('prov', 'precondition', '42883'), ('prov', 'refused', '42501'),
    ('prov', 'nothing', '42883'), ('operator', 'partner_list', '3F000'),
    ('partner', 'late(1) x; drop table prov.late --', '42883')
) as t (surface, operation, wanted)
where surface <> 'operator'
    or not exists (select from pg_catalog.pg_namespace where nspname =
        'operator');

select is(t.*::text, '(,,)', 'who is not known tries nothing')
from pg_temp.try('partner', 'late', pg_temp.context('nobody'), '{}', '{}') t;

select * from finish();
rollback;
