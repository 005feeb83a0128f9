"""How far a mean or an area would move if the same kind of rows were drawn again."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trivet.core.errors import Invalid
from trivet.statistics.arrays import Values, cluster_codes, finite_values
from trivet.statistics.metrics import auc_influence
from trivet.statistics.special import student_quantile


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


def leverage(shares: Values) -> Values:
    """Return by how much each unit's square is too small for having drawn the mean towards itself.

    CR2 of Bell & McCaffrey (2002) for a mean: n / (n - 1) where all have the same share.
    """
    return 1 / (1 - shares)


def design_df(shares: Values) -> float:
    """Satterthwaite's degrees of freedom of a CR2 variance of a mean (Bell & McCaffrey 2002).

    They depend on how alike the rows of a group are; the smaller is taken of two extremes: rows
    as if alone, and rows that all say the same (Imbens & Kolesar 2016 estimate where between).

    Args:
        shares: Each unit's share of the rows, shape (units,), summing to 1.

    Returns:
        units - 1 where all shares are equal, less where they are not.
    """
    return min(_satterthwaite(shares, shares), _satterthwaite(shares, np.square(shares)))


def _satterthwaite(shares: Values, variances: Values) -> float:
    """tr(P)^2 / tr(P^2) of the scaled residual sums, for units of these variances, in O(units)."""
    scale, total = leverage(shares), float(variances.sum())
    own = variances * (1 - 2 * shares) + shares**2 * total
    # Off the diagonal P is -w_h c_g - w_g c_h + C w_g w_h; its squares add up from three sums.
    both = total * shares**2 - 2 * shares * variances
    ww, cc, wc = (
        float((scale * a * b).sum())
        for a, b in ((shares, shares), (variances, variances), (shares, variances))
    )
    crossed = 2 * ww * cc + 2 * wc**2 + (total * ww) ** 2 - 4 * total * ww * wc
    squares = crossed + float((scale**2 * (own**2 - both**2)).sum())
    return float((scale * own).sum()) ** 2 / squares


def welch_df(classes: Sequence[Values]) -> float:
    """Welch's degrees of freedom for a sum of independent means, from what moves each of them."""
    variances = [float(np.square(part).sum()) for part in classes]
    parts = (v * v / max(part.size - 1, 1) for v, part in zip(variances, classes, strict=True))
    below = math.fsum(parts)
    return math.fsum(variances) ** 2 / below if below > 0 else math.inf


def spread_of_mean(values: npt.ArrayLike, clusters: npt.ArrayLike | None = None) -> Spread:
    """Mean and its standard error; with clusters the sandwich form CR2 (Bell & McCaffrey 2002).

    Raises:
        Invalid: Fewer than two rows, or fewer than two clusters.
    """
    read = finite_values("values", values, least=2)
    mean = float(read.mean())
    codes, count = cluster_codes(clusters, read.size)
    sums: Values = np.bincount(codes, weights=read - mean, minlength=count) / read.size
    shares: Values = np.bincount(codes, minlength=count) / read.size
    error = math.sqrt(float((leverage(shares) * np.square(sums)).sum()))
    return Spread(mean, error, design_df(shares), count)


def spread_of_auc(
    labels: npt.ArrayLike, scores: npt.ArrayLike, clusters: npt.ArrayLike | None = None
) -> Spread:
    """Area under the ROC curve and its DeLong standard error; with clusters Obuchowski's (1997)."""
    area, influence = auc_influence(labels, scores)
    positive = finite_values("labels", labels) == 1
    ones = int(positive.sum())
    sizes: Values = np.where(positive, float(ones), float(positive.size - ones))
    if sizes.min() < 2:
        raise Invalid(
            "labels needs at least 2 rows of each class to say how sure the area is",
            code="too-few-rows",
            hint="Use a longer window or a larger holdout.",
        )
    if clusters is None:
        error = math.sqrt(float((np.square(influence) * sizes / (sizes - 1)).sum()))
        df = welch_df([influence[positive], influence[~positive]])
        return Spread(area, error, df, positive.size)
    codes, count = cluster_codes(clusters, positive.size)
    sums: Values = np.bincount(codes, weights=influence, minlength=count).astype(np.float64)
    shares: Values = np.bincount(codes, weights=0.5 / sizes, minlength=count).astype(np.float64)
    error = math.sqrt(float((leverage(shares) * np.square(sums)).sum()))
    return Spread(area, error, design_df(shares), count)
