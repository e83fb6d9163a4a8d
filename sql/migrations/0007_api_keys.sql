-- Keys of machines.  Of a key's secret only the SHA-256 is here: the secret
-- has 256 random bits, so nothing slower is needed to keep it.


create domain prov.scopes as text[]
    constraint scopes_invalid check (
        cardinality(value) between 1 and 64
        and array_position(value, null) is null
        and array_to_string(value, ' ') ~
            '^(\*|[a-z][a-z0-9_-]*:(\*|[a-z][a-z0-9_-]*)( |$))+$'
        or value = '{*}');

create domain prov.ip_allow as cidr[]
    constraint ip_allow_invalid check (
        cardinality(value) <= 32 and array_position(value, null) is null);

create domain prov.secret_hash as bytea
    constraint secret_hash_invalid check (octet_length(value) = 32);

create domain prov.surface as text collate "C"
    constraint surface_invalid check (value in ('partner', 'operator'));


create table prov.api_keys (
    id             uuid not null constraint api_key_exists primary key,
    partner        uuid
                   constraint partner_unknown_2 references prov.partners (id),
    surface        prov.surface not null default 'partner',
    created_at     timestamptz(3) not null default now(),
    updated_at     timestamptz(3) not null default now(),
    version        int not null default 1,
    name           prov.name not null,
    scopes         prov.scopes not null,
    ip_allow       prov.ip_allow not null default '{}',
    expires_at     timestamptz(3),
    revoked_at     timestamptz(3),
    last_used_at   timestamptz(3),
    secret_hash    prov.secret_hash not null,
    previous_hash  prov.secret_hash,
    previous_until timestamptz(3),

    constraint api_key_partner_invalid check (
        (surface = 'partner') = (partner is not null)),
    constraint api_key_previous_invalid check (
        (previous_hash is null) = (previous_until is null))
);

comment on table prov.api_keys is
    'Keys that machines show instead of a token; one row has up to two '
    'secrets, while it is being rotated.';
comment on column prov.api_keys.surface is
    'Which API the key is for; those of operators have no partner.';
comment on column prov.api_keys.secret_hash is
    'SHA-256 of the secret, 43 characters of base64url.';
comment on column prov.api_keys.previous_hash is
    'That of the secret before the last rotation, good until previous_until.';
comment on column prov.api_keys.last_used_at is
    'When it last let somebody in, to the minute.';

alter table prov.api_keys alter column partner set statistics 0;

create index api_keys_newest_first
    on prov.api_keys (partner, created_at, id);


alter table prov.api_keys enable row level security;
alter table prov.api_keys force row level security;

create policy api_keys_of_partner on prov.api_keys
    to prov_api
    using (partner = nullif(current_setting('prov.partner', true), '')::uuid)
    with check (
        partner = nullif(current_setting('prov.partner', true), '')::uuid);

-- a key is looked for before its partner is known

create policy api_keys_shown on prov.api_keys
    for select to prov_api
    using (id = nullif(current_setting('prov.key', true), '')::uuid);

grant select, insert,
    update (updated_at, version, name, ip_allow, revoked_at, last_used_at,
            secret_hash, previous_hash, previous_until)
    on prov.api_keys to prov_api;
