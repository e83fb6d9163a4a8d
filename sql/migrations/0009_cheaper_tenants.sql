-- Making a tenant costs what its indexes, triggers and checks cost; this is
-- the same with less of them.


-- A pattern that counts ({1,63}) is ten times slower than one that does not,
-- and each function that a check calls is looked up in each statement.  What
-- is there has passed checks that forbid the same, so it is not read again.

alter domain prov.slug drop constraint slug_invalid;
alter domain prov.slug add constraint slug_invalid check (
    value ~ '^[a-z0-9-]+$' and octet_length(value) <= 63) not valid;

alter domain prov.name drop constraint name_invalid;
alter domain prov.name add constraint name_invalid check (
    char_length(value) <= 200 and value ~ '[^ \t\n\v\f\r]') not valid;

alter domain prov.external_id drop constraint external_id_invalid;
alter domain prov.external_id add constraint external_id_invalid check (
    char_length(value) <= 255 and value <> '') not valid;

alter domain prov.status_reason drop constraint reason_invalid;
alter domain prov.status_reason add constraint reason_invalid check (
    char_length(value) <= 500 and value <> '') not valid;

-- a flat object of at most 50 strings of at most 500 characters, their keys
-- of at most 40 (an expression counts to 255, so 500 is twice 250)

alter domain prov.metadata drop constraint metadata_invalid;
alter domain prov.metadata add constraint metadata_invalid check (
    value = '{}'
    or (value @@ 'strict $.type() == "object" && !exists ($.keyvalue() ? (
            @.value.type() <> "string"
            || @.value like_regex "^(.{250}){2}." flag "s"
            || @.key like_regex "^.{41}" flag "s"))') is true
       and jsonb_array_length(
               jsonb_path_query_array(value, 'strict $.keyvalue()')) <= 50)
    not valid;


-- Who has no external_id is not in its index.

alter table prov.tenants drop constraint external_id_taken;
create unique index external_id_taken on prov.tenants (external_id, partner)
    where external_id is not null;


-- Of all tenants only the newest first are walked.  The other orders merge
-- those of each status but "deleted".

drop index prov.tenants_by_updated_at;
drop index prov.tenants_by_name;


-- A tenant's details are those of its chain, which has an index already.

drop index prov.audit_details_of_tenant;


-- A policy less is asked in each request: prov.purge_expired() goes from
-- partner to partner by the one that operators have.

drop policy partners_swept on prov.partners;


-- One trigger does what two did: PostgreSQL reads a trigger's condition anew
-- in each statement, which costs more than calling a function that asks.

drop trigger tenants_counted on prov.tenants;
drop trigger tenant_labels_made on prov.tenants;
drop trigger tenant_labels_kept on prov.tenants;
drop function prov.tenants_counted();
drop function prov.keep_tenant_labels();

-- A quota that is being set counts the tenants that are there, under a lock of
-- the partner's row.  An insert has locked that row for its foreign key before
-- it comes here (the trigger comes after PostgreSQL's own), and a removal
-- locks it: so either is seen by that count, or sees the quota.  The quota's
-- row is the last that anybody locks, and never waited for in a circle.

create function prov.tenant_written()
    returns trigger
    language plpgsql
as $$
declare
    counted prov.quotas;
begin
    if tg_op = 'INSERT' then
        if exists (select from prov.quotas q where q.id = new.partner) then
            update prov.quotas as q
            set tenants = q.tenants + 1
            where q.id = new.partner
            returning * into counted;

            if counted.tenants > counted.quota then
                raise exception 'You may have % tenants, and this would be '
                    'more.', counted.quota
                    using errcode = 'PV403',
                        constraint = 'partner_quota_exceeded',
                        detail = json_build_object('quota', counted.quota);
            end if;
        end if;

    elsif old.metadata <> '{}' then
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

    -- the same expression is in prov.tenant_label(), which searches

    if new.metadata <> '{}' then
        insert into prov.tenant_labels (tenant, label, partner, created_at,
            updated_at, name_key)
        select new.id,
               encode(substring(sha256(convert_to(char_length(m.key) || ':'
                   || m.key || m.value, 'UTF8')) from 1 for 16), 'hex')::uuid,
               new.partner, new.created_at, new.updated_at, new.name_key
        from jsonb_each_text(new.metadata) m;
    end if;

    return null;
end
$$;

comment on function prov.tenant_written() is
    'Counts a new tenant of a partner that has a quota, and refuses one too '
    'many; keeps prov.tenant_labels what the tenants'' metadata is.';

create trigger tenant_written
    after insert or update on prov.tenants
    for each row execute function prov.tenant_written();

comment on column prov.quotas.tenants is
    'All that are not purged; kept by prov.tenant_written().';
