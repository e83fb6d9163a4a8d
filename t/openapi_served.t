#!/usr/bin/perl

# The document as it is published: what is enforced, complete in itself,
# without what is nobody's business, and saying where it is really served.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Operations;
use Provisioning::Test::Problem;

use JSON::PP ();

my $postgres = postgres();
my $string = { type => 'string' };
my $api = operations($postgres,
    openapi => { path => '/openapi.json', handler => 'openapi' },
    thing   => { path => '/things/{id}', parameters => [{ name => 'id',
                 in => 'path', required => JSON::PP::true,
                 schema => $string }] },
);

my (undef, $nginx) = gateway(postgres => $postgres,
    locations => $api->location . <<'END');
    location /elsewhere/v1/ {
        provisioning_auth test;
        provisioning_api %%OPENAPI%%/partner.json prefix=/elsewhere/v1;
        provisioning_pass tenants;
    }

    location = /openapi.json {
        provisioning_api %%OPENAPI%%/partner.json prefix=/;
        provisioning_pass tenants;
    }
END

my $path = '/api/provisioning/openapi.json';
my $r = $nginx->request(GET => $path);
my $document = $r->json;

is $r->status, 200, 'the document is public';
is $r->header('Content-Type'), 'application/json', 'it is JSON';
like $r->header('ETag'), qr/\A"[0-9a-f]{32}"\z/, 'with a strong entity tag';
is $document->{openapi}, '3.1.0', 'of OpenAPI 3.1';
is $nginx->request(GET => $path, token => 'no token at all')->body, $r->body,
    'a bad token does not matter';
is $nginx->request(GET => $path)->header('ETag'), $r->header('ETag'),
    'the tag is always the same';


# Conditions

for my $tags ($r->header('ETag'), '*', '"x", ' . $r->header('ETag')) {
    my $same = $nginx->request(GET => $path,
        headers => { 'If-None-Match' => $tags });
    is_deeply [$same->status, $same->body, $same->header('ETag')],
        [304, '', $r->header('ETag')],
        'who has it already (' . ($tags eq '*' ? '*' : length $tags)
        . ') does not get it again';
}

is $nginx->request(GET => $path, headers => { 'If-None-Match' => '"x"' })
       ->body, $r->body, 'who has another one gets it';
is $nginx->request(HEAD => $path)->header('Content-Length'), length $r->body,
    'HEAD says how long it is';
is_problem $nginx->request(GET => "$path?v=1"),
    'it has no parameters', 400, 'invalid_parameters', 'A parameter of the '
    . 'path, the query or the headers is not as described; see "errors".',
    errors => '[' . violation([query => 'v'], 'unknown_parameter',
                              'is not a parameter of this operation') . ']';


# What is in it, and what is not

my (@extensions, @refs);

sub walk {
    my ($where, $value) = @_;

    if (ref $value eq 'ARRAY') {
        walk("$where/$_", $value->[$_]) for 0 .. $#$value;
        return;
    }

    return unless ref $value eq 'HASH';

    for my $key (sort keys %$value) {
        push @extensions, "$where/$key" if $key =~ /^x-/;
        push @refs, [$where, $value->{$key}]
            if $key eq '$ref' && !ref $value->{$key};
        walk("$where/$key", $value->{$key});
    }

    return;
}

sub resolve {
    my ($ref) = @_;
    $ref =~ s{\A#}{} or return undef;

    my $value = $document;
    for (split m{/}, $ref =~ s{\A/}{}r) {
        my $key = s/~1/\//gr =~ s/~0/~/gr;
        $value = ref $value eq 'HASH' ? $value->{$key} : undef;
    }

    return $value;
}

walk('#', $document);

is_deeply \@extensions, [], 'nothing of how it is served is in it';
ok scalar(@refs), 'it has references';
is_deeply [grep { !defined resolve($_->[1]) } @refs], [],
    'and what they refer to, in itself';


# It is what is served: each operation of it is there, and answers

my $some = '0194f0b2-3b40-7c3e-8b1f-2f6d3a9c7e51';
my %all = map { $_ => 1 } qw(get put post delete patch options);

for my $where (sort keys %{ $document->{paths} }) {
    my %there = map { $_ => 1 } grep { $all{$_} }
        keys %{ $document->{paths}{$where} };
    my $url = '/api/provisioning' . $where =~ s/\{\w+\}/$some/gr;

    for my $method (sort keys %all) {
        my $status = $nginx->request(uc $method => $url)->status;
        my $operation = $document->{paths}{$where}{$method};
        my $public = $operation && $operation->{security}
            && !@{ $operation->{security} };

        is $status, !$there{$method} ? 405 : $public ? $where eq '/oauth/token' ? 404 : 200 : 401,
            "\U$method\E $where is " . (!$there{$method} ? 'not there'
                : $public ? 'public' : 'there for who has a token');
    }
}

my $body = $document->{paths}{'/tenants'}{post}{requestBody}{content}
    {'application/json'};

for my $name (sort keys %{ $body->{examples} }) {
    my $example = $body->{examples}{$name}{value};
    $example->{email} = unique_email();
    $r = $nginx->request(POST => '/api/provisioning/tenants',
        token => token(), json => $example);
    is $r->status, 201, "its example \"$name\" works" or diag $r->body;
    is_deeply [sort keys %{ $r->json }],
        [sort keys %{ $document->{components}{schemas}{Tenant}{properties}
            || resolve($document->{paths}{'/tenants'}{post}{responses}{201}
                   {content}{'application/json'}{schema}{'$ref'})
                   ->{properties} }],
        'and what is answered has the members that are described';
}


# Where it is served

is $document->{servers}[0]{url}, '/api/provisioning',
    'it says where it is served';

my $elsewhere = $nginx->request(GET => '/elsewhere/v1/openapi.json');
is_deeply $elsewhere->json->{servers}, [{ url => '/elsewhere/v1' }],
    'under another prefix, too';
isnt $elsewhere->header('ETag'), $nginx->request(GET => $path)->header('ETag'),
    'with a tag of its own';
is_deeply { %{ $elsewhere->json }, servers => 0 },
    { %{ $nginx->request(GET => $path)->json }, servers => 0 },
    'and is the same otherwise';
is_deeply $nginx->request(GET => '/openapi.json')->json->{servers},
    [{ url => '/' }], 'the root is "/"';


# Another document

$r = $nginx->request(GET => '/quirks/openapi.json');
is $r->json->{info}{title}, 'Operations of a test',
    'each API has its own document';
is_deeply [sort keys %{ $r->json->{paths} }],
    ['/openapi.json', '/things/{id}'], 'with its own paths';

# It changes with its file, at a reload.

my $tag = $r->header('ETag');
my $file = $api->file;
my $text = $nginx->read_file($file);
$nginx->write_file($file, $text =~ s/Operations of a test/A new title/r);
is $nginx->request(GET => '/quirks/openapi.json')->header('ETag'), $tag,
    'a file that changes changes nothing yet';
$nginx->reload;
wait_until 'the new worker answers', sub {
    $r = $nginx->request(GET => '/quirks/openapi.json');
    $r->json->{info}{title} eq 'A new title';
};
isnt $r->header('ETag'), $tag, 'after a reload there is another document, '
    . 'with another tag';

done_testing;
