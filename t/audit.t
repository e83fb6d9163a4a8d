#!/usr/bin/perl

# The audit over HTTP: what was done is listed, shown and proven, to who may
# see it and to nobody else.  What a chain is, and how it breaks, is in
# sql/tests/audit.sql.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Problem;

use Digest::SHA qw(sha256_hex);
use Encode ();
use JSON::PP ();

my ($postgres, $nginx) = gateway(workers => 2);
my $API = '/api/provisioning';
my $token = token(sub => 'crm');

sub get {
    my ($path, %o) = @_;
    return $nginx->request(GET => "$API/audit$path", token => $token, %o);
}

my $made = $nginx->request(POST => "$API/tenants", token => $token,
    json => { client_name => "\x{c4}cme", email => unique_email() },
    headers => { 'X-Request-Id' => 'crm-1', 'User-Agent' => 'crm/1' });
my $tenant = $made->json->{tenant};
my $path = "$API/tenants/$tenant";


# --- what was done --------------------------------------------------------

my $r = get("?tenant=$tenant");
is $r->status, 200, 'the audit is listed' or diag $r->body;
my $entry = $r->json->{data}[0];
is scalar @{ $r->json->{data} }, 1, 'a creation is one entry';
is_deeply { %$entry, audit => 0, at => 0, link => 0 }, {
    audit => 0, at => 0, link => 0, tenant => $tenant,
    operation => 'tenant_create', resource => 'tenant',
    resource_id => $tenant, outcome => 'success', status => 201,
    code => undef, count => 1, request_id => 'crm-1', ip => '127.0.0.1',
    user_agent => 'crm/1', principal => { kind => 'user', subject => 'crm',
        issuer => 'https://issuer.test/', key => undef } },
    'which says who did what, from where';
is_deeply { %{ $entry->{link} }, hash => 0, details_hash => 0 }, {
    hash => 0, details_hash => 0, chain => $tenant, seq => 1,
    prev_hash => undef, partner => $postgres->partner('acme'),
    details => 'kept' }, 'and is the first link of the tenant\'s chain';

$r = get("/$entry->{audit}");
is $r->status, 200, 'an entry is shown';
my $whole = $r->json;
is_deeply $whole->{after}, $made->json, 'with what was answered';
is_deeply $whole->{headers}, { ETag => '"1"',
    Location => $made->header('Location') }, 'and its headers';

# Anybody can compute a hash: here without PostgreSQL.

my $json = JSON::PP->new->allow_nonref;
my $array = sub {
    return '[' . join(', ', map { $json->encode($_) } @_) . ']';
};
my ($after) = $r->body =~ /"after": (\{.*\}), "headers": /;
my ($headers) = $r->body =~ /"headers": (\{.*\})\}\z/;
$after = Encode::decode_utf8($after);
my $details = sha256_hex(Encode::encode_utf8($array->('prov.audit_details.1',
    'crm', '127.0.0.1', 'crm/1', undef, $after, $headers)));
is $details, $entry->{link}{details_hash},
    'the hash of the details is of the documented form';
is sha256_hex($array->('prov.audit.1', $tenant, 1, undef, $entry->{audit},
        $entry->{at}, $entry->{link}{partner}, $tenant, 'tenant_create',
        'tenant', $tenant, 201, undef, 1, 'user', 'https://issuer.test/',
        undef, 'crm-1', $details)), $entry->{link}{hash},
    'so is that of the entry';


# --- many changes at once -------------------------------------------------

my @jobs = map {
    my $n = $_;
    background(sub {
        return $nginx->request(PATCH => $path, token => $token,
            json => { industry => "Industry $n" })->status;
    });
} 1 .. 20;
is join(' ', map { $_->finish } @jobs), join(' ', (200) x 20),
    'twenty changes of one tenant at once';

$r = get("/verify?tenant=$tenant");
is $r->status, 200, 'a chain is proven' or diag $r->body;
my $proof = $r->json;
is_deeply [@$proof{qw(chain tenant valid from checked next_from broken)}],
    [$tenant, $tenant, JSON::PP::true, 1, 21, undef, undef],
    'and unbroken, whoever came first';
is $proof->{last}{seq}, 21, 'up to its end';
is get("/verify?tenant=$tenant&anchor=21:$proof->{last}{hash}")
       ->json->{valid}, JSON::PP::true, 'a link known from before holds';
is get("/verify?tenant=$tenant&anchor=21:" . 'ab' x 32)
       ->json->{broken}{reason}, 'replaced', 'one that is another does not';
is get("/verify?tenant=$tenant&from=3&limit=4")->json->{next_from}, 7,
    'a part says where the next begins';

# A partner's own chain has no row that its writers could wait for.

@jobs = map {
    my $n = $_;
    background(sub {
        return $nginx->request(POST => "$API/api-keys", token => $token,
            json => { name => "Key $n", scopes => ['tenant:read'] })->status;
    });
} 1 .. 20;
is join(' ', map { $_->finish } @jobs), join(' ', (201) x 20),
    'twenty keys are made at once';
is_deeply [@{ get('/verify')->json }{qw(valid checked tenant)}],
    [JSON::PP::true, 20, undef], 'in one unbroken chain';

$postgres->sql('alter table prov.audit disable trigger user');
$postgres->sql('update prov.audit set request_id = ? where chain = ? and '
    . 'seq = 5', 'forged', $tenant);
$postgres->sql('alter table prov.audit enable trigger user');
$r = get("/verify?tenant=$tenant");
is $r->status, 200, 'a broken chain is an answer, too';
is_deeply [$r->json->{valid}, @{ $r->json->{broken} }{qw(seq reason)}],
    [JSON::PP::false, 5, 'altered'], 'which names the first broken link';


# --- pages and filters ----------------------------------------------------

my ($next, @seen) = ("$API/audit?tenant=$tenant&operation=tenant_update"
    . '&limit=8');
while ($next) {
    $r = $nginx->request(GET => $next, token => $token);
    is $r->status, 200, 'a page' or diag $r->body;
    push @seen, map { $_->{link}{seq} } @{ $r->json->{data} };
    ($next) = ($r->header('Link') || '') =~ /\A<([^>]+)>; rel="next"\z/;
    is !!$next, !!defined $r->json->{next_cursor}, 'has a Link when one '
        . 'follows';
}
is join(' ', sort { $a <=> $b } @seen), join(' ', 2 .. 21),
    'the Links lead through all that match';

for (['request_id=crm-1', 1], ['subject=crm&status=201&resource=tenant', 1],
     ['outcome=failed', 0], ['after=2100-01-01T00:00:00Z', 0],
     ['before=2100-01-01T00:00:00%2B02:00&resource=tenant&status=201', 1])
{
    my ($query, $n) = @$_;
    is scalar @{ get("?$query")->json->{data} }, $n, "$query: $n";
}

is_problem get('?after=yesterday'), 'what is no time is refused', 400,
    'invalid_parameters', 'A parameter of the path, the query or the headers '
    . 'is not as described; see "errors".', errors => get('?after=yesterday')
    ->body =~ /"errors":(\[.*\])/ ? $1 : '';
is_problem get('?cursor=x'), 'nor is any text a cursor', 400,
    'invalid_cursor', 'cursor must be the next_cursor of a page of this '
    . 'list, unchanged.';


# --- who sees it ----------------------------------------------------------

my $other = token(partner => 'globex');
is scalar @{ get('', token => $other)->json->{data} }, 0,
    'another partner sees nothing of it';
is_problem get("/$entry->{audit}", token => $other), 'no entry', 404,
    'audit_not_found', 'You have no audit entry with this id.';
is_problem get("/verify?tenant=$tenant", token => $other), 'no chain', 404,
    'tenant_not_found', 'You have no tenant with this id.';
is get('/verify', token => $other)->json->{checked}, 0, 'and its own is empty';
is get('', token => token(roles => ['integration-user']))->code,
    'permission_denied', 'nor does a role that may not';

done_testing;
