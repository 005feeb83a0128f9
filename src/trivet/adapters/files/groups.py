"""Group commit: those who come while a sync runs share the next one.

There is no leader by office. Whoever gets the write lock first writes and syncs for everybody who
waits; the others find their work done when the lock reaches them.
"""

import copy
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Generic, TypeVar

from trivet.core.errors import TrivetError, Unavailable

T = TypeVar("T")
Done = Callable[[TrivetError | None], None]

INTERRUPTED: Final = Unavailable(
    "the write was interrupted",
    code="interrupted",
    hint="Write it again; it may be there twice then.",
)


class Ticket(Generic[T]):
    """Work that somebody waits for."""

    __slots__ = ("done", "error", "is_finished", "item")

    def __init__(self, item: T, done: Done | None) -> None:
        self.item = item
        self.done = done
        self.error: TrivetError | None = None
        self.is_finished = False

    def finish(self, error: TrivetError | None) -> None:
        """Say how it ended, to whoever waits."""
        self.error = error
        self.is_finished = True
        if self.done:
            with suppress(RuntimeError):  # an event loop that was closed meanwhile
                self.done(error)


class Group(Generic[T]):
    """A line of work in front of one writer. After a failed sync it takes nothing more.

    Args:
        write: Writes items durably, in order, and returns one error or None for each. It is
            called with the write lock held, also with an empty list.
    """

    def __init__(self, write: Callable[[list[T]], Sequence[TrivetError | None]]) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._waiting: list[Ticket[T]] = []
        self._refusal: TrivetError | None = None
        self.write_lock = threading.Lock()
        self.failure: TrivetError | None = None
        """The failed sync after which nothing may be written any more."""

    @property
    def is_open(self) -> bool:
        """Whether work is still taken."""
        return self._refusal is None

    def put(self, item: T, done: Done | None = None) -> Ticket[T]:
        """Get in line, without waiting.

        Raises:
            Unavailable: The group was closed, or a sync failed before.
        """
        ticket = Ticket(item, done)
        with self._lock:
            if self._refusal:
                raise copy.copy(self._refusal)
            self._waiting.append(ticket)
        return ticket

    def wait(self, ticket: Ticket[T]) -> None:
        """Return when the work is durable, having done it unless somebody else has.

        Raises:
            Unavailable: It was not written.
        """
        with self.write_lock:
            if not ticket.is_finished:
                self.drain()
        if ticket.error:
            raise copy.copy(ticket.error)  # several threads may raise it

    def drain(self) -> None:
        """Do all the work in line. The caller holds the write lock."""
        with self._lock:
            tickets, self._waiting = self._waiting, []
        errors: Sequence[TrivetError | None] = [INTERRUPTED] * len(tickets)
        try:
            errors = self._write([ticket.item for ticket in tickets])
        finally:
            for error in errors:
                if error and error.code == "sync-failed":
                    self.fail(error)
            for ticket, error in zip(tickets, errors, strict=True):
                ticket.finish(error)

    def fail(self, error: TrivetError) -> None:
        """Refuse everything from now on, for a sync has failed."""
        self._refusal = self.failure = error

    def close(self, reason: str) -> None:
        """Take no more work. What is in line stays there for `drain`."""
        with self._lock:
            self._refusal = self._refusal or Unavailable(
                f"{reason} is closed", code="closed", hint="Open the workspace again."
            )
