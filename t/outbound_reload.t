#!/usr/bin/perl

# The HTTP client (src/http) and reloads: workers that leave take the module out
# of their memory, and a master whose configuration has no use for it any more
# does, too.  What libcurl and OpenSSL have begun must survive that, and so must
# what is under way.  Names that are still looked up then are in outbound_dns.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/outbound";
use Provisioning::Test qw(:DEFAULT authority certificate);
use Outbound;

my $receiver = receiver(sub {
    my ($c, $request) = @_;

    if ($request->{path} =~ m{^/waits/(\w+)}) {
        wait_until("the gate of $1 is open", sub { -e directory() . "/$1" });
    }

    $c->answer(200, $request->{body});
}, tls => certificate('127.0.0.1'));

my $nobody = reserve_port();

my $nginx = outbound('allow_network 127.0.0.0/8; breaker off; timeout 60s;'
    . ' trusted_certificate ' . authority()->{cert} . ';', workers => 2);

my $with = $nginx->text(%{ $nginx->{given} });
sub url { $receiver->url(@_) =~ s/^http:/https:/r }

# all of the old workers are known only when all of them are there
sub reloads {
    wait_until 'both workers are there', sub { 2 == (() = $nginx->workers) };
    return $nginx->reload;
}

sub left {
    my (@pids) = @_;
    wait_until 'the old workers have left', sub { !grep { kill 0, $_ } @pids };
    return 1;
}

# some that are answered, one that fails, names that threads look up
sub sends {
    my ($when) = @_;

    my @all = send_all($nginx, (map { { url => url("/$_"), body => "$when $_" } } 1 .. 6),
        { url => "https://127.0.0.1:$nobody/" },
        { url => "https://nobody.invalid/" });

    is_deeply [map { $_->{error} } @all[0 .. 5]], [(ANSWERED) x 6],
        "$when: requests are answered" or diag explain \@all;
    is_deeply [map { $_->{body} } @all[0 .. 5]], [map { "$when $_" } 1 .. 6],
        'with what was asked for';
    is $all[6]{error}, UNREACHABLE, 'and fail where nobody is';
    is $all[7]{error}, UNRESOLVED, 'or where there is no name';
}

sub mapped {
    my ($what) = @_;
    my ($pid) = $nginx->read_file('nginx.pid') =~ /(\d+)/;
    open my $file, '<', "/proc/$pid/maps" or return;
    return scalar grep { /\Q$what\E/ } <$file>;
}


sends('at first');
my $master = wait_until 'the master says who it is',
    sub { $nginx->read_file('nginx.pid') =~ /\A(\d+)\n/ ? $1 : 0 };

for my $round (1 .. 3) {
    my $under_way = background(sub {
        return send_one($nginx, url => url("/waits/gate$round"))->{error};
    });
    wait_until 'one is under way', sub { $receiver->seen("/waits/gate$round") };

    my @old = reloads();
    sends("reload $round");

    open my $gate, '>', directory() . "/gate$round" or die "a gate: $!";
    close $gate;
    is $under_way->finish(60), ANSWERED, 'what was under way is answered';
    left(@old);
}


# Without the module, and with it again.

my %blocks = $nginx->blocks;
my $without = $blocks{MAIN} =~ s/^load_module.*\n//mr
    . "worker_processes 2;\nevents { }\nhttp {\n    access_log off;\n    $blocks{HTTP}\n"
    . "    server { listen 127.0.0.1:%%PORT%%; return 200 none; }\n}\n";

ok mapped('libcurl'), 'the master has libcurl in its memory';

for my $round (1 .. 2) {
    $nginx->configure(config => $without);
    left(reloads());
    is $nginx->request(GET => '/')->body, 'none',
        'nginx goes on without the module';

    SKIP: {
        # t/build/keep.c
        skip 'the sanitized nginx keeps its modules', 1 if mapped('libasan');
        is mapped('ngx_http_provisioning_module'), 0,
            'which is not in its memory any more';
    }

    $nginx->configure(config => $with);
    left(reloads());
    sends("with it again, $round");
}

is $nginx->read_file('nginx.pid'), "$master\n", 'the master is the same';

done_testing;
