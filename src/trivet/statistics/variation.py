"""How far a mean or an area would move if the same kind of rows were drawn again."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trivet.core.errors import Invalid
from trivet.statistics.arrays import Values, cluster_codes, finite_values, same_rows
from trivet.statistics.metrics import auc_influence
from trivet.statistics.special import student_cdf, student_quantile


@dataclass(frozen=True)
class Spread:
    """An estimate, its standard error, and the degrees of freedom of the t law that goes with it.

    `units` counts what was drawn independently: rows, or clusters when they were given.
    """

    estimate: float
    error: float
    df: float
    units: int

    def quantile(self, p: float) -> float:
        """The p-quantile of the standardised estimate."""
        return student_quantile(p, self.df)

    def tail(self, null: float) -> float:
        """P(an estimate this high or higher) if the truth were `null`."""
        if self.error == 0:
            return 0.0 if self.estimate > null else 1.0
        return student_cdf((null - self.estimate) / self.error, self.df)


def spread_of_mean(values: npt.ArrayLike, clusters: npt.ArrayLike | None = None) -> Spread:
    """Mean and its standard error; with clusters the sandwich form (Liang & Zeger 1986).

    Raises:
        Invalid: Fewer than two rows, or fewer than two clusters.
    """
    read = finite_values("values", values, least=2)
    mean = float(read.mean())
    codes, count = cluster_codes(clusters, read.size)
    sums = np.bincount(codes, weights=read - mean, minlength=count)
    variance = count / (count - 1) * float(np.square(sums).sum()) / read.size**2
    return Spread(mean, math.sqrt(variance), float(count - 1), count)


def _class_variance(labels: Values, influence: Values) -> float:
    positive = labels == 1
    total = 0.0
    for rows in (positive, ~positive):
        size = int(rows.sum())
        if size < 2:
            raise Invalid(
                "labels needs at least 2 rows of each class to say how sure the area is",
                code="too-few-rows",
                hint="Use a longer window or a larger holdout.",
            )
        total += size / (size - 1) * float(np.square(influence[rows]).sum())
    return total


def _spread_of_influence(
    labels: npt.ArrayLike, estimate: float, influence: Values, clusters: npt.ArrayLike | None
) -> Spread:
    truth = finite_values("labels", labels)
    if clusters is None:
        error = math.sqrt(_class_variance(truth, influence))
        return Spread(estimate, error, math.inf, truth.size)
    codes, count = cluster_codes(clusters, truth.size)
    sums = np.bincount(codes, weights=influence, minlength=count)
    error = math.sqrt(count / (count - 1) * float(np.square(sums).sum()))
    return Spread(estimate, error, float(count - 1), count)


def spread_of_auc(
    labels: npt.ArrayLike, scores: npt.ArrayLike, clusters: npt.ArrayLike | None = None
) -> Spread:
    """Area under the ROC curve and its DeLong standard error; with clusters Obuchowski's (1997)."""
    area, influence = auc_influence(labels, scores)
    return _spread_of_influence(labels, area, influence, clusters)


def spread_of_auc_gain(
    labels: npt.ArrayLike,
    champion: npt.ArrayLike,
    candidate: npt.ArrayLike,
    clusters: npt.ArrayLike | None = None,
) -> Spread:
    """AUC of the candidate minus the champion's on the same rows, by DeLong's covariance."""
    same_rows(labels=labels, champion_scores=champion, candidate_scores=candidate)
    old, old_influence = auc_influence(labels, champion)
    new, new_influence = auc_influence(labels, candidate)
    return _spread_of_influence(labels, new - old, new_influence - old_influence, clusters)
