package Provisioning::Test::Jobs;

# Workers that do jobs, and a kind of job of the tests' own ("lab"), which the
# database runs:
#
#     my $postgres = postgres();
#     jobs_lab($postgres);
#     my $nginx = nginx(postgres => $postgres, workers => 2,
#                       http => jobs_block(poll_interval => '1h'));
#
#     my $id = lab_job($postgres, ms => 50, queue => $uuid);
#     wait_until 'it is done', sub { lab_done($postgres, $id) };
#
# jobs_block's options are the directives of provisioning_jobs; outbound is
# what stands in provisioning_outbound, pool in the database's block.  A
# lab_job takes ms, has parts (with a pause of wait ms between them), waits in
# a queue of its own unless queue is given, is a partner's if one is given, is
# due in so many seconds.  What
# has run, when and how often is in lab.runs; so many at a time, in lab.most.
# jobs_follow($postgres) has each new tenant leave one, named by its
# external_id.

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(jobs_block jobs_lab jobs_follow lab_job lab_done lab_runs
                 jobs_claims);


sub jobs_block {
    my (%o) = @_;

    my $outbound = delete $o{outbound};
    my $pool = delete $o{pool} || 'connections 4;';
    my %set = (database => 'jobs', poll_interval => '200ms', lease => '15s',
               %o);

    return "
    provisioning_database jobs {
        server %%DATABASE%%;
        conninfo \"dbname=provisioning user=prov_worker\";
        $pool
    }
    provisioning_outbound {
        " . ($outbound || 'timeout 5s;') . '
    }
    provisioning_jobs {
        ' . join(' ', map { "$_ $set{$_};" } sort keys %set) . '
    }';
}


sub jobs_lab {
    my ($postgres) = @_;

    $postgres->sql($_) for split /\n\n/, <<'END';
create schema lab;

create table lab.runs (
    job uuid not null, worker text not null, attempt int not null,
    part int not null, began timestamptz not null default clock_timestamp(),
    ended timestamptz, name text);

create function prov.job_lab(job prov.jobs, out verdict text, out wait int,
        out step int, out data jsonb)
    language plpgsql security definer as $$
begin
    insert into lab.runs (job, worker, attempt, part, name)
    values (job.id, job.lease_worker, job.attempt, job.step,
        job.data ->> 'name');
    perform pg_sleep(coalesce((job.data ->> 'ms')::int, 0) / 1000.0);
    update lab.runs as r set ended = clock_timestamp()
    where r.job = job_lab.job.id and r.attempt = job_lab.job.attempt;
    if job.data ? 'raise' then
        raise exception '%', job.data ->> 'raise';
    end if;
    step := job.step + 1;
    wait := job.data ->> 'wait';
    verdict := case when step < coalesce((job.data ->> 'parts')::int, 1)
        then 'next' else 'done' end;
end $$;

alter function prov.job_lab(prov.jobs) owner to postgres;

grant execute on function prov.job_lab(prov.jobs) to prov_api;

create function lab.job(id uuid, name text, data jsonb, queue uuid, secs float8,
        partner uuid default null)
    returns void language plpgsql security definer as $$
begin
    insert into prov.jobs (id, kind, queue, partner, data, due)
    values (id, 'lab', queue, partner,
        data || jsonb_build_object('name', name),
        now() + make_interval(secs => secs));
end $$;

create function lab.follow() returns trigger language plpgsql
    security definer as $$
begin
    perform lab.job(new.id, new.external_id, '{}', new.id, 0);
    return null;
end $$
END

    return;
}


sub jobs_follow {
    my ($postgres) = @_;

    $postgres->sql('create trigger lab_follow after insert on prov.tenants'
        . ' for each row execute function lab.follow()');

    return;
}


sub lab_job {
    my ($postgres, %o) = @_;

    my $id = $postgres->value('select prov.uuid7()');
    my $data = $postgres->value('select jsonb_strip_nulls(jsonb_build_object('
        . "'ms', ?::int, 'parts', ?::int, 'wait', ?::int, 'raise', ?::text))",
        @o{qw(ms parts wait raise)});

    $postgres->sql('select lab.job(?, ?, ?, ?, ?, ?)', $id, $o{name}, $data,
        $o{queue} || $id, $o{due} || 0, $o{partner});

    return $id;
}


sub lab_done {
    my ($postgres, $id) = @_;

    return $postgres->value(
        "select state = 'done' from prov.jobs where id = ?", $id);
}


sub lab_runs {
    my ($postgres, $id) = @_;

    return @{ $postgres->sql(
        'select * from lab.runs where job = ? order by began', $id) };
}


# How many claims there were; the server must have track_functions = all.

sub jobs_claims {
    my ($postgres) = @_;

    return $postgres->value('select coalesce(sum(calls), 0) from'
        . " pg_stat_user_functions where funcname = 'jobs_claim'");
}

1;
