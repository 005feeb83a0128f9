"""Points on their way from a training program into the store, without keeping it waiting.

`add` costs about a microsecond: it checks, and puts the call into a list. A thread turns calls
into columns and appends them ten times a second, so a point is durable within 200 ms, or when
`flush` returns.
"""

import atexit
import math
import os
import threading
import weakref
from array import array
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import chain
from time import time_ns
from typing import Any, Final

from trivet.core.errors import Invalid, TrivetError
from trivet.core.ports import Points, SeriesKey
from trivet.tracking.reporting.experiments import check_key

FLUSH_S: Final = 0.1
_MANY: Final = 200_000
"""So many calls in waiting are written by the program itself: it is quicker than the thread."""
_MOST: Final = 2_000_000
"""So many calls are kept while the store cannot be written; later ones are counted and lost."""
_MOST_STEP: Final = 2**63 - 1

Chunks = Sequence[tuple[SeriesKey, Points]]
Call = tuple[int, int, dict[str, float]]


class PointBuffer:
    """The points of one run that are not written yet. Safe between threads.

    Args:
        run: The run.
        append: Writes points durably; `Series.append`.
    """

    def __init__(self, run: str, append: Callable[[Chunks], None]) -> None:
        self._run = run
        self._append = append
        self._lost = 0
        self._begin()
        _open.add(self)
        _flush_at_exit()

    def _begin(self) -> None:
        """Start with nothing in waiting: in a new object, and in a child after a fork."""
        self._pid = os.getpid()
        self._waiting: list[Call] = []
        self._keys: dict[str, SeriesKey] = {}
        self._flushing = threading.Lock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self.trouble: TrivetError | None = None
        """Why the store refused the last time; None when it did not."""

    @property
    def lost(self) -> int:
        """How many calls were lost because the store could not be written for too long."""
        return self._lost

    def add(self, step: int, metrics: dict[str, float]) -> int:
        """Take one value of each metric, at this moment; return the step as it is recorded.

        The mapping belongs to the buffer from now on. Behind `close` this is durable at once.

        Raises:
            Invalid: A name is no key, a value no number, or the step no whole number of 64 bits.
            Unavailable: The buffer is closed, and the store cannot be written.
        """
        keys = self._keys
        for name, value in metrics.items():
            if type(value) is not float:
                metrics[name] = _number(name, value)
            if name not in keys:
                check_key(name, "metric")
                keys[name] = SeriesKey(self._run, name)
        if type(step) is not int or not -_MOST_STEP <= step <= _MOST_STEP:
            step = step_of(step)
        waiting = self._waiting
        waiting.append((step, time_ns(), metrics))
        _unwritten.add(self)  # behind the append: whoever flushes takes it out before looking
        if self._thread is None or len(waiting) > _MANY:
            self._attend()
        return step

    def flush(self) -> None:
        """Make everything that was added durable.

        Raises:
            Unavailable: The store cannot be written. What waits is kept for the next time.
        """
        with self._flushing:
            _unwritten.discard(self)
            # Other threads go on appending to this very list: it is cut, never replaced.
            count = len(self._waiting)
            if not count:
                return
            try:
                self._append(self._columns(self._waiting[:count]))
            except TrivetError as error:
                self.trouble = error
                _unwritten.add(self)
                raise
            del self._waiting[:count]
            self.trouble = None

    def close(self) -> None:
        """Stop the thread, then flush.

        Raises:
            Unavailable: The store cannot be written.
        """
        if os.getpid() != self._pid:
            return
        self._is_closed = True
        self._over.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()
        self._thread = None  # whoever adds something from now on writes it, too
        self.flush()

    def after_fork(self) -> None:
        """Forget, in a child process, what its parent will write."""
        self._begin()

    def _attend(self) -> None:
        if self._is_closed:
            self.flush()
        elif self._thread is None:
            with self._flushing:
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=_work, args=(weakref.ref(self), self._over), daemon=True
                    )
                    self._thread.start()
        if len(self._waiting) > _MANY and self.trouble is None:
            self.try_to_flush()
        elif len(self._waiting) > _MOST:
            with self._flushing:
                self._lost += len(self._waiting[_MOST:])
                del self._waiting[_MOST:]

    def try_to_flush(self) -> None:
        """Flush; when the store cannot be written, `trouble` says so."""
        try:
            self.flush()
        except TrivetError:
            return

    def _columns(self, calls: list[Call]) -> list[tuple[SeriesKey, Points]]:
        """Turn calls into columns: calls of the same metrics share their steps and times."""
        groups: dict[tuple[str, ...], list[Call]] = {}
        for call in calls:
            groups.setdefault(tuple(call[2]), []).append(call)
        chunks: list[tuple[SeriesKey, Points]] = []
        for names, group in groups.items():
            steps = array("q", [call[0] for call in group])
            times = array("q", [call[1] // 1_000_000 for call in group])
            values = array("d", chain.from_iterable(call[2].values() for call in group))
            for place, name in enumerate(names):
                points = Points(steps, times, values[place :: len(names)])
                chunks.append((self._keys[name], points))
        return chunks


def merged(first: Mapping[str, object] | None, more: dict[str, object]) -> dict[str, Any]:
    """Return both mappings as one that nobody else holds."""
    return {**first, **more} if first else more


def _number(name: str, value: object) -> float:
    if not isinstance(value, str | bytes) and hasattr(value, "__float__"):
        try:
            return float(value)  # pyright: ignore[reportArgumentType]  # it has __float__
        except (TypeError, ValueError, OverflowError, RuntimeError):  # the last: PyTorch
            pass
    raise Invalid(
        f"metric {name!r} is a {type(value).__name__}; expected a number",
        code="bad-metric",
        hint="Pass a float; text belongs into a tag or a parameter.",
    )


def step_of(step: object) -> int:
    """Return a step that a program names as a whole number.

    Raises:
        Invalid: It is no whole number of 64 bits.
    """
    if not isinstance(step, bool) and hasattr(step, "__index__"):
        number = int(step)  # pyright: ignore[reportArgumentType]  # it has __index__
        if -_MOST_STEP <= number <= _MOST_STEP:
            return number
    if isinstance(step, float) and math.isfinite(step) and step.is_integer():
        return step_of(int(step))
    raise Invalid(
        f"step is a {type(step).__name__}; expected a whole number of 64 bits", code="bad-step"
    )


def _work(buffer: "weakref.ref[PointBuffer]", over: threading.Event) -> None:
    while not over.wait(FLUSH_S):
        found = buffer()
        if found is None:
            return
        found.try_to_flush()
        del found


_open: "weakref.WeakSet[PointBuffer]" = weakref.WeakSet()
_unwritten: Final[set[PointBuffer]] = set()
"""Those in which something waits: a program may let go of a run that it did not end."""


def flush_all() -> None:
    """Make durable what waits in every buffer of this process, as far as the stores allow."""
    for buffer in _all_open():
        buffer.try_to_flush()


def _all_open() -> list[PointBuffer]:
    while True:
        try:
            return list(_open)
        except RuntimeError:  # another thread has just opened one
            continue


def _after_fork() -> None:
    for buffer in _all_open():
        buffer.after_fork()
    _unwritten.clear()


@cache
def _flush_at_exit() -> None:
    # What is registered last is done first: the stores are open by now, and closed after this.
    atexit.register(flush_all)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
