"""A step in a warm process of the pool, beside a bare round trip to a process of forkserver."""

import itertools
import multiprocessing
import operator
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.parts import absent
from benchmarks.peers.installing import Missing
from benchmarks.peers.talking import Talk
from benchmarks.steps import by_turns, done_ms, median_ms, sizes

TARGET_MS = 10.0


def rows(quick: bool) -> list[dict[str, Any]]:
    """Measure the marginal cost of a trivial step in the pool; the first run warms it."""
    size = sizes(quick)
    what = "trivial step in the warm process pool"
    with tempfile.TemporaryDirectory(prefix="trivet-bench-") as scratch:
        try:
            with Talk("trivet_pooled", Path(scratch) / "pooled") as talk:
                names = ["trivet_pooled"]
                (value,) = by_turns([talk], names, size, done_ms, itertools.count(1))
        except Missing as error:
            return [absent(what, f"not measured: {error}")]
    floor = round_trip_ms()
    return [
        {
            "what": what,
            "value": round(value, 3),
            "unit": "ms",
            "target": TARGET_MS,
            "floor": round(floor, 3),
            "ratio": round(value / floor, 2),
            "ok": value <= TARGET_MS,
            "peer": None,
            "better": "low",
            "mode": f"marginal cost in a flow of 1 + {size.steps} steps, median of {size.rounds} "
            "rounds; floor: a call in a pool of multiprocessing, forkserver, one process",
        }
    ]


def round_trip_ms() -> float:
    with multiprocessing.get_context("forkserver").Pool(1) as processes:
        processes.apply(operator.add, (1, 2))
        return median_ms(lambda: processes.apply(operator.add, (1, 2)))
