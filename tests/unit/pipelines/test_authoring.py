"""The words of a pipeline outside a run: functions stay what they are."""

import inspect
from pathlib import Path
from typing import Any

import pytest

from trivet.core.errors import Invalid
from trivet.pipelines.authoring import effect, flow, map, step
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


@pytest.mark.parametrize(
    ("word", "options", "told"),
    [
        (step, {"retry": 3}, "has an option 'retry'"),
        (step, {"name": "other"}, "has an option 'name'"),
        (step, {"retries": "three"}, "retries='three'"),
        (effect, {"where": "pool"}, "has an option 'where'"),
        (flow, {"retries": 1}, "has an option 'retries'"),
    ],
)
def test_an_option_that_there_is_not_or_of_another_type_is_named(
    word: Any, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(Invalid, match=told) as error:
        word(**options)(inspect.getdoc)
    assert error.value.hint


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


def test_outside_a_run_there_is_no_run_and_logging_does_nothing() -> None:
    here = current()
    assert (here.run, here.flow, here.step) == (None, None, None)
    here.log(loss=0.5, step=3)


@pytest.mark.parametrize("named", ["rates.csv", Path("rates.csv"), len, {"a": 1}, 3])
def test_one_thing_alone_in_depends_is_refused_and_not_taken_apart(named: Any) -> None:
    def spare() -> int:
        return 1

    with pytest.raises(Invalid, match="expected a list of what it depends on") as refused:
        step(depends=named)(spare)
    assert refused.value.code == "bad-option"
    assert refused.value.hint.startswith("Write depends=[")
