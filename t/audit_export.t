#!/usr/bin/perl

# GET /audit/export: any number of entries in one response, in a worker whose
# memory does not grow; and what happens when the reader is slow or leaves,
# or the database goes away in the middle.
#
# harness: alone

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::HTTP2;
use Provisioning::Test::Operations;
use Provisioning::Test::Problem;

use JSON::PP ();
use Socket qw(SOL_SOCKET SO_RCVBUF);

# a sanitizer's own memory is another matter

my $sanitized = $ENV{PROV_TEST_SANITIZED};
my $ENTRIES = $sanitized ? 20_000 : 200_000;

my $postgres = postgres();
my $api = operations($postgres,
    pages => {
        stream   => 1,
        parameters => [{ name => 'n', in => 'query',
                         schema => { type => 'string' } }],
        function => <<'SQL',
            status := 200;
            body := to_json(coalesce(ctx ->> 'page', 'first') || E'\n');
            headers := case params ->> 'n'
                when 'empty' then jsonb_build_object('Next-Page',
                    case when ctx ->> 'page' is null
                        then 'a "b" ' || chr(228) end)
                when 'cookie' then '{"Set-Cookie": "a=b"}'
                when 'break' then '{"Content-Type": "text/plain\r\nX: y"}'
                else jsonb_build_object('Content-Type', 'text/plain',
                    'Next-Page', case ctx ->> 'page' when '3' then null
                        else (coalesce((ctx ->> 'page')::int, 0) + 1)::text end)
                end;
            if params ->> 'n' = 'empty' and ctx ->> 'page' is null then
                body := '""';
            end if;
            if params ->> 'n' = 'miss' then
                status := 404;
                body := '{"code": "x", "detail": "y"}';
                headers := null;
            end if;
            if params ->> 'n' = 'late' and ctx ->> 'page' = '2' then
                status := 404;
                body := '{"code": "x", "detail": "y"}';
            end if;
            if params ->> 'n' = 'raise' and ctx ->> 'page' = '2' then
                raise exception 'no';
            end if;
SQL
    });
my (undef, $nginx) = gateway(postgres => $postgres,
    locations => $api->location,
    database => 'connections 2; queue 64 timeout=20s;',
    api => 'send_timeout 10m; sendfile off;');
my $export = '/api/provisioning/audit/export';
my $token = token();

# the database goes away and functions fail, here
$postgres->allow(qr/ P0001 |FATAL|connection to client lost/);


# Sends a request; what it returns reads the response as slowly as it is asked.

sub ask {
    my ($path, %o) = @_;
    my $connection = $nginx->connection;
    my $socket = $connection->socket;

    setsockopt $socket, SOL_SOCKET, SO_RCVBUF, 16384 if $o{narrow};
    my $version = $o{version} || '1.1';
    $connection->write(($o{method} || 'GET') . " $path HTTP/$version\r\n"
        . "Host: x\r\nAuthorization: Bearer $token\r\n"
        . "Connection: close\r\n\r\n");
    return { connection => $connection, socket => $socket, text => '',
             lines => 0, bytes => 0 };
}

# Reads until the end, or as many bytes; counts the entries.

sub take {
    my ($reader, $most) = @_;
    my $taken = 0;

    while (!defined $most || $taken < $most) {
        my $n = sysread $reader->{socket}, my $part, 65536;
        $reader->{reset} = 1 if !defined $n;
        $reader->{ended} = 1, last if !$n;
        $taken += $n;
        $reader->{bytes} += $n;
        $reader->{text} .= $part;
        $reader->{lines} += () = $reader->{text} =~ /"audit" : "/g;
        $reader->{head} = $1 if $reader->{text} =~ s/\A(HTTP.*?\r\n\r\n)//s;
        $reader->{text} = substr $reader->{text}, -10
            if length $reader->{text} > 10 && !$reader->{whole};
        $reader->{text} =~ s/"audit" : "/-/g;
    }
    return $reader;
}

sub whole { $_[0]{text} =~ /\r\n0\r\n\r\n\z/ }

sub memory {
    my ($worker) = $nginx->workers;
    open my $status, '<', "/proc/$worker/status" or die "status: $!";
    my ($rss) = map { /^VmRSS:\s+(\d+) kB/ } <$status>;
    return $rss;
}

sub working {
    return $postgres->value(q{select count(*) from pg_stat_activity
        where usename = 'prov_partner' and state <> 'idle'});
}


# --- forms ----------------------------------------------------------------

my $made = $nginx->request(POST => '/api/provisioning/tenants',
    token => $token, headers => { 'User-Agent' => '=1+1,"x"' },
    json => { client_name => "Lines\x{c4}", email => unique_email() });
is $made->status, 201, 'there is an entry' or diag $made->body;

my $r = $nginx->request(GET => $export, token => $token);
is $r->status, 200, 'entries are exported' or diag $r->body;
is $r->type, 'application/x-ndjson', 'as NDJSON, when nothing is said';
is $r->header('Content-Disposition'), 'attachment; filename="audit.ndjson"',
    'to be saved as a file';
my @lines = split /\n/, $r->body;
is scalar @lines, 1, 'a line for each';
my $first = JSON::PP->new->utf8->decode($lines[0]);
is_deeply $first->{after}, $made->json, 'with what was answered';

$r = $nginx->request(GET => "$export?format=csv", token => $token,
    headers => { Accept => 'text/csv' });
is $r->header('Content-Type'), 'text/csv; charset=utf-8', 'or as CSV';
my ($names, $record, @rest) = split /\r\n/, $r->body, -1;
like $names, qr/\Aaudit,at,tenant,operation,.*,details_hash\z/,
    'with a line of names';
like $record, qr/,"'=1\+1,""x""",/,
    'quotes are doubled, and a formula is none any more';
is_deeply \@rest, [''], 'lines end with CR and LF';
for my $start ('=', '+', '-', '@', "\t", "\r") {
    is $postgres->value('select prov.csv(?, ?)', "${start}x", 'a'),
        $start eq "\r" ? "\"'\rx\",a\r\n" : "'${start}x,a\r\n",
        'a value that begins with ' . ($start =~ /\s/ ? ord $start : $start);
}
is $nginx->request(GET => "$export?format=csv&outcome=denied",
    token => $token)->body, "$names\r\n", 'nothing found is only the names';
is $nginx->request(GET => "$export?outcome=denied", token => $token)->body,
    '', 'or nothing';
is_problem $nginx->request(GET => $export), 'nobody is told nothing', 401,
    'token_missing', $nginx->request(GET => $export)->json->{detail};
is $nginx->request(GET => "$export?format=xml", token => $token)->status,
    400, 'other forms are refused';

$r = $nginx->request(HEAD => "$export?format=csv", token => $token);
is_deeply [$r->status, $r->header('Content-Type'), $r->body],
    [200, 'text/csv; charset=utf-8', ''], 'HEAD is answered';


# --- pages ----------------------------------------------------------------

sub pages { $nginx->request(GET => $api->base . "/pages?n=$_[0]",
                            token => $token) }

is pages('')->body, "first\n1\n2\n3\n", 'pages follow each other';
is pages('empty')->body, "a \"b\" \xc3\xa4\n",
    'one may be empty, and a name is any text';
is_problem pages('miss'), 'before the first a problem is a problem', 404,
    'x', 'y';
for (['cookie', 'only headers that a stream may set'],
     ['break', 'headers without control characters'])
{
    is pages($_->[0])->status, 500, "$_->[0]: a broken contract";
    like $nginx->log, qr/operation "pages" did not return $_->[1]/,
        'which the log tells';
}

for my $how ('late', 'raise') {
    my $reader = ask($api->base . "/pages?n=$how");
    $reader->{whole} = 1;
    take($reader);
    like $reader->{head}, qr/\AHTTP\/1.1 200 /, "$how: a response begins";
    like $reader->{text}, qr/first\n.*1\n/s, 'with the pages that there are';
    ok !whole($reader), 'and breaks off, which the client can see';
}
like $nginx->log, qr/the response to "pages" is broken off/, 'so does the log';

my $reader = ask($api->base . '/pages?n=', version => '1.0');
$reader->{whole} = 1;
is take($reader)->{text}, "first\n1\n2\n3\n", 'HTTP/1.0 has it without chunks';
$reader = ask($api->base . '/pages?n=late', version => '1.0');
take($reader);
ok $reader->{reset}, 'and a reset where it breaks off';

my $h2 = Provisioning::Test::HTTP2->connect($nginx->h2_port);
my $stream = $h2->request(GET => $api->base . '/pages?n=',
    token => $token);
is $h2->response($stream)->{body}, "first\n1\n2\n3\n", 'HTTP/2 has it, too';


# --- many entries ---------------------------------------------------------

$postgres->sql(<<'SQL', $postgres->partner('acme'), $ENTRIES);
with entry as (
    insert into prov.audit (mutation, at, partner, status, operation, kind,
        request_id, chain, seq, hash, details_hash)
    select ('0194f0a0-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
        '2025-01-01Z'::timestamptz + n * interval '1 s', p.id, 200, 'seeded',
        'user', 'r-' || n, p.id, n, sha256('x'), sha256('y')
    from (select ?::uuid) p (id), generate_series(1, ?::int) n
    returning *)
insert into prov.audit_details (chain, seq, partner, subject, after)
select chain, seq, partner, 's', '{"a": 1}' from entry
SQL
$postgres->sql('vacuum analyze prov.audit, prov.audit_details');

take(ask("$export?before=2025-01-01T01:00:00Z"));
my $before = memory();
$reader = take(ask($export));
my $after = memory();
is $reader->{lines}, $ENTRIES + 1, "$ENTRIES entries are exported";
ok whole($reader), 'to the end';
cmp_ok $sanitized ? 0 : $after - $before, '<', 2048,
    'and the worker has not grown by 2 MiB for it';


# --- a slow reader --------------------------------------------------------

$before = memory();
my @slow = map { ask($export, narrow => 1) } 1 .. 5;
take($_, 100) for @slow;
wait_until 'no page is made for who does not read', sub { !working() };
is $nginx->request(GET => '/api/provisioning/tenants', token => $token)
    ->status, 200, 'five slow readers hold no connection';
cmp_ok $sanitized ? 0 : memory() - $before, '<', 5 * 512, 'and a chunk each';
take($slow[0]);
is $slow[0]{lines}, $ENTRIES + 1, 'one that goes on gets everything';
ok whole($slow[0]), 'to the end';


# --- a reader that leaves -------------------------------------------------

my $log = length $nginx->log;
$_->{connection}->close for @slow[1, 2];
$slow[3]{connection}->reset;
wait_until 'they are noticed', sub {
    3 <= (() = substr($nginx->log, $log) =~
        /prematurely closed|reset by peer|Broken pipe/g) };
wait_until 'nothing goes on', sub { !working() };


# --- the database goes away -----------------------------------------------

$reader = $slow[4];
$postgres->stop('immediate');
take($reader);
ok $reader->{lines} > 0 && $reader->{lines} < $ENTRIES,
    'without a database a response breaks off';
ok !whole($reader), 'which the client can see';
like $nginx->log, qr/the response to "audit_export" is broken off: the database did not answer/,
    'and the log tells';
$postgres->start;
wait_until 'the next one works', sub {
    $nginx->request(GET => "$export?before=2000-01-01T00:00:00Z",
        token => $token)->status == 200;
};

done_testing;
