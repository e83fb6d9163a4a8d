package OpenapiOperationFaults;

# The mistakes in paths, operations, parameters, bodies and examples, in the
# form that OpenapiFaults.pm has.

use strict;
use warnings;

use Exporter qw(import);

use OpenapiDocument;

our @EXPORT = qw(operation_faults);

my $schema = "$get/parameters/0/schema";


sub operation_faults {
    return (paths(), operations(), parameters(), bodies(), values_of());
}


sub paths {
    my $item = { get => operation('other') };
    my $never = 'can never be asked for: write a name of at most 255 bytes '
        . 'that is not "." or ".." and has no "/" in it';
    my $template = 'a parameter must be the whole segment, and its name of '
        . 'letters, digits, ".", "-" and "_": write "{name}"';
    my $escaped = sub { '/paths/' . $_[0] =~ s/~/~0/gr =~ s/\//~1/gr };
    my $path = sub {
        my ($path, $sentence) = @_;
        return ["the path \"$path\"", at($escaped->($path), $item),
                $escaped->($path), $sentence];
    };

    return (
        (map { $path->($_, 'the path has an empty segment: write it without '
            . '"//" and without a "/" at the end') } '/a/', '/a//b', '//'),
        (map { $path->("/a/$_/b", "in the segment \"$_\" $template") }
            '{}', '{x', 'x}', 'a{x}', '{x}a', '{x}{y}', '{a b}', '{{x}}'),
        $path->('/{x}/{x}', 'the path has "{x}" twice: rename one of them'),
        (map { $path->("/a/$_", "the segment \"$_\" is not well encoded: "
            . 'write "%" as "%25", and UTF-8') }
            '%', '%4', '%zz', '%00', '%ff', '%c0%80', '%ed%a0%80',
            '%f4%90%80%80', '%e2%82'),
        (map { $path->("/a/$_", "the segment \"$_\" $never") }
            '.', '..', '%2e', '.%2E', 'a%2Fb', 'x' x 256),
        ['the path of 65 segments', at($escaped->('/a' x 65), $item),
         $escaped->('/a' x 65), 'a path has at most 64 segments'],
        ['the path of 33 parameters', sub { $_[0]{paths}{ join '',
            map { "/{p$_}" } 1 .. 33 } = $item },
         $escaped->(join '', map { "/{p$_}" } 1 .. 33), 'a path has at most 32 parameters'],
        ['a path without an operation', at('/paths/~1a', { summary => 'x' }),
         '/paths/~1a', 'the path "/a" has no operation: write, for example, a '
            . '"get"'],
        ['two templates of the same requests',
         at('/paths/~1things~1{other}', { get => operation('other',
             parameter('other')) }),
         '/paths/~1things~1{thing}', 'the paths "/things/{other}" and '
            . '"/things/{thing}" match the same requests: make one of them'],
        ['two encodings of one path', sub {
            $_[0]{paths}{'/b'} = $item;
            $_[0]{paths}{'/%62'} = { get => operation('another') } },
         '/paths/~1b', 'the paths "/%62" and "/b" match the same requests: '
            . 'make one of them'],
        ['an operation of two paths', sub {
            $_[0]{components}{pathItems}{p} = $item;
            $_[0]{paths}{"/$_"}{'$ref'} = '#/components/pathItems/p'
                for 'a', 'b' },
         '/components/pathItems/p/get',
         'two paths lead to this operation, the second is "/b": an operation '
            . 'has one'],
    );
}


sub operations {
    my $id = 'cannot name an SQL function here: write snake_case of at most 63 '
        . 'bytes, like "tenant_create"';
    my $handler = 'cannot name a handler: write snake_case of at most 63 '
        . 'bytes, or remove it to have the SQL function called';
    my $callback = "$get/callbacks/c/{\$url}/post";
    my $result = '/paths/~1other/post/x-validate-result';
    my $changes = 'only a change that a function makes has a result that can '
        . 'be refused: remove this x-validate-result';
    my $validated = sub {
        my ($x, %more) = @_;
        return at('/paths/~1other', { post => { %{ operation('thing_add') },
            'x-validate-result' => $x, %more } });
    };

    my $kept = '/paths/~1other/post/x-secret';
    my $secret = sub {
        my ($x) = @_;
        return at('/paths/~1other', { post => { %{ operation('thing_add') },
            'x-secret' => $x } });
    };

    return (
        (map { ["the operationId \"$_\"", at("$get/operationId", $_),
                "$get/operationId", "\"$_\" $id"] }
            'thingGet', 'thing-get', '_a', 'a_', 'a__b', '1a', 'a b',
            'a' x 64),
        ['an operationId twice',
         at('/paths/~1other', { get => operation('thing_get') }),
         "$get/operationId", '"thing_get" is already the operationId of '
            . '"#/paths/~1other/get": rename one of them'],
        ['too many operations', sub { $_[0]{paths} = { map { ("/p$_" => {
            get => operation("g$_"), put => operation("p$_") }) }
            1 .. 513 } },
         '/paths/~1p99/get',
         'there are more than 1024 operations: make two documents of them'],
        (map { ["the handler \"$_\"", at("$get/x-handler", $_),
                "$get/x-handler", "\"$_\" $handler"] } '', 'Live', 'a-b'),
        ['a change as a stream', at('/paths/~1other', { post => {
            %{ operation('thing_add') }, 'x-stream' => JSON::PP::true } }),
            '/paths/~1other/post/x-stream',
            'only a "get" that a function serves can be answered page by '
            . 'page: remove this x-stream'],
        ['a change to listen to', at('/paths/~1other', { post => {
            %{ operation('thing_add') }, 'x-event-stream' => 'events' } }),
            '/paths/~1other/post/x-event-stream',
            'only a "get" that a function answers with JSON can be listened '
            . 'to as well: remove this x-event-stream'],
        ['a handler of streams without a name',
            at("$get/x-event-stream", 'a-b'), "$get/x-event-stream",
            "\"a-b\" $handler"],
        ['the result of a read', at("$get/x-validate-result",
            { member => 'thing', schema => {} }), "$get/x-validate-result",
            $changes],
        ['the result of a handler', at('/paths/~1other', { post => {
            %{ public('thing_add') }, 'x-handler' => 'health_live',
            'x-validate-result' => { member => 'thing', schema => {} } } }),
            $result, $changes],
        ['a result without a schema', $validated->({ member => 'thing' }),
         $result, '"schema" is missing in an x-validate-result: write '
            . '"schema": what the result must be'],
        ['a result that is all of the answer', $validated->({ schema => {} }),
         $result, '"member" is missing in an x-validate-result: write '
            . '"member": the member of the answer that has the result'],
        (map { ["the member \"$_\"", $validated->({ member => $_,
                schema => {} }), "$result/member", "\"$_\" cannot name a "
                . 'member here: write snake_case of at most 63 bytes, like '
                . '"configuration"'] } 'a b', 'a"', 'Thing', 'a' x 64),
        ['a result that is no schema', $validated->({ member => 'thing',
            schema => { type => 'thing' } }), "$result/schema/type",
         'names a type that there is not: write "string", "number", '
            . '"integer", "boolean", "object", "array" or "null"'],
        ['a result that is no object', $validated->(JSON::PP::true), $result,
         'an x-validate-result must be an object: write {...}'],
        ['a misspelt member of a result', $validated->({ member => 'thing',
            shema => {} }), "$result/shema", '"shema" is not a member of an '
            . 'x-validate-result in OpenAPI 3.1: correct its spelling or '
            . 'remove it'],
        ['the secret of a read', at("$get/x-secret", { purpose => 'x',
            make => 'webhook' }), "$get/x-secret", 'only a change that '
            . 'a function makes can keep a secret: remove this x-secret'],
        ['a secret for nothing', $secret->({ make => 'webhook' }),
         $kept, '"purpose" is missing in an x-secret: write "purpose": what '
            . 'the secret is for, in snake_case'],
        ['a secret that is none', $secret->({ purpose => 'thing' }), $kept,
         'nothing is to be kept secret: write "make" to have a secret made, '
            . 'or "member" to have that of the body sealed'],
        ['a secret that nobody can make', $secret->({ purpose => 'thing',
            make => 'gold' }), "$kept/make", '"gold" is nothing that is made '
            . 'here: write "webhook" or "api_key"'],
        (map { my $name = $_; map { ["the $name \"$_\" of a secret",
                $secret->({ purpose => 'thing', make => 'webhook',
                            $name => $_ }), "$kept/$name", "\"$_\" cannot be "
                . 'a name here: write snake_case of at most 63 bytes, like '
                . '"webhook_endpoint"'] } 'a b', 'a"', 'Thing', 'a' x 64 }
            'purpose', 'member'),
        ['a secret of nobody', $secret->({ purpose => 'thing',
            make => 'webhook', owner => 'thing' }), "$kept/owner",
         'the path has no parameter "thing": write the name of the one that '
            . 'says whose the secret is, or remove it where the operation '
            . 'makes the owner'],
        ['a misspelt member of a secret', $secret->({ purpose => 'thing',
            mke => 'webhook' }), "$kept/mke", '"mke" is not a member of '
            . 'an x-secret in OpenAPI 3.1: correct its spelling or remove it'],
        ['a URL where there is no body', at("$get/x-outbound-url", 'url'),
         "$get/x-outbound-url", 'only a body that a function is called with '
            . 'is looked at: remove this x-outbound-url'],
        ['a URL without a name', at('/paths/~1other', { post => {
            %{ operation('thing_add') }, 'x-outbound-url' => 'a b',
            requestBody => { content => { 'application/json' => {
                schema => {} } } } } }),
         '/paths/~1other/post/x-outbound-url', '"a b" cannot name a member '
            . 'here: write snake_case of at most 63 bytes, like "url"'],
        ['an operation without a response', at("$get/responses", {}),
         "$get/responses", 'an operation answers something: write at least '
            . 'one response'],
        (map { ["\"$_\" of a callback", at($callback, {
                    operationId => 'called', $_ => 'a:b', responses => {
                        200 => { description => 'x' } } }),
                $callback . "/$_", "\"$_\" has no effect, as no member of "
                    . '"paths" leads to this operation: remove it'] }
            'x-permission', 'x-handler'),
        ['a link to nowhere', at("$get/responses/200/links/l",
            { operationId => 'nowhere' }),
         "$get/responses/200/links/l/operationId", 'there is no operation '
            . '"nowhere": write the operationId of one'],
    );
}


sub parameters {
    my $second = "$get/parameters/1";
    my $twice = 'and the function is given all of them in one object: rename '
        . 'or remove one';
    my $types = 'write a "type" that is one or several of "string", '
        . '"integer", "number", "boolean"';
    my $query = 'the schema does not say how to read the text of a query: '
        . 'write a "type" that is either "array" or one or several of '
        . '"string", "integer", "number", "boolean"; an object has the style '
        . '"deepObject"';
    my $items = 'the schema does not say how to read the elements of a '
        . 'query\'s array: write "items" with a "type" that is one or several '
        . 'of "string", "integer", "number", "boolean"';
    my $object = sub { second('o', in => 'query', style => 'deepObject',
                              schema => { type => 'object', @_ }) };
    my $members = 'the members of a "deepObject" are read as strings: write '
        . '"type": "string"';

    return (
        ['a parameter twice', second('thing'), $second,
         "the operation has two parameters \"thing\", $twice"],
        ['a name in two places', second('thing', in => 'query'), $second,
         "the operation has two parameters \"thing\", $twice"],
        ['a permission for a parameter that everybody may give', sub {
            at($get, public('thing_get'))->(@_);
            at("$get/parameters", [parameter('thing'), parameter('q',
                in => 'query', 'x-permission' => 'thing:read')])->(@_) },
         "$second/x-permission", '"thing_get" lets everybody call it, and '
            . 'nobody is known to have a permission there: remove this '
            . 'x-permission, or the operation\'s "security": []'],
        ['a permission for a parameter that nobody can give',
         at('/components/parameters', { q => parameter('q', in => 'query',
            'x-permission' => 'other:read') }),
         '/components/parameters/q/x-permission', 'no operation that is '
            . 'served has this parameter: remove its x-permission'],
        ['a header in two cases', sub {
            second('X-Y', in => 'header')->(@_);
            at("$get/parameters/2", parameter('x-y', in => 'header'))->(@_) },
         "$get/parameters/2",
         "the operation has two parameters \"x-y\", $twice"],
        ['a name of the path\'s for a query of the operation\'s', sub {
            second('q', in => 'query')->(@_);
            at('/paths/~1things~1{thing}/parameters',
               [parameter('q', in => 'header')])->(@_) },
         '/paths/~1things~1{thing}/parameters/0',
         "the operation has two parameters \"q\", $twice"],
        ['a parameter of the path that may be absent',
         at("$get/parameters/0/required"), "$get/parameters/0",
         'a parameter of the path is never absent: write "required": true'],
        (map { ["a parameter in \"$_\"", second('c', in => $_), "$second/in",
                "a parameter in \"$_\" is not supported: write \"path\", "
                    . '"query" or "header"'] } 'cookie', 'body', 'Query'),
        (map { ["the header \"$_\"", second($_, in => 'header'),
                "$second/name", "OpenAPI describes \"$_\" elsewhere and "
                    . 'ignores it here: remove this parameter'] }
            'Accept', 'content-type', 'AUTHORIZATION'),
        (map { ["a parameter \"$_\"", second($_, in => 'query'),
                "$second/name", "\"$_\" cannot name a parameter: use letters, "
                    . 'digits, ".", "-" and "_"'] }
            'a b', 'a[]', "\x{e4}", 'a=b'),
        (map {
            my ($in, $style, $write) = @$_;
            ["the style \"$style\" in \"$in\"", second('s', in => $in,
                 style => $style), $second,
             "the style \"$style\" is not supported in \"$in\": write $write"]
        } ['query', 'spaceDelimited', '"form" or "deepObject"'],
          ['query', 'simple', '"form" or "deepObject"'],
          ['header', 'form', '"simple"'], ['header', 'deepObject',
           '"simple"']),
        ['a matrix in the path', at("$get/parameters/0/style", 'matrix'),
         "$get/parameters/0", 'the style "matrix" is not supported in "path": '
            . 'write "simple"'],
        ['a deep object in one piece', second('o', in => 'query',
            style => 'deepObject', explode => $false,
            schema => { type => 'object' }), $second,
         'the style "deepObject" writes each member by itself: write '
            . '"explode": true'],
        ['a parameter that the path has not', second('other'), $second,
         'the path "/things/{thing}" has no "{other}": remove this parameter '
            . 'or correct its name'],
        ['a parameter of the path that is not described',
         at("$get/parameters", []), $get, 'the path has "{thing}", but no '
            . 'parameter of that name is in "path": declare one'],
        ['a deep object that may be a text', second('o', in => 'query',
            style => 'deepObject'), "$second/schema", 'the style "deepObject" '
            . 'is for objects: write "type": "object"'],
        (map { ["an object of numbers by its $_->[0]",
                $object->($_->[0], $_->[1]), "$second/schema/$_->[2]",
                $members] }
            ['properties', { a => { type => 'string' },
                             n => { type => 'integer' } }, 'properties/n'],
            ['additionalProperties', { type => 'number' },
             'additionalProperties']),
        (map { ["a query of any \"$_->[0]\"", second('q', in => 'query',
                schema => $_->[1]), "$second/schema", $query] }
            ['value', {}], ['object', { type => 'object' }],
            ['text or array', { type => ['string', 'array'] }]),
        (map { ["a query of an array of $_->[0]", second('q', in => 'query',
                schema => { type => 'array', @{ $_->[1] } }),
                "$second/schema", $items] }
            ['anything', []],
            ['objects', [items => { type => 'object' }]],
            ['arrays', [items => { type => 'array', items => {
                type => 'string' } }]]),
        ['an array in the path', at($schema, { type => 'array',
            items => { type => 'string' } }), $schema, 'the schema does not '
            . "say how to read the text of a path: $types"],
        ['an array in a header', second('H', in => 'header',
            schema => { type => 'array', items => { type => 'string' } }),
         "$second/schema", 'the schema does not say how to read the text of a '
            . "header: $types"],
    );
}


sub bodies {
    my $item = '/paths/~1things~1{thing}';
    my $content = "$item/post/requestBody/content";
    my $body = sub {
        my ($type, @more) = @_;
        return at("$item/post", body($type, { schema => {} }, @more));
    };

    return (
        (map { ["a body of \U$_", at("$item/$_", {
                %{ body('application/json', { schema => {} }) } }),
                "$item/$_/requestBody", 'a body has no meaning with GET and '
                    . 'DELETE (RFC 9110, 9.3): use parameters'] }
            'get', 'delete'),
        ['a body without a media type', at("$item/post",
            { %{ operation('thing_post', parameter('thing')) },
              requestBody => { content => {} } }), $content,
         'a body has a media type: write "application/json": {"schema": '
            . '{...}}'],
        ['a body that is not described', at("$item/post",
            body('application/json', {})), "$content/application~1json",
         'the body must be described: write "schema": {...}'],
        (map { ["a body of \"$_\"", $body->($_), "$content/" . s{/}{~1}gr,
                "\"$_\" is not one media type: write it without \"*\" and "
                    . 'without parameters, like "application/json"'] }
            'application/*', 'application/json; charset=utf-8', 'a/b/c',
            'a b/c'),
        (map { ["a function's body of \"$_\"", $body->($_),
                "$content/" . s{/}{~1}gr, 'a function is given JSON: write '
                    . '"application/json" or "...+json", or name an x-handler '
                    . "that reads \"$_\""] }
            'text/plain', 'application/jsonp', 'application/json-seq',
            'application/x-www-form-urlencoded'),
        ['a media type in two cases', at("$item/post", {
            %{ body('application/json', { schema => {} }) },
            requestBody => { content => {
                'application/json' => { schema => {} },
                'Application/JSON' => { schema => {} } } } }),
         "$content/application~1json",
         '"application/json" is there twice, as upper and lower case mean the '
            . 'same: remove one'],
    );
}


# What is published as an example, or a default, must be one.

sub values_of {
    my $bad = 'the example is not valid against its own schema: must be a '
        . 'string, not a number';
    my $media = "$get/responses/200/content/application~1json";
    my $text = { type => 'string' };

    return (
        ['an example of a parameter', at("$get/parameters/0/example", 1),
         "$get/parameters/0/example", $bad],
        ['a named example of a parameter',
         at("$get/parameters/0/examples/a", { value => 1 }),
         "$get/parameters/0/examples/a/value", $bad],
        ['an example of a header', at("$get/responses/200/headers/H",
            { schema => $text, example => 1 }),
         "$get/responses/200/headers/H/example", $bad],
        ['an example of a response', at($media, { schema => {
            properties => { 'a/b' => $text } }, example => { 'a/b' => 1 } }),
         "$media/example/a~1b", $bad],
        ['a named example of a response', at($media, { schema => $text,
            examples => { a => { value => 'x' }, b => { value => 1 } } }),
         "$media/examples/b/value", $bad],
        ['an example that is referred to', sub {
            at('/components/examples/e', { value => { a => 1 } })->(@_);
            at($media, { schema => { required => ['b'] }, examples => {
                x => { '$ref' => '#/components/examples/e' } } })->(@_) },
         '/components/examples/e/value/b', 'the example is not valid against '
            . 'its own schema: is required'],
        ['an example of a request', at('/paths/~1things~1{thing}/post',
            body('application/json', { schema => $text, example => 1 })),
         '/paths/~1things~1{thing}/post/requestBody/content/'
            . 'application~1json/example', $bad],
        ['an example of a schema', at("$schema/example", 1),
         "$schema/example", $bad],
        ['the second example of a schema', at("$schema/examples", ['a', 1]),
         "$schema/examples/1", $bad],
        ['an example of a schema that nothing refers to',
         at('/components/schemas/a', { %$text, examples => [1] }),
         '/components/schemas/a/examples/0', $bad],
        ['a default', at("$schema/default", 1), "$schema/default", $bad],
        ['a keyword that is not known', at("$schema/minLenght", 1),
         "$schema/minLenght", 'is not a known keyword: did you mean '
            . '"minLength"?'],
    );
}

1;
