"""Quality of predictions as single numbers, and as one loss per row where the metric is a mean."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trivet.core.errors import Invalid
from trivet.statistics.arrays import Values, binary_labels, finite_values, probabilities, same_rows


def _labels_with(name: str, labels: npt.ArrayLike, other: npt.ArrayLike) -> tuple[Values, Values]:
    read, beside = same_rows(labels=labels, **{name: other})
    return binary_labels("labels", read), beside


def _midranks(values: Values) -> Values:
    """Ranks from 1; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def auc_influence(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[float, Values]:
    """Area under the ROC curve, and how much each row moves it.

    DeLong, DeLong & Clarke-Pearson (1988) in the O(n log n) form of Sun & Xu (2014): a row's
    placement is the share of the other class that it beats, ties counting half. The influence
    is that placement minus the area, divided by the size of the row's class; influences of each
    class sum to zero, and sums of their squares give the variance.

    Args:
        labels: 0 or 1 per row; both classes must occur.
        scores: Higher means more likely 1; any finite scale.

    Returns:
        The area in [0, 1], and the influences, shape (n,).

    Raises:
        Invalid: Lengths differ, a label is not 0/1, or one class is absent.
    """
    truth, values = _labels_with("scores", labels, scores)
    positive = truth == 1
    m = int(positive.sum())
    n = truth.size - m
    if m == 0 or n == 0:
        raise Invalid(
            "labels holds a single class; the ROC curve needs both",
            code="single-class",
            hint="Use a longer window or a larger holdout.",
        )
    ranks = _midranks(values)
    placements = np.empty(truth.size)
    placements[positive] = (ranks[positive] - _midranks(values[positive])) / n
    placements[~positive] = 1 - (ranks[~positive] - _midranks(values[~positive])) / m
    area = float(placements[positive].mean())
    return area, (placements - area) / np.where(positive, m, n)


def auc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Area under the ROC curve in [0, 1]: the chance that a 1 outscores a 0, ties counting half.

    Example:
        >>> auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
        0.75
    """
    return auc_influence(labels, scores)[0]


def accuracy(labels: npt.ArrayLike, decisions: npt.ArrayLike) -> float:
    """Share of rows on which two columns of 0 and 1 agree."""
    truth, chosen = _labels_with("decisions", labels, decisions)
    return float((truth == binary_labels("decisions", chosen)).mean())


def brier_losses(labels: npt.ArrayLike, predicted: npt.ArrayLike) -> Values:
    """Squared error of each probability, in [0, 1] (Brier 1950)."""
    truth, chance = _labels_with("predicted", labels, predicted)
    return np.square(truth - probabilities("predicted", chance))


def brier_score(labels: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Mean squared error of probabilities; lower is better, 0.25 is a coin's."""
    return float(brier_losses(labels, predicted).mean())


def excess_brier_losses(labels: npt.ArrayLike, predicted: npt.ArrayLike) -> Values:
    """Squared error beyond what the prediction itself announced: (y - p)^2 - p (1 - p).

    For a calibrated model the mean is 0 whatever rows arrive, so a day of hard cases does not
    look like a day of a bad model: much less natural variation than the Brier loss, at the
    price of not seeing a loss of sharpness.

    Returns:
        Shape (n,), each in [-1/8, 1].
    """
    truth, chance = _labels_with("predicted", labels, predicted)
    return np.square(truth - probabilities("predicted", chance)) - chance * (1 - chance)


def log_losses(labels: npt.ArrayLike, predicted: npt.ArrayLike, *, floor: float = 1e-15) -> Values:
    """Negative log-likelihood of each row in nats, in [0, -log(floor)].

    Args:
        labels: 0 or 1 per row.
        predicted: Probability of 1 per row.
        floor: Probabilities are kept this far from 0 and 1, which bounds the loss.
    """
    truth, chance = _labels_with("predicted", labels, predicted)
    kept = np.clip(probabilities("predicted", chance), floor, 1 - floor)
    return -np.log(np.where(truth == 1, kept, 1 - kept))


def log_loss(labels: npt.ArrayLike, predicted: npt.ArrayLike, *, floor: float = 1e-15) -> float:
    """Mean negative log-likelihood in nats; lower is better."""
    return float(log_losses(labels, predicted, floor=floor).mean())


@dataclass(frozen=True)
class CalibrationBin:
    """Rows of similar predicted probability: how many, what was promised, what happened."""

    n: int
    mean_score: float
    event_rate: float


def calibration_table(
    labels: npt.ArrayLike, predicted: npt.ArrayLike, *, bins: int = 10
) -> tuple[CalibrationBin, ...]:
    """Cut the rows at quantiles of the prediction; equal predictions stay together.

    Args:
        labels: 0 or 1 per row.
        predicted: Probability of 1 per row.
        bins: At most so many bins, >= 1; fewer when predictions repeat.

    Returns:
        Bins in rising order of probability, none empty.
    """
    if bins < 1:
        raise Invalid("bins must be at least 1")
    truth, chance = _labels_with("predicted", labels, predicted)
    edges = np.quantile(probabilities("predicted", chance), np.arange(1, bins) / bins)
    slot = np.searchsorted(np.unique(edges), chance, side="left")
    n, score, events = (np.bincount(slot, weights=w) for w in (np.ones_like(truth), chance, truth))
    return tuple(
        CalibrationBin(int(n[k]), float(score[k] / n[k]), float(events[k] / n[k]))
        for k in np.flatnonzero(n)
    )


def calibration_error(labels: npt.ArrayLike, predicted: npt.ArrayLike, *, bins: int = 10) -> float:
    """Expected calibration error over equal-mass bins: mean |promised - happened|, in [0, 1].

    Equal mass rather than equal width: Nixon et al. (2019). The value is biased upwards by
    sampling noise of order sqrt(bins / n); compare it with the same bins and similar n.
    """
    table = calibration_table(labels, predicted, bins=bins)
    rows = sum(part.n for part in table)
    return sum(part.n * abs(part.mean_score - part.event_rate) for part in table) / rows


def r2(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Share of the target's variance explained, at most 1; negative when worse than the mean.

    Raises:
        Invalid: The target is constant.
    """
    actual, guess = same_rows(truth=truth, predicted=predicted)
    spread = float(np.square(actual - actual.mean()).sum())
    if spread == 0:
        raise Invalid(
            "truth is constant; R2 compares with the target's variance",
            code="constant-target",
            hint="Use mean_absolute_error, or a longer window.",
        )
    return 1 - float(np.square(actual - guess).sum()) / spread


def mean_absolute_error(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Mean |truth - predicted|, in the target's unit."""
    actual, guess = same_rows(truth=truth, predicted=predicted)
    return float(np.abs(actual - guess).mean())


def root_mean_squared_error(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> float:
    """Root of the mean squared error, in the target's unit."""
    actual, guess = same_rows(truth=truth, predicted=predicted)
    return float(np.sqrt(np.square(actual - guess).mean()))


def absolute_losses(truth: npt.ArrayLike, predicted: npt.ArrayLike, *, most: float) -> Values:
    """|truth - predicted| per row, clipped to [0, most]: the bounded loss of a regression.

    Args:
        truth: What happened.
        predicted: What was said.
        most: The error beyond which worse makes no difference, in the target's unit, > 0.
    """
    actual, guess = same_rows(truth=finite_values("truth", truth), predicted=predicted)
    if not most > 0:
        raise Invalid("most must be above 0", hint="Pass the largest error that still matters.")
    return np.minimum(np.abs(actual - guess), most)
