"""The target column: what kind of question it asks, and whether a model can answer it at all.

This is a numeric module: Polars is loaded with it.
"""

from typing import Final, Literal

import msgspec
import polars as pl

from trivet.core.errors import Invalid
from trivet.data.columns import kind_of
from trivet.data.naming import suggest

LEAST_ROWS: Final = 50
"""Fewer labelled rows than this cannot be split, trained on and judged."""

_LEAST_ROWS_OF_CLASS = 5
_MOST_CLASSES = 100
_MOST_INTEGER_CLASSES = 10
_POSITIVE = ("1", "true", "yes", "y", "ja", "positive")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be predicted."""

    name: str
    task: Literal["binary", "multiclass", "regression"]
    rows: int
    """Labelled rows; rows without a target are not counted."""
    classes: tuple[str, ...] = ()
    """For classification, as text, sorted; for `binary` the second is the positive class."""
    shares: tuple[float, ...] = ()
    """Each class's share of the labelled rows."""


def inspect_target(frame: pl.DataFrame, target: str) -> Target:
    """Decide what kind of task a column asks for.

    Two values make a binary task: positive is 1, true or yes, otherwise the rarer value. Text with
    3 to 100 values, and integers with 3 to 10, make a multiclass task; other numbers a regression.

    Raises:
        Invalid: There is no such column (`no-target`); it has no values (`no-labels`), one value
            (`constant-target`), fewer than 50 labelled rows (`too-few-rows`), a class of fewer
            than five rows (`rare-class`), more than 100 classes (`too-many-classes`), a value of
            its own for each row (`target-is-key`), or is of a kind that cannot be predicted.
    """
    labels = _labels(frame, target)
    distinct = labels.n_unique()
    if distinct == 1:
        raise Invalid(
            f"the target {target!r} has one value in all {labels.len()} labelled rows; "
            "expected at least two",
            code="constant-target",
            hint="Add rows with another outcome, or choose another target.",
        )
    if labels.len() < LEAST_ROWS:
        raise Invalid(
            f"the table has {labels.len()} rows with a target; expected at least {LEAST_ROWS}",
            code="too-few-rows",
            hint="Collect more rows: from so few, a model cannot be told from luck.",
        )
    _check_is_no_key(labels, target, distinct)
    kind = kind_of(labels.dtype)
    is_measured = kind == "number" or (kind == "integer" and distinct > _MOST_INTEGER_CLASSES)
    if distinct > 2 and is_measured:
        return Target(name=target, task="regression", rows=labels.len())
    return _classification(labels, target)


def _labels(frame: pl.DataFrame, target: str) -> pl.Series:
    if target not in frame.columns:
        raise Invalid(
            f"there is no column {target!r} to predict",
            code="no-target",
            hint=suggest(target, frame.columns),
        )
    column = frame.get_column(target)
    kind = kind_of(column.dtype)
    if kind in {"date", "datetime", "other"} and column.null_count() < column.len():
        raise Invalid(
            f"the target {target!r} is of kind {kind}; expected a class or a number",
            code="bad-target",
            hint="Turn it into a number first, for example the days until it happens.",
        )
    labels = column.drop_nulls()
    labels = labels.filter(labels.is_finite()) if column.dtype.is_float() else labels
    if labels.is_empty():
        raise Invalid(
            f"the target {target!r} has no value in any of {column.len()} rows",
            code="no-labels",
            hint="Label some rows, or choose another target.",
        )
    return labels


def _check_is_no_key(labels: pl.Series, target: str, distinct: int) -> None:
    kind = kind_of(labels.dtype)
    rows = labels.len()
    is_key = kind == "text" and distinct > rows // 2
    if kind == "integer" and distinct == rows:
        low, high = labels.cast(pl.Float64).sort().gather([0, -1])
        is_key = high - low < 2 * rows  # a count of the rows, perhaps with gaps
    if is_key:
        raise Invalid(
            f"the target {target!r} has {distinct} different values in {rows} rows: "
            "it looks like an identifier",
            code="target-is-key",
            hint="Choose a column that repeats, or a measured number.",
        )


def _classification(labels: pl.Series, target: str) -> Target:
    counts = labels.value_counts(name="rows", sort=False).sort(labels.name)
    rows: list[int] = counts.get_column("rows").to_list()
    classes = [_as_text(value) for value in counts.get_column(labels.name)]
    if len(classes) > _MOST_CLASSES:
        raise Invalid(
            f"the target {target!r} has {len(classes)} classes; expected at most {_MOST_CLASSES}",
            code="too-many-classes",
            hint="Group rare classes, or choose another target.",
        )
    if min(rows) < _LEAST_ROWS_OF_CLASS:
        raise Invalid(
            f"a class of the target {target!r} stands in {min(rows)} rows; "
            f"expected at least {_LEAST_ROWS_OF_CLASS} of each of {len(classes)} classes",
            code="rare-class",
            hint="Collect more rows of it, merge it with another class, or drop its rows.",
        )
    if len(classes) == 2 and _first_is_positive(classes, rows):
        classes, rows = classes[::-1], rows[::-1]
    return Target(
        name=target,
        task="binary" if len(classes) == 2 else "multiclass",
        rows=labels.len(),
        classes=tuple(classes),
        shares=tuple(count / labels.len() for count in rows),
    )


def _first_is_positive(classes: list[str], rows: list[int]) -> bool:
    says_yes = [name.strip().lower() in _POSITIVE for name in classes]
    if says_yes[0] != says_yes[1]:
        return says_yes[0]
    return rows[0] < rows[1]


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
