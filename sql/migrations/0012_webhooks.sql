-- Webhooks: what was sent before an endpoint was changed says nothing of it;
-- several secrets that were rotated away may be good at a time; a delivery has
-- the time of its event, so that what there is none of is found in one walk.


-- one has other parameters, the other one columns that come and go

drop function if exists prov.webhooks_judge(timestamptz, uuid[], uuid[],
    uuid[]);
drop function if exists prov.webhook_json(prov.webhook_endpoints);


alter table prov.jobs add column leased_at timestamptz;

comment on column prov.jobs.leased_at is
    'Since when lease_worker has it, or had.';


alter table prov.webhook_endpoints
    add column previous_secrets text[] not null default '{}',
    add column previous_untils timestamptz[] not null default '{}';

comment on column prov.webhook_endpoints.previous_secrets is
    'Secret: those before, sealed, the last one first; each signs as well '
    'until its time in previous_untils.';
comment on column prov.webhook_endpoints.previous_untils is
    'Until when each of previous_secrets signs.';
comment on column prov.webhook_endpoints.previous_until is
    'When the last of previous_secrets ends; null when there is none.';


-- a statement that changes rows has to see them

alter table prov.webhook_endpoints no force row level security;

update prov.webhook_endpoints
set previous_secrets = array[previous_secret],
    previous_untils = array[previous_until]
where previous_secret is not null;

alter table prov.webhook_endpoints force row level security;

alter table prov.webhook_endpoints drop column previous_secret;


-- what was recovered so far has the time of its recovery

alter table prov.events no force row level security;
alter table prov.jobs no force row level security;

update prov.jobs as j
set created_at = e.at
from prov.events e
where j.kind = 'webhook' and e.id = j.event and j.created_at <> e.at;

alter table prov.jobs force row level security;
alter table prov.events force row level security;
