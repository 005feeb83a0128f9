"""How much windows differ from each other while nothing is wrong.

Rows of one day share a level, and days remember the day before. A test that takes all rows as
independent draws from one level alarms at that, and rightly so: its null hypothesis is false.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trivet.core.errors import Invalid
from trivet.statistics.arrays import Values
from trivet.statistics.tally import Tally

FEWEST_WINDOWS = 8
_MOST_LAGS = 10


@dataclass(frozen=True)
class BaselineLevel:
    """What windows look like while all is well.

    Attributes:
        mean: Mean of the windows' levels (weighted by how well each is known).
        row_variance: Variance within windows.
        level_variance: Variance of the levels beyond what sampling rows explains, >= 0.
        autocorrelation: Of neighbouring levels, in [0, 0.95], as a first-order autoregression.
        long_run_variance: level_variance x (1 + autocorrelation) / (1 - autocorrelation): what
            the mean of many windows feels.
        mean_error: Standard error of `mean`.
        windows: Windows with rows in them.
        rows: Rows of the median window.
    """

    mean: float
    row_variance: float
    level_variance: float
    autocorrelation: float
    long_run_variance: float
    mean_error: float
    windows: int
    rows: float


def _level_variance(sizes: Values, means: Values, row_variance: float) -> float:
    """Between-window variance by the method of moments (DerSimonian & Laird 1986)."""
    if row_variance == 0:
        return float(means.var(ddof=1))
    weights = sizes / row_variance
    centre = float(np.dot(weights, means) / weights.sum())
    excess = float(np.dot(weights, np.square(means - centre))) - (means.size - 1)
    return max(0.0, excess / float(weights.sum() - np.square(weights).sum() / weights.sum()))


def _memory(residual: Values, level_variance: float, sampling: float) -> tuple[float, float]:
    """Variance and lag-1 correlation of levels that follow a first-order autoregression.

    Least squares on the autocovariances of the first lags, which pools them where one lag alone
    would drown in sampling noise. Subtracting an estimated mean pulls every autocovariance down
    by the variance of that mean; the fit puts it back, or short series would seem forgetful.

    Args:
        residual: Window means minus their centre, in order of time.
        level_variance: Moment estimate of the levels' variance (lag 0, sampling taken out).
        sampling: Variance of a typical window's mean due to its rows.
    """
    k = residual.size
    if level_variance == 0:
        return 0.0, 0.0
    lags = np.arange(1, min(_MOST_LAGS, k // 4) + 1)
    covariance = [float(np.dot(residual[:-h], residual[h:])) / (k - h) for h in lags]
    target = np.array([level_variance, *(c + sampling / k for c in covariance)])
    gaps = np.arange(1, k)
    best, chosen = math.inf, (0.0, 0.0)
    for step in range(39):
        correlation = step / 40
        of_mean = (1 + 2 * float(np.sum((1 - gaps / k) * correlation**gaps))) / k
        shape = correlation ** np.arange(lags.size + 1) - of_mean
        shape[0] += 1 / k  # the moment estimate already divides by one window less
        variance = max(0.0, float(np.dot(shape, target) / np.dot(shape, shape)))
        misfit = float(np.square(target - variance * shape).sum())
        if misfit < best:
            best, chosen = misfit, (variance, correlation)
    return chosen


def describe_baseline(windows: Sequence[Tally]) -> BaselineLevel:
    """Estimate the natural variation of a loss from windows in which all was well.

    Args:
        windows: In order of time, same range and grid; empty ones are skipped.

    Raises:
        Invalid: Fewer than 8 windows hold rows, or they are counted over different grids.
    """
    if len({(w.low, w.high, len(w.mass)) for w in windows}) > 1:
        raise Invalid("baseline windows must share low, high and cells")
    filled = [w for w in windows if w.n > 0]
    if len(filled) < FEWEST_WINDOWS:
        raise Invalid(
            f"the baseline has {len(filled)} windows with rows; expected at least {FEWEST_WINDOWS}",
            code="too-few-windows",
            hint="Cut the baseline into shorter windows, or collect a longer one.",
        )
    sizes = np.array([w.n for w in filled])
    means = np.array([w.mean for w in filled])
    within = float(np.dot(sizes, [w.variance for w in filled]))
    row_variance = within / max(1.0, float(sizes.sum()) - len(filled))
    level_variance = _level_variance(sizes, means, row_variance)
    weights = sizes / (row_variance + sizes * level_variance) if row_variance > 0 else sizes
    centre = float(np.dot(weights, means) / weights.sum())
    sampling = row_variance / float(np.median(sizes))
    level_variance, autocorrelation = _memory(means - centre, level_variance, sampling)
    long_run = level_variance * (1 + autocorrelation) / (1 - autocorrelation)
    shares = weights / weights.sum()
    error = math.sqrt(float(np.dot(np.square(shares), row_variance / sizes + long_run)))
    # Losses that never varied are known no better than to one row's worth.
    error = max(error, (filled[0].high - filled[0].low) / float(sizes.sum()))
    return BaselineLevel(
        mean=centre,
        row_variance=row_variance,
        level_variance=level_variance,
        autocorrelation=autocorrelation,
        long_run_variance=long_run,
        mean_error=error,
        windows=len(filled),
        rows=float(np.median(sizes)),
    )
