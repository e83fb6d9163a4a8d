#!/usr/bin/perl

# "make run", "make start" and "make stop", without the make: in a copy of the
# tree, with the installed nginx.
# harness: plain

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Process;

plan skip_all => 'the demo runs the installed nginx, not one of a source tree'
    if $ENV{PROV_TEST_WHOLE};

my $root = Provisioning::Test::Postgres::tree();
my $module = "$root/build/ngx_http_provisioning_module.so";
my $clone = clone(directory() . '/clone');
my $port = reserve_port();

my ($code, $said) = gateway_command($clone, 'stop');
is $code, 0, 'stop before the first start is no fault';
like $said, qr/Nothing is running/, 'and says that nothing runs';

($code, $said) = gateway_command($clone, 'start', $port);
is $code, 0, 'start returns when the gateway is ready' or die $said;

my %env = environment($clone);
is_deeply [sort keys %env], [qw(AUDIENCE BASE_URL DATABASE_URL
    INTEGRATION_TOKEN ISSUER OPERATOR_TOKEN OTHER_PARTNER_TOKEN PARTNER_TOKEN
    SIGNING_KEY SIGNING_KID)], '.run/env assigns what scripts need';
is $env{BASE_URL}, "http://127.0.0.1:$port", 'the address among it';

my @commands = $said =~ /^(curl (?:.*\\\n)*.*)$/mg;
my @statuses = map { paste($_) } @commands;
is "@statuses", '201 200 200 403 200', 'the printed commands work as pasted';

is status("$env{BASE_URL}/app/", $env{PARTNER_TOKEN}), 200,
    'the application behind the gateway is reached with a token';
is status("$env{BASE_URL}/app/"), 401, 'and not without one';
is status("$env{BASE_URL}/app/", $env{INTEGRATION_TOKEN}), 403,
    'nor with a role that is not the one required';

is status("$env{BASE_URL}/.well-known/jwks.json"), 200,
    'the keys of the gateway\'s own tokens are published';
is status("$env{BASE_URL}/api/admin/partners", $env{OPERATOR_TOKEN}), 200,
    'an operator is let in where operators are';
is status("$env{BASE_URL}/api/admin/partners", $env{PARTNER_TOKEN}), 401,
    'and a partner is not';

my ($tenant) = "@commands" =~ m{/tenants/([0-9a-f-]{36})'};
is status("$env{BASE_URL}/api/provisioning/tenants/$tenant",
          $env{OTHER_PARTNER_TOKEN}), 404,
    'the other partner\'s token does not see the first one\'s tenant';

chomp(my $minted = `"$clone/conf/demo/token" "$env{SIGNING_KEY}" \\
    "$env{SIGNING_KID}" iss="$env{ISSUER}" aud="$env{AUDIENCE}" sub=x \\
    exp=4000000000 partner=acme 'roles=["partner-admin"]'`);
is status("$env{BASE_URL}/api/provisioning/tenants", $minted), 200,
    'a token signed with SIGNING_KEY is accepted';

is database('select count(*) from prov.tenants'), 2,
    'DATABASE_URL is the database';
is database('show is_superuser'), 'on', 'and its user a superuser';

($code, $said) = gateway_command($clone, 'start', $port);
is $code, 0, 'a second start is content';
like $said, qr/already running at \Q$env{BASE_URL}/, 'and says why';

($code, $said) = gateway_command($clone, 'start', reserve_port());
isnt $code, 0, 'a start on another port meanwhile is refused';
like $said, qr/already running at \Q$env{BASE_URL}/, 'and says why, too';

# A machine that loses its power leaves pid files and sockets behind.

crash($clone);
($code) = gateway_command($clone, 'start', $port);
is $code, 0, 'after a crash the gateway starts again';
%env = environment($clone);
is database('select count(*) from prov.tenants'), 2, 'with its data';
my $kid = $env{SIGNING_KID};

kill 'KILL', leader($clone, 'nginx');
($code) = gateway_command($clone, 'start', $port);
is $code, 0, 'a killed master of nginx is replaced';
is status("$env{BASE_URL}/health/ready"), 200, 'and its orphans are gone';

($code, $said) = gateway_command($clone, 'stop');
is $code, 0, 'stop succeeds';
is_deeply [alive($clone)], [], 'and both servers have ended';
is_deeply [glob "$clone/.run/socket*"], [], 'and their sockets are gone';

# A crash, and then only a stop: nothing may stay behind here, either.

($code) = gateway_command($clone, 'start', $port);
my $key = shared_memory_key($clone);
crash($clone);
gateway_command($clone, 'stop');
unlike `ipcs -m`, qr/\Q$key\E/, 'stop after a crash removes shared memory';

# The foreground, and Ctrl-C.

my $other = reserve_port();
my $log = directory() . '/run.log';
my $run = Provisioning::Test::Process->spawn(name => 'make run',
    output => $log, command => ["$clone/conf/demo/gateway", 'run', $other]);
wait_until 'make run is up', sub { slurp($log) =~ /Ctrl-C stops it/ }, 60;
%env = environment($clone);
is $env{BASE_URL}, "http://127.0.0.1:$other", 'the port may change between runs';
is $env{SIGNING_KID}, $kid, 'the key is kept';
is status("$env{BASE_URL}/api/provisioning/tenants/$tenant",
          $env{PARTNER_TOKEN}), 200, 'and so is the data';

kill 'INT', -$run->pid;
is $run->wait_for_end(60), 0, 'Ctrl-C ends it';
is_deeply [alive($clone)], [], 'and both servers with it';

$run = Provisioning::Test::Process->spawn(name => 'make run',
    output => "$log.2", command => ["$clone/conf/demo/gateway", 'run', $port]);
wait_until 'make run is up', sub { slurp("$log.2") =~ /Ctrl-C stops it/ }, 60;
($code) = gateway_command($clone, 'stop');
is $code, 0, 'make stop ends a make run in another terminal';
ok defined $run->wait_for_end(10), 'which returns';

# What can be wrong is said.

my $taken = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
    or die "no port: $!";
($code, $said) = gateway_command($clone, 'start', $taken->sockport);
isnt $code, 0, 'a port in use is refused';
like $said, qr/Port \d+ of 127\.0\.0\.1 is in use/, 'with a sentence';
($code, $said) = gateway_command($clone, 'start', '80x');
like $said, qr/PORT is a number/, 'and so is what is no port';

# A directory too deep for unix sockets, and, for root, out of reach of the
# user that PostgreSQL runs as.

my $deep = directory() . '/' . 'deep' x 25;
mkdir $deep or die "$deep: $!";
clone("$deep/clone");
chmod 0700, $deep;
($code, $said) = gateway_command("$deep/clone", 'start', $port);
is $code, 0, 'a deep clone in a private directory starts' or diag $said;
my ($sockets) = slurp("$deep/clone/.run/sockets") =~ /(.*)/;
unlike $sockets, qr/deep/, 'with its sockets elsewhere';
my @deep_commands = $said =~ /^(curl (?:.*\\\n)*.*)$/mg;
is join(' ', map { paste($_) } @deep_commands), '201 200 200 403 200',
    'and works';
gateway_command("$deep/clone", 'stop');
ok !-e $sockets, 'which stop takes away';

done_testing;


# What of the tree the demo needs, copied: the developer's own .run/ is not
# for tests.

sub clone {
    my ($to) = @_;

    mkdir $to or die "$to: $!";
    mkdir "$to/build" or die "$to/build: $!";
    system('cp', '-R', "$root/conf", "$root/sql", $to) == 0
        && system('cp', $module, "$to/build") == 0 or die "cp failed\n";

    return $to;
}


sub gateway_command {
    my ($clone, @words) = @_;
    return Provisioning::Test::Process->run(
        command => ["$clone/conf/demo/gateway", @words], timeout => 120);
}


sub slurp {
    my ($name) = @_;
    open my $file, '<', $name or return '';
    return do { local $/; <$file> };
}


sub environment {
    my ($clone) = @_;
    return slurp("$clone/.run/env") =~ /^(\w+)='(.*)'$/mg;
}


sub leader {
    my ($clone, $server) = @_;
    return 0 + slurp("$clone/.run/$server.leader");
}


sub crash {
    my ($clone) = @_;

    kill 'KILL', map { -leader($clone, $_) } qw(nginx postgres);
    wait_until 'the servers are dead', sub { !alive($clone) };
    return;
}


# The servers that have any process left: each holds its server's lock.

sub alive {
    my ($clone) = @_;
    return grep { system('flock', '-n', "$clone/.run/$_.lock", 'true') }
        qw(nginx postgres);
}


sub shared_memory_key {
    my ($clone) = @_;
    my @line = split /\n/, slurp("$clone/.run/data/postmaster.pid");
    return sprintf '0x%08x', $line[6] =~ /(\d+)/;
}


sub paste {
    my ($command) = @_;
    my ($status) = `$command 2>/dev/null` =~ m{\AHTTP/1.1 (\d+)};
    return $status || 'nothing';
}


sub status {
    my ($url, $token) = @_;
    my @header = defined $token ? ('-H', "Authorization: Bearer $token") : ();
    open my $curl, '-|', 'curl', '-s', '-o', '/dev/null', '-w',
        '%{http_code}', @header, $url or die "curl: $!";
    return 0 + <$curl>;
}


sub database {
    my ($statement) = @_;
    open my $psql, '-|', 'psql', '-XAt', $env{DATABASE_URL}, '-c', $statement
        or die "psql: $!";
    chomp(my $value = <$psql> // '');
    return $value;
}


# Whatever happened: nothing of it is left running.

END {
    if (defined $clone && -d "$clone/.run") {
        local $?;
        gateway_command($clone, 'stop');
        gateway_command("$deep/clone", 'stop') if $deep && -d "$deep/clone/.run";
    }
}
