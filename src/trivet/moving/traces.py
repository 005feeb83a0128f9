"""Bringing traces in, a batch at a time: their files first, then what is known of them."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Final

from trivet.core.catalog import Document
from trivet.core.errors import Conflict, NotFound
from trivet.core.moving import HeldTrace, Holdings
from trivet.moving.facts import Counts
from trivet.moving.files import FileLanding
from trivet.moving.wishes import Wishes
from trivet.tracking.importing.traces import TraceLanding
from trivet.tracking.reporting.facts import Experiment

_AT_ONCE: Final = 100
"""How many traces one commit brings."""
_ATTEMPTS: Final = 3


class TraceBringing:
    """The traces of one import.

    Args:
        holdings: Where they come from.
        landing: Records them.
        files: Copies their files.
        counts: Where they are counted.
        wishes: How much of it is wanted.
    """

    def __init__(
        self,
        holdings: Holdings,
        landing: TraceLanding,
        files: FileLanding,
        counts: Counts,
        wishes: Wishes,
    ) -> None:
        self._holdings = holdings
        self._landing = landing
        self._files = files
        self._counts = counts
        self._wishes = wishes

    def bring(self, experiment: str, home: Experiment | None, group: str) -> Iterator[int]:
        """Bring the traces of an experiment; yield after each batch how many it had.

        Args:
            experiment: What it is called there.
            home: What it is here; None while a dry run finds none.
            group: The group of its documents.
        """
        remaining = iter(self._holdings.traces(experiment))
        gone: frozenset[str] | None = None
        while batch := list(islice(remaining, _AT_ONCE)):
            traces = list({held.id: held for held in batch}.values())
            if gone is None:
                gone = frozenset() if home is None else self._landing.gone(home)
            self._counts.traces_same += sum(held.id in gone for held in traces)
            standing = [held for held in traces if held.id not in gone]
            if home is None or self._wishes.is_dry:
                self._count(standing, group)
            else:
                self._land(standing, home, group)
            yield len(batch)

    # ------------------------------------------------------------------- inside

    def _count(self, traces: list[HeldTrace], group: str) -> None:
        known = self._landing.known(traces)
        for held in self._wanted(traces, known, group):
            if held.id in known:
                self._counts.traces_changed += 1
            else:
                self._counts.traces_new += 1

    def _wanted(
        self, traces: list[HeldTrace], known: dict[str, Document], group: str
    ) -> list[HeldTrace]:
        """Return the traces that are not here as they are there; the others are counted."""
        found: list[HeldTrace] = []
        for held in traces:
            standing = known.get(held.id)
            if not self._wishes.again and not self._landing.is_changed(held, standing):
                self._counts.traces_same += 1
            elif self._landing.can_land(held, group, standing):
                found.append(held)
        return found

    def _land(self, traces: list[HeldTrace], home: Experiment, group: str) -> None:
        known = self._landing.known(traces)
        wanted = self._wanted(traces, known, group)
        if self._wishes.with_files and wanted:
            self._files.land_traces(wanted)
        known = self._begin_all(wanted, known, home)
        for held in wanted:
            if held.id in known:
                if self._go_on(held, known[held.id]):
                    self._counts.traces_changed += 1
                else:
                    self._counts.traces_same += 1

    def _go_on(self, held: HeldTrace, standing: Document) -> bool:
        with suppress(NotFound):  # deleted here in this moment
            return self._landing.go_on(held, standing)
        return False

    def _begin_all(
        self, wanted: list[HeldTrace], known: dict[str, Document], home: Experiment
    ) -> dict[str, Document]:
        """Record those that are not here; return those that were."""
        for _ in range(_ATTEMPTS):
            try:
                self._begin([held for held in wanted if held.id not in known], home)
            except Conflict:
                known = self._landing.known(wanted)  # somebody reported one in this moment
            else:
                return known
        self._begin([held for held in wanted if held.id not in known], home)
        return known

    def _begin(self, traces: list[HeldTrace], home: Experiment) -> None:
        if traces:
            self._landing.begin(traces, home)
            self._counts.traces_new += len(traces)
