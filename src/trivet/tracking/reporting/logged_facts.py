"""What is recorded of logged models: models that a program kept as files, before any judgement."""

from typing import Final, Literal

import msgspec

from trivet.core.facts import Fact
from trivet.tracking.reporting.facts import Imported, Stage

ModelStatus = Literal["pending", "ready", "failed"]
"""Whether its files are still on their way, are all there, or will never be."""

MODEL_STATUSES: Final[tuple[ModelStatus, ...]] = ("pending", "ready", "failed")


class Measurement(msgspec.Struct, frozen=True, kw_only=True):
    """Which run measured a logged model, and on which data."""

    run: str
    dataset: str = ""
    """The data set's name; empty when nothing is said about the data."""
    digest: str = ""


class LoggedModelMade(Fact, frozen=True, kw_only=True):
    """A program began to log a model; the parents are its `experiment` fact and its run."""

    KIND = "logged-model"
    INDEXED = ("experiment", "run")

    experiment: str
    name: str
    location: str
    """Where clients find its files, as the wire writes addresses."""
    type: str = ""
    run: str | None = None
    """The run that made it, by the program's own words."""
    parameters: dict[str, str] = {}
    tags: dict[str, str] = {}
    imported: Imported | None = None
    at_ms: int | None = None
    """When, in milliseconds since 1970 (UTC); None in facts of older formats: when committed."""


class LoggedModelChanged(Fact, frozen=True, kw_only=True):
    """What became of a logged model; its parent is the `logged-model` fact.

    The points that measured it are no facts: they are series, one owner for each measurement.
    """

    KIND = "logged-model.changed"
    INDEXED = ("model",)

    model: str
    status: ModelStatus | None = None
    stage: Stage | None = None
    parameters: dict[str, str] = {}
    tags: dict[str, str] = {}
    dropped: tuple[str, ...] = ()
    """Tags that were taken away."""
    measured: tuple[Measurement, ...] = ()
    """By whom and on what it is measured from now on, too."""
    imported: Imported | None = None
    at_ms: int | None = None


class ModelPoint(msgspec.Struct, frozen=True, kw_only=True):
    """A value of a metric of a logged model, and where it was measured."""

    key: str
    value: float
    step: int
    time_ms: int
    by: Measurement


class LoggedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A logged model as it stands."""

    id: str
    """`m-` and 32 hexadecimal digits."""
    experiment: int
    name: str
    type: str
    status: ModelStatus
    stage: Stage
    run: str | None
    user: str
    location: str
    made_ms: int
    changed_ms: int
    parameters: dict[str, str]
    tags: dict[str, str]
    metrics: tuple[ModelPoint, ...]
