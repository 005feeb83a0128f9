"""What the machine does while a run goes: figures of meters, as metrics under `system/`."""

import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Final, cast

import msgspec

from trivet.core.errors import Invalid
from trivet.core.training import Machine, Meter, harmless
from trivet.tracking.reporting.buffering import PointBuffer
from trivet.tracking.reporting.facts import Latest

EVERY_S: Final = 10.0
PREFIX: Final = "system/"
_LEAST_S: Final = 0.1
_FIRST_S: Final = 1.0
"""A run that is over soon has figures, too: pauses begin here and double."""
_NOISE_S: Final = 0.25
"""Rates over less time than this say nothing."""
_PATIENCE_S: Final = 2.0
_JOULES_PER_KWH: Final = 3.6e6

Meters = Callable[[], Sequence[Meter]]


def last_step(metrics: Mapping[str, Latest]) -> int:
    """Return the greatest step of a program's own metrics, -1 when there are none."""
    own = (latest.step for name, latest in metrics.items() if not name.startswith(PREFIX))
    return max(own, default=-1)


def seconds_of(system: bool | float) -> float | None:  # noqa: FBT001  # a switch or a number
    """Return how often figures are taken, in seconds; None for never.

    Raises:
        Invalid: It is neither a boolean nor a number of 0.1 or more.
    """
    if isinstance(system, bool):
        return EVERY_S if system else None
    if isinstance(cast("object", system), int | float) and system >= _LEAST_S:
        return float(system)
    raise Invalid(
        f"system is {system!r}; expected True, False, or a number of seconds of at least "
        f"{_LEAST_S}",
        code="bad-system",
    )


def describe(meters: Sequence[Meter]) -> Machine:
    """Put together what meters know of the machine."""
    return reduce(_joined, (meter.describe() for meter in meters), Machine())


class Sampler:
    """Takes figures in a thread until it is stopped, or the run's points are gone.

    Args:
        meters: Opens the meters; called in the thread.
        points: Where the figures go.
        every_s: Seconds between figures.
        label: Whose figures they are, where several processes report to one run.
    """

    def __init__(
        self, meters: Meters, points: PointBuffer, every_s: float, label: str = ""
    ) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(
            target=_work,
            args=(lambda: _Figures(meters(), label), weakref.ref(points), self._over, every_s),
            name="trivet-system",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """Take the last figures and stop."""
        self._over.set()
        # A file system that hangs must not hold up the end of a run.
        self._thread.join(_PATIENCE_S)


class _Figures:
    """Turns readings into points."""

    def __init__(self, meters: Sequence[Meter], label: str) -> None:
        self._meters = meters
        self._prefix = f"{PREFIX}{label}/" if label else PREFIX
        self._step = 0
        self._kwh: dict[str, float] = {}
        for meter in meters:
            meter.read()  # rates and energy count from here
        self.since = time.monotonic()

    def take(self, points: PointBuffer) -> None:
        figures: dict[str, float] = {}
        for meter in self._meters:
            reading = meter.read()
            figures |= reading.figures
            for user, joules in reading.joules.items():
                self._kwh[user] = self._kwh.get(user, 0.0) + joules / _JOULES_PER_KWH
        if self._kwh:
            figures |= {f"energy_{user}_kwh": kwh for user, kwh in self._kwh.items()}
            figures["energy_kwh"] = sum(self._kwh.values())
        self.since = time.monotonic()
        points.add(self._step, {self._prefix + name: value for name, value in figures.items()})
        self._step += 1


@harmless
def _work(
    begin: Callable[[], _Figures],
    points: "weakref.ref[PointBuffer]",
    over: threading.Event,
    every_s: float,
) -> None:
    figures = begin()
    pause = min(_FIRST_S, every_s)
    while not over.wait(pause):
        if not _take(figures, points):
            return
        pause = min(2 * pause, every_s)
    if time.monotonic() - figures.since > _NOISE_S:
        _take(figures, points)


def _take(figures: _Figures, points: "weakref.ref[PointBuffer]") -> bool:
    """Take figures; say whether there is still somebody to take them for."""
    found = points()
    if found is not None:
        figures.take(found)
    return found is not None


def _joined(first: Machine, second: Machine) -> Machine:
    nothing = Machine()
    said = {
        field: value
        for field in Machine.__struct_fields__
        if (value := getattr(second, field)) != getattr(nothing, field)
    }
    return msgspec.structs.replace(first, **said)
