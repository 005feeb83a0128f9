"""Group commit: those who come while a sync runs share the next one.

Whoever comes first writes and syncs for everybody who is in line by then. The others sleep until
their work is done, or until they are the first of those who came meanwhile.
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

    __slots__ = ("done", "error", "gate", "is_finished", "item", "leads")

    def __init__(self, item: T, done: Done | None) -> None:
        self.item = item
        self.done = done
        self.error: TrivetError | None = None
        self.is_finished = False
        self.leads = False
        """Whether whoever waits for it has to do the work that is in line."""
        self.gate: threading.Lock | None = None
        """Held while a thread waits for it to open."""

    def wake(self) -> None:
        """Let the thread go on that waits, if one does. The caller holds the group's lock."""
        gate, self.gate = self.gate, None
        if gate:
            gate.release()


class Group(Generic[T]):
    """A line of work in front of one writer. After a failed sync it takes nothing more.

    Args:
        write: Writes items durably, in order, and returns one error or None for each. It is
            called with the write lock held, also with an empty list.
    """

    def __init__(self, write: Callable[[list[T]], Sequence[TrivetError | None]]) -> None:
        self._write = write
        self._lock = threading.Lock()  # over the three below and the tickets in line
        self._waiting: list[Ticket[T]] = []
        self._refusal: TrivetError | None = None
        self._is_led = False
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
        try:
            self._await_turn(ticket)
            if ticket.leads:
                self._lead(ticket)
        finally:
            with self._lock:
                ticket.gate = None  # also when the wait was interrupted
                if ticket.leads:
                    self._pass_on()
        if ticket.error:
            raise copy.copy(ticket.error)  # several threads may raise it

    def _await_turn(self, ticket: Ticket[T]) -> None:
        """Return when the work is finished, or when nobody else is there to do it."""
        with self._lock:
            if ticket.is_finished:
                return
            if not self._is_led:
                self._is_led = ticket.leads = True
                return
            gate = ticket.gate = threading.Lock()
            gate.acquire()
        gate.acquire()

    def _lead(self, ticket: Ticket[T]) -> None:
        with self.write_lock:
            if not ticket.is_finished:
                self.drain()

    def _pass_on(self) -> None:
        """Make the first that waits do the work of those behind it. The lock is held."""
        for ticket in self._waiting:
            if ticket.gate:
                ticket.leads = True
                ticket.wake()
                return
        self._is_led = False

    def drain(self) -> None:
        """Do all the work in line. The caller holds the write lock."""
        with self._lock:
            tickets, self._waiting = self._waiting, []
        errors: Sequence[TrivetError | None] = [INTERRUPTED] * len(tickets)
        try:
            errors = self._write([ticket.item for ticket in tickets])
        finally:
            self._finish(tickets, errors)

    def _finish(self, tickets: list[Ticket[T]], errors: Sequence[TrivetError | None]) -> None:
        """Say how work ended, to whoever waits."""
        for error in errors:
            if error and error.code == "sync-failed":
                self.fail(error)
        with self._lock:
            for ticket, error in zip(tickets, errors, strict=True):
                ticket.error, ticket.is_finished = error, True
                ticket.wake()
        for ticket in tickets:
            if ticket.done:
                with suppress(RuntimeError):  # an event loop that was closed meanwhile
                    ticket.done(ticket.error)

    def fail(self, error: TrivetError) -> None:
        """Refuse everything from now on, for a sync has failed."""
        self._refusal = self.failure = error

    def close(self, reason: str) -> None:
        """Take no more work. What is in line stays there for `drain`."""
        with self._lock:
            self._refusal = self._refusal or Unavailable(
                f"{reason} is closed", code="closed", hint="Open the workspace again."
            )
