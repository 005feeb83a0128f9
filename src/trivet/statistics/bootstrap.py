"""Resampling whole days or entities, for metrics that have no formula of their own."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from trivet.core.errors import Invalid
from trivet.statistics.arrays import Codes, Values, check_share, cluster_codes
from trivet.statistics.intervals import Interval


def _resampled_rows(
    codes: Codes, count: int, block: int, generator: np.random.Generator
) -> Callable[[], Codes]:
    """Return a function that draws one resample: row numbers, clusters kept whole."""
    order = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes, minlength=count)
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))

    def draw() -> Codes:
        runs = -(-count // block)
        first = generator.integers(0, count, size=runs)
        chosen = ((first[:, None] + np.arange(block)) % count).ravel()[:count]
        lengths = sizes[chosen]
        # Positions of all rows of the chosen clusters, without a loop over clusters.
        shift = np.repeat(starts[chosen] - np.cumsum(lengths) + lengths, lengths)
        return order[np.arange(int(lengths.sum())) + shift]

    return draw


def bootstrap_draws(
    statistic: Callable[[Codes], float],
    rows: int,
    *,
    clusters: npt.ArrayLike | None = None,
    block: int = 1,
    draws: int = 1000,
    seed: int = 0,
) -> Values:
    """Recompute a statistic on resampled rows.

    Clusters are drawn with replacement and kept whole (Davison & Hinkley 1997, 3.8); with
    block > 1 runs of neighbouring clusters, in order of first appearance and closed to a
    circle, are drawn together (Politis & Romano 1992), which keeps day-to-day correlation.

    Args:
        statistic: Takes row numbers (with repeats) and returns a number; NaN where it is
            undefined on a resample (a single class, say), which is then left out.
        rows: How many rows there are.
        clusters: One label per row (day, customer), or None for single rows.
        block: Neighbouring clusters drawn together, >= 1.
        draws: Resamples, >= 100.
        seed: Makes the answer repeatable.

    Returns:
        The finite values, shape (at most draws,).

    Raises:
        Invalid: Fewer than 2 rows or clusters, or more than a tenth of the draws undefined.
    """
    if rows < 2 or block < 1 or draws < 100:
        raise Invalid("a bootstrap needs rows >= 2, block >= 1 and draws >= 100")
    codes, count = cluster_codes(clusters, rows)
    draw = _resampled_rows(codes, count, min(block, count), np.random.default_rng(seed))
    values = np.array([statistic(draw()) for _ in range(draws)], dtype=np.float64)
    values = values[np.isfinite(values)]
    if values.size < 0.9 * draws:
        raise Invalid(
            "the statistic is undefined on more than a tenth of the resamples",
            code="too-few-rows",
            hint="Use more rows, or coarser clusters.",
        )
    return values


def bootstrap(
    statistic: Callable[[Codes], float],
    rows: int,
    *,
    clusters: npt.ArrayLike | None = None,
    block: int = 1,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile interval of any statistic of rows (Efron 1979); see `bootstrap_draws`.

    The ends are widened, where needed, to contain the estimate on the rows as they are.
    """
    check_share("level", level)
    estimate = float(statistic(np.arange(rows)))
    if not np.isfinite(estimate):
        raise Invalid("the statistic is undefined on the rows as they are")
    values = bootstrap_draws(
        statistic, rows, clusters=clusters, block=block, draws=draws, seed=seed
    )
    low, high = (float(q) for q in np.quantile(values, [(1 - level) / 2, (1 + level) / 2]))
    return Interval(estimate, min(low, estimate), max(high, estimate), level)
