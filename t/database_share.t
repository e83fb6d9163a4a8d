#!/usr/bin/perl

# Commits that share a flush to disk, and reads that share a transaction: what
# is answered is on disk, nobody is hurt by another's error, and there are
# fewer flushes than changes.  What a killed server remembers is in
# t/database_durable.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Lab;

use IO::Select ();

my $TENANTS = '/api/provisioning/tenants';

# a server whose commits wait for a standby: so a test can hold them up

my $postgres = postgres(settings => { fsync => 'on', wal_level => 'replica',
                                      max_wal_senders => 2 });
my $lab = lab($postgres);


sub asking {
    my ($nginx, $method, $path, %o) = @_;

    my $connection = $nginx->connection;
    $connection->send_request($method => $path, token => token(), %o);

    return $connection;
}


sub jot {
    my ($nginx, $text) = @_;
    return asking($nginx, POST => '/api/lab/notes', json => { text => $text });
}


sub answer { $_[0]->read_response(timeout => 60) }


# True when nothing has come, after everything that could come has.

sub silent {
    my ($nginx, @connections) = @_;

    $nginx->request(GET => '/health/live') for 1 .. 3;
    select undef, undef, undef, 0.3;
    return !grep { IO::Select->new($_->socket)->can_read(0) } @connections;
}


sub hold_commits {
    my ($name) = @_;

    $postgres->sql("alter system set synchronous_standby_names = '$name'");
    $postgres->sql('select pg_reload_conf()');
    wait_until 'the setting counts', sub {
        my $session = $postgres->connect_as('postgres');
        my ($now) = $session->selectrow_array(
            'show synchronous_standby_names');
        $session->disconnect;
        $now eq $name;
    };
    return;
}


# A session that holds locks, and waits for no standby itself.

sub gate {
    my ($table) = @_;
    my $session = $postgres->connect_as('postgres');

    $session->do('set synchronous_commit = off');
    $session->begin_work;
    $session->do("lock table $table in access exclusive mode");

    return $session;
}


sub waiting_for_lock {
    return $postgres->value(q{
        select count(*) from pg_stat_activity
        where usename = 'prov_partner' and wait_event_type = 'Lock'});
}


# So many of these tenants can others see.

sub made {
    return $postgres->value(
        'select count(*) from prov.tenants where email = any(?)', \@_);
}


sub waiting_for_standby {
    return $postgres->value(q{
        select count(*) from pg_stat_activity
        where usename = 'prov_partner' and wait_event = 'SyncRep'});
}


sub there {
    my ($text) = @_;
    return $postgres->value('select count(*) from lab.notes where text = ?',
        $text);
}


# An answer waits for the disk (here: for a standby that does not come).

my $nginx = nginx(postgres => $postgres, locations => $lab,
    database => 'connections 2 writes=1; queue 64 timeout=60s;'
        . ' query_timeout 60s;');

is answer(jot($nginx, 'first'))->status, 201, 'a change is made';

hold_commits('nobody');

my $alone = jot($nginx, 'alone');
wait_until 'it waits for the standby', sub { waiting_for_standby() };
my @shared = map { jot($nginx, "shared-$_") } 1 .. 3;
ok silent($nginx, $alone, @shared), 'nobody is answered before it is safe';
is there('alone'), 0, 'one that is alone is not there before, either';

hold_commits('');
is_deeply [map { answer($_)->status } $alone, @shared], [(201) x 4],
    'then all of them are answered';
is there('alone') + there('shared-1') + there('shared-2') + there('shared-3'),
    4, 'and they are there';

# The same where they are committed already, and only the barrier waits: one
# goes ahead alone, the others come while it is under way.

my $narrow = nginx(postgres => $postgres, locations => $lab,
    database => 'connections 1; share_transactions 1;'
        . ' queue 64 timeout=60s; query_timeout 60s;');
my $gate = gate('lab.notes');
my $next = gate('prov.tenants');
my $ahead = jot($narrow, 'ahead');
wait_until 'it waits for the lock', sub { waiting_for_lock() };
my @emails = map { unique_email() } 1 .. 3;
my @together = map {
    asking($narrow, POST => $TENANTS, json => { client_name => 'Acme',
                                               email => $_ })
} @emails;
ok silent($narrow, $ahead, @together), 'four changes wait for a lock';
$gate->commit;
is answer($ahead)->status, 201, 'the first one gets it and is answered';
wait_until 'the next one waits', sub { waiting_for_lock() };
hold_commits('nobody');
$next->commit;

wait_until 'the server waits for the standby', sub { waiting_for_standby() };
is made(@emails), 3, 'the others are committed, for all to see';
ok silent($narrow, @together), 'but not answered yet';
hold_commits('');
is_deeply [map { answer($_)->status } @together], [(201) x 3],
    'that they are when it is safe';

# A key's second request finds what the first has done, and waits as it does.

my %keyed = (json => { client_name => 'Acme', email => unique_email() },
    headers => { 'Idempotency-Key' => 'one-and-the-same' });
my $pair = nginx(postgres => $postgres, workers => 1,
    database => 'connections 3 writes=2; queue 64 timeout=60s;'
        . ' query_timeout 60s;');

is answer(asking($pair, GET => $TENANTS))->status, 200, 'a second gateway';
hold_commits('nobody');
my $first = jot($nginx, 'in front');
wait_until 'a change waits for the standby', sub { waiting_for_standby() == 1 };
my $original = asking($nginx, POST => $TENANTS, %keyed);
my $visible = q{select count(*) from prov.tenants where email = ?};
ok silent($nginx, $first, $original), 'one with a key comes behind it';
hold_commits('');
is answer($first)->status, 201, 'both are answered in the end';
is answer($original)->status, 201, 'with what they made';
is $postgres->value($visible, $keyed{json}{email}), 1, 'once';

hold_commits('nobody');
my $replay = asking($pair, POST => $TENANTS, %keyed);
wait_until 'the second with the key waits', sub { waiting_for_standby() };
ok silent($pair, $replay),
    'who is told what another has done waits until that is safe, too';
hold_commits('');
my $r = answer($replay);
is $r->status, 201, 'then it is told';
is $r->header('Idempotent-Replayed'), 'true', 'as what it is: a replay';

# So it is for a change whose result is validated first, where the trial finds
# what was done.

my $tenant = answer(asking($pair, POST => $TENANTS, json => {
    client_name => 'Acme', email => unique_email() }))->json->{tenant};
my @patch = (PATCH => "$TENANTS/$tenant/configuration", json => { a => 1 },
    headers => { 'Idempotency-Key' => 'tried-before' });
is answer(asking($pair, @patch))->status, 200, 'a configuration is changed';
hold_commits('nobody');
$replay = asking($pair, @patch);
wait_until 'its repetition waits', sub { waiting_for_standby() };
ok silent($pair, $replay), 'a trial that finds an answer waits, too';
hold_commits('');
$r = answer($replay);
is $r->status, 200, 'then it gives it';
is $r->header('Idempotent-Replayed'), 'true', 'as a replay';

# A session that has forgotten its statements has forgotten its barrier.

$postgres->allow(qr/ 26000 .*prepared statement "prov_\w+" does not exist/);
is answer(jot($narrow, 'remembered'))->status, 201, 'a change is made';
is answer(asking($narrow, GET => '/api/lab/forget'))->status, 200,
    'the session forgets all';
is answer(jot($narrow, 'forgotten'))->status, 201, 'the next change is made';
is there('forgotten'), 1, 'once';

# The connection is lost when all is committed but the barrier.

$gate = gate('lab.notes');
$next = gate('prov.tenants');
$ahead = jot($narrow, 'ahead again');
wait_until 'it waits for the lock', sub { waiting_for_lock() };
@emails = map { unique_email() } 1 .. 3;
@together = map {
    asking($narrow, POST => $TENANTS, json => { client_name => 'Acme',
                                               email => $_ })
} @emails;
ok silent($narrow, $ahead, @together), 'three changes wait behind another';
$gate->commit;
is answer($ahead)->status, 201, 'which is made';
wait_until 'the next one waits', sub { waiting_for_lock() };
hold_commits('nobody');
$next->commit;
wait_until 'the server waits for the standby', sub { waiting_for_standby() };
is made(@emails), 3, 'they are committed';
ok silent($narrow, @together), 'and wait for the standby';

# pg_terminate_backend() would let the commit go on without the standby, with
# a warning; the operating system asks nobody

$postgres->kill_backends;
$postgres->allow(qr/FATAL:  the database system is in recovery mode/,
    qr/terminated by signal 9/,
    qr/FATAL:  terminating connection because of crash/);
wait_until 'PostgreSQL has noticed',
    sub { $postgres->log =~ /all server processes terminated/ };
wait_until 'PostgreSQL has recovered', sub {
    eval { $postgres->value('select 1') } || do { $postgres->disconnect; 0 };
};
hold_commits('');
my %codes;
for (map { answer($_) } @together) {
    $codes{ $_->code || $_->status }++;
}
my $made = made(@emails);
is_deeply \%codes, { ($made ? (201 => $made) : ()),
                     ($made < 3 ? (not_committed => 3 - $made) : ()) },
    'each is told what has become of it';

# What the server is told to wait for counts from then on, for connections that
# are open, too.

is answer(jot($nginx, 'before'))->status, 201, 'a connection is open';
$postgres->sql("alter system set synchronous_commit = 'local'");
hold_commits('nobody');
is answer(jot($nginx, 'local'))->status, 201,
    'the server is told to wait for no standby: nobody does';
$postgres->sql('alter system reset synchronous_commit');
hold_commits('');

# Errors are their own.

$gate = gate('prov.tenants');
@emails = map { unique_email() } 1 .. 3;
my $number = 0;
my @asked = map {
    asking($nginx, POST => $TENANTS, json => {
        client_name => 'Number ' . $number++, email => $_ })
} @emails[0, 0, 1, 1, 2];
wait_until 'they wait', sub { waiting_for_lock() };
ok silent($nginx, @asked), 'five changes wait, two of which cannot be';
$gate->commit;
my @answers = map { answer($_) } @asked;
is_deeply [map { join ' ', sort map { $_->status } @$_ }
           [@answers[0, 1]], [@answers[2, 3]], [$answers[4]]],
    ['201 409', '201 409', '201'], 'they fail, and nobody else does';
is_deeply [map { $_->code } grep { $_->status == 409 } @answers],
    [('email_taken') x 2], 'for their own reason';

# So are those of reads, which share a transaction when they are sent together:
# here, when the connection has been made.

$postgres->sql(q{
    create or replace function lab.rest(ctx jsonb, params jsonb, input jsonb,
        out status int, out body json, out headers jsonb)
        language plpgsql security definer as $$
    begin
        if params ->> 'bytes' = '13' then
            raise 'An unlucky number.' using errcode = 'PV409',
                constraint = 'unlucky';
        end if;
        status := 200;
        body := json_build_object('at', txid_current(),
            'bytes', params -> 'bytes');
    end $$});
$postgres->allow(qr/ PV409 .*An unlucky number/);

my $reader = nginx(postgres => $postgres, locations => $lab,
    database => 'connections 1; queue 64 timeout=60s;');
$postgres->freeze;
@asked = map { asking($reader, GET => "/api/lab/rest?bytes=$_") }
    1, 13, 2, 13, 3, 4;
$reader->request(GET => '/health/live') for 1 .. 3;
$postgres->thaw;
@answers = map { answer($_) } @asked;
is_deeply [map { $_->status } @answers], [200, 409, 200, 409, 200, 200],
    'reads that are sent together have their own errors';
is_deeply [map { $_->json->{bytes} } grep { $_->status == 200 } @answers],
    [1, 2, 3, 4], 'and their own answers';

my $second = nginx(postgres => $postgres, locations => $lab,
    database => 'connections 1; queue 64 timeout=60s;');
$postgres->freeze;
@asked = map { asking($second, GET => "/api/lab/rest?bytes=$_") } 1 .. 6;
$second->request(GET => '/health/live') for 1 .. 3;
$postgres->thaw;
my %transactions = map { answer($_)->json->{at} => 1 } @asked;
cmp_ok scalar keys %transactions, '<', 6, 'they share transactions';

# Those of several that wait for a lock give up after 100 ms, and wait alone.

$postgres->allow(qr/ 55P03 .*canceling statement due to lock timeout/);

# Together they may take too long, where each by itself does not.  The server
# may find that out first: they are one statement to it.

$postgres->allow(qr/ 57014 .*canceling statement due to statement timeout/);

my $hasty = nginx(postgres => $postgres, locations => $lab,
    database => 'connections 1; queue 64 timeout=60s; query_timeout 8s;');
$postgres->sql(q{
    create or replace function lab.rest(ctx jsonb, params jsonb, input jsonb,
        out status int, out body json, out headers jsonb)
        language plpgsql as $$
    begin
        perform pg_sleep((params ->> 'ms')::float / 1000);
        status := 200;
        body := '{}';
    end $$});
$postgres->freeze;
@asked = map { asking($hasty, GET => "/api/lab/rest?ms=$_") }
    0, 3200, 3200, 3200;
$hasty->request(GET => '/health/live') for 1 .. 3;
$postgres->thaw;
is_deeply [map { answer($_)->status } @asked], [200, 200, 200, 504],
    'reads that take too long together are sent again, one by one';
like $hasty->log, qr/a query took longer than query_timeout/, 'by our clock';

# A dry run may wait for others: it has a transaction of its own.

my $third = nginx(postgres => $postgres, locations => $lab,
    database => 'connections 1; queue 64 timeout=60s; query_timeout 60s;');
$gate = gate('prov.tenants');
$postgres->freeze;
my $quick = asking($third, GET => '/api/lab/rest?ms=0');
my $trial = asking($third, POST => "$TENANTS?dry_run=true",
    json => { client_name => 'Acme', email => unique_email() });
$third->request(GET => '/health/live') for 1 .. 3;
$postgres->thaw;
is answer($quick)->status, 200, 'a read is answered';
ok silent($third, $trial), 'while a dry run behind it waits';
$gate->commit;
is answer($trial)->status, 201, 'which is answered when it can be';

# Fewer flushes than changes; with "share_commits off", one each.  A session
# says what it has done when it ends.

sub flushes_with {
    my ($share) = @_;

    my $gateway = nginx(postgres => $postgres, locations => $lab,
        database => "connections 1; share_commits $share;"
            . ' share_transactions 1; queue 64 timeout=60s;');
    my $before = $postgres->value('select wal_sync from pg_stat_wal');

    my @jobs = map { my $job = $_; background(sub {
        my $connection = $gateway->connection;

        for my $i (1 .. 20) {
            $connection->send_request(POST => '/api/lab/notes', keep => 1,
                token => token(), json => { text => "$share-$job-$i" });
            $connection->read_response->status == 201 or die 'no note';
        }
        return 1;
    }) } 1 .. 16;

    $_->finish for @jobs;
    $gateway->stop;
    wait_until 'its session has ended',
        sub { !$postgres->backends('prov_partner') };

    return $postgres->value('select wal_sync from pg_stat_wal') - $before;
}

$_->stop for $nginx, $narrow, $pair, $reader, $second, $hasty, $third;
my ($each, $shared) = map { flushes_with($_) } 'off', 'on';
cmp_ok $each, '>', 0, 'commits are flushed';
cmp_ok $shared, '<', $each / 2, 'those that share have fewer flushes';

done_testing;
