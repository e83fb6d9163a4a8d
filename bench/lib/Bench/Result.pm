package Bench::Result;

# One run's figures, as a file: what was measured, on what, and what became of
# the goals.  Whoever shows figures reads them here, and only those of one run:
# a machine's speed changes from one hour to the next by more than most of what
# one wants to see.

use strict;
use utf8;
use warnings;

use File::Path ();
use JSON::PP ();
use POSIX ();

use Provisioning::Test::Postgres;

our $format = 1;


sub new_id {
    return POSIX::strftime('%Y%m%dT%H%M%SZ', gmtime)
         . sprintf('-%04x', int rand 65536);
}


# write(the result): the name of its file

sub write {
    my ($result) = @_;
    my $directory = $ENV{BENCH_DIRECTORY}
        || Provisioning::Test::Postgres::tree() . '/build/bench';
    my $name = "$directory/$result->{run}.json";

    File::Path::make_path($directory);
    open my $file, '>:raw', "$name.new" or die "$name.new: $!\n";
    print $file JSON::PP->new->utf8->canonical->pretty->encode($result);
    close $file or die "$name.new: $!\n";
    rename "$name.new", $name or die "$name: $!\n";

    return $name;
}


# read(names of files): the result of the one run that they must be of

sub read {
    my (@names) = @_;

    die "Whose figures?  Say the file of one run, build/bench/….json.\n"
        if !@names;
    die refusal('Two files are two runs') if @names > 1;

    my ($name) = @names;
    open my $file, '<:raw', $name or die "$name: $!\n";
    my $result = eval {
        JSON::PP->new->utf8->decode(do { local $/; <$file> });
    };

    die "$name is no result of a run: it is not JSON.\n"
        if ref $result ne 'HASH';
    die "$name is no result of a run, or of a bench that writes another "
        . "format than this one.\n"
        if ($result->{format} // '') ne $format
            || ref $result->{measures} ne 'ARRAY' || !@{ $result->{measures} };

    my %run = map { ($_->{run} // '' => 1) } @{ $result->{measures} };
    die refusal("$name has figures of several runs")
        if keys %run != 1 || !$run{ $result->{run} };

    return $result;
}


sub refusal {
    my ($why) = @_;

    return "$why: figures of runs that were made apart are not compared. A "
        . "machine is faster in one hour than in another; what is to be "
        . "compared is measured in the same rounds of one run, in turns "
        . "(PEERS=1 for other services).\n";
}

1;
