#!/usr/bin/perl

# What strangers write into headers and query strings: the corpora of the fuzz
# targets for tokens, API keys and values.  Those for schemas and documents
# are run by t/schema.t and t/openapi.t.
#
#   prove t/fuzz.t
#
# NGX_BUILD and SANITIZE are explained in t/unit/Unit.pm.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/unit";

use Test::More;

use Unit;

# all of src/auth but what needs libjwt
compile(auth_sources(), 'request/prov_request_value');

replay("t/fuzz/${_}_fuzz.c", $_) for qw(jwt token apikey value);

done_testing();
