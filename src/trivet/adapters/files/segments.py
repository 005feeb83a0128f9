"""Segments: append-only files, each written by one process and sealed when it is done.

A segment becomes visible with its header durable and its writer's lock held, so every other
process can tell a living segment from one whose writer has died. `layout` says how the bytes lie.
"""

import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Self

import blake3

from trivet.adapters.files import layout
from trivet.core import disk
from trivet.core.errors import Corrupt, TrivetError
from trivet.core.ids import new_id

SUFFIX = ".seg"
ROTATE_BYTES = 64 << 20
_STAGED = ".new-"
_STALE_S = 3600


def numbered(folder: Path) -> str:
    """Name the next segment by its number: numbers rise in the order of creation."""
    numbers = [int(name) for name in names(folder) if name.isdecimal()]
    return f"{max(numbers, default=0) + 1:010d}"


def unique(folder: Path) -> str:  # noqa: ARG001  # the other way to name a segment needs it
    """Name a segment by a new identifier, never used before or after."""
    return new_id()


def names(folder: Path) -> list[str]:
    """Return the names of all segments in a folder, sorted, without their suffix."""
    try:
        found = [place.name for place in folder.iterdir()]
    except FileNotFoundError:
        return []
    return sorted(name.removesuffix(SUFFIX) for name in found if name.endswith(SUFFIX))


class SegmentWriter:
    """A new segment of this process. Not safe between threads.

    Args:
        folder: Where segments of the same stream lie; must exist.
        stream: At most 400 bytes of UTF-8 for the header.
        name_of: Chooses the name; called again when another process was quicker.
    """

    def __init__(self, folder: Path, stream: str, name_of: Callable[[Path], str]) -> None:
        self._fd = -1
        self.is_usable = True
        """Whether more may be added: false after a sync failed."""
        header = layout.pack_header(stream)
        self._salt = layout.salt_of(header)
        self._first_ms = layout.now_ms()
        self._hash = blake3.blake3()
        self._count = 0
        self._durable = layout.Anchor(layout.BODY, 0)
        self._length = layout.BODY
        staged = folder / f"{_STAGED}{new_id()}"
        with disk.translated("beginning a segment"):
            self._fd = os.open(staged, os.O_RDWR | os.O_CREAT | os.O_EXCL, disk.FILE_MODE)
            try:
                disk.try_lock(self._fd)
                disk.write_all(self._fd, [header])
                disk.sync_data(self._fd)
                self.place = _publish(staged, folder, name_of)
                disk.sync_folder(folder)
            except BaseException:
                self.leave()
                raise
            finally:
                disk.remove_staged(staged)

    @property
    def name(self) -> str:
        """The segment's name, without its suffix."""
        return self.place.name.removesuffix(SUFFIX)

    @property
    def length(self) -> int:
        """How many bytes the segment has, durable or not."""
        return self._length

    def add(self, payloads: Sequence[bytes]) -> list[int]:
        """Write one frame per payload, not yet durable; return the places of the payloads.

        Raises:
            Unavailable: The disk is full or broken. Nothing of this call stays in the segment.
        """
        parts: list[bytes | memoryview] = []
        places: list[int] = []
        place, durable = self._length, self._durable.length
        for sequence, payload in enumerate(payloads, self._count):
            parts += (layout.pack_frame(payload, sequence, durable, self._salt), payload)
            places.append(place + layout.FRAME_BYTES)
            place += layout.FRAME_BYTES + len(payload)
        content = b"".join(parts)
        try:
            disk.write_all(self._fd, [content])
        except BaseException:
            self._take_back()
            raise
        self._hash.update(content)
        self._length = place
        self._count += len(payloads)
        return places

    def sync(self) -> None:
        """Make everything added so far durable, and let other processes see it.

        Raises:
            Unavailable: The disk did not confirm. The segment must not be used any more.
        """
        self.is_usable = False
        disk.sync_data(self._fd)
        self._durable = layout.Anchor(self._length, self._count)
        with disk.translated("writing an anchor"):
            layout.write_anchor(self._fd, self._durable)
        self.is_usable = True

    def seal(self, index: bytes = b"") -> None:
        """Close the segment for good: durable, with a digest over all frames."""
        if self._durable.length < self._length:
            self.sync()
        seal = layout.Seal(
            self._length, self._count, self._first_ms, layout.now_ms(), self._hash.digest(), index
        )
        try:
            disk.write_all(self._fd, [layout.pack_seal(seal, self._salt)])
            disk.sync_data(self._fd)
        finally:
            self.leave()

    def leave(self) -> None:
        """Let go of the file; without a seal this looks like a death to the others."""
        self.is_usable = False
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        self.leave()

    def _take_back(self) -> None:
        self.is_usable = False
        with disk.translated("taking half a write back"):
            os.ftruncate(self._fd, self._length)
            os.lseek(self._fd, self._length, os.SEEK_SET)
        self.is_usable = True


def _publish(staged: Path, folder: Path, name_of: Callable[[Path], str]) -> Path:
    while True:
        place = folder / (name_of(folder) + SUFFIX)
        try:
            os.link(staged, place)  # unlike a rename, never replaces another's segment
        except FileExistsError:
            continue
        return place


class Extent(NamedTuple):
    """How far a segment can be read: everything up to `sure` is promised, up to `end` possible."""

    sure: int
    end: int
    seal: layout.Seal | None
    anchor: layout.Anchor


class Segment:
    """A segment open for reading.

    Raises:
        Corrupt: Its header is damaged.
        FileNotFoundError: It has been merged into another one meanwhile.
    """

    def __init__(self, place: Path) -> None:
        self.fd = os.open(place, os.O_RDONLY)
        try:
            self.header = layout.read_header(self.fd)
        except BaseException:
            os.close(self.fd)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)

    @property
    def size_bytes(self) -> int:
        """The size of the file."""
        return os.fstat(self.fd).st_size

    def extent(self, *, dead: bool | None = None) -> Extent:
        """Say how far the segment can be read.

        A living segment can be read as far as its writer has made it durable, a dead one as far
        as its frames are whole.

        Args:
            dead: Whether the writer is known to be dead; asked of the file's lock when omitted.

        Raises:
            Corrupt: Its seal or its anchor is damaged.
        """
        seal = layout.read_seal(self.fd, self.header.salt, self.size_bytes)
        if seal is None and dead is None:
            dead = disk.try_lock(self.fd, shared=True)
        # Read after the question, so that the anchor of a dead segment is its last one.
        anchor = layout.read_anchor(self.fd)
        if seal:
            return Extent(seal.body_end, seal.body_end, seal, anchor)
        return Extent(anchor.length, self.size_bytes if dead else anchor.length, None, anchor)

    def frames(self, start: int, extent: Extent) -> Iterator[tuple[int, int, bytes]]:
        """Yield (place of the frame, end of the frame, payload) from `start` on.

        Raises:
            Corrupt: A frame that was promised is damaged.
        """
        reached = start
        for frame in layout.frames(self.fd, self.header.salt, start, extent.end):
            reached = frame[1]
            yield frame
        if reached < extent.sure:
            raise Corrupt(f"the frame at byte {reached} is damaged", code="corrupt-segment")

    def problems(self, *, dead: bool | None = None) -> Iterator[str]:
        """Check every byte; yield what is wrong, in words.

        A torn tail is no problem: bytes behind the anchor that nobody was promised.
        """
        extent = self.extent(dead=dead)
        reached, count = layout.BODY, 0
        counts = {layout.BODY: 0}
        for _, reached, _ in layout.frames(self.fd, self.header.salt, layout.BODY, extent.end):
            count += 1
            if reached == extent.anchor.length:
                counts[reached] = count
        if reached < extent.sure:
            yield f"the frame at byte {reached} is damaged"
        elif counts.get(extent.anchor.length) != extent.anchor.count:
            yield "its anchor does not fit its frames"
        elif extent.seal:
            if (extent.seal.digest, extent.seal.count) != (_digest(self.fd, reached), count):
                yield "its frames do not match its seal"
        elif layout.has_whole_seal_at(self.fd, reached, self.size_bytes):
            yield "the end of its seal is damaged"
        elif layout.intact_frame_after(self.fd, self.header.salt, reached, extent.end):
            yield f"the frame at byte {reached} is damaged"


@contextmanager
def opened(place: Path) -> Generator[Segment]:
    """Open a segment for reading; a complaint about it carries its name."""
    try:
        with Segment(place) as segment:
            yield segment
    except TrivetError as error:
        name = f"{place.parent.name}/{place.name}"
        raise type(error)(
            f"segment {name}: {error.message}",
            code=error.code,
            hint=error.hint or "Run `trivet fsck`, then restore the segment from a backup.",
            detail={"segment": name},
        ) from error
    except FileNotFoundError:
        raise  # it has been merged meanwhile, which is for the caller to know
    except OSError as error:
        with disk.translated(f"reading segment {place.name}"):
            raise error from None


def problems(place: Path) -> Iterator[str]:
    """Check every byte of a segment; yield what is wrong with it, in words."""
    try:
        with Segment(place) as segment:
            yield from segment.problems()
    except FileNotFoundError:
        return  # merged into another one meanwhile
    except TrivetError as error:
        yield error.message
    except OSError as error:
        yield f"it cannot be read: {error.strerror}"


IndexOf = Callable[[Segment, int], bytes]


def seal_dead(folder: Path, index_of: IndexOf | None = None) -> None:
    """Seal the segments in a folder whose writers have died; cut their torn tails off.

    A damaged one is left as it is, for `trivet fsck` to name.

    Args:
        folder: Where the segments lie.
        index_of: Makes the index of an open segment whose frames end at the given byte.
    """
    for name in names(folder):
        with suppress(FileNotFoundError, Corrupt):
            _seal_if_dead(folder / (name + SUFFIX), index_of)
    _remove_stale(folder)


def _seal_if_dead(place: Path, index_of: IndexOf | None) -> None:
    with Segment(place) as segment:
        extent = segment.extent(dead=True)
        if extent.seal:
            return
        fd = os.open(place, os.O_RDWR)
        try:
            if disk.try_lock(fd) and not any(segment.problems(dead=True)):
                _seal(fd, segment, index_of)
        finally:
            os.close(fd)


def _seal(fd: int, segment: Segment, index_of: IndexOf | None) -> None:
    extent = segment.extent(dead=True)
    if extent.seal:
        return  # somebody else was quicker
    ends = [end for _, end, _ in segment.frames(layout.BODY, extent)]
    reached = ends[-1] if ends else layout.BODY
    seal = layout.Seal(
        reached,
        len(ends),
        segment.header.created_ms,
        os.fstat(fd).st_mtime_ns // 1_000_000,
        _digest(fd, reached),
        index_of(segment, reached) if index_of else b"",
    )
    with disk.translated("sealing a segment"):
        os.ftruncate(fd, reached)
        disk.sync_data(fd)  # before the anchor promises the frames
        layout.write_anchor(fd, layout.Anchor(reached, len(ends)))
        os.lseek(fd, reached, os.SEEK_SET)
        disk.write_all(fd, [layout.pack_seal(seal, segment.header.salt)])
        disk.sync_data(fd)


def _digest(fd: int, end: int) -> bytes:
    """Hash a segment's frames."""
    state, place = blake3.blake3(), layout.BODY
    while block := os.pread(fd, min(disk.CHUNK_BYTES, end - place), place):
        state.update(block)
        place += len(block)
    return state.digest()


def _remove_stale(folder: Path) -> None:
    oldest = time.time() - _STALE_S
    for staged in folder.glob(f"{_STAGED}*"):
        try:
            if staged.stat().st_mtime < oldest:
                staged.unlink()
        except OSError:
            continue  # its owner was quicker
