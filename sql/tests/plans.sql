\ir helpers.psql
select * from no_plan();

-- A statement's plan is made for whoever comes sixth and serves everybody
-- after: it must be the right one for the largest partner and the smallest,
-- whichever it was made for, and whatever the table's size was then.

create temporary table caller (partner text, what text);
insert into caller values
    ('00000000-0000-7000-8000-00000000000a', 'nearly everything'),
    ('00000000-0000-7000-8000-00000000000b', 'a thousandth'),
    ('00000000-0000-7000-8000-00000000dead', 'nothing');

-- Lists have a file of their own.

create temporary table query (what text, index text, condition text,
    text text);
insert into query values
    ('a read', 'tenant_exists', '\(id = \$2\)', $$
        select t.version from prov.tenants t where t.id = $2 $$),
    ('the list that has a statement of its own', 'tenants_by_created_at',
        'ROW\(created_at, id\) <= ROW\(', $$
        select t.id, t.slug from prov.tenants t
        where t.status <> 'deleted' and (t.created_at, t.id) <= ($1, $2)
        order by t.created_at desc, t.id desc limit $3 $$),
    ('a look for an e-mail address', 'email_taken',
        '\(email_key >= \$4\)', $$
        select t.id, t.slug from prov.tenants t
        where t.email_key between $4 and $4 order by t.email_key $$),
    ('a look for an external_id', 'external_id_taken',
        '\(\(external_id\)::text >= \$4\)', $$
        select t.id from prov.tenants t
        where t.external_id between $4 and $4 order by t.external_id $$),
    ('a look for a slug', '(slug_taken|tenants_by_slug)', '\(\(?slug\)?(::text)? >= \$4\)', $$
        select t.id from prov.tenants t
        where t.slug between $4 and $4 order by t.slug $$);

create function pg_temp.plan_of(partner text, query text)
    returns text
    language plpgsql
as $$
declare
    line text;
    plan text := '';
begin
    perform set_config('prov.partner', partner, true);
    set local role prov_api;
    execute 'prepare q(timestamptz, uuid, int, text) as ' || query;
    for line in execute 'explain (costs off) execute q(''infinity'',
        ''ffffffff-ffff-ffff-ffff-ffffffffffff'', 26, ''x'')'
    loop
        plan := plan || line || E'\n';
    end loop;
    deallocate q;
    reset role;
    return plan;
end
$$;

create function pg_temp.check_plans(size int)
    returns setof text
    language sql
begin atomic
    select case when plan.plan ~ format('^([^\n]*Limit\n)?[ >-]*Index (Only )?Scan'
                '[a-zA-Z ]* using %s on tenants t\n +Index Cond:[^\n]*%s',
                q.index, q.condition)
            then pass(test.name)
            else fail(test.name) || E'\n' || diag(plan.plan)
        end
    from caller c
    cross join query q
    cross join lateral pg_temp.plan_of(c.partner, q.text) as plan (plan)
    cross join lateral (select format('with %s tenants, planned for who has '
        '%s, %s goes by %s', size, c.what, q.what, q.index)) as test (name);
end;

analyze prov.tenants;
select * from pg_temp.check_plans(0);

do $$
declare
    made int := 0;
    size int;
begin
    foreach size in array array[20, 1000, 30000] loop
        insert into prov.tenants (id, partner, created_at, slug, client_name,
            email, external_id)
        select prov.uuid7(), case when n % 1000 = 10
                then '00000000-0000-7000-8000-00000000000b'
                else '00000000-0000-7000-8000-00000000000a' end::uuid,
            '2025-01-01Z'::timestamptz + n * interval '1 s', 's' || n, 'N',
            n || '@example.com', case when n % 3 = 0 then n end
        from generate_series(made + 1, size) n;
        made := size;
        analyze prov.tenants;
        create temporary table if not exists outcome (line text);
        insert into outcome select * from pg_temp.check_plans(size);
    end loop;
end
$$;
select line from outcome;

select * from finish();
rollback;
