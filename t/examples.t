#!/usr/bin/perl

# No example of the documents is left to itself: each operation, and each
# error that operations share, is compared with what really happens by one
# t/examples_<subject>.t and only one, as %subjects in
# Provisioning::Test::Examples says.  What is added to a document fails here
# until it is somebody's.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Examples;
use Provisioning::Test::Operator;

use JSON::PP ();

# Bodies of which no example can be shown.

my %bare = (
    'openapi_get 200 application/json' => 'it is the document itself',
);

my %base = (partner => '/api/provisioning', operator => '/api/admin');
my (undef, $nginx) = gateway(operator());
my %subjects = %Provisioning::Test::Examples::subjects;


# every document that describes an API is looked at

sub text {
    my ($file) = @_;
    open my $in, '<:raw', $file or die "$file: $!";
    return do { local $/; <$in> };
}

is_deeply [map { m{([^/]+)\.json\z} } sort grep { JSON::PP->new->utf8->decode(
    text($_))->{paths} } glob "$FindBin::Bin/../conf/openapi/*.json"],
    [sort keys %base], 'every document is known here';

my %all = map { $_ => Provisioning::Test::Examples->all($nginx->request(
    GET => "$base{$_}/openapi.json")->json) } keys %base;


# how many subjects have what

sub claims {
    my ($what, @subjects) = @_;
    my %claims;

    $claims{$_}++ for map { @{ $_->{$what} } } @subjects;
    return \%claims;
}

for my $name (sort keys %base) {
    my @mine = grep { $_->{document} eq $name } values %subjects;
    my @operations = $all{$name}->operations;

    cmp_ok scalar @operations, '>', 9, "$name: there are operations";
    is_deeply claims(operations => @mine), { map { $_ => 1 } @operations },
        "$name: each operation is one subject's";
    is_deeply [grep { !$bare{$_} } $all{$name}->bare], [],
        "$name: each body that is described has an example";
}

is_deeply claims(errors => values %subjects),
    { map { $_ => 1 } map { $_->errors } values %all },
    'each error that operations share is one subject\'s';

# an error that both documents have is the same, so that one comparison will do

my %errors = map { my $name = $_; $name => { map { $_ => 1 }
    $all{$name}->errors } } keys %all;

is_deeply [grep { !$errors{partner}{$_} } @{ $subjects{$_}{errors} }], [],
    "$_ finds its errors in its document"
    for grep { $subjects{$_}{document} eq 'partner' } sort keys %subjects;

for my $error (grep { $errors{operator}{$_} } sort keys %{ $errors{partner} }) {
    is_deeply of($all{operator}, $error), of($all{partner}, $error),
        "$error is the same in both documents";
}

sub of {
    my ($examples, $error) = @_;
    my $answered = $examples->answered;

    return { map { $_ => $answered->{$_} } grep { (split)[0] eq $error }
        keys %$answered };
}


# and every subject has its file, which leaves nothing out

is_deeply [map { /examples_(\w+)\.t\z/ } sort glob
    "$FindBin::Bin/examples_*.t"], [sort keys %subjects],
    'every subject has a file, and every file a subject';

for my $subject (sort keys %subjects) {
    my $text = text("$FindBin::Bin/examples_$subject.t");

    like $text, qr/\bexchange\($subject =>/, "$subject has what is its own";
    like $text, qr/^none_left\(\);$/m,
        'and sees to it that nothing is left';
}

done_testing;
