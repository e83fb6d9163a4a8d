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
my @auth = grep { $_ ne 'auth/prov_auth_sign' }
           map { m{(auth/[^/]+)\.c$} } glob "$root/src/auth/*.c";

compile(qw(base/prov_conf* base/prov_json* t/unit/auth_shim.c
           t/unit/http_shim.c t/unit/tap.c), @auth);
tap('auth_remote_unit', build('t/unit/auth_remote_unit.c'), $seed);

diag("SEED=$seed repeats it")
    if !Test::More->builder->is_passing;

done_testing();
