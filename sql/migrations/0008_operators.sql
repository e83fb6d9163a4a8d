-- What operators have of a partner: how to reach it, why and since when it is
-- suspended, its version; how many tenants it may have; and the keys of
-- operators themselves.


alter table prov.partners
    add column version           int not null default 1,
    add column contact_email     prov.email,
    add column status_reason     prov.status_reason,
    add column status_changed_at timestamptz(3);

comment on column prov.partners.status_changed_at is
    'When the status was last changed; null as long as it is the first.';

create index partners_newest_first on prov.partners (created_at, id);

grant update (name, contact_email, status_reason, status_changed_at, version)
    on prov.partners to prov_api;

-- prov.operator_enter() makes this setting for one transaction.  A partner's
-- operations never look for another row of this table than their own, so it
-- would open nothing to them.

create policy partners_of_operators on prov.partners
    to prov_api
    using (current_setting('prov.operator', true) = 'on')
    with check (current_setting('prov.operator', true) = 'on');


create domain prov.tenant_quota as int
    constraint tenant_quota_invalid check (value between 0 and 1000000000);

create table prov.quotas (
    id      uuid not null
            constraint quota_exists primary key
            constraint partner_unknown_3 references prov.partners (id),
    quota   prov.tenant_quota not null,
    tenants int not null
);

comment on table prov.quotas is
    'How many tenants a partner may have, and has: a row for each partner '
    'that has a quota, and none for any other.';
comment on column prov.quotas.tenants is
    'All that are not purged; kept by prov.tenants_counted().';

alter table prov.quotas enable row level security;
alter table prov.quotas force row level security;

create policy quotas_of_partner on prov.quotas
    to prov_api
    using (id = nullif(current_setting('prov.partner', true), '')::uuid)
    with check (id = nullif(current_setting('prov.partner', true), '')::uuid);

create policy quotas_of_operators on prov.quotas
    to prov_api
    using (current_setting('prov.operator', true) = 'on')
    with check (current_setting('prov.operator', true) = 'on');

grant select, insert, update, delete on prov.quotas to prov_api;


-- Counting is a trigger's, so that no function that makes or removes tenants
-- can forget it.  Who has no quota pays for one look into a small index; a
-- trigger for each statement, which has to collect its rows, would cost a
-- creation twice as much.
--
-- A quota that is being set counts the tenants that are there, under a lock of
-- the partner's row.  An insert has locked that row for its foreign key before
-- it comes here ("tenants_counted" comes after PostgreSQL's own triggers), and
-- a removal locks it: so either is seen by that count, or sees the quota.  The
-- quota's row is the last that anybody locks, and never waited for in a
-- circle.

create function prov.tenants_counted()
    returns trigger
    language plpgsql
as $$
declare
    counted prov.quotas;
begin
    update prov.quotas as q
    set tenants = q.tenants + 1
    where q.id = new.partner
    returning * into counted;

    if counted.tenants > counted.quota then
        raise exception 'You may have % tenants, and this would be more.',
            counted.quota
            using errcode = 'PV403', constraint = 'partner_quota_exceeded',
                detail = json_build_object('quota', counted.quota);
    end if;

    return null;
end
$$;

comment on function prov.tenants_counted() is
    'Counts a new tenant of a partner that has a quota, and refuses one too '
    'many.';

create function prov.tenants_discounted()
    returns trigger
    language plpgsql
as $$
begin
    perform from prov.partners p
    where p.id in (select g.partner from gone g)
    for key share;

    update prov.quotas as q
    set tenants = q.tenants
        - (select count(*) from gone g where g.partner = q.id)
    where q.id in (select g.partner from gone g);

    return null;
end
$$;

comment on function prov.tenants_discounted() is
    'Counts removed tenants of a partner that has a quota.';

create trigger tenants_counted
    after insert on prov.tenants
    for each row execute function prov.tenants_counted();

create trigger tenants_discounted
    after delete on prov.tenants referencing old table as gone
    for each statement execute function prov.tenants_discounted();


-- Keys of operators are made at psql, by whoever may be prov_owner.  No
-- setting opens them to change: only whose role is the owner's may.

create policy api_keys_of_operators on prov.api_keys
    to prov_owner
    using (surface = 'operator')
    with check (surface = 'operator');
