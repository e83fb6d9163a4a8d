#!/usr/bin/perl

# The module linked into nginx ("--add-module"), and into one that has little
# else, neither TLS nor threads: what the module needs it brings along.

# harness: plain

use strict;
use warnings;

use Cwd ();
use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;

my $tree   = Cwd::abs_path("$FindBin::Bin/..");
my $source = Cwd::abs_path($ENV{PROV_TEST_SOURCE}
                           || "$tree/build/source/nginx");

# it is fetched for the sanitized build
plan skip_all => 'the source of nginx is not here ("make sanitized")'
    unless $source && -f "$source/src/core/nginx.c";

my $built = directory() . '/built';

sub succeeds {
    my ($name, @command) = @_;

    open my $out, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh', @command
        or die "$command[0]: $!";
    my @said = <$out>;
    close $out;

    my $status = $?;
    is $status, 0, $name or diag @said > 20 ? @said[-20 .. -1] : @said;

    return $status == 0;
}

# unoptimised: what is looked for is what is missing

succeeds('nginx is configured', "$tree/t/build/configure", $source, $built,
         "--add-module=$tree", '--with-http_v2_module', '--with-cc-opt=-O0')
    && succeeds('and built', qw(env -u MAKEFLAGS -u MAKELEVEL make -s -j2 -C),
                $built, qw(-f objs/Makefile binary))
    or die "there is no nginx to be tested\n";

my $postgres = postgres();

{
    local $Provisioning::Test::Nginx::binary = "$built/objs/nginx";
    local $Provisioning::Test::Nginx::module = '';

    my (undef, $nginx) = gateway(postgres => $postgres);
    my ($accepts, $said) = $nginx->test;

    ok $accepts, 'it accepts the configuration' or diag $said;

    # a body that a thread would have read
    my $body = sprintf '{"client_name":"Linked in","email":"%s"%s}',
        unique_email(), ' ' x 10_000;

    my $r = $nginx->request(POST => '/api/provisioning/tenants',
        token => token(), headers => ['Content-Type', 'application/json'],
        body => $body);

    is $r->status, 201, 'a tenant is made';
    is $nginx->request(GET => $r->header('Location'), token => token())
             ->json->{client_name}, 'Linked in', 'and read';
    is $nginx->request(GET => '/api/provisioning/none', token => token())
             ->type, 'application/problem+json', 'the filter is there, too';
}

done_testing;
