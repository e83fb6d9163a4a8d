package Bench::Deliveries;

# How fast webhooks are delivered: to 64 receivers that answer at once, with all
# of the jobs waiting when the gateway's workers begin.  The receivers are
# another nginx, on as many addresses of this machine; it shares the cores.
# And what a request takes while as many jobs as may be wait for receivers that
# never answer.

use strict;
use warnings;

use IO::Socket::INET;
use Provisioning::Test;
use Time::HiRes qw(sleep time);

use Bench::Gateway;
use Bench::Machine;
use Bench::Wrk;

our $receivers = 64;

# a partner may have 50 endpoints: these share the receivers
my @partners = qw(acme globex);

# what conf/nginx.conf has, but that receivers on this machine may be sent to,
# which have no certificates

my @quiet = ([qr/provisioning_jobs \{.*?\n    \}\n/s => '']);
my @outbound = ([qr/provisioning_outbound \{/ =>
    'provisioning_outbound { plain_http on; allow_network 127.0.0.0/8;']);


# measure(the Bench::Database, number of workers, of deliveries, of rounds): a
# hash for each round, with rate, errors, and CPU, in µs of a delivery.

sub measure {
    my ($database, $workers, $deliveries, $rounds) = @_;
    my $postgres = $database->postgres_of;
    my $receiver = receiving();

    # one that makes events and delivers none
    my $maker = Bench::Gateway->start($database, 1, @outbound, @quiet);
    my $port = $receiver->port;
    endpoint($maker->nginx_of, $partners[$_ % @partners],
             "http://127.0.0.$_:$port/hook") for 1 .. $receivers;

    my @measures = map {
        events($maker->nginx_of, $_, \@partners,
               int($deliveries * @partners / $receivers));
        $postgres->sql($_) for 'vacuum (analyze) prov.jobs', 'checkpoint';
        round($database, $workers, $receiver);
    } 1 .. $rounds;

    $_->stop for $maker, $receiver;

    return \@measures;
}


sub receiving {
    my $listen = join "\n", map { "listen 127.0.0.$_:%%PORT%%;" }
        1 .. $receivers;

    return nginx(config => <<"END");
%%MAIN%%
worker_processes 1;

events {
    worker_connections 4096;
}

http {
    %%HTTP%%
    access_log off;
    keepalive_requests 1000000;

    server {
        $listen
        location / {
            return 204;
        }
        location = /count {
            stub_status;
        }
    }
}
END
}


sub endpoint {
    my ($nginx, $partner, $url) = @_;

    my $r = $nginx->request(POST => '/api/provisioning/webhook-endpoints',
        token => token(partner => $partner),
        json => { url => $url, event_types => ['*'] });
    die 'an endpoint is answered ' . $r->status . ': ' . $r->body . "\n"
        if $r->status != 201;

    return;
}


# So many tenants: an event each, and of each a delivery to every receiver of
# its partner.

sub events {
    my ($nginx, $round, $partners, $number) = @_;

    my $turn = 0;

    for (my $from = 0; $from < $number; $from += 100) {
        my $to = $from + 100 < $number ? $from + 100 : $number;
        my $r = $nginx->request(POST => '/api/provisioning/tenants/bulk',
            token => token(partner => $partners->[$turn++ % @$partners]),
            timeout => 60, json => { tenants => [map { {
                client_name => "Delivered $_",
                email => "delivered-$round-$_\@example.com",
            } } $from .. $to - 1] });
        die 'tenants are answered ' . $r->status . ': ' . $r->body . "\n"
            if $r->status !~ /^20[017]\z/;
    }

    return;
}


# From when a tenth has come until all but a tenth have.

sub round {
    my ($database, $workers, $receiver) = @_;
    my $postgres = $database->postgres_of;

    my $all = waiting($postgres);
    my $before = counted($receiver);
    my $gateway = Bench::Gateway->start($database, $workers, @outbound);
    my %pid = (nginx => $gateway->nginx_of->pid,
               postgresql => $postgres->pid, receivers => $receiver->pid);

    my $from = passed($receiver, $before + $all / 10);
    my %cpu = map { $_ => Bench::Machine::cpu($pid{$_}) } keys %pid;
    my $to = passed($receiver, $before + $all * 9 / 10);
    my %spent = map { $_ => Bench::Machine::cpu($pid{$_}) - $cpu{$_} }
        keys %pid;

    # what came twice, or never, is an error
    wait_until('all deliveries are reported', sub { !waiting($postgres) }, 60);
    $gateway->stop;

    my $done = $to->{count} - $from->{count};
    return {
        rate => $done / ($to->{at} - $from->{at}), deliveries => $all,
        receivers => $receivers,
        errors => abs(counted($receiver) - $before - $all),
        cpu => { map { $_ => 1e6 * $spent{$_} / $done } keys %spent },
    };
}


# GETs while every job that may be under way is for a receiver that hangs, and
# by a gateway that has none: p99 of each, in turns.

sub beside {
    my ($database, $workers, $connections, $seconds, $rounds) = @_;
    my $postgres = $database->postgres_of;
    my $hanging = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        Listen => 4096) or die "no port to hang on: $!";

    my $quiet = Bench::Gateway->start($database, $workers, @outbound, @quiet);
    endpoint($quiet->nginx_of, 'initech',
             'http://127.0.0.1:' . $hanging->sockport . "/$_") for 1 .. 32;
    events($quiet->nginx_of, 'hanging', ['initech'], 100);

    my $gateway = Bench::Gateway->start($database, $workers, @outbound,
        [qr/(?<=\s)timeout +15s;/ => 'timeout 15s; breaker off;'],
        [qr/per_partner +32;/ => 'per_partner 64;']);
    my $most = 64 * $workers;
    wait_until('all jobs that may be under way hang', sub {
        $postgres->value('select count(*) from prov.jobs'
            . ' where lease_until > now()') >= $most
    }, 60);

    my $ask = sub { Bench::Wrk::run($database, $_[0]->port, 'get',
                                    $connections, $seconds) };
    my @measures = map {
        my ($without, $beside) = map { $ask->($_) } $quiet, $gateway;
        { without => $without->{p99}, beside => $beside->{p99},
          errors => $without->{errors} + $beside->{errors} };
    } 1 .. $rounds;

    # what hangs would be waited for
    $quiet->stop;
    $hanging->close;
    $gateway->stop;

    return \@measures;
}


sub waiting {
    return $_[0]->value("select count(*) from prov.jobs where kind = 'webhook'"
        . " and state = 'waiting'");
}


# What the receivers have been sent; that we ask is not counted.

my $asked = 0;

sub counted {
    my ($receiver) = @_;

    my $r = $receiver->request(GET => '/count');
    my (undef, undef, $requests) = $r->body =~ /^ (\d+) (\d+) (\d+)/m
        or die "the receivers do not say how many requests there were\n";

    return $requests - ++$asked;
}


sub passed {
    my ($receiver, $count) = @_;
    my $deadline = time + 300;

    while (1) {
        my $now = counted($receiver);
        return { at => time, count => $now } if $now >= $count;
        die "the deliveries have stopped at $now\n" if time > $deadline;
        sleep 0.01;
    }
}

1;
