#!/usr/bin/perl

# Lists that come together are one statement, as other queries are
# (t/database_batch.t), on as few connections as do: so that PostgreSQL has no
# more processes at work than help.  And whose lists take long has statements
# of his own.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Lab;
use Provisioning::Test::Together;

my $postgres = postgres();
my $lab = lab($postgres);
my $other = token(sub => 'other-system', partner => 'globex');

lab_tell($postgres);


sub fresh {
    my (%o) = @_;

    return nginx(postgres => $postgres, locations => $lab, %o,
        database => 'queue 64 timeout=60s; query_timeout 60s;'
            . " connections $o{connections};");
}


sub listing {
    my ($n, %o) = @_;
    return [GET => "/api/lab/list?limit=$n", %o];
}


sub reading { return [GET => '/api/lab/rest'] }


sub noting {
    my ($n) = @_;
    return [POST => '/api/lab/notes', json => { text => "note-$n" }];
}


# Asks until so many statements have served them: what has taken a tenth of a
# second on a busy machine shares nothing for the next ten.

my $nginx;

sub in_statements {
    my ($number, @requests) = @_;
    my @answers;

    wait_until "$number statements serve " . @requests . ' requests', sub {
        @answers = together($nginx, @requests);
        lab_told(statement => @answers) == $number;
    };

    return @answers;
}


# Where lists may have one connection.

$nginx = fresh(connections => 3);
my @answers = in_statements(1, map { listing($_) } 1 .. 5);
is_deeply [map { $_->json->{asked} } @answers], [1 .. 5],
    'lists that come together are one statement, with answers of their own';

@answers = in_statements(3, map { listing($_ % 10) } 1 .. 40);
is_deeply [map { $_->json->{asked} } @answers], [map { $_ % 10 } 1 .. 40],
    'of many of them no more than 16 share one';

@answers = together($nginx, map { listing($_) } 1, 2, 13, 3);
is_deeply [map { $_->status == 200 ? $_->json->{asked} : $_->code } @answers],
    [1, 2, 'unlucky', 3], 'an error is that of who has made it';
@answers = together($nginx, map { listing($_) } 1 .. 3);
is lab_told(statement => @answers), 3, 'whose lists share nothing for now';
@answers = in_statements(1, map { noting($_) } 1 .. 3);
is_deeply [map { $_->status } @answers], [(201) x 3], 'but his changes do';
$nginx->stop;

# Whose list takes long by itself.

$nginx = fresh(connections => 3);
is answer(asking($nginx->connection, GET => '/api/lab/list?ms=150'))->status,
    200, 'a list that takes long';
@answers = together($nginx, map { listing($_) } 1 .. 4);
is lab_told(statement => @answers), 4, 'whose lists share nothing for now';
@answers = in_statements(1, map { listing($_, token => $other) } 1 .. 4);
is_deeply [map { $_->json->{asked} } @answers], [1 .. 4],
    'those of another one do';
@answers = in_statements(1, map { noting($_) } 1 .. 4);
is_deeply [map { $_->status } @answers], [(201) x 4], 'and his changes';
$nginx->stop;

# Which of several took long is not known.

$nginx = fresh(connections => 3);
@answers = together($nginx, [GET => '/api/lab/list?ms=150'],
    listing(1, token => $other));
is lab_told(statement => @answers), 1, 'one of two lists takes long';
@answers = together($nginx, map { listing($_, token => $other) } 1 .. 3);
is lab_told(statement => @answers), 3, 'neither shares a statement for now';
$nginx->stop;

# Where they may have two, each takes its part; the second one is opened when it
# is wanted.

$nginx = fresh(connections => 5);

sub on_both {
    my ($what, $one) = @_;
    my @answers;

    wait_until "$what are on two connections", sub {
        @answers = together($nginx, map { $one->($_) } 1 .. 8);
        lab_told(session => @answers) == 2;
    };

    return @answers;
}

wait_until 'two connections have a statement each', sub {
    @answers = on_both(lists => \&listing);
    lab_told(statement => @answers) == 2;
};
is_deeply [map { $_->json->{asked} } @answers], [1 .. 8],
    'lists on two connections use both, a statement each';
is_deeply [map { $_->status } on_both(changes => \&noting)], [(201) x 8],
    'so do changes';
is_deeply [map { $_->status } on_both(reads => \&reading)], [(200) x 8],
    'and reads';
$nginx->stop;

# Where there are several workers each has its own, and needs one of a kind.
# One of two is stopped, so that the other one gets all of the connections.

$nginx = fresh(connections => 5, workers => 2);
wait_until 'both of them serve', sub { (my @all = $nginx->workers) == 2 };
my (undef, $stopped) = $nginx->workers;
halt($stopped);

@answers = in_statements(1, map { listing($_) } 1 .. 8);
is_deeply [map { $_->json->{asked} } @answers], [1 .. 8],
    'of two workers each lists with one statement';
is lab_told(session => @answers), 1, 'on one connection';

for (1 .. 2) {
    @answers = together($nginx, map { noting($_) } 1 .. 8);
    is lab_told(session => @answers), 1, 'and makes changes on one';
    @answers = together($nginx, map { reading() } 1 .. 8);
    is lab_told(session => @answers), 1, 'and reads on one';
}

# Until that is slow.

lab_hold($postgres);
my @held = asking($nginx->connection, GET => '/api/lab/list?hold=1');
wait_until 'a list is under way', sub { lab_waits($postgres) == 1 };
push @held, asking($nginx->connection, GET => '/api/lab/list?hold=1');
wait_until 'another one goes out beside it',
    sub { lab_waits($postgres) == 2 };
lab_release($postgres);
is_deeply [map { answer($_)->status } @held], [200, 200],
    'one that takes long keeps no other list';
kill 'CONT', $stopped;
$nginx->stop;

done_testing;
