package Provisioning::Test;

# The harness; perldoc t/lib/Provisioning/Test.pod is its manual.

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

# seconds that a wait may take before it is in vain: for a machine that is very
# slow, as who waits goes on as soon as he may
our $patience = $ENV{PROV_TEST_SANITIZED} ? 180 : 60;

use Exporter 'import';
use File::Basename ();
use File::Path ();
use File::Temp ();
use IO::Socket::INET;
use Test::More ();
use Time::HiRes qw(sleep time);

use Provisioning::Test::Background;
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
       halt background directory unique_email reserve_port outside done_testing
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


# Stops processes, and returns when none of them moves any more: until then a
# worker may still take what is sent to it next.

sub halt {
    my (@pids) = @_;

    kill 'STOP', @pids;

    for my $pid (@pids) {
        wait_until("process $pid has stopped", sub {
            my $state = Provisioning::Test::Process::state($pid);
            !defined $state || $state =~ /[TtZX]/;
        });
    }

    return;
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

1;
