#!/usr/bin/perl

# The examples of the operators' document are true: each one of a request is
# sent and works, each one of a response is what is really answered.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Exchange;
use Provisioning::Test::Operator;

# as the examples have it

$Provisioning::Test::Operator::ISSUER = 'https://operators.example/';

my ($postgres, $nginx) = gateway(operator(
    api => 'set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;'));
my ($partners, $audit) = map { "/api/admin/$_" } qw(partners audit);
exchange(operators => $nginx, api => '/api/admin',
    token => sub { operator_token() });


# partners

is_example 'audit_list 200 empty', ask(GET => $audit);
is_example 'partner_list 200 empty', ask(GET => "$partners?q=zzz");
$postgres->sql('delete from prov.partners');

my $r = is_example 'partner_create 201 all',
    try(POST => $partners, 'partner_create all',
        'User-Agent' => 'console/1.0', 'X-Real-IP' => '192.0.2.1');
my $acme = $r->header('Location');

# the audit, while it has one entry

$r = is_example 'audit_list 200 last', ask(GET => $audit);
my $entry = $r->json->{data}[0]{audit};
is_example 'audit_get 200', ask(GET => "$audit/$entry");
is_example 'audit_verify 200 valid', ask(GET => "$audit/verify");

is_example 'partner_list 200 last', ask(GET => $partners);
is_example 'partner_get 200', ask(GET => $acme);
is_example 'PartnerConflict', ask(POST => $partners,
    json => { slug => 'acme-reseller', name => 'X' });
is_example 'PartnerNotFound',
    ask(GET => "$partners/0194f0a1-7c20-7d4e-9a3b-5e6f708192a3");

for my $type ('application/json', 'application/merge-patch+json') {
    is try(PATCH => $acme, "partner_update $_ $type")->status, 200,
        "the example $_ works in $type" for qw(quota unlimited);
}

my $again = { contact_email => 'ops@acme.example', tenant_quota => 100 };
ask(PATCH => $acme, json => $again);
is_example 'partner_update 200 quota',
    ask(PATCH => $acme, json => { tenant_quota => 250 });
is_example 'partner_update 200 unlimited', ask(PATCH => $acme,
    json => { contact_email => undef, tenant_quota => undef });
ask(PATCH => $acme, json => $again);

is_example 'partner_suspend 200',
    try(POST => "$acme/suspend", 'partner_suspend');
is_example 'PartnerTransition suspended',
    ask(POST => "$acme/suspend", json => { reason => 'x' });
is_example 'partner_resume 200', ask(POST => "$acme/resume");
is_example 'PartnerTransition active', ask(POST => "$acme/resume");

is_example 'partner_create 201 least',
    try(POST => $partners, 'partner_create least');
is_example 'OperatorForbidden', ask(POST => $partners, json => {},
    token => operator_token(roles => ['operator-support']));


# their first keys

is_example 'partner_key_create 201 everything',
    try(POST => "$acme/keys", 'partner_key_create everything');
is_example 'partner_key_create 201 narrow',
    try(POST => "$acme/keys", 'partner_key_create narrow');


# an audit that somebody has changed

$postgres->sql('alter table prov.audit disable trigger user');
$postgres->sql("update prov.audit set request_id = 'x' where mutation = ?",
    $entry);
is_example 'audit_verify 200 broken', ask(GET => "$audit/verify");


# the gateway's own

is_example 'health_live 200', $nginx->request(GET => '/api/admin/health/live');
is_example 'health_ready 200',
    $nginx->request(GET => '/api/admin/health/ready');


none_left();

done_testing;
