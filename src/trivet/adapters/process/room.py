"""What of the machine work may use, and what of it is free."""

import os
import re
from pathlib import Path

from trivet.core.errors import Invalid
from trivet.core.work import Needs


class Room:
    """What of the machine is free. The pool's lock guards it."""

    def __init__(self, *, cpus: int, gpus: tuple[str, ...], memory_mib: int) -> None:
        self.cpus = cpus
        self.has_gpus = bool(gpus)
        self._gpus = gpus
        self._memory_mib = memory_mib
        self._free_cpus = cpus
        self._free_gpus = list(gpus)
        self._free_mib = memory_mib

    def check(self, needs: Needs) -> None:
        """Refuse what can never be given.

        Raises:
            Invalid: It needs more than there is.
        """
        wanted = (
            ("cpus", needs.cpus, self.cpus),
            ("gpus", needs.gpus, len(self._gpus)),
            ("memory_mib", needs.memory_mib or 0, self._memory_mib),
        )
        for name, asked, there in wanted:
            if asked > there:
                raise Invalid(
                    f"the work needs {name}={asked}; this machine has {there}",
                    code="too-much",
                    hint=f"Ask for {name}={there} at most, or run it on a larger machine.",
                )

    def width(self, needs: Needs) -> int:
        """Return how often the needs fit at once."""
        fits = [self.cpus // max(1, needs.cpus)]
        if needs.gpus:
            fits.append(len(self._gpus) // needs.gpus)
        if needs.memory_mib:
            fits.append(self._memory_mib // needs.memory_mib)
        return max(1, min(fits))

    def take(self, needs: Needs) -> tuple[str, ...] | None:
        """Reserve what is needed and return the graphics processors; None when there is no room."""
        memory = needs.memory_mib or 0
        if needs.cpus > self._free_cpus or memory > self._free_mib:
            return None
        if needs.gpus > len(self._free_gpus):
            return None
        self._free_cpus -= needs.cpus
        self._free_mib -= memory
        taken, self._free_gpus = self._free_gpus[: needs.gpus], self._free_gpus[needs.gpus :]
        return tuple(taken)

    def give_back(self, needs: Needs, gpus: tuple[str, ...]) -> None:
        """Free what was reserved; in the old order, so that warm workers fit again."""
        self._free_cpus += needs.cpus
        self._free_mib += needs.memory_mib or 0
        self._free_gpus = sorted([*self._free_gpus, *gpus], key=self._gpus.index)


def usable_cpus() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """Return the names of the graphics processors that this process may use."""
    said = os.environ.get("CUDA_VISIBLE_DEVICES")
    if said is not None:
        return [name.strip() for name in said.split(",") if name.strip() not in {"", "-1"}]
    found = [re.fullmatch(r"nvidia(\d+)", path.name) for path in Path("/dev").glob("nvidia*")]
    return sorted((match[1] for match in found if match), key=int)
