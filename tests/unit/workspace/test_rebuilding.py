"""The catalog made again from facts and points says what was written live, whatever happened."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.workspace.living_project import CODE, MACHINE, Project

from trivet.adapters.sqlite.connection import execute, open_connection
from trivet.cli.main import main
from trivet.core.catalog import Amendment, Document, Search
from trivet.core.errors import Conflict, TrivetError
from trivet.core.facts import HeadMove, Scope, draft
from trivet.core.ports import Damage, Row, Stores
from trivet.models.documents import REGISTERED, VERSIONS
from trivet.models.facts import ModelVersion, Signature
from trivet.models.names import head_of
from trivet.testing.memory_stores import memory_stores
from trivet.tracking.facts import RunFinished, RunStarted
from trivet.tracking.finding import Finder
from trivet.tracking.reporting.documents import RUNS
from trivet.tracking.reporting.points import CURSORS
from trivet.tracking.reporting.runs import Opening
from trivet.tracking.shelves import ROWS
from trivet.tracking.webhooks.announcing import WEBHOOKS
from trivet.workspace.fsck import check_stores
from trivet.workspace.rebuilding import (
    COLLECTIONS,
    Rebuilt,
    make_catalog_anew,
    rebuild_catalog,
    register_names,
)
from trivet.workspace.reshelving import reshelve
from trivet.workspace.wiring import scratch_stores
from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace

Documents = dict[tuple[str, str], Document]
SOURCE: Final = Path(__file__).parents[3] / "src"
FIXTURE: Final = Path(__file__).parents[2] / "fixtures" / "format-1"


def everything(stores: Stores) -> Documents:
    return {
        (collection, document.id): document
        for collection in COLLECTIONS
        for document in stores.catalog.search(Search(collection=collection, limit=50_000)).documents
    }


def plain(found: Documents) -> dict[tuple[str, str], bytes]:
    """As bytes, so that NaN is the same as itself."""
    return {
        key: msgspec.msgpack.encode(msgspec.to_builtins(one), order="deterministic")
        for key, one in found.items()
    }


def rebuilt(stores: Stores) -> Rebuilt:
    return rebuild_catalog(stores, memory_stores().catalog)


def wipe(stores: Stores, *, but: tuple[str, ...] = ()) -> None:
    for collection, identifier in everything(stores):
        if collection not in but:
            stores.catalog.write([Amendment(collection=collection, id=identifier, remove=True)])


def ledger_damages(workspace: Workspace) -> list[Damage]:
    damages = check_stores(workspace.stores).damages
    return [damage for damage in damages if damage.store == "ledger"]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_is_made_again_is_what_was_written(seed: int) -> None:
    stores = memory_stores()
    Project(stores, seed).live(120)
    Project(stores, seed + 1, "trains").live(20)
    written = everything(stores)
    report = rebuilt(stores)
    assert (report.added, report.changed, report.removed, report.troubles) == (0, 0, 0, ())
    assert report.documents == len(written)
    assert plain(everything(stores)) == plain(written)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_whatever_is_damaged_is_mended(seed: int) -> None:
    stores, chance = memory_stores(), random.Random(seed)
    Project(stores, seed).live(80)
    written = everything(stores)
    damaged = 0
    for collection, identifier in written:
        change = Amendment(collection=collection, id=identifier, set={"odd": 1.0}, note={"x": 1})
        gone = Amendment(collection=collection, id=identifier, remove=True)
        elsewhere = Amendment(collection=collection, id=identifier, group="elsewhere")
        choices = [change, elsewhere] if collection == WEBHOOKS else [change, gone, elsewhere]
        if chance.random() < 0.4:
            stores.catalog.write([chance.choice(choices)])
            damaged += 1
    for collection in COLLECTIONS:
        extra = Amendment(collection=collection, id="nobody", group="flights", set={"stage": "x"})
        stores.catalog.write([extra])
    report = rebuilt(stores)
    assert plain(everything(stores)) == plain(written)
    assert (report.added + report.changed, report.removed) == (damaged, len(COLLECTIONS))
    again = rebuilt(stores)
    assert (again.added, again.changed, again.removed) == (0, 0, 0)


def test_a_lost_catalog_is_made_again_with_the_latest_points(stores: Stores) -> None:
    project = Project(stores, 7).live(150)
    run = project.runs.open(Opening()).id
    project.do_points()
    written = everything(stores)
    wipe(stores, but=(WEBHOOKS,))
    stores.catalog.write([Amendment(collection=CURSORS, id="metrics", remove=True)])
    rebuilt(stores)
    found = everything(stores)
    assert (RUNS, run) in found
    assert plain(found).keys() == plain(written).keys()


def test_a_place_in_the_points_that_is_none_is_set_right(stores: Stores) -> None:
    Project(stores, 3).live(60)
    written = everything(stores)
    odd = Amendment(collection=CURSORS, id="metrics", note={"position": "nonsense"})
    stores.catalog.write([odd])
    assert rebuilt(stores).troubles == ()
    assert plain(everything(stores)) == plain(written)


def test_web_hooks_keep_their_secrets_and_a_lost_one_is_named(stores: Stores) -> None:
    project = Project(stores, 1)
    for _ in range(3):
        project.do_hook()
    before = {k: d for k, d in everything(stores).items() if k[0] == WEBHOOKS}
    lost = min(before)
    stores.catalog.write([Amendment(collection=WEBHOOKS, id=lost[1], remove=True)])
    report = rebuilt(stores)
    assert [lost[1] in trouble for trouble in report.troubles] == [True]
    after = {k: d for k, d in everything(stores).items() if k[0] == WEBHOOKS}
    assert plain(after) == plain({k: d for k, d in before.items() if k != lost})


def test_what_facts_of_older_formats_say_is_found(stores: Stores) -> None:
    """Runs and packages as they were recorded before there were documents and names."""
    scope = Scope(project="flights", actor="eve")
    started = RunStarted(name="train", parameters={"n": 3}, code=CODE, environment=MACHINE)
    begin = draft(started)
    end = draft(
        RunFinished(run=begin.id, status="succeeded", seconds=1, metrics={"auc": 0.9}),
        parents=[begin.id],
    )
    package = draft(
        ModelVersion(
            name="churn", version=1, package="b3:" + "2" * 64, size_bytes=1, flavour="f",
            signature=Signature(inputs=(), task="binary", target="y"), run=begin.id,
            verdict="0" * 32,
        )
    )  # fmt: skip
    moves = [HeadMove(name=head_of("churn"), to=package.id)]
    stores.ledger.commit(scope.batch("as it was", [begin, end, package], heads=moves))
    assert register_names(stores.ledger, "ada") == 1
    assert register_names(stores.ledger, "ada") == 0
    rebuilt(stores)
    found = everything(stores)
    run = found[RUNS, begin.id]
    assert run.attributes["metrics.auc"] == 0.9
    assert (run.attributes["status"], run.attributes["user_id"]) == ("FINISHED", "eve")
    (name,) = (document for key, document in found.items() if key[0] == REGISTERED)
    assert found[VERSIONS, f"{name.id}/1"].attributes["run_id"] == begin.id
    project = Project(stores, 1)
    assert project.versions.get("churn", 1).is_packaged
    project.names.set_alias("churn", "best", 1)
    written = everything(stores)
    rebuilt(stores)
    assert plain(everything(stores)) == plain(written)


def test_a_folder_that_is_older_than_catalogs_is_searched_like_any_other(tmp_path: Path) -> None:
    folder = tmp_path / "left"
    shutil.copytree(FIXTURE, folder)
    (folder / "stores").rename(folder / ".trivet")
    with open_workspace(folder, actor="eve") as workspace:
        own = Project(workspace.stores, 0, "left")
        finder = Finder(
            workspace.stores, Scope(project="left", actor="eve"), own.experiments, own.points
        )
        (run,) = finder.find("metrics.rows = 240").runs
        assert (run.status, run.metrics["rows"]) == ("succeeded", 240.0)
        assert own.versions.get("left", 1).run == run.id
        again = make_catalog_anew(workspace.opened, "eve")
        assert again.troubles == ()
        assert (again.names, again.added, again.changed, again.removed) == (0, 0, 0, 0)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_artifacts_are_listed_again_as_facts_say(seed: int) -> None:
    stores, chance = memory_stores(), random.Random(seed)
    files = Project(stores, seed).files
    paths = ["a", "b/c", "b/d/e", "b/f", "g"]
    for _ in range(40):
        owner, path = f"run:{chance.randrange(3)}", chance.choice(paths)
        with suppress(TrivetError):
            if chance.random() < 0.7:
                files.put(owner, path, b"%d" % chance.randrange(9))
            else:
                files.delete(owner, chance.choice([path, "b", "b/d", ""]))
    assert reshelve(stores, memory_stores().views, "ada") == 0
    written = shelved(stores)
    damaged = 0
    for row in written:
        if chance.random() < 0.5:
            key = {name: row[name] for name in ROWS.key}
            stores.views.remove(ROWS.name, key)
            if chance.random() < 0.5:
                stores.views.put(ROWS.name, [{**row, "digest": "b3:" + "0" * 64}])
            damaged += 1
    extra = {"project": "flights", "owner": "run:1", "path": "nobody's", "digest": "b3:0"}
    stores.views.put(ROWS.name, [extra])
    assert reshelve(stores, memory_stores().views, "ada") == damaged + 1
    assert shelved(stores) == written


def shelved(stores: Stores) -> list[Row]:
    return [row for row in stores.views.find(ROWS.name, limit=1000) if row["digest"]]


def test_writers_go_on_while_the_catalog_is_made_again(workspace: Workspace) -> None:
    stores = workspace.stores
    Project(stores, 11, "left").live(80)
    wipe(stores, but=(WEBHOOKS,))
    is_over = threading.Event()

    def work(seed: int) -> None:
        while not is_over.is_set():
            Project(stores, seed, f"other{seed}").live(30)
            seed += 10

    writers = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(3):
            assert make_catalog_anew(workspace.opened, "ada").troubles == ()
    finally:
        is_over.set()
        for writer in writers:
            writer.join()
    Project(stores, 0, "left").points.catch_up()
    found = everything(stores)
    report = make_catalog_anew(workspace.opened, "ada")
    assert (report.added, report.changed, report.removed) == (0, 0, 0)
    assert plain(everything(stores)) == plain(found)


@pytest.mark.crash
@pytest.mark.skipif(sys.platform != "linux", reason="kills as Linux knows them")
def test_killed_at_any_moment_and_begun_again_it_ends_the_same(project: Path) -> None:
    with open_workspace(project, actor="ada") as workspace:
        Project(workspace.stores, 5, "left").live(400)
        written = plain(everything(workspace.stores))
        wipe(workspace.stores, but=(WEBHOOKS,))
    command = [sys.executable, "-m", "trivet", "fsck", "--rebuild-catalog", "--project"]
    env = os.environ | {"PYTHONPATH": str(SOURCE), "PYTHONDONTWRITEBYTECODE": "1"}
    for lines in range(1, 8):
        child = subprocess.Popen(
            [*command, str(project)], env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert child.stderr is not None
        for _ in range(lines):
            child.stderr.readline()  # it has come so far
        child.send_signal(signal.SIGKILL)
        child.communicate()
    assert main(["fsck", "--rebuild-catalog", "--project", str(project), "--json"]) == 0
    with open_workspace(project, actor="ada") as workspace:
        assert plain(everything(workspace.stores)) == written
        assert ledger_damages(workspace) == []
    assert not (project / ".trivet" / "rebuilding").exists()


def test_damaged_columns_are_written_again(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_workspace(project, actor="ada") as workspace:
        Project(workspace.stores, 5, "left").live(60)
    # As a fault of ours would leave them: whole pages, and another content than the documents'.
    connection = open_connection(project / ".trivet" / "ledger" / "ledger.db", writes=True)
    execute(connection, "UPDATE cells SET numbers = NULL WHERE place % 3 = 0")
    execute(connection, "DELETE FROM cells WHERE place % 7 = 1")
    connection.close()
    with open_workspace(project, actor="ada") as workspace:
        assert ledger_damages(workspace)
    assert main(["fsck", "--rebuild-catalog", "--project", str(project)]) == 0
    assert "blocks of columns were damaged" in capsys.readouterr().out
    with open_workspace(project, actor="ada") as workspace:
        assert ledger_damages(workspace) == []


def test_only_one_process_makes_it_again_at_a_time(workspace: Workspace) -> None:
    with scratch_stores(workspace.opened.folder), pytest.raises(Conflict, match="rebuilds"):
        make_catalog_anew(workspace.opened, "ada")
    assert make_catalog_anew(workspace.opened, "ada").troubles == ()
