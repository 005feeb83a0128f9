"""pandas: every kind of column and index comes back as it was, with and without pyarrow."""

import datetime as dt
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from hypothesis.extra import pandas as hpd

from trivet.core.errors import Corrupt, Invalid
from trivet.pipelines.materialising.values import Form, Values

values = Values()


def there_and_back(value: object) -> Any:
    return values.load(values.save(value, "a value"))


def digest(value: object) -> str:
    return values.digest(value, "a value")


def same(one: Any, other: Any) -> None:
    """Equal to the last thing that a function can see."""
    assert type(one) is type(other)
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other, check_exact=True, check_freq=True)
        assert [type(a) for a in one.dtypes] == [type(b) for b in other.dtypes]
    elif isinstance(one, pd.Series):
        pd.testing.assert_series_equal(one, other, check_exact=True, check_freq=True)
    else:
        pd.testing.assert_index_equal(one, other, exact=True)
        assert one.names == other.names
        assert getattr(one, "freq", None) == getattr(other, "freq", None)
    assert digest(one) == digest(other)


def column(values: Any, dtype: Any = None) -> pd.Series:
    return pd.Series(values, dtype=dtype)


COLUMNS = {
    "bool": column([True, False, True]),
    "int8": column([1, -2, 3], "int8"),
    "uint64": column([1, 2, 2**64 - 1], "uint64"),
    "float32": column([0.5, np.nan, -np.inf], "float32"),
    "float16": column([0.5, np.nan, 2], "float16"),
    "complex": column([1 + 2j, 0, -1j]),
    "str": column(["a", None, "ü"], "str"),
    "str-python": column(["a", None, "ü"], pd.StringDtype("python", np.nan)),
    "string": column(["a", None, "ü"], "string"),
    "string-python": column(["a", None, ""], pd.StringDtype("python")),
    "Int64": column([1, None, 2**62], "Int64"),
    "UInt8": column([1, None, 255], "UInt8"),
    "Float32": column([0.5, None, 2], "Float32"),
    "Float64": column([0.5, None, 2], "Float64"),
    "boolean": column([True, None, False], "boolean"),
    "category": column(["x", None, "y"], pd.CategoricalDtype(["z", "y", "x"])),
    "ordered": column([2, 1, None], pd.CategoricalDtype([1, 2, 3], ordered=True)),
    "date-category": column(pd.to_datetime(["2020-01-01"] * 3).astype("category")),
    "datetime-ns": column(pd.to_datetime([0, None, 1234567890123456789])),
    "datetime-s": column(np.array(["2020-01-01", "NaT", "1600-01-01"], "M8[s]")),
    "zoned": column(
        pd.to_datetime(["2020-07-01", None, "2021-01-06"]).tz_localize("Europe/Berlin")
    ),
    "utc": column(pd.to_datetime(["2020-07-01", None, "2021-01-06"], utc=True)),
    "timedelta": column(pd.to_timedelta(["1 day", None, "3 ns"])),
    "period": column(pd.PeriodIndex(["2020-01", None, "2020-03"], freq="M")),
    "interval": column(pd.IntervalIndex.from_tuples([(0, 1), None, (2, 5)], closed="left")),
    "date-interval": column(pd.interval_range(pd.Timestamp("2020"), periods=3)),
    "text-object": column(["a", None, "b"], object),
    "mixed-object": column([1, "a", None], object),
    "nested-object": column([[1, 2], {"a": (1,)}, {3}], object),
    "exact-object": column([Decimal("1.10"), dt.date(2020, 1, 1), float("nan")], object),
    "missing-object": column([pd.NA, pd.NaT, pd.Timestamp("2020", tz="Asia/Tokyo")], object),
    "span-object": column([pd.Timedelta(3, "s"), pd.Period("2020Q1"), pd.Interval(0, 1)], object),
    "array-object": column([np.arange(3), np.float32(1), b"x"], object),
    "arrow": column([1, None, 3], pd.ArrowDtype(pa.int16())),
    "arrow-list": column([[1], None, []], pd.ArrowDtype(pa.list_(pa.int64()))),
}
INDEXES = {
    "range": pd.RangeIndex(5, 11, 2, name="r"),
    "int32": pd.Index([3, 1, 2], dtype="int32"),
    "float": pd.Index([0.5, np.nan, 2.0], name=("a", 1)),
    "text": pd.Index(["a", "b", "a"], name="key"),
    "objects": pd.Index([1, "a", None], dtype=object),
    "tuples": pd.Index([(1, 2), (3,), ()], tupleize_cols=False),
    "dates": pd.date_range("2020-01-31", periods=3, freq="ME", tz="UTC"),
    "dates-without-frequency": pd.DatetimeIndex(["2020-01-02", "2020-01-01", pd.NaT]),
    "spans": pd.timedelta_range("1h", periods=3, freq="2h", name=7),
    "periods": pd.period_range("2020Q1", periods=3, freq="Q"),
    "intervals": pd.interval_range(0, 3),
    "categories": pd.CategoricalIndex(["b", "a", "b"], categories=["b", "a", "c"], ordered=True),
    "nullable": pd.Index([1, None, 3], dtype="Int16"),
    "many": pd.MultiIndex.from_tuples(
        [("a", 1), ("b", np.nan), (None, 3)], names=["letter", ("n", 2)]
    ),
    "many-reordered": pd.MultiIndex([["b", "a"], [2, 1, 9]], [[1, 0, -1], [1, 0, 0]]),
    "many-unnamed": pd.MultiIndex.from_product(
        [pd.date_range("2020", periods=3, tz="UTC"), pd.CategoricalIndex(["x"])]
    ),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_of_every_kind_come_back(name: str) -> None:
    series = COLUMNS[name].rename("x")
    again = there_and_back(series)
    same(again, series)
    frame = pd.DataFrame({"a": series, 5: series}, index=pd.Index([3, 1, 2], name="i"))
    same(there_and_back(frame), frame)
    same(there_and_back(frame[:0]), frame[:0])
    assert [type(v) for v in again] == [type(v) for v in series]


@pytest.mark.parametrize("name", INDEXES)
def test_indexes_of_every_kind_come_back(name: str) -> None:
    index = INDEXES[name]
    same(there_and_back(index), index)
    frame = pd.DataFrame({"a": [1, 2, 3]}, index=index)
    same(there_and_back(frame), frame)
    wide = pd.DataFrame([[1, "a", 0.5]], columns=index)
    same(there_and_back(wide), wide)
    same(there_and_back(frame["a"]), frame["a"])


@settings(max_examples=60, deadline=None)
@given(
    frame=hpd.data_frames(
        [
            hpd.column("a", dtype=int),
            hpd.column("b", elements=st.one_of(st.none(), st.text(max_size=4)), dtype=object),
            hpd.column("c", dtype=float),
            hpd.column("d", elements=hnp.from_dtype(np.dtype("M8[us]")), dtype="M8[us]"),
        ],
        index=hpd.indexes(elements=st.integers(-5, 5)),
    )
)
def test_any_frame_comes_back_and_is_known_as_equal(frame: pd.DataFrame) -> None:
    same(there_and_back(frame), frame)
    same(there_and_back(frame.T), frame.T)


def test_equal_frames_are_known_as_equal_however_they_were_made() -> None:
    frame = pd.DataFrame({"n": [1, None, 3], "m": [1, 2, 3]}, dtype="Int64")
    masked = frame.copy()
    masked["n"] = pd.arrays.IntegerArray(np.array([1, 77, 3]), np.array([False, True, False]))
    parts = pd.concat([frame[:1], frame[1:]])
    strided = pd.DataFrame(np.arange(12).reshape(3, 4)[:, ::2], columns=["a", "b"])
    assert digest(frame) == digest(masked) == digest(parts) == digest(frame.copy())
    assert digest(strided) == digest(strided.copy())


def test_frames_that_differ_anywhere_are_told_apart() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    others = [
        frame,
        frame[::-1],
        frame[::-1].reset_index(drop=True),
        frame[["b", "a"]],
        frame.rename(columns={"a": "c"}),
        frame.rename(columns={"a": 1}),
        frame.rename_axis("i"),
        frame.rename_axis("i", axis=1),
        frame.astype({"a": "int32"}),
        frame.astype({"a": "Int64"}),
        frame.astype({"b": object}),
        frame.astype({"b": "category"}),
        frame.astype({"b": "string"}),
        frame.set_index("a"),
        frame.set_index("a", append=True),
        frame.set_axis(pd.Index([5, 0])),
        frame.fillna(""),
        frame[:0],
        frame[[]],
        frame["a"].to_frame(),
        frame.set_flags(allows_duplicate_labels=False),
    ]
    found = [digest(other) for other in others]
    assert len(set(found)) == len(found)
    assert digest(frame["a"]) != digest(frame["a"].array)
    for other in others:
        same(there_and_back(other), other)


def test_columns_may_have_the_same_name() -> None:
    frame = pd.DataFrame([[1, "a"], [2, "b"]], columns=["x", "x"])
    same(there_and_back(frame), frame)


@pytest.mark.parametrize(
    "scalar",
    [
        pd.Timestamp("2020-01-01 01:02:03.000000004"),
        pd.Timestamp("2020-10-25 01:30Z").as_unit("s").tz_convert("Europe/Berlin"),
        pd.Timestamp("2020-01-01", tz="UTC"),
        pd.Timedelta(-3, "ns"),
        pd.Timedelta(days=9).as_unit("s"),
        pd.Period("2020Q3"),
        pd.Period("2020-01-06", freq="W-MON"),
        pd.Interval(pd.Timestamp("2020"), pd.Timestamp("2021"), closed="both"),
        pd.NA,
        pd.NaT,
    ],
    ids=str,
)
def test_scalars_of_pandas_come_back(scalar: Any) -> None:
    form = values.save({"x": [scalar]}, "x")
    assert set(form.files) == {"value.json"}
    again: Any = values.load(form)
    assert type(again["x"][0]) is type(scalar)
    assert str(again["x"][0]) == str(scalar)
    assert getattr(again["x"][0], "unit", None) == getattr(scalar, "unit", None)
    assert scalar is pd.NA or scalar is pd.NaT or again["x"][0] == scalar


@pytest.mark.parametrize(
    "array", [pd.array([1, None]), pd.array(["a", None]), pd.Categorical(["a", "b"])], ids=str
)
def test_arrays_of_pandas_come_back(array: Any) -> None:
    again = there_and_back(array)
    assert type(again) is type(array)
    pd.testing.assert_extension_array_equal(again, array)


@pytest.mark.parametrize(
    ("series", "reason"),
    [
        (pd.Series(pd.arrays.SparseArray([0, 0, 1])), r"'price' .*Sparse"),
        (
            pd.Series(pd.to_datetime(["2020"]).tz_localize("dateutil/Europe/Berlin")),
            "'price'.*zone",
        ),
    ],
)
def test_a_column_that_is_not_kept_is_named(series: pd.Series, reason: str) -> None:
    with pytest.raises(Invalid, match=reason) as refused:
        values.save({"t": series.to_frame("price")}, "what step 'make' returned")
    assert "result['t']" in refused.value.message
    assert refused.value.hint


def test_what_an_object_column_holds_is_named_where_it_is() -> None:
    frame = pd.DataFrame({"a": [1, 2], "o": [1, object()]})
    with pytest.raises(Invalid, match=r"builtins\.object at result.*\[1\]"):
        values.save(frame, "x")


def test_frames_among_other_values_come_back() -> None:
    value = {"split": (pd.DataFrame({"a": [1]}), pd.Series([2.0])), "rate": 0.5}
    again = there_and_back(value)
    same(again["split"][0], value["split"][0])  # type: ignore[index]
    assert values.save(pd.DataFrame({"a": [1]}), "x").format == "pandas.frame"


@pytest.mark.parametrize("which", ["read_pickle", "io", "__doc__", 7])
def test_stored_bytes_cannot_ask_for_another_name_of_pandas(which: object) -> None:
    text = json.dumps({"$made": ["pandas.missing", {"which": which}]}).encode()
    with pytest.raises(Corrupt):
        values.load(Form("pandas.missing", {"value.json": text}))


def test_pandas_needs_no_pyarrow(tmp_path: Path) -> None:
    code = """
import sys
sys.modules["pyarrow"] = None
import pandas as pd
from trivet.pipelines.materialising.values import Values
values = Values()
times = pd.to_datetime(["2020", None], utc=True)
frame = pd.DataFrame({"s": ["a", None], "i": pd.array([1, None]), "t": times})
again = values.load(values.save(frame, "x"))
pd.testing.assert_frame_equal(again, frame)
assert frame["s"].dtype.storage == "python"
assert values.digest(frame, "x") == values.digest(again, "x")
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_parts_that_live_for_a_moment_are_told_apart() -> None:
    left = pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-03"])
    frames = [
        pd.DataFrame({"a": pd.arrays.IntervalArray.from_arrays(left, left + pd.Timedelta(days=n))})
        for n in (1, 2)
    ]
    seen = [{digest(frame) for _ in range(300)} for frame in frames]
    assert [len(one) for one in seen] == [1, 1]
    assert seen[0] != seen[1]


FRAME = pd.DataFrame({"a": [1, 2], "b": ["x", None]})


@pytest.mark.parametrize("value", [FRAME, FRAME["a"]], ids=["frame", "series"])
def test_what_is_noted_on_a_frame_comes_back_and_counts(value: Any) -> None:
    noted, other = value.copy(), value.copy()
    noted.attrs = {"unit": "kg", 3: (dt.date(2024, 1, 2), [np.arange(3)]), "nested": {"a": None}}
    other.attrs = {"unit": "lb"}
    again = there_and_back(noted)
    same(noted, again)
    again_array = again.attrs[3][1].pop()
    np.testing.assert_array_equal(again_array, np.arange(3))
    assert again.attrs == {"unit": "kg", 3: (dt.date(2024, 1, 2), []), "nested": {"a": None}}
    assert len({digest(value), digest(noted), digest(other)}) == 3


def test_what_is_noted_goes_with_a_frame_that_allows_no_label_twice() -> None:
    strict = FRAME.set_flags(allows_duplicate_labels=False)
    strict.attrs["unit"] = "kg"
    again = there_and_back(strict)
    assert again.attrs == {"unit": "kg"}
    assert not again.flags.allows_duplicate_labels


@pytest.mark.parametrize("value", [FRAME, FRAME["a"]], ids=["frame", "series"])
def test_notes_that_are_empty_leave_no_trace(value: Any) -> None:
    text = values.save(value, "a value").files["value.json"]
    assert isinstance(text, bytes)
    assert b"attrs" not in text
    emptied = value.copy()
    emptied.attrs = {"unit": "kg"}
    emptied.attrs.clear()
    assert digest(emptied) == digest(value)


def test_a_note_that_cannot_be_kept_is_refused_by_its_place() -> None:
    noted = FRAME.copy()
    noted.attrs["model"] = object()
    for act in (values.save, values.digest):
        with pytest.raises(Invalid, match=r"holds a builtins.object at result.attrs\['model'\]"):
            act(noted, "what step 'load' returned")


def test_metadata_on_the_dtype_of_a_column_is_refused_by_its_name() -> None:
    noted = pd.DataFrame({"a": np.zeros(2, np.dtype("f8", metadata={"unit": "kg"}))})
    with pytest.raises(Invalid, match="column 'a' has metadata on its dtype") as refused:
        digest(noted)
    assert "attrs" in refused.value.hint
