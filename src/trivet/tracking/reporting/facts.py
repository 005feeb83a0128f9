"""What is recorded of experiments and of runs that report about themselves."""

from typing import Final, Literal

import msgspec

from trivet.core.facts import Fact
from trivet.core.training import Machine
from trivet.tracking.facts import CodeState, Environment

Stage = Literal["active", "deleted"]
"""Whether something is shown, or was put away and can be restored."""
ReportedStatus = Literal["running", "scheduled", "succeeded", "failed", "cancelled"]

STATUS_WORDS: Final[dict[str, ReportedStatus]] = {
    "RUNNING": "running",
    "SCHEDULED": "scheduled",
    "FINISHED": "succeeded",
    "FAILED": "failed",
    "KILLED": "cancelled",
}
"""How documents say how a run stands, so that searches by MLflow's words find and order it, and
ours; in the order of MLflow's enumeration."""


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """Where something came to be before it was imported, and what was known of it there."""

    source: str
    id: str
    """What it was called there."""
    made_ms: int = 0
    changed_ms: int = 0
    user: str = ""


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


class ExperimentChanged(Fact, frozen=True, kw_only=True):
    """What became of an experiment; its parent is the `experiment` fact."""

    KIND = "experiment.changed"
    INDEXED = ("experiment",)

    experiment: str
    name: str | None = None
    stage: Stage | None = None
    tags: dict[str, str] = {}
    dropped: tuple[str, ...] = ()
    imported: Imported | None = None


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
    status: ReportedStatus
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
