"""Comparing algorithms: the same training rows, the same test rows, one baseline for all.

Numeric: imports NumPy and Polars.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl

from trivet.core.errors import Invalid
from trivet.core.ports import Flavour
from trivet.models.encoding import Encoder, Frame, as_frame
from trivet.models.evaluation import compare as compare_answers
from trivet.models.evaluation import measure
from trivet.models.exam import constant_answers
from trivet.models.facts import Measured, Task
from trivet.models.metrics import Groups, Metric, Values, default_metric, metric_named
from trivet.models.proof.asking import (
    CONSTANT,
    check_algorithms,
    check_columns,
    check_options,
    rows_in_training,
)
from trivet.models.proof.fitting import Asked, Fit, Fitted, fit_step
from trivet.models.proof.limits import limits_of
from trivet.models.proof.result import CurvePoint, Gain, Proof, Standing
from trivet.models.signatures import fit_signature
from trivet.statistics.paired import Comparison

SHARES: Final = (0.1, 0.25, 0.5, 1.0)
_FEWEST: Final = 50
"""Training rows below which no point of a learning curve is drawn."""


@dataclass(frozen=True)
class _Rows:
    """What all algorithms share."""

    training: pl.DataFrame
    test: pl.DataFrame
    labels: Values
    groups: Groups
    metric: Metric
    task: Task
    target: str
    level: float

    def figure(self, answers: Values) -> dict[str, Measured]:
        """Measure answers on the test rows."""
        return measure(self.labels, answers, self.task, groups=self.groups, level=self.level)


def compare(  # noqa: PLR0913  # each names one thing about the comparison
    algorithms: Mapping[str, Fit],
    *,
    training: Frame,
    test: Frame,
    target: str,
    baseline: str | None = None,
    metric: str | None = None,
    task: Task | None = None,
    group: str | None = None,
    flavours: Sequence[Flavour] = (),
    shares: Sequence[float] = SHARES,
    level: float = 0.95,
    seed: int = 0,
) -> Proof:
    """Fit several algorithms on the same rows, and compare each with a baseline on others.

    Inside a run each fit is a step: what was fitted is not fitted again. The test rows are looked
    at once per algorithm, and the error rate is held over all of them (Bonferroni); the one to go
    live is judged once more, by the gate, on rows that had no part in the choice.

    Args:
        algorithms: Functions of the training rows by name; see `fitting.Fit`.
        training: Rows with the target.
        test: Rows with the target that no algorithm sees.
        target: The column to predict.
        baseline: Which of the algorithms the others are compared with; None: a constant answer.
        metric: By what they are compared; the task's own when None.
        task: The kind of answer; guessed from the target when None.
        group: Column of test rows that belong together (a day, a customer).
        flavours: Of an installation: candidates are then measured in their serving form.
        shares: Of the training rows, for the learning curves; each in (0, 1].
        level: Of the intervals and the decisions.
        seed: Orders the rows of the learning curves.

    Raises:
        Invalid: There is no algorithm, the baseline is none of them, or answers do not fit.
    """
    check_algorithms(algorithms, baseline)
    check_options(task=task, level=level, shares=shares, seed=seed)
    check_columns(as_frame(training), as_frame(test), target, group)
    rows, asked = _read(training, test, target, metric, task, group, level)
    asked = msgspec.structs.replace(asked, flavours=tuple(flavours))
    sizes = _sizes(rows.training.height, shares)
    order = np.random.default_rng(seed).permutation(rows.training.height)
    fits = {
        name: _fit_all(fit_step(name, fit, asked), rows, sizes, order)
        for name, fit in algorithms.items()
    }
    answers = {name: made[-1][1].answers for name, made in fits.items()}
    base = answers[baseline] if baseline else _constant(rows, asked)
    others = [name for name in algorithms if name != baseline]
    gains = _gains(rows, base, {name: answers[name] for name in others})
    standings = [_standing(name, fits[name], rows, gains.get(name)) for name in algorithms]
    if baseline is None:
        standings.append(_still(base, rows))
    sign = -1.0 if rows.metric.higher_is_better else 1.0
    named = baseline or CONSTANT
    standings.sort(key=lambda item: (item.name != named, sign * item.figure.value))
    return Proof(
        target=target,
        task=rows.task,
        metric=rows.metric.name,
        higher_is_better=rows.metric.higher_is_better,
        training_rows=rows.training.height,
        test_rows=rows.test.height,
        units=rows.test.height if rows.groups is None else int(np.unique(rows.groups).size),
        level=level,
        baseline=named,
        standings=tuple(standings),
        limits=limits_of(
            standings,
            rows.test.height,
            rows.metric.name,
            is_grouped=group is not None,
            repeated=rows_in_training(rows.training, rows.test),
        ),
    )


def _read(
    training: Frame,
    test: Frame,
    target: str,
    metric: str | None,
    task: Task | None,
    group: str | None,
    level: float,
) -> tuple[_Rows, Asked]:
    signature = fit_signature(training, target, task, unknown="missing", allow_missing=True)
    known, held = as_frame(training).drop_nulls(target), as_frame(test).drop_nulls(target)
    groups: Any = None if group is None else held.get_column(group).cast(pl.String).to_numpy()
    rows = _Rows(
        training=known,
        test=held,
        labels=Encoder(signature).encode_target(held),
        groups=groups,
        metric=metric_named(metric or default_metric(signature.task), signature.task),
        task=signature.task,
        target=target,
        level=level,
    )
    return rows, Asked(signature=signature)


def _sizes(rows: int, shares: Sequence[float]) -> list[int]:
    """Return how many rows to train on, rising; all rows come last."""
    wanted = {round(rows * share) for share in shares}
    return [*sorted(size for size in wanted if _FEWEST <= size < rows), rows]


def _fit_all(
    step: Any,  # noqa: ANN401  # a step of fitting
    rows: _Rows,
    sizes: Sequence[int],
    order: Any,  # noqa: ANN401  # row numbers
) -> list[tuple[int, Fitted]]:
    made: list[tuple[int, Fitted]] = []
    for size in sizes:
        is_whole = size == rows.training.height
        some = rows.training if is_whole else rows.training[np.sort(order[:size])]
        if not is_whole and not _has_all_classes(some, rows):
            continue
        made.append((size, step(some, rows.test, is_whole)))
    return made


def _has_all_classes(some: pl.DataFrame, rows: _Rows) -> bool:
    """Whether a classifier can learn every class from these rows."""
    if rows.task == "regression":
        return True
    return (
        some.get_column(rows.target).n_unique() == rows.training.get_column(rows.target).n_unique()
    )


def _constant(rows: _Rows, asked: Asked) -> Values:
    labels = Encoder(asked.signature).encode_target(rows.training)
    return constant_answers(labels, rows.test.height, rows.metric, asked.signature)


def _gains(rows: _Rows, base: Values, answers: Mapping[str, Values]) -> dict[str, Gain]:
    together = 1 - (1 - rows.level) / len(answers)
    found: dict[str, Comparison] = {
        name: compare_answers(
            rows.metric, rows.labels, base, mine, groups=rows.groups, level=together
        )
        for name, mine in answers.items()
    }
    # Doubled, as the intervals have two sides, and times their number, as the intervals are: so
    # that an interval lies beyond 0 exactly where the p-value is small.
    return {
        name: Gain(
            value=item.difference,
            low=item.low,
            high=item.high,
            p_value=min(1.0, 2 * item.p_value * len(found)),
            detectable=_or_none(item.detectable_at((1 - together) / 2)),
            method=item.method,
            problem=item.problem or ("" if item.error else "both answer alike"),
        )
        for name, item in found.items()
    }


def _or_none(size: float) -> float | None:
    return size if math.isfinite(size) else None


def _standing(
    name: str, made: Sequence[tuple[int, Fitted]], rows: _Rows, gain: Gain | None
) -> Standing:
    whole = made[-1][1]
    metrics = rows.figure(whole.answers)
    return Standing(
        name=name,
        figure=_figure(metrics, rows),
        metrics=metrics,
        gain=gain,
        is_better=gain is not None and not gain.problem and gain.low > 0,
        curve=tuple(_point(size, item, rows) for size, item in made),
        training=whole.training,
        serving=whole.serving,
    )


def _still(answers: Values, rows: _Rows) -> Standing:
    metrics = rows.figure(answers)
    return Standing(
        name=CONSTANT,
        figure=_figure(metrics, rows),
        metrics=metrics,
        gain=None,
        is_better=False,
        curve=(),
        training=None,
        serving=None,
    )


def _point(size: int, item: Fitted, rows: _Rows) -> CurvePoint:
    found = _figure(rows.figure(item.answers), rows)
    return CurvePoint(
        rows=size,
        value=found.value,
        low=found.low,
        high=found.high,
        seconds=item.training.seconds,
    )


def _figure(metrics: Mapping[str, Measured], rows: _Rows) -> Measured:
    found = metrics.get(rows.metric.name)
    if found is None:
        raise Invalid(
            f"{rows.metric.name} cannot be computed on {rows.test.height} test rows",
            code="too-few-rows",
            hint="Test on more rows, with every outcome, over at least two groups.",
        )
    return found
