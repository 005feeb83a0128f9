"""The lines of runs, kept in pages: rows of one view, so that a hundred thousand runs need no file.

A page holds up to 64 KiB of text, compressed. The newest page of a run is written again, longer
each time, until it is full: what a killed run printed up to half a second before is there, and
whoever follows reads it from another process. A run keeps its first 4 MiB and its last 4 MiB; the
numbers of the pages say where the middle was cut, and each page says how many lines came before.
"""

import os
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from time import time
from typing import Any, Literal

import msgspec

from trivet.core.clock import from_micros
from trivet.core.errors import TrivetError
from trivet.core.ports import Stores, View
from trivet.pipelines.failures import storable
from trivet.pipelines.logs.masking import Mask, environment_now, without_controls

Source = Literal["out", "err", "log"]

LINES = View(
    name="run_lines",
    # Not made from other stores: another declaration would throw the lines away.
    columns={
        "project": "text",
        "run": "text",
        "page": "integer",
        "first": "integer",
        "body": "blob",
    },
    key=("project", "run", "page"),
)

_PAGE_CHARACTERS = 64 << 10
_HEAD_PAGES = 64
_TAIL_PAGES = 64
_LONGEST_LINE = 16 << 10
_FLUSH_S = 0.5
_MOST_WAITING = 1 << 20
_AT_ONCE = 16


class Line(msgspec.Struct, frozen=True, array_like=True):
    """One line that a run printed or logged."""

    micros: int
    """When, in microseconds since 1970 (UTC)."""
    step: str
    """The step; empty when the flow's own lines wrote it."""
    source: Source
    text: str

    @property
    def time(self) -> datetime:
        """When it was written."""
        return from_micros(self.micros)


class Place(msgspec.Struct, frozen=True):
    """Where a reader stands: the page, and how many lines of the run are behind it."""

    page: int = 0
    line: int = 0


class LineWriter:
    """Keeps the lines of one run. Lines may come from any thread; a thread of its own writes.

    Args:
        stores: Where they are kept.
        project: The run's project.
        run: The run.
        on_line: Told of each line at once, as it was written: masked is only what is kept.
    """

    def __init__(
        self, stores: Stores, project: str, run: str, on_line: Callable[[Line], None] | None = None
    ) -> None:
        self._views = stores.views
        self._row = {"project": project, "run": run}
        self._on_line = on_line
        self._pid = os.getpid()
        self._lock = threading.Lock()  # over what waits
        self._write_lock = threading.Lock()
        self._waiting: list[Line] = []
        self._waiting_characters = 0
        self._thread: threading.Thread | None = None
        self._over = threading.Event()
        self._page: list[Line] = []
        self._page_characters = 0
        self._number = 1
        self._first = 0
        self._mask = Mask({})
        self._mask_of: int | None = None
        self._trouble = False
        self._steps: Counter[str] = Counter()

    @property
    def only_step(self) -> str:
        """The one step that is under way; empty when there is none, or several."""
        # A list at once: steps begin in other threads.
        under_way = [step for step, calls in list(self._steps.items()) if calls > 0]
        return under_way[0] if len(under_way) == 1 else ""

    def began(self, step: str) -> None:
        """Hear that a call of a step is under way."""
        with self._lock:
            self._steps[step] += 1

    def ended(self, step: str) -> None:
        """Hear that a call of a step is over."""
        with self._lock:
            self._steps[step] -= 1

    def add(self, step: str, source: Source, text: str, micros: int | None = None) -> None:
        """Take a line. In a child that was forked off, do nothing: its parent answers for the run.

        Args:
            step: The step that wrote it, empty for the flow.
            source: Where it was written to.
            text: The line, without its end.
            micros: When it was written; now when None.
        """
        if os.getpid() != self._pid or self._trouble:
            return
        text = storable(without_controls(text))
        if len(text) > _LONGEST_LINE:
            text = f"{text[:_LONGEST_LINE]} ... ({len(text) - _LONGEST_LINE} characters more)"
        line = Line(int(time() * 1e6) if micros is None else micros, step, source, text)
        with self._lock:
            self._waiting.append(line)
            self._waiting_characters += len(text)
            is_much = self._waiting_characters > _MOST_WAITING
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="run-lines", daemon=True)
                self._thread.start()
        if self._on_line is not None:
            self._on_line(line)
        if is_much:
            self.flush()  # whoever prints faster than lines are written waits here

    def flush(self) -> None:
        """Write what waits, durably. When the store refuses, the run goes on without its lines."""
        with self._write_lock:
            with self._lock:
                lines, self._waiting = self._waiting, []
                self._waiting_characters = 0
            if not lines or self._trouble:
                return
            try:
                mask = self._renewed_mask()
                for line in lines:
                    self._place(msgspec.structs.replace(line, text=mask(line.text)))
                self._write()
            except TrivetError:
                self._trouble = True

    def close(self) -> None:
        """Write the rest and stop."""
        if os.getpid() != self._pid:
            return  # its lock may be one that a thread of the parent held
        self._over.set()
        with self._lock:  # under it the first line's thread makes ours, and starts it
            thread = self._thread
        if thread is not None:
            thread.join()
            self.flush()

    def _work(self) -> None:
        while not self._over.wait(_FLUSH_S):
            self.flush()

    def _renewed_mask(self) -> Mask:
        """Return the mask, with the secrets that the flow itself has put into the environment."""
        environment = environment_now()
        now = hash(frozenset(environment.items()))
        if now != self._mask_of:
            self._mask, self._mask_of = Mask(environment), now
        return self._mask

    def _place(self, line: Line) -> None:
        if self._page_characters > _PAGE_CHARACTERS:
            self._write()
            self._first += len(self._page)
            self._page, self._page_characters = [], 0
            self._number += 1
            passed = self._number - _TAIL_PAGES
            if passed > _HEAD_PAGES:
                self._views.remove(LINES.name, {**self._row, "page": passed})
        self._page.append(line)
        self._page_characters += len(line.text) + len(line.step) + 16

    def _write(self) -> None:
        body = zlib.compress(msgspec.msgpack.encode(self._page), 1)
        row = {**self._row, "page": self._number, "first": self._first, "body": body}
        self._views.put(LINES.name, [row])


def read_lines(
    stores: Stores, project: str, run: str, after: Place | None = None
) -> Iterator[tuple[Place, Line]]:
    """Yield the lines of a run in the order they were written, and the place behind each.

    Where lines were not kept, one line says how many (source `log`, no step).

    Args:
        stores: Where they are kept; the view `LINES` is declared there.
        project: The run's project.
        run: The run.
        after: A place as yielded before: only what came later.
    """
    place = after or Place()
    where = {"project": project, "run": run}
    page = place.page - 1  # the page one stands in may have grown
    while True:
        rows = stores.views.find(
            LINES.name, where=where, after=(project, run, page), limit=_AT_ONCE
        )
        for row in rows:
            for place, line in _read_page(row, place):  # noqa: B020  # the place moves on
                yield place, line
            page = row["page"]
        if len(rows) < _AT_ONCE:
            return


def _read_page(row: dict[str, Any], place: Place) -> Iterator[tuple[Place, Line]]:
    lines = msgspec.msgpack.decode(zlib.decompress(row["body"]), type=list[Line])
    first, page = row["first"], row["page"]
    if lines and first > place.line:
        gone = (
            f"... {first - place.line:,} lines were not kept (a run keeps its first and last 4 MiB)"
        )
        yield Place(page, first), Line(lines[0].micros, "", "log", gone)
    for number, line in enumerate(lines, first + 1):
        if number > place.line:
            yield Place(page, number), line
