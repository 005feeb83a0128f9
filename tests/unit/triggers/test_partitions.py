from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Invalid
from trivet.triggers.partitions import (
    MOST_PARTITIONS,
    Axis,
    key_of,
    label_of,
    parse_axis,
    partitions_of,
)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("day=2024-02-27..2024-03-01", ["2024-02-27", "2024-02-28", "2024-02-29", "2024-03-01"]),
        ("month=2025-11..2026-02", ["2025-11", "2025-12", "2026-01", "2026-02"]),
        (
            "at=2026-01-01T22..2026-01-02T00",
            [f"2026-01-0{d}:00:00" for d in ("1T22", "1T23", "2T00")],
        ),
        ("n=1..4", [1, 2, 3, 4]),
        ("n=-2..0", [-2, -1, 0]),
        ("n=7", [7]),
        ("n=3,1", [3, 1]),
        ("region=eu,us", ["eu", "us"]),
        ("code=01,02", ["01", "02"]),  # no numbers: their zeros mean something
        ("mixed=1,a", ["1", "a"]),
        ("day=2026-01-01..2026-01-01", ["2026-01-01"]),
    ],
)
def test_an_axis_is_a_range_or_a_list(text: str, values: list[Any]) -> None:
    axis = parse_axis(text)
    assert axis.parameter == text.partition("=")[0]
    assert list(axis.values) == values


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("day", "expected name=values"),
        ("=1..3", "expected name=values"),
        ("my day=1..3", "expected name=values"),
        ("day=", "expected name=values"),
        ("day=2026-01-31..2026-01-01", "falls"),
        ("n=3..1", "falls"),
        ("month=2026-02..2026-01", "falls"),
        ("day=2026-02-30..2026-03-01", "no such day"),
        ("month=2026-00..2026-03", "no such day or month"),
        ("at=2026-01-01T25..2026-01-02T00", "no such day"),
        ("day=2026-01-01..2026-02", "not both days"),
        ("n=1..2..3", "not both days"),
        ("n=a..b", "not both days"),
        ("n=1,,2", "is empty"),
        ("n=1,1", "twice"),
        ("n=1..999999999999", "too large"),
        ("day=0001-01-01..9999-12-31", "too large"),
    ],
)
def test_what_is_no_axis_is_refused(text: str, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_axis(text)
    assert words in caught.value.message
    assert ("no such day" in caught.value.message) is ("no such day" in words)
    assert caught.value.hint


@given(first=st.dates(date(1990, 1, 1), date(2090, 1, 1)), count=st.integers(1, 400))
def test_days_are_all_days_in_order(first: date, count: int) -> None:
    last = first + timedelta(days=count - 1)
    values = parse_axis(f"day={first}..{last}").values
    assert [date.fromisoformat(str(value)) for value in values] == [
        first + timedelta(days=n) for n in range(count)
    ]


axes = st.lists(
    st.builds(
        Axis,
        st.sampled_from(["day", "n", "region"]),
        st.lists(
            st.integers(0, 9) | st.sampled_from("abc"), min_size=1, max_size=4, unique=True
        ).map(tuple),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda axis: axis.parameter,
)


@given(axes=axes)
def test_a_product_has_every_combination_once(axes: list[Axis]) -> None:
    found = partitions_of(axes)
    keys = {key_of("pipeline:train", partition) for partition in found}
    count = 1
    for axis in axes:
        count *= len(axis.values)
    assert len(found) == len(keys) == count
    assert partitions_of(axes, newest_first=True) == found[::-1]
    assert all(list(partition) == [axis.parameter for axis in axes] for partition in found)


def test_a_key_says_the_values_whatever_their_order_and_tells_text_from_numbers() -> None:
    assert key_of("p:f", {"a": 1, "b": "x"})[-16:] == key_of("p:f", {"b": "x", "a": 1})[-16:]
    assert key_of("p:f", {"a": 1}) != key_of("p:f", {"a": "1"})
    assert key_of("p:f", {"a": 1}) != key_of("p:g", {"a": 1})
    assert key_of("p:f", {"day": "2026-01-01"}).startswith("day=2026-01-01-")
    assert label_of({"day": "2026-01-01", "region": "eu"}) == "day=2026-01-01 region=eu"


@pytest.mark.parametrize(
    "texts", [[], ["n=1..3", "n=4"], ["a=1..101", "b=1..100"]], ids=["none", "twice", "too many"]
)
def test_what_makes_no_back_fill_is_refused(texts: list[str]) -> None:
    with pytest.raises(Invalid) as caught:
        partitions_of([parse_axis(text) for text in texts])
    assert caught.value.hint


def test_the_largest_back_fill_is_taken() -> None:
    assert len(partitions_of([parse_axis(f"n=1..{MOST_PARTITIONS}")])) == MOST_PARTITIONS
