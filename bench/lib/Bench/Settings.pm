package Bench::Settings;

# How large a run is: what the environment says, and else what a run has whose
# verdicts count.

use strict;
use warnings;

use POSIX ();


sub read {
    my $quick = $ENV{BENCH_QUICK} ? 1 : 0;

    my %settings = (
        quick       => $quick,
        tenants     => number('BENCH_TENANTS', $quick ? 100_000 : 1_000_000),
        rounds      => number('BENCH_ROUNDS', $quick ? 1 : 3),
        seconds     => number('BENCH_SECONDS', $quick ? 2 : 5),
        clients     => numbers('BENCH_CLIENTS', 1, 2, 4, 8, 16, 32, 64),
        connections => numbers('BENCH_CONNECTIONS', 64, 256, 1024),
        waiting     => number('BENCH_WAITING', $quick ? 200 : 1000),
        tokens      => number('BENCH_TOKENS', $quick ? 90 : 900),
        deliveries  => number('BENCH_DELIVERIES', $quick ? 6_400 : 64_000),
        peers       => $ENV{PEERS} ? 1 : 0,
        workers     => 2,
    );

    # what was asked for is smaller than what its figures are said to be of
    $settings{quick} = 1 if $settings{tenants} < 1_000_000
        || $settings{rounds} < 3 || $settings{seconds} < 5
        || $settings{deliveries} < 64_000
        || "@{ $settings{clients} }" ne '1 2 4 8 16 32 64'
        || "@{ $settings{connections} }" ne '64 256 1024';

    my ($most) = sort { $b <=> $a } $settings{waiting},
        @{ $settings{connections} };
    my $files = POSIX::sysconf(POSIX::_SC_OPEN_MAX());

    die "A process may have $files files open, and $most connections need some "
        . "more: \"ulimit -n 8192\" first, as \"make bench\" does.\n"
        if defined $files && $files < $most + 200;

    return \%settings;
}


sub number {
    my ($name, $default) = @_;
    my $value = $ENV{$name};

    return $default if !defined $value || $value eq '';
    $value =~ /^[1-9]\d{0,8}\z/
        or die "$name is \"$value\": it must be a whole number, at least 1.\n";
    return $value + 0;
}


sub numbers {
    my ($name, @default) = @_;
    my $value = $ENV{$name};

    return \@default if !defined $value || $value eq '';
    $value =~ /^[1-9]\d{0,4}(?:,[1-9]\d{0,4})*\z/
        or die "$name is \"$value\": it must be whole numbers with commas "
            . "between them.\n";
    return [map { $_ + 0 } split /,/, $value];
}

1;
