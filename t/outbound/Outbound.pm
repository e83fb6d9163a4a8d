package Outbound;

# What t/outbound*.t share: an nginx whose client (src/http) is driven by a
# module that is built here, for the tests only, and loaded beside the one
# under test.
#
#     my $nginx = outbound('plain_http on; allow_network 127.0.0.0/8;');
#     my $r = send_one($nginx, url => $receiver->url('/hook'), body => '{}');
#     is $r->{error}, ANSWERED, '…';

use strict;
use warnings;

use Cwd ();
use Exporter 'import';
use File::Basename qw(dirname);
use Provisioning::Test;

my @errors;

BEGIN {
    # in the order of prov_http_error_e
    @errors = qw(ANSWERED BAD_URL REFUSED_ADDRESS UNRESOLVED UNREACHABLE TLS
                 TIMEOUT TOO_LARGE BROKEN BREAKER_OPEN BUSY NO_MEMORY
                 BAD_REQUEST);
}

use constant { map { $errors[$_] => $_ } 0 .. $#errors };

our @EXPORT = (qw(outbound send_one send_all module error_name $OPEN),
               @errors);

# what most tests need: the receivers are here, and few speak TLS
our $OPEN = 'plain_http on; allow_network 127.0.0.0/8;';

my $here = Cwd::abs_path(dirname(__FILE__));
my $built;


sub error_name { $errors[$_[0]] }


sub module {
    return $built ||= do {
        my $tree = Cwd::abs_path(dirname($Provisioning::Test::Nginx::module)
                                 . '/module');
        my $so = directory() . '/outbound_test.so';

        open my $file, '<', "$tree/objs/Makefile" or die "$tree: $!";
        my $makefile = do { local $/; <$file> };
        my ($includes) = $makefile =~ /^ALL_INCS =(.*?)\n\n/ms;
        my @includes = map { m{^/} ? "-I$_" : "-I$tree/$_" }
            $includes =~ /-I (\S+)/g;

        my ($code, $said) = Provisioning::Test::Process->run(command => [
            qw(gcc -Wall -Wextra -Werror -Wno-unused-parameter -O1 -g -fPIC
               -shared -o), $so, @includes, "-I$here/../../src",
            "$here/ngx_http_outbound_test_module.c", '-ljansson']);
        die "the module for tests: $said" if $code;

        $so;
    };
}


# outbound(directives of the block, pieces of nginx.conf)

sub outbound {
    my ($block, %o) = @_;

    return nginx(%o,
        main => 'load_module ' . module() . ";\n" . ($o{main} || ''),
        http => "provisioning_outbound { $block }\n" . ($o{http} || ''),
        locations => 'location = /send { outbound_test;'
            . ' client_max_body_size 8m; client_body_buffer_size 8m; }'
            . ' location = /ping { return 200 pong; }');
}


sub send_all {
    my ($nginx, @requests) = @_;

    my $r = $nginx->request(POST => '/send',
        json => { requests => \@requests },
        timeout => 3 * $Provisioning::Test::patience);
    die 'the module for tests: ' . $r->status unless $r->status == 200;

    return @{ $r->json };
}


sub send_one {
    my ($nginx, %request) = @_;
    return (send_all($nginx, \%request))[0];
}

1;
