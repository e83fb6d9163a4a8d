package Provisioning::Test::EventStream;

# A client of Server-Sent Events that shows what is sent, block by block.
#
#     my $stream = listen_to($nginx, '?type=tenant.*', token => token());
#     my $event = $stream->event;       # { id, event, data, json }
#     my $block = $stream->block;       # also what is no event: comment, retry
#     my $end = $stream->end;           # nothing but comments, then the end
#
# Options are those of Provisioning::Test::HTTP; without a token that of
# acme's partner-admin.  {response} is the header; with another status than
# 200, or HEAD, the whole response.

use strict;
use warnings;

use Exporter 'import';
use JSON::PP ();
use Time::HiRes qw(time);

use Provisioning::Test::HTTP;
use Provisioning::Test::Token;

our @EXPORT = qw(listen_to jobs_database);

my $PATH = '/api/provisioning/events';


# Pieces of nginx.conf: the workers' database, and options of the directive.

sub jobs_database {
    my ($options) = @_;

    return 'provisioning_database jobs { server %%DATABASE%%; '
        . 'conninfo "dbname=provisioning user=prov_worker"; connections 2; }'
        . "provisioning_event_streams database=jobs $options;";
}


sub listen_to {
    my ($nginx, $query, %o) = @_;
    my %headers = (Accept => 'text/event-stream',
        Connection => 'keep-alive', %{ delete $o{headers} || {} });
    my $http = Provisioning::Test::HTTP->connect($o{port} || $nginx->port,
        timeout => $Provisioning::Test::patience);

    if ($o{buffer}) {
        setsockopt $http->socket, Socket::SOL_SOCKET(), Socket::SO_RCVBUF(),
            $o{buffer} or die "SO_RCVBUF: $!";
    }

    $http->send_request($o{method} || 'GET', $PATH . ($query || ''),
        token => $o{token} || Provisioning::Test::Token::token(), %o,
        headers => \%headers);

    # up to the body, which does not end
    my $response = $http->read_one(time + $Provisioning::Test::patience, 1);

    my $self = bless { http => $http, response => $response, text => '',
        chunked => lc($response->header('Transfer-Encoding') || '')
                   eq 'chunked' }, __PACKAGE__;

    if ($response->status != 200) {
        $response->{body} = $http->take($response->header('Content-Length'),
            time + $Provisioning::Test::patience);
    }

    return $self;
}


sub status { $_[0]{response}->status }


# The next block: a hash of its fields; comments are "comment".  undef at the
# end, which {whole} says was a proper one.

sub block {
    my ($self, $seconds) = @_;
    my $deadline = time + ($seconds || $Provisioning::Test::patience);

    while ($self->{text} !~ /\n\n/) {
        return undef unless $self->more($deadline);
    }

    $self->{text} =~ s/\A(.*?)\n\n//s;
    $self->{response}{body} .= "$1\n\n";
    my %block;

    for my $line (split /\n/, $1) {
        my ($name, $value) = $line =~ /\A(\w*): ?(.*)\z/s
            or die "not a line of an event: '$line'\n";
        $block{ $name eq '' ? 'comment' : $name } = $value;
    }

    $self->{id} = $block{id} if defined $block{id};
    $block{json} = JSON::PP->new->utf8->decode($block{data})
        if defined $block{data};

    return \%block;
}


sub more {
    my ($self, $deadline) = @_;
    my $http = $self->{http};

    if (!$self->{chunked}) {
        my $more = $http->fill($deadline);
        $self->{text} .= $http->{buffer};
        $http->{buffer} = '';
        return $more;
    }

    my $line = eval { $http->take_line($deadline) };

    if (!defined $line) {
        return 0 if $@ =~ /closed/;
        die $@;
    }

    my $size = hex $line;
    $self->{text} .= $http->take($size, $deadline) if $size;
    $http->take_line($deadline);
    $self->{whole} = 1 if $size == 0;

    return $size;
}


# The next event; what is none is left out.

sub event {
    my ($self, $seconds) = @_;
    my $deadline = time + ($seconds || $Provisioning::Test::patience);

    while (my $block = $self->block($deadline - time)) {
        return $block if defined $block->{data};
    }

    return undef;
}


# As many events, or fewer at the end.

sub events {
    my ($self, $n) = @_;
    my @events;

    while (@events < $n) {
        push @events, $self->event || last;
    }

    return @events;
}

# The response, with the blocks that have been read as its body.

sub so_far { $_[0]{response} }

sub close { $_[0]{http}->close }


1;
