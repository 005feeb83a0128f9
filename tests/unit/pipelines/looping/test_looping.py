import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trivet.core.errors import Invalid, NotFound, Refused
from trivet.core.gates import Gate, Verdict, check
from trivet.pipelines.looping.budget import Budget
from trivet.pipelines.looping.until import until

PIPELINE = """
import time
from pathlib import Path
from trivet.core.gates import Verdict
from trivet.pipelines.looping.budget import Budget
from trivet.pipelines.looping.until import until

def train(number):
    with Path("made.txt").open("a") as file:
        file.write(f"{number} ")
    if number == 4 and Path("slow").exists():
        print("reached", flush=True)
        time.sleep(600)
    return {"score": number, "cost": 2.5}

def good(made):
    return Verdict(gate="good", passed=made["score"] >= 6, findings=())

@flow
def main(cost: float = 100.0):
    found = until(train, good, budget=Budget(trials=20, cost=cost))
    return {"rounds": len(found.rounds), "ended": found.ended, "cost": found.cost}
"""
CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_crash import opened
with opened(Path("."), "child") as (pipelines, _):
    pipelines.run("looping_flow:main")
"""


def refused(made: object) -> Verdict:
    return Verdict(gate="never", passed=False, findings=())


def test_until_ends_with_the_first_round_that_passes() -> None:
    @check("large-enough")
    def large_enough(evidence: Any) -> bool:
        return evidence["score"] >= 3

    gate = Gate(name="quality", checks=(large_enough,))
    found = until(lambda number: {"score": number}, gate, rounds=9)
    assert [turn.number for turn in found.rounds] == [1, 2, 3]
    assert (found.passed, found.ended) == (True, "passed")
    assert found.last.candidate == {"score": 3}
    assert [turn.verdict.passed for turn in found.rounds] == [False, False, True]


def test_a_candidate_that_passes_in_the_last_round_has_passed() -> None:
    gate = Gate(name="g", checks=(check("two")(lambda made: made["n"] == 2),))
    assert until(lambda n: {"n": n}, gate, rounds=2).ended == "passed"


@pytest.mark.parametrize(
    ("limits", "ended", "rounds"),
    [
        ({}, "trials spent", 5),
        ({"rounds": 2}, "trials spent", 2),
        ({"budget": Budget(trials=3)}, "trials spent", 3),
        ({"budget": Budget(cost=5.0)}, "cost spent", 2),
        ({"budget": Budget(cost=5.0), "rounds": 1}, "trials spent", 1),
        ({"budget": Budget(seconds=1e-12)}, "time spent", 1),
    ],
)
def test_it_says_why_it_gave_up(limits: dict[str, Any], ended: str, rounds: int) -> None:
    found = until(lambda number: {"cost": 2.5}, refused, **limits)
    assert (found.passed, found.ended, len(found.rounds)) == (False, ended, rounds)
    assert found.cost == 2.5 * rounds


def test_it_ends_when_the_holdout_has_no_looks_left() -> None:
    def gate(number: int) -> Verdict:
        if number == 3:
            raise Refused("no looks left", code="looks-exhausted")
        return refused(number)

    found = until(lambda number: number, gate)
    assert (found.ended, len(found.rounds)) == ("looks spent", 2)
    none = until(lambda number: 3, gate)
    assert none.rounds == ()
    assert not none.passed
    with pytest.raises(NotFound, match="looks at the holdout are spent"):
        _ = none.last


def test_another_refusal_is_an_error() -> None:
    def gate(made: int) -> Verdict:
        raise Refused("may not look", code="forbidden-rows")

    with pytest.raises(Refused, match="may not look"):
        until(lambda number: number, gate)


def test_what_a_candidate_cost_may_be_computed() -> None:
    found = until(
        lambda number: number, refused, budget=Budget(cost=3.0), cost=lambda number: number / 2
    )
    assert [turn.cost for turn in found.rounds] == [0.5, 1.0, 1.5]


@pytest.mark.parametrize("cost", [-1.0, math.nan, math.inf, "free", True])
def test_a_cost_is_a_number(cost: Any) -> None:
    with pytest.raises(Invalid, match="cost of a trial"):
        until(lambda number: {"cost": cost}, refused)


def test_a_limit_of_the_cost_needs_a_cost() -> None:
    with pytest.raises(Invalid, match="does not say what it cost"):
        until(lambda number: number, refused, budget=Budget(cost=1.0))


@pytest.mark.parametrize(
    "limits",
    [{}, {"trials": 0}, {"trials": 1.5}, {"trials": True}, {"seconds": -1.0}, {"cost": math.nan}],
)
def test_a_budget_without_sense_is_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(Invalid) as caught:
        Budget(**limits)
    assert caught.value.code == "bad-budget"


def test_trials_are_limited_once() -> None:
    with pytest.raises(Invalid, match="limited twice"):
        until(lambda number: number, refused, rounds=2, budget=Budget(trials=3))


def test_a_gate_needs_evidence_that_it_can_read() -> None:
    gate = Gate(name="g", checks=(check("yes")(lambda evidence: bool(evidence["n"])),))
    with pytest.raises(Invalid, match="a candidate is a int"):
        until(lambda number: number, gate)
    assert until(lambda number: number, gate, evidence=lambda n: {"n": n}).passed


def test_inside_a_run_the_trials_are_steps_and_their_spending_is_remembered(
    project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    project.write(PIPELINE)
    first = project.run()
    assert first.finished.metrics == {"rounds": 6.0, "cost": 15.0}
    again = project.run()
    assert project.statuses(again) == [("train", "remembered")] * 6
    assert again.finished.metrics == first.finished.metrics
    short = project.run(cost=5.0)
    assert project.pipelines.value(short.id, "ended") == "cost spent"
    assert (tmp_path / "made.txt").read_text().split() == list("123456")


def test_another_way_of_making_candidates_makes_them_again(
    project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    project.write(PIPELINE)
    project.run()
    project.write(PIPELINE.replace('"score": number,', '"score": 2 * number,'))
    assert project.run().finished.metrics["rounds"] == 3.0


def test_the_time_on_record_is_part_of_the_budget(project: Any) -> None:
    project.write(
        "import time\n"
        "from trivet.core.gates import Verdict\n"
        "from trivet.pipelines.looping.until import until\n"
        "def train(number):\n    time.sleep(0.05)\n    return number\n"
        "def never(made):\n    return Verdict(gate='never', passed=False, findings=())\n"
        "@flow\ndef main():\n"
        "    found = until(train, never, rounds=3)\n"
        "    return {'seconds': found.seconds}\n"
    )
    project.run()
    again = project.run()
    assert {status for _, status in project.statuses(again)} == {"remembered"}
    assert again.finished.metrics["seconds"] >= 0.15


@pytest.mark.crash
def test_a_killed_loop_goes_on_where_it_stood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    from test_crash import opened

    (tmp_path / "looping_flow.py").write_text(
        "from trivet.pipelines.authoring import *\n" + PIPELINE
    )
    (tmp_path / "slow").touch()
    places = os.pathsep.join(path for path in sys.path if path)
    with subprocess.Popen(
        [sys.executable, "-c", CHILD.format(tests=str(Path(__file__).parents[1]))],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": places},
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "reached\n"
        child.send_signal(signal.SIGKILL)
    (tmp_path / "slow").unlink()
    monkeypatch.chdir(tmp_path)
    with opened(tmp_path, "parent") as (pipelines, _):
        run = pipelines.run("looping_flow:main")
        assert run.finished is not None
        assert run.finished.metrics == {"rounds": 6.0, "cost": 15.0}
    # The fourth was under way when its process died; nothing else was made twice.
    assert (tmp_path / "made.txt").read_text().split() == list("1234456")
    del sys.modules["looping_flow"]
