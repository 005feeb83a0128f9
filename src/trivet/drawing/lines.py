"""Charts of many points as SVG text: one line per name."""

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Final, NamedTuple

from trivet.drawing.charts import Scale, levels, spanning, tick_text, ticks
from trivet.drawing.markup import Markup, element

_WIDTH: Final = 900.0
_LEFT: Final = 92.0
_RIGHT: Final = 14.0
_TOP: Final = 14.0
_PLOT: Final = 230.0
_FOOT: Final = 44.0
_COLOURS: Final = 6
_DASHES: Final = (None, "7 3", "2 3", "9 3 2 3")


class Line(NamedTuple):
    """Points that belong together, in the order in which they are joined."""

    name: str
    places: Sequence[float]
    values: Sequence[float]


def line_chart(
    title: str, description: str, *, lines: Sequence[Line], axis: str, name: str
) -> Markup:
    """Draw values over a number, one line per name; a value that is not finite is a gap.

    Args:
        title: For those who hear the chart, as is the description.
        description: What the chart says, in a sentence or two.
        lines: At least one; colours and dashes follow their order.
        axis: What the lower axis counts.
        name: Unique on the page.
    """
    places = [place for line in lines for place in line.places]
    across = spanning(places, _LEFT, _WIDTH - _RIGHT)
    upward = spanning((v for line in lines for v in line.values), _TOP + _PLOT, _TOP)
    bottom = _TOP + _PLOT
    lower = [
        element(
            "text",
            tick_text(at, _digits(at)),
            x=across.place(at),
            y=bottom + 17,
            class_="tick middle",
        )
        for at in ticks(across.low, across.high)
    ]
    return element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", description, id=f"{name}-desc"),
        *levels(upward),
        element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=bottom, y2=bottom, class_="axis"),
        *lower,
        element("text", axis, x=(_LEFT + _WIDTH - _RIGHT) / 2, y=bottom + 37, class_="tick middle"),
        *(_line(position, line, across, upward) for position, line in enumerate(lines)),
        viewBox=f"0 0 {_WIDTH:.0f} {bottom + _FOOT:.0f}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        class_="chart",
    )


def line_key(position: int) -> Markup:
    """Draw the stroke of a line, by its position among the lines."""
    return element(
        "svg",
        element("line", x1=0, x2=28, y1=8, y2=8, class_="line", stroke_dasharray=_dash(position)),
        viewBox="0 0 28 16",
        class_=f"long key curve s{position % _COLOURS}",
        aria_hidden="true",
    )


def _line(position: int, line: Line, across: Scale, upward: Scale) -> Markup:
    points = zip(line.places, line.values, strict=True)
    drawn: list[Markup] = []
    for is_drawn, piece in groupby(points, lambda point: math.isfinite(point[1])):
        if not is_drawn:
            continue
        where = [(across.place(place), upward.place(value)) for place, value in piece]
        if len(where) == 1:
            drawn.append(element("circle", cx=where[0][0], cy=where[0][1], r=2.5, class_="point"))
        else:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in where)
            dash = _dash(position)
            drawn.append(element("polyline", points=path, class_="line", stroke_dasharray=dash))
    return element("g", element("title", line.name), *drawn, class_=f"curve s{position % _COLOURS}")


def _dash(position: int) -> str | None:
    return _DASHES[position // _COLOURS % len(_DASHES)]


def _digits(value: float) -> int:
    return min(6, len(f"{value:g}".partition(".")[2]))
