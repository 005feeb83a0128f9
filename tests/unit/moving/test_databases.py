"""Importing from MLflow's databases, of versions 2.22 and 3.17."""

import json
import math
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.moving.conftest import Bring

from trivet.core.catalog import Compare
from trivet.core.errors import Invalid, NotFound, Unsupported
from trivet.moving.facts import ImportEnded
from trivet.moving.wishes import Wishes
from trivet.tracking.reporting.facts import ReportedRun
from trivet.workspace.holdings import mlflow_holdings
from trivet.workspace.workspace import Workspace

RUNS = 13

Change = Callable[..., None]


def uri(path: Path) -> str:
    return f"sqlite:///{path}"


def runs_in(workspace: Workspace, name: str) -> list[ReportedRun]:
    number = workspace.tracking.experiments.by_name(name).number
    return list(workspace.tracking.reported.search([number])[0])


def all_runs(workspace: Workspace) -> dict[str, ReportedRun]:
    experiments, _ = workspace.tracking.experiments.search()
    found = (run for each in experiments for run in runs_in(workspace, each.name))
    return {run.id: run for run in found}


def test_runs_come_in_once_with_all_they_said(
    bring: Bring, database: Path, workspace: Workspace
) -> None:
    first = bring(mlflow_holdings(uri(database), []))
    assert (first.counts.experiments, first.counts.runs_new) == (4, RUNS)
    before = all_runs(workspace)
    again = bring(mlflow_holdings(uri(database), []))
    assert (again.counts.runs_new, again.counts.runs_same, again.counts.points) == (0, RUNS, 0)
    assert {id: repr(run) for id, run in all_runs(workspace).items()} == {
        id: repr(run) for id, run in before.items()
    }
    by_name = {run.name: run for run in before.values()}
    run = by_name["run-0002"]
    assert (run.status, run.user, run.began_ms, run.ended_ms) == (
        *("cancelled", run.user, 1_700_000_002_000, 1_700_000_007_000),
    )
    assert run.parameters["long"] == "x" * 502
    assert run.tags["note"] == "text\nwith lines ' \" ünï"
    assert run.metrics["odd"].value == 2.0
    assert math.isnan(by_name["run-0007"].metrics["odd"].value)
    assert len(workspace.tracking.reported.metrics.history(run.id, "loss")) == 20


def test_what_was_deleted_stays_deleted(bring: Bring, database: Path, workspace: Workspace) -> None:
    bring(mlflow_holdings(uri(database), []))
    assert workspace.tracking.experiments.by_name("gone").stage == "deleted"
    stages = {run.name: run.stage for run in all_runs(workspace).values()}
    assert stages["run-0010"] == "deleted"
    assert stages["run-0001"] == "active"


def test_new_points_and_runs_arrive_with_the_next_import(
    bring: Bring, database: Path, workspace: Workspace, change: Change
) -> None:
    bring(mlflow_holdings(uri(database), []))
    run = runs_in(workspace, "alpha")[0]
    change("INSERT INTO metrics VALUES ('loss', 7.5, 5, ?, 99, 0)", run.id)
    change("UPDATE runs SET status = 'FAILED' WHERE run_uuid = ?", run.id)
    change("INSERT INTO tags VALUES ('late', 'yes', ?)", run.id)
    moved = bring(mlflow_holdings(uri(database), []))
    assert (moved.counts.runs_changed, moved.counts.points) == (1, 1)
    now = workspace.tracking.reported.get(run.id)
    assert (now.status, now.tags["late"], now.metrics["loss"].step) == ("failed", "yes", 99)
    found, _ = workspace.tracking.reported.search(
        [now.experiment], Compare("metrics.loss", "=", 7.5)
    )
    assert [each.id for each in found] == [run.id]


def test_what_was_changed_here_stays_while_nothing_changed_there(
    bring: Bring, database: Path, workspace: Workspace
) -> None:
    bring(mlflow_holdings(uri(database), []))
    run = runs_in(workspace, "alpha")[0]
    workspace.tracking.reported.delete(run.id)
    bring(mlflow_holdings(uri(database), []))
    assert workspace.tracking.reported.get(run.id).stage == "deleted"


def test_a_dry_run_counts_and_writes_nothing(
    bring: Bring, database: Path, workspace: Workspace
) -> None:
    moved = bring(mlflow_holdings(uri(database), []), Wishes(is_dry=True))
    assert moved.counts.runs_new == RUNS
    assert [e.name for e in workspace.tracking.experiments.search()[0]] == ["Default"]


def test_only_the_experiments_that_were_named_come_in(
    bring: Bring, database: Path, workspace: Workspace
) -> None:
    bring(mlflow_holdings(uri(database), []), Wishes(experiments=("alpha",)))
    names = {each.name for each in workspace.tracking.experiments.search()[0]}
    assert names == {"Default", "alpha"}
    with pytest.raises(NotFound, match="no experiment named beta"):
        bring(mlflow_holdings(uri(database), []), Wishes(experiments=("beta",)))


def test_experiments_keep_their_numbers_unless_they_are_taken(
    bring: Bring, database: Path, workspace: Workspace
) -> None:
    own = workspace.tracking.experiments.make("own")
    assert own.number == 1
    moved = bring(mlflow_holdings(uri(database), []))
    numbers = {e.name: e.number for e in workspace.tracking.experiments.search()[0]}
    assert (numbers["own"], numbers["beta ünï 2"]) == (1, 2)
    assert numbers["alpha"] not in {0, 1, 2}
    assert any("'alpha'" in remark for remark in moved.remarks)
    assert workspace.tracking.experiments.make("later").number not in numbers.values()


def test_an_experiment_that_was_renamed_there_is_the_same_one_here(
    bring: Bring, database: Path, workspace: Workspace, change: Change
) -> None:
    bring(mlflow_holdings(uri(database), []))
    number = workspace.tracking.experiments.by_name("alpha").number
    change("UPDATE experiments SET name = 'omega' WHERE name = 'alpha'")
    bring(mlflow_holdings(uri(database), []))
    assert workspace.tracking.experiments.by_name("omega").number == number
    with pytest.raises(NotFound):
        workspace.tracking.experiments.by_name("alpha")


def test_names_versions_and_aliases_come_with_their_numbers(
    bring: Bring, database: Path, workspace: Workspace
) -> None:
    moved = bring(mlflow_holdings(uri(database), []))
    assert (moved.counts.registered_models, moved.counts.versions) == (2, 2)
    again = bring(mlflow_holdings(uri(database), []))
    assert again.counts.versions == 0
    # A version that is registered later gets the next number, though 2 was deleted there.
    heads = {head.name for head in workspace.stores.ledger.heads("moved", "model/forest")}
    assert heads == {"model/forest", "model/forest@champion", "model/forest@next"}


def test_an_import_leaves_a_fact_of_what_it_brought(
    bring: Bring, database: Path, workspace: Workspace
) -> None:
    bring(mlflow_holdings(uri(database), []))
    page = workspace.stores.ledger.find(ImportEnded.KIND, where={"source": uri(database)})
    assert len(page.entries) == 1


def test_unknown_columns_are_left_alone_and_missing_ones_refused(
    bring: Bring, database: Path, change: Change
) -> None:
    change("ALTER TABLE runs ADD COLUMN from_the_future TEXT DEFAULT 'x'")
    change("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    assert bring(mlflow_holdings(uri(database), [])).counts.runs_new == RUNS
    change("ALTER TABLE metrics RENAME COLUMN step TO pace")
    with pytest.raises(Unsupported, match="columns metrics step"):
        mlflow_holdings(uri(database), [])


def test_what_is_no_database_of_mlflow_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        mlflow_holdings("sqlite:///" + str(tmp_path / "none.db"), [])
    (tmp_path / "text.db").write_text("this is no database of anything, and long enough to tell")
    with pytest.raises(Invalid, match="is no database"):
        mlflow_holdings("sqlite:///" + str(tmp_path / "text.db"), [])
    with pytest.raises(Invalid, match="mysql"):
        mlflow_holdings("mysql://somewhere/mlflow", [])


def test_odd_keys_times_and_texts_are_kept_in_a_form_that_can_be(
    bring: Bring, database: Path, workspace: Workspace, change: Change
) -> None:
    run = "0123456789abcdef0123456789abcdef"
    change(
        "INSERT INTO runs (run_uuid, name, user_id, status, start_time, lifecycle_stage, "
        "artifact_uri, experiment_id) VALUES (?, 'odd', 'u', 'STRANGE', -5, 'active', '', 0)",
        run,
    )
    for key, value in (("a(b)", 1.0), ("a_b_", 2.0), ("../x", 3.0)):
        change("INSERT INTO metrics VALUES (?, ?, -7, ?, 0, 0)", key, value, run)
    change("INSERT INTO params VALUES ('p(q)', ?, ?)", "y" * 200_000, run)
    moved = bring(mlflow_holdings(uri(database), []))
    found = workspace.tracking.reported.get(run)
    assert (found.status, found.began_ms, len(found.parameters["p_q_"])) == ("failed", 0, 100_000)
    assert {item.value for item in found.metrics.values()} == {1.0, 2.0, 3.0}
    assert found.metrics["a_b_"].time_ms == 0
    assert len(moved.remarks) >= 4


def test_an_address_outside_of_the_allowed_folders_is_not_read(
    bring: Bring, database: Path, workspace: Workspace, change: Change, tmp_path: Path
) -> None:
    run = "0123456789abcdef0123456789abcdef"
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "key").write_text("secret")
    root = tmp_path / "mlruns" / "1" / run / "artifacts"
    root.mkdir(parents=True)
    (root / "plain.txt").write_text("fine")
    (root / "link").symlink_to(tmp_path / "secrets" / "key")
    statement = (
        "INSERT INTO runs (run_uuid, name, user_id, status, start_time, lifecycle_stage, "
        "artifact_uri, experiment_id) VALUES (?, 'odd', 'u', 'FINISHED', 5, 'active', ?, 1)"
    )
    change(statement, run, str(root))
    change(statement, "1" * 32, str(tmp_path / "secrets"))
    change(statement, "2" * 32, f"file://{root}/../../../../secrets")
    change(statement, "3" * 32, "s3://bucket/3/artifacts")
    moved = bring(mlflow_holdings(uri(database), []))
    artifacts = workspace.tracking.artifacts
    assert [item.name for item in artifacts.list(f"run:{run}")] == ["plain.txt"]
    for hostile in ("1" * 32, "2" * 32, "3" * 32):
        assert artifacts.list(f"run:{hostile}") == ()
        assert f"run:{hostile}" in {left.owner for left in moved.left}
    # Clients with the right to a bucket still reach it; paths of a machine are not handed on.
    runs = workspace.tracking.reported
    assert runs.get("3" * 32).location == "s3://bucket/3/artifacts"
    assert runs.get("1" * 32).location.startswith("mlflow-artifacts:/")


_KILLED = """
import os, signal, sys
from pathlib import Path
from trivet.moving.wishes import Wishes
from trivet.workspace.holdings import mlflow_holdings
from trivet.workspace.workspace import open as open_workspace
import trivet.moving.bringing as bringing

bringing._AT_ONCE = 2
left = int(sys.argv[3])
holdings = mlflow_holdings(sys.argv[2], [])
points = holdings.points

def counted(runs):
    global left
    for chunk in points(runs):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        yield chunk

holdings.points = counted
with open_workspace(sys.argv[1]) as ws:
    ws.moving.bring(holdings, Wishes(), lambda _: None)
"""


@pytest.mark.crash
@pytest.mark.parametrize("after", [0, 7, 23])
def test_an_import_that_was_killed_is_completed_by_the_next(
    after: int, bring: Bring, database: Path, workspace: Workspace
) -> None:
    words = [sys.executable, "-c", _KILLED, str(workspace.folder), uri(database), str(after)]
    paths = os.pathsep.join(path for path in sys.path if path)
    killed = subprocess.run(words, env={**os.environ, "PYTHONPATH": paths}, check=False)
    assert killed.returncode == -9
    moved = bring(mlflow_holdings(uri(database), []))
    assert moved.counts.runs_new + moved.counts.runs_same == RUNS
    runs = all_runs(workspace)
    assert len(runs) == RUNS
    for run in runs.values():
        if "loss" in run.metrics:
            assert len(workspace.tracking.reported.metrics.history(run.id, "loss")) == 20


@pytest.mark.parametrize(("columns", "is_kept"), [(4_000, True), (40_000, False)])
def test_a_wide_schema_is_kept_and_one_that_fits_no_fact_is_told(
    database: Path, bring: Bring, workspace: Workspace, columns: int, is_kept: bool
) -> None:
    described = [{"type": "double", "name": f"column {n}"} for n in range(columns)]
    schema = json.dumps({"mlflow_colspec": described})
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE datasets SET dataset_schema = ?", (schema,))
    connection.close()
    moved = bring(mlflow_holdings(uri(database), []))
    assert any("is left out" in remark for remark in moved.remarks) is not is_kept
    inputs = [each for run in all_runs(workspace).values() for each in run.inputs]
    assert {each.schema for each in inputs} == {schema if is_kept else None}
