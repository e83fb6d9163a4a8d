package Jobs;

# What of the jobs only shows with several sessions: no job is leased twice,
# nobody waits for another's claim, a lease that is over is another's, and the
# order of a tenant's changes is that of their commits.

use strict;
use warnings;

use DBD::Pg qw(:async);
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);

use Concurrency;

my $json = JSON::PP->new->canonical;
my ($cluster, $database, $admin);

sub run {
    ($cluster, $database) = @_;
    Concurrency::at(@_);

    $admin = $cluster->connect('postgres', $database);
    $admin->do("select prov.partner_add('jobs', 'J')");

    subtest 'two claims at once' => \&claims;
    subtest 'what somebody has locked' => \&locked;
    subtest 'a lease that is over' => \&leases;
    subtest 'the order of commits' => \&order;
    subtest 'a URL that is changed' => \&moves;
    subtest 'endpoints of several partners' => \&judgements;
    subtest 'old records' => \&records;
    subtest 'many workers' => \&workers;
}

sub worker {
    my $dbh = $cluster->connect('prov_worker', $database);
    $dbh->do("set $_ = '60s'") for qw(lock_timeout statement_timeout);
    return $dbh;
}

# Makes jobs: so many in each of so many queues.

sub fill {
    my ($queues, $each) = @_;

    $admin->do('delete from prov.jobs');
    $admin->do(q{
        insert into prov.jobs (id, kind, queue)
        select prov.uuid7(), 'test', format('%s-0000-7000-9000-000000000000',
            lpad(q::text, 8, '0'))::uuid
        from generate_series(1, ?) q, generate_series(1, ?)},
        undef, $queues, $each);
}

sub claim {
    my ($dbh, $name, %wish) = @_;

    my $rows = $dbh->selectall_arrayref(
        'select c.* from prov.jobs_claim(?, null, null) c', { Slice => {} },
        $json->encode({ worker => $name, limit => 64, per_queue => 8,
            lease => 60, %wish }));
    my $last = pop @$rows;
    return ($rows, $last->{step}, $json->decode($last->{data})->{after});
}

sub report {
    my ($dbh, $name, $verdict, @jobs) = @_;

    return { map { $_->{id} => $_->{accepted} } @{ $dbh->selectall_arrayref(
        'select r.* from prov.jobs_report(?, null, null) r', { Slice => {} },
        $json->encode({ worker => $name, jobs => [map { {
            id => $_->{id}, attempt => $_->{attempt}, verdict => $verdict,
        } } @jobs] })) } };
}

sub claims {
    my ($a, $b) = (worker(), worker());

    fill(2, 20);
    $a->begin_work;
    my ($one) = claim($a, 'a', limit => 4, per_queue => 4);
    is @$one, 4, 'the first gets what it wants';
    my ($two, $wait) = claim($b, 'b', per_queue => 4);
    is @$two, 0, 'the second passes by the queues that the first is at';
    is $wait, 5, 'and is told to come again soon';
    $a->commit;
    ($two, $wait) = claim($b, 'b', per_queue => 4);
    is @$two, 4, 'then it gets what makes four of each queue';
    my %seen = map { $_->{id} => 1 } @$one, @$two;
    is keys %seen, 8, 'no job twice';

    fill(4, 20);
    $a->begin_work;
    my (undef, undef, $after) = claim($a, 'a', limit => 2);
    ($two) = claim($b, 'b', limit => 2);
    is @$two, 2, 'where the first needs some queues only, the others are free';
    $a->rollback;

    fill(1, 1);
    $a->begin_work;
    ($one) = claim($a, 'a');
    $a->rollback;
    ($two) = claim($b, 'b');
    is_deeply [map { $_->{attempt} } @$one, @$two], [1, 1],
        'a claim that was not committed leaves nothing';
}

sub locked {
    my $a = worker();

    fill(1, 3);
    $admin->begin_work;
    my ($id) = $admin->selectrow_array(
        'select id from prov.jobs order by due, id limit 1 for update');
    my ($one) = claim($a, 'a');
    is @$one, 2, 'a job that somebody has locked is passed by';
    is_deeply [grep { $_->{id} eq $id } @$one], [], 'that one';
    $admin->rollback;
    ($one) = claim($a, 'a');
    is_deeply [map { $_->{id} } @$one], [$id], 'until it is not';

    # one that goes meanwhile, with its tenant

    fill(1, 2);
    ($one) = claim($a, 'a');
    $admin->begin_work;
    $admin->do('delete from prov.jobs where id = ?', undef, $one->[0]{id});
    my $sth = $a->prepare(
        'select r.* from prov.jobs_report(?, null, null) r',
        { pg_async => PG_ASYNC });
    $sth->execute($json->encode({ worker => 'a', jobs => [map { {
        id => $_->{id}, attempt => 1, verdict => 'done' } } @$one] }));
    ok Concurrency::waits($a), 'a report waits for who removes its job';
    $admin->commit;
    $a->pg_result;
    is_deeply { map { @$_ } @{ $sth->fetchall_arrayref } },
        { $one->[0]{id} => 0, $one->[1]{id} => 1 },
        'and is not heard, but for the others';
}

sub leases {
    my ($a, $b) = (worker(), worker());

    fill(1, 1);
    my ($one) = claim($a, 'a', lease => 0.2);
    my ($two);
    my $limit = time() + 30;
    do { sleep 0.05; ($two) = claim($b, 'b') } until @$two || time() > $limit;

    is $two->[0]{id}, $one->[0]{id}, 'a lease that is over is another\'s';
    is $two->[0]{attempt}, 2, 'under another number';
    ok !report($a, 'a', 'done', @$one)->{ $one->[0]{id} },
        'who had it is not heard any more';
    is $admin->selectrow_array('select state from prov.jobs'), 'waiting',
        'nothing comes of it';
    ok report($b, 'b', 'done', @$two)->{ $two->[0]{id} }, 'who has it is';

    # a worker that has only just come to its end

    fill(1, 1);
    ($one) = claim($a, 'a', lease => 0);
    $b->begin_work;
    ($two) = claim($b, 'b');
    is @$two, 1, 'while it is taken over';
    my $sth = $a->prepare('select r.* from prov.jobs_report(?, null, null) r',
        { pg_async => PG_ASYNC });
    $sth->execute($json->encode({ worker => 'a', jobs => [{
        id => $one->[0]{id}, attempt => 1, verdict => 'done' }] }));
    ok Concurrency::waits($a), 'a late report waits';
    $b->commit;
    $a->pg_result;
    is $sth->fetchall_arrayref->[0][1], 0, 'and is not heard';
}

# Of two changes the one that began first commits last.

sub order {
    my ($a, $b) = (Concurrency::session(), Concurrency::session());
    my $w = worker();

    $admin->do('delete from prov.jobs');
    $admin->do("insert into prov.webhook_endpoints (id, partner, url, secret) "
        . "select prov.uuid7(), p.id, 'https://x', 's' from prov.partners p "
        . "where p.slug = 'jobs'");

    my $made = Concurrency::answer(Concurrency::create($a,
        Concurrency::context('jobs')));
    my $tenant = $made->{body}{tenant};

    my $change = sub {
        my ($dbh, $function, $ctx) = @_;
        my $sth = $dbh->prepare('select r.status, r.body, r.headers '
            . "from prov.enter(?) e left join lateral partner.$function("
            . 'e.ctx, ?, ?) r on true', { pg_async => PG_ASYNC });
        $sth->execute($json->encode($ctx),
            $json->encode({ tenant => $tenant }), '{}');
        return $sth;
    };
    my $early = Concurrency::context('jobs');

    $a->begin_work;
    $a->do('select pg_current_xact_id()');
    is Concurrency::answer($change->($b, 'tenant_suspend',
        Concurrency::context('jobs')))->{status}, 200, 'one is faster';
    is Concurrency::answer($change->($a, 'tenant_resume', $early))->{status},
        200, 'than one that began before';
    $a->commit;

    my @types;
    for (1 .. 3) {
        my ($jobs) = claim($w, 'w');
        push @types, join '+', map { $json->decode($_->{data})->{type} } @$jobs;
        report($w, 'w', 'done', @$jobs);
    }
    is_deeply \@types, [qw(tenant.created tenant.suspended tenant.resumed)],
        'they are delivered one after the other, in the order of their '
        . 'commits';
}

# Whoever has been sent to the old URL has not been sent to the new one: a
# change waits for a claim that may have seen the old one.

sub moves {
    my ($a, $b) = (worker(), Concurrency::session());
    my $id = Concurrency::uuid();

    $admin->do('delete from prov.jobs');
    $admin->do('delete from prov.webhook_endpoints');
    $admin->do("insert into prov.webhook_endpoints (id, partner, url, secret) "
        . "select ?, p.id, 'https://old', 's' from prov.partners p "
        . "where p.slug = 'jobs'", undef, $id);
    $admin->do('insert into prov.jobs (id, kind, queue, partner) '
        . "select prov.uuid7(), 'webhook', w.id, w.partner "
        . 'from prov.webhook_endpoints w, generate_series(1, 2)');

    $a->begin_work;
    my ($jobs) = claim($a, 'a', limit => 1);
    like $jobs->[0]{data}, qr{https://old}, 'a delivery is leased';

    my $sth = $b->prepare('select r.status, r.body, r.headers '
        . 'from prov.enter(?) e left join lateral '
        . 'partner.webhook_update(e.ctx, ?, ?) r on true',
        { pg_async => PG_ASYNC });
    $sth->execute($json->encode(Concurrency::context('jobs')),
        $json->encode({ webhook_endpoint => $id }),
        '{"url": "https://new"}');
    ok Concurrency::waits($b), 'who changes the URL waits for that';
    $a->commit;
    is Concurrency::answer($sth)->{body}{url}, 'https://new', 'and changes it';

    my ($more) = claim($a, 'a', limit => 1);
    like $more->[0]{data}, qr{https://new}, 'the next one goes there';

    my $tell = sub {
        my ($job) = @_;
        $a->selectall_arrayref('select * from prov.jobs_report(?, null, null)',
            undef, $json->encode({ worker => 'a', jobs => [{ id => $job->{id},
                attempt => 1, verdict => 'failed', log => { status => 410 } }]
            }));
        return $admin->selectrow_array(
            'select status from prov.webhook_endpoints where id = ?', undef,
            $id);
    };
    is $tell->($jobs->[0]), 'active', 'what the old one says does not count';
    is $tell->($more->[0]), 'disabled', 'but what the new one says';
}

# Two reports disable endpoints of the same partners, whose audits they write.
# Somebody is at an audit in the middle of each, so that both have begun.

sub judgements {
    my @sessions = (worker(), worker());
    my %partner = map { $_ => "00000000-0000-7000-8000-0000000000$_" }
        qw(a1 b1 c1 d1);
    my @reports = (['a1', 'c1', 'b1'], ['b1', 'd1', 'a1']);
    my (@jobs, @waiting);

    $admin->do('delete from prov.jobs');
    $admin->do('insert into prov.partners (id, slug, name) values (?, ?, ?)',
        undef, $partner{$_}, "judged-$_", 'J') for sort keys %partner;

    for my $report (0, 1) {
        for my $i (0 .. 2) {
            my $id = "00000000-0000-7000-9000-0000000000$report$i";
            $admin->do('insert into prov.webhook_endpoints (id, partner, url, '
                . "secret) values (?, ?, 'https://x', 's')", undef, $id,
                $partner{ $reports[$report][$i] });
            $admin->do('insert into prov.jobs (id, kind, queue, partner, '
                . "attempt, lease_worker, lease_until) values (?, 'webhook', "
                . "?, ?, 1, 'w', now() + interval '1 min')", undef, $id, $id,
                $partner{ $reports[$report][$i] });
            push @{ $jobs[$report] }, { id => $id, attempt => 1,
                verdict => 'failed', log => { status => 410 } };
        }
    }

    my @others = map {
        my $dbh = $cluster->connect('postgres', $database);
        $dbh->begin_work;
        $dbh->do(q{select prov.record(jsonb_build_object('mutation',
            prov.uuid7(), 'partner', ?::text, 'operation', 'x', 'principal',
            '{}'::jsonb), 'x', null, null, 200, null, null, null)}, undef,
            $partner{$_});
        $dbh;
    } qw(c1 d1);

    for my $report (0, 1) {
        my $sth = $sessions[$report]->prepare(
            'select r.accepted from prov.jobs_report(?, null, null) r',
            { pg_async => PG_ASYNC });
        $sth->execute($json->encode({ worker => 'w',
            jobs => $jobs[$report] }));
        ok Concurrency::waits($sessions[$report]),
            'a report waits for who changes something of a partner\'s';
        push @waiting, $sth;
    }

    $_->rollback for @others;

    for my $report (0, 1) {
        my $accepted = eval { $sessions[$report]->pg_result;
            $waiting[$report]->fetchall_arrayref };
        is_deeply $accepted, [([1]) x 3], 'and is taken, whatever another '
            . 'one reports of the same partners' or diag $@;
    }

    is $admin->selectrow_array(q{select count(*) from prov.webhook_endpoints
        where disabled_reason = 'gone' and url = 'https://x'}), 6,
        'all endpoints are disabled';
}

# Two who delete what is old: each tells only of what it has deleted itself.

sub records {
    my ($a, $b) = map { $cluster->connect('postgres', $database) } 1, 2;

    $admin->do('delete from prov.jobs where kind <> ?', undef, 'task');
    $admin->do('delete from prov.events');
    $admin->do(q{insert into prov.events (id, partner, type)
        select prov.uuid7_beside(prov.uuid7_at(now() - interval '31 days')),
            prov.uuid7(), 'x' from generate_series(1, 10)});
    $admin->do(q{insert into prov.jobs (id, kind, queue, state)
        select prov.uuid7_beside(prov.uuid7_at(now() - interval '31 days')),
            'x', prov.uuid7(), 'done' from generate_series(1, 10)});

    $a->begin_work;
    is $a->selectrow_array('select prov.expire_records(10)'), 2,
        'who deletes as many as it may, of two kinds, says that there may '
        . 'be more';
    my $sth = $b->prepare('select prov.expire_records(10)',
        { pg_async => PG_ASYNC });
    $sth->execute;
    ok Concurrency::waits($b), 'who is at the same rows waits';
    $a->commit;
    $b->pg_result;
    is $sth->fetchrow_array, 0, 'and has deleted nothing';
}

# Four workers, each in a process of its own, until nothing is left.

sub workers {
    my ($queues, $each) = (15, 40);

    fill($queues, $each);
    $admin->do('create table if not exists public.taken (id uuid)');
    $admin->do('truncate public.taken');
    $admin->do('grant insert on public.taken to prov_worker');

    my @pids = map {
        my $name = "w$_";
        my $pid = fork // die "fork: $!\n";

        if ($pid == 0) {
            my $ok = eval {
                my ($dbh, $after, $idle) = (worker(), undef, 0);

                while ($idle < 20) {
                    my $jobs;
                    ($jobs, undef, $after) = claim($dbh, $name, limit => 10,
                        per_queue => 3, after => $after);
                    $idle = @$jobs ? 0 : $idle + 1;
                    sleep 0.01 unless @$jobs;
                    $dbh->do('insert into public.taken values (?)', undef,
                        $_->{id}) for @$jobs;
                    my $heard = report($dbh, $name, 'done', @$jobs);
                    die "not heard\n" if grep { !$_ } values %$heard;
                }
                1;
            };
            print STDERR $@ unless $ok;
            require POSIX;
            POSIX::_exit($ok ? 0 : 1);
        }
        $pid;
    } 1 .. 4;

    # meanwhile: no queue has more leases than it may

    my ($most, $running) = (0, 4);

    while ($running) {
        my ($n) = $admin->selectrow_array('select coalesce(max(n), 0) from ('
            . 'select count(*) as n from prov.jobs where lease_until > now() '
            . "and state = 'waiting' group by queue) q");
        $most = $n if $n > $most;
        $running = grep { waitpid($_, 1) == 0 } @pids;
        sleep 0.01;
    }

    cmp_ok $most, '<=', 3, 'no queue ever has more leases than it may';
    is $admin->selectrow_array("select count(*) from prov.jobs "
        . "where state = 'done' and attempt = 1"), $queues * $each,
        'every job is done at its first attempt';
    is $admin->selectrow_array('select count(*) || \' \' || count(distinct id) '
        . 'from public.taken'), $queues * $each . ' ' . $queues * $each,
        'once';
    $admin->do('drop table public.taken');
}

1;
