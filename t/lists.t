#!/usr/bin/perl

# GET /tenants: filters, orders, parts of tenants, and cursors that belong to
# them.  sql/tests/tenant_list.sql compares every combination with a plain
# query; here is what a caller sends and sees.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Problem;

my ($postgres, $nginx) = gateway();
my $path = '/api/provisioning/tenants';
my $acme = token();
my $parameters = 'A parameter of the path, the query or the headers is not as '
    . 'described; see "errors".';

sub get  { $nginx->request(GET => $_[0], token => $_[1] || $acme) }
sub list { get("$path?$_[0]", $_[1]) }
sub names { join ' ', map { $_->{slug} } @{ $_[0]->json->{data} } }

my %tenant;

for (
    [apex  => { client_name => 'Öl & Gas', industry => 'Energy',
                external_id => 'crm/1 ä', metadata => { tier => 'gold' } }],
    [birch => { client_name => 'acme one', industry => 'Energy',
                metadata => { tier => 'gold', 'region & zone' => 'EU/1' } }],
    [cedar => { client_name => 'Acme Two', industry => 'energy',
                metadata => { tier => 'tin' } }],
    [delta => { client_name => 'Zebra', external_id => 'crm/4' }],
    [acme  => { client_name => 'Zoo' }])
{
    my ($slug, $more) = @$_;
    my $r = $nginx->request(POST => $path, token => $acme,
        json => { slug => $slug, email => "$slug\@list.example", %$more });
    $r->status == 201 or die 'no tenant: ' . $r->body;
    $tenant{$slug} = $r->json;
}

# each a day after the one before; changed in the opposite order

my $day = 0;
for my $slug (sort { $tenant{$a}{tenant} cmp $tenant{$b}{tenant} }
              keys %tenant)
{
    $day++;
    $postgres->sql('update prov.tenants set created_at = ?, updated_at = ? '
        . 'where id = ?', "2025-02-0$day 12:00Z", '2025-03-0' . (9 - $day)
        . ' 12:00Z', $tenant{$slug}{tenant});
}

$nginx->request(POST => $path, token => token(partner => 'globex'),
    json => { client_name => 'Acme of others', slug => 'acme-other',
              email => 'apex@list.example', industry => 'Energy',
              external_id => 'crm/4', metadata => { tier => 'gold' } })
    ->status == 201 or die 'no tenant of another partner';

sub lists { is names(list($_[0])), $_[1], $_[2] || $_[0] }


# Filters

lists('limit=10', 'acme delta cedar birch apex', 'all, newest first');
lists('industry=Energy', 'birch apex');
lists('industry=energy', 'cedar');
lists('industry=Nothing', '');
lists('email=APEX@List.Example', 'apex');
lists('email=nobody@list.example', '');
lists('external_id=crm/4', 'delta');
lists('external_id=crm%2F1%20%C3%A4', 'apex');
lists('q=acme', 'acme cedar birch', 'q is a prefix of the name or the slug');
lists('q=ACME', 'acme cedar birch', 'in capitals, too');
lists('q=%C3%B6L', 'apex', 'also of letters beyond a to z');
lists('q=acme%20t', 'cedar');
lists('q=two', '', 'what is inside a name is no prefix');
lists('q=%25', '', 'nothing has a special meaning in it');
lists('created_after=2025-02-03T12:00:00Z', 'acme delta');
lists('created_after=2025-02-03T11:59:59.999Z', 'acme delta cedar');
lists('created_before=2025-02-03T13:00:00%2B01:00', 'birch apex');
lists('created_after=2025-02-01T12:00:00Z&created_before=2025-02-04T12:00:00Z',
    'cedar birch');
lists('updated_after=2025-03-07T00:00:00Z', 'birch apex');
lists('updated_before=2025-03-05T00:00:00Z', 'acme');
lists('metadata[tier]=gold', 'birch apex');
lists('metadata%5Btier%5D=gold', 'birch apex');
lists('metadata[tier]=gold&metadata[region%20%26%20zone]=EU/1', 'birch');
lists('metadata[tier]=', '');
lists('metadata[nothing]=gold', '');
lists('status=active', 'acme delta cedar birch apex');
lists('status=pending&status=cancelled', '');
lists('industry=Energy&metadata[tier]=gold&q=acme&status=active', 'birch');

is names(list('q=acme', token(partner => 'globex'))), 'acme-other',
    'of another partner\'s nothing is found';


# What is deleted

is $nginx->request(DELETE => "$path/$tenant{delta}{tenant}", token => $acme)
       ->status, 200, 'a tenant is deleted';
lists('limit=10', 'acme cedar birch apex', 'it is not listed any more');
lists('external_id=crm/4', '');
lists('status=deleted', 'delta', 'unless it is asked for');
lists('status=active&status=deleted', 'acme delta cedar birch apex');
is $nginx->request(POST => "$path/$tenant{delta}{tenant}/restore",
       token => $acme)->status, 200, 'it is restored';
$postgres->sql('update prov.tenants set updated_at = ? where id = ?',
    '2025-03-05 12:00Z', $tenant{delta}{tenant});
lists('limit=10', 'acme delta cedar birch apex', 'and listed again');


# Orders

lists('sort=created_at', 'apex birch cedar delta acme');
lists('sort=-created_at', 'acme delta cedar birch apex');
lists('sort=updated_at', 'acme delta cedar birch apex');
lists('sort=-updated_at', 'apex birch cedar delta acme');
lists('sort=client_name', 'birch cedar delta acme apex');
lists('sort=-client_name', 'apex acme delta cedar birch');
lists('sort=client_name&q=acme', 'birch cedar acme');
lists('sort=-updated_at&industry=Energy', 'apex birch');
lists('sort=client_name&metadata[tier]=gold', 'birch apex');

for my $query ('sort=client_name', 'sort=-updated_at&status=active',
               'metadata[tier]=gold&sort=-client_name', 'q=acme',
               'metadata[region%20%26%20zone]=EU/1&industry=Energy'
               . '&created_after=2025-01-01T00:00:00%2B01:00&fields=slug,email')
{
    my $whole = names(list($query));
    my @seen;
    my $url = "$path?$query&limit=1";

    while ($url && @seen < 10) {
        my $r = get($url);
        push @seen, names($r);
        ($url) = ($r->header('Link') || '') =~ /\A<(.*)>; rel="next"\z/;
    }

    is "@seen", $whole, "Links lead through $query";
}


# Parts

my $r = list('fields=slug&email=apex@list.example');
is $r->body, '{"data": [{"tenant": "' . $tenant{apex}{tenant}
    . '", "slug": "apex"}], "next_cursor": null}',
    'of a tenant only what was asked for is shown, and its id';
is list('fields=metadata,client_name&email=apex@list.example')->body,
    '{"data": [{"tenant": "' . $tenant{apex}{tenant}
    . qq{", "client_name": "\xc3\x96l & Gas", "metadata": }
    . '{"tier": "gold"}}], "next_cursor": null}',
    'in the order that tenants have';

my $document = $nginx->request(GET => '/api/provisioning/openapi.json')->json;
my $schemas = $document->{components}{schemas};
my ($fields) = grep { $_->{name} eq 'fields' }
    map { $_->{'$ref'} ? $document->{components}{parameters}
          {$_->{'$ref'} =~ s{.*/}{}r} : $_ }
    @{ $document->{paths}{'/tenants'}{get}{parameters} };
my @members = sort keys %{ $tenant{apex} };
is_deeply [sort @{ $fields->{schema}{items}{enum} }], \@members,
    'fields knows every member of a tenant';
is_deeply [sort keys %{ $schemas->{TenantPart}{properties} }], \@members,
    'and so does what a page is made of';
is names(list('fields=' . join(',', @members))), names(list('limit=25')),
    'all of them may be asked for';


# Cursors

$r = list('limit=1&sort=client_name&industry=Energy');
my $cursor = $r->json->{next_cursor};
my $unchanged = 'cursor must be the next_cursor of a page of this list, '
    . 'with the same sort and filters, unchanged.';
is names(list("industry=Energy&cursor=$cursor&sort=client_name&fields=slug")),
    'apex', 'a cursor goes with its sort and its filters';

for ("limit=1&industry=Energy", "limit=1&industry=Energy&sort=-client_name",
     "limit=1&sort=client_name", "industry=energy&sort=client_name",
     "limit=1&sort=client_name&industry=Energy&q=a",
     "limit=1&sort=client_name&industry=Energy&status=active")
{
    is_problem list("$_&cursor=$cursor"), "and not with $_", 400,
        'invalid_cursor', $unchanged;
}


# What is refused

sub refused {
    my ($query, $name, $code, $message, @where) = @_;
    return is_problem list($query), $name, 400, 'invalid_parameters',
        $parameters, errors => '[' . violation([query => $where[0]], $code,
            $message) . ']';
}

for (['status=gone', 'status'], ['sort=email', 'sort'],
     ['sort=created_at,email', 'sort'], ['fields=email,secret', 'fields'],
     ['fields=', 'fields'], ['q=', 'q'], ['industry=', 'industry'],
     ['created_after=yesterday', 'created_after'],
     ['created_after=2025-02-30T00:00:00Z', 'created_after'],
     ['created_after=0000-01-01T00:00:00Z', 'created_after'],
     ['created_before=2025-01-01T00:00:00%2B15:00', 'created_before'],
     ['created_before=2025-01-01T00:00:00', 'created_before'],
     ['metadata=gold', 'metadata'], ['metadata[]=gold', 'metadata'],
     ['page=2', 'page'],
     ['status=' . join('&status=', ('active') x 7), 'status'],
     ['q=' . 'x' x 201, 'q'])
{
    my ($query, $parameter) = @$_;
    $r = list($query);
    is $r->status . ' ' . ($r->json->{code} || ''), '400 invalid_parameters',
        substr($query, 0, 50) . ' is refused' or diag $r->body;
    like $r->json->{errors}[0]{parameter}, qr/\A\Q$parameter\E/,
        'and the parameter named';
}

for ('0001-01-01T00:00:00Z', '9999-12-31T23:59:59.999999Z',
     '2016-12-31T23:59:60Z', '2025-01-01T00:00:00-14:00',
     '2025-01-01t00:00:00z', '2025-01-01T00:00:00.123456789012Z')
{
    is list("created_after=$_&sort=client_name&updated_before=$_")->status,
        200, "$_ is a moment";
}

for ("'; drop table prov.tenants; --", "x') or true --", '%s %I', '$1', "\\",
     "a\tb\r\nX-Injected: 1")
{
    my $value = s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ger;
    $r = list("q=$value&industry=$value&email=$value&external_id=$value"
        . "&metadata[$value]=$value&limit=1");
    is $r->status . ' ' . $r->body, '200 {"data": [], "next_cursor": null}',
        'what is asked for is only text' or diag $r->body;
}

done_testing;
