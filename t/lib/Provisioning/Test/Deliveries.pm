package Provisioning::Test::Deliveries;

# Receivers of webhooks, good and bad ones, on ports of 127.0.0.1, all served
# by one process:
#
#     my $receivers = receivers(good => 'answer', stubborn => 'hang');
#     $receivers->url('good');         http://127.0.0.1:…/good
#     $receivers->deliveries;          what came to any, oldest first: hashes of
#         at, name, answer, id, timestamp, signature, body
#     $receivers->count('good');       how many it has got
#
# What one does:
#
#     answer     204, at once
#     slow       204, after 100 ms
#     late       204, when $receivers->open_gate has been called
#     hang       reads, and never says anything
#     error      500 the first time for each webhook-id, then 204
#     close      closes the connection the first time, then 204
#     garbage    answers what is no HTTP the first time, then 204
#     gone       410
#
# "answer" of a delivery is the status, or 0 where there was no answer.

use strict;
use warnings;

use Exporter 'import';
use IO::Poll qw(POLLIN);
use IO::Socket::INET;
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

use Provisioning::Test::Process;

our @EXPORT = qw(receivers);

my $made = 0;
my %pause = (slow => 0.1);


sub receivers {
    my (%behaviour) = @_;

    my %listening = map {
        $_ => IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1024,
                                    Proto => 'tcp', Blocking => 0)
              || die "a receiver cannot listen: $!";
    } sort keys %behaviour;

    my $self = bless {
        file => Provisioning::Test::directory() . '/received' . ++$made,
        port => { map { $_ => $listening{$_}->sockport } keys %listening },
        read => 0, deliveries => [], count => {},
    }, __PACKAGE__;

    $self->{process} = Provisioning::Test::Process->fork_off(
        'background receiver', sub {
            $SIG{PIPE} = 'IGNORE';
            open my $out, '>>:raw', $self->{file} or die "$self->{file}: $!";
            $out->autoflush(1);
            serve(\%behaviour, \%listening, $out, "$self->{file}.gate");
        });

    return $self;
}


sub url { return "http://127.0.0.1:$_[0]{port}{$_[1]}/$_[1]" }


sub open_gate {
    my ($self) = @_;
    open my $gate, '>', "$self->{file}.gate" or die "$self->{file}.gate: $!";
    return;
}


sub stop {
    my ($self) = @_;
    my $process = delete $self->{process} or return;
    $process->stop('TERM', 5);
    return;
}


# Reads on from where it was.

sub deliveries {
    my ($self) = @_;

    open my $in, '<:raw', $self->{file} or return @{ $self->{deliveries} };
    seek $in, $self->{read}, 0;

    while (my $line = <$in>) {
        last unless $line =~ s/\n\z//;
        $self->{read} += length($line) + 1;
        my %delivery;
        @delivery{qw(at name answer id timestamp signature body)}
            = split /\t/, $line, 7;
        push @{ $self->{deliveries} }, \%delivery;
        $self->{count}{ $delivery{name} }++;
    }

    return @{ $self->{deliveries} };
}


sub count {
    my ($self, $name) = @_;
    $self->deliveries;
    return $self->{count}{$name} || 0;
}


# --- the process -------------------------------------------------------------

sub serve {
    my ($behaviour, $listening, $out, $gate) = @_;

    my $poll = IO::Poll->new;
    my (%name, %client, @later, @late, %seen);

    for my $name (keys %$listening) {
        $name{ fileno $listening->{$name} } = $name;
        $poll->mask($listening->{$name} => POLLIN);
    }

    while (1) {
        $poll->poll(@later || @late ? 0.01 : 1);

        if (@late && -e $gate) {
            answer($_->[0], 204, $_->[1], $out) for splice @late;
        }

        while (@later && $later[0][0] <= time) {
            my (undef, $client, $delivery) = @{ shift @later };
            answer($client, 204, $delivery, $out);
        }

        for my $handle ($poll->handles(POLLIN)) {
            my $number = fileno $handle;

            if (my $name = $name{$number}) {
                while (my $socket = $handle->accept) {
                    $socket->blocking(0);
                    setsockopt $socket, IPPROTO_TCP, TCP_NODELAY, 1;
                    $poll->mask($socket => POLLIN);
                    $client{ fileno $socket } = { socket => $socket,
                        name => $name, does => $behaviour->{$name},
                        in => '' };
                }
                next;
            }

            my $client = $client{$number};
            my $n = sysread $handle, $client->{in}, 65536,
                length $client->{in};

            while ($n && (my $delivery = request($client))) {
                my $status = judge($client, $delivery, \%seen);
                $n = 0, last if $status eq 'close';

                if (my $seconds = $pause{$status}) {
                    push @later, [time + $seconds, $client, $delivery];
                    @later = sort { $a->[0] <=> $b->[0] } @later
                        if @later > 1 && $later[-2][0] > $later[-1][0];
                } elsif ($status eq 'late') {
                    push @late, [$client, $delivery];
                } elsif ($status eq 'hang') {
                    note($delivery, 0, $out);
                } else {
                    answer($client, $status, $delivery, $out);
                }
            } continue {
                $n = 0 if $client->{ended};
            }

            if (!$n) {
                note($_, 0, $out) for grep { $_ } delete $client->{last};
                $poll->remove($handle);
                delete $client{$number};
                $client->{ended} = 1;
                close $handle;
            }
        }
    }
}


# The next whole request of what has come.

sub request {
    my ($client) = @_;

    my $end = index $client->{in}, "\r\n\r\n";
    return if $end < 0;

    my $head = substr $client->{in}, 0, $end + 2;
    my ($length) = $head =~ /^content-length: *(\d+)/mi;
    my $whole = $end + 4 + ($length || 0);
    return if length $client->{in} < $whole;

    my $body = substr $client->{in}, $end + 4, $length || 0;
    $client->{in} = substr $client->{in}, $whole;

    my %delivery = (at => time, name => $client->{name}, body => $body);
    for my $name (qw(id timestamp signature)) {
        ($delivery{$name}) = $head =~ /^webhook-$name: *([^\r]*)\r/mi;
        $delivery{$name} = '' unless defined $delivery{$name};
    }

    return \%delivery;
}


sub judge {
    my ($client, $delivery, $seen) = @_;

    my $does = $client->{does};
    return 410 if $does eq 'gone';
    return $does if $pause{$does} || $does =~ /^(?:late|hang)$/;
    return 204 if $does eq 'answer'
        || $seen->{"$client->{name} $delivery->{id}"}++;
    return 500 if $does eq 'error';

    $client->{last} = $delivery;
    if ($does eq 'garbage') {
        syswrite $client->{socket}, "\0\1\xff is this HTTP?\r\n\r\n";
    }
    return 'close';
}


sub answer {
    my ($client, $status, $delivery, $out) = @_;

    my $length = $status == 204 ? '' : "Content-Length: 0\r\n";
    my $sent = !$client->{ended} && syswrite $client->{socket},
        "HTTP/1.1 $status Something\r\n$length\r\n";
    note($delivery, $sent ? $status : 0, $out);

    return;
}


sub note {
    my ($delivery, $answer, $out) = @_;

    (my $body = $delivery->{body}) =~ s/[\t\n]/ /g;
    print $out join("\t", @$delivery{qw(at name)}, $answer,
        @$delivery{qw(id timestamp signature)}, $body), "\n";

    return;
}

1;
