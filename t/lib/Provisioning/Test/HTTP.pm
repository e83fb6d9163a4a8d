package Provisioning::Test::HTTP;

# An HTTP/1 client that sends exactly the bytes it is given and reads exactly
# one response at a time, for all that comfortable clients hide.  See
# Provisioning::Test for the manual.

use strict;
use warnings;

use IO::Socket::INET;
use IO::Socket::UNIX;
use JSON::PP ();
use List::Util qw(max);
use Socket ();
use Time::HiRes qw(time);


# connect(port), or connect(path) of a unix socket

sub connect {
    my ($class, $to, %o) = @_;

    my $socket = $to =~ m{^/}
        ? IO::Socket::UNIX->new(Peer => $to)
        : IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $to,
                                Timeout => $Provisioning::Test::patience);

    die "cannot connect to $to: $!\n" unless $socket;
    $socket->autoflush(1);

    return bless {
        socket  => $socket,
        buffer  => '',
        timeout => $o{timeout} || $Provisioning::Test::patience,
    }, $class;
}


sub socket { $_[0]{socket} }


# Sends bytes as they are; false when the server has gone.

sub write {
    my ($self, $bytes) = @_;

    local $SIG{PIPE} = 'IGNORE';
    utf8::encode($bytes) if utf8::is_utf8($bytes);

    while (length $bytes) {
        my $n = syswrite $self->{socket}, $bytes;
        return 0 unless defined $n;
        substr $bytes, 0, $n, '';
    }

    return 1;
}


# Builds a request; what is given as a header is not added a second time.

sub compose {
    my ($class, $method, $path, %o) = @_;

    my @headers = ref $o{headers} eq 'HASH' ? %{ $o{headers} }
                                            : @{ $o{headers} || [] };
    my %given = map { lc $headers[$_ * 2] => 1 } 0 .. @headers / 2 - 1;
    my $version = $o{version} || '1.1';
    my $body = $o{body};

    if (exists $o{json}) {
        $body = JSON::PP->new->utf8->canonical->encode($o{json});
        push @headers, 'Content-Type', 'application/json'
            unless $given{'content-type'};
    }

    utf8::encode($body) if defined $body && utf8::is_utf8($body);

    push @headers, 'Host', 'localhost' unless $given{host};
    push @headers, 'Authorization', "Bearer $o{token}"
        if defined $o{token} && !$given{authorization};
    push @headers, 'Content-Length', length $body
        if defined $body && !$given{'content-length'}
            && !$given{'transfer-encoding'};
    push @headers, 'Connection', 'close'
        unless $o{keep} || $given{connection};

    my $text = "$method $path HTTP/$version\r\n";

    while (my ($name, $value) = splice @headers, 0, 2) {
        $text .= "$name: $value\r\n" if defined $value;
    }

    return "$text\r\n" . (defined $body ? $body : '');
}


sub send_request {
    my ($self, $method, $path, %o) = @_;
    return $self->write(ref($self)->compose($method, $path, %o));
}


# The chunked coding of the pieces, the last chunk included.

sub chunks {
    my ($class, @pieces) = @_;
    return join('', map { sprintf("%x\r\n%s\r\n", length, $_) } @pieces)
        . "0\r\n\r\n";
}


# Reads the next response: interim ones (1xx) are kept in {interim} of the
# final one.  head => 1 says that the request was a HEAD.  undef: the server
# closed before sending a byte; dies on half a response and after the timeout,
# which is never less than that of the connection.

sub read_response {
    my ($self, %o) = @_;

    my $deadline = time + max($o{timeout} || 0, $self->{timeout});
    my @interim;

    while (1) {
        my $response = $self->read_one($deadline, $o{head}) or return undef;

        if ($response->status >= 200 || $o{interim}) {
            $response->{interim} = \@interim;
            return $response;
        }

        push @interim, $response;
    }
}


sub read_one {
    my ($self, $deadline, $head) = @_;

    while ($self->{buffer} !~ /\r\n\r\n/) {
        next if $self->fill($deadline);
        return undef if $self->{buffer} eq '';
        die "the server closed within a response's head: "
            . "'$self->{buffer}'\n";
    }

    $self->{buffer} =~ s/\A(.*?\r\n)\r\n//s;
    my $text = $1;
    my ($line, @lines) = split /\r\n/, $text;

    $line =~ m{\AHTTP/(\d\.\d) (\d{3})(?: (.*))?\z}
        or die "not a status line: '$line'\n";

    my $response = bless {
        version => $1, status => $2, reason => defined $3 ? $3 : '',
        head => $text, headers => [], body => '',
    }, 'Provisioning::Test::HTTP::Response';

    for (@lines) {
        /\A([^:\s]+):[ \t]*(.*?)[ \t]*\z/ or die "not a header: '$_'\n";
        push @{ $response->{headers} }, [$1, $2];
    }

    my $length = $response->header('Content-Length');
    my $coding = lc($response->header('Transfer-Encoding') || '');

    if ($head || $2 < 200 || $2 == 204 || $2 == 304) {
        return $response;

    } elsif ($coding eq 'chunked') {
        $self->read_chunks($response, $deadline);

    } elsif (defined $length) {
        $response->{body} = $self->take($length, $deadline);

    } else {
        1 while $self->fill($deadline);
        $response->{body} = $self->{buffer};
        $self->{buffer} = '';
    }

    return $response;
}


sub read_chunks {
    my ($self, $response, $deadline) = @_;

    while (1) {
        my $line = $self->take_line($deadline);
        $line =~ /\A([0-9a-fA-F]+)/ or die "not a chunk size: '$line'\n";
        last if hex $1 == 0;
        $response->{body} .= $self->take(hex $1, $deadline);
        $self->take_line($deadline) eq '' or die "a chunk is too long\n";
    }

    while ((my $line = $self->take_line($deadline)) ne '') {
        push @{ $response->{trailers} }, $line;
    }

    return;
}


sub take {
    my ($self, $length, $deadline) = @_;

    while (length $self->{buffer} < $length) {
        $self->fill($deadline)
            or die "the server closed after " . length($self->{buffer})
                . " of $length bytes\n";
    }

    return substr $self->{buffer}, 0, $length, '';
}


sub take_line {
    my ($self, $deadline) = @_;

    while ($self->{buffer} !~ /\r\n/) {
        $self->fill($deadline) or die "the server closed within a line\n";
    }

    $self->{buffer} =~ s/\A(.*?)\r\n//s;
    return $1;
}


# Reads what there is; 0 at the end of the stream.

sub fill {
    my ($self, $deadline) = @_;

    my $left = $deadline - time;
    my $bits = '';
    vec($bits, fileno $self->{socket}, 1) = 1;

    die "no (whole) response came in time; so far: '$self->{buffer}'\n"
        if $left <= 0 || select($bits, undef, undef, $left) < 1;

    my $n = sysread $self->{socket}, $self->{buffer}, 65536,
                    length $self->{buffer};

    return $n || 0;    # a reset is an end, too
}


# True when the server has closed, or does so within the seconds given.

sub closed {
    my ($self, $seconds) = @_;

    my $deadline = time + (defined $seconds ? $seconds : $self->{timeout});
    my $open = eval { 1 while $self->fill($deadline); 0 };

    return defined $open;
}


# All bytes until the server closes.

sub read_all {
    my ($self, $seconds) = @_;

    my $deadline = time + ($seconds || $self->{timeout});
    1 while $self->fill($deadline);

    my $bytes = $self->{buffer};
    $self->{buffer} = '';
    return $bytes;
}


sub close {
    my ($self) = @_;
    close $self->{socket} if $self->{socket};
    delete $self->{socket};
    return;
}


# Ends our half only: the server reads an end, and may still answer.

sub shut { shutdown $_[0]{socket}, 1 }


# Ends with a reset, as a client does that has died.

sub reset {
    my ($self) = @_;

    setsockopt $self->{socket}, Socket::SOL_SOCKET(), Socket::SO_LINGER(),
        pack('ii', 1, 0);

    return $self->close;
}


package Provisioning::Test::HTTP::Response;

use strict;
use warnings;

sub status  { $_[0]{status} }
sub reason  { $_[0]{reason} }
sub version { $_[0]{version} }
sub head    { $_[0]{head} }
sub body    { $_[0]{body} }
sub interim { @{ $_[0]{interim} || [] } }

sub header {
    my ($self, $name) = @_;
    my ($value) = $self->header_values($name);
    return $value;
}

sub header_values {
    my ($self, $name) = @_;
    return map { $_->[1] } grep { lc $_->[0] eq lc $name }
        @{ $self->{headers} };
}

sub header_names { map { $_->[0] } @{ $_[0]{headers} } }

sub type {
    my ($self) = @_;
    my $type = $self->header('Content-Type');
    return defined $type ? $type =~ s/\s*;.*//sr : undef;
}

# The body's JSON; undef when it is none, so that a test fails with a name.

sub json {
    my ($self) = @_;

    $self->{json} = eval { JSON::PP->new->utf8->decode($self->{body}) }
        unless exists $self->{json};

    return $self->{json};
}

# A problem document's code, "" for what is no problem document.

sub code {
    my ($self) = @_;

    return '' unless ($self->type || '') eq 'application/problem+json'
        && ref $self->json eq 'HASH' && defined $self->json->{code};

    return $self->json->{code};
}

1;
