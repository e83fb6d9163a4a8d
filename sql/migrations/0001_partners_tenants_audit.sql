-- The control plane's first tables: who provisions, what was provisioned, and
-- who did what.  Everything here stays on the coordinator when the database
-- is spread with Citus.
--
-- Rows are seen through row-level security alone.  The policies compare with
-- settings that prov.enter() makes for one transaction; without them nobody
-- but a superuser sees a row, the owner included.  A constraint's name is the
-- error code of its violation, so each has one.


-- What a value may be is said by its domain, not by its table: PostgreSQL
-- keeps a domain's checks ready, but reads a table's from the catalog in every
-- single insert, where they cost a fifth of a tenant's creation.

create domain prov.name as text
    constraint name_invalid check (
        char_length(value) between 1 and 200
        and btrim(value, E' \t\n\v\f\r') <> '');

create domain prov.email as text
    constraint email_invalid check (
        char_length(value) <= 320 and value like '_%@_%');

create domain prov.phone_number as text
    constraint phone_number_invalid check (char_length(value) <= 64);

create domain prov.industry as text
    constraint industry_invalid check (char_length(value) <= 200);

create domain prov.slug as text collate "C"
    constraint slug_invalid check (value ~ '^[a-z0-9-]{1,63}$');

create domain prov.external_id as text collate "C"
    constraint external_id_invalid check (
        char_length(value) between 1 and 255);

-- a flat object of at most 50 strings of at most 500 characters, their keys
-- of at most 40 (an expression counts to 255, so 500 is twice 250)

create domain prov.metadata as jsonb
    constraint metadata_invalid check (
        value = '{}'
        or jsonb_typeof(value) = 'object'
           and not value @? 'strict $.* ? (@.type() <> "string")'
           and not value @? 'strict $.* ?
                   (@ like_regex "^(.{250}){2}." flag "s")'
           and not value @? 'strict $.keyvalue().key ?
                   (@ like_regex "^.{41}" flag "s")'
           and jsonb_array_length(
                   jsonb_path_query_array(value, 'strict $.keyvalue()'))
               <= 50);

create domain prov.tenant_status as text collate "C"
    constraint status_invalid check (value = 'active');

create domain prov.partner_status as text collate "C"
    constraint partner_status_invalid check (value in ('active', 'suspended'));

-- what was answered to a mutation; 0 is what prov.outcome() shut out

create domain prov.audit_status as int
    constraint audit_status_invalid check (
        value = 0 or value between 100 and 599);


create table prov.partners (
    id         uuid not null constraint partner_exists primary key,
    created_at timestamptz(3) not null default now(),
    updated_at timestamptz(3) not null default now(),
    slug       prov.slug not null constraint partner_slug_taken unique,
    name       prov.name not null,
    status     prov.partner_status not null default 'active',

    -- a token names its partner by id or by slug: never both readings

    constraint partner_slug_invalid check (
        slug !~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$')
);

comment on table prov.partners is
    'Who provisions tenants; a token''s partner claim names one.';


create table prov.tenants (
    id           uuid not null constraint tenant_exists primary key,
    partner      uuid not null
                 constraint partner_unknown references prov.partners (id),
    created_at   timestamptz(3) not null default now(),
    updated_at   timestamptz(3) not null default now(),
    version      int not null default 1,
    status       prov.tenant_status not null default 'active',
    slug         prov.slug not null constraint slug_taken unique,
    client_name  prov.name not null,
    email        prov.email not null,
    email_key    text collate "C" not null
                 generated always as (lower(email collate "C")) stored,
    external_id  prov.external_id,
    phone_number prov.phone_number,
    industry     prov.industry,
    metadata     prov.metadata not null default '{}',

    constraint email_taken unique (email_key, partner),
    constraint external_id_taken unique (external_id, partner)
);

comment on table prov.tenants is
    'A partner''s customers.';
comment on column prov.tenants.email_key is
    'The e-mail address, folded for comparison.  A column rather than an '
    'index expression: lower() is not leakproof, so under row-level security '
    'no index would serve a search by it.';

-- The plan of a statement is made for one caller and then serves them all.
-- The planner reads the policies' setting while it plans; were there
-- statistics of the column, it would find that a partner without tenants is
-- best served through any index that begins with the partner, and later walk
-- all tenants of a large one to read a single row.  Without statistics every
-- partner looks the same.  For the same reason no key begins with the partner,
-- and the list has an order that only its own index has: were it "id" alone,
-- the primary key would do, past everybody else's rows.

alter table prov.tenants alter column partner set statistics 0;

create index tenants_newest_first on prov.tenants (partner, created_at, id);


create table prov.audit (
    mutation    uuid not null constraint mutation_fenced primary key,
    at          timestamptz(3) not null default now(),
    partner     uuid,
    tenant      uuid,
    resource_id uuid,
    status      prov.audit_status not null,
    operation   text not null,
    resource    text,
    kind        text,
    subject     text,
    issuer      text,
    key_id      text,
    request_id  text,
    ip          text,
    user_agent  text,
    before      json,
    after       json,
    headers     jsonb
);

alter table prov.audit alter column partner set statistics 0;
alter table prov.audit alter column tenant set statistics 0;

comment on table prov.audit is
    'Who did what, written in the mutation''s own transaction and never '
    'changed.  Refers to nothing: an entry outlives what it tells of.';
comment on column prov.audit.mutation is
    'Made by the gateway for each mutation.  Being unique, it lets a mutation '
    'commit once, and lets prov.outcome() see to it that a lost one never '
    'will.';
comment on column prov.audit.before is
    'The resource as it was, without secrets; null when it was made.';
comment on column prov.audit.after is
    'The resource as it was answered, to the byte, without secrets.';
comment on column prov.audit.kind is
    'What the caller is (user, key, …); subject says which, issuer says who '
    'vouched for it, key_id with which key it came.';


-- Append-only, for the owner and superusers too: row-level security does not
-- stop a truncate, nor a superuser.

create function prov.append_only()
    returns trigger
    language plpgsql
as $$
begin
    raise exception 'table %.% is append-only',
        tg_table_schema, tg_table_name
        using errcode = 'insufficient_privilege';
end
$$;

comment on function prov.append_only() is
    'Refuses every change of what is already written.';

create trigger audit_is_append_only
    before update or delete or truncate on prov.audit
    for each statement execute function prov.append_only();


alter table prov.partners enable row level security;
alter table prov.partners force row level security;
alter table prov.tenants enable row level security;
alter table prov.tenants force row level security;
alter table prov.audit enable row level security;
alter table prov.audit force row level security;

create policy partners_entered on prov.partners
    to prov_api
    using (id = nullif(current_setting('prov.partner', true), '')::uuid)
    with check (id = nullif(current_setting('prov.partner', true), '')::uuid);

-- prov.enter() must find a partner by its slug before it knows the id

create policy partners_claimed on prov.partners
    for select to prov_api
    using (slug = nullif(current_setting('prov.claim', true), ''));

create policy tenants_of_partner on prov.tenants
    to prov_api
    using (partner = nullif(current_setting('prov.partner', true), '')::uuid)
    with check (
        partner = nullif(current_setting('prov.partner', true), '')::uuid);

create policy audit_of_partner on prov.audit
    for select to prov_api
    using (partner = nullif(current_setting('prov.partner', true), '')::uuid);

create policy audit_by_partner on prov.audit
    for insert to prov_api
    with check (
        partner = nullif(current_setting('prov.partner', true), '')::uuid);

grant select, insert, update (status, updated_at) on prov.partners
    to prov_api;
grant select, insert on prov.tenants to prov_api;
grant select, insert on prov.audit to prov_api;
