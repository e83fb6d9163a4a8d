#!/usr/bin/perl

# Documents that nginx refuses to serve: each mistake an author can make stops
# "nginx -t" with the file, the JSON pointer, and what to write instead.  And
# what a document of several files becomes when it is served.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Provisioning::Test;

my $nginx = nginx(server_address => 'unix:/nowhere', start => 0,
    locations => <<'END');
        location /t/ {
            provisioning_auth test;
            provisioning_api %%DIR%%/api.json;
            provisioning_pass tenants;
        }
END

my $json = JSON::PP->new->canonical->pretty;


# A small document that is right, to be spoiled by a test.

sub document {
    return {
        openapi => '3.1.0',
        info => { title => 'T', version => '1' },
        servers => [{ url => '/t' }],
        'x-database-schema' => 'partner',
        'x-roles' => { admin => ['thing:*'] },
        security => [{ bearer => [] }],
        paths => { '/things/{thing}' => { get => {
            operationId => 'thing_get',
            'x-permission' => 'thing:read',
            parameters => [{ name => 'thing', in => 'path',
                required => JSON::PP::true,
                schema => { type => 'string' } }],
            responses => { 200 => { description => 'The thing.' } },
        } } },
        components => { securitySchemes => { bearer => {
            type => 'http', scheme => 'bearer' } } },
    };
}

sub operation { $_[0]{paths}{'/things/{thing}'}{get} }


# What "nginx -t" says of a document, and of files beside it.

sub verdict {
    my ($document, %files) = @_;

    $nginx->write_file('api.json',
        ref $document ? $json->encode($document) : $document);
    $nginx->write_file($_, $files{$_}) for keys %files;

    return $nginx->test;
}

sub accepted {
    my ($name, $spoil) = @_;

    my $document = document();
    my @files = $spoil ? $spoil->($document) : ();
    my ($ok, $said) = verdict($document, @files);

    ok $ok, "$name is accepted" or diag $said;

    return;
}

sub refused {
    my ($name, $pointer, $pattern, $spoil, %files) = @_;

    my $document = document();
    $spoil->($document);
    my ($ok, $said) = verdict($document, %files);

    ok !$ok, "$name is refused";
    like $said, qr/\[emerg\].*\Q$pointer\E: /, "$name: the message says where";
    like $said, $pattern, "$name: the message says what is wrong";

    return;
}

my $get = 'api.json#/paths/~1things~1{thing}/get';

accepted('the document the others are made of');

refused('another version', 'api.json#/openapi', qr/3\.1/,
    sub { $_[0]{openapi} = '3.0.3' });
refused('no version', 'api.json#', qr/openapi/,
    sub { delete $_[0]{openapi} });
refused('no info', 'api.json#', qr/info/, sub { delete $_[0]{info} });
refused('an unknown member', 'api.json#/pathes', qr/pathes/,
    sub { $_[0]{pathes} = {} });
refused('an unknown extension', 'api.json#/x-role', qr/x-role/,
    sub { $_[0]{'x-role'} = {} });
refused('no schema of the database', 'api.json#', qr/x-database-schema/,
    sub { delete $_[0]{'x-database-schema'} });
refused('a schema that is an injection', 'api.json#/x-database-schema',
    qr/x; drop/, sub { $_[0]{'x-database-schema'} = 'x; drop' });
refused('an entrance that is an injection', 'api.json#/x-database-enter',
    qr/"enter\(\); drop" cannot name a function/,
    sub { $_[0]{'x-database-enter'} = 'enter(); drop' });
accepted('another entrance', sub { $_[0]{'x-database-enter'} = 'side_door';
    return });

refused('no operationId', $get, qr/operationId/,
    sub { delete operation($_[0])->{operationId} });
refused('an operationId in camel case', "$get/operationId", qr/snake_case/,
    sub { operation($_[0])->{operationId} = 'thingGet' });
refused('an operationId of 64 bytes', "$get/operationId", qr/63 bytes/,
    sub { operation($_[0])->{operationId} = 'a' x 64 });
refused('an operationId twice', 'operationId', qr/already the operationId/,
    sub { $_[0]{paths}{'/other'} = { get => { %{ operation($_[0]) },
        parameters => [] } } });
refused('an operation that is neither public nor permitted', $get,
    qr/x-permission/, sub { delete operation($_[0])->{'x-permission'} });
refused('one that is both', "$get/x-permission", qr/x-permission/,
    sub { operation($_[0])->{security} = [] });
refused('a grant of nothing', 'api.json#/x-roles/admin/0',
    qr/"thing:\*" grants nothing/,
    sub { operation($_[0])->{'x-permission'} = 'other:read' });
refused('a permission that no role grants',
    'api.json#/paths/~1more/get/x-permission', qr/role/,
    sub { $_[0]{paths}{'/more'} = { get => { %{ operation($_[0]) },
        operationId => 'more_get', 'x-permission' => 'more:read',
        parameters => [] } } });
refused('a parameter\'s permission that no role grants',
    "$get/parameters/0/x-permission", qr/no role grants "other:read"/,
    sub { operation($_[0])->{parameters}[0]{'x-permission'}
        = 'other:read' });
refused('one that is no name', "$get/parameters/0/x-permission", qr/"x"/,
    sub { operation($_[0])->{parameters}[0]{'x-permission'} = 'x' });
refused('one where everybody is let in', "$get/parameters/0/x-permission",
    qr/lets everybody call it/, sub {
        delete operation($_[0])->{'x-permission'};
        operation($_[0])->{security} = [];
        operation($_[0])->{'x-handler'} = 'health_live';
        operation($_[0])->{parameters}[0]{'x-permission'} = 'thing:read' });
refused('one of a parameter that nobody has',
    'api.json#/components/parameters/idle/x-permission', qr/no operation/,
    sub { $_[0]{components}{parameters}{idle} = { name => 'idle',
        in => 'query', schema => { type => 'string' },
        'x-permission' => 'thing:idle' } });
accepted('a parameter\'s permission that is granted', sub {
    operation($_[0])->{parameters}[0]{'x-permission'} = 'thing:name';
    return;
});
refused('a permission that is no name', "$get/x-permission", qr/Thing/,
    sub { operation($_[0])->{'x-permission'} = 'Thing' });
refused('no responses', $get, qr/response/,
    sub { delete operation($_[0])->{responses} });
refused('an unknown member of an operation', "$get/sumary", qr/sumary/,
    sub { operation($_[0])->{sumary} = 'x' });
refused('an x-handler that is not there', 'api.json',
    qr/there is no x-handler "magic"/,
    sub { operation($_[0])->{'x-handler'} = 'magic' });

refused('several reads of an operation', "$get/x-several",
    qr/only a change .* remove this x-several/,
    sub { operation($_[0])->{'x-several'} = JSON::PP::true });
refused('several where x-several is no boolean', "$get/x-several",
    qr/true or false/, sub { operation($_[0])->{'x-several'} = 'yes' });
accepted('a change that is to be apart, and a read that may be anyway', sub {
    operation($_[0])->{'x-several'} = JSON::PP::false;
    return;
});
refused('a name without room for another one',
    'api.json#/paths/~1more/post/x-several', qr/at most 55 bytes/,
    sub { $_[0]{paths}{'/more'} = { post => { %{ operation($_[0]) },
        operationId => 'a' x 56, 'x-several' => JSON::PP::true,
        parameters => [] } } });
accepted('several of a change', sub {
    $_[0]{paths}{'/more'} = { post => { %{ operation($_[0]) },
        operationId => 'more_make', 'x-several' => JSON::PP::true,
        parameters => [] } };
    return;
});

refused('a path parameter that is not described', $get, qr/thing/,
    sub { operation($_[0])->{parameters} = [] });
refused('a path parameter that the path has not', "$get/parameters/1",
    qr/other/, sub { push @{ operation($_[0])->{parameters} },
        { name => 'other', in => 'path', required => JSON::PP::true,
          schema => { type => 'string' } } });
refused('a cookie parameter', "$get/parameters/1/in", qr/cookie/,
    sub { push @{ operation($_[0])->{parameters} },
        { name => 'c', in => 'cookie', schema => {} } });
refused('two templates that match the same',
    'api.json#/paths/~1things~1{thing}',
    qr/match the same/,
    sub { $_[0]{paths}{'/things/{other}'} = { get => {
        %{ operation($_[0]) }, operationId => 'other_get',
        parameters => [{ name => 'other', in => 'path',
            required => JSON::PP::true,
            schema => { type => 'string' } }] } } });

refused('an unknown keyword of a schema', "$get/parameters/0/schema/minLenght",
    qr/minLenght/, sub { operation($_[0])->{parameters}[0]{schema}{minLenght}
        = 1 });
refused('a pattern that is none', "$get/parameters/0/schema/pattern",
    qr/pattern/i, sub { operation($_[0])->{parameters}[0]{schema}{pattern}
        = '(' });
refused('a reference to nothing', "$get/parameters/0/schema/\$ref", qr/Nothing/,
    sub { operation($_[0])->{parameters}[0]{schema}
        = { '$ref' => '#/components/schemas/Nothing' } });
refused('a reference to a file that is not there',
    "$get/parameters/0/schema/\$ref", qr/nothing\.json/,
    sub { operation($_[0])->{parameters}[0]{schema}
        = { '$ref' => 'nothing.json#/x' } });
refused('a reference to a URL', "$get/parameters/0/schema/\$ref", qr/https/,
    sub { operation($_[0])->{parameters}[0]{schema}
        = { '$ref' => 'https://example.com/x.json' } });

# a mistake in another file is told with that file's name

refused('a mistake in a referenced file', 'more.json#/a/typo',
    qr/typo/, sub { operation($_[0])->{parameters}[0]{schema}
        = { '$ref' => 'more.json#/a' } }, 'more.json' => '{"a":{"typo":1}}');
refused('a referenced file that is no JSON', 'more.json:1:6', qr/more\.json/,
    sub { operation($_[0])->{parameters}[0]{schema}
        = { '$ref' => 'more.json#/a' } }, 'more.json' => '{"a":}');

{
    my ($ok, $said) = verdict("{\n \"openapi\": \"3.1.0\",\n \"openapi\": 1}");
    ok !$ok, 'a key twice is refused';
    like $said, qr/api\.json:3:\d+: .*twice/, 'with line and column';

    ($ok, $said) = verdict('');
    ok !$ok, 'an empty file is refused';
}

# several files, cycles included, become one

accepted('a document of several files with a cycle', sub {
    operation($_[0])->{responses}{200}{content} = { 'application/json' => {
        schema => { '$ref' => 'more.json#/schemas/Node' } } };
    return 'more.json' => $json->encode({ schemas => { Node => {
        type => 'object', properties => { next => {
            '$ref' => '#/schemas/Node' } } } } });
});

done_testing;
