"""What a column is: types read from its text, and the few kinds that checks and models speak of.

This is a numeric module: Polars is loaded with it.
"""

from collections.abc import Callable
from typing import Literal

import polars as pl

Kind = Literal["integer", "number", "boolean", "text", "date", "datetime", "other"]

MISSING_WORDS = ("", "NA", "N/A", "null", "NULL", "NaN", "nan")
"""How files spell a value that is not there, after outer blanks are cut off."""

_SAMPLE_ROWS = 256

_DATES = (
    (r"^\d{4}-\d{1,2}-\d{1,2}$", "%Y-%m-%d"),
    (r"^\d{4}/\d{1,2}/\d{1,2}$", "%Y/%m/%d"),
    (r"^\d{1,2}\.\d{1,2}\.\d{4}$", "%d.%m.%Y"),
)
_SLASHED = r"^\d{1,2}/\d{1,2}/\d{4}$"
_DATETIMES = (
    (r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?$", "%Y-%m-%dT%H:%M:%S%.f"),
    (r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(\.\d+)?$", "%Y-%m-%d %H:%M:%S%.f"),
    (r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}$", "%Y-%m-%dT%H:%M"),
    (r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}$", "%Y-%m-%d %H:%M"),
)
_OFFSET = r"(Z|[+-]\d{2}:?\d{2})$"


_KINDS: dict[type[pl.DataType], Kind] = {
    pl.Boolean: "boolean",
    pl.Date: "date",
    pl.Datetime: "datetime",
    pl.String: "text",
    pl.Categorical: "text",
    pl.Enum: "text",
}


def kind_of(dtype: pl.DataType) -> Kind:
    """Name the kind of a Polars type; durations, times, lists and structs are `other`."""
    if dtype.is_integer():
        return "integer"
    if dtype.is_float() or dtype.is_decimal():
        return "number"
    return _KINDS.get(dtype.base_type(), "other")


def infer_type(column: pl.Series) -> pl.Series:
    """Give a column of strings the narrowest type that every one of its values has.

    Tried in this order: integer, number, boolean, date, datetime. Text otherwise, as it was.
    Days and months written with slashes are told apart only when one order fits every row.
    """
    cut = column.str.strip_chars()
    missing = cut.is_in(MISSING_WORDS).fill_null(value=True)
    column = column.set(missing, None)
    values = cut.filter(~missing)
    if values.is_empty():
        return column
    sample = values.head(_SAMPLE_ROWS)
    for parse in (_integers, _numbers, _booleans, _dates, _datetimes):
        # Most columns fail most types in their first rows: the full pass is for what may fit.
        if parse(sample) is not None and (typed := parse(values)) is not None:
            return _spread(typed, missing)
    return column


def _spread(values: pl.Series, missing: pl.Series) -> pl.Series:
    """Put the present values back between the missing ones."""
    if not missing.any():
        return values
    places = (~missing).cum_sum() - 1
    return values.gather(places.set(missing, None))


_Parser = Callable[[pl.Series], pl.Series | None]


def _integers(values: pl.Series) -> pl.Series | None:
    # Leading zeros are part of a code; 19 digits and more may not fit, and are no counts.
    if values.str.contains(r"^[+-]?(0\d|\d{19})").any():
        return None
    return _all_or_none(values.cast(pl.Int64, strict=False))


def _numbers(values: pl.Series) -> pl.Series | None:
    # Words such as `inf` would parse as well, and so would 19 digits of an identifier.
    if values.str.contains(r"^[+-]?(0\d|\d{19,}$|[A-Za-z])").any():
        return None
    return _all_or_none(values.cast(pl.Float64, strict=False))


def _booleans(values: pl.Series) -> pl.Series | None:
    lower = values.str.to_lowercase()
    return lower == "true" if lower.is_in(["true", "false"]).all() else None


def _dates(values: pl.Series) -> pl.Series | None:
    for pattern, form in _DATES:
        if values.str.contains(pattern).all():
            return _all_or_none(values.str.to_date(form, strict=False))
    if not values.str.contains(_SLASHED).all():
        return None
    orders = [values.str.to_date(form, strict=False) for form in ("%d/%m/%Y", "%m/%d/%Y")]
    fitting = [dates for dates in orders if dates.null_count() == 0]
    return fitting[0] if len(fitting) == 1 else None


def _datetimes(values: pl.Series) -> pl.Series | None:
    has_offset = bool(values.str.contains(_OFFSET).all())
    local = values.str.replace(_OFFSET, "") if has_offset else values
    for pattern, form in _DATETIMES:
        if local.str.contains(pattern).all():
            form_here = f"{form}%#z" if has_offset else form
            parsed = values.str.to_datetime(form_here, strict=False, time_unit="us")
            return _all_or_none(parsed)
    return None


def _all_or_none(parsed: pl.Series) -> pl.Series | None:
    return parsed if parsed.null_count() == 0 else None
