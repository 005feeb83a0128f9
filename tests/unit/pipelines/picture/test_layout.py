"""Pictures: nothing overlaps, nothing is clipped, every arrow arrives, whatever the graph."""

import re
from itertools import combinations
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.cli.output import width_of
from trivet.drawing.layout import Arrow, Spacing, lay_out
from trivet.pipelines.picture.boxes import draw_text
from trivet.pipelines.picture.model import Box, Picture
from trivet.pipelines.picture.notations import write_dot, write_mermaid
from trivet.pipelines.picture.svg import draw_svg

SPACING = Spacing(across=10, down=20)


@st.composite
def graphs(draw: st.DrawFn) -> tuple[dict[str, tuple[float, float]], list[Arrow]]:
    count = draw(st.integers(1, 25))
    names = [f"n{number}" for number in range(count)]
    sizes = {name: (draw(st.integers(10, 90)) * 1.0, 30.0) for name in names}
    one = st.sampled_from(names)
    return sizes, [Arrow(a, b) for a, b in draw(st.lists(st.tuples(one, one), max_size=40))]


@given(graphs())
def test_boxes_do_not_overlap_and_lie_inside(
    graph: tuple[dict[str, tuple[float, float]], list[Arrow]],
) -> None:
    sizes, arrows = graph
    layout = lay_out(sizes, arrows, SPACING)
    assert set(layout.centres) == set(sizes)
    for name, (x, y) in layout.centres.items():
        width, height = sizes[name]
        assert x - width / 2 >= -1e-6
        assert x + width / 2 <= layout.width + 1e-6
        assert y - height / 2 >= -1e-6
        assert y + height / 2 <= layout.height + 1e-6
    for one, two in combinations(sizes, 2):
        (ax, ay), (bx, by) = layout.centres[one], layout.centres[two]
        apart = abs(ax - bx) >= (sizes[one][0] + sizes[two][0]) / 2 + 10 - 1e-6
        assert apart or abs(ay - by) >= 30 + 20 - 1e-6


@given(graphs())
def test_an_arrow_leads_down_unless_it_closes_a_circle(
    graph: tuple[dict[str, tuple[float, float]], list[Arrow]],
) -> None:
    sizes, arrows = graph
    layout = lay_out(sizes, arrows, SPACING)
    wanted = {arrow for arrow in arrows if arrow.source != arrow.target}
    assert set(layout.ways) == wanted
    for arrow, way in layout.ways.items():
        assert [y for _, y in way] == sorted(y for _, y in way)
        upper, lower = (
            (arrow.target, arrow.source) if arrow in layout.turned else (arrow.source, arrow.target)
        )
        assert layout.centres[upper][1] < layout.centres[lower][1]


def test_a_chain_is_straight_and_a_diamond_is_even() -> None:
    sizes = dict.fromkeys("abcd", (60.0, 30.0))
    chain = lay_out(sizes, [Arrow("a", "b"), Arrow("b", "c"), Arrow("c", "d")], SPACING)
    assert {x for x, _ in chain.centres.values()} == {30.0}
    diamond = lay_out(
        sizes, [Arrow("a", "b"), Arrow("a", "c"), Arrow("b", "d"), Arrow("c", "d")], SPACING
    )
    assert diamond.centres["a"][0] == pytest.approx(diamond.centres["d"][0])
    middle = (diamond.centres["b"][0] + diamond.centres["c"][0]) / 2
    assert diamond.centres["a"][0] == pytest.approx(middle, abs=0.5)


def test_two_arrows_that_need_not_cross_do_not() -> None:
    sizes = dict.fromkeys(("a", "b", "x", "y", "top", "end"), (60.0, 30.0))
    arrows = [Arrow("top", "a"), Arrow("top", "b"), Arrow("a", "y"), Arrow("b", "x")]
    layout = lay_out(sizes, [*arrows, Arrow("x", "end"), Arrow("y", "end")], SPACING)
    at = {name: x for name, (x, _) in layout.centres.items()}
    assert (at["a"] < at["b"]) == (at["y"] < at["x"])


def a_picture(*labels: str, is_preview: bool = False) -> Picture:
    boxes = tuple(
        Box(id=f"b{number}", label=label, state="run", detail="1.00 s", count=number + 1)
        for number, label in enumerate(labels)
    )
    arrows = tuple(Arrow(f"b{n}", f"b{n + 1}") for n in range(len(labels) - 1))
    return Picture(title="main: a <title>", is_preview=is_preview, boxes=boxes, arrows=arrows)


@given(st.lists(st.text(max_size=60), min_size=1, max_size=6))
def test_any_name_gives_sound_files(labels: list[str]) -> None:
    picture = a_picture(*labels)
    root = ET.fromstring(draw_svg(picture))  # noqa: S314  # our own
    assert root.tag.endswith("svg")
    assert len(root.findall(".//{*}polygon")) == len(labels) - 1
    assert write_dot(picture).count("->") >= len(labels) - 1
    assert write_mermaid(picture).count(" --> ") >= len(labels) - 1


def test_a_preview_says_so_and_has_a_dashed_frame() -> None:
    assert 'class="frame dashed"' in draw_svg(a_picture("a", is_preview=True))
    assert 'class="frame dashed"' not in draw_svg(a_picture("a"))
    assert "dashed" in write_dot(a_picture("a", is_preview=True))


def test_text_fits_into_its_box_chinese_too() -> None:
    root = ET.fromstring(draw_svg(a_picture("训练模型", "a_rather_long_name_of_a_step")))  # noqa: S314
    for group in root.findall(".//{*}g[@class='run']"):
        rects = [r for r in group.findall("{*}rect") if r.get("class") == "box"]
        for text in group.findall("{*}text"):
            words, left = "".join(text.itertext()), float(text.get("x", "0"))
            letter = 6.1 if text.get("class") == "small" else 7.8
            width = sum(letter if ord(sign) < 0x2E80 else 13 for sign in words)
            for rect in rects:
                right = float(rect.get("x", "0")) + float(rect.get("width", "0"))
                assert left + width < right


def test_on_a_terminal_boxes_are_drawn_or_listed_where_it_is_too_narrow() -> None:
    picture = a_picture("load", "训练模型")
    drawn = draw_text(picture, 80, width_of)
    assert "╭" in drawn
    assert "▼" in drawn
    boxes = [line for line in drawn.splitlines() if "训练模型" in line or "╰" in line]
    assert len({width_of(line) for line in boxes[-2:]}) == 1
    listed = draw_text(picture, 12, width_of)
    assert "╭" not in listed
    assert re.search(r"训练模型.*← b0", listed)


@given(graphs())
def test_a_terminal_is_never_overrun(
    graph: tuple[dict[str, tuple[float, float]], list[Arrow]],
) -> None:
    sizes, arrows = graph
    boxes = tuple(Box(id=name, label=name * 3, state="run") for name in sizes)
    picture = Picture(title="t", is_preview=False, boxes=boxes, arrows=tuple(arrows))
    for line in draw_text(picture, 100, width_of).splitlines():
        assert width_of(line) <= 100 or "←" in line
