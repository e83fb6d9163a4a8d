#!/usr/bin/perl

# harness: plain

# A thousand streams of events that nothing happens in: what they add to a
# worker's memory, and to what the database is asked.  With a sanitizer it
# would be its memory.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::EventStream;

my $MANY = 1000;
my $MOST = 16 << 20;

my ($postgres, $nginx) = gateway(workers => 1,
    http => jobs_database('partner_max=2000 max=2000'));
my $token = token();

sub create {
    my ($name) = @_;

    my $r = $nginx->request(POST => '/api/provisioning/tenants',
        token => $token, json => { client_name => $name,
                                   email => unique_email() });
    $r->status == 201 or die $r->body;
    return;
}

# what is the worker's alone, and its share of what is not

sub memory {
    my ($worker) = $nginx->workers;

    open my $in, '<', "/proc/$worker/smaps_rollup" or die "$worker: $!";
    my ($kib) = join('', <$in>) =~ /^Pss:\s+(\d+) kB/m;
    return $kib << 10;
}

# everything has been used once

create("Warm $_") for 1 .. 5;
listen_to($nginx, '', token => $token)->block;

my $before = memory();
my @streams = map { listen_to($nginx, '', token => $token) } 1 .. $MANY;
is scalar(grep { $_->status == 200 } @streams), $MANY,
    "$MANY streams are open";
$_->block for @streams;

my $idle = memory() - $before;
cmp_ok $idle, '<', $MOST, 'they add less than 16 MiB to the worker';
note sprintf '%.1f KiB each', $idle / $MANY / 1024;

# an event for all of them, and many: what is sent is not kept

create('One');
is scalar(grep { $_->event->{json}{data}{client_name} eq 'One' } @streams),
    $MANY, 'all are told of a change';

for my $n (1 .. 5) {
    create("More $n");
    $_->event for @streams;
}

cmp_ok memory() - $before, '<', $MOST + (1 << 20),
    'and are no larger for what they have been told';

# the connections of all of them to the database: those of the pools

my @backends = $postgres->backends('prov_worker');
cmp_ok scalar @backends, '<=', 2, 'one question is asked for all of them';

# who leaves leaves his memory to others

$_->close for @streams;
wait_until('all to have left', sub {
    my $gone = () = $nginx->read_file('error.log') =~ /closed connection/g;
    return $gone >= $MANY;
});

@streams = map { listen_to($nginx, '', token => $token) } 1 .. $MANY;
$_->block for @streams;
cmp_ok memory() - $before, '<', $MOST + (1 << 20),
    'those who come later take the same';

done_testing;
