-- Operations: requests that are answered before they are done.  How they are
-- shown, taken on, and come to their end; sql/prov/operation_run.sql does
-- them.


create or replace function prov.operation_json(o prov.operations)
    returns json
    language sql stable parallel safe
return json_build_object(
    'operation', o.id,
    'type', o.operation,
    'status', o.status,
    'atomic', o.atomic,
    'cancel_requested', o.cancel_requested,
    'progress', json_build_object('total', o.total, 'done', o.done,
        'succeeded', o.done - o.failed, 'failed', o.failed),
    'steps', (
        select json_agg(json_build_object('step', s.step -> 'step',
                   'run', s.step -> 'run', 'status', s.step -> 'status',
                   'total', s.step -> 'total', 'done', s.step -> 'done',
                   'failed', s.step -> 'failed',
                   'started_at', s.step -> 'started_at',
                   'finished_at', s.step -> 'finished_at') order by s.k)
        from jsonb_array_elements(o.steps) with ordinality s (step, k)),
    'errors', o.errors,
    'created_at', prov.rfc3339(o.created_at),
    'started_at', prov.rfc3339(o.started_at),
    'updated_at', prov.rfc3339(o.updated_at),
    'finished_at', prov.rfc3339(o.finished_at));

comment on function prov.operation_json(prov.operations) is
    'An operation, as it is shown.';


create or replace function prov.operation_headers(o prov.operations)
    returns jsonb
    language sql stable parallel safe
return jsonb_build_object('ETag', prov.etag(o.version))
    || case when o.status in ('pending', 'running')
           then '{"Retry-After": "1"}'::jsonb else '{}' end;

comment on function prov.operation_headers(prov.operations) is
    'The version of an operation; and, as long as it is not over, when to look '
    'again.  That is also what tells the gateway that waiting may pay.';


create or replace function prov.operation_item_json(i prov.operation_items)
    returns json
    language plpgsql stable
as $$
declare
    known json := i.problem;
begin
    -- a tenant that was in the way may have been purged since

    if known ->> 'tenant' is not null
       and not exists (select from prov.tenants t
                       where t.id = (known ->> 'tenant')::uuid)
    then
        known := (known::jsonb - 'tenant')::json;
    end if;

    return json_build_object('index', i.index, 'state', i.state,
        'status', i.status, 'tenant', i.tenant, 'problem', known);
end
$$;

comment on function prov.operation_item_json(prov.operation_items) is
    'What became of one item of an operation, as it is shown.';


create or replace function prov.operation_not_found()
    returns json
    language sql stable parallel safe
return json_build_object('code', 'operation_not_found',
    'detail', 'You have no operation with this id.');

comment on function prov.operation_not_found() is
    'What to answer, with status 404, when an operation is not there.';


create or replace function prov.operation_transition(status text,
        target text, why text)
    returns json
    language sql stable parallel safe
return json_build_object('code', 'invalid_transition',
    'detail', 'The operation ' || why || '.', 'from', status, 'to', target);

comment on function prov.operation_transition(text, text, text) is
    'What to answer, with status 409, when an operation''s status does not '
    'allow what is asked for.';


-- A retry is a step of its own.

create or replace function prov.operation_step(run int, total int)
    returns jsonb
    language sql stable parallel safe
return jsonb_build_object('step', 'create_tenants', 'run', run,
    'status', 'pending', 'total', total, 'done', 0, 'failed', 0,
    'started_at', null, 'finished_at', null);

comment on function prov.operation_step(int, int) is
    'A step that has not begun.';


create or replace function prov.operation_stepped(steps jsonb, status text,
        done int, failed int)
    returns jsonb
    language plpgsql stable
as $$
declare
    step   constant jsonb := steps -> -1;
    moment constant jsonb := to_jsonb(prov.rfc3339(clock_timestamp()));
begin
    return jsonb_set(steps, '{-1}', step || jsonb_build_object(
        'status', status,
        'done', (step ->> 'done')::int + done,
        'failed', (step ->> 'failed')::int + failed,
        'started_at', case when status = 'running'
            and step -> 'started_at' = 'null'
            then moment else step -> 'started_at' end,
        'finished_at', case when status <> 'running' then moment end));
end
$$;

comment on function prov.operation_stepped(jsonb, text, int, int) is
    'The steps, when of the last one so much more is done.';


create or replace function prov.operation_problem(status int, problem json)
    returns json
    language sql stable parallel safe
return (json_build_object('type', 'about:blank', 'title', case status
        when 400 then 'Bad Request' when 401 then 'Unauthorized'
        when 403 then 'Forbidden' when 409 then 'Conflict'
        when 422 then 'Unprocessable Entity'
        when 503 then 'Service Unavailable'
        else 'Internal Server Error' end, 'status', status)::jsonb
    || problem::jsonb)::json;

comment on function prov.operation_problem(int, json) is
    'A code and a detail as a problem (RFC 9457).';


create or replace function prov.operation_queue(o prov.operations)
    returns void
    language sql
begin atomic
    insert into prov.jobs (id, kind, queue, partner, operation)
    values (prov.uuid7(), 'bulk', o.id, o.partner, o.id);
end;

comment on function prov.operation_queue(prov.operations) is
    'Makes the job that does an operation, or what is left of it.';


-- Counted one after the other, so that nobody counts too few, and by an index
-- of each status, so that nothing is looked at that is over.

create or replace function prov.operation_too_many(owner uuid,
        out status int, out body json, out headers jsonb)
    language plpgsql
as $$
declare
    most constant int := coalesce(nullif(
        current_setting('prov.operation_limit', true), ''), '100');
    open int;
begin
    perform pg_advisory_xact_lock(hashtextextended(owner::text, 5120));

    select count(*) into open
    from (values ('pending'), ('running')) as s (status)
    cross join lateral (
        select
        from prov.operations o
        where o.partner = owner and o.status = s.status
            and o.status is not null
        limit most) o;

    if open >= most then
        status := 429;
        body := json_build_object('code', 'too_many_operations', 'detail',
            format('You have %s operations that are not over, which is as '
                   'many as there may be. Try again when one is.', most),
            'limit', most);
        headers := '{"Retry-After": "10"}';
    end if;
end
$$;

comment on function prov.operation_too_many(uuid) is
    'What to answer when a partner has as many operations under way as it '
    'may; nulls when there is room for one, which is the caller''s until its '
    'transaction ends.';


create or replace function prov.operation_accept(ctx jsonb, items jsonb[],
        atomic boolean, out status int, out body json, out headers jsonb)
    language plpgsql
as $$
declare
    whose  constant uuid := ctx ->> 'id';
    total  constant int := cardinality(items);
    op     prov.operations;
begin
    select m.status, m.body, m.headers into status, body, headers
    from prov.operation_too_many((ctx ->> 'partner')::uuid) m;

    if status is not null then
        return;
    end if;

    -- What will be made has its id from now on: whatever is repeated makes
    -- the same.

    insert into prov.operations as o (id, partner, operation, atomic, total,
        ctx, steps)
    values (whose, (ctx ->> 'partner')::uuid, ctx ->> 'operation', atomic,
        total, ctx - '{mutation,id,prefer}'::text[],
        jsonb_build_array(prov.operation_step(1, total)))
    returning o.* into op;

    insert into prov.operation_items (operation, index, partner, id, input)
    select whose, i.k - 1, op.partner, i.id, i.item
    from unnest(items, prov.uuid7_many(whose, total))
        with ordinality i (item, id, k);

    perform prov.operation_queue(op);

    status := 202;
    body := prov.operation_json(op);
    headers := prov.operation_headers(op) || jsonb_build_object(
        'Location', (ctx ->> 'base') || '/operations/' || whose);

    if ctx #>> '{prefer,respond_async}' = 'true' then
        headers := headers || '{"Preference-Applied": "respond-async"}';
    end if;

    perform prov.record(ctx, 'operation', whose, null, status, null, body,
        headers);
end
$$;

comment on function prov.operation_accept(jsonb, jsonb[], boolean) is
    'Takes on to make tenants, and answers 202: who has asked is remembered, '
    'and so is each of them.  Or 429, when the partner has too many.';


-- What is left of an operation that is stopped was not begun: of one that is
-- cancelled it is "cancelled", else it has failed of what the operation has.

create or replace function prov.operation_finish(whose uuid, result text,
        fault json)
    returns void
    language plpgsql
as $$
declare
    op    prov.operations;
    left_ int;
begin
    update prov.operation_items as i
    set state = case result when 'cancelled' then 'cancelled'
                else 'failed' end,
        status = (fault ->> 'status')::int, problem = fault
    where i.operation = whose and i.state = 'waiting';

    get diagnostics left_ = row_count;

    if result = 'cancelled' then
        left_ := 0;
    end if;

    update prov.operations as o
    set status = result,
        done = o.done + left_,
        failed = o.failed + left_,
        errors = case when fault is null then o.errors
                 else json_build_array(fault) end,
        steps = prov.operation_stepped(o.steps, result, left_, left_),
        finished_at = clock_timestamp(),
        updated_at = greatest(clock_timestamp(), o.updated_at),
        version = o.version + 1
    where o.id = whose
    returning o.* into op;

    perform prov.record(op.ctx || jsonb_build_object('mutation',
            prov.uuid7()), 'operation', whose, null, 200, null,
        prov.operation_json(op), null, case result
            when 'failed' then 'operation.failed'
            else 'operation.completed' end);
end
$$;

comment on function prov.operation_finish(uuid, text, json) is
    'The end of an operation, with its entry in the audit and its event. A '
    'fault is the problem that has stopped it.';
