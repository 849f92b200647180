"""Plots as markup: a line a name, its marks in an SVG as wide as the screen leaves it, its figures in words beside it.

Widths are shares of the space there is, heights are pixels, so letters keep their size on a phone. Shape tells series apart as well as
colour, so that a black and white print can be read. Every figure stands in the text too; the marks carry it as a title.

- `intervals`: points with intervals, of one or several series a line (accuracies before and after, differences with a line at 0).
- `balance`: what was lost to the left and what was won to the right of a line.
- `bars`: counts of several kinds in one bar.
- `course`: a measure after each of several steps, with intervals.

What is not here: pages and escaping (errata.programs.report.markup); what is measured (errata.programs.report.document).
"""

from collections.abc import Callable, Iterable, Sequence
from math import ceil, floor
from typing import NamedTuple

from .markup import Html, join, named

COLOURS = ("var(--old)", "var(--new)", "var(--name)", "var(--keyword)", "var(--string)", "var(--number)")
"""Of series, in turn; the first is what the others are compared with."""
STEP = 11
"""Pixels between the points of one line."""


class Point(NamedTuple):
    """A measured value with its interval."""

    value: float
    low: float
    high: float
    told: str
    """The same in words."""


class Line(NamedTuple):
    """A line of a plot."""

    label: object
    """Its name; text or markup."""
    points: Sequence[Point | None]
    """One a series; None where it was not measured."""
    told: object = ""
    """What stands beside it."""


class Bar(NamedTuple):
    """A bar: its parts, from left to right."""

    label: object
    counts: Sequence[float]
    told: object = ""


class Stop(NamedTuple):
    """One step of a course."""

    name: str
    point: Point
    kept: bool
    """Whether what was measured was gone on from."""
    after: int | None
    """Place of the step that it went on from; None for the first."""


def percent(value: float) -> str:
    """A share as the axes write it."""
    return f"{100 * value:.0f} %"


def around(points: Iterable[Point | None], step: float = 0.1) -> tuple[float, float]:
    """The range that holds all intervals, and 0, in whole steps."""
    known = [point for point in points if point]
    low = min((point.low for point in known), default=0.0)
    high = max((point.high for point in known), default=0.0)
    return min(0.0, step * floor(low / step + 1e-9)), max(step, step * ceil(high / step - 1e-9))


def intervals(
    lines: Sequence[Line],
    series: Sequence[str],
    span: tuple[float, float] = (0.0, 1.0),
    axis: Callable[[float], str] = percent,
) -> Html:
    """Points with intervals; `series` names the points of each line, `span` is the range of the axis."""
    rows = []
    for line in lines:
        height = STEP * max(1, len(line.points)) + 8
        marks = [_grid(span, height)]
        for place, point in enumerate(line.points):
            if point is not None:
                marks.append(_point(point, STEP * place + 4 + STEP / 2, place, span, series[place]))
        rows.append(_row(line.label, height, marks, line.told))
    return Html("<div class=plot>{}{}{}</div>").format(join(rows), _axis(span, axis), _key(series))


def balance(lines: Sequence[tuple[object, int, int]], lost: str = "broken", won: str = "fixed") -> Html:
    """Of each (label, lost, won): bars to the left and to the right of a line, on one scale for all."""
    most = max((max(left, right) for _, left, right in lines), default=0) or 1
    rows = []
    for label, left, right in lines:
        marks = [
            Html("<rect x='{:.2f}%' y=4 width='{:.2f}%' height=12 fill='var(--worse)'><title>{}</title></rect>").format(
                50 - 50 * left / most, 50 * left / most, f"{lost}: {left}"
            ),
            Html("<rect x='50%' y=4 width='{:.2f}%' height=12 fill='var(--better)'><title>{}</title></rect>").format(
                50 * right / most, f"{won}: {right}"
            ),
            Html("<line class=zero x1='50%' x2='50%' y1=0 y2=20 />"),
        ]
        rows.append(_row(label, 20, marks, f"{left} {lost}, {right} {won}"))
    return Html("<div class=plot>{}</div>").format(join(rows))


def bars(lines: Sequence[Bar], kinds: Sequence[str], colours: Sequence[str] = COLOURS[1:] + COLOURS[:1]) -> Html:
    """Counts of several `kinds` in one bar a line, on one scale for all."""
    most = max((sum(line.counts) for line in lines), default=0) or 1
    rows = []
    for line in lines:
        marks, start = [], 0.0
        for place, count in enumerate(line.counts):
            width = 100 * count / most
            marks.append(
                Html("<rect x='{:.2f}%' y=4 width='{:.2f}%' height=12 fill='{}'><title>{}</title></rect>").format(
                    start, width, colours[place % len(colours)], f"{kinds[place]}: {count:,}"
                )
            )
            start += width
        rows.append(_row(line.label, 20, marks, line.told))
    keys = [(kind, _swatch(colours[place % len(colours)])) for place, kind in enumerate(kinds)]
    return Html("<div class=plot>{}{}</div>").format(join(rows), _keys(keys) if len(kinds) > 1 else Html())


def course(title: object, stops: Sequence[Stop], told: object = "") -> Html:
    """A measure after each step, with intervals: filled where it was kept, hollow where it was not. Several stand beside each other."""
    height, top = 120, 8
    known = [stop.point for stop in stops]
    low, high = floor(10 * min(point.low for point in known)) / 10, ceil(10 * max(point.high for point in known)) / 10
    high = max(high, low + 0.1)

    def x(place: int) -> str:
        return f"{14 + 80 * (place + 0.5) / len(stops):.2f}%"

    def y(value: float) -> float:
        return top + (height - top) * (high - value) / (high - low)

    marks: list[Html] = []
    for tick in sorted({low, (low + high) / 2, high}):
        marks.append(Html("<line class=grid x1='14%' x2='100%' y1='{0:.1f}' y2='{0:.1f}' />").format(y(tick)))
        marks.append(Html("<text x='12%' y='{:.1f}' text-anchor=end>{}</text>").format(y(tick) + 4, percent(tick)))
    for place, stop in enumerate(stops):
        point, colour = stop.point, "var(--new)" if stop.kept else "var(--old)"
        if stop.after is not None:
            ends = (x(stop.after), x(place), y(stops[stop.after].point.value), y(point.value))
            dashes = Html() if stop.kept else Html(" stroke-dasharray='4 3'")
            marks.append(Html("<line x1='{}' x2='{}' y1='{:.1f}' y2='{:.1f}' stroke='{}'{} />").format(*ends, colour, dashes))
        marks.append(
            Html("<line x1='{0}' x2='{0}' y1='{1:.1f}' y2='{2:.1f}' stroke='{3}' stroke-width=2 />").format(
                x(place), y(point.low), y(point.high), colour
            )
        )
        marks.append(
            Html("<circle cx='{}' cy='{:.1f}' r=4 stroke='{}' stroke-width=2 fill='{}'><title>{}</title></circle>").format(
                x(place), y(point.value), colour, colour if stop.kept else "var(--page)", f"{stop.name}: {point.told}"
            )
        )
        marks.append(Html("<text x='{}' y='{}' text-anchor=middle>{}</text>").format(x(place), height + 16, stop.name))
    drawn = Html("<svg height='{}' aria-hidden=true>{}</svg>").format(height + 20, join(marks, ""))
    return Html("<figure class=course><figcaption>{}</figcaption>{}<p class=soft>{}</p></figure>").format(named(title), drawn, told)


def courses(figures: Iterable[Html]) -> Html:
    """Several courses beside each other, as many as fit."""
    return Html("<div class=courses>{}</div>").format(join(figures))


def _row(label: object, height: float, marks: Iterable[Html], told: object) -> Html:
    return Html(
        "<div class='row labelled'><span class=label>{}</span><svg height='{}' aria-hidden=true>{}</svg><span class=told>{}</span></div>"
    ).format(named(label), height, join(marks, ""), told)


def _at(value: float, span: tuple[float, float]) -> float:
    """Place on the axis, percent of its width."""
    low, high = span
    return 100 * min(1.0, max(0.0, (value - low) / (high - low)))


def _ticks(span: tuple[float, float]) -> list[float]:
    low, high = span
    step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 100, high - low) if (high - low) / step <= 4.5)
    return [step * number for number in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]


def _grid(span: tuple[float, float], height: float) -> Html:
    return join(
        (
            Html("<line class='{}' x1='{:.2f}%' x2='{:.2f}%' y1=0 y2='{}' />").format(
                "zero" if abs(tick) < 1e-9 and span[0] < 0 else "grid", _at(tick, span), _at(tick, span), height
            )
            for tick in _ticks(span)
        ),
        "",
    )


def _axis(span: tuple[float, float], axis: Callable[[float], str]) -> Html:
    places = [(tick, _at(tick, span)) for tick in _ticks(span)]
    anchors = ["start" if place < 1 else "end" if place > 99 else "middle" for _, place in places]
    marks = [
        Html("<text x='{:.2f}%' y=12 text-anchor='{}'>{}</text>").format(place, anchor, axis(tick))
        for (tick, place), anchor in zip(places, anchors, strict=True)
    ]
    return Html("<div class=row><span class=label></span><svg height=16 aria-hidden=true>{}</svg><span class=told></span></div>").format(
        join(marks, "")
    )


def _point(point: Point, y: float, place: int, span: tuple[float, float], name: str) -> Html:
    colour = COLOURS[place % len(COLOURS)]
    bar = Html("<line x1='{:.2f}%' x2='{:.2f}%' y1='{:.1f}' y2='{:.1f}' stroke='{}' stroke-width=2 />").format(
        _at(point.low, span), _at(point.high, span), y, y, colour
    )
    return bar + Html("<circle cx='{:.2f}%' cy='{:.1f}' r=4 stroke='{}' stroke-width=2 fill='{}'><title>{}</title></circle>").format(
        _at(point.value, span), y, colour, _fill(place), f"{name}: {point.told}"
    )


def _fill(place: int) -> str:
    """The first series is hollow."""
    return COLOURS[place % len(COLOURS)] if place else "var(--page)"


def _key(series: Sequence[str]) -> Html:
    """What the marks stand for; nothing for a single series without a name."""
    if not any(series):
        return Html()
    mark = "<svg aria-hidden=true><circle cx=7 cy=6 r=4 stroke='{}' stroke-width=2 fill='{}'/></svg>"
    return _keys(
        [(name, Html(mark).format(COLOURS[place % len(COLOURS)], _fill(place))) for place, name in enumerate(series)],
        "bars: 95 % intervals",
    )


def _swatch(colour: str) -> Html:
    return Html("<svg aria-hidden=true><rect x=1 y=1 width=11 height=10 fill='{}'/></svg>").format(colour)


def _keys(marks: Iterable[tuple[str, Html]], note: str = "") -> Html:
    shown = [Html("<span>{}{}</span>").format(mark, name) for name, mark in marks]
    return Html("<div class=key>{}</div>").format(join([*shown, *([Html("<span>{}</span>").format(note)] if note else [])]))
