"""Spools: what a program reports to a server is written on its own machine first.

Each program has a spool of its own, under a lock that the system lets go of when the program ends,
however it ends. So whoever gets the lock knows that the program is gone, sends what it left, and
removes the folder.
"""

import os
import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import gethostname
from typing import Final, Self

import msgspec

from trivet.core import disk
from trivet.core.errors import Unavailable
from trivet.core.ids import new_id
from trivet.workspace import wiring
from trivet.workspace.settings import Settings

FOLDER: Final = "TRIVET_SPOOL"
"""Where spools are, when not in the user's state folder."""
PROJECT: Final = "spool"
"""What the project of a spool's stores is called; the server knows the right name."""
_LABEL: Final = "spool.json"
_LOCK: Final = "lock"
_STALE_S: Final = 3600.0
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """What stands on a spool."""

    url: str
    """The server that it is for."""
    machine: str
    boot: str = ""
    """Names the start of the machine, where the system does."""
    pid: int


class Spool:
    """A spool that this process holds.

    Args:
        folder: Where it is.
        label: What stands on it.
        lock: The open file whose lock is held.
    """

    def __init__(self, folder: Path, label: Label, lock: int) -> None:
        self.folder = folder
        self.label = label
        self._lock = lock

    def open(self) -> wiring.Opened:
        """Open its stores; make them when there are none."""
        return wiring.open_embedded(self.folder, Settings(project=PROJECT))

    def remove(self) -> None:
        """Remove it with all that is in it: the server has everything."""
        # Its label goes first: a spool that is half removed is none.
        with suppress(OSError):
            (self.folder / _LABEL).unlink()
        shutil.rmtree(self.folder, ignore_errors=True)

    def let_go(self) -> None:
        """Let others have it. A second call does nothing."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()


def spools_folder() -> Path:
    """Return where this user's spools are."""
    named = os.environ.get(FOLDER)
    if named:
        return Path(named).expanduser().absolute()
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "trivet" / "spool"


def new_spool(url: str) -> Spool:
    """Make a spool for a server, and hold it.

    Raises:
        Unavailable: There is no place for it.
    """
    label = Label(url=url, machine=gethostname(), boot=_boot(), pid=os.getpid())
    try:
        folder = spools_folder() / new_id()
        disk.make_folder(folder)
        lock = _locked(folder)
        disk.put_file(folder / _LABEL, msgspec.json.encode(label))
    except (OSError, Unavailable, RuntimeError) as error:  # the last: nobody has a home
        raise _no_place(error) from error
    if lock is None:  # whoever looked at the folder in this moment lets go of it at once
        return new_spool(url)
    return Spool(folder, label, lock)


def labels() -> Iterator[tuple[Path, Label]]:
    """Yield the spools of this user, oldest first."""
    try:
        folders = sorted(path for path in spools_folder().iterdir() if path.is_dir())
    except (OSError, RuntimeError):
        return
    for folder in folders:
        try:
            yield folder, msgspec.json.decode((folder / _LABEL).read_bytes(), type=Label)
        except (OSError, msgspec.DecodeError):
            _tidy(folder)


def is_from_here(label: Label) -> bool:
    """Say whether this machine can tell if a spool's program still runs."""
    return label.machine == gethostname() or (label.boot != "" and label.boot == _boot())


@contextmanager
def taken(folder: Path, label: Label) -> Generator[Spool | None]:
    """Hold a spool whose program is gone, for the time of a `with` block; None: it is not gone."""
    lock = _locked(folder)
    if lock is None:
        yield None
        return
    with Spool(folder, label, lock) as spool:
        # Without its label it is half removed, by whoever held it before.
        yield spool if (folder / _LABEL).exists() else None


def _locked(folder: Path) -> int | None:
    """Lock a spool; None when somebody else holds it, or it is gone."""
    path = folder / _LOCK
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, disk.FILE_MODE)
    except FileNotFoundError:
        return None
    try:
        # Whoever held it may have removed it in the meantime.
        if disk.try_lock(lock) and os.fstat(lock).st_ino == path.stat().st_ino:
            return lock
    except FileNotFoundError:
        pass
    except BaseException:
        os.close(lock)
        raise
    os.close(lock)
    return None


def _tidy(folder: Path) -> None:
    """Remove a spool that was never finished, or is half removed."""
    with suppress(OSError):
        if time.time() - folder.stat().st_mtime > _STALE_S:
            shutil.rmtree(folder, ignore_errors=True)


def _boot() -> str:
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _no_place(error: Exception) -> Unavailable:
    return Unavailable(
        f"there is no place for what is on its way to the server: {error}",
        code="no-spool",
        hint=f"Name a folder that can be written: {FOLDER}.",
    )
