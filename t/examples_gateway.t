#!/usr/bin/perl

# The examples of what is the same in every API are true: the gateway's own
# operations, and the errors of a request, of the database and of time.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Exchange;

my $API = '/api/provisioning';
my $TENANTS = "$API/tenants";
my $ID = '0194f0b2-3b40-7c3e-8b1f-2f6d3a9c7e51';

# one request a minute for those that send a header "Limit"

my ($postgres, $nginx) = gateway(
    http => 'limit_req_zone $http_limit zone=often:1m rate=1r/m;'
        . ' limit_req_status 429;',
    api  => 'client_max_body_size 10k; limit_req zone=often;');
exchange(gateway => $nginx);

sub create {
    my (%members) = @_;
    return ask(POST => $TENANTS, json => { client_name => 'X', %members });
}


is_example 'health_live 200', $nginx->request(GET => "$API/health/live");
is_example 'health_ready 200', $nginx->request(GET => "$API/health/ready");


# what callers do wrong

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

my $tenant = create(email => unique_email())->header('Location');
is_example 'PreconditionFailed', ask(PATCH => $tenant,
    json => { client_name => 'Y' }, headers => { 'If-Match' => '"0"' });

my @key = (headers => { 'Idempotency-Key' => 'k' });
ask(POST => "$tenant/suspend", @key, json => { reason => 'x' });
is_example 'IdempotencyKeyReused',
    ask(POST => "$tenant/suspend", @key, json => { reason => 'y' });

$postgres->sql('begin');
$postgres->sql('lock table prov.idempotency in exclusive mode');
is_example 'InProgress', ask(DELETE => $tenant, @key);
$postgres->sql('rollback');

my @limited = map { ask(GET => $TENANTS, headers => { Limit => 'x' }) } 1, 2;
is $limited[0]->status, 200, 'who asks once is answered';
is_example 'Error', $limited[1];

my $strict = nginx(postgres => $postgres,
    http => 'provisioning_limit_zone callers 1m;',
    api  => 'provisioning_limit callers rate=5r/s burst=1;'
        . ' provisioning_require_if_match on;');
is_example 'PreconditionRequired', ask(PATCH => $tenant,
    json => { client_name => 'Y' }, nginx => $strict);
is_example 'TooManyRequests caller', wait_until('one is too many', sub {
    my $r = ask(GET => $TENANTS, nginx => $strict);
    $r->status == 429 && $r;
});


# what the database has to fail for

$postgres->allow(qr/ 22012 /);
$postgres->sql('create function prov.broken() returns trigger language plpgsql'
    . ' as $$ begin perform 1 / 0; end $$');
$postgres->sql('create trigger broken before insert on prov.tenants'
    . ' for each row execute function prov.broken()');
is_example 'InternalError', create(email => unique_email());
$postgres->sql('drop trigger broken on prov.tenants');

# a lock that others wait for, longer than they may

$postgres->lock_timeout('60s');
my ($narrow, $brief) = map { nginx(postgres => $postgres, database =>
    "connections 1 pipeline=1; queue 1 timeout=$_; query_timeout 60s;") }
    '60s', '500ms';
my $hasty = nginx(postgres => $postgres,
    database => 'connections 1; query_timeout 500ms;');
$_->ready for $narrow, $brief, $hasty;

sub asking {
    my ($nginx) = @_;
    my $connection = $nginx->connection;
    $connection->send_request(GET => "$TENANTS/$ID", token => token());
    return sub { $connection->read_response(timeout => 60) };
}

$postgres->allow(qr/ 57014 /, qr/ 55P03 /);
$postgres->sql('begin');
$postgres->sql('lock table prov.tenants in access exclusive mode');

is_example 'Timeout query', ask(GET => "$TENANTS/$ID", nginx => $hasty);

sub run {
    my ($nginx) = @_;
    my $locks = 'select count(*) from pg_locks where not granted';
    my $before = $postgres->value($locks);
    my $runs = asking($nginx);
    wait_until 'one runs', sub { $postgres->value($locks) > $before };
    return $runs;
}

wait_until 'the lock is waited for by nobody', sub { !$postgres->waiting };
my @run = run($narrow);
my $waits = asking($narrow);
$narrow->request(GET => '/health/live') for 1 .. 3;
is_example 'Unavailable overloaded',
    ask(GET => "$TENANTS/$ID", nginx => $narrow);
push @run, run($brief);
is_example 'Timeout queue', asking($brief)->();
$postgres->sql('rollback');
$_->() for @run, $waits;

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

# an issuer whom nobody can reach

my $port = reserve_port();
my (undef, $keyless) = gateway(postgres => $postgres, start => 0,
    http => <<"END", locations => <<'END');
    provisioning_outbound {
        plain_http on;
        allow_network 127.0.0.0/8;
    }

    provisioning_issuer login {
        iss http://127.0.0.1:$port;
        audience %%AUDIENCE%%;
        jwks_uri http://127.0.0.1:$port/keys;
    }
END
        location /login/ {
            provisioning_auth login;
            provisioning_api %%OPENAPI%%/partner.json prefix=/login/;
            provisioning_pass tenants;
        }
END
$keyless->start;
is_example 'NotReady keys',
    $keyless->request(GET => '/login/health/ready');


none_left();

done_testing;
