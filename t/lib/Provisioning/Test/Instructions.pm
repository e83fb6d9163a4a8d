package Provisioning::Test::Instructions;

# How many instructions a request costs, counted by valgrind's callgrind in an
# nginx of one process, by the shared object and by the function that executes
# them.  t/instructions.t compares them, bench/profile prints them.
#
# Requests are sent one after the other on one connection, so that none shares
# a turn of nginx's event loop with another, and what is counted does not
# depend on the machine or on what else it does.  callgrind writes down what it
# has counted, and begins anew, whenever nginx executes $mark, which one
# request that is of no interest does.

use strict;
use warnings;

use Provisioning::Test::Nginx;
use Provisioning::Test::Token;

my $mark = 'prov_handler_health_live';
my $path = '/api/provisioning/tenants';
my $patience = 120;     # seconds; valgrind is slow
my $warm = 20;
my $requests = 100;

our $module = 'ngx_http_provisioning_module.so';


# What the figures depend on besides the code: the compiler and the processor
# it compiles for, as the module's debugging information has them, and the
# nginx, whose macros are in it; and the compiler's other flags.  Empty where
# nothing says it.

sub build {
    my $module = $Provisioning::Test::Nginx::module;
    my $binary = $Provisioning::Test::Nginx::binary;

    my $information =
        `readelf --debug-dump=info --dwarf-depth=1 '$module' 2>/dev/null`;
    my %producer = map { $_ => 1 } $information
        =~ /DW_AT_producer\s*:\s*(?:\(.*?\): )?((?:GNU C|clang).*\S)/g;
    my ($nginx) = `'$binary' -v 2>&1` =~ m{nginx/(\S+)};

    return unless keys %producer == 1 && $nginx;

    my ($compiler, @flags) = split / (?=-)/, (keys %producer)[0];

    return (join(' ', $compiler, grep({ /^-m/ } @flags), "nginx $nginx"),
            join ' ', grep { !/^-m/ } @flags);
}


# requests(postgres, names): counts the requests of these names, as count()
# returns it.  "get" reads a tenant and "post" makes one, both with a token that
# the worker knows; "token" is a "get" with another token each time.  What they
# send has the same length each time.

my %requests = (
    get   => sub { (GET => $_[0]{tenant}, token => $_[0]{token}) },
    post  => sub {
        (POST => $path, token => $_[0]{token}, json => {
            client_name => 'Acme Retail',
            email       => sprintf('owner-%06d@example.com', ++$_[0]{n}),
        })
    },
    token => sub {
        (GET => $_[0]{tenant}, token => Provisioning::Test::Token::token(
            sub => sprintf 'partner-system-%06d', ++$_[0]{n}))
    },
);

sub requests {
    my ($postgres, @names) = @_;

    my $nginx = start($postgres);
    my %state = (n => 0, token => Provisioning::Test::Token::token());
    my $made = $nginx->request($requests{post}->(\%state));

    die $made->body unless $made->status == 201;
    $state{tenant} = "$path/" . $made->json->{tenant};

    return count($nginx, map { my $name = $_;
        [$name, sub { $requests{$name}->(\%state) }] } @names);
}


# count(nginx, [name, sub { (method, path, options) }], …): what each of these
# requests costs, { name => { objects => { file => n }, functions => { name =>
# n } } }; functions are the module's own.  Ends the nginx.

sub count {
    my ($nginx, @kinds) = @_;

    my $connection = $nginx->connection;

    my $ask = sub {
        my ($method, $path, %options) = @_;
        $connection->send_request($method, $path, %options, keep => 1);
        my $r = $connection->read_response(timeout => $patience);
        die "$method $path: ", $r->status, "\n", $r->body, "\n"
            unless $r->status =~ /^2/;
    };

    for my $kind (@kinds) {
        $ask->($kind->[1]->()) for 1 .. $warm;
        $ask->(GET => '/health/live');
        $ask->($kind->[1]->()) for 1 .. $requests;
        $ask->(GET => '/health/live');
    }

    # what a mark itself costs
    $ask->(GET => '/health/live');

    $connection->close;
    my $written = $nginx->directory . '/callgrind.out.' . $nginx->pid;
    $nginx->stop or die "nginx does not leave:\n", $nginx->log;

    my $mark = totals("$written." . (2 * @kinds + 1));
    my %count;

    for my $i (0 .. $#kinds) {
        my $total = totals("$written." . (2 * $i + 2));

        for my $sort (keys %$total) {
            $count{ $kinds[$i][0] }{$sort}{$_} = ($total->{$sort}{$_}
                - ($mark->{$sort}{$_} || 0)) / $requests
                for keys %{ $total->{$sort} };
        }
    }

    return \%count;
}


# An nginx of one process, under valgrind, with limits as conf/nginx.conf has.

sub start {
    my ($postgres) = @_;

    die "There is no valgrind here: apt-get install valgrind\n"
        unless grep { -x "$_/valgrind" } split /:/, $ENV{PATH};

    my $wrapper = Provisioning::Test::directory() . '/callgrind';
    open my $file, '>', $wrapper or die "$wrapper: $!";
    print $file <<"END";
#!/bin/sh
exec valgrind -q --tool=callgrind --callgrind-out-file="\$2/callgrind.out.%p" \\
    --compress-strings=no --compress-pos=no --dump-before=$mark \\
    $Provisioning::Test::Nginx::binary "\$@"
END
    close $file or die "$wrapper: $!";
    chmod 0755, $wrapper or die "$wrapper: $!";

    local $Provisioning::Test::Nginx::binary = $wrapper;
    local $Provisioning::Test::patience = $patience;

    my $nginx = Provisioning::Test::nginx(
        postgres => $postgres, master => 'off', leaks => 0,
        database => 'connections 1; query_timeout 60s;',
        http => join("\n    ", 'keepalive_requests 1000000;',
            'keepalive_timeout 600s;',
            map { "provisioning_limit_zone $_ 1m;" }
                qw(address caller partner)),
        api  => join("\n            ",
            map { "provisioning_limit $_ rate=100000r/s burst=200000 key=$_;" }
                qw(address caller partner)));

    return $nginx->ready;
}


# What one of callgrind's files has: executed in each object, and in each
# function of the module's (callgrind's manual, "Callgrind Format
# Specification").

sub totals {
    my ($path) = @_;

    my %total = (objects => {}, functions => {});
    my ($object, $function, $calls) = ('', '', 0);

    open my $file, '<', $path or die "$path: $!";

    while (my $line = <$file>) {
        if ($line =~ /^\d+ (\d+)$/) {

            # the line after "calls=" has what was called, counted elsewhere
            if ($calls) {
                $calls = 0;
                next;
            }

            $total{objects}{$object} += $1;
            $total{functions}{$function} += $1 if $object eq $module;

        } elsif ($line =~ m{^ob=(?:.*/)?(\S+)$}) {
            $object = $1;

        } elsif ($line =~ /^fn=(\S+)/) {
            $function = $1;

        } elsif ($line =~ /^calls=/) {
            $calls = 1;
        }
    }

    die "$path has nothing of the module\n" unless $total{objects}{$module};

    return \%total;
}

1;
