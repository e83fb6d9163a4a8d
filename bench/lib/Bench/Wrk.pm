package Bench::Wrk;

# wrk with requests of one kind, against the gateway or a peer of it.

use strict;
use warnings;

use File::Basename qw(dirname);
use Provisioning::Test;
use Provisioning::Test::Process;

use Bench::Database;
use Bench::Gateway;
use Bench::Machine;
use Bench::Pgbench;

our $bulk = 100;    # tenants in a request: as many as are made at once

my $script = Cwd::abs_path(dirname(__FILE__) . '/../../requests.lua');
my $tokens;


# A hundred callers' tokens, a line each, which are good for longer than any
# run takes.

sub tokens {
    return $tokens if $tokens;
    my $name = directory() . '/tokens';

    open my $file, '>', $name or die "$name: $!";
    print $file token(sub => "caller-$_", exp => time + 8 * 3600), "\n"
        for 1 .. 100;
    close $file or die "$name: $!";

    return $tokens = $name;
}


# run(the Bench::Database, port, kind of request, connections, seconds)

sub run {
    my ($database, $port, $kind, $connections, $seconds) = @_;
    my $base = Bench::Pgbench::next_series();
    my $cores = Bench::Machine::cores();
    my $threads = $connections < $cores ? $connections : $cores;

    my ($code, $output) = Provisioning::Test::Process->run(
        timeout => $seconds + 60, command => [
            'wrk', '-t', $threads, '-c', $connections, '-d', $seconds,
            '-s', $script, "http://127.0.0.1:$port", '--', $kind, tokens(),
            $Bench::Gateway::api, $Bench::Database::id,
            $Bench::Database::first, $database->tenants, $base, $bulk,
        ]);

    my ($count, $duration, $p50, $p99, $mean, $errors) = $output
        =~ /^result (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)$/m
        or die "wrk: exit code $code:\n$output\n";

    die "wrk had no answer at all:\n$output\n" if !$count;

    my $each = { post => 1, bulk => $bulk }->{$kind};
    $database->made($base, $count * $each, $connections * $each)
        if $each && !$errors;

    return { connections => $connections, rate => $count / ($duration / 1e6),
             p50 => $p50 / 1000, p99 => $p99 / 1000, mean => $mean / 1000,
             errors => $errors, count => $count };
}

1;
