"""Figures of merit, each with its interval, its loss per row and its direction.

Numeric: imports NumPy.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trivet.core.errors import Invalid
from trivet.models.facts import Task
from trivet.statistics.bootstrap import bootstrap
from trivet.statistics.intervals import Interval, auc_interval, student_mean, wilson
from trivet.statistics.metrics import brier_losses, log_losses, r2, root_mean_squared_error

Values = npt.NDArray[np.float64]
Groups = npt.NDArray[Any] | None
Rows = npt.NDArray[np.intp]

DRAWS: Final = 300
_LEAST_CHANCE: Final = 1e-15
_CLASSES: Final[tuple[Task, ...]] = ("binary", "multiclass")
_NUMBERS: Final[tuple[Task, ...]] = ("regression",)


@dataclass(frozen=True)
class Metric:
    """A figure of merit.

    Attributes:
        name: As people and gates write it.
        tasks: Where it has a meaning.
        interval: Takes labels (n,), predictions (n, m), groups and level.
        higher_is_better: Its direction.
        losses: For metrics that are means over rows: the loss per row, lower is better. None for
            the others.
        right: For shares of right answers: 1.0 or 0.0 per row. None for the others.
        influence: For metrics that are neither a mean nor an area: the figure from labels and
            predictions, and by how much each row moves it, (n,), of mean 0.
    """

    name: str
    tasks: tuple[Task, ...]
    interval: Callable[[Values, Values, Groups, float], Interval]
    higher_is_better: bool = False
    losses: Callable[[Values, Values], Values] | None = None
    influence: Callable[[Values, Values], tuple[float, Values]] | None = None
    right: Callable[[Values, Values], Values] | None = None


def metric_named(name: str, task: Task) -> Metric:
    """Return the metric of this name.

    Raises:
        Invalid: There is none, or it has no meaning for the task.
    """
    found = METRICS.get(name)
    if found is None or task not in found.tasks:
        known = [metric.name for metric in METRICS.values() if task in metric.tasks]
        raise Invalid(
            f"{name!r} is no metric for {task}",
            code="unknown-metric",
            hint=f"Use one of {', '.join(known)}.",
        )
    return found


def default_metric(task: Task) -> str:
    """Name the metric that a task is judged by when nobody says otherwise."""
    return {"binary": "auc", "multiclass": "log-loss", "regression": "mean-absolute-error"}[task]


def correct(labels: Values, predictions: Values) -> Values:
    """Say of each row whether the likelier answer was the true one: 1.0 or 0.0, shape (n,)."""
    if predictions.shape[1] == 1:
        return ((predictions[:, 0] >= 0.5) == (labels == 1)).astype(np.float64)
    return (predictions.argmax(axis=1) == labels).astype(np.float64)


def _wrong(labels: Values, predictions: Values) -> Values:
    return 1 - correct(labels, predictions)


def _brier(labels: Values, predictions: Values) -> Values:
    if predictions.shape[1] == 1:
        return brier_losses(labels, predictions[:, 0])
    wanted = np.eye(predictions.shape[1])[labels.astype(np.intp)]
    return np.square(predictions - wanted).sum(axis=1)


def _log(labels: Values, predictions: Values) -> Values:
    if predictions.shape[1] == 1:
        return log_losses(labels, predictions[:, 0], floor=_LEAST_CHANCE)
    right = predictions[np.arange(labels.size), labels.astype(np.intp)]
    # Rows may sum to a rounding error more than 1, which would be a gain on every row.
    right = right / predictions.sum(axis=1)
    return -np.log(np.maximum(right, _LEAST_CHANCE))


def _absolute(labels: Values, predictions: Values) -> Values:
    return np.abs(labels - predictions[:, 0])


def _root_mean_square(labels: Values, predictions: Values) -> float:
    return root_mean_squared_error(labels, predictions[:, 0])


def _explained(labels: Values, predictions: Values) -> float:
    if np.ptp(labels) == 0:
        return float("nan")
    return r2(labels, predictions[:, 0])


def _root_mean_square_moved(labels: Values, predictions: Values) -> tuple[float, Values]:
    squares = np.square(labels - predictions[:, 0])
    mean = float(squares.mean())
    # Answers without any error do not move: their figure is 0 whatever rows are drawn.
    moves = (squares - mean) / (2 * np.sqrt(mean)) if mean > 0 else np.zeros(labels.size)
    return float(np.sqrt(mean)), moves


def _explained_moved(labels: Values, predictions: Values) -> tuple[float, Values]:
    figure = r2(labels, predictions[:, 0])
    spread = np.square(labels - labels.mean())
    squares = np.square(labels - predictions[:, 0])
    return figure, -(squares - (1 - figure) * spread) / spread.mean()


def _auc(labels: Values, predictions: Values, groups: Groups, level: float) -> Interval:
    return auc_interval(labels, predictions[:, 0], clusters=groups, level=level)


def _accuracy(labels: Values, predictions: Values, groups: Groups, level: float) -> Interval:
    right = correct(labels, predictions)
    if groups is None:
        return wilson(float(right.sum()), right.size, level=level)
    return student_mean(right, clusters=groups, level=level)


def _mean_of(
    losses: Callable[[Values, Values], Values],
) -> Callable[[Values, Values, Groups, float], Interval]:
    def interval(labels: Values, predictions: Values, groups: Groups, level: float) -> Interval:
        return student_mean(losses(labels, predictions), clusters=groups, level=level)

    return interval


def _resampled(
    statistic: Callable[[Values, Values], float],
) -> Callable[[Values, Values, Groups, float], Interval]:
    def interval(labels: Values, predictions: Values, groups: Groups, level: float) -> Interval:
        return bootstrap(
            lambda rows: statistic(labels[rows], predictions[rows]),
            labels.size,
            clusters=groups,
            draws=DRAWS,
            level=level,
        )

    return interval


METRICS: Final[dict[str, Metric]] = {
    metric.name: metric
    for metric in (
        Metric("auc", _CLASSES[:1], _auc, higher_is_better=True),
        Metric("brier", _CLASSES, _mean_of(_brier), losses=_brier),
        Metric("log-loss", _CLASSES, _mean_of(_log), losses=_log),
        Metric(
            "accuracy", _CLASSES, _accuracy, higher_is_better=True, losses=_wrong, right=correct
        ),
        Metric("mean-absolute-error", _NUMBERS, _mean_of(_absolute), losses=_absolute),
        Metric(
            "root-mean-squared-error",
            _NUMBERS,
            _resampled(_root_mean_square),
            influence=_root_mean_square_moved,
        ),
        Metric(
            "r2",
            _NUMBERS,
            _resampled(_explained),
            higher_is_better=True,
            influence=_explained_moved,
        ),
    )
}
"""Every metric by its name."""
