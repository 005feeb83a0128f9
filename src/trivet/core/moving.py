"""What another store of runs holds: the port through which it is imported, and ours exported.

A reader for each kind of store yields these; one writer lands them here, another puts them into a
server of MLflow. Nothing in them is trusted: keys, times and addresses are those of strangers.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, BinaryIO, Final, Literal, Protocol

import msgspec

from trivet.core.points import Points

HeldStage = Literal["active", "deleted"]
HeldStatus = Literal["pending", "ready", "failed"]
"""Whether the files of a logged model are on their way, all there, or will never be."""
HeldJudgement = Literal["feedback", "expectation", "issue"]
SPANS_FILE: Final = "traces.json"
"""The file of a trace that holds its spans."""


class HeldExperiment(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment of another store. Times are milliseconds since 1970 (UTC)."""

    id: str
    name: str
    stage: HeldStage = "active"
    made_ms: int = 0
    changed_ms: int = 0
    location: str = ""
    """Where its artifacts are, as the store writes addresses."""
    tags: dict[str, str] = {}


class HeldInput(msgspec.Struct, frozen=True, kw_only=True):
    """A data set that a run says it was given."""

    name: str
    digest: str
    source_type: str = ""
    source: str = ""
    schema: str | None = None
    profile: str | None = None
    tags: dict[str, str] = {}


class HeldRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run of another store, without its points."""

    id: str
    experiment: str
    name: str = ""
    user: str = ""
    status: str = "FINISHED"
    """In MLflow's words: RUNNING, SCHEDULED, FINISHED, FAILED, KILLED."""
    stage: HeldStage = "active"
    began_ms: int = 0
    ended_ms: int | None = None
    location: str = ""
    parameters: dict[str, str] = {}
    tags: dict[str, str] = {}
    inputs: tuple[HeldInput, ...] = ()
    models_in: tuple[str, ...] = ()
    models_out: tuple[tuple[str, int], ...] = ()
    """Logged models that it made, each with a step."""
    keys: tuple[str, ...] = ()
    """Names of its metrics, where the store tells them with the run."""
    imprint: str = ""
    """Changes whenever points or files were added, as far as the store can tell."""


class HeldPoints(msgspec.Struct, frozen=True):
    """Some points of a metric of a run; times are milliseconds."""

    run: str
    key: str
    points: Points


class HeldMeasure(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A point of a logged model's metric, by which run and on which data it was measured."""

    key: str
    value: float
    step: int
    time_ms: int
    run: str
    dataset: str = ""
    digest: str = ""


class HeldModel(msgspec.Struct, frozen=True, kw_only=True):
    """A logged model of another store."""

    id: str
    experiment: str
    name: str
    type: str = ""
    status: HeldStatus = "ready"
    stage: HeldStage = "active"
    run: str = ""
    user: str = ""
    location: str = ""
    made_ms: int = 0
    changed_ms: int = 0
    parameters: dict[str, str] = {}
    tags: dict[str, str] = {}
    measures: tuple[HeldMeasure, ...] = ()


class HeldVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a registered model."""

    number: int
    source: str
    made_ms: int = 0
    changed_ms: int = 0
    user: str = ""
    stage: str = "None"
    location: str = ""
    """Where its files are, when the store says so besides the source."""
    run: str = ""
    run_link: str = ""
    description: str | None = None
    tags: dict[str, str] = {}


class HeldName(msgspec.Struct, frozen=True, kw_only=True):
    """A registered model with its versions."""

    name: str
    made_ms: int = 0
    changed_ms: int = 0
    description: str | None = None
    tags: dict[str, str] = {}
    aliases: dict[str, int] = {}
    versions: tuple[HeldVersion, ...] = ()


class HeldAssessment(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody said about a trace."""

    id: str
    name: str
    kind: HeldJudgement
    value: Any = None
    """JSON-ready; of an issue its name."""
    form: str = ""
    """Which form `value` has when it is a text that stands for something else."""
    failure: tuple[str, str, str] | None = None
    """Why a judge could not say anything: code, message, stack trace."""
    source: str = "SOURCE_TYPE_UNSPECIFIED"
    """In MLflow's words: HUMAN, LLM_JUDGE, CODE."""
    source_id: str = ""
    span: str = ""
    rationale: str = ""
    metadata: dict[str, str] = {}
    overrides: str = ""
    is_valid: bool = True
    made_ms: int = 0
    changed_ms: int = 0


class HeldTrace(msgspec.Struct, frozen=True, kw_only=True):
    """A trace of another store, without its spans."""

    id: str
    experiment: str
    began_ms: int = 0
    duration_ms: int | None = None
    state: str = "STATE_UNSPECIFIED"
    """In MLflow's words: OK, ERROR, IN_PROGRESS."""
    client_id: str | None = None
    request: str | None = None
    """The beginning of what was asked."""
    response: str | None = None
    """The beginning of what was answered."""
    location: str = ""
    """Where its files are, as the store writes addresses."""
    metadata: dict[str, str] = {}
    tags: dict[str, str] = {}
    runs: tuple[str, ...] = ()
    """Runs that it was linked to, besides the one in which it came to be."""
    assessments: tuple[HeldAssessment, ...] = ()
    imprint: str = ""
    """Changes whenever spans or files were added, as far as the store can tell."""


class HeldFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file among somebody's artifacts."""

    path: str
    """Below the owner's uppermost folder, with `/` between names."""
    size_bytes: int | None
    open: Callable[[], BinaryIO]
    """Opens it for reading; whoever calls it closes the stream."""
    is_near: bool = True
    """Reading it again to compare it costs little."""


class Holdings(Protocol):
    """What a store holds, read piece by piece: never all of it at once."""

    @property
    def name(self) -> str:
        """Which store this is, for people; without user and password."""
        ...

    @property
    def problems(self) -> Sequence[str]:
        """What could not be read so far, in words; more may come while it is read."""
        ...

    def experiments(self) -> Iterator[HeldExperiment]:
        """Yield all experiments, deleted ones too.

        Raises:
            Unavailable: The store does not answer.
            Unsupported: It is of a version that cannot be read.
        """
        ...

    def runs(self, experiment: str) -> Iterator[HeldRun]:
        """Yield the runs of an experiment, deleted ones too."""
        ...

    def points(self, runs: Sequence[HeldRun]) -> Iterator[HeldPoints]:
        """Yield the points of runs in chunks of at most about 100,000, in any order."""
        ...

    def models(self, experiment: str) -> Iterator[HeldModel]:
        """Yield the logged models of an experiment."""
        ...

    def names(self) -> Iterator[HeldName]:
        """Yield the registered models."""
        ...

    def traces(self, experiment: str) -> Iterator[HeldTrace]:
        """Yield the traces of an experiment."""
        ...

    def trace_files(self, held: HeldTrace) -> Iterable[HeldFile]:
        """List the files of a trace, with its spans in `SPANS_FILE`; raises what `files` does."""
        ...

    def files(self, location: str) -> Iterable[HeldFile]:
        """List the files below an address that the store gave for a run or a logged model.

        Raises:
            Unsupported: The address is of a storage that is not read here.
            Forbidden: It lies outside of what may be read.
            Unavailable: The storage does not answer.
        """
        ...

    def close(self) -> None:
        """Let go of the store."""
        ...


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A run that an earlier export sent."""

    id: str
    """What it is called there."""
    imprint: str
    """What it was like when all of it had been sent; empty when the export did not get so far."""
    stage: HeldStage


class TraceReceiver(Protocol):
    """The part of a store that takes traces; they keep their identifiers there."""

    def sent(self, experiment: str) -> dict[str, str | None] | None:
        """Return the traces that an experiment has there, None when the store knows none at all.

        With each of them comes what it was like when all of it had been sent: empty when no export
        got so far, None when it came there in another way.
        """
        ...

    def begin(self, experiment: str, held: HeldTrace) -> str:
        """Send all of a trace but its files and links; return what `put` calls it.

        Args:
            experiment: The experiment there.
            held: As it is here, in the words of there: runs and models by their names there.

        Raises:
            Conflict: It is there already, and no export sent it.
        """
        ...

    def link(self, held: HeldTrace) -> bool:
        """Let a trace belong to its further runs; False when the store knows no such thing."""
        ...

    def finish(self, held: HeldTrace, imprint: str) -> None:
        """Say that all of a trace was sent."""
        ...


class Receiver(Protocol):
    """A store that takes what another one holds. Doing a thing again changes nothing."""

    @property
    def name(self) -> str:
        """Which store this is, for people; without user and password."""
        ...

    def experiment(self, held: HeldExperiment) -> str:
        """Return the experiment of this name there; it is made when there is none."""
        ...

    def find(self, held: HeldExperiment) -> str | None:
        """Return the experiment of this name there, None when there is none."""
        ...

    def sent(self, experiment: str) -> dict[str, Sent]:
        """Return the runs that earlier exports sent into an experiment, by their names here."""
        ...

    def begin(self, experiment: str, held: HeldRun) -> str:
        """Make a run that says where it comes from; return what it is called there."""
        ...

    def report(self, run: str, held: HeldRun, points: Iterable[HeldPoints], *, again: bool) -> int:
        """Send all of a run but its files; return how many points were sent.

        Args:
            run: The run there.
            held: As it is here, in the words of there: runs and models by their names there.
            points: Its points.
            again: Some of it may be there already.
        """
        ...

    def put(self, owner: str, file: HeldFile) -> bool:
        """Send a file of a run, logged model or trace of there; False when it is there already."""
        ...

    def finish(self, run: str, held: HeldRun, imprint: str) -> None:
        """Say that all of a run was sent, and let it stand as it stands here."""
        ...

    @property
    def traces(self) -> TraceReceiver:
        """What takes traces."""
        ...

    def model(self, experiment: str, held: HeldModel) -> str | None:
        """Make a logged model, or find it; None where there are none."""
        ...

    def register(self, held: HeldName) -> int:
        """Make a registered model with its versions and aliases; return how many are new."""
        ...

    def missing(self, held: HeldName) -> int:
        """Return how many versions of a registered model `register` would make."""
        ...

    def settle(self, experiment: str, held: HeldExperiment) -> None:
        """Let an experiment stand as it stands here."""
        ...

    def close(self) -> None:
        """Let go of the store."""
        ...
