package Provisioning::Test::Postgres;

# A PostgreSQL of a test's own: a copy of a cluster that was made, migrated
# and given two partners once for all files of a run.  See Provisioning::Test
# for the manual.

use strict;
use warnings;

use Cwd ();
use DBI ();
use File::Basename qw(dirname);
use IPC::SharedMem ();
use Time::HiRes qw(sleep time);

use Provisioning::Test::Process;

my $tree = Cwd::abs_path(dirname(__FILE__) . '/../../../..');

# What every PostgreSQL logs that is stopped under its clients' feet, or asked
# before it is ready: no fault.

my @ordinary = (
    qr/FATAL:  terminating connection due to administrator command/,
    qr/FATAL:  terminating autovacuum process due to administrator command/,
    qr/FATAL:  terminating connection due to unexpected postmaster exit/,
    qr/FATAL:  connection to client lost/,
    qr/FATAL:  the database system is (?:starting up|shutting down)/,
    qr/FATAL:  the database system is in recovery mode/,
    qr/FATAL:  the database system is not (?:yet )?accepting connections/,
);


# The project's directory.

sub tree { $tree }


# The directory of PostgreSQL's programs: the newest that is installed.

sub programs {
    our $programs ||= $ENV{PG_BINDIR} || do {
        my ($newest) = sort { ($b =~ /(\d+)/)[0] <=> ($a =~ /(\d+)/)[0] }
            map { dirname($_) } glob '/usr/lib/postgresql/*/bin/initdb';
        chomp($newest ||= `pg_config --bindir 2>/dev/null`);
        $newest;
    };

    -x "$programs/initdb" or die "PostgreSQL's server is not installed: "
        . "neither /usr/lib/postgresql/*/bin nor PG_BINDIR has initdb\n";

    return $programs;
}


# Whom the server runs as: it refuses root.

sub user { $> == 0 ? 'postgres' : undef }


sub give {
    my (@files) = @_;
    my ($uid, $gid) = (getpwnam 'postgres')[2, 3];

    return if $> != 0;
    defined $uid or die "there is no system user \"postgres\" to run "
        . "PostgreSQL as (it refuses root)\n";
    chown $uid, $gid, @files or die "chown: $!";
    return;
}


sub command {
    my ($user, @command) = @_;

    my ($code, $output) = Provisioning::Test::Process->run(
        command => \@command, defined $user ? (user => $user) : ());

    die "@command: exit code $code:\n$output\n" if $code;
    return $output;
}


# make_template(directory, segment): initdb, sql/migrate, the partners, a clean
# stop.  A segment of the WAL has so many MB, few unless it is said.

sub make_template {
    my ($directory, $segment) = @_;

    $segment ||= 1;

    my $data = "$directory/data";
    mkdir $directory or -d $directory or die "$directory: $!";
    mkdir $data, 0700 or die "$data: $!";
    give($data);

    command(user(), programs() . '/initdb', '-D', $data, '-U', 'postgres',
            '--auth=trust', '--encoding=UTF8', '--locale=C.UTF-8', '--no-sync',
            '--no-instructions', "--wal-segsize=$segment");

    # Nothing here outlives the machine, so nothing waits for the disk.
    # Shared memory is in files of the cluster: /dev/shm may not be there.

    open my $conf, '>>', "$data/postgresql.conf" or die "$data: $!";
    printf $conf <<'END', 2 * $segment;

listen_addresses = ''
unix_socket_permissions = 0777
dynamic_shared_memory_type = mmap
fsync = off
full_page_writes = off
synchronous_commit = on
wal_level = minimal
max_wal_senders = 0
max_wal_size = 64MB
min_wal_size = %dMB
shared_buffers = 16MB
max_connections = 60
jit = off
log_min_messages = warning
log_checkpoints = off
log_line_prefix = '%%m [%%p] %%e %%q%%u %%a '
log_timezone = 'UTC'
timezone = 'UTC'
END
    close $conf or die "$data: $!";

    my $postgres = __PACKAGE__->attach($data, "$directory/template.log");
    $postgres->start;
    command(undef, programs() . '/createdb', '--maintenance-db',
            $postgres->url('postgres'), 'provisioning');
    migrate($postgres);
    $postgres->sql('set role prov_owner');
    $postgres->sql('select prov.partner_add(?, ?)', @$_)
        for [acme => 'Acme'], [globex => 'Globex'];
    $postgres->stop;

    my $log = $postgres->log;
    die "the template's log says:\n$log" if $postgres->complaints;

    return $directory;
}


sub migrate {
    my ($postgres) = @_;

    local $ENV{PATH} = programs() . ":$ENV{PATH}";
    return command(undef, "$tree/sql/migrate", $postgres->url);
}


sub attach {
    my ($class, $data, $log) = @_;

    return bless {
        data => $data, sockets => dirname($data), port => 5432,
        log => $log, allowed => [@ordinary],
    }, $class;
}


# new(directory, template, tcp => reserved port, settings => {…},
#     standby_of => another one, …)

sub new {
    my ($class, $directory, $template, %o) = @_;

    mkdir $directory or die "$directory: $!";

    if (my $primary = $o{standby_of}) {
        give($directory);
        command(user(), programs() . '/pg_basebackup', '-D', "$directory/data",
                '--write-recovery-conf', '--checkpoint=fast', '--no-sync',
                '-d', $primary->url);
        $o{settings} = { %{ $primary->{settings} }, %{ $o{settings} || {} } };

    } else {
        command(undef, 'cp', '-a', '--reflink=auto', "$template/data",
                "$directory/data");
    }

    my $self = $class->attach("$directory/data", "$directory/postgres.log");
    $self->{settings} = $o{settings} || {};

    if ($o{tcp}) {
        $self->{port} = $o{tcp};
        $self->{tcp} = 1;
        $self->{settings}{listen_addresses} = '127.0.0.1';
    }

    $self->start unless defined $o{start} && !$o{start};
    return $self;
}


sub socket_dir { $_[0]{sockets} }
sub port       { $_[0]{port} }
sub pid        { $_[0]{process}->pid }
sub process    { $_[0]{process} }


# As nginx.conf has it: provisioning_database's "server".

sub server {
    my ($self) = @_;
    return "unix:$self->{sockets}/.s.PGSQL.$self->{port}";
}

sub tcp_server { "127.0.0.1:$_[0]{port}" }


# For psql, pgbench and sql/migrate: a superuser's.

sub url {
    my ($self, $database, $user) = @_;

    my $directory = $self->{sockets} =~ s/([^A-Za-z0-9._~-])/
                                          sprintf '%%%02X', ord $1/gerx;

    return sprintf 'postgresql://%s@/%s?host=%s&port=%d',
        $user || 'postgres', $database || 'provisioning', $directory,
        $self->{port};
}


sub start {
    my ($self) = @_;

    my $deadline = time + $Provisioning::Test::patience * 3;

    until ($self->try_to_start) {

        # After a crash the last of the killed server's processes may need a
        # moment to notice.

        my $log = $self->log;
        die "PostgreSQL does not start:\n$log\n" if time > $deadline
            || $log !~ /pre-existing shared memory block[^\n]*in use/;
        sleep 0.1;
    }

    return $self;
}


sub try_to_start {
    my ($self) = @_;

    my $settings = $self->{settings} || {};
    my $lines = "$self->{data}/postmaster.pid";
    my $user = user();
    my $said = -s $self->{log} || 0;
    my $deadline = time + $Provisioning::Test::patience * 3;

    open my $log, '>>', $self->{log} or die "$self->{log}: $!";
    close $log;
    give($self->{log}, $self->{sockets});

    $self->{process} = Provisioning::Test::Process->spawn(
        name => 'PostgreSQL', dies => 'INT', output => $self->{log},
        defined $user ? (user => $user) : (),
        command => [
            programs() . '/postgres', '-D', $self->{data},
            '-k', $self->{sockets}, '-p', $self->{port},
            map { ('-c', "$_=$settings->{$_}") } sort keys %$settings,
        ]);

    while (1) {
        if (open my $file, '<', $lines) {
            chomp(my @line = <$file>);

            if (@line >= 8 && $line[0] == $self->pid
                && $line[7] =~ /^ready/)
            {
                $self->{crashed} = 0;
                ($self->{shm}) = ($line[6] || '') =~ /(\d+)\s+\d+/;
                return 1;
            }
        }

        return 0 if defined $self->{process}->ended;
        die "PostgreSQL is not ready in time:\n" . $self->log
            if time > $deadline;
        sleep 0.01;
    }
}


# stop('fast'), 'smart' or 'immediate'

sub stop {
    my ($self, $mode) = @_;

    my %signal = (smart => 'TERM', fast => 'INT', immediate => 'QUIT');

    $self->disconnect;
    return unless $self->{process};

    $self->thaw if $self->{frozen};
    $self->{process}->stop($signal{ $mode || 'fast' },
                           $Provisioning::Test::patience * 3)
        or die "PostgreSQL did not stop:\n" . $self->log;
    delete $self->{process};

    return;
}


sub restart {
    my ($self, $mode) = @_;
    $self->stop($mode);
    return $self->start;
}


# kill -9 of the postmaster: its children follow when they notice.

sub crash {
    my ($self) = @_;

    $self->disconnect;
    $self->thaw if $self->{frozen};
    $self->{process}->kill_group;
    delete $self->{process};
    $self->{crashed} = 1;

    my $deadline = time + $Provisioning::Test::patience * 3;

    while ($self->shared_memory_users) {
        die "PostgreSQL's processes outlived it\n" if time > $deadline;
        sleep 0.01;
    }

    return;
}


sub shared_memory_users {
    my ($self) = @_;

    my $memory = defined $self->{shm}
        && IPC::SharedMem->new($self->{shm}, 0, 0) or return 0;
    my $stat = $memory->stat;

    return $stat ? $stat->nattch : 0;
}


# A segment that a killed server leaves is removed by the next start; when
# there was none, by this.  True when there was one.

sub remove_shared_memory {
    my ($self) = @_;
    my $memory = defined $self->{shm}
        && IPC::SharedMem->new($self->{shm}, 0, 0) or return 0;

    return $memory->remove;
}


sub running { $_[0]{process} && !defined $_[0]{process}->ended }


# The processes that serve a role's connections (all of them without one).

sub backends {
    my ($self, $role) = @_;

    return map { $_->{pid} } @{ $self->sql(
        'select pid from pg_stat_activity where backend_type = ?'
        . ' and pid <> pg_backend_pid() and usename = coalesce(?, usename)'
        . ' order by pid', 'client backend', $role) };
}


# kill -9 of those: PostgreSQL restarts all of itself after that.

sub kill_backends {
    my ($self, $role) = @_;
    my @pids = $self->backends(defined $role ? $role : 'prov_partner');
    $self->disconnect;
    $self->allow(map { qr/server process \(PID $_\) was terminated by signal 9/ }
                 @pids);
    return kill 'KILL', @pids;
}


# Stops time for the server, the connections that exist and those to come: who
# starts its processes first, so that there are no more of them.

sub freeze {
    my ($self) = @_;

    $self->disconnect;
    my $pid = $self->pid;
    $self->{frozen} = [$pid];
    Provisioning::Test::halt($pid);

    my @children = Provisioning::Test::Process::children($pid);
    push @{ $self->{frozen} }, @children;
    Provisioning::Test::halt(@children);

    return;
}


sub thaw {
    my ($self) = @_;
    kill 'CONT', @{ delete $self->{frozen} || [] };
    return;
}


# How long sessions that begin from now on wait for a lock; two seconds, as the
# product has it, may be over before a busy machine lets go of it.

sub lock_timeout {
    my ($self, $time) = @_;
    $self->sql("alter role $_ set lock_timeout = '$time'")
        for qw(prov_partner prov_operator prov_worker);
    return;
}


# A new tenant whose name is "held" is not committed before release_commits();
# and how many are being so.

sub hold_commits {
    my ($self) = @_;

    $self->sql($_) for $self->{gate}++ ? () : (
        'create table prov.gate ()',
        q{create function prov.hold_commit() returns trigger
            language plpgsql security definer as $$
        begin
            while exists (select from prov.gate) loop
                perform pg_sleep(0.02);
            end loop;
            return null;
        end $$},
        q{create constraint trigger hold_commit after insert on prov.tenants
            deferrable initially deferred for each row
            when (new.client_name = 'held')
            execute function prov.hold_commit()}),
        'insert into prov.gate default values';

    return;
}

sub release_commits { $_[0]->sql('delete from prov.gate') }

sub committing {
    my ($self) = @_;

    return $self->value('select count(*) from pg_stat_activity where'
        . " usename = 'prov_partner' and wait_event = 'PgSleep'");
}


# How many sessions of the gateway's wait for a lock.

sub waiting {
    my ($self) = @_;

    return $self->value('select count(*) from pg_stat_activity where'
        . " usename = 'prov_partner' and wait_event_type = 'Lock'");
}


# sql(text, values …): rows as hashes.  As the superuser, a statement at a
# time, over one connection that lasts until the next stop.

sub sql {
    my ($self, $text, @values) = @_;

    my $statement = $self->dbh->prepare($text);
    $statement->execute(@values);

    return $statement->{NUM_OF_FIELDS} ? $statement->fetchall_arrayref({})
                                       : [];
}


sub value {
    my ($self, $text, @values) = @_;
    return scalar $self->dbh->selectrow_array($text, undef, @values);
}


sub dbh {
    my ($self) = @_;
    return $self->{dbh} ||= $self->connect_as('postgres');
}


# A connection of its own, for a test that holds a lock, say.

sub connect_as {
    my ($self, $role) = @_;

    return DBI->connect(
        "dbi:Pg:dbname=provisioning;host=$self->{sockets};port=$self->{port}",
        $role, undef,
        { RaiseError => 1, PrintError => 0, AutoCommit => 1,
          pg_enable_utf8 => 1, pg_server_prepare => 0,
          AutoInactiveDestroy => 1 });
}


sub disconnect {
    my ($self) = @_;
    my $dbh = delete $self->{dbh};
    $dbh->disconnect if $dbh;
    return;
}


sub partner {
    my ($self, $slug) = @_;
    return $self->value('select id from prov.partners where slug = ?', $slug);
}


sub log {
    my ($self) = @_;
    open my $file, '<', $self->{log} or return '';
    return do { local $/; <$file> };
}


sub allow {
    my ($self, @patterns) = @_;
    push @{ $self->{allowed} }, @patterns;
    return $self;
}


# The lines of the log that nobody said were to be expected.

sub complaints {
    my ($self) = @_;

    my @allowed = @{ $self->{allowed} };

    return grep {
        my $line = $_;
        $line =~ /\b(?:ERROR|FATAL|PANIC):|terminated by signal/
            && !grep { $line =~ $_ } @allowed;
    } split /\n/, $self->log;
}

1;
