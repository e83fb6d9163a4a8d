-- pgbench: the gateway's own statement for tenant_get, with parameters that
-- pgbench can make.
\set n random(0, :tenants - 1)
select r.status, r.body, r.headers from prov.enter(:ctx::jsonb) e left join lateral partner.tenant_get(e.ctx, jsonb_build_object('tenant', '00000000-0000-7000-8000-' || lpad(to_hex(:n::int), 12, '0')), null::jsonb) r on true;
