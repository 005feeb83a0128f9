"""Two watchers, real processes: one leads, and when it is killed the other goes on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trivet.core.facts import HeadMove, TaskMove, draft
from trivet.data.facts import DataCommit
from trivet.workspace.workspace import Workspace

CHILD = Path(__file__).with_name("watcher_child.py")
PATIENCE_S = 90.0
LEASE_S = 2.0

Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def start(project: Path, environment: dict[str, str]) -> Iterator[Start]:
    text = 'project = "left"\nflow = "pipeline:train"\n[up]\ntick_s = 0.1\n'
    (project / "trivet.toml").write_text(text)
    running: list[subprocess.Popen[bytes]] = []

    def start_one() -> "subprocess.Popen[bytes]":
        command = [sys.executable, str(CHILD), str(project), str(LEASE_S)]
        running.append(subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL))
        return running[-1]

    yield start_one
    for process in running:
        process.kill()
        process.wait()


def wait_until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def publish(workspace: Workspace) -> str:
    item = draft(DataCommit(dataset="flights", source="a feed"))
    head = HeadMove(name="data/flights", to=item.id)
    workspace.stores.ledger.commit(workspace.scope.batch("publish", [item], heads=[head]))
    return item.id


def fired(workspace: Workspace) -> list[str]:
    found = workspace.triggers.firings("fresh")
    return [str(f.task).partition("/")[2] for f in found if f.outcome == "fired"]


def end_runs(workspace: Workspace) -> None:
    for task in workspace.stores.journal.claim("runs", owner="r", lease_s=60, limit=10):
        move = TaskMove(key=task.key, owner="r", epoch=task.epoch, state="done")
        workspace.stores.ledger.commit(workspace.scope.batch("done", tasks=[move]))


def leader(project: Path) -> int:
    try:
        return int((project / "leader").read_text() or 0)
    except FileNotFoundError:
        return 0


@pytest.mark.crash
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_when_the_leader_is_gone_the_other_goes_on_and_nothing_fires_twice(
    workspace: Workspace, project: Path, start: Start, how: signal.Signals
) -> None:
    workspace.triggers.when("fresh", "data", do="pipeline:train", watch="flights")
    pids = {start().pid, start().pid}
    wait_until(lambda: leader(project) in pids)
    first = publish(workspace)
    wait_until(lambda: fired(workspace) == [first])
    gone = leader(project)
    end_runs(workspace)
    os.kill(gone, how)
    second = publish(workspace)
    wait_until(lambda: leader(project) in pids - {gone})
    wait_until(lambda: fired(workspace) == [second, first])
    end_runs(workspace)
    if how is signal.SIGSTOP:
        os.kill(gone, signal.SIGCONT)  # it believes that it leads, for a moment
    third = publish(workspace)
    wait_until(lambda: fired(workspace) == [third, second, first])
    time.sleep(1.0)
    assert fired(workspace) == [third, second, first]
    assert len(workspace.stores.journal.tasks("runs")) == 3


def test_an_event_wakes_the_watcher_between_two_ticks(
    workspace: Workspace, project: Path, start: Start
) -> None:
    text = (project / "trivet.toml").read_text()
    (project / "trivet.toml").write_text(text.replace("tick_s = 0.1", "tick_s = 3600.0"))
    workspace.triggers.when("fresh", "data", do="pipeline:train", watch="flights")
    workspace.triggers.when("last-of-all", "schedule", do="pipeline:train", watch="1")
    time.sleep(1.0)
    start()
    # The first look is over: the next one is an hour away.
    wait_until(lambda: workspace.triggers.firings("last-of-all"))
    version = publish(workspace)
    workspace.triggers.wake("fresh")
    wait_until(lambda: fired(workspace) == [version])
