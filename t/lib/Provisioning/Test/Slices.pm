package Provisioning::Test::Slices;

# What is done after the answer, done by the test itself, a slice at a time,
# where the gateway has no dispatcher of jobs that would be faster:
#
#     my $verdict = slice($postgres);    # "next", "done"; undef: none is due

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(slice);

sub slice {
    my ($postgres) = @_;
    my $job = $postgres->sql(q{select id, attempt from prov.jobs_claim(
        '{"worker": "test", "limit": 64, "per_queue": 8, "lease": 60}',
        null, null) where kind = 'bulk' limit 1})->[0] or return undef;

    return $postgres->value(q{select verdict from prov.job_run(
        jsonb_build_object('worker', 'test', 'id', ?::text,
            'attempt', ?::int), null, null)}, @$job{qw(id attempt)});
}

1;
