"""A run with warm workers that is interrupted, or killed: nobody is left, and nothing is lost."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trivet.workspace.workspace import open as open_workspace

SOURCE = Path(__file__).parents[2] / "src"

PIPELINE = """
import os, subprocess, sys, time
from pathlib import Path
from trivet import flow, map, step

@step(where="pool")
def quick(n: int) -> int:
    return n * n

@step(where="pool")
def slow(n: int, folder: str) -> int:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    place = Path(folder) / f"pids-{n}"
    place.with_suffix(".new").write_text(f"{os.getpid()} {os.getppid()} {child.pid}")
    place.with_suffix(".new").rename(place)
    if not (Path(folder) / "go").exists():
        time.sleep(600)
    child.kill()
    return n

@flow
def main(folder: str):
    done = map(quick, range(20))
    return {"sum": sum(done) + sum(map(slow, range(2), folder))}
"""


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().split(") ")[1][0] != "Z"


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.02)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "trivet.toml").write_text('project = "pool"\nflow = "steps:main"\ngate = ""\n')
    (tmp_path / "steps.py").write_text(PIPELINE)
    return tmp_path


@pytest.fixture
def command(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """`trivet run`, in the middle of its slow steps."""
    process = subprocess.Popen(
        [sys.executable, "-m", "trivet", "run", "--set", f"folder={folder}"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        start_new_session=True,
    )
    yield process
    process.kill()
    process.communicate()


def pids(folder: Path) -> set[int]:
    wait_until(lambda: any(folder.glob("pids-?")))
    time.sleep(0.5)  # a second one, where there are two processors
    return {int(pid) for place in folder.glob("pids-?") for pid in place.read_text().split()}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_leaves_no_process_and_goes_on_where_it_was(
    folder: Path, command: "subprocess.Popen[str]", number: int
) -> None:
    left = pids(folder)
    command.send_signal(number)
    command.communicate(timeout=60)
    wait_until(lambda: not any(map(is_alive, left)))
    with open_workspace(folder) as workspace:
        (run,) = workspace.tracking.runs()
        ended = run.finished.status if run.finished else None
        assert ended == (None if number == signal.SIGKILL else "cancelled")
    (folder / "go").touch()
    env = os.environ | {"PYTHONPATH": str(SOURCE)}
    again = [sys.executable, "-m", "trivet", "run", "--set", f"folder={folder}"]
    subprocess.run(again, cwd=folder, env=env, check=True, capture_output=True)
    with open_workspace(folder) as workspace:
        run = workspace.tracking.runs()[0]
        assert run.finished is not None
        assert run.finished.metrics == {"sum": float(sum(n * n for n in range(20)) + 1)}
        statuses = [(s.step, s.status) for s in workspace.pipelines.steps(run.id)]
    assert statuses.count(("quick", "remembered")) == 20
