-- The partner API's list of tenants; sql/prov/tenant_list.sql says how a page
-- is found.


create or replace function partner.tenant_list(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language plpgsql stable security definer
as $$
declare
    most     constant int := 5000;
    size     constant int := least(greatest(
        coalesce((params ->> 'limit')::numeric::int, 25), 1), 100);
    sort     constant text := coalesce(params ->> 'sort', '-created_at');
    binding  constant bytea := prov.list_binding('tenant_list', params, sort);
    statuses constant text[] := prov.tenant_list_statuses(params);
    label    constant uuid := prov.tenant_list_label(params);
    fields   text[];
    place    text;
    first    uuid;
    newest   timestamptz := 'infinity';
    few      uuid[];
    items    text[] := '{}';
    looked   int := 0;
    depth    int := most + 1;
    next     text;
    walk     refcursor;
    row      record;
begin
    if params ? 'cursor' then
        select c.place, c.id into place, first
        from prov.list_cursor_read(binding, params ->> 'cursor') c;

        if first is null or sort not like '%client_name'
           and prov.list_moment_read(place) is null
        then
            status := 400;
            body := json_build_object('code', 'invalid_cursor',
                'detail', 'cursor must be the next_cursor of a page of this '
                          'list, with the same sort and filters, unchanged.');
            return;
        end if;
    end if;

    if params ? 'fields' then
        fields := array(select jsonb_array_elements_text(params -> 'fields'))
            || '{tenant}'::text[];
    end if;

    -- where all that is walked fits, nothing is made that is not shown

    if params - '{status,sort,limit,cursor,fields}'::text[] = '{}' then
        depth := size + 1;
    end if;

    -- The list that is asked for most is a statement of its own, planned once;
    -- making others costs as much again as a page.  Where it begins is in
    -- variables: a "coalesce" would keep row-level security from the index.

    if sort = '-created_at' and statuses is null
        and params - '{sort,limit,cursor,fields}'::text[] = '{}'
    then
        if place is null then
            first := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
        else
            newest := prov.list_moment_read(place);
        end if;

        open walk no scroll for
            select prov.list_moment(t.created_at) as place, t.id,
                prov.tenant_text(t) as item
            from prov.tenants t
            where t.status <> 'deleted'
                and (t.created_at, t.id) <= (newest, first)
            order by t.created_at desc, t.id desc
            limit depth;
    else
        few := prov.tenant_list_few(params, sort, statuses, most);

        open walk no scroll for
            execute prov.tenant_list_statement(params, sort, statuses, few)
            using params, place, first, statuses, label, few, depth;
    end if;

    -- the row after the last one shown, or looked at, is where the next page
    -- begins

    loop
        fetch walk into row;
        exit when not found;

        looked := looked + 1;

        if cardinality(items) = size or looked > most then
            next := prov.list_cursor(binding, row.place, row.id);
            exit;
        end if;

        if row.item is not null then
            items := items || case when fields is null then row.item
                else prov.list_fields(row.item, fields) end;
        end if;
    end loop;

    close walk;

    status := 200;
    body := prov.list_page(items, next);
    headers := prov.list_link((ctx ->> 'base') || '/tenants', params, size,
        next);
end
$$;

comment on function partner.tenant_list(jsonb, jsonb, jsonb) is
    'Lists the caller''s tenants, page by page.';
