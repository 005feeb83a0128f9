"""Two models on the same rows: is the candidate better, or worse by no more than a margin?

Every comparison is oriented the same way, whatever the metric: a positive difference means
that the candidate is better. Two separate intervals must never be compared instead: the
models err on the same rows, and pairing removes that shared noise.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trivet.core.errors import Invalid
from trivet.statistics.arrays import Codes, binary_labels, check_share, same_rows
from trivet.statistics.bootstrap import bootstrap_draws
from trivet.statistics.special import binomial_tails, normal_cdf, normal_quantile, turning_point
from trivet.statistics.variation import Spread, spread_of_auc_gain, spread_of_mean

POWER = 0.8


@dataclass(frozen=True)
class Comparison:
    """What the same rows say about a candidate against a champion.

    Attributes:
        difference: The candidate's gain in the metric's unit; positive is better.
        low: Lower end of the two-sided interval of the gain.
        high: Upper end.
        p_value: One-sided, of "the gain is -margin or less". Small: superior (margin 0) or
            non-inferior (margin above 0).
        detectable: Smallest gain above -margin that this holdout finds with 80 % power at
            one-sided level 1 - `level`. A "no" says little about gains smaller than this.
        margin: The loss of quality that would still be accepted, >= 0.
        level: Coverage of the interval.
        n: Rows.
        clusters: Independent units behind the variance: rows, or clusters when given.
        method: Name of the procedure.
        error: Standard error of the gain.
    """

    difference: float
    low: float
    high: float
    p_value: float
    detectable: float
    margin: float
    level: float
    n: int
    clusters: int
    method: str
    error: float = math.nan

    def detectable_at(self, alpha: float) -> float:
        """Smallest gain above -margin found with 80 % power at one-sided level `alpha`.

        By the normal approximation; what a look is worth is what its verdict could have seen.
        """
        check_share("alpha", alpha)
        return (normal_quantile(POWER) - normal_quantile(alpha)) * self.error

    def passes(self, alpha: float) -> bool:
        """Whether the candidate is shown better than -margin at one-sided level `alpha`."""
        return self.p_value <= alpha


def _check(margin: float, level: float) -> None:
    check_share("level", level)
    if not (math.isfinite(margin) and margin >= 0):
        raise Invalid(
            "margin must be 0 or more",
            hint="Pass the loss of quality you would accept, in the metric's unit.",
        )


def _compare_spread(
    spread: Spread, *, rows: int, margin: float, level: float, method: str
) -> Comparison:
    reach = spread.quantile((1 + level) / 2) * spread.error
    return Comparison(
        difference=spread.estimate,
        low=spread.estimate - reach,
        high=spread.estimate + reach,
        p_value=spread.tail(-margin),
        detectable=(spread.quantile(level) + spread.quantile(POWER)) * spread.error,
        margin=margin,
        level=level,
        n=rows,
        clusters=spread.units,
        method=method,
        error=spread.error,
    )


def compare_auc(  # each keyword changes what is claimed
    labels: npt.ArrayLike,
    champion_scores: npt.ArrayLike,
    candidate_scores: npt.ArrayLike,
    *,
    clusters: npt.ArrayLike | None = None,
    margin: float = 0.0,
    level: float = 0.95,
) -> Comparison:
    """Compare areas under the ROC curve by DeLong's covariance (1988).

    Args:
        labels: 0 or 1 per row, at least 2 of each.
        champion_scores: The incumbent's scores; higher means more likely 1.
        candidate_scores: The challenger's scores on the same rows, on any scale.
        clusters: One label per row (day, customer): variance between clusters (Obuchowski 1997).
        margin: Accepted loss of area, >= 0.
        level: Coverage of the interval.
    """
    _check(margin, level)
    spread = spread_of_auc_gain(labels, champion_scores, candidate_scores, clusters)
    method = "DeLong" if clusters is None else "DeLong, clustered"
    rows = int(np.size(np.asarray(labels)))
    return _compare_spread(spread, rows=rows, margin=margin, level=level, method=method)


def compare_losses(
    champion_losses: npt.ArrayLike,
    candidate_losses: npt.ArrayLike,
    *,
    clusters: npt.ArrayLike | None = None,
    margin: float = 0.0,
    level: float = 0.95,
) -> Comparison:
    """Compare mean losses row by row by Student's paired t; lower loss is better.

    Args:
        champion_losses: One loss per row (squared error, log loss, cost).
        candidate_losses: The challenger's loss on the same row.
        clusters: One label per row (day, customer): variance between clusters.
        margin: Accepted rise of the mean loss, >= 0.
        level: Coverage of the interval.
    """
    _check(margin, level)
    old, new = same_rows(champion_losses=champion_losses, candidate_losses=candidate_losses)
    spread = spread_of_mean(old - new, clusters)
    method = "paired t" if clusters is None else "paired t, clustered"
    return _compare_spread(spread, rows=old.size, margin=margin, level=level, method=method)


def _score_against(gain: float, won: int, lost: int, n: int) -> float:
    """Tango's (1998) score statistic of "the true gain is `gain`"; falls as `gain` rises.

    The nuisance parameter, the chance of a row that only the champion gets right, is replaced
    by its maximum-likelihood value under that hypothesis, a root of a quadratic.
    """
    b = (2 * n + lost - won) * gain - lost - won
    c = -lost * gain * (1 - gain)
    rest = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
    variance = (2 * rest + gain * (1 - gain)) / n
    observed = (won - lost) / n - gain
    if variance <= 0:
        return 0.0 if observed == 0 else math.copysign(math.inf, observed)
    return observed / math.sqrt(variance)


def compare_correct(
    champion_correct: npt.ArrayLike,
    candidate_correct: npt.ArrayLike,
    *,
    margin: float = 0.0,
    level: float = 0.95,
    exact: bool = False,
) -> Comparison:
    """Compare accuracy-like metrics from 0/1 per row.

    Superiority by McNemar's mid-p test (Fagerland, Lydersen & Laake 2013), non-inferiority and
    the interval by Tango's score method (1998). Rows are taken as independent; for clustered
    rows use `compare_losses` on 1 - correct.

    Args:
        champion_correct: 1 where the incumbent was right.
        candidate_correct: 1 where the challenger was right, same rows.
        margin: Accepted loss of accuracy, in [0, 1).
        level: Coverage of the interval.
        exact: Superiority by McNemar's exact test instead: never above its level on any number
            of rows, where mid-p holds it on average.
    """
    _check(margin, level)
    old, new = same_rows(champion_correct=champion_correct, candidate_correct=candidate_correct)
    binary_labels("champion_correct", old)
    binary_labels("candidate_correct", new)
    n, won, lost = old.size, int((new > old).sum()), int((old > new).sum())
    if margin > 0:
        p_value, method = 1 - normal_cdf(_score_against(-margin, won, lost, n)), "Tango score"
    elif won + lost == 0:
        p_value, method = (1.0, "McNemar exact") if exact else (0.5, "McNemar mid-p")
    else:
        at_most, at_least = binomial_tails(won, won + lost, 0.5)
        p_value, method = at_least, "McNemar exact"
        if not exact:
            p_value, method = at_least - 0.5 * (at_most + at_least - 1), "McNemar mid-p"
    z = normal_quantile((1 + level) / 2)
    low = turning_point(lambda gain: _score_against(gain, won, lost, n) > z, -1.0, 1.0)
    high = turning_point(lambda gain: _score_against(gain, won, lost, n) > -z, -1.0, 1.0)
    difference = (won - lost) / n
    # One row more than observed, so that full agreement does not promise infinite sharpness.
    error = math.sqrt(won + lost + 1) / n
    return Comparison(
        difference=difference,
        low=min(low, difference),
        high=max(high, difference),
        p_value=min(1.0, max(0.0, p_value)),
        detectable=(normal_quantile(level) + normal_quantile(POWER)) * error,
        margin=margin,
        level=level,
        n=n,
        clusters=n,
        method=method,
        error=error,
    )


def compare_metric(  # noqa: PLR0913  # the bootstrap's choices and the claim's, all named
    statistic: Callable[[Codes], tuple[float, float]],
    rows: int,
    *,
    higher_is_better: bool,
    clusters: npt.ArrayLike | None = None,
    block: int = 1,
    margin: float = 0.0,
    level: float = 0.95,
    draws: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compare any metric by a paired bootstrap: both models on the same resampled rows.

    Args:
        statistic: Takes row numbers (with repeats); returns the champion's and the candidate's
            metric on them. NaN where undefined.
        rows: How many rows there are.
        higher_is_better: Whether more of the metric is better.
        clusters: One label per row; clusters are resampled whole.
        block: Neighbouring clusters drawn together, >= 1.
        margin: Accepted loss, in the metric's unit, >= 0.
        level: Coverage of the percentile interval.
        draws: Resamples, >= 100; the p-value cannot be smaller than 1 / (draws + 1).
        seed: Makes the answer repeatable.
    """
    _check(margin, level)
    sign = 1.0 if higher_is_better else -1.0

    def gain(chosen: Codes) -> float:
        champion, candidate = statistic(chosen)
        return sign * (candidate - champion)

    difference = gain(np.arange(rows))
    values = bootstrap_draws(gain, rows, clusters=clusters, block=block, draws=draws, seed=seed)
    low, high = (float(q) for q in np.quantile(values, [(1 - level) / 2, (1 + level) / 2]))
    units = rows if clusters is None else int(np.unique(np.asarray(clusters)).size)
    reach = normal_quantile(level) + normal_quantile(POWER)
    error = float(values.std(ddof=1))
    return Comparison(
        difference=difference,
        low=min(low, difference),
        high=max(high, difference),
        p_value=float((1 + (values <= -margin).sum()) / (1 + values.size)),
        detectable=reach * error,
        margin=margin,
        level=level,
        n=rows,
        clusters=units,
        method="paired bootstrap",
        error=error,
    )


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjust p-values of several questions asked at once (Holm 1979), any dependence.

    Reject those at or below alpha: the chance of a single false rejection is at most alpha.

    Returns:
        Adjusted values in the order given, each in [0, 1].

    Example:
        >>> holm([0.01, 0.04, 0.03])
        (0.03, 0.06, 0.06)
    """
    read = np.asarray(p_values, dtype=np.float64)
    if read.ndim != 1 or not ((read >= 0) & (read <= 1)).all():
        raise Invalid("p_values must be numbers from 0 to 1")
    order = np.argsort(read, kind="stable")
    stepped = np.maximum.accumulate(read[order] * np.arange(read.size, 0, -1))
    adjusted = np.empty_like(read)
    adjusted[order] = np.minimum(stepped, 1.0)
    return tuple(float(p) for p in adjusted)
