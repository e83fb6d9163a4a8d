#!/usr/bin/perl

# provisioning_outbound: what nginx -t says of it, with libcurl and without.

# harness: plain

use strict;
use warnings;

use Cwd ();
use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test qw(:DEFAULT authority);

my $nginx = nginx(start => 0);
my $authority = authority()->{cert};

my $empty = directory() . '/empty.pem';
open my $file, '>', $empty or die "$empty: $!";
print $file "nothing\n";
close $file;

sub says { return $nginx->test(http => "provisioning_outbound { $_[0] }") }

for my $block ('', 'timeout 1ms;', 'timeout 1h;', 'connect_timeout 2s;',
    'max_response 1k;', 'max_response 64m;', 'connections 1;',
    'connections 10000 queue=0;', 'destination_connections 1 queue=100000;',
    'plain_http on;', 'plain_http off;', 'breaker off;',
    'breaker failures=1 open=1s;', 'breaker open=1m failures=1000;',
    'allow_network 10.0.0.0/8 ::1; allow_network 127.0.0.1;',
    'deny_network 2a00::/16;', "trusted_certificate $authority;",
    'timeout 1s; connect_timeout 5s;')
{
    my ($accepts, $said) = says($block);
    ok $accepts, 'accepted: ' . ($block =~ s{/\S+/}{}r || 'nothing')
        or diag $said;
}

for (['timeout 0;', qr/invalid time "0" in "timeout", expected 1ms to 1h/],
     ['timeout 2h;', qr/invalid time "2h"/], ['timeout;', qr/number of arguments/],
     ['timeout 1s; timeout 2s;', qr/"timeout" directive is duplicate/],
     ['connect_timeout x;', qr/invalid time "x" in "connect_timeout"/],
     ['max_response 1;', qr/invalid size "1" in "max_response", expected 1k to 64m/],
     ['max_response 65m;', qr/invalid size "65m"/],
     ['connections 0;', qr/invalid number "0" in "connections", expected 1 to 10000/],
     ['connections 10 queue=x;', qr/invalid number "x" in "connections"/],
     ['connections 10 wait=1;', qr/invalid parameter "wait=1" in "connections", expected "queue=number"/],
     ['destination_connections 10001;', qr/invalid number "10001" in "destination_connections"/],
     ['plain_http maybe;', qr/invalid value "maybe" in "plain_http" directive, it must be "on" or "off"/],
     ['allow_network localhost;', qr/"localhost" in "allow_network" is no address, and no network as/],
     ['allow_network 10.0.0.1/8;', qr/"10.0.0.1\/8" in "allow_network" has bits set beyond its length/],
     ['deny_network 10.0.0.0/40;', qr/"10.0.0.0\/40" in "deny_network" is no address/],
     ['trusted_certificate /nowhere/ca.pem;', qr/trusted_certificate "\/nowhere\/ca.pem" cannot be read/],
     ["trusted_certificate $empty;", qr/cannot be read as a list of certificates in PEM/],
     ['breaker;', qr/number of arguments/],
     ['breaker failures=0;', qr/invalid number "0" in "breaker", expected 1 to 1000/],
     ['breaker open=x;', qr/invalid time "x" in "breaker"/],
     ['breaker on;', qr/invalid parameter "on" in "breaker", expected "failures=number" and "open=time", or "off"/],
     ['breaker off open=1s;', qr/invalid parameter "off"/],
     ['proxy http://x;', qr/unknown directive "proxy" in provisioning_outbound, expected timeout, /],
     ['} provisioning_outbound {', qr/"provisioning_outbound" directive is duplicate/])
{
    my ($block, $expected) = @$_;
    my ($accepts, $said) = says($block);
    ok !$accepts, 'refused: ' . $block =~ s{/\S+/}{}r;
    like $said, $expected, 'and why';
}

unlike +(says(''))[1], qr/warn/, 'the defaults are no reason for a warning';


# Built without libcurl: everything else is there, and what is not is said.

my $tree = Cwd::abs_path("$FindBin::Bin/..");
my $built = directory() . '/built';
my $source = $ENV{NGINX_SRC} || '/usr/share/nginx/src';

sub succeeds {
    my ($name, $environment, @command) = @_;

    my ($code, $said) = Provisioning::Test::Process->run(
        command => \@command, env => $environment, timeout => 600);
    is $code, 0, $name or diag substr $said, -2000;
    return $said;
}

my $configured = succeeds('nginx is configured', { PROVISIONING_CURL => 'no' },
    "$tree/t/build/configure", $source, $built, "--add-dynamic-module=$tree",
    qw(--with-compat --with-threads --with-http_ssl_module --with-http_v2_module
       --with-cc-opt=-O0));
unlike $configured, qr/libcurl/, 'without a look at libcurl';

succeeds('the module is built', {}, qw(env -u MAKEFLAGS -u MAKELEVEL make -s
    -j2 -C), $built, qw(-f objs/Makefile modules));

my $module = "$built/objs/ngx_http_provisioning_module.so";
unlike succeeds('its libraries are listed', {}, 'ldd', $module), qr/libcurl/,
    'libcurl is not one of them';

{
    local $Provisioning::Test::Nginx::module = $module;

    my (undef, $gateway) = gateway();
    my $r = $gateway->request(POST => '/api/provisioning/tenants',
        token => token(),
        json => { client_name => 'No libcurl', email => unique_email() });

    is $r->status, 201, 'a tenant is made';
    is $gateway->request(GET => $r->header('Location'), token => token())
               ->json->{client_name}, 'No libcurl', 'and read';

    my ($accepts, $said) = $gateway->test(http => 'provisioning_outbound { }');
    ok !$accepts, 'the block is refused';
    like $said, qr/provisioning_outbound needs libcurl 7\.87 or later, /,
        'and what is missing is said';
    like $said, qr/apt-get install libcurl4-openssl-dev.* in \S+:\d+/,
        'with what to do, and the line';

    ($accepts, $said) = $gateway->test(
        http => 'provisioning_outbound { timeout never; }');
    like $said, qr/invalid time "never"/, 'its mistakes are found, too';
}

done_testing;
