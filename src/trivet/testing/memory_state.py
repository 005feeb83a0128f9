"""What the in-memory ledger, journal, views and catalog share: one state, one lock, one undo list.

All or none is kept by the undo list: each change notes how to take it back, and a batch that fails
is taken back in reverse.
"""

import threading
from bisect import bisect_left
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

from trivet.core.catalog import Document
from trivet.core.clock import SystemClock
from trivet.core.facts import Entry, Head, Link
from trivet.core.ports import Row, Task, View

_T = TypeVar("_T")


class MemoryState:
    """Everything the four ports share, and the undo list of the batch in progress."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.clock = SystemClock()
        self.entries: list[Entry] = []
        self.by_id: dict[str, int] = {}
        self.salts: dict[str, bytes] = {}
        self.index: dict[str, dict[str, str]] = {}
        self.links: list[Link] = []
        self.batches: list[str] = []
        self.heads: dict[tuple[str, str], Head] = {}
        self.tasks: dict[str, Task] = {}
        self.ready_at: dict[str, datetime] = {}
        self.inbox: dict[tuple[str, str], bool] = {}
        self.leases: dict[str, tuple[str, int, datetime]] = {}
        self.views: dict[str, tuple[View, dict[tuple[Any, ...], Row]]] = {}
        self.documents: dict[tuple[str, str], Document] = {}
        self.attributes: dict[tuple[str, str, str], bool] = {}
        self._undo: list[Callable[[], object]] = []

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Hold the lock; take every change back when the block fails."""
        with self.lock:
            self._undo.clear()
            try:
                yield
            except BaseException:
                for step in reversed(self._undo):
                    step()
                raise

    def set(self, mapping: dict[Any, _T], key: Any, value: _T) -> None:
        if key in mapping:
            self._undo.append(lambda old=mapping[key]: mapping.__setitem__(key, old))
        else:
            self._undo.append(lambda: mapping.pop(key))
        mapping[key] = value

    def drop(self, mapping: dict[Any, Any], key: Any) -> None:
        if key in mapping:
            self._undo.append(lambda old=mapping[key]: mapping.__setitem__(key, old))
            del mapping[key]

    def append(self, items: list[_T], item: _T) -> None:
        self._undo.append(items.pop)
        items.append(item)

    def link_of(self, seqs: Sequence[int]) -> int:
        """Return the place in `links` of the link that holds the last of the entries."""
        return bisect_left(self.links, max(seqs), key=lambda link: link.last_seq)

    def entry(self, identifier: str) -> Entry | None:
        seq = self.by_id.get(identifier)
        return None if seq is None else self.entries[seq - 1]

    def replace_entry(self, entry: Entry) -> None:
        place, old = entry.seq - 1, self.entries[entry.seq - 1]
        self._undo.append(lambda: self.entries.__setitem__(place, old))
        self.entries[place] = entry
