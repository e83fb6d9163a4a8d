#!/usr/bin/perl

# The examples of the operations on tenants are true: each one of a request is
# sent and works, each one of a response is what is really answered.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Exchange;

use JSON::PP ();

# as the examples have it

$Provisioning::Test::Token::ISSUER = 'https://issuer.example/';

my $TENANTS = '/api/provisioning/tenants';
my $ID = '0194f0b2-3b40-7c3e-8b1f-2f6d3a9c7e51';
my %acme = (client_name => 'Acme Corporation', email => 'admin@acme.example',
    industry => 'Retail', external_id => 'crm-4711');

my ($postgres, $nginx) = gateway();
exchange(tenants => $nginx,
    token => sub { token(sub => 'partner-system') });


sub create { return ask(POST => $TENANTS, json => {
    client_name => 'X', email => unique_email(), @_ }) }

# A tenant alone in the world; its path.

sub alone {
    forget();
    return create(@_)->header('Location');
}

sub forget { $postgres->sql("delete from prov.$_") for qw(tenants quotas) }


# made, listed and read

is_example 'tenant_list 200 empty', ask(GET => $TENANTS);
is try(POST => $TENANTS, 'tenant_create former')->status, 201,
    'a request with the former name works';
forget();
is_example 'tenant_create 201 dry_run', ask(POST => "$TENANTS?dry_run=true",
    json => { map { $_ => $acme{$_} } qw(client_name email) });
is_example 'tenant_create 201 least',
    try(POST => $TENANTS, 'tenant_create least');
forget();

my $all = is_example 'tenant_create 201 all',
    try(POST => $TENANTS, 'tenant_create all');
is_example 'tenant_list 200 last', ask(GET => $TENANTS);
is_example 'tenant_list 200 part',
    ask(GET => "$TENANTS?fields=client_name,status");
is_example 'tenant_get 200', ask(GET => $all->header('Location'));

is_example 'TenantNotFound', ask(GET => "$TENANTS/$ID");
is_example 'TenantConflict email', create(email => 'admin@acme.example');
is_example 'TenantConflict external_id', create(external_id => 'crm-4711');

ask(POST => $TENANTS, token => token(partner => 'globex'), json => {
    client_name => 'X', email => unique_email(), slug => 'globex' });
is_example 'TenantConflict slug', create(slug => 'globex');

$postgres->allow(qr/ PV403 /);
$postgres->sql('insert into prov.quotas (id, quota, tenants) values (?, 3, 3)',
    $postgres->partner('acme'));
is_example 'TenantForbidden', create();
forget();

$postgres->sql('begin');
$postgres->sql('lock table prov.idempotency in exclusive mode');
is_example 'TenantConflict repeated', ask(POST => $TENANTS, json => {
    client_name => 'Z', email => unique_email() },
    headers => { 'Idempotency-Key' => 'k' });
$postgres->sql('rollback');


# many at once

is_example 'tenant_bulk 200', try(POST => "$TENANTS/bulk", 'tenant_bulk each');
forget();
is_example 'tenant_bulk 201',
    try(POST => "$TENANTS/bulk", 'tenant_bulk atomic');
is_example 'tenant_bulk 202 accepted', ask(POST => "$TENANTS/bulk",
    headers => { Prefer => 'respond-async' }, json => { tenants => [
        map { { client_name => 'Acme', email => unique_email() } } 1, 2] });
is_example 'BulkConflict', ask(POST => "$TENANTS/bulk", json => {
    atomic => JSON::PP::true, tenants => [
        { client_name => 'Globex', email => unique_email() },
        { client_name => 'Globex', email => 'foods@globex.example' }] });


# changed

my $path = alone(%acme, phone_number => '+1234567890',
    metadata => { trial => 'yes' });
is_example 'tenant_update 200', try(PATCH => $path,
    'tenant_update metadata application/merge-patch+json');
is try(PATCH => $path, "tenant_update name $_")->status, 200,
    "the example of a change works as $_"
    for 'application/merge-patch+json', 'application/json';

is_example 'tenant_replace 200',
    try(PUT => $path, 'tenant_replace all');
is try(PUT => $path, 'tenant_replace least')->status, 200,
    'as little as possible is a whole tenant';

create(email => 'taken@acme.example');
is_example 'TenantChangeConflict email',
    ask(PATCH => $path, json => { email => 'taken@acme.example' });
is_example 'TenantUnprocessable', ask(PATCH => alone(
    metadata => { map { $_ => 'x' } 1 .. 50 }),
    json => { metadata => { another => 'x' } });

forget();
my $known = "$TENANTS/by-external-id/crm-4711";
is_example 'tenant_upsert 201', try(PUT => $known, 'tenant_upsert all');
is try(PUT => $known, 'tenant_upsert least')->status, 200,
    'as little as possible works by external_id, too';
is_example 'tenant_upsert 200', ask(PUT => $known, json => { %acme,
    phone_number => '+1234567890', metadata => { segment => 'enterprise' } });


# and in each of its statuses

$path = alone(%acme);
is_example 'tenant_export 200', ask(GET => "$path/export"), excerpt => 1;
is_example 'tenant_suspend 200',
    try(POST => "$path/suspend", 'tenant_suspend reason');
is_example 'tenant_resume 200',
    try(POST => "$path/resume", 'tenant_resume reason');
ask(DELETE => $path);
is_example 'TenantChangeConflict deleted',
    ask(PATCH => $path, json => { client_name => 'X' });
is_example 'tenant_restore 200', ask(POST => "$path/restore");
is_example 'tenant_cancel 200',
    try(POST => "$path/cancel", 'tenant_cancel reason');
is_example 'InvalidTransition',
    ask(POST => "$path/resume", json => { reason => 'x' });

$path = alone(%acme);
is_example 'tenant_delete 200 deleted', ask(DELETE => $path);
is_example 'tenant_delete 200 purged', ask(DELETE => "$path?purge=true");


none_left();

done_testing;
