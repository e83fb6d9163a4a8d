package Concurrency;

# What only shows with several sessions at once: conflicts that are decided
# when somebody else commits, slugs that many want, a mutation's outcome asked
# for while it is under way.  Every session is the gateway's role and sends
# the gateway's statement.

use strict;
use warnings;

use DBD::Pg qw(:async);
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);

my $json = JSON::PP->new->canonical;
my ($cluster, $database);

# Where to; for who uses only what is below.

sub at {
    ($cluster, $database) = @_;
}

sub run {
    at(@_);

    my $dbh = $cluster->connect('postgres', $database);
    $dbh->do("select prov.partner_add('alpha', 'A'), "
        . "prov.partner_add('beta', 'B')");

    subtest 'a conflict is decided by who commits' => \&conflicts;
    subtest 'namesakes never wait for an error' => \&namesakes;
    subtest 'many at once' => \&crowd;
    subtest 'the outcome of a mutation' => \&outcome;
    subtest 'reading waits for nobody' => \&readers;
    subtest 'quotas of tenants' => \&quotas;
    subtest 'the last place for an operation' => \&operations;
}

# The role's own limits are too short for a machine that is busy elsewhere.

sub session {
    my $dbh = $cluster->connect('prov_partner', $database);
    $dbh->do("set lock_timeout = '30s'");
    $dbh->do("set statement_timeout = '60s'");
    return $dbh;
}

my $sequence = 0;

sub uuid {
    return sprintf '%08x-%04x-7%03x-8%03x-%012x', time() / 65.536,
        rand 65536, rand 4096, rand 4096,
        ($$ % 65536) << 32 | $sequence++;
}

sub context {
    my ($partner, %extra) = @_;

    return { request_id => 'r', mutation => uuid(), id => uuid(),
        operation => 'tenant_create', partner => $partner, base => '/api',
        principal => { kind => 'user', subject => 's', issuer => 'i',
            roles => ['partner-admin'] }, ip => '192.0.2.1',
        user_agent => 'test', %extra };
}

# Sends without waiting; answer() waits.

sub call {
    my ($dbh, $function, $ctx, $input) = @_;

    my $sth = $dbh->prepare('select r.status, r.body, r.headers '
        . "from prov.enter(?) e left join lateral $function(e.ctx, ?, ?) r "
        . 'on true',
        { pg_async => PG_ASYNC });
    $sth->execute($json->encode($ctx), '{}',
        defined $input ? $json->encode($input) : undef);
    return $sth;
}

sub answer {
    my ($sth) = @_;

    my $row = eval { $sth->{Database}->pg_result; $sth->fetchrow_arrayref };
    return { state => $sth->state || $sth->{Database}->state,
        error => $sth->{Database}->errstr } unless $row;

    my ($status, $body, $headers) = @$row;
    $sth->finish;
    return { status => $status, text => $body, headers => $headers,
        body => defined $body ? $json->decode($body) : undef };
}

sub create {
    my ($dbh, $ctx, %input) = @_;
    return call($dbh, 'partner.tenant_create', $ctx,
        { client_name => 'Name', email => uuid() . '@example.com', %input });
}

# Whether the session waits for a lock: seen in the server, not by the clock.

sub waits {
    my ($dbh) = @_;
    my $admin = $cluster->connect('postgres', $database);
    my $limit = time() + 10;

    while (time() < $limit) {
        my ($waiting) = $admin->selectrow_array('select count(*) '
            . 'from pg_locks where pid = ? and not granted', undef,
            $dbh->{pg_pid});
        return 1 if $waiting;
        return 0 if $dbh->pg_ready;
        sleep 0.01;
    }
    return 0;
}

sub conflicts {
    for my $case (
        [ 'e-mail address', email => 'email_taken', 1, '%s@example.com' ],
        [ 'external_id', external_id => 'external_id_taken', 1, '%s' ],
        [ 'slug', slug => 'slug_taken', 1, '%s' ],
        [ "another partner's slug", slug => 'slug_taken', 0, '%s-2' ],
    ) {
        my ($what, $member, $code, $own, $format) = @$case;
        my ($a, $b) = (session(), session());

        for my $end (qw(rollback commit)) {
            my $value = sprintf $format, $end;

            $a->begin_work;
            my $one = answer(create($a, context('alpha'), $member => $value));
            is $one->{status}, 201, "$what: the first is made";

            my $other = create($b, context($own ? 'alpha' : 'beta'),
                $member => $member eq 'email' ? uc $value : $value);
            ok waits($b), "$what: the second waits for it";
            $a->$end;
            my $two = answer($other);

            if ($end eq 'rollback') {
                is $two->{status}, 201, "$what: it went away, and the second "
                    . 'is made';
                next;
            }

            is "$two->{status} $two->{body}{code}", "409 $code",
                "$what: it stays, and the second is refused";
            is $two->{body}{tenant}, $own ? $one->{body}{tenant} : undef,
                "$what: and told whose it is, if it may know";
        }
    }

    # lock_timeout is what ends a wait

    my ($a, $b) = (session(), session());
    $b->do("set lock_timeout = '100ms'");
    $a->begin_work;
    answer(create($a, context('alpha'), email => 'slow@example.com'));
    is answer(create($b, context('alpha'), email => 'slow@example.com'))
        ->{state}, '55P03', 'who waits too long is told so';
    $a->rollback;
}

sub namesakes {
    my ($a, $b) = (session(), session());

    $a->begin_work;
    my $one = answer(create($a, context('alpha'), client_name => 'Namesake'));
    is $one->{body}{slug}, 'namesake', 'the first has the name alone';

    my $other = create($b, context('beta'), client_name => 'Namesake');
    ok waits($b), 'the second waits';
    $a->commit;
    my $two = answer($other);
    is $two->{status}, 201, 'and is made';
    like $two->{body}{slug}, qr/^namesake-[0-9a-f]{6}$/, 'under another slug';
}

# Forked sessions that begin together; each returns lines.

sub together {
    my ($sessions, $work) = @_;
    my @readers;

    pipe my $gate, my $opener or die "pipe: $!";

    for my $n (1 .. $sessions) {
        pipe my $reader, my $writer or die "pipe: $!";
        my $pid = fork // die "fork: $!";

        if ($pid == 0) {
            close $opener;
            srand $$;
            my $dbh = session();
            my $none = <$gate>;
            print {$writer} "$_\n"
                for eval { $work->($dbh, $n) }, $@ ? "died $@" : ();
            close $writer;
            require POSIX;
            POSIX::_exit(0);
        }

        close $writer;
        push @readers, [ $pid, $reader ];
    }

    close $gate;
    sleep 0.3;
    close $opener;

    my @lines;
    for (@readers) {
        my ($pid, $reader) = @$_;
        push @lines, map { s/\n\z//r } <$reader>;
        waitpid $pid, 0;
    }
    return @lines;
}

sub told {
    my ($answer) = @_;
    return join ' ', $answer->{status} // $answer->{state},
        $answer->{body}{code} // '-', $answer->{body}{tenant} // '-',
        $answer->{body}{slug} // '-';
}

sub crowd {
    my @lines = together(8, sub {
        my ($dbh, $n) = @_;
        return map { told(answer(create($dbh,
            context($n % 2 ? 'alpha' : 'beta'), client_name => 'Crowd & Co')))
        } 1 .. 25;
    });
    is grep({ /^201 / } @lines), 200, '200 namesakes are made, none refused';
    my %slug = map { (split)[3] => 1 } @lines;
    is keys %slug, 200, 'each under a slug of its own';
    is grep({ /^crowd-co(-[0-9a-f]{6}|-[0-9a-f]{16})?$/ } keys %slug), 200,
        'made of the name';

    for my $case ([ email_taken => email => 'crowd@example.com' ],
        [ external_id_taken => external_id => 'crowd' ],
        [ slug_taken => slug => 'crowd' ])
    {
        my ($code, $member, $value) = @$case;

        @lines = together(8, sub {
            my ($dbh) = @_;
            return map { told(answer(create($dbh, context('alpha'),
                $member => $value))) } 1 .. 5;
        });
        my ($made) = map { (split)[2] } grep { /^201 / } @lines;
        is grep({ /^201 / } @lines), 1, "$member: one of 40 is made";
        is grep({ /^409 $code \Q$made\E / } @lines), 39,
            "$member: the others are told which";
    }

    # everything against everything, two partners

    @lines = together(8, sub {
        my ($dbh, $n) = @_;
        return map { told(answer(create($dbh,
            context($n % 2 ? 'alpha' : 'beta'),
            email => 'mix' . int(rand 6) . '@example.com',
            external_id => 'mix' . int(rand 6),
            rand() < 0.5 ? (slug => 'mix' . int(rand 6)) : ()))) } 1 .. 40;
    });
    is grep({ !/^(201|409) / } @lines), 0, 'any mixture is made or refused, '
        . 'never an error' or diag join "\n", grep { !/^(201|409) / } @lines;
    is $cluster->connect('postgres', $database)->selectrow_array(
        'select count(*) from prov.tenants t full join prov.audit a '
        . 'on a.tenant = t.id where t.id is null or a.tenant is null'), 0,
        'and every tenant has its one audit entry';
}

sub outcome {
    my ($a, $b) = (session(), session());
    my $count = sub {
        return $cluster->connect('postgres', $database)->selectrow_array(
            'select count(*) from prov.tenants where id = ?', undef,
            $_[0]{id});
    };

    # asked while the original is under way

    for my $end (qw(commit rollback)) {
        my $ctx = context('alpha');

        $a->begin_work;
        my $made = answer(create($a, $ctx, client_name => "Lost \x{fc}  $end"));
        my $asked = call($b, 'prov.outcome', $ctx);
        ok waits($b), 'whoever asks waits for the original';
        $a->$end;
        my $told = answer($asked);

        if ($end eq 'commit') {
            is_deeply [ @$told{qw(status text headers)} ],
                [ @$made{qw(status text headers)} ],
                'it committed: the same answer, to the byte';
            is_deeply [ @{ answer(call(session(), 'prov.outcome', $ctx)) }
                {qw(status text headers)} ],
                [ @$made{qw(status text headers)} ], 'also for who asks later';
            is $count->($ctx), 1, 'and the tenant is there';

        } else {
            is_deeply [ @$told{qw(status text headers)} ],
                [ 0, undef, undef ], 'it did not: status 0, and nothing else';
            is $count->($ctx), 0, 'and no tenant is there';
        }
    }

    # asked first; the original comes late

    my $ctx = context('alpha');
    is answer(call($b, 'prov.outcome', $ctx))->{status}, 0,
        'asked before the original came: not committed';
    my $late = answer(create($a, $ctx));
    is $late->{state}, 'PV503', 'the late original fails';
    like $late->{error}, qr/outcome of this request was decided without it/,
        'with a sentence';
    is $count->($ctx), 0, 'and leaves nothing';
    is answer(call($b, 'prov.outcome', $ctx))->{status}, 0, 'for ever';

    # asked while the original has not come to its audit entry

    $ctx = context('alpha');
    my $blocker = session();
    $blocker->begin_work;
    answer(create($blocker, context('alpha'), email => 'blocked@example.com'));
    my $blocked = create($a, $ctx, email => 'blocked@example.com');
    ok waits($a), 'the original waits for something else';
    is answer(call($b, 'prov.outcome', $ctx))->{status}, 0,
        'it is shut out meanwhile';
    $blocker->rollback;
    is answer($blocked)->{state}, 'PV503', 'and fails when it goes on';
    is $count->($ctx), 0, 'and leaves nothing';

    # two ask at once

    $ctx = context('alpha');
    $a->begin_work;
    is answer(call($a, 'prov.outcome', $ctx))->{status}, 0, 'one asks';
    my $other = call($b, 'prov.outcome', $ctx);
    ok waits($b), 'another waits for the answer';
    $a->commit;
    is answer($other)->{status}, 0, 'and gets the same';

    # who cannot wait is told so

    $ctx = context('alpha');
    $b->do("set lock_timeout = '100ms'");
    $a->begin_work;
    answer(create($a, $ctx));
    is answer(call($b, 'prov.outcome', $ctx))->{state}, '55P03',
        'longer than lock_timeout nobody waits';
    $a->commit;
    is answer(call($b, 'prov.outcome', $ctx))->{status}, 201,
        'and may ask again';
}

sub readers {
    my ($a, $b) = (session(), session());
    my $made = answer(create($a, context('alpha'), email => 'r@example.com'));

    $a->begin_work;
    answer(create($a, context('alpha'), email => 'r2@example.com'));
    my $sth = $b->prepare('select r.status, r.body from prov.enter(?) e '
        . 'left join lateral partner.tenant_list(e.ctx, ?, ?) r on true',
        { pg_async => PG_ASYNC });
    $sth->execute($json->encode(context('alpha')), '{"limit": 1}', undef);
    is answer($sth)->{body}{data}[0]{tenant}, $made->{body}{tenant},
        'a list shows what is committed, while others write';
    $a->rollback;
}

# A quota that comes while tenants are made or removed: who is under way is
# counted, or counts himself.

sub quotas {
    my ($a, $b) = (session(), session());
    my $operator = $cluster->connect('prov_operator', $database);
    my $admin = $cluster->connect('postgres', $database);
    $operator->do("set $_ = '60s'") for qw(lock_timeout statement_timeout);
    my ($id) = $admin->selectrow_array(
        "select prov.partner_add('quota', 'Q')");

    my $limit = sub {
        my $sth = $operator->prepare('select r.status, r.body, r.headers '
            . 'from prov.operator_enter(?) e '
            . 'left join lateral operator.partner_update(e.ctx, ?, ?) r '
            . 'on true', { pg_async => PG_ASYNC });
        $sth->execute($json->encode(context(undef)),
            $json->encode({ partner => $id }),
            $json->encode({ tenant_quota => $_[0] }));
        return $sth;
    };
    my $make = sub { create($_[0], context($id)) };
    my $counted = sub { scalar $admin->selectrow_array(
        'select tenants from prov.quotas where id = ?', undef, $id) };
    my $remove = 'delete from prov.tenants where id in (select id '
        . "from prov.tenants where partner = '$id' limit 1)";

    # a tenant that is being made

    $a->begin_work;
    is answer($make->($a))->{status}, 201, 'somebody makes a tenant';
    my $sth = $limit->(2);
    ok waits($operator), 'a quota waits for it';
    $a->commit;
    is answer($sth)->{status}, 200, 'and comes';
    is $counted->(), 1, 'and counts it';

    # a quota that is being given

    answer($limit->(undef));
    $operator->begin_work;
    is answer($limit->(2))->{status}, 200, 'a quota is given';
    $sth = $make->($a);
    ok waits($a), 'who makes a tenant meanwhile waits';
    $operator->commit;
    is answer($sth)->{status}, 201, 'and makes it';
    is $counted->(), 2, 'and is counted';
    my $over = answer($make->($a));
    is $over->{state}, 'PV403', 'one more is too many';

    # two that want the last place

    answer($limit->(3));
    $a->begin_work;
    is answer($make->($a))->{status}, 201, 'one takes the last place';
    $sth = $make->($b);
    ok waits($b), 'the other waits for what becomes of it';
    $a->rollback;
    is answer($sth)->{status}, 201, 'and gets it when it is given back';
    is $counted->(), 3, 'there are no more';

    # one that is being removed

    answer($limit->(undef));
    $admin->begin_work;
    $admin->do($remove);
    $sth = $limit->(5);
    ok waits($operator), 'a quota waits for a tenant that is removed';
    $admin->commit;
    is answer($sth)->{status}, 200, 'and comes';
    is $counted->(), 2, 'and does not count it';
}

# two that want the last place

sub operations {
    my ($a, $b, $other) = (session(), session(), session());
    my $accept = sub { call($_[0], 'partner.tenant_bulk', context($_[1],
        operation => 'tenant_bulk', prefer => { respond_async => \1 }),
        { tenants => [{ client_name => 'N',
            email => uuid() . '@example.com' }] }) };

    $_->do("set prov.operation_limit = '2'") for $a, $b, $other;
    is answer($accept->($a, 'alpha'))->{status}, 202, 'there is room for two';

    $a->begin_work;
    is answer($accept->($a, 'alpha'))->{status}, 202, 'one takes the last place';
    my $sth = $accept->($b, 'alpha');
    ok waits($b), 'another waits for what becomes of it';
    is answer($accept->($other, 'beta'))->{status}, 202,
        'another partner does not';
    $a->rollback;
    is answer($sth)->{status}, 202, 'and gets it when it is given back';

    $_->do("set prov.operation_limit = '3'") for $a, $b;
    $a->begin_work;
    is answer($accept->($a, 'alpha'))->{status}, 202, 'one takes the next';
    my $late = $accept->($b, 'alpha');
    ok waits($b), 'another waits again';
    $a->commit;
    is answer($late)->{status}, 429, 'and does not get it when it is kept';
}

1;
