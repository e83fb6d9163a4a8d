#!/usr/bin/perl

# Events are fetched: what changes leave, in the order in which nothing is
# skipped, to whose they are.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;

use JSON::PP ();

my ($postgres, $nginx) = gateway();
my $API = '/api/provisioning';

sub create {
    my ($name, %o) = @_;

    my $r = $nginx->request(POST => "$API/tenants", token => token(), %o,
        json => { client_name => $name, email => unique_email() });
    is $r->status, 201, "$name is made" or diag $r->body;
    return $r->json->{tenant};
}

sub page {
    my ($query, %o) = @_;

    my $r = $nginx->request(GET => "$API/events?$query", token => token(),
        %o);
    is $r->status, 200, "events?$query" =~ s/cursor=\w+\K[\w-]+/…/r
        or diag $r->body;
    return $r->json;
}

sub names { join ' ', map { $_->{data}{client_name} // '?' } @{ $_[0]{data} } }
sub types { join ' ', map { $_->{type} } @{ $_[0]{data} } }


# --- what changes leave ------------------------------------------------------

my $start = page('')->{next_cursor};
my $tenant = create('A');

for ([suspend => 'suspended'], [resume => 'resumed']) {
    $nginx->request(POST => "$API/tenants/$tenant/$_->[0]", token => token(),
        json => { reason => "unpaid" });
    is types(page("cursor=$start&type=tenant.$_->[1]")), "tenant.$_->[1]",
        "$_->[0] has left an event";
}

my $all = page("cursor=$start");
is types($all), 'tenant.created tenant.suspended tenant.resumed',
    'the oldest comes first';
is $all->{has_more}, JSON::PP::false, 'and there are no more';

my $event = $all->{data}[0];
my $one = $nginx->request(GET => "$API/events/$event->{id}",
    token => token());
is_deeply $one->json, $event, 'one of them is shown as the list shows it';


$nginx->request(POST => "$API/tenants?dry_run=true", token => token(),
    json => { client_name => 'Dry', email => unique_email() });
$nginx->request(POST => "$API/tenants", token => token(),
    json => { client_name => 'Refused', email => $event->{data}{email} });
is_deeply page("cursor=$all->{next_cursor}"), { data => [],
    next_cursor => $all->{next_cursor}, has_more => JSON::PP::false },
    'trials and what was refused leave none, and the cursor stays';


# --- pages -------------------------------------------------------------------

my $first = page("cursor=$start&limit=2");
is types($first), 'tenant.created tenant.suspended', 'a page of two';
is $first->{has_more}, JSON::PP::true, 'says that there is more';

my $linked = $nginx->request(GET => "$API/events?cursor=$start&limit=2&"
    . 'type=tenant.*', token => token());
my ($next) = ($linked->header('Link') // '') =~ /\A<(.+)>; rel="next"\z/;
like $next, qr/type=tenant\.%2A/, 'and links to the next, filter and all';
is types($nginx->request(GET => $next, token => token())->json),
    'tenant.resumed', 'which has the rest';

is types(page("since=2100-01-01T00:00:00Z")), '', 'since a time to come';
is types(page("since=2000-01-01T00:00:00Z&limit=1")), 'tenant.created',
    'since a time long ago';

my $r = $nginx->request(GET => "$API/events?cursor=x", token => token());
is $r->status . $r->code, '400invalid_cursor', 'what is no cursor is refused';
$r = $nginx->request(GET => "$API/events?type=Tenant%20x", token => token());
is $r->status . $r->code, '400invalid_parameters', 'and what is no type';


# --- whose they are ----------------------------------------------------------

my $other = token(partner => 'globex');

is_deeply page('', token => $other)->{data}, [],
    'another partner has no such events';
is_deeply page("cursor=$start", token => $other)->{data}, [],
    'and a cursor of somebody else\'s opens nothing';
is $nginx->request(GET => "$API/events/$event->{id}", token => $other)->code,
    'event_not_found', 'nor does an id';
is $nginx->request(GET => "$API/events", token =>
    token(roles => ['integration-user']))->code, 'permission_denied',
    'without the permission there is nothing to read';


# --- who begins first may be committed last ----------------------------------

# a change in a session of its own, which is not committed yet

sub begun {
    my ($name) = @_;
    my $dbh = $postgres->connect_as('prov_partner');
    my ($mutation, $id) = map { $postgres->value('select prov.uuid7()') } 1, 2;

    $dbh->begin_work;
    $dbh->do('select r.* from prov.enter(?::jsonb) e cross join lateral '
        . 'partner.tenant_create(e.ctx, ?::jsonb, ?::jsonb) r', undef,
        map { JSON::PP->new->encode($_) } { request_id => 'r',
            mutation => $mutation, id => $id, operation => 'tenant_create',
            partner => 'acme', base => $API, principal => {
                kind => 'user', subject => 's', issuer => 'i', roles => [] } },
        {}, { client_name => $name, email => unique_email() });

    return $dbh;
}

my $before = page("cursor=$start")->{next_cursor};
my $early = begun('Early');

create('Late');
is_deeply page("cursor=$before"), { data => [], next_cursor => $before,
    has_more => JSON::PP::false },
    'what is committed waits for what began to write before it';

$early->commit;
my $both = page("cursor=$before");
is names($both), 'Early Late',
    'when that is committed too, both are there, in the order of their '
    . 'beginnings';

my $undone = begun('Undone');
create('Kept');
is names(page("cursor=$both->{next_cursor}")), '', 'one waits again';
$undone->rollback;
is names(page("cursor=$both->{next_cursor}")), 'Kept',
    'and what is rolled back was never there';


# Many at once, read while they are made: none is missed, none comes twice.

my ($cursor, @seen) = page("cursor=$start")->{next_cursor};
my @writers = map {
    my $n = $_;
    background(sub {
        for my $k (1 .. 15) {
            my $r = $nginx->request(POST => "$API/tenants", token => token(),
                json => { client_name => "W$n-$k",
                          email => "w$n-$k\@example.org" });
            return $r->body if $r->status != 201;
        }
        return '';
    });
} 1 .. 4;

wait_until('60 events', sub {
    my $page = $nginx->request(GET => "$API/events?limit=7&cursor=$cursor",
        token => token())->json;
    $cursor = $page->{next_cursor};
    push @seen, grep { /\AW/ } map { $_->{data}{client_name} }
        @{ $page->{data} };
    return @seen >= 60;
}, 60);

is join('', map { $_->finish(30) } @writers), '', 'all changes were made';
is_deeply [sort @seen], [sort map { my $n = $_; map { "W$n-$_" } 1 .. 15 }
    1 .. 4], 'a reader has seen each of them once';

for my $n (1 .. 4) {
    is_deeply [grep { /\AW$n-/ } @seen], [map { "W$n-$_" } 1 .. 15],
        "those of writer $n in order";
}

done_testing;
