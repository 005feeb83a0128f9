"""The flow behind `trivet models compare`: a table is split, and ordinary algorithms compared.

Numeric: imports NumPy and Polars.
"""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import polars as pl

from trivet.core.errors import Invalid
from trivet.core.ports import Flavour
from trivet.models.facts import Task
from trivet.models.proof.algorithms import ordinary_algorithms
from trivet.models.proof.comparing import compare
from trivet.models.proof.result import Proof
from trivet.pipelines.authoring import Data, flow


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be compared."""

    target: str
    task: Task | None = None
    metric: str | None = None
    baseline: str | None = None
    test_share: float = 0.25
    time: str | None = None
    """A column by which the last rows are the test rows; None: they are drawn at random."""
    group: str | None = None
    drop: tuple[str, ...] = ()
    seed: int = 0


def proof_flow(question: Question, flavours: Sequence[Flavour]) -> Callable[..., object]:
    """Return the flow that answers a question about a table."""

    def compare_algorithms(table: Data) -> dict[str, Proof]:
        training, test = split(pl.DataFrame(table), question)
        algorithms = ordinary_algorithms(
            question.target,
            task=question.task,
            drop=[*question.drop, *filter(None, (question.time, question.group))],
            seed=question.seed,
        )
        proof = compare(
            algorithms,
            training=training,
            test=test,
            target=question.target,
            baseline=question.baseline,
            metric=question.metric,
            task=question.task,
            group=question.group,
            flavours=flavours,
            seed=question.seed,
        )
        return {"proof": proof}

    return flow(compare_algorithms)


def split(table: pl.DataFrame, question: Question) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split rows with an answer into training and test rows; a group stays on one side.

    Raises:
        Invalid: A column is absent, or the share leaves no row on one side.
    """
    columns = (question.target, question.time, question.group)
    absent = next((name for name in columns if name and name not in table.columns), None)
    if absent is not None:
        raise Invalid(
            f"the table has no column {absent!r}",
            code="absent-field",
            hint=f"It has: {', '.join(table.columns[:30])}.",
        )
    rows = table.drop_nulls([name for name in columns if name])
    share, count = question.test_share, rows.height
    if not 0 < share < 1 or round(count * share) in {0, count}:
        raise Invalid(
            f"test_share is {share!r} of {count} rows; expected a share that leaves rows on both "
            "sides",
            code="bad-share",
        )
    if question.time is not None:
        ordered = rows.sort(question.time, maintain_order=True)
        first = ordered.head(count - round(count * share))
        # Rows of the same moment are not torn apart.
        border = first.get_column(question.time)[-1]
        is_later = ordered.get_column(question.time) > border
        return ordered.filter(~is_later), ordered.filter(is_later)
    random = np.random.default_rng(question.seed)
    if question.group is None:
        chosen = pl.Series(random.permutation(count) < round(count * share))
    else:
        groups = rows.get_column(question.group).unique(maintain_order=True)
        taken = groups.filter(pl.Series(random.random(len(groups)) < share))
        chosen = rows.get_column(question.group).is_in(taken.implode())
    return rows.filter(~chosen), rows.filter(chosen)
