-- The difference between two states of a resource, for a dry run's answer, a
-- configuration's history and the audit.


create or replace function prov.json_diff(before jsonb, after jsonb)
    returns jsonb
    language plpgsql immutable parallel safe
as $$
begin
    -- Level by level rather than by a function that calls itself: how deep an
    -- input is must not be a question of the server's stack.  Only objects
    -- that are there on both sides and differ are gone into; and only as long
    -- as their path is short, because it is repeated for each member.

    return (
        with recursive node (path, before, after, inner_) as (
            select '', json_diff.before, json_diff.after,
                   jsonb_typeof(json_diff.before) = 'object'
                   and jsonb_typeof(json_diff.after) = 'object'
            union all
            select child.*, jsonb_typeof(child.before) = 'object'
                   and jsonb_typeof(child.after) = 'object'
                   and char_length(child.path) <= 255
            from node n
            cross join lateral (
                select n.path || '/'
                       || replace(replace(k.key, '~', '~0'), '/', '~1')
                           as path,
                       n.before -> k.key as before,
                       n.after -> k.key as after
                from jsonb_object_keys(
                         case when n.inner_ then n.before || n.after
                              else '{}' end) k (key)
            ) child
            where child.before is distinct from child.after
        )
        select coalesce(jsonb_agg(
                   jsonb_build_object('path', n.path)
                   || case when n.before is null then '{}'
                           else jsonb_build_object('before', n.before) end
                   || case when n.after is null then '{}'
                           else jsonb_build_object('after', n.after) end
                   order by n.path collate "C"), '[]')
        from node n
        where n.inner_ is not true
            and n.before is distinct from n.after);
end
$$;

comment on function prov.json_diff(jsonb, jsonb) is
    'What changed: [{"path": a JSON Pointer (RFC 6901), "before": …, "after": '
    '…}], sorted by path; the side that is not there is left out.  Objects '
    'are compared member by member, arrays as wholes, and so is an object with '
    'a path of more than 255 characters; SQL null is a resource that is not '
    'there.';
