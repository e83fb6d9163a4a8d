#!/usr/bin/perl

# What headers ask for and tell: content negotiation, conditional requests,
# request ids, challenges.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Operations;
use Provisioning::Test::Problem;

my $postgres = postgres();
my $api = operations($postgres,
    weak   => { function => "status := 200; body := '{}'; "
                    . q[headers := '{"ETag": "W/\"7\""}';] },
    change => { method => 'put', function => "status := 200; "
                    . q[body := '{}'; headers := '{"ETag": "\"2\""}';] },
    lost   => { function => "status := 404; "
                    . q[body := '{"code": "lost", "detail": "It is."}';] },
);

my (undef, $nginx) = gateway(postgres => $postgres,
    locations => $api->location
        . $api->location_at('/gzip', 'gzip on; gzip_min_length 1;'
            . 'gzip_types application/json application/problem+json;')
        . $api->location_at('/charset', 'charset utf-8;'
            . 'add_header X-Frame-Options DENY always;'));

my $path = '/api/provisioning/tenants';
my $token = token();
my $made = $nginx->request(POST => $path, token => $token,
    json => { client_name => 'A client', email => unique_email() });
my $tenant = $made->header('Location');


sub get {
    my ($where, @headers) = @_;
    return $nginx->request(GET => $where, token => $token,
                           headers => [@headers]);
}


# Accept

for my $accept ('application/json', '*/*', 'application/*', '',
    'APPLICATION/JSON', 'application/json;q=0.1', 'text/html, */*;q=0.001',
    'text/html,application/json', 'application/json; charset=utf-8',
    "text/html;q=1 ,\tapplication/json ; q=0.5", 'application/*;q=0.2, */*;q=0',
    'application/json, */*;q=0', 'text/*;q=0, application/json;q=1.000',
    ',,application/json', ', ,')
{
    is get($tenant, Accept => $accept)->status, 200,
        "'Accept: $accept' takes JSON";
}

my $refused = 'The response is application/json, which the Accept header does '
    . 'not allow.';

for my $accept ('text/html', 'application/xml, text/*', 'application/jsonp',
    'application/json;q=0', 'application/json; q=0.000, */*',
    '*/*;q=0', 'application/*;q=0, */*', 'json', 'application/problem+json',
    'application', '*', 'application/json;q=0,application/json;q=0')
{
    is_problem get($tenant, Accept => $accept), "'Accept: $accept' does not",
        406, 'not_acceptable', $refused;
}

is get($tenant, Accept => 'text/html', Accept => 'application/json')->status,
    200, 'several Accept headers are one list';
is_problem get($tenant, Accept => 'text/html', Accept => 'text/plain'),
    'of which none may take JSON', 406, 'not_acceptable', $refused;

for my $where ('/health/live', '/api/provisioning/openapi.json') {
    is_problem get($where, Accept => 'text/html'),
        "$where asks, too", 406, 'not_acceptable', $refused;
}

my $count = $postgres->value('select count(*) from prov.tenants');
is_problem $nginx->request(POST => $path, token => $token,
        headers => { Accept => 'text/html' },
        json => { client_name => 'A client', email => unique_email() }),
    'a change whose answer is not wanted is not made', 406, 'not_acceptable',
    $refused;
is $postgres->value('select count(*) from prov.tenants'), $count,
    'and indeed was not';
is $nginx->request(GET => $tenant, headers => { Accept => 'text/html' })->code,
    'token_missing', 'who may not see it does not learn what it would be';


# If-None-Match

for my $tags ('"1"', '*', '"0", "1"', '"0","1","2"', 'W/"1"',
              'W/"0", W/"1" , "2"')
{
    my $r = get($tenant, 'If-None-Match' => $tags);
    is_deeply [$r->status, $r->body, $r->header('ETag'),
               $r->header('Content-Type'), $r->header('Content-Length')],
        [304, '', '"1"', undef, undef],
        "a version that is in 'If-None-Match: $tags' is not sent again";
    ok defined $r->header('X-Request-Id'), 'and has a request id';
}

for my $tags ('"2"', '"11"', '1', '""', '', 'W/"2", "3"', '"1', 'w/"1"') {
    my $r = get($tenant, 'If-None-Match' => $tags);
    is_deeply [$r->status, $r->body, $r->header('ETag')],
        [200, $made->body, '"1"'],
        "one that is not in 'If-None-Match: $tags' is sent";
}

is get('/quirks/weak', 'If-None-Match' => '"7"')->status, 304,
    'a weak tag is compared weakly';
is get('/quirks/weak', 'If-None-Match' => 'W/"7"')->status, 304,
    'with a weak one, too';
is get("$path?limit=1", 'If-None-Match' => '"1"')->status, 200,
    'what has no tag is always sent';
is get('/quirks/lost', 'If-None-Match' => '*')->code, 'lost',
    'a condition does not hide an error';
is $nginx->request(PUT => '/quirks/change', token => $token,
        headers => { 'If-None-Match' => '"2"', 'If-Match' => '"1"' })->status,
    200, 'of a change, conditions are the function\'s business';

my $errors = 'A parameter of the path, the query or the headers is not as '
    . 'described; see "errors".';
is_problem get($tenant, 'If-None-Match' => '"' . 'x' x 1023 . '"'),
    'a list of tags has an end', 400, 'invalid_parameters', $errors,
    errors => '[' . violation([header => 'If-None-Match'], 'max_length',
        'must be at most 1024 characters long') . ']';
is_problem get($tenant, 'If-None-Match' => "\"\xe4\""),
    'and is UTF-8', 400, 'invalid_parameters', $errors,
    errors => '[' . violation([header => 'If-None-Match'], 'encoding',
        'is not UTF-8') . ']';
is get($tenant, 'If-None-Match' => "\"\xc3\xa4\"")->status, 200,
    'or even a word in it';


# If-Match, and what else nginx knows

for my $tags ('"1"', '*', '"0", "1"') {
    is get($tenant, 'If-Match' => $tags)->status, 200,
        "what is in 'If-Match: $tags' is sent";
}

for my $tags ('"2"', 'W/"1"', '"0", "2"') {
    is_problem get($tenant, 'If-Match' => $tags),
        "what is not in 'If-Match: $tags' is not", 412, 'precondition_failed',
        'A precondition in the headers does not hold.';
}

wait_until 'both are logged', sub {
    my @lines = $nginx->access_log =~ / code=precondition_failed /g;
    @lines == 3;
};
is scalar(() = $nginx->access_log =~ /^412 GET .* code=precondition_failed/mg),
    3, 'and the access log says so';

my $r = get($tenant, Range => 'bytes=0-3');
is_deeply [$r->status, $r->body], [200, $made->body],
    'a part of a tenant cannot be asked for';


# Request ids

for my $id ('a', 'Az09-_.:+/=', 'x' x 64,
            '0194f0b2-3b40-7a11-9c05-5d1f6a8e2b40')
{
    $r = get("$path/1", 'X-Request-Id' => $id);
    is_deeply [[$r->header_values('X-Request-Id')], $r->json->{request_id}],
        [[$id], $id], "the id '$id' is taken over";
}

my $made_id = qr/\A[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}
                 -[0-9a-f]{12}\z/x;

for my $id (undef, '', 'x' x 65, 'a b', 'a"b', "a\tb", 'a;b', 'a,b', '<a>',
            "\xc3\xa4", "a\x7f", "\$request_uri", '%0d%0a', 'a\\b', '{}')
{
    $r = get("$path/1", 'X-Request-Id' => $id);
    my ($given) = $r->header_values('X-Request-Id');
    like $given, $made_id, 'another one is not, and replaced by a UUID';
    is $r->json->{request_id}, $given, 'which is the same everywhere';
}

my %seen;
$seen{ get('/health/live')->header('X-Request-Id') }++ for 1 .. 50;
is scalar(keys %seen), 50, 'every request gets another one';

for my $where ($tenant, '/health/live', '/health/ready', '/quirks/weak',
    '/api/provisioning/openapi.json', '/quirks/lost', '/quirks/nothing')
{
    is_deeply [get($where, 'X-Request-Id' => 'echo')
                   ->header_values('X-Request-Id')], ['echo'],
        "$where echoes it";
}


# Challenges

is $nginx->request(GET => $tenant)->header('WWW-Authenticate'),
    'Bearer realm="provisioning"',
    'without a token there is a challenge without an error';
is $nginx->request(GET => $tenant, token => 'x')->header('WWW-Authenticate'),
    'Bearer realm="provisioning", error="invalid_token", '
    . 'error_description="token_malformed"',
    'with a bad one there is one with an error';
is $nginx->request(GET => $tenant, token => token(roles => []))
        ->header('WWW-Authenticate'),
    'Bearer realm="provisioning", error="insufficient_scope", '
    . 'scope="tenant:read"',
    'and without the permission it says which';
is get($tenant, Authorization => 'Basic eDp5')->header('WWW-Authenticate'),
    'Bearer realm="provisioning"', 'another scheme is like none';
is get("$path/0194f0b2-3b40-7c3e-8b1f-2f6d3a9c7e51")
        ->header('WWW-Authenticate'), undef, 'other errors have none';


# Beside other filters of nginx

$r = get('/gzip/lost', 'Accept-Encoding' => 'gzip');
is_deeply [$r->status, $r->header('Content-Encoding'),
           substr $r->body, 0, 2], [404, 'gzip', "\x1f\x8b"],
    'a problem document is compressed like anything else';
$r = get('/gzip/weak', 'Accept-Encoding' => 'gzip');
is_deeply [$r->status, $r->header('Content-Encoding'), $r->header('ETag')],
    [200, 'gzip', 'W/"7"'], 'and so is a response';
is_problem get('/charset/lost'), 'a problem document is what it is, in a '
    . 'location with a charset, too', 404, 'lost', 'It is.';
is get('/charset/lost')->header('X-Frame-Options'), 'DENY',
    'and add_header adds to it';

done_testing;
