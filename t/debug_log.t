#!/usr/bin/perl

# nginx's debug log, which operators turn on when something is wrong, looks into
# what is behind each timer: it must not end the worker.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Jobs;

local $ENV{PROV_TEST_DEBUG} = 1;

my $receiver = receiver(sub { $_[0]->answer(204) });
my $postgres = postgres();
my $nginx = nginx(postgres => $postgres, http => jobs_block(
    outbound => 'timeout 5s; plain_http on; allow_network 127.0.0.0/8;'));
$nginx->ready;

plan skip_all => 'this nginx has no debug log'
    unless $nginx->log =~ /\[debug\]/;

my $api = '/api/provisioning';
is $nginx->request(POST => "$api/webhook-endpoints", token => token(),
    json => { url => $receiver->url('/x'), event_types => ['*'] })->status,
    201, 'an endpoint is made';
is $nginx->request(POST => "$api/tenants", token => token(),
    json => { client_name => 'A', email => unique_email() })->status, 201,
    'a change is made';
wait_until 'the receiver has it', sub { $receiver->seen('/x') };
wait_until 'that is reported', sub { $postgres->value(
    "select count(*) from prov.jobs where kind = 'webhook' and state = 'done'") };
$nginx->reload;
is $nginx->request(GET => "$api/tenants", token => token())->status, 200,
    'workers with a debug log do all that others do';
ok $nginx->stop, 'and leave';

done_testing;
