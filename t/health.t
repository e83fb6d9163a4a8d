#!/usr/bin/perl

# Is it alive, is it ready, and if not, why?

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Operations;
use Provisioning::Test::Problem;

my $postgres = postgres();
my $fine = "status := 200; body := '{}';";
my $api = operations($postgres,
    ready => { path => '/ready', handler => 'health_ready' },
    live  => { path => '/live', handler => 'health_live' },
    first => { function => $fine },
    other => { function => $fine },
);
my $idle = operations($postgres,
    idle_ready => { path => '/ready', handler => 'health_ready' },
    live       => { path => '/live', handler => 'health_live' });

$postgres->sql('create database empty');

my (undef, $nginx) = gateway(postgres => $postgres, http => <<'END',
    provisioning_database empty {
        server %%DATABASE%%;
        conninfo "dbname=empty user=prov_partner";
        connections 1;
    }

    provisioning_database nobody {
        server %%DATABASE%%;
        conninfo "dbname=provisioning user=nobody_at_all";
        connections 1;
        queue 10 timeout=300ms;
    }

    provisioning_database nowhere {
        server unix:%%DIR%%;
        conninfo "dbname=provisioning user=prov_partner";
        connections 1;
        queue 10 timeout=300ms;
    }
END
    locations => $api->location . $idle->location . join '', map { <<"END" }
    location /$_/ {
        provisioning_api %%OPENAPI%%/partner.json prefix=/$_;
        provisioning_pass $_;
    }
END
    qw(empty nobody nowhere));

my $live = '{"status":"live"}';
my $ready = '{"status" : "ready", "schema_version" : '
    . $postgres->value('select max(version) from prov.migrations') . '}';
my $away = 'The database cannot be reached; nothing was done.';


sub not_ready {
    my ($path, $name, $reasons, @missing) = @_;

    my $r = $nginx->request(GET => $path);
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_problem $r, $name, 503, 'not_ready', 'The database cannot serve every '
        . "operation: $reasons; run sql/migrate.",
        members => '"missing":[' . join(',', map { qq{"$_"} } @missing) . ']';
    is $r->header('Retry-After'), '1', 'and when to ask again';
    return;
}


# All is well

for my $path ('/health/live', '/api/provisioning/health/live',
              '/quirks/live')
{
    my $r = $nginx->request(GET => $path);
    is_deeply [$r->status, $r->header('Content-Type'), $r->body],
        [200, 'application/json', $live], "$path is alive";
}

for my $path ('/health/ready', '/api/provisioning/health/ready',
              '/quirks/ready', '/quirks1/ready')
{
    my $r = $nginx->request(GET => $path);
    is_deeply [$r->status, $r->header('Content-Type'), $r->body],
        [200, 'application/json', $ready], "$path is ready, with the "
        . 'schema\'s version';
}

is $nginx->request(GET => '/health/ready', token => 'bad')->status, 200,
    'nobody looks at a token';
is $nginx->request(POST => '/health/ready')->status, 405,
    'readiness is only read';
is $nginx->request(GET => '/health/ready?x=1')->code, 'invalid_parameters',
    'and has no parameters';
is $nginx->request(HEAD => '/health/ready')->status, 200, 'HEAD will do';


# What is missing

$postgres->sql('drop function quirks.other');
not_ready('/quirks/ready', 'readiness says which function is missing',
    'quirks.other is missing', 'quirks.other');
is $nginx->request(GET => '/quirks/first', token => token())->status, 200,
    'the other operations serve';
is $nginx->request(GET => '/health/ready')->status, 200,
    'and other documents are ready';

$postgres->sql('revoke execute on function '
    . 'quirks.first(jsonb, jsonb, jsonb) from prov_partner');
not_ready('/quirks/ready', 'which may not be called, all at once',
    'quirks.first may not be called, quirks.other is missing',
    'quirks.first', 'quirks.other');

$api->define(first => { function => $fine });
$api->define(other => { sql => 'create function <<name>>(ctx jsonb, params '
    . 'jsonb, input jsonb, out status text, out body json, out headers jsonb)'
    . ' language plpgsql as $$ begin end $$' });
not_ready('/quirks/ready', 'and which has another form', 'quirks.other does '
    . 'not return (status integer, body json, headers jsonb)', 'quirks.other');

$postgres->sql('drop function quirks.other');
$api->define(other => { function => $fine });
is $nginx->request(GET => '/quirks/ready')->body, $ready,
    'and is ready once all is there';

$postgres->sql('revoke usage on schema quirks from prov_partner');
not_ready('/quirks/ready', 'a schema that is closed is as good as none',
    'quirks.first may not be called, quirks.other may not be called',
    'quirks.first', 'quirks.other');
$postgres->sql('grant usage on schema quirks to prov_partner');

$postgres->sql('drop function partner.tenant_get');
not_ready('/health/ready', 'the same for the bundled document',
    'partner.tenant_get is missing', 'partner.tenant_get');

# One of those that serve several requests at once.

$postgres->sql('drop function partner.tenant_create_several');
not_ready('/health/ready', 'and of those for several',
    'partner.tenant_get is missing, partner.tenant_create_several is missing',
    'partner.tenant_get', 'partner.tenant_create_several');


# No database, or not one for us

$postgres->allow(qr/ 3F000 /);
is_problem $nginx->request(GET => '/empty/health/ready'),
    'a database that was not migrated is not ready', 503,
    'operation_unavailable', 'The database does not have this operation\'s '
    . 'schema; its operator must migrate it.';

$postgres->allow(qr/ 28000 /);
is_problem $nginx->request(GET => '/nobody/health/ready'),
    'one that does not let us in is not', 503, 'database_unavailable', $away;
is_problem $nginx->request(GET => '/nowhere/health/ready'),
    'one that is not there is not', 503, 'database_unavailable', $away;

is $nginx->request(GET => "/$_/health/live")->body, $live,
    "whatever becomes of the database, the worker is alive ($_)"
    for qw(empty nobody nowhere);

# A database that was not migrated to what this release needs

{
    my ($newest) = reverse sort glob "$FindBin::Bin/../sql/migrations/*.sql";
    my ($needed) = $newest =~ m{/0*(\d+)_[^/]*\z};
    my $latest = 'select max(version) from prov.migrations';

    is $postgres->value($latest), $needed, 'the latest migration is applied';
    $postgres->sql("update prov.migrations set version = version + 1000"
        . " where version = ($latest)");
    is $nginx->request(GET => '/quirks/ready')->status, 200,
        'a schema that is newer will do';
    $postgres->sql("create temporary table kept as select * from "
        . "prov.migrations where version = ($latest)");
    $postgres->sql("delete from prov.migrations where version = ($latest)");

    my $older = $postgres->value($latest);
    is_problem $nginx->request(GET => '/quirks/ready'),
        'one that is older will not', 503, 'not_ready',
        "The database's schema is at version $older, this gateway needs "
        . "$needed: run sql/migrate.", members => '"missing":[]';

    $postgres->sql('insert into prov.migrations select * from kept');
    is $nginx->request(GET => '/quirks/ready')->status, 200,
        'until it is migrated';
    $postgres->sql("update prov.migrations set version = version - 1000"
        . " where version = ($latest)");
}

# nobody has to wait for it until now

$nginx->configure(database => 'connections 2; queue 1024 timeout=300ms;');
my @old = $nginx->reload;
wait_until 'the old worker has left', sub { !grep { kill 0, $_ } @old };
$postgres->stop;
my $r;
wait_until 'the gateway has noticed', sub {
    $r = $nginx->request(GET => '/quirks/ready');
    $r->status == 503;
};
is_problem $r, 'when the database stops, the gateway is not ready', 503,
    'database_unavailable', $away;
is $r->header('Retry-After'), '1', 'for a while';
is $nginx->request(GET => '/quirks/live')->body, $live, 'but alive';

$postgres->start;
wait_until 'the gateway is ready', sub {
    $nginx->request(GET => '/quirks/ready')->status == 200;
};
pass 'and is ready when the database is back, without a reload';

done_testing;
