package Provisioning::Test::Process;

# A child process of a test: started in a session of its own, known by its
# pid, ended with the test whatever happens to the test.  All other parts of
# the harness start what they start through here, so that nothing is left.

use strict;
use warnings;

use Fcntl qw(O_WRONLY O_APPEND O_CREAT);
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep time);

our %all;    # pid => process, those that were not yet seen to end
my $owner = $$;


# spawn(name => …, command => […], output => file, user => name, env => {…},
#     dies => signal): the signal it gets when the test dies before it.

sub spawn {
    my ($class, %o) = @_;

    my @command = ('setpriv', '--pdeathsig', $o{dies} || 'TERM');
    push @command, "--reuid=$o{user}", "--regid=$o{user}", '--clear-groups'
        if defined $o{user};
    push @command, '--', @{ $o{command} };

    my $process = $class->fork_off($o{name}, sub {
        %ENV = (%ENV, %{ $o{env} || {} });
        open STDIN, '<', '/dev/null' or die "/dev/null: $!";
        sysopen STDOUT, $o{output} || '/dev/null',
            O_WRONLY | O_APPEND | O_CREAT or die "$o{output}: $!";
        open STDERR, '>&', \*STDOUT or die "stderr: $!";
        exec { $command[0] } @command or die "$command[0]: $!";
    });

    $process->{dies} = $o{dies};
    return $process;
}


# fork_off(name, code): runs code in a child, which never returns from it.

sub fork_off {
    my ($class, $name, $code) = @_;

    my $pid = fork;
    die "fork: $!" unless defined $pid;

    if ($pid == 0) {
        POSIX::setsid();
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP PIPE CHLD __DIE__ __WARN__);
        my $good = eval { $code->(); 1 };
        print STDERR "$name: $@" unless $good;
        POSIX::_exit($good ? 0 : 1);
    }

    return $all{$pid} = bless { pid => $pid, name => $name }, $class;
}


sub pid  { $_[0]{pid} }
sub name { $_[0]{name} }


# The wait status once it has ended, or undef.

sub ended {
    my ($self) = @_;

    if (!defined $self->{status} && waitpid($self->{pid}, WNOHANG) != 0) {
        $self->{status} = $?;
        delete $all{ $self->{pid} };
    }

    return $self->{status};
}


sub signal {
    my ($self, $signal) = @_;
    return defined $self->ended ? 0 : kill $signal, $self->{pid};
}


# Waits for the end; the wait status, or undef when it is still there.

sub wait_for_end {
    my ($self, $seconds) = @_;
    my $deadline = time + $seconds;

    while (!defined $self->ended) {
        return undef if time > $deadline;
        sleep 0.01;
    }

    return $self->{status};
}


# Asks with a signal and, after so many seconds, no longer asks.  True when
# asking was enough.

sub stop {
    my ($self, $signal, $seconds) = @_;

    $self->signal($signal);
    return 1 if defined $self->wait_for_end($seconds);

    $self->kill_group;
    return 0;
}


# The process and whatever it started in its session.

sub kill_group {
    my ($self) = @_;

    kill 'KILL', -$self->{pid};
    $self->wait_for_end(10);
    return;
}


# A command that ends by itself: (exit code, what it printed).

sub run {
    my ($class, %o) = @_;

    pipe my $reader, my $writer or die "pipe: $!";

    my $process = $class->fork_off($o{command}[0], sub {
        %ENV = (%ENV, %{ $o{env} || {} });
        my @command = @{ $o{command} };
        unshift @command, 'setpriv', "--reuid=$o{user}", "--regid=$o{user}",
            '--clear-groups', '--' if defined $o{user};
        close $reader;
        open STDIN, '<', $o{input} || '/dev/null' or die "stdin: $!";
        open STDOUT, '>&', $writer or die "stdout: $!";
        open STDERR, '>&', $writer or die "stderr: $!";
        chdir($o{directory} || '/') or die "$o{directory}: $!";
        exec { $command[0] } @command or die "$command[0]: $!";
    });

    close $writer;
    my $output = do { local $/; <$reader> };
    my $status = $process->wait_for_end($o{timeout} || 120);

    if (!defined $status) {
        $process->kill_group;
        $output .= "\n$o{command}[0] did not end\n";
        $status = 9;
    }

    return ($status & 127 ? 128 + ($status & 127) : $status >> 8, $output);
}


# What a process does (R, S, T, …; proc(5)) and who has started it; nothing
# where nobody can say.

sub about {
    my ($pid) = @_;

    open my $file, '<', "/proc/$pid/stat" or return;
    return (<$file> // '') =~ /.*\) (\S) (\d+)/;
}

sub state { (&about)[0] }
sub parent { (&about)[1] // 0 }


# What another process has started.

sub children {
    my ($pid) = @_;

    opendir my $all, '/proc' or return;
    return grep { parent($_) == $pid } grep { /^\d+$/ } readdir $all;
}


# For the end of the test, in whatever way it ends.

sub end_all {
    return unless $$ == $owner;

    my @left = values %all;
    $_->signal($_->{dies} || 'TERM') for @left;

    for my $process (@left) {
        next if defined $process->wait_for_end(5);
        $process->kill_group;
    }

    return map { $_->{name} } @left;
}

1;
