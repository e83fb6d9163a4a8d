#!/usr/bin/perl

# PostgreSQL over a network: IPv4, IPv6, TLS with a certificate that is
# checked, a password from a file.  What cannot be trusted is not used.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Lab;

use IO::Socket::IP;

my @hasty = (database => 'connections 2; queue 64 timeout=1s;');
my $PATIENT = 'connections 2; queue 64 timeout=30s; query_timeout 30s;';

my $directory = directory();
my $postgres = postgres(tcp => 1, start => 0);
my $port = $postgres->port;
my $ipv6 = IO::Socket::IP->new(LocalHost => '::1', LocalPort => $port,
    Listen => 1, ReuseAddr => 1);
close $ipv6 if $ipv6;


sub run {
    my (@command) = @_;

    my ($code, $output) = Provisioning::Test::Process->run(
        command => \@command, directory => $directory);
    die "@command: $output" if $code;
    return $output;
}


# An authority, and a certificate of it (or of a stranger's).

sub authority {
    my ($name) = @_;

    run(qw(openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj),
        "/CN=$name", '-keyout', "$name.key", '-out', "$name.pem");
    chmod 0644, "$directory/$name.pem";
    return;
}


sub certificate {
    my ($name, $authority, $names) = @_;

    run(qw(openssl req -newkey rsa:2048 -nodes -subj), "/CN=$name",
        '-addext', "subjectAltName=$names",
        '-keyout', "$name.key", '-out', "$name.csr");
    run(qw(openssl x509 -req -days 2 -copy_extensions copy), '-in',
        "$name.csr", '-CA', "$authority.pem", '-CAkey', "$authority.key",
        '-CAcreateserial', '-out', "$name.pem");
    Provisioning::Test::Postgres::give("$directory/$name.key",
        "$directory/$name.pem");
    return;
}


# A file that only the worker's user can read.

sub passfile {
    my ($name, $text) = @_;

    open my $out, '>', "$directory/$name" or die "$name: $!";
    print $out $text;
    close $out;
    chmod 0600, "$directory/$name";
    chown((getpwnam 'nobody')[2, 3], "$directory/$name") if $> == 0;
    return "$directory/$name";
}


sub gateway_to {
    my ($server, $conninfo, %o) = @_;

    return nginx(address => $server, database => $o{database} || $PATIENT,
        conninfo => "dbname=provisioning user=prov_partner $conninfo",
        locations => $o{lab}, server => $o{server});
}


sub ready { return $_[0]->request(GET => '/health/ready', timeout => 60) }


# How the gateway's sessions are connected.

sub sessions {
    return join ' ', map { join '/', $_->{host}, $_->{ssl} ? 'tls' : 'plain' }
        @{ $postgres->sql('select distinct host(client_addr) as host, s.ssl'
            . ' from pg_stat_activity a join pg_stat_ssl s using (pid)'
            . " where usename = 'prov_partner' order by 1") };
}


sub good {
    my ($nginx, $sessions, $name) = @_;

    my $r = ready($nginx);
    is $r->status, 200, "$name: it is used" or diag $nginx->log;
    is sessions(), $sessions, "$name: and in the way that was asked for";
    $nginx->stop;
    wait_until 'its sessions are gone', sub { sessions() eq '' };
    return;
}


sub bad {
    my ($server, $conninfo, $log, $name) = @_;

    my $nginx = gateway_to($server, $conninfo, @hasty);
    my $r = ready($nginx);
    is $r->code, 'database_unavailable', "$name: it is not used";
    eval { wait_until 'the log says why', sub { $nginx->log =~ $log } };
    like $nginx->log, $log, "$name: the log says why";
    is sessions(), '', "$name: nobody is logged in";
    $nginx->stop;
    return $nginx;
}

authority($_) for qw(authority stranger);
certificate('server', 'authority', 'DNS:localhost');
certificate('address', 'authority',
    'DNS:localhost,IP:127.0.0.1,IP:0:0:0:0:0:0:0:1');

open my $hba, '>', "$postgres->{data}/pg_hba.conf" or die "pg_hba.conf: $!";
print $hba "local all postgres trust\n";
print $hba "hostnossl all prov_partner $_ trust\n"
    . "hostssl all prov_partner $_ scram-sha-256\n"
    for '127.0.0.1/32', '::1/128';
close $hba;

$postgres->{settings} = { %{ $postgres->{settings} },
    listen_addresses => '127.0.0.1' . ($ipv6 ? ',::1' : ''),
    ssl => 'on', ssl_cert_file => "$directory/server.pem",
    ssl_key_file => "$directory/server.key" };
$postgres->start;
$postgres->sql("alter role prov_partner password 'correct horse'");
my $lab = lab($postgres);

# Without TLS, where somebody trusts the network.

good(gateway_to("127.0.0.1:$port", 'sslmode=disable'), '127.0.0.1/plain',
    'IPv4');

SKIP: {
    skip 'there is no IPv6 here', 2 unless $ipv6;
    good(gateway_to("[::1]:$port", 'sslmode=disable'), '::1/plain', 'IPv6');
}

good(gateway_to("127.0.0.1:1; server 127.0.0.1:$port", 'sslmode=disable'),
    '127.0.0.1/plain', 'the second of two servers');

# With TLS, and a password from a file.

my $trust = "sslrootcert=$directory/authority.pem";
my $known = passfile(known => join '', map {
    "$_:$port:provisioning:prov_partner:correct horse\n"
} 'localhost', '127.0.0.1', '\:\:1');

# localhost has one address here, or two

my $nginx = gateway_to("localhost:$port",
    "sslmode=verify-full $trust passfile=$known");
is ready($nginx)->status, 200, 'verify-full: a server with the right name is used';
like sessions(), qr{\A(?:127\.0\.0\.1|::1)/tls\z}, 'verify-full: over TLS';
$nginx->stop;
wait_until 'its sessions are gone', sub { sessions() eq '' };

good(gateway_to("127.0.0.1:$port",
    "sslmode=verify-ca $trust passfile=$known"), '127.0.0.1/tls', 'verify-ca');
good(gateway_to("127.0.0.1:$port", "sslmode=require passfile=$known"),
    '127.0.0.1/tls', 'require');

bad("127.0.0.1:$port", "sslmode=verify-full $trust passfile=$known",
    qr/does not match host name "127\.0\.0\.1"/,
    'verify-full, a certificate for another name');
bad("localhost:$port", 'sslmode=verify-full'
    . " sslrootcert=$directory/stranger.pem passfile=$known",
    qr/certificate verify failed/, 'verify-full, a stranger\'s certificate');
bad("127.0.0.1:$port", 'sslmode=verify-ca'
    . " sslrootcert=$directory/stranger.pem passfile=$known",
    qr/certificate verify failed/, 'verify-ca, a stranger\'s certificate');
bad("127.0.0.1:$port", 'sslmode=verify-ca'
    . " sslrootcert=$directory/nothing.pem passfile=$known",
    qr/root certificate file "[^"]+" does not exist/,
    'verify-ca, no certificate of the authority');

# Passwords that are wrong, or not there; none of them in any log.

my $wrong = passfile(wrong => "*:*:*:*:battery staple\n");
$postgres->allow(qr/FATAL:  password authentication failed for user/);

$nginx = bad("127.0.0.1:$port", "sslmode=require passfile=$wrong",
    qr/password authentication failed for user "prov_partner"/,
    'a wrong password');
unlike $nginx->log, qr/battery|staple/, 'it is not logged';
bad("127.0.0.1:$port", 'sslmode=require', qr/no password supplied/,
    'no password');

# A certificate for addresses.

$postgres->{settings}{"ssl_${_}_file"} = "$directory/address."
    . ($_ eq 'key' ? 'key' : 'pem') for qw(cert key);
$postgres->restart;

good(gateway_to("127.0.0.1:$port",
    "sslmode=verify-full $trust passfile=$known"), '127.0.0.1/tls',
    'verify-full of an IPv4 address');

SKIP: {
    skip 'there is no IPv6 here', 2 unless $ipv6;
    good(gateway_to("[::1]:$port",
        "sslmode=verify-full $trust passfile=$known"), '::1/tls',
        'verify-full of an IPv6 address');
}

# A server that has no TLS is not spoken to without.

my $plain = postgres(tcp => 1);
$nginx = gateway_to($plain->tcp_server, "sslmode=require passfile=$known",
    @hasty);
is ready($nginx)->code, 'database_unavailable',
    'a server without TLS is not used when TLS is required';
wait_until 'the log says why', sub {
    $nginx->log =~ /server does not support SSL, but SSL was required/
};
pass 'the log says why';
$nginx->stop;

# What was wrong with the database's TLS is none of the TLS of nginx's clients,
# although both are in one process and use one library.

run(qw(openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=front
       -keyout front.key -out front.pem));
my $https = reserve_port();
$nginx = gateway_to("127.0.0.1:$port", 'sslmode=verify-full'
    . " sslrootcert=$directory/stranger.pem passfile=$known", @hasty,
    server => "listen 127.0.0.1:$https ssl;"
        . " ssl_certificate $directory/front.pem;"
        . " ssl_certificate_key $directory/front.key;");

for my $path (qw(ready live ready live)) {
    like run('curl', '-sk', "https://127.0.0.1:$https/health/$path"),
        $path eq 'live' ? qr/"live"/ : qr/"database_unavailable"/,
        "/health/$path is answered over TLS";
}

$nginx->stop;

# Much over TLS: what OpenSSL has read and libpq not yet brings no event.

$nginx = gateway_to("127.0.0.1:$port",
    "sslmode=verify-full $trust passfile=$known", database => $PATIENT,
    lab => $lab);
is ready($nginx)->status, 200, 'a gateway is ready';


sub asking {
    my ($method, $path, %o) = @_;

    my $connection = $nginx->connection;
    $connection->send_request($method => "/api/lab/$path", token => token(),
        headers => { 'Content-Type' => 'application/json' }, %o);

    return sub { $connection->read_response(timeout => 60) };
}

my @sizes = (8_000_000, 1, (map { 16_200 + 23 * $_ } 0 .. 12), 100_000,
    5_000_000, 32_768);
my @answers = map { asking(GET => "rest?bytes=$_") } @sizes;
is_deeply [map { $_->()->body =~ tr/x// - 1 } @answers], \@sizes,    # "text"
    'answers of all sizes come whole';

$postgres->freeze;
@sizes = (6_000_000, 1, 16_384, 3_000_000);
@answers = map { asking(POST => 'notes',
    body => '{"text":"' . 'y' x $_ . '"}') } @sizes;
is $nginx->request(GET => '/health/live')->status, 200,
    'with much to send to a server that does not read the worker is alive';
$postgres->thaw;
is_deeply [map { $_->()->json->{length} } @answers], \@sizes,
    'requests of all sizes arrive whole';

$postgres->restart;
is asking(GET => 'rest')->()->status, 200, 'after a restart there is TLS again';
is sessions(), '127.0.0.1/tls', 'as before';

# What is known to be wrong is said at once.

my ($accepted, $said) = $nginx->test(
    conninfo => 'dbname=provisioning user=prov_partner sslmode=verify-full');
ok !$accepted, 'verify-full without an authority is refused';
like $said, qr/"sslmode=verify-full" .* needs .* "sslrootcert=/,
    'with a sentence that says what is missing';

done_testing;
