package Unit;

# What the tests without a server share: they build programs of t/unit and
# t/fuzz with the sources under test and a stand-in for nginx's core
# (ngx_shim*.c), run them, and count what they say.
#
#     compile(qw(base/prov_json* schema t/unit/tap.c));
#     tap('schema_api', build('t/unit/schema_api.c'));
#     replay('t/fuzz/schema_fuzz.c', 'schema');
#
# NGX_BUILD is a configured nginx tree (src/ and objs/ngx_auto_config.h); one
# is made when it is not set.  SANITIZE=1 builds with address and undefined
# behaviour sanitizers; CC and CFLAGS_EXTRA are honoured.

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use Test::More;

our @EXPORT = qw($root $dir output run compile auth_sources build tap replay);

# a run that is interrupted cleans up, too
$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);

our $root = abs_path(dirname(__FILE__) . '/../..');

# none where this is only compiled ("perl -c"), which would leave it behind
our $dir = $^C ? '' : tempdir(CLEANUP => 1);


# What a command prints, errors included, and its status.  A reference to a
# text in front is what it reads.

sub output {
    my (@command) = @_;
    my $input = ref $command[0] ? shift @command : \'';

    open my $in, '+>', undef or die "a temporary file: $!";
    print $in $$input;
    seek $in, 0, 0 or die "a temporary file: $!";

    my $pid = open my $out, '-|';
    die "fork: $!" unless defined $pid;

    if (!$pid) {
        open STDIN, '<&', $in or die "stdin: $!";
        open STDERR, '>&', \*STDOUT;
        exec @command or die "$command[0]: $!\n";
    }

    my $output = do { local $/; <$out> };
    close $out;

    return ($output // '', $?);
}

sub run {
    my (@command) = @_;
    my ($output, $status) = output(@command);

    BAIL_OUT("@command failed:\n$output") if $status;
    return;
}


# --- building -------------------------------------------------------------

my (@cc, @objects);

# Folders and files of src (without ".c", and perhaps with "*"), or files of t
# (with it).

sub compile {
    my (@parts) = @_;
    my $tree = $ENV{NGX_BUILD};

    if (!$tree) {
        $tree = "$dir/nginx";
        run("$root/t/build/configure", '/usr/share/nginx/src', $tree,
            '--with-compat', '--with-threads');
    }

    @cc = (split(' ', $ENV{CC} || 'gcc'), '-g', '-O1', '-Wall', '-Wextra',
        '-Werror', '-Wno-unused-parameter');
    push @cc, '-fsanitize=address,undefined', '-fno-sanitize-recover=all',
        '-fno-omit-frame-pointer' if $ENV{SANITIZE};
    push @cc, split ' ', $ENV{CFLAGS_EXTRA} || '';
    push @cc, map { "-I$_" } (map { "$tree/$_" } 'src/core', 'src/event',
        'src/event/modules', 'src/os/unix', 'objs'), "$root/src",
        "$root/t/unit";

    for my $source (map { sources($_) } @parts, 't/unit/ngx_shim.c',
        't/unit/ngx_shim_string.c')
    {
        my ($name) = $source =~ m{([^/]+)\.c$};
        next if -e "$dir/$name.o";

        push @objects, "$dir/$name.o";
        run(@cc, '-c', '-o', $objects[-1], $source);
    }

    return;
}

sub sources {
    my ($part) = @_;

    return "$root/$part" if $part =~ /\.c$/;
    return glob "$root/src/$part/*.c" if -d "$root/src/$part";
    return glob "$root/src/$part.c";
}


# All of src/auth that needs no request, what it needs, and stand-ins for the
# rest of nginx.

sub auth_sources {
    return (qw(base/prov_conf* base/prov_json* t/unit/auth_shim.c
               t/unit/http_shim.c),
        grep { $_ ne 'auth/prov_auth_sign' }
        map { m{(auth/[^/]+)\.c$} } glob "$root/src/auth/*.c");
}


# A program of t, from one file and all that was compiled.

sub build {
    my ($source, @flags) = @_;
    my ($name) = $source =~ m{([^/]+)\.c$};

    run(@cc, @flags, '-o', "$dir/$name", "$root/$source", @objects,
        qw(-ljansson -lpcre2-8 -lcrypto -lm));

    return "$dir/$name";
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


# A fuzz target runs through its corpus.

sub replay {
    my ($source, $corpus) = @_;

    my @corpus = glob "$root/t/fuzz/corpus/$corpus/*";
    my ($said, $status) = output(build($source, "$root/t/fuzz/replay.c"),
        @corpus);

    ok(@corpus > 10, "the fuzz target for $corpus has a corpus");
    is($status, 0, 'it runs through that') or diag($said);
    is($said, @corpus . " inputs\n", 'all of it');

    return;
}

1;
