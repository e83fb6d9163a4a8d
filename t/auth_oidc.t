#!/usr/bin/perl

# harness: plain

# A real issuer of tokens, npm's oidc-provider: the gateway finds its keys by
# discovery, lets in whom it has given a token, follows it when it changes its
# keys, and does without it while it is away.  t/auth_remote.t has the issuers
# that misbehave.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::HTTP;
use Provisioning::Test::Npm;
use Provisioning::Test::Process;

use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Time::HiRes qw(sleep);

my $build = npm_install();
npm_save("$build/issuer.js", npm_text("$FindBin::Bin/clients/issuer.js"));

my $port = reserve_port();
my $iss = "http://127.0.0.1:$port";
my $keys = directory() . '/issuer.keys.json';
my ($issuer, $started);


# --- the issuer -----------------------------------------------------------

# Private keys, the first of which signs.

sub has_keys {
    my (@names) = @_;

    return npm_save($keys, JSON::PP->new->encode({ keys => [map {
        { %{ Provisioning::Test::Token::key($_)->export_key_jwk('private', 1) },
          kid => "the-$_", use => 'sig' }
    } @names] }));
}

sub start {
    my ($alg) = @_;

    $issuer = Provisioning::Test::Process->spawn(name => 'oidc-provider',
        command => ['node', "$build/issuer.js"],
        output => directory() . '/issuer.' . ++$started . '.log',
        env => { npm_environment(), ISSUER => $iss, KEYS => $keys,
                 ALG => $alg });

    return wait_until 'the issuer listens', sub {
        eval { Provisioning::Test::HTTP->connect($port)->close; 1 }
            or defined $issuer->ended && die 'the issuer has ended: '
                . npm_text(directory() . "/issuer.$started.log")
    }, 3 * $Provisioning::Test::patience;
}

sub stop {
    $issuer->signal('TERM');
    $issuer->wait_for_end($Provisioning::Test::patience);
    return;
}

# It reads its keys again: the next token is signed with the first of them.

sub change {
    my (@names) = @_;

    has_keys(@names);
    $issuer->signal('HUP');

    my $published = join ' ', map { "the-$_" } @names;

    return wait_until "the issuer publishes $published", sub {
        my $set = get('/jwks');
        return join(' ', map { $_->{kid} } @{ $set->{keys} }) eq $published;
    };
}

sub get {
    my ($path) = @_;

    my $c = Provisioning::Test::HTTP->connect($port);
    $c->send_request(GET => $path);
    return $c->read_response->json;
}

# What it gives a client for its secret (RFC 6749, section 4.4).

sub granted {
    my $c = Provisioning::Test::HTTP->connect($port);

    $c->send_request(POST => '/token',
        headers => {
            'Content-Type' => 'application/x-www-form-urlencoded',
            Authorization => 'Basic '
                . encode_base64('partner-system:a-secret-of-some-length', ''),
        },
        body => 'grant_type=client_credentials');

    my $r = $c->read_response;
    return $r->json->{access_token} || die $r->head . $r->body;
}


# --- the gateway ------------------------------------------------------------

has_keys('rsa');
start('RS256');

my (undef, $nginx) = gateway(workers => 2, http => <<"END",
    provisioning_outbound {
        plain_http on;
        allow_network 127.0.0.0/8;
    }

    provisioning_issuer login {
        iss $iss;
        audience provisioning;
        discovery on refresh=2s timeout=1m cooldown=300ms;
    }
END
    locations => <<'END');
        location /login/ {
            provisioning_auth login;
            provisioning_api %%OPENAPI%%/partner.json prefix=/login/;
            provisioning_pass tenants;
        }
END

sub say {
    my ($token) = @_;

    my $r = $nginx->request(GET => '/login/tenants', token => $token);
    return $r->status . ($r->code ? ' ' . $r->code : '');
}

sub all_say {
    my ($token, $expected, $name) = @_;

    my %said = map { say($token) => 1 } 1 .. 10;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is join(', ', sort keys %said), $expected, $name;
}

# Each worker has taken a set of one key since the log was so long.

sub all_have {
    my ($from) = @_;

    return wait_until 'all workers have the new keys', sub {
        my $since = substr $nginx->log, $from;
        !grep { $since !~ / $_#\d+: .*"login": 1 keys of \S+ are in force/ }
            $nginx->workers;
    }, 3 * $Provisioning::Test::patience;
}

wait_until 'the gateway has the issuer\'s keys', sub {
    !grep { $nginx->request(GET => '/login/health/ready')->status != 200 }
        1 .. 10
};

my $first = granted();
is say($first), 200, 'who has a token of the issuer\'s is let in';
like $first, qr/\A[\w-]+\.[\w-]+\.[\w-]+\z/, 'which is a JWT';
is say($first =~ s/.{4}\z/AAAA/r), '401 token_bad_signature',
    'and who has changed it is not';

change('rsa2', 'rsa');
my $second = granted();
sleep 0.4;    # who has asked before that may ask again
all_say($second, 200, 'a token signed with a new key is good at once');
all_say($first, 200, 'while the old key is published, its tokens are');

my $from = length $nginx->log;
change('rsa2');
all_have($from);
all_say($first, '401 token_unknown_key', 'then they are not');
all_say($second, 200, 'those of the new one are');

stop();
all_say($second, 200, 'without the issuer, too');
$nginx->reload;
all_say($second, 200, 'also after a reload');
sleep 2.5;
all_say($second, 200, 'and for longer than keys are thought to be fresh');
ok +($nginx->test)[0], 'the configuration is good without the issuer';

for my $case (['ES256', 'ec256'], ['EdDSA', 'ed25519'], ['PS256', 'rsa']) {
    my ($alg, $key) = @$case;

    $from = length $nginx->log;
    has_keys($key);
    start($alg);
    my $token = granted();

    all_have($from);
    all_say($token, 200, "the issuer comes back with other keys ($alg)");
    all_say($second, '401 token_unknown_key', 'and the ones before are gone');
    stop();
}

done_testing;
