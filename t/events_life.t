#!/usr/bin/perl

# What happens to streams of events when things go wrong, or just on: reloads,
# workers and databases that die, clients that do not read, too many of them.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::EventStream;
use Provisioning::Test::Jobs;

use Time::HiRes qw(time);

my $API = '/api/provisioning';
my $options = 'heartbeat=300ms interval=200ms retry=1s';
my ($postgres, $nginx) = gateway(workers => 2,
    main => 'worker_shutdown_timeout 60s;',
    http => jobs_database($options));

sub create {
    my ($name, %o) = @_;

    my $r = $nginx->request(POST => "$API/tenants", token => token(),
        json => { client_name => $name, email => unique_email(), %o });
    $r->status == 201 or die $r->body;
    return $r->json->{tenant};
}

sub name { $_[0]{json}{data}{client_name} }
sub names { join ' ', map { name($_) } @_ }


# --- a reload ----------------------------------------------------------------

my @streams = map { listen_to($nginx) } 1 .. 8;
$_->block for @streams;

create('One');
is join(' ', map { names($_->event) } @streams), join(' ', ('One') x 8),
    'all hear of a change, whichever worker they are with';

my @left = $nginx->reload;
my @ends = map { $_->event } @streams;

is join(' ', map { $_->{event} . $_->{json}{code} } @ends),
    join(' ', ('stream.closedreconnect') x 8),
    'at a reload all are told to come again';
is scalar(grep { $_->{retry} >= 500 && $_->{retry} <= 1500 } @ends), 8,
    'each after a while';
is scalar(grep { !defined $_->block && $_->{whole} } @streams), 8,
    'and end as a response does';
wait_until('the old workers to leave', sub { !grep { kill 0, $_ } @left });
pass 'so that the old workers leave at once';

create('Two');
my @again = map { listen_to($nginx, '', headers => {
    'Last-Event-ID' => $_->{id} }) } @streams;
is join(' ', map { names($_->event) } @again), join(' ', ('Two') x 8),
    'who comes again has missed nothing';

# one that never reads keeps nobody

my $stuck = listen_to($nginx, '?since=2000-01-01T00:00:00Z',
    buffer => 4096);
@left = $nginx->reload;
wait_until('the old workers to leave', sub { !grep { kill 0, $_ } @left });
pass 'also when somebody does not read';
$_->close for @again, $stuck;


# --- a worker that dies, a database that does --------------------------------

$nginx->ready;
my $victim = listen_to($nginx);
$victim->block;
create('Three');
is names($victim->event), 'Three', 'somebody listens';

$nginx->allow(qr/exited on signal 9/);
kill 9, $nginx->workers;
is $victim->event, undef, 'a worker is killed: the stream breaks off';
ok !$victim->{whole}, 'and does not look like a proper end';
$nginx->ready;
create('Four');
my $heir = listen_to($nginx, '', headers => {
    'Last-Event-ID' => $victim->{id} });
is names($heir->event), 'Four', 'and is gone on with';

$postgres->restart('immediate');
wait_until('a change', sub { eval { create('Five') } });
my @heard = $heir->event;
push @heard, $heir->event while name($heard[-1]) ne 'Five';
is names(@heard), 'Five', 'a stream outlives its database, and loses nothing';
$heir->close;


# --- clients that do not read ------------------------------------------------

$postgres->sql(q{insert into prov.events (id, partner, type, data)
    select prov.uuid7(), ?, 'test.' || case n % 2 when 0 then 'even'
        else 'odd' end, json_build_object('n', n, 'text', repeat('x', 8000))
    from generate_series(1, 1500) n}, $postgres->partner('acme'));

my $from = '?type=test.*&since=2000-01-01T00:00:00Z';

# more than kernels keep for a connection

my $slow = listen_to($nginx, $from);
my $fast = listen_to($nginx, $from);
my @fast = $fast->events(1500);

is scalar(@fast), 1500, '12 MB are caught up with';
is_deeply [sort { $a <=> $b } map { $_->{json}{data}{n} } @fast],
    [1 .. 1500], 'all of them, each once';

SKIP: {
    skip 'the memory would be a sanitizer\'s', 1
        if $ENV{PROV_TEST_SANITIZED};

    my ($worker) = sort { $b <=> $a } map { memory($_) } $nginx->workers;
    cmp_ok $worker, '<', 40 << 20, 'in bounded memory' or diag $worker;
}

create('Six');
my $quick = listen_to($nginx, '?type=tenant.*');
$quick->block;
create('Seven');
is names($quick->event), 'Seven',
    'who does not read keeps nobody else waiting';

my @slow = $slow->events(1500);
is_deeply [map { $_->{id} } @slow], [map { $_->{id} } @fast],
    'and is told everything when he does';
$_->close for $slow, $fast, $quick;

sub memory {
    open my $in, '<', "/proc/$_[0]/smaps_rollup" or die "$_[0]: $!";
    my ($kib) = join('', <$in>) =~ /^Pss:\s+(\d+) kB/m;
    return $kib << 10;
}

# one that takes nothing at all

my $strict = nginx(postgres => $postgres, api => 'send_timeout 1s;',
    http => jobs_database("$options max=5 partner_max=3"));
$strict->ready;

my $dead = listen_to($strict, $from, buffer => 4096);
wait_until('nginx to give up', sub {
    $strict->read_file('error.log') =~ /client timed out/;
});
pass 'who takes nothing for send_timeout is disconnected';
$dead->close;


# --- too many ----------------------------------------------------------------

my @open;
push @open, listen_to($strict) for 1 .. 3;
is scalar(grep { $_->status == 200 } @open), 3, 'three streams are open';

my $more = listen_to($strict);
is $more->status . $more->{response}->code, '429too_many_streams',
    'a partner may not have more than partner_max';
cmp_ok $more->{response}->header('Retry-After'), '>', 0,
    'and is told when to try again';

push @open, map { listen_to($strict, '', token => token(partner => 'globex')) }
    1, 2;
my $full = listen_to($strict, '', token => token(partner => 'globex'));
is $full->status . $full->{response}->code, '503overloaded',
    'a worker not more than max';
is $nginx->request(GET => "$API/events", token => token())->status, 200,
    'to fetch them is no stream';

(shift @open)->close;
wait_until('room', sub {
    my $stream = listen_to($strict);
    push @open, $stream;
    return $stream->status == 200;
});
pass 'who leaves makes room';

# the workers' database is that of their jobs, unless another is named

my $working = nginx(postgres => $postgres, http => jobs_block());
$working->ready;
my $own = listen_to($working);
$own->block;
create('Eight');
is names($own->event), 'Eight', 'the database of provisioning_jobs will do';
$own->close;

my $without = nginx(postgres => $postgres,
    http => 'provisioning_event_streams off;');
$without->ready;
is listen_to($without)->{response}->code, 'event_stream_unavailable',
    'without a database there are no streams';

my ($ok, $said) = $nginx->test(http =>
    'provisioning_event_streams database=nowhere;');
ok !$ok, 'a database that is not there is refused';
like $said, qr/there is no "provisioning_database nowhere"/, 'by name';

for my $wrong ('max=0', 'heartbeat=1ms', 'on', 'retry=2h', 'colour=red') {
    ($ok, $said) = $nginx->test(http => "provisioning_event_streams $wrong;");
    like $said, qr/invalid parameter "\Q$wrong\E", expected "off"/,
        "$wrong is refused";
}

done_testing;
