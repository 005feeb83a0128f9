"""Runs that programs report while they go: quick, durable, and never in the way."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

import trivet as tv
from trivet.adapters.files.series import FileSeries
from trivet.core.errors import Invalid, NotFound, Unavailable
from trivet.core.facts import Scope
from trivet.core.ports import SeriesKey, Stores
from trivet.core.trees import read_tree
from trivet.tracking.reporting.buffering import Chunks, PointBuffer, flush_all
from trivet.tracking.reporting.facts import ReportedStatus
from trivet.tracking.service import TrackingService


@pytest.fixture
def tracking(stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrackingService:
    monkeypatch.chdir(tmp_path)
    return TrackingService(stores, Scope(project="flights", actor="ada"))


def test_a_run_says_what_it_was_told(tracking: TrackingService) -> None:
    with tracking.begin("late", name="first", parameters={"lr": 0.1}, tags={"k": 1}) as run:
        for step in range(5):
            run.log(loss=1 / (step + 1), step=step)
        run.log({"val/loss": np.float32(0.5)}, acc=1)
        run.set_parameters(depth=3)
        run.set_tags(k=2)
    found = tracking.reported.get(run.id)
    assert (found.name, found.status, found.ended_ms is not None) == ("first", "succeeded", True)
    assert found.parameters == {"lr": "0.1", "depth": "3"}
    assert found.tags == {"k": "2"}
    assert {name: item.value for name, item in found.metrics.items()} == {
        "loss": 0.2,
        "val/loss": 0.5,
        "acc": 1.0,
    }
    assert found.metrics["acc"].step == 5  # one behind the last that was named
    assert tracking.experiments.by_name("late").number == found.experiment
    seen = tracking.reported.observed(run.id)
    assert seen is not None
    assert seen.environment.python == sys.version.split()[0]


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError, "failed"), (KeyboardInterrupt, "cancelled")]
)
def test_a_run_that_breaks_off_says_how(
    tracking: TrackingService, error: type[BaseException], status: str
) -> None:
    run = tracking.begin()

    def break_off() -> None:
        with run:
            run.log(loss=1)
            raise error

    with pytest.raises(error):
        break_off()
    found = tracking.reported.get(run.id)
    assert (found.status, found.metrics["loss"].value) == (status, 1.0)


def test_a_run_within_a_run_names_it(tracking: TrackingService) -> None:
    with tracking.begin() as outer, tracking.begin(parent=outer.id) as inner:
        pass
    assert tracking.reported.get(inner.id).tags["mlflow.parentRunId"] == outer.id
    with pytest.raises(NotFound):
        tracking.begin(parent="0" * 32)


def test_a_run_is_gone_on_with_and_written_by_several(tracking: TrackingService) -> None:
    with tracking.begin() as run:
        run.log(loss=1, step=0)
        with tracking.join(run.id) as rank:
            rank.log({"rank1/loss": 2}, step=0)
        assert tracking.reported.get(run.id).status == "running"
    with tracking.join(run.id) as again:
        again.log(loss=0.5, step=1)
    found = tracking.reported.get(run.id)
    assert (found.status, found.metrics["loss"].value) == ("succeeded", 0.5)
    assert found.metrics["rank1/loss"].value == 2.0


class Tensor:
    """As one of PyTorch with two elements."""

    def __float__(self) -> float:
        raise RuntimeError("a Tensor with 2 elements cannot be converted to Scalar")


@pytest.mark.parametrize(
    "metrics",
    [
        {"loss": "high"},
        {"loss": None},
        {"loss": [1]},
        {"a//b": 1},
        {"": 1},
        {"x" * 251: 1},
        {3: 1},
        {"loss": Tensor()},
    ],
)
def test_what_is_no_metric_is_refused_at_once(
    tracking: TrackingService, metrics: dict[Any, object]
) -> None:
    with tracking.begin() as run:
        with pytest.raises(Invalid):
            run.log(metrics)
        with pytest.raises(Invalid, match="step is a str"):
            run.log(loss=1, step="1")  # pyright: ignore[reportArgumentType]
    assert tracking.reported.get(run.id).metrics == {}


def test_what_is_no_text_is_refused_with_its_name(tracking: TrackingService) -> None:
    odd = os.fsdecode(b"caf\xe9.csv")
    with tracking.begin() as run:
        with pytest.raises(Invalid, match=r"tag 'file' has '\\udce9' at 3"):
            run.set_tags(file=odd)
        with pytest.raises(Invalid, match=r"param 'file'"):
            run.set_parameters(file=odd)
        with pytest.raises(Invalid, match="the name of a tag is 3"):
            run.set_tags({3: "three"})  # pyright: ignore[reportArgumentType]
    with pytest.raises(Invalid, match="name of the run"):
        tracking.begin(name=odd)
    for name in (odd, None, 7):
        with pytest.raises(Invalid, match="name of the experiment"):
            tracking.begin(cast("str", name))
    with pytest.raises(Invalid, match="name of the run is None"):
        tracking.begin(name=cast("str", None))


def test_a_run_is_named_by_its_identifier(tracking: TrackingService) -> None:
    with tracking.begin() as run:
        itself = cast("str", run)
        with pytest.raises(Invalid, match="run is a LiveRun that is no identifier"):
            tracking.join(itself)
        with pytest.raises(Invalid, match="run is a LiveRun that is no identifier"):
            tracking.begin(parent=itself)


def test_a_status_that_is_none_is_refused(tracking: TrackingService) -> None:
    run = tracking.begin()
    with pytest.raises(Invalid, match="status is 'FINISHED'; expected one of"):
        run.finish(cast("ReportedStatus", "FINISHED"))
    run.finish("failed")
    assert tracking.reported.get(run.id).status == "failed"


def test_the_sources_are_those_of_the_folder_that_was_meant(
    tracking: TrackingService, stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "train.py").write_text("x = 1\n")
    run = tracking.begin(folder="sub", system=False)
    monkeypatch.chdir("/")
    run.finish()
    seen = tracking.reported.observed(run.id)
    assert seen is not None
    assert list(read_tree(stores.blobs, seen.code.tree)) == ["train.py"]


def test_a_parameter_that_is_refused_leaves_no_run_behind(tracking: TrackingService) -> None:
    with pytest.raises(Invalid):
        tracking.begin(parameters={"a//b": 1})
    assert len(tracking.search()) == 0


def test_what_is_logged_behind_the_end_is_kept(tracking: TrackingService) -> None:
    for before in ((), (1.0,)):
        with tracking.begin(system=False) as run:
            for value in before:
                run.log(loss=value)
        run.log(loss=0.5)
        assert tracking.reported.get(run.id).metrics["loss"].value == 0.5


def test_what_a_run_logged_that_nobody_holds_is_written(
    tracking: TrackingService, stores: Stores
) -> None:
    def train() -> str:
        run = tracking.begin(system=False)
        run.log(loss=0.5)
        return run.id

    key, end = SeriesKey(train(), "loss"), time.monotonic() + 30
    while not len(stores.series.read(key).steps) and time.monotonic() < end:
        time.sleep(0.01)
    assert list(stores.series.read(key).values) == [0.5]


def test_a_workspace_that_is_closed_has_written_what_was_logged(tmp_path: Path) -> None:
    (tmp_path / "trivet.toml").write_text('project = "early"\n')
    with tv.open(tmp_path) as ws:
        run = ws.tracking.begin(system=False, folder=tmp_path)
        run.log(loss=0.5)
    with tv.open(tmp_path) as ws:
        assert ws.tracking.reported.get(run.id).metrics["loss"].value == 0.5


def test_many_threads_lose_nothing(tracking: TrackingService, stores: Stores) -> None:
    run = tracking.begin()

    def work(place: int) -> None:
        for step in range(2000):
            run.log({f"m{place}": step, "all": place}, step=step)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        run.flush()
    for thread in threads:
        thread.join()
    run.finish()
    for place in range(4):
        steps = stores.series.read(SeriesKey(run.id, f"m{place}")).steps
        assert list(steps) == list(range(2000))
    assert len(stores.series.read(SeriesKey(run.id, "all")).steps) == 8000


def test_all_is_flushed_while_other_threads_open_more() -> None:
    over = threading.Event()

    def open_more() -> None:
        while not over.is_set():
            _ = [PointBuffer("r", lambda _: None) for _ in range(50)]

    threads = [threading.Thread(target=open_more) for _ in range(2)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    for thread in threads:
        thread.start()
    try:
        for _ in range(2000):
            flush_all()
    finally:
        sys.setswitchinterval(interval)
        over.set()
        for thread in threads:
            thread.join()


def test_a_store_that_is_away_for_a_while_costs_nothing() -> None:
    written: list[Chunks] = []
    away = threading.Event()
    away.set()

    def append(chunks: Chunks) -> None:
        if away.is_set():
            raise Unavailable("no space", code="disk-full", hint="Free some space.")
        written.append(chunks)

    buffer = PointBuffer("r", append)
    for step in range(10):
        buffer.add(step, {"loss": float(step)})
    with pytest.raises(Unavailable):
        buffer.flush()
    away.clear()
    buffer.close()
    steps = [step for chunks in written for _, points in chunks for step in points.steps]
    assert steps == list(range(10))
    assert buffer.lost == 0


def test_a_forked_child_leaves_the_points_of_its_parent_alone(tmp_path: Path) -> None:
    series = FileSeries(tmp_path)
    buffer = PointBuffer("r", series.append)
    buffer.add(0, {"loss": 1.0})
    pid = os.fork()
    if pid == 0:
        try:
            buffer.add(1, {"loss": 2.0})
            buffer.flush()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    buffer.close()
    assert list(series.read(SeriesKey("r", "loss")).steps) == [0, 1]
    series.close()


PROGRAM = """
import sys
import trivet as tv
ws = tv.open(".")
run = ws.tracking.begin("killed")
print(run.id, flush=True)
step = 0
while True:
    run.log(loss=float(step), step=step)
    step += 1
    if step % 1000 == 0:
        run.flush()
        print(step, flush=True)
"""


@pytest.fixture
def program(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    (tmp_path / "trivet.toml").write_text('project = "killed"\n')
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    yield process
    process.kill()
    process.communicate()


@pytest.mark.crash
def test_a_killed_program_leaves_all_that_it_flushed(
    program: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    assert program.stdout is not None
    run = program.stdout.readline().strip()
    end = time.monotonic() + 0.5
    flushed = 0
    while time.monotonic() < end:
        flushed = int(program.stdout.readline())
    program.send_signal(signal.SIGKILL)
    program.wait()
    flushed = max([flushed, *(int(line) for line in program.stdout if line.endswith("\n"))])
    series = FileSeries(tmp_path / ".trivet" / "series")
    steps = series.read(SeriesKey(run, "loss")).steps
    assert len(steps) >= flushed > 0
    assert list(steps) == list(range(len(steps)))  # no hole, nothing twice
    series.close()


CLOSES_NOTHING = """
import sys, trivet as tv
run = tv.open(sys.argv[1]).tracking.begin(system=False)
run.log(loss=0.5)
print(run.id)
"""


def test_a_program_that_closes_nothing_has_logged_what_it_logged(tmp_path: Path) -> None:
    (tmp_path / "trivet.toml").write_text('project = "late"\n')
    done = subprocess.run(
        [sys.executable, "-c", CLOSES_NOTHING, str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        check=True,
    )
    with tv.open(tmp_path) as ws:
        found = ws.tracking.reported.get(done.stdout.strip())
    assert found.metrics["loss"].value == 0.5
    assert done.stderr == ""
