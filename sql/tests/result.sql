\ir helpers.psql
select * from no_plan();

-- The gateway's statement for an operation whose result is validated, as the
-- gateway's role.

create temporary table t as
select c.body ->> 'tenant' as id
from pg_temp.create_tenant('alpha', '{"client_name": "T",
    "email": "t@example.com"}') c;

create function pg_temp.ask(input jsonb, sha256 text default null,
        params jsonb default '{}', result jsonb default '{}',
        how text default 'validated', out status int, out body json,
        out headers jsonb)
    returns setof record
    language plpgsql
as $$
declare
    whose constant text := (select t.id from t);
    ctx   constant jsonb := pg_temp.context('alpha', jsonb_build_object(
        'operation', 'configuration_update', 'result', jsonb_build_object(
            'member', 'configuration', 'sha256', sha256) || result));
begin
    set local role prov_partner;
    return query execute format('select r.status, r.body, r.headers '
        'from prov.enter($1) e left join lateral prov.%I(e.ctx, $2, $3, '
        '''partner'', ''configuration_update'') r on true', how)
        using ctx, params || jsonb_build_object('tenant', whose), input;
    reset role;
end
$$;

create function pg_temp.hash(what text) returns text
    language sql
return encode(sha256(convert_to(what, 'UTF8')), 'hex');

select is(format('%s %s %s', a.status, a.body, a.headers), wanted, name)
from (values
    (1, 'what nobody has validated is handed out', '{"ä": 1}'::jsonb,
        null, '{}'::jsonb, '{}'::jsonb, '100 {"ä": 1} '),
    (2, 'so is what is not what was', '{"ä": 1}',
        pg_temp.hash('{"ä": 2}'), '{}', '{}', '100 {"ä": 1} '),
    (3, 'or is another member', '{"ä": 1}', pg_temp.hash('{"ä": 1}'), '{}',
        '{"member": "none"}', '100  '),
    (4, 'a miss is answered', '{"ä": 1}', null, '{"If-Match": "\"7\""}',
        '{}', '412 ' || (select p.body::text
            from prov.precondition('{"If-Match": "\"7\""}', 0) p) || ' ')
) as w (n, name, input, sha256, params, result, wanted)
cross join lateral pg_temp.ask(input, sha256, params, result) a
order by n;
select is_empty('select from prov.configurations', 'and nothing is kept');
select is((select count(*) from prov.audit where operation =
    'configuration_update'), 0::bigint, 'nor recorded');

select is(a.status || ' ' || (a.body ->> 'configuration') || a.headers,
    '200 {"ä": 1}{"ETag": "\"1\""}', 'what was validated is made')
from pg_temp.ask('{"ä": 1}', pg_temp.hash('{"ä": 1}')) a;
select is(a.status || ' ' || a.body, '100 {"b": 2, "ä": 1}',
    'of what has changed meanwhile the result is another')
from pg_temp.ask('{"b": 2}', pg_temp.hash('{"b": 2}')) a;
select is(a.status || ' ' || a.body, '100 {"b": 2, "ä": 1}',
    'a dry run is validated, too')
from pg_temp.ask('{"b": 2}', null, '{}', '{}', 'dry_run') a;
select is(a.status || ' ' || (a.body #>> '{resource,version}'), '200 2',
    'and then shown')
from pg_temp.ask('{"b": 2}', pg_temp.hash('{"b": 2, "ä": 1}'), '{}', '{}',
    'dry_run') a;
select is((select max(version) from prov.configurations), 1, 'once made, '
    'it is there once');

select * from finish();
rollback;
