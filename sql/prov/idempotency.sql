-- Mutations with an Idempotency-Key (draft-ietf-httpapi-idempotency-key-header
-- -07).  The gateway's statement for them calls prov.idempotency_begin(), then
-- the operation if that says so, then prov.idempotency_end(), all in one
-- transaction: what is kept is what was committed.


create or replace function prov.idempotency_expire(most int)
    returns int
    language plpgsql
as $$
declare
    n   int := 0;
    old bytea;
begin
    -- With the caller's rights, so that row-level security decides whose: a
    -- superuser's call goes for everybody's.  One by one, because a plan for
    -- several that was made when the table was empty walks it later.

    for old in
        select i.id
        from prov.idempotency i
        where i.created_at < now() - interval '24 hours'
        order by i.created_at
        limit most
        for update skip locked
    loop
        delete from prov.idempotency i where i.id = old;
        n := n + 1;
    end loop;

    return n;
end
$$;

comment on function prov.idempotency_expire(int) is
    'Deletes answers that are older than 24 hours, at most so many, and says '
    'how many.';


create or replace function prov.idempotency_begin(ctx jsonb, params jsonb,
        input jsonb, out begun bytea, out status int, out body json,
        out headers jsonb)
    language plpgsql security definer
as $$
declare
    -- whose key: a partner's other users and keys have keys of their own

    mine    constant bytea := sha256(convert_to(jsonb_build_array(
        ctx -> 'partner', ctx #> '{principal,kind}',
        ctx #> '{principal,issuer}', ctx #> '{principal,subject}',
        ctx #> '{principal,key}', ctx -> 'operation',
        params -> 'Idempotency-Key')::text, 'UTF8'));

    -- what is asked for; of what input has sealed a mark tells it, under the
    -- gateway's first key, or another one that was the first before

    what    constant jsonb := jsonb_build_array(ctx -> 'operation',
        params - array['Idempotency-Key', 'dry_run'], input);
    asked   constant bytea := sha256(convert_to(
        (what || coalesce(ctx #> '{marks,0}', '[]'))::text, 'UTF8'));
    earlier prov.idempotency;
begin
    -- What is under way with this key is waited for here, as long as
    -- lock_timeout allows.

    for attempt in 1 .. 3 loop
        insert into prov.idempotency as i (id, partner, request, mutation)
        values (mine, (ctx ->> 'partner')::uuid, asked,
            (ctx ->> 'mutation')::uuid)
        on conflict do nothing;

        if found then
            begun := mine;
            return;
        end if;

        select i.* into earlier
        from prov.idempotency i
        where i.id = mine;

        continue when not found;

        if earlier.created_at < now() - interval '24 hours' then
            update prov.idempotency as i
            set created_at = now(), request = asked,
                mutation = (ctx ->> 'mutation')::uuid, tenant = null,
                status = null, body = null, headers = null, names = false
            where i.id = earlier.id and i.created_at = earlier.created_at;

            continue when not found;

            begun := mine;
            return;
        end if;

        if earlier.request <> asked
            and not exists (
                select from jsonb_array_elements(ctx -> 'marks') as m (mark)
                where earlier.request
                    = sha256(convert_to((what || m.mark)::text, 'UTF8')))
        then
            status := 422;
            body := json_build_object('code', 'idempotency_key_reused',
                'detail', 'This Idempotency-Key was used for another '
                          'request; use a new key for each change.');
            return;
        end if;

        status := earlier.status;
        body := earlier.body;
        headers := earlier.headers;

        if earlier.mutation <> (ctx ->> 'mutation')::uuid then
            headers := coalesce(headers, '{}')
                || '{"Idempotent-Replayed": "true"}';
        else
            body := prov.answer_again(ctx, body);
        end if;

        return;
    end loop;

    raise lock_not_available;

exception
    when lock_not_available then
        -- among others in a transaction it waits only briefly, and is then
        -- called again without them (docs/architecture.md)

        if current_setting('prov.shared', true) = 'on' then
            raise;
        end if;

        begun := null;
        status := 409;
        body := json_build_object('code', 'idempotency_in_progress',
            'detail', 'A request with this Idempotency-Key is still under '
                      'way; repeat this one a little later.');
        headers := '{"Retry-After": "1"}';
end
$$;

comment on function prov.idempotency_begin(jsonb, jsonb, jsonb) is
    'begun: the key is new, and the operation to be run.  Else what to answer '
    'instead: what was answered before, 409 idempotency_in_progress or 422 '
    'idempotency_key_reused.';


create or replace function prov.idempotency_end(ctx jsonb, begun bytea,
        inout status int, inout body json, inout headers jsonb)
    language plpgsql security definer
as $$
declare
    whose   uuid;
    after   json;
    kept    json := body;
    ignored int;
begin
    if begun is null then
        return;
    end if;

    -- Two go for each that comes, so they do not pile up.  Now, when nothing
    -- is waited for any more: a purge that waits for one of them may have what
    -- the operation needed.

    ignored := prov.idempotency_expire(2);

    -- Who is told to come again, or that something broke, may be told
    -- something else the next time.

    if status not between 200 and 499 or status = 429 or status is null then
        delete from prov.idempotency i where i.id = begun;
        return;
    end if;

    -- A secret is shown once and kept nowhere.  What is one, the audit entry
    -- says: it has null in its place.

    select c.tenant, c.after into whose, after from prov.change(ctx) c;

    if json_typeof(body) = 'object' and json_typeof(after) = 'object'
        and after::text <> body::text
    then
        select coalesce(s.kept, body) into kept
        from (
            select json_object_agg(m.key,
                       case when m.secret then 'null' else m.value end
                       order by m.ordinality)
                   filter (where m.any) as kept
            from (
                select b.*, s.secret, bool_or(s.secret) over () as any
                from json_each(body) with ordinality b
                cross join lateral (select json_typeof(b.value) <> 'null'
                    and coalesce(json_typeof(after -> b.key), '') = 'null'
                        as secret) s
            ) m
        ) s;
    end if;

    update prov.idempotency as i
    set status = idempotency_end.status, body = kept,
        headers = idempotency_end.headers, tenant = whose,
        names = whose is null and coalesce(kept::text like '%"tenant"%',
            false)
    where i.id = begun;
end
$$;

comment on function prov.idempotency_end(jsonb, bytea, int, json, jsonb) is
    'Keeps what the operation has answered, for the key that was begun, and '
    'passes it on.  Errors of ours (5xx) and 429 are not kept, nor are '
    'secrets.';


-- A kept answer that is about no single tenant stays, so that its key still
-- fences the change; what it says of one that is purged goes.

create or replace function prov.answer_without(body json, whose uuid)
    returns json
    language plpgsql stable
as $$
declare
    gone constant jsonb := jsonb_build_object('type', 'about:blank',
        'title', 'Gone', 'status', 410, 'code', 'tenant_purged',
        'detail', 'The tenant was removed for good.');
    rest jsonb := body;
begin
    if (rest ->> 'tenant') = whose::text then
        rest := rest - 'tenant';
    end if;

    if jsonb_typeof(rest -> 'results') = 'array' then
        rest := jsonb_set(rest, '{results}', (
            select coalesce(jsonb_agg(case
                    when r.item ->> 'tenant' = whose::text then
                        jsonb_build_object('index', r.item -> 'index',
                            'status', 410, 'problem', gone)
                    when r.item #>> '{problem,tenant}' = whose::text then
                        r.item #- '{problem,tenant}'
                    else r.item end order by r.n), '[]')
            from jsonb_array_elements(rest -> 'results') with ordinality
                 as r (item, n)));
    end if;

    return rest;
end
$$;

comment on function prov.answer_without(json, uuid) is
    'An answer that names tenants without one that was purged.';


create or replace function prov.idempotency_forget(whose uuid)
    returns void
    language plpgsql
as $$
begin
    update prov.idempotency as i
    set body = prov.answer_without(i.body, whose)
    where i.names and position(whose::text in i.body::text) > 0;
end
$$;

comment on function prov.idempotency_forget(uuid) is
    'Takes a tenant out of the kept answers to its partner that name it among '
    'others.';
