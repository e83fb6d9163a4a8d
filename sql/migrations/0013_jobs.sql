-- Jobs that whoever takes them does not come back from: how often that was so.


alter table prov.jobs add column lapsed int not null default 0;

comment on column prov.jobs.lapsed is
    'How many leases on end have ended without a word of who had them.';


-- prov.record_made() does it now

drop function if exists prov.emit_many(jsonb, uuid[], uuid, uuid[], text,
    json[]);

-- have columns more

drop function if exists prov.jobs_claim(jsonb, jsonb, jsonb);
drop function if exists prov.jobs_lease(text, timestamptz, timestamptz,
    uuid[], int, int, int, jsonb, int);
