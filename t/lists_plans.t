#!/usr/bin/perl

# harness: plain

# What a page of the list of tenants costs a partner who has a million of
# them, beside others: with each order and each filter, at the beginning and
# far down.  Requests go through the gateway; PostgreSQL explains each
# statement that they run, those within functions too (auto_explain), and the
# plans are read.  With a sanitizer it would be the same database.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;

use JSON::PP ();
use List::Util qw(max);

my $MANY = 1_000_000;
my $MOST = 5_000;       # rows that a page may look at, and then the first of
my $MORE = 7;           # the next one, and one of each status to be compared
my $API = '/api/provisioning/tenants';

my $postgres = postgres(settings => {
    shared_buffers => '256MB', max_wal_size => '4GB', autovacuum => 'off',
    maintenance_work_mem => '256MB',
});

make_tenants();

$postgres->sql("alter role prov_partner set $_") for
    "session_preload_libraries = 'auto_explain'",
    'auto_explain.log_min_duration = 0', 'auto_explain.log_analyze = on',
    'auto_explain.log_buffers = on', 'auto_explain.log_timing = off',
    'auto_explain.log_nested_statements = on',
    "auto_explain.log_format = 'json'";

my $nginx = nginx(postgres => $postgres, database => 'connections 1;');
$nginx->ready;

my $json = JSON::PP->new->utf8->canonical;
my %token = map { $_ => token(partner => $_) } qw(acme globex);
my @sorts = map { ($_, "-$_") } qw(created_at updated_at client_name);


# --- asking, and reading what was done for it --------------------------------

sub escaped { $_[0] =~ s/([^A-Za-z0-9._~-])/sprintf '%%%02X', ord $1/ger }

sub query {
    my ($params) = @_;

    return join '&', map {
        my ($name, $value) = ($_, $params->{$_});

        ref $value eq 'ARRAY' ? map({ "$name=" . escaped($_) } @$value)
            : ref $value eq 'HASH' ? map({ "$name%5B" . escaped($_) . '%5D='
                . escaped($value->{$_}) } sort keys %$value)
            : "$name=" . escaped($value);
    } sort keys %$params;
}

# A page, and what it cost: how many rows were "fetched" from tables, how many
# "entries" of an index were enough, how many rows at most were "sorted" at
# once, how many "blocks" were read, which tables were "scanned" from one end
# to the other.

sub page {
    my ($params, $partner) = @_;
    my $from = -s $postgres->{log};
    my $r = $nginx->request(GET => "$API?" . query($params),
        token => $token{ $partner || 'acme' });
    my %cost = (r => $r, fetched => 0, entries => 0, sorted => 0, blocks => 0,
        scanned => '', plans => '');

    open my $in, '<:raw', $postgres->{log} or die "$postgres->{log}: $!";
    seek $in, $from, 0 or die "$postgres->{log}: $!";
    my $text = do { local $/; <$in> };

    while ($text =~ /plan:\n((?:\t.*\n)+)/g) {
        my $said = $1;
        my $plan = $json->decode($said)->{Plan};

        weigh($plan, \%cost);
        $cost{blocks} = max $cost{blocks},
            $plan->{'Shared Hit Blocks'} + $plan->{'Shared Read Blocks'};
        $cost{plans} .= $said if $said =~ /"Relation Name": "tenant/;
    }

    return \%cost;
}

sub weigh {
    my ($node, $cost) = @_;
    my ($type, $table) = map { $_ // '' } @$node{'Node Type', 'Relation Name'};
    my $rows = $node->{'Actual Loops'} * ($node->{'Actual Rows'}
        + ($node->{'Rows Removed by Filter'} || 0)
        + ($node->{'Rows Removed by Index Recheck'} || 0));

    $cost->{scanned} .= "$table " if $type =~ /\A(?:Seq|Bitmap Heap) Scan\z/;
    $cost->{ $type eq 'Index Only Scan' ? 'entries' : 'fetched' } += $rows
        if $table =~ /\Atenant/;
    $cost->{sorted} = max $cost->{sorted},
        map { $_->{'Actual Rows'} * $_->{'Actual Loops'} } @{ $node->{Plans} }
        if $type =~ /Sort\z/;

    weigh($_, $cost) for @{ $node->{Plans} || [] };
    return;
}

# The cursor of the page that begins at this time, or name.

sub from {
    my ($params, $place) = @_;

    return { %$params, cursor => $postgres->value(
        'select prov.list_cursor(prov.list_binding(\'tenant_list\', ?::jsonb,'
        . ' ?), case when ? ~ \'name\' then ? else prov.list_moment('
        . '?::timestamptz) end, \'0194f0a0-0000-7000-8000-000000000000\')',
        $json->encode($params), ($params->{sort}) x 2, $place,
        $place =~ /\A\d/ ? $place : undef) };
}

sub middle {
    my ($params) = @_;
    return from($params, $params->{sort} =~ /name/ ? 'client 5' : moment(
        $MANY / 2));
}

# When the n-th tenant was made.

sub moment {
    return $postgres->value(q{select to_char(('2025-01-01Z'::timestamptz + ?
        * interval '1 min') at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')},
        $_[0]);
}

# cheap(name, params, most => {…}): a page costs no more than this.  What only
# fills a connection's caches does not count, so a page may be asked for twice.

sub cheap {
    my ($name, $params, %o) = @_;
    my $most = $o{most};
    my $cost = page($params, $o{partner});

    $cost = page($params, $o{partner}) if $cost->{blocks} > $most->{blocks};

    my @over = map { "$_: $cost->{$_}" } grep { $cost->{$_} > $most->{$_} }
        qw(fetched entries sorted blocks);

    push @over, "all of $cost->{scanned}" if $cost->{scanned};
    push @over, 'status ' . $cost->{r}->status if $cost->{r}->status != 200;

    is_deeply \@over, [], $json->encode({ %$params,
        exists $params->{cursor} ? (cursor => '') : () }) . ": $name"
        or diag $cost->{plans};
    return $cost->{r};
}


# --- one equality, or none, in each order ------------------------------------

# A page of 25 and the first of the next, one of each status to be compared,
# and some that are deleted, where the index has those, too.  With metadata
# each is a row of another table as well.

my %page = (fetched => 40, entries => 40, sorted => 1, blocks => 200);

for my $case (
    [{}, 25],
    [{ status => ['active'] }, 25],
    [{ status => ['suspended'] }, 25],
    [{ status => ['pending'] }, 0],
    [{ status => [qw(active cancelled deleted pending suspended
                     trial_expired)] }, 25],
    [{ industry => 'Retail' }, 25],
    [{ industry => 'Rare' }, 25],
    [{ industry => 'None' }, 0],
    [{ metadata => { tier => 'tin' } }, 25],
    [{ metadata => { tier => 'gold' } }, 25],
    [{ metadata => { tier => 'none' } }, 0],
    [{ email => 'C77@EXAMPLE.com' }, 1],
    [{ external_id => 'x78' }, 1],
) {
    my ($filter, $shown) = @$case;

    for my $sort (@sorts) {
        my $params = { %$filter, sort => $sort };
        my $r = cheap('the first page', $params, most => \%page);

        is scalar @{ $r->json->{data} }, $shown, 'it is full';
        $r = cheap('a page far down', middle($params), most => \%page);
        is scalar @{ $r->json->{data} }, $shown, 'it is full' if $shown != 1;
    }
}

for my $sort (@sorts) {
    cheap('the first page of who has less', { sort => $sort },
        most => \%page, partner => 'globex');
}


# --- a range of what the list is sorted by -----------------------------------

my @at = map { moment($_ * $MANY) } .1, .2, .5, .8;

for my $name (qw(created updated)) {
    for my $range ({ "${name}_after" => $at[1] },
                   { "${name}_before" => $at[2] },
                   { "${name}_after" => $at[1], "${name}_before" => $at[2] })
    {
        for my $sort ("${name}_at", "-${name}_at") {
            my $params = { %$range, sort => $sort };

            cheap('the first page', $params, most => \%page);
            cheap('a page far down', from($params, moment(.35 * $MANY)),
                most => \%page);

            # One that nobody was given is a bound, too: what lies between it
            # and the range is not walked, not even in the index alone.  Those
            # made one after the other lie side by side.

            cheap("a page from $_ on", from($params, $_), most => { %page,
                fetched => $MOST + $MORE, blocks => $name eq 'created'
                    ? 500 : $MOST + 600 }) for $at[0], $at[3];
        }
    }
}


# --- filters that leave few: those, in each order ----------------------------

for my $case (
    [{ q => 'client 4711' }, 200],
    [{ q => 's4711' }, 200],
    [{ q => 'nothing' }, 0],
    [{ q => 's4711', status => ['active', 'deleted'] }, 200],
    [{ created_after => $at[1], created_before => moment(.2 * $MANY + 900),
       sort => 'updated_at' }, 900],
    [{ updated_after => $at[1], updated_before => moment(.2 * $MANY + 900),
       sort => '-client_name' }, 900],
    [{ status => ['suspended'], industry => 'Retail' }, 200],
    [{ industry => 'Rare', metadata => { tier => 'tin' } }, 100],
    [{ metadata => { kind => 'any', tier => 'gold' } }, 100],
) {
    my ($filter, $few) = @$case;

    for my $sort ($filter->{sort} || @sorts) {
        my $params = { %$filter, sort => $sort };
        my %most = (fetched => $few, entries => $few, sorted => $few,
            blocks => 6 * $few + 100);

        # those that another equality has were too many

        $most{entries} += $MOST + 1 if keys %$filter > 1;
        cheap('few, the first page', $params, most => \%most);
        cheap('few, a page far down', middle($params), most => \%most);
    }
}


# --- and those that leave neither few nor nearly all --------------------------

# No more than so many rows are fetched, after no more than so many entries of
# each index were counted that might have had few.

for my $filter (
    { q => 'client' },
    { q => 'batch' },
    { q => 'batch', status => ['active', 'suspended'] },
    { updated_after => $at[1], updated_before => $at[2], q => 's' },
    { created_before => $at[1], industry => 'Retail', q => 'client',
      metadata => { tier => 'tin' }, status => ['active'] },
) {
    for my $sort (@sorts) {
        my $params = { %$filter, sort => $sort };
        my %most = (fetched => $MOST + $MORE, entries => 7 * ($MOST + 1),
            sorted => 1, blocks => 5 * $MOST);

        cheap('the first page', $params, most => \%most);
        cheap('a page far down', middle($params), most => \%most);
    }
}


# --- all of it is found, however much is skipped ------------------------------

for my $case (
    [{ q => 'batch', sort => '-created_at' }, "name_key like 'batch%'",
     'created_at desc', 300],
    [{ q => 'batch', status => ['active'], created_after => $at[0],
       sort => 'client_name' },
     "name_key like 'batch%' and status = 'active'", 'name_key', 300],
    [{ industry => 'Retail', status => ['suspended'], sort => 'updated_at' },
     "industry = 'Retail' and status = 'suspended'", 'updated_at', 3],
) {
    my ($filter, $condition, $order, $pages) = @$case;
    my $params = { %$filter, limit => 100 };
    my (@found, $cursor, $n);

    do {
        my $page = $nginx->request(GET => "$API?" . query({ %$params,
            defined $cursor ? (cursor => $cursor) : () }),
            token => $token{acme})->json;

        push @found, map { $_->{tenant} } @{ $page->{data} };
        $cursor = $page->{next_cursor};
        $n++;
    } while defined $cursor && $n <= $pages;

    my $name = $json->encode($filter);
    my $all = $postgres->sql("select id from prov.tenants where partner = ?
        and $condition and status <> 'deleted' order by $order",
        $postgres->partner('acme'));

    cmp_ok scalar @$all, '>', 100, "$name: there is something";
    is_deeply \@found, [map { $_->{id} } @$all],
        "$name: the pages have it, in order";
    cmp_ok $n, '<=', $pages, "$name: and are $n";
}

done_testing;


# A million of one partner, and a fiftieth of it of another.  Made set by set,
# and the indexes afterwards, which takes a third of the time.

sub make_tenants {
    my $tables = "'prov.tenants'::regclass, 'prov.tenant_labels'::regclass";
    my $constraints = $postgres->sql("
        select conrelid::regclass as table, conname as name,
               pg_get_constraintdef(oid) as text
        from pg_constraint where contype = 'u' and conrelid in ($tables)");
    my $indexes = $postgres->sql("
        select i.indexrelid::regclass as name,
               pg_get_indexdef(i.indexrelid) as text
        from pg_index i where i.indrelid in ($tables) and not exists (
            select from pg_constraint c where c.conindid = i.indexrelid)");

    $postgres->sql('begin');
    $postgres->sql('set local session_replication_role = replica');
    $postgres->sql("alter table $_->{table} drop constraint $_->{name}")
        for @$constraints;
    $postgres->sql("drop index $_->{name}") for @$indexes;

    $postgres->sql(<<'SQL', $MANY, $MANY, $MANY, $MANY);
insert into prov.tenants (id, partner, created_at, updated_at, slug,
    client_name, email, external_id, industry, status, metadata)
select ('0194f0a0-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
    (select id from prov.partners
     where slug = case when n > ? then 'globex' else 'acme' end),
    '2025-01-01Z'::timestamptz + n * interval '1 min',
    '2025-01-01Z'::timestamptz + n * 7919::bigint % ? * interval '1 min',
    's' || n, case when n between 300001 and 308000 then 'Batch '
                   else 'Client ' end || n * 7919::bigint % ?,
    'c' || n || '@example.com', 'x' || n,
    case n % 10000 when 7 then 'Rare' else 'Retail' end,
    case when n % 5000 = 11 then 'suspended' when n % 10 = 1 then 'deleted'
         else 'active' end,
    case n % 10000 when 5 then '{"tier": "gold"}' else '{"tier": "tin"}'
    end::jsonb
from generate_series(1, (? * 1.02)::int) n
SQL
    $postgres->sql(<<'SQL');
insert into prov.tenant_labels (tenant, label, partner, created_at, updated_at,
    name_key)
select t.id, l.label, t.partner, t.created_at, t.updated_at, t.name_key
from prov.tenants t
join (
    select d.metadata, prov.tenant_label(m.key, m.value) as label
    from (select distinct metadata from prov.tenants) d
    cross join lateral jsonb_each_text(d.metadata) m) l
    on l.metadata = t.metadata
SQL
    $postgres->sql("alter table $_->{table} add constraint $_->{name} "
        . $_->{text}) for @$constraints;
    $postgres->sql($_->{text}) for @$indexes;
    $postgres->sql('commit');
    $postgres->sql('vacuum (analyze) prov.tenants, prov.tenant_labels');

    return;
}
