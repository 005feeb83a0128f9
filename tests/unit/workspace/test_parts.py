import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from trivet.core.errors import Unavailable
from trivet.core.ports import Task
from trivet.pipelines.requests import QUEUE, RunRequest, new_task
from trivet.workspace import parts
from trivet.workspace.workspace import Workspace

PIPELINE = """
import os, signal, time
from pathlib import Path
from trivet import flow, step

@step
def count(n: int) -> int:
    return n + 1

@flow
def train(n: int = 1):
    return {"total": count(n)}

@flow
def fails():
    raise ValueError("no such luck")

@flow
def dies():
    os.kill(os.getpid(), signal.SIGKILL)

@flow
def lasts():
    Path("begun").write_text(str(os.getpid()))
    time.sleep(600)
"""
PATIENCE_S = 60.0


@pytest.fixture
def project(project: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    (project / "pipeline.py").write_text(PIPELINE)
    (project / "trivet.toml").write_text('project = "left"\nflow = "pipeline:train"\ngate = ""\n')
    monkeypatch.setenv("PYTHONPATH", environment["PYTHONPATH"])
    return project


def ask(workspace: Workspace, flow: str, *, attempts: int = 3, **parameters: object) -> Task:
    request = RunRequest(flow=f"pipeline:{flow}", parameters=parameters)
    task = new_task(request, key=f"left/{flow}", max_attempts=attempts)
    workspace.stores.ledger.commit(workspace.scope.batch("ask", tasks=[task]))
    (claimed,) = workspace.stores.journal.claim(QUEUE, owner="runner", lease_s=60)
    return claimed


def test_an_asked_for_run_is_executed_in_a_child_process(workspace: Workspace) -> None:
    task = ask(workspace, "train", n=4)
    move = parts.execute(workspace, task, "runner")
    assert move.state == "done"
    (run,) = workspace.tracking.runs()
    assert run.status == "succeeded"
    assert run.finished is not None
    assert run.finished.metrics == {"total": 5.0}
    done = workspace.stores.journal.task(task.key)
    assert done is not None
    assert done.state == "done"
    assert json.loads(done.result or b"{}")["exit_code"] == 0
    assert "pipeline" not in sys.modules  # the user's code never came into this process


def test_a_run_that_fails_is_not_tried_again_since_it_would_fail_again(
    workspace: Workspace,
) -> None:
    task = ask(workspace, "fails")
    assert parts.execute(workspace, task, "runner").state == "failed"
    done = workspace.stores.journal.task(task.key)
    assert done is not None
    assert "no such luck" in json.loads(done.result or b"{}")["output"]
    assert workspace.tracking.runs()[0].status == "failed"


@pytest.mark.parametrize(("attempts", "state"), [(3, "ready"), (1, "failed")])
def test_a_run_whose_process_is_killed_is_tried_again_while_attempts_are_left(
    workspace: Workspace, attempts: int, state: str
) -> None:
    task = ask(workspace, "dies", attempts=attempts)
    assert parts.execute(workspace, task, "runner").state == state
    done = workspace.stores.journal.task(task.key)
    assert done is not None
    assert (done.state, done.attempts) == (state, 1)
    # Not at once: what killed it may still be there.
    assert workspace.stores.journal.claim(QUEUE, owner="runner", lease_s=60) == ()


def test_when_the_lease_is_lost_nothing_is_recorded(workspace: Workspace) -> None:
    task = ask(workspace, "train", n=1)
    # Another runner took it over: the lease had run out.
    taken = workspace.stores.journal.extend(task, 0.0)
    time.sleep(0.01)
    (other,) = workspace.stores.journal.claim(QUEUE, owner="other", lease_s=60)
    assert other.epoch > taken.epoch
    parts.execute(workspace, task, "runner")
    after = workspace.stores.journal.task(task.key)
    assert after is not None
    assert (after.state, after.owner, after.result) == ("running", "other", None)


def start_a_long_run(
    workspace: Workspace, project: Path, environment: dict[str, str]
) -> tuple["subprocess.Popen[bytes]", int]:
    """Let a runner of its own begin a run that lasts; return the runner and the run's process."""
    task = new_task(RunRequest(flow="pipeline:lasts"), key="left/lasts", max_attempts=3)
    workspace.stores.ledger.commit(workspace.scope.batch("ask", tasks=[task]))
    arguments = [sys.executable, "-m", "trivet", "up", "--part", "runner"]
    runner = subprocess.Popen(arguments, cwd=project, env=environment)
    begun = project / "begun"
    wait_until(lambda: begun.exists() and begun.read_text())
    return runner, int(begun.read_text())


def wait_until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def is_gone(pid: int) -> bool:
    """Whether a process has ended, were it in this very moment."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in {"Z", "X"}


def test_a_runner_that_is_told_to_stop_ends_its_run_and_gives_the_task_back(
    workspace: Workspace, project: Path, environment: dict[str, str]
) -> None:
    runner, pid = start_a_long_run(workspace, project, environment)
    runner.send_signal(signal.SIGTERM)
    assert runner.wait(PATIENCE_S) == 0
    assert is_gone(pid)
    after = workspace.stores.journal.task("left/lasts")
    assert after is not None
    assert (after.state, after.attempts) == ("ready", 0)
    assert workspace.tracking.runs()[0].status == "cancelled"


def test_the_run_of_a_runner_that_is_killed_does_not_go_on_alone(
    workspace: Workspace, project: Path, environment: dict[str, str]
) -> None:
    runner, pid = start_a_long_run(workspace, project, environment)
    runner.kill()
    runner.wait()
    wait_until(lambda: is_gone(pid))
    after = workspace.stores.journal.task("left/lasts")
    assert after is not None
    assert after.state == "running"  # until its lease runs out, and another runner takes it over


class Broken:
    """A service that cannot look."""

    def __init__(self, message: str) -> None:
        self.message = message

    def look(self) -> None:
        raise Unavailable(self.message, hint="Wait.")


def test_trouble_in_monitoring_does_not_keep_triggers_from_looking(workspace: Workspace) -> None:
    well = {"monitoring": "", "triggers": "", "back-fills": "", "runs": ""}
    assert parts.look(workspace) == well
    workspace.triggers.when("hourly", "schedule", do="pipeline:train", watch="3600")
    workspace.__dict__["monitoring"] = Broken("the log is away")  # in the place of the cached room
    assert parts.look(workspace) == well | {"monitoring": "the log is away. Wait."}


def test_trouble_is_told_once_until_it_changes() -> None:
    told: list[str] = []
    before: dict[str, str] = {}
    for trouble in ("", "away", "away", "full", ""):
        before = parts._tell_changes(before, {"monitoring": trouble}, told.append)
    assert told == ["monitoring: away", "monitoring: full", "monitoring: well again"]
