"""Counts over bins fixed by a reference: exact, of constant size, and merged by adding."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from trivet.core.errors import Invalid
from trivet.statistics.arrays import Values

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class NumericBins:
    """Bins of a numeric column.

    Slots: missing, below the reference, the bins [edge, next edge), above the reference.

    Attributes:
        edges: Strictly rising; at least 2.
    """

    edges: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.edges) < 2 or not np.all(np.diff(self.edges) > 0):
            raise Invalid("edges must be at least 2 strictly rising numbers")

    @property
    def size(self) -> int:
        """How many slots a count vector has."""
        return len(self.edges) + 2

    def labels(self) -> tuple[str, ...]:
        """A name for each slot, for people."""
        shown = [f"{edge:.6g}" for edge in self.edges]
        inner = [f"{a} to {b}" for a, b in pairwise(shown)]
        return ("missing", f"below {shown[0]}", *inner, f"above {shown[-1]}")


@dataclass(frozen=True)
class CategoryBins:
    """Bins of a categorical column.

    Slots: missing, other (unseen in the reference, or too rare to keep), then the values.

    Attributes:
        values: The reference's values as text, most frequent first, without repeats.
    """

    values: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(set(self.values)) != len(self.values):
            raise Invalid("values of category bins must not repeat")

    @property
    def size(self) -> int:
        """How many slots a count vector has."""
        return len(self.values) + 2

    def labels(self) -> tuple[str, ...]:
        """A name for each slot, for people."""
        return ("missing", "other", *self.values)


def _numbers(values: npt.ArrayLike) -> Values:
    try:
        read = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise Invalid(
            f"values is a {type(values).__name__} that holds something other than numbers",
            hint="Count text with count_categories; pass missing numbers as NaN.",
        ) from None
    if read.ndim != 1:
        raise Invalid(f"values has {read.ndim} dimensions; expected 1")
    return read


def numeric_bins(reference: npt.ArrayLike, *, bins: int = 32) -> NumericBins:
    """Choose bins of about equal mass in the reference.

    A column of at most `bins` distinct values gets one bin per value. From 1000 rows on the
    outer hundredths get bins of their own, so that a heavier tail shows.

    Args:
        reference: Values at training time; NaN is missing, infinities are ignored.
        bins: Bins wanted, >= 2; fewer where values repeat.

    Raises:
        Invalid: No finite value.
    """
    if bins < 2:
        raise Invalid("bins must be at least 2")
    read = _numbers(reference)
    finite = read[np.isfinite(read)]
    if finite.size == 0:
        raise Invalid(
            "the reference has no finite value",
            code="too-few-rows",
            hint="Leave this column out, or use a reference in which it is filled.",
        )
    distinct = np.unique(finite)
    if distinct.size <= bins:
        edges = distinct
    else:
        shares = np.linspace(0, 1, bins + 1)
        tails = [0.01, 0.99] if finite.size >= 1000 else []
        edges = np.unique(np.quantile(finite, np.union1d(shares, tails)))
    # The last bin includes the reference's maximum: its upper edge is the next float after it.
    last = float(distinct[-1])
    inner = edges[edges < last]
    rising = [
        *inner.tolist(),
        *([last] if distinct.size <= bins else []),
        math.nextafter(last, math.inf),
    ]
    return NumericBins(tuple(rising))


def count_numeric(bins: NumericBins, values: npt.ArrayLike) -> Counts:
    """Count numbers; NaN is missing, infinities fall below or above.

    Returns:
        Shape (bins.size,).
    """
    read = _numbers(values)
    slots = np.searchsorted(np.asarray(bins.edges), read, side="right") + 1
    slots[np.isnan(read)] = 0
    return np.bincount(slots, minlength=bins.size).astype(np.int64)


def _texts(values: Iterable[object]) -> Counter[str | None]:
    """Count values by their text; None and NaN are missing."""
    plain: Iterable[object] = values.tolist() if isinstance(values, np.ndarray) else values
    texts: Counter[str | None] = Counter()
    for value, times in Counter(plain).items():
        is_missing = value is None or (isinstance(value, float) and math.isnan(value))
        texts[None if is_missing else str(value)] += times
    return texts


def category_bins(reference: Iterable[object], *, keep: int = 64) -> CategoryBins:
    """Keep the most frequent values of the reference, ties in order of their text.

    Args:
        reference: Hashable values at training time; None and NaN are missing.
        keep: At most so many values, >= 1; the rest is counted as other.
    """
    if keep < 1:
        raise Invalid("keep must be at least 1")
    texts = _texts(reference)
    ranked = sorted((-times, text) for text, times in texts.items() if text is not None)
    return CategoryBins(tuple(text for _, text in ranked[:keep]))


def count_categories(bins: CategoryBins, values: Iterable[object]) -> Counts:
    """Count values by their text; None and NaN are missing.

    Returns:
        Shape (bins.size,).
    """
    slots = {text: k + 2 for k, text in enumerate(bins.values)}
    counts = np.zeros(bins.size, dtype=np.int64)
    for text, times in _texts(values).items():
        counts[0 if text is None else slots.get(text, 1)] += times
    return counts


def merge_counts(*counts: npt.ArrayLike) -> Counts:
    """Add count vectors over the same bins; order and grouping do not matter.

    Raises:
        Invalid: None given, or the lengths differ.
    """
    read = [np.asarray(part, dtype=np.int64) for part in counts]
    if not read or len({part.shape for part in read}) > 1:
        raise Invalid("count vectors to merge must be over the same bins, and at least one")
    return np.sum(read, axis=0)
