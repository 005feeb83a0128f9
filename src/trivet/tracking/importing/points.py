"""Landing points: appended in large batches, and of a known run only those that are new."""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from trivet.core.moving import HeldPoints
from trivet.core.points import Points, SeriesKey
from trivet.core.ports import Stores
from trivet.tracking.importing.cleaning import Remarks, clean_columns, clean_keys
from trivet.tracking.reporting.points import Chunks

_AT_ONCE: Final = 200_000
"""How many points are appended at once, about."""


class PointLanding:
    """Brings points of one store into the series of a project.

    Args:
        stores: Where everything is kept.
        remarks: Told of what is otherwise here.
    """

    def __init__(self, stores: Stores, remarks: Remarks) -> None:
        self._stores = stores
        self._remarks = remarks

    def land(
        self, held: Iterable[HeldPoints], runs: Mapping[str, str], known: Mapping[str, object]
    ) -> Counter[str]:
        """Append points durably, and return how many of them are new, by run.

        Args:
            held: The points.
            runs: Which run here each run there is.
            known: The runs here that may have points already.
        """
        names: dict[str, dict[str, str]] = {}
        standing: dict[SeriesKey, set[tuple[int, int, bytes]]] = {}
        waiting: Chunks = []
        count = 0
        total: Counter[str] = Counter()
        for chunk in held:
            run = runs[chunk.run]
            points = self._points(chunk)
            key = SeriesKey(run, self._named(names.setdefault(run, {}), chunk.key))
            if run in known:
                if key not in standing:
                    standing[key] = set(_rows(self._stores.series.read(key)))
                points = _without(points, standing[key])
            if not len(points.steps):
                continue
            waiting.append((key, points))
            count += len(points.steps)
            total[run] += len(points.steps)
            if count >= _AT_ONCE:
                self._stores.series.append(waiting)
                waiting, count = [], 0
        if waiting:
            self._stores.series.append(waiting)
        return total

    def _named(self, names: dict[str, str], key: str) -> str:
        """Return what a metric of a run is called here; two never share a name."""
        if key not in names:
            named = clean_keys([key], "metric", self._remarks)[key]
            if named in names.values():
                named = clean_keys([*names.values(), f"{key}?"], "metric", self._remarks)[f"{key}?"]
            names[key] = named
        return names[key]

    def _points(self, chunk: HeldPoints) -> Points:
        points = chunk.points
        steps, times, is_odd = clean_columns(points.steps, points.times)
        if is_odd:
            self._remarks.note(f"the metric {chunk.key[:100]!r} has times before 1970: they are 0")
        return Points(steps, times, points.values)


def _rows(points: Points) -> Iterable[tuple[int, int, bytes]]:
    values = memoryview(array("d", points.values)).cast("B")
    places = zip(points.steps, points.times, strict=True)
    for number, (step, time) in enumerate(places):
        # By their bytes: NaN is no equal of itself.
        yield int(step), int(time), bytes(values[8 * number : 8 * number + 8])


def _without(points: Points, known: set[tuple[int, int, bytes]]) -> Points:
    """Return the points that are not known."""
    kept = [number for number, row in enumerate(_rows(points)) if row not in known]
    return Points(
        array("q", (points.steps[number] for number in kept)),
        array("q", (points.times[number] for number in kept)),
        array("d", (points.values[number] for number in kept)),
    )
