package Provisioning::Test::Examples;

# The examples of a served document, to be compared with what is really sent
# and answered.
#
#     my $examples = Provisioning::Test::Examples->new($document,
#         qw(partner_create partner_get));           # these operations' own
#     my ($type, $value) = $examples->sent('partner_create least');
#     $examples->is_example('partner_create 201 least', $response);
#     $examples->is_example('PartnerNotFound', $response);
#     is_deeply [$examples->left], [], 'no example is left out';
#
# A request's example is "operation name" (with several media types each of
# them, as "operation name type"), a response's "operation status name", or
# "Component name" where operations share it; without the name where there is
# only one.

use strict;
use warnings;

use Test::More ();

sub new {
    my ($class, $document, @operations) = @_;
    my $self = bless { document => $document, sent => {}, answered => {} },
        $class;
    my %here = map { ($_ => 1) } @operations;

    for my $item (values %{ $document->{paths} }) {
        $self->gather($_) for grep { ref eq 'HASH' && $_->{operationId}
            && $here{ $_->{operationId} } } values %$item;
    }

    return $self;
}


sub gather {
    my ($self, $operation) = @_;
    my $id = $operation->{operationId};
    my $body = $self->resolve($operation->{requestBody} || {})->{content}
        || {};

    for my $type (keys %$body) {
        my $found = $self->examples_of($body->{$type});
        my $more = keys %$body > 1 ? " $type" : '';
        $self->{sent}{"$id $_" =~ s/ \z//r . $more} = [$type, $found->{$_}]
            for keys %$found;
    }

    for my $status (keys %{ $operation->{responses} }) {
        my $response = $operation->{responses}{$status};
        my $name = ($response->{'$ref'} || '') =~ m{/([^/]+)\z} ? $1
            : "$id $status";
        my $content = $self->resolve($response)->{content} || {};

        for my $type (keys %$content) {
            my $found = $self->examples_of($content->{$type});
            $self->{answered}{"$name $_" =~ s/ \z//r} = [$type, $found->{$_}]
                for keys %$found;
        }
    }

    return;
}


sub resolve {
    my ($self, $value) = @_;

    while (my $ref = $value->{'$ref'}) {
        $value = $self->{document};
        $value = $value->{ s/~1/\//gr =~ s/~0/~/gr }
            for split m{/}, $ref =~ s{\A#/}{}r;
    }

    return $value;
}


sub examples_of {
    my ($self, $media) = @_;
    my %found = map {
        ($_ => $self->resolve($media->{examples}{$_})->{value})
    } keys %{ $media->{examples} || {} };

    $found{''} = $media->{example} if exists $media->{example};
    return \%found;
}


# Components that another test provokes.

sub leave {
    my ($self, @components) = @_;

    for my $component (@components) {
        delete @{ $self->{answered} }{ grep { /\A\Q$component\E(?: |\z)/ }
            keys %{ $self->{answered} } };
    }

    return $self;
}


sub sent { @{ delete $_[0]{sent}{ $_[1] } || die "no example: $_[1]\n" } }

sub left {
    my ($self) = @_;
    return sort keys %{ $self->{sent} }, keys %{ $self->{answered} };
}


# An example says what it says; ids, times and secrets are those of the day.

my $id = qr/\A[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}\z/;
my $moment = qr/\A20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\z/;

sub comparable {
    my ($value) = @_;

    return $value if !ref $value;
    return [map { comparable($_) } @$value] if ref $value eq 'ARRAY';
    return $value if ref $value ne 'HASH';

    my %copy = map { ($_ => comparable($value->{$_})) } keys %$value;

    for my $key (grep { defined $copy{$_} && !ref $copy{$_} } keys %copy) {
        $copy{$key} = "a $key" if $copy{$key} =~ $id || $key eq 'Location'
            || $copy{$key} =~ $moment && $key ne 'expires_at'
            || $key =~ /\A(?:key|client_id|hash|prev_hash|details_hash|ip|
                user_agent|next_cursor|schema_version)\z/x;
    }

    return \%copy;
}


sub is_example {
    my ($self, $name, $response) = @_;
    my ($type, $value) = @{ delete $self->{answered}{$name} || ['', {}] };

    Test::More::is($response->type, $type,
        "$name: the media type is what is described");
    Test::More::is_deeply(comparable($response->json), comparable($value),
        "$name: the example is what is answered")
        or Test::More::diag($response->body);
    Test::More::is($response->status, $value->{status}, "$name: with its status")
        if $type eq 'application/problem+json';

    return $response;
}

1;
