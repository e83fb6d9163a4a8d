#!/usr/bin/perl

# The database goes away and comes back: before the gateway starts, under
# load, in the middle of a query.  What was answered 201 is there, what was
# answered otherwise is not, and nobody has to reload anything.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;

use Time::HiRes qw(sleep time);

my $TENANTS = '/api/provisioning/tenants';
my @crash = (qr/terminated by signal 9/, qr/FATAL:  the database system is in /,
    qr/FATAL:  terminating connection (?:because of crash|due to unexpected postmaster exit)/);


sub create {
    my ($nginx, %o) = @_;

    return $nginx->request(POST => $TENANTS, token => token(),
        json => { client_name => 'Acme', email => $o{email} || unique_email() },
        timeout => $o{timeout});
}


sub rows {
    my ($postgres, $email) = @_;
    return $postgres->value(
        'select count(*) from prov.tenants where email = ?', $email);
}


# Our own session is ended by a crash as anybody's.

sub asked {
    my ($postgres, @query) = @_;

    return ${ wait_until 'PostgreSQL has recovered', sub {
        my $value = eval { $postgres->value(@query) };
        $postgres->disconnect unless defined $value;
        defined $value && \$value;
    } };
}


# A tenant that is called "held" is not made, and none is read, while the gate is
# closed: for queries that are in flight when something happens.  One that is
# called "slow" takes its time.

sub slow_down {
    my ($postgres) = @_;

    $postgres->sql('create table prov.gate ()');
    $postgres->sql(q{
        create function prov.held(name text) returns void language plpgsql
            security definer as $$
        begin
            perform pg_sleep(0.01);
            while name = 'held' and exists (select from prov.gate) loop
                perform pg_sleep(0.02);
            end loop;
        end $$});
    $postgres->sql(q{
        create or replace function prov.slow_tenant() returns trigger
            language plpgsql as $$
        begin
            perform prov.held(new.client_name);
            return new;
        end $$});
    $postgres->sql(q{
        create trigger slow_tenant before insert on prov.tenants for each row
            when (new.client_name in ('held', 'slow'))
            execute function prov.slow_tenant()});
    $postgres->sql(q{
        create or replace function partner.tenant_get(ctx jsonb, params jsonb,
                input jsonb, out status int, out body json, out headers jsonb)
            language plpgsql security definer as $$
        begin
            perform prov.held('held');
            status := 200;
            body := '{"read": true}';
        end $$});
}


sub close_gate { $_[0]->sql('insert into prov.gate default values') }

sub open_gate { asked($_[0], 'delete from prov.gate returning 1') }

my $held_path = "$TENANTS/00000000-0000-7000-8000-000000000000";


# Waits until the gateway's role runs so many queries that take their time.

sub in_flight {
    my ($postgres, $number) = @_;

    wait_until "$number in flight", sub {
        $number == $postgres->value("select count(*) from pg_stat_activity"
            . " where usename = 'prov_partner' and wait_event = 'PgSleep'");
    };
}


# A second query at the same time makes the pool open a second connection.

sub open_two {
    my ($postgres, $nginx) = @_;

    close_gate($postgres);
    my @jobs = map {
        my $job = background(sub {
            $nginx->request(GET => $held_path, token => token())->status
        });
        in_flight($postgres, $_);
        $job;
    } 1 .. 2;

    open_gate($postgres);
    $_->finish for @jobs;
    wait_until 'two connections are open', sub {
        $postgres->backends('prov_partner') == 2;
    };
}


# It is not there when the gateway starts.

my $postgres = postgres(start => 0);
my $nginx = nginx(postgres => $postgres,
    database => 'connections 2; queue 64 timeout=400ms;');
my $patient = nginx(postgres => $postgres,
    database => 'connections 2 reads=2; queue 64 timeout=60s;');
my @workers = map { $_->workers } $nginx, $patient;

is $nginx->request(GET => '/health/live')->status, 200,
    'without a database the gateway is alive';

my $r = $nginx->request(GET => '/health/ready');
is $r->status, 503, 'but not ready';
is $r->code, 'database_unavailable', 'and says why';

my $begun = time;
$r = create($nginx);
cmp_ok time - $begun, '>=', 0.4, 'a request waits for it, for the queue time';
is $r->status, 503, 'and is answered 503 then';
is $r->code, 'database_unavailable', 'with a code that says why';
like $r->header('Retry-After'), qr/\A[1-9]\d*\z/, 'and when to come again';

my $email = unique_email();
my $waiting = background(sub { create($patient, email => $email,
                                      timeout => 60)->status });
wait_until 'the patient gateway has tried to connect', sub {
    $patient->log =~ /connecting failed/;
};
$postgres->start;

is $waiting->finish, 201,
    'a request that waited while the database started is served';
is rows($postgres, $email), 1, 'once';

wait_until 'tenants are made', sub { create($nginx)->status == 201 };
pass 'the gateway finds the database by itself';
is_deeply [map { $_->workers } $nginx, $patient], \@workers,
    'the workers are the same all along';

# Those who hold idle connections learn of a restart before they use them.

is create($patient)->status, 201, 'before a restart a tenant is made';
$postgres->restart('fast');
is create($patient)->status, 201, 'right after a restart another one';
$postgres->restart('immediate');
$postgres->allow(qr/FATAL:  terminating connection due to immediate shutdown/,
    qr/FATAL:  the database system is in recovery mode/);
is create($patient)->status, 201, 'and after an immediate shutdown, too';

$postgres->sql('select pg_terminate_backend(pid) from pg_stat_activity where'
    . " usename = 'prov_partner'");
wait_until 'the sessions have gone', sub { !$postgres->backends('prov_partner') };
$patient->request(GET => '/health/live') for 1 .. 3;    # the worker was told
is create($patient)->status, 201,
    'after an administrator has ended idle sessions new ones are opened';

# In the middle of a query.

slow_down($postgres);

close_gate($postgres);
my $read = background(sub {
    $patient->request(GET => $held_path, token => token(), timeout => 60)
        ->status });
in_flight($postgres, 1);
$postgres->restart('fast');
open_gate($postgres);
is $read->finish, 200, 'a read that a restart has ended is sent again';

$email = unique_email();
close_gate($postgres);
my $write = background(sub {
    my $r = $patient->request(POST => $TENANTS, token => token(),
        json => { client_name => 'held', email => $email }, timeout => 60);
    [$r->status, $r->code, $r->header('Retry-After')] });
in_flight($postgres, 1);
$postgres->restart('fast');
open_gate($postgres);
is_deeply $write->finish, [503, 'not_committed', 1],
    'a change that a restart has ended is said not to be committed';
is rows($postgres, $email), 0, 'and it is not there';
is $postgres->value('select count(*) from prov.audit where status = 0'), 1,
    'and never will be: its id is taken';

$postgres->allow(@crash);
open_two($postgres, $patient);

$email = unique_email();
close_gate($postgres);
$read = background(sub {
    $patient->request(GET => $held_path, token => token(), timeout => 60)
        ->status });
in_flight($postgres, 1);
$write = background(sub {
    my $r = $patient->request(POST => $TENANTS, token => token(),
        json => { client_name => 'held', email => $email }, timeout => 60);
    [$r->status, $r->code] });
in_flight($postgres, 2);
$postgres->kill_backends;
open_gate($postgres);
is $read->finish, 200, 'a read whose backend was killed is sent again';
is_deeply $write->finish, [503, 'not_committed'],
    'a change whose backend was killed is said not to be committed';
is asked($postgres, 'select count(*) from prov.tenants where email = ?',
    $email), 0, 'and it is not there';

# Connections are refused by the server itself.

$postgres->allow(qr/FATAL:  too many connections for role "prov_partner"/);
$postgres->sql('alter role prov_partner connection limit 0');
$postgres->sql('select pg_terminate_backend(pid) from pg_stat_activity where'
    . " usename = 'prov_partner'");
wait_until 'the sessions have gone', sub { !$postgres->backends('prov_partner') };
$r = create($nginx);
is $r->status, 503, 'while the server refuses connections the answer is 503';
is $r->code, 'database_unavailable', 'with the same code';
wait_until 'the log has what the server said', sub {
    $nginx->log =~ /too many connections for role "prov_partner"/
};
pass 'the log has what the server said';
$postgres->sql('alter role prov_partner connection limit -1');
wait_until 'tenants are made', sub { create($nginx)->status == 201 };
pass 'and once it takes them, all is well again';

# Nobody listens, as seen through a relay.

my $relay = relay($postgres);
my $behind = nginx(postgres => $relay,
    database => 'connections 2; queue 64 timeout=400ms;');
$behind->ready;
$relay->refuse;
$begun = time;
$r = create($behind);
cmp_ok time - $begun, '>=', 0.4, 'when nobody listens a request waits as well';
is $r->status, 503, 'and then gets its 503';
ok $r->header('Retry-After'), 'with Retry-After';
$relay->pass;
wait_until 'tenants are made', sub { create($behind)->status == 201 };
pass 'when somebody listens again they are served';
unlike $behind->log, qr/signal 1 \(SIGHUP\)/, 'nobody has reloaded anything';

# Under load: several clients, so that several changes are in flight at any
# time, and several kinds of end.

Provisioning::Test::Postgres::migrate($postgres);

sub client {
    my ($number) = @_;

    return background(sub {
        my ($go_on) = @_;
        my (@made, @seen, $connection);

        while ($go_on->() || @made < 5) {
            my $email = "load-$number-" . @made . '@example.com';
            my ($status, $code, $tenant) = (0, '', '');

            eval {
                $connection ||= $patient->connection;
                $connection->send_request(POST => $TENANTS, keep => 1,
                    token => token(),
                    json  => { client_name => 'slow', email => $email });
                my $r = $connection->read_response(timeout => 60);
                ($status, $code) = ($r->status, $r->code);
                $tenant = $r->json->{tenant} if $status == 201;
                1;
            } or undef $connection;

            push @made, [$email, $status, $code, $tenant];
            next unless $tenant;

            my $r = $patient->request(GET => "$TENANTS/$tenant",
                token => token(), timeout => 60);
            push @seen, $r->status . $r->code;
        }

        return [\@made, \@seen];
    });
}

my $so_far = 0;


# Waits until so many more tenants are there.

sub load_goes_on {
    my ($more) = @_;
    my $wanted = $so_far + $more;

    $so_far = wait_until 'the load goes on', sub {
        my $n = asked($postgres, 'select count(*) from prov.tenants'
            . ' where client_name = ?', 'slow');
        $n >= $wanted && $n;
    };
    return;
}

my @clients = map { client($_) } 1 .. 8;

for my $end (
    sub { $postgres->restart('fast') },
    sub { $postgres->restart('immediate') },
    sub { $postgres->kill_backends },
    sub { $postgres->crash; $postgres->start },
) {
    load_goes_on(100);
    $end->();
}

load_goes_on(100);

my (%status, %wrong, %reads);

for my $result (map { $_->finish } @clients) {
    my ($made, $seen) = @$result;

    $reads{$_}++ for @$seen;

    for (@$made) {
        my ($email, $status, $code, $tenant) = @$_;
        my $rows = $postgres->sql(
            'select id from prov.tenants where email = ?', $email);

        $status{ $code || $status }++;

        if ($status == 201) {
            push @{ $wrong{lost} }, $email
                unless @$rows == 1 && $rows->[0]{id} eq $tenant;

        } elsif ($status == 503) {
            push @{ $wrong{there} }, $email if @$rows;

        } elsif ($code ne 'outcome_unknown') {
            push @{ $wrong{answer} }, "$status $code $email";
        }
    }
}

note join ', ', map { "$_: $status{$_}" } sort keys %status;
is $wrong{lost}, undef, 'every tenant that was answered 201 is there, once';
is $wrong{there}, undef, 'none that was answered 503 is there';
is $wrong{answer}, undef, 'no other answer was given: nothing was sent twice';
cmp_ok $status{201} || 0, '>=', 400, 'most were answered 201';
is_deeply [grep { !/\A(?:200|503database_unavailable)\z/ } keys %reads], [],
    'what was made was read, or the database was away';
is $postgres->value('select count(*) from (select from prov.tenants group by'
    . ' email having count(*) > 1) twice'), 0, 'no row is there twice';
is_deeply [map { $_->workers } $nginx, $patient], \@workers,
    'and the workers are still the same';

done_testing;
