#!/usr/bin/perl

# What is secret, and the logs of somebody who logs all he can: PostgreSQL with
# all statements and all of their parameters, also those within functions
# (auto_explain, and pgaudit where it is installed), nginx at level "info".
# Every operation that takes or gives a secret is called here, well and badly;
# then the logs are read, and the tables, and what was answered to those that
# got it wrong.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Jobs;
use Provisioning::Test::Operator;

use JSON::PP ();
use MIME::Base64 qw(decode_base64 encode_base64);

# Each value that must be nowhere has this in it.

my $mark = 'opensesame';
my $version = (qx{@{[ Provisioning::Test::Postgres::programs() ]}/postgres -V}
    =~ /(\d+)/)[0];
my $audit = -e (glob "/usr/lib/postgresql/$version/lib/pgaudit.so")[0];

my $postgres = postgres(settings => {
    log_statement => 'all',
    log_min_duration_statement => 0,
    log_duration => 'on',
    log_parameter_max_length => -1,
    log_parameter_max_length_on_error => -1,
    log_min_error_statement => 'warning',
    shared_preload_libraries => 'auto_explain' . ($audit ? ',pgaudit' : ''),
    'auto_explain.log_min_duration' => 0,
    'auto_explain.log_nested_statements' => 'on',
    'auto_explain.log_verbose' => 'on',
    'auto_explain.log_analyze' => 'on',
    $version >= 16 ? ('auto_explain.log_parameter_max_length' => -1) : (),
    $audit ? ('pgaudit.log' => 'all', 'pgaudit.log_parameter' => 'on') : (),
});

# One that repeats what it was sent, which is no reason to tell it.

my $receiver = receiver(sub {
    my ($c, $request) = @_;
    my $status = $request->{path} =~ /echo/ ? 500 : 204;
    return $c->answer(200, jwks('rsa')) if $request->{path} =~ /keys/;
    $c->answer($status, $status == 500 ? $request->{head} : '',
        'X-Echo' => $request->{headers}{'x-token'} || 'none');
});

my %operator = operator();
my ($nginx) = nginx(postgres => $postgres, start => 0, http => <<"END"
        provisioning_signer gateway {
            iss https://gateway.test/;
            audience provisioning;
            key %%DIR%%/signer.pem kid=first;
        }
        provisioning_issuer gateway { signer gateway; }
        provisioning_issuer login {
            iss https://login.test/;
            audience provisioning;
            jwks_uri @{[ $receiver->url("/keys?token=$mark") ]};
        }
        provisioning_audit_attempts buffer=256 interval=100ms;
        $operator{http}
END
    . jobs_block(poll_interval => '100ms', lease => '40s', outbound => 'timeout 30s;'
        . ' plain_http on; allow_network 127.0.0.0/8; breaker off;'),
    locations => <<"END");
        location /v2/ {
            provisioning_auth test gateway login keys=tenants;
            provisioning_api %%OPENAPI%%/partner.json prefix=/v2;
            provisioning_pass tenants;
        }
        $operator{locations}
END

$nginx->write_file('signer.pem', private_pem('ec256'));
$nginx->start;
$nginx->ready;

my (%secret, @problems);

# What must be found nowhere, under what it is.

sub hide {
    my ($what, @texts) = @_;
    defined && length or die "$what: there is none" for @texts;
    $secret{$_} = $what for @texts;
    return;
}

sub call {
    my ($status, $method, $path, $body, %o) = @_;

    $o{token} ||= token() unless $o{bare};
    my $key = delete $o{key};
    my %headers = (%{ delete $o{headers} || {} },
        defined $key ? ('Idempotency-Key' => $key) : ());
    my $r = $nginx->request($method => $path =~ m{^/(?:v2|api)/} ? $path
        : "/v2$path", %o, headers => \%headers, !defined $body ? ()
        : ref $body ? (json => $body) : (body => $body));

    is $r->status, $status, "$method $path: $status" or diag $r->body;
    push @problems, $r->body if $r->status >= 400;
    hide('a token', $o{token} =~ /([^.]+)\z/) if $o{token};
    return $r;
}

sub shown_webhook {
    my ($r) = @_;
    my ($base64) = ($r->json->{secret} || '') =~ m{\Awhsec_(.{43}=)\z}
        or die 'no secret is shown: ' . $r->body;
    hide("a webhook's secret", $base64, unpack 'H*', decode_base64($base64));
    return $r->json;
}

sub shown_key {
    my ($r) = @_;
    my ($secret, $sum) = ($r->json->{key} || '')
        =~ /\Apk_[0-9a-f]{32}_([\w-]{43})([0-9a-f]{8})\z/
        or die 'no key is shown: ' . $r->body;
    hide("an API key's secret", $secret);
    return $r->json;
}

my $url = 'https://hooks.example.com/x';
my @events = (event_types => ['*']);
my $hooks = '/webhook-endpoints';


# webhooks

my $plain = shown_webhook(call(201, POST => $hooks,
    { url => $url, @events }));
my %body = (url => $url, @events, headers => { 'X-Token' => "a $mark",
    'Authorization' => "Bearer b-$mark" });
my $hook = shown_webhook(call(201, POST => $hooks, { %body }));
my $place = "$hooks/$hook->{webhook_endpoint}";

my $first = shown_webhook(call(201, POST => $hooks, { %body }, key => 'k1'));
my $again = call(201, POST => $hooks, { %body }, key => 'k1');
is $again->header('Idempotent-Replayed'), 'true', 'a repetition is one';
is $again->json->{webhook_endpoint}, $first->{webhook_endpoint},
    'and makes no other endpoint';
is $again->json->{secret}, undef, 'nor does it show the secret again';
is call(422, POST => $hooks, { %body, headers => { %{ $body{headers} },
    'X-Token' => "c $mark" } }, key => 'k1')->code, 'idempotency_key_reused',
    'with another value of a header it is another request';
is call(422, POST => $hooks, { %body, headers => undef }, key => 'k1')->code,
    'idempotency_key_reused', 'and without headers';
is call(201, POST => $hooks, qq({"event_types": ["*"],
    "h\\u0065aders": {"Authorization": "Bearer b-$mark",
    "X-Token": "a\\u0020$mark"}, "url": "$url"}), key => 'k1',
    headers => { 'Content-Type' => 'application/json' })
    ->json->{webhook_endpoint}, $first->{webhook_endpoint},
    'written in another way it is the same one';

is call(201, POST => "$hooks?dry_run=true", { %body })
    ->json->{resource}{secret}, undef, 'a dry run shows none';
is call(201, POST => $hooks, { %body, algorithm => 'v1a' })->json->{secret},
    undef, 'nor does a pair of keys';

call(200, PATCH => $place, { headers => { 'X-New' => "d $mark" } });
call(200, PATCH => $place, { headers => { 'X-New' => "e $mark" } },
    key => 'k2') for 1 .. 2;
call(200, PATCH => "$place?dry_run=true",
    { headers => { 'X-New' => "f $mark" } });
shown_webhook(call(200, POST => "$place/rotate-secret", {}));
shown_webhook(call(200, POST => "$place/rotate-secret",
    { overlap_seconds => 0 }, key => 'k3'));
is call(200, POST => "$place/rotate-secret", { overlap_seconds => 0 },
    key => 'k3')->json->{secret}, undef, 'rotated once, shown once';
call(200, POST => "$place/rotate-secret?dry_run=true", {});
call(200, GET => $place);
call(200, GET => $hooks);

my $long = 'x' x 9000;    # a thread looks at this one
call(400, POST => $hooks, { %body, description => "$long $mark" });


# what is sent, and noted of the answers

for my $where ('taken', 'echo') {
    my $sent = call(201, POST => $hooks, { %body,
        url => $receiver->url("/$where") });
    shown_webhook($sent);
    my $id = call(202, POST => $sent->header('Location') . '/send-test')
        ->json->{delivery};
    my $delivery = wait_until 'it was tried', sub {
        my $d = $nginx->request(GET => "/v2/deliveries/$id",
            token => token())->json;
        $d->{attempt_count} && $d;
    };
    unlike(JSON::PP->new->encode($delivery), qr/$mark/,
        "what the receiver has answered is told without them ($where)");
    call(202, POST => "/deliveries/$id/resend");
}

like +($receiver->seen('/taken'))[0]{head}, qr/^X-Token: a $mark\r?$/m,
    'the headers were sent';


# API keys, and the tokens they buy

my %machine = (name => 'Machine', scopes => ['*']);
my $key = shown_key(call(201, POST => '/api-keys', { %machine }));
my $kept = shown_key(call(201, POST => '/api-keys', { %machine },
    key => 'k4'));
is call(201, POST => '/api-keys', { %machine }, key => 'k4')->json->{key},
    undef, 'a key is shown once';
is call(201, POST => '/api-keys?dry_run=true', { %machine })
    ->json->{resource}{key}, undef, 'and not in a dry run';
my $given = shown_key(call(201, POST => '/api/admin/partners/'
    . $postgres->partner('acme') . '/keys', { %machine }, token => operator_token()));

call(200, GET => '/tenants', undef, bare => 1,
    headers => { 'X-API-Key' => $_->{key} }) for $key, $kept, $given;
my $rotate = "/api-keys/$key->{api_key}/rotate";
my $rotated = shown_key(call(200, POST => $rotate, { overlap_seconds => 60 },
    headers => { 'X-API-Key' => $key->{key} }, bare => 1));
isnt $rotated->{key}, $key->{key}, 'a rotated key is another one';
is call(200, POST => "$rotate?dry_run=true", {})->json->{resource}{key},
    undef, 'a rotation that is tried shows none';
call(200, GET => '/tenants', undef, bare => 1,
    headers => { Authorization => "Bearer $_->{key}" }) for $key, $rotated;

my $form = 'application/x-www-form-urlencoded';
my $bought = call(200, POST => '/oauth/token', 'grant_type=client_credentials'
    . "&client_id=$key->{client_id}&client_secret=$rotated->{key}",
    bare => 1, headers => { 'Content-Type' => $form })->json->{access_token};
call(200, GET => '/tenants', undef, token => $bought);
call(200, POST => '/oauth/token', 'grant_type=client_credentials', bare => 1,
    headers => { 'Content-Type' => $form, Authorization => 'Basic '
        . encode_base64("$key->{client_id}:$rotated->{key}", '') });

my $wrong = $rotated->{key} =~ s/.\z/x/r;
call(401, GET => '/tenants', undef, bare => 1,
    headers => { 'X-API-Key' => $wrong });
call(401, GET => '/tenants', undef, bare => 1, headers =>
    { 'X-API-Key' => $given->{key} =~ s/_[0-9a-f]{4}/_0000/r });
call(401, GET => '/tenants', undef, bare => 1,
    headers => { Authorization => "Bearer $bought$mark" });
call(401, GET => '/tenants', undef, bare => 1,
    headers => { Authorization => "Basic $mark" });
call(401, POST => '/oauth/token', 'grant_type=client_credentials'
    . "&client_id=$key->{client_id}&client_secret=$wrong",
    bare => 1, headers => { 'Content-Type' => $form });
call(200, DELETE => "/api-keys/$key->{api_key}");
call(401, GET => '/tenants', undef, bare => 1,
    headers => { 'X-API-Key' => $rotated->{key} });


# what is wrong with a request must not be told in its own words

for my $headers (
    { 'X-Token' => "$mark\t" }, { 'X-Token' => [$mark] }, $mark, [$mark],
    { 'X-Token' => $mark x 200 }, { map { ("X-$_" => $mark) } 1 .. 17 },
    { 'X-Token' => { $mark => 1 } },
) {
    call(400, POST => $hooks, { %body, headers => $headers });
    call(400, PATCH => $place, { headers => $headers });
}

call(422, POST => $hooks, { %body, headers => { $_ => $mark } })
    for 'Host', 'webhook-id';
call(422, POST => $hooks, { %body, event_types => ['x.y'] });
call(422, POST => $hooks, { %body, url => "https://ann:$mark\@example.com/" });
call(422, POST => $hooks, { %body, url => "https://10.0.0.1/?token=$mark" });
call(422, PATCH => $place, { url => "https://ann:$mark\@example.com/" });
call(404, PATCH => "$hooks/00000000-0000-7000-8000-000000000000",
    { headers => { 'X-Token' => $mark } });
call(412, PATCH => $place, { headers => { 'X-Token' => $mark } },
    headers => { 'If-Match' => '"none"' });
call(400, POST => $hooks, $_, headers =>
    { 'Content-Type' => 'application/json' })
    for qq({"url": "$url", "headers": {"X-Token": "$mark"), qq("$mark"),
        qq({"headers": {"a": "$mark"}, "headers": {"a": "$mark"}}),
        qq({"headers": {"X-Token": "$mark\\u0000"}});
call(400, POST => $hooks, { %body, secret => $mark });
call(400, POST => '/api-keys', { %machine, key => $mark });
unlike(call(400, GET => "$hooks?limit=anything")->body, qr/anything/,
    'nor is a value of a parameter repeated');


# nor what the database does not like

$postgres->allow(qr/ boom/);
$nginx->allow(qr/the database refused: boom/);
$postgres->sql($_) for
    q{create function public.boom() returns trigger language plpgsql as
      $$ begin raise exception 'boom'; end $$},
    q{grant execute on function public.boom() to public},
    map { "create trigger boom before insert or update on prov.$_
        for each row execute function public.boom()" }
        'webhook_endpoints', 'api_keys';
call(500, POST => $hooks, { %body });
call(500, POST => $hooks, { %body }, key => 'k5');
call(500, PATCH => $place, { headers => { 'X-Token' => $mark } });
call(500, POST => "$place/rotate-secret", {});
call(500, POST => '/api-keys', { %machine });
call(500, POST => "/api-keys/$kept->{api_key}/rotate", {});


# DETAIL quotes rows, and a message may have several lines

$postgres->sql($_) for
    q{create function public.detail() returns trigger language plpgsql as
      $$ begin raise exception E'boom\nboom' using detail = 'a row'; end $$},
    q{grant execute on function public.detail() to public},
    q{create trigger boom before insert on prov.audit for each row
      when (new.operation = 'tenant_export')
      execute function public.detail()};
call(404, GET => '/tenants/00000000-0000-7000-8000-000000000000/export',
    undef, token => token(roles => ['partner-admin']));
call(403, GET => '/tenants/00000000-0000-7000-8000-000000000000/export',
    undef, token => token(roles => ['integration-user']));
wait_until 'it cannot be noted', sub {
    $nginx->log =~ /attempts could not be recorded/ };
like $nginx->log, qr/\d attempts could not be recorded: boom boom$/m,
    'what the database refuses is told in one line';
unlike $nginx->log, qr/a row/, 'without the row';
$postgres->sql('drop trigger boom on prov.audit');


# nor what the configuration has

wait_until "an issuer's keys were fetched", sub {
    $nginx->log =~ /"login": 1 keys of \S+ are in force/ };

for my $case (
    ["jwks_uri http:", "jwks_uri https://ann:$mark\@example.com/"],
    ["jwks_uri http:", "jwks_uri ftp://example.com/?token=$mark;#"],
    ["dbname=provisioning user=prov_partner",
     "dbname=provisioning user=x password=$mark y $mark"],
    ["dbname=provisioning user=prov_partner",
     "postgresql://x:$mark\@[::1/y?z=$mark"],
) {
    my ($what, $other) = @$case;
    my $config = $nginx->text(%{ $nginx->{given} }) =~ s/\Q$what\E/$other/r;
    my ($accepted, $said) = $nginx->test(config => $config);
    ok !$accepted, "$other is refused";
    unlike $said, qr/$mark/, 'and not repeated';
}


# keys of operators, at psql

$postgres->sql('drop trigger boom on prov.api_keys');
$postgres->sql('set role prov_owner');
my $own = $postgres->value('select prov.operator_key_add(?)', 'Ann');
hide("an operator's key", $own =~ /_([\w-]{43})[0-9a-f]{8}\z/);
is $nginx->request(GET => '/api/admin/partners',
    headers => { 'X-API-Key' => $own })->status, 200, 'which is good';
$postgres->sql('select prov.operator_key_revoke(?)', $own =~ /\A(pk_[^_]+)/);
is $nginx->request(GET => '/api/admin/partners',
    headers => { 'X-API-Key' => $own })->status, 401, 'until it is revoked';
$postgres->sql('reset role');


# where to look

wait_until 'what was denied is noted', sub { $postgres->value(
    q{select count(*) from prov.audit where operation = 'tenant_list'}) };

my %text = (
    "PostgreSQL's log" => $postgres->log,
    "nginx's error log" => $nginx->log,
    "nginx's access log" => $nginx->access_log,
    'a problem' => join("\n", @problems),
);

my @tables = map { $_->{name} } @{ $postgres->sql(q{
    select c.oid::regclass::text as name from pg_class c
    where c.relnamespace = 'prov'::regnamespace and c.relkind = 'r'}) };
$text{"table $_"} = join "\n", map { $_->{t} }
    @{ $postgres->sql("select t::text as t from $_ t") } for @tables;

cmp_ok scalar @tables, '>', 15, 'all tables are looked at';
my $log = $text{"PostgreSQL's log"};
ok $log =~ /execute\ \S+:\ [^\n]*partner\.webhook_create\(e\.ctx[^\n]*\n
    [^\n]*DETAIL:\ \ parameters:\ \$1\ =\ '\{"id"/x,
    'the log has statements and their parameters';
ok $log =~ /Query Text: insert into prov\.api_keys/,
    'also statements of functions';
ok $log =~ /ERROR:[^\n]*boom\n(?:[^\n]+\n){1,20}[^\n]*parameters:\ \$1\ =/x,
    'and the parameters of what has failed';
cmp_ok scalar keys %secret, '>', 15, 'there are secrets to look for';

for my $where (sort keys %text) {
    my %found;

    for my $secret (keys %secret) {
        $found{ $secret{$secret} }++ if index($text{$where}, $secret) >= 0;
    }

    $found{'a header or a URL'}++ if $text{$where} =~ /$mark/;
    is join(', ', sort keys %found), '', "no secret is in $where"
        or diag map { substr($_, 0, 2000) . "\n" }
            grep { defined } (grep { /$mark/ } split /\n/, $text{$where})[0, 1];
}

done_testing;
