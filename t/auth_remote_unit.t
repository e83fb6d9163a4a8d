#!/usr/bin/perl

# Keys that are fetched, without a network: the schedule, the one flight, the
# bound on what strangers can bring about, and which set is in force
# (t/unit/auth_remote_unit.c).
#
#   prove t/auth_remote_unit.t
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

# all of src/auth but what needs libjwt
compile(auth_sources(), 't/unit/tap.c',
        map { "t/unit/auth_remote_$_.c" } qw(schedule fetch shared));
tap('auth_remote_unit', build('t/unit/auth_remote_unit.c'), $seed);

diag("SEED=$seed repeats it")
    if !Test::More->builder->is_passing;

done_testing();
