#!/usr/bin/perl

# Rate limits: whose requests are counted, when, what is answered beyond a
# limit, what every answer says of it, and that all workers, an internal
# redirect and a reload count as one.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Problem;

use Digest::SHA qw(sha256_hex);
use JSON::PP ();
use Time::HiRes qw(sleep time);

# Limits that are to be counted exactly get one request back in an hour: no
# machine is so slow that it matters.

my %location = (
    caller   => 'provisioning_limit caller rate=1r/h burst=3;',
    partner  => 'provisioning_limit partner rate=1r/h burst=3 key=partner;',
    address  => 'provisioning_limit address rate=1r/h burst=3 key=address;',
    value    => 'provisioning_limit value rate=1r/h burst=2 key=$arg_k;',
    steady   => 'provisioning_limit steady rate=20r/s burst=40;',
    waiting  => 'provisioning_limit waiting rate=40r/m burst=1;',
    h2       => 'provisioning_limit h2 rate=1r/h burst=3;',
    shared   => 'provisioning_limit shared rate=1r/h burst=50;',
    small    => 'provisioning_limit small rate=1r/h burst=1 key=$arg_k;',
    tried    => 'provisioning_limit tried rate=1r/h burst=2 dry_run;'
        . ' add_header X-Limited $provisioning_limited always;',
    several  => 'provisioning_limit several_c rate=1r/h burst=2;'
        . ' provisioning_limit several_p rate=1r/h burst=3 key=partner;'
        . ' add_header X-Limited $provisioning_limited always;',
    once     => 'provisioning_limit once rate=1r/h burst=100;'
        . ' provisioning_limit once_a rate=1r/h burst=100 key=address;',
    secret   => 'provisioning_require role=nobody-has-it;'
        . ' provisioning_limit secret rate=1r/h burst=3;',
    keys     => 'provisioning_limit keys rate=1r/h burst=2;'
        . ' provisioning_limit keys_p rate=1r/h burst=9 key=partner;'
        . ' provisioning_limit keys_a rate=1r/h burst=9 key=address;',
    proxied  => 'provisioning_limit proxied rate=1r/h burst=3;'
        . ' proxy_pass http://127.0.0.1:%%PORT%%/own/;',
);

sub zones {
    my (%size) = @_;
    return join "\n", 'provisioning_limit_zone server 1m;',
        'provisioning_limit_zone api 1m;',
        map { "provisioning_limit_zone $_ " . ($size{$_} || '1m') . ';' }
            map { $location{$_} =~ /provisioning_limit (\w+)/g }
            sort keys %location;
}

my $http = <<'END' . zones(small => '32k');

    provisioning_issuer other {
        iss https://other.test/;
        audience %%AUDIENCE%%;
        jwks %%JWKS%%;
    }

    set_real_ip_from 127.0.0.1;
    real_ip_header X-Real-Ip;
END

my $file = 'root %%DIR%%/www; try_files /file =404;';

my $locations = join "\n", (map { "location /$_/ { provisioning_auth test other keys=tenants;"
    . " $location{$_} " . ($_ eq 'proxied' ? '' : $file) . ' }' }
    sort keys %location), <<'END';

    location /own/ {
        add_header RateLimit '"upstream";r=9;t=9';
        root %%DIR%%/www;
        try_files /file =404;
    }
END

# internal redirects and subrequests, which all lead to the same limits

$locations .= <<"END";
    location /redirect/ {
        provisioning_auth test;
        $location{once}
        proxy_pass http://127.0.0.1:%%PORT%%/accel/;
    }
    location /accel/ {
        add_header X-Accel-Redirect /once/;
        return 200;
    }
    location /page/ {
        provisioning_auth test;
        $location{once}
        root %%DIR%%/www;
        try_files /nothing =404;
        error_page 404 =200 /once/;
    }
    location /fallback/ {
        provisioning_auth test;
        $location{once}
        root %%DIR%%/www;
        try_files /nothing /once/;
    }
    location /asked/ {
        provisioning_auth test;
        $location{once}
        auth_request /once/;
        mirror /once/;
        root %%DIR%%/www;
        try_files /file =404;
    }
    location /missed/ {
        provisioning_auth test;
        $location{once}
        error_page 404 /static/;
        root %%DIR%%/www;
        try_files /nothing =404;
    }
    location /static/ {
        root %%DIR%%/www;
        try_files /file =404;
    }
END

my $postgres = postgres();
my $nginx = nginx(postgres => $postgres, start => 0, workers => 4,
    http => $http, locations => $locations,
    server => 'provisioning_limit server rate=1r/h burst=9 key=partner;',
    api => 'provisioning_limit api rate=1r/h burst=100;',
    events => 'accept_mutex off;');

mkdir $nginx->directory . '/www' or die $!;
$nginx->write_file('www/file', 'here');
$nginx->start;
$nginx->ready;


# A request of its own caller, unless the test says whose it is.

sub ask {
    my ($path, %o) = @_;

    my $token = exists $o{token} ? delete $o{token}
        : token(map { $_ => delete $o{$_} } grep { exists $o{$_} }
                qw(sub partner iss));
    my $method = delete $o{method} || 'GET';

    return $nginx->request($method => $path,
        (defined $token ? (token => $token) : ()), %o);
}

# Many requests of one caller, fast: nginx keeps a connection for a thousand.

my $kept;

sub again {
    my ($path) = @_;

    $kept ||= $nginx->connection;
    $kept->send_request(GET => $path, token => token(), keep => 1);

    my $r = $kept->read_response;
    undef $kept if lc($r->header('Connection') || '') eq 'close';

    return $r;
}

sub statuses { join ' ', map { $_->status } @_ }


# An item of the header RateLimit or RateLimit-Policy (RFC 8941), as a hash.

sub items {
    my ($r, $name) = @_;
    my @values = $r->header_values($name);
    return if @values != 1;

    my %item;
    for (split /, /, $values[0]) {
        /\A"([\w.-]+)"((?:;[a-z]=\d+)+)\z/ or return { bad => $values[0] };
        $item{$1} = { map { split /=/ } grep { length } split /;/, $2 };
    }

    return \%item;
}

sub left {
    my ($r, $policy) = @_;
    my $items = items($r, 'RateLimit') || return 'none';
    return defined $items->{$policy} ? $items->{$policy}{r} : 'none';
}


# By caller, and what an answer says

my @r = map { ask('/caller/') } 1 .. 5;
is statuses(@r), '200 200 200 429 429',
    'a caller gets a burst, and then no more';
is join(' ', map { left($_, 'caller') } @r), '2 1 0 0 0',
    'each answer says what is left';
is $r[0]->header('RateLimit-Policy'), '"caller";q=3;w=10800',
    'and of how much';
my $t = items($r[0], 'RateLimit')->{caller}{t};
ok $t > 3000 && $t <= 3601, 'and when it will be whole again' or diag $t;
is_problem $r[3], 'beyond it there is a problem', 429, 'rate_limited',
    qr/\AToo many requests of this caller: the limit "caller" has no room\. Try again in \d+ seconds\.\z/;
my $after = $r[3]->header('Retry-After');
ok $after > 3000 && $after <= 3601, 'that says when to try again';
is items($r[3], 'RateLimit')->{caller}{t}, $after,
    'at the same time as RateLimit';
is $r[3]->header('WWW-Authenticate'), undef, 'a token would not help';

is ask('/caller/', sub => 'another')->status, 200,
    'another caller has a bucket of its own';
is ask('/caller/', iss => 'https://other.test/')->status, 200,
    'and so has one of the same name at another issuer';
is ask('/caller/', partner => 'globex')->status, 429,
    'the same one for another partner has not';

@r = map { ask('/caller/', token => $_) } undef, 'bad', token(exp => 1);
is statuses(@r), '401 401 401', 'who is nobody is told so, not limited';
is $r[0]->header('RateLimit-Policy'), '"caller";q=3;w=10800',
    'and told which limits there are';
is $r[0]->header('RateLimit'), undef, 'but there is none of it to tell';

@r = map { ask('/secret/') } 1 .. 4;
is statuses(@r), '403 403 403 429', 'who may not is counted all the same';
is left($r[0], 'secret'), 2, 'and told what is left';

@r = ask('/proxied/');
is left($r[0], 'proxied'), 2, 'a proxied server\'s own header is replaced';


# By partner

@r = (ask('/partner/', sub => 'a'), ask('/partner/', sub => 'b'),
      ask('/partner/', sub => 'c', partner => 'ACME'),
      ask('/partner/', sub => 'd'));
is statuses(@r), '200 200 200 429', 'the callers of a partner share a bucket';
like $r[3]->json->{detail}, qr/of this partner: the limit "partner"/,
    'and are told so';
is ask('/partner/', partner => 'globex')->status, 200,
    'another partner has its own';
@r = map { ask('/partner/', partner => undef) } 1 .. 5;
is statuses(@r), '200 200 200 200 200', 'who has no partner is not counted';


# By API key

my @keys = map {
    $nginx->request(POST => '/api/provisioning/api-keys',
        token => token(sub => 'maker'),
        json => { name => "key $_", scopes => ['tenant:read'] })->json->{key}
} 1, 2;

@r = map { ask('/keys/', token => $_) } ($keys[0]) x 3, $keys[1];
is statuses(@r), '200 200 429 200', 'each API key has a bucket of its own';
is join(' ', map { left($_, 'keys_p') } @r), '8 7 none 6',
    'and shares that of its partner';

# one of the right form, that nobody has been given, is looked up

my $guess = substr $keys[0], 0, -8;
$guess =~ s/(.)\z/$1 eq 'a' ? 'b' : 'a'/e;
$guess .= substr sha256_hex($guess), 0, 8;

@r = map { ask('/keys/', token => $guess) } 1 .. 6;
is statuses(@r), '401 401 401 401 401 429',
    'guesses of keys are counted by their address';
is $r[4]->code, 'key_invalid', 'as long as they are looked up';


# By address, before authentication

@r = map { ask('/address/', token => 'guess') } 1 .. 4;
is statuses(@r), '401 401 401 429', 'guesses are counted by their address';
is left($r[0], 'address'), 2, 'and told what is left';
is ask('/address/')->status, 429, 'a good token comes too late, then';
is $r[3]->header('WWW-Authenticate'), undef,
    'beyond the limit no token is looked at';

sub from { ask('/address/', headers => { 'X-Real-Ip' => $_[0] }) }

is statuses(map { from($_) } '10.0.0.1', '10.0.0.1', '::ffff:10.0.0.1',
            '10.0.0.1'), '200 200 200 429',
    'an IPv4 address is one, also in IPv6';
is from('10.0.0.2')->status, 200, 'the next one is another';
is statuses(map { from("2001:db8:1:2::$_") } 1 .. 4), '200 200 200 429',
    'an IPv6 address is known by its first 64 bits';
is from('2001:db8:1:3::1')->status, 200, 'which are another\'s here';


# By a value

is statuses(map { ask('/value/?k=a', sub => "caller-$_") } 1 .. 3),
    '200 200 429', 'any value can be what is counted';
is ask('/value/?k=b')->status, 200, 'each on its own';
is ask('/value/?k=' . 'long' x 1000)->status, 200, 'of any length';
is statuses(map { ask('/value/') } 1 .. 4), '200 200 200 200',
    'an empty one is not';


# Several

@r = map { ask('/several/', sub => 'first') } 1 .. 6;
is statuses(@r), '200 200 429 429 429 429', 'of several limits one is enough';
is_deeply [sort keys %{ items($r[0], 'RateLimit') }],
    ['several_c', 'several_p'], 'an answer has all of them';
is $r[0]->header('RateLimit-Policy'),
    '"several_c";q=2;w=7200, "several_p";q=3;w=10800', 'the policies, too';
is $r[2]->header('X-Limited'), 'several_c',
    '$provisioning_limited names the one that had no room';
is $r[0]->header('X-Limited'), undef, 'and is empty otherwise';
@r = map { ask('/several/', sub => 'second') } 1 .. 3;
is statuses(@r), '200 429 429', 'what one has refused costs the others nothing';
is join(' ', map { left($_, 'several_c') . left($_, 'several_p') } @r),
    '10 10 10', 'neither the one before nor the one after it';


# Only to see

@r = map { ask('/tried/') } 1 .. 4;
is statuses(@r), '200 200 200 200', 'a limit with dry_run lets everybody in';
is join(' ', map { $_->header('X-Limited') || '-' } @r), '- - tried tried',
    'and says whom it would not have';
is_deeply [map { $r[3]->header($_) } 'RateLimit', 'RateLimit-Policy'],
    [undef, undef], 'but not to them';


# Once, whatever nginx does with a request

my $sent = 0;
for my $way (qw(once redirect page fallback asked missed)) {
    my $r = ask("/$way/");
    is $r->status, $way eq 'missed' ? 404 : 200, "/$way/ is answered";
    is_deeply [left($r, 'once'), left($r, 'once_a')], [(99 - $sent++) x 2],
        'and counted once';
    is_deeply items($r, 'RateLimit-Policy'),
        { once => { q => 100, w => 360000 },
          once_a => { q => 100, w => 360000 } }, 'and its policies are told';
}


# On an API

my $path = '/api/provisioning/tenants';
my @answers = (
    [200, $path],
    [404, "$path/00000000-0000-7000-8000-000000000000"],
    [400, "$path?limit=0"],
    [406, $path, headers => { Accept => 'text/html' }],
    [201, $path, method => 'POST', json => { client_name => 'Limited',
                                             email => unique_email() }],
    [400, $path, method => 'POST', json => {}],
    [415, $path, method => 'POST', body => 'x'],
    [403, $path, partner => 'nobody'],
);

my $n = 100;
for (@answers) {
    my ($status, $where, %o) = @$_;
    my $r = ask($where, %o);
    is $r->status, $status, "$where is answered $status";
    is left($r, 'api'), --$n, 'and counted';
}

for ([404, '/api/provisioning/nothing'], [405, $path, method => 'DELETE'],
     [401, $path, token => undef], [200, '/api/provisioning/openapi.json'])
{
    my ($status, $where, %o) = @$_;
    my $r = ask($where, %o);
    is $r->status, $status, "$where is answered $status";
    is_deeply [left($r, 'api'), items($r, 'RateLimit-Policy')],
        ['none', { api => { q => 100, w => 360000 } }],
        'which counts nobody, but says what there is';
}

ask($path) for 1 .. $n;
my $r = ask($path, method => 'POST', json => { client_name => 'x' },
    headers => { Expect => '100-continue' });
is_problem $r, 'a change beyond the limit is refused', 429, 'rate_limited',
    qr/this caller/;
is scalar(() = $r->interim), 0, 'and its body is not asked for';

my $document = ask('/api/provisioning/openapi.json')->json;
my (@without, $operations);

for my $where (sort keys %{ $document->{paths} }) {
    for my $method (sort keys %{ $document->{paths}{$where} }) {
        my $operation = $document->{paths}{$where}{$method};

        next if ref $operation ne 'HASH' || !$operation->{operationId}
            || $operation->{security} && !@{ $operation->{security} };
        $operations++;
        push @without, "$method $where" unless $operation->{responses}{429};
    }
}

ok $operations, 'the document has operations that need a token';
is_deeply \@without, [], 'each of them can be answered 429';
my $ref = $document->{paths}{'/tenants'}{get}{responses}{429}{'$ref'} || '';
$ref =~ s{\A#/components/responses/}{};
my $described = $document->{components}{responses}{$ref};
is_deeply [sort keys %{ $described->{headers} }],
    [sort grep { /^(?:X-Request-Id|Retry-After|RateLimit)/ } $r->header_names],
    'with the headers that are really sent';
my ($example) = values %{
    $described->{content}{'application/problem+json'}{examples} };
is_deeply [sort keys %{ $example->{value} }], [sort keys %{ $r->json }],
    'and an example of what is really sent';


# Elsewhere

is ask('/health/live')->header('RateLimit-Policy'), '"server";q=9;w=32400',
    'the limits of a server are those of its locations';
is_deeply [map { ask('/static/')->header($_) } 'RateLimit', 'RateLimit-Policy'],
    [undef, undef], 'but of those only that are for us to let in';


# A burst, then a steady rate

sub steady {
    my ($seconds) = @_;
    my ($passed, $first, $empty) = (0);
    my $began = time;

    # until all is taken of what there was in the end

    do {
        my $before = time;
        $empty = again('/steady/')->status != 200;
        $passed++ unless $empty;
        $first = $before if $empty && !defined $first;
    } until $empty && time > $first + $seconds;

    return ($passed, time - $began);
}

my ($passed, $seconds) = steady(1.5);
cmp_ok $passed, '<=', 40 + 20 * ($seconds + 0.02),
    'a burst and the rate is all that passes';
cmp_ok $passed, '>=', 40 + 20 * 1.5 * 0.5,
    'and what the rate gives is there to take';


# Retry-After is true

is ask('/waiting/')->status, 200, 'there is one';
wait_until 'there is none', sub { ($r = ask('/waiting/'))->status == 429 };
$after = $r->header('Retry-After');
ok $after >= 1 && $after <= 2, 'after a second or two there is one again';
sleep $after;
is ask('/waiting/')->status, 200, 'and so it is';


# HTTP/2, with a client that is not ours

my $output = join "\n", map {
    open my $in, '-|', 'curl', '--silent', '--include',
        '--http2-prior-knowledge', '--max-time', $Provisioning::Test::patience,
        '--header', 'Authorization: Bearer ' . token(),
        'http://127.0.0.1:' . $nginx->h2_port . '/h2/'
        or die "curl: $!";
    local $/;
    <$in>;
} 1 .. 4;

is join(' ', $output =~ m{^HTTP/2 (\d+)}mg), '200 200 200 429',
    'over HTTP/2 it is the same';
is join(' ', $output =~ /^ratelimit: "h2";r=(\d+);t=\d+\r$/mg), '2 1 0 0',
    'and said in the same words';
like $output, qr/^retry-after: \d+\r$/m, 'with the time';


# Several workers

my @jobs = map {
    background(sub {
        my %count;
        $count{ $nginx->request(GET => '/shared/', token => token())->status }++
            for 1 .. 25;
        return \%count;
    })
} 1 .. 6;
my %count;
for my $result (map { $_->finish } @jobs) {
    $count{$_} += $result->{$_} for keys %$result;
}

is scalar(my @workers = $nginx->workers), 4, 'four workers';
is_deeply \%count, { 200 => 50, 429 => 100 },
    'let in one burst together, not one more or less';


# A zone that is full

is statuses(map { ask('/small/?k=first') } 1 .. 2), '200 429',
    'a small zone remembers';
for my $k (1 .. 60) {
    ask("/small/?k=$k");
}
is statuses(ask('/small/?k=first'), map { ask("/small/?k=$_") } 1 .. 3),
    '429 429 429 429', 'as long as there is room';
unlike $nginx->log, qr/"small" is full/, 'and has nothing to say';

is scalar(grep { again("/small/?k=$_")->status != 200 } 61 .. 600), 0,
    'who is new is let in';
is statuses(map { ask("/small/?k=$_") } 600, 599, 580), '429 429 429',
    'when it is full it remembers the last ones';
is ask('/small/?k=first')->status, 200, 'and forgets the first';
my @full = $nginx->log =~ /\[warn\].*"small" is full: .* give the zone more than 32768 bytes/g;
is scalar(@full), 1, 'the log says so once';


# A reload

sub reloaded {
    my (%o) = @_;
    $nginx->configure(%o);
    my @old = $nginx->reload;
    wait_until 'the old workers have left',
        sub { !grep { kill 0, $_ } @old };
    $nginx->ready;
    return;
}

reloaded();
is statuses(map { ask($_) } '/caller/', '/shared/', '/h2/'), '429 429 429',
    'a reload forgets nobody';
is ask('/small/?k=600')->status, 429, 'in small zones neither';

reloaded(locations => $locations =~ s/h2 rate=1r\/h burst=3/h2 rate=2r\/h burst=5/r);
is statuses(map { ask('/h2/') } 1 .. 3), '200 200 429',
    'with a larger burst there is so much more';
is ask('/h2/')->header('RateLimit-Policy'), '"h2";q=5;w=9000',
    'and another policy';

reloaded(http => $http =~ s/(provisioning_limit_zone caller) 1m/$1 2m/r);
is ask('/caller/')->status, 200, 'a zone of another size begins anew';
is ask('/shared/')->status, 429, 'the others do not';

my $before = ask('/caller/');
$nginx->allow(qr/\[emerg\].*unknown zone "nowhere"/);
$nginx->configure(api => 'provisioning_limit nowhere rate=1r/s;');
kill 'HUP', $nginx->pid;
wait_until 'the configuration is refused', sub {
    $nginx->log =~ /unknown zone "nowhere"/;
};
is left(ask('/caller/'), 'caller'), left($before, 'caller') - 1,
    'a configuration that is refused changes nothing';


# A worker that dies leaves what it has counted

my ($victim) = $nginx->workers;
$nginx->allow(qr/worker process $victim exited on signal 9/);
kill 'KILL', $victim;
wait_until 'another worker is there', sub {
    @workers = $nginx->workers;
    @workers == 4 && !grep { $_ == $victim } @workers;
};
is ask('/shared/')->status, 429, 'when a worker dies nothing is forgotten';

done_testing;
