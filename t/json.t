#!/usr/bin/perl

# Reading JSON without memory: t/unit/json_memory.c fails each allocation of
# jansson's.  That nginx answers 500 then, and not 400, is in t/bodies_memory.t.
# Reading small texts without a tree, and writing strings.
#
#   prove t/json.t
#
# SEED repeats a run.  NGX_BUILD and SANITIZE are explained in t/unit/Unit.pm.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/unit";

use Test::More;

use Unit;

my $seed = defined $ENV{SEED} ? $ENV{SEED} : time;

compile(qw(base/prov_json* t/unit/tap.c));

tap('json_memory', build('t/unit/json_memory.c'));
tap('json_read', build('t/unit/json_read.c'), $seed);
tap('json_quote', build('t/unit/json_quote.c'));

diag("SEED=$seed repeats it")
    if !Test::More->builder->is_passing;

done_testing();
