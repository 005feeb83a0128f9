"""What fitting and answering cost on this machine.

Numeric: imports NumPy.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter, perf_counter_ns
from typing import Any, Final, TypeVar

import numpy as np

T = TypeVar("T")
SINGLES: Final = 300
BATCHES: Final = 30
BATCH_ROWS: Final = 100
_WARM_UP: Final = 20
_PROCESS: Final = Path("/proc/self")


def fitted(fit: Callable[[], T]) -> tuple[T, float, int | None]:
    """Call a fit; return what it made, its seconds, and its peak of memory above the present.

    The peak is that of the whole process: what other threads take meanwhile counts, too. None
    where the system does not tell (other than Linux).
    """
    before = _restart_peak()
    began = perf_counter()
    made = fit()
    seconds = perf_counter() - began
    after = _status("VmHWM")
    peak = None if before is None or after is None else max(0, after - before)
    return made, seconds, peak


def answer_times(
    answer: Callable[[Any], object],
    singles: Sequence[Any],
    batch: Any,  # noqa: ANN401  # rows
) -> dict[str, float]:
    """Time an answer to single rows, which take turns, and to a batch; in microseconds."""
    turns = [singles[at % len(singles)] for at in range(SINGLES)]
    _times(answer, turns[:_WARM_UP])
    single = _times(answer, turns)
    many = _times(answer, [batch] * BATCHES)
    return {
        "single_p50_us": float(np.quantile(single, 0.5)),
        "single_p99_us": float(np.quantile(single, 0.99)),
        "batch_p50_us": float(np.quantile(many, 0.5)),
        "batch_p99_us": float(np.quantile(many, 0.99)),
    }


def _times(answer: Callable[[Any], object], asked: Sequence[Any]) -> list[float]:
    times: list[float] = []
    for rows in asked:
        start = perf_counter_ns()
        answer(rows)
        times.append((perf_counter_ns() - start) / 1000)
    return times


def _restart_peak() -> int | None:
    """Let the kernel's high-water mark begin anew; return the memory in use now."""
    try:
        (_PROCESS / "clear_refs").write_text("5")
    except OSError:
        return None
    return _status("VmRSS")


def _status(name: str) -> int | None:
    try:
        lines = (_PROCESS / "status").read_text("ascii", "replace").splitlines()
    except OSError:
        return None
    found = next((line.split() for line in lines if line.startswith(f"{name}:")), None)
    return None if found is None else int(found[1]) * 1024
