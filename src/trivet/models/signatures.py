"""Finding a model's contract in its training table: inputs, target, task.

Numeric: imports Polars.
"""

import difflib
import re
from collections.abc import Collection, Iterable
from typing import Any, Final, Literal

import polars as pl

from trivet.core.errors import Invalid
from trivet.models.encoding import Frame, as_frame
from trivet.models.facts import Input, InputType, Signature, Task

MIN_ROWS: Final = 50
_MAX_CLASSES: Final = 100
_ROWS_PER_CLASS: Final = 5
_ID_NAME: Final = re.compile(r"(?:^|_)(?:id|key|uuid|guid|index|rownum|row_number)$", re.IGNORECASE)


def fit_signature(  # noqa: PLR0913  # each keyword is a choice a person may want to make
    frame: Frame,
    target: str,
    task: Task | None = None,
    *,
    drop: Collection[str] = (),
    categories: Collection[str] = (),
    positive: object = None,
    unknown: Literal["missing", "reject"] = "reject",
    allow_missing: bool | None = None,
    max_categories: int = 256,
) -> Signature:
    """Describe what a model trained on this table takes and answers.

    Columns that cannot help are left out, each with its reason in `Signature.left_out`: constant
    or empty ones, identifiers, free text, copies of the target.

    Args:
        frame: The training table, raw: n >= 50 rows with the target among its columns.
        target: The column to predict. Rows without it are passed over.
        task: What kind of answer; when None, two values make it `binary`, other text
            `multiclass`, other numbers `regression`.
        drop: Columns to leave out.
        categories: Columns of whole numbers that are names rather than amounts (a shop's number).
        positive: For `binary`: the value that counts as positive; the greater one when None.
        unknown: What a request with a category that is not in this table meets.
        allow_missing: Whether values may be missing; when None, where they are in this table.
        max_categories: Text with more different values is left out.

    Raises:
        Invalid: The target is absent (`no-target`), constant (`constant-target`) or does not suit
            the task (`wrong-target`); there are too few rows (`too-few-rows`) or no column is
            left (`no-inputs`).
    """
    table = as_frame(frame)
    _check_columns(table, target, (*drop, *categories))
    table = table.drop_nulls(target)
    if table.height < MIN_ROWS:
        raise Invalid(
            f"the table has {table.height} rows with a {target!r}; expected at least {MIN_ROWS}",
            code="too-few-rows",
            hint="Bring more rows; with so few nobody could tell a good model from luck.",
        )
    goal = table.get_column(target)
    if goal.n_unique() == 1:
        raise Invalid(
            f"the target {target!r} has the same value in all {table.height} rows; expected at "
            "least two different ones",
            code="constant-target",
            hint="Choose another column, or bring rows with other outcomes.",
        )
    task = task or infer_task(goal)
    left_out: dict[str, str] = {}
    inputs: list[Input] = []
    for column in table.get_columns():
        if column.name == target:
            continue
        reason = "left out by request" if column.name in drop else _why_not(column, goal)
        kind = _type_of(column, categories, max_categories)
        if reason or kind is None:
            left_out[column.name] = reason or _too_much(column)
        else:
            missing = bool(column.null_count()) if allow_missing is None else allow_missing
            inputs.append(_input(column, kind, unknown=unknown, missing=missing))
    if not inputs:
        raise Invalid(
            f"no column of the table can be an input: {left_out}",
            code="no-inputs",
            hint="Bring columns of numbers, dates, or text with few different values.",
        )
    return Signature(
        inputs=tuple(inputs),
        task=task,
        target=target,
        classes=_classes(goal, task, positive),
        left_out=left_out,
    )


def infer_task(target: pl.Series) -> Task:
    """Guess the kind of answer from a target's values; see `fit_signature`."""
    distinct = target.drop_nulls().n_unique()
    if distinct <= 2:
        return "binary"
    return "regression" if target.dtype.is_numeric() else "multiclass"


def looks_like_identifier(column: pl.Series) -> bool:
    """Whether a column names its rows rather than describing them.

    It has another value in every row, and is text, or whole numbers that rise or fall all along,
    leave few gaps, or are called an identifier.
    """
    rows = len(column)
    if column.null_count() or rows < MIN_ROWS or column.n_unique() < rows:
        return False
    if isinstance(column.dtype, pl.String):
        return True
    if not column.dtype.is_integer():
        return False
    low, high = _range(column)
    is_dense = high - low < 2 * rows
    is_counting = column.is_sorted() or column.is_sorted(descending=True)
    return is_dense or is_counting or _ID_NAME.search(column.name) is not None


def _check_columns(table: pl.DataFrame, target: str, named: Iterable[str]) -> None:
    if target not in table.columns:
        same = [name for name in table.columns if name.casefold() == target.casefold()]
        near = same or difflib.get_close_matches(target, table.columns, n=1)
        meant = f"Did you mean {near[0]!r}? " if near else ""
        raise Invalid(
            f"the table has no column {target!r} to predict",
            code="no-target",
            hint=f"{meant}Its columns are: {', '.join(table.columns[:30])}.",
        )
    for name in named:
        if name not in table.columns:
            raise Invalid(
                f"the table has no column {name!r}",
                code="absent-field",
                hint=f"Its columns are: {', '.join(table.columns[:30])}.",
            )


def _why_not(column: pl.Series, target: pl.Series) -> str:
    """Say why a column cannot be an input whatever its type, or nothing."""
    values = column.drop_nulls()
    if values.is_empty():
        return "has no values"
    if values.n_unique() == 1 and not column.null_count():
        return "has the same value in every row"
    if looks_like_identifier(column):
        return "names the rows: it has another value in each"
    is_comparable = column.dtype == target.dtype and not column.dtype.is_nested()
    if is_comparable and column.equals(target.alias(column.name)):
        return "repeats the target"
    return ""


def _type_of(
    column: pl.Series, categories: Collection[str], max_categories: int
) -> InputType | None:
    kind = column.dtype
    if isinstance(kind, pl.Boolean):
        return "boolean"
    if isinstance(kind, pl.Date | pl.Datetime):
        return "datetime"
    is_text = isinstance(kind, pl.String | pl.Categorical | pl.Enum)
    if is_text or (column.name in categories and kind.is_integer()):
        return "category" if column.n_unique() <= max_categories else None
    if kind.is_integer():
        return "integer"
    return "number" if kind.is_numeric() else None


def _too_much(column: pl.Series) -> str:
    if isinstance(column.dtype, pl.String | pl.Categorical | pl.Enum) or column.dtype.is_integer():
        return f"has {column.n_unique()} different values, too many for categories"
    return f"is of type {column.dtype}, which is neither number, text nor date"


def _range(column: pl.Series) -> tuple[float, float]:
    low: Any = column.min()
    high: Any = column.max()
    return float(low), float(high)


def _input(
    column: pl.Series, kind: InputType, *, unknown: Literal["missing", "reject"], missing: bool
) -> Input:
    values = column.drop_nulls()
    low = high = None
    names: tuple[str, ...] = ()
    if kind in {"number", "integer"}:
        numbers = values.cast(pl.Float64).drop_nans()
        missing = missing or len(numbers) < len(values)
        if len(numbers):
            low, high = _range(numbers)
    if kind == "category":
        names = _names(values)
    return Input(
        name=column.name,
        type=kind,
        categories=names,
        missing="allow" if missing else "reject",
        unknown=unknown,
        low=low,
        high=high,
        example=_example(values, kind),
    )


def _names(values: pl.Series) -> tuple[str, ...]:
    """Return the different values as text: numbers in their own order, text in that of text."""
    if not values.dtype.is_numeric():
        values = values.cast(pl.String)
    return tuple(values.unique().sort().cast(pl.String).to_list())


def _example(values: pl.Series, kind: InputType) -> Any:  # noqa: ANN401  # any JSON value
    """Return a typical value, as a request would send it."""
    if kind in {"category", "boolean"}:
        common: Any = values.mode().sort().item(0)
        return common if kind == "boolean" else str(common)
    if kind == "datetime":
        return values.sort().item(len(values) // 2).isoformat()
    middle: Any = values.drop_nans().quantile(0.5, interpolation="nearest")
    return int(middle) if kind == "integer" else float(middle)


def _classes(target: pl.Series, task: Task, positive: object) -> tuple[str, ...]:
    if task == "regression":
        if not target.dtype.is_numeric():
            raise _wrong_target(target, task, "numbers")
        return ()
    names = _names(target)
    if task == "binary" and len(names) != 2:
        raise _wrong_target(target, task, "two different values")
    most = min(_MAX_CLASSES, len(target) // _ROWS_PER_CLASS)
    if task == "multiclass" and not 3 <= len(names) <= most:
        raise _wrong_target(target, task, f"3 to {most} different values")
    if positive is None:
        return names
    wanted = pl.Series([positive], dtype=target.dtype, strict=False).cast(pl.String).item(0)
    if task != "binary" or wanted not in names:
        raise Invalid(
            f"positive is a {type(positive).__name__} that the target {target.name!r} does not "
            "hold; expected one of its two values",
            code="wrong-target",
            hint=f"Pass one of {', '.join(names[:10])}.",
        )
    return tuple(sorted(names, key=lambda name: name == wanted))


def _wrong_target(target: pl.Series, task: Task, expected: str) -> Invalid:
    return Invalid(
        f"the target {target.name!r} is a column of {target.dtype} with {target.n_unique()} "
        f"different values; expected {expected} for {task}",
        code="wrong-target",
        hint="Choose another target, or pass task='binary', 'multiclass' or 'regression'.",
    )
