#!/usr/bin/perl

# harness: plain

# The documents as they are served, in the hands of the tools that clients'
# developers use: two linters find nothing in them, and a TypeScript client
# whose types are made of them compiles, and makes, reads and deletes a tenant
# through the gateway.  The tools are what t/clients/package-lock.json says, to
# the checksum; they are fetched once, with npm as it is configured on this
# machine, into build/clients.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Npm;
use Provisioning::Test::Operator;

use File::Path ();
use JSON::PP ();

my $sources = "$FindBin::Bin/clients";

# --- the tools --------------------------------------------------------------

my $packages = JSON::PP->new->decode(npm_text("$sources/package-lock.json"))
    ->{packages};

is_deeply [grep { defined $packages->{$_}{resolved} } sort keys %$packages],
    [], 'the lock file says of no package where it is to be had';
is_deeply [grep { $_ ne '' && !$packages->{$_}{integrity} }
    sort keys %$packages], [], 'and of each what its checksum is';
is_deeply [grep { !/\A\d+(?:\.\d+){2}\z/ } map { values %$_ }
    @{ JSON::PP->new->decode(npm_text("$sources/package.json"))
       }{qw(devDependencies overrides)}], [], 'all versions are pinned';

my $build = npm_install();


# --- the documents, as they are served --------------------------------------

my ($postgres, $nginx) = gateway(operator());
my %base = (partner => '/api/provisioning', operator => '/api/admin');

for my $name (sort keys %base) {
    my $r = $nginx->request(GET => "$base{$name}/openapi.json");
    is $r->status, 200, "the document \"$name\" is served";
    npm_save("$build/$name.json", $r->body);
}

npm_save("$build/$_", npm_text("$sources/$_"))
    for qw(redocly.yaml spectral.yaml tsconfig.json client.ts);

my $files = join ' ', map { "$_.json" } sort keys %base;

sub good {
    my ($name, $command, %environment) = @_;
    my ($ok, $said) = npm_run($command, %environment);

    ok $ok, $name or diag $said;
    return $said;
}

good('Redocly finds nothing in them', 'node_modules/.bin/redocly lint'
    . " --config redocly.yaml --format=stylish $files");
good('nor does Spectral',
    "node_modules/.bin/spectral lint -F warn -r spectral.yaml $files");

# they would: the same with a fault

my $spoilt = JSON::PP->new->utf8->decode(npm_text("$build/partner.json"));
$spoilt->{paths}{'/tenants'}{post}{operationId} = 'tenant_list';
$spoilt->{components}{schemas}{Spoilt} = { type => 'strong' };
npm_save("$build/spoilt.json", JSON::PP->new->utf8->canonical->encode($spoilt));

for my $tool ('redocly lint --config redocly.yaml',
              'spectral lint -r spectral.yaml')
{
    my ($ok, $said) = npm_run("node_modules/.bin/$tool spoilt.json");
    ok !$ok, "$tool tells of a fault" or diag $said;
}


# --- the client ---------------------------------------------------------------

for my $name (sort keys %base) {
    good("there are types of \"$name\"", "node_modules/.bin/openapi-typescript"
        . " $name.json -o $name.ts");
}

File::Path::remove_tree("$build/out");
good('a client with these types compiles', 'node_modules/.bin/tsc -p .');

my $said = good('it makes, reads and deletes a tenant', 'node out/client.js',
    BASE_URL => 'http://127.0.0.1:' . $nginx->port . $base{partner},
    TOKEN    => token());
my $seen = eval { JSON::PP->new->utf8->decode($said) } || {};

is $seen->{refused}, 'invalid_body', 'is told of a mistake in words it knows';
is $seen->{status}, 'deleted', 'and sees it deleted';
is $postgres->value('select status::text from prov.tenants where id = ?',
    $seen->{tenant}), 'deleted', 'which it is';

done_testing;
