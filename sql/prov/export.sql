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


create or replace function prov.export_rows(name text, key text, tenant uuid)
    returns text
    language plpgsql stable
as $$
declare
    sorted constant text := coalesce((
        select string_agg(format('r.%I', a.attname), ', ' order by k.n)
        from pg_catalog.pg_index i
        cross join lateral unnest(i.indkey) with ordinality k (attnum, n)
        join pg_catalog.pg_attribute a on a.attrelid = i.indrelid
            and a.attnum = k.attnum
        where i.indrelid = export_rows.name::regclass and i.indisprimary),
        '1');
    rows   text;
begin
    execute format('select string_agg(to_json(e)::text, '', '') '
                   'from (select %s from %s r where r.%I = $1 order by %s) e',
                   prov.export_columns(name), name, key, sorted)
    into rows
    using tenant;

    return rows;
end
$$;

comment on function prov.export_rows(text, text, uuid) is
    'A tenant''s rows of a table, as JSON objects with commas between; null '
    'when there are none.';
