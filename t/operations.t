#!/usr/bin/perl

# Many tenants, made after the answer: each once, whatever becomes of workers
# and the database, and whoever cancels and retries at the same time; and
# nothing more when who has asked may not any longer.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Jobs;

use Time::HiRes qw(sleep);

my $postgres = postgres();
my $nginx = nginx(postgres => $postgres, workers => 2,
    api => 'client_max_body_size 1m;',
    http => jobs_block(lease => '11s', poll_interval => '500ms',
        outbound => 'timeout 1s; connect_timeout 1s;'));
$nginx->ready;

my $API = '/api/provisioning';
my $patience = $Provisioning::Test::patience;
my $series = 0;

sub ask {
    my ($method, $path, %o) = @_;
    return $nginx->request($method => $path, token => token(),
        timeout => 6 * $patience, %o);
}

# so many tenants of a name that nobody else has

sub some {
    my ($n, $name) = @_;
    return [map { { client_name => $name, email => "$name-$_\@example.com" } }
        1 .. $n];
}

sub name { return 'series-' . ++$series }

sub accept_ {
    my ($n, $name, %o) = @_;
    my %more = %{ delete $o{body} || {} };
    my $r = ask(POST => "$API/tenants/bulk", %o,
        json => { tenants => some($n, $name), %more });

    $r->status == 202 or die $r->body;
    return $r->header('Location');
}

# the operation, when it is over

sub over {
    my ($path) = @_;
    my $r;

    wait_until 'it is over', sub {
        $r = ask(GET => $path, headers => { Prefer => 'wait=5' });
        $r->status == 200 && !defined $r->header('Retry-After');
    }, 8 * $patience;

    return $r->json;
}

sub progress {
    my ($path) = @_;
    return $postgres->value('select done from prov.operations where id = ?',
        $path =~ s{.*/}{}r);
}

sub short {
    my ($o) = @_;
    return join ' ', $o->{status}, @{ $o->{progress} }{qw(total done failed)};
}

# What is there of a series: tenants, their events, and entries of the audit;
# and that what is said of each item is true.

sub there {
    my ($name) = @_;
    return join ' ', map { $postgres->value($_, $name) }
        'select count(*) from prov.tenants where client_name = ?',
        q{select count(*) from prov.events where type = 'tenant.created'
            and data ->> 'client_name' = ?},
        q{select count(*) from prov.audit a join prov.tenants t
            on t.id = a.tenant where a.operation = 'tenant_bulk'
            and t.client_name = ?};
}

sub true {
    my ($path, $name) = @_;
    my $id = $path =~ s{.*/}{}r;

    is $postgres->value(q{select count(*) from prov.operation_items i
        left join prov.tenants t on t.id = i.id
        where i.operation = ? and ((i.state = 'succeeded') <> (t.id is not null)
            or i.tenant is distinct from t.id)}, $id), 0,
        "$name: what is said of each is true";
    is $postgres->value(q{select count(*) from prov.operations o where o.id = ?
        and o.done <> (select count(*) from prov.operation_items i
            where i.operation = o.id and i.state in ('succeeded', 'failed'))
        or o.id = ? and o.failed <> (select count(*) from prov.operation_items
            i where i.operation = o.id and i.state = 'failed')}, $id, $id), 0,
        "$name: and counted as it is";
    return;
}

# each slice takes so long; less than nothing is until it is changed, for what is
# behind the first slice of a series if there is one

$postgres->sql($_) for split /\n\n/, <<'END';
create schema lab;

create table lab.pause (seconds float8 not null, series text);

insert into lab.pause values (0);

create function lab.pause() returns trigger language plpgsql
    security definer as $$
begin
    perform pg_sleep(seconds) from lab.pause;
    while exists (select from lab.pause p where seconds < 0
        and (series is null or 100 < (select count(*) from prov.tenants t
            where t.client_name = series)))
    loop
        perform pg_sleep(0.02);
    end loop;
    return null;
end $$;

create trigger pause after insert on prov.tenants
    for each statement execute function lab.pause()
END

sub pause {
    my ($seconds, $series) = @_;
    $postgres->sql('update lab.pause set seconds = ?, series = ?', $seconds,
        $series);
    return;
}


# --- once ----------------------------------------------------------------------

my $name = name();
my @parallel = map {
    background(sub {
        my $r = ask(POST => "$API/tenants/bulk", headers =>
            { 'Idempotency-Key' => 'fifty', Prefer => $_[0] // 'wait=1' },
            json => { tenants => some(150, $name) });
        return [$r->status, $r->header('Location'), $r->body];
    });
} 1 .. 50;
my @answers = map { $_->finish(6 * $patience) } @parallel;
my %answer = map { join("\n", @$_) => 1 } @answers;

is scalar(keys %answer), 1, 'fifty with one key get one answer'
    or diag join "\n", keys %answer;
is $answers[0][0], 202, 'which is 202';
is $postgres->value('select count(*) from prov.operations'), 1,
    'there is one operation';
is short(over($answers[0][1])), 'succeeded 150 150 0', 'it is done';
is there($name), '150 150 150', 'once';

my $again = ask(POST => "$API/tenants/bulk", headers => { 'Idempotency-Key' =>
    'fifty', Prefer => 'respond-async' }, json => { tenants =>
    some(150, $name) });
is_deeply [$again->status, $again->header('Idempotent-Replayed'),
    $again->body], [202, 'true', $answers[0][2]],
    'what is preferred later does not matter to the key';
is ask(POST => "$API/tenants/bulk", headers => { 'Idempotency-Key' => 'fifty'
    }, json => { tenants => some(1, 'other') })->status, 422,
    'the key is good for nothing else';


# --- as it goes ------------------------------------------------------------------

$name = name();
pause(0.5);
my $path = accept_(1000, $name);
my ($tag, @seen) = ('"0"');

while (1) {
    my $r = ask(GET => $path, headers => { Prefer => 'wait=20',
        'If-None-Match' => $tag });
    last if $r->status != 200;
    $tag = $r->header('ETag');
    push @seen, $r->json->{progress}{done};
    last unless $r->header('Retry-After');
}

is_deeply [sort { $a <=> $b } @seen], \@seen, 'who waits is told how far it is';
cmp_ok scalar(@seen), '>', 2, 'slice by slice (' . scalar(@seen) . ')';
is there($name), '1000 1000 1000', 'until all is done';
is_deeply [map { $_->{index} } @{ ask(GET => "$path/items?limit=1000")
    ->json->{data} }], [0 .. 999], 'and each item is there';
pause(0);


# --- all or none -----------------------------------------------------------------

$name = name();
is short(over(accept_(1000, $name, body => { atomic => JSON::PP::true }))),
    'succeeded 1000 1000 0', 'of all or none, all are made';
is there($name), '1000 1000 1000', 'at once';
my $o = over(accept_(200, $name, body => { atomic => JSON::PP::true }));
is short($o), 'failed 200 200 200', 'or none';
is $o->{errors}[0]{code}, 'bulk_refused', 'and it is told why';

$name = name();
pause(-1);
$path = accept_(500, $name, body => { atomic => JSON::PP::true });
wait_until 'it has begun', sub {
    $postgres->value(q{select count(*) from pg_stat_activity
        where wait_event = 'PgSleep'});
};
my $r = ask(POST => "$path/cancel");
is_deeply [$r->status, $r->json->{cancel_requested}], [200, JSON::PP::true],
    'it is cancelled in the middle';
pause(0);
is short(over($path)), 'cancelled 500 0 0', 'and rolled back';
is there($name), '0 0 0', 'without a trace';


# --- killed ----------------------------------------------------------------------

$nginx->allow(qr/exited on signal 9/, qr/connection was lost under the job/,
    qr/Connection refused|could not connect|server closed|terminat/,
    qr/shutting down|starting up|recovery/, qr/database did not answer/);
$postgres->allow(qr/ 57P0[123] /, qr/ 08/, qr/terminating connection/,
    qr/unexpected EOF|connection to client lost|Connection reset/);

sub killed {
    my ($what, $kill) = @_;
    my @names = map { name() } 1 .. 3;

    pause(0.15);
    my @paths = map { accept_(500, $_) } @names;

    for my $n (1 .. 3) {
        my $before = progress($paths[0]);
        last if $before == 500;
        wait_until 'it goes on', sub { progress($paths[0]) > $before },
            4 * $patience;
        $kill->();
    }

    pause(0);
    for my $n (0 .. 2) {
        is short(over($paths[$n])), 'succeeded 500 500 0',
            "$what: it is done all the same";
        is there($names[$n]), '500 500 500', "$what: and nothing twice";
        true($paths[$n], $what);
    }

    return;
}

killed('workers are killed', sub {
    my @workers = $nginx->workers;
    kill KILL => @workers;
    wait_until 'others are there', sub {
        my %old = map { $_ => 1 } @workers;
        my @new = grep { !$old{$_} } $nginx->workers;
        @new == 2;
    };
    $nginx->ready;
});

killed('the database crashes', sub {
    $postgres->crash;
    $postgres->start;
    wait_until 'it is back', sub { eval { $nginx->ready; 1 } };
});

killed('the database is restarted', sub {
    $postgres->restart('fast');
    wait_until 'it is back', sub { eval { $nginx->ready; 1 } };
});

killed('nginx is reloaded', sub { $nginx->reload });


# --- races -----------------------------------------------------------------------

for my $round (1 .. 3) {
    my $mine = name();
    my $where = accept_(600, $mine);

    my @racers = map {
        my $what = $_ % 2 ? 'cancel' : 'retry';
        background(sub {
            my ($go_on) = @_;
            my %got;
            while ($go_on->()) {
                $got{ ask(POST => "$where/$what")->status }++;
                sleep rand 0.1;
            }
            return \%got;
        });
    } 1 .. 4;
    sleep 2;
    my %got;
    for my $one (map { $_->finish(6 * $patience) } @racers) {
        $got{$_} += $one->{$_} for keys %$one;
    }

    is_deeply [grep { !/\A(?:200|202|409)\z/ } keys %got], [],
        "round $round: who cancels and retries at once is told what happened";
    over($where);
    true($where, "round $round");
    ask(POST => "$where/retry");
    is short(over($where)), 'succeeded 600 600 0',
        "round $round: in the end all are made";
    is there($mine), '600 600 600', "round $round: once";
}


# --- stopped ---------------------------------------------------------------------

my $key = ask(POST => "$API/api-keys", json => { name => 'K',
    scopes => ['tenant:create', 'operation:read'] });
my %stopped = (
    key_revoked => sub {
        ask(DELETE => $key->header('Location'));
        return { token => $key->json->{key} };
    },
    partner_unknown => sub {
        $postgres->sql(q{update prov.partners set status = 'suspended'
            where slug = 'acme'});
    },
);

for my $code (sort keys %stopped) {
    my $mine = name();
    pause(-1, $mine);
    my $where = accept_(600, $mine, $code eq 'key_revoked'
        ? (token => $key->json->{key}) : ());
    wait_until 'it has begun', sub { progress($where) > 0 };
    $stopped{$code}->();
    pause(0);
    wait_until 'it is stopped', sub {
        $postgres->value(q{select status = 'failed' from prov.operations
            where id = ?}, $where =~ s{.*/}{}r);
    };
    $postgres->sql(q{update prov.partners set status = 'active'
        where slug = 'acme'});
    my $end = ask(GET => $where)->json;
    my $done = $end->{progress}{succeeded};

    is $end->{errors}[0]{code}, $code, "$code: it is stopped, and told why";
    cmp_ok $done, '<', 600, "$code: in the middle";
    is there($mine), join(' ', ($done) x 3), "$code: what is done stays";
    is ask(GET => "$where/items?state=failed&limit=1")->json->{data}[0]
        {problem}{code}, $code, "$code: the others say so, too";
    is ask(POST => "$where/retry")->status, 202, "$code: somebody else retries";
    is short(over($where)), 'succeeded 600 600 0', "$code: and all are made";
    is there($mine), '600 600 600', "$code: once";
    is $postgres->value(q{select count(*) from prov.audit a join prov.tenants t
        on t.id = a.tenant where t.client_name = ? and a.key_id is not null},
        $mine), $code eq 'key_revoked' ? $done : 0,
        "$code: in the name of who asked for each";
}

is_deeply { map { $_->{type} => 1 } @{ $postgres->sql(q{select distinct type
    from prov.events where tenant is null}) } },
    { map { $_ => 1 } qw(api_key.created api_key.revoked operation.completed
        operation.failed) }, 'the ends have left their events';

done_testing;
