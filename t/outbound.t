#!/usr/bin/perl

# The HTTP client of src/http: what it sends, what it makes of answers, and of
# servers that do not.  Driven by a module of its own: t/outbound/.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/outbound";
use Provisioning::Test;
use Outbound;
use Time::HiRes qw(sleep time);

my %behaves = (
    '/hangs'    => sub { $_[0]->stall },
    '/closes'   => sub { $_[0]->close },
    '/resets'   => sub { $_[0]->reset },
    '/garbage'  => sub { $_[0]->raw("\x16\x03\0\0garbage\r\n\r\n" x 10);
                         $_[0]->close },
);

my $receiver = receiver(sub {
    my ($c, $request) = @_;

    my $does = $behaves{ $request->{path} };
    return $does->($c, $request) if $does;

    $c->answer($request->{path} =~ m{/status/(\d+)} ? $1 : 200,
        'Hello', 'X-Receiver' => 'yes');
});

my $nginx = outbound($OPEN);

my $r = send_one($nginx, url => $receiver->url('/plain?a=b'), body => '{"a":1}',
    headers => ['Content-Type: application/json', 'X-One: two', 'X-None:']);

is $r->{error}, ANSWERED, 'a request is answered' or diag $r->{message};
is $r->{status}, 200, 'the status is there';
is $r->{body}, 'Hello', 'the body is there';
like $r->{headers}, qr/^X-Receiver: yes$/m, 'the headers are there';

my ($seen) = $receiver->seen('/plain?a=b');
is $seen->{method}, 'POST', 'it came as a POST';
is $seen->{body}, '{"a":1}', 'with its body';

done_testing;
