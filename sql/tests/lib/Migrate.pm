package Migrate;

# sql/migrate: what it does twice, what it refuses, and with which rights it
# works.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Temp qw(tempdir);
use Test::More;

my $cluster;

sub run {
    ($cluster) = @_;

    subtest 'twice changes nothing' => \&twice;
    subtest 'a new migration' => \&addition;
    subtest 'an audit from before it was chained' => \&chained;
    subtest 'tenants that are there' => \&counted;
    subtest 'an index that was not finished' => \&unfinished;
    subtest 'what it refuses' => \&refusals;
    subtest 'databases it does not fit' => \&misfits;
}

# A private copy of sql/, to be changed.

sub copy {
    my $dir = tempdir('provmigXXXXXX', TMPDIR => 1, CLEANUP => 1);

    system('cp', '-R', 'sql', "$dir/sql") == 0 or die "cp failed\n";
    return "$dir/sql";
}

sub file {
    my ($name, $text) = @_;

    open my $file, '>', $name or die "$name: $!\n";
    print $file $text;
    close $file or die "$name: $!\n";
}

sub migrate {
    my ($sql, $database, @env) = @_;
    return $cluster->run('env', @env, "$sql/migrate", "dbname=$database");
}

# A database as it was up to a migration, that later ones find.

sub older {
    my ($name, $last) = @_;
    my $db = $cluster->database($name);
    my $sql = copy();

    for my $file (glob "$sql/migrations/*.sql") {
        unlink $file if $file =~ m{/(\d+)_} && $1 > $last;
    }

    my ($code, $out) = migrate($sql, $db);
    is $code, 0, 'an older schema' or diag $out;
    return $db;
}

sub value {
    my ($database, $query) = @_;
    return scalar $cluster->connect('postgres', $database)
        ->selectrow_array($query);
}

# Everything the catalog says of a database, and of the roles.

sub catalog {
    my ($database) = @_;
    my $bin = $cluster->{bin};
    my ($code, $dump) = $cluster->run("$bin/pg_dump", '--schema-only',
        $database);
    my (undef, $roles) = $cluster->run("$bin/pg_dumpall", '--roles-only');
    my (undef, $rows) = $cluster->run('psql', '-XAtd', $database, '-c',
        'table prov.migrations', '-c', 'select datname, datacl '
        . 'from pg_database order by 1');

    die "pg_dump failed: $dump\n" if $code;
    s/^\\(un)?restrict .*\n//mg for $dump, $roles;
    return $dump . $roles . $rows;
}

sub twice {
    my $db = $cluster->database('twice');

    my ($code, $out) = migrate('sql', $db);
    is $code, 0, 'a fresh database is migrated' or diag $out;
    like $out, qr{^applied migrations/0001_}, 'it says what it applied';
    like $out, qr/^schema version \d+, functions applied$/m,
        'and which version that is';

    my $before = catalog($db);
    like $before, qr/create function prov\.enter/i, 'the functions are there';
    ($code, $out) = migrate('sql', $db);
    is $code, 0, 'a second run succeeds' or diag $out;
    unlike $out, qr/^applied/m, 'applies nothing';
    is catalog($db), $before, 'and changes nothing';

    my $other = $cluster->database('another');
    ($code, $out) = $cluster->run('sql/migrate',
        "postgresql:///$other?host=$cluster->{dir}");
    is $code, 0, 'a second database of the cluster, named by a URI'
        or diag $out;
    ($code, $out) = $cluster->run('env', "PGDATABASE=$other", 'sql/migrate');
    is $code, 0, 'or by the environment' or diag $out;
    ($code, $out) = $cluster->run('sh', '-c',
        "cd / && '" . abs_path('sql/migrate') . "' dbname=$other");
    is $code, 0, 'from any directory' or diag $out;

    # an operator's own limits stay, a lost search_path does not; nor does a
    # setting stay away that an older release did not make

    $cluster->connect('postgres', $db)->do($_)
        for "alter role prov_partner set statement_timeout = '9s'",
        'alter role prov_partner reset search_path',
        map({ "alter role $_ reset enable_bitmapscan" } qw(prov_partner
            prov_operator prov_worker)),
        'drop function partner.tenant_get(jsonb, jsonb, jsonb)';
    migrate('sql', $db);
    my $settings = value($db, 'select rolconfig::text from pg_roles '
        . "where rolname = 'prov_partner'");
    like $settings, qr/statement_timeout=9s/, "an operator's own limit stays";
    like $settings, qr/search_path=pg_catalog/, 'the search_path is restored';
    is value($db, 'select count(*) from pg_roles '
        . "where 'enable_bitmapscan=off' = any (rolconfig)"), 3,
        'and every login has what is new';
    is value($db, "select count(*) from pg_proc where proname = 'tenant_get'"),
        1, 'and so is a function that was lost';
    $cluster->connect('postgres', $db)->do(
        "alter role prov_partner set statement_timeout = '4s'");
}

sub addition {
    my $db = $cluster->database('addition');
    my $sql = copy();
    migrate($sql, $db);
    my $latest = value($db, 'select max(version) from prov.migrations');

    file("$sql/migrations/9001_one.sql",
        "create table prov.one (id int);\nselect 1 / 0;\n");
    my ($code, $out) = migrate($sql, $db);
    isnt $code, 0, 'a migration that fails stops everything';
    like $out, qr{migrations/9001_one\.sql:2: ERROR:  division by zero},
        'and says where';
    is value($db, "select to_regclass('prov.one')"), undef,
        'nothing of it is left';
    is value($db, 'select max(version) from prov.migrations'), $latest,
        'it is not recorded';

    file("$sql/migrations/9001_one.sql", "create table prov.one (id int);\n");
    file("$sql/migrations/9002_two.sql", "-- migrate: outside a transaction\n"
        . "create index concurrently if not exists one_id on prov.one (id);\n");
    ($code, $out) = migrate($sql, $db);
    is $code, 0, 'mended, it is applied, and the next one too' or diag $out;
    is value($db, "select tableowner from pg_tables where tablename = 'one'"),
        'prov_owner', 'what it makes belongs to prov_owner';
    is value($db, 'select indisvalid::int from pg_index '
        . "where indexrelid = 'prov.one_id'::regclass"), 1,
        'one that must not run in a transaction does not';
    is value($db, "select string_agg(name, ' ' order by version) "
        . 'from prov.migrations where version > 9000'),
        '9001_one.sql 9002_two.sql', 'both are recorded';

    file("$sql/partner/broken.sql",
        "create or replace function partner.broken() returns int "
        . "language plpgsql as 'begin retrun 1; end';\n"
        . 'create function partner.half() returns int language sql '
        . "return 1;\n");
    ($code, $out) = migrate($sql, $db);
    isnt $code, 0, 'a function that does not compile stops everything';
    is value($db, "select count(*) from pg_proc where proname = 'half'"), 0,
        'and no function of that run is there';
}

# The entries that are there when the chain comes become links of it.

sub chained {
    my $db = $cluster->database('chained');
    my $sql = copy();

    for my $name (glob "$sql/{migrations,prov,partner,operator}/*.sql") {
        unlink $name unless $name =~ m{/000[1-5]_};
    }
    file($_, "select 1 where false;\n") for "$sql/grants.sql",
        map { "$_/none.sql" } grep { -d } glob "$sql/{prov,partner,operator}";
    my ($code, $out) = migrate($sql, $db);
    is $code, 0, 'an older schema' or diag $out;

    my $dbh = $cluster->connect('postgres', $db);
    my $a = '00000000-0000-7000-8000-00000000000a';
    $dbh->do("insert into prov.partners (id, slug, name) "
        . "values ('$a', 'alpha', 'A')");
    $dbh->do("insert into prov.audit (mutation, at, partner, tenant, status, "
        . 'operation, subject, after) select (lpad(n::text, 8, \'0\') || '
        . "'-0000-7000-8000-000000000000')::uuid, "
        . "now() - n * interval '1 min', '$a', case when n % 2 = 0 then "
        . "'00000000-0000-7000-8000-0000000000cc'::uuid end, "
        . "case when n < 3 then 0 else 200 end, 'old', 's', '{\"n\":  1}' "
        . 'from generate_series(1, 12) n');

    ($code, $out) = migrate('sql', $db);
    is $code, 0, 'is brought up to date' or diag $out;
    is value($db, "select string_agg(coalesce(seq::text, '-'), ' ' order by "
            . 'mutation) from prov.audit where tenant is null'),
        '- 5 4 3 2 1', 'entries get their place by their time';

    my ($ctx) = $dbh->selectrow_array(q{select set_config('prov.partner', }
        . "'$a', false)");
    is $dbh->selectrow_array('select complete and seq is null and '
            . "checked = 5 from prov.audit_fault('$_', 1, 100)"), 1,
        'and their chain holds' for $a, '00000000-0000-7000-8000-0000000000cc';
    is value($db, "select count(*) from prov.audit_details where subject = 's'"
            . " and after::text = '{\"n\":  1}'"), 10,
        'their details are kept apart';
}

# Tenants that are there when their triggers are replaced: what was counted
# and labelled is gone on from.

sub counted {
    my $db = older('counted', 13);
    my $dbh = $cluster->connect('postgres', $db);
    my $a = '00000000-0000-7000-8000-00000000000a';
    my $make = sub {
        return $dbh->do(<<'SQL', undef, $a, @_);
insert into prov.tenants (id, partner, client_name, slug, email, metadata)
select prov.uuid7(), $1::uuid, 'T', 't' || n, n || '@example.com', '{"a": "b"}'
from generate_series($2::int, $3::int) n
SQL
    };
    my $counts = sub { join ' ', $dbh->selectrow_array(
        'select tenants, (select count(*) from prov.tenants), '
        . '(select count(*) from prov.tenant_labels l where l.label = '
        . "prov.tenant_label('a', 'b')) from prov.quotas") };

    $dbh->do("insert into prov.partners (id, slug, name) "
        . "values ('$a', 'alpha', 'A')");
    $dbh->do("insert into prov.quotas (id, quota, tenants) "
        . "values ('$a', 5, 0)");
    $make->(1, 2);
    is $counts->(), '2 2 2', 'with tenants';

    my ($code, $out) = migrate('sql', $db);
    is $code, 0, 'is brought up to date' or diag $out;
    is $counts->(), '2 2 2', 'and keeps what was counted and labelled';

    $make->(3, 5);
    is $counts->(), '5 5 5', 'more are counted and labelled';
    $dbh->do("update prov.tenants set metadata = '{}' where slug < 't4'");
    is $counts->(), '5 5 2', 'also when they change';
    is eval { $make->(6, 6) }, undef, 'up to the quota';
    is $counts->(), '5 5 2', 'and no further';
}

# What is made beside the traffic can be stopped half-way: an index that is
# there, that every change pays for, and that no plan has.

sub unfinished {
    my $db = older('unfinished', 14);
    my $dbh = $cluster->connect('postgres', $db);
    $dbh->do('create index audit_about_tenant on prov.audit (tenant)');
    $dbh->do('update pg_index set indisvalid = false '
        . "where indexrelid = 'prov.audit_about_tenant'::regclass");

    my ($code, $out) = migrate('sql', $db);
    is $code, 0, 'is brought up to date' or diag $out;
    is value($db, "select string_agg(x.relname, ' ' order by x.relname) "
        . 'from pg_index i join pg_class x on x.oid = i.indexrelid '
        . "where x.relname ~ '^(audit|jobs)_' and i.indisvalid "
        . 'and pg_get_indexdef(x.oid, 2, false) = \'partner\''),
        'audit_about_tenant jobs_of_partner', 'the indexes are as they must be';
    is value($db, "select coalesce(to_regclass('prov.audit_of_tenant'), "
        . "to_regclass('prov.jobs_newest_first'))"), undef,
        'and have taken the place of others';
    is value($db, 'select count(*) from pg_index where not indisvalid'), 0,
        'of what was not finished nothing is left';
}

sub refusals {
    my $db = $cluster->database('refusals');
    my $sql = copy();
    migrate($sql, $db);
    my $before = catalog($db);

    my $refused = sub {
        my ($what, $wanted) = @_;
        my ($code, $out) = migrate($sql, $db);

        isnt $code, 0, "$what is refused";
        like $out, qr/\Q$wanted\E/, 'with a sentence';
        is catalog($db), $before, 'and nothing changed';
    };

    my ($first) = glob "$sql/migrations/0001_*.sql";
    rename $first, "$sql/kept";

    system 'cp', "$sql/kept", $first;
    open my $append, '>>', $first or die;
    print $append "-- harmless\n";
    close $append;
    $refused->('a file that was applied and then changed',
        'restore that file, and put the change into a new one');
    unlink $first;

    rename "$sql/kept", "$sql/migrations/0001_renamed.sql";
    $refused->('a file that was applied and then renamed',
        '0001_renamed.sql is not what was applied as 0001_partners');
    rename "$sql/migrations/0001_renamed.sql", $first;

    file("$sql/migrations/9001_commit.sql",
        "create table prov.x ();\nrollback;\n");
    $refused->('a file that ends its transaction',
        '9001_commit.sql ends the transaction it runs in');
    unlink "$sql/migrations/9001_commit.sql";

    for my $name (qw(2_short.sql 0002_Upper.sql 0002-dash.sql 0002_.sql
        0002_text.txt), '0002_a b.sql')
    {
        file("$sql/migrations/$name", "select 1;\n");
        $refused->("the name $name", 'its name must be NNNN_name.sql');
        unlink "$sql/migrations/$name";
    }

    file("$sql/migrations/0001_also.sql", "select 1;\n");
    $refused->('a number that is taken', 'its number is taken');
    unlink "$sql/migrations/0001_also.sql";

    file("$sql/migrations/0000_zero.sql", "select 1;\n");
    $refused->('the number 0000', 'numbers begin with 0001');
    unlink "$sql/migrations/0000_zero.sql";

    my $lock = $cluster->connect('postgres', $db);
    $lock->do('select pg_advisory_lock(1886547830, 1)');
    $refused->('a run beside another',
        'another migration of this database is running');
    $lock->disconnect;

    # a database that is ahead of the release

    file("$sql/migrations/9003_later.sql", "select 1;\n");
    my ($code, $out) = migrate($sql, $db);
    is $code, 0, 'a number may be left out' or diag $out;
    $before = catalog($db);
    file("$sql/migrations/9002_late.sql", "select 1;\n");
    $refused->('a file before the last one applied',
        '9002_late.sql was never applied, but a later one was');
    unlink glob "$sql/migrations/900[23]*";
    $refused->('a release older than the database', 'this release does not '
        . 'know what was applied to the database: 9003_later.sql');

    ($code, $out) = $cluster->run('sql/migrate', '--help');
    is $code, 2, 'an option is refused';
    like $out, qr/^usage: /, 'with the usage';
    ($code, $out) = migrate('sql', 'nowhere');
    isnt $code, 0, 'a database that is not there is an error';
    like $out, qr/database "nowhere" does not exist/, 'that says so';
}

sub misfits {
    my $refused = sub {
        my ($db, $what, $wanted) = @_;
        my ($code, $out) = migrate('sql', $db);

        isnt $code, 0, "$what is refused";
        like $out, qr/\Q$wanted\E/, 'with a sentence';
    };

    my $latin = $cluster->database('latin',
        "encoding 'LATIN1' locale 'C' template template0");
    $refused->($latin, 'a database that is not UTF-8',
        "is encoded in LATIN1: create it with encoding 'UTF8'");

    my $taken = $cluster->database('taken');
    my $dbh = $cluster->connect('postgres', $taken);
    $dbh->do('create schema partner');
    $refused->($taken, "somebody else's schema",
        'already has a schema "partner", of role "postgres"');
    is value($taken, "select to_regnamespace('prov')"), undef,
        'and nothing is made beside it';

    my $db = $cluster->database('roles');
    $dbh = $cluster->connect('postgres', $db);
    for my $case (
        [ 'alter role prov_api bypassrls', 'alter role prov_api nobypassrls',
            'role prov_api may more than it should' ],
        [ 'alter role prov_owner login', 'alter role prov_owner nologin',
            'role prov_owner can log in; run: alter role prov_owner nologin' ],
        [ 'alter role prov_partner nologin', 'alter role prov_partner login',
            'role prov_partner cannot log in; run: alter role prov_partner' ],
        [ 'grant prov_owner to prov_api', 'revoke prov_owner from prov_api',
            'must not be members of each other' ],
        [ "grant temporary on database $db to prov_partner",
            "revoke temporary on database $db from prov_partner",
            'not to create anything in it; as its owner or a superuser' ],
    ) {
        my ($break, $mend, $wanted) = @$case;
        $dbh->do($break);
        $refused->($db, $break, $wanted);
        $dbh->do($mend);
    }

    my ($code, $out) = migrate('sql', $db);
    is $code, 0, 'mended, it is migrated' or diag $out;
}

sub unprivileged {
    ($cluster) = @_;

    my $dbh = $cluster->connect('postgres', 'postgres');
    $dbh->do('create role deployer login createrole');
    my $db = $cluster->database('deployed', 'owner deployer');
    my ($code, $out) = migrate('sql', $db, 'PGUSER=deployer');
    is $code, 0, 'the owner of a database with CREATEROLE migrates it'
        or diag $out;
    my $before = catalog($db);
    ($code, $out) = migrate('sql', $db, 'PGUSER=deployer');
    is $code, 0, 'and again' or diag $out;
    is catalog($db), $before, 'and that changes nothing';

    ok $cluster->connect('deployer', $db)->do(
        q{select prov.partner_add('alpha', 'A')}), 'and adds a partner';
    is $cluster->connect('deployer', $db)->selectrow_array(
        'select count(*) from prov.partners'), 0,
        'but sees no rows, being forced like the owner';

    # with nothing to make or change it needs no CREATEROLE

    $dbh->do('alter role deployer nocreaterole');
    ($code, $out) = migrate('sql', $db, 'PGUSER=deployer');
    is $code, 0, 'as a member of both roles it needs no CREATEROLE'
        or diag $out;

    $dbh->do('alter role prov_worker reset jit');
    ($code, $out) = migrate('sql', $db, 'PGUSER=deployer');
    isnt $code, 0, 'unless a release has a setting that is new';
    like $out, qr/superuser run: alter role prov_worker set jit = 'off'/,
        'and then it is told what to run';
    $dbh->do("alter role prov_worker set jit = 'off'");

    $dbh->do('create role nobody login');
    $db = $cluster->database('denied', 'owner nobody');
    ($code, $out) = migrate('sql', $db, 'PGUSER=nobody');
    isnt $code, 0, 'who is neither cannot migrate';
    like $out, qr/as a superuser run: grant prov_owner, prov_api to "nobody"/,
        'and is told what to run';
}

1;
