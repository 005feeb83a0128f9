import logging
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from trivet.core.errors import Invalid, NotFound, Unavailable
from trivet.pipelines.looping import holding, searching, working
from trivet.pipelines.looping.budget import Budget
from trivet.pipelines.looping.searching import (
    Trial,
    choice,
    integers,
    log_uniform,
    search,
    uniform,
)
from trivet.pipelines.looping.trials import SearchBegun, TrialBegun, TrialEnded
from trivet.tracking.service import TrackingService

pytest.importorskip("optuna")

SPACE = {"rate": log_uniform(1e-4, 1.0), "depth": integers(2, 8), "kind": choice("a", "b", None)}


def bowl(rate: float, depth: int, kind: str | None) -> float:
    return (math.log10(rate) + 2) ** 2 + abs(depth - 5) + (kind != "b")


def climbing(rate: float, depth: int, kind: str | None, trial: Trial) -> dict[str, float]:
    level = -bowl(rate, depth, kind)
    for step in range(20):
        trial.report(level + step / 100, step)
        if trial.should_stop():
            return {"score": level + step / 100}
    return {"score": level + 0.19, "cost": 2.0, "note": "text is left out"}  # type: ignore[dict-item]


def broken(rate: float) -> float:
    if rate > 0.5:
        raise ValueError("diverged")
    return math.nan if rate > 0.4 else rate


def bare(rate: float) -> float:
    return rate


def ways(found: Any) -> list[dict[str, Any]]:
    return [trial.parameters for trial in found.trials]


def test_a_search_finds_a_good_place_and_takes_the_same_way_again() -> None:
    found = search(bowl, SPACE, minimize="loss", budget=Budget(trials=60), seed=3)
    assert (found.ended, len(found.trials)) == ("trials spent", 60)
    best = found.best
    assert best.value == min(trial.value for trial in found.trials if trial.value is not None)
    assert best.value < 1.0
    assert best.parameters["kind"] == "b"
    assert ways(search(bowl, SPACE, minimize="loss", budget=Budget(trials=60), seed=3)) == ways(
        found
    )
    assert (
        ways(search(bowl, SPACE, minimize="loss", budget=Budget(trials=3), seed=4))
        != ways(found)[:3]
    )


def test_what_learns_from_its_trials_beats_what_does_not() -> None:
    values = {
        sampler: sum(
            search(
                bowl, SPACE, minimize="loss", budget=Budget(trials=40), seed=seed, sampler=sampler
            ).best.value
            or 0
            for seed in range(3)
        )
        for sampler in ("tpe", "random")
    }
    assert values["tpe"] < values["random"]


def test_trials_that_look_bad_are_stopped_and_are_never_the_best() -> None:
    found = search(climbing, SPACE, maximize="score", budget=Budget(trials=40), seed=1)
    states = {trial.state for trial in found.trials}
    assert states == {"done", "stopped"}
    stopped = next(trial for trial in found.trials if trial.state == "stopped")
    assert len(stopped.reports) < 20
    assert found.best.state == "done"
    assert set(found.best.figures) == {"score", "cost"}


def test_a_trial_that_fails_is_recorded_and_the_search_goes_on() -> None:
    found = search(
        broken, {"rate": uniform(0, 1)}, minimize="loss", budget=Budget(trials=20), seed=5
    )
    errors = {trial.error.partition(":")[0] for trial in found.trials if trial.state == "failed"}
    assert errors == {"ValueError", "Invalid"}
    assert found.best.value is not None
    assert found.best.value < 0.4


def test_an_objective_that_always_fails_is_found_out() -> None:
    def wrong(rate: float) -> float:
        raise KeyError("target")

    with pytest.raises(Invalid, match=r"first 5 trials failed; trial 1 \(rate=.*KeyError"):
        search(wrong, {"rate": uniform(0, 1)}, minimize="loss", budget=Budget(trials=50))
    found = search(wrong, {"rate": uniform(0, 1)}, minimize="loss", budget=Budget(trials=2))
    with pytest.raises(NotFound, match="none of 2 trials") as caught:
        _ = found.best
    assert re.search(r"trial 1 \(rate=.*KeyError: 'target'", caught.value.hint)


def test_a_trial_that_fails_is_told_of_with_its_parameters(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        found = search(
            broken,
            {"rate": uniform(0, 1)},
            minimize="loss",
            budget=Budget(trials=20),
            seed=5,
            name="told",
        )
    failed = [trial for trial in found.trials if trial.state == "failed"]
    assert caplog.messages == [
        f"trial {trial.number} of search 'told' failed (rate={trial.parameters['rate']}): "
        f"{trial.error}"
        for trial in failed
    ]


def test_an_error_that_ends_the_search_names_the_trial() -> None:
    def away(rate: float) -> float:
        raise Unavailable("the stores are away")

    with pytest.raises(Unavailable) as caught:
        search(away, {"rate": uniform(0, 1)}, minimize="loss", budget=Budget(trials=1))
    assert re.match(r"in trial 1 of search 'away': rate=0\.\d+", caught.value.__notes__[0])


def test_cost_and_time_end_a_search() -> None:
    def priced(rate: float) -> dict[str, float]:
        return {"loss": rate, "cost": 1.5}

    space = {"rate": uniform(0, 1)}
    found = search(priced, space, minimize="loss", budget=Budget(cost=4.0))
    assert (found.ended, len(found.trials), found.cost) == ("cost spent", 3, 4.5)
    timed = search(priced, space, minimize="loss", budget=Budget(seconds=1e-9))
    assert (timed.ended, len(timed.trials)) == ("time spent", 1)
    with pytest.raises(Invalid, match="does not say what it cost"):
        search(lambda rate: rate, space, minimize="loss", budget=Budget(cost=1.0))


@pytest.mark.parametrize(
    "make",
    [
        lambda: uniform(1, 1),
        lambda: uniform(0, math.inf),
        lambda: log_uniform(0, 1),
        lambda: integers(1.5, 3),  # type: ignore[arg-type]
        lambda: integers(0, 3, scale="log"),
        choice,
        lambda: choice("a", "a"),
        lambda: choice(object()),  # type: ignore[arg-type]
        lambda: search(bowl, {}, minimize="loss", budget=Budget(trials=1)),
        lambda: search(bowl, {"trial": uniform(0, 1)}, minimize="x", budget=Budget(trials=1)),
        lambda: search(bowl, {"rate": 0.1}, minimize="x", budget=Budget(trials=1)),  # type: ignore[dict-item]
        lambda: search(bowl, SPACE, budget=Budget(trials=1)),
        lambda: search(bowl, SPACE, minimize="a", maximize="b", budget=Budget(trials=1)),
    ],
)
def test_what_has_no_sense_is_refused_before_a_trial(make: Any) -> None:
    with pytest.raises(Invalid) as caught:
        make()
    assert caught.value.code in {"bad-space", "bad-direction"}


FLOW = """
from pathlib import Path
from trivet.pipelines.looping.budget import Budget
from trivet.pipelines.looping.searching import search, uniform

def objective(rate):
    with Path("tried.txt").open("a") as file:
        file.write("x")
    return (rate - 0.5) ** 2

@flow
def main(trials: int = 6):
    budget = Budget(trials=trials)
    found = search(objective, {"rate": uniform(0, 1)}, minimize="loss", budget=budget)
    return {"best": found.best.value, "rate": found.best.parameters["rate"]}
"""


def test_inside_a_run_trials_are_steps_and_a_longer_search_goes_on(
    project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    project.write(FLOW)
    project.run()
    again = project.run(trials=8)
    assert [status for _, status in project.statuses(again)] == ["remembered"] * 6 + ["run"] * 2
    assert (tmp_path / "tried.txt").read_text() == "x" * 8
    assert len(project.tracking.metric(again.id, "search/loss").values) == 8
    project.write(FLOW.replace("0.5", "0.6"))
    project.run()
    assert (tmp_path / "tried.txt").read_text() == "x" * 14


def test_whoever_watches_a_run_sees_its_trials(
    project: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    project.write(
        FLOW.replace("def objective(rate):", "def objective(rate):\n    assert rate > 0.2, 'low'")
    )
    seen: list[Any] = []
    run = project.run(trials=6, on_event=seen.append)
    steps = [(event.kind, event.total) for event in seen if event.step == "objective"]
    assert steps[0] == ("map", 6)
    assert [kind for kind, _ in steps if kind in {"started", "done"}] == ["started", "done"] * 6
    told = [event.text for event in seen if event.kind == "line" and "failed" in event.text]
    values = project.tracking.metric(run.id, "search/loss").values
    assert told
    assert len(told) + len(values) == 6
    assert re.search(
        r"trial \d of search 'objective' failed \(rate=0\.[01]\d+\): AssertionError", told[0]
    )


def test_a_search_of_a_workspace_goes_on_where_it_stood(place: Any) -> None:
    def objective(rate: float) -> float:
        return rate

    space = {"rate": uniform(0, 1)}
    alone = search(objective, space, minimize="loss", budget=Budget(trials=12), seed=2)
    first = search(
        objective, space, minimize="loss", budget=Budget(trials=5), seed=2, workspace=place
    )
    whole = search(
        objective, space, minimize="loss", budget=Budget(trials=12), seed=2, workspace=place
    )
    assert whole.trials[:5] == first.trials
    assert ways(whole) == ways(alone)
    begun = place.stores.ledger.find(SearchBegun.KIND).entries
    ended = place.stores.ledger.find(TrialEnded.KIND).entries
    assert (len(begun), len(ended)) == (1, 12)
    assert all(entry.parents[0] == begun[0].id for entry in ended)


def test_the_trials_of_a_workspace_are_runs_that_can_be_searched(place: Any) -> None:
    def objective(rate: float, kind: str, trial: Any) -> dict[str, float]:
        if trial.number == 2:
            raise ValueError("too hot")
        for epoch in range(3):
            trial.report(rate + 3 - epoch, epoch)
            trial.is_stopped = trial.number == 3
        return {"loss": rate, "a figure \n of no metric": 1.0}

    found = search(
        objective, {"rate": uniform(0, 1), "kind": choice("a", "b" * 9000)}, minimize="loss",
        budget=Budget(trials=4), seed=1, workspace=place, name="warm",
    )  # fmt: skip
    tracking = TrackingService(place.stores, place.scope)
    runs = tracking.search(experiment="warm", order="began").runs
    assert [run.name for run in runs] == [f"trial-{number}" for number in range(1, 5)]
    statuses = ["succeeded", "failed", "cancelled", "succeeded"]
    assert [run.status for run in runs] == statuses
    for trial, run in zip(found.trials, runs, strict=True):
        assert float(run.parameters["rate"]) == trial.parameters["rate"]
        assert run.tags["trivet.search"] == trial.search
        if trial.state != "failed":
            assert run.metrics["loss"] == trial.value
            points = tracking.reported.metrics.history(run.id, "loss")
            assert [(p.step, p.value) for p in points][:-1] == list(trial.reports)
    assert "too hot" in runs[1].tags["error"]
    best = tracking.search("metrics.loss < 1", order="metrics.loss", experiment="warm").runs[0]
    assert best.name == f"trial-{found.best.number}"


def test_several_workers_share_a_search_and_no_trial_is_done_twice(place: Any) -> None:
    def slow(rate: float) -> float:
        time.sleep(0.01)
        return rate

    found: list[Any] = []

    def work() -> None:
        found.append(
            search(
                slow,
                {"rate": uniform(0, 1)},
                minimize="loss",
                budget=Budget(trials=20),
                workspace=place,
            )
        )

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(one.trials == found[0].trials for one in found)
    assert [trial.number for trial in found[0].trials] == list(range(1, 21))
    entries = place.stores.ledger.find(TrialEnded.KIND).entries
    begun = place.stores.ledger.find(TrialBegun.KIND).entries
    assert (len(entries), len(begun)) == (20, 20)


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_a_trial_that_is_interrupted_is_free_at_once(
    interruption: type[BaseException], place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end = threading.Event()

    def objective(rate: float) -> float:
        if not may_end.is_set():
            raise interruption
        return rate

    def go() -> Any:
        budget = Budget(trials=3)
        return search(
            objective, {"rate": uniform(0, 1)}, minimize="loss", budget=budget, workspace=place
        )

    with pytest.raises(interruption):
        go()
    begun = place.stores.ledger.find(TrialBegun.KIND).entries
    may_end.set()
    asleep = SimpleNamespace(sleep=lambda _: pytest.fail("it waits for the lease"))
    monkeypatch.setattr(searching, "time", asleep)
    found = go()
    assert [trial.number for trial in found.trials] == [1, 2, 3]
    # It was gone on with, and not begun a second time.
    assert len(begun) == 1
    assert len(place.stores.ledger.find(TrialBegun.KIND).entries) == 3


def test_it_is_said_whose_trials_are_waited_for(
    place: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(holding, "SILENT_S", 0.0)
    space = {"rate": uniform(0, 1)}

    def go(trials: int) -> Any:
        return search(
            bare,
            space,
            minimize="loss",
            budget=Budget(trials=trials),
            workspace=place,
            name="waits",
        )

    held = f"trial/{go(1).trials[0].search}/2"
    place.stores.journal.lease(held, owner="another", lease_s=60)

    def waited(_: float) -> None:
        assert caplog.messages
        place.stores.journal.lease(held, owner="another", lease_s=0)

    monkeypatch.setattr(searching, "time", SimpleNamespace(sleep=waited))
    with caplog.at_level(logging.WARNING):
        assert len(go(3).trials) == 3
    (said,) = caplog.messages
    assert said.startswith("search 'waits' waits for trials that other processes hold (2)")


WORKER = """
import time
from pathlib import Path
from trivet.core.facts import Scope
from trivet.pipelines.looping import holding, working
from trivet.pipelines.looping.budget import Budget
from trivet.pipelines.looping.searching import search, uniform
from test_crash import opened

working.LEASE_S = 0.5

def objective(rate, trial):
    with Path("tried.txt").open("a") as file:
        file.write(f"{trial.number}:{rate:.9f}\\n")
    if trial.number == 4 and Path("slow").exists():
        print("reached", flush=True)
        time.sleep(600)
    return rate

def go():
    with opened(Path("."), "worker") as (pipelines, tracking):
        class Place:
            stores = pipelines._stores
            scope = pipelines._scope
        return search(
            objective, {"rate": uniform(0, 1)}, minimize="loss",
            budget=Budget(trials=6), workspace=Place(), name="crashing",
        )
"""


@pytest.mark.crash
def test_the_trial_of_a_killed_process_is_taken_over_as_it_was_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1]))
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "searching_child.py").write_text(WORKER)
    (tmp_path / "slow").touch()
    places = os.pathsep.join(path for path in sys.path if path)
    monkeypatch.setattr(working, "LEASE_S", 0.5)
    with subprocess.Popen(
        [sys.executable, "-c", "from searching_child import go; go()"],
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
    import searching_child

    found = searching_child.go()
    assert [trial.number for trial in found.trials] == [1, 2, 3, 4, 5, 6]
    lines = (tmp_path / "tried.txt").read_text().split()
    # The fourth was taken over with the same parameters, when the lease of the dead was over.
    assert sorted(line.partition(":")[0] for line in lines) == ["1", "2", "3", "4", "4", "5", "6"]
    assert lines.count(lines[3]) == 2
    del sys.modules["searching_child"]
