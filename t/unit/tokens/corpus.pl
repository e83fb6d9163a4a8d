#!/usr/bin/perl

# Writes the corpus of t/fuzz/jwt_fuzz.c, one file for each thing a token can
# be, signed with that program's secret:
#
#   perl t/unit/tokens/corpus.pl t/fuzz/corpus/jwt

use strict;
use warnings;

use Digest::SHA qw(hmac_sha256);
use MIME::Base64 qw(encode_base64url);

my ($dir) = @ARGV;
die "usage: corpus.pl directory\n" if !defined $dir || !-d $dir;

my $secret  = '0123456789abcdef0123456789abcdef';
my $header  = '{"alg":"HS256"}';
my $payload = '{"iss":"i","aud":"a","exp":1900000300,"sub":"s"}';

sub token {
    my ($head, $body) = @_;
    my $content = encode_base64url($head) . '.' . encode_base64url($body);

    return "$content." . encode_base64url(hmac_sha256($content, $secret));
}

sub with { return $payload =~ s/\}$/,$_[0]}/r }

my $plain = token($header, $payload);

my %corpus = (
    plain            => $plain,
    empty            => '',
    dots             => '..',
    four_segments    => "$plain.AAAA",
    no_signature     => $plain =~ s/[^.]*$//r,
    padding          => "$plain=",
    trailing_bits    => $plain =~ s/.$/B/r,
    bad_signature    => $plain =~ s/.{4}$/AAAA/r,
    blank            => "$plain ",
    alg_none         => token('{"alg":"none"}', $payload),
    alg_rs256        => token('{"alg":"RS256"}', $payload),
    alg_es512        => token('{"alg":"ES512"}', $payload),
    alg_twice        => token('{"alg":"HS256","alg":"none"}', $payload),
    alg_number       => token('{"alg":1}', $payload),
    kid              => token('{"alg":"HS256","kid":"k\u001b\""}', $payload),
    kid_number       => token('{"alg":"HS256","kid":1}', $payload),
    typ_at           => token('{"alg":"HS256","typ":"application/at+jwt"}',
                              $payload),
    typ_other        => token('{"alg":"HS256","typ":"application/"}', $payload),
    cty              => token('{"alg":"HS256","cty":"JWT"}', $payload),
    crit             => token('{"alg":"HS256","crit":["exp"]}', $payload),
    b64              => token('{"alg":"HS256","b64":false}', $payload),
    header_array     => token('[]', $payload),
    payload_array    => token($header, '[]'),
    payload_deep     => token($header, '{"a":' . '[' x 40 . ']' x 40 . '}'),
    payload_nul      => token($header, '{"sub":"\u0000"}'),
    payload_utf8     => token($header, "{\"sub\":\"\xff\"}"),
    payload_twice    => token($header, '{"sub":"a","sub":"b"}'),
    iss_none         => token($header, '{}'),
    iss_unknown      => token($header, '{"iss":"\n\u00e9"}'),
    iss_array        => token($header, '{"iss":[]}'),
    aud_array        => token($header, $payload =~ s/"a"/["b","a"]/r),
    aud_mixed        => token($header, $payload =~ s/"a"/["a",1]/r),
    aud_object       => token($header, $payload =~ s/"a"/{}/r),
    exp_fraction     => token($header, $payload =~ s/00300/00300.9/r),
    exp_negative     => token($header, $payload =~ s/19/-19/r),
    exp_huge         => token($header, $payload =~ s/1900000300/1e300/r),
    exp_text         => token($header, $payload =~ s/(1900000300)/"$1"/r),
    exp_past         => token($header, $payload =~ s/19/18/r),
    nbf_future       => token($header, with('"nbf":1900000301')),
    iat_fraction     => token($header, with('"iat":1.9e9')),
    sub_control      => token($header, $payload =~ s/"s"/"\\u0085"/r),
    sub_empty        => token($header, $payload =~ s/"s"/""/r),
    partner_path     => token($header, with('"a":{"b":{"c":"p"}}')),
    partner_literal  => token($header, with('"a.b.c":"p"')),
    partner_short    => token($header, with('"a":{"b":"p"}')),
    roles_array      => token($header, with('"roles":["r","q r"]')),
    roles_string     => token($header, with('"roles":" r  q "')),
    roles_many       => token($header, with('"roles":"' . 'r ' x 70 . '"')),
    roles_long       => token($header, with('"roles":["' . 'r' x 129 . '"]')),
    roles_mixed      => token($header, with('"roles":["r",null]')),
    roles_object     => token($header, with('"roles":{}')),
);

for my $name (sort keys %corpus) {
    open my $out, '>:raw', "$dir/$name" or die "$dir/$name: $!\n";
    print $out $corpus{$name};
    close $out or die "$dir/$name: $!\n";
}
