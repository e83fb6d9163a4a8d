#!/usr/bin/perl

# Things that meet: an answer that comes while the next query goes out, several
# attempts to connect that fail together, a change whose fate is sought while
# lists wait.  None of them may hold up or hide the other.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Lab;

use Time::HiRes qw(time);

my $postgres = postgres();
my $lab = lab($postgres);


sub asking {
    my ($nginx, $path, %o) = @_;

    my $connection = $nginx->connection;
    $connection->send_request(($o{json} ? 'POST' : 'GET') => "/api/lab/$path",
        token => token(), %o);
    return $connection;
}


sub answer { return $_[0]->read_response(timeout => 60) }

sub settle {
    my ($nginx) = @_;
    $nginx->request(GET => '/health/live') for 1 .. 3;
    return;
}


# Flags are how a test and a fake server, which is another process, tell each
# other how far they are.

my $directory = directory();

sub raise {
    my ($flag) = @_;
    open my $out, '>', "$directory/flag-$flag" or die "$flag: $!";
    close $out;
    return;
}

sub raised { -e "$directory/flag-$_[0]" }

sub await {
    my ($flag) = @_;
    my $deadline = time + 60;

    until (raised($flag)) {
        die "nobody says $flag" if time > $deadline;
        select undef, undef, undef, 0.001;
    }

    return;
}


# The messages of a query of any size, which are not recorded.

sub query {
    my ($c) = @_;
    my @messages;

    do {
        my ($type, $length) = unpack 'aN', $c->bytes(5);
        push @messages, { type => $type, data => $c->bytes($length - 4) };
    } until $messages[-1]{type} eq 'S';

    return @messages;
}

sub serve {
    my ($c, @row) = @_;
    $c->raw($c->replies([query($c)], \@row)) while 1;
}


# A crowd that nginx reads in one turn: its tokens keep it busy for a while, and
# what it then has to send is more than a socket takes.  The code runs as soon
# as that has begun.

my $met = 0;

sub crowd {
    my ($nginx, $number, $code) = @_;

    my @clients = map { my $c = $nginx->connection;
        $c->send_request(GET => '/health/live', keep => 1);
        $c->read_response;
        $c } 1 .. $number;
    my @bytes = map { Provisioning::Test::HTTP->compose(
        POST => '/api/lab/notes',
        token => token(key => 'ec521', sub => 'somebody ' . ++$met),
        json => { text => 'x' x 6000 }) } 1 .. $number;
    my ($worker) = wait_until 'there is a worker', sub { ($nginx->workers)[0] };

    halt($worker);
    $clients[$_]->write($bytes[$_]) for 0 .. $#clients;
    kill 'CONT', $worker;
    $code->();
    return @clients;
}

# An answer that libpq reads while it sends is given at once: nobody waits for
# the answers to what was being sent.

my $CROWD = 100;
my $ALONE = 'connections 1 pipeline=200; share_commits off;'
    . ' share_transactions 1;'
    . ' queue 200 timeout=60s;'
    . ' query_timeout 60s;';
my @MADE = (201, '{"made": true}', undef);
my @delays = map { $_ / 1000 } 2, 4, 8, 16, 32;

my $fake = fake_postgres(sub {
    my ($c) = @_;
    $c->startup;

    for my $round (0 .. $#delays) {
        my @first = query($c);
        raise("sent $round");
        await("first $round");
        $c->raw($c->replies(\@first, [200, '{"first": true}', undef]));
        await("others $round");
        $c->raw($c->replies([query($c)], \@MADE)) for 1 .. $CROWD;
    }

    $c->stall;
});
my $nginx = nginx(postgres => $fake, locations => $lab, database => $ALONE);

for my $round (0 .. $#delays) {
    my $first = asking($nginx, 'rest');
    wait_until 'it is sent', sub { raised("sent $round") };

    my @others = crowd($nginx, $CROWD, sub {
        select undef, undef, undef, $delays[$round];
        raise("first $round");
    });

    my $r = eval { $first->read_response(
        timeout => $Provisioning::Test::patience) };
    is $r && $r->body, '{"first": true}',
        "round $round: an answer that comes while others are sent is given";

    raise("others $round");
    is_deeply [map { answer($_)->body } @others], [('{"made": true}') x $CROWD],
        "round $round: and then theirs";
    $_->close for $first, @others;
}

# An answer that came just before the connection was lost under what was being
# sent counts: nobody asks what became of that change.

for my $round (0 .. $#delays) {
    my $fake = fake_postgres(sub {
        my ($c) = @_;
        $c->startup;
        serve($c, 201, '{"found": true}', undef) if $c->number > 1;

        my @first = query($c);
        raise("change $round");
        await("lost $round");
        $c->raw($c->replies(\@first, \@MADE));
    });
    my $nginx = nginx(postgres => $fake, locations => $lab,
        database => $ALONE);

    my $first = asking($nginx, 'notes', json => { text => 'first' });
    wait_until 'it is sent', sub { raised("change $round") };

    my @others = crowd($nginx, $CROWD, sub {
        select undef, undef, undef, $delays[$round];
        raise("lost $round");
    });

    is answer($first)->body, '{"made": true}',
        "round $round: what was answered before the connection was lost"
        . ' is not asked about';
    is_deeply [map { answer($_)->body } @others],
        [('{"found": true}') x $CROWD],
        "round $round: what was being sent is";
    $_->close for $first, @others;
    $nginx->stop;
}

# Attempts to connect that were made together and fail together are one
# failure: the next one is not made as late as after many.

$fake = fake_postgres(sub {
    my ($c) = @_;
    $c->note('time', time);
    return if $c->number <= 8;
    $c->startup;
    serve($c, 200, '{}', undef);
});
$nginx = nginx(postgres => $fake, locations => $lab,
    database => 'connections 8; share_commits off; share_transactions 1;'
        . ' queue 64 timeout=60s;');

# they are read in one turn, so that as many connections are wanted at once

my @clients = map { my $c = $nginx->connection;
    $c->send_request(GET => '/health/live', keep => 1);
    $c->read_response;
    $c } 1 .. 12;
my ($worker) = wait_until 'there is a worker', sub { ($nginx->workers)[0] };
halt($worker);
$_->send_request(GET => '/api/lab/rest', token => token()) for @clients;
kill 'CONT', $worker;
is_deeply [map { answer($_)->status } @clients], [(200) x 12],
    'requests wait while attempts to connect fail';
$_->close for @clients;

my @times = map { $_->{data} } $fake->seen('time');
note join ' ', map { sprintf '%.3f', $_ - $times[0] } @times;
cmp_ok $times[8] - $times[7], '<', 0.45,
    'and not for long after one round of failures';

# The question what became of a change goes before lists that wait, also where
# there is one connection for both.

my $relay = relay($postgres);
$nginx = nginx(postgres => $relay, locations => $lab,
    database => 'connections 1; queue 64 timeout=3s; query_timeout 20s;');
$postgres->allow(qr/FATAL:  connection to client lost/);
is answer(asking($nginx, 'rest'))->status, 200, 'there is a connection';

lab_hold($postgres);
$relay->stall_replies;
my $change = asking($nginx, 'notes', json => { text => 'crossing' });
wait_until 'it is committed', sub {
    $postgres->value("select count(*) from lab.notes where text = 'crossing'")
};
my $list = asking($nginx, 'list?hold=1');
settle($nginx);
$relay->refuse;
$relay->pass;

is answer($change)->status, 201,
    'the outcome of a change is asked for before a waiting list is run';
lab_release($postgres);
is answer($list)->status, 200, 'and then the list is';
$_->close for $change, $list;

# A message of several lines is one line of the log.

$fake = fake_postgres(sub {
    my ($c) = @_;
    $c->startup;
    my @query = $c->messages_until('S');
    $c->raw($c->packet('N', "SNOTICE\0VNOTICE\0C00000\0Mone\ntwo\0\0")
        . $c->replies(\@query, [200, '{}', undef]));
    $c->stall;
});
$nginx = nginx(postgres => $fake, locations => $lab);
is answer(asking($nginx, 'rest'))->status, 200, 'a notice disturbs nobody';
like $nginx->log, qr/the server says: one two$/m,
    'and cannot begin a line of the log';

# The longest times that may be said are ones that PostgreSQL takes.

$nginx = nginx(postgres => $postgres, locations => $lab,
    database => 'queue 64 timeout=30d; connect_timeout 30d;'
        . ' query_timeout 30d; keepalive_time 30d;');
is answer(asking($nginx, 'rest'))->status, 200, 'thirty days are no problem';

# What cannot be understood is not quoted when it may be a password.

my ($accepted, $says) = $nginx->test(
    conninfo => 'dbname=provisioning user=prov_partner password=battery staple');
ok !$accepted, 'a password that should have been quoted is refused';
like $says, qr/invalid conninfo .* there may be a password in it/, 'and why';
unlike $says, qr/staple/, 'but not quoted';

done_testing;
