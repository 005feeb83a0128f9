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
