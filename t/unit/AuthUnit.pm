package AuthUnit;

# What the tests of src/auth share (t/auth_*.t): they build t/unit/auth_unit.c
# and talk to it, with the keys and tokens of AuthTokens.

use strict;
use warnings;

use Exporter qw(import);
use IPC::Open2 qw(open2);
use Test::More;

use AuthTokens;
use Unit;

our @EXPORT = (@AuthTokens::EXPORT, qw(
    $root $dir $base start build ask verify accepted refused issuer standard
    finish));

# how the tests' issuers begin

our $base = 'iss https://issuer.test; audience provisioning;';

my ($pid, $from, $to);

# Call it first.

sub start {
    make_keys();
    compile(auth_sources());

    $pid = open2($from, $to, build('t/unit/auth_unit.c'), "$dir/conf/");
    ask('clock', $now);

    return;
}


# One command (see t/unit/auth_unit.c) and the words of its answer.

sub ask {
    my $line = join "\t", @_;
    $line =~ s/\n\s*/ /g;

    print {$to} "$line\n";

    my $answer = <$from>;
    BAIL_OUT("auth_unit has died of: $line") if !defined $answer;
    chomp $answer;

    return wantarray ? split(/\t/, $answer, -1) : $answer;
}


# A token, as ok and who is calling, or refused and why.

sub verify { return ask('verify', $_[0], unpack 'H*', $_[1]) }

sub accepted {
    my ($set, $token, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @answer = verify($set, $token);

    is($answer[0], 'ok', $name) or diag("@answer");

    return @answer;
}

sub refused {
    my ($set, $token, $code, $name, $more) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @answer = verify($set, $token);

    if ($answer[0] ne 'refused' || $answer[1] ne $code) {
        fail($name);
        diag("wanted $code, got: @answer");
        return @answer;
    }

    # the token, or a part worth having, is in no message

    my ($content, $signature) = $token =~ /^(.*\.)([^.]*)\z/s;
    my $told = grep { index("@answer", $_) >= 0 }
               grep { defined && length > 16 } $content, $signature;
    ok(!$told && $answer[2] =~ /^[A-Z].*\.$/
       && (!$more || $answer[3] =~ $more), $name) or diag("@answer");

    return @answer;
}

sub issuer {
    my ($name, $block) = @_;
    my @answer = ask('issuer', $name, $block);

    BAIL_OUT("issuer $name: @answer") if $answer[0] ne 'ok';

    return;
}


# Call it last: the program must not die, nor leak, at its end either.

sub finish {
    close $to;
    waitpid $pid, 0;
    is($?, 0, 'the program ends well');
    done_testing();

    return;
}


# The issuers that most tests use, each in a set of its name: "plain" has one
# RSA key without a kid; "pem" and "jwks" have a key for every algorithm.

sub standard {
    my @asymmetric = qw(rsa p256 p384 p521 ed ed448);

    issuer('plain', "$base key rsa.pub;");

    issuer('pem', "$base algorithms @algorithms;"
        . join(' ', map { "key $_.pub kid=$_;" } @asymmetric)
        . join(' ', map { "secret secret kid=HS$_ alg=HS$_;" } 256, 384, 512));

    jwks('all.json', (map { jwk($_, kid => $_) } @asymmetric),
         (map { jwk('secret', kid => "HS$_", alg => "HS$_") } 256, 384, 512));
    issuer('jwks', "$base algorithms @algorithms; jwks all.json;");

    ask('set', $_, $_) for qw(plain pem jwks);

    return;
}


1;
