#!/usr/bin/perl

# The processes: one that is killed, several, one that is also the master,
# those that are no workers at all; how they leave, and who connects to the
# database and who does not.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Lab;

my $postgres = postgres();
my $lab = lab($postgres);
my $DATABASE = 'connections 2; queue 1024 timeout=60s; query_timeout 60s;';

# what a server says whose client does not read its answer
$postgres->allow(qr/FATAL:  connection to client lost/);


sub asking {
    my ($nginx, $path) = @_;

    my $connection = $nginx->connection;
    $connection->send_request(GET => "/api/lab/$path", token => token(),
        keep => 1);
    return $connection;
}


sub noting {
    my ($nginx, %note) = @_;

    my $connection = $nginx->connection;
    $connection->send_request(POST => '/api/lab/notes', token => token(),
        json => \%note);
    return $connection;
}


sub status { asking(@_)->read_response(timeout => 60)->status }
sub notes { $postgres->value('select count(*) from lab.notes where text = ?', @_) }
sub sessions { return 0 + $postgres->backends('prov_partner') }

sub workers {
    my ($nginx, $number) = @_;
    my @workers;
    wait_until "there are $number workers", sub {
        $number == (@workers = $nginx->workers)
    };
    return @workers;
}

sub quiet { wait_until 'nobody is connected', sub { !sessions() } }

# Nobody connects before somebody asks.

my $fake = fake_postgres(sub { $_[0]->startup; $_[0]->stall });
my $nginx = nginx(postgres => $fake, workers => 2);
my ($accepted) = $nginx->test;
ok $accepted, 'nginx -t accepts the configuration';
workers($nginx, 2);
$nginx->request(GET => '/health/live') for 1 .. 4;
ok $nginx->stop, 'nginx starts and leaves';
is_deeply [$fake->seen], [], 'and neither it nor nginx -t has connected anywhere';

# A worker is killed.

$nginx = nginx(postgres => $postgres, locations => $lab, workers => 2,
    database => $DATABASE);
my @load = map { lab_load($nginx, ms => 5) } 1 .. 6;

for my $round (1 .. 3) {
    my $so_far = $postgres->value('select count(*) from lab.notes');
    wait_until 'the load goes on', sub {
        $postgres->value('select count(*) from lab.notes') > $so_far + 30
    };
    my ($worker) = workers($nginx, 2);
    $nginx->allow(qr/worker process \Q$worker\E exited on signal 9/);
    kill 'KILL', $worker;
    wait_until 'the master has noticed', sub {
        $nginx->log =~ /\Q$worker\E exited on signal 9/
    };
}

workers($nginx, 2);
is status($nginx, 'rest'), 200, 'when a worker is killed the others serve';

my $verdict = lab_verdict($postgres, @load);
my @wrong = grep { !/was answered none/ } @{ $verdict->{wrong} };
is_deeply \@wrong, [], 'whatever was answered is what was done';
is_deeply [grep { !/\A(?:200|201|none)\z/ } keys %{ $verdict->{answers} }], [],
    'nobody got an error';
cmp_ok $verdict->{dropped}, '<=', 3 * 6,
    'only those who were being served by the killed ones got no answer';
cmp_ok $verdict->{answers}{201}, '>', 90, 'the others did';
wait_until 'the sessions of the killed are gone', sub { sessions() <= 4 };
pass 'the database has lost their sessions, too';
ok $nginx->stop, 'nginx leaves';
quiet();

# Leaving: gracefully with idle and with busy connections, and at once.

for my $workers (1, 4) {
    $nginx = nginx(postgres => $postgres, locations => $lab,
        workers => $workers, database => $DATABASE);
    my @workers = workers($nginx, $workers);
    my @idle = map { asking($nginx, 'rest') } 1 .. 8;
    is_deeply [map { $_->read_response->status } @idle], [(200) x 8],
        "$workers workers serve";
    ok sessions(), 'and keep connections to the database';
    ok $nginx->stop('QUIT'), 'told to leave they leave, and the idle connections';
    is_deeply [grep { kill 0, $_ } @workers], [], 'all of them';
    quiet();
}

$nginx = nginx(postgres => $postgres, locations => $lab, database => $DATABASE);
lab_hold($postgres);
my @row = (asking($nginx, 'rest?hold=1'), asking($nginx, 'rest'),
    noting($nginx, text => 'leaving', hold => 1), asking($nginx, 'list'));
wait_until 'something is in flight', sub { lab_waits($postgres) };
$nginx->request(GET => '/health/live') for 1 .. 3;
kill 'QUIT', $nginx->pid;
wait_until 'they are told', sub { $nginx->log =~ /gracefully shutting down/ };
lab_release($postgres);
is_deeply [map { $_->read_response(timeout => 60)->status } @row],
    [200, 200, 201, 200], 'what is in flight or waits is answered first';
is notes('leaving'), 1, 'and done';
ok $nginx->stop('QUIT'), 'then they leave';
quiet();

for my $signal ('TERM', 'INT') {
    $nginx = nginx(postgres => $postgres, locations => $lab, leaks => 0,
        database => $DATABASE);
    lab_hold($postgres);
    my @row = (asking($nginx, 'rest?hold=1'), asking($nginx, 'list?hold=1'),
        noting($nginx, text => $signal, hold => 1), asking($nginx, 'rest'));
    wait_until 'something is in flight', sub { lab_waits($postgres) };
    $nginx->request(GET => '/health/live') for 1 .. 3;
    ok $nginx->stop($signal), "$signal: they leave at once";
    is_deeply [grep { !$_->closed($Provisioning::Test::patience) } @row], [],
        "$signal: without an answer";
    lab_release($postgres);
    quiet();
    cmp_ok notes($signal), '<=', 1, "$signal: a change is made once, or not";
}

# Other ways to take events: handlers run later than they are called for.

for my $events ('accept_mutex on;', 'multi_accept on;') {
    $nginx = nginx(postgres => $postgres, locations => $lab, workers => 2,
        database => $DATABASE, events => $events);
    my @load = map { lab_load($nginx) } 1 .. 4;
    my $so_far = $postgres->value('select count(*) from lab.notes');
    wait_until 'the load goes on', sub {
        $postgres->value('select count(*) from lab.notes') > $so_far + 50
    };
    $postgres->restart;
    wait_until 'the load goes on', sub {
        $postgres->value('select count(*) from lab.notes') > $so_far + 100
    };
    my $verdict = lab_verdict($postgres, @load);
    is_deeply [$verdict->{dropped}, $verdict->{wrong}], [0, []],
        "$events: everything is answered, as it was done, over a restart";
    ok $nginx->stop, "$events: nginx leaves";
    quiet();
}

# The master is the worker.

$nginx = nginx(postgres => $postgres, locations => $lab, master => 'off',
    leaks => 0, database => $DATABASE);
is status($nginx, 'rest'), 200, 'without a master process requests are served';
is noting($nginx, text => 'single')->read_response->status, 201,
    'and so are changes';
is_deeply [map { status($nginx, 'rest') } 1 .. 10], [(200) x 10],
    'one after the other';
is sessions(), 1, 'over one connection';
lab_hold($postgres);
my $slow = asking($nginx, 'rest?hold=1');
wait_until 'it runs', sub { lab_waits($postgres) };
ok $nginx->stop('QUIT'), 'it leaves when it is told to';
lab_release($postgres);
quiet();

$nginx->start;
is status($nginx, 'rest'), 200, 'and starts again';
ok $nginx->stop('TERM'), 'and leaves again';
quiet();

# Processes that are no workers.

$nginx = nginx(postgres => $postgres, locations => $lab, database => $DATABASE,
    http => 'proxy_cache_path %%DIR%%/cache keys_zone=cache:1m;');
wait_until 'cache manager and loader are started', sub {
    2 == (my @all = $nginx->log =~ /start cache (?:manager|loader) process/g)
};
is sessions(), 0, 'the cache manager and the cache loader connect to nothing';
is status($nginx, 'rest'), 200, 'beside them a worker serves';
is sessions(), 1, 'over its own connection';
my @old = $nginx->reload;
wait_until 'the old worker has left', sub { !grep { kill 0, $_ } @old };
is status($nginx, 'rest'), 200, 'also after a reload';
ok $nginx->stop, 'and all of them leave';
quiet();

# No connection is left in the worker for the database.

my $text = <<'END';
%%MAIN%%
worker_processes 1;
events { worker_connections 12; }
http {
    %%HTTP%%
    access_log off;
    provisioning_database tenants {
        server %%DATABASE%%;
        conninfo "dbname=provisioning user=prov_partner";
        connections 2;
        queue 64 timeout=1s;
    }
    server {
        listen 127.0.0.1:%%PORT%%;
        location /health/ {
            provisioning_api %%OPENAPI%%/partner.json prefix=/;
            provisioning_pass tenants;
        }
    }
}
END

$nginx = nginx(postgres => $postgres, config => $text);
$nginx->allow(qr/\[alert\].* 12 worker_connections are not enough/);
my @greedy = map { my $c = $nginx->connection; $c->write("GET /"); $c } 1 .. 8;
my $last = $nginx->connection;
$last->send_request(GET => '/health/ready', keep => 1);
my $r = $last->read_response(timeout => 60);

if ($r->status == 200) {
    # there was one more: it is taken, too
    push @greedy, map { my $c = $nginx->connection; $c->write("GET /"); $c } 1 .. 3;
}

pass 'a worker without a free connection goes on';
$_->close for @greedy;
wait_until 'it serves when there are some', sub {
    my $r = eval { $nginx->request(GET => '/health/ready') };
    $r && $r->status == 200;
};
pass 'and serves when there are some again';

done_testing;
