#!/usr/bin/perl

# Where requests are never sent to: addresses in every disguise, and the form
# of URLs.  Without a server: t/unit/http_verdict.c and the fuzz target for
# URLs, whose results libcurl and the resolver have to agree with.
#
#   prove t/outbound_address.t
#
# SEED repeats a run.  NGX_BUILD and SANITIZE are explained in t/unit/Unit.pm.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/unit";

use Test::More;

use Socket qw(AF_INET AF_INET6 inet_pton inet_ntop);
use Unit;

my $seed = srand(defined $ENV{SEED} ? $ENV{SEED} : time);

compile(qw(http/prov_http_url http/prov_http_address));
my $program = build('t/unit/http_verdict.c');


sub verdicts {
    my (@lines) = @_;

    my ($said, $status) = output(\join('', map { "$_\n" } @lines), $program);
    die "http_verdict: $status\n$said" if $status;

    my @said = split /\n/, $said;
    die "http_verdict said too little" if @said != @lines;
    return @said;
}


# The registries (IPv4 and IPv6 Special-Purpose Address Space, RFC 6890), with
# multicast (RFC 5771, RFC 4291) and what was taken back: written down here a
# second time, in another form.

my @special4 = qw(
    0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16
    172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.31.196.0/24 192.52.193.0/24
    192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15
    198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4
    255.255.255.255/32 168.63.129.16/32 169.254.169.254/32 100.100.100.200/32
    192.0.0.192/32);

my @special6 = qw(
    ::/8 ::/128 ::1/128 ::/96 64:ff9b:1::/48 100::/8 100::/64 200::/7
    400::/6 800::/5 1000::/4 2001::/32 2001:2::/48 2001:3::/32
    2001:4:112::/48 2001:10::/28 2001:20::/28 2001:30::/28 2001::/23
    2001:db8::/32 2002::/16 2620:4f:8000::/48 3ffe::/16 3fff::/20 4000::/3
    5f00::/16 6000::/3 8000::/3 a000::/3 c000::/3 e000::/4 f000::/5 f800::/6
    fc00::/7 fd00:ec2::254/128 fd20:ce::254/128 fe00::/9 fe80::/10 fec0::/10
    ff00::/8);


# first and last of a network, and the addresses around it, packed

sub ends {
    my ($cidr) = @_;
    my ($address, $bits) = split m{/}, $cidr;
    my $packed = inet_pton($address =~ /:/ ? AF_INET6 : AF_INET, $address);
    my $length = 8 * length $packed;

    my $string = unpack "B$length", $packed;
    my $prefix = substr $string, 0, $bits;

    return map { pack "B$length", $_ }
        $prefix . '0' x ($length - $bits), $prefix . '1' x ($length - $bits);
}

sub beside {
    my ($packed, $step) = @_;
    my @bytes = unpack 'C*', $packed;

    for my $i (reverse 0 .. $#bytes) {
        $bytes[$i] += $step;
        return pack 'C*', @bytes if $bytes[$i] >= 0 && $bytes[$i] < 256;
        $bytes[$i] = $step > 0 ? 0 : 255;
    }

    return undef;    # beyond the end of them all
}

sub text { inet_ntop(length $_[0] == 4 ? AF_INET : AF_INET6, $_[0]) }

sub within {
    my ($packed, @cidrs) = @_;

    for my $cidr (@cidrs) {
        my ($first, $last) = ends($cidr);
        return 1 if length $first == length $packed
            && $first le $packed && $packed le $last;
    }

    return 0;
}

my %expected;

for my $cidr (@special4, @special6) {
    my ($first, $last) = ends($cidr);
    my @special = length $first == 4 ? @special4 : @special6;

    $expected{ text($_) } = within($_, @special)
        for grep { defined } $first, $last, beside($first, -1),
                             beside($last, 1);
}

my @asked = sort keys %expected;
my @verdict = verdicts(map { "address $_" } @asked);
my @wrongly = map { "$asked[$_]: $verdict[$_]" }
    grep { ($verdict[$_] ne 'ok') != $expected{ $asked[$_] } } 0 .. $#asked;

cmp_ok scalar(@asked), '>', 120, 'the ends of networks were asked for';
is "@wrongly", '', 'the first and last of each special network are refused, '
    . 'and those around it are not';


# IPv4 within IPv6

my %embedded = (
    'IPv4-mapped'     => '::ffff:%s',
    'NAT64'           => '64:ff9b::%s',
    'ISATAP'          => '2a00:1450::5efe:%s',
    'universal ISATAP' => '2a00:1450::200:5efe:%s',
);

for my $form (sort keys %embedded) {
    my @private = map { sprintf $embedded{$form}, $_ }
        qw(127.0.0.1 10.1.2.3 192.168.0.1 169.254.169.254 0.0.0.0 100.64.0.1
           224.0.0.1 255.255.255.255);
    my @verdicts = verdicts(map { "address $_" } @private);
    is scalar(grep { $_ eq 'ok' || $_ eq 'no address' } @verdicts), 0,
        "$form addresses of private IPv4 ones are refused"
        or diag "@verdicts";
    is_deeply [verdicts('address ' . sprintf $embedded{$form}, '8.8.8.8')],
        ['ok'], 'those of a public one are not';
}

is_deeply [map { $_ eq 'ok' } verdicts(map { "address $_" }
    '::127.0.0.1', '::8.8.8.8', '2002:7f00:1::', '2002:808:808::',
    '2001:0:7f00:1::', '2001:0:4136:e378:8000:63bf:3fff:fdd2',
    '64:ff9b:1::8.8.8.8', '::ffff:0:127.0.0.1')], [('') x 8],
    'IPv4-compatible, 6to4, Teredo, local NAT64 and IPv4-translated addresses'
    . ' are refused, whatever is in them';

is_deeply [verdicts('families')], ['1 1 1 0 0'],
    'a unix socket is refused, and an address that is not all there';

is_deeply [map { $_ eq 'ok' } verdicts(map { "address $_" } qw(8.8.8.8 1.1.1.1
    93.184.216.34 192.0.1.1 172.32.0.1 100.63.255.255 2606:4700::1111
    2a00:1450:4001::1 2001:200::1 2001:4860:4860::8888 2400::1 3ffd::1))],
    [(1) x 12], 'public addresses are not refused';


# Everything that another list calls special, too.

SKIP: {
    my @random = ((map { join '.', map { int rand 256 } 1 .. 4 } 1 .. 3000),
        (map { sprintf '%s:%x::%x:%x', (qw(2001 2002 64:ff9b fc00 fe80 2620 2a00
            3fff 0), sprintf '%x', 0x2000 + int rand 0x2000)[rand 10],
            map { int rand 0x10000 } 1 .. 3 } 1 .. 3000));
    my ($global, $status) = output(\join('', map { "$_\n" } @random),
        'python3', '-c', <<'PYTHON');
import ipaddress, sys
for line in sys.stdin:
    a = ipaddress.ip_address(line.strip())
    print(int(a.is_global and not a.is_multicast and not a.is_reserved))
PYTHON
    skip 'there is no python3', 1 if $status;

    my @global = split /\n/, $global;
    my @verdicts = verdicts(map { "address $_" } @random);
    my @passed = map { "$random[$_]" } grep {
        $verdicts[$_] eq 'ok' && !$global[$_] } 0 .. $#random;

    is "@passed", '', 'no address passes that Python does not call global';
}


# allow_network and deny_network

sub allowed {
    my ($configuration, @addresses) = @_;
    my @said = verdicts('reset', @$configuration,
        map { "address $_" } @addresses);
    return join ' ', map { $_ eq 'ok' ? 'yes' : 'no' }
        @said[1 + @$configuration .. $#said];
}

is allowed(['allow 10.1.0.0/16'], qw(10.1.0.0 10.1.255.255 10.0.255.255
    10.2.0.0 ::ffff:10.1.2.3 64:ff9b::10.1.2.3 ::10.1.2.3 127.0.0.1)),
    'yes yes no no yes yes no no',
    'an IPv4 network is opened, and its forms in IPv6';
is allowed(['allow fd00:1::/32', 'allow ::1'], qw(fd00:1::1 fd00:2::1 ::1 ::2)),
    'yes no yes no', 'so are IPv6 networks and single addresses';
is allowed(['deny 93.184.0.0/16', 'deny 2a00::/16', 'allow 10.0.0.0/8',
    'deny 10.9.0.0/16'], qw(93.184.1.1 ::ffff:93.184.1.1 64:ff9b::93.184.1.1
    93.185.1.1 2a00::1 2a01::1 10.8.0.1 10.9.0.1)),
    'no no no yes no yes yes no',
    'what is closed stays closed, whatever is opened';
is allowed(['allow 0.0.0.0/0'], qw(127.0.0.1 ::1)), 'yes no',
    'all of IPv4 is not all of IPv6';
is allowed(['allow ::/0'], qw(127.0.0.1 ::1 fe80::1)), 'yes yes yes',
    'all of IPv6 is everything';

for (['10.0.0.0/8', qr/^ok$/], ['10.0.0.1', qr/^ok$/], ['::1/128', qr/^ok$/],
     ['10.0.0.1/8', qr/^has bits/], ['fd00::1/8', qr/^has bits/],
     ['10.0.0.0/33', qr/^is no/], ['::/129', qr/^is no/], ['10/8', qr/^is no/],
     ['10.0.0.0/', qr/^is no/], ['10.0.0.0/-1', qr/^is no/],
     ['10.0.0.0/0x8', qr/^is no/], ['localhost', qr/^is no/], ['', qr/^is no/],
     ['/8', qr/^is no/], ['010.0.0.0/8', qr/^is no/], ['fe80::1%1', qr/^is no/],
     ['1' x 100, qr/^is no/])
{
    my ($network, $expected) = @$_;
    like +(verdicts("network $network"))[0], $expected,
        "as a network: \"$network\"";
}


# URLs: what is refused by its form, and what is not

my @fine = ('https://example.com', 'https://example.com/', 'HTTPS://EXAMPLE.COM/',
    'https://example.com:8443/a/b?c=d&e', 'https://example.com?x',
    'https://a-b.c_d.example/', 'https://8.8.8.8/', 'https://[2a00:1450::1]:444/',
    'https://xn--bcher-kva.example/', 'https://1.example/', 'https://intranet/',
    'https://example.com/@127.0.0.1', 'https://example.com/?u=http://x@y',
    'https://0x7f.example/', 'https://example.com/%7Bid%7D',
    'https://[::ffff:8.8.8.8]/', 'https://[64:ff9b::8.8.8.8]/');

is_deeply [verdicts(map { "url $_" } @fine)], [('ok') x @fine],
    'ordinary URLs are accepted';

my @refused = (
    # what is not sent to at all
    ['', qr/begin with/], ['example.com', qr/begin with/],
    ['//example.com/', qr/begin with/], ['https:/example.com', qr/begin with/],
    ['https://', qr/begin with/], ['https:///x', qr/its host/],
    ['http://example.com/', qr/begin with/], ['ftp://example.com/', qr/begin/],
    ['file:///etc/passwd', qr/begin with/], ['gopher://127.0.0.1:70/_', qr/begin/],
    ['unix:/run/docker.sock', qr/begin/], ['http://unix:/run/x.sock:/', qr/port/],
    [' https://example.com/', qr/ASCII/], ['javascript:https://x/', qr/begin/],

    # who is meant
    ['https://user@example.com/', qr/user/], ['https://u:p@example.com/', qr/user/],
    ['https://example.com@127.0.0.1/', qr/user/], ['https://@example.com/', qr/user/],
    ['https://example.com:443@127.0.0.1/', qr/user/],
    ['https://127.0.0.1\\@example.com/', qr/ASCII/],
    ['https://example.com\\.evil.example/', qr/ASCII/],
    ['https://example.com#@127.0.0.1/', qr/fragment/],
    ['https://example.com/#x', qr/fragment/],
    ["https://example.com\t.evil.example/", qr/ASCII/],
    ['https://example.com;x/', qr/its host/], ['https://a,b/', qr/its host/],
    ['https://exa%6dple.com/', qr/its host/], ['https://%31%32%37.0.0.1/', qr/its host/],

    # addresses in disguise
    ['https://127.0.0.1/', qr/not public/], ['https://10.0.0.1:8443/x', qr/not public/],
    ['https://169.254.169.254/latest/meta-data/', qr/not public/],
    ['https://[::1]/', qr/not public/], ['https://[::ffff:127.0.0.1]/', qr/not public/],
    ['https://[::ffff:7f00:1]/', qr/not public/],
    ['https://[0:0:0:0:0:ffff:127.0.0.1]/', qr/not public/],
    ['https://[::127.0.0.1]/', qr/not public/], ['https://[fd00:ec2::254]/', qr/not public/],
    ['https://[64:ff9b::127.0.0.1]/', qr/not public/],
    ['https://[2002:7f00:1::]/', qr/not public/], ['https://0.0.0.0/', qr/not public/],
    ['https://2130706433/', qr/ends in a number/], ['https://127.1/', qr/ends in a number/],
    ['https://127.0.1/', qr/ends in a number/], ['https://0177.0.0.1/', qr/ends in a number/],
    ['https://0x7f.0.0.1/', qr/ends in a number/], ['https://0x7f000001/', qr/ends in a number/],
    ['https://017700000001/', qr/ends in a number/], ['https://127.0.0.0x1/', qr/ends in a number/],
    ['https://00127.0.0.1/', qr/ends in a number/], ['https://127.000.000.001/', qr/ends in a number/],
    ['https://256.256.256.256/', qr/ends in a number/], ['https://1.2.3.4.5/', qr/ends in a number/],
    ['https://127.0.0.1./', qr/its host/], ['https://localhost./', qr/its host/],
    ['https://.127.0.0.1/', qr/its host/], ['https://127..0.0.1/', qr/its host/],
    ['https://[127.0.0.1]/', qr/IPv6/], ['https://[::1%25lo]/', qr/IPv6/],
    ['https://[::1', qr/\]/], ['https://[]/', qr/IPv6/], ['https://::1/', qr/port/],
    ['https://[::1].example.com/', qr/port/], ['https://[v1.x]/', qr/IPv6/],
    ["https://\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.0.0.1/", qr/ASCII/],
    ["https://127\xe3\x80\x820\xe3\x80\x820\xe3\x80\x821/", qr/ASCII/],
    ["https://b\xc3\xbccher.example/", qr/ASCII/],
    ["https://loc\xc2\xadalhost/", qr/ASCII/],

    # names and ports that are none
    ['https://-a.example/', qr/its host/], ['https://a-.example/', qr/its host/],
    ['https://' . 'a' x 64 . '.example/', qr/its host/],
    ['https://' . 'a.' x 127 . 'a/', qr/its host/],
    ['https://a*b/', qr/its host/], ['https://example.com:/', qr/port/],
    ['https://example.com:0/', qr/port/], ['https://example.com:65536/', qr/port/],
    ['https://example.com:0443/', qr/port/], ['https://example.com:443x/', qr/port/],
    ['https://example.com:+443/', qr/port/], ['https://example.com:-1/', qr/port/],
    ['https://example.com:99999999999999999999/', qr/port/],
    ['https://a:1:2/', qr/port/],

    # the rest
    ['https://example.com/ x', qr/ASCII/], ["https://example.com/\r", qr/ASCII/],
    ["https://example.com/\x7f", qr/ASCII/], ['https://example.com/%', qr/%/],
    ['https://example.com/%2', qr/%/], ['https://example.com/%2g', qr/%/],
    ['https://example.com/{id}', qr/ASCII/], ['https://example.com/<x>', qr/ASCII/],
    ['https://example.com/' . 'a' x 2029, qr/2048/],
);

my @said = verdicts(map { "url $_->[0]" } @refused);
@wrongly = map { "$refused[$_][0]: $said[$_]" }
    grep { $said[$_] !~ $refused[$_][1] } 0 .. $#refused;

is join("\n", @wrongly), '',
    scalar(@refused) . ' others are refused, each with its reason';

is +(verdicts('url https://example.com/' . 'a' x 2028))[0], 'ok',
    'a URL has up to 2048 bytes';

is_deeply [(verdicts('plain', 'url http://example.com/', 'url http://10.0.0.1/',
    'allow 10.0.0.0/8', 'url http://10.0.0.1/', 'url https://10.0.0.1/'))[1 .. 5]],
    ['ok', 'it names an address that is not public', 'ok', 'ok', 'ok'],
    'http and networks can be opened';


# Unit.pm's programs know nothing of libcurl, which may not be there

my $curl = (output('sh', '-c', 'echo "#include <curl/curl.h>" | '
                   . ($ENV{CC} || 'gcc') . ' -E - >/dev/null'))[1] == 0;

SKIP: {
    skip 'there is no libcurl to agree with', 3 unless $curl;

    my @corpus = glob "$root/t/fuzz/corpus/url/*";
    my ($replayed, $status) = output(build('t/fuzz/url_fuzz.c',
        "$root/t/fuzz/replay.c", '-Wl,--no-as-needed', '-lcurl'), @corpus);

    ok @corpus > 40, 'the fuzz target for URLs has a corpus';
    is $status, 0, 'libcurl and the resolver read URLs as we do'
        or diag $replayed;
    is $replayed, @corpus . " inputs\n", 'all of the corpus';
}

diag("SEED=$seed repeats it") if !Test::More->builder->is_passing;

done_testing;
