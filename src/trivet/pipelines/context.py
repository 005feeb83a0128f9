"""Where a piece of code runs: inside a run or outside, in which step.

The run travels in a context variable. Outside a run there is none, and steps are plain functions.
A thread that user code starts sees no run, unless it is started in a copy of the context.
"""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, Protocol

import msgspec


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """A function that was declared to be a step, an effect or a flow, with its options."""

    kind: Literal["step", "effect", "flow"]
    name: str
    function: Callable[..., object]
    retries: int = 0
    timeout_s: float | None = None
    version: str = ""
    depends: tuple[object, ...] = ()
    backoff_s: float = 0.05
    limits: dict[str, int] = {}
    pickle: bool = False
    """Whether what it returns and takes may be pickled and unpickled where nothing else fits."""


class Caller(Protocol):
    """Who answers the calls of steps inside a run."""

    def call(
        self, definition: Definition, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> object:
        """Return the value of one call: remembered, or made and kept."""
        ...

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Append one point to each series of the run."""
        ...

    def expect(self, definition: Definition, total: int) -> None:
        """Hear that so many calls of a step will follow, for whoever shows progress."""
        ...


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What code may know about where it runs. Outside a run everything is None."""

    run: str | None = None
    flow: str | None = None
    step: str | None = None
    effect_key: str | None = None
    """Inside an effect: the same text whenever this very effect is tried again. Hand it on to
    whoever receives the effect, so that a second attempt can be recognised."""
    caller: Caller | None = None

    def log(
        self, metrics: Mapping[str, float] | None = None, /, *, step: int = 0, **named: float
    ) -> None:
        """Append one point to each named series of the run; outside a run, do nothing.

        Args:
            metrics: Figures by name.
            step: Where on the series' axis: an epoch, a round, a batch.
            named: The same, as keywords.

        Raises:
            Invalid: A name or value cannot be recorded.

        Example:
            >>> current().log(loss=0.25, step=3)
        """
        if self.caller is not None:
            self.caller.log({**(metrics or {}), **named}, step)


_OUTSIDE = Context()
_context: ContextVar[Context] = ContextVar("trivet.pipelines", default=_OUTSIDE)


def current() -> Context:
    """Return where the calling code runs."""
    return _context.get()


@contextmanager
def entered(context: Context) -> Generator[None]:
    """Make `context` the current one for the time of a `with` block."""
    token = _context.set(context)
    try:
        yield
    finally:
        _context.reset(token)


def definition_of(function: object) -> Definition | None:
    """Return how a function was declared, None for a plain one."""
    found: object = getattr(function, "__trivet__", None)
    return found if isinstance(found, Definition) else None
