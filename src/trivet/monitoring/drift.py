"""Drift: how far a window's inputs lie from those of training. Numeric: imports NumPy.

Rows are counted into the bins that were fixed at training time, so windows merge by adding counts
and no sketch's error enters a comparison.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trivet.models.packaging import InputReference
from trivet.statistics.distance import jensen_shannon
from trivet.statistics.histogram import NumericBins


def slots_of(reference: InputReference, values: Sequence[Any]) -> NDArray[np.intp]:
    """Return the slot of each value in the reference's bins, shape (n,).

    Slots are those of `statistics.histogram`: missing, below (or other), the bins, above.
    """
    bins = reference.bins
    if isinstance(bins, NumericBins):
        numbers = np.array([math.nan if value is None else value for value in values], np.float64)
        slots = np.searchsorted(np.asarray(bins.edges), numbers, side="right") + 1
        slots[np.isnan(numbers)] = 0
        return slots.astype(np.intp)
    place = {text: k + 2 for k, text in enumerate(bins.values)}
    return np.array([0 if v is None else place.get(str(v), 1) for v in values], np.intp)


def distances(
    references: Sequence[InputReference], slots: Sequence[NDArray[np.intp]]
) -> dict[str, float]:
    """Return the Jensen-Shannon distance (base 2, 0 to 1) of each input from its reference."""
    found: dict[str, float] = {}
    for reference, slot in zip(references, slots, strict=True):
        if slot.size == 0 or not sum(reference.counts):
            continue
        current = np.bincount(slot, minlength=reference.bins.size)
        found[reference.name] = float(jensen_shannon(reference.counts, current))
    return found
