"""Landing files: several at a time, those that are here already left as they are."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Final

from trivet.core.errors import Forbidden, Invalid, NotFound, Unavailable, Unsupported
from trivet.core.moving import HeldFile, HeldTrace, Holdings
from trivet.moving.facts import Counts, Left
from trivet.tracking.artifacts import Artifacts, owner_of
from trivet.tracking.importing.cleaning import Remarks
from trivet.tracking.paths import clean_path
from trivet.tracking.shelves import Artifact

_AT_ONCE: Final = 8
_WAITING: Final = 64
_MOST_LEFT: Final = 10_000

Owned = tuple[str, str, str]
"""`run` or `model`, its identifier here, and the address that the other store gives."""
_Listed = tuple[str, str, Callable[[], Iterable[HeldFile]]]
"""Whose files they are, the address that the other store gives, and what lists them."""


class FileLanding:
    """Copies artifacts of one store into a project.

    Args:
        artifacts: Where they are kept.
        holdings: Where they come from.
        counts: Where they are counted.
        remarks: Told of files that have no name for here.
    """

    def __init__(
        self, artifacts: Artifacts, holdings: Holdings, counts: Counts, remarks: Remarks
    ) -> None:
        self._artifacts = artifacts
        self._holdings = holdings
        self._counts = counts
        self._remarks = remarks
        self.left: list[Left] = []
        """Whose files were not copied."""

    def land(self, owned: Sequence[Owned]) -> None:
        """Copy the files of several owners."""
        self._land(
            (owner_of(kind, id), location, partial(self._holdings.files, location))
            for kind, id, location in owned
            if location
        )

    def land_traces(self, traces: Sequence[HeldTrace]) -> None:
        """Copy the files of traces, their spans among them."""
        self._land(
            (owner_of("trace", held.id), held.location, partial(self._holdings.trace_files, held))
            for held in traces
        )

    def leave(self, owner: str, location: str, reason: str) -> None:
        """Record that somebody's files were not copied; of many the first 10,000."""
        if len(self.left) < _MOST_LEFT:
            self.left.append(Left(owner=owner, location=location[:1000], reason=reason))

    # ------------------------------------------------------------------- inside

    def _land(self, listed: Iterable[_Listed]) -> None:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            waiting: list[tuple[Future[Artifact | None], str, HeldFile]] = []
            for owner, file in self._files(listed):
                waiting.append((pool.submit(self._copy, owner, file), owner, file))
                if len(waiting) >= _WAITING:
                    self._settle(waiting)
                    waiting = []
            self._settle(waiting)

    def _files(self, listed: Iterable[_Listed]) -> Iterator[tuple[str, HeldFile]]:
        for owner, location, files in listed:
            try:
                for file in files():
                    yield owner, file
            except (Unsupported, Forbidden, Unavailable) as error:
                self.leave(owner, location, error.message)

    def _copy(self, owner: str, file: HeldFile) -> Artifact | None:
        """Copy a file; None when it is here already."""
        path = clean_path(file.path)
        if file.size_bytes is not None and self._is_here(owner, path, file):
            return None
        with closing(file.open()) as stream:
            return self._artifacts.put(owner, path, stream)

    def _is_here(self, owner: str, path: str, file: HeldFile) -> bool:
        try:
            known = self._artifacts.get(owner, path)
        except NotFound:
            return False
        if known.size_bytes != file.size_bytes:
            return False
        return not file.is_near or self._is_equal(known, file)

    def _is_equal(self, known: Artifact, file: HeldFile) -> bool:
        with closing(file.open()) as theirs, closing(self._artifacts.read(known)) as ours:
            while block := theirs.read(1 << 20):
                if ours.read(1 << 20) != block:
                    return False
            return True

    def _settle(self, waiting: Sequence[tuple[Future[Artifact | None], str, HeldFile]]) -> None:
        for future, owner, file in waiting:
            try:
                stored = future.result()
            except Invalid as error:
                self._remarks.note(f"a file of {owner} is not copied: {error.message}")
            except (Unavailable, Forbidden, NotFound, OSError) as error:
                self.leave(owner, file.path, str(error))
            else:
                if stored is not None:
                    self._counts.files += 1
                    self._counts.size_bytes += stored.size_bytes
