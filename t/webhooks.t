#!/usr/bin/perl

# Webhook endpoints as a resource: made, shown, changed, enabled, disabled,
# rotated, deleted; what is kept of their secrets; which events become
# deliveries, and how those are listed, sent again and recovered.  What is
# really sent is in t/webhooks_delivery.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Problem;

use Crypt::AuthEnc::GCM qw(gcm_decrypt_verify);
use JSON::PP ();
use MIME::Base64 qw(decode_base64url encode_base64);

my ($postgres, $nginx) = gateway();
my $base = '/api/provisioning';
my $path = "$base/webhook-endpoints";
my $nobody = '00000000-0000-7000-8000-000000000000';
my $url = 'https://hooks.example.com/x';

sub call {
    my ($method, $where, $body, %o) = @_;
    return $nginx->request($method => $where, token => token(),
        defined $body ? (json => $body) : (), %o);
}

sub made {
    my $r = call(POST => $path, { url => $url, event_types => ['*'], @_ });
    $r->status == 201 or die $r->body;
    return $r->json;
}

sub place { "$path/$_[0]{webhook_endpoint}" }

sub row {
    return $postgres->sql('select w.*, w::text as text from
        prov.webhook_endpoints w where id = ?', $_[0]{webhook_endpoint})->[0];
}

sub unsealed {
    my ($sealed, $purpose, $owner) = @_;
    my (undef, @part) = split /\./, $sealed;
    my ($nonce, $cipher, $tag) = map { decode_base64url($_) } @part;

    return gcm_decrypt_verify('AES', 'a key of 32 bytes, for the tests',
        $nonce, "webhook_endpoint.$purpose\0$owner", $cipher, $tag);
}

sub deliveries { call(GET => "$base/deliveries?limit=100" . ($_[0] || '')) }

sub tenant {
    my ($name) = @_;
    my $r = call(POST => "$base/tenants", { client_name => $name,
        email => unique_email() });
    $r->status == 201 or die $r->body;
    return $r->json->{tenant};
}


# what is kept

my $r = call(POST => $path, { url => $url, event_types =>
    ['tenant.*', 'api_key.revoked', 'tenant.*'], headers =>
    { 'X-B' => 'second value', 'Authorization' => 'Bearer open sesame' } });
is $r->status, 201, 'an endpoint is made' or diag $r->body;
my $made = $r->json;

is $r->header('Location'), place($made), 'it has a place';
is_deeply $made->{event_types}, ['api_key.revoked', 'tenant.*'],
    'event types are sorted, each once';
is_deeply $made->{header_names}, ['Authorization', 'X-B'],
    'of headers the names are shown';
like $made->{secret}, qr{\Awhsec_[A-Za-z0-9+/]{43}=\z},
    'the secret is one of Standard Webhooks';

my $row = row($made);
is 'whsec_' . encode_base64(unsealed($row->{secret}, 'secret', $row->{id}),
    ''), $made->{secret}, 'it is sealed in the database';
is_deeply(JSON::PP->new->decode(unsealed($row->{headers}, 'headers',
    $row->{id})), { 'X-B' => 'second value',
    'Authorization' => 'Bearer open sesame' }, 'and so are the headers');
unlike $row->{text}, qr/open sesame|second value/, 'which are nowhere else';

my $secret = $made->{secret} =~ s/whsec_//r;
$r = call(GET => place($made));
is $r->header('ETag'), '"1"', 'it is shown again, with its version';
is_deeply $r->json, { map { $_ => $made->{$_} } grep { $_ ne 'secret' }
    keys %$made }, 'the same, but for the secret';

for my $hidden ($secret, 'open sesame') {
    my $n = 0;
    $n += $postgres->value("select count(*) from prov.$_ t
        where t::text like ?", "%$hidden%")
        for qw(audit audit_details idempotency events jobs);
    is $n, 0, 'what is secret is in no other table';
    unlike $nginx->log, qr/\Q$hidden\E/, 'nor in the log';
}

is $postgres->value(q{select count(*) from prov.audit where operation =
    'webhook_create' and resource = 'webhook_endpoint' and resource_id = ?},
    $made->{webhook_endpoint}), 1, 'the audit tells of the endpoint';

my $pair = made(algorithm => 'v1a');
is $pair->{secret}, undef, 'one with a key pair has no secret to be shown';
like $pair->{public_key}, qr{\Awhpk_[A-Za-z0-9+/]{43}=\z},
    'but a public key';
is length unsealed(row($pair)->{secret}, 'private', $pair->{webhook_endpoint}),
    32, 'and the private one sealed';

my %key = (headers => { 'Idempotency-Key' => 'make' });
my $first = call(POST => $path, { url => $url, event_types => ['*'] }, %key);
$r = call(POST => $path, { url => $url, event_types => ['*'] }, %key);
is $r->header('Idempotent-Replayed'), 'true', 'a repetition makes none';
is $r->json->{webhook_endpoint}, $first->json->{webhook_endpoint},
    'it is answered the same';
is $r->json->{secret}, undef, 'but for the secret';

$r = call(POST => "$path?dry_run=true", { url => $url, event_types => ['*'] });
is $r->json->{status}, 201, 'it can be tried';
is $r->json->{resource}{secret}, undef, 'without a secret, which would be none';


# what is refused

for my $case (
    ['http://hooks.example.com/', 'must begin with "https://"'],
    ['https://ann:x@hooks.example.com/', 'name or password'],
    ['https://hooks.example.com/#a', 'fragment'],
    ['https://127.0.0.1/', 'not public'],
    ['https://[::1]/', 'not public'],
    ['https://169.254.169.254/latest', 'not public'],
) {
    my ($bad, $why) = @$case;
    $r = call(POST => $path, { url => $bad, event_types => ['*'] });
    is $r->code, 'url_invalid', "$bad is refused" or diag $r->body;
    like $r->json->{detail}, qr/\AThe URL in "url" .*\Q$why\E/, 'with why';
    is call(PATCH => place($made), { url => $bad })->code, 'url_invalid',
        'also in a change';
}

for my $name ('Host', 'host', 'webhook-id', 'Webhook-Signature', 'Connection',
    'Content-Length', 'content-type', 'Transfer-Encoding', 'User-Agent', 'TE',
    'Proxy-Authorization', 'Expect', 'Upgrade', 'Keep-Alive')
{
    $r = call(POST => $path, { url => $url, event_types => ['*'],
        headers => { $name => 'x' } });
    is $r->code, 'header_not_allowed', "the header $name is refused";
    is $r->json->{header}, $name, 'and named';
}

is call(POST => $path, { url => $url, event_types => ['*'],
    headers => { 'X-A' => '1', 'x-a' => '2' } })->code, 'header_not_allowed',
    'a header that is there twice is refused';

for my $case (
    ['CR LF in a header', headers => { 'X-A' => "a\r\nHost: x" }],
    ['LF in a header', headers => { 'X-A' => "a\nb" }],
    ['a NUL in a header', headers => { 'X-A' => "a\0" }],
    ['a blank before it', headers => { 'X-A' => ' a' }],
    ['letters that are not ASCII', headers => { 'X-A' => "\x{e9}" }],
    ['a colon in a name', headers => { 'X-A:' => 'a' }],
    ['a line break in a name', headers => { "X-A\n" => 'a' }],
    ['no name', headers => { '' => 'a' }],
    ['a long value', headers => { 'X-A' => 'a' x 1025 }],
    ['17 headers', headers => { map { ("X-$_" => 'a') } 1 .. 17 }],
    ['no event types', event_types => []],
    ['an event type with a blank', event_types => ['tenant created']],
    ['a star in the middle', event_types => ['tenant.*.created']],
    ['another algorithm', algorithm => 'v2'],
    ['a control character in a URL', url => "$url\r\n"],
    ['a secret of his own', secret => 'whsec_x'],
) {
    my ($what, %more) = @$case;
    $r = call(POST => $path, { url => $url, event_types => ['*'], %more });
    ok $r->status == 400 && $r->code =~ /\Ainvalid_(?:body|json)\z/,
        "$what: refused" or diag $r->body;
}

for my $type ('tenant.renamed', 'tenants.*', 'tenant', 'tenant.created.*') {
    $r = call(POST => $path, { url => $url, event_types => ['*', $type] });
    is $r->code, 'event_type_unknown', "$type is no event type";
    is $r->json->{event_type}, $type, 'and named';
}


# changed

$r = call(PATCH => place($made), { description => 'CRM' });
is $r->json->{description}, 'CRM', 'a member is changed';
is_deeply $r->json->{header_names}, ['Authorization', 'X-B'],
    'what is absent stays';
is row($made)->{headers}, $row->{headers}, 'the sealed headers, too';
$r = call(PATCH => place($made), { description => undef, headers =>
    { 'X-C' => 'third value' }, url => 'https://other.example.com/' });
is $r->json->{description}, undef, 'null removes';
is unsealed(row($made)->{headers}, 'headers', $row->{id}),
    '{"X-C":"third value"}', 'headers are replaced as a whole';
$r = call(PATCH => place($made), { headers => undef });
is_deeply $r->json->{header_names}, [], 'and can be removed';
is row($made)->{headers}, undef, 'which leaves nothing of them';
is call(PATCH => place($made), { url => $url }, headers =>
    { 'If-Match' => '"1"' })->status, 412, 'of the version that was seen';

my $before = row($made)->{secret};
$r = call(POST => place($made) . '/rotate-secret', { overlap_seconds => 60 });
isnt $r->json->{secret}, $made->{secret}, 'a rotation gives another secret';
like $r->json->{previous_until}, qr/\A20/, 'and says until when the old one is good';
is_deeply row($made)->{previous_secrets}, [$before],
    'which is kept as it was';
is row($made)->{secret} ne $before && 'whsec_' . encode_base64(
    unsealed(row($made)->{secret}, 'secret', $row->{id}), ''),
    $r->json->{secret}, 'beside the new one';
is call(POST => place($made) . '/rotate-secret', { overlap_seconds => 3600 })
    ->json->{previous_until}, call(GET => place($made))->json
    ->{previous_until}, 'another one takes nothing away';
is row($made)->{previous_secrets}[1], $before, 'from whoever has the first';
call(POST => place($made) . '/rotate-secret');
$r = call(POST => place($made) . '/rotate-secret');
is $r->code, 'rotation_limit_reached', 'but there is an end to that';
is $r->status, 409, 'which is a conflict';
my $end = $r->json->{until};
like $r->json->{detail}, qr/ until \Q$end\E\. Rotate again /,
    'and says when it is over';
call(POST => place($made) . '/rotate-secret', { overlap_seconds => 0 });
is_deeply row($made)->{previous_secrets}, [], 'without overlap none is kept';
$r = call(POST => place($pair) . '/rotate-secret');
isnt $r->json->{public_key}, $pair->{public_key}, 'a key pair is rotated, too';


# somebody else's

for my $case ([GET => ''], [PATCH => '', {}], [DELETE => ''],
    [POST => '/enable'], [POST => '/disable'], [POST => '/rotate-secret'],
    [POST => '/send-test'], [POST => '/recover',
        { since => '2025-01-01T00:00:00Z' }])
{
    my ($method, $where, $body) = @$case;
    is call($method => place($made) . $where, $body,
        token => token(partner => 'globex'))->code, 'webhook_not_found',
        "$method $where of another partner's endpoint: there is none";
}


# events become deliveries

$postgres->sql("delete from prov.$_") for qw(webhook_endpoints);
my $all = made();
my $some = made(event_types => ['tenant.suspended', 'api_key.*']);
my $theirs = call(POST => $path, { url => $url, event_types => ['*'] },
    token => token(partner => 'globex'))->json;

my $id = tenant('Acme');
call(POST => "$base/tenants/$id/suspend", { reason => 'late' })->status == 200
    or die;

$r = deliveries();
is_deeply [map { "$_->{event_type} " . ($_->{webhook_endpoint}
        eq $all->{webhook_endpoint} ? 'all' : 'some') }
    sort { $a->{event_type} cmp $b->{event_type}
        || $a->{webhook_endpoint} cmp $b->{webhook_endpoint} }
    @{ $r->json->{data} }],
    ['tenant.created all', 'tenant.suspended all', 'tenant.suspended some'],
    'each endpoint gets what it has chosen';
is_deeply [grep { $_->{status} ne 'pending' || $_->{tenant} ne $id }
    @{ $r->json->{data} }], [], 'which is still to be sent, and of whom';
is scalar @{ call(GET => "$base/deliveries", undef,
    token => token(partner => 'globex'))->json->{data} }, 0,
    'other partners get none of it';

my ($delivery) = grep { $_->{event_type} eq 'tenant.created' }
    @{ $r->json->{data} };
$r = call(GET => "$base/deliveries/$delivery->{delivery}");
is_deeply [sort keys %{ $r->json->{payload} }],
    [qw(created_at data id request_id type)], 'a delivery shows what is sent';
is $r->json->{payload}{data}{client_name}, 'Acme', 'with what has happened';
is $r->json->{payload}{id}, $delivery->{event}, 'and the id of the event';
is call(GET => "$base/deliveries/$delivery->{delivery}", undef,
    token => token(partner => 'globex'))->code, 'delivery_not_found',
    'a delivery is its partner\'s own';
is call(POST => "$base/deliveries/$delivery->{delivery}/resend", undef,
    token => token(partner => 'globex'))->code, 'delivery_not_found',
    'and is sent again by nobody else';

call(POST => "$base/tenants?dry_run=true", { client_name => 'Never',
    email => unique_email() });
is scalar @{ deliveries()->json->{data} }, 3, 'a dry run tells nobody';


# lists of deliveries

my @states = (['pending', 'waiting', 0], ['retrying', 'waiting', 1],
    ['succeeded', 'done', 1], ['failed', 'failed', 10],
    ['cancelled', 'cancelled', 0]);
$postgres->sql(q{delete from prov.jobs where kind = 'webhook'});
$postgres->sql(q{insert into prov.jobs (id, kind, queue, partner, event, state,
    tries, created_at, data)
    select prov.uuid7(), 'webhook', ?::uuid, partner, prov.uuid7(), s.state,
        s.tries, '2025-02-10T00:00:00Z'::timestamptz + g.n * interval '1 hour',
        jsonb_build_object('type', 'tenant.' || case g.n % 2 when 0 then 'created'
            else 'updated' end, 'payload', '{}')
    from prov.webhook_endpoints, generate_series(0, 39) g (n)
    join (values } . join(',', map { my $n = $_;
        "($n, '$states[$n][1]', $states[$n][2])" } 0 .. $#states)
    . q{) s (k, state, tries) on s.k = g.n % 5
    where id = ?::uuid}, ($all->{webhook_endpoint}) x 2);
$postgres->sql(q{update prov.jobs set queue = ?::uuid where id in (select id
    from prov.jobs where kind = 'webhook' order by created_at limit 10)},
    $some->{webhook_endpoint});

for my $case (['', 40], map({ ["&status=$_->[0]", 8] } @states),
    ['&event_type=tenant.created', 20], ['&event_type=tenant.deleted', 0],
    ['&status=failed&event_type=tenant.updated', 4],
    ["&webhook_endpoint=$some->{webhook_endpoint}", 10],
    ["&webhook_endpoint=$nobody", 0],
    ["&webhook_endpoint=$theirs->{webhook_endpoint}", 0],
    ['&since=2025-02-11T00:00:00Z', 16],
    ['&until=2025-02-11T00:00:00Z', 24],
    ['&since=2025-02-10T12:00:00Z&until=2025-02-11T00:00:00Z', 12],
    ["&tenant=$nobody", 0])
{
    my ($query, $n) = @$case;
    my (@found, $cursor);
    is scalar @{ deliveries($query)->json->{data} }, $n,
        "deliveries?$query: $n";

    do {
        my $page = call(GET => "$base/deliveries?limit=3$query"
            . ($cursor ? "&cursor=$cursor" : ''))->json;
        push @found, map { $_->{delivery} } @{ $page->{data} };
        $cursor = $page->{next_cursor};
    } while $cursor;

    is_deeply \@found, [map { $_->{delivery} }
        @{ deliveries($query)->json->{data} }], 'page by page the same';
}

is call(GET => "$base/deliveries?cursor=x")->code, 'invalid_cursor',
    'a cursor is looked at';
like call(GET => "$base/deliveries?limit=1&status=failed")->header('Link'),
    qr{\A<$base/deliveries\?status=failed&limit=1&cursor=[\w-]+>; rel="next"},
    'the link to the next page has the filters';


# sent again

my ($failed) = @{ deliveries('&status=failed')->json->{data} };
$r = call(POST => "$base/deliveries/$failed->{delivery}/resend");
is $r->status, 202, 'a delivery that has failed is sent again';
is $r->json->{status}, 'pending', 'as if it were new';
is $r->json->{event}, $failed->{event}, 'with the same event';
$postgres->sql(q{update prov.jobs set lease_until = now() + interval '1 hour',
    lease_worker = 'w' where id = ?}, $failed->{delivery});
is call(POST => "$base/deliveries/$failed->{delivery}/resend")->code,
    'delivery_under_way', 'not while it is being made';
$postgres->sql('update prov.jobs set lease_worker = null where id = ?',
    $failed->{delivery});
cmp_ok call(GET => "$base/deliveries/$failed->{delivery}")
        ->json->{next_attempt_at}, 'gt', $r->json->{next_attempt_at},
    'one that was given back for a while says until when';
is call(POST => "$base/deliveries/$failed->{delivery}/resend")->status, 202,
    'and is made at once when that is asked for';
is $postgres->value('select lease_until from prov.jobs where id = ?',
    $failed->{delivery}), undef, 'whatever it waited for';


# recovered

$postgres->sql(q{delete from prov.jobs where kind = 'webhook'});
$postgres->sql('delete from prov.events');
tenant('Before');
my $since = $postgres->value(q{select to_char(max(at) + interval '1 ms',
    'YYYY-MM-DD"T"HH24:MI:SS.MS') || to_char(max(at), 'OF":00"')
    from prov.events});
select undef, undef, undef, 0.002;
call(POST => place($all) . '/disable');
is_deeply [map { $_->{status} } @{ deliveries()->json->{data} }], ['pending'],
    'what is on its way waits';
tenant("Meanwhile $_") for 1 .. 3;
is scalar @{ deliveries()->json->{data} }, 1,
    'to an endpoint that is disabled nothing is sent';
is call(POST => place($all) . '/recover',
    { since => '2025-01-01T00:00:00Z' })->code, 'webhook_disabled',
    'nor recovered';
$r = call(POST => place($all) . '/enable');
is $r->json->{status}, 'active', 'it is enabled again';
tenant('After');
$r = call(POST => place($all) . '/recover', { since => $since });
is $r->status, 202, 'what it has missed is recovered' or diag $r->body;
is $r->json->{recovered}, 3, 'all of it, and nothing twice';
is $r->json->{more}, JSON::PP::false, 'and no more';
is $r->json->{next_cursor}, undef, 'so there is nowhere to go on';
is call(POST => place($all) . '/recover', { since => $since, cursor => 'x' })
    ->code, 'invalid_cursor', 'a cursor is looked at';
is call(POST => place($all) . '/recover', { since => $since })
    ->json->{recovered}, 0, 'what is on its way already is not sent again';
$postgres->sql(q{update prov.jobs set state = 'failed', finished_at = now()
    where kind = 'webhook'});
is call(POST => place($all) . '/recover', { since => $since })
    ->json->{recovered}, 4, 'what has failed is, from that moment on';
is call(POST => place($all) . '/recover',
    { since => '2025-01-01T00:00:00Z' })->json->{recovered}, 1,
    'and from before';


# many, in parts

$postgres->sql(q{delete from prov.jobs where kind = 'webhook'});
$postgres->sql(q{insert into prov.events (id, partner, type, data)
    select prov.uuid7(), partner, 'tenant.updated', '{}'
    from prov.webhook_endpoints, generate_series(1, 2300)
    where id = ?}, $all->{webhook_endpoint});
my ($parts, $n, $next) = (0, 0);
do {
    $r = call(POST => place($all) . '/recover', { since => $since,
        $next ? (cursor => $next) : () });
    $parts++;
    $n += $r->json->{recovered};
    $next = $r->json->{next_cursor};
} while $r->json->{more} && $parts < 9;
is "$parts $n", '3 2304', 'many are recovered in parts';
is $postgres->value(q{select count(distinct event) || ' ' || count(*)
    from prov.jobs where kind = 'webhook'}), '2304 2304', 'each of them once';


# a limit, which no number of requests at a time gets past

$postgres->sql('delete from prov.webhook_endpoints');
made() for 1 .. 45;
my @background = map { background(sub { join ' ', map {
    call(POST => $path, { url => $url, event_types => ['*'] })->status }
    1 .. 5 }) } 1 .. 3;
my %got;
$got{$_}++ for map { split / /, $_->finish } @background;
is_deeply \%got, { 201 => 5, 403 => 10 }, 'a partner has at most 50 endpoints';
is call(POST => $path, { url => $url, event_types => ['*'] })->code,
    'webhook_limit_reached', 'and is told so';

$r = call(GET => "$path?limit=20");
my @pages = @{ $r->json->{data} };
for (1 .. 2) {
    $r = call(GET => "$path?limit=20&cursor=" . $r->json->{next_cursor});
    push @pages, @{ $r->json->{data} };
}
is scalar(keys %{{ map { $_->{webhook_endpoint} => 1 } @pages }}), 50,
    'they are listed page by page';
is $r->json->{next_cursor}, undef, 'up to the last one';

$r = call(DELETE => place($pages[0]));
is_deeply $r->json, { webhook_endpoint => $pages[0]{webhook_endpoint},
    deleted => JSON::PP::true }, 'one is deleted';
is call(GET => place($pages[0]))->status, 404, 'and there no more';
made();


# event types

my %types = map { $_->{event_type} => $_ }
    @{ call(GET => "$base/event-types")->json->{data} };
my $document = $nginx->request(GET => "$base/openapi.json")->json;

is_deeply [sort keys %types], [sort keys %{ $document->{webhooks} }],
    'all event types are in the document\'s webhooks';

for my $type (sort keys %types) {
    my $body = $document->{webhooks}{$type}{post}{requestBody}{content}
        {'application/json'}{schema}{'$ref'};
    is $body, "#$types{$type}{schema}", "$type has its schema";
    my $schema = $document->{components}{schemas}{ ($body =~ m{(\w+)\z})[0] };
    is $schema->{properties}{type}{const}, $type, 'which is its own';
}

my %emitted = map { $_ => 1 } map { /'([a-z_]+(?:\.[a-z_]+)+)'/g }
    map { $nginx->read_file($_) }
    grep { !m{/prov/webhooks\.sql\z} }
    glob "$FindBin::Bin/../sql/{prov,partner,operator}/*.sql";
is_deeply [grep { !$types{$_} } grep {
    /\A(?:tenant|api_key|operation|webhook_endpoint)\./ } sort keys %emitted],
    [], 'no function leaves an event that is not listed';

done_testing;
