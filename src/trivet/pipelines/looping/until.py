"""Until: candidates are made and judged until one passes its gate or the budget is spent.

Inside a run each trial is a step: what was made is kept by content, with the time and the cost it
took. So a run that is started again after a crash goes on where the last one stood, and its budget
remembers what is on record. A verdict is never remembered, because it depends on the champion of
the day; a gate that counts its looks (`models.holdout_gate`, `ws.models.examine`) knows a
candidate by its digest and does not spend a second look on it.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar, cast

import msgspec

from trivet.core.errors import Invalid, NotFound, Refused
from trivet.core.gates import Evidence, Gate, Verdict
from trivet.pipelines.context import Definition, current
from trivet.pipelines.looping.budget import Budget, Ending, Meter, cost_of

T = TypeVar("T")
_ROUNDS: Final = 5


class Round(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """One trial of a loop with its verdict."""

    number: int
    """Counts from 1."""
    candidate: T
    verdict: Verdict
    seconds: float = 0.0
    """What making the candidate took, when it was made."""
    cost: float | None = None
    """What it cost, where that is known."""


class Rounds(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """What a loop came to: every round in order, and why there was no further one."""

    rounds: tuple[Round[T], ...]
    ended: Ending
    seconds: float = 0.0
    """Time spent: making the candidates, by whichever process, and judging them."""
    cost: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the last round passed."""
        return self.ended == "passed"

    @property
    def last(self) -> Round[T]:
        """The round the loop ended with.

        Raises:
            NotFound: There was none: the holdout's looks were spent before.
        """
        if not self.rounds:
            raise NotFound(
                "the loop ended before its first verdict: the looks at the holdout are spent",
                code="no-round",
                hint="Label fresh rows, make them the holdout, and start again.",
            )
        return self.rounds[-1]


class _Made(msgspec.Struct, Generic[T], frozen=True):
    candidate: T
    seconds: float
    cost: float | None


def until(
    candidate: Callable[[int], T],
    gate: Gate | Callable[[T], Verdict],
    *,
    rounds: int | None = None,
    budget: Budget | None = None,
    evidence: Callable[[T], Evidence] | None = None,
    cost: Callable[[T], float] | None = None,
) -> Rounds[T]:
    """Make candidates until one passes its gate, or the budget is spent.

    Judging many candidates on the same held-out rows finds one that is good by luck, unless the
    gate spends its error rate over the rounds: use `models.holdout_gate.HoldoutGate` or
    `ws.models.examine`, which count looks over all runs and people.

    Args:
        candidate: Makes a candidate, given the number of the round (from 1). Inside a run it is a
            step, as a function that is mapped is: what it returns must be storable, and it must
            not call effects.
        gate: Judges it: a function of the candidate, or a `Gate` over its evidence. When it
            raises `Refused` with code `looks-exhausted`, the loop ends.
        rounds: At most so many trials: short for `Budget(trials=rounds)`, and 5 when neither
            `rounds` nor a budget is given.
        budget: What may be spent.
        evidence: Turns a candidate into the gate's evidence; needed for a `Gate` unless the
            candidate is a mapping.
        cost: What a candidate cost to make. When None, the number under `cost` of a candidate
            that is a mapping.

    Raises:
        Invalid: A limit is out of range or given twice, a `Gate` gets no evidence, or the budget
            limits a cost that nobody knows.

    Example:
        >>> from trivet.core.gates import check
        >>> good = Gate(name="good", checks=(check("good")(lambda e: e["score"] > 2),))
        >>> found = until(lambda number: {"score": number}, good, rounds=9)
        >>> len(found.rounds), found.ended
        (3, 'passed')
    """
    meter = Meter(_limits(rounds, budget))
    trial = _trial(candidate, cost)
    done: list[Round[T]] = []
    ended: Ending | None = None
    while ended is None:
        number = len(done) + 1
        made = trial(number)
        meter.add(made.seconds, made.cost)
        began = time.monotonic()
        try:
            verdict = _judge(gate, made.candidate, evidence)
        except Refused as error:
            if error.code != "looks-exhausted":
                raise
            ended = "looks spent"
            break
        meter.seconds += time.monotonic() - began
        done.append(
            Round(
                number=number,
                candidate=made.candidate,
                verdict=verdict,
                seconds=made.seconds,
                cost=made.cost,
            )
        )
        current().log({f"until/{verdict.gate}": float(verdict.passed)}, step=number)
        ended = "passed" if verdict.passed else meter.ending()
    return Rounds(rounds=tuple(done), ended=ended, seconds=meter.seconds, cost=meter.cost)


def _limits(rounds: int | None, budget: Budget | None) -> Budget:
    if rounds is None:
        return budget or Budget(trials=_ROUNDS)
    if type(rounds) is not int or rounds < 1:
        raise Invalid(f"rounds is {rounds!r}; expected at least 1", code="bad-rounds")
    if budget is None:
        return Budget(trials=rounds)
    if budget.trials is not None:
        raise Invalid(
            f"the trials are limited twice: rounds={rounds} and Budget(trials={budget.trials})",
            code="bad-rounds",
            hint="Leave one of them out.",
        )
    return msgspec.structs.replace(budget, trials=rounds)


def _trial(
    candidate: Callable[[int], T], cost: Callable[[T], float] | None
) -> Callable[[int], _Made[T]]:
    """Return what makes one candidate: inside a run a step, outside a plain call."""

    def make(number: int) -> dict[str, Any]:
        began = time.monotonic()
        made = candidate(number)
        seconds = time.monotonic() - began
        return {"candidate": made, "seconds": seconds, "cost": cost_of(made, cost)}

    definition = Definition(
        kind="step",
        name=str(getattr(candidate, "__name__", type(candidate).__name__)),
        function=make,
        depends=(candidate, cost),
    )

    def trial(number: int) -> _Made[T]:
        caller = current().caller
        kept = make(number) if caller is None else caller.call(definition, (number,), {})
        found = cast("Mapping[str, Any]", kept)
        return _Made(found["candidate"], found["seconds"], found["cost"])

    return trial


def _judge(
    gate: Gate | Callable[[T], Verdict], made: T, evidence: Callable[[T], Evidence] | None
) -> Verdict:
    if not isinstance(gate, Gate):
        return gate(made)
    if evidence is not None:
        return gate.judge(evidence(made))
    if isinstance(made, Mapping):
        return gate.judge(cast("Evidence", made))
    raise Invalid(
        f"a candidate is a {type(made).__name__}; expected a mapping, for the gate to judge",
        code="no-evidence",
        hint="Pass evidence=, a function that turns a candidate into the gate's evidence.",
    )
