-- The operator API's audit: what operators did and tried.  The partner API's
-- functions, for whoever prov.partner names: here that is the operators' id.


create or replace function operator.audit_list(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql stable security definer
as $$
begin
    select a.status, a.body, a.headers into status, body, headers
    from partner.audit_list(ctx, params, input) a;
end
$$;

comment on function operator.audit_list(jsonb, jsonb, jsonb) is
    'Lists the operators'' audit entries, newest first, page by page.';


create or replace function operator.audit_get(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql stable security definer
as $$
begin
    select a.status, a.body, a.headers into status, body, headers
    from partner.audit_get(ctx, params, input) a;
end
$$;

comment on function operator.audit_get(jsonb, jsonb, jsonb) is
    'Shows one of the operators'' audit entries, with what was before and '
    'after.';


create or replace function operator.audit_verify(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql stable security definer
as $$
begin
    select a.status, a.body, a.headers into status, body, headers
    from partner.audit_verify(ctx, params, input) a;
end
$$;

comment on function operator.audit_verify(jsonb, jsonb, jsonb) is
    'Proves the operators'' chain, or names the first link that is broken.';
