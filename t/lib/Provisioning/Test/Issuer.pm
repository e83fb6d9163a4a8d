package Provisioning::Test::Issuer;

# An issuer of tokens that publishes its keys over HTTP, and misbehaves as a
# test tells it to: for what a real one cannot be made to do.  Each request is
# answered by a child process.
#
#     my $issuer = Provisioning::Test::Issuer->new("$dir/issuer", $port);
#     $issuer->publish(qw(rsa ec256));              # /keys, as a good one does
#     $issuer->answer('/keys', status => 500);
#     $issuer->answer('/keys', body => $text, delay => 1, headers => [...]);
#     $issuer->answer('/keys', hang => 1);          # never
#     $issuer->answer('/keys', raw => "HTTP/1.1 200 OK\r\n\r\n{");
#     is $issuer->seen('/keys'), 1, 'asked once';
#     $issuer->stop; $issuer->start;                # it is away, and back

use strict;
use warnings;

use IO::Socket::INET;
use JSON::PP ();
use POSIX ();
use Time::HiRes ();

use Provisioning::Test::Process;
use Provisioning::Test::Token;


sub new {
    my ($class, $directory, $port) = @_;

    mkdir $directory or die "$directory: $!";

    my $self = bless {
        directory => $directory, port => $port, answers => {},
    }, $class;

    return $self->start;
}


sub url { "http://127.0.0.1:$_[0]{port}" . ($_[1] // '') }


sub start {
    my ($self) = @_;

    my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        LocalPort => $self->{port}, Listen => 64, ReuseAddr => 1)
        or die "127.0.0.1:$self->{port}: $!";

    $self->{process} = Provisioning::Test::Process->fork_off('fake issuer',
        sub { $self->serve_all($listener) });
    $listener->close;

    return $self;
}


sub stop { $_[0]{process}->kill_group }


sub answer {
    my ($self, $path, %answer) = @_;

    $self->{answers}{$path} = \%answer;

    my $file = "$self->{directory}/answers";
    open my $out, '>', "$file.new" or die "$file: $!";
    print $out JSON::PP->new->latin1->encode($self->{answers});
    close $out or die "$file: $!";
    rename "$file.new", $file or die "$file: $!";

    return;
}


sub publish {
    my ($self, @keys) = @_;
    return $self->answer('/keys',
        body => Provisioning::Test::Token::jwks(@keys));
}


# How often a path was asked for; all of them without one.

sub seen {
    my ($self, $path) = @_;

    open my $in, '<', "$self->{directory}/seen" or return 0;
    return scalar grep { !defined $path || $_ eq "$path\n" } <$in>;
}


sub serve_all {
    my ($self, $listener) = @_;

    local $SIG{CHLD} = 'IGNORE';    # the kernel reaps
    $SIG{PIPE} = 'IGNORE';

    while (1) {
        my $client = $listener->accept or next;
        next if fork;

        $self->serve($client);
        POSIX::_exit(0);
    }
}


sub serve {
    my ($self, $client) = @_;
    my $head = '';

    while ($head !~ /\r\n\r\n/) {
        sysread $client, $head, 4096, length $head or return;
    }

    my ($path) = $head =~ m{^GET (\S+) HTTP/1\.1\r\n} or return;

    open my $seen, '>>', "$self->{directory}/seen" or return;
    syswrite $seen, "$path\n";

    my $answers = {};
    if (open my $in, '<', "$self->{directory}/answers") {
        $answers = JSON::PP->new->latin1->decode(do { local $/; <$in> });
    }

    my $answer = $answers->{$path} || { status => 404 };

    # gate: is shut until there is a file of that name
    Time::HiRes::sleep(0.02) until !$answer->{gate} || -e $answer->{gate};

    Time::HiRes::sleep($answer->{hang} ? 3600 : $answer->{delay} || 0);

    if (defined $answer->{raw}) {
        syswrite $client, $answer->{raw};
        return;
    }

    my $body = $answer->{body} // '';

    print $client 'HTTP/1.1 ', $answer->{status} || 200, " Said\r\n",
        (map { "$_\r\n" } @{ $answer->{headers} || [] }),
        'Content-Length: ', length $body, "\r\nConnection: close\r\n\r\n",
        $body;
    close $client;

    return;
}

1;
