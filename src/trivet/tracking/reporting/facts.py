"""What is recorded of experiments and of runs that report about themselves."""

from typing import Final, Literal

import msgspec

from trivet.core.facts import Fact
from trivet.core.training import Machine
from trivet.tracking.facts import CodeState, Environment

Stage = Literal["active", "deleted"]
"""Whether something is shown, or was put away and can be restored."""
ReportedStatus = Literal["running", "scheduled", "succeeded", "failed", "cancelled"]
ShownStatus = Literal["running", "scheduled", "succeeded", "failed", "cancelled", "lost"]
"""`lost`: its program gives no sign of life any more, and has not said that it ended."""

STATUS_WORDS: Final[dict[str, ReportedStatus]] = {
    "RUNNING": "running",
    "SCHEDULED": "scheduled",
    "FINISHED": "succeeded",
    "FAILED": "failed",
    "KILLED": "cancelled",
}
"""How documents say how a run stands, so that searches by MLflow's words find and order it, and
ours; in the order of MLflow's enumeration."""
WORDS: Final[dict[ShownStatus, str]] = {
    **{status: word for word, status in STATUS_WORDS.items()},
    "lost": "FAILED",
}
"""The same, read backwards; MLflow has no word for a run that is lost."""
UNDER_WAY: Final = frozenset[ShownStatus | None]({"running", "scheduled"})
"""How a run stands that has not ended."""
LOST: Final = "lost"
"""The attribute that the document of a lost run has besides its status."""


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """Where something came to be before it was imported, and what was known of it there."""

    source: str
    id: str
    """What it was called there."""
    made_ms: int = 0
    changed_ms: int = 0
    """When it was last changed there; 0 in a fact of a change that is not to show as one."""
    user: str = ""
    imprint: str = ""
    """A digest of all that was known of it there, once all of that is here; else empty."""


class ExperimentMade(Fact, frozen=True, kw_only=True):
    """Somebody began an experiment: a place for runs that are compared with each other."""

    KIND = "experiment"
    INDEXED = ("number",)

    number: int
    """Counted from 0 within the project, and never given again."""
    name: str
    location: str
    """Where clients find its artifacts, as the wire writes addresses."""
    tags: dict[str, str] = {}
    imported: Imported | None = None
    at_ms: int | None = None
    """When, in milliseconds since 1970 (UTC); None in facts of older formats: when committed."""


class ExperimentChanged(Fact, frozen=True, kw_only=True):
    """What became of an experiment; its parent is the `experiment` fact."""

    KIND = "experiment.changed"
    INDEXED = ("experiment",)

    experiment: str
    name: str | None = None
    stage: Stage | None = None
    tags: dict[str, str] = {}
    dropped: tuple[str, ...] = ()
    made_ms: int | None = None
    """When it began, of one that turned out to be older: it is imported into one of its name."""
    imported: Imported | None = None
    at_ms: int | None = None


class RunOpened(Fact, frozen=True, kw_only=True):
    """A program began to report a run; its parent is the `experiment` fact."""

    KIND = "run.opened"
    INDEXED = ("experiment",)

    experiment: str
    name: str
    user: str
    began_ms: int
    location: str
    tags: dict[str, str] = {}
    imported: Imported | None = None


class RunJoined(Fact, frozen=True, kw_only=True):
    """A program reports to a run that began elsewhere; the fact has the run's identifier."""

    KIND = "run.joined"


class RunSilent(Fact, frozen=True, kw_only=True):
    """A run's program gave no sign of life for too long, or gives some again."""

    KIND = "run.silent"
    INDEXED = ("run",)

    run: str
    silent: bool


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """A data set that a run says it was given, by the program's own words."""

    name: str
    digest: str
    source_type: str = ""
    source: str = ""
    schema: str | None = None
    profile: str | None = None
    tags: dict[str, str] = {}

    @property
    def context(self) -> str:
        """What the run used it for, such as `train`; empty when it did not say."""
        return self.tags.get("mlflow.data.context", "")


class ModelLink(msgspec.Struct, frozen=True, kw_only=True):
    """A logged model that a run read or made."""

    model: str
    step: int = 0


class RunReported(Fact, frozen=True, kw_only=True):
    """What a run reported, or what became of it; its parent is the `run.opened` fact.

    Metric points are no facts: they are series whose owner is the run.
    """

    KIND = "run.reported"
    INDEXED = ("run",)

    run: str
    parameters: dict[str, str] = {}
    tags: dict[str, str] = {}
    dropped: tuple[str, ...] = ()
    """Tags that were taken away."""
    inputs: tuple[Input, ...] = ()
    models_in: tuple[ModelLink, ...] = ()
    models_out: tuple[ModelLink, ...] = ()
    name: str | None = None
    status: ReportedStatus | None = None
    ended_ms: int | None = None
    stage: Stage | None = None
    arrival: str = ""
    """Names a report that came from elsewhere; names rise with time."""
    imported: Imported | None = None


class RunObserved(Fact, frozen=True, kw_only=True):
    """What a reported run's code and machine were; its parent is the `run.opened` fact."""

    KIND = "run.observed"
    INDEXED = ("run",)

    run: str
    code: CodeState
    environment: Environment
    machine: Machine = Machine()


class Experiment(msgspec.Struct, frozen=True, kw_only=True):
    """An experiment as it stands."""

    id: str
    """The `experiment` fact."""
    number: int
    name: str
    location: str
    stage: Stage
    made_ms: int
    changed_ms: int
    tags: dict[str, str]


class Latest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The latest point of a metric: the greatest by step, then time, then value."""

    value: float
    step: int
    time_ms: int


class ReportedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that reports about itself, as it stands."""

    id: str
    experiment: int
    """The experiment's number."""
    name: str
    user: str
    status: ShownStatus
    stage: Stage
    began_ms: int
    ended_ms: int | None
    location: str
    parameters: dict[str, str]
    metrics: dict[str, Latest]
    tags: dict[str, str]
    inputs: tuple[Input, ...]
    models_in: tuple[ModelLink, ...]
    models_out: tuple[ModelLink, ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What one call says about a run; what it does not mention stays as it is."""

    parameters: dict[str, str] = {}
    tags: dict[str, str] = {}
    dropped: tuple[str, ...] = ()
    inputs: tuple[Input, ...] = ()
    models_in: tuple[ModelLink, ...] = ()
    models_out: tuple[ModelLink, ...] = ()
    name: str | None = None
    status: ReportedStatus | None = None
    ended_ms: int | None = None

    def __bool__(self) -> bool:
        return self != Report()
