#!/usr/bin/perl

# Parameters of the path, the query and the headers: how text becomes what
# the schema says it is, and what is told when it does not.

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
my ($true, $false) = (JSON::PP::true, JSON::PP::false);
my $show = "status := 200; body := params::json;";

sub query {
    my ($name, $schema, %more) = @_;
    return { name => $name, in => 'query', schema => $schema, %more };
}

my $api = operations($postgres,
    show => {
        function   => $show,
        parameters => [
            query('text', { type => 'string' }),
            query('integer', { type => 'integer' }),
            query('small', { type => 'integer', minimum => 1, maximum => 9,
                             default => 5 }),
            query('number', { type => 'number' }),
            query('flag', { type => 'boolean' }),
            query('either', { type => ['integer', 'boolean'] }),
            query('word', { type => 'string', enum => [qw(a b)] }),
            query('id', { type => 'string', format => 'uuid' }),
            query('when', { type => 'string', format => 'date-time' }),
            query('many', { type => 'array', items => { type => 'string' },
                            maxItems => 3 }),
            query('numbers', { type => 'array',
                               items => { type => 'integer' } }),
            query('list', { type => 'array', items => { type => 'integer' } },
                  explode => $false),
            query('words', { type => 'array', items => { type => 'string' } },
                  explode => $false),
            query('filter', { type => 'object', maxProperties => 2,
                              additionalProperties => { type => 'string',
                                                        maxLength => 5 } },
                  style => 'deepObject', explode => $true),
            { name => 'X-Number', in => 'header',
              schema => { type => 'integer', maximum => 100 } },
            { name => 'X-Word', in => 'header',
              schema => { type => 'string' } },
            query('whole', { type => 'boolean' },
                  'x-permission' => 'quirk:whole'),
            { name => 'X-Whole', in => 'header',
              schema => { type => 'string' },
              'x-permission' => 'quirk:whole' },
        ],
    },
    demand => {
        function   => $show,
        parameters => [
            query('needed', { type => 'string' }, required => $true),
            { name => 'X-Needed', in => 'header', required => $true,
              schema => { type => 'string' } },
        ],
    },
    path => {
        path       => '/path/{number}/{word}',
        function   => $show,
        parameters => [
            { name => 'number', in => 'path', required => $true,
              schema => { type => 'integer', minimum => 0 } },
            { name => 'word', in => 'path', required => $true,
              schema => { type => 'string', maxLength => 5,
                          pattern => '^[a-zä]+$' } },
        ],
    },
    none => { function => $show },
    post => { method => 'post', function => $show, body => {},
              parameters => [query('small', { type => 'integer',
                                              maximum => 9 })] },
);

my (undef, $nginx) = gateway(postgres => $postgres,
    locations => $api->location);
my $token = token();

my $wrong = 'A parameter of the path, the query or the headers is not as '
    . 'described; see "errors".';


sub get {
    my ($path, %o) = @_;
    return $nginx->request(GET => "/quirks$path", token => $token, %o);
}

# What the function is given, as PostgreSQL writes jsonb

sub given {
    my ($path, $text, $name, %o) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is get($path, %o)->body, Encode::encode_utf8($text), $name;
}

sub refused {
    my ($path, $name, @violations) = @_;
    my %o = ref $violations[0] eq 'HASH' ? %{ shift @violations } : ();
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is_problem get($path, %o), $name, 400, 'invalid_parameters',
        $wrong, errors => '[' . join(',', @violations) . ']';
}

sub bad { violation([query => $_[0]], 'type', $_[1]) }


# Text

given('/show', '{}', 'what is absent is absent, also with a default');
given('/show?', '{}', 'so it is with an empty query');
given('/show?&&', '{}', 'and one of separators');
given('/show?text=a', '{"text": "a"}', 'text is text');
given('/show?text=', '{"text": ""}', 'also when it is empty');
given('/show?text', '{"text": ""}', 'or has no "="');
given('/show?text=a=b', '{"text": "a=b"}', 'or has two');
given('/show?text=a+b%2Bc%20d', '{"text": "a b+c d"}', 'a plus is a blank');
given('/show?text=%C3%A4%F0%9F%98%80', '{"text": "ä😀"}',
    'it is UTF-8, escaped');
given("/show?text=\xc3\xa4", '{"text": "ä"}', 'or not');
given('/show?text=%22%5C%0D%0A%09', '{"text": "\"\\\\\r\n\t"}',
    'whatever is in it');
given('/show?text=1', '{"text": "1"}',
    'digits stay text');
given('/show?t%65xt=a', '{"text": "a"}', 'a name may be escaped, too');
given('/show?text=a;flag=true', '{"text": "a;flag=true"}',
    'a semicolon separates nothing');
given('/show?text=' . 'x' x 3000, '{"text": "' . 'x' x 3000 . '"}',
    'it may be long');


# Numbers and truth

given('/show?integer=0', '{"integer": 0}', 'an integer');
given("/show?integer=$_", qq({"integer": $_}), "$_ is as exact")
    for qw(1000000000000000 -1000000000000000 9007199254740993
           999999999999999999 1000000000000000000 9223372036854775807
           -9223372036854775808);
refused("/show?integer=$_", "$_ is beyond 64 bits",
    violation([query => 'integer'], 'type', 'must be an integer'))
    for qw(9223372036854775808 -9223372036854775809 9999999999999999999
           18446744073709551617 10000000000000000000 99999999999999999999);
given('/show?integer=-17', '{"integer": -17}', 'a negative one');
given('/show?integer=999999999999999', '{"integer": 999999999999999}',
    'a large one');
given('/show?number=7', '{"number": 7}', 'a number');
given('/show?number=-1.25', '{"number": -1.25}', 'with a fraction');
given('/show?number=1e3', '{"number": 1000.0}', 'with an exponent');
given('/show?flag=true', '{"flag": true}', 'true');
given('/show?flag=false', '{"flag": false}', 'false');
given('/show?either=7', '{"either": 7}', 'one of two types');
given('/show?either=true', '{"either": true}', 'and the other');
given('/show?small=5&flag=true&text=x',
    '{"flag": true, "text": "x", "small": 5}', 'several');

refused("/show?integer=$_", "'$_' is no integer",
    bad('integer', 'must be an integer'))
    for '', 'one', '1.0', '01', '+1', '-', '--1', '%201', '1e2',
        '0x1', '9223372036854775808', '1,2', 'null', 'true', '%D9%A1';
refused("/show?number=$_", "'$_' is no number",
    bad('number', 'must be a number'))
    for '', 'x', '.5', '5.', '1e999', 'NaN', 'Infinity', '1' x 33 . '.5',
        '%5B1%5D', '"1"', '1.5f';
refused("/show?flag=$_", "'$_' is neither true nor false",
    bad('flag', 'must be true or false'))
    for '', '1', 'TRUE', 'yes', 'true%20';

refused('/show?small=0', 'a minimum is one',
    violation([query => 'small'], 'minimum', 'must be at least 1'));
refused('/show?small=10', 'and a maximum',
    violation([query => 'small'], 'maximum', 'must be at most 9'));
refused('/show?word=c', 'an enumeration is one',
    violation([query => 'word'], 'enum', 'must be one of "a", "b"'));
refused('/show?id=x', 'a format is one',
    violation([query => 'id'], 'format', 'must be a UUID'));
given('/show?id=0194F0B2-3B40-7C3E-8B1F-2F6D3A9C7E51',
    '{"id": "0194F0B2-3B40-7C3E-8B1F-2F6D3A9C7E51"}', 'and may be met');
given('/show?when=2025-02-10T16:30:00%2B01:00',
    '{"when": "2025-02-10T16:30:00+01:00"}', 'like that of a moment');


# Arrays and objects

given('/show?many=a&many=b&many=', '{"many": ["a", "b", ""]}',
    'an array is a parameter that is repeated');
given('/show?many=a,b', '{"many": ["a,b"]}', 'a comma parts nothing');
given('/show?numbers=1&text=x&numbers=2', '{"text": "x", "numbers": [1, 2]}',
    'its items have types');
refused('/show?numbers=1&numbers=x', 'of which each is checked',
    violation([query => 'numbers'], 'type',
              'must be an integer'));
refused('/show?' . join('&', ('many=x') x 4), 'as is their number',
    violation([query => 'many'], 'max_items', 'must have at most 3 items'));
given('/show?list=1,2,3', '{"list": [1, 2, 3]}',
    'one that does not explode is written with commas');
given('/show?words=a%2Cb,c+d', '{"words": ["a,b", "c d"]}',
    'an escaped one is part of an item');
given('/show?words=', '{"words": [""]}', 'an empty one has an empty item');
given('/show?words=,', '{"words": ["", ""]}', 'and a comma two');
refused('/show?list=1&list=2', 'and is not repeated',
    violation([query => 'list'], 'repeated', 'is given more than once'));
refused('/show?list=1,x', 'its items are checked, too',
    violation([query => 'list'], 'type',
              'must be an integer'));

given('/show?filter[a]=x&filter[b]=1', '{"filter": {"a": "x", "b": "1"}}',
    'an object has its keys in brackets');
given('/show?filter%5Ba%5D=x', '{"filter": {"a": "x"}}', 'escaped or not');
given('/show?filter[a[b]]=x', '{"filter": {"a[b]": "x"}}', 'once');
refused('/show?filter[a]=1&filter[a]=2', 'each key is given once',
    violation([query => 'filter'], 'repeated', 'is given more than once'));
refused('/show?filter[a]=toolong', 'its values are checked',
    violation([query => 'filter'], 'max_length',
              'must be at most 5 characters long'));
refused('/show?filter[a]=1&filter[b]=2&filter[c]=3', 'as is their number',
    violation([query => 'filter'], 'max_properties',
              'must have at most 2 properties'));
refused("/show?$_=x", "$_ is no parameter",
    violation([query => $_], 'unknown_parameter',
              'is not a parameter of this operation'))
    for 'filter', 'filter[]', 'filter[', 'filter]', 'filtera[b]', 'many[]',
        'Text', 'texts', 'tex';


# What is not described, or given twice

refused('/none?a=1&b=2', 'what is not described is refused', map {
    violation([query => $_], 'unknown_parameter',
              'is not a parameter of this operation') } qw(a b));
refused('/show?text=a&text=b', 'and what is given twice',
    violation([query => 'text'], 'repeated', 'is given more than once'));
refused('/show?=x', 'and what has no name',
    violation([query => ''], 'unknown_parameter',
              'is not a parameter of this operation'));
refused('/show?X-Number=1', 'a header is no parameter of the query',
    violation([query => 'X-Number'], 'unknown_parameter',
              'is not a parameter of this operation'));

refused("/show?$_", "'$_' is no query",
    violation([query => ''], 'encoding', 'the query string has a bad '
              . 'percent-escape, a NUL, or is not UTF-8'))
    for 'text=%', 'text=%4', 'text=%zz', 'text=%00', 'text=%C3', 'text=%FF',
        'text=%ED%A0%80', 'te%00xt=1', '%=1';

refused('/show?' . join('&', ('many=x') x 129), 'a query has an end',
    violation([query => ''], 'too_many_parameters',
              'the query string has too many parameters'),
    violation([query => 'many'], 'max_items', 'must have at most 3 items'));

my $r = get('/show?' . join '&', map { "unknown$_=1" } 1 .. 100);
is scalar @{ $r->json->{errors} }, 32, 'of many things 32 are told';
$r = get('/show?' . '%C3%A4' x 400 . '=1');
like $r->json->{errors}[0]{parameter}, qr/\Aä{200,256}\z/,
    'and of a long name the beginning, in whole letters';


# Headers

given('/show', '{"X-Number": 42}', 'a header may be a parameter',
    headers => { 'x-number' => 42 });
given('/show', '{"X-Word": "a, b%20c"}', 'with whatever is in it',
    headers => { 'X-Word' => 'a, b%20c' });
refused('/show', 'it is checked', { headers => { 'X-Number' => 101 } },
    violation([header => 'X-Number'], 'maximum', 'must be at most 100'));
refused('/show', 'and read as its type', { headers => { 'X-Number' => 'x' } },
    violation([header => 'X-Number'], 'type',
              'must be an integer'));
refused('/show', 'and UTF-8', { headers => { 'X-Word' => "\xff" } },
    violation([header => 'X-Word'], 'encoding', 'is not UTF-8'));
given('/show', '{}', 'other headers are nobody\'s business',
    headers => { 'X-Other' => 'x' });


# What is needed

refused('/demand', 'what is required must be there',
    violation([query => 'needed'], 'required', 'is required'),
    violation([header => 'X-Needed'], 'required', 'is required'));
given('/demand?needed=', '{"needed": "", "X-Needed": "x"}', 'and may be',
    headers => { 'X-Needed' => 'x' });


# Parameters of the path

given('/path/7/abc', '{"word": "abc", "number": 7}',
    'a part of the path has a type');
given('/path/7/%C3%A4', '{"word": "ä", "number": 7}', 'and is decoded');
refused('/path/x/abc', 'it is checked',
    violation([path => 'number'], 'type',
              'must be an integer'));
refused('/path/-1/toolong?x=1', 'all that is wrong is told at once',
    violation([query => 'x'], 'unknown_parameter',
              'is not a parameter of this operation'),
    violation([path => 'number'], 'minimum', 'must be at least 0'),
    violation([path => 'word'], 'max_length',
              'must be at most 5 characters long'));
refused('/path/7/a+b', 'a plus is a plus',
    violation([path => 'word'], 'pattern',
              'must match the pattern "^[a-zä]+$"'));


# A parameter that not everybody may use

my $user = token(roles => ['quirk-user']);
my $denied = 'The operation requires the permission "quirk:whole", which none '
    . 'of the caller\'s roles grants.';
for (['?whole=true', {}], ['', { 'X-Whole' => 'x' }],
     ['?whole=false', { 'X-Whole' => '' }])
{
    my ($query, $headers) = @$_;
    my $r = $nginx->request(GET => "/quirks/show$query", token => $user,
        headers => $headers);
    is_problem $r, 'a parameter may need a permission of its own', 403,
        'permission_denied', $denied;
    like $r->header('WWW-Authenticate'),
        qr/error="insufficient_scope", scope="quirk:whole"/,
        'and the challenge says which';
}
is $nginx->request(GET => '/quirks/show?whole=false', token => $user)->body,
    '{"whole": false}', 'false is as good as absent';
is $nginx->request(GET => '/quirks/show?whole=x', token => $user)->status, 400,
    'what is no value of it is told first';
given('/show?whole=true', '{"whole": true}', 'who has it may use it');


# Beside a body

is_problem $nginx->request(POST => '/quirks/post?small=10', token => $token,
        json => { a => 1 }),
    'parameters are checked where there is a body, too', 400,
    'invalid_parameters', $wrong, errors => '[' . violation([query => 'small'],
        'maximum', 'must be at most 9') . ']';
is $nginx->request(POST => '/quirks/post?small=9', token => $token,
        json => { small => 10 })->body, '{"small": 9}',
    'and are not what is in it';

done_testing;
