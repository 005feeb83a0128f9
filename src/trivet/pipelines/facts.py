"""What the pipelines room records: steps."""

from typing import Literal

from trivet.core.facts import Fact
from trivet.tracking.facts import Output


class StepDone(Fact, frozen=True, kw_only=True):
    """A step ended well. Its first parent is the run; the second, when remembered, the old step."""

    KIND = "step"
    INDEXED = ("run", "key")

    run: str
    flow: str
    step: str
    key: str
    """SHA-256 over the reachable code, packages, options and argument contents."""
    code: str
    """SHA-256 of the reachable code alone."""
    status: Literal["run", "remembered"]
    seconds: float
    output: Output | None = None
    environment: str = ""
    """SHA-256 of the file of requirements it has an environment of its own for."""


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
