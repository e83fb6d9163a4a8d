package Provisioning::Test::Npm;

# What t/clients/package-lock.json names, to the checksum: fetched once, with
# npm as it is configured on this machine, into build/clients.
#
#     use Provisioning::Test::Npm;
#     my $build = npm_install();       # the directory; ends the test without
#     my ($good, $said) = npm_run('node x.js', NAME => 'value');
#
# No tool reports home, none runs what a package brings for its installation.

use strict;
use warnings;

use Cwd ();
use Digest::SHA qw(sha256_hex);
use Exporter 'import';
use Fcntl qw(LOCK_EX);
use File::Basename ();
use File::Path ();

use Provisioning::Test;

our @EXPORT = qw(npm_install npm_run npm_environment npm_text npm_save);

my $tree = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../../../..');
my $sources = "$tree/t/clients";
my $build = "$tree/build/clients";

my %quiet = (REDOCLY_TELEMETRY => 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE => 1,
    NO_COLOR => 1, npm_config_ignore_scripts => 'true',
    npm_config_update_notifier => 'false', npm_config_audit => 'false',
    npm_config_fund => 'false', npm_config_fetch_retry_mintimeout => 1000);


sub npm_environment { return %quiet }


# What a command says there, and whether it ended well.

sub npm_run {
    my ($command, %environment) = @_;
    local %ENV = (%ENV, %quiet, %environment);

    my $said = `cd '$build' && { $command; } 2>&1`;
    return ($? == 0, $said);
}


sub npm_text {
    my ($file) = @_;
    open my $in, '<:raw', $file or die "$file: $!";
    return do { local $/; <$in> };
}


sub npm_save {
    my ($file, $text) = @_;
    open my $out, '>:raw', $file or die "$file: $!";
    print $out $text;
    close $out or die "$file: $!";
    return;
}


sub npm_install {
    File::Path::make_path($build);
    open my $only, '>', "$build/lock" or die "$build/lock: $!";
    flock $only, LOCK_EX or die "$build/lock: $!";

    my $manifest = npm_text("$sources/package.json");
    my $lock = npm_text("$sources/package-lock.json");
    my (undef, $node) = npm_run('node --version');
    my $stamp = sha256_hex($manifest . $lock . $node);

    return $build if -e "$build/installed"
        && npm_text("$build/installed") eq $stamp;

    unlink "$build/installed";
    npm_save("$build/package.json", $manifest);
    npm_save("$build/package-lock.json", $lock);

    my ($good, $said) = npm_run('timeout 300 npm ci --omit=optional',
        outside());

    if (!ok $good, 'npm has fetched the tools') {
        diag $said;
        diag 'npm could not fetch what t/clients/package-lock.json names from '
            . 'the registry that it is configured with (npm config get '
            . 'registry). This test needs one, or a build/clients from an '
            . 'earlier run.';
        done_testing;
        exit 1;
    }

    npm_save("$build/installed", $stamp);

    return $build;
}

1;
