"""What is recorded of traces and of what people and judges say about them."""

from typing import Any, Final, Literal

import msgspec

from trivet.core.facts import Fact
from trivet.tracking.reporting.facts import Imported

TraceState = Literal["unknown", "running", "succeeded", "failed"]
STATE_WORDS: Final[dict[str, TraceState]] = {
    "OK": "succeeded",
    "ERROR": "failed",
    "IN_PROGRESS": "running",
    "STATE_UNSPECIFIED": "unknown",
}
"""How documents say how a trace stands, so that searches by MLflow's words find and order it, and
ours; in the order of MLflow's enumeration, which calls the last one 0."""
WORDS: Final = {state: word for word, state in STATE_WORDS.items()}
AssessmentKind = Literal["feedback", "expectation", "issue"]
SourceKind = Literal["unknown", "human", "judge", "code"]
SOURCE_WORDS: Final[dict[str, SourceKind]] = {
    "HUMAN": "human",
    "LLM_JUDGE": "judge",
    "CODE": "code",
}
"""MLflow's words for who says something about a trace."""


class TraceReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one call says about a trace; what it does not mention stays as it is."""

    began_ms: int | None = None
    duration_ms: int | None = None
    state: TraceState | None = None
    name: str | None = None
    run: str | None = None
    """The run in which it came to be."""
    client_id: str | None = None
    """What the caller of the program knows the request by."""
    request: str | None = None
    """The beginning of what was asked."""
    response: str | None = None
    """The beginning of what was answered."""
    metadata: dict[str, str] = {}
    tags: dict[str, str] = {}
    dropped: tuple[str, ...] = ()
    """Tags that were taken away."""


class TraceReported(Fact, frozen=True, kw_only=True):
    """A program told of a trace, or somebody tagged it.

    Its parents are the `experiment` fact, and the `run.opened` fact of its run.
    """

    KIND = "trace"
    INDEXED = ("trace",)

    trace: str
    experiment: str
    report: TraceReport
    imported: Imported | None = None


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Who says something about a trace: a person, a model that judges, or code."""

    kind: SourceKind = "unknown"
    id: str = ""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a judge could not say anything."""

    code: str = ""
    message: str = ""
    stack: str = ""


class Assessment(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody says about a trace: how good it is, or what would have been right."""

    id: str
    name: str
    kind: AssessmentKind
    value: Any = None
    """JSON-ready; the text of a value in another form when `form` says so."""
    form: str = ""
    failure: Failure | None = None
    issue: str = ""
    """The name of the issue that the trace is an example of."""
    source: Source = Source()
    span: str = ""
    """The span that it is about; empty for the whole trace."""
    rationale: str = ""
    metadata: dict[str, str] = {}
    overrides: str = ""
    """The assessment that it takes the place of."""
    is_valid: bool = True
    """Whether nothing took its place."""
    made_ms: int
    changed_ms: int


class TraceAssessed(Fact, frozen=True, kw_only=True):
    """Somebody said, changed or withdrew something about a trace; its parent is a `trace` fact."""

    KIND = "trace.assessed"
    INDEXED = ("trace",)

    trace: str
    assessments: tuple[Assessment, ...] = ()
    """As they stand from now on."""
    withdrawn: tuple[str, ...] = ()


class TraceLinked(Fact, frozen=True, kw_only=True):
    """A trace belongs to one more run; its parents are a `trace` fact and the `run.opened` fact."""

    KIND = "trace.linked"
    INDEXED = ("trace", "run")

    trace: str
    run: str


class TracesDeleted(Fact, frozen=True, kw_only=True):
    """Traces are gone, and what was recorded of them is forgotten; its parent is the experiment."""

    KIND = "traces.deleted"
    INDEXED = ("experiment",)

    experiment: str
    traces: tuple[str, ...]


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """A trace as it stands."""

    id: str
    fact: str
    """The first `trace` fact about it."""
    experiment: int
    """The experiment's number."""
    location: str
    """Where clients put and find its files, the spans among them."""
    state: TraceState
    began_ms: int
    duration_ms: int | None
    client_id: str | None
    request: str | None
    response: str | None
    metadata: dict[str, str]
    tags: dict[str, str]
    assessments: tuple[Assessment, ...]
