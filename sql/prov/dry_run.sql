-- Dry runs: the operation itself, constraints included, and then nothing of
-- it.  The gateway's statement calls prov.dry_run() in the operation's place.


create or replace function prov.change(ctx jsonb, out tenant uuid,
        out before json, out after json)
    language plpgsql stable
as $$
begin
    select a.tenant, d.before, d.after into tenant, before, after
    from prov.audit a
    join prov.audit_details d on d.chain = a.chain and d.seq = a.seq
    where a.mutation = (ctx ->> 'mutation')::uuid;
end
$$;

comment on function prov.change(jsonb) is
    'What the audit entry of this mutation says: whom it is about, and the '
    'resource before and after, without secrets; nulls when there is none.';


create or replace function prov.dry_run_diff(ctx jsonb)
    returns jsonb
    language plpgsql stable security definer
as $$
begin
    return (
        select prov.json_diff(c.before::jsonb, c.after::jsonb)
        from prov.change(ctx) c);
end
$$;

comment on function prov.dry_run_diff(jsonb) is
    'What this mutation has changed so far.';


create or replace function prov.dry_run(ctx jsonb, params jsonb, input jsonb,
        surface text, operation text, out status int, out body json,
        out headers jsonb)
    language plpgsql
as $$
declare
    diff jsonb;
    open boolean;
begin
    -- With the caller's own rights: it can try nothing that it may not do.
    -- What is rolled back are rows; variables keep what they were told.

    begin
        execute format('select o.status, o.body, o.headers '
                       'from %I.%I($1, $2, $3) o', surface, operation)
        into status, body, headers
        using ctx, params, input;

        open := prov.unvalidated(ctx, status, body);

        set constraints all immediate;

        diff := prov.dry_run_diff(ctx);

        raise sqlstate 'PVDRY';
    exception
        when sqlstate 'PVDRY' then
            null;
    end;

    if open then
        status := 100;
        body := body -> (ctx #>> '{result,member}');
        headers := null;
        return;
    end if;

    -- a tag or a location would be of something that is not there

    if status between 200 and 299 then
        headers := '{"Dry-Run": "true"}';
        body := format('{"dry_run": true, "status": %s, "resource": %s, '
                       '"diff": %s}', status, coalesce(body, 'null'),
                       diff);

        -- 204 and 205 have no body

        if status in (204, 205) then
            status := 200;
        end if;
    end if;
end
$$;

comment on function prov.dry_run(jsonb, jsonb, jsonb, text, text) is
    'What an operation would answer, and what it would change; nothing of it '
    'is kept.  Errors are the operation''s own.';
