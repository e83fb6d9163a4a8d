#!/usr/bin/perl

# Several servers: the one that takes writes is found, and found again when it
# is another one.  Nobody reloads anything.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;

my $TENANTS = '/api/provisioning/tenants';
my $PATIENT = 'connections 2; queue 64 timeout=40s;';
my @end = (qr/FATAL:  connection to client lost/);


sub create {
    my ($nginx, $email) = @_;

    return $nginx->request(POST => $TENANTS, token => token(),
        json => { client_name => 'Acme', email => $email || unique_email() },
        timeout => 60);
}


sub list {
    my ($nginx) = @_;
    return $nginx->request(GET => $TENANTS, token => token(), timeout => 60);
}


sub in_order {
    my ($database, @servers) = @_;

    return nginx(address => join("; server ", @servers),
        database => $database);
}


sub used { my ($postgres) = @_; return 0 + $postgres->backends('prov_partner') }

sub rows {
    my ($postgres, $email) = @_;
    return $postgres->value(
        'select count(*) from prov.tenants where email = ?', $email);
}


# Two that both take writes, and have nothing to do with each other.

my $first = postgres();
my $second = postgres();

my $nginx = in_order($PATIENT, $first->server . ' backup', $second->server);
is create($nginx)->status, 201, 'a tenant is made';
is used($first), 0, 'a backup is not used';
is used($second), 1, 'while there is another server, though it stands behind it';

$second->stop;
is create($nginx)->status, 201, 'when that one is away the next is served';
is used($first), 1, 'by the backup';

$second->start;
is create($nginx)->status, 201, 'when it is back';
is used($second), 0, 'the one that works is kept';

$first->stop;
is create($nginx)->status, 201, 'until it is away, too';
is used($second), 1, 'and then the other one serves again';

$first->start;
ok $nginx->stop, 'nginx leaves';

# A server that takes no writes any more, while it still serves.

$_->allow(@end, qr/ 25006 .*read-only transaction/) for $first, $second;


sub read_only {
    my ($postgres, $how) = @_;

    $postgres->sql("alter system set default_transaction_read_only = $how");
    $postgres->sql('select pg_reload_conf()');
    wait_until "it is $how", sub {
        my $new = $postgres->connect_as('postgres');
        my ($is) = $new->selectrow_array('show default_transaction_read_only');
        $new->disconnect;
        $is eq $how;
    };
    return;
}

$nginx = in_order($PATIENT, $first->server, $second->server);
is create($nginx)->status, 201, 'a tenant is made';
is used($first), 1, 'on the first server';

read_only($first, 'on');
is create($nginx)->status, 201,
    'when that takes no writes any more a tenant is still made';
is used($second), 1, 'on the other server';
wait_until 'the first one is left', sub { !used($first) };
pass 'and the first one is left';
like $nginx->log, qr/takes no writes any more, looking for the one that does/,
    'the log says so';
ok $nginx->stop, 'nginx leaves';

$nginx = in_order('connections 2; queue 64 timeout=2s;', $first->server);
my $r = create($nginx);
is $r->status, 503, 'when there is no other server there is no tenant';
is $r->code, 'database_unavailable', 'but a code that says so';
ok $r->header('Retry-After'), 'and Retry-After';
is list($nginx)->status, 200, 'reading goes on';

read_only($first, 'off');
wait_until 'tenants are made again', sub { create($nginx)->status == 201 };
pass 'and when it takes writes again tenants are made';
ok $nginx->stop, 'nginx leaves';
$_->stop for $first, $second;

# A real standby.

my $primary = postgres(settings => { wal_level => 'replica',
    max_wal_senders => 4 });
my $standby = postgres(standby_of => $primary);
$primary->allow(@end);
$standby->allow(@end, qr/FATAL:  (?:could not|streaming replication)/);

# what is answered 201 is on both

$primary->sql(q{alter system set synchronous_standby_names = '*'});
$primary->sql('select pg_reload_conf()');
wait_until 'the standby follows', sub {
    $primary->value("select count(*) from pg_stat_replication where"
        . " sync_state = 'sync'")
};

$nginx = in_order($PATIENT, $standby->server, $primary->server);
my $email = unique_email();
is create($nginx, $email)->status, 201, 'a tenant is made';
is rows($primary, $email), 1, 'on the primary, though the standby stands first';
is used($standby), 0, 'the standby is not used';
like $nginx->log, qr/is a standby and takes no writes/, 'the log says so';
my ($worker) = wait_until 'there is a worker', sub { ($nginx->workers)[0] };

my @clients = map { my $number = $_; background(sub {
    my ($go_on) = @_;
    my @made;

    while ($go_on->() || @made < 5) {
        my $email = "client-$number-" . @made . '@example.com';
        my $r = eval { create($nginx, $email) };
        push @made, [$email, $r ? ($r->status, $r->code) : (0, "$@")];
    }

    return \@made;
}) } 1 .. 4;

wait_until 'the load goes on', sub {
    $primary->value('select count(*) from prov.tenants') > 40
};
$primary->crash;
wait_until 'somebody has noticed', sub {
    $nginx->log =~ /connecting failed/
};
$standby->sql('select pg_promote()');
wait_until 'the load goes on over there', sub {
    used($standby)
        && $standby->value('select count(*) from prov.tenants') > 80
};

my (%status, @wrong);

for my $made (map { @{ $_->finish } } @clients) {
    my ($email, $status, $code) = @$made;
    my $rows = rows($standby, $email);

    $status{ $code || $status }++;
    push @wrong, "$email $status $code: $rows"
        unless $status == 201 && $rows == 1 || $status == 503 && $rows == 0
            || $code eq 'outcome_unknown';
}

note join ', ', map { "$_: $status{$_}" } sort keys %status;
is_deeply \@wrong, [],
    'after a failover under load what was answered is what is there';
cmp_ok $status{201} || 0, '>', 40, 'most were answered 201';
is create($nginx)->status, 201, 'and tenants are made';
is_deeply [$nginx->workers], [$worker], 'in the same worker';
unlike $nginx->log, qr/SIGHUP/, 'without a reload';

done_testing;
