package Provisioning::Test;

=encoding utf8

=head1 NAME

Provisioning::Test - servers, clients and tokens for the tests of this project

=head1 SYNOPSIS

    use strict;
    use warnings;
    use FindBin;
    use lib "$FindBin::Bin/lib";
    use Provisioning::Test;

    my ($postgres, $nginx) = gateway();

    my $r = $nginx->request(POST => '/api/provisioning/tenants',
        token => token(),
        json  => { client_name => 'Acme Retail', email => unique_email() });

    is $r->status, 201, 'a partner creates a tenant';
    is $r->json->{status}, 'active', 'the new tenant is active';

    $r = $nginx->request(GET => '/api/provisioning/tenants',
        token => token(partner => 'globex'));
    is_deeply $r->json->{data}, [], 'another partner sees nothing of it';

    done_testing;

=head1 DESCRIPTION

Everything Test::More exports is exported, and besides it what is described
here (C<authority>, C<certificate> and C<names> when they are asked for).  A
test starts servers of its own, in a temporary directory of its own, and C<done_testing> (this module's) stops them and makes the file fail when

=over

=item *

nginx did not leave when asked, or not with exit code 0;

=item *

an error log has an C<[alert]>, an C<[emerg]>, a process that "exited on
signal", or a sanitizer has reported anything (leaks at a worker's exit are
reported, too);

=item *

PostgreSQL's log has an ERROR, FATAL or PANIC that nobody said to expect;

=item *

a process, a shared memory segment or a file is left.

=back

A test that provokes such a line says so beforehand, as narrowly as it can:
C<< $nginx->allow(qr/…/) >>, C<< $postgres->allow(qr/ PV409 /) >>.  The pattern
is matched against single lines; PostgreSQL's have the SQLSTATE between blanks.

Run one file with C<prove t/name.t>, after C<make>.  C<PROV_TEST_DEBUG=1> has
nginx log at debug level, C<PROV_TEST_KEEP=1> keeps the directory and says
where it is.

Every wait is a poll with a deadline.  Write C<wait_until>, never C<sleep>.

=head1 FUNCTIONS

=head2 Servers

=over

=item ($postgres, $nginx) = gateway(%pieces)

A PostgreSQL with two partners, C<acme> and C<globex>, and an nginx in front of
it that is ready.

=item $postgres = postgres(%options)

C<< tcp => 1 >> listens on 127.0.0.1, too; C<< settings => { … } >> are
postgresql.conf's; C<< start => 0 >> leaves it stopped.
C<< standby_of => $postgres >> replicates another one, whose settings must have
C<wal_level> and C<max_wal_senders> for it.

=item $nginx = nginx(%pieces)

Starts nginx.  Pieces of its configuration, all optional:

    postgres   whose database it uses (also a fake, a relay)
    address    of provisioning_database's "server", instead
    workers, master  of worker_processes, master_process
    main       directives of the main context
    events     in "events"
    database   in provisioning_database; "connections 2;" by default
    conninfo   its "conninfo", instead of the role prov_partner's
    issuer     in the issuer "test", which has all of our keys' public halves
    http, server, locations    in those blocks
    api        in "location /api/provisioning/"
    config     the whole text, instead of all of these
    start      0: only write the configuration
    leaks      0: the test has nginx end with requests that it abandons, and
               a sanitizer would call that a leak

In all of them C<%%NAME%%> is replaced: DIR (its directory), PORT and H2_PORT
(its listening sockets; HTTP/2 without TLS is on the second), DATABASE (the
server's address), OPENAPI (the directory conf/openapi), MODULE, ISSUER,
AUDIENCE, JWKS, and for a whole text MAIN (load_module, pid, error_log, daemon,
user) and HTTP (temporary paths), which every configuration must begin its
main and http contexts with.

=item $fake = fake_postgres(sub { my ($c) = @_; … })

A server whose every connection runs the code in a process of its own:

    fake_postgres(sub {
        my ($c) = @_;
        $c->startup;
        my @query = $c->messages_until('S');
        $c->raw(substr $c->replies(\@query, [200, '{}', undef]), 0, 30);
        $c->close;
    });

C<startup(%parameters)>, C<message> (a hash with type and data),
C<messages_until($type)>, C<replies(\@messages, @rows)> (bytes that answer
them), C<error($sqlstate, $message)> (bytes), C<packet($type, $data)> (bytes),
C<send_message($type, $data)>, C<raw($bytes)>, C<serve(@rows)> (answers for
ever), C<stall> (says nothing until the client closes), C<close>, C<number> (of
the connection, from 1).  The test asks C<< $fake->seen('B') >> what came in,
and C<< $fake->stop >>s it.

=item $relay = relay($postgres)

Forwards between nginx and a PostgreSQL.  C<pass>, C<refuse>, C<cut>, C<stall>,
C<stall_replies> come into force before they return;
C<< cut_reply_to(qr/x@example/) >>, C<half_reply_to> and C<cut_request> wait
for one request whose bytes match; C<cuts> says how often that has happened.

=item $receiver = receiver(sub { my ($c, $request) = @_; … }, %options)

A server that requests are sent to, on 127.0.0.1.  Each connection is a
process of its own, which gives the code one request after the other: a hash
with C<method>, C<path>, C<headers> (names in small letters), C<body>, C<head>.

    receiver(sub {
        my ($c, $request) = @_;
        $c->stall if $request->{path} eq '/hangs';
        $c->answer(200, 'fine', 'Retry-After' => 5);
    });

C<answer($status, $body, %headers)>, C<raw($bytes)>, C<stall> (says nothing
more until the client closes), C<close>, C<reset> (RST), C<number> (of the
connection, from 1), C<resumed> (its TLS session).  Options:
C<< tls => { cert => $file, key => $file, version => 'TLSv1_1' } >>, C<name>
(in its URL, instead of the address), C<address> (to listen on), C<greeting>
(bytes that it sends at once).  The test asks for its C<url($path)> and
C<port>, and C<< ->seen($path) >> which requests came, with C<connection> and C<time>, how many C<connections> there
were and how many of them are C<gone>, and C<stop>s it.

=item $names = names(sub { my ($name, $type, $before) = @_; … })

A name server whose answers are addresses that the code returns: for a name,
C<A> or C<AAAA>, and how often that was asked for before.  C<undef> is silence.
An nginx asks it when $Provisioning::Test::Nginx::binary is its C<binary> while
it is started.  C<seen($name, $type)> counts; C<stop> ends it.
C<Provisioning::Test::Names::missing()> says why it cannot be had here.

=item certificate($name, %options)

Files C<cert> and C<key> for the name (or address), signed by C<authority()>,
whose C<cert> is to be trusted.  Options: C<days> (negative: it is over),
C<self> (signed by itself).

=back

=head2 $postgres

C<start>, C<stop($mode)> (smart, fast, immediate), C<restart($mode)>, C<crash>
(kill -9), C<freeze> and C<thaw> (it is there and does not move),
C<kill_backends($role)> (kill -9), C<backends($role)> (pids), C<pid>,
C<commit_slowly> (what is named "sleep1" for a second) and C<committing>,
C<sql($text, @values)> (rows as hashes), C<value($text, @values)>,
C<connect_as($role)> (a DBI handle), C<partner($slug)> (its id), C<server> and
C<tcp_server> (as nginx.conf has it), C<url($database, $role)>, C<port>,
C<socket_dir>, C<log>, C<allow(@patterns)>.

=head2 $nginx

=over

=item request($method, $path, %options)

One request on a connection of its own.  Options: C<token>, C<json> (a
structure), C<body> (bytes), C<headers> (a hash, or a list when names repeat or
their order counts; a value C<undef> leaves a header out), C<version> ("1.0"),
C<port>, C<timeout>.

The response: C<status>, C<header($name)>, C<header_values($name)>,
C<header_names>, C<type>, C<body>, C<json>, C<code> (a problem document's, ""
for anything else), C<head> (its bytes), C<version>, C<reason>, C<interim> (1xx
before it).

=item connection(port => $port)

A connection for exact bytes: C<write($bytes)>, C<send_request(…)> (as
C<request>; C<< keep => 1 >> leaves "Connection: close" out),
C<read_response(head => 1, interim => 1, timeout => $seconds)>, C<read_all>,
C<closed($seconds)>, C<shut> (our half), C<reset> (RST), C<close>.
C<< Provisioning::Test::HTTP->chunks(@pieces) >> is their chunked coding,
C<< ->compose($method, $path, %options) >> a request's bytes.

=item others

C<start>, C<stop($signal)> (QUIT by default), C<reload> (returns the pids that
now leave; dies when the configuration is refused), C<configure(%pieces)> (before a C<reload>), C<test(%pieces)>
(nginx -t: whether it accepts, and what it says), C<ready> (waits), C<workers>
(pids), C<pid>, C<crash>, C<port>, C<h2_port>, C<directory>, C<write_file($name,
$text)> and C<read_file($name)> in it, C<log>, C<access_log>,
C<allow(@patterns)>.

=back

=head2 Tokens

=over

=item token(%options)

A valid token: partner acme, role partner-admin, an hour, RS256.  Options:
C<key> (rsa, ec256, ec384, ec521, ed25519; small has 1024 bits, secret is for
HS256, rsa2 is in nobody's key set), C<alg>, C<iss aud sub iat exp nbf partner
roles> (undef leaves one out), C<claims> (others), C<header> (others).

=item signed($header, $payload, %options)

A token of exactly these two texts.  Options: C<key>, C<alg> ("none" signs
nothing; HS256 with an RSA key uses its public PEM as the secret), C<secret>.

=item crypt_jwt(%options)

The same as C<token>, made by Crypt::JWT.

=item jwk($key, %members), jwks(@keys), public_pem($key), private_pem($key)

=back

=head2 Others

=over

=item wait_until($sentence, $code, $seconds)

Polls until the code returns something true, and returns it; dies with the
sentence otherwise.

=item background(sub { my ($go_on) = @_; … })

Runs code in a child; C<< $job->finish($seconds) >> makes C<< $go_on->() >>
false and returns what the code returned (anything JSON can hold); it waits no
longer than that.

=item directory()

The test's own directory.

=item unique_email()

=item reserve_port()

A port of 127.0.0.1 that nobody else will get while the test runs: it is bound
here, never listened on, and with SO_REUSEADDR a server may still bind it.

=item outside()

What the environment had to say about proxies, as names and values; in the
environment of a test it is not any more.

=item $Provisioning::Test::patience

Seconds that anything may take: 10, more with a sanitizer.

=back

=cut

use strict;
use warnings;

BEGIN {
    # no wait, no connection and no message of a test depends on who runs it;
    # what fetches packages may ask outside() how that is done here
    $ENV{PROV_TEST_OUTSIDE} //= join "\n", map { "$_=$ENV{$_}" }
        grep { /_proxy$/i } sort keys %ENV;
    delete @ENV{ grep { /^PG|_proxy$/i } keys %ENV };
    $ENV{LC_ALL} = 'C.UTF-8';
    $ENV{PATH} .= ':/usr/sbin:/sbin';
}

our $patience = $ENV{PROV_TEST_SANITIZED} ? 40 : 10;

use Exporter 'import';
use File::Basename ();
use File::Path ();
use File::Temp ();
use IO::Socket::INET;
use JSON::PP ();
use Test::More ();
use Time::HiRes qw(sleep time);

use Provisioning::Test::FakePostgres;
use Provisioning::Test::HTTP;
use Provisioning::Test::Postgres;
use Provisioning::Test::Names;
use Provisioning::Test::Nginx;
use Provisioning::Test::Certificate;
use Provisioning::Test::Process;
use Provisioning::Test::Receiver;
use Provisioning::Test::Relay;
use Provisioning::Test::Token;

our @EXPORT = (
    qw(gateway postgres nginx fake_postgres relay receiver wait_until
       background directory unique_email reserve_port outside done_testing
       token signed crypt_jwt jwk jwks public_pem private_pem),
    grep { $_ ne 'done_testing' } @Test::More::EXPORT);

our @EXPORT_OK = qw(authority certificate names);

{
    no strict 'refs';
    *$_ = \&{"Test::More::$_"}
        for grep { /^\w/ && $_ ne 'done_testing' } @Test::More::EXPORT;
    *$_ = \&{"Provisioning::Test::Token::$_"}
        for qw(token signed crypt_jwt jwk jwks public_pem private_pem);
    our $TODO;
    *TODO = \$Test::More::TODO;
}

my $owner = $$;
my $directory;
my %count;
my (@postgres, @nginx, @reserved);

$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);


# A directory that PostgreSQL's own user can reach, with a name short enough
# for unix sockets, which may have 107 bytes.

sub directory {
    return $directory if $directory;

    my $parent = $ENV{TMPDIR} || '/tmp';
    $parent = '/tmp' if length $parent > 60 || !reachable($parent);

    $directory = File::Temp::tempdir('provisioning-XXXXXX', DIR => $parent);
    chmod 0755, $directory or die "$directory: $!";

    return $directory;
}


sub reachable {
    my ($path) = @_;

    return 1 if $> != 0;

    while ($path ne '/' && $path ne '.') {
        return 0 unless ((stat $path)[2] // 0) & 01;
        $path = File::Basename::dirname($path);
    }

    return 1;
}


sub numbered { directory() . "/$_[0]" . ++$count{ $_[0] } }


# What is made once for all files, by the runner, or else for this one.

sub template {
    our $template ||= $ENV{PROV_TEST_TEMPLATE}
        || Provisioning::Test::Postgres::make_template(directory()
                                                       . '/template');
    return $template;
}

Provisioning::Test::Token::keep_in(sub {
    return $ENV{PROV_TEST_TEMPLATE} || directory();
});


sub gateway {
    my (%o) = @_;

    my $postgres = delete $o{postgres} || postgres();
    my $nginx = nginx(%o, postgres => $postgres);

    $nginx->ready unless defined $o{start} && !$o{start};

    return ($postgres, $nginx);
}


sub postgres {
    my (%o) = @_;

    my $postgres = Provisioning::Test::Postgres->new(numbered('pg'),
        template(), %o, tcp => $o{tcp} && reserve_port());

    push @postgres, $postgres;
    return $postgres;
}


sub nginx {
    my (%o) = @_;

    my $postgres = delete $o{postgres};

    my $nginx = Provisioning::Test::Nginx->new(numbered('nginx'), %o,
        ports => { main => reserve_port(), h2 => reserve_port() },
        address => $o{address}
            || ($postgres ? $postgres->server : 'unix:' . directory()));

    push @nginx, $nginx;
    $nginx->start unless defined $o{start} && !$o{start};

    return $nginx;
}


sub fake_postgres {
    my ($code) = @_;
    return Provisioning::Test::FakePostgres->new(numbered('fake'),
        reserve_port(), $code);
}


sub relay {
    my ($postgres) = @_;
    return Provisioning::Test::Relay->new(numbered('relay'), reserve_port(),
        $postgres->socket_dir . '/.s.PGSQL.' . $postgres->port);
}


sub receiver {
    my ($code, %o) = @_;
    return Provisioning::Test::Receiver->new(numbered('receiver'),
        reserve_port(), $code, %o);
}


sub names {
    my ($code) = @_;
    return Provisioning::Test::Names->new(numbered('names'), $code);
}


sub authority { Provisioning::Test::Certificate::authority(directory()) }


sub certificate {
    my ($name, %o) = @_;
    return Provisioning::Test::Certificate::make(numbered('certificate'),
        authority(), $name, %o);
}


sub reserve_port {
    my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1',
        Proto => 'tcp', ReuseAddr => 1) or die "no free port: $!";

    push @reserved, $socket;
    return $socket->sockport;
}


sub wait_until {
    my ($sentence, $code, $seconds) = @_;
    my $deadline = time + ($seconds || $patience);

    while (1) {
        my $result = $code->();
        return $result if $result;
        die "waited in vain: $sentence\n" if time > $deadline;
        sleep 0.02;
    }
}


sub background {
    my ($code) = @_;
    return Provisioning::Test::Background->new($code);
}


sub unique_email {
    return sprintf 'owner-%d-%d@example.com', $$, ++$count{email};
}


sub outside {
    return map { split /=/, $_, 2 } split /\n/, $ENV{PROV_TEST_OUTSIDE};
}


sub done_testing {
    for my $nginx (@nginx) {
        next unless $nginx->{process};
        Test::More::ok($nginx->stop, 'nginx leaves when asked to')
            or Test::More::diag($nginx->log);
    }

    $_->stop for @postgres;

    complain('nginx has logged no alert, no crash and no sanitizer report',
        map { $_->complaints } @nginx) if @nginx;
    complain('PostgreSQL has logged no error that is not part of a test',
        map { $_->complaints } @postgres) if @postgres;
    complain('no process, shared memory or file is left', clean_up());

    return Test::More::done_testing(@_);
}


sub complain {
    my ($name, @lines) = @_;

    Test::More::is(scalar @lines, 0, $name)
        or Test::More::diag(join "\n", @lines);
    return;
}


# What was left; now it is not any more.

sub clean_up {
    my @left = map { "process: $_" } grep { !/^(?:relay|fake|background)/ }
        Provisioning::Test::Process::end_all();

    # one that a crash has left, and no start has taken away, is in order
    for my $postgres (@postgres) {
        my $removed = $postgres->remove_shared_memory;
        push @left, 'shared memory of PostgreSQL'
            if $removed && !$postgres->{crashed};
    }

    if (defined $directory && $ENV{PROV_TEST_KEEP}) {
        Test::More::diag("kept: $directory");

    } elsif (defined $directory) {
        File::Path::remove_tree($directory);
        push @left, "directory: $directory" if -e $directory;
    }

    undef $directory;
    @nginx = @postgres = ();
    return @left;
}


END {
    if ($$ == $owner) {
        local $?;
        clean_up();
    }
}


package Provisioning::Test::Background;

use strict;
use warnings;

use IO::Handle;
use Socket qw(AF_UNIX SOCK_STREAM PF_UNSPEC);

# One socket pair: a byte from the test says stop, a line from the child is the
# result.  Neither waits for an end of file: children that are forked later
# hold copies of both ends.

sub new {
    my ($class, $code) = @_;

    socketpair my $ours, my $its, AF_UNIX, SOCK_STREAM, PF_UNSPEC
        or die "socketpair: $!";

    my $process = Provisioning::Test::Process->fork_off('background', sub {
        my $go_on = sub {
            my $bits = '';
            vec($bits, fileno $its, 1) = 1;
            return select($bits, undef, undef, 0) < 1;
        };

        print {$its} JSON::PP->new->allow_nonref->encode($code->($go_on)),
            "\n";
        $its->flush;
    });

    close $its;
    return bless { process => $process, socket => $ours }, $class;
}


sub finish {
    my ($self, $seconds) = @_;

    local $SIG{PIPE} = 'IGNORE';
    syswrite $self->{socket}, '.';

    my ($text, $bits) = ('', '');
    vec($bits, fileno $self->{socket}, 1) = 1;

    until ($text =~ /\n/) {
        select(my $ready = $bits, undef, undef,
               $seconds || $Provisioning::Test::patience)
            and sysread $self->{socket}, $text, 65536, length $text
            or die "a job in the background died, or does not end\n";
    }

    $self->{process}->wait_for_end($Provisioning::Test::patience);

    return JSON::PP->new->allow_nonref->decode($text);
}

1;
