"""Points as NumPy columns: read from chunks, put in order, joined to one series."""

import os
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple, cast
from zlib import crc32

import numpy as np
import numpy.typing as npt

from trivet.adapters.files.points.figures import POINT_BYTES, Chunk, Figures, to_columns
from trivet.core.errors import Corrupt
from trivet.core.ports import Points

_RUN_BYTES: Final = 8 << 20
_GAP_BYTES: Final = 16 << 10
_MASK: Final = np.int64(0x7FFF_FFFF_FFFF_FFFF)
_FROM_LEAST: Final = np.uint64(0x7FF0_0000_0000_0001)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

ROWS: Final = np.dtype(
    [
        ("place", "<u8"),
        ("crc", "<u4"),
        ("parts", "<u4"),
        ("points", "<u8"),
        ("first_step", "<i8"),
        ("first_time", "<i8"),
        ("first_value", "<f8"),
        ("last_step", "<i8"),
        ("last_time", "<i8"),
        ("last_value", "<f8"),
        ("least", "<f8"),
        ("greatest", "<f8"),
    ]
)
"""`figures.ROW` for NumPy."""


class Columns(NamedTuple):
    """Points as three columns of equal length."""

    steps: Ints
    times: Ints
    values: Floats

    def part(self, which: slice | npt.NDArray[Any]) -> "Columns":
        """Return some of the points."""
        return Columns(self.steps[which], self.times[which], self.values[which])

    def content(self) -> bytes:
        """Return the columns one after the other."""
        return self.steps.tobytes() + self.times.tobytes() + self.values.tobytes()

    def points(self) -> Points:
        """Return the columns as the port speaks of them."""
        return Points(*self)


NONE: Final = Columns(np.empty(0, "<i8"), np.empty(0, "<i8"), np.empty(0, "<f8"))


def columns_of(content: bytes) -> Columns:
    """Read columns that lie one after the other."""
    count = len(content) // POINT_BYTES
    return Columns(
        np.frombuffer(content, "<i8", count),
        np.frombuffer(content, "<i8", count, count * 8),
        np.frombuffer(content, "<f8", count, count * 16),
    )


def columns_of_records(records: bytes) -> Columns:
    """Read points that lie next to each other."""
    return columns_of(to_columns(records)) if records else NONE


def rows_of(packed: bytes) -> npt.NDArray[Any]:
    """Read packed rows of chunks (of type `ROWS`)."""
    return np.frombuffer(packed, ROWS)


def between(rows: npt.NDArray[Any], first: int | None, last: int | None) -> npt.NDArray[Any]:
    """Keep the rows of chunks that have steps in a range."""
    if first is not None:
        rows = rows[rows["last_step"] >= first]
    if last is not None:
        rows = rows[rows["first_step"] <= last]
    return rows


def contents(fd: int, rows: npt.NDArray[Any]) -> Iterator[bytes]:
    """Read the bytes of chunks, several neighbours at once.

    Raises:
        Corrupt: Bytes do not match their checksum.
    """
    places, lengths = rows["place"].tolist(), (rows["points"] * POINT_BYTES).tolist()
    checks = rows["crc"].tolist()
    start = 0
    while start < len(places):
        stop = start + 1
        while (
            stop < len(places)
            and 0 <= places[stop] - places[stop - 1] - lengths[stop - 1] <= _GAP_BYTES
            and places[stop] + lengths[stop] - places[start] <= _RUN_BYTES
        ):
            stop += 1
        origin = places[start]
        run = os.pread(fd, places[stop - 1] + lengths[stop - 1] - origin, origin)
        for at in range(start, stop):
            begin = places[at] - origin
            content = run[begin : begin + lengths[at]]
            if len(content) != lengths[at] or crc32(content) != checks[at]:
                raise _damaged()
            yield content
        start = stop


def content_of(fd: int, chunk: Chunk) -> bytes:
    """Read the bytes of one chunk.

    Raises:
        Corrupt: They do not match their checksum.
    """
    length = chunk.points * POINT_BYTES
    content = os.pread(fd, length, chunk.place)
    if len(content) != length or crc32(content) != chunk.crc:
        raise _damaged()
    return content


def _damaged() -> Corrupt:
    return Corrupt("a chunk of points is damaged", code="corrupt-segment")


def ranks(values: Floats) -> npt.NDArray[np.uint64]:
    """Place values among others, as `figures.rank` does."""
    bits = values.view("<i8")
    return (bits ^ ((bits >> 63) & _MASK)).view("<u8") + _FROM_LEAST


def join(parts: Sequence[Columns]) -> Columns:
    """Join columns to one series: ordered by step, time and value, equal points once."""
    parts = sorted((part for part in parts if len(part.steps)), key=lambda part: int(part.steps[0]))
    if not parts:
        return NONE
    whole = concatenated(parts)
    steps, times = whole.steps, whole.times
    further = steps[1:] > steps[:-1]
    if further.all() or (further | ((steps[1:] == steps[:-1]) & (times[1:] > times[:-1]))).all():
        return whole
    return _ordered(whole)


def concatenated(parts: Sequence[Columns]) -> Columns:
    """Put columns behind one another."""
    return Columns(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _ordered(whole: Columns) -> Columns:
    steps, times, values = whole.part(np.lexsort((ranks(whole.values), whole.times, whole.steps)))
    bits = values.view("<i8")
    kept = np.ones(len(steps), bool)
    kept[1:] = (steps[1:] != steps[:-1]) | (times[1:] != times[:-1]) | (bits[1:] != bits[:-1])
    return Columns(steps[kept], times[kept], values[kept])


def clip(whole: Columns, first: int | None, last: int | None) -> Columns:
    """Keep the ordered points of a range of steps."""
    start = 0 if first is None else place_of(whole.steps, first, "left")
    stop = len(whole.steps) if last is None else place_of(whole.steps, last, "right")
    return whole.part(slice(start, stop))


def place_of(column: Ints, number: int, side: Any) -> int:
    """Return where a number belongs in a rising column; it may lie beyond 64 bits."""
    if number < -(2**63):
        return 0
    if number >= 2**63:
        return len(column)
    return int(np.searchsorted(column, np.int64(number), side=side))


def extent(values: Floats) -> tuple[float, float]:
    """Return the least and the greatest number; NaN when there is none."""
    with np.errstate(invalid="ignore"):
        return float(np.fmin.reduce(values)), float(np.fmax.reduce(values))


def figures_of(ordered: Columns) -> Figures:
    """Return the figures of one or more ordered points."""
    steps, times, values = ordered
    first = int(steps[0]), int(times[0]), float(values[0])
    last = int(steps[-1]), int(times[-1]), float(values[-1])
    return (len(steps), *first, *last, *extent(values))


def measure_arrays(content: bytes) -> Figures:
    """Return the figures of points in any order, given as their columns."""
    whole = columns_of(content)
    first, last = _edge(whole, np.min), _edge(whole, np.max)
    return (len(whole.steps), *first, *last, *extent(whole.values))


def _edge(whole: Columns, choose: Any) -> tuple[int, int, float]:
    """Return the least or greatest point."""
    for field in ("steps", "times"):
        column = cast("Ints", getattr(whole, field))
        at = np.flatnonzero(column == choose(column))
        if len(at) < len(column):
            whole = whole.part(at)
    order = ranks(whole.values)
    at = int(np.argmax(order == choose(order))) if len(order) > 1 else 0
    return int(whole.steps[0]), int(whole.times[0]), float(whole.values[at])
