package Bench::Database;

# The PostgreSQL of a run: durable, as one in production is, with as many
# tenants as were asked for, nearly all of one partner.

use strict;
use warnings;

use Provisioning::Test;
use Provisioning::Test::Postgres;

# What differs from PostgreSQL's own defaults, or from the tests' cluster,
# which waits for no disk.  Each figure of a run is to be had under the same
# conditions, so no checkpoint and no vacuum happens to fall into one: rounds
# begin with a checkpoint of their own.

our %settings = (
    fsync => 'on', full_page_writes => 'on', synchronous_commit => 'on',
    wal_level => 'replica', max_connections => 200,
    max_wal_size => '32GB', min_wal_size => '1GB', wal_buffers => '16MB',
    checkpoint_timeout => '1h', autovacuum => 'off',
);

# A tenant's id ends with a number of 12 decimal digits: all of the programs
# that measure can make such a one without arithmetic in SQL.

our $id    = '01940000-0000-7000-8000-';
our $first = 100_000_000_000;


# start(number of tenants): the server, with them.

sub start {
    my ($class, $tenants) = @_;

    # segments of the usual size, where the tests have small ones
    $ENV{PROV_TEST_TEMPLATE} = Provisioning::Test::Postgres::make_template(
        directory() . '/template', 16);

    my %more = (shared_buffers => buffers($tenants));
    my $self = bless {
        tenants  => $tenants,
        settings => { %settings, %more },
        postgres => postgres(settings => { %settings, %more }),
    }, $class;

    $self->load;
    return $self;
}


# Are there as many tenants of a series of numbers as somebody says to have
# made?  More may be there: those that were under way when the time was up.

sub made {
    my ($self, $base, $count, $more) = @_;

    my $there = $self->{postgres}->value('select count(*) from prov.tenants'
        . ' where email_key >= ? and email_key < ?',
        "r$base", 'r' . ($base + 1_000_000_000));

    die "$count tenants are said to have been made, and there are $there\n"
        if $there < $count || $there > $count + $more;
    return;
}


sub postgres_of { $_[0]{postgres} }
sub settings { $_[0]{settings} }
sub tenants  { $_[0]{tenants} }


# A quarter of the memory, as the manual advises, but no more than 4 GB, which
# hold a million tenants and as many again that are made.

sub buffers {
    my ($tenants) = @_;

    open my $file, '<', '/proc/meminfo' or die "/proc/meminfo: $!";
    my ($kilobytes) = do { local $/; <$file> } =~ /^MemTotal:\s+(\d+) kB/m;
    my $megabytes = int $kilobytes / 4 / 1024;

    $megabytes = 4096 if $megabytes > 4096;
    $megabytes = 256 if $tenants <= 100_000 && $megabytes > 256;
    return "${megabytes}MB";
}


# Set-based, with every constraint, index and trigger in place.  Several
# connections, a slice of the tenants each.

sub load {
    my ($self) = @_;
    my $postgres = $self->{postgres};

    $postgres->sql('set role prov_owner');
    $postgres->sql('select prov.partner_add(?, ?)', @$_)
        for [initech => 'Initech'], [umbrella => 'Umbrella'];
    $postgres->sql('reset role');

    my $slice = 25_000;
    my @jobs = map {
        my $part = $_;
        background(sub {
            my $dbh = $postgres->connect_as('postgres');
            $dbh->do("set timezone = 'UTC'");
            for (my $n = $part * $slice; $n < $self->{tenants};
                 $n += 2 * $slice)
            {
                my $end = $n + $slice < $self->{tenants} ? $n + $slice
                                                         : $self->{tenants};
                load_slice($dbh, $n, $end - 1, $self->{tenants});
            }
            return 1;
        });
    } 0, 1;

    $_->finish(1800) for @jobs;

    $postgres->sql($_) for 'vacuum (analyze, freeze)', 'checkpoint';

    return;
}


# One in a hundred is another partner's.  What lists are filtered by has common
# values and rare ones; and some thousand tenants have 4 KB of metadata, so that
# there is a page which takes long (Bench::Slow).

sub load_slice {
    my ($dbh, $from, $to, $all) = @_;

    $dbh->do(<<'SQL', undef, $id, $first, $all, $from, $to);
insert into prov.tenants (id, partner, created_at, updated_at, slug,
    client_name, email, external_id, industry, status, metadata)
select ($1 || ($2::bigint + n.n + case when n.other
           then 500000000000 else 0 end))::uuid,
    (select p.id from prov.partners p where p.slug = case
         when not n.other then 'acme'
         when n.n % 300 = 0 then 'globex'
         when n.n % 300 = 100 then 'initech'
         else 'umbrella' end),
    '2025-01-01Z'::timestamptz + n.n * interval '1 min',
    '2025-01-01Z'::timestamptz
        + n.n * 7919::bigint % $3::bigint * interval '1 min',
    case when n.other then 'o' else 's' end || n.n,
    'Client ' || n.n * 7919::bigint % $3::bigint,
    'c' || n.n || '@example.com', 'x' || n.n,
    case n.n % 10000 when 7 then 'Rare' else 'Retail' end,
    case when n.n % 5000 = 11 then 'suspended'
         when n.n % 10 = 1 then 'deleted' else 'active' end,
    case when n.n % 10000 = 5 then '{"tier": "gold"}'
         when n.n % 150 = 9 then '{"tier": "lead"}'::jsonb || (
             select jsonb_object_agg('field_' || k, (
                 select string_agg(md5(concat_ws('-', n.n, k, j)), '')
                 from generate_series(1, 6) j))
             from generate_series(1, 20) k)
         else '{"tier": "tin"}' end
from (
    select n, false from generate_series($4::int, $5::int) n
    union all
    select n, true from generate_series($4::int, $5::int) n
    where n % 100 = 0
) n (n, other)
SQL

    return;
}

1;
