"""Has a column moved? A distance between two count vectors, judged by what chance alone gives.

A fixed limit such as "0.1 is drift" alarms on most clean columns at 100 rows and is blind at ten
million. Here the limit is computed for the two sizes, and a tolerance says what matters.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from trivet.core.errors import Invalid
from trivet.statistics.arrays import Values, check_share, finite_values
from trivet.statistics.special import (
    chi2_quantile,
    chi2_tail,
    noncentral_chi2_tail,
    turning_point,
)

FEWEST_ROWS = 100
_NULL_DRAWS = 500
_MOST_PERMUTED = 1_000_000_000  # NumPy's own limit; far beyond it the two null laws agree

Measure = Literal["psi", "js"]
# Distance of each row of two (draws, bins) arrays of counts, bin by bin; the sum is the distance.
_Terms = Callable[[Values, Values], Values]


@dataclass(frozen=True)
class Shift:
    """How far two samples lie apart, and whether that is more than chance and tolerance explain.

    Attributes:
        distance: As measured.
        threshold: A larger distance counts as a shift at this alpha and these sizes.
        p_value: Of "the true distance is at most the tolerance".
        expected: Mean distance of samples of these sizes when the null is true.
        tolerance: True distance that does not matter.
        n: Rows of the reference.
        m: Rows of the current sample.
        contributions: Share of the distance that each bin brings, in order of the bins.
        is_judged: False below 100 rows (after the design effect): too few to say.
        is_shifted: Judged, and beyond the threshold.
    """

    distance: float
    threshold: float
    p_value: float
    expected: float
    tolerance: float
    n: int
    m: int
    contributions: tuple[float, ...]
    is_judged: bool
    is_shifted: bool


def _psi_terms(reference: Values, current: Values) -> Values:
    # Half a value in each bin keeps the logarithm finite; its weight fades with the sample.
    bins = reference.shape[-1]
    p = (reference + 0.5) / (reference.sum(axis=-1, keepdims=True) + 0.5 * bins)
    q = (current + 0.5) / (current.sum(axis=-1, keepdims=True) + 0.5 * bins)
    return (q - p) * np.log(q / p)


def _js_terms(reference: Values, current: Values) -> Values:
    p = reference / reference.sum(axis=-1, keepdims=True)
    q = current / current.sum(axis=-1, keepdims=True)
    middle = np.where(p + q > 0, 0.5 * (p + q), 1.0)
    left = p * np.log2(np.where(p > 0, p / middle, 1.0))
    return np.maximum(0.0, 0.5 * (left + q * np.log2(np.where(q > 0, q / middle, 1.0))))


_TERMS: dict[Measure, _Terms] = {"psi": _psi_terms, "js": _js_terms}


def _read(reference: npt.ArrayLike, current: npt.ArrayLike) -> tuple[Values, Values]:
    """Two count vectors over the same bins, neither of them empty."""
    old = finite_values("reference", reference, least=2)
    new = finite_values("current", current, least=2)
    if old.size != new.size:
        raise Invalid(
            f"reference has {old.size} bins and current {new.size}",
            hint="Count both over the same bins.",
        )
    if min(old.min(), new.min()) < 0 or min(old.sum(), new.sum()) < 1:
        raise Invalid("counts must not be negative, and each sample needs at least one row")
    return old, new


def _used(old: Values, new: Values) -> npt.NDArray[np.bool_]:
    """Bins that either sample reached; the others say nothing."""
    return (old + new) > 0


def population_stability(reference: npt.ArrayLike, current: npt.ArrayLike) -> float:
    """Population stability index in nats: the symmetric Kullback-Leibler distance, >= 0.

    An empty bin counts as half a value; bins empty in both are left out.
    """
    old, new = _read(reference, current)
    used = _used(old, new)
    return float(_psi_terms(old[used], new[used]).sum())


def jensen_shannon(reference: npt.ArrayLike, current: npt.ArrayLike) -> float:
    """Jensen-Shannon distance, base 2: 0 for the same shares, 1 for disjoint samples."""
    old, new = _read(reference, current)
    return float(np.sqrt(_js_terms(old, new).sum()))


def _on_the_edge(terms: _Terms, old: Values, new: Values, tolerance: float) -> tuple[Values, ...]:
    """Shares of two populations on the line through both samples, just `tolerance` apart."""
    pooled = (old + new) / (old + new).sum()
    gaps: list[Values] = [old / old.sum() - pooled, new / new.sum() - pooled]
    if not any(gap.any() for gap in gaps):
        # Equal samples point nowhere; any direction will do to say what the limit is.
        aside = pooled.copy()
        aside[::2] *= -1
        aside -= pooled * aside.sum()
        gaps = [aside, -aside]
    with np.errstate(divide="ignore"):
        # Beyond this step a share would become negative.
        most = min(float(np.where(gap < 0, pooled / -gap, np.inf).min()) for gap in gaps)

    def is_near(step: float) -> bool:
        # Counts so large that the half value in an empty bin does not matter.
        left, right = (1e12 * (pooled + step * gap) for gap in gaps)
        return float(terms(left, right).sum()) <= tolerance

    step = turning_point(is_near, 0.0, most) if tolerance > 0 and most < np.inf else 0.0
    return tuple(np.maximum(pooled + step * gap, 0.0) for gap in gaps)


def _null_distances(terms: _Terms, old: Values, new: Values, tolerance: float, seed: int) -> Values:
    """Distances of samples of these sizes whose true distance is just the tolerance."""
    generator = np.random.default_rng(seed)
    rows = [max(1, round(float(part.sum()))) for part in (old, new)]
    pooled = np.rint(old + new).astype(np.int64)
    if tolerance == 0 and sum(rows) <= int(pooled.sum()) < _MOST_PERMUTED:
        # Who belongs to which sample is drawn anew: a permutation test, exact however sparse.
        left = generator.multivariate_hypergeometric(
            pooled, rows[0], size=_NULL_DRAWS, method="marginals"
        )
        return terms(left.astype(np.float64), (pooled - left).astype(np.float64)).sum(axis=-1)
    drawn: list[Values] = []
    for size, shares in zip(rows, _on_the_edge(terms, old, new, tolerance), strict=True):
        counts = generator.multinomial(size, shares / shares.sum(), size=_NULL_DRAWS)
        drawn.append(counts.astype(np.float64))
    return terms(drawn[0], drawn[1]).sum(axis=-1)


def _check_judgement(tolerance: float, alpha: float, design_effect: float) -> None:
    check_share("alpha", alpha)
    if not (tolerance >= 0 and np.isfinite(design_effect) and design_effect >= 1):
        raise Invalid("tolerance must be at least 0 and design_effect at least 1")


def _spread_over(used: npt.NDArray[np.bool_], terms: Values) -> tuple[float, ...]:
    total = float(terms.sum())
    shares = np.zeros(used.size)
    shares[used] = terms / total if total > 0 else 0.0
    return tuple(shares.tolist())


def population_shift(
    reference: npt.ArrayLike,
    current: npt.ArrayLike,
    *,
    measure: Measure = "psi",
    tolerance: float = 0.0,
    alpha: float = 0.01,
    design_effect: float = 1.0,
    seed: int = 0,
) -> Shift:
    """Judge whether a column has moved by more than the tolerance.

    The null distribution is simulated for these sizes and bins: by permuting the rows of both
    samples or, with a tolerance, by drawing from two populations that lie just that far apart
    in the direction observed (a parametric bootstrap at the edge of the null). Its tail is read
    from the gamma law with the simulated mean and variance, which under no change is what theory
    gives: PSI is then about (1/n + 1/m) times a chi-square variable (Yurdakul 2018).

    Args:
        reference: Counts per bin, shape (k,).
        current: Counts over the same bins.
        measure: "psi" (nats) or "js" (Jensen-Shannon distance, 0 to 1).
        tolerance: True distance, on the measure's scale, that does not matter.
        alpha: Chance of a false shift on one column at one look.
        design_effect: Rows that are worth one independent row, >= 1 (days have levels).
        seed: Makes the null repeatable.
    """
    _check_judgement(tolerance, alpha, design_effect)
    old, new = _read(reference, current)
    n, m = int(old.sum()), int(new.sum())
    used = _used(old, new)
    old, new = old[used] / design_effect, new[used] / design_effect
    terms = _TERMS[measure]
    observed = terms(old, new)
    distance = float(observed.sum())
    # The Jensen-Shannon distance is a root; its square is what chance moves like a gamma law.
    power = 2 if measure == "js" else 1
    inside = tolerance**power
    null = _null_distances(terms, old, new, inside, seed)
    mean, variance = float(null.mean()), float(null.var(ddof=1))
    if variance == 0:
        p_value, limit = float(distance <= mean), mean
    else:
        df, unit = 2 * mean * mean / variance, variance / (2 * mean)
        p_value = 1.0 if 0 < inside >= distance else chi2_tail(distance / unit, df)
        limit = chi2_quantile(1 - alpha, df) * unit
    is_judged = min(n, m) / design_effect >= FEWEST_ROWS
    return Shift(
        distance=distance ** (1 / power),
        threshold=limit ** (1 / power),
        p_value=p_value,
        expected=mean ** (1 / power),
        tolerance=tolerance,
        n=n,
        m=m,
        contributions=_spread_over(used, observed),
        is_judged=is_judged,
        is_shifted=is_judged and distance > limit and distance > inside,
    )


def g_test(
    reference: npt.ArrayLike,
    current: npt.ArrayLike,
    *,
    tolerance: float = 0.0,
    alpha: float = 0.01,
    design_effect: float = 1.0,
) -> Shift:
    """Likelihood-ratio test of two samples over the same categories (Wilks 1938).

    In closed form: chi-square with Williams' (1976) correction for small counts, non-central
    when a tolerance is given. Distances are G divided by n m / (n + m), which for small changes
    is the population stability index; the tolerance is on that scale.

    Args:
        reference: Counts per category.
        current: Counts of the same categories.
        tolerance: True distance that does not matter, >= 0.
        alpha: Chance of a false shift at one look.
        design_effect: Rows that are worth one independent row, >= 1.
    """
    _check_judgement(tolerance, alpha, design_effect)
    old, new = _read(reference, current)
    n, m = float(old.sum()), float(new.sum())
    used = _used(old, new)
    left, right = old[used] / design_effect, new[used] / design_effect
    both, total = left + right, (n + m) / design_effect
    pairs = ((left, n / design_effect), (right, m / design_effect))
    terms = sum(
        2 * part * np.log(np.where(part > 0, part, 1.0) * total / (both * size))
        for part, size in pairs
    )
    pieces = np.asarray(terms, dtype=np.float64)
    weight = n * m / (n + m) / design_effect
    df = max(1, int(used.sum()) - 1)
    sizes = total * (design_effect / n + design_effect / m) - 1
    williams = 1 + sizes * (total * float((1 / both).sum()) - 1) / (6 * total * df)
    g = max(0.0, float(pieces.sum()))
    shift = tolerance * weight

    def tail(x: float) -> float:
        return noncentral_chi2_tail(x / williams, df, shift)

    most = 4 * williams * (chi2_quantile(1 - alpha, df) + shift + 10)
    limit = turning_point(lambda x: tail(x) > alpha, 0.0, most)
    is_judged = min(n, m) / design_effect >= FEWEST_ROWS
    return Shift(
        distance=g / weight,
        threshold=limit / weight,
        p_value=tail(g),
        expected=williams * (df + shift) / weight,
        tolerance=tolerance,
        n=int(n),
        m=int(m),
        contributions=_spread_over(used, np.maximum(pieces, 0.0)),
        is_judged=is_judged,
        is_shifted=is_judged and g > limit,
    )
