from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from trivet.core.errors import Conflict, Invalid, NotFound
from trivet.core.facts import Fact, Scope, TaskNew, draft
from trivet.core.ids import new_id
from trivet.core.lineage import ancestors
from trivet.core.ports import Stores
from trivet.tracking.facts import Output, Run
from trivet.tracking.service import Attempt, TrackingService


class Rows(Fact, frozen=True, kw_only=True):
    KIND = "test.rows"
    text: str


@pytest.fixture
def tracking(stores: Stores, scope: Scope) -> TrackingService:
    return TrackingService(stores, scope)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pipeline.py").write_text("x = 1\n")
    return tmp_path


def begin(tracking: TrackingService, folder: Path, **options: Any) -> Run:
    return tracking.start("train", entry="pipeline:train", folder=folder, **options)


def record(stores: Stores, scope: Scope, text: str) -> str:
    fact = draft(Rows(text=text))
    stores.ledger.commit(scope.batch("test", [fact]))
    return fact.id


def test_a_run_knows_its_code_its_environment_and_its_data(
    stores: Stores, scope: Scope, tracking: TrackingService, folder: Path
) -> None:
    data, firing = record(stores, scope, "data"), record(stores, scope, "firing")
    task = TaskNew(key="one", queue="runs", body=b"")
    asked = Attempt(id=new_id(), request="one", task="one", tasks=[task], asked_by=firing)
    run = begin(tracking, folder, parameters={"rate": 0.1}, data=[data], attempt=asked)
    found = tracking.get(run.id)
    assert found == run
    assert found.status == "running"
    assert found.started.parameters == {"rate": 0.1}
    assert stores.blobs.has(found.started.code.tree)
    assert stores.blobs.has(found.started.environment.lock)
    assert {entry.id for entry in ancestors(stores.ledger, run.id).entries} == {
        run.id,
        data,
        firing,
    }


def test_a_run_of_data_that_does_not_exist_is_not_recorded(
    tracking: TrackingService, folder: Path
) -> None:
    with pytest.raises(NotFound):
        begin(tracking, folder, data=["0" * 32])
    assert tracking.runs() == ()


def test_a_finished_run_holds_its_figures_and_results(
    tracking: TrackingService, folder: Path
) -> None:
    run = begin(tracking, folder)
    output = Output(name="model", format="json", digest="b3:" + "0" * 64, size_bytes=3)
    done = tracking.finish(run.id, "succeeded", metrics={"auc": 0.75}, outputs=[output])
    found = tracking.get(run.id)
    assert found == done
    assert found.status == "succeeded"
    assert found.finished is not None
    assert found.finished.metrics == {"auc": 0.75}
    assert found.finished.seconds >= 0
    assert found.output("model") == output
    assert found.output("other") is None


def test_a_run_ends_once(stores: Stores, scope: Scope, folder: Path) -> None:
    here, there = TrackingService(stores, scope), TrackingService(stores, scope)
    run = begin(here, folder)
    there.finish(run.id, "cancelled")
    with pytest.raises(Conflict, match="ended before") as refused:
        here.finish(run.id, "succeeded")
    assert refused.value.code == "run-finished"
    assert here.get(run.id).status == "cancelled"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "0.5", None])
def test_a_final_figure_is_a_finite_number(
    tracking: TrackingService, folder: Path, value: Any
) -> None:
    run = begin(tracking, folder)
    with pytest.raises(Invalid, match="metric 'auc'"):
        tracking.finish(run.id, "succeeded", metrics={"auc": value})
    assert tracking.get(run.id).status == "running"


def test_running_is_no_end(tracking: TrackingService, folder: Path) -> None:
    with pytest.raises(Invalid, match="how the run ended"):
        tracking.finish(begin(tracking, folder).id, "running")


def test_a_parameter_that_cannot_be_written_down_is_refused_by_name(
    tracking: TrackingService, folder: Path
) -> None:
    with pytest.raises(Invalid, match="parameter 'frame' is a object"):
        begin(tracking, folder, parameters={"frame": object()})
    assert tracking.runs() == ()


def test_points_that_were_logged_are_read_back_by_step(
    tracking: TrackingService, folder: Path
) -> None:
    run = begin(tracking, folder)
    at = datetime(2013, 3, 1, tzinfo=UTC)
    tracking.log(run.id, {"loss": 0.5, "auc": 0.6}, step=2, time=at)
    tracking.log(run.id, {"loss": float("nan")}, step=1)
    points = tracking.metric(run.id, "loss")
    assert list(points.steps) == [1, 2]
    assert list(points.values)[1] == 0.5
    assert list(points.times)[1] == 1_362_096_000_000_000
    assert tracking.metrics(run.id) == ("auc", "loss")
    assert len(tracking.metric(run.id, "other").steps) == 0


def test_text_is_no_measurement(tracking: TrackingService, folder: Path) -> None:
    run = begin(tracking, folder)
    with pytest.raises(Invalid, match="metric 'loss' is a str"):
        tracking.log(run.id, {"loss": "low"})  # type: ignore[dict-item]


def test_runs_are_listed_newest_first_and_by_name(tracking: TrackingService, folder: Path) -> None:
    first, second = begin(tracking, folder), begin(tracking, folder)
    other = tracking.start("score", entry="pipeline:score", folder=folder)
    assert [run.id for run in tracking.runs("train")] == [second.id, first.id]
    assert [run.id for run in tracking.runs(limit=2)] == [other.id, second.id]


def test_another_project_s_run_is_not_found(
    stores: Stores, tracking: TrackingService, folder: Path
) -> None:
    run = begin(tracking, folder)
    other = TrackingService(stores, Scope(project="churn", actor="ada"))
    assert other.runs() == ()
    with pytest.raises(NotFound):
        other.get(run.id)


def test_a_run_that_a_program_reported_is_no_run_of_a_flow(tracking: TrackingService) -> None:
    with tracking.begin("digits", system=False) as run:
        run.log(loss=1)
    with pytest.raises(NotFound, match=f"{run.id} is no run of a flow") as raised:
        tracking.get(run.id)
    assert "trivet runs show" in raised.value.hint


def test_two_runs_differ_in_what_was_changed_between_them(
    stores: Stores, scope: Scope, tracking: TrackingService, folder: Path
) -> None:
    before = begin(tracking, folder, parameters={"rate": 0.1, "depth": 3})
    tracking.finish(before.id, "succeeded", metrics={"auc": 0.7})
    (folder / "pipeline.py").write_text("x = 2\n")
    data = record(stores, scope, "data")
    after = begin(tracking, folder, parameters={"rate": 0.2, "depth": 3}, data=[data])
    tracking.finish(after.id, "succeeded", metrics={"auc": 0.8})
    found = tracking.compare(before.id, after.id)
    assert [(line.name, line.values, line.differs) for line in found.parameters] == [
        ("depth", ("3", "3"), False),
        ("rate", ("0.1", "0.2"), True),
    ]
    assert [(line.name, line.values) for line in found.metrics] == [("auc", (0.7, 0.8))]
    assert found.data == ((), (data,))
    assert found.changes[0].files == {"pipeline.py": "changed"}
    assert "+x = 2\n" in found.changes[0].diff
    assert not found.is_same_code
    assert found.packages == ()
    assert not any(line.differs for line in found.machine)


def test_notes_about_anything_are_kept_in_order(tracking: TrackingService, folder: Path) -> None:
    run = begin(tracking, folder)
    tracking.note(run.id, "looks odd")
    tracking.note(run.id, "was the clock")
    assert [note.text for note in tracking.notes(run.id)] == ["looks odd", "was the clock"]
    with pytest.raises(Invalid):
        tracking.note(run.id, "  ")
    with pytest.raises(NotFound):
        tracking.note("0" * 32, "about nothing")
