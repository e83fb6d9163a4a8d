package Bench::Machine;

# What a run was made on and with.

use strict;
use warnings;

use POSIX ();

use Provisioning::Test::Nginx;
use Provisioning::Test::Postgres;

my $tick = POSIX::sysconf(POSIX::_SC_CLK_TCK());


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


# The part of all cores' time that was not idle in the next so many seconds.

sub busy {
    my ($seconds) = @_;
    my @before = ticks();
    sleep $seconds;
    my @now = ticks();

    my ($all, $idle) = map { $now[$_] - $before[$_] } 0, 1;
    return $all ? 1 - $idle / $all : 0;
}


sub ticks {
    my @spent = text('/proc/stat') =~ /^cpu +(.*)$/m ? split ' ', $1 : (0) x 8;
    my $all = 0;

    # guests' time is in users', too
    $all += $_ for @spent[0 .. 7];
    return ($all, $spent[3] + $spent[4]);
}


# describe(the Bench::Database, how busy the machine was before)

sub describe {
    my ($database, $busy) = @_;

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
        busy       => $busy,
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


# Seconds of CPU that a process and its children have had, those that have
# ended, too.

sub cpu {
    my ($parent) = @_;
    my $sum = 0;

    for my $stat (glob '/proc/[0-9]*/stat') {
        my ($pid, $rest) = text($stat) =~ /^(\d+) \(.*\) (.*)/s or next;
        my ($of, @ended) = (split ' ', $rest)[1, 13, 14];
        next if $pid != $parent && $of != $parent;

        $sum += ($ended[0] + $ended[1]) / $tick if $pid == $parent;

        my ($spent) = text("/proc/$pid/schedstat") =~ /^(\d+)/ or next;
        $sum += $spent / 1e9;
    }

    return $sum;
}

1;
