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
    arguments: dict[str, str] = {}
    """Content digests by parameter."""
    content: str = ""
    """Digest of what it returned, as it would be that of an argument: by it one sees what step
    gave its value to what step. Empty where nobody recorded it."""
    items: tuple[str, ...] = ()
    """Digests of the first items of what it returned, when that is a list, tuple or mapping."""
    takes: tuple[str, ...] = ()
    """Digests of the first items of arguments that are lists, tuples or mappings."""
    saved_s: float = 0.0
    """Of one that was remembered: the seconds it took when it was run."""
    memory_bytes: int | None = None
    """Of one that was run: the memory its process had at its peak, beyond what it began with."""


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
