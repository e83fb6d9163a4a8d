#!/usr/bin/perl

# harness: plain

# What is really sent to webhooks: signed requests that the npm package
# "standardwebhooks" verifies, also while a secret is being rotated; what comes
# of each answer; what is kept of it, which is a stranger's; and that nothing
# secret of a partner's is in it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Jobs;
use Provisioning::Test::Npm;

use JSON::PP ();
use MIME::Base64 qw(encode_base64);

my $build = npm_install();
npm_save("$build/verify.mjs", npm_text("$FindBin::Bin/clients/verify.mjs"));

my $base = '/api/provisioning';
my $json = JSON::PP->new->utf8->canonical;
my $flags = directory() . '/flags';
mkdir $flags or die "$flags: $!";

my $receiver = receiver(sub {
    my ($c, $request) = @_;
    my ($what) = $request->{path} =~ m{\A/([\w-]+)};
    my $times = () = glob "$flags/$what.*";
    open my $flag, '>', "$flags/$what.$$.$times" or die $!;

    if ($what eq 'once' && !$times) {
        $c->answer(500, 'not yet');
    } elsif ($what =~ /\Astatus-(\d+)/) {
        $c->answer($1, "this is $1", 'Location' => '/elsewhere');
    } elsif ($what eq 'later') {
        $c->answer(503, 'busy', 'Retry-After' => 4711);
    } elsif ($what eq 'echo') {
        $c->answer(500, "$request->{head}\r\n$request->{body}",
            'X-Echo' => $request->{headers}{authorization});
    } elsif ($what eq 'binary') {
        $c->raw("HTTP/1.1 500 \xff\xfe\r\nX-Bad: a\xffb\x01c\r\n"
            . "Content-Length: 9\r\n\r\n\x00\xff\xc3\x28\x1b[2Jx");
    } elsif ($what eq 'long') {
        $c->answer(500, 'x' x 100_000, map { ("X-$_" => 'y' x 500) } 1 .. 40);
    } elsif ($what eq 'reset') {
        $c->reset;
    } elsif ($what eq 'close') {
        $c->close;
    } elsif ($what eq 'stall') {
        $c->stall;
    } elsif ($what eq 'garbage') {
        $c->raw("SSH-2.0-x\r\n");
        $c->close;
    } else {
        $c->answer(204);
    }
});

my $postgres = postgres();
$postgres->sql($_) for
    q{alter role prov_worker set prov.retry_scale = '0.01'};

sub block {
    my ($timeout) = @_;
    return jobs_block(outbound => "timeout $timeout; plain_http on;"
        . ' allow_network 127.0.0.0/8; breaker off;', lease => '2m',
        poll_interval => '100ms');
}

my $nginx = nginx(postgres => $postgres, http => block('1m'));
$nginx->ready;

sub call {
    my ($method, $where, $body, %o) = @_;
    return $nginx->request($method => "$base$where", token => token(),
        defined $body ? (json => $body) : (), %o);
}

sub endpoint {
    my ($where, %more) = @_;
    my $r = call(POST => '/webhook-endpoints', {
        url => $receiver->url($where), event_types => ['tenant.created'],
        %more });
    $r->status == 201 or die $r->body;
    return $r->json;
}

sub place { "/webhook-endpoints/$_[0]{webhook_endpoint}" }

sub tenant {
    my $r = call(POST => '/tenants', { client_name => $_[0],
        email => unique_email() });
    $r->status == 201 or die $r->body;
    return $r->json;
}

sub test {
    my ($endpoint) = @_;
    my $r = call(POST => place($endpoint) . '/send-test');
    $r->status == 202 or die $r->body;
    return $r->json->{delivery};
}

sub delivery { call(GET => "/deliveries/$_[0]")->json }

# A delivery when so many attempts of it were noted.

sub tried {
    my ($id, $n) = @_;
    return wait_until "attempt $n of $id", sub {
        my $d = delivery($id);
        $d->{attempt_count} >= $n && $d;
    };
}

sub came {
    my ($where, $n) = @_;
    return @{ wait_until "$n requests to $where", sub {
        my @seen = $receiver->seen($where);
        @seen >= $n && \@seen;
    } };
}

# What receivers' software says of requests: the payload, or why not.

sub verified {
    my (@cases) = @_;

    npm_save(directory() . '/cases', $json->encode([map { {
        key       => $_->[0],
        id        => $_->[1]{headers}{'webhook-id'},
        timestamp => $_->[1]{headers}{'webhook-timestamp'},
        signature => $_->[1]{headers}{'webhook-signature'},
        body      => $_->[1]{body},
    } } @cases]));

    my ($ok, $said) = npm_run('node verify.mjs',
        CASES => directory() . '/cases');
    $ok or die $said;
    return @{ $json->decode($said) };
}


# --- what is sent ------------------------------------------------------------

my $v1 = endpoint('/v1', headers => { Authorization => 'Bearer open sesame',
    'X-Environment' => 'production' });
my $v1a = endpoint('/v1a', algorithm => 'v1a');
my $tenant = tenant('Acme');
my ($request) = came('/v1', 1);
my ($other) = came('/v1a', 1);
my %h = %{ $request->{headers} };

is $request->{method}, 'POST', 'an event is a POST';
is $h{'content-type'}, 'application/json', 'of JSON';
is $h{'user-agent'}, 'nginx-provisioning', 'which says who sends it';
is $h{authorization}, 'Bearer open sesame', 'with the partner\'s own headers';
is $h{'x-environment'}, 'production', 'all of them';
like $h{'webhook-id'}, qr/\A[0-9a-f-]{36}\z/, 'the id is the event\'s';
is $other->{headers}{'webhook-id'}, $h{'webhook-id'},
    'the same at each endpoint';
cmp_ok abs(time - $h{'webhook-timestamp'}), '<', 60, 'the time is now';
like $h{'webhook-signature'}, qr{\Av1,[A-Za-z0-9+/]{43}=\z}, 'it is signed';
like $other->{headers}{'webhook-signature'},
    qr{\Av1a,[A-Za-z0-9+/]{86}==\z}, 'with a key pair, if that was chosen';

my $payload = $json->decode($request->{body});
is_deeply [sort keys %$payload], [qw(created_at data id request_id type)],
    'the payload has what is described';
is $payload->{id}, $h{'webhook-id'}, 'its id is that of the request';
is_deeply $payload->{data}, $tenant, 'its data what was answered';

my @spoilt = map { { %$request, headers => { %h } } } 1 .. 4;
$spoilt[0]{body} =~ s/Acme/Acne/;
$spoilt[1]{headers}{'webhook-id'} =~ tr/0-9/1-90/;
$spoilt[2]{headers}{'webhook-timestamp'}++;
$spoilt[3]{headers}{'webhook-timestamp'} -= 3600;
my $forged = { %$other, body => $other->{body} =~ s/Acme/Acne/r };
my @said = verified([$v1->{secret}, $request],
    [$v1a->{public_key}, $other],
    (map { [$v1->{secret}, $_] } @spoilt),
    [$v1a->{public_key}, $forged],
    ['whsec_' . encode_base64('x' x 32, ''), $request]);

is_deeply $said[0], { payload => $payload },
    'standardwebhooks takes it for what it is';
is_deeply $said[1], { payload => $payload }, 'Node.js does so with v1a';
is_deeply [grep { !$_->{refused} } @said[2 .. 7]], [],
    'nothing else passes: another body, id, time, secret';


# --- rotation ------------------------------------------------------------------

my $new = call(POST => place($v1) . '/rotate-secret',
    { overlap_seconds => 3600 })->json;
my $pair = call(POST => place($v1a) . '/rotate-secret',
    { overlap_seconds => 3600 })->json;
test($_) for $v1, $v1a;
$request = (came('/v1', 2))[1];
$other = (came('/v1a', 2))[1];
like $request->{headers}{'webhook-signature'}, qr/\Av1,\S+ v1,\S+\z/,
    'during a rotation there are two signatures';
@said = verified([$v1->{secret}, $request], [$new->{secret}, $request],
    [$v1a->{public_key}, $other], [$pair->{public_key}, $other]);
is_deeply [map { $_->{payload}{type} } @said],
    [('webhook_endpoint.test') x 4],
    'with the old secret they are taken, and with the new one';
my $third = call(POST => place($v1) . '/rotate-secret',
    { overlap_seconds => 3600 })->json;
test($v1);
$request = (came('/v1', 3))[2];
like $request->{headers}{'webhook-signature'}, qr/\Av1,\S+ v1,\S+ v1,\S+\z/,
    'who rotates again meanwhile takes nothing away';
@said = verified(map { [$_->{secret}, $request] } $v1, $new, $third);
is scalar(grep { $_->{payload} } @said), 3, 'all three secrets are good';
my $last = call(POST => place($v1) . '/rotate-secret',
    { overlap_seconds => 0 })->json;
test($v1);
$request = (came('/v1', 4))[3];
unlike $request->{headers}{'webhook-signature'}, qr/ /,
    'without overlap there is one';
@said = verified(map { [$_->{secret}, $request] } $v1, $new, $third, $last);
is scalar(grep { $_->{refused} } @said[0 .. 2]), 3,
    'by which no earlier secret is good';
ok $said[3]{payload}, 'made with the new one';


# --- what comes of it ----------------------------------------------------------

my $d = tried(test($v1), 1);
is $d->{status}, 'succeeded', 'what is answered with 2xx is done';
is $d->{attempts}[0]{status}, 204, 'the answer is noted';
is $d->{attempts}[0]{error}, undef, 'which was no error';
ok $d->{finished_at}, 'and when that was';

my $id = test(endpoint('/once'));
$d = wait_until 'it is done', sub {
    my $now = delivery($id);
    $now->{status} eq 'succeeded' && $now;
};
is_deeply [map { $_->{status} } @{ $d->{attempts} }], [500, 204],
    'what is answered with 500 is sent again';
is $d->{attempts}[0]{error}, 'the receiver has answered 500', 'and why';
is $d->{attempts}[0]{body}, 'not yet', 'with what was answered';
my @seen = $receiver->seen('/once');
is $seen[0]{headers}{'webhook-id'}, $seen[1]{headers}{'webhook-id'},
    'the id is the same in each attempt';
is $seen[0]{body}, $seen[1]{body}, 'and so is the body';

$d = tried(test(endpoint('/status-302')), 1);
like $d->{attempts}[0]{error}, qr/302; redirects are not followed\z/,
    'a redirect is not followed';
is scalar($receiver->seen('/elsewhere')), 0, 'nobody was there';
like tried(test(endpoint('/status-404')), 1)->{attempts}[0]{error},
    qr/answered 404/, '404 is tried again';

$d = tried(test(endpoint('/later')), 1);
cmp_ok $postgres->value('select extract(epoch from due - now()) from prov.jobs
    where id = ?', $d->{delivery}), '>', 4000, 'Retry-After is honoured';

my $gone = endpoint('/status-410');
$d = tried(test($gone), 1);
is $d->{status}, 'failed', 'what is answered with 410 is not sent again';
my $shown = call(GET => place($gone))->json;
is_deeply [@$shown{qw(status disabled_reason)}], ['disabled', 'gone'],
    'and the endpoint is disabled';
is_deeply $json->decode($postgres->value(q{select data::text from prov.events
    where type = 'webhook_endpoint.disabled'})), $shown,
    'an event tells of it as the API does';

for my $case (['reset'], ['close'], ['garbage'], ['stall', qr/time/]) {
    my ($what, $why) = @$case;
    $nginx->configure(http => block('2s'))->reload if $what eq 'stall';
    $d = tried(test(endpoint("/$what")), 1);
    is $d->{status}, 'retrying', "a receiver that does \"$what\" is tried again";
    is $d->{attempts}[0]{status}, undef, 'there was no answer';
    like $d->{attempts}[0]{error}, $why || qr/\w/, 'but a reason';
    unlike $d->{attempts}[0]{error}, qr/127\.0\.0\.1/, 'without an address';
}

$nginx->configure(http => block('1m'))->reload;


# --- whose fault it is, and where -------------------------------------------------

my $moved = endpoint('/moved');
$postgres->sql('update prov.webhook_endpoints set url = ? where id = ?',
    'http://10.1.2.3/', $moved->{webhook_endpoint});
$d = tried(test($moved), 1);
like $d->{attempts}[0]{error}, qr/cannot be sent to/,
    'where an endpoint is nothing may be sent to';
ok call(GET => place($moved))->json->{failing_since},
    'which is its owner\'s fault';
is call(PATCH => place($moved), { url => $receiver->url('/moved') })
    ->json->{failing_since}, undef, 'another URL has not failed yet';
is tried(test($moved), 1)->{status}, 'succeeded', 'nor does it';


# --- what is kept of an answer ---------------------------------------------------

$d = tried(test(endpoint('/echo', headers => {
    Authorization => 'Bearer open sesame', 'X-Short' => 'abc' })), 1);
my $attempt = $d->{attempts}[0];
like $attempt->{headers}, qr/^X-Echo: \[redacted\]$/m,
    'what a receiver says of a partner\'s headers is masked';
like $attempt->{body}, qr/Authorization: \[redacted\]/i, 'in the body, too';
unlike $json->encode($d), qr/open sesame/, 'so it is nowhere';
like $attempt->{body}, qr/X-Short: abc/i, 'what is too short to be a secret stays';

$attempt = tried(test(endpoint('/binary')), 1)->{attempts}[0];
is $attempt->{body}, "\x{fffd}\x{fffd}\x{fffd}(\x{fffd}[2Jx",
    'what is no text becomes text';
like $attempt->{headers}, qr/^X-Bad: a\x{fffd}b\x{fffd}c$/m,
    'in headers, too';

$attempt = tried(test(endpoint('/long')), 1)->{attempts}[0];
is length $attempt->{body}, 8192, 'of a long body 8 KiB are kept';
cmp_ok length $attempt->{headers}, '<=', 8192, 'of long headers, too';
cmp_ok length $attempt->{headers}, '>', 6000, 'and not much less';


# --- secrets that cannot be had -----------------------------------------------------

my $sealed = $postgres->value('select secret from prov.webhook_endpoints
    where id = ?', $v1->{webhook_endpoint});
$postgres->sql(q{update prov.webhook_endpoints set secret = ? where id = ?},
    $postgres->value('select secret from prov.webhook_endpoints where id = ?',
        $gone->{webhook_endpoint}), $v1->{webhook_endpoint});
my $n = $receiver->seen('/v1');
$id = test($v1);
wait_until 'the log says so', sub {
    index($nginx->log, "the webhook_endpoint.secret of $v1->{webhook_endpoint}"
        . ' cannot be unsealed with the key "test": it was changed') >= 0 };
$d = tried($id, 1);
is scalar($receiver->seen('/v1')), $n,
    'with a secret that cannot be unsealed nothing is sent';
is $d->{status}, 'retrying', 'it is tried again';
like $d->{attempts}[0]{error}, qr/^the gateway could not read/,
    'which is the gateway\'s own fault';
is $d->{attempts}[0]{status}, undef, 'and nobody else\'s';
is call(GET => place($v1))->json->{failing_since}, undef,
    'so it is not held against the endpoint';
$postgres->sql('update prov.webhook_endpoints set secret = ? where id = ?',
    $sealed, $v1->{webhook_endpoint});
wait_until 'it is sent', sub { delivery($id)->{status} eq 'succeeded' };
pass 'until it can be';

my $log = $nginx->log;
for my $secret ($last->{secret} =~ s/whsec_//r, 'open sesame') {
    unlike $log, qr/\Q$secret\E/, 'no secret is in the log';
    is $postgres->value('select count(*) from prov.job_attempts a
        where a::text like ?', "%$secret%"), 0, 'nor in what was noted';
}

done_testing;
