#!/usr/bin/perl

# What a token with a valid signature must say, and what is made of it: for
# whom, for when, who is calling, in which roles; run without a server by
# t/unit/auth_unit.c.
#
#   prove t/auth_claims.t
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

# --- claims ---------------------------------------------------------------

subtest 'the audience is ours' => sub {
    issuer('aud', 'iss https://issuer.test; audience a b; key rsa.pub kid=rsa;');
    ask('set', 'aud', 'aud');

    accepted('aud', valid(aud => $_), 'aud ' . $json->encode($_))
        for 'a', 'b', ['a'], ['x', 'b'], ['a', 'b'], ['x', 'a', 'y'];

    refused('aud', valid(aud => $_), 'token_wrong_audience',
            'aud ' . $json->encode($_))
        for 'c', '', 'A', 'ab', 'a b', [], ['c'], ['c', 'd'], ['ab'];

    refused('aud', valid(aud => $_), 'token_claim_invalid',
            'aud ' . $json->encode($_))
        for 1, {}, { a => 1 }, ['a', 1], [['a']], JSON::PP::true;

    refused('aud', valid(aud => undef), 'token_claim_missing', 'no audience');
};

subtest 'the token is valid now' => sub {
    issuer('slack', "$base key rsa.pub kid=rsa; leeway 30s;");
    ask('set', 'slack', 'slack');

    accepted('pem', valid(exp => $now + 1), 'the last second');
    refused('pem', valid(exp => $now), 'token_expired', 'expires now');
    refused('pem', valid(exp => $now - 3600), 'token_expired', 'an hour ago');
    refused('pem', valid(exp => 0), 'token_expired', 'in 1970');
    accepted('slack', valid(exp => $now - 29), 'within the leeway');
    refused('slack', valid(exp => $now - 30), 'token_expired', 'beyond it',
            qr/expired 30 seconds ago, leeway 30/);

    accepted('pem', valid(exp => $now + 1.5), 'a fraction is dropped');
    refused('pem', valid(exp => $now + 0.9), 'token_expired',
            'not rounded up');
    accepted('pem', token({ alg => 'RS256', kid => 'rsa' },
             text(claims()) =~ s/"exp":\d+/"exp":1.9000003e9/r),
             'an exponent is a number, too');

    for my $claim (qw(nbf iat)) {
        accepted('pem', valid($claim => $now), "$claim now");
        accepted('pem', valid($claim => $now + 0.5), "$claim now and a bit");
        accepted('pem', valid($claim => 0), "$claim in 1970");
        refused('pem', valid($claim => $now + 1), 'token_not_yet_valid',
                "$claim in a second");
        accepted('slack', valid($claim => $now + 30), "$claim within leeway");
        refused('slack', valid($claim => $now + 31), 'token_not_yet_valid',
                "$claim beyond it", qr/"$claim" is 31 seconds ahead/);
    }

    for my $claim (qw(exp nbf iat)) {
        refused('pem', token({ alg => 'RS256', kid => 'rsa' },
                    text(claims($claim => $now)) =~
                    s/"$claim":\d+/"$claim":$_/r),
                'token_claim_invalid', "$claim $_", qr/"$claim"/)
            for '"1900000300"', 'null', 'true', '[1]', '{}', '-1', '-1e300',
                '-0.5', '253402300800', '9223372036854775807',
                '-9223372036854775808', '1e300', '1900000300000';
    }

    accepted('pem', valid(exp => 253402300799), 'until the year 9999');
    refused('pem', valid(exp => undef), 'token_claim_missing', 'no exp');
    accepted('pem', valid(iat => undef), 'no iat');
};

subtest 'nothing is told before the signature is valid' => sub {
    my $expired = token({ alg => 'RS256', kid => 'rsa' },
                        claims(exp => 1, aud => 'x', sub => 1), 'RS256',
                        $pk{rsa2});

    refused('pem', $expired, 'token_bad_signature',
            'an expired token of a stranger has a bad signature');
};

subtest 'who is calling' => sub {
    is((accepted('pem', valid(sub => 's' x 256), '256 bytes'))[2], 's' x 256,
       'a long subject is whole');
    is((accepted('pem', valid(sub => "\x{fc}ber \x{20ac}"), 'UTF-8'))[2],
       "\xc3\xbcber \xe2\x82\xac", 'a subject may be in any script');

    for my $case (['sub'], ['partner']) {
        my ($claim) = @$case;

        refused('pem', valid($claim => $_->[0]), 'token_claim_invalid',
                "$claim: $_->[1]", qr/"$claim"/)
            for ['', 'empty'], [1, 'a number'], [JSON::PP::true, 'a boolean'],
                [['a'], 'an array'], [{}, 'an object'], ['s' x 257, 'too long'],
                ["a\nb", 'a newline'], ["a\tb", 'a tab'], ["a\x7fb", 'DEL'],
                ["a\x{85}b", 'NEL'], ["\e[31m", 'an escape'];
        refused('pem', token({ alg => 'RS256', kid => 'rsa' },
                    text(claims()) =~ s/"$claim":"\w+"/"$claim":null/r),
                'token_claim_invalid', "$claim: null");
    }

    refused('pem', valid(sub => undef), 'token_claim_missing', 'no subject',
            qr/"sub"/);
    is((accepted('pem', valid(partner => undef), 'no partner'))[3], '',
       'is no partner');
};

subtest 'which roles' => sub {
    my @roles = (
        [['a', 'b'], 'a,b', 'an array'],
        ['a b', 'a,b', 'a string of words'],
        ['  a   b ', 'a,b', 'a string with many blanks'],
        [[], '', 'an empty array'],
        ['', '', 'an empty string'],
        [undef, '', 'no claim'],
        [['two words'], 'two words', 'a role with a blank, in an array'],
        [[map { "role$_" } 1 .. 64], join(',', map { "role$_" } 1 .. 64),
         '64 roles'],
        [['r' x 128], 'r' x 128, 'a role of 128 bytes'],
    );

    is((accepted('pem', valid(roles => $_->[0]), $_->[2]))[4], $_->[1],
       "$_->[2]: all of them") for @roles;

    refused('pem', valid(roles => $_->[0]), 'token_claim_invalid', $_->[1],
            qr/"roles"/)
        for [[map { "role$_" } 1 .. 65], '65 roles'],
            [join(' ', 1 .. 65), '65 words'],
            [['r' x 129], 'a role of 129 bytes'],
            ['r' x 129, 'a word of 129 bytes'],
            [[''], 'an empty role'], [['a', 1], 'a number among them'],
            [['a', undef], 'a null among them'], [1, 'a number'],
            [{ a => 1 }, 'an object'], [JSON::PP::true, 'a boolean'],
            [["a\nb"], 'a newline'], ["a\tb", 'a tab between words'];

    issuer('nested', "$base key rsa.pub kid=rsa; subject_claim user.id;
        partner_claim https://example.com/partner;
        roles_claim realm_access.roles;");
    ask('set', 'nested', 'nested');

    my %nested = (sub => undef, partner => undef, roles => undef,
                  user => { id => 'bob' });

    is(join(' ', (accepted('nested', valid(%nested,
                    realm_access => { roles => ['deep'] },
                    'https://example.com/partner' => 'acme'),
                  'a path of names'))[2 .. 4]), 'bob acme deep',
       'leads to the claims');
    is((accepted('nested', valid(%nested,
            'realm_access.roles' => ['flat'],
            realm_access => { roles => ['deep'] }), 'a name with dots'))[4],
       'flat', 'is taken by the letter first');
    is((accepted('nested', valid(%nested, realm_access => $_),
                 'a path that ends early'))[4], '', 'leads to no roles')
        for 'x', [], {}, 1;
    refused('nested', valid(%nested, user => { id => { x => 1 } }),
            'token_claim_invalid', 'a path that goes on');
    refused('nested', valid(%nested, user => 'bob'), 'token_claim_missing',
            'a path to nowhere', qr/"user\.id"/);
};

finish();
