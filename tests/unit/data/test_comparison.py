"""What changed between two tables, told in figures between 0 and 1."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.data.comparison import ColumnComparison, compare_profiles
from trivet.data.profile import profile_table


def compare(before: Any, after: Any) -> ColumnComparison:
    return compare_profiles(
        profile_table(pl.DataFrame({"c": before})), profile_table(pl.DataFrame({"c": after}))
    ).columns[0]


columns = st.lists(st.floats(-100, 100), min_size=1, max_size=50) | st.lists(
    st.sampled_from("abc"), min_size=1, max_size=50
)


@given(columns)
def test_a_table_is_at_no_distance_from_itself(column: list[Any]) -> None:
    assert compare(column, column).distance == pytest.approx(0)


@given(columns, columns)
def test_distances_lie_between_none_and_all_and_have_no_direction(
    one: list[Any], other: list[Any]
) -> None:
    there, back = compare(one, other), compare(other, one)
    if type(one[0]) is not type(other[0]):
        assert there.distance is None
        return
    assert there.distance is not None
    assert 0 <= there.distance <= 1 + 1e-9
    assert there.distance == pytest.approx(back.distance)


def test_tables_that_share_no_value_are_as_far_apart_as_can_be() -> None:
    assert compare([1.0, 2.0], [3.0, 4.0]).distance == pytest.approx(1)
    assert compare(["a"] * 5, ["b"] * 5).distance == pytest.approx(1)
    assert compare([True] * 3, [False] * 3).distance == 1


def test_a_shift_is_about_as_large_as_the_moved_share() -> None:
    before = list(range(1000))
    after = [number + 250 for number in before]
    assert compare(before, after).distance == pytest.approx(0.25, abs=0.02)
    assert compare(["a"] * 50 + ["b"] * 50, ["a"] * 80 + ["b"] * 20).distance == pytest.approx(0.3)


def test_values_that_came_and_went_are_named_where_all_are_known() -> None:
    column = compare(["a"] * 10 + ["b"] * 10, ["a"] * 10 + ["c"] * 10)
    assert (column.appeared, column.vanished) == (("c",), ("b",))
    partly = compare(["a"] * 10 + ["rare"], ["a"] * 10 + ["c"] * 10)
    assert partly.appeared == ()  # `rare` is not listed, so `c` may have been as rare


def test_new_lost_and_retyped_columns_are_told() -> None:
    comparison = compare_profiles(
        profile_table(pl.DataFrame({"kept": [1], "lost": [1], "typed": [1]})),
        profile_table(pl.DataFrame({"typed": ["x"], "new": [1], "kept": [2, 3][:1]})),
    )
    assert (comparison.added, comparison.removed) == (("new",), ("lost",))
    assert not comparison.is_same_shape
    typed = comparison.columns[1]
    assert (typed.type_before, typed.type_after, typed.distance) == ("Int64", "String", None)


def test_missing_values_are_compared_as_shares() -> None:
    column = compare([1.0, None], [1.0, None, None, None])
    assert (column.missing_before, column.missing_after) == (0.5, 0.75)
    assert compare([1.0], [None]).distance is None
