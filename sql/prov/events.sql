-- Events: what a change leaves for whoever wants to know of it, in its own
-- transaction, and the jobs that tell the partner's endpoints.


-- Most partners have no endpoint: to ask costs less than to insert nothing.

create or replace function prov.emit(ctx jsonb, id uuid, partner uuid,
        tenant uuid, seq bigint, type text, data json)
    returns void
    language plpgsql
as $$
begin
    insert into prov.events (id, partner, tenant, type, request_id, data)
    values (emit.id, emit.partner, emit.tenant, emit.type,
        ctx ->> 'request_id', emit.data);

    if exists (select from prov.webhook_endpoints w
               where w.partner = emit.partner and w.status = 'active')
    then
        perform prov.deliver(emit.id, emit.partner, emit.tenant, emit.seq,
            emit.type);
    end if;
end
$$;

comment on function prov.emit(jsonb, uuid, uuid, uuid, bigint, text, json) is
    'Writes an event of a partner, whose rows must be open to this '
    'transaction, and a job for each active endpoint that wants it.  The '
    'place in the order of the tenant''s changes is what its deliveries are '
    'ordered by.  For what is not the caller''s own: else prov.record() does '
    'it.';


create or replace function prov.deliver_made(events uuid[], partner uuid,
        tenants uuid[], type text)
    returns void
    language plpgsql
as $$
declare
    patterns constant text[] := prov.event_patterns(type);
begin
    if exists (select from prov.webhook_endpoints w
               where w.partner = deliver_made.partner and w.status = 'active')
    then
        insert into prov.jobs (id, kind, queue, partner, tenant, event, seq)
        select prov.uuid7_beside(u.id), 'webhook', w.id, deliver_made.partner,
            u.tenant, u.id, 1
        from prov.webhook_endpoints w
        cross join unnest(events, tenants) with ordinality u (id, tenant, k)
        where w.partner = deliver_made.partner and w.status = 'active'
            and w.event_types && patterns
        order by w.id, u.k;
    end if;
end
$$;

comment on function prov.deliver_made(uuid[], uuid, uuid[], text) is
    'Makes the jobs of events, each the first of its tenant, for the active '
    'endpoints that want their type.';


create or replace function prov.deliver(event uuid, partner uuid,
        tenant uuid, seq bigint, type text)
    returns void
    language plpgsql
as $$
declare
    patterns constant text[] := prov.event_patterns(type);
    place    constant bigint := case when tenant is not null then seq end;
begin
    insert into prov.jobs (id, kind, queue, partner, tenant, event, seq)
    select prov.uuid7_beside(deliver.event), 'webhook', w.id, deliver.partner,
        deliver.tenant, deliver.event, place
    from prov.webhook_endpoints w
    where w.partner = deliver.partner and w.status = 'active'
        and w.event_types && patterns;
end
$$;

comment on function prov.deliver(uuid, uuid, uuid, bigint, text) is
    'Makes a job of an event for each active endpoint that wants its type.';


create or replace function prov.event_patterns(type text)
    returns text[]
    language sql immutable parallel safe
return array['*', type, left(type, strpos(type, '.')) || '*',
    left(type, 1 - strpos(reverse(type), '.')) || '*'];

comment on function prov.event_patterns(text) is
    'What an endpoint may say to want this type: itself, "*", or what it '
    'begins with, as "tenant.*"; a type has up to three words.';


create or replace function prov.uuid7_beside(id uuid)
    returns uuid
    language sql volatile parallel safe
return (left(id::text, 15) || right(gen_random_uuid()::text, 21))::uuid;

comment on function prov.uuid7_beside(uuid) is
    'Another UUID version 7 of the same millisecond.';


create or replace function prov.uuid7_at(moment timestamptz)
    returns uuid
    language sql stable parallel safe
return (lpad(to_hex(floor(extract(epoch from moment) * 1000)::bigint), 12, '0')
    || '70008000000000000000')::uuid;

comment on function prov.uuid7_at(timestamptz) is
    'The first UUID version 7 of a moment: what has a smaller id is older.';


create or replace function prov.event_text(e prov.events)
    returns text
    language sql stable
return case when e.id is not null then format(
    '{"id": "%s", "type": "%s", "created_at": "%s", "data": %s, '
    '"request_id": %s}', e.id, e.type, prov.rfc3339(e.at),
    coalesce(e.data::text, 'null'),
    coalesce(to_json(e.request_id)::text, 'null')) end;

comment on function prov.event_text(prov.events) is
    'An event as it is shown and sent, to the byte.';
