"""Delta's own log: committing to it, taking back what was cut short, making it durable."""

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, cast

import arro3.core as arro3
import msgspec
import polars as pl
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Schema
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, create_table_with_add_actions

from trivet.adapters.delta import types, versions
from trivet.adapters.delta.versions import CHAIN, LOG
from trivet.core import disk
from trivet.core.errors import Conflict, Corrupt

_NUMBERED: Final = re.compile(r"(\d{20})\.(?:json|checkpoint\..*)")
_LAST_CHECKPOINT: Final = "_last_checkpoint"
_MARK: Final = "trivet"
_CONFIGURATION: Final[Mapping[str, str | None]] = {
    # Versions are named by facts: neither Delta nor another engine may clear them away.
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
    "delta.enableExpiredLogCleanup": "false",
}
_COMMIT: Final = CommitProperties(custom_metadata={_MARK: "1"}, max_commit_retries=0)
_NO_HOOKS: Final = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)


def prepare(folder: Path, version: int) -> None:
    """Take back what the log has from `version` on: nobody has recorded it.

    The caller holds the table's lock, so whoever wrote it is dead.

    Raises:
        Conflict: Another engine wrote it.
    """
    with disk.translated(f"tidying the log of table {folder.name}"):
        _take_back(folder, version)


def commit(
    folder: Path,
    version: int,
    added: list[AddAction],
    kept: Mapping[str, pl.DataType],
    mode: Literal["append", "overwrite"],
) -> dict[str, str]:
    """Commit files to the log as the given version, durably. The caller holds the table's lock.

    Returns:
        The names (in the table's folder) and digests of the files written to the log.

    Raises:
        Conflict: Another engine has written to the table.
        Corrupt: The log cannot be read.
    """
    with disk.translated(f"writing table {folder.name}"), _explained(folder):
        _commit(folder, version, added, kept, mode)
        if newest(folder) != version:
            raise _foreign(folder, newest(folder))
        if version and version % CHAIN == 0:
            DeltaTable(folder).create_checkpoint()
        return _confirm(folder, version)


def _commit(
    folder: Path,
    version: int,
    added: list[AddAction],
    kept: Mapping[str, pl.DataType],
    mode: Literal["append", "overwrite"],
) -> None:
    schema = Schema.from_arrow(_arrow_schema(kept))
    if version == 0:
        create_table_with_add_actions(
            table_uri=str(folder),
            schema=schema,
            add_actions=added,
            configuration=_CONFIGURATION,
            commit_properties=_COMMIT,
            post_commithook_properties=_NO_HOOKS,
        )
    else:
        DeltaTable(folder).create_write_transaction(
            cast("list[Any]", added),
            mode,
            schema,
            commit_properties=_COMMIT,
            post_commithook_properties=_NO_HOOKS,
        )


def newest(folder: Path) -> int:
    """Return the newest version in Delta's log, -1 when there is none."""
    try:
        names = [place.name for place in (folder / LOG).iterdir()]
    except FileNotFoundError:
        return -1
    return max((_number(name) for name in names), default=-1)


def _number(name: str) -> int:
    found = _NUMBERED.fullmatch(name)
    return int(found[1]) if found else -1


def _arrow_schema(kept: Mapping[str, pl.DataType]) -> Any:
    empty = types.store(pl.DataFrame(schema=kept), kept)
    return arro3.RecordBatchReader.from_arrow(cast("Any", empty)).schema


def _take_back(folder: Path, version: int) -> None:
    """Remove log entries from `version` on, latest first."""
    log = folder / LOG
    if not log.is_dir():
        return
    gone = sorted(
        (place for place in log.iterdir() if _number(place.name) >= version or "#" in place.name),
        reverse=True,
    )
    for place in gone:
        if place.suffix == ".json" and not _is_ours(place.read_bytes()):
            raise _foreign(folder, _number(place.name))
    hint = log / _LAST_CHECKPOINT
    if hint.exists() and _points_behind(hint.read_bytes(), version):
        gone.insert(0, hint)
    for place in gone:
        place.unlink()
    if gone:
        disk.sync_folder(log)


def _is_ours(content: bytes) -> bool:
    """Say whether a commit is Trivet's, or torn, as only an unfinished one can be."""
    try:
        actions = [msgspec.json.decode(line) for line in content.splitlines()]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return True
    return not actions or any(_MARK in action.get("commitInfo", ()) for action in actions)


def _points_behind(content: bytes, version: int) -> bool:
    try:
        return msgspec.json.decode(content, type=dict[str, Any])["version"] >= version
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError):
        return True


def _confirm(folder: Path, version: int) -> dict[str, str]:
    """Make what a version wrote to the log durable; return the files' digests."""
    log = folder / LOG
    places = [place for place in log.iterdir() if _number(place.name) == version]
    if len(places) > 1:
        places.append(log / _LAST_CHECKPOINT)
    for place in places:
        disk.sync_file(place)
    for names in (log, folder):
        disk.sync_folder(names)
    return {f"{LOG}/{place.name}": versions.digest_of(place) for place in places}


@contextmanager
def _explained(folder: Path) -> Generator[None]:
    try:
        yield
    except CommitFailedError as error:
        raise _foreign(folder, newest(folder)) from error
    except DeltaError as error:
        raise Corrupt(
            f"Delta's log of table {folder.name} cannot be read: {str(error).splitlines()[0]}",
            code="corrupt-table",
            hint="Run `trivet fsck`, then restore the table from a backup.",
        ) from error


def _foreign(folder: Path, version: int) -> Conflict:
    return Conflict(
        f"another engine has written version {version} of table {folder.name}",
        code="foreign-version",
        hint="Write those rows through Trivet, under a table name of their own.",
        detail={"table": folder.name, "version": version},
    )
