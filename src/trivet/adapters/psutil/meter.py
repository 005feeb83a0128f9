"""A meter of this machine and process."""

import os
import platform
import time
from pathlib import Path
from typing import Any

from trivet.core.training import Machine, Reading


class PsutilMeter:
    """Processors, memory, disks and network.

    Args:
        folder: Where the run works: of its file system the fullness is told.

    Raises:
        ImportError: psutil is not installed.
    """

    def __init__(self, folder: Path = Path()) -> None:
        import psutil

        self._library: Any = psutil
        self._process: Any = psutil.Process()
        self._folder = folder
        self._before: tuple[float, dict[str, float]] | None = None
        self._library.cpu_percent()  # its first answer means nothing

    def describe(self) -> Machine:
        return Machine(
            system=f"{platform.system()} {platform.release()}",
            cpu=platform.processor() or platform.machine(),
            processors=os.cpu_count() or 0,
            memory_bytes=self._library.virtual_memory().total,
        )

    def read(self) -> Reading:
        figures: dict[str, float] = {}
        for part in (self._rates, self._memory, self._disk):
            try:
                figures |= part()
            except (OSError, RuntimeError, AttributeError, self._library.Error):
                continue  # this system does not tell, or not us
        return Reading(figures=figures)

    def _rates(self) -> dict[str, float]:
        now, totals = time.monotonic(), self._totals()
        before, self._before = self._before, (now, totals)
        cpu = float(self._library.cpu_percent())
        if before is None or now <= before[0]:
            return {}
        span = now - before[0]
        rates = {name: max(0.0, totals[name] - before[1][name]) / span for name in totals}
        process = 100 * rates.pop("process_s")
        return {"cpu_percent": cpu, "process_cpu_percent": process, **rates}

    def _totals(self) -> dict[str, float]:
        disk, network = self._library.disk_io_counters(), self._library.net_io_counters()
        totals = {"process_s": time.process_time()}
        if disk is not None:
            totals["disk_read_bytes_per_second"] = disk.read_bytes
            totals["disk_written_bytes_per_second"] = disk.write_bytes
        if network is not None:
            totals["network_received_bytes_per_second"] = network.bytes_recv
            totals["network_sent_bytes_per_second"] = network.bytes_sent
        return totals

    def _memory(self) -> dict[str, float]:
        whole = self._library.virtual_memory()
        return {
            "memory_bytes": float(whole.total - whole.available),
            "memory_percent": float(whole.percent),
            "process_memory_bytes": float(self._process.memory_info().rss),
        }

    def _disk(self) -> dict[str, float]:
        return {"disk_percent": float(self._library.disk_usage(str(self._folder)).percent)}
