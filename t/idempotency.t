#!/usr/bin/perl

# Idempotency-Key: a change is made once however often it is asked for, every
# repetition gets the first answer, and neither the end of a worker nor that of
# the database makes it two.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Problem;

use Time::HiRes qw(time);

my $TENANTS = '/api/provisioning/tenants';

my $postgres = postgres();
$postgres->lock_timeout('60s');
my $relay = relay($postgres);
my $nginx = nginx(postgres => $relay,
    database => 'connections 2 writes=2;');
$nginx->ready;

# what a server says whose client does not read its answer
$postgres->allow(qr/FATAL:  connection to client lost/);

my $keys = 0;

sub new_key { return "key-$$-" . ++$keys }

sub request_of {
    my ($key, $email, %o) = @_;
    return (POST => $TENANTS,
        token => token(%{ $o{token} || {} }),
        headers => [defined $key ? ('Idempotency-Key' => $key) : (),
                    @{ $o{headers} || [] }],
        json => { client_name => $o{name} || 'Acme', email => $email });
}

sub create {
    my ($key, $email, %o) = @_;
    return ($o{nginx} || $nginx)->request(request_of($key, $email, %o));
}

sub rows {
    return $postgres->value(
        'select count(*) from prov.tenants where email = ?', $_[0]);
}

sub audited {
    return $postgres->value('select count(*) from prov.audit a join'
        . ' prov.tenants t on t.id = a.tenant where t.email = ?', $_[0]);
}

sub kept { $postgres->value('select count(*) from prov.idempotency') }

# What a caller decides by: two answers are the same when this is.

sub said {
    my ($r) = @_;
    return join "\n", $r->status, $r->body,
        map { "$_: " . ($r->header($_) // '') } qw(Location ETag Content-Type);
}


# Once

my ($key, $email) = (new_key(), unique_email());
my $first = create($key, $email);
is $first->status, 201, 'a change with a key is made' or diag $first->body;
is $first->header('Idempotent-Replayed'), undef, 'and is no repetition';
is_deeply [$first->header_names],
    [create(undef, unique_email())->header_names],
    'it is answered as one without a key is';

for (1 .. 2) {
    my $again = create($key, $email);
    is said($again), said($first),
        'its repetition gets the same status, headers and body';
    is $again->header('Idempotent-Replayed'), 'true', 'and is told so';
}

is rows($email), 1, 'there is one tenant';
is audited($email), 1, 'and one entry in the audit';

is_problem create($key, unique_email()),
    'the same key with another request is refused', 422,
    'idempotency_key_reused',
    'This Idempotency-Key was used for another request; use a new key for '
    . 'each change.';

my $r = create($key, unique_email(), token => { partner => 'globex' });
is $r->status, 201, 'another partner\'s key is another key';
$r = create($key, unique_email(), token => { sub => 'somebody-else' });
is $r->status, 201, 'and so is that of somebody else of the same partner';
$r = create($key, $email, token => { roles => ['integration-user'] });
is $r->code, 'permission_denied',
    'who may not make the change may not have its answer either';
$r = create($key, $email, token => { roles => ['partner-admin', 'x'] });
is said($r), said($first), 'who may gets it with another token, too';


# What is kept

$key = new_key();
$r = create($key, $email);
is $r->code, 'email_taken', 'a change that conflicts';
$postgres->sql('set session_replication_role = replica');
$postgres->sql('delete from prov.tenants where email = ?', $email);
$postgres->disconnect;
my $again = create($key, $email);
is $again->code, 'email_taken',
    'conflicts when it is repeated, though nothing is in its way now';
is $again->header('Idempotent-Replayed'), 'true', 'as a repetition';
is rows($email), 0, 'and changes nothing';
is create(new_key(), $email)->status, 201, 'with a new key it is made';

$key = new_key();
my $before = kept();
is create($key, 'no address')->code, 'invalid_body',
    'a request that is not as described';
is create($key, unique_email(), token => { roles => [] })->code,
    'permission_denied', 'or not permitted';
is kept(), $before, 'uses up no key';
is create($key, unique_email())->status, 201, 'the key is good for another';

$postgres->sql(q{
    create function prov.refuse() returns trigger language plpgsql as $$
    begin
        raise exception 'not at commit' using errcode = '23514',
            constraint = 'rule_of_commit';
    end $$});
$postgres->sql(q{
    create constraint trigger refuse after insert on prov.tenants
        deferrable initially deferred for each row
        when (new.client_name = 'refuse') execute function prov.refuse()});
$postgres->allow(qr/ 23514 .*not at commit/);
($key, $email) = (new_key(), unique_email());
is create($key, $email, name => 'refuse')->code, 'rule_of_commit',
    'a change that fails when it commits';
is create($key, $email, name => 'else')->status, 201,
    'leaves nothing, no key either';

($key, $email) = (new_key(), unique_email());
create($key, unique_email());
$postgres->sql("update prov.idempotency set created_at = created_at"
    . " - interval '24 hours 1 minute'");
$r = create($key, $email);
is $r->status, 201, 'after 24 hours a key is new again';
is $r->header('Idempotent-Replayed'), undef, 'whatever it was used for';

# a purge has its tenant, and waits for every answer about it

{
    my $tenant = create(undef, unique_email())->json->{tenant};
    my @change = (PATCH => "$TENANTS/$tenant", token => token(),
        json => { industry => 'Retail' });

    $nginx->request(@change, headers => { 'Idempotency-Key' => new_key() });
    $postgres->sql("delete from prov.idempotency where tenant is distinct"
        . " from '$tenant'");
    $postgres->sql("update prov.idempotency set created_at = created_at"
        . " - interval '25 hours'");

    my $purge = $postgres->connect_as('postgres');
    $purge->begin_work;
    $purge->do("select from prov.tenants where id = '$tenant' for update");

    my $change = background(sub {
        return $nginx->request(@change,
            headers => { 'Idempotency-Key' => new_key() })->status;
    });

    wait_until 'a change with a key waits for the tenant', sub {
        $postgres->waiting;
    };

    $purge->do("set local lock_timeout = '500ms'");
    is eval { $purge->do("delete from prov.idempotency"
        . " where tenant = '$tenant'") }, 1,
        'who waits for a tenant has not removed old answers about it yet'
        or diag $@;
    $purge->rollback;
    $purge->disconnect;
    is $change->finish, 200, 'the change is made then';
    is $postgres->value("select count(*) from prov.idempotency"
        . " where tenant = '$tenant'"), 1, 'and removes them';
}


# Secrets

sub api_key {
    my ($key) = @_;
    return $nginx->request(POST => '/api/provisioning/api-keys',
        token => token(), headers => { 'Idempotency-Key' => $key },
        json => { name => 'crm', scopes => ['tenant:read'] });
}

$key = new_key();
$r = api_key($key);
is $r->status, 201, 'an API key is made';
like my $secret = $r->json->{key}, qr/\Apk_[0-9a-f]{32}_/, 'and shown';
$again = api_key($key);
is_deeply [$again->status, $again->header('Idempotent-Replayed')],
    [201, 'true'], 'a repetition is answered';
is_deeply $again->json, { %{ $r->json }, key => undef },
    'with everything but the secret';
is $postgres->value('select count(*) from prov.idempotency i where i::text'
    . ' ~ ?', substr $secret, -20), 0, 'which is kept nowhere';


# API keys have keys of their own, and keep them when they get a new secret

sub by_api_key {
    my ($secret, $key, $email) = @_;
    return $nginx->request(POST => $TENANTS, headers => {
        'X-API-Key' => $secret, 'Idempotency-Key' => $key },
        json => { client_name => 'Machine', email => $email });
}

my @machine = map {
    $nginx->request(POST => '/api/provisioning/api-keys', token => token(),
        json => { name => $_, scopes => ['tenant:create'] })->json
} 'one', 'two';

($key, $email) = (new_key(), unique_email());
$r = by_api_key($machine[0]{key}, $key, $email);
is $r->status, 201, 'a machine makes a change' or diag $r->body;
is by_api_key($machine[1]{key}, $key, unique_email())->status, 201,
    'another machine\'s key is another key';
my $rotated = $nginx->request(POST =>
    "/api/provisioning/api-keys/$machine[0]{api_key}/rotate",
    token => token())->json;
$again = wait_until 'the new secret is known', sub {
    my $answer = by_api_key($rotated->{key}, $key, $email);
    $answer->status == 401 ? undef : $answer;
};
is said($again), said($r), 'with its new secret it gets its answer';
is $again->header('Idempotent-Replayed'), 'true', 'as a repetition';


# Many at once

$key = new_key();
my @many = map { { client_name => 'Many', email => unique_email() } } 1 .. 3;
my @bulk = map {
    $nginx->request(POST => "$TENANTS/bulk", token => token(),
        headers => { 'Idempotency-Key' => $key },
        json => { tenants => \@many });
} 1, 2;
is $bulk[0]->status, 201, 'many tenants are made' or diag $bulk[0]->body;
is said($bulk[1]), said($bulk[0]), 'a repetition gets the same';
is $bulk[1]->header('Idempotent-Replayed'), 'true', 'and is told so';
is_deeply [map { rows($_->{email}) } @many], [1, 1, 1], 'each is there once';


# What is gone for good

($key, $email) = (new_key(), unique_email());
my $path = create($key, $email)->header('Location');
my %delete = (token => token(), headers => { 'Idempotency-Key' => 'gone' });
$nginx->request(DELETE => $path, token => token());
$r = $nginx->request(DELETE => "$path?purge=true", %delete);
is $r->status, 200, 'a tenant is removed for good' or diag $r->body;
$again = $nginx->request(DELETE => "$path?purge=true", %delete);
is said($again), said($r), 'its receipt is given again';
is $postgres->value('select count(*) from prov.idempotency i where'
    . ' i.body::text like ?', "%$email%"), 0,
    'of what was answered of it before nothing is left';
$r = create($key, $email);
is_deeply [$r->status, $r->header('Idempotent-Replayed')], [201, undef],
    'so the request that made it makes another one';


# Keys

for (['an empty key', ''], ['a long one', 'k' x 256],
     ['one with a blank', 'a b'], ['one beyond ASCII', "k\xc3\xa4"],
     ['one with a tab', "a\tb"])
{
    my ($name, $bad) = @$_;
    $r = create($bad, unique_email());
    is_deeply [$r->status, $r->code, $r->json->{errors}[0]{parameter},
               $r->json->{errors}[0]{in}],
        [400, 'invalid_parameters', 'Idempotency-Key', 'header'],
        "$name is refused";
}

$r = create(new_key(), unique_email(),
    headers => ['Idempotency-Key' => new_key()]);
is $r->code, 'invalid_parameters', 'so are two';

for my $good ('k' x 255, '"8e03978e-40d5-43dd-bc93-6894a57f9324"',
              q{!#$%&'()*+,-./:;<=>?@[\]^_`{|}~"})
{
    my $address = unique_email();
    is create($good, $address)->status, 201, "a good key: $good";
    is create($good, $address)->header('Idempotent-Replayed'), 'true',
        'and it is one';
}


# A connection is lost under it

for my $fate (qw(cut_reply_to half_reply_to cut_request)) {
    ($key, $email) = (new_key(), unique_email());
    my $cuts = $relay->cuts;

    $relay->$fate(qr/$email/);
    $r = create($key, $email);
    is $relay->cuts, $cuts + 1, "$fate: the connection was lost";
    is $r->status, 201, 'the change is answered as made';
    is $r->header('Idempotent-Replayed'), undef,
        'and not as a repetition: the caller has not repeated anything';
    is rows($email) . audited($email), 11, 'it was made once';
    $again = create($key, $email);
    is said($again), said($r), 'a repetition gets the same';
    is $again->header('Idempotent-Replayed'), 'true', 'and is told so';
}

$key = new_key();
$relay->cut_reply_to(qr/$email/);
$r = create($key, $email);
is $r->code, 'email_taken', 'a refusal that was lost is found, too';
is create($key, $email)->header('Idempotent-Replayed'), 'true', 'and kept';

($key, $email) = (new_key(), unique_email());
$relay->cut_reply_to(qr/$email/);
$r = create($key, $email, name => 'refuse');
is $r->code, 'rule_of_commit', 'what fails at its commit fails once more';
is rows($email), 0, 'and is not there';

my $hasty = nginx(postgres => $relay,
    database => 'connections 1; queue 64 timeout=400ms; query_timeout 20s;');
$hasty->ready;
($key, $email) = (new_key(), unique_email());
$relay->stall_replies;
my $connection = $hasty->connection;
$connection->send_request(request_of($key, $email));
wait_until 'it is committed', sub { rows($email) };
$relay->refuse;
$r = $connection->read_response(timeout => 60);
is_problem $r, 'when the database stays away nobody knows', 502,
    'outcome_unknown', 'The database went away while the change was made, '
    . 'and it could not be found out whether it was. Repeat the request with '
    . 'the same Idempotency-Key.';
$relay->pass;
$hasty->ready;
is create($key, $email, nginx => $hasty)->header('Idempotent-Replayed'),
    'true', 'and a repetition tells';
ok $hasty->stop, 'nginx leaves';


# Under way

$postgres->hold_commits;

($key, $email) = (new_key(), unique_email());
$connection = $nginx->connection;
$connection->send_request(request_of($key, $email, name => 'held'));
wait_until 'it is being committed', sub { $postgres->committing };
my $second = $nginx->connection;
$second->send_request(request_of($key, $email, name => 'held'));
wait_until 'another waits for it', sub { $postgres->waiting };
$postgres->release_commits;
$r = $second->read_response;
is $r->header('Idempotent-Replayed'), 'true',
    'what comes while the first is under way waits for its answer';
is said($r), said($connection->read_response), 'and gets it';

$postgres->hold_commits;
$postgres->lock_timeout('2s');
my $impatient = nginx(postgres => $postgres);
$impatient->ready;

($key, $email) = (new_key(), unique_email());
$connection = $nginx->connection;
$connection->send_request(request_of($key, $email, name => 'held'));
wait_until 'it is being committed', sub { $postgres->committing };
my $started = time;
$r = create($key, $email, name => 'held', nginx => $impatient);
is_problem $r, 'but not for longer than lock_timeout', 409,
    'idempotency_in_progress', 'A request with this Idempotency-Key is still '
    . 'under way; repeat this one a little later.';
ok $r->header('Retry-After'), 'with Retry-After';
cmp_ok time - $started, '>', 1.5, 'after that time';
$postgres->release_commits;
$postgres->lock_timeout('60s');
is $connection->read_response->status, 201, 'the first is made';
is create($key, $email, name => 'held')->header('Idempotent-Replayed'),
    'true', 'and answered to who comes later';
ok $_->stop, 'nginx leaves' for $nginx, $impatient;


# Fifty at once, who repeat themselves until they have an answer.  When there
# is an end to come, what they do is under way then: it waits for us.

sub insist {
    my ($nginx, $end) = @_;

    my ($key, $email) = (new_key(), unique_email());
    my $answer = sub {
        my ($connection) = @_;
        my $r = eval { $connection->read_response(timeout => 60) };
        return $r && $r->status < 500 && $r->code ne 'idempotency_in_progress'
            ? $r : undef;
    };
    my $send = sub {
        my $c = eval { $nginx->connection } or return;
        $c->send_request(request_of($key, $email));
        return $c;
    };

    my $lock = $end && hold();
    my @connections = map { $send->() } 1 .. 50;
    meanwhile($lock, $end) if $end;

    my ($repeated, @answers) = (0);
    my $deadline = time + 6 * $Provisioning::Test::patience;

    for my $c (@connections) {
        my $r = $c && $answer->($c);

        until ($r || time > $deadline) {
            $repeated++;
            $c = $send->();
            $r = $c && $answer->($c);
        }

        push @answers, $r;
    }

    my %said;
    $said{ $_ ? said($_) : 'nothing' }++ for @answers;

    is_deeply [map { /\A(\w+)/ } keys %said], [201],
        '50 at once get one and the same answer' or diag explain \%said;
    is rows($email) . audited($email), 11, 'and make one tenant';
    my $told = grep { $_ && $_->header('Idempotent-Replayed') } @answers;
    cmp_ok $told, '>=', 49, 'all but the first are told that they repeat it';

    return $repeated;
}

sub hold {
    my $lock = $postgres->connect_as('postgres');
    $lock->{PrintWarn} = 0;
    $lock->begin_work;
    $lock->do('lock table prov.tenants in share mode');
    return $lock;
}

sub meanwhile {
    my ($lock, $end) = @_;

    wait_until 'one waits for us, and others for that one',
        sub { $postgres->waiting > 2 };
    $end->();
    eval { $lock->rollback };
    eval { $lock->disconnect };
    return;
}

$nginx = nginx(postgres => $postgres, workers => 3,
    database => 'connections 4; queue 64 timeout=60s;');
$nginx->ready;

is insist($nginx), 0, 'nobody needs to repeat anything';

sub kill_a_worker {
    my ($worker) = wait_until 'there are workers', sub {
        my @workers = $nginx->workers;
        @workers == 3 ? \@workers : undef;
    };
    ($worker) = @$worker;
    $nginx->allow(qr/worker process \Q$worker\E exited on signal 9/);
    kill 'KILL', $worker;
    wait_until 'the master has noticed', sub {
        $nginx->log =~ /\Q$worker\E exited on signal 9/
    };
    return;
}

$postgres->allow(qr/ 55P03 .*canceling statement due to lock timeout/);
insist($nginx, \&kill_a_worker);
pass 'a worker was killed meanwhile';

$postgres->allow(qr/FATAL:  .*terminating connection/,
                 qr/WARNING:  terminating connection/);
insist($nginx, sub { $postgres->kill_backends });
pass 'a server process was killed meanwhile';

insist($nginx, sub { $postgres->restart('fast') });
pass 'the database was restarted meanwhile';

insist($nginx, sub { $postgres->crash; $postgres->start });
pass 'the database was killed meanwhile';

done_testing;
