"""Energy that processors used, from the kernel's `powercap` counters (Intel and AMD RAPL).

Most systems let only root read them. Packages and memory are counted; parts of a package and
`psys`, which contains it, are not, or energy would be counted twice.
"""

import re
from pathlib import Path
from typing import Final

_ZONE = re.compile(r"intel-rapl:\d+(:\d+)?")
_COUNTED: Final = ("package-", "dram")


class PowerCounters:
    """The counters that can be read, and where each stood.

    Args:
        root: Where the file system begins.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._zones: list[tuple[Path, int]] = []
        self._before: dict[Path, int] = {}
        try:
            places = sorted((root / "sys/class/powercap").iterdir())
        except OSError:
            return
        for place in places:
            if _ZONE.fullmatch(place.name):
                self._add(place)

    def _add(self, place: Path) -> None:
        try:
            name = (place / "name").read_text().strip()
            most = int((place / "max_energy_range_uj").read_text())
            self._before[place] = _count(place)
        except (OSError, ValueError):
            return
        if name.startswith(_COUNTED):
            self._zones.append((place, most))

    def joules(self) -> float | None:
        """Return what was used since the last call, None when no counter can be read.

        A counter that came round its end once is right; it does so in about an hour at most load.
        """
        if not self._zones:
            return None
        total = 0
        for place, most in self._zones:
            try:
                now = _count(place)
            except (OSError, ValueError):
                continue
            used = now - self._before[place]
            total += used if used >= 0 else used + most
            self._before[place] = now
        return total / 1e6


def _count(place: Path) -> int:
    return int((place / "energy_uj").read_text())
