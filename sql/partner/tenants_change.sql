-- The partner API's tenants: changed, replaced, and kept the same as what
-- another system has.


create or replace function partner.tenant_update(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    claim    record;
    was      prov.tenants;
    wanted   prov.tenants;
    metadata jsonb;
    members  int;
begin
    body := prov.tenant_alias(input);

    if body is not null then
        status := 400;
        return;
    end if;

    claim := prov.tenant_claim(params);

    if claim.status is not null then
        status := claim.status;
        body := claim.body;
        return;
    end if;

    was := claim.tenant;
    body := prov.tenant_deleted(was);

    if body is not null then
        status := 409;
        return;
    end if;

    -- RFC 7396: what is not there stays, what is null goes, objects are gone
    -- into

    input := input || jsonb_strip_nulls(jsonb_build_object('client_name',
        coalesce(input -> 'client_name', input -> 'company_name')));

    wanted := prov.tenant_wanted(was, to_jsonb(was)
        || case when jsonb_typeof(input -> 'metadata') = 'object'
               then input - 'metadata' else input end);

    if jsonb_typeof(input -> 'metadata') = 'object' then
        select coalesce(jsonb_object_agg(m.key, m.value), '{}'), count(*)
        into metadata, members
        from jsonb_each(was.metadata || (input -> 'metadata')) m
        where m.value <> 'null';

        if members > 50 then
            status := 422;
            body := json_build_object('code', 'metadata_invalid',
                'detail', format('metadata would have %s members, and may '
                                 'have 50.', members));
            return;
        end if;

        wanted.metadata := metadata;
    end if;

    select s.* into status, body, headers
    from prov.tenant_save(ctx, was, wanted) s;
end
$$;

comment on function partner.tenant_update(jsonb, jsonb, jsonb) is
    'Changes one of the caller''s tenants by a JSON merge patch (RFC 7396).';


create or replace function partner.tenant_replace(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    claim record;
    was   prov.tenants;
begin
    body := prov.tenant_alias(input);

    if body is not null then
        status := 400;
        return;
    end if;

    claim := prov.tenant_claim(params);

    if claim.status is not null then
        status := claim.status;
        body := claim.body;
        return;
    end if;

    was := claim.tenant;
    body := prov.tenant_deleted(was);

    if body is not null then
        status := 409;
        return;
    end if;

    select s.* into status, body, headers
    from prov.tenant_save(ctx, was, prov.tenant_wanted(was, input)) s;
end
$$;

comment on function partner.tenant_replace(jsonb, jsonb, jsonb) is
    'Replaces everything that can be given of one of the caller''s tenants.';


create or replace function partner.tenant_upsert(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    key   constant text := params ->> 'external_id';
    id    constant uuid := ctx ->> 'id';
    was   prov.tenants;
    made  int;
    taken json;
begin
    body := prov.tenant_alias(input);

    if body is null and input ->> 'external_id' <> key then
        body := json_build_object('code', 'external_id_conflict',
            'detail', 'external_id is that of the path, and the body has '
                      'another one: leave it out.');
    end if;

    if body is not null then
        status := 400;
        return;
    end if;

    input := input || jsonb_build_object('external_id', key);

    -- Of two who find nothing one makes the tenant; the other, having waited
    -- for that, finds it at his next attempt.  Only when he does not is what
    -- was in his way another tenant, or one that is gone again already.

    for attempt in 1 .. 4 loop
        select t.* into was
        from prov.tenants t
        where t.external_id between key and key
        order by t.external_id
        for update;

        exit when found or taken ->> 'code' <> 'external_id_taken';

        select p.status, p.body into status, body
        from prov.precondition(params, null) p;

        if status is not null then
            return;
        end if;

        select i.status, i.body into made, taken
        from prov.tenant_insert(ctx, input) i;

        if made = 201 then
            status := 201;
            body := taken;
            headers := jsonb_build_object('ETag', prov.etag(1),
                'Location', (ctx ->> 'base') || '/tenants/' || id);

            perform prov.record(ctx, 'tenant', id, id, status, null, body,
                headers, 'tenant.created');
            return;
        end if;
    end loop;

    if was.id is null then
        status := made;
        body := taken;
        return;
    end if;

    select p.status, p.body into status, body
    from prov.precondition(params, was.version) p;

    if status is not null then
        return;
    end if;

    body := prov.tenant_deleted(was);

    if body is not null then
        status := 409;
        return;
    end if;

    select s.* into status, body, headers
    from prov.tenant_save(ctx, was, prov.tenant_wanted(was, input)) s;
end
$$;

comment on function partner.tenant_upsert(jsonb, jsonb, jsonb) is
    'Makes the tenant with this external_id, or replaces everything that can '
    'be given of it.';
