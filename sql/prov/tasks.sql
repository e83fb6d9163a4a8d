-- What is done from time to time, a part at a time: prov.job_run() calls
-- prov.job_task() for whoever has leased the task's job.


create or replace function prov.job_task(job prov.jobs, out verdict text,
        out wait int, out step int, out data jsonb)
    language plpgsql
as $$
declare
    n int;
begin
    -- what is left is for the next part, which comes at once

    case job.data ->> 'task'
        when 'purge_expired' then
            n := prov.purge_expired(20) / 20;
        when 'expire_answers' then
            n := prov.expire_answers(1000) / 1000;
        when 'expire_secrets' then
            n := prov.expire_secrets();
        when 'expire_records' then
            n := prov.expire_records(1000);
    end case;

    verdict := case when n > 0 then 'next' else 'done' end;
end
$$;

comment on function prov.job_task(prov.jobs) is
    'Does a part of a task.';


create or replace function prov.partner_ids()
    returns setof uuid
    language plpgsql
as $$
begin
    -- and the two that stand for operators and for nobody

    perform set_config('prov.operator', 'on', true);

    return query
        select p.id from prov.partners p
        union all
        values ('ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid),
            ('00000000-0000-0000-0000-000000000000');

    perform set_config('prov.operator', '', true);
end
$$;

comment on function prov.partner_ids() is
    'All that rows can belong to.';


create or replace function prov.expire_answers(size int)
    returns int
    language plpgsql
as $$
declare
    owner uuid;
    n     int := 0;
begin
    for owner in select prov.partner_ids() loop
        exit when n >= size;

        perform set_config('prov.partner', owner::text, true);
        n := n + prov.idempotency_expire(size - n);
    end loop;

    perform set_config('prov.partner', '', true);

    return n;
end
$$;

comment on function prov.expire_answers(int) is
    'Deletes kept answers of all partners that are older than 24 hours, at '
    'most so many.';


create or replace function prov.expire_secrets()
    returns int
    language plpgsql
as $$
declare
    owner uuid;
begin
    for owner in select prov.partner_ids() loop
        perform set_config('prov.partner', owner::text, true);

        update prov.api_keys as k
        set previous_hash = null, previous_until = null
        where k.partner = owner and k.previous_until <= now();

        update prov.webhook_endpoints as w
        set (previous_secrets, previous_untils, previous_until) = (
            select l.secrets, l.untils, l.until
            from prov.webhook_left(w, now()) l)
        where w.partner = owner and w.previous_until is not null
            and now() >= any (w.previous_untils);
    end loop;

    perform set_config('prov.partner', '', true);

    return 0;
end
$$;

comment on function prov.expire_secrets() is
    'Forgets secrets that were good for a while after a rotation, and are no '
    'more.';


create or replace function prov.expire_records(size int)
    returns int
    language plpgsql
as $$
declare
    oldest constant uuid := prov.uuid7_at(now() - coalesce(nullif(
        current_setting('prov.retention', true), '')::interval, '30 days'));
    few    constant int := greatest(size / 100, 1);
    n      int;
    more   int := 0;
begin
    -- What counts is what was deleted, and not what was found: another host
    -- may be at the same rows.

    perform set_config('prov.worker', 'on', true);

    delete from prov.events e
    where e.id = any (array(
        select i.id from prov.events i
        where i.id < oldest order by i.id limit size));

    get diagnostics n = row_count;
    more := more + n / size;

    with gone as (
        delete from prov.jobs j
        where j.id = any (array(
            select i.id from prov.jobs i
            where i.id < oldest and i.kind <> 'task'
            order by i.id limit size))
        returning j.id
    ), attempts as (
        delete from prov.job_attempts a
        where a.job = any (array(select g.id from gone g))
    )
    select count(*) into n from gone;

    more := more + n / size;

    -- each has up to a thousand parts

    with gone as (
        delete from prov.operations o
        where o.id = any (array(
            select i.id from prov.operations i
            where i.id < oldest and i.finished_at is not null
            order by i.id limit few))
        returning o.id
    ), items as (
        delete from prov.operation_items i
        where i.operation = any (array(select g.id from gone g))
    )
    select count(*) into n from gone;

    more := more + n / few;

    perform set_config('prov.worker', '', true);

    return more;
end
$$;

comment on function prov.expire_records(int) is
    'Deletes events, jobs and operations that are older than 30 days (setting '
    'prov.retention), at most so many of each, and a hundredth of operations, '
    'which have many parts; above 0 when there may be more.';
