import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from trivet.cli.main import main
from trivet.core.ports import Damage
from trivet.core.trees import StoredFile, join_tree
from trivet.testing.contracts.flips import flipped
from trivet.tracking.artifacts import Artifacts
from trivet.workspace.fsck import Report, check_stores
from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace

Fill = Callable[[Workspace], None]
CORRUPT = 9


@pytest.fixture
def filled(project: Path, fill: Fill) -> Path:
    with open_workspace(project, actor="ada") as workspace:
        fill(workspace)
    return project


def check(project: Path) -> Report:
    with open_workspace(project) as workspace:
        return check_stores(workspace.stores)


def test_a_sound_workspace_is_counted_and_has_no_damage(
    filled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fsck", "--project", str(filled)]) == 0
    printed = capsys.readouterr()
    assert "nothing is damaged" in printed.out
    for store in ("ledger", "blobs", "tables", "series", "log", "references"):
        assert f"checking {store}" in printed.err
    report = check(filled)
    assert report.is_sound
    assert (report.facts >= 12, report.blobs >= 2, report.tables) == (True, True, 1)


def test_an_empty_workspace_is_sound(project: Path) -> None:
    assert check(project).is_sound


STORES = {"ledger": 5, "blobs": 4, "tables": 4, "series": 3, "log": 3}


@pytest.mark.parametrize("store", STORES)
def test_a_flipped_bit_in_any_store_is_named(
    filled: Path, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = filled / ".trivet" / store
    choose = random.Random(3)
    files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.stat().st_size > 16]
    assert files
    for _ in range(STORES[store]):
        place = choose.choice(files)
        bit = choose.randrange(8 * place.stat().st_size)
        keep = place.read_bytes()
        with flipped(place, bit):
            code = main(["fsck", "--project", str(filled)])
            printed = capsys.readouterr()
            where = f"bit {bit} of {place.relative_to(filled)}: {printed.out}{printed.err}"
            assert code == CORRUPT, where
            told = printed.out + printed.err
            assert place.name in told or store in told.replace(f"checking {store}", ""), where
        if place.read_bytes() != keep:  # a database that was opened may have been tidied up
            place.write_bytes(keep)
    assert main(["fsck", "--project", str(filled)]) == 0


def test_a_blob_that_a_fact_needs_and_nobody_holds_is_named_with_the_fact(filled: Path) -> None:
    with open_workspace(filled) as workspace:
        commit = workspace.data.latest("customers")
        tree = commit.commit.trees[0].digest
        workspace.stores.blobs.delete(tree)
        (damage,) = check_stores(workspace.stores).damages
    assert (damage.store, damage.name) == ("blobs", tree)
    assert commit.id in damage.problem
    assert "trivet restore" in damage.hint


def test_a_file_inside_a_tree_that_nobody_holds_is_named_too(filled: Path) -> None:
    with open_workspace(filled) as workspace:
        (file,) = workspace.data.files("customers", "notes").values()
        workspace.stores.blobs.delete(file.digest)
        damages = check_stores(workspace.stores).damages
    assert [damage.name for damage in damages] == [file.digest]


def test_an_artifact_is_bytes_even_if_they_look_like_a_folder(filled: Path) -> None:
    with open_workspace(filled) as workspace:
        missing = StoredFile(f"b3:{'0' * 64}", 1)
        tree = join_tree(workspace.stores.blobs, {"nowhere": missing})
        with workspace.stores.blobs.open(tree.digest) as file:
            content = file.read()
        artifacts = Artifacts(workspace.stores, workspace.scope)
        assert artifacts.put("run:1", "uploaded", content).digest == tree.digest
        other = artifacts.put("run:1", "lost", b"soon gone")
        assert check_stores(workspace.stores).is_sound
        workspace.stores.blobs.delete(other.digest)
        assert [found.name for found in check_stores(workspace.stores).damages] == [other.digest]


def test_a_table_that_a_fact_names_and_that_is_gone_is_named(filled: Path) -> None:
    shutil.rmtree(filled / ".trivet" / "tables")
    report = check(filled)
    assert any(
        damage.store == "tables" and "names it" in damage.problem for damage in report.damages
    )


def test_the_answer_for_programs_lists_every_damage(
    filled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_workspace(filled) as workspace:
        workspace.stores.blobs.delete(workspace.data.latest("customers").commit.trees[0].digest)
    assert main(["fsck", "--json", "--project", str(filled)]) == CORRUPT
    printed = capsys.readouterr()
    assert '"store": "blobs"' in printed.out
    assert printed.err == ""


def test_a_report_is_sound_exactly_when_nothing_is_damaged() -> None:
    counts = {"links": 1, "facts": 1, "blobs": 0, "tables": 0}
    assert Report(damages=(), **counts).is_sound
    damage = Damage(store="log", name="segment", problem="cut short")
    assert not Report(damages=(damage,), **counts).is_sound
