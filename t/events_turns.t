#!/usr/bin/perl

# Streams that are far behind, many of one partner's: others have their turns,
# who is live waits for one question at most, and the database has half of its
# time for something else.  Each question to it is noted down, and slowed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::EventStream;

use Time::HiRes qw(sleep time);

my $API = '/api/provisioning';
my ($postgres, $nginx) = gateway(
    http => jobs_database('heartbeat=300ms interval=200ms'));
my %id = map { $_ => $postgres->partner($_) } qw(acme globex);

# Every question for those who are behind takes a while, or is told that their
# turn has not come; "late" has how many these are, by partner, "live" how many
# others were asked for, "told" what of interest was answered.

$postgres->sql($_) for split /\n\n/, <<'END';
create schema lab;

create table lab.slow (seconds float8 not null, closed boolean not null);

insert into lab.slow values (0, false);

create table lab.asked (n bigserial, began timestamptz, ended timestamptz,
    late jsonb, live int, told text);

grant usage on schema lab to prov_worker;

alter function prov.events_since(jsonb, jsonb, jsonb) rename to events_really;

create function prov.events_since(request jsonb, params jsonb, input jsonb)
    returns table (feed int, cursor text, more boolean, chunk text)
    language plpgsql security definer rows 10
as $$
declare
    began constant timestamptz := clock_timestamp();
    late_ jsonb;
    live_ int;
    told_ text;
    r record;
begin
    select coalesce(jsonb_object_agg(q.partner, q.late)
            filter (where q.late > 0), '{}'), coalesce(sum(q.live), 0)
    into late_, live_
    from (
        select f ->> 0 as partner, count(*) filter (where c.xid <= '210') as late,
            count(*) filter (where c.xid > '210') as live
        from jsonb_array_elements(request -> 'feeds') f
        cross join lateral prov.events_cursor_read(f ->> 2) c
        group by 1) q;
    if late_ <> '{}' and (select closed from lab.slow) then
        return query select (n - 1)::int, null::text, true, null::text
            from jsonb_array_elements(request -> 'feeds')
                with ordinality as f (feed, n);
        return;
    end if;
    if late_ <> '{}' then
        perform pg_sleep(seconds) from lab.slow;
    end if;
    for r in select * from prov.events_really(request, params, input) loop
        told_ := coalesce(told_, substring(r.chunk from 'Between [0-9]'));
        return query select r.feed, r.cursor, r.more, r.chunk;
    end loop;
    insert into lab.asked (began, ended, late, live, told)
    values (began, clock_timestamp(), late_, live_, told_);
end
$$;

grant execute on function prov.events_since(jsonb, jsonb, jsonb) to prov_worker
END

sub create {
    my ($name, $partner) = @_;

    my $r = $nginx->request(POST => "$API/tenants",
        token => token(partner => $partner),
        json => { client_name => $name, email => unique_email() });
    $r->status == 201 or die $r->body;
    return;
}

sub name { $_[0] && $_[0]{json}{data}{client_name} }
sub asked { return $postgres->value('select max(n) from lab.asked') }

# so many pages of events, of which a filter leaves none

sub past {
    my ($partner, $pages) = @_;

    $postgres->sql(q{insert into prov.events (id, xid, at, partner, type, data)
        select gen_random_uuid(), (10 + n / 100)::text::xid8,
            '2025-01-01Z'::timestamptz + n * interval '1 s', ?, 'lab.past',
            '{}' from generate_series(1, ?::int * 5000) n}, $id{$partner},
        $pages);
    return;
}

sub behind {
    my ($partner, $n) = @_;
    return listen_to($nginx, '?since=2000-01-01T00:00:00Z&tenant='
        . sprintf('0194f0b2-3b40-7c3e-8b1f-%012d', $n),
        token => token(partner => $partner));
}


# --- one who has heard everything, and many who have not ----------------------

past(acme => 4);
past(globex => 4);

my $live = listen_to($nginx, '', token => token(partner => 'globex'));
$live->block;
create('First', 'globex');
is name($live->event), 'First', 'somebody listens';

$postgres->sql('update lab.slow set seconds = 0.1, closed = true');
my @acme = map { behind(acme => $_) } 1 .. 24;
my $theirs = behind(globex => 0);
is scalar(grep { $_->status != 200 } @acme, $theirs), 0,
    'others come, from long ago';

$postgres->sql('update lab.slow set closed = false');
wait_until 'they are asked for', sub { $postgres->value(
    q{select count(*) from lab.asked where late <> '{}'}) > 4 };

for my $n (1 .. 3) {
    create("Between $n", 'globex');
    my $before = asked();
    is name($live->event), "Between $n", 'what happens meanwhile is told';

    # one for those behind may be under way, and one for the live that has
    # begun too early

    cmp_ok $postgres->value(q{select count(*) from lab.asked where n > ?
            and n <= (select min(n) from lab.asked where told = ?)}, $before,
        "Between $n"), '<=', 4, 'and waits for nobody\'s past';
}

# each comes to the end, which it is told with its heartbeat

create('Last', $_) for qw(acme globex);

sub arrived {
    my ($partner, $stream) = @_;

    return wait_until 'it comes to its end', sub {
        my $block = $stream->block;
        return $block && $block->{id} && $postgres->value(q{
            select c.xid >= (select max(e.xid::text::numeric)::text::xid8
                from prov.events e where e.partner = ?)
            from prov.events_cursor_read(?) c}, $id{$partner}, $block->{id});
    }, 12 * $Provisioning::Test::patience;
}

is scalar(grep { $_ } arrived(globex => $theirs),
    map { arrived(acme => $_) } @acme), 25, 'all come to their ends';


# --- what was asked -----------------------------------------------------------

# on a slow machine a question may leave somebody live to the next one

cmp_ok $postgres->value(q{select avg((live > 0)::int) from lab.asked
    where late <> '{}'}), '<', 0.5,
    'who is behind is not asked for together with who is not';

is $postgres->value(q{select max((late ->> ?)::int) from lab.asked},
    $id{acme}), 4, 'four of a partner at a time are asked for, and no more';

# globex has a single stream, and acme 24 with as much to read

my $turns = $postgres->sql(q{select (late ->> ?)::int as acme,
    (late ->> ?)::int as globex from lab.asked where late <> '{}' order by n},
    @id{qw(acme globex)});
my ($first) = grep { $turns->[$_]{globex} } 0 .. $#$turns;
my @turns = @$turns[$first .. $first + 3];

is scalar(grep { $_->{globex} } @turns), 4, 'whoever has one stream has its'
    . ' turn each time';
is scalar(grep { ($_->{acme} || 0) == 4 } @turns), 4, 'beside who has many';

cmp_ok $postgres->value(q{select sum(extract(epoch from ended - began))
        / extract(epoch from max(ended) - min(began))
    from lab.asked where late <> '{}'}), '<', 0.55,
    'half of the time the database has nothing to do with them';

$postgres->sql('update lab.slow set seconds = 0');
$_->close for $live, $theirs, @acme;


# --- a share of the streams ---------------------------------------------------

my $small = nginx(postgres => $postgres, http => jobs_database('max=16'));
$small->ready;

my @two = map { listen_to($small) } 1 .. 2;
my $third = listen_to($small);
is join(' ', (map { $_->status } @two), $third->status,
    $third->{response}->code), '200 200 429 too_many_streams',
    'a partner has an eighth of them, if nobody says otherwise';
is listen_to($small, '', token => token(partner => 'globex'))->status, 200,
    'which leaves others theirs';

done_testing;
