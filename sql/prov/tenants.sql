-- Tenants, as every surface shows them.


create or replace function prov.tenant_json(t prov.tenants)
    returns json
    language sql stable parallel safe
return format(
    '{"tenant": "%s", "client_name": %s, "company_name": %2$s, "email": %s, '
    '"phone_number": %s, "industry": %s, "slug": %s, "external_id": %s, '
    '"status": %s, "metadata": %s, "created_at": "%s", "updated_at": "%s"}',
    t.id,
    to_json(t.client_name),
    to_json(t.email),
    coalesce(to_json(t.phone_number), 'null'),
    coalesce(to_json(t.industry), 'null'),
    to_json(t.slug),
    coalesce(to_json(t.external_id), 'null'),
    to_json(t.status),
    t.metadata,
    prov.rfc3339(t.created_at),
    prov.rfc3339(t.updated_at))::json;

comment on function prov.tenant_json(prov.tenants) is
    'A tenant as it is answered, its members in this order.  An optional '
    'member that was not given is null.  One expression, so that it is '
    'inlined; spaced as jsonb prints, so that metadata does not stand out.';


create or replace function prov.tenant_conflict(email text, external_id text,
        slug text, out code text, out tenant uuid)
    language plpgsql stable
as $$
begin
    -- always in this order, so that the same request gets the same answer

    select t.id into tenant
    from prov.tenants t
    where t.email_key = lower(tenant_conflict.email collate "C");

    if found then
        code := 'email_taken';
        return;
    end if;

    select t.id into tenant
    from prov.tenants t
    where t.external_id = tenant_conflict.external_id;

    if found then
        code := 'external_id_taken';
        return;
    end if;

    select t.id into tenant
    from prov.tenants t
    where t.slug = tenant_conflict.slug;

    if found then
        code := 'slug_taken';
    end if;
end
$$;

comment on function prov.tenant_conflict(text, text, text) is
    'Which of the partner''s own tenants stands in the way of these values, '
    'and why; nulls when none of them does.';
