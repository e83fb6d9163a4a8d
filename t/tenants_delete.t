#!/usr/bin/perl

# DELETE /tenants/{tenant} and its opposite: what a deleted tenant still is
# and has, and how long.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Problem;

my ($postgres, $nginx) = gateway(workers => 2);
my $path = '/api/provisioning/tenants';
my $moment = qr/\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\z/;

sub call {
    my ($method, $tenant, $what, %o) = @_;
    return ($o{nginx} || $nginx)->request($method =>
        "$path/$tenant->{tenant}$what", token => $o{token} || token(),
        headers => $o{headers}, exists $o{json} ? (json => $o{json}) : ());
}

sub create {
    my (%more) = @_;
    return $nginx->request(POST => $path, token => token(), json => {
        client_name => 'A tenant', email => unique_email(), %more });
}

sub tenant {
    my $r = create(@_);
    $r->status == 201 or die 'no tenant: ' . $r->body;
    return $r->json;
}

# Milliseconds between two moments.

sub between {
    return $postgres->value('select extract(epoch from ?::timestamptz '
        . '- ?::timestamptz) * 1000', reverse @_) + 0;
}


# Deleted

my $was = tenant(external_id => 'crm-1', slug => 'gone', industry => 'IT',
                 metadata => { a => 'b' });
my $r = call(DELETE => $was, '');
my $is = $r->json;
is $r->status, 200, 'a tenant is deleted' or diag $r->body;
is $r->header('ETag'), '"2"', 'which makes a version';
is $is->{status}, 'deleted', 'it is deleted now';
like $is->{deleted_at}, $moment, 'and tells when that was';
is $is->{deleted_at}, $is->{updated_at}, 'which is when it was changed last';
is between($is->{deleted_at}, $is->{purge_after}), 30 * 24 * 3600 * 1000,
    'it can be restored for 30 days';
is_deeply { %$is, map { $_ => $was->{$_} } qw(status updated_at deleted_at
        purge_after) }, $was, 'the rest of it is as it was';
is call(GET => $was, '')->body, $r->body, 'it can be read, to the byte';
is call(DELETE => $was, '')->body, $r->body,
    'deleted a second time it stays as it is';
is call(GET => $was, '')->header('ETag'), '"2"', 'and of its version';
is_deeply [map { "$_->{tenant} $_->{status}" } @{ $nginx->request(GET => $path,
        token => token())->json->{data} }], ["$was->{tenant} deleted"],
    'the list has it, too';


# What it was called stays its own

is_problem create(email => uc $was->{email}), 'its e-mail address is taken',
    409, 'email_taken', 'You have a tenant with this e-mail address.',
    members => qq{"tenant":"$was->{tenant}"};
is create(external_id => 'crm-1')->code, 'external_id_taken',
    'so is its external_id';
is create(slug => 'gone')->code, 'slug_taken', 'and its slug';
is $nginx->request(POST => $path, token => token(partner => 'globex'),
    json => { client_name => 'X', email => unique_email(), slug => 'gone' })
    ->code, 'slug_taken', 'for everybody';


# What cannot be done with it

is call(PATCH => $was, '', json => { industry => 'X' })->code,
    'tenant_deleted', 'it is not changed';
is call(PUT => $was, '', json => { client_name => 'X',
                                   email => unique_email() })->code,
    'tenant_deleted', 'nor replaced';
is $nginx->request(PUT => "$path/by-external-id/crm-1", token => token(),
    json => { client_name => 'X', email => unique_email() })->code,
    'tenant_deleted', 'nor by its external_id';
is call(POST => $was, '/suspend', json => { reason => 'x' })->code,
    'invalid_transition', 'nor suspended';
is call(GET => $was, '')->body, $r->body, 'and none of that changed it';


# Restored

$r = call(POST => $was, '/restore');
is $r->status, 200, 'it is restored' or diag $r->body;
is $r->header('ETag'), '"3"', 'which makes a version';
is_deeply { %{ $r->json }, updated_at => $was->{updated_at} }, $was,
    'it is what it was';
is_problem call(POST => $was, '/restore'), 'what is not deleted is not', 409,
    'invalid_transition', 'The tenant is active; this is for tenants that are '
    . 'deleted.', members => '"from":"active","to":"active"';
is call(PATCH => $was, '', json => { industry => 'X' })->status, 200,
    'it can be changed again';
is_deeply [map { $_->{operation} } @{ $postgres->sql('select operation from '
    . 'prov.audit where tenant = ? order by at, mutation', $was->{tenant}) }],
    [qw(tenant_create tenant_delete tenant_delete tenant_restore
        tenant_update)], 'all of that is in the audit';


# How long is for the operator to say

$postgres->sql("alter role prov_partner set prov.purge_after = '36 hours'");
my (undef, $other) = gateway(postgres => $postgres);
$is = call(DELETE => tenant(), '', nginx => $other)->json;
is between($is->{deleted_at}, $is->{purge_after}), 36 * 3600 * 1000,
    'another time of grace may be set';
$postgres->sql('alter role prov_partner reset prov.purge_after');
is call(DELETE => tenant(), '')->status, 200,
    'what was deleted under another one stays as it is';

done_testing;
