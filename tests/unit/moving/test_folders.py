"""Importing from MLflow's folders."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.moving.conftest import Bring

from trivet.core.errors import Invalid, NotFound
from trivet.workspace.holdings import mlflow_holdings
from trivet.workspace.workspace import Workspace

pytest.importorskip("yaml")
Unpack = Callable[[str], Path]


def test_a_folder_that_was_moved_comes_in_with_its_files(
    bring: Bring, unpacked: Unpack, workspace: Workspace
) -> None:
    folder = unpacked("mlruns-2.22")
    moved = bring(mlflow_holdings(str(folder), []))
    assert (moved.counts.runs_new, moved.counts.versions, moved.left) == (13, 2, ())
    again = bring(mlflow_holdings(str(folder), []))
    assert (again.counts.runs_new, again.counts.runs_same, again.counts.files) == (0, 13, 0)
    assert workspace.tracking.experiments.by_name("gone").stage == "deleted"
    number = workspace.tracking.experiments.by_name("beta ünï 2").number
    assert number > 10**17  # as it was called there
    runs, _ = workspace.tracking.reported.search([number])
    run = next(run for run in runs if run.tags.get("mlflow.user") == "user0")
    assert {item.name for item in workspace.tracking.artifacts.list(f"run:{run.id}")} == {
        *("deep", "model"),
    }


def test_new_points_files_and_tags_are_seen(
    bring: Bring, unpacked: Unpack, workspace: Workspace
) -> None:
    folder = unpacked("mlruns-2.22")
    bring(mlflow_holdings(str(folder), []))
    run = next(path for path in folder.glob("*/*") if (path / "metrics" / "loss").is_file())
    with (run / "metrics" / "loss").open("a") as lines:
        lines.write("1700000099000 0.25 77\n1700000099001 torn")
    (run / "tags" / "late").write_text("yes")
    (run / "artifacts").mkdir(exist_ok=True)
    (run / "artifacts" / "new.txt").write_text("new")
    moved = bring(mlflow_holdings(str(folder), []))
    assert (moved.counts.runs_changed, moved.counts.points, moved.counts.files) == (1, 1, 1)
    assert any("no point" in remark for remark in moved.remarks)
    found = workspace.tracking.reported.get(run.name)
    assert (found.metrics["loss"].step, found.tags["late"]) == (77, "yes")


def test_what_cannot_be_read_is_left_out_and_told(bring: Bring, unpacked: Unpack) -> None:
    folder = unpacked("mlruns-2.22")
    metas = [path for path in folder.glob("*/*/meta.yaml") if (path.parent / "params").is_dir()]
    metas[0].write_text("status: [1, 2")
    metas[1].write_text("- a list")
    moved = bring(mlflow_holdings(str(folder), []))
    assert moved.counts.runs_new == 11
    assert sum("is left out" in remark for remark in moved.remarks) == 2


def test_a_folder_without_experiments_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(Invalid, match="no experiments"):
        mlflow_holdings(str(tmp_path / "empty"), [])
    with pytest.raises(NotFound):
        mlflow_holdings(str(tmp_path / "none"), [])
