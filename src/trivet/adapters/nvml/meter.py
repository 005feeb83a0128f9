"""A meter of NVIDIA's graphics processors."""

import os
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from trivet.core.training import Gpu, Machine, Reading


class NvmlMeter:
    """Use, memory, power, temperature and energy of each graphics processor that is seen.

    `CUDA_VISIBLE_DEVICES` narrows them as it does for CUDA; numbers are those of the machine.

    Args:
        library: The module `pynvml`; imported when None.
        environment: Where `CUDA_VISIBLE_DEVICES` stands.
        now: Seconds on a clock that never goes back.

    Raises:
        ImportError: nvidia-ml-py is not installed.
        OSError: There is no driver, or no graphics processor.
    """

    def __init__(
        self,
        library: Any = None,
        environment: Mapping[str, str] = os.environ,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        library = library or import_module("pynvml")
        self._library: Any = library
        self._now = now
        self._counted: dict[int, float] = {}
        self._powers: dict[int, tuple[float, float]] = {}
        try:
            library.nvmlInit()
            count = library.nvmlDeviceGetCount()
            handles = [library.nvmlDeviceGetHandleByIndex(number) for number in range(count)]
        except library.NVMLError as error:
            raise OSError(f"no graphics processor can be asked: {error}") from error
        visible = _visible(environment.get("CUDA_VISIBLE_DEVICES"), self._identifiers(handles))
        self._handles = {number: handles[number] for number in visible}
        if not self._handles:
            raise OSError("this process sees no graphics processor")

    def describe(self) -> Machine:
        gpus: list[Gpu] = []
        for handle in self._handles.values():
            name = self._ask("nvmlDeviceGetName", handle) or ""
            memory = self._ask("nvmlDeviceGetMemoryInfo", handle)
            gpus.append(Gpu(name=_text(name), memory_bytes=int(memory.total) if memory else 0))
        return Machine(gpus=tuple(gpus))

    def read(self) -> Reading:
        figures: dict[str, float] = {}
        joules = 0.0
        for number, handle in self._handles.items():
            figures |= {f"gpu{number}/{name}": x for name, x in self._figures(handle).items()}
            joules += self._joules(number, handle, figures.get(f"gpu{number}/power_watts"))
        return Reading(figures=figures, joules={"gpu": joules})

    def _figures(self, handle: Any) -> dict[str, float]:
        figures: dict[str, float] = {}
        use = self._ask("nvmlDeviceGetUtilizationRates", handle)
        if use is not None:
            figures["percent"] = float(use.gpu)
        memory = self._ask("nvmlDeviceGetMemoryInfo", handle)
        if memory is not None:
            figures["memory_bytes"] = float(memory.used)
            figures["memory_percent"] = 100 * memory.used / memory.total
        power = self._ask("nvmlDeviceGetPowerUsage", handle)
        if power is not None:
            figures["power_watts"] = power / 1000
        heat = self._ask("nvmlDeviceGetTemperature", handle, 0)
        if heat is not None:
            figures["temperature_celsius"] = float(heat)
        return figures

    def _joules(self, number: int, handle: Any, watts: float | None) -> float:
        """Return the energy since the last reading: the counter's, or the power's over time."""
        counted = self._ask("nvmlDeviceGetTotalEnergyConsumption", handle)
        if counted is not None:
            joules = counted / 1000
            before, self._counted[number] = self._counted.get(number, joules), joules
            return max(0.0, joules - before)
        if watts is None:
            return 0.0
        now = self._now()
        then, power = self._powers.get(number, (now, watts))
        self._powers[number] = (now, watts)
        return (now - then) * (watts + power) / 2

    def _identifiers(self, handles: list[Any]) -> list[str]:
        return [_text(self._ask("nvmlDeviceGetUUID", handle) or "") for handle in handles]

    def _ask(self, name: str, *arguments: Any) -> Any:
        """Ask the driver; None for what this device or version does not tell."""
        try:
            return getattr(self._library, name)(*arguments)
        except (self._library.NVMLError, AttributeError):
            return None


def _visible(wanted: str | None, identifiers: list[str]) -> list[int]:
    """Return the numbers of the devices that `CUDA_VISIBLE_DEVICES` names, up to its first fault.

    It names them by number, or by the beginning of an identifier (`GPU-8932f937`).
    """
    if wanted is None:
        return list(range(len(identifiers)))
    found: list[int] = []
    for word in filter(None, map(str.strip, wanted.split(","))):
        if word.isdecimal() and int(word) < len(identifiers):
            found.append(int(word))
            continue
        named = [n for n, name in enumerate(identifiers) if name and name.startswith(word)]
        if len(named) != 1:
            break
        found += named
    return list(dict.fromkeys(found))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
