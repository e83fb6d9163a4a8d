#!/usr/bin/perl

# What happens after the response: who looks for jobs, and how often; that each
# is done, and once, whatever becomes of workers, reloads and the database;
# and that no bound is passed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Jobs;
use Provisioning::Test::Process;
use Time::HiRes qw(sleep time);

my $API = '/api/provisioning';
my $postgres = postgres(settings => { log_statement => 'all',
                                      track_functions => 'all' });

# what a server that is stopped says to who is just connecting
$postgres->allow(qr/FATAL:  canceling authentication due to timeout/);

jobs_lab($postgres);

sub done { lab_done($postgres, @_) }
sub runs { lab_runs($postgres, @_) }

sub all_done {
    my (@ids) = @_;
    wait_until 'all of them are done', sub { !grep { !done($_) } @ids };
    return 1;
}

# all that the workers have asked the database

sub statements {
    my @lines = grep { / prov_worker .*LOG:  execute/ } split /\n/,
        $postgres->log;
    return @lines - grep { /prov_barrier/ } @lines;
}


# --- idle ------------------------------------------------------------------

my $nginx = nginx(postgres => $postgres, workers => 2,
    http => jobs_block(poll_interval => '2s'));

# the tasks are due when a database is new
wait_until 'the tasks have been done', sub {
    !$postgres->value("select count(*) from prov.jobs where kind = 'task'"
        . ' and due <= now()')
};
wait_until 'nothing is under way', sub {
    my $statements = statements();
    sleep 1;
    statements() - $statements <= 1;
};

my ($began, $before) = (time, scalar statements());
sleep 6;
my $rate = (statements() - $before) / (time - $began);
cmp_ok $rate, '<', 1, sprintf 'two idle workers ask %.2f times a second', $rate;
wait_until 'and do ask', sub { statements() > $before };

my $due = lab_job($postgres, due => 1.5);
wait_until 'a job that is due soon is done', sub { done($due) };
ok $nginx->stop, 'idle workers leave at once';


# --- work --------------------------------------------------------------------

$nginx = nginx(postgres => $postgres, workers => 2,
    http => jobs_block(poll_interval => '1h'));
$nginx->ready;
jobs_follow($postgres);

# a worker that has made a change looks at once, whichever it is

for my $n (1 .. 10) {
    my $r = $nginx->request(POST => "$API/tenants", token => token(),
        json => { client_name => 'A', email => unique_email(),
                  external_id => "wake-$n" });
    $r->status == 201 or die $r->body;
    wait_until 'its job is done', sub {
        $postgres->value('select count(*) from lab.runs where name = ?',
                         "wake-$n")
    };
}
pass 'what a change leaves is done at once, and not when all are looked for';

# a flood of changes that leave nothing is no flood of claims

$postgres->sql('drop trigger lab_follow on prov.tenants');
wait_until 'it is quiet', sub {
    my $claims = jobs_claims($postgres);
    sleep 0.3;
    $claims == jobs_claims($postgres);
};

my $claims = jobs_claims($postgres);
$began = time;
my $made = 0;
while (time - $began < 2) {
    $nginx->request(POST => "$API/tenants", token => token(),
        json => { client_name => 'A', email => unique_email() })->status == 201
        and $made++;
}
wait_until 'the claims are counted', sub { jobs_claims($postgres) > $claims };
my $asked = jobs_claims($postgres) - $claims;
cmp_ok $asked, '<', 30 * (time - $began), "$made changes that leave no job: $asked claims";

ok !$nginx->request(GET => "$API/tenants", token => token())->json->{code},
    'and all is well';

$nginx->stop;


# --- bounds ------------------------------------------------------------------

# Which run at a time: of all, in a worker, in a queue

sub most {
    my ($by) = @_;
    return $postgres->value("select max(n) from (
        select a.job, count(*) as n
        from lab.runs a join lab.runs b
            on b.began <= a.began and b.ended > a.began and ($by)
        where a.name = 'bounds' and b.name = 'bounds'
        group by a.job) m");
}

my @queues = map { $postgres->value('select prov.uuid7()') } 1 .. 6;
my @jobs = map {
    lab_job($postgres, ms => 60, name => 'bounds', queue => $queues[$_ % 6])
} 1 .. 60;

$nginx = nginx(postgres => $postgres, workers => 2,
    http => jobs_block(concurrency => 4, per_queue => 2,
                       pool => 'connections 8 writes=8 pipeline=1;'));
all_done(@jobs);

is scalar(grep { runs($_) != 1 } @jobs), 0, 'each job is done once';
my $worker = most('a.worker = b.worker');
cmp_ok $worker, '<=', 4, "a worker does no more than concurrency ($worker)";
cmp_ok $worker, '>=', 2, 'and more than one at a time';

my $queue = most('(select j.queue from prov.jobs j where j.id = a.job)'
    . ' = (select j.queue from prov.jobs j where j.id = b.job)');
cmp_ok $queue, '<=', 2, "a queue has no more than per_queue ($queue)";

wait_until 'both workers have worked', sub {
    all_done(map { lab_job($postgres, ms => 60, name => 'more') } 1 .. 8);
    2 == $postgres->value('select count(distinct worker) from lab.runs'
        . " where name in ('bounds', 'more')");
};

# of a partner with a queue for each, and of others who come after him

$postgres->sql('truncate lab.runs');
my $greedy = $postgres->partner('acme');
@jobs = ((map { lab_job($postgres, ms => 60, name => 'bounds',
                        partner => $greedy) } 1 .. 30),
         (map { lab_job($postgres, ms => 60, name => 'bounds') } 1 .. 10));
all_done(@jobs);

my $partner = most("a.worker = b.worker and '$greedy' = all (array(
    select j.partner::text from prov.jobs j where j.id in (a.job, b.job)))");
cmp_ok $partner, '<=', 2, "a partner has no more than half ($partner)";
is scalar(grep { runs($_) != 1 } @jobs), 0, 'and none of his is left undone';


# --- parts -------------------------------------------------------------------

my $parts = lab_job($postgres, parts => 5, wait => 10);
all_done($parts);
is_deeply [map { $_->{part} } runs($parts)], [0 .. 4],
    'a job of several parts is done part by part';

$postgres->allow(qr/ P0001 .*no such thing/, qr/ DETAIL:  parameters: /);
my $bad = lab_job($postgres, raise => 'no such thing');
wait_until 'a job that the database refuses waits for its next turn', sub {
    $postgres->value('select tries from prov.jobs where id = ?', $bad)
};
like $postgres->value('select error from prov.jobs where id = ?', $bad),
    qr/no such thing/, 'and says why';
$nginx->stop;


# --- periodic tasks ----------------------------------------------------------

# a task of our own: two hosts with two workers each do it once per interval

$postgres->sql(q{
    create or replace function prov.job_task(job prov.jobs, out verdict text,
        out wait int, out step int, out data jsonb) language plpgsql
        security definer as $$
    begin
        insert into lab.runs (job, worker, attempt, part, name)
        values (job.id, job.lease_worker, job.attempt, 0, job.data ->> 'task');
        verdict := 'done';
    end $$});
$postgres->sql('alter function prov.job_task(prov.jobs) owner to postgres');
$postgres->sql('grant execute on function prov.job_task(prov.jobs) to prov_api');
$postgres->sql("insert into prov.jobs (id, kind, queue, data) select id, 'task',"
    . " id, '{\"task\": \"tick\", \"every\": \"1 second\"}' from"
    . ' (select prov.uuid7() as id) i');

my @hosts = map {
    nginx(postgres => $postgres, workers => 2,
          http => jobs_block(poll_interval => '100ms'))
} 1, 2;

wait_until 'five intervals have passed', sub {
    $postgres->value("select count(*) from lab.runs where name = 'tick'") > 5
};

my ($gap) = $postgres->value('select min(extract(epoch from gap)) from (select'
    . " began - lag(began) over (order by began) as gap from lab.runs where"
    . " name = 'tick') g");
cmp_ok $gap, '>=', 0.99, 'a periodic task is done once in each interval, by one'
    . ' of all workers';
cmp_ok $postgres->value("select count(distinct worker) from lab.runs where"
    . " name = 'tick'"), '>=', 1, 'whichever it is';


# --- the database --------------------------------------------------------------

# restarted under work that goes on

@jobs = map { lab_job($postgres, ms => 20, name => 'restart') } 1 .. 100;
wait_until 'some are done', sub { grep { done($_) } @jobs };
$postgres->restart;
wait_until 'all are done after a restart of PostgreSQL', sub {
    !grep { !done($_) } @jobs
};
pass 'nothing is lost by a restart of PostgreSQL';
$_->stop for @hosts;

# away at the start

$postgres->stop;
$nginx = nginx(postgres => $postgres, workers => 2, http => jobs_block());
wait_until 'each worker says that the database is away', sub {
    1 < (() = $nginx->log =~ /"jobs" could not be asked for jobs/g)
};
$postgres->start;
my $job = lab_job($postgres);
all_done($job);
like $nginx->log, qr/"jobs" answers about jobs again/,
    'a database that was away at the start is found';
is scalar(() = $nginx->log =~ /\[error\].*could not be asked/g), 2,
    'each worker has complained once';

# away at the end

$postgres->stop;
ok $nginx->stop, 'workers leave while the database is away';
$postgres->start;


# --- leaving -------------------------------------------------------------------

# a claim that is answered when the worker is already leaving

$nginx = nginx(postgres => $postgres, workers => 1, http => jobs_block());
$nginx->ready;

my $lock = $postgres->connect_as('postgres');
$lock->begin_work;
$lock->do('lock table prov.jobs in share row exclusive mode');
wait_until 'a claim waits', sub {
    $postgres->value("select count(*) from pg_stat_activity where usename ="
        . " 'prov_worker' and wait_event_type = 'Lock'")
};
$lock->do("select lab.job(prov.uuid7(), 'returned', '{}', prov.uuid7(), 0)");
kill 'QUIT', $nginx->pid;
wait_until 'the worker is leaving', sub {
    $nginx->log =~ /gracefully shutting down/
};
$lock->commit;
$lock->disconnect;
ok $nginx->stop, 'it leaves';

is $postgres->value("select count(*) from lab.runs where name = 'returned'"), 0,
    'what it claimed then it has not begun';
is $postgres->value("select count(*) from prov.jobs where kind = 'lab' and"
    . " data ->> 'name' = 'returned' and (lease_until is null or lease_until <"
    . ' now())'), 1, 'and nobody has it';

# what is under way is finished

$nginx = nginx(postgres => $postgres, workers => 2, http => jobs_block());
wait_until 'the returned one is done', sub {
    $postgres->value("select count(*) from lab.runs where name = 'returned'")
};
my $slow = lab_job($postgres, ms => 1500);
wait_until 'it is under way', sub {
    $postgres->value("select count(*) from pg_stat_activity where usename ="
        . " 'prov_worker' and wait_event = 'PgSleep'")
};
ok $nginx->stop, 'a worker that leaves finishes what is under way';
ok done($slow), 'it is done';
is scalar(runs($slow)), 1, 'once';

# reloads under work

$nginx = nginx(postgres => $postgres, workers => 2, http => jobs_block());
@jobs = ();
for (1 .. 3) {
    my @more = map { lab_job($postgres, ms => 100) } 1 .. 40;
    push @jobs, @more;
    wait_until 'the work goes on', sub { grep { done($_) } @more };
    $nginx->reload;
}
all_done(@jobs);
is scalar(grep { runs($_) != 1 } @jobs), 0,
    'reloads lose nothing, and nothing is done twice';

done_testing;
