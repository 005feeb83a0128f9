"""pandas frames, series and indexes, by their columns: no pyarrow is needed.

Columns that Parquet can hold stand, by number, in one Polars frame; what Parquet cannot say of them
(dtype, zone, categories, the index) stands beside it. Equal frames give equal parts whatever lies
under a missing value.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final, cast

from trivet.core.errors import Corrupt
from trivet.pipelines.materialisers import is_instance
from trivet.pipelines.structure import NoForm

Foreign = Any  # pandas is loaded only once one of its values is at hand

_PLAIN: Final = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"}
"""NumPy dtypes that a Parquet column holds exactly."""
_FEW_TEXTS: Final = 256
_FORMATS: Final = {"DataFrame": "frame", "Series": "series", "Timestamp": "timestamp"}
_SCALARS: Final = {"Timedelta": "timedelta", "Period": "period", "Interval": "interval"}
_SINGLE: Final = {"NAType": "NA", "NaTType": "NaT"}


def format_of(value: object) -> str | None:
    """Return the format of a value of pandas itself, None for any other."""
    kind = type(value)
    if kind.__module__.partition(".")[0] != "pandas":
        return None
    name = kind.__name__
    if name in _SINGLE:
        return "pandas.missing"
    if is_instance(value, "pandas", "Index"):
        return "pandas.index"
    found = (_FORMATS | _SCALARS).get(name)
    if found is not None:
        return f"pandas.{found}"
    is_array = hasattr(kind, "dtype") and is_instance(
        value, "pandas.api.extensions", "ExtensionArray"
    )
    return "pandas.array" if is_array else None


def parts_of(value: Foreign, format_: str) -> dict[str, object]:
    """Return the parts of a value.

    Raises:
        NoForm: A column's dtype has no form; the reason names the column.
    """
    return _TAKE[format_](value)


def make(format_: str, parts: Mapping[str, Any]) -> object:
    """Put a value of `parts_of` together.

    Raises:
        Corrupt: The parts are none.
        ImportError: pandas, or pyarrow where it was used, is not installed.
    """
    if format_ not in _MAKE:
        raise Corrupt(f"{format_!r} is no format of pandas", hint="Run `trivet fsck`.")
    return _MAKE[format_](parts)


# ------------------------------------------------------------------------- columns


class _Columns:
    """Takes columns apart: those of plain numbers and text into one table, others beside it."""

    def __init__(self, owner: object) -> None:
        self._owner = owner
        self._table: dict[str, Foreign] = {}
        self._beside: dict[str, object] = {}
        self._kinds: list[object] = []

    def add(self, array: Foreign, label: object) -> None:
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
        table = import_module("polars").DataFrame(list(self._table.values()))
        found: dict[str, object] = {"kinds": self._kinds, "table": table if self._table else None}
        return {**found, "beside": self._beside} if self._beside else found

    def _taken(self, array: Foreign, label: object) -> tuple[object, object]:
        dtype = array.dtype
        name = type(dtype).__name__
        if name == "NumpyEADtype" or isinstance(dtype, import_module("numpy").dtype):
            return _taken_numpy(array.to_numpy())
        if name.removesuffix("Dtype") in _MASKED:
            return ["masked", str(dtype)], _unmasked(array, dtype)
        if name in _TAKEN:
            return _TAKEN[name](array, dtype)
        if name == "DatetimeTZDtype":
            zone = _zone_of(dtype, self._owner, f"its column {label!r}")
            return ["zoned", dtype.unit, zone], import_module("polars").Series(array.asi8)
        raise NoForm(
            self._owner,
            f"its column {label!r} has the dtype {dtype}, which is not kept",
            f"Cast it: frame[{label!r}].astype(...) to numbers, text, times or categories.",
        )


def _zone_of(dtype: Foreign, owner: object, what: str) -> str:
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
    return ["period", _freq_of(dtype)], import_module("polars").Series(array.asi8)


def _freq_of(dtype: Foreign) -> str:
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


def _columns_of(parts: Mapping[str, Any]) -> list[Foreign]:
    """Return the arrays of `_Columns.parts`, in order; the table gives up each column it gave."""
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


# ------------------------------------------------------------- frames, series, indexes


def _take_frame(frame: Foreign) -> dict[str, object]:
    columns = _Columns(frame)
    for position, label in enumerate(frame.columns):
        columns.add(frame.iloc[:, position].array, label)
    return {
        "index": frame.index,
        "columns": frame.columns,
        **columns.parts(),
        "duplicates": frame.flags.allows_duplicate_labels,
    }


def _make_frame(parts: Mapping[str, Any]) -> object:
    pandas = import_module("pandas")
    index = parts["index"]
    columns = {
        number: pandas.Series(array, index=index, dtype=array.dtype, copy=False)
        for number, array in enumerate(_columns_of(parts))
    }
    made = pandas.DataFrame(columns, index=index, copy=False)
    made.columns = parts["columns"]
    return made if parts["duplicates"] else made.set_flags(allows_duplicate_labels=False)


def _take_series(series: Foreign) -> dict[str, object]:
    columns = _Columns(series)
    columns.add(series.array, series.name)
    return {
        "index": series.index,
        "name": series.name,
        **columns.parts(),
        "duplicates": series.flags.allows_duplicate_labels,
    }


def _make_series(parts: Mapping[str, Any]) -> object:
    pandas = import_module("pandas")
    (array,) = _columns_of(parts)
    made = pandas.Series(array, index=parts["index"], name=parts["name"], dtype=array.dtype)
    return made if parts["duplicates"] else made.set_flags(allows_duplicate_labels=False)


def _take_array(array: Foreign) -> dict[str, object]:
    columns = _Columns(array)
    columns.add(array, "")
    return columns.parts()


def _take_index(index: Foreign) -> dict[str, object]:
    if is_instance(index, "pandas", "RangeIndex"):
        return {"range": [index.start, index.stop, index.step], "name": index.name}
    if is_instance(index, "pandas", "MultiIndex"):
        # As they are, unused ones too: code can see them, and slicing depends on their order.
        numpy = import_module("numpy")
        codes = [numpy.asarray(codes) for codes in index.codes]
        return {"levels": list(index.levels), "codes": codes, "names": list(index.names)}
    columns = _Columns(index)
    columns.add(index.array, index.name)
    freq = getattr(index, "freqstr", None)
    is_dated = not is_instance(index, "pandas", "PeriodIndex")
    return {"name": index.name, "freq": freq if is_dated else None, **columns.parts()}


def _make_index(parts: Mapping[str, Any]) -> object:
    pandas = import_module("pandas")
    if "range" in parts:
        return pandas.RangeIndex(*parts["range"], name=parts["name"])
    if "levels" in parts:
        return pandas.MultiIndex(
            [level.rename(None) for level in parts["levels"]], parts["codes"], names=parts["names"]
        )
    (array,) = _columns_of(parts)
    made = pandas.Index(array, dtype=array.dtype, name=parts["name"])
    if parts["freq"] is not None:
        made.freq = parts["freq"]
    return made


# -------------------------------------------------------------------------- scalars


def _take_missing(value: Foreign) -> dict[str, object]:
    return {"which": _SINGLE[type(value).__name__]}


def _make_missing(parts: Mapping[str, Any]) -> object:
    pandas = import_module("pandas")
    return {"NA": pandas.NA, "NaT": pandas.NaT}[parts["which"]]


def _take_timestamp(value: Foreign) -> dict[str, object]:
    pandas, numpy = import_module("pandas"), import_module("numpy")
    zone = value.tz and _zone_of(pandas.DatetimeTZDtype(value.unit, value.tz), value, "it")
    return {"at": int(value.asm8.astype(numpy.int64)), "unit": value.unit, "zone": zone}


def _make_timestamp(parts: Mapping[str, Any]) -> object:
    pandas, numpy = import_module("pandas"), import_module("numpy")
    naive = pandas.Timestamp(numpy.datetime64(parts["at"], parts["unit"]))
    return naive.tz_localize("UTC").tz_convert(parts["zone"]) if parts["zone"] else naive


def _take_timedelta(value: Foreign) -> dict[str, object]:
    return {"span": int(value.asm8.astype(import_module("numpy").int64)), "unit": value.unit}


def _make_timedelta(parts: Mapping[str, Any]) -> object:
    span = import_module("numpy").timedelta64(parts["span"], parts["unit"])
    return import_module("pandas").Timedelta(span)


def _take_period(value: Foreign) -> dict[str, object]:
    dtype = import_module("pandas").PeriodDtype(value.freq)
    return {"ordinal": value.ordinal, "freq": _freq_of(dtype)}


def _make_period(parts: Mapping[str, Any]) -> object:
    return import_module("pandas").Period(ordinal=parts["ordinal"], freq=parts["freq"])


def _make_interval(parts: Mapping[str, Any]) -> object:
    pandas = import_module("pandas")
    return pandas.Interval(parts["left"], parts["right"], parts["closed"])


def _take_interval(value: Foreign) -> dict[str, object]:
    return {"left": value.left, "right": value.right, "closed": value.closed}


_TAKE: Final[Mapping[str, Callable[[Foreign], dict[str, object]]]] = {
    "pandas.frame": _take_frame,
    "pandas.series": _take_series,
    "pandas.index": _take_index,
    "pandas.array": _take_array,
    "pandas.missing": _take_missing,
    "pandas.timestamp": _take_timestamp,
    "pandas.timedelta": _take_timedelta,
    "pandas.period": _take_period,
    "pandas.interval": _take_interval,
}
_MAKE: Final[Mapping[str, Callable[[Mapping[str, Any]], object]]] = {
    "pandas.frame": _make_frame,
    "pandas.series": _make_series,
    "pandas.index": _make_index,
    "pandas.array": lambda parts: _columns_of(parts)[0],
    "pandas.missing": _make_missing,
    "pandas.timestamp": _make_timestamp,
    "pandas.timedelta": _make_timedelta,
    "pandas.period": _make_period,
    "pandas.interval": _make_interval,
}
