#!/usr/bin/perl

# dry_run=true: the change itself, with all that may be wrong with it, and
# then nothing of it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Operations;
use Provisioning::Test::Problem;

use JSON::PP ();

my $TENANTS = '/api/provisioning/tenants';

my @parameters = (
    { name => 'dry_run', in => 'query', schema => { type => 'boolean' } },
    { name => 'Idempotency-Key', in => 'header',
      schema => { type => 'string' } });

my $postgres = postgres();
$postgres->sql('create table prov.things (n int not null)');
$postgres->sql('grant select, insert on prov.things to prov_api');

my $api = operations($postgres,
    thing => {
        method     => 'post',
        parameters => \@parameters,
        body       => { type => 'object' },
        function   => <<'SQL',
            insert into prov.things values (1);
            if input ->> 'raise' is not null then
                raise exception 'It is not to be.'
                    using errcode = input ->> 'raise', constraint = 'not_so';
            end if;
            status := (input ->> 'status')::int;
            body := (input ->> 'body')::json;
            headers := input -> 'headers';
            perform prov.record(ctx, 'thing', null, null, 200,
                (input -> 'before')::json, (input -> 'after')::json, headers);
SQL
    },
    unfit => { method => 'delete', parameters => \@parameters },
);

my $relay = relay($postgres);
my $nginx = nginx(postgres => $relay, locations => $api->location);
$nginx->ready;
$postgres->allow(qr/FATAL:  connection to client lost/);


# All rows there are, of all tables.  Sequences do not count, nor does what the
# audit says of who tried in vain: that is no part of what was tried.

my $vain = 'from prov.audit a where a.code is not null';
my %but = (
    'prov.audit' => "where t.mutation not in (select a.mutation $vain)",
    'prov.audit_details' => 'where (t.chain, t.seq) not in'
        . " (select a.chain, a.seq $vain)",
);

sub everything {
    my %rows;

    for my $table (@{ $postgres->sql(
        "select c.oid::regclass::text as name from pg_class c"
        . " join pg_namespace n on n.oid = c.relnamespace"
        . " where c.relkind in ('r', 'p')"
        . " and n.nspname !~ '^pg_|^information_schema\$'") })
    {
        $rows{ $table->{name} } = $postgres->value('select coalesce('
            . "string_agg(t::text, E'\\n' order by t::text), '')"
            . " from $table->{name} t " . ($but{ $table->{name} } || ''));
    }

    return \%rows;
}

sub create {
    my ($query, $json, %o) = @_;
    return $nginx->request(POST => "$TENANTS$query", token => token(%o),
        json => $json, $o{headers} ? (headers => $o{headers}) : ());
}

sub thing {
    my ($query, %json) = @_;
    return $nginx->request(POST => $api->base . "/thing$query",
        token => token(), json => \%json);
}


# A tenant that is not made

my %acme = (client_name => 'Acme', email => unique_email(),
            external_id => 'crm-1', metadata => { a => 'b' });
my $before = everything();
cmp_ok scalar(keys %$before), '>', 4, 'there are tables';

my $r = create('?dry_run=true', \%acme);
is $r->status, 201, 'a dry run is answered as the change would be'
    or diag $r->body;
is $r->header('Dry-Run'), 'true', 'and says what it is';
is_deeply [map { $r->header($_) } qw(Location ETag)], [undef, undef],
    'it names neither a place nor a version of what is not there';
is_deeply [sort keys %{ $r->json }], [qw(diff dry_run resource status)],
    'it has four members';
is_deeply [@{ $r->json }{qw(dry_run status)}], [JSON::PP::true, 201],
    'which status there would be';
is_deeply [@{ $r->json->{resource} }{qw(client_name email slug status)}],
    ['Acme', $acme{email}, 'acme', 'active'], 'which body';
is_deeply $r->json->{diff}, [{ path => '', after => $r->json->{resource} }],
    'and what would change';
is_deeply everything(), $before, 'nothing of it is kept';

my $real = create('?dry_run=false', \%acme);
is $real->status, 201, 'after it the same change is made';
is $real->header('Dry-Run'), undef, 'when it is not a dry run';
ok $real->header('Location'), 'but a real one';

my %resource = %{ $r->json->{resource} };
delete @{ $_ }{qw(tenant created_at updated_at status_changed_at)} for \%resource, $real->json;
is_deeply $real->json, \%resource, 'as it was said to be';


# Errors are those of the change

$before = everything();
$r = create('?dry_run=true', \%acme);
is_problem $r, 'a conflict is one in a dry run, too', 409, 'email_taken',
    'You have a tenant with this e-mail address.',
    members => '"tenant":"' . $r->json->{tenant} . '"';
is create('?dry_run=true', { %acme, email => 'no' })->code, 'invalid_body',
    'and so is what is not as described';
is create('?dry_run=true', \%acme, roles => ['integration-user'])->code,
    'permission_denied', 'or not permitted';
is create('?dry_run=true', \%acme, partner => 'nobody')->code,
    'partner_unknown', 'or asked for by nobody who is known';

$r = thing('?dry_run=true', raise => 'PV418');
is_problem $r, 'what is raised is answered', 418, 'not_so',
    'It is not to be.';

$postgres->sql(q{
    create function prov.refuse() returns trigger language plpgsql as $$
    begin
        raise exception 'not at commit' using errcode = '23514',
            constraint = 'rule_of_commit';
    end $$});
$postgres->sql(q{
    create constraint trigger refuse after insert on prov.tenants
        deferrable initially deferred for each row
        when (new.client_name = 'refuse') execute function prov.refuse()});
$postgres->allow(qr/ 23514 .*not at commit/, qr/ PV418 /);
$r = create('?dry_run=true',
    { client_name => 'refuse', email => unique_email() });
is $r->code, 'rule_of_commit', 'so is what would only fail at the commit';
is_deeply everything(), $before, 'and nothing of all that is kept';

$postgres->allow(qr/ 42883 .*function quirks.unfit/);
$r = $nginx->request(DELETE => $api->base . '/unfit?dry_run=true',
    token => token());
is $r->code, 'operation_unavailable', 'a function that is missing is missing';


# Many at once

$r = $nginx->request(POST => "$TENANTS/bulk?dry_run=true", token => token(),
    json => { tenants => [map { { client_name => 'Many', email => $_ } }
                          unique_email(), $acme{email}] });
is_deeply [$r->status, $r->header('Dry-Run'),
           @{ $r->json->{resource} }{qw(created failed)}],
    [200, 'true', 1, 1], 'many tenants are tried' or diag $r->body;
is_deeply everything(), $before, 'and none is kept';


# A change of what is there, and one that makes a secret

my $is = $nginx->request(GET => $real->header('Location'), token => token());
$r = $nginx->request(PATCH => $real->header('Location') . '?dry_run=true',
    token => token(), json => { industry => 'Retail' },
    headers => { 'If-Match' => $real->header('ETag') });
is_deeply [$r->status, $r->header('ETag'), $r->header('Dry-Run')],
    [200, undef, 'true'], 'a change of a tenant is tried';
is_deeply [grep { $_->{path} ne '/updated_at' } @{ $r->json->{diff} }],
    [{ path => '/industry', before => undef, after => 'Retail' }],
    'it says what would be different';
is $nginx->request(PATCH => $real->header('Location') . '?dry_run=true',
    token => token(), json => { industry => 'Retail' },
    headers => { 'If-Match' => '"0"' })->code, 'precondition_failed',
    'it is of a version, too';
is $nginx->request(GET => $real->header('Location'), token => token())->body,
    $is->body, 'the tenant is as it was';

$r = $nginx->request(POST => '/api/provisioning/api-keys?dry_run=true',
    token => token(), json => { name => 'crm', scopes => ['tenant:read'] });
is_deeply [$r->status, $r->json->{resource}{name},
           $r->json->{resource}{key}], [201, 'crm', undef],
    'a secret of nothing is not shown';
is_deeply everything(), $before, 'nothing of all that is kept';


# Any operation

$r = thing('?dry_run=true', status => 200, body => '{"b":  1, "a": [1]}',
    before => { a => 0, z => 1 }, after => { a => [1], b => 1, z => 1 },
    headers => { ETag => '"7"', Link => '</x>' });
is $r->status, 200, 'a change of something that is there';
like $r->body, qr/"resource": \{"b":  1, "a": \[1\]\}/,
    'has its body to the byte';
is_deeply $r->json->{diff}, [{ path => '/a', before => 0, after => [1] },
    { path => '/b', after => 1 }], 'and what differs';
is_deeply [map { $r->header($_) } qw(ETag Link)], [undef, undef],
    'without the headers that it would have had';

for my $status (204, 205) {
    $r = thing('?dry_run=true', status => $status, before => { a => 1 });
    is $r->status, 200, "a $status cannot tell, so it is a 200";
    is_deeply $r->json, { dry_run => JSON::PP::true, status => $status,
        resource => undef, diff => [{ path => '', before => { a => 1 } }] },
        'that says so';
}

$r = thing('?dry_run=true', status => 404, body => '{"code": "c", "detail": '
    . '"d"}', headers => { 'Retry-After' => '7' });
is_problem $r, 'an expected miss is as it would be', 404, 'c', 'd';
is $r->header('Retry-After'), '7', 'with its headers';
is thing('?dry_run=true')->code, 'internal_error',
    'a function that breaks its contract breaks it';
is_deeply everything(), $before, 'nothing of all that is kept';


# With a key, without a connection

my %other = (client_name => 'Other', email => unique_email());
my @key = (headers => ['Idempotency-Key' => 'k1']);
is create('?dry_run=true', \%other, @key)->status, 201,
    'a dry run with a key';
is_deeply everything(), $before, 'does not use it';
is create('', { %other, client_name => 'Others' }, @key)->status, 201,
    'so it is good for any change';
is create('?dry_run=true', { %other, email => unique_email() }, @key)
    ->header('Dry-Run'), 'true', 'and a dry run after it is one';

$before = everything();
$other{email} = unique_email();
my $cuts = $relay->cuts;
$relay->cut_reply_to(qr/$other{email}/);
is create('?dry_run=true', \%other)->header('Dry-Run'), 'true',
    'when its connection is lost it is run again';
is $relay->cuts, $cuts + 1, 'since that changes nothing';
is_deeply everything(), $before, 'indeed';


# The parameter

for my $value ('', '1', 'TRUE', 'yes', 'true&dry_run=true') {
    $r = create("?dry_run=$value", \%other);
    is_deeply [$r->code, $r->json->{errors}[0]{parameter}],
        ['invalid_parameters', 'dry_run'], "dry_run=$value is refused";
}

$r = $nginx->request(GET => "$TENANTS?dry_run=true", token => token());
is_deeply [$r->code, $r->json->{errors}[0]{code}],
    ['invalid_parameters', 'unknown_parameter'],
    'what reads has no dry run';
is_deeply everything(), $before, 'and nothing has changed';


# Documents that promise what is not done

sub refused {
    my ($name, $said, %operation) = @_;

    my $bad = operations($postgres, bad => {
        method => 'post', function => 'status := 200;', %operation });
    my ($accepted, $output) = $nginx->test(locations => $bad->location);
    ok !$accepted, "$name is refused";
    like $output, qr/operation "bad" in \S+: $said/, 'with what to do';
}

my $none = qr/has no effect on/;
refused('a dry run of what only reads',
    qr/"dry_run" $none a "get", which changes nothing, remove the parameter/,
    method => 'get', parameters => [$parameters[0]]);
refused('a key for what only reads', qr/"Idempotency-Key" $none a "get"/,
    method => 'get', parameters => [$parameters[1]]);
refused('a dry run of what a handler does',
    qr/"dry_run" $none an operation with x-handler/,
    handler => 'openapi', parameters => [$parameters[0]]);

for (['a dry run that is a text', 'dry_run', 'boolean',
      { %{ $parameters[0] }, schema => { type => 'string' } }],
     ['a key that is a number', 'Idempotency-Key', 'string',
      { %{ $parameters[1] }, schema => { type => 'integer' } }],
     ['a key in other letters', 'Idempotency-Key', 'string',
      { %{ $parameters[1] }, name => 'idempotency-key' }],
     ['a tag in other letters', 'If-Match', 'string',
      { %{ $parameters[1] }, name => 'if-match' }],
     ['a preference in other letters', 'Prefer', 'string',
      { %{ $parameters[1] }, name => 'prefer' }])
{
    my ($name, $what, $type, $parameter) = @$_;
    refused($name, qr{write the parameter "$what" like this, and give its }
        . qr{schema "type": "$type"}, parameters => [$parameter]);
}

done_testing;
