"""The `Workers` over warm processes of this machine.

Work waits in line until what it needs is free, and goes to a worker that is warm for it, or to a
new one. A worker that dies, is late or takes too much fails its own call alone, and another takes
its place.
"""

import atexit
import os
import queue
import sys
import threading
import weakref
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import msgspec

from trivet.adapters.process.attending import Attended, OnLine, OnWord, Stale
from trivet.adapters.process.environments import Environments
from trivet.adapters.process.memory import machine_mib
from trivet.adapters.process.nurseries import Breed, Nursery
from trivet.adapters.process.room import Room, usable_cpus, visible_gpus
from trivet.adapters.process.worker import Assignment
from trivet.core.errors import TrivetError, Unavailable, Unsupported
from trivet.core.work import Needs, Work

_WAITING_PER_CPU = 2
_FRESH_TRIES = 3
_JOIN_S = 10.0
_LOOK_S = 0.2
"""A wait without end may never notice Ctrl-C: libraries (Polars) take the signal over in a way that
does not wake the thread. So every wait ends now and then."""


class ProcessPool:
    """Warm workers on this machine. Nothing is started before work comes.

    Args:
        environments: The folder in which environments are kept.
        cpus: How many processors work may use at once; all that this process may when None.
        gpus: The names of the graphics processors, as CUDA_VISIBLE_DEVICES has them; those that
            are found when None.
        memory_mib: How much memory may be promised at once; that of the machine when None.
    """

    def __init__(
        self,
        environments: Path,
        *,
        cpus: int | None = None,
        gpus: Sequence[str] | None = None,
        memory_mib: int | None = None,
    ) -> None:
        self._environments = Environments(environments)
        self._room = Room(
            cpus=cpus or usable_cpus(),
            gpus=tuple(visible_gpus() if gpus is None else gpus),
            memory_mib=machine_mib() if memory_mib is None else memory_mib,
        )
        self._bound = _WAITING_PER_CPU * self._room.cpus
        self._changed = threading.Condition()
        self._waiting: deque[_Place] = deque()
        self._by_key: dict[str, _Place] = {}
        self._workers: list[_Worker] = []
        self._nurseries: dict[Breed, Nursery] = {}
        self._starting = threading.Lock()
        self._is_closed = False
        atexit.register(_close, weakref.ref(self))

    def submit(
        self, work: Work, *, on_line: OnLine | None = None, on_word: OnWord | None = None
    ) -> "_Ticket":
        if not hasattr(os, "fork"):
            raise Unsupported(
                "this system cannot fork, which warm workers are made by",
                hint="Run on Linux or macOS, or take where= off the steps.",
            )
        self._room.check(work.needs)
        place = _Place(work, on_line, on_word)
        with self._changed:
            while len(self._waiting) >= self._bound and not self._is_closed:
                self._changed.wait(_LOOK_S)
            if self._is_closed:
                raise _closed()
            known = self._by_key.get(work.key) if work.key else None
            if known is not None:
                known.holders += 1
                return _Ticket(self, known)
            if work.key:
                self._by_key[work.key] = place
            self._waiting.append(place)
            self._hand_out()
        return _Ticket(self, place)

    def width(self, needs: Needs) -> int:
        self._room.check(needs)
        return self._room.width(needs)

    def close(self) -> None:
        with self._changed:
            if self._is_closed:
                return
            self._is_closed = True
            atexit.unregister(_close)
            places = [*self._waiting, *(w.place for w in self._workers if w.place is not None)]
            self._waiting.clear()
            workers, self._workers = self._workers, []
            self._changed.notify_all()
        for place in places:
            self._end(place)
        for worker in workers:
            worker.inbox.put(None)
        with self._starting:  # one that is being started is closed, too
            for nursery in self._nurseries.values():
                nursery.close()
        for worker in workers:
            worker.thread.join(_JOIN_S)

    # ------------------------------------------------------------------ cancel

    def cancel(self, place: "_Place") -> None:
        """Give up one hold on work; the last one ends it."""
        with self._changed:
            place.holders -= 1
            if place.holders > 0:
                return
            self._forget(place)  # whoever asks for the same from now on has it done anew
            if place in self._waiting:
                self._waiting.remove(place)
                self._hand_out()
        self._end(place)

    def _end(self, place: "_Place") -> None:
        place.cancelled.set()
        place.settle(error=_cancelled())
        with self._changed:  # held, so that the worker is not given other work meanwhile
            if place.attended is not None:
                place.attended.kill()

    def _forget(self, place: "_Place") -> None:
        if self._by_key.get(place.work.key) is place:
            del self._by_key[place.work.key]

    # ---------------------------------------------------------------- hand out

    def _hand_out(self) -> None:
        """Give work to workers, first come, first served, while there is room. Lock is held."""
        while self._waiting:
            place = self._waiting[0]
            gpus = self._room.take(place.work.needs)
            if gpus is None:
                break
            self._waiting.popleft()
            place.gpus = gpus
            self._worker_for(place).inbox.put(place)
        self._changed.notify_all()

    def _worker_for(self, place: "_Place") -> "_Worker":
        kin = _kin(place.work, place.gpus)
        idle = [worker for worker in self._workers if worker.place is None]
        found = next((worker for worker in reversed(idle) if worker.kin == kin), None)
        if found is None:
            if len(self._workers) >= self._room.cpus and idle:
                self._workers.remove(idle[0])
                idle[0].inbox.put(None)
            found = _Worker(self, kin)
        else:
            self._workers.remove(found)
        self._workers.append(found)  # the one that was busy last is the warmest
        found.place = place
        return found

    def attend(self, worker: "_Worker", place: "_Place") -> None:
        """See one work through, in the worker's thread."""
        result, error = b"", None
        try:
            result = self._do(worker, place)
        except BaseException as caught:  # noqa: BLE001  # the ticket's holder is told
            error = _cancelled() if place.cancelled.is_set() else caught
        with self._changed:
            place.attended = None
            worker.place = None
            self._forget(place)
            self._room.give_back(place.work.needs, place.gpus)
            self._hand_out()
        # At last, so that whoever is told and asks for more finds this worker free, and warm.
        place.settle(result=result, error=error)

    def _do(self, worker: "_Worker", place: "_Place") -> bytes:
        work = place.work
        variables = {"CUDA_VISIBLE_DEVICES": ",".join(place.gpus)} if self._room.has_gpus else {}
        assignment = Assignment(
            entry=work.entry, body=work.body, folder=work.folder, variables=variables
        )
        for _ in range(_FRESH_TRIES):
            attended = self._attended(worker, place)
            is_new = not attended.calls
            try:
                return attended.call(assignment, work.needs, place.on_line, place.on_word)
            except Stale:
                if is_new:  # the nursery itself has loaded what was edited
                    attended.nursery.close()
        raise Unavailable(
            "a module was edited again and again while workers loaded it",
            code="no-worker",
            hint="Run again when the files are at rest.",
        )

    def _attended(self, worker: "_Worker", place: "_Place") -> Attended:
        """Return the worker's process, a new one if need be."""
        if worker.attended is None or not worker.attended.is_alive:
            worker.stop()
            worker.attended = self._new(place)
        place.attended = worker.attended
        if place.cancelled.is_set():
            worker.stop()
            raise _cancelled()
        return worker.attended

    def _new(self, place: "_Place") -> Attended:
        try:
            return Attended(self._nursery(place))
        except Unavailable:
            if place.cancelled.is_set():
                raise
            return Attended(self._nursery(place))  # a nursery that was killed is replaced

    def _nursery(self, place: "_Place") -> Nursery:
        needs = place.work.needs
        interpreter = sys.executable
        if needs.environment:
            interpreter = self._environments.interpreter(
                Path(needs.environment),
                needs.environment_digest,
                place.on_line,
                stop=place.cancelled,
            )
        breed = Breed(interpreter, place.work.paths)
        with self._starting:
            known = self._nurseries.get(breed)
            if known is None or known.is_over:
                if known is not None:
                    known.close()
                if self._is_closed:
                    raise _closed()
                known = self._nurseries[breed] = Nursery(breed, place.work.warm)
            return known


class _Place:
    """Work in the pool, and what became of it."""

    def __init__(self, work: Work, on_line: OnLine | None, on_word: OnWord | None) -> None:
        self.work = work
        self.on_line = on_line
        self.on_word = on_word
        self.holders = 1
        self.gpus: tuple[str, ...] = ()
        self.attended: Attended | None = None
        self.cancelled = threading.Event()
        self.done = threading.Event()
        self.result = b""
        self.error: BaseException | None = None
        self._lock = threading.Lock()

    def settle(self, *, result: bytes = b"", error: BaseException | None = None) -> None:
        """Say what became of it; the first word counts."""
        with self._lock:
            if not self.done.is_set():
                self.result, self.error = result, error
                self.done.set()


class _Ticket:
    def __init__(self, pool: ProcessPool, place: _Place) -> None:
        self._pool = pool
        self._place = place
        self._is_held = True

    def result(self) -> bytes:
        while not self._place.done.wait(_LOOK_S):
            pass
        if self._place.error is not None:
            raise self._place.error
        return self._place.result

    def cancel(self) -> None:
        if self._is_held and not self._place.done.is_set():
            self._is_held = False
            self._pool.cancel(self._place)


class _Worker:
    """A thread that attends to one worker process after another, of one kin."""

    def __init__(self, pool: ProcessPool, kin: "_Kin") -> None:
        self.kin = kin
        self.place: _Place | None = None
        self.attended: Attended | None = None
        self.inbox: queue.SimpleQueue[_Place | None] = queue.SimpleQueue()
        self._pool = pool
        self.thread = threading.Thread(target=self._run, name="trivet-worker", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """Let go of the process."""
        if self.attended is not None:
            self.attended.close()
            self.attended = None

    def _run(self) -> None:
        while (place := self.inbox.get()) is not None:
            self._pool.attend(self, place)
        self.stop()


class _Kin(msgspec.Struct, frozen=True):
    """What two works must share for one worker to do both."""

    environment: str
    paths: tuple[str, ...]
    gpus: tuple[str, ...]


def _kin(work: Work, gpus: tuple[str, ...]) -> _Kin:
    return _Kin(work.needs.environment_digest, work.paths, gpus)


def _close(pool: "weakref.ref[ProcessPool]") -> None:
    found = pool()
    if found is not None:
        found.close()


def _closed() -> Unavailable:
    return Unavailable(
        "the workers were closed", code="closed", hint="Open the workspace again to run steps."
    )


def _cancelled() -> TrivetError:
    return TrivetError(
        "the work was cancelled", code="cancelled", hint="Run again to have it done."
    )
