-- Partners, for an operator at psql.  Only prov_owner and superusers may call
-- these; the operator API has its own functions.


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
    set status = partner_set_status.status, updated_at = now()
    where p.id = partner;

    perform set_config('prov.claim', '', true);
    perform set_config('prov.partner', '', true);
    return partner;
end
$$;

comment on function prov.partner_set_status(text, text) is
    'Makes a partner "active" or "suspended"; a suspended one''s calls are '
    'refused from the next transaction on.';
