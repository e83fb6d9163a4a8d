package Cluster;

# A private PostgreSQL cluster for one test file: in a temporary directory,
# on a UNIX socket only, gone when the object is, or the test, however it ends.
# PostgreSQL refuses root, so root runs it as user "postgres".

use strict;
use warnings;

use sigtrap qw(die normal-signals);

use DBI;
use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use POSIX ();

sub new {
    my ($class) = @_;
    my $bin = bindir();

    # short and close to the root: a socket's name has 107 bytes at most
    my $dir = tempdir('provsqlXXXXXX', TMPDIR => 1);
    my $self = bless { dir => $dir, bin => $bin, owner => $$, run => [] },
        $class;

    if ($> == 0) {
        my (undef, undef, $uid, $gid) = getpwnam('postgres')
            or die "there is no user \"postgres\" to run PostgreSQL as\n";
        chown $uid, $gid, $dir or die "chown $dir: $!\n";
        $self->{run} = [qw(runuser -u postgres --)];
    }

    # what runs as another user must not start in a directory closed to it
    $self->{wrap} = [qw(sh -c), 'cd "$0" && exec "$@"', $dir];

    $self->watch;

    $self->must('initdb', '-D', "$dir/data", '-U', 'postgres', '-A', 'trust',
        '--locale=C.UTF-8', '-E', 'UTF8', '--no-sync');

    open my $conf, '>>', "$dir/data/postgresql.conf" or die "$dir: $!\n";
    print $conf <<"CONF";
listen_addresses = ''
unix_socket_directories = '$dir'
dynamic_shared_memory_type = mmap
fsync = off
shared_buffers = 32MB
max_connections = 40
autovacuum = off
CONF
    close $conf or die "$dir: $!\n";

    $self->must('pg_ctl', '-D', "$dir/data", '-l', "$dir/log", '-s', '-w',
        '-t', '60', 'start');
    $self->{started} = 1;

    @ENV{qw(PGHOST PGUSER PGPORT PGDATABASE)} = ($dir, 'postgres', 5432,
        'postgres');
    return $self;
}

# A process that waits for the test's end, and takes away what is left then: a
# test that is killed cannot.  It holds one end of a pipe, the test the other.

sub watch {
    my ($self) = @_;

    pipe my $reader, my $writer or die "pipe: $!\n";

    my $pid = fork // die "fork: $!\n";

    if ($pid == 0) {
        $SIG{$_} = 'IGNORE' for qw(HUP INT PIPE TERM);
        POSIX::setsid();
        close $writer;

        # whoever reads the test's output waits for all who could write to it
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', '/dev/null';
        open STDERR, '>&', \*STDOUT;

        <$reader>;
        eval { @$self{qw(owner started)} = ($$, 1); $self->stop }
            if -d $self->{dir};
        remove_tree($self->{dir}) if $self->{dir} && -d $self->{dir};
        POSIX::_exit(0);
    }

    @$self{qw(watcher watched)} = ($pid, $writer);
    return;
}

sub bindir {
    for my $dir (`pg_config --bindir 2>/dev/null`,
        sort { ($b =~ /(\d+)/)[0] <=> ($a =~ /(\d+)/)[0] }
        glob('/usr/lib/postgresql/*/bin'))
    {
        chomp $dir;
        return $dir unless grep { !-x "$dir/$_" } qw(initdb pg_ctl pg_dump);
    }

    die "PostgreSQL's initdb, pg_ctl and pg_dump are not installed\n";
}

sub must {
    my ($self, $program, @arguments) = @_;

    my ($code, $out) = $self->run(@{ $self->{run} }, @{ $self->{wrap} },
        "$self->{bin}/$program", @arguments);
    return if $code == 0;

    my $log = '';
    if (open my $file, '<', "$self->{dir}/log") {
        local $/;
        $log = <$file>;
    }
    die "$program failed: $out$log\n";
}

# A connection; the role and the database are the first two arguments.

sub connect {
    my ($self, $user, $database, %options) = @_;

    return DBI->connect("dbi:Pg:dbname=$database;host=$self->{dir};port=5432",
        $user, '', { AutoCommit => 1, RaiseError => 1, PrintError => 0,
            pg_enable_utf8 => -1, AutoInactiveDestroy => 1, %options });
}

sub database {
    my ($self, $name, $clause) = @_;

    my $dbh = $self->connect('postgres', 'postgres');
    $dbh->do("create database $name " . ($clause // ''));
    $dbh->disconnect;
    return $name;
}

# Runs a command; returns its exit code, and what it wrote to both outputs.

sub run {
    my ($self, @command) = @_;

    my $pid = open(my $pipe, '-|') // die "fork: $!\n";

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDERR, '>&', \*STDOUT;
        exec { $command[0] } @command or print "$command[0]: $!\n";
        require POSIX;
        POSIX::_exit(127);
    }

    my $out = do { local $/; <$pipe> } // '';
    close $pipe;
    return ($? >> 8 || $? & 127, $out);
}

# Lines of the server's log that tell of a fault of its own.

sub faults {
    my ($self) = @_;

    open my $file, '<', "$self->{dir}/log" or return "no log: $!";
    return grep { /PANIC|server process .* was terminated|TRAP:/ } <$file>;
}

sub stop {
    my ($self) = @_;

    return if $self->{owner} != $$ || !$self->{dir};

    $self->must('pg_ctl', '-D', "$self->{dir}/data", '-w', '-m', 'immediate',
        'stop') if delete $self->{started};
    remove_tree(delete $self->{dir});

    my $watcher = delete $self->{watcher} or return;
    close delete $self->{watched};
    waitpid $watcher, 0;
}

sub DESTROY {
    my ($self) = @_;

    local ($?, $@);
    eval { $self->stop; 1 } or warn $@;
}

1;
