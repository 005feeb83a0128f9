"""What a comparison is asked for, checked before anything is fitted.

Numeric: imports Polars.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast, get_args

import polars as pl

from trivet.core.errors import Invalid
from trivet.models.facts import Task

CONSTANT: Final = "a constant answer"


def check_algorithms(algorithms: object, baseline: object) -> None:
    """Refuse algorithms that are no functions by name, and a baseline that is none of them.

    Raises:
        Invalid: As said.
    """
    hint = 'Pass functions by name: {"linear": fit_linear, "trees": fit_trees}.'
    if not isinstance(algorithms, Mapping):
        raise _wrong("algorithms", algorithms, "a mapping of names to functions", hint)
    given = cast("Mapping[Any, Any]", algorithms)
    if not given or (baseline is not None and set(given) == {baseline}):
        raise Invalid("there is no algorithm to compare", code="no-algorithm", hint=hint)
    for name, fit in given.items():
        if not isinstance(name, str) or not name.strip():
            raise _wrong("the name of an algorithm", name, "text that is not empty", hint)
        if name == CONSTANT:
            raise Invalid(
                f"an algorithm is named {name!r}, which is the baseline's name",
                code="taken-name",
                hint="Give it another name.",
            )
        if not callable(fit):
            raise _wrong(f"algorithm {name!r}", fit, "a function of the training rows", hint)
    if baseline is not None and baseline not in given:
        raise Invalid(
            f"the baseline {baseline!r} is none of the algorithms",
            code="no-baseline",
            hint=f"They are: {', '.join(given)}; None compares with a constant answer.",
        )


def check_options(*, task: object, level: object, shares: object, seed: object) -> None:
    """Refuse options of another type or range than `compare` says.

    Raises:
        Invalid: As said.
    """
    if task is not None and task not in get_args(Task):
        raise _wrong(
            "task", task, f"None or one of {', '.join(get_args(Task))}", "None guesses it."
        )
    if not _is_number(level) or not 0 < float(level) < 1:  # pyright: ignore[reportArgumentType]  # a number
        raise _wrong("level", level, "a number between 0 and 1", "Pass for instance 0.95.")
    is_list = isinstance(shares, Sequence) and not isinstance(shares, str)
    given = list(cast("Sequence[Any]", shares)) if is_list else []
    if not given or not all(_is_number(share) and 0 < share <= 1 for share in given):
        raise Invalid(
            f"shares is {shares!r}; expected a list of numbers above 0, up to 1",
            code="bad-share",
            hint="Pass for instance (0.1, 0.5, 1.0).",
        )
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise _wrong("seed", seed, "a whole number from 0 on", "Pass for instance seed=0.")


def check_columns(
    training: pl.DataFrame, test: pl.DataFrame, target: object, group: object
) -> None:
    """Refuse a target or a group that is no column of the rows.

    Raises:
        Invalid: As said (code `absent-field` or `wrong-type`).
    """
    for field, value in (("target", target), ("group", group)):
        if value is not None and not isinstance(value, str):
            raise _wrong(field, value, "the name of a column", "Pass the column's name as text.")
    if not isinstance(target, str):
        raise _wrong("target", target, "the name of a column", "Pass the column's name as text.")
    for what, table in (("training", training), ("test", test)):
        if target not in table.columns:
            raise Invalid(
                f"the {what} rows have no column {target!r}, the target",
                code="absent-field",
                hint=f"They have: {', '.join(table.columns[:30])}.",
            )
    if test.drop_nulls(target).is_empty():
        raise Invalid(
            f"no test row has a {target!r}",
            code="too-few-rows",
            hint="Test on rows whose answer is known.",
        )
    if isinstance(group, str) and (group not in test.columns or test[group].null_count()):
        raise Invalid(
            f"the test rows have no column {group!r} that is filled in every row",
            code="absent-field",
            hint=f"They have: {', '.join(test.columns[:30])}.",
        )


def rows_in_training(training: pl.DataFrame, test: pl.DataFrame) -> int:
    """Count test rows that stand in the training rows, beyond what chance explains.

    Two rows are the same when all columns that both tables have are. Where rows repeat anyhow, as
    in a table of few columns, so many are taken off as repeat among the training rows.
    """
    shared = [name for name in test.columns if training.schema.get(name) == test.schema[name]]
    known = training.select(shared).hash_rows(seed=0)
    repeated = int(test.select(shared).hash_rows(seed=0).is_in(known.unique().implode()).sum())
    chance = known.is_duplicated().mean() if known.len() else 0.0
    share = float(chance) if isinstance(chance, float) else 0.0
    return repeated if repeated > 2 * share * test.height + 1 else 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _wrong(field: str, value: object, expected: str, hint: str) -> Invalid:
    shown = repr(value)
    return Invalid(
        f"{field} is {shown[:80]} of type {type(value).__name__}; expected {expected}",
        code="wrong-type",
        hint=hint,
    )
