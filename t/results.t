#!/usr/bin/perl

# x-validate-result: what a change would lead to is validated by the gateway
# before the database keeps it.  Operations of the test's own, and what is left
# of it when connections are lost.  The partner API's own is in
# configuration_schema.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Operations;
use Provisioning::Test::Problem;

use JSON::PP ();

my $postgres = postgres();

$postgres->sql($_) for
    'create table public.kept (n bigint)', 'create sequence public.calls',
    'create sequence public.turns',
    'grant usage on schema public to prov_api',
    'grant all on public.kept, public.calls, public.turns to prov_api';

my $json = JSON::PP->new->canonical;
my $result = { member => 'thing', schema => { type => 'object',
    properties => { n => { type => 'integer', maximum => 5 } } } };
my $keeps = "insert into public.kept values (nextval('public.calls'));";

my $api = operations($postgres,
    thing_put => { method => 'post', body => {}, result => $result,
        function => "$keeps status := 201; body := json_build_object('thing',"
            . " input); headers := '{\"ETag\": \"\\\"x\\\"\"}';" },
    thing_none => { method => 'delete', result => $result,
        function => "$keeps status := 200; body := '{\"think\": 1}';" },
    thing_empty => { method => 'delete', result => $result,
        function => "$keeps status := 204;" },
    thing_restless => { method => 'post', body => {}, result => $result,
        function => "$keeps status := 200; body := json_build_object('thing',"
            . " json_build_object('at', clock_timestamp()));" },
    thing_turned => { method => 'post', body => {}, result => $result,
        parameters => [{ name => 'Idempotency-Key', in => 'header',
                         schema => { type => 'string' } }],
        function => "status := 200; body := json_build_object('thing',"
            . " json_build_object('n', least(nextval('public.turns'), 2)));" },
    thing_missed => { method => 'post', body => {}, result => $result,
        function => 'status := 409; body := \'{"code": "taken", "detail":'
            . ' "It is."}\';' },
    thing_raised => { method => 'post', body => {}, result => $result,
        function => "$keeps raise exception 'No.' using errcode = 'PV422',"
            . " constraint = 'never';" },
    thing_open => { method => 'post', body => {},
        function => "status := 100; body := '{}';" },
);

my $relay = relay($postgres);
my $nginx = nginx(postgres => $relay, locations => $api->location,
    database => 'connections 2; queue 64 timeout=10s; query_timeout 20s;');
$nginx->ready;
$postgres->allow(qr/ PV422 |FATAL:  connection to client lost/);

sub ask {
    my ($method, $operation, $body) = @_;
    my $r = $nginx->request($method => $api->base . "/$operation",
        token => token(), defined $body ? (json => $body) : ());
    return join ' ', $r->status, $r->header('ETag') || '-',
        $r->status >= 400 ? ($r->json->{code}, map { $_->{pointer} }
            @{ $r->json->{errors} || [] })
        : length $r->body ? $json->encode($r->json) : '-';
}

sub kept { $postgres->value('select count(*) from public.kept') }


is ask(POST => 'thing_put', { n => 5, t => "\x{e4}\"\\" }),
    qq(201 "x" {"thing":{"n":5,"t":"\x{e4}\\"\\\\"}}),
    'what is right is made, and answered as it is';
is kept(), 1, 'once';
is ask(POST => 'thing_put', { n => 6 }), '400 - invalid_body /n',
    'what is not is refused, without what would have been answered';
is ask(POST => 'thing_put', [1]), '400 - invalid_body ', 'as a whole, too';
is ask(POST => 'thing_missed', {}), '409 - taken', 'a miss is one as ever';
is ask(POST => 'thing_raised', {}), '422 - never', 'so is what is raised';
is kept(), 1, 'and nothing is kept of these';

$nginx->allow(qr/did not return the member that its x-validate-result/);
is ask(DELETE => 'thing_none'), '500 - internal_error',
    'an answer that lacks the member is a mistake of the function\'s';
is ask(DELETE => 'thing_empty'), '500 - internal_error', 'or has no body';
$nginx->allow(qr/did not return an HTTP status it may answer/);
is ask(POST => 'thing_open', {}), '500 - internal_error',
    'no other operation can ask to be validated';
is kept(), 1, 'and nothing is kept of these';

my $before = $postgres->value("select nextval('public.calls')");
is ask(POST => 'thing_restless', {}), '503 - conflict_retry',
    'what leads to something else each time is given up';
is $postgres->value("select nextval('public.calls')") - $before - 1, 17,
    'after sixteen times';
is kept(), 1, 'without having been made';


# A connection is lost under it

my $tenants = '/api/provisioning/tenants';
my $tenant = $nginx->request(POST => $tenants, token => token(),
    json => { client_name => 'Configured', email => unique_email() })
    ->json->{tenant};
my $path = "$tenants/$tenant/configuration";

# the statement that would be kept is the one with a hash

my $second = qr/"sha256": ?"(?!0000)/;

sub patch {
    my ($body, %headers) = @_;
    my $connection = $nginx->connection;
    $connection->send_request(PATCH => $path, token => token(),
        json => $body, headers => \%headers);
    return sub {
        my $r = $connection->read_response(timeout => 60);
        return join ' ', $r->status, $r->json->{code} || $r->json->{version};
    };
}

sub version { $postgres->value('select max(version) from prov.configurations') }

is patch({ a => 1 })->(), '200 1', 'a configuration is changed';

$relay->cut_request(qr/"sha256": ?"0000/);
is patch({ a => 2 })->(), '200 2',
    'a connection lost before it was validated: it is asked again';
$relay->cut_request($second);
is patch({ a => 3 })->(), '503 not_committed',
    'lost on the way to being made: it is not, and never will be';
is version(), 2, 'so it is';
$relay->cut_reply_to($second);
is patch({ a => 3 })->(), '200 3', 'lost after it was made: it is answered';

my %key = ('Idempotency-Key' => 'results-1');
$relay->cut_request($second);
is patch({ a => 4 }, %key)->(), '200 4', 'with a key it is made then';
$relay->cut_reply_to($second);
is patch({ a => 5 }, 'Idempotency-Key' => 'results-2')->(), '200 5',
    'or found to be';
is version(), 5, 'once each';

# It would lead to something else when it is asked for again: the first, which
# may come late, must not be made either.

$relay->cut_request($second);
my $r = $nginx->request(POST => $api->base . '/thing_turned', json => {},
    token => token(), headers => { 'Idempotency-Key' => 'results-3' });
is $r->status . ' ' . $r->json->{code}, '503 not_committed',
    'what would not be what was validated is not made';
is $postgres->value('select count(*) from prov.audit where operation ='
    . " 'thing_turned' and status = 0"), 1, 'nor can it be any more';
$r = $nginx->request(POST => $api->base . '/thing_turned', json => {},
    token => token(), headers => { 'Idempotency-Key' => 'results-3' });
is $r->status . ' ' . $r->body, '200 {"thing" : {"n" : 2}}',
    'its repetition is';

done_testing;
