"""Folders for as long as a process lives: removed by it, or after it by whoever comes next.

Each has a lock beside it, which the system lets go of when the process ends, however it ends. They
lie in the project's own store, where nothing else sweeps and no other project's are.
"""

import os
import shutil
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from trivet.core.disk import try_lock
from trivet.core.ids import new_id

_STORE: Final = ".trivet"
_PLACE: Final = "inputs"
_LOCK: Final = ".lock"


@contextmanager
def scratch_folder(project: Path) -> Generator[Path]:
    """Lend a folder of one's own for the time of a `with` block.

    Args:
        project: The project's folder; where it has no store, the system's folder for such is used.
    """
    if not (project / _STORE).is_dir():
        with TemporaryDirectory(prefix="trivet-") as folder:
            yield Path(folder)
        return
    place = project / _STORE / _PLACE
    place.mkdir(0o700, exist_ok=True)
    sweep(place)
    with closing(_Held(place)) as held:
        yield held.folder


def sweep(place: Path) -> int:
    """Remove what processes that died have left behind; return how many folders."""
    return sum(_swept(lock) for lock in place.glob(f"*{_LOCK}"))


def _swept(lock: Path) -> bool:
    try:
        fd = os.open(lock, os.O_RDWR)
    except FileNotFoundError:  # its owner, or another sweeper, was quicker
        return False
    try:
        is_left = try_lock(fd)
        if is_left:
            _remove(lock)
        return is_left
    finally:
        os.close(fd)


class _Held:
    """A folder whose lock is held."""

    def __init__(self, place: Path) -> None:
        while True:
            self._lock = place / f"{new_id()}{_LOCK}"
            self._fd = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            # Between the two a sweeper may have taken it for one that was left behind.
            if try_lock(self._fd) and self._lock.exists():
                break
            os.close(self._fd)
        self.folder = self._lock.with_suffix("")
        self.folder.mkdir(0o700)

    def close(self) -> None:
        _remove(self._lock)
        os.close(self._fd)


def _remove(lock: Path) -> None:
    shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
    lock.unlink(missing_ok=True)
