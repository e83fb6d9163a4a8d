\ir helpers.psql
select * from no_plan();

-- Where each operation leads from each status, and what it leaves behind.

create function pg_temp.step(operation text, tenant uuid, input jsonb)
    returns text
    language sql
as $$
    select concat_ws(' ', c.status, c.body ->> 'code', c.body ->> 'from',
        c.body ->> 'to')
    from pg_temp.call('partner.tenant_' || operation,
        pg_temp.context('alpha', jsonb_build_object('operation', operation)),
        jsonb_build_object('tenant', tenant), input) c;
$$;

create temporary table outcome (line text);

do $$
declare
    from_     text;
    operation text;
    made      uuid;
    answer    text;
begin
    foreach from_ in array array['pending', 'active', 'suspended',
        'cancelled', 'trial_expired', 'deleted']
    loop
        foreach operation in array array['suspend', 'resume', 'cancel',
            'restore', 'delete']
        loop
            made := prov.uuid7();
            insert into prov.tenants (id, partner, slug, client_name, email,
                status, suspended_from, deleted_from, deleted_at)
            values (made, '00000000-0000-7000-8000-00000000000a', made, 'X',
                made || '@example.com', from_,
                case from_ when 'suspended' then 'trial_expired' end,
                case from_ when 'deleted' then 'pending' end,
                case from_ when 'deleted' then now() end);

            answer := pg_temp.step(operation, made, '{"reason": "r"}');

            insert into outcome
            select format('%s %s: %s, %s', from_, operation, answer,
                concat_ws(' ', t.status, t.status_reason,
                    case when t.status_changed_at is not null then 'changed'
                    end,
                    '<' || t.suspended_from, '<<' || t.deleted_from,
                    case when t.deleted_at is not null then 'gone' end,
                    case when t.purge_after is not null then 'due' end,
                    t.version))
            from prov.tenants t
            where t.id = made;
        end loop;
    end loop;
end
$$;

-- what is answered; status, reason, "changed" since it was made, "<" what it
-- was before a suspension, "<<" before a deletion, version

select results_eq('select line from outcome', array[
    'pending suspend: 200, suspended r changed <pending 2',
    'pending resume: 409 invalid_transition pending active, pending 1',
    'pending cancel: 200, cancelled r changed 2',
    'pending restore: 409 invalid_transition pending pending, pending 1',
    'pending delete: 200, deleted <<pending gone due 2',
    'active suspend: 200, suspended r changed <active 2',
    'active resume: 409 invalid_transition active active, active 1',
    'active cancel: 200, cancelled r changed 2',
    'active restore: 409 invalid_transition active active, active 1',
    'active delete: 200, deleted <<active gone due 2',
    'suspended suspend: 409 invalid_transition suspended suspended, '
        'suspended <trial_expired 1',
    'suspended resume: 200, trial_expired r changed 2',
    'suspended cancel: 200, cancelled r changed 2',
    'suspended restore: 409 invalid_transition suspended suspended, '
        'suspended <trial_expired 1',
    'suspended delete: 200, deleted <trial_expired <<suspended gone due 2',
    'cancelled suspend: 409 invalid_transition cancelled suspended, '
        'cancelled 1',
    'cancelled resume: 409 invalid_transition cancelled active, cancelled 1',
    'cancelled cancel: 409 invalid_transition cancelled cancelled, '
        'cancelled 1',
    'cancelled restore: 409 invalid_transition cancelled cancelled, '
        'cancelled 1',
    'cancelled delete: 200, deleted <<cancelled gone due 2',
    'trial_expired suspend: 200, suspended r changed <trial_expired 2',
    'trial_expired resume: 409 invalid_transition trial_expired active, '
        'trial_expired 1',
    'trial_expired cancel: 200, cancelled r changed 2',
    'trial_expired restore: 409 invalid_transition trial_expired '
        'trial_expired, trial_expired 1',
    'trial_expired delete: 200, deleted <<trial_expired gone due 2',
    'deleted suspend: 409 invalid_transition deleted suspended, deleted '
        '<<pending gone 1',
    'deleted resume: 409 invalid_transition deleted active, deleted '
        '<<pending gone 1',
    'deleted cancel: 409 invalid_transition deleted cancelled, deleted '
        '<<pending gone 1',
    'deleted restore: 200, pending 2',
    'deleted delete: 200, deleted <<pending gone 1'
], 'each operation leads from some statuses to one, and no further');

select is((select count(*) from prov.audit where status = 200), 15::bigint,
    'what was done is in the audit');

-- how long a deleted tenant stays

create function pg_temp.grace()
    returns interval
    language plpgsql
as $$
declare
    made constant uuid := prov.uuid7();
begin
    insert into prov.tenants (id, partner, slug, client_name, email)
    values (made, '00000000-0000-7000-8000-00000000000a', made, 'X',
        made || '@example.com');
    perform pg_temp.step('delete', made, null);
    return (select t.purge_after - t.deleted_at from prov.tenants t
            where t.id = made);
end
$$;

select is(pg_temp.grace(), '30 days', 'a deleted tenant can be restored for '
    '30 days');
set local prov.purge_after = '2 hours';
select is(pg_temp.grace(), '2 hours', 'or as long as is set');
set local prov.purge_after = '0';
select is(pg_temp.grace(), '0', 'or not at all for certain');
set local prov.purge_after = '';
select is(pg_temp.grace(), '30 days', 'nothing set is 30 days');

-- One moment, told twice: the clock is read once.

do $$
declare
    made uuid;
    step text;
    c    record;
begin
    create temporary table told (what text, moment text, updated text);

    for i in 1 .. 60 loop
        made := prov.uuid7();
        insert into prov.tenants (id, partner, slug, client_name, email)
        values (made, '00000000-0000-7000-8000-00000000000a', made, 'X',
            made || '@example.com');

        foreach step in array array['suspend', 'resume', 'cancel', 'delete']
        loop
            select * into c
            from pg_temp.call('partner.tenant_' || step,
                pg_temp.context('alpha', jsonb_build_object('operation',
                    'tenant_' || step)),
                jsonb_build_object('tenant', made), '{"reason": "x"}');

            insert into told values (step, c.body ->> case step
                when 'delete' then 'deleted_at' else 'status_changed_at' end,
                c.body ->> 'updated_at');
        end loop;
    end loop;
end
$$;

select is((select count(*) from told), 240::bigint, 'statuses were changed');
select is_empty('select * from told where moment is distinct from updated',
    'each at one moment');

-- A name that was there before its rule is no obstacle.

do $$
begin
    alter domain prov.name drop constraint name_invalid_2;
    insert into prov.tenants (id, partner, slug, client_name, email)
    values ('00000000-0000-7000-8000-0000000000f1',
        '00000000-0000-7000-8000-00000000000a', 'unseen', E'A\u200bB',
        'unseen@example.com');
    alter domain prov.name add constraint name_invalid_2 check (
        value !~ '\u200b') not valid;
end
$$;

select is(pg_temp.step(operation, '00000000-0000-7000-8000-0000000000f1',
    '{"reason": "x"}'), '200', 'a tenant whose name would be refused now: '
    || operation)
from unnest(array['suspend', 'resume', 'delete', 'restore']) operation;

select * from finish();
rollback;
