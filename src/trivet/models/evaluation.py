"""How good a model's answers are on held-out rows: figures with intervals, slices, calibration.

Intervals count groups (days, customers) rather than rows where groups are given. Two models are
compared on the same rows, never by their separate intervals. Numeric: imports NumPy.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from trivet.core.errors import Invalid
from trivet.models.answers import check_answers, repeated_rows
from trivet.models.facts import Measured, Task
from trivet.models.metrics import DRAWS, METRICS, Groups, Metric, Rows, Values, correct
from trivet.statistics.bootstrap import bootstrap_draws
from trivet.statistics.intervals import Interval
from trivet.statistics.metrics import CalibrationBin, calibration_error, calibration_table
from trivet.statistics.paired import (
    Comparison,
    compare_auc,
    compare_correct,
    compare_influences,
    compare_losses,
)

LEVEL: Final = 0.95
_MOST_CLASSES: Final = 50
"""Classes up to which it is worked out what every row would have cost with every other label."""


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
        Invalid: Shapes differ, a label or an answer is none (see `answers.check_answers`), or there
            are fewer than two groups.
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

    Shares of right answers are compared by McNemar's exact test (rows that stand alone), areas by
    DeLong's covariance, mean losses by a paired t, functions of means by the delta method. All but
    the first are corrected for skew, rare events and unlike groups; see `statistics.gain`. Without
    groups, a table that is repeated decides nothing, and copies of rows are warned of.

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
    found = _compared(metric, labels, champion, candidate, groups, margin, level)
    if groups is not None:
        return found
    copies, times = repeated_rows(labels, champion, candidate)
    if times > 1:
        return found.undecided(
            f"each row occurs {times} times, or a multiple of it, with the same label and answers: "
            "name the rows that belong together as groups"
        )
    if copies:
        warning = (
            f"{copies} of {labels.size} rows repeat another's label and answers: if they are "
            "copies, name those that belong together as groups"
        )
        return replace(found, warning=warning)
    return found


def _compared(  # as `compare`
    metric: Metric,
    labels: Values,
    champion: Values,
    candidate: Values,
    groups: Groups,
    margin: float,
    level: float,
) -> Comparison:
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
            unseen=_unseen_cost(metric, champion, candidate),
        )
    if metric.influence is None:
        return compare_auc(
            labels, champion[:, 0], candidate[:, 0], clusters=groups, margin=margin, level=level
        )
    old, new = metric.influence(labels, champion), metric.influence(labels, candidate)
    return compare_influences(
        old,
        new,
        higher_is_better=metric.higher_is_better,
        clusters=groups,
        margin=margin,
        level=level,
        most=1 - old[0] if metric.higher_is_better else old[0],
    )


def _unseen_cost(metric: Metric, champion: Values, candidate: Values) -> float | None:
    """Return what a row whose outcome was not drawn typically costs the candidate.

    The answers say what every row would have cost with every other label. Of those that cost the
    candidate more, the root mean square, weighed by how likely both models hold them to be. An
    absolute error costs at most what the answers differ. None where neither is known.
    """
    if metric.name == "mean-absolute-error":
        return float(np.sqrt(np.square(champion - candidate).mean()))
    classes = max(2, champion.shape[1])
    if metric.losses is None or "regression" in metric.tasks or classes > _MOST_CLASSES:
        return None
    chances = (champion + candidate) / 2
    chances = np.hstack([1 - chances, chances]) if chances.shape[1] == 1 else chances
    total = weight = 0.0
    for label in range(classes):
        labels = np.full(len(champion), float(label))
        cost = metric.losses(labels, candidate) - metric.losses(labels, champion)
        chance = np.where(cost > 0, chances[:, label], 0.0)
        total += float((chance * np.square(cost)).sum())
        weight += float(chance.sum())
    return float(np.sqrt(total / weight)) if weight > 0 else 0.0


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
