"""Charts as SVG text: scales, ticks, intervals, bars, curves.

Colours and strokes are classes of the page's stylesheet; shapes differ too, so that no reader
depends on colour. Lengths are in SVG units, y grows downwards.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

from trivet.drawing.markup import Markup, element
from trivet.drawing.words import number, within_reach

_POINT: Final = 4.5
_WIDTH: Final = 900.0
_LEFT: Final = 92.0
_RIGHT: Final = 14.0
_TOP: Final = 14.0
_PLOT: Final = 230.0
_FOOT: Final = 44.0
_COLOURS: Final = 6
_TINY, _HUGE = 1e-4, 1e7


@dataclass(frozen=True)
class Scale:
    """A straight way from values to coordinates: `low` falls on `start`, `high` on `end`."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        """Return the coordinate of a value; one outside is placed at the nearer end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def spanning(values: Iterable[float], start: float, end: float) -> Scale:
    """Make a scale on which all finite values have a place, with some air at both ends."""
    finite = [within_reach(value) for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    air = max(0.05 * (high - low), 1e-3 * max(abs(low), abs(high)), 1e-9)
    return Scale(low - air, high + air, start, end)


def ticks(low: float, high: float, *, about: int = 5) -> list[float]:
    """Return round numbers from low to high, roughly `about` of them.

    Example:
        >>> ticks(0.09, 0.21)
        [0.1, 0.12, 0.14, 0.16, 0.18, 0.2]
    """
    rough = (high - low) / about
    unit = 10.0 ** math.floor(math.log10(rough))
    step = unit * next(many for many in (1, 2, 5, 10) if many * unit >= rough * 0.8)
    first, last = math.ceil(low / step), math.floor(high / step)
    digits = max(0, 2 - math.floor(math.log10(step)))
    return [round(at * step, digits) for at in range(first, last + 1)]


def interval_figure(
    value: float, low: float, high: float, *, others: Iterable[float] = ()
) -> Markup:
    """Draw one interval beside the line of no difference. The numbers stand next to it.

    `others` are the ends of intervals that are drawn in the rows around it, on the same scale.
    """
    across = spanning((0.0, low, high, *others), 4.0, 196.0)
    zero, middle = across.place(0.0), 13.0
    return element(
        "svg",
        element("line", x1=zero, x2=zero, y1=1, y2=25, class_="zero"),
        element(
            "line",
            x1=across.place(low),
            x2=across.place(high),
            y1=middle,
            y2=middle,
            class_="loop whisker",
        ),
        element("circle", cx=across.place(value), cy=middle, r=_POINT, class_="loop point"),
        viewBox="0 0 200 26",
        class_="interval",
        aria_hidden="true",
    )


def bar(share: float) -> Markup:
    """Draw a share from 0 to 1 as a bar. The number stands next to it."""
    width = 160 * min(max(share, 0.0), 1.0)
    return element(
        "svg",
        element("rect", x=0, y=3, width=160, height=8, rx=2, class_="trough"),
        element("rect", x=0, y=3, width=max(width, 1.0), height=8, rx=2, class_="bar"),
        viewBox="0 0 160 14",
        class_="share",
        aria_hidden="true",
    )


class CurveDot(NamedTuple):
    """A figure with its interval, at a place on the lower axis."""

    at: float
    value: float
    low: float
    high: float


class Curve(NamedTuple):
    """Dots that belong together."""

    name: str
    dots: Sequence[CurveDot]


def curve_chart(
    title: str, description: str, *, curves: Sequence[Curve], axis: str, name: str
) -> Markup:
    """Draw figures with intervals over a number, one curve per name.

    Args:
        title: For those who hear the chart, as is the description.
        description: What the chart says, in a sentence or two.
        curves: At least one, each with at least one dot; colours follow their order.
        axis: What the lower axis counts.
        name: Unique on the page.
    """
    places = sorted({dot.at for curve in curves for dot in curve.dots})
    across = spanning(places, _LEFT + 10, _WIDTH - _RIGHT - 10)
    values = [value for curve in curves for dot in curve.dots for value in dot[1:]]
    upward = spanning(values, _TOP + _PLOT, _TOP)
    bottom = _TOP + _PLOT
    lower = [
        element("text", number(at), x=across.place(at), y=bottom + 17, class_="tick middle")
        for at in places
    ]
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    return element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", description, id=f"{name}-desc"),
        *levels(upward),
        element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=bottom, y2=bottom, class_="axis"),
        *lower,
        element("text", axis, x=middle, y=bottom + 37, class_="tick middle"),
        *(_curve(at, curve, across, upward, len(curves)) for at, curve in enumerate(curves)),
        viewBox=f"0 0 {_WIDTH:.0f} {bottom + _FOOT:.0f}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        class_="chart",
    )


def curve_key(position: int) -> Markup:
    """Draw the shape of a curve, by its position among the curves."""
    return element(
        "svg",
        _dot(position, 9.0, 8.0),
        viewBox="0 0 18 16",
        class_=f"key curve s{position % _COLOURS}",
        aria_hidden="true",
    )


def levels(upward: Scale) -> list[Markup]:
    """Draw the levels of an upward scale: a line and a number each."""
    values = ticks(upward.low, upward.high)
    digits = max((len(f"{value:g}".partition(".")[2]) for value in values), default=2)
    drawn: list[Markup] = []
    for value in values:
        y = upward.place(value)
        drawn += [
            element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, class_="grid"),
            element("text", tick_text(value, digits), x=_LEFT - 10, y=y + 4, class_="tick end"),
        ]
    return drawn


def tick_text(value: float, digits: int) -> str:
    """Write what stands at a tick: very large and very small numbers with an exponent.

    Example:
        >>> tick_text(1500, 0), tick_text(2e9, 0), tick_text(-2e-7, 0)
        ('1,500', '2e+09', '−2e-07')
    """
    if value and not _TINY <= abs(value) < _HUGE:
        return f"{value:.3g}".replace("-", "\u2212", 1) if value < 0 else f"{value:.3g}"
    return number(value, digits)


def _curve(position: int, curve: Curve, across: Scale, upward: Scale, count: int) -> Markup:
    shift = (position - (count - 1) / 2) * 8
    dots = [dot for dot in curve.dots if all(math.isfinite(value) for value in dot[1:])]
    places = [(across.place(dot.at) + shift, upward.place(dot.value)) for dot in dots]
    links = [
        element("line", x1=a[0], y1=a[1], x2=b[0], y2=b[1], class_="link")
        for a, b in pairwise(places)
    ]
    drawn: list[Markup] = []
    for dot, (x, y) in zip(dots, places, strict=True):
        said = (
            f"{curve.name}, {number(dot.at)}: {number(dot.value, 4)} "
            f"({number(dot.low, 4)} to {number(dot.high, 4)})"
        )
        low, high = upward.place(dot.low), upward.place(dot.high)
        drawn += [
            element("title", said),
            element("line", x1=x, x2=x, y1=low, y2=high, class_="whisker"),
            _dot(position, x, y),
        ]
    return element("g", *links, *drawn, class_=f"curve s{position % _COLOURS}")


def _dot(position: int, x: float, y: float) -> Markup:
    """Draw a circle, a square, a diamond or a triangle."""
    corners = (
        (),
        ((-4, -4), (4, -4), (4, 4), (-4, 4)),
        ((0, -5.5), (5.5, 0), (0, 5.5), (-5.5, 0)),
        ((0, -5.5), (5.5, 4.5), (-5.5, 4.5)),
    )[position % 4]
    if not corners:
        return element("circle", cx=x, cy=y, r=_POINT, class_="point")
    points = " ".join(f"{x + a:.2f},{y + b:.2f}" for a, b in corners)
    return element("polygon", points=points, class_="point")
