-- What may be in a text that people read, when an operator's key was used,
-- the operators' audit by partner, and what a purge finds in kept answers.


-- Characters that nobody sees: controls, and those that only say how others
-- are set.  The joiners U+200C and U+200D stay, which several scripts need.
-- What is there already stays as it is: "not valid".

alter domain prov.name add constraint name_invalid_2 check (
    value !~ '[\u0001-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f'
             '\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]') not valid;

alter domain prov.industry add constraint industry_invalid_2 check (
    value !~ '[\u0001-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f'
             '\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]') not valid;

-- a reason may have lines

alter domain prov.status_reason add constraint reason_invalid_2 check (
    value !~ '[\u0001-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c'
             '\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]')
    not valid;


-- Each element by itself: one with a blank in it is not two.

alter domain prov.scopes drop constraint scopes_invalid;

alter domain prov.scopes add constraint scopes_invalid check (
    cardinality(value) between 1 and 64
    and array_position(value, null) is null
    and array_to_string(value, ' ') ~
        '^(\*|[a-z][a-z0-9_-]*:(\*|[a-z][a-z0-9_-]*))'
        '( (\*|[a-z][a-z0-9_-]*:(\*|[a-z][a-z0-9_-]*)))*$'
    and char_length(regexp_replace(array_to_string(value, ' '), '[^ ]', '',
        'g')) = cardinality(value) - 1) not valid;


-- A key of an operator is open to the setting that it is looked for by, for
-- the moment of its use to be noted.

create policy api_keys_noted on prov.api_keys
    for update to prov_api
    using (id = nullif(current_setting('prov.key', true), '')::uuid)
    with check (id = nullif(current_setting('prov.key', true), '')::uuid);


-- What operators did to a partner.  Partners' entries are not in it, so no
-- change of theirs pays for it.

create index audit_of_operated on prov.audit (resource_id, at, mutation)
    where partner = 'ffffffff-ffff-ffff-ffff-ffffffffffff';


-- An answer that is about no single tenant may name some, as that of a bulk
-- request does.  A purge looks for its tenant in these.

alter table prov.idempotency add column names boolean not null default false;

comment on column prov.idempotency.names is
    'Whether the answer, which is about no single tenant, names some.';

create index idempotency_that_names on prov.idempotency (partner, created_at)
    where names;

-- nobody has looked at what is there already

alter table prov.idempotency no force row level security;
update prov.idempotency set names = true where tenant is null;
alter table prov.idempotency force row level security;
