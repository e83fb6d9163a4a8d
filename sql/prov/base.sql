-- Small values that every resource renders or reads: times, entity tags,
-- ids, slugs, cursors.  None of them looks at a table.
--
-- The ones in "language sql" are inlined into the statements that use them,
-- and only as long as they are declared no stricter than what they call: most
-- of what turns a value into text is stable, not immutable.  Not inlined, one
-- of them costs a read a fifth of its throughput.


create or replace function prov.rfc3339(moment timestamptz)
    returns text
    language sql stable parallel safe
return to_char(moment at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');

comment on function prov.rfc3339(timestamptz) is
    'RFC 3339, UTC, always with three digits of milliseconds.';


create or replace function prov.etag(version int)
    returns text
    language sql stable parallel safe
return '"' || version || '"';

comment on function prov.etag(int) is
    'The strong entity tag (RFC 9110, 8.8.3) of a version of a resource.';


create or replace function prov.uuid7()
    returns uuid
    language plpgsql volatile parallel safe
as $$
declare
    milliseconds constant bigint :=
        floor(extract(epoch from clock_timestamp()) * 1000);
begin
    -- a random (version 4) one, its first 48 bits replaced by the time and
    -- its version, 0100, by 0111 (RFC 9562, 5.7)

    return encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                placing substring(int8send(milliseconds) from 3) from 1),
            52, 1), 53, 1), 'hex')::uuid;
end
$$;

comment on function prov.uuid7() is
    'A UUID version 7, for rows that no request makes.';


create or replace function prov.latin(word text)
    returns text
    language plpgsql immutable parallel safe
as $$
declare
    latin text;
    pair  text;
begin
    -- compatibility forms taken apart, combining marks dropped

    latin := regexp_replace(normalize(word, nfkd), '[\u0300-\u036f]', '',
        'g');

    latin := translate(latin,
        'АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯЄІЃҐЂЈЉЊЋЏ'
        'ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩÆŒØÐĐÞŁĦẞıŊ',
        'абвгдежзийклмнопрстуфхцчшщъыьэюяєіѓґђјљњћџ'
        'αβγδεζηθικλμνξοπρστυφχψωæœøđđþłħßiŋ');

    foreach pair in array array[
        'æae', 'œoe', 'ßss', 'þth', 'жzh', 'хkh', 'цts', 'чch', 'шsh',
        'щshch', 'юyu', 'яya', 'єye', 'љlj', 'њnj', 'џdz', 'θth', 'χch',
        'ψps']
    loop
        latin := replace(latin, left(pair, 1), substring(pair from 2));
    end loop;

    return translate(latin,
        'øđðłħŋабвгдезийклмнопрстуфыэіѓґђјћαβγδεζηικλμνξοπρσςτυφω'
        '''’ʼъь',
        'oddlhnabvgdeziiklmnoprstufyeiggdjcavgdeziiklmnxoprsstyfo');
end
$$;

comment on function prov.latin(text) is
    'A word in Latin letters without accents, as far as that goes: Greek and '
    'Cyrillic letter by letter; what is left of other scripts is not Latin.';


create or replace function prov.slug(name text)
    returns text
    language sql immutable parallel safe
return coalesce(nullif(rtrim(left(btrim(regexp_replace(replace(lower(
    case when octet_length(name) <> char_length(name) then prov.latin(name)
         else name end collate "C"), '''', ''), '[^a-z0-9]+', '-', 'g'), '-'),
    63), '-'), ''), 'tenant');

comment on function prov.slug(text) is
    'The slug that a name suggests: 1 to 63 of [a-z0-9-], "tenant" when '
    'nothing of the name is left.';


-- Of an id, version 7, the last digits are random: 24, then 62 bits; the third
-- time the whole id is in it, and the whole id is unique.

create or replace function prov.slug_apart(slug text, id uuid, attempt int)
    returns text
    language sql immutable parallel safe
return rtrim(left(slug, case attempt when 1 then 56 when 2 then 46 else 30
                        end), '-') || '-'
    || right(replace(id::text, '-', ''),
             case attempt when 1 then 6 when 2 then 16 else 32 end);

comment on function prov.slug_apart(text, uuid, int) is
    'The slug with something of the id appended, more with each attempt, so '
    'that namesakes never meet and nobody has to count them.';


-- A cursor is 27 bytes in base64url: three letters that say which list in
-- which order it belongs to, milliseconds since 1970, the id.  It holds a
-- position and no right: row-level security decides what is there.

create or replace function prov.cursor_write(list text, moment timestamptz,
        id uuid)
    returns text
    language sql stable parallel safe
return translate(
    encode(convert_to(list, 'UTF8')
        || int8send((extract(epoch from moment) * 1000)::bigint)
        || uuid_send(id), 'base64'),
    '+/', '-_');

comment on function prov.cursor_write(text, timestamptz, uuid) is
    'The opaque cursor of the page that begins with this row.';


create or replace function prov.cursor_read(list text, cursor text,
        out moment timestamptz, out id uuid)
    language plpgsql immutable parallel safe
as $$
declare
    bytes        bytea;
    milliseconds bigint;
begin
    if cursor !~ '^[A-Za-z0-9_-]{36}$' then
        return;
    end if;

    bytes := decode(translate(cursor, '-_', '+/'), 'base64');

    if substring(bytes from 1 for 3) <> convert_to(list, 'UTF8') then
        return;
    end if;

    milliseconds := ('x' || encode(substring(bytes from 4 for 8), 'hex'))
        ::bit(64)::bigint;

    -- up to the year 9999

    if milliseconds not between 0 and 253402300799999 then
        return;
    end if;

    -- days and the rest apart: one product would be too large to be exact

    moment := (timestamp 'epoch' + milliseconds / 86400000 * interval '1 day'
        + milliseconds % 86400000 * interval '1 ms') at time zone 'UTC';
    id := encode(substring(bytes from 12), 'hex')::uuid;
end
$$;

comment on function prov.cursor_read(text, text) is
    'The position that a cursor of this list stands for; nulls when it is '
    'not one.';
