#!/usr/bin/perl

# The HTTP client of src/http: what it sends, what it makes of answers, and of
# servers that give none.  Driven by a module of its own, in t/outbound/.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/outbound";
use Provisioning::Test;
use Outbound;
use POSIX ();
use Time::HiRes qw(sleep time);


sub http_date {
    return POSIX::strftime('%a, %d %b %Y %H:%M:%S GMT', gmtime time + $_[0]);
}

# until the client closes
sub for_ever { my ($c, $bytes) = @_; $c->raw($bytes) while 1 }

my %behaves = (
    '/hangs'    => sub { $_[0]->stall },
    '/headers'  => sub { $_[0]->raw("HTTP/1.1 200 OK\r\nX-A: b\r\n"); $_[0]->stall },
    '/half'     => sub { $_[0]->raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
                         $_[0]->stall },
    '/trickles' => sub {
        $_[0]->raw("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
        while (1) { $_[0]->raw('.'); sleep 0.05 }
    },
    '/closes'   => sub { $_[0]->close },
    '/resets'   => sub { $_[0]->reset },
    '/early'    => sub { $_[0]->raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
                         $_[0]->close },
    '/chunk'    => sub { $_[0]->raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                         . "5\r\nhalf"); $_[0]->close },
    '/nonsense' => sub { $_[0]->raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                         . "zz\r\nhalf"); $_[0]->stall },
    '/garbage'  => sub { $_[0]->raw("\x16\x03\0\0garbage\r\n\r\n" x 10);
                         $_[0]->close },
    '/nul'      => sub { $_[0]->raw("HTTP/1.1 200 OK\r\nX-A: \0b\r\n\r\n"); $_[0]->close },
    '/zero'     => sub { $_[0]->raw("HTTP/1.1 000 \r\n\r\n"); $_[0]->close },
    '/http09'   => sub { $_[0]->raw("<html>Hello</html>"); $_[0]->close },
    '/endless/line'   => sub { $_[0]->raw("HTTP/1.1 200 OK\r\nX-A: ");
                               for_ever($_[0], 'a' x 1000) },
    '/endless/lines'  => sub { $_[0]->raw("HTTP/1.1 200 OK\r\n");
                               for_ever($_[0], "X-A: " . 'a' x 100 . "\r\n") },
    '/endless/interim' => sub { for_ever($_[0], "HTTP/1.1 103 Early\r\nX-A: b\r\n\r\n") },
    '/endless/body'   => sub { $_[0]->raw("HTTP/1.1 200 OK\r\n\r\n");
                               for_ever($_[0], 'a' x 10000) },
    '/endless/chunks' => sub { $_[0]->raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                               for_ever($_[0], "a\r\n0123456789\r\n") },
    '/continue' => sub { $_[0]->raw("HTTP/1.1 100 Continue\r\nX-Interim: 1\r\nRetry-After: 9\r\n\r\n");
                         $_[0]->answer(201, 'made', 'X-Final' => 1) },
    '/redirect' => sub { $_[0]->answer(302, '', Location => 'http://127.0.0.1:' . $_[0]->port
                         . '/redirected') },
    '/refresh'  => sub { $_[0]->answer(200, '', Refresh => '0; url=/redirected') },
    '/cookie'   => sub { $_[0]->answer(200, '', 'Set-Cookie' => 'a=b; path=/') },
    '/folded'   => sub { $_[0]->raw("HTTP/1.1 204 None\r\nX-A: b\r\n\tc\r\nX-D: e\r\n\r\n") },
    '/many'     => sub { $_[0]->answer(200, 'ok', (map { ("X-$_" => 'a' x 100) } 1 .. 300),
                         'Retry-After' => 3) },
    '/bytes'    => sub { $_[0]->answer(200, "\0\xff\r\n", 'X-Latin' => "\xe9") },
    '/retry/delta'  => sub { $_[0]->answer(503, '', 'Retry-After' => ' 120 ') },
    '/retry/date'   => sub { $_[0]->answer(503, '', 'retry-after' => http_date(100)) },
    '/retry/past'   => sub { $_[0]->answer(503, '', 'Retry-After' => http_date(-100)) },
    '/retry/long'   => sub { $_[0]->answer(503, '', 'Retry-After' => '9' x 30) },
    '/retry/never'  => sub { $_[0]->answer(503, '', 'Retry-After' => http_date(1e9)) },
    '/retry/junk'   => sub { $_[0]->answer(503, '', 'Retry-After' => 'soon') },
    '/retry/minus'  => sub { $_[0]->answer(503, '', 'Retry-After' => '-5') },
);

my $receiver = receiver(sub {
    my ($c, $request) = @_;

    my $does = $behaves{ $request->{path} };
    return $does->($c, $request) if $does;

    return $c->answer(200, 'a' x $1) if $request->{path} =~ m{^/length/(\d+)};

    $c->answer($request->{path} =~ m{^/status/(\d+)} ? $1 : 200, 'Hello',
        'X-Receiver' => 'yes') if $request->{method} ne 'HEAD';
    $c->raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        if $request->{method} eq 'HEAD';
});

my $nginx = outbound("$OPEN breaker off; timeout 20s; max_response 16k;");

sub url { $receiver->url(@_) }


# What is sent

my $r = send_one($nginx, url => url('/plain?a=b'), body => '{"a":1}',
    headers => ['Content-Type: application/json', 'X-One: two', 'X-None:',
                "X-Tab: a\tb"]);

is $r->{error}, ANSWERED, 'a request is answered' or diag $r->{message};
is $r->{status}, 200, 'with a status';
is $r->{body}, 'Hello', 'a body';
like $r->{headers}, qr/^X-Receiver: yes$/m, 'and headers';
unlike $r->{headers}, qr/HTTP|\r|\n\n|^\n/, 'one a line, and nothing else';
is $r->{message}, '', 'and without a message';

my ($seen) = $receiver->seen('/plain?a=b');
is $seen->{method}, 'POST', 'it came as a POST';
is $seen->{body}, '{"a":1}', 'with its body';
is_deeply [@{ $seen->{headers} }{qw(content-type x-one x-none x-tab)}],
    ['application/json', 'two', '', "a\tb"], 'and its headers';
is_deeply [sort keys %{ $seen->{headers} }], [qw(accept content-length
    content-type host user-agent x-none x-one x-tab)],
    'and none that nobody has asked for';
is $seen->{headers}{'user-agent'}, 'nginx-provisioning', 'it says who we are';

$r = send_one($nginx, url => url('/dots/../x/%2e%2e/y'), method => 'GET');
is_deeply [map { "$_->{method} $_->{path}" } ($receiver->seen)[-1]],
    ['GET /dots/../x/%2e%2e/y'], 'a path is sent as it is written';

for (['GET', undef], ['HEAD', undef], ['DELETE', undef], ['PUT', 'x'],
     ['PATCH', 'x'], ['POST', undef], ['DELETE', 'x'], ['PROPFIND', 'y'])
{
    my ($method, $body) = @$_;
    $r = send_one($nginx, url => url("/method/$method"), method => $method,
        defined $body ? (body => $body) : ());
    my $last = ($receiver->seen)[-1];

    is_deeply [$r->{error}, $last->{method}, $last->{body},
               $last->{headers}{'content-type'}],
        [ANSWERED, $method, defined $body ? $body : '', undef],
        "$method with " . (defined $body ? 'a body' : 'none');
}

# a body that takes more than one write, and no 100-continue
$r = send_one($nginx, url => url('/large'), body => 'x' x 3_000_000);
is +($receiver->seen('/large'))[0]{length}, 3_000_000,
    'a long body arrives';
is +($receiver->seen('/large'))[0]{headers}{expect}, undef,
    'without asking whether it may be sent';

for my $header ("X-A: b\r\nX-B: c", "X-A: b\nHost: x", 'Host: example.com',
    'host : x', 'Content-Length: 0', 'transfer-encoding: chunked',
    'Connection: close', 'Expect: 100-continue', 'no colon', ': x', '',
    'X A: b', "X-\x{e9}: b", 'X-' . 'A' x 300 . ': b')
{
    my $before = $receiver->seen;
    $r = send_one($nginx, url => url('/header'), headers => [$header]);
    is_deeply [$r->{error}, scalar $receiver->seen], [BAD_REQUEST, $before],
        'not sent: ' . ($header =~ s/[\r\n]/ /gr =~ s/\W$//r) =~ s/(.{20}).*/$1/r;
}

for my $method ('', 'get', "GET / HTTP/1.0\r\n", 'G T') {
    is send_one($nginx, url => url('/'), method => $method)->{error},
        BAD_REQUEST, 'nor a method that is none';
}


# Answers

is send_one($nginx, url => url("/status/$_"))->{status}, $_,
    "$_ is an answer" for qw(200 204 304 400 404 410 429 500 503 599);

$r = send_one($nginx, url => url('/continue'), body => 'x');
is_deeply [@$r{qw(error status body retry_after)}], [ANSWERED, 201, 'made', -1],
    'an interim answer is none';
unlike $r->{headers}, qr/Interim/, 'and its headers are not kept';

$r = send_one($nginx, url => url('/redirect'));
is_deeply [@$r{qw(error status)}], [ANSWERED, 302], 'a redirect is an answer';
like $r->{headers}, qr/^Location: http/m, 'which says where to';
send_one($nginx, url => url('/refresh'));
is scalar $receiver->seen('/redirected'), 0, 'and is not followed';

send_one($nginx, url => url('/cookie')) for 1 .. 2;
is scalar(grep { $_->{headers}{cookie} } $receiver->seen), 0,
    'cookies are not sent back';

$r = send_one($nginx, url => url('/folded'));
is $r->{headers}, "X-A: b\nX-D: e\n", 'a folded line is left out';

$r = send_one($nginx, url => url('/many'));
is $r->{error}, ANSWERED, 'many headers are no harm';
cmp_ok length $r->{headers}, '<=', 8192, '8 KiB of them are kept';
cmp_ok length $r->{headers}, '>', 8000, 'and not less';
like $r->{headers}, qr/^X-\d+: a{100}\n\z/m, 'whole lines';
is $r->{retry_after}, 3, 'what matters is read all the same';

$r = send_one($nginx, url => url('/bytes'));
is $r->{length}, 4, 'any bytes are an answer';

for (['delta', 120, 120], ['date', 95, 100], ['past', 0, 0],
     ['long', 604800, 604800], ['never', 604800, 604800], ['junk', -1, -1],
     ['minus', -1, -1])
{
    my ($path, $min, $max) = @$_;
    $r = send_one($nginx, url => url("/retry/$path"));
    ok $r->{retry_after} >= $min && $r->{retry_after} <= $max,
        "Retry-After, $path: between $min and $max s" or diag $r->{retry_after};
}

for ([16384, {}, ANSWERED, 16384], [16385, {}, TOO_LARGE, 16384],
     [16385, { cut => \1 }, ANSWERED, 16384],
     [100, { max_response => 100 }, ANSWERED, 100],
     [101, { max_response => 100 }, TOO_LARGE, 100],
     [100000, { max_response => 70000, cut => \1 }, ANSWERED, 70000],
     [0, {}, ANSWERED, 0])
{
    my ($length, $options, $error, $kept) = @$_;
    $r = send_one($nginx, url => url("/length/$length"), %$options);
    is_deeply [@$r{qw(error length status)}], [$error, $kept, 200],
        "of a body of $length bytes $kept are kept";
}


# Servers that do not answer, or not what they should

for my $path (qw(closes resets early chunk nonsense garbage nul http09)) {
    $r = send_one($nginx, url => url("/$path"));
    is $r->{error}, BROKEN, "broken: $path" or diag explain $r;
    isnt $r->{message}, '', 'the message says how';
}

$r = send_one($nginx, url => url('/zero'));
ok $r->{error} == BROKEN || $r->{error} == ANSWERED, 'a status of 000 is survived';

for my $path (qw(line lines interim body chunks)) {
    $r = send_one($nginx, url => url("/endless/$path"));
    is $r->{error}, ($path eq 'line' ? $r->{error} : TOO_LARGE),
        "too large: endless $path";
    isnt $r->{error}, ANSWERED, 'it is no answer';
    isnt $r->{error}, TIMEOUT, 'and it ends before its time';
}

for my $path (qw(hangs headers half trickles)) {
    my $begun = time;
    $r = send_one($nginx, url => url("/$path"), timeout => 400);
    is $r->{error}, TIMEOUT, "in time: $path";
    cmp_ok time - $begun, '>', 0.35, 'not before it is over';
    cmp_ok $r->{duration}, '>=', 350, 'it says how long it took';
}

# others are not held up meanwhile
my $stuck = background(sub {
    return send_one($nginx, url => url('/hangs'), timeout => 10_000)->{error};
});
wait_until('it hangs', sub { $receiver->seen('/hangs') > 1 });
is send_one($nginx, url => url('/'))->{error}, ANSWERED, 'one that hangs';
is $nginx->request(GET => '/ping')->status, 200, 'holds nobody up';
ok $stuck->under_way, 'as long as it does';
is $stuck->finish(60), TIMEOUT, 'until it has to end';


# Where nobody is

my $nobody = reserve_port();
$r = send_one($nginx, url => "http://127.0.0.1:$nobody/");
is $r->{error}, UNREACHABLE, 'a port that nobody listens on';

$r = send_one($nginx, url => 'http://nobody.invalid/');
is $r->{error}, UNRESOLVED, 'a name that does not exist' or diag explain $r;

is send_one($nginx, url => $_)->{error}, BAD_URL, "no URL: $_"
    for 'ftp://127.0.0.1/', 'http://user@127.0.0.1/', 'http://127.1/', '';


# Connections are used again, and one that has been closed meanwhile is not

my $connections = $receiver->connections;
send_one($nginx, url => url('/again')) for 1 .. 20;
cmp_ok $receiver->connections - $connections, '<=', 1,
    'requests one after the other share a connection';

my @all = send_all($nginx, map { { url => url("/together/$_") } } 1 .. 40);
is_deeply [map { $_->{error} } @all], [(ANSWERED) x 40], 'so do many at once';
cmp_ok $receiver->connections - $connections, '<=', 8,
    'as many as one destination may have';

for my $body ('', 'x') {
    $receiver->stop;
    $receiver = Provisioning::Test::Receiver->new(directory() . "/again$body",
        $receiver->port, sub { $_[0]->answer(200, 'again') });
    $r = send_one($nginx, url => url('/'), body => $body);
    is $r->{body}, 'again', 'a connection that is gone is replaced';
}


# A request that nobody waits for any more

@all = send_all($nginx, { url => url('/'), release_after => 0 },
    { url => url('/') });
is_deeply [map { $_->{released} ? 'released' : $_->{error} } @all],
    ['released', ANSWERED], 'one that is released at once is not sent';

$receiver->stop;
my $silent = receiver(sub { $_[0]->stall });
@all = send_all($nginx, map { { url => $silent->url("/$_"),
    release_after => 100 + $_ } } 1 .. 12);
is scalar(grep { $_->{released} } @all), 12,
    'those that wait and those that run may be released';

$silent->stop;
$silent = receiver(sub { $_[0]->stall });

my $c = $nginx->connection;
$c->send_request(POST => '/send', json => { requests => [
    map { { url => $silent->url('/gone') } } 1 .. 12] });
wait_until('they run', sub { $silent->seen('/gone') == 8 });
is $silent->gone, 0, 'as many as may run, do';
$c->close;
wait_until('they are cancelled', sub { $silent->gone == 8 });
ok 1, 'a client that goes away takes its requests along';

my $other = receiver(sub { $_[0]->answer(200, 'x') });
is send_one($nginx, url => $other->url)->{error}, ANSWERED,
    'others are sent all the same';

done_testing;
