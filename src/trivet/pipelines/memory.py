"""How much memory a step took: what the process had at its highest, beyond what it began with.

Linux alone tells a process about itself cheaply enough to ask around every step (a microsecond or
two); elsewhere the answer is None. The high water mark of a process only rises, so a step that
stays below an earlier peak is known by what it kept; with several steps at once in one process
each of them answers for all.
"""

import os
import sys
from typing import Final

if sys.platform == "linux":
    import resource

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE") if sys.platform == "linux" else 4096


class _Own:
    """The process's own `statm`, opened once per process: a child must not read its parent's."""

    pid = 0
    fd = -1

    @classmethod
    def resident_bytes(cls) -> int:
        if cls.pid != os.getpid():
            cls.fd = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
            cls.pid = os.getpid()
        return int(os.pread(cls.fd, 128, 0).split()[1]) * _PAGE_BYTES


class MemoryUse:
    """Measures from when it is made.

    Example:
        >>> use = MemoryUse()
        >>> use.grown_bytes() in (None, 0) or use.grown_bytes() > 0
        True
    """

    def __init__(self) -> None:
        self._before = _resident_bytes()
        self._mark = _high_water_bytes()

    def grown_bytes(self) -> int | None:
        """Return the peak beyond the beginning in bytes, at least 0; None where nobody knows."""
        now = _resident_bytes()
        if self._before is None or now is None:
            return None
        mark = _high_water_bytes()
        highest = max(now, mark) if mark > self._mark else now
        return max(0, highest - self._before)


def _resident_bytes() -> int | None:
    if sys.platform != "linux":
        return None
    try:
        return _Own.resident_bytes()
    except (OSError, IndexError, ValueError):
        return None  # no /proc here


def _high_water_bytes() -> int:
    if sys.platform != "linux":
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
