package Bench::Pgbench;

# pgbench with one of the gateway's statements.

use strict;
use warnings;

use Provisioning::Test;
use Provisioning::Test::Postgres;
use Provisioning::Test::Process;

use Bench::Database;
use Bench::Machine;

# Where the next series of numbers for new tenants begins.  Each program that
# makes some has one of its own, of a thousand million.

my $series = 200_000_000_000;

sub next_series { return $series += 1_000_000_000 }


# run(the Bench::Database, statement, clients, seconds): what was measured

sub run {
    my ($database, $statement, $clients, $seconds) = @_;
    my $postgres = $database->postgres_of;
    my $base = next_series();
    my @lines;

    if ($statement->{function} eq 'tenant_create') {
        # ids that ascend with time, as the gateway's do
        @lines = ('\set counter :counter + 1',
                  '\set n :base + :counter * 100 + :client_id');

    } elsif ($statement->{function} eq 'tenant_get') {
        @lines = ('\set n random(:first, :last)');
    }

    my ($script, $value) = $statement->script(@lines);
    my %value = (%$value, counter => 0, base => $base,
        first => $Bench::Database::first,
        last => $Bench::Database::first + $database->tenants - 1);

    my $file = directory() . '/script.sql';
    open my $out, '>', $file or die "$file: $!";
    print $out $script;
    close $out or die "$file: $!";

    my $threads = Bench::Machine::cores();
    my ($code, $output) = Provisioning::Test::Process->run(
        timeout => $seconds + 60, command => [
            Provisioning::Test::Postgres::programs() . '/pgbench',
            '-n', '-M', 'prepared', '-c', $clients,
            '-j', $clients < $threads ? $clients : $threads, '-T', $seconds,
            '-f', $file, map({ ('-D', "$_=$value{$_}") } sort keys %value),
            $postgres->url('provisioning', 'prov_partner'),
        ]);

    my %said;
    @said{qw(count failed mean rate)} = map { $output =~ /$_/ ? $1 : undef }
        qr/^number of transactions actually processed: (\d+)/m,
        qr/^number of failed transactions: (\d+)/m,
        qr/^latency average = ([\d.]+) ms/m, qr/^tps = ([\d.]+)/m;

    die "pgbench: exit code $code:\n$output\n"
        if $code || !defined $said{rate} || $said{failed};

    $database->made($base, $said{count}, 0)
        if $statement->{function} eq 'tenant_create';

    return { by => 'pgbench', connections => $clients, rate => $said{rate},
             mean => $said{mean}, errors => 0 };
}

1;
