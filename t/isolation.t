#!/usr/bin/perl

# Who gets at what: every operation of the document as it is served, with
# every kind of caller that must not.  Nothing is listed here by hand: what a
# path names is made, and a request that works is found, from the document
# alone, so an operation that is new is tested by itself.  Each must refuse
# all of them, tell them nothing, change nothing, and then serve who may.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Document;

use JSON::PP ();

my $base = '/api/provisioning';

my ($postgres, $nginx) = gateway(
    http => <<'END',
    provisioning_issuer neighbour {
        iss https://neighbour.test/;
        audience provisioning;
        jwks %%JWKS%%;
    }
    provisioning_issuer operators {
        iss https://operators.test/;
        audience administration;
        jwks %%JWKS%%;
    }
END
    locations => <<'END',
    location /neighbour/ {
        provisioning_auth neighbour operators;
        return 200 "in";
    }
END
);

my $document = served($nginx, "$base/openapi.json");
my $source = JSON::PP->new->utf8->decode($nginx->read_file(
    "$FindBin::Bin/../conf/openapi/partner.json"));

sub ask {
    my ($method, $url, %o) = @_;
    return $nginx->request($method => $url, token => token(), %o);
}

sub key {
    my (@scopes) = @_;
    my $r = ask(POST => "$base/api-keys",
        json => { name => 'Machine', scopes => \@scopes });
    $r->status == 201 or die $r->body;
    return $r->json;
}

my $key = key(@{ $source->{'x-roles'}{'partner-admin'} });
my $revoked = key(@{ $source->{'x-roles'}{'partner-admin'} });
my %narrow = map { $_ => key($_) } 'tenant:read', 'api_key:read';
is ask(GET => "$base/tenants", token => $revoked->{key})->status, 200,
    'a key that will be revoked is good before';
is ask(DELETE => "$base/api-keys/$revoked->{api_key}")->status, 200,
    'it is revoked';
wait_until 'the revocation counts', sub {
    ask(GET => "$base/tenants", token => $revoked->{key})->status == 401;
};

my @keep = map { $_->{api_key} } $key, $revoked, values %narrow;
my $forget = sub { forget($postgres, @keep) };

# who has tokens that are good elsewhere

my %elsewhere = (
    'another issuer\'s token'  => { iss => 'https://neighbour.test/' },
    'another surface\'s token' => { iss => 'https://operators.test/',
        aud => 'administration', partner => undef,
        roles => ['operator-admin', 'partner-admin'] },
);

is $nginx->request(GET => '/neighbour/', token => token(
    %{ $elsewhere{$_} }))->status, 200, "$_ is good there"
    for sort keys %elsewhere;

my %stranger = (
    'no token'                     => undef,
    'no token at all'              => 'no.token.atall',
    'an expired token'             => token(exp => time - 3600),
    'a token signed with no key'   => token(key => 'rsa2',
                                            header => { kid => 'rsa' }),
    'another audience\'s token'    => token(aud => 'administration'),
    'a revoked key'                => $revoked->{key},
    (map { $_ => token(%{ $elsewhere{$_} }) } keys %elsewhere),
);


# everything that a request might change

my @tables = map { $_->{name} } @{ $postgres->sql(q{
    select c.relname as name from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attname = 'partner'
    where c.relnamespace = 'prov'::regnamespace and c.relkind in ('r', 'p')
    and not a.attisdropped and c.relname !~ '^audit'
    order by 1}) };

sub state {
    my ($partner) = @_;
    my $whose = $partner ? "where partner = '$partner'" : '';

    return join "\n", map { $postgres->value(qq{
        select coalesce(string_agg(r, E'\n' order by r collate "C"), '')
        from (select (to_jsonb(t) - 'last_used_at')::text as r
              from prov.$_ t $whose) rows}) } @tables;
}

cmp_ok scalar @tables, '>', 3, 'there are tables to be looked at';


# Roles whose permissions do not include the one an operation requires, as the
# document says that it is read from.

sub permission {
    my ($operation) = @_;
    return $source->{paths}{ $operation->{path} }
        { lc $operation->{method} }{'x-permission'};
}

sub lacking {
    my ($wanted) = @_;
    my $all = $wanted =~ s/:.*/:*/r;
    my $roles = $source->{'x-roles'};

    return grep {
        my $role = $_;
        !grep { $_ eq $wanted || $_ eq $all || $_ eq '*' } @{ $roles->{$role} };
    } sort keys %$roles;
}


my @operations = $document->operations;
my %is_parameter = map { ($_->{name} => 1) }
    map { $document->parameters_in($_, 'path') } @operations;
my (%seen, %request, @named);

for my $operation (@operations) {
    my $id = $operation->{id};

    $seen{"$operation->{method} $operation->{path}"} = 1;

    # takes a form, which is a credential itself: t/oauth.t
    next if $id eq 'oauth_token';

    my $request = $document->prepared($operation, \&ask, $forget);

    if (!ok $request, "$id: a request that works is found") {
        next;
    }

    if ($operation->{public}) {
        my %open = map {
            $_ => $nginx->request(@$request, token => $stranger{$_})->status
        } keys %stranger;
        is_deeply \%open, { map { $_ => 200 } keys %stranger },
            "$id: public, whoever asks";
        next;
    }

    $request{$id} = $request;
    my $before = state();
    my (%got, %wanted);

    for my $who (keys %stranger) {
        my $r = $nginx->request(@$request, token => $stranger{$who});
        $wanted{$who} = '401 with a challenge';
        $got{$who} = $r->status . ($r->header('WWW-Authenticate') ? ' with '
            . 'a challenge' : '');
    }

    my $permission = permission($operation);
    my %limited = (
        'no role'              => token(roles => []),
        'a role of nobody\'s'  => token(roles => ['operator-admin']),
        (map { ("the role $_"  => token(roles => [$_])) }
            lacking($permission)),
        (map { ("a key for $_" => $narrow{$_}{key}) }
            grep { $_ ne $permission } keys %narrow),
    );

    for my $who (keys %limited) {
        my $r = ask(@$request, token => $limited{$who});
        $wanted{$who} = '403 permission_denied';
        $got{$who} = $r->status . ' ' . $r->code;
    }

    is_deeply \%got, \%wanted, "$id: nobody gets in who must not";
    is_deeply [grep { !$operation->{responses}{$_} } 401, 403], [],
        "$id: and the document says so";
    is state(), $before, "$id: nor changes anything";

    foreign($operation, $request);

    my $r = ask(@$request);
    like $r->status, qr/\A2/, "$id: who may is served" or diag $r->body;
}

cmp_ok scalar @named, '>', 1, 'some take such an id in the query' or
    diag "@named";
is_deeply [sort keys %seen], [sort map {
    my $path = $_;
    map { uc . " $path" } grep { ref $source->{paths}{$path}{$_} eq 'HASH'
        && $source->{paths}{$path}{$_}{operationId} }
        keys %{ $source->{paths}{$path} };
} keys %{ $source->{paths} }], 'every operation was tried';


# Another partner finds nothing by the ids of the first one's, in paths and in
# parameters of the same name; where nothing is named, it is told of none.

sub foreign {
    my ($operation, $request) = @_;
    my ($method, $url, %o) = @$request;
    my $id = $operation->{id};
    my @urls = $url;

    for my $name (grep { $is_parameter{$_} } map { $_->{name} }
        $document->parameters_in($operation, 'query'))
    {
        my $value = $document->some($name, \&ask) or next;
        push @urls, "$url?$name=$value";
        push @named, "$id by $name";
    }

    my $acme = $postgres->partner('acme');
    my @ours = map { $_->{id} } @{ $postgres->sql(q{select id::text from
        prov.tenants where partner = $1 union all select id::text from
        prov.api_keys where partner = $1 union all select mutation::text from
        prov.audit where partner = $1}, $acme) };
    my $before = state($acme);

    for my $url (@urls) {
        my $r = ask($method, $url, %o, token => token(partner => 'globex'));
        my $body = $r->body;

        is $r->status, 404, "$id: another partner's is not found"
            or diag "$method $url: $body"
            if $url eq $urls[0] && $operation->{path} =~ /\{/
               && $operation->{responses}{404};
        cmp_ok $r->status, '<', 500, "$id: nor is there an error";
        is_deeply [grep { index($body, $_) >= 0 } grep {
            index($url, $_) < 0 } @ours], [],
            "$id: another partner is told of none of ours"
            or diag "$method $url: $body";
    }

    is state($acme), $before, "$id: nor changes anything of ours";
    $postgres->sql('delete from prov.tenants where partner = ?',
        $postgres->partner('globex'));
    return;
}


# A partner who is suspended: whatever they show

is ask(GET => "$base/tenants", token => $key->{key})->status, 200,
    'a key of a partner who is active is good';
$postgres->sql(q{update prov.partners set status = 'suspended'
    where slug = 'acme'});
my %shown = (token => token(), key => $key->{key});
wait_until 'the suspension counts for keys, too', sub {
    ask(GET => "$base/tenants", token => $key->{key})->status == 403;
};

for my $id (sort keys %request) {
    my %got = map {
        my $r = ask(@{ $request{$id} }, token => $shown{$_});
        ($_ => $r->status . ' ' . $r->code);
    } keys %shown;
    is_deeply \%got, { map { $_ => '403 partner_unknown' } keys %shown },
        "$id: a suspended partner is kept out";
}

done_testing;
