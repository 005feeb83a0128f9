"""What is recorded of retention: the rules, and what was removed for good."""

from typing import Literal

import msgspec

from trivet.core.facts import Fact

Erasable = Literal["run", "logged model", "artifacts", "traces"]


class Best(msgspec.Struct, frozen=True, kw_only=True):
    """The runs of an experiment that are best by a metric."""

    metric: str
    runs: int
    """How many of them, at least 1."""
    is_lowest: bool = False
    """Whether the lowest values are the best ones."""


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """For how long things are kept; what it does not mention is kept for good."""

    trash_days: float | None = None
    """Runs and logged models, after they were deleted."""
    artifacts_days: float | None = None
    """Artifacts of runs that nothing was registered from, after the run's end."""
    traces_days: float | None = None
    """Traces, after they began."""
    keep_best: Best | None = None
    """Runs whose artifacts are kept all the same."""


class RetentionSet(Fact, frozen=True, kw_only=True):
    """Somebody set the rule of an experiment, or of the project."""

    KIND = "retention"
    INDEXED = ("experiment",)

    experiment: str | None = None
    """The `experiment` fact; None: the whole project, for what experiments say nothing about."""
    rule: Rule
    """An empty one lifts the rule."""


class Erased(Fact, frozen=True, kw_only=True):
    """Something was removed for good, and what was recorded of it is forgotten.

    Its parent is the `experiment` fact.
    """

    KIND = "erased"
    INDEXED = ("subject",)

    what: Erasable
    subject: str
    """The run, the logged model, or the run whose artifacts are gone."""
    experiment: str
    why: str
    files: int = 0
    size_bytes: int = 0


class BlobsRemoved(Fact, frozen=True, kw_only=True):
    """Bytes that nothing names any more were removed, right after this was recorded."""

    KIND = "blobs.removed"

    digests: tuple[str, ...]
    """Hexadecimal, without `b3:`: this names no bytes that should be there."""
    size_bytes: int
