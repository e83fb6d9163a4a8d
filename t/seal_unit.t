#!/usr/bin/perl

# Secrets at rest without a server: what a seal is bound to, tampering, the
# rotation of keys (t/unit/seal_unit.c).  The directive is in t/secrets.t.
#
#   prove t/seal_unit.t
#
# NGX_BUILD and SANITIZE are explained in t/unit/Unit.pm.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/unit";

use Test::More;

use Unit;

compile(qw(base/prov_seal t/unit/tap.c));
tap('seal_unit', build('t/unit/seal_unit.c'));

done_testing();
