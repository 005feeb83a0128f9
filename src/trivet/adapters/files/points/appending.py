"""Appending: this process's segment, its syncs, and what may wait for a sync.

Threads share syncs. Appends that nobody waits for are synced by a thread of its own, soon, and
without holding up those who append meanwhile.
"""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from trivet.adapters.files import segments
from trivet.adapters.files.groups import Group
from trivet.adapters.files.points.chunks import Encoded
from trivet.adapters.files.points.sources import Source
from trivet.adapters.files.segments import SegmentWriter, Syncing
from trivet.core import disk
from trivet.core.errors import TrivetError

SYNC_AFTER_S: Final = 0.1
"""How long appends that nobody waits for may stay unsynced: half of what the port promises."""


class _Work(NamedTuple):
    encoded: Encoded
    synced: bool


class _Own(NamedTuple):
    """The segment that this process writes."""

    writer: SegmentWriter
    source: Source


class Appender:
    """Writes the points of one process. Safe between threads.

    Args:
        folder: Where the segment goes.
        rotate_bytes: A segment that grew beyond is sealed and another one begun.
        on_source: Told the segment that is written from now on; None once it is sealed or lost.
    """

    def __init__(
        self, folder: Path, rotate_bytes: int, on_source: Callable[[Source | None], None]
    ) -> None:
        self._folder = folder
        self._rotate_bytes = rotate_bytes
        self._on_source = on_source
        self.group: Group[_Work] = Group(self._write)
        self._own: _Own | None = None
        self._unsynced = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._syncing: Syncing | None = None

    def append(self, encoded: Encoded, *, synced: bool) -> None:
        """Append a frame; return when it is durable, or written if it need not be synced."""
        self.group.wait(self.group.put(_Work(encoded, synced)))

    def seal(self) -> None:
        """Seal the segment, so that it can be merged."""
        with self.group.write_lock:
            self._seal()

    def close(self) -> None:
        """Seal the segment and stop. Safe to call twice."""
        self.group.close("the store of series")
        with self.group.write_lock:
            self.group.drain()
            self._seal()
        self._closing.set()
        self._unsynced.set()

    def forget(self) -> None:
        """Let go, in a child process, of what its parent writes."""
        if self._own:
            self._own.writer.leave()
        if self._syncing:
            os.close(self._syncing.fd)

    def _write(self, work: list[_Work]) -> list[TrivetError | None]:
        error = self.group.failure
        if work and not error:
            try:
                with disk.translated("appending points"):
                    self._write_all(work)
            except TrivetError as caught:
                error = caught
        return [error] * len(work)

    def _write_all(self, work: list[_Work]) -> None:
        writer, source = self._begun()
        places = writer.add([one.encoded.payload for one in work])
        if any(one.synced for one in work):
            writer.sync()
        elif not self._unsynced.is_set():
            self._sync_soon()
        for one, place in zip(work, places, strict=True):
            source.add(*one.encoded, place)
        if writer.length > self._rotate_bytes:
            self._seal()

    def _begun(self) -> _Own:
        """Return the segment, a new one if there is none that may be used."""
        if self._own is None or not self._own.writer.is_usable:
            self._own = None
            self._on_source(None)
            writer = segments.begin(self._folder, "series", segments.unique)
            self._own = _Own(writer, Source(writer.place, is_own=True))
            self._on_source(self._own.source)
        return self._own

    def _seal(self) -> None:
        """Seal the segment. The caller holds the write lock."""
        own, self._own = self._own, None
        try:
            if own and own.writer.is_usable:
                own.writer.seal(own.source.write_index(own.writer))
        finally:
            if own:
                own.writer.leave()
                self._on_source(None)

    def _sync_soon(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="trivet-series", daemon=True)
            self._thread.start()
        self._unsynced.set()

    def _work(self) -> None:
        while True:
            self._unsynced.wait()
            if self._closing.wait(SYNC_AFTER_S):
                return
            self._unsynced.clear()
            try:
                self._sync()
            except TrivetError as error:
                self.group.fail(error)

    def _sync(self) -> None:
        """Sync what was written, while others go on writing."""
        with self.group.write_lock:
            own = self._own
            syncing = own.writer.begin_sync() if own and own.writer.is_usable else None
            self._syncing = syncing
        if own is None or syncing is None:
            return
        try:
            disk.sync_data(syncing.fd)
        except TrivetError:
            own.writer.is_usable = False
            raise
        finally:
            self._syncing = None
            os.close(syncing.fd)
        with self.group.write_lock:
            own.writer.end_sync(syncing)
