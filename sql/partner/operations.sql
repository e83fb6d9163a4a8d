-- The partner API's operations: what was answered before it was done.


create or replace function partner.operation_list(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql stable security definer
as $$
declare
    size    constant int := least(greatest(
        coalesce((params ->> 'limit')::numeric::int, 25), 1), 100);
    binding constant bytea := prov.list_binding('operations', params, '');
    owner   constant uuid := ctx ->> 'partner';
    wanted  constant text := params ->> 'status';
    moment  timestamptz := 'infinity';
    first   uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
    items   text[] := '{}';
    next    text;
    row     record;
begin
    if params ->> 'cursor' is not null then
        select prov.list_moment_read(c.place), c.id into moment, first
        from prov.list_cursor_read(binding, params ->> 'cursor') c;

        if moment is null then
            status := 400;
            body := prov.list_invalid_cursor();
            return;
        end if;
    end if;

    -- an index each: one walk must not pass by what it does not want

    for row in
        select o.created_at, o.id, prov.operation_json(o)::text as item
        from prov.operations o
        where o.partner = owner and wanted is null
            and (o.created_at, o.id) <= (moment, first)
        order by o.created_at desc, o.id desc
        limit case when wanted is null then size + 1 else 0 end
    loop
        if cardinality(items) = size then
            next := prov.list_cursor(binding,
                prov.list_moment(row.created_at), row.id);
            exit;
        end if;

        items := items || row.item;
    end loop;

    for row in
        select o.created_at, o.id, prov.operation_json(o)::text as item
        from prov.operations o
        where o.partner = owner and o.status = wanted
            and o.status is not null
            and (o.created_at, o.id) <= (moment, first)
        order by o.created_at desc, o.id desc
        limit case when wanted is null then 0 else size + 1 end
    loop
        if cardinality(items) = size then
            next := prov.list_cursor(binding,
                prov.list_moment(row.created_at), row.id);
            exit;
        end if;

        items := items || row.item;
    end loop;

    status := 200;
    body := prov.list_page(items, next);
    headers := prov.list_link((ctx ->> 'base') || '/operations', params, size,
        next);
end
$$;

comment on function partner.operation_list(jsonb, jsonb, jsonb) is
    'Lists the operations of the caller''s partner, newest first, page by '
    'page.';


create or replace function partner.operation_get(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql stable security definer
as $$
begin
    select 200, prov.operation_json(o), prov.operation_headers(o)
    into status, body, headers
    from prov.operations o
    where o.id = (params ->> 'operation')::uuid;

    if not found then
        status := 404;
        body := prov.operation_not_found();
    end if;
end
$$;

comment on function partner.operation_get(jsonb, jsonb, jsonb) is
    'Shows an operation, and how far it is.';


create or replace function partner.operation_item_list(ctx jsonb,
        params jsonb, input jsonb, out status int, out body json,
        out headers jsonb)
    language plpgsql stable security definer
as $$
declare
    whose   constant uuid := params ->> 'operation';
    size    constant int := least(greatest(
        coalesce((params ->> 'limit')::numeric::int, 100), 1), 1000);
    binding constant bytea := prov.list_binding('operation_items', params,
        '');
    wanted  constant text := params ->> 'state';
    first   int := 0;
    items   text[] := '{}';
    next    text;
    row     record;
begin
    if not exists (select from prov.operations o where o.id = whose) then
        status := 404;
        body := prov.operation_not_found();
        return;
    end if;

    if params ->> 'cursor' is not null then
        select c.place::int into first
        from prov.list_cursor_read(binding, params ->> 'cursor') c
        where c.place ~ '^[0-9]{1,4}$';

        if first is null then
            status := 400;
            body := prov.list_invalid_cursor();
            return;
        end if;
    end if;

    -- An operation has at most 1,000 of them, so a filter needs no index.

    for row in
        select i.index, prov.operation_item_json(i)::text as item
        from prov.operation_items i
        where i.operation = whose and i.index >= first
            and (wanted is null or i.state = wanted)
        order by i.index
        limit size + 1
    loop
        if cardinality(items) = size then
            next := prov.list_cursor(binding, row.index::text, whose);
            exit;
        end if;

        items := items || row.item;
    end loop;

    status := 200;
    body := prov.list_page(items, next);
    headers := prov.list_link(format('%s/operations/%s/items', ctx ->> 'base',
        whose), params - 'operation', size, next);
end
$$;

comment on function partner.operation_item_list(jsonb, jsonb, jsonb) is
    'Lists what became of each item of an operation, in their order, page by '
    'page.';


create or replace function partner.operation_cancel(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    op   prov.operations;
    was  json;
    free boolean;
begin
    select o.* into op
    from prov.operations o
    where o.id = (params ->> 'operation')::uuid
    for update;

    if not found then
        status := 404;
        body := prov.operation_not_found();
        return;
    end if;

    was := prov.operation_json(op);

    if op.status in ('succeeded', 'failed') then
        status := 409;
        body := prov.operation_transition(op.status, 'cancelled',
            'is over: there is nothing left to cancel');
        return;
    end if;

    if op.status <> 'cancelled' and not op.cancel_requested then
        update prov.operations as o
        set cancel_requested = true, version = o.version + 1,
            updated_at = greatest(clock_timestamp(), o.updated_at)
        where o.id = op.id
        returning o.* into op;

        -- What is being done now is in somebody's hands, who will see this;
        -- between two slices, or before the first, it ends here.

        with mine as (
            select j.id
            from prov.jobs j
            where j.queue = op.id and j.state = 'waiting'
            for update skip locked
        )
        update prov.jobs as j
        set state = 'cancelled', finished_at = now()
        from mine m
        where j.id between m.id and m.id;

        free := found
            or not exists (select from prov.jobs j
                           where j.queue = op.id and j.state = 'waiting');

        if free then
            perform prov.operation_finish(op.id, 'cancelled', null);

            select o.* into op from prov.operations o where o.id = op.id;
        end if;
    end if;

    status := 200;
    body := prov.operation_json(op);
    headers := prov.operation_headers(op);

    perform prov.record(ctx, 'operation', op.id, null, status, was, body,
        headers);
end
$$;

comment on function partner.operation_cancel(jsonb, jsonb, jsonb) is
    'Stops an operation before its next slice; what is done stays.';


create or replace function partner.operation_retry(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    op   prov.operations;
    was  json;
    todo int;
begin
    select o.* into op
    from prov.operations o
    where o.id = (params ->> 'operation')::uuid
    for update;

    if not found then
        status := 404;
        body := prov.operation_not_found();
        return;
    end if;

    was := prov.operation_json(op);

    if op.status in ('pending', 'running') then
        status := 409;
        body := prov.operation_transition(op.status, 'pending',
            'is not over yet');
        return;
    end if;

    select m.status, m.body, m.headers into status, body, headers
    from prov.operation_too_many(op.partner) m;

    if status is not null then
        return;
    end if;

    update prov.operation_items as i
    set state = 'waiting', status = null, problem = null
    where i.operation = op.id and i.state in ('failed', 'cancelled');

    get diagnostics todo = row_count;

    if todo = 0 then
        status := 409;
        body := prov.operation_transition(op.status, 'pending',
            'has nothing that could be tried again');
        return;
    end if;

    -- for whom, and as what, it is done now, is who asks for it now

    update prov.operations as o
    set status = 'pending',
        run = o.run + 1,
        done = o.done - o.failed,
        failed = 0,
        errors = '[]',
        cancel_requested = false,
        ctx = operation_retry.ctx - '{mutation,id,prefer}'::text[]
            || jsonb_build_object('operation', o.operation),
        steps = o.steps || prov.operation_step(o.run + 1, todo),
        finished_at = null,
        updated_at = greatest(clock_timestamp(), o.updated_at),
        version = o.version + 1
    where o.id = op.id
    returning o.* into op;

    perform prov.operation_queue(op);

    status := 202;
    body := prov.operation_json(op);
    headers := prov.operation_headers(op) || jsonb_build_object(
        'Location', (ctx ->> 'base') || '/operations/' || op.id);

    perform prov.record(ctx, 'operation', op.id, null, status, was, body,
        headers);
end
$$;

comment on function partner.operation_retry(jsonb, jsonb, jsonb) is
    'Tries again what an operation could not do, or was kept from by a '
    'cancellation.';
