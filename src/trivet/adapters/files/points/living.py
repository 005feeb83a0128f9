"""The index of a segment that is still written: in memory, as far as it was read.

Small chunks are kept by their points, large ones by their places. Nothing here needs NumPy.
"""

import threading
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from trivet.adapters.files.points.chunks import Piece
from trivet.adapters.files.points.figures import (
    POINT_BYTES,
    ROW,
    Chunk,
    fold,
    to_columns,
    to_records,
)
from trivet.adapters.files.points.measuring import measure

_NOWHERE: Final = (0, 0, 0)


class Found(NamedTuple):
    """What a segment holds of one series: packed rows of chunks, and points as records."""

    rows: bytes
    records: bytes


class _Held:
    """One series: rows of its large chunks, the points of its small ones, both packed."""

    __slots__ = ("folded", "records", "rows", "total")

    def __init__(self) -> None:
        self.rows: bytearray | None = None  # most series have none, and there are many
        self.records = bytearray()
        self.total: Chunk | None = None
        self.folded = 0
        """How many bytes of `records` the total has taken in."""

    def add(self, chunk: Chunk) -> None:
        packed = ROW.pack(*chunk)
        if self.rows is None:
            self.rows = bytearray(packed)
        else:
            self.rows += packed
        self.total = fold(self.total, chunk) if self.total else chunk

    def found(self) -> Found:
        return Found(bytes(self.rows or b""), bytes(self.records))

    def summed(self) -> Chunk:
        if self.folded < len(self.records):
            news = to_columns(bytes(self.records[self.folded :]))
            chunk = Chunk(*_NOWHERE, *measure(news))
            self.total = fold(self.total, chunk) if self.total else chunk
            self.folded = len(self.records)
        assert self.total  # noqa: S101  # a series is begun with its first points
        return self.total


class Living:
    """Which points of which series lie in one segment. Safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owners: dict[bytes, dict[bytes, _Held]] = {}
        self._names: dict[bytes, bytes] = {}
        """Each name once, however many owners use it."""

    def add(self, payload: bytes, pieces: Sequence[Piece], base: int) -> None:
        """Note the chunks of a frame whose payload lies at `base`."""
        with self._lock:
            for owner, name, at, count, chunk in pieces:
                names = self._owners.get(owner)
                if names is None:
                    names = self._owners[owner] = {}
                held = names.get(name)
                if held is None:
                    held = names[self._names.setdefault(name, name)] = _Held()
                if chunk:
                    held.add(Chunk(base + chunk.place, *chunk[1:]))
                else:
                    held.records += to_records(payload[at : at + count * POINT_BYTES])

    def found(self, key: tuple[bytes, bytes]) -> Found:
        """Return what there is of a series."""
        owner, name = key
        with self._lock:
            held = self._owners.get(owner, {}).get(name)
            return held.found() if held else Found(b"", b"")

    def totals(self, owner: bytes) -> list[tuple[bytes, Chunk]]:
        """Return the name and the figures of each series of an owner."""
        with self._lock:
            return [(name, held.summed()) for name, held in self._owners.get(owner, {}).items()]

    def series(self) -> Iterator[tuple[bytes, bytes, Found]]:
        """Yield all series in order. Nobody may add meanwhile."""
        for owner, names in sorted(self._owners.items()):
            for name, held in sorted(names.items()):
                yield owner, name, held.found()
