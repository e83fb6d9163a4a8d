#!/usr/bin/perl

# A database that is slow, or does not move at all: how long anybody waits,
# what is said then, and that a worker never waits itself.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Lab;

my $postgres = postgres();
my $lab = lab($postgres);

# what a server says whose client does not read its answer
$postgres->allow(qr/FATAL:  connection to client lost/);

# a change that was shut out by the question for its outcome ends like this
$postgres->allow(qr/ PV503 .*The outcome of this request was decided/);


# Sends a request now; the code that is returned reads its response.

sub asking {
    my ($nginx, $path) = @_;

    my $connection = $nginx->connection;
    $connection->send_request(GET => "/api/lab/$path", token => token());

    return sub { $connection->read_response(timeout => 60) };
}


sub noting {
    my ($nginx, %note) = @_;

    my $connection = $nginx->connection;
    $connection->send_request(POST => '/api/lab/notes', token => token(),
        json => \%note);

    return sub { $connection->read_response(timeout => 60) };
}


sub ask { asking(@_)->() }
sub notes { $postgres->value('select count(*) from lab.notes where text = ?', @_) }

# options: what PostgreSQL's own limits are, instead of what the gateway says

sub gateway_with {
    my ($database, $options) = @_;
    return nginx(postgres => $postgres, database => $database,
        locations => $lab, $options ? (conninfo => 'dbname=provisioning'
            . " user=prov_partner options='$options'") : ());
}


# The worker does other things while somebody waits.

sub alive {
    my ($nginx, $while) = @_;

    is_deeply [map { $nginx->request(GET => '/health/live')->status } 1 .. 3],
        [200, 200, 200], "$while the worker answers others";
    return;
}


# A slow statement is ended by PostgreSQL: nothing was done, and the connection
# is as good as before.

my $nginx = gateway_with('connections 1; queue 64 timeout=60s;'
    . ' query_timeout 80s;');
$postgres->sql(q{create or replace function lab.forget(ctx jsonb, params jsonb,
        input jsonb, out status int, out body json, out headers jsonb)
    language sql as $$
        select 200, to_json(current_setting('statement_timeout')), null::jsonb
    $$});
is ask($nginx, 'forget')->body, '"70s"',
    'a statement has less time in the database than in the gateway';
$nginx->stop;

$nginx = gateway_with('connections 1; queue 64 timeout=60s;'
    . ' query_timeout 80s;', '-c statement_timeout=3s');
$postgres->allow(qr/ 57014 .*canceling statement due to statement timeout/);

is ask($nginx, 'rest')->status, 200, 'a quick statement is answered';
my @pids = $postgres->backends('prov_partner');

my $r = ask($nginx, 'rest?ms=70000');
is $r->status, 504, 'a slow read is ended';
is $r->code, 'query_timeout', 'with a code that says so';

$r = noting($nginx, text => 'slow', ms => 70000)->();
is $r->status, 504, 'and so is a slow change';
is $r->code, 'query_timeout', 'with the same code';
is notes('slow'), 0, 'of which nothing is left';

is ask($nginx, 'rest')->status, 200, 'the next one is answered';
is_deeply [$postgres->backends('prov_partner')], \@pids,
    'over the same connection';

# PostgreSQL has no limit for a commit, so the gateway's own ends that, and the
# question what became of it is not answered in time either.

$nginx->stop;
$nginx = gateway_with('connections 1; queue 64 timeout=60s;'
    . ' query_timeout 5s;');
$nginx->ready;
$postgres->allow(qr/ 55P03 .*canceling statement due to lock timeout/);
lab_hold($postgres);
$r = noting($nginx, text => 'slow commit', commit_ms => 1)->();
is $r->status, 502, 'a change whose commit is slow is given up';
is $r->code, 'outcome_unknown', 'and may have been made or not';
lab_release($postgres);
wait_until 'the commit has ended', sub { notes('slow commit') };
pass 'it was';

# Who stands behind slow ones is not punished for them.

$nginx->stop;
$nginx = gateway_with('connections 1; queue 64 timeout=60s; query_timeout 8s;',
    '-c statement_timeout=60s');
ask($nginx, 'rest');
lab_hold($postgres);
my @row = map { asking($nginx, $_) } 'rest', 'rest?hold=1', 'rest';
is_deeply [map { $_->()->status } @row], [200, 504, 200],
    'the one whose time is over is given up, the one behind it is sent again';
lab_release($postgres);

# The server does not move.

$nginx->stop;
$nginx = gateway_with('connections 1; queue 64 timeout=1500ms;'
    . ' query_timeout 1s; connect_timeout 500ms;');
$nginx->ready;
my ($worker) = wait_until 'there is a worker', sub { ($nginx->workers)[0] };

$postgres->freeze;
my $read = asking($nginx, 'rest');
my $change = noting($nginx, text => 'frozen');
alive($nginx, 'while the server is frozen');

$r = $read->();
is $r->status, 504, 'a read that a frozen server got is given up';
is $r->code, 'query_timeout', 'with a code that says so';
like $nginx->log, qr/took longer than query_timeout, closing its connection/,
    'the log says what became of the connection';

my $late = asking($nginx, 'rest');
alive($nginx, 'while it tries to connect');
$r = $late->();
is $r->status, 503, 'one that comes later finds the database away';
is $r->code, 'database_unavailable', 'and is told so';
like $nginx->log, qr/took longer than connect_timeout/, 'the log, too, says so';

$r = $change->();
is $r->status, 502, 'what became of a change cannot be found out';
is $r->code, 'outcome_unknown', 'and nobody pretends it can';

$postgres->thaw;
$nginx->ready;
wait_until 'the server has come to what it had got', sub {
    $postgres->value('select count(*) from pg_stat_activity where'
        . " usename = 'prov_partner' and state <> 'idle'") == 0
};
cmp_ok notes('frozen'), '<=', 1, 'it was done at most once';
wait_until 'all is well', sub { ask($nginx, 'rest')->status == 200 };
pass 'when the server moves again all is well';
is_deeply [$nginx->workers], [$worker], 'in the same worker';

# It moves again while the gateway asks what became of a change.  The change
# may come after the question, and then it is shut out.

$postgres->allow(qr/ PV503 .*The outcome of this request was decided/);

$nginx->stop;
$nginx = gateway_with('connections 2; queue 64 timeout=60s;'
    . ' query_timeout 6s; connect_timeout 500ms;');
$nginx->ready;

for my $round (1 .. 3) {
    $postgres->freeze;
    my $change = noting($nginx, text => "round $round");
    wait_until 'its time is over', sub {
        my @over = $nginx->log =~ /asking for the outcome/g;
        @over >= $round;
    };
    $postgres->thaw;
    my $r = $change->();
    is_deeply [$r->status == 201 ? 1 : $r->code, notes("round $round")],
        $r->status == 201 ? [1, 1] : ['not_committed', 0],
        'the answer about a change says what the table says: '
        . ($r->code || $r->status);
}

# Much to send to a server that does not read, and much to read from it.

$nginx->stop;
$nginx = gateway_with('connections 1; queue 64 timeout=60s;'
    . ' query_timeout 60s;');
$nginx->ready;

$postgres->freeze;
my @large = map { (asking($nginx, 'rest?bytes=4000000'),
                   noting($nginx, text => 'z' x 3_000_000)) } 1 .. 3;
alive($nginx, 'with much to send');
$postgres->thaw;
my @answers = map { $_->() } @large;
is_deeply [map { $_->status } @answers], [(200, 201) x 3],
    'large requests and large answers pass each other on one connection';
is_deeply [map { length $_->body } @answers[0, 2, 4]],
    [(length('{"text" : ""}') + 4_000_000) x 3], 'the answers are whole';
is $postgres->value('select count(*) from lab.notes where length(text) ='
    . " 3000000 and text !~ '[^z]'"), 3, 'and so are the requests';

done_testing;
