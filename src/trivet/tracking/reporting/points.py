"""Metrics of runs: points in series, and the latest of each where searches find it.

The times of these series are milliseconds: what clients send, whatever unit they took it for.
"""

import math
import threading
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from trivet.core.catalog import Amendment
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


class Point(msgspec.Struct, frozen=True):
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
        self._lock = threading.Lock()
        self._behind: set[str] = set()
        """Owners of series whose documents do not know their latest points yet."""

    def log(self, run: str, points: Sequence[Point]) -> None:
        """Append points durably, all or none. Points that are there already change nothing.

        Raises:
            Invalid: A key, time or step cannot be recorded.
        """
        measured = by_measurement(run, points)
        chunks = _chunks(run, points)
        for owner, own in measured.items():
            chunks += _chunks(owner, own)
        self._stores.series.append(chunks)
        with self._lock:
            self._behind |= {run, *measured}

    def check(self, run: str, points: Sequence[Point]) -> None:
        """Make sure that points can be recorded.

        Raises:
            Invalid: A key, time or step cannot be.
        """
        _chunks(run, points)

    def history(self, run: str, key: str) -> list[Point]:
        """Return all points of a metric, by time, step and value; none when nothing was logged."""
        found = self._stores.series.read(SeriesKey(run, key))
        columns = (found.times.tolist(), found.steps.tolist(), found.values.tolist())
        rows = sorted(zip(*columns, strict=True), key=lambda row: (*row[:2], _rank(row[2])))
        return [Point(key, value, time_ms, step) for time_ms, step, value in rows]

    def latest(self, run: str) -> dict[str, Latest]:
        """Return the latest point of each of a run's metrics."""
        found: dict[str, Latest] = {}
        for key in self._stores.series.keys(run):
            points = self._stores.series.read(key)
            found[key.name] = _latest(points)
        return found

    def catch_up(self) -> None:
        """Let the documents of runs and models know the latest points, for searches to find."""
        with self._lock:
            behind, self._behind = self._behind, set()
        try:
            known = self._known(behind)
            amendments = [_amendment(run, self.latest(run)) for run in known]
            amendments += model_amendments(self._stores, models_of(behind))
            self._stores.catalog.write(amendments, synced=False)
        except BaseException:
            with self._lock:
                self._behind |= behind
            raise

    def _known(self, runs: Iterable[str]) -> list[str]:
        return [document.id for document in self._stores.catalog.get(RUNS, sorted(runs))]


def _chunks(run: str, points: Sequence[Point]) -> list[tuple[SeriesKey, Points]]:
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


def _latest(points: Points) -> Latest:
    rows = zip(points.steps.tolist(), points.times.tolist(), points.values.tolist(), strict=True)
    step, time_ms, value = max(rows, key=lambda row: (*row[:2], _rank(row[2])))
    return Latest(value=value, step=step, time_ms=time_ms)


def _rank(value: float) -> tuple[bool, float]:
    """Order values with NaN behind all numbers."""
    return (True, 0.0) if math.isnan(value) else (False, value)


def _amendment(run: str, latest: Mapping[str, Latest]) -> Amendment:
    notes: dict[str, Any] = {
        f"latest.{name}": [item.step, item.time_ms] for name, item in latest.items()
    }
    return Amendment(
        collection=RUNS,
        id=run,
        set={f"metrics.{name}": item.value for name, item in latest.items()},
        note=notes,
    )
