#!/usr/bin/perl

# What a worker remembers of tokens it has verified, for how long and for whom,
# and that neither the cache nor the verifier minds when memory runs out; run
# without a server by t/unit/auth_unit.c.
#
#   prove t/auth_cache.t
#
# NGX_BUILD and SANITIZE are explained in t/unit/AuthUnit.pm.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/unit";

use Test::More;

use AuthUnit;


start();
standard();

sub cached { return (ask('cached', $_[0], unpack 'H*', $_[1]))[0] }

subtest 'what is verified is remembered' => sub {
    issuer('memo', "$base key rsa.pub kid=rsa; leeway 10s;");
    issuer('memo2', "$base key rsa.pub kid=rsa;");
    ask('set', $_, $_) for 'memo', 'memo2';
    ask('set', 'again', 'memo');
    ask('cache', 3);

    my @tokens = map { valid(sub => "user$_", roles => ['a', "b$_"]) } 0 .. 4;
    my @first = verify('memo', $tokens[0]);

    is(cached('memo', $tokens[0]), 'ok', 'a success is kept');
    is(join("\t", ask('cached', 'memo', unpack 'H*', $tokens[0])),
       join("\t", @first), 'with all that it says');
    is(cached('memo2', $tokens[0]), 'unknown', 'not for another set');
    is(cached('again', $tokens[0]), 'unknown',
       'not even for one with the same issuer');
    is(ask('count'), 1, 'once');

    verify('memo', $tokens[0]);
    is(ask('count'), 1, 'asking again adds nothing');

    my $broken = $tokens[1] =~ s/.{4}\z/AAAA/r;
    refused('memo', $broken, 'token_bad_signature', 'a failure');
    refused('memo', $broken, 'token_bad_signature', 'is a failure again');
    refused('memo', valid(exp => 1), 'token_expired', 'so is an old token');
    is(ask('count'), 1, 'and is not kept');

    accepted('memo', $tokens[$_], "token $_") for 1, 2;
    is(ask('count'), 3, 'the cache is full');
    accepted('memo', $tokens[0], 'the oldest is used');
    accepted('memo', $tokens[3], 'a fourth comes');
    is(ask('count'), 3, 'the cache is no fuller');
    is(join(' ', map { cached('memo', $tokens[$_]) } 0 .. 4),
       'ok unknown ok ok unknown', 'the least recently used has left');

    accepted('memo', valid(sub => 's' x 256, partner => 'p' x 256,
        roles => [map { 'r' x 120 . $_ } 10 .. 40]), 'much to remember');
    is(join(' ', map { cached('memo', $tokens[$_]) } 0, 2, 3), 'ok ok ok',
       'is not remembered');

    # the keys have gone: only what is remembered still passes

    ask('forget', 'memo');
    accepted('memo', $tokens[0], 'the cache answers for the verifier');
    refused('again', $tokens[0], 'token_unsupported_algorithm',
            'in its own set only');
    refused('memo', $tokens[1], 'token_unsupported_algorithm',
            'for what it knows only');
    refused('memo', "$tokens[0]A", 'token_unsupported_algorithm',
            'to the letter');
};

subtest 'what a request was given stays until it ends' => sub {
    issuer('hold', "$base key rsa.pub kid=rsa;");
    ask('set', 'hold', 'hold');

    my @tokens = map { valid(sub => "\"user$_", roles => ["b$_"]) } 0 .. 1;

    for my $first (1, 0) {
        ask('cache', 1);
        verify('hold', $tokens[0]) unless $first;

        is((ask('hold', 'hold', unpack 'H*', $tokens[0]))[0], 'ok',
            $first ? 'a token is seen' : 'a token is known');
        accepted('hold', $tokens[1], 'another takes its place in the cache');
        is(cached('hold', $tokens[0]), 'unknown', 'which has forgotten it');

        my ($subject, $told) = ask('held');
        is($subject, '"user0', 'the request has not');
        like($told, qr/^,"partner":"[^"]+","principal":\{"kind":"user",
            "subject":"\\"user0","issuer":"[^"]+","roles":\["b0"\]\}\z/x,
            'and says it to the database');
    }

    ask('cache', 1);
    verify('hold', $tokens[0]);
    ask('hold', 'hold', unpack 'H*', $tokens[0]);
    ask('cache', 'off');
    is((ask('held'))[0], '"user0', 'not even when the cache itself goes');
};

subtest 'what is remembered ends' => sub {
    issuer('ends', "$base key rsa.pub kid=rsa; leeway 10s;");
    ask('set', 'ends', 'ends');
    ask('cache', 10);

    my $token = valid(exp => $now + 5);

    accepted('ends', $token, 'a token of five seconds');
    ask('clock', $now + 14);
    is(cached('ends', $token), 'ok', 'is kept for its time and the leeway');
    accepted('ends', $token, 'and accepted');
    ask('clock', $now + 15);
    refused('ends', $token, 'token_expired', 'then it has expired');
    is(ask('count'), 0, 'and is forgotten');
    ask('clock', $now);
};

subtest 'many tokens come and go' => sub {
    ask('cache', 50);

    my @tokens = map { token({ alg => 'HS256' }, claims(sub => "user$_"),
                             'HS256', $secret) } 0 .. 199;
    my @order = map { int rand @tokens } 1 .. 1000;
    my $wrong = 0;

    for my $i (@order) {
        my @answer = verify('pem', $tokens[$i]);
        $wrong++ if $answer[0] ne 'ok' || $answer[2] ne "user$i";
    }

    is($wrong, 0, 'each is who it says');
    is(ask('count'), 50, 'no more are kept than there is room for');

    my %latest;
    for my $i (reverse @order) {
        last if keys %latest == 50;
        $latest{$i} = 1;
    }

    is(join(' ', grep { cached('pem', $tokens[$_]) eq 'ok' } 0 .. 199),
       join(' ', sort { $a <=> $b } keys %latest), 'namely the latest');

    ask('cache', 0);
    accepted('pem', $tokens[0], 'a cache of no size');
    is(ask('count'), 0, 'keeps nothing');
};

issuer('one', 'iss https://one.test; audience a; key rsa.pub;');
ask('set', 'one', 'one');

subtest 'running out of memory is an error, nothing worse' => sub {
    ask('cache', 10);

    my @tokens = (
        ['pem', 'ok', valid(sub => 'm'), 'a token that verifies'],
        ['pem', 'ok', by_crypt_jwt('HS256', 'HS256'), 'one with a secret'],
        ['pem', 'refused', valid(exp => 1), 'one that has expired'],
        ['pem', 'refused', valid(sub => 1), 'one with a bad claim'],
        ['pem', 'refused', by_crypt_jwt('RS256', 'no'), 'an unknown key'],
        ['one', 'refused', valid(), 'an unknown issuer'],
        ['one', 'refused', valid(iss => undef), 'no issuer'],
        ['pem', 'refused', token({ alg => 'x' }, claims()), 'a bad algorithm'],
    );

    # these two are read by jansson, which needs memory for that

    my @read = (
        ['pem', 'ok', valid(exp => $now + 9.5), 'one with a fraction'],
        ['pem', 'ok', token('{"alg":"RS25\u0036"}', claims(), 'RS256', $pk{rsa}),
            'one with an escape in its header'],
    );

    for my $case (@tokens, @read) {
        my ($set, $outcome, $token, $name) = @$case;
        my @answer = ask('memory', $set, unpack 'H*', $token);
        my $least = (grep { $_ == $case } @read) ? 10 : 1;

        ok($answer[0] eq $outcome && $answer[1] >= $least && $answer[2] == 0,
           $name) or diag("@answer");
    }
};

finish();
