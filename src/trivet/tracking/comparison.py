"""What differs between two runs: parameters, metrics, data, code and environment."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from trivet.tracking.facts import Run

_V = TypeVar("_V")
Change = tuple[_V | None, _V | None]
"""Before and after; None where one side has nothing of this name."""


class RunComparison(msgspec.Struct, frozen=True, kw_only=True):
    """What differs from run `before` to run `after`; what is equal does not appear."""

    before: str
    after: str
    parameters: dict[str, Change[Any]]
    metrics: dict[str, Change[float]]
    data: Change[tuple[str, ...]] | None
    """Identifiers of the data commits, when they differ."""
    commit: Change[str] | None
    """Git commits, when they differ."""
    files: dict[str, Change[str]]
    """Source files by path, with their digests."""
    packages: dict[str, Change[str]]
    """Installed distributions, with their versions."""
    machine: dict[str, Change[str]]

    @property
    def is_same_code(self) -> bool:
        """Whether every source file is the same."""
        return not self.files


def compare_runs(
    before: Run,
    after: Run,
    *,
    files: tuple[Mapping[str, str], Mapping[str, str]],
    packages: tuple[Mapping[str, str], Mapping[str, str]],
) -> RunComparison:
    """Compare two runs.

    Args:
        before: The older run, or the one to measure by.
        after: The other run.
        files: Both runs' source files: path to digest.
        packages: Both runs' installed distributions: name to version.
    """
    one, two = before.started, after.started
    return RunComparison(
        before=before.id,
        after=after.id,
        parameters=changes(one.parameters, two.parameters),
        metrics=changes(_metrics(before), _metrics(after)),
        data=None if one.data == two.data else (one.data, two.data),
        commit=None if one.code.commit == two.code.commit else (one.code.commit, two.code.commit),
        files=changes(*files),
        packages=changes(*packages),
        machine=changes(_machine(before), _machine(after)),
    )


def changes(before: Mapping[str, _V], after: Mapping[str, _V]) -> dict[str, Change[_V]]:
    """Return the names whose values differ, sorted, with both values."""
    return {
        name: (before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if (name in before) != (name in after) or before[name] != after[name]
    }


def _metrics(run: Run) -> dict[str, float]:
    return run.finished.metrics if run.finished else {}


def _machine(run: Run) -> dict[str, str]:
    seen = run.started.environment
    return {
        "python": seen.python,
        "platform": seen.platform,
        "processors": str(seen.processors),
        "memory": str(seen.memory_bytes),
    }
