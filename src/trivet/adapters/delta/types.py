"""Column types: what a table may hold, and its name in Arrow's words.

Delta Lake in its oldest protocol, which every engine reads, knows no unsigned integers, no
categories and no times without a zone. They are stored in the nearest type that loses nothing;
times get theirs back when they are read.
"""

from collections.abc import Mapping
from typing import Any

import polars as pl

from trivet.core.errors import Invalid

_SAME = (
    pl.Int8,
    pl.Int16,
    pl.Int32,
    pl.Int64,
    pl.Float32,
    pl.Float64,
    pl.Boolean,
    pl.String,
    pl.Binary,
    pl.Date,
)
_NEAREST: Mapping[type[pl.DataType], pl.DataType] = {
    pl.UInt8: pl.Int16(),
    pl.UInt16: pl.Int32(),
    pl.UInt32: pl.Int64(),
    pl.UInt64: pl.Int64(),
    pl.Float16: pl.Float32(),
    pl.Categorical: pl.String(),
    pl.Enum: pl.String(),
}
_WORDS: Mapping[type[pl.DataType], str] = {
    pl.Boolean: "bool",
    pl.String: "string",
    pl.Binary: "binary",
    pl.Date: "date32",
}
_UTC = pl.Datetime("us", "UTC")


def kept_type(column: str, given: pl.DataType) -> pl.DataType:
    """Return the type under which a column is read back.

    Raises:
        Invalid: No table can hold the type.
    """
    kind = type(given)
    if kind in _SAME:
        return given
    if kind in _NEAREST:
        return _NEAREST[kind]
    if isinstance(given, pl.Datetime):
        return pl.Datetime("us", given.time_zone)
    if isinstance(given, pl.Decimal):
        return pl.Decimal(given.precision, given.scale)
    if isinstance(given, pl.List | pl.Array):
        return pl.List(_inner_type(column, _type(given.inner)))
    if isinstance(given, pl.Struct):
        return pl.Struct(
            [
                pl.Field(field.name, _inner_type(column, _type(field.dtype)))
                for field in given.fields
            ]
        )
    raise _no_type(column, given)


def _inner_type(column: str, given: pl.DataType) -> pl.DataType:
    kept = kept_type(column, given)
    if isinstance(kept, pl.Datetime) and kept != _UTC:
        raise _no_type(column, given)  # its zone would have nowhere to be noted
    return kept


def store(frame: pl.DataFrame, kept: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Bring a frame to the order of `kept`, and its columns to their stored types.

    Raises:
        Invalid: A value does not fit, such as an unsigned integer above the signed ones.
    """
    return pl.DataFrame([_stored(frame.get_column(name), kind) for name, kind in kept.items()])


def _stored(column: pl.Series, kept: pl.DataType) -> pl.Series:
    try:
        column = column if column.dtype == kept else column.cast(kept)
    except pl.exceptions.InvalidOperationError as error:
        raise Invalid(
            f"column {column.name!r} has values of the type {column.dtype} that do not fit {kept}",
            code="bad-value",
            hint="Cast it to a type that holds every value.",
        ) from error
    if isinstance(kept, pl.Datetime) and kept.time_zone is None:
        return column.dt.replace_time_zone("UTC")
    if isinstance(kept, pl.Datetime) and kept.time_zone != "UTC":
        return column.dt.convert_time_zone("UTC")
    return column


def restore(frame: pl.DataFrame, words: Mapping[str, str]) -> pl.DataFrame:
    """Give times the zone, or none, that their column was described with."""
    return pl.DataFrame([_restored(column, words[column.name]) for column in frame])


def _restored(column: pl.Series, word: str) -> pl.Series:
    kind = column.dtype
    if not isinstance(kind, pl.Datetime) or word == type_word(kind):
        return column
    zone = word.partition("tz=")[2].rstrip("]")
    return column.dt.convert_time_zone(zone) if zone else column.dt.replace_time_zone(None)


def type_word(kind: pl.DataType) -> str:
    """Name a kept type as Arrow does, for example `timestamp[us, tz=UTC]` or `list<int64>`."""
    if isinstance(kind, pl.Datetime):
        return f"timestamp[us, tz={kind.time_zone}]" if kind.time_zone else "timestamp[us]"
    if isinstance(kind, pl.Decimal):
        return f"decimal128({kind.precision}, {kind.scale})"
    if isinstance(kind, pl.List):
        return f"list<{type_word(_type(kind.inner))}>"
    if isinstance(kind, pl.Struct):
        fields = (f"{field.name}: {type_word(_type(field.dtype))}" for field in kind.fields)
        return f"struct<{', '.join(fields)}>"
    return _WORDS.get(type(kind)) or str(kind).lower()


def _type(kind: Any) -> pl.DataType:
    """Return an instance, for Polars speaks of types by class or by instance."""
    return kind() if isinstance(kind, type) else kind


def _no_type(column: str, given: pl.DataType) -> Invalid:
    return Invalid(
        f"column {column!r} has the type {given}, which a table cannot hold",
        code="bad-column",
        hint="Cast it first: durations to integers, clock times to text, empty columns to the "
        "type they shall have, nested times to UTC.",
    )
