package Bench::Goals;

# What a run was for: a row for each goal, with the figure that was measured,
# as the median of the rounds, and whether it is reached.  A quick run has
# figures and no verdicts.

use strict;
use utf8;
use warnings;

our $unjudged = 'not judged';

my %name = (post => 'POST', get => 'GET by id',
            list => 'list, first page of 25');


# rows(result): name, figure, goal, verdict, spread, note, and in "value" what
# was compared with "limit"

sub rows {
    my ($result) = @_;

    my @rows = (
        ratio($result, 'post', 2.0), ratio($result, 'get', 1.0),
        ratio($result, 'list', 0.9), bulk($result),
        beside($result, 'post', 10), beside($result, 'get', 5),
        alone($result, 'post'), alone($result, 'get'),
        token($result), rest($result), waiting($result),
        deliveries($result), hanging($result),
        workers($result, 'post'), workers($result, 'get'),
        many($result, 'post'), many($result, 'get'),
    );

    for my $row (@rows) {
        $row->{note} = join '; ', grep { defined && length } $row->{note},
            $row->{errors} ? "$row->{errors} errors" : undef;

        $row->{verdict} = !defined $row->{limit} ? ''
            : $result->{settings}{quick} ? $unjudged
            : $row->{errors} || $row->{void} ? 'NOT reached'
            : ($row->{least} ? $row->{value} >= $row->{limit}
                             : $row->{value} <= $row->{limit}) ? 'reached'
            : 'NOT reached';
    }

    return \@rows;
}


# The measures that have all of this in common, by round.

sub measures {
    my ($result, %want) = @_;

    return grep {
        my $measure = $_;
        !grep { ($measure->{$_} // '') ne $want{$_} } keys %want;
    } @{ $result->{measures} };
}


# Of the gateway with its usual number of workers, and nothing beside it unless
# that is asked for.

sub ours {
    my ($result, $kind, $connections, %o) = @_;
    my $workers = $o{workers} || $result->{settings}{workers};

    return grep { $_->{workers} == $workers && !$_->{beside} == !$o{beside} }
        measures($result, kind => $kind, by => 'gateway',
                 connections => $connections);
}


# pgbench with the number of clients whose median is the best.

sub theirs {
    my ($result, $kind) = @_;

    my ($best) = sort { $b->[0] <=> $a->[0] } map {
        my @measures = measures($result, kind => $kind, by => 'pgbench',
                                connections => $_);
        [median(map { $_->{rate} } @measures), \@measures];
    } @{ $result->{settings}{clients} };

    return @{ $best->[1] };
}


sub usual { $_[0]{settings}{connections}[0] }


sub median {
    my @sorted = sort { $a <=> $b } @_;
    return ($sorted[@sorted / 2] + $sorted[(@sorted - 1) / 2]) / 2;
}


# Of each round's two figures the one through the other, and the number of
# errors that the first one had.

sub each_round {
    my ($of, $through, $what) = @_;
    my %through = map { $_->{round} => $_->{$what} } @$through;
    my $errors = 0;
    $errors += $_->{errors} for @$of;

    return ($errors, map { $_->{$what} / $through{ $_->{round} } } @$of);
}


sub spread {
    my ($form, @values) = @_;
    my @sorted = sort { $a <=> $b } @values;

    return sprintf("$form–$form", @sorted[0, -1]);
}


sub rate { return thousands($_[0]) . '/s' }


sub thousands {
    my ($number) = @_;
    my $text = sprintf '%.0f', $number;

    1 while $text =~ s/^(\d+)(\d{3})/$1,$2/;
    return $text;
}


sub ratio {
    my ($result, $kind, $limit) = @_;

    my @ours = ours($result, $kind, usual($result));
    my @theirs = theirs($result, $kind);
    my ($errors, @ratios) = each_round(\@ours, \@theirs, 'rate');

    return {
        key => "$kind-ratio", least => 1, errors => $errors,
        name => "$name{$kind}, " . usual($result) . ' connections',
        value => median(@ratios), limit => $limit,
        figure => sprintf('%.2f × pgbench', median(@ratios)),
        goal => sprintf("≥ %.1f × pgbench's best", $limit),
        spread => spread('%.2f', @ratios),
        note => sprintf('%s, pgbench %s with %s; p50 %.1f ms, p99 %.1f ms',
            rate(median(map { $_->{rate} } @ours)),
            rate(median(map { $_->{rate} } @theirs)), clients(@theirs),
            median(map { $_->{p50} } @ours), median(map { $_->{p99} } @ours)),
    };
}


# Against what single requests reach at their best, and besides, one caller who
# waits for each answer against himself.

sub bulk {
    my ($result) = @_;
    my $many = $result->{settings}{bulk};

    my @bulk = map { { %$_, rate => $many * $_->{rate} } }
        ours($result, 'bulk', $result->{settings}{bulks});
    my @one = map { { %$_, rate => $many * $_->{rate} } }
        ours($result, 'bulk', 1);
    my @post = ours($result, 'post', usual($result));
    my ($errors, @ratios) = each_round(\@bulk, \@post, 'rate');
    my (undef, @alone) = each_round(\@one, [ours($result, 'post', 1)], 'rate');

    return {
        key => 'bulk', least => 1, errors => $errors,
        name => "bulk of $many", value => median(@ratios), limit => 5,
        figure => sprintf('%.1f × single POSTs', median(@ratios)),
        goal => '≥ 5 × the tenants/s of single POSTs',
        spread => spread('%.1f', @ratios),
        note => sprintf('%s tenants on %d connections; POSTs %s on %d; on one '
            . 'connection each %.1f ×', rate(median(map { $_->{rate} } @bulk)),
            $result->{settings}{bulks},
            rate(median(map { $_->{rate} } @post)), usual($result),
            median(@alone)),
    };
}


sub beside {
    my ($result, $kind, $limit) = @_;

    my @ours = ours($result, $kind, usual($result), beside => 1);
    my @without = ours($result, $kind, usual($result));
    my @times = map { $_->{p99} } @ours;
    my $errors = 0;
    $errors += $_->{errors} for @ours;

    # a list that was quick, or not always there, proves nothing
    my $slow = $result->{slow}{enough};
    my $median = median(map { $_->{beside}{median} } @ours);
    my ($busy) = sort { $a <=> $b } map { $_->{beside}{busy} } @ours;
    my $void = $median < $slow || $busy < 0.9
        || $result->{slow}{alone} < $slow;

    return {
        key => "$kind-p99", errors => $errors, void => $void,
        name => "p99 of $name{$kind}, a slow list beside",
        value => median(@times), limit => $limit,
        figure => sprintf('%.1f ms', median(@times)),
        goal => "≤ $limit ms", spread => spread('%.1f', @times),
        note => sprintf('%s; the list takes %.0f ms (%.0f alone)%s; without it '
            . 'p99 is %.1f ms', rate(median(map { $_->{rate} } @ours)),
            $median, $result->{slow}{alone},
            $void ? ", TOO LITTLE TO COUNT: it must take $slow" : '',
            median(map { $_->{p99} } @without)),
    };
}


# Means: pgbench has no others.

sub alone {
    my ($result, $kind) = @_;

    my @ours = map { { %$_, time => 1000 / $_->{rate} } }
        ours($result, $kind, 1);
    my @theirs = map { { %$_, time => 1000 / $_->{rate} } }
        measures($result, kind => $kind, by => 'pgbench', connections => 1);
    my ($errors, @ratios) = each_round(\@ours, \@theirs, 'time');

    return {
        key => "$kind-alone", errors => $errors,
        name => "$name{$kind}, one connection, alone",
        value => median(@ratios), limit => 1.25,
        figure => sprintf('%.2f × pgbench\'s latency', median(@ratios)),
        goal => '≤ 1.25 × pgbench with one client',
        spread => spread('%.2f', @ratios),
        note => sprintf('%.3f ms, pgbench %.3f ms',
            median(map { $_->{time} } @ours),
            median(map { $_->{time} } @theirs)),
    };
}


sub token {
    my ($result) = @_;
    my @first = @{ $result->{verifier}{first} };

    return {
        key => 'token', name => 'a first-seen RS256 token',
        value => median(@first), limit => 25,
        figure => sprintf('%.1f µs of CPU', median(@first)),
        goal => '≤ 25 µs', spread => spread('%.1f', @first),
        note => sprintf('the module\'s verifier and cache in a program of '
            . 'their own, %d tokens; one seen before %.1f µs',
            $result->{verifier}{tokens},
            median(@{ $result->{verifier}{again} })),
    };
}


sub rest {
    my ($result) = @_;
    my $memory = $result->{memory};

    return {
        key => 'memory-rest', name => 'memory of a worker at rest',
        value => $memory->{pss} / 1024, limit => 16,
        figure => sprintf('%.1f MiB', $memory->{pss} / 1024),
        goal => '≤ 16 MiB', spread => '',
        note => sprintf('its share (Pss); private %.1f, RSS %.1f with the '
            . 'libraries and what all processes have of the configuration',
            $memory->{private} / 1024, $memory->{rss} / 1024),
    };
}


sub waiting {
    my ($result) = @_;
    my $memory = $result->{memory};

    return {
        key => 'memory-waiting', name => 'memory of each waiting request',
        value => $memory->{each}, limit => 8,
        figure => sprintf('%.1f KiB', $memory->{each}),
        goal => '≤ 8 KiB', spread => '',
        note => sprintf('%d POSTs with their connections, while the database '
            . 'stands still; GETs %.1f KiB', @$memory{qw(waiting get)}),
    };
}


sub deliveries {
    my ($result) = @_;

    my @rounds = @{ $result->{deliveries} };
    my @rates = map { $_->{rate} } @rounds;
    my $errors = 0;
    $errors += $_->{errors} for @rounds;

    return {
        key => 'deliveries', least => 1, errors => $errors,
        name => "webhooks to $rounds[0]{receivers} receivers",
        value => median(@rates), limit => 5000, figure => rate(median(@rates)),
        goal => '≥ 5,000/s', spread => spread('%.0f', @rates),
        note => sprintf('%s in each round; CPU of a delivery %s',
            thousands(median(map { $_->{deliveries} } @rounds)),
            join ' + ', map {
                my $who = $_;
                sprintf '%.0f (%s)', median(map { $_->{cpu}{$who} } @rounds),
                    $who;
            } qw(nginx postgresql receivers)),
    };
}


sub hanging {
    my ($result) = @_;

    my @rounds = @{ $result->{hanging} };
    my @ratios = map { $_->{beside} / $_->{without} } @rounds;
    my $errors = 0;
    $errors += $_->{errors} for @rounds;

    return {
        key => 'hanging', errors => $errors,
        name => "p99 of $name{get}, receivers beside that hang",
        value => median(@ratios), limit => 1.2,
        figure => sprintf('%.2f × that without', median(@ratios)),
        goal => '≤ 1.2 × that without', spread => spread('%.2f', @ratios),
        note => sprintf('%.1f ms, and %.1f without', median(map {
            $_->{beside} } @rounds), median(map { $_->{without} } @rounds)),
    };
}


sub workers {
    my ($result, $kind) = @_;

    my @two = ours($result, $kind, usual($result));
    my @one = ours($result, $kind, usual($result), workers => 1);
    my ($errors, @ratios) = each_round(\@two, \@one, 'rate');

    return {
        key => "$kind-workers", errors => $errors,
        name => "$name{$kind}, "
            . "$result->{settings}{workers} workers against 1",
        value => median(@ratios), goal => 'measured',
        figure => sprintf('%.2f ×', median(@ratios)),
        spread => spread('%.2f', @ratios),
        note => sprintf('%s and %s; CPU of a request %s, and %s',
            rate(median(map { $_->{rate} } @two)),
            rate(median(map { $_->{rate} } @one)), cpu(@two), cpu(@one)),
    };
}


sub cpu {
    my (@measures) = @_;

    return join ' + ', map {
        my $who = $_;
        sprintf '%.0f (%s)', median(map { $_->{cpu}{$who} } @measures), $who;
    } qw(nginx postgresql wrk);
}


# Two runs of one thing differ by some percent: less than five is no fall.

sub many {
    my ($result, $kind) = @_;

    my ($usual, @more) = @{ $result->{settings}{connections} };
    my @usual = ours($result, $kind, $usual);
    my ($errors, %ratios) = (0);

    for my $connections (@more) {
        my ($n, @ratios) = each_round([ours($result, $kind, $connections)],
                                      \@usual, 'rate');
        $errors += $n;
        $ratios{$connections} = \@ratios;
    }

    my ($worst) = sort { median(@{ $ratios{$a} }) <=> median(@{ $ratios{$b} }) }
        @more;

    return {
        key => "$kind-many", least => 1, errors => $errors,
        name => "$name{$kind}, from $usual to $more[-1] connections",
        value => median(@{ $ratios{$worst} }), limit => 0.95,
        figure => sprintf('%.2f × that with %d', median(@{ $ratios{$worst} }),
                          $usual),
        goal => 'does not fall (≥ 0.95)',
        spread => spread('%.2f', @{ $ratios{$worst} }),
        note => join(', ', map {
            sprintf '%s: %s', $_, rate(median(map { $_->{rate} }
                ours($result, $kind, $_)));
        } $usual, @more),
    };
}


# What a picture shows: who reached what, pgbench at its best.

sub bars {
    my ($result) = @_;
    my @peers = @{ $result->{peers} || [] };

    return [map {
        my $kind = $_;
        my @theirs = theirs($result, $kind);

        {
            kind => $kind, name => $name{$kind},
            bars => [
                bar('gateway', ours($result, $kind, usual($result))),
                bar('pgbench, ' . clients(@theirs), @theirs),
                map({ bar($_, measures($result, kind => $kind, by => $_)) }
                    @peers),
            ],
        };
    } qw(post get list)];
}


sub clients {
    my ($measure) = @_;
    my $n = $measure->{connections};
    return "$n client" . ($n == 1 ? '' : 's');
}


sub bar {
    my ($name, @measures) = @_;
    my @rates = map { $_->{rate} } @measures;

    return { name => $name, rate => median(@rates),
             least => (sort { $a <=> $b } @rates)[0],
             most => (sort { $b <=> $a } @rates)[0] };
}

1;
