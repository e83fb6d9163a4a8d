\ir helpers.psql
select * from no_plan();

-- made

create temporary table made as
select * from pg_temp.call('partner.tenant_create',
    pg_temp.context('alpha', '{"operation": "tenant_create",
        "id": "0194f0a0-0000-7000-8000-000000000001",
        "mutation": "0194f0a0-0000-7000-8000-0000000000ff"}'),
    '{}', '{"client_name": "Ä \"quoted\" \\ name", "email": "Mail@Example.com",
        "phone_number": "+49 30 1", "industry": "I\\T", "slug": "wished",
        "external_id": "crm/1", "metadata": {"plan": "gold", "a b": ""}}');

select is(status, 201, 'a tenant is made') from made;
select is(body::text,
    '{"tenant": "0194f0a0-0000-7000-8000-000000000001", '
    '"client_name": "Ä \"quoted\" \\ name", '
    '"company_name": "Ä \"quoted\" \\ name", '
    '"email": "Mail@Example.com", "phone_number": "+49 30 1", '
    '"industry": "I\\T", "slug": "wished", "external_id": "crm/1", '
    '"status": "active", "status_reason": null, "status_changed_at": "'
        || prov.rfc3339(now()::timestamptz(3)) || '", '
    '"metadata": {"a b": "", "plan": "gold"}, '
    '"created_at": "' || prov.rfc3339(now()::timestamptz(3)) || '", '
    '"updated_at": "' || prov.rfc3339(now()::timestamptz(3)) || '", '
    '"deleted_at": null, "purge_after": null}',
    'and answered in full, to the byte') from made;
select is(headers, '{"ETag": "\"1\"", "Location":
    "/api/provisioning/tenants/0194f0a0-0000-7000-8000-000000000001"}',
    'with where it is and its entity tag') from made;

select is(g.body::text, m.body::text, 'read again, it is the same')
from made m,
    pg_temp.get_tenant('alpha', '0194f0a0-0000-7000-8000-000000000001') g;
select is(g.headers, '{"ETag": "\"1\""}', 'with the same entity tag')
from pg_temp.get_tenant('alpha', '0194f0a0-0000-7000-8000-000000000001') g;

select results_eq($$
    select status::int, operation, resource, resource_id, tenant, partner,
        kind, subject, issuer, request_id, ip, user_agent, before::text,
        after::text, headers
    from entries
    where mutation = '0194f0a0-0000-7000-8000-0000000000ff'
$$, $$
    select 201, 'tenant_create', 'tenant',
        '0194f0a0-0000-7000-8000-000000000001'::uuid,
        '0194f0a0-0000-7000-8000-000000000001'::uuid,
        '00000000-0000-7000-8000-00000000000a'::uuid,
        'user', 'user-1', 'https://issuer.example', 'request-1', '192.0.2.1',
        'curl/8', null, body::text, headers
    from made
$$, 'the audit says who did it, from where, and what was answered');

-- only what is required

create temporary table least as
select * from pg_temp.create_tenant('alpha',
    '{"client_name": "Least", "email": "least@example.com"}');
select is(status, 201, 'a name and an e-mail address suffice') from least;
select results_eq($$
    select key::text, value::text from least, json_each(body)
    where key in ('phone_number', 'industry', 'external_id', 'metadata')
$$, $$ values ('phone_number', 'null'), ('industry', 'null'),
    ('external_id', 'null'), ('metadata', '{}') $$,
    'what was not given is null, metadata an empty object');

select is(c.body ->> 'phone_number', null, 'null counts as not given')
from pg_temp.create_tenant('alpha', '{"client_name": "Null",
    "email": "null@example.com", "phone_number": null, "industry": null,
    "slug": null, "external_id": null, "metadata": null}') c;

-- the deprecated alias

select is(c.body ->> 'client_name', 'Alias',
    'company_name stands in for client_name')
from pg_temp.create_tenant('alpha',
    '{"company_name": "Alias", "email": "alias@example.com"}') c;
select is(c.status, 201, 'both are welcome when they are the same')
from pg_temp.create_tenant('alpha', '{"company_name": "Both",
    "client_name": "Both", "email": "both@example.com"}') c;
select is(c.status || ' ' || (c.body ->> 'code'), '400 company_name_conflict',
    'both, but different, are refused')
from pg_temp.create_tenant('alpha', '{"company_name": "One",
    "client_name": "Other", "email": "one@example.com"}') c;

-- conflicts: which, and whose

create temporary table first as
select c.body ->> 'tenant' as tenant
from pg_temp.create_tenant('alpha', '{"client_name": "First",
    "email": "first@example.com", "external_id": "1", "slug": "first"}') c;
create temporary table second as
select c.body ->> 'tenant' as tenant
from pg_temp.create_tenant('alpha', '{"client_name": "Second",
    "email": "second@example.com", "external_id": "2", "slug": "second"}') c;

prepare tries as
select format('%s %s %s', c.status, c.body ->> 'code',
           case c.body ->> 'tenant' when f.tenant then 'first'
               when s.tenant then 'second' end)
from first f, second s, (values
    (1, 'alpha', '{"email": "FIRST@example.COM"}'::jsonb),
    (2, 'alpha', '{"email": "x@example.com", "external_id": "1"}'),
    (3, 'alpha', '{"email": "x@example.com", "slug": "first"}'),
    (4, 'alpha', '{"email": "first@example.com", "external_id": "2",
                   "slug": "second"}'),
    (5, 'alpha', '{"email": "x@example.com", "external_id": "1",
                   "slug": "second"}'),
    (6, 'beta', '{"email": "first@example.com", "external_id": "1"}'),
    (7, 'beta', '{"email": "x@example.com", "slug": "first"}'),
    (8, 'beta', '{"email": "first@example.com", "slug": "first"}')
) as t (n, partner, input)
cross join lateral pg_temp.create_tenant(t.partner,
    t.input || '{"client_name": "First"}') c
order by t.n;
select results_eq('tries', array[
    '409 email_taken first',
    '409 external_id_taken first',
    '409 slug_taken first',
    '409 email_taken first',
    '409 external_id_taken first',
    '201  ',
    '409 slug_taken ',
    '409 email_taken '
], 'a conflict is named in a fixed order, and its tenant only to its owner');

select is((select count(*) from entries
    where after ->> 'code' is not null or status = 409), 0::bigint,
    'what was refused leaves no audit entry');
select results_eq($$
    select array_agg(key::text order by key)
    from first f,
        pg_temp.create_tenant('beta', '{"client_name": "X",
            "email": "y@example.com", "slug": "second"}') c,
        json_object_keys(c.body) key
$$, $$ values (array['code', 'detail']) $$,
    'of somebody else''s tenant nothing is told');

-- slugs

select is(c.body ->> 'slug', 'muller-gmbh', 'a slug is made of the name')
from pg_temp.create_tenant('alpha',
    '{"client_name": "Müller GmbH", "email": "m1@example.com"}') c;
select matches(c.body ->> 'slug', '^muller-gmbh-[0-9a-f]{6}$',
    'a namesake gets digits of its own')
from pg_temp.create_tenant('alpha',
    '{"client_name": "Müller GmbH", "email": "m2@example.com"}') c;
select matches(c.body ->> 'slug', '^muller-gmbh-[0-9a-f]{6}$',
    'also where it cannot see the other')
from pg_temp.create_tenant('beta',
    '{"client_name": "Müller GmbH", "email": "m1@example.com"}') c;
select is(c.body ->> 'slug', 'tenant',
    'a name that leaves nothing makes "tenant"')
from pg_temp.create_tenant('alpha',
    '{"client_name": "日本", "email": "j@example.com"}') c;

-- every shorter form taken by somebody who knew the id

select pg_temp.create_tenant('beta', jsonb_build_object('client_name', 'X',
    'email', n || '@taken.example', 'slug', slug))
from (values (1, 'namesake'), (2, 'namesake-6789ab'),
    (3, 'namesake-80000123456789ab')) t (n, slug) \g /dev/null
select is(c.body ->> 'slug', 'namesake-0194f0a00000700080000123456789ab',
    'in the end the whole id makes it unique')
from pg_temp.call('partner.tenant_create',
    pg_temp.context('alpha', '{"operation": "tenant_create",
        "id": "0194f0a0-0000-7000-8000-0123456789ab"}'),
    '{}', '{"client_name": "Namesake", "email": "n@example.com"}') c;
select is(pg_temp.refusal($$
    select r.*
    from prov.enter(pg_temp.context('alpha', '{"operation": "tenant_create",
            "id": "0194f0a0-0000-7000-8000-0123456789ab"}')) e
    cross join lateral partner.tenant_create(e.ctx, '{}',
        '{"client_name": "Namesake", "email": "n2@example.com"}') r
$$), 'PV503 slug_unavailable',
    'an id that repeats is refused, not looped over');

-- what validation lets through, SQL takes; what it should not, SQL refuses

select is(c.status, 201, format('accepted: %s', left(t.input::text, 60)))
from (values
    (jsonb_build_object('client_name', repeat('ü', 200))),
    (jsonb_build_object('client_name', E'\u00a0')),
    (jsonb_build_object('slug', '-')),
    (jsonb_build_object('slug', repeat('9', 63))),
    (jsonb_build_object('slug', '0194f0a0-0000-7000-8000-0123456789ab')),
    (jsonb_build_object('email', '"joe b@c"@' || repeat('x', 300) || '.de')),
    (jsonb_build_object('phone_number', '', 'industry', '')),
    (jsonb_build_object('phone_number', repeat('1', 64),
        'industry', repeat('ü', 200))),
    (jsonb_build_object('external_id', repeat('ü', 255))),
    (jsonb_build_object('external_id', E'\u0001 ''"\\')),
    (jsonb_build_object('metadata', '{"": ""}'::jsonb)),
    (jsonb_build_object('metadata',
        jsonb_build_object(repeat('ü', 40), repeat(E'\n', 500)))),
    (jsonb_build_object('metadata',
        (select jsonb_object_agg('k' || i, 'v') from generate_series(1, 50) i)))
) as t (input)
cross join lateral pg_temp.create_tenant('alpha', jsonb_build_object(
    'client_name', 'X', 'email', prov.uuid7() || '@example.com') || t.input) c;

select is(pg_temp.refusal(format($$
    select pg_temp.create_tenant('alpha', %L)
$$, jsonb_build_object('client_name', 'X', 'email', 'refused@example.com')
    || input)), wanted, format('%s: %s', wanted, left(input::text, 60)))
from (values
    (jsonb_build_object('client_name', ''), '23514 name_invalid'),
    (jsonb_build_object('client_name', E' \t\n'), '23514 name_invalid'),
    (jsonb_build_object('client_name', E'A\u200bB'), '23514 name_invalid_2'),
    (jsonb_build_object('client_name', E'A\u202eB'), '23514 name_invalid_2'),
    (jsonb_build_object('client_name', E'A\tB'), '23514 name_invalid_2'),
    (jsonb_build_object('industry', E'A\u200bB'),
        '23514 industry_invalid_2'),
    (jsonb_build_object('client_name', repeat('x', 201)),
        '23514 name_invalid'),
    (jsonb_build_object('email', 'nobody'), '23514 email_invalid'),
    (jsonb_build_object('email', repeat('x', 320) || '@x'),
        '23514 email_invalid'),
    (jsonb_build_object('slug', ''), '23514 slug_invalid'),
    (jsonb_build_object('slug', 'Upper'), '23514 slug_invalid'),
    (jsonb_build_object('slug', E'line\n'), '23514 slug_invalid'),
    (jsonb_build_object('slug', repeat('x', 64)), '23514 slug_invalid'),
    (jsonb_build_object('external_id', ''), '23514 external_id_invalid'),
    (jsonb_build_object('external_id', repeat('x', 256)),
        '23514 external_id_invalid'),
    (jsonb_build_object('phone_number', repeat('1', 65)),
        '23514 phone_number_invalid'),
    (jsonb_build_object('industry', repeat('1', 201)),
        '23514 industry_invalid'),
    (jsonb_build_object('metadata', '[]'::jsonb), '23514 metadata_invalid'),
    (jsonb_build_object('metadata', '"x"'::jsonb), '23514 metadata_invalid'),
    (jsonb_build_object('metadata', '{"a": 1}'::jsonb),
        '23514 metadata_invalid'),
    (jsonb_build_object('metadata', '{"a": null}'::jsonb),
        '23514 metadata_invalid'),
    (jsonb_build_object('metadata', '{"a": {"b": "c"}}'::jsonb),
        '23514 metadata_invalid'),
    (jsonb_build_object('metadata', '{"a": ["c"]}'::jsonb),
        '23514 metadata_invalid'),
    (jsonb_build_object('metadata',
        jsonb_build_object(repeat('k', 41), '')), '23514 metadata_invalid'),
    (jsonb_build_object('metadata',
        jsonb_build_object('k', repeat(E'\n', 501))),
        '23514 metadata_invalid'),
    (jsonb_build_object('metadata',
        (select jsonb_object_agg('k' || i, '')
         from generate_series(1, 51) i)), '23514 metadata_invalid')
) as t (input, wanted);

-- read

select is(g.status || ' ' || (g.body ->> 'code'), '404 tenant_not_found',
    format('not found: %s', what))
from (values
    ('an unknown one', 'alpha', '0194f0a0-0000-7000-8000-00000000dead'),
    ('another partner''s', 'beta', '0194f0a0-0000-7000-8000-000000000001')
) as t (what, partner, tenant)
cross join lateral pg_temp.get_tenant(t.partner, t.tenant) g;
select is(g.status, 200, 'an id may be written in capitals')
from pg_temp.get_tenant('alpha', upper('0194f0a0-0000-7000-8000-0123456789ab'))
    g;

-- listed

create temporary table roll (n int, tenant text);

delete from prov.tenants;
insert into prov.tenants (id, partner, created_at, slug, client_name, email)
select ('0194f0a0-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid,
    '00000000-0000-7000-8000-00000000000a',
    '2025-01-01Z'::timestamptz + n / 3 * interval '1 ms',
    'a' || n, 'A' || n, n || '@example.com'
from generate_series(1, 103) n;
insert into prov.tenants (id, partner, created_at, slug, client_name, email)
select ('0194f0a0-0000-7000-9000-' || lpad(n::text, 12, '0'))::uuid,
    '00000000-0000-7000-8000-00000000000b',
    '2025-01-01Z'::timestamptz + n * interval '1 ms',
    'b' || n, 'B' || n, n || '@example.com'
from generate_series(1, 3) n;

create function pg_temp.slugs(body json)
    returns text
    language sql
return (select string_agg(d ->> 'slug', ' ')
        from json_array_elements(body -> 'data') d);

select is(pg_temp.slugs(l.body), 'b3 b2 b1',
    'a partner lists its own, newest first')
from pg_temp.list_tenants('beta', '{}') l;
select is(l.body::text, '{"data": [' || string_agg(g.body::text, ', '
        order by g.body ->> 'slug' desc) || '], "next_cursor": null}',
    'each as it is read alone, and no cursor after the last')
from pg_temp.list_tenants('beta', '{"limit": 3}') l,
    generate_series(1, 3) n,
    pg_temp.get_tenant('beta', '0194f0a0-0000-7000-9000-'
        || lpad(n::text, 12, '0')) g
group by l.body::text;
select is(l.headers, null, 'nor a link')
from pg_temp.list_tenants('beta', '{"limit": 3}') l;
select is(l.headers ->> 'Link', '</api/provisioning/tenants?limit=2&cursor='
        || (l.body ->> 'next_cursor') || '>; rel="next"',
    'the link is to the next page, as long as this one')
from pg_temp.list_tenants('beta', '{"limit": 2}') l;
select is(json_array_length(l.body -> 'data'), wanted,
    format('limit %s shows %s', coalesce(lim::text, 'left out'), wanted))
from (values (null::numeric, 25), (1, 1), (7.0, 7), (100, 100), (1000, 100),
    (0, 1)) as t (lim, wanted)
cross join lateral pg_temp.list_tenants('alpha',
    jsonb_strip_nulls(jsonb_build_object('limit', lim))) l;

create function pg_temp.walk(partner text, page int)
    returns text
    language plpgsql
as $$
declare
    seen   text;
    cursor text;
    l      record;
begin
    loop
        select * into l from pg_temp.list_tenants(partner,
            jsonb_strip_nulls(jsonb_build_object('limit', page,
                'cursor', cursor)));
        seen := concat_ws(' ', seen, pg_temp.slugs(l.body));
        cursor := l.body ->> 'next_cursor';
        exit when cursor is null;
    end loop;
    return seen;
end
$$;

select is(pg_temp.walk('alpha', page),
    (select string_agg('a' || n, ' ' order by n desc)
     from generate_series(1, 103) n),
    format('pages of %s show everything once, in order', page))
from (values (1), (2), (25), (100)) as t (page);

create temporary table page as
select l.body ->> 'next_cursor' as cursor
from pg_temp.list_tenants('alpha', '{"limit": 3}') l;
delete from prov.tenants where slug = 'a100';
insert into prov.tenants (id, partner, created_at, slug, client_name, email)
values ('0194f0a0-0000-7000-8000-000000000999',
    '00000000-0000-7000-8000-00000000000a', '2025-02-01Z', 'newer', 'N', 'n@n');
select is(pg_temp.slugs(l.body), 'a99 a98', 'a cursor survives that its row '
    'goes, and what is newer does not move the page')
from page p, pg_temp.list_tenants('alpha', jsonb_build_object('limit', 2,
    'cursor', p.cursor)) l;
select is(pg_temp.slugs(l.body), 'b3 b2 b1',
    'another partner''s cursor is a position, and shows nothing of theirs')
from page p, pg_temp.list_tenants('beta',
    jsonb_build_object('cursor', prov.list_cursor(
        prov.list_binding('tenant_list', '{}', '-created_at'),
        prov.list_moment('2026-01-01Z'),
        'ffffffff-ffff-ffff-ffff-ffffffffffff'))) l;
select is(l.status || ' ' || (l.body ->> 'code'), '400 invalid_cursor',
    format('refused as a cursor: "%s"', cursor))
from (values (''), ('x'), (''' or 1=1'),
    (prov.list_cursor(prov.list_binding('tenant_list', '{}', 'created_at'),
        prov.list_moment(now()), prov.uuid7())),
    (prov.list_cursor(prov.list_binding('tenant_list', '{}', '-created_at'),
        'x', prov.uuid7()))) as t (cursor)
cross join lateral pg_temp.list_tenants('alpha',
    jsonb_build_object('cursor', cursor)) l;
select is(l.body::text, '{"data": [], "next_cursor": null}',
    'a partner without tenants gets an empty list')
from (select prov.partner_add('gamma', 'Gamma')) p,
    pg_temp.list_tenants('gamma', '{}') l;

select * from finish();
rollback;
