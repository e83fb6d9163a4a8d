#!/usr/bin/perl

# Changes that share a transaction: they are committed together, and answered
# as if each had one of its own.  When one fails the others are sent again, and
# who made it fail does not do so again and again.  What a killed server
# remembers is in t/database_durable.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Lab;
use Provisioning::Test::Together;

my $TENANTS = '/api/provisioning/tenants';
my $DATABASE = 'connections 1; queue 64 timeout=60s; query_timeout 60s;';

my $postgres = postgres();
my $lab = lab($postgres);
my $other = token(sub => 'other-system', partner => 'globex');

$postgres->sql(q{
    create or replace function lab.note(ctx jsonb, params jsonb, input jsonb,
        out status int, out body json, out headers jsonb)
        language plpgsql security definer as $$
    begin
        insert into lab.notes values ((ctx ->> 'id')::uuid, input ->> 'text',
            (input ->> 'commit_ms')::int);
        while (input -> 'hold')::int > 0
            and exists (select from lab.gate)
        loop
            perform pg_sleep(0.01);
        end loop;
        if input ->> 'text' like 'unlucky%' then
            raise 'An unlucky note.' using errcode = 'PV409',
                constraint = 'unlucky';
        end if;
        status := 201;
        body := json_build_object('partner', ctx -> 'partner',
            'sees', current_setting('prov.partner'));
        perform prov.record(ctx, 'note', (ctx ->> 'id')::uuid,
            (ctx ->> 'id')::uuid, status, null, body, null);
    end $$});
$postgres->sql(q{
    create function lab.unlucky_commit() returns trigger language plpgsql as $$
    begin
        raise 'An unlucky commit.' using errcode = 'PV409',
            constraint = 'unlucky_commit';
    end $$});
$postgres->sql(q{
    create constraint trigger unlucky_commit after insert on lab.notes
        deferrable initially deferred for each row
        when (new.text like 'late%') execute function lab.unlucky_commit()});
$postgres->allow(qr/ PV409 .*An unlucky (?:note|commit)/);


# What is asked for.

sub jotting {
    my ($text, %o) = @_;
    return [POST => '/api/lab/notes', json => { text => $text }, %o];
}


sub tenant {
    my ($name, $email, %o) = @_;
    return [POST => $TENANTS, %o,
            json => { client_name => $name, email => $email }];
}


sub notes {
    my ($nginx, @texts) = @_;
    return together($nginx, map { jotting($_) } @texts);
}


sub transactions {
    return $postgres->value('select count(distinct xmin::text) from lab.notes'
        . ' where text = any(?)', \@_);
}


sub made {
    my ($text) = @_;
    return $postgres->value('select count(*) from lab.notes where text = ?',
        $text);
}


sub fresh {
    my (%o) = @_;

    my $nginx = nginx(postgres => $postgres, locations => $lab,
        database => $DATABASE . ($o{database} || ''));
    is answer(asking($nginx->connection, @{ jotting('first') }))->status, 201,
        'a gateway';
    return $nginx;
}


# They share it, each with its own answer.

my $nginx = fresh();
my @texts = map { "together-$_" } 1 .. 5;
is_deeply [map { $_->status } notes($nginx, @texts)], [(201) x 5],
    'changes that come together are made';
is transactions(@texts), 1, 'in one transaction';

@texts = map { "many-$_" } 1 .. 40;
notes($nginx, @texts);
is transactions(@texts), 3, 'that has no more than 16 of them';

my $four = fresh(database => ' share_transactions 4;');
@texts = map { "four-$_" } 1 .. 8;
notes($four, @texts);
is transactions(@texts), 2, 'or as many as one may have';
$four->stop;

my $apart = fresh(database => ' share_transactions 1;');
@texts = map { "apart-$_" } 1 .. 5;
notes($apart, @texts);
is transactions(@texts), 5, 'or each one of its own';
$apart->stop;

my $slow = fresh(database => ' share_commits off;');
@texts = map { "slow-$_" } 1 .. 5;
is_deeply [map { $_->status } notes($slow, @texts)], [(201) x 5],
    'flushes need not be shared for that';
is transactions(@texts), 1, 'the transaction is';
$slow->stop;

# What has a resource in its path, keeps nothing, or is long has its own.

my ($r) = together($nginx, tenant('Acme', unique_email()));
my $tenant = $r->json->{tenant};
my @answers = together($nginx, jotting('beside-1'),
    [PATCH => "$TENANTS/$tenant", json => { industry => 'Retail' }],
    jotting('beside-2'),
    [POST => "$TENANTS?dry_run=true",
     json => { client_name => 'A', email => unique_email() }],
    jotting('beside-3'));
is_deeply [map { $_->status } @answers], [201, 200, 201, 201, 201],
    'other changes come between them';
is transactions(map { "beside-$_" } 1 .. 3), 3, 'in their own transactions';

@texts = map { $_ x 10_000 } 'x', 'y';
notes($nginx, @texts);
is transactions(@texts), 2, 'as what is long has';

# Each sees its own partner's rows, whoever was before it.

@answers = together($nginx,
    map { jotting('whose', token => $_) } token(), $other, token(), $other);
is_deeply [map { $_->json->{sees} eq $_->json->{partner} || 0 } @answers],
    [(1) x 4], 'partners share a transaction, and no rows';
isnt $answers[0]->json->{partner}, $answers[1]->json->{partner}, 'two of them';
is transactions('whose'), 1, 'one transaction';

# Those that are in each other's way get the answers that they would get apart.

my $email = unique_email();
my %key = (headers => { 'Idempotency-Key' => 'one-and-the-same' });
my @keyed = ('Keyed', unique_email(), %key);
@answers = together($nginx, tenant('One', $email), tenant('Two', $email),
    map({ tenant(@keyed) } 1 .. 3), tenant('Another', unique_email(), %key));
is_deeply [map { $_->code || $_->status } @answers],
    [201, 'email_taken', 201, 201, 201, 'idempotency_key_reused'],
    'an address that is taken, a repetition, a key for something else';
is_deeply [map { $_->header('Idempotent-Replayed') || '' } @answers[2 .. 4]],
    ['', 'true', 'true'], 'repetitions are told what they are';
is scalar(keys %{{ map { $_->json->{tenant} => 1 } @answers[2 .. 4] }}), 1,
    'of one tenant';
is $answers[1]->json->{tenant}, $answers[0]->json->{tenant},
    'who has the address is told';

# When one fails nothing of the others is lost, or made twice; and who was the
# cause is left alone for a while, others are not.

@answers = notes($nginx, qw(luck-1 luck-2 unlucky-1 luck-3 unlucky-2 luck-4));
is_deeply [map { $_->code || $_->status } @answers],
    [201, 201, 'unlucky', 201, 'unlucky', 201], 'errors are their own';
is_deeply [map { made($_) } map({ "luck-$_" } 1 .. 4), 'unlucky-1'],
    [1, 1, 1, 1, 0], 'the others are made once';

@texts = map { "blamed-$_" } 1 .. 4;
notes($nginx, @texts);
is transactions(@texts), 4,
    'a partner whose change has failed shares no more for now';
@texts = map { "innocent-$_" } 1 .. 4;
together($nginx, map { jotting($_, token => $other) } @texts);
is transactions(@texts), 1, 'another one does';
$nginx->stop;

# What the document keeps apart has a transaction of its own.

$nginx = fresh();
@answers = together($nginx, map { [POST => "$TENANTS/bulk", json => { tenants =>
    [{ client_name => "Apart $_", email => unique_email() }] }] } 1 .. 3);
is_deeply [map { $_->status } @answers], [(201) x 3],
    'tenants are made by three requests';
is $postgres->value(q{select count(distinct a.xmin::text) from prov.audit a
    where a.resource = 'bulk'}), 3, 'each in a transaction of its own';
$nginx->stop;

$nginx = fresh();
@answers = notes($nginx, qw(unlucky-3 behind-1 behind-2));
is_deeply [map { $_->code || $_->status } @answers], ['unlucky', 201, 201],
    'the first of them may fail';
is_deeply [map { made("behind-$_") } 1, 2], [1, 1], 'for the others, too';
$nginx->stop;

$nginx = fresh();
@answers = notes($nginx, qw(in-time-1 late-1 in-time-2));
is_deeply [map { $_->code || $_->status } @answers],
    [201, 'unlucky_commit', 201], 'so may one at the end of the transaction';
is_deeply [map { made($_) } qw(in-time-1 late-1 in-time-2)], [1, 0, 1],
    'which is its own fault alone';
$nginx->stop;

# None of several waits for a lock for long: it has locks itself.

$postgres->lock_timeout('60s');
$nginx = fresh();
$postgres->allow(qr/ 55P03 .*canceling statement due to lock timeout/);
my $taken = unique_email();
my $session = $postgres->connect_as('postgres');
$session->begin_work;
$session->do(q{insert into prov.tenants (id, partner, slug, client_name, email)
    select gen_random_uuid(), p.id, 'in-the-way', 'In the way', ?
    from prov.partners p where p.slug = 'acme'}, undef, $taken);

my ($free, $waits) = send_together($nginx, jotting('free'),
    tenant('Waits', $taken));
wait_until 'they give up', sub {
    $postgres->log =~ /canceling statement due to lock timeout/ };
$session->rollback;
is answer($waits)->status, 201, 'one waits for a lock by itself, and gets it';
is answer($free)->status, 201, 'the other is made without it';
is made('free'), 1, 'each once';
$nginx->stop;

# Nor does a key that is under way elsewhere make it give up sooner than alone.

$nginx = fresh();
my $elsewhere = fresh();
$postgres->hold_commits;
my @same = ('held', unique_email(),
    headers => { 'Idempotency-Key' => 'under-way' });
my $original = asking($elsewhere->connection, @{ tenant(@same) });
wait_until 'the key is being used elsewhere', sub { $postgres->committing };
($free, my $again) = send_together($nginx, jotting('free again'), tenant(@same));
wait_until 'its repetition waits', sub { $postgres->waiting };
$postgres->release_commits;
is answer($free)->status, 201, 'one is made beside it';
is answer($original)->status, 201, 'the key is used once';
$r = answer($again);
is $r->status, 201, 'and its repetition waits for that';
is $r->header('Idempotent-Replayed'), 'true', 'as it does alone';

# A session that has forgotten its statements is replaced.

$_->stop for $nginx, $elsewhere;
$nginx = fresh();
$postgres->allow(qr/ 26000 .*prepared statement "prov_\w+" does not exist/);
is answer(asking($nginx->connection, GET => '/api/lab/forget'))->status, 200,
    'the session forgets all';
@texts = map { "remembered-$_" } 1 .. 3;
is_deeply [map { $_->status } notes($nginx, @texts)], [(201) x 3],
    'all are made';
is_deeply [map { made($_) } @texts], [1, 1, 1], 'once';

# The connection is lost under several: each is told what has become of it.

$nginx->stop;
$nginx = fresh();
lab_hold($postgres);
my @held = send_together($nginx, map({ jotting("lost-$_") } 1 .. 3),
    [POST => '/api/lab/notes', json => { text => 'lost-4', hold => 1 }]);
wait_until 'the last of them is under way',
    sub { $postgres->committing };
$postgres->sql('select pg_terminate_backend(pid) from pg_stat_activity'
    . " where usename = 'prov_partner'");
lab_release($postgres);
is_deeply [map { answer($_)->code } @held], [('not_committed') x 4],
    'all of them are told when their session has ended';
is_deeply [map { made("lost-$_") } 1 .. 4], [0, 0, 0, 0], 'which is true';
$session->disconnect;
$nginx->stop;

done_testing;
