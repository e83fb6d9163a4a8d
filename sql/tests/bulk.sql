\ir helpers.psql
select * from no_plan();

create function pg_temp.bulk(partner text, input jsonb, extra jsonb
        default '{}', params jsonb default '{}', out status int, out body json, out headers jsonb)
    language plpgsql
as $$
begin
    select * into status, body, headers
    from pg_temp.call('partner.tenant_bulk', pg_temp.context(partner,
        '{"operation": "tenant_bulk"}' || extra), params, input);
end
$$;

-- what became of each, in a word

create function pg_temp.said(body json)
    returns text
    language sql
return (
    select string_agg(coalesce(r -> 'problem' ->> 'code',
               case when r ->> 'tenant' is not null then 'made' end), ' '
               order by (r ->> 'index')::int)
    from json_array_elements(body -> 'results') r);

-- made

create temporary table made as
select * from pg_temp.bulk('alpha', '{"tenants": [
    {"client_name": "Namesake", "email": "n1@example.com"},
    {"client_name": "Namesake", "email": "n2@example.com", "phone_number":
     "+1 234", "industry": "IT", "external_id": "x2",
     "metadata": {"a": "b"}},
    {"company_name": "Wisher", "email": "n3@example.com",
     "slug": "namesake-too"},
    {"client_name": "Namesake too", "email": "n4@example.com",
     "metadata": null, "external_id": null}]}',
    '{"id": "0194f0a0-0000-7000-8000-000000000001",
      "mutation": "0194f0a0-0000-7000-8000-0000000000ff"}');

select is(format('%s %s %s %s', status, body ->> 'created', body ->> 'failed',
    pg_temp.said(body)), '201 4 0 made made made made',
    'all that can be made are made') from made;
select is(headers, null, 'there is no one place where they are') from made;
select results_eq($$
    select t.slug ~ w.slug, t.client_name::text, t.email::text,
        t.external_id::text collate "default", t.metadata::jsonb, r.n
    from made m
    cross join lateral json_array_elements(m.body -> 'results')
        with ordinality r (r, n)
    join prov.tenants t on t.id = (r.r ->> 'tenant')::uuid
    join (values (1, '^namesake$'), (2, '^namesake-[0-9a-f]{6}$'),
        (3, '^namesake-too$'), (4, '^namesake-too-[0-9a-f]{6}$'))
        as w (n, slug) on w.n = r.n
    order by t.id
$$, $$ values
    (true, 'Namesake', 'n1@example.com', null, '{}'::jsonb, 1::bigint),
    (true, 'Namesake', 'n2@example.com', 'x2', '{"a": "b"}', 2),
    (true, 'Wisher', 'n3@example.com', null, '{}', 3),
    (true, 'Namesake too', 'n4@example.com', null, '{}', 4)
$$, 'as they were given, their ids in their order, and no derived slug in '
    'the way of another');
select is_empty($$
    select t.id from prov.tenants t
    where t.id::text !~ '^0194f0a0-0000-7[0-9a-f]{3}-[89ab]'
        and t.email like 'n_@example.com'
$$, 'their ids are version 7, of the moment of the request''s');

select results_eq($$
    select a.seq, a.status::int, a.operation, a.resource, a.tenant is null,
        a.chain = coalesce(a.tenant, a.partner), a.request_id, d.subject,
        d.after::text = case when t.id is null then m.body::text
            else prov.tenant_json(t)::text end
    from prov.audit a
    join prov.audit_details d on d.chain = a.chain and d.seq = a.seq
    left join prov.tenants t on t.id = a.tenant
    cross join made m
    order by a.tenant nulls last
$$, $$
    select 1::bigint, 201, 'tenant_bulk', case when n < 5 then 'tenant'
        else 'bulk' end, n = 5, true, 'request-1', 'user-1', true
    from generate_series(1, 5) n
$$, 'the audit has an entry for each, and one for the request');
select results_eq($$
    select f.checked, f.reason
    from prov.tenants t, prov.audit_fault(t.id, 1, 10) f
$$, $$ select 1, null::text from generate_series(1, 4) $$,
    'each of which is the first link of its chain');
select is(o.status || ' ' || o.body::text, '201 ' || m.body::text,
    'what was answered can be asked for again')
from made m, pg_temp.call('prov.outcome', pg_temp.context('alpha',
    '{"operation": "tenant_bulk",
      "mutation": "0194f0a0-0000-7000-8000-0000000000ff"}'), '{}', null) o;
select is((select count(*) from prov.tenant_labels), 1::bigint,
    'and their metadata is found');

-- what is written for all of a request at once is written as it is for one

create temporary table odd as
select * from pg_temp.bulk('alpha', jsonb_build_object('tenants',
    jsonb_build_array(
        jsonb_build_object('client_name', E'"Odd" \\ %s %1$s é 𝄞',
            'email', 'o"1"\%@example.com', 'phone_number', E'\t"1"',
            'industry', 'I "and" \ T', 'external_id', E'"\\\n',
            'metadata', jsonb_build_object('"k" \', E'"v"\n\\ %s')),
        jsonb_build_object('client_name', 'Odd 2', 'email',
            'o2@example.com'))),
    jsonb_build_object('request_id', 'r "%s" \ %1$s',
        'user_agent', E'"ua" \\ %s \x01', 'ip', null,
        'principal', jsonb_build_object('kind', 'user', 'subject', '"s" \ é',
            'issuer', null, 'key', 'k " %')));

select results_eq($$
    select d.after::text = prov.tenant_json(t)::text, f.checked, f.reason,
        e.data::text = d.after::text, e.id = a.mutation, a.request_id
    from odd o
    cross join json_array_elements(o.body -> 'results') r
    join prov.tenants t on t.id = (r ->> 'tenant')::uuid
    join prov.audit a on a.chain = t.id
    join prov.audit_details d on d.chain = t.id and d.seq = a.seq
    join prov.events e on e.tenant = t.id
    cross join prov.audit_fault(t.id, 1, 10) f
$$, $$ select true, 1, null::text, true, true, 'r "%s" \ %1$s'
    from generate_series(1, 2) $$,
    'each is shown, chained and told of as if made alone, whatever it holds');

select is(b.body ->> 'created', '4', 'several with metadata, and without')
from pg_temp.bulk('alpha', '{"tenants": [
    {"client_name": "L 1", "email": "l1@example.com",
     "metadata": {"a": "b", "c": "d"}},
    {"client_name": "L 2", "email": "l2@example.com"},
    {"client_name": "L 3", "email": "l3@example.com", "metadata": {}},
    {"client_name": "L 4", "email": "l4@example.com",
     "metadata": {"a": "b"}}]}') b;
select results_eq($$
    select t.email::text, l.label, l.partner, l.created_at, l.updated_at,
        l.name_key
    from prov.tenant_labels l
    join prov.tenants t on t.id = l.tenant
    where t.email like 'l_@example.com'
    order by t.email, l.label = prov.tenant_label('a', 'b') desc
$$, $$
    select t.email::text, prov.tenant_label(w.key, w.value), t.partner,
        t.created_at, t.updated_at, t.name_key
    from (values (1, 'l1', 'a', 'b'), (2, 'l1', 'c', 'd'), (3, 'l4', 'a', 'b'))
        as w (n, name, key, value)
    join prov.tenants t on t.email = w.name || '@example.com'
    order by w.n
$$, 'each has its own pairs');

-- conflicts, with what is there and with one another

select is(pg_temp.said(b.body), w.said, w.said)
from (values
    ('[{"email": "N1@EXAMPLE.com"}, {"email": "c1@example.com"}]'::jsonb,
        'email_taken made'),
    ('[{"email": "c2@example.com"}, {"email": "C2@example.com"},
       {"email": "c3@example.com", "external_id": "c3"},
       {"email": "c4@example.com", "external_id": "c3"}]',
        'made email_taken made external_id_taken'),
    ('[{"email": "c5@example.com", "slug": "namesake"},
       {"email": "c6@example.com", "slug": "c6"},
       {"email": "c7@example.com", "slug": "c6"}]',
        'slug_taken made slug_taken'),
    ('[{"email": "c8@example.com", "external_id": "x2"},
       {"email": "c8@example.com", "external_id": "c8"}]',
        'external_id_taken made'),
    ('[{"email": "c9@example.com", "company_name": "Other"},
       {"email": "c9@example.com"}, {"email": "c9@example.com"}]',
        'company_name_conflict made email_taken'),
    ('[{"email": "d1@example.com", "external_id": "d1"},
       {"email": "d1@example.com", "external_id": "d2"},
       {"email": "d2@example.com", "external_id": "d2"}]',
        'made email_taken made')
) as w (items, said)
cross join lateral pg_temp.bulk('alpha', jsonb_build_object('tenants',
    (select jsonb_agg('{"client_name": "C"}' || i order by n)
     from jsonb_array_elements(w.items) with ordinality i (i, n)))) b;

select is(b.status || ' ' || (b.body #>> '{results,0,problem,tenant}'),
    '200 ' || t.id, 'the tenant in the way is named')
from prov.tenants t, pg_temp.bulk('alpha', '{"tenants": [{"client_name": "C",
    "email": "n1@example.com"}]}') b
where t.email = 'n1@example.com';

-- a slug that is wished for, although one derived before it would be the same

select is(pg_temp.said(b.body), 'made made',
    'a derived slug keeps out of the way of one that is wished for')
from pg_temp.bulk('alpha', '{"tenants": [
    {"client_name": "Wished for", "email": "w1@example.com"},
    {"client_name": "W", "email": "w2@example.com", "slug": "wished-for"}]}')
    b;

-- somebody else's slugs, which nobody here sees

select is(pg_temp.said(b.body), 'slug_taken made made',
    'somebody else''s slug is taken, and none that is derived conflicts')
from pg_temp.bulk('beta', '{"tenants": [
    {"client_name": "N", "email": "a@example.com", "slug": "namesake"},
    {"client_name": "Namesake", "email": "b@example.com"},
    {"client_name": "Namesake", "email": "c@example.com"}]}') b;
select is(b.body #>> '{results,0,problem,tenant}', null,
    'of it nothing is told')
from pg_temp.bulk('beta', '{"tenants": [
    {"client_name": "N", "email": "d@example.com", "slug": "namesake"}]}') b;
select is(pg_temp.said(b.body), 'made email_taken',
    'the first of two is made, also when somebody has its slug')
from pg_temp.bulk('beta', '{"tenants": [
    {"client_name": "Wisher", "email": "e@example.com"},
    {"client_name": "Least", "email": "e@example.com"}]}') b;

-- all or none

create temporary table count as select count(*) as n from prov.tenants;
create temporary table written as select count(*) as n from prov.audit;

select is(format('%s %s %s %s', b.status, b.body ->> 'code',
        json_array_length(b.body -> 'results'), pg_temp.said(b.body)),
    '409 bulk_refused 2 email_taken email_taken', 'of all or none, none')
from pg_temp.bulk('alpha', '{"atomic": true, "tenants": [
    {"client_name": "A", "email": "new@example.com"},
    {"client_name": "B", "email": "NEW@example.com"},
    {"client_name": "C", "email": "n1@example.com"}]}') b;
select is((select count(*) from prov.tenants), n, 'is made') from count;
select is((select count(*) from prov.audit), n, 'nor written down')
from written;
select results_eq($$
    select r ->> 'index', r -> 'problem' ->> 'tenant'
    from pg_temp.bulk('alpha', '{"atomic": true, "tenants": [
        {"client_name": "A", "email": "new@example.com"},
        {"client_name": "B", "email": "NEW@example.com"},
        {"client_name": "C", "email": "n1@example.com"}]}') b,
        json_array_elements(b.body -> 'results') r
$$, $$
    select '1', null union all
    select '2', t.id::text from prov.tenants t
    where t.email = 'n1@example.com'
$$, 'nor told of one that was not made');
select is(b.status || ' ' || pg_temp.said(b.body), '201 made made',
    'of all or none, all')
from pg_temp.bulk('alpha', '{"atomic": true, "tenants": [
    {"client_name": "A", "email": "all1@example.com"},
    {"client_name": "B", "email": "all2@example.com"}]}') b;

-- a thousand, which are made at once when it is a trial

select is(b.status || ' ' || (b.body ->> 'created'), '201 1000',
    'a thousand namesakes are made at once')
from pg_temp.bulk('alpha', jsonb_build_object('tenants', (
    select jsonb_agg(jsonb_build_object('client_name', 'Legion', 'email',
        'legion' || n || '@example.com'))
    from generate_series(1, 1000) n)), params => '{"dry_run": true}') b;
select is(b.status || ' ' || (b.body ->> 'failed'), '200 1000',
    'and not a second time')
from pg_temp.bulk('alpha', jsonb_build_object('tenants', (
    select jsonb_agg(jsonb_build_object('client_name', 'Legion', 'email',
        'legion' || n || '@example.com'))
    from generate_series(1, 1000) n)), params => '{"dry_run": true}') b;
select results_eq($$
    select count(*), count(distinct t.slug), count(distinct t.id),
        min(substr(t.id::text, 15, 1))
    from prov.tenants t where t.client_name = 'Legion'
$$, $$ values (1000::bigint, 1000::bigint, 1000::bigint, '7') $$,
    'each with an id and a slug of its own');

select * from finish();
rollback;

-- as if it had never been: the next file's plans depend on sizes

vacuum full prov.tenants, prov.tenant_labels, prov.audit, prov.audit_details;
