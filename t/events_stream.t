#!/usr/bin/perl

# Events are listened to, as Server-Sent Events: what a stream is made of, that
# it goes on where the last one ended, and that it ends when it should.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::EventStream;

my ($postgres, $nginx) = gateway(issuer => 'leeway 0s;',
    http => jobs_database('heartbeat=300ms retry=2s interval=200ms')
        . 'gzip on; gzip_min_length 0; gzip_types text/event-stream;');
my $API = '/api/provisioning';

sub create {
    my ($name, %o) = @_;

    my $r = $nginx->request(POST => "$API/tenants", token => token(), %o,
        json => { client_name => $name, email => unique_email() });
    $r->status == 201 or die $r->body;
    return $r->json->{tenant};
}

sub name { $_[0] ? $_[0]{json}{data}{client_name} : undef }
# What a stream is closed with, whatever comes before.

sub closed {
    my ($stream) = @_;

    while (my $event = $stream->event) {
        return $event->{json}{code} if $event->{event} eq 'stream.closed';
    }

    return undef;
}

sub names { join ' ', map { name($_) } @_ }


# --- what it is made of ------------------------------------------------------

my $stream = listen_to($nginx, '', headers => { 'Accept-Encoding' => 'gzip' });
my $response = $stream->{response};

is $response->status, 200, 'a stream begins';
is $response->type, 'text/event-stream', 'as such';
is $response->header('Cache-Control'), 'no-store, no-transform',
    'nobody may keep or change it';
is $response->header('X-Accel-Buffering'), 'no', 'nor collect it';
is $response->header('Content-Encoding'), undef, 'nor does gzip';
is $response->header('Transfer-Encoding'), 'chunked', 'it has no length';
ok $response->header('X-Request-Id'), 'it has a request id';

my $block = $stream->block;
is_deeply [sort keys %$block], ['id', 'retry'],
    'the first block says how long to wait, and where it begins';
is $block->{retry}, 2000, 'as it is configured';
is_deeply $stream->block, { comment => '' }, 'silence is a comment';

my $tenant = create('One');
my $event = $stream->event;

is $event->{event}, 'tenant.created', 'an event has its type as name';
is $event->{json}{data}{tenant}, $tenant, 'and is about what was made';

my $listed = $nginx->request(GET => "$API/events?limit=1", token => token())
    ->json;
is_deeply $event->{json}, $listed->{data}[0], 'as the list has it';
is $event->{id}, $listed->{next_cursor}, 'and its id is the cursor behind it';

create('Two');
my $two = $stream->event;
create('Three');
is names($two, $stream->event), 'Two Three', 'and so it goes on';


# --- going on ----------------------------------------------------------------

$stream->close;
create('Four');

for (['the header', '', headers => { 'Last-Event-ID' => $two->{id} }],
     ['a parameter', "?last_event_id=$two->{id}"],
     ['the cursor', "?cursor=$two->{id}"],
     ['the header, which goes before the cursor',
      "?cursor=$event->{id}", headers => { 'Last-Event-ID' => $two->{id} }],
     ['an empty header, and the cursor', "?cursor=$two->{id}",
      headers => { 'Last-Event-ID' => '' }])
{
    my ($how, $query, %o) = @$_;
    my $again = listen_to($nginx, $query, %o);
    is names($again->events(2)), 'Three Four', "it goes on with $how";
    $again->close;
}

my $since = listen_to($nginx, '?since=2000-01-01T00:00:00Z');
is names($since->events(4)), 'One Two Three Four', 'or since a time';
$since->close;

my $bad = listen_to($nginx, '?cursor=nonsense');
is $bad->status . $bad->{response}->code, '400invalid_cursor',
    'what is no cursor is a problem';
is listen_to($nginx, '?limit=0')->{response}->code, 'invalid_parameters',
    'and what is no parameter';


# --- who hears what ----------------------------------------------------------

my @streams = (
    listen_to($nginx, '?type=tenant.updated'),
    listen_to($nginx, "?tenant=$tenant"),
    listen_to($nginx, '?type=tenant.*&type=api_key.*'),
    listen_to($nginx, '', token => token(partner => 'globex')),
);
$_->block for @streams;

create('Five');
is $nginx->request(PATCH => "$API/tenants/$tenant", token => token(),
    json => { client_name => 'Uno' }, headers => {
        'Content-Type' => 'application/merge-patch+json' })->status, 200,
    'a tenant is changed';
create('Theirs', token => token(partner => 'globex'));

is names($streams[0]->event), 'Uno', 'one hears what is of a type';
is names($streams[1]->event), 'Uno', 'one what is of a tenant';
is names($streams[2]->events(2)), 'Five Uno', 'one both';
is names($streams[3]->event), 'Theirs', 'and another partner its own';

create('Six');
my $passed;
wait_until('a new place', sub {
    $passed = $streams[0]->block;
    die "an event\n" if defined $passed->{data};
    return defined $passed->{id};
});
is_deeply [sort keys %$passed], ['comment', 'id'],
    'where nothing passes the filter the place comes with a comment';
is $nginx->request(GET => "$API/events?cursor=$passed->{id}",
    token => token())->json->{has_more} + 0, 0, 'and is a cursor';
is names(listen_to($nginx, "?cursor=$event->{id}")->event), 'Two',
    'two may listen at different places';


# --- who may not -------------------------------------------------------------

my $none = listen_to($nginx, '', token => 'x.y.z');
is $none->status, 401, 'without a token there is no stream';
is listen_to($nginx, '', token => token(roles => ['integration-user']))
    ->status, 403, 'without the permission there is none';
is listen_to($nginx, '', token => token(partner => 'nobody'))->status, 403,
    'nor for a partner that is not there';

for (['text/event-stream, application/json', 'application/json'],
     ['text/event-stream, application/json;q=0.9', 'text/event-stream'],
     ['text/event-stream;q=0.5, */*;q=0.1', 'text/event-stream'],
     ['text/event-stream, */*', 'text/event-stream'],
     ['text/*', 'text/event-stream'],
     ['*/*', 'application/json'],
     ['text/event-stream;q=0, */*', 'application/json'])
{
    my ($accept, $type) = @$_;
    my $stream = listen_to($nginx, '', headers => { Accept => $accept });
    is $stream->{response}->type, $type, "Accept: $accept: $type";
    $stream->close;
}
is listen_to($nginx, '', headers => { Accept => 'text/html' })->status, 406,
    'and nothing else';
is listen_to($nginx, '/x', headers => { Accept => 'text/event-stream' })
    ->status, 406, 'other operations are no streams';


# --- how long ----------------------------------------------------------------

my $short = wait_until 'a stream begins before its token ends', sub {
    my $stream = listen_to($nginx, '', token => token(exp => time + 2));
    $stream->status == 200 && $stream;
};
my $end = $short->event;
is_deeply [@$end{qw(event id)}, $end->{json}{code}],
    ['stream.closed', undef, 'token_expired'],
    'when the token expires it is said';
is $short->block, undef, 'and the stream ends';
ok $short->{whole}, 'as a response should';

my $key = $nginx->request(POST => "$API/api-keys", token => token(),
    json => { name => 'k', scopes => ['event:read'] })->json;
my ($revoked, $bystander) = (listen_to($nginx, '', token => $key->{key}),
    listen_to($nginx));
is $revoked->status, 200, 'a key may listen';
$nginx->request(DELETE => "$API/api-keys/$key->{api_key}", token => token());
is closed($revoked), 'key_revoked', 'until it is revoked';

$key = $nginx->request(POST => "$API/api-keys", token => token(),
    json => { name => 'k', scopes => ['event:read'] })->json;
my $changed = listen_to($nginx, '', token => $key->{key});
$nginx->request(PATCH => "$API/api-keys/$key->{api_key}", token => token(),
    json => { ip_allow => ['10.0.0.0/8'] }, headers => {
        'Content-Type' => 'application/merge-patch+json' })->status == 200
    or die 'the key was not changed';
is closed($changed), 'reconnect', 'one that was changed comes again';
is listen_to($nginx, '', token => $key->{key})->status, 403,
    'and is told that it may no longer from here';

my $globex = listen_to($nginx, '', token => token(partner => 'globex'));
$postgres->sql("select prov.partner_set_status('globex', 'suspended')");
is +($globex->events(1))[0]{json}{code}, 'partner_unknown',
    'a partner that is suspended hears no more';

create('Seven');
is join(' ', map { $_->{event} } $bystander->events(4)),
    'api_key.revoked api_key.created api_key.updated tenant.created',
    'others go on listening';


# --- other ways --------------------------------------------------------------

my $head = listen_to($nginx, '', method => 'HEAD');
is $head->{response}->type, 'text/event-stream', 'HEAD says what there is';
$head->close;

my $old = listen_to($nginx, '', version => '1.0');
is $old->{response}->header('Transfer-Encoding'), undef,
    'HTTP/1.0 has no chunks';
create('Eight');
is names($old->event), 'Eight', 'and hears all the same';
$old->close;

# HTTP/2, by curl, which writes what it gets

my $curl = background(sub {
    open my $out, '-|', 'curl', '--silent', '--no-buffer',
        '--http2-prior-knowledge', '--max-time',
        $Provisioning::Test::patience, '-H',
        'Accept: text/event-stream', '-H', 'Authorization: Bearer ' . token(),
        'http://127.0.0.1:' . $nginx->h2_port . "$API/events"
        or die "curl: $!";
    my $text = '';
    while (sysread $out, $text, 4096, length $text) {
        last if $text =~ /Nine.*\n\n/s;
    }
    return $text;
});

wait_until('a second listener', sub { create('Nine'); !$curl->under_way });
like $curl->finish, qr/event: tenant\.created\ndata: \{.*Nine.*\}\n\n/,
    'HTTP/2 will do';

done_testing;
