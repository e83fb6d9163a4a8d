#!/usr/bin/perl

# Several callers make, change, suspend, delete, restore and remove the same
# few tenants at random, while what is due is removed, too.  Afterwards a model
# goes through what each of them was answered: each version was made once, out
# of the one before it, and the database holds what the last one says.
#
# PROV_TEST_SEED repeats the callers' choices, though not who comes first.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;

use JSON::PP ();
use Time::HiRes ();

my $callers = 4;
my $most = 150;                # requests of each
my $least = 40;                # … on a machine that does not do so many …
my $seconds = 8;               # … in this time
my @keys = map { "slot-$_" } 1 .. 4;

my $seed = $ENV{PROV_TEST_SEED} || time ^ $$ << 8;
note "PROV_TEST_SEED=$seed";

my $postgres = postgres();
$postgres->sql("alter role prov_partner set prov.purge_after = '300 ms'");
my (undef, $nginx) = gateway(postgres => $postgres, workers => 2);
my $path = '/api/provisioning/tenants';
my $json = JSON::PP->new->utf8->canonical;


# One caller: a list of what was asked and answered.

sub caller_of {
    my ($n) = @_;

    return sub {
        my (@log, %id, %tag, $serial);
        my $token = token(sub => "caller-$n");
        my $until = Time::HiRes::time() + $seconds;

        srand $seed + $n;

        while (@log < $least
               || @log < $most && Time::HiRes::time() < $until)
        {
            my $key = $keys[rand @keys];
            my $word = "$n-" . ++$serial;
            my @does = $id{$key} ? (('get') x 3, ('patch') x 4, ('upsert') x 2,
                'put', ('suspend') x 2, ('resume') x 2, 'cancel',
                ('delete') x 3, ('restore') x 3, 'purge', 'create')
                : ('create', 'upsert');
            my $do = $does[rand @does];
            my $at = $id{$key} ? "$path/$id{$key}" : '';
            my $whole = { client_name => $word, email => "$key\@slots.example" };

            my ($method, $url, $body) = @{ {
                get     => [GET => $at],
                patch   => [PATCH => $at, { metadata => { word => $word } }],
                put     => [PUT => $at, { %$whole, external_id => $key }],
                suspend => [POST => "$at/suspend", { reason => $word }],
                resume  => [POST => "$at/resume", { reason => $word }],
                cancel  => [POST => "$at/cancel", { reason => $word }],
                delete  => [DELETE => $at],
                restore => [POST => "$at/restore"],
                purge   => [DELETE => "$at?purge=true"],
                create  => [POST => $path, { %$whole, external_id => $key }],
                upsert  => [PUT => "$path/by-external-id/$key", $whole],
            }->{$do} };

            my $match = $do !~ /get|create/ && $tag{$key} && rand() < 0.4
                ? $tag{$key} : undef;
            my $r = $nginx->request($method => $url, token => $token,
                $body ? (json => $body) : (),
                $match ? (headers => { 'If-Match' => $match }) : ());
            my $answer = $r->json || {};

            # a conflict tells who has the key, too

            $id{$key} = $answer->{tenant} if $answer->{tenant};
            $tag{$key} = $r->header('ETag') if $r->header('ETag');
            delete @$_{$key} for $r->status == 404 || $do eq 'purge'
                && $r->status == 200 ? (\%id, \%tag) : ();

            push @log, { do => $do, word => $word, match => $match,
                status => $r->status, code => $r->code, key => $key,
                tag => $r->header('ETag'), body => $r->body };
        }

        return \@log;
    };
}

my @jobs = map { background(caller_of($_)) } 1 .. $callers;
my $until = Time::HiRes::time() + $seconds / 2;
my $swept = 0;
while (Time::HiRes::time() < $until) {
    $swept += $postgres->value('select prov.purge_expired(1)');
    Time::HiRes::sleep(0.1);
}
my @log = map { @{ $_->finish } } @jobs;


# What may be answered at all

my %seen;
$seen{"$_->{do} $_->{status} $_->{code}"}++ for @log;
note "$seen{$_} $_" for sort keys %seen;
note "$swept removed because they were due";

my %fine = map { $_ => 1 } qw(precondition_failed invalid_transition
    tenant_deleted tenant_not_found email_taken external_id_taken in_progress);
is_deeply [sort grep { !/ 20[01] / && !$fine{(split)[2]} } keys %seen], [],
    'nobody is told anything unexpected';
cmp_ok scalar(@log), '>', 100, 'there was something to do';


# The model: what an operation makes of a tenant; nothing where it may not

sub becomes {
    my ($was, $e) = @_;
    my $do = $e->{do};
    my %is = %$was;

    if ($do =~ /patch|put|upsert/) {
        return if $was->{status} eq 'deleted';
        $is{word} = $e->{word} if $do eq 'patch';
        @is{qw(name word)} = ($e->{word}, undef) if $do ne 'patch';

    } elsif ($do eq 'suspend') {
        return if $was->{status} ne 'active';
        @is{qw(status reason before)} = ('suspended', $e->{word}, 'active');

    } elsif ($do eq 'resume') {
        return if $was->{status} ne 'suspended';
        @is{qw(status reason before)} = ($was->{before}, $e->{word}, undef);

    } elsif ($do eq 'cancel') {
        return if $was->{status} !~ /active|suspended/;
        @is{qw(status reason before)} = ('cancelled', $e->{word}, undef);

    } elsif ($do eq 'delete') {
        @is{qw(status kept)} = ('deleted', $was->{status})
            if $was->{status} ne 'deleted';

    } elsif ($do eq 'restore') {
        return if $was->{status} ne 'deleted';
        @is{qw(status kept)} = ($was->{kept}, undef);
    }

    return \%is;
}

sub shown {
    my ($is) = @_;
    return $json->encode([@$is{qw(status reason name word)}]);
}

sub answered {
    my ($t) = @_;
    return $json->encode([@$t{qw(status status_reason client_name)},
        $t->{metadata}{word}]);
}

my (%made, %purged);           # by tenant and version; receipts by tenant

for my $e (@log) {
    next unless $e->{status} =~ /^20/;
    my $t = $e->{answer} = $json->decode($e->{body});

    if ($e->{do} eq 'purge') {
        push @{ $purged{ $t->{tenant} } }, $t;
        next;
    }

    my ($version) = $e->{tag} =~ /"(\d+)"/;
    push @{ $made{ $t->{tenant} }[$version] }, $e;
}

my (@wrong, %last, $versions);

for my $id (sort keys %made) {
    my $is;

    for my $version (1 .. $#{ $made{$id} }) {
        my @all = @{ $made{$id}[$version] || [] };
        my @changes = grep { $_->{do} ne 'get' } @all;
        my ($e) = @changes;
        my $where = "$id, version $version";

        # a deleted tenant that is deleted again stays of its version

        my $repeated = @changes == grep { $_->{do} eq 'delete' } @changes;
        push @wrong, "$where: made " . @changes . ' times'
            if !@changes || @changes > 1 && !$repeated;
        last unless @changes;

        my %bodies = map { $_->{body} => 1 } @all;
        push @wrong, "$where: told in " . keys(%bodies) . ' ways'
            if keys %bodies > 1;

        my $first = $e->{do} =~ /create|upsert/ && $e->{status} == 201;
        push @wrong, "$where: $e->{do} $e->{status}"
            if $first != ($version == 1);
        my $next = $first ? { status => 'active', name => $e->{word} }
                          : $is && becomes($is, $e);
        push @wrong, "$where: $e->{do} of " . shown($is || {})
            . ' makes ' . answered($e->{answer})
            if !$next || shown($next) ne answered($e->{answer});

        my $previous = '"' . ($version - 1) . '"';
        push @wrong, "$where: made although If-Match was $_->{match}"
            for grep { $_->{match} && $_->{match} ne $previous
                && !($_->{do} eq 'delete' && $_->{match} eq qq{"$version"}) }
            @changes;
        push @wrong, "$where: goes back in time"
            if $is && $is->{at} gt $e->{answer}{updated_at};

        last unless $next;
        $is = { %$next, at => $e->{answer}{updated_at} };
        $last{$id} = { version => $version, body => $e->{answer} };
        $versions++;
    }
}

is_deeply \@wrong, [], 'each version was made once, by what was allowed, out '
    . 'of the one before it';
cmp_ok $versions || 0, '>', keys %made, 'and tenants had several';


# What is there in the end

my %receipt = map { $_->{tenant} => $_ } @{ $postgres->sql(
    'select tenant::text, kind from prov.purges') };
my %row = map { $_->{id} => $_ } @{ $postgres->sql(
    'select id::text, version, prov.tenant_json(t)::text as json '
    . 'from prov.tenants t') };

is_deeply [sort keys %row, keys %receipt], [sort keys %made],
    'each tenant that was made is there, or there is a receipt';
is_deeply [grep { $row{$_} } keys %receipt], [], 'and never both';
is_deeply { map { $_ => scalar @{ $purged{$_} } } keys %purged },
    { map { $_ => 1 } grep { $receipt{$_}{kind} eq 'user' } keys %receipt },
    'who removed a tenant was told so, and nobody else was';
is scalar(grep { $_->{kind} eq 'system' } values %receipt), $swept,
    'the others were due';

@wrong = grep {
    $row{$_}{version} != $last{$_}{version}
        || $json->encode($json->decode($row{$_}{json}))
            ne $json->encode($last{$_}{body})
} sort keys %row;
is_deeply \@wrong, [], 'what is there is what was answered last';

is_deeply $postgres->sql(q{
    select id::text, status, suspended_from, deleted_from
    from prov.tenants
    where (status = 'deleted') <> (deleted_at is not null)
        or (status = 'deleted') <> (purge_after is not null)
        or (status = 'deleted') <> (deleted_from is not null)
        or ('suspended' in (status, coalesce(deleted_from, '')))
            <> (suspended_from is not null)}), [],
    'each tenant knows where it came from, and no more';

for my $table (map { $_->{name} } @{ $postgres->sql(
    'select name from prov.tenant_tables() where not kept and key = ? '
    . 'and name <> ?', 'tenant', 'prov.audit_details') })
{
    # but for the event that says so

    my $but = $table eq 'prov.events' ? "where r.type <> 'tenant.purged'" : '';

    is $postgres->value("select count(*) from $table r "
        . "join prov.purges p on p.tenant = r.tenant $but"), 0,
        "$table has nothing of who was removed";
}

my %changes;
$changes{ $_->{answer}{tenant} }++
    for grep { $_->{answer} && $_->{do} ne 'get' } @log;
$changes{$_}++ for grep { $receipt{$_}{kind} eq 'system' } keys %receipt;
is_deeply { map { $_->{tenant} => $_->{n} } @{ $postgres->sql(
    'select tenant::text, count(*)::int as n from prov.audit '
    . 'where status between 200 and 299 and tenant is not null '
    . 'group by tenant') } }, \%changes,
    'and the audit has each change, once';

my @broken = grep {
    my $r = $nginx->request(GET => "/api/provisioning/audit/verify?tenant=$_",
        token => token());
    $r->status != 200 || !$r->json->{valid};
} sort keys %made;
is_deeply \@broken, [], 'in chains that hold';

diag "PROV_TEST_SEED=$seed" unless Test::More->builder->is_passing;

done_testing;
