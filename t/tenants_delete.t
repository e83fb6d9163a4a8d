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
cmp_ok $is->{deleted_at}, 'ge', $was->{updated_at},
    'which is later than its last change';
is between($is->{deleted_at}, $is->{purge_after}), 30 * 24 * 3600 * 1000,
    'it can be restored for 30 days';
is_deeply { %$is, map { $_ => $was->{$_} } qw(status updated_at deleted_at
        purge_after) }, $was, 'the rest of it is as it was';
is call(GET => $was, '')->body, $r->body, 'it can be read, to the byte';
is call(DELETE => $was, '')->body, $r->body,
    'deleted a second time it stays as it is';
is call(GET => $was, '')->header('ETag'), '"2"', 'and of its version';


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


# Removed for good

# Which tables have a text somewhere, as "prov.audit 2".

sub traces {
    my ($text) = @_;
    my @found;

    for my $table (map { $_->{name} } @{ $postgres->sql(q{
        select format('%I.%I', n.nspname, c.relname) as name
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname in ('prov', 'tenant', 'partner')
            and c.relkind in ('r', 'p') order by 1}) })
    {
        my $n = $postgres->value("select count(*) from $table t "
            . "where t::text ilike ?", "%$text%");
        push @found, "$table $n" if $n;
    }

    return "@found";
}

my %secret = (client_name => 'Palimpsest Ltd', email => 'owner@palimpsest.example',
    phone_number => '+49 170 7654321', industry => 'Quirinal',
    external_id => 'xylophone-1', metadata => { contact => 'Zebulon' },
    slug => 'velociraptor');
my $personal = 'palimpsest|7654321|quirinal|xylophone|zebulon|velociraptor'
    . '|chiffchaff|ornithopter';

$was = tenant(%secret);
call(PATCH => $was, '', json => { client_name => 'Palimpsest AG' });
call(PUT => $was, '/configuration', json => { colour => 'Ornithopter' });
call(PUT => $was, '/configuration', json => { colour => 'grey' });
call(POST => $was, '/suspend', json => { reason => 'Chiffchaff' });
isnt traces($_), '', "\"$_\" is there" for split /\|/, $personal;

# What is to be removed can be had before

$r = call(GET => $was, '/export');
my $export = $r->json;
is $r->status, 200, 'everything about a tenant can be had' or diag $r->body;
is_deeply $export->{tenant}, call(GET => $was, '')->json,
    'the tenant itself is in it';
is $export->{tables}{'prov.tenants'}[0]{id}, $was->{tenant},
    'and its row, with all that the database has';
is_deeply [grep { $r->body !~ /$_/i } split /\|/, $personal], [],
    'and so is everything that is known of it';
is call(GET => $was, '/export', token => token(partner => 'globex'))->code,
    'tenant_not_found', 'for its own partner only';
is call(GET => $was, '/export', token => token(roles => ['integration-user']))
    ->code, 'permission_denied', 'and for who may have it';

my $admin = token(sub => 'the-admin');
is_problem call(DELETE => $was, '?purge=true', token =>
        token(partner => 'globex')),
    'another partner\'s is not found', 404, 'tenant_not_found',
    'You have no tenant with this id.';
is call(DELETE => $was, '?purge=true', headers => { 'If-Match' => '"1"' })
    ->code, 'precondition_failed', 'another version stays';
is call(DELETE => $was, '?purge=yes')->code, 'invalid_parameters',
    'yes is not true';
is call(GET => $was, '')->json->{status}, 'suspended', 'it is still there';

$r = call(DELETE => $was, '?purge=true', token => $admin);
my $receipt = $r->json;
is $r->status, 200, 'a tenant is removed for good, from whatever status'
    or diag $r->body;
is $r->header('ETag'), undef, 'so there is no version any more';
is_deeply { %$receipt, removed => undef }, {
    tenant => $was->{tenant}, removed => undef,
    purged_at => $receipt->{purged_at},
    purged_by => { kind => 'user', subject => 'the-admin', key => undef,
                   issuer => $receipt->{purged_by}{issuer} },
}, 'the receipt says which one, when, and by whom';
like $receipt->{purged_at}, $moment, 'in UTC';
is $receipt->{removed}{'prov.tenants'}, 1, 'and what was removed';
is call(GET => $was, '')->code, 'tenant_not_found', 'it is not there';
is call(POST => $was, '/restore')->code, 'tenant_not_found',
    'and cannot be restored';
is call(DELETE => $was, '?purge=true')->code, 'tenant_not_found',
    'nor removed again';
is call(GET => $was, '/export')->code, 'tenant_not_found', 'nor exported';

is traces($_), '', "\"$_\" is nowhere any more" for split /\|/, $personal;

is_deeply [map { $_->{operation} } @{ $postgres->sql('select operation from '
    . 'prov.audit where tenant = ? order by at, mutation', $was->{tenant}) }],
    [qw(tenant_create tenant_update configuration_replace
        configuration_replace tenant_suspend tenant_delete)],
    'the audit still tells what was done';
is tenant(%secret)->{slug}, 'velociraptor', 'what it was called is free again';

$was = tenant();
call(DELETE => $was, '');
is call(DELETE => $was, '?purge=true')->status, 200,
    'a deleted one is removed, too';


# Tried, and done once

$was = tenant();
$r = call(DELETE => $was, '?purge=true&dry_run=true');
is_deeply [$r->status, $r->header('Dry-Run'), $r->json->{resource}{tenant}],
    [200, 'true', $was->{tenant}], 'a removal can be tried' or diag $r->body;
is_deeply call(GET => $was, '')->json, $was, 'and leaves everything there';
my @twice = map {
    call(DELETE => $was, '?purge=true', headers => {
        'Idempotency-Key' => 'purge-once' })
} 1 .. 2;
is_deeply [map { $_->status . ' ' . $_->body } @twice],
    [('200 ' . $twice[0]->body) x 2], 'repeated it gives the same receipt';


# Who may

my %may = (deleter => 'tenant:delete', purger => 'tenant:purge',
           both => 'tenant:delete tenant:purge');
my $document = do {
    open my $file, '<', "$FindBin::Bin/../conf/openapi/partner.json" or die $!;
    local $/;
    <$file>;
};
my $more = join '', map {
    my @grants = map { qq{"$_"} } split ' ', $may{$_};
    qq{"$_": [} . join(', ', @grants) . '], ';
} sort keys %may;
$document =~ s/("x-roles": \{)/$1$more/;
my $roles = nginx(postgres => $postgres, start => 0, locations => <<'END');
    location /roles/ {
        provisioning_auth test;
        provisioning_api %%DIR%%/partner.json prefix=/roles;
        provisioning_pass tenants;
    }
END
for my $file (map { s{.*/}{}r } glob "$FindBin::Bin/../conf/openapi/*.json") {
    open my $in, '<', "$FindBin::Bin/../conf/openapi/$file" or die $!;
    local $/;
    $roles->write_file($file, $file eq 'partner.json' ? $document : <$in>);
}
$roles->start;

$was = tenant();
for (['purger', '?purge=true', 'tenant:delete'],
     ['deleter', '?purge=true', 'tenant:purge'],
     ['purger', '', 'tenant:delete'])
{
    my ($role, $query, $lacking) = @$_;
    is_problem $roles->request(DELETE => "/roles/tenants/$was->{tenant}$query",
            token => token(roles => [$role])),
        "$query: a $role lacks $lacking", 403, 'permission_denied',
        qq{The operation requires the permission "$lacking", which none of }
        . 'the caller\'s roles grants.';
}
is $roles->request(DELETE => "/roles/tenants/$was->{tenant}?purge=false",
    token => token(roles => ['deleter']))->json->{status}, 'deleted',
    'who may delete may';
is $roles->request(DELETE => "/roles/tenants/$was->{tenant}?purge=true",
    token => token(roles => ['both']))->json->{tenant}, $was->{tenant},
    'who may both may remove';


# What is due is removed by prov.purge_expired()

my @due = map { tenant() } 1 .. 3;
call(DELETE => $_, '') for @due;
$postgres->sql("update prov.tenants set purge_after = now() - interval '1 s' "
    . 'where id = ?', $_->{tenant}) for @due[0, 1];
call(POST => $due[1], '/restore');
is $postgres->value('select prov.purge_expired()'), 1, 'what is due is removed';
is_deeply [map { call(GET => $_, '')->status } @due], [404, 200, 200],
    'what was restored stays, and so does what is not due yet';


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
