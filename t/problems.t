#!/usr/bin/perl

# Errors: whoever raises them, in a location of ours they are problem
# documents, and a site's error pages do not replace them.  In front of
# anything else, where only the token is checked, the site's pages count, and
# what a proxied server says is left alone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Operations;
use Provisioning::Test::Problem;

my $postgres = postgres();
my $closed = reserve_port();
my $api = operations($postgres,
    fine   => { function => "status := 200; body := '{}';" },
    broken => { function => "status := 0;" },
    miss   => { function =>
                q[status := 404; body := '{"code": "x", "detail": "y"}';] },
    take   => { method => 'post', body => {},
                function => "status := 200; body := '{}';" },
);

my (undef, $nginx) = gateway(postgres => $postgres, http => <<'END',
    error_page 400 401 403 404 405 406 413 415 500 502 503 504 /error.html;
    limit_req_zone $binary_remote_addr zone=slow:1m rate=1r/m;
    limit_conn_zone $binary_remote_addr zone=few:1m;

    server {
        listen unix:%%DIR%%/backend.sock;
        access_log off;

        location / {
            add_header X-Request-Id backend;
            return 200 "partner=$http_x_partner";
        }

        location /missing {
            add_header Content-Type text/x-backend;
            return 404 "the backend has nothing";
        }

        location /fails {
            return 500 "the backend failed";
        }
    }
END
    locations => $api->location('client_max_body_size 100;')
        . $api->location_at('/paged', 'error_page 404 405 500 =200 /error.html;'
            . 'error_page 401 403 @error;')
        . $api->location_at('/deny', 'deny all;')
        . $api->location_at('/returns',
            'if ($arg_code = 403) { return 403; }'
            . 'if ($arg_code = 404) { return 404; }'
            . 'if ($arg_code = 410) { return 410; }'
            . 'if ($arg_code = 418) { return 418; }'
            . 'if ($arg_code = 429) { return 429; }'
            . 'if ($arg_code = 500) { return 500; }'
            . 'if ($arg_code = 502) { return 502; }'
            . 'if ($arg_code = 503) { return 503; }'
            . 'if ($arg_code = 507) { return 507; }')
        . $api->location_at('/text', 'return 403 "a text of its own";')
        . $api->location_at('/slow', 'limit_req zone=slow;')
        . $api->location_at('/slower', 'limit_req zone=slow;'
            . 'limit_req_status 429; add_header Retry-After 60 always;')
        . $api->location_at('/ask', 'auth_request /refuse;')
        . $api->location_at('/fails', 'auth_request /broken;')
        . <<"END");
    location = /error.html {
        internal;
        default_type text/html;
        return 200 "the site's page";
    }

    location \@error {
        return 200 "the site's page";
    }

    location = /refuse {
        return 401;
    }

    location = /broken {
        return 500;
    }

    location /guarded/ {
        provisioning_auth test;
        error_page 401 /login.html;
        error_page 403 = \@denied;
        error_page 502 =200 /login.html;
        proxy_pass http://unix:%%DIR%%/backend.sock:/;
        proxy_set_header X-Partner \$provisioning_partner;

        location /guarded/denied {
            provisioning_require role=nobody;
        }

        location /guarded/unreachable {
            proxy_pass http://127.0.0.1:$closed;
        }
    }

    location = /login.html {
        default_type text/html;
        return 200 "log in here";
    }

    location \@denied {
        default_type text/html;
        return 451 "ask somebody";
    }

    # the page itself is in a location that wants a token

    location /own/ {
        provisioning_auth test;
        error_page 403 /own/page;
        error_page 401 /own/login;
            alias %%DIR%%/;

        location = /own/page {
            alias %%DIR%%/page.html;
        }

        location = /own/denied {
            provisioning_require role=nobody;
        }
    }

    location /plain/ {
        provisioning_auth test;
        error_page 599 /none;
        proxy_pass http://unix:%%DIR%%/backend.sock:/;

        location /plain/denied {
            provisioning_require role=nobody;
            proxy_pass http://unix:%%DIR%%/backend.sock:/;
        }

        location /plain/unreachable {
            proxy_pass http://127.0.0.1:$closed;
        }

        location /plain/files/ {
            alias %%DIR%%/nothing/;
        }
    }
END

$nginx->write_file('page.html', 'not for you');

my $token = token();

sub get {
    my ($path, %o) = @_;
    return $nginx->request(GET => $path, token => $token, %o);
}

my $missing = 'Send a token in the header "Authorization: Bearer <token>".';
my $internal = 'The gateway failed. Report the request_id to its operator.';


# The site's error pages, inherited or not, are not for an API

is get('/somewhere/else')->body, "the site's page",
    'elsewhere the site has a page of its own';

for my $where ('/quirks', '/paged') {
    is_problem $nginx->request(GET => "$where/fine"),
        "401 is a problem document in $where/", 401, 'token_missing',
        $missing;
    is_problem get("$where/fine", token => token(roles => [])), 'so is 403',
        403, 'permission_denied', 'The operation requires the permission '
        . '"quirk:use", which none of the caller\'s roles grants.';
    is_problem get("$where/nothing"), 'and 404', 404, 'path_not_found',
        'There is nothing at this path.';
    is_problem get("$where/miss"), 'and one of a function', 404, 'x', 'y';
    is_problem $nginx->request(PUT => "$where/fine", token => $token),
        'and 405', 405, 'method_not_allowed',
        'This path does not support the method; it supports GET, HEAD.';
    is_problem get("$where/broken"), 'and 500', 500, 'internal_error',
        $internal;
}

is_problem get('/quirks/fine', headers => { Accept => 'x/y' }), 'and 406',
    406, 'not_acceptable', 'The response is application/json, which the '
    . 'Accept header does not allow.';
is_problem $nginx->request(POST => '/quirks/take', token => $token,
        headers => { 'Content-Type' => 'application/json' },
        body => 'x' x 101),
    'and 413', 413, 'body_too_large',
    'The request body is larger than is accepted here.';
is_problem $nginx->request(POST => '/quirks/take', token => $token,
        headers => { 'Content-Type' => 'application/json' }, body => '{'),
    'and 400', 400, 'invalid_json', 'The body is not acceptable JSON, at '
    . 'line 1, column 1: the text ends in the middle of a value.';
is_problem $nginx->request(POST => '/quirks/take', token => $token,
        body => '{'),
    'and 415', 415, 'unsupported_media_type', 'The body must be UTF-8 JSON '
    . 'with the Content-Type application/json.';


# What other modules of nginx refuse

is_problem get('/deny/fine'), 'what "deny" refuses is a problem document',
    403, 'forbidden', 'Access to this path is not allowed.';

for ([403, 'forbidden', 'Access to this path is not allowed.'],
     [404, 'not_found', 'There is nothing at this path.'],
     [410, 'gone', 'What was at this path is no longer there.'],
     [418, 'error', 'The request failed.'],
     [429, 'too_many_requests', 'Too many requests; slow down.'],
     [500, 'internal_error', $internal],
     [502, 'bad_gateway',
      'What stands behind the gateway gave no valid answer.'],
     [503, 'service_unavailable',
      'The service cannot answer now; try again later.'])
{
    my ($status, $code, $detail) = @$_;
    my $r = get("/returns/fine?code=$status");
    is_problem $r, "\"return $status\" is one", $status, $code, $detail;
    is $r->header('Retry-After'), $status == 503 ? '1' : undef,
        $status == 503 ? 'which says when to come again'
                       : 'without Retry-After';
}

is get('/text/fine')->body, 'a text of its own',
    'a "return" with a text is what its author wants';

is get('/slow/fine')->status, 200, 'a request within limit_req is served';
my $r = get('/slow/fine');
is_problem $r, 'one beyond it is a problem document', 503,
    'service_unavailable', 'The service cannot answer now; try again later.';
is $r->header('Retry-After'), '1', 'which says when to come again';
$r = get('/slower/fine');
is_problem $r, 'with limit_req_status, too', 429, 'too_many_requests',
    'Too many requests; slow down.';
is $r->header('Retry-After'), '60', 'and what add_header says';

is_problem get('/ask/fine'), 'what auth_request refuses is one', 401,
    'unauthorized', 'The request needs credentials.';
is_problem get('/fails/fine'), 'and so is it when that fails', 500,
    'internal_error', $internal;
is $nginx->request(GET => '/ask/fine')->code, 'token_missing',
    'both checks must be passed';


# The check alone, with error pages: they are the site's

$r = get('/guarded/anything');
is $r->body, 'partner=acme', 'with a token the proxied server is reached';
my @ids = $r->header_values('X-Request-Id');
is scalar(@ids), 1, 'and the response has one request id';
isnt $ids[0], 'backend', 'the gateway\'s';

$r = $nginx->request(GET => '/guarded/anything');
is_deeply [$r->status, $r->type, $r->body, $r->header('WWW-Authenticate')],
    [401, 'text/html', 'log in here', 'Bearer realm="provisioning"'],
    'without one the site has its page, and the client its challenge';
is $nginx->request(POST => '/guarded/anything', body => 'x')->body,
    'log in here', 'for a POST, too';

$r = get('/guarded/denied');
is_deeply [$r->status, $r->body], [451, 'ask somebody'],
    'without the role it has another one, with a status of its own';
is get('/guarded/unreachable')->body, 'log in here',
    'and one for what the proxied server does not do';

$r = get('/guarded/missing');
is_deeply [$r->status, $r->type, $r->body],
    [404, 'text/plain', 'the backend has nothing'],
    'what the proxied server says is left alone';

$r = get('/own/denied');
is_deeply [$r->status, $r->body], [403, 'not for you'],
    'a page in a location that wants a token is sent to who has one';
is_problem $nginx->request(GET => '/own/denied'),
    'and is a problem document for who has none', 401, 'token_missing',
    $missing;


# The check alone, without error pages

is_problem $nginx->request(GET => '/plain/anything'),
    'without error pages there is a problem document', 401, 'token_missing',
    $missing;
$r = get('/plain/denied');
is_problem $r, 'for a missing role, too', 403, 'permission_denied',
    'None of the caller\'s roles gives access to this path.';
is $r->header('WWW-Authenticate'),
    'Bearer realm="provisioning", error="insufficient_scope"',
    'with its challenge';
is_problem get('/plain/unreachable'), 'and where no server answers', 502,
    'bad_gateway', 'What stands behind the gateway gave no valid answer.';
is_problem get('/plain/files/x'), 'and where no file is', 404, 'not_found',
    'There is nothing at this path.';
is get('/plain/missing')->body, 'the backend has nothing',
    'but what a proxied server says is left alone';
is get('/plain/fails')->body, 'the backend failed', 'whatever it says';

$r = $nginx->request(HEAD => '/plain/anything');
is_deeply [$r->status, $r->type, $r->body],
    [401, 'application/problem+json', ''], 'HEAD has no body here, either';

done_testing;
