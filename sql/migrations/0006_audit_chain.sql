-- The audit becomes evidence: entries are links of chains, one for each
-- tenant and one for what a partner does beside its tenants.  Each link holds
-- the hash of the one before it, and of its own details.
--
-- What can be personal is apart, in prov.audit_details: a purge of the tenant
-- removes it there, and the chain, which knows only its hash, still holds.


create table prov.audit_details (
    chain      uuid not null,
    seq        bigint not null,
    partner    uuid not null,
    tenant     uuid,
    subject    text,
    ip         text,
    user_agent text,
    before     json,
    after      json,
    headers    jsonb,

    constraint audit_details_exist primary key (chain, seq)
);

alter table prov.audit_details alter column partner set statistics 0;
alter table prov.audit_details alter column tenant set statistics 0;

comment on table prov.audit_details is
    'What in an audit entry can be personal.  Never changed, and removed only '
    'after its tenant has been.';
comment on column prov.audit_details.subject is
    'Which user or key it was; the entry says what kind of caller.';
comment on column prov.audit_details.before is
    'The resource as it was, without secrets; null when it was made.';
comment on column prov.audit_details.after is
    'The resource as it was answered, to the byte, without secrets.';

-- a purge goes by the tenant, in whatever chain its entries are

create index audit_details_of_tenant on prov.audit_details (tenant)
    where tenant is not null;


-- The entries that there are become links, too: in the order of their time.
-- The hash is what prov.audit_hash() and prov.audit_details_hash() compute.

alter table prov.audit no force row level security;
alter table prov.audit disable trigger audit_is_append_only;

alter table prov.audit
    add column chain uuid,
    add column seq bigint,
    add column times int not null default 1,
    add column code text,
    add column prev_hash bytea,
    add column details_hash bytea,
    add column hash bytea;

update prov.audit a
set chain = l.chain, seq = l.seq,
    details_hash = sha256(convert_to(json_build_array('prov.audit_details.1',
        a.subject, a.ip, a.user_agent, a.before::text, a.after::text,
        a.headers::text)::text, 'UTF8'))
from (select e.mutation, coalesce(e.tenant, e.partner) as chain,
          row_number() over (partition by coalesce(e.tenant, e.partner)
                             order by e.at, e.mutation) as seq
      from prov.audit e
      where e.status <> 0 and e.partner is not null) l
where l.mutation = a.mutation;

insert into prov.audit_details (chain, seq, partner, tenant, subject, ip,
    user_agent, before, after, headers)
select a.chain, a.seq, a.partner, a.tenant, a.subject, a.ip, a.user_agent,
    a.before, a.after, a.headers
from prov.audit a
where a.seq is not null;

alter table prov.audit
    add constraint audit_link_taken unique (chain, seq);

do $$
declare
    entry prov.audit;
    above bytea;
begin
    for entry in
        select a.* from prov.audit a
        where a.seq is not null
        order by a.chain, a.seq
    loop
        if entry.seq = 1 then
            above := null;
        end if;

        update prov.audit a
        set prev_hash = above,
            hash = sha256(convert_to(json_build_array('prov.audit.1', a.chain,
                a.seq, encode(above, 'hex'), a.mutation,
                to_char(a.at at time zone 'UTC',
                    'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
                a.partner, a.tenant, a.operation, a.resource, a.resource_id,
                a.status::int, a.code, a.times, a.kind, a.issuer, a.key_id,
                a.request_id, encode(a.details_hash, 'hex'))::text, 'UTF8'))
        where a.mutation = entry.mutation
        returning a.hash into above;
    end loop;
end
$$;

alter table prov.audit
    drop column subject,
    drop column ip,
    drop column user_agent,
    drop column before,
    drop column after,
    drop column headers;

alter table prov.audit enable trigger audit_is_append_only;
alter table prov.audit force row level security;

comment on table prov.audit is
    'Who did what, written in the mutation''s own transaction and never '
    'changed; and what was tried in vain.  Refers to nothing: an entry '
    'outlives what it tells of.';
comment on column prov.audit.mutation is
    'The entry''s id.  Of a mutation, made by the gateway: being unique, it '
    'lets a mutation commit once, and lets prov.outcome() see to it that a '
    'lost one never will.';
comment on column prov.audit.kind is
    'What the caller is (user, key, …); issuer says who vouched for it, '
    'key_id with which key it came; the details say which one it is.';
comment on column prov.audit.partner is
    'Who acted; the nil UUID where nobody could tell.';
comment on column prov.audit.chain is
    'The tenant, or the partner where there is none.  Null, as is seq, for '
    'what prov.outcome() shut out: nothing happened then.';
comment on column prov.audit.seq is
    'The entry''s place in its chain, from 1, without gaps.';
comment on column prov.audit.times is
    'How often the same was tried in vain, as one entry.';
comment on column prov.audit.code is
    'The machine code of what was answered in vain.';
comment on column prov.audit.prev_hash is
    'The hash of the link before; null in the first.';
comment on column prov.audit.hash is
    'SHA-256 of the canonical form: see prov.audit_hash().';

create index audit_newest_first on prov.audit (partner, at, mutation);
create index audit_of_tenant on prov.audit (tenant, at, mutation)
    where tenant is not null;


-- Details go when their tenant has gone, and not before, whoever asks; the
-- trigger looks with the eyes of who deletes.

create function prov.audit_details_kept()
    returns trigger
    language plpgsql
as $$
begin
    if exists (select
               from removed r
               left join prov.tenants t on t.id = r.tenant
               where r.tenant is null or t.id is not null)
    then
        raise exception 'the details of an audit entry stay as long as its '
            'tenant is there'
            using errcode = 'insufficient_privilege';
    end if;

    return null;
end
$$;

comment on function prov.audit_details_kept() is
    'Refuses to remove details of which the tenant still exists.';

create trigger audit_details_are_append_only
    before update or truncate on prov.audit_details
    for each statement execute function prov.append_only();

create trigger audit_details_outlive_nobody
    after delete on prov.audit_details
    referencing old table as removed
    for each statement execute function prov.audit_details_kept();

alter table prov.audit_details enable row level security;
alter table prov.audit_details force row level security;

create policy audit_details_of_partner on prov.audit_details
    for select to prov_api
    using (partner = nullif(current_setting('prov.partner', true), '')::uuid);

create policy audit_details_by_partner on prov.audit_details
    for insert to prov_api
    with check (
        partner = nullif(current_setting('prov.partner', true), '')::uuid);

create policy audit_details_of_purged on prov.audit_details
    for delete to prov_api
    using (tenant = nullif(current_setting('prov.tenant', true), '')::uuid);

grant select, insert, delete on prov.audit_details to prov_api;
