package Provisioning::Test::Operator;

# The operators' API beside the partners', as conf/nginx.conf has it: its own
# database login, issuer and location.
#
#     my ($postgres, $nginx) = gateway(operator());
#     my $r = $nginx->request(GET => '/api/admin/partners',
#         token => operator_token());
#
# operator(api => …, database => …) adds directives to its location and to its
# provisioning_database.  operator_token() takes what token() does; the role
# is operator-admin unless it is given.

use strict;
use warnings;

use Exporter 'import';

use Provisioning::Test ();

our @EXPORT = qw(operator operator_token);

our $ISSUER   = 'https://operators.test/';
our $AUDIENCE = 'administration';


# Pieces of nginx.conf; see nginx() in Provisioning::Test.

sub operator {
    my (%o) = @_;
    my $api = $o{api} // '';
    my $database = Provisioning::Test::Nginx::patient($o{database} // '');

    return (
        http => "
    provisioning_database operators {
        server %%DATABASE%%;
        conninfo \"dbname=provisioning user=prov_operator\";
        connections 2;
        $database
    }

    provisioning_issuer operators {
        iss $ISSUER;
        audience $AUDIENCE;
        jwks %%JWKS%%;
    }
",
        locations => "
        location /api/admin/ {
            provisioning_auth operators keys=operators;
            provisioning_api %%OPENAPI%%/operator.json;
            provisioning_pass operators;
            $api
        }
",
    );
}


sub operator_token {
    my (%o) = @_;

    return Provisioning::Test::token(iss => $ISSUER, aud => $AUDIENCE,
        sub => 'operator-1', partner => undef, roles => ['operator-admin'],
        %o);
}

1;
