"""One segment as its readers know it: sealed, with its index on disk, or still followed."""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

from trivet.adapters.files import layout, segments
from trivet.adapters.files.points import chunks
from trivet.adapters.files.points.chunks import Piece
from trivet.adapters.files.points.figures import Chunk
from trivet.adapters.files.points.living import Found, Living
from trivet.adapters.files.points.manifest import MERGED
from trivet.adapters.files.points.tree import Key, Tree, write_index
from trivet.adapters.files.segments import Segment, SegmentWriter
from trivet.core.errors import Corrupt, Unsupported


class Source:
    """A segment, open for reading. Safe between threads.

    Args:
        place: The segment's file.
        is_own: Whether this process writes it and tells what it writes (`add`).

    Raises:
        FileNotFoundError: It has been merged meanwhile.
        Unsupported: It was written before the format that can be read here.
    """

    def __init__(self, place: Path, *, is_own: bool = False) -> None:
        self.place = place
        with segments.named(place):
            self.segment = Segment(place)
            if self.segment.header.format < layout.FORMAT:
                raise Unsupported(
                    f"it has format {self.segment.header.format}; expected {layout.FORMAT}",
                    code="older-format",
                    hint="Open the workspace that it comes from once, which converts it, and "
                    "copy it again.",
                )
        self.is_own = is_own
        self._lock = threading.Lock()
        # One name for both, so that a thread that asks while another finds the seal sees either.
        self._index: Living | Tree = Living()
        self._reached = layout.BODY

    @property
    def name(self) -> str:
        """The segment's name, without its suffix."""
        return self.place.name.removesuffix(segments.SUFFIX)

    @property
    def is_merged(self) -> bool:
        """Whether a merge wrote it: its chunks are in order and hold no point twice."""
        return self.place.parent.name == MERGED

    @property
    def tree(self) -> Tree | None:
        """The index of a sealed segment; None while it may grow."""
        return self._index if isinstance(self._index, Tree) else None

    def settle(self) -> Tree | None:
        """Return the index if the segment is sealed; nothing is followed."""
        with self._lock, segments.named(self.place):
            if not isinstance(self._index, Tree):
                seal = self.segment.extent(dead=False).seal
                if seal:
                    self._index = Tree(self.segment, seal.index)
        return self.tree

    def add(self, payload: bytes, pieces: Sequence[Piece], base: int) -> None:
        """Note what this process has written."""
        if isinstance(self._index, Living):
            self._index.add(payload, pieces, base)

    def write_index(self, writer: SegmentWriter) -> bytes:
        """Write the index of a segment that is to be sealed; nothing is added any more."""
        return write_index(writer, cast("Living", self._index))

    def refresh(self) -> None:
        """Look for what was written meanwhile."""
        if self.is_own or self.tree:
            return
        with self._lock, segments.named(self.place):
            if isinstance(self._index, Tree) or not self.segment.has_news(self._reached):
                return
            extent = self.segment.extent()
            if extent.seal:
                self._index = Tree(self.segment, extent.seal.index)
                return
            if self.is_merged:  # and holds nothing that could be followed
                raise Corrupt("it has no seal", code="corrupt-segment")
            for at, end, payload in self.segment.frames(self._reached, extent):
                self._index.add(payload, chunks.decode(payload), at + layout.FRAME_BYTES)
                self._reached = end

    def found(self, key: Key) -> Found:
        """Return what there is of a series: packed rows of chunks, and points as records."""
        self.refresh()
        with segments.named(self.place):
            return self._index.found(key)

    def totals(self, owner: bytes) -> list[tuple[bytes, Chunk]]:
        """Return the name and the figures of each series of an owner."""
        self.refresh()
        with segments.named(self.place):
            return self._index.totals(owner)

    def series(self, start: Key) -> Iterator[tuple[Key, Chunk]]:
        """Yield the series of a sealed segment from a key on, in order, with their figures."""
        self.refresh()
        with segments.named(self.place):
            if self.tree:
                yield from self.tree.walk(start)

    def appended(self, reached: int) -> Iterator[tuple[int, list[Chunk], list[Piece]]]:
        """Yield, of each durable append behind a byte: its end, figures and chunks."""
        with segments.named(self.place):
            self.refresh()
            tree = self.tree
            if reached >= tree.points_end if tree else not self.segment.has_news(reached):
                return
            for _, end, payload in self.segment.frames(reached, self.segment.extent()):
                pieces = chunks.decode(payload)
                yield end, [chunks.measured(piece, payload) for piece in pieces], pieces


def index_dead(writer: SegmentWriter, segment: Segment) -> bytes:
    """Write the index of a segment whose writer has died; return what its seal must hold."""
    living = Living()
    for at, _, payload in segment.frames(layout.BODY, segment.extent(dead=True)):
        living.add(payload, chunks.decode(payload), at + layout.FRAME_BYTES)
    return write_index(writer, living)
