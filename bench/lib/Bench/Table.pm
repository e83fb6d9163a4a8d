package Bench::Table;

# A result as text: for a terminal, and for README.md.

use strict;
use utf8;
use warnings;

use JSON::PP ();

use Bench::Goals;


# For a terminal: a line for each goal, what it rests on below it.

sub text {
    my ($result) = @_;
    my @rows = @{ $result->{rows} };
    my ($name, $figure, $goal, $spread) = map {
        my $column = $_;
        my ($widest) = sort { $b <=> $a } map { length $_->{$column} } @rows;
        $widest;
    } qw(name figure goal spread);

    my $form = "%-${name}s  %-${figure}s  %-${spread}s  %-${goal}s  %s\n";
    my $text = sprintf $form, '', 'measured', 'min–max', 'goal', 'verdict';

    for my $row (@rows) {
        $text .= sprintf $form, @$row{qw(name figure spread goal verdict)};
        $text .= "    $row->{note}\n" if $row->{note} ne '';
    }

    $text =~ s/[ ]+$//mg;
    $text .= "\n" . peers($result) if @{ $result->{peers} };
    $text .= "\n" . pages($result) if $result->{pages};
    return "$text\n" . join('', map { "$_\n" } about($result));
}


sub peers {
    my ($result) = @_;

    return join '', map {
        my $kind = $_;
        "$kind->{name}\n", map { sprintf "    %-24s %12s\n", $_->{name},
            Bench::Goals::rate($_->{rate}) } @{ $kind->{bars} };
    } @{ $result->{bars} };
}


sub pages {
    my ($result) = @_;
    my $json = JSON::PP->new->canonical;

    return sprintf("%-66s %9s %9s\n", 'a page of 25, in the database alone',
                   'first', 'middle')
        . join '', map {
            my $name = join ' ', "sort=$_->{sort}",
                map { $_ eq '{}' ? () : s/[{}"]//gr }
                $json->encode($_->{filter});
            sprintf "    %-62.62s %6.2f ms%s\n", $name, $_->{first},
                defined $_->{middle} ? sprintf('%7.2f ms', $_->{middle}) : '';
        } @{ $result->{pages} };
}


# What one must know to believe it.

sub about {
    my ($result) = @_;
    my ($machine, $settings) = @$result{qw(machine settings)};
    my @about;

    push @about, 'BENCH_QUICK, or smaller than a run that counts: no verdict '
        . 'of this run means anything.' if $settings->{quick};
    push @about, sprintf('The machine was %.0f %% busy before this run began: '
        . 'nothing else should run.', 100 * $machine->{busy})
        if $machine->{busy} > 0.05;

    push @about,
        "run $result->{run}: "
            . Bench::Goals::thousands($settings->{tenants})
            . " tenants, medians of $settings->{rounds} rounds of "
            . "$settings->{seconds} s each, pgbench -M prepared with "
            . join(', ', @{ $settings->{clients} }) . ' clients',
        sprintf('%s, %d cores shared by all, %s, %s, data on %s',
            @$machine{qw(cpu cores memory kernel filesystem)}),
        sprintf('nginx %s, PostgreSQL %s, libpq %s, OpenSSL %s, wrk %s; commit '
            . '%s', @$machine{qw(nginx postgresql libpq openssl wrk commit)}),
        'nginx: worker_processes ' . join('; ',
            $settings->{nginx}{worker_processes},
            @{ $settings->{nginx}{provisioning_database} },
            "access_log $settings->{nginx}{access_log}",
            map { "provisioning_limit $_" } @{ $settings->{nginx}{limits} }),
        'PostgreSQL: ' . join ', ', map {
            "$_ = $settings->{postgresql}{$_}"
        } sort keys %{ $settings->{postgresql} };

    return @about;
}


# For README.md.

sub markdown {
    my ($result, $picture) = @_;
    my $cell = sub { return $_[0] =~ s/\|/\\|/gr };

    my $text = "| | measured | min–max | goal | |\n|---|---|---|---|---|\n";
    for my $row (@{ $result->{rows} }) {
        $text .= '| ' . join(' | ', map { $cell->($_) }
            @$row{qw(name figure spread goal verdict)}) . " |\n";
    }

    $text .= "\n" . rates($result);

    my ($machine) = $result->{machine};
    $text .= sprintf "\nMeasured on %s, %d cores for wrk, nginx and PostgreSQL "
        . "together, %s, %s; nginx %s, PostgreSQL %s, libpq %s, OpenSSL %s; "
        . "%s tenants, %d rounds of %d s (run %s, commit %.12s).\n",
        @$machine{qw(cpu cores memory kernel nginx postgresql libpq openssl)},
        Bench::Goals::thousands($result->{settings}{tenants}),
        @{ $result->{settings} }{qw(rounds seconds)}, $result->{run},
        $machine->{commit};
    $text .= "\n![Requests a second, of the gateway, pgbench and others]"
        . "($picture)\n";

    return $text;
}


# Who reached what: one column each, pgbench with its best number of clients.

sub rates {
    my ($result) = @_;
    my @kinds = @{ $result->{bars} };
    my @names = map { s/,.*//r } map { $_->{name} } @{ $kinds[0]{bars} };

    return '| requests a second | ' . join(' | ', @names) . " |\n"
        . '|---|' . '---:|' x @names . "\n"
        . join '', map {
            my $kind = $_;
            join(' | ', "| $kind->{name}",
                map { Bench::Goals::thousands($_->{rate}) }
                    @{ $kind->{bars} }) . " |\n";
        } @kinds;
}

1;
