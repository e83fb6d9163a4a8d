package OpenapiFaults;

# Each mistake that the loader of OpenAPI documents refuses, for t/openapi.t:
# those of the document as a whole, its references and its permissions.  Those
# of operations are in OpenapiOperationFaults.pm.
#
# A fault is [name, what spoils the document, the pointer that must be told,
# the sentence, further files]; "<dir>" in a sentence is the documents'
# directory, and a name in front of "#" the file, if it is not api.json.

use strict;
use warnings;

use Exporter qw(import);

use OpenapiDocument;

our @EXPORT = qw(faults);

my $schema = "$get/parameters/0/schema";


sub faults { return (whole(), grammar(), references(), access(), roles()) }


sub whole {
    my $version = 'only version 3.1 of OpenAPI is supported: write "3.1.0"';
    my $url = 'does not say below which path the operations are: write it '
        . 'without variables, query or percent-escapes, like '
        . '"/api/provisioning"';
    my $database = 'cannot name a schema of the database: write snake_case of '
        . 'at most 63 bytes that does not begin with "pg_"';

    return (
        ['an array', '[]', '', 'an OpenAPI document must be an object: write '
            . '{...}'],
        ['a document without a version', at('/openapi'), '',
         'this is not an OpenAPI document: write "openapi": "3.1.0"'],
        (map { ["version $_", at('/openapi', $_), '/openapi', $version] }
            '3.0.3', '3.1', '3.1.', '3.1.0-rc', '3.10.0', '2.0', 3.1),
        ['another dialect', at('/jsonSchemaDialect', 'https://x.test/'),
         '/jsonSchemaDialect', 'only JSON Schema 2020-12 is understood: write '
            . '"https://json-schema.org/draft/2020-12/schema" or remove it'],
        (map { ["the server \"$_\"", at('/servers/0/url', $_),
                '/servers/0/url', "\"$_\" $url"] }
            't', '//x.test/t', 'ftp://x.test/t', '/a//b', '/a/../b', '/a/./b',
            '/{v}', '/t?x=1', '/t#x', '/%74', '/a b', 'https://x.test//t'),
        (map { ["the schema \"$_\"", at('/x-database-schema', $_),
                '/x-database-schema', "\"$_\" $database"] }
            'x; drop', 'pg_catalog', 'Partner', '_a', 'a_', 'a__b', '1a',
            "\x{e4}", 'a' x 64),
        (map { ["the entrance \"$_\"", at('/x-database-enter', $_),
                '/x-database-enter', "\"$_\" cannot name a function of the "
                . 'database\'s schema "prov": write snake_case of at most 63 '
                . 'bytes, like "operator_enter"'] }
            'enter(); drop', 'prov.enter', 'Enter', 'a' x 64),
        ['a tag twice', at('/tags', [{ name => 'a' }, { name => 'b' },
            { name => 'a' }]), '/tags/2', 'the tag "a" is there twice: remove '
            . 'one'],
        ['a document without paths', at('/paths'), '', '"paths" is missing in '
            . 'an OpenAPI document: write "paths": {"/...": {...}}'],
        ['a document without operations', at('/paths', {}), '/paths',
         'there is no operation: write a path that has, for example, a '
            . '"get"'],
    );
}


sub grammar {
    my $paths = '/paths/~1things~1{thing}';
    my $servers = 'all operations are served below the first of the '
        . 'document\'s "servers": write them there';

    return (
        ['a text for an object', at('/info', 'T'), '/info',
         'an info object must be an object: write {...}'],
        ['a text for an operation', at($get, 'x'), $get,
         'an operation must be an object: write {...}'],
        ['a number for a text', at('/info/title', 1), '/info/title',
         'this must be a string: write "..."'],
        ['a text for a boolean', at("$get/deprecated", 'no'),
         "$get/deprecated", 'this must be true or false'],
        ['an object for an array', at('/tags', {}), '/tags',
         'this must be an array: write [...]'],
        ['an array for an object', at("$get/responses", []), "$get/responses",
         'this must be an object: write {...}'],
        ['an empty text', at('/info/title', ''), '/info/title', 'this must '
            . 'not be empty: write "title": the name of the API'],
        ['a misspelt member', at("$get/sumary", 'x'), "$get/sumary",
         '"sumary" is not a member of an operation in OpenAPI 3.1: correct its '
            . 'spelling or remove it'],
        ['an extension where there is none', at('/info/x-logo', 'x'),
         '/info/x-logo', 'the extension "x-logo" is not known, and an info '
            . 'object has none: remove it'],
        ['another extension of the document', at('/x-role', {}), '/x-role',
         'the extension "x-role" is not known; those of an OpenAPI document '
            . 'are x-roles, x-database-schema and x-database-enter'],
        ['another extension of an operation', at("$get/x-permision", 'x'),
         "$get/x-permision", 'the extension "x-permision" is not known; those '
            . 'of an operation are x-permission, x-handler, x-stream, '
            . 'x-several, x-event-stream, x-validate-result, x-secret and '
            . 'x-outbound-url'],
        ['several reads of an operation',
         at("$get/x-several", JSON::PP::true), "$get/x-several",
         'only a change that a function serves, whose path has no parameters '
            . 'and whose result is not validated, shares a statement with '
            . 'others: remove this x-several'],
        ['a name without room for another one', at('/paths/~1long',
            { post => { operationId => 'a' x 56,
                        'x-several' => JSON::PP::true,
                        'x-permission' => 'thing:read',
                        responses => { 200 => { description => 'x' } } } }),
         '/paths/~1long/post/x-several', 'only an operationId of at most 55 '
            . 'bytes leaves room for "_several" in a name of PostgreSQL\'s: '
            . 'remove this x-several'],
        ['an extension between callbacks', at("$get/callbacks/c/x-a", {}),
         "$get/callbacks/c/x-a", 'the extension "x-a" is not known, and a '
            . 'callback has none: remove it'],
        ['no operationId', at("$get/operationId"), $get, '"operationId" is '
            . 'missing in an operation: write "operationId": the name of the '
            . 'SQL function, in snake_case'],
        ['no responses', at("$get/responses"), $get, '"responses" is missing '
            . 'in an operation: write "responses": at least one'],
        ['no schema of the database', at('/x-database-schema'), '',
         '"x-database-schema" is missing in an OpenAPI document: write '
            . '"x-database-schema": the PostgreSQL schema of the operations\' '
            . 'functions'],
        ['a server without a URL', at('/servers/0/url'), '/servers/0',
         '"url" is missing in a server: write "url": where the API is served, '
            . 'for example "/api/provisioning"'],
        (map {
            my ($in, $name, $why, $what, $value) = @$_;
            ["\"$name\" of $what", at("$in/$name", $value // {}), "$in/$name",
             "\"$name\" is not supported in $what; $why"]
        } [$paths, 'head', 'HEAD is answered by the path\'s "get": remove it',
           'a path item'],
          [$paths, 'options', 'OPTIONS is answered with 405 and the methods a '
              . 'path has: remove it', 'a path item'],
          [$paths, 'trace', 'TRACE is never served: remove it',
           'a path item'],
          [$paths, 'servers', $servers, 'a path item'],
          [$get, 'servers', $servers, 'an operation'],
          ["$get/parameters/0", 'content', 'a parameter\'s value is checked '
              . 'against a "schema": write that instead', 'a parameter'],
          ["$get/parameters/0", 'allowEmptyValue', 'whether the value may be '
              . 'empty is for its "schema" to say ("minLength"): remove it',
           'a parameter', $true],
          ["$get/responses/200/content/a~1b", 'encoding', 'forms in several '
              . 'parts are not read: remove it', 'a media type object'],
          ["$get/responses/200/headers/A", 'content', 'a header\'s value is '
              . 'described by a "schema": write that instead', 'a header'],
          ["$get/responses/200/links/a", 'operationRef', 'write "operationId" '
              . 'instead: it is checked', 'a link', 'x']),
        ['a path without a slash', at('/paths/things', {}), '/paths/things',
         'a path begins with "/": write "/things"'],
        (map { ["the status \"$_\"", at("$get/responses/$_",
                    { description => 'x' }), "$get/responses/$_",
                "\"$_\" is not a status: write one like \"200\" or \"4XX\", or "
                    . '"default"'] }
            '600', '099', '20', '2000', '4xx', '4X1', 'ok'),
        (map { ["the media type \"$_\"", at("$get/responses/200/content",
                    { $_ => {} }),
                "$get/responses/200/content/" . s{/}{~1}gr,
                "\"$_\" is not a media type: write one like "
                    . '"application/json"'] }
            'json', '/json', 'application/'),
        ['a component with a blank', at('/components/schemas/a b', {}),
         '/components/schemas/a b', '"a b" cannot name a component: use '
            . 'letters, digits, ".", "-" and "_"'],
        ['a scheme that is not declared', at('/security', [{ bear => [] }]),
         '/security/0/bear', 'there is no security scheme "bear": declare it '
            . 'in components/securitySchemes'],
        ['a scheme that is not complete',
         at('/components/securitySchemes/k', { type => 'apiKey', in =>
             'header' }), '/components/securitySchemes/k',
         '"name" is missing in a security scheme of the type "apiKey": add '
            . 'it'],
        ['a scheme of another type',
         at('/components/securitySchemes/k', { type => 'basic' }),
         '/components/securitySchemes/k/type', '"basic" is not a type of '
            . 'security scheme: write "http", "apiKey", "oauth2", '
            . '"openIdConnect" or "mutualTLS"'],
    );
}


sub references {
    my $ref = sub { at($schema, { '$ref' => $_[0] }) };
    my $nothing = 'there is nothing at';
    my $percent = 'has a "%" that is not followed by the two hexadecimal '
        . 'digits of a character: write "%25"';
    my $scheme = 'is a URL, and nothing is fetched: save the document beside '
        . 'this one and refer to the file';

    return (
        ['a reference to nothing', $ref->('#/components/schemas/X'),
         "$schema/\$ref", "$nothing \"#/components/schemas/X\" in "
            . '"<dir>/api.json"'],
        (map { ["a reference to \"$_\"", $ref->("a.json#$_"),
                "$schema/\$ref", "$nothing \"#$_\" in \"<dir>/a.json\"",
                'a.json' => '{"a":[{},{}],"":{}}'] }
            '/b', '/a/2', '/a/00', '/a/-', '/a/x', '/a/0/b', '/a~2', '/a~'),
        ['a reference that is a number', at($schema, { '$ref' => 1 }),
         "$schema/\$ref", '"$ref" must be a string like "#/..." or '
            . '"file.json#/..."'],
        (map { ["a reference to $_", $ref->($_), "$schema/\$ref",
                "\"$_\" $scheme"] }
            'https://x.test/a.json', 'file:///a.json', 'urn:a', '//x.test/a',
            'a+b-c.1:x'),
        ['a reference to an absolute name', $ref->('/etc/a.json#/a'),
         "$schema/\$ref", '"/etc/a.json#/a" is not relative: name the file as '
            . 'seen from the one that refers to it'],
        ['a reference to an anchor', $ref->('#thing'), "$schema/\$ref",
         '"#thing" is an anchor: write a JSON pointer like '
            . '"#/components/schemas/..."'],
        (map { ["a reference with \"$_\"", $ref->("#/a$_"), "$schema/\$ref",
                "\"/a$_\" $percent"] } '%', '%4', '%zz', '%00'),
        ['a name of a file with a bad escape', $ref->('%zz.json'),
         "$schema/\$ref", "\"%zz.json\" $percent"],
        ['a member beside a reference',
         at("$get/parameters/0", { '$ref' => '#/x', required => $true }),
         "$get/parameters/0/required", '"required" has no effect beside a '
            . '"$ref": write it where the reference leads'],
        ['a description beside a reference that is a number',
         at("$get/parameters/0", { '$ref' => '#/x', description => 1 }),
         "$get/parameters/0/description", 'this must be a string: write '
            . '"..."'],
        ['a schema that refers to no schema', $ref->('#/info'),
         "$schema/\$ref", 'this must lead to a schema, and what is there is '
            . 'something else'],
        ['a parameter that refers to a schema',
         at("$get/parameters/0", { '$ref' => "#$schema" }),
         "$get/parameters/0/\$ref", "$nothing \"#$schema\" in "
            . '"<dir>/api.json"'],
        ['a response that refers to a header', sub {
            at('/components/headers/H', { schema => {} })->(@_);
            at("$get/responses/200", { '$ref' => '#/components/headers/H' })
                ->(@_) },
         "$get/responses/200/\$ref", 'this must lead to a response, and what '
            . 'is there is something else'],
        ['a circle', at('/components/schemas', {
            A => { '$ref' => '#/components/schemas/B' },
            B => { '$ref' => '#/components/schemas/A' } }),
         '/components/schemas/A/$ref',
         'this leads round in a circle and never to a schema'],
        ['a circle of files', $ref->('a.json'), 'a.json#/$ref',
         'this leads round in a circle and never to a schema',
         'a.json' => '{"$ref":"b.json"}', 'b.json' => '{"$ref":"a.json"}'],
        ['a file that is not there', $ref->('none.json#/a'), "$schema/\$ref",
         'the file "<dir>/none.json" cannot be opened: No such file or '
            . 'directory'],
        ['a name of a file that has no end', $ref->(('a' x 300) . '.json'),
         "$schema/\$ref", 'the file "<dir>/' . ('a' x 300) . '.json" cannot be '
            . 'opened: File name too long'],
        ['a directory', $ref->('.'), "$schema/\$ref",
         '"<dir>/." is not a file'],
        ['a pipe that nobody writes to', $ref->('pipe'), "$schema/\$ref",
         '"<dir>/pipe" is not a file'],
        ['a file that is too large', $ref->('large'), "$schema/\$ref",
         'the file "<dir>/large" has more than 4194304 bytes: split it'],
        ['a document of too many files', at($schema, { allOf => [map {
            { '$ref' => "f$_.json" } } 1 .. 256] }), "$schema/allOf/255/\$ref",
         'the document has more than 256 files: put several schemas into one '
            . 'of them', map { ("f$_.json" => '{}') } 1 .. 256],
        ['a document of too many pieces', at($schema, { allOf => [map {
            { '$ref' => "a.json#/$_" } } 0 .. 4096] }),
         "$schema/allOf/4096/\$ref", 'the document refers to more than 4096 '
            . 'pieces of other files: refer to larger ones',
         'a.json' => '[' . join(',', ('{}') x 4097) . ']'],
        ['a mistake in another file', $ref->('a.json#/a~1%C3%A4'),
         "a.json#/a~1\x{e4}/items/typo", 'is not a known keyword: did you '
            . 'mean "type"?',
         'a.json' => qq({"a/\xc3\xa4":{"items":{"typo":1}}})],
        ['a mistake in a file of a file', $ref->('d/a.json'),
         'd/../b.json#/a/$ref', "$nothing \"#/x\" in \"<dir>/d/../b.json\"",
         'd/a.json' => '{"$ref":"../b.json#/a"}',
         'b.json' => '{"a":{"$ref":"#/x"}}'],
    );
}


sub access {
    my $name = 'is not a permission: write "resource:action" of at most 127 '
        . 'bytes in lower case, like "tenant:create"';

    return (
        ['an operation that is neither public nor permitted',
         at("$get/x-permission"), $get, '"x-permission" is missing: write '
            . '"x-permission": "resource:action", or "security": [] and an '
            . 'x-handler if everybody may call this operation'],
        ['one that is both', at("$get/security", []), "$get/x-permission",
         '"security": [] lets everybody call this operation: remove that, or '
            . 'the x-permission'],
        ['a function that is public', sub {
            at("$get/security", [])->(@_); at("$get/x-permission")->(@_) },
         "$get/security", '[] lets everybody call this operation, but an SQL '
            . 'function serves only a partner, whom a token names: name an '
            . 'x-handler, or remove this and write an x-permission'],
        ['a document that says nothing of authentication', at('/security'),
         $get, 'the operation has an x-permission, but neither it nor the '
            . 'document says how to authenticate: write "security": [{...}] at '
            . 'the top of the document'],
        ['a document that is public', at('/security', []), $get,
         'the operation has an x-permission, but neither it nor the document '
            . 'says how to authenticate: write "security": [{...}] at the top '
            . 'of the document'],
        ['authentication that is optional',
         at("$get/security", [{ bearer => [] }, {}]), "$get/security/1",
         '{} calls authentication optional, which it is not where there is an '
            . 'x-permission: name a security scheme'],
        (map { ["the permission \"$_\"", at("$get/x-permission", $_),
                "$get/x-permission", "\"$_\" $name"] }
            '', 'thing', ':read', 'thing:', 'a:b:c', 'Thing:read',
            'thing:rEad', 'thing read:x', 'thing:*', '*', '1a:b', 'a:1b',
            "a:\x{e4}", 'a:' . 'b' x 126),
    );
}


sub roles {
    my $name = 'cannot name a role: write 1 to 255 bytes without spaces';
    my $grants = 'grants nothing, as no operation has such an x-permission: '
        . 'write "resource:action" as an operation does, "resource:*" or "*"';

    return (
        ['roles in an array', at('/x-roles', []), '/x-roles', 'x-roles must '
            . 'be an object: write {"role": ["resource:action"]}'],
        (map { ["the role \"$_\"", at('/x-roles', { $_ => ['*'] }),
                "/x-roles/$_", "\"$_\" $name"] }
            '', 'a b', "a\t", "a\x7f", 'a' x 256),
        ['a grant that is no array', at('/x-roles/admin', 'thing:read'),
         '/x-roles/admin', 'the grants of a role must be an array: write '
            . '["resource:action"]'],
        ['a grant that is no text', at('/x-roles/admin', [1]),
         '/x-roles/admin/0', 'a grant must be a string: write '
            . '"resource:action"'],
        (map { ["the grant \"$_\"", at('/x-roles/admin', ['*', $_]),
                '/x-roles/admin/1', "\"$_\" $grants"] }
            '', 'thing', 'thing:', 'thing:r', 'thing:re*', 'thin:*', 'thing*',
            '*:read', ':*', '**', 'thing:readx', 'THING:*'),
        ['a permission that no role grants', at('/x-roles'),
         "$get/x-permission", 'no role grants "thing:read", so nobody could '
            . 'call this: add it to a role in x-roles'],
        ['too many permissions', sub {
            $_[0]{'x-roles'} = { a => ['*'] };
            $_[0]{paths} = { map { ("/p$_" => { get => {
                %{ operation("p$_") }, 'x-permission' => "p$_:read" } }) }
                1 .. 513 } },
         '', 'the operations have 513 permissions, and there may be at most '
            . '512: let several operations share one'],
    );
}

1;
