-- What a change leads to is validated before it is made (x-validate-result in
-- the document), by the gateway, which has the schema.  ctx.result says which
-- member of the answer is the result, and the SHA-256 of the one that has been
-- validated: only that one is kept.


create or replace function prov.unvalidated(ctx jsonb, status int, body json)
    returns boolean
    language sql stable parallel safe
return status between 200 and 299 and ctx ? 'result'
    and encode(sha256(convert_to(
            (body -> (ctx #>> '{result,member}'))::text, 'UTF8')), 'hex')
        is distinct from (ctx #>> '{result,sha256}');

comment on function prov.unvalidated(jsonb, int, json) is
    'Whether an operation must not answer this, because its result is not the '
    'one that the gateway has validated.';


create or replace function prov.validated(ctx jsonb, params jsonb,
        input jsonb, surface text, operation text, out status int,
        out body json, out headers jsonb)
    language plpgsql
as $$
begin
    -- With the caller's own rights, as prov.dry_run().

    begin
        execute format('select o.status, o.body, o.headers '
                       'from %I.%I($1, $2, $3) o', surface, operation)
        into status, body, headers
        using ctx, params, input;

        if prov.unvalidated(ctx, status, body) then
            raise sqlstate 'PVVAL';
        end if;
    exception
        when sqlstate 'PVVAL' then
            status := 100;
            body := body -> (ctx #>> '{result,member}');
            headers := null;
    end;
end
$$;

comment on function prov.validated(jsonb, jsonb, jsonb, text, text) is
    'What an operation answers, when its result has been validated; else '
    'nothing of it is kept, and the answer is status 100 and that result.';
