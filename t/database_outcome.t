#!/usr/bin/perl

# A connection is lost after a change was sent and before it was answered.
# The gateway finds out what became of it: it gives the answer that was lost,
# or makes sure that nothing was done, or says that it does not know.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;

my $TENANTS = '/api/provisioning/tenants';

my $postgres = postgres();
$postgres->lock_timeout('60s');
my $relay = relay($postgres);
my $nginx = nginx(postgres => $relay);
$nginx->ready;
my ($worker) = wait_until 'there is a worker', sub { ($nginx->workers)[0] };

# what a server says whose client does not read its answer
$postgres->allow(qr/FATAL:  connection to client lost/);


# Sends the request now; the code that is returned reads its response.

sub creating {
    my ($email, %o) = @_;

    my $connection = ($o{nginx} || $nginx)->connection;
    $connection->send_request(POST => $TENANTS, token => token(),
        json => { client_name => $o{name} || 'Acme', email => $email });

    return sub { $connection->read_response(timeout => 60) };
}


sub reading {
    my ($nginx, $path) = @_;

    my $connection = $nginx->connection;
    $connection->send_request(GET => $path, token => token());

    return sub { $connection->read_response(timeout => 60) };
}


sub create { creating(@_)->() }


sub rows {
    my ($email) = @_;
    return $postgres->value(
        'select count(*) from prov.tenants where email = ?', $email);
}


sub arrived {
    my ($email) = @_;
    wait_until "$email is committed", sub { rows($email) };
}


# Everything that was sent to nginx before this has been read after it.

sub settle {
    my ($nginx) = @_;
    $nginx->request(GET => '/health/live') for 1 .. 3;
    return;
}


# All connections are lost, and new ones work.

sub lose {
    my ($relay) = @_;
    $relay->refuse;
    $relay->pass;
    return;
}


# It was committed: the answer is the one that was lost.

my $usual = create(unique_email());
is $usual->status, 201, 'a tenant is made';

for my $fate (qw(cut_reply_to half_reply_to)) {
    my $email = unique_email();
    my $cuts = $relay->cuts;

    $relay->$fate(qr/$email/);
    my $r = create($email);

    is $relay->cuts, $cuts + 1, "$fate: the connection was lost";
    is $r->status, 201, 'a change that was committed is answered as such';
    is rows($email), 1, 'it is there, once';

    my $audit = $postgres->sql('select d.after::text,'
        . ' d.headers::text, t.id from prov.audit_details d'
        . ' join prov.tenants t on t.id = d.tenant where t.email = ?', $email)->[0];

    is $r->body, $audit->{after}, 'its body is the original one, to the byte';
    is $r->header('Location'), "$TENANTS/$audit->{id}", 'so is Location';
    is $r->header('ETag'), $usual->header('ETag'), 'so is ETag';
    is_deeply [$r->header_names], [$usual->header_names],
        'and it has the usual headers';
    is $nginx->request(GET => $r->header('Location'), token => token())->body,
        $r->body, 'a read shows the same';
}

# It was not: nothing is there, and nothing will be.

my $email = unique_email();
$relay->cut_request(qr/$email/);
my $r = create($email);
is $r->status, 503, 'a change that never arrived is answered 503';
is $r->code, 'not_committed', 'and said not to be committed';
ok $r->header('Retry-After'), 'with Retry-After';
is rows($email), 0, 'it is not there';
is $postgres->value('select status from prov.audit order by at desc limit 1'),
    0, 'its id is taken';
is create($email)->status, 201, 'the same request is served when it is repeated';

$relay->cut_reply_to(qr/$email/);
$r = create($email);
is $r->code, 'not_committed',
    'a change that was refused, and whose refusal was lost, was not committed';
is rows($email), 1, 'and has changed nothing';

# A late original: the server works on while the gateway asks.

my $lock = $postgres->connect_as('postgres');
$lock->begin_work;
$lock->do('lock table prov.tenants in share mode');

$email = unique_email();
my $original = creating($email);
wait_until 'the change waits for a lock', sub { $postgres->waiting };
$relay->cut;
is $original->()->code, 'not_committed',
    'a change that is still running, and has not got far, is shut out';
$postgres->allow(qr/ PV503 .*The outcome of this request was decided/);
$lock->rollback;
wait_until 'the original has ended', sub {
    $postgres->log =~ /The outcome of this request was decided without it/
};
is rows($email), 0, 'when it gets on it cannot commit any more';

# A late original that has got further: its end is waited for.

$postgres->hold_commits;

$email = unique_email();
$original = creating($email, name => 'held');
wait_until 'the change is being committed', sub { $postgres->committing };
$relay->cut;
wait_until 'the gateway asks for it', sub { $postgres->waiting };
$postgres->release_commits;
is $original->()->status, 201, 'the end of a change that is being committed is awaited';
is rows($email), 1, 'and it is there';

$email = unique_email();
$postgres->allow(qr/ 55P03 .*canceling statement due to lock timeout/);
$postgres->hold_commits;
$original = creating($email, name => 'held');
wait_until 'the change is being committed', sub { $postgres->committing };
$postgres->lock_timeout('2s');
$relay->cut;
$r = $original->();
is_deeply [$r->status, $r->code], [502, 'outcome_unknown'],
    'but not for longer than lock_timeout';
$postgres->release_commits;
arrived($email);
pass 'and then it may well be there';

# Many on one connection: each change gets its own answer, reads are repeated.

my $relay1 = relay($postgres);
my $narrow = nginx(postgres => $relay1, database => 'connections 1 pipeline=16;'
    . ' share_transactions 1; queue 64 timeout=60s; query_timeout 60s;');
$narrow->ready;

my $path = create(unique_email(), nginx => $narrow)->header('Location');
my @before = map { unique_email() } 1 .. 3;
my @after = map { unique_email() } 1 .. 3;

$relay1->stall_replies;
my @made = map { creating($_, nginx => $narrow) } @before;
arrived($_) for @before;
my @reads = map { reading($narrow, $path) } 1 .. 3;
settle($narrow);
$relay1->stall;
my @lost = map { creating($_, nginx => $narrow) } @after;
settle($narrow);
lose($relay1);

@made = map { $_->() } @made;
is_deeply [map { $_->status } @made], [201, 201, 201],
    'of many changes on one connection those that were committed are found';
is_deeply [map { $_->json->{email} } @made], \@before,
    'each gets its own answer';
is_deeply [map { $_->()->status } @reads], [200, 200, 200],
    'the reads between them are sent again';
is_deeply [map { $_->()->code } @lost], [('not_committed') x 3],
    'those that had not arrived are said not to be committed';
is_deeply [map { rows($_) } @before, @after], [1, 1, 1, 0, 0, 0],
    'all of it is true';

# A full queue does not stand before the question.

my $relay2 = relay($postgres);
my $full = nginx(postgres => $relay2, database => 'connections 1 pipeline=4;'
    . ' share_transactions 1; queue 2 timeout=60s; query_timeout 60s;');
$full->ready;

@before = map { unique_email() } 1 .. 4;
@after = map { unique_email() } 1 .. 2;
$relay2->stall_replies;
@made = map { creating($_, nginx => $full) } @before;
arrived($_) for @before;
my @waiting = map { creating($_, nginx => $full) } @after;
settle($full);
is creating(unique_email(), nginx => $full)->()->code, 'overloaded',
    'who finds the queue full is turned away';
lose($relay2);
is_deeply [map { $_->()->status } @made], [(201) x 4],
    'outcomes are found out also while the queue is full';
is_deeply [map { $_->()->status } @waiting], [201, 201],
    'and those that waited in it are served after';

# The database does not come back in time.

my $relay3 = relay($postgres);
my $hasty = nginx(postgres => $relay3,
    database => 'connections 1; queue 64 timeout=400ms;');
$hasty->ready;

$email = unique_email();
$relay3->stall_replies;
$original = creating($email, nginx => $hasty);
arrived($email);
$relay3->refuse;
$r = $original->();
is_deeply [$r->status, $r->code], [502, 'outcome_unknown'],
    'when the database is away for longer than the queue time nobody knows';
$relay3->pass;
$hasty->ready;

# The caller may not ask any more.

$email = unique_email();
$relay3->stall_replies;
$original = creating($email, nginx => $hasty);
arrived($email);
$postgres->sql("update prov.partners set status = 'suspended' where slug ="
    . " 'acme'");
lose($relay3);
$r = $original->();
is_deeply [$r->status, $r->code], [502, 'outcome_unknown'],
    'a partner that was suspended meanwhile is told no more than that';
$postgres->sql("update prov.partners set status = 'active' where slug ="
    . " 'acme'");

# The commit itself fails, after the rows were sent.

$postgres->sql(q{
    create function prov.fail_commit() returns trigger language plpgsql as $$
    begin
        raise exception 'not at commit' using errcode = '23514',
            constraint = 'rule_of_commit_7';
    end $$});
$postgres->sql(q{
    create constraint trigger fail_commit after insert on prov.tenants
        deferrable initially deferred for each row
        when (new.client_name = 'fail') execute function prov.fail_commit()});
$postgres->allow(qr/ 23514 .*not at commit/);

$email = unique_email();
$r = create($email, name => 'fail');
is $r->status, 422, 'a change whose commit fails is not answered 201';
is $r->code, 'rule_of_commit', 'but with what failed';
is rows($email), 0, 'it is not there';
is create($email)->status, 201, 'and the connection is used on';

# Collisions are repeated, by the gateway and with the same ids, four times in
# all.

$postgres->sql('create sequence prov.attempts');
$postgres->sql(q{
    create function prov.collide() returns trigger language plpgsql
        security definer as $$
    begin
        if nextval('prov.attempts') % substring(new.client_name from 9)::int
            > 0
        then
            raise exception 'collision' using errcode = '40001';
        end if;
        return null;
    end $$});
$postgres->sql(q{
    create constraint trigger collide after insert on prov.tenants
        deferrable initially deferred for each row
        when (new.client_name like 'collide%')
        execute function prov.collide()});
$postgres->allow(qr/ 40001 .*collision/);

$email = unique_email();
is create($email, name => 'collide 3')->status, 201,
    'a change that has collided twice at its commit is made the third time';
is rows($email), 1, 'once';
is $postgres->value('select last_value from prov.attempts'), 3,
    'with three attempts';

$email = unique_email();
$postgres->sql("select setval('prov.attempts', 100)");
$r = create($email, name => 'collide 99');
is $r->status, 503, 'one that collides again and again is given up';
is $r->code, 'conflict_retry', 'with a code that says so';
ok $r->header('Retry-After'), 'and Retry-After';
is $postgres->value('select last_value from prov.attempts'), 104,
    'after four attempts';
is rows($email), 0, 'and is not there';

is_deeply [$nginx->workers], [$worker], 'the worker is the same all along';

done_testing;
