package Provisioning::Test::FakePostgres;

# A server that speaks PostgreSQL's protocol (version 3) and misbehaves as a
# test tells it to: for what a real one cannot be made to do.  Each connection
# is a child process that runs the test's code.  See Provisioning::Test for
# the manual; message formats are in the PostgreSQL manual, chapter 55.

use strict;
use warnings;

use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP ();
use Socket ();

use Provisioning::Test::Process;


# new(directory, port, code): listens on a unix socket and on 127.0.0.1.

sub new {
    my ($class, $directory, $port, $code) = @_;

    mkdir $directory or die "$directory: $!";
    chmod 0755, $directory;

    my $path = "$directory/.s.PGSQL.5432";
    my $unix = IO::Socket::UNIX->new(Local => $path, Listen => 64)
        or die "$path: $!";
    chmod 0777, $path;
    my $inet = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $port, Listen => 64, ReuseAddr => 1)
        or die "127.0.0.1:$port: $!";

    my $self = bless {
        directory => $directory, port => $port, seen => "$directory/seen",
    }, $class;

    $self->{process} = Provisioning::Test::Process->fork_off(
        'fake PostgreSQL', sub { $self->serve_all($code, $unix, $inet) });

    # only the child listens: when it has gone, connections are refused
    $_->close for $unix, $inet;

    return $self;
}


sub server     { "unix:$_[0]{directory}" }
sub tcp_server { "127.0.0.1:$_[0]{port}" }
sub stop       { $_[0]{process}->kill_group }


sub serve_all {
    my ($self, $code, @listeners) = @_;

    local $SIG{CHLD} = 'IGNORE';    # the kernel reaps
    my $number = 0;

    while (1) {
        my $bits = '';
        vec($bits, fileno $_, 1) = 1 for @listeners;
        next if select($bits, undef, undef, undef) < 1;

        for my $listener (grep { vec $bits, fileno $_, 1 } @listeners) {
            my $client = $listener->accept or next;
            $number++;
            next if fork;

            $SIG{PIPE} = 'IGNORE';
            @{$self}{qw(socket buffer number)} = ($client, '', $number);
            eval { $code->($self); 1 }
                or $@ eq "the client has gone\n"
                or $self->note('!', "$@");
            POSIX::_exit(0);
        }
    }
}


# What came in, from all connections in the order of arrival: hashes with
# connection (from 1), type ("startup", or a message's letter) and data.

sub seen {
    my ($self, $type) = @_;

    open my $file, '<', $self->{seen} or return ();
    my @seen = map { JSON::PP->new->latin1->decode($_) } <$file>;
    my @faults = grep { $_->{type} eq '!' } @seen;

    die "the fake server's code died: $faults[0]{data}" if @faults;
    return grep { !defined $type || $_->{type} eq $type } @seen;
}


sub note {
    my ($self, $type, $data) = @_;

    open my $file, '>>', $self->{seen} or die "$self->{seen}: $!";
    syswrite $file, JSON::PP->new->latin1->encode({
        connection => $self->{number}, type => $type, data => $data }) . "\n";
    return;
}


# From here on: what the test's code calls, with its connection.

sub number { $_[0]{number} }


sub bytes {
    my ($self, $length) = @_;

    while (length $self->{buffer} < $length) {
        sysread $self->{socket}, $self->{buffer}, 65536,
                length $self->{buffer}
            or die "the client has gone\n";
    }

    return substr $self->{buffer}, 0, $length, '';
}


# The next message: { type, data }.  Dies (and ends the connection's code,
# quietly) when the client has closed.  A simple query is what the gateway sets
# a connection up with: it is done, and the next message is returned.

sub message {
    my ($self) = @_;

    my ($type, $length) = unpack 'aN', $self->bytes(5);
    my $message = { type => $type, data => $self->bytes($length - 4) };

    $self->note(@{$message}{qw(type data)});

    if ($type eq 'Q') {
        $self->raw(join '', (map { $self->packet('C', "$_\0") } 'SELECT 1',
            'PREPARE'), $self->packet('Z', 'I'));
        return $self->message;
    }

    return $message;
}


# Messages up to and including the next one of a type.

sub messages_until {
    my ($self, $type) = @_;
    my @messages;

    do { push @messages, $self->message } until $messages[-1]{type} eq $type;

    return @messages;
}


sub raw {
    my ($self, $bytes) = @_;
    defined syswrite $self->{socket}, $bytes or die "the client has gone\n";
    return;
}

sub packet { pack 'aNa*', $_[1], 4 + length $_[2], $_[2] }

sub send_message {
    my ($self, $type, $data) = @_;
    return $self->raw($self->packet($type, defined $data ? $data : ''));
}


# The first exchange, up to ReadyForQuery.  Parameters override what it says
# of itself: startup(in_hot_standby => 'on').

sub startup {
    my ($self, %parameters) = @_;

    my ($length, $version) = unpack 'NN', $self->bytes(8);

    while ($version == 80877103 || $version == 80877104) {    # SSL, GSSAPI
        $self->raw('N');
        ($length, $version) = unpack 'NN', $self->bytes(8);
    }

    $self->note('startup', $self->bytes($length - 8));

    %parameters = (
        server_version => '15.0', server_encoding => 'UTF8',
        client_encoding => 'UTF8', standard_conforming_strings => 'on',
        integer_datetimes => 'on', DateStyle => 'ISO, MDY', TimeZone => 'UTC',
        in_hot_standby => 'off', default_transaction_read_only => 'off',
        %parameters,
    );

    $self->raw(join '', $self->packet('R', pack 'N', 0),
        (map { $self->packet('S', "$_\0$parameters{$_}\0") }
            sort keys %parameters),
        $self->packet('K', pack 'NN', $$, 1), $self->packet('Z', 'I'));

    return;
}


# The replies to the messages of an extended query, as one string of bytes:
# rows of (status, body, headers), undef for NULL.  A statement that serves
# several queries has them for each.

sub replies {
    my ($self, $messages, @rows) = @_;
    my $bytes = '';

    for my $message (@$messages) {
        my ($type, $data) = @{$message}{qw(type data)};

        if ($type eq 'P') {
            my ($name, $text) = split /\0/, $data;
            $self->{several}{$name} = $text =~ / from unnest\(/;

        } elsif ($type eq 'B') {
            $self->{bound} = $self->bound($data);
        }

        $bytes .= $type eq 'P' ? $self->packet('1', '')
                : $type eq 'B' ? $self->packet('2', '')
                : $type eq 'C' ? $self->packet('3', '')
                : $type eq 'D' ? $self->description($data)
                : $type eq 'E' ? $self->result(@rows)
                : $type eq 'S' ? $self->packet('Z', 'I')
                :                '';
    }

    return $bytes;
}


# How many queries a statement serves, as the first of its arrays says; 0 for
# one that has no arrays.

sub bound {
    my ($self, $data) = @_;

    my (undef, $name, $rest) = split /\0/, $data, 3;
    return 0 unless $self->{several}{$name};

    my $formats = unpack 'n', $rest;
    return unpack 'N', substr $rest, 2 + 2 * $formats + 2 + 4 + 12, 4;
}


sub description {
    my ($self, $of) = @_;

    my $parameters = $of =~ /\AS/
        ? $self->packet('t', pack 'nN3', 3, (3802) x 3) : '';
    my @columns = ([status => 23, 4], [body => 114, -1], [headers => 3802, -1]);

    push @columns, [k => 20, 8] if $self->{bound};

    return $parameters . $self->packet('T', pack('n', scalar @columns)
        . join '', map { pack 'Z*NnNnNn', $_->[0], 0, 0, $_->[1],
                         $_->[2] & 0xffff, 0xffffffff, 0 } @columns);
}


sub result {
    my ($self, @rows) = @_;

    if (my $several = $self->{bound}) {
        @rows = map { my $k = $_; map { [@$_, $k] } @rows } 1 .. $several;
    }

    return join('', map { $self->packet('D', pack('n', scalar @$_)
        . join '', map { defined $_ ? pack 'N/a*', $_ : pack 'N', -1 } @$_) }
        @rows) . $self->packet('C', 'SELECT ' . @rows . "\0");
}


sub error {
    my ($self, $sqlstate, $message, %fields) = @_;

    %fields = (S => 'ERROR', V => 'ERROR', C => $sqlstate, M => $message,
               %fields);

    return $self->packet('E', join('', map { "$_$fields{$_}\0" }
                                       sort keys %fields) . "\0");
}


# Answers every query up to the client's end with these rows.

sub serve {
    my ($self, @rows) = @_;

    while (1) {
        $self->raw($self->replies([$self->messages_until('S')], @rows));
    }
}


# Says nothing more, until the client closes.

sub stall {
    my ($self) = @_;
    while (1) { $self->message }
}


sub close {
    my ($self) = @_;
    close $self->{socket};
    return;
}

1;
