#!/usr/bin/perl

# What the database does not take of what workers tell it: one report that it
# refuses holds up no other, whatever the reason is; what may help is done, and
# what cannot be helped is given up, and said.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Jobs;
my $API = '/api/provisioning';
my $receiver = receiver(sub { $_[0]->answer(204) });
my $postgres = postgres();
$postgres->allow(qr/ERROR:  lab: /, qr/CONTEXT:  PL|STATEMENT:  select/,
                 qr/ DETAIL:  parameters: /);

# lab.fault: what is reported of a queue fails on a table with an SQLSTATE

$postgres->sql($_) for split /\n\n/, <<'END';
create schema lab;

create table lab.faults (queue uuid, on_table text, state text);

create function lab.fault() returns trigger language plpgsql
    security definer as $$
declare
    f lab.faults;
    whose uuid := case when tg_table_name = 'jobs'
        then to_jsonb(new) ->> 'id' else to_jsonb(new) ->> 'job' end;
begin
    select l.* into f from lab.faults l join prov.jobs j on j.queue = l.queue
    where j.id = whose and l.on_table = tg_table_name;
    if found then
        raise exception 'lab: no' using errcode = f.state;
    end if;
    return new;
end $$;

create trigger lab_fault before insert on prov.job_attempts
    for each row execute function lab.fault();

create trigger lab_fault before update on prov.jobs
    for each row when (new.lease_worker is null) execute function lab.fault()
END

my $nginx = nginx(postgres => $postgres, workers => 1,
    http => jobs_block(poll_interval => '1h', lease => '40s', per_queue => 8,
        outbound => 'timeout 20s; plain_http on; allow_network 127.0.0.0/8;'));
$nginx->ready;

my @good = map { endpoint("/good/$_") } 1 .. 20;

sub endpoint {
    my ($where) = @_;
    my $r = $nginx->request(POST => "$API/webhook-endpoints", token => token(),
        json => { url => $receiver->url($where),
                  event_types => ['tenant.created'] });
    $r->status == 201 or die $r->body;
    return $r->json->{webhook_endpoint};
}

# one more that is told of a tenant, and whose report is refused

sub poisoned {
    my ($where, $table, $state) = @_;

    my $queue = endpoint("/$where");
    $postgres->sql('insert into lab.faults values (?, ?, ?)', $queue, $table,
        $state);
    return $queue;
}

sub tenant {
    my $r = $nginx->request(POST => "$API/tenants", token => token(),
        json => { client_name => 'A', email => unique_email() });
    $r->status == 201 or die $r->body;
    return;
}

sub state {
    my ($queue) = @_;
    return $postgres->value("select string_agg(state || ' ' || attempt, ', ')"
        . ' from prov.jobs where queue = ?', $queue);
}

sub waiting {
    my ($but) = @_;
    return $postgres->value("select count(*) from prov.jobs where kind ="
        . " 'webhook' and state = 'waiting' and queue <> ?", $but);
}

sub attempts {
    my ($queue) = @_;
    return $postgres->value('select count(*) from prov.job_attempts a join'
        . ' prov.jobs j on j.id = a.job where j.queue = ?', $queue);
}

sub id { $postgres->value('select id from prov.jobs where queue = ?', $_[0]) }

sub cured {
    $postgres->sql('delete from lab.faults');
    $postgres->sql('delete from prov.webhook_endpoints where id = ?', $_[0]);
    $postgres->sql("update prov.jobs set state = 'cancelled', finished_at ="
        . " now() where queue = ? and state = 'waiting'", $_[0]);
    return;
}


# --- what is in it ------------------------------------------------------------

my $bad = poisoned('data', 'job_attempts', '22P05');
tenant();
wait_until 'all are reported', sub { !waiting($good[0]) && state($bad) };
is state($bad), 'done 1', 'a report with what the database cannot store is'
    . ' taken without it';
is attempts($bad), 0, 'and what was answered is gone';
cmp_ok attempts($good[0]), '==', 1, 'but not that of others';
like $nginx->log, qr/refused the report of job @{[id($bad)]} of kind "webhook"/,
    'the log names the job';
cured($bad);


# --- what nobody expects --------------------------------------------------------

for my $state ('XX000', '42501', '0A000') {
    $bad = poisoned("unexpected-$state", 'jobs', $state);
    tenant();
    wait_until 'the others are reported', sub { !waiting($bad) };
    pass "$state: others are not held up";
    is state($bad), 'waiting 1', 'it waits aside';
    next if $state ne '0A000';

    # that the worker goes on meanwhile
    tenant();
    wait_until 'the others are reported', sub { !waiting($bad) };
    pass 'nor what comes later';
    my $job = $postgres->value('select id from prov.jobs where queue = ? order'
        . ' by created_at limit 1', $bad);
    wait_until 'it is given up', sub {
        $nginx->log =~ /\[error\].*the report of job $job of kind "webhook" is given up/
    };
    pass 'it is given up after some times, and the log names the job';
    is scalar(() = $nginx->log =~ /refused the report of job $job/g), 5,
        'which were five';
}
continue { cured($bad) }

# what has a chance is tried, too

$bad = poisoned('stripped', 'job_attempts', 'XX001');
tenant();
wait_until 'it is taken', sub { state($bad) eq 'done 1' };
is attempts($bad), 0, 'the last times are without what was answered';
cured($bad);


# --- somebody is in the way -------------------------------------------------------

$bad = poisoned('deadlock', 'job_attempts', '40P01');
tenant();
wait_until 'the others are reported', sub { !waiting($bad) };
wait_until 'it is told again and again', sub {
    4 <= (() = $nginx->log =~ /refused the report of job @{[id($bad)]}/g)
};
is state($bad), 'waiting 1', 'one that somebody is in the way of is kept';
$postgres->sql('delete from lab.faults');
wait_until 'it is taken', sub { state($bad) eq 'done 1' };
is attempts($bad), 1, 'until nobody is, with all that was answered';
unlike $nginx->log, qr/the report of job @{[id($bad)]} .*given up/,
    'and is not given up';
cured($bad);


# --- the database's own state --------------------------------------------------------

$bad = poisoned('full', 'job_attempts', '53100');
tenant();
wait_until 'it is told', sub { $nginx->log =~ /could not be told about jobs/ };
unlike $nginx->log, qr/refused the report of job @{[id($bad)]}/,
    'a disk that is full is no report\'s fault';
$postgres->sql('delete from lab.faults');
wait_until 'all are reported', sub { !waiting($good[0]) && state($bad) eq 'done 1' };
is attempts($bad), 1, 'and all of them are told again';

ok $nginx->stop, 'the worker leaves';

done_testing;
