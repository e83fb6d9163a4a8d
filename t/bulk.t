#!/usr/bin/perl

# POST /tenants/bulk: many tenants in one request, all or none of them, or as
# many as can be; and what of it is kept.  What is done after the answer is in
# t/operations.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Problem;

use JSON::PP ();

my $postgres = postgres();
$postgres->lock_timeout('60s');
my (undef, $nginx) = gateway(postgres => $postgres, workers => 2,
    api => 'client_max_body_size 1m;');
my $path = '/api/provisioning/tenants';
my ($true, $false) = (JSON::PP::true, JSON::PP::false);

sub bulk {
    my ($tenants, %o) = @_;
    return $nginx->request(POST => "$path/bulk" . ($o{query} || ''),
        token => $o{token} || token(), headers => $o{headers},
        json => { tenants => $tenants,
                  exists $o{atomic} ? (atomic => $o{atomic}) : () });
}

sub tenant { return { client_name => 'Bulk', email => unique_email(), @_ } }
sub rows { $postgres->value('select count(*) from prov.tenants') }
sub entries {
    return $postgres->value(q{select count(*) from prov.audit
        where operation = 'tenant_bulk' and status < 300});
}

sub said {
    return join ' ', map { $_->{problem} ? $_->{problem}{code} : 'made' }
        @{ $_[0]->json->{results} };
}


# Examples of the document

my $document = $nginx->request(GET => '/api/provisioning/openapi.json')->json;
my $operation = $document->{paths}{'/tenants/bulk'}{post};
my $examples = $operation->{requestBody}{content}{'application/json'}
    {examples};

# ids are those of the day

sub plain { $_[0] =~ s/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/id/gr }

sub is_example {
    my ($r, $status, $name) = @_;
    my $response = $operation->{responses}{$status};
    $response = $document->{components}{responses}{ $1 }
        if ($response->{'$ref'} || '') =~ m{([^/]+)\z};
    my $json = JSON::PP->new->canonical;
    my ($media) = values %{ $response->{content} };
    is $r->status, $status, $name or diag $r->body;
    return is plain($json->encode($r->json)),
        plain($json->encode($media->{example})), 'as the document shows it';
}

sub example {
    return $nginx->request(POST => "$path/bulk", token => token(),
        json => $examples->{ $_[0] }{value});
}

is_example example('each'), 200, 'of two with one e-mail address one is made';
is_example example('atomic'), 201, 'of all or none all are made';
is example('atomic')->status, 409, 'and the second time none';
is_example $nginx->request(POST => "$path/bulk", token => token(),
    json => { atomic => $true, tenants => [tenant(),
        { client_name => 'X', email => 'admin@acme.example' }] }), 409,
    'none is made when one cannot be';


# What is answered, and what is there

my $rows = rows();
my @wanted = map { tenant(external_id => "bulk-$_",
    metadata => { n => "$_" }) } 1 .. 3;
my $r = bulk(\@wanted);
is $r->status, 201, 'all are made' or diag $r->body;
is $r->header('Location'), undef, 'there is no single place where they are';
is rows(), $rows + 3, 'they are there';

my @ids = map { $_->{tenant} } @{ $r->json->{results} };
is_deeply [sort @ids], \@ids, 'their ids ascend';

for my $n (0 .. 2) {
    my $t = $nginx->request(GET => "$path/$ids[$n]", token => token());
    is_deeply [@{ $t->json }{qw(email external_id metadata status)},
               $t->header('ETag')],
        [@{ $wanted[$n] }{qw(email external_id metadata)}, 'active', '"1"'],
        "the one at index $n is what was sent there";
}

$r = $nginx->request(GET => "$path?sort=created_at&q=bulk&fields=email",
    token => token());
is_deeply [map { $_->{email} } @{ $r->json->{data} }],
    [map { $_->{email} } @wanted], 'and they are listed in that order';

$r = bulk([tenant(), tenant(external_id => 'bulk-1'), tenant()],
          atomic => $false);
is $r->status, 200, 'without "atomic" as many as can be are made';
is said($r), 'made external_id_taken made', 'and told which';
is_deeply [@{ $r->json }{qw(created failed)}], [2, 1], 'and counted';
is_deeply [map { [$_->{index}, $_->{status}] } @{ $r->json->{results} }],
    [[0, 201], [1, 409], [2, 201]], 'each with its index and status';

$r = bulk([tenant(external_id => 'bulk-1')],
          token => token(partner => 'globex'));
is $r->status, 201, 'another partner\'s are not in the way';


# What is not as described

$rows = rows();
my $entries = entries();

$r = bulk([tenant(), tenant(email => 'nobody'), tenant(slug => 'A')]);
is_problem $r, 'what is not as described makes none', 400, 'invalid_body',
    'The body is not as described; see "errors".',
    errors => '[' . join(',',
        violation('/tenants/1/email', 'format', 'must be an e-mail address'),
        violation('/tenants/2/slug', 'pattern',
            'must be of a to z, 0 to 9 and hyphens')) . ']';
is bulk([])->status, 400, 'nor does an empty list';
is $nginx->request(POST => "$path/bulk", token => token(),
       json => { atomic => $true })->status, 400, 'or none';
is bulk([map { tenant() } 1 .. 1001])->json->{errors}[0]{code}, 'max_items',
    'or one of 1,001';
is bulk([tenant(industry => 'x' x 100, metadata => {
       map { ("k$_" => 'x' x 500) } 1 .. 50 })], atomic => 'yes')->status,
    400, 'or an "atomic" that is no boolean';
is $nginx->request(POST => "$path/bulk", token => token(),
       headers => { 'Content-Type' => 'application/json' },
       body => ' ' x (1024 * 1024 + 1))->status, 413,
    'or a body that is too large';
is_problem bulk([tenant()], token => token(roles => ['integration-user'])),
    'or who may not', 403, 'permission_denied', 'The operation requires the '
    . 'permission "tenant:create", which none of the caller\'s roles grants.';
is rows(), $rows, 'there are as many as before';
is entries(), $entries, 'and none is written down as made';


# Once, and for trial

my %key = (headers => { 'Idempotency-Key' => 'bulk-once' });
my @once = (tenant(), tenant(email => $wanted[0]{email}));
$r = bulk(\@once, %key);
is said($r), 'made email_taken', 'with a key';
my $again = bulk(\@once, %key);
is $again->body, $r->body, 'it is made once';
is $again->header('Idempotent-Replayed'), 'true', 'and answered again';
is bulk([tenant()], %key)->status, 422, 'the key is good for nothing else';

# What a purge takes out of an answer that is kept; the key stays one.

my %purged = (headers => { 'Idempotency-Key' => 'bulk-purged' });
my @some = (tenant(), tenant(), tenant(email => $wanted[1]{email}));
push @some, tenant(email => $some[0]{email});
my ($one, $two) = map { $_->{tenant} } @{ bulk(\@some, %purged)
    ->json->{results} };
my ($old) = map { $_->{tenant} } @{ $nginx->request(GET =>
    "$path?email=$wanted[1]{email}", token => token())->json->{data} };
is $nginx->request(DELETE => "$path/$_?purge=true", token => token())->status,
    200, 'a tenant of several is purged' for $one, $old;
$r = bulk(\@some, %purged);
is $r->header('Idempotent-Replayed'), 'true', 'the key still fences them';
unlike $r->body, qr/$_/, 'what is gone is in no kept answer' for $one, $old;
is_deeply [map { [@$_{qw(index status)}, $_->{tenant} || $_->{problem}{code}] }
    @{ $r->json->{results} }], [[0, 410, 'tenant_purged'], [1, 201, $two],
    [2, 409, 'email_taken'], [3, 409, 'email_taken']],
    'the others are told as they were';
is $postgres->value('select count(*) from prov.idempotency where'
    . " body::text like ? or body::text like ?", "%$one%", "%$old%"), 0,
    'nor in any other';

$rows = rows();
$r = bulk([tenant(), tenant()], query => '?dry_run=true');
is $r->status, 201, 'it is tried' or diag $r->body;
is $r->json->{status}, 201, 'and would make all';
is $r->json->{resource}{created}, 2, 'of them';
is rows(), $rows, 'and made none';
is bulk([tenant(), tenant(email => $wanted[0]{email})], atomic => $true,
    query => '?dry_run=true')->status, 409, 'or would make none';


# At the same time

my @same = map { tenant() } 1 .. 100;
my @parallel = map {
    my $mine = $_;
    background(sub { said(bulk($mine)) });
} \@same, [reverse @same], \@same, [reverse @same];
my %told;

for my $said (map { $_->finish } @parallel) {
    $told{$_}++ for split / /, $said;
}

is_deeply \%told, { made => 100, email_taken => 300 },
    'several who make the same tenants, in whatever order, make each once';
is $postgres->value('select deadlocks from pg_stat_database'
    . ' where datname = current_database()'), 0, 'and wait in no circle';


# A hundred, which is as many as are made at once; and a thousand, on trial

$rows = rows();
$r = bulk([map { tenant(client_name => 'One of a hundred') } 1 .. 100],
          headers => { Prefer => 'wait=10, return=minimal' });
is $r->status, 201, 'a hundred are made' or diag substr $r->body, 0, 300;
is $r->header('Preference-Applied'), undef, 'as no preference matters';
is rows(), $rows + 100, 'and are there';
is scalar(@{ $r->json->{results} }), 100, 'and told of';
is $postgres->value(q{select count(distinct t.slug) from prov.tenants t
        join prov.audit a on a.tenant = t.id and a.seq = 1
        where t.client_name = 'One of a hundred'}), 100,
    'each with a slug and an entry in the audit of its own';

$r = bulk([map { tenant() } 1 .. 1000], query => '?dry_run=true',
          headers => { Prefer => 'respond-async' });
is $r->status, 201, 'a thousand are tried at once'
    or diag substr $r->body, 0, 300;
is $r->json->{resource}{created}, 1000, 'and would be made';
is rows(), $rows + 100, 'and are not';


# What is answered before it is done has a bound, too, which no number of
# requests at a time gets past

sub later {
    my ($n, %headers) = @_;
    return bulk([map { tenant() } 1 .. $n],
        headers => { Prefer => 'respond-async', %headers });
}

$postgres->sql(q{insert into prov.operations (id, partner, operation, ctx)
    select gen_random_uuid(), p.id, 'tenant_bulk', '{}'
    from prov.partners p, generate_series(1, 98) where p.slug = 'acme'});

%told = ();
$told{$_}++ for map { split / /, $_->finish } map {
    my $n = $_;
    background(sub { join ' ', map { later($n)->status } 1 .. 4 });
} 1, 1, 1, 101;
is_deeply \%told, { 202 => 2, 429 => 14 },
    'a partner has at most 100 operations that are not over';

my @key = ('Idempotency-Key' => 'one-too-many');
$r = later(1, @key);
is $r->status . ' ' . $r->code, '429 too_many_operations',
    'one too many is refused';
is_deeply [$r->header('Retry-After'), $r->json->{limit}], [10, 100],
    'and told how many there may be, and when to come again';
is bulk([tenant()])->status, 201, 'what is made at once is not concerned';
is bulk([tenant()], token => token(partner => 'globex'),
    headers => { Prefer => 'respond-async' })->status, 202,
    'nor are other partners';

$postgres->sql(q{update prov.operations set status = 'succeeded'
    where id = (select min(id::text)::uuid from prov.operations)});
is later(1, @key)->status, 202, 'when one is over there is room, also for a'
    . ' key that was refused';

done_testing;
