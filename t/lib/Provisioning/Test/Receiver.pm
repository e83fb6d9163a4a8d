package Provisioning::Test::Receiver;

# A server that others send requests to, and that misbehaves as a test tells it
# to.  Each connection is a child process; each request on it is given to the
# test's code.  See Provisioning::Test for the manual.

use strict;
use warnings;

use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Socket ();
use Time::HiRes qw(sleep time);

use Provisioning::Test::Process;


# new(directory, port, code, options)

sub new {
    my ($class, $directory, $port, $code, %o) = @_;

    mkdir $directory or die "$directory: $!";

    # made once: what is in a ticket is every connection's
    my $context;
    if ($o{tls}) {
        require IO::Socket::SSL;
        $context = IO::Socket::SSL::SSL_Context->new(SSL_server => 1,
            SSL_cert_file => $o{tls}{cert}, SSL_key_file => $o{tls}{key},
            $o{tls}{version} ? (SSL_version => $o{tls}{version},
                SSL_cipher_list => 'ALL:@SECLEVEL=0') : ())
            or die IO::Socket::SSL::errstr();
    }

    my $listener = IO::Socket::INET->new(
        LocalAddr => $o{address} || '127.0.0.1', LocalPort => $port,
        Listen => $o{backlog} || 128, ReuseAddr => 1)
        or die "port $port: $!";

    my $self = bless {
        directory => $directory, port => $port, seen => "$directory/seen",
        name => $o{name} || '127.0.0.1', tls => $context,
        greeting => $o{greeting},
    }, $class;

    $self->{process} = Provisioning::Test::Process->fork_off('fake receiver',
        sub { $self->serve_all($code, $listener) });

    # only the child listens: when it has gone, connections are refused
    $listener->close;

    return $self;
}


sub port { $_[0]{port} }


# Its connections end with it, and its port is free.

sub stop {
    my ($self) = @_;

    $self->{process}->kill_group;
    Provisioning::Test::wait_until('the port is free', sub {
        IO::Socket::INET->new(LocalAddr => '127.0.0.1', ReuseAddr => 1,
            LocalPort => $self->{port}, Listen => 1);
    });
    return;
}


sub url {
    my ($self, $path) = @_;
    return ($self->{tls} ? 'https' : 'http') . "://$self->{name}:$self->{port}"
        . (defined $path ? $path : '/');
}


sub serve_all {
    my ($self, $code, $listener) = @_;

    local $SIG{CHLD} = 'IGNORE';    # the kernel reaps

    # asked to end, it takes its connections along, whatever they wait for
    local $SIG{TERM} = sub { $SIG{TERM} = 'DEFAULT'; kill 'TERM', -$$ };

    my $number = 0;

    while (1) {
        my $client = $listener->accept or next;
        $number++;

        if (!fork) {
            $listener->close;
            $SIG{PIPE} = 'IGNORE';
            $SIG{TERM} = 'DEFAULT';
            @{$self}{qw(socket buffer number)} = ($client, '', $number);
            eval { $self->serve($code); 1 }
                or $@ eq "the client has gone\n"
                or $self->note({ fault => "$@" });
            $self->note({ gone => 1 });
            POSIX::_exit(0);
        }

        $client->close;
    }
}


sub serve {
    my ($self, $code) = @_;

    $self->note({ connected => 1 });

    if ($self->{tls}) {
        IO::Socket::SSL->start_SSL($self->{socket}, SSL_server => 1,
            SSL_reuse_ctx => $self->{tls}) or die "the client has gone\n";
    }

    $self->raw($self->{greeting}) if defined $self->{greeting};

    while (1) {
        my $request = $self->read_request;
        $self->note({ %$request, length => length $request->{body},
                      body => substr $request->{body}, 0, 65536 });
        $code->($self, $request);
    }
}


# What came in, in the order of arrival: hashes with connection (from 1),
# time, method, path, headers (names in small letters), head, length, and the
# body's first 64 KiB.

sub seen {
    my ($self, $path) = @_;

    my @seen = $self->notes;
    my @faults = grep { $_->{fault} } @seen;

    die "the receiver's code died: $faults[0]{fault}" if @faults;
    return grep { $_->{method} && (!defined $path || $_->{path} eq $path) }
        @seen;
}


sub connections { scalar grep { $_->{connected} } $_[0]->notes }
sub gone        { scalar grep { $_->{gone} } $_[0]->notes }


sub notes {
    my ($self) = @_;

    open my $file, '<', $self->{seen} or return ();
    return map { JSON::PP->new->latin1->decode($_) } grep { /\n\z/ } <$file>;
}


sub note {
    my ($self, $what) = @_;

    open my $file, '>>', $self->{seen} or die "$self->{seen}: $!";
    syswrite $file, JSON::PP->new->latin1->canonical->encode({
        %$what, connection => $self->{number}, time => time }) . "\n";
    return;
}


# From here on: what the test's code calls, with its connection.

sub number { $_[0]{number} }


# Whether its TLS session is an earlier connection's.

sub resumed { $_[0]{socket}->get_session_reused }


sub fill {
    my ($self) = @_;

    sysread $self->{socket}, $self->{buffer}, 65536, length $self->{buffer}
        or die "the client has gone\n";
    return;
}


sub read_request {
    my ($self) = @_;

    $self->fill while $self->{buffer} !~ /\r\n\r\n/;
    $self->{buffer} =~ s/\A(.*?\r\n)\r\n//s;

    my $head = $1;
    my ($line, @lines) = split /\r\n/, $head;
    my ($method, $path) = split ' ', $line;
    my %headers = map { /^([^:]+):\s*(.*)/ ? (lc $1, $2) : () } @lines;

    my $length = $headers{'content-length'} || 0;
    $self->fill while length $self->{buffer} < $length;

    return { method => $method, path => $path, headers => \%headers,
             head => $head, body => substr $self->{buffer}, 0, $length, '' };
}


sub raw {
    my ($self, $bytes) = @_;

    for (my $sent = 0; $sent < length $bytes; ) {
        $sent += syswrite($self->{socket}, $bytes, length($bytes) - $sent,
                          $sent) || die "the client has gone\n";
    }

    return;
}


# answer(status, body, name => value …)

sub answer {
    my ($self, $status, $body, @headers) = @_;

    $body = '' unless defined $body;
    my $text = "HTTP/1.1 $status Fine\r\nContent-Length: " . length($body)
        . "\r\n";

    while (my ($name, $value) = splice @headers, 0, 2) {
        $text .= "$name: $value\r\n";
    }

    $self->raw("$text\r\n$body");
    return;
}


# Says nothing more until the client closes.

sub stall {
    my ($self) = @_;

    $self->fill while 1;
    return;
}


sub close {
    my ($self) = @_;

    shutdown $self->{socket}, 2;
    die "the client has gone\n";
}


sub reset {
    my ($self) = @_;

    setsockopt $self->{socket}, Socket::SOL_SOCKET, Socket::SO_LINGER,
        pack 'ii', 1, 0;
    CORE::close $self->{socket};
    die "the client has gone\n";
}

1;
