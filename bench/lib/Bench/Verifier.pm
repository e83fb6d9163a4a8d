package Bench::Verifier;

# What a token costs that was never seen before: CPU time of the module's own
# verifier and its cache, in the program that t/auth_*.t drive, compiled as the
# module is.  No server is in it, so nothing has to be subtracted.

use strict;
use warnings;

use IPC::Open2 qw(open2);
use Provisioning::Test;
use Provisioning::Test::Postgres;
use Provisioning::Test::Token;


# measure(how many tokens): microseconds for one, when it is first seen and
# when it is seen again; of each third of the tokens, since times differ.

sub measure {
    my ($tokens) = @_;
    my $tree = Provisioning::Test::Postgres::tree();

    local $ENV{NGX_BUILD} = $ENV{NGX_BUILD} || (-d "$tree/build/module/objs"
                                                ? "$tree/build/module" : '');
    local $ENV{CFLAGS_EXTRA} = '-O2';
    local $ENV{SANITIZE} = 0;

    require "$tree/t/unit/Unit.pm";
    Unit::compile(Unit::auth_sources());
    my $program = Unit::build('t/unit/auth_unit.c');

    my $directory = directory() . '/verifier';
    mkdir $directory or die "$directory: $!";
    open my $file, '>', "$directory/jwks.json" or die "$directory: $!";
    print $file jwks('rsa');
    close $file or die "$directory: $!";

    my $pid = open2(my $from, my $to, $program, "$directory/");
    my $ask = sub {
        print {$to} join("\t", @_), "\n";
        my $answer = <$from> // die "auth_unit has died of: @_\n";
        chomp $answer;
        return $answer;
    };

    my @tokens = map { unpack 'H*', token(sub => "first-$_") } 1 .. $tokens;

    # one that is used before the others: the code itself should not be new
    my $warm = unpack 'H*', token(sub => 'warm');

    # the program's own clock stands still, where all of them are good
    for (['clock', time], ['cache', 2 * $tokens],
         ['issuer', 'bench', "iss $Provisioning::Test::Token::ISSUER; audience "
             . "$Provisioning::Test::Token::AUDIENCE; jwks jwks.json;"],
         ['set', 'bench', 'bench'])
    {
        my $answer = $ask->(@$_);
        die "auth_unit: @$_: $answer\n" if $answer !~ /^ok/;
    }

    my (@first, @again);
    my $answer = $ask->('verify', 'bench', $warm);
    die "auth_unit: a token is refused: $answer\n" if $answer !~ /^ok/;
    $ask->('bench', 'bench', $warm, 100);

    for (1 .. 3) {
        my @third = splice @tokens, 0, int $tokens / 3;
        push @first, mean(map { $ask->('bench', 'bench', $_, 1) } @third);
        push @again, mean(map { $ask->('bench', 'bench', $_, 1) } @third);
    }

    close $to;
    waitpid $pid, 0;
    die "auth_unit ends with $?\n" if $?;

    return { first => \@first, again => \@again, tokens => $tokens };
}


sub mean {
    my $sum = 0;
    $sum += $_ for @_;
    return $sum / @_;
}

1;
