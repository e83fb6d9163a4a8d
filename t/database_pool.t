#!/usr/bin/perl

# The connection pool under ordinary and hard use: how many connections there
# are, who shares one, who waits and for how long, and what happens to
# statements that were prepared once and are not what they were.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Lab;

use Time::HiRes qw(time);

my $postgres = postgres();
my $lab = lab($postgres);


# Sends a request now; the code that is returned reads its response.

sub asking {
    my ($nginx, $path, %o) = @_;

    my $connection = $nginx->connection;
    $connection->send_request(($o{body} ? 'POST' : 'GET') => "/api/lab/$path",
        token => token(), %o);

    return sub { $connection->read_response(timeout => 60) };
}


sub ask { asking(@_)->() }


# Everything that was sent to nginx before this has been read after it.

sub settle {
    my ($nginx) = @_;
    $nginx->request(GET => '/health/live') for 1 .. 3;
    return;
}


# Asks again and again, over a kept connection: how often each answer came.

sub load {
    my ($nginx, $path) = @_;

    return background(sub {
        my ($go_on) = @_;
        my $connection = $nginx->connection;
        my %seen;

        do {
            $connection->send_request(GET => "/api/lab/$path", keep => 1,
                token => token());
            my $r = $connection->read_response(timeout => 60);
            $seen{ $r->code || $r->status }++;
        } while ($go_on->());

        return \%seen;
    });
}


sub total {
    my %all;
    for my $seen (map { $_->finish } @_) {
        $all{$_} += $seen->{$_} for keys %$seen;
    }
    return \%all;
}


sub gateway_with {
    my ($database, %o) = @_;

    return nginx(postgres => $postgres, database => $database,
        locations => $lab, %o);
}


sub leave {
    $_->stop or fail 'a gateway does not leave' for @_;
    wait_until 'its connections are closed',
        sub { !$postgres->backends('prov_partner') };
    return;
}


# So many connections and no more; as many as are needed.

for my $workers (1, 2) {
    my $nginx = gateway_with('connections 3 pipeline=2; queue 64 timeout=20s;',
        workers => $workers);
    is scalar($postgres->backends('prov_partner')), 0,
        'nothing connects before the first request';
    is ask($nginx, 'rest')->status, 200, 'a request is answered';
    is scalar($postgres->backends('prov_partner')), 1,
        'over the one connection that it needs';

    my @load = map { load($nginx, 'rest?ms=5') } 1 .. 10;
    my ($most, $times) = (0, 0);

    wait_until 'as many as are needed are there, for a while', sub {
        my $n = $postgres->backends('prov_partner');
        $most = $n if $n > $most;
        $most >= 3 && ++$times > 40;
    };

    my $seen = total(@load);
    is_deeply [keys %$seen], [200], "$workers: under load all are answered";
    cmp_ok $most, '<=', 3 * $workers,
        "$workers: there are never more connections than allowed";
    cmp_ok $most, '>=', 3, "$workers: but as many, when they are needed";
    leave($nginx);
}

# Who has to wait, and who is turned away.

my $nginx = gateway_with('connections 1 pipeline=1; queue 2 timeout=60s;'
    . ' query_timeout 60s;');
lab_hold($postgres);
my $slow = asking($nginx, 'rest?hold=1');
wait_until 'it runs', sub { lab_waits($postgres) };
my @waiting = map { asking($nginx, 'rest') } 1 .. 2;
settle($nginx);
my $r = ask($nginx, 'rest');
is $r->status, 503, 'who finds the queue full is turned away';
is $r->code, 'overloaded', 'with a code that says so';
like $r->header('Retry-After'), qr/\A[1-9]\d*\z/, 'and Retry-After';
lab_release($postgres);
is $slow->()->status, 200, 'the one that ran is answered';
is_deeply [map { $_->()->status } @waiting], [200, 200],
    'and so are those that waited';
leave($nginx);

my $hasty = gateway_with('connections 1 pipeline=1; queue 2 timeout=1s;'
    . ' query_timeout 60s;');
wait_until 'a connection is opened', sub {
    ask($hasty, 'rest')->status == 200
};
lab_hold($postgres);
$slow = asking($hasty, 'rest?hold=1');
wait_until 'it runs', sub { lab_waits($postgres) };
my $begun = time;
for (map { asking($hasty, 'rest') } 1 .. 2) {
    $r = $_->();
    is $r->status, 504, 'who waits in the queue does not wait for ever';
    is $r->code, 'queue_timeout', 'but gets another code';
}
cmp_ok time - $begun, '>=', 1, 'after the queue time';
lab_release($postgres);
is $slow->()->status, 200, 'the one that ran is answered';
is ask($hasty, 'rest')->status, 200, 'and the next one, too';
leave($hasty);

# Who would have to stand behind a slow one gets another connection.

$nginx = gateway_with('connections 2; queue 64 timeout=60s;'
    . ' query_timeout 60s;');
lab_hold($postgres);
$slow = asking($nginx, 'rest?hold=1');
wait_until 'it runs', sub { lab_waits($postgres) };
select undef, undef, undef, 0.1;
is_deeply [map { ask($nginx, 'rest')->status } 1 .. 5], [(200) x 5],
    'nobody waits for a slow one while another connection can be had';
is lab_waits($postgres), 1, 'it runs all the while';
lab_release($postgres);
$slow->();
leave($nginx);

# A slow list is nobody's neighbour.

$nginx = gateway_with('connections 2; queue 64 timeout=60s;'
    . ' query_timeout 60s;');
lab_hold($postgres);
my @lists = map { asking($nginx, 'list?hold=1') } 1 .. 3;
wait_until 'a list runs', sub { lab_waits($postgres) };
is_deeply { map { ask($nginx, 'rest')->status => 1 } 1 .. 30 }, { 200 => 1 },
    'while lists run other requests are answered';
is lab_waits($postgres), 1,
    'the lists have one of two connections, and the others wait';
lab_release($postgres);
is_deeply [map { $_->()->status } @lists], [(200) x 3], 'they get their turns';

my $three = gateway_with('connections 3; queue 64 timeout=60s;'
    . ' query_timeout 60s;');
lab_hold($postgres);
@lists = map { asking($three, 'list?hold=1') } 1 .. 3;
my @gets = map { asking($three, 'rest') } 1 .. 3;
wait_until 'a list runs', sub { lab_waits($postgres) };
is_deeply [map { $_->()->status } @gets], [(200) x 3], 'requests are answered';
wait_until 'a list runs', sub { lab_waits($postgres) };
is_deeply [map { ask($three, 'rest')->status } 1 .. 10], [(200) x 10],
    'one after the other';
is lab_waits($postgres), 1,
    'lists never have more than half of the connections';
lab_release($postgres);
$_->() for @lists;

my $one = gateway_with('connections 1; queue 64 timeout=60s;'
    . ' query_timeout 60s;');
lab_hold($postgres);
my $list = asking($one, 'list?hold=1');
wait_until 'the list runs', sub { lab_waits($postgres) };
my $get = asking($one, 'rest');
settle($one);
lab_release($postgres);
is $list->()->status, 200, 'where there is one connection a list has that';
is $get->()->status, 200, 'and then the others have it';

# One list after the other does not keep it from them.

lab_hold($postgres);
$list = asking($one, 'list?hold=1');
wait_until 'the list runs', sub { lab_waits($postgres) };
$get = asking($one, 'rest');
settle($one);
select undef, undef, undef, 0.05;
my $next = asking($one, 'list?ms=2000&hold=1');
settle($one);
lab_release($postgres);
is $list->()->status, 200, 'the first list is answered';
lab_hold($postgres);
is $get->()->status, 200, 'then who has waited before the second one came';
lab_release($postgres);
is $next->()->status, 200, 'and then that';

# But under constant requests a list gets its turn.

for my $gateway ($one, $nginx) {
    my @load = map { load($gateway, 'rest?ms=10') } 1 .. 8;
    wait_until 'the load has begun', sub { lab_waits($postgres) };
    my $list = ask($gateway, 'list');
    is $list->status, 200, 'under constant load a list is answered';
    my $seen = total(@load);
    is_deeply [keys %$seen], [200], 'and so is everybody else';
}

# A flood of lists leaves room in the queue, and so does a flood of others.

my $flooded = gateway_with('connections 2 pipeline=1; queue 4 timeout=60s;'
    . ' query_timeout 60s;');
lab_hold($postgres);
@gets = map { asking($flooded, 'rest?hold=1') } 1 .. 2;
wait_until 'both connections are busy', sub { lab_waits($postgres) == 2 };
@lists = map { asking($flooded, 'list') } 1 .. 8;
settle($flooded);
push @gets, map { asking($flooded, 'rest') } 1 .. 2;
settle($flooded);
lab_release($postgres);
is_deeply [map { $_->()->status } @gets], [(200) x 4],
    'a flood of lists does not turn other requests away';
my %answers;
$answers{ $_->code || $_->status }++ for map { $_->() } @lists;
is_deeply \%answers, { 200 => 2, overloaded => 6 },
    'but lists, down to half of the queue';

lab_hold($postgres);
@gets = map { asking($flooded, 'rest?hold=1') } 1 .. 2;
wait_until 'both connections are busy', sub { lab_waits($postgres) == 2 };
@lists = map { asking($flooded, 'list') } 1 .. 2;
settle($flooded);
@waiting = map { asking($flooded, 'rest') } 1 .. 8;
settle($flooded);
lab_release($postgres);
is_deeply [map { $_->()->status } @gets, @lists], [(200) x 4],
    'a flood of other requests does not turn lists away';
%answers = ();
$answers{ $_->code || $_->status }++ for map { $_->() } @waiting;
is_deeply \%answers, { 200 => 2, overloaded => 6 }, 'but some of its own';
leave($nginx, $three, $one, $flooded);

# Connections grow old.

my $ageing = gateway_with('connections 1; queue 64 timeout=20s;'
    . ' keepalive_time 700ms;');
lab_hold($postgres);
my $only = asking($ageing, 'rest?hold=1');
wait_until 'a connection is opened', sub { lab_waits($postgres) };
lab_release($postgres);
is $only->()->status, 200, 'a connection is used';
wait_until 'it is closed', sub { !$postgres->backends('prov_partner') };
pass 'when its time is over it is closed, though nobody asks for it';

my @load = map { load($ageing, 'rest?ms=1') } 1 .. 4;
my %seen;
wait_until 'there have been several', sub {
    $seen{$_} = 1 for $postgres->backends('prov_partner');
    keys %seen >= 3;
};
my $seen = total(@load);
is_deeply [keys %$seen], [200],
    'under constant load connections are renewed, and nobody notices';
leave($ageing);

# A session that forgets its statements.

$nginx = gateway_with('connections 1; queue 64 timeout=20s;');
is ask($nginx, 'rest')->status, 200, 'a statement is prepared';
my ($pid) = $postgres->backends('prov_partner');
$postgres->allow(qr/ 26000 .*prepared statement "prov_\d+_\d+" does not exist/);

for (1 .. 3) {
    my @answers = map { $_->() } (asking($nginx, 'forget'),
        map { asking($nginx, 'rest') } 1 .. 5);
    is_deeply [map { $_->status } @answers], [(200) x 6],
        'when the session has forgotten it, it is prepared again';
}

is_deeply [$postgres->backends('prov_partner')], [$pid],
    'over the same connection';

# A function that comes back with another type, again and again, under load.

$postgres->allow(qr/ 0A000 .*cached plan must not change result type/,
                 qr/ XX000 .*cache lookup failed for function/);
@load = map { load($nginx, 'rest') } 1 .. 4;
my $writer = $postgres->connect_as('postgres');

for my $type ('smallint', 'bigint', 'int', 'smallint', 'int') {
    $writer->begin_work;
    $writer->do('drop function lab.rest');
    $writer->do("create function lab.rest(ctx jsonb, params jsonb, input jsonb,
            out status $type, out body json, out headers jsonb)
        language plpgsql security definer as \$\$
        begin
            status := 200;
            body := '{\"type\": \"$type\"}';
        end \$\$");
    $writer->do('grant execute on function lab.rest to prov_partner');
    $writer->commit;
    wait_until 'the new one is used', sub {
        ask($nginx, 'rest')->json->{type} eq $type;
    };
}

Provisioning::Test::Postgres::migrate($postgres);
$seen = total(@load);
is_deeply [keys %$seen], [200],
    'a function that is replaced by one of another form is called all along';
like $postgres->log, qr/cached plan must not change result type/,
    'although the server has complained';
leave($nginx);

# Large answers, several at once: byte for byte.

$nginx = gateway_with('connections 2; queue 64 timeout=30s;'
    . ' query_timeout 30s;');
$postgres->sql('set client_min_messages = warning');
$postgres->sql('drop schema lab cascade');
Provisioning::Test::Lab::install($postgres);

my @sizes = (8_000_000, 0, 65_535, 3_000_000, 1, 200_000, 5_000_000);
my @large = map { asking($nginx, "rest?bytes=$_") } @sizes;
is_deeply [map { $_->()->body =~ tr/x// - 1 } @large], \@sizes,    # "text"
    'large answers come whole, among small ones';

# Large requests.

@sizes = (6_000_000, 10, 1_000_000, 2_000_000);
@large = map { asking($nginx, 'notes', 
    body    => '{"text":"' . 'y' x $_ . '"}',
    headers => { 'Content-Type' => 'application/json' }) } @sizes;
is_deeply [map { $_->()->json->{length} } @large], \@sizes,
    'large requests arrive whole, among small ones';
is $postgres->value('select count(*) from lab.notes'), 4, 'each of them once';
is $postgres->value("select count(*) from lab.notes where text ~ '[^y]'"), 0,
    'with nothing else in them';

done_testing;
