"""What a loop or a search may spend, and what it has spent so far."""

from collections.abc import Callable, Mapping
from typing import Annotated, Final, Literal, TypeVar, cast

import msgspec
from msgspec import Meta

from trivet.core.errors import Invalid
from trivet.pipelines.looping.checking import finite, unfit, whole

T = TypeVar("T")
Ending = Literal["passed", "trials spent", "time spent", "cost spent", "looks spent"]
"""Why a loop or a search ended."""


_LIMITS: Final = {
    "trials": "a positive whole number",
    "seconds": "a positive, finite number",
    "cost": "a positive, finite number",
}
_EXAMPLES: Final = {"trials": "trials=20", "seconds": "seconds=3600", "cost": "cost=4.5"}


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """How much may be spent; what is None has no end. The first limit that is reached ends it.

    A trial that is under way is finished, so time and cost may be overdrawn by one trial.

    Raises:
        Invalid: A limit is no positive number, or all are None: such a loop might never end.

    Example:
        >>> Budget(trials=20, seconds=3600).trials
        20
    """

    trials: Annotated[int, Meta(ge=1)] | None = None
    seconds: float | None = None
    """Time spent on trials by a monotonic clock, those of an earlier process included."""
    cost: float | None = None
    """In the currency that you count in: what the trials say they cost, added up."""

    def __post_init__(self) -> None:
        for name, expected in _LIMITS.items():
            limit: object = getattr(self, name)
            if limit is None:
                continue
            number = whole(limit) if name == "trials" else finite(limit)
            if number is None or number <= 0:
                raise unfit(
                    f"budget: {name}",
                    limit,
                    f"{expected}, or None for no limit",
                    code="bad-budget",
                    hint=f"Pass {_EXAMPLES[name]}, or leave it out.",
                )
            if type(limit) not in {int, float}:  # a number of NumPy's
                msgspec.structs.force_setattr(self, name, number)
        if all(getattr(self, name) is None for name in _LIMITS):
            raise Invalid(
                "the budget has no limit at all",
                code="bad-budget",
                hint="Pass at least one of trials=, seconds= and cost=.",
            )


def check_budget(budget: object, *, optional: bool = False) -> None:
    """Demand a budget.

    Raises:
        Invalid: It is something else.
    """
    if not isinstance(budget, Budget) and not (optional and budget is None):
        raise unfit(
            "budget",
            budget,
            "a Budget",
            code="bad-budget",
            hint="Pass budget=Budget(trials=20): trivet.pipelines.looping.budget.Budget.",
        )


class Meter:
    """Adds up what was spent of a budget.

    Args:
        budget: The limits.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.trials = 0
        self.seconds = 0.0
        self.cost = 0.0

    def add(self, seconds: float, cost: float | None) -> None:
        """Count one trial.

        Raises:
            Invalid: The budget limits the cost, and nobody knows what this trial cost.
        """
        if self.budget.cost is not None and cost is None:
            raise Invalid(
                "the budget limits the cost, and a trial does not say what it cost",
                code="no-cost",
                hint='Return a mapping with a number under "cost", or pass cost=, a function of '
                "what the trial made.",
            )
        self.trials += 1
        self.seconds += seconds
        self.cost += cost or 0.0

    def ending(self) -> Ending | None:
        """Return what is spent, None while there is something left."""
        limits = self.budget
        if limits.trials is not None and self.trials >= limits.trials:
            return "trials spent"
        if limits.seconds is not None and self.seconds >= limits.seconds:
            return "time spent"
        if limits.cost is not None and self.cost >= limits.cost:
            return "cost spent"
        return None


def cost_of(made: T, cost: Callable[[T], float] | None) -> float | None:
    """Return what a trial cost: computed, or what the trial says under `cost`; None: not known.

    Raises:
        Invalid: It is no finite number of at least 0.
    """
    found: object = None
    if cost is not None:
        found = cost(made)
    elif isinstance(made, Mapping):
        found = cast("Mapping[str, object]", made).get("cost")
    if found is None:
        return None
    number = finite(found)
    if number is None or number < 0:
        raise unfit(
            "the cost of a trial",
            found,
            "a finite number of at least 0",
            code="bad-cost",
            hint="Count in one currency: seconds of a machine, cents, kilowatt-hours.",
        )
    return number
