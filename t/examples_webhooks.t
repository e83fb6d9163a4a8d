#!/usr/bin/perl

# The examples of the operations on webhooks and their deliveries are true:
# each one of a request is sent and works, each one of a response is what is
# really answered.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Exchange;

my $WEBHOOKS = '/api/provisioning/webhook-endpoints';
my $DELIVERIES = '/api/provisioning/deliveries';
my $ID = '0194f0e0-6a20-7c4d-8f32-5d8e9f0a1b2c';

my ($postgres, $nginx) = gateway();

my $examples = exchange(webhooks => $nginx);


sub create { return ask(POST => $WEBHOOKS, json => {
    url => 'https://hooks.example.com/x', event_types => ['*'], @_ }) }


# made, read and changed

is try(POST => $WEBHOOKS, 'webhook_create least')->status, 201,
    'as little as possible makes an endpoint';
like try(POST => $WEBHOOKS, 'webhook_create v1a')->json->{public_key},
    qr/\Awhpk_/, 'one that signs with a key pair has a public key';
$postgres->sql('delete from prov.webhook_endpoints');

my $made = is_example 'webhook_create 201',
    try(POST => $WEBHOOKS, 'webhook_create all');
my $path = $made->header('Location');

is_example 'webhook_list 200', ask(GET => $WEBHOOKS);
is_example 'webhook_get 200', ask(GET => $path);
is_example 'webhook_enable 200', ask(POST => "$path/enable");
is_example 'webhook_rotate 200',
    try(POST => "$path/rotate-secret", 'webhook_rotate hour');
ask(POST => "$path/rotate-secret") for 1 .. 2;
is_example 'RotationConflict', ask(POST => "$path/rotate-secret");
is try(POST => "$path/rotate-secret", 'webhook_rotate now')->status, 200,
    'a secret can be rotated at once';
is_example 'webhook_update 200',
    try(PATCH => $path, 'webhook_update types application/merge-patch+json');
is try(PATCH => $path, "webhook_update $_")->status, 200,
    "the example of a change works: $_"
    for 'types application/json', 'headers application/json',
        'headers application/merge-patch+json';
is_example 'event_type_list 200',
    ask(GET => '/api/provisioning/event-types');


# deliveries: a tenant is made as its own example has it

my $tenant = $examples->{document}{paths}{'/deliveries/{delivery}'}{get}
    {responses}{200}{content}{'application/json'}{example}{payload}{data};
ask(POST => '/api/provisioning/tenants', json => { map { $_ => $tenant->{$_} }
    qw(client_name email phone_number industry slug external_id metadata) })
    ->status == 201 or die 'no tenant';
my $list = is_example 'delivery_list 200', ask(GET => $DELIVERIES);
my $delivery = "$DELIVERIES/" . $list->json->{data}[0]{delivery};
is_example 'delivery_resend 202', ask(POST => "$delivery/resend");

# what a worker reports of it

$postgres->sql(q{insert into prov.job_attempts (job, attempt, partner, tenant,
    at, status, headers, body, duration_ms, error)
    select id, 1, partner, tenant, due, 500,
        E'Content-Type: text/plain\nContent-Length: 5', 'Sorry', 12,
        'the receiver has answered 500' from prov.jobs where kind = 'webhook'});
$postgres->sql(q{update prov.jobs set tries = 1 where kind = 'webhook'});
is_example 'delivery_get 200', ask(GET => $delivery), excerpt => 1;

is_example 'webhook_test 202', ask(POST => "$path/send-test");
$postgres->sql('delete from prov.webhook_endpoints');
$path = create(description => 'CRM, production',
    url => 'https://hooks.example.com/provisioning',
    event_types => ['tenant.*', 'api_key.revoked'],
    headers => { 'X-Environment' => 'production' })->header('Location');
is_example 'webhook_disable 200', ask(POST => "$path/disable");
is_example 'WebhookConflict', ask(POST => "$path/send-test");
is_example 'DeliveryConflict deleted', ask(POST => "$delivery/resend");
ask(POST => "$path/enable");
$postgres->sql("update prov.jobs set queue = ?::uuid where kind = 'webhook'",
    substr $path, -36);
ask(POST => "$path/disable");
is_example 'DeliveryConflict disabled', ask(POST => "$delivery/resend");
ask(POST => "$path/enable");

# twelve events that were missed

$postgres->sql(q{insert into prov.events (id, partner, type, data)
    select prov.uuid7(), partner, 'tenant.updated', '{}'
    from prov.webhook_endpoints, generate_series(1, 11)});
$postgres->sql(q{update prov.jobs set state = 'failed'
    where kind = 'webhook' and data is null});
$postgres->sql(q{delete from prov.events where type not like 'tenant.%'});
is_example 'webhook_recover 202',
    try(POST => "$path/recover", 'webhook_recover day');


# refused

is_example 'WebhookNotFound', ask(GET => "$WEBHOOKS/$ID");
is_example 'DeliveryNotFound', ask(GET => "$DELIVERIES/$ID");
is_example 'WebhookForbidden permission', ask(POST => $WEBHOOKS, json => {},
    token => token(roles => ['integration-user']));
is_example 'WebhookInvalid type', create(event_types => ['tenant.renamed']);
is_example 'WebhookInvalid header', create(headers => { Host => 'x' });

$postgres->sql('delete from prov.webhook_endpoints where id::text <> ?',
    substr $path, -36);
is_example 'WebhookInvalid url',
    create(url => 'https://ann:secret@hooks.example.com/');

create() for 2 .. 50;
is_example 'WebhookForbidden limit', create();

is_example 'webhook_delete 200', ask(DELETE => $path);

# without a key to keep secrets with

$nginx->configure(config => $nginx->text(%{ $nginx->{given} })
    =~ s/^.*provisioning_secrets_key.*\n//mr);
my %old = map { $_ => 1 } $nginx->reload;
wait_until 'only new workers are left',
    sub { !grep { $old{$_} } $nginx->workers };
$postgres->sql('delete from prov.webhook_endpoints');
is_example 'SecretsUnavailable', create();


none_left();

done_testing;
