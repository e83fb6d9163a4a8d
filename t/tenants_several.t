#!/usr/bin/perl

# Tenants of several requests that are made by one function: each answer, and
# what is left behind, is that of a tenant made by itself.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Together;

my $TENANTS = '/api/provisioning/tenants';

my $postgres = postgres(settings => { log_statement => 'all' });
my $nginx = nginx(postgres => $postgres,
    database => 'connections 1; queue 64 timeout=60s; query_timeout 60s;');
my $other = token(sub => 'other-system', partner => 'globex');
my $nobody = token(sub => 'no-system', partner => 'initech');


sub tenant {
    my ($name, %o) = @_;
    my %more = %{ delete $o{more} || {} };
    return [POST => $TENANTS, %o, json => { client_name => $name,
            email => unique_email(), %more }];
}


sub called {
    my $log = $postgres->log;
    return scalar(() = $log =~ /execute [^\n]*partner\.tenant_create_several/g);
}


# What is left of a tenant that was made: its entry, its event.

sub left {
    my ($answer) = @_;

    return $postgres->dbh->selectrow_hashref(q{
        select a.seq, a.status, a.operation, a.resource, a.request_id,
            a.resource_id = a.tenant as same, a.kind, d.subject, d.ip,
            d.user_agent, d.after::text as after, d.headers ->> 'ETag' as etag,
            d.headers ->> 'Location' as location,
            e.type, e.data::text as data, e.request_id as told
        from prov.audit a
        join prov.audit_details d on d.chain = a.chain and d.seq = a.seq
        join prov.events e on e.id = a.mutation
        where a.tenant = ?}, undef, $answer->json->{tenant});
}


answer(asking($nginx->connection, @{ tenant('First') }));

# The same requests, one after the other and together.

my @alone = map { answer(asking($nginx->connection, @{ tenant("Alone $_") })) }
    1 .. 3;
is called(), 0, 'one tenant is made by the usual function';

my @answers = together($nginx, map { tenant("Together $_",
    headers => { 'X-Request-Id' => "request-$_" }) } 1 .. 5);
is_deeply [map { $_->status } @answers], [(201) x 5], 'several are made';
is called(), 1, 'by one call';
is_deeply [map { $_->json->{client_name} } @answers],
    [map { "Together $_" } 1 .. 5], 'each answer is its own';

for my $answer ($answers[0], $answers[4], $alone[0]) {
    my $left = left($answer);
    my $tenant = $answer->json->{tenant};

    is $left->{after}, $answer->body, 'the audit has what was answered';
    is $left->{data}, $answer->body, 'so has the event';
    is_deeply [@$left{qw(seq status operation resource same type)}],
        [1, 201, 'tenant_create', 'tenant', 1, 'tenant.created'],
        'as the first of its chain';
    is $left->{etag}, $answer->header('ETag'), 'the tag is kept';
    is $left->{location}, $answer->header('Location'), 'and the place';
    like $answer->header('Location'), qr{^/api/provisioning/tenants/\Q$tenant\E$},
        'which is the tenant\'s';
    is $left->{told}, $left->{request_id}, 'one request led to both';
}

my ($alone, $together) = map { left($_) } $alone[0], $answers[0];
is_deeply [@$together{qw(kind subject ip user_agent)}],
    [@$alone{qw(kind subject ip user_agent)}], 'whose it was is kept alike';
isnt left($answers[0])->{request_id}, left($answers[1])->{request_id},
    'each has its own request';
is_deeply [sort keys %{ $answers[0]->json }], [sort keys %{ $alone[0]->json }],
    'no member more or less';

# The chain of each holds.

for my $answer (@answers) {
    my $r = $nginx->request(GET => "/api/provisioning/audit/verify?tenant="
        . $answer->json->{tenant}, token => token());
    is $r->status, 200, 'a chain can be verified';
    is $r->json->{valid}, JSON::PP::true(), 'and holds' or diag $r->body;
}

# Those that are in each other's way, or wrong.

my $email = unique_email();
@answers = together($nginx, tenant('Twin', more => { email => $email }),
    tenant('Twin', more => { email => uc $email }),
    tenant('Twin', more => { external_id => 'crm-1' }),
    tenant('Twin', more => { external_id => 'crm-1' }),
    tenant('Wish', more => { slug => 'a-wish' }),
    tenant('Wish', more => { slug => 'a-wish' }),
    tenant('Alias', more => { company_name => 'Another' }),
    tenant('Alias', more => { company_name => 'Alias' }));
is_deeply [map { $_->code || $_->status } @answers],
    [201, 'email_taken', 201, 'external_id_taken', 201, 'slug_taken',
     'company_name_conflict', 201], 'each is told what is in its way';
is $answers[1]->json->{tenant}, $answers[0]->json->{tenant}, 'and who';
isnt $answers[2]->json->{slug}, $answers[0]->json->{slug},
    'names may be the same, slugs are not';
is $postgres->value('select count(*) from prov.audit where tenant = any(?)',
    [map { $_->json->{tenant} } @answers[0, 2, 4, 7]]), 4,
    'who was made has an entry';
is left($answers[7])->{after}, $answers[7]->body, 'of his own';

# Of two partners, and of none.

my $calls = called();
@answers = together($nginx, map { tenant('Shared', token => $_) }
    token(), $other, $nobody, token(), $other);
is_deeply [map { $_->code || $_->status } @answers],
    [201, 201, 'partner_unknown', 201, 201], 'who has no partner makes none';
is called(), $calls + 1, 'the others are made together';
is_deeply [map { $postgres->value('select p.slug from prov.tenants t'
        . ' join prov.partners p on p.id = t.partner where t.id = ?',
        $_->json->{tenant}) } @answers[0, 1, 3, 4]],
    [qw(acme globex acme globex)], 'each by its own partner';

$nginx->stop;
done_testing;
