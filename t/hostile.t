#!/usr/bin/perl

# What a hostile partner writes where the document asks for something else:
# members that are named like columns, and strings that mean something to SQL,
# to HTTP, to JSON or to a terminal, in every member and parameter of every
# operation of the served document.  Nothing of it is a 5xx, makes a header,
# or is kept otherwise than it was sent.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Document;

use JSON::PP ();

my ($postgres, $nginx) = gateway(api => 'client_max_body_size 1m;');
my $document = served($nginx, '/api/provisioning/openapi.json');
my $forget = sub { forget($postgres) };

sub ask {
    my ($method, $url, %o) = @_;
    return $nginx->request($method => $url, token => token(), %o);
}

my %hostile = (
    'SQL'         => q{x'); drop table prov.tenants cascade; --},
    'backslashes' => q{\\' or 1=1; \\x27 E'\\047' $$ $1 \\},
    'quotes'      => q{"x" 'y' `z` "},
    'CR LF'       => "x\r\nX-Injected: 1\r\n\r\n<html>",
    'LF'          => "x\nX-Injected: 1",
    'NUL'         => "x\0y",
    'escapes'     => '%0d%0aX-Injected:%201 \u0000 \r\n &#13;',
    'long'        => 'x' x 20_000,
    'RTL'         => "\x{202e}\x{5e9}\x{5dc}\x{200f}\x{5d5}\x{5dd} x",
    'emoji'       => "\x{1f468}\x{200d}\x{1f469}\x{200d}\x{1f467} x",
    'combining'   => "e\x{301} \x{fb01} x",
    'a formula'   => '=cmd|x!A1',
    'a template'  => '{{7*7}} ${jndi:ldap://x} <script>x</script>',
    'a terminal'  => "\x{1b}[31mx\x{7f}\x{9b}",
);

my (%accepted, @wrong);

# What must hold of any answer.  A NUL in a path and control characters in a
# header are refused by nginx itself, before there is a location.

sub look {
    my ($r, $what, $nginxs) = @_;

    push @wrong, "$what: " . $r->status . ' ' . $r->body if $r->status >= 500;
    push @wrong, "$what: a header" if $r->head =~ /^X-Injected|<html>/mi;
    push @wrong, "$what: no problem document: "
        . $r->status . ' ' . $r->body
        if $r->status >= 400 && $r->code eq '' && !($r->status == 400
            && ($r->type || '') eq 'text/html' && $nginxs) && !($r->json || {})->{error};

    return $r;
}


# What was accepted is given back as it was.

sub kept {
    my ($r, $name, $value, $what) = @_;
    return if $r->status >= 300 || !$r->json || ref $r->json ne 'HASH';

    my $place = $r->header('Location');
    my @given = ($r->json, $place ? ask(GET => $place)->json : ());

    for my $json (@given) {
        next unless defined $json->{$name};
        $accepted{$name}++;

        # a merge patch leaves other members where they are

        my $given = $json->{$name};
        $given = { map { $_ => $given->{$_} } keys %$value }
            if ref $value eq 'HASH';
        is_deeply $given, $value, "$what: is given back as it was"
            or diag $r->body;
    }

    return;
}


sub members {
    my ($schema) = @_;
    $schema = $document->resolve($schema);
    return %{ $schema->{properties} || {} };
}

sub is_a {
    my ($type, $schema) = @_;
    my $is = $document->resolve($schema)->{type} || '';
    return scalar grep { $_ eq $type } ref $is ? @$is : $is;
}


# --- strings -------------------------------------------------------------------

for my $operation ($document->operations) {
    my $id = $operation->{id};
    my $body = $operation->{bodies}[0];
    @wrong = ();

    if ($body) {
        my %member = members($operation->{content}{ $body->[1] }{schema});

        for my $name (sort keys %member) {
            for my $kind (sort keys %hostile) {
                my $value = is_a(string => $member{$name}) ? $hostile{$kind}
                    : is_a(array => $member{$name}) ? [$hostile{$kind}]
                    : is_a(object => $member{$name})
                        ? { $hostile{$kind} => $hostile{$kind} } : next;
                my $spoilt = [@$body[0, 1], { %{ $body->[2] },
                    $name => $value }];
                my $request = $document->prepared($operation, \&ask, $forget)
                    || $document->request($operation, {}, $body);
                my ($method, $url, %o) = @$request;
                my ($fill) = ({ Provisioning::Test::Document::content(
                    $body->[1], $spoilt->[2]) });
                my $what = "$id: $kind in $name";

                kept(look(ask($method, $url, %o, %$fill), $what), $name,
                    $value, $what);
            }
        }
    }

    items($operation) if $body;

    my $request = $document->prepared($operation, \&ask, $forget);
    my ($method, $url, %o) = @{ $request
        || $document->request($operation, {}, $body) };

    for my $parameter (@{ $operation->{parameters} }) {
        my $name = $parameter->{name};

        for my $kind (sort keys %hostile) {
            my $value = Provisioning::Test::Document::escaped(
                $hostile{$kind});
            my $what = "$id: $kind in $name";

            next if $kind eq 'long' && $parameter->{in} eq 'path';
            $value = substr $value, 0, 3000;

            if ($parameter->{in} eq 'path') {
                look(ask($method, $document->url($operation, { map {
                    $_->{name} => $hostile{$kind}
                } $document->parameters_in($operation, 'path') }), %o), $what,
                    $kind eq 'NUL');

            } elsif ($parameter->{in} eq 'query') {
                look(ask($method, $url . ($url =~ /\?/ ? '&' : '?')
                    . "$name=$value", %o), $what);
                look(ask($method, $url . ($url =~ /\?/ ? '&' : '?')
                    . "$value=1", %o), $what);

            } else {
                my $raw = $hostile{$kind};
                utf8::encode($raw);
                $raw =~ s/[\r\n\0]/ /g;
                look(ask($method, $url, %o, headers => {
                    %{ $o{headers} || {} }, $name => substr $raw, 0, 3000 }),
                    $what, $kind eq 'a terminal');
            }
        }
    }

    is_deeply \@wrong, [], "$id: nothing hostile breaks it";
}

# The same in the first item of a list of objects.

sub items {
    my ($operation) = @_;
    my $body = $operation->{bodies}[0];

    for my $list (grep { ref $body->[2]{$_} eq 'ARRAY'
        && ref $body->[2]{$_}[0] eq 'HASH' } sort keys %{ $body->[2] })
    {
        my $item = $body->[2]{$list}[0];
        my ($method, $url) = @{ $document->prepared($operation, \&ask,
                                                    $forget) };

        for my $name (grep { !ref $item->{$_} } sort keys %$item) {
            for my $kind (sort keys %hostile) {
                $forget->();
                look(ask($method, $url, json => { %{ $body->[2] }, $list =>
                    [{ %$item, $name => $hostile{$kind} }] }),
                    "$operation->{id}: $kind in $list, $name");
            }
        }
    }

    return;
}

cmp_ok scalar keys %accepted, '>', 4, 'some is accepted, where it is harmless'
    or diag join ' ', %accepted;
is $postgres->value(q{select count(*) from pg_class
    where relname = 'tenants' and relnamespace = 'prov'::regnamespace}), 1,
    'and the tables are still there';


# --- mass assignment -----------------------------------------------------------

my @columns = map { $_->{name} } @{ $postgres->sql(q{
    select distinct attname as name from pg_attribute a
    join pg_class c on c.oid = a.attrelid
    where c.relnamespace = 'prov'::regnamespace and c.relkind in ('r', 'p')
    and a.attnum > 0 and not a.attisdropped order by 1}) };

cmp_ok scalar @columns, '>', 40, 'there are columns';

for my $operation ($document->operations) {
    my $id = $operation->{id};
    my $body = $operation->{bodies}[0];
    next if !$body || $operation->{public};

    my $schema = $document->resolve(
        $operation->{content}{ $body->[1] }{schema});
    my %declared = members($schema);
    my $request = $document->prepared($operation, \&ask, $forget);
    my ($method, $url, %o) = @$request;
    my @others = grep { !$declared{$_} } @columns;

    # a configuration is the partner's own, whatever its members are called:
    # it changes nothing but itself

    my $more = $schema->{additionalProperties};

    if (!JSON::PP::is_bool($more) || $more) {
        my $rows = 'select string_agg((to_jsonb(t))::text, \',\' order by id)'
            . ' from prov.tenants t';
        my $before = $postgres->value($rows);
        my $r = ask($method, $url, %o,
            json => { map { $_ => 'x' } @columns });
        like $id, qr/\Aconfiguration_/, "$id: takes members of any name";
        is $postgres->value($rows), $before, "$id: and changes nothing else"
            or diag $r->status, $r->body;
        next;
    }

    my (%got, %wanted);

    for my $column (@others) {
        my $r = ask($method, $url, %o,
            json => { %{ $body->[2] }, $column => 'x' });
        $wanted{$column} = "400 /$column additional_properties";
        $got{$column} = join ' ', $r->status, map { "$_->{pointer} $_->{code}" }
            @{ ($r->json || {})->{errors} || [] };
    }

    is_deeply \%got, \%wanted, "$id: no column can be given that is no member";

    # the same in the items of what takes many

    for my $list (grep { ref $body->[2]{$_} eq 'ARRAY'
        && ref $body->[2]{$_}[0] eq 'HASH' } sort keys %{ $body->[2] })
    {
        my %item = (%{ $body->[2]{$list}[0] });
        my @given = grep { !exists $item{$_} && !/\A(?:slug|external_id|email
            |metadata|industry|phone_number|client_name)\z/x } @columns;
        my @taken = grep {
            my $r = ask($method, $url, %o, json => { %{ $body->[2] },
                $list => [{ %item, $_ => 'x' }] });
            $r->body !~ /additional_properties/;
        } @given;
        is_deeply \@taken, [], "$id: nor in an item of $list";
    }
}

done_testing;
