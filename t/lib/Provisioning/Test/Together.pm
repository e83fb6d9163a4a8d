package Provisioning::Test::Together;

# Requests that a worker finds in one turn of its loop, so that they go out
# to the database together.
#
#     my $connection = asking($nginx->connection, GET => $path, …);
#     my $answer = answer($connection);
#         with the tests' token, on a connection that is kept
#
#     my @connections = send_together($nginx, [GET => $path, …], …);
#     my @answers = together($nginx, [GET => $path, …], …);
#         the worker is stopped while they are sent

use strict;
use warnings;

use Exporter 'import';
use Provisioning::Test;

our @EXPORT = qw(asking answer send_together together);


sub asking {
    my ($connection, $method, $path, %o) = @_;

    $connection->send_request($method => $path, token => token(), keep => 1,
        %o);
    return $connection;
}


sub answer { $_[0]->read_response(timeout => 60) }


# To where the answers come.

sub send_together {
    my ($nginx, @requests) = @_;

    my @connections = map { my $c = $nginx->connection;
        $c->send_request(GET => '/health/live', keep => 1);
        $c->read_response;
        $c } @requests;
    my ($worker) = $nginx->workers;

    halt($worker);
    asking($connections[$_], @{ $requests[$_] }) for 0 .. $#requests;
    kill 'CONT', $worker;
    return @connections;
}


sub together { return map { answer($_) } send_together(@_) }

1;
