import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from trivet.core.errors import Invalid
from trivet.models.encoding import Encoder
from trivet.models.facts import Input, Signature

CATEGORIES = ("east", "west", "", "7", "-3", "ünï")
SIGNATURE = Signature(
    inputs=(
        Input(name="decimal", type="number"),
        Input(name="whole", type="integer"),
        Input(name="wide", type="number"),
        Input(name="flag", type="boolean"),
        Input(name="text", type="category", categories=CATEGORIES, unknown="missing"),
        Input(name="code", type="category", categories=CATEGORIES, unknown="missing"),
        Input(name="day", type="datetime"),
        Input(name="instant", type="datetime"),
        Input(name="wall", type="datetime"),
    ),
    task="binary",
    target="late",
    classes=("false", "true"),
)
SINGLE = float(np.finfo(np.float32).max)
WHENS = st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1))  # noqa: DTZ001  # both kinds are tried


def aware(when: datetime) -> datetime:
    return when.replace(tzinfo=UTC)


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "decimal": st.none() | st.floats(-SINGLE, SINGLE),
            "whole": st.none() | st.integers(-(2**63), 2**63 - 1),
            "wide": st.none() | st.integers(-(10**6), 10**6),
            "flag": st.none() | st.booleans(),
            "text": st.none() | st.sampled_from(CATEGORIES) | st.text(max_size=4),
            "code": st.none() | st.sampled_from([7, -3, 0, 12]),
            "day": st.none() | st.dates(date(1700, 1, 1), date(2200, 1, 1)),
            "instant": st.none() | WHENS.map(aware),
            "wall": st.none() | WHENS,
        }
    ),
    min_size=1,
    max_size=20,
)
SCHEMA = {
    "decimal": pl.Float64,
    "whole": pl.Int64,
    "wide": pl.Int32,
    "flag": pl.Boolean,
    "text": pl.String,
    "code": pl.Int16,
    "day": pl.Date,
    "instant": pl.Datetime("us", "UTC"),
    "wall": pl.Datetime("us"),
}


@given(ROWS)
def test_a_table_and_its_rows_give_the_same_bits(rows: list[dict[str, Any]]) -> None:
    encoder = Encoder(SIGNATURE)
    table = pl.DataFrame(rows, schema=SCHEMA)
    by_table = encoder.encode_frame(table)
    assert by_table.tobytes() == encoder.encode_rows(rows).tobytes()
    assert by_table.tobytes() == encoder.encode_rows(encoder.rows_of(table)).tobytes()


@given(st.lists(st.floats(width=64), min_size=1, max_size=20))
def test_a_table_and_its_rows_refuse_the_same_numbers(values: list[float]) -> None:
    signature = Signature(inputs=(Input(name="x", type="number"),), task="regression", target="y")
    encoder = Encoder(signature)

    def answer(encode: Callable[[], NDArray[np.float32]]) -> bytes | str:
        try:
            return encode().tobytes()
        except Invalid as error:
            return error.code

    by_rows = answer(lambda: encoder.encode_rows([[value] for value in values]))
    assert answer(lambda: encoder.encode_frame(pl.DataFrame({"x": values}))) == by_rows


def only(item: Input) -> Encoder:
    return Encoder(Signature(inputs=(item,), task="regression", target="y"))


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        ("number", pl.Series(["1"])),
        ("number", pl.Series([True])),
        ("integer", pl.Series([1.5])),
        ("boolean", pl.Series([1])),
        ("category", pl.Series([1.5])),
        ("category", pl.Series([True])),
        ("datetime", pl.Series([1])),
        ("datetime", pl.Series(["yesterday"])),
    ],
)
def test_a_column_of_a_wrong_type_is_refused(kind: Any, column: pl.Series) -> None:
    item = Input(name="x", type=kind, categories=("a",))
    with pytest.raises(Invalid) as caught:
        only(item).encode_frame(pl.DataFrame({"x": column}))
    assert caught.value.code == "wrong-type"
    assert caught.value.detail["field"] == "x"
    assert caught.value.hint


@pytest.mark.parametrize("column", [pl.Series([1.0, None]), pl.Series([1.0, math.nan])])
def test_missing_cells_are_counted_where_they_are_refused(column: pl.Series) -> None:
    with pytest.raises(Invalid) as caught:
        only(Input(name="x", type="number", missing="reject")).encode_frame(
            pl.DataFrame({"x": column})
        )
    assert (caught.value.code, caught.value.detail["rows"]) == ("missing-value", 1)


def test_an_unknown_category_in_a_table_is_refused_and_counted() -> None:
    encoder = only(Input(name="x", type="category", categories=("east", "west")))
    with pytest.raises(Invalid) as caught:
        encoder.encode_frame(pl.DataFrame({"x": ["east", "wst", "wst", None]}))
    assert (caught.value.code, caught.value.detail["rows"]) == ("unknown-category", 2)


def test_an_absent_column_is_named_with_those_that_are_there() -> None:
    with pytest.raises(Invalid) as caught:
        only(Input(name="x", type="number")).encode_frame(pl.DataFrame({"y": [1.0]}))
    assert caught.value.code == "absent-field"
    assert "y" in caught.value.hint


@pytest.mark.parametrize(
    "column",
    [
        pl.Series(["west", None, "east"], dtype=pl.Categorical),
        pl.Series(["west", None, "east"], dtype=pl.Enum(["east", "west", "north"])),
        pl.Series(["west", None, "east"]),
    ],
)
def test_text_is_read_however_it_is_stored(column: pl.Series) -> None:
    encoder = only(Input(name="x", type="category", categories=("east", "west")))
    found = encoder.encode_frame(pl.DataFrame({"x": column}))[:, 0]
    assert np.array_equal(found, [1, np.nan, 0], equal_nan=True)


def test_a_column_without_any_value_is_missing_throughout() -> None:
    table = pl.DataFrame({item.name: [None, None] for item in SIGNATURE.inputs})
    assert np.isnan(Encoder(SIGNATURE).encode_frame(table)).all()


def test_any_arrow_stream_is_a_table() -> None:
    class Stream:
        def __init__(self, table: pl.DataFrame) -> None:
            self._table = table

        def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
            return self._table.__arrow_c_stream__(requested_schema)

    found = only(Input(name="x", type="number")).encode_frame(Stream(pl.DataFrame({"x": [2.0]})))
    assert found.tolist() == [[2.0]]
    with pytest.raises(Invalid, match="data frame"):
        only(Input(name="x", type="number")).encode_frame([1.0])  # pyright: ignore[reportArgumentType]


def test_the_target_becomes_class_numbers_in_the_signature_s_order() -> None:
    table = pl.DataFrame({"late": [True, False, True]})
    assert Encoder(SIGNATURE).encode_target(table).tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("values", "code"),
    [([True, None], "missing-target"), (["true", "perhaps"], "unknown-class")],
)
def test_a_target_that_is_no_answer_is_refused(values: list[object], code: str) -> None:
    with pytest.raises(Invalid) as caught:
        Encoder(SIGNATURE).encode_target(pl.DataFrame({"late": values}))
    assert caught.value.code == code


def test_rows_for_a_request_are_plain_json_values() -> None:
    moment = datetime(2024, 5, 1, 12, 30, tzinfo=UTC) + timedelta(microseconds=5)
    table = pl.DataFrame(
        {
            "decimal": [math.nan],
            "whole": [3],
            "wide": [1],
            "flag": [True],
            "text": ["east"],
            "code": [7],
            "day": [date(2024, 5, 1)],
            "instant": [moment],
            "wall": [moment.replace(tzinfo=None)],
            "late": [True],
        }
    )
    (row,) = Encoder(SIGNATURE).rows_of(table)
    assert row["decimal"] is None
    assert (row["day"], row["instant"]) == ("2024-05-01", "2024-05-01T12:30:00.000005+00:00")
    assert "late" not in row
