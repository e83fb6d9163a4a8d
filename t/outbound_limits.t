#!/usr/bin/perl

# What requests to others may cost (src/http): connections for each
# destination and for all, queues, the breaker, and what becomes of requests
# when a worker leaves.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/outbound";
use Provisioning::Test;
use Outbound;
use Time::HiRes qw(sleep time);

# Answers what comes to "/wait/…" when there is a file of that name.

my $gate = directory() . '/gate';

my $code = sub {
    my ($c, $request) = @_;

    if ($request->{path} =~ m{^/wait/(\w+)}) {
        sleep 0.01 until -e "$gate-$1";
    }

    $c->stall if $request->{path} =~ m{^/hangs};
    $c->reset if $request->{path} =~ m{/resets};
    $c->answer($request->{path} =~ m{^/status/(\d+)} ? $1 : 200, 'ok');
};

sub open_gate { open my $file, '>', "$gate-$_[0]" or die "$gate: $!" }

my $one = receiver($code);
my $two = receiver($code);

sub count { my ($error, @all) = @_; return scalar grep { $_->{error} == $error } @all }
sub waiting { scalar grep { $_->{path} =~ m{^/wait/$_[1]} } $_[0]->seen }


# Connections and queues

{
    my $nginx = outbound("$OPEN breaker off; connections 5 queue=6;"
        . ' destination_connections 3 queue=4;');

    my $job = background(sub { return [send_all($nginx,
        map { { url => $one->url("/wait/a$_") } } 1 .. 10)] });

    wait_until('three run', sub { waiting($one, 'a') == 3 });

    # others have a turn of their own meanwhile
    is send_one($nginx, url => $two->url('/'))->{error}, ANSWERED,
        'a destination that is busy is in nobody\'s way';
    is waiting($one, 'a'), 3, 'a destination has so many connections';

    is send_one($nginx, url => $one->url('/wait/b'), scope => 'b',
                timeout => 100)->{error}, TIMEOUT,
        'another scope has connections of its own to it';
    is send_one($nginx, url => $one->url('/'), timeout => 300)->{error}, BUSY,
        'what finds the queue full is not sent';

    open_gate("a$_") for 1 .. 10;
    my @all = @{ $job->finish };

    is count(ANSWERED, @all), 7, 'so many wait, and are answered in the end';
    is count(BUSY, @all), 3, 'so many do not';

    # all of them together
    $job = background(sub { return [send_all($nginx, map { my $n = $_; map {
        { url => $_->url("/wait/c$n"), scope => "c$n" } } $one, $two } 1 .. 6)] });
    wait_until('five run', sub { waiting($one, 'c') + waiting($two, 'c') == 5 });
    is send_one($nginx, url => $two->url('/'), scope => 'd')->{error}, BUSY,
        'all destinations together have so many connections, and a queue';
    is waiting($one, 'c') + waiting($two, 'c'), 5, 'and no more';

    open_gate("c$_") for 1 .. 6;
    @all = @{ $job->finish };
    is count(ANSWERED, @all) . ' ' . count(BUSY, @all), '11 1',
        'those that wait take turns';

    # what waits for too long
    $job = background(sub { return [send_all($nginx, map { {
        timeout => 60_000, url => $one->url('/wait/e') } } 1 .. 3)] });
    wait_until('three run', sub { waiting($one, 'e') == 3 });
    my $r = send_one($nginx, url => $one->url('/late'), timeout => 100);
    is $r->{error}, BUSY, 'what has no turn in its time is not sent';
    like $r->{message}, qr/waited/, 'and says so';
    open_gate('e');
    is count(ANSWERED, @{ $job->finish }), 3, 'those before it are answered';
    is send_one($nginx, url => $one->url('/'))->{error}, ANSWERED,
        'and make room';
    is scalar $one->seen('/late'), 0, 'it never came';
}


# The breaker

{
    my $nginx = outbound("$OPEN breaker failures=3 open=1h;"
        . ' destination_connections 1;');
    my $port = reserve_port();
    my $url = "http://127.0.0.1:$port/";

    is_deeply [map { send_one($nginx, url => $url)->{error} } 1 .. 4],
        [(UNREACHABLE) x 3, BREAKER_OPEN], 'three failures open the breaker';

    my $r = send_one($nginx, url => $url);
    is $r->{error}, BREAKER_OPEN, 'it stays open';
    ok $r->{retry_after} > 3000 && $r->{retry_after} <= 3600,
        'and says for how long' or diag $r->{retry_after};
    is send_one($nginx, url => $url =~ s/127.0.0.1/127.0.0.2/r)->{error},
        UNREACHABLE, 'another host is another destination';
    is send_one($nginx, url => $url, scope => 'x')->{error}, UNREACHABLE,
        'and so is it to somebody else';
    like $nginx->log, qr/\[warn\].*127\.0\.0\.1:$port has failed 3 times/,
        'the log says which';
}

{
    my $nginx = outbound("$OPEN breaker failures=3 open=1s;"
        . ' destination_connections 1;');
    my $port = reserve_port();
    my $url = "http://127.0.0.1:$port/";

    # one tries it, the others wait for what comes of it
    my @last;
    wait_until('one is let through, whose failure prolongs it', sub {
        push @last, send_one($nginx, url => $url)->{error};
        @last > 2 && join(' ', @last[-3 .. -1])
            eq join ' ', BREAKER_OPEN, UNREACHABLE, BREAKER_OPEN;
    });

    my $late = Provisioning::Test::Receiver->new(directory() . '/late', $port,
        $code);
    wait_until('it is tried again', sub {
        send_one($nginx, url => "$url")->{error} == ANSWERED });
    is count(ANSWERED, send_all($nginx, ({ url => $url }) x 5)), 5,
        'an answer closes it';
    like $nginx->log, qr/\[notice\].*127\.0\.0\.1:$port answers again/,
        'and the log says so';

    is count(ANSWERED, map { send_one($nginx, url => "${url}status/500") } 1 .. 6),
        6, 'a bad status is an answer';

    is_deeply [map { send_one($nginx, url => "$url$_")->{error} }
        qw(resets resets x resets resets)],
        [BROKEN, BROKEN, ANSWERED, BROKEN, BROKEN],
        'failures count when there is no answer between them';
    send_one($nginx, url => $url);

    my @all = send_all($nginx, ({ url => "${url}resets" }) x 10);
    is_deeply [map { $_->{error} } @all], [(BROKEN) x 3, (BREAKER_OPEN) x 7],
        'those that wait are told';

    # half open: a probe that fails, and one that is given up; where it takes
    # a second to ask what came of it, once more
    my $tries = 0;
    is_deeply wait_until('who asks at once is in time', sub {
        my $name = 'probe' . ++$tries;
        my $path = "wait/$name/resets";

        send_one($nginx, url => "${url}resets") for 1 .. 3;
        sleep 1.1;
        my $job = background(sub { return send_one($nginx,
            url => "$url$path", timeout => 60_000)->{error} });
        wait_until('it is on its way', sub { $late->seen("/$path") });
        is send_one($nginx, url => $url)->{error}, BREAKER_OPEN,
            'only one finds out';

        my $from = time;
        open_gate($name);
        my @errors = ($job->finish, send_one($nginx, url => $url)->{error});
        return time - $from < 1 && \@errors;
    }), [BROKEN, BREAKER_OPEN], 'and fails: it is open again';

    sleep 1.1;
    @all = send_all($nginx, { url => "${url}hangs", release_after => 100 });
    is send_one($nginx, url => $url)->{error}, ANSWERED,
        'one that was cancelled has found out nothing';

    # a refused address, a bad header: not the destination's fault
    for (1 .. 4) {
        send_one($nginx, url => $url, headers => ['Host: x']);
    }
    is send_one($nginx, url => $url)->{error}, ANSWERED,
        'what is our own fault does not count';
    $late->stop;
}

# a probe that has to wait, while one from before the breaker opened still fails

{
    my $nginx = outbound("$OPEN breaker failures=1 open=300ms; connections 3;");
    my $sent = sub {
        my ($receiver, $path, $timeout) = @_;
        return background(sub { return send_one($nginx,
            url => $receiver->url($path), timeout => $timeout || 60_000)
            ->{error} });
    };
    my @jobs = ($sent->($one, '/wait/p0/resets'), $sent->($two, '/wait/p1'));
    wait_until('two wait', sub { waiting($one, 'p0') + waiting($two, 'p1') == 2 });
    push @jobs, $sent->($one, '/hangs/third', 600);
    wait_until('and a third hangs', sub { $one->seen('/hangs/third') });
    push @jobs, $sent->($two, '/wait/p3');
    is $jobs[2]->finish, TIMEOUT, 'one fails, which opens the breaker';
    wait_until('another takes its place', sub { waiting($two, 'p3') });
    sleep 0.4;

    my $probe = $sent->($one, '/');
    sleep 0.3;
    ok $probe->under_way, 'the one that is to find out waits for its turn';
    open_gate('p0');
    is $probe->finish, ANSWERED, 'and has it when one has failed';
    is send_one($nginx, url => $one->url('/'))->{error}, ANSWERED,
        'and has found out';
    open_gate("p$_") for 1, 3;
    is_deeply [map { $_->finish } @jobs[0, 1, 3]],
        [BROKEN, ANSWERED, ANSWERED], 'the others end';
}

{
    my $nginx = outbound("$OPEN breaker failures=1 open=1h;");
    my $port = reserve_port();
    my @urls = map { my $i = $_; map { "http://127.1.$i.$_:$port/" } 1 .. 210 } 1 .. 5;

    my @all = map { send_all($nginx, map { { url => $_ } }
        @urls[$_ * 210 .. $_ * 210 + 209]) } 0 .. 4;
    is count(UNREACHABLE, @all), 1050, 'many that fail';
    is send_one($nginx, url => $urls[-1])->{error}, BREAKER_OPEN,
        'are remembered';
    is send_one($nginx, url => $urls[0])->{error}, UNREACHABLE,
        'the one that failed longest ago is forgotten when they are too many';
}


# nginx has connections for so many only

{
    my $module = module();
    my $nginx = nginx(start => 0, config => <<"END");
%%MAIN%%
load_module $module;
worker_processes 1;
events { worker_connections 24; }
http {
    %%HTTP%%
    access_log off;
    provisioning_outbound { plain_http on; allow_network 127.0.0.0/8;
        breaker off; destination_connections 100; timeout 2s; }
    server {
        listen 127.0.0.1:%%PORT%%;
        location = /send { outbound_test; }
    }
}
END
    $nginx->allow(qr/worker_connections are not enough/);
    $nginx->start;

    my @all = send_all($nginx, map { { url => $one->url('/hangs/many') } } 1 .. 60);
    cmp_ok count(BUSY, @all), '>', 20, 'without connections nothing is sent';
    cmp_ok count(TIMEOUT, @all), '>', 5, 'and the rest is';
    is count(BUSY, @all) + count(TIMEOUT, @all), 60, 'all of them end';
    is send_one($nginx, url => $one->url('/'))->{error}, ANSWERED,
        'and it goes on';
}


# Workers that leave

{
    my $nginx = outbound("$OPEN timeout 10m;");

    # an idle connection
    is send_one($nginx, url => $one->url('/'))->{error}, ANSWERED, 'idle';
    ok $nginx->stop, 'an idle connection holds up no worker';

    # one that somebody waits for
    $nginx->start;
    my $job = background(sub { return send_one($nginx,
        url => $one->url('/wait/leave'))->{error} });
    wait_until('it waits', sub { waiting($one, 'leave') });

    my ($old) = $nginx->workers;
    $nginx->reload;
    is send_one($nginx, url => $one->url('/'))->{error}, ANSWERED,
        'the new workers send while the old ones wait';
    ok kill(0, $old), 'for what is under way';
    open_gate('leave');
    is $job->finish, ANSWERED, 'which is answered';
    wait_until('the old worker leaves', sub { !kill 0, $old });

    # one that nobody waits for keeps a worker as well, unless it says so
    send_one($nginx, url => $one->url('/wait/detached'), detached => \1);
    wait_until('it waits', sub { waiting($one, 'detached') });
    ($old) = $nginx->workers;
    $nginx->reload;
    sleep 0.3;
    ok kill(0, $old), 'a worker waits for what it has sent';
    open_gate('detached');
    wait_until('the old worker leaves', sub { !kill 0, $old });
    like $nginx->log, qr{detached: \S+/wait/detached 0 200}, 'and it is done';

    send_one($nginx, url => $one->url('/hangs/background'), detached => \1,
             background => \1);
    wait_until('it hangs', sub { $one->seen('/hangs/background') });
    ok $nginx->stop, 'it does not wait for what is done in the background';
    unlike $nginx->log, qr{detached: \S+/hangs/background}, 'nobody is called';

    # nor for ever
    $nginx->configure(main => $nginx->{given}{main}
                      . 'worker_shutdown_timeout 300ms;');
    $nginx->start;
    send_one($nginx, url => $one->url('/hangs/shutdown'), detached => \1);
    send_one($nginx, url => 'http://10.255.255.1/', detached => \1);
    wait_until('it hangs', sub { $one->seen('/hangs/shutdown') });
    ok $nginx->stop, 'nor longer than worker_shutdown_timeout says';
    like $nginx->log, qr{detached: \S+/hangs/shutdown 10 0 the worker has to},
        'who waits is told';

    # at once
    $nginx->start;
    send_one($nginx, url => $one->url('/hangs/term'), detached => \1);
    wait_until('it hangs', sub { $one->seen('/hangs/term') });
    ok $nginx->stop('TERM'), 'a fast stop waits for nothing';
}

done_testing;
