#!/usr/bin/perl

# What README and docs/ say about the sources: directives and their contexts,
# variables, codes of errors, links, and the blocks of configuration to paste.
#
# harness: plain

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;

my $tree = "$FindBin::Bin/..";

sub text {
    my ($name) = @_;
    open my $file, '<:encoding(UTF-8)', "$tree/$name" or die "$name: $!";
    local $/;
    return scalar <$file>;
}

sub names { return map { s{^\Q$tree/}{}r } map { glob "$tree/$_" } @_ }

my %doc = map { $_ => text($_) } 'README.md', names('docs/*.md');
my $module = text('ngx_http_provisioning_module.c');


# Directives

my %context = (NGX_HTTP_MAIN_CONF => 'http', NGX_HTTP_SRV_CONF => 'server',
               NGX_HTTP_LOC_CONF => 'location');
my %directive;

while ($module =~ /ngx_string\("(provisioning_\w+)"\),\s+(NGX_[\w|]+),/g) {
    my ($name, $flags) = ($1, $2);
    $directive{$name} = [map { $context{$_} || () } split /\|/, $flags];
}

cmp_ok scalar(keys %directive), '>=', 9, 'there are directives';

for my $name (sort keys %directive) {
    my $contexts = join ', ', @{ $directive{$name} };

    like $doc{'README.md'}, qr/^\| \[`$name`\]\(docs\/directives\.md#$name\) \| \Q$contexts\E \|/m,
        "README has $name, and where it may stand";

    my ($section) = $doc{'docs/directives.md'}
        =~ /^## $name\n(.*?)(?=^## |\z)/ms;
    $contexts =~ s/(\w+)/`$1`/g;
    like $section, qr/^\| Syntax +\| `$name .*^\| Default +\| .*^\| Context +\| \Q$contexts\E +\|/ms,
        'and docs/directives.md its syntax, default and contexts';
}

for my $file ('docs/directives.md', 'README.md') {
    my @unknown = grep { !$directive{$_} }
        $doc{$file} =~ /^ *(provisioning_[a-z]+) /mg;
    is "@unknown", '', "$file has no other";
}

for (['database', 'src/db/prov_db_conf.c', 'docs/directives.md', '### %s'],
     ['outbound', 'src/http/prov_http_conf.c', 'docs/directives.md', '### %s'],
     ['issuer', 'src/auth/prov_auth_conf.c', 'docs/authentication.md',
      '\| `%s [^|]*;`'])
{
    my ($block, $source, $file, $form) = @$_;
    my @inside = text($source) =~ /^ +\{ ngx_string\("(\w+)"\),? ?[\dN&]/mg;

    cmp_ok scalar(@inside), '>', 5, "a provisioning_$block has directives";

    for my $name (@inside) {
        my $pattern = sprintf $form, $name;
        like $doc{$file}, qr/^$pattern/m, "$file has its $name";
    }
}


# Variables

my @variables = text('src/request/prov_request_variables.c')
    =~ /ngx_string\("(provisioning_\w+)"\)/g;

cmp_ok scalar(@variables), '>', 8, 'there are variables';
like $doc{'docs/directives.md'}, qr/^\| `\$$_` \|/m, "\$$_ is described"
    for @variables;


# Codes of errors: all that there are, and none that there are not

my $request = join '', map { text($_) } names('src/request/*.c',
    'src/handlers/*.c');
my %code;

$code{$_}++ for
    $request =~ /prov_problem\(r,\s*[^,"]+,\s*"([a-z_]+)"/g,
    $request =~ /prov_problem_errors\(r,\s*"([a-z_]+)"/g,
    $request =~ /\{ "\w+", \d{3}, "([a-z_]+)"/g,
    $request =~ /\{ \d+, ngx_string\("[^"]+"\),\s*ngx_string\("([a-z_]+)"\)/g,
    $request =~ /ngx_str_set\(&code, "([a-z_]+)"\)/g,
    $request =~ /unnamed = ngx_string\("([a-z_]+)"\)/g,
    $request =~ /prov_params_wrong\([^;]*?"([a-z_]+)",/g;

cmp_ok scalar(keys %code), '>', 50, 'there are codes';
like $doc{'docs/errors.md'}, qr/`$_`/, "docs/errors.md has $_"
    for sort keys %code;

my $sql = join '', map { text($_) } names('sql/p*/*.sql');

for my $known ($doc{'docs/errors.md'} =~ /^\| \d{3} \| `([a-z_]+)`/mg) {
    ok $code{$known} || $sql =~ /'$known'/, "and $known is one";
}

my %raised = map { $_ => 1 } $sql =~ /'code', '([a-z_]+)'/g,
    $sql =~ /constraint = '([a-z_]+)'/g, $sql =~ /code := '([a-z_]+)'/g;

cmp_ok scalar(keys %raised), '>', 7, 'functions have codes, too';
like $doc{'docs/database.md'}, qr/^\| \d{3} \|.*`$_`/m, "docs/database.md has $_"
    for sort keys %raised;

my %token = map { $_ => 1 } map { text($_) =~ /"(token_[a-z_]+|key_(?!ops)[a-z_]+)"/g }
    names('src/auth/*.c');

cmp_ok scalar(keys %token), '>', 9, 'and so have refused tokens and keys';
like $doc{'docs/authentication.md'}, qr/^\| `$_` \|/m,
    "docs/authentication.md has $_" for sort keys %token;


# Links

for my $name (sort keys %doc) {
    my $folder = $name =~ m{(.*/)} ? $1 : '';
    my @broken;

    for my $link ($doc{$name} =~ /\]\(([^)\s]+)\)/g) {
        next if $link =~ /^https?:/;

        my ($file, $anchor) = split /#/, $link;
        my $target = $file ? $folder . $file : $name;
        1 while $target =~ s{[^/]+/\.\./}{};

        push @broken, $link unless -e "$tree/$target";
        next unless defined $anchor && -e "$tree/$target";

        my %anchor = map { lc($_) =~ s/[^\w\s-]//gr =~ s/ /-/gr => 1 }
            text($target) =~ /^#+ (.*)$/mg;
        push @broken, $link unless $anchor{$anchor};
    }

    is "@broken", '', "the links in $name lead somewhere";
}


# The configuration that README says to paste, with this machine's files

my $nginx = nginx(start => 0, database => '', server_address => '127.0.0.1:1');
my ($block) = $doc{'README.md'} =~ /^ +```nginx\n(.*?)^ +```/ms;

for ($block) {
    s!^\s*load_module [^;]+;!%%MAIN%%\nevents { }\n!
        or die "README's configuration loads no module";
    s!http \{!http {\n%%HTTP%%\n!;
    s!listen 443 ssl;!listen 127.0.0.1:%%PORT%%;!;
    s!listen 10\.0\.0\.1:8443 ssl;!listen 127.0.0.1:%%H2_PORT%%;!;
    s!/etc/nginx/login-keys\.json!%%JWKS%%!g;
    s!/etc/nginx/provisioning-secrets\.key!%%SECRETS%%!g;
    s!/usr/local/share/nginx-provisioning/openapi!%%OPENAPI%%!g;
}

my ($ok, $said) = $nginx->test(config => $block);
ok $ok, 'nginx accepts the configuration in README' or diag $said;

($ok, $said) = $nginx->test(config =>
    $block =~ s/provisioning_pass +tenants/provisioning_pass other/r);
ok !$ok, 'which is looked at';

done_testing;
