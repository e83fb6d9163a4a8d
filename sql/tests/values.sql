\ir helpers.psql
select * from no_plan();

-- times

select is(prov.rfc3339('2025-02-10 17:30:00+01'), '2025-02-10T16:30:00.000Z',
    'a time is rendered in UTC with three digits and Z');
set local timezone = 'Asia/Kathmandu';
set local datestyle = 'German, DMY';
select is(prov.rfc3339('2025-12-31 23:59:59.9999Z'),
    '2025-12-31T23:59:59.999Z',
    'neither TimeZone nor DateStyle changes it, and it is never rounded up');
reset timezone;
reset datestyle;

-- entity tags

select is(prov.etag(12), '"12"', 'an entity tag is strong and quoted');

-- ids

select matches(prov.uuid7()::text,
    '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$',
    'uuid7() has the version and variant of RFC 9562');
select cmp_ok(
    abs(('x' || left(replace(prov.uuid7()::text, '-', ''), 12))::bit(48)
        ::bigint - extract(epoch from clock_timestamp()) * 1000),
    '<', 5000::numeric, 'uuid7() begins with the time in milliseconds');
select is((select count(distinct prov.uuid7()) from generate_series(1, 1000)),
    1000::bigint, 'uuid7() does not repeat itself');

-- slugs

select is(prov.slug(name), wanted, format('the slug of "%s" is %s', name,
    wanted))
from (values
    ('Acme', 'acme'),
    ('Acme Corporation, Inc.', 'acme-corporation-inc'),
    ('  --Acme--  ', 'acme'),
    ('Joe''s Diner', 'joes-diner'),
    ('Joe’s Diner', 'joes-diner'),
    ('R2 & D2', 'r2-d2'),
    ('Müller & Söhne Straße', 'muller-sohne-strasse'),
    ('ÆØÅ Łódź Þór ĳ', 'aeoa-lodz-thor-ij'),
    ('ẞ ĦEÐ ŊAM', 'ss-hed-nam'),
    ('Café', 'cafe'),
    ('Cafe' || U&'\0301', 'cafe'),
    ('ＡＣＭＥ ①', 'acme-1'),
    ('Ёлка Щука Объект', 'elka-shchuka-obekt'),
    ('Київ', 'kiiv'),
    ('Αθήνα Ψυχή', 'athina-psychi'),
    ('日本 Acme', 'acme'),
    ('日本', 'tenant'),
    ('!!!', 'tenant'),
    ('🚀', 'tenant'),
    (repeat('a', 200), repeat('a', 63)),
    (repeat('a', 62) || ' b', repeat('a', 62)),
    (repeat('ﷺ', 200), 'tenant')
) as t (name, wanted);

select is_empty($$
    select prov.slug(chr(n)) from generate_series(1, 65535) n
    where n not between 55296 and 57343
        and prov.slug(chr(n) || 'x') !~ '^[a-z0-9-]{1,63}$'
$$, 'whatever the name, the slug is one the domain accepts');

select is(prov.slug_apart('acme', '00000000-0000-7000-8000-0123456789ab', 1),
    'acme-6789ab', 'the first namesake gets six digits of its id');
select is(prov.slug_apart('acme', '00000000-0000-7000-8000-0123456789ab', 2),
    'acme-80000123456789ab', 'the second try gets sixteen');
select is(prov.slug_apart('acme', '00000000-0000-7000-8000-0123456789ab', 3),
    'acme-000000000000700080000123456789ab', 'the third gets the whole id');
select is_empty($$
    select s
    from generate_series(1, 3) attempt,
        lateral prov.slug_apart(repeat('ab-', 21), prov.uuid7(), attempt) s
    where s !~ '^[a-z0-9-]{1,63}$' or s ~ '--'
$$, 'a long slug makes room for them');

-- cursors

prepare there_and_back as
select r.moment, r.id
from (values
    ('2025-02-10 16:30:00.123Z'::timestamptz,
     '0194f0a0-0000-7000-bfff-ffffffffffff'::uuid),
    ('1970-01-01 00:00:00Z', '00000000-0000-0000-0000-000000000000'),
    ('9999-12-31 23:59:59.999Z', 'ffffffff-ffff-ffff-ffff-ffffffffffff')
) as t (moment, id)
cross join lateral prov.cursor_read('abc',
    prov.cursor_write('abc', t.moment, t.id)) r;

select results_eq('there_and_back', $$ values
    ('2025-02-10 16:30:00.123Z'::timestamptz,
     '0194f0a0-0000-7000-bfff-ffffffffffff'::uuid),
    ('1970-01-01 00:00:00Z', '00000000-0000-0000-0000-000000000000'),
    ('9999-12-31 23:59:59.999Z', 'ffffffff-ffff-ffff-ffff-ffffffffffff')
$$, 'a cursor leads back to its row');

select matches(prov.cursor_write('abc', now(),
        'ffffffff-ffff-ffff-ffff-ffffffffffff'), '^[A-Za-z0-9_-]{36}$',
    'a cursor needs no escaping in a URL');

select ok(r.moment is null and r.id is null, format('%s is no cursor', what))
from (values
    ('nothing', ''),
    ('a word', 'hello'),
    ('one digit less', left(prov.cursor_write('abc', now(), prov.uuid7()), 35)),
    ('one digit more', prov.cursor_write('abc', now(), prov.uuid7()) || 'A'),
    ('another list''s', prov.cursor_write('abd', now(), prov.uuid7())),
    ('padding', left(prov.cursor_write('abc', now(), prov.uuid7()), 35) || '='),
    ('plain base64', 'YWJj' || repeat('+', 32)),
    ('a time before 1970', 'YWJj' || repeat('_', 32)),
    ('a time after 9999', 'YWJjAP' || repeat('A', 30)),
    ('a line more', prov.cursor_write('abc', now(), prov.uuid7()) || E'\n')
) as t (what, cursor)
cross join lateral prov.cursor_read('abc', t.cursor) r;

-- inlining: worth a fifth of a read's throughput, lost by one wrong word

create function pg_temp.plan_of(query text)
    returns setof text
    language plpgsql
as $$
begin
    return query execute 'explain (verbose, costs off) ' || query;
end
$$;

select is_empty(format($$
        select * from pg_temp.plan_of('select %s from prov.tenants t')
            as line
        where line ~ 'prov\.(rfc3339|etag|tenant_json|cursor_write)\('
    $$, expression), format('%s is inlined', expression))
from unnest(array['prov.rfc3339(t.created_at)', 'prov.etag(t.version)',
    'prov.tenant_json(t)', 'prov.cursor_write(t.slug, t.created_at, t.id)'])
    as expression;
select isnt_empty($$
    select * from pg_temp.plan_of('select prov.uuid7() from prov.tenants')
        as line
    where line ~ 'prov\.uuid7\('
$$, 'and the plan would show a function that is not');

select * from finish();
rollback;
