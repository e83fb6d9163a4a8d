-- Many tenants at once, in as few statements as one takes.


create or replace function prov.uuid7_many(base uuid, n int)
    returns uuid[]
    language plpgsql volatile parallel safe
as $$
declare
    moment constant text := left(base::text, 14) || '7';
begin
    -- the time of "base", then a counter, which keeps them in order, then 62
    -- random bits (RFC 9562, 6.2, method 1)

    return array(
        select (moment || lpad(to_hex(i), 3, '0')
            || right(gen_random_uuid()::text, 18))::uuid
        from generate_series(1, least(n, 4095)) i
        order by i);
end
$$;

comment on function prov.uuid7_many(uuid, int) is
    'Up to 4,095 UUIDs version 7 of the moment of another one, ascending.';


create or replace function prov.uuid7_others(base uuid, ids uuid[])
    returns uuid[]
    language plpgsql immutable parallel safe
as $$
declare
    moment constant text := left(base::text, 14) || '7';
begin
    -- random bits cost more than all else: those of an id are good for two,
    -- the last 48 in another order

    return array(
        select (moment || lpad(to_hex(u.k), 3, '0')
            || left(right(u.id::text, 18), 6)
            || reverse(right(u.id::text, 12)))::uuid
        from unnest(ids) with ordinality u (id, k)
        order by u.k);
end
$$;

comment on function prov.uuid7_others(uuid, uuid[]) is
    'UUIDs version 7 of the moment of another one, ascending, as many as there '
    'are of prov.uuid7_many(), whose random bits they have.';


create or replace function prov.tenant_insert_many(owner uuid, ids uuid[],
        items jsonb[], out statuses int[], out bodies json[])
    language plpgsql
as $$
declare
    moment constant text := prov.rfc3339(now()::timestamptz(3));
    slugs  text[];
    keys   text[];
    others text[];
    alike  boolean;
    twins  int[] := '{}';
    row    record;
begin
    select array_agg(i.base), array_agg(i.email_key), array_agg(i.external_id),
           array_agg(case when i.disputed then 400 end),
           array_agg(case when i.disputed then prov.tenant_alias(i.item) end),
           count(distinct i.base) < count(*)
               or count(distinct i.email_key) < count(*)
               or count(distinct i.external_id) < count(i.external_id)
    into slugs, keys, others, statuses, bodies, alike
    from (
        select u.item,
               coalesce(u.item ->> 'slug', prov.slug(coalesce(
                   u.item ->> 'client_name', u.item ->> 'company_name')))
                   as base,
               lower(u.item ->> 'email' collate "C") as email_key,
               u.item ->> 'external_id' as external_id,
               u.item ->> 'company_name' <> u.item ->> 'client_name'
                   as disputed
        from unnest(items) with ordinality u (item, k)
        order by u.k
    ) i;

    -- A slug that is derived keeps out of the way of one that is wished for
    -- here, and of its namesakes: the first of those by e-mail address has it
    -- as it is, so that two who make the same tenants in another order do not
    -- make them with each other's slugs.  Of two with the same e-mail address
    -- or external_id the second waits for what becomes of the first.

    if alike then
        select array_agg(case when i.wish is null and i.namesake > 1
                         then prov.slug_apart(i.base, i.id, 1)
                         else i.base end order by i.k),
               coalesce(array_agg(i.k) filter (where i.twin > 1), '{}')
        into slugs, twins
        from (
            select j.*,
                   row_number() over (partition by j.base
                       order by j.wish is null, j.email_key, j.k) as namesake,
                   greatest(
                       row_number() over (partition by j.email_key
                           order by j.k),
                       case when j.external_id is not null then
                           row_number() over (partition by j.external_id
                               order by j.k) end) as twin
            from (
                select u.k::int, u.id, u.base, u.email_key, u.external_id,
                       u.item ->> 'slug' as wish
                from unnest(ids, slugs, keys, others, items) with ordinality
                    u (id, base, email_key, external_id, item, k)
            ) j
        ) i;
    end if;

    -- As with one: insert first, look at a conflict afterwards.  Also in
    -- the order of the e-mail addresses: of two who make the same tenants one
    -- then waits for the other, and never each for the other.

    for attempt in 1 .. 6 loop
        with item as materialized (
            select u.k, u.id, u.slug, u.status, u.body,
                coalesce(u.item ->> 'client_name', u.item ->> 'company_name')
                    as client_name,
                u.item ->> 'email' as email,
                u.item ->> 'phone_number' as phone_number,
                u.item ->> 'industry' as industry,
                u.item ->> 'external_id' as external_id,
                coalesce(nullif(u.item -> 'metadata', 'null'), '{}')
                    as metadata
            from unnest(ids, slugs, items, statuses, bodies)
                with ordinality u (id, slug, item, status, body, k)
        ), made as (
            insert into prov.tenants as t (id, partner, client_name, email,
                phone_number, industry, slug, external_id, metadata)
            select i.id, owner, i.client_name, i.email, i.phone_number,
                i.industry, i.slug, i.external_id, i.metadata
            from item i
            where i.status is null and i.k <> all (twins)
            order by lower(i.email collate "C")
            on conflict do nothing
            returning t.id
        )
        select array_agg(case when o.made then 201 else o.status end),
               array_agg(case when o.made
                   then prov.tenant_made_text(o.id, o.client_name, o.email,
                       o.phone_number, o.industry, o.slug, o.external_id,
                       o.metadata, moment)::json
                   else o.body end)
        into statuses, bodies
        from (
            select i.*, m.id is not null as made
            from item i
            left join made m on m.id = i.id
            order by i.k
        ) o;

        exit when array_position(statuses, null) is null;

        for row in
            select u.k, u.item, u.id, c.code, c.tenant
            from unnest(items, ids, statuses)
                with ordinality u (item, id, status, k)
            cross join lateral prov.tenant_conflict(u.item ->> 'email',
                u.item ->> 'external_id', u.item ->> 'slug') c
            where u.status is null and u.k <> all (twins)
            order by u.k
        loop
            if row.code is null and row.item ->> 'slug' is not null
               and attempt > 2
            then
                row.code := 'slug_taken';
            end if;

            if row.code is not null then
                statuses[row.k] := 409;
                bodies[row.k] := prov.tenant_taken(row.code, row.tenant);

            elsif row.item ->> 'slug' is null then
                slugs[row.k] := prov.slug_apart(prov.slug(coalesce(
                    row.item ->> 'client_name',
                    row.item ->> 'company_name')), row.id, attempt);
            end if;
        end loop;

        exit when array_position(statuses, null) is null;

        twins := '{}';
    end loop;

    if array_position(statuses, null) is not null then
        raise exception 'No free slug was found; try again.'
            using errcode = 'PV503', constraint = 'slug_unavailable';
    end if;
end
$$;

comment on function prov.tenant_insert_many(uuid, uuid[], jsonb[]) is
    'Makes tenants of a partner, with these ids, as if one after the other: '
    'for each 201 and the tenant, or 400 or 409 and what is in its way.';


create or replace function prov.record_many(ctx jsonb, resource text,
        ids uuid[], afters json[], event text)
    returns void
    language plpgsql
as $$
declare
    many constant int := cardinality(ids);
begin
    if many > 0 then
        perform prov.record_made(array[ctx],
            prov.uuid7_others((ctx ->> 'mutation')::uuid, ids), resource, ids,
            afters, array_fill(null::jsonb, array[many]), event);
    end if;
end
$$;

comment on function prov.record_many(jsonb, text, uuid[], json[], text) is
    'Writes the audit entries of tenants that are made by one mutation, under '
    'ids of their own, and an event for each; the mutation itself is still to '
    'be recorded, with prov.record().';


-- One statement for all that is written, as in prov.record().

create or replace function prov.record_made(ctxs jsonb[], mutations uuid[],
        resource text, ids uuid[], afters json[], headers jsonb[], event text)
    returns void
    language plpgsql
as $$
declare
    owner  constant uuid := ctxs[1] ->> 'partner';
    moment constant timestamptz(3) := now();
    made   constant prov.audit_status := 201;
    whose  constant text := '", "' || prov.rfc3339(moment) || '", "' || owner
        || '", "';
    one    constant boolean := cardinality(ctxs) = 1;
begin
    -- Each is the first link of a new chain, so none is looked for.  Hashed
    -- is what prov.audit_details_hash() and prov.audit_hash() have: what is
    -- the same in all that a request makes is written once.

    with caller as materialized (
        select p.*,
            left(json_build_array('prov.audit_details.1', p.subject, p.ip,
                p.user_agent, null)::text, -1) || ', ' as details_begin,
            '", ' || right(left(json_build_array(p.operation,
                resource)::text, -1), -1) || ', "' as entry_what,
            '", ' || right(left(json_build_array(201, null, 1, p.kind,
                p.issuer, p.key_id, p.request_id)::text, -1), -1) || ', "'
                as entry_end
        from (
            select c.k,
                c.ctx ->> 'operation' as operation,
                c.ctx ->> 'request_id' as request_id,
                left(c.ctx ->> 'ip', 64) as ip,
                left(c.ctx ->> 'user_agent', 512) as user_agent,
                c.ctx #>> '{principal,kind}' as kind,
                c.ctx #>> '{principal,subject}' as subject,
                c.ctx #>> '{principal,issuer}' as issuer,
                c.ctx #>> '{principal,key}' as key_id
            from unnest(ctxs) with ordinality c (ctx, k)
            offset 0
        ) p
    ), made as materialized (
        select d.mutation, d.id, d.after, d.headers, d.operation,
            d.request_id, d.ip, d.user_agent, d.kind, d.subject, d.issuer,
            d.key_id, d.details_hash,
            sha256(convert_to('["prov.audit.1", "' || d.name
                || '", 1, null, "' || d.mutation || whose || d.name
                || d.entry_what || d.name || d.entry_end
                || encode(d.details_hash, 'hex') || '"]', 'UTF8')) as hash
        from (
            select u.mutation, u.id, u.id::text as name, u.after, u.headers,
                c.*,
                sha256(convert_to(c.details_begin || to_json(u.after::text)
                    || ', ' || coalesce(to_json(u.headers::text)::text, 'null')
                    || ']', 'UTF8')) as details_hash
            from unnest(mutations, ids, afters, headers) with ordinality
                u (mutation, id, after, headers, n)
            cross join lateral (
                select a.*
                from caller a
                where a.k = case when one then 1 else u.n end
                offset 0
            ) c
            offset 0
        ) d
    ), details as (
        insert into prov.audit_details (chain, seq, partner, tenant, subject,
            ip, user_agent, before, after, headers)
        select m.id, 1, owner, m.id, m.subject, m.ip, m.user_agent, null,
            m.after, m.headers
        from made m
    ), told as (
        insert into prov.events (id, partner, tenant, type, request_id, data)
        select m.mutation, owner, m.id, event, m.request_id, m.after
        from made m
    )
    insert into prov.audit (mutation, at, partner, tenant, resource_id,
        status, operation, resource, kind, issuer, key_id, request_id, chain,
        seq, prev_hash, details_hash, hash)
    select m.mutation, moment, owner, m.id, m.id, made, m.operation, resource,
        m.kind, m.issuer, m.key_id, m.request_id, m.id, 1, null,
        m.details_hash, m.hash
    from made m;

    perform prov.deliver_made(mutations, owner, ids, event);
end
$$;

comment on function prov.record_made(jsonb[], uuid[], text, uuid[], json[],
    jsonb[], text) is
    'Writes the audit entries of tenants that have been made, each the first '
    'of its chain and by a mutation of its own, and an event for each, as '
    'prov.record() does for one.  All are of one partner: made by one request, '
    'or each by its own.';
