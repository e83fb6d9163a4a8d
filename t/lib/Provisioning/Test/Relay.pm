package Provisioning::Test::Relay;

# Stands between nginx and a PostgreSQL and forwards bytes, until a test says
# otherwise: for networks that fail at the worst moment.  One child process,
# told what to do through a socket pair.  See Provisioning::Test for the
# manual.

use strict;
use warnings;

use IO::Socket::INET;
use IO::Socket::UNIX;
use Socket qw(AF_UNIX SOCK_STREAM PF_UNSPEC);

use Provisioning::Test::Process;


# new(directory, port, path of the real server's socket)

sub new {
    my ($class, $directory, $port, $target) = @_;

    mkdir $directory or die "$directory: $!";
    chmod 0755, $directory;

    my $self = bless {
        directory => $directory, port => $port, target => $target,
        path => "$directory/.s.PGSQL.5432",
    }, $class;

    socketpair my $ours, my $its, AF_UNIX, SOCK_STREAM, PF_UNSPEC
        or die "socketpair: $!";

    # it listens before anybody can connect
    $self->listen;

    $self->{process} = Provisioning::Test::Process->fork_off(
        'relay', sub { close $ours; $self->relay($its) });

    close $its;
    $self->{unix}->close;
    $self->{inet}->close;
    $self->{control} = $ours;

    return $self;
}


sub server     { "unix:$_[0]{directory}" }
sub tcp_server { "127.0.0.1:$_[0]{port}" }


# pass: forward everything.  refuse: connections are refused, those that are
# open are closed.  cut: those are closed, new ones work.  stall: nothing is
# forwarded in either direction.  stall_replies: nothing of what the server
# says.  Each returns when it has come into force.

for my $mode (qw(pass refuse cut stall stall_replies)) {
    no strict 'refs';
    *$mode = sub { $_[0]->command($mode) };
}


# The next request whose bytes match (a Bind message has the parameters' text)
# is forwarded, and the connection closed instead of its reply's first byte:
# the server has done it, and the client cannot know.

sub cut_reply_to { $_[0]->command("cut_reply_to $_[1]") }


# The same, but some bytes of the reply come through.

sub half_reply_to { $_[0]->command("half_reply_to $_[1]") }


# The connection is closed before such a request reaches the server.

sub cut_request { $_[0]->command("cut_request $_[1]") }


# How many times one of the three has happened.

sub cuts { $_[0]->command('count') }


sub command {
    my ($self, $command) = @_;

    syswrite $self->{control}, $command =~ s/\n/ /gr . "\n"
        or die "the relay has gone: $!";

    my $answer = '';
    until ($answer =~ /\n/) {
        sysread $self->{control}, $answer, 64, length $answer
            or die "the relay has gone\n";
    }

    return 0 + $answer;
}


# From here on: the child.

sub listen {
    my ($self) = @_;

    unlink $self->{path};
    $self->{unix} = IO::Socket::UNIX->new(Local => $self->{path},
        Listen => 64) or die "$self->{path}: $!";
    chmod 0777, $self->{path};
    $self->{inet} = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $self->{port}, Listen => 64, ReuseAddr => 1)
        or die "127.0.0.1:$self->{port}: $!";

    return;
}


sub relay {
    my ($self, $control) = @_;

    $SIG{PIPE} = 'IGNORE';
    @{$self}{qw(mode pairs cuts)} = ('pass', [], 0);

    while (1) {
        my ($bits, %handle) = '';

        for my $socket ($control, grep { defined } @{$self}{qw(unix inet)}) {
            $handle{ fileno $socket } = [$socket];
        }

        for my $pair (@{ $self->{pairs} }) {
            $handle{ fileno $pair->{client} } = [$pair->{client}, $pair, 1]
                unless $self->{mode} eq 'stall';
            $handle{ fileno $pair->{server} } = [$pair->{server}, $pair, 0]
                unless $self->{mode} =~ /^stall/;
        }

        vec($bits, $_, 1) = 1 for keys %handle;
        next if select($bits, undef, undef, undef) < 1;

        for my $number (grep { vec $bits, $_, 1 } keys %handle) {
            my ($socket, $pair, $up) = @{ $handle{$number} };

            if ($socket == $control) {
                $self->obey($control);
                last;    # the set of sockets may be another now
            }

            $pair ? $self->forward($pair, $up) : $self->accept($socket);
            last if $pair && $pair->{closed};
        }
    }
}


sub accept {
    my ($self, $listener) = @_;

    my $client = $listener->accept or return;
    my $server = IO::Socket::UNIX->new(Peer => $self->{target});

    # as the kernel does it when nobody listens there
    return $self->shut($client) unless $server;

    push @{ $self->{pairs} }, { client => $client, server => $server };
    return;
}


sub forward {
    my ($self, $pair, $up) = @_;

    my ($from, $to) = $up ? @{$pair}{qw(client server)}
                          : @{$pair}{qw(server client)};

    sysread $from, my $bytes, 65536 or return $self->drop($pair);

    if ($up && $self->{pattern} && $bytes =~ $self->{pattern}) {
        $pair->{fate} = delete $self->{fate};
        delete $self->{pattern};

        if ($pair->{fate} eq 'cut_request') {
            $self->{cuts}++;
            return $self->drop($pair);
        }
    }

    if (!$up && $pair->{fate}) {
        $bytes = substr $bytes, 0, 7;
        syswrite $to, $bytes if $pair->{fate} eq 'half_reply_to';
        $self->{cuts}++;
        return $self->drop($pair);
    }

    while (length $bytes) {
        my $n = syswrite $to, $bytes;
        return $self->drop($pair) unless defined $n;
        substr $bytes, 0, $n, '';
    }

    return;
}


sub drop {
    my ($self, @pairs) = @_;

    for my $pair (@pairs) {
        $pair->{closed} = 1;
        $self->shut(@{$pair}{qw(client server)});
    }

    $self->{pairs} = [grep { !$_->{closed} } @{ $self->{pairs} }];
    return;
}


sub shut {
    my ($self, @sockets) = @_;
    close $_ for @sockets;
    return;
}


sub obey {
    my ($self, $control) = @_;

    my $command = '';

    until ($command =~ /\n/) {
        sysread $control, $command, 4096, length $command
            or POSIX::_exit(0);    # the test has ended
    }

    chomp $command;

    if ($command =~ /\A(cut_reply_to|half_reply_to|cut_request) (.*)\z/) {
        @{$self}{qw(fate pattern)} = ($1, qr/$2/);

    } elsif ($command eq 'cut') {
        $self->drop(@{ $self->{pairs} });

    } elsif ($command ne 'count') {
        $self->{mode} = $command;

        if ($command eq 'refuse') {
            $self->drop(@{ $self->{pairs} });
            $self->shut(grep { defined } delete @{$self}{qw(unix inet)});
            unlink $self->{path};

        } elsif (!$self->{unix}) {
            $self->listen;
        }
    }

    syswrite $control, "$self->{cuts}\n";
    return;
}

1;
