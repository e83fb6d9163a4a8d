package Provisioning::Test::Document;

# A document as it is served, and requests made from it alone: tests that are
# generated from it have each operation in them by themselves.
#
#     my $document = served($nginx, '/api/provisioning/openapi.json');
#
#     for my $operation ($document->operations) {
#         my $request = $document->prepared($operation, $ask) or die;
#         my $r = $ask->(@$request);
#     }
#
# $ask sends what it is given, as $nginx->request does, with a token.
#
# An operation is a hash: id, method, path, parameters (resolved, the path's
# own with them), public, content (of its body, by media type), bodies (of
# [name, media type, value]: the examples), responses (status => resolved),
# item (the path's).
#
# request($operation, \%parameters, $body) makes the arguments of $ask.  What
# prepared() returns works: it makes what the path names with other operations
# of the document, by their examples, and brings it into a state in which the
# operation succeeds by trying the operations that change it.  It wants to
# find nothing: forget($postgres) before.

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(served forget);

sub served {
    my ($nginx, $path) = @_;
    my $r = $nginx->request(GET => $path);

    $r->status == 200 or die "$path: " . $r->status . "\n";

    return bless {
        document => $r->json,
        base     => $r->json->{servers}[0]{url} =~ s{/\z}{}r,
    }, __PACKAGE__;
}


# Takes away what earlier requests have made.  Keys whose ids are given stay,
# and so do the harness's partners and the operators, who are one, too.

sub forget {
    my ($postgres, @keys) = @_;

    $postgres->sql($_) for 'delete from prov.tenants',
        'delete from prov.idempotency', 'delete from prov.operations',
        'delete from prov.operation_items', 'delete from prov.events',
        'delete from prov.webhook_endpoints', 'delete from prov.job_attempts',
        q{delete from prov.jobs where kind <> 'task'};
    $postgres->sql('delete from prov.api_keys where not id::text'
        . ' = any (?)', \@keys);
    $postgres->sql("delete from prov.$_ where id in (select id from"
        . q{ prov.partners where slug not in ('acme', 'globex')
             and id <> 'ffffffff-ffff-ffff-ffff-ffffffffffff')})
        for qw(quotas partners);

    return;
}


sub base { $_[0]{base} }
sub text { $_[0]{document} }


sub resolve {
    my ($self, $value) = @_;

    while (ref $value eq 'HASH' && defined $value->{'$ref'}) {
        my $ref = $value->{'$ref'};
        $value = $self->{document};
        $value = $value->{ s/~1/\//gr =~ s/~0/~/gr }
            for split m{/}, $ref =~ s{\A#/}{}r;
    }

    return $value;
}


sub operations {
    my ($self) = @_;
    my @found;

    return @{ $self->{operations} } if $self->{operations};

    for my $path (sort keys %{ $self->{document}{paths} }) {
        my $item = $self->{document}{paths}{$path};

        for my $method (qw(get put post patch delete)) {
            push @found, $self->operation($path, $method, $item)
                if $item->{$method};
        }
    }

    $self->{operations} = \@found;
    return @found;
}


sub operation {
    my ($self, $path, $method, $item) = @_;
    my $o = $item->{$method};
    my $body = $self->resolve($o->{requestBody} || {});
    my @bodies;

    for my $type (sort keys %{ $body->{content} || {} }) {
        my $found = $self->examples($body->{content}{$type});
        push @bodies, map { [$_, $type, $self->replaced($found->{$_})] }
            sort keys %$found;
    }

    return {
        id         => $o->{operationId},
        method     => uc $method,
        path       => $path,
        item       => $item,
        public     => $o->{security} && !@{ $o->{security} },
        parameters => [map { $self->resolve($_) }
            @{ $item->{parameters} || [] }, @{ $o->{parameters} || [] }],
        bodies     => \@bodies,
        content    => $body->{content} || {},
        responses  => { map { $_ => $self->resolve($o->{responses}{$_}) }
                        keys %{ $o->{responses} } },
    };
}


# replace(client_secret => …): examples have these members' values instead,
# since those of the document's own are nobody's.

sub replace {
    my ($self, %values) = @_;

    $self->{replace} = \%values;
    delete $self->{operations};
    return $self;
}

sub replaced {
    my ($self, $value) = @_;
    my $new = $self->{replace} || {};

    return $value if ref $value ne 'HASH';
    return { %$value, map { $_ => $new->{$_} }
        grep { exists $value->{$_} } keys %$new };
}


# Examples of a media type by name; one without a name has "".

sub examples {
    my ($self, $media) = @_;
    my %found = map { $_ => $self->resolve($media->{examples}{$_})->{value} }
        keys %{ $media->{examples} || {} };

    $found{''} = $media->{example} if exists $media->{example};
    return \%found;
}


sub parameters_in {
    my ($self, $operation, $in) = @_;
    return grep { $_->{in} eq $in } @{ $operation->{parameters} };
}


sub declares {
    my ($self, $operation, $name) = @_;
    return scalar grep { $_->{name} eq $name } @{ $operation->{parameters} };
}


sub url {
    my ($self, $operation, $values) = @_;
    my $path = $operation->{path} =~ s/\{(\w+)\}/escaped($values->{$1})/ger;
    my @query = map { escaped($_->{name}) . '=' . escaped(sample($_)) }
        grep { $_->{required} } $self->parameters_in($operation, 'query');

    return join '?', $self->{base} . $path, @query ? join '&', @query : ();
}

# What the document gives as an example of a parameter's value.

sub sample {
    my ($parameter) = @_;
    my $schema = $parameter->{schema} || {};

    for ($parameter->{example}, $schema->{example},
         @{ $schema->{examples} || [] }, $schema->{default},
         $schema->{minimum}) {
        return $_ if defined;
    }

    die "the parameter $parameter->{name} has no example\n";
}

sub escaped {
    my ($text) = @_;
    utf8::encode($text) if utf8::is_utf8($text);
    return $text =~ s/([^A-Za-z0-9._~-])/sprintf '%%%02X', ord $1/ger;
}

sub request {
    my ($self, $operation, $values, $body) = @_;

    return [$operation->{method}, $self->url($operation, $values),
        $operation->{public} ? (token => undef) : (),
        $body ? (content($body->[1], $body->[2]),
                 headers => { 'Content-Type' => $body->[1] }) : ()];
}

sub content {
    my ($type, $value) = @_;

    return (json => $value) if $type =~ m{[/+]json\z};
    return (body => join '&', map { escaped($_) . '=' . escaped($value->{$_}) }
        sort keys %$value);
}


# A request that succeeds, sent by nobody yet; undef when there is none.  It
# is learnt once which other operations must come before.

sub prepared {
    my ($self, $operation, $ask, $forget, $body) = @_;
    my $known = $self->{before}{ $operation->{id} };

    $body ||= $operation->{bodies}[0];

    for my $before ($known ? $known : ([], $self->others($operation))) {
        my $request;

        if (!$known) {
            $forget->();
            $request = $self->after($operation, $before, $ask, $body) or next;
            $ask->(@$request)->status < 300 or next;
            $self->{before}{ $operation->{id} } = $before;
        }

        $forget->();
        return $self->after($operation, $before, $ask, $body);
    }

    return undef;
}


# What may have to be done before: one or two of the operations that change
# the same thing.

sub others {
    my ($self, $operation) = @_;
    my ($first) = $operation->{path} =~ m{\A(/[\w-]+/\{\w+\})} or return;

    my @others = grep { $_->{method} ne 'GET' && $_->{id} ne $operation->{id}
        && $_->{path} =~ m{\A\Q$first\E(?:/[\w-]+)*\z} } $self->operations;

    return map({ [$_] } @others), map({ [$_, $_] } @others);
}


sub after {
    my ($self, $operation, $before, $ask, $body) = @_;
    my %values;

    for my $other (@$before) {
        $self->fill($other, $ask, \%values) or return undef;
        $ask->(@{ $self->request($other, \%values, $other->{bodies}[0]) })
            ->status < 300 or return undef;
    }

    $self->fill($operation, $ask, \%values) or return undef;

    return $self->request($operation, \%values, $body);
}


# Values of the path's parameters: of what a POST to the path before the
# parameter makes, or a GET lists, where it may be called "id"; else of what any
# operation makes that has a member of this name.

sub fill {
    my ($self, $operation, $ask, $values) = @_;
    my $path = $operation->{path};

    while ($path =~ /\{(\w+)\}/g) {
        my $name = $1;
        my $parent = substr $path, 0, $-[0] - 1;
        next if defined $values->{$name};

        my @makers = ((grep { $_->{path} eq $parent
                && $_->{method} =~ /\A(?:POST|GET)\z/ }
            reverse $self->operations),
            grep { $_->{method} eq 'POST' && $_->{path} !~ /\{/ }
                $self->operations);

        # again: a list may have something once something was made, or once
        # something is made that somebody wants to be told of

        for my $maker ((@makers) x 3) {
            $values->{$name} = $self->made($maker, $ask, $values, $name,
                $maker->{path} eq $parent ? 'id' : $name);
            last if defined $values->{$name};
        }

        return 0 unless defined $values->{$name};
    }

    return 1;
}


# An id of something that the document calls so.

sub some {
    my ($self, $name, $ask) = @_;
    my %values;

    $self->fill({ path => "/{$name}" }, $ask, \%values);
    return $values{$name};
}


sub made {
    my ($self, $maker, $ask, $values, $name, $other) = @_;

    # an example that has the member itself goes first

    my @bodies = @{ $maker->{bodies} } ? @{ $maker->{bodies} } : (undef);
    @bodies = sort { has($b, $name) <=> has($a, $name) } @bodies;

    # what is answered before it is done is something else than what is made

    my ($prefer) = map { { Prefer => sample($_) } }
        grep { $_->{name} eq 'Prefer' } $self->parameters_in($maker, 'header');

    for (map { my $body = $_; map { [$body, $_] } undef, $prefer || () }
         @bodies)
    {
        my ($body, $headers) = @$_;
        my ($method, $url, %o) = @{ $self->request($maker, $values, $body) };
        $o{headers} = { %{ $o{headers} || {} }, %$headers } if $headers;
        my $r = $ask->($method, $url, %o);
        my $json = $r->status < 300 ? $r->json : undef;

        next if ref $json ne 'HASH';
        $json = $json->{data}[0] if ref $json->{data} eq 'ARRAY';
        next if ref $json ne 'HASH';

        for my $member ($name, $other) {
            return $json->{$member} if defined $json->{$member};
        }
    }

    return undef;
}

sub has {
    my ($body, $name) = @_;
    return $body && ref $body->[2] eq 'HASH' && exists $body->[2]{$name} || 0;
}

1;
