"""Runs compared with all that they were made from: what tracking knows, and what data knows."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from trivet.core.errors import NotFound
from trivet.data.facts import Dataset
from trivet.tracking.comparison import RunComparison
from trivet.tracking.service import TrackingService
from trivet.workspace import wiring

if TYPE_CHECKING:
    from trivet.data.differences import DataDifference


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """Several runs, and what differs from the first."""

    tracked: RunComparison
    data: "tuple[tuple[DataDifference, ...], ...]"
    """For each run but the first: versions of data sets that both were given, and that differ."""
    names: dict[str, str]
    """Names of data sets by the identifiers of the runs' data commits."""


def compare_runs(
    tracking: TrackingService,
    data: "wiring.DataService",
    runs: Sequence[str],
    metrics: Sequence[str] | None = None,
) -> Compared:
    """Compare runs, and the versions of the data sets that they were given.

    Args:
        tracking: Where runs are.
        data: Where data sets are.
        runs: Identifiers, at least two.
        metrics: Whose curves are compared, see `TrackingService.compare`.

    Raises:
        Invalid: There are too few or too many runs.
        NotFound: One of them does not exist.
    """
    tracked = tracking.compare(*runs, metrics=metrics)
    known: dict[str, Dataset] = {}
    for id_ in {id_ for ids in tracked.data for id_ in ids}:
        try:
            known[id_] = data.get(id_)
        except NotFound:
            continue  # what it said was forgotten
    given = [{known[id_].name: known[id_] for id_ in ids if id_ in known} for ids in tracked.data]
    differences = [
        tuple(
            wiring.compare_versions(data, given[0][name], other[name])
            for name in sorted(given[0].keys() & other.keys())
            if given[0][name].id != other[name].id
        )
        for other in given[1:]
    ]
    names = {id_: dataset.name for id_, dataset in known.items()}
    return Compared(tracked=tracked, data=tuple(differences), names=names)
