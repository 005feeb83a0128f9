"""From whole tables to the model's matrix, with the same bits as `rows` gives row by row.

Numeric: imports NumPy and Polars. The request path needs `rows` alone.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trivet.core.errors import Invalid
from trivet.core.ports import ArrowStream
from trivet.models.conversion import (
    DATE_PARTS,
    HIGHEST,
    date_parts,
    missing_value,
    out_of_range,
    read_date,
    unknown_category,
    wrong_type,
)
from trivet.models.facts import Input
from trivet.models.rows import Matrix, RowEncoder

Labels = npt.NDArray[np.float64]
Frame = pl.DataFrame | ArrowStream
"""A Polars frame, or anything else that speaks the Arrow C stream protocol."""


class Encoder(RowEncoder):
    """Turns tables, and rows, into float32 features.

    Example:
        >>> from trivet.models.facts import Signature
        >>> encoder = Encoder(
        ...     Signature(
        ...         inputs=(Input(name="city", type="category", categories=("Bern", "Rom")),),
        ...         task="binary",
        ...         target="rain",
        ...     )
        ... )
        >>> encoder.encode_frame(pl.DataFrame({"city": ["Rom", "Bern"]})).tolist()
        [[1.0], [0.0]]
        >>> encoder.encode_rows([{"city": "Rom"}]).tolist()
        [[1.0]]
    """

    def encode_frame(self, frame: Frame) -> Matrix:
        """Encode a table; columns that are no inputs are passed over.

        Args:
            frame: n rows with at least the columns of the signature.

        Returns:
            Shape (n, k), C order; k is `len(features)`.

        Raises:
            Invalid: A column is absent, of a wrong type, or holds a value that the signature
                refuses; `detail` has `field` and, where it applies, the number of such `rows`.
        """
        table = as_frame(frame)
        matrix = np.empty((table.height, len(self.features)), dtype=np.float32)
        at = 0
        for item in self.signature.inputs:
            for values in _columns_of(item, _column(table, item.name)):
                matrix[:, at] = values
                at += 1
        # Every missing value has the same bits, whatever NaN the table held.
        matrix[np.isnan(matrix)] = np.nan
        return matrix

    def acceptable(self, frame: Frame) -> pl.Series:
        """Say of each row whether its contract takes it: no gap and no category that it refuses.

        Raises:
            Invalid: A column is absent.
        """
        table = as_frame(frame)
        taken = pl.Series([True]).new_from_index(0, table.height)
        for item in self.signature.inputs:
            column = _column(table, item.name)
            if item.missing == "reject":
                taken &= column.is_not_null()
                if column.dtype.is_float():
                    taken &= column.is_not_nan().fill_null(value=False)
            if item.type == "category" and item.unknown == "reject":
                names = pl.Series(item.categories, dtype=pl.String)
                taken &= column.is_null() | column.cast(pl.String).is_in(names.implode())
        return taken

    def encode_target(self, frame: Frame) -> Labels:
        """Read the true answers out of a table.

        Returns:
            Shape (n,): the class's number for classification, the value for regression.

        Raises:
            Invalid: The target is absent or missing in a row, or is a class that the signature
                does not have.
        """
        name = self.signature.target
        target = _column(as_frame(frame), name)
        if target.null_count():
            raise Invalid(
                f"the target {name!r} is missing in {target.null_count()} of {len(target)} rows",
                code="missing-target",
                hint=f"Leave rows without an answer out: frame.drop_nulls({name!r}).",
                detail={"field": name, "rows": target.null_count()},
            )
        if self.signature.task == "regression":
            return _numbers(Input(name=name, type="number", missing="reject"), target)
        classes = self.signature.classes
        codes = _replaced(target.cast(pl.String), classes)
        if codes.null_count():
            raise Invalid(
                f"the target {name!r} has {codes.null_count()} rows of a class that the model "
                "does not know",
                code="unknown-class",
                hint=f"Its classes are {', '.join(map(repr, classes[:10]))}; retrain for others.",
                detail={"field": name, "rows": codes.null_count()},
            )
        return codes.to_numpy()

    def rows_of(self, frame: Frame) -> list[dict[str, Any]]:
        """Return a table's rows as a request would send them: plain JSON values.

        Dates become ISO 8601 text, NaN becomes null. Only the inputs are kept.
        """
        table = as_frame(frame).select(self.names)
        plain = table.with_columns(
            pl.col(name).dt.to_string("iso:strict" if isinstance(kind, pl.Datetime) else "iso")
            for name, kind in table.schema.items()
            if isinstance(kind, pl.Datetime | pl.Date)
        )
        plain = plain.with_columns(pl.col(pl.Decimal).cast(pl.Float64))
        return plain.with_columns(pl.col(pl.Float32, pl.Float64).fill_nan(None)).to_dicts()


def as_frame(frame: Frame) -> pl.DataFrame:
    """Read anything that speaks the Arrow C stream protocol as a Polars frame, without copying.

    Raises:
        Invalid: It does not.
    """
    if isinstance(frame, pl.DataFrame):
        return frame
    if hasattr(frame, "__arrow_c_stream__"):
        return pl.DataFrame(frame)
    raise Invalid(
        f"a table is a {type(frame).__name__}; expected a data frame",
        code="wrong-type",
        hint="Pass a Polars frame, or anything else with __arrow_c_stream__.",
    )


def _column(table: pl.DataFrame, name: str) -> pl.Series:
    try:
        return table.get_column(name)
    except pl.exceptions.ColumnNotFoundError:
        raise Invalid(
            f"the table has no column {name!r}",
            code="absent-field",
            hint=f"It has: {', '.join(table.columns[:30])}.",
            detail={"field": name},
        ) from None


def _columns_of(item: Input, column: pl.Series) -> tuple[npt.NDArray[Any], ...]:
    if item.missing == "reject" and column.null_count():
        raise _counted(missing_value(item), column.null_count())
    if column.dtype == pl.Null:
        nothing = np.full(len(column), np.nan)
        return (nothing,) * (len(DATE_PARTS) if item.type == "datetime" else 1)
    if item.type == "datetime":
        return _dates(item, column)
    if item.type == "category":
        return (_codes(item, column),)
    if item.type == "boolean":
        if column.dtype != pl.Boolean:
            raise _wrong_column(item, column)
        return (column.cast(pl.Float64).to_numpy(),)
    return (_numbers(item, column),)


def _numbers(item: Input, column: pl.Series) -> npt.NDArray[np.float64]:
    if not column.dtype.is_numeric():
        raise _wrong_column(item, column)
    values = column.cast(pl.Float64).to_numpy()
    missing = np.isnan(values)
    if item.missing == "reject" and missing.any():
        raise _counted(missing_value(item), int(missing.sum()))
    beyond = np.abs(values) > HIGHEST
    if beyond.any():
        raise _counted(out_of_range(item), int(beyond.sum()))
    if item.type == "integer" and column.dtype.is_float():
        broken = ~missing & (values != np.trunc(values))
        if broken.any():
            raise _counted(wrong_type(item, "number with a fraction"), int(broken.sum()))
    return values


def _codes(item: Input, column: pl.Series) -> npt.NDArray[np.float64]:
    is_text = isinstance(column.dtype, pl.String | pl.Categorical | pl.Enum)
    if not is_text and not column.dtype.is_integer():
        raise _wrong_column(item, column)
    text = column.cast(pl.String)
    codes = _replaced(text, item.categories)
    unknown = codes.is_null() & text.is_not_null()
    if item.unknown == "reject" and unknown.any():
        first = text.filter(unknown).item(0)
        raise _counted(unknown_category(item, first), int(unknown.sum()))
    return codes.to_numpy()


def _replaced(text: pl.Series, names: tuple[str, ...]) -> pl.Series:
    """Replace each name by its place among `names`, and every other text by null."""
    if not names:
        return pl.Series([None] * len(text), dtype=pl.Float64)
    codes = pl.Series(range(len(names)), dtype=pl.Float64)
    return text.replace_strict(
        pl.Series(names, dtype=pl.String), codes, default=None, return_dtype=pl.Float64
    )


def _dates(item: Input, column: pl.Series) -> tuple[npt.NDArray[Any], ...]:
    if column.dtype == pl.String:
        known = {
            text: date_parts(item, read_date(item, text))
            for text in column.unique().drop_nulls().to_list()
        }
        nothing = (np.nan,) * len(DATE_PARTS)
        parts = np.array([known.get(text, nothing) for text in column.to_list()], dtype=np.float64)
        return tuple(parts.reshape(len(column), len(DATE_PARTS)).T)
    if isinstance(column.dtype, pl.Date):
        days, minute = column, column.cast(pl.Int32) * 0
    elif isinstance(column.dtype, pl.Datetime):
        if column.dtype.time_zone:
            column = column.dt.convert_time_zone("UTC")
        days = column.dt.date()
        minute = 60 * column.dt.hour().cast(pl.Int32) + column.dt.minute()
    else:
        raise _wrong_column(item, column)
    parts = (days.cast(pl.Int32), days.dt.month(), days.dt.weekday(), minute)
    return tuple(part.cast(pl.Float64).to_numpy() for part in parts)


def _wrong_column(item: Input, column: pl.Series) -> Invalid:
    return wrong_type(item, f"column of {column.dtype}")


def _counted(error: Invalid, rows: int) -> Invalid:
    return Invalid(
        f"{error.message} (in {rows} rows)",
        code=error.code,
        hint=error.hint,
        detail={**error.detail, "rows": rows},
    )
