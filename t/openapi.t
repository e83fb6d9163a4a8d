#!/usr/bin/perl

# OpenAPI documents, without a server: each sentence that the loader has for a
# mistake, and what it makes of a document that is right; run by
# t/unit/openapi_unit.c.  And the corpus of the fuzz target.  What nginx says of
# a document is in t/documents.t, routes and permissions are in
# t/openapi_routes.t.
#
#   prove t/openapi.t
#
# NGX_BUILD and SANITIZE are explained in t/unit/Unit.pm.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/unit";

use File::Path qw(remove_tree);
use POSIX ();
use Test::More;

use OpenapiDocument;
use OpenapiFaults;
use OpenapiOperationFaults;
use Unit;

start();


# --- mistakes -------------------------------------------------------------

# The fault of a document: its file and pointer, or its line, and the sentence.

sub fault {
    write_files(@_) if @_;
    my $said = ask('load');

    my ($file, $pointer, $line, $column, $message) = $said
        =~ /\Afault\t(.*?)\t(.*)\t(\d+)\t(\d+)\t(.*)\n\z/s
        or return ('', $said, '');

    $file =~ s{^\Q$files\E/}{};
    utf8::decode($_) for $pointer, $message;

    return $line ? ("$file:$line:$column", '', $message)
                 : ($file, $pointer, $message);
}

my %told;

sub expect {
    my ($name, $where, $sentence, @got) = @_;
    my ($file, $pointer) = $where =~ /^([^#]*)#(.*)/s ? ($1, $2)
                                                      : ('api.json', $where);

    $sentence =~ s/<dir>/$files/g;
    $name =~ s/([^\x20-\x7e])/sprintf '\\x%02x', ord $1/ge;
    $name = substr($name, 0, 90) . ' ...' if length $name > 90;

    is_deeply(\@got, [$file, $pointer, $sentence],
        "$name is refused, and the fault says where and what to do");
    $told{ $got[2] } = 1;

    return;
}

for my $test (faults(), operation_faults()) {
    my ($name, $spoil, $where, $sentence, %others) = @$test;
    my $document = ref $spoil ? document() : $spoil;
    $spoil->($document) if ref $spoil;

    write_files($document, %others);

    if ($name =~ /pipe/) {
        POSIX::mkfifo("$files/pipe", 0600) or die "mkfifo: $!";

    } elsif ($name =~ /too large/) {
        open my $file, '>', "$files/large" or die "large: $!";
        truncate $file, 4 * 1024 * 1024 + 1 or die "large: $!";
    }

    expect($name, $where, $sentence, fault());
}

# what is no JSON has a line and a column

for (['an empty file', 'api.json:1:1', '', qr/./],
     ['a key twice', 'api.json:3:10', qq({\n "openapi": "3.1.0",\n "openapi": 1}),
      qr/twice/],
     ['a comma too many', 'api.json:3:1', qq({\n "a": 1,\n}), qr/./],
     ['a NUL', 'api.json:1:13', '{"a":"\u0000"}', qr/./],
     ['bytes that are no UTF-8', 'api.json:1:6', "{\"a\":\"\xff\"}", qr/UTF-8/],
     ['something behind the end', 'api.json:2:1', "{}\n{}", qr/./],
     ['a document too deep', 'api.json:1:129', '[' x 129, qr/deep/])
{
    my ($name, $where, $text, $said) = @$_;
    my @got = fault($text);

    is($got[0], $where, "$name is told with its line and column")
        or diag("@got");
    like($got[2], qr/^this is not JSON: .*$said/, "$name is told as such");
    $told{ $got[2] } = 1;
}

{
    my $document = document();
    at('/components/schemas/a', { '$ref' => 'd/a.json#/x' })->($document);
    my @got = fault($document, 'd/a.json' => "{\n x}");
    is($got[0], 'd/a.json:2:2', 'another file that is no JSON is named');
}

remove_tree($files);
expect('a document that is not there', '', 'the file "<dir>/api.json" cannot '
    . 'be opened: No such file or directory', fault());

# each sentence of the sources has been told: none is forgotten here, and none
# can never be told

{
    my @sentences;

    for my $source (glob "$root/src/openapi/*.c") {
        open my $in, '<', $source or die "$source: $!";
        my $text = do { local $/; <$in> };

        while ($text =~ /_fail\(load,\s*[^";]*?((?:"(?:[^"\\]|\\.)*"\s*)+)/g) {
            my $format = join '', $1 =~ /"((?:[^"\\]|\\.)*)"/g;
            push @sentences, $format =~ s/\\(.)/$1/gr;
        }
    }

    cmp_ok(scalar @sentences, '>', 90, 'the sources have sentences');

    # nobody can make these happen from outside, at the right moment

    # but for the last, which t/configuration_schema.t does through nginx

    my $never = qr/cannot\ be\ (?:examined|read)|became\ shorter
                   |the\ document\ takes\ no\ schema/x;

    for my $format (@sentences) {
        next if $format =~ $never;

        my $pattern = join '.*', map { quotemeta s/%%/%/gr }
            split /%(?:V|s|d|ui)/, $format, -1;
        ok(scalar(grep { /\A$pattern/s } keys %told), "\"$format\" is told");
    }
}

# --- what becomes of a document ---------------------------------------------

subtest 'a document is read' => sub {
    write_files({ %{ document() },
        servers => [{ url => 'https://x.test:8443/api/v1/' }, { url => '/x' }],
        paths => { '/' => { get => operation('root') },
            '/a/{y}/{x}' => { parameters => [parameter('x'),
                parameter('limit', in => 'header')], put => {
                %{ body('application/merge-patch+json', { schema => $true }) },
                operationId => 'put_a',
                'x-permission' => 'a:write',
                parameters => [
                    parameter('n', in => 'query',
                        schema => { type => ['integer', 'null'] }),
                    parameter('l', in => 'query', required => $true,
                        explode => $false, schema => { type => 'array',
                            items => { type => 'number' } }),
                    parameter('o', in => 'query', style => 'deepObject',
                        schema => { type => 'object' }),
                    parameter('y'),
                    parameter('limit', in => 'header',
                        schema => { type => 'boolean' })] } },
            '/live' => { get => public('live') } },
        'x-roles' => { z => ['*'], a => ['a:*'], m => ['thing:read', 'a:*'] },
    });
    is_deeply([ask('show')], ["file $files/api.json", 'base /api/v1',
        'schema partner', 'version 1', "reads $files/api.json",
        'permission a:write', 'permission thing:read',
        'role a a:write', 'role m a:write thing:read',
        'role z a:write thing:read',
        'operation root 0 GET / permission=thing:read handler=- npath=0 '
            . 'required=0 api=1',
        'operation put_a 1 PUT /a/{y}/{x} permission=a:write handler=- '
            . 'npath=2 required=0 api=1',
        'parameter path y types=10 required=1 explode=0 deep=0',
        'parameter path x types=10 required=1 explode=0 deep=0',
        'parameter query n types=05 required=0 explode=1 deep=0',
        'parameter query l types=20 required=1 explode=0 deep=0',
        'parameter query o types=40 required=0 explode=1 deep=1',
        'parameter header limit types=02 required=0 explode=0 deep=0',
        'media application/merge-patch+json',
        'operation live 2 GET /live permission=- handler=health_live npath=0 '
            . 'required=0 api=1'], 'into what requests need');

    for (['/', ''], ['/a/', '/a'], ['http://x.test', ''],
         ['https://x.test/', ''], ['/a.b-c_d~1', '/a.b-c_d~1'])
    {
        write_files({ %{ document() }, servers => [{ url => $_->[0] }] });
        is((ask('show'))[1], "base $_->[1]", "the server $_->[0] is $_->[1]");
    }

    my $none = document();
    delete $none->{servers};
    write_files($none);
    is((ask('show'))[1], 'base ', 'without a server it is the root');
};

subtest 'what is just within a bound is accepted' => sub {
    my $many = sub { my ($make, $n) = @_;
                     return { map { $make->($_) } 1 .. $n } };

    for (['a path of 64 segments', at('/paths/' . '~1a' x 64,
            { get => operation('other') })],
         ['a path of 32 parameters', sub { $_[0]{paths}{ join '', map {
            "/{p$_}" } 1 .. 32 } = { get => operation('other',
            map { parameter("p$_") } 1 .. 32) } }],
         ['a segment of 255 bytes', at('/paths/~1' . 'a' x 255,
            { get => operation('other') })],
         ['an operationId of 63 bytes', at("$get/operationId", 'a' x 63)],
         ['a schema of 63 bytes', at('/x-database-schema', 'a' x 63)],
         ['a permission of 127 bytes', at("$get/x-permission",
            'thing:' . 'a' x 121)],
         ['a role of 255 bytes', at('/x-roles', { 'a' x 255 => ['*'] })],
         ['a role in another script', at('/x-roles',
            { "\x{440}\x{43e}\x{43b}\x{44c}" => ['*'] })],
         ['1024 operations', sub { $_[0]{paths} = $many->(sub { ("/p$_" => {
            get => operation("g$_"), put => operation("p$_") }) }, 512) }],
         ['512 permissions', sub { $_[0]{'x-roles'} = { a => ['*'] };
            $_[0]{paths} = $many->(sub { ("/p$_" => { get => {
                %{ operation("p$_") }, 'x-permission' => "p$_:a" } }) },
                512) }])
    {
        my ($name, $spoil) = @$_;
        my $document = document();
        $spoil->($document);
        write_files($document);
        is(scalar ask('load'), "ok\n", $name);
    }

    my $document = document();
    at("$get/parameters/0/schema", { type => 'string',
        allOf => [map { { '$ref' => "f$_" } } 1 .. 255] })->($document);
    write_files($document, map { ("f$_" => '{}') } 1 .. 255);
    is(scalar ask('load'), "ok\n", '256 files');
};


subtest 'an example is one' => sub {
    my $media = "$get/responses/200/content/application~1json";

    for (['of each kind', at($media, { schema => { type => 'string',
            default => 'a', example => 'b', examples => ['c', 'd'] },
            examples => { a => { value => 'e' },
                b => { externalValue => 'https://x.test/e' } } })],
         ['of a schema with a cycle', sub {
            at('/components/schemas/N', { type => 'object', properties => {
                n => { '$ref' => '#/components/schemas/N' } },
                additionalProperties => $false })->(@_);
            at($media, { schema => { '$ref' => '#/components/schemas/N' },
                example => { n => { n => {} } } })->(@_) }],
         ['that only looks like a reference', at($media, { schema => {},
            example => { '$ref' => 'https://x.test/', 'x-a' => 1 } })])
    {
        my ($name, $spoil) = @$_;
        my $document = document();
        $spoil->($document);
        write_files($document);
        is(scalar ask('load'), "ok\n", $name);
    }
};


# --- the document that is served ----------------------------------------------

subtest 'many files become one' => sub {
    my $document = document();
    my $content = "$get/responses/200/content/application~1json/schema";
    my $more = '/paths/~1more/post';

    at($content, { '$ref' => 'd/a.json#/Node' })->($document);
    at('/components/schemas/Node', { type => 'null' })->($document);
    at("$get/parameters/0", { '$ref' => './d/../b.json#/p%20%7E1%C3%A4' })
        ->($document);
    at($more, body('application/json', { schema => {
        anyOf => [{ '$ref' => 'd/a.json' }, { '$ref' => 'd/a.json#' },
            { '$ref' => 'd/a.json#/Node' }, { '$ref' => 'c.json#/list/1' },
            { '$ref' => 'api.json#/components/schemas/Node' }] } }))
        ->($document);
    delete $document->{paths}{'/more'}{post}{parameters};

    my $parameter = parameter('thing');
    write_files($document,
        'd/a.json' => $json->encode({ title => 'A', '$defs' => {},
            Node => { type => 'object', properties => {
                next => { '$ref' => '#/Node' },
                up => { '$ref' => '../api.json#/components/schemas/Node' },
                far => { '$ref' => '../c.json#/list/0' } } } }),
        'b.json' => $json->encode({ "p /\x{e4}" => $parameter }),
        'c.json' => $json->encode({ list => [
            { '$ref' => 'd/a.json#/Node', description => 'D' }, $true] }));

    my @got = fault();
    is_deeply([@got[0, 1]], ['d/a.json', '/Node'],
        'a file that is referred to as a whole is one schema');

    splice @{ $document->{paths}{'/more'}{post}{requestBody}{content}
        {'application/json'}{schema}{anyOf} }, 0, 2;
    my %others = map { ($_ => slurp($_)) } 'd/a.json', 'b.json', 'c.json';
    write_files($document, %others);

    my $served = eval { $json->decode(scalar ask('document')) };
    ok($served, 'the document is JSON') or diag($@);

    my $components = $served->{components};
    is_deeply([sort keys %{ $components->{schemas} }],
        ['0', '1', 'Node', 'Node_2'],
        'a name that is taken gets a number, and each piece is there once');
    is_deeply($served->{paths}{'/things/{thing}'}{get}{responses}{200}
        {content}{'application/json'}{schema},
        { '$ref' => '#/components/schemas/Node_2' },
        'a reference leads to where the piece is now');
    is_deeply($components->{schemas}{Node_2}{properties},
        { next => { '$ref' => '#/components/schemas/Node_2' },
          up => { '$ref' => '#/components/schemas/Node' },
          far => { '$ref' => '#/components/schemas/0' } },
        'those of the pieces, too: to itself, to the root, to a third file');
    is_deeply($components->{schemas}{0},
        { '$ref' => '#/components/schemas/Node_2', description => 'D' },
        'what stands beside a reference stays');
    is_deeply([map { $_->{'$ref'} } @{ $served->{paths}{'/more'}{post}
        {requestBody}{content}{'application/json'}{schema}{anyOf} }],
        [map { "#/components/schemas/$_" } 'Node_2', '1', 'Node'],
        'a file is the same by each of its names');
    is_deeply($components->{parameters}, { p__1__ => $parameter },
        'a name that cannot name a component is made one');

    my $text = ask('document');
    unlike($text, qr/"x-|a\.json|c\.json/, 'no extension and no file is left');
    is_deeply([grep { /^reads/ } ask('show')], [map { "reads $files/$_" }
        'api.json', 'd/a.json', 'c.json', 'd/../b.json'],
        'all files are known, once each');
};

subtest 'only extensions go' => sub {
    my $document = document();
    my $media = "$get/responses/200/content/application~1json";

    at($media, { schema => { properties => { 'x-a' => { type => 'string' } } },
        example => { 'x-a' => 'b' } })->($document);
    at("$get/responses/200/headers/x-b", { schema => {} })->($document);
    at('/components/schemas/x-c', {})->($document);
    at('/components/securitySchemes/x-d', { type => 'mutualTLS' })
        ->($document);
    at("$get/security", [{ 'x-d' => [] }])->($document);
    at('/x-database-enter', 'side_door')->($document);
    write_files($document);

    my $expected = $json->decode($json->encode($document));
    delete $expected->{$_} for 'x-roles', 'x-database-schema',
        'x-database-enter';
    delete $expected->{paths}{'/things/{thing}'}{get}{'x-permission'};

    is_deeply($json->decode(scalar ask('document')), $expected,
        'and what only begins with "x-" stays');
};


# --- without memory -----------------------------------------------------------

{
    my $document = document();
    at("$get/responses/200/content/application~1json", { schema => {
        '$ref' => 'a.json#/a' }, example => { a => {} } })->($document);
    at('/paths/~1more/post', body('application/json', { schema => {
        '$ref' => '#/components/schemas/s' } }))->($document);
    at('/components/schemas/s', { type => 'string', pattern => '^a+$',
        examples => ['aa'] })->($document);
    delete $document->{paths}{'/more'}{post}{parameters};
    write_files($document, 'a.json' => '{"a":{"properties":{"a":'
        . '{"$ref":"#/a"}}}}');

    is(scalar ask('memory'), "ok\n",
       'each allocation that fails is told, and nothing else comes of it');
}


replay('t/fuzz/openapi_fuzz.c', 'openapi');

done_testing();
