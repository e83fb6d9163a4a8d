-- What must be there before the first migration: roles, their settings, the
-- privileges of the database itself, the schemas, and the record of what was
-- applied.  sql/migrate runs it every time, in one transaction; a second run
-- changes nothing.  Roles belong to the whole cluster, so another database of
-- the cluster may have made them already.

do $$
begin
    if current_setting('server_version_num')::int < 150000 then
        raise exception 'this server is PostgreSQL %: 15 or later is needed',
            current_setting('server_version');
    end if;

    if current_setting('server_encoding') <> 'UTF8' then
        raise exception 'database "%" is encoded in %: create it with '
            'encoding ''UTF8'' template template0',
            current_database(), current_setting('server_encoding');
    end if;
end
$$;


-- Roles.  prov_owner owns the tables, prov_api the functions; nobody logs in
-- as either.  Each surface has a login role of its own, and so has what is
-- done after the answer (prov_worker, which a lost network does not keep
-- waiting for long).  It does without sequential scans, because every
-- statement of an operation has its index, and a plan made while a table was
-- empty must not outlive that; without bitmaps, because what is asked for is
-- the first of an index's order, or few rows, and a bitmap would have all of a
-- partner's rows read for that; without sorting, as far as an index has the
-- order, for the same reason; without compiled expressions, because no
-- statement is long enough to earn them back; without remembering what a
-- function said, because it may open rows; and with one plan for all callers,
-- because none is worth being made twice.

do $$
declare
    wanted  record;
    found_  pg_catalog.pg_roles;
    setting text;
    change  text;
    surface constant text[] := array['search_path=pg_catalog',
        'default_transaction_isolation=read committed',
        'statement_timeout=4s', 'lock_timeout=2s',
        'idle_in_transaction_session_timeout=10s',
        'enable_seqscan=off', 'enable_bitmapscan=off', 'enable_sort=off',
        'enable_incremental_sort=off', 'jit=off', 'enable_memoize=off',
        'plan_cache_mode=force_generic_plan'];
begin
    for wanted in
        select *
        from (values
            ('prov_owner', false, array['search_path=pg_catalog']),
            ('prov_api', false, array['search_path=pg_catalog']),
            ('prov_partner', true, surface),
            ('prov_operator', true, surface),
            ('prov_worker', true, surface || array['tcp_user_timeout=30s'])
        ) as r (name, login, settings)
    loop
        if not exists (select from pg_catalog.pg_roles
                       where rolname = wanted.name)
        then
            begin
                execute format('create role %I %s', wanted.name,
                    case when wanted.login then 'login' else 'nologin' end);
            exception
                when duplicate_object or unique_violation then
                    null;  -- another database's migrate was a moment faster
            end;
        end if;

        select r.* into found_ from pg_catalog.pg_roles r
        where r.rolname = wanted.name;

        if found_.rolsuper or found_.rolbypassrls or found_.rolcreaterole
           or found_.rolcreatedb or found_.rolreplication
        then
            raise exception 'role % may more than it should; as a superuser '
                'run: alter role % nosuperuser nobypassrls nocreaterole '
                'nocreatedb noreplication', wanted.name, wanted.name;
        end if;

        if found_.rolcanlogin <> wanted.login then
            raise exception 'role % %; run: alter role % %', wanted.name,
                case when wanted.login then 'cannot log in'
                     else 'can log in' end, wanted.name,
                case when wanted.login then 'login' else 'nologin' end;
        end if;

        -- what an operator has set to another value stays, but for the path

        foreach setting in array wanted.settings loop
            if not exists (
                select
                from pg_catalog.pg_db_role_setting s
                cross join lateral unnest(s.setconfig) as c (value)
                where s.setrole = found_.oid and s.setdatabase = 0
                    and (c.value = setting
                         or setting not like 'search_path=%'
                            and split_part(c.value, '=', 1)
                                = split_part(setting, '=', 1)))
            then
                change := format('alter role %I set %s = %L', wanted.name,
                    split_part(setting, '=', 1), split_part(setting, '=', 2));

                begin
                    execute change;
                exception
                    when insufficient_privilege then
                        raise exception 'role % lacks a setting; as a '
                            'superuser run: %', wanted.name, change;
                end;
            end if;
        end loop;
    end loop;

    if exists (
        select
        from unnest(array['prov_owner', 'prov_api', 'prov_partner',
                          'prov_operator', 'prov_worker']) as a (name),
             unnest(array['prov_owner', 'prov_api', 'prov_partner',
                          'prov_operator', 'prov_worker']) as b (name)
        where a.name <> b.name and pg_has_role(a.name, b.name, 'member'))
    then
        raise exception 'prov_owner, prov_api, prov_partner, prov_operator '
            'and prov_worker must not be members of each other; revoke the '
            'membership';
    end if;
end
$$;


-- Who migrates acts as both; a superuser can anyway.

do $$
declare
    role text;
begin
    foreach role in array array['prov_owner', 'prov_api'] loop
        begin
            execute format('set local role %I', role);
            reset role;
        exception
            when insufficient_privilege then
                execute format('grant %I to current_user', role);
        end;
    end loop;
exception
    when insufficient_privilege then
        raise exception 'role "%" can neither become prov_owner and prov_api '
            'nor grant itself that; as a superuser run: '
            'grant prov_owner, prov_api to "%"', current_user, current_user;
end
$$;


-- The database.  PostgreSQL lets everybody make temporary tables; a role
-- that can make an object can make one that hides another.

do $$
declare
    login name;
begin
    if has_database_privilege('public', current_database(), 'temporary')
       or has_database_privilege('public', current_database(), 'create')
    then
        execute format('revoke create, temporary on database %I from public',
            current_database());
    end if;

    if has_schema_privilege('public', 'public', 'create') then
        revoke create on schema public from public;
    end if;

    foreach login in array array['prov_partner', 'prov_operator',
                               'prov_worker'] loop
        if not has_database_privilege(login, current_database(), 'connect')
        then
            execute format('grant connect on database %I to %I',
                current_database(), login);
        end if;
    end loop;
exception
    when invalid_schema_name then
        null;  -- no schema "public": nothing to close
end
$$;

do $$
declare
    login name;
begin
    foreach login in array array['prov_partner', 'prov_operator',
                               'prov_worker'] loop
        if has_database_privilege(login, current_database(),
                                  'temporary, create')
           or not has_database_privilege(login, current_database(),
                                         'connect')
        then
            raise exception 'role % must be able to connect to database '
                '"%", and not to create anything in it; as its owner or a '
                'superuser run: revoke create, temporary on database % from '
                'public, %; grant connect on database % to %', login,
                current_database(), quote_ident(current_database()), login,
                quote_ident(current_database()), login;
        end if;
    end loop;
end
$$;


-- Schemas: prov for the control plane and what the surfaces share, then one
-- per surface.

do $$
declare
    wanted record;
    owner  name;
begin
    for wanted in
        select *
        from (values
            ('prov', 'Control plane: partners, tenants, audit, and what '
                'every surface shares.'),
            ('partner', 'Operations of the partner API, one function each, '
                'named by its operationId.'),
            ('operator', 'Operations of the operator API, one function each, '
                'named by its operationId.')
        ) as s (name, comment)
    loop
        select pg_get_userbyid(n.nspowner) into owner
        from pg_catalog.pg_namespace n
        where n.nspname = wanted.name;

        if not found then
            execute format('create schema %I authorization prov_owner',
                wanted.name);
        elsif owner <> 'prov_owner' then
            raise exception 'database "%" already has a schema "%", of role '
                '"%": use a database of its own',
                current_database(), wanted.name, owner;
        end if;

        set local role prov_owner;
        execute format('comment on schema %I is %L', wanted.name,
            wanted.comment);
        execute format('grant usage on schema %I to prov_api', wanted.name);

        if wanted.name in ('prov', 'partner') then
            execute format('grant usage on schema %I to prov_partner',
                wanted.name);
        end if;

        if wanted.name in ('prov', 'operator') then
            execute format('grant usage on schema %I to prov_operator',
                wanted.name);
        end if;

        if wanted.name = 'prov' then
            execute format('grant usage on schema %I to prov_worker',
                wanted.name);
        end if;

        reset role;
    end loop;

    alter default privileges for role prov_owner, prov_api
        revoke execute on functions from public;
end
$$;


-- What was applied.  sql/migrate writes it, prov.ready() reads it.

do $$
begin
    set local role prov_owner;

    if to_regclass('prov.migrations') is null then
        create table prov.migrations (
            version    int not null
                       constraint migration_applied primary key,
            name       text not null,
            checksum   text not null,
            applied_at timestamptz(3) not null default now(),
            applied_by text not null default session_user
        );

        comment on table prov.migrations is
            'Which files of sql/migrations were applied, and their SHA-256.';

        alter table prov.migrations enable row level security;
        alter table prov.migrations force row level security;

        create policy migrations_of_owner on prov.migrations
            to prov_owner using (true) with check (true);
        create policy migrations_shown on prov.migrations
            for select to prov_api using (true);

        grant select on prov.migrations to prov_api;
    end if;

    reset role;
end
$$;
