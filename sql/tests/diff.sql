\ir helpers.psql
select * from no_plan();

select is(prov.json_diff(before::jsonb, after::jsonb), wanted::jsonb, name)
from (values
    ('nothing changed', '{"a": {"b": [1]}}', '{"a": {"b": [1]}}', '[]'),
    ('the order of members is no change', '{"a": 1, "b": 2}',
        '{"b": 2, "a": 1}', '[]'),
    ('nor is how a number is written', '{"a": 1}', '{"a": 1.0}', '[]'),
    ('a member that changed', '{"a": 1, "b": 2}', '{"a": 1, "b": "2"}',
        '[{"path": "/b", "before": 2, "after": "2"}]'),
    ('a new member has no before', '{}', '{"a": null}',
        '[{"path": "/a", "after": null}]'),
    ('a removed one has no after', '{"a": null}', '{}',
        '[{"path": "/a", "before": null}]'),
    ('null is a value', '{"a": null}', '{"a": false}',
        '[{"path": "/a", "before": null, "after": false}]'),
    ('an object inside is gone into', '{"a": {"b": {"c": 1, "d": 2}}}',
        '{"a": {"b": {"c": 3, "d": 2}, "e": {"f": 4}}}',
        '[{"path": "/a/b/c", "before": 1, "after": 3},
          {"path": "/a/e", "after": {"f": 4}}]'),
    ('an object that takes another''s place is not', '{"a": {"b": 1}}',
        '{"a": [{"b": 1}]}',
        '[{"path": "/a", "before": {"b": 1}, "after": [{"b": 1}]}]'),
    ('an empty object is an object', '{"a": {}}', '{"a": {"b": 1}}',
        '[{"path": "/a/b", "after": 1}]'),
    ('an array is compared as a whole', '{"a": [1, {"b": 2}]}',
        '{"a": [1, {"b": 3}]}', '[{"path": "/a", "before": [1, {"b": 2}],
        "after": [1, {"b": 3}]}]'),
    ('a name is escaped as in a pointer', '{"a/b~1": 1}', '{"": 1}',
        '[{"path": "/", "after": 1}, {"path": "/a~1b~01", "before": 1}]'),
    ('the whole has the empty path', '[1]', '[2]',
        '[{"path": "", "before": [1], "after": [2]}]'),
    ('so has a resource that is new', null, '{"a": 1}',
        '[{"path": "", "after": {"a": 1}}]'),
    ('and one that goes', '{"a": 1}', null,
        '[{"path": "", "before": {"a": 1}}]'),
    ('nothing differs from nothing', null, null, '[]')
) as t (name, before, after, wanted);

select is(prov.json_diff('{"b": 1, "B": 1, "a": {"b": 1}, "a-": 1, "ä": 1}',
        '{}') @? '$[*]' and array(
        select d ->> 'path' from jsonb_array_elements(prov.json_diff(
            '{"b": 1, "B": 1, "a": {"b": 1}, "a-": 1, "ä": 1}',
            '{"a": {}}')) d) = array['/B', '/a-', '/a/b', '/b', '/ä'], true,
    'changes are sorted by path, the same in every locale');

select is(array[length(d -> 0 ->> 'path'), jsonb_array_length(d)],
    '{256, 1}', 'depth is no matter, and no path is repeated that is long')
from prov.json_diff(
    (repeat('{"a":', 2000) || '1' || repeat('}', 2000))::jsonb,
    (repeat('{"a":', 2000) || '2' || repeat('}', 2000))::jsonb) d;

select is(array(select length(e ->> 'path') from jsonb_array_elements(d) e),
    case size when 254 then '{257, 257}'::int[] else '{256}' end,
    format('a name of %s characters', size))
from (values (254), (255)) n (size)
cross join lateral (select repeat('k', size) as name) k
cross join lateral prov.json_diff(
    jsonb_build_object(name, '{"a": 1, "b": 1}'::jsonb),
    jsonb_build_object(name, '{"a": 2, "b": 2}'::jsonb)) d;

select * from finish();
rollback;
