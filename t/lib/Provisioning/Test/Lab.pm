package Provisioning::Test::Lab;

# An API of the tests' own, whose operations take as long and are as large as
# a test wants.
#
#     my $postgres = postgres();
#     my $nginx = nginx(postgres => $postgres, locations => lab($postgres));
#
#     GET  /api/lab/rest?ms=…&hold=…&bytes=…
#         shares a connection
#     GET  /api/lab/list?ms=…&hold=…&limit=…
#         a list: has its connection alone
#     POST /api/lab/notes {"text": …, "ms": …, "hold": …, "commit_ms": …}
#         a row of lab.notes; takes its time before its audit entry, or at
#         commit, which with a commit_ms does not end in that time either
#     GET  /api/lab/forget
#         the session forgets its statements
#
# With hold=1 they do not end between lab_hold($postgres) and
# lab_release($postgres).  lab_waits($postgres) says how many are running.
#
# After lab_tell($postgres) they tell what they were "asked" (bytes, limit or
# text), the "input", whose "partner" they serve and which one they "see", and
# in which "statement" and "session".  13 is refused as "unlucky", 14 not
# answered.  lab_told(statement => @answers) says how many different ones told.
#
# lab_load($nginx, keep => 1) makes notes in the background, one after the
# other, and reads between them; keep => 1 does so over connections that are
# kept.  lab_verdict($postgres, @jobs) ends such jobs and compares what they
# were told with what is there:
#
#     answers   how often each status or code was answered, to notes and reads
#     wrong     notes whose answer is not what the table says
#     dropped   requests on new connections that got no answer at all
#     closed    requests on kept connections that got none, as may happen when
#               the server closes a connection that it finds idle

use strict;
use warnings;

use Exporter 'import';
use JSON::PP ();

our @EXPORT = qw(lab lab_waits lab_hold lab_release lab_tell lab_told lab_load
    lab_verdict);

my $ARGUMENTS = '(ctx jsonb, params jsonb, input jsonb, out status int,'
    . ' out body json, out headers jsonb) language plpgsql'
    . ' security definer';


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
        . " where usename = 'prov_partner' and state = 'active'");
}

sub lab_hold    { $_[0]->sql('insert into lab.gate default values') }
sub lab_release { $_[0]->sql('delete from lab.gate') }

sub waiting {
    my ($ms, $hold) = @_;

    return "perform pg_sleep(coalesce(($ms)::int, 0) / 1000.0);
        while ($hold)::int > 0 and exists (select from lab.gate) loop
            perform pg_sleep(0.02);
        end loop";
}


# A statement begins when it arrives: so those of one statement say the same.

sub lab_tell {
    my ($postgres) = @_;

    my $tell = "'partner', ctx -> 'partner', 'sees',"
        . " current_setting('prov.partner'), 'statement',"
        . " statement_timestamp()::text, 'session', pg_backend_pid()";

    for (['rest', 'bytes'], ['list', 'limit']) {
        my ($name, $asked) = @$_;
        my $wait = waiting("params ->> 'ms'", "params ->> 'hold'");

        $postgres->sql("create or replace function lab.$name$ARGUMENTS as \$\$
            begin
                if params ->> '$asked' = '14' then
                    return;
                end if;
                $wait;
                if params ->> '$asked' = '13' then
                    raise 'An unlucky read.' using errcode = 'PV409',
                        constraint = 'unlucky';
                end if;
                status := 200;
                body := json_build_object('asked', params -> '$asked',
                    'input', input, $tell);
            end \$\$");
    }

    $postgres->sql("create or replace function lab.note$ARGUMENTS as \$\$
        begin
            status := 201;
            body := json_build_object('asked', input -> 'text', $tell);
            perform prov.record(ctx, 'note', (ctx ->> 'id')::uuid,
                (ctx ->> 'id')::uuid, status, null, body, null);
        end \$\$");
    $postgres->allow(qr/ PV409 .*An unlucky read/);
    return;
}

sub lab_told {
    my ($what, @answers) = @_;
    my %told = map { $_->json->{$what} => 1 } @answers;
    return scalar keys %told;
}


my $loads = 0;

sub lab_load {
    my ($nginx, %o) = @_;
    my $name = "load-$$-" . ++$loads;

    return Provisioning::Test::background(sub {
        my ($go_on) = @_;
        my (@made, %reads, $kept);
        my ($dropped, $closed) = (0, 0);

        my $ask = sub {
            my ($method, $path, %request) = @_;
            my $used = $kept;

            my $r = eval {
                $kept ||= $nginx->connection;
                $kept->send_request($method, "/api/lab/$path",
                    token => Provisioning::Test::token(), keep => $o{keep},
                    %request) or return;
                $kept->read_response(timeout => 60);
            };

            undef $kept unless $r && $o{keep}
                && lc($r->header('Connection') || '') ne 'close';
            return $r if $r;

            $used ? $closed++ : $dropped++;
            return;
        };

        while ($go_on->() || @made < 5) {
            my $text = "$name-" . @made;
            my $r = $ask->(POST => 'notes',
                json => { text => $text, ms => $o{ms} || 0 });

            push @made, [$text, $r ? $r->code || $r->status : 'none'];

            $r = $ask->(GET => 'rest') or next;
            $reads{ $r->code || $r->status }++;
        }

        return [\@made, \%reads, $dropped, $closed];
    });
}


sub lab_verdict {
    my ($postgres, @jobs) = @_;
    my %verdict = (wrong => [], dropped => 0, closed => 0);

    for my $result (map { $_->finish } @jobs) {
        my ($made, $reads, $dropped, $closed) = @$result;

        $verdict{answers}{$_} += $reads->{$_} for keys %$reads;
        $verdict{dropped} += $dropped;
        $verdict{closed} += $closed;

        for (@$made) {
            my ($text, $answer) = @$_;
            my $rows = $postgres->value(
                'select count(*) from lab.notes where text = ?', $text);

            $verdict{answers}{$answer}++;
            push @{ $verdict{wrong} }, "$text was answered $answer and is"
                . " there $rows times" unless $answer eq '201' ? $rows == 1
                    : $answer eq 'outcome_unknown' ? $rows < 2 : $rows == 0;
        }
    }

    return \%verdict;
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
            '/rest'   => $read->('rest', 'ms', 'hold', 'bytes'),
            '/list'   => $read->('list', 'ms', 'hold', 'limit'),
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
                            hold      => $number,
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

    my ($asked, $posted) = map { waiting("$_ ->> 'ms'", "$_ ->> 'hold'") }
        'params', 'input';
    my $at_commit = waiting('new.commit_ms', 'new.commit_ms');

    $postgres->sql($_) for
        'create schema lab',
        'grant usage on schema lab to prov_partner',
        'create table lab.notes (id uuid primary key, text text,'
            . ' commit_ms int)',
        'create table lab.gate ()',
        "create function lab.rest$ARGUMENTS as \$\$
        begin
            $asked;
            status := 200;
            body := json_build_object('text', repeat('x',
                coalesce((params ->> 'bytes')::int, 1)));
        end \$\$",
        "create function lab.list$ARGUMENTS as \$\$
        begin
            $asked;
            status := 200;
            body := '{\"data\": []}';
        end \$\$",
        "create function lab.forget$ARGUMENTS as \$\$
        begin
            execute 'deallocate all';
            status := 200;
            body := '{}';
        end \$\$",
        "create function lab.note$ARGUMENTS as \$\$
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
            security definer as \$\$
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
