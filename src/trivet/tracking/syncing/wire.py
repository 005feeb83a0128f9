"""What travels: runs and what became of them, points, small files, and signs of life.

Everything has an identifier that was made where it happened, so whoever is in doubt sends again.
"""

import sys
from array import array
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from trivet.core.errors import Invalid
from trivet.core.points import Points
from trivet.core.training import Machine
from trivet.tracking.facts import CodeState, Environment
from trivet.tracking.found import FoundRun
from trivet.tracking.reporting.facts import Input, ReportedStatus, Stage

FORMAT: Final = 1
"""Rises when a server would misread what older clients send, or the other way."""
MOST_BODY_BYTES: Final = 16 << 20
MOST_ENTRIES: Final = 500
MOST_DIGESTS: Final = 5_000
MOST_SIGNS: Final = 10_000
MOST_RUNS: Final = 1_000
"""So many runs come with one answer to a search."""
MOST_FILE_BYTES: Final = 1 << 40

Identifier = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Digest = Annotated[str, Meta(pattern="^b3:[0-9a-f]{64}$")]
Word = Literal["NaN", "Infinity", "-Infinity"]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class _Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: Identifier
    """The fact by which it was recorded where it happened."""
    run: Identifier


class RunBegun(_Entry, frozen=True, kw_only=True, tag="run-begun"):
    """A run began."""

    experiment: str
    """The experiment's name; it is made when there is none of it."""
    name: str
    user: str
    began_ms: Count
    tags: dict[str, str] = {}


class RunTold(_Entry, frozen=True, kw_only=True, tag="run-told"):
    """A run said something about itself; what is not mentioned stays as it is."""

    parameters: dict[str, str] = {}
    tags: dict[str, str] = {}
    dropped: tuple[str, ...] = ()
    """Tags to take away."""
    inputs: tuple[Input, ...] = ()
    name: str | None = None
    status: ReportedStatus | None = None
    ended_ms: Count | None = None


class RunSeen(_Entry, frozen=True, kw_only=True, tag="run-seen"):
    """A run's code, environment and machine were looked at; the server has their bytes."""

    code: CodeState
    environment: Environment
    machine: Machine = Machine()


class RunMoved(_Entry, frozen=True, kw_only=True, tag="run-moved"):
    """A run was put away, or brought back."""

    stage: Stage


class FileKept(_Entry, frozen=True, kw_only=True, tag="file-kept"):
    """A file of a run stands at a path; the server has its bytes."""

    path: str
    digest: Digest
    size_bytes: Count
    media_type: str


class FilesGone(_Entry, frozen=True, kw_only=True, tag="files-gone"):
    """The file at a path, or all files below it, were deleted."""

    path: str


Entry = RunBegun | RunTold | RunSeen | RunMoved | FileKept | FilesGone


class Series(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Points of one metric of a run, as three columns of equally many eight-byte numbers.

    They are little-endian; in JSON they are written in base64.
    """

    run: Identifier
    name: str
    steps: bytes
    """Whole numbers."""
    times: bytes
    """Whole numbers: milliseconds since 1970 (UTC)."""
    values: bytes
    """Floating-point numbers (binary64)."""


class Sign(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run's program gave a sign of life."""

    run: Identifier
    age_ms: Count
    """How long ago that was, when this was sent."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Things in the order in which they are taken: files, entries one by one, points, signs."""

    files: tuple[bytes, ...] = ()
    """Contents of small files, that entries may name by digest from now on; base64 in JSON."""
    entries: Annotated[tuple[Entry, ...], Meta(max_length=MOST_ENTRIES)] = ()
    points: tuple[Series, ...] = ()
    signs: Annotated[tuple[Sign, ...], Meta(max_length=MOST_SIGNS)] = ()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of something that was sent."""

    state: Literal["new", "known", "refused"]
    """`known`: it had arrived before, and changed nothing."""
    code: str = ""
    """Why it was refused: a slug."""
    message: str = ""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a delivery. What is new or known is durable."""

    entries: tuple[Outcome, ...] = ()
    """In the order of the delivery."""
    refused: dict[str, Outcome] = {}
    """The runs whose points were refused; those of all others were taken."""


class Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which of these files does the server lack?"""

    digests: Annotated[tuple[Digest, ...], Meta(max_length=MOST_DIGESTS)]


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """Files that the server lacks, in the order of the question."""

    digests: tuple[str, ...]


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """A file that the server has now."""

    digest: str
    size_bytes: int


class LastStep(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run has come: the greatest step of its own metrics, -1 when there are none."""

    step: int


class Wish(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which runs are wanted: those of a search, or those of these identifiers."""

    ids: Annotated[tuple[Identifier, ...], Meta(max_length=MOST_RUNS)] = ()
    """Runs to read; with any, nothing else is looked at."""
    filters: tuple[str, ...] = ()
    """All of them must hold."""
    order: tuple[str, ...] = ()
    columns: tuple[str, ...] | None = None
    experiment: str | None = None
    after: str = ""
    """The `after` of the page before."""
    limit: Annotated[int, Meta(ge=1, le=MOST_RUNS)] = MOST_RUNS


class PageThere(msgspec.Struct, frozen=True, kw_only=True):
    """A page of runs."""

    runs: tuple[FoundRun, ...]
    """With the metrics that are finite numbers: JSON has no others."""
    odd: dict[str, dict[str, Word]] = {}
    """The other metrics, by run."""
    after: str | None = None
    """Continues the search; None when it is over."""
    wanted: dict[str, str] | None = None
    """The columns that were asked for, and what a row calls them."""


class Welcome(msgspec.Struct, frozen=True, kw_only=True):
    """Who answers."""

    project: str
    format: int = FORMAT


def columns_of(series: Series) -> Points:
    """Return the points of a series that was sent.

    Raises:
        Invalid: The columns are no numbers, or not equally many.
    """
    sizes = {len(series.steps), len(series.times), len(series.values)}
    if len(sizes) > 1 or sizes.pop() % 8:
        raise Invalid(
            f"the columns of metric {series.name!r} have {len(series.steps)}, {len(series.times)} "
            f"and {len(series.values)} bytes; expected 8 for each point",
            code="bad-points",
        )
    return Points(
        _numbers("q", series.steps), _numbers("q", series.times), _numbers("d", series.values)
    )


def series_of(run: str, name: str, points: Points, first: int, last: int) -> Series:
    """Return the points from one place to before another, as they are sent."""
    columns = (points.steps, points.times, points.values)
    steps, times, values = (_bytes(column[first:last]) for column in columns)
    return Series(run=run, name=name, steps=steps, times=times, values=values)


def _numbers(kind: Literal["q", "d"], content: bytes) -> "array[int] | array[float]":
    numbers: array[int] | array[float] = array(kind)
    numbers.frombytes(content)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _bytes(column: memoryview) -> bytes:
    if sys.byteorder == "big":
        swapped = array("Q", bytes(column))
        swapped.byteswap()
        return swapped.tobytes()
    return bytes(column)
