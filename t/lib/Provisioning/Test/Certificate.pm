package Provisioning::Test::Certificate;

# Certificates for a test's TLS servers, by the openssl command.  See
# Provisioning::Test for the manual.

use strict;
use warnings;

use Provisioning::Test::Process;

my %authority;


sub openssl {
    my (@arguments) = @_;

    my ($code, $output) = Provisioning::Test::Process->run(
        command => ['openssl', @arguments]);
    die "openssl @arguments: $output" if $code;
    return;
}


# The one authority of a test, made when it is first asked for.

sub authority {
    my ($directory) = @_;

    return $authority{$directory} ||= do {
        my %files = (cert => "$directory/authority.pem",
                     key => "$directory/authority.key");

        openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt',
                'ec_paramgen_curve:P-256', '-nodes', '-days', 2,
                '-subj', '/CN=Authority of a test', '-keyout', $files{key},
                '-out', $files{cert});
        \%files;
    };
}


# make(directory, authority, name, options)

sub make {
    my ($directory, $authority, $name, %o) = @_;

    mkdir $directory or die "$directory: $!";

    my %files = map { $_ => "$directory/$_.pem" } qw(cert key request);
    my $kind = $name =~ /^[\d.]+$|:/ ? 'IP' : 'DNS';

    open my $file, '>', "$directory/extensions" or die "$directory: $!";
    print $file "subjectAltName=$kind:$name\n";
    close $file;

    openssl('req', '-new', '-newkey', 'ec', '-pkeyopt',
            'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=a test',
            '-keyout', $files{key}, '-out', $files{request});

    my @signed = $o{self} ? ('-signkey', $files{key})
        : ('-CA', $authority->{cert}, '-CAkey', $authority->{key},
           '-CAcreateserial');

    openssl('x509', '-req', '-in', $files{request}, @signed, '-days',
            defined $o{days} ? $o{days} : 2, '-extfile',
            "$directory/extensions", '-out', $files{cert});

    return \%files;
}

1;
