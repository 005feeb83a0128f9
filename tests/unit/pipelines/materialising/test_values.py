"""Values of every kind a step may return: kept as files, known by content, the same again."""

import dataclasses
import datetime as dt
import fractions
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trivet.core.errors import Corrupt, Invalid, NotFound
from trivet.pipelines import materialisers
from trivet.pipelines.materialisers import Materialiser, records, register, registered
from trivet.pipelines.materialising.standard import LEAVES
from trivet.pipelines.materialising.values import Form, Values

values = Values()


def there_and_back(value: object) -> Any:
    return values.load(values.save(value, "a value"))


def digest(value: object) -> str:
    return values.digest(value, "a value")


@pytest.fixture
def frame() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "n": [1, None, 3],
            "x": [0.5, None, float("nan")],
            "s": ["a", None, "ü"],
            "b": [True, None, False],
            "d": [dt.date(2013, 1, 1), None, dt.date(2013, 1, 3)],
            "t": [dt.datetime(2013, 1, 1, tzinfo=dt.UTC), None, None],
            "l": [[1, 2], None, []],
            "st": [{"a": 1}, None, {"a": 3}],
            "c": pl.Series(["x", "y", "x"], dtype=pl.Categorical),
            "e": pl.Series(["x", "y", None], dtype=pl.Enum(["x", "y"])),
        }
    )


def test_frames_come_back_with_their_types(frame: pl.DataFrame) -> None:
    again = there_and_back(frame)
    assert again.schema == frame.schema
    assert again.equals(frame, null_equal=True)
    assert values.save(frame, "x").format == "frame.parquet"


def test_equal_frames_are_known_as_equal_however_they_were_made(frame: pl.DataFrame) -> None:
    chunked = pl.concat([frame[:1], frame[1:]], rechunk=False)
    sliced = pl.concat([frame, frame])[3:]
    # The same nulls, over other bytes.
    masked = frame.with_columns(
        n=pl.when(pl.Series([True, False, True])).then(pl.Series([1, 77, 3])),
        x=pl.when(pl.Series([True, False, True])).then(pl.Series([0.5, 88.0, float("nan")])),
    )
    for other in (chunked, sliced, masked, there_and_back(frame)):
        assert digest(other) == digest(frame)
        assert values.save(other, "x").files == values.save(frame, "x").files


def test_frames_that_differ_anywhere_are_told_apart(frame: pl.DataFrame) -> None:
    others = [
        frame,
        frame[::-1],
        frame.rename({"n": "m"}),
        frame.select(reversed(frame.columns)),
        frame.with_columns(pl.col("n").cast(pl.Int32)),
        frame.with_columns(n=pl.Series([1, 0, 3])),
        frame.with_columns(n=pl.Series([1, 3, None])),
        frame.with_columns(s=pl.Series(["a", "", "ü"])),
        frame.with_columns(s=pl.Series(["aü", None, ""])),
        frame.with_columns(l=pl.Series([[1], [2], []])),
        frame.clear(),
        frame.clear().select("n"),
    ]
    assert len({digest(other) for other in others}) == len(others)


@pytest.mark.parametrize(
    "kind",
    [
        *(pl.Int8, pl.UInt64, pl.Int128, pl.Float32, pl.Float64, pl.Decimal(10, 2), pl.Boolean),
        *(pl.Date, pl.Datetime("ms"), pl.Duration("us"), pl.Time, pl.Binary, pl.Categorical),
    ],
)
def test_columns_of_every_kind_are_known_by_their_values(kind: Any) -> None:
    def column(*numbers: int | None) -> pl.DataFrame:
        series = pl.Series("x", numbers, dtype=pl.Int8)
        if kind in {pl.Binary, pl.Categorical}:
            return series.cast(pl.String).cast(kind).to_frame()
        return series.cast(kind).to_frame()

    others = [(0, 1), (1, 0), (0, None), (None, 0), (1, None), (0,), (0, 1, None)]
    assert len({digest(column(*numbers)) for numbers in others}) == len(others)
    for numbers in others:
        assert digest(column(*numbers)) == digest(there_and_back(column(*numbers)))


def test_what_speaks_arrow_comes_back_as_a_frame(frame: pl.DataFrame) -> None:
    class Stream:
        def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
            return frame.__arrow_c_stream__(requested_schema)

    assert there_and_back(Stream()).equals(frame)
    # A step that is given the stream itself may call more of it than a frame has.
    assert digest(Stream()) == digest(Stream()) != digest(frame)


def test_series_come_back_with_their_names() -> None:
    series = pl.Series("age", [1, None, 3])
    again = there_and_back(series)
    assert again.name == "age"
    assert again.equals(series, null_equal=True)
    assert digest(series) != digest(series.to_frame())


@given(array=hnp.arrays(hnp.scalar_dtypes(), hnp.array_shapes(min_dims=0, min_side=0)))
def test_arrays_come_back_bit_for_bit(array: Any) -> None:
    again = there_and_back(array)
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    assert again.tobytes() == array.tobytes()
    assert digest(again) == digest(array)


def test_scalars_of_numpy_keep_their_type() -> None:
    for scalar in (np.float64(0.5), np.int32(3), np.bool_(True)):
        again = there_and_back(scalar)
        assert type(again) is type(scalar)
        assert again == scalar
    assert digest(np.float64(0.5)) != digest(0.5)
    assert digest(np.array(3)) != digest(np.int64(3))


def test_containers_may_hold_frames_arrays_and_plain_values(frame: pl.DataFrame) -> None:
    value = {"split": (frame[:1], frame[1:]), "edges": [np.arange(3)], "rate": 0.1, "raw": b"\x00"}
    form = values.save(value, "x")
    again: Any = values.load(form)
    assert form.format == "composite"
    assert again["split"][1].equals(frame[1:], null_equal=True)
    assert isinstance(again["split"], tuple)
    assert again["edges"][0].tolist() == [0, 1, 2]
    assert (again["rate"], again["raw"]) == (0.1, b"\x00")
    assert digest(value) == digest(again)


def test_many_parts_of_one_value_are_kept_apart() -> None:
    value = [np.arange(number) for number in range(12)]
    assert [part.tolist() for part in there_and_back(value)] == [part.tolist() for part in value]


@given(content=st.binary())
def test_bytes_come_back(content: bytes) -> None:
    assert there_and_back(content) == content


def test_plain_values_are_one_json_file() -> None:
    form = values.save({"a": [1, 2.5, None]}, "x")
    assert (form.format, dict(form.files)) == ("json", {"value.json": b'{"a":[1,2.5,null]}'})


@dataclasses.dataclass
class Split:
    train: list[int]
    at: dt.date


class Card(msgspec.Struct):
    title: str


def test_a_registered_materialiser_takes_the_place_of_an_earlier_one() -> None:
    split = Split([1], dt.date(2013, 3, 1))
    before = registered()
    try:
        register(records(Split))
        register(records(Split))
        assert len(registered()) == len(before) + 1
        assert there_and_back([split]) == [split]
        assert values.save(split, "x").format.startswith("record.")
    finally:
        materialisers._registered[:] = before


def test_records_of_other_rooms_come_back_where_they_are_known() -> None:
    ours = Values([records(Card, "card")])
    assert ours.load(ours.save(Card("a"), "x")) == Card("a")
    with pytest.raises(NotFound, match="'card'"):
        values.load(Form("card", {"record.json": b"{}"}))


def test_a_materialiser_is_four_functions() -> None:
    exact = Materialiser(
        format="fraction",
        accepts=lambda value: type(value) is fractions.Fraction,
        save=lambda value: {"fraction.txt": str(value).encode()},
        load=lambda files: fractions.Fraction(files["fraction.txt"].decode()),
    )
    ours = Values([exact])
    assert ours.load(ours.save({"third": fractions.Fraction(1, 3)}, "x")) == {
        "third": fractions.Fraction(1, 3)
    }


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (pl.DataFrame({"a": [1]}).lazy(), "Collect it"),
        (np.array([object()], dtype=object), "plain type"),
        (np.array([{}, 1], dtype=object), "plain type"),
        ((number for number in range(3)), "Return a list"),
        (fractions.Fraction(1, 3), "@step(pickle=True)"),
    ],
)
def test_what_cannot_be_stored_says_its_type_and_what_to_do(value: object, hint: str) -> None:
    with pytest.raises(Invalid, match=type(value).__name__) as refused:
        values.save({"a": value}, "what step 'make' returned")
    assert refused.value.code == "no-materialiser"
    assert hint in refused.value.hint
    assert "step 'make'" in refused.value.message


def test_a_frame_of_python_objects_cannot_be_stored() -> None:
    with pytest.raises(Invalid, match="column 'o'"):
        values.save(pl.DataFrame({"o": pl.Series([object()], dtype=pl.Object)}), "x")


@pytest.mark.parametrize(
    "form",
    [
        Form("frame.parquet", {"frame.parquet": b"no parquet"}),
        Form("frame.parquet", {}),
        Form("array.npy", {"array.npy": b"no array"}),
        Form("json", {}),
        Form("json", {"value.json": b"{"}),
        Form("composite", {"value.json": b'{"$part":["0","bytes"]}'}),
        Form("composite", {"value.json": b'{"$part":7}'}),
    ],
)
def test_damaged_files_are_damaged(form: Form) -> None:
    with pytest.raises(Corrupt):
        values.load(form)


def test_an_array_of_pickles_is_not_unpickled() -> None:
    import io

    stream = io.BytesIO()
    np.save(stream, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(Corrupt):
        values.load(Form("array.npy", {"array.npy": stream.getvalue()}))


def test_no_library_is_loaded_to_find_out_what_a_value_is() -> None:
    import subprocess

    code = (
        "import sys, pathlib, dataclasses\n"
        "from trivet.pipelines.materialising.values import Values\n"
        "@dataclasses.dataclass\nclass Held:\n    x: object\n"
        "v = Values(); value = {'a': (1, b'x'), 'b': Held(pathlib.Path(sys.argv[1]))};"
        "f = v.save(value, 'x'); v.load(f); v.digest(value, 'x');"
        "heavy = {'polars', 'numpy', 'pandas', 'pyarrow', 'scipy', 'torch', 'safetensors', 'PIL',"
        " 'sklearn', 'skops', 'lightgbm', 'xgboost', 'onnx', 'pydantic', 'cloudpickle'};"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code, __file__], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def test_a_path_is_known_by_the_content_of_file_or_folder(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        (folder / "sub").mkdir(parents=True)
        (folder / "sub" / "a.txt").write_text("1")
    assert digest(one / "sub" / "a.txt") == digest(two / "sub" / "a.txt")
    before = digest(one / "sub")
    assert before == digest(two / "sub")
    (one / "sub" / "b.txt").write_text("2")
    assert digest(one / "sub") != before


def test_each_standard_format_has_a_name_of_its_own() -> None:
    assert len({item.format for item in LEAVES}) == len(LEAVES)
