"""Likely causes of a loss of quality: which input moved, and what that movement costs.

Drift alone is no alarm. When the loss has risen, each input's rows are weighted back to their
shares at training time; the part of the loss that disappears is what that input's shift explains
(importance weighting, Shimodaira 2000). What no shift explains is left to a changed relation
between inputs and truth. Numeric: imports NumPy.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trivet.models.facts import Input
from trivet.monitoring.facts import Cause

_MOST_WEIGHT = 10.0
_FEWEST_ROWS = 50


def shift_causes(
    inputs: Sequence[Input],
    slots: Sequence[NDArray[np.intp]],
    reference: Sequence[NDArray[np.int64]],
    losses: NDArray[np.float64],
    names: Sequence[Sequence[str]],
) -> list[Cause]:
    """Rank inputs by how much of the loss their shift explains.

    Args:
        inputs: The model's inputs.
        slots: Per input: the histogram slot of each row (n,).
        reference: Per input: counts per slot at training time.
        losses: Watched loss of each row (n,).
        names: Per input: what each slot is, in words.

    Returns:
        Causes with an impact above 0, the largest first; the impact is in units of the loss.
    """
    if losses.size < _FEWEST_ROWS:
        return []
    found: list[Cause] = []
    for item, slot, counts, labels in zip(inputs, slots, reference, names, strict=True):
        current = np.bincount(slot, minlength=counts.size).astype(np.float64)
        share_now = current / current.sum()
        share_then = counts / max(1, counts.sum())
        ratio = np.divide(share_then, share_now, out=np.zeros_like(share_now), where=share_now > 0)
        weights = np.minimum(ratio[slot], _MOST_WEIGHT)
        if weights.sum() <= 0:
            continue
        impact = float(losses.mean() - np.average(losses, weights=weights))
        if impact <= 0:
            continue
        moved = int(np.argmax(share_now - share_then))
        found.append(
            Cause(
                name=item.name,
                summary=f"{item.name}: {labels[moved]} is {share_now[moved]:.0%} of rows, "
                f"{share_then[moved]:.0%} at training",
                impact=impact,
            )
        )
    return sorted(found, key=lambda cause: -cause.impact)


def bias_cause(truth: NDArray[np.float64], predicted: NDArray[np.float64]) -> list[Cause]:
    """Say that predictions lie too high or too low as a whole, when they do.

    The squared bias is exactly its part of a Brier loss or a mean squared error.
    """
    if truth.size < _FEWEST_ROWS:
        return []
    bias = float(predicted.mean() - truth.mean())
    error = float((truth - predicted).std(ddof=1) / np.sqrt(truth.size))
    if abs(bias) < 2 * error:
        return []
    word = "high" if bias > 0 else "low"
    return [
        Cause(
            name="prediction-level",
            summary=f"predictions are too {word} as a whole: {predicted.mean():.3g} predicted, "
            f"{truth.mean():.3g} came true",
            impact=bias * bias,
        )
    ]


def slice_causes(
    inputs: Sequence[Input],
    values: Sequence[Sequence[object]],
    losses: NDArray[np.float64],
    level: float,
) -> list[Cause]:
    """Name the categories whose rows carry the rise of the loss over its baseline level.

    Args:
        inputs: The model's inputs; only categories are looked at.
        values: Per input: each row's value.
        losses: Watched loss of each row (n,).
        level: Mean loss while all was well.

    Returns:
        At most one cause per input, those whose interval lies above the level.
    """
    found: list[Cause] = []
    for item, column in zip(inputs, values, strict=True):
        if item.type != "category":
            continue
        names, codes = np.unique([str(value) for value in column], return_inverse=True)
        counts = np.bincount(codes)
        sums = np.bincount(codes, weights=losses)
        squares = np.bincount(codes, weights=losses**2)
        means = sums / counts
        spread = np.sqrt(np.maximum(squares / counts - means**2, 0) / counts)
        surely = (counts >= _FEWEST_ROWS) & (means - 2 * spread > level)
        if not surely.any():
            continue
        excess = np.where(surely, (means - level) * counts / losses.size, -np.inf)
        worst = int(np.argmax(excess))
        found.append(
            Cause(
                name=f"{item.name}={names[worst]}",
                summary=f"{item.name} {names[worst]}: loss {means[worst]:+.3f} against "
                f"{level:+.3f} before, on {counts[worst]} rows",
                impact=float(excess[worst]),
            )
        )
    return sorted(found, key=lambda cause: -cause.impact)
