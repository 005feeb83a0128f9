import shutil
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import polars as pl
import pytest

from trivet.cli.main import main
from trivet.core.errors import Conflict, Corrupt, Invalid, NotFound, TrivetError
from trivet.core.facts import HeadMove, draft
from trivet.data.facts import DataCommit
from trivet.workspace.backup import BackupFile, Manifest, back_up, check_backup, restore
from trivet.workspace.fsck import check_stores
from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace

Fill = Callable[[Workspace], None]


def content(workspace: Workspace) -> tuple[object, ...]:
    """Everything that a person would miss."""
    stores = workspace.stores
    return (
        stores.ledger.since(0, 100_000),
        stores.ledger.heads("left"),
        sorted(stores.blobs.list()),
        [record for _, record in stores.log.read("predictions")],
    )


def moved(project: Path, backup: Path, name: str = "other") -> Path:
    """A new project folder into which a backup was restored."""
    folder = project.with_name(name)
    folder.mkdir()
    shutil.copy(project / "trivet.toml", folder)
    restore(backup, folder / ".trivet")
    return folder


def test_what_is_restored_equals_what_was_backed_up(
    project: Path, tmp_path: Path, fill: Fill
) -> None:
    with open_workspace(project, actor="ada") as workspace:
        fill(workspace)
        back_up(workspace.opened, tmp_path / "backup")
        before = content(workspace)
    with open_workspace(moved(project, tmp_path / "backup")) as workspace:
        assert content(workspace) == before
        assert check_stores(workspace.stores).is_sound
        assert pl.DataFrame(workspace.data.table("customers")).height == 50


def test_the_command_backs_up_and_restores(
    project: Path, tmp_path: Path, fill: Fill, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_workspace(project, actor="ada") as workspace:
        fill(workspace)
        before = content(workspace)
    backup = tmp_path / "backup"
    assert main(["backup", str(backup), "--project", str(project)]) == 0
    shutil.move(project / ".trivet", tmp_path / "lost")
    assert main(["restore", str(backup), "--project", str(project)]) == 0
    assert main(["fsck", "--project", str(project)]) == 0
    assert "every byte was checked" in capsys.readouterr().out
    with open_workspace(project) as workspace:
        assert content(workspace) == before


def test_a_backup_holds_no_token(project: Path, tmp_path: Path, workspace: Workspace) -> None:
    (project / ".trivet" / "token").write_text("trv_secret")
    manifest = back_up(workspace.opened, tmp_path / "backup")
    assert "token" not in manifest.files
    assert not (tmp_path / "backup" / "token").exists()


def test_a_backup_and_what_is_restored_are_the_owner_s_alone(
    project: Path, tmp_path: Path, fill: Fill
) -> None:
    with open_workspace(project, actor="ada") as workspace:
        fill(workspace)
        back_up(workspace.opened, tmp_path / "backup")
    restored = moved(project, tmp_path / "backup") / ".trivet"
    for folder in (tmp_path / "backup", restored):
        open_to_others = [
            path
            for path in (folder, *folder.rglob("*"))
            if stat.S_IMODE(path.stat().st_mode) & 0o077
        ]
        assert open_to_others == []


def test_a_backup_that_is_taken_while_everything_writes_is_whole(
    project: Path, tmp_path: Path, fill: Fill
) -> None:
    acknowledged: list[str] = []
    over = threading.Event()
    with open_workspace(project, actor="ada") as workspace:
        fill(workspace)

        def write() -> None:
            number = 0
            while not over.is_set():
                digest = workspace.stores.blobs.put(b"bytes %d" % number)
                fact = draft(DataCommit(dataset="busy", source=digest))
                head = HeadMove(name="data/busy", to=fact.id)
                workspace.stores.ledger.commit(workspace.scope.batch("write", [fact], heads=[head]))
                workspace.stores.log.append("predictions", [b"record %d" % number])
                acknowledged.append(fact.id)
                number += 1

        writers = [threading.Thread(target=write) for _ in range(2)]
        for writer in writers:
            writer.start()
        try:
            for number in range(3):
                before = list(acknowledged)
                backup = tmp_path / f"backup-{number}"
                back_up(workspace.opened, backup)
                check_copy(moved(project, backup, f"other-{number}"), before)
        finally:
            over.set()
            for writer in writers:
                writer.join()
    assert len(acknowledged) > 3


def check_copy(folder: Path, acknowledged: list[str]) -> None:
    with open_workspace(folder) as copy:
        assert check_stores(copy.stores).is_sound
        # What was acknowledged before the backup began is in it.
        assert all(copy.stores.ledger.get(fact) is not None for fact in acknowledged)


def test_a_backup_never_overwrites(tmp_path: Path, workspace: Workspace) -> None:
    target = tmp_path / "backup"
    target.mkdir()
    (target / "precious").write_text("mine")
    with pytest.raises(Conflict, match="not empty"):
        back_up(workspace.opened, target)
    assert [item.name for item in target.iterdir()] == ["precious"]


def test_a_backup_lies_outside_of_what_it_copies(workspace: Workspace) -> None:
    with pytest.raises(Invalid, match="inside the workspace"):
        back_up(workspace.opened, workspace.opened.folder / "blobs" / "backup")


def test_a_restore_never_overwrites(project: Path, tmp_path: Path, workspace: Workspace) -> None:
    back_up(workspace.opened, tmp_path / "backup")
    with pytest.raises(Conflict, match="exists"):
        restore(tmp_path / "backup", project / ".trivet")


@pytest.fixture
def backup(project: Path, tmp_path: Path, fill: Fill) -> Path:
    with open_workspace(project, actor="ada") as workspace:
        fill(workspace)
        back_up(workspace.opened, tmp_path / "backup")
    return tmp_path / "backup"


def refused(backup: Path, target: Path) -> TrivetError:
    """The error of a restore, which must leave nothing behind."""
    with pytest.raises(TrivetError) as caught:
        restore(backup, target / ".trivet")
    assert list(target.iterdir()) == []
    return caught.value


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


def test_a_flipped_bit_in_any_file_of_a_backup_is_refused_by_name(
    backup: Path, empty: Path
) -> None:
    names = sorted(check_backup(backup).files)
    for name in (names[0], names[len(names) // 2], names[-1]):
        path = backup / name
        keep = path.read_bytes()
        path.write_bytes(keep[:-1] + bytes([keep[-1] ^ 1]))
        error = refused(backup, empty)
        assert isinstance(error, Corrupt)
        assert name in error.message
        path.write_bytes(keep)
    assert check_backup(backup)


def test_a_file_that_is_missing_is_refused(backup: Path, empty: Path) -> None:
    name = sorted(check_backup(backup).files)[3]
    (backup / name).unlink()
    assert name in refused(backup, empty).message


def test_a_line_that_is_missing_from_the_manifest_is_noticed(backup: Path, empty: Path) -> None:
    manifest = check_backup(backup)
    files = dict(list(manifest.files.items())[1:])
    shorter = msgspec.structs.replace(manifest, files=files)
    (backup / "backup.json").write_bytes(msgspec.json.encode(shorter))
    assert "not as it was sealed" in refused(backup, empty).message


def test_a_backup_that_did_not_finish_is_none(backup: Path, empty: Path) -> None:
    (backup / "backup.json").unlink()
    error = refused(backup, empty)
    assert isinstance(error, NotFound)
    assert "no finished backup" in error.message


def test_a_manifest_that_cannot_be_read_is_refused(backup: Path, empty: Path) -> None:
    (backup / "backup.json").write_bytes(b"{")
    assert isinstance(refused(backup, empty), Corrupt)


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname", "token", "pipeline.py"])
def test_a_manifest_cannot_name_what_is_no_part_of_a_workspace(
    backup: Path, empty: Path, name: str
) -> None:
    from trivet.workspace.backup import _seal

    files = {name: BackupFile(digest="b3:" + "0" * 64, size_bytes=1)}
    manifest = check_backup(backup)
    forged = Manifest(format=1, made=manifest.made, files=files, seal=_seal(files))
    (backup / "backup.json").write_bytes(msgspec.json.encode(forged))
    assert isinstance(refused(backup, empty), (Corrupt, Invalid))


def test_a_restore_that_was_cut_short_is_done_again_from_the_start(
    backup: Path, empty: Path
) -> None:
    leftover = empty / ".trivet.restoring"
    leftover.mkdir()
    (leftover / "half").write_text("half")
    restore(backup, empty / ".trivet")
    assert [item.name for item in empty.iterdir()] == [".trivet"]
    assert not (empty / ".trivet" / "half").exists()
