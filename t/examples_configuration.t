#!/usr/bin/perl

# The examples of the operations on configurations are true: each one of a
# request is sent and works, each one of a response is what is really
# answered.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Exchange;

my $TENANTS = '/api/provisioning/tenants';

my ($postgres, $nginx) = gateway();
exchange(configuration => $nginx);


my $tenant = ask(POST => $TENANTS, json => { client_name => 'X',
    email => unique_email() })->header('Location');
my $path = "$tenant/configuration";

is_example 'configuration_replace 200',
    try(PUT => $path, 'configuration_replace whole');
is_example 'configuration_get 200', ask(GET => $path);
is_example 'configuration_version_list 200', ask(GET => "$path/versions");
is_example 'configuration_version_get 200', ask(GET => "$path/versions/1");
is_example 'configuration_update 200', try(PATCH => $path,
    'configuration_update change application/merge-patch+json');
is try(PATCH => $path, 'configuration_update change application/json')
    ->status, 200, 'the example of a change works as application/json';
is_example 'configuration_diff 200', ask(GET => "$path/diff?from=1&to=2");
is_example 'configuration_rollback 200',
    try(POST => "$path/rollback", 'configuration_rollback first');

is_example 'ConfigurationNotFound', ask(GET => "$path/versions/7");
is_example 'ConfigurationUnprocessable',
    ask(PUT => $path, json => { text => 'x' x 69_997 });
ask(DELETE => $tenant);
is_example 'ConfigurationConflict', ask(PUT => $path, json => {});


none_left();

done_testing;
