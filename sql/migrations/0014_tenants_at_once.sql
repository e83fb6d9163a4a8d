-- What follows from new tenants is done once for all that a statement makes.


-- has other parameters

drop function if exists prov.tenant_insert_many(jsonb, jsonb[]);


-- A change is one row's, and stays with it.

drop trigger tenant_written on prov.tenants;
drop function prov.tenant_written();


-- A quota that is being set counts the tenants that are there, under a lock of
-- the partner's row.  An insert has locked that row for its foreign key before
-- it comes here (what is called for each row comes before what is called for
-- the statement), and a removal locks it: so either is seen by that count, or
-- sees the quota.  The quota's row is the last that anybody locks, and never
-- waited for in a circle.
--
-- Most tenants have no metadata and their partners no quota: one statement
-- asks for both, as two subqueries, because to make an aggregate ready costs
-- as much as the rest.

create function prov.tenants_made()
    returns trigger
    language plpgsql
as $$
declare
    counted  boolean;
    labelled boolean;
    exceeded int;
begin
    select exists (select from made m join prov.quotas q on q.id = m.partner),
           exists (select from made m where m.metadata <> '{}')
    into counted, labelled;

    if counted then
        with counts as (
            update prov.quotas as q
            set tenants = q.tenants + m.many
            from (select n.partner, count(*) as many
                  from made n
                  group by n.partner) m
            where q.id = m.partner
            returning q.quota, q.tenants
        )
        select c.quota into exceeded
        from counts c
        where c.tenants > c.quota;

        if found then
            raise exception 'You may have % tenants, and this would be more.',
                exceeded
                using errcode = 'PV403', constraint = 'partner_quota_exceeded',
                    detail = json_build_object('quota', exceeded);
        end if;
    end if;

    if labelled then
        insert into prov.tenant_labels (tenant, label, partner, created_at,
            updated_at, name_key)
        select m.id, prov.tenant_label(p.key, p.value), m.partner,
            m.created_at, m.updated_at, m.name_key
        from made m
        cross join lateral jsonb_each_text(m.metadata) p;
    end if;

    return null;
end
$$;

comment on function prov.tenants_made() is
    'Counts the new tenants of partners that have a quota, and refuses all of '
    'them when they are too many; keeps the labels of their metadata.';

create trigger tenants_made
    after insert on prov.tenants referencing new table as made
    for each statement execute function prov.tenants_made();


create function prov.tenant_changed()
    returns trigger
    language plpgsql
as $$
begin
    if old.metadata <> '{}' then
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

    if new.metadata <> '{}' then
        insert into prov.tenant_labels (tenant, label, partner, created_at,
            updated_at, name_key)
        select new.id, prov.tenant_label(p.key, p.value), new.partner,
            new.created_at, new.updated_at, new.name_key
        from jsonb_each_text(new.metadata) p;
    end if;

    return null;
end
$$;

comment on function prov.tenant_changed() is
    'Keeps prov.tenant_labels what a tenant''s metadata is.';

create trigger tenant_changed
    after update on prov.tenants
    for each row execute function prov.tenant_changed();

comment on column prov.quotas.tenants is
    'All that are not purged; kept by prov.tenants_made() and '
    'prov.tenants_discounted().';
