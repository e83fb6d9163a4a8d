#!/usr/bin/perl

# Signatures of webhooks and what is kept of answers, without a server
# (t/unit/webhook_unit.c).  Deliveries are in t/webhooks_delivery.t.
#
#   prove t/webhook_unit.t
#
# NGX_BUILD and SANITIZE are explained in t/unit/Unit.pm.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/unit";

use Test::More;

use Unit;

compile(qw(jobs/prov_webhook_sign jobs/prov_webhook_text t/unit/tap.c));
tap('webhook_unit', build('t/unit/webhook_unit.c'));

done_testing();
