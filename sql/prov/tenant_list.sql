-- How a page of the list of tenants is found.
--
-- In one of two ways.  Either an index is walked that has the order asked
-- for: that of all tenants by created_at, of each status (merged), of an
-- industry or of a pair of metadata.  Whatever else was asked for is looked at in each row, and after
-- so many rows the page ends, however few it has.  Or, where a filter leaves
-- so few tenants that all of them can be looked at, those are fetched and
-- sorted.  So no page costs more than a fixed sum, and one is short only
-- where several filters together leave little of much.
--
-- The statements are text, made of fixed pieces; what a caller says is in
-- their parameters, always these:
--
--     $1  params jsonb     $2  place text   where the page begins
--     $3  first uuid       $4  statuses text[]
--     $5  label uuid       $6  few uuid[]
--     $7  most int


create or replace function prov.tenant_list_statuses(params jsonb)
    returns text[]
    language plpgsql immutable parallel safe
as $$
begin
    if params ? 'status' then
        return array(select distinct s collate "C"
                     from jsonb_array_elements_text(params -> 'status') s);

    elsif coalesce(params ->> 'sort', 'created_at') like '%created_at'
        and not params ?| array['q', 'updated_after', 'updated_before']
    then
        return null;
    end if;

    return '{pending,active,suspended,cancelled,trial_expired}';
end
$$;

comment on function prov.tenant_list_statuses(jsonb) is
    'The statuses that were asked for, or all but "deleted"; null where those '
    'have an index of their own, by created_at.';


create or replace function prov.tenant_list_label(params jsonb)
    returns uuid
    language plpgsql immutable parallel safe
as $$
begin
    if params ? 'metadata' then
        return (select prov.tenant_label(m.key, m.value)
                from jsonb_each_text(params -> 'metadata') m
                order by m.key
                limit 1);
    end if;

    return null;
end
$$;

comment on function prov.tenant_list_label(jsonb) is
    'A pair of metadata that was asked for; null when none was.';


create or replace function prov.tenant_list_range(params jsonb, alias text,
        name text)
    returns text
    language plpgsql immutable parallel safe
as $$
declare
    after_  constant text := replace(name, '_at', '_after');
    before_ constant text := replace(name, '_at', '_before');
begin
    if name in ('name_key', 'slug') then
        return case when params ? 'q' then format(
            '%1$s.%2$s >= lower($1 ->> ''q'') and '
            '%1$s.%2$s < lower($1 ->> ''q'') || chr(1114111)',
            alias, name) end;
    end if;

    return nullif(concat_ws(' and ',
        case when params ? after_ then format(
            '%s.%s > ($1 ->> %L)::timestamptz', alias, name, after_) end,
        case when params ? before_ then format(
            '%s.%s < ($1 ->> %L)::timestamptz', alias, name, before_) end),
        '');
end
$$;

comment on function prov.tenant_list_range(jsonb, text, text) is
    'The range of a column that was asked for, as a condition; null when none '
    'was.  A prefix is a range, too: up to the last character there is.';


create or replace function prov.tenant_list_fits(params jsonb)
    returns text
    language plpgsql immutable parallel safe
as $$
begin
    return concat_ws(' and ',
        case when params ? 'status' then 't.status = any ($4)'
             else 't.status <> ''deleted''' end,
        case when params ? 'email' then
            't.email_key = lower($1 ->> ''email'' collate "C")' end,
        case when params ? 'external_id' then
            't.external_id = $1 ->> ''external_id''' end,
        case when params ? 'industry' then
            't.industry = $1 ->> ''industry''' end,
        case when params ? 'metadata' then
            't.metadata @> ($1 -> ''metadata'')' end,
        prov.tenant_list_range(params, 't', 'created_at'),
        prov.tenant_list_range(params, 't', 'updated_at'),
        '(' || prov.tenant_list_range(params, 't', 'name_key') || ' or '
            || prov.tenant_list_range(params, 't', 'slug') || ')');
end
$$;

comment on function prov.tenant_list_fits(jsonb) is
    'Everything that was asked for, as a condition on a tenant "t".';


create or replace function prov.tenant_list_few(params jsonb, sort text,
        statuses text[], most int)
    returns uuid[]
    language plpgsql stable
as $$
declare
    labels    uuid[];
    found_    uuid[];
    more      uuid[];
    name      text;
    range_    text;
    statement text;
begin
    -- Here and in what follows an index is walked in its order, as the gateway's
    -- roles have it.  So a range, though it is of one value: see
    -- prov.tenant_conflict().

    if params ? 'email' then
        range_ := lower(params ->> 'email' collate "C");

        return array(select t.id from prov.tenants t
                     where t.email_key between range_ and range_
                     order by t.email_key);
    end if;

    if params ? 'external_id' then
        range_ := params ->> 'external_id';

        return array(select t.id from prov.tenants t
                     where t.external_id between range_ and range_
                     order by t.external_id);
    end if;

    -- A range of what the list is sorted by is where a walk begins and ends.
    -- A prefix may be the slug's or the name's: few of both are few.

    foreach name in array array['name_key', 'created_at', 'updated_at'] loop
        range_ := prov.tenant_list_range(params, 't', name);

        continue when range_ is null or sort in (name, '-' || name);

        execute prov.tenant_list_ids(statuses, name, range_)
            into found_ using params, statuses, most + 1;

        if name = 'name_key' and cardinality(found_) <= most then
            execute prov.tenant_list_ids(null, 'slug',
                    prov.tenant_list_range(params, 't', 'slug'))
                into more using params, statuses, most + 1;

            found_ := found_ || more;
        end if;

        if cardinality(found_) <= most then
            return array(select distinct unnest(found_));
        end if;
    end loop;

    -- A list is walked by one equality.  Another one may leave few of what it
    -- has: the status, the industry, or one of three more pairs of metadata.

    if not params ?| '{industry,metadata}' then
        return null;
    end if;

    labels := array(select prov.tenant_label(m.key, m.value)
                    from jsonb_each_text(params -> 'metadata') m
                    order by m.key
                    limit 3 offset 1);

    foreach statement in array array[
        case when params ? 'status' then
            prov.tenant_list_ids(statuses, 'created_at', 'true') end,
        case when params ?& '{industry,metadata}' then
            'select array(select t.id from prov.tenants t '
            'where t.industry = $1 ->> ''industry'' '
            'order by t.created_at limit $3)' end]
        || array(select format(
            'select array(select l.tenant from prov.tenant_labels l '
            'where l.label = ($4)[%s] order by l.created_at limit $3)', n)
            from generate_subscripts(labels, 1) n)
    loop
        continue when statement is null;

        execute statement into found_ using params, statuses, most + 1, labels;

        if cardinality(found_) <= most then
            return found_;
        end if;
    end loop;

    return null;
end
$$;

comment on function prov.tenant_list_few(jsonb, text, text[], int) is
    'Those among whom all are that were asked for, when a filter leaves so '
    'few; null when none does.';


create or replace function prov.tenant_list_ids(statuses text[], name text,
        range_ text)
    returns text
    language plpgsql immutable parallel safe
as $$
begin
    return case
        when name = 'slug' then format(
            'select array(select t.id from prov.tenants t where %s '
            'order by t.slug limit $3)', range_)
        when statuses is null then format(
            'select array(select t.id from prov.tenants t '
            'where t.status <> ''deleted'' and %s order by t.%I limit $3)',
            range_, name)
        else format(
            'select array(select f.id from unnest($2) s (status) '
            'cross join lateral (select t.id from prov.tenants t '
            'where t.status = s.status and %s order by t.%I limit $3) f '
            'limit $3)', range_, name)
        end;
end
$$;

comment on function prov.tenant_list_ids(text[], text, text) is
    'The statement that finds the ids in a range of one column, which has an '
    'index with, and one without, the status.';


create or replace function prov.tenant_list_statement(params jsonb, sort text,
        statuses text[], few uuid[])
    returns text
    language plpgsql stable
as $$
declare
    down    constant boolean := left(sort, 1) = '-';
    asked   constant text := ltrim(sort, '-');
    name    constant text := case asked when 'client_name' then 'name_key'
                                        else asked end;
    fits    constant text := prov.tenant_list_fits(params);
    alias   constant text := case when params ? 'metadata' and few is null
                                  then 'l' else 't' end;
    key     constant text := case alias when 'l' then 'tenant' else 'id' end;
    place   constant text := case name when 'name_key' then 't.name_key'
        else format('prov.list_moment(t.%I)', name) end;
    there   constant text := case name when 'name_key' then '$2'
        else 'prov.list_moment_read($2)' end;
    bounds  constant text := concat_ws(' and ',
        prov.tenant_list_range(
            case when params ? 'cursor' then params - replace(name, '_at',
                case when down then '_before' else '_after' end)
                 else params end,
            alias, case when name <> 'name_key' then name end),
        case when params ? 'cursor' then format('(%1$s.%2$I, %1$s.%3$I) %4$s '
            '(%5$s, $3)', alias, name, key,
            case when down then '<=' else '>=' end, there) end);
    tail    constant text := coalesce(' and ' || nullif(bounds, ''), '')
        || format(' order by %1$s.%2$I %4$s, %1$s.%3$I %4$s limit $7)',
            alias, name, key, case when down then 'desc' else 'asc' end);
    head    constant text := format(
        '(select t.%I as key, t.id, %s as place, case when %s '
        'then prov.tenant_text(t) end as item from ',
        name, place, fits);
begin
    -- A cursor stands for the end of the range where the walk begins.  With
    -- both, an index may be walked from the one that is farther off.

    if few is not null then
        return format(
            'select w.place, w.id, prov.tenant_text(w.whole) as item '
            'from unnest($6) f (id) cross join lateral ('
            'select t.%1$I as key, t.id, %2$s as place, t as whole '
            'from prov.tenants t where t.id = f.id and %3$s offset 0) w '
            'order by w.key %4$s, w.id %4$s limit $7',
            name, place, concat_ws(' and ', fits, nullif(bounds, '')),
            case when down then 'desc' else 'asc' end);

    elsif params ? 'metadata' then
        return head || 'prov.tenant_labels l join prov.tenants t '
            'on t.id = l.tenant where l.label = $5' || tail;

    elsif params ? 'industry' then
        return head || 'prov.tenants t where t.industry = $1 ->> ''industry'''
            || tail;

    elsif statuses is null then
        return head || 'prov.tenants t where t.status <> ''deleted''' || tail;
    end if;

    -- each status in its order, merged

    return 'select * from ('
        || (select string_agg(head || format(
                'prov.tenants t where t.status = ($4)[%s]', n) || tail,
                ' union all ' order by n)
            from generate_subscripts(statuses, 1) n)
        || format(') w order by w.key %1$s, w.id %1$s limit $7',
            case when down then 'desc' else 'asc' end);
end
$$;

comment on function prov.tenant_list_statement(jsonb, text, text[], uuid[]) is
    'The statement that finds a page, or what of it can be found by looking '
    'at so many rows: place, id, and the tenant, null for one that does not '
    'fit.';
