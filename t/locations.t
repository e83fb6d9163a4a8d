#!/usr/bin/perl

# Where nginx's configuration leads a request: nested locations, conditions,
# rewrites, redirects, subrequests; and which path is meant by what a caller
# has written.  Whatever way a request takes, nobody gets past the check.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Operations;
use Provisioning::Test::Problem;

use JSON::PP ();

my $postgres = postgres();
my $string = { type => 'string' };
my $true = JSON::PP::true;
my $show = "status := 200; body := json_build_object('name', '<<>>', "
    . "'params', params);";

sub operation {
    my ($name, $path, @names) = @_;
    return ($name => {
        path       => $path,
        function   => $show =~ s/<<>>/$name/r,
        parameters => [map { { name => $_, in => 'path', required => $true,
                               schema => $string } } @names],
    });
}

my $api = operations($postgres,
    operation('thing_get', '/things/{id}', 'id'),
    operation('thing_list', '/things'),
    operation('part_get', '/things/{id}/parts/{part}', 'id', 'part'),
    operation('thing_special', '/things/special'),
    operation('dashes', '/a-b_c.d~e/f'),
    operation('root', '/'),
);

my $file = $api->file;
my $ours = "provisioning_api $file prefix=%s; provisioning_pass tenants;";
my $with = "provisioning_auth test; $ours";

sub ours { sprintf $ours, $_[0] }
sub with { sprintf $with, $_[0] }

my (undef, $nginx) = gateway(postgres => $postgres,
    locations => <<"END");
    ${\$api->location}

    location /nested/ {
        ${\with('/nested')}
        add_header X-Location outer always;

        location /nested/things/special {
            add_header X-Location special always;
        }

        location /nested/things/open {
            provisioning_auth off;
            add_header X-Location open always;
        }

        location /nested/things/denied {
            deny all;
        }

        location ~ /parts/ {
            add_header X-Location parts always;

            location ~ /parts/inner {
                add_header X-Location inner always;
            }
        }
    }

    location /if/ {
        ${\with('/if')}

        if (\$arg_x) {
            add_header X-If yes always;
        }

        if (\$arg_stop) {
            return 403;
        }
    }

    location /except/ {
        ${\with('/except')}
        limit_except GET {
            deny all;
        }
    }

    location /named/ {
        try_files /nothing \@named;
    }

    location \@named {
        ${\with('/named')}
    }

    location /try/ {
        try_files /nothing /quirks/things;
    }

    location /rewritten/ {
        rewrite ^/rewritten/(.*) /quirks/\$1 last;
    }

    location /break/ {
        ${\with('/break')}
        rewrite ^/break/old/(.*) /break/things/\$1 break;
    }

    location /redirected/ {
        error_page 404 = /quirks/things;
        return 404;
    }

    location /fallback/ {
        error_page 418 = \@fallback;
        return 418;
    }

    location \@fallback {
        ${\with('/fallback')}
    }

    location ~ ^/regex/v[0-9]+/ {
        ${\with('/regex/v1')}
    }

    location = /exact/things {
        ${\with('/exact/')}
    }

    location /bare {
        ${\with('/')}
    }

    location /unguarded/ {
        ${\ours('/unguarded')}
    }

    location /internal/ {
        internal;
        ${\with('/internal')}
    }

    location /mirrored {
        mirror /api/provisioning/tenants;
        return 204;
    }

    location /proxied-mirror {
        mirror /api/provisioning/tenants;
        proxy_pass http://127.0.0.1:%%PORT%%/static;
    }

    location = /static {
        return 200 static;
    }

    location /mirroring/ {
        mirror /static;
        ${\with('/mirroring')}
    }

    location /asking {
        auth_request /quirks/things;
        proxy_pass http://127.0.0.1:%%PORT%%/static;
    }

    location /asked/ {
        auth_request /static-ok;
        ${\with('/asked')}
    }

    location = /static-ok {
        return 200;
    }

    location /page/ {
        alias %%DIR%%/;
        ssi on;
        ssi_types text/plain;
        default_type text/html;
    }
END

my $token = token();

sub get {
    my ($path, %o) = @_;
    return $nginx->request(GET => $path, token => $token, %o);
}

# What an operation was given, as one line.

sub shown {
    my ($r) = @_;
    my $json = $r->json;
    return $r->status . ' ' . ($r->code || '') unless ref $json eq 'HASH'
        && $json->{name};
    return join ' ', $json->{name}, map { "$_=<$json->{params}{$_}>" }
        sort keys %{ $json->{params} };
}


# Nested locations keep the handler and the check

my $r = get('/nested/things');
is shown($r), 'thing_list', 'an operation is reached in a location';
for (['/nested/things/special', 'thing_special', 'special'],
     ['/nested/things/1/parts/2', 'part_get id=<1> part=<2>', 'parts'],
     ['/nested/things/1/parts/inner', 'part_get id=<1> part=<inner>', 'inner'],
     ['/nested/things', 'thing_list', 'outer'])
{
    my ($path, $shown, $where) = @$_;
    $r = get($path);
    is_deeply [shown($r), $r->header('X-Location')], [$shown, $where],
        "$path is reached in the location \"$where\"";
    is $nginx->request(GET => $path)->code, 'token_missing',
        'and not without a token';
    is $nginx->request(POST => $path, token => $token)->code,
        'method_not_allowed', 'nor with another method';
}

is_problem get('/nested/things/open'), 'a location that trusts no token '
    . 'serves nothing that needs one', 401, 'token_unknown_issuer',
    'No issuer of tokens is trusted at this path.';
is_problem get('/unguarded/things'), 'nor does one that never did', 401,
    'token_unknown_issuer', 'No issuer of tokens is trusted at this path.';
is $nginx->request(GET => '/unguarded/things')->code, 'token_missing',
    'not without a token, either';
is_problem get('/nested/things/denied'), 'other checks of nginx apply, too',
    403, 'forbidden', 'Access to this path is not allowed.';
is $nginx->request(GET => '/nested/things/denied')->code, 'token_missing',
    'besides that of the token';


# if, limit_except

$r = get('/if/things?x=1');
is_deeply [$r->code, $r->header('X-If')], ['invalid_parameters', 'yes'],
    'an "if" keeps the handler';
is $nginx->request(GET => '/if/things?x=1')->code, 'token_missing',
    'and the check';
is_problem get('/if/things?stop=1'), 'what it returns is a problem document',
    403, 'forbidden', 'Access to this path is not allowed.';
is shown(get('/if/things')), 'thing_list', 'without it nothing is different';

is shown(get('/except/things')), 'thing_list', 'limit_except lets through';
is $nginx->request(HEAD => '/except/things', token => $token)->status, 200,
    'HEAD with GET';
is $nginx->request(POST => '/except/things', token => $token)->code,
    'method_not_allowed', 'and keeps the handler for the others';
is $nginx->request(GET => '/except/things')->code, 'token_missing',
    'and the check';


# Redirects inside nginx

for (['/named/things/7', 'thing_get id=<7>', 'a named location'],
     ['/named/things/a%2Fb', 'thing_get id=<a/b>',
      'a named location, an encoded slash'],
     ['/try/anything', 'thing_list', 'the last of try_files'],
     ['/rewritten/things/7', 'thing_get id=<7>', 'a rewrite'],
     ['/rewritten/things/%25%20%C3%A4', "thing_get id=<% \x{e4}>",
      'a rewrite of what is encoded'],
     ['/break/old/7', 'thing_get id=<7>', 'a rewrite in the location'],
     ['/redirected/x', 'thing_list', 'error_page'],
     ['/fallback/things/7', 'thing_get id=<7>',
      'error_page with a named location'],
     ['/regex/v1/things/7', 'thing_get id=<7>', 'a regular expression'],
     ['/exact/things', 'thing_list', 'an exact location'])
{
    my ($path, $shown, $name) = @$_;
    is shown(get($path)), $shown, "$name leads to the operation";
    is $nginx->request(GET => $path)->code, 'token_missing',
        'not without a token';
}

is get('/regex/v2/things')->code, 'path_not_found',
    'what a regular expression lets in beside the prefix is not found';
is get('/bare/things')->code, 'path_not_found',
    'nor what a location lets in beside the document';
is get('/internal/things')->status, 404, 'an internal location is internal';
is get('/quirks')->status, 404, 'a prefix without a slash is another path';

# A redirect inside nginx makes a GET of it: no change is made by one.

is $nginx->request(POST => '/redirected/x', token => $token)->status, 200,
    'a POST that error_page redirects is a GET';


# Subrequests have not been checked: they are refused

my $count = sub { $postgres->value('select count(*) from prov.tenants') };
my $before = $count->();
my $refusals = sub {
    return scalar grep {
        /\[error\].*a subrequest to "[^"]*" is refused: nothing has checked/
    } split /\n/, $nginx->log;
};

my @create = (token => $token, json => { client_name => 'Mirrored',
                                         email => unique_email() });

is $nginx->request(POST => '/proxied-mirror', @create)->status, 200,
    'a request that is mirrored to an operation is answered';
wait_until 'the mirrored one is refused', sub { $refusals->() == 1 };
is $count->(), $before, 'and the mirrored one makes no tenant';

is get('/asking')->status, 500, 'auth_request cannot ask an operation';
is $refusals->(), 2, 'and the log says why';

$nginx->write_file('page.html', 'before <!--# include '
    . 'virtual="/quirks/things" --> after');
$r = get('/page/page.html');
like $r->body, qr/before .* after/s, 'a page is sent';
unlike $r->body, qr/thing_list/, 'with nothing of an operation in it';
is $refusals->(), 3, 'which is refused';

is shown(get('/mirroring/things')), 'thing_list',
    'an operation may be mirrored elsewhere';
is shown(get('/asked/things')), 'thing_list',
    'and may ask somebody else besides';


# "satisfy any" would put another check in place of ours

for (['in the location', locations => "location /any/ { satisfy any; allow "
      . "all; ${\with('/any')} }"],
     ['in the server', server => 'satisfy any; allow all;'],
     ['in a nested location', locations => "location /any/ { ${\with('/any')}"
      . " location /any/things { satisfy any; allow all; } }"],
     ['without an API', locations => 'location /any/ { satisfy any; '
      . 'allow all; provisioning_auth test; }'])
{
    my ($name, @pieces) = @$_;
    my ($accepted, $said) = $nginx->test(@pieces);
    ok !$accepted, "\"satisfy any\" $name is refused";
    like $said, qr/\[emerg\].*"satisfy any" would let .*, use "satisfy all"/,
        'with a sentence that says what to write instead';
}

my ($accepted, $said) = $nginx->test(locations => "location /all/ { "
    . "satisfy all; allow all; ${\with('/all')} }");
ok $accepted, '"satisfy all" is accepted' or diag $said;


# What a path means

for (['/quirks/things', 'thing_list', 'as it is described'],
     ['/quirks/things?', 'thing_list', 'an empty query'],
     ['/quirks/', 'root', 'the root'],
     ['/quirks/things/', '404 path_not_found', 'a slash at the end'],
     ['/quirks//things', 'thing_list', 'two slashes, which nginx merges'],
     ['/quirks/things//7', 'thing_get id=<7>', 'further on, too'],
     ['/quirks/./things', 'thing_list', 'a dot'],
     ['/quirks/x/../things', 'thing_list', 'two dots'],
     ['/x/../quirks/things', 'thing_list', 'two dots before'],
     ['/quirks/things/7/../8', 'thing_get id=<8>', 'two dots at the end'],
     ['/quirks/things/..', 'root', 'two dots as the end'],
     ['/quirks/%74hings', 'thing_list', 'an escaped letter'],
     ['/%71uirks/things/7', 'thing_get id=<7>', 'one in the prefix'],
     ['/quirks/things/special', 'thing_special', 'a literal'],
     ['/quirks/things/%73pecial', 'thing_special', 'an escaped literal'],
     ['/quirks/things/Special', 'thing_get id=<Special>', 'other letters'],
     ['/QUIRKS/things', '404 ', 'another prefix'],
     ['/quirks/things/a%2Fb', 'thing_get id=<a/b>', 'an escaped slash'],
     ['/quirks/things/a%2fparts%2fb', 'thing_get id=<a/parts/b>',
      'it does not part segments'],
     ['/quirks/things%2F7', '404 path_not_found', 'nor here'],
     ['/quirks%2Fthings', 'thing_list', 'but ends the prefix'],
     ['/quirks/things/a%252Fb', 'thing_get id=<a%2Fb>', 'an escaped percent'],
     ['/quirks/things/a%3Fb', 'thing_get id=<a?b>', 'an escaped "?"'],
     ['/quirks/things/a%23b', 'thing_get id=<a#b>', 'an escaped "#"'],
     ['/quirks/things/a%3Bb;c=d', 'thing_get id=<a;b;c=d>', 'semicolons'],
     ['/quirks/things/a+b', 'thing_get id=<a+b>', 'a plus'],
     ['/quirks/things/a%20b', 'thing_get id=<a b>', 'a blank'],
     ['/quirks/things/%C3%A4', "thing_get id=<\x{e4}>", 'UTF-8'],
     ['/quirks/things/%0D%0A', "thing_get id=<\r\n>", 'control characters'],
     ['/quirks/things/...', 'thing_get id=<...>', 'three dots'],
     ['/quirks/things/%2E%2E/things', 'thing_list', 'escaped dots'],
     ['/quirks/things/.%2E%2Fthings', 'thing_list',
      'escaped dots and slashes, which nginx resolves'],
     ['/quirks/things/x%2F..%2F..%2Fthings', 'thing_list',
      'in the middle, too'],
     ['/quirks/things/x%2F%2Fy', '404 path_not_found',
      'slashes that it merges'],
     ['/quirks/a-b_c.d~e/f', 'dashes', 'other characters'],
     ['/quirks/things/1/parts', '404 path_not_found', 'half a path'],
     ['/quirks/things/1/parts/2/3', '404 path_not_found', 'more than a path'],
     ['/quirks/things/%FF', '400 invalid_path', 'no UTF-8'],
     ['/quirks/things/%C0%AF', '400 invalid_path', 'an overlong slash'],
     ['/quirks/things/%ED%A0%80', '400 invalid_path', 'a surrogate'],
     ['/quirks/nothing/%FF', '400 invalid_path', 'no UTF-8 anywhere'],
     ['http://localhost/quirks/things/7', 'thing_get id=<7>', 'a whole URL'],
     ['http://localhost/quirks/things/a%2Fb', 'thing_get id=<a/b>',
      'with an escaped slash'],
     ['/quirks/things/' . 'x' x 1000, 'thing_get id=<' . 'x' x 1000 . '>',
      'a long segment'],
     ['/quirks' . '/x' x 500, '404 path_not_found', 'a path of 500 segments'])
{
    my ($path, $shown, $name) = @$_;
    my $end = length $path > 60 ? '' : " ($path)";
    is shown(get($path)), $shown, "$name$end";
}

is_problem get('/quirks/nothing'), 'a path that is not there is told so', 404,
    'path_not_found', 'There is nothing at this path.';
is_problem get('/quirks/things/%FF'), 'and one that cannot be is told why',
    400, 'invalid_path', 'The path has a bad percent-escape, a NUL, or is not '
    . 'UTF-8.';

# The location and the operation are chosen by the same path: whoever may not
# enter a location does not enter it under another name.

for my $path ('/nested/things/x/../denied', '/nested/things//denied',
    '/nested/things/%64enied', '/nested/things/x%2F..%2Fdenied',
    '/nested/things/./denied')
{
    is get($path)->code, 'forbidden', "$path is denied like what it means";
}

is shown(get('/nested/things/denied%2F..%2Fother')), 'thing_get id=<other>',
    'and what leads out of it means something else';

done_testing;
