#!/usr/bin/perl

# POST /tenants: what a tenant is made of, what is derived, what must be
# unique, and what a refused one leaves behind.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;
use Provisioning::Test::Problem;

use Encode ();
use JSON::PP ();

my ($postgres, $nginx) = gateway(workers => 2);
my $path = '/api/provisioning/tenants';
my $uuid = qr/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}
              -[89ab][0-9a-f]{3}-[0-9a-f]{12}/x;
my $moment = qr/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z/;
my $invalid = 'The body is not as described; see "errors".';
my $number = 0;


sub create {
    my ($body, %o) = @_;
    return $nginx->request(POST => $path, token => $o{token} || token(),
        json => $body, headers => $o{headers});
}


# A tenant that is only there to be in the way of others.

sub tenant {
    my (%more) = @_;
    my $r = create({ client_name => 'Tenant ' . ++$number,
                     email => unique_email(), %more });
    $r->status == 201 or die "no tenant: " . $r->body;
    return $r->json;
}


sub rows { $postgres->value('select count(*) from prov.tenants') }


# The text of a tenant as it is answered; metadata is a text already.

sub text {
    my (%t) = @_;
    my $json = JSON::PP->new->utf8->allow_nonref;

    return sprintf '{"tenant": "%s", "client_name": %s, "company_name": %s, '
        . '"email": %s, "phone_number": %s, "industry": %s, "slug": %s, '
        . '"external_id": %s, "status": "active", "status_reason": null, '
        . '"status_changed_at": "%s", "metadata": %s, "created_at": "%s", '
        . '"updated_at": "%s", "deleted_at": null, "purge_after": null}',
        $t{tenant},
        (map { $json->encode($_) } @t{qw(client_name client_name email
            phone_number industry slug external_id)}),
        $t{created_at}, $t{metadata}, $t{created_at}, $t{updated_at};
}


# What is answered

my $email = unique_email();
my $before = $postgres->value("select prov.rfc3339(now())");
my $r = create({ client_name => 'Acme Corporation', email => $email });
my $after = $postgres->value("select prov.rfc3339(now())");
my $first = $r->json || {};

is $r->status, 201, 'what is required makes a tenant' or diag $r->body;
is $r->type, 'application/json', 'the answer is JSON';
is $r->header('ETag'), '"1"', 'it has the tag of a first version';
like $first->{tenant}, qr/\A$uuid\z/, 'the id is a UUID of version 7';
is $r->header('Location'), "$path/$first->{tenant}",
    'Location is the path of the new tenant';
like $first->{created_at}, qr/\A$moment\z/,
    'times are RFC 3339, UTC, with milliseconds';
ok $before le $first->{created_at} && $first->{created_at} le $after,
    'and the moment of creation is that of the request'
    or diag "$before $first->{created_at} $after";
is $r->body, text(%$first, client_name => 'Acme Corporation',
        email => $email, slug => 'acme-corporation', metadata => '{}',
        updated_at => $first->{created_at}),
    'the body has its members in this order, and null for what was not given';

$email = unique_email();
$r = create({
    client_name  => 'Größe & Söhne "Ω" \\ 株式会社 😀',
    company_name => 'Größe & Söhne "Ω" \\ 株式会社 😀',
    email        => $email,
    phone_number => '+1 (234) 567-890 x12',
    industry     => 'Maschinenbau / Öl',
    slug         => 'groesse-42',
    external_id  => 'CRM:4711/ä',
    metadata     => { segment => 'enterprise', 'ключ' => "zwei\nZeilen" },
});
my $all = $r->json || {};
is $r->status, 201, 'everything there is makes a tenant' or diag $r->body;
is $r->body, text(%$all,
        client_name  => 'Größe & Söhne "Ω" \\ 株式会社 😀',
        email        => $email,
        phone_number => '+1 (234) 567-890 x12',
        industry     => 'Maschinenbau / Öl',
        slug         => 'groesse-42',
        external_id  => 'CRM:4711/ä',
        metadata     => Encode::encode_utf8(
            '{"segment": "enterprise", "ключ": "zwei\\nZeilen"}')),
    'and is answered as it was given';
cmp_ok $all->{tenant}, 'gt', $first->{tenant},
    'ids ascend in the order of creation';

$r = create({ company_name => 'Former Name Ltd', email => unique_email() });
is $r->status, 201, 'company_name alone makes a tenant, too';
is_deeply [@{ $r->json }{qw(client_name company_name slug)}],
    ['Former Name Ltd', 'Former Name Ltd', 'former-name-ltd'],
    'whose client_name it is';

my $rows = rows();
$r = create({ client_name => 'One', company_name => 'Two',
              email => unique_email() });
is_problem $r, 'two names that differ are refused', 400,
    'company_name_conflict', 'company_name is a deprecated alias of '
    . 'client_name, and the two differ: leave company_name out.';
is rows(), $rows, 'and make no tenant';

$r = create({ client_name => 'Nulls', email => unique_email(),
    map { $_ => undef } qw(company_name phone_number industry slug external_id
                           metadata) });
is $r->status, 201, 'an optional member that is null counts as absent';
is_deeply [@{ $r->json }{qw(phone_number industry external_id metadata)}],
    [undef, undef, undef, {}], 'and is answered like one that is absent';
is $r->json->{slug}, 'nulls', 'also the slug, which is derived then';


# What is refused: each member's own rule

my %good = (client_name => 'A client', email => 'a@example.com');

sub pattern { violation($_[0], 'pattern', $_[1]) }
sub longest { violation($_[0], 'max_length',
                        "must be at most $_[1] characters long") }
sub short   { violation($_[0], 'min_length',
                        'must be at least 1 character long') }
sub type    { violation($_[0], 'type', $_[1]) }
sub unknown { violation($_[0], 'additional_properties',
                        'is not a known property') }

my $blank = ['/client_name', 'must not be blank'];
my $slugs = ['/slug', 'must be of a to z, 0 to 9 and hyphens'];
my $phone = ['/phone_number', 'must be a telephone number, such as '
    . '+49 30 123456 or (030) 123-456 ext. 7'];
my $plain = 'must have no control characters';
my $read = 'must have no control characters, and none that are invisible or '
    . 'change the direction of text';

my @refused = (
    ['a name is needed', { email => 'a@example.com' },
        violation('/client_name', 'required', 'is required')],
    ['of which the former one is not enough when it is null',
        { email => 'a@example.com', company_name => undef },
        violation('/client_name', 'required', 'is required')],
    ['nor when it is of the wrong type',
        { email => 'a@example.com', company_name => 1 },
        type('/company_name', 'must be a string or null, not a number')],
    ['an e-mail address is needed', { client_name => 'A client' },
        violation('/email', 'required', 'is required')],
    ['the name is not empty', { %good, client_name => '' },
        short('/client_name')],
    ['nor only blanks', { %good, client_name => "  \x{a0}\x{3000}" },
        pattern(@$blank)],
    (map { [sprintf('nor has it U+%04X', ord), { %good, client_name =>
            "Ac${_}me" }, pattern('/client_name', $read)] }
        "\t", "\n", "\x{7f}", "\x{85}", "\x{ad}", "\x{200b}", "\x{200f}",
        "\x{2028}", "\x{202e}", "\x{2060}", "\x{2066}", "\x{feff}"),
    ['nor has the former one', { email => 'a@example.com',
        company_name => "A\x{202e}B" }, pattern('/company_name', $read)],
    ['nor longer than 200 characters', { %good, client_name => '😀' x 201 },
        longest('/client_name', 200)],
    ['nor null', { %good, client_name => undef },
        type('/client_name', 'must be a string, not null')],
    ['the e-mail address is one', { %good, email => 'nobody' },
        violation('/email', 'format', 'must be an e-mail address')],
    ['and has at most 254 characters',
        { %good, email => 'o@' . join '.', ('y' x 60) x 4, 'y' x 9 },
        longest('/email', 254),
        violation('/email', 'format', 'must be an e-mail address')],
    ['the phone number is one', { %good, phone_number => 'call me' },
        pattern(@$phone)],
    ['the industry has no control characters', { %good, industry => "a\tb" },
        pattern('/industry', $read)],
    ['nor is it empty', { %good, industry => '' }, short('/industry')],
    ['nor longer than 100 characters', { %good, industry => 'x' x 101 },
        longest('/industry', 100)],
    ['a slug has no capitals', { %good, slug => 'Upper' }, pattern(@$slugs)],
    ['nor blanks', { %good, slug => 'a b' }, pattern(@$slugs)],
    ['nor a line break at its end', { %good, slug => "a\n" },
        pattern(@$slugs)],
    ['nor letters beyond a to z', { %good, slug => 'ä' }, pattern(@$slugs)],
    ['nor is it empty', { %good, slug => '' }, short('/slug')],
    ['nor longer than 63 characters', { %good, slug => 'a' x 64 },
        longest('/slug', 63)],
    ['an external_id is not empty', { %good, external_id => '' },
        short('/external_id')],
    ['nor longer than 255 characters', { %good, external_id => 'x' x 256 },
        longest('/external_id', 255)],
    ['nor has it control characters', { %good, external_id => "\x{7f}" },
        pattern('/external_id', $plain)],
    ['nor is it a number', { %good, external_id => 4711 },
        type('/external_id', 'must be a string or null, not a number')],
    ['metadata is an object', { %good, metadata => [] },
        type('/metadata', 'must be an object or null, not an array')],
    ['of strings', { %good, metadata => { a => 1 } },
        type('/metadata/a', 'must be a string, not a number')],
    ['not of further objects', { %good, metadata => { 'a/b~c' => {} } },
        type('/metadata/a~1b~0c', 'must be a string, not an object')],
    ['nor of null', { %good, metadata => { a => undef } },
        type('/metadata/a', 'must be a string, not null')],
    ['of at most 500 characters', { %good, metadata => { a => 'x' x 501 } },
        longest('/metadata/a', 500)],
    ['under keys of at most 40', { %good, metadata => { 'k' x 41 => 'x' } },
        violation('/metadata/' . 'k' x 41, 'property_names',
            "the property's name must be at most 40 characters long")],
    ['which are not empty', { %good, metadata => { '' => 'x' } },
        violation('/metadata/', 'property_names',
            "the property's name must be at least 1 character long")],
    ['and it has at most 50 of them',
        { %good, metadata => { map { $_ => 'x' } 1 .. 51 } },
        violation('/metadata', 'max_properties',
            'must have at most 50 properties')],
    ['what is not described is refused', { %good, status => 'active' },
        unknown('/status')],
    ['so nobody chooses an id',
        { %good, tenant => '0194f0b2-3b40-7c3e-8b1f-2f6d3a9c7e51' },
        unknown('/tenant')],
    ['the body is an object', [],
        type('', 'must be an object, not an array')],
    ['not a string', 'text', type('', 'must be an object, not a string')],
);

for (@refused) {
    my ($name, $body, @errors) = @$_;

    $r = $nginx->request(POST => $path, token => token(),
        headers => { 'Content-Type' => 'application/json' },
        body => JSON::PP->new->utf8->canonical->allow_nonref->encode($body));

    is_problem $r, $name, 400, 'invalid_body', $invalid,
        errors => '[' . join(',', @errors) . ']';
}

$r = create({ client_name => '', slug => 'A', external_id => '',
              metadata => { a => 1 }, more => 1 });
is_deeply [sort map { "$_->{pointer} $_->{code}" } @{ $r->json->{errors} }],
    ['/client_name min_length', '/email required', '/external_id min_length',
     '/metadata/a type', '/more additional_properties', '/slug pattern'],
    'all that is wrong is told at once';

is rows(), $rows + 1, 'nothing of what was refused is there';

for (['client_name', '😀' x 200], ['client_name', ' padded '],
     ['slug', 'a' x 63], ['slug', '-'], ['slug', '0'],
     ['external_id', 'x' x 255], ['external_id', ' '],
     ['phone_number', '1234'], ['industry', 'x' x 100],
     ['email', 'o@' . join '.', ('y' x 60) x 4, 'y' x 8])
{
    my ($member, $value) = @$_;
    $r = create({ client_name => 'Limits', email => unique_email(),
                  $member => $value });
    is $r->status, 201, "$member of " . length($value)
        . ' characters is accepted' or diag $r->body;
    is $r->json->{$member}, $value, 'and kept';
}

my %most = map { sprintf('%s-%02d', '😀' x 37, $_) => 'Ω' x 500 } 1 .. 50;
$r = create({ client_name => 'Metadata', email => unique_email(),
              metadata => \%most });
is $r->status, 201, 'metadata may have 50 strings of 500 under keys of 40'
    or diag $r->body;
is_deeply $r->json->{metadata}, \%most, 'and all of it is kept';


# Slugs

my $slug = tenant(slug => 'taken-slug');
$rows = rows();
$r = create({ client_name => 'X', email => unique_email(),
              slug => 'taken-slug' });
is_problem $r, 'a slug of one of our own tenants is taken', 409, 'slug_taken',
    'A tenant has this slug; each is unique everywhere.',
    members => qq{"tenant":"$slug->{tenant}"};

$r = create({ client_name => 'X', email => unique_email(),
              slug => 'taken-slug' }, token => token(partner => 'globex'));
is_problem $r, 'one of another partner\'s, too, and nothing is told of it',
    409, 'slug_taken', 'A tenant has this slug; each is unique everywhere.';
is rows(), $rows, 'neither made a tenant';

$r = create({ client_name => 'Taken Slug', email => unique_email() });
is $r->status, 201, 'a derived slug never conflicts with a chosen one';
like $r->json->{slug}, qr/\Ataken-slug-[0-9a-f]{6}\z/,
    'it has something appended';

my @derived = map {
    create({ client_name => 'The Same Name', email => unique_email() },
           token => token(partner => $_ % 2 ? 'acme' : 'globex'))->json->{slug}
} 1 .. 8;
is $derived[0], 'the-same-name', 'the first of a name gets the plain slug';
is scalar(grep { /\Athe-same-name(?:-[0-9a-f]{6,})?\z/ } @derived), 8,
    'its namesakes, of whatever partner, get one that is like it';
is scalar(keys %{ { map { $_ => 1 } @derived } }), 8, 'and each another one';

$r = create({ client_name => 'X', email => unique_email(),
              slug => $derived[1] });
is $r->status, 409, 'a derived slug is taken like any other';

for (['Größe & Söhne', 'grosse-sohne'], ['ООО «Ромашка»', 'ooo-romashka'],
     ['O\'Neill\'s -- Bar', 'oneills-bar'], ['株式会社', qr/\Atenant/],
     ['😀', qr/\Atenant/], ['x' x 200, 'x' x 63])
{
    my ($name, $wanted) = @$_;
    my $derived = create({ client_name => $name,
                           email => unique_email() })->json->{slug};
    my $shown = Encode::encode_utf8(length $name > 20 ? 'a long name' : $name);
    ref $wanted ? like $derived, $wanted, "$shown gives a slug"
                : is $derived, $wanted, "$shown gives a slug";
}


# What is unique among a partner's own

$email = unique_email();
my $one = tenant(email => ucfirst $email, external_id => 'key-1');
my $taken = 'You have a tenant with this e-mail address.';
my $same = qq{"tenant":"$one->{tenant}"};

is $one->{email}, ucfirst $email, 'an e-mail address is kept as it was given';
is_problem create({ client_name => 'X', email => ucfirst $email }),
    'the same e-mail address is taken', 409, 'email_taken', $taken,
    members => $same;
is_problem create({ client_name => 'X', email => uc $email }),
    'so it is in capitals', 409, 'email_taken', $taken, members => $same;

my $globex = token(partner => 'globex');
$r = create({ client_name => 'X', email => $email, external_id => 'key-1' },
            token => $globex);
is $r->status, 201, 'another partner may use the same e-mail address and '
    . 'external_id' or diag $r->body;
my $others = $r->json->{tenant};
is_problem create({ client_name => 'X', email => $email }, token => $globex),
    'and then has a conflict of its own', 409, 'email_taken', $taken,
    members => qq{"tenant":"$others"};

is_problem create({ client_name => 'X', email => unique_email(),
                    external_id => 'key-1' }),
    'the same external_id is taken', 409, 'external_id_taken',
    'You have a tenant with this external_id.', members => $same;
is create({ client_name => 'X', email => unique_email(),
            external_id => 'Key-1' })->status, 201,
    'in other letters it is another one';

is_problem create({ client_name => 'X', email => $email,
                    external_id => 'Key-1', slug => 'taken-slug' }),
    'of several conflicts the e-mail address is told first', 409,
    'email_taken', $taken, members => $same;
is create({ client_name => 'X', email => unique_email(),
            external_id => 'key-1', slug => 'taken-slug' })->code,
    'external_id_taken', 'then the external_id';

# Requests at once: one of them wins.

$email = unique_email();
my @connections = map { $nginx->connection } 1 .. 8;
$_->send_request(POST => $path, token => token(),
    json => { client_name => 'At once', email => $email }) for @connections;
my @answers = map { $_->read_response } @connections;
my @made = grep { $_->status == 201 } @answers;
is scalar(@made), 1, 'of eight requests at once with one e-mail address one '
    . 'makes a tenant' or diag join "\n", map { $_->body } @answers;
is_deeply [map { $_->json->{tenant} } grep { $_->code eq 'email_taken' }
           @answers], [($made[0]->json->{tenant}) x 7],
    'and the others learn which one that is';


# What is recorded, and what of a refused one stays

$r = create({ client_name => 'Audited', email => unique_email() },
    token   => token(sub => 'crm "7"'),
    headers => { 'X-Request-Id' => 'crm-0815', 'User-Agent' => "Crm/1 \xff" });
my $audit = $postgres->sql('select * from prov.audit'
    . ' join prov.audit_details using (chain, seq, partner, tenant)'
    . ' where tenant = ?',
    $r->json->{tenant});
is scalar(@$audit), 1, 'a creation has one entry in the audit';
is_deeply { map { $_ => $audit->[0]{$_} } qw(operation resource kind subject
            issuer request_id ip user_agent status partner before
            resource_id) },
    { operation => 'tenant_create', resource => 'tenant', kind => 'user',
      subject => 'crm "7"', issuer => 'https://issuer.test/',
      request_id => 'crm-0815', ip => '127.0.0.1',
      user_agent => "Crm/1 \x{fffd}", status => 201, before => undef,
      partner => $postgres->partner('acme'),
      resource_id => $r->json->{tenant} },
    'which says who did what, from where';
is Encode::encode_utf8($audit->[0]{after}), $r->body,
    'and has what was answered, to the byte';
isnt $audit->[0]{mutation}, 'crm-0815', 'under an id of the gateway\'s own';

my $entries = $postgres->value('select count(*) from prov.audit');
$email = unique_email();
create({ client_name => 'X', email => $email, slug => 'taken-slug' });
is $postgres->value('select count(*) from prov.audit'), $entries,
    'a refused creation leaves no entry';
is create({ client_name => 'X', email => $email })->status, 201,
    'and takes nothing: its e-mail address is still free';


# Who may

is_problem create({ %good }, token => token(roles => ['integration-user'])),
    'who may only read creates nothing', 403, 'permission_denied',
    'The operation requires the permission "tenant:create", which none of '
    . "the caller's roles grants.";

is create({ client_name => 'By id', email => unique_email() },
        token => token(partner => $postgres->partner('acme')))->status, 201,
    'a token may name its partner by its id';
is create({ client_name => 'By id', email => unique_email() },
        token => token(partner => uc $postgres->partner('acme')))->status,
    201, 'in capitals, too';

my $unknown = 'The partner that the token names is not known here, or not '
    . 'active.';
is_problem create({ %good }, token => token(partner => 'nobody')),
    'an unknown partner is refused', 403, 'partner_unknown', $unknown;
is_problem create({ %good }, token => token(
        partner => '0194f0b2-3b40-7c3e-8b1f-2f6d3a9c7e51')),
    'so is an unknown id of one', 403, 'partner_unknown', $unknown;
is_problem create({ %good }, token => token(partner => undef)),
    'and a token that names none', 403, 'partner_missing',
    'The token names no partner, so there is nobody to act for.';

$postgres->sql("select prov.partner_set_status('globex', 'suspended')");
is_problem create({ %good }, token => $globex),
    'a suspended partner is refused', 403, 'partner_unknown', $unknown;
$postgres->sql("select prov.partner_set_status('globex', 'active')");
is create({ %good, email => unique_email() }, token => $globex)->status, 201,
    'and served again when it is active';

done_testing;

