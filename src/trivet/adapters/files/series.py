"""Series in a folder: one segment per process that appends, merged by series now and then.

A point is durable when `append` returns; threads share syncs. Readers keep an index of each
segment: sealed segments carry theirs, the others are followed as they grow.
"""

import copy
import os
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from trivet.adapters.files import chunks, layout, merging, segments
from trivet.adapters.files.chunks import Columns, Encoded, Index, Row
from trivet.adapters.files.groups import Group
from trivet.adapters.files.lifetimes import look_after
from trivet.adapters.files.segments import Segment, SegmentWriter
from trivet.core import disk
from trivet.core.errors import Invalid, TrivetError, Unavailable
from trivet.core.ports import Damage, Points, SeriesKey

_RUN_BYTES = 8 << 20
_GAP_BYTES = 4096
_PATIENCE = 50
_HOLD_S = 60.0


class _Own(NamedTuple):
    """The segment that this process writes."""

    writer: SegmentWriter
    chunks: Index


class _Known:
    """What this process knows of a segment: its chunks as far as they were read."""

    def __init__(self) -> None:
        self.chunks = Index()
        self.reached = layout.BODY
        self.is_sealed = False


class FileSeries:
    """Series under `folder`; any number of processes and threads may share it.

    Args:
        folder: Made when missing, readable by its owner alone.
        rotate_bytes: A segment that grew beyond is sealed and another one begun.
    """

    def __init__(self, folder: str | Path, *, rotate_bytes: int = segments.ROTATE_BYTES) -> None:
        self._folder = Path(folder)
        self._rotate_bytes = rotate_bytes
        disk.make_folder(self._folder)
        self._begin()
        look_after(self)

    def _begin(self) -> None:
        """Start from nothing: in a new object, and in a child after a fork."""
        self._group: Group[Encoded] = Group(self._write)
        self._lock = threading.Lock()  # over what is known of segments
        self._known: dict[Path, _Known] = {}
        self._own: _Own | None = None

    def append(self, chunks: Sequence[tuple[SeriesKey, Points]]) -> None:
        encoded = _encode(chunks)
        if encoded.rows:
            self._group.wait(self._group.put(encoded))

    def read(self, key: SeriesKey, *, first: int | None = None, last: int | None = None) -> Points:
        for _ in range(_PATIENCE):
            try:
                return self._read(key, self._sources(), first, last)
            except FileNotFoundError:
                continue  # merged meanwhile; the manifest says into what
        raise _restless()

    def keys(self, owner: str) -> tuple[SeriesKey, ...]:
        for _ in range(_PATIENCE):
            try:
                found = {
                    key
                    for place in self._sources()
                    for key in self._index(place).series()
                    if key.owner == owner
                }
            except FileNotFoundError:
                continue
            return tuple(sorted(found))
        raise _restless()

    def compact(self) -> None:
        if self._group.failure:
            raise copy.copy(self._group.failure)
        try:
            with disk.translated("merging series"), self._merge_lock() as is_free:
                if is_free:  # otherwise another process is at it
                    self._merge()
        except Unavailable as error:
            if error.code == "sync-failed":
                self._group.fail(error)
            raise

    @contextmanager
    def hold_merges(self) -> Generator[None]:
        """Keep all processes from merging, so that the folder can be copied file by file.

        Raises:
            Unavailable: A merge was under way for a minute.
        """
        give_up = time.monotonic() + _HOLD_S
        while True:
            with self._merge_lock() as is_free:
                if is_free:
                    yield
                    return
            if time.monotonic() > give_up:
                raise _restless()
            time.sleep(0.01)

    @contextmanager
    def _merge_lock(self) -> Generator[bool]:
        with disk.translated("locking series"):
            fd = os.open(self._folder / merging.LOCK, os.O_RDWR | os.O_CREAT, disk.FILE_MODE)
        try:
            yield disk.try_lock(fd)
        finally:
            os.close(fd)

    def verify(self) -> Iterator[Damage]:
        try:
            places = self._sources()
        except TrivetError as error:
            yield _damage(merging.MANIFEST, error.message)
            return
        for place in places:
            name = str(place.relative_to(self._folder))
            for problem in segments.problems(place):
                yield _damage(name, problem)
            if not place.exists() and place in self._sources():
                yield _damage(name, "it is missing")

    def close(self) -> None:
        """Seal this process's segment and stop. Safe to call twice."""
        self._group.close("the store of series")
        with self._group.write_lock:
            self._group.drain()
            self._seal()

    def after_fork(self) -> None:
        """Forget, in a child process, what its parent will write."""
        if self._own:
            self._own.writer.leave()
        self._begin()

    def _write(self, work: list[Encoded]) -> list[TrivetError | None]:
        error = self._group.failure
        if work and not error:
            try:
                with disk.translated("appending points"):
                    self._write_all(work)
            except TrivetError as caught:
                error = caught
        return [error] * len(work)

    def _write_all(self, work: list[Encoded]) -> None:
        if self._own is None or not self._own.writer.is_usable:
            self._own = _Own(SegmentWriter(self._folder, "series", segments.unique), Index())
        writer, index = self._own
        places = writer.add([encoded.payload for encoded in work])
        writer.sync()
        for encoded, place in zip(work, places, strict=True):
            index.add(encoded.rows, place)
        if writer.length > self._rotate_bytes:
            self._seal()

    def _seal(self) -> None:
        """Seal this process's segment. The caller holds the write lock."""
        if self._own and self._own.writer.is_usable:
            self._own.writer.seal(self._own.chunks.pack())
        self._own = None

    def _merge(self) -> None:
        with self._group.write_lock:
            self._seal()
        segments.seal_dead(self._folder, _index_of)
        merging.merge(
            self._folder,
            lambda place: self._index(place).series(),
            lambda key, places: self._read(key, places, None, None),
        )

    def _sources(self) -> list[Path]:
        """Return the segments to read, as they stood at one moment."""
        manifest = merging.read_manifest(self._folder)
        for _ in range(_PATIENCE):
            places = merging.sources(self._folder, manifest)
            before, manifest = manifest, merging.read_manifest(self._folder)
            if manifest == before:  # else the listing may have missed what was removed meanwhile
                self._forget_all_but(places)
                return places
        raise _restless()

    def _forget_all_but(self, places: list[Path]) -> None:
        with self._lock:
            for place in self._known.keys() - set(places):
                del self._known[place]

    def _index(self, place: Path) -> Index:
        """Return what is known of a segment, after looking for news.

        Raises:
            FileNotFoundError: It has been merged meanwhile.
        """
        own = self._own
        if own and own.writer.place == place:
            return own.chunks
        with self._lock:
            known = self._known.get(place) or _Known()
            if not known.is_sealed:
                _follow(place, known)
                self._known[place] = known
            return known.chunks

    def _read(
        self, key: SeriesKey, places: list[Path], first: int | None, last: int | None
    ) -> Points:
        parts: list[Columns] = []
        for place in places:
            rows = self._index(place).rows(key)
            if first is not None:
                rows = rows[rows["last"] >= first]
            if last is not None:
                rows = rows[rows["first"] <= last]
            if len(rows):
                with segments.opened(place) as segment:
                    parts += _columns(segment.fd, rows.tolist())
        return chunks.merge(parts, first, last)


def _encode(points: Sequence[tuple[SeriesKey, Points]]) -> Encoded:
    encoded = chunks.encode(points)
    if len(encoded.payload) > layout.MAX_PAYLOAD_BYTES:
        raise Invalid(
            f"one append has {len(encoded.payload)} bytes; "
            f"expected at most {layout.MAX_PAYLOAD_BYTES}",
            code="too-large",
            hint="Append fewer points at once.",
        )
    return encoded


def _follow(place: Path, known: _Known) -> None:
    """Bring what is known of a segment up to the present."""
    with segments.opened(place) as segment:
        extent = segment.extent()
        if extent.seal:
            known.chunks, known.is_sealed = Index.unpack(extent.seal.index), True
            return
        for at, end, payload in segment.frames(known.reached, extent):
            known.chunks.add(chunks.decode(payload), at + layout.FRAME_BYTES)
            known.reached = end


def _index_of(segment: Segment, end: int) -> bytes:
    index = Index()
    for at, _, payload in layout.frames(segment.fd, segment.header.salt, layout.BODY, end):
        index.add(chunks.decode(payload), at + layout.FRAME_BYTES)
    return index.pack()


def _columns(fd: int, rows: list[Row]) -> Iterator[Columns]:
    """Read the columns of chunks, several neighbours at once."""
    for run in _runs(rows):
        start, end = run[0][0], _end(run[-1])
        content = os.pread(fd, end - start, start)
        for row in run:
            part = content[row[0] - start : _end(row) - start]
            yield chunks.columns_of(part, count=row[3], check=row[4])


def _runs(rows: list[Row]) -> Iterator[list[Row]]:
    run: list[Row] = []
    for row in rows:
        if run and (row[0] - _end(run[-1]) > _GAP_BYTES or _end(row) - run[0][0] > _RUN_BYTES):
            yield run
            run = []
        run.append(row)
    if run:
        yield run


def _end(row: Row) -> int:
    return row[0] + row[3] * chunks.POINT_BYTES


def _restless() -> Unavailable:
    return Unavailable(
        "the segments of the series change faster than they can be read",
        code="restless",
        hint="Try again; compact less often.",
    )


def _damage(name: str, problem: str) -> Damage:
    return Damage(
        store="series", name=name, problem=problem, hint="Restore the file from a backup."
    )
