"""Calls that are under way at the same time, and are given up together.

The items are taken one by one, as calls end, so that an endless or large source is never read
ahead of the work by more than a few.
"""

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from threading import Lock
from typing import Generic, TypeVar

from trivet.core.work import Ticket
from trivet.pipelines.failures import add_note

T = TypeVar("T")
R = TypeVar("R")

_LOOK_S = 0.2
"""A wait without end may never notice Ctrl-C, when a library has taken the signal over."""
_AHEAD = 2
"""Calls more than workers, so that none waits for the next one to be prepared."""


class Group:
    """Calls that are given up together."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._tickets: set[Ticket] = set()
        self._is_given_up = False

    def add(self, ticket: Ticket) -> None:
        """Take in a call."""
        with self._lock:
            self._tickets.add(ticket)
            is_late = self._is_given_up
        if is_late:
            ticket.cancel()

    def remove(self, ticket: Ticket) -> None:
        """Let go of a call that is over."""
        with self._lock:
            self._tickets.discard(ticket)

    def give_up(self) -> None:
        """Cancel every call, and those that come."""
        with self._lock:
            self._is_given_up = True
            tickets = list(self._tickets)
        for ticket in tickets:
            ticket.cancel()


_group: ContextVar[Group | None] = ContextVar("trivet.pipelines.group", default=None)


@contextmanager
def held(ticket: Ticket) -> Generator[None]:
    """Wait for a call in a `with` block: left by an interrupt, it cancels the call."""
    group = _group.get()
    if group is not None:
        group.add(ticket)
    try:
        yield
    except BaseException:
        ticket.cancel()
        raise
    finally:
        if group is not None:
            group.remove(ticket)


def call_each(call: Callable[[T], R], items: Iterable[T], *, width: int, name: str) -> list[R]:
    """Call a function once per item, several at a time; return the results in the items' order.

    Args:
        call: The function.
        items: Read as calls end.
        width: How many calls can be worked on at once.
        name: What is called, for the note on an error.

    Raises:
        BaseException: The first error of a call, with the item's index as a note; all other calls
            are cancelled.
    """
    each = _Each(call, width, name)
    with ThreadPoolExecutor(width + _AHEAD, thread_name_prefix="trivet-map") as threads:
        try:
            for item in items:
                each.begin(threads, item)
            each.gather_all()
        except BaseException:
            each.group.give_up()
            raise
    return [each.results[index] for index in range(len(each.results))]


class _Each(Generic[T, R]):
    """Calls under way, and the results of those that ended."""

    def __init__(self, call: Callable[[T], R], width: int, name: str) -> None:
        self.group = Group()
        self.results: dict[int, R] = {}
        self._call = call
        self._most = width + _AHEAD
        self._name = name
        self._begun = 0
        self._under_way: dict[Future[R], int] = {}

    def begin(self, threads: ThreadPoolExecutor, item: T) -> None:
        """Begin a call, once there is room for it."""
        if len(self._under_way) >= self._most:
            self._gather()
        around = copy_context()
        around.run(_group.set, self.group)
        future = threads.submit(around.run, self._call, item)
        self._under_way[future] = self._begun
        self._begun += 1

    def gather_all(self) -> None:
        """Wait for all calls to end."""
        while self._under_way:
            self._gather()

    def _gather(self) -> None:
        done: set[Future[R]] = set()
        while not done:
            done, _ = wait(self._under_way, _LOOK_S, FIRST_COMPLETED)
        for future in sorted(done, key=self._under_way.__getitem__):
            index = self._under_way.pop(future)
            error = future.exception()
            if error is not None:
                add_note(error, f"at item {index} of map over {self._name!r}")
                raise error
            self.results[index] = future.result()
