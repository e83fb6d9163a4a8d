#!/usr/bin/perl

# What the module's own code costs a request, in instructions, which unlike
# times are the same on every machine: no more than t/instructions.json has,
# and a tenth.
#
#   PROV_TEST_RECORD=1 prove -v t/instructions.t
#
# writes that file anew; docs/development.md says when.
#
# harness: plain

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP ();
use Provisioning::Test;
use Provisioning::Test::Instructions;

my $file = "$FindBin::Bin/instructions.json";
my $margin = 0.10;
my @kinds = qw(get post token);
my %kind = (
    get   => 'a GET of a tenant',
    post  => 'a POST of a tenant',
    token => 'a GET of a tenant with a token that was not seen before',
);

my ($build, $flags) = Provisioning::Test::Instructions::build();
my $recorded = recorded();

plan skip_all => 'the module has no debugging information that says what it '
    . 'was compiled with, or nginx does not say its version' unless $build;

plan skip_all => "the figures are those of \"$recorded->{build}\", and this "
    . "is \"$build\"" unless $ENV{PROV_TEST_RECORD}
                           || $recorded->{build} eq $build;

my $postgres = postgres();
my $counted = Provisioning::Test::Instructions::requests($postgres, @kinds);
my $module = $Provisioning::Test::Instructions::module;
my %now = map { $_ => int $counted->{$_}{objects}{$module} + 0.5 } @kinds;

if ($ENV{PROV_TEST_RECORD}) {
    open my $out, '>', $file or die "$file: $!";
    print $out JSON::PP->new->pretty->canonical->encode(
        { build => $build, flags => $flags, %now });
    close $out or die "$file: $!";
    pass "$kind{$_}: $now{$_} instructions are recorded" for @kinds;
    done_testing;
    exit;
}

for my $kind (@kinds) {
    my $was = $recorded->{$kind};
    my $change = sprintf '%+.1f %%', 100 * ($now{$kind} / $was - 1);

    note "$kind{$kind}: $now{$kind} instructions, recorded $was ($change)";

    cmp_ok $now{$kind}, '<=', $was * (1 + $margin),
        "$kind{$kind} executes no more than $was instructions and a tenth"
        or diag dearest($kind);

    diag "$kind{$kind} executes $now{$kind} instructions ($change). Record it "
        . 'anew, so that this is kept: PROV_TEST_RECORD=1 prove '
        . 't/instructions.t' if $now{$kind} < $was * (1 - $margin);
}

done_testing;


sub recorded {
    open my $in, '<', $file or die "$file: $!";
    return JSON::PP->new->decode(do { local $/; <$in> });
}


# Where they are executed, for who has to find the change.

sub dearest {
    my ($kind) = @_;

    my $functions = $counted->{$kind}{functions};
    my @names = sort { $functions->{$b} <=> $functions->{$a} }
        keys %$functions;

    return join "\n", $recorded->{flags} eq $flags ? ()
            : "recorded with $recorded->{flags}\nnow with $flags",
        map { sprintf '%10.1f  %s', $functions->{$_}, $_ }
        @names[0 .. 14];
}
