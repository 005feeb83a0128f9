"""What an answer costs on this machine: from a row's fields to the model's numbers.

A measurement belongs to a verdict, not to a package: another machine has other figures. Numeric:
imports NumPy.
"""

import math
from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Final

import msgspec
import numpy as np

from trivet.models.rows import Row, RowEncoder
from trivet.models.session import Session

_WARM_UP: Final = 50
_BATCH: Final = 100
_BATCH_REPEATS: Final = 30
_ROUNDS: Final = 3


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Times in microseconds, without any network or log."""

    single_p50_us: float
    single_p99_us: float
    single_p99_low_us: float
    """95 % interval of the 99th percentile, from order statistics."""
    single_p99_high_us: float
    batch_rows: int
    batch_p50_us: float
    repeats: int

    @property
    def per_row_us(self) -> float:
        """Cost of one more row in a batch: b of cost(n) = a + b n."""
        return max(0.0, (self.batch_p50_us - self.single_p50_us) / (self.batch_rows - 1))


def measure_latency(
    encoder: RowEncoder, session: Session, rows: Sequence[Row], *, repeats: int = 1000
) -> Latency:
    """Measure single rows, and batches of a hundred.

    Single rows are timed in three rounds, of which the one with the lowest 99th percentile counts:
    a machine that is busy with something else makes no model slow.

    Args:
        encoder: The model's encoder.
        session: The loaded serving form.
        rows: Example rows, at least one; they take turns.
        repeats: How many single rows a round times.
    """

    def answer(batch: Sequence[Row]) -> None:
        session.run(encoder.encode_rows(batch))

    batches = [[rows[at % len(rows)]] for at in range(repeats)]
    many = [rows[at % len(rows)] for at in range(_BATCH)]
    _times(answer, batches[:_WARM_UP])
    rounds = (np.sort(_times(answer, batches)) for _ in range(_ROUNDS))
    single = min(rounds, key=lambda times: float(np.quantile(times, 0.99)))
    reach = 1.96 * math.sqrt(repeats * 0.99 * 0.01)
    middle = 0.99 * (repeats - 1)
    low, high = (min(max(0, round(middle + d)), repeats - 1) for d in (-reach, reach))
    return Latency(
        single_p50_us=float(np.median(single)),
        single_p99_us=float(np.quantile(single, 0.99)),
        single_p99_low_us=float(single[low]),
        single_p99_high_us=float(single[high]),
        batch_rows=_BATCH,
        batch_p50_us=float(np.median(_times(answer, [many] * _BATCH_REPEATS))),
        repeats=repeats,
    )


def _times(
    answer: Callable[[Sequence[Row]], None], batches: Sequence[Sequence[Row]]
) -> list[float]:
    times: list[float] = []
    for batch in batches:
        start = perf_counter_ns()
        answer(batch)
        times.append((perf_counter_ns() - start) / 1000)
    return times
