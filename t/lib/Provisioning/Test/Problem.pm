package Provisioning::Test::Problem;

# What an error looks like to a caller, to the byte.
#
#     is_problem($response, 'the name of the test', 404, 'tenant_not_found',
#         'You have no tenant with this id.', errors => …, members => …);
#
# errors is the JSON text of that member, without blanks; members is JSON text,
# too: what follows, as '"tenant":"…"'.  A code or a detail may be a qr//.

use strict;
use warnings;

use Exporter 'import';
use Test::More ();

our @EXPORT = qw(is_problem problem_text violation);

# RFC 9110's words for a status

my %title = (
    400 => 'Bad Request',
    401 => 'Unauthorized',
    402 => 'Payment Required',
    403 => 'Forbidden',
    404 => 'Not Found',
    405 => 'Method Not Allowed',
    406 => 'Not Acceptable',
    408 => 'Request Timeout',
    409 => 'Conflict',
    410 => 'Gone',
    411 => 'Length Required',
    412 => 'Precondition Failed',
    413 => 'Content Too Large',
    414 => 'URI Too Long',
    415 => 'Unsupported Media Type',
    416 => 'Range Not Satisfiable',
    418 => 'Error',
    421 => 'Misdirected Request',
    422 => 'Unprocessable Content',
    423 => 'Locked',
    424 => 'Failed Dependency',
    428 => 'Precondition Required',
    429 => 'Too Many Requests',
    451 => 'Unavailable For Legal Reasons',
    500 => 'Internal Server Error',
    501 => 'Not Implemented',
    502 => 'Bad Gateway',
    503 => 'Service Unavailable',
    504 => 'Gateway Timeout',
);

sub text {
    my ($value) = @_;
    utf8::encode($value) if utf8::is_utf8($value);
    $value =~ s/(["\\])/\\$1/g;
    return qq{"$value"};
}


# One object of "errors": violation('/email', 'required', 'is required'), or
# violation([query => 'limit'], …).

sub violation {
    my ($where, $code, $message) = @_;

    my $place = ref $where
        ? qq{"parameter":${\text($where->[1])},"in":"$where->[0]"}
        : qq{"pointer":${\text($where)}};

    return sprintf '{%s,"code":"%s","message":%s}', $place, $code,
        text($message);
}


sub problem_text {
    my ($id, $status, $code, $detail, %o) = @_;

    return sprintf('{"type":"about:blank","title":"%s","status":%d,'
            . '"detail":%s,"code":%s,"request_id":"%s"',
            $title{$status} || die("no title for $status\n"), $status,
            text($detail), text($code), $id)
        . (defined $o{errors} ? qq{,"errors":$o{errors}} : '')
        . (defined $o{members} ? ",$o{members}" : '') . '}';
}


sub is_problem {
    my ($response, $name, $status, $code, $detail, %o) = @_;

    my @ids = $response->header_values('X-Request-Id');
    my $id = @ids == 1 ? $ids[0] : '(' . @ids . ' X-Request-Id headers)';
    my $body = $response->body;

    # of what matches, what there is

    for ([\$code, 'code'], [\$detail, 'detail']) {
        my ($wanted, $member) = @$_;
        next unless ref $$wanted eq 'Regexp';
        my $given = ($response->json || {})->{$member};
        $$wanted = $given if defined $given && $given =~ $$wanted;
    }

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return Test::More::is(
        join("\n", $response->status, $response->header('Content-Type') || '',
             $body),
        join("\n", $status, 'application/problem+json',
             problem_text($id, $status, $code, $detail, %o)),
        $name);
}

1;
