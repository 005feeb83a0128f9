"""Charts as SVG text: scales, ticks, intervals, bars, curves.

Colours and strokes are classes of the page's stylesheet; shapes differ too, so that no reader
depends on colour. Lengths are in SVG units, y grows downwards.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from trivet.drawing.markup import Markup, element

_POINT = 4.5


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
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
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


def interval_figure(value: float, low: float, high: float) -> Markup:
    """Draw one interval beside the line of no difference. The numbers stand next to it."""
    across = spanning((0.0, low, high), 4.0, 196.0)
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
