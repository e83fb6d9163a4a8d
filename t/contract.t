#!/usr/bin/perl

# Between the gateway and an operation's function: what a function is told,
# what it may answer and what becomes of it, and that one which breaks its
# contract is a 500 that tells nobody anything, with a line in the log that
# does.  What a function raises is in sql_errors.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Operations;
use Provisioning::Test::Problem;

use Encode ();
use JSON::PP ();

my $postgres = postgres();

# "answer" answers what it is sent: {"status", "body", "headers"}, each a text
# that is cast.

my $api = operations($postgres,
    answer => {
        method   => 'post',
        body     => { type => 'object' },
        function => <<'SQL',
            status := (input ->> 'status')::int;
            body := (input ->> 'body')::json;
            headers := (input ->> 'headers')::jsonb;
SQL
    },
    context => {
        path     => '/context/{tenant}',
        method   => 'put',
        function => <<'SQL',
            status := 200;
            body := json_build_object('ctx', ctx, 'params', params, 'input',
                input, 'input_is_null', input is null, 'setting',
                current_setting('prov.partner'));
SQL
        parameters => [{ name => 'tenant', in => 'path',
                         required => JSON::PP::true,
                         schema => { type => 'string' } }],
        body     => { type => [qw(object null)] },
        optional => 1,
    },
    look => {
        function => <<'SQL',
            status := 200;
            body := jsonb_build_object('ctx', ctx, 'input_is_null',
                input is null)::json;
SQL
    },
    rows_none => { sql => rows_function(0) },
    rows_two  => { sql => rows_function(2) },
    unfit     => { sql => 'create function <<name>>(a jsonb, b jsonb, c jsonb)'
        . ' returns table (state int, body json, headers jsonb)'
        . ' language sql as $$ select 200, null::json, null::jsonb $$' },
);

my (undef, $nginx) = gateway(postgres => $postgres,
    locations => $api->location);

my $token = token(sub => 'crm', roles => ['partner-admin', "a \"b\"\x{e4}"]);
my $internal = 'The gateway failed. Report the request_id to its operator.';


sub call {
    my ($method, $path, %o) = @_;
    return $nginx->request($method => $api->base . $path, token => $token,
                           %o);
}

sub answer { call(POST => '/answer', json => { @_ }) }

# The lines that a piece of code has nginx log.

sub logged {
    my ($code) = @_;
    my $said = length $nginx->log;
    $code->();
    return substr $nginx->log, $said;
}


# What is answered is sent

my $r = answer(status => 200, body => qq{ {"b":1,\n "a" : [2,  3], "b": 4} });
is $r->status, 200, 'the status is the function\'s';
is $r->body, qq{ {"b":1,\n "a" : [2,  3], "b": 4} },
    'the body is sent to the byte, blanks and order included';
is $r->type, 'application/json', 'as JSON';

$r = answer(status => 202, body => '{}', headers => JSON::PP->new->encode({
    ETag => 'W/"7"', Location => "/x/\x{e4}", Link => '</n>; rel="next"',
    'Retry-After' => '120' }));
is $r->status, 202, 'any status of success is the function\'s choice';
is_deeply [map { $r->header($_) } qw(ETag Location Link Retry-After)],
    ['W/"7"', "/x/\xc3\xa4", '</n>; rel="next"', '120'],
    'and so are four headers';

$r = answer(status => 200, body => '{}', headers => '{"ETag": null}');
is $r->status, 200, 'a header that is null';
is $r->header('ETag'), undef, 'is not sent';

for my $status (204, 304) {
    $r = answer(status => $status);
    is $r->status, $status, "a $status needs no body";
    is $r->body, '', 'and has none';
}

$r = answer(status => 200);
is_deeply [$r->status, $r->body, $r->header('Content-Length')],
    [200, '', '0'], 'a body that is null is empty';

$r = answer(status => 303, body => '{}', headers => '{"Location": "/y"}');
is_deeply [$r->status, $r->header('Location'), $r->body], [303, '/y', '{}'],
    'a redirection is sent as it is';


# An expected miss

for my $status (400 .. 406, 409 .. 416, 418, 421 .. 424, 428, 429, 451,
                500 .. 502, 504)
{
    is_problem answer(status => $status,
            body => '{"detail": "What \"it\" is.", "code": "a_code"}'),
        "a $status becomes a problem document", $status, 'a_code',
        'What "it" is.';
}

$r = answer(status => 409, body => '{"code": "x", "detail": "y", '
    . '"tenant": "z", "n": [1, {"a": null}]}');
is_problem $r, 'other members are extensions', 409, 'x', 'y',
    members => '"tenant":"z","n":[1,{"a":null}]';

is_problem answer(status => 400, body => '{"code": "x", "detail": "y", '
        . '"errors": [{"pointer": "/a", "code": "b", "message": "c"}]}'),
    'so are violations', 400, 'x', 'y',
    errors => '[' . violation('/a', 'b', 'c') . ']';

is_problem answer(status => 409, body => '{"status": 1, "title": "t", '
        . '"type": "u", "request_id": "i", "code": "x", "detail": "y", '
        . '"a": 1}'),
    'those that a problem has anyway are not', 409, 'x', 'y',
    members => '"a":1';

$r = answer(status => 429, body => '{"code": "x", "detail": "y"}',
            headers => '{"Retry-After": "30", "ETag": "\"1\""}');
is $r->header('Retry-After'), '30', 'a problem has the function\'s headers';
is $r->header('ETag'), undef, 'but nginx takes the tag off an error';

$r = answer(status => 503, body => '{"code": "x", "detail": "y"}');
is_problem $r, 'a 503 of a function\'s is a problem', 503, 'x', 'y';
is $r->header('Retry-After'), '1', 'which says when to try again';
$r = answer(status => 503, body => '{"code": "x", "detail": "y"}',
            headers => '{"Retry-After": "9"}');
is_deeply [$r->header_values('Retry-After')], ['9'],
    'in the function\'s own words where it has some';


# A function that breaks its contract

my %good = (status => 200, body => '{}');

for ([{ %good, status => undef }, 'no status', 'an HTTP status'],
     [{ %good, status => 199 }, 'a status below 200', 'an HTTP status'],
     [{ %good, status => 600 }, 'one above 599', 'an HTTP status'],
     [{ %good, status => -200 }, 'a negative one', 'an HTTP status'],
     [{ %good, status => 2000000000 }, 'a huge one', 'an HTTP status'],
     (map { [{ status => $_, body => '{"code": "x", "detail": "y"}' },
             "$_, which nginx keeps to itself", 'an HTTP status'] }
         408, 444, 494 .. 499),
     [{ %good, headers => '[]' }, 'headers that are no object',
      'an object of headers'],
     [{ %good, headers => '"ETag"' }, 'headers that are a string',
      'an object of headers'],
     [{ %good, headers => '{"ETag": 1}' }, 'a header that is no string',
      'headers that are strings'],
     [{ %good, headers => '{"Location": "/a\r\nSet-Cookie: b"}' },
      'a header with CR and LF', 'headers without control characters'],
     [{ %good, headers => '{"Location": "/a\nb"}' }, 'a header with LF',
      'headers without control characters'],
     [{ %good, headers => '{"Set-Cookie": "a=b"}' },
      'a header that is not on the list', 'only headers it may set'],
     [{ %good, headers => '{"etag": "\"1\""}' },
      'a header in other letters', 'only headers it may set'],
     [{ %good, headers => '{"Content-Length": "0"}' },
      'a header that frames the response', 'only headers it may set'],
     [{ status => 404 }, 'a miss without a body', 'a code and a detail'],
     [{ status => 404, body => '[]' }, 'a miss that is no object',
      'a code and a detail'],
     [{ status => 404, body => '{"detail": "y"}' }, 'a miss without a code',
      'a code and a detail'],
     [{ status => 404, body => '{"code": "x", "detail": 1}' },
      'a miss whose detail is no string', 'a code and a detail'],
     [{ status => 404, body => '{"code": "x", "detail": "y", "code": "z"}' },
      'a miss with a member twice', 'a code and a detail'],
     [{ status => 404, body => '{"code": "x", "detail": "\\u0000"}' },
      'a miss with a NUL', 'a code and a detail'])
{
    my ($answer, $name, $said) = @$_;
    my $lines = logged(sub {
        my $response = answer(%$answer);
        is_problem $response, "$name is a broken contract", 500,
            'internal_error', $internal;
        is_deeply [map { $response->header($_) }
                   qw(Set-Cookie Location Content-Encoding)],
            [undef, undef, undef], 'nothing of it gets out';
    });
    like $lines, qr/\[error\].*operation "answer" did not return \Q$said\E/,
        'and the log says what is wrong';
}

for (['rows_none', 'no row', 'an HTTP status'],
     ['rows_two', 'two rows', 'a row (status, body, headers)'])
{
    my ($name, $what, $said) = @$_;
    my $lines = logged(sub {
        is_problem call(GET => "/$name"), "$what is a broken contract", 500,
            'internal_error', $internal;
    });
    like $lines, qr/operation "$name" did not return \Q$said\E/,
        'and the log says so';
}

$postgres->allow(qr/ 42703 /);
is_problem call(GET => '/unfit'), 'a function with other columns is broken',
    500, 'internal_error', $internal;


# What a function is told

$r = $nginx->request(PUT => $api->base . '/context/a%2Fb%20%C3%A4',
    token   => $token,
    headers => { 'X-Request-Id' => 'the-callers', 'User-Agent' => 'x' x 300,
                 'Content-Type' => 'application/json' },
    body    => ' {"a": 1.0, "b": "\u00e4\n"} ');
is $r->status, 200, 'a function can tell what it was told' or diag $r->body;

my $told = $r->json;
my $id = qr/\A[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-
            [0-9a-f]{12}\z/x;

like delete $told->{ctx}{mutation}, $id, 'the mutation\'s id is a UUID';
like delete $told->{ctx}{id}, $id, 'and so is that of what it may create';
is_deeply $told->{ctx}, {
    request_id => 'the-callers', operation => 'context',
    permission => 'quirk:use', base => '/quirks', ip => '127.0.0.1',
    partner => $postgres->partner('acme'), user_agent => 'x' x 256,
    principal => { kind => 'user', subject => 'crm',
        issuer => 'https://issuer.test/',
        roles => ['partner-admin', "a \"b\"\x{e4}"] },
}, 'it learns who calls, from where, for whom';
is $told->{setting}, $postgres->partner('acme'),
    'the rows of the partner are opened to it';
is_deeply $told->{params}, { tenant => "a/b \x{e4}" },
    'it gets the parameters, decoded';
is_deeply $told->{input}, { a => 1, b => "\x{e4}\n" }, 'and the body';

$r = call(PUT => '/context/x');
is_deeply [@{ $r->json }{qw(input input_is_null)}], [undef, JSON::PP::true],
    'a body that was not sent is null';
$r = call(PUT => '/context/x', body => 'null',
          headers => { 'Content-Type' => 'application/json' });
is_deeply [@{ $r->json }{qw(input input_is_null)}], [undef, JSON::PP::false],
    'one that says null is JSON\'s null';

$r = call(GET => '/look');
is_deeply [map { exists $r->json->{ctx}{$_} } qw(mutation id request_id)],
    ['', '', 1], 'what only reads gets no id of a mutation';

done_testing;


sub rows_function {
    my ($n) = @_;
    return 'create function <<name>>(ctx jsonb, params jsonb, input jsonb)'
        . ' returns table (status int, body json, headers jsonb)'
        . ' language sql security definer as $$ select 200, \'{}\'::json,'
        . " null::jsonb from generate_series(1, $n) \$\$";
}
