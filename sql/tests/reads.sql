\ir helpers.psql
select * from no_plan();

-- What a request reads: of each function that a login may call, where one
-- partner has nearly everything, how many rows and index entries it looks at.
-- Plans are made once and serve long: so with those that were made while the
-- tables were empty, or had few rows (\set start), with those that are made
-- without statistics, or with those of few, and with those of all, made for
-- who has nearly everything and for who has nothing.  t/sql.t runs this in
-- databases that nobody has touched.

\if :{?start}
\else
\set start 0
\endif
\set many 20000
select :start > 0 as grown \gset

\set alpha '''00000000-0000-7000-8000-00000000000a'''
\set beta '''00000000-0000-7000-8000-00000000000b'''
\set gamma '''00000000-0000-7000-8000-00000000000c'''

insert into prov.partners (id, slug, name) values (:gamma, 'gamma', 'Gamma');


-- The n-th of a kind.

create function pg_temp.nth(kind text, n int) returns uuid
    language sql immutable
return format('0194f0%s-0000-7000-8000-%s', case kind when 'tenant' then 'a0'
    when 'audit' then 'a1' when 'own' then 'a2' when 'chained' then 'a3'
    when 'operated' then 'a4' when 'event' then 'a5' when 'hook' then 'a6'
    when 'job' then 'a7' when 'operation' then 'a8' when 'key' then 'a9'
    when 'partner' then 'aa' end, lpad(to_hex(n), 12, '0'))::uuid;

create function pg_temp.owner(n int) returns uuid
    language sql immutable
return case when n % 1000 = 0 then '00000000-0000-7000-8000-00000000000b'
            else '00000000-0000-7000-8000-00000000000a' end::uuid;

-- what triggers would do is done here, or not looked at

alter table prov.tenants disable trigger tenants_made;

-- leased, to be run: the tasks, and an operation

update prov.jobs set attempt = 1, lease_worker = 'w',
    lease_until = now() + interval '1 hour', leased_at = now();
insert into prov.jobs (id, kind, queue, partner, operation, attempt,
    lease_worker, lease_until, leased_at)
select pg_temp.nth('job', 0), 'bulk', o.id, :alpha, o.id, 1, 'w',
    now() + interval '1 hour', now()
from (select pg_temp.nth('operation', 1)) o (id);

create procedure pg_temp.fill(first int, last int)
    language plpgsql
as $$
declare
    alpha  constant uuid := '00000000-0000-7000-8000-00000000000a';
    nobody constant uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
    begun  constant timestamptz := now() - interval '20 days';
begin
    insert into prov.partners (id, slug, name, created_at, status)
    select pg_temp.nth('partner', n), 'p' || n, 'Partner ' || n,
        begun + n * interval '1 s',
        case when n % 100 = 20 then 'suspended' else 'active' end
    from generate_series(first, last) n where n % 10 = 0;

    insert into prov.tenants (id, partner, created_at, updated_at, slug,
        client_name, email, external_id, industry, status, metadata,
        suspended_from, deleted_from, deleted_at, purge_after)
    select pg_temp.nth('tenant', n), pg_temp.owner(n),
        begun + n * interval '1 s',
        begun + n * 7919 % 20000 * interval '1 s', 's' || n,
        'Client ' || n * 7919 % 20000, n || '@example.com', 'x' || n,
        case n % 1000 when 7 then 'Rare' else 'Retail' end, s.status,
        case n % 1000 when 5 then '{"tier": "gold"}' else '{"tier": "tin"}'
        end::jsonb, case s.status when 'suspended' then 'active' end,
        case s.status when 'deleted' then 'active' end,
        case s.status when 'deleted' then now() end,
        case s.status when 'deleted' then
            now() + (n - 15) * interval '1 s' end
    from generate_series(first, last) n
    cross join lateral (select case n % 10 when 1 then 'suspended'
        when 2 then 'deleted' else 'active' end) as s (status);

    insert into prov.tenant_labels (tenant, label, partner, created_at,
        updated_at, name_key)
    select t.id, prov.tenant_label(m.key, m.value), t.partner, t.created_at,
        t.updated_at, t.name_key
    from generate_series(first, last) n
    join prov.tenants t on t.id = pg_temp.nth('tenant', n)
    cross join lateral jsonb_each_text(t.metadata) m;

    insert into prov.configurations (tenant, version, partner, content)
    select pg_temp.nth('tenant', 7), n, alpha, jsonb_build_object('n', n)
    from generate_series(first, last) n;

    -- a chain for each tenant; a long one of a tenant's, of the partner's and
    -- of the operators'

    with entry as (
        insert into prov.audit (mutation, at, partner, tenant, resource,
            resource_id, status, operation, kind, request_id, chain, seq,
            prev_hash, details_hash, hash)
        select pg_temp.nth(k.kind, n), begun + n * interval '1 s',
            case k.kind when 'operated' then nobody
                when 'audit' then pg_temp.owner(n) else alpha end,
            k.tenant, case k.kind when 'operated' then 'partner'
                when 'own' then 'api_key' else 'tenant' end,
            case k.kind when 'operated' then pg_temp.nth('partner',
                    n - n % 100 + 10)
                when 'own' then pg_temp.nth('key', n) else k.tenant end, 200,
            case when n = 20 then 'rare' else 'tenant_create' end, 'user',
            'r' || n,
            case k.kind when 'operated' then nobody when 'own' then alpha
                else k.tenant end,
            case k.kind when 'audit' then 1 when 'chained' then n + 1
                else n end, '', '', ''
        from generate_series(first, last) n
        cross join lateral (values ('audit', pg_temp.nth('tenant', n)),
            ('chained', pg_temp.nth('tenant', 7)), ('own', null),
            ('operated', null)) as k (kind, tenant)
        returning *
    )
    insert into prov.audit_details (chain, seq, partner, tenant, subject,
        before, after)
    select e.chain, e.seq, e.partner, e.tenant, 'user-1', '{}', '{}'
    from entry e;

    insert into prov.idempotency (id, partner, tenant, created_at, request,
        mutation, status, body, names)
    select sha256(n::text::bytea), pg_temp.owner(n),
        case when n % 400 > 0 then pg_temp.nth('tenant', n) end,
        now() - n * interval '6 s', '', pg_temp.nth('audit', n), 201, '{}',
        n % 400 = 0
    from generate_series(first, last) n;

    -- one after the other, in transactions that have long ended

    insert into prov.events (id, xid, at, partner, tenant, type, data)
    select pg_temp.nth('event', n), (100 + n / 50)::text::xid8,
        begun + n * interval '1 min', pg_temp.owner(n),
        pg_temp.nth('tenant', n), case n % 5000 when 7 then 'tenant.purged'
            else 'tenant.created' end, '{}'
    from generate_series(first, last) n;

    insert into prov.webhook_endpoints (id, partner, created_at, url, secret,
        status)
    select pg_temp.nth('hook', n), case when n <= 20 then alpha
            else pg_temp.nth('partner', n) end, begun + n * interval '1 s',
        'https://example.com', 's',
        case when n <= 2 or n > 20 then 'active' else 'disabled' end
    from generate_series(first, last) n where n <= 20 or n % 10 = 0;

    insert into prov.jobs (id, kind, queue, partner, tenant, event, seq,
        created_at, due, state, finished_at, attempt, lease_worker,
        lease_until, leased_at)
    select pg_temp.nth('job', n), 'webhook', pg_temp.nth('hook', n % 20 + 1),
        alpha, pg_temp.nth('tenant', n), pg_temp.nth('event', n),
        case s.state when 'waiting' then n end, begun + n * interval '1 min',
        now() - n * interval '1 s', s.state,
        case when s.state <> 'waiting' then now() end,
        l.leased::int, case when l.leased then 'w' end,
        case when l.leased then now() + interval '1 hour' end,
        case when l.leased then now() end
    from generate_series(first, last) n
    cross join lateral (select n % 20 = 0 and n <= 400) as l (leased)
    cross join lateral (select case when l.leased then 'waiting'
            when n % 20 = 1 and n % 50 = 1 then 'failed'
            when n % 20 < 2 and n % 3 > 0 then 'waiting'
            else 'done' end) as s (state);

    insert into prov.job_attempts (job, attempt, partner, tenant, status)
    select pg_temp.nth('job', n), 1, alpha, pg_temp.nth('tenant', n), 500
    from generate_series(first, last) n;

    insert into prov.operations (id, partner, created_at, operation, status,
        total, done, failed, ctx, steps, finished_at)
    select pg_temp.nth('operation', n), pg_temp.owner(n),
        begun + n * interval '1 s', 'tenant_bulk', case when n <= 5
            then 'pending' when n % 500 = 7 then 'failed' else 'succeeded' end,
        1, 1, 0, '{}', '[]', case when n > 5 then now() end
    from generate_series(first, last) n;

    insert into prov.operation_items (operation, index, partner, id, state,
        tenant, input)
    select pg_temp.nth('operation', 1 + n / 1000 * 6), n % 1000, alpha,
        pg_temp.nth('tenant', 1000000 + n),
        case when n < 1000 then 'waiting' when n % 2 = 0 then 'failed'
            else 'succeeded' end, pg_temp.nth('tenant', n), '{}'
    from generate_series(first, last) n;

    insert into prov.api_keys (id, partner, created_at, name, scopes,
        secret_hash, previous_hash, previous_until)
    select pg_temp.nth('key', n), pg_temp.owner(n),
        begun + n * interval '1 s', 'Key ' || n, '{tenant:read}',
        sha256('x'), case when n % 50 = 0 then sha256('y') end,
        case when n % 50 = 0 then now() end
    from generate_series(first, last) n;

    insert into prov.purges (tenant, partner, mutation, removed)
    select pg_temp.nth('tenant', -n), alpha, pg_temp.nth('own', n), '{}'
    from generate_series(first, last) n;
end
$$;


-- What is called, with which arguments, and how much that may read: what it
-- answers, or changes, and what its documentation allows a filter to look at.
-- A function of a surface is called as the gateway does; another one by the
-- statement that is given.  Who has nearly nothing may have little read,
-- whatever he asks for: what is somebody else's is answered 404, or nothing,
-- and costs nobody more than that.

create temporary table call (
    n int generated always as identity, function text, statement text,
    params jsonb default '{}', input jsonb, ctx jsonb default '{}',
    role text default 'prov_partner', answer text default '^2',
    most int default 300);

create function pg_temp.id(kind text, n int, name text default null)
    returns jsonb
    language sql
return jsonb_build_object(coalesce(name, kind), pg_temp.nth(kind, n));

create function pg_temp.since(days int, name text default 'since')
    returns jsonb
    language sql
return jsonb_build_object(name, now() - days * interval '1 day');

\ir reads.psql

update call set role = 'prov_operator'
where function like 'operator.%' or statement like '%operator_enter%';


-- Everything that a login may call is called, but for what reads no table.

select is_empty($$
    select p.oid::regprocedure
    from pg_catalog.pg_proc p
    join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where n.nspname in ('prov', 'partner', 'operator')
        and exists (
            select
            from unnest(array['prov_partner', 'prov_operator', 'prov_worker'])
                as r (role)
            where has_function_privilege(r.role, p.oid, 'execute'))
        and p.proname <> all (array['ready', 'schema_version', 'unvalidated',
            'dry_run_diff'])
        and not exists (
            select from call c
            where c.function = n.nspname || '.' || p.proname
                or c.statement ~ (n.nspname || '\.' || p.proname || '\('))
$$, 'each function that a login may call is looked at');


-- Of every table and its indexes.

create temporary view read as
select c.oid, c.relname as name, pg_stat_get_xact_tuples_returned(c.oid)
    + case c.relkind when 'r' then pg_stat_get_xact_tuples_fetched(c.oid)
      else 0 end as rows_, pg_stat_get_xact_blocks_fetched(c.oid) as blocks
from pg_catalog.pg_class c
where c.relnamespace = 'prov'::regnamespace and c.relkind in ('r', 'i');

create function pg_temp.read(c call, partner text, out status text,
        out rows_ bigint, out blocks bigint, out tables text)
    language plpgsql
as $$
declare
    surface constant text := split_part(c.function, '.', 1);
    ctx     constant jsonb := pg_temp.context(partner, jsonb_build_object(
        'operation', split_part(c.function, '.', 2),
        'granted', '["*", "tenant:read"]'::jsonb,
        'secret', jsonb_build_object('text', 't', 'sealed', 's', 'private',
            'p', 'public_key', 'k', 'hash', encode(sha256('x'), 'hex')),
        'sealed', 'h') || c.ctx);
    before  jsonb;
begin
    before := (select jsonb_object_agg(r.oid, jsonb_build_array(r.rows_,
        r.blocks)) from read r);

    -- what it changes is taken back, what it has read is counted all the same

    begin
        perform set_config('role', c.role, true);
        execute coalesce(c.statement, format('select r.status from prov.%s($1)'
                ' e left join lateral %s(e.ctx, $2, $3) r on true',
                case surface when 'operator' then 'operator_enter'
                    else 'enter' end, c.function))
            into status
            using ctx, c.params, c.input;
        raise sqlstate 'PVRDS';
    exception
        when sqlstate 'PVRDS' then
            null;
        when others then
            status := sqlstate || ' ' || sqlerrm;
    end;

    select sum(d.rows_), sum(d.blocks),
        string_agg(format('%s: %s (%s)', d.name, d.rows_, d.blocks), ', '
                   order by d.rows_ desc)
    into rows_, blocks, tables
    from (
        select r.name, r.rows_ - (before #>> array[r.oid::text, '0'])::bigint,
            r.blocks - (before #>> array[r.oid::text, '1'])::bigint
        from read r) as d (name, rows_, blocks)
    where d.rows_ > 0 or d.blocks > 0;
end
$$;

create temporary table found (planned text, partner text, n int, status text,
    rows_ bigint, blocks bigint, tables text);

create procedure pg_temp.measure(planned text)
    language sql
as $$
    insert into found
    select planned, p.partner, c.n, r.*
    from call c
    cross join unnest('{alpha,beta}'::text[]) p (partner)
    cross join lateral pg_temp.read(c, case p.partner
        when 'alpha' then '00000000-0000-7000-8000-00000000000a'
        else '00000000-0000-7000-8000-00000000000b' end) r
$$;

create procedure pg_temp.plan_for(partner text)
    language plpgsql
as $$
begin
    perform pg_temp.read(c, partner) from call c;
end
$$;


\if :grown
call pg_temp.fill(1, :start);
analyze;
\endif
call pg_temp.plan_for(:alpha);
call pg_temp.fill(:start + 1, :many);
\if :grown
call pg_temp.measure('while there were few');
discard plans;
call pg_temp.measure('with statistics of few');
\else
call pg_temp.measure('while there was nothing');
discard plans;
call pg_temp.measure('without statistics');
analyze;
discard plans;
call pg_temp.measure('for who has nearly everything');
discard plans;
call pg_temp.plan_for(:gamma);
call pg_temp.measure('for who has nothing');
\endif

select case when f.wrong is null then pass(c.name)
        else fail(c.name) || E'\n' || diag(f.wrong) end
from (
    select c.*, concat_ws(' ', c.function, c.statement,
        nullif(c.params, '{}'), c.input) as said
    from call c) s
cross join lateral (select s.n, s.most, s.answer,
    'at most ' || s.most || ': ' || left(regexp_replace(s.said, '\s+', ' ',
        'g'), 150)) as c (n, most, answer, name)
cross join lateral (
    select string_agg(format('planned %s, for %s: %s, %s read: %s', f.planned,
        f.partner, f.status, f.rows_, f.tables), E'\n')
    from found f
    where f.n = c.n
        and (f.rows_ > case
                when f.partner = 'beta' and s.function like 'partner.%'
                    then least(c.most, 300)
                else c.most end
             or f.partner = 'alpha' and f.status ~ c.answer is not true)
) as f (wrong)
order by c.n;

select * from finish();
rollback;
