-- Events: what a change leaves for whoever wants to know of it, in its own
-- transaction, and the jobs that tell the partner's endpoints.


create or replace function prov.emit(ctx jsonb, id uuid, partner uuid,
        tenant uuid, seq bigint, type text, data json)
    returns void
    language plpgsql
as $$
begin
    insert into prov.events (id, partner, tenant, type, request_id, data)
    values (emit.id, emit.partner, emit.tenant, emit.type,
        ctx ->> 'request_id', emit.data);

    -- most partners have no endpoint: to ask costs less than to insert nothing

    if exists (select from prov.webhook_endpoints w
               where w.partner = emit.partner and w.status = 'active')
    then
        insert into prov.jobs (id, kind, queue, partner, tenant, event, seq)
        select prov.uuid7_beside(emit.id), 'webhook', w.id, emit.partner,
            emit.tenant, emit.id,
            case when emit.tenant is not null then emit.seq end
        from prov.webhook_endpoints w
        where w.partner = emit.partner and w.status = 'active'
            and prov.event_wanted(emit.type, w.event_types);
    end if;
end
$$;

comment on function prov.emit(jsonb, uuid, uuid, uuid, bigint, text, json) is
    'Writes an event of a partner, whose rows must be open to this '
    'transaction, and a job for each active endpoint that wants it.  The '
    'place in the order of the tenant''s changes is what its deliveries are '
    'ordered by.  prov.record() calls it for a caller''s own.';


create or replace function prov.emit_many(ctx jsonb, ids uuid[], partner uuid,
        tenants uuid[], type text, datas json[])
    returns void
    language plpgsql
as $$
begin
    insert into prov.events (id, partner, tenant, type, request_id, data)
    select u.id, emit_many.partner, u.tenant, emit_many.type,
        ctx ->> 'request_id', u.data
    from unnest(ids, tenants, datas) u (id, tenant, data);

    if exists (select from prov.webhook_endpoints w
               where w.partner = emit_many.partner and w.status = 'active')
    then
        insert into prov.jobs (id, kind, queue, partner, tenant, event, seq)
        select prov.uuid7_beside(u.id), 'webhook', w.id, emit_many.partner,
            u.tenant, u.id, 1
        from prov.webhook_endpoints w
        cross join unnest(ids, tenants) with ordinality u (id, tenant, k)
        where w.partner = emit_many.partner and w.status = 'active'
            and prov.event_wanted(emit_many.type, w.event_types)
        order by w.id, u.k;
    end if;
end
$$;

comment on function prov.emit_many(jsonb, uuid[], uuid, uuid[], text, json[])
    is 'Does what prov.emit() does, for tenants of which each has this as the '
    'first of its changes.';


create or replace function prov.event_wanted(type text, filter text[])
    returns boolean
    language sql immutable parallel safe
return exists (
    select
    from unnest(filter) f (pattern)
    where f.pattern in (type, '*')
        or f.pattern like '%.*'
           and starts_with(type, left(f.pattern, -1)));

comment on function prov.event_wanted(text, text[]) is
    'Whether a type is among these: itself, "*", or "tenant.*" for what '
    'begins with "tenant.".';


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
