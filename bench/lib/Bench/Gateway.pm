package Bench::Gateway;

# The nginx of a run.  Its configuration is conf/nginx.conf, with other paths,
# ports and keys and nothing else changed: what is measured is what is
# recommended.

use strict;
use warnings;

use Provisioning::Test;
use Provisioning::Test::Postgres;

our $api = '/api/provisioning/tenants';

# What is not of this machine in conf/nginx.conf.

my @places = (
    [qr{^load_module .*?;}m              => '%%MAIN%%'],
    [qr{^(?:error_log|pid) .*?;\n}m      => ''],
    [qr{^http \{\n}m                     => "http {\n    %%HTTP%%\n"],
    [qr{/var/log/nginx}                  => '%%DIR%%'],
    [qr{unix:/run/postgresql}            => '%%DATABASE%%'],
    [qr{/etc/nginx/provisioning/\w+\.jwks} => '%%JWKS%%'],
    [qr{/etc/nginx/provisioning/(?=signer\.pem|secrets\.key)} => '%%DIR%%/'],
    [qr{/usr/local/share/nginx-provisioning/openapi} => '%%OPENAPI%%'],
    [qr{/run/nginx/application\.sock}    => '%%DIR%%/application.sock'],
    [qr{127\.0\.0\.1:8080}               => '127.0.0.1:%%PORT%%'],
    [qr{https://login\.example\.com}     => '%%ISSUER%%'],
);


# The text for so many workers; changes are pairs of a pattern and what stands
# there instead.

sub configuration {
    my ($workers, @changes) = @_;

    my $name = Provisioning::Test::Postgres::tree() . '/conf/nginx.conf';
    open my $file, '<:encoding(UTF-8)', $name or die "$name: $!";
    my $text = do { local $/; <$file> };

    for my $change (@places,
        [qr/^worker_processes .*?;/m => "worker_processes $workers;"],
        @changes)
    {
        my ($pattern, $instead) = @$change;
        $text =~ s/$pattern/$instead/g
            or die "conf/nginx.conf has nothing like $pattern any more\n";
    }

    my ($left) = $text =~ m{^\s*([^#\n]*/(?:etc|run|usr|var)/[^\n]*)}m;
    die "conf/nginx.conf has a path that bench/ does not know: $left\n"
        if defined $left;

    return $text;
}


# start(the Bench::Database, number of workers, changes): one that is ready.

sub start {
    my ($class, $database, $workers, @changes) = @_;

    my $nginx = nginx(postgres => $database->postgres_of, start => 0,
        config => configuration($workers, @changes));

    $nginx->write_file('signer.pem', private_pem('rsa'));
    chmod 0644, $nginx->directory . '/signer.pem';
    $nginx->start;
    $nginx->ready;

    my $self = bless { nginx => $nginx, workers => $workers }, $class;
    wait_until('all workers are there', sub {
        my @there = $nginx->workers;
        @there == $workers;
    });

    return $self;
}


sub nginx_of { $_[0]{nginx} }
sub workers  { $_[0]{workers} }
sub port     { $_[0]{nginx}->port }
sub stop     { $_[0]{nginx}->stop }


# The directives that a reader of the figures may ask for.

sub settings {
    my ($workers) = @_;

    my @lines = grep { !/^\s*#/ } split /\n/, configuration($workers);
    my $text = join "\n", @lines;
    my ($pool) = $text =~ /provisioning_database tenants \{(.*?)\n    \}/s;

    my %settings = (worker_processes => $workers);
    push @{ $settings{provisioning_database} }, join ' ', split ' ', $_
        for grep { !/^\s*(?:server|conninfo) / }
            split /;/, $pool =~ s/\s+\z//r;
    push @{ $settings{limits} }, join ' ', split ' ', $_
        for $text =~ /provisioning_limit ([^;]*);/g;
    ($settings{access_log}) = $text =~ /access_log\s+\S+?\/(access\.log[^;]*);/;

    return \%settings;
}

1;
