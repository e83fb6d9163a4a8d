\ir helpers.psql
select * from no_plan();

-- Keys, as the gateway asks of them.  What their resource does is in t/keys.t.

create function pg_temp.make_key(partner text, input jsonb,
        granted jsonb default '["tenant:read", "tenant:*", "*"]')
    returns json
    language sql
return (select c.body from pg_temp.call('partner.api_key_create',
    pg_temp.context(partner, jsonb_build_object(
        'operation', 'api_key_create', 'granted', granted)), '{}',
    '{"name": "Machine", "scopes": ["tenant:read"]}' || input) c);

create function pg_temp.as_key(key text, partner text)
    returns jsonb
    language sql
return pg_temp.context(partner, jsonb_build_object('principal',
    jsonb_build_object('kind', 'key', 'key', key, 'subject', key,
        'scopes', '["tenant:read"]'::json)));

create function pg_temp.find(key text, out status int, out body json,
        out headers jsonb)
    language plpgsql
as $$
begin
    set local role prov_partner;
    select * into status, body, headers
    from prov.api_key_find(jsonb_build_object('key', key), null, null);
    reset role;
end
$$;

create temporary table key as
select k ->> 'api_key' as id, k ->> 'key' as text
from pg_temp.make_key('alpha', '{"ip_allow": ["192.0.2.0/24"]}') k;

-- looked for

select results_eq($$
    select f.status, f.body ->> 'partner', f.body ->> 'active',
        f.body ->> 'hash', f.body ->> 'previous', f.body ->> 'scopes',
        f.body ->> 'ip_allow', f.body ->> 'revoked', f.body ->> 'expires'
    from key k, pg_temp.find(k.id) f
$$, $$
    select 200, '00000000-0000-7000-8000-00000000000a', 'true',
        encode(sha256('a secret'), 'hex'),
        null, '["tenant:read"]', '["192.0.2.0/24"]', 'false', null
$$, 'a key is found, with all that the gateway must know of it');

select is(k.text, 'not-shown', 'what stands for its text is shown')
from key k;
select is(pg_temp.refusal(format(
    'select pg_temp.call(%L, %L, %L, %L)', 'partner.api_key_' || operation,
    pg_temp.context('alpha',
        '{"secret": null, "granted": ["*", "tenant:read"]}'),
    jsonb_build_object('api_key', key.id),
    '{"name": "Machine", "scopes": ["tenant:read"]}')), 'PV503 secrets_unavailable',
    'without a secret of the gateway''s there is none: ' || operation)
from key, (values ('create'), ('rotate')) as o (operation);

select is(f.status, 404, 'an unknown one is not')
from pg_temp.find('00000000-0000-7000-8000-000000000000') f;

select set_config('prov.partner', '', true), set_config('prov.key', '', true);
select is(pg_temp.rows_for('prov_api', 'select from prov.api_keys'), 0::bigint,
    'without either setting no key is seen');

insert into prov.api_keys (id, surface, name, scopes, secret_hash)
values ('00000000-0000-7000-8000-0000000000aa', 'operator', 'Operator',
    '{*}', sha256('x'));
set local session authorization prov_partner;
select is(f.status, 404, 'an operator''s key is none for partners')
from prov.api_key_find('{"key": "00000000-0000-7000-8000-0000000000aa"}',
    null, null) f;
reset session authorization;

-- the entrance

select is(count(*), 1::bigint, 'a good key enters')
from key k, prov.enter(pg_temp.as_key(k.id,
    '00000000-0000-7000-8000-00000000000a')) e;
select is(count(*), 0::bigint, 'not for another partner')
from key k, prov.enter(pg_temp.as_key(k.id,
    '00000000-0000-7000-8000-00000000000b')) e;
select is(count(*), 0::bigint, 'an unknown key does not')
from prov.enter(pg_temp.as_key('00000000-0000-7000-8000-000000000000',
    '00000000-0000-7000-8000-00000000000a')) e;
select is(count(*), 0::bigint, 'nor one for a partner''s slug')
from key k, prov.enter(pg_temp.as_key(k.id, '')) e;

update prov.api_keys set expires_at = now() - interval '1 second'
where name = 'Machine';
select is(count(*), 0::bigint, 'an expired one does not')
from key k, prov.enter(pg_temp.as_key(k.id,
    '00000000-0000-7000-8000-00000000000a')) e;
select is(r.status || ' ' || (r.body ->> 'code'), '401 key_expired',
    'and that is the reason')
from key k, prov.refusal(pg_temp.as_key(k.id,
    '00000000-0000-7000-8000-00000000000a'), null, null) r;

update prov.api_keys set expires_at = null, revoked_at = now()
where name = 'Machine';
select is(count(*), 0::bigint, 'a revoked one does not')
from key k, prov.enter(pg_temp.as_key(k.id,
    '00000000-0000-7000-8000-00000000000a')) e;
select is(r.status || ' ' || (r.body ->> 'code'), '401 key_revoked',
    'and that is the reason')
from key k, prov.refusal(pg_temp.as_key(k.id,
    '00000000-0000-7000-8000-00000000000a'), null, null) r;

update prov.partners set status = 'suspended' where slug = 'alpha';
select is(r.status || ' ' || (r.body ->> 'code'), '403 partner_unknown',
    'a suspended partner is a reason of its own')
from key k, prov.refusal(pg_temp.as_key(k.id,
    '00000000-0000-7000-8000-00000000000a'), null, null) r;
select is(f.body ->> 'active', 'false', 'and the search says so, too')
from key k, pg_temp.find(k.id) f;
update prov.partners set status = 'active' where slug = 'alpha';

-- the note of a use, at most once a minute

create function pg_temp.use(age interval)
    returns boolean
    language plpgsql
as $$
declare
    asked constant jsonb := jsonb_build_object('key', (select id from key),
        'partner', '00000000-0000-7000-8000-00000000000a');
begin
    update prov.api_keys set last_used_at = now() - age
    where name = 'Machine';
    set local role prov_partner;
    perform prov.api_key_used(asked, null, null);
    reset role;
    return (select last_used_at = now()::timestamptz(3) from prov.api_keys
            where name = 'Machine');
end
$$;

select ok(pg_temp.use(null), 'the first use is noted');
select ok(pg_temp.use('61 seconds'), 'so is one after a minute');
select ok(not pg_temp.use('59 seconds'), 'one before is not');

-- what a key may not hand on

select is(k ->> 'code', 'scope_not_granted', 'no more than is granted')
from pg_temp.make_key('alpha', '{"scopes": ["tenant:*"]}',
    '["tenant:read"]') k;
select is(k ->> 'code', 'scope_not_granted',
    'a gateway that says nothing grants nothing')
from pg_temp.make_key('alpha', '{}', 'null') k;

insert into prov.api_keys (id, partner, name, scopes, secret_hash)
values ('00000000-0000-7000-8000-0000000000ab',
    '00000000-0000-7000-8000-00000000000a', 'Wide', '{tenant:*}',
    sha256('y'));

select is(c.body ->> 'code', 'scope_not_granted',
    'a narrow caller does not ' || operation || ' a wide key')
from (values ('rotate'), ('update')) as o (operation)
cross join lateral pg_temp.call('partner.api_key_' || operation,
    pg_temp.context('alpha', '{"granted": ["api_key:update"]}'),
    '{"api_key": "00000000-0000-7000-8000-0000000000ab"}', '{}') c;
select is(c.status, 200, 'but may revoke it')
from pg_temp.call('partner.api_key_revoke',
    pg_temp.context('alpha', '{"granted": ["api_key:delete"]}'),
    '{"api_key": "00000000-0000-7000-8000-0000000000ab"}', null) c;

-- who is let in

select is((select count(*) from prov.enter(pg_temp.as_key(k.id, 'alpha'))),
    0::bigint, 'a key never comes with a slug, which would not be looked at')
from key k;

create temporary table near as
select k ->> 'api_key' as id
from pg_temp.make_key('alpha', '{"ip_allow": ["192.0.2.0/24", "2001:db8::/32"]}') k;

select is((select count(*) from prov.enter(pg_temp.as_key(n.id,
    '00000000-0000-7000-8000-00000000000a') || jsonb_build_object('ip', ip))),
    wanted, format('a key for networks at %s', coalesce(ip, 'no address')))
from near n, (values
    ('192.0.2.9', 1::bigint), ('::ffff:192.0.2.9', 1), ('2001:db8::1', 1),
    ('192.0.3.1', 0), ('::ffff:192.0.3.1', 0), ('2001:db9::1', 0),
    ('unix:', 0), ('', 0), (null, 0)) as a (ip, wanted);

select results_eq($$
    select r.status, r.body ->> 'code'
    from near n, prov.refusal(pg_temp.as_key(n.id,
        '00000000-0000-7000-8000-00000000000a') || '{"ip": "198.51.100.1"}',
        null, null) r
$$, $$ values (403, 'key_ip_not_allowed') $$, 'and is told so');

-- rules

select is(pg_temp.refusal(format(
    'insert into prov.api_keys (id, partner, name, scopes, secret_hash) '
    'values (prov.uuid7(), %L, %L, %L, %L)', partner, 'x', scopes, hash)),
    wanted, wanted)
from (values
    ('00000000-0000-7000-8000-00000000000a', '{}', sha256('x'),
        '23514 scopes_invalid'),
    ('00000000-0000-7000-8000-00000000000a', '{"a b"}', sha256('x'),
        '23514 scopes_invalid'),
    ('00000000-0000-7000-8000-00000000000a', '{"a:b c:d"}', sha256('x'),
        '23514 scopes_invalid'),
    ('00000000-0000-7000-8000-00000000000a', E'{"a:b\nc:d"}', sha256('x'),
        '23514 scopes_invalid'),
    ('00000000-0000-7000-8000-00000000000a', '{"a:b ",c:d}', sha256('x'),
        '23514 scopes_invalid'),
    ('00000000-0000-7000-8000-00000000000a', '{"","a:b"}', sha256('x'),
        '23514 scopes_invalid'),
    ('00000000-0000-7000-8000-00000000000a', E'{"a:b\u0301"}', sha256('x'),
        '23514 scopes_invalid'),
    ('00000000-0000-7000-8000-00000000000a', '{*,a:*,b-c:d_e}', sha256('x'),
        ''),
    ('00000000-0000-7000-8000-00000000000a', '{a:b}', '\x00',
        '23514 secret_hash_invalid'),
    (null, '{a:b}', sha256('x'), '23514 api_key_partner_invalid')
) as t (partner, scopes, hash, wanted);

select * from finish();
rollback;
