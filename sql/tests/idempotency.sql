\ir helpers.psql
select * from no_plan();

-- The gateway's statement for a mutation with a key, as the gateway's role
-- (src/request/prov_request_mutation.c has the original).

create function pg_temp.statement(operation text)
    returns text
    language sql
return format('select f.status, f.body, f.headers from prov.enter($1) e '
    'left join lateral prov.idempotency_begin(e.ctx, $2, $3) b on true '
    'left join lateral (select o.status, o.body, o.headers '
    'from partner.%s(e.ctx, $2, $3) o where b.begun is not null offset 0) r '
    'on true '
    'left join lateral prov.idempotency_end(e.ctx, b.begun, '
    'coalesce(b.status, r.status), coalesce(b.body, r.body), '
    'coalesce(b.headers, r.headers)) f on true', operation);

create function pg_temp.ask(operation text, key text, input jsonb,
        extra jsonb default '{}', params jsonb default '{}',
        partner text default 'alpha', out status int, out body json,
        out headers jsonb)
    returns setof record
    language plpgsql
as $$
declare
    ctx       constant jsonb := pg_temp.context(partner,
        jsonb_build_object('operation', operation) || extra);
    statement constant text := pg_temp.statement(operation);
begin
    set local role prov_partner;
    return query execute statement
        using ctx, params || jsonb_build_object('Idempotency-Key', key),
            input;
    reset role;
end
$$;

-- what an operation may do

create table prov.calls (n int);
grant insert on prov.calls to prov_api;

create function partner.thing(ctx jsonb, params jsonb, input jsonb,
        out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
begin
    insert into prov.calls values (1);
    if input ->> 'raise' is not null then
        raise exception 'no' using errcode = input ->> 'raise';
    end if;
    status := input ->> 'status';
    body := (input ->> 'body')::json;
    headers := input -> 'headers';
    if input ->> 'after' is not null then
        perform prov.record(ctx, 'thing', null, null, status, null,
            (input ->> 'after')::json, headers);
    end if;
end
$$;
alter function partner.thing owner to prov_api;
grant execute on function partner.thing to prov_partner;

create function pg_temp.secret()
    returns jsonb
    language sql
return jsonb_build_object('status', 201,
    'body', '{"id": 1, "secret": "s3cr3t", "z": null}',
    'after', '{"id": 1, "secret": null, "z": null}');

create function pg_temp.calls()
    returns bigint
    language sql
begin atomic
    select count(*) from prov.calls;
end;

-- a first answer, and its repetition

create temporary table first as
select * from pg_temp.ask('thing', 'k1', '{"status": 201, "body":
    "{\"b\":  1, \"a\": [2]}", "headers": {"ETag": "\"1\""}}');
select is(f.*::text, '(201,"{""b"":  1, ""a"": [2]}","{""ETag"": '
    '""\\""1\\""""}")', 'a mutation with a new key is answered as without')
from first f;
select is((a.status, a.body::text, a.headers)::text,
    (201, '{"b":  1, "a": [2]}'::text, '{"ETag": "\"1\"", "Idempotent-Replayed": '
    '"true"}'::jsonb)::text, 'its repetition gets the same, to the byte, and is '
    'told that it is one')
from pg_temp.ask('thing', 'k1', '{"status": 201, "headers": {"ETag": "\"1\""},
    "body": "{\"b\":  1, \"a\": [2]}"}') a;
select is(pg_temp.calls(), 1::bigint, 'the operation was run once');

select is(a.headers, null, 'an attempt that repeats itself, its connection '
    'lost, is not told that it is a repetition')
from (values ('0194f0a0-0000-7000-8000-0000000000f1')) v (mutation)
cross join lateral pg_temp.ask('thing', 'self', '{"status": 200}',
    jsonb_build_object('mutation', mutation)) b
cross join lateral pg_temp.ask('thing', 'self', '{"status": 200}',
    jsonb_build_object('mutation', mutation, 'n', b.status)) a;

-- what another request is, and whose key it is

select is(a.status || ' ' || (a.body ->> 'code'), wanted, name)
from (values
    ('another input with the same key is refused', '{"status": 202}'::jsonb,
        '{}'::jsonb, '{}'::jsonb, 'alpha', '422 idempotency_key_reused'),
    ('so is another parameter', '{"status": 200}', '{}', '{"If-Match": "1"}',
        'alpha', '422 idempotency_key_reused'),
    ('and no input', null, '{}', '{}', 'alpha',
        '422 idempotency_key_reused')
) as t (name, input, extra, params, partner, wanted),
lateral pg_temp.ask('thing', 'self', t.input, t.extra, t.params,
    t.partner) a;

select is(a.status || coalesce(a.headers::text, ''), '200', name)
from (values
    ('another partner''s key is another key', '{}'::jsonb, 'beta'),
    ('so is that of another user', '{"principal": {"kind": "user",
        "subject": "user-2", "issuer": "https://issuer.example"}}', 'alpha'),
    ('of another issuer', '{"principal": {"kind": "user", "subject":
        "user-1", "issuer": "https://other.example"}}', 'alpha'),
    ('of an API key of that name', '{"principal": {"kind": "key", "subject":
        "user-1", "issuer": "https://issuer.example", "key": "k"}}', 'alpha'),
    ('of another API key', '{"principal": {"kind": "key", "subject":
        "user-1", "issuer": "https://issuer.example", "key": "l"}}',
        'alpha')
) as t (name, extra, partner),
lateral pg_temp.ask('thing', 'k1', '{"status": 200}', t.extra, '{}',
    t.partner) a;
select is(a.status, 201, 'and that of another operation')
from pg_temp.ask('tenant_create', 'k1',
    '{"client_name": "A", "email": "k1@example.com"}') a;

select is(a.headers ->> 'Idempotent-Replayed', wanted, name)
from (values
    ('the same person with other roles is the same', '{"principal": {"kind":
        "user", "subject": "user-1", "issuer": "https://issuer.example",
        "roles": ["other"]}}'::jsonb, '{}'::jsonb, 'true'),
    ('however the partner is named',
        '{"partner": "00000000-0000-7000-8000-00000000000a"}', '{}', 'true'),
    ('wherever it comes from', '{"ip": "::1", "user_agent": "x",
        "request_id": "y"}', '{}', 'true'),
    ('and a dry run that is none changes nothing', '{}', '{"dry_run": false}',
        'true')
) as t (name, extra, params, wanted),
lateral pg_temp.ask('thing', 'self', '{"status": 200}', t.extra, t.params) a;

-- what is kept

select is(b.status || ' ' || (b.headers ->> 'Idempotent-Replayed'),
    t.status || ' true', format('a %s is kept', t.status))
from unnest(array[200, 204, 404, 409, 412, 422]) as t (status),
lateral pg_temp.ask('thing', 'kept' || t.status, jsonb_build_object('status',
    t.status, 'body', '{"code": "c", "detail": "d"}')) a,
lateral pg_temp.ask('thing', 'kept' || t.status, jsonb_build_object('status',
    a.status, 'body', '{"code": "c", "detail": "d"}')) b;
select is(b.status || ' ' || b.headers, t.status || ' {"Retry-After": "9"}',
    format('a %s is not', t.status))
from unnest(array[429, 500, 503]) as t (status),
lateral pg_temp.ask('thing', 'not kept' || t.status, jsonb_build_object(
    'status', t.status, 'headers', '{"Retry-After": "9"}'::jsonb)) a,
lateral pg_temp.ask('thing', 'not kept' || t.status, jsonb_build_object(
    'status', a.status, 'headers', '{"Retry-After": "9"}'::jsonb)) b;
select is(a.*::text, '(,,)', 'nor is an answer without a status')
from pg_temp.ask('thing', 'no status', '{}') a;
select is(pg_temp.refusal($$ select pg_temp.ask('thing', 'raised',
    '{"raise": "PV409"}') $$), 'PV409', 'an error is raised');
select is(a.headers, null, 'and not kept')
from pg_temp.ask('thing', 'raised', '{"status": 200}') a;
select is(array_agg(i.status::int), null, 'nothing is left of what is not kept')
from prov.idempotency i where i.status >= 429 or i.status is null;

select is(a.body::text || b.body, '{"id": 1, "secret": "s3cr3t", "z": null}'
    '{ "id" : 1, "secret" : null, "z" : null }',
    'a secret is shown once, and kept nowhere')
from pg_temp.ask('thing', 'secret', pg_temp.secret()) a,
lateral pg_temp.ask('thing', 'secret', pg_temp.secret()
    || jsonb_build_object('status', a.status)) b;
select is(count(*), 0::bigint, 'not the key either')
from prov.idempotency i where i::text ~ 's3cr3t|kept200';

select results_eq($$
    select i.tenant from prov.idempotency i where i.tenant is not null
$$, $$ select t.id from prov.tenants t $$,
    'a row says whom it is about, so that it goes with that tenant');

select is(a.status, 201, 'however long everything is')
from pg_temp.ask('thing', repeat('k', 100000), '{"status": 201}',
    jsonb_build_object('principal', jsonb_build_object('subject',
        repeat('s', 100000)))) a;

-- who may not enter

select is(a.*::text, '(,,)', 'who is not known gets nothing')
from pg_temp.ask('thing', 'k1', '{"status": 200}', '{}', '{}', 'nobody') a;
select is((select count(*) from pg_temp.ask('thing', 'k1', '{}', '{}', '{}',
    'nobody')) + pg_temp.calls(), pg_temp.calls(),
    'not even a row, and nothing is run');

-- 24 hours

select lives_ok($$ update prov.idempotency
    set created_at = now() - interval '24 hours 1 s' $$, 'a day later');
select is(a.status || coalesce(a.headers::text, ''), '202',
    'a key is new again, for another request, too')
from pg_temp.ask('thing', 'self', '{"status": 202}') a;
select is(a.headers, '{"Idempotent-Replayed": "true"}', 'and is kept again')
from pg_temp.ask('thing', 'self', '{"status": 202}') a;

create temporary table before as
select count(*) as n from prov.idempotency
where partner = '00000000-0000-7000-8000-00000000000a';
select is(a.status, 200, 'a new one comes')
from pg_temp.ask('thing', 'new', '{"status": 200}') a;
select is(count(*), b.n - 1, 'and two old ones go')
from prov.idempotency i, before b
where i.partner = '00000000-0000-7000-8000-00000000000a' group by b.n;
select is(count(*), 1::bigint, 'of the caller''s own partner')
from prov.idempotency i
where i.partner = '00000000-0000-7000-8000-00000000000b';
select cmp_ok(prov.idempotency_expire(1), '=', 1,
    'an operator deletes as many as are wanted');
select cmp_ok(prov.idempotency_expire(1000), '>', 1, 'everybody''s');
select is(count(*), 2::bigint, 'what is younger stays')
from prov.idempotency i;

-- plans: the function stands behind a filter that is looked at first, and
-- neither a full nor an empty table is walked

create function pg_temp.plan(role text, statement text, arguments text)
    returns text
    language plpgsql
as $$
declare
    line text;
    plan text := '';
begin
    execute format('set local role %I', role);
    perform set_config('prov.partner',
        '00000000-0000-7000-8000-00000000000a', true);
    execute format('prepare p%s as %s', case role when 'prov_partner'
        then '(jsonb, jsonb, jsonb)' else '(bytea, int)' end, statement);
    for line in execute format('explain (costs off) execute p(%s)', arguments)
    loop
        plan := plan || line || E'\n';
    end loop;
    deallocate p;
    reset role;
    return plan;
end
$$;

select matches(pg_temp.plan('prov_partner',
        pg_temp.statement('tenant_create'), '''{}'', ''{}'', ''{}'''),
    '->  Result\n +One-Time Filter: \(b\.begun IS NOT NULL\)\n'
    ' +->  Function Scan on tenant_create',
    'the operation is not run when the key is not new');
select matches(pg_temp.plan('prov_partner', replace(
        pg_temp.statement('configuration_update'),
        'partner.configuration_update(e.ctx, $2, $3)',
        'prov.validated(e.ctx, $2, $3, ''partner'', ''configuration_update'')'),
        '''{}'', ''{}'', ''{}'''),
    '->  Result\n +One-Time Filter: \(b\.begun IS NOT NULL\)\n'
    ' +->  Function Scan on validated',
    'nor one whose result is validated');
select matches(pg_temp.plan('prov_api', $$ select i.* from prov.idempotency i
        where i.id = $1 and 0 < $2 $$, '''x'', 1'),
    'Index Scan using idempotency_key_taken on idempotency i',
    'a key is looked for by the primary key');
select matches(pg_temp.plan('prov_api', $$ delete from prov.idempotency i
        where i.id = $1 and 0 < $2 $$, '''x'', 1'),
    'Index Scan using idempotency_key_taken on idempotency i',
    'to be deleted, too');
select matches(pg_temp.plan('prov_api', $$ select i.id
        from prov.idempotency i
        where i.created_at < now() - interval '24 hours' and $1 is not null
        order by i.created_at limit $2 for update skip locked $$,
        '''x'', 2'),
    'Index Scan using idempotency_oldest_first on idempotency i\n'
    ' +Index Cond: \(\(partner = .* AND \(created_at < ',
    'the oldest are found by their age');
select matches(pg_temp.plan('prov_api', $$ update prov.idempotency i
        set headers = null
        where i.names and position('x' in i.body::text) > $2
            and $1 is not null $$, '''x'', 1'),
    'Index Scan using idempotency_that_names on idempotency i\n'
    ' +Index Cond: \(partner = ', 'and those that name tenants by that');

select * from finish();
rollback;
