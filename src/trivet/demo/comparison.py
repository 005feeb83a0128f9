"""The loop beside the model frozen in February: the same flights, month by month, with intervals.

Flights of one day share its weather, so every interval counts days and not flights.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from trivet.demo.evidence import Gain, Month, Score
from trivet.statistics.intervals import auc_interval, student_mean
from trivet.statistics.metrics import brier_losses
from trivet.statistics.paired import compare_auc, compare_losses

Floats = NDArray[np.float64]


def by_month(answered: pl.DataFrame) -> list[Month]:
    """Score every month.

    Args:
        answered: One row per labelled prediction: `day`, `late`, `loop` and `frozen`, the two
            probabilities.
    """
    months = answered.with_columns(pl.col("day").dt.strftime("%Y-%m").alias("month"))
    return [
        Month(month=str(name), loop=_score(rows, "loop"), frozen=_score(rows, "frozen"))
        for (name,), rows in months.group_by("month", maintain_order=True)
    ]


def gain(answered: pl.DataFrame) -> Gain:
    """Compare the two on all flights, pair by pair."""
    late, days = _late(answered), _days(answered)
    loop, frozen = _column(answered, "loop"), _column(answered, "frozen")
    losses = compare_losses(brier_losses(late, frozen), brier_losses(late, loop), clusters=days)
    order = compare_auc(late, frozen, loop, clusters=days)
    return Gain(
        brier=losses.difference,
        brier_low=losses.low,
        brier_high=losses.high,
        auc=order.difference,
        auc_low=order.low,
        auc_high=order.high,
        flights=answered.height,
    )


def _score(rows: pl.DataFrame, name: str) -> Score:
    late, days, answers = _late(rows), _days(rows), _column(rows, name)
    brier = student_mean(brier_losses(late, answers), clusters=days)
    auc = auc_interval(late, answers, clusters=days)
    return Score(
        flights=rows.height,
        brier=brier.estimate,
        brier_low=brier.low,
        brier_high=brier.high,
        auc=auc.estimate,
        auc_low=auc.low,
        auc_high=auc.high,
    )


def _late(rows: pl.DataFrame) -> Floats:
    return rows["late"].cast(pl.Float64).to_numpy()


def _days(rows: pl.DataFrame) -> NDArray[np.int64]:
    return rows["day"].cast(pl.Date).to_physical().cast(pl.Int64).to_numpy()


def _column(rows: pl.DataFrame, name: str) -> Floats:
    return rows[name].cast(pl.Float64).to_numpy()
