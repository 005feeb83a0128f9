"""How sure a gain is when it may be skewed, rare, or come in groups of unlike size.

Student's t takes the spread it sees for the truth. A small gain on most rows and a large loss on
few is then promoted whenever the sample happens to hold few of those losses. Here three things
are added, each of which fades with the number of rows:

- one row more than was seen counts against the candidate;
- the skew that was seen is taken out by Hall's (1992) monotone cubic, where it flatters;
- the degrees of freedom are those of a spread that was itself estimated from such rows (the
  kurtosis says how well), and never above those of the design.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from trivet.statistics.arrays import Values, cluster_codes, finite_values, same_rows
from trivet.statistics.metrics import auc_influence
from trivet.statistics.special import student_cdf, student_quantile
from trivet.statistics.variation import design_df, leverage, welch_df

POWER: Final = 0.8
FEWEST_EVENTS: Final = 10
"""Rows of the rarer class below which areas are not compared."""
FEWEST_GROUPS: Final = 4
"""Groups of equal size, or as good as so many, below which nothing is decided by groups."""
_FEWEST_DF: Final = 12.0
_ROUNDING: Final = 1e-10


@dataclass(frozen=True)
class Gain:
    """A gain, positive where the candidate is better, and the law of its error.

    Attributes:
        estimate: What the rows show.
        error: Its standard error.
        df: Degrees of freedom by the design: rows, or groups and their sizes.
        units: What was drawn independently: rows, or groups when they were given.
        skew: Third moment of the estimate's error over error^3.
        tails: Sum of the units' fourth powers over the squared sum of their squares: how few of
            them make the error. 0: `df` says it all.
        unseen: By how much one more row against the candidate would move the estimate, >= 0.
            Areas need none: their classes are counted instead.
        problem: Why nothing can be decided; empty when something can.
    """

    estimate: float
    error: float
    df: float
    units: int
    skew: float = 0.0
    tails: float = 0.0
    unseen: float = 0.0
    problem: str = ""

    @property
    def is_exact(self) -> bool:
        """Whether there is nothing to be unsure of: the models answered alike."""
        return self.estimate == 0 and self._error == 0

    @property
    def _error(self) -> float:
        return math.hypot(self.error, self.unseen)

    @property
    def _spread_df(self) -> float:
        """Twice the squared mean of the variance's estimate over its variance."""
        wide = (self.tails * self.error**4 + self.unseen**4) / max(self._error**4, 1e-300)
        return 2 / max(wide - 1 / self.units, 1e-9)

    @property
    def _law_df(self) -> float:
        return min(self.df, self._spread_df)

    def _skew(self, side: float) -> float:
        """The skew that would flatter the side (+1: the candidate), at most 0."""
        third = side * self.skew * self.error**3 - self.unseen**3
        return min(0.0, third / max(self._error**3, 1e-300))

    def tail(self, null: float) -> float:
        """One-sided p-value of "the gain is `null` or less"; 1 where nothing can be decided."""
        if self.problem:
            return 1.0
        if self._error == 0:
            return 0.0 if self.is_exact and null < 0 else 1.0
        t, skew = (self.estimate - self.unseen - null) / self._error, self._skew(1.0)
        cubic = t + skew * t * t / 3 + skew * skew * t**3 / 27 + skew / 6
        return student_cdf(-min(t, cubic), self._law_df)

    def _critical(self, alpha: float, side: float) -> float:
        t, skew = -student_quantile(alpha, self._law_df), self._skew(side)
        if skew == 0:
            return t
        return max(t, 3 / skew * (math.cbrt(1 + skew * (t - skew / 6)) - 1))

    def low(self, alpha: float) -> float:
        """The largest gain that is refuted at one-sided level `alpha`, so that both agree."""
        if self._error == 0:
            return self.estimate
        return self.estimate - self.unseen - self._critical(alpha, 1.0) * self._error

    def high(self, alpha: float) -> float:
        """As `low`, from the champion's side."""
        if self._error == 0:
            return self.estimate
        return self.estimate + self.unseen + self._critical(alpha, -1.0) * self._error

    def detectable(self, alpha: float) -> float:
        """Distance above the null that is found at one-sided level `alpha` with 80 % power."""
        if self.problem or self._error == 0:
            return math.inf
        reach = self._critical(alpha, 1.0) + student_quantile(POWER, self._law_df)
        return reach * self._error + self.unseen

    def trouble(self) -> str:
        """Return why rows like these decide nothing; empty when they do."""
        if self.error <= _ROUNDING * abs(self.estimate):
            what = "every row shows the same gain: nothing says how far it would vary"
            return "" if self.estimate == 0 else what
        if self._spread_df < min(_FEWEST_DF, 0.6 * self.df):
            return (
                f"the difference hangs on about {max(1, round(self._spread_df / 2))} rows or "
                "groups, too few to tell a rare loss from none"
            )
        return ""


def gain_of_mean(
    gains: npt.ArrayLike,
    clusters: npt.ArrayLike | None = None,
    *,
    unseen: float | None = None,
) -> Gain:
    """Weigh a mean of gains per row; by groups with the bias taken out of few or unlike ones.

    Variance CR2 and its degrees of freedom after Bell & McCaffrey (2002), in closed form for a
    mean (see `variation.design_df`).

    Args:
        gains: One per row, positive where the candidate is better.
        clusters: One label per row, when rows come in groups.
        unseen: How much a row can cost the candidate that was not drawn, >= 0; None: as much as
            the rows that were drawn vary (standard deviation).
    """
    read = finite_values("gains", gains, least=2)
    codes, count = cluster_codes(clusters, read.size)
    mean = float(read.mean())
    sums: Values = np.bincount(codes, weights=read - mean, minlength=count) / read.size
    shares: Values = np.bincount(codes, minlength=count) / read.size
    size = float(read.std()) if unseen is None else unseen
    problem = "" if clusters is None else _few_groups(shares)
    parts = _Parts(mean, sums, leverage(shares), design_df(shares), problem)
    return _gain(parts, size / read.size, by_rows=clusters is None)


def gain_of_auc(
    labels: npt.ArrayLike,
    champion: npt.ArrayLike,
    candidate: npt.ArrayLike,
    clusters: npt.ArrayLike | None = None,
) -> Gain:
    """Weigh the candidate's area minus the champion's.

    DeLong's covariance (1988) with Welch's degrees of freedom, so that a class of few rows counts
    as few; with groups Obuchowski's (1997).
    """
    truth, _, _ = same_rows(labels=labels, champion_scores=champion, candidate_scores=candidate)
    old, old_influence = auc_influence(labels, champion)
    new, new_influence = auc_influence(labels, candidate)
    influence, positive = new_influence - old_influence, truth == 1
    ones = int(positive.sum())
    sizes: Values = np.where(positive, float(ones), float(positive.size - ones))
    rare = positive if 2 * ones <= truth.size else ~positive
    problem = _few_events(min(ones, truth.size - ones))
    if clusters is None:
        scale = sizes / np.maximum(sizes - 1, 1)
        df = welch_df([influence[positive], influence[~positive]])
        return _gain(_Parts(new - old, influence, scale, df, problem))
    codes, count = cluster_codes(clusters, truth.size)
    sums: Values = np.bincount(codes, weights=influence, minlength=count).astype(np.float64)
    shares: Values = np.bincount(codes, weights=0.5 / sizes, minlength=count).astype(np.float64)
    held: Values = np.bincount(codes[rare], minlength=count) / float(rare.sum())
    problem = problem or _few_groups(shares) or _few_groups(held)
    return _gain(_Parts(new - old, sums, leverage(shares), design_df(shares), problem))


def _few_events(count: int) -> str:
    if count >= FEWEST_EVENTS:
        return ""
    return f"the rarer class has {count} rows; areas need {FEWEST_EVENTS} of each to be compared"


def _few_groups(shares: Values) -> str:
    effective = 1 / float(np.square(shares).sum())
    if effective >= FEWEST_GROUPS - 1e-9:
        return ""
    return (
        f"{shares.size} groups of these sizes are worth {effective:.1f} of equal size; a decision "
        f"by groups needs {FEWEST_GROUPS}"
    )


@dataclass(frozen=True)
class _Parts:
    estimate: float
    moves: Values
    """By how much each unit moves the estimate; they sum to 0."""
    scale: Values
    """What the squares of `moves` are multiplied by."""
    df: float
    problem: str


def _gain(parts: _Parts, unseen: float = 0.0, *, by_rows: bool = False) -> Gain:
    squares = np.square(parts.moves)
    total = float(squares.sum())
    scaled = parts.moves / math.sqrt(total) if total > 0 else np.zeros_like(parts.moves)
    found = Gain(
        estimate=parts.estimate,
        error=math.sqrt(float((parts.scale * squares).sum())),
        df=parts.df,
        units=parts.moves.size,
        skew=float((scaled**3).sum()),
        # Of few groups the kurtosis says nothing: their degrees of freedom are the design's.
        tails=float((scaled**4).sum()) if by_rows and unseen > 0 else 0.0,
        unseen=unseen,
        problem=parts.problem,
    )
    return replace(found, problem=found.problem or found.trouble())
