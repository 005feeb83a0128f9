"""Series: ten million points appended durably, and one series of a million read back.

Appends are those of a training run: batches of one series each, of 1,000 to 10,000 points, ten
series in turn, one thread. The floor is the same bytes, batch by batch, through write and
fdatasync of one file in the same folder, just before and just after.
"""

import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from trivet.adapters.files.series import FileSeries
from trivet.core.ports import Points, SeriesKey

SERIES = 10
POINTS = 10_000_000
QUICK_POINTS = 1_000_000
BATCHES = (1_000, 2_000, 5_000, 10_000)
APPEND_TARGET = 500_000
READ_TARGET_S = 0.2
READS = 5


def rows(quick: bool) -> list[dict[str, Any]]:
    """Measure both figures; `quick` takes a tenth of the points."""
    points = QUICK_POINTS if quick else POINTS
    with tempfile.TemporaryDirectory(prefix="trivet-bench-") as folder:
        return measure(Path(folder), points)


def measure(folder: Path, points: int) -> list[dict[str, Any]]:
    sizes = batch_sizes(points // SERIES)
    before_s = write_floor(folder / "floor-1", sizes)
    append_s = append(folder / "series", sizes)
    floor_s = statistics.mean((before_s, write_floor(folder / "floor-2", sizes)))
    rate, floor_rate = points / append_s, points / floor_s
    read_s, read_floor_s = read_back(folder / "series", points // SERIES)
    return [
        {
            "id": "2.5",
            "what": "series: points appended durably",
            "value": round(rate),
            "unit": "points/s",
            "target": APPEND_TARGET,
            "floor": round(floor_rate),
            "ratio": round(rate / floor_rate, 3),
            "ok": rate >= APPEND_TARGET,
            "mode": f"{points:,} points, one thread, each append of 1,000 to 10,000 synced; "
            "floor: the same bytes by write and fdatasync",
        },
        {
            "id": "2.6",
            "what": f"series: one of {points // SERIES:,} points read back",
            "value": round(read_s, 4),
            "unit": "s",
            "target": READ_TARGET_S,
            "floor": round(read_floor_s, 4),
            "ratio": round(read_s / read_floor_s, 2),
            "ok": read_s <= READ_TARGET_S,
            "mode": "store opened anew, files in the page cache, checksums compared; "
            "floor: the same number of bytes from one file",
        },
    ]


def batch_sizes(points: int) -> list[int]:
    """Cut a series into batches of mixed sizes."""
    sizes: list[int] = []
    while points:
        size = min(points, BATCHES[len(sizes) % len(BATCHES)])
        sizes.append(size)
        points -= size
    return sizes


def append(folder: Path, sizes: list[int]) -> float:
    """Append all batches to all series; return the seconds."""
    store = FileSeries(folder)
    keys = [SeriesKey("bench", f"metric/{index}") for index in range(SERIES)]
    values = np.random.default_rng(0).normal(size=max(BATCHES))
    start = time.perf_counter()
    step = 0
    for size in sizes:
        steps = np.arange(step, step + size)
        chunk = Points(steps, steps * 1000, values[:size])
        for key in keys:
            store.append([(key, chunk)])
        step += size
    seconds = time.perf_counter() - start
    store.close()
    return seconds


def write_floor(place: Path, sizes: list[int]) -> float:
    """Write the same bytes with one write and one fdatasync per batch; return the seconds."""
    content = os.urandom(24 * max(BATCHES))
    fd = os.open(place, os.O_WRONLY | os.O_CREAT)
    start = time.perf_counter()
    for size in sizes:
        for _ in range(SERIES):
            os.write(fd, content[: 24 * size])
            os.fdatasync(fd)
    seconds = time.perf_counter() - start
    os.close(fd)
    place.unlink()
    return seconds


def read_back(folder: Path, points: int) -> tuple[float, float]:
    """Open the store anew and read one series; return the median seconds, and the floor's.

    The floor reads the same number of bytes, in one piece, from a file that is in memory, too.
    """
    plain = folder.parent / "plain"
    plain.write_bytes(os.urandom(24 * points))
    taken, floor = [], []
    for index in range(READS):
        start = time.perf_counter()
        store = FileSeries(folder)
        read = store.read(SeriesKey("bench", f"metric/{index % SERIES}"))
        taken.append(time.perf_counter() - start)
        assert len(read.steps) == points
        store.close()
        start = time.perf_counter()
        np.frombuffer(plain.read_bytes(), np.int64).copy()
        floor.append(time.perf_counter() - start)
    return statistics.median(taken), statistics.median(floor)


if __name__ == "__main__":
    for row in rows(quick=False):
        print(row)
