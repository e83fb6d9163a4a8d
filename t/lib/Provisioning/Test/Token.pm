package Provisioning::Test::Token;

# Keys and tokens of the tests' own issuer.  Keys are made once for a run of
# all tests (the runner's directory) or for one file (the file's).  See
# Provisioning::Test for the manual.

use strict;
use warnings;

use Crypt::JWT ();
use Crypt::PK::ECC ();
use Crypt::PK::Ed25519 ();
use Crypt::PK::RSA ();
use Crypt::PRNG ();
use JSON::PP ();
use MIME::Base64 qw(encode_base64url decode_base64url);

our $ISSUER   = 'https://issuer.test/';
our $AUDIENCE = 'provisioning';

# What keys there are: what they are made of, and their usual algorithm.

my %kinds = (
    rsa     => [RSA => 2048,        'RS256'],
    rsa2    => [RSA => 2048,        'RS256'],    # nobody's: a stranger's
    small   => [RSA => 1024,        'RS256'],
    ec256   => [ECC => 'secp256r1', 'ES256'],
    ec384   => [ECC => 'secp384r1', 'ES384'],
    ec521   => [ECC => 'secp521r1', 'ES512'],
    ed25519 => [Ed25519 => undef,   'EdDSA'],
    secret  => [oct => 64,          'HS256'],
);

my $directory;    # says where they are kept
my %keys;

sub kinds { sort keys %kinds }

sub keep_in { ($directory) = @_ }


# The key as an object of CryptX, or as bytes for a secret.

sub key {
    my ($name) = @_;

    return $keys{$name} if $keys{$name};

    my ($type, $size) = @{ $kinds{$name} || die "there is no key '$name'\n" };
    my $file = $directory->() . "/$name.key";

    if (!-e $file) {
        my $text;

        if ($type eq 'oct') {
            $text = Crypt::PRNG::random_bytes($size);

        } else {
            my $made = "Crypt::PK::$type"->new;
            $made->generate_key($type eq 'RSA' ? ($size / 8, 65537)
                              : defined $size  ? $size : ());
            $text = $made->export_key_pem('private');
        }

        # two files may be at it at once: the first one there counts

        open my $out, '>:raw', "$file.$$" or die "$file.$$: $!";
        print $out $text;
        close $out or die "$file.$$: $!";
        link "$file.$$", $file;
        unlink "$file.$$";
    }

    open my $in, '<:raw', $file or die "$file: $!";
    my $text = do { local $/; <$in> };

    return $keys{$name} = $type eq 'oct' ? $text
                                         : "Crypt::PK::$type"->new(\$text);
}


sub algorithm { $kinds{ $_[0] }[2] }


# The public key (or the secret) as a member of a JWKS.

sub jwk {
    my ($name, %more) = @_;

    my $key = key($name);
    my $jwk = ref $key
        ? { %{ $key->export_key_jwk('public', 1) } }
        : { kty => 'oct', k => encode_base64url($key) };

    $jwk = { %$jwk, kid => $name, %more };
    defined $jwk->{$_} or delete $jwk->{$_} for keys %$jwk;

    return $jwk;
}


# The text of a key set: names of keys, or members made with jwk().

sub jwks {
    return JSON::PP->new->canonical->pretty->encode({
        keys => [map { ref $_ ? $_ : jwk($_) } @_],
    });
}


# CryptX labels an RSA key PKCS #1 unless it is asked for the common form

sub public_pem {
    my $key = key($_[0]);
    return $key->export_key_pem($key->isa('Crypt::PK::RSA') ? 'public_x509'
                                                            : 'public');
}

sub private_pem { key($_[0])->export_key_pem('private') }


# A compact JWT; see Provisioning::Test.

sub token {
    my (%o) = @_;

    my $name = $o{key} || 'rsa';
    my $algorithm = $o{alg} || algorithm($name);
    my $now = time;

    my %claims = (
        iss     => $ISSUER,
        aud     => $AUDIENCE,
        sub     => 'partner-system',
        iat     => $now,
        exp     => $now + 3600,
        partner => 'acme',
        roles   => ['partner-admin'],
    );

    for (qw(iss aud sub iat exp nbf partner roles)) {
        $claims{$_} = $o{$_} if exists $o{$_};
    }

    %claims = (%claims, %{ $o{claims} || {} });
    defined $claims{$_} or delete $claims{$_} for keys %claims;

    my %header = (typ => 'JWT', alg => $algorithm, kid => $name,
                  %{ $o{header} || {} });
    defined $header{$_} or delete $header{$_} for keys %header;

    my $json = JSON::PP->new->utf8->canonical;

    return signed($json->encode(\%header), $json->encode(\%claims),
                  key => $name, alg => $algorithm);
}


# A token of exactly these two texts, signed: for what no library would make.
# secret => bytes signs with HS* and those bytes.

sub signed {
    my ($header, $payload, %o) = @_;

    my $name = $o{key} || 'rsa';
    my $algorithm = $o{alg} || algorithm($name);
    my $input = encode_base64url($header) . '.' . encode_base64url($payload);

    my $signature = $algorithm eq 'none' ? ''
        : signature($input, $algorithm,
                    defined $o{secret} ? $o{secret} : key($name));

    return "$input." . encode_base64url($signature);
}


# JWS (RFC 7518) over the very bytes of the input.  A key that is no secret,
# used with HS*, gives its public PEM: what an attacker would try.

sub signature {
    my ($input, $algorithm, $key) = @_;

    my ($family, $bits) = $algorithm =~ /\A(HS|RS|PS|ES)(\d{3})\z/;

    return $key->sign_message($input) if $algorithm eq 'EdDSA';
    die "no such algorithm: '$algorithm'\n" unless $family;

    if ($family eq 'HS') {
        require Crypt::Mac::HMAC;
        $key = ref $key ? $key->export_key_pem('public') : $key;
        return Crypt::Mac::HMAC::hmac("SHA$bits", $key, $input);
    }

    return $key->sign_message_rfc7518($input, "SHA$bits") if $family eq 'ES';

    return $key->sign_message($input, "SHA$bits",
                              $family eq 'PS' ? ('pss', $bits / 8) : 'v1.5');
}


# A token that Crypt::JWT makes from beginning to end: an independent signer.

sub crypt_jwt {
    my (%o) = @_;

    my ($header, $payload) = map { JSON::PP->new->utf8->decode(
        decode_base64url($_)) } (split /\./, token(%o))[0, 1];
    my $name = $o{key} || 'rsa';

    return Crypt::JWT::encode_jwt(
        payload => $payload, key => key($name),
        alg => delete $header->{alg}, extra_headers => $header);
}

1;
