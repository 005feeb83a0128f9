"""A plan says what the next run will do; the run then does it."""

from typing import Any

import pytest

TEXT = """
import helpers

RATE = 0.5

@step
def load(rows: int) -> list[int]:
    return list(range(rows))

@step
def fit(values: list[int], power: int = 1) -> float:
    return helpers.power(sum(values), power) * RATE

@step
def score(model: float) -> float:
    return model + 1

@effect
def announce(text: str) -> None: ...

@flow
def main(rows: int = 3, power: int = 1):
    model = fit(load(rows), power=power)
    announce("done")
    return {"model": [model], "score": score(model)}
"""
HELPERS = "def power(value, exponent):\n    return value ** exponent\n"


@pytest.fixture
def planned(project: Any) -> Any:
    project.write(HELPERS, "helpers")
    project.write(TEXT)
    return project


def actions(plan: Any) -> list[tuple[str, str]]:
    return [(step.step, step.action) for step in plan.steps]


def reasons(plan: Any) -> dict[str, tuple[str, ...]]:
    return {step.step: step.reasons for step in plan.steps if step.reasons}


def test_the_first_plan_runs_everything_and_changes_nothing(planned: Any) -> None:
    before = planned.stores.ledger.since(0)
    plan = planned.pipelines.plan("pipeline:main")
    assert actions(plan) == [
        *[("load", "run"), ("fit", "run"), ("announce", "perform"), ("score", "run")]
    ]
    assert reasons(plan) == {
        "load": ("it was never run",),
        "fit": ("values comes from 'load'",),
        "score": ("model comes from 'fit'",),
    }
    assert plan.complete
    assert planned.stores.ledger.since(0) == before


def test_after_a_run_nothing_is_left_but_the_effects(planned: Any) -> None:
    planned.run()
    plan = planned.pipelines.plan("pipeline:main")
    assert [step.step for step in plan.to_run] == ["announce"]


@pytest.mark.parametrize(
    ("name", "before", "after", "step", "reason"),
    [
        ("pipeline", "RATE = 0.5", "RATE = 0.25", "fit", "pipeline.RATE changed"),
        ("helpers", "value **", "2 * value **", "fit", "helpers.power changed"),
        ("pipeline", "model + 1", "model + 2", "score", "pipeline.score changed"),
        ("pipeline", "power: int = 1)", "power: int = 2)", "fit", "argument power changed"),
    ],
)
def test_a_plan_names_what_changed(
    planned: Any, name: str, before: str, after: str, step: str, reason: str
) -> None:
    planned.run()
    source = {"pipeline": TEXT, "helpers": HELPERS}[name]
    if name == "helpers":
        planned.write(source.replace(before, after), "helpers")
    else:
        planned.write(source.replace(before, after))
    plan = planned.pipelines.plan("pipeline:main")
    assert reason in reasons(plan)[step]
    run = planned.run()
    will = {step.step for step in plan.to_run if step.action == "run"}
    did = {step for step, status in planned.statuses(run) if status == "run"} - {"announce"}
    assert did <= will


def test_a_plan_ends_where_the_flow_looks_into_a_value_that_is_not_there(planned: Any) -> None:
    planned.write(TEXT.replace('    announce("done")', "    if model > 1:\n        score(1.0)"))
    plan = planned.pipelines.plan("pipeline:main")
    assert not plan.complete
    assert actions(plan) == [("load", "run"), ("fit", "run")]
    planned.run()
    plan = planned.pipelines.plan("pipeline:main")
    assert plan.complete
    assert {action for _, action in actions(plan)} == {"remember"}


@pytest.mark.parametrize(
    "look",
    [
        "str(x)",
        "len(x)",
        "x['a']",
        "x.a",
        "x + 1",
        "f'{x}'",
        "[*x]",
        "x == 1",
        "x()",
        "{x}",
        "not x",
    ],
)
def test_every_look_ends_the_plan(planned: Any, look: str) -> None:
    planned.write(
        "@step\ndef make() -> int:\n    return 1\n"
        f"@flow\ndef main():\n    x = make()\n    try:\n        {look}\n"
        "    except Exception:\n        pass\n    make()\n"
    )
    plan = planned.pipelines.plan("pipeline:main")
    assert (plan.complete, len(plan.steps)) == (False, 1)


def test_promises_inside_containers_are_found(planned: Any) -> None:
    planned.write(
        "@step\ndef make() -> int:\n    return 1\n"
        "@step\ndef use(values) -> int:\n    return 1\n"
        "@flow\ndef main():\n    use({'a': [(make(),)]})\n"
    )
    plan = planned.pipelines.plan("pipeline:main")
    assert reasons(plan)["use"] == ("values comes from 'make'",)


def test_a_result_that_was_removed_is_a_reason(planned: Any) -> None:
    run = planned.run(rows=5000)
    load = planned.pipelines.steps(run.id)[0]
    planned.stores.blobs.delete(load.output.digest)
    plan = planned.pipelines.plan("pipeline:main", rows=5000)
    assert reasons(plan)["load"] == ("its result was removed",)


def test_a_promise_inside_a_record_is_seen(project: Any) -> None:
    project.write("""
import dataclasses
from typing import NamedTuple

@dataclasses.dataclass
class Split:
    train: list
    test: list

class Pair(NamedTuple):
    split: Split
    rate: float

@step
def load(rows: int) -> list[int]:
    return list(range(rows))

@step
def fit(pair: Pair) -> int:
    return len(pair.split.train)

@flow
def main():
    rows = load(3)
    return {"fit": fit(Pair(Split(rows, []), 0.5))}
""")
    plan = project.pipelines.plan("pipeline:main")
    assert reasons(plan)["fit"] == ("pair comes from 'load'",)
    project.run()
    assert project.pipelines.plan("pipeline:main").to_run == ()
