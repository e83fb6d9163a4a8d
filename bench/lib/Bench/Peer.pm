package Bench::Peer;

# Another program that serves the same API from the same database, measured in
# the same rounds.  bench/peers/<name>/run starts it in the foreground, with two
# processes, and is told by its environment
#
#     PORT                             where to listen, on 127.0.0.1
#     PGHOST PGPORT PGDATABASE PGUSER  the database; PGHOST is the directory
#                                      of its socket; there is no password
#     JWKS_FILE PUBLIC_KEY_FILE        the issuer's public keys; and as a PEM
#                                      the one of all tokens that are sent,
#                                      kid "rsa"
#     ISSUER AUDIENCE                  what a token must say
#     ACCESS_LOG                       a file
#
# It has POST and GET of tenants and their list under the gateway's paths, and
# gives the gateway's answers.  It ends with SIGTERM.

use strict;
use warnings;

use File::Basename qw(basename dirname);
use Provisioning::Test;
use Provisioning::Test::HTTP;
use Provisioning::Test::Postgres;
use Provisioning::Test::Process;
use Provisioning::Test::Token;

use Bench::Database;
use Bench::Gateway;
use Bench::Statement;



# Fetches and builds what they are made of, where there is something to do.

sub install {
    my $program = Provisioning::Test::Postgres::tree() . '/bench/peers/install';
    return if !-x $program;

    my ($code, $said) = Provisioning::Test::Process->run(
        command => [$program], env => { outside() }, timeout => 900);
    die "bench/peers/install: exit code $code:\n$said\n" if $code;
    return;
}


# Their names: what is in bench/peers and can be run.

sub names {
    my $tree = Provisioning::Test::Postgres::tree();
    return sort map { basename(dirname($_)) }
        grep { -x } glob "$tree/bench/peers/*/run";
}


# start(name, the Bench::Database): one that answers

sub start {
    my ($class, $name, $database) = @_;
    my $tree = Provisioning::Test::Postgres::tree();
    my $postgres = $database->postgres_of;
    my $directory = directory() . "/peer-$name";

    mkdir $directory or die "$directory: $!";
    for (['jwks.json', jwks('rsa')], ['issuer.pem', public_pem('rsa')]) {
        open my $file, '>', "$directory/$_->[0]" or die "$directory: $!";
        print $file $_->[1];
        close $file or die "$directory: $!";
    }

    my $self = bless { name => $name, port => reserve_port(),
                       log => "$directory/log" }, $class;
    $self->{process} = Provisioning::Test::Process->spawn(name => $name,
        command => ["$tree/bench/peers/$name/run"], output => $self->{log},
        env => {
            outside(),
            PORT => $self->{port}, PGHOST => $postgres->socket_dir,
            PGPORT => $postgres->port, PGDATABASE => 'provisioning',
            PGUSER => 'prov_partner',
            JWKS_FILE => "$directory/jwks.json",
            PUBLIC_KEY_FILE => "$directory/issuer.pem",
            ACCESS_LOG => "$directory/access.log",
            ISSUER => $Provisioning::Test::Token::ISSUER,
            AUDIENCE => $Provisioning::Test::Token::AUDIENCE,
        });

    my $path = $Bench::Gateway::api . "/$Bench::Database::id"
        . $Bench::Database::first;
    wait_until("$name answers", sub {
        die "$name has ended:\n" . $self->log if $self->{process}->ended;
        ($self->status(GET => $path) // 0) == 200;
    }, 60);

    $self->check($path);
    return $self;
}


# It is no peer unless it does the same: refuses who is nobody and what is
# invalid, and knows what is there.

sub check {
    my ($self, $path) = @_;
    my $api = $Bench::Gateway::api;
    my $tenant = Bench::Statement::tenant(197_000_000_000 + $self->{port});
    my $none = $path =~ s/.{12}\z/'9' x 12/er;

    for ([201, POST => $api, body => $tenant],
         [409, POST => $api, body => $tenant],
         [400, POST => $api, body => '{"client_name": "", "more": 1}'],
         [401, GET => $path, token => undef],
         [401, GET => $path, token => token(key => 'rsa2')],
         [404, GET => $none],
         [404, GET => $path, token => token(partner => 'globex')],
         [200, GET => "$api?limit=25"])
    {
        my ($wanted, $method, $where, %o) = @$_;
        my $status = $self->status($method => $where, %o) // 'nothing';
        die "$self->{name} answers $status, not $wanted, to $method $where\n"
            if $status ne $wanted;
    }

    return;
}


sub status {
    my ($self, $method, $path, %o) = @_;

    return eval {
        my $connection = Provisioning::Test::HTTP->connect($self->{port});
        $connection->send_request($method => $path, token => token(), %o,
            defined $o{body}
                ? (headers => { 'Content-Type' => 'application/json' }) : ());
        $connection->read_response->status;
    };
}


sub name { $_[0]{name} }
sub port { $_[0]{port} }

sub log {
    my ($self) = @_;
    open my $file, '<', $self->{log} or return '';
    return do { local $/; <$file> };
}


sub stop {
    my ($self) = @_;
    my $pid = $self->{process}->pid;

    $self->{process}->stop('TERM', 10);
    kill 'KILL', -$pid;    # whatever of its session has not gone with it
    return;
}

1;
