-- Operators: how they come in, and their keys.
--
-- An operator acts for no partner.  What he does is kept under an id that no
-- partner has, the Max UUID (RFC 9562, 5.10), where partners' changes are kept
-- under the partner's: so the audit, repetitions, outcomes and all that is per
-- partner work for operators as they are, and no partner sees anything of it.


create or replace function prov.operator_enter(request jsonb)
    returns table (ctx jsonb)
    language plpgsql security definer rows 1
as $$
declare
    nobody  constant text := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
    ignored text;
begin
    ignored := set_config('prov.tenant', '', true)
        || set_config('prov.worker', '', true)
        || set_config('prov.operator', '', true)
        || set_config('prov.partner', '', true);

    if request #>> '{principal,kind}' = 'key'
       and prov.operator_key_refusal(request) is not null
    then
        return;
    end if;

    ignored := set_config('prov.operator', 'on', true);
    ignored := set_config('prov.partner', nobody, true);

    ctx := jsonb_set(request, '{partner}', to_jsonb(nobody));
    return next;
end
$$;

comment on function prov.operator_enter(jsonb) is
    'Opens to this transaction what operators may see.  Only their login may '
    'call it.  No row: the caller came with a key that is good no longer.';


create or replace function prov.operator_key_refusal(ctx jsonb)
    returns text
    language plpgsql
as $$
declare
    k       prov.api_keys;
    ignored text;
begin
    ignored := set_config('prov.key', ctx #>> '{principal,key}', true);

    select * into k
    from prov.api_keys a
    where a.id = (ctx #>> '{principal,key}')::uuid
        and a.surface = 'operator';

    ignored := set_config('prov.key', '', true);

    return prov.api_key_unfit(k, ctx ->> 'ip');
end
$$;

comment on function prov.operator_key_refusal(jsonb) is
    'Why an operator who came with a key may not any more; null when he may.';


-- At psql, for whoever may be prov_owner: with his own rights, because row
-- security opens the keys of operators to that role and to no function.  The
-- secret is no parameter of a statement, so that no log of those has it.

create or replace function prov.operator_key_add(name text,
        scopes text[] default '{*}')
    returns text
    language plpgsql
as $$
declare
    id     constant uuid := prov.uuid7();
    secret constant text := prov.api_key_secret();
    hash   constant bytea := prov.api_key_hash(secret);
begin
    insert into prov.api_keys (id, surface, name, scopes, secret_hash)
    values (id, 'operator', operator_key_add.name, operator_key_add.scopes,
        hash);

    return prov.api_key_text(id, secret);
end
$$;

comment on function prov.operator_key_add(text, text[]) is
    'Makes a key for an operator and returns it, this once.';


create or replace function prov.operator_key_revoke(key text)
    returns timestamptz
    language plpgsql
as $$
declare
    wanted constant uuid := translate(regexp_replace(key,
        '^pk_([0-9a-f]{32})(_.*)?$', '\1'), '-', '');
    moment timestamptz;
begin
    update prov.api_keys as k
    set revoked_at = coalesce(k.revoked_at, now()), version = k.version + 1,
        updated_at = now(), previous_hash = null, previous_until = null
    where k.id = wanted and k.surface = 'operator'
    returning k.revoked_at into moment;

    if not found then
        raise exception 'there is no such key of an operator'
            using errcode = 'no_data_found';
    end if;

    return moment;
end
$$;

comment on function prov.operator_key_revoke(text) is
    'Ends an operator''s key, named by itself or by its id, for good.';
