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


create or replace function prov.tenant_insert_many(owner uuid, ids uuid[],
        items jsonb[], out statuses int[], out bodies json[])
    language plpgsql
as $$
declare
    many     constant int := cardinality(items);
    slugs    text[];
    now_     int[];
    todo     int[];
    disputed int[];
    which    int;
    row      record;
begin
    statuses := array_fill(null::int, array[many]);
    bodies := array_fill(null::json, array[many]);

    -- A slug that is derived keeps out of the way of one that is wished for
    -- here, and of its namesakes: the first of those by e-mail address has it
    -- as it is, so that two who make the same tenants in another order do not
    -- make them with each other's slugs.  Of two with the same e-mail address
    -- or external_id the second waits for what becomes of the first.

    select array_agg(case when i.wish is null and i.namesake > 1
                     then prov.slug_apart(i.base, ids[i.k], 1)
                     else i.base end order by i.k),
           array_agg(i.k order by i.k) filter (where i.twin = 1),
           array_agg(i.k order by i.k) filter (where i.twin > 1),
           array_agg(i.k) filter (where i.alias <> i.name)
    into slugs, now_, todo, disputed
    from (
        select j.*,
               row_number() over (partition by j.base
                   order by j.wish is null, j.email_key, j.k) as namesake,
               greatest(
                   row_number() over (partition by j.email_key order by j.k),
                   case when j.external_id is not null then
                       row_number() over (partition by j.external_id
                           order by j.k) end) as twin
        from (
            select u.k::int, u.item ->> 'slug' as wish,
                   u.item ->> 'client_name' as name,
                   u.item ->> 'company_name' as alias,
                   lower(u.item ->> 'email' collate "C") as email_key,
                   u.item ->> 'external_id' as external_id,
                   coalesce(u.item ->> 'slug', prov.slug(coalesce(
                       u.item ->> 'client_name', u.item ->> 'company_name')))
                       as base
            from unnest(items) with ordinality u (item, k)
        ) j
    ) i;

    foreach which in array coalesce(disputed, '{}') loop
        statuses[which] := 400;
        bodies[which] := prov.tenant_alias(items[which]);
        now_ := array_remove(now_, which);
        todo := array_remove(todo, which);
    end loop;

    -- As with one: insert first, look at a conflict afterwards.  Also in
    -- the order of the e-mail addresses: of two who make the same tenants one
    -- then waits for the other, and never each for the other.

    for attempt in 1 .. 6 loop
        for row in
            with made as (
                insert into prov.tenants as t (id, partner, client_name,
                    email, phone_number, industry, slug, external_id,
                    metadata)
                select u.id, owner,
                    coalesce(u.item ->> 'client_name',
                             u.item ->> 'company_name'),
                    u.item ->> 'email', u.item ->> 'phone_number',
                    u.item ->> 'industry', u.slug, u.item ->> 'external_id',
                    coalesce(nullif(u.item -> 'metadata', 'null'), '{}')
                from unnest(ids, slugs, items)
                    with ordinality u (id, slug, item, k)
                where u.k = any (now_)
                order by lower(u.item ->> 'email' collate "C")
                on conflict do nothing
                returning t.id, prov.tenant_json(t) as body
            )
            select u.k, m.body
            from made m
            join unnest(ids) with ordinality u (id, k) on u.id = m.id
        loop
            statuses[row.k] := 201;
            bodies[row.k] := row.body;
        end loop;

        exit when array_position(statuses, null) is null;

        for row in
            select u.k, u.item, u.id, c.code, c.tenant
            from unnest(items, ids, statuses)
                with ordinality u (item, id, status, k)
            cross join lateral prov.tenant_conflict(u.item ->> 'email',
                u.item ->> 'external_id', u.item ->> 'slug') c
            where u.k = any (now_) and u.status is null
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
                continue;
            end if;

            todo := todo || row.k::int;

            if row.item ->> 'slug' is null then
                slugs[row.k] := prov.slug_apart(prov.slug(coalesce(
                    row.item ->> 'client_name',
                    row.item ->> 'company_name')), row.id, attempt);
            end if;
        end loop;

        exit when todo is null or cardinality(todo) = 0;

        now_ := todo;
        todo := '{}';
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
        perform prov.record_made(array_fill(ctx, array[many]),
            prov.uuid7_many((ctx ->> 'mutation')::uuid, many), resource, ids,
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
begin
    -- Each is the first link of a new chain, so none is looked for.

    with made as materialized (
        select u.mutation, u.id, u.after, u.headers, c.*,
               prov.audit_details_hash(c.subject, c.ip, c.user_agent, null,
                   u.after, u.headers) as details_hash
        from unnest(ctxs, mutations, ids, afters, headers)
                 u (ctx, mutation, id, after, headers)
        cross join lateral (
            select u.ctx ->> 'operation' as operation,
                   u.ctx ->> 'request_id' as request_id,
                   left(u.ctx ->> 'ip', 64) as ip,
                   left(u.ctx ->> 'user_agent', 512) as user_agent,
                   u.ctx #>> '{principal,kind}' as kind,
                   u.ctx #>> '{principal,subject}' as subject,
                   u.ctx #>> '{principal,issuer}' as issuer,
                   u.ctx #>> '{principal,key}' as key_id
            offset 0
        ) c
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
        m.details_hash,
        prov.audit_hash(m.id, 1, null, m.mutation, moment, owner, m.id,
            m.operation, resource, m.id, 201, null, 1, m.kind, m.issuer,
            m.key_id, m.request_id, m.details_hash)
    from made m;

    perform prov.deliver_made(mutations, owner, ids, event);
end
$$;

comment on function prov.record_made(jsonb[], uuid[], text, uuid[], json[],
    jsonb[], text) is
    'Writes the audit entries of tenants that have been made, each the first '
    'of its chain and by a mutation of its own, and an event for each, as '
    'prov.record() does for one.  All are of one partner.';
