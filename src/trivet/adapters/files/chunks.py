"""Chunks: points of one series in one frame, and the index that finds them.

A frame holds a table of its chunks (lengths, checksums, ranges of steps), their keys, and for
each chunk the columns steps, times and values, raw and little-endian.
"""

import threading
from collections.abc import Sequence
from struct import Struct
from typing import Any, Final, NamedTuple, Self
from zlib import crc32

import numpy as np
import numpy.typing as npt

from trivet.core.errors import Corrupt, Invalid
from trivet.core.ports import Points, SeriesKey

POINT_BYTES: Final = 24
_HEAD: Final = Struct("<II")  # number of chunks, bytes of keys
_ENTRY: Final = Struct("<HHIIqq")  # bytes of owner and name, points, crc, least and greatest step
_ROW: Final = Struct("<qqqII")
ROW: Final = np.dtype(
    [("place", "<i8"), ("first", "<i8"), ("last", "<i8"), ("count", "<u4"), ("crc", "<u4")]
)
"""Where a chunk's columns lie, its least and greatest step, its points and their checksum."""

_KEYS: Final = Struct("<I")
_KEY: Final = Struct("<HHQ")  # bytes of owner, name and rows
_INTEGERS: Final = np.dtype("<i8")
_REALS: Final = np.dtype("<f8")
_MAX_KEY: Final = 250
_SMALL: Final = 16

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Columns = tuple[Ints, Ints, Floats]
Row = tuple[int, int, int, int, int]


class Encoded(NamedTuple):
    """A frame's payload, and of each chunk its key and row; `place` counts from the payload."""

    payload: bytes
    rows: list[tuple[SeriesKey, Row]]


def encode(chunks: Sequence[tuple[SeriesKey, Points]]) -> Encoded:
    """Check chunks and make one frame's payload of them; empty ones are left out.

    Raises:
        Invalid: Columns differ in length or type, or a key is malformed.
    """
    checked = [(key, _names(key), _columns(points)) for key, points in chunks]
    checked = [chunk for chunk in checked if len(chunk[2][0])]
    place = _HEAD.size + sum(_ENTRY.size + len(o) + len(n) for _, (o, n), _ in checked)
    entries: list[bytes] = []
    names: list[bytes] = []
    contents: list[bytes] = []
    rows: list[tuple[SeriesKey, Row]] = []
    for key, (owner, name), (steps, times, values) in checked:
        content = steps.tobytes() + times.tobytes() + values.tobytes()
        first, last = _range(steps)
        check = crc32(content)
        entries.append(_ENTRY.pack(len(owner), len(name), len(steps), check, first, last))
        names += (owner, name)
        contents.append(content)
        rows.append((key, (place, first, last, len(steps), check)))
        place += len(content)
    keys = b"".join(names)
    head = _HEAD.pack(len(entries), len(keys))
    return Encoded(b"".join((head, *entries, keys, *contents)), rows)


def decode(payload: bytes) -> list[tuple[SeriesKey, Row]]:
    """Read the table of a frame that `encode` made: keys and rows, as in `Encoded`."""
    count, keys_bytes = _HEAD.unpack_from(payload)
    at = _HEAD.size + count * _ENTRY.size
    place = at + keys_bytes
    rows: list[tuple[SeriesKey, Row]] = []
    for entry in _ENTRY.iter_unpack(payload[_HEAD.size : at]):
        owner, name, points, check, first, last = entry
        key = _key(payload, at, owner, name)
        at += owner + name
        rows.append((key, (place, first, last, points, check)))
        place += points * POINT_BYTES
    return rows


def _key(packed: bytes, at: int, owner: int, name: int) -> SeriesKey:
    middle = at + owner
    return SeriesKey(packed[at:middle].decode(), packed[middle : middle + name].decode())


def columns_of(content: bytes, count: int, check: int) -> Columns:
    """Read a chunk's columns out of its bytes.

    Raises:
        Corrupt: The bytes do not match the checksum.
    """
    if len(content) != count * POINT_BYTES or crc32(content) != check:
        raise Corrupt("a chunk of points is damaged", code="corrupt-segment")
    return (
        np.frombuffer(content, "<i8", count),
        np.frombuffer(content, "<i8", count, count * 8),
        np.frombuffer(content, "<f8", count, count * 16),
    )


class Index:
    """Which chunks of which series lie in one segment. Safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: dict[SeriesKey, bytearray] = {}

    def add(self, rows: Sequence[tuple[SeriesKey, Row]], base: int) -> None:
        """Note the chunks of a frame whose payload lies at `base`."""
        with self._lock:
            for key, (place, *rest) in rows:
                packed = _ROW.pack(base + place, *rest)
                held = self._rows.get(key)
                if held is None:
                    self._rows[key] = bytearray(packed)
                else:
                    held += packed

    def rows(self, key: SeriesKey) -> npt.NDArray[Any]:
        """Return the rows (of type `ROW`) of a series, in the order of writing."""
        with self._lock:
            return np.frombuffer(bytes(self._rows.get(key, b"")), ROW)

    def series(self) -> list[SeriesKey]:
        """Return all series of the segment."""
        with self._lock:
            return list(self._rows)

    def pack(self) -> bytes:
        """Write the index for a segment's seal."""
        with self._lock:
            parts: list[bytes] = [_KEYS.pack(len(self._rows))]
            for key, rows in self._rows.items():
                owner, name = key.owner.encode(), key.name.encode()
                parts += (_KEY.pack(len(owner), len(name), len(rows)), owner, name, bytes(rows))
        return b"".join(parts)

    @classmethod
    def unpack(cls, packed: bytes) -> Self:
        """Read what `pack` wrote."""
        index = cls()
        at = _KEYS.size
        for _ in range(_KEYS.unpack_from(packed)[0]):
            owner, name, length = _KEY.unpack_from(packed, at)
            at += _KEY.size
            key = _key(packed, at, owner, name)
            at += owner + name
            index._rows[key] = bytearray(packed[at : at + length])
            at += length
        return index


def _range(steps: Ints) -> tuple[int, int]:
    if len(steps) <= _SMALL:  # the reductions would cost more than the points
        listed: list[int] = steps.tolist()
        return min(listed), max(listed)
    return int(steps.min()), int(steps.max())


def _names(key: SeriesKey) -> tuple[bytes, bytes]:
    return _name(key.owner, "owner"), _name(key.name, "name")


def _name(text: object, field: str) -> bytes:
    if isinstance(text, str) and 0 < len(text) <= _MAX_KEY and text.isprintable():
        return text.encode()
    raise Invalid(
        f"the {field} of a series is a {type(text).__name__} that is no valid one; "
        f"expected 1 to {_MAX_KEY} printable characters",
        code="bad-key",
        hint="Use a short text without line breaks, for example 'loss/train'.",
    )


def _columns(points: Points) -> Columns:
    steps = _column(points.steps, "steps", "<i8")
    times = _column(points.times, "times", "<i8")
    values = _column(points.values, "values", "<f8")
    if not len(steps) == len(times) == len(values):
        raise Invalid(
            f"steps, times and values have {len(steps)}, {len(times)} and {len(values)} items; "
            "expected equal lengths",
            code="ragged-points",
            hint="Pass one step, one time and one value per point.",
        )
    return steps, times, values


def _column(column: Any, field: str, kind: str) -> npt.NDArray[Any]:
    wanted = _INTEGERS if kind == "<i8" else _REALS
    try:
        array = column if type(column) is np.ndarray else np.asarray(memoryview(column))
    except (TypeError, ValueError):
        array = None
    if array is None or array.ndim != 1 or array.dtype != wanted:
        raise Invalid(
            f"{field} is a {type(column).__name__}; "
            f"expected a one-dimensional buffer of {wanted.name}",
            code="bad-column",
            hint=f"Pass a NumPy array of {wanted.name}.",
        )
    return array


def merge(parts: Sequence[Columns], first: int | None, last: int | None) -> Points:
    """Join chunks to one series: ordered by step, time and value, equal points once.

    Values are compared as bits, so that NaN equals itself; NaN stands behind all numbers.
    """
    if not parts:
        return Points(np.empty(0, "<i8"), np.empty(0, "<i8"), np.empty(0, "<f8"))
    parts = sorted(parts, key=lambda part: int(part[0][0]))
    steps, times, values = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    if first is not None or last is not None:
        low, high = np.iinfo(np.int64).min, np.iinfo(np.int64).max
        kept = (steps >= (low if first is None else first)) & (
            steps <= (high if last is None else last)
        )
        steps, times, values = steps[kept], times[kept], values[kept]
    further = steps[1:] > steps[:-1]
    if (
        not further.all()
        and not (further | ((steps[1:] == steps[:-1]) & (times[1:] > times[:-1]))).all()
    ):
        steps, times, values = _ordered(steps, times, values)
    return Points(steps, times, values)


def _ordered(steps: Ints, times: Ints, values: Floats) -> Columns:
    bits = values.view("<i8")
    ranks = bits ^ ((bits >> 63) & np.int64(0x7FFF_FFFF_FFFF_FFFF))  # orders bits as their numbers
    order = np.lexsort((ranks, times, steps))
    steps, times, bits = steps[order], times[order], bits[order]
    kept = np.ones(len(steps), bool)
    kept[1:] = (steps[1:] != steps[:-1]) | (times[1:] != times[:-1]) | (bits[1:] != bits[:-1])
    return steps[kept], times[kept], bits[kept].view("<f8")
