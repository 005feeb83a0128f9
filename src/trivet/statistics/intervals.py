"""Fixed-sample confidence intervals: proportions, means, area under the ROC curve.

Each holds its promise at one look, decided beforehand. For looking again and again use
`sequential.confidence_sequence`.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trivet.core.errors import Invalid
from trivet.statistics.arrays import binary_labels, check_count, check_share, finite_values
from trivet.statistics.special import beta_quantile, normal_quantile
from trivet.statistics.variation import Spread, spread_of_auc, spread_of_mean


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval; `level` is the promised coverage, for instance 0.95."""

    estimate: float
    low: float
    high: float
    level: float

    @property
    def width(self) -> float:
        """The distance from end to end."""
        return self.high - self.low

    def contains(self, value: float) -> bool:
        """Whether `value` lies inside, ends included."""
        return self.low <= value <= self.high


def _check_proportion(successes: float, n: float, level: float) -> None:
    check_count("n", n, least=1)
    check_count("successes", successes)
    check_share("level", level)
    if successes > n:
        raise Invalid("successes exceeds n", hint="Pass how many of the n trials succeeded.")


def wilson(successes: float, n: float, *, level: float = 0.95) -> Interval:
    """Score interval of a proportion (Wilson 1927): near-nominal coverage from a handful of rows.

    Args:
        successes: 0..n.
        n: Independent trials, >= 1.
        level: Coverage in (0, 1).

    Example:
        >>> wilson(0, 10).low, round(wilson(0, 10).high, 4)
        (0.0, 0.2775)
    """
    _check_proportion(successes, n, level)
    z2 = normal_quantile((1 + level) / 2) ** 2
    share = successes / n
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    low = 0.0 if successes == 0 else min(share, max(0.0, middle - reach))
    high = 1.0 if successes == n else max(share, min(1.0, middle + reach))
    return Interval(share, low, high, level)


def clopper_pearson(successes: float, n: float, *, level: float = 0.95) -> Interval:
    """Exact interval of a proportion (Clopper & Pearson 1934): coverage never below `level`."""
    _check_proportion(successes, n, level)
    tail = (1 - level) / 2
    low = 0.0 if successes == 0 else beta_quantile(tail, successes, n - successes + 1)
    high = 1.0 if successes == n else beta_quantile(1 - tail, successes + 1, n - successes)
    return Interval(successes / n, low, high, level)


def student_mean(
    values: npt.ArrayLike, *, clusters: npt.ArrayLike | None = None, level: float = 0.95
) -> Interval:
    """Student's interval of a mean; with clusters by the variation between clusters.

    Args:
        values: At least 2 finite numbers.
        clusters: One label per row when rows come in related groups (days, customers).
        level: Coverage in (0, 1).
    """
    check_share("level", level)
    spread = spread_of_mean(values, clusters)
    reach = spread.quantile((1 + level) / 2) * spread.error
    return Interval(spread.estimate, spread.estimate - reach, spread.estimate + reach, level)


def bernstein_mean(
    values: npt.ArrayLike, *, low: float, high: float, level: float = 0.95
) -> Interval:
    """Empirical-Bernstein interval (Maurer & Pontil 2009): holds for any law on [low, high].

    Args:
        values: At least 2 independent numbers in [low, high].
        low: Smallest possible value.
        high: Largest possible value.
        level: Coverage in (0, 1), at every sample size, without any normality.
    """
    check_share("level", level)
    read = finite_values("values", values, least=2)
    if not low < high or read.min() < low or read.max() > high:
        raise Invalid("values must lie in [low, high], and low below high")
    n, logarithm = read.size, math.log(4 / (1 - level))
    reach = math.sqrt(2 * float(read.var(ddof=1)) * logarithm / n)
    reach += 7 * (high - low) * logarithm / (3 * (n - 1))
    mean = float(read.mean())
    return Interval(mean, max(low, mean - reach), min(high, mean + reach), level)


def _logit_interval(spread: Spread, level: float) -> Interval:
    area = spread.estimate
    reach = spread.quantile((1 + level) / 2) * spread.error / (area * (1 - area))
    centre = math.log(area / (1 - area))
    low, high = (1 / (1 + math.exp(-x)) for x in (centre - reach, centre + reach))
    return Interval(area, min(low, area), max(high, area), level)


def auc_interval(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    clusters: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> Interval:
    """DeLong's interval of the area under the ROC curve, built on the logit scale (Pepe 2003).

    A perfect (or perfectly wrong) ranking has no variance to read; its interval is then the
    exact binomial one for as many trials as the smaller class has rows, which errs wide.

    Args:
        labels: 0 or 1 per row, at least 2 of each.
        scores: Higher means more likely 1.
        clusters: One label per row when rows come in related groups.
        level: Coverage in (0, 1).
    """
    check_share("level", level)
    spread = spread_of_auc(labels, scores, clusters)
    if 0 < spread.estimate < 1:
        return _logit_interval(spread, level)
    truth = binary_labels("labels", labels)
    fewer = min(int(truth.sum()), int(truth.size - truth.sum()))
    fewer = fewer if clusters is None else min(fewer, int(np.unique(np.asarray(clusters)).size))
    exact = clopper_pearson(fewer * spread.estimate, fewer, level=level)
    return Interval(spread.estimate, exact.low, exact.high, level)
