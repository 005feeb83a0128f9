"""Held-out rows: what a candidate is judged on, with their order in time and their groups.

Numeric: imports NumPy and Polars.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from trivet.core.errors import Invalid
from trivet.models.encoding import Encoder, Frame, Labels, as_frame
from trivet.models.facts import Signature

DAY_US = 86_400_000_000
Times = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Holdout:
    """Rows that no training saw, each with its true answer.

    Attributes:
        rows: The raw rows, n of them.
        labels: Shape (n,): class numbers, or values.
        groups: Shape (n,): one label per row for rows that belong together (a day, a customer);
            intervals count groups, not rows. None: every row stands alone.
        times: Shape (n,): event time, microseconds since 1970 (UTC). None: rows have no time.
        refused: How many rows with an answer were left out because the model's contract refuses
            them: a category it does not know, a gap it does not take.
    """

    rows: pl.DataFrame
    labels: Labels
    groups: npt.NDArray[Any] | None = None
    times: Times | None = None
    refused: int = 0

    @property
    def size(self) -> int:
        """How many rows there are."""
        return self.rows.height

    @property
    def days(self) -> Times | None:
        """The day of each row, counted from 1970 (UTC), or None when rows have no time."""
        return None if self.times is None else self.times // DAY_US

    @property
    def span_us(self) -> tuple[int | None, int | None]:
        """Event time of the first and the last row, or None."""
        if self.times is None:
            return None, None
        return int(self.times.min()), int(self.times.max())


def hold_out(
    frame: Frame, signature: Signature, *, time: str | None = None, group: str | None = None
) -> Holdout:
    """Read a table as held-out rows.

    Rows without an answer are passed over, and so are those that the contract refuses: they would
    get no answer when the model serves, either.

    Args:
        frame: Raw rows with the signature's target, and whatever else gates want to slice by.
        signature: Names the target and its classes.
        time: Column of event time (date or datetime).
        group: Column of groups. When None, rows of one day of `time` belong together.

    Raises:
        Invalid: A column is absent or of the wrong type, no row has an answer, or a row with an
            answer has no time or group.
    """
    table = as_frame(frame)
    if signature.target in table.columns:
        table = table.drop_nulls(signature.target)
    encoder = Encoder(signature)
    answered = table.height
    table = table.filter(encoder.acceptable(table))
    labels = encoder.encode_target(table)
    if not labels.size:
        raise Invalid(
            f"no held-out row has a {signature.target!r} and inputs that the model takes",
            code="too-few-rows",
            hint="Hold out rows whose answer is known by now, of the kinds it was trained on.",
            detail={"refused": answered},
        )
    times = None if time is None else row_times(table, time)
    groups = None if times is None else times // DAY_US
    if group is not None:
        column = _filled(table, group)
        groups = column.cast(pl.String).to_numpy()
    return Holdout(
        rows=table,
        labels=labels,
        groups=groups,
        times=times,
        refused=answered - table.height,
    )


def row_times(table: pl.DataFrame, name: str) -> Times:
    """Read a column of dates or datetimes as microseconds since 1970 (UTC).

    Raises:
        Invalid: It is absent, of another type, or not filled in every row.
    """
    column = _filled(table, name)
    if not isinstance(column.dtype, pl.Date | pl.Datetime):
        raise Invalid(
            f"column {name!r} is of type {column.dtype}; expected dates or datetimes",
            code="wrong-type",
            hint="Parse it when the data is published, or name another column.",
            detail={"field": name},
        )
    return column.cast(pl.Datetime("us")).cast(pl.Int64).to_numpy()


def _filled(table: pl.DataFrame, name: str) -> pl.Series:
    if name not in table.columns:
        raise Invalid(
            f"the held-out rows have no column {name!r}",
            code="absent-field",
            hint=f"They have: {', '.join(table.columns[:30])}.",
            detail={"field": name},
        )
    column = table.get_column(name)
    if column.null_count():
        raise Invalid(
            f"column {name!r} is missing in {column.null_count()} of {len(column)} held-out rows",
            code="missing-value",
            hint="Leave such rows out, or name another column.",
            detail={"field": name, "rows": column.null_count()},
        )
    return column
