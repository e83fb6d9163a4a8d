-- The audit's entries as they are found and shown; for every surface.


create or replace function prov.audit_outcome(status int)
    returns text
    language sql immutable parallel safe
return case
    when status = 0 then 'not_committed'
    when status < 400 then 'success'
    when status in (401, 403, 429) then 'denied'
    else 'failed'
end;

comment on function prov.audit_outcome(int) is
    'What a status means, in one word.';


create or replace function prov.audit_json(entry prov.audit,
        details prov.audit_details, whole boolean)
    returns json
    language plpgsql stable
as $$
declare
    entry_json json := json_build_object(
        'audit', entry.mutation,
        'at', prov.rfc3339(entry.at),
        'tenant', entry.tenant,
        'operation', entry.operation,
        'resource', entry.resource,
        'resource_id', entry.resource_id,
        'outcome', prov.audit_outcome(entry.status),
        'status', entry.status,
        'code', entry.code,
        'count', entry.times,
        'principal', json_build_object(
            'kind', entry.kind,
            'subject', details.subject,
            'issuer', entry.issuer,
            'key', entry.key_id),
        'request_id', entry.request_id,
        'ip', details.ip,
        'user_agent', details.user_agent,
        'link', case when entry.seq is not null then json_build_object(
            'chain', entry.chain,
            'partner', entry.partner,
            'seq', entry.seq,
            'prev_hash', encode(entry.prev_hash, 'hex'),
            'hash', encode(entry.hash, 'hex'),
            'details_hash', encode(entry.details_hash, 'hex'),
            'details', case when details.seq is null then 'purged'
                            else 'kept' end) end);
begin
    if not whole then
        return entry_json;
    end if;

    return left(entry_json::text, -1)
        || ', "before": ' || coalesce(details.before::text, 'null')
        || ', "after": ' || coalesce(details.after::text, 'null')
        || ', "headers": ' || coalesce(details.headers::text, 'null') || '}';
end
$$;

comment on function prov.audit_json(prov.audit, prov.audit_details, boolean)
    is 'An entry as it is answered; the whole one with what was before and '
    'after.';


-- The filters of a list as they stand in a URL.

create or replace function prov.audit_query(filter jsonb)
    returns text
    language plpgsql stable
as $$
begin
    return coalesce((
        select string_agg(f.key || '=' || (
                select coalesce(string_agg(case
                        when l.letter ~ '^[A-Za-z0-9_.~-]$' then l.letter
                        else regexp_replace(upper(encode(
                            convert_to(l.letter, 'UTF8'), 'hex')),
                            '(..)', '%\1', 'g')
                    end, '' order by l.n), '')
                from string_to_table(f.value, null) with ordinality
                     as l (letter, n)) || '&', '' order by f.key)
        from jsonb_each_text(filter - array['limit', 'cursor']) f), '');
end
$$;

comment on function prov.audit_query(jsonb) is
    'Parameters as a query string, with an ampersand after each.';


-- Entries are walked from the newest on, and a filter looks at each: the walk
-- ends after 20,000, whatever it has found.  So no filter costs more, however
-- rare what it is for; and no mutation pays for an index that serves it.

create or replace function prov.audit_page(filter jsonb, newest timestamptz,
        first uuid, size int, out ids uuid[], out moment timestamptz,
        out id uuid)
    language plpgsql stable
as $$
declare
    tenant_  constant uuid := filter ->> 'tenant';
    partner_ constant uuid := filter ->> 'partner';
    status_  constant int := (filter ->> 'status')::numeric;
    since    constant timestamptz :=
        coalesce((filter ->> 'after')::timestamptz, '-infinity');
    until    constant timestamptz :=
        coalesce((filter ->> 'before')::timestamptz, 'infinity');
    visited  int := 0;
    walk     refcursor;
    visit    record;
begin
    ids := '{}';

    if tenant_ is not null then
        open walk no scroll for
            select a.*
            from prov.audit a
            where a.tenant = tenant_
                and (a.at, a.mutation) <= (newest, first)
                and a.at >= since and a.at < until
            order by a.at desc, a.mutation desc;
    elsif partner_ is not null then
        -- what operators did to it: the partner is theirs, as the index says
        open walk no scroll for
            select a.*
            from prov.audit a
            where a.partner = 'ffffffff-ffff-ffff-ffff-ffffffffffff'
                and a.resource_id = partner_
                and (a.at, a.mutation) <= (newest, first)
                and a.at >= since and a.at < until
            order by a.at desc, a.mutation desc;
    else
        open walk no scroll for
            select a.*
            from prov.audit a
            where (a.at, a.mutation) <= (newest, first)
                and a.at >= since and a.at < until
            order by a.at desc, a.mutation desc;
    end if;

    loop
        fetch walk into visit;
        exit when not found;

        -- where the next page begins

        if cardinality(ids) = size or visited = 20000 then
            moment := visit.at;
            id := visit.mutation;
            exit;
        end if;

        visited := visited + 1;

        continue when visit.operation <> filter ->> 'operation'
            or visit.status <> status_
            or visit.resource is distinct from
                coalesce(filter ->> 'resource', visit.resource)
            or visit.key_id is distinct from
                coalesce(filter ->> 'key', visit.key_id)
            or visit.request_id is distinct from
                coalesce(filter ->> 'request_id', visit.request_id)
            or prov.audit_outcome(visit.status) <> filter ->> 'outcome'
            or filter ->> 'subject' is not null and not exists (
                select from prov.audit_details d
                where d.chain = visit.chain and d.seq = visit.seq
                    and d.subject = filter ->> 'subject');

        ids := ids || visit.mutation;
    end loop;

    close walk;
end
$$;

comment on function prov.audit_page(jsonb, timestamptz, uuid, int) is
    'The ids of at most size entries that match a filter, newest first, and '
    'where the next page begins: null after the last one.';


create or replace function prov.csv(variadic fields text[])
    returns text
    language plpgsql immutable
as $$
begin
    return (
        select string_agg(case
                   when t.value ~ '[",\r\n]'
                       then '"' || replace(t.value, '"', '""') || '"'
                   else t.value
               end, ',' order by t.n) || E'\r\n'
        from (select case when f.value ~ '^[=+@\t\r-]' then '''' || f.value
                          else coalesce(f.value, '') end as value, f.n
              from unnest(fields) with ordinality as f (value, n)) t);
end
$$;

comment on function prov.csv(text[]) is
    'A record as RFC 4180 has it.  A value that a spreadsheet would take for '
    'a formula gets an apostrophe in front.';


create or replace function prov.audit_csv(entry prov.audit,
        details prov.audit_details)
    returns text
    language plpgsql stable
as $$
begin
    return prov.csv(entry.mutation::text, prov.rfc3339(entry.at),
        entry.tenant::text, entry.operation, entry.resource,
        entry.resource_id::text, prov.audit_outcome(entry.status),
        entry.status::text, entry.code, entry.times::text, entry.kind,
        details.subject, entry.issuer, entry.key_id, entry.request_id,
        details.ip, details.user_agent, entry.chain::text, entry.seq::text,
        encode(entry.prev_hash, 'hex'), encode(entry.hash, 'hex'),
        encode(entry.details_hash, 'hex'));
end
$$;

comment on function prov.audit_csv(prov.audit, prov.audit_details) is
    'An entry as a record of CSV.';
