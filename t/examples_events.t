#!/usr/bin/perl

# The examples of the operations on events are true: what they show is what is
# really answered.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::EventStream;
use Provisioning::Test::Exchange qw(exchange is_example none_left);

my %caller = (token => token());
my ($postgres, $nginx) = gateway(http => jobs_database(''));
exchange(events => $nginx);
my $EVENTS = '/api/provisioning/events';

sub ask { return $nginx->request(GET => "$EVENTS$_[0]", %caller) }


is_example 'event_list 200 empty application/json', ask('');

my $stream = listen_to($nginx);

$nginx->request(POST => '/api/provisioning/tenants', %caller,
    json => { client_name => 'Acme Corporation',
              email => 'admin@acme.example' });

my $event = is_example('event_list 200 new application/json', ask(''))
    ->json->{data}[0]{id};

is_example 'event_get 200', ask("/$event");
is_example 'EventNotFound', ask('/0194f0b2-3b40-7d10-8e55-6a2f4c8b9d13');


# what an example of a stream shows is the beginning of one

$stream->event;
is_example 'event_list 200 text/event-stream', $stream->so_far;

$nginx->configure(http => 'provisioning_event_streams off;');
$nginx->reload;

# a worker that leaves may still have taken the request

my $refused = wait_until('a worker that has no streams', sub {
    my $r = $nginx->request(GET => $EVENTS, %caller,
        headers => { Accept => 'text/event-stream' });
    return $r->status == 200 ? undef : $r;
});
is_example 'EventsNotAcceptable', $refused;


none_left();

done_testing;
