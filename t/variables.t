#!/usr/bin/perl

# The variables: what the access log, a header or a map learns of a request,
# and that no caller writes anything else through them.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Operations;

use JSON::PP ();

my $postgres = postgres();
$postgres->sql($_) for 'create table public.gate ()',
    'grant select on public.gate to public';
my $api = operations($postgres,
    show => { path => '/tenants/{tenant}', function =>
              q[status := 200; body := json_build_object('x', 1);],
              parameters => [{ name => 'tenant', in => 'path',
                  required => JSON::PP::true,
                  schema => { type => 'string', pattern => '^[a-z]+$' } }] },
    slow => { function => q[while exists (select from public.gate) loop
                                perform pg_sleep(0.02); end loop;
                            status := 200; body := '{}';] },
);

my @names = qw(operation subject partner roles tenant code request_id
               queue_time db_time);
my $format = join '|', map { "\$provisioning_$_" } @names;

my (undef, $nginx) = gateway(postgres => $postgres,
    database => 'connections 1 pipeline=1;',
    http     => "log_format variables '\$request_id|\$status|$format';\n" . <<'END',
    access_log %%DIR%%/variables.log variables;

    map $provisioning_partner $plan {
        default none;
        acme gold;
    }

    server {
        listen unix:%%DIR%%/backend.sock;
        access_log off;
        return 200 "$http_x_subject/$http_x_partner/$http_x_roles/$http_x_plan";
    }
END
    server => 'add_header X-Trace $request_id always;',
    locations => $api->location('add_header X-Trace $request_id always;',
        'add_header X-Tenant "$provisioning_tenant" always;',
        'add_header X-Code "$provisioning_code" always;',
        'add_header X-Operation "$provisioning_operation" always;')
        . <<'END');
    location /app/ {
        provisioning_auth test;
        proxy_set_header X-Subject $provisioning_subject;
        proxy_set_header X-Partner $provisioning_partner;
        proxy_set_header X-Roles $provisioning_roles;
        proxy_set_header X-Plan $plan;
        proxy_pass http://unix:%%DIR%%/backend.sock:/;
    }

    location /open/ {
        return 200 "<$provisioning_subject$provisioning_partner>";
    }
END


# What the log has of one request: name => value.

sub logged {
    my ($method, $path, %o) = @_;

    my $r = $nginx->request($method => $path, %o);
    my $trace = $r->header('X-Trace') or die 'there is no X-Trace: '
        . $r->head;
    my $line = wait_until 'the request is logged', sub {
        my ($found) = $nginx->read_file('variables.log')
            =~ /^\Q$trace\E\|(.*)$/m;
        $found;
    };
    my ($status, @values) = split /\|/, $line, -1;
    my %value = (status => $status);
    @value{@names} = @values;
    return ($r, \%value);
}

sub times_of {
    my ($value) = @_;
    return [delete @$value{qw(queue_time db_time)}];
}

my @none = (map { $_ => '-' } @names);
my $time = qr/\A\d+\.\d{3}\z/;
my $path = '/api/provisioning/tenants';
my $id = { 'X-Request-Id' => 'mine' };
my @who = (subject => 'partner-system', partner => 'acme',
           roles => 'partner-admin', request_id => 'mine');


# One request after the other

my ($r, $v) = logged(GET => '/nowhere');
is_deeply $v, { @none, status => 404 },
    'outside of our locations nothing is known';

($r, $v) = logged(GET => '/health/live', headers => $id);
is_deeply $v, { @none, status => 200, operation => 'health_live',
                request_id => 'mine' },
    'a public operation has a name and a request, and no caller';

($r, $v) = logged(GET => '/health/live');
is $v->{request_id}, $r->header('X-Request-Id'),
    'a request id that was made is the one that was sent';

($r, $v) = logged(GET => $path, headers => $id);
is_deeply $v, { @none, status => 401, operation => 'tenant_list',
                code => 'token_missing', request_id => 'mine' },
    'a request without a token has an operation and a code';

($r, $v) = logged(GET => '/api/provisioning/x', headers => $id,
                  token => token());
is_deeply $v, { @none, status => 404, code => 'path_not_found',
                request_id => 'mine' },
    'one to no operation has none, and nobody has looked at the token';

($r, $v) = logged(POST => $path, headers => $id,
    token => token(roles => ['integration-user', 'x']), json => {});
is_deeply $v, { @none, @who, roles => 'integration-user,x', status => 403,
                operation => 'tenant_create', code => 'permission_denied' },
    'one that is forbidden has a caller';

($r, $v) = logged(POST => $path, headers => $id, token => token(),
                  json => {});
is_deeply $v, { @none, @who, status => 400, operation => 'tenant_create',
                code => 'invalid_body' },
    'one that is wrong has not been at the database';

($r, $v) = logged(POST => $path, headers => $id, token => token(),
    json => { client_name => 'A client', email => unique_email() });
my $times = times_of($v);
my $tenant = $r->json->{tenant};
is_deeply $v, { @who, status => 201, operation => 'tenant_create',
                tenant => $tenant, code => '-' },
    'one that makes a tenant has its id';
like $times->[0], $time, 'the time it waited for a connection';
like $times->[1], $time, 'and the time of the database';

($r, $v) = logged(GET => "$path/$tenant", headers => $id, token => token());
times_of($v);
is_deeply $v, { @who, status => 200, operation => 'tenant_get',
                tenant => $tenant, code => '-' },
    'so has one that reads it';

my $unknown = '0194f0b2-3b40-7c3e-8b1f-2f6d3a9c7e51';
($r, $v) = logged(GET => "$path/$unknown", headers => $id, token => token());
times_of($v);
is_deeply $v, { @who, status => 404, operation => 'tenant_get',
                tenant => $unknown, code => 'tenant_not_found' },
    'and one that does not find it, whose code is the function\'s';


# Time

$postgres->sql('insert into public.gate default values');
my @waiting = map { $nginx->connection } 1 .. 3;
$_->send_request(GET => '/quirks/slow', token => token(), headers => {
    'X-Request-Id' => 'waits' }) for @waiting;
wait_until 'one is under way', sub { $postgres->value('select count(*) from'
    . " pg_stat_activity where wait_event = 'PgSleep'") };
$nginx->request(GET => '/health/live') for 1 .. 3;    # the others wait
select undef, undef, undef, 0.5;
$postgres->sql('delete from public.gate');
$_->read_response for @waiting;
my @lines = @{ wait_until 'they are logged', sub {
    my @found = grep { /\|waits\|/ }
        split /\n/, $nginx->read_file('variables.log');
    @found == 3 && \@found;
} };
my @queue = sort { $a <=> $b } map { (split /\|/)[9] } @lines;
my @database = sort { $a <=> $b } map { (split /\|/)[10] } @lines;
cmp_ok $database[2], '>=', 0.4, 'the time of a slow query is told'
    or diag "@lines";
cmp_ok $queue[1], '>=', 0.4, 'and that of who waited for it';


# What a caller cannot do with them

for my $bad ('x%0D%0ASet-Cookie:%20a=b', 'x%0Ay', 'x%20y', '%C3%A4', 'A')
{
    ($r, $v) = logged(GET => "/quirks/tenants/$bad", token => token());
    is $r->status, 400, "a tenant '$bad' is refused";
    is $v->{tenant}, '-', 'and gets nowhere';
    is_deeply [map { $r->header($_) } qw(X-Tenant Set-Cookie)],
        [undef, undef], 'not into a header, either';
}

($r, $v) = logged(GET => '/quirks/tenants/abc', token => token());
is_deeply [map { $r->header($_) } qw(X-Tenant X-Operation X-Code)],
    ['abc', 'show', undef], 'a good one does, when asked for';
($r, $v) = logged(GET => '/quirks/tenants/1', token => token());
is $r->header('X-Code'), 'invalid_parameters', 'and so does a code';


# For what stands behind

is $nginx->request(GET => '/app/x', token => token(
        sub => 'somebody', roles => ['a', 'b']))->body,
    'somebody/acme/a,b/gold', 'a proxied server learns who calls';
is $nginx->request(GET => '/app/x', token => token(
        partner => undef, roles => []))->body,
    'partner-system///none', 'what a token does not have is empty';
is $nginx->request(GET => '/app/x', token => token(), headers => [
        'X-Subject' => 'admin', 'X-Roles' => 'all'])->body,
    'partner-system/acme/partner-admin/gold',
    'and a caller cannot say otherwise';
is $nginx->request(GET => '/open/x', token => token())->body, '<>',
    'where nobody has looked at a token nothing of it is told';

done_testing;
