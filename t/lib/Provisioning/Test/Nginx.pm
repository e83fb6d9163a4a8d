package Provisioning::Test::Nginx;

# An nginx with the module, in a directory of a test's own.  See
# Provisioning::Test for the manual.

use strict;
use warnings;

use Time::HiRes qw(sleep time);

use Provisioning::Test::HTTP;
use Provisioning::Test::Postgres;
use Provisioning::Test::Process;
use Provisioning::Test::Token;

my $tree = Provisioning::Test::Postgres::tree();

# What make built, or what the runner says is to be tested; no module where it
# is linked in.

our $binary    = $ENV{PROV_TEST_NGINX} || 'nginx';
our $module    = $ENV{PROV_TEST_MODULE}
                 || "$tree/build/ngx_http_provisioning_module.so";
our $sanitized = $ENV{PROV_TEST_SANITIZED};


# The configuration that a test has unless it says otherwise.  A test fills in
# pieces (<<name>>) or gives a text of its own; %%NAME%% are the harness's.

my $template = <<'END';
%%MAIN%%
worker_processes <<workers>>;
master_process <<master>>;
<<main>>

events {
    worker_connections 2048;
    <<events>>
}

http {
    %%HTTP%%

    log_format provisioning '$status $request_method $request_uri'
        ' operation=$provisioning_operation subject=$provisioning_subject'
        ' partner=$provisioning_partner roles=$provisioning_roles'
        ' tenant=$provisioning_tenant code=$provisioning_code'
        ' queue=$provisioning_queue_time db=$provisioning_db_time';

    access_log %%DIR%%/access.log provisioning;

    provisioning_database tenants {
        server %%DATABASE%%;
        conninfo "<<conninfo>>";
        <<database>>
    }

    provisioning_issuer test {
        iss %%ISSUER%%;
        audience %%AUDIENCE%%;
        jwks %%JWKS%%;
        <<issuer>>
    }

    provisioning_secrets_key %%SECRETS%% id=test;

    <<http>>

    server {
        listen 127.0.0.1:%%PORT%%;
        listen 127.0.0.1:%%H2_PORT%% http2;
        <<server>>

        location /api/provisioning/ {
            provisioning_auth test keys=tenants;
            provisioning_api %%OPENAPI%%/partner.json;
            provisioning_pass tenants;
            <<api>>
        }

        location /health/ {
            provisioning_api %%OPENAPI%%/partner.json prefix=/;
            provisioning_pass tenants;
        }

        <<locations>>
    }
}
END

my %defaults = (
    workers  => 1,
    master   => 'on',
    database => 'connections 2;',
    conninfo => 'dbname=provisioning user=prov_partner',
);

my @pieces = qw(workers master main events database conninfo issuer http server
                api locations);

# Times of a database, where a test gives none: the product's own would end on a
# busy machine.

my @patient = (['queue', 'queue 1024 timeout=20s;'],
    ['connect_timeout', 'connect_timeout 20s;'],
    ['query_timeout', 'query_timeout 40s;']);

my @ordinary;    # no line of an error log is expected by default


# new(directory, ports => {…}, address => of the database, pieces …)

sub new {
    my ($class, $directory, %o) = @_;

    mkdir $directory or die "$directory: $!";

    my $self = bless {
        directory => $directory,
        log       => "$directory/error.log",
        ports     => $o{ports},
        values    => {
            DIR      => $directory,
            PORT     => $o{ports}{main},
            H2_PORT  => $o{ports}{h2},
            MODULE   => $module,
            OPENAPI  => "$tree/conf/openapi",
            DATABASE => $o{address},
            ISSUER   => $Provisioning::Test::Token::ISSUER,
            AUDIENCE => $Provisioning::Test::Token::AUDIENCE,
            JWKS     => "$directory/jwks.json",
            SECRETS  => "$directory/secrets.key",
        },
        allowed   => [@ordinary],
        leaks     => defined $o{leaks} ? $o{leaks} : 1,
    }, $class;

    for my $made ('temp', 'sanitizer') {
        mkdir "$directory/$made" or die "$directory/$made: $!";
    }

    # the workers are another user when the master is root
    chmod 01777, "$directory/sanitizer" or die "$directory/sanitizer: $!";

    # nginx itself forgets what it compiles regular expressions with, and, when
    # a worker has given its pool back, the table of its connections, which is
    # found or not by what the stack still holds of it
    $self->write_file('leaks',
        "leak:ngx_regex_malloc\nleak:ngx_event_process_init\n");

    $self->write_file('jwks.json', Provisioning::Test::Token::jwks(
        qw(rsa ec256 ec384 ec521 ed25519)));
    $self->write_file('secrets.key', 'a key of 32 bytes, for the tests');
    chmod 0600, "$directory/secrets.key" or die "$directory/secrets.key: $!";
    $self->configure(%o);

    return $self;
}


# configure(pieces): writes nginx.conf; for an nginx that runs, reload next.

sub configure {
    my ($self, %o) = @_;

    my %given = (%{ $self->{given} || {} },
                 map { $_ => $o{$_} } grep { exists $o{$_} } 'config', @pieces);
    $self->{given} = \%given;
    $self->write_file('nginx.conf', $self->text(%given));

    return $self;
}


sub text {
    my ($self, %given) = @_;

    my $text = defined $given{config} ? $given{config} : $template;
    my %piece = (%defaults, %given);

    $piece{database} = patient($piece{database});
    $text =~ s/<<(\w+)>>/defined $piece{$1} ? $piece{$1} : ''/ge;

    # once more: a piece may use them, too
    my %value = (%{ $self->{values} }, $self->blocks);
    1 while $text =~ s/%%(\w+)%%/defined $value{$1} ? $value{$1}
        : die "nginx.conf: there is no %%$1%%\n"/ge;

    return $text;
}


# What is inside of a provisioning_database, and what is missing there.

sub patient {
    my ($block) = @_;
    return join ' ', $block, map { $_->[1] }
        grep { $block !~ /\b$_->[0]\b/ } @patient;
}


# What every configuration of a test must have: no file outside its directory.

sub blocks {
    my ($self) = @_;

    my $user = $> == 0 ? "user nobody nogroup;\n" : '';
    my $level = $ENV{PROV_TEST_DEBUG} ? 'debug' : 'info';
    my $log = $self->{log_override} || $self->{log};

    return (
        MAIN => ($module ? "load_module %%MODULE%%;\n" : '')
            . "${user}daemon off;\n"
            . "pid %%DIR%%/nginx.pid;\nerror_log $log $level;\n",
        HTTP => join("\n    ", map { "${_}_temp_path %%DIR%%/temp/$_;" }
            qw(client_body proxy fastcgi uwsgi scgi)),
    );
}


sub directory { $_[0]{directory} }
sub port      { $_[0]{ports}{main} }
sub h2_port   { $_[0]{ports}{h2} }
sub value     { $_[0]{values}{ $_[1] } }


sub write_file {
    my ($self, $name, $text) = @_;

    my $path = $name =~ m{^/} ? $name : "$self->{directory}/$name";

    utf8::encode($text) if utf8::is_utf8($text);
    open my $file, '>:raw', $path or die "$path: $!";
    print $file $text;
    close $file or die "$path: $!";

    return $path;
}


sub read_file {
    my ($self, $name) = @_;

    my $path = $name =~ m{^/} ? $name : "$self->{directory}/$name";

    open my $file, '<:raw', $path or return '';
    return do { local $/; <$file> };
}


sub environment {
    my ($self, $leaks) = @_;

    return {} unless $sanitized;

    # A dynamic module repeats a few names of nginx's (ngx_module_names), on
    # purpose: that is no violation of the one-definition rule.
    #
    # Where a thread's memory of a shared object begins 16 bytes into a page,
    # gcc 12's leak checker takes what is before it for its size, and dies of
    # that: so it is not told of such memory.
    my $common = "log_path=$self->{directory}/sanitizer/report"
        . ':intercept_tls_get_addr=0';

    return {
        ASAN_OPTIONS => "$common:detect_leaks=$leaks:detect_odr_violation=0"
            . ':strict_string_checks=1:detect_stack_use_after_return=1',
        UBSAN_OPTIONS => "$common:print_stacktrace=1",
        LSAN_OPTIONS => "suppressions=$self->{directory}/leaks"
            . ':print_suppressions=0',
    };
}


# nginx -t: (true when it accepts, what it says).  Takes pieces, as configure
# does, and changes nothing of this nginx.  Leaks do not count: it exits where
# it stands, its own pools included.

sub test {
    my ($self, %o) = @_;

    local $self->{log_override} = "$self->{directory}/test.log";

    my $file = $self->write_file('test.conf',
        $self->text(%{ $self->{given} }, %o));
    my ($code, $output) = Provisioning::Test::Process->run(
        command => [$binary, '-t', '-p', "$self->{directory}/", '-c', $file,
                    '-e', "$self->{directory}/test.log"],
        env => $self->environment(0));

    return ($code == 0, $output);
}


sub start {
    my ($self) = @_;

    my $said = length $self->log;

    $self->{process} = Provisioning::Test::Process->spawn(
        name => 'nginx', dies => 'TERM',
        output => "$self->{directory}/output.log",
        env => $self->environment($self->{leaks}),
        command => [$binary, '-p', "$self->{directory}/",
                    '-c', "$self->{directory}/nginx.conf", '-e', $self->{log}]);

    $self->wait_until_it_listens or die "nginx does not start:\n"
        . substr($self->log, $said) . $self->read_file('output.log') . "\n";

    # connections wait for workers that are still to come; tests ask for those
    my $conf = $self->read_file('nginx.conf');
    my ($workers) = $conf =~ /^\s*worker_processes (\d+);/m;
    return $self if !$workers || $conf =~ /^\s*master_process off;/m;

    Provisioning::Test::wait_until('the workers are started', sub {
        my @all = substr($self->log, $said) =~ /: start worker process \d+$/mg;
        @all >= $workers;
    });

    return $self;
}


sub wait_until_it_listens {
    my ($self) = @_;

    my $deadline = time + $Provisioning::Test::patience;

    while (time < $deadline && !defined $self->{process}->ended) {
        return 1 if eval {
            Provisioning::Test::HTTP->connect($self->port)->close;
            1;
        };
        sleep 0.01;
    }

    return 0;
}


sub running { $_[0]{process} && !defined $_[0]{process}->ended }
sub pid     { $_[0]{process}->pid }


# Waits for /health/ready to answer 200: the database is there.

sub ready {
    my ($self) = @_;

    my ($deadline, $last) = (time + $Provisioning::Test::patience * 2);

    do {
        $last = eval { $self->request(GET => '/health/ready') };
        return $self if $last && $last->status == 200;
        sleep 0.02;
    } while (time < $deadline);

    die "nginx does not become ready: "
        . ($last ? $last->head . "\n" . $last->body : $@) . "\n" . $self->log;
}


# The workers that serve; those that are leaving are not among them.

sub workers {
    my ($self) = @_;

    my %pid;

    for (split /\n/, $self->log) {
        $pid{$1} = 1 if /: start worker process (\d+)$/;
        delete $pid{$1} if / (\d+)#\d+: gracefully shutting down$/;
        delete $pid{$1} if /(?:worker process|process) (\d+) exited /;
    }

    return sort { $a <=> $b } grep { kill 0, $_ } keys %pid;
}


# kill -HUP, until only new workers serve; the pids of the old ones, which have
# been told to leave and accept nothing more.  Dies when the configuration is
# refused; send HUP to pid() where that is wanted.

sub reload {
    my ($self) = @_;

    my @old = $self->workers;
    my %old = map { $_ => 1 } @old;
    my $before = length $self->log;

    $self->{process}->signal('HUP');

    Provisioning::Test::wait_until('new workers serve', sub {
        my $since = substr $self->log, $before;
        die "nginx refuses to reload:\n$since" if $since =~ /\[emerg\]/;
        my @now = $self->workers;
        @now && !grep { $old{$_} } @now;
    });

    return @old;
}


# stop: gracefully (QUIT), as a test should leave it.  True when it left by
# itself in time and said that all was well.

sub stop {
    my ($self, $signal) = @_;

    my $process = delete $self->{process} or return 1;
    my $asked = $process->stop($signal || 'QUIT',
                               $Provisioning::Test::patience);

    $self->{last_status} = $process->ended;
    return $asked && $self->{last_status} == 0;
}


# kill -9 of the master and all its workers.

sub crash {
    my ($self) = @_;

    my @workers = $self->workers;
    $self->{process}->kill_group;
    delete $self->{process};
    Provisioning::Test::wait_until('the workers are gone', sub {
        !grep { kill 0, $_ } @workers;
    });

    return;
}


# A raw connection to a port of ours; see Provisioning::Test::HTTP.

sub connection {
    my ($self, %o) = @_;

    return Provisioning::Test::HTTP->connect($o{port} || $self->port,
        timeout => $Provisioning::Test::patience);
}


# One request on a connection of its own.

sub request {
    my ($self, $method, $path, %o) = @_;

    my $connection = $self->connection(%o);
    $connection->send_request($method, $path, %o);
    my $response = $connection->read_response(head => $method eq 'HEAD',
        $o{timeout} ? (timeout => $o{timeout}) : ());
    $connection->close;

    return $response
        || die "nginx closed the connection without an answer to "
             . "$method $path\n";
}


sub log        { $_[0]->read_file('error.log') }
sub access_log { $_[0]->read_file('access.log') }


sub allow {
    my ($self, @patterns) = @_;
    push @{ $self->{allowed} }, @patterns;
    return $self;
}


# What must not be in the logs of any test, and nobody said would be.

sub complaints {
    my ($self) = @_;

    my @allowed = @{ $self->{allowed} };
    my @lines;
    my $stack = 0;

    # a worker may be killed (which is said, too) while it has a zone to itself
    push @allowed, qr/shared memory zone ".*" was locked by $_\b/
        for $self->log =~ /process (\d+) exited on signal 9/g;

    for (split /\n/, $self->log . "\n" . $self->read_file('output.log')) {
        if (/\[(?:alert|emerg)\]|exited on signal|runtime error:|Sanitizer/) {
            push @lines, $_;
            $stack = 8;

        } elsif ($stack-- > 0 && /^ +#\d/) {
            $lines[-1] .= "\n$_";
        }
    }

    # [emerg] of "nginx -t" and of our own start is on standard error, too
    my %seen;
    @lines = grep { !$seen{$_}++ } @lines;

    for my $file (glob "$self->{directory}/sanitizer/*") {
        push @lines, "$file:", split /\n/, $self->read_file($file);
    }

    return grep {
        my $line = $_;
        !grep { $line =~ $_ } @allowed;
    } @lines;
}

1;
