-- What was answered to a mutation that came with an Idempotency-Key, so that
-- its repetition gets the same answer and changes nothing.  A row is written
-- in the mutation's own transaction and counts for 24 hours.


create table prov.idempotency (
    id         bytea not null constraint idempotency_key_taken primary key,
    partner    uuid not null,
    tenant     uuid,
    created_at timestamptz(3) not null default now(),
    request    bytea not null,
    mutation   uuid not null,
    status     prov.audit_status,
    body       json,
    headers    jsonb
);

-- see 0001: no statistics of what policies compare

alter table prov.idempotency alter column partner set statistics 0;
alter table prov.idempotency alter column tenant set statistics 0;

create index idempotency_oldest_first on prov.idempotency
    (partner, created_at);
create index idempotency_of_tenant on prov.idempotency (tenant)
    where tenant is not null;

comment on table prov.idempotency is
    'The answers to mutations with an Idempotency-Key, for 24 hours.  Refers '
    'to nothing.';
comment on column prov.idempotency.id is
    'SHA-256 of who asked, for which operation and with which key: of one '
    'length however long those are, and nobody''s key can be read from it.';
comment on column prov.idempotency.tenant is
    'Whom the answer is about, so that it goes with that tenant.';
comment on column prov.idempotency.request is
    'SHA-256 of what was asked: the same key with another request is refused.';
comment on column prov.idempotency.mutation is
    'The attempt that was answered: its own repetition, after a connection '
    'was lost, is not told that it is one.';
comment on column prov.idempotency.status is
    'What was answered; null until the mutation''s transaction ends.';

alter table prov.idempotency enable row level security;
alter table prov.idempotency force row level security;

create policy idempotency_of_partner on prov.idempotency
    to prov_api
    using (partner = nullif(current_setting('prov.partner', true), '')::uuid)
    with check (
        partner = nullif(current_setting('prov.partner', true), '')::uuid);

grant select, insert, update, delete on prov.idempotency to prov_api;
