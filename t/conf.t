#!/usr/bin/perl

# What a wrong configuration is told by "nginx -t": every directive, with the
# file, the line, and what to write instead.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Configuration;

my $nginx = tested();

my $server = 'server unix:/run/postgresql;';
my $conninfo = 'conninfo "dbname=d user=u";';

accepted({}, 'the configuration of the tests');

for my $case (
    ['',                           qr/no "server"/, 'no server'],
    ['server unix:/a backup; ' . $conninfo,
        qr/no "server" that is no backup/, 'only a backup'],
    [$server,                      qr/no "conninfo".*"dbname=/, 'no conninfo'],
    ['server unix:run;',           qr/invalid server "unix:run", expected the absolute path/, 'a relative socket'],
    ['server unix:/a/.s.PGSQL.x;', qr/invalid port in server/, 'a socket with a bad port'],
    ['server 127.0.0.1:99999;',    qr/invalid port in server "127.0.0.1:99999", expected "address\[:port\]"/, 'a bad port'],
    ['server nowhere.invalid;',    qr/host not found in server "nowhere.invalid"/, 'a name that nobody has'],
    ['server unix:/a weight=2;',   qr/invalid parameter "weight=2"/, 'a parameter of other servers'],
    ['server unix:/a backup x;',   qr/invalid number of arguments in "server"/, 'too many arguments'],
    ["$server conninfo;",          qr/invalid number of arguments in "conninfo"/, 'too few arguments'],
    ["$server $conninfo $conninfo", qr/"conninfo" directive is duplicate/, 'conninfo twice'],
    ["$server conninfo 'nonsense';", qr/invalid conninfo.*missing "="/, 'a conninfo that is none'],
    ["$server conninfo 'dbname=d';", qr/must name the database and the user/, 'a conninfo without a user'],
    ["$server conninfo 'user=u';", qr/must name the database and the user/, 'a conninfo without a database'],
    ["$server conninfo 'dbname=d user=u wat=1';", qr/invalid conninfo.*wat/, 'an unknown parameter'],
    ["$server conninfo 'dbname=d user=u host=/x';", qr/"host" in conninfo.*use the "server" directive/, 'host in conninfo'],
    ["$server conninfo 'dbname=d user=u port=1';", qr/"port" in conninfo.*use the "server" directive/, 'port in conninfo'],
    ["$server conninfo 'dbname=d user=u hostaddr=::1';", qr/"hostaddr" in conninfo.*use the "server"/, 'hostaddr in conninfo'],
    ["$server conninfo 'dbname=d user=u connect_timeout=1';", qr/use the "connect_timeout" directive/, 'connect_timeout in conninfo'],
    ["$server conninfo 'dbname=d user=u target_session_attrs=any';", qr/"target_session_attrs".*found by itself/, 'target_session_attrs'],
    ["$server conninfo 'dbname=d user=u sslmode=prefer';", qr/fall back silently/, 'sslmode=prefer'],
    ["$server conninfo 'dbname=d user=u sslmode=allow';", qr/fall back silently/, 'sslmode=allow'],
    ["$server conninfo 'dbname=d user=u gssencmode=prefer';", qr/would block the worker/, 'gssencmode'],
    ["$server conninfo 'dbname=d user=u client_encoding=LATIN1';", qr/must be "UTF8"/, 'another encoding'],
    ["server 127.0.0.1; $conninfo", qr/say in conninfo "sslmode=verify-full"/, 'a network without sslmode'],
    ["$server connections 0;",     qr/invalid number "0" in "connections", expected 1 to 1000/, 'no connections'],
    ["$server connections many;",  qr/invalid number "many" in "connections"/, 'connections that are no number'],
    ["$server connections 1 depth=2;", qr/expected "reads=number", "writes=number", "lists=number" or "pipeline=number"/, 'a wrong parameter of connections'],
    ["$server connections 4 writes=5;", qr/invalid number "5" in "connections", expected 1 to 4/, 'more for writes than there are'],
    ["$server connections 4 reads=1 reads=2;", qr/"reads=" is duplicate/, 'a share said twice'],
    ["$server share_commits maybe;", qr/invalid value "maybe" in "share_commits" directive, it must be "on" or "off"/, 'share_commits of neither on nor off'],
    ["$server share_transactions 0;", qr/invalid number "0" in "share_transactions", expected 1 to 64/, 'transactions of nobody'],
    ["$server share_transactions on;", qr/invalid number "on" in "share_transactions"/, 'a number that is none'],
    ["$server connections 1 pipeline=0;", qr/invalid number "0" in "connections"/, 'a pipeline of none'],
    ["$server queue 0;",           qr/invalid number "0" in "queue", expected 1 to 1000000/, 'an empty queue'],
    ["$server queue 1 time=2s;",   qr/expected "timeout=time"/, 'a wrong parameter of queue'],
    ["$server queue 1 timeout=x;", qr/invalid time "x" in "queue", expected 1ms to 30d/, 'a bad queue time'],
    ["$server connect_timeout 0;", qr/invalid time "0" in "connect_timeout"/, 'no time to connect'],
    ["$server query_timeout -1;",  qr/invalid time "-1" in "query_timeout"/, 'a negative time'],
    ["$server query_timeout 31d;", qr/invalid time "31d"/, 'a time too long'],
    ["$server keepalive_time y;",  qr/invalid time "y" in "keepalive_time"/, 'a bad keepalive_time'],
    ["$server keepalive 16;",      qr/unknown directive "keepalive" in provisioning_database, expected server,/, 'a directive of upstream'],
) {
    my ($inside, $pattern, $name) = @$case;
    refused({ http => "provisioning_database x { $inside }" }, $pattern,
            "provisioning_database: $name");
}

accepted({ http => "provisioning_database x { $_ $conninfo }" },
         "provisioning_database: $_")
    for 'server unix:/run/postgresql;', 'server unix:/a/.s.PGSQL.5433;',
        "$server server unix:/b backup;", "$server connections 1000 pipeline=1;",
        "$server connections 9 reads=4 writes=4 lists=1 pipeline=64;",
        "$server share_commits off;", "$server share_transactions 1;",
        "$server queue 5 timeout=100ms; keepalive_time 10m;";

accepted({ http => "provisioning_database x { $_ "
                 . 'conninfo "dbname=d user=u sslmode=disable"; }' },
         "provisioning_database: $_")
    for 'server 127.0.0.1;', 'server [::1]:5433;', 'server localhost:5432;';

refused({ http => "provisioning_database tenants { $server $conninfo }" },
        qr/duplicate provisioning_database "tenants"/, 'a database twice');

my $jobs = 'database tenants;';

for my $case (
    ['',                          qr/no "database" in provisioning_jobs/, 'no database'],
    ['database nowhere;',         qr/unknown database "nowhere" in "provisioning_jobs"/, 'a database that is not there'],
    ["$jobs $jobs",               qr/"database" directive is duplicate/, 'a database twice'],
    ["$jobs poll_interval 50ms;", qr/invalid time "50ms" in "poll_interval", expected 100ms to 1h/, 'no interval to speak of'],
    ["$jobs lease 2d;",           qr/invalid time "2d" in "lease", expected 1s to 1d/, 'a lease too long'],
    ["$jobs lease 20s;",          qr/"lease" of 20000ms in "provisioning_jobs" is too short for requests of up to 15000ms: make it at least 25000ms/, 'a lease too short'],
    ["$jobs concurrency 0;",      qr/invalid number "0" in "concurrency", expected 1 to 10000/, 'nothing at a time'],
    ["$jobs per_queue many;",     qr/invalid number "many" in "per_queue", expected 1 to 1000/, 'a number that is none'],
    ["$jobs per_queue 1 2;",      qr/invalid number of arguments in "per_queue"/, 'two numbers'],
    ["$jobs per_partner 0;",      qr/invalid number "0" in "per_partner", expected 1 to 10000/, 'none of a partner'],
    ["$jobs workers 2;",          qr/unknown directive "workers" in provisioning_jobs, expected database,/, 'an unknown directive'],
) {
    my ($inside, $pattern, $name) = @$case;
    refused({ http => "provisioning_jobs { $inside }" }, $pattern,
            "provisioning_jobs: $name");
}

refused({ http => "provisioning_jobs { $jobs } provisioning_jobs { $jobs }" },
        qr/"provisioning_jobs" directive is duplicate/, 'jobs twice');

accepted({ http => "provisioning_jobs { $jobs $_ }" }, "provisioning_jobs: $_")
    for '', 'poll_interval 100ms; lease 25s; concurrency 10000; per_queue 1; '
    . 'per_partner 1;';

refused({ http => 'provisioning_issuer test { }' },
        qr/duplicate provisioning_issuer "test": another one stands at/,
        'an issuer twice');

# locations

sub location {
    my ($inside, $name) = @_;
    return { locations => 'location ' . ($name || '/x/') . " { $inside }" };
}

for my $case (
    ['provisioning_auth nobody;', qr/unknown issuer "nobody" in "provisioning_auth".*provisioning_issuer nobody/, 'an unknown issuer'],
    ['provisioning_auth test; provisioning_auth test;', qr/"provisioning_auth" directive is duplicate/, 'provisioning_auth twice'],
    ['provisioning_auth off test;', qr/"provisioning_auth" directive has parameters after "off"/, 'off and more'],
    ['provisioning_auth test test;', qr/names two issuers with the same iss/, 'an issuer named twice'],
    ['provisioning_auth test keys=nobody;', qr/unknown database "nobody" in "provisioning_auth keys=nobody", there is no "provisioning_database nobody/, 'keys of an unknown database'],
    ['provisioning_auth keys=;', qr/invalid parameter "keys=", expected "keys=database" once/, 'keys of nothing'],
    ['provisioning_auth keys=tenants keys=tenants;', qr/invalid parameter "keys=tenants", expected "keys=database" once/, 'keys twice'],
    ['provisioning_auth off keys=tenants;', qr/has parameters after "off"/, 'off and keys'],
    ['provisioning_auth;', qr/invalid number of arguments in "provisioning_auth"/, 'provisioning_auth without issuers'],
    ['provisioning_auth test; satisfy any;', qr/"satisfy any" would let other checks replace/, 'satisfy any'],
    ['provisioning_require role=x;', qr/"provisioning_require" needs "provisioning_auth issuer"/, 'a requirement without authentication'],
    ['provisioning_auth test; provisioning_require x;', qr/invalid parameter "x", expected "role=name" or "permission=name"/, 'a bad requirement'],
    ['provisioning_auth test; provisioning_require role=;', qr/invalid parameter "role="/, 'an empty role'],
    ['provisioning_auth test; provisioning_require permission=tenant:read;', qr/needs "provisioning_roles document"/, 'a permission without a document'],
    ['provisioning_auth test; provisioning_roles %%OPENAPI%%/partner.json; provisioning_require permission=tenant:red;', qr/unknown permission "tenant:red"/, 'an unknown permission'],
    ['provisioning_roles /nonexistent.json;', qr{/nonexistent\.json}, 'a roles document that is not there'],
    ['provisioning_api %%OPENAPI%%/partner.json prefix=/x;', qr/"provisioning_api" needs "provisioning_pass database"/, 'an API without a database'],
    ['provisioning_pass tenants;', qr/"provisioning_pass" needs "provisioning_api document"/, 'a database without an API'],
    ['provisioning_api %%OPENAPI%%/partner.json prefix=/x; provisioning_pass nowhere;', qr/unknown database "nowhere" in "provisioning_pass"/, 'an unknown database'],
    ['provisioning_api %%OPENAPI%%/partner.json prefix=x; provisioning_pass tenants;', qr{invalid parameter "prefix=x", expected "prefix=/path"}, 'a relative prefix'],
    ['provisioning_api %%OPENAPI%%/partner.json; provisioning_pass tenants;', qr{location "/x/" never meets a path of .*begin with "/api/provisioning/"}, 'a location that meets no path'],
    ['provisioning_api %%OPENAPI%%/partner.json prefix=/x; provisioning_pass tenants; client_max_body_size 0;', qr/"client_max_body_size" must be from 1 to 256m/, 'a body of any length'],
    ['provisioning_api %%OPENAPI%%/partner.json prefix=/x; provisioning_pass tenants; client_max_body_size 257m;', qr/"client_max_body_size" must be from 1 to 256m/, 'a body that is longer than any jsonb'],
    ['provisioning_api /nonexistent.json; provisioning_pass tenants;', qr{/nonexistent\.json}, 'a document that is not there'],
    ['provisioning_api %%DIR%%/bad.json; provisioning_pass tenants;', qr{bad\.json:2:\d+: }, 'a document that is no JSON'],
    ['provisioning_api %%DIR%%/wrong.json; provisioning_pass tenants;', qr{wrong\.json#/openapi: }, 'a document that is no OpenAPI'],
    ['provisioning_api %%OPENAPI%%/partner.json; provisioning_api %%OPENAPI%%/partner.json;', qr/"provisioning_api" directive is duplicate/, 'provisioning_api twice'],
    ['provisioning_pass tenants; provisioning_pass tenants;', qr/"provisioning_pass" directive is duplicate/, 'provisioning_pass twice'],
) {
    my ($inside, $pattern, $name) = @$case;

    $nginx->write_file('bad.json', "{\n  \"openapi\": nonsense\n}\n");
    $nginx->write_file('wrong.json', '{"openapi": "2.0"}');

    refused(location($inside), $pattern, $name);
}

refused({ server => 'provisioning_api %%OPENAPI%%/partner.json;' },
        qr/"provisioning_api" directive is not allowed here/,
        'provisioning_api outside of a location');

refused({ main => 'provisioning_database x { }' },
        qr/"provisioning_database" directive is not allowed here/,
        'provisioning_database outside of http');

accepted(location('provisioning_auth test; provisioning_require role=a role=b;'
                  . ' provisioning_require role=c; return 204;'),
         'provisioning_auth alone');
accepted(location('provisioning_auth test; provisioning_roles '
                  . '%%OPENAPI%%/partner.json; provisioning_require '
                  . 'permission=tenant:read; return 204;'),
         'a permission with a document');
accepted(location('provisioning_api %%OPENAPI%%/partner.json prefix=/x/; '
                  . 'provisioning_auth test; provisioning_pass tenants;'),
         'another prefix');

done_testing;
