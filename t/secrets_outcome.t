#!/usr/bin/perl

# The connection to PostgreSQL is lost after a secret was made and before that
# was answered.  The database does not have it; the gateway does, and shows it
# this once, as it would have done.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;

use Crypt::AuthEnc::GCM qw(gcm_decrypt_verify);
use MIME::Base64 qw(decode_base64url encode_base64);

my $postgres = postgres();
my $relay = relay($postgres);
my $nginx = nginx(postgres => $relay,
    database => 'connections 2; queue 64 timeout=10s; query_timeout 20s;');
$nginx->ready;

# what a server says whose client does not read its answer
$postgres->allow(qr/FATAL:  connection to client lost/);

my $base = '/api/provisioning';
my $times = 0;

# a change that the question for its outcome has overtaken
$postgres->allow(qr/ PV503 .*was decided without it/);


# Asked again where that is so, on a busy machine: it is not made then.

sub lost {
    my (@asked) = @_;
    my $r;

    for (1 .. 10) {
        $r = lose(@asked);
        return $r if ($r->code // '') ne 'not_committed';
    }

    return $r;
}


# a reply that never comes, to a request with a mark of its own

sub lose {
    my ($path, $json, %o) = @_;
    my $mark = 'marked-' . ++$times;
    my $cuts = $relay->cuts;

    $relay->cut_reply_to(qr/$mark/);
    my $r = $nginx->request(POST => "$base/$path", token => token(), %o,
        headers => { 'User-Agent' => $mark, %{ $o{headers} || {} } },
        defined $json ? (json => $json) : ());

    is $relay->cuts, $cuts + 1, "$path: the connection was lost";
    return $r;
}

sub signs {
    my ($endpoint, $secret) = @_;

    my $sealed = $postgres->value(
        'select secret from prov.webhook_endpoints where id = ?', $endpoint);
    my (undef, @part) = split /\./, $sealed;
    my ($nonce, $cipher, $tag) = map { decode_base64url($_) } @part;

    return 'whsec_' . encode_base64(gcm_decrypt_verify('AES',
        'a key of 32 bytes, for the tests', $nonce,
        "webhook_endpoint.secret\0$endpoint", $cipher, $tag), '') eq $secret;
}

sub opens {
    my ($key) = @_;
    return $nginx->request(GET => "$base/tenants", token => $key)->status == 200;
}

my %key = (name => 'a key', scopes => ['tenant:read']);
my %hook = (url => 'https://hooks.example.com/x', event_types => ['*']);

my $usual = $nginx->request(POST => "$base/api-keys", token => token(),
    json => \%key);
is $usual->status, 201, 'a key is made';

for my $keyed (0, 1) {
    my $headers = sub {
        return $keyed ? { 'Idempotency-Key' => "secret-$_[0]" } : {};
    };

    my $r = lost('api-keys', \%key, headers => $headers->(1));
    is $r->status, 201, 'a key that was made is answered as such';
    ok opens($r->json->{key}), 'with its secret, which is good';
    is_deeply [$r->header_names], [$usual->header_names],
        'and with the usual headers';
    is_deeply [sort keys %{ $r->json }], [sort keys %{ $usual->json }],
        'and the usual members';

    my $id = $r->json->{api_key};
    my $rotated = lost("api-keys/$id/rotate", {}, headers => $headers->(2));
    is $rotated->status, 200, 'as is one that was rotated';
    isnt $rotated->json->{key}, $r->json->{key}, 'which has a new secret';
    ok opens($rotated->json->{key}), 'that is good';

    $r = lost('webhook-endpoints', \%hook, headers => $headers->(3));
    is $r->status, 201, 'an endpoint that was made is answered as such';
    ok signs($r->json->{webhook_endpoint}, $r->json->{secret}),
        'with its secret, which requests are signed with';

    $r = lost('webhook-endpoints', { %hook, algorithm => 'v1a' },
        headers => $headers->(4));
    is $r->status, 201, 'one with a pair of keys';
    is $r->json->{secret}, undef, 'has no secret to show';
    like $r->json->{public_key}, qr/^whpk_/, 'but a public key';

    next unless $keyed;

    $r = $nginx->request(POST => "$base/api-keys", token => token(),
        json => \%key, headers => $headers->(1));
    is_deeply [$r->status, $r->json->{api_key}, $r->json->{key},
               $r->header('Idempotent-Replayed')],
        [201, $id, undef, 'true'], 'a repetition is not shown it';
}

is $postgres->value(q{select count(*) from prov.audit_details d
    where d.after::text ~ 'not-shown-|"pk_|whsec_'}), 0, 'the audit has none of it';
is $postgres->value("select count(*) from prov.idempotency i
    where i.body::text like '%not-shown-%'"), 0, 'nor what is kept for a key';

done_testing;
