#!/usr/bin/perl

# Token buckets without a server: their arithmetic (t/unit/limit_unit.c), and
# their zones (t/unit/limit_zone_unit.c).
#
#   prove t/limit_unit.t
#
# SEED repeats a run.  NGX_BUILD and SANITIZE are explained in
# t/unit/Unit.pm.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/unit";

use Test::More;

use Unit;

my $seed = defined $ENV{SEED} ? $ENV{SEED} : time;

compile(qw(limit/prov_limit_bucket t/unit/tap.c));
tap('limit_unit', build('t/unit/limit_unit.c'), $seed);

compile(qw(limit/prov_limit_zone t/unit/auth_shim.c));
tap('limit_zone_unit', build('t/unit/limit_zone_unit.c'), $seed);

diag("SEED=$seed repeats it")
    if !Test::More->builder->is_passing;

done_testing();
