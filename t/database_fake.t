#!/usr/bin/perl

# A server that speaks PostgreSQL's protocol and misbehaves in it: it stalls,
# stops in the middle, says what nobody asked for.  Whatever it does, a request
# is answered, a worker goes on, and a change is not said to be what it is not.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;

use Time::HiRes qw(time);

my $TENANTS = '/api/provisioning/tenants';
my $PATH = "$TENANTS/00000000-0000-7000-8000-000000000000";
my @ROW = (200, '{"fake": true}', undef);
my $PATIENT = 'connections 1; queue 64 timeout=20s;';
my $HASTY = 'connections 1; queue 64 timeout=300ms; connect_timeout 60s;';


# A gateway before a server whose connections run the code.

sub against {
    my ($database, $code) = @_;

    my $fake = fake_postgres($code);
    return ($fake, nginx(postgres => $fake, database => $database,
        conninfo => 'dbname=provisioning user=prov_partner password=secret'));
}


sub get {
    my ($nginx) = @_;
    return $nginx->request(GET => $PATH, token => token(), timeout => 60);
}


sub create {
    my ($nginx) = @_;

    return $nginx->request(POST => $TENANTS, token => token(),
        json => { client_name => 'Acme', email => unique_email() },
        timeout => 60);
}


sub startups { scalar(my @all = $_[0]->seen('startup')) }
sub sent { scalar(my @all = $_[0]->seen('E')) }
sub wants { my ($what, @messages) = @_; return grep { $_->{data} =~ $what } @messages }


# While it connects.

for my $case (
    [silence => 'says nothing', sub { $_[0]->stall }],
    [password => 'stalls in the authentication', sub {
        my ($c) = @_;
        $c->send_message(R => pack 'Na4', 5, 'salt');
        $c->stall;
    }],
    [ready => 'stalls after the authentication', sub {
        my ($c) = @_;
        $c->send_message(R => pack 'N', 0);
        $c->stall;
    }],
    [half => 'stalls within a message', sub {
        my ($c) = @_;
        $c->raw("R\0\0");
        $c->stall;
    }],
) {
    my ($name, $does, $code) = @$case;
    my ($fake, $nginx) = against('connections 1; queue 64 timeout=1s;'
        . ' connect_timeout 300ms;', $code);

    my $r = get($nginx);
    is $r->status, 503, "$name: a server that $does is away";
    is $r->code, 'database_unavailable', "$name: the code says so";
    like $nginx->log, qr/connecting to "[^"]+" took longer than connect_timeout/,
        "$name: the log says how";
    is $nginx->request(GET => '/health/live')->status, 200,
        "$name: the worker is alive";
}

for my $case (
    [web => 'is none of PostgreSQL', sub {
        $_[0]->raw("HTTP/1.1 400 Bad Request\r\n\r\n");
    }, qr/connecting failed/],
    [garbage => 'sends garbage', sub {
        $_[0]->raw(join '', map { chr($_ * 37 % 256) } 1 .. 4000);
        $_[0]->stall;
    }, qr/connecting failed/],
    [close => 'closes at once', sub { $_[0]->close },
        qr/connecting failed: .*closed the connection/],
    [fatal => 'refuses', sub {
        $_[0]->raw($_[0]->error('53300', 'sorry, too many clients already',
                                S => 'FATAL', V => 'FATAL'));
    }, qr/connecting failed: .*sorry, too many clients already/],
    [version => 'is too old',
        sub { $_[0]->startup(server_version => '14.9'); $_[0]->stall },
        qr/the server has version 14, but PostgreSQL 15 or later is needed/],
    [standby => 'is a standby',
        sub { $_[0]->startup(in_hot_standby => 'on'); $_[0]->stall },
        qr/is a standby and takes no writes/],
) {
    my ($name, $does, $code, $log) = @$case;
    my ($fake, $nginx) = against($HASTY, $code);

    my $r = get($nginx);
    is $r->code, 'database_unavailable',
        "$name: a server that $does is not used";
    wait_until "$name: the log says why", sub { $nginx->log =~ $log };
    pass "$name: the log says why";
    is sent($fake), 0, "$name: nothing was sent to it";
}

# While it answers: the first connection does something wrong, the next one
# serves.  A read is sent again.

for my $case (
    [half => 'closes within a message', sub {
        my ($c, @query) = @_;
        $c->raw(substr $c->replies(\@query, \@ROW), 0, 30);
    }],
    [almost => 'closes before the last byte', sub {
        my ($c, @query) = @_;
        $c->raw(substr $c->replies(\@query, \@ROW), 0, -1);
    }],
    [rows => 'closes after the rows, before they are committed', sub {
        my ($c, @query) = @_;
        $c->raw(substr $c->replies(\@query, \@ROW), 0, -6);
    }],
    [silence => 'closes without a word', sub { }],
    [garbage => 'sends garbage', sub {
        my ($c) = @_;
        $c->raw(join '', map { chr($_ * 37 % 256) } 1 .. 4000);
        $c->stall;
    }],
    [length => 'sends a message with an impossible length', sub {
        my ($c) = @_;
        $c->raw("C\xff\xff\xff\xff");
        $c->stall;
    }],
    [fields => 'sends a row that does not fit its description', sub {
        my ($c, @query) = @_;
        $c->raw($c->replies(\@query, [200, '{}']));
        $c->stall;
    }],
    [nothing => 'sends no result at all', sub {
        my ($c, @query) = @_;
        $c->raw($c->packet('Z', 'I'));
        $c->stall;
    }],
    [copy => 'begins a copy', sub {
        my ($c, @query) = @_;
        $c->raw(join '', map { $c->packet(@$_) } ['1', ''], ['2', ''],
            ['n', ''], ['G', pack 'Cn', 0, 0]);
        $c->stall;
    }],
    [empty => 'answers as to an empty query', sub {
        my ($c, @query) = @_;
        $c->raw(join '', map { $c->packet(@$_) } ['1', ''], ['2', ''],
            ['n', ''], ['I', ''], ['Z', 'I']);
        $c->stall;
    }],
    [fatal => 'ends the session and does not hang up', sub {
        my ($c) = @_;
        $c->raw($c->error('57P01', 'terminating connection',
                          S => 'FATAL', V => 'FATAL'));
        $c->stall;
    }],
    [stateless => 'sends an error without a code', sub {
        my ($c) = @_;
        $c->raw($c->packet('E', "SERROR\0VERROR\0Mno code\0\0")
                . $c->packet('Z', 'I'));
        $c->stall;
    }],
) {
    my ($name, $does, $code) = @$case;
    my ($fake, $nginx) = against($PATIENT, sub {
        my ($c) = @_;
        $c->startup;
        $c->number == 1 ? $code->($c, $c->messages_until('S'))
                        : $c->serve(\@ROW);
    });
    my $r = get($nginx);
    is $r->status, 200,
        "$name: a read from a server that $does is sent again";
    is $r->body, $ROW[1], "$name: and gets its answer";
    is startups($fake), 2, "$name: over another connection";
    is get($nginx)->status, 200, "$name: that one is kept";
    is startups($fake), 2, "$name: no more are opened";
}

# And a change is asked about.

my ($fake, $nginx) = against($PATIENT, sub {
    my ($c) = @_;
    $c->startup;

    while (1) {
        my @query = $c->messages_until('S');

        if (wants(qr/prov\.outcome/, @query)) {
            $c->raw($c->replies(\@query, [201, '{"found": true}',
                '{"ETag": "\"1\"", "Location": "/x"}']));

        } else {
            $c->raw(substr $c->replies(\@query, \@ROW), 0, -6);
            return;
        }
    }
});

my $r = create($nginx);
is $r->status, 201, 'a change whose commit was not confirmed is asked about';
is $r->body, '{"found": true}', 'and answered as it would have been';
is $r->header('Location'), '/x', 'with its headers';
is scalar(wants(qr/tenant_create/, $fake->seen('P'))), 1,
    'the change itself was sent once';

for my $case (
    ['no row', 502, 'outcome_unknown'],
    ['an error', 502, 'outcome_unknown'],
    ['status 0', 503, 'not_committed', [0, undef, undef]],
    ['a miss', 409, 'email_taken',
     [409, '{"code": "email_taken", "detail": "It is."}', undef]],
) {
    my ($answer, $status, $code, @rows) = @$case;

    my ($fake, $nginx) = against($PATIENT, sub {
        my ($c) = @_;
        $c->startup;
        my @query = $c->messages_until('S');
        $c->raw(wants(qr/prov\.outcome/, @query)
            ? $answer eq 'an error'
                ? $c->error('55P03', 'lock') . $c->packet('Z', 'I')
                : $c->replies(\@query, @rows)
            : '');
    });

    my $r = create($nginx);
    is_deeply [$r->status, $r->code], [$status, $code],
        "a change that is asked about and answered with $answer: $code";
}

# A server that never gets to an end.

($fake, $nginx) = against($PATIENT, sub {
    my ($c) = @_;
    $c->startup;
    $c->messages_until('S');
});

$r = get($nginx);
is $r->status, 503, 'a read that is lost again and again is given up';
is $r->code, 'database_unavailable', 'with a code that says so';
is sent($fake), 4, 'after it was sent four times';

# A server that stalls after it took the query.

for my $part (0, 30) {
    my ($fake, $nginx) = against("$PATIENT query_timeout 500ms;", sub {
        my ($c) = @_;
        $c->startup;
        my @query = $c->messages_until('S');
        $c->raw(substr $c->replies(\@query, \@ROW), 0, $part) if $part;
        $c->stall;
    });
    my $begun = time;
    my $r = get($nginx);
    is $r->status, 504, "a read that stalls after $part bytes is given up";
    is $r->code, 'query_timeout', 'with a code that says so';
    cmp_ok time - $begun, '>=', 0.5, 'not before its time';
    wait_until 'it has arrived', sub { sent($fake) };
    is sent($fake), 1, 'it is not sent again';
}

# Many on one connection, which closes among them.  Those that are sent
# together share a Sync, so how many are answered before is not known.  No two
# that are alike come after each other, since these would share a statement.

($fake, $nginx) = against($PATIENT, sub {
    my ($c) = @_;
    $c->startup;
    $c->serve(\@ROW) if $c->number > 1;

    my @messages;
    push @messages, $c->messages_until('S')
        until 4 == grep { $_->{type} eq 'E' } @messages;

    my ($end) = grep { $messages[$_]{type} eq 'S' } 0 .. $#messages;
    my @rest = splice @messages, $end + 1;

    $c->raw($c->replies(\@messages, [200, '{"number": 1}', undef])
        . substr $c->replies(\@rest, [200, '{"number": 2}', undef]), 0, 9);
});

my @connections = map {
    my $connection = $nginx->connection;
    $connection->send_request(GET => $_, token => token());
    $connection;
} ($PATH, "$PATH/configuration") x 2;
my @responses = map { $_->read_response(timeout => 60) } @connections;

is_deeply [map { $_->status } @responses], [(200) x 4],
    'of reads on a connection that closes among them all are answered';
my $there = grep { $_->body eq '{"number": 1}' } @responses;
cmp_ok $there, '>=', 1, 'the first ones from there';
is scalar(grep { $_->body eq '{"fake": true}' } @responses), 4 - $there,
    'the others from the next connection';
is sent($fake), 4 + 4 - $there, 'each was sent as often as was needed';

# The error that comes at the Sync, after the rows.

($fake, $nginx) = against($PATIENT, sub {
    my ($c) = @_;
    $c->startup;

    for my $state ('40001', '57014', '23505', undef) {
        my @query = $c->messages_until('S');
        my $bytes = $c->replies(\@query, \@ROW);
        substr($bytes, -6, 0) = $c->error($state, 'at the commit')
            if defined $state;
        $c->raw($bytes);
    }

    $c->stall;
});

is get($nginx)->status, 504,
    'rows that are followed by an error are no answer (57014, after a 40001)';
is sent($fake), 2, 'the one that asks for it was sent again';
is get($nginx)->status, 409, 'any other counts as well';
is get($nginx)->status, 200, 'the connection is still good';
is startups($fake), 1, 'it was the same all along';

# What is said without being asked.

($fake, $nginx) = against($PATIENT, sub {
    my ($c) = @_;
    $c->startup;
    my $noise = $c->packet('N', "SNOTICE\0VNOTICE\0C00000\0Mdid you know\0\0")
        . $c->packet('S', "application_name\0other\0")
        . $c->packet('A', pack('N', 1) . "channel\0payload\0");
    $c->raw($noise);

    while (1) {
        my @query = $c->messages_until('S');
        $c->raw($noise . $c->replies(\@query, \@ROW) . $noise);
    }
});

is_deeply [map { get($nginx)->status } 1 .. 3], [(200) x 3],
    'notices, parameters and notifications disturb nobody';
is startups($fake), 1, 'the connection is kept';
like $nginx->log, qr/the server says: did you know/, 'notices are logged';

# A transaction is left open.

($fake, $nginx) = against($PATIENT, sub {
    my ($c) = @_;
    $c->startup;
    my @query = $c->messages_until('S');
    my $bytes = $c->replies(\@query, \@ROW);
    substr($bytes, -1) = 'T' if $c->number == 1;
    $c->raw($bytes);
    $c->stall;
});

is get($nginx)->status, 200, 'an answer that leaves a transaction open counts';
is get($nginx)->status, 200, 'and the next one';
is startups($fake), 2, 'has a connection of its own: the first was not clean';
like $nginx->log, qr/a connection was not clean after its last query/,
    'the log says so';

# A reply in single bytes.

($fake, $nginx) = against($PATIENT, sub {
    my ($c) = @_;
    $c->startup;

    while (1) {
        my @query = $c->messages_until('S');
        for my $byte (split //, $c->replies(\@query, \@ROW)) {
            $c->raw($byte);
            select undef, undef, undef, 0.001;
        }
    }
});

is_deeply [map { get($nginx)->body } 1 .. 2], [($ROW[1]) x 2],
    'a reply that comes byte by byte is an answer like any other';

# A statement that cannot be prepared, now, is tried again by the next request.

($fake, $nginx) = against($PATIENT, sub {
    my ($c) = @_;
    $c->startup;

    for my $number (1 .. 4) {
        my @query = $c->messages_until('S');
        $c->raw($number < 3
            ? $c->error('42883', 'no such function') . $c->packet('Z', 'I')
            : $c->replies(\@query, \@ROW));
    }
});

is_deeply [map { $_->status . $_->code } map { get($nginx) } 1 .. 4],
    [('503operation_unavailable') x 2, (200) x 2],
    'a function that was missing is found when it is there';
is scalar($fake->seen('P')), 3, 'it was prepared until it was, and no more';

# A server that has forgotten a statement, or whose answer has another form.

for my $state ('26000', '0A000') {
    my ($fake, $nginx) = against($PATIENT, sub {
        my ($c) = @_;
        $c->startup;

        for my $number (1 .. 5) {
            my @query = $c->messages_until('S');
            $c->raw($number == 2
                ? $c->error($state, 'stale') . $c->packet('Z', 'I')
                : $c->replies(\@query, \@ROW));
        }
    });

    is_deeply [map { get($nginx)->status } 1 .. 3], [(200) x 3],
        "$state: a statement that is stale is prepared again";
    my @names = map { $_->{data} =~ /\A([^\0]*)\0/ } $fake->seen('P');
    is scalar(@names), 2, "$state: once";
    isnt $names[0], $names[1], "$state: under another name";
    is sent($fake), 4, "$state: what was refused was sent again";
}

# One that says so for ever: neither an endless loop nor endless memory.

($fake, $nginx) = against($PATIENT, sub {
    my ($c) = @_;
    $c->startup;

    while (1) {
        my @query = $c->messages_until('S');
        $c->raw((wants(qr/./s, grep { $_->{type} eq 'P' } @query)
                    ? $c->packet('1', '') : '')
            . $c->error('0A000', 'not supported, ever')
            . $c->packet('Z', 'I'));
    }
});

my %status;
my $connection = $nginx->connection;

for (1 .. 400) {
    $connection->send_request(GET => $PATH, token => token(), keep => 1);
    $status{ $connection->read_response->status }++;
}

is_deeply \%status, { 500 => 400 },
    'a function that always fails as if it were stale is just one that fails';
my %prepared;
$prepared{ $_->{connection} }++ for $fake->seen('P');
my ($most) = sort { $b <=> $a } values %prepared;

# as often as there are statements, and some times more

cmp_ok $most, '<=', 300, 'no connection prepares without end';
cmp_ok sent($fake), '<=', 800, 'and no request is sent more than twice for it';

done_testing;
