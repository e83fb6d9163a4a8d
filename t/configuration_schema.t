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
    'a patch is one of what is described';
is change(PATCH => '/own', { theme => 'pink' }),
    '400 invalid_body /theme enum', 'and of nothing else';
is change(PATCH => '/own', { locale => undef }),
    '400 invalid_body /locale type', 'nor does it remove what may not be null';
is change(PATCH => '/both', { locale => undef }),
    '{"limits":{"users":3},"theme":"light"}',
    'unless the operator says of patches something else';
is change(PUT => '/api/provisioning', { anything => 'goes' }),
    '{"anything":"goes"}', 'another location has the document\'s own schema';


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
