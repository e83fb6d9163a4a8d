#!/usr/bin/perl

# nginx -s reload: nobody who asks notices, the old workers finish what they
# have and leave, also when the database does not let them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::HTTP2;
use Provisioning::Test::Lab;

my $postgres = postgres();
my $lab = lab($postgres);
my $nginx = nginx(postgres => $postgres, locations => $lab, workers => 2,
    database => 'connections 2; queue 1024 timeout=60s; query_timeout 60s;');

# what a server says whose client does not read its answer
$postgres->allow(qr/FATAL:  connection to client lost/);


sub asking {
    my ($path) = @_;

    my $connection = $nginx->connection;
    $connection->send_request(GET => "/api/lab/$path", token => token(),
        keep => 1);
    return $connection;
}


sub noting {
    my (%note) = @_;

    my $connection = $nginx->connection;
    $connection->send_request(POST => '/api/lab/notes', token => token(),
        json => \%note);
    return $connection;
}


sub left {
    my (@pids) = @_;
    wait_until 'the old workers have left', sub { !grep { kill 0, $_ } @pids };
    return 1;
}

sub notes { $postgres->value('select count(*) from lab.notes where text = ?', @_) }

# Under constant load.

my @load = map { lab_load($nginx, keep => $_ % 2, ms => 5) } 1 .. 6;
my $h2 = Provisioning::Test::HTTP2->connect($nginx->h2_port);
wait_until 'the load has begun', sub {
    $postgres->value('select count(*) from lab.notes') > 30
};

my (@old, @streams);

for (1 .. 6) {
    my $so_far = $postgres->value('select count(*) from lab.notes');
    push @streams, $h2->request(GET => '/api/lab/rest?ms=300',
                                token => token()) if $_ == 1;
    push @old, $nginx->reload;
    wait_until 'the load goes on', sub {
        $postgres->value('select count(*) from lab.notes') > $so_far + 30
    };
}

is $h2->response($streams[0])->{status}, 200,
    'a stream that was open when its worker was told to leave is answered';

my $verdict = lab_verdict($postgres, @load);
is_deeply [grep { !/\A(?:200|201|none)\z/ } keys %{ $verdict->{answers} }], [],
    'while the configuration is reloaded everything is answered as ever';
is $verdict->{dropped}, 0, 'no connection is opened in vain';
cmp_ok $verdict->{answers}{none} || 0, '<=', $verdict->{closed},
    'no answer is missing, but where a kept connection was closed meanwhile';
is_deeply $verdict->{wrong}, [], 'what was answered is what was done';
cmp_ok $verdict->{answers}{201}, '>', 180, 'that was not a little';
ok left(@old), 'the workers of old configurations have left';
cmp_ok scalar(@old), '>=', 12, 'there were some';
wait_until 'their connections are closed', sub {
    $postgres->backends('prov_partner') <= 4
};
pass 'and so have their connections to the database';

# What is in flight is finished by the worker that has it.

$nginx->configure(database => 'connections 2; queue 1024 timeout=20s;'
    . ' query_timeout 60s;');
left($nginx->reload);
my $idle = asking('rest');
is $idle->read_response->status, 200, 'a client keeps its connection';
lab_hold($postgres);
my $slow = asking('rest?hold=1');
my $change = noting(text => 'in flight', hold => 1);
wait_until 'they are in flight', sub { lab_waits($postgres) == 2 };
@old = $nginx->reload;
is $nginx->request(GET => '/health/ready')->status, 200, 'the new workers serve';
is lab_waits($postgres), 2, 'while the old ones wait for their answers';
ok $idle->closed($Provisioning::Test::patience), 'the old ones close the connections that are idle';
lab_release($postgres);
is $slow->read_response->status, 200, 'a read that was in flight is answered';
is $change->read_response->status, 201, 'and so is a change';
ok left(@old), 'then they leave';

# What waits in their queue is, too.

$nginx->configure(workers => 1, database => 'connections 1 pipeline=1;'
    . ' queue 64 timeout=60s;');
left($nginx->reload);
lab_hold($postgres);
my @row = map { asking('rest?hold=1') } 1 .. 4;
wait_until 'one is in flight', sub { lab_waits($postgres) };
$nginx->request(GET => '/health/live') for 1 .. 2;
@old = $nginx->reload;
is_deeply [grep { !kill 0, $_ } @old], [], 'an old worker waits for its queue';
lab_release($postgres);
is_deeply [map { $_->read_response(timeout => 60)->status } @row], [(200) x 4],
    'what waits in the queue of an old worker gets its turn';
ok left(@old), 'then it leaves';

# While the database is frozen.

$nginx->configure(workers => 2, database => 'connections 2;'
    . ' queue 64 timeout=1500ms; query_timeout 2s; connect_timeout 1s;');
left($nginx->reload);
$nginx->ready;
$postgres->freeze;
@row = map { (asking('rest'), noting(text => "frozen $_")) } 1 .. 4;
$nginx->request(GET => '/health/live') for 1 .. 4;
@old = $nginx->reload;
my %answers;
$answers{ $_->code || $_->status }++
    for map { $_->read_response(timeout => 60) } @row;
is_deeply [grep { !/\A(?:query_timeout|queue_timeout|database_unavailable|outcome_unknown)\z/ } keys %answers],
    [], 'everybody who waits for a frozen database is told so: '
        . join ', ', sort keys %answers;
ok left(@old), 'and the old workers leave, though it does not move';
is $nginx->request(GET => '/health/live')->status, 200, 'the new ones are alive';
$postgres->thaw;
$nginx->ready;
is asking('rest')->read_response->status, 200, 'and serve when it moves again';

# While the database is away, and somebody waits for it.

$postgres->stop;
my $waits = asking('rest');
$nginx->request(GET => '/health/live') for 1 .. 2;
@old = $nginx->reload;
is $waits->read_response(timeout => 60)->code, 'database_unavailable',
    'who waits for a database that is away is told so';
ok left(@old), 'and the old workers leave';
$postgres->start;
$nginx->ready;

# When the operator does not want to wait.

$nginx->configure(workers => 1, main => 'worker_shutdown_timeout 1s;',
    database => 'connections 1; queue 64 timeout=60s; query_timeout 60s;');
left($nginx->reload);
$nginx->ready;
lab_hold($postgres);
my @late = (noting(text => 'late', hold => 1), asking('rest'));
wait_until 'one is in flight', sub { lab_waits($postgres) };
$nginx->request(GET => '/health/live') for 1 .. 2;
@old = $nginx->reload;
ok left(@old), 'with worker_shutdown_timeout an old worker leaves before its time';
ok $_->closed($Provisioning::Test::patience), 'its clients are left without an answer' for @late;
lab_release($postgres);
wait_until 'the change is made', sub { notes('late') };
is notes('late'), 1, 'what was sent to the database is done, once';

# A configuration that is wrong changes nothing.

$nginx->allow(qr/\[emerg\].*nothing like this/,
    qr/\[emerg\].*unknown directive "nothing_like_this"/);
$nginx->configure(http => 'nothing_like_this on;');
my @workers = $nginx->workers;
kill 'HUP', $nginx->pid;
wait_until 'it is refused', sub {
    $nginx->log =~ /unknown directive "nothing_like_this"/
};
is asking('rest')->read_response->status, 200,
    'with a configuration that is wrong the old one goes on';
is_deeply [$nginx->workers], \@workers, 'in its workers';

done_testing;
