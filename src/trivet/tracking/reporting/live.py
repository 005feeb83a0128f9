"""A run that this program reports while it goes: `with ws.tracking.begin(...) as run`."""

import getpass
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from trivet.core.clock import Clock, to_micros
from trivet.core.errors import Conflict, TrivetError
from trivet.tracking.facts import CodeState, Environment
from trivet.tracking.reporting.buffering import Chunks, PointBuffer, merged
from trivet.tracking.reporting.facts import Report, ReportedStatus
from trivet.tracking.reporting.runs import ReportedRuns

_log = logging.getLogger("trivet.tracking")
_INTERRUPTS: Final = (KeyboardInterrupt, SystemExit)

Observe = Callable[[], tuple[CodeState, Environment]]


class LiveRun:
    """A run under way. Metrics never keep the program waiting; everything else is durable at once.

    Args:
        runs: Where it is recorded.
        id: The run.
        append: Writes points durably.
        clock: For the time of its end.
        observe: Looks at the program's code and environment; None: somebody else has.
        ends: Whether leaving the `with` block ends the run; a run that others began goes on.

    Example:
        >>> with ws.tracking.begin("digits", parameters={"lr": 0.1}) as run:  # doctest: +SKIP
        ...     for step in range(100):
        ...         run.log(loss=1 / (step + 1), step=step)
    """

    def __init__(
        self,
        runs: ReportedRuns,
        id: str,  # the run's own word
        append: Callable[[Chunks], None],
        clock: Clock,
        *,
        observe: Observe | None = None,
        ends: bool = True,
    ) -> None:
        self.id = id
        self._runs = runs
        self._clock = clock
        self._ends = ends
        self._points = PointBuffer(id, append)
        self._next_step = 0
        self._is_over = False
        self._observer: threading.Thread | None = None
        if observe is not None:
            self._observer = threading.Thread(target=self._observe, args=(observe,), daemon=True)
            self._observer.start()

    def log(
        self,
        metrics: Mapping[str, object] | None = None,
        /,
        *,
        step: int | None = None,
        **more: object,
    ) -> None:
        """Log one value of each metric; durable within 200 ms, or when `flush` returns.

        Args:
            metrics: Numbers by name, for names that are no Python words.
            step: Where in the training; one more than in the last call when None.
            more: Numbers by name.

        Raises:
            Invalid: A name is no key of a metric, or a value no number.
        """
        if step is None:
            step = self._next_step
        self._points.add(step, merged(metrics, more))
        self._next_step = step + 1

    def set_parameters(
        self, parameters: Mapping[str, object] | None = None, /, **more: object
    ) -> None:
        """Record parameters, durably. A parameter has one value for good.

        Raises:
            Invalid: One has another value already (code `other-parameter`).
        """
        self._runs.report(self.id, Report(parameters=texts_of(merged(parameters, more))))

    def set_tags(self, tags: Mapping[str, object] | None = None, /, **more: object) -> None:
        """Record tags, durably. A tag can be set again."""
        self._runs.report(self.id, Report(tags=texts_of(merged(tags, more))))

    def flush(self) -> None:
        """Make every metric that was logged durable.

        Raises:
            Unavailable: The store cannot be written. Nothing is lost yet: call it again.
        """
        self._points.flush()

    def finish(self, status: ReportedStatus = "succeeded") -> None:
        """Write what waits and end the run. A second call does nothing.

        Raises:
            Unavailable: The store cannot be written.
        """
        if self._is_over:
            return
        if self._observer is not None:
            self._observer.join()
        self._points.close()
        if self._points.lost:
            _log.warning("run %s: %d calls of log were lost", self.id, self._points.lost)
        if self._ends:
            ended_ms = to_micros(self._clock.now()) // 1000
            self._runs.report(self.id, Report(status=status, ended_ms=ended_ms))
        self._is_over = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        status: ReportedStatus = "succeeded"
        if error is not None:
            status = "cancelled" if isinstance(error, _INTERRUPTS) else "failed"
        try:
            self.finish(status)
        except TrivetError as trouble:
            if error is None:
                raise
            # The program's own error is what its author needs to see.
            _log.warning("run %s could not be ended: %s", self.id, trouble.message)

    def _observe(self, observe: Observe) -> None:
        # Whatever cannot be seen of a program never disturbs it.
        with suppress(TrivetError, Conflict, OSError):
            self._runs.observe(self.id, *observe())


def entry_of_program() -> str:
    """Return what is run: the main module's name or file."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return f"{spec.name}:__main__"
    return f"{getattr(main, '__file__', None) or 'interactive'}:__main__"


def user_of_program() -> str:
    """Return the name of whoever runs the program."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def texts_of(values: Mapping[str, object]) -> dict[str, str]:
    """Return values as they are recorded: as text."""
    return {name: value if isinstance(value, str) else str(value) for name, value in values.items()}
