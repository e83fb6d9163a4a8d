-- What happens after the answer: the events that every change leaves, who
-- wants to be told of them, and the jobs that tell him; operations that take
-- longer than a request; and what is done from time to time.
--
-- A change writes its event and the jobs that come of it in its own
-- transaction.  A worker leases a job, does it, and reports.  Nothing here
-- refers to anything: what is gone is noticed when it is looked for.


-- has parameters more

drop function if exists prov.record(jsonb, text, uuid, uuid, int, json, json,
    jsonb);
drop function if exists prov.record_many(jsonb, text, uuid[], json[]);


create domain prov.job_state as text collate "C"
    constraint job_state_invalid check (
        value in ('waiting', 'done', 'failed', 'cancelled'));

create domain prov.webhook_status as text collate "C"
    constraint webhook_status_invalid check (value in ('active', 'disabled'));

create domain prov.operation_item_state as text collate "C"
    constraint operation_item_state_invalid check (
        value in ('waiting', 'succeeded', 'failed', 'cancelled'));

create domain prov.operation_status as text collate "C"
    constraint operation_status_invalid check (
        value in ('pending', 'running', 'succeeded', 'failed', 'cancelled'));


create table prov.events (
    id         uuid not null constraint event_exists primary key,
    xid        xid8 not null default pg_current_xact_id(),
    at         timestamptz(3) not null default now(),
    partner    uuid not null,
    tenant     uuid,
    type       text not null,
    request_id text,
    data       json
);

alter table prov.events alter column partner set statistics 0;
alter table prov.events alter column tenant set statistics 0;

-- Whoever pulls them reads on from a transaction: every earlier one has ended
-- before it is passed (pg_snapshot_xmin), so no late commit is skipped.

create index events_in_order on prov.events (partner, xid, id);
create index events_of_tenant on prov.events (tenant, id)
    where tenant is not null;

comment on table prov.events is
    'What has happened, for whoever wants to know: written in the change''s '
    'own transaction, kept for 30 days.  Ids are UUIDs version 7, so their '
    'order is that of time: what is old is found by the primary key.';
comment on column prov.events.id is
    'The mutation in the audit, where one left one event.';
comment on column prov.events.data is
    'The resource as it was answered, without secrets.';


create table prov.webhook_endpoints (
    id              uuid not null constraint webhook_endpoint_exists primary key,
    partner         uuid not null
                    constraint partner_unknown_4 references prov.partners (id),
    created_at      timestamptz(3) not null default now(),
    updated_at      timestamptz(3) not null default now(),
    version         int not null default 1,
    url             text not null,
    description     text,
    event_types     text[] not null default '{*}',
    headers         text,
    header_names    text[] not null default '{}',
    status          prov.webhook_status not null default 'active',
    disabled_reason text,
    disabled_at     timestamptz(3),
    algorithm       text not null default 'v1'
                    constraint algorithm_invalid check (
                        algorithm in ('v1', 'v1a')),
    secret          text not null,
    public_key      text,
    previous_secret text,
    previous_until  timestamptz(3),
    failing_since   timestamptz(3)
);

alter table prov.webhook_endpoints alter column partner set statistics 0;

create index webhook_endpoints_newest_first
    on prov.webhook_endpoints (partner, created_at, id);

comment on table prov.webhook_endpoints is
    'Where partners want events to be sent.';
comment on column prov.webhook_endpoints.event_types is
    'Which: types, "tenant.*" for all that begin so, "*" for all.';
comment on column prov.webhook_endpoints.headers is
    'Secret: headers to be sent along, sealed by the gateway.';
comment on column prov.webhook_endpoints.header_names is
    'The names of these, which are shown.';
comment on column prov.webhook_endpoints.secret is
    'Secret: what is signed with, sealed by the gateway.';
comment on column prov.webhook_endpoints.previous_secret is
    'Secret: the one before, sealed; signs as well until previous_until.';
comment on column prov.webhook_endpoints.disabled_reason is
    'Why the status is "disabled": "requested", "gone" (it answered 410) or '
    '"failing" (for too long).';
comment on column prov.webhook_endpoints.failing_since is
    'When the first of an unbroken series of failures was; null after a '
    'success.';


-- A waiting job is leased while lease_until is to come, and may be taken again
-- after that: so a worker that is gone is found out by the time alone.  To
-- lease a job changes no column that has an index, and finds room beside the
-- row: so no index has to be told.

create table prov.jobs (
    id           uuid not null constraint job_exists primary key,
    kind         text not null,
    queue        uuid not null,
    partner      uuid,
    tenant       uuid,
    event        uuid,
    operation    uuid,
    seq          bigint,
    created_at   timestamptz(3) not null default now(),
    due          timestamptz not null default now(),
    attempt      int not null default 0,
    tries        int not null default 0,
    step         int not null default 0,
    state        prov.job_state not null default 'waiting',
    lease_worker text,
    lease_until  timestamptz,
    finished_at  timestamptz(3),
    error        text,
    data         jsonb
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);

alter table prov.jobs alter column partner set statistics 0;
alter table prov.jobs alter column tenant set statistics 0;
alter table prov.jobs alter column queue set statistics 0;
alter table prov.jobs alter column state set statistics 0;

create index jobs_waiting on prov.jobs (queue, due, id)
    where state = 'waiting';
create index jobs_newest_first on prov.jobs (queue, created_at, id);
create index jobs_undelivered on prov.jobs (queue, created_at, id)
    where state in ('failed', 'cancelled');
create index jobs_of_tenant on prov.jobs (tenant, queue, seq)
    where tenant is not null;

comment on table prov.jobs is
    'What is to be done after a change, or from time to time; done at least '
    'once.  What is finished stays for 30 days.';
comment on column prov.jobs.kind is
    'Who does it: a driver of the gateway''s workers, or prov.job_<kind>().';
comment on column prov.jobs.queue is
    'What jobs share a turn in, and a number of leases: an endpoint, an '
    'operation, a task.';
comment on column prov.jobs.seq is
    'Place in the order of its tenant''s changes (the link of the audit''s '
    'chain), until the job has been tried: later ones of the same queue wait '
    'for it.';
comment on column prov.jobs.due is
    'From when on it may be leased.';
comment on column prov.jobs.attempt is
    'How often it has been leased: what a worker must name to be heard, so '
    'that one who has lost the lease is not.';
comment on column prov.jobs.tries is
    'How often it has failed in this step.';
comment on column prov.jobs.data is
    'What the job is to know or keep, of whatever its kind has.';


create table prov.job_attempts (
    job         uuid not null,
    attempt     int not null,
    partner     uuid,
    tenant      uuid,
    at          timestamptz(3) not null default now(),
    status      int,
    headers     text,
    body        text,
    duration_ms int,
    error       text,

    constraint job_attempt_exists primary key (job, attempt)
);

alter table prov.job_attempts alter column partner set statistics 0;
alter table prov.job_attempts alter column tenant set statistics 0;

create index job_attempts_of_tenant on prov.job_attempts (tenant)
    where tenant is not null;

comment on table prov.job_attempts is
    'What came of each time that a job was tried, kept as long as the job.';
comment on column prov.job_attempts.status is
    'What was answered; null when nothing was, and then error says why.';
comment on column prov.job_attempts.body is
    'What was answered, at most 8 KiB of it, as are headers.';


create table prov.operations (
    id               uuid not null constraint operation_exists primary key,
    partner          uuid not null,
    created_at       timestamptz(3) not null default now(),
    updated_at       timestamptz(3) not null default now(),
    started_at       timestamptz(3),
    finished_at      timestamptz(3),
    version          int not null default 1,
    operation        text not null,
    status           prov.operation_status not null default 'pending',
    atomic           boolean not null default false,
    run              int not null default 1,
    total            int not null default 0,
    done             int not null default 0,
    failed           int not null default 0,
    ctx              jsonb not null,
    cancel_requested boolean not null default false,
    steps            jsonb not null default '[]',
    errors           json not null default '[]'
);

alter table prov.operations
    alter column partner set statistics 0,
    alter column status set statistics 0;

create index operations_newest_first
    on prov.operations (partner, created_at, id);

-- as in 0003: taken by who asks for a status, and by nobody else

create index operations_by_status
    on prov.operations (partner, status, created_at, id)
    where status is not null;

comment on table prov.operations is
    'Requests that are answered before they are done, and how far they are.';
comment on column prov.operations.operation is
    'The operationId of the request.';
comment on column prov.operations.ctx is
    'Who has asked: the request''s context, of the last run''s.';
comment on column prov.operations.run is
    'How often it was begun: a retry is a run of its own.';


create table prov.operation_items (
    operation uuid not null,
    index     int not null,
    partner   uuid not null,
    id        uuid not null,
    state     prov.operation_item_state not null default 'waiting',
    status    int,
    tenant    uuid,
    input     jsonb,
    problem   json,

    constraint operation_item_exists primary key (operation, index)
);

alter table prov.operation_items alter column partner set statistics 0;
alter table prov.operation_items alter column tenant set statistics 0;

create index operation_items_of_tenant on prov.operation_items (tenant)
    where tenant is not null;

comment on table prov.operation_items is
    'What became of each part of an operation.';
comment on column prov.operation_items.id is
    'Of what it will make: known from the beginning, so that whatever is '
    'repeated makes the same.';
comment on column prov.operation_items.tenant is
    'What it has made.';
comment on column prov.operation_items.input is
    'What was asked for, until it is made.';


-- What is done from time to time: a job each, which is never finished.  Whoever
-- leases it does it for everybody.

insert into prov.jobs (id, kind, queue, data)
select t.id, 'task', t.id,
    jsonb_build_object('task', t.task, 'every', t.every)
from (values
    ('00000000-0000-7000-8000-000000000001'::uuid, 'purge_expired', '1 hour'),
    ('00000000-0000-7000-8000-000000000002', 'expire_answers', '10 minutes'),
    ('00000000-0000-7000-8000-000000000003', 'expire_secrets', '10 minutes'),
    ('00000000-0000-7000-8000-000000000004', 'expire_records', '1 hour')
) as t (id, task, every);

-- secrets before the last rotation that are good no longer

create index api_keys_rotated on prov.api_keys (partner, previous_until)
    where previous_until is not null;
create index webhook_endpoints_rotated
    on prov.webhook_endpoints (partner, previous_until)
    where previous_until is not null;


-- Partners see what is theirs.  What a worker does is for all of them, in
-- functions that only its login may call; these make the setting prov.worker
-- for one transaction.

do $$
declare
    name text;
begin
    foreach name in array array['events', 'webhook_endpoints', 'jobs',
        'job_attempts', 'operations', 'operation_items']
    loop
        execute format('alter table prov.%I enable row level security', name);
        execute format('alter table prov.%I force row level security', name);

        execute format('create policy %I on prov.%I to prov_api '
            'using (partner = nullif(current_setting(''prov.partner'', true), '
                ''''')::uuid) '
            'with check (partner = nullif(current_setting(''prov.partner'', '
                'true), '''')::uuid)', name || '_of_partner', name);

        -- a policy is asked where it counts: a change pays for each

        continue when name = 'events';

        execute format('create policy %I on prov.%I to prov_api '
            'using (current_setting(''prov.worker'', true) = ''on'') '
            'with check (current_setting(''prov.worker'', true) = ''on'')',
            name || '_of_workers', name);
    end loop;
end
$$;

create policy events_of_workers on prov.events
    for select to prov_api
    using (current_setting('prov.worker', true) = 'on');

create policy events_old_of_workers on prov.events
    for delete to prov_api
    using (current_setting('prov.worker', true) = 'on');

grant select, insert, delete on prov.events, prov.job_attempts to prov_api;
grant select, insert, update, delete on prov.webhook_endpoints, prov.jobs,
    prov.operations, prov.operation_items to prov_api;
