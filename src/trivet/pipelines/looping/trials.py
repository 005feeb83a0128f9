"""Trials of a search: what is recorded of one, what its objective sees, how it is carried out."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Protocol, cast

import msgspec

from trivet.core.errors import Conflict, Invalid, Unavailable
from trivet.core.facts import Fact
from trivet.pipelines.explaining.showing import show
from trivet.pipelines.failures import add_note, storable, words_of
from trivet.pipelines.looping.budget import cost_of
from trivet.pipelines.looping.checking import describe, finite, signature_of, whole
from trivet.pipelines.looping.space import RESERVED, Chosen, Option

_LONGEST_ERROR: Final = 2000
_log = logging.getLogger("trivet.pipelines")

TrialState = Literal["done", "stopped", "failed"]
"""`stopped`: pruned, because it looked worse than others at the same point."""


class SearchBegun(Fact, frozen=True, kw_only=True):
    """A search over a space began. All of its trials name it as their parent."""

    KIND = "search"
    INDEXED = ("name", "key")

    name: str
    key: str
    """SHA-256 over name, code of the objective, space, direction, sampler and seed."""
    figure: str
    direction: Literal["minimize", "maximize"]
    seed: int
    space: dict[str, Any]


class TrialBegun(Fact, frozen=True, kw_only=True):
    """A trial was given its parameters. Its parent is the search."""

    KIND = "trial.begun"
    INDEXED = ("search",)

    search: str
    number: int
    parameters: dict[str, Option]


class TrialEnded(Fact, frozen=True, kw_only=True):
    """What a trial came to. Parents: the search, and the fact that it began."""

    KIND = "trial"
    INDEXED = ("search",)

    search: str
    """The search's key."""
    number: int
    """Counts from 1."""
    parameters: dict[str, Option]
    state: TrialState
    value: float | None = None
    """The figure that is searched by; None when the trial failed."""
    figures: dict[str, float] = {}
    reports: tuple[tuple[int, float], ...] = ()
    """What it reported on the way: step and value, in order of the steps."""
    seconds: float = 0.0
    cost: float | None = None
    error: str = ""
    read: tuple[str, ...] = ()
    """Files that the objective opened by itself: what is in them does not tell searches apart."""


class Watch(Protocol):
    """Follows one trial and says whether it is worth going on with."""

    def report(self, value: float, step: int) -> None:
        """Take note of an intermediate value."""
        ...

    def should_stop(self) -> bool:
        """Compare what was reported with other trials at the same step."""
        ...


class Trial:
    """A trial under way, as its objective sees it.

    Attributes:
        number: Counts from 1.
        parameters: What the sampler chose.
    """

    def __init__(self, number: int, parameters: Chosen, watch: Watch) -> None:
        self.number = number
        self.parameters = parameters
        self.reports: dict[int, float] = {}
        self.is_stopped = False
        self._watch = watch

    def report(self, value: float, step: int) -> None:
        """Report the figure as it is by now, in its own direction.

        Args:
            value: A finite number.
            step: Where it stands: an epoch, a number of trees; not negative. Each step counts
                once, by its first report.

        Raises:
            Invalid: The value is no finite number, or the step no whole one.
        """
        number = finite(value)
        at = whole(step)
        if number is None or at is None or at < 0:
            raise Invalid(
                f"a report of {show(value)} at step {show(step)}; expected a finite number at a "
                "whole step of 0 or more",
                code="bad-report",
                hint="Report it like trial.report(loss, epoch), with epochs that count from 0.",
            )
        if at not in self.reports:
            self.reports[at] = number
            self._watch.report(number, at)

    def should_stop(self) -> bool:
        """Say whether this trial is worse than half of the others were at the same step.

        Return then what you have: the trial is recorded as stopped.
        """
        self.is_stopped = self.is_stopped or self._watch.should_stop()
        return self.is_stopped


Objective = Callable[..., float | Mapping[str, Any]]
Watcher = Callable[[int, Chosen], Watch]
"""Makes what follows a trial, given its number and parameters."""


class Carrying(msgspec.Struct, frozen=True, kw_only=True):
    """How trials are carried out."""

    search: str
    """Its key."""
    name: str
    objective: Objective
    figure: str
    cost: Callable[[Any], float] | None = None

    def carry_out(self, number: int, parameters: Chosen, watch: Watch) -> TrialEnded:
        """Call the objective. What it raises becomes a failed trial, and is told of.

        Raises:
            Unavailable: The stores were away; the trial is not over.
            Conflict: Somebody moved first; the same.
        """
        trial = Trial(number, parameters, watch)
        given = {RESERVED: trial} if wants_trial(self.objective) else {}
        began = time.monotonic()
        ended = TrialEnded(search=self.search, number=number, parameters=parameters, state="failed")
        try:
            made = self.objective(**parameters, **given)
            figures = self._figures(made, trial)
            state: TrialState = "stopped" if trial.is_stopped else "done"
            ended = msgspec.structs.replace(
                ended,
                state=state,
                value=figures[self.figure],
                figures=figures,
                cost=cost_of(made, self.cost),
            )
        except (Unavailable, Conflict) as error:
            add_note(error, f"in trial {number} of search {self.name!r}: {describe(parameters)}")
            raise
        except Exception as error:  # noqa: BLE001  # the user's code; the search goes on
            text = words_of(error)[:_LONGEST_ERROR]
            ended = msgspec.structs.replace(ended, error=text)
            _log.warning(
                "trial %d of search %r failed (%s): %s",
                number,
                self.name,
                describe(parameters),
                text,
            )
        return msgspec.structs.replace(
            ended,
            reports=tuple(sorted(trial.reports.items())),
            seconds=time.monotonic() - began,
        )

    def _figures(self, made: object, trial: Trial) -> dict[str, float]:
        """Read what an objective returned; a stopped trial stands where it last reported."""
        given: Mapping[object, object] = {self.figure: made}
        if isinstance(made, Mapping):
            given = cast("Mapping[object, object]", made)
        named = {storable(str(name)): finite(value) for name, value in given.items()}
        figures = {name: value for name, value in named.items() if value is not None}
        if self.figure not in figures and trial.is_stopped and trial.reports:
            figures[self.figure] = trial.reports[max(trial.reports)]
        if self.figure not in figures:
            kind = type(cast("object", made)).__name__
            raise Invalid(
                f"the objective returned a {kind} without a finite {self.figure!r}",
                code="no-figure",
                hint=f"Return a number, or a mapping with a number under {self.figure!r}.",
            )
        return figures


def wants_trial(objective: Objective) -> bool:
    """Say whether an objective has a parameter for the trial itself."""
    signature = signature_of(objective)
    return signature is not None and RESERVED in signature.parameters
