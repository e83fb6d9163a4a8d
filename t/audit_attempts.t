#!/usr/bin/perl

# What was denied or failed is in the audit, too: in batches that nobody waits
# for, so many and no more, without anything that is nobody's business.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;

use JSON::PP ();

my $postgres = postgres();
$postgres->lock_timeout('60s');
my (undef, $nginx) = gateway(postgres => $postgres,
    http => 'provisioning_audit_attempts buffer=8 interval=300ms;');
my $API = '/api/provisioning';
my $NOBODY = '00000000-0000-0000-0000-000000000000';
my $token = token(sub => 'crm');

sub attempts {
    return @{ $postgres->sql('select a.*, d.subject, d.ip, d.user_agent '
        . 'from prov.audit a join prov.audit_details d using (chain, seq) '
        . 'where code is not null order by chain, seq') };
}

# A batch is on its way until the code has ended, so that there is no other.

sub beside_a_batch {
    my ($code) = @_;
    my $lock = $postgres->connect_as('postgres');

    $lock->begin_work;
    $lock->do('lock table prov.audit in share mode');
    $nginx->request(GET => "$API/tenants", token => 'first.of.a.batch');
    wait_until 'a batch is on its way', sub { $postgres->waiting };
    $code->();
    $nginx->request(GET => '/health/live');
    $lock->rollback;
    $lock->disconnect;
    return;
}

sub arrived {
    my ($n, $name) = @_;
    my @all;
    wait_until $name, sub { @all = attempts(); @all >= $n };
    return @all;
}


# --- what is noted --------------------------------------------------------

my $id = '0194f0b2-3b40-7c3e-8b1f-2f6d3a9c7e51';
my $made = $nginx->request(POST => "$API/tenants", token => $token,
    json => { client_name => 'A', email => 'a@example.com' });
is $made->status, 201, 'a tenant is made';
is $nginx->request(POST => "$API/tenants", token => $token,
    json => { client_name => 'B', email => 'a@example.com' },
    headers => { 'User-Agent' => "crm/1 \xff\"" })->status, 409,
    'another is not';
is $nginx->request(PATCH => "$API/tenants/$id", token => $token,
    json => { industry => 'X' })->status, 404, 'one that is not there';
is $nginx->request(GET => "$API/tenants/$id", token => $token)->status, 404,
    'is not read either';
is $nginx->request(POST => "$API/tenants", token => 'not.a.token',
    json => { secret => 'body-secret' })->status, 401, 'a bad token';
is $nginx->request(GET => "$API/tenants",
    token => token(roles => ['nobody'], sub => 'x'))->status, 403,
    'a role that may not';
is $nginx->request(GET => "$API/nowhere", token => $token)->status, 404,
    'a path that is not there';

my @found = arrived(4, 'they arrive');
is scalar @found, 4, 'what was denied, and changes that failed: four';
my %by = map { $_->{code} => $_ } @found;
is_deeply [sort keys %by], [qw(email_taken permission_denied tenant_not_found
    token_malformed)], 'with their codes';

my $conflict = $by{email_taken};
is_deeply { map { $_ => $conflict->{$_} } qw(status operation kind subject
        issuer ip user_agent times partner chain) },
    { status => 409, operation => 'tenant_create', kind => 'user',
      subject => 'crm', issuer => 'https://issuer.test/', ip => '127.0.0.1',
      user_agent => "crm/1 \x{fffd}\"", times => 1,
      partner => $postgres->partner('acme'),
      chain => $postgres->partner('acme') },
    'it says who tried what, from where';
is $by{tenant_not_found}{tenant}, $id, 'and on which tenant';
is $by{token_malformed}{partner}, $NOBODY, 'nobody is known by a bad token';
is $by{permission_denied}{subject}, 'x', 'somebody by a good one';

is $postgres->value(q{select count(*) from prov.audit a
    join prov.audit_details d using (chain, seq)
    where (a.*)::text || (d.*)::text ~ 'not.a.token|body-secret|eyJ'}), 0,
    'neither tokens nor bodies are there';

my $list = $nginx->request(GET => "$API/audit?outcome=failed",
    token => $token)->json->{data};
is_deeply [sort map { $_->{code} } @$list], [qw(email_taken tenant_not_found)],
    'the partner sees its own';
is $nginx->request(GET => "$API/audit?outcome=denied", token => $token)
    ->json->{data}[0]{code}, 'permission_denied', 'denied ones, too';
is $nginx->request(GET => "$API/audit/verify", token => $token)
    ->json->{valid}, JSON::PP::true, 'they are links of its chain';


# --- the same again and again ---------------------------------------------

beside_a_batch(sub { $nginx->request(GET => "$API/tenants") for 1 .. 50 });
wait_until 'fifty denied requests', sub {
    50 <= $postgres->value(q{select coalesce(sum(times), 0) from prov.audit
        where code = 'token_missing'}) };
my @same = grep { $_->{code} eq 'token_missing' } attempts();
is eval { my $n = 0; $n += $_->{times} for @same; $n }, 50, 'are all counted';
is scalar @same, 1, 'in one entry, since they are in one batch';


# --- more than fit --------------------------------------------------------

beside_a_batch(sub {
    $nginx->request(GET => "$API/tenants", headers => { 'User-Agent' => "u$_" })
        for 1 .. 100;
});
wait_until 'a hundred different ones', sub {
    100 <= $postgres->value(q{select coalesce(sum(times), 0)
        from prov.audit a join prov.audit_details d using (chain, seq)
        where user_agent ~ '^u' or code = 'attempts_dropped'}) };
my ($kept, $dropped) = map { $_ || 0 } $postgres->value(q{select sum(times)
    from prov.audit join prov.audit_details using (chain, seq)
    where user_agent ~ '^u'}), $postgres->value(q{select sum(times)
    from prov.audit where code = 'attempts_dropped'});
is $kept, 8, 'of them are recorded as many as there is room for';
is $dropped, 92, 'and the others are counted';
like $nginx->log, qr/\[warn\].* \d+ attempts were dropped/, 'and the log says so';


# --- a day's measure ------------------------------------------------------

$postgres->sql(q{insert into prov.audit (mutation, partner, status, operation,
    chain, seq, at, hash) select prov.uuid7(), ?, 401, 'x', ?,
    (select max(seq) from prov.audit where chain = ?) + n, now(), 'x'
    from generate_series(1, 100000) n}, ($NOBODY) x 3);
my $before = $postgres->value('select count(*) from prov.audit where chain = ?',
    $NOBODY);
$nginx->request(GET => "$API/tenants", headers => { 'User-Agent' => 'late' });
$nginx->request(POST => "$API/tenants", token => $token, json => {});
wait_until 'the batch is there', sub {
    grep { $_->{code} eq 'invalid_body' } attempts() };
is $postgres->value('select count(*) from prov.audit where chain = ?',
    $NOBODY), $before, 'a chain takes 100,000 in a day';


# --- no database, and the end of a worker ---------------------------------

$nginx->configure(database => 'connections 2; queue 1024 timeout=300ms;');
my @old = $nginx->reload;
wait_until 'the old worker has left', sub { !grep { kill 0, $_ } @old };
$postgres->stop;
is $nginx->request(POST => "$API/tenants", token => $token,
    json => { client_name => 'C', email => 'c@example.com' })->status, 503,
    'without a database';
wait_until 'a batch fails', sub {
    $nginx->log =~ /attempts could not be recorded/ };
$postgres->start;
wait_until 'it is told later that there was one', sub {
    (eval { $postgres->value(q{select count(*) from prov.audit
        where code = 'database_unavailable' or code = 'attempts_dropped'
        and at > now() - interval '1 min'}) } || 0) > 0 };

$nginx->request(PUT => "$API/tenants/$id", token => $token, json => {});
$nginx->reload;
wait_until 'a worker that leaves sends what it has', sub {
    grep { $_->{operation} eq 'tenant_replace' } attempts() };

# But it does not stay until it is time.

$nginx->configure(http => 'provisioning_audit_attempts interval=1h;');
@old = $nginx->reload;
wait_until 'the old worker has left', sub { !grep { kill 0, $_ } @old };
$nginx->request(DELETE => "$API/tenants/$id", token => $token);
@old = $nginx->reload;
wait_until 'a worker does not wait for the end of an interval', sub {
    !grep { kill 0, $_ } @old };
is scalar(grep { $_->{operation} eq 'tenant_delete' } attempts()), 1,
    'to send what it has and leave';

done_testing;
