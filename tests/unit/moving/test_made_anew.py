"""What was imported is known again after the catalog was made anew from facts and points."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from tests.unit.moving.conftest import FIXTURES, Bring

from trivet.core.catalog import Amendment, Compare, Search
from trivet.core.clock import SystemClock
from trivet.core.errors import NotFound
from trivet.core.ports import Stores
from trivet.testing.memory_stores import memory_stores
from trivet.tracking.reporting.experiments import is_in_stage
from trivet.tracking.reporting.logged_models import LoggedModels
from trivet.tracking.reporting.model_points import LOGGED_MODELS
from trivet.tracking.reporting.points import Metrics
from trivet.tracking.retention.facts import Rule
from trivet.tracking.retention.rules import Retention
from trivet.workspace.collecting import Collector
from trivet.workspace.holdings import mlflow_holdings, tensorboard_holdings, wandb_holdings
from trivet.workspace.rebuilding import COLLECTIONS, Rebuilt, make_catalog_anew, rebuild_catalog
from trivet.workspace.registering import registry_doors
from trivet.workspace.retiring import Retiring
from trivet.workspace.workspace import Workspace

Documents = dict[tuple[str, str], bytes]


def everything(stores: Stores) -> Documents:
    """All documents; as bytes, so that NaN is the same as itself."""
    return {
        (collection, one.id): msgspec.msgpack.encode(
            msgspec.to_builtins(one), order="deterministic"
        )
        for collection in COLLECTIONS
        for one in stores.catalog.search(Search(collection=collection, limit=50_000)).documents
    }


def wipe(stores: Stores) -> None:
    gone = [Amendment(collection=kind, id=id, remove=True) for kind, id in everything(stores)]
    stores.catalog.write(gone)


def mended(report: Rebuilt) -> tuple[int, int, int]:
    return report.added, report.changed, report.removed


def test_a_rebuild_finds_nothing_to_mend_after_an_import(
    bring: Bring, database: Path, workspace: Workspace
) -> None:
    bring(mlflow_holdings(f"sqlite:///{database}", []))
    before = everything(workspace.stores)
    report = make_catalog_anew(workspace.opened, "somebody")
    assert (mended(report), report.troubles, report.files) == ((0, 0, 0), (), 0)
    assert everything(workspace.stores) == before


def test_a_lost_catalog_comes_back_and_the_next_import_brings_nothing_twice(
    bring: Bring, database: Path, workspace: Workspace
) -> None:
    bring(mlflow_holdings(f"sqlite:///{database}", []))
    before = everything(workspace.stores)
    wipe(workspace.stores)
    rebuild_catalog(workspace.stores, memory_stores().catalog)
    assert everything(workspace.stores) == before
    again = bring(mlflow_holdings(f"sqlite:///{database}", []))
    counts = again.counts
    assert (counts.runs_new, counts.runs_changed, counts.points, counts.versions) == (0, 0, 0, 0)
    assert everything(workspace.stores) == before


def test_what_changed_there_between_imports_is_made_again_as_it_came(
    bring: Bring, database: Path, workspace: Workspace, change: Callable[..., None]
) -> None:
    own = workspace.tracking.experiments.make("alpha")  # begun here, and later than there
    bring(mlflow_holdings(f"sqlite:///{database}", []))
    run = workspace.tracking.reported.search([own.number])[0][0].id
    change("INSERT INTO metrics VALUES ('loss', 7.5, 5, ?, 99, 0)", run)
    change("INSERT INTO params VALUES ('late', '12', ?)", run)
    change("UPDATE runs SET lifecycle_stage = 'deleted' WHERE run_uuid = ?", run)
    change(
        "UPDATE experiments SET name = 'omega', lifecycle_stage = 'deleted' WHERE name = 'alpha'"
    )
    change("UPDATE registered_models SET description = 'other', last_updated_time = 1800000000000")
    change("UPDATE model_versions SET current_stage = 'Archived', description = 'old'")
    bring(mlflow_holdings(f"sqlite:///{database}", []))
    before = everything(workspace.stores)
    report = rebuild_catalog(workspace.stores, memory_stores().catalog)
    assert (mended(report), report.troubles) == ((0, 0, 0), ())
    wipe(workspace.stores)
    rebuild_catalog(workspace.stores, memory_stores().catalog)
    assert everything(workspace.stores) == before


def test_what_was_changed_here_stays_after_a_rebuild(
    bring: Bring, database: Path, workspace: Workspace
) -> None:
    bring(mlflow_holdings(f"sqlite:///{database}", []))
    number = workspace.tracking.experiments.by_name("alpha").number
    run = workspace.tracking.reported.search([number])[0][0].id
    workspace.tracking.reported.delete(run)
    wipe(workspace.stores)
    rebuild_catalog(workspace.stores, memory_stores().catalog)
    bring(mlflow_holdings(f"sqlite:///{database}", []))
    assert workspace.tracking.reported.get(run).stage == "deleted"


def logged_models(workspace: Workspace) -> LoggedModels:
    own = workspace.tracking
    stores, scope = workspace.stores, workspace.scope
    return LoggedModels(stores, scope, own.experiments, Metrics(stores), SystemClock())


def collect(workspace: Workspace, days: float) -> None:
    """Remove for good whatever was deleted, as of so many days from now."""
    experiments = workspace.tracking.experiments
    retiring = Retiring(
        workspace.stores,
        experiments,
        Retention(workspace.stores, workspace.scope, experiments),
        workspace.scope.project,
        now=datetime.now(UTC) + timedelta(days=days),
        override=Rule(trash_days=1),
    )
    Collector(workspace.stores, workspace.scope, experiments, retiring, grace_s=0).collect()


def test_what_was_removed_here_for_good_is_left_out_and_told(
    bring: Bring, database: Path, workspace: Workspace, change: Callable[..., None]
) -> None:
    bring(mlflow_holdings(f"sqlite:///{database}", []))
    number = workspace.tracking.experiments.by_name("alpha").number
    found, _ = workspace.tracking.reported.search([number], is_in_stage("active"))
    gone, other = found[:2]
    workspace.tracking.reported.delete(gone.id)
    for kind, id in everything(workspace.stores):
        if kind == LOGGED_MODELS:
            logged_models(workspace).delete(id)
    collect(workspace, 2)
    before = everything(workspace.stores)
    assert ("runs", gone.id) not in before
    change("UPDATE runs SET status = 'FAILED' WHERE run_uuid = ?", other.id)
    moved = bring(mlflow_holdings(f"sqlite:///{database}", []))
    assert any(gone.id in remark for remark in moved.remarks)
    assert (moved.counts.runs_new, moved.counts.points) == (0, 0)
    assert workspace.tracking.reported.get(other.id).status == "failed"
    assert everything(workspace.stores).keys() == before.keys()


def test_a_version_that_was_deleted_here_stays_deleted(
    bring: Bring, database: Path, workspace: Workspace
) -> None:
    bring(mlflow_holdings(f"sqlite:///{database}", []))
    _, versions = registry_doors(workspace.stores, workspace.scope)
    versions.delete("forest", 1)
    bring(mlflow_holdings(f"sqlite:///{database}", []))
    with pytest.raises(NotFound):
        versions.get("forest", 1)


def test_folders_event_files_and_logs_are_known_again(
    bring: Bring, unpacked: Callable[[str], Path], tmp_path: Path, workspace: Workspace
) -> None:
    folder, events = unpacked("mlruns-2.22"), unpacked("events")
    logs = tmp_path / "wandb" / "run-1"
    logs.mkdir(parents=True)
    (logs / "run-nv9m6602.wandb").write_bytes((FIXTURES / "run-nv9m6602.wandb").read_bytes())

    def bring_all() -> list[int]:
        each = (
            mlflow_holdings(str(folder), []),
            tensorboard_holdings(events, "events"),
            wandb_holdings(logs.parent, "logs"),
        )
        return [moved.counts.runs_new for moved in map(bring, each)]

    assert all(bring_all())
    before = everything(workspace.stores)
    wipe(workspace.stores)
    rebuild_catalog(workspace.stores, memory_stores().catalog)
    assert everything(workspace.stores) == before
    assert bring_all() == [0, 0, 0]
    assert everything(workspace.stores).keys() == before.keys()


def test_runs_of_experiments_with_great_numbers_are_found(
    bring: Bring, database: Path, workspace: Workspace, change: Callable[..., None]
) -> None:
    great = 987_654_321_012_345_678
    change("PRAGMA foreign_keys = OFF")
    for table in ("experiments", "runs", "experiment_tags"):
        change(f"UPDATE {table} SET experiment_id = ? WHERE experiment_id = 1", great)  # noqa: S608
    bring(mlflow_holdings(f"sqlite:///{database}", []))
    workspace.tracking.experiments.make("own")
    groups = workspace.tracking.experiments.groups()
    assert f"moved/{great}" in groups
    assert len(groups) == len(set(groups))
    wanted = Search(collection="runs", groups=tuple(groups), where=Compare("stage", "=", "active"))
    found = workspace.stores.catalog.search(wanted).documents
    assert any(one.group == f"moved/{great}" for one in found)
