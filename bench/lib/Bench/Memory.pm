package Bench::Memory;

# What a worker takes when it has nothing to do, and what each request adds
# that waits for a database which says nothing.

use strict;
use warnings;

use Provisioning::Test;
use Time::HiRes qw(sleep);

use Bench::Gateway;
use Bench::Machine;
use Bench::Statement;

my $token;


# measure(the Bench::Database, how many wait): figures in KiB

sub measure {
    my ($database, $waiting) = @_;

    # those who wait are many, and wait for long
    my $gateway = Bench::Gateway->start($database, 1,
        [qr/queue +\d+ timeout=\S+;/ => 'queue 8192 timeout=60s;'],
        [qr/query_timeout +\S+;/ => 'query_timeout 60s;']);
    my $nginx = $gateway->nginx_of;

    # each connection to the database has been used, the token is known
    my @warm = map { request($nginx, $_) } 1 .. 8;
    answers(\@warm);

    my ($worker) = $nginx->workers;
    my %rest = of($worker);

    $database->postgres_of->freeze;
    my @open = map { request($nginx, 8 + $_) } 1 .. $waiting;
    wait_until('all requests wait', sub { settled($worker, $waiting) }, 60);
    my %then = of($worker);
    $database->postgres_of->thaw;
    answers(\@open);

    $gateway->stop;

    return {
        rss => $rest{Rss}, pss => $rest{Pss},
        private => private(\%rest),
        waiting => $waiting,
        each => (private(\%then) - private(\%rest)) / $waiting,
    };
}


sub private { return $_[0]{Private_Clean} + $_[0]{Private_Dirty} }


# A POST of its own connection, the way clients send it.

sub request {
    my ($nginx, $number) = @_;

    my $connection = $nginx->connection;
    $connection->send_request(POST => $Bench::Gateway::api,
        token => $token ||= token(),
        body => Bench::Statement::tenant(198_000_000_000 + $number), keep => 1,
        headers => { 'Content-Type' => 'application/json',
                     'User-Agent' => 'bench' });
    return $connection;
}


sub answers {
    my ($connections) = @_;

    for my $connection (@$connections) {
        my $r = $connection->read_response(timeout => 60);
        die "a request that waited is answered " . $r->status . ': '
            . $r->body . "\n" if $r->status != 201;
    }

    $_->close for @$connections;
    return;
}


sub of {
    my ($pid) = @_;
    return Bench::Machine::text("/proc/$pid/smaps_rollup")
        =~ /^(\w+): +(\d+) kB$/mg;
}


# The worker has a socket for each of so many clients, and has done with them
# what can be done.

sub settled {
    my ($pid, $clients) = @_;

    my @sockets = grep { (readlink $_ // '') =~ /^socket:/ }
        glob "/proc/$pid/fd/*";
    return 0 if @sockets < $clients;

    my $before = Bench::Machine::cpu($pid);
    sleep 0.3;
    return Bench::Machine::cpu($pid) - $before < 0.001;
}

1;
