#!/usr/bin/perl

# "make install", and then README's way with what it has installed: a fresh
# database, migrated and given a partner, behind an nginx that loads the
# installed module and document.
#
# harness: plain

use strict;
use warnings;

use Cwd ();
use File::Find ();
use FindBin;
use lib "$FindBin::Bin/lib";
use Provisioning::Test;

my $tree = Cwd::abs_path("$FindBin::Bin/..");
my $destination = directory() . '/root';
my $share = "$destination/usr/local/share/nginx-provisioning";

# what is built is what is tested: nothing is built here ("-o all")

sub install {
    return qx{env -u MAKEFLAGS -u MAKELEVEL make -s -C '$tree' -o all \\
        install DESTDIR='$destination' MODULES_DIR=/modules 2>&1};
}

sub installed {
    my @files;
    File::Find::find(sub { push @files, $File::Find::name =~ s{^\Q$share/}{}r
                               if -f }, $share);
    return join ' ', sort @files;
}

umask 077;
my $said = install();
is $?, 0, '"make install" succeeds' or diag $said;

my @expected = map { s{^\Q$tree/}{}r }
    map { glob "$tree/$_" } 'sql/*.sql', 'sql/migrate', 'sql/migrations/*',
    'sql/p*/*.sql', 'sql/operator/*.sql';
is installed(), join(' ', sort @expected, 'nginx.conf',
        map { s{.*/}{openapi/}r } glob "$tree/conf/openapi/*.json"),
    'the SQL, the documents and the example are there, and no tests';

open my $stale, '>', "$share/sql/prov/stale.sql" or die $!;
close $stale;
install();
unlike installed(), qr/stale/, 'a file of a former release goes';

is join(' ', map { sprintf '%o', (stat $_)[2] & 07777 } "$share/sql/migrate",
        "$share/sql/migrations", "$share/openapi/partner.json",
        "$destination/modules/ngx_http_provisioning_module.so"),
    '755 755 644 644', 'everybody may read and run them, whatever the umask';


# README's second and third step

umask 022;
chmod 0755, directory(), $destination, "$destination/usr",
    "$destination/usr/local", "$destination/usr/local/share";

my $postgres = postgres();
$postgres->sql('create database fresh');
my $url = $postgres->url('fresh');
local $ENV{PATH} = Provisioning::Test::Postgres::programs() . ":$ENV{PATH}";

for (1, 2) {
    $said = qx{'$share/sql/migrate' '$url' 2>&1};
    is $?, 0, "the installed sql/migrate does its work ($_)" or diag $said;
}

$said = qx{psql -X -q -A -t -d '$url' \\
    -c "select prov.partner_add('acme', 'Acme Ltd')" 2>&1};
like $said, qr/\A[0-9a-f-]{36}\n\z/, 'a partner is added as README does';

$Provisioning::Test::Nginx::module =
    "$destination/modules/ngx_http_provisioning_module.so";

my $nginx = nginx(postgres => $postgres, config => <<"END");
%%MAIN%%

events { }

http {
    %%HTTP%%

    provisioning_database tenants {
        server    %%DATABASE%%;
        conninfo  "dbname=fresh user=prov_partner";
    }

    provisioning_issuer login {
        iss       %%ISSUER%%;
        audience  %%AUDIENCE%%;
        jwks      %%JWKS%%;
    }

    server {
        listen 127.0.0.1:%%PORT%%;

        location /api/provisioning/ {
            provisioning_auth  login;
            provisioning_api   $share/openapi/partner.json;
            provisioning_pass  tenants;
        }
    }
}
END

is $nginx->request(GET => '/api/provisioning/health/ready')->status, 200,
    'the gateway is ready';
is $nginx->request(POST => '/api/provisioning/tenants', token => token(),
    json => { client_name => 'A client', email => unique_email() })->status,
    201, 'and makes a tenant';

done_testing;
