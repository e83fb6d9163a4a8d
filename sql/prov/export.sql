-- Everything about a tenant, table by table, as the catalog says where it is.


create or replace function prov.export_columns(name text)
    returns text
    language plpgsql stable
as $$
begin
    return (
        select string_agg(
                   case
                       when col_description(a.attrelid, a.attnum) ~ '^Secret'
                           then format('case when r.%1$I is not null then '
                               '''[redacted]'' end as %1$I', a.attname)
                       when a.atttypid = 'timestamptz'::regtype
                           then format('prov.rfc3339(r.%1$I) as %1$I',
                               a.attname)
                       else format('r.%I', a.attname)
                   end, ', ' order by a.attnum)
        from pg_catalog.pg_attribute a
        where a.attrelid = export_columns.name::regclass and a.attnum > 0
            and not a.attisdropped);
end
$$;

comment on function prov.export_columns(text) is
    'The columns of a table as an export shows them: times as everywhere, and '
    'in place of a secret that there is one.  A column is a secret when its '
    'comment begins with that word.';


create or replace function prov.export_rows(name text, key text, tenant uuid,
        after text[], room int, out rows text, out place text[])
    language plpgsql stable
as $$
declare
    columns  text;
    values_  text;
    places   text;
    part     record;
begin
    -- the primary key: what rows are sorted by, and where to go on

    select string_agg(format('r.%I', a.attname), ', ' order by k.n),
           string_agg(format('($2)[%s]::%s', k.n,
               format_type(a.atttypid, a.atttypmod)), ', ' order by k.n),
           string_agg(format('r.%I::text', a.attname), ', ' order by k.n)
    into columns, values_, places
    from pg_catalog.pg_index i
    cross join lateral unnest(i.indkey) with ordinality k (attnum, n)
    join pg_catalog.pg_attribute a on a.attrelid = i.indrelid
        and a.attnum = k.attnum
    where i.indrelid = export_rows.name::regclass and i.indisprimary;

    -- found by its key first, as "offset 0" has it, and then sorted

    for part in
        execute format('select (select to_json(e) from (select %s) e)::text '
                       'as line, array[%s]::text[] as place '
                       'from (select k.* from %s k '
                           'where k.%4$I between $1 and $1 '
                           'order by k.%4$I offset 0) r '
                       'where %s order by %s',
                       prov.export_columns(name), places, name, key,
                       case when after is null then 'true'
                           else format('(%s) > (%s)', columns, values_) end,
                       coalesce(columns, '1'))
        using tenant, after
    loop
        -- a place must have room in the name of a page

        if octet_length(rows) >= room and places is not null
           and octet_length(place::text) < 300
        then
            return;
        end if;

        rows := concat_ws(', ', rows, part.line);
        place := part.place;
    end loop;

    place := null;
end
$$;

comment on function prov.export_rows(text, text, uuid, text[], int) is
    'A tenant''s rows of a table, as JSON objects with commas between, about '
    'as many bytes as there is room, and the place to go on after; null when '
    'there are no more.';
