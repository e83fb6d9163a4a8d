#!/usr/bin/perl

# provisioning_api … schema=name:file: a schema of the operator's in the place
# of one of the document's.  It is enforced and published, and a mistake in it
# stops "nginx -t" with the file and the place.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Problem;

use JSON::PP ();

my $json = JSON::PP->new->canonical;
my $directory = Provisioning::Test::directory();

sub write_schema {
    my ($name, $schema) = @_;
    open my $file, '>', "$directory/$name" or die "$directory/$name: $!";
    print $file ref $schema ? $json->encode($schema) : $schema;
    close $file or die "$directory/$name: $!";
    return;
}

my $schema = {
    '$schema' => 'https://json-schema.org/draft/2020-12/schema',
    title => 'Settings', type => 'object', description => 'Ours.',
    additionalProperties => JSON::PP::false,
    properties => {
        locale => { type => 'string', pattern => '^[a-z]{2}-[A-Z]{2}$' },
        limits => { '$ref' => '#/$defs/limits' },
        theme  => { '$ref' => 'theme.json#/theme' },
    },
    '$defs' => { limits => {
        type => 'object', additionalProperties => { type => 'integer' } } },
    examples => [{ locale => 'de-DE', limits => { users => 3 } }],
};

write_schema('settings.json', $schema);
write_schema('theme.json', { theme => { enum => [qw(dark light)] } });
write_schema('strict.json', { type => 'object',
    required => ['locale'], maxProperties => 4,
    properties => { locale => { type => 'string' },
                    size => { type => 'integer', maximum => 100 },
                    limits => { type => 'object', maxProperties => 2 } },
    if => { properties => { plan => { const => 'free' } },
            required => ['plan'] },
    then => { properties => { size => { maximum => 5 } } } });
write_schema('patch.json', { type => 'object',
    properties => { locale => { type => ['string', 'null'] } } });

my ($postgres, $nginx) = gateway(locations => <<"END");
    location /own/ {
        provisioning_auth test;
        provisioning_api %%OPENAPI%%/partner.json prefix=/own
            schema=Configuration:$directory/settings.json;
        provisioning_pass tenants;
    }

    location /both/ {
        provisioning_auth test;
        provisioning_api %%OPENAPI%%/partner.json prefix=/both
            schema=Configuration:$directory/settings.json
            schema=ConfigurationPatch:$directory/patch.json;
        provisioning_pass tenants;
    }

    location /strict/ {
        provisioning_auth test;
        provisioning_api %%OPENAPI%%/partner.json prefix=/strict
            schema=Configuration:$directory/strict.json;
        provisioning_pass tenants;
    }
END

my $tenant = $nginx->request(POST => '/own/tenants', token => token(),
    json => { client_name => 'Configured', email => unique_email() })
    ->json->{tenant};

sub change {
    my ($method, $prefix, $body) = @_;
    my $r = $nginx->request($method =>
        "$prefix/tenants/$tenant/configuration", token => token(),
        json => $body);
    return $r->status == 200 ? $json->encode($r->json->{configuration})
        : join ' ', $r->status, $r->json->{code},
            map { "$_->{pointer} $_->{code}" } @{ $r->json->{errors} || [] };
}


# What is enforced

is change(PUT => '/own', { locale => 'de-DE', theme => 'dark',
                           limits => { users => 3 } }),
    '{"limits":{"users":3},"locale":"de-DE","theme":"dark"}',
    'what the operator describes is accepted';
is change(PUT => '/own', { locale => 'german', limits => { users => 'x' },
                           theme => 'pink', more => 1 }),
    '400 invalid_body /limits/users type /locale pattern '
    . '/more additional_properties /theme enum',
    'and nothing else, with all that is wrong';
is change(PATCH => '/own', { theme => 'light' }),
    '{"limits":{"users":3},"locale":"de-DE","theme":"light"}',
    'a patch leads to what is described';
is change(PATCH => '/own', { theme => 'pink' }),
    '400 invalid_body /theme enum', 'and to nothing else';
is change(PATCH => '/both', { locale => 3 }),
    '400 invalid_body /locale type',
    'of patches the operator may say something, too';
is change(PATCH => '/both', { locale => undef }),
    '{"limits":{"users":3},"theme":"light"}', 'null removes what may go';
is change(PUT => '/api/provisioning', { anything => 'goes' }),
    '{"anything":"goes"}', 'another location has the document\'s own schema';


# Whatever leads to it, what is kept is what the operator describes

sub configured {
    my ($method, $where, $body, %headers) = @_;
    return $nginx->request($method => "/strict/tenants/$tenant/configuration"
        . $where, token => token(), headers => \%headers,
        defined $body ? (json => $body) : ());
}

sub current {
    return $json->encode(configured(GET => '')->json->{configuration});
}

sub violations {
    my ($r) = @_;
    return join ' ', $r->status, $r->json->{code} || '-',
        map { "$_->{pointer} $_->{code}" } @{ $r->json->{errors} || [] };
}

my $tag = configured(PUT => '', { locale => 'en', size => 50 })
    ->header('ETag');
my $r = configured(PATCH => '', { plan => 'free', locale => undef,
    limits => { a => 1, b => 2, c => 3 } });
is violations($r), '400 invalid_body /limits max_properties /locale required '
    . '/size maximum', 'a patch that leads to what must not be is refused';
is $json->encode($r->json->{errors}), $json->encode(configured(PUT => '',
    { size => 50, plan => 'free', limits => { a => 1, b => 2, c => 3 } })
    ->json->{errors}), 'as PUT refuses it, with the same pointers';
like $r->json->{detail}, qr/would lead to/, 'and says what they point into';
is current(), '{"locale":"en","size":50}', 'and nothing was changed';
is configured(PATCH => '', { size => 3, plan => 'free' })->status, 200,
    'one that is right as a whole is made, though it has not all members';

is violations(configured(PATCH => '?dry_run=true', { size => 50 })),
    '400 invalid_body /size maximum', 'so it is for trial';
$r = configured(PATCH => '?dry_run=true', { size => 4 });
is_deeply [$r->header('Dry-Run'), $r->json->{resource}{configuration}{size}],
    ['true', 4], 'where what can be is shown';
is current(), '{"locale":"en","plan":"free","size":3}', 'and not kept';

is violations(configured(PATCH => '', { size => 50 }, 'If-Match' => $tag)),
    '412 precondition_failed', 'a condition comes first';
is violations(configured(PATCH => '', { size => 2 },
    'If-Match' => configured(GET => '')->header('ETag'))), '200 -',
    'and does not forbid what it allows';

my %key = ('Idempotency-Key' => 'strict-1');
is violations(configured(PATCH => '', { size => 50 }, %key)),
    '400 invalid_body /size maximum', 'with a key it is refused, too';
is violations(configured(PATCH => '', { plan => undef })), '200 -',
    'when it is right';
is violations($r = configured(PATCH => '', { size => 50 }, %key)), '200 -',
    'it can be made with that key';
is $r->header('Idempotent-Replayed'), undef, 'and is made';
is violations($r = configured(PATCH => '', { size => 50 }, %key)), '200 -',
    'once';
is $r->header('Idempotent-Replayed'), 'true', 'and answered again';
is $postgres->value("select count(*) from prov.audit where request_id = ?",
    $r->header('X-Request-Id')), 0, 'without another entry of the audit';

my $versions = configured(GET => '')->json->{version};
is violations(configured(POST => '/rollback', { version => 3 })),
    '400 invalid_body /locale required',
    'an old version that may not be any more is not brought back'
    or diag configured(GET => '/versions/3')->body;
is violations(configured(POST => '/rollback?dry_run=true', { version => 3 })),
    '400 invalid_body /locale required', 'nor for trial';
is configured(GET => '')->json->{version}, $versions, 'and makes no version';
is violations(configured(POST => '/rollback', { version => $versions - 1 })),
    '200 -', 'another one is';

my $large = '{"large": 1e25, "none": -1e-300, "is": "1000000000000000000000 '
    . '\\" -99999999999999999999", "last": -9223372036854775808, "locale": "'
    . 'x' x 20000 . '"}';
is $nginx->request(PUT => "/api/provisioning/tenants/$tenant/configuration",
    token => token(), body => $large,
    headers => { 'Content-Type' => 'application/json' })->status, 200,
    'numbers may be large and small, and texts long';
$r = configured(PATCH => '', { none => undef, size => 101 });
is violations($r), '400 invalid_body  max_properties /size maximum',
    'what is long is validated, too';
is violations(configured(PATCH => '', { none => undef })),
    '200 -', 'and kept when it is right';
my @kept = configured(GET => '')->body =~ /"(?:is|last|large)": ([^,]+)/g;
is "@kept", '"1000000000000000000000 \" -99999999999999999999" '
    . '-9223372036854775808 10000000000000000000000000', 'as it was given';


# At the same time: each is validated as it is kept, and none is lost

configured(PUT => '', { locale => 'en' });
my @connections = map { $nginx->connection } 1 .. 8;
my $n = 0;
$_->send_request(PATCH => "/strict/tenants/$tenant/configuration",
    token => token(), keep => 1, json => { 'k' . ++$n => $n })
    for @connections;
my @parallel = sort map { $_->read_response->status } @connections;
$_->close for @connections;
is "@parallel", '200 200 200 400 400 400 400 400',
    'of eight changes at once as many are made as may be';
is keys %{ configured(GET => '')->json->{configuration} }, 4,
    'and all of these are there';


# What is published

my $document = $nginx->request(GET => '/own/openapi.json')->json;
my $schemas = $document->{components}{schemas};
my $put = $document->{paths}{'/tenants/{tenant}/configuration'}{put}
    {requestBody}{content}{'application/json'};

is $schemas->{Configuration}{title}, 'Settings', 'the schema is published';
is_deeply $schemas->{Configuration}{examples}, $schema->{examples},
    'with its own examples';
is_deeply [sort keys %$put], ['schema'], 'the author\'s are not shown for it';
like $json->encode($schemas->{Configuration}{properties}),
    qr{"#/components/schemas/limits".*"#/components/schemas/theme"},
    'what it refers to, also in other files, is published with it';
is_deeply [grep { !$schemas->{$_} } qw(limits theme)], [], 'and is there';
ok exists $nginx->request(GET => '/api/provisioning/openapi.json')->json
    ->{paths}{'/tenants/{tenant}/configuration'}{put}{requestBody}{content}
    {'application/json'}{examples}, 'elsewhere the examples stay';


# Mistakes

my $trial = nginx(server_address => 'unix:/nowhere', start => 0);

sub said {
    my ($parameters) = @_;

    $trial->configure(locations => <<"END");
        location /t/ {
            provisioning_auth test;
            provisioning_api %%OPENAPI%%/partner.json prefix=/t $parameters;
            provisioning_pass tenants;
        }
END
    my ($ok, $said) = $trial->test;
    return $ok ? 'ok' : $said;
}

for (
    ['nothing', '', qr/\Aok\z/],
    ['the schema', "schema=Configuration:$directory/settings.json",
     qr/\Aok\z/],
    ['no file', 'schema=Configuration', qr/expected "schema=component:file"/],
    ['an empty file name', 'schema=Configuration:',
     qr/expected "schema=component:file"/],
    ['no name', "schema=:$directory/settings.json",
     qr/expected "schema=component:file"/],
    ['two for one', "schema=Configuration:$directory/settings.json "
        . "schema=Configuration:$directory/patch.json",
     qr/"Configuration" is given more than once/],
    ['two prefixes', 'prefix=/u', qr/more than one prefix/],
    ['another parameter', 'scheme=x', qr/expected "prefix=/],
    ['a component that is not there',
     "schema=Configurations:$directory/settings.json",
     qr/partner\.json#: the document takes no schema "Configurations"/],
    ['a file that is not there', "schema=Configuration:$directory/none.json",
     qr/none\.json" cannot be opened/],
    ['a file that is no JSON', '{', qr/bad\.json:1:\d+: /],
    ['a file that is no schema', '[]', qr/bad\.json#: /],
    ['an unknown keyword', '{"properties":{"a":{"typ":"string"}}}',
     qr{bad\.json#/properties/a/typ: }],
    ['a type that is none', '{"type":"objekt"}', qr{bad\.json#/type: }],
    ['a reference to nothing', '{"$ref":"#/$defs/a"}',
     qr{bad\.json#/\$ref: }],
    ['an example that is not valid', '{"type":"object","examples":[1]}',
     qr{bad\.json#/examples/0: }])
{
    my ($name, $what, $pattern) = @$_;
    my $parameters = $what;

    if ($what =~ /\A[\[{]/) {
        write_schema('bad.json', $what);
        $parameters = "schema=Configuration:$directory/bad.json";
    }

    like said($parameters), $pattern, "$name: nginx -t says so";
}

done_testing;
