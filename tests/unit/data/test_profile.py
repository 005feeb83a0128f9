"""A profile says what counting by hand says."""

import math
import statistics
from collections import Counter
from datetime import UTC, date, datetime
from random import Random
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.core.errors import Invalid, NotFound
from trivet.data.profile import LEVELS, Profile, merge_profiles, profile_table

numbers = st.none() | st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf])
words = st.none() | st.sampled_from(["a", "b", "c", "dd"])
tables = st.integers(1, 60).flatmap(
    lambda rows: st.fixed_dictionaries(
        {
            "x": st.lists(numbers, min_size=rows, max_size=rows),
            "n": st.lists(st.none() | st.integers(-5, 5), min_size=rows, max_size=rows),
            "w": st.lists(words, min_size=rows, max_size=rows),
        }
    )
)


def as_table(columns: dict[str, list[Any]]) -> pl.DataFrame:
    return pl.DataFrame(columns, schema={"x": pl.Float64, "n": pl.Int64, "w": pl.String})


def close(found: float | None, wanted: float) -> bool:
    return found is not None and math.isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-6)


@given(tables)
def test_numbers_are_described_as_by_hand(columns: dict[str, list[Any]]) -> None:
    profile = profile_table(as_table(columns))
    for name in ("x", "n"):
        values = [v for v in columns[name] if v is not None and math.isfinite(v)]
        column = profile.column(name)
        assert column.missing == len(columns[name]) - len(values)
        if not values:
            assert (column.low, column.mean, column.quantiles) == (None, None, ())
            continue
        assert column.distinct == len(set(values))
        assert (column.low, column.high) == (min(values), max(values))
        assert close(column.mean, statistics.fmean(values))
        if len(values) > 1:
            assert close(column.deviation, statistics.stdev(values))
        assert np.allclose(column.quantiles, np.quantile(values, LEVELS), atol=1e-6)


@given(tables)
def test_common_values_are_counted_in_order(columns: dict[str, list[Any]]) -> None:
    column = profile_table(as_table(columns)).column("w")
    counts = Counter(word for word in columns["w"] if word is not None)
    often = [(word, rows) for word, rows in counts.items() if rows >= 5]
    assert [(top.value, top.rows) for top in column.top] == sorted(
        often, key=lambda pair: (-pair[1], pair[0])
    )
    assert column.distinct == len(counts)


@given(tables)
def test_a_profile_survives_json_and_is_always_the_same(columns: dict[str, list[Any]]) -> None:
    frame = as_table(columns)
    encoded = msgspec.json.encode(profile_table(frame))
    assert msgspec.json.encode(profile_table(frame)) == encoded
    assert msgspec.json.decode(encoded, type=Profile) == profile_table(frame)


@given(tables, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_change_a_profile(columns: dict[str, Any], by: Random) -> None:
    rows = list(zip(*columns.values(), strict=True))
    by.shuffle(rows)
    shuffled = dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))
    assert profile_table(as_table(shuffled)) == profile_table(as_table(columns))


@given(tables, tables)
def test_merged_profiles_describe_both_tables(one: dict[str, Any], other: dict[str, Any]) -> None:
    merged = merge_profiles(profile_table(as_table(one)), profile_table(as_table(other)))
    whole = profile_table(pl.concat([as_table(one), as_table(other)]))
    for found, wanted in zip(merged.columns, whole.columns, strict=True):
        assert (found.rows, found.missing) == (wanted.rows, wanted.missing)
        assert (found.low, found.high) == (wanted.low, wanted.high)
        assert found.mean == wanted.mean or close(found.mean, wanted.mean or 0.0)
        assert found.deviation == wanted.deviation or close(found.deviation, wanted.deviation or 0)


def test_profiles_of_different_tables_do_not_merge() -> None:
    with pytest.raises(Invalid, match="different columns"):
        merge_profiles(
            profile_table(pl.DataFrame({"a": [1]})), profile_table(pl.DataFrame({"a": ["x"]}))
        )


def test_times_are_seconds_and_booleans_are_shares() -> None:
    day = datetime(2020, 1, 2, tzinfo=UTC)
    profile = profile_table(
        pl.DataFrame(
            {
                "zoned": pl.Series([day]).dt.convert_time_zone("America/New_York"),
                "day": [date(2020, 1, 2)],
                "ok": [True],
            }
        )
    )
    assert profile.column("zoned").mean == day.timestamp()
    assert profile.column("day").low == day.timestamp()
    assert profile.column("ok").mean == 1.0


def test_values_of_few_rows_are_not_told() -> None:
    column = profile_table(pl.DataFrame({"email": [f"{n}@example.org" for n in range(50)]})).column(
        "email"
    )
    assert column.distinct == 50
    assert column.top == ()


def test_columns_that_cannot_be_measured_are_only_counted() -> None:
    column = profile_table(pl.DataFrame({"list": [[1], None, [2]]})).column("list")
    assert (column.kind, column.rows, column.missing, column.distinct) == ("other", 3, 1, None)


def test_an_empty_table_has_a_profile() -> None:
    profile = profile_table(pl.DataFrame(schema={"a": pl.Float64, "b": pl.String}))
    assert profile.rows == 0
    assert [column.missing_share for column in profile.columns] == [0.0, 0.0]
    assert profile_table(pl.DataFrame()) == Profile(rows=0, columns=())


def test_an_unknown_column_is_answered_with_what_was_meant() -> None:
    profile = profile_table(pl.DataFrame({"tenure": [1]}))
    with pytest.raises(NotFound) as caught:
        profile.column("tenur")
    assert "'tenure'" in caught.value.hint
