package Provisioning::Test::Configuration;

# What "nginx -t" says of pieces of a configuration (see nginx() in
# Provisioning::Test for what they are).
#
#     refused({ http => 'provisioning_jobs { }' }, qr/no "database"/, 'none');
#     accepted({ http => 'provisioning_outbound { }' }, 'one');

use strict;
use warnings;

use Exporter qw(import);
use Test::More;

use Provisioning::Test;

our @EXPORT = qw(tested accepted refused);

my $nginx;


# The nginx that is never started: nothing may connect to its database.

sub tested {
    return $nginx ||= nginx(server_address => '127.0.0.1:1', start => 0,
                            database => '');
}

sub accepted {
    my ($pieces, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($ok, $said) = tested()->test(%$pieces);

    ok $ok, "$name is accepted" or diag $said;

    return;
}


# Each error names the file and a line, or the document.

sub refused {
    my ($pieces, $pattern, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($ok, $said) = tested()->test(%$pieces);

    ok !$ok, "$name is refused";
    like $said, $pattern, "$name: the message says what is wrong";
    like $said, qr/\[emerg\].*(?:test\.conf:\d+)/,
        "$name: the message says where";

    return;
}

1;
