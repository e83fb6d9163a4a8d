#!/usr/bin/perl

# JSON Schema, without a server: the JSON-Schema-Test-Suite, what the compiler
# and the validator say, what they may cost, the formats, and the corpus of
# the fuzz target, each a program in t/unit or t/fuzz.
#
#   prove t/schema.t
#
# NGX_BUILD is a configured nginx tree (src/ and objs/ngx_auto_config.h); one
# is made when it is not set.  SANITIZE=1 builds with address and undefined
# behaviour sanitizers; CC and CFLAGS_EXTRA are honoured.
#
# The suite is Debian's: the package json-schema-test-suite ends with draft 7,
# so draft 2020-12 comes out of libtest-json-schema-acceptance-perl.  When
# that is not installed, its file is fetched and unpacked in build/, without
# the fifty packages it depends on.  JSON_SCHEMA_TEST_SUITE names a directory
# with the draft's files instead.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Test::More;

# a run that is interrupted cleans up, too
$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);

my $root    = abs_path(dirname(__FILE__) . '/..');
my $dir     = tempdir(CLEANUP => 1);
my $package = 'libtest-json-schema-acceptance-perl';
my $draft   = 'usr/share/perl5/auto/share/dist/Test-JSON-Schema-Acceptance'
            . '/tests/draft2020-12';


# --- building -------------------------------------------------------------

sub output {
    my (@command) = @_;

    my $pid = open my $in, '-|';
    die "fork: $!" unless defined $pid;

    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        exec @command or die "$command[0]: $!\n";
    }

    my $output = do { local $/; <$in> };
    close $in;

    return ($output // '', $?);
}

sub run {
    my (@command) = @_;
    my ($output, $status) = output(@command);

    BAIL_OUT("@command failed:\n$output") if $status;
    return;
}

my $tree = $ENV{NGX_BUILD};

if (!$tree) {
    $tree = "$dir/nginx";
    run("$root/t/build/configure", '/usr/share/nginx/src', $tree,
        '--with-compat', '--with-threads');
}

my @cc = (split(' ', $ENV{CC} || 'gcc'), '-g', '-O1', '-Wall', '-Wextra',
    '-Werror', '-Wno-unused-parameter');
push @cc, '-fsanitize=address,undefined', '-fno-sanitize-recover=all',
    '-fno-omit-frame-pointer' if $ENV{SANITIZE};
push @cc, split ' ', $ENV{CFLAGS_EXTRA} || '';
push @cc, map { "-I$_" } (map { "$tree/$_" } 'src/core', 'src/event',
    'src/event/modules', 'src/os/unix', 'objs'), "$root/src", "$root/t/unit";

my @objects;

for my $source (glob("$root/src/schema/*.c"), "$root/src/base/prov_json.c",
    "$root/t/unit/ngx_shim.c")
{
    my ($name) = $source =~ m{([^/]+)\.c$};
    push @objects, "$dir/$name.o";
    run(@cc, '-c', '-o', $objects[-1], $source);
}

sub build {
    my ($source, @flags) = @_;
    my ($name) = $source =~ m{([^/]+)\.c$};

    run(@cc, @flags, '-o', "$dir/$name", "$root/$source", @objects,
        qw(-ljansson -lpcre2-8 -lcrypto -lm));

    return "$dir/$name";
}


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

# The tests of a program become tests of this file, so that they are counted.

sub tap {
    my ($name, @command) = @_;
    my ($output, $status) = output(@command);
    my ($seen, $failed, $planned, $test_failed) = (0, 0, -1, 0);

    for my $line (split /\n/, $output) {

        if ($line =~ /^(not )?ok \d+ - (.*)/) {
            $seen++;
            $test_failed = defined $1;
            $failed++ if $test_failed;
            ok(!$test_failed, "$name: $2");

        } elsif ($line =~ /^1\.\.(\d+)$/) {
            $planned = $1;

        } elsif ($test_failed || $line !~ /^#/) {
            diag($line);
        }
    }

    my $ran = $seen && $seen == $planned && $status == ($failed ? 256 : 0);

    ok($ran, "$name: all of it ran") or diag(
        "$seen tests of $planned, $failed failed, status $status");

    return;
}

for my $name (qw(schema_unit schema_formats schema_limits)) {
    tap($name, build("t/unit/$name.c"));
}

my $suite = suite();

if (ok($suite, 'the JSON-Schema-Test-Suite is there')) {
    tap('schema_suite', build('t/unit/schema_suite.c'), $suite);
}

my @corpus = glob "$root/t/fuzz/corpus/schema/*";
my ($said, $status) = output(build('t/fuzz/schema_fuzz.c', '-DFUZZ_REPLAY'),
    @corpus);

ok(@corpus > 10, 'the fuzz target has a corpus');
is($status, 0, 'the fuzz target runs through its corpus') or diag($said);
is($said, @corpus . " inputs\n", 'all of the corpus is run');

done_testing();
