#!/usr/bin/perl

# HTTP/1.0 and HTTP/1.1: connections that are kept, requests in one packet,
# also after an error; HEAD; methods that a path does not have.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Problem;

use JSON::PP ();

my ($postgres, $nginx) = gateway(api => 'client_max_body_size 10k;',
    server => 'client_header_buffer_size 4k; large_client_header_buffers 4 4k;'
            . 'keepalive_requests 50;');
my $path = '/api/provisioning/tenants';
my $token = token();
my @type = ('Content-Type', 'application/json');


sub compose {
    my ($method, $where, %o) = @_;
    return Provisioning::Test::HTTP->compose($method, $where,
        token => $token, keep => 1, %o);
}

sub new_tenant { ($path, json => { client_name => 'A client',
                                   email => unique_email() }) }

my $made = $nginx->request(POST => new_tenant(), token => $token);
my $tenant = $made->header('Location');


# HTTP/1.0

my $r = $nginx->request(GET => $tenant, token => $token, version => '1.0');
is_deeply [$r->status, $r->body, $r->header('Connection')],
    [200, $made->body, 'close'], 'HTTP/1.0 is answered, and closed';
is $r->header('Transfer-Encoding'), undef, 'with a length, not in chunks';

$r = $nginx->request(POST => new_tenant(), token => $token,
                     version => '1.0');
is $r->status, 201, 'it may have a body';

$r = $nginx->request(POST => $path, token => $token, version => '1.0',
    headers => [@type, 'Connection', 'close']);
is_problem $r, 'which has no end without a length, so there is none', 400,
    'body_required', 'The operation needs a request body.';

$r = $nginx->request(GET => $tenant, version => '1.0', headers => [
    Host => undef, Authorization => "Bearer $token"]);
is $r->status, 200, 'it may do without a Host';

my $connection = $nginx->connection;
for (1 .. 3) {
    $connection->write(compose(POST => new_tenant(), version => '1.0',
                               headers => ['Connection', 'keep-alive']));
    is $connection->read_response->status, 201,
        'and its connection can be kept';
}
$connection->close;

$connection = $nginx->connection;
$connection->write("GET $tenant\r\n");
$r = $connection->read_all;
is $r, problem_text(($r =~ /"request_id":"([^"]*)"/)[0], 401, 'token_missing',
        'Send a token in the header "Authorization: Bearer <token>".'),
    'HTTP/0.9 has no headers, so no token: it gets the document alone';


# HTTP/1.1, one after the other

$connection = $nginx->connection;
my @status;

for (1 .. 5) {
    $connection->write(compose(POST => new_tenant()));
    push @status, $connection->read_response->status;
    $connection->write(compose(GET => $tenant));
    push @status, $connection->read_response->status;
}
is "@status", '201 200 ' x 4 . '201 200',
    'requests follow each other on one connection';
$connection->close;


# What is wrong with one request is not the end of its connection, as long as
# nothing of it is left to be read.

my @wrong = (
    ['no token', 401, GET => $tenant, token => undef],
    ['a body without a token', 401, POST => new_tenant(), token => undef],
    ['no permission', 403, POST => new_tenant(),
     token => token(roles => ['integration-user'])],
    ['no such path', 404, GET => '/api/provisioning/nothing'],
    ['no such path, with a body', 404, POST => '/api/provisioning/nothing',
     body => '{"a": 1}'],
    ['no such tenant', 404,
     GET => "$path/0194f0b2-3b40-7c3e-8b1f-2f6d3a9c7e51"],
    ['no such method', 405, POST => $tenant],
    ['a wrong parameter', 400, GET => "$path?limit=0"],
    ['an id that is none', 400, GET => "$path/1"],
    ['a path that is none', 400, GET => "$path/%ff"],
    ['no body', 400, POST => $path],
    ['no JSON', 400, POST => $path, body => '{', headers => [@type]],
    ['a wrong body', 400, POST => $path, json => {}],
    ['a wrong body in chunks', 400, POST => $path,
     body => Provisioning::Test::HTTP->chunks('[', ']'),
     headers => [@type, 'Transfer-Encoding', 'chunked']],
    ['another type', 415, POST => $path, body => 'x' x 1000],
    ['another answer', 406, GET => $tenant, headers => [Accept => 'x/y']],
    ['a conflict', 409, POST => $path, json => { client_name => 'A',
        email => $made->json->{email} }],
    ['no partner', 403, GET => $tenant, token => token(partner => 'x')],
);

for (@wrong) {
    my ($name, $status, @request) = @$_;

    $connection = $nginx->connection;
    $connection->write(compose(@request) . compose(GET => $tenant)
                       . compose(POST => new_tenant()));
    is_deeply [map { $connection->read_response->status } 1 .. 3],
        [$status, 200, 201], "$name: $status, and the connection goes on";
    $connection->close;
}

$connection = $nginx->connection;
$connection->write(join '', map { my (undef, undef, @request) = @$_;
                                  compose(@request) } @wrong);
is_deeply [map { $connection->read_response->status } @wrong],
    [map { $_->[1] } @wrong], 'all of them in one packet are answered in order';
$connection->close;

for ([413, POST => $path, body => 'x' x 10241, headers => [@type]],
     [400, POST => $path, headers => [@type, 'Transfer-Encoding', 'chunked'],
      body => "x\r\n"])
{
    my ($status, @request) = @$_;

    $connection = $nginx->connection;
    $connection->write(compose(@request) . compose(GET => $tenant));
    $r = $connection->read_response;
    is_deeply [$r->status, $r->header('Connection')], [$status, 'close'],
        "a $status of which more might follow ends the connection";
    ok $connection->closed($Provisioning::Test::patience), 'as it says';
}

$r = $nginx->request(GET => "$path?limit=0", token => $token);
is $r->header('Connection'), 'close',
    'a client that wants its connection closed gets that for an error, too';


# Many requests in one packet

$connection = $nginx->connection;
my @bodies = map { { client_name => "Pipelined $_",
                     email => unique_email() } } 1 .. 20;
$connection->write(join '', map {
    compose(POST => $path, json => $_) . compose(GET => "$path?limit=1")
} @bodies);

my (@made, @newest);
for (@bodies) {
    push @made, $connection->read_response->json->{client_name};
    push @newest, $connection->read_response->json->{data}[0]{client_name};
}
is_deeply [\@made, \@newest], [([map { $_->{client_name} } @bodies]) x 2],
    'forty requests in one packet are done in order, one after the other';
$connection->close;

# nginx counts, and ends the connection after keepalive_requests.

$connection = $nginx->connection;
$connection->write(compose(GET => "$path?limit=0") x 51);
my @limit = map { $connection->read_response } 1 .. 50;
is_deeply [map { $_->header('Connection') } @limit],
    [('keep-alive') x 49, 'close'],
    'an error does not keep a connection longer than keepalive_requests says';
ok $connection->closed($Provisioning::Test::patience), 'which then is closed';


# HEAD is GET without the body

sub same_headers {
    my ($where, %o) = @_;
    my ($get, $head) = map {
        my $response = $nginx->request($_ => $where, token => $token,
            headers => { 'X-Request-Id' => 'the-same' }, %o);
        my $lines = $response->head;
        $lines =~ s/^Date: [^\r\n]*\r\n//m;
        [$lines, $response->body];
    } qw(GET HEAD);

    is $head->[0], $get->[0], "HEAD $where has the headers of a GET";
    is $head->[1], '', 'and no body';
    return;
}

same_headers($_) for $tenant, "$path?limit=1", "$path?limit=0",
    "$path/0194f0b2-3b40-7c3e-8b1f-2f6d3a9c7e51", '/api/provisioning/nothing',
    '/api/provisioning/openapi.json', '/health/live', '/health/ready';
same_headers($tenant, token => undef);
same_headers($tenant, headers => { 'X-Request-Id' => 'the-same',
                                   'If-None-Match' => '"1"' });
same_headers($tenant, headers => { 'X-Request-Id' => 'the-same',
                                   'If-Match' => '"2"' });
same_headers($tenant, headers => { 'X-Request-Id' => 'the-same',
                                   'Accept' => 'text/html' });

$connection = $nginx->connection;
$connection->write(compose(HEAD => $tenant) . compose(HEAD => "$path/1")
                   . compose(GET => '/health/live'));
is_deeply [map({ $connection->read_response(head => 1)->status } 1, 2),
           $connection->read_response->body],
    [200, 400, '{"status":"live"}'],
    'nothing of a body follows a HEAD on its connection';
$connection->close;


# Methods

for (['GET, HEAD, POST', $path, qw(PUT PATCH DELETE OPTIONS PROPFIND BREW)],
     ['GET, HEAD, PUT, PATCH, DELETE', $tenant, qw(POST OPTIONS)],
     ['GET, HEAD', '/api/provisioning/openapi.json', qw(POST DELETE)],
     ['GET, HEAD', '/health/live', qw(POST)],
     ['GET, HEAD', '/health/ready', qw(POST)])
{
    my ($allow, $where, @methods) = @$_;

    for my $method (@methods) {
        $r = $nginx->request($method => $where, token => $token);
        is_problem $r, "$method $where is no operation", 405,
            'method_not_allowed', 'This path does not support the method; it '
            . "supports $allow.";
        is $r->header('Allow'), $allow, 'Allow says which there are';
    }
}

is_problem $nginx->request(DELETE => $path), 'which methods there are is no '
    . 'secret: nobody needs a token to learn it', 405, 'method_not_allowed',
    'This path does not support the method; it supports GET, HEAD, POST.';

$r = $nginx->request(HEAD => '/health/live', token => $token);
is_deeply [$r->status, $r->header('Allow')], [200, undef],
    'a method that is there has no Allow';

for my $method (qw(get Get pOST)) {
    $connection = $nginx->connection;
    $connection->write("$method $path HTTP/1.1\r\nHost: x\r\n\r\n");
    ok $connection->read_response->status =~ /\A40[05]\z/,
        "$method is no method";
    $connection->close;
}


# What nginx says before it knows which location is meant is its own page.
# What it says of a location of ours is not.

$r = $nginx->request(GET => "$path?" . 'x' x 5000, token => $token);
is $r->status, 414, 'a request line that is too long is refused';
$r = $nginx->request(GET => $path, token => 'x' x 5000);
is $r->status, 400, 'and so is a header';

$connection = $nginx->connection;
$connection->write(compose(TRACE => $path));
is $connection->read_response->status, 405, 'and TRACE, before anything else';
$connection->close;

done_testing;
