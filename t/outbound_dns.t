#!/usr/bin/perl

# Names that requests are sent to (src/http): what counts is the address that
# would be connected to, whatever a name server says before or after.  With a
# name server of its own, asked through the system's resolver.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/outbound";
use Provisioning::Test qw(:DEFAULT names);
use Outbound;
my $missing = Provisioning::Test::Names::missing();
plan skip_all => $missing if $missing;

# One address is allowed, another one is not: on both somebody listens.

my ($PUBLIC, $PRIVATE) = ('127.0.0.2', '127.0.0.3');

my $public = receiver(sub { $_[0]->answer(200, 'public') }, address => $PUBLIC);
my $port = $public->port;
my $private = Provisioning::Test::Receiver->new(directory() . '/private', $port,
    sub { $_[0]->answer(200, 'private') }, address => $PRIVATE);

my %is = (
    'public.test'    => { A => [$PUBLIC] },
    'private.test'   => { A => [$PRIVATE] },
    'loopback.test'  => { A => ['127.0.0.1'] },
    'zero.test'      => { A => ['0.0.0.0'] },
    'ten.test'       => { A => ['10.0.0.1'] },
    'metadata.test'  => { A => ['169.254.169.254'] },
    'six.test'       => { AAAA => ['::1'] },
    'mapped.test'    => { AAAA => ["::ffff:$PRIVATE"] },
    'compatible.test' => { AAAA => ["::$PRIVATE"] },
    'nat64.test'     => { AAAA => ["64:ff9b::$PRIVATE"] },
    'local.test'     => { AAAA => ['fe80::1'] },
    'unique.test'    => { AAAA => ['fd00:ec2::254'] },
    'both.test'      => { A => [$PRIVATE], AAAA => ['::1'] },
    'first.test'     => { A => [$PRIVATE, $PUBLIC], AAAA => ['::1'] },
    'last.test'      => { A => [$PUBLIC, $PRIVATE] },
    'mapped-public.test' => { AAAA => ["::ffff:$PUBLIC"] },
    'none.test'      => {},
);

my $names = names(sub {
    my ($name, $type, $before) = @_;

    return undef if $name =~ /^silent/;

    # public when it is asked for first, private ever after; or the reverse
    return $type eq 'A' ? ($before ? $PRIVATE : $PUBLIC) : ()
        if $name =~ /^flips\d*\.test$/;
    return $type eq 'A' ? ($before % 2 ? $PUBLIC : $PRIVATE) : ()
        if $name =~ /^flops\d*\.test$/;

    return @{ $is{$name}{$type} || [] };
});

local $Provisioning::Test::Nginx::binary = $names->binary;

my $directives = "plain_http on; allow_network $PUBLIC; breaker off;";
my $nginx = outbound("$directives timeout 5m; connect_timeout 5m;");

sub ask { return send_one($nginx, url => "http://$_[0]:$port/$_[0]") }

for my $name (qw(public.test last.test first.test mapped-public.test)) {
    my $r = ask($name);
    is $r->{body}, 'public', "$name: an address that is allowed"
        or diag explain $r;
}

for my $name (qw(private.test loopback.test zero.test ten.test metadata.test
    six.test mapped.test compatible.test nat64.test local.test unique.test
    both.test))
{
    my $r = ask($name);
    is $r->{error}, REFUSED_ADDRESS, "$name: one that is refused"
        or diag explain $r;
    like $r->{message}, qr/^[0-9a-f.:]+ is \w/, 'the log is told which';
    unlike $r->{text}, qr/\d/, 'and the caller is not';
}

is ask($_)->{error}, UNRESOLVED, "$_: no address"
    for 'none.test', 'unknown.test';


# A name that is another one when it is asked for again

for (1 .. 10) {
    my $r = ask("flips$_.test");
    ok $r->{error} == ANSWERED && $r->{body} eq 'public',
        'what was looked at is what is connected to' or diag explain $r;
    is $names->seen("flips$_.test", 'A'), 1, 'with one look-up';
}

is ask('flips1.test')->{body}, 'public', 'a connection is used again';

my @old = $nginx->reload;
wait_until('the old workers leave', sub { !grep { kill 0, $_ } @old });

for (1 .. 10) {
    is ask("flips$_.test")->{error}, REFUSED_ADDRESS,
        'the next look-up is looked at, too';
}

is ask('flops.test')->{error}, REFUSED_ADDRESS, 'refused at first';

is scalar $private->seen, 0, 'nobody has ever come to the one that is refused';
is $private->connections, 0, 'nor connected';


# A name server that does not answer

send_one($nginx, url => "http://silent$_.test/", detached => \1,
         background => \1) for 1 .. 20;
wait_until('it is asked', sub { $names->seen('silent20.test', 'A') });

is $nginx->request(GET => '/ping')->status, 200, 'holds up no other request';
is ask('public.test')->{body}, 'public', 'nor other names';

my $hasty = outbound("$directives connect_timeout 1s;");
is_deeply [map { $_->{error} } send_all($hasty, map {
        { url => "http://silent$_.test/" } } 21 .. 40)],
    [(UNRESOLVED) x 20], 'it ends with connect_timeout';

# threads still wait for it when the worker leaves
ok $nginx->stop, 'a worker leaves while names are looked up';

$nginx->start;
send_one($nginx, url => "http://silent-$_.test/", detached => \1,
         background => \1) for 1 .. 5;
wait_until('it is asked', sub { $names->seen('silent-5.test', 'A') });
ok $nginx->stop('TERM'), 'also at once';

done_testing;
