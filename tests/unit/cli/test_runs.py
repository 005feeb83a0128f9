"""Runs as people see them: lists, logs, pictures, and a terminal that stays sane."""

import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from trivet.workspace.parts import execute
from trivet.workspace.workspace import open as open_workspace

Trivet = Callable[..., Any]

FLOW = """
import time
from trivet import flow, map, step

@step
def load(rows: int):
    print("reading", rows, "rows")
    return list(range(rows))

@step
def split(rows):
    return rows[:1], rows[1:]

@step
def score(n):
    return n * 1.5

@step
def total(values):
    return sum(values)

@step
def slow():
    print("begun", flush=True)
    time.sleep(60)

@flow
def train(rows: int = 12, fail: bool = False, wait: bool = False):
    first, rest = split(load(rows))
    found = total(map(score, rest))
    if fail:
        raise ValueError("no such column")
    if wait:
        slow()
    return {"total": found}
"""

ASSETS = """
from trivet import Data, flow

@flow
def features(rows: int):
    return {"table": list(range(rows)), "rows": rows}

@flow
def train(table: Data):
    return {"total": sum(table)}
"""

FAILING = """
from trivet import flow, map, step

@step
def load():
    return [2.0, 1.0, 0.0]

@step
def divide(number):
    return 1 / number

@flow
def train():
    return {"all": map(divide, load())}
"""


@pytest.fixture(autouse=True)
def pipeline(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    with (project / "trivet.toml").open("a") as file:
        file.write('gate = ""\n')
    (project / "pipeline.py").write_text(FLOW)
    yield
    sys.modules.pop("pipeline", None)


def child(project: Path, *words: str, **options: Any) -> subprocess.Popen[bytes]:
    keep = {name: value for name, value in os.environ.items() if name not in {"CI", "NO_COLOR"}}
    path = str(Path(__file__).parents[3] / "src")
    return subprocess.Popen(
        [sys.executable, "-m", "trivet", *words, "--project", str(project)],
        env={**keep, "PYTHONPATH": path, "TERM": "xterm"},
        **options,
    )


def test_runs_are_listed_with_what_was_run_and_remembered(trivet: Trivet) -> None:
    trivet("run")
    trivet("run")
    trivet("run", "--set", "fail=true")
    said = trivet("runs")
    assert said.code == 0
    rows = [line.split() for line in said.out.splitlines()[2:]]
    assert [row[2] for row in rows] == ["failed", "succeeded", "succeeded"]
    assert [next(word for word in row if "/" in word) for row in rows] == ["0/14", "0/14", "14/0"]
    failed = trivet("runs", "list", "--status", "failed", "--json").data["runs"]
    assert [item["status"] for item in failed] == ["failed"]
    assert trivet("runs", "list", "--status", "scheduled", "--json").data["runs"] == []
    assert trivet("runs", "list", "--flow", "other").out.strip() == "no runs"


def test_a_very_long_name_leaves_room_for_the_other_columns(project: Path, trivet: Trivet) -> None:
    with (
        open_workspace(project) as ws,
        ws.tracking.begin("digits", name="x" * 100_000, system=False) as run,
    ):
        pass
    (row,) = (line for line in trivet("runs").out.splitlines() if line.startswith(run.id))
    assert row.split()[2] == "succeeded"
    assert len(row) < 250


def test_a_narrow_terminal_gets_ends_of_identifiers_that_name_the_runs(
    project: Path, trivet: Trivet
) -> None:
    run = trivet("run", "--json").data["run"]["id"]
    parent, own = pty.openpty()
    termios.tcsetwinsize(own, (24, 60))
    with child(project, "runs", stdout=own, stderr=own):
        os.close(own)
        seen = b""
        try:
            while piece := os.read(parent, 4096):
                seen += piece
        except OSError:
            pass  # Linux says so when the other side is closed
    os.close(parent)
    lines = seen.decode().splitlines()
    assert all(len(line) <= 60 for line in lines)
    short = lines[2].split()[0]
    assert run.endswith(short)
    assert trivet("runs", "show", short).code == 0


def test_a_run_is_shown_with_its_steps_by_an_end_of_its_identifier(trivet: Trivet) -> None:
    run = trivet("run", "--json").data["run"]["id"]
    said = trivet("runs", "show", run[-8:])
    assert run in said.out
    assert "score x 11" in said.out
    assert "load" in said.out
    assert trivet("runs", "show", "last").out == said.out
    assert trivet("runs", "show", "f" * 32).code == 3


def test_assets_are_listed_shown_and_given_to_other_flows(project: Path, trivet: Trivet) -> None:
    assert "whatever a flow returns" in trivet("assets").out
    (project / "pipeline.py").write_text(ASSETS)
    for rows in ("2", "3"):
        assert trivet("run", "features", "--set", f"rows={rows}").code == 0
    assert [item["version"]["number"] for item in trivet("assets", "--json").data] == [2]
    history = trivet("assets", "history", "features.table").out.splitlines()
    assert [line.split()[0] for line in history[2:]] == ["2", "1"]
    run = trivet("run", "train", "--set", "table=asset:features.table@1", "--json").data["run"]
    assert run["finished"]["metrics"] == {"total": 1.0}
    said = trivet("assets", "show", "features.table@1", "--value")
    assert f"given to    {run['id']}" in said.out
    assert said.out.rstrip().endswith("[0, 1]")
    refused = trivet("assets", "show", "features.tabel")
    assert refused.code == 3
    assert "Did you mean 'features.table'?" in refused.err
    missing = trivet("triggers", "set", "t", "asset", "--watch", "features.tabel")
    assert "note: no asset 'features.tabel'" in missing.out


def test_logs_are_shown_with_their_step_and_by_step(trivet: Trivet) -> None:
    trivet("run")
    assert trivet("logs", "last").out.split(" ", 1)[1] == "load | reading 12 rows\n"
    assert "printed nothing" in trivet("logs", "last", "score").out
    assert trivet("logs", "last", "--since", "1h", "--json").data[0]["text"] == "reading 12 rows"
    assert trivet("logs", "last", "--since", "2100-01-01", "--json").data == []
    assert trivet("logs", "last", "--since", "soon").code == 2
    assert trivet("logs", "last", "--follow", "--json").code == 2
    assert trivet("logs").out == trivet("logs", "last").out
    followed = trivet("logs", "-f", "last", "load").out
    assert "reading 12 rows" in followed
    assert " succeeded after " in followed
    assert trivet("logs", "last", "-f", "load").out == followed
    unknown = trivet("logs", "last", "laod")
    assert unknown.code == 3
    assert "Did you mean 'load'?" in unknown.err


def test_a_bare_name_is_a_flow_beside_the_project_s_own(trivet: Trivet) -> None:
    ran = trivet("run", "train", "--json").data["run"]
    assert ran["started"]["code"]["entry"] == "pipeline:train"
    assert "Did you mean 'train'?" in trivet("run", "trian").err


def test_a_step_to_make_again_that_the_run_never_called_is_told_of(trivet: Trivet) -> None:
    assert "Did you mean 'total'?" in trivet("run", "--again", "totla").err
    assert "called no such step" not in trivet("run", "--again", "total").err


def test_a_picture_is_not_written_into_a_file_of_another_kind(
    trivet: Trivet, project: Path
) -> None:
    said = trivet("graph", "--output", str(project / "flow.pdf"))
    assert said.code == 2
    assert ".svg" in said.err
    assert not (project / "flow.pdf").exists()


def test_another_process_follows_a_run_until_it_ends(project: Path, trivet: Trivet) -> None:
    with child(project, "run", "--json", "--set", "wait=true", stdout=subprocess.PIPE) as run:
        until = time.monotonic() + 60
        while "begun" not in trivet("logs", "last").out:
            assert time.monotonic() < until
            time.sleep(0.2)
        with child(project, "logs", "last", "--follow", stdout=subprocess.PIPE) as follower:
            assert follower.stdout is not None
            assert b"reading 12 rows" in follower.stdout.readline()
            assert b"slow | begun" in follower.stdout.readline()
            run.send_signal(signal.SIGINT)
            rest = follower.stdout.read()
        assert b" cancelled after " in rest
        assert follower.returncode == 0
    assert run.returncode == 130


def test_a_run_that_was_killed_is_lost_and_whoever_follows_it_comes_to_an_end(
    project: Path, trivet: Trivet
) -> None:
    with child(project, "run", "--json", "--set", "wait=true", stdout=subprocess.PIPE) as run:
        until = time.monotonic() + 60
        while "begun" not in trivet("logs").out:
            assert time.monotonic() < until
            time.sleep(0.2)
        assert " running " in trivet("runs").out
        run.kill()
    assert " lost after " in trivet("logs", "-f").out
    assert " lost " in trivet("runs").out


def test_ctrl_c_leaves_a_whole_line_and_a_cursor(project: Path) -> None:
    parent, own = pty.openpty()
    with child(project, "run", "--set", "wait=true", stdin=own, stdout=own, stderr=own) as run:
        os.close(own)
        seen = b""
        while b"slow" not in seen or b"begun" not in seen:
            seen += os.read(parent, 4096)
        run.send_signal(signal.SIGINT)
        try:
            while piece := os.read(parent, 4096):
                seen += piece
        except OSError:
            pass  # Linux says so when the other side is closed
    os.close(parent)
    assert run.returncode == 130
    assert b"\x1b[?25l" not in seen, "the cursor is never hidden"
    last = seen.decode().split("\x1b[J")[-1]
    assert "slow" in seen.decode()
    assert "interrupted" in last
    assert last.endswith("\n")
    assert b"load" in seen
    assert "✗ slow".encode() in seen.replace(b"\x1b[31m", b"").replace(b"\x1b[0m", b"")


def test_a_call_that_failed_shows_what_it_was_given_and_where_that_came_from(
    project: Path, trivet: Trivet
) -> None:
    (project / "pipeline.py").write_text(FAILING)
    assert trivet("run").code != 0
    said = trivet("runs", "show", "last").out
    assert "divide(number=0.0) FAILED after" in said
    drawn = trivet("graph", "--run", "last", "--json").data
    arrows = [(arrow["source"], arrow["target"]) for arrow in drawn["arrows"]]
    assert arrows.count(("load", "failed:divide")) == 1
    failed = [box for box in drawn["boxes"] if box["state"] == "failed"]
    assert [(box["label"], box["detail"]) for box in failed] == [
        ("divide", "ZeroDivisionError: float division by zero")
    ]


def test_a_flow_and_the_record_of_a_run_are_drawn(project: Path, trivet: Trivet) -> None:
    assert "preview from the code" in trivet("graph").out
    trivet("run")
    drawn = trivet("graph", "--run", "last", "--json").data
    arrows = {(arrow["source"], arrow["target"]) for arrow in drawn["arrows"]}
    assert {("load", "split"), ("score", "total")} <= arrows
    assert {box["id"]: box["count"] for box in drawn["boxes"]} == {
        "load": 1,
        "split": 1,
        "score": 11,
        "total": 1,
    }
    file = project / "run.svg"
    assert trivet("graph", "--run", "last", "--output", str(file)).code == 0
    assert file.read_text("utf-8").startswith("<svg")
    trivet("run", "--set", "fail=true")
    states = {box["state"] for box in trivet("graph", "--run", "last", "--json").data["boxes"]}
    assert states == {"remembered"}
    assert trivet("graph", "pipeline:train", "--run", "last").code == 2
    for form in ("mermaid", "dot", "svg", "json", "text"):
        assert trivet("graph", "--format", form).code == 0


def test_the_second_run_says_what_memory_saved(project: Path, trivet: Trivet) -> None:
    trivet("run")
    said = trivet("run")
    assert "0 run, 14 remembered" in said.err
    assert "11 of 11" in said.err


def test_a_run_under_way_is_cancelled_from_another_process(project: Path, trivet: Trivet) -> None:
    with child(project, "run", "--json", "--set", "wait=true", stdout=subprocess.PIPE) as run:
        until = time.monotonic() + 60
        while "begun" not in trivet("logs", "last").out:
            assert time.monotonic() < until
            time.sleep(0.2)
        said = trivet("runs", "cancel", "last")
        assert said.code == 0
        assert "interrupted" in said.out
        run.wait(60)
    assert run.returncode == 4
    assert "cancelled" in trivet("runs", "list", "--status", "cancelled").out


def test_a_run_that_was_given_up_is_listed_with_its_reason_and_sent_again(
    project: Path, trivet: Trivet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3] / "src"))
    trivet("triggers", "set", "again", "hand", "--flow", "pipeline:train", "--set", "fail=true")
    trivet("triggers", "fire", "again")
    with open_workspace(project) as ws:
        (task,) = ws.stores.journal.claim("runs", owner="runner", lease_s=60.0)
        move = execute(ws, task, "runner")
    assert move.state == "failed"
    (row,) = trivet("pipelines", "tasks", "--state", "failed", "--json").data
    assert (row["key"], row["why"]) == (task.key, "ValueError: no such column")
    assert trivet("pipelines", "retry", task.key).code == 0
    assert [item["state"] for item in trivet("pipelines", "tasks", "--json").data] == ["ready"]
    assert trivet("pipelines", "retry", task.key).code == 4
