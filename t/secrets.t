#!/usr/bin/perl

# provisioning_secrets_key and what it is for (x-secret in a document): secrets
# that the gateway makes, and members of a body that it seals, so that the
# database gets nothing that can be read without the operator's key.  The seals
# are opened here by another implementation of AES-256-GCM and of Ed25519.
# x-outbound-url is in t/webhooks.t, what is in the logs in t/secrets_log.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Operations;
use Provisioning::Test::Problem;

use Crypt::AuthEnc::GCM qw(gcm_decrypt_verify);
use Crypt::PK::Ed25519;
use Digest::SHA qw(hmac_sha256 sha256_hex);
use JSON::PP ();
use MIME::Base64 qw(decode_base64 decode_base64url encode_base64
                    encode_base64url);

my $postgres = postgres();
my %uuid = (type => 'string', format => 'uuid');
my $told = q{status := 200; body := json_build_object('secret', }
    . q{ctx -> 'secret', 'sealed', ctx -> 'sealed', 'id', ctx -> 'id', }
    . q{'input', input, 'marks', ctx -> 'marks', }
    . q{'seen', reverse(ctx::text));};

my $api = operations($postgres,
    box_make => { method => 'post', optional => 1, function => $told,
        body => { type => 'object' },
        secret => { purpose => 'box', make => 'webhook', member => 'note' },
        parameters => [{ name => 'Idempotency-Key', in => 'header',
                         schema => { type => 'string' } }] },
    box_key => { method => 'post', function => $told,
        secret => { purpose => 'box', make => 'api_key' } },
    box_rekey => { method => 'post', path => '/boxes/{box}/key',
        function => $told, secret => { purpose => 'box', owner => 'box',
                                       make => 'api_key' },
        parameters => [{ name => 'box', in => 'path', schema => \%uuid,
                         required => JSON::PP::true }] },
    box_note => { method => 'patch', path => '/boxes/{box}', body => {},
        function => $told, secret => { purpose => 'box', owner => 'box',
                                       member => 'note' },
        parameters => [{ name => 'box', in => 'path', schema => \%uuid,
                         required => JSON::PP::true }] },
);

my $nginx = nginx(postgres => $postgres, locations => $api->location,
    start => 0);
my $base = $api->base;

# Workers that are leaving may serve for a moment.

sub reload {
    my %old = map { $_ => 1 } $nginx->reload;
    wait_until 'only new workers are left',
        sub { !grep { $old{$_} } $nginx->workers };
    return;
}

sub call {
    my ($method, $path, $body, %o) = @_;
    return $nginx->request($method => "$base$path", token => token(),
        defined $body ? (json => $body) : (), %o);
}

# What a seal holds; undef when it is not for this.

sub unsealed {
    my ($sealed, $purpose, $owner, $key) = @_;
    my ($id, @part) = split /\./, $sealed;
    my ($nonce, $cipher, $tag) = map { decode_base64url($_) } @part;

    return gcm_decrypt_verify('AES', $key || 'a key of 32 bytes, for the tests',
        $nonce, "$purpose\0$owner", $cipher, $tag);
}


# without a key

my $config = $nginx->text(%{ $nginx->{given} })
    =~ s/^.*provisioning_secrets_key.*\n//mr;
my ($ok, $said) = $nginx->test(config => $config);
ok $ok, 'a document with x-secret can be served without a key';
like $said, qr/there is no "provisioning_secrets_key" in the http block, so/,
    'and nginx says what is missing';
like $said, qr/such as "box_\w+" in \S+quirks\.json, will answer 503/,
    'and what that means';

$nginx->configure(config => $config);
$nginx->start;
wait_until 'nginx serves', sub { call(PATCH =>
    '/boxes/0194f0c4-1d2e-7f30-8a41-6b5c4d3e2f10', {})->status == 200 };

is_problem(call(POST => '/box_make'), 'a secret without a key', 503,
    'secrets_unavailable', 'This gateway has no key to keep secrets with, '
    . 'which its operator must give it; nothing was done.');
is call(PATCH => '/boxes/0194f0c4-1d2e-7f30-8a41-6b5c4d3e2f10',
    { note => 'x' })->code, 'secrets_unavailable', 'nor is anything sealed';
is call(PATCH => '/boxes/0194f0c4-1d2e-7f30-8a41-6b5c4d3e2f10',
    { note => undef })->status, 200, 'what has nothing to seal is served';
is call(POST => '/box_key')->status, 200, 'and what is kept as a hash';

delete $nginx->{given}{config};
$nginx->configure;
reload();


# with one

my $r = call(POST => '/box_make');
is $r->status, 200, 'a secret is made' or diag $r->body;
my $secret = $r->json->{secret};
my $id = $r->json->{id};

is_deeply [sort keys %$secret], [qw(private public_key sealed text)],
    'the function gets both kinds, and what may be kept of them';
like $secret->{text}, qr{\Awhsec_[A-Za-z0-9+/]{43}=\z}, 'a shared secret';
like $secret->{public_key}, qr{\Awhpk_[A-Za-z0-9+/]{43}=\z}, 'a public key';
is encode_base64(unsealed($secret->{sealed}, 'box.secret', $id) // '', ''),
    $secret->{text} =~ s/whsec_//r, 'the seal holds the secret';
is unsealed($secret->{sealed}, 'box.private', $id), undef,
    'for this purpose only';
is unsealed($secret->{sealed}, 'box.secret', $id =~ tr/0-9/1-90/r), undef,
    'and this owner';
my $pair = Crypt::PK::Ed25519->new->import_key_raw(
    unsealed($secret->{private}, 'box.private', $id), 'private');
is $pair->export_key_raw('public'),
    decode_base64($secret->{public_key} =~ s/whpk_//r),
    'the other one the private key';
is $r->json->{sealed}, undef, 'and nothing of a body that there is not';
isnt call(POST => '/box_make')->json->{secret}{text}, $secret->{text},
    'the next secret is another one';

unlike scalar reverse($r->json->{seen}), qr/whsec_/,
    'which the database has not seen';
like scalar reverse($r->json->{seen}),
    qr/"text": "not-shown-[0-9a-f]{32}-{8}"/, 'but what stands for it';

$r = call(POST => '/box_make', { note => { a => "\x{e9}" } });
is unsealed($r->json->{sealed}, 'box.note', $r->json->{id}),
    qq({"a":"\xc3\xa9"}), 'a member of the body is sealed as JSON';
is $r->json->{marks}, undef, 'nobody need tell it from another';

my $box = '0194F0C4-1D2E-7F30-8A41-6B5C4D3E2F10';
$r = call(PATCH => "/boxes/$box", { note => 'x', more => 1 });
is $r->json->{secret}, undef, 'what makes no secret gets none';
is unsealed($r->json->{sealed}, 'box.note', lc $box), '"x"',
    'an owner of the path is one whatever his letters look like';
is call(PATCH => "/boxes/$box", { note => undef })->json->{sealed}, undef,
    'null is not sealed';
is call(PATCH => "/boxes/$box", { more => 1 })->json->{sealed}, undef,
    'nor what is absent';

unlike $nginx->log, qr/\Q$secret->{text}\E/, 'the log has no secret';


# what the function gets in its place

for my $case (
    ['{"note":"x"}', '{"note":"[sealed]"}', 'a text'],
    ['{"note":12.50}', '{"note":"[sealed]"}', 'a number'],
    ['{"note":true}', '{"note":"[sealed]"}', 'a word'],
    ['{"note":[{"a":"x"}]}', '{"note":"[sealed]"}', 'a list'],
    ['{"note":{}}', '{"note":{}}', 'an object of nothing'],
    ['{"note":null}', '{"note":null}', 'null'],
    ['{}', '{}', 'nothing'],
    [' { "a" : 1.10 , "note" : { "b" : "x\\"}" , "c" : [ "]}" ] } , "d" : 1e2 } ',
     '{"a":1.10,"note":{"b":"[sealed]","c":"[sealed]"},"d":100}',
     'an object keeps its names'],
    ['{"a":{"note":"x","b":[{"note":{}}]},"c":"\\"note\\":","n\\u006fte":"x"}',
     '{"a":{"note":"x","b":[{"note":{}}]},"c":"\\"note\\":",'
        . '"note":"[sealed]"}', 'a name may be written with escapes'],
    ["[1]", '[1]', 'what is no object'],
) {
    my ($sent, $wanted, $name) = @$case;

    my $told = call(PATCH => '/boxes/0194f0c4-1d2e-7f30-8a41-6b5c4d3e2f10',
        undef, body => $sent,
        headers => { 'Content-Type' => 'application/json' });
    my ($input) = $told->body =~ /"input" : (.*), "marks" : /;

    is $postgres->value('select ?::jsonb::text = ?::jsonb::text', $input,
        $wanted), 1, "the body without what is sealed: $name"
        or diag $told->body;
}


# API keys

my $key_of = '0194F0C4-1D2E-7F30-8A41-6B5C4D3E2F10';

for my $path ('/box_key', "/boxes/$key_of/key") {
    $r = call(POST => $path);
    my $made = $r->json->{secret};
    my $whose = ($path =~ /$key_of/ ? lc $key_of : $r->json->{id}) =~ tr/-//dr;
    is_deeply [sort keys %$made], [qw(hash text)], "a key ($path)";
    my ($begin, $part, $sum) = $made->{text}
        =~ /\A(pk_${whose}_([A-Za-z0-9_-]{43}))([0-9a-f]{8})\z/;
    is $made->{hash}, sha256_hex($part), 'with the hash of its secret';
    is $sum, substr(sha256_hex($begin), 0, 8), 'and a checksum';
    unlike scalar reverse($r->json->{seen}), qr/pk_|\Q$part\E/,
        'the database sees no more';
    isnt call(POST => $path)->json->{secret}{text}, $made->{text},
        'the next one is another one';
}


# repetitions

sub mark {
    my ($text, $key, $seal) = @_;
    return encode_base64url(hmac_sha256("note\0$key\0$text",
        hmac_sha256('provisioning mark',
            $seal || 'a key of 32 bytes, for the tests')));
}

sub again {
    my ($key, $note) = @_;
    return call(POST => '/box_make', undef, body => qq({"note": $note}),
        headers => { 'Content-Type' => 'application/json',
                     'Idempotency-Key' => $key });
}

$r = again('first', '{"b": "y", "a": "x"}');
is_deeply $r->json->{marks}, [mark('{"a":"x","b":"y"}', 'first')],
    'a mark tells what was sealed';
is again('first', '{ "a": "x", "b": "\u0079" }')->header(
    'Idempotent-Replayed'), 'true', 'so a repetition is one';
is again('first', '{"a": "x", "b": "z"}')->code, 'idempotency_key_reused',
    'and another request is none';
isnt again('second', '{"a":"x","b":"y"}')->json->{marks}[0],
    $r->json->{marks}[0], 'with another key it has another mark';


# keys are replaced

sub keys_are {
    my (@keys) = @_;
    my $n = 0;

    return map {
        my ($name, $text, $mode) = @$_;
        $nginx->write_file("$name.key", $text);
        chmod defined $mode ? $mode : 0600,
            $nginx->directory . "/$name.key";
        "provisioning_secrets_key %%DIR%%/$name.key id=$name;\n";
    } @keys;
}

my $new = 'n' x 32;
my $plain = $nginx->text(%{ $nginx->{given} });
my $config_of = sub {
    my $text = join '', @_;
    return $plain =~ s/^.*provisioning_secrets_key.*\n/$text/mr;
};

$nginx->configure(config => $config_of->(
    keys_are(['2026', encode_base64($new)],
             ['2025_old', 'a key of 32 bytes, for the tests'])));
reload();
$r = call(POST => '/box_make')->json;
like $r->{secret}{sealed}, qr/\A2026\./, 'a seal says with which key';
is encode_base64(unsealed($r->{secret}{sealed}, 'box.secret', $r->{id}, $new),
    ''), $r->{secret}{text} =~ s/whsec_//r, 'the first key seals';
is again('first', '{"a":"x","b":"y"}')->header('Idempotent-Replayed'), 'true',
    'what was asked for under the one before is known again';
is again('first', '{"a":"x","b":"z"}')->code, 'idempotency_key_reused',
    'and nothing else';
is_deeply again('third', '"x"')->json->{marks}, [mark('"x"', 'third', $new),
    mark('"x"', 'third')], 'since there is a mark under each of them';


# what nginx -t says of keys

sub refused {
    my ($pattern, $name, @text) = @_;
    my ($accepted, $answer) = $nginx->test(config => $config_of->(@text));

    ok !$accepted, "$name is refused";
    like $answer, qr/\[emerg\].*$pattern.*test\.conf:\d+/,
        'with what is wrong, and where';
    return;
}

refused qr/must hold 32 bytes, or their base64 in one line/, 'a short key',
    keys_are(['a', 'x' x 31]);
refused qr/must hold 32 bytes, or their base64/, 'a long key',
    keys_are(['a', 'x' x 500]);
refused qr/must hold 32 bytes, or their base64/, 'an empty file',
    keys_are(['a', '']);
refused qr/is open to others than its owner: "chmod 600" it/,
    'a key that everybody can read', keys_are(['a', 'x' x 32, 0644]);
refused qr/is open to others than its owner/,
    'a key that a group can write', keys_are(['a', 'x' x 32, 0660]);
refused qr/is not a regular file/, 'a directory',
    "provisioning_secrets_key %%DIR%% id=a;\n";
refused qr/cannot open the secrets key .*; make one with "openssl rand/,
    'a file that is not there',
    "provisioning_secrets_key %%DIR%%/none id=a;\n";
refused qr/invalid parameter "name=a".*: write "provisioning_secrets_key/,
    'another parameter', "provisioning_secrets_key %%SECRETS%% name=a;\n";
refused qr/invalid id "a\.b": write 1 to 32 letters/, 'an id with a dot',
    "provisioning_secrets_key %%SECRETS%% id=a.b;\n";
refused qr/invalid id "": write/, 'an empty id',
    "provisioning_secrets_key %%SECRETS%% id=;\n";
refused qr/duplicate provisioning_secrets_key id "a": another one stands at/,
    'an id twice', (keys_are(['a', 'x' x 32])) x 2;
refused qr/there are more than 16 provisioning_secrets_key/, '17 keys',
    keys_are(map { ["k$_", 'x' x 32] } 1 .. 17);

done_testing;
