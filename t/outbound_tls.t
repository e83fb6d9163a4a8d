#!/usr/bin/perl

# TLS to others (src/http): whose certificates are believed, and what is sent
# where there is none.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/outbound";
use Provisioning::Test qw(:DEFAULT authority certificate);
use Outbound;

my $allow = 'allow_network 127.0.0.0/8; breaker off;';
my $trusted = 'trusted_certificate ' . authority()->{cert} . ';';

my $serves = sub {
    my ($c, $request) = @_;
    my $resumed = $c->resumed ? 'resumed' : 'new';

    if ($request->{path} eq '/once') {
        $c->answer(200, $resumed, Connection => 'close');
        $c->close;
    }

    $c->answer(200, $resumed);
};

my %receiver = (
    good      => receiver($serves, tls => certificate('127.0.0.1')),
    named     => receiver($serves, tls => certificate('localhost'),
                          name => 'localhost'),
    other     => receiver($serves, tls => certificate('example.com')),
    wildcard  => receiver($serves, tls => certificate('*.com')),
    expired   => receiver($serves, tls => certificate('127.0.0.1', days => -1)),
    self      => receiver($serves, tls => certificate('127.0.0.1', self => 1)),
    old       => receiver($serves, tls => { %{ certificate('127.0.0.1') },
                                            version => 'TLSv1_1' }),
    plain     => receiver(sub { $_[0]->stall },
                          greeting => "HTTP/1.1 400 No\r\n\r\n"),
);

my $nginx = outbound("$allow $trusted");

# of the worker, in ms
sub cpu {
    open my $file, '<', '/proc/' . ($nginx->workers)[0] . '/schedstat' or return 0;
    return (split ' ', <$file>)[0] / 1e6;
}

sub url { $receiver{ $_[0] }->url($_[1]) =~ s/^http:/https:/r }

for (['good', ANSWERED], ['named', ANSWERED], ['other', TLS],
     ['wildcard', TLS], ['expired', TLS], ['self', TLS], ['old', TLS],
     ['plain', TLS])
{
    my ($name, $error) = @$_;
    my $r = send_one($nginx, url => url($name), body => 'secret');

    is $r->{error}, $error, "certificate: $name" or diag explain $r;
    next if $error == ANSWERED;

    isnt $r->{message}, '', 'the message says why';
    is scalar $receiver{$name}->seen, 0, 'nothing was sent';
}

is send_one($nginx, url => $receiver{good}->url =~ s/https/http/r)->{error},
    BAD_URL, 'http is not sent to unless that is said';

my @all = map { send_one($nginx, url => url('good', '/once')) } 1 .. 5;
is_deeply [map { $_->{error} } @all], [(ANSWERED) x 5],
    'connections that the server closes are no failures';
is_deeply [map { $_->{body} } @all[1 .. 4]], [('resumed') x 4],
    'and TLS sessions are resumed';

# libcurl itself keeps few of them
{
    my @many = map { receiver($serves, tls => certificate('127.0.0.1')) } 1 .. 12;

    for my $expected ('new', 'resumed') {
        my $before = cpu();
        is_deeply [map { send_one($nginx, url => $_->url('/once'))->{body} } @many],
            [($expected) x 12], "sessions of many receivers: $expected";
        note sprintf '%s handshakes: %.2f ms of CPU each, with all that is sent over them',
            $expected, (cpu() - $before) / @many;
    }

    $_->stop for @many;
}

# the second authority is not known here, and nobody's word is taken for it
{
    my $before = $receiver{good}->seen;
    my $unknown = outbound($allow);

    is send_one($unknown, url => url('good'))->{error}, TLS,
        'an authority that is not known is not believed';
    is scalar $receiver{good}->seen, $before, 'and nothing was sent';
}

# a certificate itself may be what is believed
{
    my $certificate = certificate('127.0.0.1', self => 1);
    my $receiver = receiver($serves, tls => $certificate);
    my $pinned = outbound("$allow trusted_certificate $certificate->{cert};");

    is send_one($pinned, url => $receiver->url)->{error}, ANSWERED,
        'a server\'s own certificate may be trusted';
    is send_one($pinned, url => url('self'))->{error}, TLS,
        'and then it is the only one';
}

# accepts, and does not shake hands
{
    my $mute = receiver(sub { $_[0]->stall });
    my $hasty = outbound("$allow $trusted connect_timeout 300ms; timeout 10m;");
    my $r = send_one($hasty, url => $mute->url =~ s/http/https/r);

    is $r->{error}, TIMEOUT, 'a handshake that never ends ends when'
        . ' connect_timeout does';
}

done_testing;
