package Provisioning::Test::Background;

# What background() in Provisioning::Test returns: code that runs in a child
# until it is asked to finish.

use strict;
use warnings;

use IO::Handle;
use JSON::PP ();
use Socket qw(AF_UNIX SOCK_STREAM PF_UNSPEC);

use Provisioning::Test::Process;

# One socket pair: a byte from the test says stop, a line from the child is the
# result.  Neither waits for an end of file: children that are forked later
# hold copies of both ends.

sub new {
    my ($class, $code) = @_;

    socketpair my $ours, my $its, AF_UNIX, SOCK_STREAM, PF_UNSPEC
        or die "socketpair: $!";

    my $process = Provisioning::Test::Process->fork_off('background', sub {
        my $go_on = sub {
            my $bits = '';
            vec($bits, fileno $its, 1) = 1;
            return select($bits, undef, undef, 0) < 1;
        };

        print {$its} JSON::PP->new->allow_nonref->encode($code->($go_on)),
            "\n";
        $its->flush;
    });

    close $its;
    return bless { process => $process, socket => $ours }, $class;
}


# True while it has no result.

sub under_way {
    my ($self) = @_;

    vec(my $bits = '', fileno $self->{socket}, 1) = 1;
    return select($bits, undef, undef, 0) < 1;
}


sub finish {
    my ($self, $seconds) = @_;

    local $SIG{PIPE} = 'IGNORE';
    syswrite $self->{socket}, '.';

    my ($text, $bits) = ('', '');
    vec($bits, fileno $self->{socket}, 1) = 1;

    until ($text =~ /\n/) {
        select(my $ready = $bits, undef, undef,
               $seconds || $Provisioning::Test::patience)
            and sysread $self->{socket}, $text, 65536, length $text
            or die "a job in the background died, or does not end\n";
    }

    $self->{process}->wait_for_end($Provisioning::Test::patience);

    return JSON::PP->new->allow_nonref->decode($text);
}

1;
