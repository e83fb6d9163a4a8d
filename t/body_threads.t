#!/usr/bin/perl

# Large request bodies are looked at by nginx's threads, small ones are not; the
# answers are the same, the client may leave meanwhile, and a worker that has
# no thread left says so.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::HTTP2;
use Provisioning::Test::Operations;
use Provisioning::Test::Problem;

my $postgres = postgres();

my $api = operations($postgres, count => {
    method   => 'post',
    body     => { type => 'array', items => {
        type => 'object', required => ['name'],
        additionalProperties => JSON::PP::false,
        properties => { name => { type => 'string',
                                  pattern => '^[a-z]+(-[a-z]+)*$' } } } },
    function => "status := 200; body := "
        . "json_build_object('n', jsonb_array_length(input));",
});

# The same locations twice: with threads, and with one thread and no queue.

my %nginx = map {
    my (undef, $nginx) = gateway(postgres => $postgres, main => $_->[1],
        http => 'client_max_body_size 8m;',
        locations => join "\n", $api->location,
            $api->location_at('/file', 'client_body_in_file_only clean;'));
    ($_->[0] => $nginx);
} ['threads', 'thread_pool default threads=2;'],
  ['none', 'thread_pool default threads=1 max_queue=0;'];

$nginx{none}->allow(
    qr/thread pool "default" queue overflow: 0 tasks waiting/);

my $token = token();
my $base = $api->base;
my @type = ('Content-Type', 'application/json');


sub post {
    my ($name, $path, $body) = @_;
    return $nginx{$name}->request(POST => $path, token => $token,
        headers => \@type, body => $body);
}

sub body_of {
    my ($n, @last) = @_;
    return '[' . join(',', ('{"name":"some-body"}') x $n, @last) . ']';
}


# Which are looked at where: the only thread is kept busy with a body that takes
# it long, and nobody may queue behind it.

my $small = body_of(300);
my $large = body_of(1000);
my $huge = body_of(200_000);

for my $case ([$small, "$base/count", 200], [$large, "$base/count", 503],
    [$small, '/file/count', 503], [$large, '/file/count', 503])
{
    my ($body, $path, $status) = @$case;
    my ($busy, $r);

    for (1 .. 20) {
        $busy = $nginx{none}->connection;
        $busy->send_request(POST => "$base/count", token => $token,
            headers => \@type, body => $huge);
        $r = post('none', $path, $body);
        my $had = $busy->read_response->status;
        $busy->close;
        # either may have been first
        last if $had == 200 && $r->status == $status;
    }

    my $name = length($body) . " bytes to $path, while the thread is busy";

    if ($status == 200) {
        is $r->body, '{"n" : 300}', "$name: they need none";
        next;
    }

    is_problem $r, "$name: refused", 503, 'overloaded',
        'Too many requests are waiting to be read; nothing was done.';
    is $r->header('Retry-After'), 1, 'and told when to try again';
}


# The answers

for my $path ("$base/count", '/file/count') {
    is post('threads', $path, $large)->body, '{"n" : 1000}',
        "a thread looks at a large body ($path)";

    my $r = post('threads', $path, body_of(1000, '{"name":"Some"}', '{}',
        '{"name":"x","nam":1}'));
    my $problem = $r->json;

    is $r->status, 400, 'and finds what is wrong with it';
    is_deeply [map { [@$_{qw(pointer code)}] } @{ $problem->{errors} }],
        [['/1000/name', 'pattern'], ['/1001/name', 'required'],
         ['/1002/nam', 'additional_properties']], 'all of it';

    is_problem post('threads', $path, body_of(1000) . ']'),
        'or that it is no JSON', 400, 'invalid_json',
        'The body is not acceptable JSON, at line 1, column 21002: '
        . 'something follows the end of the value.';
}


# Many at once: threads share the compiled schema

{
    my @row = map {
        my $connection = $nginx{threads}->connection;
        $connection->send_request(POST => "$base/count", token => $token,
            headers => \@type, body => body_of(2000 + $_,
                $_ % 2 ? '{"name":"Wrong"}' : '{"name":"right"}'));
        $connection;
    } 1 .. 40;

    my @wrong = grep {
        my $r = $row[$_ - 1]->read_response;
        $r->status != ($_ % 2 ? 400 : 200)
            || $r->body !~ ($_ % 2 ? qr{"/@{[2000 + $_]}/name"}
                                   : qr/^\{"n" : @{[2001 + $_]}\}$/)
    } 1 .. @row;

    is_deeply \@wrong, [], 'each of many gets its own answer';
}


# The client leaves

for my $round (1 .. 40) {
    my $connection = $nginx{threads}->connection;
    $connection->send_request(POST => "$base/count", token => $token,
        headers => \@type, body => body_of(4000));
    select undef, undef, undef, 0.0005 * $round if $round % 4;
    $connection->reset;
}

is post('threads', "$base/count", $large)->body, '{"n" : 1000}',
    'clients that leave meanwhile do no harm';

{
    my $client = Provisioning::Test::HTTP2->connect($nginx{threads}->h2_port);
    my @body = map { { name => 'some-body' } } 1 .. 700;

    for my $round (1 .. 20) {
        my $stream = $client->request(POST => "$base/count", token => $token,
            json => \@body);
        $client->reset($stream) if $round % 2;
    }

    my $stream = $client->request(POST => "$base/count", token => $token,
        json => \@body);
    is $client->response($stream)->{body}, '{"n" : 700}',
        'nor do streams that are reset';
    $client->close;
}


# The worker is told to leave

{
    my $connection = $nginx{threads}->connection;
    my ($head, $body) = split /(?<=\r\n\r\n)/,
        $connection->compose(POST => "$base/count", token => $token,
            headers => [@type, Expect => '100-continue'], body => $large), 2;

    $connection->write($head);
    is $connection->read_response(interim => 1)->status, 100,
        'a worker waits for a body';
    my ($worker) = $nginx{threads}->reload;
    $connection->write($body);
    my $r = $connection->read_response;
    is $r && $r->body, '{"n" : 1000}',
        'it leaves when a thread has looked at it, and not before';
    wait_until 'it has left', sub { !kill 0, $worker };
    $connection->close;
}

done_testing;
