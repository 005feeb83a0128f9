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


class Begun(NamedTuple):
    """A segment that may be written, as it stands."""

    fd: int
    """Open for writing at the end of the frames, and locked; its writer closes it."""
    place: Path
    salt: int
    first_ms: int
    durable: layout.Anchor
    length: int
    frames: int
    hash: blake3.blake3
    """Has seen all frames."""


def begin(folder: Path, stream: str, name_of: Callable[[Path], str]) -> "SegmentWriter":
    """Begin a new segment of this process.

    Args:
        folder: Where segments of the same stream lie; must exist.
        stream: At most 400 bytes of UTF-8 for the header.
        name_of: Chooses the name; called again when another process was quicker.
    """
    header = layout.pack_header(stream)
    anchor = layout.Anchor(layout.BODY, 0)
    staged = folder / f"{_STAGED}{new_id()}"
    with disk.translated("beginning a segment"):
        fd = os.open(staged, os.O_RDWR | os.O_CREAT | os.O_EXCL, disk.FILE_MODE)
        try:
            disk.try_lock(fd)
            disk.write_all(fd, [header])
            disk.sync_data(fd)
            place = _publish(staged, folder, name_of)
            disk.sync_folder(folder)
        except BaseException:
            os.close(fd)
            raise
        finally:
            disk.remove_staged(staged)
    salt, now = layout.salt_of(header), layout.now_ms()
    return SegmentWriter(Begun(fd, place, salt, now, anchor, anchor.length, 0, blake3.blake3()))


def resume(fd: int, segment: "Segment") -> "SegmentWriter":
    """Go on with the segment of a dead writer behind its last whole frame.

    Args:
        fd: The file, open for writing and locked; once this has returned, the writer closes it.
        segment: The same file, open for reading.
    """
    extent = segment.extent(dead=True)
    ends = [end for _, end, _ in segment.frames(layout.BODY, extent)]
    length = ends[-1] if ends else layout.BODY
    state = blake3.blake3()
    for block in _blocks(fd, length):
        state.update(block)
    os.ftruncate(fd, length)
    os.lseek(fd, length, os.SEEK_SET)
    salt, first_ms = segment.header.salt, segment.header.created_ms
    return SegmentWriter(
        Begun(fd, segment.place, salt, first_ms, extent.anchor, length, len(ends), state)
    )


class SegmentWriter:
    """Writes a segment, from `begin` or `resume`. Not safe between threads."""

    def __init__(self, begun: Begun) -> None:
        self.is_usable = True
        """Whether more may be added: false after a sync failed."""
        self.place = begun.place
        self._fd = begun.fd
        self._salt = begun.salt
        self._first_ms = begun.first_ms
        self._durable = begun.durable
        self._length = begun.length
        self._count = begun.frames
        self._hash = begun.hash

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

    def begin_sync(self) -> "Syncing | None":
        """Note what a sync that begins now will make durable; None when all of it is.

        Whoever adds may go on during the sync.
        """
        if self._durable.length == self._length:
            return None
        return Syncing(os.dup(self._fd), layout.Anchor(self._length, self._count))

    def end_sync(self, syncing: "Syncing") -> None:
        """Let other processes see what a sync, which has succeeded, made durable."""
        if self._fd >= 0 and syncing.reached.length > self._durable.length:
            self._durable = syncing.reached
            with disk.translated("writing an anchor"):
                layout.write_anchor(self._fd, self._durable)

    def seal(self, index: bytes = b"", *, last_ms: int | None = None) -> None:
        """Close the segment for good: durable, with a digest over all frames.

        Args:
            index: The owner's, for `Segment.extent` to return.
            last_ms: When the segment was written last, if that is not now.
        """
        if self._durable.length < self._length:
            self.sync()
        seal = layout.Seal(
            self._length,
            self._count,
            self._first_ms,
            layout.now_ms() if last_ms is None else last_ms,
            self._hash.digest(),
            index,
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


class Syncing(NamedTuple):
    """A sync that is to be done: of which file (the caller closes it), and how far it reaches."""

    fd: int
    reached: layout.Anchor


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
        self.place = place
        self.fd = -1
        self.fd = os.open(place, os.O_RDONLY)
        try:
            self.header = layout.read_header(self.fd)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file. Safe to call twice."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

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
            dead = not disk.is_locked(self.fd)
        # Read after the question, so that the anchor of a dead segment is its last one.
        anchor = layout.read_anchor(self.fd)
        if seal:
            return Extent(seal.body_end, seal.body_end, seal, anchor)
        return Extent(anchor.length, self.size_bytes if dead else anchor.length, None, anchor)

    def has_news(self, reached: int) -> bool:
        """Say, without asking for much, whether anything may lie behind a byte."""
        anchor = layout.read_anchor(self.fd)
        return not reached == anchor.length == self.size_bytes

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
    with named(place), Segment(place) as segment:
        yield segment


@contextmanager
def named(place: Path) -> Generator[None]:
    """Let complaints about a segment carry its name."""
    try:
        yield
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


WriteIndex = Callable[[SegmentWriter, "Segment"], bytes]


def seal_dead(folder: Path, write_index: WriteIndex | None = None) -> None:
    """Seal the segments in a folder whose writers have died; cut their torn tails off.

    A damaged one is left as it is, for `trivet fsck` to name.

    Args:
        folder: Where the segments lie.
        write_index: Adds the index of a segment to it and returns what its seal must hold.
    """
    for name in names(folder):
        with suppress(FileNotFoundError, Corrupt):
            _seal_if_dead(folder / (name + SUFFIX), write_index)
    _remove_stale(folder)


def _seal_if_dead(place: Path, write_index: WriteIndex | None) -> None:
    with Segment(place) as segment:
        if segment.extent(dead=True).seal:
            return
        fd, writer = os.open(place, os.O_RDWR), None
        try:
            if not disk.try_lock(fd) or any(segment.problems(dead=True)):
                return
            if segment.extent(dead=True).seal:
                return  # somebody else was quicker
            last_ms = os.fstat(fd).st_mtime_ns // 1_000_000
            with disk.translated("sealing a segment"):
                writer = resume(fd, segment)
                index = write_index(writer, segment) if write_index else b""
                writer.seal(index, last_ms=last_ms)
        finally:
            if writer:
                writer.leave()
            else:
                os.close(fd)


def _blocks(fd: int, end: int) -> Iterator[bytes]:
    """Read a segment's frames, a block at a time."""
    place = layout.BODY
    while block := os.pread(fd, min(disk.CHUNK_BYTES, end - place), place):
        yield block
        place += len(block)


def _digest(fd: int, end: int) -> bytes:
    """Hash a segment's frames."""
    state = blake3.blake3()
    for block in _blocks(fd, end):
        state.update(block)
    return state.digest()


def _remove_stale(folder: Path) -> None:
    oldest = time.time() - _STALE_S
    for staged in folder.glob(f"{_STAGED}*"):
        try:
            if staged.stat().st_mtime < oldest:
                staged.unlink()
        except OSError:
            continue  # its owner was quicker
