"""`Workers` in the calling process: threads, for tests that need the port and no processes."""

import importlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from trivet.core.errors import Invalid, TrivetError, Unavailable
from trivet.core.work import Needs, Work

_WIDTH = 2


class MemoryWorkers:
    """Does work in threads. It cannot end what has begun: no limit is kept, and nothing is killed.

    Args:
        width: How many works run at once.
    """

    def __init__(self, width: int = _WIDTH) -> None:
        self._width = width
        self._threads = ThreadPoolExecutor(width, thread_name_prefix="memory-worker")
        self._room = threading.BoundedSemaphore(3 * width)
        self._lock = threading.Lock()
        self._tickets: set[MemoryTicket] = set()
        self._is_closed = False

    def submit(
        self,
        work: Work,
        *,
        on_line: Callable[[str], None] | None = None,
        on_word: Callable[[bytes], None] | None = None,
    ) -> "MemoryTicket":
        del on_line  # what is printed here is printed
        self.width(work.needs)
        self._room.acquire()
        with self._lock:
            if self._is_closed:
                self._room.release()
                raise Unavailable("the workers were closed", code="closed")
            known = next((t for t in self._tickets if t.stands_for(work.key)), None)
            if known is not None:
                self._room.release()
                known.holders += 1
                return known
            ticket = MemoryTicket(work.key)
            self._tickets.add(ticket)
        running = self._threads.submit(_do, work, on_word or _ignore, ticket)
        running.add_done_callback(lambda _: self._forget(ticket))
        return ticket

    def width(self, needs: Needs) -> int:
        if needs.cpus > self._width or needs.gpus:
            raise Invalid("the work needs more than there is", code="too-much")
        return self._width // needs.cpus

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            tickets = list(self._tickets)
        for ticket in tickets:
            ticket.holders = 1
            ticket.cancel()
        self._threads.shutdown(cancel_futures=True)

    def _forget(self, ticket: "MemoryTicket") -> None:
        with self._lock:
            self._tickets.discard(ticket)
        self._room.release()


class MemoryTicket:
    """Stands for work in a thread."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.holders = 1
        self.future: Future[bytes] = Future()
        self._lock = threading.Lock()

    def stands_for(self, key: str) -> bool:
        """Say whether it is for this work, and not over yet."""
        return bool(key) and self.key == key and not self.future.done()

    def result(self) -> bytes:
        return self.future.result()

    def cancel(self) -> None:
        self.holders -= 1
        if self.holders <= 0:
            self.settle(error=TrivetError("the work was cancelled", code="cancelled"))

    def settle(self, *, result: bytes = b"", error: BaseException | None = None) -> None:
        """Say what became of it; the first word counts."""
        with self._lock:
            if self.future.done():
                return
            if error is not None:
                self.future.set_exception(error)
            else:
                self.future.set_result(result)


def _do(work: Work, tell: Callable[[bytes], None], ticket: MemoryTicket) -> None:
    module, _, name = work.entry.partition(":")
    if ticket.future.done():
        return
    try:
        result = getattr(importlib.import_module(module), name)(work.body, tell)
    except Exception as error:  # noqa: BLE001  # a worker's loop: the ticket's holder is told
        ticket.settle(error=Invalid(f"work could not be done: {error!r}", code="bad-work"))
    else:
        ticket.settle(result=result)


def _ignore(_: bytes) -> None:
    pass
