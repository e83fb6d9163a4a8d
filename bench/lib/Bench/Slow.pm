package Bench::Slow;

# One caller who asks for a slow page of the list, and when he has it for the
# next, all the time that others are measured.

use strict;
use warnings;

use Provisioning::Test;
use Time::HiRes qw(time);

use Bench::Gateway;

our $enough = 50;    # milliseconds, from which on a page is called slow

my $token;

# Pages for which the most rows are looked at, all in vain: with filters of
# which none leaves few tenants and only the last does not fit.  Which of them
# takes the longest is for the database to say.

my $ranges = '&created_after=2025-01-01T00:00:00Z'
    . '&created_before=2099-01-01T00:00:00Z'
    . '&updated_after=2025-01-01T00:00:00Z'
    . '&updated_before=2099-01-01T00:00:00Z';
my @pages = (
    "sort=client_name&q=client%209&industry=Retail&metadata[tier]=lead$ranges",
    "sort=client_name&q=client%209&industry=Retail&metadata[tier]=tin$ranges",
    'sort=client_name&q=client%209&metadata[tier]=lead',
);


# choose(the Bench::Gateway): the slowest, and what it takes when nothing else
# is done.

sub choose {
    my ($class, $gateway) = @_;
    my %alone;

    for my $page (@pages) {
        ask($gateway, $page);
        my @times = sort { $a <=> $b } map { ask($gateway, $page) } 1 .. 5;
        $alone{$page} = $times[2];
    }

    my ($page) = sort { $alone{$b} <=> $alone{$a} } @pages;
    return bless { gateway => $gateway, page => $page,
                   alone => $alone{$page} }, $class;
}


sub page  { $_[0]{page} }
sub alone { $_[0]{alone} }


# Milliseconds for a page.

sub ask {
    my ($gateway, $page) = @_;

    $token ||= token();
    my $began = time;

    my $r = $gateway->nginx_of->request(
        GET => "$Bench::Gateway::api?limit=25&$page", token => $token,
        timeout => 30);
    die "a slow list is answered " . $r->status . ': ' . $r->body . "\n"
        if $r->status != 200;

    return (time - $began) * 1000;
}


# beside(code): what the code returns, and how it was with the lists: how many
# there were, the median of their times, the part of the time they were run.

sub beside {
    my ($self, $code) = @_;

    my $job = background(sub {
        my ($go_on) = @_;
        my $began = time;
        my @times;
        push @times, ask($self->{gateway}, $self->{page}) while $go_on->();
        return { times => \@times, seconds => time - $began };
    });

    my $result = $code->();
    my $said = $job->finish(60);
    my @times = sort { $a <=> $b } @{ $said->{times} };
    my $busy = 0;
    $busy += $_ for @times;

    return ($result, {
        lists => scalar @times, median => $times[@times / 2],
        busy => $busy / 1000 / $said->{seconds},
    });
}

1;
