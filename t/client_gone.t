#!/usr/bin/perl

# A client that goes away while its request waits, runs or is being answered:
# what was sent to the database is done, what was not is forgotten, nothing
# leaks, and the connection to the database serves the next one.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::HTTP2;
use Provisioning::Test::Lab;

my $postgres = postgres();
my $lab = lab($postgres);
my $nginx = nginx(postgres => $postgres, locations => $lab,
    database => 'connections 2; share_transactions 1;'
        . ' queue 1024 timeout=60s; query_timeout 60s;');
my $narrow = nginx(postgres => $postgres, locations => $lab,
    database => 'connections 1 pipeline=1; queue 64 timeout=60s;'
        . ' query_timeout 60s;');

# what a server says whose client does not read its answer
$postgres->allow(qr/FATAL:  connection to client lost/);


sub asking {
    my ($nginx, $path) = @_;

    my $connection = $nginx->connection;
    $connection->send_request(GET => "/api/lab/$path", token => token());
    return $connection;
}


sub noting {
    my ($nginx, %note) = @_;

    my $connection = $nginx->connection;
    $connection->send_request(POST => '/api/lab/notes', token => token(),
        json => \%note);
    return $connection;
}


sub status {
    my ($nginx, $path) = @_;
    return asking($nginx, $path)->read_response(timeout => 60)->status;
}


sub notes { $postgres->value('select count(*) from lab.notes where text = ?', @_) }
sub pids { [$postgres->backends('prov_partner')] }

sub running {
    my ($number) = @_;
    wait_until "$number are running", sub { lab_waits($postgres) == $number };
}


# nginx has noticed that so many more clients have gone.

my %gone;

sub noticed {
    my ($nginx, $number) = @_;

    $gone{$nginx} += $number;
    wait_until "nginx has noticed $gone{$nginx}", sub {
        my @all = $nginx->log =~ /client (?:prematurely closed|canceled stream)/g;
        @all >= $gone{$nginx};
    };
    return;
}


# While the query runs.

is status($narrow, 'rest'), 200, 'a connection is opened';
my $pids = pids();
is scalar(@$pids), 1, 'and kept';

for my $end (qw(close reset)) {
    lab_hold($postgres);
    my $client = asking($narrow, 'rest?hold=1');
    running(1);
    $client->$end;
    noticed($narrow, 1);
    lab_release($postgres);
    is status($narrow, 'rest'), 200, "after a $end while it ran the next is served";

    lab_hold($postgres);
    $client = noting($narrow, text => $end, hold => 1);
    running(1);
    $client->$end;
    noticed($narrow, 1);
    lab_release($postgres);
    is status($narrow, 'rest'), 200, 'and after one while a change ran, too';
    is notes($end), 1, 'the change is made';
}

is_deeply pids(), $pids, 'the connection to the database is the same';
wait_until 'all are logged', sub {
    4 == (my @lines = $narrow->access_log =~ /^499 /mg);
};
pass 'the access log has them as 499, as nginx does';

# While it waits.

lab_hold($postgres);
my $first = asking($narrow, 'rest?hold=1');
running(1);
my @waiting = map { noting($narrow, text => "waited $_") } 1 .. 3;
$narrow->request(GET => '/health/live') for 1 .. 3;
$waiting[0]->close;
$waiting[2]->reset;
noticed($narrow, 2);
lab_release($postgres);
is $first->read_response->status, 200, 'the one that ran is answered';
is $waiting[1]->read_response->status, 201, 'and the one that went on waiting';
is_deeply [map { notes("waited $_") } 1 .. 3], [0, 1, 0],
    'what only waited is forgotten';
is_deeply pids(), $pids, 'the connection to the database is the same';

# While the database is away, and while its outcome is sought.

my $relay = relay($postgres);
my $behind = nginx(postgres => $relay, locations => $lab,
    database => 'connections 1; queue 64 timeout=40s; query_timeout 30s;');
is status($behind, 'rest'), 200, 'a gateway serves behind a relay';

$relay->stall_replies;
my @clients = (noting($behind, text => 'sought'), asking($behind, 'rest'));
wait_until 'it is committed', sub { notes('sought') };
$relay->refuse;
wait_until 'its outcome is sought', sub {
    $behind->log =~ /asking for the outcome/
};
push @clients, asking($behind, 'rest'), noting($behind, text => 'away');
$behind->request(GET => '/health/live') for 1 .. 3;
$_->close for @clients;
noticed($behind, 4);
$relay->pass;
is status($behind, 'rest'), 200, 'when the database is back it serves';
is notes('sought'), 1, 'what was committed is there';
is notes('away'), 0, 'what came while it was away is not';
ok $behind->stop, 'nginx leaves';

# While it is being answered.

for my $end (qw(close reset)) {
    my $client = asking($nginx, 'rest?bytes=20000000');
    sysread $client->socket, my $bytes, 1000;
    $client->$end;
    like $bytes, qr{\AHTTP/1.1 200 }, 'a large answer has begun';
    is status($nginx, 'rest'), 200, "after a $end within it the next is served";
}

# Several on one HTTP/2 connection, over both connections to the database.

lab_hold($postgres);
my @both = asking($nginx, 'rest?hold=1');
running(1);
select undef, undef, undef, 0.1;    # who is slow is not joined
push @both, asking($nginx, 'rest?hold=1');
running(2);
lab_release($postgres);
$_->read_response for @both;

my $h2 = Provisioning::Test::HTTP2->connect($nginx->h2_port);
lab_hold($postgres);
my @streams = map { $h2->request(GET => '/api/lab/rest?hold=1',
                                 token => token()) } 1 .. 3;
my @changes = map { $h2->request(POST => '/api/lab/notes', token => token(),
    json => { text => "stream $_", hold => 1 }) } 1 .. 4;
running(2);
$nginx->request(GET => '/health/live') for 1 .. 3;
$h2->reset($_) for $streams[1], @changes[1, 3];
noticed($nginx, 3);
lab_release($postgres);
is_deeply [map { $h2->response($_)->{status} } @streams[0, 2], @changes[0, 2]],
    [200, 200, 201, 201], 'streams beside those that are cancelled are answered';
is $h2->response($h2->request(GET => '/api/lab/rest', token => token()))
    ->{status}, 200, 'and so are later ones';

$h2->goaway;
$h2->close;

for my $end (qw(close goaway)) {
    my $h2 = Provisioning::Test::HTTP2->connect($nginx->h2_port);
    lab_hold($postgres);
    $h2->request(GET => '/api/lab/rest?hold=1', token => token()) for 1 .. 5;
    $h2->request(POST => '/api/lab/notes', token => token(),
        json => { text => "together $end", hold => 1 }) for 1 .. 5;
    running(2);
    $nginx->request(GET => '/health/live') for 1 .. 3;
    $h2->goaway if $end eq 'goaway';
    $h2->close;
    noticed($nginx, 10);
    lab_release($postgres);
    wait_until 'all changes are made', sub { notes("together $end") == 5 };
    is status($nginx, 'rest'), 200,
        "$end: after a connection with ten streams in flight the next is served";
}

# Frames of a cancelled stream that are on their way are not overwritten.

$h2 = Provisioning::Test::HTTP2->connect($nginx->h2_port, buffer => 4096);
my @large = map { $h2->request(GET => "/api/lab/rest?bytes=3000000",
                               token => token()) } 1 .. 3;
is status($nginx, 'rest?ms=300'), 200, 'answers wait for a client to read';
$h2->reset($large[0]);
$h2->reset($large[1]);
is status($nginx, 'rest'), 200, 'some are cancelled';
my $whole = $h2->response($large[2]);
is $whole->{body} =~ tr/x//, 3_000_001, 'another one is whole';    # "text"
is_deeply [grep { $h2->{responses}{$_} && $h2->{responses}{$_}{body}
                  !~ /\A(?:\{"text" : "x*(?:"\})?)?\z/ } @large[0, 1]], [],
    'nothing but their own was sent on those that were cancelled';
$h2->close;

# Again and again: neither memory nor descriptors are lost.

my ($worker) = wait_until 'there is a worker', sub { ($nginx->workers)[0] };


sub resident {
    open my $file, '<', "/proc/$worker/statm" or die "statm: $!";
    return (split ' ', <$file>)[1] * 4096;
}

sub descriptors { my @all = glob "/proc/$worker/fd/*"; return scalar @all }

sub come_and_go {
    my ($rounds) = @_;

    for my $round (1 .. $rounds) {
        my @clients = map { (asking($nginx, 'rest?bytes=20000'),
                             noting($nginx, text => 'x' x 20_000)) } 1 .. 5;
        my $h2 = Provisioning::Test::HTTP2->connect($nginx->h2_port);
        $h2->request(GET => '/api/lab/rest?bytes=20000', token => token())
            for 1 .. 5;
        $_->reset for splice @clients, 0, 5;
        $_->close for @clients, $h2;

        # no more of them at a time than of a round
        $nginx->request(GET => '/health/live');
    }

    status($nginx, 'rest') for 1 .. 3;
    wait_until 'all are done', sub {
        !$postgres->value("select count(*) from pg_stat_activity where"
            . " usename = 'prov_partner' and state <> 'idle'")
    };
    return;
}

come_and_go(30);
my $descriptors = descriptors();
my $resident = resident();
come_and_go(100);
wait_until 'all descriptors are closed', sub { descriptors() <= $descriptors };
pass 'no descriptor is left';

SKIP: {
    skip 'a sanitizer keeps what is freed, and reports what is not', 1
        if $ENV{PROV_TEST_SANITIZED};
    cmp_ok resident() - $resident, '<', 3_000_000,
        'memory does not grow with clients that go away';
}

cmp_ok scalar(@{ pids() }), '<=', 3, 'there are no more connections than before';
is_deeply [$nginx->workers], [$worker], 'the worker is the same';

done_testing;
