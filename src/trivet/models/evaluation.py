"""How good a model's answers are on held-out rows: figures with intervals, slices, calibration.

Intervals count groups (days, customers) rather than rows where groups are given. Two models are
compared on the same rows, never by their separate intervals. Numeric: imports NumPy.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from trivet.core.errors import Invalid
from trivet.models.facts import Measured, Task
from trivet.models.metrics import DRAWS, METRICS, Groups, Metric, Rows, Values, correct
from trivet.statistics.bootstrap import bootstrap_draws
from trivet.statistics.intervals import Interval
from trivet.statistics.metrics import CalibrationBin, calibration_error, calibration_table
from trivet.statistics.paired import (
    Comparison,
    compare_auc,
    compare_correct,
    compare_losses,
    compare_metric,
)

LEVEL: Final = 0.95


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of the rows that share a value of a column."""

    column: str
    value: str
    rows: int
    metrics: dict[str, Measured]
    """Those that can be computed on these rows."""


class Evaluation(msgspec.Struct, frozen=True, kw_only=True):
    """What held-out rows say about a model."""

    task: Task
    rows: int
    groups: int
    """Independent units behind the intervals: rows, or groups where given."""
    metrics: dict[str, Measured]
    slices: tuple[Slice, ...] = ()
    calibration: tuple[CalibrationBin, ...] = ()
    """For classification, rising in predicted probability (of the likeliest class, when there are
    more than two)."""


def evaluate(
    labels: npt.ArrayLike,
    predictions: npt.ArrayLike,
    task: Task,
    *,
    groups: Groups = None,
    slices: Mapping[str, npt.NDArray[Any]] | None = None,
    level: float = LEVEL,
) -> Evaluation:
    """Measure a model's answers.

    Args:
        labels: Shape (n,): class numbers, or values.
        predictions: Shape (n, m) as models answer: the positive class's probability for
            `binary`, all classes' for `multiclass`, the number for `regression`.
        task: The kind of answer.
        groups: One label per row for rows that belong together; intervals then count groups.
        slices: Column name to its values, shape (n,), by which rows are told apart.
        level: Coverage of the intervals.

    Raises:
        Invalid: Shapes differ, or there are fewer than two groups.
    """
    truth, answers = check_answers(labels, predictions, task)
    parts = tuple(
        Slice(
            column=column,
            value=str(value),
            rows=int(chosen.sum()),
            metrics=measure(
                truth[chosen],
                answers[chosen],
                task,
                groups=None if groups is None else groups[chosen],
                level=level,
            ),
        )
        for column, values in (slices or {}).items()
        for value, chosen in _parts(values)
    )
    metrics = measure(truth, answers, task, groups=groups, level=level)
    if not metrics:
        raise Invalid(
            f"no figure can be computed on {truth.size} held-out rows",
            code="too-few-rows",
            hint="Hold out more rows, over at least two days or groups, with every outcome.",
        )
    return Evaluation(
        task=task,
        rows=truth.size,
        groups=truth.size if groups is None else int(np.unique(groups).size),
        metrics=metrics,
        slices=parts,
        calibration=() if task == "regression" else calibration_table(*_certainty(truth, answers)),
    )


def measure(
    labels: Values, predictions: Values, task: Task, *, groups: Groups = None, level: float = LEVEL
) -> dict[str, Measured]:
    """Compute every metric of a task that these rows allow; a single class has no ROC curve."""
    found: dict[str, Measured] = {}
    for metric in METRICS.values():
        if task not in metric.tasks:
            continue
        try:
            interval = metric.interval(labels, predictions, groups, level)
        except Invalid:
            continue
        found[metric.name] = _measured(interval, labels.size)
    return found


def compare(
    metric: Metric,
    labels: Values,
    champion: Values,
    candidate: Values,
    *,
    groups: Groups = None,
    margin: float = 0.0,
    level: float = LEVEL,
) -> Comparison:
    """Compare two models on the same rows; a positive difference means the candidate is better.

    Each metric has the most powerful test that is valid for it: shares of right answers McNemar's
    exact test (rows that stand alone), areas DeLong's, mean losses Student's paired t, anything
    else the paired bootstrap.

    Args:
        metric: By what they are compared.
        labels: Shape (n,).
        champion: The incumbent's predictions, shape (n, m).
        candidate: The challenger's.
        groups: As for `evaluate`.
        margin: The loss of quality that is still accepted, in the metric's unit, >= 0.
        level: Coverage of the interval; the smallest detectable gain is for one-sided 1 - level.

    Raises:
        Invalid: The metric is undefined on these rows.
    """
    if metric.right is not None and groups is None:
        return compare_correct(
            metric.right(labels, champion),
            metric.right(labels, candidate),
            margin=margin,
            level=level,
            exact=True,
        )
    if metric.losses is not None:
        return compare_losses(
            metric.losses(labels, champion),
            metric.losses(labels, candidate),
            clusters=groups,
            margin=margin,
            level=level,
        )
    if metric.statistic is None:
        return compare_auc(
            labels, champion[:, 0], candidate[:, 0], clusters=groups, margin=margin, level=level
        )
    statistic = metric.statistic

    def both(rows: Rows) -> tuple[float, float]:
        return statistic(labels[rows], champion[rows]), statistic(labels[rows], candidate[rows])

    return compare_metric(
        both,
        labels.size,
        higher_is_better=metric.higher_is_better,
        clusters=groups,
        margin=margin,
        level=level,
    )


def calibration_interval(
    labels: Values, predictions: Values, groups: Groups, level: float = LEVEL
) -> Interval:
    """Expected calibration error, corrected for chance.

    The plain figure is biased upwards by sampling noise; the bootstrap repeats much of that bias,
    so the basic (reflected) interval and estimate take as much out (Davison & Hinkley 1997,
    section 5.2).

    Args:
        labels: Shape (n,).
        predictions: Probabilities, shape (n, m); of more than two classes the likeliest counts.
        groups: As for `evaluate`.
        level: Coverage.
    """
    truth, chances = _certainty(labels, predictions)

    def statistic(rows: Rows) -> float:
        return calibration_error(truth[rows], chances[rows])

    plain = statistic(np.arange(truth.size))
    draws = bootstrap_draws(statistic, truth.size, clusters=groups, draws=DRAWS)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    estimate = max(0.0, 2 * plain - float(draws.mean()))
    return Interval(
        estimate,
        min(estimate, max(0.0, 2 * plain - float(high))),
        max(estimate, 2 * plain - float(low)),
        level,
    )


def check_answers(
    labels: npt.ArrayLike, predictions: npt.ArrayLike, task: Task
) -> tuple[Values, Values]:
    """Read labels (n,) and predictions (n, m) as float64, n >= 1.

    Raises:
        Invalid: Their shapes do not fit each other or the task.
    """
    truth = np.asarray(labels, dtype=np.float64)
    answers = np.asarray(predictions, dtype=np.float64)
    answers = answers[:, None] if answers.ndim == 1 else answers
    width = answers.shape[1] if answers.ndim == 2 else 0
    is_fit = width > 2 if task == "multiclass" else width == 1
    if truth.ndim != 1 or truth.size == 0 or len(answers) != truth.size or not is_fit:
        raise Invalid(
            f"labels of shape {truth.shape} and predictions of shape {answers.shape} do not fit "
            f"together for {task}",
            code="wrong-shape",
            hint="Pass one label and one row of predictions per row, n >= 1.",
        )
    if task != "regression":
        # float32 probabilities may leave [0, 1] by a rounding error.
        answers = np.clip(answers, 0.0, 1.0)
    return truth, answers


def _parts(values: npt.NDArray[Any]) -> list[tuple[str, npt.NDArray[np.bool_]]]:
    text = np.array(["(missing)" if value is None else str(value) for value in values.tolist()])
    return [(str(value), text == value) for value in np.unique(text)]


def _measured(interval: Interval, rows: int) -> Measured:
    return Measured(
        value=interval.estimate,
        low=interval.low,
        high=interval.high,
        rows=rows,
        confidence=interval.level,
    )


def _certainty(labels: Values, predictions: Values) -> tuple[Values, Values]:
    """Return 0/1 outcomes and the probabilities that were promised for them."""
    if predictions.shape[1] == 1:
        return labels, predictions[:, 0]
    return correct(labels, predictions), predictions.max(axis=1)
