"""The index of a sealed segment: on disk, in order of owner and name, read a node at a time.

All of it lies in frames, each with a checksum, written in one pass:

    D   columns of chunks, side by side
    R   the rows of one series that has several chunks
    L   a leaf: keys in order, each with the row of its chunk or of its list of chunks
    N   a node over leaves or nodes: the first key of each, its place and its length

The seal holds the place of the root.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

from trivet.adapters.files import layout
from trivet.adapters.files.points.chunks import KEY
from trivet.adapters.files.points.figures import (
    POINT_BYTES,
    ROW,
    Chunk,
    Figures,
    to_columns,
    total,
)
from trivet.adapters.files.points.living import Found, Living
from trivet.adapters.files.points.measuring import measure
from trivet.adapters.files.segments import Segment, SegmentWriter
from trivet.core.errors import Corrupt

CHUNK_POINTS: Final = 2048
"""Points of a chunk in a sorted segment: few enough that a curve skips most of a long series."""
_NODE_BYTES: Final = 8 << 10
_LEAST_ENTRIES: Final = 4  # of a node, however long its keys: a tree of one child each has no top
_DATA_BYTES: Final = 256 << 10
_ROOT: Final = Struct("<QQI")  # end of the frames of appends; place and length of the root
_CHILD: Final = Struct("<QI")  # place and length
_KEPT_NODES: Final = 64

Key = tuple[bytes, bytes]
"""Owner and name in UTF-8; their order is that of the texts."""


class Child(NamedTuple):
    """Where a node lies."""

    place: int
    length: int


class SortedWriter:
    """Writes series, in order, and the index over them into a segment.

    Args:
        writer: The segment; frames of appends may lie in it already.
    """

    def __init__(self, writer: SegmentWriter) -> None:
        self._writer = writer
        self._points_end = writer.length
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._levels: list[_Level] = []

    def add(
        self, key: Key, chunks: Iterable[tuple[bytes, Figures]], held: Iterable[Chunk] = ()
    ) -> None:
        """Write a series.

        Args:
            key: Greater than all before.
            chunks: Columns and their figures.
            held: Chunks that lie in the segment already.
        """
        rows = [*held]
        for content, figures in chunks:
            place = self._writer.length + layout.FRAME_BYTES + 1 + self._data_bytes
            rows.append(Chunk(place, crc32(content), 0, *figures))
            self._data.append(content)
            self._data_bytes += len(content)
            if self._data_bytes > _DATA_BYTES:
                self._flush()
        if not rows:
            return
        row = rows[0]
        if len(rows) > 1:
            packed = b"".join([ROW.pack(*chunk) for chunk in rows])
            place = self._put(b"R" + packed) + 1
            row = Chunk(place, crc32(packed), len(rows), *total(rows)[3:])
        self._enter(0, key, ROW.pack(*row))

    def finish(self) -> bytes:
        """Write the rest of the index and return what the seal must hold."""
        level, root = 0, Child(0, 0)
        while level < len(self._levels):
            closing = self._levels[level]
            is_top = level == len(self._levels) - 1
            root = self._put_node(level)
            if not is_top:
                self._enter(level + 1, closing.first, _CHILD.pack(*root))
            level += 1
        self._flush()
        return _ROOT.pack(self._points_end, *root)

    def _enter(self, level: int, key: Key, body: bytes) -> None:
        if level == len(self._levels):
            self._levels.append(_Level())
        at = self._levels[level]
        if at.size_bytes > _NODE_BYTES and len(at.entries) >= _LEAST_ENTRIES:
            first = at.first
            self._enter(level + 1, first, _CHILD.pack(*self._put_node(level)))
        if not at.entries:
            at.first = key
        owner, name = key
        entry = KEY.pack(len(owner), len(name)) + owner + name + body
        at.entries.append(entry)
        at.size_bytes += len(entry)

    def _put_node(self, level: int) -> Child:
        at = self._levels[level]
        payload = (b"N" if level else b"L") + b"".join(at.entries)
        at.entries, at.size_bytes = [], 0
        return Child(self._put(payload), len(payload))

    def _put(self, payload: bytes) -> int:
        self._flush()
        return self._writer.add([payload])[0]

    def _flush(self) -> None:
        if self._data:
            data, self._data, self._data_bytes = self._data, [], 0
            self._writer.add([b"".join([b"D", *data])])


class _Level:
    """The open node of one level of a tree."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self.size_bytes = 0
        self.first: Key = (b"", b"")


def write_index(writer: SegmentWriter, living: Living) -> bytes:
    """Write the index of a segment that appends have filled; return what the seal must hold.

    The points of small chunks, which lie all over the segment, are written once more, together.
    """
    out = SortedWriter(writer)
    for owner, name, found in living.series():
        held = [Chunk._make(row) for row in ROW.iter_unpack(found.rows)]
        out.add((owner, name), pieces_of(found.records), held)
    return out.finish()


def pieces_of(records: bytes) -> Iterator[tuple[bytes, Figures]]:
    """Cut records into chunks."""
    step = CHUNK_POINTS * POINT_BYTES
    for start in range(0, len(records), step):
        content = to_columns(records[start : start + step])
        yield content, measure(content)


class Tree:
    """The index of a sealed segment. Safe between threads.

    Args:
        segment: The open segment.
        root: What its seal holds.
    """

    def __init__(self, segment: Segment, root: bytes) -> None:
        self._segment = segment
        self.points_end, place, length = _ROOT.unpack(root)
        """Where the frames of appends end."""
        self._root = Child(place, length)
        self._nodes: dict[int, _Node] = {}

    def find(self, key: Key) -> Chunk | None:
        """Return the row of a series, or None."""
        for found, row in self.walk(key):
            return row if found == key else None
        return None

    def rows(self, row: Chunk) -> bytes:
        """Return the packed rows of a series' chunks.

        Raises:
            Corrupt: The segment is damaged.
        """
        if not row.parts:
            return ROW.pack(*row)
        length = row.parts * ROW.size
        payload = layout.read_frame(
            self._segment.fd, self._segment.header.salt, row.place - 1, length + 1
        )
        if crc32(payload[1:]) != row.crc:
            raise Corrupt("a list of chunks is damaged", code="corrupt-segment")
        return payload[1:]

    def chunks(self, row: Chunk) -> list[Chunk]:
        """Return a series' chunks."""
        return [Chunk._make(fields) for fields in ROW.iter_unpack(self.rows(row))]

    def found(self, key: Key) -> Found:
        """Return what there is of a series, as `Living.found` does."""
        row = self.find(key)
        return Found(self.rows(row) if row else b"", b"")

    def totals(self, owner: bytes) -> list[tuple[bytes, Chunk]]:
        """Return the name and the figures of each series of an owner."""
        totals: list[tuple[bytes, Chunk]] = []
        for (other, name), row in self.walk((owner, b"")):
            if other != owner:
                break
            totals.append((name, row))
        return totals

    def walk(self, start: Key = (b"", b"")) -> Iterator[tuple[Key, Chunk]]:
        """Yield all series whose keys are not below `start`, in order.

        Raises:
            Corrupt: The segment is damaged.
        """
        if self._root.length:
            yield from self._walk(self._root, start)

    def _walk(self, child: Child, start: Key) -> Iterator[tuple[Key, Chunk]]:
        node = self._nodes.get(child.place)
        if node is None:
            payload = layout.read_frame(self._segment.fd, self._segment.header.salt, *child)
            if payload.startswith(b"L"):
                yield from _entries_from(payload, start)
                return
            node = _read_node(payload)
            if len(self._nodes) < _KEPT_NODES:
                self._nodes[child.place] = node
        for below in node.children[max(0, bisect_right(node.keys, start) - 1) :]:
            yield from self._walk(below, start)


class _Node(NamedTuple):
    keys: Sequence[Key]
    children: Sequence[Child]


def _read_node(payload: bytes) -> _Node:
    keys: list[Key] = []
    children: list[Child] = []
    at = 1
    while at < len(payload):
        key, at = _key(payload, at)
        keys.append(key)
        children.append(Child(*_CHILD.unpack_from(payload, at)))
        at += _CHILD.size
    return _Node(keys, children)


def _entries_from(payload: bytes, start: Key) -> Iterator[tuple[Key, Chunk]]:
    at = 1
    while at < len(payload):
        key, at = _key(payload, at)
        if key >= start:
            yield key, Chunk._make(ROW.unpack_from(payload, at))
        at += ROW.size


def _key(payload: bytes, at: int) -> tuple[Key, int]:
    owner, name = KEY.unpack_from(payload, at)
    middle = at + KEY.size + owner
    end = middle + name
    return (payload[at + KEY.size : middle], payload[middle:end]), end
