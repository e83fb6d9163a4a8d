-- What was tried in vain: the gateway's workers bring it in batches, when the
-- answers have long been given.


-- Of one caller's claim, a partner's id or slug, and whatever its status: the
-- nil UUID stands for nobody, and the Max UUID for operators, who act for no
-- partner whatever their tokens say: their login tells.

create or replace function prov.attempts_partner(claim text)
    returns uuid
    language plpgsql
as $$
declare
    found_ uuid;
begin
    if pg_has_role(session_user, 'prov_operator', 'member')
       and not pg_has_role(session_user, 'prov_partner', 'member')
    then
        return 'ffffffff-ffff-ffff-ffff-ffffffffffff';
    end if;

    perform set_config('prov.partner', case when claim
        ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then claim
        else '' end, true);
    perform set_config('prov.claim', coalesce(claim, ''), true);

    select p.id into found_ from prov.partners p
    where p.id = nullif(current_setting('prov.partner'), '')::uuid
        or p.slug = nullif(claim, '');

    perform set_config('prov.claim', '', true);

    return coalesce(found_, '00000000-0000-0000-0000-000000000000');
end
$$;

comment on function prov.attempts_partner(text) is
    'The partner that a token names; the nil UUID when there is none.';


-- Whether a chain has had as many links in a day as nobody needs: how old is
-- the one that stands so far before the next?  That is one look into an index.

create or replace function prov.attempts_spent(chain uuid, next bigint,
        daily int)
    returns boolean
    language plpgsql stable
as $$
begin
    return exists (
        select from prov.audit a
        where a.chain = attempts_spent.chain and a.seq = next - daily
            and a.at > now() - interval '1 day');
end
$$;

comment on function prov.attempts_spent(uuid, bigint, int) is
    'Whether so many links of a chain, the newest before the next, were made '
    'within a day.';


create or replace function prov.attempts_add(partner uuid, attempt jsonb)
    returns boolean
    language plpgsql
as $$
declare
    id      constant uuid := prov.uuid7();
    moment  constant timestamptz(3) := coalesce(to_timestamp(
        (attempt ->> 'at')::bigint / 1000.0), clock_timestamp());
    whose   constant uuid := case when attempt ->> 'tenant'
        ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
        then attempt ->> 'tenant' end;
    named   constant uuid := case when attempt ->> 'named'
        ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'
        and partner = 'ffffffff-ffff-ffff-ffff-ffffffffffff'
        then attempt ->> 'named' end;
    what    constant text := case when named is not null then 'partner' end;
    answer  constant int := attempt ->> 'status';
    times   constant int := coalesce((attempt ->> 'count')::int, 1);
    details constant bytea := prov.audit_details_hash(attempt ->> 'subject',
        attempt ->> 'ip', attempt ->> 'user_agent', null, null, null);
    above   record;
begin
    loop
        select * into above from prov.audit_head(partner);

        if prov.attempts_spent(partner, above.seq + 1, 100000) then
            return false;
        end if;

        insert into prov.audit (mutation, at, partner, tenant, resource,
            resource_id, status, code, times, operation, kind, issuer, key_id,
            request_id, chain, seq, prev_hash, details_hash, hash)
        values (id, moment, partner, whose, what, named, answer,
            attempt ->> 'code', times, attempt ->> 'operation',
            attempt ->> 'kind', attempt ->> 'issuer', attempt ->> 'key',
            attempt ->> 'request_id', partner, above.seq + 1, above.hash,
            details,
            prov.audit_hash(partner, above.seq + 1, above.hash, id, moment,
                partner, whose, attempt ->> 'operation', what, named, answer,
                attempt ->> 'code', times, attempt ->> 'kind',
                attempt ->> 'issuer', attempt ->> 'key',
                attempt ->> 'request_id', details))
        on conflict do nothing;

        exit when found;
    end loop;

    insert into prov.audit_details (chain, seq, partner, tenant, subject, ip,
        user_agent)
    values (partner, above.seq + 1, partner, whose, attempt ->> 'subject',
        attempt ->> 'ip', attempt ->> 'user_agent');

    return true;
end
$$;

comment on function prov.attempts_add(uuid, jsonb) is
    'Makes an attempt the next link of its partner''s chain; false when that '
    'has had 100,000 within a day, and is full.';


create or replace function prov.attempts(batch jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    nobody  constant uuid := '00000000-0000-0000-0000-000000000000';
    dropped int := coalesce((batch ->> 'dropped')::int, 0);
    claims  jsonb := '{}';
    claim   text;
    item    record;
begin
    for claim in
        select distinct coalesce(a.value ->> 'partner', '')
        from jsonb_array_elements(batch -> 'attempts') a
    loop
        claims := claims || jsonb_build_object(claim,
            prov.attempts_partner(claim));
    end loop;

    -- in one order everywhere, so that two batches cannot wait for each other

    for item in
        select a.value as attempt,
            (claims ->> coalesce(a.value ->> 'partner', ''))::uuid as partner
        from jsonb_array_elements(batch -> 'attempts') with ordinality
             as a (value, n)
        order by 2, a.n
    loop
        perform set_config('prov.partner', item.partner::text, true);

        if not prov.attempts_add(item.partner, item.attempt) then
            dropped := dropped + coalesce((item.attempt ->> 'count')::int, 1);
        end if;
    end loop;

    if dropped > 0 then
        perform set_config('prov.partner', nobody::text, true);

        if not prov.attempts_add(nobody, jsonb_build_object('operation',
            'attempts_dropped', 'status', 503, 'code', 'attempts_dropped',
            'count', dropped))
        then
            dropped := dropped + 1;
        end if;
    end if;

    perform set_config('prov.partner', '', true);

    status := 200;
    body := json_build_object('dropped', dropped);
end
$$;

comment on function prov.attempts(jsonb, jsonb, jsonb) is
    'Records a worker''s batch {"attempts": […], "dropped": n}, and how many '
    'had to be dropped.';
