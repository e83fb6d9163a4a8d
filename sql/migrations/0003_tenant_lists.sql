-- What lists of tenants go by: an index for each order, for each order within
-- a status, an industry and a metadata pair, and for prefixes of the name and
-- the slug.
--
-- Only what is leakproof reaches an index under row-level security: equality
-- and order of text, uuid and timestamptz are, lower(), like and jsonb's @>
-- are not.  So the folded name is a column, and a tenant's metadata pairs
-- have a table of their own.


alter table prov.tenants no force row level security;

alter table prov.tenants add column name_key text collate "C" not null
    generated always as (lower(client_name)) stored;

comment on column prov.tenants.name_key is
    'The name, folded: lists are sorted and searched by it.';

-- The planner knows nothing of the columns that lists filter by, for the
-- reason that it knows nothing of the partner: with statistics it would find
-- that nearly all tenants are active, walk the list for the few of a partner
-- that are not, and look at all of a large one's.

alter table prov.tenants
    alter column status set statistics 0,
    alter column industry set statistics 0;

-- Whoever asks for deleted ones asks for a status.

drop index prov.tenants_newest_first;

create index tenants_by_created_at on prov.tenants
    (partner, created_at, id) where status <> 'deleted';
create index tenants_by_updated_at on prov.tenants
    (partner, updated_at, id) where status <> 'deleted';
create index tenants_by_name on prov.tenants
    (partner, name_key, id) where status <> 'deleted';

-- What is never null is said not to be, which a statement that asks for it
-- implies and no other does: so no other plan takes these, not even one that
-- is made while the table is empty and all indexes look the same.

create index tenants_by_status_created_at on prov.tenants
    (partner, status, created_at, id) where status is not null;
create index tenants_by_status_updated_at on prov.tenants
    (partner, status, updated_at, id) where status is not null;
create index tenants_by_status_name on prov.tenants
    (partner, status, name_key, id) where status is not null;

-- Has all tenants, so it also serves the foreign key to the partners.

create index tenants_by_slug on prov.tenants (partner, slug) include (id);

create index tenants_by_industry_created_at on prov.tenants
    (partner, industry, created_at, id) where industry is not null;
create index tenants_by_industry_updated_at on prov.tenants
    (partner, industry, updated_at, id) where industry is not null;
create index tenants_by_industry_name on prov.tenants
    (partner, industry, name_key, id) where industry is not null;


create table prov.tenant_labels (
    tenant     uuid not null
               constraint label_of_tenant
               references prov.tenants (id) on delete cascade,
    label      uuid not null,
    partner    uuid not null,
    created_at timestamptz(3) not null,
    updated_at timestamptz(3) not null,
    name_key   text collate "C" not null,

    constraint label_exists primary key (tenant, label)
);

comment on table prov.tenant_labels is
    'The tenants'' metadata, a row for each pair, with what lists are sorted '
    'by.  Kept by a trigger; nobody else writes here.';
comment on column prov.tenant_labels.label is
    'The first half of the SHA-256 of key and value: an index takes values '
    'of any length that way.  Who finds a tenant by it looks at its metadata.';

alter table prov.tenant_labels
    alter column partner set statistics 0,
    alter column tenant set statistics 0,
    alter column label set statistics 0;

create index tenant_labels_by_created_at on prov.tenant_labels
    (partner, label, created_at, tenant);
create index tenant_labels_by_updated_at on prov.tenant_labels
    (partner, label, updated_at, tenant);
create index tenant_labels_by_name on prov.tenant_labels
    (partner, label, name_key, tenant);

alter table prov.tenant_labels enable row level security;

create policy tenant_labels_of_partner on prov.tenant_labels
    to prov_api
    using (partner = nullif(current_setting('prov.partner', true), '')::uuid)
    with check (
        partner = nullif(current_setting('prov.partner', true), '')::uuid);

grant select, insert, update, delete on prov.tenant_labels to prov_api;


-- The same expression is in prov.tenant_label(), which searches.

create function prov.keep_tenant_labels()
    returns trigger
    language plpgsql
as $$
begin
    if tg_op = 'UPDATE' then
        if new.metadata = old.metadata then
            update prov.tenant_labels l
            set created_at = new.created_at,
                updated_at = new.updated_at,
                name_key = new.name_key
            where l.tenant = new.id;

            return null;
        end if;

        delete from prov.tenant_labels l where l.tenant = new.id;
    end if;

    insert into prov.tenant_labels (tenant, label, partner, created_at,
        updated_at, name_key)
    select new.id,
           encode(substring(sha256(convert_to(char_length(m.key) || ':'
               || m.key || m.value, 'UTF8')) from 1 for 16), 'hex')::uuid,
           new.partner, new.created_at, new.updated_at, new.name_key
    from jsonb_each_text(new.metadata) m;

    return null;
end
$$;

comment on function prov.keep_tenant_labels() is
    'Keeps prov.tenant_labels what the tenants'' metadata is.';

create trigger tenant_labels_made
    after insert on prov.tenants
    for each row when (new.metadata <> '{}')
    execute function prov.keep_tenant_labels();

create trigger tenant_labels_kept
    after update on prov.tenants
    for each row when (new.metadata <> '{}' or old.metadata <> '{}')
    execute function prov.keep_tenant_labels();

insert into prov.tenant_labels (tenant, label, partner, created_at,
    updated_at, name_key)
select t.id,
       encode(substring(sha256(convert_to(char_length(m.key) || ':'
           || m.key || m.value, 'UTF8')) from 1 for 16), 'hex')::uuid,
       t.partner, t.created_at, t.updated_at, t.name_key
from prov.tenants t
cross join lateral jsonb_each_text(t.metadata) m;

alter table prov.tenants force row level security;
alter table prov.tenant_labels force row level security;
