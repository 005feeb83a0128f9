"""What training data and held-out losses looked like: the past that monitors compare with.

Numeric: imports NumPy and Polars.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from trivet.models.encoding import Labels
from trivet.models.facts import Input, Signature, Task
from trivet.models.holdout import DAY_US, Holdout
from trivet.models.packaging import InputReference, LossWindow, Reference
from trivet.statistics.histogram import (
    category_bins,
    count_categories,
    count_numeric,
    numeric_bins,
)
from trivet.statistics.metrics import brier_losses, excess_brier_losses
from trivet.statistics.tally import tally

Outputs = npt.NDArray[np.float32]

LOSS_RANGES: Final = {
    "brier": (0.0, 1.0),
    "excess-brier": (-0.125, 1.0),
    "miss": (0.0, 1.0),
    "absolute-error": (0.0, 1.0),
}
_SCALE_SHARE: Final = 0.99
_PARTS: Final = 16
_LEAST_PART_ROWS: Final = 10


def build_reference(
    signature: Signature,
    sample: pl.DataFrame,
    sample_outputs: Outputs,
    *,
    holdout: Holdout | None = None,
    holdout_outputs: Outputs | None = None,
) -> Reference:
    """Count a training sample into bins, and held-out losses into days.

    Args:
        signature: The contract.
        sample: Raw training rows, n of them.
        sample_outputs: Shape (n, m): what the model answers on them.
        holdout: Held-out rows; those without a time give no windows.
        holdout_outputs: What the model answers on them, shape (rows, m).
    """
    scale = 1.0
    windows: tuple[LossWindow, ...] = ()
    if holdout is not None and holdout_outputs is not None:
        if signature.task == "regression":
            errors = np.abs(holdout.labels - holdout_outputs[:, 0])
            scale = float(np.quantile(errors, _SCALE_SHARE)) or 1.0
        windows = _windows(signature.task, holdout, holdout_outputs, scale)
    inputs = (_input(item, sample) for item in signature.inputs if item.type != "datetime")
    return Reference(
        rows=sample.height,
        inputs=tuple(part for part in inputs if part is not None),
        output=_output(signature, sample_outputs),
        windows=windows,
        has_days=holdout is not None and holdout.days is not None,
        loss_scale=scale,
    )


def day_losses(
    task: Task, labels: Labels, outputs: npt.NDArray[np.floating], scale: float = 1.0
) -> dict[str, npt.NDArray[np.float64]]:
    """Return the losses of each row, by name, all within `LOSS_RANGES`.

    `binary` has `brier` and `excess-brier`; `multiclass` has `miss`, one minus the probability of
    the true class; `regression` has `absolute-error` in units of `scale`, at most 1.

    Args:
        task: The kind of answer.
        labels: Shape (n,).
        outputs: Shape (n, m).
        scale: For `regression`: the error that counts as 1.
    """
    answers = np.asarray(outputs, dtype=np.float64)
    if task == "binary":
        chances = np.clip(answers[:, 0], 0, 1)
        return {
            "brier": brier_losses(labels, chances),
            "excess-brier": excess_brier_losses(labels, chances),
        }
    if task == "multiclass":
        right = answers[np.arange(labels.size), labels.astype(np.intp)]
        return {"miss": 1 - np.clip(right, 0, 1)}
    return {"absolute-error": np.clip(np.abs(labels - answers[:, 0]) / scale, 0, 1)}


def _windows(
    task: Task, holdout: Holdout, outputs: Outputs, scale: float
) -> tuple[LossWindow, ...]:
    days = holdout.days
    if days is None:
        # Without times the rows are dealt into parts: what a window looks like when rows are
        # independent. How much days differ by themselves, nobody can know from such rows.
        if holdout.size < _PARTS * _LEAST_PART_ROWS:
            return ()
        days = np.arange(holdout.size, dtype=np.int64) % _PARTS
    losses = day_losses(task, holdout.labels, outputs, scale)
    found: list[LossWindow] = []
    for day in np.unique(days):
        chosen = days == day
        tallies = {
            name: tally(values[chosen], low=LOSS_RANGES[name][0], high=LOSS_RANGES[name][1])
            for name, values in losses.items()
        }
        found.append(LossWindow(start_us=int(day) * DAY_US, rows=int(chosen.sum()), losses=tallies))
    return tuple(found)


def _input(item: Input, sample: pl.DataFrame) -> InputReference | None:
    column = sample.get_column(item.name)
    if item.type in {"number", "integer"}:
        return _numbers(item, column.cast(pl.Float64).to_numpy())
    values = column.to_list()
    bins = category_bins(values)
    counts = tuple(count_categories(bins, values).tolist())
    return InputReference(name=item.name, type=item.type, values=bins.values, counts=counts)


def _numbers(item: Input, values: npt.NDArray[np.float64]) -> InputReference | None:
    if not np.isfinite(values).any():
        return None
    bins = numeric_bins(values)
    counts = tuple(count_numeric(bins, values).tolist())
    return InputReference(name=item.name, type=item.type, edges=bins.edges, counts=counts)


def _output(signature: Signature, outputs: Outputs) -> InputReference:
    if signature.task != "multiclass":
        values = outputs[:, 0].astype(np.float64)
        bins = numeric_bins(values)
        counts = count_numeric(bins, values).tolist()
        return InputReference(
            name=signature.target, type="number", edges=bins.edges, counts=tuple(counts)
        )
    likeliest = np.bincount(outputs.argmax(axis=1), minlength=len(signature.classes))
    # Slots: missing, other, then the classes.
    counts = (0, 0, *likeliest.tolist())
    return InputReference(
        name=signature.target, type="category", values=signature.classes, counts=counts
    )
