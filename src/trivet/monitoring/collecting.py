"""Collecting: predictions and labels from the log, joined by identifier, sorted into windows.

The log is read once, from where the last look ended. A label is joined to the very prediction it
names, so one entity under two releases is never mixed up. Windows go by event time; when a window
is closed, its rows are let go.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from trivet.core.clock import EPOCH
from trivet.core.ports import Log
from trivet.serving.facts import LABELS, PREDICTIONS, Prediction
from trivet.serving.records import decode_label, decode_prediction, event_time


class Seen(NamedTuple):
    """A prediction with its true value, where that is known by now."""

    prediction: Prediction
    label: float | None


def window_of(instant: datetime, window: timedelta) -> datetime:
    """Return the start of the window that holds an instant; windows are aligned to 1970 (UTC)."""
    return EPOCH + (instant - EPOCH) // window * window


class Collector:
    """Keeps the rows of windows that are not closed yet, for every endpoint.

    Args:
        log: Where predictions and labels are.
        window: Length of a window.
    """

    def __init__(self, log: Log, window: timedelta) -> None:
        self._log = log
        self._window = window
        self._predictions_at: str | None = None
        self._labels_at: str | None = None
        self._open: dict[tuple[str, datetime], list[Prediction]] = defaultdict(list)
        self._labels: dict[str, float] = {}
        self._closed: dict[str, datetime] = {}
        self.late: Counter[str] = Counter()
        """By endpoint: predictions that came after their window was closed, since this collector
        began; they are counted, not used."""

    def pull(self) -> None:
        """Read what was logged since the last time."""
        for position, record in self._log.read(PREDICTIONS, after=self._predictions_at):
            self._predictions_at = position
            found = decode_prediction(record)
            start = window_of(event_time(found), self._window)
            closed = self._closed.get(found.endpoint)
            if closed is not None and start < closed:
                self.late[found.endpoint] += 1
            else:
                self._open[found.endpoint, start].append(found)
        for position, record in self._log.read(LABELS, after=self._labels_at):
            self._labels_at = position
            label = decode_label(record)
            self._labels[label.prediction] = label.value

    def windows(self, endpoint: str) -> tuple[datetime, ...]:
        """Return the starts of an endpoint's open windows that hold rows, rising."""
        return tuple(sorted(start for name, start in self._open if name == endpoint))

    def rows(self, endpoint: str, start: datetime) -> tuple[Seen, ...]:
        """Return a window's rows, live and shadow, in the order of their answers."""
        found = sorted(self._open.get((endpoint, start), ()), key=lambda p: (p.time_us, p.id))
        # A shadow's truth is that of the prediction it doubles.
        return tuple(Seen(p, self._labels.get(p.of or p.id)) for p in found)

    def close(self, endpoint: str, end: datetime) -> None:
        """Let go of everything before `end`; what arrives for it later is counted as late."""
        self._closed[endpoint] = end
        for key in [key for key in self._open if key[0] == endpoint and key[1] < end]:
            for prediction in self._open.pop(key):
                self._labels.pop(prediction.id, None)

    def pairs(self, rows: tuple[Seen, ...]) -> Iterator[tuple[Seen, Seen]]:
        """Yield (live, shadow) rows that answered the same request, both with their truth."""
        live = {row.prediction.id: row for row in rows if row.prediction.role == "live"}
        for row in rows:
            of = row.prediction.of
            if of is not None and of in live and row.label is not None:
                yield live[of], row
