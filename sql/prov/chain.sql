-- The audit's entries: how one becomes a link of its chain, and how it is
-- shown.  docs/audit.md has the canonical form for who wants to compute a hash
-- elsewhere.


create or replace function prov.audit_details_hash(subject text, ip text,
        user_agent text, before json, after json, headers jsonb)
    returns bytea
    language sql stable parallel safe
return sha256(convert_to(json_build_array('prov.audit_details.1', subject, ip,
    user_agent, before::text, after::text, headers::text)::text, 'UTF8'));

comment on function prov.audit_details_hash(text, text, text, json, json,
    jsonb) is
    'SHA-256 of an entry''s details: a JSON array, as PostgreSQL writes it.';


create or replace function prov.audit_hash(chain uuid, seq bigint,
        prev_hash bytea, id uuid, at timestamptz, partner uuid, tenant uuid,
        operation text, resource text, resource_id uuid, status int, code text,
        times int, kind text, issuer text, key_id text, request_id text,
        details_hash bytea)
    returns bytea
    language sql stable parallel safe
return sha256(convert_to(json_build_array('prov.audit.1', chain, seq,
    encode(prev_hash, 'hex'), id, prov.rfc3339(at), partner, tenant, operation,
    resource, resource_id, status, code, times, kind, issuer, key_id,
    request_id, encode(details_hash, 'hex'))::text, 'UTF8'));

comment on function prov.audit_hash(uuid, bigint, bytea, uuid, timestamptz,
    uuid, uuid, text, text, uuid, int, text, int, text, text, text, text,
    bytea) is
    'SHA-256 of an entry''s canonical form: a JSON array, as PostgreSQL '
    'writes it.';


create or replace function prov.audit_head(chain uuid,
        out seq bigint, out hash bytea)
    language plpgsql stable
as $$
begin
    select a.seq, a.hash into seq, hash
    from prov.audit a
    where a.chain = audit_head.chain
    order by a.seq desc
    limit 1;

    seq := coalesce(seq, 0);
end
$$;

comment on function prov.audit_head(uuid) is
    'The last link of a chain, as the caller''s partner sees it; 0 and null '
    'before the first.';


-- For each link of a part of a chain, what is wrong with it first; nothing
-- when all of them hold.  "start" is compared with the link before it.

create or replace function prov.audit_fault(chain uuid, start bigint,
        size int, out last bigint, out hash bytea, out checked int,
        out complete boolean, out seq bigint, out id uuid, out reason text)
    language plpgsql stable
as $$
declare
    link record;
begin
    last := start - 1;
    checked := 0;
    complete := true;

    for link in
        select a.*, d.seq is not null as kept,
            prov.audit_details_hash(d.subject, d.ip, d.user_agent, d.before,
                d.after, d.headers) as details_found,
            prov.audit_hash(a.chain, a.seq, a.prev_hash, a.mutation, a.at,
                a.partner, a.tenant, a.operation, a.resource, a.resource_id,
                a.status, a.code, a.times, a.kind, a.issuer, a.key_id,
                a.request_id, a.details_hash) as found
        from prov.audit a
        left join lateral (select f.* from prov.audit_details f
                           where f.chain = a.chain and f.seq = a.seq
                           offset 0) d on true
        where a.chain = audit_fault.chain and a.seq >= start - 1
        order by a.seq
        limit size + 2
    loop
        if link.seq = start - 1 then
            hash := link.hash;
            continue;
        end if;

        if checked = size then
            complete := false;
            return;
        end if;

        if start > 1 and checked = 0 and hash is null then
            seq := start - 1;
            reason := 'missing';
            return;
        end if;

        seq := last + 1;

        if link.seq <> seq then
            reason := 'missing';
            return;
        end if;

        id := link.mutation;
        reason := case
            when link.found is distinct from link.hash then 'altered'
            when link.prev_hash is distinct from hash then 'unlinked'
            when link.kept and link.details_found <> link.details_hash
                then 'details_altered'
            when not link.kept and not prov.audit_forgotten(link.tenant)
                then 'details_missing'
        end;

        if reason is not null then
            return;
        end if;

        last := seq;
        hash := link.hash;
        checked := checked + 1;
        seq := null;
        id := null;
    end loop;

    -- details without their entry: the end was cut off

    if exists (select from prov.audit_details d
               where d.chain = audit_fault.chain and d.seq > last)
    then
        seq := last + 1;
        reason := 'missing';
    end if;
end
$$;

comment on function prov.audit_fault(uuid, bigint, int) is
    'Checks at most size links of a chain, from start on: the last that '
    'holds, with its hash; and of the first that does not, its place and why.';


create or replace function prov.audit_forgotten(tenant uuid)
    returns boolean
    language plpgsql stable
as $$
begin
    return tenant is not null
        and not exists (select from prov.tenants t
                        where t.id = audit_forgotten.tenant);
end
$$;

comment on function prov.audit_forgotten(uuid) is
    'Whether this was a tenant and has been purged: then its details may be '
    'missing.';
