#!/usr/bin/perl

# The examples of the operations on operations are true: each one of a
# response is what is really answered.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Exchange;
use Provisioning::Test::Slices;

my $API = '/api/provisioning';
my $ID = '0194f0e1-7c20-7d41-8a3b-5e6f7a8b9c0d';

my ($postgres, $nginx) = gateway();
exchange(operations => $nginx);


# two tenants, of which only one can be made

sub accepted {
    my $email = unique_email();

    return ask(POST => "$API/tenants/bulk",
        headers => { Prefer => 'respond-async' }, json => { tenants => [map {
            { client_name => 'Acme', email => $email } } 1, 2] })
        ->header('Location');
}

is_example 'OperationNotFound', ask(GET => "$API/operations/$ID");

my $path = accepted();
is_example 'operation_get 200 accepted', ask(GET => $path);
is_example 'OperationTransition', ask(POST => "$path/retry");
is slice($postgres), 'done', 'it is done';
is_example 'operation_get 200 over', ask(GET => $path);
is_example 'operation_list 200', ask(GET => "$API/operations");
is_example 'operation_item_list 200', ask(GET => "$path/items");
is_example 'operation_retry 202 again', ask(POST => "$path/retry");
is_example 'operation_cancel 200 cancelled',
    ask(POST => accepted() . '/cancel');

# as many as there may be

$postgres->sql(q{insert into prov.operations (id, partner, operation, ctx)
    select gen_random_uuid(), p.id, 'tenant_bulk', '{}'
    from prov.partners p, generate_series(1, 100) where p.slug = 'acme'});
is_example 'TooManyOperations', ask(POST => "$API/tenants/bulk",
    headers => { Prefer => 'respond-async' },
    json => { tenants => [{ client_name => 'Acme',
        email => unique_email() }] });

none_left();

done_testing;
