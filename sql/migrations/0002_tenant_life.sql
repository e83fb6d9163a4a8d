-- The whole life of a tenant: its statuses and where they lead, deletion with
-- a time of grace, and the receipt of what was removed for good.


alter domain prov.tenant_status drop constraint status_invalid;
alter domain prov.tenant_status add constraint status_invalid check (
    value in ('pending', 'active', 'suspended', 'cancelled', 'trial_expired',
              'deleted'));

create domain prov.status_reason as text
    constraint reason_invalid check (char_length(value) between 1 and 500);


alter table prov.tenants
    add column status_reason     prov.status_reason,
    add column status_changed_at timestamptz(3),
    add column suspended_from    prov.tenant_status,
    add column deleted_from      prov.tenant_status,
    add column deleted_at        timestamptz(3),
    add column purge_after       timestamptz(3);

comment on column prov.tenants.status_changed_at is
    'When the status was last changed otherwise than by a deletion; null as '
    'long as it is the one the tenant was made with.';
comment on column prov.tenants.suspended_from is
    'The status that resuming leads back to.';
comment on column prov.tenants.deleted_from is
    'The status that restoring leads back to.';

-- Of those of a partner that are deleted, the ones that are due.  Costs a
-- tenant that is not deleted nothing.

create index tenants_to_purge on prov.tenants (partner, purge_after)
    where purge_after is not null;

-- What never changes (id, partner, created_at) cannot be changed.

grant update (updated_at, version, status, slug, client_name, email,
    external_id, phone_number, industry, metadata, status_reason,
    status_changed_at, suspended_from, deleted_from, deleted_at, purge_after)
    on prov.tenants to prov_api;
grant delete on prov.tenants to prov_api;

-- prov.purge_expired() goes from partner to partner

create policy partners_swept on prov.partners
    for select to prov_api
    using (status = nullif(current_setting('prov.sweep', true), ''));


create table prov.purges (
    tenant     uuid not null constraint tenant_purged primary key,
    partner    uuid not null,
    mutation   uuid not null,
    purged_at  timestamptz(3) not null default now(),
    kind       text,
    subject    text,
    issuer     text,
    key_id     text,
    removed    jsonb not null
);

alter table prov.purges alter column partner set statistics 0;
alter table prov.purges alter column tenant set statistics 0;

comment on table prov.purges is
    'Receipts: which tenant was removed for good, when, and by whom.  Holds '
    'nothing of what was removed.';
comment on column prov.purges.removed is
    'How many rows, by table.';
comment on column prov.purges.mutation is
    'The entry in the audit.';

create trigger purges_is_append_only
    before update or delete or truncate on prov.purges
    for each statement execute function prov.append_only();

alter table prov.purges enable row level security;
alter table prov.purges force row level security;

create policy purges_of_partner on prov.purges
    to prov_api
    using (partner = nullif(current_setting('prov.partner', true), '')::uuid)
    with check (
        partner = nullif(current_setting('prov.partner', true), '')::uuid);

grant select, insert on prov.purges to prov_api;


-- has a parameter more

drop function if exists prov.tenant_conflict(text, text, text);
