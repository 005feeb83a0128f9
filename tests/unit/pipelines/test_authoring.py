"""The words of a pipeline outside a run: functions stay what they are."""

import inspect
from typing import Any

import pytest

from trivet.core.errors import Invalid
from trivet.core.gates import Gate, Verdict, check
from trivet.pipelines.authoring import effect, flow, map, step, until
from trivet.pipelines.context import current, definition_of


@step
def add(a: int, b: int = 1) -> int:
    """Add."""
    return a + b


def test_a_step_outside_a_run_is_its_function() -> None:
    assert add(1) == 2
    assert add(1, b=3) == 4
    assert inspect.isfunction(add)
    assert (add.__name__, add.__doc__) == ("add", "Add.")
    assert str(inspect.signature(add)) == "(a: int, b: int = 1) -> int"


def test_library_functions_become_steps_without_an_edit() -> None:
    assert step(sorted)([2, 1]) == [1, 2]
    assert step(len)("abc") == 3


def test_options_stand_beside_the_call() -> None:
    @step(retries=2, timeout_s=5, version="2", depends=[add])
    def train() -> int:
        return 1

    declared = definition_of(train)
    assert declared is not None
    assert (declared.retries, declared.timeout_s, declared.version) == (2, 5, "2")
    assert declared.depends == (add,)


def test_an_effect_outside_a_run_is_its_function() -> None:
    sent: list[str] = []

    @effect
    def send(text: str) -> None:
        sent.append(text)

    send("a")
    assert sent == ["a"]


def test_what_cannot_be_a_step_is_refused_where_it_is_declared() -> None:
    async def wait() -> None: ...

    def generate() -> Any:
        yield 1

    for wrong in (wait, generate, add, 3):
        with pytest.raises(Invalid) as refused:
            step(wrong)  # type: ignore[call-overload]
        assert refused.value.code == "bad-step"
    for options in ({"retries": -1}, {"timeout_s": 0}):
        with pytest.raises(Invalid):
            step(**options)(lambda: None)  # type: ignore[call-overload]


def test_a_flow_may_not_take_the_names_of_the_run() -> None:
    with pytest.raises(Invalid, match="'asked_by'"):

        @flow
        def main(asked_by: str) -> None: ...


def test_a_flow_is_the_function_itself() -> None:
    def main(a: int) -> int:
        return add(a)

    assert flow(main) is main
    assert main(1) == 2


def test_map_outside_a_run_maps() -> None:
    assert map(add, [1, 2], 10) == [11, 12]
    assert map(lambda x: -x, [1]) == [-1]


def test_until_ends_with_the_first_round_that_passes() -> None:
    @check("large-enough")
    def large_enough(evidence: Any) -> bool:
        return evidence["score"] >= 3

    gate = Gate(name="quality", checks=(large_enough,))
    found = until(lambda number: {"score": number}, gate, rounds=9)
    assert [turn.number for turn in found.rounds] == [1, 2, 3]
    assert found.passed
    assert found.last.candidate == {"score": 3}
    assert [turn.verdict.passed for turn in found.rounds] == [False, False, True]


def test_until_gives_up_when_the_rounds_are_spent() -> None:
    def never(candidate: int) -> Verdict:
        return Verdict(gate="never", passed=False, findings=())

    found = until(lambda number: number, never, rounds=2)
    assert not found.passed
    assert found.last.number == 2
    with pytest.raises(Invalid, match="rounds is 0"):
        until(lambda number: number, never, rounds=0)


def test_a_gate_needs_evidence_that_it_can_read() -> None:
    gate = Gate(name="g", checks=(check("yes")(lambda evidence: bool(evidence["n"])),))
    with pytest.raises(Invalid, match="a candidate is a int"):
        until(lambda number: number, gate)
    assert until(lambda number: number, gate, evidence=lambda n: {"n": n}).passed


def test_outside_a_run_there_is_no_run_and_logging_does_nothing() -> None:
    here = current()
    assert (here.run, here.flow, here.step) == (None, None, None)
    here.log(loss=0.5, step=3)
