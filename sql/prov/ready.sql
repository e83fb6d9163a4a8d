-- Readiness: can the caller's role serve these operations here?


create or replace function prov.schema_version()
    returns int
    language plpgsql stable security definer
as $$
begin
    return (select max(m.version) from prov.migrations m);
end
$$;

comment on function prov.schema_version() is
    'The number of the latest migration; null before the first.';


create or replace function prov.ready(request jsonb, params jsonb, input jsonb,
        out status int, out body json, out headers jsonb)
    language plpgsql stable
as $$
declare
    surface  constant text := request ->> 'surface';
    version  constant int := prov.schema_version();
    needed   constant int := (request ->> 'schema_version')::numeric;
    reasons  text;
    missing  json;
begin
    -- with the caller's own rights: these are what is asked about

    select string_agg(surface || '.' || o.name || ' ' || o.reason, ', '
               order by o.position),
           json_agg(surface || '.' || o.name order by o.position)
    into reasons, missing
    from (
        select wanted.name, wanted.position,
               case
                   when f.oid is null then 'is missing'
                   when f.found <> wanted.found or f.types <> wanted.types
                       then 'does not return (' || case when wanted.several
                                then 'place bigint, ' else '' end
                            || 'status integer, body json, headers jsonb)'
                   when not f.allowed then 'may not be called'
               end as reason
        from (
            select o.name, o.position, false as several,
                   'jsonb, jsonb, jsonb' as takes,
                   '{status,body,headers}'::text[] as found,
                   '{integer,json,jsonb}'::text[] as types
            from jsonb_array_elements_text(request -> 'operations')
                 with ordinality as o (name, position)
            union all
            select s.name, 10000 + s.position, true,
                   'bigint[], jsonb[], jsonb[], jsonb[]',
                   '{place,status,body,headers}',
                   '{bigint,integer,json,jsonb}'
            from jsonb_array_elements_text(coalesce(request -> 'several',
                                                    '[]'))
                 with ordinality as s (name, position)
        ) wanted
        left join lateral (
            select p.oid,
                   array(select p.proargnames[i]
                         from generate_subscripts(p.proallargtypes, 1) i
                         where p.proargmodes[i] in ('o', 't')
                         order by i) as found,
                   array(select format_type(p.proallargtypes[i], null)
                         from generate_subscripts(p.proallargtypes, 1) i
                         where p.proargmodes[i] in ('o', 't')
                         order by i) as types,
                   has_schema_privilege(n.oid, 'usage')
                   and has_function_privilege(p.oid, 'execute') as allowed
            from pg_catalog.pg_namespace n
            join pg_catalog.pg_proc p on p.pronamespace = n.oid
            where n.nspname = surface and p.proname = wanted.name
                and p.prokind = 'f'
                and oidvectortypes(p.proargtypes) = wanted.takes
        ) f on true
    ) o
    where o.reason is not null;

    if version is null or version < needed then
        status := 503;
        body := json_build_object('code', 'not_ready', 'detail',
            format('The database''s schema is at version %s, this gateway '
                   'needs %s: run sql/migrate.',
                   coalesce(version, 0), coalesce(needed, 1)),
            'missing', coalesce(missing, '[]'));

    elsif reasons is not null then
        status := 503;
        body := json_build_object('code', 'not_ready', 'detail',
            'The database cannot serve every operation: ' || reasons
            || '; run sql/migrate.',
            'missing', missing);

    else
        status := 200;
        body := json_build_object('status', 'ready', 'schema_version',
            version);
    end if;
end
$$;

comment on function prov.ready(jsonb, jsonb, jsonb) is
    'Whether the caller''s role finds, and may call, a function of the right '
    'form for each of {"surface": …, "operations": [ … ], "several": [ … ]}; '
    'with "schema_version", whether the schema is at least that.';
