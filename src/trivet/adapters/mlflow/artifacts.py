"""Artifacts that MLflow keeps in folders of a machine: read below given roots, and nowhere else.

A database says where artifacts are, and it may be a stranger's. So an address is resolved, links
and all, and must then lie below a root that the user named or that belongs to the store.
"""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import unquote, urlsplit

from trivet.core.errors import Forbidden, Unsupported
from trivet.core.moving import HeldFile

_REMOTE: Final = re.compile(r"[a-z][a-z0-9+.-]+:", re.IGNORECASE)
_MARKER: Final = re.compile(r"(?:^|/)(\d+/(?:models/|traces/)?[^/]+/artifacts)/?$")
PROXIED: Final = "mlflow-artifacts:"


class LocalArtifacts:
    """Folders of artifacts.

    Args:
        roots: Folders below which files may be read. An address that lies below none of them is
            looked for in each by its end: `<experiment>/<run>/artifacts`.
    """

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots = [root.resolve() for root in roots]

    def files(self, location: str) -> Iterator[HeldFile]:
        """Yield the files below an address.

        Raises:
            Unsupported: It is the address of another storage.
            Forbidden: It lies below none of the roots.
        """
        folder = self._folder(location)
        if folder is not None:
            yield from _walk(folder)

    def _may_read(self, place: Path) -> bool:
        return any(place.is_relative_to(root) for root in self._roots)

    def imprint(self, location: str) -> str:
        """Return what changes when files are added; empty for an address that cannot be read."""
        try:
            folder = self._folder(location)
        except (Unsupported, Forbidden):
            return ""
        if folder is None:
            return ""
        states = [file.stat() for file in _paths(folder)]
        newest = max((state.st_mtime_ns for state in states), default=0)
        return f"{len(states)}/{sum(state.st_size for state in states)}/{newest}"

    def _folder(self, location: str) -> Path | None:
        """Return the folder of an address; None when it is allowed and nothing is there."""
        path = path_of(location)
        if not path and not location.startswith(PROXIED):
            raise Unsupported(f"{_scheme(location)} is not read here", code="remote-artifacts")
        candidates = [Path(path)] if path else []
        if found := _MARKER.search(path or urlsplit(location).path):
            candidates += [root / found[1] for root in self._roots]
        allowed = [place for place in map(Path.resolve, candidates) if self._may_read(place)]
        for place in allowed:
            if place.is_dir():
                return place
        if allowed:
            return None
        raise Forbidden(
            "it lies outside of the folders that may be read",
            code="outside",
            hint="Name the folder of its artifacts: --artifacts FOLDER.",
        )


def path_of(location: str) -> str:
    """Return the path that an address means on this machine; empty when it means none."""
    if location.lower().startswith("file:"):
        return unquote(urlsplit(location).path)
    return "" if _REMOTE.match(location) else location


def _scheme(location: str) -> str:
    return location.partition("://")[0][:30] + " storage"


def _walk(folder: Path) -> Iterator[HeldFile]:
    for file in _paths(folder):
        yield HeldFile(
            path=file.relative_to(folder).as_posix(),
            size_bytes=file.stat().st_size,
            open=_Opener(file, folder),
        )


def _paths(folder: Path) -> Iterator[Path]:
    """Yield plain files, by path; links that lead out of the folder, pipes and devices are not."""
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            file = Path(place, name)
            if file.is_file() and file.resolve().is_relative_to(folder):
                yield file


class _Opener:
    """Opens a file that still lies in its folder when it is opened."""

    def __init__(self, file: Path, folder: Path) -> None:
        self._file = file
        self._folder = folder

    def __call__(self) -> BinaryIO:
        resolved = self._file.resolve()
        if not resolved.is_relative_to(self._folder):
            raise Forbidden(f"{self._file} leads out of its folder", code="outside")
        return resolved.open("rb")
