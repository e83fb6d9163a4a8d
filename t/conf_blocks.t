#!/usr/bin/perl

# What all blocks of nginx.conf are told alike, because src/base/prov_conf.c
# reads them all: a directive that is unknown, stands twice or has too few or
# too many arguments, and where.  What each of them takes is in t/conf.t,
# t/outbound_conf.t, t/auth_keys.t and t/oauth.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Configuration;
use Provisioning::Test::Token qw(private_pem);

tested()->write_file('signing.pem', private_pem('rsa'));


# The block; what is in it; what may be, in order; how many arguments each has;
# one more that may stand beside another, if any may; those that may not.

my @blocks = (
    ['provisioning_database b',
     "server unix:/run/postgresql;\nconninfo 'dbname=d user=u';",
     [qw(server conninfo connections share_commits share_transactions queue
         connect_timeout query_timeout keepalive_time)],
     { server => [1, 2], conninfo => [1, 1], connections => [1, 5],
       share_commits => [1, 1], share_transactions => [1, 1],
       queue => [1, 2], connect_timeout => [1, 1], query_timeout => [1, 1],
       keepalive_time => [1, 1] },
     'server unix:/run/other;',
     ['conninfo d;', 'connections 1;', 'share_commits on;',
      'share_transactions 1;', 'queue 1;', 'connect_timeout 1s;',
      'query_timeout 1s;', 'keepalive_time 1s;']],

    ['provisioning_issuer b',
     "iss https://b.test;\naudience b;\njwks %%JWKS%%;",
     [qw(iss audience algorithms key jwks jwks_uri discovery secret signer
         subject_claim partner_claim roles_claim leeway)],
     { iss => [1, 1], audience => [1, 16], algorithms => [1, 15],
       key => [1, 3], jwks => [1, 1], jwks_uri => [1, 5],
       discovery => [1, 5], secret => [2, 3], signer => [1, 1],
       subject_claim => [1, 1], partner_claim => [1, 1],
       roles_claim => [1, 1], leeway => [1, 1] },
     'jwks %%JWKS%%;',
     ['iss b;', 'audience c;', 'algorithms RS256;', 'subject_claim a;',
      'partner_claim a;', 'roles_claim a;', 'leeway 1s;']],

    ['provisioning_signer b',
     "iss https://b.test;\naudience b;\nkey %%DIR%%/signing.pem kid=a;",
     [qw(iss audience key lifetime)],
     { iss => [1, 1], audience => [1, 1], key => [2, 2],
       lifetime => [1, 1] },
     'key %%DIR%%/signing.pem kid=b;',
     ['iss b;', 'audience c;', 'lifetime 1m;']],

    ['provisioning_outbound', '',
     [qw(timeout connect_timeout max_response connections
         destination_connections plain_http allow_network deny_network
         trusted_certificate breaker)],
     { timeout => [1, 1], connect_timeout => [1, 1], max_response => [1, 1],
       connections => [1, 2], destination_connections => [1, 2],
       plain_http => [1, 1], allow_network => [1, 64],
       deny_network => [1, 64], trusted_certificate => [1, 1],
       breaker => [1, 2] },
     'deny_network 10.0.0.0/8; deny_network 10.0.0.0/8;',
     ['timeout 1s;', 'connect_timeout 1s;', 'max_response 1k;',
      'connections 1;', 'destination_connections 1;', 'plain_http on;',
      'trusted_certificate a;', 'breaker off;']],

    ['provisioning_jobs', 'database tenants;',
     [qw(database poll_interval lease concurrency per_queue per_partner)],
     { map { ($_ => [1, 1]) } qw(database poll_interval lease concurrency
                                 per_queue per_partner) },
     undef,
     ['database a;', 'poll_interval 1s;', 'lease 1m;', 'concurrency 1;',
      'per_queue 1;', 'per_partner 1;']],
);


# The message has the file and the line of the directive itself.

sub refused_there {
    my ($block, $inside, $wrong, $pattern, $name) = @_;
    my $text = tested()->text(%{ tested()->{given} },
        http => "$block {\n$inside\n$wrong # here\n}\n");
    my $line = 1 + (() = substr($text, 0, index $text, '# here') =~ /\n/g);

    refused({ http => "$block {\n$inside\n$wrong # here\n}\n" },
        qr/\[emerg\].*$pattern in \S+\/test\.conf:$line$/m, $name);

    return;
}

for (@blocks) {
    my ($block, $inside, $names, $takes, $again, $once) = @$_;
    my ($kind) = $block =~ /^(\w+)/;

    accepted({ http => "$block { $inside }" }, $block);
    accepted({ http => "$block { $inside $again }" }, "$kind: $again")
        if $again;

    my $list = join(', ', @$names) =~ s/.*\K, / or /r;

    for my $unknown ('nothing_like_this', 'include', uc $names->[0]) {
        refused_there($block, $inside, "$unknown a;",
            qr/unknown directive "$unknown" in $kind, expected $list/,
            "$kind: $unknown");
    }

    for my $name (@$names) {
        my ($min, $max) = @{ $takes->{$name} };

        refused_there($block, $inside, join(' ', $name, (1) x $_) . ';',
            qr/invalid number of arguments in "$name" directive/,
            "$kind: $name with $_") for $min - 1, $max + 1;
    }

    for my $directive (@$once) {
        my ($name) = $directive =~ /^(\w+)/;
        my $first = $inside =~ /^$name /m ? '' : $directive;

        refused_there($block, "$inside\n$first", $directive,
            qr/"$name" directive is duplicate/, "$kind: $name twice");
    }

    refused({ http => "$block { $inside {" }, qr/unexpected "\{"/,
            "$kind: a block in it");
}

done_testing;
