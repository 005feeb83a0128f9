"""Every argument of a loop is looked at before the first trial: nobody else checks its type."""

import math
import re
from typing import Any

import numpy as np
import pytest

from trivet.core.errors import Invalid
from trivet.core.gates import Gate, Verdict, check
from trivet.pipelines.looping.budget import Budget
from trivet.pipelines.looping.searching import choice, integers, log_uniform, search, uniform
from trivet.pipelines.looping.until import until

GATE = Gate(name="good", checks=(check("good")(lambda made: made["score"] > 2),))
ANY: Any = None


def scored(number: int) -> dict[str, float]:
    return {"score": float(number)}


def same(x: float) -> float:
    return float(x)


def sought(objective: Any = same, space: Any = ANY, **options: Any) -> Any:
    pytest.importorskip("optuna")
    wanted = {"minimize": "loss", "budget": Budget(trials=3), **options}
    return search(objective, {"x": uniform(0, 1)} if space is ANY else space, **wanted)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: until(scored, ANY), "the gate is a NoneType; expected a Gate"),
        (lambda: until(scored, "good"), "the gate is a str ('good')"),
        (lambda: until(scored, lambda made: None), "what the gate returned is a NoneType"),
        (lambda: until(scored, lambda made: 1), "what the gate returned is a int (1)"),
        (lambda: until(ANY, GATE), "the candidate is a NoneType"),
        (lambda: until(lambda: 1, GATE), "candidate cannot be called with the number"),
        (lambda: until(scored, GATE, budget=5), "budget is a int (5); expected a Budget"),
        (lambda: until(scored, GATE, budget={"trials": 5}), "budget is a dict ({'trials': 5})"),
        (lambda: until(scored, GATE, rounds=2.5), "rounds is a float (2.5); expected a whole"),
        (lambda: until(scored, GATE, rounds=0), "rounds is a int (0)"),
        (lambda: until(scored, GATE, rounds=True), "rounds is a bool (True)"),
        (lambda: until(scored, GATE, evidence="e"), "evidence is a str ('e')"),
        (lambda: until(scored, GATE, cost=1.0), "cost is a float (1.0)"),
        (lambda: Budget(trials=0), "trials is a int (0); expected a positive whole number"),
        (lambda: Budget(trials="5"), "trials is a str ('5')"),
        (lambda: Budget(seconds=10**400), "seconds is a int (an int of 1329 bits)"),
        (lambda: Budget(cost=-1), "cost is a int (-1); expected a positive, finite number"),
        (lambda: uniform("0", 1), "uniform: low is a str ('0'); expected a finite number"),
        (lambda: uniform(0, ANY), "uniform: high is a NoneType"),
        (lambda: uniform(0, 10**400), "uniform: high is a int"),
        (lambda: uniform(1, 1), "uniform(1, 1): expected low < high"),
        (lambda: uniform(-1.7e308, 1.7e308), "a distance that a float can hold"),
        (lambda: uniform(0, 5e-324), "a distance that a float can hold"),
        (lambda: log_uniform(0, 1), "expected 0 < low < high"),
        (lambda: integers(1, 2.5), "integers: high is a float (2.5); expected a whole number"),
        (lambda: integers(False, True), "integers: low is a bool"),
        (lambda: integers(3, 3), "integers(3, 3): expected low < high"),
        (lambda: integers(2**62, 2**62 + 3), "at most 2**53"),
        (lambda: integers(0, 5, scale="Log"), "scale is a str ('Log'); expected 'linear' or"),
        (lambda: choice(math.nan, 1.0), "an option is a float (nan)"),
        (lambda: choice(math.inf, 1.0), "an option is a float (inf)"),
        (lambda: choice(2**53 + 1, 1), "an option is a int"),
        (lambda: choice("\ud800", "a"), "an option is a str"),
        (lambda: choice(["a", "b"]), "an option is a list (['a', 'b'])"),
        (lambda: choice(1, True), "1 and True, which are equal"),
        (lambda: sought(space=[uniform(0, 1)]), "the space is a list"),
        (lambda: sought(space={1: uniform(0, 1)}), "a name in the space is a int (1)"),
        (lambda: sought(space={"x": (0, 1)}), "parameter 'x' of the space is a tuple"),
        (lambda: sought(ANY), "the objective is a NoneType"),
        (lambda: sought(lambda: 1.0), "the objective cannot be called with x"),
        (lambda: sought(lambda x, rows: 1.0), "missing a required argument: 'rows'"),
        (lambda: sought(budget=None), "budget is a NoneType; expected a Budget"),
        (lambda: sought(sampler="cmaes"), "sampler is a str ('cmaes'); expected 'tpe' or 'random'"),
        (lambda: sought(sampler="TPE"), "sampler is a str ('TPE')"),
        (lambda: sought(sampler=None), "sampler is a NoneType"),
        (lambda: sought(seed=None), "seed is a NoneType; expected a whole number"),
        (lambda: sought(seed="a"), "seed is a str ('a')"),
        (lambda: sought(cost=3), "cost is a int (3)"),
        (lambda: sought(workspace="."), "workspace is a str ('.'); expected a Workspace"),
        (lambda: sought(name=3), "name is a int (3)"),
        (lambda: sought(minimize=3), "minimize=3 and maximize=None"),
    ],
)
def test_what_is_no_argument_is_named_with_its_type_and_a_remedy(make: Any, said: str) -> None:
    with pytest.raises(Invalid, match=re.escape(said)) as caught:
        make()
    assert caught.value.hint


def test_a_word_that_is_nearly_right_is_named() -> None:
    with pytest.raises(Invalid) as caught:
        integers(1, 5, scale="LOG")  # type: ignore[arg-type]  # as a user may write it
    assert caught.value.hint == "Pass scale='log'."


def test_a_gate_may_say_yes_or_no() -> None:
    def good_enough(made: dict[str, float]) -> bool:
        return made["score"] > 2

    found = until(scored, good_enough, rounds=5)
    assert (found.passed, len(found.rounds)) == (True, 3)
    assert found.last.verdict.gate == "good_enough"
    assert found.rounds[0].verdict.reasons[0].summary == "good_enough does not hold"
    nameless = until(scored, lambda made: np.float64(made["score"]) > 2, rounds=5)
    assert (len(nameless.rounds), nameless.last.verdict.gate) == (3, "gate")
    assert type(nameless.last.verdict.passed) is bool


def test_an_error_says_in_which_round_it_was_raised() -> None:
    def candidate(number: int) -> int:
        return 1 // (2 - number)

    def judge(made: object) -> Verdict:
        return Verdict(gate="no", passed=False, findings=())

    with pytest.raises(ZeroDivisionError) as caught:
        until(candidate, judge)
    assert "in round 2 of until" in caught.value.__notes__


def test_numbers_of_numpy_are_numbers(place: Any) -> None:
    assert integers(np.int64(1), 5) == integers(1, 5)  # type: ignore[arg-type]
    assert uniform(np.float32(0), np.float64(1)) == uniform(0, 1)  # type: ignore[arg-type]
    assert choice(np.int64(1), np.str_("a"), np.bool_(False)) == choice(1, "a", False)  # type: ignore[arg-type]
    assert Budget(trials=np.int64(5), cost=np.float32(2)) == Budget(trials=5, cost=2.0)  # type: ignore[arg-type]
    assert len(until(scored, GATE, rounds=np.int64(2)).rounds) == 2  # type: ignore[arg-type]
    space = {"x": uniform(np.float64(0), 1), "n": integers(np.int64(1), np.int32(9))}  # type: ignore[arg-type]
    found, again = (
        sought(lambda x, n: x + n, space, seed=seed, workspace=place, name="one")
        for seed in (np.int64(3), 3)
    )
    assert found == again


@pytest.mark.parametrize("sampler", ["tpe", "random"])
@pytest.mark.parametrize(
    "item",
    [
        uniform(1.0, math.nextafter(1.0, 2)),
        uniform(0, 2.3e-308),
        log_uniform(5e-324, 1.7e308),
        log_uniform(1.0, math.nextafter(1.0, 2)),
        uniform(-8e307, 8e307),
        integers(2**53 - 3, 2**53),
        integers(-(2**53), 2**53),
        integers(1, 2**53, scale="log"),
    ],
)
def test_the_ends_of_what_can_be_reckoned_are_searched(item: Any, sampler: Any, place: Any) -> None:
    found = sought(space={"x": item}, budget=Budget(trials=20), workspace=place, sampler=sampler)
    values = [trial.parameters["x"] for trial in found.trials]
    assert all(item.low <= value <= item.high for value in values)
    assert {type(value) for value in values} == {type(item.low)}
