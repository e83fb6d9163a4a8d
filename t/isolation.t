#!/usr/bin/perl

# Who gets at what: every operation of each document as it is served, with
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
use Provisioning::Test::Operator;

use JSON::PP ();

my %pieces = operator();
$pieces{http} .= <<'END';
    provisioning_issuer neighbour {
        iss https://neighbour.test/;
        audience provisioning;
        jwks %%JWKS%%;
    }
    provisioning_signer gateway {
        iss https://gateway.test/;
        audience provisioning;
        key %%DIR%%/gateway.pem kid=gateway;
    }
    provisioning_issuer gateway { signer gateway; }
END
$pieces{locations} .= <<'END';
    location /api/partners/ {
        provisioning_auth test gateway keys=tenants;
        provisioning_api %%OPENAPI%%/partner.json prefix=/api/partners;
        provisioning_pass tenants;
    }
    location /neighbour/ {
        provisioning_auth neighbour operators;
        return 200 "in";
    }
END

my ($postgres, $nginx) = gateway(%pieces, start => 0);
$nginx->write_file('gateway.pem', private_pem('rsa'));
$nginx->start;
$nginx->ready;

# who has tokens that are good elsewhere

my %elsewhere = (
    partner => {
        'another issuer\'s token' => token(iss => 'https://neighbour.test/'),
        'another surface\'s token' => operator_token(partner => 'acme',
            roles => ['operator-admin', 'partner-admin']),
    },
    operator => {
        'another issuer\'s token' => token(iss => 'https://neighbour.test/',
            aud => 'administration', roles => ['operator-admin']),
        'another surface\'s token' =>
            token(roles => ['operator-admin', 'partner-admin']),
    },
);

is $nginx->request(GET => '/neighbour/', token => token(
    iss => 'https://neighbour.test/'))->status, 200,
    'another issuer\'s token is good elsewhere';


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


# --- a surface -----------------------------------------------------------------

# base, admin => makes a token with options, key => makes one of scopes (id
# and text), keep => ids of others' keys

sub surface {
    my ($name, %s) = @_;
    my $source = JSON::PP->new->utf8->decode($nginx->read_file(
        "$FindBin::Bin/../conf/openapi/$name.json"));
    my $document = served($nginx, "$s{base}/openapi.json");
    my ($all) = grep { /admin/ } sort keys %{ $source->{'x-roles'} };
    my @scopes = @{ $source->{'x-roles'}{$all} };
    my $key = $s{key}->(@scopes);
    my $revoked = $s{key}->(@scopes);
    my %narrow = map { $_ => $s{key}->($_) } @{ $s{narrow} };
    my @keep = map { $_->{id} } $key, $revoked, values %narrow;

    $s{forget} = sub { forget($postgres, @keep) };
    $s{ask} = sub {
        my ($method, $url, %o) = @_;
        return $nginx->request($method => $url, token => $s{admin}->(), %o);
    };
    $document->replace(client_id => $key->{id} =~ tr/-//dr,
        client_secret => $key->{text});

    my $url = "$s{base}$s{read}";
    is $s{ask}->(GET => $url, token => $revoked->{text})->status, 200,
        "$name: a key that will be revoked is good before";
    $s{revoke}->($revoked);
    wait_until 'the revocation counts', sub {
        $s{ask}->(GET => $url, token => $revoked->{text})->status == 401;
    };

    my %stranger = (
        'no token'                   => undef,
        'no token at all'            => 'no.token.atall',
        'an expired token'           => $s{admin}->(exp => time - 3600),
        'a token of a strange key'   => $s{admin}->(key => 'rsa2',
                                            header => { kid => 'rsa' }),
        'another audience\'s token'  => $s{admin}->(aud => 'another'),
        'a revoked key'              => $revoked->{text},
        'another surface\'s key'     => $s{other}->(),
        %{ $elsewhere{$name} },
    );
    my (%seen, %request);

    for my $operation ($document->operations) {
        my $id = "$name: $operation->{id}";
        my $request = $document->prepared($operation, @s{qw(ask forget)});

        $seen{"$operation->{method} $operation->{path}"} = 1;
        ok $request, "$id: a request that works is found" or next;

        if ($operation->{public}) {
            open_to_all($id, $operation, $request, \%stranger);
            next;
        }

        $request{ $operation->{id} } = $request;
        kept_out($id, $operation, $request, \%s, \%stranger, \%narrow,
            $source);
        foreign($id, $operation, $request, \%s, $document)
            if $name eq 'partner';

        my $r = $s{ask}->(@$request);
        like $r->status, qr/\A2/, "$id: who may is served" or diag $r->body;
    }

    is_deeply [sort keys %seen], [sort map {
        my $item = $source->{paths}{$_};
        my $path = $_;
        map { uc . " $path" } grep { ref $item->{$_} eq 'HASH'
            && $item->{$_}{operationId} } keys %$item;
    } keys %{ $source->{paths} }], "$name: every operation was tried";

    return (\%s, \%request, $key);
}


# Public ones do not look at who asks; one that is shown a secret in its body
# does not take another one beside it (RFC 6749, section 2.3).

sub open_to_all {
    my ($id, $operation, $request, $stranger) = @_;
    my $shown = grep { ref $_->[2] eq 'HASH' && $_->[2]{client_secret} }
        @{ $operation->{bodies} };
    my %got = map {
        $_ => $nginx->request(@$request, token => $stranger->{$_})->status
    } keys %$stranger;

    is_deeply \%got, { map {
            $_ => $shown && defined $stranger->{$_} ? 400 : 200
        } keys %$stranger }, "$id: public, whoever asks";
    return;
}


# Nobody: 401.  Somebody who may other things: 403.

sub kept_out {
    my ($id, $operation, $request, $s, $stranger, $narrow, $source) = @_;
    my $permission = $source->{paths}{ $operation->{path} }
        { lc $operation->{method} }{'x-permission'};
    my $before = state();
    my (%got, %wanted);

    for my $who (keys %$stranger) {
        my $r = $nginx->request(@$request, token => $stranger->{$who});
        $wanted{$who} = '401 with a challenge';
        $got{$who} = $r->status
            . ($r->header('WWW-Authenticate') ? ' with a challenge' : '');
    }

    my %limited = (
        'no role'              => $s->{admin}->(roles => []),
        'a role of nobody\'s'  => $s->{admin}->(roles => ['somebody']),
        (map { ("the role $_"  => $s->{admin}->(roles => [$_])) }
            lacking($permission, $source->{'x-roles'})),
        (map { ("a key for $_" => $narrow->{$_}{text}) }
            grep { $_ ne $permission } keys %$narrow),
    );

    for my $who (keys %limited) {
        my $r = $s->{ask}->(@$request, token => $limited{$who});
        $wanted{$who} = '403 permission_denied';
        $got{$who} = $r->status . ' ' . $r->code;
    }

    is_deeply \%got, \%wanted, "$id: nobody gets in who must not";
    is_deeply [grep { !$operation->{responses}{$_} } 401, 403], [],
        "$id: and the document says so";
    is state(), $before, "$id: nor changes anything";
    return;
}


# Roles that do not include a permission.

sub lacking {
    my ($wanted, $roles) = @_;
    my $all = $wanted =~ s/:.*/:*/r;

    return grep {
        my $role = $_;
        !grep { $_ eq $wanted || $_ eq $all || $_ eq '*' } @{ $roles->{$role} };
    } sort keys %$roles;
}


# Another partner finds nothing by the ids of the first one's, in paths and in
# parameters of the same name; where nothing is named, it is told of none.

my @named;

sub foreign {
    my ($id, $operation, $request, $s, $document) = @_;
    my ($method, $url, %o) = @$request;
    my %is_parameter = map { ($_->{name} => 1) }
        map { $document->parameters_in($_, 'path') } $document->operations;
    my @urls = $url;

    for my $name (grep { $is_parameter{$_} } map { $_->{name} }
        $document->parameters_in($operation, 'query'))
    {
        my $value = $document->some($name, $s->{ask}) or next;
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
        my $r = $s->{ask}->($method, $url, %o,
            token => $s->{admin}->(partner => 'globex'));
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


# --- the surfaces -----------------------------------------------------------------

sub partner_key {
    my $r = $nginx->request(POST => '/api/partners/api-keys',
        token => token(), json => { name => 'Machine', scopes => [@_] });
    $r->status == 201 or die $r->body;
    return { id => $r->json->{api_key}, text => $r->json->{key} };
}

sub operator_key {
    my $text = $postgres->value('select prov.operator_key_add(?, ?)',
        'Machine', [@_]);
    $text =~ /_([0-9a-f]{8})(.{4})(.{4})(.{4})(.{12})_/ or die $text;
    return { id => "$1-$2-$3-$4-$5", text => $text };
}

is_deeply [sort keys %elsewhere], [sort map { m{(\w+)\.json\z} } grep {
    JSON::PP->new->utf8->decode($nginx->read_file($_))->{paths}
} glob "$FindBin::Bin/../conf/openapi/*.json"], 'every surface is here';

surface('operator', base => '/api/admin', read => '/partners',
    admin => \&operator_token, key => \&operator_key,
    narrow => ['partner:read'],
    other  => sub { partner_key('tenant:*', 'audit:read')->{text} },
    revoke => sub { $postgres->value('select prov.operator_key_revoke(?)',
        $_[0]{text}) });

my ($s, $request, $key) = surface('partner', base => '/api/partners',
    read => '/tenants', admin => \&token, key => \&partner_key,
    narrow => ['tenant:read', 'api_key:read'],
    other  => sub { operator_key('partner:*')->{text} },
    revoke => sub { $nginx->request(DELETE => '/api/partners/api-keys/'
        . $_[0]{id}, token => token()) });

cmp_ok scalar @named, '>', 1, 'some take another\'s id in the query';


# --- a partner who is suspended: whatever they show -------------------------------

my $tenants = '/api/partners/tenants';
my $bought = $s->{ask}->(POST => '/api/partners/oauth/token',
    token => undef, headers => { 'Content-Type' =>
    'application/x-www-form-urlencoded' }, body => 'grant_type='
    . "client_credentials&client_secret=$key->{text}&client_id="
    . $key->{id} =~ tr/-//dr)->json->{access_token};
my %shown = ('a token' => token(), 'a key' => $key->{text},
    'a token of the gateway\'s' => $bought);

is $s->{ask}->(GET => $tenants, token => $shown{$_})->status, 200,
    "$_ is good as long as its partner is active" for sort keys %shown;

$postgres->sql(q{update prov.partners set status = 'suspended'
    where slug = 'acme'});
wait_until 'the suspension counts for all of them', sub {
    !grep { $s->{ask}->(GET => $tenants, token => $_)->status != 403 }
        values %shown;
};

for my $id (sort keys %$request) {
    my %got = map {
        my $r = $s->{ask}->(@{ $request->{$id} }, token => $shown{$_});
        ($_ => $r->status . ' ' . $r->code);
    } keys %shown;
    is_deeply \%got, { map { $_ => '403 partner_unknown' } keys %shown },
        "$id: a suspended partner is kept out";
}

done_testing;
