-- The partner API's tenants: suspended, resumed, cancelled.


create or replace function partner.tenant_suspend(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
begin
    select t.* into status, body, headers
    from prov.tenant_turn(ctx, params, 'suspended',
        '{pending,active,trial_expired}', input ->> 'reason') t;
end
$$;

comment on function partner.tenant_suspend(jsonb, jsonb, jsonb) is
    'Suspends one of the caller''s tenants, until it is resumed.';


create or replace function partner.tenant_resume(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
begin
    select t.* into status, body, headers
    from prov.tenant_turn(ctx, params, null, '{suspended}',
        input ->> 'reason') t;
end
$$;

comment on function partner.tenant_resume(jsonb, jsonb, jsonb) is
    'Gives a suspended tenant the status back that it had before.';


create or replace function partner.tenant_cancel(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql security definer
as $$
begin
    select t.* into status, body, headers
    from prov.tenant_turn(ctx, params, 'cancelled',
        '{pending,active,suspended,trial_expired}', input ->> 'reason') t;
end
$$;

comment on function partner.tenant_cancel(jsonb, jsonb, jsonb) is
    'Cancels one of the caller''s tenants, for good.';
