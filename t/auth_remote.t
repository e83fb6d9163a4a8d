#!/usr/bin/perl

# Keys that are fetched from their issuer, which comes late, changes them, goes
# away, hangs, sends garbage, and is asked for by strangers: who is let in, who
# is told what, and how often the issuer is asked.  t/auth_remote_unit.t has
# the schedule to the millisecond, t/auth_oidc.t a real issuer.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::HTTP2;
use Provisioning::Test::Issuer;
use Provisioning::Test::Problem;

use Time::HiRes qw(sleep time);

my $port = reserve_port();
my $iss = "http://127.0.0.1:$port";

sub issuer_block {
    my ($directive, $name) = (@_, 'login');
    return <<"END";
    provisioning_outbound {
        plain_http on;
        allow_network 127.0.0.0/8;
    }

    provisioning_issuer $name {
        iss $iss;
        audience %%AUDIENCE%%;
        $directive;
    }
END
}

my $locations = <<'END';
        location = /guarded {
            provisioning_auth login test;
            alias %%DIR%%/jwks.json;
        }
END

my $quick = 'jwks_uri ' . $iss
    . '/keys refresh=1s timeout=1m cooldown=300ms keep=1h';

sub good { return token(iss => $iss, key => 'ec256', @_) }

sub ask {
    my ($nginx, $token) = @_;
    return $nginx->request(GET => '/guarded', token => $token);
}

sub asked {
    my ($nginx, $token) = @_;
    my $r = ask($nginx, $token);
    return $r->status . ($r->code ? ' ' . $r->code : '');
}


# --- before it is there -----------------------------------------------------

my $nginx = nginx(http => issuer_block($quick), locations => $locations);
my $r = ask($nginx, good());

is_problem $r, 'as long as the issuer has not answered', 503,
    'issuer_unavailable', 'The keys of the token\'s issuer could not be '
    . 'fetched yet; nothing was done.';
like $r->header('Retry-After'), qr/\A[1-9]\d?\z/, 'when to come again';
is $r->header('WWW-Authenticate'), undef, 'it is not the caller\'s fault';

is asked($nginx, token()), 200, 'another issuer\'s token is good';
is asked($nginx, token(iss => 'https://stranger.test')),
    '401 token_unknown_issuer', 'a stranger\'s is not';
is asked($nginx, 'x.y.z'), '401 token_malformed', 'nor is what is no token';
is asked($nginx, good(key => 'secret')), '401 token_unsupported_algorithm',
    'nor is a symmetric algorithm';
ok +($nginx->test)[0], 'nginx -t does not need the issuer';
ok scalar eval { $nginx->reload }, 'nor does a reload';

wait_until 'the log says why', sub {
    $nginx->log =~ /\[error\].*provisioning_issuer "login": the request for (?#
        )the key set failed: .*; there are no keys, next attempt in \d+ ms/
};

my $issuer = Provisioning::Test::Issuer->new(directory() . '/issuer', $port);
$issuer->publish('ec256');

wait_until 'it is found when it is there', sub {
    asked($nginx, good()) eq 200
};
like $nginx->log, qr/\[notice\].*"login": 1 keys of \S+ are in force/,
    'which the log says';
is asked($nginx, good(aud => 'other')), '401 token_wrong_audience',
    'its tokens are looked at as any';


# --- keys change --------------------------------------------------------------

# how often it was asked while something happened

sub requests {
    my ($code) = @_;
    my $before = $issuer->seen;
    $code->();
    return $issuer->seen - $before;
}

{
    my $old = good();
    is asked($nginx, $old), 200, 'a token that is remembered';

    $issuer->publish('rsa', 'ec256');
    sleep 0.4;
    is asked($nginx, good(key => 'rsa')), 200,
        'a new key is known at its first token';

    $issuer->publish('rsa');
    wait_until 'a key that has left is not', sub {
        asked($nginx, good()) eq '401 token_unknown_key'
    };
    is asked($nginx, $old), '401 token_unknown_key',
        'not even for a token that was remembered';
    is asked($nginx, good(key => 'rsa')), 200, 'while the others are';

    # a token without a kid, of an issuer that has another key by now

    $issuer->publish(jwk('ec256', kid => undef));
    my $unnamed = good(header => { kid => undef });
    wait_until 'keys need no name', sub { asked($nginx, $unnamed) eq 200 };
    $issuer->publish(jwk('ec384', kid => undef, alg => undef), jwk('ec256',
        kid => undef));
    sleep 0.4;
    is asked($nginx, good(key => 'ec384', header => { kid => undef })), 200,
        'nor when they change';
}


# --- strangers ----------------------------------------------------------------

$nginx->configure(http => issuer_block("jwks_uri $iss/keys refresh=1h "
    . 'timeout=60s cooldown=1s'));
$nginx->reload;
$issuer->publish('ec256');
sleep 1.1;

wait_until 'the set is the new one', sub { asked($nginx, good()) eq 200 };

{
    my ($n, %said) = (0);
    my $stranger = sub { good(header => { kid => 'k' . $n++ }) };
    my $least = $issuer->seen + 2;

    $said{ asked($nginx, $stranger->()) }++
        while $n <= 50 || $issuer->seen < $least;
    is_deeply [keys %said], ['401 token_unknown_key'],
        'strangers with random key ids are refused';
    pass "the issuer is asked again and again ($n)";

    # they come while it has not answered

    my $gate = directory() . '/strangers';
    $least = $issuer->seen + 1;
    $issuer->answer('/keys', body => jwks('ec256'), gate => $gate);
    sleep 1.1;

    my @waiting;
    is requests(sub {
        for (1 .. 10) {
            push @waiting, $nginx->connection;
            $waiting[-1]->send_request(GET => '/guarded',
                token => $stranger->());
        }
        $nginx->request(GET => '/') for 1 .. 3;
        wait_until 'it is asked', sub { $issuer->seen == $least };
    }), 1, 'ten at once are one request';
    open my $file, '>', $gate or die "$gate: $!";
    %said = map { $_->read_response->code => 1 } @waiting;
    is_deeply [keys %said], ['token_unknown_key'], 'which all have waited for';

    # and after that: not before its time is over

    $nginx->configure(http => issuer_block("jwks_uri $iss/keys refresh=1h "
        . 'timeout=60s cooldown=1h'));
    $nginx->reload;
    is requests(sub { asked($nginx, $stranger->()) for 1 .. 50 }), 0,
        'it is not asked within the cooldown, however many they are';
    $nginx->configure(http => issuer_block("jwks_uri $iss/keys refresh=1h "
        . 'timeout=60s cooldown=1s'));
    $nginx->reload;
}


# --- an issuer that is slow, or hangs -------------------------------------------

{
    my $gate = directory() . '/gate';
    $issuer->answer('/keys', body => jwks('ec256', 'ed25519'), gate => $gate);
    sleep 1.1;

    my $before = $issuer->seen;
    my $waits = $nginx->connection;
    $waits->send_request(GET => '/guarded', token => good(key => 'ed25519'));
    my $gone = $nginx->connection;
    $gone->send_request(GET => '/guarded', token => good(key => 'ed25519'));
    wait_until 'it is asked', sub { $issuer->seen > $before };
    $gone->reset;

    is asked($nginx, good()), 200, 'while a slow issuer is asked, known keys '
        . 'are, and nobody waits for it who need not';
    ok !$waits->closed(0.1), 'who has to waits for it';
    open my $file, '>', $gate or die "$gate: $!";
    is $waits->read_response->status, 200, 'and is let in when it has answered';

    is asked($nginx, good()), 200, 'who did not wait for it has done no harm';
}

{
    my $gate = directory() . '/h2';
    $issuer->answer('/keys', body => jwks('ec256', 'ed25519', 'ec521'),
        gate => $gate);
    sleep 1.1;

    my $h2 = Provisioning::Test::HTTP2->connect($nginx->h2_port);
    my ($waits, $left, $known) = map { $h2->request(GET => '/guarded',
        token => good(key => $_)) } qw(ec521 ec521 ec256);
    $h2->reset($left);
    is $h2->response($known)->{status}, 200,
        'on one connection, too, one need not wait for another';
    open my $file, '>', $gate or die "$gate: $!";
    is $h2->response($waits)->{status}, 200, 'who is let in later';
    $h2->close;
}

{
    my $gate = directory() . '/leaving';
    $issuer->answer('/keys', body => jwks('ec256', 'ed25519', 'ec384'),
        gate => $gate);
    sleep 1.1;

    my $before = $issuer->seen;
    my $waits = background(sub { asked($nginx, good(key => 'ec384')) });
    wait_until 'it is asked', sub { $issuer->seen > $before };
    $nginx->reload;
    open my $file, '>', $gate or die "$gate: $!";
    is $waits->finish, 200, 'a worker that leaves answers those who wait';
}

$nginx->configure(http => issuer_block("jwks_uri $iss/keys refresh=1h "
    . 'timeout=4s cooldown=1s'));
$nginx->reload;

{
    $issuer->answer('/keys', hang => 1);
    sleep 1.1;

    my $from = time;
    my $r = ask($nginx, good(header => { kid => 'unknown' }));
    my $time = time - $from;
    is_problem $r, 'when it hangs', 503, 'issuer_unavailable', 'The token '
        . 'names a key that is not known, and its issuer\'s keys could not '
        . 'be fetched anew; nothing was done.';
    ok $r->header('Retry-After'), 'when to come again';
    cmp_ok $time, '>', 3.5, 'is said after the time-out';

    # where a second passes before the next request, it is tried once more

    wait_until 'then at once, because it has just been tried', sub {
        my $before = $issuer->seen;
        asked($nginx, good(header => { kid => 'another' }))
            eq '503 issuer_unavailable' && $issuer->seen == $before;
    };
    is asked($nginx, good()), 200, 'known keys stay good';
    like $nginx->log, qr/\[warn\].*; its keys of \d+ ms ago stay in force, (?#
        )next attempt in \d+ ms/, 'which the log says';
}


# --- what is no key set --------------------------------------------------------

$nginx->configure(http => issuer_block($quick));
$nginx->reload;
$issuer->publish('ec256');
wait_until 'it answers again', sub {
    $nginx->log =~ /could be fetched again/ || asked($nginx, good()) eq 200
};

for my $case (
    ['garbage', { body => "\0\xff<html>" }, qr/the key set will not do: 1:1/],
    ['no JSON object', { body => '[]' }, qr/this is not a key set/],
    ['no keys', { body => '{"keys":[]}' }, qr/none of the keys in this set/],
    ['too much', { body => '{"keys":[], "x":"' . 'x' x 70000 . '"}' },
        qr/the request for the key set failed/],
    ['half of it', { raw => "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{" },
        qr/the request for the key set failed/],
    ['no HTTP', { raw => "hello\r\n" }, qr/the request for the key set failed/],
    ['another status', { status => 204 }, qr/answered with status 204/],
    ['a redirect', { status => 302, headers => ["Location: $iss/other"] },
        qr/answered with status 302/],
    ['a private key', { body => jwks(jwk('ec256', d => 'x')) },
        qr/#\/keys\/0: key left out: this is a private key/],
    ['a secret', { body => jwks('secret') }, qr/symmetric key .* no secret/],
    ['keys of no use', { body => jwks('small') }, qr/RSA key of 1024 bits/])
{
    my ($name, $answer, $said) = @$case;
    my $from = length $nginx->log;

    $issuer->answer('/keys', %$answer);
    wait_until "$name is noticed", sub {
        substr($nginx->log, $from) =~ $said
    }, 3 * $Provisioning::Test::patience;
    is asked($nginx, good()), 200, "$name replaces no key";

    # so that the next case need not wait long

    $issuer->publish('ec256');
    wait_until 'it is well again', sub {
        substr($nginx->log, $from) =~ /could be fetched again/
    }, 3 * $Provisioning::Test::patience;
}

{
    my $from = length $nginx->log;
    $issuer->publish(jwk('rsa', e => ''), 'small', 'ed25519', 'secret');
    wait_until 'what is usable of a set is used', sub {
        asked($nginx, good(key => 'ed25519')) eq 200
    };
    is asked($nginx, good()), '401 token_unknown_key', 'and replaces the rest';

    my $said = substr $nginx->log, $from;
    like $said, qr/\[warn\].*"login": \Q$iss\E\/keys#\/keys\/0: key left (?#
        )out: "e" must be/, 'the log says what is left out';
    like $said, qr{#/keys/1: key left out: an RSA key of 1024 bits}, 'and why';
    is scalar(() = $said =~ /key left out/g), 3, 'once for each key';
    ok $issuer->seen('/other') == 0, 'no redirect was followed';
}


# --- reloads, crashes, outages --------------------------------------------------

$issuer->publish('ec256');
$nginx->stop;
$nginx->configure(workers => 2, http => issuer_block("jwks_uri $iss/keys "
    . 'refresh=4s timeout=1m cooldown=300ms keep=1h'));
$nginx->start;

sub all_say {
    my ($expected, $name, $token) = @_;
    my %said;

    $said{ asked($nginx, $token || good()) }++ for 1 .. 20;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_deeply [keys %said], [$expected], $name or diag explain \%said;
    return;
}

sub all_will_say {
    my ($expected, $name) = @_;
    wait_until $name, sub {
        my %said = map { asked($nginx, good()) => 1 } 1 .. 20;
        return keys %said == 1 && $said{$expected};
    }, 3 * $Provisioning::Test::patience;
    return pass $name;
}

all_will_say(200, 'two workers have keys');
$issuer->stop;

$nginx->reload;
all_say(200, 'after a reload, too, though the issuer is away');

for my $worker ($nginx->workers) {
    $nginx->allow(qr/worker process $worker exited on signal 9/);
    kill KILL => $worker;
    wait_until 'it has gone', sub {
        $nginx->log =~ /worker process $worker exited/
    };
}

all_say(200, 'and after a crash');
wait_until 'nobody can say whether a new key is good', sub {
    asked($nginx, good(header => { kid => 'unknown' }))
        eq '503 issuer_unavailable'
};

$nginx->configure(http => issuer_block("jwks_uri $iss/keys "
    . 'refresh=4s timeout=1m cooldown=300ms keep=8s'));
$issuer->start;
$nginx->reload;
all_will_say(200, 'they have keys again');
$issuer->stop;
all_will_say('503 issuer_unavailable', 'keys are not good for ever');
like $nginx->log, qr/could not be fetched for 8000 ms and are not believed/,
    'without an issuer they end';
$nginx->reload;
all_say('503 issuer_unavailable', 'a reload does not bring them back');

$issuer->start;
all_will_say(200, 'when the issuer is back, so are they');

# another URL is another set

$nginx->configure(http => issuer_block("jwks_uri $iss/elsewhere"));
my $before = length $nginx->log;
$nginx->reload;
all_will_say('503 issuer_unavailable', 'nothing is handed on from another URL');
unlike substr($nginx->log, $before), qr/elsewhere are in force/,
    'not for a moment';


# --- discovery ------------------------------------------------------------------

my $well_known = '/.well-known/openid-configuration';
my %discovery = (issuer => $iss, jwks_uri => "$iss/keys");

sub document { return JSON::PP->new->canonical->encode({ %discovery, @_ }) }

$nginx->stop;
$issuer->answer($well_known, body => document(issuer => "$iss/"));
$nginx->configure(workers => 1, http => issuer_block('discovery on refresh=1s '
    . 'timeout=1m cooldown=300ms'));
$nginx->start;

wait_until 'another issuer\'s document is refused', sub {
    $nginx->log =~ /is that of another issuer: "issuer" is "\Q$iss\E\/", (?#
        )expected "\Q$iss\E";/
};
is asked($nginx, good()), '503 issuer_unavailable', 'there are no keys then';

$issuer->answer($well_known, body => document(jwks_uri => 'http://[::1'));
wait_until 'a bad URL is refused', sub {
    $nginx->log =~ /"jwks_uri" will not do: it /
}, 3 * $Provisioning::Test::patience;

$issuer->answer($well_known, body => document());
wait_until 'the issuer\'s own is believed', sub {
    asked($nginx, good()) eq 200
}, 3 * $Provisioning::Test::patience;
pass 'discovery finds the keys';

$issuer->answer('/moved', body => jwks('ed25519'));
$issuer->answer($well_known, body => document(jwks_uri => "$iss/moved"));
wait_until 'keys may move', sub {
    asked($nginx, good(key => 'ed25519')) eq 200
};
is asked($nginx, good()), '401 token_unknown_key', 'and are followed';


# --- mistakes -------------------------------------------------------------------

for my $case (
    ["jwks_uri $iss/keys", '', qr/": it must begin with "https:/],
    ['discovery http://issuer.test/', '', qr/": it must begin with "https:/],
    ['discovery on', '', qr{"x/\.well-known/openid-configuration": it }],
    ['jwks_uri https://127.0.0.1/keys', '', qr/address that is not public/],
    ['jwks_uri https://10.0.0.1/k', 'allow_network 127.0.0.0/8;',
        qr/address that is not public/],
    ["jwks_uri $iss/keys; jwks %%JWKS%%", 'plain_http on;',
        qr/has keys of its own beside those that are fetched/])
{
    my ($directive, $outbound, $says) = @$case;
    my ($good, $said) = $nginx->test(http => "provisioning_outbound { "
        . "$outbound } provisioning_issuer login { iss x; audience y; "
        . "$directive; }", locations => '');
    ok !$good, "nginx -t refuses \"$directive\"";
    like $said, $says, 'and says why';
}


# --- readiness --------------------------------------------------------------------

$issuer->stop;
my (undef, $gateway) = gateway(start => 0, http => issuer_block($quick),
    locations => <<'END');
        location /login/ {
            provisioning_auth login;
            provisioning_api %%OPENAPI%%/partner.json prefix=/login/;
            provisioning_pass tenants;
        }
END
$gateway->start->ready;

is_problem $gateway->request(GET => '/login/health/ready'), 'a gateway that '
    . 'has never had an issuer\'s keys is not ready', 503, 'not_ready',
    'The keys of the issuer "login" could not be fetched yet; the gateway\'s '
    . 'error log says why.';
is $gateway->request(GET => '/health/ready')->status, 200,
    'where they are of no use it is';
is $gateway->request(GET => '/login/tenants', token => good())->code,
    'issuer_unavailable', 'nor can it serve its callers';

$issuer->publish('ec256');
$issuer->start;
wait_until 'it is ready', sub {
    $gateway->request(GET => '/login/health/ready')->status == 200
};
is $gateway->request(GET => '/login/tenants', token => good())->status, 200,
    'when it has them, it is ready';
$issuer->stop;
sleep 1.2;
is $gateway->request(GET => '/login/health/ready')->status, 200,
    'and stays so in an outage';

done_testing;
