#!/usr/bin/perl

# What runs the tests (t/build/prove): that nothing which is wrong with a file
# counts as good, and that the end says why.

use strict;
use warnings;

use File::Temp ();
use FindBin;
use Test::More;

my $directory = File::Temp->newdir;

sub runs {
    my (%files) = @_;
    my @names;

    for my $name (sort keys %files) {
        push @names, "$directory/$name.t";
        open my $file, '>', $names[-1] or die "$names[-1]: $!";
        print $file "use strict; use warnings; use Test::More; $files{$name}\n";
        close $file or die "$names[-1]: $!";
    }

    my $said = qx{'$FindBin::Bin/build/prove' 0 2 @names 2>&1};
    return ($?, $said, (split /\n/, $said)[-1]);
}

my $good = 'ok 1; ok 1; done_testing;';

my ($code, $said, $last) = runs(good => $good);
is $code, 0, 'a file that passes';
is $last, '2 passed, 0 failed', 'is counted';

($code, $said, $last) = runs(good => $good, bad => q{
    ok 1; is 'this', 'that', 'a name'; diag 'a reason'; done_testing;});
isnt $code, 0, 'one that fails';
is $last, '3 passed, 1 failed', 'is counted, too';
my ($end) = $said =~ m{bad\.t said:\n(.*)}s;
like $end, qr/^not ok 2 - a name$/m, 'and the end says what it has failed';
like $end, qr/^# +got: 'this'$/m, 'how';
like $end, qr/^# a reason$/m, 'and what it says of that';
unlike $end, qr/^ok/m, 'not what has passed';

($code, $said, $last) = runs(long => q{
    diag "line $_" for 1 .. 500; ok 0; done_testing;});
($end) = $said =~ m{long\.t said:\n(.*)}s;
my @lines = split /\n/, $end;
cmp_ok scalar @lines, '<', 80, 'of much that it says the end has the last';
is $lines[1], '...', 'and shows that it was more';
like $end, qr/^# line 490$/m, 'lines';

for (
    ['dies', q{ok 1; die "of this\n"}, qr/^of this$/m],
    ['ends with an error', q{ok 1; done_testing; $? = 3; exit 3}, qr/^1 passed/m],
    ['has no plan', q{ok 1}, qr/no plan/],
    ['has another plan', q{plan tests => 3; ok 1}, qr/planned 3 tests/],
    ['tests nothing', q{}, qr/^0 passed/m],
    ['bails out', q{ok 1; BAIL_OUT('enough')}, qr/enough/],
    ['leaves a file', q{
        open my $file, '>', "$ENV{TMPDIR}/left" or die; ok 1; done_testing;},
        qr/leaves in the temporary directory: left/],
) {
    my ($what, $text, $why) = @$_;
    ($code, $said, $last) = runs(one => $text);
    isnt $code, 0, "one that $what fails";
    like $last, qr/, [1-9]\d* failed/, 'and is counted';
    like $said, $why, 'and says why';
}

($code, $said, $last) = runs(good => $good,
    none => q{plan skip_all => 'not here';});
is $code, 0, 'one that is skipped as a whole does no harm';
is $last, '2 passed, 0 failed, 1 skipped', 'and is counted as that';

done_testing;
