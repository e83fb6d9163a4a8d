-- The partner API's audit: what was done and tried, read, and proven.


create or replace function partner.audit_list(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql stable security definer
as $$
declare
    items  text[] := '{}';
    next   text;
    begins record;
    page   record;
begin
    begins := prov.list_begin('au1', params);

    if begins.moment is null then
        status := 400;
        body := prov.list_invalid_cursor();
        return;
    end if;

    select * into page
    from prov.audit_page(params, begins.moment, begins.id,
        begins.size);

    -- one by one, whatever the planner knows: "offset 0" keeps it from reading
    -- all that the partner has for a join

    select array_agg(prov.audit_json(a.entry, d.details, false)::text
                     order by i.n) into items
    from unnest(page.ids) with ordinality as i (id, n)
    cross join lateral (select e as entry from prov.audit e
                        where e.mutation = i.id offset 0) a
    left join lateral (select f as details from prov.audit_details f
                       where f.chain = (a.entry).chain
                           and f.seq = (a.entry).seq offset 0) d on true;

    if page.id is not null then
        next := prov.cursor_write('au1', page.moment, page.id);
        headers := jsonb_build_object('Link', format(
            '<%s/audit?%slimit=%s&cursor=%s>; rel="next"', ctx ->> 'base',
            prov.audit_query(params), begins.size, next));
    end if;

    status := 200;
    body := prov.list_page(items, next);
end
$$;

comment on function partner.audit_list(jsonb, jsonb, jsonb) is
    'Lists the caller''s audit entries, newest first, page by page.';


create or replace function partner.audit_get(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql stable security definer
as $$
begin
    select 200, prov.audit_json(a, d, true) into status, body
    from prov.audit a
    left join prov.audit_details d on d.chain = a.chain and d.seq = a.seq
    where a.mutation = (params ->> 'audit')::uuid;

    if not found then
        status := 404;
        body := json_build_object('code', 'audit_not_found',
            'detail', 'You have no audit entry with this id.');
    end if;
end
$$;

comment on function partner.audit_get(jsonb, jsonb, jsonb) is
    'Shows one of the caller''s audit entries, with what was before and '
    'after.';


create or replace function partner.audit_verify(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql stable security definer
as $$
declare
    whose  constant uuid := params ->> 'tenant';
    links  constant uuid := coalesce(whose, (ctx ->> 'partner')::uuid);
    start  constant bigint := coalesce((params ->> 'from')::numeric, 1);
    size   constant int := least(greatest(
        coalesce((params ->> 'limit')::numeric::int, 10000), 1), 10000);
    anchor constant text[] := string_to_array(params ->> 'anchor', ':');
    fault  record;
    held   bytea;
begin
    -- Where the first link is missing that is to be said; but not all of a
    -- chain is looked through that may be somebody else's.

    if whose is not null
       and not exists (select from prov.audit a
                       where a.chain = whose and a.seq <= 100)
       and not exists (select from prov.tenants t where t.id = whose)
    then
        status := 404;
        body := json_build_object('code', 'tenant_not_found',
            'detail', 'You have no tenant with this id.');
        return;
    end if;

    select * into fault from prov.audit_fault(links, start, size);

    -- a link that the caller has seen must be there, and be the same

    if anchor is not null and (fault.seq is null
                               or anchor[1]::bigint < fault.seq)
    then
        select a.hash into held
        from prov.audit a
        where a.chain = links and a.seq = anchor[1]::bigint;

        if held is distinct from decode(anchor[2], 'hex') then
            fault.seq := anchor[1];
            fault.reason := case when held is null then 'missing'
                                 else 'replaced' end;
            fault.id := (select a.mutation from prov.audit a
                         where a.chain = links
                             and a.seq = fault.seq);
        end if;
    end if;

    status := 200;
    body := json_build_object('chain', links, 'tenant', whose,
        'valid', fault.seq is null, 'from', start, 'checked', fault.checked,
        'last', case when fault.last > 0 and fault.hash is not null
            then json_build_object('seq', fault.last,
                'hash', encode(fault.hash, 'hex')) end,
        'next_from', case when fault.seq is null and not fault.complete
            then fault.last + 1 end,
        'broken', case when fault.seq is not null
            then json_build_object('seq', fault.seq, 'audit', fault.id,
                'reason', fault.reason, 'detail', case fault.reason
                    when 'missing' then 'The link is not there.'
                    when 'altered' then
                        'The entry is not what its hash was made of.'
                    when 'unlinked' then 'The entry does not hold the hash '
                        'of the link before it: one of the two was replaced.'
                    when 'details_altered' then
                        'The details are not what their hash was made of.'
                    when 'details_missing' then
                        'The details are not there, but the tenant is.'
                    when 'replaced' then
                        'The link has another hash than the one you know.'
                end) end);
end
$$;

comment on function partner.audit_verify(jsonb, jsonb, jsonb) is
    'Proves the chain of a tenant, or of the partner itself, or names the '
    'first link that is broken.';


create or replace function partner.audit_export(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql stable security definer
as $$
declare
    csv    constant boolean := coalesce(params ->> 'format' = 'csv', false);
    moment timestamptz := 'infinity';
    first  uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
    chunk  text := '';
    page   record;
    row    record;
begin
    if ctx ->> 'page' is not null then
        select c.moment, c.id into strict moment, first
        from prov.cursor_read('ax1', ctx ->> 'page') c;
    elsif csv then
        chunk := prov.csv('audit', 'at', 'tenant', 'operation', 'resource',
            'resource_id', 'outcome', 'status', 'code',
            'count', 'kind', 'subject', 'issuer', 'key', 'request_id', 'ip', 'user_agent',
            'chain', 'seq', 'prev_hash', 'hash', 'details_hash');
    end if;

    select * into page from prov.audit_page(params, moment, first, 200);

    -- a chunk is what the gateway has in memory: it ends with the entry that
    -- makes it 64 KiB long

    for row in
        select (a.entry).at, i.id as mutation, case when csv
                then prov.audit_csv(a.entry, d.details)
            else translate(prov.audit_json(a.entry, d.details, true)::text,
                    E'\r\n', '  ')
                || E'\n' end as line
        from unnest(page.ids) with ordinality as i (id, n)
        cross join lateral (select e as entry from prov.audit e
                            where e.mutation = i.id offset 0) a
        left join lateral (select f as details from prov.audit_details f
                           where f.chain = (a.entry).chain
                               and f.seq = (a.entry).seq offset 0) d on true
        order by i.n
    loop
        if octet_length(chunk) >= 65536 then
            page.moment := row.at;
            page.id := row.mutation;
            exit;
        end if;

        chunk := chunk || row.line;
    end loop;

    status := 200;
    body := to_json(chunk);
    headers := jsonb_build_object(
        'Content-Type', case when csv then 'text/csv; charset=utf-8'
                             else 'application/x-ndjson' end,
        'Content-Disposition', 'attachment; filename="audit.'
            || case when csv then 'csv' else 'ndjson' end || '"',
        'Next-Page', prov.cursor_write('ax1', page.moment, page.id));
end
$$;

comment on function partner.audit_export(jsonb, jsonb, jsonb) is
    'All of the caller''s audit entries that match, newest first, as CSV or '
    'NDJSON: a chunk of them, and where the next begins.';
