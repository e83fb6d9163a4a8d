#!/usr/bin/perl

# The examples of the partner API's document are true: each one of a request
# is sent and works, each one of a response is what is really answered, and
# one that nobody has provoked here fails the test.  That they fit their
# schemas is checked when the document is read (t/openapi.t).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;

my $API = '/api/provisioning';
my $TENANTS = "$API/tenants";
my $ID = '0194f0b2-3b40-7c3e-8b1f-2f6d3a9c7e51';

# one request a minute for those that send a header "Limit"

my ($postgres, $nginx) = gateway(
    http => 'limit_req_zone $http_limit zone=often:1m rate=1r/m;'
        . ' limit_req_status 429;',
    api  => 'client_max_body_size 10k; limit_req zone=often;');
my $document = $nginx->request(GET => "$API/openapi.json")->json;


# --- what the document has ------------------------------------------------

sub resolve {
    my ($value) = @_;

    while (my $ref = $value->{'$ref'}) {
        $value = $document;
        $value = $value->{ s/~1/\//gr =~ s/~0/~/gr }
            for split m{/}, $ref =~ s{\A#/}{}r;
    }

    return $value;
}

# Examples by name, "" for the only one.

sub examples_of {
    my ($media) = @_;
    my %found = map { ($_ => resolve($media->{examples}{$_})->{value}) }
        keys %{ $media->{examples} || {} };

    $found{''} = $media->{example} if exists $media->{example};
    return \%found;
}

# The operations whose examples are provoked here.

my %here = map { ($_ => 1) } qw(tenant_create tenant_list tenant_get
    openapi_get health_live health_ready);

# "tenant_create 400 json" => [media type, value]; those of a component, which
# operations share, under its name: "BadRequest parameter".

my (%sent, %answered);

for my $item (values %{ $document->{paths} }) {
    for my $operation (grep { ref eq 'HASH' && $_->{operationId} }
                       values %$item)
    {
        my $id = $operation->{operationId};
        next if !$here{$id};

        my $body = resolve($operation->{requestBody} || {})->{content} || {};

        for my $type (keys %$body) {
            my $found = examples_of($body->{$type});
            $sent{"$id $_"} = [$type, $found->{$_}] for keys %$found;
        }

        for my $status (keys %{ $operation->{responses} }) {
            my $response = $operation->{responses}{$status};
            my $name = ($response->{'$ref'} || '') =~ m{/([^/]+)\z} ? $1
                : "$id $status";
            my $content = resolve($response)->{content} || {};

            for my $type (keys %$content) {
                my $found = examples_of($content->{$type});
                $answered{"$name $_" =~ s/ \z//r} = [$type, $found->{$_}]
                    for keys %$found;
            }
        }
    }
}

cmp_ok scalar keys %sent, '>', 2, 'there are examples of requests';
cmp_ok scalar keys %answered, '>', 25, 'and of responses';


# --- what is answered -----------------------------------------------------

# An example says what it says; ids, times and the number of a migration are
# those of the day.

sub comparable {
    my ($value) = @_;

    return $value if !ref $value;
    return [map { comparable($_) } @$value] if ref $value eq 'ARRAY';
    return $value if ref $value ne 'HASH';

    my %copy = map { ($_ => comparable($value->{$_})) } keys %$value;

    for my $key (qw(tenant request_id created_at updated_at
        status_changed_at schema_version)) {
        next if !defined $copy{$key};
        $copy{$key} = "a $key"
            if $copy{$key} =~ /\A(?:[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}|
                \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z|\d+)\z/x;
    }

    return \%copy;
}

sub is_example {
    my ($name, $response) = @_;
    my ($type, $value) = @{ delete $answered{$name} || ['', {}] };

    is $response->type, $type, "$name: the media type is what is described";
    is_deeply comparable($response->json), comparable($value),
        "$name: the example is what is answered" or diag $response->body;
    is $response->status, $value->{status}, "$name: with its status"
        if ($value->{status} || '') =~ /\A\d+\z/;

    return $response;
}

sub send_example {
    my ($name) = @_;
    my ($type, $value) = @{ delete $sent{$name} || ['', {}] };

    return $nginx->request(POST => $TENANTS, token => token(), json => $value,
        headers => { 'Content-Type' => $type });
}

sub ask {
    my ($method, $path, %o) = @_;
    return ($o{nginx} || $nginx)->request($method => $path, token => token(),
                                          %o);
}

sub create {
    my (%members) = @_;
    my @token = delete @members{ grep { $_ eq 'token' } keys %members };

    return ask(POST => $TENANTS, json => { client_name => 'X', %members },
               @token ? (token => @token) : ());
}

sub forget { $postgres->sql('delete from prov.tenants') }


is_example 'tenant_list 200 empty', ask(GET => $TENANTS);

is send_example('tenant_create former')->status, 201,
    'a request with the former name works';
forget();
is_example 'tenant_create 201 dry_run', ask(
    POST => "$TENANTS?dry_run=true", json => { client_name => 'Acme '
    . 'Corporation', email => 'admin@acme.example' });
is_example 'tenant_create 201 least', send_example('tenant_create least');
forget();

my $all = is_example 'tenant_create 201 all',
    send_example('tenant_create all');
is_example 'tenant_list 200 last', ask(GET => $TENANTS);
is_example 'tenant_list 200 part',
    ask(GET => "$TENANTS?fields=client_name,status");
is_example 'tenant_get 200', ask(GET => $all->header('Location'));

is_example 'TenantNotFound', ask(GET => "$TENANTS/$ID");
is_example 'TenantConflict email', create(email => 'admin@acme.example');
is_example 'TenantConflict external_id',
    create(email => unique_email(), external_id => 'crm-4711');

create(email => unique_email(), slug => 'globex',
       token => token(partner => 'globex'));
is_example 'TenantConflict slug',
    create(email => unique_email(), slug => 'globex');

$postgres->allow(qr/ PV403 /);
$postgres->sql('insert into prov.quotas (id, quota, tenants) values (?, 3, 3)',
    $postgres->partner('acme'));
is_example 'TenantForbidden', create(email => unique_email());
$postgres->sql('delete from prov.quotas');

my @key = (headers => { 'Idempotency-Key' => 'k' });
ask(POST => $TENANTS, @key, json => { client_name => 'X',
    email => unique_email() });
is_example 'IdempotencyKeyReused', ask(POST => $TENANTS, @key, json => {
    client_name => 'Y', email => unique_email() });

$postgres->sql('begin');
$postgres->sql('lock table prov.idempotency in exclusive mode');
is_example 'TenantConflict repeated', ask(POST => $TENANTS, @key, json => {
    client_name => 'Z', email => unique_email() });
$postgres->sql('rollback');

is_example 'BadRequest parameter', ask(GET => "$TENANTS?page=2");
is_example 'BadRequestBody body', create();
is_example 'BadRequestBody json', ask(POST => $TENANTS,
    body => '{"slug":10,"slug":11}',
    headers => { 'Content-Type' => 'application/json' });
is_example 'Unauthorized missing', $nginx->request(GET => $TENANTS);
is_example 'Unauthorized expired',
    ask(GET => $TENANTS, token => token(exp => time - 600));
is_example 'Forbidden permission', ask(POST => $TENANTS, json => {},
    token => token(roles => ['integration-user']));
is_example 'Forbidden partner',
    ask(GET => $TENANTS, token => token(partner => 'nobody'));
is_example 'MethodNotAllowed', ask(PUT => $TENANTS);
is_example 'NotAcceptable',
    ask(GET => $TENANTS, headers => { Accept => 'text/html' });
is_example 'BodyTooLarge', create(client_name => 'x' x 11000);
is_example 'UnsupportedMediaType', ask(POST => $TENANTS, body => 'a=b',
    headers => { 'Content-Type' => 'application/x-www-form-urlencoded' });
my @limited = map { ask(GET => $TENANTS, headers => { Limit => 'x' }) } 1, 2;
is $limited[0]->status, 200, 'who asks once is answered';
is_example 'Error', $limited[1];

my $strict = nginx(postgres => $postgres,
    http => 'provisioning_limit_zone callers 1m;',
    api  => 'provisioning_limit callers rate=5r/s burst=1;');
is_example 'TooManyRequests caller', wait_until('one is too many', sub {
    my $r = ask(GET => $TENANTS, nginx => $strict);
    $r->status == 429 && $r;
});

is_example 'Live', $nginx->request(GET => "$API/health/live");
is_example 'Ready', $nginx->request(GET => "$API/health/ready");


# --- what the database has to fail for --------------------------------------

$postgres->allow(qr/ 22012 /);
$postgres->sql('create function prov.broken() returns trigger language plpgsql'
    . ' as $$ begin perform 1 / 0; end $$');
$postgres->sql('create trigger broken before insert on prov.tenants'
    . ' for each row execute function prov.broken()');
is_example 'InternalError', create(email => unique_email());
$postgres->sql('drop trigger broken on prov.tenants');

# a lock that others wait for, longer than they may

my $narrow = nginx(postgres => $postgres, database => 'connections 1 '
    . 'pipeline=1; queue 1 timeout=500ms; query_timeout 60s;');
my $hasty = nginx(postgres => $postgres,
    database => 'connections 1; query_timeout 500ms;');
$_->ready for $narrow, $hasty;

sub asking {
    my $connection = $narrow->connection;
    $connection->send_request(GET => "$TENANTS/$ID", token => token());
    return sub { $connection->read_response(timeout => 60) };
}

$postgres->allow(qr/ 57014 /, qr/ 55P03 /);
$postgres->sql('begin');
$postgres->sql('lock table prov.tenants in access exclusive mode');

is_example 'Timeout query', ask(GET => "$TENANTS/$ID", nginx => $hasty);

my $runs = asking();
wait_until 'one runs', sub { $postgres->value('select count(*) from pg_locks'
    . ' where not granted') };
my $waits = asking();
$narrow->request(GET => '/health/live') for 1 .. 3;
is_example 'Unavailable overloaded',
    ask(GET => "$TENANTS/$ID", nginx => $narrow);
is_example 'Timeout queue', $waits->();
$postgres->sql('rollback');
$runs->();

# a reply that is lost, and nobody to be asked what became of it

my $relay = relay($postgres);
my $lost = nginx(postgres => $relay,
    database => 'connections 1; queue 64 timeout=500ms; query_timeout 20s;');
$lost->ready;

$postgres->allow(qr/FATAL:  connection to client lost/);
$relay->stall_replies;
my $connection = $lost->connection;
my $email = unique_email();
$connection->send_request(POST => $TENANTS, token => token(),
    json => { client_name => 'X', email => $email });
wait_until 'it is committed', sub { $postgres->value(
    'select count(*) from prov.tenants where email = ?', $email) };
$relay->refuse;
is_example 'OutcomeUnknown', $connection->read_response(timeout => 60);
is_example 'Unavailable away', ask(GET => "$TENANTS/$ID", nginx => $lost);
is_example 'NotReady away', $lost->request(GET => "$API/health/ready");

$postgres->sql('drop function partner.tenant_get');
is_example 'NotReady missing', $nginx->request(GET => "$API/health/ready");


is_deeply [sort keys %sent], [], 'no example of a request is left out';
is_deeply [sort keys %answered], [], 'nor one of a response';

done_testing;
