package Provisioning::Test::Exchange;

# What each t/examples_<subject>.t does with the examples of its subject
# (Provisioning::Test::Examples): sends those of requests, and compares those
# of answers with what is answered.
#
#     exchange(keys => $nginx);
#     is_example 'api_key_create 201',
#         try(POST => $KEYS, 'api_key_create all');
#     is_example 'api_key_list 200', ask(GET => $KEYS);
#     none_left();

use strict;
use warnings;

use Exporter 'import';
use Test::More ();

use Provisioning::Test::Examples;
use Provisioning::Test::Token;

our @EXPORT = qw(exchange ask try is_example none_left);

my ($nginx, $token, $examples);


# Asks nginx for its document, and returns the examples of the subject.
# Options: api, whose document it is, and token, a function that returns one.

sub exchange {
    my ($subject, $server, %o) = @_;
    my $api = $o{api} || '/api/provisioning';

    $nginx = $server;
    $token = $o{token} || sub { Provisioning::Test::Token::token() };
    $examples = examples($subject,
        $nginx->request(GET => "$api/openapi.json")->json);

    return $examples;
}


# A request; nginx is another one than the exchange's.

sub ask {
    my ($method, $path, %o) = @_;
    my $server = delete $o{nginx} || $nginx;

    return $server->request($method => $path, token => $token->(), %o);
}


# Sends an example of a request, perhaps with further headers.

sub try {
    my ($method, $path, $name, %headers) = @_;
    my ($type, $value) = $examples->sent($name);

    return ask($method => $path, json => $value,
        headers => { %headers, 'Content-Type' => $type });
}


sub is_example {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return $examples->is_example(@_);
}


sub none_left {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return Test::More::is_deeply([$examples->left], [],
        'no example is left out');
}

1;
