#!/usr/bin/perl

# Jobs that whoever takes them does not come back from: one that kills its
# worker each time ends, and takes no other along; what cannot be read or
# unsealed ends like other failures; and what a lost connection has interrupted
# goes on as soon as there is another one.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Jobs;
use Crypt::AuthEnc::GCM qw(gcm_encrypt_authenticate);
use MIME::Base64 qw(encode_base64url);
use Time::HiRes qw(sleep);

my $API = '/api/provisioning';
my $flags = directory() . '/flags';
mkdir $flags or die "$flags: $!";

# nginx starts later than the receiver, which looks for its only worker

my $master = directory() . '/master';

sub worker {
    open my $file, '<', $master or die "$master: $!";
    my $pid = <$file>;
    open $file, '<', "/proc/$pid/task/$pid/children" or die "$pid: $!";
    return split ' ', <$file>;
}

# who sends to /deadly dies of it, and /slow is under way meanwhile

my $receiver = receiver(sub {
    my ($c, $request) = @_;

    if ($request->{path} eq '/deadly') {
        wait_until 'the slow ones are under way', sub {
            () = glob "$flags/slow.*"
        } unless glob "$flags/deadly.*";
        open my $flag, '>', "$flags/deadly.$$" or die $!;
        kill 'KILL', worker();
        $c->stall;
    }

    if ($request->{path} =~ m{^/slow}) {
        open my $flag, '>', "$flags/slow.$$" or die $!;
        sleep 1;
    }

    $c->answer(204);
});

my $postgres = postgres();
$postgres->sql("alter role prov_worker set prov.retry_scale = '0.00001'");
jobs_lab($postgres);

my %jobs = (poll_interval => '100ms', lease => '30s',
    outbound => 'timeout 20s; plain_http on; allow_network 127.0.0.0/8;'
        . ' breaker off;');
my $block = jobs_block(%jobs);
my $nginx = nginx(postgres => $postgres, workers => 1, http => $block);
$nginx->allow(qr/exited on signal 9/);
$nginx->ready;

open my $file, '>', $master or die "$master: $!";
print $file $nginx->pid;
close $file or die "$master: $!";

sub endpoint {
    my ($where) = @_;
    my $r = $nginx->request(POST => "$API/webhook-endpoints", token => token(),
        json => { url => $receiver->url($where),
                  event_types => ['tenant.created'],
                  headers => { 'X-Theirs' => 'of a partner' } });
    $r->status == 201 or die $r->body;
    return $r->json->{webhook_endpoint};
}

sub tenant {
    my $r = $nginx->request(POST => "$API/tenants", token => token(),
        json => { client_name => 'A', email => unique_email() });
    $r->status == 201 or die $r->body;
    return;
}

sub job {
    my ($queue) = @_;
    return $postgres->sql('select * from prov.jobs where queue = ?'
        . ' order by created_at desc limit 1', $queue)->[0];
}

sub attempts {
    my ($job) = @_;
    return @{ $postgres->sql('select * from prov.job_attempts where job = ?'
        . ' order by attempt', $job->{id}) };
}

sub gone {
    $postgres->sql('delete from prov.webhook_endpoints where id = ?', $_)
        for @_;
    return;
}


# --- one that kills its worker ----------------------------------------------------

my @slow = map { endpoint("/slow/$_") } 1 .. 6;
my $deadly = endpoint('/deadly');
tenant();

for my $n (1 .. 5) {
    wait_until "death $n", sub {
        my @deaths = glob "$flags/deadly.*";
        @deaths == $n;
    };

    # nobody has to wait for the leases' ends
    $postgres->sql('update prov.jobs set lease_until = clock_timestamp()'
        . ' where lease_until > clock_timestamp() and queue = any (?)',
        [$deadly, @slow]);
}

wait_until 'it has ended', sub { job($deadly)->{state} ne 'waiting' };
my $job = job($deadly);
is $job->{state}, 'failed', 'a job that kills whoever does it ends';
is scalar(() = glob "$flags/deadly.*"), 5, 'after five deaths';
my @attempts = attempts($job);
is scalar(@attempts), 1, 'which is noted';
is $attempts[0]{error}, 'whoever did it was lost, five times on end',
    'with the reason';
is $attempts[0]{attempt}, 5, 'with the last of its attempts';
like $nginx->log, qr/\[error\].*the job $job->{id} of kind "webhook" is given up/,
    'and the log names it';

wait_until 'the others are done', sub {
    !grep { job($_)->{state} eq 'waiting' } @slow
};
is_deeply [map { job($_)->{state} } @slow], [('done') x 6],
    'what was under way with it is done';
my ($most) = sort { $b <=> $a } map { job($_)->{attempt} } @slow;
cmp_ok $most, '<=', 3, "and has died with it twice at most ($most attempts)";
is $postgres->value('select failing_since from prov.webhook_endpoints'
    . ' where id = ?', $deadly), undef, 'it is not held against its endpoint';

gone($deadly, @slow);

# a task is never given up

$postgres->sql('update prov.jobs set lapsed = 4, due = now(), lease_worker ='
    . " 'nobody', lease_until = now() where data ->> 'task' = 'expire_secrets'");
wait_until 'it is said of a task', sub {
    $nginx->log =~ /the job \S+ of kind "task" is given up/
};
is $postgres->value("select state || ' ' || lapsed || ' ' || (due > now() +"
    . " interval '9 minutes') from prov.jobs where data ->> 'task' ="
    . " 'expire_secrets'"), 'waiting 0 true', 'which is due again in its time';


# --- what cannot be read ------------------------------------------------------------

my $unreadable = endpoint('/unreadable');
$postgres->sql('alter table prov.webhook_endpoints drop constraint'
    . ' algorithm_invalid');
$postgres->sql(q{update prov.webhook_endpoints set algorithm = 'v"1'
    where id = ?}, $unreadable);
tenant();
wait_until 'it has ended', sub { job($unreadable)->{state} eq 'failed' };
$job = job($unreadable);
is +(attempts($job))[0]{error}, 'the job\'s data cannot be read',
    'a job whose data cannot be read has failed';
is $job->{attempt}, 1, 'at once';
like $nginx->log, qr/the data of job $job->{id} cannot be read: /,
    'and the log says why';
is scalar($receiver->seen('/unreadable')), 0, 'nothing was sent';
gone($unreadable);


# --- what can never be sent ------------------------------------------------------------

# the API takes no such header, so it is sealed as the gateway would

sub sealed {
    my ($text, $purpose, $owner) = @_;
    my $nonce = 'n' x 12;
    my ($cipher, $tag) = gcm_encrypt_authenticate('AES',
        'a key of 32 bytes, for the tests', $nonce, "$purpose\0$owner", $text);
    return join '.', 'test', map { encode_base64url($_) } $nonce, $cipher, $tag;
}

for my $header ('{"Host": "example.com"}', '{"X-Two": "a\\r\\nX-Three: b"}') {
    my $bad = endpoint('/bad');
    $postgres->sql('update prov.webhook_endpoints set headers = ? where id = ?',
        sealed($header, 'webhook_endpoint.headers', $bad), $bad);
    tenant();
    wait_until 'it has ended', sub { job($bad)->{state} eq 'failed' };
    @attempts = attempts(job($bad));
    is scalar(@attempts), 1, 'a request with a header that is refused is made'
        . ' once';
    like $attempts[0]{error}, qr/^The request cannot be sent: .* headers/,
        'and it is said why';
    is $postgres->value('select failing_since from prov.webhook_endpoints'
        . ' where id = ?', $bad), undef, 'its receiver is not blamed';
    gone($bad);
}
is scalar($receiver->seen('/bad')), 0, 'and has not heard of it';


# --- what cannot be unsealed -----------------------------------------------------------

$nginx->stop;
$nginx = nginx(postgres => $postgres, workers => 2, http => $block);
$nginx->ready;

my @sealed = map { endpoint("/sealed/$_") } 1 .. 10;
$postgres->sql(q{update prov.webhook_endpoints
    set secret = regexp_replace(secret, '^test\.', 'lost.')});
$postgres->sql(q{update prov.webhook_endpoints
    set headers = regexp_replace(headers, '^test\.', 'other.'),
        secret = regexp_replace(secret, '^lost\.', 'test.')
    where id = ?}, $sealed[9]);
tenant();
wait_until 'they have ended', sub {
    !grep { job($_)->{state} eq 'waiting' } @sealed
};

is_deeply [map { job($_)->{state} } @sealed], [('failed') x 10],
    'jobs that nobody can unseal end like other failures';
for my $queue (@sealed[0, 9]) {
    @attempts = attempts(job($queue));
    is scalar(@attempts), 10, 'after as many attempts';
    is scalar(grep { $_->{error} =~ /^the gateway could not read what it keeps/ }
        @attempts), 10, 'each of which says so';
}
is scalar($receiver->seen), scalar(grep { $_->{path} !~ /sealed/ }
    $receiver->seen), 'nothing is sent';
is $postgres->value('select count(*) from prov.webhook_endpoints'
    . ' where failing_since is not null'), 0, 'no endpoint is blamed';

my @said = grep { /cannot be unsealed/ } split /\n/, $nginx->log;
is scalar(@said), 1, 'the log has one line a minute, of both workers';
like $said[0], qr/\[error\].*of [0-9a-f-]{36} cannot be unsealed with the key "(lost|other)": no provisioning_secrets_key has the id/,
    'which names the key that is missing';

# when the key is there again

$postgres->sql(q{update prov.webhook_endpoints
    set secret = regexp_replace(secret, '^lost\.', 'test.'),
        headers = regexp_replace(headers, '^other\.', 'test.')});
$nginx->request(POST => "$API/deliveries/" . job($sealed[0])->{id} . '/resend',
    token => token())->status == 202 or die;
wait_until 'it is sent', sub { job($sealed[0])->{state} eq 'done' };
is scalar($receiver->seen('/sealed/1')), 1,
    'with the key, what is sent again arrives';
gone(@sealed);
$nginx->stop;


# --- a connection lost under a slice -----------------------------------------------------

# the server ends it: the slice was not done

$nginx = nginx(postgres => $postgres, workers => 1,
    http => jobs_block(%jobs, lease => '1h'));
$nginx->ready;
$postgres->allow(qr/FATAL:  terminating connection due to administrator/);

my $slow = lab_job($postgres, ms => 2000);

sub sleeping {
    return $postgres->value('select pid from pg_stat_activity where usename ='
        . " 'prov_worker' and wait_event = 'PgSleep'");
}

my $pid = wait_until 'it is under way', sub { sleeping() };
$postgres->sql('select pg_terminate_backend(?)', $pid);
wait_until 'it is done', sub { lab_done($postgres, $slow) };
pass 'what a lost connection has interrupted goes on before its lease ends';
is scalar(lab_runs($postgres, $slow)), 1, 'and is done once';
is $postgres->value('select attempt from prov.jobs where id = ?', $slow), 2,
    'with a lease of its own';
like $nginx->log, qr/lost under the job $slow of kind "lab", which goes on when/,
    'the log says so';
$nginx->stop;

# the network ends it, and the server goes on: the slice was done

my $relay = relay($postgres);
$nginx = nginx(postgres => $relay, workers => 1, http => $block);
$nginx->ready;
$postgres->allow(qr/LOG:  could not (?:send|receive) data|unexpected EOF on client/,
    qr/connection to client lost/, qr/canceling statement due to lock timeout/,
    qr/CONTEXT:|STATEMENT:|DETAIL:/);

$slow = lab_job($postgres, ms => 3000);
wait_until 'it is under way', sub { sleeping() };
$relay->cut;
$relay->pass;
wait_until 'it is done', sub { lab_done($postgres, $slow) };
is scalar(lab_runs($postgres, $slow)), 1, 'what went on without a connection'
    . ' is done once';
is $postgres->value('select attempt from prov.jobs where id = ?', $slow), 1,
    'and was not begun again';

# for as long as that takes others are reported

$slow = lab_job($postgres, ms => 3800);
wait_until 'it is under way', sub { sleeping() };
$relay->cut;
$relay->pass;
my $other = lab_job($postgres, parts => 3);
wait_until 'another is done meanwhile', sub { lab_done($postgres, $other) };
wait_until 'it is done', sub { lab_done($postgres, $slow) };
is scalar(lab_runs($postgres, $slow)), 1, 'others do not wait for it';
sleep 1;
unlike $nginx->log, qr/job $slow was not this worker's/,
    'and nobody complains that it was done';

ok $nginx->stop, 'the worker leaves';

done_testing;
