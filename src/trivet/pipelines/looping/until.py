"""Until: candidates are made and judged until one passes its gate or the budget is spent.

Inside a run each trial is a step: what was made is kept by content, with the time and the cost it
took. So a run that is started again after a crash goes on where the last one stood, and its budget
remembers what is on record. A verdict is never remembered, because it depends on the champion of
the day; a gate that counts its looks (`models.holdout_gate`, `ws.models.examine`) knows a
candidate by its digest and does not spend a second look on it.
"""

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Generic, TypeVar, cast

import msgspec

from trivet.core.errors import Invalid, NotFound, Refused
from trivet.core.gates import Evidence, Finding, Gate, Verdict
from trivet.pipelines.context import Definition, current
from trivet.pipelines.failures import add_note
from trivet.pipelines.looping.budget import Budget, Ending, Meter, check_budget, cost_of
from trivet.pipelines.looping.checking import (
    check_call,
    check_function,
    name_of,
    unfit,
    whole,
)
from trivet.pipelines.materialisers import is_instance

T = TypeVar("T")
Candidate = Callable[[int], object]
_ROUNDS: Final = 5
_TAKES: Final = "Give it one argument: def candidate(number)."
_GATES: Final = (
    "Return made['score'] > 0.8 from it, a Verdict, or pass a Gate of checks, which says why not."
)


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
    gate: Gate | Callable[[T], Verdict | bool],
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
        gate: Judges it: a function of the candidate that returns a `Verdict`, or yes and no as a
            bool; or a `Gate` over the candidate's evidence. When it raises `Refused` with code
            `looks-exhausted`, the loop ends.
        rounds: At most so many trials: short for `Budget(trials=rounds)`, and 5 when neither
            `rounds` nor a budget is given.
        budget: What may be spent.
        evidence: Turns a candidate into the gate's evidence; needed for a `Gate` unless the
            candidate is a mapping.
        cost: What a candidate cost to make. When None, the number under `cost` of a candidate
            that is a mapping.

    Raises:
        Invalid: An argument is of another kind, a limit is out of range or given twice, a gate
            returns neither a verdict nor a bool, a `Gate` gets no evidence, or the budget limits a
            cost that nobody knows.

    Example:
        >>> from trivet.core.gates import check
        >>> good = Gate(name="good", checks=(check("good")(lambda e: e["score"] > 2),))
        >>> found = until(lambda number: {"score": number}, good, rounds=9)
        >>> len(found.rounds), found.ended
        (3, 'passed')
    """
    _check(candidate, gate, evidence, cost)
    meter = Meter(_limits(rounds, budget))
    trial = _trial(candidate, cost)
    done: list[Round[T]] = []
    ended: Ending | None = None
    while ended is None:
        number = len(done) + 1
        with _in_round(number):
            made = trial(number)
            meter.add(made.seconds, made.cost)
            began = time.monotonic()
            verdict = _judge(gate, made.candidate, evidence)
        if verdict is None:
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


def _check(candidate: object, gate: object, evidence: object, cost: object) -> None:
    """Demand functions, before anything is made."""
    hint = "Pass the function itself: until(candidate, gate, rounds=5)."
    expected = "a function of the round's number"
    check_function("the candidate", candidate, expected, code="bad-candidate", hint=hint)
    made = cast("Candidate", candidate)
    check_call("the candidate", made, "the number of its round", 1, hint=_TAKES)
    if not isinstance(gate, Gate):
        expected = "a Gate, or a function that returns a Verdict or a bool"
        check_function("the gate", gate, expected, code="bad-gate", hint=_GATES)
    expected = "a function of the candidate, or None"
    for name, given in (("evidence", evidence), ("cost", cost)):
        hint = f"Write it like {name}=lambda made: ..., or leave it out."
        check_function(name, given, expected, code=f"bad-{name}", hint=hint, optional=True)


@contextmanager
def _in_round(number: int) -> Generator[None]:
    try:
        yield
    except Exception as error:
        add_note(error, f"in round {number} of until")
        raise


def _limits(rounds: int | None, budget: Budget | None) -> Budget:
    check_budget(budget, optional=True)
    if rounds is None:
        return budget or Budget(trials=_ROUNDS)
    number = whole(rounds)
    if number is None or number < 1:
        raise unfit(
            "rounds",
            rounds,
            "a whole number of at least 1",
            code="bad-rounds",
            hint="Pass rounds=5, or budget=Budget(seconds=3600) to limit the time.",
        )
    if budget is None:
        return Budget(trials=number)
    if budget.trials is not None:
        raise Invalid(
            f"the trials are limited twice: rounds={number} and Budget(trials={budget.trials})",
            code="bad-rounds",
            hint="Leave one of them out.",
        )
    return msgspec.structs.replace(budget, trials=number)


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
        name=name_of(candidate),
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
    gate: Gate | Callable[[T], Verdict | bool],
    made: T,
    evidence: Callable[[T], Evidence] | None,
) -> Verdict | None:
    """Return the verdict; None when the looks at the holdout are spent."""
    try:
        if not isinstance(gate, Gate):
            return _verdict_of(gate, gate(made))
        return gate.judge(_evidence_of(made, evidence))
    except Refused as error:
        if error.code != "looks-exhausted":
            raise
        return None


def _verdict_of(gate: object, answer: object) -> Verdict:
    if isinstance(answer, Verdict):
        return answer
    plain = cast("Any", answer).item() if is_instance(answer, "numpy", "bool_") else answer
    if not isinstance(plain, bool):
        raise unfit(
            "what the gate returned", answer, "a Verdict or a bool", code="bad-verdict", hint=_GATES
        )
    called = name_of(gate)
    name = called if called.isidentifier() else "gate"
    words = "holds" if plain else "does not hold"
    finding = Finding(check=name, ok=plain, summary=f"{name} {words}")
    return Verdict(gate=name, passed=plain, findings=(finding,))


def _evidence_of(made: T, evidence: Callable[[T], Evidence] | None) -> Evidence:
    if evidence is not None:
        return evidence(made)
    if isinstance(made, Mapping):
        return cast("Evidence", made)
    raise Invalid(
        f"a candidate is a {type(made).__name__}; expected a mapping, for the gate to judge",
        code="no-evidence",
        hint="Pass evidence=, a function that turns a candidate into the gate's evidence.",
    )
