#!/usr/bin/perl

# From an SQL error to a problem: what functions raise on purpose, constraints
# whose names are codes, collisions, locks, time, and functions that are not
# there.  What functions answer is in contract.t.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Operations;
use Provisioning::Test::Problem;

use Encode ();
use JSON::PP ();

my $postgres = postgres();

$postgres->sql($_) for
    'create schema rules authorization prov_owner',
    'create table rules.things (id int constraint thing_taken primary key,'
    . ' size int constraint size_invalid_17 check (size > 0),'
    . ' name text not null, other int constraint other_unknown references'
    . ' rules.things, span int4range,'
    . ' constraint "span taken_2" exclude using gist (span with &&))',
    'create table rules.counter (id int primary key, n int)',
    'insert into rules.counter values (1, 0), (2, 0)',
    'create sequence rules.tries',
    'grant usage on schema rules to prov_api',
    'grant all on all tables in schema rules to prov_api',
    'grant all on all sequences in schema rules to prov_api';

# "change" runs a statement that it is sent.

my $api = operations($postgres,
    change => {
        method   => 'post',
        body     => { type => 'string' },
        function => <<'SQL',
            execute input #>> '{}';
            status := 200;
            body := '{"changed": true}';
SQL
    },
    raise => {
        method   => 'post',
        body     => { type => 'object' },
        function => <<'SQL',
            if input ->> 'detail' is null then
                raise exception '%', input ->> 'message'
                    using errcode = input ->> 'errcode',
                          constraint = input ->> 'constraint';
            end if;
            raise exception '%', input ->> 'message'
                using errcode = input ->> 'errcode',
                      constraint = input ->> 'constraint',
                      detail = input ->> 'detail',
                      hint = 'nobody sees a hint';
SQL
    },
    absent    => {},
    forbidden => { function => "status := 200; body := '{}';" },
    retried   => {
        method   => 'post',
        declare  => 'try int;',
        function => <<'SQL',
            try := nextval('rules.tries');
            insert into rules.counter values (100 + try, 0);

            if try < (params ->> 'succeeds')::int then
                raise exception 'once more' using
                    errcode = params ->> 'state';
            end if;

            status := 200;
            body := json_build_object('try', try, 'mutation',
                ctx ->> 'mutation', 'id', ctx ->> 'id');
SQL
        parameters => [map {
            { name => $_, in => 'query', required => JSON::PP::true,
              schema => { type => 'string' } }
        } qw(succeeds state)],
    },
    locked => {
        method   => 'post',
        function => <<'SQL',
            set local lock_timeout = '100ms';
            update rules.counter set n = n + 1 where id = 1;
            status := 200; body := '{}';
SQL
    },
    slow => {
        function => <<'SQL',
            perform pg_sleep(60);
            status := 200; body := '{}';
SQL
    },
    other => { function => "status := 200; body := '[\"other\"]';" },
);

$postgres->sql('revoke execute on function ' . $api->schema
    . '.forbidden(jsonb, jsonb, jsonb) from prov_partner');

# In "strict", PostgreSQL ends a statement long before the gateway would.

my (undef, $nginx) = gateway(postgres => $postgres,
    database => 'connections 1; query_timeout 20s;',
    http     => <<'END', locations => $api->location . <<"END");
    provisioning_database strict {
        server %%DATABASE%%;
        conninfo "dbname=provisioning user=prov_partner
                  options='-c statement_timeout=3s'";
        connections 1;
        query_timeout 20s;
    }
END
    location /strict/ {
        provisioning_auth test;
        provisioning_api ${\$api->file} prefix=/strict;
        provisioning_pass strict;
    }
END

my $r;
my $internal = 'The gateway failed. Report the request_id to its operator.';


sub call {
    my ($method, $path, %o) = @_;
    return $nginx->request($method => $api->base . $path, token => token(),
                           %o);
}

sub change { call(POST => '/change', headers => {
    'Content-Type' => 'application/json' }, body =>
    JSON::PP->new->allow_nonref->encode($_[0])) }

sub raised {
    my (%o) = @_;
    $postgres->allow(qr/ \Q$o{errcode}\E /);
    return call(POST => '/raise', json => { errcode => $o{errcode},
        message => $o{message} || 'A sentence.',
        constraint => defined $o{constraint} ? $o{constraint} : '',
        defined $o{detail} ? (detail => $o{detail}) : () });
}


# The lines that a piece of code has nginx log.

sub logged {
    my ($code) = @_;
    my $said = length $nginx->log;
    $code->();
    return substr $nginx->log, $said;
}


# Errors that are raised on purpose

is_problem raised(errcode => 'PV409', constraint => 'thing_is_there',
        message => 'There is one, "ä".'),
    'a raised PV409 is a conflict, its constraint the code', 409,
    'thing_is_there', Encode::encode_utf8('There is one, "ä".');
is_problem raised(errcode => 'PV404', constraint => 'x',
        detail => '{"tenant": "t", "n": {"a": [1]}}'),
    'DETAIL has the extension members', 404, 'x', 'A sentence.',
    members => '"tenant":"t","n":{"a":[1]}';
is_problem raised(errcode => 'PV422', constraint => 'thing_2'),
    'a code that is meant ends as it is written', 422, 'thing_2',
    'A sentence.';
is_problem raised(errcode => 'PV400'), 'without a constraint the code is '
    . 'a general one', 400, 'refused', 'A sentence.';
is_problem raised(errcode => 'PV500', constraint => 'on_purpose'),
    'a function may raise a 500', 500, 'on_purpose', 'A sentence.';
$r = raised(errcode => 'PV503', constraint => 'later');
is_problem $r, 'and a 503', 503, 'later', 'A sentence.';
is $r->header('Retry-After'), '1', 'which says when to try again';
is_problem raised(errcode => 'PV404', constraint => 'x',
        detail => '{"status": 200, "code": "z", "a": 1}'),
    'a DETAIL does not replace what a problem has anyway', 404, 'x',
    'A sentence.', members => '"a":1';

for my $detail ('no JSON', '[1]', '{"a": 1, "a": 2}') {
    my $log = logged(sub {
        is_problem raised(errcode => 'PV404', constraint => 'x',
                          detail => $detail),
            "a DETAIL of '$detail' is left out", 404, 'x', 'A sentence.';
    });
    like $log, qr/the DETAIL of PV404 "x" is no JSON object/, 'and logged';
}

for my $state (qw(PV200 PV399 PV600 PV999 PV408 PV444 PV499 PVABC)) {
    my $log = logged(sub {
        is_problem raised(errcode => $state, constraint => 'x',
                message => 'a secret'),
            "$state is nothing that can be raised", 500, 'internal_error',
            $internal;
    });
    like $log, qr/the database refused: a secret \(SQLSTATE $state/,
        'the log has it in full';
}


# Constraints: the name is the code

my $conflict = 'The change conflicts with what is there; the code names the '
    . 'rule.';
my $rule = 'A value is not allowed by a rule of the database; the code names '
    . 'the rule.';
my $insert = 'insert into rules.things (id, name, size, other, span) values ';

is change("$insert (1, 'a', 1, null, '[1,5)')")->status, 200,
    'a change that breaks no rule is made';

for ([23505, "$insert (1, 'a', 1, null, null)", 409, 'thing_taken',
      'a unique constraint'],
     [23503, "$insert (2, 'a', 1, 77, null)", 409, 'other_unknown',
      'a foreign key'],
     ['23P01', "$insert (2, 'a', 1, null, '[2,3)')", 409, 'span taken',
      'an exclusion constraint (its name without the number at its end)'],
     [23514, "$insert (2, 'a', 0, null, null)", 422, 'size_invalid',
      'a check (its name without the number at its end)'],
     [23502, "$insert (2, null, 1, null, null)", 422, 'constraint_violated',
      'not null, which has no name,'])
{
    my ($state, $statement, $status, $code, $what) = @$_;
    $postgres->allow(qr/ $state /);
    my $lines = logged(sub {
        is_problem change($statement), "$what is told", $status, $code,
            $status == 409 ? $conflict : $rule;
    });
    like $lines, qr/\[error\].*SQLSTATE $state/, 'and logged';
    unlike $lines, qr/Key \(|Failing row/, 'without the row';
}


# Other errors

for ([22012, 'select 1/0', 500, 'internal_error', $internal],
     ['22P02', "select 'x'::int", 500, 'internal_error', $internal],
     [42601, 'selekt', 500, 'internal_error', $internal],
     ['42P01', 'select 1 from rules.nothing', 500, 'internal_error',
      $internal],
     [25006, 'set transaction_read_only = on; '
      . 'update rules.counter set n = 1', 503, 'database_unavailable',
      'The database takes no changes at present; nothing was changed.'],
     [53200, raise_of('53200'), 503, 'database_overloaded',
      'The database is out of resources; nothing was changed.'],
     [57000, raise_of('57000'), 503, 'database_unavailable',
      'The database is not available; nothing was changed.'])
{
    my ($state, $statement, $status, $code, $detail) = @$_;
    $postgres->allow(qr/ $state /);
    my $lines = logged(sub {
        my $response = change($statement);
        is_problem $response, "SQLSTATE $state is answered $code", $status,
            $code, $detail;
        is defined $response->header('Retry-After'), $status == 503,
            'with Retry-After where it makes sense';
    });
    like $lines, qr/\[error\].*SQLSTATE $state/, 'and logged';
}


# Conflicts with others are tried again, a function sees its own ids again

my $again = sub {
    $postgres->sql("select setval('rules.tries', 1, false)");
    $postgres->sql('delete from rules.counter where id > 100');
};

for my $state (qw(40001 40P01)) {
    $postgres->allow(qr/ $state /);
    $again->();
    $r = call(POST => "/retried?succeeds=4&state=$state");
    is $r->status, 200, "what fails with $state three times is made";
    is $r->json->{try}, 4, 'at the fourth try';
    is $postgres->value('select count(*) from rules.counter where id > 100'),
        1, 'and made once';

    $again->();
    $r = call(POST => "/retried?succeeds=5&state=$state");
    is_problem $r, 'one that fails a fourth time is told to the caller', 503,
        'conflict_retry', 'The change has collided with others repeatedly; '
        . 'nothing was changed. Repeat the request.';
    is $r->header('Retry-After'), '1', 'who may repeat it';
    is $postgres->value('select last_value from rules.tries'), 4,
        'and is not tried a fifth time';
}


# Locks and time

my $other = $postgres->connect_as('postgres');
$other->begin_work;
$other->do('update rules.counter set n = n + 1 where id = 1');
$postgres->allow(qr/ 55P03 /);
$r = call(POST => '/locked');
is_problem $r, 'what waits for a lock for too long is in progress elsewhere',
    409, 'in_progress', 'Another request is changing the same thing; nothing '
    . 'was changed. Repeat the request a little later.';
is $r->header('Retry-After'), '1', 'and may be repeated';
$other->rollback;
$other->disconnect;
is call(POST => '/locked')->status, 200, 'then with success';

$postgres->allow(qr/ 57014 /);
is $nginx->request(GET => '/strict/other', token => token())->status, 200,
    'a statement that is fast enough is answered';
my @backends = $postgres->backends('prov_partner');
is_problem $nginx->request(GET => '/strict/slow', token => token()),
    'one that takes too long is ended by the database', 504, 'query_timeout',
    'The database took too long; nothing was changed.';
is $nginx->request(GET => '/strict/other', token => token())->status, 200,
    'and the next one is answered';
is_deeply [$postgres->backends('prov_partner')], \@backends,
    'on the same connection';


# What is not there

$postgres->allow(qr/ 42883 /, qr/ 42501 /, qr/ 3F000 /);

my $missing = 'The database does not have this operation\'s function; its '
    . 'operator must migrate it.';

for (1 .. 2) {
    $r = call(GET => '/absent');
    is_problem $r, 'a function that is not there makes its operation '
        . 'unavailable', 503, 'operation_unavailable', $missing;
    is $r->header('Retry-After'), '60', 'for a while';
}

is call(GET => '/other')->status, 200, 'the others serve';

$api->define(absent => { function => "status := 200; body := '{}';" });
is call(GET => '/absent')->status, 200,
    'once it is there it serves, without a reload';

$postgres->sql('drop function ' . $api->schema . '.absent');
is_problem call(GET => '/absent'), 'when it is gone it is unavailable again',
    503, 'operation_unavailable', $missing;

$api->define(absent => { function => "status := 200; body := '{\"a\": 1}';" });
is call(GET => '/absent')->body, '{"a": 1}', 'a new one is found';

$api->define(other => { function => "status := 200; body := '[\"new\"]';" });
is call(GET => '/other')->body, '["new"]',
    'a function that is replaced is the new one from its next call on';

is_problem call(GET => '/forbidden'), 'a function that may not be called '
    . 'makes its operation unavailable', 503, 'operation_unavailable',
    'The database does not let the gateway run this operation; its operator '
    . 'must migrate it.';

$postgres->sql('alter schema ' . $api->schema . ' rename to away');
is_problem call(GET => '/other'), 'so does a schema that is not there', 503,
    'operation_unavailable', 'The database does not have this operation\'s '
    . 'schema; its operator must migrate it.';
$postgres->sql('alter schema away rename to ' . $api->schema);
is call(GET => '/other')->status, 200, 'and with it the operation is back';

done_testing;


sub raise_of {
    my ($state) = @_;
    return "do \$do\$ begin raise exception 'raised' using errcode = '$state';"
        . ' end $do$';
}
