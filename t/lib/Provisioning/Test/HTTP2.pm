package Provisioning::Test::HTTP2;

# An HTTP/2 client (RFC 9113, without TLS) that sends the frames it is told to
# send and reads only when it is told to read: for clients that cancel, stop
# reading and disappear.
#
#     my $client = Provisioning::Test::HTTP2->connect($nginx->h2_port);
#     my $stream = $client->request(GET => '/…', token => token());
#     my $response = $client->response($stream);    # { status, body }
#
# reset($stream), goaway, close; options as those of Provisioning::Test::HTTP.
# A response of a stream that the server has reset has the member "reset".

use strict;
use warnings;

use IO::Socket::INET;
use JSON::PP ();
use Provisioning::Test ();
use Socket ();
use Time::HiRes qw(time);

my ($DATA, $HEADERS, $RST_STREAM, $SETTINGS, $PING, $GOAWAY, $WINDOW_UPDATE)
    = (0, 1, 3, 4, 6, 7, 8);
my ($ACK, $END_STREAM, $END_HEADERS) = (1, 1, 4);

# what nginx takes from HPACK's static table (RFC 7541, appendix A)
my %status = (8 => 200, 9 => 204, 10 => 206, 11 => 304, 12 => 400, 13 => 404,
              14 => 500);


# connect(port, buffer => bytes that the kernel keeps for us)

sub connect {
    my ($class, $port, %o) = @_;

    my $socket = IO::Socket::INET->new(Proto => 'tcp') or die "socket: $!";
    setsockopt $socket, Socket::SOL_SOCKET(), Socket::SO_RCVBUF(), $o{buffer}
        or die "SO_RCVBUF: $!" if $o{buffer};
    # what is written is on its way when somebody looks for it
    setsockopt $socket, Socket::IPPROTO_TCP(), Socket::TCP_NODELAY(), 1
        or die "TCP_NODELAY: $!";
    connect $socket, Socket::pack_sockaddr_in($port,
        Socket::inet_aton('127.0.0.1')) or die "port $port: $!\n";

    my $self = bless { socket => $socket, buffer => '', next => 1,
                       responses => {} }, $class;

    # windows as large as they may be: nobody waits for us there
    $self->write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    $self->frame($SETTINGS, 0, 0, pack 'nN', 4, 0x7fffffff);
    $self->frame($WINDOW_UPDATE, 0, 0, pack 'N', 0x7fffffff - 65535);

    return $self;
}


sub write {
    my ($self, $bytes) = @_;

    local $SIG{PIPE} = 'IGNORE';

    while (length $bytes) {
        my $n = syswrite $self->{socket}, $bytes;
        die "the server has gone: $!\n" unless defined $n;
        substr $bytes, 0, $n, '';
    }

    return;
}


sub frame {
    my ($self, $type, $flags, $stream, $payload) = @_;

    my $length = length $payload;
    return $self->write(pack('CnCCN', $length >> 16, $length & 0xffff, $type,
                             $flags, $stream) . $payload);
}


# Sends a request; the number of its stream.

sub request {
    my ($self, $method, $path, %o) = @_;

    my $stream = $self->{next};
    $self->{next} += 2;

    my $body = exists $o{json}
        ? JSON::PP->new->utf8->canonical->encode($o{json}) : undef;

    my @headers = (':method' => $method, ':scheme' => 'http',
        ':path' => $path, ':authority' => 'localhost');
    push @headers, authorization => "Bearer $o{token}" if defined $o{token};
    push @headers, 'content-type' => 'application/json' if defined $body;
    push @headers, %{ $o{headers} || {} };

    # literal, not indexed, not compressed
    my $block = '';
    while (my ($name, $value) = splice @headers, 0, 2) {
        $block .= "\0" . text($name) . text($value);
    }

    $self->frame($HEADERS, $END_HEADERS | (defined $body ? 0 : $END_STREAM),
                 $stream, $block);
    $self->frame($DATA, $END_STREAM, $stream, $body) if defined $body;

    return $stream;
}


sub text {
    my ($text) = @_;

    my $length = length $text;
    return chr($length) . $text if $length < 127;

    my $bytes = chr 127;
    for ($length -= 127; $length >= 128; $length >>= 7) {
        $bytes .= chr(128 | $length & 127);
    }

    return $bytes . chr($length) . $text;
}


sub reset {
    my ($self, $stream) = @_;
    return $self->frame($RST_STREAM, 0, $stream, pack 'N', 8);    # CANCEL
}

sub goaway { $_[0]->frame($GOAWAY, 0, 0, pack 'NN', 0, 0) }

sub close {
    my ($self) = @_;
    CORE::close($self->{socket});
    return;
}


# Reads until that stream has ended.

sub response {
    my ($self, $stream, $timeout) = @_;

    my $deadline = time + ($timeout || $Provisioning::Test::patience);
    $self->read_frame($deadline)
        until $self->{responses}{$stream} && $self->{responses}{$stream}{end};

    return $self->{responses}{$stream};
}


sub read_frame {
    my ($self, $deadline) = @_;

    my ($high, $low, $type, $flags, $stream) = unpack 'CnCCN',
        $self->bytes(9, $deadline);
    my $payload = $self->bytes($high << 16 | $low, $deadline);
    my $response = $self->{responses}{$stream} ||= { status => 0, body => '' };

    if ($type == $HEADERS) {
        $response->{status} = status_of($payload);
        $response->{end} = 1 if $flags & $END_STREAM;

    } elsif ($type == $DATA) {
        $response->{body} .= $payload;
        $response->{end} = 1 if $flags & $END_STREAM;

    } elsif ($type == $RST_STREAM) {
        $response->{reset} = unpack 'N', $payload;
        $response->{end} = 1;

    } elsif ($type == $SETTINGS && !($flags & $ACK)) {
        $self->frame($SETTINGS, $ACK, 0, '');

    } elsif ($type == $PING && !($flags & $ACK)) {
        $self->frame($PING, $ACK, 0, $payload);
    }

    return;
}


sub status_of {
    my ($block) = @_;

    $block =~ s/\A[\x20-\x3f]+//;    # sizes of the dynamic table
    my $first = ord $block;

    return $first & 0x80 ? $status{ $first & 0x7f } : 0 + substr $block, 2, 3;
}


sub bytes {
    my ($self, $length, $deadline) = @_;

    while (length $self->{buffer} < $length) {
        my $left = $deadline - time;
        my $bits = '';
        vec($bits, fileno $self->{socket}, 1) = 1;

        die "no frame came in time\n"
            if $left <= 0 || select($bits, undef, undef, $left) < 1;
        sysread $self->{socket}, $self->{buffer}, 65536,
                length $self->{buffer}
            or die "the server has closed the connection\n";
    }

    return substr $self->{buffer}, 0, $length, '';
}

1;
