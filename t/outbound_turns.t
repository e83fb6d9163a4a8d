#!/usr/bin/perl

# Many TLS handshakes at once (src/http): the client works for about a
# millisecond in a turn of nginx's event loop and leaves what there is besides
# to the next one, and nothing is lost, done twice or late for it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/outbound";
use Provisioning::Test qw(:DEFAULT authority certificate);
use Outbound;

local $ENV{PROV_TEST_DEBUG} = 1;

my $MANY = 64;

my $receiver = receiver(sub {
    my ($c, $request) = @_;

    $c->stall if $request->{path} =~ m{^/hangs};
    $c->answer(200, $request->{body}, Connection => 'close');
    $c->close;
}, tls => certificate('127.0.0.1'));

my $nginx = outbound('allow_network 127.0.0.0/8; breaker off; timeout 60s;'
    . " connect_timeout 60s; destination_connections $MANY;"
    . ' trusted_certificate ' . authority()->{cert} . ';');

plan skip_all => 'this nginx has no debug log'
    unless $nginx->log =~ /\[debug\]/;

my ($worker) = wait_until 'there is a worker', sub { ($nginx->workers)[0] };

sub url { $receiver->url(@_) =~ s/^http:/https:/r }

sub turns { my ($what) = @_; scalar(() = $nginx->log =~ /the turn is over.*?\Q$what\E/g) }


# With API requests beside them, one after the other.

my $others = background(sub {
    my ($n, $wrong) = (0, 0);

    until ($receiver->seen >= $MANY) {
        $wrong++ if $nginx->request(GET => '/ping')->status != 200;
        $n++;
    }

    return [$n, $wrong];
});

my @all = send_all($nginx, map { { url => url("/$_"), body => "body $_" } }
    1 .. $MANY);

is_deeply [map { $_->{error} } @all], [(ANSWERED) x $MANY],
    "of $MANY handshakes at once none fails" or diag explain \@all;
is_deeply [map { $_->{body} } @all], [map { "body $_" } 1 .. $MANY],
    'each request gets its own answer';
is_deeply [sort map { $_->{path} } $receiver->seen],
    [sort map { "/$_" } 1 .. $MANY], 'and was sent once';
is $receiver->connections, $MANY, 'over a connection of its own';
is $others->finish(60)->[1], 0, 'while others are served';

cmp_ok turns('sockets are left'), '>', 0,
    'sockets that are ready were left to the next turn';
cmp_ok turns('requests are left'), '>', 0,
    'and so were requests that could have been started';


# Time-outs are what they were, and nothing is asked in vain meanwhile.

my @some = send_all($nginx,
    (map { { url => url("/hangs/$_"), timeout => 1500 } } 1 .. 8),
    (map { { url => url("/after/$_"), body => 'x' } } 1 .. $MANY - 8));

is_deeply [map { $_->{error} } @some], [(TIMEOUT) x 8, (ANSWERED) x ($MANY - 8)],
    'those that hang end at their time, the others are answered';
is scalar(grep { $_->{duration} < 1000 } @some[0 .. 7]), 0, 'and not before';

my $hanging = background(sub {
    return send_one($nginx, url => url('/hangs/last'), timeout => 3000)->{error};
});
wait_until 'the last one hangs', sub { $receiver->seen('/hangs/last') };
my $before = turns('');
is $hanging->finish(60), TIMEOUT, 'who waits';
cmp_ok turns('') - $before, '<', 10, 'takes no turns';

is_deeply [$nginx->workers], [$worker], 'the worker is the same all along';

done_testing;
