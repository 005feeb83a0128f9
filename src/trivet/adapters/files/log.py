"""The log in a folder: one sub-folder per stream, one segment per process that writes to it.

Callers of `append` share syncs. A thread of its own writes what was handed over without waiting
(`append_soon`, `buffer`).
"""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from trivet.adapters.files import layout, segments
from trivet.adapters.files.groups import INTERRUPTED, Done, Group
from trivet.adapters.files.lifetimes import look_after
from trivet.adapters.files.positions import Position
from trivet.adapters.files.segments import SUFFIX, SegmentWriter
from trivet.core import disk
from trivet.core.errors import Invalid, TrivetError
from trivet.core.ids import check_name
from trivet.core.ports import Damage

_FLUSH_S = 0.05  # short, since writing a batch holds the lock of the interpreter
_SEPARATOR = "+"  # stands for the slash in a folder's name; no stream's name contains it
_MAX_STREAM = 200

Work = tuple[str, Sequence[bytes]]
"""A stream's name and records for it."""


class FileLog:
    """Streams of records under `folder`; any number of processes and threads may share it.

    Args:
        folder: Made when missing, readable by its owner alone.
        buffer_bytes: How much `buffer` may hold that is not yet written.
        rotate_bytes: A segment that grew beyond is sealed and another one begun.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        buffer_bytes: int = 16 << 20,
        rotate_bytes: int = segments.ROTATE_BYTES,
    ) -> None:
        self._folder = Path(folder)
        self._buffer_bytes = buffer_bytes
        self._rotate_bytes = rotate_bytes
        disk.make_folder(self._folder)
        self._begin()
        look_after(self)

    def _begin(self) -> None:
        """Start from nothing: in a new object, and in a child after a fork."""
        self._group: Group[Work] = Group(self._write)
        self._writers: dict[str, SegmentWriter] = {}
        self._folders: dict[str, Path] = {}
        self._lock = threading.Lock()  # over the four below
        self._ring: list[Work] = []
        self._ring_bytes = 0
        self._dropped: dict[str, int] = {}
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._urgent = threading.Event()

    def append(self, stream: str, records: Sequence[bytes]) -> None:
        self._group.wait(self._group.put(self._checked(stream, records)))

    def append_soon(self, stream: str, records: Sequence[bytes], done: Done) -> None:
        """Append without waiting, for a caller that may not block, such as an event loop.

        Args:
            stream: The stream's name.
            records: Any number of records.
            done: Called once with None when the records are durable, else with the error. It is
                called on the thread that synced: the log's own, or one that is inside `append`,
                `flush` or `close`; never inside this call. It must neither block nor raise; an
                event loop's `call_soon_threadsafe` is what it should use.

        Raises:
            Invalid: The stream's name or a record is malformed.
            Unavailable: The log is closed, or a sync failed before.
        """
        self._group.put(self._checked(stream, records), done)
        self._rouse(urgent=True)

    def buffer(self, stream: str, records: Sequence[bytes]) -> bool:
        if stream not in self._folders:
            self._folder_of(stream)
        size_bytes = 0
        for record in records:
            if type(record) is not bytes:
                raise _bad_record(record)
            size_bytes += len(record) + layout.FRAME_BYTES
        with self._lock:
            held = self._ring_bytes + size_bytes
            if held > self._buffer_bytes or not self._group.is_open:
                self._dropped[stream] = self._dropped.get(stream, 0) + len(records)
                return False
            self._ring.append((stream, tuple(records)))
            self._ring_bytes = held
        is_urgent = held * 2 > self._buffer_bytes
        if is_urgent or not self._wake.is_set():
            self._rouse(urgent=is_urgent)
        return True

    def read(
        self, stream: str, *, after: str | None = None, first_ms: int | None = None
    ) -> Iterator[tuple[str, bytes]]:
        folder = self._folder_of(stream)
        position = Position(after)
        for number in _numbers(folder):
            if not position.is_done(number):
                place = folder / f"{number:010d}{SUFFIX}"
                yield from _read_segment(place, number, position, first_ms)

    def flush(self) -> None:
        self._group.wait(self._group.put(("", ())))

    def dropped(self, stream: str) -> int:
        return self._dropped.get(stream, 0)

    def verify(self) -> Iterator[Damage]:
        for folder in sorted(self._folder.iterdir()):
            stream = folder.name.replace(_SEPARATOR, "/")
            numbers = _numbers(folder)
            # Numbers are given out without gaps, from 1: one that is not there was taken away.
            for gone in sorted(set(range(1, max(numbers, default=0))) - set(numbers)):
                yield Damage(
                    store="log",
                    name=f"{stream}/{gone:010d}{SUFFIX}",
                    problem="missing",
                    hint="Restore the segment from a backup.",
                )
            for number in numbers:
                name = f"{stream}/{number:010d}{SUFFIX}"
                for problem in segments.problems(folder / f"{number:010d}{SUFFIX}"):
                    yield Damage(
                        store="log",
                        name=name,
                        problem=problem,
                        hint="Restore the segment from a backup.",
                    )

    def close(self) -> None:
        """Write what is buffered, seal this process's segments and stop. Safe to call twice."""
        self._group.close("the log")
        if self._thread and self._thread is not threading.current_thread():
            self._rouse(urgent=True)
            self._thread.join()
        with self._group.write_lock:
            self._group.drain()
            while self._writers:
                _, writer = self._writers.popitem()
                if writer.is_usable:
                    writer.seal()

    def after_fork(self) -> None:
        """Forget, in a child process, what its parent will write."""
        for writer in self._writers.values():
            writer.leave()
        self._begin()

    def _folder_of(self, stream: str) -> Path:
        folder = self._folders.get(stream)
        if folder is None:
            for part in stream.split("/"):
                check_name(part, "stream")
            if len(stream) > _MAX_STREAM:
                raise Invalid(
                    f"stream has {len(stream)} characters; expected at most {_MAX_STREAM}",
                    code="bad-name",
                    hint="Choose a shorter name.",
                )
            folder = self._folder / stream.replace("/", _SEPARATOR)
            self._folders[stream] = folder
        return folder

    def _checked(self, stream: str, records: Sequence[bytes]) -> Work:
        self._folder_of(stream)
        for record in records:
            if type(record) is not bytes or len(record) > layout.MAX_PAYLOAD_BYTES:
                raise _bad_record(record)
        return stream, tuple(records)

    def _rouse(self, *, urgent: bool) -> None:
        if self._thread is None or not self._thread.is_alive():
            with self._lock:
                if self._thread is None or not self._thread.is_alive():
                    self._thread = threading.Thread(
                        target=self._work, name="trivet-log", daemon=True
                    )
                    self._thread.start()
        if urgent:
            self._urgent.set()
        self._wake.set()

    def _work(self) -> None:
        while self._group.is_open:
            self._wake.wait()
            self._urgent.wait(_FLUSH_S)  # what is only buffered may wait for company
            self._wake.clear()
            self._urgent.clear()
            with self._group.write_lock:
                self._group.drain()

    def _write(self, work: list[Work]) -> list[TrivetError | None]:
        """Write and sync what is in line and what is buffered; return an error or None for each.

        An empty stream's name asks for everything that is buffered, and gets any error.
        """
        with self._lock:
            ring, self._ring = self._ring, []
            ring_bytes = self._ring_bytes
        waiting: dict[str, list[bytes]] = {}
        for stream, records in (*ring, *work):
            waiting.setdefault(stream, []).extend(records)
        errors: dict[str, TrivetError | None] = dict.fromkeys(waiting, INTERRUPTED)
        try:
            for stream, records in waiting.items():
                errors[stream] = self._write_stream(stream, records)
        finally:
            lost = [(stream, len(records)) for stream, records in ring if errors[stream]]
            with self._lock:
                # Released only now, so that waiting and half-written bytes share one bound.
                self._ring_bytes -= ring_bytes
                for stream, count in lost:
                    self._dropped[stream] = self._dropped.get(stream, 0) + count
        errors[""] = next((error for error in errors.values() if error), None)
        return [errors[stream] for stream, _ in work]

    def _write_stream(self, stream: str, records: list[bytes]) -> TrivetError | None:
        if not records or self._group.failure:
            return self._group.failure
        try:
            with disk.translated("appending to the log"):
                writer = self._writer(stream)
                writer.add(records)
                writer.sync()
                if writer.length > self._rotate_bytes:
                    del self._writers[stream]
                    writer.seal()
        except TrivetError as error:
            return error
        return None

    def _writer(self, stream: str) -> SegmentWriter:
        writer = self._writers.get(stream)
        if writer is None or not writer.is_usable:
            folder = self._folder_of(stream)
            disk.make_folder(folder)
            segments.seal_dead(folder)
            writer = self._writers[stream] = segments.begin(folder, stream, segments.numbered)
        return writer


def _read_segment(
    place: Path, number: int, position: Position, first_ms: int | None
) -> Iterator[tuple[str, bytes]]:
    """Yield what a position has not seen of a segment, and move the position."""
    with segments.opened(place) as segment:
        extent = segment.extent()
        is_old = extent.seal and first_ms is not None and extent.seal.last_ms < first_ms
        reached = position.offset(number) or layout.BODY
        if not is_old:
            before = position.prefix(number)
            for _, end, record in segment.frames(reached, extent):
                yield f"{before}{end}", record
                reached = end
        if extent.seal:
            position.finish(number)
        elif reached > layout.BODY:
            position.advance(number, reached)


def _numbers(folder: Path) -> list[int]:
    """Return the numbers of a stream's segments, rising.

    A listing may show a later segment and miss one that was made while it ran; those are asked
    for by name, so that no reader passes by records that were there before others it has seen.
    """
    found = {int(name) for name in segments.names(folder) if name.isdecimal()}
    if found:
        gaps = set(range(min(found), max(found))) - found
        found |= {number for number in gaps if (folder / f"{number:010d}{SUFFIX}").exists()}
    return sorted(found)


def _bad_record(record: object) -> Invalid:
    return Invalid(
        f"a record is a {type(record).__name__}; expected bytes, at most "
        f"{layout.MAX_PAYLOAD_BYTES} of them",
        code="bad-record",
        hint="Encode the record, for example with msgspec.json.encode.",
    )
