#!/usr/bin/perl

# The examples of the operations on the audit are true: what they show is what
# is really answered.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Exchange qw(exchange is_example none_left);

# as the examples have it

$Provisioning::Test::Token::ISSUER = 'https://issuer.example/';

my %caller = (token => token(sub => 'partner-system'), headers => {
    'User-Agent' => 'crm/1.0', 'X-Real-IP' => '192.0.2.1' });

my ($postgres, $nginx) = gateway(
    api => 'set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;');
exchange(audit => $nginx);
my $AUDIT = '/api/provisioning/audit';

sub ask { return $nginx->request(GET => "$AUDIT$_[0]", %caller) }


is_example 'audit_list 200 empty', ask('');

my $tenant = $nginx->request(POST => '/api/provisioning/tenants', %caller,
    json => { client_name => 'Acme Corporation',
              email => 'admin@acme.example' })->json->{tenant};
my $entry = is_example('audit_list 200 last', ask(''))->json->{data}[0]{audit};

is_example 'audit_get 200', ask("/$entry");
is_example 'AuditNotFound', ask('/0194f0d2-5a10-7b3c-9e21-4c7d8e9f0a1b');
is_example 'audit_export 200 text/csv', ask('/export?format=csv');
is_example 'audit_export 200 application/x-ndjson',
    ask('/export?format=ndjson');
is_example 'audit_verify 200 valid', ask("/verify?tenant=$tenant");

# somebody has changed an entry

$postgres->sql('alter table prov.audit disable trigger user');
$postgres->sql("update prov.audit set request_id = 'x' where mutation = ?",
    $entry);
is_example 'audit_verify 200 broken', ask("/verify?tenant=$tenant");


none_left();

done_testing;
