#!/usr/bin/perl

# PATCH and PUT /tenants/{tenant}: what they change, what they leave alone,
# what stands in their way, and that of many at once none is lost.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Problem;

use JSON::PP ();

my ($postgres, $nginx) = gateway(workers => 2);
my $path = '/api/provisioning/tenants';
my $merge = 'application/merge-patch+json';
my $invalid = 'The body is not as described; see "errors".';

sub send_to {
    my ($method, $tenant, $body, %o) = @_;
    my $id = ref $tenant ? $tenant->{tenant} : $tenant;

    return $nginx->request($method => "$path/$id", token => $o{token}
            || token(),
        headers => { 'Content-Type' => $o{type} || 'application/json',
                     %{ $o{headers} || {} } },
        body => ref $body ? JSON::PP->new->utf8->canonical->encode($body)
                          : $body);
}

sub patch { send_to(PATCH => @_) }
sub put   { send_to(PUT => @_) }
sub get   { $nginx->request(GET => "$path/$_[0]{tenant}", token => token()) }

sub tenant {
    my (%more) = @_;
    my $r = $nginx->request(POST => $path, token => token(), json => {
        client_name => 'A tenant', email => unique_email(), %more });
    $r->status == 201 or die 'no tenant: ' . $r->body;
    return $r->json;
}

sub differences {
    my ($before, $after) = @_;
    my $json = JSON::PP->new->canonical->allow_nonref;
    return join ' ', grep {
        $json->encode($before->{$_}) ne $json->encode($after->{$_})
    } sort keys %$after;
}


# A patch

my $was = tenant(phone_number => '+49 30 1', industry => 'IT',
    external_id => 'crm-1', metadata => { a => '1', b => '2' });
my $r = patch($was, { client_name => 'Größe', phone_number => undef },
              type => $merge);
is $r->status, 200, 'a tenant is changed' or diag $r->body;
is $r->header('ETag'), '"2"', 'which makes a new version';
is $r->header('Location'), undef, 'in the same place';
my $is = $r->json;
is differences($was, $is), 'client_name company_name phone_number updated_at',
    'of what was not given nothing changes';
is $is->{client_name}, 'Größe', 'what was given does';
is $is->{phone_number}, undef, 'and null removes';
cmp_ok $is->{updated_at}, 'ge', $was->{updated_at}, 'it tells when';
is get($is)->body, $r->body, 'read again, it is the same, to the byte';
is get($is)->header('ETag'), '"2"', 'of the same version';

$r = patch($is, { metadata => { b => undef, c => '3' } });
is_deeply $r->json->{metadata}, { a => '1', c => '3' },
    'metadata is gone into, with Content-Type application/json, too';
$r = patch($is, { metadata => undef });
is_deeply $r->json->{metadata}, {}, 'null removes all of it';

my $tag = $r->header('ETag');
$r = patch($is, { metadata => {}, phone_number => undef,
                  company_name => 'Größe' });
is_deeply [$r->status, $r->header('ETag'), $r->json->{updated_at}],
    [200, $tag, get($is)->json->{updated_at}],
    'a patch that changes nothing makes no version';
is patch($is, {})->header('ETag'), $tag, 'nor does an empty one';

is_problem patch($is, { client_name => 'A', company_name => 'B' }),
    'two names that differ are refused', 400, 'company_name_conflict',
    'company_name is a deprecated alias of client_name, and the two differ: '
    . 'leave company_name out.';

for (['client_name', undef, 'type', 'must be a string, not null'],
     ['email', undef, 'type', 'must be a string, not null'],
     ['slug', undef, 'type', 'must be a string, not null'],
     ['slug', 'No Slug', 'pattern', 'must be of a to z, 0 to 9 and hyphens'],
     ['tenant', $is->{tenant}, 'additional_properties',
      'is not a known property'],
     ['status', 'suspended', 'additional_properties',
      'is not a known property'])
{
    my ($member, $value, $code, $message) = @$_;
    my $shown = defined $value ? qq{"$value"} : 'null';
    is_problem patch($is, { $member => $value }),
        "$member cannot be $shown", 400, 'invalid_body', $invalid,
        errors => '[' . violation("/$member", $code, $message) . ']';
}

is_problem patch($is, { metadata => { map { $_ => 'x' } 1 .. 51 } }),
    'more than 50 members of metadata are too many', 422, 'metadata_invalid',
    'metadata would have 51 members, and may have 50.';

$r = patch($is, '{}', type => 'text/plain');
is $r->status, 415, 'another media type is refused';
is $r->header('Accept'), "$merge, application/json", 'with those that do';


# A replacement

$was = tenant(phone_number => '+49 30 1', industry => 'IT', slug => 'kept',
    external_id => 'crm-2', metadata => { a => '1' });
my $email = unique_email();
$r = put($was, { company_name => 'Whole', email => $email });
is $r->status, 200, 'a tenant is replaced' or diag $r->body;
is_deeply [@{ $r->json }{qw(client_name email phone_number industry
                            external_id metadata slug status)}],
    ['Whole', $email, undef, undef, undef, {}, 'kept', 'active'],
    'what was not given is gone, but for the slug';
is $r->json->{created_at}, $was->{created_at}, 'and for when it was made';
is_problem put($was, { email => $email }), 'what is required is required',
    400, 'invalid_body', $invalid, errors => '['
    . violation('', 'any_of', 'must have "client_name" or "company_name"')
    . ']';
is put($was, '{}', type => $merge)->status, 415, 'a patch is no replacement';


# What stands in the way

my $other = tenant(external_id => 'crm-3', slug => 'others');
for (['email', $other->{email}, 'e-mail address'],
     ['external_id', 'crm-3', 'external_id'])
{
    my ($member, $value, $name) = @$_;
    is_problem patch($is, { $member => $value }),
        "another tenant's $member is taken", 409, "${member}_taken",
        "You have a tenant with this $name.",
        members => qq{"tenant":"$other->{tenant}"};
}

$nginx->request(POST => $path, token => token(partner => 'globex'), json => {
    client_name => 'X', email => unique_email(), slug => 'theirs' });
is_problem patch($is, { slug => 'theirs' }),
    'so is the slug of another partner\'s, of which nothing is told', 409,
    'slug_taken', 'A tenant has this slug; each is unique everywhere.';

my $none = 'You have no tenant with this id.';
for my $method (qw(PATCH PUT)) {
    my $body = { client_name => 'Stolen', email => unique_email() };
    is_problem send_to($method => '0194f0b2-3b40-7c3e-8b1f-2f6d3a9c7e51',
                       $body),
        "$method: an unknown tenant is not found", 404, 'tenant_not_found',
        $none;
    is_problem send_to($method => $is, $body,
                       token => token(partner => 'globex')),
        "$method: nor is another partner's", 404, 'tenant_not_found', $none;
    is send_to($method => $is, $body,
               token => token(roles => ['integration-user']))->code,
        'permission_denied', "$method: who may only read may not";
}

$postgres->sql("update prov.tenants set status = 'deleted', "
    . "deleted_at = now(), deleted_from = 'active' where id = ?",
    $other->{tenant});
for my $method (qw(PATCH PUT)) {
    is_problem send_to($method => $other, { client_name => 'Undead',
                       email => $other->{email} }),
        "$method: a deleted tenant is not changed", 409, 'tenant_deleted',
        'The tenant is deleted: restore it before you change it.',
        members => qq{"tenant":"$other->{tenant}"};
}


# Preconditions

$was = get($is);
my $now = $was->header('ETag');
my $changed = 'The resource has changed since the version that If-Match '
    . 'names.';
for my $method (qw(PATCH PUT)) {
    for my $old ('"1"', '"999"', "W/$now") {
        is_problem send_to($method => $is, { client_name => 'Lost',
                           email => unique_email() },
                           headers => { 'If-Match' => $old }),
            "$method: $old is not its tag", 412, 'precondition_failed',
            $changed;
    }
}
is_problem patch($is, { client_name => 'Lost' },
                 headers => { 'If-Match' => '1' }),
    'a tag has quotation marks', 412, 'precondition_failed', 'If-Match must '
    . 'be the ETag that was last seen, with its quotation marks, or several '
    . 'with commas between them, or *.';
is get($is)->body, $was->body, 'nothing of that changed anything';

$r = patch($is, { industry => 'Retail' }, headers => { 'If-Match' => $now });
is $r->status, 200, 'the right tag lets it pass';
$r = patch($is, { industry => 'IT' },
           headers => { 'If-Match' => qq{"0", } . $r->header('ETag') });
is $r->status, 200, 'also as one of several';
is patch($is, { industry => 'Air' }, headers => { 'If-Match' => '*' })
    ->status, 200, 'and so does any tag';


# Mass assignment: every column there is, and nothing but what is described

my %described = map { $_ => 1 } qw(client_name email phone_number industry
    slug external_id metadata);
my @columns = map { $_->{column_name} } @{ $postgres->sql(
    "select column_name::text from information_schema.columns "
    . "where table_schema = 'prov' and table_name = 'tenants'") };
cmp_ok scalar(@columns), '>', 15, 'there are columns';
for my $column (@columns) {
    next if $described{$column};
    my $before = get($is)->body;
    for my $method (qw(PATCH PUT)) {
        $r = send_to($method => $is, { client_name => 'Mass',
            email => unique_email(), $column => 'x' });
        is $r->code, 'invalid_body', "$method: $column cannot be given";
    }
    is get($is)->body, $before, 'and changes nothing';
}


# Each partner's update is made upon what the one before has left

$is = tenant(metadata => { n => '0' });
my @jobs = map {
    background(sub {
        my $done = 0;
        while ($done < 10) {
            my $now = get($is);
            my $n = $now->json->{metadata}{n};
            my $r = patch($is, { metadata => { n => $n + 1 . '' } },
                headers => { 'If-Match' => $now->header('ETag') });
            $done++ if $r->status == 200;
            die $r->body if $r->status != 200 && $r->status != 412;
        }
        return $done;
    });
} 1 .. 4;
my $done = 0;
$done += $_->finish for @jobs;
$r = get($is);
is $r->json->{metadata}{n}, $done, 'of many at once none is lost';
is $r->header('ETag'), '"' . ($done + 1) . '"', 'and each is a version';
is $done, 40, 'all of them came to an end';


# Tried, and done once

$is = tenant(external_id => 'crm-9', metadata => { n => '1' });
$r = $nginx->request(PATCH => "$path/$is->{tenant}?dry_run=true",
    token => token(), json => { external_id => undef });
is_deeply [$r->status, $r->header('Dry-Run'), @{ $r->json }{qw(dry_run status)},
    (grep { $_->{path} eq '/external_id' } @{ $r->json->{diff} })[0]],
    [200, 'true', JSON::PP::true, 200, { path => '/external_id',
     before => 'crm-9', after => undef }], 'a change can be tried'
    or diag $r->body;
is_deeply get($is)->json, $is, 'and nothing of it is kept';

my %once = ('Idempotency-Key' => 'once', 'If-Match' => '"1"');
$r = patch($is, { metadata => { n => '2' } }, headers => \%once);
is $r->status, 200, 'a change with a key is made';
my $again = patch($is, { metadata => { n => '2' } }, headers => \%once);
is_deeply [$again->status, $again->header('Idempotent-Replayed'),
           $again->header('ETag'), $again->body],
    [200, 'true', '"2"', $r->body],
    'and its repetition answered, although the version is another one now';


# By a key of the partner's own

sub upsert {
    my ($key, $body, %o) = @_;
    return send_to(PUT => "by-external-id/$key", $body, %o);
}

$email = unique_email();
$r = upsert('crm%2F1%20%C3%A4', { client_name => 'First', email => $email,
                                  industry => 'IT' });
is $r->status, 201, 'a tenant that is not there is made' or diag $r->body;
my $made = $r->json;
is $made->{external_id}, 'crm/1 ä', 'with what was asked for, whatever it is';
is $r->header('Location'), "$path/$made->{tenant}", 'Location is its path';
is $r->header('ETag'), '"1"', 'it is a first version';

$r = upsert('crm%2F1%20%C3%A4', { client_name => 'First', email => $email,
                                  industry => 'IT' }) for 1 .. 3;
is_deeply [$r->status, $r->header('ETag'), $r->json], [200, '"1"', $made],
    'repeated it changes nothing, and is 200';
$r = upsert('crm%2F1%20%C3%A4', { client_name => 'Second', email => $email });
is_deeply [$r->status, $r->header('ETag'), @{ $r->json }{qw(tenant
        client_name industry slug external_id)}],
    [200, '"2"', $made->{tenant}, 'Second', undef, 'first', 'crm/1 ä'],
    'what is given replaces what there was, but for the slug';
is upsert('crm%2F1%20%C3%A4', { client_name => 'Second', email => $email,
                                external_id => 'crm/1 ä' })->status, 200,
    'the key may be in the body, too';
is_problem upsert('crm-7', { client_name => 'X', email => unique_email(),
                             external_id => 'crm-8' }),
    'but not another one', 400, 'external_id_conflict', 'external_id is that '
    . 'of the path, and the body has another one: leave it out.';
is_problem upsert('crm-7', { client_name => 'X', email => $email }),
    'what must be unique still must', 409, 'email_taken',
    'You have a tenant with this e-mail address.',
    members => qq{"tenant":"$made->{tenant}"};
is upsert('crm%2F1%20%C3%A4', { client_name => 'Theirs', email => $email },
          token => token(partner => 'globex'))->status, 201,
    'another partner has keys of its own';

is upsert('crm-7', { client_name => 'X', email => unique_email() },
          headers => { 'If-Match' => '*' })->code, 'precondition_failed',
    'If-Match: * makes nothing';
is upsert('crm-7', { client_name => 'X', email => unique_email() },
          headers => { 'If-None-Match' => '*' })->status, 201,
    'If-None-Match: * makes';
is upsert('crm-7', { client_name => 'X', email => unique_email() },
          headers => { 'If-None-Match' => '*' })->code, 'precondition_failed',
    'and replaces nothing';
is upsert('crm-7', { client_name => 'X', email => unique_email() },
          headers => { 'If-Match' => '"1"' })->header('ETag'), '"2"',
    'If-Match: with the tag of what is there replaces it';

$postgres->sql("update prov.tenants set status = 'deleted', "
    . "deleted_at = now(), deleted_from = 'active' "
    . "where external_id = 'crm-7'");
is upsert('crm-7', { client_name => 'X', email => unique_email() })->code,
    'tenant_deleted', 'what is deleted still has its key';

# of many at once one makes it, and the others find it

my $before = $postgres->value('select count(*) from prov.tenants');
for my $round (1 .. 5) {
    my $body = { client_name => "Race $round", email => unique_email() };
    my @racers = map {
        background(sub {
            my @seen;
            for my $key (map { "race-$round-$_" } 1 .. 4) {
                my $r = upsert($key, { %$body, email => "$key-$body->{email}",
                    company_name => $body->{client_name} });
                push @seen, $r->status . ' '
                    . (eval { $r->json->{tenant} } || $r->body);
            }
            return \@seen;
        });
    } 1 .. 4;
    my @seen = map { $_->finish } @racers;

    for my $n (0 .. 3) {
        my %seen;
        $seen{ $_->[$n] }++ for @seen;
        my ($made) = grep { /^201/ } keys %seen;
        my ($id) = ($made || 'nobody') =~ /(\S+)\z/;
        is_deeply \%seen, { "201 $id" => 1, "200 $id" => 3 },
            'of four at once one makes the tenant, all are answered it';
    }
}
is $postgres->value('select count(*) from prov.tenants'), $before + 20,
    'and there is one for each key';


# The document's own examples

my $document = $nginx->request(GET => '/api/provisioning/openapi.json')->json;

for (['patch', '/tenants/{tenant}', 200], ['put', '/tenants/{tenant}', 200],
     ['put', '/tenants/by-external-id/{external_id}', 201])
{
    my ($method, $where, $status) = @$_;
    my $content = $document->{paths}{$where}{$method}{requestBody}{content};
    ok $content, uc($method) . " $where has a body";

    for my $type (sort keys %$content) {
        for my $name (sort keys %{ $content->{$type}{examples} }) {
            my $example = $content->{$type}{examples}{$name}{value};
            $r = send_to(uc $method => $where =~ /by-external/
                    ? 'by-external-id/' . unique_email() : tenant(),
                { %$example,
                $example->{email} ? (email => unique_email()) : (),
                $example->{external_id} ? (external_id => unique_email()) : (),
            }, type => $type);
            is $r->status, $status, "$method: the example \"$name\" of $type works"
                or diag $r->body;
        }
    }
}

done_testing;
