#!/usr/bin/perl

# "Prefer: wait=N": a request is held until there is something new, or the time
# is over, or the worker or the client leaves; and costs the database nothing
# meanwhile.  What is new is made here, a slice at a time.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::HTTP2;
use Provisioning::Test::Operations;
use Provisioning::Test::Slices;

use Time::HiRes qw(time);

my $postgres = postgres();
my %told = (function => q{status := 200;
        body := json_build_object('prefer', ctx -> 'prefer',
            'params', params);},
    parameters => [{ name => 'Prefer', in => 'header',
                     schema => { type => 'string' } }]);
my $api = operations($postgres, look => { %told },
    change => { %told, method => 'post' },
    other => { %told, parameters => [] });
my (undef, $nginx) = gateway(postgres => $postgres,
    locations => $api->location);
my $API = '/api/provisioning';
my $patience = $Provisioning::Test::patience;

sub accepted {
    my ($n, $partner) = @_;

    return $nginx->request(POST => "$API/tenants/bulk",
        token => token($partner ? (partner => $partner) : ()),
        headers => { Prefer => 'respond-async' }, json => { tenants => [map {
            { client_name => 'Wait', email => unique_email() } } 1 .. $n] })
        ->header('Location');
}

# A request that is on its way, and what it gets in the end.

sub asked {
    my $path = shift;
    my $claims = ref $_[0] ? shift : {};
    my %headers = @_;
    my $c = $nginx->connection;

    $c->send_request(GET => $path, token => token(%$claims),
        headers => \%headers);
    return $c;
}

# nobody waits for longer than a minute

sub got { return $_[0]->read_response(timeout => 60 + $patience) }

sub answered {
    my ($c) = @_;
    my $bits = '';
    vec($bits, fileno $c->socket, 1) = 1;
    return select($bits, undef, undef, 0) > 0;
}

# Nothing comes.

sub held {
    my ($c, $name) = @_;
    ok !$c->closed(0.3), $name;
    return;
}


# What is preferred, in all the ways of writing it

my $path = accepted(1);

for (['wait=1', 'wait=1'], ['WAIT=1', 'wait=1'], ['wait = "1"', 'wait=1'],
     ['respond-async, wait=1', 'wait=1'], ['wait=1; x=y', 'wait=1'],
     ['foo="a, \" wait=9"; b, wait=1', 'wait=1'], ['wait=1, wait=5', 'wait=1'],
     [', ,wait=1,', 'wait=1'], ['wait=0', undef], ['wait=-1', undef],
     ['wait=1.5', undef], ['wait', undef], ['wait=', undef], ['wait=1 2',
     undef], ['wait="\1"', undef], ['waits=1', undef], ['"wait"=1', undef],
     ['wait="1', undef], ['wait=99999999999999999999', undef], ['=', undef],
     ['wait=x, wait=1', undef], [';;,"', undef])
{
    my ($prefer, $applied) = @$_;
    my $r = got(asked($path, Prefer => $prefer));
    is_deeply [$r->status, $r->header('Preference-Applied')], [200, $applied],
        "Prefer: $prefer";
}

my $r = $nginx->request(GET => $path, token => token(),
    headers => [Prefer => 'return=minimal', Prefer => 'wait=1']);
is $r->header('Preference-Applied'), 'wait=1', 'in two lines';
is $nginx->request(GET => $path, token => token(), headers =>
    { Prefer => 'x' x 1025 })->status, 400, 'there is a bound to what is read';


# What a function is told

sub told {
    my ($method, $name, $prefer) = @_;
    my $answer = $nginx->request($method => $api->base . "/$name",
        token => token(), headers => { Prefer => $prefer });
    return $answer->body =~ s/\s//gr;
}

is told(GET => 'look', 'wait=99, respond-async'), '{"prefer":{"wait":60,'
    . '"respond_async":true},"params":{}}', 'a function is told what is meant';
is told(POST => 'change', 'Respond-Async; x=1'), '{"prefer":{"wait":0,'
    . '"respond_async":true},"params":{}}', 'whatever it does';
is told(POST => 'change', 'respond-async=yes, wait=7'), '{"prefer":{"wait":7,'
    . '"respond_async":false},"params":{}}', 'if it is what it should be';
is told(POST => 'change', 'return=minimal'), '{"prefer":null,"params":{}}',
    'and of nothing else';
is told(GET => 'other', 'wait=5'), '{"prefer":null,"params":{}}',
    'if it wants to know';


# Until it changes

my $began = time;
$r = got(asked($path, Prefer => 'wait=1'));
cmp_ok time - $began, '>=', 0.9, 'nothing is new: the time goes by';
is_deeply [$r->status, $r->json->{status}, $r->header('Retry-After')],
    [200, 'pending', 1], 'and then there is what there was';

$r = got(asked($path, Prefer => 'wait=1', 'If-None-Match' => '"1"'));
is_deeply [$r->status, $r->header('ETag'), $r->header('Preference-Applied')],
    [304, '"1"', 'wait=1'], 'or 304, for who has it already';

$began = time;
$r = got(asked($path, Prefer => 'wait=60', 'If-None-Match' => '"0"'));
is $r->status, 200, 'who has another version is told at once';
$r = got(asked("$path", Prefer => 'wait=60', 'If-None-Match' => 'W/"4", "0"'));
is $r->status, 200, 'or others';
is got(asked("$path", 'If-None-Match' => '"1"'))->status, 304,
    'who does not wait as well';
is got(asked("$API/operations/0194f0e1-7c20-7d41-8a3b-5e6f7a8b9c0d",
    Prefer => 'wait=60'))->status, 404, 'what is not there is not waited for';

$began = time;
my $plain = asked($path, Prefer => 'wait=60');
my $known = asked($path, Prefer => 'wait=60', 'If-None-Match' => '"7", W/"1"');
my $any = asked($path, Prefer => 'wait=60', 'If-None-Match' => '*');
held($_, 'is held') for $plain, $known;
is slice($postgres), 'done', 'something happens';
is_deeply [map { [got($_)->status] } $plain, $known], [[200], [200]],
    'and is told';
is got($any)->status, 304, 'also to who wants nothing';
cmp_ok time - $began, '<', 60, 'before the time is over';

$began = time;
$r = got(asked($path, Prefer => 'wait=60', 'If-None-Match' => '"3"'));
is_deeply [$r->status, $r->header('Retry-After')], [304, undef],
    'what is over is not waited for';
cmp_ok time - $began, '<', 60, 'indeed';
is $nginx->request(HEAD => accepted(1), token => token(),
    headers => { Prefer => 'wait=1' })->status, 200, 'HEAD is held, too';
slice($postgres);


# What it costs, and who may

$path = accepted(150);
my @many = map { asked($path, Prefer => 'wait=60') } 1 .. 20;
held($many[0], 'twenty are held');
wait_until 'no connection is busy', sub {
    !$postgres->value(q{select count(*) from pg_stat_activity
        where usename = 'prov_partner' and state <> 'idle'});
};
slice($postgres);
is_deeply [map { got($_)->json->{progress}{done} } @many], [(100) x 20],
    'all are told of the next slice';

@many = map { asked($path, Prefer => 'wait=60') } 1, 2;
held($many[0], 'who waits');
$postgres->sql(q{update prov.partners set status = 'suspended'
    where slug = 'acme'});
is_deeply [map { got($_)->code } @many], [('partner_unknown') x 2],
    'is shut out like everybody';
$postgres->sql(q{update prov.partners set status = 'active'
    where slug = 'acme'});


# A cancellation over this worker is told without a poll

my $c = asked($path, Prefer => 'wait=60');
held($c, 'who waits');
is $nginx->request(POST => "$path/cancel", token => token())->status, 200,
    'somebody cancels';
is got($c)->json->{status}, 'cancelled', 'and he is told';


# HTTP/2

$path = accepted(1);
my $h2 = Provisioning::Test::HTTP2->connect($nginx->h2_port);
my $stream = $h2->request(GET => $path, token => token(),
    headers => { prefer => 'wait=60' });
my $other = $h2->request(GET => "$API/operations", token => token());
is $h2->response($other)->{status}, 200, 'others pass it by on a connection';
slice($postgres);
like $h2->response($stream)->{body}, qr/"succeeded"/, 'until it is told';


# Clients that leave

$path = accepted(1);
@many = map { asked($path, Prefer => 'wait=60') } 1 .. 5;
held($_, 'is held') for @many;
$_->reset for @many;
wait_until 'nginx has noticed', sub {
    my @all = $nginx->log =~ /prematurely closed|reset by peer/g;
    @all >= 5;
};
is slice($postgres), 'done', 'something happens';
is $nginx->request(GET => $path, token => token())->json->{status},
    'succeeded', 'to nobody\'s harm';


# More than are held: of a partner, however it is written, and of all

my @partners = map { $postgres->value(q{select prov.partner_add(?, ?)},
    "wait-$_", 'Wait') } 1 .. 9;
my @paths = map { accepted(1, $_) } @partners;

sub wants {
    my ($i, $wait, $claim) = @_;
    return asked($paths[$i], { partner => $claim // $partners[$i] },
        Prefer => "wait=$wait", 'If-None-Match' => '"1"');
}

sub cancel {
    my ($i, $where) = @_;
    $nginx->request(POST => "$where/cancel", token => token(partner =>
        $partners[$i]))->status == 200 or die 'not cancelled';
    return;
}

# Those that wait; where there are so many that the minute of the first is over
# before the last has come, others take their places.

my @held;

sub hold {
    my ($i, $n) = @_;
    push @held, map { [$i, time, wants($i, 60)] } 1 .. $n;
    return;
}

sub full {
    my ($i, $claim) = @_;
    my $spare;

    wait_until 'there is no more room', sub {
        my (@still, @over);
        push @{ answered($_->[2]) ? \@over : \@still }, $_ for @held;
        @held = @still;
        hold($_->[0], 1) for @over;
        $spare = got(wants($i, 1, $claim));
        !$spare->header('Preference-Applied');
    }, 6 * $patience;
    return $spare->status;
}

hold(0, 128);
is full(0), 304, 'of a partner 128 are held, and no more';
is got(wants(0, 1, uc $partners[0]))->header('Preference-Applied'), undef,
    'however it is written';
is got(wants(1, 1))->header('Preference-Applied'), 'wait=1',
    'others have room still';
is got(asked(accepted(1), Prefer => 'wait=1', 'If-None-Match' => '"1"'))
    ->header('Preference-Applied'), 'wait=1', 'each of them';

hold($_, 128) for 1 .. 7;
is full(8), 304, 'of all 1,024';

# So many look every ten seconds; but what this worker does it need not look
# for: who waits for that has it before another who was there before him and
# waits for what was done elsewhere, and before.  Where the machine takes ten
# seconds for it, once more.

(pop @held)->[2]->reset for 1 .. 2;

wait_until 'what this worker does is told before the next look', sub {
    my @two = map { accepted(1, $partners[8]) } 1, 2;
    my ($elsewhere, $here) = map {
        my $one = asked($_, { partner => $partners[8] }, Prefer => 'wait=60');
        $one->closed(0.3);
        $one;
    } @two;
    $postgres->sql('update prov.operations set version = version + 1'
        . ' where id = ?', $two[0] =~ s{.*/}{}r);
    cancel(8, $two[1]);
    my $told = got($here)->json->{status};
    my $first = !answered($elsewhere);
    $elsewhere->reset;
    cancel(8, $two[0]);
    return $told eq 'cancelled' && $first;
}, 2 * $patience;
pass 'and who waits for what this worker does has it at once';

cancel($_, $paths[$_]) for 0 .. 7;
is_deeply [grep { $_->[1]->status != 200
    && !($_->[1]->status == 304 && time - $_->[0] >= 60) }
    map { [$_->[1], got($_->[2])] } @held], [],
    'all others are told when there is something new';
is got(asked(accepted(1, $partners[0]), { partner => $partners[0] },
    Prefer => 'wait=1'))->header('Preference-Applied'), 'wait=1',
    'and there is room again';


# The end of a worker

$path = accepted(1);
my $last = asked($path, Prefer => 'wait=60', 'If-None-Match' => '"1"');
held($last, 'who waits');
my @old = $nginx->reload;
is got($last)->status, 304, 'is answered when the worker leaves';
wait_until 'it leaves', sub { !grep { kill 0, $_ } @old };

$last = asked($path, Prefer => 'wait=60');
held($last, 'who waits');
$nginx->stop;
is got($last)->json->{status}, 'pending', 'or nginx does';

done_testing;
