package Bench::Pages;

# What a page of the list of tenants costs in the database alone, the first one
# and one in the middle, in each order and with each filter: medians of several
# pages of 25, by the gateway's own statement, as the gateway's role.

use strict;
use warnings;

use JSON::PP ();
use Time::HiRes qw(time);

my $json = JSON::PP->new->canonical;

my @filters = (
    {},
    { status => ['active'] },
    { status => ['suspended'] },
    { industry => 'Retail' },
    { industry => 'Rare' },
    { metadata => { tier => 'tin' } },
    { metadata => { tier => 'gold' } },
    { email => 'c77@example.com' },
    { external_id => 'x78' },
    { q => 'client 4711' },
    { created_after => '2025-03-01T00:00:00Z',
      created_before => '2025-03-01T12:00:00Z' },
    { updated_after => '2025-03-01T00:00:00Z',
      updated_before => '2025-03-01T12:00:00Z' },
);


# measure(the Bench::Database, statement, pages for a median): for each order
# and filter its parameters and milliseconds, "middle" where there is one.

sub measure {
    my ($database, $statement, $times) = @_;

    my $dbh = $database->postgres_of->connect_as('prov_partner');
    $dbh->{pg_server_prepare} = 1;

    my $list = $dbh->prepare($statement->text);
    my ($ctx, $params) = $statement->bound(0);
    die "the parameters of tenant_list are in another place\n"
        if ($params // '') !~ /"limit"/;

    my @pages;
    for my $sort (qw(-created_at updated_at client_name)) {
        for my $filter (@filters) {
            my %params = (%$filter, sort => $sort, limit => 25);
            my %page = (sort => $sort, filter => $filter,
                        first => median($list, $ctx, \%params, $times));
            my $cursor = middle($database->postgres_of, \%params);

            $page{middle} = median($list, $ctx,
                { %params, cursor => $cursor }, $times) if $cursor;
            push @pages, \%page;
        }
    }

    $list->finish;
    $dbh->disconnect;

    return \@pages;
}


sub median {
    my ($list, $ctx, $params, $times) = @_;

    my $text = $json->encode($params);
    my @times;

    for (1 .. $times) {
        my $began = time;
        $list->execute($ctx, $text, undef);
        my ($status, $body) = $list->fetchrow_array;
        push @times, (time - $began) * 1000;
        die "$text: $status: $body\n" if $status != 200;
    }

    return (sort { $a <=> $b } @times)[$times / 2];
}


# The cursor of the page in the middle of those that there are; none when one
# page has them all.

sub middle {
    my ($postgres, $params) = @_;

    my $sort = $params->{sort};
    my $key = $sort =~ s/-//r =~ s/client_name/name_key/r;
    my $direction = $sort =~ /^-/ ? 'desc' : 'asc';
    my $where = $params->{metadata} ? "t.metadata \@> (p.p -> 'metadata')"
        : $params->{status} ? "t.status = p.p #>> '{status,0}'"
        : $params->{industry} ? "t.industry = p.p ->> 'industry'"
        : !grep({ !/^(?:sort|limit)$/ } keys %$params) ? 'true'
        : return;

    return $postgres->value(<<"SQL", $json->encode($params));
with p as (select ?::jsonb as p),
    found as (
        select t.id, t.$key as key
        from prov.tenants t, p
        where t.partner = (select id from prov.partners where slug = 'acme')
            and $where and t.status <> 'deleted'
        order by t.$key $direction, t.id $direction)
select prov.list_cursor(prov.list_binding('tenant_list', p.p, '$sort'),
    @{[$key eq 'name_key' ? 'f.key' : 'prov.list_moment(f.key)']}, f.id)
from p, found f
offset (select count(*) / 2 from found) limit 1
SQL
}

1;
