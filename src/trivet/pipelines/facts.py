"""What the pipelines room records: steps, the code they are made of, and effects."""

from datetime import datetime
from typing import Literal

import msgspec

from trivet.core.facts import Fact
from trivet.tracking.facts import Output


class StepDone(Fact, frozen=True, kw_only=True):
    """A call of a step ended well.

    Its first parent is the run. When it was made, the steps of the same run whose values it was
    given follow; when it was remembered, the step that made the value.
    """

    KIND = "step"
    INDEXED = ("run", "place", "known_by")

    run: str
    flow: str
    step: str
    place: str
    """`flow.step`: the calls that are compared with each other."""
    key: str
    """SHA-256 over the reachable code, packages, options and argument contents."""
    known_by: str | None = None
    """The key, when this very fact holds the result; None when it was remembered, or must not be:
    the step changed what it was given."""
    code: str
    """SHA-256 of the reachable code alone; a fact `step.code` says what that was."""
    status: Literal["run", "remembered"]
    seconds: float
    environment: str = ""
    """SHA-256 of the file of requirements it has an environment of its own for."""
    output: Output
    """Its digest begins with `sha256:` when the value's files are in this fact, in `files`."""
    files: dict[str, bytes] | None = None
    """The files of a small value. Those of others are blobs."""
    content: str = ""
    """Digest of the value as an argument of another step."""
    arguments: dict[str, str] = {}
    """Content digests by parameter."""
    shown: dict[str, str] = {}
    """The arguments in at most 200 characters each, for people."""
    warnings: tuple[str, ...] = ()
    """What its key does not cover, as it was noticed when it was made: files that were read."""
    changed: tuple[str, ...] = ()
    """Arguments that it changes in place and returns."""
    items: tuple[str, ...] = ()
    """Digests of the first items of what it returned, when that is a list, tuple or mapping."""
    takes: tuple[str, ...] = ()
    """Digests of the first items of arguments that are lists, tuples or mappings."""
    saved_s: float = 0.0
    """Of one that was remembered: the seconds it took when it was made."""
    memory_bytes: int | None = None
    """Of one that was made: the memory its process had at its peak, beyond what it began with."""


class StepCode(Fact, frozen=True, kw_only=True):
    """What the code of a step was made of, by parts. Its identifier follows from `code`."""

    KIND = "step.code"
    INDEXED = ("code",)

    code: str
    parts: dict[str, str]


class StepFailed(Fact, frozen=True, kw_only=True):
    """A call of a step ended in an error. Its parent is the run."""

    KIND = "step.failed"
    INDEXED = ("run", "place")

    run: str
    flow: str
    step: str
    place: str
    key: str
    seconds: float
    error: str
    """The error's type and message, at most 2,000 characters."""
    arguments: dict[str, str] = {}
    """As in `StepDone`, like the two that follow."""
    takes: tuple[str, ...] = ()
    shown: dict[str, str] = {}


class EffectBegun(Fact, frozen=True, kw_only=True):
    """An effect is about to act on the world outside. Its parent is the run.

    The step fact of the same key says that it was done; without one, nobody knows whether it was.
    """

    KIND = "effect"
    INDEXED = ("run", "key")

    run: str
    flow: str
    effect: str
    key: str
    """The idempotency key that its receiver is given."""


class CancelAsked(Fact, frozen=True, kw_only=True):
    """Somebody asked for a run to be cancelled. Its parent is the run."""

    KIND = "run.cancel"
    INDEXED = ("run",)

    run: str


class AssetVersion(Fact, frozen=True, kw_only=True):
    """A named result of a flow with a content that the version before did not have.

    Its parent is the run. The head `asset/<name>` names the newest.
    """

    KIND = "asset"
    INDEXED = ("name",)

    name: str
    """`flow.output`."""
    number: int
    """From 1, without gaps."""
    entry: str
    """`module:function` of the flow."""
    run: str
    output: Output


class KnownAsset(msgspec.Struct, frozen=True, kw_only=True):
    """A version of an asset with the identifier and the time of its fact."""

    id: str
    made_at: datetime
    version: AssetVersion

    @property
    def label(self) -> str:
        """Which version of what, for people: `churn.model@3`."""
        return f"{self.version.name}@{self.version.number}"
