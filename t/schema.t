#!/usr/bin/perl

# JSON Schema, without a server: the JSON-Schema-Test-Suite, what the compiler
# and the validator say, what they may cost, the formats, and the corpus of
# the fuzz target, each a program in t/unit or t/fuzz.
#
#   prove t/schema.t
#
# NGX_BUILD and SANITIZE are explained in t/unit/Unit.pm.
#
# The suite is Debian's: the package json-schema-test-suite ends with draft 7,
# so draft 2020-12 comes out of libtest-json-schema-acceptance-perl.  When
# that is not installed, its file is fetched and unpacked in build/, without
# the fifty packages it depends on.  JSON_SCHEMA_TEST_SUITE names a directory
# with the draft's files instead.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/unit";

use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Test::More;

use Unit;

my $package = 'libtest-json-schema-acceptance-perl';
my $draft   = 'usr/share/perl5/auto/share/dist/Test-JSON-Schema-Acceptance'
            . '/tests/draft2020-12';


# --- the suite ------------------------------------------------------------

sub suite {
    my $directory = $ENV{JSON_SCHEMA_TEST_SUITE};
    return $directory if $directory;

    for my $place ('', "$root/build/schema-suite") {
        return "$place/$draft" if -d "$place/$draft";
    }

    make_path("$root/build");
    my $fetched = tempdir('schema-suite.XXXXXX', DIR => "$root/build",
        CLEANUP => 1);

    my ($said) = output('sh', '-c', 'cd "$1" && apt-get -q download "$2"'
        . ' && dpkg-deb -x "$2"_*.deb unpacked', 'sh', $fetched, $package);

    if (-d "$fetched/unpacked/$draft") {
        rename "$fetched/unpacked", "$root/build/schema-suite";
        return "$root/build/schema-suite/$draft";
    }

    diag($said, "There is no JSON-Schema-Test-Suite for draft 2020-12:\n",
        "apt-get install $package, or name its directory in\n",
        'JSON_SCHEMA_TEST_SUITE.');
    return;
}


# --- running --------------------------------------------------------------

compile(qw(base/prov_json* schema t/unit/tap.c t/unit/schema_tap.c
           t/unit/schema_cost.c));

for my $name (qw(schema_violations schema_faults schema_api schema_formats
                 schema_patterns schema_limits schema_memory))
{
    tap($name, build("t/unit/$name.c"));
}

my $suite = suite();

if (ok($suite, 'the JSON-Schema-Test-Suite is there')) {
    tap('schema_suite', build('t/unit/schema_suite.c'), $suite);
}

replay('t/fuzz/schema_fuzz.c', 'schema');

done_testing();
