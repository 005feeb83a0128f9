"""Bounded values as mass on a fixed grid: all that the sequential tests need to keep.

A tally merges like counts do, in any order and grouping, with the same bits; so a window may be
filled by many workers, replayed, or rebuilt from stored tallies.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from trivet.core.errors import Invalid
from trivet.statistics.arrays import Values, check_count, finite_values, same_rows

# A value's position within its cell is read to this fraction. Being a power of two it makes sums
# of masses exact in float64 up to 2**32 values, so merging is truly associative.
_STEPS_PER_CELL = 2.0**20


@dataclass(frozen=True)
class Tally:
    """How much mass lies at each point of an even grid from `low` to `high`.

    A value between two points is shared between them in proportion to its nearness. The sum is
    kept exactly (to 2^-20 of a cell). The logarithm of a bet is concave in the value, so what a
    test computes from the shared mass is never more than what it would compute from the value:
    every e-value stays valid, and loses only a term of second order in the cell's width.
    Rounding down, the usual way, loses a term of first order and works on one side only.

    Attributes:
        low: Smallest possible value.
        high: Largest possible value, above `low`.
        mass: Mass at the grid points, at least 2 of them.
    """

    low: float
    high: float
    mass: tuple[float, ...]

    def __post_init__(self) -> None:
        _check_range(self.low, self.high)
        if len(self.mass) < 2 or min(self.mass) < 0:
            raise Invalid("a tally needs mass at 2 or more points, none of it negative")

    @property
    def n(self) -> float:
        """How many values were counted (after thinning, how many they are worth)."""
        return float(np.sum(self.mass))

    @property
    def points(self) -> Values:
        """The grid, shape (cells + 1,)."""
        return np.linspace(self.low, self.high, len(self.mass))

    @property
    def mean(self) -> float:
        """Mean of the values; the middle of the range while there are none."""
        n = self.n
        if n == 0:
            return 0.5 * (self.low + self.high)
        return float(np.dot(self.mass, self.points)) / n

    @property
    def variance(self) -> float:
        """Variance of the shared mass: above the values' own by at most a quarter cell squared."""
        n = self.n
        if n == 0:
            return 0.0
        return float(np.dot(self.mass, np.square(self.points - self.mean))) / n


def _check_range(low: float, high: float) -> None:
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise Invalid("low and high must be finite, and low below high")


def empty_tally(*, low: float, high: float, cells: int = 128) -> Tally:
    """Start a tally of values in [low, high].

    Args:
        low: Smallest possible value.
        high: Largest possible value.
        cells: Grid cells, >= 1. One cell keeps the count and the sum and nothing else, which is
            exact for values that are only ever `low` or `high`.
    """
    if cells < 1:
        raise Invalid("cells must be at least 1")
    return Tally(float(low), float(high), (0.0,) * (cells + 1))


def tally(values: npt.ArrayLike, *, low: float, high: float, cells: int = 128) -> Tally:
    """Count values in [low, high].

    Args:
        values: Finite numbers in [low, high]; none is fine.
        low: Smallest possible value.
        high: Largest possible value.
        cells: Grid cells, >= 1.

    Raises:
        Invalid: A value lies outside. Clip losses yourself, knowingly.

    Example:
        >>> tally([0.0, 1.0, 0.5], low=0, high=1, cells=2).mass
        (1.0, 1.0, 1.0)
    """
    start = empty_tally(low=low, high=high, cells=cells)
    read = finite_values("values", values, least=0)
    if read.size == 0:
        return start
    if read.min() < low or read.max() > high:
        raise Invalid(
            f"values leave the range from {low:g} to {high:g}",
            hint="Clip the loss to the range that matters before counting it.",
        )
    place = (read - low) * (cells / (high - low))
    cell = np.minimum(place.astype(np.intp), cells - 1)
    above = np.rint((place - cell) * _STEPS_PER_CELL) / _STEPS_PER_CELL
    mass = np.bincount(cell, weights=1 - above, minlength=cells + 1)
    mass += np.bincount(cell + 1, weights=above, minlength=cells + 1)
    return replace(start, mass=tuple(mass.tolist()))


def tally_sum(n: float, total: float, *, low: float, high: float) -> Tally:
    """Make a tally when only the number of values and their sum are known.

    It is exact for values that are only `low` or `high`, and valid, though cautious, for all
    others: among all values with that sum these vary most.

    Args:
        n: How many values, >= 0.
        total: Their sum, in [n low, n high].
        low: Smallest possible value.
        high: Largest possible value.
    """
    _check_range(low, high)
    check_count("n", n)
    above = (total - n * low) / (high - low)
    # Sums arrive with rounding error; a hair outside the range is the range's end.
    if not -1e-9 * (n + 1) <= above <= n + 1e-9 * (n + 1):
        raise Invalid("total lies outside n times the range from low to high")
    above = min(max(above, 0.0), float(n))
    return Tally(float(low), float(high), (n - above, above))


def merge_tallies(*tallies: Tally) -> Tally:
    """Add tallies over the same grid; order and grouping do not matter.

    Raises:
        Invalid: None given, or the grids differ.
    """
    if not tallies:
        raise Invalid("merge_tallies needs at least one tally")
    grids = {(part.low, part.high, len(part.mass)) for part in tallies}
    if len(grids) > 1:
        raise Invalid("tallies to merge must share low, high and cells")
    total = np.sum([part.mass for part in tallies], axis=0)
    return replace(tallies[0], mass=tuple(total.tolist()))


def thin_tally(part: Tally, design_effect: float) -> Tally:
    """Count correlated values for less: divide the mass by a design effect (Kish 1965).

    Evidence raised to a power below 1 stays valid evidence, so thinning can only make a test
    more careful.

    Args:
        part: What was counted.
        design_effect: How many correlated values are worth one independent value, >= 1.
    """
    if not (np.isfinite(design_effect) and design_effect >= 1):
        raise Invalid("design_effect must be a finite number of at least 1")
    return replace(part, mass=tuple(m / design_effect for m in part.mass))


def paired_tally(
    champion_losses: npt.ArrayLike,
    candidate_losses: npt.ArrayLike,
    *,
    loss_range: float,
    cells: int = 256,
) -> Tally:
    """Count the candidate's gain on each row: the champion's loss minus the candidate's.

    Args:
        champion_losses: One loss per row, all within one range of width `loss_range`.
        candidate_losses: The candidate's loss on the same row.
        loss_range: Width of the loss's range (1 for Brier and 0/1 losses), > 0.
        cells: Grid cells over [-loss_range, loss_range]; even, so that 0 is a point.
    """
    if cells % 2:
        raise Invalid("cells must be even, so that equal losses fall on a grid point")
    if np.size(np.asarray(champion_losses)) == 0 == np.size(np.asarray(candidate_losses)):
        return empty_tally(low=-loss_range, high=loss_range, cells=cells)
    old, new = same_rows(champion_losses=champion_losses, candidate_losses=candidate_losses)
    return tally(old - new, low=-loss_range, high=loss_range, cells=cells)
