\ir helpers.psql
\ir operations.psql
select * from no_plan();

-- how many there may be

create function pg_temp.answered(status int, body json, headers jsonb)
    returns text
    language sql
return format('%s %s %s %s', status, coalesce(body ->> 'code',
    body ->> 'status'), coalesce(headers ->> 'Retry-After', '-'),
    body ->> 'limit');

create function pg_temp.one(whose text)
    returns text
    language sql
return (
    select pg_temp.answered(b.status, b.body, b.headers)
    from pg_temp.call('partner.tenant_bulk', pg_temp.context(whose,
        '{"operation": "tenant_bulk", "prefer": {"respond_async": true}}'),
        '{}', jsonb_build_object('tenants', pg_temp.some('m', 1))) b);

set local prov.operation_limit = '2';
select is(pg_temp.one('alpha'), '202 pending 1 ', 'one operation');
select is(pg_temp.one('alpha'), '202 pending 1 ', 'and another');
select is(pg_temp.one('alpha'), '429 too_many_operations 10 2',
    'are as many as there may be');
select is((select count(*) from prov.operations) || '/' || (
        select count(*) from prov.jobs j where j.kind = 'bulk'), '2/2',
    'of one too many nothing is left');
select is(b.status, 429, 'it is the same with more than 100 tenants')
from pg_temp.bulk(jsonb_build_object('tenants', pg_temp.some('m', 101))) b;
select is(b.status, 201, 'what is made at once is not counted')
from pg_temp.bulk(jsonb_build_object('tenants', pg_temp.some('direct', 3))) b;
select is(pg_temp.one('beta'), '202 pending 1 ', 'other partners'' neither');

create temporary table first as
select min(o.id::text)::uuid as id from prov.operations o
join prov.partners p on p.id = o.partner and p.slug = 'alpha';

update prov.operations set status = 'running' where id = (select id from first);
select is(pg_temp.one('alpha'), '429 too_many_operations 10 2',
    'one that has begun is not over');

select is(pg_temp.answered(c.status, c.body, c.headers), '200 cancelled - ',
    'one is cancelled')
from first f, pg_temp.operation('cancel',
    json_build_object('operation', f.id)) c;
select is(pg_temp.one('alpha'), '202 pending 1 ', 'and makes room');
select is(pg_temp.answered(c.status, c.body, c.headers),
    '429 too_many_operations 10 2', 'for one: it may not be tried again')
from first f, pg_temp.operation('retry',
    json_build_object('operation', f.id)) c;
select is(o.status || ' ' || i.state, 'cancelled cancelled',
    'and stays as it is')
from prov.operations o join first f on f.id = o.id
join prov.operation_items i on i.operation = o.id;

set local prov.operation_limit = '3';
select is(pg_temp.answered(c.status, c.body, c.headers), '202 pending 1 ',
    'until there is room')
from first f, pg_temp.operation('retry',
    json_build_object('operation', f.id)) c;

set local prov.operation_limit = '';
insert into prov.operations (id, partner, operation, status, ctx)
select prov.uuid7(), p.id, 'tenant_bulk', s.status, '{}'
from prov.partners p, (values (3000, 'succeeded'), (97, 'pending'))
    as s (n, status), generate_series(1, s.n)
where p.slug = 'alpha';
select is(pg_temp.one('alpha'), '429 too_many_operations 10 100',
    'without the setting there may be 100');

-- counted by what is not over, whoever it was planned for

create function pg_temp.counted(said text)
    returns text
    language plpgsql
as $$
declare
    text constant text := replace(replace(replace((
        select substring(p.prosrc from 'select count.*limit most\) o')
        from pg_proc p where p.proname = 'operation_too_many'),
        'into open', ''), 'owner', '$1'), 'most', '$2');
    plan text := '';
    line text;
begin
    perform set_config('prov.partner',
        '00000000-0000-7000-8000-00000000000a', true);
    set local role prov_api;
    execute 'prepare q(uuid, int) as ' || text;
    for line in execute format('explain (costs off) execute q(%L, 100)',
        '00000000-0000-7000-8000-00000000000a')
    loop
        plan := plan || line || E'\n';
    end loop;
    deallocate q;
    reset role;
    perform set_config('prov.partner', '', true);

    return matches(plan, 'Limit\n[^\n]*Index [^\n]*operations_by_status [^\n]*'
        '\n *Index Cond: \([^\n]*partner[^\n]*status[^\n]*\n', said);
end
$$;

select pg_temp.counted('they are counted by what is not over');
analyze prov.operations;
select pg_temp.counted('also when others are very many');

select * from finish();
rollback;

-- as if it had never been: the next file's plans depend on sizes

vacuum full prov.tenants, prov.tenant_labels, prov.audit, prov.audit_details,
    prov.operations, prov.operation_items, prov.jobs, prov.events;
