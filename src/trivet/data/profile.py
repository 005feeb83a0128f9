"""What a table looks like: one pass over its rows gives a profile that JSON can carry.

This is a numeric module: Polars is loaded with it. A profile holds no single row's values: text
is listed only where a value stands in at least five rows.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl

from trivet.core.errors import Invalid, NotFound
from trivet.data.columns import Kind, kind_of
from trivet.data.naming import suggest

LEVELS: Final = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""The levels of `ColumnProfile.quantiles`."""

_TOP_VALUES = 20
_LEAST_ROWS_LISTED = 5
_LONGEST_VALUE = 80
_MANY_INTEGERS = 50


class TopValue(msgspec.Struct, frozen=True):
    """A value (as text, at most 80 characters) and the rows it stands in."""

    value: str
    rows: int


_COLUMNS_AT_ONCE = 64
"""Planning a select takes time that grows with the square of its columns."""

# Polars leaves out a sort before a measure that knows no order, such as a length.
_IN_ORDER = pl.QueryOptFlags(check_order_observe=False)
_NUMBERS = "numbers"


class ColumnProfile(msgspec.Struct, frozen=True, kw_only=True):
    """One column. Figures are None where the column's kind has none, or no value is present.

    Numbers are in the column's own unit, booleans count as 0 and 1, dates and datetimes are
    seconds since 1970 (UTC; datetimes without a zone are read as UTC).
    """

    name: str
    kind: Kind
    type: str
    """The type's name in Polars."""
    rows: int
    missing: int
    """Null, and in columns of floats also NaN and infinite."""
    distinct: int | None = None
    """Different values among those present."""
    low: float | None = None
    high: float | None = None
    mean: float | None = None
    deviation: float | None = None
    """Standard deviation of the sample (n - 1)."""
    quantiles: tuple[float, ...] = ()
    """At `LEVELS`, linearly interpolated; empty when no value is present."""
    top: tuple[TopValue, ...] = ()
    """Text, booleans and integers with at most 50 values: the 20 commonest, most frequent first,
    of those that stand in at least five rows."""

    @property
    def present(self) -> int:
        """Rows that have a value."""
        return self.rows - self.missing

    @property
    def missing_share(self) -> float:
        """Share of rows without a value, 0 in a table without rows."""
        return self.missing / self.rows if self.rows else 0.0


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """A table: its rows, and each column in order."""

    rows: int
    columns: tuple[ColumnProfile, ...]

    def column(self, name: str) -> ColumnProfile:
        """Return the profile of one column.

        Raises:
            NotFound: The table has no such column.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise NotFound(
            f"the profile has no column {name!r}",
            code="no-column",
            hint=suggest(name, [column.name for column in self.columns]),
        )


def profile_table(frame: pl.DataFrame) -> Profile:
    """Profile every column of a table; each is read once.

    Example:
        >>> profile = profile_table(pl.DataFrame({"age": [31, None, 44]}))
        >>> profile.column("age").missing, profile.column("age").mean
        (1, 37.5)
    """
    measured: list[dict[str, Any]] = [{} for _ in range(frame.width)]
    for start in range(0, frame.width, _COLUMNS_AT_ONCE):
        for place, measure, value in _measured(frame, start):
            measured[place][measure] = value
    return Profile(
        rows=frame.height,
        columns=tuple(
            _column(name, dtype, frame.height, values)
            for (name, dtype), values in zip(frame.schema.items(), measured, strict=True)
        ),
    )


def _measured(frame: pl.DataFrame, start: int) -> Iterator[tuple[int, str, Any]]:
    """Yield (place, measure, value) of some columns, from one select over them."""
    columns = list(frame.schema.items())[start : start + _COLUMNS_AT_ONCE]
    measures = [
        expression.alias(f"{place}.{measure}")
        for place, (name, dtype) in enumerate(columns, start)
        for measure, expression in _measures(name, dtype)
    ]
    found = frame.lazy().select(measures).collect(optimizations=_IN_ORDER)
    numbers = [key for key in found.columns if key.endswith(f".{_NUMBERS}")]
    for key in numbers:
        place = int(key.partition(".")[0])
        for measure, value in zip(("mean", "deviation"), _moments(found[key][0]), strict=True):
            yield place, measure, value
    for key, value in found.drop(numbers).row(0, named=True).items():
        place, _, measure = key.partition(".")
        yield int(place), measure, value


def merge_profiles(first: Profile, second: Profile) -> Profile:
    """Profile the rows of both tables together, as far as that needs no second look at them.

    Rows, missing values, ranges, means and deviations are exact (pairwise updates: Chan, Golub
    and LeVeque, 1983). Distinct values, quantiles and top values cannot be merged and are left
    out.

    Raises:
        Invalid: The tables' columns or their types differ.
    """
    if [(c.name, c.type) for c in first.columns] != [(c.name, c.type) for c in second.columns]:
        raise Invalid(
            "the two profiles describe tables with different columns or types",
            code="other-columns",
            hint="Merge profiles of the same table alone; `compare_profiles` tells the difference.",
        )
    return Profile(
        rows=first.rows + second.rows,
        columns=tuple(map(_merge_columns, first.columns, second.columns)),
    )


def _measures(name: str, dtype: pl.DataType) -> Iterator[tuple[str, pl.Expr]]:
    kind = kind_of(dtype)
    column = pl.col(name)
    present = column.filter(column.is_finite()) if dtype.is_float() else column.drop_nulls()
    yield "present", present.len()
    if kind == "other":
        return
    yield "distinct", present.n_unique()
    if kind in {"text", "boolean", "integer"}:
        entry = pl.element().struct
        order = [entry.field("rows"), entry.field("value")]
        counts = present.alias("value").value_counts(name="rows").implode()
        # Equal counts come in no order: sorted whole, so that equal tables have equal profiles.
        ordered = counts.list.eval(pl.element().sort_by(order, descending=[True, False]))
        yield "top", ordered.list.head(_TOP_VALUES)
    if kind == "text":
        return
    number = _as_number(present, kind)
    yield "low", number.min()
    yield "high", number.max()
    yield "quantiles", number.quantile(list(LEVELS), interpolation="linear")
    yield _NUMBERS, number.sort().implode()


def _moments(numbers: pl.Series) -> tuple[float | None, float | None]:
    """Return mean and deviation of sorted numbers.

    A sum's last digit depends on how its terms are put together. Polars does that in pieces whose
    number is a matter of chance; NumPy adds one array in one way. Sorted, equal rows have equal
    profiles, whatever order they come in.
    """
    values = numbers.to_numpy()
    with np.errstate(over="ignore", invalid="ignore"):  # beyond the largest number: then None
        mean = float(values.mean()) if values.size else None
        deviation = float(values.std(ddof=1)) if values.size > 1 else None
    return mean, deviation


def _as_number(column: pl.Expr, kind: Kind) -> pl.Expr:
    if kind in {"date", "datetime"}:
        return column.dt.epoch("us") / 1e6
    return column.cast(pl.Float64)


def _column(name: str, dtype: pl.DataType, rows: int, measured: Mapping[str, Any]) -> ColumnProfile:
    present: int = measured["present"]
    kind = kind_of(dtype)
    distinct: int | None = measured.get("distinct")
    is_listed = kind != "integer" or (distinct or 0) <= _MANY_INTEGERS
    return ColumnProfile(
        name=name,
        kind=kind,
        type=str(dtype),
        rows=rows,
        missing=rows - present,
        distinct=distinct,
        low=_finite(measured.get("low")),
        high=_finite(measured.get("high")),
        mean=_finite(measured.get("mean")),
        deviation=_finite(measured.get("deviation")),
        quantiles=tuple(measured.get("quantiles") or ()) if present else (),
        top=tuple(_top_values(measured.get("top") or ())) if is_listed else (),
    )


def _top_values(counts: Iterable[Mapping[str, Any]]) -> Iterator[TopValue]:
    for item in counts:
        if item["rows"] >= _LEAST_ROWS_LISTED:
            value = item["value"]
            text = str(value).lower() if isinstance(value, bool) else str(value)
            yield TopValue(text[:_LONGEST_VALUE], item["rows"])


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _merge_columns(first: ColumnProfile, second: ColumnProfile) -> ColumnProfile:
    if not first.present or not second.present:
        told = first if first.present else second
        return msgspec.structs.replace(
            told, rows=first.rows + second.rows, missing=first.missing + second.missing
        )
    mean, deviation = _merge_moments(first, second)
    return ColumnProfile(
        name=first.name,
        kind=first.kind,
        type=first.type,
        rows=first.rows + second.rows,
        missing=first.missing + second.missing,
        low=None if first.low is None or second.low is None else min(first.low, second.low),
        high=None if first.high is None or second.high is None else max(first.high, second.high),
        mean=mean,
        deviation=deviation,
    )


def _merge_moments(
    first: ColumnProfile, second: ColumnProfile
) -> tuple[float | None, float | None]:
    if first.mean is None or second.mean is None:
        return None, None
    rows = first.present + second.present
    step = second.mean - first.mean
    squares = sum((c.deviation or 0.0) ** 2 * (c.present - 1) for c in (first, second))
    squares += step * step * first.present * second.present / rows
    return first.mean + step * second.present / rows, math.sqrt(squares / (rows - 1))
