"""Importing what W&B's client kept, and tables that W&B exported."""

import json
import math
import shutil
from pathlib import Path

import polars as pl
import pytest
from tests.unit.moving.conftest import FIXTURES, Bring

from trivet.core.errors import Invalid
from trivet.tracking.reporting.facts import ReportedRun
from trivet.workspace.holdings import wandb_holdings
from trivet.workspace.workspace import Workspace


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "wandb" / "offline-run-20260101_000000-nv9m6602"
    (place / "files").mkdir(parents=True)
    (place / "files" / "output.log").write_text("trained\n")
    shutil.copy(FIXTURES / "run-nv9m6602.wandb", place)
    return tmp_path / "wandb"


def runs_in(workspace: Workspace, name: str) -> dict[str, ReportedRun]:
    number = workspace.tracking.experiments.by_name(name).number
    return {run.name: run for run in workspace.tracking.reported.search([number])[0]}


def test_the_log_of_a_run_comes_in_with_its_files(
    bring: Bring, folder: Path, workspace: Workspace
) -> None:
    moved = bring(wandb_holdings(folder, ""))
    assert (moved.counts.runs_new, moved.counts.files) == (1, 1)
    run = runs_in(workspace, "churn")["try-0"]
    assert run.status == "succeeded"
    assert run.parameters == {"lr": "0.1", "layers": "[1, 2]", "opt.name": "adam", "opt.b1": "0.9"}
    assert run.tags["mlflow.note.content"] == "some\nnotes"
    assert run.tags["wandb.tag.a"] == "true"
    assert run.metrics["loss"].value == pytest.approx(1 / 30)
    assert run.metrics["best"].value == 0.5  # of the summary alone
    assert math.isnan(run.metrics["odd"].value)
    assert "pic.height" not in run.metrics
    assert any(name.startswith("system/") for name in run.metrics)
    assert len(workspace.tracking.reported.metrics.history(run.id, "val.acc")) == 30
    assert bring(wandb_holdings(folder, "")).counts.runs_same == 1


def test_a_log_that_is_still_written_comes_in_as_far_as_it_is(
    bring: Bring, folder: Path, workspace: Workspace
) -> None:
    (log,) = folder.rglob("*.wandb")
    whole = log.read_bytes()
    log.write_bytes(whole[: len(whole) // 2])
    bring(wandb_holdings(folder, ""))
    assert runs_in(workspace, "churn")["try-0"].status == "running"
    log.write_bytes(whole)
    moved = bring(wandb_holdings(folder, ""))
    assert (moved.counts.runs_new, moved.counts.runs_changed) == (0, 1)
    run = runs_in(workspace, "churn")["try-0"]
    assert run.status == "succeeded"
    assert len(workspace.tracking.reported.metrics.history(run.id, "loss")) == 30


ROWS = [
    {
        "name": "sunny-1",
        "config": {"lr": 0.1, "opt": {"name": "adam"}, "_wandb": {}},
        "summary": {"loss": 0.5, "_step": 9, "acc": 0.9},
    },
    {"name": "rainy-2", "config": {"lr": 0.2}, "summary": {"loss": "NaN"}},
]


@pytest.mark.parametrize(
    "ending", ["csv", "python.csv", "json", "jsonl", "columns.json", "parquet"]
)
def test_a_table_of_runs_comes_in_from_every_form(
    ending: str, bring: Bring, tmp_path: Path, workspace: Workspace
) -> None:
    path = tmp_path / f"project.{ending}"
    texts = [
        {k: v if isinstance(v, str) else json.dumps(v) for k, v in row.items()} for row in ROWS
    ]
    if ending == "csv":
        pl.DataFrame(texts).write_csv(path)
    elif ending == "python.csv":
        pl.DataFrame([{k: str(v) for k, v in row.items()} for row in ROWS]).write_csv(path)
    elif ending == "json":
        path.write_text(json.dumps(ROWS))
    elif ending == "jsonl":
        path.write_text("\n".join(map(json.dumps, ROWS)))
    elif ending == "columns.json":
        path.write_text(
            json.dumps({k: {str(i): r[k] for i, r in enumerate(ROWS)} for k in ROWS[0]})
        )
    else:
        pl.DataFrame(texts).write_parquet(path)
    assert bring(wandb_holdings(path, "tables")).counts.runs_new == 2
    assert bring(wandb_holdings(path, "tables")).counts.runs_same == 2
    runs = runs_in(workspace, "tables")
    assert runs["sunny-1"].parameters == {"lr": "0.1", "opt.name": "adam"}
    assert {k: v.value for k, v in runs["sunny-1"].metrics.items()} == {"loss": 0.5, "acc": 0.9}
    assert runs["sunny-1"].metrics["loss"].step == 9
    assert math.isnan(runs["rainy-2"].metrics["loss"].value)


def test_the_table_of_the_page_comes_in(bring: Bring, tmp_path: Path, workspace: Workspace) -> None:
    path = tmp_path / "export.csv"
    path.write_text(
        '"Name","State","Notes","User","Tags","Created","Runtime","Sweep","model","lr","loss"\n'
        '"sunny-1","finished","","ada","a, b","2026-01-02T03:04:05Z","60","","tree","0.1","0.5"\n'
        '"rainy-2","crashed","","ada","","2026-01-02T03:04:06.000Z","1","","net","0.2",""\n'
    )
    bring(wandb_holdings(path, ""))
    runs = runs_in(workspace, "export")
    sunny = runs["sunny-1"]
    assert (sunny.user, sunny.status, runs["rainy-2"].status) == ("ada", "succeeded", "failed")
    assert sunny.parameters == {"model": "tree"}
    assert {k: v.value for k, v in sunny.metrics.items()} == {"lr": 0.1, "loss": 0.5}
    assert sunny.began_ms == 1_767_323_045_000
    assert sunny.ended_ms == sunny.began_ms + 60_000
    assert {key for key in sunny.tags if key.startswith("wandb.tag.")} == {
        *("wandb.tag.a", "wandb.tag.b"),
    }


def test_a_history_is_of_the_run_that_its_file_is_named_for(
    bring: Bring, tmp_path: Path, workspace: Workspace
) -> None:
    path = tmp_path / "sunny-1.csv"
    path.write_text("_step,_timestamp,loss,acc\n0,1700000000.5,1.0,\n1,1700000001.5,0.5,0.9\n")
    bring(wandb_holdings(path, "histories"))
    run = runs_in(workspace, "histories")["sunny-1"]
    points = workspace.tracking.reported.metrics.history(run.id, "loss")
    assert [(p.step, p.time_ms, p.value) for p in points] == [
        *((0, 1_700_000_000_500, 1.0), (1, 1_700_000_001_500, 0.5)),
    ]


def test_the_table_of_a_chart_has_a_run_in_each_column(
    bring: Bring, tmp_path: Path, workspace: Workspace
) -> None:
    path = tmp_path / "chart.csv"
    path.write_text(
        '"Step","sunny-1 - loss","sunny-1 - loss__MIN","sunny-1 - loss__MAX","rainy-2 - loss"\n'
        '"0","1.0","0.9","1.1","2.0"\n"5","0.5","0.4","0.6",""\n'
    )
    bring(wandb_holdings(path, ""))
    runs = runs_in(workspace, "chart")
    assert {name: run.metrics["loss"].value for name, run in runs.items()} == {
        "sunny-1": 0.5,
        "rainy-2": 2.0,
    }


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.json", "{"), ("a.jsonl", "[1]"), ("a.txt", "x"), ("a.parquet", "PAR1"), ("a.csv", "\0")],
)
def test_what_is_no_table_is_refused(name: str, content: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(content)
    if name == "a.csv":
        assert list(wandb_holdings(path, "").runs("a")) == []
    else:
        with pytest.raises(Invalid):
            wandb_holdings(path, "")
