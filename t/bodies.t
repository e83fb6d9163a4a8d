#!/usr/bin/perl

# Request bodies: in whatever way they come they are the same body, and what
# is no acceptable JSON is told where and why.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Operations;
use Provisioning::Test::Problem;

use Encode ();
use JSON::PP ();

my $postgres = postgres();

# "echo" answers what it was sent; "maybe" does without a body, too; "count"
# answers how many characters it was sent, and "plain" takes none.

my $echo = "status := 200; body := json_build_object('given', input);";
my $api = operations($postgres,
    echo  => { method => 'post', body => {}, function => $echo },
    maybe => { method => 'post', body => {}, function => $echo,
               optional => 1 },
    count => { method => 'post', body => { type => 'string' },
               function => "status := 200; body := "
                   . "json_build_object('n', length(input #>> '{}'));" },
    plain => { method => 'post', function => $echo },
    read  => { function => $echo },
);

my (undef, $nginx) = gateway(postgres => $postgres,
    locations => join "\n", map { $api->location_at(@$_) }
        ['/quirks'],
        ['/small', 'client_max_body_size 64;'],
        ['/buffers', 'client_body_buffer_size 1k; client_max_body_size 4m;'],
        ['/buffered', 'client_body_buffer_size 4m; client_max_body_size 4m;'],
        ['/file', 'client_body_in_file_only on;'],
        ['/clean', 'client_body_in_file_only clean;'],
        ['/single', 'client_body_in_single_buffer on;'
                  . 'client_body_buffer_size 1m;'],
        ['/impatient', 'client_body_timeout 300ms;'],
        ['/unbuffered', 'client_body_buffer_size 16;']);

my $token = token();
my $json = 'application/json';
my $tenants = '/api/provisioning/tenants';
my @type = ('Content-Type', $json);


sub post {
    my ($path, $body, %o) = @_;
    return $nginx->request(POST => $path, token => $token, body => $body,
        headers => [@type, @{ $o{headers} || [] }],
        $o{version} ? (version => $o{version}) : ());
}

sub chunks { Provisioning::Test::HTTP->chunks(@_) }

sub compose { Provisioning::Test::HTTP->compose(@_) }


# No body

my $required = 'The operation needs a request body.';

is_problem post('/quirks/echo', ''), 'an empty body is no body', 400,
    'body_required', $required;
is_problem $nginx->request(POST => '/quirks/echo', token => $token),
    'nor is none, without a type', 400, 'body_required', $required;
is_problem post('/quirks/echo', " \t\r\n "), 'nor are blanks', 400,
    'body_required', $required;
is_problem post('/quirks/echo', chunks(),
                headers => ['Transfer-Encoding', 'chunked']),
    'nor are no chunks', 400, 'body_required', $required;
is_problem post('/quirks/echo', chunks("\n", ' '),
                headers => ['Transfer-Encoding', 'chunked']),
    'nor chunks of blanks', 400, 'body_required', $required;

is post('/quirks/maybe', '')->body, '{"given" : null}',
    'an operation that needs none does without';
is $nginx->request(POST => '/quirks/maybe', token => $token)->status, 200,
    'in each case';
is_problem post('/quirks/maybe', '  '), 'but blanks are not JSON', 400,
    'body_required', $required;


# JSON, and what is not

for my $body ('{}', '[]', '"text"', '0', '-1.5e-3', 'true', 'false', 'null',
    ' { "a" : [ 1 , { } ] } ', "\r\n\t[1]\n", '"\u00e4\ud83d\ude00\/"',
    Encode::encode_utf8('"ä😀"'), '{"": 1, " ": 2}',
    '9223372036854775807', '-9223372036854775808', '1e308', '0.1',
    '[' x 32 . ']' x 32)
{
    my $r = post('/quirks/echo', $body);
    my $shown = length $body > 40 ? 'a nesting of 32' : $body =~ s/\s/ /gr;
    is $r->status, 200, "$shown is JSON" or diag $r->body;
}

is post('/quirks/echo', '[' . join(',', ('1.5e-07') x 9000) . ']')->status,
    200, 'exponents are not refused for being many';

is post('/quirks/echo', '{"b":1,  "a":"\u00e4"}')->body,
    Encode::encode_utf8('{"given" : {"a": "ä", "b": 1}}'),
    'the function has what was sent';

my $wrong = 'The body is not acceptable JSON, at line ';

for (['a word', 'word', 1, 4, qr/invalid token/],
     ['an unquoted key', '{a: 1}', 1, 2, qr/string or '}' expected/],
     ['single quotes', "{'a': 1}", 1, 2, qr/string or '}' expected/],
     ['a comma at the end', "[1,\n2,]", 2, 3, qr/unexpected token/],
     ['a comment', "// a\n1", 1, 1, qr/invalid token/],
     ['a leading zero', '{"a": 01}', 1, 7, qr/invalid token/],
     ['a plus', '+1', 1, 1, qr/invalid token/],
     ['half a number', '1.', 1, 2, qr/invalid token/],
     ['a raw control character', "\"a\tb\"", 1, 2, qr/control character/],
     ['a bad escape', '"\x"', 1, 3, qr/invalid escape/],
     ['half a surrogate pair', '"\ud83d"', 1, 8, qr/invalid Unicode/],
     ['an infinity', '[Infinity]', 1, 9, qr/invalid token/],
     ['not a number', 'NaN', 1, 3, qr/invalid token/],
     ['a byte order mark', "\x{ef}\x{bb}\x{bf}{}", 1, 1,
      qr/invalid token/],
     ['two values', '{} {}', 1, 4, qr/something follows the end/],
     ['a form', 'client_name=A&email=a%40b', 1, 6, qr/invalid token/],
     ['half an object', '{"a": ', 1, 6, qr/ends in the middle/],
     ['half a string', '{"a": "b', 1, 8, qr/ends in the middle/],
     ['a key twice', '{"a": 1, "b": 2, "a": 1}', 1, 20,
      qr/names the same key twice/],
     ['a key twice, once escaped', '{"a": 1, "\u0061": 1}', 1, 17,
      qr/names the same key twice/],
     ['a key twice further down', "[{\n\"x\": {\"a\": 1,\n \"a\": 2}}]", 3, 4,
      qr/names the same key twice/],
     ['a NUL', "{\"a\": \"\0\"}", 1, 8, qr/a NUL byte is not allowed/],
     ['a NUL after the end', "{}\0", 1, 3, qr/a NUL byte is not allowed/],
     ['a NUL instead of a body', "\0", 1, 1, qr/a NUL byte is not allowed/],
     ['a NUL in the third line', "{\n\n \0}", 3, 2, qr/a NUL byte/],
     ['an escaped NUL', '{"a": "\u0000"}', 1, 14, qr/\\u0000 is not/],
     ['an escaped NUL in a key', '{"\u0000": 1}', 1, 9, qr/\\u0000 is not/],
     ['a byte of Latin-1', "\"\x{e4}\"", 1, 1, qr/not valid UTF-8/],
     ['an overlong slash', "\"\x{c0}\x{af}\"", 1, 1, qr/not valid UTF-8/],
     ['an encoded surrogate', "\"\x{ed}\x{a0}\x{80}\"", 1, 1,
      qr/not valid UTF-8/],
     ['UTF-16', "\x{ff}\x{fe}{\0}\0", 1, 4, qr/NUL byte/],
     ['33 arrays', '[' x 33 . ']' x 33, 1, 33,
      qr/may be nested at most 32 deep/],
     ['33 objects', '{"a":' x 33 . '1' . '}' x 33, 1, 161,
      qr/may be nested at most 32 deep/],
     ['arrays without an end', '[' x 100000, 1, 33, qr/at most 32 deep/],
     ['2^63', '9223372036854775808', 1, 19, qr/a number is too large/],
     ['-2^63-1', '[-9223372036854775809]', 1, 21, qr/a number is too large/],
     ['a double overflow', '1e999', 1, 5, qr/a number is too large/],
     ['what is small here and large in the database',
      '[' . join(',', ('1e-999') x 1050) . ']', 1, 7345,
      qr/more than 1,048,576 digits/])
{
    my ($name, $body, $line, $column, $what) = @$_;
    my $r = post('/quirks/echo', $body);
    is_problem $r, "$name is not acceptable", 400, 'invalid_json',
        qr/\A\Q$wrong\E\d+, column \d+: .*$what.*\.\z/;
    my ($got) = (($r->json || {})->{detail} || '')
        =~ /(line \d+, column \d+)/;
    is $got, "line $line, column $column", 'and the caller is told where';
}

like post('/quirks/echo', '{"secret": hunter2}')->json->{detail},
    qr/\A(?!.*hunter2)/, 'the input itself is not in the answer';


# What is right for the schema

my $r = post($tenants, JSON::PP->new->utf8->encode({ client_name => 'A',
    email => 'a@example.com', map { ("unknown-$_" => 1) } 1 .. 100 }));
is_deeply [$r->status, scalar @{ $r->json->{errors} }], [400, 32],
    'but not more than 32 things';

$r = post($tenants, JSON::PP->new->utf8->encode({ client_name => 'A',
    email => 'a@example.com', 'ä' x 5000 => 1 }));
like $r->json->{errors}[0]{pointer}, qr{\A/ä{50,256}…?\z},
    'and of a long name only the beginning, in whole letters';


# Media types

for my $type ('application/json', 'Application/JSON',
    'application/json; charset=utf-8', 'application/json;charset=UTF-8',
    'application/json ; charset="utf-8"', 'application/json; version=1')
{
    $r = $nginx->request(POST => '/quirks/echo', token => $token,
        headers => { 'Content-Type' => $type }, body => '1');
    is $r->status, 200, "a body may be of the type '$type'" or diag $r->body;
}

my $unsupported = 'The body must be UTF-8 JSON with the Content-Type '
    . 'application/json.';

for my $type (undef, '', 'text/plain', 'application/x-www-form-urlencoded',
    'application/jsonp', 'application/problem+json', 'json', '*/*',
    'application/json; charset=iso-8859-1', 'application/json;charset=utf-16',
    'application/json, text/plain')
{
    $r = $nginx->request(POST => '/quirks/echo', token => $token,
        headers => { 'Content-Type' => $type }, body => '1');
    is_problem $r, defined $type ? "not of the type '$type'"
                                 : 'nor without a type', 415,
        'unsupported_media_type', $unsupported;
    is $r->header('Accept'), $json, 'and the answer says which would do';
}


# In which way it comes

my $text = 'x' x 200000;
my $large = qq{"$text"};

for my $path (qw(quirks buffers buffered file clean single unbuffered)) {
    is post("/$path/count", $large)->body, '{"n" : 200000}',
        "a large body is read in /$path/";
    is post("/$path/count", chunks($large =~ /.{1,7000}/g),
            headers => ['Transfer-Encoding', 'chunked'])->body,
        '{"n" : 200000}', 'and so are its chunks';
    is post("/$path/count", '"xyz"')->body, '{"n" : 3}',
        'and a small one';
    is_problem post("/$path/count", '"xyz'), 'and what is wrong is seen', 400,
        'invalid_json', "${wrong}1, column 4: the text ends in the middle of "
        . 'a value.';
}

my @files = glob $nginx->directory . '/temp/client_body/*';
is scalar(@files), 4, '"client_body_in_file_only on" leaves its files, and '
    . 'nothing else does' or diag "@files";

# Byte by byte, and in two halves

for my $coding ('length', 'chunked') {
    my $connection = $nginx->connection;
    my $request = compose(POST => '/quirks/count', token => $token,
        headers => [@type, $coding eq 'chunked'
                           ? ('Transfer-Encoding', 'chunked') : ()],
        body => $coding eq 'chunked' ? chunks('"a', 'bc', '"') : '"abc"');
    setsockopt $connection->socket, Socket::IPPROTO_TCP(),
        Socket::TCP_NODELAY(), 1;
    $connection->write($_) for split //, $request;
    is $connection->read_response->body, '{"n" : 3}',
        "a request that comes byte by byte is read ($coding)";
    $connection->close;

    # the head first; the body when nginx is known to wait for it

    my ($head, $body) = split /(?<=\r\n\r\n)/, $request, 2;
    $connection = $nginx->connection;
    $connection->write($head =~ s/\r\n\r\n/\r\nExpect: 100-continue\r\n\r\n/r
                       . substr $body, 0, 4);
    is $connection->read_response(interim => 1)->status, 100,
        'one that waits for "100 Continue" is told so';
    $connection->write(substr $body, 4);
    is $connection->read_response->body, '{"n" : 3}', 'and read then';
    $connection->close;
}

$r = post('/quirks/count', "5;name=value\r\n\"abc\"\r\n0\r\nX-Tail: 1\r\n\r\n",
          headers => ['Transfer-Encoding', 'chunked']);
is $r->body, '{"n" : 3}', 'chunks may have extensions, and a trailer';


# Expect: 100-continue

sub expecting {
    my ($path, $length, @more) = @_;
    my $connection = $nginx->connection;
    $connection->send_request(POST => $path, keep => 1, headers => [@more,
        'Content-Length' => $length, 'Expect' => '100-continue']);
    return ($connection->read_response, $connection);
}

my @bearer = ('Authorization', "Bearer $token");

for (['without a token', 401, 'token_missing', '/quirks/echo', 5, @type],
     ['to a path that is not there', 404, 'path_not_found', '/quirks/nothing',
      5, @bearer, @type],
     ['with a method that is not there', 405, 'method_not_allowed',
      '/quirks/read', 5, @bearer, @type],
     ['of another type', 415, 'unsupported_media_type', '/quirks/echo', 5,
      @bearer],
     ['for another answer', 406, 'not_acceptable', '/quirks/echo', 5, @bearer,
      @type, 'Accept' => 'text/html'],
     ['too large', 413, 'body_too_large', '/small/echo', 65, @bearer, @type])
{
    my ($name, $status, $code, @request) = @$_;
    my ($refusal, $connection) = expecting(@request);
    is_deeply [$refusal->status, $refusal->code, scalar $refusal->interim],
        [$status, $code, 0],
        "a body that is announced $name is refused before it is sent";
    $connection->close;
}


# Too large

my $too_large = 'The request body is larger than is accepted here.';

is post('/small/count', '"' . 'x' x 62 . '"')->body, '{"n" : 62}',
    'a body of just the allowed size is read';
is post('/small/count', chunks('"' . 'x' x 31, 'x' x 31 . '"'),
        headers => ['Transfer-Encoding', 'chunked'])->body, '{"n" : 62}',
    'in chunks, too';
is_problem post('/small/count', '"' . 'x' x 63 . '"'),
    'one that is larger is refused by its length', 413, 'body_too_large',
    $too_large;
is_problem post('/small/count', chunks('"' . 'x' x 31, 'x' x 32 . '"'),
                headers => ['Transfer-Encoding', 'chunked']),
    'and by its chunks', 413, 'body_too_large', $too_large;

{
    my $connection = $nginx->connection;
    $connection->write(compose(POST => '/small/count', token => $token,
            headers => [@type, 'Transfer-Encoding', 'chunked']) . "21\r\n\"");
    $connection->write('x' x 32 . "\r\n");
    $connection->write("1f\r\n" . 'x' x 31 . "\r\n5\r\nx");
    is_problem $connection->read_response,
        'as soon as they are too many', 413, 'body_too_large', $too_large;
    ok $connection->closed($Provisioning::Test::patience),
        'and the connection is closed: what follows would not be read';
}

is_problem $nginx->request(POST => '/small/count', headers => [@type],
        body => 'x' x 65),
    'without a token, too', 413, 'body_too_large', $too_large;


# Malformed framing

my $malformed = 'The request is malformed.';

is_problem post('/quirks/count', "x\r\n\"abc\"\r\n0\r\n\r\n",
                headers => ['Transfer-Encoding', 'chunked']),
    'a chunk without a size is malformed', 400, 'bad_request', $malformed;
is_problem post('/quirks/count', "ffffffffffffffffff\r\n\"abc\"\r\n0\r\n\r\n",
                headers => ['Transfer-Encoding', 'chunked']),
    'so is one of an endless size', 400, 'bad_request', $malformed;
is_problem post('/quirks/count', "3\r\n\"abc\"\r\n0\r\n\r\n",
                headers => ['Transfer-Encoding', 'chunked']),
    'and one that is longer than it says', 400, 'bad_request', $malformed;

# What nginx refuses before it knows a location is nginx's own page, but for
# what happens to the request nothing is left to chance: it ends there.

for (['two lengths', [@type, 'Content-Length', '5', 'Content-Length', '6']],
     ['a length and chunks', [@type, 'Content-Length', '5',
                              'Transfer-Encoding', 'chunked']],
     ['a negative length', [@type, 'Content-Length', '-1']],
     ['an unknown coding', [@type, 'Transfer-Encoding', 'gzip']])
{
    my $connection = $nginx->connection;
    $connection->write(compose(POST => '/quirks/count', token => $token,
        headers => $_->[1]) . '"abc"' . compose(GET => '/health/live'));
    my $answer = $connection->read_response;
    ok $answer->status == 400 || $answer->status == 501,
        "$_->[0] are refused" or diag $answer->status;
    ok $connection->closed($Provisioning::Test::patience),
        'and nothing that follows is read';
}


# A body that does not come

{
    my $connection = $nginx->connection;
    $connection->send_request(POST => '/impatient/count', token => $token,
        headers => [@type, 'Content-Length', 10]);
    ok $connection->closed($Provisioning::Test::patience),
        'a client that sends no body is left';
    is $connection->{buffer}, '', 'without an answer, as nginx does it';
    wait_until 'the request is logged', sub {
        $nginx->access_log =~ m{^408 POST /impatient/count operation=count}m;
    };

    $connection = $nginx->connection;
    $connection->send_request(POST => '/quirks/count', token => $token,
        headers => [@type, 'Content-Length', 10]);
    $connection->write('"ab');
    $connection->close;
    wait_until 'the request is logged', sub {
        $nginx->access_log =~ m{^400 POST /quirks/count operation=count}m;
    };
    is $nginx->request(GET => '/health/live')->status, 200,
        'one that leaves in the middle of its body harms nobody';
}


# A body that nobody asked for

for my $headers ([], ['Content-Type', 'text/html']) {
    is $nginx->request(GET => '/quirks/read', token => $token,
            headers => $headers, body => 'x' x 100)->body,
        '{"given" : null}', 'a body on a GET is read over';
    is $nginx->request(POST => '/quirks/plain', token => $token,
            headers => $headers, body => 'x' x 100)->body,
        '{"given" : null}', 'and so is one where none is described';
}

{
    my $connection = $nginx->connection;
    $connection->write(compose(GET => '/quirks/read', token => $token,
            keep => 1, body => 'x' x 100000)
        . compose(GET => '/health/live', keep => 1));
    is $connection->read_response->status, 200, 'a large one, too';
    is $connection->read_response->body, '{"status":"live"}',
        'and the next request begins where it ends';
    $connection->close;
}

done_testing;
