"""Concurrency limits by name: so many steps of a name run at once, over all runs and processes.

A slot is a named lease of the journal, prolonged while the step runs; that of a process that died
is free again when its lease is over. One that was stopped for longer than its lease (a computer
that slept, SIGSTOP) has lost its slot without knowing: it goes on, and says so when it ends.
"""

import random
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar

from trivet.core.errors import TrivetError
from trivet.core.ids import new_id
from trivet.core.ports import Journal

_LEASE_S = 30.0
_held: ContextVar[frozenset[str]] = ContextVar("trivet.pipelines.limits", default=frozenset())
"""The limits of the steps around this call."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.005, 0.5


class Limits:
    """The limits of one process's runs.

    Args:
        journal: Where the slots are.
        project: Limits of one name in two projects are two limits.
    """

    def __init__(self, journal: Journal, project: str) -> None:
        self._journal = journal
        self._project = project

    @contextmanager
    def within(
        self, limits: Mapping[str, int], on_lost: Callable[[str], None] | None = None
    ) -> Generator[None]:
        """Wait until every limit has a slot free, and hold them for the time of a `with` block.

        Slots are taken in the order of the names, so that two steps never wait for each other. A
        step inside a step works in the slot of the one around it, and waits for none of that name.

        Args:
            limits: At most so many at once, by name.
            on_lost: Told when the block is over that somebody else had its slot meanwhile.
        """
        held = _held.get()
        wanted = {f"limit/{self._project}/{name}": limits[name] for name in sorted(limits)}
        missing = {name: at_once for name, at_once in wanted.items() if name not in held}
        if not missing:
            yield
            return
        with ExitStack() as stack:
            for name, at_once in missing.items():
                stack.enter_context(self._slot(name, at_once, on_lost))
            token = _held.set(held | missing.keys())
            try:
                yield
            finally:
                _held.reset(token)

    @contextmanager
    def _slot(
        self, name: str, at_once: int, on_lost: Callable[[str], None] | None
    ) -> Generator[None]:
        slot = self._take([f"{name}/{number}" for number in range(at_once)])
        over = threading.Event()
        keeper = threading.Thread(target=slot.keep, args=(over,), daemon=True)
        keeper.start()
        try:
            yield
        finally:
            over.set()
            keeper.join()
            with suppress(TrivetError):  # the step's own end counts; the lease ends by itself
                slot.prolong(0.0)
            if slot.is_lost and on_lost is not None:
                label = name.rpartition("/")[2]
                on_lost(
                    f"limit {label!r} was exceeded: this process was stopped for longer than "
                    f"{_LEASE_S:g} s, and another step took its place"
                )

    def _take(self, slots: list[str]) -> "_Slot":
        owner, pause_s = new_id(), _FIRST_PAUSE_S
        while True:
            for slot in slots:
                epoch = self._journal.lease(slot, owner=owner, lease_s=_LEASE_S)
                if epoch is not None:
                    return _Slot(self._journal, slot, owner, epoch)
            time.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311  # spreads those who wait
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


class _Slot:
    """A slot that is held."""

    def __init__(self, journal: Journal, name: str, owner: str, epoch: int) -> None:
        self._journal = journal
        self._name = name
        self._owner = owner
        self._epoch = epoch
        self.is_lost = False
        """Whether somebody else had it meanwhile."""

    def prolong(self, lease_s: float) -> None:
        epoch = self._journal.lease(self._name, owner=self._owner, lease_s=lease_s)
        # One more is our own taking it up again after it ended; another's lies between two more.
        self.is_lost |= epoch is None or epoch > self._epoch + 1
        self._epoch = epoch or self._epoch

    def keep(self, over: threading.Event) -> None:
        while not over.wait(_LEASE_S / 3):
            with suppress(TrivetError):
                # The store may be away for a moment; the lease is longer than that.
                self.prolong(_LEASE_S)
