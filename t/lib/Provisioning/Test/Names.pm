package Provisioning::Test::Names;

# A name server that answers as a test tells it to, and an nginx that asks no
# other: it has a mount namespace of its own, with other files in /etc.  For
# root only.  See Provisioning::Test for the manual.

use strict;
use warnings;

use IO::Socket::INET;
use JSON::PP ();
use Socket qw(AF_INET AF_INET6 inet_pton);

use Provisioning::Test::Nginx;
use Provisioning::Test::Process;


# What keeps it from being used here, or nothing.

sub missing {
    return 'for root only' if $> != 0;

    my ($code) = Provisioning::Test::Process->run(command => ['unshare', '-m',
        'sh', '-c', 'mount --bind /etc/hosts /etc/resolv.conf'
        . ' && mount --bind /etc/hosts /etc/nsswitch.conf']);
    return $code ? 'there are no mount namespaces' : '';
}


# new(directory, code): the code is given a name, "A" or "AAAA", and how often
# that was asked for before, and returns addresses; none is an answer, too, and
# undef is silence.

sub new {
    my ($class, $directory, $code) = @_;

    mkdir $directory or die "$directory: $!";
    chmod 0755, $directory;

    my $address = sprintf '127.53.%d.%d', 1 + $$ % 250, 1 + int rand 250;
    my $socket = IO::Socket::INET->new(LocalAddr => $address,
        LocalPort => 53, Proto => 'udp') or die "$address: $!";

    my $self = bless { directory => $directory, seen => "$directory/seen" },
        $class;

    $self->{process} = Provisioning::Test::Process->fork_off('fake names',
        sub { $self->serve($socket, $code) });
    $socket->close;

    $self->write('resolv.conf',
        "nameserver $address\noptions timeout:30 attempts:5\n");
    $self->write('nsswitch.conf', "hosts: dns\n");
    $self->write('nginx', <<"END");
#!/bin/sh
exec unshare -m sh -c 'mount --bind $directory/resolv.conf /etc/resolv.conf &&
    mount --bind $directory/nsswitch.conf /etc/nsswitch.conf &&
    exec "\$0" "\$\@"' '$Provisioning::Test::Nginx::binary' "\$\@"
END
    chmod 0755, $self->binary;

    return $self;
}


# For $Provisioning::Test::Nginx::binary.

sub binary { "$_[0]{directory}/nginx" }
sub stop   { $_[0]{process}->kill_group }


sub write {
    my ($self, $name, $text) = @_;

    open my $file, '>', "$self->{directory}/$name" or die "$name: $!";
    print $file $text;
    close $file or die "$name: $!";
    return;
}


# How often a name was asked for.

sub seen {
    my ($self, $name, $type) = @_;

    open my $file, '<', $self->{seen} or return 0;
    return scalar grep { $_ eq "$name $type\n" } <$file>;
}


# RFC 1035, section 4

sub serve {
    my ($self, $socket, $code) = @_;
    my %asked;

    open my $file, '>>', $self->{seen} or die "$self->{seen}: $!";

    while (my $peer = $socket->recv(my $query, 512)) {
        my ($id, $flags) = unpack 'nn', $query;
        my ($at, @labels) = 12;

        while (my $length = unpack 'C', substr $query, $at, 1) {
            push @labels, substr $query, $at + 1, $length;
            $at += 1 + $length;
        }

        my $type = unpack 'n', substr $query, $at + 1, 2;
        my $word = $type == 1 ? 'A' : $type == 28 ? 'AAAA' : 'other';
        my $name = lc join '.', @labels;

        syswrite $file, "$name $word\n";
        my @addresses = $code->($name, $word, $asked{"$name $word"}++ || 0);
        next if @addresses == 1 && !defined $addresses[0];

        my $family = $type == 1 ? AF_INET : AF_INET6;
        my @records = map { my $data = inet_pton($family, $_);
            pack 'n n n N n/a', 0xc00c, $type, 1, 0, $data } @addresses;

        $socket->send(pack('n6', $id, 0x8580, 1, scalar @records, 0, 0)
            . substr($query, 12, $at + 5 - 12) . join '', @records);
    }

    return;
}

1;
