\ir helpers.psql
select * from no_plan();

-- preconditions

select is(p.status || ' ' || (p.body ->> 'code'), wanted, format('%s of %s: %s',
    params, coalesce('version ' || version, 'nothing'),
    coalesce(wanted, 'go on')))
from (values
    ('{}'::jsonb, 3, null),
    ('{}', null, null),
    ('{"If-Match": null}', 3, null),
    ('{"If-Match": "\"3\""}', 3, null),
    ('{"If-Match": "\"2\""}', 3, '412 precondition_failed'),
    ('{"If-Match": "\"33\""}', 3, '412 precondition_failed'),
    ('{"If-Match": "\"3\""}', null, '412 precondition_failed'),
    ('{"If-Match": "*"}', 3, null),
    ('{"If-Match": "*"}', null, '412 precondition_failed'),
    ('{"If-Match": "\"1\", \"2\" ,\"3\""}', 3, null),
    ('{"If-Match": ", ,\"3\",, "}', 3, null),
    ('{"If-Match": "\"1\", \"2\""}', 3, '412 precondition_failed'),
    ('{"If-Match": "W/\"3\""}', 3, '412 precondition_failed'),
    ('{"If-Match": "W/\"3\", \"3\""}', 3, null),
    ('{"If-Match": "\"1,\", \"3\""}', 3, null),
    ('{"If-Match": "\",\"3\""}', 3, '412 precondition_failed'),
    ('{"If-Match": "3"}', 3, '412 precondition_failed'),
    ('{"If-Match": ""}', 3, '412 precondition_failed'),
    ('{"If-Match": "\"3"}', 3, '412 precondition_failed'),
    ('{"If-Match": "\"3\" \"4\""}', 3, '412 precondition_failed'),
    ('{"If-Match": "*, \"3\""}', 3, '412 precondition_failed'),
    ('{"If-None-Match": "*"}', null, null),
    ('{"If-None-Match": "*"}', 3, '412 precondition_failed'),
    ('{"If-None-Match": "\"3\""}', 3, '412 precondition_failed'),
    ('{"If-None-Match": "W/\"3\""}', 3, '412 precondition_failed'),
    ('{"If-None-Match": "\"2\""}', 3, null),
    ('{"If-None-Match": "\"2\""}', null, null),
    ('{"If-None-Match": "\"1\", \"3\""}', 3, '412 precondition_failed'),
    ('{"If-None-Match": "3"}', null, '412 precondition_failed'),
    ('{"If-None-Match": "**"}', null, '412 precondition_failed'),
    ('{"If-Match": "\"3\"", "If-None-Match": "*"}', 3,
        '412 precondition_failed')
) as t (params, version, wanted)
cross join lateral prov.precondition(t.params, t.version) p;

-- a merge patch

create function pg_temp.act(operation text, tenant text, params jsonb,
        input jsonb, partner text default 'alpha', out status int,
        out body json, out headers jsonb)
    language plpgsql
as $$
begin
    select * into status, body, headers
    from pg_temp.call('partner.' || operation,
        pg_temp.context(partner, jsonb_build_object('operation', operation)),
        jsonb_build_object('tenant', tenant) || params, input);
end
$$;

create temporary table t as
select c.body ->> 'tenant' as id, c.body
from pg_temp.create_tenant('alpha', '{"client_name": "Before",
    "email": "before@example.com", "phone_number": "+49 30 1",
    "industry": "IT", "external_id": "crm-1",
    "metadata": {"a": "1", "b": "2"}}') c;
create temporary table other as
select c.body ->> 'tenant' as id
from pg_temp.create_tenant('alpha', '{"client_name": "Other",
    "email": "other@example.com", "external_id": "crm-2"}') c;

-- what a patch changes, as it is answered

create function pg_temp.patched(tenant text, patch jsonb)
    returns jsonb
    language plpgsql
as $$
declare
    was constant jsonb := body from pg_temp.get_tenant('alpha', tenant);
begin
    return (select jsonb_object_agg(m.key, m.value)
            from pg_temp.act('tenant_update', tenant, '{}', patch) a,
                jsonb_each(a.body::jsonb - 'updated_at') m
            where m.value <> was -> m.key);
end
$$;

select is(r.changed, wanted, format('a patch of %s changes %s', patch,
    coalesce(wanted::text, 'nothing')))
from t, (values
    (1, '{"client_name": "After"}'::jsonb,
        '{"client_name": "After", "company_name": "After"}'::jsonb),
    (2, '{"company_name": "Then"}',
        '{"client_name": "Then", "company_name": "Then"}'),
    (3, '{"company_name": "Both", "client_name": "Both"}',
        '{"client_name": "Both", "company_name": "Both"}'),
    (4, '{"phone_number": null, "external_id": null}',
        '{"phone_number": null, "external_id": null}'),
    (5, '{"phone_number": null}', null),
    (6, '{"metadata": {"b": null, "c": "3", "nothing": null}}',
        '{"metadata": {"a": "1", "c": "3"}}'),
    (7, '{"metadata": {}}', null),
    (8, '{"metadata": null}', '{"metadata": {}}'),
    (9, '{"metadata": {"d": null}}', null),
    (10, '{}', null),
    (11, '{"slug": "chosen", "email": "After@example.com"}',
        '{"slug": "chosen", "email": "After@example.com"}'),
    (12, '{"email": "after@EXAMPLE.com"}', '{"email": "after@EXAMPLE.com"}'),
    (13, '{"industry": "Retail"}', '{"industry": "Retail"}')
) as step (n, patch, wanted)
cross join lateral pg_temp.patched(t.id, patch) r (changed)
order by n;

select is(g.headers ->> 'ETag', '"10"',
    'nine of them changed something, and only those made a version')
from t, pg_temp.get_tenant('alpha', t.id) g;
select is(count(*), 13::bigint, 'each of them is in the audit')
from t, entries a
where a.tenant = t.id::uuid and a.operation = 'tenant_update';
select ok(a.before ->> 'industry' = 'IT' and a.after ->> 'industry' = 'Retail'
    and a.headers ->> 'ETag' = '"10"', 'with what was before and after')
from t, entries a
where a.tenant = t.id::uuid
order by (a.headers ->> 'ETag') = '"10"' desc, a.at desc, a.mutation desc
limit 1;

select is(a.status || coalesce(' ' || (a.body ->> 'code'), '')
        || case a.body ->> 'tenant' when o.id then ' other' else '' end,
    wanted, format('%s of %s: %s', operation, patch, wanted))
from t, other o, (values
    ('tenant_update', '{}'::jsonb, '{"email": "OTHER@example.com"}'::jsonb,
        '409 email_taken other'),
    ('tenant_update', '{}', '{"external_id": "crm-2"}',
        '409 external_id_taken other'),
    ('tenant_update', '{}', '{"slug": "other"}', '409 slug_taken other'),
    ('tenant_update', '{}', '{"client_name": "A", "company_name": "B"}',
        '400 company_name_conflict'),
    ('tenant_replace', '{}', '{"client_name": "A", "company_name": "B"}',
        '400 company_name_conflict'),
    ('tenant_replace', '{}', '{"client_name": "A",
        "email": "other@example.com"}', '409 email_taken other'),
    ('tenant_update', '{"If-Match": "\"9\""}', '{"client_name": "Lost"}',
        '412 precondition_failed'),
    ('tenant_replace', '{"If-Match": "\"9\""}', '{"client_name": "Lost",
        "email": "lost@example.com"}', '412 precondition_failed'),
    ('tenant_update', '{"tenant": "0194f0a0-0000-7000-8000-00000000dead"}',
        '{"client_name": "Nobody"}', '404 tenant_not_found')
) as step (operation, params, patch, wanted)
cross join lateral pg_temp.act(operation, t.id, params, patch) a;
select is(a.status, 404, operation || ' of another partner''s: not found')
from t, (values ('tenant_update'), ('tenant_replace')) as o (operation),
    pg_temp.act(operation, t.id, '{}', '{"client_name": "Theirs",
        "email": "theirs@example.com"}', 'beta') a;
select is(a.status || ' ' || (a.body ->> 'code'), '422 metadata_invalid',
    'a patch cannot make more than 50 members of metadata')
from t, pg_temp.act('tenant_update', t.id, '{}', jsonb_build_object('metadata',
    (select jsonb_object_agg('k' || i, 'v') from generate_series(1, 51) i))) a;
select is(g.headers ->> 'ETag', '"10"', 'nothing of that changed anything')
from t, pg_temp.get_tenant('alpha', t.id) g;
select is((select count(*) from entries a where a.after ->> 'code' <> ''),
    0::bigint, 'nor is it in the audit');

select is(a.headers ->> 'ETag', '"11"', 'with the right tag it is changed')
from t, pg_temp.act('tenant_update', t.id, '{"If-Match": "\"10\""}',
    '{"metadata": {"x": "y"}}') a;

-- replaced

select is(jsonb_strip_nulls(a.body::jsonb - array['tenant', 'created_at',
        'updated_at', 'status_changed_at', 'company_name']), '{"client_name":
    "Whole", "email": "whole@example.com", "slug": "chosen",
    "status": "active", "metadata": {}}',
    'what a replacement does not give is gone, but for the slug')
from t, pg_temp.act('tenant_replace', t.id, '{}', '{"company_name": "Whole",
    "email": "whole@example.com"}') a;
select is(a.headers ->> 'ETag', '"12"', 'a second time it changes nothing')
from t, pg_temp.act('tenant_replace', t.id, '{}', '{"client_name": "Whole",
    "email": "whole@example.com", "metadata": null, "slug": null}') a;

-- what may not change cannot, whatever a function says

select is(pg_temp.refusal(format('update prov.tenants set %1$s = %1$s', c),
    'prov_api'), '42501', format('%s is for good', c))
from unnest(array['id', 'partner', 'created_at']) c;

select * from finish();
rollback;
