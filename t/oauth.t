#!/usr/bin/perl

# POST /oauth/token and /.well-known/jwks.json: an API key buys a token, which
# the gateway's keys have signed, which Crypt::JWT can verify, and which the
# gateway accepts until the key is revoked.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;

use Crypt::JWT ();
use MIME::Base64 qw(encode_base64);
use POSIX qw(strftime);

my $server = sub { my ($keys, %o) = @_; return (
    http => <<"END",
        provisioning_signer gateway {
            iss https://gateway.test/;
            audience provisioning;
            $keys
            @{[$o{more} || '']}
        }
        provisioning_issuer gateway { signer gateway; }
END
    locations => <<'END',
        location /v2/ {
            provisioning_auth test gateway keys=tenants;
            provisioning_api %%OPENAPI%%/partner.json prefix=/v2;
            provisioning_pass tenants;
        }
        location = /.well-known/jwks.json {
            provisioning_auth gateway;
            provisioning_api %%OPENAPI%%/partner.json prefix=/;
            provisioning_pass tenants;
        }
        location /app/ {
            provisioning_auth gateway;
            provisioning_roles %%OPENAPI%%/partner.json;
            provisioning_require permission=tenant:read;
            proxy_set_header X-Partner $provisioning_partner;
            proxy_set_header X-Key $provisioning_key;
            proxy_pass http://127.0.0.1:%%PORT%%/echo/;
        }
        location /nobody/ {
            provisioning_auth test;
            proxy_pass http://127.0.0.1:%%PORT%%/echo/;
        }
        location /far/ {
            set_real_ip_from 127.0.0.1;
            real_ip_header X-Real-IP;
            provisioning_auth gateway;
            proxy_pass http://127.0.0.1:%%PORT%%/echo/;
        }
        location /echo/ {
            return 200 "$http_x_partner|$http_x_key";
        }
END
) };

my $first = 'key %%DIR%%/first.pem kid=first;';
my $second = 'key %%DIR%%/second.pem kid=second;';

my ($postgres, $nginx) = gateway($server->($first), start => 0);

$nginx->write_file('first.pem', private_pem('ec256'));
$nginx->write_file('second.pem', private_pem('rsa'));
$nginx->start;
$nginx->ready;

my $where = '/v2/oauth/token';

sub make {
    my $r = $nginx->request(POST => '/v2/api-keys', token => token(),
        json => { name => 'Machine', scopes => ['tenant:*', 'audit:read'],
                  @_ });
    $r->status == 201 or die $r->body;
    return $r->json;
}

sub form { my (%o) = @_; return join '&', map {
    "$_=" . ($o{$_} =~ s/([^A-Za-z0-9._~-])/sprintf '%%%02X', ord $1/ger) }
    sort keys %o }

sub buy {
    my ($form, %o) = @_;
    return $nginx->request(POST => $o{path} || $where,
        body => ref $form ? form(%$form) : $form,
        headers => ['Content-Type' => 'application/x-www-form-urlencoded',
                    @{ $o{headers} || [] }]);
}

sub client {
    my ($key, %more) = @_;
    return { grant_type => 'client_credentials',
        client_id => $key->{client_id}, client_secret => $key->{key}, %more };
}

sub refused {
    my ($r, $status, $error, $name) = @_;

    is $r->status, $status, "$name: $status" or diag $r->body;
    is $r->type, 'application/json', "$name: as RFC 6749 has it";
    is $r->json->{error}, $error, "$name: $error";
    like $r->json->{error_description}, qr/\A[A-Za-z][^"\\]+\.\z/,
        "$name: in a sentence";
    is $r->header('Cache-Control'), 'no-store', "$name: kept by nobody";
    return;
}

sub with { my ($token, $path, @headers) = @_;
    return $nginx->request(GET => $path, headers =>
        [Authorization => "Bearer $token", @headers]) }


# bought

my $key = make();
my $r = buy(client($key));

is $r->status, 200, 'a key buys a token' or diag $r->body;
is $r->header('Cache-Control'), 'no-store', 'which nobody keeps';
my $bought = $r->json;
is_deeply [sort keys %$bought],
    [qw(access_token expires_in scope token_type)], 'in the form of RFC 6749';
is $bought->{token_type}, 'Bearer', 'it is a bearer token';
is $bought->{expires_in}, 900, 'for 15 minutes';
is $bought->{scope}, 'audit:read tenant:*', 'for all that the key may';

my $jwks = $nginx->request(GET => '/.well-known/jwks.json');
is $jwks->status, 200, 'the keys are published';
is_deeply $jwks->json, $nginx->request(GET => '/v2/.well-known/jwks.json')
    ->json, 'below the API, too';
is scalar @{ $jwks->json->{keys} }, 1, 'there is one';
ok !(grep { exists $_->{d} } @{ $jwks->json->{keys} }),
    'without its private half';

my ($header, $claims) = Crypt::JWT::decode_jwt(
    token => $bought->{access_token}, kid_keys => $jwks->json,
    decode_header => 1, decode_payload => 1, accepted_alg => 'ES256',
    verify_iss => 'https://gateway.test/', verify_aud => 'provisioning',
    verify_exp => 1, verify_iat => 1);
is_deeply [@$header{qw(alg kid typ)}], ['ES256', 'first', 'JWT'],
    'Crypt::JWT verifies it';
is $claims->{partner}, $postgres->partner('acme'), 'it names the partner';
is $claims->{sub}, $key->{api_key}, 'and the key';
is $claims->{exp} - $claims->{iat}, 900, 'and when it ends';
ok !eval { Crypt::JWT::decode_jwt(token => $bought->{access_token},
    key => \public_pem('rsa')); 1 }, 'another key does not';


# used

is with($bought->{access_token}, '/v2/tenants')->status, 200,
    'the gateway accepts it';
is with($bought->{access_token}, '/app/')->body,
    "$claims->{partner}|$key->{api_key}", 'in front of applications, too';
is with($bought->{access_token}, '/v2/api-keys')->code, 'permission_denied',
    'for what its scope says only';
is with($bought->{access_token}, '/api/provisioning/tenants')->code,
    'token_unknown_issuer', 'and where the signer is trusted only';

$r = $nginx->request(POST => '/v2/tenants',
    token => $bought->{access_token},
    json => { client_name => 'Bought', email => unique_email() });
is $r->status, 201, 'it changes something';
is_deeply $postgres->sql(q{select kind, key_id, issuer from prov.audit
    where resource_id = ?}, $r->json->{tenant})->[0],
    { kind => 'key', key_id => $key->{api_key},
      issuer => 'https://gateway.test/' }, 'and the audit says by which key';

isnt buy(client($key))->json->{access_token}, $bought->{access_token},
    'each token is another one';


# narrower

$bought = buy(client($key, scope => 'tenant:read'))->json;
is $bought->{scope}, 'tenant:read', 'a token may be for less';
is with($bought->{access_token}, '/v2/tenants')->status, 200,
    'that it may then';
is $nginx->request(POST => '/v2/tenants', token => $bought->{access_token},
    json => { client_name => 'x', email => unique_email() })->code,
    'permission_denied', 'and nothing else';

refused(buy(client($key, scope => $_)), 400, 'invalid_scope', "scope $_")
    for 'api_key:create', '*', 'tenant:read api_key:*',
    'tenant:x","scope":"*', "tenant:\x{7f}";


# from where

my $near = make(ip_allow => ['127.0.0.1']);
$bought = buy(client($near))->json;
is with($bought->{access_token}, '/far/', 'X-Real-IP' => '127.0.0.1')
    ->status, 200, 'a token is good where its key is';
is with($bought->{access_token}, '/far/', 'X-Real-IP' => '192.0.2.1')->code,
    'key_ip_not_allowed', 'and not elsewhere';
is $nginx->request(PATCH => "/v2/api-keys/$near->{api_key}", token => token(),
    json => { ip_allow => ['192.0.2.0/24'] })->status, 200,
    'its networks are changed';
$r = with($bought->{access_token}, '/v2/tenants');
is $r->status, 403, 'in the API a token follows its key';
is $r->code, 'key_ip_not_allowed', 'and is told so';
refused(buy(client(make(ip_allow => ['192.0.2.0/24']))), 400,
    'unauthorized_client', 'a key that is bought with from elsewhere');


# ways to authenticate

my $tail = substr $key->{key}, 36;
my $basic = sub { [Authorization => 'Basic ' . encode_base64(
    join(':', @_), '')] };

is buy(client($key, client_secret => $tail))->status, 200,
    'the secret alone will do';
is buy('grant_type=client_credentials',
    headers => $basic->($key->{client_id}, $key->{key}))->status, 200,
    'HTTP Basic, too';
is buy('grant_type=client_credentials',
    headers => $basic->($key->{client_id}, $tail))->status, 200,
    'with the secret alone, too';
is buy({ grant_type => 'client_credentials', client_id =>
    $key->{client_id} }, headers => $basic->($key->{client_id}, $tail))
    ->status, 200, 'the client id may be there as well';

refused(buy(client($key), headers => $basic->($key->{client_id}, $tail)),
    400, 'invalid_request', 'two ways at once');
refused(buy({ grant_type => 'client_credentials', client_id => 'x' },
    headers => $basic->($key->{client_id}, $tail)),
    400, 'invalid_request', 'two clients at once');
refused(buy(client($key), headers => [Authorization => 'Bearer '
    . token()]), 400, 'invalid_request', 'a token');
refused(buy(client($key), headers => [Authorization => 'Basic %']),
    400, 'invalid_request', 'a Basic that is none');


# what is wrong with a request

my $other = $key->{key} =~ s/.\z/$& eq '0' ? 1 : 0/er;

for my $case (
    ['nothing',            '',                       'invalid_request'],
    ['no grant',           form(client_id => 'x'),   'invalid_request'],
    ['another grant',      { grant_type => 'password' },
        'unsupported_grant_type'],
    ['a parameter twice',  'grant_type=client_credentials'
        . '&grant_type=client_credentials',          'invalid_request'],
    ['a bad escape',       'grant_type=%zz',         'invalid_request'],
    ['a NUL',              'grant_type=%00',         'invalid_request'],
    ['a body too long',    'x=' . 'y' x 9000,        'invalid_request'],
) {
    refused(buy($case->[1]), 400, $case->[2], $case->[0]);
}

refused($nginx->request(POST => $where, json => client($key)), 400,
    'invalid_request', 'JSON');
refused($nginx->request(POST => $where, body => form(%{ client($key) }),
    headers => ['Content-Type' => "application/x-www-form-urlencoded$_"]),
    400, 'invalid_request', "a type that goes on with $_") for '-2', 'x';
is $nginx->request(POST => $where, body => form(%{ client($key) }),
    headers => ['Content-Type' => "Application/X-WWW-form-urlencoded$_"])
    ->status, 200, "a type with '$_'" for ';charset=UTF-8', ' ; charset=utf-8';
is $nginx->request(GET => $where)->status, 405, 'GET is no method for it';

for my $case (
    ['no client',          { grant_type => 'client_credentials' }],
    ['no secret',          client($key, client_secret => '')],
    ['another checksum',   client($key, client_secret => $other)],
    ['another client id',  client($key, client_id => 'f' x 32)],
    ['another\'s secret',  client($key, client_secret => substr
        make()->{key}, 36)],
    ['a client id that is none', client($key, client_id => 'me')],
) {
    my $r = buy($case->[1]);
    refused($r, 401, 'invalid_client', $case->[0]);
    is $r->header('WWW-Authenticate'), 'Basic realm="provisioning"',
        "$case->[0]: with a challenge";
}

my $chunked = $nginx->connection;
$chunked->write("POST $where HTTP/1.1\r\nHost: x\r\nContent-Type: "
    . "application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n"
    . "Connection: close\r\n\r\n"
    . Provisioning::Test::HTTP->chunks(map { "x=$_&" x 300 } 1 .. 9));
refused($chunked->read_response, 400, 'invalid_request',
    'a long body of unknown length');

is buy(client($key), path => '/api/provisioning/oauth/token')->code,
    'tokens_not_issued', 'where no signer is trusted there are no tokens';
is_deeply $nginx->request(GET =>
    '/api/provisioning/.well-known/jwks.json')->json, { keys => [] },
    'and no keys';


# what is written down of it

sub written { $postgres->sql(q{select a.*, d.subject, d.ip, d.after::text as
    after from prov.audit a join prov.audit_details d using (chain, seq)
    where a.operation = 'oauth_token' and a.key_id = ? order by a.seq},
    $_[0]{api_key}) }

my $noted = make();
$r = buy(client($noted, scope => 'tenant:read'));
my $entries = written($noted);
is @$entries, 1, 'a token that is bought is in the audit, once';
my $entry = $entries->[0];
is_deeply [@$entry{qw(partner chain resource resource_id status kind subject
    issuer ip request_id)}], [($postgres->partner('acme')) x 2, 'token',
    $noted->{api_key}, 200, 'key', $noted->{api_key}, 'api_keys', '127.0.0.1',
    $r->header('X-Request-Id')], 'who, with which key, from where'
    or diag explain $entry;
is_deeply $nginx->request(GET => "/v2/audit/$entry->{mutation}",
    token => token())->json->{after},
    { scope => 'tenant:read', expires_in => 900 }, 'for what and how long';
my ($signature) = $r->json->{access_token} =~ /([^.]+)\z/;
is $postgres->value(q{select count(*) from prov.audit_details d
    where d::text like ? or d::text like ?}, "%$signature%",
    "%$noted->{key}%"), 0, 'and neither the token nor the key';
buy(client($noted)) for 1 .. 3;
is @{ written($noted) }, 4, 'each of several';
refused(buy(client($noted, scope => 'billing:read')), 400, 'invalid_scope',
    'one that is not given');
is @{ written($noted) }, 4, 'is not among them';
is $nginx->request(GET => '/v2/audit/verify', token => token())
    ->json->{valid}, JSON::PP::true, 'the chain holds';

# the worker remembers the key, the database knows better

$postgres->sql('update prov.api_keys set revoked_at = now(), version = version
    + 1 where id = ?', $noted->{api_key});
$r = buy(client($noted));
refused($r, 401, 'invalid_client', 'a key that was revoked this moment');
is @{ written($noted) }, 4, 'and that is no token';


# the key's end is the token's

$bought = buy(client($key))->json;
is with($bought->{access_token}, '/v2/tenants')->status, 200,
    'before the key is revoked';
$nginx->request(DELETE => "/v2/api-keys/$key->{api_key}", token => token());
$r = with($bought->{access_token}, '/v2/tenants');
is $r->status, 401, 'its tokens end with a key';
is $r->code, 'key_revoked', 'which they are told';
wait_until 'the worker knows', sub { buy(client($key))->status == 401 };
refused(buy(client($key)), 401, 'invalid_client', 'a revoked key');

my $ending = make(expires_at => strftime('%Y-%m-%dT%H:%M:%SZ',
    gmtime time + 300));
$bought = buy(client($ending))->json;
cmp_ok $bought->{expires_in}, '<=', 300, 'a token ends no later than its key';
cmp_ok $bought->{expires_in}, '>', 60, 'and not at once';
cmp_ok Crypt::JWT::decode_jwt(token => $bought->{access_token},
    ignore_signature => 1, decode_payload => 1)->{exp}, '<=', time + 300,
    'which it says itself';

my $paused = make();
$bought = buy(client($paused))->json;
$postgres->sql(q{select prov.partner_set_status('acme', 'suspended')});
is with($bought->{access_token}, '/v2/tenants')->code, 'partner_unknown',
    'and with its partner';
$postgres->sql(q{select prov.partner_set_status('acme', 'active')});


# forged: what others may not say in their tokens

for my $claims ({}, { key => $paused->{api_key} }) {
    my $forged = token(iss => 'https://gateway.test/', key => 'rsa2',
        header => { kid => 'first' }, claims => { scope => '*', %$claims });
    is with($forged, '/v2/tenants')->status, 401, 'a forged token is refused';
}
is with(token(claims => { key => $paused->{api_key}, scope => '*' },
    roles => []), '/v2/tenants')->code, 'permission_denied',
    'what another issuer says of keys and scopes counts for nothing';
is with(token(iss => 'https://gateway.test/', key => 'ec256',
    header => { kid => 'first' }, claims => { scope => 'tenant:*' }),
    '/v2/tenants')->code, 'token_claim_invalid',
    'a token without a key is none of the gateway\'s';


# rotation: both are published, the first signs; RSA in a thread

my $old = buy(client($paused))->json->{access_token};

$nginx->configure($server->("$second $first", more => 'lifetime 5m;'));
my @left = $nginx->reload;
wait_until 'the old workers are gone', sub { !grep { kill 0, $_ } @left };
$jwks = $nginx->request(GET => '/.well-known/jwks.json')->json;
is @{ $jwks->{keys} }, 2, 'both keys are published';

$r = buy(client($paused));
is $r->status, 200, 'the new key signs' or diag $r->body;
is $r->json->{expires_in}, 300, 'for as long as is configured';
($header, $claims) = Crypt::JWT::decode_jwt(
    token => $r->json->{access_token}, kid_keys => $jwks,
    decode_header => 1, accepted_alg => 'RS256');
is $header->{kid}, 'second', 'Crypt::JWT verifies it';
is with($r->json->{access_token}, '/v2/tenants')->status, 200,
    'the gateway accepts it';
is with($old, '/v2/tenants')->status, 200, 'and those of the old key';

my @asking = map { my $c = $nginx->connection;
    $c->send_request(POST => $where, body => form(%{ client($paused) }),
        headers => ['Content-Type' => 'application/x-www-form-urlencoded']);
    $c } 1 .. 20;
$asking[$_]->reset for 0 .. 9;
is_deeply [map { $asking[$_]->read_response->status } 10 .. 19],
    [(200) x 10], 'clients that go away while it is signed disturb nobody';

$nginx->configure($server->($second));
my @leaving = $nginx->reload;
wait_until 'the old workers are gone', sub { !grep { kill 0, $_ } @leaving };

# of a worker that does nothing else

my $last = $nginx->connection;
my ($head, $form) = split /(?<=\r\n\r\n)/,
    $last->compose(POST => $where, body => form(%{ client($paused) }),
        headers => ['Content-Type' => 'application/x-www-form-urlencoded',
                    Expect => '100-continue']), 2;
$last->write($head);
is $last->read_response(interim => 1)->status, 100, 'a worker waits for a form';
@leaving = $nginx->reload;
$last->write($form);
$r = $last->read_response;
is $r && $r->status, 200, 'it leaves when the token is signed, and not before';
$last->close;
wait_until 'it is gone', sub { !kill 0, $leaving[0] };

is with($old, '/v2/tenants')->code, 'token_unsupported_algorithm',
    'without the old key its tokens are refused';


# several signers

sub two {
    my ($keys) = @_;
    my %pieces = $server->("$first $second");

    return (%pieces, http => $pieces{http} . "
        provisioning_signer other {
            iss https://other.test/; audience provisioning; $keys
        }
        provisioning_issuer other { signer other; }",
        locations => $pieces{locations} =~ s/(provisioning_auth\ test
            \ gateway)/$1 other/xr . "
        location = /both/.well-known/jwks.json {
            provisioning_auth test other gateway;
            provisioning_api %%OPENAPI%%/partner.json prefix=/both;
            provisioning_pass tenants;
        }");
}

sub kids { join ' ', map { $_->{kid} }
    @{ $nginx->request(GET => $_[0])->json->{keys} } }

$nginx->write_file('third.pem', private_pem('rsa2'));
$nginx->configure(two(
    'key %%DIR%%/third.pem kid=third; key %%DIR%%/second.pem kid=second;'));
my @former = $nginx->reload;
wait_until 'the old workers are gone', sub { !grep { kill 0, $_ } @former };
is kids('/both/.well-known/jwks.json'), 'third second first',
    'the keys of all signers that a location trusts are published, each once';
is kids('/v2/.well-known/jwks.json'), 'first second third',
    'whatever their order';
is kids('/.well-known/jwks.json'), 'first second', 'and no others';
$r = buy(client($paused));
($header) = Crypt::JWT::decode_jwt(token => $r->json->{access_token},
    kid_keys => $nginx->request(GET => '/v2/.well-known/jwks.json')->json,
    decode_header => 1, verify_iss => 'https://gateway.test/');
is $header->{kid}, 'first', 'the first one signs, and is found among them';

my ($clash, $why) = $nginx->test(two('key %%DIR%%/third.pem kid=second;'));
ok !$clash, 'different keys with one kid are refused';
like $why, qr/have different keys with the kid "second": give one of them/,
    '… with a sentence';


# what a wrong configuration is told

for my $case (
    ["key %%DIR%%/first.pem;", qr/invalid number of arguments in "key"/],
    ["key %%DIR%%/first.pem kid=;", qr/expected kid=<name>/],
    ["key %%DIR%%/none.pem kid=x;", qr/none\.pem: the file cannot be opened/],
    ["$first key %%DIR%%/second.pem kid=first;",
        qr/both keys have the kid "first"/],
    ["$first $second key %%DIR%%/second.pem kid=third;",
        qr/has at most 2 keys/],
    ["key %%DIR%%/public.pem kid=x;", qr/this is not a private key in PEM/],
    ["key %%DIR%%/small.pem kid=x;", qr/an RSA key of 2048 to 8192 bits/],
    ["key %%DIR%%/large.pem kid=x;", qr/EC key on P-256 \(ES256\)/],
    ['', qr/provisioning_signer "gateway" has no "key"/],
    ["$first lifetime 2h;", qr/invalid lifetime "2h": write 1s to 1h/],
    ["$first lifetime 1m; lifetime 1m;", qr/"lifetime" directive is dupl/],
    ["$first iss x;", qr/"iss" directive is duplicate/],
    ["$first alg RS256;", qr/unknown directive "alg" in provisioning_signer/],
) {
    $nginx->write_file('public.pem', public_pem('rsa'));
    $nginx->write_file('small.pem', private_pem('small'));
    $nginx->write_file('large.pem', private_pem('ec384'));
    my ($ok, $said) = $nginx->test($server->($case->[0]));
    ok !$ok, "refused: $case->[0]";
    like $said, $case->[1], '… with a sentence';
}

for my $case (
    ['signer nobody;', qr/unknown signer "nobody", there is no/],
    ['signer gateway; iss x;', qr/remove everything but that and "leeway"/],
    ['signer gateway; jwks %%JWKS%%;', qr/says all there is to say/],
) {
    my %pieces = $server->($first);
    my ($ok, $said) = $nginx->test(%pieces, http => $pieces{http}
        . "provisioning_issuer more { $case->[0] }");
    ok !$ok, "refused: $case->[0]";
    like $said, $case->[1], '… with a sentence';
}

my %twice = $server->($first);
my ($ok, $said) = $nginx->test(%twice,
    http => $twice{http} =~ s/(provisioning_signer.*?\})/$1 $1/sr);
like $said, qr/duplicate provisioning_signer "gateway"/,
    'two signers of one name are refused';

done_testing;
