#!/usr/bin/perl

# PostgreSQL is killed under load, again and again: no tenant that was answered
# 201 is missing after it has recovered, although commits share their flushes.
#
# KILLS is how often, 6 unless it is set; docs/tuning.md says what a hundred
# have shown.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;

use Time::HiRes qw(sleep);

my $TENANTS = '/api/provisioning/tenants';
my $kills   = $ENV{KILLS} || 6;

# Nothing but a commit that waits for it, or a full buffer, brings the log to
# disk, and that takes its time: else the test could hardly fail.

my $postgres = postgres(settings => {
    fsync => 'on', wal_buffers => '16MB', wal_writer_delay => '10s',
    wal_writer_flush_after => '1GB', commit_delay => 20_000,
    commit_siblings => 0,
});
$postgres->allow(qr/FATAL:  the database system is (?:starting up|in recovery|not yet accepting)/,
    qr/FATAL:  terminating connection/, qr/terminated by signal 9/);


# Our own session ends with the server.

sub recovered {
    return wait_until 'PostgreSQL has recovered', sub {
        eval { $postgres->value('select 1') }
            or do { $postgres->disconnect; 0 };
    };
}


# What this looks for can be seen here: who does not wait for the disk loses
# what was said to be committed.

my $lost = 0;

for (1 .. 5) {
    $postgres->sql('create table if not exists public.seen (id int)');
    $postgres->sql('truncate public.seen');

    my $session = $postgres->connect_as('postgres');
    $session->do('set synchronous_commit = off');
    $session->do('insert into public.seen values (?)', undef, $_) for 1 .. 200;
    $session->disconnect;

    $postgres->crash;
    $postgres->start;
    recovered();
    $lost = 200 - $postgres->value('select count(*) from public.seen');
    last if $lost;
}

cmp_ok $lost, '>', 0, 'commits that wait for nothing are lost by a kill';
$postgres->sql('drop table public.seen');

my $nginx = nginx(postgres => $postgres, workers => 2,
    database => 'connections 5; queue 1024 timeout=30s; query_timeout 30s;');
$nginx->ready;


# Many at once from one process: what came back for each, by its e-mail.

my $loads = 0;

sub load {
    my $name = 'durable-' . ++$loads;

    return background(sub {
        my ($go_on) = @_;
        my (%answers, @connections);
        my $n = 0;

        while ($go_on->()) {
            my @emails = map { "$name-" . $n++ . '@example.com' } 1 .. 16;

            for my $i (0 .. $#emails) {
                $connections[$i] ||= $nginx->connection;
                $connections[$i]->send_request(POST => $TENANTS, keep => 1,
                    token => token(),
                    json => { client_name => 'Acme', email => $emails[$i] });
            }

            for my $i (0 .. $#emails) {
                my $r = eval { $connections[$i]->read_response(timeout => 60) };
                undef $connections[$i] unless $r
                    && lc($r->header('Connection') || '') ne 'close';
                $answers{ $emails[$i] } = $r ? $r->code || $r->status : 'none';
            }
        }

        return \%answers;
    });
}

my @loads = map { load() } 1 .. 3;

# Until so many more are made, and a moment longer: it may be in any state.

sub going_on {
    my $count = "select count(*) from prov.tenants where email like 'durable-%'";
    my $before = $postgres->value($count);

    wait_until 'tenants are made', sub {
        $postgres->value($count) >= $before + 48
    };
    sleep rand 0.3;
    return;
}

for my $kill (1 .. $kills) {
    going_on();
    $postgres->crash;
    $postgres->start;
    recovered();
}

going_on();

my %answers = map { %{ $_->finish } } @loads;
my %there = map { $_->{email} => 1 } @{ $postgres->sql(
    "select email from prov.tenants where email like 'durable-%'") };

my (%count, @missing, @surplus);

for my $email (sort keys %answers) {
    my $answer = $answers{$email};

    $count{$answer}++;
    push @missing, $email if $answer eq '201' && !$there{$email};
    push @surplus, $email if $there{$email}
        && $answer =~ /\A(?:not_committed|database_unavailable|queue_timeout|overloaded)\z/;
}

diag "$kills kills: ", join ', ', map { "$_ $count{$_}" } sort keys %count;

cmp_ok $count{201} || 0, '>', 16 * $kills, 'tenants were made all along';
is_deeply \@missing, [], 'none that was answered 201 is missing';
is_deeply \@surplus, [], 'none that was said not to be made is there';

done_testing;
