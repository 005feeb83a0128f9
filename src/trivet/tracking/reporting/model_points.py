"""Metrics of logged models: which series hold them, and what searches see of them.

Every measurement, that is a run and the data it measured on, has series of its own. For searches
their points are pooled three times: all together, by the data set's name, and by its name and
digest. Of each pool a document has the latest value, and the least and the greatest where they
differ from it: a condition on a metric holds when it holds for any of a model's points.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, Protocol, TypeVar

import msgspec

from trivet.core.catalog import Amendment, Compare, Condition, Document, Either, Has, Order
from trivet.core.ports import SeriesKey, Stores, Summary
from trivet.tracking.reporting.logged_facts import Measurement, ModelPoint

LOGGED_MODELS: Final = "logged-models"
_SOURCE: Final = "measured."
_LATEST: Final = "point."


class Subject(msgspec.Struct, frozen=True):
    """The logged model that a point of a run is about, and the data it was measured on."""

    model: str
    dataset: str = ""
    digest: str = ""


class Dataset(msgspec.Struct, frozen=True):
    """A data set that a search is about; without a digest, whatever its digest is."""

    name: str
    digest: str | None = None


class _About(Protocol):
    @property
    def about(self) -> Subject | None: ...


P = TypeVar("P", bound=_About)


def by_measurement(run: str, points: Sequence[P]) -> dict[str, list[P]]:
    """Gather the points that are about logged models, by the owner of their series."""
    found: dict[str, list[P]] = {}
    for point in points:
        if point.about is not None:
            found.setdefault(owner_of(point.about, run), []).append(point)
    return found


def owner_of(subject: Subject, run: str) -> str:
    """Return the owner of the series in which a run's points about a model lie."""
    return f"{subject.model}/{_digest(run, subject.dataset, subject.digest)}"


def models_of(owners: Iterable[str]) -> set[str]:
    """Return the logged models among owners of series."""
    return {owner.partition("/")[0] for owner in owners if "/" in owner}


def source_note(by: Measurement) -> tuple[str, list[str]]:
    """Return the note by which a document knows a measurement."""
    return f"{_SOURCE}{_digest(by.run, by.dataset, by.digest)}", [by.run, by.dataset, by.digest]


def is_measured(document: Document, by: Measurement) -> bool:
    """Say whether a document knows a measurement."""
    return source_note(by)[0] in document.notes


def series_of(document: Document) -> tuple[str, ...]:
    """Return the owners of all series that hold points of a logged model."""
    return tuple(owner for owner, _ in _sources(document))


def points_of(stores: Stores, document: Document, most: int) -> Iterator[ModelPoint]:
    """Yield the points of a logged model, of each series at most so many, the newest.

    Args:
        stores: Where the points are.
        document: The model's document.
        most: At least 1.
    """
    for owner, by in _sources(document):
        for name in stores.series.summaries(owner):
            yield from _read(stores, SeriesKey(owner, name), by)[-most:]


def latest_of(document: Document) -> tuple[ModelPoint, ...]:
    """Return the latest point of each series that a document knew when it was last brought up."""
    found: list[ModelPoint] = []
    for owner, by in _sources(document):
        beginning = f"{_LATEST}{owner.partition('/')[2]}."
        for name, note in document.notes.items():
            if name.startswith(beginning):
                value, step, time_ms = note
                key = name[len(beginning) :]
                found.append(
                    ModelPoint(key=key, value=float(value), step=step, time_ms=time_ms, by=by)
                )
    return tuple(found)


def model_amendments(stores: Stores, models: Iterable[str]) -> list[Amendment]:
    """Return the changes that let the documents of logged models know their points."""
    documents = stores.catalog.get(LOGGED_MODELS, sorted(models))
    return [_amendment(stores, document) for document in documents]


def on_datasets(condition: Condition, datasets: Sequence[Dataset]) -> Condition:
    """Let a condition on a metric hold when any point holds it, of these data sets alone.

    Args:
        condition: What a filter says; conditions on other things stay as they are.
        datasets: Which ones; empty: whatever the points were measured on.
    """
    name = getattr(condition, "name", "")
    if not name.startswith("metrics."):
        return condition
    if isinstance(condition, Has):
        return Either(tuple(_has(scope, name[8:], condition) for scope in _scopes(datasets)))
    if not isinstance(condition, Compare):
        return condition
    whats = ["metrics"]
    if condition.operator in {"<", "<=", "=", "!="}:
        whats.append("least")
    if condition.operator in {">", ">=", "=", "!="}:
        whats.append("greatest")
    return Either(
        tuple(
            msgspec.structs.replace(condition, name=f"{what}{scope}.{name[8:]}")
            for scope in _scopes(datasets)
            for what in whats
        )
    )


def measured_on(datasets: Sequence[Dataset]) -> Condition:
    """Return the condition that any metric was measured on one of these data sets."""
    return Either(tuple(Has(f"dataset{scope}") for scope in _scopes(datasets)))


def metric_order(key: str, dataset: Dataset | None, *, falls: bool) -> Order:
    """Order by the latest value of a metric, on one data set or on whatever it was measured on."""
    scope = _scope(dataset.name, dataset.digest) if dataset else ""
    return Order(f"metrics{scope}.{key}", falls=falls)


# ---------------------------------------------------------------------------- inside


def _digest(*parts: str) -> str:
    return blake2b(msgspec.json.encode(parts), digest_size=8).hexdigest()


def _scope(name: str, digest: str | None) -> str:
    """Return what stands behind `metrics` in the attributes of a pool."""
    return "@" + (_digest(name) if digest is None else _digest(name, digest))


def _scopes(datasets: Sequence[Dataset]) -> list[str]:
    return [_scope(each.name, each.digest) for each in datasets] or [""]


def _has(scope: str, key: str, condition: Has) -> Condition:
    return msgspec.structs.replace(condition, name=f"metrics{scope}.{key}")


def _sources(document: Document) -> Iterator[tuple[str, Measurement]]:
    for name, note in document.notes.items():
        if name.startswith(_SOURCE):
            run, dataset, digest = note
            by = Measurement(run=run, dataset=dataset, digest=digest)
            yield f"{document.id}/{name[len(_SOURCE) :]}", by


def _read(stores: Stores, key: SeriesKey, by: Measurement) -> list[ModelPoint]:
    """Read a series, the oldest point first: steps of several runs say nothing of each other."""
    found = stores.series.read(key)
    columns = (found.times.tolist(), found.steps.tolist(), found.values.tolist())
    rows = sorted(zip(*columns, strict=True), key=lambda row: (*row[:2], _rank(row[2])))
    return [
        ModelPoint(key=key.name, value=value, step=step, time_ms=time_ms, by=by)
        for time_ms, step, value in rows
    ]


def _amendment(stores: Stores, document: Document) -> Amendment:
    pools: dict[tuple[str, str], list[Summary]] = {}
    notes: dict[str, Any] = {}
    now: dict[str, str | float] = {}
    for owner, by in _sources(document):
        for key, found in stores.series.summaries(owner).items():
            newest = found.latest
            name = f"{_LATEST}{owner.partition('/')[2]}.{key}"
            notes[name] = [newest.value, newest.step, newest.time]
            scopes = [_scope(by.dataset, None), _scope(by.dataset, by.digest)] if by.dataset else []
            for scope in ("", *scopes):
                pools.setdefault((scope, key), []).append(found)
            now |= {f"dataset{scope}": 1.0 for scope in scopes}
    drop: list[str] = []
    for (scope, key), summaries in pools.items():
        for what, value in _figures(summaries).items():
            name = f"{what}{scope}.{key}"
            if value is None:
                drop.append(name)
            else:
                now[name] = value
    return Amendment(
        collection=LOGGED_MODELS, id=document.id, set=now, note=notes, drop=tuple(drop)
    )


def _figures(summaries: Sequence[Summary]) -> Mapping[str, float | None]:
    """Return the latest value, and the extremes where they are others than it.

    Of one series the latest is the last step's; steps of several say nothing of each other, so
    among them it is the one of the latest time.
    """
    points = [found.latest for found in summaries]
    newest = max(points, key=lambda p: (p.time, p.step, _rank(p.value))).value
    least = min((found.least for found in summaries), key=_rank)
    numbers = [found.greatest for found in summaries if not math.isnan(found.greatest)]
    greatest = max(numbers, default=math.nan)
    return {
        "metrics": newest,
        "least": None if math.isnan(least) or least == newest else least,
        "greatest": None if math.isnan(greatest) or greatest == newest else greatest,
    }


def _rank(value: float) -> tuple[bool, float]:
    """Order values with NaN behind all numbers."""
    return (True, 0.0) if math.isnan(value) else (False, value)
