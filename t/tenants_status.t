#!/usr/bin/perl

# A tenant's status: which operation leads from where to where, what is kept
# of why and when, and that what is not a way is refused and changes nothing.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Problem;

my ($postgres, $nginx) = gateway(workers => 2);
my $path = '/api/provisioning/tenants';
my $moment = qr/\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\z/;

sub call {
    my ($method, $tenant, $what, %o) = @_;
    return $nginx->request($method => "$path/$tenant->{tenant}$what",
        token => $o{token} || token(), headers => $o{headers},
        exists $o{json} ? (json => $o{json}) : ());
}

sub get { call(GET => $_[0], '')->json }

sub tenant {
    my (%more) = @_;
    my $r = $nginx->request(POST => $path, token => token(), json => {
        client_name => 'A tenant', email => unique_email(), %more });
    $r->status == 201 or die 'no tenant: ' . $r->body;
    return $r->json;
}

my %do = (
    suspend => sub { call(POST => $_[0], '/suspend', @_[1 .. $#_],
                          json => { reason => 'Why' }) },
    resume  => sub { call(POST => @_[0 .. 0], '/resume', @_[1 .. $#_]) },
    cancel  => sub { call(POST => @_[0 .. 0], '/cancel', @_[1 .. $#_]) },
    delete  => sub { call(DELETE => @_[0 .. 0], '', @_[1 .. $#_]) },
    restore => sub { call(POST => @_[0 .. 0], '/restore', @_[1 .. $#_]) },
);

# Where a tenant of each status comes from: those that nothing leads to yet
# are what a tenant is made with, or will be.

sub with_status {
    my ($status) = @_;
    my $tenant = tenant();

    if ($status =~ /pending|trial_expired/) {
        $postgres->sql('update prov.tenants set status = ? where id = ?',
            $status, $tenant->{tenant});
    } elsif ($status ne 'active') {
        my ($what) = grep { $status =~ /\A$_/ } keys %do;
        $do{$what}->($tenant)->status == 200 or die "no $status tenant";
    }

    my $is = get($tenant);
    $is->{status} eq $status or die "not $status";
    return $is;
}


# Every operation from every status

my @statuses = qw(pending active suspended cancelled trial_expired deleted);
my %leads = (
    suspend => { map { $_ => 'suspended' } qw(pending active trial_expired) },
    resume  => { suspended => 'active' },
    cancel  => { map { $_ => 'cancelled' }
                 qw(pending active suspended trial_expired) },
    delete  => { map { $_ => 'deleted' } @statuses },
    restore => { deleted => 'active' },
);
my %only = (
    suspend => 'pending, active, trial expired',
    resume  => 'suspended',
    cancel  => 'pending, active, suspended, trial expired',
    restore => 'deleted',
);
my %to = (suspend => 'suspended', resume => 'active', cancel => 'cancelled');

for my $what (sort keys %leads) {
    for my $from (@statuses) {
        my $tenant = with_status($from);
        my $r = $do{$what}->($tenant);
        my $to = $leads{$what}{$from};

        if (defined $to) {
            is $r->status, 200, "$what: $from leads to $to" or diag $r->body;
            is $r->json->{status}, $to, 'and that is answered';
            is get($tenant)->{status}, $to, 'and read';
            next;
        }

        my $wanted = $to{$what} || $from;
        my $said = $from =~ tr/_/ /r;
        is_problem $r, "$what: $from leads nowhere", 409,
            'invalid_transition', "The tenant is $said; this is "
            . "for tenants that are $only{$what}.",
            members => qq{"from":"$from","to":"$wanted"};
        is_deeply get($tenant), $tenant, 'and nothing has changed';
    }
}


# Back to where it was

for my $from (qw(pending active trial_expired)) {
    my $tenant = with_status($from);
    $do{suspend}->($tenant);
    is $do{resume}->($tenant)->json->{status}, $from,
        "a tenant that was $from is so again when it is resumed";
    $do{suspend}->($tenant);
    $do{delete}->($tenant);
    is $do{restore}->($tenant)->json->{status}, 'suspended',
        'a suspended one that was deleted is suspended again';
    is $do{resume}->($tenant)->json->{status}, $from,
        'and still knows what it was before';
}

for my $from (grep { $_ ne 'deleted' } @statuses) {
    my $tenant = with_status($from);
    $do{delete}->($tenant);
    my $r = $do{restore}->($tenant);
    is_deeply { %{ $r->json }, updated_at => 0 },
        { %$tenant, updated_at => 0 },
        "a $from tenant is, deleted and restored, as it was";
}

my $tenant = with_status('suspended');
$do{cancel}->($tenant);
is $do{resume}->($tenant)->code, 'invalid_transition',
    'what was suspended and then cancelled cannot be resumed';


# Why and since when

my $was = tenant();
is $was->{status_changed_at}, $was->{created_at},
    'a new tenant has its status since it was made';
is $was->{status_reason}, undef, 'and for no reason';

my $before = $postgres->value('select prov.rfc3339(clock_timestamp()::timestamptz(3))');
my $r = call(POST => $was, '/suspend', json => { reason => "Öl ist \"aus\"\n" });
my $after = $postgres->value('select prov.rfc3339(clock_timestamp()::timestamptz(3))');
my $is = $r->json;
is $is->{status_reason}, "Öl ist \"aus\"\n", 'the reason is answered as given';
like $is->{status_changed_at}, $moment, 'and when it was';
ok $before le $is->{status_changed_at} && $is->{status_changed_at} le $after,
    'which is the time of the request'
    or diag "$before $is->{status_changed_at} $after";
is $r->header('ETag'), '"2"', 'it is a new version';
is_deeply get($was), $is, 'and all of that is kept';

$r = call(PATCH => $was, '', json => { industry => 'IT' });
is_deeply [@{ $r->json }{qw(status status_reason status_changed_at industry)}],
    [@$is{qw(status status_reason status_changed_at)}, 'IT'],
    'a suspended tenant can be changed, and stays suspended since then';

$r = call(POST => $was, '/resume', json => { reason => 'Paid' });
is_deeply [@{ $r->json }{qw(status status_reason)}], ['active', 'Paid'],
    'a reason may be given for other changes, too';
$r = call(POST => $was, '/cancel', json => { reason => undef });
is_deeply [@{ $r->json }{qw(status status_reason)}], ['cancelled', undef],
    'or left out, and then an older one does not stay';

my @audit = @{ $postgres->sql('select a.operation, d.headers ->> ? as tag '
    . 'from prov.audit a join prov.audit_details d using (chain, seq) '
    . 'where a.tenant = ? order by a.seq', 'ETag', $was->{tenant}) };
is_deeply [map { "$_->{operation} $_->{tag}" } @audit],
    ['tenant_create "1"', 'tenant_suspend "2"', 'tenant_update "3"',
     'tenant_resume "4"', 'tenant_cancel "5"'],
    'each of them is in the audit';


# What is given

my $invalid = 'The body is not as described; see "errors".';
my $one = tenant();
is call(POST => $one, '/suspend')->code, 'body_required',
    'a suspension has a reason';
for ([{}, 'required', 'is required'],
     [{ reason => '' }, 'min_length', 'must be at least 1 character long'],
     [{ reason => '  ' }, 'pattern', 'must not be blank'],
     [{ reason => "so\x{200b}" }, 'pattern', 'must have no control '
        . 'characters but tabs and line breaks, and none that are invisible '
        . 'or change the direction of text'],
     [{ reason => "so\b" }, 'pattern', 'must have no control '
        . 'characters but tabs and line breaks, and none that are invisible '
        . 'or change the direction of text'],
     [{ reason => 'x' x 501 }, 'max_length',
      'must be at most 500 characters long'],
     [{ reason => undef }, 'type', 'must be a string, not null'])
{
    my ($body, $code, $message) = @$_;
    is_problem call(POST => $one, '/suspend', json => $body),
        "and that is one ($code)", 400, 'invalid_body', $invalid,
        errors => '[' . violation('/reason', $code, $message) . ']';
}
is_problem call(POST => $one, '/cancel', json => { status => 'active' }),
    'nothing else can be given', 400, 'invalid_body', $invalid, errors => '['
    . violation('/status', 'additional_properties', 'is not a known property')
    . ']';
is call(POST => $one, '/suspend', json => { reason => '😀' x 500 })->status,
    200, 'a reason may have 500 characters';


# Preconditions; who may; who cannot see

$one = tenant();
my $other = token(partner => 'globex');
my $reader = token(roles => ['integration-user']);
for my $what (sort keys %do) {
    is $do{$what}->($one, token => $other)->code, 'tenant_not_found',
        "$what: another partner's tenant is not found";
    is $do{$what}->($one, token => $reader)->code, 'permission_denied',
        "$what: who may only read may not";
    is $do{$what}->($one, headers => { 'If-Match' => '"7"' })->code,
        'precondition_failed', "$what: another version is left alone";
    is $do{$what}->({ tenant => '0194f0b2-3b40-7c3e-8b1f-2f6d3a9c7e51' })
        ->code, 'tenant_not_found', "$what: an unknown one is not found";
}
is_deeply get($one), $one, 'none of that changed anything';

for my $what (qw(suspend resume delete restore cancel)) {
    my $tag = call(GET => $one, '')->header('ETag');
    is $do{$what}->($one, headers => { 'If-Match' => $tag })->status, 200,
        "$what: with its tag it is done";
}


# Of several at once one is first

$one = tenant();
my @jobs = map {
    background(sub {
        return [map { $do{$_}->($one)->status } qw(suspend resume) x 10];
    });
} 1 .. 4;
my %seen;
$seen{$_}++ for map { @{ $_->finish } } @jobs;
is_deeply [grep { !/200|409/ } keys %seen], [],
    'of several at once each is done or refused';
$r = call(GET => $one, '');
is $r->header('ETag'), '"' . (1 + $seen{200}) . '"',
    'and each that was done is a version';
is $r->json->{status}, $seen{200} % 2 ? 'suspended' : 'active',
    'so that they came one after the other';


# The document's own examples

my $document = $nginx->request(GET => '/api/provisioning/openapi.json')->json;
$one = tenant();
for my $what (qw(suspend resume cancel)) {
    my $examples = $document->{paths}{"/tenants/{tenant}/$what"}{post}
        {requestBody}{content}{'application/json'}{examples};
    for my $name (sort keys %$examples) {
        $r = call(POST => $one, "/$what", json => $examples->{$name}{value});
        is_deeply [$r->status, $r->json->{status_reason}],
            [200, $examples->{$name}{value}{reason}],
            "$what: the example \"$name\" works";
    }
}

done_testing;
