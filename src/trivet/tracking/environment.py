"""The environment lock: which distributions were installed, on which Python and machine."""

import os
import platform
import re
from functools import cache
from importlib import metadata

import msgspec

from trivet.core.ports import Blobs
from trivet.tracking.facts import Environment


class _Observed(msgspec.Struct, frozen=True):
    lock: bytes
    packages: int
    python: str
    platform: str
    processors: int
    memory_bytes: int


def record_environment(blobs: Blobs) -> Environment:
    """Store the lock and describe the machine. The look around is taken once per process.

    The lock is text: one line `name==version` per installed distribution, names in their normal
    form (PEP 503), sorted. It is what *was* there, not what a project asked for.
    """
    seen = _observe()
    return Environment(
        lock=blobs.put(seen.lock),
        packages=seen.packages,
        python=seen.python,
        platform=seen.platform,
        processors=seen.processors,
        memory_bytes=seen.memory_bytes,
    )


def read_lock(lock: bytes) -> dict[str, str]:
    """Return the versions of a stored lock by distribution."""
    lines = (line.partition("==") for line in lock.decode().splitlines())
    return {name: version for name, _, version in lines}


@cache
def _observe() -> _Observed:
    versions = _installed()
    return _Observed(
        lock="".join(f"{name}=={version}\n" for name, version in versions.items()).encode(),
        packages=len(versions),
        python=platform.python_version(),
        platform=platform.platform(),
        processors=_processors(),
        memory_bytes=_memory_bytes(),
    )


def _installed() -> dict[str, str]:
    versions: dict[str, str] = {}
    for distribution in metadata.distributions():
        # A folder half removed has no name; the first on the path is the one that is imported.
        name: str | None = distribution.metadata["Name"]
        if name:
            versions.setdefault(re.sub(r"[-_.]+", "-", name).lower(), distribution.version)
    return dict(sorted(versions.items()))


def _processors() -> int:
    """Count the processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_bytes() -> int:
    """Return the machine's memory, 0 where the system does not say (Windows)."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0
