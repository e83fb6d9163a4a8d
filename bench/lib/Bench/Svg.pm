package Bench::Svg;

# A result as a picture: for each kind of request a group of bars, to a scale
# of its own.  It needs nothing but itself, and has a ground of its own, so that
# it is legible on a light and on a dark page, even where the page is not what
# the viewer says that it prefers.

use strict;
use utf8;
use warnings;

use Bench::Goals;

my $width  = 760;
my $label  = 170;    # where bars begin
my $value  = 120;    # room for what stands behind them
my $bar    = 20;
my $step   = 28;

my $style = <<'END';
text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif }
text { fill: #424a53 }
.title { font-weight: 600; font-size: 14px }
.page { fill: #ffffff }
.gateway { fill: #2f81f7 }
.pgbench { fill: #8c959f }
.peer { fill: #d29922 }
.range { stroke: #24292f; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
text { fill: #c9d1d9 }
.page { fill: #0d1117 }
.range { stroke: #f0f6fc }
}
END


sub draw {
    my ($result) = @_;
    my $y = 16;
    my @parts;

    for my $group (@{ $result->{bars} }) {
        my ($most) = sort { $b <=> $a } map { $_->{most} }
            @{ $group->{bars} };
        my $scale = ($width - $label - $value) / $most;

        push @parts, element('text', { x => 0, y => $y + 4, class => 'title' },
            "$group->{name}, requests a second");
        $y += 18;

        for my $one (@{ $group->{bars} }) {
            push @parts, bar($one, $y, $scale);
            $y += $step;
        }
        $y += 22;
    }

    for my $line (foot($result)) {
        push @parts, element('text', { x => 0, y => $y }, $line);
        $y += 18;
    }

    my ($left, $top, $wide, $high) = (-16, -10, $width + 32, $y + 10);
    return qq(<svg xmlns="http://www.w3.org/2000/svg" width="$wide" )
        . qq(viewBox="$left $top $wide $high" role="img" )
        . qq(aria-labelledby="t">\n)
        . element('title', { id => 't' }, 'Requests a second')
        . "<style>\n$style</style>\n"
        . element('rect', { x => $left, y => $top, width => $wide,
                            height => $high, rx => 6, class => 'page' })
        . join('', @parts) . "</svg>\n";
}


sub bar {
    my ($one, $y, $scale) = @_;
    my $middle = $y + $bar / 2;
    my ($class) = $one->{name} =~ /^(gateway|pgbench)/;

    my @parts = (
        element('text', { x => $label - 8, y => $middle + 4.5,
                          'text-anchor' => 'end' }, $one->{name}),
        element('rect', { x => $label, y => $y, height => $bar, rx => 2,
                          width => $one->{rate} * $scale,
                          class => $class || 'peer' }),
        element('text', { x => $label + $one->{most} * $scale + 8,
                          y => $middle + 4.5 },
                Bench::Goals::rate($one->{rate})),
    );

    push @parts, element('line', {
        x1 => $label + $one->{least} * $scale, y1 => $middle,
        x2 => $label + $one->{most} * $scale, y2 => $middle, class => 'range',
    }) if $one->{most} > $one->{least};

    return @parts;
}


sub foot {
    my ($result) = @_;
    my ($settings, $machine) = @$result{qw(settings machine)};

    return ("$settings->{connections}[0] connections, $machine->{cores} cores "
            . 'for all, every commit on disk; medians of '
            . "$settings->{rounds} rounds, and their range",
            ($settings->{quick} ? 'too short to count; ' : '')
            . "$machine->{cpu}; run $result->{run}");
}


sub element {
    my ($name, $attributes, $text) = @_;

    my $open = join ' ', $name, map {
        my $v = $attributes->{$_};
        $v = sprintf '%.1f', $v if $v =~ /^\d+\.\d+\z/;
        qq($_=") . escape($v) . '"';
    } sort keys %$attributes;

    return defined $text ? "<$open>" . escape($text) . "</$name>\n"
                         : "<$open/>\n";
}


sub escape {
    my ($text) = @_;
    my %entity = ('&' => 'amp', '<' => 'lt', '>' => 'gt', '"' => 'quot');

    return $text =~ s/([&<>"])/&$entity{$1};/gr;
}

1;
