-- The tenants' configurations: a JSON object each, in versions that are added
-- and never changed.


create domain prov.configuration as jsonb
    constraint configuration_invalid check (jsonb_typeof(value) = 'object')
    constraint configuration_too_large check (
        octet_length(value::text) <= 65536);


create table prov.configurations (
    tenant     uuid not null
               constraint configuration_of_tenant
               references prov.tenants (id) on delete cascade,
    version    int not null
               constraint configuration_version_invalid check (version > 0),
    partner    uuid not null,
    created_at timestamptz(3) not null default now(),
    content    prov.configuration not null,

    constraint configuration_exists primary key (tenant, version)
);

comment on table prov.configurations is
    'Each version of each tenant''s configuration; the last one counts, and '
    'before the first it is empty.';

alter table prov.configurations
    alter column partner set statistics 0,
    alter column tenant set statistics 0;

alter table prov.configurations enable row level security;
alter table prov.configurations force row level security;

create policy configurations_of_partner on prov.configurations
    to prov_api
    using (partner = nullif(current_setting('prov.partner', true), '')::uuid)
    with check (
        partner = nullif(current_setting('prov.partner', true), '')::uuid);

grant select, insert, delete on prov.configurations to prov_api;
