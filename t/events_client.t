#!/usr/bin/perl

# harness: plain

# Streams of events in the hands of a client that is not ours: the npm package
# "eventsource", which comes again by itself.  Over a reload and a worker's
# death it is told every event, each once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::EventStream;
use Provisioning::Test::Npm;

use IO::Select;
use IPC::Open2;
use JSON::PP ();

my $build = npm_install();
npm_save("$build/events.js", npm_text("$FindBin::Bin/clients/events.js"));

my ($postgres, $nginx) = gateway(workers => 2,
    http => jobs_database('heartbeat=500ms interval=200ms retry=200ms'));
my $API = '/api/provisioning';
my ($made, @made) = (0);

sub create {
    my $name = 'Tenant ' . ++$made;
    my $r = $nginx->request(POST => "$API/tenants", token => token(),
        json => { client_name => $name, email => unique_email() });

    $r->status == 201 or die $r->body;
    push @made, $name;
    return;
}

my %environment = (npm_environment(), TOKEN => token(),
    EVENTS_URL => 'http://127.0.0.1:' . $nginx->port
        . "$API/events?type=tenant.*");
my ($out, $in, $pid);
{
    local %ENV = (%ENV, %environment);
    $pid = open2($out, $in, 'node', "$build/events.js");
}

my ($select, $text, @said) = (IO::Select->new($out), '');

# all that it has said so far

sub said {
    while ($select->can_read(0.05)) {
        sysread $out, $text, 65536, length $text or last;
    }

    push @said, JSON::PP->new->utf8->decode($1)
        while $text =~ s/\A(.*)\n//;
    return @said;
}

sub heard { map { $_->{data}{data}{client_name} }
    grep { ($_->{type} // '') eq 'tenant.created' } said() }

wait_until('the client to listen', sub { grep { $_->{open} } said() });
pass 'a client listens';

create() for 1 .. 3;
wait_until('events', sub { heard() == @made });
is_deeply [heard()], \@made, 'and hears what happens';
is_deeply [grep { !$_->{id} } grep { $_->{type} } said()], [],
    'it knows where it is';

$nginx->reload;
create() for 1 .. 3;
wait_until('events after the reload', sub { heard() == @made });
is_deeply [heard()], \@made, 'over a reload it misses nothing';
wait_until('the client to come again', sub {
    2 <= grep { $_->{open} } said();
});
pass 'and came again';
ok +(grep { ($_->{type} // '') eq 'stream.closed' } said()),
    'it was told of it';

$nginx->allow(qr/exited on signal 9/);
kill 9, $nginx->workers;
$nginx->ready;
create() for 1 .. 3;
wait_until('events after a crash', sub { heard() == @made });
is_deeply [heard()], \@made, 'over the death of all workers, too';

print {$in} "\n";
close $in;
waitpid $pid, 0;
is $?, 0, 'it leaves';

done_testing;
