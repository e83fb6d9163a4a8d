#!/usr/bin/perl

# The database: sql/tests/*.sql with pgTAP, then what takes several sessions,
# then sql/migrate.  Runs alone ("prove t/sql.t"), in a PostgreSQL of its own.

use strict;
use warnings;

use FindBin;

BEGIN { chdir "$FindBin::Bin/.." or die "$FindBin::Bin/..: $!\n" }

use lib 'sql/tests/lib';

use Test::More;
use Time::HiRes qw(sleep time);

use Cluster;
use Concurrency;
use Jobs;
use Migrate;

my $cluster = Cluster->new;

# first, while the cluster has none of the roles

subtest 'migrate without a superuser' => sub {
    Migrate::unprivileged($cluster);
};

my $database = $cluster->database('provisioning');

my ($code, $out) = $cluster->run('sql/migrate', "dbname=$database");
is $code, 0, 'the database is migrated' or BAIL_OUT($out);
$cluster->connect('postgres', $database)->do('create extension pgtap');

# what is planned without statistics needs databases that had none

my $reads = 'sql/tests/reads.sql';
my %untouched = map { $_ => $cluster->database("reads$_",
    "template $database") } 0, 20;

pgtap($_, $database) for grep { $_ ne $reads } sort glob 'sql/tests/*.sql';
pgtap($reads, $untouched{$_}, '--set', "start=$_") for sort keys %untouched;

subtest 'concurrency' => sub { Concurrency::run($cluster, $database) };
subtest 'jobs' => sub { Jobs::run($cluster, $database) };
subtest 'migrate' => sub { Migrate::run($cluster) };

subtest 'a test that is killed leaves nothing' => \&killed;

is join('', $cluster->faults), '', 'the server had no fault';
$cluster->stop;

done_testing();


# pg_prove's verdict on a file, each of its tests a test of ours.

sub pgtap {
    my ($file, $db, @options) = @_;

    subtest "@options $file" =~ s/^ //r => sub {
        my ($code, $out) = $cluster->run('pg_prove', '--verbose', '--dbname',
            $db, @options, $file);
        my $planned;

        for my $line (split /\n/, $out) {
            if ($line =~ /^(not )?ok \d+ - (.*)/) {
                ok !$1, $2;
            } elsif ($line =~ /^1\.\.(\d+)$/) {
                $planned = $1;
            } elsif ($code && $line =~ /^#|ERROR|psql:/) {
                diag $line;
            }
        }

        is $code, 0, 'pg_prove is content';
        ok $planned, 'and the file came to its end';
    };
}


# One that cannot say good-bye to its cluster.

sub killed {
    my $pid = open my $test, '-|', $^X, '-Isql/tests/lib', '-MCluster', '-e',
        'my $cluster = Cluster->new; $| = 1;'
        . 'print "$cluster->{dir}\n"; sleep 600'
        or die "$^X: $!\n";
    my $dir = <$test> // die "no cluster\n";
    chomp $dir;

    open my $file, '<', "$dir/data/postmaster.pid" or die "$dir: $!\n";
    my $server = <$file> + 0;

    ok kill(0, $server), 'it has a server';
    kill 'KILL', $pid;
    close $test;

    my $limit = time + 60;
    sleep 0.05 while (-d $dir || kill 0, $server) && time < $limit;

    ok !kill(0, $server), 'the server ends';
    ok !-e $dir, 'and nothing is left of it';
}
