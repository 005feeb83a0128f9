"""What differs between runs: parameters, metrics, curves, code, environment, data."""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeVar

import msgspec

from trivet.tracking.found import FoundRun
from trivet.tracking.reporting.facts import Input

_V = TypeVar("_V")
Change = tuple[_V | None, _V | None]
"""Before and after; None where one side has nothing of this name."""
Fate = Literal["added", "removed", "changed"]
MOST_COMPARED_BYTES: Final = 200_000
"""Of a larger file the comparison says that it differs, and not how."""
_MOST_DIFF: Final = 1 << 20
_LEAVE_BLANK: Final = "\n\\ No newline at end of file\n"


class CurvePoints(msgspec.Struct, frozen=True, kw_only=True):
    """Some points of a metric, evenly spread over its steps, the first and the last among them."""

    steps: list[int]
    values: list[float]


class CodeSide(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the code of a run."""

    entry: str = ""
    commit: str | None = None
    is_dirty: bool = False
    """Whether there were changes that are in no commit."""
    files: dict[str, str] | None = None
    """Digests of the sources by path; None when they are not kept."""


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one run."""

    run: FoundRun
    parameters: dict[str, str]
    metrics: dict[str, float]
    code: CodeSide
    machine: dict[str, str] = {}
    packages: dict[str, str] | None = None
    """Installed distributions and their versions; None when nobody recorded them."""
    data: tuple[str, ...] = ()
    """Identifiers of the data commits it was given."""
    inputs: tuple[Input, ...] = ()
    """Data sets that it says it was given."""
    curves: dict[str, CurvePoints] = {}


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One name, and what each run has of it; None where a run has nothing."""

    name: str
    values: tuple[Any, ...]
    differs: bool


class CodeChange(msgspec.Struct, frozen=True, kw_only=True):
    """What differs between the code of the first run and that of another."""

    run: str
    """The other run."""
    is_known: bool
    """Whether the sources of both are kept; otherwise commits are all there is."""
    files: dict[str, Fate] = {}
    diff: str = ""
    """As `diff -u` writes it, at most 1 MiB."""


class ComparedCurve(msgspec.Struct, frozen=True, kw_only=True):
    """One metric over the steps of each run; None where a run has no points of it."""

    name: str
    runs: tuple[CurvePoints | None, ...]


class RunComparison(msgspec.Struct, frozen=True, kw_only=True):
    """What several runs have in common and what not; differences are those from the first."""

    runs: tuple[FoundRun, ...]
    parameters: tuple[Line, ...]
    metrics: tuple[Line, ...]
    """The latest values."""
    tags: tuple[Line, ...]
    code: tuple[CodeSide, ...]
    changes: tuple[CodeChange, ...]
    """For each run but the first."""
    packages: tuple[Line, ...]
    """Those distributions alone that differ among the runs whose environment is known."""
    has_packages: tuple[bool, ...]
    """For each run, whether its environment is known."""
    machine: tuple[Line, ...]
    data: tuple[tuple[str, ...], ...]
    """For each run the identifiers of its data commits."""
    inputs: tuple[Line, ...]
    """Data sets as the runs name them, with their digests."""
    curves: tuple[ComparedCurve, ...]

    @property
    def is_same_code(self) -> bool:
        """Whether the sources of all runs are known and the same."""
        return all(change.is_known and not change.files for change in self.changes)


def compare_sides(sides: Sequence[Side], read: Callable[[str], bytes | None]) -> RunComparison:
    """Compare runs with the first of them.

    Args:
        sides: At least two runs.
        read: Returns a source file by its digest; None when it is gone.
    """
    known = [side.packages for side in sides]
    return RunComparison(
        runs=tuple(side.run for side in sides),
        parameters=lines([side.parameters for side in sides]),
        metrics=lines([side.metrics for side in sides]),
        tags=lines([side.run.tags for side in sides]),
        code=tuple(side.code for side in sides),
        changes=tuple(_change(sides[0], other, read) for other in sides[1:]),
        packages=_packages(known),
        has_packages=tuple(packages is not None for packages in known),
        machine=_machine([side.machine for side in sides]),
        data=tuple(side.data for side in sides),
        inputs=lines([_inputs(side.inputs) for side in sides]),
        curves=tuple(
            ComparedCurve(name=name, runs=tuple(side.curves.get(name) for side in sides))
            for name in _names(side.curves for side in sides)
        ),
    )


def lines(columns: Sequence[Mapping[str, Any]]) -> tuple[Line, ...]:
    """Put what runs have of each name beside each other, sorted by name.

    Texts that are the same number are no difference, and NaN is none from NaN.
    """
    found: list[Line] = []
    for name in _names(columns):
        values = tuple(column.get(name) for column in columns)
        differs = any(not is_same(values[0], value) for value in values[1:])
        found.append(Line(name=name, values=values, differs=differs))
    return tuple(found)


def is_same(one: object, two: object) -> bool:
    """Whether two values are the same, also when they are written in another way."""
    if one == two:
        return True
    numbers = (_number(one), _number(two))
    if None in numbers:
        return False
    first, second = numbers
    return first == second or (first != first and second != second)  # noqa: PLR0124  # NaN


def changes(before: Mapping[str, _V], after: Mapping[str, _V]) -> dict[str, Change[_V]]:
    """Return the names whose values differ, sorted, with both values."""
    return {
        name: (before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if (name in before) != (name in after) or before[name] != after[name]
    }


def _names(columns: Iterable[Mapping[str, Any]]) -> list[str]:
    return sorted({name for column in columns for name in column})


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if not isinstance(value, str) or math.isfinite(number) else None


def _packages(known: Sequence[Mapping[str, str] | None]) -> tuple[Line, ...]:
    """Compare environments; those that nobody recorded are left blank and are no difference."""
    found: list[Line] = []
    for name in _names(packages for packages in known if packages is not None):
        values = tuple(None if packages is None else packages.get(name) for packages in known)
        there = [packages.get(name) for packages in known if packages is not None]
        if any(value != there[0] for value in there[1:]):
            found.append(Line(name=name, values=values, differs=True))
    return tuple(found)


def _machine(known: Sequence[Mapping[str, str]]) -> tuple[Line, ...]:
    """Compare machines; what was not recorded of one is no difference."""
    found: list[Line] = []
    for line in lines(known):
        there = {value for value in line.values if value is not None}
        found.append(Line(name=line.name, values=line.values, differs=len(there) > 1))
    return tuple(found)


def _inputs(inputs: Iterable[Input]) -> dict[str, str]:
    named: dict[str, list[str]] = {}
    for item in inputs:
        name = f"{item.name} ({item.context})" if item.context else item.name
        named.setdefault(name, []).append(item.digest)
    return {name: ", ".join(sorted(set(digests))) for name, digests in named.items()}


# ------------------------------------------------------------------------- code


def _change(first: Side, other: Side, read: Callable[[str], bytes | None]) -> CodeChange:
    before, after = first.code.files, other.code.files
    if before is None or after is None:
        return CodeChange(run=other.run.id, is_known=False)
    different = changes(before, after)
    fates: dict[str, Fate] = {
        path: "added" if old is None else "removed" if new is None else "changed"
        for path, (old, new) in different.items()
    }
    pieces: list[str] = []
    room = _MOST_DIFF
    for path, digests in different.items():
        piece = _file_diff(path, digests, read)
        room -= len(piece)
        if room < 0:
            pieces.append("... and more: the diff is cut here\n")
            break
        pieces.append(piece)
    return CodeChange(run=other.run.id, is_known=True, files=fates, diff="".join(pieces))


def _file_diff(path: str, digests: Change[str], read: Callable[[str], bytes | None]) -> str:
    old, new = (b"" if digest is None else read(digest) for digest in digests)
    if old is None or new is None:
        return f"{path}: not kept any longer\n"
    if len(old) + len(new) > MOST_COMPARED_BYTES:
        return f"{path}: differs ({len(old)} and {len(new)} bytes)\n"
    before, after = (
        content.decode("utf-8", "replace").splitlines(keepends=True) for content in (old, new)
    )
    names = (
        "/dev/null" if digests[0] is None else f"a/{path}",
        "/dev/null" if digests[1] is None else f"b/{path}",
    )
    found = difflib.unified_diff(before, after, *names)
    return "".join(line if line.endswith("\n") else line + _LEAVE_BLANK for line in found)
