#!/usr/bin/perl

# The examples of the operations on API keys, and of the tokens they buy, are
# true: each one of a request is sent and works, each one of a response is
# what is really answered.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Exchange;

my $KEYS = '/api/provisioning/api-keys';
my $ID = '0194f0c4-1d2e-7f30-8a41-6b5c4d3e2f10';

my ($postgres, $nginx) = gateway(http => <<'END', locations => <<'END',
    provisioning_signer gateway {
        iss https://gateway.example/;
        audience provisioning;
        key %%DIR%%/gateway.pem kid=2025-01;
    }
    provisioning_issuer gateway { signer gateway; }
END
    location /signed/ {
        provisioning_auth gateway keys=tenants;
        provisioning_api %%OPENAPI%%/partner.json prefix=/signed;
        provisioning_pass tenants;
    }
END
    start => 0);
$nginx->write_file('gateway.pem', private_pem('ec256'));
$nginx->start;
$nginx->ready;

my $examples = exchange(keys => $nginx);


sub create { return ask(POST => $KEYS, json => {
    name => 'X', scopes => ['tenant:read'], @_ }) }


# made, read and changed

is try(POST => $KEYS, 'api_key_create least')->status, 201,
    'as little as possible makes a key';
$postgres->sql('delete from prov.api_keys');

my $made = is_example 'api_key_create 201',
    try(POST => $KEYS, 'api_key_create all');
my $path = $made->header('Location');

is_example 'api_key_list 200', ask(GET => $KEYS);
is_example 'api_key_get 200', ask(GET => $path);
is_example 'api_key_rotate 200',
    try(POST => "$path/rotate", 'api_key_rotate hour');
is try(POST => "$path/rotate", 'api_key_rotate now')->status, 200,
    'a key can be rotated at once';
ask(PATCH => $path, json => { name => 'X' });
is_example 'api_key_update 200',
    try(PATCH => $path, 'api_key_update name application/merge-patch+json');
is try(PATCH => $path, "api_key_update $_")->status, 200,
    "the example of a change works: $_"
    for 'name application/json', 'everywhere application/json',
        'everywhere application/merge-patch+json';

is_example 'ApiKeyNotFound', ask(GET => "$KEYS/$ID");
is_example 'ApiKeyForbidden permission', ask(POST => $KEYS, json => {},
    token => token(roles => ['integration-user']));

my $narrow = create(scopes => ['api_key:create'])->json->{key};
is_example 'ApiKeyForbidden scope', ask(POST => $KEYS, token => $narrow,
    json => { name => 'X', scopes => ['tenant:*'] });
is_example 'ApiKeyInvalid past', create(expires_at => '2020-01-01T00:00:00Z');
is_example 'ApiKeyInvalid network', create(ip_allow => ['192.0.2.1/24']);

$path = ask(POST => $KEYS, json => { name => 'Billing system',
    scopes => ['tenant:create', 'tenant:read'],
    expires_at => '2099-01-01T00:00:00Z',
    ip_allow => ['192.0.2.0/24', '2001:db8::/32'] })->header('Location');
is_example 'api_key_revoke 200', ask(DELETE => $path);
is_example 'ApiKeyConflict', ask(PATCH => $path, json => { name => 'X' });


# the tokens that they buy: the document's own key is nobody's

my $key = create(scopes => ['tenant:create', 'tenant:read'])->json;

sub buy {
    my ($form, %o) = @_;
    my %whole = (%$form, client_id => $key->{client_id},
        client_secret => $key->{key}, %o);

    return $nginx->request(POST => '/signed/oauth/token',
        body => join('&', map { "$_=$whole{$_}" } sort keys %whole),
        headers => { 'Content-Type' => 'application/x-www-form-urlencoded' });
}

my (undef, $form) = $examples->sent('oauth_token all');
is_example 'oauth_token 200', buy($form);
(undef, my $some) = $examples->sent('oauth_token some');
is buy($some)->status, 200, 'some scopes will do';

is_example 'oauth_token 400 request', buy({});
is_example 'oauth_token 400 grant', buy({ grant_type => 'password' });
is_example 'oauth_token 400 scope', buy({ %$form, scope => 'audit:read' });

my $elsewhere = create(ip_allow => ['192.0.2.0/24'])->json;
is_example 'oauth_token 400 network', buy($form,
    client_id => $elsewhere->{client_id}, client_secret => $elsewhere->{key});
is_example 'oauth_token 401 client',
    buy($form, client_secret => $elsewhere->{key});
is_example 'oauth_token 404', $nginx->request(
    POST => '/api/provisioning/oauth/token', body => 'grant_type=x',
    headers => { 'Content-Type' => 'application/x-www-form-urlencoded' });
is_example 'jwks_get 200',
    $nginx->request(GET => '/signed/.well-known/jwks.json');


none_left();

done_testing;
