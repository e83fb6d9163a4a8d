#!/usr/bin/perl

# /tenants/{tenant}/configuration: an object in versions, which are shown,
# changed, compared and brought back.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Problem;

use JSON::PP ();

my ($postgres, $nginx) = gateway(workers => 2);
my $tenants = '/api/provisioning/tenants';
my $json = JSON::PP->new->canonical;

sub tenant {
    return $nginx->request(POST => $tenants, token => token(),
        json => { client_name => 'Configured', email => unique_email() })
        ->json->{tenant};
}

my $tenant = tenant();
my $path = "$tenants/$tenant/configuration";

sub ask {
    my ($method, $where, $body, %headers) = @_;
    return $nginx->request($method => "$path$where", token => token(),
        headers => \%headers, defined $body ? (json => $body) : ());
}

sub shown {
    my ($r) = @_;
    return join ' ', $r->status, $r->header('ETag') || '-',
        $json->encode($r->json->{configuration} || $r->json->{code});
}


# Examples of the document

my $document = $nginx->request(GET => '/api/provisioning/openapi.json')->json;

sub plain {
    return $json->encode($_[0])
        =~ s/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/id/gr
        =~ s/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/moment/gr;
}

sub operation {
    my ($method, $where) = @_;
    return $document->{paths}{"/tenants/{tenant}/configuration$where"}
        {$method};
}

sub example_of {
    my ($method, $where) = @_;
    my ($media) = values %{ operation($method, $where)->{requestBody}
        {content} };
    my ($example) = values %{ $media->{examples} };
    return $example->{value};
}

sub is_example {
    my ($r, $method, $where, $status) = @_;
    my $response = operation($method, $where)->{responses}{$status};
    $response = $document->{components}{responses}{ $1 }
        if ($response->{'$ref'} || '') =~ m{([^/]+)\z};
    my ($media) = values %{ $response->{content} };
    return is plain($r->json), plain($media->{example}),
        "the example of \U$method\E $where is what is answered";
}

is shown(ask(GET => '')), '200 "0" {}', 'in the beginning it is empty';
my $r = ask(PUT => '', example_of('put', ''));
is_example $r, 'put', '', 200;
is $r->header('ETag'), '"1"', 'with the tag of its version';
is_example ask(GET => ''), 'get', '', 200;
is_example ask(GET => '/versions'), 'get', '/versions', 200;
is_example ask(GET => '/versions/1'), 'get', '/versions/{version}', 200;
is shown(ask(PATCH => '', example_of('patch', ''))),
    '200 "2" {"limits":{"users":50},"locale":"en-GB"}', 'a member is changed';
is_example ask(GET => '/diff'), 'get', '/diff', 200;
is shown(ask(POST => '/rollback', example_of('post', '/rollback'))),
    '200 "3" {"limits":{"users":25},"locale":"en-GB"}',
    'and changed back, by a version';
is_example ask(GET => '/versions/7'), 'get', '/versions/{version}', 404;
is_example ask(PUT => '', { x => 'x' x 70000 }), 'put', '', 422;


# Changes

is shown(ask(PATCH => '', { limits => undef, tags => ['a'] },
        'Content-Type' => 'application/merge-patch+json')),
    '200 "4" {"locale":"en-GB","tags":["a"]}', 'null removes a member';
is shown(ask(PATCH => '', { locale => 'en-GB' })),
    '200 "4" {"locale":"en-GB","tags":["a"]}',
    'what changes nothing makes no version';
is shown(ask(PUT => '', { a => 1 }, 'If-Match' => '"3"')),
    '412 - "precondition_failed"', 'who has seen another version is told so';
is shown(ask(PUT => '', { a => 1 }, 'If-Match' => '"4"')),
    '200 "5" {"a":1}', 'who has seen the last one changes it';
is ask(GET => '', undef, 'If-None-Match' => '"5"')->status, 304,
    'who has it already does not get it again';
is shown(ask(POST => '/rollback', { version => 4 }, 'If-Match' => '"4"')),
    '412 - "precondition_failed"', 'nor is it brought back over another';
is shown(ask(POST => '/rollback', { version => 9 })),
    '404 - "configuration_version_not_found"', 'nor one that is not there';

is_deeply ask(GET => '/diff?from=4&to=5')->json->{diff},
    [{ path => '/a', after => 1 }, { path => '/locale', before => 'en-GB' },
     { path => '/tags', before => ['a'] }], 'two versions are compared';

my @seen;
my $url = "$path/versions?limit=2";
while ($url && @seen < 10) {
    $r = $nginx->request(GET => $url, token => token());
    push @seen, map { $_->{version} } @{ $r->json->{data} };
    ($url) = ($r->header('Link') || '') =~ /\A<(.*)>; rel="next"\z/;
}
is "@seen", '5 4 3 2 1', 'Links lead through the versions';


# Once, and for trial

my %key = ('Idempotency-Key' => 'configuration-1');
is shown(ask(PUT => '', { a => 2 }, %key)), '200 "6" {"a":2}', 'with a key';
$r = ask(PUT => '', { a => 2 }, %key);
is shown($r), '200 "6" {"a":2}', 'it is changed once';
is $r->header('Idempotent-Replayed'), 'true', 'and answered again';

$r = ask(PATCH => '?dry_run=true', { b => 3 });
is_deeply [$r->json->{resource}{configuration}, grep { $_->{path} =~ /config/ }
           @{ $r->json->{diff} }],
    [{ a => 2, b => 3 }, { path => '/configuration/b', after => 3 }],
    'a change is tried' or diag $r->body;
is shown(ask(GET => '')), '200 "6" {"a":2}', 'and not kept';

$r = $nginx->request(PUT => $path, token => token(), body => '{"a": 2.0}',
    headers => { 'Content-Type' => 'application/json' });
like $r->body, qr/"version": 6, .*\{"a": 2\}\}/,
    'the same in other words is answered as it is kept';


# However long its names are, a difference is about as long as what differs

my $settings = tenant();
my @settings = map {
    my $n = $_;
    $nginx->request(PUT => "$tenants/$settings/configuration",
        token => token(), json => { 'k' x 30000 =>
            { map { ($_ => $n) } 1 .. 3000 } })->status
} 1 .. 2;
is "@settings", '200 200', 'a name may be long';
$r = $nginx->request(GET => "$tenants/$settings/configuration/diff",
    token => token());
cmp_ok length $r->body, '<', 262144, 'and is not repeated for all under it';


# At the same time: none is lost

my @connections = map { $nginx->connection } 1 .. 8;
my $n = 0;
$_->send_request(PATCH => $path, token => token(), keep => 1,
    json => { 'k' . ++$n => $n }) for @connections;
my @parallel = map { $_->read_response->status } @connections;
$_->close for @connections;
is "@parallel", join(' ', (200) x 8), 'eight changes at once are all made';
is ask(GET => '')->json->{version}, 14, 'one after the other';
is_deeply ask(GET => '')->json->{configuration},
    { a => 2, map { ("k$_" => $_) } 1 .. 8 }, 'and none is lost';


# What is refused

$r = ask(PATCH => '', { map { ("key-$_" => 1) } 1 .. 60000 });
is $r->json->{code}, 'configuration_too_large',
    'a merge of very many members costs no more than to look at them'
    or diag $r->body;

for (['PUT', '', []], ['PUT', '', 'text'], ['PATCH', '', []],
     ['POST', '/rollback', {}], ['POST', '/rollback', { version => 0 }],
     ['POST', '/rollback', { version => 1, more => 1 }])
{
    my ($method, $where, $body) = @$_;
    $r = $nginx->request($method => "$path$where", token => token(),
        headers => { 'Content-Type' => 'application/json' },
        body => JSON::PP->new->allow_nonref->encode($body));
    is $r->status . ' ' . $r->json->{code}, '400 invalid_body',
        "$method$where of " . $json->allow_nonref->encode($body)
        . ' is refused';
}

for ('/versions/0', '/versions/x', '/versions/2147483648', '/diff?from=-1',
     '/diff?to=x', '/versions?limit=0')
{
    is ask(GET => $_)->json->{code}, 'invalid_parameters', "$_ is refused";
}

is ask(GET => '/versions?cursor=x')->json->{code}, 'invalid_cursor',
    'a cursor is one of this list';

my $reader = token(roles => ['integration-user']);
is $nginx->request(GET => $path, token => $reader)->status, 200,
    'who may only read reads it';
is $nginx->request(PUT => $path, token => $reader, json => {})->status, 403,
    'and changes nothing';

my $other = token(partner => 'globex');
is_problem $nginx->request(GET => $path, token => $other),
    'another partner\'s is not found', 404, 'tenant_not_found',
    'You have no tenant with this id.';
is $nginx->request(PUT => $path, token => $other, json => {})->status, 404,
    'nor changed';

is $nginx->request(DELETE => "$tenants/$tenant", token => token())->status,
    200, 'when the tenant is deleted';
is_example ask(PUT => '', {}), 'put', '', 409;
is shown(ask(GET => '')) =~ s/ .*//sr, 200, 'it is still shown';

done_testing;
