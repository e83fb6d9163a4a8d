\ir helpers.psql
select * from no_plan();

-- What a page of the list costs: how many rows its statements look at, in a
-- table where one partner has nearly everything, with every order and filter,
-- on the first page and far down.  Each list is run as it is run for a
-- caller, and its plan read.

\set many 30000

-- quick to make: what is not looked at here is left out

alter table prov.tenants disable trigger user;

insert into prov.tenants (id, partner, created_at, updated_at, slug,
    client_name, email, external_id, industry, status, metadata)
select ('0194f0a0-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
    case when n % 1000 = 0 then '00000000-0000-7000-8000-00000000000b'
         else '00000000-0000-7000-8000-00000000000a' end::uuid,
    '2025-01-01Z'::timestamptz + n * interval '1 min',
    '2025-01-01Z'::timestamptz + n * 7919 % :many * interval '1 min',
    's' || n, 'Client ' || n * 7919 % :many, n || '@example.com', 'x' || n,
    case n % 1000 when 7 then 'Rare' when 8 then null else 'Retail' end,
    case when n % 500 = 11 then 'suspended' when n % 3 = 1 then 'deleted'
         else 'active' end,
    case n % 1000 when 5 then '{"tier": "gold"}' else '{"tier": "tin"}'
    end::jsonb
from generate_series(1, :many) n;

insert into prov.tenant_labels (tenant, label, partner, created_at,
    updated_at, name_key)
select t.id, prov.tenant_label(m.key, m.value), t.partner, t.created_at,
    t.updated_at, t.name_key
from prov.tenants t
cross join lateral jsonb_each_text(t.metadata) m;

analyze prov.tenants, prov.tenant_labels;


-- Every node of a plan; those that read a table have looked at the rows they
-- return and at those they drop.

create function pg_temp.looked_at(plan jsonb)
    returns bigint
    language sql
return (
    with recursive node (node) as (
        select plan
        union all
        select child
        from node n
        cross join lateral jsonb_array_elements(n.node -> 'Plans') child
        where n.node ? 'Plans'
    )
    select sum(case when n.node ? 'Relation Name' then
        (coalesce((n.node ->> 'Actual Rows')::numeric, 0)
         + coalesce((n.node ->> 'Rows Removed by Filter')::numeric, 0)
         + coalesce((n.node ->> 'Rows Removed by Index Recheck')::numeric, 0))
        * (n.node ->> 'Actual Loops')::numeric
        else 0 end)
    from node n);

create function pg_temp.cost_of(partner text, params jsonb, size int,
        out rows_ bigint, out plan text)
    language plpgsql
as $$
declare
    sort     constant text := coalesce(params ->> 'sort', '-created_at');
    statuses constant text[] := prov.tenant_list_statuses(params);
    few      uuid[];
    place    text;
    first    uuid;
    found_   json;
begin
    perform set_config('prov.partner', partner, true);
    set local role prov_api;

    if params ? 'cursor' then
        select c.place, c.id into place, first
        from prov.list_cursor_read(prov.list_binding('tenant_list', params,
            sort), params ->> 'cursor') c;
    end if;

    few := prov.tenant_list_few(params, sort, statuses, 5000);

    execute 'explain (analyze, costs off, timing off, summary off, '
        'format json) ' || prov.tenant_list_statement(params, sort, statuses,
            few)
        into found_
        using params, place, first, statuses,
            prov.tenant_list_label(params), few, size;

    reset role;
    rows_ := pg_temp.looked_at(found_::jsonb -> 0 -> 'Plan');
    plan := found_::text;
end
$$;

-- a page in the middle of the list

create function pg_temp.deep(params jsonb)
    returns jsonb
    language sql
return params || (
    select jsonb_build_object('cursor', prov.list_cursor(
        prov.list_binding('tenant_list', params, s.sort),
        case when s.sort ~ 'name' then 'client 3' else prov.list_moment(
            '2025-01-01Z'::timestamptz + interval '15000 min') end,
        '0194f0a0-0000-7000-8000-000000000000'))
    from (select coalesce(params ->> 'sort', '-created_at')) s (sort));


-- One filter, or one order, or both: no more rows than are shown, but for the
-- next page's first and one of each status; a row of metadata is another one.

create temporary table sort (sort jsonb);
insert into sort
select jsonb_build_object('sort', d || s)
from unnest(array['', '-']) d,
    unnest(array['created_at', 'updated_at', 'client_name']) s;

create temporary table filter (filter jsonb, rows_ int);
insert into filter values
    ('{}', 30),
    ('{"status": ["active"]}', 26),
    ('{"status": ["suspended"]}', 26),
    ('{"status": ["pending"]}', 0),
    ('{"status": ["active", "suspended", "pending"]}', 28),
    ('{"status": ["active", "suspended", "pending", "deleted", "cancelled",
        "trial_expired"]}', 31),
    ('{"metadata": {"tier": "gold"}}', 52),
    ('{"metadata": {"tier": "tin"}}', 52),
    ('{"metadata": {"tier": "none"}}', 0),
    ('{"industry": "Rare"}', 26),
    ('{"industry": "Retail"}', 26),
    ('{"industry": "None"}', 0);

select case when c.rows_ <= f.rows_ and c.plan !~ '"(Sort|Incremental Sort)"'
        then pass(t.name) else fail(t.name) || E'\n' || diag(c.plan) end
from filter f
cross join sort s
cross join lateral (values (f.filter || s.sort, 'the first page'),
    (pg_temp.deep(f.filter || s.sort), 'a page far down')) as p (params, what)
cross join (values ('a', 'nearly everything'), ('b', 'a thousandth'))
    as w (partner, who)
cross join lateral pg_temp.cost_of('00000000-0000-7000-8000-00000000000'
    || w.partner, p.params, 26) c
cross join lateral (select format('%s of %s, for who has %s: %s rows', p.what,
    p.params - 'cursor', w.who, c.rows_)) as t (name);

-- a range of what the list is sorted by

select case when c.rows_ <= 30 then pass(t.name)
        else fail(t.name) || E'\n' || diag(c.plan) end
from unnest(array['created', 'updated']) n
cross join unnest(array['', '-']) d
cross join lateral (values
    (jsonb_build_object(n || '_after', '2025-01-20T00:00:00Z')),
    (jsonb_build_object(n || '_before', '2025-01-20T00:00:00Z')),
    (jsonb_build_object(n || '_after', '2025-01-20T00:00:00Z',
        n || '_before', '2025-01-20T01:00:00Z'))) as r (range_)
cross join lateral pg_temp.cost_of('00000000-0000-7000-8000-00000000000a',
    r.range_ || jsonb_build_object('sort', d || n || '_at'), 26) c
cross join lateral (select format('%s by %s: %s rows', r.range_,
    d || n || '_at', c.rows_)) as t (name);

-- a filter that leaves few, in every order: those few

select case when c.rows_ <= f.rows_ then pass(t.name)
        else fail(t.name) || E'\n' || diag(c.plan) end
from (values
    ('{"email": "77@EXAMPLE.com"}'::jsonb, 1),
    ('{"external_id": "x78"}', 1),
    ('{"email": "nobody@example.com"}', 0),
    ('{"q": "Client 711"}', 12),
    ('{"q": "s711"}', 12),
    ('{"q": "nothing"}', 0),
    ('{"q": "s711", "status": ["active", "deleted"]}', 12),
    ('{"created_after": "2025-01-20T00:00:00Z",
       "created_before": "2025-01-20T01:00:00Z"}', 60),
    ('{"updated_after": "2025-01-20T00:00:00Z", "status": ["active"],
       "updated_before": "2025-01-20T01:00:00Z"}', 60)
) as f (filter, rows_)
cross join sort s
cross join lateral pg_temp.cost_of('00000000-0000-7000-8000-00000000000a',
    f.filter || s.sort, 26) c
cross join lateral (select format('few: %s: %s rows', f.filter || s.sort,
    c.rows_)) as t (name);

-- and how those few are found: no more than what was found, twice for the
-- name and the slug

create function pg_temp.ids_cost(statuses text[], name text, params jsonb)
    returns bigint
    language plpgsql
as $$
declare
    plan json;
begin
    perform set_config('prov.partner', '00000000-0000-7000-8000-00000000000a',
        true);
    set local role prov_api;
    perform prov.tenant_list_few('{}', '', null, 1);  -- its settings
    execute 'explain (analyze, costs off, timing off, summary off, '
        'format json) ' || prov.tenant_list_ids(statuses, name,
            prov.tenant_list_range(params, 't', name))
        into plan using params, statuses, 5001;
    reset role;
    return pg_temp.looked_at(plan::jsonb -> 0 -> 'Plan');
end
$$;

select cmp_ok(pg_temp.ids_cost(w.statuses, w.name, w.params), '<=',
    w.rows_::bigint, format('%s in %s of %s', w.params, w.name,
        coalesce(w.statuses::text, 'all')))
from (values
    (null::text[], 'slug', '{"q": "s711"}'::jsonb, 12),
    (null, 'slug', '{"q": "s"}', 5001),
    (prov.tenant_list_statuses('{"q": ""}'), 'name_key',
        '{"q": "client 711"}', 12),
    (prov.tenant_list_statuses('{"q": ""}'), 'name_key',
        '{"q": "client"}', 10002),
    ('{active,deleted}', 'name_key', '{"q": "client 711"}', 12),
    ('{active,deleted}', 'name_key', '{"q": "client"}', 10002),
    (null, 'created_at', '{"created_after": "2025-01-20T00:00:00Z"}', 5001),
    ('{suspended}', 'created_at', '{"created_before": "2025-01-20T00:00:00Z"}',
        60),
    ('{active}', 'updated_at', '{"updated_after": "2025-01-20T00:00:00Z"}',
        5001)
) as w (statuses, name, params, rows_);

-- Several filters that leave little of much: a page ends after so many rows,
-- and the pages together have everything.

select cmp_ok(c.rows_, '<=', 10002::bigint, format('%s looks at %s rows',
    f.filter, c.rows_))
from (values
    ('{"industry": "Retail", "status": ["suspended"]}'::jsonb),
    ('{"industry": "Retail", "metadata": {"tier": "gold"}}'),
    ('{"metadata": {"tier": "tin", "none": ""}}'),
    ('{"q": "s", "status": ["deleted", "pending"], "industry": "Rare"}')
) as f (filter)
cross join lateral pg_temp.cost_of('00000000-0000-7000-8000-00000000000a',
    f.filter, 5001) c;

create function pg_temp.pages(params jsonb, out pages int, out tenants int)
    language plpgsql
as $$
declare
    cursor text;
    l      record;
begin
    pages := 0;
    tenants := 0;
    loop
        select * into l from pg_temp.list_tenants('alpha', params
            || jsonb_strip_nulls(jsonb_build_object('cursor', cursor)));
        pages := pages + 1;
        tenants := tenants + json_array_length(l.body -> 'data');
        cursor := l.body ->> 'next_cursor';
        exit when cursor is null or pages > 100;
    end loop;
end
$$;

select is(p.tenants, 60, 'pages that are cut short lose nothing')
from pg_temp.pages('{"industry": "Retail", "status": ["suspended"],
    "limit": 100}') p;
select cmp_ok(p.pages, '<', 10, 'and there are not many of them')
from pg_temp.pages('{"industry": "Retail", "status": ["suspended"],
    "limit": 100}') p;

select * from finish();
rollback;

-- as if it had never been: the next file's plans depend on sizes

vacuum full prov.tenants, prov.tenant_labels, prov.audit, prov.audit_details;
