package Bench::Machine;

# What a run was made on and with.

use strict;
use warnings;

use Provisioning::Test::Nginx;
use Provisioning::Test::Postgres;


sub text {
    my ($name) = @_;
    open my $file, '<', $name or return '';
    return do { local $/; <$file> } // '';
}


# What a command says, on either of its outputs; nothing when there is none.

sub said {
    my (@command) = @_;

    my $pid = open my $out, '-|';
    die "fork: $!" unless defined $pid;

    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        exec { $command[0] } @command or exit 127;
    }

    my $said = do { local $/; <$out> } // '';
    close $out;
    return $said;
}


sub first { return $_[0] =~ $_[1] ? $1 : 'unknown' }


sub cores {
    our $cores ||= said('nproc') =~ /^(\d+)$/m ? $1 : 1;
    return $cores;
}


# describe(the Bench::Database)

sub describe {
    my ($database) = @_;

    my $tree = Provisioning::Test::Postgres::tree();
    my $postgres = $database->postgres_of;
    my @git = ('git', '-C', $tree);
    my $commit = first(said(@git, 'rev-parse', 'HEAD'), qr/^([0-9a-f]{40,})$/m);

    $commit .= ', changed' if $commit ne 'unknown'
        && said(@git, 'status', '--porcelain', '--untracked-files=no') ne '';

    return {
        cpu        => first(text('/proc/cpuinfo'),
                            qr/^model name\s*:\s*(.+)$/m),
        cores      => cores() + 0,
        memory     => sprintf('%.1f GiB', first(text('/proc/meminfo'),
                          qr/^MemTotal:\s+(\d+) kB/m) / 1024 / 1024),
        kernel     => first(said('uname', '-srm'), qr/^(.+)$/m),
        filesystem => first(said('df', '--output=fstype', $postgres->{data}),
                            qr/^(\S+)\s*\z/m),
        load       => first(text('/proc/loadavg'), qr/^([\d.]+)/) + 0,
        nginx      => first(said($Provisioning::Test::Nginx::binary, '-v'),
                            qr{nginx/(\S+)}),
        postgresql => first($postgres->value('show server_version'),
                            qr/^(\S+)/),
        libpq      => libpq(),
        openssl    => first(said('openssl', 'version'), qr/^OpenSSL (\S+)/),
        wrk        => first(said('wrk', '-v'), qr/^wrk (?:debian\/)?(\S+)/),
        commit     => $commit,
    };
}


# The one that the module is linked with; its package knows it best.

sub libpq {
    return first(said('dpkg-query', '-W', '-f', '${Version}', 'libpq5')
                 || said('pg_config', '--version'), qr/(\d[\d.]*)/);
}


# Seconds of CPU that a process and its children, which still run, have had.

sub cpu {
    my ($parent) = @_;
    my $sum = 0;

    for my $stat (glob '/proc/[0-9]*/stat') {
        my ($pid, $of) = text($stat) =~ /^(\d+) \(.*\) \S (\d+)/s or next;
        next if $pid != $parent && $of != $parent;

        my ($spent) = text("/proc/$pid/schedstat") =~ /^(\d+)/ or next;
        $sum += $spent / 1e9;
    }

    return $sum;
}

1;
