#!/usr/bin/perl

# A worker that has no memory to read a body with says so: it does not call a
# good body bad, whether it reads it itself or has a thread do so.

# harness: plain

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Operations;
use Provisioning::Test::Problem;

my $postgres = postgres();

my $api = operations($postgres, count => {
    method   => 'post',
    body     => { type => 'array', items => { type => 'string' } },
    function => "status := 200; body := "
        . "json_build_object('n', length(input ->> 0));",
});

# nginx and jansson with a malloc() that fails for one size: what jansson asks
# for to keep a string is its length, two quotes' and a NUL's.

my $library = directory() . '/fail_malloc.so';
system($ENV{CC} || 'gcc', '-shared', '-fPIC', '-O1', '-o', $library,
    "$FindBin::Bin/unit/fail_malloc.c") == 0 or die "gcc: $?";

for my $length (5000, 20000) {
    my $who = $length > 8192 ? 'a thread' : 'the worker';

    local $ENV{LD_PRELOAD} = $library;
    local $ENV{FAIL_SIZE} = $length + 3;

    my (undef, $nginx) = gateway(postgres => $postgres,
        main => 'thread_pool default threads=2;', locations => $api->location);

    my $post = sub {
        my ($n) = @_;
        return $nginx->request(POST => $api->base . '/count',
            token => token(), headers => ['Content-Type', 'application/json'],
            body => '["' . 'a' x $n . '"]');
    };

    is_problem $post->($length), "$who has no memory to read a body", 500,
        'internal_error', qr/./;

    my $r = $post->($length - 1);
    is $r->status, 200, 'the next one is read';
    is $r->json->{n}, $length - 1, 'whole';
}

done_testing;
