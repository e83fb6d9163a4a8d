#!/usr/bin/perl

# provisioning_require_if_match: where it is on, what changes something that is
# there must say of which version.  And what that is good for: of changes that
# are made at the same time none is lost.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Operations;
use Provisioning::Test::Problem;

use JSON::PP ();

my $TENANTS = '/api/provisioning/tenants';

my $postgres = postgres();
$postgres->lock_timeout('60s');

my %header = map { $_ => { name => $_, in => 'header',
                           schema => { type => 'string' } } }
    qw(If-Match If-None-Match Idempotency-Key X-Tags);
my $answer = "status := 200; body := params::json;";

my $api = operations($postgres,
    change => { method => 'patch', function => $answer,
                body => { type => 'object' },
                parameters => [@header{qw(If-Match Idempotency-Key)},
                    { name => 'dry_run', in => 'query',
                      schema => { type => 'boolean' } }] },
    put    => { method => 'put', function => $answer,
                parameters => [@header{qw(If-Match If-None-Match X-Tags)}] },
    remove => { method => 'delete', function => $answer,
                parameters => [$header{'If-Match'}] },
    add    => { method => 'post', function => $answer,
                parameters => [$header{'Idempotency-Key'}] },
    look   => { function => $answer, parameters => [$header{'If-Match'}] },
);

my $on = 'provisioning_require_if_match on;';
my $off = 'provisioning_require_if_match off;';

my (undef, $nginx) = gateway(postgres => $postgres, locations =>
    $api->location($on)
    . $api->location_at('/off')
    . $api->location_at('/nested', $on,
          'location /nested/put { ' . $off . ' }'));

sub call {
    my ($method, $path, %headers) = @_;
    my $json = $method eq 'PATCH' ? { a => 1 } : undef;
    return $nginx->request($method => $path, token => token(),
        headers => \%headers, $json ? (json => $json) : ());
}


# What the documents promise

for my $file (glob "$FindBin::Bin/../conf/openapi/*.json") {
    my $document = JSON::PP->new->utf8->decode($nginx->read_file($file));

    for my $path (sort keys %{ $document->{paths} || {} }) {
        my $item = $document->{paths}{$path};

        for my $method (grep { $item->{$_} } qw(post put patch delete)) {
            my $o = $item->{$method};
            next if $o->{'x-handler'} || $o->{security};

            my %has = map { (($_->{'$ref'} || '') =~ m{([^/]*)\z})[0] => 1 }
                @{ $item->{parameters} || [] }, @{ $o->{parameters} || [] };
            my @must = (qw(409 422), $has{if_match} ? qw(412 428) : ());

            is_deeply [grep { !$has{$_} } qw(idempotency_key dry_run)], [],
                "$o->{operationId} takes a key, and can be tried";
            is_deeply [grep { !$o->{responses}{$_} } @must], [],
                'and describes what is answered to that';
        }
    }
}


# Who must be conditional

my $detail = 'This operation requires the header If-Match with the ETag of '
    . 'the resource as you last read it.';

for (['PATCH', 'change'], ['PATCH', 'change?dry_run=true'],
     ['DELETE', 'remove'], ['PUT', 'put'])
{
    my ($method, $path) = @$_;
    my $name = "$method $path";
    my $r = call($method, $api->base . "/$path");

    is_problem $r, "$name without If-Match is refused", 428,
        'precondition_required', $detail;
    is call($method, $api->base . "/$path", 'If-Match' => '')->status, 428,
        'and with an empty one';
    is call($method, $api->base . "/$path", 'If-Match' => '"1"')->status, 200,
        'but not with one';
    is call($method, "/off/$path")->status, 200, 'nor where it is not on';
}

is call(PATCH => $api->base . '/change', 'Idempotency-Key' => 'k')->status,
    428, 'a key is no condition';
is call(PUT => $api->base . '/put', 'If-None-Match' => '*')->status, 200,
    'If-None-Match is one, where the operation has it';
is call(DELETE => $api->base . '/remove', 'If-None-Match' => '*')->status,
    428, 'and only there';
is call(POST => $api->base . '/add')->status, 200,
    'what has no If-Match needs none';
is call(GET => $api->base . '/look')->status, 200,
    'what only reads needs none';
is call(DELETE => '/nested/remove')->status, 428, 'it is inherited';
is call(PUT => '/nested/put')->status, 200, 'and can be off further in';


# When

is $nginx->request(DELETE => $api->base . '/remove')->status, 401,
    'who may not is told so before';
my $connection = $nginx->connection;
$connection->write('PATCH ' . $api->base . "/change HTTP/1.1\r\nHost: x\r\n"
    . 'Authorization: Bearer ' . token() . "\r\n"
    . "Content-Type: application/json\r\nContent-Length: 9\r\n\r\n");
is $connection->read_response->status, 428, 'nobody waits for the body';
$connection->close;
is $nginx->request(PATCH => $api->base . '/change', token => token(),
    json => [], headers => { 'If-Match' => '"1"' })->code, 'invalid_body',
    'which is looked at when there is a condition';


# What a function gets

is_deeply call(PUT => '/off/put', 'If-Match' => '"1", W/"2"')->json,
    { 'If-Match' => '"1", W/"2"' }, 'a function is told the condition';
is $nginx->request(PUT => '/off/put', token => token(), headers => [
        'If-Match' => '"1"', 'If-Match' => '"2"'])->status, 400,
    'nginx takes it once';
is_deeply $nginx->request(PUT => '/off/put', token => token(), headers => [
        'X-Tags' => 'a', 'If-None-Match' => '"3"', 'x-tags' => 'b, c',
        'X-TAGS' => 'd'])->json,
    { 'X-Tags' => 'a, b, c, d', 'If-None-Match' => '"3"' },
    'what comes in several lines a function gets in one';


# Where it may stand

for (['http', http => $on], ['server', server => $on],
     ['location', api => $on])
{
    my ($place, @piece) = @$_;
    my ($accepted, $output) = $nginx->test(@piece);
    ok $accepted, "it may stand in $place" or diag $output;
}

for (["$on $on", qr/"provisioning_require_if_match" directive is duplicate/],
     ['provisioning_require_if_match maybe;',
      qr/invalid value "maybe" in "provisioning_require_if_match" directive/])
{
    my ($text, $said) = @$_;
    my ($accepted, $output) = $nginx->test(api => $text);
    ok !$accepted, "it is refused: $text";
    like $output, $said, 'with the reason';
}


# Of many who change the same thing at the same time none is lost: each reads,
# adds to what is there, and tries again when somebody was faster.

$nginx->configure(api => $on, workers => 2, database => 'connections 4;');
$nginx->reload;

my $made = $nginx->request(POST => $TENANTS, token => token(),
    json => { client_name => 'Acme', email => unique_email() });
is $made->status, 201, 'there is a tenant';
my $tenant = $made->header('Location');
my $token = token();

# all have begun with the same version, so that five of six come too late once

my $at_first = $nginx->request(GET => $tenant, token => $token);

sub add {
    my ($who, $n, $method) = @_;
    my $refused = 0;

    for my $i (1 .. $n) {
        while (1) {
            my $r = $i == 1 && !$refused ? $at_first
                : $nginx->request(GET => $tenant, token => $token);
            my $is = $r->json;
            my $more = ($is->{metadata}{list} // '') . "$who$i ";
            my $json = $method eq 'PATCH' ? { metadata => { list => $more } }
                : { (map { $_ => $is->{$_} } qw(client_name email)),
                    metadata => { list => $more } };
            my $done = $nginx->request($method => $tenant, token => $token,
                json => $json,
                headers => { 'If-Match' => $r->header('ETag') });

            last if $done->status == 200;
            $done->code eq 'precondition_failed' or die $done->body;
            $refused++;
        }
    }

    return $refused;
}

my %job = map { my $who = $_;
    $who => background(sub { add($who, 8, $who lt 'd' ? 'PATCH' : 'PUT') }) }
    'a' .. 'f';
my $refused = 0;
$refused += $job{$_}->finish for sort keys %job;

my $list = $nginx->request(GET => $tenant, token => $token);
my @added = split / /, $list->json->{metadata}{list};

is_deeply [sort @added], [map { my $w = $_; map { "$w$_" } 1 .. 8 } 'a' .. 'f'],
    'each change is there, once';
is_deeply { map { my $w = $_; $w => [grep { /\A$w/ } @added] } 'a' .. 'f' },
    { map { my $w = $_; $w => [map { "$w$_" } 1 .. 8] } 'a' .. 'f' },
    'in the order in which each made them';
is $list->header('ETag'), '"49"', 'and each has made a version';
cmp_ok $refused, '>=', 5, "who came too late was told so ($refused times)";
is $nginx->request(PATCH => $tenant, token => $token,
    json => { industry => 'x' })->status, 428, 'nobody can do without';

done_testing;
