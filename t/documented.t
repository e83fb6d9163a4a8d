#!/usr/bin/perl

# harness: plain

# What the documents promise is what happens: of every operation, all statuses
# that are documented are produced, and no other, from the document alone;
# and every body of every answer, errors too, is valid for a validator of
# JSON Schema that is not ours.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Document;
use Provisioning::Test::Operator;

use JSON::PP ();

my %pieces = operator();
$pieces{http} .= <<'END';
    provisioning_signer gateway {
        iss https://gateway.test/;
        audience provisioning;
        key %%DIR%%/gateway.pem kid=gateway;
    }
    provisioning_issuer gateway { signer gateway; }
    provisioning_limit_zone address 1m;
    limit_req_zone $binary_remote_addr zone=crowd:1m rate=1r/m;
END

# each surface as it is, strict, limited (by nginx's own module, as what is
# public is not limited by ours), without a signer, and behind somebody else's
# authorization, which is away

my %limits = (plain => '', strict => 'provisioning_require_if_match on;',
    limited => 'provisioning_limit address rate=1r/m;',
    crowded => 'limit_req zone=crowd; limit_req_status 429;',
    unsigned => '', guarded => 'auth_request /guard;');
my @surfaces = (
    [partner => 'test', 'gateway', 'tenants'],
    [operator => 'operators', '', 'operators'],
);

$pieces{locations} .= <<'END';
    location = /guard {
        internal;
        proxy_pass http://unix:%%DIR%%/nobody.sock;
    }
END

for (@surfaces) {
    my ($name, $auth, $signer, $database) = @$_;

    for my $how (sort keys %limits) {
        my $trusted = $how eq 'unsigned' ? '' : $signer;
        $pieces{locations} .= <<"END";
    location /$name/$how/ {
        provisioning_auth $auth $trusted keys=$database;
        provisioning_api %%OPENAPI%%/$name.json prefix=/$name/$how;
        provisioning_pass $database;
        client_max_body_size 200k;
        $limits{$how}
    }
END
    }
}

my ($postgres, $nginx) = gateway(%pieces, start => 0);
$nginx->write_file('gateway.pem', private_pem('rsa'));
$nginx->start;
$nginx->ready;
$postgres->allow(qr/ 22012 /, qr/ 55P03 /, qr/ 57P01 /, qr/ 57014 /,
    qr/ 42883 /);
$nginx->allow(qr/terminating connection/);

my $super = $postgres->value('select current_user');
my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my $nobody = '00000000-0000-7000-8000-000000000000';

# What an operation of ours asks the database, where that is not its function.

my %asks = (
    health_ready => 'prov.ready',
    oauth_token  => 'prov.token_bought',
);


sub surface {
    my ($name, %s) = @_;
    my $base = "/$name/plain";
    my $document = served($nginx, "$base/openapi.json");
    my $forget = sub { forget($postgres, $s{keep} ? $s{keep} : ()) };
    my $ask = sub {
        my ($method, $url, %o) = @_;
        return $nginx->request($method => $url, token => $s{admin}->(), %o);
    };

    $document->replace(%{ $s{replace} || {} });
    $s{document} = $document;
    $s{ask} = $ask;
    $s{seen} = [];

    for my $operation ($document->operations) {
        my $id = "$name: $operation->{id}";
        my %got;

        # what becomes of a request, by where it is sent

        my $try = sub {
            my ($how, $request, %o) = @_;
            my ($method, $url, %more) = @$request;
            my $headers = { %{ $more{headers} || {} },
                            %{ delete $o{headers} || {} } };

            $method = delete $o{method} if $o{method};
            $url .= ($url =~ /\?/ ? '&' : '?') . delete $o{query} if $o{query};
            $url =~ s{\A/$name/plain}{/$name/$how};
            delete $more{json} if exists $o{body};

            my $r = $ask->($method, $url, %more, %o, headers => $headers);

            push @{ $s{seen} }, [$operation, $r, "$method $url"];
            $got{ $r->status }++;
            return $r;
        };

        for my $body (@{ $operation->{bodies} } ? @{ $operation->{bodies} }
                                                : undef)
        {
            my $request = $document->prepared($operation, $ask, $forget,
                                              $body);
            my $r = $request && $try->('plain', $request);
            like $r && $r->status, qr/\A2/, "$id: "
                . ($body ? "its example $body->[0] works" : 'it works')
                or diag $r && $r->body;
        }

        my $request = $document->prepared($operation, $ask, $forget) or next;

        provoke($operation, $request, $try, $forget, \%s);
        broken($operation, $request, $try,
            $asks{ $operation->{id} } || "$s{schema}.$operation->{id}")
            or $try->('guarded', $request);

        is_deeply [sort grep { !$got{$_} && $_ ne 'default' }
            keys %{ $operation->{responses} }], [],
            "$id: what is documented happens";
        is_deeply [sort grep { !$operation->{responses}{$_} } keys %got], [],
            "$id: and nothing else does";
    }

    valid($name, $document, $s{seen});
    return;
}


# What callers do wrong.

sub provoke {
    my ($operation, $request, $try, $forget, $s) = @_;
    my ($document, $ask) = @$s{qw(document ask)};
    my ($method, $url, %o) = @$request;
    my $has = sub { $operation->{responses}{ $_[0] } };
    my $declares = sub { $document->declares($operation, $_[0]) };
    my $again = sub { $document->prepared($operation, $ask, $forget) };

    # things that are not there, which some make

    my $elsewhere = $document->url($operation, { map {
        my $schema = $document->resolve($_->{schema});
        $_->{name} => ($schema->{format} || '') eq 'uuid' ? $nobody
            : ($schema->{type} || '') eq 'integer' ? 4711 : 'elsewhere'
    } $document->parameters_in($operation, 'path') });

    $forget->();
    $try->('plain', [$method, $elsewhere, %o]) if $elsewhere ne $url;
    $try->('plain', $request, query => "tenant=$nobody")
        if $has->(404) && $elsewhere eq $url && $declares->('tenant');

    $try->('plain', $request, query => 'no_such_parameter=1');
    $try->('plain', $request, headers => { Accept => 'text/html' })
        if $has->(406);
    $try->('plain', $request, method => (grep {
        !$operation->{item}{ lc $_ } } qw(DELETE PUT PATCH POST GET))[0]);
    $try->($operation->{public} ? 'crowded' : 'limited', $request)
        for $has->(429) ? (1, 2) : ();
    $try->('unsigned', $request) if $has->(404) && $operation->{public};
    $try->('plain', $request, headers => { Authorization => 'Bearer x' });

    if (!$operation->{public}) {
        $try->('plain', $request, token => undef);
        $try->('plain', $request, token => $s->{admin}->(roles => []));
    }

    $try->('plain', $again->(), headers => { 'If-None-Match' => '*' })
        if $has->(304);
    $try->('plain', $again->(), headers => { 'If-Match' => '"other"' })
        if $has->(412);
    $try->('strict', $again->()) if $has->(428);

    $try->('plain', $request, body => $o{body} =~ s/(secret=)\w+/$1wrong/r)
        if ($o{body} || '') =~ /secret=/;

    if (%{ $operation->{content} }) {
        my $type = $o{headers}{'Content-Type'};
        $try->('plain', $request, body => 'x' x 300_000) if $has->(413);
        $try->('plain', $request, body => 'x', headers =>
            { 'Content-Type' => 'text/plain' }) if $has->(415);
        $try->('plain', $request, body => '{', headers =>
            { 'Content-Type' => $type });
    }

    # what can be switched on: dry_run, purge

    $try->('plain', $again->(), query => "$_->{name}=true") for grep {
        ($document->resolve($_->{schema})->{type} || '') eq 'boolean'
    } $document->parameters_in($operation, 'query');

    # what may be answered before it is done

    $try->('plain', $again->(), headers => { 'Prefer' => 'respond-async' })
        if $has->(202) && $declares->('Prefer');

    return unless $declares->('Idempotency-Key');

    # a key that was used for another request; one that is being used

    my %key = (headers => { 'Idempotency-Key' => 'documented' });
    my $new = $again->();
    $try->('plain', $new, %key);
    $postgres->sql(q{update prov.idempotency set request = '\x00'});
    $try->('plain', $new, %key);

    $new = $again->();
    $postgres->sql('begin');
    $postgres->sql('lock table prov.idempotency in exclusive mode');
    $try->('plain', $new, %key);
    $postgres->sql('rollback');
    return;
}


# What the function that an operation rests on does wrong, or cannot do; false
# when it rests on none.

sub broken {
    my ($operation, $request, $try, $function) = @_;
    my $row = $postgres->sql('select oid::regprocedure::text as name,
        pg_get_functiondef(oid) as text, proowner::regrole as owner
        from pg_proc
        where pronamespace::regnamespace || \'.\' || proname = ?',
        $function)->[0] or return 0;
    my ($name, $text, $owner) = @$row{qw(name text owner)};
    my $body = sub {
        my ($statement) = @_;
        $postgres->sql($text =~ s/(\bAS \$function\$).*(\$function\$)/
            $1 begin $statement; end $2/sr);
    };

    # a worker remembers an API key for a second

    $body->('perform 1 / 0');
    wait_until "$function is asked",
        sub { $try->('plain', $request)->status >= 500 };

    # what takes too long is cancelled: here at once, whatever the clock says

    $postgres->sql("alter function $name owner to $super");
    $body->('perform pg_cancel_backend(pg_backend_pid());
        perform pg_sleep(60)');
    $try->('plain', $request);

    if ($operation->{responses}{502}) {
        my $outcome = $postgres->value("select pg_get_functiondef(oid) from
            pg_proc where proname = 'outcome' and pronamespace = 'prov'
            ::regnamespace");
        $postgres->sql($outcome =~ s/(\bAS \$function\$).*(\$function\$)/
            $1 begin raise exception using errcode = '55P03'; end $2/sr);

        # what is validated first is lost when it is

        $body->(q{if ctx #>> '{result,sha256}' = repeat('0', 64) then
            status := 200;
            body := json_build_object(ctx #>> '{result,member}', '{}'::json);
            return;
            end if;
            perform pg_terminate_backend(pg_backend_pid());
            perform pg_sleep(60)});
        $try->('plain', $request);
        $postgres->sql($outcome);
    }

    $postgres->sql("alter function $name owner to $owner");
    $postgres->sql("alter function $name rename to away");
    $try->('plain', $request);
    $postgres->sql("alter function ${\($name =~ s/\.\w+/.away/r)} rename to "
        . $function =~ s/.*\.//r);
    $postgres->sql($text);
    return 1;
}


# All bodies of all answers, at once.

sub valid {
    my ($name, $document, $seen) = @_;
    my $directory = directory();
    my (@cases, @names, @types);

    for (@$seen) {
        my ($operation, $r, $what) = @$_;
        my $response = $operation->{responses}{ $r->status } or next;
        my $content = $response->{content};
        my $label = $operation->{id} . ' ' . $r->status . " ($what)";
        my ($type) = grep { $_ eq ($r->type || '') } keys %{ $content || {} };

        if (!$content) {
            push @types, "$label has a body" if length $r->body;
        } elsif (!$type) {
            push @types, "$label is " . ($r->type || 'nothing');
        } elsif ($type =~ m{[/+]json\z} && $content->{$type}{schema}) {
            push @cases, $json->encode({ schema => $content->{$type}{schema},
                value => $json->decode($r->body) });
            push @names, $label;
        }
    }

    open my $out, '>', "$directory/document.json" or die $!;
    print $out $json->encode($document->text);
    close $out or die $!;
    open $out, '>', "$directory/cases" or die $!;
    print $out map { "$_\n" } @cases;
    close $out or die $!;

    my $validator = "$FindBin::Bin/unit/validate.py";
    my @said = map { $json->decode($_) }
        `python3 '$validator' '$directory/document.json' < '$directory/cases'`;

    is_deeply \@types, [], "$name: every answer is of a documented type";
    is scalar @said, scalar @cases, "$name: all bodies were looked at";
    is_deeply [map { defined $said[$_] ? "$names[$_]: $said[$_]" : () }
        0 .. $#said], [], "$name: and each is valid";
    return;
}


surface('operator', schema => 'operator', admin => \&operator_token);

my $made = $nginx->request(POST => '/partner/plain/api-keys',
    token => token(), json => { name => 'x', scopes => ['tenant:read'] })->json;
surface('partner', schema => 'partner', admin => \&token,
    keep => $made->{api_key}, replace => { client_id => $made->{client_id},
        client_secret => $made->{key} });

done_testing;
