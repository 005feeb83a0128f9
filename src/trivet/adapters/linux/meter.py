"""A meter of this machine, process and container."""

import os
import platform
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from trivet.adapters.linux.cgroups import cpu_group, memory_group
from trivet.adapters.linux.powercap import PowerCounters
from trivet.core.training import Machine, Reading

_SECTOR_BYTES: Final = 512
# Whole disks that are devices: no partitions, and nothing that lies upon another disk.
_DISKS = re.compile(r"(sd[a-z]+|vd[a-z]+|xvd[a-z]+|hd[a-z]+|nvme\d+n\d+|mmcblk\d+)")
_UNCOUNTED = re.compile(r"lo|(veth|docker|br-|virbr|cni|flannel|ifb|tun|tap|dummy).*")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096

Totals = dict[str, float]


class LinuxMeter:
    """Processors, memory, disks, network and energy.

    In a container with a limit, `cpu_percent` and `memory_percent` are shares of the limit.
    100 % of `process_cpu_percent` is one processor.

    Args:
        root: Where the file system begins.
        folder: Where the run works: of its file system the fullness is told.
        now: Seconds on a clock that never goes back.
    """

    def __init__(
        self,
        root: Path = Path("/"),
        folder: Path = Path(),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._proc = root / "proc"
        self._folder = folder
        self._now = now
        self._power = PowerCounters(root)
        self._cpu_group = cpu_group(root)
        self._memory_group = memory_group(root)
        self._before: tuple[float, Totals] | None = None

    def describe(self) -> Machine:
        cpu, memory = self._cpu_group, self._memory_group
        return Machine(
            system=f"{platform.system()} {platform.release()}",
            cpu=self._cpu_model(),
            processors=os.cpu_count() or 0,
            processor_limit=cpu.limit if cpu else None,
            memory_bytes=self._memory_bytes(),
            memory_limit_bytes=int(memory.limit) if memory else None,
        )

    def read(self) -> Reading:
        figures: dict[str, float] = {}
        for part in (self._rates, self._memory, self._process_memory, self._disk):
            try:
                figures |= part()
            except (OSError, ValueError, IndexError, KeyError):
                continue  # this kernel shows it in another way, or not to us
        joules = self._power.joules()
        return Reading(figures=figures, joules={} if joules is None else {"cpu": joules})

    def _rates(self) -> dict[str, float]:
        now, totals = self._now(), self._totals()
        before, self._before = self._before, (now, totals)
        if before is None or now <= before[0]:
            return {}
        span = now - before[0]
        moved = {name: totals[name] - before[1].get(name, totals[name]) for name in totals}
        figures = {
            name: max(0.0, moved[name] / span) for name in moved if name.endswith("_per_second")
        }
        figures["process_cpu_percent"] = 100 * moved["process_s"] / span
        if self._cpu_group and "group_s" in moved:
            figures["cpu_percent"] = 100 * moved["group_s"] / span / self._cpu_group.limit
        elif moved.get("all_ticks"):
            figures["cpu_percent"] = 100 * moved["busy_ticks"] / moved["all_ticks"]
        return figures

    def _totals(self) -> Totals:
        """Return everything that only grows; what cannot be read is missing."""
        totals: Totals = {"process_s": time.process_time()}
        if self._cpu_group:
            group = self._cpu_group
            totals |= _try(lambda: {"group_s": group.cpu_s()})
        totals |= _try(lambda: _cpu(self._text("stat")))
        totals |= _try(lambda: _disks(self._text("diskstats")))
        totals |= _try(lambda: _network(self._text("net/dev")))
        return totals

    def _memory(self) -> dict[str, float]:
        if self._memory_group:
            used, whole = self._memory_group.memory_bytes(), self._memory_group.limit
        else:
            known = _memory(self._text("meminfo"))
            whole = known["MemTotal"]
            used = whole - known["MemAvailable"]
        return {"memory_bytes": float(used), "memory_percent": 100 * used / whole}

    def _process_memory(self) -> dict[str, float]:
        return {"process_memory_bytes": float(int(self._text("self/statm").split()[1]) * _PAGE)}

    def _disk(self) -> dict[str, float]:
        found = os.statvfs(self._folder)
        used = found.f_blocks - found.f_bfree
        return {"disk_percent": 100 * used / (used + found.f_bavail)}

    def _memory_bytes(self) -> int:
        try:
            return _memory(self._text("meminfo"))["MemTotal"]
        except (OSError, ValueError, KeyError):
            return 0

    def _cpu_model(self) -> str:
        try:
            lines = self._text("cpuinfo").splitlines()
        except OSError:
            lines = []
        for line in lines:
            name, _, value = line.partition(":")
            if name.strip() in {"model name", "Hardware", "cpu model"}:
                return value.strip()
        return platform.machine()

    def _text(self, name: str) -> str:
        return (self._proc / name).read_text("utf-8", "replace")


def _try(read: Callable[[], Totals]) -> Totals:
    try:
        return read()
    except (OSError, ValueError, IndexError):
        return {}


def _cpu(text: str) -> Totals:
    """Read the first line of `/proc/stat`. The time of guests is in that of users already."""
    ticks = [int(part) for part in text[: text.index("\n")].split()[1:9]]
    idle = ticks[3] + ticks[4]
    return {"all_ticks": sum(ticks), "busy_ticks": sum(ticks) - idle}


def _disks(text: str) -> Totals:
    read = written = 0
    for line in text.splitlines():
        parts = line.split()
        if _DISKS.fullmatch(parts[2]):
            read += int(parts[5])
            written += int(parts[9])
    return {
        "disk_read_bytes_per_second": read * _SECTOR_BYTES,
        "disk_written_bytes_per_second": written * _SECTOR_BYTES,
    }


def _network(text: str) -> Totals:
    received = sent = 0
    for name, numbers in _interfaces(text):
        if not _UNCOUNTED.fullmatch(name):
            received += numbers[0]
            sent += numbers[8]
    return {
        "network_received_bytes_per_second": received,
        "network_sent_bytes_per_second": sent,
    }


def _interfaces(text: str) -> Iterator[tuple[str, list[int]]]:
    for line in text.splitlines()[2:]:
        name, _, numbers = line.partition(":")
        yield name.strip(), [int(number) for number in numbers.split()]


def _memory(text: str) -> dict[str, int]:
    """Read `/proc/meminfo`, in bytes."""
    known: dict[str, int] = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        known[name] = int(value.split()[0]) * 1024
    return known
