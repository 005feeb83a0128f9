"""Autolog under way: watched calls become runs, or parts of the run that the program is in."""

import logging
import os
import threading
import weakref
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from trivet.core.training import Autologger, Call, Finished, Observe, Reporter
from trivet.tracking.autolog.imports import ImportWatch
from trivet.tracking.autolog.patching import Around, Patches
from trivet.tracking.autolog.telling import Known, Told
from trivet.tracking.reporting.facts import ReportedStatus
from trivet.tracking.reporting.live import current_run

_log = logging.getLogger("trivet.tracking")
_INTERRUPTS: Final = (KeyboardInterrupt, SystemExit)

Begin = Callable[[str], Reporter]
"""Given a name, begins a run."""


class _Outer(msgspec.Struct, eq=False):
    """A watched call that takes place: calls within it are its own business."""

    told: Told
    libraries: frozenset[str]
    """Whose object's method it is, by the first part of their modules' names."""
    threads: "weakref.WeakSet[threading.Thread]"
    """Those that were there when it began."""


_outer: ContextVar[_Outer | None] = ContextVar("outer", default=None)


class Autolog:
    """Libraries that report by themselves, until `stop`. Usable as a context manager.

    Args:
        libraries: What is watched, of each library.
        begin: Begins a run for a call outside of every run.
        known: Tells the parameters that a run has.
    """

    def __init__(self, libraries: Sequence[Autologger], begin: Begin, known: Known) -> None:
        self._libraries = {each.library: each for each in libraries}
        self._begin = begin
        self._known = known
        self._pid = os.getpid()
        self._is_on = True
        self._patches = Patches()
        self._lock = threading.Lock()
        self._under_way: set[_Outer] = set()
        self._calls: dict[str, int] = {}
        self._warned: set[str] = set()
        self._imports = ImportWatch(self._attach)

    @property
    def is_on(self) -> bool:
        """Whether libraries are watched."""
        return self._is_on

    def start(self) -> Self:
        """Watch libraries that are loaded, and the others as soon as they are."""
        self._imports.watch(tuple(self._libraries))
        return self

    def stop(self) -> None:
        """Give every library back as it was. A second call does nothing."""
        self._is_on = False
        self._imports.stop()
        self._patches.undo()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # ------------------------------------------------------------- what adapters ask for

    def function(
        self, place: str, observe: Observe, *, also: Sequence[str] = (), inner: str = ""
    ) -> None:
        """Watch a function; see the port `Watch`."""
        title = place.partition(".")[0] + "." + place.partition(":")[2]

        def around(
            original: Callable[..., Any], _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Any:
            outer = _outer.get()
            if outer is not None and inner in outer.libraries and self._is_mine():
                call = Call(owner=None, args=args, kwargs=kwargs, is_inner=True)
                return self._observed(outer.told, title, observe, original, call)
            if outer is not None or not self._is_told():
                return original(*args, **kwargs)
            call = Call(owner=None, args=args, kwargs=kwargs)
            return self._told(title, observe, original, call)

        self._patches.function(place, also, around)

    def methods(
        self, root: type, names: Sequence[str], observe: Observe, is_told: Callable[[Any], bool]
    ) -> None:
        """Watch methods; see the port `Watch`."""

        def around(
            original: Callable[..., Any], owner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Any:
            if _outer.get() is not None or not self._is_told() or not is_told(owner):
                return original(*args, **kwargs)
            call = Call(owner=owner, args=args, kwargs=kwargs)
            return self._told(type(owner).__name__, observe, original, call)

        watched: Around = around
        self._patches.methods(root, names, watched)

    # ------------------------------------------------------------------- inside

    def _attach(self, library: str) -> None:
        with self._guard(f"watching {library}"):
            self._libraries[library].attach(self)

    def _is_mine(self) -> bool:
        # A forked child has its parent's watch, but neither its threads nor its say.
        return self._is_on and os.getpid() == self._pid

    def _is_told(self) -> bool:
        return self._is_mine() and not self._is_in_a_worker()

    def _is_in_a_worker(self) -> bool:
        """Say whether this thread is one of a pool that a call under way has made for itself."""
        thread = threading.current_thread()
        if type(thread).__name__ != "DummyProcess":  # multiprocessing.pool.ThreadPool, and joblib
            return False
        # A copy, taken at once: other calls begin and end meanwhile.
        return any(thread not in outer.threads for outer in self._under_way.copy())

    def _told(self, title: str, observe: Observe, original: Callable[..., Any], call: Call) -> Any:
        """Make a call that is told, in the program's run or in one of its own."""
        opened = self._opened(title)
        if opened is None:
            return original(*call.args, **call.kwargs)
        told, own = opened
        status: ReportedStatus = "failed"
        try:
            with self._within(told, call.owner):
                answer = self._observed(told, title, observe, original, call)
            status = "succeeded"
            return answer
        except _INTERRUPTS:
            status = "cancelled"
            raise
        finally:
            if own is not None:
                with self._guard(f"ending the run of {title}"):
                    own.finish(status)

    def _observed(
        self, told: Told, title: str, observe: Observe, original: Callable[..., Any], call: Call
    ) -> Any:
        given = call.args, call.kwargs
        call.kwargs = dict(call.kwargs)
        finished: Finished | None = None
        is_ready = False
        with self._guard(f"what {title} was given"):
            finished = observe(told, call)
            is_ready = True
        if not is_ready:
            call.args, call.kwargs = given
        answer = original(*call.args, **call.kwargs)
        if finished is not None:
            with self._guard(f"what {title} returned"):
                finished(answer)
        return answer

    def _opened(self, title: str) -> tuple[Told, Reporter | None] | None:
        """Return what a call tells, and the run to end after it; None when nothing can be told."""
        with self._guard(f"beginning a run for {title}"):
            current = current_run()
            run = current or self._begin(title)
            number = self._count(run) if current else 1
            prefix = "" if number == 1 else f"fit{number}/"
            return Told(run, title, prefix, self._known), None if current else run
        return None

    def _count(self, run: Reporter) -> int:
        with self._lock:
            number = self._calls[run.id] = self._calls.get(run.id, 0) + 1
            return number

    @contextmanager
    def _within(self, told: Told, owner: Any) -> Generator[None]:
        kinds = type(owner).__mro__ if owner is not None else ()
        outer = _Outer(
            told=told,
            libraries=frozenset(kind.__module__.partition(".")[0] for kind in kinds),
            threads=weakref.WeakSet(threading.enumerate()),
        )
        self._under_way.add(outer)
        before = _outer.get()
        _outer.set(outer)
        try:
            yield
        finally:
            _outer.set(before)
            self._under_way.discard(outer)

    @contextmanager
    def _guard(self, what: str) -> Generator[None]:
        """Let nothing that goes wrong here reach the program; say it once."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  # the user's fit goes on whatever happens here
            if what not in self._warned:
                self._warned.add(what)
                _log.warning("autolog: %s could not be recorded: %r", what, error)
