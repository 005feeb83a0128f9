"""pandas frames, series and indexes, by their columns: no pyarrow is needed.

Columns that Parquet can hold stand, by number, in one Polars frame; what Parquet cannot say of them
(dtype, zone, categories, the index) stands beside it. Equal frames give equal parts whatever lies
under a missing value.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final

from trivet.core.errors import Corrupt
from trivet.pipelines.materialisers import is_instance
from trivet.pipelines.materialising.pandas_columns import (
    Columns,
    Foreign,
    columns_of,
    freq_of,
    zone_of,
)

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


# ------------------------------------------------------------- frames, series, indexes


def _take_frame(frame: Foreign) -> dict[str, object]:
    columns = Columns(frame)
    for position, label in enumerate(frame.columns):
        columns.add(frame.iloc[:, position].array, label)
    return {
        "index": frame.index,
        "columns": frame.columns,
        **columns.parts(),
        "duplicates": frame.flags.allows_duplicate_labels,
        **_attributes(frame),
    }


def _make_frame(parts: Mapping[str, Any]) -> object:
    pandas = import_module("pandas")
    index = parts["index"]
    columns = {
        number: pandas.Series(array, index=index, dtype=array.dtype, copy=False)
        for number, array in enumerate(columns_of(parts))
    }
    made = pandas.DataFrame(columns, index=index, copy=False)
    made.columns = parts["columns"]
    return _noted(made, parts)


def _take_series(series: Foreign) -> dict[str, object]:
    columns = Columns(series)
    columns.add(series.array, series.name)
    return {
        "index": series.index,
        "name": series.name,
        **columns.parts(),
        "duplicates": series.flags.allows_duplicate_labels,
        **_attributes(series),
    }


def _make_series(parts: Mapping[str, Any]) -> object:
    pandas = import_module("pandas")
    (array,) = columns_of(parts)
    made = pandas.Series(array, index=parts["index"], name=parts["name"], dtype=array.dtype)
    return _noted(made, parts)


def _attributes(value: Foreign) -> dict[str, object]:
    """Return what was noted on a frame or series by hand: a unit, a source."""
    return {"attrs": value.attrs} if value.attrs else {}


def _noted(made: Foreign, parts: Mapping[str, Any]) -> object:
    if not parts["duplicates"]:
        made = made.set_flags(allows_duplicate_labels=False)
    if "attrs" in parts:
        made.attrs = parts["attrs"]
    return made


def _take_array(array: Foreign) -> dict[str, object]:
    columns = Columns(array)
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
    columns = Columns(index)
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
    (array,) = columns_of(parts)
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
    zone = value.tz and zone_of(pandas.DatetimeTZDtype(value.unit, value.tz), value, "it")
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
    return {"ordinal": value.ordinal, "freq": freq_of(dtype)}


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
    "pandas.array": lambda parts: columns_of(parts)[0],
    "pandas.missing": _make_missing,
    "pandas.timestamp": _make_timestamp,
    "pandas.timedelta": _make_timedelta,
    "pandas.period": _make_period,
    "pandas.interval": _make_interval,
}
