-- How a tenant ends: how long a deleted one can be restored, which tables
-- have something of it, and its removal for good.


create or replace function prov.purge_after()
    returns interval
    language plpgsql stable
as $$
begin
    return coalesce(nullif(current_setting('prov.purge_after', true), ''),
                    '30 days');
end
$$;

comment on function prov.purge_after() is
    'How long a deleted tenant can be restored: 30 days, or what the setting '
    'prov.purge_after of the database or of the gateway''s role says.';


create or replace function prov.tenant_tables()
    returns table (name text, key text, kept boolean)
    language plpgsql stable
as $$
begin
    -- The tables that have a column "tenant", and the tenants' own.  (The
    -- details of a tenant's audit are those of its chain.)  In the
    -- order in which rows can be removed: who refers to another goes first,
    -- and so does everything that refers to a tenant; then the tenant, and
    -- what may go only when its tenant has.

    return query
        with recursive belonging as (
            select c.oid, format('%I.%I', n.nspname, c.relname) as name,
                   a.attname::text as key,
                   exists (select
                           from pg_catalog.pg_trigger g
                           join pg_catalog.pg_proc p on p.oid = g.tgfoid
                           where g.tgrelid = c.oid and g.tgtype & 8 <> 0
                               and p.pronamespace = 'prov'::regnamespace
                               and p.proname = 'append_only') as kept
            from pg_catalog.pg_class c
            join pg_catalog.pg_namespace n on n.oid = c.relnamespace
            join pg_catalog.pg_attribute a on a.attrelid = c.oid
            where n.nspname in ('prov', 'tenant')
                and c.relkind in ('r', 'p') and not c.relispartition
                and a.attnum > 0 and not a.attisdropped
                and a.attname = case c.oid
                    when 'prov.tenants'::regclass then 'id'
                    when 'prov.audit_details'::regclass then 'chain'
                    else 'tenant' end
        ), path (child, parent, length) as (
            select f.conrelid, f.confrelid, 1
            from pg_catalog.pg_constraint f
            where f.contype = 'f' and f.conrelid <> f.confrelid
            union
            select p.child, f.confrelid, p.length + 1
            from path p
            join pg_catalog.pg_constraint f on f.conrelid = p.parent
            where f.contype = 'f' and f.conrelid <> f.confrelid
                and p.length < 32
        )
        select b.name, b.key, b.kept
        from belonging b
        left join path p on p.child = b.oid
        group by b.oid, b.name, b.key, b.kept
        order by b.oid = 'prov.tenants'::regclass
                 or coalesce(bool_or(p.parent = 'prov.tenants'::regclass),
                             false) desc,
                 coalesce(max(p.length) filter (
                     where p.parent = any (array(select oid from belonging))),
                     0) desc,
                 b.name;
end
$$;

comment on function prov.tenant_tables() is
    'Which tables have rows of a tenant, and in which column its id is; found '
    'from the catalog, in the order in which they can be emptied.  What is '
    'kept is append-only, and has nothing personal of a tenant.';


create or replace function prov.purge(ctx jsonb, tenant prov.tenants)
    returns json
    language plpgsql
as $$
declare
    principal constant jsonb := ctx -> 'principal';
    removed   jsonb := '{}';
    part      record;
    n         bigint;
    receipt   prov.purges;
begin
    -- what grows inside a tenant is seen by this

    perform set_config('prov.tenant', tenant.id::text, true);

    for part in
        select t.name, t.key from prov.tenant_tables() t where not t.kept
    loop
        -- a value and a range of it are less than the planner takes for one
        -- partner's, of which it knows as little

        execute format('delete from %1$s where %2$I = $1 '
                       'and %2$I between $1 and $1', part.name, part.key)
            using tenant.id;

        get diagnostics n = row_count;

        if n > 0 then
            removed := removed || jsonb_build_object(part.name, n);
        end if;
    end loop;

    perform prov.idempotency_forget(tenant.id);

    insert into prov.purges (tenant, partner, mutation, kind, subject, issuer,
        key_id, removed)
    values (tenant.id, tenant.partner, (ctx ->> 'mutation')::uuid,
        principal ->> 'kind', principal ->> 'subject', principal ->> 'issuer',
        principal ->> 'key', removed)
    returning * into receipt;

    return json_build_object('tenant', receipt.tenant,
        'purged_at', prov.rfc3339(receipt.purged_at),
        'purged_by', json_build_object('kind', receipt.kind,
            'subject', receipt.subject, 'issuer', receipt.issuer,
            'key', receipt.key_id),
        'removed', receipt.removed);
end
$$;

comment on function prov.purge(jsonb, prov.tenants) is
    'Removes every row of a locked tenant, wherever it is, and leaves a '
    'receipt, which is returned.';


create or replace function prov.purge_expired(size int default 100)
    returns int
    language plpgsql security definer
as $$
declare
    owners  uuid[];
    owner   uuid;
    purged  int := 0;
    tenant  prov.tenants;
    ctx     jsonb;
begin
    perform set_config('prov.partner', '', true);

    perform set_config('prov.operator', 'on', true);
    owners := array(select p.id from prov.partners p order by p.created_at);
    perform set_config('prov.operator', '', true);

    foreach owner in array owners loop
        exit when purged >= size;

        perform set_config('prov.partner', owner::text, true);

        -- who is being restored this very moment is left alone

        for tenant in
            select t.*
            from prov.tenants t
            where t.purge_after <= now() and t.status = 'deleted'
            order by t.purge_after
            limit size - purged
            for update skip locked
        loop
            ctx := jsonb_build_object('mutation', prov.uuid7(),
                'partner', owner, 'operation', 'tenant_purge',
                'principal', '{"kind": "system", "subject": "purge_expired"}'
                    ::jsonb);

            perform prov.record(ctx, 'tenant', tenant.id, tenant.id, 200,
                null, prov.purge(ctx, tenant), null, 'tenant.purged');

            purged := purged + 1;
        end loop;
    end loop;

    perform set_config('prov.partner', '', true);
    perform set_config('prov.tenant', '', true);

    return purged;
end
$$;

comment on function prov.purge_expired(int) is
    'Removes deleted tenants, of whatever partner, whose time of grace is '
    'over: at most so many, in one transaction; returns how many.  For an '
    'operator to call from time to time, until it returns 0.';
