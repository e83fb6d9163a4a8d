#!/usr/bin/perl

# Which tokens the verifier takes for what they are: their form, their header,
# their algorithm, their key, their signature; run without a server by
# t/unit/auth_unit.c.  libjwt, Crypt::JWT and openssl sign what is accepted.
#
#   prove t/auth_unit.t
#
# NGX_BUILD and SANITIZE are explained in t/unit/AuthUnit.pm.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/unit";

use MIME::Base64 qw(encode_base64url decode_base64 decode_base64url);
use Test::More;

use AuthUnit;


start();
standard();

subtest 'base64url has one text for each value' => sub {
    my %same = ('' => '', Zg => '66', Zm8 => '666f', Zm9v => '666f6f',
                '-_-_' => 'fbffbf');

    is(ask('base64url', 64, $_), $same{$_}, "\"$_\" is decoded")
        for grep { length } sort keys %same;

    is(ask('base64url', 64, $_), 'refused', "\"$_\" is refused")
        for 'Z', 'Zm9vZ', 'Zg==', 'Zg=', 'Zh', 'Zm9', 'Zm 8', '+/+/', 'Zm9v.',
            "Zm\xc3\xa98";

    is(ask('base64url', 3, 'Zm9v'), '666f6f', 'what just fits is decoded');
    is(ask('base64url', 2, 'Zm9v'), 'refused', 'what does not fit is refused');
};


# --- signatures -----------------------------------------------------------

for my $oracle (['openssl', \&by_openssl], ['Crypt::JWT', \&by_crypt_jwt],
                ['libjwt', \&by_libjwt])
{
    my ($by, $sign) = @$oracle;

    subtest "tokens signed by $by verify" => sub {
        for my $alg (@algorithms) {

            # libjwt 1.10 knows neither
            next if $by eq 'libjwt' && $alg =~ /^PS|^Ed/;

            my $kid = $algorithm_key{$alg};
            $kid = $alg if $kid eq 'secret';

            my $token = $sign->($alg, $kid);

            for my $set (qw(pem jwks)) {
                my @answer = accepted($set, $token, "$alg, key from $set");
                is("@answer[2 .. 4]", "$by acme partner-admin",
                   "$alg: and it says who is calling");
            }

            my $broken = $token;
            substr($broken, -10, 1) = substr($broken, -10, 1) eq 'A' ? 'B' : 'A';
            refused('pem', $broken, 'token_bad_signature',
                    "$alg: not with another signature");

            my ($header, $payload, $signature) = split /\./, $token;
            my $other = encode_base64url($json->encode(claims(sub => 'mallory')));
            refused('pem', "$header.$other.$signature", 'token_bad_signature',
                    "$alg: not with another payload");

            $signature = encode_base64url(substr decode_base64url($signature),
                                          0, -1);
            refused('pem', "$header.$payload.$signature",
                    'token_bad_signature', "$alg: not with a shorter one");
        }
    };
}

# what OpenSSL needs for a key is made once, and used for one token after another

subtest 'a key judges each token by itself' => sub {
    for my $alg (@algorithms) {
        my $kid = $algorithm_key{$alg};
        $kid = $alg if $kid eq 'secret';

        my @token = map { by_crypt_jwt($alg, $kid, pad => 'x' x $_) }
            1, 1000, 100;
        my @content = map { /(.*)\./ } @token;
        my @signature = map { /([^.]*)\z/ } @token;

        for (0 .. 2) {
            my $other = ($_ + 1) % 3;

            accepted('pem', $token[$_], "$alg: a token");
            refused('pem', "$content[$_].$signature[$other]",
                    'token_bad_signature',
                    "$alg: not with another one's signature");
            accepted('pem', $token[$other], "$alg: which is good for its own");
            refused('pem', "$content[$other]." . 'A' x length $signature[$_],
                    'token_bad_signature', "$alg: not without one");
        }
    }
};

subtest 'signatures at the edges' => sub {
    accepted('pem', by_openssl('EdDSA', 'ed448', 'ed448.pem'),
             'EdDSA with Ed448');

    # 1 in 128 has a zero in front of r or s, which DER does not

    my ($content, $raw) = ('', '');

    for my $n (1 .. 20000) {
        $content = join '.', map { encode_base64url($json->encode($_)) }
            { alg => 'ES256', kid => 'p256' }, claims(jti => $n);
        $raw = $pk{p256}->sign_message_rfc7518($content, 'SHA256');
        last if $raw =~ /^\0[\0-\x7f]/;
    }

    like($raw, qr/^\0/, 'ES256 with a zero in front');
    accepted('pem', "$content." . encode_base64url($raw), 'verifies');

    my $head = join '.', map { encode_base64url($json->encode($_)) }
        { alg => 'ES256', kid => 'p256' }, claims();

    refused('pem', "$head." . encode_base64url($_->[0]),
            'token_bad_signature', "ES256 is not signed by $_->[1]")
        for ["\0" x 64, 'two zeros'],
            ["\xff" x 64, 'numbers beyond the order'],
            ["\0" x 31 . "\1" . "\0" x 32, 'one and zero'],
            ["\0" x 64 . 'x', 'too much'],
            [$pk{p256}->sign_message($head, 'SHA256'), 'a DER signature'];

    refused('pem', token({ alg => 'PS256', kid => 'rsa' }, claims()),
            'token_bad_signature', 'RS256 does not pass for PS256');
    refused('pem', token({ alg => 'RS512', kid => 'rsa' }, claims()),
            'token_bad_signature', 'nor for RS512');

    my $message = join '.', map { encode_base64url($json->encode($_)) }
        { alg => 'PS256', kid => 'rsa' }, claims();
    refused('pem', "$message." . encode_base64url(
                $pk{rsa}->sign_message($message, 'SHA256', 'pss', $_)),
            'token_bad_signature', "PS256 with a salt of $_ bytes is refused")
        for 0, 31, 33;
    accepted('pem', "$message." . encode_base64url(
                $pk{rsa}->sign_message($message, 'SHA256', 'pss', 32)),
             'PS256 with a salt of 32 bytes verifies');

    issuer('restricted', "$base key pss.pub;");
    ask('set', 'restricted', 'restricted');
    accepted('restricted', by_openssl('PS256', undef, 'pss.pem'),
             'PS256 with a restricted RSA-PSS key');
};


# --- the parser -----------------------------------------------------------

subtest 'only one form of token is accepted' => sub {
    my $token = valid();
    my ($header, $payload, $signature) = split /\./, $token;

    accepted('pem', $token, 'which is this one');

    my @malformed = (
        'an empty token'         => '',
        'one segment'            => $header,
        'two segments'           => "$header.$payload",
        'two segments and a dot' => "$header.$payload.",
        'an empty header'        => ".$payload.$signature",
        'an empty payload'       => "$header..$signature",
        'only dots'              => '..',
        'four segments'          => "$token.AAAA",
        'five segments'          => "$token.AAAA.AAAA",
        'a dot behind it'        => "$token.",
        'a dot in front of it'   => ".$token",
        'a blank in front'       => " $token",
        'a blank behind'         => "$token ",
        'a newline behind'       => "$token\n",
        'a NUL behind'           => "$token\0",
        'padding'                => "$header.$payload.$signature==",
        'padding inside'         => "$header=.$payload.$signature",
        'the alphabet of base64' => "$header.$payload." . ($signature =~
                                        tr{_-}{/+}r) . '+/',
        'bits left over'         => "$header.$payload." . substr($signature,
                                        0, -1) . chr(1 + ord substr
                                        $signature, -1),
        'a signature of 1025 bytes' => "$header.$payload."
                                       . encode_base64url('x' x 1025),
        'a payload that is not JSON' => token({ alg => 'RS256' }, 'x'),
        'a payload with something behind' => token({ alg => 'RS256' }, '{}{}'),
        'a header that is not JSON' => token('x', claims()),
        'an empty text for a header' => token(' ', claims()),
        'an array for a header'  => token('[]', claims()),
        'an array for a payload' => token({ alg => 'RS256' }, '[]'),
        'bad UTF-8 in the payload' => token({ alg => 'RS256' },
                                            "{\"sub\":\"\xff\"}"),
        'a NUL in the payload'   => token({ alg => 'RS256' },
                                          '{"sub":"a\u0000b"}'),
        'alg twice'              => token('{"alg":"RS256","alg":"none"}',
                                          claims()),
        'sub twice'              => token({ alg => 'RS256' },
                                          '{"sub":"a","sub":"b"}'),
        'a claim twice, deep inside' => token({ alg => 'RS256' },
                                          '{"a":{"b":1,"b":2}}'),
        'a payload nested too deep' => token({ alg => 'RS256' },
                                          '{"a":' . '[' x 32 . ']' x 32 . '}'),
        'a number beyond all numbers' => token({ alg => 'RS256' },
                                          '{"exp":1e999}'),
        'an integer beyond 64 bits' => token({ alg => 'RS256' },
                                          '{"exp":18446744073709551616}'),
        'no alg'                 => token({ kid => 'rsa' }, claims()),
        'an alg that is a number' => token({ alg => 256 }, claims()),
        'an alg that is null'    => token('{"alg":null}', claims()),
        'an alg that is an array' => token({ alg => ['RS256'] }, claims()),
        'a kid that is a number' => token({ alg => 'RS256', kid => 1 },
                                          claims()),
        'a kid that is null'     => token('{"alg":"RS256","kid":null}',
                                          claims()),
        'bytes of no alphabet'   => "\xff" x 100,
    );

    while (my ($name, $bad) = splice @malformed, 0, 2) {
        refused('pem', $bad, 'token_malformed', $name);
    }

    # an empty argument does not travel: the driver's words are not empty
};

subtest 'a token and its header are bounded' => sub {
    my $room = 16384 - length valid(pad => '');
    my $fill = int $room * 3 / 4;
    my ($fit, $over);

    # base64 grows in steps, so the last bytes are found by trying

    for my $n ($fill - 8 .. $fill + 8) {
        $over = valid(pad => 'x' x $n);
        last if length $over > 16384;
        $fit = $over;
    }

    accepted('pem', $fit, 'a token of ' . length($fit) . ' bytes is read');
    refused('pem', $over, 'token_malformed',
            'one of ' . length($over) . ' is not');

    my @long = map { token({ alg => 'RS256', kid => 'rsa', pad => 'x' x $_ },
                           claims()) } 6080, 6144;

    cmp_ok(index($long[0], '.'), '<=', 8192, 'a header below 8192 bytes');
    accepted('pem', $long[0], 'is read');
    cmp_ok(index($long[1], '.'), '>', 8192, 'a header beyond 8192 bytes');
    refused('pem', $long[1], 'token_malformed', 'is not');
};

subtest 'a header that asks for more is refused' => sub {
    my @members = (
        crit => ['exp'], crit => [], crit => 'exp', b64 => JSON::PP::true,
        b64 => JSON::PP::false, zip => 'DEF', cty => 'JWT', cty => 'jwt',
        cty => 'application/jwt', cty => 1, typ => 'JOSE', typ => 'dpop+jwt',
        typ => 'logout+jwt', typ => 'secevent+jwt', typ => '', typ => 1,
        typ => 'application/', typ => 'text/jwt', typ => 'JWTX',
        typ => 'application/application/jwt',
    );

    while (my ($name, $value) = splice @members, 0, 2) {
        my $shown = $json->encode($value);

        refused('pem', token({ alg => 'RS256', kid => 'rsa', $name => $value },
                             claims()),
                'token_unsupported_header', "$name $shown", qr/"$name"/);
    }

    accepted('pem', token({ alg => 'RS256', kid => 'rsa', typ => $_ },
                          claims()), "typ \"$_\" is accepted")
        for 'JWT', 'jwt', 'at+jwt', 'AT+JWT', 'application/jwt',
            'application/at+jwt', 'Application/AT+JWT';

    accepted('pem', token({ alg => 'RS256', kid => 'rsa', cty => 'json',
                            jku => 'https://evil.test/', jwk => jwk('rsa2'),
                            x5u => 'https://evil.test/', x5t => 'x' },
                          claims()),
             'what only points to keys is not followed, nor in the way');
    refused('pem', token({ alg => 'RS256', kid => 'rsa', jwk => jwk('rsa2') },
                         claims(), 'RS256', $pk{rsa2}),
            'token_bad_signature', 'a key inside the token signs nothing');
};


# --- algorithms and keys --------------------------------------------------

subtest 'the algorithm is not the token\'s choice' => sub {
    my $public = slurp('rsa.pub');

    for my $alg (qw(none None NONE nOnE), '') {
        my $content = join '.', map { encode_base64url($json->encode($_)) }
            { alg => $alg }, claims();

        refused('pem', "$content.AAAA", 'token_unsupported_algorithm',
                "alg \"$alg\" is refused");
        refused('pem', "$content.", 'token_malformed',
                "alg \"$alg\" with no signature is refused");
    }

    refused('pem', token({ alg => $_, kid => 'rsa' }, claims()),
            'token_unsupported_algorithm', "alg \"$_\" is refused")
        for 'rs256', 'Rs256', 'RS256 ', 'RS1', 'RSA', 'ES256K', 'eddsa',
            'RSA-OAEP', 'dir';

    # HS256 with the public key for a secret, in each form an attacker has

    for my $form (['the PEM', $public], ['without the newline', $public =~
        s/\n\z//r], ['the DER', MIME::Base64::decode_base64(
            ($public =~ /-----\n(.*)-----END/s)[0])])
    {
        my $token = token({ alg => 'HS256' }, claims(), 'HS256', $form->[1]);

        refused('plain', $token, 'token_unsupported_algorithm',
                "HS256 with the public key: $form->[0]");
        refused('pem', $token, 'token_bad_signature',
                "nor where there is a secret, too: $form->[0]");
        refused('pem', token({ alg => 'HS256', kid => 'rsa' }, claims(),
                             'HS256', $form->[1]),
                'token_unknown_key',
                "nor by naming the key: $form->[0]");
    }

    accepted('pem', token({ alg => 'HS256' }, claims(), 'HS256', $secret),
             'HS256 with the secret is something else');

    issuer('only', "$base algorithms RS256; key rsa.pub;");
    ask('set', 'only', 'only');
    accepted('only', by_crypt_jwt('RS256'), 'RS256 is accepted when listed');
    refused('only', by_crypt_jwt($_), 'token_unsupported_algorithm',
            "$_ is not when it is not")
        for 'RS384', 'PS256', 'ES256', 'EdDSA', 'HS256';

    issuer('bound', "$base key rsa.pub alg=RS384; key p384.pub;");
    ask('set', 'bound', 'bound');
    accepted('bound', by_crypt_jwt('RS384'), 'alg= binds a key');
    refused('bound', by_crypt_jwt('RS256'), 'token_unsupported_algorithm',
            'to that algorithm');
    refused('bound', token({ alg => 'ES256' }, claims(), 'ES256', $pk{p256}),
            'token_unsupported_algorithm', 'a P-384 key does not do ES256');
};

subtest 'a kid chooses the key' => sub {
    accepted('pem', by_crypt_jwt('RS256', 'rsa'), 'a known kid');
    accepted('pem', by_crypt_jwt('RS256'), 'no kid: all that fit are tried');

    refused('pem', by_crypt_jwt('RS256', $_), 'token_unknown_key',
            "\"$_\" is unknown", qr/issuer "pem", RS256, kid "/)
        for 'unknown', 'rs', 'rsaa', 'RSA', 'p256';
    refused('pem', token({ alg => 'RS256', kid => '' }, claims()),
            'token_unknown_key', 'an empty kid is a kid');
    refused('plain', token({ alg => 'RS256', kid => '' }, claims()),
            'token_unknown_key', 'and not the kid of a key without one');
    refused('plain', by_crypt_jwt('RS256', 'rsa'), 'token_unknown_key',
            'a key without a kid is for tokens without');

    my @answer = refused('pem', token({ alg => 'RS256',
        kid => "a\n\e[31m\"x\\ \x{e9}" . 'y' x 100 }, claims()),
        'token_unknown_key', 'a kid cannot write in the log');
    like($answer[3], qr/kid "a\?\?\[31m\?x\?\?.{1,2}y{10,60}\.\.\."$/,
         'it is shown short and printable');
    unlike($answer[2], qr/31m/, 'the caller is not told');

    issuer('twins', "$base key rsa2.pub kid=same; key rsa.pub kid=same;");
    ask('set', 'twins', 'twins');
    accepted('twins', by_crypt_jwt('RS256', 'same'),
             'of two keys with one kid each is tried');

    jwks('nine.json', (map { jwk('rsa2') } 1 .. 8), jwk('rsa', kid => 'a'));
    jwks('eight.json', (map { jwk('rsa2') } 1 .. 7), jwk('rsa', kid => 'a'));
    issuer($_, "$base jwks $_.json;") for 'eight', 'nine';
    ask('set', $_, $_) for 'eight', 'nine';
    accepted('eight', by_crypt_jwt('RS256'),
             'without a kid, the eighth key is tried');
    refused('nine', by_crypt_jwt('RS256'), 'token_unknown_key',
            'among nine, a token has to say which', qr/too many keys/);
    accepted('nine', by_crypt_jwt('RS256', 'a'), 'and may');
};

subtest 'each issuer has its own keys' => sub {
    issuer('one', 'iss https://one.test; audience a; key rsa.pub kid=k;');
    issuer('two', 'iss https://two.test; audience a; key rsa2.pub kid=k;');
    is(ask('set', 'both', 'one', 'two'), 'ok', 'two issuers share a kid');

    my %sign = (one => $pk{rsa}, two => $pk{rsa2});

    for my $name (qw(one two)) {
        for my $by (qw(one two)) {
            for my $kid ('k', undef) {
                my $token = token({ alg => 'RS256', $kid ? (kid => $kid) : () },
                    claims(iss => "https://$name.test", aud => 'a'), 'RS256',
                    $sign{$by});
                my $with = $kid ? 'with' : 'without';

                if ($name eq $by) {
                    is((accepted('both', $token, "$name signs for itself, "
                        . "$with a kid"))[1], $name, "and is named: $name");

                } else {
                    refused('both', $token, 'token_bad_signature',
                            "$by does not sign for $name, $with a kid");
                }
            }
        }
    }

    ask('set', 'one', 'one');
    refused('one', token({ alg => 'RS256', kid => 'k' },
                claims(iss => 'https://two.test', aud => 'a'), 'RS256',
                $pk{rsa2}),
            'token_unknown_issuer', 'an issuer that this set has not',
            qr{"https://two\.test"});
    refused('one', token({ alg => 'RS256', kid => 'k' },
                claims(iss => $_, aud => 'a')), 'token_unknown_issuer',
            "\"$_\" is another issuer")
        for 'https://one.test/', 'https://one.tes', 'HTTPS://one.test', '';
    refused('one', token({ alg => 'RS256' }, claims(iss => undef)),
            'token_claim_missing', 'no issuer');
    refused('one', token({ alg => 'RS256' }, claims(iss => ['a'])),
            'token_claim_invalid', 'an issuer that is not a string');

    is(ask('set', 'clash', 'plain', 'pem'), 'refused',
       'a set has no two issuers with the same iss');
};


# --- the rest -------------------------------------------------------------

# how long things take is told, never judged

ask('cache', 'off');

for my $alg (qw(RS256 PS256 ES256 EdDSA HS256)) {
    my $kid = $algorithm_key{$alg};
    my $token = by_crypt_jwt($alg, $kid eq 'secret' ? $alg : $kid);

    note(sprintf '%s: %s us for a new token', $alg,
         scalar ask('bench', 'pem', unpack('H*', $token), 500));
}

ask('cache', 10);
note(sprintf 'RS256: %s us for a known token',
     scalar ask('bench', 'pem', unpack('H*', valid()), 5000));

finish();
