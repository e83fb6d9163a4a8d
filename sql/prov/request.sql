-- What every request passes through, whatever the operation: the entrance,
-- the audit entry of a mutation, and the question what became of one.
--
-- ctx comes from the gateway and is trusted, but for ip and user_agent, which
-- are what the caller showed; params and body have been validated.


create or replace function prov.enter(request jsonb)
    returns table (ctx jsonb)
    language plpgsql security definer rows 1
as $$
declare
    claim   constant text := request ->> 'partner';
    partner uuid;
    ignored text;
begin
    -- This runs in every request.  Each expression is made ready once in a
    -- transaction, which costs more than what it does: so there are few.  An
    -- assignment of a function's result is several times cheaper than a
    -- "perform" of it, and a pattern that counts ({8}) costs more than all that
    -- follows: so "like" sees where the hyphens of an id are.
    --
    -- Whoever else has entered in this transaction is forgotten: a login may,
    -- against all advice, be let in by several entrances.

    if current_setting('prov.tenant', true) <> ''
        or current_setting('prov.operator', true) <> ''
        or current_setting('prov.worker', true) <> ''
    then
        ignored := set_config('prov.tenant', '', true)
            || set_config('prov.operator', '', true)
            || set_config('prov.worker', '', true);
    end if;

    -- Requests that share a transaction are mostly of one partner, who need
    -- not be looked for again: what was claimed stands beside whom that opened,
    -- until the transaction ends.  A key is looked at each time.

    if current_setting('prov.entered', true)
            = claim || ' ' || current_setting('prov.partner', true)
        and request #>> '{principal,kind}' is distinct from 'key'
    then
        ctx := case when claim = current_setting('prov.partner') then request
            else jsonb_set(request, '{partner}',
                to_jsonb(current_setting('prov.partner'))) end;
        return next;
        return;
    end if;

    if claim like '________-____-____-____-____________'
       and claim ~* '^[0-9a-f]+-[0-9a-f]+-[0-9a-f]+-[0-9a-f]+-[0-9a-f]+$'
    then
        ignored := set_config('prov.partner', claim, true)
            || set_config('prov.entered', claim || ' ' || claim, true);

        select p.id into partner
        from prov.partners p
        where p.id = claim::uuid and p.status = 'active';

        if found and (request #>> '{principal,kind}' is distinct from 'key'
                      or prov.api_key_refusal(request) is null)
        then
            ctx := request;
            return next;
            return;
        end if;

    elsif claim <> ''
        and request #>> '{principal,kind}' is distinct from 'key'
    then
        -- a slug, which a key's partner never is

        ignored := set_config('prov.claim', claim, true)
            || set_config('prov.partner', '', true);

        select p.id into partner
        from prov.partners p
        where p.slug = claim and p.status = 'active';

        if found then
            ignored := set_config('prov.claim', '', true)
                || set_config('prov.partner', partner::text, true)
                || set_config('prov.entered', claim || ' ' || partner, true);
            ctx := jsonb_set(request, '{partner}', to_jsonb(partner));
            return next;
            return;
        end if;
    end if;

    ignored := set_config('prov.claim', '', true)
        || set_config('prov.partner', '', true)
        || set_config('prov.entered', '', true);
end
$$;

comment on function prov.enter(jsonb) is
    'Resolves the caller''s partner and opens its rows to this transaction. '
    'No row: no such partner, or not an active one; or the caller came with a '
    'key that is good no longer (prov.refusal() says which).';


create or replace function prov.record(ctx jsonb, resource text,
        resource_id uuid, tenant uuid, status int, before json, after json,
        headers jsonb, event text default null, data json default null)
    returns void
    language plpgsql
as $$
declare
    -- values of their columns' types: see prov.tenant_insert()

    id           constant uuid := ctx ->> 'mutation';
    owner        constant uuid := ctx ->> 'partner';
    chain        constant uuid := coalesce(tenant, owner);
    moment       constant timestamptz(3) := now();
    operation    constant text := ctx ->> 'operation';
    request_id   constant text := ctx ->> 'request_id';
    ip           constant text := left(ctx ->> 'ip', 64);
    user_agent   constant text := left(ctx ->> 'user_agent', 512);
    kind         constant text := ctx #>> '{principal,kind}';
    subject      constant text := ctx #>> '{principal,subject}';
    issuer       constant text := ctx #>> '{principal,issuer}';
    key_id       constant text := ctx #>> '{principal,key}';
    answered     constant prov.audit_status := status;
    told         constant json := coalesce(data, after);
    details_hash constant bytea := prov.audit_details_hash(subject, ip,
        user_agent, before, after, headers);
    seq          bigint := 1;
    prev_hash    bytea;
    hash         bytea;
    head         record;
    wanted       boolean;
    ignored      text;
begin
    -- The link before is found in the chain's index, and nothing is locked at
    -- first: who writes the same link at the same time waits in that index for
    -- the other's end, and then queues for the next one.  So a chain cannot
    -- fork.  A tenant that is made here has no link yet: none is looked for.

    if before is not null or resource_id is distinct from tenant then
        head := prov.audit_head(chain);
        seq := head.seq + 1;
        prev_hash := head.hash;
    end if;

    loop
        hash := prov.audit_hash(chain, seq, prev_hash, id, moment, owner,
            tenant, operation, resource, resource_id, status, null, 1, kind,
            issuer, key_id, request_id, details_hash);

        insert into prov.audit (mutation, at, partner, tenant, resource_id,
            status, operation, resource, kind, issuer, key_id, request_id,
            chain, seq, prev_hash, details_hash, hash)
        values (id, moment, owner, tenant, resource_id, answered, operation,
            resource, kind, issuer, key_id, request_id, chain, seq, prev_hash,
            details_hash, hash)
        on conflict do nothing;

        exit when found;

        -- From now on in a queue: of all that find the link taken only one
        -- can have the next, and the others would try in vain again.

        ignored := pg_advisory_xact_lock(hashtextextended(chain::text, 5121));
        head := prov.audit_head(chain);

        if head.seq < seq then
            raise exception 'The outcome of this request was decided without '
                'it.'
                using errcode = 'PV503', constraint = 'mutation_fenced';
        end if;

        seq := head.seq + 1;
        prev_hash := head.hash;
    end loop;

    if event is null then
        insert into prov.audit_details (chain, seq, partner, tenant, subject,
            ip, user_agent, before, after, headers)
        values (chain, seq, owner, tenant, subject, ip, user_agent, before,
            after, headers);
        return;
    end if;

    -- What prov.emit() does, too: one statement costs less than three.

    with details as (
        insert into prov.audit_details (chain, seq, partner, tenant, subject,
            ip, user_agent, before, after, headers)
        values (chain, seq, owner, tenant, subject, ip, user_agent, before,
            after, headers)
    )
    insert into prov.events (id, partner, tenant, type, request_id, data)
    values (id, owner, tenant, event, request_id, told)
    returning exists (
        select from prov.webhook_endpoints w
        where w.partner = owner and w.status = 'active')
    into wanted;

    if wanted then
        ignored := prov.deliver(id, owner, tenant, seq, event);
    end if;
end
$$;

comment on function prov.record(jsonb, text, uuid, uuid, int, json, json,
    jsonb, text, json) is
    'Writes a mutation''s audit entry, the next link of its tenant''s chain, or '
    'of the partner''s where it has no tenant.  Every function that changes something '
    'calls it once, last, with what it is about to answer; it fails when '
    'prov.outcome() has shut the mutation out.  With the type of an event it '
    'leaves that, too, with what was answered unless other data is given.';


-- The gateway has a new secret as long as the request, and gives another
-- stand-in to each (docs/openapi.md): the same one is the same secret's.

create or replace function prov.answer_again(ctx jsonb, answer json)
    returns json
    language plpgsql stable
as $$
declare
    stand_in constant json := to_json(ctx #>> '{secret,text}');
begin
    -- prov.webhook_shown() and prov.api_key_shown() have written it, as the
    -- last member; of a pair of keys nothing was shown

    if stand_in is null or answer ->> 'algorithm' = 'v1a' then
        return answer;
    end if;

    return regexp_replace(answer::text, '("(?:secret|key)" : )null ?}$',
        '\1' || stand_in::text || '}')::json;
end
$$;

comment on function prov.answer_again(jsonb, json) is
    'What is kept of this very request''s answer, as it was first given: with '
    'what stands for a secret that it has made.';


create or replace function prov.outcome(ctx jsonb, params jsonb, input jsonb,
        out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    original constant uuid := ctx ->> 'mutation';
    kept     boolean;
begin
    -- Waits, as long as lock_timeout allows, for an original in flight.  What
    -- did not happen is no link of a chain.

    insert into prov.audit (mutation, partner, status, operation, request_id)
    values (original, (ctx ->> 'partner')::uuid, 0, ctx ->> 'operation',
        ctx ->> 'request_id')
    on conflict do nothing;

    if found then
        status := 0;
        return;
    end if;

    select a.status, d.after, d.headers, a.status = 0 or d.seq is not null
    into status, body, headers, kept
    from prov.audit a
    left join prov.audit_details d on d.chain = a.chain and d.seq = a.seq
    where a.mutation = original;

    if kept is not true then
        raise exception 'What became of this request cannot be told.'
            using errcode = 'PV503', constraint = 'outcome_unknown';
    end if;

    body := prov.answer_again(ctx, body);
end
$$;

comment on function prov.outcome(jsonb, jsonb, jsonb) is
    'What became of a mutation whose answer was lost: the answer, when it '
    'committed; status 0 when it did not, and then it never will.';
