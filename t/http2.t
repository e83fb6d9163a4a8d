#!/usr/bin/perl

# HTTP/2, with curl and nghttp as clients that are not ours: bodies with and
# without a length, errors, HEAD, many streams at once on one connection.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Operations;
use Provisioning::Test::Problem;

use JSON::PP ();

for my $program (qw(curl nghttp)) {
    next if grep { -x "$_/$program" } split /:/, $ENV{PATH};
    die "$program is not installed\n";
}

my $postgres = postgres();
my $api = operations($postgres, count => {
    method   => 'post',
    body     => { type => 'string' },
    function => "status := 200; body := "
        . "json_build_object('n', length(input #>> '{}'));",
});

my (undef, $nginx) = gateway(postgres => $postgres,
    locations => $api->location('client_max_body_size 300k;',
                                'client_body_buffer_size 4k;')
        . $api->location_at('/small', 'client_max_body_size 100;'));
my $path = '/api/provisioning/tenants';
my $token = token();
my $base = 'http://127.0.0.1:' . $nginx->h2_port;
my $files = 0;


# One request; options are curl's.  The body comes from a file, and with
# "length => 0" through a pipe, so that nobody knows its length beforehand.

sub curl {
    my ($method, $where, %o) = @_;

    my @command = ('curl', '--silent', '--show-error', '--include',
        '--http2-prior-knowledge', '--max-time', $Provisioning::Test::patience,
        $method eq 'HEAD' ? '--head' : ('--request', $method));

    push @command, '--header', "Authorization: Bearer $o{token}"
        if $o{token};
    push @command, map { ('--header', $_) } @{ $o{headers} || [] };

    my $body = exists $o{json} ? JSON::PP->new->utf8->encode($o{json})
                               : $o{body};

    if (defined $body) {
        my $file = $nginx->write_file('body' . ++$files, $body);
        push @command, '--header', 'Content-Type: application/json';
        push @command, defined $o{length} && !$o{length}
            ? ('--upload-file', '-') : ('--data-binary', "\@$file");
        open STDIN, '<', $file or die "$file: $!";
    }

    open my $pipe, '-|', @command, "$base$where" or die "curl: $!";
    binmode $pipe;
    my $text = do { local $/; <$pipe> };
    close $pipe;

    # as our own client has it, so that the same tests can be made

    my @interim;
    while ($text =~ s{\A(HTTP/2 (\d+) \r\n(.*?\r\n))\r\n}{}s) {
        my ($head, $status, $lines) = ($1, $2, $3);
        push @interim, bless {
            version => '2', status => $status, head => $head, body => '',
            headers => [map { [split /: /, $_, 2] } split /\r\n/, $lines],
        }, 'Provisioning::Test::HTTP::Response';
        last if $status >= 200;
    }

    my $response = pop @interim or die "curl: no response to $method $where "
        . "in '$text'\n";
    $response->{body} = $text;
    $response->{interim} = \@interim;
    return $response;
}


# The same with nghttp: this curl sees nothing of a response that comes before
# the request's body has been taken, however politely nginx then stops it.

sub nghttp {
    my ($method, $where, %o) = @_;

    my $file = $nginx->write_file('body' . ++$files, $o{body});
    my @command = ('nghttp', '--verbose', '--timeout',
        $Provisioning::Test::patience, '--data', $file,
        '--header', ":method: $method",
        '--header', 'content-type: ' . ($o{type} || 'application/json'),
        $o{token} ? ('--header', "authorization: Bearer $o{token}") : (),
        defined $o{length} && !$o{length} ? '--no-content-length' : ());

    open my $pipe, '-|', @command, "$base$where" or die "nghttp: $!";
    binmode $pipe;
    my $text = do { local $/; <$pipe> };
    close $pipe;

    my @headers = map { [split /: /, $_, 2] }
        $text =~ /\] recv \(stream_id=\d+\) ([^:\n].*)$/mg;
    my ($status) = $text =~ /\] recv \(stream_id=\d+\) :status: (\d+)$/m
        or die "nghttp: no response to $method $where in '$text'\n";

    # what is left without its report of frames is the body
    $text =~ s/\[ *\d+\.\d{3}\] \w[^\n]*\n(?: {10}[^\n]*\n)*//g;

    return bless { status => $status, headers => \@headers, head => '',
                   body => $text },
        'Provisioning::Test::HTTP::Response';
}


# The ways of a request

my $r = curl(POST => $path, token => $token,
             json => { client_name => 'Over HTTP/2', email => unique_email() });
is $r->status, 201, 'a tenant is made over HTTP/2' or diag $r->body;
my $made = $r->body;
my $tenant = $r->header('location');

$r = curl(GET => $tenant, token => $token);
is_deeply [$r->status, $r->body, $r->header('etag'),
           $r->header('content-length')],
    [200, $made, '"1"', length $made], 'and read';
is $nginx->request(GET => $tenant, token => $token)->body, $made,
    'and read over HTTP/1.1, the same to the byte';

$r = curl(GET => $tenant, token => $token, headers => ['If-None-Match: "1"']);
is_deeply [$r->status, $r->body, $r->header('etag')], [304, '', '"1"'],
    'a condition is answered';
is_problem curl(GET => $tenant, token => $token,
                headers => ['If-Match: "2"']),
    'in both ways', 412, 'precondition_failed',
    'A precondition in the headers does not hold.';
$r = curl(HEAD => $tenant, token => $token);
is_deeply [$r->status, $r->body, $r->header('content-length')],
    [200, '', length $made], 'HEAD has no body';


# Errors

is_problem curl(GET => $tenant), 'without a token there is a problem', 401,
    'token_missing',
    'Send a token in the header "Authorization: Bearer <token>".';
is_problem curl(POST => $path, token => $token, body => '{'),
    'with half a body, too', 400, 'invalid_json', 'The body is not '
    . 'acceptable JSON, at line 1, column 1: the text ends in the middle of '
    . 'a value.';
is_problem curl(POST => $path, token => $token), 'with none', 400,
    'body_required', 'The operation needs a request body.';
$r = curl(OPTIONS => $tenant, token => $token);
is_problem $r, 'and with a wrong method', 405, 'method_not_allowed',
    'This path does not support the method; it supports GET, HEAD, PUT, '
    . 'PATCH, DELETE.';
is $r->header('allow'), 'GET, HEAD, PUT, PATCH, DELETE', 'Allow is there';
is curl(HEAD => "$path/1", token => $token)->status, 400,
    'HEAD of an error has its status';


# Bodies

for (['an empty string', '""', 0], ['a small one', '"abc"', 3],
     ['one beyond a frame', '"' . 'x' x 20000 . '"', 20000],
     ['one beyond a window', '"' . 'x' x 250000 . '"', 250000])
{
    my ($name, $body, $n) = @$_;

    for my $length (1, 0) {
        $r = curl(POST => '/quirks/count', token => $token, body => $body,
                  length => $length);
        is $r->body, qq({"n" : $n}), "$name is read, "
            . ($length ? 'of a known length' : 'of an unknown length')
            or diag $r->head;
    }
}

my $large = 'The request body is larger than is accepted here.';
my $body = '"' . 'x' x 99 . '"';

for my $length (1, 0) {
    is_problem nghttp(POST => '/small/count', token => $token, body => $body,
                      length => $length),
        'one that is too large is refused, '
        . ($length ? 'by its length' : 'by what has come'), 413,
        'body_too_large', $large;
}

is_problem nghttp(POST => '/quirks/count', body => $body),
    'one that comes without a token is refused', 401, 'token_missing',
    'Send a token in the header "Authorization: Bearer <token>".';
is_problem nghttp(POST => '/quirks/count', token => $token, body => $body,
                  type => 'text/plain'),
    'and so is one of another type', 415, 'unsupported_media_type',
    'The body must be UTF-8 JSON with the Content-Type application/json.';
is_problem nghttp(DELETE => '/quirks/count', token => $token, body => $body),
    'and one with a wrong method', 405, 'method_not_allowed',
    'This path does not support the method; it supports POST.';

is_problem curl(POST => '/quirks/count', token => $token, body => '',
                length => 0),
    'one of no bytes is no body', 400, 'body_required',
    'The operation needs a request body.';

$r = curl(POST => '/quirks/count', token => $token, body => '"abc"',
          headers => ['Expect: 100-continue']);
is $r->body, '{"n" : 3}', 'one that waits for "100 Continue" is read'
    or diag $r->head;


# Many streams on one connection: ten different paths, ten times each

my @urls = map { "$base$path?limit=$_" } 1 .. 10;
open my $pipe, '-|', 'nghttp', '--null-out', '--stat', '--multiply=10',
    '--timeout', $Provisioning::Test::patience,
    "--header=authorization: Bearer $token", @urls or die "nghttp: $!";
my $statistics = do { local $/; <$pipe> };
close $pipe;
is scalar(grep { / 200 .*\Q$path\E\?limit=/ } split /\n/, $statistics), 100,
    'a hundred streams at once are all answered' or diag $statistics;

done_testing;
