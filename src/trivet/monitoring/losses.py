"""Losses and figures of a window's rows. Numeric: imports NumPy.

The loss that is watched must have a mean that stays put while all is well, whatever the days
bring. For probabilities that is the *excess* Brier loss (y - p)^2 - p (1 - p): a calibrated model
has mean 0 on an easy day and on a hard one (Murphy 1973; Spiegelhalter 1986).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from trivet.models.facts import Signature, Task
from trivet.models.reference import day_losses
from trivet.monitoring.collecting import Seen
from trivet.monitoring.facts import Figure
from trivet.serving.records import output_values
from trivet.statistics.intervals import Interval, auc_interval, student_mean, wilson
from trivet.statistics.metrics import brier_losses

WATCHED: Final[dict[Task, str]] = {
    "binary": "excess-brier",
    "multiclass": "miss",
    "regression": "absolute-error",
}
"""The loss that is watched, by task; see `trivet.models.reference.day_losses`."""

_FEWEST_FOR_AUC = 20


def labelled(rows: Sequence[Seen]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (truth (n,), outputs (n, m)) of the rows whose truth is known."""
    known = [row for row in rows if row.label is not None]
    truth = np.array([row.label for row in known], np.float64)
    outputs = np.array([output_values(row.prediction.output) for row in known], np.float64)
    width = len(rows[0].prediction.output) // 4 if rows else 1
    return truth, outputs.reshape(len(known), width)


def compared_losses(
    signature: Signature, truth: NDArray[np.float64], outputs: NDArray[np.float64], scale: float
) -> NDArray[np.float64]:
    """Return the loss of each row by which two models are compared on equal rows, in [0, 1].

    Args:
        signature: For its task.
        truth: (n,) class numbers, or values.
        outputs: (n, m) as the model answered.
        scale: For regression: the error that counts as 1; larger ones count as 1 too.
    """
    losses = day_losses(signature.task, truth, outputs, scale)
    return losses["brier"] if signature.task == "binary" else losses[WATCHED[signature.task]]


def figures(
    signature: Signature, truth: NDArray[np.float64], outputs: NDArray[np.float64]
) -> dict[str, Figure]:
    """Return the figures that people read, with 95 % intervals where the rows suffice."""
    if truth.size == 0:
        return {}
    if signature.task == "binary":
        return _binary(truth, outputs[:, 0])
    if signature.task == "multiclass":
        right = np.argmax(outputs, axis=1) == truth
        return {"accuracy": _figure(wilson(int(right.sum()), truth.size))}
    errors = np.abs(truth - outputs[:, 0])
    found = {"mean-absolute-error": Figure(value=float(errors.mean()))}
    if truth.size > 1:
        found["mean-absolute-error"] = _figure(student_mean(errors))
    found["mean-prediction"] = Figure(value=float(outputs[:, 0].mean()))
    found["mean-truth"] = Figure(value=float(truth.mean()))
    return found


def _binary(truth: NDArray[np.float64], p: NDArray[np.float64]) -> dict[str, Figure]:
    brier = brier_losses(truth, p)
    found = {
        "brier": _figure(student_mean(brier)) if truth.size > 1 else Figure(value=float(brier[0])),
        "event-rate": _figure(wilson(int(truth.sum()), truth.size)),
        "mean-prediction": Figure(value=float(p.mean())),
    }
    if min(truth.sum(), (1 - truth).sum()) >= _FEWEST_FOR_AUC:
        found["auc"] = _figure(auc_interval(truth, p))
    return found


def _figure(interval: Interval) -> Figure:
    return Figure(value=interval.estimate, low=interval.low, high=interval.high)
