#!/usr/bin/perl

# Queries that are one statement to the server: each gets its own rows, or the
# news that it has none, and an error is that of who has made it.  What shares
# a transaction is in t/database_together.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Lab;
use Provisioning::Test::Together;

my $DATABASE = 'connections 1; queue 64 timeout=60s; query_timeout 60s;';

my $postgres = postgres();
my $lab = lab($postgres);
my $other = token(sub => 'other-system', partner => 'globex');
my $nobody = token(sub => 'no-system', partner => 'initech');

lab_tell($postgres);


sub reading {
    my ($n, %o) = @_;
    return [GET => "/api/lab/rest?bytes=$n", %o];
}


sub held {
    my ($n) = @_;
    return [GET => "/api/lab/rest?bytes=$n&hold=1"];
}


sub noting {
    my ($text, %o) = @_;
    return [POST => '/api/lab/notes', json => { text => $text }, %o];
}


sub fresh {
    my (%o) = @_;

    my $nginx = nginx(postgres => $postgres, locations => $lab,
        database => $DATABASE . ($o{database} || ''));
    is answer(asking($nginx->connection, @{ reading(0) }))->status, 200,
        'a gateway';
    return $nginx;
}


# Reads of one operation.

my $nginx = fresh();
my @answers = together($nginx, map { reading($_) } 1 .. 5);
is_deeply [map { $_->json->{asked} } @answers], [1 .. 5],
    'reads that come together have their own answers';
is lab_told(statement => @answers), 1, 'in one statement';
is_deeply [map { $_->json->{input} } @answers], [(undef) x 5],
    'without what they have not';

@answers = together($nginx, map { reading($_ % 10) } 1 .. 40);
is_deeply [map { $_->json->{asked} } @answers], [map { $_ % 10 } 1 .. 40],
    'so do many of them';
is lab_told(statement => @answers), 3, 'no more than 16 in each';

@answers = together($nginx, reading(1), noting('between'), reading(2),
    reading(3));
is_deeply [map { $_->json->{asked} } @answers], [1, 'between', 2, 3],
    'other operations are statements of their own';
is lab_told(statement => @answers[0, 1]), 2, 'each';

# Each sees its own partner's rows.

@answers = together($nginx,
    map { reading($_->[0], token => $_->[1]) }
        [1, token()], [2, $other], [3, token()], [4, $other]);
is_deeply [map { $_->json->{sees} eq $_->json->{partner} || 0 } @answers],
    [(1) x 4], 'partners share a statement, and no rows';
is lab_told(statement => @answers), 1, 'one statement';
isnt $answers[0]->json->{partner}, $answers[1]->json->{partner},
    'of two partners';

# Who has no partner has no row, wherever that would stand.

for my $where ([0], [2], [4], [0, 4], [1, 2], [0 .. 4]) {
    my %gone = map { $_ => 1 } @$where;

    @answers = together($nginx, map {
        reading($_, token => $gone{$_} ? $nobody : token()) } 0 .. 4);
    is_deeply [map { $_->status == 200 ? $_->json->{asked} : $_->code }
               @answers],
        [map { $gone{$_} ? 'partner_unknown' : $_ } 0 .. 4],
        "one without a partner is told so (@$where)";
}

# A function that answers nothing is nobody else's fault.

@answers = together($nginx, map { reading($_) } 1, 14, 2);
is_deeply [map { $_->status } @answers], [200, 500, 200],
    'an answer that is none is one of its own';
$nginx->allow(qr/lab_rest|"rest"/);

# An error is its own, and who has made it reads alone for a while.

@answers = together($nginx, map { reading($_) } 1, 2, 13, 3);
is_deeply [map { $_->status == 200 ? $_->json->{asked} : $_->code } @answers],
    [1, 2, 'unlucky', 3], 'an error is that of who has made it';

@answers = together($nginx, map { reading($_) } 1 .. 4);
is lab_told(statement => @answers), 4, 'whose reads share nothing for now';
@answers = together($nginx, map { reading($_, token => $other) } 1 .. 4);
is lab_told(statement => @answers), 1, 'those of another one do';

@answers = together($nginx, reading(13), reading(13, token => $other));
is_deeply [map { $_->code } @answers], [('unlucky') x 2],
    'several may make one';
$nginx->stop;

# Who has left when it shows that one of several has made an error is blamed,
# since it may have been his.

$nginx = fresh();
lab_hold($postgres);
my @left = send_together($nginx, held(13), held(1, token => $other));
wait_until 'they are under way', sub { lab_waits($postgres) };
$left[0]->close;
$nginx->request(GET => '/health/live') for 1 .. 3;
lab_release($postgres);
is answer($left[1])->json->{asked}, 1, 'he leaves nobody else alone with it';
@answers = together($nginx, map { reading($_) } 1 .. 3);
is lab_told(statement => @answers), 3, 'and shares nothing for now';

$nginx->stop;

# Changes.

$nginx = fresh();
@answers = together($nginx, map { noting("note-$_") } 1 .. 5);
is_deeply [map { $_->json->{asked} } @answers], [map { "note-$_" } 1 .. 5],
    'changes have their own answers, too';
is lab_told(statement => @answers), 1, 'in one statement';
my @texts = map { qq(a "quoted" \\ line\n$_, \x{263a} 'and' {more}) } 1 .. 3;
@answers = together($nginx, map { noting($_) } @texts);
is_deeply [map { $_->json->{asked} } @answers], \@texts, 'to the letter';
is lab_told(statement => @answers), 1, 'together';

# A session that has forgotten its statements.

$postgres->allow(qr/ 26000 .*prepared statement "prov_\w+" does not exist/);
is answer(asking($nginx->connection, GET => '/api/lab/forget'))->status, 200,
    'the session forgets all';
@answers = together($nginx, map { reading($_) } 1 .. 4);
is_deeply [map { $_->json->{asked} } @answers], [1 .. 4],
    'reads are answered all the same';

# A client that leaves takes nobody's answer with it.

$postgres->freeze;
my @asked = send_together($nginx, map { reading($_) } 1 .. 4);
$nginx->request(GET => '/health/live') for 1 .. 3;
$asked[1]->close;
$nginx->request(GET => '/health/live') for 1 .. 3;
$postgres->thaw;
is_deeply [map { answer($asked[$_])->json->{asked} } 0, 2, 3], [1, 3, 4],
    'the others get theirs';

# The connection is lost: reads are sent again.

lab_hold($postgres);
@asked = send_together($nginx, map { held($_) } 1 .. 4);
wait_until 'they are under way', sub { lab_waits($postgres) };
$postgres->sql('select pg_terminate_backend(pid) from pg_stat_activity'
    . " where usename = 'prov_partner'");
lab_release($postgres);
is_deeply [map { answer($_)->json->{asked} } @asked], [1 .. 4],
    'over another connection';
$nginx->stop;

done_testing;
