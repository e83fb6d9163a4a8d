#!/usr/bin/perl

# How issuers and their keys are read from nginx.conf, PEM files, key sets and
# files of secrets, and what is said about mistakes in them; run without a
# server by t/unit/auth_unit.c.
#
#   prove t/auth_keys.t
#
# NGX_BUILD and SANITIZE are explained in t/unit/AuthUnit.pm.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/unit";

use MIME::Base64 qw(encode_base64 encode_base64url decode_base64);
use Test::More;

use AuthUnit;


start();

# --- configuration --------------------------------------------------------

subtest 'an issuer is read from its block' => sub {
    issuer('plain', "$base key rsa.pub;");
    is(ask('show', 'plain'), join("\t",
        'RS256 RS384 RS512 PS256 PS384 PS512', 'sub', 'partner', 'roles',
        0, '- RS256 RS384 RS512 PS256 PS384 PS512'),
       'with the documented defaults');

    issuer('full', <<~'END');
        iss https://other.test;
        audience a b;
        algorithms RS256 PS256 ES256 EdDSA HS384;
        key rsa.pub kid=one alg=RS256;
        key rsa.crt kid=two;
        key rsa.pkcs1;
        key p256.pub;
        key ed448.pub;
        secret secret kid=three alg=HS384;
        subject_claim uid;
        partner_claim https://example.com/partner;
        roles_claim realm_access.roles;
        leeway 2m;
        END
    is(ask('show', 'full'), join("\t", 'RS256 PS256 ES256 EdDSA HS384', 'uid',
        'https://example.com/partner', 'realm_access.roles', 120,
        'one RS256', 'two RS256 PS256', '- RS256 PS256', '- ES256', '- EdDSA',
        'three HS384'),
       'with all its directives, each key for its own algorithms');

    issuer('exponent', "$base key three.pub;");
    issuer('restricted', "$base key pss.pub;");
    like(ask('show', 'restricted'), qr/^PS256\t/,
         'an RSA-PSS key does what it is restricted to');

    jwks('absolute.json', jwk('rsa'));
    issuer('absolute', "$base jwks $dir/conf/absolute.json;");
};

subtest 'a mistake in a block stops nginx and says what to write' => sub {
    spew('empty', '');
    spew('noise', "hello\n");
    spew('two.pub', slurp('rsa.pub') . slurp('p256.pub'));
    spew('both.pem', slurp('rsa.pub') . slurp('p256.pem'));
    spew('short', 'a' x 31);
    spew('crlf', 'a' x 31 . "\r\n");
    spew('long', 'a' x 1025);
    spew('big', 'a' x 70000);
    spew('pem.secret', slurp('rsa.pub'));
    spew('broken.pub', slurp('rsa.pub') =~ s/^MII/AII/mr);

    my ($der) = slurp('p256.pub') =~ /-----\n(.*)-----END/s;
    $der = MIME::Base64::decode_base64($der);

    my %broken = (padded => $der . 'x', off => $der =~ s/.\z/$& ^ "\1"/ser);

    spew("$_.pub", "-----BEGIN PUBLIC KEY-----\n" . encode_base64($broken{$_})
         . "-----END PUBLIC KEY-----\n") for keys %broken;

    my @mistakes = (
        'audience a; key rsa.pub;'    => qr/"wrong" has no "iss": write/,
        'iss a; key rsa.pub;'         => qr/"wrong" has no "audience": write/,
        $base                         => qr/"wrong" has no keys: name/,
        "iss ''; $base"               => qr/empty "iss": write/,
        "$base audience b;"           => qr/"audience" directive is duplicate/,
        "audience '';"                => qr/empty "audience": write/,
        "$base issuer x;"             => qr/directive "issuer" .* expected iss, /,
        "$base key;"                  => qr/invalid number of arguments in "ke/,
        "$base key rsa.pub a b c;"    => qr/invalid number of arguments in "ke/,
        "$base key rsa.pub kid=;"     => qr/"kid=", expected kid=<name>/,
        "$base key rsa.pub kid=" . 'k' x 257 . ';'
                                      => qr/expected kid=<name> of 1 to 256/,
        "$base key rsa.pub kid=a kid=b;" => qr/"kid=b", .* each once/,
        "$base key rsa.pub alg=rs256;" => qr/"alg=rs256", expected/,
        "$base key rsa.pub alg=none;" => qr/"alg=none", expected/,
        "$base key rsa.pub alg=HS256;" => qr/shared secret with "secret"/,
        "$base key rsa.pub alg=ES256;" => qr/cannot do ES256, it does RS256/,
        "$base key p256.pub alg=ES384;" => qr/cannot do ES384, it does ES256/,
        "$base key pss.pub alg=RS256;" => qr/cannot do RS256, it does PS256/,
        "$base key pss.pub alg=PS512;" => qr/restricted to another digest/,
        "$base key nowhere;"          => qr{conf/nowhere: .* cannot be opened},
        "$base key $dir;"             => qr/not a regular file/,
        "$base key empty;"            => qr/the file is empty/,
        "$base key noise;"            => qr/no PEM block .* "-----BEGIN PUBLIC/,
        "$base key big;"              => qr/has 70000 bytes: at most 65536/,
        "$base key rsa.pem;"          => qr/private key .*openssl pkey -in/,
        "$base key both.pem;"         => qr/private key .*openssl pkey -in/,
        "$base key two.pub;"          => qr/2 PEM blocks/,
        "$base key broken.pub;"       => qr/not a public key or a certificate/,
        "$base key padded.pub;"       => qr/not a public key or a certificate/,
        "$base key off.pub;"          => qr/not a public key or a certificate/,
        "$base key weak.pub;"         => qr/1024 bits: it must have 2048 to/,
        "$base key huge.pub;"         => qr/exponent is not an odd number/,
        "$base key k256.pub;"         => qr/"secp256k1": use P-256/,
        "$base key x.pub;"            => qr/kind that signs no tokens/,
        "$base secret secret;"        => qr/invalid number of arguments/,
        "$base secret secret kid=a;"  => qr/write alg=HS256/,
        "$base secret secret alg=RS256;" => qr/write alg=HS256/,
        "$base secret short alg=HS256;" => qr/has 31 bytes: HS256 needs at lea/,
        "$base secret crlf alg=HS256;" => qr/has 31 bytes: HS256 needs at lea/,
        "$base secret long alg=HS256;" => qr/has 1025 bytes: .* at most 1024/,
        "$base secret pem.secret alg=HS256;" => qr/a PEM is not a secret/,
        "$base secret secret alg=HS256;"
                                      => qr/HS256, which is not in the "algo/,
        "$base key rsa.pub; secret secret alg=HS256;"
                                      => qr/HS256, which is not in the "algo/,
        "$base algorithms RS256; key p256.pub;"
                                      => qr/ES256, which is not in the "algor/,
        "$base algorithms none; key rsa.pub;"
                                      => qr/"none", expected some of RS256/,
        "$base algorithms rs256; key rsa.pub;"
                                      => qr/"rs256", expected some of RS256/,
        "$base algorithms RS256 RS256; key rsa.pub;"
                                      => qr/duplicate algorithm "RS256"/,
        "$base key rsa.pub; roles sql;"  => qr/unknown directive "roles"/,
        "$base key rsa.pub; leeway 301s;" => qr/"301s": write seconds, at most/,
        "$base key rsa.pub; leeway 6m;"  => qr/"6m": write seconds, at most/,
        "$base key rsa.pub; leeway soon;" => qr/"soon": write seconds, at most/,
        "$base key rsa.pub; subject_claim '';" => qr/invalid claim name ""/,
        "$base key rsa.pub; roles_claim " . 'r' x 256 . ';'
                                      => qr/invalid claim name .* 1 to 255/,
    );

    while (my ($block, $sentence) = splice @mistakes, 0, 2) {
        my @answer = ask('issuer', 'wrong', $block);
        my $name = substr $block =~ s/^\Q$base\E\s*(.)/$1/r, 0, 60;

        ok($answer[0] eq 'refused' && "@answer" =~ $sentence, $name)
            or diag("@answer");
    }

    my @answer = ask('issuer', 'plain', "$base key rsa.pub;");
    like("@answer", qr/^refused .*duplicate provisioning_issuer "plain"/,
         'a name that is taken');
};

subtest 'a key set is read, and its mistakes are told' => sub {
    my $rsa = jwk('rsa');
    my $crt = join '', slurp('rsa.crt') =~ /^([^-].*)$/mg;

    jwks('mixed.json', jwk('rsa', kid => 'a', use => 'sig', alg => 'RS256',
            key_ops => ['verify'], x5c => [$crt]),
        jwk('rsa', kid => 'enc', use => 'enc'),
        jwk('rsa', kid => 'ops', key_ops => ['encrypt']),
        jwk('rsa', kid => 'oaep', alg => 'RSA-OAEP'),
        jwk('rsa', kid => 'mismatch', alg => 'ES256'),
        { kty => 'AKP', kid => 'new' },
        { kty => 'EC', crv => 'secp256k1', x => 'AA', y => 'AA' },
        { kty => 'OKP', crv => 'X25519', x => 'A' x 43 },
        { kty => 'RSA', e => 'AQAB', n => encode_base64url("\x81" x 128) },
        jwk('p521', kid => 'b'), jwk('ed448'), jwk('ed', kid => 'c'));

    my @answer = ask('issuer', 'mixed', "$base jwks mixed.json;");

    is($answer[0], 'ok', 'keys of no use do not stop the others');
    is((ask('show', 'mixed'))[0], 'RS256 ES512 EdDSA',
       'and the rest are there');

    my @reasons = (qr/"use" is not "sig"/, qr/"key_ops" do not have "verify"/,
        qr/"alg" is not a signature algorithm/, qr/cannot do ES256/,
        qr/"kty" is not known/, qr/curve \("crv"\)/, qr/curve \("crv"\)/,
        qr/1024 bits/);

    for my $i (1 .. @reasons) {
        my $reason = $reasons[$i - 1];

        like($answer[$i], qr{^warn: \S*mixed\.json#/keys/$i: key left out:.*$reason},
             "key $i is left out with a warning");
    }

    my %private = (%$rsa, d => 'AQAB');

    my @mistakes = (
        '{'                   => qr/mistake\.json:1:\d+: /,
        "\n{\"keys\": [}"     => qr/mistake\.json:2:11: /,
        '{"keys":[],"keys":[]}' => qr/names the same key twice/,
        '[]'                  => qr/not a key set/,
        '{}'                  => qr/not a key set/,
        '{"keys":{}}'         => qr/not a key set/,
        '{"keys":[]}'         => qr/none of the keys in this set/,
        [{ kty => 'AKP' }]    => qr/none of the keys in this set/,
        '{"keys":[1]}'        => qr{#/keys/0: a key must be an object},
        [{ kid => 'a' }]      => qr/"kty" is missing/,
        [{ kty => [] }]       => qr/"kty" must be a string/,
        [$rsa, \%private]     => qr{#/keys/1: this is a private key \(it has "d},
        [{ kty => 'OKP', crv => 'Ed25519', d => 'AA', x => 'A' x 43 }]
                              => qr/private key/,
        [{ kty => 'EC', d => 'AA' }] => qr/private key/,
        [{ %$rsa, p => 'AA' }] => qr/private key/,
        [{ %$rsa, kid => 1 }] => qr/"kid" must be a string/,
        [{ %$rsa, kid => '' }] => qr/"kid" must have 1 to 256/,
        [{ %$rsa, kid => 'k' x 257 }] => qr/"kid" must have 1 to 256/,
        [{ %$rsa, use => 1 }] => qr/"use" must be a string/,
        [{ %$rsa, alg => 1 }] => qr/"alg" must be a string/,
        [{ %$rsa, key_ops => 'verify' }] => qr/"key_ops" must be an array/,
        [{ %$rsa, key_ops => [1] }] => qr/"key_ops" must be an array/,
        [{ %$rsa, n => '' }]  => qr/"n" must be 1 to/,
        [{ %$rsa, n => "$rsa->{n}==" }] => qr/"n" must be 1 to/,
        [{ kty => 'RSA', e => 'AQAB' }] => qr/"n" is missing/,
        [{ %$rsa, e => 'AQAC' }] => qr/none of the keys/,
        [{ %$rsa, e => 'AQ' }]   => qr/none of the keys/,
        [{ kty => 'EC', x => 'AA', y => 'AA' }] => qr/"crv" is missing/,
        [{ kty => 'EC', crv => 1 }] => qr/"crv" must be a string/,
        [jwk('p256', y => encode_base64url("\1" x 32))]
                              => qr/cannot make a public key/,
        [jwk('p256', x => encode_base64url("\1" x 31))]
                              => qr/"x" and "y" of P-256 have 32 bytes/,
        [jwk('p256', crv => 'P-384')] => qr/"x" and "y" of P-384 have 48/,
        [jwk('p256', x => encode_base64url("\0" . "\1" x 32))]
                              => qr/"x" must be 1 to 32 bytes/,
        [jwk('ed', x => encode_base64url("\1" x 31))]
                              => qr/"x" of Ed25519 has 32 bytes/,
        [{ %$rsa, x5c => 'x' }]   => qr/"x5c" must be an array/,
        [{ %$rsa, x5c => [] }]    => qr/"x5c" must be an array/,
        [{ %$rsa, x5c => ['AAAA'] }] => qr/"x5c" must be an array/,
        [jwk('rsa2', x5c => [$crt])] => qr/"x5c" is for another key/,
        [jwk('secret')]       => qr/must have an "alg" of HS256/,
        [jwk('secret', alg => 'RS256')] => qr/must have an "alg" of HS256/,
        [jwk('secret', alg => 'HS256', k => 'AAAA')] => qr/none of the keys/,
        [jwk('secret', alg => 'HS256')] => qr/HS512 must always be named/,
        [map { $rsa } 1 .. 257] => qr/at most 256 keys/,
    );

    my $i = 0;

    while (my ($set, $sentence) = splice @mistakes, 0, 2) {
        ref $set ? jwks('mistake.json', @$set) : spew('mistake.json', $set);
        @answer = ask('issuer', 'wrong', "$base jwks mistake.json;");

        ok($answer[0] eq 'refused' && "@answer" =~ $sentence,
           'mistake ' . ++$i . ": $sentence") or diag("@answer");
    }

    @answer = ask('issuer', 'warned',
                  "$base algorithms ES512 ES384; jwks mixed.json;");
    is($answer[0], 'ok', 'a set may have keys that the issuer does not use');
    like("@answer", qr{/keys/0: key not used: it does RS256, which is not in},
         'with a warning');
    like("@answer", qr/"warned" has no key for ES384/,
         'an algorithm without a key is a warning too');

    @answer = ask('issuer', 'wrong', "$base algorithms HS256; jwks mixed.json;");
    like("@answer", qr/refused .*has no key for its "algorithms"/,
         'no key for any of the algorithms is an error');
};

subtest 'running out of memory stops nginx, with nothing worse' => sub {
    jwks('all.json', jwk('rsa', kid => 'a'), jwk('p256'), jwk('ed448'),
         jwk('secret', alg => 'HS384'));

    my @blocks = (
        ["$base algorithms @algorithms; jwks all.json; key rsa.pub kid=a; "
         . 'secret secret alg=HS256;', 'an issuer\'s block'],
        ["$base jwks mixed.json;", 'a set with keys of no use'],
    );

    for my $case (@blocks) {
        my @answer = ask('memory_conf', 'low', $case->[0]);

        ok($answer[1] > 20 && $answer[2] == 0, $case->[1]) or diag("@answer");
    }
};

finish();
