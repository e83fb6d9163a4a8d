-- Tenants, as every surface shows and makes them.


create or replace function prov.tenant_text(t prov.tenants)
    returns text
    language sql stable parallel safe
return format(
    '{"tenant": "%s", "client_name": %s, "company_name": %2$s, "email": %s, '
    '"phone_number": %s, "industry": %s, "slug": "%s", "external_id": %s, '
    '"status": "%s", "status_reason": %s, "status_changed_at": "%s", '
    '"metadata": %s, "created_at": "%s", "updated_at": "%s", '
    '"deleted_at": %s, "purge_after": %s}',
    t.id,
    to_json(t.client_name),
    to_json(t.email),
    coalesce(to_json(t.phone_number), 'null'),
    coalesce(to_json(t.industry), 'null'),
    t.slug,
    coalesce(to_json(t.external_id), 'null'),
    t.status,
    coalesce(to_json(t.status_reason), 'null'),
    prov.rfc3339(coalesce(t.status_changed_at, t.created_at)),
    t.metadata,
    prov.rfc3339(t.created_at),
    prov.rfc3339(t.updated_at),
    coalesce(to_char(t.deleted_at at time zone 'UTC',
        '\"YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\"'), 'null'),
    coalesce(to_char(t.purge_after at time zone 'UTC',
        '\"YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\"'), 'null'));

comment on function prov.tenant_text(prov.tenants) is
    'A tenant as it is answered, as text, its members in this order.  An '
    'optional member that was not given is null.  One expression, so that it '
    'is inlined, of as few functions as do it, because each is looked up every '
    'time; spaced as jsonb prints, so that metadata does not stand out.';


create or replace function prov.tenant_json(t prov.tenants)
    returns json
    language sql stable parallel safe
return prov.tenant_text(t)::json;

comment on function prov.tenant_json(prov.tenants) is
    'A tenant as it is answered.';


create or replace function prov.tenant_made_text(id uuid, client_name text,
        email text, phone_number text, industry text, slug text,
        external_id text, metadata jsonb, moment text)
    returns text
    language sql stable parallel safe
return '{"tenant": "' || id || '", "client_name": ' || to_json(client_name)
    || ', "company_name": ' || to_json(client_name)
    || ', "email": ' || to_json(email)
    || ', "phone_number": ' || coalesce(to_json(phone_number)::text, 'null')
    || ', "industry": ' || coalesce(to_json(industry)::text, 'null')
    || ', "slug": "' || slug
    || '", "external_id": ' || coalesce(to_json(external_id)::text, 'null')
    || ', "status": "active", "status_reason": null, "status_changed_at": "'
    || moment || '", "metadata": ' || metadata || ', "created_at": "'
    || moment || '", "updated_at": "' || moment
    || '", "deleted_at": null, "purge_after": null}';

comment on function prov.tenant_made_text(uuid, text, text, text, text, text,
    text, jsonb, text) is
    'What prov.tenant_text() shows of a tenant that is made at this moment, '
    'for several of them: what is the same in all is not made for each.';


create or replace function prov.tenant_alias(input jsonb)
    returns json
    language plpgsql immutable parallel safe
as $$
begin
    if input ->> 'client_name' <> input ->> 'company_name' then
        return json_build_object('code', 'company_name_conflict',
            'detail', 'company_name is a deprecated alias of client_name, '
                      'and the two differ: leave company_name out.');
    end if;

    return null;
end
$$;

comment on function prov.tenant_alias(jsonb) is
    'What to answer, with status 400, when company_name is not client_name; '
    'null when there is nothing to say.';


create or replace function prov.tenant_conflict(email text, external_id text,
        slug text, self uuid default null, out code text, out tenant uuid)
    language plpgsql stable
as $$
declare
    key constant text := lower(email collate "C");
begin
    -- Always in this order, so that the same request gets the same answer.
    -- Ranges in the order of their index, though of one value each: as long as
    -- a table has few rows, the planner takes any index that begins with the
    -- partner to be as good for an equality.

    select t.id into tenant
    from prov.tenants t
    where t.email_key between key and key
        and t.id is distinct from self
    order by t.email_key;

    if found then
        code := 'email_taken';
        return;
    end if;

    select t.id into tenant
    from prov.tenants t
    where t.external_id between tenant_conflict.external_id
            and tenant_conflict.external_id
        and t.id is distinct from self
    order by t.external_id;

    if found then
        code := 'external_id_taken';
        return;
    end if;

    select t.id into tenant
    from prov.tenants t
    where t.slug between tenant_conflict.slug and tenant_conflict.slug
        and t.id is distinct from self
    order by t.slug;

    if found then
        code := 'slug_taken';
    end if;
end
$$;

comment on function prov.tenant_conflict(text, text, text, uuid) is
    'Which of the partner''s own tenants, other than "self", stands in the '
    'way of these values, and why; nulls when none of them does.';


create or replace function prov.tenant_taken(code text, tenant uuid)
    returns json
    language plpgsql stable parallel safe
as $$
begin
    return json_strip_nulls(json_build_object('code', code,
        'detail', case code
            when 'email_taken' then
                'You have a tenant with this e-mail address.'
            when 'external_id_taken' then
                'You have a tenant with this external_id.'
            else
                'A tenant has this slug; each is unique everywhere.'
            end,
        'tenant', tenant));
end
$$;

comment on function prov.tenant_taken(text, uuid) is
    'What to answer, with status 409, when something of a tenant is not '
    'unique; the tenant that has it is told to its own partner.';


create or replace function prov.tenant_insert(ctx jsonb, input jsonb,
        out status int, out body json)
    language plpgsql
as $$
declare
    -- All values are of their columns' types before they are inserted: a
    -- statement gets its expressions and the checks of domains ready each time
    -- it is run, a function does so once in a transaction.

    id           constant uuid := ctx ->> 'id';
    partner      constant uuid := ctx ->> 'partner';
    moment       constant timestamptz(3) := now();
    client_name  constant prov.name := coalesce(input ->> 'client_name',
                                                input ->> 'company_name');
    email        constant prov.email := input ->> 'email';
    phone_number constant prov.phone_number := input ->> 'phone_number';
    industry     constant prov.industry := input ->> 'industry';
    external_id  constant prov.external_id := input ->> 'external_id';
    metadata     constant prov.metadata :=
        coalesce(nullif(input -> 'metadata', 'null'), '{}');
    active       constant prov.tenant_status := 'active';
    no_status    constant prov.tenant_status := null;
    no_reason    constant prov.status_reason := null;
    wish         constant text := input ->> 'slug';
    base         constant text := coalesce(wish, prov.slug(client_name::text));
    slug         prov.slug := base;
    made         prov.tenants;
    other        record;
begin
    -- Insert first, look at a conflict afterwards: what a look beforehand
    -- finds free may be taken a moment later.  A wish gets a second attempt,
    -- because what was in its way may be gone when it is looked for; a
    -- derived slug is unique at the fourth, see prov.slug_apart().

    for attempt in 1 .. 4 loop
        insert into prov.tenants as t (id, partner, created_at, updated_at,
            client_name, email, phone_number, industry, slug, external_id,
            metadata, status, status_reason, suspended_from, deleted_from)
        values (id, partner, moment, moment, client_name, email, phone_number,
            industry, slug, external_id, metadata, active, no_reason,
            no_status, no_status)
        on conflict do nothing
        returning t.* into made;

        if found then
            status := 201;
            body := prov.tenant_json(made);
            return;
        end if;

        other := prov.tenant_conflict(email, external_id, wish);

        if other.code is null and wish is not null and attempt > 1 then
            other.code := 'slug_taken';
        end if;

        if other.code is not null then
            status := 409;
            body := prov.tenant_taken(other.code, other.tenant);
            return;
        end if;

        if wish is null then
            slug := prov.slug_apart(base, id, attempt);
        end if;
    end loop;

    raise exception 'No free slug was found; try again.'
        using errcode = 'PV503', constraint = 'slug_unavailable';
end
$$;

comment on function prov.tenant_insert(jsonb, jsonb) is
    'Makes a tenant of the caller''s partner: 201 and the tenant, or 409 and '
    'what is in its way.';
