"""Concurrency limits by name: so many steps of a name run at once, over all runs and processes.

A slot is a named lease of the journal, prolonged while the step runs; that of a process that died
is free again when its lease is over.
"""

import random
import threading
import time
from collections.abc import Generator, Mapping
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
    def within(self, limits: Mapping[str, int]) -> Generator[None]:
        """Wait until every limit has a slot free, and hold them for the time of a `with` block.

        Slots are taken in the order of the names, so that two steps never wait for each other. A
        step inside a step works in the slot of the one around it, and waits for none of that name.

        Args:
            limits: At most so many at once, by name.
        """
        held = _held.get()
        wanted = {f"limit/{self._project}/{name}": limits[name] for name in sorted(limits)}
        missing = {name: at_once for name, at_once in wanted.items() if name not in held}
        if not missing:
            yield
            return
        with ExitStack() as stack:
            for name, at_once in missing.items():
                stack.enter_context(self._slot(name, at_once))
            token = _held.set(held | missing.keys())
            try:
                yield
            finally:
                _held.reset(token)

    @contextmanager
    def _slot(self, name: str, at_once: int) -> Generator[None]:
        owner = new_id()
        slots = [f"{name}/{number}" for number in range(at_once)]
        slot = self._take(slots, owner)
        over = threading.Event()
        keeper = threading.Thread(target=self._keep, args=(slot, owner, over), daemon=True)
        keeper.start()
        try:
            yield
        finally:
            over.set()
            keeper.join()
            with suppress(TrivetError):  # the step's own end counts; the lease ends by itself
                self._journal.lease(slot, owner=owner, lease_s=0.0)

    def _take(self, slots: list[str], owner: str) -> str:
        pause_s = _FIRST_PAUSE_S
        while True:
            for slot in slots:
                if self._journal.lease(slot, owner=owner, lease_s=_LEASE_S) is not None:
                    return slot
            time.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311  # spreads those who wait
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _keep(self, slot: str, owner: str, over: threading.Event) -> None:
        while not over.wait(_LEASE_S / 3):
            try:
                self._journal.lease(slot, owner=owner, lease_s=_LEASE_S)
            except TrivetError:
                continue  # the store is away for a moment; the lease is longer than that
