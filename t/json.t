#!/usr/bin/perl

# Reading JSON without memory: t/unit/json_memory.c fails each allocation of
# jansson's.  That nginx answers 500 then, and not 400, is in t/bodies_memory.t.
# And writing strings.
#
#   prove t/json.t
#
# NGX_BUILD and SANITIZE are explained in t/unit/Unit.pm.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/unit";

use Test::More;

use Unit;

compile(qw(base/prov_json* t/unit/tap.c));

tap('json_memory', build('t/unit/json_memory.c'));
tap('json_quote', build('t/unit/json_quote.c'));

done_testing();
