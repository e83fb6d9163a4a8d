#!/usr/bin/perl

# From a method and a path to an operation, and from roles to a permission, as
# requests ask it, without a server; run by t/unit/openapi_unit.c.
#
#   prove t/openapi_routes.t
#
# NGX_BUILD and SANITIZE are explained in t/unit/Unit.pm.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/unit";

use Test::More;

use OpenapiDocument;

start();


# --- routes -------------------------------------------------------------------

subtest 'a request finds its operation' => sub {
    my %paths = (
        '/'            => { get => operation('root') },
        '/a'           => { get => operation('a'), post => operation('a_post'),
                            delete => operation('a_delete') },
        '/a/b'         => { post => operation('a_b') },
        '/a/{x}'       => { get => operation('a_x', parameter('x')) },
        '/{x}/b/c'     => { get => operation('x_b_c', parameter('x')) },
        '/a/{y}/{z}/d' => { get => operation('a_y_z_d', parameter('z'),
                                             parameter('y')) },
        '/%C3%A4%20b'  => { get => operation('umlaut') },
        '/A'           => { put => operation('upper'),
                            patch => operation('upper_patch') },
    );

    write_files({ %{ document() }, paths => \%paths });

    my @cases = (
        'GET /'          => 'root',
        'HEAD /'         => 'root',
        'GET /a'         => 'a',
        'HEAD /a'        => 'a',
        'DELETE /a'      => 'a_delete',
        'PUT /a'         => '405 GET, HEAD, POST, DELETE',
        'get /a'         => '405 GET, HEAD, POST, DELETE',
        'OPTIONS /a'     => '405 GET, HEAD, POST, DELETE',
        'GETS /a'        => '405 GET, HEAD, POST, DELETE',
        'GE /a'          => '405 GET, HEAD, POST, DELETE',
        ' /a'            => '405 GET, HEAD, POST, DELETE',
        'PATCH /A'       => 'upper_patch',
        'HEAD /A'        => '405 PUT, PATCH',

        # a literal wins, also with other methods, and also when it is encoded
        'POST /a/b'      => 'a_b',
        'GET /a/b'       => '405 POST',
        'GET /%61/%62'   => '405 POST',
        'GET /a/bb'      => 'a_x x=bb',
        'GET /a/B'       => 'a_x x=B',

        # where it leads nowhere, the parameter is tried
        'GET /a/b/c'     => 'x_b_c x=a',
        'GET /z/b/c'     => 'x_b_c x=z',
        'GET /a/b/c/d'   => 'a_y_z_d y=b z=c',
        'GET /a/b/d/d'   => 'a_y_z_d y=b z=d',
        'GET /a/b/c/e'   => '404',
        'GET /z/b/c/d'   => '404',
        'GET /z'         => '404',

        # the values of parameters
        'GET /a/b%2Fc'   => 'a_x x=b/c',
        'GET /a/%2e%2E.' => 'a_x x=...',
        'GET /a/%25'     => 'a_x x=%',
        'GET /a/a+b&c=d' => 'a_x x=a+b&c=d',
        'GET /a/{x}'     => 'a_x x={x}',
        'GET /a/%C3%A4'  => "a_x x=\xc3\xa4",
        "GET /a/\xf0\x9f\x98\x80" => "a_x x=\xf0\x9f\x98\x80",
        'GET /%c3%a4%20b' => 'umlaut',
        "GET /\xc3\xa4 b" => 'umlaut',
        "GET /a/" . 'v' x 5000 => 'a_x x=' . 'v' x 5000,

        # wherever they stand in it
        (map { my $n = $_; map { my ($before, $after) = @$_;
            my $value = $after =~ s/%([0-9A-F]{2})/chr hex $1/ger;
            ("GET /a/$before" => '400', "GET /a/$after" => "a_x x=$value",
             "GET /a/$after/c/d" => "a_y_z_d y=$value z=c")
        } ['v' x $n . '%', 'v' x $n . '%2F' . 'w' x 11],
          ['v' x $n . '^', 'v' x $n . '%C3%A4' . 'w' x 9],
          ['v' x $n . "\xff" . 'w' x 9, 'v' x $n . "\xc3\xa4" . 'w' x 9]
        } 1 .. 20),

        # no segment is empty, "." or ".."
        'GET /a/'        => '404',
        'GET //a'        => '404',
        'GET /a//'       => '404',
        'GET /a//b/c/d'  => '404',
        'GET /a/.'       => '404',
        'GET /a/%2e%2e'  => '404',
        'GET /.'         => '404',
        'GET '           => '404',
        'GET a'          => '404',
        'GET *'          => '404',
        'GET /a?x=1'     => '404',

        # what is malformed is so wherever it stands
        (map { ("GET $_" => '400') } '/a/%', '/a/%4', '/a/%zz', '/%00',
            '/a/^', '/a/%ff', '/none/%ff', '/a//%', '*%', "/a/\xc3",
            '/a/%c0%80', '/a/%ed%a0%80', '/a/%f4%90%80%80', '/a/%e2%82/x',
            '/a' x 70 . '/%'),
        'GET ' . '/a' x 64 => '404',
        'GET ' . '/a' x 70 => '404',
    );

    my (@questions, @expected);

    while (my ($question, $answer) = splice @cases, 0, 2) {
        push @questions, $question;
        push @expected, $answer;
    }

    my @answers = ask('route', @questions);
    is(scalar @answers, scalar @questions, 'each question has an answer');

    for my $i (0 .. $#questions) {
        is($answers[$i], $expected[$i], substr $questions[$i], 0, 60);
    }
};

subtest 'a route has as many choices as there are' => sub {

    # with literals and parameters at each level, the last of all is asked for

    my %paths = map {
        my $path = join '', map { $_ ? "/{p$_}" : '/a' } @$_;
        my @own = map { parameter("p$_") } grep { $_ } @$_;
        ("$path/" . join('', @$_) => { get => operation(
            'o' . join('', map { $_ ? 1 : 0 } @$_), @own) })
    } map { my $n = $_; [map { $n & (1 << $_) ? $_ + 1 : 0 } 0 .. 6] }
        0 .. 127;

    write_files({ %{ document() }, paths => \%paths });

    is_deeply([ask('route', 'GET /a/a/a/a/a/a/a/1234567',
                   'GET /a/a/a/a/a/a/a/0000000', 'GET /a/a/a/a/a/a/a/x')],
        ['o1111111' . join('', map { " p$_=a" } 1 .. 7), 'o0000000', '404'],
        'the right one is found');
};


# --- permissions --------------------------------------------------------------

subtest 'a role grants what it says' => sub {
    my @permissions = ('tenant:read', 'tenant:create', 'tenants:read',
                       'tenant-x:read', 'user:read', map { "many:p$_" }
                       1 .. 130);
    my $n = 0;
    my %paths = map { ('/' . $n => { get => {
        %{ operation('o' . $n++) }, 'x-permission' => $_ } }) } @permissions;
    $paths{'/live'} = { get => public('live') };

    write_files({ %{ document() }, paths => \%paths, 'x-roles' => {
        admin => ['*'], tenant => ['tenant:*'], read => ['tenant:read',
        'user:read'], many => ['many:*'], last => ['many:p130'],
        none => [] } });

    my @cases = (
        (map { ("$_ admin" => 1) } @permissions),
        (map { ("$_ many" => /^many/ ? 1 : 0) } @permissions),
        (map { ("$_ last" => /p130$/ ? 1 : 0) } @permissions),
        'tenant:read tenant'    => 1,
        'tenant:create tenant'  => 1,
        'tenants:read tenant'   => 0,
        'tenant-x:read tenant'  => 0,
        'user:read tenant'      => 0,
        'tenant:read read'      => 1,
        'tenant:create read'    => 0,
        'tenant:read none'      => 0,
        'tenant:read'           => 0,
        'tenant:read nobody'    => 0,
        'tenant:read Admin'     => 0,
        'tenant:read admi'      => 0,
        'tenant:read admins'    => 0,
        'tenant:read *'         => 0,
        'tenant:read tenant:read' => 0,
        'tenant:read none nobody last read' => 1,
        'tenant:delete admin'   => 0,
        'tenant:* admin'        => 0,
        'tenant: admin'         => 0,
        'o0 tenant'             => 1,
        'o2 tenant'             => 0,
        'o0'                    => 0,
        'o134 last'             => 1,
        'live'                  => 1,
        'live nobody'           => 1,
    );

    my (@questions, @expected);

    while (my ($question, $answer) = splice @cases, 0, 2) {
        push @questions, $question;
        push @expected, "$question: $answer";
    }

    my @answers = ask('permit', @questions);
    is_deeply([map { "$questions[$_]: " . ($answers[$_] // '') }
               0 .. $#questions], \@expected, 'and nothing else');
};

done_testing();
