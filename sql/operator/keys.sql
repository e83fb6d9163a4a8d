-- The operator API's keys for partners: the one that a partner begins with.


create or replace function operator.partner_key_create(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
declare
    id         constant uuid := ctx ->> 'id';
    owner      constant uuid := params ->> 'partner';
    scopes     constant text[] := array(
        select distinct jsonb_array_elements_text(input -> 'scopes')
        order by 1);
    expires_at constant timestamptz := input ->> 'expires_at';
    allow      cidr[];
    key        json;
begin
    if not exists (select from prov.partners p where p.id = owner) then
        status := 404;
        body := prov.partner_missing();
        return;
    end if;

    select g.allow, g.status, g.body into allow, status, body
    from prov.api_key_given(input) g;

    if status is not null then
        return;
    end if;

    -- the key and its event are the partner's, the audit entry the operators'

    perform set_config('prov.partner', owner::text, true);

    insert into prov.api_keys as k (id, partner, name, scopes, ip_allow,
        expires_at, secret_hash)
    values (id, owner, input ->> 'name', scopes, allow, expires_at,
        prov.api_key_made(ctx))
    returning prov.api_key_json(k) into key;

    perform prov.emit(ctx, (ctx ->> 'mutation')::uuid, owner, null, null,
        'api_key.created', key);

    perform set_config('prov.partner', ctx ->> 'partner', true);

    status := 201;
    body := prov.api_key_shown(key,
        case when params ->> 'dry_run' is distinct from 'true'
             then ctx #>> '{secret,text}' end);

    perform prov.record(ctx, 'partner', owner, null, status, null,
        prov.api_key_shown(key, null), null);
end
$$;

comment on function operator.partner_key_create(jsonb, jsonb, jsonb) is
    'Makes an API key for a partner, and shows its secret once.';
