#!/usr/bin/perl

# The operators' API: partners made, listed, changed, suspended and resumed,
# given a first key and a quota; and that nobody else gets in, nor operators
# anywhere else.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Operator;
use Provisioning::Test::Problem;

use Time::HiRes qw(time);

my %pieces = operator();
$pieces{http} .= 'provisioning_audit_attempts buffer=256 interval=300ms;';
my ($postgres, $nginx) = gateway(%pieces);
my $partners = '/api/admin/partners';
my $tenants = '/api/provisioning/tenants';
my $uuid = qr/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}
              -[89ab][0-9a-f]{3}-[0-9a-f]{12}/x;
my $moment = qr/\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\z/;
my $nobody = '00000000-0000-7000-8000-000000000000';
my $operators = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

sub call {
    my ($method, $where, $body, %o) = @_;
    return $nginx->request($method => "$partners$where",
        token => operator_token(), defined $body ? (json => $body) : (), %o);
}

my $made = 0;

sub made {
    my $r = call(POST => '', { slug => 'made-' . ++$made, name => 'Made',
        @_ });
    $r->status == 201 or die $r->body;
    return $r->json;
}

sub tenant {
    my ($partner, %o) = @_;
    return $nginx->request(POST => $tenants,
        token => token(partner => $partner),
        json => { client_name => 'X', email => unique_email() }, %o);
}

sub with_key {
    my ($key, $method, $path, %o) = @_;
    return $nginx->request($method => $path,
        headers => { 'X-API-Key' => $key }, %o);
}

sub audit {
    my ($operation, $id) = @_;
    return $postgres->sql('select a.partner, a.tenant, d.subject, a.issuer,
        a.status, d.before::text as before, d.after::text as after
        from prov.audit a join prov.audit_details d using (chain, seq)
        where a.operation = ? and a.resource_id = ? order by a.seq',
        $operation, $id);
}


# the surface

my $r = $nginx->request(GET => '/api/admin/health/ready');
is $r->status, 200, 'the surface is ready' or diag $r->body;
is $nginx->request(GET => '/api/admin/health/live')->status, 200,
    'and alive';
my $document = $nginx->request(GET => '/api/admin/openapi.json')->json;
is $document->{info}{title}, 'Provisioning API for operators',
    'its document is its own';
is_deeply [grep { /^x-/ } keys %$document], [], 'without extensions';


# who gets in

$r = call(GET => '', undef, token => token());
is $r->status, 401, 'a partner\'s token does not get in';
is $r->code, 'token_unknown_issuer', 'its issuer is not trusted here';
is $nginx->request(GET => $tenants, token => operator_token())->code,
    'token_unknown_issuer', 'nor an operator\'s on the partners\' side';
is $nginx->request(GET => $partners)->status, 401, 'nor nobody';
is call(GET => '')->status, 200, 'an operator does, with no partner at all';
is call(GET => '', undef, token => operator_token(partner => 'acme'))->status,
    200, 'and a partner that his token names is of no account';

my %support = (token => operator_token(roles => ['operator-support']));
is call(GET => '', undef, %support)->status, 200, 'support may read';

# each operation, as the document has it

open my $file, '<', Provisioning::Test::Postgres::tree()
    . '/conf/openapi/operator.json' or die $!;
my $source = JSON::PP->new->decode(do { local $/; <$file> });
my %may = map { ($_ => 1) } @{ $source->{'x-roles'}{'operator-support'} };
my $revoked = $postgres->value("select prov.operator_key_add('Revoked')");
$postgres->value('select prov.operator_key_revoke(?)', $revoked);
my $operations = 0;

for my $path (sort keys %{ $source->{paths} }) {
    my $item = $source->{paths}{$path};

    for my $method (grep { ref $item->{$_} eq 'HASH' } sort keys %$item) {
        my $operation = $item->{$method};
        my $needs = $operation->{'x-permission'} or next;
        my $where = '/api/admin' . $path =~ s/\{\w+\}/$nobody/gr;
        my @body = $method eq 'get' ? () : (json => {});
        my $try = sub { $nginx->request(uc $method => $where, @body, @_) };

        $operations++;
        is $try->()->code, 'token_missing',
            "$operation->{operationId}: nobody may";
        is $try->(token => token(roles => ['operator-admin']))->code,
            'token_unknown_issuer', 'nor a partner';
        is $try->(token => operator_token(roles => ['partner-admin']))->code,
            'permission_denied', 'nor a role of the other surface';
        is $try->(token => operator_token(aud => 'provisioning'))->code,
            'token_wrong_audience', 'nor a token for the other surface';
        is $try->(headers => { 'X-API-Key' => $revoked })->code,
            'key_revoked', 'nor a key that was revoked';
        my $refused = $try->(%support)->code eq 'permission_denied';
        is !!$refused, !$may{$needs}, 'support may '
            . ($may{$needs} ? 'read' : 'not change');
    }
}

cmp_ok $operations, '>', 9, 'all operations have been tried';


# made

$r = call(POST => '', { slug => 'initech', name => 'Initech',
    contact_email => 'ops@initech.example', tenant_quota => 10 });
my $initech = $r->json;
my $id = $initech->{partner};
is $r->status, 201, 'a partner is made' or diag $r->body;
like $id, qr/\A$uuid\z/, 'it has an id';
is $r->header('Location'), "$partners/$id", 'and a place';
is $r->header('ETag'), '"1"', 'and a version';
like $initech->{$_}, $moment, "$_ is a time"
    for qw(created_at updated_at status_changed_at);
is_deeply [@$initech{qw(slug name contact_email status status_reason
    tenant_quota)}], ['initech', 'Initech', 'ops@initech.example', 'active',
    undef, 10], 'it is what was said, and active';

$r = call(GET => "/$id");
is_deeply $r->json, $initech, 'it is shown again';
is call(GET => "/$id", undef, headers => { 'If-None-Match' => '"1"' })->status,
    304, 'and not, to who has seen it';
is_problem(call(GET => "/$nobody"), 'nobody is shown', 404,
    'partner_not_found', 'There is no partner with this id.');
is call(GET => '/acme')->code, 'invalid_parameters',
    'a partner is named by its id';

is tenant('initech')->status, 201, 'it acts at once, by its slug';
is tenant($id)->status, 201, 'and by its id';

is_problem(call(POST => '', { slug => 'initech', name => 'Other' }),
    'a slug twice', 409, 'partner_slug_taken',
    'Another partner has this slug.');

for my $case (
    ['no slug',         { name => 'x' }],
    ['no name',         { slug => 'x' }],
    ['a blank name',    { slug => 'x', name => ' ' }],
    ['a slug with a blank', { slug => 'a b', name => 'x' }],
    ['a slug that is an id', { slug => $nobody, name => 'x' }],
    ['an address that is none', { slug => 'x', name => 'x',
        contact_email => 'nobody' }],
    ['less than no tenants', { slug => 'x', name => 'x',
        tenant_quota => -1 }],
    ['half a tenant',   { slug => 'x', name => 'x', tenant_quota => 1.5 }],
    ['a status',        { slug => 'x', name => 'x', status => 'active' }],
    ['an id',           { slug => 'x', name => 'x', id => $nobody }],
    ['a version',       { slug => 'x', name => 'x', version => 7 }],
) {
    is call(POST => '', $case->[1])->code, 'invalid_body',
        "$case->[0]: refused";
}


# listed

made(name => 'Under_score 100%') for 1 .. 3;
$r = call(GET => '?limit=2');
is scalar @{ $r->json->{data} }, 2, 'a page has as many as are asked for';
is $r->json->{data}[0]{slug}, 'made-3', 'the newest first';
my ($next) = $r->header('Link') =~ /\A<(.*)>; rel="next"\z/;
my @seen = map { $_->{slug} } @{ $r->json->{data} };

while ($next) {
    $r = $nginx->request(GET => $next, token => operator_token());
    push @seen, map { $_->{slug} } @{ $r->json->{data} };
    ($next) = ($r->header('Link') || '') =~ /\A<(.*)>; rel="next"\z/;
}

is_deeply \@seen, [qw(made-3 made-2 made-1 initech globex acme)],
    'the pages have everybody once';

sub slugs { [sort map { $_->{slug} } @{ call(GET => "?$_[0]")->json->{data} }] }

is_deeply slugs('q=INI'), ['initech'], 'q is the beginning of a slug';
is_deeply slugs('q=glob'), ['globex'], 'or of a name';
is_deeply slugs('q=under_score%20100%25'), [qw(made-1 made-2 made-3)],
    'whatever characters it has';
is_deeply slugs('q=%25'), [], 'none of which is a wildcard';
is_deeply slugs('status=suspended'), [], 'nobody is suspended';

$r = call(GET => '?limit=1&status=active&q=' . 'under_score%20100%25');
($next) = $r->header('Link') =~ /\A<(.*)>; rel="next"\z/;
like $next, qr/[?&]status=active&/, 'the next page has the same filters';
like $next, qr/[?&]q=under_score%20100%25&/, 'as they were given';
is $nginx->request(GET => $next, token => operator_token())
    ->json->{data}[0]{slug}, 'made-2', 'and is the next one';
is call(GET => '?cursor=dG4xAAABlPCyO0ABlPCyO0B8PosfL206nH5R')->code,
    'invalid_cursor', 'another list\'s cursor is none';
is call(GET => '?status=deleted')->code, 'invalid_parameters',
    'a status that there is not is refused';


# changed

$r = call(PATCH => "/$id", { name => 'Initech Inc.', contact_email => undef },
    headers => { 'If-Match' => '"1"' });
is $r->status, 200, 'a partner is changed' or diag $r->body;
is $r->header('ETag'), '"2"', 'that is another version';
is_deeply [@{ $r->json }{qw(name contact_email tenant_quota slug)}],
    ['Initech Inc.', undef, 10, 'initech'], 'what was said has changed';
is call(PATCH => "/$id", { name => 'X' },
        headers => { 'If-Match' => '"1"' })->code,
    'precondition_failed', 'not twice from one version';
is call(PATCH => "/$id", { })->header('ETag'), '"2"',
    'what changes nothing is no version';
is call(PATCH => "/$nobody", { })->code, 'partner_not_found',
    'nobody is not changed';
is call(PATCH => "/$id", { $_ => 'x' })->code, 'invalid_body',
    "$_ cannot be changed" for qw(slug status id partner created_at version);
is call(PATCH => "/$id", { name => undef })->code, 'invalid_body',
    'nor the name be removed';

my $entry = audit('partner_update', $id)->[0];
is_deeply [@$entry{qw(partner tenant subject issuer status)}],
    [$operators, undef, 'operator-1', 'https://operators.test/', 200],
    'the audit says which operator it was';
like $entry->{before}, qr/"Initech"/, 'what was before';
like $entry->{after}, qr/"Initech Inc\."/, 'and what is after';

$r = call(PATCH => "/$id?dry_run=true", { tenant_quota => 5 });
is_deeply [$r->json->{dry_run}, $r->json->{resource}{tenant_quota},
    (grep { $_->{path} eq '/tenant_quota' } @{ $r->json->{diff} })[0]],
    [JSON::PP::true(), 5, { path => '/tenant_quota', before => 10,
        after => 5 }], 'a change can be tried' or diag $r->body;
is call(GET => "/$id")->json->{tenant_quota}, 10, 'and is not kept';

my %once = (headers => { 'Idempotency-Key' => 'once' });
my $first = call(POST => '', { slug => 'once', name => 'Once' }, %once);
my $again = call(POST => '', { slug => 'once', name => 'Once' }, %once);
is_deeply [$again->status, $again->body,
    $again->header('Idempotent-Replayed')],
    [201, $first->body, 'true'], 'a partner with a key of the request is made '
    . 'once';


# the audit, as operators see it

my $audit = '/api/admin/audit';
# what was tried in vain comes there a little later than it was tried
$r = $nginx->request(
    GET => "$audit?operation=partner_update&outcome=success", %support);
is $r->status, 200, 'support may read the audit' or diag $r->body;
my ($shown) = @{ $r->json->{data} };
is_deeply [@$shown{qw(resource resource_id outcome)},
    $shown->{principal}{subject}], ['partner', $id, 'success', 'operator-1'],
    'which says what was done to whom, and by whom';
for my $case (['', sub { $_->{resource_id} eq $id }],
    ['&operation=partner_suspend', sub { $_->{operation} eq
        'partner_suspend' && $_->{resource_id} eq $id }])
{
    my ($more, $wanted) = @$case;
    my @all = grep { ($_->{resource_id} || '') eq $id && $wanted->() }
        @{ $nginx->request(GET => "$audit?limit=100&outcome=success",
            %support)->json->{data} };
    is_deeply [map { $_->{audit} } @{ $nginx->request(GET => "$audit?partner=$id"
        . "&limit=100&outcome=success$more", %support)->json->{data} }],
        [map { $_->{audit} } @all],
        "what was done to one partner is found by it$more";
    cmp_ok scalar @all, '>', 0, '… and it is something' unless $more;
}
is_deeply $nginx->request(GET => "$audit?partner=$nobody&outcome=success",
    %support)->json->{data}, [], 'and to one that there is not, nothing';
my ($link) = $nginx->request(GET => "$audit?partner=$id&limit=1", %support)
    ->header('Link') =~ /\A<(.*)>; rel="next"\z/;
like $link, qr/[?&]partner=$id&/, 'links keep the filter';
is $nginx->request(GET => "$audit?partner=acme", %support)->code,
    'invalid_parameters', 'a partner is named by its id';
is $nginx->request(GET => "$audit/$shown->{audit}", %support)
    ->json->{after}{partner}, $id, 'and how it was then';
is $nginx->request(GET => "$audit/verify", %support)->json->{valid},
    JSON::PP::true(), 'and can be proven';
is $nginx->request(GET => "/api/provisioning/audit/$shown->{audit}",
    token => token(partner => 'initech'))->status, 404,
    'the partner sees nothing of it';
is_deeply [grep { $_->{operation} =~ /^tenant/ } @{ $nginx->request(
    GET => "$audit?limit=100", %support)->json->{data} }], [],
    'nor operators anything of what partners do';
my ($more) = $nginx->request(GET => "$audit?limit=1", %support)
    ->header('Link') =~ /\A<(.*)>; rel="next"\z/;
is scalar @{ $nginx->request(GET => $more, %support)->json->{data} }, 1,
    'a page leads to the next';


ok wait_until('what was tried in vain is there', sub {
    my $denied = $nginx->request(
        GET => "$audit?outcome=denied&operation=partner_create", %support)
        ->json->{data};
    return grep { ($_->{code} || '') eq 'permission_denied' } @$denied }),
    'what operators tried in vain is there, too';

# … and found by the partner whom the path names, wherever it was refused

is call(POST => "/$id/suspend", { reason => 'x' }, %support)->status, 403,
    'support may not suspend';
is call(POST => '/initech/suspend', { reason => 'x' }, %support)->status, 403,
    'by whatever name';
my $refused = "$audit?outcome=denied&operation=partner_suspend";
ok wait_until('they are there', sub {
    @{ $nginx->request(GET => "$refused&partner=$id", %support)->json->{data} }
    }), 'that is found by the partner that it was about';
is_deeply [map { [@$_{qw(resource resource_id code)}] } @{ $nginx->request(
    GET => "$refused&partner=$id", %support)->json->{data} }],
    [['partner', $id, 'permission_denied']], 'once';
ok wait_until('the other is there', sub {
    grep { !defined $_->{resource} && !defined $_->{resource_id} }
        @{ $nginx->request(GET => $refused, %support)->json->{data} } }),
    'what is no id is no partner';
is $nginx->request(GET => "$audit?partner=$nobody&operation=partner_update",
    %support)->json->{data}[0]{code}, 'partner_not_found',
    'as is what failed';
is $nginx->request(GET => "$audit/verify", %support)->json->{valid},
    JSON::PP::true(), 'all of them links of the chain';


# suspended

my $key = do {
    $r = call(POST => "/$id/keys", { name => 'First', scopes => ['*'] });
    is $r->status, 201, 'a partner gets its first key' or diag $r->body;
    $r->json;
};
like $key->{key}, qr/\Apk_$key->{client_id}_[\w-]{43}[0-9a-f]{8}\z/,
    'which is shown';
is with_key($key->{key}, POST => $tenants, json => { client_name => 'X',
    email => unique_email() })->status, 201, 'and good for everything';

$r = call(POST => "/$id/suspend", { reason => 'Unpaid.' });
is $r->status, 200, 'a partner is suspended' or diag $r->body;
is_deeply [@{ $r->json }{qw(status status_reason)}], ['suspended', 'Unpaid.'],
    'with the reason';
cmp_ok $r->json->{status_changed_at}, 'gt', $initech->{status_changed_at},
    'and the time';
is_deeply slugs('status=suspended'), ['initech'], 'it is listed as such';

is tenant($_)->code, 'partner_unknown', "its token is refused ($_)"
    for 'initech', $id;
is with_key($key->{key}, GET => $tenants)->code, 'partner_unknown',
    'its key is refused';
is $nginx->request(GET => $tenants, token => token(partner => 'initech'))
    ->code, 'partner_unknown', 'for reading, too';
is tenant('acme')->status, 201, 'that of another is not';

is_problem(call(POST => "/$id/suspend", { reason => 'Again.' }),
    'a second suspension', 409, 'invalid_transition',
    'The partner is suspended already.',
    members => '"from":"suspended","to":"suspended"');
is call(POST => "/$id/suspend", { })->code, 'invalid_body',
    'a suspension has a reason';
is call(POST => "/$nobody/suspend", { reason => 'x' })->code,
    'partner_not_found', 'nobody is not suspended';

$r = call(POST => "/$id/resume", undef, headers => { 'If-Match' => '"3"' });
is $r->status, 200, 'it is resumed' or diag $r->body;
is_deeply [@{ $r->json }{qw(status status_reason)}], ['active', undef],
    'and no reason stays';
is tenant('initech')->status, 201, 'its token is good again';
wait_until 'its key, too', sub {
    with_key($key->{key}, GET => $tenants)->status == 200 };
is_problem(call(POST => "/$id/resume"), 'resuming again', 409,
    'invalid_transition', 'The partner is not suspended.',
    members => '"from":"active","to":"active"');
is scalar(grep { $_->{status} == 200 } @{ audit("partner_$_", $id) }), 1,
    "the audit tells of ${_}ing it"
    for qw(suspend resume);


# a partner that works is stopped in the middle

my $stopped = made(slug => 'busy')->{partner};
my @jobs = map { background(sub {
    my ($go_on) = @_;
    my %seen;
    my $last = '';

    while ($go_on->() || $last ne 'partner_unknown') {
        my $from = time;
        $r = tenant('busy');
        $last = $r->code || $r->status;
        push @{ $seen{$last} }, [$from, time];
    }

    return \%seen;
}) } 1 .. 4;
wait_until 'it works', sub { $postgres->value('select count(*)
    from prov.tenants where partner = ?', $stopped) > 10 };
call(POST => "/$stopped/suspend", { reason => 'Now.' })->status == 200
    or die 'no suspension';
my $since = time;
wait_until 'it is refused', sub { tenant('busy')->status == 403 };
my @results = map { $_->finish } @jobs;
my @late = grep { $_->[0] > $since } map { @{ $_->{201} || [] } } @results;
is scalar @late, 0, 'nothing that began after a suspension succeeded';
cmp_ok scalar(map { @{ $_->{partner_unknown} || [] } } @results), '>', 3,
    'all of it was refused';


# the first key

is_deeply $key->{scopes}, ['*'], 'the key has the scopes that were said';
is $postgres->value('select partner from prov.api_keys where id = ?',
    $key->{api_key}), $id, 'it is the partner\'s';
$entry = audit('partner_key_create', $id)->[0];
like $entry->{after}, qr/"key" : null/, 'the audit has no secret';
is $postgres->value('select count(*) from prov.audit_details
    where (audit_details.*)::text like ?', '%' . substr($key->{key}, 36, 43) . '%'), 0,
    'anywhere';
is call(POST => "/$nobody/keys", { name => 'x', scopes => ['*'] })->code,
    'partner_not_found', 'nobody gets no key';
is call(POST => "/$id/keys", { name => 'x', scopes => ['*'],
    ip_allow => ['192.0.2.1/24'] })->code, 'ip_allow_invalid',
    'a network must be one';
is call(POST => "/$id/keys", { name => 'x', scopes => ['*'],
    expires_at => '2020-01-01T00:00:00Z' })->code, 'expires_at_past',
    'and the future to come';
is $nginx->request(GET => "/api/provisioning/api-keys/$key->{api_key}",
    token => token(partner => 'initech'))->json->{name}, 'First',
    'the partner sees it among its keys';
is $nginx->request(GET => "/api/provisioning/api-keys/$key->{api_key}",
    token => token())->status, 404, 'and nobody else does';


# keys of operators

my $root = $postgres->value("select prov.operator_key_add('Root')");
my $reads = $postgres->value(
    "select prov.operator_key_add('Watch', '{partner:read}')");
$r = with_key($root, POST => $partners, json => { slug => 'keyed',
    name => 'Keyed' });
is $r->status, 201, 'a key that was made at psql makes partners'
    or diag $r->body;
is $postgres->value(q{select kind || ' ' || key_id from prov.audit
    where operation = 'partner_create' and resource_id = ?},
    $r->json->{partner}), 'key ' . join('-', unpack 'A8A4A4A4A12',
    substr $root, 3, 32), 'and the audit says so';
is with_key($reads, GET => $partners)->status, 200, 'one with less reads';
is with_key($reads, POST => $partners, json => { })->code,
    'permission_denied', 'and does no more';
is with_key($root, GET => $tenants)->code, 'key_invalid',
    'an operator\'s key is none on the partners\' side';
is with_key($key->{key}, GET => $partners)->code, 'key_invalid',
    'nor a partner\'s on this one';

my ($watch) = map { join '-', unpack 'A8A4A4A4A12', substr $_, 3, 32 } $reads;
my $used = sub { $postgres->value('select last_used_at from prov.api_keys
    where id = ?', $watch) };
my $noted = wait_until 'the use of a key is noted', $used;
$postgres->sql(q{update prov.api_keys set last_used_at = last_used_at
    - interval '20 seconds' where id = ?}, $watch);
$noted = $used->();
for (1 .. 3) {
    with_key($reads, GET => $partners);
    select undef, undef, undef, 0.5;
}
is $used->(), $noted, 'a use within the minute is not';
$postgres->sql(q{update prov.api_keys set last_used_at = last_used_at
    - interval '50 seconds' where id = ?}, $watch);
wait_until 'one after it is', sub {
    with_key($reads, GET => $partners);
    $used->() gt $noted;
};
ok 1, 'one after it is noted again';

$postgres->value('select prov.operator_key_revoke(?)', $root);
is with_key($root, GET => $partners)->code, 'key_revoked',
    'revoked at psql, it lets nobody in from the next request on';


# the quota

$postgres->allow(qr/ PV403 /);

my $small = made(slug => 'small', tenant_quota => 10)->{partner};
my @creates = map { background(sub {
    my %seen;
    $seen{ do { my $r = tenant('small'); $r->code || $r->status } }++
        for 1 .. 10;
    return \%seen;
}) } 1 .. 5;
my %seen;

for my $job (@creates) {
    my $result = $job->finish;
    $seen{$_} += $result->{$_} for keys %$result;
}

is_deeply \%seen, { 201 => 10, partner_quota_exceeded => 40 },
    'of 50 creates at a quota of 10, 10 succeed';
is $postgres->value('select count(*) from prov.tenants where partner = ?',
    $small), 10, 'and 10 tenants are there';
is_problem(tenant('small'), 'one more', 403, 'partner_quota_exceeded',
    'You may have 10 tenants, and this would be more.',
    members => '"quota":10');

$r = $nginx->request(PUT => "$tenants/by-external-id/x",
    token => token(partner => 'small'),
    json => { client_name => 'X', email => unique_email() });
is $r->code, 'partner_quota_exceeded', 'nor by an external_id';

is $nginx->request(POST => "$tenants/bulk", token => token(partner => 'small'),
    json => { tenants => [map { { client_name => 'X',
        email => unique_email() } } 1 .. 2] })->code,
    'partner_quota_exceeded', 'nor many at once';
is call(PATCH => "/$small", { tenant_quota => 11 })->json->{tenant_quota}, 11,
    'the quota is raised';
is tenant('small')->status, 201, 'which is one more';
is tenant('small')->code, 'partner_quota_exceeded', 'and not two';
is call(PATCH => "/$small", { tenant_quota => 3 })->status, 200,
    'a quota below what is there is possible';
is tenant('small')->code, 'partner_quota_exceeded', 'and stops';
is call(PATCH => "/$small", { tenant_quota => undef })->json->{tenant_quota},
    undef, 'no quota';
is tenant('small')->status, 201, 'is no limit';

# what is there counts when a quota comes, also what is just being made

my $count = $postgres->value('select count(*) from prov.tenants
    where partner = ?', $small);
@creates = map { background(sub {
    my ($go_on) = @_;
    my $n = 0;
    $n++ while $go_on->() && tenant('small')->status == 201;
    return $n;
}) } 1 .. 4;
wait_until 'they are made', sub { $postgres->value('select count(*)
    from prov.tenants where partner = ?', $small) > $count + 10 };
call(PATCH => "/$small", { tenant_quota => $count + 100 })->status == 200
    or die 'no quota';
wait_until 'the quota is full', sub { $postgres->value('select count(*)
    from prov.tenants where partner = ?', $small) >= $count + 100 };
tenant('small') for 1 .. 3;
$_->finish for @creates;
is $postgres->value('select count(*) from prov.tenants where partner = ?',
    $small), $count + 100, 'a quota that comes while tenants are made holds';
is $postgres->value('select tenants from prov.quotas where id = ?', $small),
    $count + 100, 'and its count is right';

$postgres->sql('delete from prov.tenants where id in (select id
    from prov.tenants where partner = ? limit 3)', $small);
is $postgres->value('select tenants from prov.quotas where id = ?', $small),
    $count + 97, 'what is removed for good is given back';
is tenant('small')->status, 201, 'and may be made again';

is tenant('acme')->status, 201, 'who has no quota is not counted';
is $postgres->value('select count(*) from prov.quotas where id = ?',
    $postgres->partner('acme')), 0, 'anywhere';

done_testing;
