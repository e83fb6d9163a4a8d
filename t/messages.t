#!/usr/bin/perl

# What a caller is told who has made an ordinary mistake: the sentence must
# lead out of it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Operations;
use Provisioning::Test::Problem;

my $postgres = postgres();
my $api = operations($postgres,
    pair => {
        method   => 'post',
        function => "status := 200; body := input;",
        body     => { anyOf => [{ required => ['name'] },
                                { required => ['first', 'last'] }] },
    },
    may => {
        method   => 'put',
        function => "status := 200; body := coalesce(input, '\"none\"');",
        body     => {},
        optional => 1,
    },
);
my $documented = operations($postgres,
    description => { path => '/about/api.json', handler => 'openapi' });

my $document = $documented->file;

my (undef, $nginx) = gateway(postgres => $postgres, locations =>
    $api->location
    . $documented->location_at('/described', 'location /described/inside/ { }',
        'if ($arg_if) { set $x 1; }')
    . "location /beside/about/ { provisioning_api $document prefix=/beside; "
    . 'provisioning_pass tenants; }'
    . "location = / { provisioning_api $document prefix=/; "
    . 'provisioning_pass tenants; }'
    . "location ~ ^/regex/ { provisioning_api $document prefix=/regex; "
    . 'provisioning_pass tenants; }');

my $token = token();
my $path = '/api/provisioning/tenants';
my $invalid = 'The body is not as described; see "errors".';

sub post {
    my ($where, $body, %headers) = @_;
    return $nginx->request(POST => $where, token => $token, body => $body,
        headers => { 'Content-Type' => 'application/json', %headers });
}


# A member that is missing is named, whatever the schema says it with

is_problem post($path, '{}'), 'the names of a tenant\'s members are told',
    400, 'invalid_body', $invalid, errors => '['
    . join(',', map { violation($_, 'required', 'is required') }
               '/email', '/client_name') . ']';

is_problem post('/quirks/pair', '{"first": 1}'),
    'and those of which one or the other would do', 400, 'invalid_body',
    $invalid, errors => '[' . violation('', 'any_of',
        'must have "name", or "first" and "last"') . ']';
is post('/quirks/pair', '{"last": 1, "first": 2}')->status, 200,
    'which is so';


# A parameter is text: that it is not an integer is all there is to say

is_problem $nginx->request(GET => "$path?limit=many", token => $token),
    'a limit that is no number is told so', 400, 'invalid_parameters',
    'A parameter of the path, the query or the headers is not as described; '
    . 'see "errors".', errors => '['
    . violation([query => 'limit'], 'type', 'must be an integer') . ']';


# A body that is compressed

for my $encoding ('gzip', 'br', 'identity, gzip', 'gzip, identity', 'x') {
    my $r = post($path, '{}', 'Content-Encoding' => $encoding);
    is_problem $r, "a body is not taken as '$encoding'", 415,
        'unsupported_content_encoding', 'The body must not be compressed; '
        . 'send it without Content-Encoding.';
    is $r->header('Accept-Encoding'), 'identity', 'and the answer says so';
}

is post('/quirks/pair', '{"name": 1}', 'Content-Encoding' => $_)->status, 200,
    "but is as '$_'" for 'identity', 'Identity', '';
is $nginx->request(PUT => '/quirks/may', token => $token,
    headers => { 'Content-Encoding' => 'gzip' })->status, 200,
    'no body at all needs no encoding';


# A path that is not there leads to the description where there is one, and
# where it can be reached

sub lost {
    my ($where, $described, $name) = @_;

    return is_problem $nginx->request(GET => $where, token => $token), $name,
        404, 'path_not_found', 'There is nothing at this path.'
        . ($described
           ? " The paths that exist are described at $described." : '');
}

lost('/api/provisioning/nothing', '/api/provisioning/openapi.json',
    'the API of this repository tells where it is described');
lost('/described/nothing', '/described/about/api.json',
    'another one, too, by its own name for that');
is $nginx->request(GET => '/described/about/api.json')->status, 200,
    'which is true';
lost('/described/nothing?if=1', '/described/about/api.json',
    'an "if" changes nothing');
lost('/described/inside/nothing', undef,
    'a location inside does not have it');
lost('/health/nothing', undef, 'nor has one for some of the paths');
lost('/beside/about/nothing', '/beside/about/api.json',
    'but one for those with the description has');
lost('/', undef, 'one for a single path does not');
lost('/regex/nothing', undef, 'of a regular expression nobody knows');
lost('/quirks/nothing', undef, 'and an API without a description has none');

done_testing;
