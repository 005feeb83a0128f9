"""Signs of life: a run that a program began, and that has been silent for too long, is lost.

Whoever begins a run through Trivet gives a sign every few seconds. A document beside the run's own
says when the last one came; it is there from the run's beginning to its end, written and removed
in the same commits. A run without one, such as a run of an MLflow client, is never called lost.
"""

import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol

from trivet.core.catalog import Amendment, Compare, Document, Every, Search, Value
from trivet.core.errors import Conflict, NotFound, TrivetError
from trivet.core.facts import Scope, draft
from trivet.core.ports import Stores
from trivet.core.training import harmless
from trivet.tracking.reporting.documents import RUNS, silent_run
from trivet.tracking.reporting.facts import RunSilent

BEAT_S: Final = 15.0
"""How often a program gives a sign."""
LOST_AFTER_S: Final = 90.0
"""How long a run may be silent: a few signs can be late on a machine that is busy."""
_BEATS: Final = "beats"
_PAGE: Final = 500
_PATIENCE_S: Final = 2.0


class Liveness:
    """What is known of the life of a project's runs.

    Args:
        stores: Where everything is kept.
        scope: Whose runs they are, and in whose name they are called lost.
    """

    def __init__(self, stores: Stores, scope: Scope) -> None:
        self._catalog = stores.catalog
        self._ledger = stores.ledger
        self._scope = scope
        self._project = scope.project

    def begun(self, run: str) -> Amendment:
        """Return the amendment by which a run gives signs from now on."""
        return self._begun(run, _now_ms())

    def ended(self, run: str) -> Amendment:
        """Return the amendment by which no more signs of a run are expected."""
        return Amendment(collection=_BEATS, id=run, remove=True)

    def beat(self, run: str, *, age_ms: int = 0) -> None:
        """Take a sign of life; a lost run is running again. Of a run that ended it says nothing.

        Signs of a run are expected from the first one on.

        Args:
            run: The run.
            age_ms: How long ago it was given.
        """
        known = self._catalog.get(_BEATS, [run])
        if not known:
            self._expect(run, _now_ms() - max(0, age_ms))
            return
        beat = max(int(known[0].attributes["beat"]), _now_ms() - max(0, age_ms))
        if not known[0].attributes["silent"]:
            self._take(lambda: self._note(run, beat), run, age_ms)
        elif not _is_silent(beat):
            back = self._sign(run, {"beat": beat, "silent": 0}, {})
            self._take(lambda: self._record(run, back, silent=False), run, age_ms)

    def _take(self, write: Callable[[], None], run: str, age_ms: int) -> None:
        try:
            write()
        except NotFound:  # it ended in this moment
            return
        except Conflict:  # somebody called it lost in this moment
            self.beat(run, age_ms=age_ms)

    def runs(self) -> dict[str, int]:
        """Return the runs of which signs are expected, and how long ago the last one was, in ms."""
        now = _now_ms()
        found = self._catalog.search(
            Search(collection=_BEATS, groups=(self._project,), limit=50_000)
        ).documents
        return {each.id: max(0, now - int(each.attributes["beat"])) for each in found}

    def settle(self) -> None:
        """Call the runs lost that have been silent for too long."""
        since = Compare("beat", "<", _now_ms() - LOST_AFTER_S * 1000)
        wanted = Search(
            collection=_BEATS,
            groups=(self._project,),
            where=Every((since, Compare("silent", "=", 0))),
            limit=_PAGE,
        )
        for document in self._catalog.search(wanted).documents:
            self._lose(document)

    def settle_one(self, run: str) -> bool:
        """Call a run lost when it has been silent for too long; say whether that changed it."""
        known = self._catalog.get(_BEATS, [run])
        if not known or known[0].attributes["silent"]:
            return False
        return _is_silent(known[0].attributes["beat"]) and self._lose(known[0])

    def _note(self, run: str, beat: int) -> None:
        self._catalog.write([self._sign(run, {"beat": beat}, {"silent": 0})], synced=False)

    def _record(self, run: str, guard: Amendment, *, silent: bool) -> None:
        fact = draft(RunSilent(run=run, silent=silent), parents=[run])
        reason = f"run {run} is " + ("lost" if silent else "running again")
        documents = [guard, silent_run(run, silent=silent)]
        self._ledger.commit(self._scope.batch(reason, [fact], documents=documents))

    def _expect(self, run: str, beat: int) -> None:
        goes_on = Amendment(collection=RUNS, id=run, once={"status": "RUNNING"}, expect="known")
        with suppress(Conflict, NotFound):  # it has ended, or is nowhere
            self._catalog.write([goes_on, self._begun(run, beat)], synced=False)

    def _begun(self, run: str, beat: int) -> Amendment:
        return Amendment(
            collection=_BEATS, id=run, group=self._project, set={"beat": beat, "silent": 0}
        )

    def _sign(self, run: str, now: dict[str, Value], only_if: dict[str, Value]) -> Amendment:
        return Amendment(collection=_BEATS, id=run, set=now, once=only_if, expect="known")

    def _lose(self, beat: Document) -> bool:
        # Only if no sign came meanwhile, and the run has not ended: then nothing is written.
        guard = self._sign(beat.id, {"silent": 1}, {"beat": beat.attributes["beat"]})
        try:
            self._record(beat.id, guard, silent=True)
        except (Conflict, NotFound):
            return False
        return True


class Alive(Protocol):
    """A run under way in this process."""

    @property
    def id(self) -> str:
        """The run."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether this program has ended its part in it."""
        ...


class Pulse:
    """Gives signs of the runs that go on in this process, until they are over or gone.

    Args:
        beat: Takes a sign of a run.
    """

    def __init__(self, beat: Callable[[str], None]) -> None:
        self._beat = beat
        self._runs: weakref.WeakSet[Any] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, run: Alive) -> None:
        """Give signs of a run from now on."""
        with self._lock:
            self._runs.add(run)
            if self._thread is None or not self._thread.is_alive():
                self._over = threading.Event()
                self._thread = threading.Thread(
                    target=_keep_beating,
                    args=(weakref.ref(self), self._over),
                    name="trivet-pulse",
                    daemon=True,
                )
                self._thread.start()

    def remove(self, run: Alive) -> None:
        """Give no more signs of a run."""
        with self._lock:
            self._runs.discard(run)
            thread, self._thread = (None, self._thread) if self._runs else (self._thread, None)
            if thread is not None:
                self._over.set()
        if thread is not None:
            thread.join(_PATIENCE_S)

    def turn(self) -> bool:
        """Give a sign of each run; say whether there is one."""
        with self._lock:
            runs = [run for run in self._runs if not run.is_over]
        for run in runs:
            with suppress(TrivetError):  # the store is away for a moment; the next sign may come
                self._beat(run.id)
        return bool(runs)


@harmless
def _keep_beating(pulse: "weakref.ref[Pulse]", over: threading.Event) -> None:
    while not over.wait(BEAT_S):
        found = pulse()
        if found is None or not found.turn():
            return
        del found


def _is_silent(beat: Any) -> bool:  # noqa: ANN401  # a number of a document
    return float(beat) < _now_ms() - LOST_AFTER_S * 1000


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
