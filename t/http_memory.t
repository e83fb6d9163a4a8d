#!/usr/bin/perl

# The HTTP client where there is no memory (t/unit/http_memory.c): each
# allocation fails once, of ours and of libcurl's.
#
#   prove t/http_memory.t
#
# NGX_BUILD and SANITIZE are explained in t/unit/Unit.pm.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/unit";

use Test::More;

use Unit;

plan skip_all => 'libcurl is not here' if system 'curl-config --version >/dev/null 2>&1';

# which "config" finds out where the module is built
$ENV{CFLAGS_EXTRA} = join ' ', $ENV{CFLAGS_EXTRA} || (), '-DPROV_HAVE_CURL=1';

compile((map { "http/prov_http_$_" } qw(address answer client destination event
        headers result transfer url)), 'http/prov_http', 't/unit/tap.c');
tap('http_memory', build('t/unit/http_memory.c', '-Wl,--no-as-needed', '-lcurl', '-lssl'));

done_testing();
