#!/usr/bin/perl

# Tokens on their way through nginx: what is let in, what is refused, with
# which words and which challenge; in front of the API, and in front of an
# application that knows nothing of tokens.  t/auth_*.t has the verifier's
# inside.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use MIME::Base64 qw(encode_base64url decode_base64url);
use Provisioning::Test;

my ($postgres, $nginx) = gateway(
    issuer => 'leeway 30s;',
    http   => <<'END',
        provisioning_issuer other {
            iss https://other.test/;
            audience provisioning;
            key %%DIR%%/other.pem kid=rsa2;
        }
        provisioning_issuer machines {
            iss https://machines.test/;
            audience provisioning;
            secret %%DIR%%/secret kid=secret alg=HS256;
            algorithms HS256;
        }
        provisioning_issuer named {
            iss https://named.test/;
            audience first second;
            jwks %%JWKS%%;
            subject_claim user.id;
            partner_claim https://example.com/partner;
            roles_claim realm_access.roles;
        }
END
    locations => <<'END',
        location /app/ {
            provisioning_auth test other machines;
            provisioning_require role=partner-admin role=auditor;
            proxy_set_header X-Subject $provisioning_subject;
            proxy_set_header X-Partner $provisioning_partner;
            proxy_set_header X-Roles $provisioning_roles;
            proxy_pass http://127.0.0.1:%%PORT%%/echo/;
        }
        location /named/ {
            provisioning_auth named;
            proxy_set_header X-Subject $provisioning_subject;
            proxy_set_header X-Partner $provisioning_partner;
            proxy_set_header X-Roles $provisioning_roles;
            proxy_pass http://127.0.0.1:%%PORT%%/echo/;
        }
        location /reads/ {
            provisioning_auth test;
            provisioning_roles %%OPENAPI%%/partner.json;
            provisioning_require permission=tenant:read;
            provisioning_require role=partner-admin role=integration-user;
            proxy_pass http://127.0.0.1:%%PORT%%/echo/;
        }
        location /login/ {
            provisioning_auth test;
            error_page 401 = @login;
            proxy_pass http://127.0.0.1:%%PORT%%/echo/;
        }
        location @login { return 302 /sign-in; }
        location /open/ {
            provisioning_auth test;
            location /open/to-all/ { provisioning_auth off; proxy_pass http://127.0.0.1:%%PORT%%/echo/; }
            proxy_pass http://127.0.0.1:%%PORT%%/echo/;
        }
        location /echo/ {
            return 200 "$http_x_subject|$http_x_partner|$http_x_roles";
        }
END
    start => 0);

$nginx->write_file('other.pem', public_pem('rsa2'));
$nginx->write_file('secret', Provisioning::Test::Token::key('secret'));
$nginx->start;
$nginx->ready;

my $path = '/api/provisioning/tenants';
my $now = time;

sub get {
    my ($token, %o) = @_;
    return $nginx->request(GET => $o{path} || $path, token => $token);
}

sub refused {
    my ($token, $code, $name, %o) = @_;

    my $r = get($token, %o);

    is $r->status, 401, "$name: refused";
    is $r->code, $code, "$name: says why";
    is $r->type, 'application/problem+json', "$name: as a problem document";
    is $r->header('WWW-Authenticate'), 'Bearer realm="provisioning", '
        . "error=\"invalid_token\", error_description=\"$code\"",
        "$name: with a challenge";

    return;
}


# what is let in

is get(token())->status, 200, 'a valid token is accepted';
is get(crypt_jwt())->status, 200, 'one that Crypt::JWT signed, too';
is get(token(header => { typ => $_ }))->status, 200, "typ $_ is accepted"
    for 'JWT', 'jwt', 'at+jwt', 'application/at+jwt';
is get(token(header => { typ => undef }))->status, 200,
    'a token without typ is accepted';
is get(token(aud => ['x', 'provisioning']))->status, 200,
    'an array of audiences with ours is accepted';
is get(token(exp => $now - 10))->status, 200,
    'a token expired within the leeway is accepted';
is get(token(nbf => $now + 10))->status, 200,
    'one valid soon, within the leeway, is accepted';
is get(token(roles => 'auditor partner-admin'))->status, 200,
    'roles may be one string';
is get(token(partner => $postgres->partner('acme')))->status, 200,
    'the partner may be named by its id';

for my $alg (qw(RS256 RS384 RS512 PS256 PS384 PS512)) {
    is get(token(alg => $alg))->status, 200, "$alg is accepted";
}

my $r = $nginx->request(GET => $path,
    headers => { Authorization => 'bearer   ' . token() });
is $r->status, 200, 'the scheme has no case, and may be followed by blanks';


# no token

$r = $nginx->request(GET => $path);
is $r->status, 401, 'without a token: refused';
is $r->header('WWW-Authenticate'), 'Bearer realm="provisioning"',
    'without a token: the challenge has no error';
is $r->code, 'token_missing', 'without a token: says so';

for my $header ('Basic YTpi', 'Bearer', 'Bearer ', 'Bearer' . token(),
                'Token ' . token(), '')
{
    $r = $nginx->request(GET => $path,
        headers => { Authorization => $header });
    is $r->status, 401, 'refused: ' . substr $header, 0, 12;
    is $r->code, 'token_missing', '… as no token';
}

$r = $nginx->request(GET => $path, headers => [
    Authorization => 'Bearer ' . token(), Authorization => 'Bearer x' ]);
is $r->status, 400, 'two Authorization headers are refused';


# what the strict parser refuses

my $payload = JSON::PP->new->canonical->encode({
    iss => 'https://issuer.test/', aud => 'provisioning', sub => 's',
    partner => 'acme', roles => ['partner-admin'], exp => $now + 600 });
my $header = '{"alg":"RS256","kid":"rsa"}';
my ($h, $p, $s) = split /\./, signed($header, $payload);

is get("$h.$p.$s")->status, 200, 'a token made by hand is accepted';

my %malformed = (
    'garbage'                  => 'garbage',
    'two segments'             => "$h.$p",
    'four segments'            => "$h.$p.$s.$s",
    'an empty header'          => ".$p.$s",
    'an empty payload'         => "$h..$s",
    'an empty signature'       => "$h.$p.",
    'padding'                  => "$h.$p.$s=",
    'the other alphabet'       => "$h.$p." . ($s =~ tr/-_/+\//r) . '+',
    'a blank inside'           => "$h.$p .$s",
    'a header that is no JSON' => encode_base64url('{') . ".$p.$s",
    'a header that is a list'  => encode_base64url('[]') . ".$p.$s",
    'a key twice in the header' => signed('{"alg":"RS256","alg":"none"}',
                                          $payload),
    'a key twice in the payload' => signed($header,
        '{"iss":"https://issuer.test/",' . substr($payload, 1)),
    'a payload that is a list' => signed($header, '[]'),
    'too long a token'         => $h . '.' . ('A' x 17000) . ".$s",
);

for my $name (sort keys %malformed) {
    next if $name eq 'too long a token';
    refused($malformed{$name}, 'token_malformed', $name);
}

for my $case (
    ['{"alg":"none"}',                 'token_unsupported_algorithm', 'alg none'],
    ['{"alg":"None"}',                 'token_unsupported_algorithm', 'alg None'],
    ['{"alg":"rs256","kid":"rsa"}',    'token_unsupported_algorithm', 'alg in lower case'],
    ['{"alg":"RS1","kid":"rsa"}',      'token_unsupported_algorithm', 'an unknown alg'],
    ['{"alg":"HS256","kid":"rsa"}',    'token_unsupported_algorithm', 'alg HS256 for an RSA key'],
    ['{"kid":"rsa"}',                  'token_malformed',             'no alg'],
    ['{"alg":256,"kid":"rsa"}',        'token_malformed',             'an alg that is a number'],
    ['{"alg":"RS256","kid":"rsa","crit":["exp"]}', 'token_unsupported_header', 'crit'],
    ['{"alg":"RS256","kid":"rsa","b64":false}', 'token_unsupported_header', 'b64'],
    ['{"alg":"RS256","kid":"rsa","zip":"DEF"}', 'token_unsupported_header', 'zip'],
    ['{"alg":"RS256","kid":"rsa","typ":"JWE"}', 'token_unsupported_header', 'another typ'],
    ['{"alg":"RS256","kid":"nobody"}', 'token_unknown_key',           'an unknown kid'],
    ['{"alg":"RS256","kid":"ec256"}',  'token_unknown_key',           'the kid of a key of another type'],
) {
    refused(signed($case->[0], $payload), $case->[1], $case->[2]);
}

refused(signed('{"alg":"HS256","kid":"rsa"}', $payload, alg => 'HS256'),
        'token_unsupported_algorithm',
        'HS256 with the public RSA key as its secret');
refused(signed('{"alg":"none"}', $payload, alg => 'none') . 'AA',
        'token_unsupported_algorithm', 'none with a signature');


# claims and signatures

for my $case (
    [{ iss => 'https://evil.test/' },   'token_unknown_issuer',  'another issuer'],
    [{ iss => undef },                  'token_claim_missing',   'no issuer'],
    [{ aud => 'other' },                'token_wrong_audience',  'another audience'],
    [{ aud => ['a', 'b'] },             'token_wrong_audience',  'an array without our audience'],
    [{ aud => undef },                  'token_claim_missing',   'no audience'],
    [{ exp => $now - 60 },              'token_expired',         'an expired token'],
    [{ exp => undef },                  'token_claim_missing',   'a token that never expires'],
    [{ exp => 'soon' },                 'token_claim_invalid',   'an exp that is no number'],
    [{ nbf => $now + 600 },             'token_not_yet_valid',   'a token of tomorrow'],
    [{ sub => undef },                  'token_claim_missing',   'no subject'],
    [{ partner => 7 },                  'token_claim_invalid',   'a partner that is a number'],
    [{ roles => { a => 1 } },           'token_claim_invalid',   'roles that are an object'],
    [{ key => 'rsa2', header => { kid => 'rsa' } }, 'token_bad_signature', 'a signature of another key'],
    [{ key => 'rsa2' },                 'token_unknown_key',     'the key of another issuer'],
) {
    refused(token(%{ $case->[0] }), $case->[1], $case->[2]);
}

{
    my $broken = token();
    substr($broken, -20, 1) =~ tr/A-Za-z0-9/B-ZAb-za1-90/;
    substr($broken, -19, 1) =~ tr/A-Za-z0-9/B-ZAb-za1-90/;
    refused($broken, 'token_bad_signature', 'a signature with another byte');
}

refused(token(exp => $now - 60, key => 'rsa2', header => { kid => 'rsa' }),
        'token_bad_signature', 'a forged and expired token');


# authorised or not

$r = get(token(roles => undef));
is $r->status, 403, 'a token without roles may do nothing';
is $r->code, 'permission_denied', 'a token without roles: says so';
is $r->header('WWW-Authenticate'), 'Bearer realm="provisioning", '
    . 'error="insufficient_scope", scope="tenant:read"',
    'a token without roles: the challenge says what is needed';

$r = get(token(roles => ['integration-user']));
is $r->status, 200, 'an integration user reads';

$r = $nginx->request(POST => $path, token => token(roles => ['integration-user']),
    json => { client_name => 'x', email => unique_email() });
is $r->status, 403, 'an integration user creates nothing';

is get(token(roles => ['Partner-Admin']))->status, 403, 'roles have case';

$r = get(token(partner => undef));
is $r->status, 403, 'a token without a partner is refused';
is $r->code, 'partner_missing', 'a token without a partner: says so';

$r = get(token(partner => 'nobody'));
is $r->status, 403, 'a token of an unknown partner is refused';
is $r->code, 'partner_unknown', 'a token of an unknown partner: says so';

$postgres->sql(q{select prov.partner_set_status('globex', 'suspended')});
is get(token(partner => 'globex'))->code, 'partner_unknown',
    'a suspended partner is refused at once';
$postgres->sql(q{select prov.partner_set_status('globex', 'active')});
is get(token(partner => 'globex'))->status, 200,
    'an active one is let in again';


# the access phase alone

$r = get(token(), path => '/app/');
is $r->status, 200, 'an application behind the gateway gets the request';
is $r->body, 'partner-system|acme|partner-admin',
    'and who it is from, in headers';
like $r->header('X-Request-Id'), qr/\A[0-9a-f-]{36}\z/,
    'the answer has a request id';

is get(token(iss => 'https://other.test/', key => 'rsa2'),
       path => '/app/')->status, 200, 'a second issuer is trusted there';
is get(token(iss => 'https://machines.test/', key => 'secret'),
       path => '/app/')->status, 200, 'so is one with a shared secret';
refused(token(iss => 'https://other.test/', key => 'rsa2'),
        'token_unknown_issuer', 'the second issuer at the API');
refused(token(iss => 'https://other.test/'), 'token_unknown_key',
        'the second issuer with a key of the first', path => '/app/');

is get(token(roles => ['auditor']), path => '/app/')->status, 200,
    'one of the roles required is enough';
$r = get(token(roles => ['x']), path => '/app/');
is $r->status, 403, 'none of them is not';
is $r->type, 'application/problem+json', '… which a problem document says';

is $nginx->request(GET => '/app/')->status, 401,
    'without a token nothing reaches the application';

is get(token(roles => ['integration-user']), path => '/reads/')->status, 200,
    'a permission and a role, both there: let in';
is get(token(roles => ['integration-user-2']), path => '/reads/')->status,
    403, 'neither: refused';

$r = get(token(iss => 'https://named.test/', aud => 'second', sub => undef,
    partner => undef, roles => undef,
    claims => { user => { id => 'bob' }, 'https://example.com/partner' => 'p',
                realm_access => { roles => ['a', 'b'] } }),
    path => '/named/');
is $r->body, 'bob|p|a,b', 'claims may have other names, and lie deeper';

is $nginx->request(GET => '/login/')->status, 302,
    'an error_page of a location with the access phase alone is honoured';
is get(token(), path => '/login/')->status, 200, 'with a token it is not';

is $nginx->request(GET => '/open/')->status, 401, 'provisioning_auth holds';
is $nginx->request(GET => '/open/to-all/')->status, 200,
    'until "off" in a nested location';


# what is remembered of tokens

my $short;
wait_until 'a token comes before the end of its leeway', sub {
    $short = token(exp => time - 27);
    get($short)->status == 200;
};
wait_until('the token expires', sub { get($short)->status == 401 });
is get($short)->code, 'token_expired', 'and no longer, cached or not';

done_testing;
