"""What work finds around it in a worker's process, and must leave as it was.

Folder, variables, streams, timers, signals, threads and child processes: whatever of it one work
changes, the next would feel, and no key says so. What would hurt at once is put back; a worker that
was changed then leaves, so that nothing else has to be.
"""

import contextlib
import importlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from typing import Any, cast

import msgspec

from trivet.adapters.process.descendants import end_children

_handler_of = cast(
    "Callable[[int], object]", importlib.import_module("_signal").getsignal
)  # the public one makes a member of an enumeration of each number: twenty times as slow
_SIGNALS = tuple(map(int, signal.valid_signals()))


class Surroundings:
    """How it is around work as it begins."""

    def __init__(self) -> None:
        self._seen = _look()

    def begin(self) -> None:
        """Note how it is before work."""
        self._seen = _look()

    def restore(self) -> bool:
        """Stop what could strike later, and say whether everything is as it was."""
        was_timed = _stop_timers()
        now = _look()
        if (now.handlers, now.mask) != (self._seen.handlers, self._seen.mask):
            self._restore_signals(now.handlers)
        return not (was_timed | end_children()) and now == self._seen

    @contextlib.contextmanager
    def accepting(self) -> Generator[None]:
        """Take what is changed meanwhile for how it ought to be: a module is being loaded.

        Where a module sets a variable when it is imported, every worker has it.
        """
        before = _look()
        try:
            yield
        finally:
            self._seen = _with_changes(self._seen, before, _look())

    def _restore_signals(self, now: list[object]) -> None:
        for number, one, before in zip(_SIGNALS, now, self._seen.handlers, strict=True):
            if one is not before and (callable(before) or isinstance(before, int)):
                signal.signal(number, before)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._seen.mask)


class _Look(msgspec.Struct):
    handlers: list[object]
    mask: set[int]
    folder: str
    variables: dict[bytes, bytes]
    streams: list[tuple[int, bool]]
    files: list[tuple[int, int]]
    threads: set[threading.Thread]


def _look() -> _Look:
    return _Look(
        handlers=[_handler_of(number) for number in _SIGNALS],
        mask=set(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ()))),
        folder=_folder(),
        variables=os.environb.copy(),
        streams=[(id(s), getattr(s, "closed", True)) for s in (sys.stdin, sys.stdout, sys.stderr)],
        files=[_file_behind(number) for number in range(3)],
        threads={t for t in threading.enumerate() if not t.name.startswith("Dummy-")},
    )


def _with_changes(seen: _Look, before: _Look, after: _Look) -> _Look:
    """Return what was seen, with the changes between two other looks."""
    changes: dict[str, Any] = {
        name: getattr(after, name)
        for name in _Look.__struct_fields__
        if getattr(before, name) != getattr(after, name)
    }
    if "variables" in changes:
        kept = {
            name: value
            for name, value in seen.variables.items()
            if after.variables.get(name) == before.variables.get(name)
        }
        set_now = after.variables.items() - before.variables.items()
        changes["variables"] = kept | dict(set_now)
    if "threads" in changes:
        changes["threads"] = seen.threads | (after.threads - before.threads)
    return msgspec.structs.replace(seen, **changes)


def _stop_timers() -> bool:
    """Stop the timers of this process; say whether one ran."""
    timers = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
    before = [signal.setitimer(timer, 0) for timer in timers]
    return any(map(any, before))


def _folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109  # at every call of a worker
    except OSError:
        return ""  # it was removed


def _file_behind(number: int) -> tuple[int, int]:
    try:
        found = os.fstat(number)
    except OSError:
        return (-1, -1)
    return (found.st_dev, found.st_ino)
