"""The charts of the demonstration: months with intervals, marks on the time axis.

Colours and strokes are classes of the page's stylesheet; shapes differ too, so that no reader
depends on colour. Lengths are in SVG units, y grows downwards.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Literal, NamedTuple

from trivet.drawing.charts import Scale, spanning, ticks
from trivet.drawing.markup import Markup, element
from trivet.drawing.words import number

_WIDTH, _LEFT, _RIGHT = 900.0, 92.0, 14.0
_TOP, _PLOT = 14.0, 230.0
_MONTHS, _LANE = 24.0, 24.0
_APART = 7.0
_POINT = 4.5

MarkKind = Literal["alert", "refused", "passed", "promoted"]
_LANES: tuple[tuple[str, frozenset[MarkKind]], ...] = (
    ("alerts", frozenset({"alert"})),
    ("retrainings", frozenset({"refused", "passed"})),
    ("promotions", frozenset({"promoted"})),
)


class Point(NamedTuple):
    """An estimate with its interval, at a moment."""

    at: datetime
    value: float
    low: float
    high: float


class Series(NamedTuple):
    """Points that belong together; `name` is also their class in the stylesheet."""

    name: str
    points: Sequence[Point]


class Mark(NamedTuple):
    """Something that happened at a moment. `title` is read out and shown on hovering."""

    kind: MarkKind
    at: datetime
    title: str
    label: str = ""


def month_bounds(month: str) -> tuple[datetime, datetime]:
    """Return the beginning and the end of a month written `2013-03`, in UTC."""
    first = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
    return first, first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)


def month_chart(
    title: str,
    description: str,
    *,
    months: Sequence[str],
    series: Sequence[Series],
    marks: Sequence[Mark],
    name: str,
) -> Markup:
    """Draw estimates with intervals by month, and what happened below them on the same axis.

    Args:
        title: For those who hear the chart, as is the description.
        description: What the chart says, in a sentence or two.
        months: As `2013-03`, at least one, rising, without gaps.
        series: What is compared; points that are not finite are left out.
        marks: What happened; a moment outside the months is placed at the nearer end.
        name: Unique on the page.
    """
    bounds = [month_bounds(month) for month in months]
    across = Scale(
        bounds[0][0].timestamp(), bounds[-1][1].timestamp(), _LEFT + 10, _WIDTH - _RIGHT - 10
    )
    values = [value for one in series for point in one.points for value in point[1:]]
    upward = spanning(values, _TOP + _PLOT, _TOP)
    height = _TOP + _PLOT + _MONTHS + _LANE * len(_LANES) + 8
    return element(
        "svg",
        element("title", title, id=f"{name}-title"),
        element("desc", description, id=f"{name}-desc"),
        _grid(upward),
        _month_names(bounds, across),
        _lanes(marks, across),
        *(_series(one, across, upward, offset) for one, offset in _offsets(series)),
        viewBox=f"0 0 {_WIDTH:.0f} {height:.0f}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
        class_="chart",
    )


def legend_key(name: str) -> Markup:
    """Draw a series' shape, or a mark's, as the charts do."""
    shape = _dot(name, 9.0, 8.0) if name in {"loop", "frozen"} else _shape(name, 9.0, 8.0)
    return element("svg", shape, viewBox="0 0 18 16", class_="key", aria_hidden="true")


# -- parts of a chart --------------------------------------------------------------------------


def _grid(upward: Scale) -> Markup:
    values = ticks(upward.low, upward.high)
    digits = max((len(f"{value:g}".partition(".")[2]) for value in values), default=2)
    lines: list[Markup] = []
    for value in values:
        y = upward.place(value)
        lines += [
            element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, class_="grid"),
            element("text", number(value, digits), x=_LEFT - 10, y=y + 4, class_="tick end"),
        ]
    return element("g", *lines)


def _month_names(bounds: Sequence[tuple[datetime, datetime]], across: Scale) -> Markup:
    bottom = _TOP + _PLOT
    drawn: list[Markup] = []
    for at, (first, last) in enumerate(bounds):
        start, end = across.place(first.timestamp()), across.place(last.timestamp())
        if at:
            drawn.append(
                element("line", x1=start, x2=start, y1=bottom, y2=bottom + 6, class_="axis")
            )
        written = f"{first:%b} {first:%Y}" if at == 0 or first.month == 1 else f"{first:%b}"
        drawn.append(
            element("text", written, x=(start + end) / 2, y=bottom + 17, class_="tick middle")
        )
    axis = element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=bottom, y2=bottom, class_="axis")
    return element("g", axis, *drawn)


def _lanes(marks: Sequence[Mark], across: Scale) -> Markup:
    drawn: list[Markup] = []
    for at, (name, kinds) in enumerate(_LANES):
        y = _TOP + _PLOT + _MONTHS + _LANE * (at + 0.5) + 2
        drawn += [
            element("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, class_="lane"),
            element("text", name, x=_LEFT - 10, y=y + 4, class_="tick end"),
            *(_mark(mark, across, y) for mark in marks if mark.kind in kinds),
        ]
    return element("g", *drawn)


def _mark(mark: Mark, across: Scale, y: float) -> Markup:
    x = across.place(mark.at.timestamp())
    parts = [element("title", mark.title)]
    if mark.kind == "promoted":
        parts.append(element("line", x1=x, x2=x, y1=_TOP, y2=y - 6, class_="promotion"))
    parts.append(_shape(mark.kind, x, y))
    if mark.label:
        parts.append(element("text", mark.label, x=x + 9, y=y + 4, class_="tick"))
    return element("g", *parts, class_="mark")


def _shape(kind: str, x: float, y: float) -> Markup:
    if kind == "alert":
        corners = ((x, y - 5.5), (x + 5.5, y + 4.5), (x - 5.5, y + 4.5))
    else:
        corners = ((x, y - 5.5), (x + 5.5, y), (x, y + 5.5), (x - 5.5, y))
    if kind == "promoted":
        return element("circle", cx=x, cy=y, r=5, class_="promoted")
    return element("polygon", points=" ".join(f"{a:.2f},{b:.2f}" for a, b in corners), class_=kind)


def _offsets(series: Sequence[Series]) -> Iterable[tuple[Series, float]]:
    for at, one in enumerate(series):
        yield one, (at - (len(series) - 1) / 2) * 2 * _APART


def _series(series: Series, across: Scale, upward: Scale, offset: float) -> Markup:
    drawn: list[Markup] = []
    places: list[tuple[float, float]] = []
    for point in series.points:
        if not all(math.isfinite(value) for value in point[1:]):
            continue
        x, y = across.place(point.at.timestamp()) + offset, upward.place(point.value)
        low, high = upward.place(point.low), upward.place(point.high)
        said = f"{series.name}, {point.at:%B}: {number(point.value, 4)}"
        drawn.append(
            element(
                "g",
                element("title", f"{said} ({number(point.low, 4)} to {number(point.high, 4)})"),
                element("line", x1=x, x2=x, y1=low, y2=high, class_=f"{series.name} whisker"),
                _dot(series.name, x, y),
            )
        )
        places.append((x, y))
    links = (
        element("line", x1=a[0], y1=a[1], x2=b[0], y2=b[1], class_=f"{series.name} link")
        for a, b in pairwise(places)
    )
    return element("g", *links, *drawn)


def _dot(name: str, x: float, y: float) -> Markup:
    if name == "loop":
        return element("circle", cx=x, cy=y, r=_POINT, class_="loop point")
    side = 2 * _POINT - 1
    return element(
        "rect",
        x=x - side / 2,
        y=y - side / 2,
        width=side,
        height=side,
        class_=f"{name} point",
    )
