"""Two models on the same rows: is the candidate better, or worse by no more than a margin?

Every comparison is oriented the same way, whatever the metric: a positive difference means
that the candidate is better. Two separate intervals must never be compared instead: the
models err on the same rows, and pairing removes that shared noise. An interval's end and the
p-value come from one law: the interval lies above -margin exactly where the p-value is at most
half of 1 - level.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from trivet.core.errors import Invalid
from trivet.statistics.arrays import Values, binary_labels, check_share, same_rows
from trivet.statistics.discordant import Discordant
from trivet.statistics.gain import POWER, Gain, gain_of_auc, gain_of_mean
from trivet.statistics.metrics import auc
from trivet.statistics.special import normal_quantile


@dataclass(frozen=True)
class Comparison:
    """What the same rows say about a candidate against a champion.

    Attributes:
        difference: The candidate's gain in the metric's unit; positive is better.
        low: Lower end of the two-sided interval of the gain.
        high: Upper end.
        p_value: One-sided, of "the gain is -margin or less". Small: superior (margin 0) or
            non-inferior (margin above 0). 1 where nothing can be decided.
        margin: The loss of quality that would still be accepted, >= 0.
        level: Coverage of the interval.
        n: Rows.
        clusters: Independent units behind the variance: rows, or clusters when given.
        method: Name of the procedure.
        reach: Takes a one-sided level; returns the smallest gain above -margin that it finds with
            80 % power, or infinity.
        error: Standard error of the gain.
        most: The largest gain that is possible: a perfect candidate's.
        problem: Why these rows decide nothing; empty when they do.
        warning: What makes the decision doubtful; empty when nothing does.
    """

    difference: float
    low: float
    high: float
    p_value: float
    margin: float
    level: float
    n: int
    clusters: int
    method: str
    reach: Callable[[float], float] = field(repr=False, compare=False)
    error: float = math.nan
    most: float = math.inf
    problem: str = ""
    warning: str = ""

    def undecided(self, problem: str) -> "Comparison":
        """Return the same figures, from which nothing follows."""
        low, high = min(self.low, -self.margin, 0.0), max(self.high, 0.0)
        return replace(self, problem=problem, p_value=1.0, low=low, high=high)

    @property
    def detectable(self) -> float:
        """As `detectable_at` the one-sided level 1 - `level`."""
        return self.detectable_at(1 - self.level)

    def detectable_at(self, alpha: float) -> float:
        """Smallest gain above -margin found with 80 % power at one-sided level `alpha`.

        What a look is worth is what its verdict could have seen. Infinite where that is more than
        a perfect candidate gains, or where nothing can be decided.
        """
        check_share("alpha", alpha)
        found = math.inf if self.problem else self.reach(alpha)
        return found if found <= self.most + self.margin else math.inf

    def detectable_text(self, alpha: float) -> str:
        """Write what `detectable_at` says as a clause."""
        found = self.detectable_at(alpha)
        if self.error == 0:
            return "both answer alike, which says nothing of gains that would be found"
        if math.isinf(found):
            return "these rows are too few to find any gain that is possible"
        return f"a gain of {found:.2g}{' above the margin' if self.margin else ''} would be found"

    def passes(self, alpha: float) -> bool:
        """Whether the candidate is shown better than -margin at one-sided level `alpha`."""
        return not self.problem and self.p_value <= alpha


def _check(margin: float, level: float) -> None:
    check_share("level", level)
    if not (math.isfinite(margin) and margin >= 0):
        raise Invalid(
            f"margin is {margin!r}; it must be 0 or more",
            hint="Pass the loss of quality you would accept, in the metric's unit.",
        )


@dataclass(frozen=True)
class _Asked:
    rows: int
    margin: float
    level: float
    method: str
    most: float = math.inf


def _compared(gain: Gain, asked: _Asked) -> Comparison:
    tail = (1 - asked.level) / 2
    found = Comparison(
        difference=gain.estimate,
        low=gain.low(tail),
        high=gain.high(tail),
        p_value=gain.tail(-asked.margin),
        margin=asked.margin,
        level=asked.level,
        n=asked.rows,
        clusters=gain.units,
        method=asked.method,
        reach=gain.detectable,
        error=gain.error,
        most=asked.most,
    )
    return found.undecided(gain.problem) if gain.problem else found


def compare_auc(  # each keyword changes what is claimed
    labels: npt.ArrayLike,
    champion_scores: npt.ArrayLike,
    candidate_scores: npt.ArrayLike,
    *,
    clusters: npt.ArrayLike | None = None,
    margin: float = 0.0,
    level: float = 0.95,
) -> Comparison:
    """Compare areas under the ROC curve by DeLong's covariance (1988) and a t law.

    Args:
        labels: 0 or 1 per row; with fewer than `gain.FEWEST_EVENTS` of either nothing passes.
        champion_scores: The incumbent's scores; higher means more likely 1.
        candidate_scores: The challenger's scores on the same rows, on any scale.
        clusters: One label per row (day, customer): variance between clusters (Obuchowski 1997).
        margin: Accepted loss of area, >= 0.
        level: Coverage of the interval.
    """
    _check(margin, level)
    gain = gain_of_auc(labels, champion_scores, candidate_scores, clusters)
    method = "DeLong" if clusters is None else "DeLong, clustered"
    rows, most = int(np.size(np.asarray(labels))), 1 - auc(labels, champion_scores)
    return _compared(gain, _Asked(rows, margin, level, method, most))


def compare_losses(  # each keyword changes what is claimed
    champion_losses: npt.ArrayLike,
    candidate_losses: npt.ArrayLike,
    *,
    clusters: npt.ArrayLike | None = None,
    margin: float = 0.0,
    level: float = 0.95,
    unseen: float | None = None,
) -> Comparison:
    """Compare mean losses row by row by a paired t that stands skew; lower loss is better.

    What is added to Student's t is told in `statistics.gain`. No test of a mean can know of losses
    that did not occur: where they have no bound, the level is approximate.

    Args:
        champion_losses: One loss per row (squared error, log loss, cost).
        candidate_losses: The challenger's loss on the same row.
        clusters: One label per row (day, customer): variance between clusters.
        margin: Accepted rise of the mean loss, >= 0.
        level: Coverage of the interval.
        unseen: What a row that was not drawn can cost the candidate more than the champion, >= 0;
            None: the standard deviation of what the rows show.
    """
    _check(margin, level)
    old, new = same_rows(champion_losses=champion_losses, candidate_losses=candidate_losses)
    gain = gain_of_mean(old - new, clusters, unseen=unseen)
    method = "paired t" if clusters is None else "paired t, clustered"
    most = float(old.mean()) if min(old.min(), new.min()) >= 0 else math.inf
    return _compared(gain, _Asked(old.size, margin, level, method, most))


Influence = tuple[float, Values]
"""A figure, and by how much each row moves it: (n,), of mean 0, in the figure's unit."""


def compare_influences(
    champion: Influence,
    candidate: Influence,
    *,
    higher_is_better: bool,
    clusters: npt.ArrayLike | None = None,
    margin: float = 0.0,
    level: float = 0.95,
    most: float = math.inf,
) -> Comparison:
    """Compare figures that are smooth functions of means (the delta method), with the same law.

    Args:
        champion: The incumbent's figure, and each row's influence on it.
        candidate: The challenger's, on the same rows.
        higher_is_better: Whether more of the figure is better.
        clusters: One label per row (day, customer): variance between clusters.
        margin: Accepted loss, in the figure's unit, >= 0.
        level: Coverage of the interval.
        most: The largest gain that is possible.
    """
    _check(margin, level)
    sign = 1.0 if higher_is_better else -1.0
    moves = sign * (candidate[1] - champion[1])
    gain = gain_of_mean(sign * (candidate[0] - champion[0]) + moves, clusters)
    method = "delta method" if clusters is None else "delta method, clustered"
    return _compared(gain, _Asked(moves.size, margin, level, method, most))


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
    seen = Discordant(won=int((new > old).sum()), lost=int((old > new).sum()), n=old.size)
    most = 1 - float(old.mean())
    is_exact = exact and margin == 0
    low, high = seen.interval(level, exact=is_exact)
    p_value = seen.non_inferior(margin) if margin > 0 else seen.p_value(exact=exact)

    def reach(alpha: float) -> float:
        if is_exact:
            return seen.detectable(alpha, most)
        return (normal_quantile(POWER) - normal_quantile(alpha)) * seen.error

    return Comparison(
        difference=(seen.won - seen.lost) / seen.n,
        low=low,
        high=high,
        p_value=min(1.0, max(0.0, p_value)),
        margin=margin,
        level=level,
        n=seen.n,
        clusters=seen.n,
        method="Tango score" if margin > 0 else f"McNemar {'exact' if exact else 'mid-p'}",
        reach=reach,
        error=seen.error,
        most=most,
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
