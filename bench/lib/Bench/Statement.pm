package Bench::Statement;

# The statements that the gateway itself prepares, with what it binds to them,
# as PostgreSQL's log has them: pgbench runs these and no others.  So whatever
# the engine sends tomorrow is what it is compared with.

use strict;
use warnings;

use Provisioning::Test;
use Time::HiRes ();

use Bench::Database;
use Bench::Gateway;

# Where a request that is learnt from has this number, the next one has
# another; each attempt to learn has one of its own.

my $marker = 199_999_999_999;

# a number, and the time with which an id that pgbench makes begins
my ($NUMBER, $TIME) = ("\x01", "\x02");


sub kinds { return qw(post get list) }


# The body of a request that makes the tenant of this number.

sub tenant {
    my ($number) = @_;
    return qq({"client_name": "Retail $number", )
         . qq("email": "r$number\@bench.example"});
}


# learn(the Bench::Database, the Bench::Gateway): kind => statement

sub learn {
    my ($class, $database, $gateway) = @_;
    my $postgres = $database->postgres_of;
    my %learnt;

    $postgres->sql($_) for q(alter system set log_statement = 'all'),
        'select pg_reload_conf()';

    # a session reads the configuration before its next statement but one

    for my $kind (kinds()) {
        $learnt{$kind} = wait_until("the statement of a $kind is logged", sub {
            my $before = length $postgres->log;
            my $function = request($gateway, $kind, --$marker);

            return $class->find($function, substr $postgres->log, $before);
        });
    }

    $postgres->sql($_) for 'alter system reset log_statement',
        'select pg_reload_conf()';

    return \%learnt;
}


# Asks the gateway for it; the operation that served it.

sub request {
    my ($gateway, $kind, $number) = @_;
    my $api = $Bench::Gateway::api;
    my %request = (
        post => ['tenant_create', 201, POST => $api, tenant($number)],
        get  => ['tenant_get', 404,
                 GET => "$api/$Bench::Database::id$number"],
        list => ['tenant_list', 200, GET => "$api?limit=25"],
    );
    my ($operation, $status, $method, $path, $body) = @{ $request{$kind} };

    my $r = $gateway->nginx_of->request($method => $path, token => token(),
        defined $body ? (body => $body) : (), headers => {
            'User-Agent' => 'bench',
            defined $body ? ('Content-Type' => 'application/json') : (),
        });

    die "$operation is answered " . $r->status . ': ' . $r->body . "\n"
        if $r->status != $status;

    return $operation;
}


# find(function, text of a log): the statement that calls it, or nothing

sub find {
    my ($class, $function, $log) = @_;

    my ($text, $bound) = $log =~ /LOG:\ \ execute\ [^:\n]+:
        \ ([^\n]*\b$function\b[^\n]*)\n
        [^\n]*DETAIL:\ \ parameters:\ ([^\n]*)\n/x or return;
    my @parameters;

    while ($bound =~ /\$(\d+) = (?:NULL|'((?:[^']|'')*)')/g) {
        $parameters[$1 - 1] = defined $2 ? $2 =~ s/''/'/gr : undef;
    }

    my ($last) = sort { $b <=> $a } $text =~ /\$(\d+)/g;
    die "The engine's statement for $function has not the parameters that "
        . "pgbench is to send: $text\n" if $last != @parameters;

    my $self = bless { function => $function, text => $text,
                       parameters => \@parameters }, $class;
    $self->generalise;
    return $self;
}


# What differs from one request to the next becomes a place for it.

sub generalise {
    my ($self) = @_;
    my $ids = 0;

    for my $parameter (grep { defined } @{ $self->{parameters} }) {
        $parameter =~ s/$marker/$NUMBER/g;

        my %variant = (mutation => '7000-8000', id => '7000-9000');
        for my $name (sort keys %variant) {
            $ids += $parameter =~ s/("$name":[ ]?)"[0-9a-f]{8}-[0-9a-f-]{27}"
                                   /$1"$TIME-$variant{$name}-$NUMBER"/x;
        }
    }

    die "The engine sends no longer \"mutation\" and \"id\" to "
        . "$self->{function}.\n"
        if $self->{function} eq 'tenant_create' && $ids != 2;

    return;
}


sub text { $_[0]{text} }


# The parameters with this number in them.

sub bound {
    my ($self, $number) = @_;
    my $time = sprintf '%012x', Time::HiRes::time() * 1000;

    substr $time, 8, 0, '-';
    return map {
        defined $_ ? s/$NUMBER/$number/gr =~ s/$TIME/$time/gr : undef
    } @{ $self->{parameters} };
}


# A script for pgbench and the values of its variables.  pgbench cannot make
# text, so each parameter is put together by the server, out of constants and
# the number ":n": that is all that differs from what the gateway sends.

sub script {
    my ($self, @lines) = @_;
    my (%value, @expression);
    my ($time) = sprintf('%012x', Time::HiRes::time() * 1000)
        =~ s/^.{8}\K/-/r;

    for my $parameter (@{ $self->{parameters} }) {
        if (!defined $parameter) {
            push @expression, 'null::jsonb';
            next;
        }

        my @pieces = map {
            my $text = s/$TIME/$time/gr;
            $text eq $NUMBER ? ':n' : do {
                my $name = 'p' . (1 + keys %value);
                $value{$name} = $text;
                ":$name";
            };
        } grep { length } split /($NUMBER)/, $parameter;

        push @expression, '(' . join(' || ', @pieces) . ')::jsonb';
    }

    my $text = $self->{text} =~ s/\$(\d+)/$expression[$1 - 1]/gr;
    return (join("\n", @lines, "$text;", ''), \%value);
}


# Does it do what it should, called as the gateway calls it?  The status.

sub status {
    my ($self, $dbh, $number) = @_;

    my ($status) = $dbh->selectrow_array($self->{text}, undef,
        $self->bound($number));
    return $status;
}

1;
