"""Series in a folder: one segment per process that appends, merged by series now and then.

A point is durable when `append` returns; threads share syncs. Sealed segments are asked by their
index on disk; those that are still written are followed as they grow, in memory.
"""

import copy
import os
import threading
import time
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, TypeVar

from trivet.adapters.files import layout, segments
from trivet.adapters.files.lifetimes import look_after
from trivet.adapters.files.points import chunks, feed
from trivet.adapters.files.points.appending import Appender
from trivet.adapters.files.points.chunks import Encoded
from trivet.adapters.files.points.figures import Chunk, fold, summary
from trivet.adapters.files.points.manifest import (
    MANIFEST,
    Manifests,
    place_of_merged,
    place_of_raw,
)
from trivet.adapters.files.points.sources import Source, index_dead
from trivet.core import disk
from trivet.core.errors import Invalid, TrivetError, Unavailable
from trivet.core.ports import Changes, Curve, Damage, Points, SeriesKey, Summary

_LOCK: Final = "merge.lock"
_PATIENCE: Final = 50
_HOLD_S: Final = 60.0
_KEPT_OPEN: Final = 256
_MAX_BUCKETS: Final = 100_000

T = TypeVar("T")


class FileSeries:
    """Series under `folder`; any number of processes and threads may share it.

    Args:
        folder: Made when missing, readable by its owner alone.
        rotate_bytes: A segment that grew beyond is sealed and another one begun.
        keep_s: How long a merge leaves the segments that it replaced to those who follow the
            feed; whoever asks less often may be told of more than was appended.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        rotate_bytes: int = segments.ROTATE_BYTES,
        keep_s: float = 60.0,
    ) -> None:
        self._folder = Path(folder)
        self._rotate_bytes = rotate_bytes
        self._keep_s = keep_s
        disk.make_folder(self._folder)
        self._begin()
        look_after(self)

    def _begin(self) -> None:
        """Start from nothing: in a new object, and in a child after a fork."""
        self._manifests = Manifests(self._folder)
        self._lock = threading.Lock()  # over the two below
        self._known: dict[Path, Source] = {}
        self._own: Source | None = None
        self._appender = Appender(self._folder, self._rotate_bytes, self._set_own)

    def append(self, chunks: Sequence[tuple[SeriesKey, Points]], *, synced: bool = True) -> None:
        encoded = _encode(chunks)
        if encoded.pieces:
            self._appender.append(encoded, synced=synced)

    def read(self, key: SeriesKey, *, first: int | None = None, last: int | None = None) -> Points:
        from trivet.adapters.files.points.reading import read

        owner, name, _ = chunks.names_of(key)
        return self._patiently(lambda: read(self._sources(), (owner, name), first, last))

    def curve(
        self,
        key: SeriesKey,
        *,
        points: int = 1000,
        first: int | None = None,
        last: int | None = None,
        by: Literal["step", "order"] = "step",
    ) -> Curve:
        from trivet.adapters.files.points.curves import Cut
        from trivet.adapters.files.points.reading import curve

        owner, name, _ = chunks.names_of(key)
        cut = Cut(_between(points, "points", _MAX_BUCKETS), first, last, by)
        return self._patiently(lambda: curve(self._sources(), (owner, name), cut))

    def summaries(self, owner: str) -> Mapping[str, Summary]:
        packed = chunks.names_of(SeriesKey(owner, "-"))[0]
        found = self._patiently(lambda: _totals(self._sources(), packed))
        return {name.decode(): summary(found[name]) for name in sorted(found)}

    def since(self, position: str | None, limit: int = 1000) -> Changes:
        _between(limit, "limit", None)
        return self._patiently(
            lambda: feed.changes(self._snapshot(), feed.position_of(position), limit)
        )

    def compact(self, *, without: Collection[str] = ()) -> None:
        owners = frozenset(chunks.names_of(SeriesKey(owner, "-"))[0] for owner in without)
        failure = self._appender.group.failure
        if failure:
            raise copy.copy(failure)
        try:
            with disk.translated("merging series"), self._merge_lock() as is_free:
                if is_free:  # otherwise another process is at it
                    self._merge(owners)
        except Unavailable as error:
            if error.code == "sync-failed":
                self._appender.group.fail(error)
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
            fd = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT, disk.FILE_MODE)
        try:
            yield disk.try_lock(fd)
        finally:
            os.close(fd)

    def _merge(self, without: frozenset[bytes]) -> None:
        from trivet.adapters.files.points.merging import leave_out, merge

        self._appender.seal()
        segments.seal_dead(self._folder, index_dead)
        merge(self._folder, self._keep_s)
        if without:
            leave_out(self._folder, self._keep_s, without)

    def verify(self) -> Iterator[Damage]:
        try:
            places = self._places()
            replaced = {
                place_of_raw(self._folder, one.name) for one in self._manifests.read().replaced
            }
        except TrivetError as error:
            yield _damage(MANIFEST, error.message)
            return
        for place in sorted({*places, *replaced}):
            name = str(place.relative_to(self._folder))
            for problem in segments.problems(place):
                yield _damage(name, problem)
            if place not in replaced and not place.exists() and place in self._places():
                yield _damage(name, "it is missing")

    def close(self) -> None:
        """Seal this process's segment and stop. Safe to call twice."""
        try:
            self._appender.close()
        finally:
            self._forget_all_but([])

    def after_fork(self) -> None:
        """Forget, in a child process, what its parent will write."""
        self._appender.forget()
        self._begin()

    def _set_own(self, source: Source | None) -> None:
        with self._lock:
            self._own = source

    def _patiently(self, ask: Callable[[], T]) -> T:
        for _ in range(_PATIENCE):
            try:
                return ask()
            except FileNotFoundError:
                continue  # merged meanwhile; the manifest says into what
        raise _restless()

    def _places(self) -> list[Path]:
        """Return the segments to read, as they stood at one moment."""
        for _ in range(_PATIENCE):
            manifest = self._manifests.read()
            replaced = {one.name for one in manifest.replaced}
            places = [place_of_merged(self._folder, one.name) for one in manifest.merged]
            places += [
                place_of_raw(self._folder, name)
                for name in segments.names(self._folder)
                if name not in replaced
            ]
            # Otherwise the listing may have missed what was removed meanwhile.
            if self._manifests.read() == manifest:
                return places
        raise _restless()

    def _sources(self) -> Iterator[Source]:
        """Open the segments to read, one after the other.

        Raises:
            FileNotFoundError: One has been merged meanwhile.
        """
        places = self._places()
        self._forget_all_but(places)
        for place in places:
            yield self._source(place)

    def _snapshot(self) -> feed.Snapshot:
        """Return the segments that the feed may need, as they stood at one moment."""
        for _ in range(_PATIENCE):
            manifest = self._manifests.read()
            gone = {one.name for one in manifest.replaced if one.generation <= manifest.removed}
            raw = [name for name in segments.names(self._folder) if name not in gone]
            if self._manifests.read() == manifest:
                return feed.Snapshot(manifest, raw, self._merged_source, self._raw_source)
        raise _restless()

    def _merged_source(self, name: str) -> Source:
        return self._source(place_of_merged(self._folder, name))

    def _raw_source(self, name: str) -> Source:
        return self._source(place_of_raw(self._folder, name))

    def _source(self, place: Path) -> Source:
        with self._lock:
            if self._own and self._own.place == place:
                return self._own
            source = self._known.get(place)
            if source is None:
                source = Source(place)
                if len(self._known) >= _KEPT_OPEN:
                    self._let_one_go()
                self._known[place] = source
            return source

    def _let_one_go(self) -> None:
        # Files are not without limit, and one that is sealed can be opened again.
        sealed = next((place for place, one in self._known.items() if one.tree), None)
        if sealed:
            del self._known[sealed]

    def _forget_all_but(self, places: list[Path]) -> None:
        with self._lock:
            for place in self._known.keys() - set(places):
                del self._known[place]


def _totals(sources: Iterator[Source], owner: bytes) -> dict[bytes, Chunk]:
    """Return the figures of each series of an owner, by name."""
    found: dict[bytes, Chunk] = {}
    for source in sources:
        for name, chunk in source.totals(owner):
            before = found.get(name)
            found[name] = fold(before, chunk) if before else chunk
    return found


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


def _between(number: object, field: str, most: int | None) -> int:
    if type(number) is int and number >= 1 and (most is None or number <= most):
        return number
    raise Invalid(
        f"{field} is {number!r}; expected a whole number from 1"
        + (f" to {most:,}" if most else " on"),
        code="out-of-range",
        hint="Ask for fewer points, or for a range of steps." if most else "Pass at least 1.",
    )


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
