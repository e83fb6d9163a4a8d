package Provisioning::Test::Examples;

# The examples of a served document, to be compared with what is really sent
# and answered.
#
#     my $examples = examples('partners', $document);
#     my ($type, $value) = $examples->sent('partner_create least');
#     $examples->is_example('partner_create 201 least', $response);
#     $examples->is_example('PartnerNotFound', $response);
#     is_deeply [$examples->left], [], 'no example is left out';
#
# A request's example is "operation name" (with several media types each of
# them, as "operation name type"), a success' "operation status name", an
# error's too, or "Component name" where operations share it; without the name
# where there is only one.

use strict;
use warnings;

use Exporter 'import';
use JSON::PP ();
use Test::More ();

our @EXPORT = qw(examples);


# What each t/examples_<subject>.t compares: the operations of one document,
# and the errors that several of them share.  t/examples.t sees to it that
# each operation and each error is somebody's.

our %subjects = (
    gateway => {
        document   => 'partner',
        operations => [qw(openapi_get health_live health_ready)],
        errors     => [qw(BadRequest BadRequestBody Unauthorized Forbidden
            MethodNotAllowed NotAcceptable BodyTooLarge UnsupportedMediaType
            InProgress PreconditionFailed IdempotencyKeyReused
            PreconditionRequired TooManyRequests InternalError OutcomeUnknown
            Unavailable Timeout NotReady Error)],
    },
    tenants => {
        document   => 'partner',
        operations => [qw(tenant_create tenant_list tenant_bulk tenant_get
            tenant_update tenant_replace tenant_upsert tenant_suspend
            tenant_resume tenant_cancel tenant_delete tenant_restore
            tenant_export)],
        errors     => [qw(TenantForbidden TenantNotFound TenantConflict
            TenantChangeConflict TenantUnprocessable InvalidTransition
            BulkConflict)],
    },
    operations => {
        document   => 'partner',
        operations => [qw(operation_list operation_get operation_item_list
            operation_cancel operation_retry)],
        errors     => [qw(OperationNotFound OperationTransition
            TooManyOperations)],
    },
    configuration => {
        document   => 'partner',
        operations => [qw(configuration_get configuration_replace
            configuration_update configuration_version_list
            configuration_version_get configuration_diff
            configuration_rollback)],
        errors     => [qw(ConfigurationNotFound ConfigurationConflict
            ConfigurationUnprocessable)],
    },
    keys => {
        document   => 'partner',
        operations => [qw(api_key_create api_key_list api_key_get
            api_key_update api_key_revoke api_key_rotate oauth_token
            jwks_get)],
        errors     => [qw(ApiKeyNotFound ApiKeyForbidden ApiKeyConflict
            ApiKeyInvalid)],
    },
    webhooks => {
        document   => 'partner',
        operations => [qw(webhook_create webhook_list webhook_get
            webhook_update webhook_delete webhook_enable webhook_disable
            webhook_rotate webhook_test webhook_recover event_type_list
            delivery_list delivery_get delivery_resend)],
        errors     => [qw(WebhookNotFound WebhookForbidden WebhookConflict
            WebhookInvalid RotationConflict DeliveryNotFound DeliveryConflict
            SecretsUnavailable)],
    },
    audit => {
        document   => 'partner',
        operations => [qw(audit_list audit_get audit_export audit_verify)],
        errors     => [qw(AuditNotFound)],
    },
    events => {
        document   => 'partner',
        operations => [qw(event_list event_get)],
        errors     => [qw(EventNotFound EventsNotAcceptable)],
    },
    operators => {
        document   => 'operator',
        operations => [qw(partner_create partner_list partner_get
            partner_update partner_suspend partner_resume partner_key_create
            audit_list audit_get audit_verify openapi_get health_live
            health_ready)],
        errors     => [qw(OperatorForbidden PartnerNotFound PartnerConflict
            PartnerTransition)],
    },
);


sub examples {
    my ($subject, $document) = @_;
    my $claims = $subjects{$subject} or die "no such subject: $subject\n";
    my $self = __PACKAGE__->all($document);
    my %mine = map { $_ => 1 } map { @$_ } @$claims{qw(operations errors)};

    for my $found (@$self{qw(sent answered)}) {
        delete @$found{ grep { !$mine{ (split)[0] } } keys %$found };
    }

    return $self;
}


# All that a document has.

sub all {
    my ($class, $document) = @_;
    my $self = bless { document => $document, sent => {}, answered => {} },
        $class;

    for my $item (values %{ $document->{paths} }) {
        $self->gather($_) for grep { ref eq 'HASH' && $_->{operationId} }
            values %$item;
    }

    return $self;
}


sub gather {
    my ($self, $operation) = @_;
    my $id = $operation->{operationId};
    my $body = $self->resolve($operation->{requestBody} || {})->{content}
        || {};

    $self->{operations}{$id} = 1;

    for my $type (keys %$body) {
        my $found = $self->examples_of($body->{$type});
        my $more = keys %$body > 1 ? " $type" : '';
        $self->{sent}{"$id $_" =~ s/ \z//r . $more} = [$type, $found->{$_}]
            for keys %$found;
    }

    for my $status (keys %{ $operation->{responses} }) {
        my $response = $operation->{responses}{$status};
        my $content = $self->resolve($response)->{content} || {};
        my $name = $status !~ /\A2/
            && ($response->{'$ref'} || '') =~ m{/([^/]+)\z} ? $1
            : "$id $status";

        $self->{errors}{$name} = 1 if %$content && $name !~ / /;

        for my $type (keys %$content) {
            my $found = $self->examples_of($content->{$type});
            my $more = keys %$content > 1 ? " $type" : '';
            $self->{answered}{"$name $_" =~ s/ \z//r . $more}
                = [$type, $found->{$_}] for keys %$found;
            push @{ $self->{bare} }, "$name $type" if !%$found;
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


sub operations { sort keys %{ $_[0]{operations} } }
sub errors     { sort keys %{ $_[0]{errors} } }

# Bodies without an example, as "operation status type".

sub bare { sort @{ $_[0]{bare} || [] } }

sub answered { $_[0]{answered} }

sub sent { @{ delete $_[0]{sent}{ $_[1] } || die "no example: $_[1]\n" } }

sub left {
    my ($self) = @_;
    return sort keys %{ $self->{sent} }, keys %{ $self->{answered} };
}


# An example says what it says.  What is made anew each time - ids, times,
# hashes, secrets - must be something of the kind; and an id or a hash that is
# there twice in the one must be there twice in the other.

my $hex = qr/[\da-f]/;
my $id = qr/$hex{8}(?:-$hex{4}){3}-$hex{12}/;
my ($from, $to) = (qr/(?<![A-Za-z\d])/, qr/(?![A-Za-z\d])/);

my @kinds = (
    [secret => qr/(?<=\bpk_$hex{32}_)[\w-]{43}$hex{8}$to/],
    [secret => qr{(?<=\bwh(?:sec)_)[\w+/]{43}=}],
    [token  => qr/\beyJ[\w-]+\.eyJ[\w-]+\.[\w-]+/],
    [time   => qr/\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/],
    [cursor => qr/\bZXZlbnRzMD[\w-]{24,}/],
    [id     => qr/$from(?:$id|$hex{32})$to/, 'numbered'],
    [hash   => qr/$from$hex{64}$to/, 'numbered'],
);

# Of these members the name says what kind they are of.

my %named = (
    next_cursor    => qr/\A[\w-]{32,}\z/,
    schema_version => qr/\A\d+\z/,
    x              => qr/\A[\w-]{43}\z/,
    y              => qr/\A[\w-]{43}\z/,
);

# What a caller has said is there as he said it.

my %said = map { $_ => 1 } qw(expires_at);

sub shape {
    my ($value, $seen, $name) = @_;

    return $value if !defined $value || JSON::PP::is_bool($value);
    return [map { shape($_, $seen, '') } @$value] if ref $value eq 'ARRAY';
    return { map { $_ => shape($value->{$_}, $seen, $_) } sort keys %$value }
        if ref $value eq 'HASH';
    return $value if $said{$name};
    return "a $name" if $named{$name} && $value =~ $named{$name};

    for (@kinds) {
        my ($kind, $pattern, $numbered) = @$_;
        $value =~ s/($pattern)/$numbered ? numbered($seen, $kind, $1)
            : "<$kind>"/ge;
    }

    return $value;
}


# An id may have no hyphens, as a client_id has none.

sub numbered {
    my ($seen, $kind, $text) = @_;
    my $plain = $text =~ tr/-//dr;

    my $known = $seen->{$kind} ||= {};

    $known->{$plain} = 1 + keys %$known if !$known->{$plain};
    return "<$kind $known->{$plain}"
        . ($kind eq 'id' && $plain eq $text ? ' in one piece>' : '>');
}


# is_example(name, response); excerpt => 1 where the example shows only some
# of the members.

sub is_example {
    my ($self, $name, $response, %o) = @_;
    my ($type, $value) = @{ delete $self->{answered}{$name} || ['', {}] };
    my $got = $type =~ m{[/+]json\z} ? $response->json : $response->body;
    my ($status) = $name =~ /\A\w+ (\d{3})\b/;

    $status = $value->{status} if $type eq 'application/problem+json';
    $got = excerpt($got, $value) if $o{excerpt};
    $_ = lines($_) for $type eq 'application/x-ndjson' ? ($got, $value) : ();

    Test::More::is($response->status, $status, "$name: the status");
    Test::More::is($response->type, $type,
        "$name: the media type is what is described");
    Test::More::is_deeply(shape($got, {}, ''), shape($value, {}, ''),
        "$name: the example is what is answered")
        or Test::More::diag($response->body);

    return $response;
}


sub lines { [map { JSON::PP->new->decode($_) } split /\n/, $_[0]] }


# What of an answer an example shows.

sub excerpt {
    my ($got, $shown) = @_;

    return [map { excerpt($got->[$_], $shown->[$_]) } 0 .. $#$shown]
        if ref $got eq 'ARRAY' && ref $shown eq 'ARRAY';
    return { map { $_ => excerpt($got->{$_}, $shown->{$_}) }
        grep { exists $got->{$_} } keys %$shown }
        if ref $got eq 'HASH' && ref $shown eq 'HASH';
    return $got;
}

1;
