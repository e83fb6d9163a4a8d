#!/usr/bin/perl

# harness: plain

# The services of bench/peers do what the gateway does: the same requests, to
# it and to each of them in front of the same database, have the same answers.
# Else a comparison would measure something else.  What they are made of is
# what bench/peers/package-lock.json says, to the checksum; it is fetched once,
# with npm as it is configured on this machine, into build/peers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Process;

use JSON::PP ();

my $sources = "$FindBin::Bin/../bench/peers";
my $api = '/api/provisioning';
my $json = JSON::PP->new->utf8->canonical;

plan skip_all => 'npm is not installed' unless grep { -x "$_/npm" }
    split /:/, $ENV{PATH};


# --- what they are made of ----------------------------------------------------

my $lock = $json->decode(text("$sources/package-lock.json"))->{packages};

is_deeply [grep { !$lock->{$_}{link} && defined $lock->{$_}{resolved} }
    sort keys %$lock],
    [], 'the lock file says of no package where it is to be had';
is_deeply [grep { m{\bnode_modules/} && !$lock->{$_}{link}
    && !$lock->{$_}{integrity} } sort keys %$lock],
    [], 'and of each what its checksum is';
is_deeply [map {
    my $file = $_;
    my $wanted = $json->decode(text($file))->{dependencies};
    map { "$file: $_" } grep { $wanted->{$_} !~ /\A\d+(?:\.\d+){2}\z/ }
        sort keys %$wanted;
} glob "$sources/*/package.json"], [], 'all versions are pinned';

my ($code, $said) = Provisioning::Test::Process->run(
    command => ["$sources/install"], env => { outside() }, timeout => 600);

if (!is $code, 0, 'npm has fetched them, and Next.js has been built') {
    diag $said, "\nThis test needs a registry that npm is configured with, "
        . "or a build/peers from an earlier run.";
    done_testing;
    exit 1;
}


# --- the servers --------------------------------------------------------------

my ($postgres, $nginx) = gateway();

$nginx->write_file('issuer.pem', public_pem('rsa'));

my %port = (gateway => $nginx->port);
my %peer;

for my $name (qw(fastify next)) {
    $port{$name} = reserve_port();
    start($name);
}

wait_for($_) for sort keys %peer;

sub start {
    my ($name) = @_;

    unlink directory() . "/$name.log";
    $peer{$name} = Provisioning::Test::Process->spawn(
        name    => $name,
        command => ["$sources/$name/run"],
        output  => directory() . "/$name.log",
        env     => {
            HOST => '127.0.0.1', PORT => $port{$name},
            PGHOST => $postgres->socket_dir, PGPORT => $postgres->port,
            PGDATABASE => 'provisioning', PGUSER => 'prov_partner',
            PGPOOL => 2,
            ISSUER => $nginx->value('ISSUER'),
            AUDIENCE => $nginx->value('AUDIENCE'),
            PUBLIC_KEY_FILE => $nginx->directory . '/issuer.pem',
            PARTNER_CLAIM => 'partner', ROLES_CLAIM => 'roles',
            ACCESS_LOG => directory() . "/$name.access",
        });
}

sub wait_for {
    my ($name) = @_;

    ok eval { wait_until("$name is ready", sub {
        defined $peer{$name}->ended
            and die "$name has ended:\n", text("$name.log");
        text("$name.log") =~ / is ready at /;
    }, 60) }, "$name says when it is ready" or diag $@;
    return;
}


# --- the same requests --------------------------------------------------------

my @headers = qw(Location ETag WWW-Authenticate Link Retry-After Accept
                 Idempotent-Replayed Dry-Run X-Request-Id);
my $count = 0;

# What a server answers.  In what is sent and in what comes back NAME stands
# for the server's own name.  A violation's message is a validator's own, and
# so is what is said of a text that is no JSON.

sub asked {
    my ($name, $method, $path, %o) = @_;

    my %request = (
        port => $port{$name}, token => token(),
        headers => { 'X-Request-Id' => "request-$count",
                     'User-Agent' => 'peers.t', %{ delete $o{headers} || {} } },
        %o,
    );

    my $own = sub { $_[0] =~ s/NAME/$name/gr };

    $request{body} = $own->($request{body}) if defined $request{body};
    $_ = defined && $own->($_) for values %{ $request{headers} };
    $path = $own->($path);

    return $nginx->request($method, $path, %request);
}

sub seen {
    my ($name, $r, $exactly) = @_;

    my $type = ($r->type // '') =~ s/ *;.*//r;
    my %seen = (status => $r->status, type => $type,
                body => $r->body,
                map { $_ => $r->header($_) } @headers);

    if (my @errors = @{ $type =~ /problem/ && $r->json->{errors} || [] }) {
        delete $_->{message} for @errors;
        $seen{errors} = [sort map { $json->encode($_) } @errors];
        $seen{body} =~ s/,"errors":.*/}/s;
    }

    $seen{body} =~ s/"detail":"[^"]*(?:\\.[^"]*)*"//
        if $r->code =~ /^(?:invalid_json|token_malformed)$/;

    return \%seen if $exactly;

    for (grep { defined && !ref } values %seen) {
        s/$name/NAME/g;
        s/-[0-9a-f]{6}"/-TAIL"/g;
        s/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/ID/g;
        s/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/TIME/g;
    }

    return \%seen;
}

sub same {
    my ($what, $status, $method, $path, %o) = @_;

    my $exactly = delete $o{exactly};
    my ($ours, %theirs) = ask($method, $path, %o);

    is $ours->status, $status, "the gateway answers $status to $what"
        or diag $ours->body;

    for my $name (sort keys %peer) {
        is_deeply seen($name, $theirs{$name}, $exactly),
            seen('gateway', $ours, $exactly), "$name: $what";
    }

    return $ours;
}

sub ask {
    $count++;
    return map { $_ eq 'gateway' ? asked($_, @_) : ($_ => asked($_, @_)) }
        'gateway', sort keys %peer;
}

sub post {
    my ($what, $status, $body, %o) = @_;

    return same($what, $status, POST => "$api/tenants",
        body => ref $body ? $json->encode($body) : $body, %o,
        headers => { 'Content-Type' => 'application/json',
                     %{ $o{headers} || {} } });
}

my @given = (client_name => 'Peer NAME', email => 'NAME@example.com');

post('a new tenant', 201, { @given });
post('one with everything', 201, {
    client_name => "All of \x{e9}\x{1f600} NAME", email => 'all-NAME@example.com',
    phone_number => '+1 (234) 567-890', industry => 'Manufacturing',
    slug => 'slug-NAME', external_id => 'crm-NAME',
    metadata => { segment => 'enterprise', 'a/b~c' => '' },
});
post('its e-mail address again', 409, { @given });
post('an external_id again', 409, { client_name => 'Twin NAME',
    email => 'twin-NAME@example.com', external_id => 'crm-NAME' });
post('two names', 400, { @given, company_name => 'Other' });

post('nothing of what is required', 400, {});
post('a name alone', 400, { client_name => 'NAME' });
post('an unknown member', 400, { @given, 'client/name' => 1 });
post('members that are not as described', 400, {
    client_name => '', email => 'nobody', phone_number => 'x' x 51,
    industry => "a\n", slug => 'Not A Slug', external_id => 17,
    metadata => { '' => 'x', a => 1, ('k' x 41) => 'y' },
});
post('a name of blanks', 400, { @given, client_name => '  ' });
post('an array', 400, '[]');
post('half an object', 400, '{"client_name": ');
post('no body', 400, '');
$postgres->allow(qr/ 22P05 /);
post('a NUL', 400, '{"client_name": "a", "email": "a@example.com",'
    . ' "metadata": {"a": "\u0000"}}');
post('a body of another kind', 415, 'client_name=x',
    headers => { 'Content-Type' => 'application/x-www-form-urlencoded' });
post('a body that is too large', 413,
    '{"client_name":"' . 'x' x (1024 * 1024) . '"}');

my @keyed = (headers => { 'Idempotency-Key' => 'key-NAME' });

post('a key', 201, { @given, email => 'key-NAME@example.com' }, @keyed);
post('a key again', 201, { @given, email => 'key-NAME@example.com' }, @keyed);
post('a key for something else', 422, { @given }, @keyed);
post('a key of blanks', 400, { @given },
    headers => { 'Idempotency-Key' => 'a b' });

same('a dry run', 201, POST => "$api/tenants?dry_run=true",
    body => $json->encode({ @given, email => 'dry-NAME@example.com' }),
    headers => { 'Content-Type' => 'application/json' });

my $tenant = asked('gateway', POST => "$api/tenants",
    headers => { 'Content-Type' => 'application/json' },
    body => $json->encode({ client_name => 'Read', email => unique_email(),
                            metadata => { a => "\x{e9}" } }));
my $path = $tenant->header('Location');

sub get {
    my ($what, $status, $where, %o) = @_;
    return same($what, $status, GET => "$api/tenants$where", exactly => 1, %o);
}

same('a tenant', 200, GET => $path, exactly => 1);
same('its head', 200, HEAD => $path, exactly => 1);
same('a tenant that is known', 304, GET => $path, exactly => 1,
    headers => { 'If-None-Match' => '"0", W/"1"' });
same('a tenant that was known', 200, GET => $path, exactly => 1,
    headers => { 'If-None-Match' => '"0"' });
same("another partner's", 404, GET => $path, exactly => 1,
    token => token(partner => 'globex'));
get('what is no id', 400, '/4711');
get('a urn', 400, '/urn:uuid:0194f0b2-3b40-7c3e-8b1f-2f6d3a9c7e51');

my $page = get('a page', 200, '?limit=2');
my $cursor = $page->json->{next_cursor};

ok $cursor, 'which is not the last one';
get('the next page', 200, "?limit=2&cursor=$cursor");
get('a cursor of another list', 400, "?sort=client_name&cursor=$cursor");
get('no cursor', 400, '?cursor=x');
get('all of them', 200, '');
get('those of two statuses', 200, '?status=active&status=suspended');
get('some members', 200, '?fields=client_name,email&sort=client_name');
get('those with metadata', 200, '?metadata[segment]=enterprise');
get('those that begin so', 200, '?q=all%20of%20%C3%A9');
get('those since', 200, '?created_after=2025-01-01T00:00:00%2B01:00');
get('a page of none', 400, '?limit=0');
get('a page of words', 400, '?limit=many');
get('an unknown parameter', 400, '?limits=3');
get('what no tenant is', 400, '?status=gone&fields=password&sort=email');
get('no moment', 400, '?created_before=yesterday');

get('no token', 401, '', token => undef);
get('another scheme', 401, '', token => undef,
    headers => { Authorization => 'Basic YTpi' });
get('no JWT', 401, '', token => 'a.b.c');
get('a token that is over', 401, '', token => token(exp => time - 10));
get('one that is not valid yet', 401, '', token => token(nbf => time + 99));
get('one for others', 401, '', token => token(aud => 'others'));
get('one of another issuer', 401, '', token => token(iss => 'https://x/'));
get('one that somebody else has signed', 401, '',
    token => token(key => 'rsa2', header => { kid => 'rsa' }));
get('one that is signed otherwise', 401, '', token => token(key => 'secret'));
get("one without $_", 401, '', token => token($_ => undef))
    for qw(aud exp sub);
get('roles that are none', 403, '', token => token(roles => ['nobody']));
get('no roles', 403, '', token => token(roles => undef));
get('roles in one string', 200, '',
    token => token(roles => 'other integration-user'));
get('no partner', 403, '', token => token(partner => undef));
get('an unknown partner', 403, '', token => token(partner => 'nobody'));
post('a role that may read', 403, { @given },
    token => token(roles => ['integration-user']));
same('no path', 404, GET => "$api/nothing", exactly => 1);

# Fastify's token is remembered by now, as the gateway's is

same('a tenant again', 200, GET => $path, exactly => 1);


# --- what the database was told -----------------------------------------------

my %told = map {
    $_ => $postgres->sql(<<'SQL', "$_\@example.com");
select a.status, a.operation, a.resource, a.kind, a.issuer, a.key_id,
       a.request_id, a.partner, d.subject, d.ip, d.user_agent, d.headers ->> 'ETag',
       substr(a.mutation::text, 15, 1), a.mutation < t.id as earlier
from prov.tenants t
join prov.audit a on a.tenant = t.id
join prov.audit_details d on d.chain = a.chain and d.seq = a.seq
where t.email = ?
SQL
} keys %port;

is scalar @{ $told{gateway} }, 1, 'a tenant has an audit entry';
is_deeply $told{$_}, $told{gateway}, "$_: which says the same"
    for sort keys %peer;


# --- when the database is away ------------------------------------------------

$postgres->stop;
same('a database that is away', 503, GET => $path, exactly => 1);
$postgres->start;

for my $name (sort keys %port) {
    ok eval { wait_until("$name has found it", sub {
        asked($name, GET => $path)->status == 200;
    }) }, "$name finds it when it is back" or diag $@;
}


# --- processes ----------------------------------------------------------------

for my $name (sort keys %peer) {
    my $pid = $peer{$name}->pid;
    my @children = children($pid);

    is scalar @children, 2, "$name has two processes";

    kill 'KILL', $children[0];
    ok eval { wait_until('there are two again', sub {
        (grep { $_ != $children[0] } children($pid)) == 2;
    }) }, 'and another one for one that is killed' or diag $@;

    @children = children($pid);

    my $open = $nginx->connection(port => $port{$name});
    $open->send_request(GET => $path, token => token(), keep => 1);
    is $open->read_response->status, 200, "$name keeps a connection open";

    ok $peer{$name}->stop(TERM => $Provisioning::Test::patience),
        "$name ends at SIGTERM";
    is $peer{$name}->ended, 0, 'with exit code 0';
    is_deeply [grep { lives($_) } @children], [], 'and its processes with it';

    my @reads = grep { ($_->{method} // '') eq 'GET' && $_->{url} eq $path }
        map { $json->decode($_) } split /\n/, text("$name.access");

    cmp_ok scalar @reads, '>=', 6, 'its access log has each request';
    is $reads[-1]{status}, 200, 'the last one, too';
    is $reads[-1]{partner}, 'acme', 'and says who it was from';

    start($name);
    wait_for($name);
    @children = children($peer{$name}->pid);
    $peer{$name}->stop(KILL => $Provisioning::Test::patience);
    ok eval { wait_until('none is left', sub {
        !grep { lives($_) } @children;
    }) }, 'none of its processes outlives it when it is killed' or diag $@;
}

sub children {
    my ($pid) = @_;
    return split ' ', text("/proc/$pid/task/$pid/children");
}

sub lives {
    my ($pid) = @_;
    return text("/proc/$pid/stat") =~ /\A\d+ \(.*\) [^ZX] /s;
}


# A file's text, one of the test's own unless it says otherwise.

sub text {
    my ($file) = @_;
    $file = directory() . "/$file" unless $file =~ m{^/};
    open my $in, '<:raw', $file or return '';
    return do { local $/; <$in> } // '';
}

done_testing;
