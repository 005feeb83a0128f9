"""The processes that a process started, and those that they started."""

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

_PROC = Path("/proc")
_ADOPT = 36  # PR_SET_CHILD_SUBREAPER
_PAUSE_S = 0.001
_END_S = 2.0


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends (Linux); elsewhere nothing happens."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_ADOPT, 1)


def family(pid: int) -> list[int]:
    """Find a process and its descendants, itself first; itself alone if not on Linux."""
    found: list[int] = []
    waiting = [pid]
    while waiting:
        found.append(waiting.pop())
        waiting += children_of(found[-1])
    return found


def children_of(pid: int) -> list[int]:
    """Find the children of a process; none when it has ended, or the kernel does not list them."""
    try:
        tasks = list((_PROC / str(pid) / "task").iterdir())
        return [int(n) for task in tasks for n in (task / "children").read_text().split()]
    except OSError:
        return []


def kill_group(pid: int) -> None:
    """Kill a process and all of the group that it leads."""
    for kill in (os.killpg, os.kill):  # it may not have its group yet
        with contextlib.suppress(OSError):
            kill(pid, signal.SIGKILL)


def end_children() -> bool:
    """Kill every descendant of this process; say whether there was one.

    Where descendants cannot be listed they are told of and not killed.
    """
    if not _has_children():
        return False
    until = time.monotonic() + _END_S
    while _has_children() and time.monotonic() < until:
        left = family(os.getpid())[1:]
        if not left:
            break
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_PAUSE_S)
    return True


def _has_children() -> bool:
    """Say whether a child is alive; those that have ended are let go."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True
