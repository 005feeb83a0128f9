import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from trivet.core.errors import Invalid
from trivet.workspace import parts
from trivet.workspace.backfilling import check_flow, rehearse
from trivet.workspace.doctor import examine
from trivet.workspace.workspace import Workspace

PIPELINE = """
import datetime, time
from pathlib import Path
from trivet import flow, step

@step
def count(day: str) -> int:
    if day.endswith("-03") and not Path("mended").exists():
        raise ValueError("no rows that day")
    return int(day[-2:])

@flow
def train(day: datetime.date, n: int = 1):
    time.sleep(0.3)
    with Path("ran").open("a") as file:
        file.write(day.isoformat() + "\\\\n")
    return {"total": count(day.isoformat()) * n}

@flow
def looks(day: str):
    if day == "b":
        raise LookupError("an odd flow")
    return {"n": 1.0}
""".replace("\\\\", "\\")
PATIENCE_S = 120.0
OVER = ("--over", "day=2026-01-01..2026-01-05")


@pytest.fixture
def project(
    project: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    (project / "pipeline.py").write_text(PIPELINE)
    (project / "trivet.toml").write_text('project = "left"\nflow = "pipeline:train"\ngate = ""\n')
    monkeypatch.setenv("PYTHONPATH", environment["PYTHONPATH"])
    monkeypatch.setattr(sys, "path", [*sys.path])
    sys.modules.pop("pipeline", None)
    yield project
    sys.modules.pop("pipeline", None)  # one process, one project: the next test has its own


Backfill = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def backfill(project: Path, environment: dict[str, str]) -> Backfill:
    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "trivet", "backfill", *words, "--json"]
        return subprocess.run(
            command, cwd=project, env=environment, capture_output=True, text=True, check=False
        )

    return run


def states(answer: Any) -> dict[str, str]:
    return {item["label"][-2:]: item["state"] for item in answer["partitions"]}


def days(project: Path) -> list[str]:
    path = project / "ran"
    return [line[-2:] for line in path.read_text().split()] if path.exists() else []


def wait_until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


@pytest.mark.journey
def test_days_are_filled_here_and_what_failed_is_mended_and_tried_again(
    project: Path, backfill: Backfill, workspace: Workspace
) -> None:
    first = backfill(*OVER, "--at-once", "2", "--set", "n=2")
    assert first.returncode == 1
    assert "pipeline:train n=2 day=2026-01-01 begins" in first.stderr
    answer = json.loads(first.stdout)
    assert states(answer) == {
        **dict.fromkeys(("01", "02", "04", "05"), "done"),
        "03": "failed",
    }
    (failed,) = [item for item in answer["partitions"] if item["state"] == "failed"]
    assert "no rows that day" in failed["reason"]
    (project / "mended").touch()
    again = backfill("--retry-failed", answer["spec"]["name"])
    assert again.returncode == 0, again.stderr
    assert set(states(json.loads(again.stdout)).values()) == {"done"}
    assert sorted(days(project)) == ["01", "02", "03", "03", "04", "05"]
    totals = {
        run.finished.metrics.get("total") for run in workspace.tracking.runs() if run.finished
    }
    assert totals - {None} == {2.0, 4.0, 6.0, 8.0, 10.0}
    # What asked is a parent of each run; what is tried again is the same request.
    assert {run.started.asked_by for run in workspace.tracking.runs()} == {answer["id"]}
    assert len({run.started.request for run in workspace.tracking.runs()}) == 5
    assert not [item for item in examine(project) if item.about == "runs"]


@pytest.mark.journey
@pytest.mark.crash
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_back_fill_that_was_ended_goes_on_where_it_was(
    project: Path,
    environment: dict[str, str],
    backfill: Backfill,
    workspace: Workspace,
    how: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (project / "mended").touch()
    command = [sys.executable, "-m", "trivet", "backfill", *OVER]
    quiet = subprocess.DEVNULL
    first = subprocess.Popen(command, cwd=project, env=environment, stdout=quiet, stderr=quiet)
    wait_until(lambda: len(days(project)) >= 2)
    first.send_signal(how)
    assert first.wait(PATIENCE_S) == {signal.SIGKILL: -9, signal.SIGINT: 130}[how]
    done_before = [i for i in workspace.backfills.all()[0].partitions if i.state == "done"]
    assert 1 <= len(done_before) < 5
    # A killed runner's lease runs out by itself; here nobody waits half a minute for that.
    for task in workspace.stores.journal.tasks("backfills", state="running"):
        workspace.stores.journal.extend(task, 0.0)
    again = backfill(*OVER)
    assert again.returncode == 0, again.stderr
    assert set(states(json.loads(again.stdout)).values()) == {"done"}
    ran = days(project)
    assert sorted(set(ran)) == ["01", "02", "03", "04", "05"]
    # At most the one that was under way was begun twice.
    assert len(ran) <= 6
    for item in done_before:
        assert ran.count(item.label[-2:]) == 1


@pytest.mark.journey
def test_a_rehearsal_says_what_is_known_and_runs_nothing(project: Path, backfill: Backfill) -> None:
    (project / "mended").touch()
    assert backfill("--over", "day=2026-01-01..2026-01-02").returncode == 0
    ran = days(project)
    told = backfill(*OVER, "--dry-run")
    assert [(i["partition"][-2:], i["action"]) for i in json.loads(told.stdout)] == [
        ("01", "remember"),
        ("02", "remember"),
        *((day, "run") for day in ("03", "04", "05")),
    ]
    known = backfill("--over", "day=2026-01-01..2026-01-02", "--dry-run")
    assert [item["action"] for item in json.loads(known.stdout)] == ["done", "done"]
    listed = json.loads(backfill().stdout)
    assert len(listed) == 1  # rehearsing began nothing
    assert set(days(project)[len(ran) :]) <= {"01", "02", "03", "04", "05"}  # the flow's own lines


def test_a_partition_that_cannot_be_planned_says_why(workspace: Workspace) -> None:
    status = workspace.backfills.imagine("pipeline:looks", ["day=a,b,c"])
    told = rehearse(workspace, status)
    assert [item.action for item in told] == ["remember", "run", "remember"]
    assert told[1].because == "it cannot be planned: LookupError: an odd flow"


def test_a_flow_is_filled_over_its_own_parameters(workspace: Workspace) -> None:
    check_flow(workspace, "pipeline:train", ["day", "n"])
    with pytest.raises(Invalid, match="has no parameter 'date'") as caught:
        check_flow(workspace, "pipeline:train", ["date"])
    assert caught.value.hint


def test_runners_take_asked_for_runs_before_back_fills(workspace: Workspace) -> None:
    workspace.backfills.start("pipeline:train", ["day=2026-01-01..2026-01-05"], at_once=2)
    assert parts.look(workspace)["back-fills"] == ""
    workspace.triggers.when("ask", "hand", do="pipeline:train")
    workspace.triggers.fire("ask", "now")
    queues = ("runs", "backfills")
    taken = [parts._claim(workspace, "r", queues) for _ in range(4)]
    assert [task and task.queue for task in taken] == ["runs", "backfills", "backfills", None]


@pytest.mark.journey
def test_a_daemon_fills_in_and_the_command_says_so(
    project: Path, environment: dict[str, str], backfill: Backfill, workspace: Workspace
) -> None:
    (project / "mended").touch()
    with (project / "trivet.toml").open("a") as file:
        file.write("[up]\nport = 0\nserving_port = 0\ntick_s = 0.2\n")
    quiet = subprocess.DEVNULL
    command = [sys.executable, "-m", "trivet", "up"]
    daemon = subprocess.Popen(command, cwd=project, env=environment, stdout=quiet, stderr=quiet)
    try:
        wait_until((project / ".trivet" / "up.lock").exists)
        time.sleep(1.0)
        asked = backfill("--over", "day=2026-01-01..2026-01-03")
        assert asked.returncode == 0, asked.stderr
        name = json.loads(asked.stdout)["spec"]["name"]
        wait_until(lambda: workspace.backfills.status(name).count("done") == 3)
        wait_until(lambda: not workspace.backfills.is_open(name))
    finally:
        os.kill(daemon.pid, signal.SIGTERM)
        daemon.wait(PATIENCE_S)
    assert sorted(days(project)) == ["01", "02", "03"]
