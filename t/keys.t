#!/usr/bin/perl

# API keys as a resource: made, shown once, listed, changed, rotated, revoked;
# and that nobody makes a key that may more than himself.  How a key is used
# is in t/keys_auth.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Problem;

use Digest::SHA qw(sha256 sha256_hex);

my ($postgres, $nginx) = gateway();
my $path = '/api/provisioning/api-keys';
my $uuid = qr/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}
              -[89ab][0-9a-f]{3}-[0-9a-f]{12}/x;
my $moment = qr/\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\z/;
my $nobody = '00000000-0000-7000-8000-000000000000';

sub call {
    my ($method, $where, $body, %o) = @_;
    return $nginx->request($method => "$path$where", token => token(),
        defined $body ? (json => $body) : (), %o);
}

sub made {
    my $r = call(POST => '', { name => 'Machine', scopes => ['tenant:read'],
        @_ });
    $r->status == 201 or die $r->body;
    return $r->json;
}


# made

my $document = $nginx->request(
    GET => '/api/provisioning/openapi.json')->json;
my $operation = $document->{paths}{'/api-keys'}{post};
my $examples = $operation->{requestBody}{content}{'application/json'}
    {examples};

for my $name (sort keys %$examples) {
    my $r = call(POST => '', $examples->{$name}{value});
    is $r->status, 201, "the document's example \"$name\" makes a key"
        or diag $r->body;
}

my $r = call(POST => '', { name => 'Billing', expires_at =>
    '2099-01-01T02:00:00+02:00', scopes => ['tenant:read', 'tenant:create',
    'tenant:read'], ip_allow => ['192.0.2.1', '2001:DB8::/32'] });
my $key = $r->json;

like $key->{api_key}, qr/\A$uuid\z/, 'a key has an id';
is $r->header('Location'), "$path/$key->{api_key}", 'and a place';
is $r->header('ETag'), '"1"', 'and a version';
is_deeply [sort keys %$key], [sort qw(api_key client_id name status scopes
    ip_allow expires_at previous_until revoked_at last_used_at created_at
    updated_at key)], 'and the members that are described';
is $key->{client_id}, $key->{api_key} =~ tr/-//dr,
    'its client id is the id, without hyphens';
is_deeply $key->{scopes}, ['tenant:create', 'tenant:read'],
    'scopes are sorted, each once';
is_deeply $key->{ip_allow}, ['192.0.2.1/32', '2001:db8::/32'],
    'networks are in their usual form';
is $key->{expires_at}, '2099-01-01T00:00:00.000Z', 'a moment is in UTC';
like $key->{created_at}, $moment, 'as are the others';

my ($text, $secret, $sum) = $key->{key}
    =~ /\A(pk_$key->{client_id}_([A-Za-z0-9_-]{43}))([0-9a-f]{8})\z/;
ok $secret, 'the key is prefix, client id, secret, checksum';
is $sum, substr(sha256_hex($text), 0, 8), 'the checksum is right';

my $row = $postgres->sql('select k::text as text, encode(secret_hash, \'hex\')
    as hash from prov.api_keys k where id = ?', $key->{api_key})->[0];
is $row->{hash}, sha256_hex($secret), 'its SHA-256 is stored';
unlike $row->{text}, qr/\Q$secret\E/, 'the secret is not';

$r = call(GET => "/$key->{api_key}");
is $r->status, 200, 'the key is shown again';
is $r->header('ETag'), '"1"', 'with its version';
is_deeply $r->json, { map { $_ => $key->{$_} } grep { $_ ne 'key' }
    keys %$key }, 'the same, but for its secret';
unlike call(GET => '?limit=100')->body, qr/\Q$secret\E/,
    'nor is the secret in the list';
is $postgres->value('select count(*) from prov.audit a
    join prov.audit_details d using (chain, seq)
    where (a.*)::text || (d.*)::text like ?', "%$secret%"), 0, 'nor in the audit';
is $postgres->value(q{select count(*) from prov.audit
    join prov.audit_details using (chain, seq)
    where operation = 'api_key_create' and resource_id = ?
    and after ->> 'name' = 'Billing'}, $key->{api_key}), 1,
    'which tells of the key';


# what is refused

is_problem(call(POST => '', { name => 'x', scopes => ['tenant:read'],
    expires_at => '2020-01-01T00:00:00Z' }), 'a key of the past', 422,
    'expires_at_past', 'expires_at must be in the future.');

for my $network ('192.0.2.1/24', '10.0.0.0/33', '300.0.0.1', '::/129', ':') {
    is call(POST => '', { name => 'x', scopes => ['tenant:read'],
        ip_allow => [$network] })->code, 'ip_allow_invalid',
        "the network $network is refused";
}

for my $case (
    ['no name',       { scopes => ['tenant:read'] }],
    ['no scopes',     { name => 'x' }],
    ['empty scopes',  { name => 'x', scopes => [] }],
    ['a wild scope',  { name => 'x', scopes => ['ten*'] }],
    ['a blank in a scope', { name => 'x', scopes => ['tenant:read x:y'] }],
    ['65 scopes',     { name => 'x', scopes => [map { "a:b$_" } 1 .. 65] }],
    ['33 networks',   { name => 'x', scopes => ['tenant:read'],
        ip_allow => [map { "10.0.0.$_" } 1 .. 33] }],
    ['a network that is a word', { name => 'x', scopes => ['tenant:read'],
        ip_allow => ['localhost'] }],
    ['a moment that is none', { name => 'x', scopes => ['tenant:read'],
        expires_at => '2099-02-30T00:00:00Z' }],
    ['an offset that is none', { name => 'x', scopes => ['tenant:read'],
        expires_at => '2099-02-01T00:00:00+23:00' }],
    ['another member', { name => 'x', scopes => ['tenant:read'],
        secret_hash => 'x' }],
) {
    is call(POST => '', $case->[1])->code, 'invalid_body',
        "$case->[0]: refused";
}


# no wider than who makes it

for my $case (
    [['partner-admin'],    ['*'],           201],
    [['partner-admin'],    ['tenant:*'],    201],
    [['partner-admin'],    ['tenant:read', 'api_key:*'], 201],
    [['partner-admin'],    ['tenant:fly'],  403],
    [['partner-admin'],    ['other:*'],     403],
    [['partner-admin'],    ['tenant:read', 'tenan:*'],   403],
    [['integration-user'], ['tenant:read'], 403],
) {
    my ($roles, $scopes, $status) = @$case;
    is call(POST => '', { name => 'x', scopes => $scopes },
        token => token(roles => $roles))->status, $status,
        "@$roles asks for @$scopes: $status";
}

is_problem(call(POST => '', { name => 'x', scopes => ['tenant:read',
    'tenant:fly', 'a:*'] }), 'scopes that the caller has not', 403,
    'scope_not_granted',
    'A key can be given only what you may do yourself.',
    members => '"scopes":["a:*","tenant:fly"]');


# listed

my @all;
for (my $next = ''; defined $next;) {
    my $page = call(GET => '?limit=2' . ($next && "&cursor=$next"))->json;
    push @all, map { $_->{api_key} } @{ $page->{data} };
    $next = $page->{next_cursor};
}
is scalar @all, $postgres->value('select count(*) from prov.api_keys'),
    'page by page all keys are listed';
is_deeply \@all, [reverse sort @all], 'newest first';

is_problem(call(GET => '?cursor=x'), 'a cursor that is none', 400,
    'invalid_cursor', qr/next_cursor/);
is_deeply $nginx->request(GET => $path, token => token(partner => 'globex'))
    ->json->{data}, [], 'another partner sees none of them';


# changed

$r = call(PATCH => "/$key->{api_key}", { name => 'Renamed' });
is $r->status, 200, 'a key is renamed' or diag $r->body;
is $r->json->{name}, 'Renamed', 'so it is';
is_deeply $r->json->{ip_allow}, $key->{ip_allow}, 'and nothing else';
is $r->header('ETag'), '"2"', 'it is another version';

$r = call(PATCH => "/$key->{api_key}", { ip_allow => undef });
is_deeply $r->json->{ip_allow}, [], 'null means from everywhere';
is $r->json->{name}, 'Renamed', 'the name stays';
is call(PATCH => "/$key->{api_key}", { ip_allow => ['10.0.0.1/8'] })->code,
    'ip_allow_invalid', 'networks are checked';
is call(PATCH => "/$key->{api_key}", { scopes => ['*'] })->code,
    'invalid_body', 'scopes cannot be changed';


# rotated

my $rotated = call(POST => "/$key->{api_key}/rotate",
    { overlap_seconds => 3600 })->json;
isnt $rotated->{key}, $key->{key}, 'rotation gives another secret';
like $rotated->{previous_until}, $moment,
    'and says how long the old one is good';
is $postgres->value('select encode(previous_hash, \'hex\')
    from prov.api_keys where id = ?', $key->{api_key}), sha256_hex($secret),
    'the old secret is kept as the previous one';
is $postgres->value('select round(extract(epoch from previous_until
    - updated_at)) from prov.api_keys where id = ?', $key->{api_key}), 3600,
    'for that long';

$r = call(POST => "/$key->{api_key}/rotate", undef);
is $r->status, 200, 'rotation needs no body' or diag $r->body;
is $postgres->value('select round(extract(epoch from previous_until
    - updated_at)) from prov.api_keys where id = ?', $key->{api_key}), 86400,
    'it is a day then';
is call(POST => "/$key->{api_key}/rotate", { overlap_seconds => 0 })
    ->json->{previous_until}, undef, 'without overlap the old one is gone';
is call(POST => "/$key->{api_key}/rotate", { overlap_seconds => 604801 })
    ->code, 'invalid_body', 'a week is the most';


# revoked

$r = call(DELETE => "/$key->{api_key}");
is $r->status, 200, 'a key is revoked';
is $r->json->{status}, 'revoked', 'so it is';
like $r->json->{revoked_at}, $moment, 'and says when';
is call(DELETE => "/$key->{api_key}")->json->{revoked_at},
    $r->json->{revoked_at}, 'a second time changes nothing';
is_problem(call(PATCH => "/$key->{api_key}", { name => 'x' }),
    'a revoked key is not changed', 409, 'api_key_revoked',
    'The key was revoked, which is for good; make another one.');
is call(POST => "/$key->{api_key}/rotate", {})->code, 'api_key_revoked',
    'nor rotated';

my $short = made(expires_at => '2099-01-01T00:00:00Z');
$postgres->sql('update prov.api_keys set expires_at = now() where id = ?',
    $short->{api_key});
is call(GET => "/$short->{api_key}")->json->{status}, 'expired',
    'an expired key says so';
is call(POST => "/$short->{api_key}/rotate", {})->code, 'api_key_expired',
    'and is not rotated';
is call(DELETE => "/$short->{api_key}")->status, 200, 'but can be revoked';


# as any change: once for each Idempotency-Key, to be tried, of a version

my @once = ({ name => 'Once', scopes => ['tenant:read'] },
    headers => { 'Idempotency-Key' => 'once' });
my $original = call(POST => '', @once);
my $replayed = call(POST => '', @once);
is $original->status, 201, 'a key is made with an Idempotency-Key';
is $replayed->header('Idempotent-Replayed'), 'true', 'but once';
is $replayed->json->{api_key}, $original->json->{api_key},
    'the answer is the same';
like $original->json->{key}, qr/\Apk_/, 'the first has the secret';
is $replayed->json->{key}, undef, 'another has not: it is kept nowhere';

my $before = $postgres->value('select count(*) from prov.api_keys');
$r = call(POST => '?dry_run=true', { name => 'Try',
    scopes => ['tenant:read'] });
is $r->header('Dry-Run'), 'true', 'it can be tried';
is $r->json->{resource}{name}, 'Try', 'and shows the key';
is $r->json->{resource}{key}, undef, 'but no secret, as there is none';
is $postgres->value('select count(*) from prov.api_keys'), $before,
    'nothing is kept';

my $versioned = made();
is call(PATCH => "/$versioned->{api_key}", { name => 'x' },
    headers => { 'If-Match' => '"2"' })->code, 'precondition_failed',
    'another version is not changed';
is call(PATCH => "/$versioned->{api_key}", { name => 'x' },
    headers => { 'If-Match' => '"1"' })->status, 200, 'the right one is';
is call(POST => "/$versioned->{api_key}/rotate", {},
    headers => { 'If-Match' => '"1"' })->status, 412, 'nor rotated';
is call(DELETE => "/$versioned->{api_key}", undef,
    headers => { 'If-Match' => '"1"' })->status, 412, 'nor revoked';


# others' keys

my $mine = made();

for my $id ($nobody, $mine->{api_key}) {
    my @as = (token => token(partner => 'globex'));

    for my $case ([GET => ''], [PATCH => '', { name => 'x' }],
                  [DELETE => ''], [POST => '/rotate', {}])
    {
        my ($method, $more, $body) = @$case;
        is_problem(call($method => "/$id$more", $body, @as),
            "$method$more of another's key", 404, 'api_key_not_found',
            'You have no API key with this id.');
    }
}

is call(GET => "/$mine->{api_key}")->json->{status}, 'active',
    'nothing became of it';

done_testing;
