-- Operations are done in slices, each in a transaction of its own with all that
-- comes of it: what was made, the audit, the events, how far it is.  So after
-- a crash it goes on where it was, and makes nothing a second time.


create or replace function prov.operation_keep(op prov.operations, ks int[],
        ids uuid[], statuses int[], bodies json[])
    returns boolean
    language plpgsql
as $$
declare
    many    constant int := cardinality(ks);
    failed_ constant int := many - cardinality(array_positions(statuses, 201));
    stop    boolean;
begin
    -- What was made is told by its id.  What was not keeps what was asked
    -- for, since it may be tried again.

    update prov.operation_items as i
    set state = case u.status when 201 then 'succeeded' else 'failed' end,
        status = u.status,
        tenant = case u.status when 201 then u.id end,
        input = case when u.status <> 201 then i.input end,
        problem = case when u.status <> 201
            then prov.operation_problem(u.status, u.body) end
    from unnest(ks, ids, statuses, bodies) as u (k, id, status, body)
    where i.operation = op.id and i.index = u.k;

    -- Last, so that who wants to cancel it waits for nothing but the commit.

    update prov.operations as o
    set status = 'running',
        done = o.done + many,
        failed = o.failed + failed_,
        steps = prov.operation_stepped(o.steps, 'running', many, failed_),
        started_at = coalesce(o.started_at, now()),
        updated_at = greatest(clock_timestamp(), o.updated_at),
        version = o.version + 1
    where o.id = op.id
    returning o.cancel_requested into stop;

    return stop;
end
$$;

comment on function prov.operation_keep(prov.operations, int[], uuid[], int[],
    json[]) is
    'What became of some items of an operation; whether it is to be '
    'cancelled.';


-- Of all or none, none: each that was in the way has its own problem, and the
-- others have that.  Nobody is told of one that was not made.

create or replace function prov.operation_refused(op prov.operations,
        ks int[], ids uuid[], statuses int[], bodies json[])
    returns void
    language plpgsql
as $$
declare
    many constant int := cardinality(array_positions(statuses, 201));
    why  constant json := prov.operation_problem(409, json_build_object(
        'code', 'bulk_refused', 'detail', format('All or none of the %s '
            'tenants were to be made, and %s cannot be: none was.',
            cardinality(ks), cardinality(ks) - many)));
begin
    perform prov.operation_keep(op, ks, ids,
        array(select case u.s when 201 then 409 else u.s end
              from unnest(statuses) with ordinality u (s, k) order by u.k),
        array(select case
                  when u.s = 201 then
                      (why::jsonb - '{type,title,status}'::text[])::json
                  when (u.b ->> 'tenant')::uuid = any (ids) then
                      (u.b::jsonb - 'tenant')::json
                  else u.b end
              from unnest(statuses, bodies) with ordinality u (s, b, k)
              order by u.k));
    perform prov.operation_finish(op.id, 'failed', why);
end
$$;

comment on function prov.operation_refused(prov.operations, int[], uuid[],
    int[], json[]) is
    'The end of an operation that makes all or none, when one cannot be made.';


create or replace function prov.operation_fault(state text, code text,
        message text, members text)
    returns json
    language plpgsql stable
as $$
begin
    -- what a request of its own would have been told; the rest is for the log

    if state like 'PV4__' then
        return prov.operation_problem(substr(state, 3)::int,
            (jsonb_build_object('code', code, 'detail', message)
             || coalesce(nullif(members, ''), '{}')::jsonb)::json);
    end if;

    raise warning 'an operation has failed: % (%)', message, state;

    return prov.operation_problem(500, json_build_object(
        'code', 'internal_error',
        'detail', 'Something went wrong in the gateway.'));
end
$$;

comment on function prov.operation_fault(text, text, text, text) is
    'An SQL error as the problem that an operation ends with.';


-- For a request of its own the gateway would look at this, which knows a key's
-- scopes; of a user it knows nothing but what his token has said.

create or replace function prov.operation_permitted(ctx jsonb)
    returns boolean
    language plpgsql stable
as $$
declare
    permission constant text := ctx ->> 'permission';
begin
    return ctx #>> '{principal,kind}' is distinct from 'key'
        or exists (
            select from prov.api_keys k
            where k.id = (ctx #>> '{principal,key}')::uuid
                and k.scopes::text[] && array['*', permission,
                    left(permission, strpos(permission, ':')) || '*']);
end
$$;

comment on function prov.operation_permitted(jsonb) is
    'Whether the key that somebody came with still has what was asked for in '
    'its scopes.';


create or replace function prov.operation_run(whose uuid)
    returns boolean
    language plpgsql
as $$
declare
    op      prov.operations;
    caller  jsonb;
    part    record;
    r       record;
    denied  record;
    state   text;
    code    text;
    message text;
    members text;
begin
    select o.* into op from prov.operations o where o.id = whose;

    if not found or op.status not in ('pending', 'running') then
        return false;
    end if;

    if op.cancel_requested then
        perform set_config('prov.partner', op.partner::text, true);
        perform prov.operation_finish(whose, 'cancelled', null);
        return false;
    end if;

    -- as who has asked, if he still may

    if not exists (select from prov.enter(op.ctx)) then
        select f.* into denied from prov.refusal(op.ctx, null, null) f;

        perform set_config('prov.partner', op.partner::text, true);
        perform prov.operation_finish(whose, 'failed',
            prov.operation_problem(denied.status, denied.body));
        return false;
    end if;

    if not prov.operation_permitted(op.ctx) then
        perform prov.operation_finish(whose, 'failed',
            prov.operation_problem(403, json_build_object(
                'code', 'permission_denied', 'detail', format('The API key '
                    'no longer has the permission "%s".',
                    op.ctx ->> 'permission'))));
        return false;
    end if;

    select array_agg(i.index order by i.index) as ks,
           array_agg(i.id order by i.index) as ids,
           array_agg(i.input order by i.index) as inputs
    into part
    from (
        select j.index, j.id, j.input
        from prov.operation_items j
        where j.operation = whose and j.state = 'waiting'
        order by j.index
        limit case when op.atomic then 1000 else 100 end
    ) i;

    if part.ks is not null then
        caller := op.ctx || jsonb_build_object('mutation', prov.uuid7(),
            'id', part.ids[1]);

        begin
            r := prov.tenant_insert_many(op.partner, part.ids, part.inputs);

            if op.atomic and 201 <> any (r.statuses) then
                raise sqlstate 'PVALL';
            end if;

            perform prov.record_many(caller, 'tenant',
                array(select u.id from unnest(part.ids, r.statuses)
                          with ordinality u (id, status, k)
                      where u.status = 201 order by u.k),
                array(select u.body from unnest(r.bodies, r.statuses)
                          with ordinality u (body, status, k)
                      where u.status = 201 order by u.k), 'tenant.created');

            op.cancel_requested := prov.operation_keep(op, part.ks, part.ids,
                r.statuses, r.bodies);

            if op.atomic and op.cancel_requested then
                raise sqlstate 'PVCAN';
            end if;
        exception
            when sqlstate 'PVALL' then
                perform prov.operation_refused(op, part.ks, part.ids,
                    r.statuses, r.bodies);
                return false;

            when sqlstate 'PVCAN' then
                perform prov.operation_finish(whose, 'cancelled', null);
                return false;

            -- what may be otherwise the next time

            when transaction_rollback or object_not_in_prerequisite_state
                 or insufficient_resources or operator_intervention
                 or system_error or sqlstate 'PV503'
            then
                raise;

            when others then
                get stacked diagnostics
                    state = returned_sqlstate,
                    code = constraint_name,
                    message = message_text,
                    members = pg_exception_detail;

                perform prov.operation_finish(whose, 'failed',
                    prov.operation_fault(state, code, message, members));
                return false;
        end;
    end if;

    -- the last slice is the end, and leaves nothing to be cancelled

    if not exists (select from prov.operation_items i
                   where i.operation = whose and i.state = 'waiting')
    then
        perform prov.operation_finish(whose, 'succeeded', null);
        return false;
    end if;

    if op.cancel_requested then
        perform prov.operation_finish(whose, 'cancelled', null);
        return false;
    end if;

    return true;
end
$$;

comment on function prov.operation_run(uuid) is
    'Does a slice of an operation: 100 of its items, or all of one that is '
    'atomic. Whether there is more to do.';


create or replace function prov.operation_give_up(whose uuid, detail text)
    returns void
    language plpgsql
as $$
begin
    perform prov.operation_finish(whose, 'failed',
        prov.operation_problem(503, json_build_object('code', 'overloaded',
            'detail', detail)));
end
$$;

comment on function prov.operation_give_up(uuid, text) is
    'The end of an operation that does not get on.';


create or replace function prov.job_bulk(job prov.jobs, out verdict text,
        out wait int, out step int, out data jsonb)
    language plpgsql
as $$
declare
    stalls constant int := coalesce((job.data ->> 'stalls')::int, 0);
    lost   constant int := job.attempt - 1
        - coalesce((job.data ->> 'attempt')::int, 0);
begin
    -- What no worker comes back from would be begun for ever; and after its
    -- tenth failure the job itself ends, and nobody would be told.

    if lost >= 10 or job.tries >= 9 then
        perform prov.operation_give_up(job.operation, 'A part of it was begun '
            'ten times, and never done.');
        verdict := 'done';
        return;
    end if;

    verdict := case when prov.operation_run(job.operation) then 'next'
                    else 'done' end;
    wait := case verdict when 'next' then 0 end;
    data := jsonb_build_object('attempt', job.attempt);
exception
    -- what may be otherwise in a second, and is no reason to give up

    when transaction_rollback or object_not_in_prerequisite_state
         or sqlstate 'PV503'
    then
        if stalls < 60 then
            verdict := 'next';
            wait := 1000;
            data := jsonb_build_object('attempt', job.attempt,
                'stalls', stalls + 1);
            return;
        end if;

        perform set_config('prov.partner', job.partner::text, true);
        perform prov.operation_give_up(job.operation,
            'Others were in the way for too long.');
        verdict := 'done';
end
$$;

comment on function prov.job_bulk(prov.jobs) is
    'Does a slice of an operation; after one that somebody was in the way of '
    'again a second later, for a minute.';
