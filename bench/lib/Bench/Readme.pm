package Bench::Readme;

# The figures in README.md: what stands between two comments is a run's, and
# nobody's hand's.

use strict;
use warnings;

my ($begin, $end) = ('<!-- bench: written by bench/report -->',
                     '<!-- /bench -->');


# put(text of a file, what is to stand there): the text with it

sub put {
    my ($text, $block) = @_;

    $text =~ s/^\Q$begin\E\n.*?^\Q$end\E$/$begin\n$block$end/ms
        or die "There is no \"$begin\" with an \"$end\" after it.\n";
    return $text;
}

1;
