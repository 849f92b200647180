"""Plots for pages: a line a name, its marks in an SVG as wide as the screen leaves it, its figures in words beside it.

Widths are shares of the space there is, heights are pixels, so letters keep their size on a phone. Shape tells series apart as well as
colour, so that a black and white print can be read. Every figure stands in the text too; the marks carry it as a title.

- `intervals`: points with intervals, of one or several series a line (accuracies before and after, differences with a line at 0).
- `balance`: what was lost to the left and what was won to the right of a line.
- `bars`: counts of several kinds in one bar.
- `sizes`: one amount before and after, a bar under the other.
- `matrix`: how often each label was answered to each.
- `course`: a measure after each of several steps, with intervals.
- `curve`: a measure over the many steps of trainings, the rounds one after another.

What is not here: the marks themselves (templates/plots.html.j2), and what is measured (errata.programs.report.document).
"""

from collections.abc import Callable, Iterable, Sequence
from math import ceil, floor
from typing import Any, NamedTuple

from .markup import Html, environment, join

COLOURS = ("var(--old)", "var(--new)", "var(--name)", "var(--keyword)", "var(--string)", "var(--number)")
"""Of series, in turn; the first is what the others are compared with."""
STEP = 11
"""Pixels between the points of one line."""
TOP, HEIGHT = 8, 120
"""Pixels above a course, and down to its lower edge."""
CURVE = 60
"""Most points of a curve."""


class Point(NamedTuple):
    """A measured value with its interval, and the same in words."""

    value: float
    low: float
    high: float
    text: str


class Line(NamedTuple):
    """A line of a plot: its name (text or markup), its points, and what stands beside it."""

    label: object
    points: Sequence[Point | None]
    """One a series; None where it was not measured."""
    text: object = ""


class Bar(NamedTuple):
    """A bar: its parts, from left to right."""

    label: object
    counts: Sequence[float]
    text: object = ""


class Stop(NamedTuple):
    """One step of a course."""

    name: str
    point: Point
    kept: bool
    """Whether later steps go on from it."""
    after: int | None
    """Place of the step that it goes on from; None for the first."""


def percent(value: float) -> str:
    """A share as the axes write it."""
    return f"{100 * value:.0f} %"


def around(points: Iterable[Point | None], step: float = 0.1) -> tuple[float, float]:
    """The range that holds all intervals, and 0, in whole steps."""
    known = [point for point in points if point]
    low = min((point.low for point in known), default=0.0)
    high = max((point.high for point in known), default=0.0)
    return min(0.0, step * floor(low / step + 1e-9)), max(step, step * ceil(high / step - 1e-9))


def intervals(lines: Sequence[Line], series: Sequence[str], span: tuple[float, float] = (0.0, 1.0)) -> Html:
    """Points with intervals; `series` names the points of each line, `span` is the range of the axis."""
    low, high = span

    def at(value: float) -> str:
        return f"{100 * min(1.0, max(0.0, (value - low) / (high - low))):.2f}%"

    ticks = []
    for tick in _ticks(span):
        anchor = "start" if tick - low < 0.01 * (high - low) else "end" if high - tick < 0.01 * (high - low) else "middle"
        ticks.append({"x": at(tick), "zero": abs(tick) < 1e-9 and low < 0, "anchor": anchor, "text": percent(tick)})
    return _drawn("intervals", lines=lines, series=series, ticks=ticks, at=at, colours=COLOURS, step=STEP)


def balance(lines: Sequence[tuple[object, int, int]], lost: str = "broken", won: str = "fixed") -> Html:
    """Of each (label, lost, won): bars to the left and to the right of a line, on one scale for all."""
    most = max((max(left, right) for _, left, right in lines), default=0) or 1
    return _drawn("balance", lines=lines, most=most, lost=lost, won=won)


def bars(lines: Sequence[Bar], kinds: Sequence[str], colours: Sequence[str] = COLOURS[1:] + COLOURS[:1]) -> Html:
    """Counts of several `kinds` in one bar a line, on one scale for all."""
    most = max((sum(line.counts) for line in lines), default=0) or 1
    return _drawn("bars", lines=lines, most=most, kinds=kinds, colours=colours)


def span(all_stops: Iterable[Sequence[Stop]]) -> tuple[float, float]:
    """The one scale of several courses that stand beside each other, in whole tenths: it holds all their intervals."""
    known = [stop.point for stops in all_stops for stop in stops]
    low = floor(10 * min((point.low for point in known), default=0.0)) / 10
    return low, max(low + 0.1, ceil(10 * max((point.high for point in known), default=0.0)) / 10)


def sizes(lines: Sequence[tuple[object, float, float | None, object]], series: tuple[str, str]) -> Html:
    """Of each (label, before, after, text): an amount before and after, a bar under the other, on one scale for all; None: not measured."""
    most = max((max(before, after or 0.0) for _, before, after, _ in lines), default=0.0) or 1.0
    return _drawn("sizes", lines=lines, most=most, series=series)


def matrix(title: object, golds: Sequence[str], answered: Sequence[str | None], count: Callable[[str, str | None], int]) -> Html:
    """How often items of each gold label got each answer, the darker the larger its share of the line; None: nothing readable."""
    lines = [(gold, [(name, count(gold, name)) for name in answered]) for gold in golds]
    return _drawn("matrix", title=title, lines=lines, answered=answered)


def course(title: object, stops: Sequence[Stop], scale: tuple[float, float], text: object = "") -> Html:
    """A measure after each step, with intervals: filled where it was kept, hollow where it was not. Several stand beside each other, on
    the `scale` of them all (span)."""
    low, high = scale
    ticks = [{"value": value, "text": percent(value)} for value in sorted({low, (low + high) / 2, high})]

    def x(place: int) -> str:
        return f"{100 * (place + 0.5) / len(stops):.2f}%"

    def y(value: float) -> float:
        return round(TOP + (HEIGHT - TOP) * (high - value) / (high - low), 1)

    return _drawn("course", title=title, stops=stops, text=text, ticks=ticks, height=HEIGHT, x=x, y=y)


def curve(title: object, runs: Sequence[Sequence[tuple[float, float]]], form: Callable[[float], str] = "{:.3g}".format) -> Html:
    """A measure over the steps of one training a round, as (step, value), which `form` writes: the rounds one after another, on one scale.
    Of many points each CURVE-th part shows its mean."""
    lines: list[list[tuple[float, float]]] = []
    last = 0.0
    for points in runs:
        size = ceil(len(points) * len(runs) / CURVE)
        some = [points[start : start + size] for start in range(0, len(points), size)]
        lines.append([(last + part[-1][0], sum(value for _, value in part) / len(part)) for part in some])
        last += points[-1][0]
    values = [value for line in lines for _, value in line]
    low, high = min(values), max(values)
    high = high if high > low else low + (abs(low) or 1.0)

    def x(step: float) -> str:
        return f"{98 * step / last:.2f}%"

    def y(value: float) -> float:
        return round(TOP + (HEIGHT - TOP) * (high - value) / (high - low), 1)

    text = "; ".join(f"{form(line[0][1])} to {form(line[-1][1])}" for line in lines)
    return _drawn("curve", title=title, lines=lines, text=text, ticks=(low, high), last=last, form=form, height=HEIGHT, x=x, y=y)


def courses(figures: Iterable[Html]) -> Html:
    """Several courses beside each other, as many as fit."""
    return Html("<div class=courses>{}</div>").format(join(figures))


def _drawn(macro: str, **values: Any) -> Html:
    return Html(getattr(environment(Html).get_template("plots.html.j2").module, macro)(**values))


def _ticks(span: tuple[float, float]) -> list[float]:
    low, high = span
    step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 100, high - low) if (high - low) / step <= 4.5)
    return [step * number for number in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]
