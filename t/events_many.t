#!/usr/bin/perl

# harness: plain

# A million events of one partner beside others: what a page costs, wherever
# it is, and what the question of those who listen does.  PostgreSQL explains
# each statement, those within functions too (auto_explain), and the plans are
# read.  With a sanitizer it would be the same database.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::EventStream;

use JSON::PP ();
use List::Util qw(max sum);

my $MANY = 1_000_000;
my $PAGE = 160;         # rows for a hundred, which are fetched ahead in fifties
my $API = '/api/provisioning/events';

my $postgres = postgres(settings => {
    shared_buffers => '256MB', max_wal_size => '4GB', autovacuum => 'off',
});

# xid 3 to 1002, a thousand events each, a minute apart: all are long ago

$postgres->sql('set synchronous_commit = off');
$postgres->sql(q{insert into prov.events (id, xid, at, partner, type, data)
    select (lpad(to_hex(n), 12, '0') || '70008000'
            || lpad(to_hex(n), 12, '0'))::uuid,
        (3 + n / 5000)::text::xid8,
        '2025-01-01Z'::timestamptz + n / 5000 * interval '1 min',
        case when n % 1000 = 0 then ?::uuid else ?::uuid end,
        case n % 100000 when 7 then 'tenant.purged' else 'tenant.updated' end,
        '{"tenant": "x"}'
    from generate_series(0, ? - 1) n},
    $postgres->partner('globex'), $postgres->partner('acme'), $MANY);
$postgres->sql('analyze prov.events');

for my $role (qw(prov_partner prov_worker)) {
    $postgres->sql("alter role $role set $_") for
        "session_preload_libraries = 'auto_explain'",
        'auto_explain.log_min_duration = 0', 'auto_explain.log_analyze = on',
        'auto_explain.log_buffers = on', 'auto_explain.log_timing = off',
        'auto_explain.log_nested_statements = on',
        "auto_explain.log_format = 'json'";
}

my $nginx = nginx(postgres => $postgres, http => jobs_database(
    'interval=200ms'));
$nginx->ready;

my $json = JSON::PP->new->utf8;


# What was done in the meantime: rows read from events at most by a statement,
# blocks, other ways than the index.

sub cost_of {
    my ($code) = @_;
    my $from = -s $postgres->{log};
    my $result = $code->();
    my %cost = (result => $result, rows => 0, blocks => 0, ways => {});

    open my $in, '<:raw', $postgres->{log} or die "$postgres->{log}: $!";
    seek $in, $from, 0 or die "$postgres->{log}: $!";
    my $text = do { local $/; <$in> };

    while ($text =~ /plan:\n((?:\t.*\n)+)/g) {
        my $plan = $json->decode($1)->{Plan};
        my $rows = weigh($plan, $cost{ways});

        $cost{rows} = max $cost{rows}, $rows;
        $cost{blocks} = max $cost{blocks},
            $plan->{'Shared Hit Blocks'} + $plan->{'Shared Read Blocks'};
    }

    return \%cost;
}

sub weigh {
    my ($node, $ways) = @_;
    my $rows = 0;

    if (($node->{'Relation Name'} // '') eq 'events') {
        $ways->{"$node->{'Node Type'} $node->{'Index Name'}"}++;
        $rows = $node->{'Actual Loops'} * ($node->{'Actual Rows'}
            + ($node->{'Rows Removed by Filter'} // 0));
    }

    $ways->{Sort}++ if $node->{'Node Type'} =~ /Sort\z/;

    return $rows + sum 0, map { weigh($_, $ways) } @{ $node->{Plans} || [] };
}

sub page {
    my ($query, $partner) = @_;

    return cost_of(sub {
        my $r = $nginx->request(GET => "$API?$query",
            token => token(partner => $partner || 'acme'));
        $r->status == 200 or die $r->body;
        return $r->json;
    });
}

# most: rows that a statement may look at

sub cheap {
    my ($said, $most, $cost) = @_;

    is join(', ', sort keys %{ $cost->{ways} }), 'Index Scan events_in_order',
        "$said: by the index, in its order";
    cmp_ok $cost->{rows}, '<=', $most, "$said: $most rows";
    return $cost->{result};
}

# plans are made; and what a listener still asks is over before any is read

page('limit=1') for 1, 2;
my $listener = listen_to($nginx);
$listener->block;
$listener->close;
my $quiet = -1;
wait_until('nobody to ask', sub {
    select undef, undef, undef, 0.6;
    my $before = $quiet;
    return $before == ($quiet = -s $postgres->{log});
});

my $first = cheap('the first page', $PAGE, page('limit=100'));
is scalar @{ $first->{data} }, 100, 'has a hundred';

my $deep = $postgres->value(
    'select prov.events_cursor(150::text::xid8, ?)',
    'ffffffff-ffff-ffff-ffff-ffffffffffff');
my $far = cheap('one far down', $PAGE, page("limit=100&cursor=$deep"));
is $far->{data}[0]{created_at}, '2025-01-01T02:28:00.000Z', 'is there';

cheap('somebody\'s who has little', $PAGE, page("limit=100&cursor=$deep",
    'globex'));
my $since = cheap('since a time', 5001,
    page('limit=1&since=2025-01-01T02:30:00Z'));
is $since->{data}[0] && $since->{data}[0]{created_at}, undef,
    'begins ten minutes before, and looks at each';
my $steps = 0;
while (!@{ $since->{data} } && $steps++ < 15) {
    $since = page('limit=1&since=2025-01-01T02:30:00Z&cursor='
        . $since->{next_cursor})->{result};
}
is $since->{data}[0]{created_at}, '2025-01-01T02:30:00.000Z',
    'and comes to it after some pages';
cheap('what is rare', 5001, page('limit=100&type=tenant.purged'));

my $end = $postgres->value('select prov.events_cursor(max(xid::text::int)'
    . '::text::xid8, ?) from prov.events',
    'ffffffff-ffff-ffff-ffff-ffffffffffff');
cheap('the end', 0, page("limit=100&cursor=$end"));

my $asked = cost_of(sub {
    my $stream = listen_to($nginx, "?cursor=$end");
    $stream->block;
    my $from = -s $postgres->{log};
    wait_until('some questions', sub {
        open my $in, '<:raw', $postgres->{log} or die $!;
        seek $in, $from, 0 or die $!;
        my $asked = () = do { local $/; <$in> } =~ /plan:/g;
        return $asked > 8;
    });
    $stream->close;
});
cmp_ok $asked->{rows}, '<=', 1, 'who listens to nothing reads nothing';
cmp_ok $asked->{blocks}, '<', 100, 'and next to no blocks'
    or diag $asked->{blocks};

my $backlog = cost_of(sub {
    my $stream = listen_to($nginx, "?cursor=$deep");
    my @events = $stream->events(500);
    $stream->close;
    return scalar @events;
});
is $backlog->{result}, 500, 'who is far behind is told';
cmp_ok $backlog->{rows}, '<=', $PAGE, 'a page at a time';

done_testing;
