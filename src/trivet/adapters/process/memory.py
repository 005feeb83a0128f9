"""How much memory a worker takes, with the processes it started."""

import os
import subprocess
import sys
from pathlib import Path

from trivet.adapters.process.descendants import family

_PROC = Path("/proc")
_PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def resident_mib(group: int) -> float:
    """Return the resident memory of a process group in MiB; 0 when it is gone.

    On Linux pages of files (libraries, mapped tables) are not counted: the kernel can drop them.
    """
    if sys.platform == "linux":
        return sum(_private_bytes(pid) for pid in family(group)) / 2**20
    listed = subprocess.run(
        ["ps", "-o", "rss=", "-g", str(group)], capture_output=True, text=True, check=False
    )
    return sum(int(line) for line in listed.stdout.split()) / 1024


def machine_mib() -> int:
    """Return the memory of this machine in MiB."""
    return os.sysconf("SC_PHYS_PAGES") * _PAGE // 2**20


def _private_bytes(pid: int) -> int:
    try:
        _, resident, shared, *_ = map(int, (_PROC / str(pid) / "statm").read_text().split())
    except (OSError, ValueError):
        return 0
    return (resident - shared) * _PAGE
