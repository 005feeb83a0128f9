"""Tests and intervals that hold at every look, for deciding while the evidence comes in.

An e-process starts at 1 and, while its null hypothesis is true, has expectation at most 1 at any
stopping time; so it ever reaches 1/alpha with chance at most alpha (Ville 1939; Ramdas et al.
2023, "Game-theoretic statistics and safe anytime-valid inference"). Look as often as you like.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from trivet.core.errors import Invalid
from trivet.statistics.arrays import Values, check_count, check_share
from trivet.statistics.intervals import Interval
from trivet.statistics.special import turning_point
from trivet.statistics.tally import Tally

HARM_RATIOS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
_SKEWS = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)
SPLIT_RATIOS = (*_SKEWS, *(1 / skew for skew in _SKEWS))

# Stakes as shares of the most that may be bet without ruin. The right stake is unknown (it is
# about effect over variance), so each is played with an equal part of the capital.
STAKES: tuple[float, ...] = (0.95, *(2.0**-k for k in range(1, 14)))


def log_mean_exp(logs: Values) -> float:
    """Logarithm of the mean of exp(logs), without overflow."""
    top = float(logs.max())
    return top + math.log(float(np.exp(logs - top).mean())) if math.isfinite(top) else top


def combine_log_e(log_e: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """Logarithm of a weighted mean of e-values: an e-value again, whatever their dependence.

    Args:
        log_e: Natural logarithms of e-values on one null hypothesis, at least 1.
        weights: Non-negative, fixed beforehand; equal when None.
    """
    logs = np.asarray(log_e, dtype=np.float64)
    shares = np.ones_like(logs) if weights is None else np.asarray(weights, dtype=np.float64)
    if logs.size == 0 or shares.shape != logs.shape or shares.min() < 0 or shares.sum() <= 0:
        raise Invalid("weights must match log_e in number, none negative, not all zero")
    used = shares > 0
    return log_mean_exp(logs[used] + np.log(shares[used] / shares[used].sum() * used.sum()))


# ------------------------------------------------------------------ counts of events


@dataclass(frozen=True)
class CountTest:
    """Where events fall, canary or baseline, when the router's split is known.

    State of the exact e-process for counts (a likelihood ratio of where each event falls, after
    Lindon & Malek 2022, averaged over ratios). Traffic waves cancel, since only the split of the
    events counts, and the split may change at any time. Updates commute.

    It takes each event as an own draw: count users or requests, not retries of one request.

    Attributes:
        null_ratio: Ratio of event rates, canary over baseline, at the edge of the null.
        ratios: Alternatives that are bet on.
        log_wealth: Log likelihood ratio of each alternative.
        canary: Events on the canary so far.
        baseline: Events elsewhere so far.
        peak: Largest log e-value at any look so far.
    """

    null_ratio: float
    ratios: tuple[float, ...]
    log_wealth: tuple[float, ...]
    canary: float = 0.0
    baseline: float = 0.0
    peak: float = 0.0

    def __post_init__(self) -> None:
        if not self.ratios or min(self.null_ratio, *self.ratios) <= 0:
            raise Invalid("ratios must be positive, and there must be at least one")
        if len(self.log_wealth) != len(self.ratios):
            raise Invalid("log_wealth must hold one number per ratio")

    @property
    def log_e(self) -> float:
        """Logarithm of the evidence against the null now; 0 is none."""
        return log_mean_exp(np.asarray(self.log_wealth))

    @property
    def p_value(self) -> float:
        """Always-valid p-value: one over the largest evidence so far."""
        return math.exp(-max(0.0, self.peak))

    def is_rejected(self, alpha: float) -> bool:
        """Whether the evidence has ever reached 1/alpha."""
        check_share("alpha", alpha)
        return self.peak >= -math.log(alpha)


def _count_test(null_ratio: float, ratios: Sequence[float]) -> CountTest:
    return CountTest(null_ratio, tuple(map(float, ratios)), (0.0,) * len(ratios))


def harm_test(*, ratios: Sequence[float] = HARM_RATIOS) -> CountTest:
    """Test "the canary's rate of bad events is at most the baseline's"; rejected: roll back.

    Args:
        ratios: Harm ratios to look for, all above 1.
    """
    if min(ratios, default=0) <= 1:
        raise Invalid("harm ratios must all be above 1")
    return _count_test(1.0, ratios)


def promotion_test(margin: float, *, ratios: Sequence[float] | None = None) -> CountTest:
    """Test "the canary's rate is at least 1 + margin times the baseline's"; rejected: promote.

    Not shown worse is not shown fine: this is the reverse question.

    Args:
        margin: Smallest relative rise that would be harm, > 0 (0.25 is a quarter more).
        ratios: Ratios to bet on, all below 1 + margin; chosen around 1 when None.
    """
    if not (math.isfinite(margin) and margin > 0):
        raise Invalid("margin must be above 0", hint="Pass for instance 0.25 for a quarter more.")
    chosen = (0.25, 0.5, 0.75, 1.0, math.sqrt(1 + margin)) if ratios is None else tuple(ratios)
    if max(chosen, default=math.inf) >= 1 + margin:
        raise Invalid("promotion ratios must all be below 1 + margin")
    return _count_test(1 + margin, chosen)


def split_test(*, ratios: Sequence[float] = SPLIT_RATIOS) -> CountTest:
    """Test "requests are split as declared"; rejected: the routing is broken (sample ratio).

    Feed all requests, good and bad alike.
    """
    return _count_test(1.0, ratios)


def update_counts(test: CountTest, *, canary: float, baseline: float, share: float) -> CountTest:
    """Add the events of one stretch of time.

    Args:
        test: State so far.
        canary: Events on the canary in this stretch.
        baseline: Events elsewhere in this stretch.
        share: Canary's share of the traffic in this stretch, in (0, 1), fixed before the events.
            When it changed, update once per share.

    Returns:
        The new state. The same stretches in any order give the same evidence.
    """
    check_count("canary", canary)
    check_count("baseline", baseline)
    check_share("share", share)
    ratios = np.asarray(test.ratios)
    # Chance that an event is the canary's: share r / (share r + 1 - share).
    thinner = (share * test.null_ratio + 1 - share) / (share * ratios + 1 - share)
    gain = canary * np.log(ratios / test.null_ratio * thinner) + baseline * np.log(thinner)
    wealth = np.asarray(test.log_wealth) + gain
    return replace(
        test,
        log_wealth=tuple(wealth.tolist()),
        canary=test.canary + canary,
        baseline=test.baseline + baseline,
        peak=max(test.peak, log_mean_exp(wealth)),
    )


# ------------------------------------------------------------------ means of bounded values


def log_bets(points: Values, null_mean: float, low: float, stakes: Values) -> Values:
    """Log growth of each stake on "the mean is above null_mean", at each grid point.

    A stake f multiplies the capital by 1 + f (x - null_mean) / (null_mean - low): expectation at
    most 1 under the null, positive for every x >= low.

    Returns:
        Shape (points, stakes).
    """
    surplus = (points - null_mean) / (null_mean - low)
    return np.log1p(np.multiply.outer(surplus, stakes))


def log_e_above(part: Tally, mean: float) -> float:
    """Logarithm of the evidence against "the true mean is at most `mean`".

    Betting with constant stakes, averaged (the diversified bets of Waudby-Smith & Ramdas 2024):
    a function of the tally alone, hence independent of order, and valid at every look.

    Args:
        part: Values whose conditional mean, given the past, is what the claim is about.
        mean: The null's mean, strictly inside the tally's range.
    """
    if not part.low < mean < part.high:
        raise Invalid("mean must lie strictly inside the tally's range")
    return _log_e(np.asarray(part.mass), part.points, mean, part.low)


def log_e_below(part: Tally, mean: float) -> float:
    """Logarithm of the evidence against "the true mean is at least `mean`"; see `log_e_above`."""
    mirrored = replace(part, low=-part.high, high=-part.low, mass=part.mass[::-1])
    return log_e_above(mirrored, -mean)


def _log_e(mass: Values, points: Values, mean: float, low: float) -> float:
    return log_mean_exp(mass @ log_bets(points, mean, low, np.asarray(STAKES)))


def _lower_bound(part: Tally, needed: float) -> float:
    """Largest mean that the evidence refutes; the evidence falls as the mean rises."""
    mass, points = np.asarray(part.mass), part.points
    if part.mean <= part.low:
        return part.low
    return turning_point(
        lambda mean: mean <= part.low or _log_e(mass, points, mean, part.low) >= needed,
        part.low,
        part.mean,
    )


def confidence_sequence(part: Tally, *, level: float = 0.95) -> Interval:
    """Interval of a mean that holds at all times at once (Waudby-Smith & Ramdas 2024).

    The chance that the true mean is ever outside, over all looks, is at most 1 - level, for any
    law on the tally's range. Only the tally is needed.

    Args:
        part: Everything counted so far.
        level: Coverage in (0, 1), over all looks together.
    """
    check_share("level", level)
    if part.n == 0:
        return Interval(part.mean, part.low, part.high, level)
    needed = math.log(2 / (1 - level))
    mirrored = replace(part, low=-part.high, high=-part.low, mass=part.mass[::-1])
    low = _lower_bound(part, needed)
    high = -_lower_bound(mirrored, needed)
    return Interval(part.mean, min(low, part.mean), max(high, part.mean), level)


Judgement = Literal["better", "not_worse", "worse", "open"]


def judge_pairs(gains: Tally, *, margin: float, alpha: float) -> Judgement:
    """Judge a shadow by its gains on the rows that both models answered.

    Args:
        gains: From `paired_tally`, merged over all rows so far.
        margin: Rise of the mean loss that would be accepted, >= 0, in the loss's unit.
        alpha: Chance of a wrong answer, over all looks, for each answer other than "open".

    Returns:
        "better" when the mean gain is above 0, "not_worse" when it is above -margin, "worse"
        when it is below -margin, "open" while the evidence decides nothing.
    """
    check_share("alpha", alpha)
    if margin < 0 or -margin <= gains.low:
        raise Invalid("margin must be at least 0 and smaller than the range of the loss")
    needed = -math.log(alpha)
    if log_e_above(gains, 0.0) >= needed:
        return "better"
    if log_e_above(gains, -margin) >= needed:
        return "not_worse"
    return "worse" if log_e_below(gains, -margin) >= needed else "open"
