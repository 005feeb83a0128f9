"""Metrics of runs: points in series, and the latest of each where searches find it.

The times of these series are milliseconds: what clients send, whatever unit they took it for.
"""

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from trivet.core.catalog import Amendment, Document, Value, is_same_value
from trivet.core.errors import Invalid
from trivet.core.ports import Points, SeriesKey, Stores
from trivet.tracking.reporting.experiments import RUNS, check_key
from trivet.tracking.reporting.facts import Latest
from trivet.tracking.reporting.model_points import (
    Subject,
    by_measurement,
    model_amendments,
    models_of,
)

_MOST_STEP: Final = 2**63 - 1
CURSORS: Final = "cursors"
FIGURES: Final = "figures"
"""The note of a run that names the metrics whose final figures it told; no series changes them."""
_CURSOR: Final = "metrics"
_AT_ONCE: Final = 10_000


Chunks = list[tuple[SeriesKey, Points]]


class Point(msgspec.Struct, frozen=True, gc=False):
    """One value of a metric."""

    key: str
    value: float
    time_ms: int
    step: int = 0
    about: Subject | None = None
    """The logged model that it measures, too."""


class Metrics:
    """The points that runs report.

    Args:
        stores: Where everything is kept.
    """

    def __init__(self, stores: Stores) -> None:
        self._stores = stores

    def log(self, run: str, points: Sequence[Point]) -> None:
        """Append points durably, all or none. Points that are there already change nothing.

        Raises:
            Invalid: A key, time or step cannot be recorded.
        """
        self.append(self.checked(run, points))

    def checked(self, run: str, points: Sequence[Point]) -> Chunks:
        """Return points as `append` takes them.

        Raises:
            Invalid: A key, time or step cannot be recorded.
        """
        chunks = _chunks(run, points)
        for owner, own in by_measurement(run, points).items():
            chunks += _chunks(owner, own)
        return chunks

    def append(self, chunks: Chunks) -> None:
        """Append points that were checked, durably, all or none."""
        self._stores.series.append(chunks)

    def history(self, run: str, key: str) -> list[Point]:
        """Return all points of a metric, by time, step and value; none when nothing was logged."""
        found = self._stores.series.read(SeriesKey(run, key))
        columns = (found.times.tolist(), found.steps.tolist(), found.values.tolist())
        rows = sorted(zip(*columns, strict=True), key=lambda row: (*row[:2], _rank(row[2])))
        return [Point(key, value, time_ms, step) for time_ms, step, value in rows]

    def sample(
        self, run: str, key: str, most: int, *, first: int | None = None, last: int | None = None
    ) -> list[Point]:
        """Return points of a metric in the order of their steps, spread evenly.

        Args:
            run: The run.
            key: The metric.
            most: At most so many, the first and the last among them when there are two.
            first: None of a lower step.
            last: None of a higher step.
        """
        found = self._stores.series.curve(
            SeriesKey(run, key), points=most, first=first, last=last, by="order"
        ).sample
        columns = (found.times.tolist(), found.steps.tolist(), found.values.tolist())
        return [Point(key, value, time, step) for time, step, value in zip(*columns, strict=True)]

    def latest(self, run: str) -> dict[str, Latest]:
        """Return the latest point of each of a run's metrics."""
        return {
            name: Latest(
                value=found.latest.value, step=found.latest.step, time_ms=found.latest.time
            )
            for name, found in self._stores.series.summaries(run).items()
        }

    def catch_up(self) -> None:
        """Let the documents of runs and models know the latest points, for searches to find.

        What any process appended is followed. How far is written together with the documents, so
        whoever writes less than another had known goes back with its position, and is caught up.
        """
        known = self._stores.catalog.get(CURSORS, [_CURSOR])
        position: str | None = known[0].notes["position"] if known else None
        while True:
            changes = self._stores.series.since(position, limit=_AT_ONCE)
            if changes.position == position:
                return
            owners = {key.owner for key in changes.series}
            amendments = [
                amendment
                for document in self._stores.catalog.get(RUNS, sorted(owners))
                if (amendment := _amendment(document, self.latest(document.id))) is not None
            ]
            amendments += model_amendments(self._stores, models_of(owners))
            amendments.append(
                Amendment(
                    collection=CURSORS,
                    id=_CURSOR,
                    group=CURSORS,
                    note={"position": changes.position},
                )
            )
            self._stores.catalog.write(amendments, synced=False)
            position = changes.position
            if not changes.has_more:
                return


def _chunks(run: str, points: Sequence[Point]) -> Chunks:
    columns: dict[str, tuple[array[int], array[int], array[float]]] = {}
    for point in points:
        held = columns.get(point.key)
        if held is None:
            check_key(point.key, "metric")
            held = columns[point.key] = (array("q"), array("q"), array("d"))
        if not 0 <= point.time_ms <= _MOST_STEP or not -_MOST_STEP <= point.step <= _MOST_STEP:
            raise Invalid(
                f"metric {point.key!r} has the time {point.time_ms} and the step {point.step}; "
                f"expected a time of 0 to {_MOST_STEP} ms and a step within 64 bits",
                code="bad-point",
            )
        held[0].append(point.step)
        held[1].append(point.time_ms)
        held[2].append(point.value)
    return [(SeriesKey(run, key), Points(*held)) for key, held in columns.items()]


def _rank(value: float) -> tuple[bool, float]:
    """Order values with NaN behind all numbers."""
    return (True, 0.0) if math.isnan(value) else (False, value)


def _amendment(document: Document, latest: Mapping[str, Latest]) -> Amendment | None:
    """Return what a run's document does not know yet, None when it knows all."""
    news: dict[str, Value] = {}
    notes: dict[str, Any] = {}
    told = document.notes.get(FIGURES, ())
    for name, item in latest.items():
        if name in told:
            continue
        place = [item.step, item.time_ms]
        known = document.attributes.get(f"metrics.{name}")
        if (
            known is None
            or not is_same_value(known, item.value)
            or document.notes.get(f"latest.{name}") != place
        ):
            news[f"metrics.{name}"] = item.value
            notes[f"latest.{name}"] = place
    if not news:
        return None
    return Amendment(collection=RUNS, id=document.id, set=news, note=notes)
