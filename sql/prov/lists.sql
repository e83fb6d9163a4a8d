-- What lists share: cursors that belong to one list with its order and its
-- filters, the link to the next page, and parts of a resource.


create or replace function prov.list_binding(list text, params jsonb,
        sort text)
    returns bytea
    language sql stable parallel safe
return substring(sha256(convert_to(list || ' ' || sort || ' '
    || (params - '{limit,cursor,fields,sort}'::text[])::text, 'UTF8'))
    from 1 for 8);

comment on function prov.list_binding(text, jsonb, text) is
    'What a cursor belongs to: a list, its order, and everything it was asked '
    'for but how much of it to show.';


-- A cursor is, in base64url without padding, what it is bound to (8 bytes),
-- an id (16) and a position.  It holds a position and no right: row-level
-- security decides what is there.

create or replace function prov.list_cursor(binding bytea, place text, id uuid)
    returns text
    language sql stable parallel safe
return translate(encode(binding || uuid_send(id) || convert_to(place, 'UTF8'),
    'base64'), E'+/=\n', '-_');

comment on function prov.list_cursor(bytea, text, uuid) is
    'The opaque cursor of the page that begins at this place.';


create or replace function prov.list_cursor_read(binding bytea, cursor text,
        out place text, out id uuid)
    language plpgsql immutable parallel safe
as $$
declare
    bytes bytea;
begin
    if cursor !~ '^[A-Za-z0-9_-]+$' or length(cursor) < 32 then
        return;
    end if;

    bytes := decode(translate(cursor, '-_', '+/')
        || repeat('=', 3 - (length(cursor) + 3) % 4), 'base64');

    if substring(bytes from 1 for 8) <> binding then
        return;
    end if;

    place := convert_from(substring(bytes from 25), 'UTF8');
    id := encode(substring(bytes from 9 for 16), 'hex')::uuid;
exception
    when invalid_parameter_value or character_not_in_repertoire
         or untranslatable_character then
        place := null;
        id := null;
end
$$;

comment on function prov.list_cursor_read(bytea, text) is
    'The place and the id that a cursor of this list stands for; nulls when '
    'it is not one.';


create or replace function prov.list_moment(moment timestamptz)
    returns text
    language sql stable parallel safe
return ((extract(epoch from moment) * 1000)::bigint)::text;

comment on function prov.list_moment(timestamptz) is
    'A time as a cursor''s place: milliseconds since 1970.';


create or replace function prov.list_moment_read(place text)
    returns timestamptz
    language plpgsql immutable parallel safe
as $$
declare
    milliseconds bigint;
begin
    if place !~ '^[0-9]{1,15}$' then
        return null;
    end if;

    milliseconds := place::bigint;

    if milliseconds > 253402300799999 then
        return null;  -- after the year 9999
    end if;

    -- days and the rest apart: one product would be too large to be exact

    return (timestamp 'epoch' + milliseconds / 86400000 * interval '1 day'
        + milliseconds % 86400000 * interval '1 ms') at time zone 'UTC';
end
$$;

comment on function prov.list_moment_read(text) is
    'The time that a cursor''s place stands for; null when it is none.';


create or replace function prov.url_encode(word text)
    returns text
    language plpgsql immutable parallel safe
as $$
begin
    if word ~ '^[A-Za-z0-9._~-]*$' then
        return word;
    end if;

    return (
        select string_agg(case when c.char ~ '^[A-Za-z0-9._~-]$' then c.char
            else upper(regexp_replace(encode(convert_to(c.char, 'UTF8'),
                     'hex'), '(..)', '%\1', 'g')) end, '' order by c.n)
        from regexp_split_to_table(word, '') with ordinality c (char, n));
end
$$;

comment on function prov.url_encode(text) is
    'Percent-encoded (RFC 3986), but for the unreserved characters.';


create or replace function prov.list_link(path text, params jsonb, size int,
        cursor text)
    returns jsonb
    language plpgsql stable parallel safe
as $$
declare
    query text;
begin
    if cursor is null then
        return null;
    end if;

    select string_agg(case jsonb_typeof(p.value)
        when 'object' then (
            select string_agg(p.key || '%5B' || prov.url_encode(m.key)
                || '%5D=' || prov.url_encode(m.value), '&' order by m.key)
            from jsonb_each_text(p.value) m)
        when 'array' then case p.key
            when 'fields' then p.key || '=' || (
                select string_agg(prov.url_encode(e.value), ','
                    order by e.n)
                from jsonb_array_elements_text(p.value)
                     with ordinality e (value, n))
            else (
                select string_agg(p.key || '=' || prov.url_encode(e.value),
                    '&' order by e.n)
                from jsonb_array_elements_text(p.value)
                     with ordinality e (value, n))
            end
        else p.key || '=' || prov.url_encode(p.value #>> '{}')
        end, '&' order by p.key)
    into query
    from jsonb_each(params - '{limit,cursor,tenant}'::text[]) p;

    return jsonb_build_object('Link', format('<%s?%slimit=%s&cursor=%s>; '
        'rel="next"', path, query || '&', size, cursor));
end
$$;

comment on function prov.list_link(text, jsonb, int, text) is
    'The headers of a page: a link to the next one (RFC 8288) with everything '
    'that this one was asked for; null without a cursor.';


create or replace function prov.list_fields(item text, fields text[])
    returns text
    language sql immutable parallel safe
return (
    select '{' || string_agg(to_json(m.key) || ': ' || m.value, ', '
               order by m.n) || '}'
    from json_each(item::json) with ordinality m (key, value, n)
    where m.key = any (fields));

comment on function prov.list_fields(text, text[]) is
    'These members of a resource, in its own order and its own spelling.';


create or replace function prov.tenant_label(key text, value text)
    returns uuid
    language sql stable parallel safe
return encode(substring(sha256(convert_to(char_length(key) || ':' || key
    || value, 'UTF8')) from 1 for 16), 'hex')::uuid;

comment on function prov.tenant_label(text, text) is
    'What a pair of metadata is found by in prov.tenant_labels.';


create or replace function prov.list_page(items text[], next text)
    returns json
    language sql stable parallel safe
return ('{"data": [' || coalesce(array_to_string(items, ', '), '')
    || '], "next_cursor": ' || coalesce(to_json(next)::text, 'null')
    || '}')::json;

comment on function prov.list_page(text[], text) is
    'A page of a list: what is on it, each the text of a JSON value, and the '
    'cursor of the next one, or null.';


-- Of a list whose cursor is prov.cursor_write()'s.

create or replace function prov.list_begin(list text, params jsonb,
        out size int, out moment timestamptz, out id uuid)
    language plpgsql stable parallel safe
as $$
begin
    size := least(greatest(
        coalesce((params ->> 'limit')::numeric::int, 25), 1), 100);

    if params ->> 'cursor' is null then
        moment := 'infinity';
        id := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
    else
        select c.moment, c.id into moment, id
        from prov.cursor_read(list, params ->> 'cursor') c;
    end if;
end
$$;

comment on function prov.list_begin(text, jsonb) is
    'How long a page is, and the row that it begins with, of a list with the '
    'newest first; no moment when the cursor is none of this list.';


create or replace function prov.list_invalid_cursor()
    returns json
    language sql stable parallel safe
return json_build_object('code', 'invalid_cursor',
    'detail', 'cursor must be the next_cursor of a page of this list, '
              'unchanged.');

comment on function prov.list_invalid_cursor() is
    'What to answer, with status 400, to a cursor that is none of this list.';
