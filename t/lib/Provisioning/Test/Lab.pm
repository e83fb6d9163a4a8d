package Provisioning::Test::Lab;

# An API of the tests' own, whose operations take as long and are as large as
# a test wants.
#
#     my $postgres = postgres();
#     my $nginx = nginx(postgres => $postgres, locations => lab($postgres));
#
#     GET  /api/lab/rest?ms=…&bytes=…   shares a connection
#     GET  /api/lab/list?ms=…&limit=…   a list: has its connection alone
#     POST /api/lab/notes               {"text": …, "ms": …, "commit_ms": …}:
#                                       a row of lab.notes; takes its time
#                                       before its audit entry, or at commit
#     GET  /api/lab/forget              the session forgets its statements
#
# lab_waits($postgres) says how many of these take their time at this moment.

use strict;
use warnings;

use Exporter 'import';
use JSON::PP ();

our @EXPORT = qw(lab lab_waits);


# Makes functions and document; what nginx needs of it, as "locations".

sub lab {
    my ($postgres) = @_;

    install($postgres);

    my $file = Provisioning::Test::directory() . '/lab.json';

    open my $out, '>', $file or die "$file: $!";
    print $out JSON::PP->new->canonical->encode(document());
    close $out or die "$file: $!";

    return "
        location /api/lab/ {
            provisioning_auth test;
            provisioning_api $file;
            provisioning_pass tenants;
            client_max_body_size 16m;
            client_body_buffer_size 16m;
        }";
}


sub lab_waits {
    my ($postgres) = @_;

    return $postgres->value('select count(*) from pg_stat_activity'
        . " where usename = 'prov_partner' and wait_event = 'PgSleep'");
}


sub document {
    my $number = { type => 'integer', minimum => 0 };
    my $answer = { description => 'An answer.' };

    my $read = sub {
        my ($name, @parameters) = @_;

        return { get => {
            operationId    => $name,
            summary        => $name,
            'x-permission' => 'lab:use',
            parameters     => [map { {
                name => $_, in => 'query', schema => $number,
            } } @parameters],
            responses      => { 200 => $answer },
        } };
    };

    return {
        openapi => '3.1.0',
        info    => { title => 'Laboratory', version => '1' },
        servers => [{ url => '/api/lab' }],
        components => { securitySchemes => {
            bearer => { type => 'http', scheme => 'bearer' },
        } },
        security            => [{ bearer => [] }],
        'x-database-schema' => 'lab',
        'x-roles'           => { 'partner-admin' => ['lab:*'] },
        paths => {
            '/rest'   => $read->('rest', 'ms', 'bytes'),
            '/list'   => $read->('list', 'ms', 'limit'),
            '/forget' => $read->('forget'),
            '/notes'  => { post => {
                operationId    => 'note',
                summary        => 'note',
                'x-permission' => 'lab:use',
                requestBody    => {
                    required => JSON::PP::true,
                    content  => { 'application/json' => { schema => {
                        type       => 'object',
                        required   => ['text'],
                        properties => {
                            text      => { type => 'string' },
                            ms        => $number,
                            commit_ms => $number,
                        },
                        additionalProperties => JSON::PP::false,
                    } } },
                },
                responses => { 201 => $answer },
            } },
        },
    };
}


sub install {
    my ($postgres) = @_;

    my $arguments = '(ctx jsonb, params jsonb, input jsonb, out status int,'
        . ' out body json, out headers jsonb) language plpgsql'
        . ' security definer';

    my ($asked, $posted, $at_commit) = map {
        "perform pg_sleep(coalesce(($_)::int, 0) / 1000.0)"
    } "params ->> 'ms'", "input ->> 'ms'", 'new.commit_ms';

    $postgres->sql($_) for
        'create schema lab',
        'grant usage on schema lab to prov_partner',
        'create table lab.notes (id uuid primary key, text text,'
            . ' commit_ms int)',
        "create function lab.rest$arguments as \$\$
        begin
            $asked;
            status := 200;
            body := json_build_object('text', repeat('x',
                coalesce((params ->> 'bytes')::int, 1)));
        end \$\$",
        "create function lab.list$arguments as \$\$
        begin
            $asked;
            status := 200;
            body := '{\"data\": []}';
        end \$\$",
        "create function lab.forget$arguments as \$\$
        begin
            execute 'deallocate all';
            status := 200;
            body := '{}';
        end \$\$",
        "create function lab.note$arguments as \$\$
        begin
            insert into lab.notes values ((ctx ->> 'id')::uuid,
                input ->> 'text', (input ->> 'commit_ms')::int);
            $posted;
            status := 201;
            body := json_build_object('id', ctx ->> 'id',
                'length', length(input ->> 'text'));
            perform prov.record(ctx, 'note', (ctx ->> 'id')::uuid, null,
                status, null, body, null);
        end \$\$",
        "create function lab.slow_commit() returns trigger language plpgsql
            as \$\$
        begin
            $at_commit;
            return null;
        end \$\$",
        'create constraint trigger slow_commit after insert on lab.notes'
            . ' deferrable initially deferred for each row'
            . ' when (new.commit_ms > 0) execute function lab.slow_commit()',
        'grant execute on all functions in schema lab to prov_partner';

    return;
}

1;
