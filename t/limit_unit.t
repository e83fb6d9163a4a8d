#!/usr/bin/perl

# Token buckets without a server: their arithmetic (t/unit/limit_unit.c), and
# their zones (t/unit/limit_zone_unit.c).
#
#   prove t/limit_unit.t
#
# SEED repeats a run.  NGX_BUILD and SANITIZE are explained in
# t/unit/AuthUnit.pm.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use Test::More;

# a run that is interrupted cleans up, too
$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);

my $root = abs_path(dirname(__FILE__) . '/..');
my $dir  = tempdir(CLEANUP => 1);

sub run {
    my (@command) = @_;

    my $pid = open my $in, '-|';
    die "fork: $!" unless defined $pid;

    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        exec @command or die "$command[0]: $!\n";
    }

    my $output = do { local $/; <$in> };
    close $in;
    BAIL_OUT("@command failed:\n$output") if $?;

    return $output;
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

my $seed = defined $ENV{SEED} ? $ENV{SEED} : time;

# A program's tests become tests of this file, so that they are counted.

sub tap {
    my ($name, @sources) = @_;
    my ($seen, $planned) = (0, -1);

    run(@cc, '-o', "$dir/$name", map { "$root/$_" } "t/unit/$name.c",
        @sources);

    for my $line (split /\n/, run("$dir/$name", $seed)) {

        if ($line =~ /^(not )?ok \d+ - (.*)/) {
            $seen++;
            ok(!$1, $2) or diag("SEED=$seed repeats it");

        } elsif ($line =~ /^1\.\.(\d+)$/) {
            $planned = $1;

        } else {
            diag($line) if $line !~ /^# (?:seed|\[\d\])/;
        }
    }

    is($seen, $planned, "all of $name ran, with SEED=$seed");

    return;
}

my @limit = ('src/limit/prov_limit_bucket.c');

tap('limit_unit', @limit);
tap('limit_zone_unit', @limit, 'src/limit/prov_limit_zone.c',
    't/unit/ngx_shim.c', 't/unit/auth_shim.c');

done_testing();
