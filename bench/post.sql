-- pgbench: the gateway's own statement for tenant_create, with parameters that
-- pgbench can make: ids that ascend with time, as the gateway's do.
\set counter :counter + 1
\set tail (:round * 1000 + :client_id) * 4294967296 + :counter
select r.status, r.body, r.headers from prov.enter(:ctx::jsonb || jsonb_build_object('mutation', lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0') || '70008000' || lpad(to_hex(:tail::bigint), 12, '0'), 'id', lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0') || '70008000' || lpad(to_hex(:tail::bigint), 12, '0'))) e left join lateral partner.tenant_create(e.ctx, '{}'::jsonb, jsonb_build_object('client_name', 'Acme Retail', 'email', 'pgbench-' || :round::text || '-' || :client_id::text || '-' || :counter::text || '@example.com')) r on true;
