"""Types are read from text without losing anything."""

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.data.columns import infer_type, kind_of


def inferred(values: list[str | None]) -> pl.Series:
    return infer_type(pl.Series("column", values, dtype=pl.String))


@given(st.lists(st.none() | st.integers(-(10**17), 10**17), min_size=1))
def test_integers_come_back(numbers: list[int | None]) -> None:
    typed = inferred([None if number is None else str(number) for number in numbers])
    assert typed.to_list() == numbers
    if any(number is not None for number in numbers):
        assert typed.dtype == pl.Int64


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_floats_come_back_bit_for_bit(numbers: list[float]) -> None:
    typed = inferred([repr(number) for number in numbers])
    assert [float(value) for value in typed] == numbers


@given(st.lists(st.dates(date(1000, 1, 1)), min_size=1))
def test_dates_come_back(days: list[date]) -> None:
    assert inferred([day.isoformat() for day in days]).to_list() == days


@given(
    st.lists(
        st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)),  # noqa: DTZ001  # zones follow
        min_size=1,
    ),
    st.sampled_from(["", "+00:00", "+05:30", "-08:00"]),
)
def test_datetimes_come_back_as_the_same_instants(instants: list[datetime], offset: str) -> None:
    typed = inferred([instant.isoformat() + offset for instant in instants])
    wanted = [datetime.fromisoformat(instant.isoformat() + offset) for instant in instants]
    assert typed.dtype == pl.Datetime("us", "UTC" if offset else None)
    assert typed.to_list() == wanted


@pytest.mark.parametrize(
    "words", [["inf"], ["1_000"], ["0x10"], ["1,5"], ["yes", "no"], ["2013-13-01"], ["1", "one"]]
)
def test_what_only_resembles_a_type_stays_text(words: list[str]) -> None:
    assert inferred(list(words)).to_list() == words


def test_a_column_without_values_is_text() -> None:
    typed = inferred([None, "NA", " "])
    assert typed.dtype == pl.String
    assert typed.null_count() == 3


def test_late_rows_count_as_much_as_early_ones() -> None:
    assert inferred(["1"] * 1000 + ["one"]).dtype == pl.String
    assert inferred(["1"] * 1000 + ["1.5"]).dtype == pl.Float64


def test_every_type_has_a_kind() -> None:
    frame = pl.DataFrame(
        {
            "integer": pl.Series([1], dtype=pl.Int8),
            "number": pl.Series([1], dtype=pl.Float32),
            "boolean": [True],
            "text": pl.Series(["a"], dtype=pl.Categorical),
            "date": [date(2020, 1, 1)],
            "datetime": [datetime(2020, 1, 1, tzinfo=UTC)],
            "other": [timedelta(days=1)],
        }
    )
    assert {name: kind_of(dtype) for name, dtype in frame.schema.items()} == {
        name: name for name in frame.columns
    }
