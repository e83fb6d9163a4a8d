#!/usr/bin/perl

# What make bench runs, as small as can be: that it has a row for each goal,
# writes JSON and a picture, judges rightly, refuses figures of two runs, and
# leaves nothing behind.  No figure of it is looked at: nothing is timed here.
#
# harness: alone
# harness: plain

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../bench/lib";
use IPC::SharedMem ();
use JSON::PP ();
use Provisioning::Test;
use Provisioning::Test::Process;

use Bench::Goals;
use Bench::Svg;

plan skip_all => 'the bench needs /proc, which is not mounted here'
    if !-r '/proc/self/smaps_rollup';

my $bench = "$FindBin::Bin/../bench";
my $directory = directory();
my ($work, $results) = ("$directory/w", "$directory/results");
my $minutes = 5;

chmod 0755, $directory;
mkdir $work or die "$work: $!";

my %small = (
    TMPDIR => $work, PROV_TEST_KEEP => '', BENCH_DIRECTORY => $results,
    BENCH_QUICK => 1, PEERS => '',
    BENCH_TENANTS => 2000, BENCH_ROUNDS => 1, BENCH_SECONDS => 1,
    BENCH_CLIENTS => 1, BENCH_CONNECTIONS => '4,8', BENCH_WAITING => 100,
    BENCH_TOKENS => 9, BENCH_DELIVERIES => 640,
);

sub slurp {
    my ($name) = @_;
    open my $file, '<:raw', $name or die "$name: $!";
    return do { local $/; <$file> };
}

sub run {
    my ($environment, @command) = @_;
    my ($code, $said) = Provisioning::Test::Process->run(
        command => \@command, env => $environment, timeout => 60 * $minutes);
    utf8::decode($said);
    return ($code, $said);
}


# What is left of a run: its processes name its directory, in their arguments
# or their environment.

sub left {
    my ($segment) = @_;
    opendir my $entries, $work or die "$work: $!";
    my @left = map { "file: $_" } grep { !/^\.\.?\z/ } readdir $entries;

    for my $process (glob '/proc/[0-9]*') {
        next if $process eq "/proc/$$";
        my $about = join ' ', map { eval { slurp("$process/$_") } // '' }
            qw(cmdline environ);
        push @left, "process: $about" if index($about, $work) >= 0;
    }

    my $memory = IPC::SharedMem->new($segment, 0, 0);
    push @left, 'shared memory' if $memory && $memory->stat;
    return join "\n", @left;
}


# Starts the bench and waits until its PostgreSQL with the tenants is there: the
# process, and the key of PostgreSQL's segment of shared memory.

sub begin {
    my ($output) = @_;

    my $process = Provisioning::Test::Process->spawn(name => 'bench',
        command => ["$bench/measure"], env => \%small, output => $output);
    my $segment = wait_until('PostgreSQL is there', sub {
        die "the bench has ended:\n" . slurp($output)
            if defined $process->ended;
        my ($file) = glob "$work/provisioning-*/pg1/data/postmaster.pid";
        my ($line) = $file && (eval { split /\n/, slurp($file) })[6];
        ($line // '') =~ /^\s*(\d+)\s+\d+/ ? $1 : undef;
    }, 60);

    return ($process, $segment);
}


# A whole run

my ($process, $segment) = begin("$directory/output");
ok defined IPC::SharedMem->new($segment, 0, 0)->stat,
    'a run has shared memory while it lasts';

my $status = $process->wait_for_end(60 * $minutes);
my $output = slurp("$directory/output");
utf8::decode($output);
is $status, 0, 'and comes to its end' or diag $output;
is left($segment), '', 'and leaves nothing behind';

my ($file) = glob "$results/*.json";
my $result = JSON::PP->new->utf8->decode(slurp($file));
my @rows = @{ $result->{rows} };

is join(' ', map { $_->{key} } @rows), 'post-ratio get-ratio list-ratio bulk'
    . ' post-p99 get-p99 post-alone get-alone token memory-rest memory-waiting'
    . ' deliveries hanging post-workers get-workers post-many get-many', 'there is a row for each '
    . 'goal';

for my $row (@rows) {
    like $output,
        qr/^\Q$row->{name}\E +\Q$row->{figure}\E +.*\Q$row->{goal}\E/m,
        "which is printed: $row->{name}";
    cmp_ok $row->{value}, '>', 0, 'with a figure';
}

is scalar(grep { $_->{errors} } @{ $result->{measures} }), 0,
    'no request was answered with an error';
is_deeply [map { $_->{verdict} } @rows],
    [map { defined $_->{limit} ? $Bench::Goals::unjudged : '' } @rows],
    'a quick run has no verdicts';
like $output, qr/no verdict of this run means anything/, 'and says so';
is scalar(@{ $result->{pages} }), 36, 'each order and filter of a list has one';
like $output, qr/^ +sort=-created_at status:\[active\] +[\d.]+ ms/m,
    'which is printed, too';

like $result->{statements}{$_->[0]},
    qr/^select .*prov\.enter\(\$1\).*partner\.$_->[1]\(e\.ctx, \$2, \$3\)/,
    "pgbench runs the gateway's own statement of a $_->[0]"
    for [post => 'tenant_create'], [get => 'tenant_get'],
        [list => 'tenant_list'];

for (qw(cpu cores memory kernel filesystem nginx postgresql libpq openssl
        wrk))
{
    ok $result->{machine}{$_} && $result->{machine}{$_} ne 'unknown',
        "the machine's $_ is known";
    like $output, qr/\Q$result->{machine}{$_}\E/, 'and printed';
}


# Verdicts

sub judged {
    my ($key, $change) = @_;
    my $other = JSON::PP->new->decode(JSON::PP->new->encode($result));

    $other->{settings}{quick} = 0;
    $change->($other) if $change;
    my ($row) = grep { $_->{key} eq $key } @{ Bench::Goals::rows($other) };
    return $row->{verdict};
}

# the gateway's figures of a kind are made so many times pgbench's best

sub times_pgbench {
    my ($kind, $what, $times, %more) = @_;

    return sub {
        my ($result) = @_;
        my ($theirs) = map { $_->{rate} } grep {
            $_->{kind} eq $kind && $_->{by} eq 'pgbench'
        } @{ $result->{measures} };

        for (grep { $_->{kind} eq $kind && $_->{by} eq 'gateway' }
             @{ $result->{measures} })
        {
            $_->{$what} = $times * $theirs;
            $_->{errors} = $more{errors} || 0;
        }
    };
}

for (['post-ratio', post => 2.01, 1.99], ['get-ratio', get => 1.01, 0.99],
     ['list-ratio', list => 0.91, 0.89], ['post-alone', post => 0.81, 0.79],
     ['get-alone', get => 0.81, 0.79])
{
    my ($key, $kind, $good, $bad) = @$_;
    is judged($key, times_pgbench($kind, 'rate', $good)), 'reached',
        "$key is reached with $good of what pgbench does";
    is judged($key, times_pgbench($kind, 'rate', $bad)), 'NOT reached',
        "and not with $bad";
}

is judged('post-ratio', times_pgbench('post', 'rate', 3, errors => 1)),
    'NOT reached', 'and not with an error, whatever the figure';

sub slow_list {
    my ($median, $busy, $p99) = @_;

    return sub {
        my ($result) = @_;
        $result->{slow}{alone} = $median;
        for (grep { $_->{beside} } @{ $result->{measures} }) {
            $_->{p99} = $p99;
            @{ $_->{beside} }{qw(median busy)} = ($median, $busy);
        }
    };
}

is judged('get-p99', slow_list(60, 0.99, 4.9)), 'reached',
    'a p99 counts beside a slow list';
is judged('get-p99', slow_list(60, 0.99, 5.1)), 'NOT reached',
    'when it is as short as it must be';
is judged('get-p99', slow_list(40, 0.99, 4.9)), 'NOT reached',
    'and not beside a quick one';
is judged('get-p99', slow_list(60, 0.5, 4.9)), 'NOT reached',
    'nor beside one that is not always there';

for (['token', sub { $_[0]{verifier}{first} = [$_[1]] }, 25, 25.1],
     ['memory-rest', sub { $_[0]{memory}{pss} = $_[1] * 1024 }, 16, 16.1],
     ['memory-waiting', sub { $_[0]{memory}{each} = $_[1] }, 8, 8.1],
     ['deliveries', sub { $_->{rate} = $_[1] for @{ $_[0]{deliveries} } },
      5001, 4999],
     ['hanging', sub { @$_{qw(beside without)} = ($_[1], 10)
                           for @{ $_[0]{hanging} } }, 12, 12.1])
{
    my ($key, $set, $good, $bad) = @$_;
    is judged($key, sub { $set->($_[0], $good) }), 'reached', "$key is reached";
    is judged($key, sub { $set->($_[0], $bad) }), 'NOT reached', 'or not';
}

sub with_many {
    my ($part) = @_;
    return sub {
        $_->{rate} = $_->{connections} == 8 ? 1000 * $part : 1000
            for grep { $_->{kind} eq 'get' } @{ $_[0]{measures} };
    };
}

is judged('get-many', with_many(0.96)), 'reached',
    'throughput does not fall by what runs differ by';
is judged('get-many', with_many(0.94)), 'NOT reached', 'but by more it does';


# The picture

my ($picture) = glob "$results/*.svg";
my ($code, $said) = run({}, 'python3', '-c',
    'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])',
    $picture);
is $code, 0, 'the picture is XML' or diag $said;

my $svg = slurp($picture);
utf8::decode($svg);
is scalar(() = $svg =~ /<rect class="(?:gateway|pgbench)"/g), 6,
    'with a bar for each who was measured';
unlike $svg =~ s/ xmlns="[^"]+"//r,
    qr/https?:|url\(|\@import|<script|<image|href/,
    'and needs nothing but itself';
like $svg, qr/prefers-color-scheme: dark/, 'and has colours for a dark page';

my $hostile = JSON::PP->new->decode(JSON::PP->new->encode($result));
$hostile->{bars}[0]{bars}[0]{name} = '<b>&"';
like Bench::Svg::draw($hostile), qr/&lt;b&gt;&amp;&quot;/,
    'a name is text in it, whatever it is';


# One run's figures, and no others

mkdir "$directory/tree" or die $!;
mkdir "$directory/tree/docs" or die $!;

sub spew {
    my ($name, $text) = @_;
    open my $out, '>:encoding(UTF-8)', $name or die "$name: $!";
    print $out $text;
    close $out or die "$name: $!";
    return $name;
}

my $readme = slurp("$FindBin::Bin/../README.md");
utf8::decode($readme);
spew("$directory/tree/README.md", $readme);

($code, $said) = run({}, "$bench/report", '--table', $file);
is $code, 0, 'a run can be shown again';
is $said, $output =~ s/.*?\n\n(?=\ +measured)//sr =~ s/\n\n\Q$results\E.*//sr
    . "\n", 'as it was';

($code, $said) = run({}, "$bench/report", $file);
isnt $code, 0, 'a quick run is not for README.md';
like $said, qr/quick run/, 'which is said';

($code, $said) = run({}, "$bench/report", '--into', "$directory/tree", $file);
is $code, 0, 'it is for another tree' or diag $said;

my $written = slurp("$directory/tree/README.md");
utf8::decode($written);
like $written, qr/^\| \Q$_->{name}\E \| \Q$_->{figure}\E \|/m,
    "README.md has $_->{name}" for @rows;
like $written, qr/^\| GET by id \| [\d,]+ \| [\d,]+ \|$/m,
    'and who reached what';
like $written, qr/!\[[^\]]+\]\(docs\/bench\.svg\)/, 'and the picture';
ok -s "$directory/tree/docs/bench.svg", 'which is there';
my $block = qr/(<!-- bench: [^\n]*-->\n).*?(<!-- \/bench -->)/s;
is $written =~ s/$block/$1$2/r, $readme =~ s/$block/$1$2/r,
    'nothing else is changed';

my $twice = spew("$results/other.json", JSON::PP->new->encode({ %$result,
    measures => [@{ $result->{measures} }, { %{ $result->{measures}[0] },
                                             run => 'another' }] }));
for (['two files', $file, $twice], ['one with two runs\' figures', $twice]) {
    my ($what, @files) = @$_;
    ($code, $said) = run({}, "$bench/report", '--table', @files);
    isnt $code, 0, "$what are refused";
    like $said, qr/figures of runs that were made apart are not compared/,
        'with the reason';
}

spew("$results/none.json", '{}');
($code, $said) = run({}, "$bench/report", '--table', "$results/none.json");
isnt $code, 0, 'what is no result is refused';
like $said, qr/none\.json is no result of a run/, 'with a sentence';


# One that is broken off, and one that does not begin

($process, $segment) = begin("$directory/broken");
$process->signal('INT');
ok defined $process->wait_for_end(60), 'a run can be interrupted';
is left($segment), '', 'and leaves nothing behind then either';

($code, $said) = run({ %small, BENCH_ROUNDS => 'many' }, "$bench/measure");
isnt $code, 0, 'a setting that is none is refused';
like $said, qr/BENCH_ROUNDS is "many"/, 'with its name';

($code, $said) = run({ %small, BENCH_CONNECTIONS => '4,99999' },
    "$bench/measure");
isnt $code, 0, 'more connections than a process may have are refused';
like $said, qr/ulimit -n 8192/, 'with the remedy';

done_testing;
