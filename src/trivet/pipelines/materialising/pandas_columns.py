"""Columns of pandas: each taken apart into what Parquet holds and what it cannot say."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final, cast

from trivet.pipelines.materialisers import is_instance
from trivet.pipelines.materialising.arrays import has_metadata
from trivet.pipelines.materialising.structure import NoForm

Foreign = Any  # pandas is loaded only once one of its values is at hand

_PLAIN: Final = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"}
"""NumPy dtypes that a Parquet column holds exactly."""
_FEW_TEXTS: Final = 256


class Columns:
    """Takes columns apart: those of plain numbers and text into one table, others beside it.

    Args:
        owner: Whose columns they are, for the error.
    """

    def __init__(self, owner: object) -> None:
        self._owner = owner
        self._table: dict[str, Foreign] = {}
        self._beside: dict[str, object] = {}
        self._kinds: list[object] = []

    def add(self, array: Foreign, label: object) -> None:
        """Take the next column apart.

        Args:
            array: Its array, as pandas has it.
            label: Its name, for the error.

        Raises:
            NoForm: Its dtype has no form.
        """
        number = str(len(self._kinds))
        kind, content = self._taken(array, label)
        self._kinds.append(kind)
        if is_instance(content, "polars", "Series"):
            column = cast("Foreign", content)
            if len(column) <= _FEW_TEXTS and column.dtype == import_module("polars").String:
                self._beside[number] = column.to_list()  # the names of columns need no file
            else:
                self._table[number] = column.alias(number)
        else:
            self._beside[number] = content

    def parts(self) -> dict[str, object]:
        """Return what `columns_of` makes the columns of again."""
        table = import_module("polars").DataFrame(list(self._table.values()))
        found: dict[str, object] = {"kinds": self._kinds, "table": table if self._table else None}
        return {**found, "beside": self._beside} if self._beside else found

    def _taken(self, array: Foreign, label: object) -> tuple[object, object]:
        dtype = array.dtype
        name = type(dtype).__name__
        if name == "NumpyEADtype" or isinstance(dtype, import_module("numpy").dtype):
            return _taken_numpy(self._without_metadata(array.to_numpy(), label))
        if name.removesuffix("Dtype") in _MASKED:
            return ["masked", str(dtype)], _unmasked(array, dtype)
        if name in _TAKEN:
            return _TAKEN[name](array, dtype)
        if name == "DatetimeTZDtype":
            zone = zone_of(dtype, self._owner, f"its column {label!r}")
            return ["zoned", dtype.unit, zone], import_module("polars").Series(array.asi8)
        raise NoForm(
            self._owner,
            f"its column {label!r} has the dtype {dtype}, which is not kept",
            f"Cast it: frame[{label!r}].astype(...) to numbers, text, times or categories.",
        )

    def _without_metadata(self, array: Foreign, label: object) -> Foreign:
        if has_metadata(array.dtype):
            raise NoForm(
                self._owner,
                f"its column {label!r} has metadata on its dtype {array.dtype}, which is not kept",
                "Note it in attrs instead, and give the column a dtype without it: "
                f"frame[{label!r}].to_numpy().astype({array.dtype.str!r}).",
            )
        return array


def zone_of(dtype: Foreign, owner: object, what: str) -> str:
    """Return the name of a time zone that gives the same zone back.

    Raises:
        NoForm: Its name does not.
    """
    pandas = import_module("pandas")
    zone = str(dtype.tz)
    try:
        again = pandas.DatetimeTZDtype(dtype.unit, zone)
    except (ValueError, LookupError, TypeError):
        again = None
    if again is None or again != dtype or type(again.tz) is not type(dtype.tz):
        raise NoForm(
            owner,
            f"{what} has the time zone {zone!r} of {type(dtype.tz).__module__}, which its name "
            "does not give back",
            "Convert it: tz_convert('UTC'), or use a zone's name such as 'Europe/Berlin'.",
        )
    return zone


_MASKED: Final = {
    *("Boolean", "Float32", "Float64", "Int8", "Int16", "Int32", "Int64"),
    *("UInt8", "UInt16", "UInt32", "UInt64"),
}


def _taken_numpy(array: Foreign) -> tuple[object, object]:
    polars = import_module("polars")
    said = array.dtype.str
    if array.dtype.kind in {"M", "m"}:
        return ["numpy", said], polars.Series(array.view("int64"))
    if said[1:] in _PLAIN and array.dtype.isnative:
        return ["numpy", said], polars.Series(array)
    if not array.dtype.hasobject:
        return ["beside"], array
    values: list[object] = array.tolist()
    if all(type(item) is str or item is None for item in values):
        return ["text"], polars.Series(values, dtype=polars.String)
    return ["object"], values


def _texts(array: Foreign) -> Foreign:
    polars = import_module("polars")
    if array.dtype.storage == "pyarrow":
        return polars.Series(array.__arrow_array__()).cast(polars.String)
    return polars.Series(array.to_numpy(dtype=object, na_value=None).tolist(), dtype=polars.String)


def _unmasked(array: Foreign, dtype: Foreign) -> Foreign:
    polars = import_module("polars")
    gaps = polars.Series(array.isna())
    zero = dtype.type(0)
    values = polars.Series(array.to_numpy(dtype=dtype.numpy_dtype, na_value=zero))
    return values.set(gaps, None) if gaps.any() else values


def _taken_category(array: Foreign, dtype: Foreign) -> tuple[object, object]:
    codes = import_module("numpy").asarray(array.codes)
    return ["category", dtype.ordered], {"codes": codes, "categories": dtype.categories}


def _taken_string(array: Foreign, dtype: Foreign) -> tuple[object, object]:
    missing = "NA" if dtype.na_value is import_module("pandas").NA else "nan"
    return ["string", dtype.storage, missing], _texts(array)


def _taken_period(array: Foreign, dtype: Foreign) -> tuple[object, object]:
    return ["period", freq_of(dtype)], import_module("polars").Series(array.asi8)


def freq_of(dtype: Foreign) -> str:
    """Return the frequency of a dtype of periods, as pandas reads it."""
    return str(dtype.name).removeprefix("period[").removesuffix("]")


def _taken_interval(array: Foreign, dtype: Foreign) -> tuple[object, object]:
    return ["interval", dtype.closed], {"left": array.left, "right": array.right}


def _taken_arrow(array: Foreign, _: Foreign) -> tuple[object, object]:
    pyarrow = import_module("pyarrow")
    content = array.__arrow_array__()
    is_chunked = isinstance(content, pyarrow.ChunkedArray)
    return ["arrow"], content if is_chunked else pyarrow.chunked_array([content])


_TAKEN: Final[Mapping[str, Callable[[Foreign, Foreign], tuple[object, object]]]] = {
    "CategoricalDtype": _taken_category,
    "StringDtype": _taken_string,
    "PeriodDtype": _taken_period,
    "IntervalDtype": _taken_interval,
    "ArrowDtype": _taken_arrow,
}


def columns_of(parts: Mapping[str, Any]) -> list[Foreign]:
    """Return the arrays of `Columns.parts`, in order; the table gives up each column it gave."""
    table, beside = parts["table"], parts.get("beside", {})
    found: list[Foreign] = []
    for position, kind in enumerate(parts["kinds"]):
        number = str(position)
        content = beside[number] if number in beside else table.drop_in_place(number)
        found.append(_RESTORE[kind[0]](content, *kind[1:]))
    return found


def _restore_numpy(content: Foreign, said: str) -> Foreign:
    numpy = import_module("numpy")
    array = content.to_numpy(writable=True)
    dtype = numpy.dtype(said)
    return array.view(dtype) if dtype.kind in {"M", "m"} else array.astype(dtype, copy=False)


def _restore_object(values: Foreign) -> Foreign:
    array = import_module("numpy").empty(len(values), dtype=object)
    for number, item in enumerate(values):  # at once, lists would become further dimensions
        array[number] = item
    return array


def _restore_zoned(content: Foreign, unit: str, zone: str) -> Foreign:
    pandas = import_module("pandas")
    naive = content.to_numpy(writable=True).view(f"M8[{unit}]")
    return pandas.DatetimeIndex(naive).tz_localize("UTC").tz_convert(zone).array


def _restore_category(content: Foreign, ordered: bool | None) -> Foreign:  # noqa: FBT001  # as stored
    pandas = import_module("pandas")
    dtype = pandas.CategoricalDtype(content["categories"], ordered=ordered)
    return pandas.Categorical.from_codes(content["codes"], dtype=dtype)


def _restore_string(content: Foreign, storage: str, missing: str) -> Foreign:
    pandas = import_module("pandas")
    dtype = pandas.StringDtype(storage, pandas.NA if missing == "NA" else float("nan"))
    return pandas.array(_restore_object(_list_of(content)), dtype=dtype)


def _list_of(content: Foreign) -> list[object]:
    return cast("list[object]", content if isinstance(content, list) else content.to_list())


def _as_it_is(content: Foreign) -> Foreign:
    return content


def _restore_text(content: Foreign) -> Foreign:
    return _restore_object(_list_of(content))


def _restore_arrow(content: Foreign) -> Foreign:
    return import_module("pandas").arrays.ArrowExtensionArray(content)


def _restore_masked(content: Foreign, name: str) -> Foreign:
    pandas, numpy = import_module("pandas"), import_module("numpy")
    dtype = pandas.api.types.pandas_dtype(name)
    mask = content.is_null().to_numpy(writable=True)
    filled = content.fill_null(False if name == "boolean" else 0)  # what is masked
    values = numpy.array(filled.to_numpy(), dtype=dtype.numpy_dtype)
    return dtype.construct_array_type()(values, mask)


def _restore_period(content: Foreign, freq: str) -> Foreign:
    pandas = import_module("pandas")
    return pandas.PeriodIndex.from_ordinals(content.to_numpy(writable=True), freq=freq).array


def _restore_interval(content: Foreign, closed: str) -> Foreign:
    pandas = import_module("pandas")
    return pandas.arrays.IntervalArray.from_arrays(content["left"], content["right"], closed)


_RESTORE: Final[Mapping[str, Callable[..., Foreign]]] = {
    "numpy": _restore_numpy,
    "beside": _as_it_is,
    "text": _restore_text,
    "object": _restore_object,
    "zoned": _restore_zoned,
    "category": _restore_category,
    "string": _restore_string,
    "masked": _restore_masked,
    "period": _restore_period,
    "interval": _restore_interval,
    "arrow": _restore_arrow,
}
