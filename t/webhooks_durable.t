#!/usr/bin/perl

# Webhooks through all that may happen: no event is lost, none is unsigned, and
# none comes twice unless something has crashed, and then with the same id.
# Workers are killed, PostgreSQL is restarted and killed, nginx is reloaded;
# receivers hang, are slow, close early, send garbage, fail the first time.
# PROV_TEST_EVENTS=10000 has more of it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Deliveries;
use Provisioning::Test::Jobs;

use Digest::SHA qw(hmac_sha256_base64);
use JSON::PP ();
use MIME::Base64 qw(decode_base64);
use Time::HiRes qw(sleep time);

my $patience = $Provisioning::Test::patience;
my $EVENTS = $ENV{PROV_TEST_EVENTS} || 1000;
my $API = '/api/provisioning';

my %does = (good => 'answer', other => 'answer', slow => 'slow',
            failing => 'error', closing => 'close', babbling => 'garbage',
            hanging => 'hang');
my @answering = grep { $_ ne 'hanging' } sort keys %does;

my $receivers = receivers(%does, late => 'late');
my $postgres = postgres(settings => { 'prov.retry_scale' => '0.05' });
$postgres->allow(qr/FATAL:  canceling authentication due to timeout/);

# Only who hangs is waited for as long as that.

sub block {
    my ($lease, $timeout) = @_;
    return jobs_block(lease => $lease, concurrency => 64, per_queue => 8,
        outbound => "timeout $timeout; connect_timeout $timeout; plain_http on;"
            . ' allow_network 127.0.0.0/8; breaker failures=1000 open=1s;');
}

my $nginx = nginx(postgres => $postgres, workers => 2,
    http => block('20s', '10s'));
$nginx->ready;

my %endpoint;

sub endpoint {
    my ($name, %of) = @_;
    my $r = $nginx->request(POST => "$API/webhook-endpoints",
        token => token(%of), json => { url => $receivers->url($name),
                                       event_types => ['tenant.*'] });
    $r->status == 201 or die $r->body;
    return $endpoint{$name} = $r->json;
}

endpoint($_) for sort keys %does;


# So many tenants, one after the other, whatever comes of it.

my $loads = 0;

sub load {
    my ($number) = @_;
    my $name = "load-$$-" . ++$loads;

    return background(sub {
        my ($made, $asked) = (0, 0);
        my $until = time + 60 + $EVENTS / 5;

        while ($made < $number && time < $until) {
            my $r = eval { $nginx->request(POST => "$API/tenants",
                token => token(), timeout => 30,
                json => { client_name => "A $name",
                          email => "$name-" . ++$asked . '@example.com' }) };
            $r && $r->status == 201 ? $made++ : sleep 0.05;
        }

        return $made;
    });
}


sub waiting {
    my $queues = join ',', map { "'$endpoint{$_}{webhook_endpoint}'" } @answering;
    return $postgres->value("select count(*) from prov.jobs where kind ="
        . " 'webhook' and state = 'waiting' and queue in ($queues)");
}


sub delivered {
    my ($name, $seconds) = @_;
    wait_until $name, sub { !eval { waiting() } ? defined eval { waiting() } : 0 },
        $seconds;
    return;
}


# What the good ones have acknowledged more often than once: id => times.

sub twice {
    my %times;
    for my $d ($receivers->deliveries) {
        push @{ $times{"$d->{name} $d->{id}"} }, $d->{at} if $d->{answer} == 204;
    }
    return grep { @$_ > 1 } values %times;
}


sub unsigned {
    return grep {
        my $d = $_;
        my $secret = $endpoint{ $d->{name} }{secret} =~ s/^whsec_//r;
        my $is = hmac_sha256_base64("$d->{id}.$d->{timestamp}.$d->{body}",
                                    decode_base64($secret));
        $is .= '=' while length($is) % 4;
        $d->{id} eq '' || abs($d->{timestamp} - $d->{at}) > 60
            || !grep { $_ eq "v1,$is" } split ' ', $d->{signature};
    } $receivers->deliveries;
}


sub lost {
    my @events = map { $_->{id} } @{ $postgres->sql(
        "select id from prov.events where type like 'tenant.%'") };
    my %got;
    $got{"$_->{name} $_->{id}"} = 1
        for grep { $_->{answer} == 204 } $receivers->deliveries;
    return grep { !$got{$_} }
        map { my $id = $_; map { "$_ $id" } @answering } @events;
}


# --- without a crash ---------------------------------------------------------

my $few = int($EVENTS / 5);
my @load = map { load(int($few / 2)) } 1, 2;
my $so_far = 0;
for (1 .. 2) {
    wait_until 'deliveries go on', sub {
        $receivers->count('good') > $so_far + $few / 10
    };
    $so_far = $receivers->count('good');
    $nginx->reload;
}
my $made = 0;
$made += $_->finish(90 + $EVENTS / 5) for @load;
delivered('all of them are delivered', 6 * $patience + $EVENTS / 10);

cmp_ok $made, '>=', $few - 1, "$made tenants are made while nginx is reloaded";
is_deeply [lost()], [], 'no event is lost';
is scalar(twice()), 0, 'none is delivered twice';
is scalar(unsigned()), 0, 'none is unsigned';
cmp_ok $receivers->count('failing'), '>=', 2 * $made,
    'what was answered 500 has come again';


# --- with crashes --------------------------------------------------------------

$nginx->allow(qr/exited on signal 9/);
my @crashes;

@load = map { load(int($EVENTS / 4)) } 1 .. 4;

for my $round (1 .. 6) {
    $so_far = $receivers->count('good');
    wait_until 'deliveries go on', sub {
        $receivers->count('good') > $so_far + $EVENTS / 20
    };

    push @crashes, time;
    if ($round == 3) {
        $postgres->restart('fast');
    } elsif ($round == 5) {
        $postgres->crash;
        $postgres->start;
    } else {
        kill 'KILL', ($nginx->workers)[$round % 2];
    }
    push @crashes, time;
}

$made = 0;
$made += $_->finish(90 + $EVENTS / 5) for @load;
delivered('all of them are delivered, after all',
    6 * $patience + $EVENTS / 5);

cmp_ok $made, '>=', 4 * int($EVENTS / 4), "$made tenants are made while workers"
    . ' are killed, and PostgreSQL restarted and killed';

my @lost = lost();
is scalar(@lost), 0, 'no event is lost' or diag join "\n", @lost[0 .. 9];
is scalar(unsigned()), 0, 'none is unsigned';

my $events = $postgres->value(
    "select count(*) from prov.events where type like 'tenant.%'");
my @twice = twice();
note sprintf '%d of %d deliveries came twice', scalar @twice, $events * @answering;

# what was under way in the moment of a crash, and nothing else

my @without = grep {
    my ($first, $second) = @$_;
    !grep { $first <= $_ + 1 && $_ <= $second + 1 } @crashes;
} @twice;
is scalar(@without), 0, 'what came twice did so because of a crash';
cmp_ok scalar(@twice), '<=', 6 * 2 * 64 * 2,
    'no more than what was under way came twice';

is $postgres->value("select count(*) from prov.jobs where kind = 'webhook' and"
    . " state = 'failed'"), 0, 'none has been given up';


# --- one that hangs ----------------------------------------------------------------

# It has its attempts all the time by now, and nobody waits for it: these end
# later than this.

$nginx->configure(http => block('25m', '20m'))->reload;
wait_until 'it hangs', sub {
    8 == $postgres->value('select count(*) from prov.jobs where queue = ? and'
        . " lease_until > now() + interval '10 min'",
        $endpoint{hanging}{webhook_endpoint})
};

cmp_ok $postgres->value("select count(*) from prov.jobs where queue = ? and"
    . " state = 'waiting'", $endpoint{hanging}{webhook_endpoint}), '>', 100,
    'a lot is waiting for the one that hangs';

my @late;
for my $n (1 .. 20) {
    my $before = $receivers->count('good');
    my $r = $nginx->request(POST => "$API/tenants", token => token(),
        json => { client_name => 'A', email => unique_email() });
    $r->status == 201 or die $r->body;
    my $answered = time;
    wait_until 'the good one has it', sub {
        $receivers->count('good') > $before
    };
    push @late, time - $answered;
}
@late = sort { $a <=> $b } @late;
pass sprintf 'the others get what is new meanwhile (%.0f ms, at worst %.0f)',
    1000 * $late[9], 1000 * $late[-1];
$nginx->configure(http => block('20s', '10s'))->reload;


# --- one that stands still -------------------------------------------------------

# A worker that is stopped in the middle of a delivery loses its lease; what it
# says of it when it goes on is not heard.

my $late = endpoint('late', partner => 'globex')->{webhook_endpoint};
$nginx->request(POST => "$API/tenants", token => token(partner => 'globex'),
    json => { client_name => 'A', email => unique_email() })->status == 201
    or die;

my $pid = wait_until 'a worker has it', sub {
    ($postgres->value('select lease_worker from prov.jobs where queue = ?'
        . ' and lease_until > now()', $late) || '') =~ m{/(\d+)/} && $1
};
halt($pid);
$receivers->open_gate;
wait_until 'another one has done it', sub {
    $postgres->value('select state from prov.jobs where queue = ?', $late)
        eq 'done'
};
kill 'CONT', $pid;
wait_until 'the first one is told that it is too late', sub {
    $nginx->log =~ / $pid#.* was not this worker's any more/
};

is join(' ', map { $_->{attempt} } @{ $postgres->sql('select a.attempt from'
    . ' prov.job_attempts a join prov.jobs j on j.id = a.job where j.queue = ?',
    $late) }), 2, 'what a worker says whose lease has ended is not heard';
my %ids = map { $_->{id} => 1 } grep { $_->{name} eq 'late' }
    $receivers->deliveries;
is scalar(keys %ids), 1, 'it has come twice, with one id';

$receivers->stop;
done_testing;
