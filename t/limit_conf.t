#!/usr/bin/perl

# What a wrong provisioning_limit is told by "nginx -t", with the file, the
# line, and what to write instead.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Configuration;

my $nginx = tested();

for my $case (
    ['x',         qr/invalid number of arguments in "provisioning_limit_zone"/, 'no size'],
    ['x 1m 2m',   qr/invalid number of arguments in "provisioning_limit_zone"/, 'two sizes'],
    ['x y',       qr/invalid size "y" in "provisioning_limit_zone", expected at least \d+k/, 'a size that is none'],
    ['x 4k',      qr/invalid size "4k" in "provisioning_limit_zone", expected at least \d+k/, 'a size too small'],
    ['x -1',      qr/invalid size "-1"/, 'a negative size'],
    ['"a b" 1m',  qr/invalid name "a b".*letters, digits and "-_\.", since callers read it/, 'a name with a blank'],
    ['"" 1m',     qr/invalid name ""/, 'no name'],
    ['x" 1m',     qr/invalid name|unexpected/, 'a name with a quote'],
    ['a' x 65 . ' 1m', qr/invalid name "a+".*1 to 64/, 'a name of 65 bytes'],
) {
    my ($words, $pattern, $name) = @$case;
    refused({ http => "provisioning_limit_zone $words;" }, $pattern,
            "provisioning_limit_zone: $name");
}

my $zones = 'provisioning_limit_zone x 1m; provisioning_limit_zone y 1m;'
    . join '', map { " provisioning_limit_zone z$_ 1m;" } 1 .. 9;

refused({ http => 'provisioning_limit_zone x 1m; provisioning_limit_zone x 1m;' },
        qr/duplicate provisioning_limit_zone "x"/, 'a zone twice');
refused({ http => 'limit_req_zone $uri zone=x:1m rate=1r/s;'
              . ' provisioning_limit_zone x 1m;' },
        qr/"x" is already declared for a different use/, 'a zone of limit_req');
refused({ server => 'provisioning_limit_zone x 1m;' },
        qr/"provisioning_limit_zone" directive is not allowed here/,
        'a zone outside of http');

sub location {
    my ($inside) = @_;
    return { http => $zones,
             locations => "location /x/ { provisioning_auth test; $inside }" };
}

for my $case (
    ['x',              qr/invalid number of arguments in "provisioning_limit"/, 'no rate'],
    ['x burst=3',      qr/no "rate=" in "provisioning_limit", expected one as in "rate=100r\/s"/, 'only a burst'],
    ['x rate=1',       qr{invalid parameter "rate=1", expected "rate=number" with "r/s", "r/m" or "r/h"}, 'a rate without a period'],
    ['x rate=1r/d',    qr{invalid parameter "rate=1r/d", expected}, 'a rate a day'],
    ['x rate=r/s',     qr{invalid parameter "rate=r/s"}, 'a rate without a number'],
    ['x rate=',        qr{invalid parameter "rate="}, 'an empty rate'],
    ['x rate=0r/s',    qr{invalid number in "rate=0r/s", expected 1 to 1000000}, 'a rate of none'],
    ['x rate=-1r/s',   qr{invalid number in "rate=-1r/s"}, 'a negative rate'],
    ['x rate=1.5r/s',  qr{invalid number in "rate=1\.5r/s"}, 'a fraction'],
    ['x rate=1000001r/s', qr{invalid number in "rate=1000001r/s"}, 'a rate that is no limit'],
    ['x rate=99999999999999999999r/s', qr{invalid number in "rate=9+r/s"}, 'a rate beyond all integers'],
    ['x rate=1r/s rate=2r/s', qr{duplicate parameter "rate=2r/s"}, 'two rates'],
    ['x rate=1r/s burst=0', qr/invalid number in "burst=0", expected 1 to 1000000/, 'no burst'],
    ['x rate=1r/s burst=', qr/invalid number in "burst="/, 'an empty burst'],
    ['x rate=1r/s burst=1 burst=1', qr/duplicate parameter "burst=1"/, 'two bursts'],
    ['x rate=1r/s key=tenant', qr/invalid parameter "key=tenant", expected "key=caller", "key=partner", "key=address" or a value with variables/, 'an unknown key'],
    ['x rate=1r/s key=', qr/invalid parameter "key="/, 'an empty key'],
    ['x rate=1r/s key=caller key=caller', qr/duplicate parameter "key=caller"/, 'two keys'],
    ['x rate=1r/s nodelay', qr/invalid parameter "nodelay", expected "rate=", "burst=", "key=" or "dry_run"/, 'a parameter of limit_req'],
    ['n rate=1r/s',    qr/unknown zone "n" in "provisioning_limit", there is no "provisioning_limit_zone n size"/, 'an unknown zone'],
) {
    my ($words, $pattern, $name) = @$case;
    refused(location("provisioning_limit $words;"), $pattern,
            "provisioning_limit: $name");
}

refused(location('provisioning_limit x rate=1r/s; provisioning_limit x rate=1r/s;'),
        qr/duplicate provisioning_limit "x" here, each needs a zone of its own/,
        'a zone twice in a location');
refused(location(join ' ', map { "provisioning_limit z$_ rate=1r/s;" } 1 .. 9),
        qr/more than 8 "provisioning_limit" here/, 'nine limits');

for my $other ('rate=2r/s', 'rate=1r/m', 'rate=1r/s burst=2',
               'rate=1r/s key=partner')
{
    refused({ http => "$zones provisioning_limit x rate=1r/s;",
              locations => 'location /x/ { provisioning_auth test;'
                  . " provisioning_limit x $other; }" },
            qr/provisioning_limit "x" has another rate, burst or key in .*:\d+; a zone holds one kind of bucket/,
            "a zone with $other besides another");
}

refused({ http => $zones,
          locations => 'location /x/ { provisioning_limit x rate=1r/s; }' },
        qr/"provisioning_limit" in a location needs "provisioning_auth" or "provisioning_api" there, use "limit_req" elsewhere/,
        'a limit where nobody is let in');
refused({ main => 'provisioning_limit x rate=1r/s;' },
        qr/"provisioning_limit" directive is not allowed here/,
        'a limit outside of http');

{
    # nginx itself says this, without a line
    my ($ok, $said) = $nginx->test(%{ location('provisioning_limit x '
        . 'rate=1r/s key=$nothing_like_this;') });
    ok !$ok, 'an unknown variable is refused';
    like $said, qr/unknown "nothing_like_this" variable/, 'and named';
}

accepted(location(join ' ', map { "provisioning_limit z$_ rate=1r/s;" } 1 .. 8),
         'a location with eight limits');
accepted(location($_), $_) for
    'provisioning_limit x rate=1000000r/s burst=1000000;',
    'provisioning_limit x burst=1 rate=1r/h key=address dry_run;',
    'provisioning_limit x rate=5r/m key=$provisioning_subject:$uri;',
    'provisioning_limit x rate=5r/m key=caller; provisioning_limit y rate=5r/m key=partner;';
accepted({ http => "$zones provisioning_limit x rate=1r/s; provisioning_limit y rate=1r/s;",
           server => 'provisioning_limit x rate=60r/m burst=1;',
           locations => 'location /x/ { } location /y/ { provisioning_auth test;'
               . ' provisioning_limit x rate=3600r/h burst=1; }' },
         'the same rate in other words, and limits that are inherited');

done_testing;
