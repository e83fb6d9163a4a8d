package Provisioning::Test::Operations;

# Operations of a test's own, described and implemented in a few lines: for
# what the bundled documents have no use for, and for functions that break
# their contract.
#
#     my $api = operations($postgres,
#         thing_get => {
#             path       => '/things/{id}',
#             parameters => [{ name => 'id', in => 'path', … }],
#             function   => "status := 200; body := '{}';",
#         },
#         thing_add => { method => 'post', body => { type => 'object' }, … });
#
#     my ($postgres, $nginx) = gateway(postgres => $postgres,
#         locations => $api->location);
#
# The path is "/<name>" unless it is given, the method "get".  body is the
# schema of a body, which is required unless "optional" is true.  function is
# the plpgsql between "begin" and "end" (declare => what stands before); it is
# prov_api's, and SECURITY DEFINER.  sql => text makes one in another way, with
# <<name>> in it; without either there is none.  handler => name makes an
# operation public and served by an x-handler; stream => true one that is
# answered page by page; result is an x-validate-result, secret an x-secret,
# outbound an x-outbound-url.

use strict;
use warnings;

use Exporter 'import';
use JSON::PP ();

use Provisioning::Test ();

our @EXPORT = qw(operations);

my $number = 0;

sub operations {
    my ($postgres, %operation) = @_;

    my $self = bless {
        postgres => $postgres,
        schema   => 'quirks' . ($number++ || ''),
        operation => \%operation,
    }, __PACKAGE__;

    my $schema = $self->{schema};

    $postgres->sql($_) for
        "create schema $schema authorization prov_owner",
        "grant usage on schema $schema to prov_api, prov_partner";

    for my $name (sort keys %operation) {
        $self->define($name, $operation{$name});
    }

    $self->{file} = Provisioning::Test::directory() . "/$schema.json";
    open my $file, '>', $self->{file} or die "$self->{file}: $!";
    print $file JSON::PP->new->utf8->canonical->pretty->encode($self->document);
    close $file or die "$self->{file}: $!";

    return $self;
}


sub file   { $_[0]{file} }
sub schema { $_[0]{schema} }
sub base   { "/$_[0]{schema}" }


# The location, with further directives; under another path than its own.

sub location {
    my ($self, @more) = @_;
    return $self->location_at($self->base, @more);
}


sub location_at {
    my ($self, $path, @more) = @_;

    return join "\n", "location $path/ {",
        'provisioning_auth test;',
        "provisioning_api $self->{file} prefix=$path;",
        'provisioning_pass tenants;',
        @more, "}\n";
}


# Makes (or replaces) the function of an operation.

sub define {
    my ($self, $name, $o) = @_;

    my $postgres = $self->{postgres};
    my $arguments = 'ctx jsonb, params jsonb, input jsonb';
    my $out = 'out status int, out body json, out headers jsonb';

    if (defined $o->{sql}) {
        $postgres->sql($o->{sql} =~ s/<<name>>/$self->{schema}.$name/gr);

    } elsif (defined $o->{function}) {
        $postgres->sql("create or replace function "
            . "$self->{schema}.$name($arguments, $out) language plpgsql "
            . "security definer as \$function\$\ndeclare\n"
            . ($o->{declare} || '') . "\nbegin\n$o->{function}\nend\n"
            . "\$function\$");

    } else {
        return;
    }

    $postgres->sql($_) for
        "alter function $self->{schema}.$name(jsonb, jsonb, jsonb)"
            . ' owner to prov_api',
        "revoke execute on function $self->{schema}.$name(jsonb, jsonb, jsonb)"
            . ' from public',
        "grant execute on function $self->{schema}.$name(jsonb, jsonb, jsonb)"
            . ' to prov_partner';
    return;
}


sub document {
    my ($self) = @_;

    my %paths;

    for my $name (keys %{ $self->{operation} }) {
        my $o = $self->{operation}{$name};
        my $answer = { 200 => { description => 'What the function says.' } };

        $paths{ $o->{path} || "/$name" }{ lc($o->{method} || 'get') } = {
            operationId => $name,
            responses   => $answer,
            $o->{handler} ? ('x-handler' => $o->{handler}, security => [])
                          : ('x-permission' => 'quirk:use'),
            $o->{stream} ? ('x-stream' => JSON::PP::true) : (),
            $o->{result} ? ('x-validate-result' => $o->{result}) : (),
            $o->{secret} ? ('x-secret' => $o->{secret}) : (),
            $o->{outbound} ? ('x-outbound-url' => $o->{outbound}) : (),
            $o->{parameters} ? (parameters => $o->{parameters}) : (),
            $o->{body} ? (requestBody => {
                required => $o->{optional} ? JSON::PP::false
                                           : JSON::PP::true,
                content => { 'application/json' =>
                             { schema => $o->{body} } },
            }) : (),
        };
    }

    return {
        openapi => '3.1.0',
        info => { title => 'Operations of a test', version => '1' },
        servers => [{ url => "/$self->{schema}" }],
        security => [{ bearer => [] }],
        'x-database-schema' => $self->{schema},
        (grep { !$_->{handler} } values %{ $self->{operation} })
            ? ('x-roles' => { 'partner-admin' => ['quirk:*'],
                              'quirk-user' => ['quirk:use'] }) : (),
        paths => \%paths,
        components => {
            securitySchemes => {
                bearer => { type => 'http', scheme => 'bearer' },
            },
        },
    };
}

1;
