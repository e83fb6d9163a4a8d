-- migrate: outside a transaction

-- What is found by an id that a caller may only know of, and which may be
-- somebody else's, is found by its partner, too: row-level security leaves out
-- what the index has given, one row after the other, and nothing bounded that.
--
-- These tables grow with every change, so their indexes are made beside the
-- traffic.  That waits for transactions that are older, and nobody for it.

set lock_timeout = 0;

-- what an earlier run could not finish

select format('drop index concurrently %s', i.indexrelid::regclass)
from pg_catalog.pg_index i
where not i.indisvalid
    and i.indexrelid in (to_regclass('prov.audit_about_tenant'),
        to_regclass('prov.jobs_of_partner')) \gexec

create index concurrently if not exists audit_about_tenant on prov.audit
    (tenant, partner, at, mutation)
    where tenant is not null;
create index concurrently if not exists jobs_of_partner on prov.jobs
    (queue, partner, created_at, id);

drop index concurrently if exists prov.audit_of_tenant;
drop index concurrently if exists prov.jobs_newest_first;

set lock_timeout = '5s';


-- has a parameter more

drop function if exists prov.delivery_page(jsonb, uuid[], timestamptz, uuid,
    int);


-- One partner after the other, each found by its id: a plan for all of them
-- that was made while partners were few had read every one of them since.

create or replace function prov.tenants_discounted()
    returns trigger
    language plpgsql
as $$
declare
    owner uuid;
begin
    for owner in
        select distinct g.partner from gone g order by g.partner
    loop
        perform from prov.partners p where p.id = owner for key share;

        update prov.quotas as q
        set tenants = q.tenants
            - (select count(*) from gone g where g.partner = owner)
        where q.id = owner;
    end loop;

    return null;
end
$$;
