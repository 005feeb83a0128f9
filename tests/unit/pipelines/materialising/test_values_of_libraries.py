"""Arrays, Arrow, sparse matrices, models, pictures: what libraries make comes back as it was."""

import io
import json
from collections import Counter, OrderedDict, deque
from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from trivet.core.errors import Corrupt, Invalid, NotFound
from trivet.pipelines.materialising.values import Form, Values

values = Values()


def there_and_back(value: object) -> Any:
    return values.load(values.save(value, "a value"))


def digest(value: object) -> str:
    return values.digest(value, "a value")


# ------------------------------------------------------------------------ containers


@pytest.mark.parametrize(
    "value",
    [
        OrderedDict(b=1, a=[2]),
        Counter("aab"),
        deque([1, (2,)], maxlen=5),
        deque(),
        range(3, 10, 2),
        slice(1, None),
        bytearray(b"ab"),
        datetime(2020, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
        datetime(2020, 1, 1, tzinfo=timezone(timedelta(hours=1))),
    ],
    ids=lambda value: type(value).__name__,
)
def test_containers_of_the_standard_library_come_back(value: Any) -> None:
    again = there_and_back([value])[0]
    assert type(again) is type(value)
    assert again == value
    if isinstance(value, datetime):
        assert again.utcoffset() == value.utcoffset()
    if isinstance(value, deque):
        assert again.maxlen == value.maxlen
    assert digest(again) == digest(value)


# ---------------------------------------------------------------------------- NumPy

DTYPES = st.one_of(
    hnp.scalar_dtypes(),
    hnp.byte_string_dtypes(),
    hnp.unicode_string_dtypes(),
    hnp.array_dtypes(max_size=3),
)


@settings(deadline=None)
@given(
    array=hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)),
    fortran=st.booleans(),
)
def test_arrays_of_every_dtype_shape_and_order_come_back(array: Any, fortran: bool) -> None:
    array = np.asarray(array, order="F" if fortran else "C")
    again = there_and_back(array)
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    assert again.tobytes() == array.tobytes()
    if array.size > 1:
        assert again.flags.f_contiguous == array.flags.f_contiguous
    assert digest(again) == digest(array)


@settings(deadline=None)
@given(array=hnp.arrays(DTYPES, 1))
def test_scalars_of_every_dtype_come_back(array: Any) -> None:
    scalar = array[0]
    again = there_and_back([scalar])[0]
    assert type(again) is type(scalar)
    assert again.dtype == scalar.dtype
    assert again.tobytes() == scalar.tobytes()
    assert digest(again) == digest(scalar)


def test_a_list_of_scalars_is_one_file() -> None:
    assert set(values.save([np.float64(number) for number in range(50)], "x").files) == {
        "value.json"
    }


def test_arrays_that_differ_anywhere_are_told_apart() -> None:
    array = np.arange(6).reshape(2, 3)
    others = [
        array,
        np.asfortranarray(array),
        array.T.copy(),
        array.astype("i4"),
        array.astype("u8"),
        array.astype(">i8"),
        array.view("M8[s]"),
        array.view("M8[ns]"),
        array.reshape(3, 2),
        array.ravel(),
        array[:, ::-1],
        np.ma.array(array),
        np.ma.array(array, mask=array > 3),
        np.ma.array(array, mask=array > 3, fill_value=7),
        array.tolist(),
        [*array],
    ]
    assert len({digest(other) for other in others}) == len(others)


NOTED = np.dtype("f8", metadata={"unit": "kg"})


@pytest.mark.parametrize(
    "value",
    [
        np.zeros(3, NOTED),
        np.zeros(3, [("a", NOTED), ("b", "i4")]),
        np.zeros(3, [("a", NOTED, (2,))]),
        np.ma.MaskedArray(np.zeros(2, NOTED), [True, False]),
        [np.zeros(2, NOTED)] * 9,
    ],
    ids=["plain", "of a field", "of a field of arrays", "masked", "many arrays"],
)
def test_metadata_of_a_dtype_is_refused_and_not_lost(value: Any) -> None:
    for act in (values.save, values.digest):
        with pytest.raises(Invalid, match="has metadata, which is not kept") as refused:
            act(value, "a value")
        assert "without it" in refused.value.hint


def test_a_view_is_known_as_its_copy() -> None:
    whole = np.arange(10_000_000).reshape(1000, 10_000)
    for view in (whole[::2], whole[:, ::3], whole[::-1, ::-1], whole[5:7, 1:2]):
        assert digest(view) == digest(np.ascontiguousarray(view))


@settings(deadline=None)
@given(
    array=hnp.arrays(st.sampled_from(["i4", "f8", "M8[us]", "U3", "?"]), (3, 2)),
    mask=hnp.arrays(bool, (3, 2)),
    hard=st.booleans(),
)
def test_masked_arrays_come_back(array: Any, mask: Any, hard: bool) -> None:
    masked = np.ma.MaskedArray(array, mask, hard_mask=hard)
    again = there_and_back(masked)
    assert type(again) is np.ma.MaskedArray
    assert again.dtype == masked.dtype
    assert again.mask.tolist() == mask.tolist()
    assert again[~mask].tobytes() == masked[~mask].tobytes()
    assert (str(again.fill_value), again.hardmask) == (str(masked.fill_value), hard)
    assert digest(again) == digest(masked)


def test_what_lies_under_a_mask_tells_nothing_apart() -> None:
    mask = [False, True]
    assert digest(np.ma.array([1, 2], mask=mask)) == digest(np.ma.array([1, 3], mask=mask))


@pytest.mark.parametrize("missing", [{}, {"na_object": None}, {"na_object": float("nan")}])
def test_text_of_any_width_comes_back(missing: dict[str, Any]) -> None:
    kind = np.dtypes.StringDType(coerce=False, **missing)
    texts = ["a", "", "ü" * 50, "x"]
    if missing:
        texts[1] = missing["na_object"]
    array = np.array(texts, dtype=kind).reshape(2, 2)
    again = there_and_back(array)
    assert again.dtype == kind
    assert again.shape == (2, 2)
    assert str(again.tolist()) == str(array.tolist())


@pytest.mark.parametrize("count", [0, 1, 20])
def test_many_arrays_are_one_file(count: int) -> None:
    arrays = [np.full((n, 2), n, dtype="f4") for n in range(count)]
    again = there_and_back(arrays)
    assert [item.tobytes() for item in again] == [item.tobytes() for item in arrays]
    named = {f"layer/{n}": array for n, array in reversed(list(enumerate(arrays)))}
    form = values.save(named, "x")
    restored: Any = values.load(form)
    assert list(restored) == list(named)
    assert all(restored[name].tobytes() == named[name].tobytes() for name in named)
    assert digest(restored) == digest(named)
    if count:
        assert digest(named) != digest(dict(reversed(named.items()))) or count == 1
    if count == 20:
        assert set(form.files) == {"arrays.npz", "names.json"}


@pytest.mark.filterwarnings("ignore:the matrix subclass")
@pytest.mark.parametrize("kind", [np.matrix, np.rec.array])
def test_other_kinds_of_arrays_are_refused(kind: Any) -> None:
    with pytest.raises(Invalid, match="has no materialiser"):
        values.save(kind([[1, 2]]), "x")


# ---------------------------------------------------------------------------- SciPy


@pytest.mark.parametrize("layout", ["csr", "csc", "coo", "bsr", "dia"])
@pytest.mark.parametrize("family", ["matrix", "array"])
def test_sparse_matrices_come_back(layout: str, family: str) -> None:
    kind = getattr(scipy.sparse, f"{layout}_{family}")
    matrix = kind(np.array([[0, 1.5, 0], [2, 0, 0]]))
    again = there_and_back(matrix)
    assert type(again) is type(matrix)
    assert (again.dtype, again.shape) == (matrix.dtype, matrix.shape)
    assert (again != matrix).nnz == 0
    assert digest(again) == digest(matrix)


def test_a_sparse_matrix_without_a_file_form_says_what_to_do() -> None:
    with pytest.raises(Invalid, match="lil") as refused:
        values.save(scipy.sparse.lil_array((2, 2)), "x")
    assert "tocsr" in refused.value.hint


def test_a_crafted_matrix_is_not_unpickled() -> None:
    stream = io.BytesIO()
    np.savez(stream, format=np.array(object(), dtype=object))
    with pytest.raises(Corrupt):
        values.load(Form("sparse.npz", {"sparse.npz": stream.getvalue()}))
    stream = io.BytesIO()
    np.savez(stream, **{"0": np.array([{}], dtype=object)})
    said = json.dumps({"names": None, "count": 1}).encode()
    with pytest.raises(Corrupt):
        values.load(Form("arrays.npz", {"arrays.npz": stream.getvalue(), "names.json": said}))


# ---------------------------------------------------------------------------- Arrow

ARROW = [
    pa.table({"a": [1, None, 3], "b": ["x", "y", None]}, metadata={b"k": b"v"}),
    pa.table(
        {"a": pa.chunked_array([[1], [2, 3]]), "d": pa.array(["x", "y", "x"]).dictionary_encode()}
    ),
    pa.table({}),
    pa.table({"a": pa.array([], pa.decimal128(9, 2))}),
    pa.record_batch({"a": [[1], None, []], "s": [{"x": 1}, None, {"x": 2}]}),
    pa.record_batch({"a": pa.array([], pa.string())}),
    pa.array([1, None, 3], pa.uint8()),
    pa.array([], pa.timestamp("ns", "UTC")),
    pa.array(["a", "b", "a"]).dictionary_encode(),
    pa.chunked_array([["a"], ["b", None]]),
    pa.chunked_array([], pa.float16()),
    pa.array([{"a": 1}, None]),
]


@pytest.mark.parametrize("value", ARROW, ids=lambda value: type(value).__name__)
def test_arrow_comes_back_as_what_it_was(value: Any) -> None:
    again = there_and_back({"x": value})["x"]
    assert type(again) is type(value)
    assert again.equals(value)
    if hasattr(value, "schema"):
        assert again.schema.equals(value.schema, check_metadata=True)
    assert digest(again) == digest(value)


def test_equal_arrow_is_known_as_equal_however_it_is_chunked() -> None:
    whole = pa.table({"a": [1, 2, 3, 4]})
    chunked = pa.concat_tables([whole[:1], whole[1:]])
    sliced = pa.table({"a": [0, 1, 2, 3, 4]})[1:]
    assert digest(whole) == digest(chunked) == digest(sliced)
    others = [whole, whole.take([1, 0, 2, 3]), whole.to_batches()[0]]
    others += [whole.column(0), whole.column(0).chunk(0), whole.rename_columns(["b"])]
    others += [whole.cast(pa.schema({"a": pa.int32()})), whole.replace_schema_metadata({"k": "v"})]
    others += [pl.DataFrame(whole)]
    assert len({digest(other) for other in others}) == len(others)


def test_an_arrow_that_runs_code_when_it_reads_is_not_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    form = values.save(pa.table({"a": [1]}), "x")
    monkeypatch.setattr(pa, "__version__", "14.0.0")
    with pytest.raises(NotFound, match="pyarrow"):
        values.load(form)


def test_damaged_arrow_is_damaged() -> None:
    with pytest.raises(Corrupt):
        values.load(Form("arrow", {"Table.arrows": b"no arrow"}))


def test_a_relation_of_duckdb_comes_back_as_a_polars_frame() -> None:
    relation = duckdb.sql("select 1 as a, 'x' as b")
    assert there_and_back(relation).equals(
        pl.DataFrame({"a": [1], "b": ["x"]}, {"a": pl.Int32, "b": pl.String})
    )


# --------------------------------------------------------------------------- XGBoost

ROWS = np.random.default_rng(1).normal(size=(50, 3))
TARGET = (ROWS[:, 0] + ROWS[:, 1] > 0).astype(int)


def test_a_booster_of_xgboost_comes_back_with_the_same_answers() -> None:
    data = xgboost.DMatrix(ROWS, TARGET, feature_names=["a", "b", "c"])
    booster = xgboost.train({"objective": "binary:logistic", "max_depth": 3}, data, 5)
    booster.set_attr(note="x")
    again = there_and_back({"model": booster})["model"]
    assert type(again) is xgboost.Booster
    assert again.predict(data).tobytes() == booster.predict(data).tobytes()
    assert again.feature_names == booster.feature_names
    assert again.attributes() == booster.attributes()
    assert digest(again) == digest(booster)


@pytest.mark.parametrize("kind", ["XGBClassifier", "XGBRegressor", "XGBRFClassifier"])
def test_estimators_of_xgboost_come_back_fitted_or_not(kind: str) -> None:
    model = getattr(xgboost, kind)(n_estimators=4, max_depth=2, random_state=3, missing=-1.0)
    blank = there_and_back(model)
    assert type(blank) is type(model)
    assert blank.get_params() == model.get_params()
    model.fit(ROWS, TARGET)
    again = there_and_back(model)
    assert again.get_params() == model.get_params()
    assert again.predict(ROWS).tobytes() == model.predict(ROWS).tobytes()
    assert again.n_features_in_ == 3
    if kind == "XGBClassifier":
        assert again.classes_.tolist() == [0, 1]
    again.fit(ROWS, TARGET)
    assert again.predict(ROWS).tobytes() == model.predict(ROWS).tobytes()


def test_a_function_among_the_parameters_of_a_model_is_refused() -> None:
    with pytest.raises(Invalid, match="XGBRegressor") as refused:
        values.save(xgboost.XGBRegressor(objective=lambda a, b: (a, b)), "x")
    assert "not a function" in refused.value.hint


def test_a_damaged_booster_is_damaged() -> None:
    with pytest.raises(Corrupt):
        values.load(Form("xgboost.ubj", {"model.ubj": b"{}no", "config.json": b"{}"}))


# ---------------------------------------------------------------------------- Pillow


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_pictures_come_back_pixel_by_pixel(mode: str) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (5, 7, 4), dtype="u1")
    colours = Image.fromarray(noise)
    image = (
        Image.fromarray(noise[:, :, 0].astype("u2") * 200)
        if mode == "I;16"
        else colours.convert(mode)
    )
    again = there_and_back(image)
    assert type(again) is Image.Image
    assert (again.mode, again.size) == (image.mode, image.size)
    assert again.tobytes() == image.tobytes()
    assert again.getpalette() == image.getpalette()
    assert digest(again) == digest(image)


def test_a_picture_that_png_does_not_hold_says_what_to_do() -> None:
    with pytest.raises(Invalid, match="CMYK") as refused:
        values.save(Image.new("CMYK", (2, 2)), "x")
    assert "convert" in refused.value.hint


# ------------------------------------------------------------------ what is not there


def test_a_value_whose_library_is_gone_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    form = values.save(pa.table({"a": [1]}), "x")
    for name in [name for name in sys.modules if name.partition(".")[0] == "pyarrow"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(NotFound, match="pyarrow"):
        values.load(form)


def test_large_values_are_kept_on_disk_and_not_in_memory() -> None:
    array = np.zeros(40 << 20, dtype="u1")
    form = values.save(array, "x")
    (content,) = form.files.values()
    assert not isinstance(content, bytes)
    again: Any = values.load(form)
    assert again.shape == array.shape
    frame = pl.DataFrame({"x": np.random.default_rng(1).random(3 << 20)})
    form = values.save(frame, "x")
    (content,) = form.files.values()
    assert not isinstance(content, bytes)
    assert frame.equals(values.load(form))  # type: ignore[arg-type]
