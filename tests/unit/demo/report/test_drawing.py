import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.demo.report.drawing import Mark, Point, Series, month_chart
from trivet.drawing.charts import Scale, spanning, ticks
from trivet.drawing.markup import element, joined

ROUNDED = 0.011  # coordinates are written with two decimals

finite = st.floats(-1e6, 1e6)
shares = st.floats(0.0, 1.0)
intervals = st.tuples(shares, shares, shares).map(sorted)


def a_chart(months: int, series: Sequence[Series], marks: Sequence[Mark] = ()) -> ET.Element:
    names = [f"2013-{at + 3:02}" for at in range(months)]
    drawn = month_chart("t", "d", months=names, series=series, marks=marks, name="chart")
    return ET.fromstring(drawn)  # noqa: S314  # the text was drawn here


def a_series(name: str, values: Sequence[Sequence[float]]) -> Series:
    points = [
        Point(datetime(2013, at + 3, 15, tzinfo=UTC), middle, low, high)
        for at, (low, middle, high) in enumerate(values)
    ]
    return Series(name, points)


def circles(chart: ET.Element) -> list[tuple[float, float]]:
    return [(float(dot.attrib["cx"]), float(dot.attrib["cy"])) for dot in chart.iter("circle")]


def squares(chart: ET.Element) -> list[tuple[float, float]]:
    return [
        (
            float(dot.attrib["x"]) + float(dot.attrib["width"]) / 2,
            float(dot.attrib["y"]) + float(dot.attrib["height"]) / 2,
        )
        for dot in chart.iter("rect")
    ]


@given(st.lists(finite, min_size=2, max_size=6), st.booleans())
def test_a_larger_value_never_lies_lower_on_a_scale(values: list[float], upward: bool) -> None:
    start, end = (300.0, 20.0) if upward else (20.0, 300.0)
    scale = spanning(values, start, end)
    places = [scale.place(value) for value in sorted(values)]
    rising = places[::-1] if upward else places
    assert all(one <= other for one, other in pairwise(rising))
    assert all(20.0 <= place <= 300.0 for place in places)


def test_what_lies_outside_a_scale_is_placed_at_its_end() -> None:
    scale = Scale(0.0, 10.0, 100.0, 200.0)
    places = [scale.place(value) for value in (-5.0, 0.0, 2.5, 10.0, 99.0)]
    assert places == [100.0, 100.0, 125.0, 200.0, 200.0]


@given(finite, st.floats(1e-6, 1e6))
def test_ticks_are_round_rise_and_stay_within(low: float, width: float) -> None:
    high = low + width
    found = ticks(low, high)
    steps = np.diff(found)
    assert 2 <= len(found) <= 12
    assert low - width * 1e-3 <= found[0]
    assert found[-1] <= high + width * 1e-3
    assert np.allclose(steps, steps[0], rtol=1e-3)


@given(st.lists(st.tuples(intervals, intervals), min_size=1, max_size=10))
def test_coordinates_follow_the_values_and_the_months(
    months: list[tuple[list[float], list[float]]],
) -> None:
    loop, frozen = zip(*months, strict=True)
    series = [a_series("loop", loop), a_series("frozen", frozen)]
    chart = a_chart(len(months), series)
    dots = [*circles(chart), *squares(chart)]
    points = [point for one in series for point in one.points]
    for one in (circles(chart), squares(chart)):
        assert [x for x, _ in one] == sorted({x for x, _ in one})
    for point, (_, y) in zip(points, dots, strict=True):
        for other, (_, lower) in zip(points, dots, strict=True):
            assert point.value <= other.value or y <= lower + ROUNDED
    whiskers = [line for line in chart.iter("line") if "whisker" in line.attrib["class"]]
    for line, (x, y) in zip(whiskers, dots, strict=True):
        assert float(line.attrib["x1"]) == pytest.approx(x, abs=ROUNDED)
        assert float(line.attrib["y2"]) - ROUNDED <= y <= float(line.attrib["y1"]) + ROUNDED


def test_a_point_without_a_value_leaves_a_gap() -> None:
    values = [(0.1, 0.2, 0.3), (math.nan, math.nan, math.nan), (0.1, 0.15, 0.3)]
    assert len(circles(a_chart(3, [a_series("loop", values)]))) == 2


def test_a_chart_in_which_nothing_could_be_scored_is_still_a_chart() -> None:
    empty = a_series("loop", [(math.nan, math.nan, math.nan)])
    assert circles(a_chart(1, [empty])) == []


def test_marks_lie_where_their_moment_lies() -> None:
    days = [datetime(2013, month, day, tzinfo=UTC) for month, day in ((3, 1), (3, 16), (5, 1))]
    after = datetime(2014, 1, 3, tzinfo=UTC)
    marks = [Mark("promoted", day, f"{day:%F}") for day in (*days, after)]
    start, middle, end, late = (x for x, _ in circles(a_chart(2, [], marks)))
    share = (days[1] - days[0]) / (days[2] - days[0])
    assert middle == pytest.approx(start + share * (end - start), abs=2 * ROUNDED)
    assert start < middle < end
    assert late == end


def test_each_mark_says_what_it_stands_for() -> None:
    day = datetime(2013, 3, 5, tzinfo=UTC)
    marks = [Mark("alert", day, "worse <b>"), Mark("refused", day, "refused")]
    titles = {title.text for title in a_chart(1, [], marks).iter("title")}
    assert {"worse <b>", "refused"} <= titles


@given(st.text())
def test_any_text_comes_back_from_an_element_as_it_is_read(text: str) -> None:
    (said,) = [element("p", text, title=text)]
    assert said == f'<p title="{joined(text)}">{joined(text)}</p>'
    assert not set(joined(text)) & set("<>\"'\x1b\u202e")


@given(st.text(st.characters(exclude_categories=["C"])))
def test_readable_text_survives_the_round_trip(read_page: Callable[[str], Any], text: str) -> None:
    page = read_page(element("p", text, title=text))
    assert "".join(page.texts) == text
    assert page.values("title") == [text]
