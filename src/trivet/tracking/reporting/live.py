"""A run that this program reports while it goes: `with ws.tracking.begin(...) as run`."""

import getpass
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from html import escape
from types import TracebackType
from typing import Any, Final, Self, get_args

import msgspec

from trivet.core.clock import Clock, to_micros
from trivet.core.errors import Conflict, Invalid, TrivetError
from trivet.core.training import Machine, Reporter
from trivet.tracking.facts import CodeState, Environment
from trivet.tracking.notebook import executed_cells
from trivet.tracking.reporting.buffering import Chunks, PointBuffer, merged
from trivet.tracking.reporting.facts import Report, ReportedStatus
from trivet.tracking.reporting.keeping import Keeping, RunFiles
from trivet.tracking.reporting.runs import ReportedRuns
from trivet.tracking.reporting.sampling import PREFIX, Sampler

_log = logging.getLogger("trivet.tracking")
_INTERRUPTS: Final = (KeyboardInterrupt, SystemExit)
_SHOWN: Final = 12
_entered: ContextVar[tuple["LiveRun", ...]] = ContextVar("entered", default=())

Seen = tuple[CodeState, Environment, Machine]
Observe = Callable[[], Seen]


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What a live run makes use of."""

    append: Callable[[Chunks], None]
    """Writes points durably."""
    clock: Clock
    """For the time of its end."""
    files: RunFiles
    callback: Callable[[str, Reporter], Any]
    """Given a training library and a run, makes what the library calls."""
    observe: Observe | None = None
    """Looks at the program's code, environment and machine; None: somebody else has."""
    sample: Callable[[PointBuffer], Sampler | None]
    """Begins to take figures of the machine, where somebody wants them."""
    over: Callable[["LiveRun"], None]
    """Told when this program has ended its part in the run."""


class LiveRun(Keeping):
    """A run under way. Metrics never keep the program waiting; everything else is durable at once.

    Args:
        runs: Where it is recorded.
        id: The run.
        around: What it makes use of.
        ends: Whether leaving the `with` block ends the run; a run that others began goes on.
        first_step: The step of the first call of `log` that names none.

    Example:
        >>> with ws.tracking.begin("digits", parameters={"lr": 0.1}) as run:  # doctest: +SKIP
        ...     for step in range(100):
        ...         run.log(loss=1 / (step + 1), step=step)
    """

    def __init__(
        self,
        runs: ReportedRuns,
        id: str,  # the run's own word
        around: Surroundings,
        *,
        ends: bool = True,
        first_step: int = 0,
    ) -> None:
        self.id = id
        self._runs = runs
        self._around = around
        self._files = around.files
        self._ends = ends
        self._points = PointBuffer(id, around.append)
        self._next_step = first_step
        self._is_over = False
        self._observer: threading.Thread | None = None
        if around.observe is not None:
            self._observer = threading.Thread(
                target=_observe, args=(runs, id, around.observe), daemon=True
            )
            self._observer.start()
        self._sampler = around.sample(self._points)

    @property
    def is_over(self) -> bool:
        """Whether this program has ended its part in the run."""
        return self._is_over

    def log(
        self,
        metrics: Mapping[str, object] | None = None,
        /,
        *,
        step: int | None = None,
        **more: object,
    ) -> None:
        """Log one value of each metric; durable within 200 ms, or when `flush` returns.

        Behind the run's end it is durable at once.

        Args:
            metrics: Numbers by name, for names that are no Python words.
            step: Where in the training; one more than in the last call when None.
            more: Numbers by name.

        Raises:
            Invalid: A name is no key of a metric, or a value no number.
            Unavailable: The run is over, and the store cannot be written.
        """
        if step is None:
            step = self._next_step
        self._next_step = self._points.add(step, merged(metrics, more)) + 1

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

    def callback(self, library: str) -> Any:  # noqa: ANN401  # each library has a type of its own
        """Return what a training library calls, so that it reports to this run by itself.

        Args:
            library: `keras`, `lightgbm`, `lightning`, `torch`, `transformers` or `xgboost`.

        Raises:
            Invalid: Trivet knows no such library.
            Unsupported: It is not installed.

        Example:
            >>> model.fit(x, y, callbacks=[run.callback("keras")])  # doctest: +SKIP
        """
        return self._around.callback(library, self)

    def flush(self) -> None:
        """Make every metric that was logged durable.

        Raises:
            Unavailable: The store cannot be written. Nothing is lost yet: call it again.
        """
        self._points.flush()

    def finish(self, status: ReportedStatus = "succeeded") -> None:
        """Write what waits and end the run. A second call does nothing.

        Raises:
            Invalid: The status is none.
            Unavailable: The store cannot be written.
        """
        if self._is_over:
            return
        _check_status(status)
        self._look_again()
        if self._sampler is not None:
            self._sampler.stop()
        self._points.close()
        if self._points.lost:
            _log.warning("run %s: %d calls of log were lost", self.id, self._points.lost)
        if self._ends:
            ended_ms = to_micros(self._around.clock.now()) // 1000
            self._runs.report(self.id, Report(status=status, ended_ms=ended_ms))
        self._is_over = True
        self._around.over(self)

    def __enter__(self) -> Self:
        _entered.set((*_entered.get(), self))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _entered.set(tuple(run for run in _entered.get() if run is not self))
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

    def __repr__(self) -> str:
        return f"<run {self.id}{' (over)' if self._is_over else ''}>"

    def _repr_html_(self) -> str:
        """Show the run in a notebook: its name, how it stands, and its latest metrics."""
        try:
            found = self._runs.get(self.id)
        except TrivetError:
            return escape(repr(self))
        own = [(k, v) for k, v in found.metrics.items() if not k.startswith(PREFIX)]
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td>{latest.value:.6g}</td><td>{latest.step}</td></tr>"
            for name, latest in own[:_SHOWN]
        )
        head = f"<b>{escape(found.name)}</b> {found.status} <code>{self.id}</code>"
        titles = "<tr><th>metric</th><th>latest</th><th>step</th></tr>"
        return f"<div>{head}</div>" + (f"<table>{titles}{rows}</table>" if rows else "")

    def _step_now(self) -> int:
        return max(0, self._next_step - 1)

    def _look_again(self) -> None:
        """Wait until the program was looked at; the cells of a notebook are more by now."""
        if self._observer is None or self._around.observe is None:
            return
        self._observer.join()
        if executed_cells() is not None:
            _observe(self._runs, self.id, self._around.observe)


def current_run() -> LiveRun | None:
    """Return the innermost run whose `with` block this code is in, None when it is in none."""
    open_runs = [run for run in _entered.get() if not run.is_over]
    return open_runs[-1] if open_runs else None


def _check_status(status: object) -> None:
    known = get_args(ReportedStatus)
    if status not in known:
        raise Invalid(f"status is {status!r}; expected one of {sorted(known)}", code="bad-status")


def _observe(runs: ReportedRuns, run: str, observe: Observe) -> None:
    # Whatever cannot be seen of a program never disturbs it.
    with suppress(TrivetError, Conflict, OSError):
        runs.observe(run, *observe())


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
