#!/usr/bin/perl

# Issuers, keys, the token verifier and its cache, run without a server by
# t/unit/auth_unit.c.  Three programs that share no code with the verifier
# sign what it accepts: libjwt, Perl's Crypt::JWT, and openssl itself.
#
#   prove t/auth_unit.t
#
# NGX_BUILD is a configured nginx tree (src/ and objs/ngx_auto_config.h); one
# is made when it is not set.  SANITIZE=1 builds with address and undefined
# behaviour sanitizers.

use strict;
use warnings;

use Cwd qw(abs_path);
use Crypt::JWT ();
use Crypt::Mac::HMAC qw(hmac);
use Crypt::PK::ECC ();
use Crypt::PK::Ed25519 ();
use Crypt::PK::RSA ();
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use IPC::Open2 qw(open2);
use JSON::PP ();
use MIME::Base64 qw(encode_base64 encode_base64url decode_base64url);
use Test::More;

my $root = abs_path(dirname(__FILE__) . '/..');
my $dir  = tempdir(CLEANUP => 1);
my $json = JSON::PP->new->canonical->utf8;
my $now  = 1_900_000_000;


# --- building -------------------------------------------------------------

sub run {
    my (@command) = @_;
    my $log = "$dir/log";

    open my $saved_out, '>&', \*STDOUT or die $!;
    open my $saved_err, '>&', \*STDERR or die $!;
    open STDOUT, '>', $log or die $!;
    open STDERR, '>&', \*STDOUT or die $!;
    my $rc = system @command;
    open STDOUT, '>&', $saved_out or die $!;
    open STDERR, '>&', $saved_err or die $!;

    return 1 if $rc == 0;

    open my $in, '<', $log or die $!;
    BAIL_OUT("@command failed:\n" . do { local $/; <$in> });
}

my $tree = $ENV{NGX_BUILD};

if (!$tree) {
    $tree = "$dir/nginx";
    run("$root/t/build/configure", '/usr/share/nginx/src', $tree,
        '--with-compat', '--with-threads');
}

my @cc = ('cc', '-g', '-O1', '-Wall', '-Wextra', '-Werror',
          '-Wno-unused-parameter');
push @cc, '-fsanitize=address,undefined', '-fno-sanitize-recover=all'
    if $ENV{SANITIZE};

my @includes = map { "-I$_" } (map { "$tree/$_" } 'src/core', 'src/event',
    'src/event/modules', 'src/os/unix', 'objs'), "$root/src", "$root/t/unit";
my @sources = (glob("$root/src/auth/*.c"), "$root/src/base/prov_json.c",
    "$root/t/unit/ngx_shim.c", "$root/t/unit/auth_shim.c");
my @libraries = ('-ljansson', '-lcrypto');

run(@cc, @includes, '-o', "$dir/auth_unit", @sources,
    "$root/t/unit/auth_unit.c", @libraries);
run(@cc, @includes, '-DFUZZ_REPLAY', '-o', "$dir/jwt_fuzz", @sources,
    "$root/t/fuzz/jwt_fuzz.c", @libraries);
run('cc', '-Wall', '-Wextra', '-Werror', '-o', "$dir/libjwt_sign",
    "$root/t/unit/tokens/libjwt_sign.c", '-ljwt');


# --- talking to the program -----------------------------------------------

mkdir "$dir/conf" or die $!;
my $pid = open2(my $from, my $to, "$dir/auth_unit", "$dir/conf/");

sub ask {
    my $line = join "\t", @_;
    $line =~ s/\n\s*/ /g;

    print {$to} "$line\n";

    my $answer = <$from>;
    BAIL_OUT("auth_unit has died of: $line") if !defined $answer;
    chomp $answer;

    return wantarray ? split(/\t/, $answer, -1) : $answer;
}

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


# --- keys -----------------------------------------------------------------

sub spew {
    my ($file, $content) = @_;

    open my $out, '>:raw', "$dir/conf/$file" or die "$file: $!";
    print $out $content;
    close $out or die "$file: $!";

    return;
}

sub slurp {
    my ($file) = @_;

    open my $in, '<:raw', $file =~ m{^/} ? $file : "$dir/conf/$file"
        or die "$file: $!";

    return scalar do { local $/; <$in> };
}

my %genpkey = (
    rsa   => ['RSA', 'rsa_keygen_bits:2048'],
    rsa2  => ['RSA', 'rsa_keygen_bits:2048'],
    weak  => ['RSA', 'rsa_keygen_bits:1024'],
    three => ['RSA', 'rsa_keygen_bits:2048', 'rsa_keygen_pubexp:3'],
    huge  => ['RSA', 'rsa_keygen_bits:2048',
              'rsa_keygen_pubexp:4294967297'],
    pss   => ['RSA-PSS', 'rsa_keygen_bits:2048', 'rsa_pss_keygen_md:sha256',
              'rsa_pss_keygen_mgf1_md:sha256', 'rsa_pss_keygen_saltlen:32'],
    p256  => ['EC', 'ec_paramgen_curve:P-256'],
    p384  => ['EC', 'ec_paramgen_curve:P-384'],
    p521  => ['EC', 'ec_paramgen_curve:P-521'],
    k256  => ['EC', 'ec_paramgen_curve:secp256k1'],
    ed    => ['ED25519'],
    ed448 => ['ED448'],
    x     => ['X25519'],
);

for my $name (sort keys %genpkey) {
    my ($type, @options) = @{ $genpkey{$name} };

    run('openssl', 'genpkey', '-algorithm', $type,
        (map { ('-pkeyopt', $_) } @options),
        '-out', "$dir/conf/$name.pem");
    run('openssl', 'pkey', '-in', "$dir/conf/$name.pem", '-pubout', '-out',
        "$dir/conf/$name.pub");
}

run('openssl', 'req', '-x509', '-key', "$dir/conf/rsa.pem", '-subj',
    '/CN=issuer', '-days', '1', '-out', "$dir/conf/rsa.crt");
run('openssl', 'rsa', '-pubin', '-in', "$dir/conf/rsa.pub",
    '-RSAPublicKey_out', '-out', "$dir/conf/rsa.pkcs1");

my $secret = 'a secret of exactly sixty-four bytes, for all three of HS: 0123.';
spew('secret', "$secret\n");

my %pk = (
    rsa  => Crypt::PK::RSA->new("$dir/conf/rsa.pem"),
    rsa2 => Crypt::PK::RSA->new("$dir/conf/rsa2.pem"),
    p256 => Crypt::PK::ECC->new("$dir/conf/p256.pem"),
    p384 => Crypt::PK::ECC->new("$dir/conf/p384.pem"),
    p521 => Crypt::PK::ECC->new("$dir/conf/p521.pem"),
    ed   => Crypt::PK::Ed25519->new("$dir/conf/ed.pem"),
);

my %algorithm_key = (
    (map { ("RS$_" => 'rsa', "PS$_" => 'rsa', "HS$_" => 'secret') }
         256, 384, 512),
    ES256 => 'p256', ES384 => 'p384', ES512 => 'p521', EdDSA => 'ed',
);


# The public members of a key, made by CryptX or, for Ed448, of its DER.

sub jwk {
    my ($name, %more) = @_;

    if ($name eq 'ed448') {
        my ($der) = slurp('ed448.pub') =~ /-----\n(.*)-----END/s;
        my $x = encode_base64url(substr MIME::Base64::decode_base64($der),
                                 -57);
        return { kty => 'OKP', crv => 'Ed448', x => $x, %more };
    }

    if ($name eq 'secret') {
        return { kty => 'oct', k => encode_base64url($secret), %more };
    }

    my $jwk = $json->decode($pk{$name}->export_key_jwk('public'));
    delete $jwk->{kid};

    return { %$jwk, %more };
}

sub jwks {
    my ($file, @keys) = @_;

    spew($file, $json->encode({ keys => \@keys }));

    return;
}


# --- signing --------------------------------------------------------------

sub claims {
    my (%more) = @_;
    my %claims = (
        iss     => 'https://issuer.test',
        aud     => 'provisioning',
        sub     => 'alice',
        exp     => $now + 300,
        iat     => $now + 0,    # a number, whatever it was printed as
        partner => 'acme',
        roles   => ['partner-admin'],
        %more,
    );

    delete $claims{$_} for grep { !defined $claims{$_} } keys %claims;

    return \%claims;
}

sub text { return ref $_[0] ? $json->encode($_[0]) : $_[0] }


# What CryptX signs for an algorithm, without Crypt::JWT's own checks.

sub signature {
    my ($alg, $key, $content) = @_;
    my ($family, $bits) = $alg =~ /^(..)(\d+)/ or die $alg;

    return hmac("SHA$bits", $key, $content) if $family eq 'HS';
    return $key->sign_message_rfc7518($content, "SHA$bits") if $family eq 'ES';
    return $key->sign_message($content, "SHA$bits",
        $family eq 'RS' ? 'v1.5' : ('pss', $bits / 8));
}


# A token of any header and payload (objects or texts), signed with RS256 or
# what is said.

sub token {
    my ($header, $payload, $alg, $key) = @_;
    my $content = encode_base64url(text($header)) . '.'
                . encode_base64url(text($payload));

    return "$content."
         . encode_base64url(signature($alg || 'RS256', $key || $pk{rsa},
                                      $content));
}

sub valid {
    my (%more) = @_;

    return token({ alg => 'RS256', kid => 'rsa' }, claims(%more));
}

sub by_crypt_jwt {
    my ($alg, $kid) = @_;
    my $name = $algorithm_key{$alg};

    return Crypt::JWT::encode_jwt(
        payload       => claims(sub => 'Crypt::JWT'),
        alg           => $alg,
        key           => $name eq 'secret' ? $secret : $pk{$name},
        extra_headers => { typ => 'JWT', $kid ? (kid => $kid) : () },
    );
}

sub by_libjwt {
    my ($alg, $kid) = @_;
    my $name = $algorithm_key{$alg};

    spew('claims', $json->encode(claims(sub => 'libjwt')));
    spew('secret.raw', $secret);

    my $file  = $name eq 'secret' ? 'secret.raw' : "$name.pem";
    my $token = qx($dir/libjwt_sign $alg $dir/conf/$file $kid <$dir/conf/claims);
    chomp $token;

    return $token;
}


# r and s of an ECDSA-Sig-Value, side by side

sub raw_of_der {
    my ($der, $half) = @_;
    my ($p, @integers) = (ord(substr $der, 1, 1) & 0x80 ? 3 : 2);

    while ($p < length $der) {
        my $len = ord substr $der, $p + 1, 1;
        my $integer = substr $der, $p + 2, $len;

        $integer =~ s/^\0+//;
        push @integers, "\0" x ($half - length $integer) . $integer;
        $p += 2 + $len;
    }

    return join '', @integers;
}

sub by_openssl {
    my ($alg, $kid, $key) = @_;
    my ($family, $bits) = $alg =~ /^(..)(\d*)/;

    $key ||= "$algorithm_key{$alg}.pem";

    my $content = join '.', map { encode_base64url($json->encode($_)) }
        { alg => $alg, $kid ? (kid => $kid) : () }, claims(sub => 'openssl');

    spew('content', $content);

    my $in  = "$dir/conf/content";
    my $out = "$dir/conf/signature";

    if ($family eq 'Ed') {
        run('openssl', 'pkeyutl', '-sign', '-rawin', '-inkey',
            "$dir/conf/$key", '-in', $in, '-out', $out);

    } elsif ($family eq 'HS') {
        run('openssl', 'dgst', "-sha$bits", '-binary', '-mac', 'HMAC',
            '-macopt', 'hexkey:' . unpack('H*', $secret), '-out', $out, $in);

    } else {
        run('openssl', 'dgst', "-sha$bits", '-sign', "$dir/conf/$key",
            $family eq 'PS' ? ('-sigopt', 'rsa_padding_mode:pss', '-sigopt',
                               'rsa_pss_saltlen:-1') : (),
            '-out', $out, $in);
    }

    my $signature = slurp('signature');
    $signature = raw_of_der($signature, $bits == 512 ? 66 : $bits / 8)
        if $family eq 'ES';

    return "$content." . encode_base64url($signature);
}


is(ask('clock', $now), 'ok', 'the program runs');

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


# --- configuration --------------------------------------------------------

my $base = 'iss https://issuer.test; audience provisioning;';

subtest 'an issuer is read from its block' => sub {
    issuer('plain', "$base key rsa.pub;");
    is(ask('show', 'plain'), join("\t",
        'RS256 RS384 RS512 PS256 PS384 PS512', 'sub', 'partner', 'roles',
        'claim', 0, '- RS256 RS384 RS512 PS256 PS384 PS512'),
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
        roles database;
        leeway 2m;
        END
    is(ask('show', 'full'), join("\t", 'RS256 PS256 ES256 EdDSA HS384', 'uid',
        'https://example.com/partner', 'realm_access.roles', 'database', 120,
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
    spew('padded.pub', do {
        my ($der) = slurp('p256.pub') =~ /-----\n(.*)-----END/s;
        "-----BEGIN PUBLIC KEY-----\n"
        . encode_base64(MIME::Base64::decode_base64($der) . 'x')
        . "-----END PUBLIC KEY-----\n";
    });

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
        "$base key rsa.pub; roles sql;"  => qr/"sql" in "roles" directive, it/,
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


# --- signatures -----------------------------------------------------------

my @algorithms = sort keys %algorithm_key;

issuer('pem', "$base algorithms @algorithms;"
    . join(' ', map { "key $_.pub kid=$_;" } qw(rsa p256 p384 p521 ed ed448))
    . join(' ', map { "secret secret kid=HS$_ alg=HS$_;" } 256, 384, 512));

jwks('all.json', (map { jwk($_, kid => $_) }
                  qw(rsa p256 p384 p521 ed ed448)),
     (map { jwk('secret', kid => "HS$_", alg => "HS$_") } 256, 384, 512));
issuer('jwks', "$base algorithms @algorithms; jwks all.json;");

ask('set', $_, $_) for qw(pem jwks plain);

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
    my $room = 16384 - length(valid(pad => '')) ;
    my $fill = int $room * 3 / 4;
    my $fit;

    # base64 grows in steps, so the last bytes are found by trying

    for my $n (reverse $fill - 8 .. $fill + 8) {
        $fit = valid(pad => 'x' x $n);
        last if length $fit <= 16384;
    }

    accepted('pem', $fit, 'a token of ' . length($fit) . ' bytes is read');
    refused('pem', valid(pad => 'x' x ($fill + 16)), 'token_malformed',
            'one beyond 16384 bytes is not');

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
        my $shown = $json->allow_nonref->encode($value);

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


# --- claims ---------------------------------------------------------------

subtest 'the audience is ours' => sub {
    issuer('aud', 'iss https://issuer.test; audience a b; key rsa.pub kid=rsa;');
    ask('set', 'aud', 'aud');

    accepted('aud', valid(aud => $_), 'aud ' . $json->allow_nonref->encode($_))
        for 'a', 'b', ['a'], ['x', 'b'], ['a', 'b'], ['x', 'a', 'y'];

    refused('aud', valid(aud => $_), 'token_wrong_audience',
            'aud ' . $json->allow_nonref->encode($_))
        for 'c', '', 'A', 'ab', 'a b', [], ['c'], ['c', 'd'], ['ab'];

    refused('aud', valid(aud => $_), 'token_claim_invalid',
            'aud ' . $json->allow_nonref->encode($_))
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

    issuer('db', "$base key rsa.pub kid=rsa; roles database;");
    ask('set', 'db', 'db');
    is((accepted('db', valid(roles => ['root']), 'roles from the database'))[4],
       '', 'are not in the token');
    accepted('db', valid(roles => { any => 'thing' }),
             'nor does it matter what is there');
};


# --- the cache ------------------------------------------------------------

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


# --- the rest -------------------------------------------------------------

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

    for my $case (@tokens) {
        my ($set, $outcome, $token, $name) = @$case;
        my @answer = ask('memory', $set, unpack 'H*', $token);

        ok($answer[0] eq $outcome && $answer[1] > 5 && $answer[2] > 0
           && $answer[3] == 0, $name) or diag("@answer");
    }

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

subtest 'the corpus of the fuzz target does no harm' => sub {
    my @files = glob "$root/t/fuzz/corpus/jwt/*";

    cmp_ok(scalar @files, '>', 20, 'there is one');
    is(system("$dir/jwt_fuzz", @files), 0, 'it passes');
};

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

close $to;
waitpid $pid, 0;
is($?, 0, 'the program ends well');

done_testing();
