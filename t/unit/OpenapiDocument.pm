package OpenapiDocument;

# What t/openapi*.t and the tables of mistakes make documents of, and how they
# ask t/unit/openapi_unit.c about them.

use strict;
use warnings;

use Exporter qw(import);
use File::Basename qw(dirname);
use File::Path qw(make_path remove_tree);
use JSON::PP ();
use Test::More;

use Unit;

our @EXPORT = qw($true $false $json $get $files document parameter operation
    public body at second start write_files slurp ask);

our ($true, $false) = (JSON::PP::true, JSON::PP::false);
our $json = JSON::PP->new->canonical->utf8->allow_nonref;

# where the operation of document() is

our $get = '/paths/~1things~1{thing}/get';


# A small document that is right, to be spoiled by a test.

sub document {
    return {
        openapi => '3.1.0',
        info => { title => 'T', version => '1' },
        servers => [{ url => '/t' }],
        'x-database-schema' => 'partner',
        'x-roles' => { admin => ['thing:*'] },
        security => [{ bearer => [] }],
        paths => { '/things/{thing}' => {
            get => operation('thing_get', parameter('thing')) } },
        components => { securitySchemes => {
            bearer => { type => 'http', scheme => 'bearer' } } },
    };
}

sub parameter {
    my ($name, %o) = @_;

    return { name => $name, in => 'path', schema => { type => 'string' },
             ($o{in} ? () : (required => $true)), %o };
}

sub operation {
    my ($id, @parameters) = @_;

    return { operationId => $id, 'x-permission' => 'thing:read',
             (@parameters ? (parameters => \@parameters) : ()),
             responses => { 200 => { description => 'It.' } } };
}

# One that everybody may call.

sub public {
    my ($id) = @_;
    my $operation = operation($id);

    delete $operation->{'x-permission'};
    return { %$operation, security => [], 'x-handler' => 'health_live' };
}

# An operation with a body of a media type.

sub body {
    my ($type, $media, %o) = @_;
    return { %{ operation('thing_post', parameter('thing')) }, %o,
             requestBody => { content => { $type => $media } } };
}

# Puts a value at a pointer of the document; none at all takes it away.

sub at {
    my ($pointer, @value) = @_;

    return sub {
        my ($at) = @_;
        my @steps = map { s/~1/\//gr =~ s/~0/~/gr }
            split m{/}, $pointer =~ s{^/}{}r;
        my $last = pop @steps;

        $at = ref $at eq 'ARRAY' ? $at->[$_] : $at->{$_} //= {} for @steps;

        if (ref $at eq 'ARRAY') {
            $at->[$last] = $value[0];

        } elsif (@value) {
            $at->{$last} = $value[0];

        } else {
            delete $at->{$last};
        }
    };
}

# The second parameter of the operation, the first being the path's.

sub second {
    my ($name, %o) = @_;
    return at("$get/parameters/1", parameter($name, %o));
}


# --- asking ---------------------------------------------------------------

our $files = "$dir/files";
my $program;

# Call it first.

sub start {
    compile(qw(base/prov_json* schema openapi));
    $program = build('t/unit/openapi_unit.c');

    return;
}

# The document is api.json, among others, in a directory that is new each time.

sub write_files {
    my ($document, %others) = @_;

    remove_tree($files);
    my %all = ('api.json' => ref $document ? $json->encode($document)
                                           : $document, %others);

    for my $name (sort keys %all) {
        make_path(dirname("$files/$name"));
        open my $file, '>', "$files/$name" or die "$name: $!";
        print $file $all{$name};
        close $file or die "$name: $!";
    }

    return;
}

# What the program says about the document that was written, line by line.

sub ask {
    my ($command, @questions) = @_;
    my $input = join '', map { "$_\n" } @questions;
    my ($said, $status) = output(\$input, $program, $command,
        "$files/api.json");

    diag("$command: status $status\n$said") if $status & 127;
    return wantarray ? split(/\n/, $said) : $said;
}

sub slurp {
    open my $in, '<', "$files/$_[0]" or die "$_[0]: $!";
    return do { local $/; <$in> };
}

1;
