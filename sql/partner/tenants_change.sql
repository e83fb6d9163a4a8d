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
