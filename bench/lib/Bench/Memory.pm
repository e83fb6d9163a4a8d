package Bench::Memory;

# What a worker takes when it has nothing to do, and what each request adds
# that waits for a database which says nothing.

use strict;
use warnings;

use Provisioning::Test;
use Time::HiRes qw(sleep);

use Bench::Database;
use Bench::Gateway;
use Bench::Machine;
use Bench::Statement;

my $token;
my $made = 0;


# measure(the Bench::Database, how many wait): figures in KiB.  "each" is what
# a POST adds, the larger one, and "get" what a GET does.

sub measure {
    my ($database, $waiting) = @_;
    my ($rest, $post) = grow($database, $waiting, 'post');
    my (undef, $get) = grow($database, $waiting, 'get');

    return { rss => $rest->{Rss}, pss => $rest->{Pss},
             private => private($rest), waiting => $waiting,
             each => $post, get => $get };
}


# A new worker's memory when it has served some, and what each of so many
# requests adds to it.

sub grow {
    my ($database, $waiting, $kind) = @_;

    # those who wait are many, and wait for long
    my $gateway = Bench::Gateway->start($database, 1,
        [qr/queue +\d+ timeout=\S+;/ => 'queue 8192 timeout=60s;'],
        [qr/query_timeout +\S+;/ => 'query_timeout 60s;']);
    my $nginx = $gateway->nginx_of;

    # each connection to the database has been used, the token is known
    answers(map { request($nginx, $kind) } 1 .. 8);

    my ($worker) = $nginx->workers;
    my %rest = of($worker);

    $database->postgres_of->freeze;
    my @open = map { request($nginx, $kind) } 1 .. $waiting;
    wait_until('all requests wait', sub { settled($worker, $waiting) }, 60);
    my %then = of($worker);
    $database->postgres_of->thaw;
    answers(@open);

    $gateway->stop;

    return (\%rest, (private(\%then) - private(\%rest)) / $waiting);
}


sub private { return $_[0]{Private_Clean} + $_[0]{Private_Dirty} }


# One on a connection of its own, the way clients send it.

sub request {
    my ($nginx, $kind) = @_;
    my $api = $Bench::Gateway::api;
    my ($method, $path, @body) = $kind eq 'post'
        ? ('POST', $api,
           body => Bench::Statement::tenant(198_000_000_000 + ++$made))
        : ('GET', "$api/$Bench::Database::id$Bench::Database::first");

    my $connection = $nginx->connection;
    $connection->send_request($method => $path, token => $token ||= token(),
        @body, keep => 1, headers => {
            'User-Agent' => 'bench',
            @body ? ('Content-Type' => 'application/json') : (),
        });
    return $connection;
}


sub answers {
    my (@connections) = @_;

    for my $connection (@connections) {
        my $r = $connection->read_response(timeout => 60);
        die 'a request that waited is answered ' . $r->status . ': '
            . $r->body . "\n" if $r->status !~ /^20[01]\z/;
    }

    $_->close for @connections;
    return;
}


sub of {
    my ($pid) = @_;
    return Bench::Machine::text("/proc/$pid/smaps_rollup")
        =~ /^(\w+): +(\d+) kB$/mg;
}


# The worker has a socket for each of so many clients, and has done with them
# what can be done; its pools still look some times a second whether a
# connection is of use now, which is not a tenth of its time.

sub settled {
    my ($pid, $clients) = @_;

    my @sockets = grep { (readlink $_ // '') =~ /^socket:/ }
        glob "/proc/$pid/fd/*";
    return 0 if @sockets < $clients;

    my $before = Bench::Machine::cpu($pid);
    sleep 0.3;
    return Bench::Machine::cpu($pid) - $before < 0.03;
}

1;
