-- Partners: for an operator at psql, and what the operator API's functions have
-- in common.
--
-- Only prov_owner and superusers may call the first two.


create or replace function prov.partner_add(slug text, name text)
    returns uuid
    language plpgsql security definer
as $$
declare
    partner uuid;
begin
    perform set_config('prov.claim', slug, true);
    perform set_config('prov.partner', '', true);

    select p.id into partner
    from prov.partners p
    where p.slug = partner_add.slug;

    if not found then
        partner := prov.uuid7();
        perform set_config('prov.partner', partner::text, true);

        insert into prov.partners (id, slug, name)
        values (partner, partner_add.slug, partner_add.name);
    end if;

    perform set_config('prov.claim', '', true);
    perform set_config('prov.partner', '', true);
    return partner;
end
$$;

comment on function prov.partner_add(text, text) is
    'Adds a partner and returns its id; one that is there stays as it is.';


create or replace function prov.partner_set_status(slug text, status text)
    returns uuid
    language plpgsql security definer
as $$
declare
    partner uuid;
begin
    perform set_config('prov.claim', slug, true);
    perform set_config('prov.partner', '', true);

    select p.id into partner
    from prov.partners p
    where p.slug = partner_set_status.slug;

    if not found then
        raise exception 'there is no partner "%"', slug
            using errcode = 'no_data_found';
    end if;

    perform set_config('prov.partner', partner::text, true);

    update prov.partners as p
    set status = partner_set_status.status, status_reason = null,
        status_changed_at = now(), updated_at = now(),
        version = p.version + 1
    where p.id = partner and p.status <> partner_set_status.status;

    perform set_config('prov.claim', '', true);
    perform set_config('prov.partner', '', true);
    return partner;
end
$$;

comment on function prov.partner_set_status(text, text) is
    'Makes a partner "active" or "suspended"; a suspended one''s calls are '
    'refused from the next transaction on.';


create or replace function prov.partner_json(p prov.partners, quota int)
    returns json
    language sql stable parallel safe
return json_build_object(
    'partner', p.id,
    'slug', p.slug,
    'name', p.name,
    'contact_email', p.contact_email,
    'status', p.status,
    'status_reason', p.status_reason,
    'status_changed_at', prov.rfc3339(coalesce(p.status_changed_at,
                                               p.created_at)),
    'tenant_quota', quota,
    'created_at', prov.rfc3339(p.created_at),
    'updated_at', prov.rfc3339(p.updated_at));

comment on function prov.partner_json(prov.partners, int) is
    'A partner as it is answered to operators.';


create or replace function prov.partner_missing()
    returns json
    language sql stable parallel safe
return json_build_object('code', 'partner_not_found',
    'detail', 'There is no partner with this id.');

comment on function prov.partner_missing() is
    'What to answer, with status 404, when there is no such partner.';


create or replace function prov.partner_claim(params jsonb, out status int,
        out body json, out partner prov.partners, out quota int)
    language plpgsql
as $$
begin
    select p.* into partner
    from prov.partners p
    where p.id = (params ->> 'partner')::uuid
    for no key update;

    if not found then
        status := 404;
        body := prov.partner_missing();
        return;
    end if;

    select q.quota into quota from prov.quotas q where q.id = partner.id;

    select p.status, p.body into status, body
    from prov.precondition(params, partner.version) p;
end
$$;

comment on function prov.partner_claim(jsonb) is
    'Locks the partner that is about to be changed; a status and what to '
    'answer, when it is not there or not what the preconditions say.';


create or replace function prov.partner_limit(partner uuid, wanted int)
    returns void
    language plpgsql
as $$
declare
    before constant text := current_setting('prov.partner', true);
begin
    if wanted is null then
        delete from prov.quotas q where q.id = partner;
        return;
    end if;

    update prov.quotas q set quota = wanted where q.id = partner;

    if found then
        return;
    end if;

    -- Waits for tenants that are just being made or removed, and keeps off
    -- others until the count is there: see prov.tenants_counted().

    perform from prov.partners p where p.id = partner for update;
    perform set_config('prov.partner', partner::text, true);

    insert into prov.quotas (id, quota, tenants)
    select partner_limit.partner, wanted, count(*)
    from prov.tenants t
    where t.partner = partner_limit.partner;

    perform set_config('prov.partner', before, true);
end
$$;

comment on function prov.partner_limit(uuid, int) is
    'Sets a partner''s quota of tenants, or with null takes it away.  One that '
    'had none has its tenants counted.';


create or replace function prov.partner_save(ctx jsonb, was prov.partners,
        quota_was int, wanted prov.partners, quota int, out status int,
        out body json, out headers jsonb)
    language plpgsql
as $$
begin
    -- what changes nothing is no new version, as with tenants

    if wanted is distinct from was or quota is distinct from quota_was then
        wanted.version := was.version + 1;
        wanted.updated_at := greatest(clock_timestamp(), was.updated_at);
    end if;

    if wanted.status <> was.status then
        wanted.status_changed_at := wanted.updated_at;
    end if;

    update prov.partners as p
    set updated_at = wanted.updated_at,
        version = wanted.version,
        name = wanted.name,
        contact_email = wanted.contact_email,
        status = wanted.status,
        status_reason = wanted.status_reason,
        status_changed_at = wanted.status_changed_at
    where p.id = was.id
    returning prov.partner_json(p, quota) into body;

    if quota is distinct from quota_was then
        perform prov.partner_limit(was.id, quota);
    end if;

    status := 200;
    headers := jsonb_build_object('ETag', prov.etag(wanted.version));

    perform prov.record(ctx, 'partner', was.id, null, status,
        prov.partner_json(was, quota_was), body, headers);
end
$$;

comment on function prov.partner_save(jsonb, prov.partners, int, prov.partners,
    int) is
    'Makes a locked partner what is wanted, answers it and records that.';


create or replace function prov.partner_turn(ctx jsonb, params jsonb,
        source text, target text, reason text, otherwise text,
        out status int, out body json, out headers jsonb)
    language plpgsql
as $$
declare
    claim  constant record := prov.partner_claim(params);
    wanted prov.partners := claim.partner;
begin
    if claim.status is not null then
        status := claim.status;
        body := claim.body;
        return;
    end if;

    if wanted.status <> source then
        status := 409;
        body := json_build_object('code', 'invalid_transition',
            'detail', otherwise, 'from', wanted.status, 'to', target);
        return;
    end if;

    wanted.status := target;
    wanted.status_reason := reason;

    select s.* into status, body, headers
    from prov.partner_save(ctx, claim.partner, claim.quota, wanted,
        claim.quota) s;
end
$$;

comment on function prov.partner_turn(jsonb, jsonb, text, text, text, text) is
    'Gives a partner another status, which is possible from one only; the '
    'last argument is what to say to one that has another.';
