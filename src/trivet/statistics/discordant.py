"""Shares of right answers on the same rows: all that counts is where exactly one model is right.

McNemar's exact test for "better", Tango's (1998) score method for a margin and for intervals.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

from trivet.statistics.special import (
    binomial_tails,
    normal_cdf,
    normal_quantile,
    turning_point,
)

POWER: Final = 0.8
_MOST_ADDED: Final = 300
"""Rows on which one model alone is right, up to which power is added up."""
_HALVINGS: Final = 12


@dataclass(frozen=True)
class Discordant:
    """Of n rows, `won` that only the candidate got right, and `lost` only the champion."""

    won: int
    lost: int
    n: int

    @property
    def error(self) -> float:
        """Standard error of the gain, with one row more than was seen: agreement is not proof."""
        return math.sqrt(self.won + self.lost + 1) / self.n

    def score(self, gain: float) -> float:
        """Tango's statistic of "the true gain is `gain`"; falls as `gain` rises.

        The nuisance parameter, the chance of a row that only the champion gets right, is replaced
        by its maximum-likelihood value under that hypothesis, a root of a quadratic.
        """
        won, lost, n = self.won, self.lost, self.n
        b = (2 * n + lost - won) * gain - lost - won
        c = -lost * gain * (1 - gain)
        rest = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
        variance = (2 * rest + gain * (1 - gain)) / n
        observed = (won - lost) / n - gain
        if variance <= 0:
            return 0.0 if observed == 0 else math.copysign(math.inf, observed)
        return observed / math.sqrt(variance)

    def p_value(self, *, exact: bool) -> float:
        """One-sided, of "no better": McNemar's exact test, or its mid-p form."""
        if self.won + self.lost == 0:
            return 1.0 if exact else 0.5
        at_most, at_least = binomial_tails(self.won, self.won + self.lost, 0.5)
        return at_least if exact else at_least - 0.5 * (at_most + at_least - 1)

    def non_inferior(self, margin: float) -> float:
        """One-sided p-value of "worse by `margin` or more", margin > 0."""
        return 1 - normal_cdf(self.score(-margin))

    def interval(self, level: float, *, exact: bool) -> tuple[float, float]:
        """Tango's interval; with `exact` it excludes 0 only where the exact test does."""
        z = normal_quantile((1 + level) / 2)
        low = turning_point(lambda gain: self.score(gain) > z, -1.0, 1.0)
        high = turning_point(lambda gain: self.score(gain) > -z, -1.0, 1.0)
        difference, tail = (self.won - self.lost) / self.n, (1 - level) / 2
        low, high = min(low, difference), max(high, difference)
        if exact and self.p_value(exact=True) > tail:
            low = min(low, 0.0)
        if exact and Discordant(self.lost, self.won, self.n).p_value(exact=True) > tail:
            high = max(high, 0.0)
        return low, high

    def detectable(self, alpha: float, most: float) -> float:
        """Smallest true gain that the exact test finds at level `alpha` with 80 % power.

        With as many rows on which the models differ as were seen, or as the gain needs.

        Args:
            alpha: One-sided level.
            most: Share of rows that the champion gets wrong: no gain can be larger.

        Returns:
            The gain, or infinity when even a candidate that is always right would be missed.
        """
        differing = (self.won + self.lost + 1) / self.n

        def is_missed(gain: float) -> bool:
            return _power(self.n, max(differing, gain), gain, alpha) < POWER

        if most <= 0 or is_missed(most):
            return math.inf
        low, high = 0.0, most
        for _ in range(_HALVINGS):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if is_missed(middle) else (low, middle)
        return high


def _power(n: int, differing: float, gain: float, alpha: float) -> float:
    """Chance that the exact test passes, when the models differ on such a share of rows."""
    share = min(1.0, 0.5 * (1 + gain / differing))
    mean = n * min(1.0, differing)
    if mean > _MOST_ADDED:
        # The test is held back by about one row: a continuity correction on both sides.
        reach = -normal_quantile(alpha) * math.sqrt(mean) + 1 - n * gain
        spread = math.sqrt(max(mean - n * gain * gain, 1e-300))
        return normal_cdf(-reach / spread)
    least = _needed(alpha)
    half = 4 * math.sqrt(mean * max(1 - differing, 0.0)) + 1
    total = 0.0
    for count in range(max(1, math.floor(mean - half)), min(n, math.ceil(mean + half)) + 1):
        wins = least(count)
        if wins <= count:
            total += _mass(count, n, differing) * _chance_of(wins, count, share)
    return total


def _chance_of(wins: int, count: int, share: float) -> float:
    """P(so many wins or more), normal with continuity: for power, where two digits do."""
    deviation = math.sqrt(count * share * (1 - share))
    if deviation == 0:
        return 1.0
    return normal_cdf((count * share - wins + 0.5) / deviation)


def _mass(k: int, n: int, p: float) -> float:
    if p >= 1:
        return float(k == n)
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return math.exp(ways + k * math.log(p) + (n - k) * math.log1p(-p))


@lru_cache(maxsize=32)
def _needed(alpha: float) -> Callable[[int], int]:
    """Return what says how many wins of a count of rows pass; one more than all: none does."""

    @cache
    def wins(count: int) -> int:
        low, high = count // 2, count + 1
        while high - low > 1:
            middle = (low + high) // 2
            is_enough = binomial_tails(middle, count, 0.5)[1] <= alpha
            low, high = (low, middle) if is_enough else (middle, high)
        return high

    return wins
