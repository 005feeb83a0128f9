import math
import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trivet.cli.sparks import sparkline
from trivet.drawing.charts import Curve, CurveDot, curve_chart, curve_key, interval_figure
from trivet.drawing.lines import Line, line_chart
from trivet.drawing.page import page_section, render_page


def drawn(*curves: Curve) -> ET.Element:
    return ET.fromstring(  # noqa: S314  # our own text
        curve_chart("AUC by rows", "What it says.", curves=curves, axis="rows", name="c")
    )


def dots(values: list[float]) -> list[CurveDot]:
    return [CurveDot(100 * (at + 1), v, v - 0.1, v + 0.1) for at, v in enumerate(values)]


def test_a_better_figure_stands_higher_and_more_rows_further_right() -> None:
    chart = drawn(Curve("a", dots([0.5, 0.7, 0.9])))
    circles = [(float(c.attrib["cx"]), float(c.attrib["cy"])) for c in chart.iter("circle")]
    assert [x for x, _ in circles] == sorted(x for x, _ in circles)
    assert [y for _, y in circles] == sorted((y for _, y in circles), reverse=True)


def test_what_is_not_finite_is_left_out() -> None:
    chart = drawn(Curve("a", [*dots([0.5, 0.6]), CurveDot(300, float("nan"), 0.0, 1.0)]))
    assert len(list(chart.iter("circle"))) == 2


@example([-1e308, 1e308], 0)
@given(st.lists(st.floats(), min_size=1), st.integers(-(2**63), 2**63 - 1))
def test_whatever_a_metric_can_be_is_drawn(values: list[float], first: int) -> None:
    places = [first + at for at in range(len(values))]
    chart = line_chart("a", "b", lines=[Line("c", places, values)], axis="step", name="d")
    assert not re.search(r'[ ",-](nan|inf)[ ",]', str(chart))
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    upward = (min(finite), max(finite))
    spark = sparkline(places, values, across=(places[0], places[-1]), upward=upward, width=7)
    assert len(spark) == 7


def test_seven_curves_are_told_apart_by_shape_or_colour() -> None:
    chart = drawn(*(Curve(f"n{at}", dots([at / 10, at / 9])) for at in range(7)))
    groups = [g for g in chart.iter("g") if g.attrib.get("class", "").startswith("curve")]
    shapes = [
        (g.attrib["class"], next(e.tag for e in g if e.tag in {"circle", "polygon"}))
        for g in groups
    ]
    assert len(shapes) == 7
    assert "n3, 100:" in str(next(title.text for title in groups[3].iter("title")))
    assert all("<" in curve_key(at) for at in range(7))


@pytest.mark.parametrize("others", [(), (-1.0, 3.0)])
def test_intervals_in_one_table_share_their_scale(others: tuple[float, ...]) -> None:
    def zero(low: float, high: float) -> str:
        found = re.search(
            r'x1="([\d.]+)"[^>]*class="zero"', interval_figure(1, low, high, others=others)
        )
        assert found
        return found[1]

    assert (zero(0.5, 1.5) == zero(-0.9, 2.9)) == bool(others)


def test_a_page_allows_its_own_stylesheet_and_nothing_else() -> None:
    text = render_page("a <title>", page_section("one", "One", curve_key(0)))
    assert "default-src &#x27;none&#x27;; style-src &#x27;sha256-" in text
    assert "a &lt;title&gt;" in text
    assert 'aria-labelledby="one-heading"' in text
