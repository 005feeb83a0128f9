"""The tenure of a run: its task in the journal, kept while the run lives.

Every run stands behind a task. One that somebody asked for is claimed by a runner; one that a
person starts adds a task of its own, begun at once. Whoever cancels the run, or takes its task
over because the lease ended, is noticed here within a second, and every commit of the run is
fenced by the task's epoch: a process that was paused and wakes up too late writes nothing more.
"""

import os
import platform
import signal
import threading
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Final, Self

from trivet.core.errors import Conflict, TrivetError
from trivet.core.facts import TaskMove
from trivet.core.ids import new_id
from trivet.core.ports import Journal, Task

LEASE_S = 30.0
_LOOK_S = 1.0
_AGAIN_S = 5.0
"""How long user code that swallowed an interruption goes on before it is interrupted again."""
_GONE: Final = frozenset("ZXx")
"""States in Linux's table of processes of one that ended and is still listed."""
_left: Final[set[tuple[str, int]]] = set()
"""Keys and epochs of tasks that this process works on no more and could not say so."""


def new_owner() -> str:
    """Name this process as the owner of a task: host, process, its start, and a text of its own."""
    _, start = _entry_of(os.getpid())
    return f"{platform.node() or 'host'}:{os.getpid()}:{start}-{new_id()[-8:]}"


def leave(task: Task) -> None:
    """Note that this process is done with a task although the store would not hear of it."""
    _left.add((task.key, task.epoch))


def is_gone(task: Task, now: datetime | None = None) -> bool:
    """Say whether nobody works on a task any more: its process died, or its lease is over.

    A process of this host is asked for by its number, so that a computer that slept does not lose
    its runs; of another host's nothing is known but the lease.
    """
    if task.state != "running" or (task.key, task.epoch) in _left:
        return True
    process, _, token = (task.owner or "").rpartition(":")
    host, _, pid = process.rpartition(":")
    if host == (platform.node() or "host") and pid.isdigit():
        return not _is_alive(int(pid), token.rpartition("-")[0])
    return task.leased_until is not None and task.leased_until < (now or datetime.now(UTC))


def _is_alive(pid: int, start: str) -> bool:
    """Say whether a process lives that began at `start`, where that is known.

    In a container that is begun again, another process has the number at once.
    """
    state, began = _entry_of(pid)
    if began:
        return state not in _GONE and start in {"", began}
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is somebody else's
        return True
    return True


def _entry_of(pid: int) -> tuple[str, str]:
    """Return state and start of a process from Linux's table; empty elsewhere, and of none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        fields = text.rpartition(")")[2].split()  # the name before it may hold anything
        return fields[0], fields[19]
    except (OSError, IndexError):
        return "", ""


def hold(task: Task) -> TaskMove:
    """Return what a commit says that shall be written only while a claimed task is held."""
    return TaskMove(key=task.key, owner=task.owner or "", epoch=task.epoch, state="running")


class Tenure:
    """Holds a task for the time of a `with` block.

    Args:
        journal: Where the task is.
        task: The task as this process holds it.
        prolongs: Whether the lease is ours to prolong; a runner does it for its child.
    """

    def __init__(self, journal: Journal, task: Task, *, prolongs: bool = True) -> None:
        self.task = task
        self.hold = hold(task)
        self.is_cancelled = False
        """Somebody cancelled the task."""
        self._journal = journal
        self._prolongs = prolongs
        self._over = threading.Event()
        self._interrupts = threading.current_thread() is threading.main_thread()
        self._before: object = None
        self._keeper = threading.Thread(target=self._keep, name="tenure", daemon=True)

    def __enter__(self) -> Self:
        if self._interrupts and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            # Started in the background of a shell; an interruption must reach us all the same.
            self._before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self._keeper.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._keeper.join()
        if self._before is not None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def look(self) -> bool:
        """Look whether the task is still ours, and note whether it was cancelled."""
        task = self._journal.task(self.task.key)
        if task is None:
            return False
        self.is_cancelled = task.state == "cancelled"
        mine = (self.task.owner, self.task.epoch, "running")
        return (task.owner, task.epoch, task.state) == mine

    def _keep(self) -> None:
        prolonged = monotonic()
        while not self._over.wait(_LOOK_S):
            try:
                if self._prolongs and monotonic() - prolonged > LEASE_S / 3:
                    self._prolong()
                    prolonged = monotonic()
                is_lost = self._is_lost()
            except TrivetError:
                continue  # the store is away for a moment; the lease is longer than that
            if is_lost:
                self._interrupt()
                return

    def _prolong(self) -> None:
        with suppress(Conflict):  # a look tells what became of it
            self._journal.extend(self.task, LEASE_S)

    def _is_lost(self) -> bool:
        """Say whether somebody took the task away; that the run itself ended it is no loss."""
        task = self._journal.task(self.task.key)
        return task is None or (task.owner, task.epoch) != (self.task.owner, self.task.epoch)

    def _interrupt(self) -> None:
        """End the run in its own thread; elsewhere its next step is fenced."""
        main = threading.main_thread().ident
        while self._interrupts and main is not None:
            with suppress(ProcessLookupError):
                signal.pthread_kill(main, signal.SIGINT)
            if self._over.wait(_AGAIN_S):
                return
