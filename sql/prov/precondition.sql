-- If-Match and If-None-Match of a change.  Those of a GET are nginx's.


create or replace function prov.precondition(params jsonb, version int,
        out status int, out body json)
    language plpgsql stable parallel safe
as $$
declare
    if_match      constant text := params ->> 'If-Match';
    if_none_match constant text := params ->> 'If-None-Match';
    tag           constant text := prov.etag(version);
    form          constant text := '^(\*|([ \t]*,)*[ \t]*(W/)?"[^"]*"'
                                   '([ \t]*,([ \t]*(W/)?"[^"]*")?)*[ \t]*)$';
    detail        text;
begin
    if if_match is not null then
        detail := case
            when if_match !~ form then
                'If-Match must be the ETag that was last seen, with its '
                'quotation marks, or several with commas between them, or *.'
            when version is null then
                'If-Match wants something that is there, and there is '
                'nothing.'

            -- the strong comparison: a weak tag is never the same

            when if_match <> '*'
                 and not exists (
                     select
                     from regexp_matches(if_match, '(W/)?("[^"]*")', 'g') m
                     where m[1] is null and m[2] = tag)
            then
                'The resource has changed since the version that If-Match '
                'names.'
        end;
    end if;

    if detail is null and if_none_match is not null then
        detail := case
            when if_none_match !~ form then
                'If-None-Match must be * here, or the ETag of what must not '
                'be there, with its quotation marks.'
            when version is null then
                null
            when if_none_match = '*' then
                'If-None-Match wants nothing to be there, and there is '
                'something.'
            when exists (
                    select
                    from regexp_matches(if_none_match, '"[^"]*"', 'g') m
                    where m[1] = tag)
            then
                'The resource is of a version that If-None-Match names.'
        end;
    end if;

    if detail is not null then
        status := 412;
        body := json_build_object('code', 'precondition_failed',
            'detail', detail);
    end if;
end
$$;

comment on function prov.precondition(jsonb, int) is
    'Status 412 and what to answer, when If-Match or If-None-Match (RFC 9110, '
    '13.1) forbid to change a resource of this version (null: it is not '
    'there); nulls when they do not.  To be asked when the row is locked, '
    'before anything is changed.';
