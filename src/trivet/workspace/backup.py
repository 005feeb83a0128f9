"""Backup and restore: plain files with a manifest of digests, taken while everything runs.

The order makes it consistent. Bytes are stored before the fact that names them, and never change
afterwards; so the ledger is copied first, and everything its facts name is still there to be
copied after it. What arrives meanwhile is extra, and harmless. Logs may be cut at any record.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from trivet.core.disk import put_file, sync_file, sync_folder
from trivet.core.errors import Conflict, Corrupt, Invalid, NotFound, Unavailable
from trivet.core.ids import sha256_hex
from trivet.core.trees import split_path
from trivet.workspace.stores import FORMAT
from trivet.workspace.wiring import Opened, digest_file, no_collector

_MANIFEST = "backup.json"
_COPIED = ("blobs", "tables", "series", "log")
_HELD = frozenset({*_COPIED, "ledger", "format.json"})


class BackupFile(msgspec.Struct, frozen=True):
    """One file of a backup."""

    digest: str
    size_bytes: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds. `seal` covers the list, so that a missing line is noticed."""

    format: int
    made: datetime
    files: dict[str, BackupFile]
    seal: str


def back_up(opened: Opened, target: Path, on_file: Callable[[str], None] | None = None) -> Manifest:
    """Copy a workspace into a new folder, durably, and write the manifest last.

    Args:
        opened: The open stores; writers may go on.
        target: A folder that does not exist yet or is empty.
        on_file: Told the name of each file as it is copied.

    Raises:
        Invalid: The target lies inside the workspace.
        Conflict: The target holds something.
        Unavailable: The target cannot be written, or is full. What was copied stays, without a
            manifest: `restore` refuses it.
    """
    if target.is_relative_to(opened.folder):
        raise Invalid(
            f"{target} lies inside the workspace that is to be copied",
            code="bad-target",
            hint="Name a folder elsewhere, best on another disk.",
        )
    _demand_empty(target)
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        # What the copied ledger names must be there until it is copied, too.
        with no_collector(opened.folder):
            _copy_stores(opened, target, on_file or _silent)
        files = {
            str(path.relative_to(target)): BackupFile(*digest_file(path))
            for path in _files(target, (".",))
        }
        for path in _files(target, (".",)):
            sync_file(path)
        for folder in _folders(target):
            sync_folder(folder)
        manifest = Manifest(format=FORMAT, made=datetime.now(UTC), files=files, seal=_seal(files))
        put_file(target / _MANIFEST, msgspec.json.encode(manifest))
    except OSError as error:
        raise Unavailable(
            f"the backup could not be written: {error}",
            code="no-backup",
            hint="Free space or choose another folder; the workspace itself is untouched.",
        ) from error
    return manifest


def _copy_stores(opened: Opened, target: Path, tell: Callable[[str], None]) -> None:
    opened.backup_ledger(target / "ledger")
    _copy(opened.folder / "format.json", target / "format.json")
    # A merge would take segments away, and change the list of them, between two copies.
    with opened.hold_merges():
        for source in _files(opened.folder, _COPIED):
            relative = source.relative_to(opened.folder)
            tell(str(relative))
            _copy(source, target / relative)


def restore(source: Path, folder: Path, on_file: Callable[[str], None] | None = None) -> Manifest:
    """Restore a backup into a folder that does not exist yet; every byte is checked first.

    Args:
        source: A folder that `back_up` wrote.
        folder: The workspace's own folder (`.trivet`) to make.
        on_file: Told the name of each file as it is copied.

    Raises:
        NotFound: There is no backup in `source`.
        Corrupt: A file is missing or not as it was backed up. Nothing is restored then.
        Conflict: The folder exists.
    """
    manifest = check_backup(source)
    if folder.exists():
        raise Conflict(
            f"{folder} exists",
            code="folder-exists",
            hint="Move it away first; a restore never overwrites.",
        )
    tell: Callable[[str], None] = on_file or _silent
    scratch = folder.with_name(f"{folder.name}.restoring")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o700, parents=True)
    for name in manifest.files:
        tell(name)
        _copy(source / name, scratch / name)
        sync_file(scratch / name)
    for part in _folders(scratch):
        sync_folder(part)
    scratch.rename(folder)
    sync_folder(folder.parent)
    return manifest


def check_backup(source: Path) -> Manifest:
    """Read a backup's manifest and check every file against it.

    Raises:
        NotFound: There is no manifest: no backup, or one that did not finish.
        Corrupt: The manifest or a file is damaged; the message names it.
    """
    try:
        manifest = msgspec.json.decode((source / _MANIFEST).read_bytes(), type=Manifest)
    except FileNotFoundError as error:
        raise NotFound(
            f"{source} holds no finished backup",
            code="no-backup",
            hint="Make one: `trivet backup`.",
        ) from error
    except msgspec.DecodeError as error:
        raise Corrupt(f"the manifest in {source} cannot be read: {error}") from error
    if manifest.seal != _seal(manifest.files):
        raise Corrupt(f"the manifest in {source} is not as it was sealed")
    for name, file in manifest.files.items():
        # A backup may come from a stranger: it may name what a workspace consists of, as plain
        # relative paths, and nothing beside it.
        if split_path(name)[0] not in _HELD or (source / name).is_symlink():
            raise Corrupt(
                f"the manifest names {name!r}, which is no part of a workspace", code="bad-backup"
            )
        path = source / name
        if not path.is_file() or digest_file(path) != (file.digest, file.size_bytes):
            raise Corrupt(
                f"{name} is missing or not as it was backed up",
                code="bad-backup",
                hint="Restore another backup.",
            )
    return manifest


def _silent(name: str) -> None:
    del name


def _demand_empty(target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Conflict(
            f"{target} is not empty", code="folder-exists", hint="Name a folder that is not there."
        )


def _files(folder: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    for part in parts:
        for base, folders, names in os.walk(folder / part):
            folders.sort()
            yield from (Path(base) / name for name in sorted(names))


def _folders(folder: Path) -> Iterator[Path]:
    for base, _, _ in os.walk(folder):
        yield Path(base)


def _copy(source: Path, target: Path) -> None:
    _make_private(target.parent)
    try:
        shutil.copyfile(source, target)
    except FileNotFoundError:
        # A temporary file that its writer renamed: whoever needs its bytes was not acknowledged
        # when the ledger was copied.
        return
    target.chmod(0o600)


def _make_private(folder: Path) -> None:
    # `mkdir(parents=True)` would give the folders above this one the default rights.
    if not folder.exists():
        _make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _seal(files: dict[str, BackupFile]) -> str:
    return sha256_hex(*(f"{name} {f.digest} {f.size_bytes}".encode() for name, f in files.items()))
