#!/usr/bin/perl

# GET /tenants/{tenant} and GET /tenants: who sees what, in which order, and
# how one turns the pages.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Problem;

use MIME::Base64 qw(decode_base64url encode_base64url);

my ($postgres, $nginx) = gateway();
my $path = '/api/provisioning/tenants';
my $acme = token();
my $globex = token(partner => 'globex');
my $parameters = 'A parameter of the path, the query or the headers is not as '
    . 'described; see "errors".';

sub get  { $nginx->request(GET => $_[0], token => $_[1] || $acme) }
sub list { get($path . ($_[0] ? "?$_[0]" : ''), $_[1]) }

sub create {
    my ($token, %more) = @_;
    my $r = $nginx->request(POST => $path, token => $token,
        json => { client_name => 'A tenant', email => unique_email(), %more });
    $r->status == 201 or die 'no tenant: ' . $r->body;
    return $r;
}

sub ids { [map { $_->{tenant} } @{ $_[0]->json->{data} }] }


# Nothing yet

is list()->body, '{"data": [], "next_cursor": null}',
    'a partner without tenants has an empty list';


# One tenant

my $made = create($acme, metadata => { a => 'b' });
my $tenant = $made->json->{tenant};

my $r = get("$path/$tenant");
is $r->status, 200, 'a tenant is read';
is $r->type, 'application/json', 'it is JSON';
is $r->body, $made->body, 'and the same, to the byte, as when it was made';
is $r->header('ETag'), $made->header('ETag'), 'with the same entity tag';
is get($made->header('Location'))->body, $made->body,
    'Location leads to it';
is get("$path/" . uc $tenant)->body, $made->body,
    'an id in capitals is the same id';
is get("$path/$tenant", token(roles => ['integration-user']))->status, 200,
    'who may only read reads it';

my $none = 'You have no tenant with this id.';
is_problem get("$path/0194f0b2-3b40-7c3e-8b1f-2f6d3a9c7e51"),
    'an unknown one is not found', 404, 'tenant_not_found', $none;
is_problem get("$path/$tenant", $globex),
    'nor is another partner\'s, in the same words', 404, 'tenant_not_found',
    $none;

for my $id ('4711', "{$tenant}", $tenant =~ tr/-//dr, "urn:uuid:$tenant",
            "${tenant}0", substr($tenant, 1), 'openapi.json', '%20',
            $tenant =~ s/.\z/g/r, "$tenant%0a")
{
    is_problem get("$path/$id"), "$id is no id of a tenant", 400,
        'invalid_parameters', $parameters,
        errors => '[' . violation([path => 'tenant'], 'format',
                                  'must be a UUID') . ']';
}


# The list

is list()->body, '{"data": [' . $made->body . '], "next_cursor": null}',
    'the list has the tenant as it was made';
is list('', $globex)->body, '{"data": [], "next_cursor": null}',
    'and another partner\'s list does not';

my $theirs = create($globex)->json->{tenant};
my @made = ($tenant, map { create($acme)->json->{tenant} } 1 .. 29);
my @newest = reverse @made;

$r = list();
is $r->status, 200, 'a list is read';
is_deeply ids($r), [@newest[0 .. 24]], 'newest first, 25 of them';
my $next = $r->json->{next_cursor};
like $next, qr/\A[A-Za-z0-9_-]+\z/, 'with a cursor that needs no escaping';
is $r->header('Link'), qq{<$path?limit=25&cursor=$next>; rel="next"},
    'and a Link to the next page';
is $r->header('ETag'), undef, 'a page has no entity tag';

$r = list("cursor=$next");
is_deeply ids($r), [@newest[25 .. 29]], 'the next page has the others';
is $r->json->{next_cursor}, undef, 'and no cursor, as it is the last one';
is $r->header('Link'), undef, 'nor a Link';

is_deeply ids(list('', $globex)), [$theirs],
    'the other partner sees its own only';
is_deeply ids(list("cursor=$next", $globex)), [$theirs],
    'with a cursor of somebody else, too';

for my $limit (1, 7, 10, 29) {
    my (@seen, @sizes);
    my $url = "$path?limit=$limit";

    while ($url) {
        my $page = get($url);
        push @sizes, scalar @{ ids($page) };
        push @seen, @{ ids($page) };
        ($url) = ($page->header('Link') || '') =~ /\A<(.*)>; rel="next"\z/;
        last if @sizes > 40;
    }

    my @wanted = (($limit) x int(30 / $limit), 30 % $limit || ());
    is_deeply [\@seen, \@sizes], [\@newest, \@wanted],
        "Links lead through all pages of $limit, each tenant seen once";
}

for my $limit (30, 31, 100) {
    $r = list("limit=$limit");
    is_deeply [ids($r), $r->json->{next_cursor}], [\@newest, undef],
        "one page of $limit has them all, and no next one";
}

# Somebody goes on creating between two pages.

$r = list('limit=20');
my $new = create($acme)->json->{tenant};
is_deeply ids(list('limit=20&cursor=' . $r->json->{next_cursor})),
    [@newest[20 .. 29]], 'what is new does not disturb those who turn pages';
is ids(list('limit=1'))->[0], $new, 'and is on the first page';

# Tenants of the same moment

$postgres->sql('update prov.tenants set created_at = ?',
    '2025-02-10 16:30:00+00');
my @by_id = reverse sort @made, $new;
my (@seen, $cursor);
do {
    $r = list('limit=4' . ($cursor ? "&cursor=$cursor" : ''));
    push @seen, @{ ids($r) };
    $cursor = $r->json->{next_cursor};
} while ($cursor && @seen < 100);
is_deeply \@seen, \@by_id,
    'tenants of one moment are listed by id, and none is lost between pages';
like $r->body, qr/"created_at": "2025-02-10T16:30:00\.000Z"/,
    'a time always has its milliseconds';


# What is no limit

for (['0', 'minimum', 'must be at least 1'],
     ['-1', 'minimum', 'must be at least 1'],
     ['101', 'maximum', 'must be at most 100'],
     ['999999999999999', 'maximum', 'must be at most 100'],
     map { [$_, 'type', 'must be an integer'] }
         '', 'ten', '1.5', '010', '+1', '0x10', '1e1', '%31%30x',
         '9999999999999999999999')
{
    my ($limit, $code, $message) = @$_;
    is_problem list("limit=$limit"), "a limit cannot be '$limit'", 400,
        'invalid_parameters', $parameters,
        errors => '[' . violation([query => 'limit'], $code, $message) . ']';
}

is_problem list('limit=1&limit=2'), 'a limit is given once', 400,
    'invalid_parameters', $parameters, errors => '['
    . violation([query => 'limit'], 'repeated', 'is given more than once')
    . ']';
is_problem list('limit=0&page=2&cursor='), 'all that is wrong is told at once',
    400, 'invalid_parameters', $parameters, errors => '[' . join(',',
        violation([query => 'page'], 'unknown_parameter',
                  'is not a parameter of this operation'),
        violation([query => 'limit'], 'minimum', 'must be at least 1'),
        violation([query => 'cursor'], 'min_length',
                  'must be at least 1 character long')) . ']';
is list('limit=100')->status, 200, 'a limit of 100 is allowed';
is scalar @{ ids(list('limit=%31%30')) }, 10, 'in whatever encoding';


# What is no cursor

my $unchanged = 'cursor must be the next_cursor of a page of this list, '
    . 'with the same sort and filters, unchanged.';
$r = list('limit=1');
$cursor = $r->json->{next_cursor};
my $bytes = decode_base64url($cursor);

for (['a word', 'x'], ['another length', $cursor . 'AAAA'],
     ['a shortened one', substr $cursor, 0, -1],
     ['one of another list', encode_base64url('xx1' . substr $bytes, 3)],
     ['one without a moment', encode_base64url(substr $bytes, 0, 24)],
     ['one with a moment before 1970',
      encode_base64url(substr($bytes, 0, 24) . '-1')],
     ['one with a moment after 9999',
      encode_base64url(substr($bytes, 0, 24) . '9' x 15)],
     ['letters that are not base64url', '%C3%A4' . substr $cursor, 1],
     ['an SQL literal', "'; drop table prov.tenants; --" =~ s/ /%20/gr])
{
    is_problem list("cursor=$_->[1]"), "$_->[0] is no cursor", 400,
        'invalid_cursor', $unchanged;
}

is_problem list('cursor=' . 'x' x 1537), 'nor is a very long word', 400,
    'invalid_parameters', $parameters, errors => '['
    . violation([query => 'cursor'], 'max_length',
                'must be at most 1536 characters long') . ']';

is_deeply ids(list('cursor=' . encode_base64url(substr($bytes, 0, 8)
        . "\0" x 16 . '0'))), [],
    'a cursor before the first tenant is the end of the list';


# Who may

is_problem get($path, token(roles => ['nobody'])),
    'without a role that grants it there is no list', 403,
    'permission_denied', 'The operation requires the permission '
    . '"tenant:read", which none of the caller\'s roles grants.';
is list('', token(roles => ['integration-user']))->status, 200,
    'who may only read reads it';

done_testing;
