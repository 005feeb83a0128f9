"""Measuring points: by NumPy where a program has loaded it, else without."""

import math
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, cast

from trivet.adapters.files.points.figures import POINT_BYTES, Figures, rank

_ARRAYS_FROM: Final = 64

Choose = Callable[[Iterable[Any]], Any]


def measure(content: bytes) -> Figures:
    """Return the figures of one or more points, given as their columns."""
    count = len(content) // POINT_BYTES
    if count > _ARRAYS_FROM and "numpy" in sys.modules:
        # Loaded only where it is already: who appends and nothing else shall not pay for it.
        from trivet.adapters.files.points.columns import measure_arrays

        return measure_arrays(content)
    view = memoryview(content)
    steps: list[int] = view[: 8 * count].cast("q").tolist()
    times = view[8 * count : 16 * count].cast("q")
    values = cast("list[float]", view[16 * count :].cast("d").tolist())
    if count > 1 and steps[0] != steps[1] and steps[-2] != steps[-1] and steps == sorted(steps):
        first, last = (steps[0], times[0], values[0]), (steps[-1], times[-1], values[-1])
    else:
        first = _edge(min, steps, times, values)
        last = _edge(max, steps, times, values) if count > 1 else first
    # `min` and `max` pass by any NaN but one that comes first.
    numbers = values
    if math.isnan(values[0]):
        numbers = [value for value in values if not math.isnan(value)] or [math.nan]
    return (count, *first, *last, min(numbers), max(numbers))


def _edge(
    choose: Choose, steps: Sequence[int], times: Sequence[int], values: Sequence[float]
) -> tuple[int, int, float]:
    """Return the least or greatest point."""
    step: int = choose(steps)
    if steps.count(step) == 1:
        at = steps.index(step)
        return step, times[at], values[at]
    at_step = [at for at, other in enumerate(steps) if other == step]
    time: int = choose(times[at] for at in at_step)
    at_time = [values[at] for at in at_step if times[at] == time]
    ranked = [(rank(value), value) for value in at_time] if len(at_time) > 1 else [(0, at_time[0])]
    return step, time, choose(ranked)[1]
