"""A run whose process dies: what was kept is remembered, and nothing pretends to have ended."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from trivet.adapters.files.blobs import FileBlobs
from trivet.adapters.files.series import FileSeries
from trivet.adapters.sqlite.database import open_database
from trivet.core.facts import Scope
from trivet.core.ports import Stores
from trivet.data.service import DataService
from trivet.pipelines.facts import EffectBegun
from trivet.pipelines.service import PipelinesService
from trivet.testing.memory_stores import MemoryLog, MemoryTables
from trivet.tracking.service import TrackingService

PIPELINE = """
import sys, time
from pathlib import Path
from trivet.pipelines.authoring import *

@step
def part(number: int) -> int:
    return number * 2

@effect
def send(text: str) -> str:
    with open("sent.txt", "a") as file:
        file.write(text)
    if Path("slow").exists():
        print("reached", flush=True)
        time.sleep(600)
    return text

@flow
def main():
    values = map(part, range(5))
    send("a")
    return {"total": sum(values)}
"""
CHILD = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_crash import opened
with opened(Path("."), "child") as (pipelines, _):
    pipelines.run("crashing:main", request="task-1")
"""


@contextmanager
def opened(folder: Path, actor: str) -> Iterator[tuple[PipelinesService, TrackingService]]:
    database = open_database(folder / ".stores" / "ledger")
    series = FileSeries(folder / ".stores" / "series")
    stores = Stores(
        ledger=database.ledger,
        journal=database.journal,
        views=database.views,
        catalog=database.catalog,
        series=series,
        blobs=FileBlobs(folder / ".stores" / "blobs"),
        tables=MemoryTables(),
        log=MemoryLog(),
    )
    scope = Scope(project="flights", actor=actor)
    tracking = TrackingService(stores, scope)
    try:
        yield (
            PipelinesService(stores, scope, tracking, DataService(stores, scope), folder),
            tracking,
        )
    finally:
        series.close()
        database.close()


@pytest.mark.crash
def test_a_killed_run_is_left_without_an_end_and_the_next_one_remembers_its_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "crashing.py").write_text(PIPELINE)
    (tmp_path / "slow").touch()
    code = CHILD.format(tests=str(Path(__file__).parent))
    places = os.pathsep.join(path for path in sys.path if path)
    with subprocess.Popen(
        [sys.executable, "-c", code],
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
    monkeypatch.setattr(sys, "path", [*sys.path])
    with opened(tmp_path, "parent") as (pipelines, tracking):
        (crashed,) = tracking.runs()
        assert crashed.status == "running"
        run = pipelines.run("crashing:main", request="task-1")
        assert run.finished is not None
        assert run.finished.metrics == {"total": 20.0}
        statuses = [(step.step, step.status) for step in pipelines.steps(run.id)]
        assert statuses == [("part", "remembered")] * 5 + [("send", "run")]
        # Nobody could know whether the effect was done: it is done again, under the same key.
        assert (tmp_path / "sent.txt").read_text() == "aa"
        begun = pipelines._stores.ledger.find(EffectBegun.KIND).entries
        assert len({entry.payload.split(b'"key"')[1][:70] for entry in begun if entry.payload}) == 1
        pipelines.run("crashing:main", request="task-1")
        assert (tmp_path / "sent.txt").read_text() == "aa"
    del sys.modules["crashing"]
