#!/usr/bin/perl

# The whole way of a request once, and the harness itself: that a file fails
# when a log has what it must not have, and that nothing stays behind.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;

my ($postgres, $nginx) = gateway(workers => 2);

my $r = $nginx->request(GET => '/health/live');
is $r->status, 200, 'a worker says that it is alive';

$r = $nginx->request(GET => '/health/ready');
is $r->status, 200, 'the gateway is ready when its database is';

$r = $nginx->request(POST => '/api/provisioning/tenants',
    token => token(),
    json  => { client_name => 'Acme Retail', email => unique_email() });
is $r->status, 201, 'a partner creates a tenant' or diag $r->body;
is $r->type, 'application/json', 'the answer is JSON';

my $location = $r->header('Location');
my $tenant = $r->json->{tenant};
like $location, qr{/api/provisioning/tenants/\Q$tenant\E\z},
    'Location says where the new tenant is';
is $postgres->value('select client_name from prov.tenants where id = ?',
                    $tenant),
    'Acme Retail', 'the new tenant is in the database';

$r = $nginx->request(GET => $location, token => token());
is $r->status, 200, 'its creator reads it';

$r = $nginx->request(GET => $location, token => token(partner => 'globex'));
is $r->status, 404, 'to another partner it does not exist';

$r = $nginx->request(GET => $location);
is $r->status, 401, 'without a token nobody reads it';
is $r->type, 'application/problem+json', 'the refusal is a problem document';
isnt $r->code, '', 'the refusal has a code';

$r = $nginx->request(GET => '/api/provisioning/nothing', token => token());
is $r->status, 404, 'a path that the API does not have is not found';

for my $key (qw(ec256 ec384 ec521 ed25519)) {
    $r = $nginx->request(GET => $location, token => token(key => $key));
    is $r->status, 200, "a token signed with the $key key is accepted";
}

$r = $nginx->request(GET => $location, token => token(key => 'rsa2'));
is $r->status, 401, 'a token signed with a strange key is refused';

# Two requests in one packet, on a connection that is kept.

my $connection = $nginx->connection;
my $bytes = Provisioning::Test::HTTP->compose(GET => $location,
    token => token(), keep => 1);
$connection->write($bytes x 2);
is $connection->read_response->status, 200,
    'the first of two pipelined requests is answered';
is $connection->read_response->status, 200,
    'and so is the second, on the same connection';
$connection->close;

# An access log that says what happened.

wait_until 'the access log is written', sub {
    $nginx->access_log =~ /operation=tenant_create/;
};
like $nginx->access_log,
    qr{^201\ POST\ /api/provisioning/tenants\ operation=tenant_create
       \ subject=partner-system\ partner=acme}mx,
    'the access log has the operation, the subject and the partner';

my ($accepted, $said) = $nginx->test(http => 'provisioning_nothing on;');
ok !$accepted, 'nginx -t refuses a directive that does not exist';
like $said, qr/unknown directive "provisioning_nothing"/,
    'and says which one it is';

# A reload under way changes nothing for those who ask.

my @old = $nginx->reload;
$r = $nginx->request(GET => $location, token => token());
is $r->status, 200, 'after a reload the gateway serves';
wait_until 'the old workers have left', sub { !grep { kill 0, $_ } @old };

# The harness must see what it looks for.

is join("\n", $nginx->complaints), '', 'there is nothing to complain of so far';

my ($worker) = $nginx->workers;
kill 'KILL', $worker;
wait_until 'the master has noticed', sub {
    $nginx->log =~ /\Q$worker\E exited on signal 9/;
};
isnt scalar($nginx->complaints), 0,
    'a worker that was killed would fail this file';
$nginx->allow(qr/worker process \Q$worker\E exited on signal 9/);
$nginx->ready;

eval { $postgres->sql('select 1/0') };
my @complaints = $postgres->complaints;
like $complaints[0], qr/ 22012 .*division by zero/,
    'an error in PostgreSQL\'s log would fail this file, too';
$postgres->allow(qr/ 22012 /, qr/STATEMENT:/);

done_testing;
