package Bench::Rounds;

# What is measured, and in which order: everybody who is compared takes turns,
# one after the other, in each round, because a machine's speed changes by the
# minute; and whose turn is first changes from round to round.

use strict;
use warnings;

use Provisioning::Test::Postgres;

use Bench::Machine;
use Bench::Pgbench;
use Bench::Wrk;

our $bulks = 4;    # connections on which requests of many tenants come


# new(database, gateway, single (a gateway of one worker), slow, statements,
#     peers, settings (of Bench::Settings), run (its id), say (code))

sub new {
    my ($class, %o) = @_;
    return bless { %o, measures => [] }, $class;
}


sub measures { $_[0]{measures} }


# Who takes turns for a kind of request: code each, neighbours what is compared
# most closely.

sub turns {
    my ($self, $kind) = @_;

    my @pgbench = map { my $n = $_; sub { $self->pgbench($kind, $n) } }
        @{ $self->{settings}{clients} };
    my ($usual, @more) = @{ $self->{settings}{connections} };
    my @ours = sub { $self->gateway($kind, $usual) };

    if ($kind ne 'list') {
        @ours = (
            sub { $self->gateway($kind, 1) },
            @ours,
            sub { $self->gateway($kind, $usual, workers => 1) },
            map({ my $n = $_; sub { $self->gateway($kind, $n) } } @more),
            sub { $self->gateway($kind, $usual, beside => 'slow list') },
        );
    }

    if ($kind eq 'post') {
        push @ours, map { my $n = $_; sub { $self->gateway('bulk', $n) } }
            1, $bulks;
    }

    push @ours, map { my $peer = $_; sub { $self->peer($kind, $peer) } }
        @{ $self->{peers} };

    my @turns;
    while (@pgbench || @ours) {
        push @turns, grep { defined } shift @pgbench, shift @ours;
    }
    return @turns;
}


sub round {
    my ($self, $number) = @_;
    $self->{round} = $number;

    # so that none is due while somebody has his turn
    $self->{database}->postgres_of->sql('checkpoint');

    for my $kind (qw(post get list)) {
        my @turns = $self->turns($kind);
        push @turns, splice @turns, 0, ($number - 1) * 4 % @turns;
        $_->() for @turns;
    }

    return;
}


# Before the first round: nothing of it counts.

sub warm_up {
    my ($self) = @_;

    # what is as short as can be is not run for its figures
    return if $self->{settings}{seconds} == 1;

    local $self->{settings}{seconds} = $self->{settings}{quick} ? 1 : 5;
    local $self->{measures} = [];
    local $self->{round} = 0;
    my $usual = $self->{settings}{connections}[0];

    for my $kind (qw(post get list)) {
        $self->gateway($kind, $usual);

        # a service on Node compiles what it does while it does it
        $self->peer($kind, $_) for @{ $self->{peers} };

        next if $self->{settings}{quick};

        $self->gateway($kind, $usual, workers => 1) if $kind ne 'list';
        $self->pgbench($kind, 8);
    }

    return;
}


sub pgbench {
    my ($self, $kind, $clients) = @_;

    return $self->keep($kind, Bench::Pgbench::run($self->{database},
        $self->{statements}{$kind}, $clients, $self->{settings}{seconds}));
}


# With the CPU time of each request, so that it can be told who is waited for.

sub gateway {
    my ($self, $kind, $connections, %o) = @_;

    my $gateway = $self->{ $o{workers} ? 'single' : 'gateway' };
    my $measure = sub {
        return Bench::Wrk::run($self->{database}, $gateway->port, $kind,
            $connections, $self->{settings}{seconds});
    };

    my @spent = $self->spent($gateway);
    my ($result, $slow) = $o{beside} ? $self->{slow}->beside($measure)
                                     : $measure->();
    my @now = $self->spent($gateway);
    my $count = delete $result->{count};

    @{ $result->{cpu} }{qw(nginx postgresql wrk)} = map {
        ($now[$_] - $spent[$_]) / $count * 1e6;
    } 0 .. 2 unless $slow;

    return $self->keep($kind, { %$result, by => 'gateway',
        workers => $gateway->workers,
        $slow ? (beside => $slow) : () });
}


sub spent {
    my ($self, $gateway) = @_;

    return (Bench::Machine::cpu($gateway->nginx_of->pid),
            Bench::Machine::cpu($self->{database}->postgres_of->pid),
            (times)[2] + (times)[3]);
}


sub peer {
    my ($self, $kind, $peer) = @_;

    my $result = Bench::Wrk::run($self->{database}, $peer->port, $kind,
        $self->{settings}{connections}[0], $self->{settings}{seconds});
    delete $result->{count};

    return $self->keep($kind, { %$result, by => $peer->name });
}


sub keep {
    my ($self, $kind, $measure) = @_;

    @$measure{qw(run round kind)} = ($self->{run}, $self->{round}, $kind);
    push @{ $self->{measures} }, $measure;

    $self->{say}->(sprintf '%s %-4s %-8s %4d connections%s%s  %9.1f/s%s',
        $self->{round} ? "round $self->{round}" : 'warm-up', $kind,
        $measure->{by}, $measure->{connections},
        ($measure->{workers} || 2) == 1 ? ', 1 worker' : '',
        $measure->{beside} ? ', a slow list beside' : '', $measure->{rate},
        $measure->{errors} ? "  $measure->{errors} errors" : '');

    return $measure;
}

1;
