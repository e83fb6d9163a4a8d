package AuthTokens;

# Keys of every kind, and three programs that sign tokens with them, none of
# which shares code with the verifier: libjwt, Perl's Crypt::JWT, and openssl
# itself.  The keys are files in $dir/conf.

use strict;
use warnings;

use Crypt::JWT ();
use Crypt::Mac::HMAC qw(hmac);
use Crypt::PK::ECC ();
use Crypt::PK::Ed25519 ();
use Crypt::PK::RSA ();
use Exporter qw(import);
use JSON::PP ();
use MIME::Base64 qw(encode_base64url decode_base64 decode_base64url);

use Unit;

our @EXPORT = qw(
    $now $json $secret %pk %algorithm_key @algorithms make_keys
    spew slurp jwk jwks text claims token valid by_openssl by_crypt_jwt
    by_libjwt
);

our $json = JSON::PP->new->canonical->utf8->allow_nonref;
our $now  = 1_900_000_000;


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

our $secret = 'a secret of exactly sixty-four bytes, for all three of HS: 0123.';
our %pk;

sub make_keys {
    mkdir "$dir/conf" or die $!;

    for my $name (sort keys %genpkey) {
        my ($type, @options) = @{ $genpkey{$name} };

        run('openssl', 'genpkey', '-algorithm', $type,
            (map { ('-pkeyopt', $_) } @options),
            '-out', "$dir/conf/$name.pem");
        run('openssl', 'pkey', '-in', "$dir/conf/$name.pem", '-pubout',
            '-out', "$dir/conf/$name.pub");
    }

    run('openssl', 'req', '-x509', '-key', "$dir/conf/rsa.pem", '-subj',
        '/CN=issuer', '-days', '1', '-out', "$dir/conf/rsa.crt");
    run('openssl', 'rsa', '-pubin', '-in', "$dir/conf/rsa.pub",
        '-RSAPublicKey_out', '-out', "$dir/conf/rsa.pkcs1");

    spew('secret', "$secret\n");

    $pk{$_} = Crypt::PK::RSA->new("$dir/conf/$_.pem") for qw(rsa rsa2);
    $pk{$_} = Crypt::PK::ECC->new("$dir/conf/$_.pem") for qw(p256 p384 p521);
    $pk{ed} = Crypt::PK::Ed25519->new("$dir/conf/ed.pem");

    return;
}

our %algorithm_key = (
    (map { ("RS$_" => 'rsa', "PS$_" => 'rsa', "HS$_" => 'secret') }
         256, 384, 512),
    ES256 => 'p256', ES384 => 'p384', ES512 => 'p521', EdDSA => 'ed',
);

our @algorithms = sort keys %algorithm_key;


# The public members of a key, made by CryptX or, for Ed448, of its DER.

sub jwk {
    my ($name, %more) = @_;

    if ($name eq 'ed448') {
        my ($der) = slurp('ed448.pub') =~ /-----\n(.*)-----END/s;
        my $x = encode_base64url(substr decode_base64($der), -57);

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
    my ($alg, $kid, %more) = @_;
    my $name = $algorithm_key{$alg};

    return Crypt::JWT::encode_jwt(
        payload       => claims(sub => 'Crypt::JWT', %more),
        alg           => $alg,
        key           => $name eq 'secret' ? $secret : $pk{$name},
        extra_headers => { typ => 'JWT', $kid ? (kid => $kid) : () },
    );
}

sub by_libjwt {
    my ($alg, $kid) = @_;
    my $name = $algorithm_key{$alg};

    if (!-e "$dir/libjwt_sign") {
        run((split ' ', $ENV{CC} || 'gcc'), '-o', "$dir/libjwt_sign",
            "$root/t/unit/tokens/libjwt_sign.c", '-ljwt');
    }

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

1;
