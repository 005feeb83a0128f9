"""The workspace's own folder: owner-only, and marked with the version of its format."""

import json
import os
from collections.abc import Callable
from pathlib import Path

from trivet.core.disk import FILE_MODE, put_file, translated, try_lock
from trivet.core.errors import Corrupt, Unavailable, Unsupported

_MARK = "format.json"
_LOCK = "upgrade.lock"


def claim_folder(folder: Path, version: int) -> int:
    """Make the folder when it is not there, and return the version of what is in it.

    Args:
        folder: The workspace's own folder.
        version: The one that is written here.

    Raises:
        Unsupported: It was written by a newer Trivet.
        Corrupt: It holds stores but no readable mark of its format.
        Unavailable: It cannot be made or written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mark = folder / _MARK
        if not mark.exists():
            # The mark comes before any store: with both, another process was quicker just now.
            if (folder / "ledger").exists() and not mark.exists():
                raise Corrupt(
                    f"{folder} holds stores but no {_MARK}",
                    code="no-format",
                    hint="Restore the folder from a backup: `trivet restore`.",
                )
            _write(mark, version)
    except OSError as error:
        raise Unavailable(
            f"the workspace folder {folder} cannot be written: {error.strerror or error}",
            code="no-folder",
            hint="Make the folder writable by its owner.",
        ) from error
    return _read(mark, version)


def upgrade_folder(folder: Path, version: int, upgrade: Callable[[int], None]) -> None:
    """Bring what is in the folder to a version, in one process at a time.

    Args:
        folder: The workspace's own folder, claimed.
        version: The one to bring it to.
        upgrade: Told the version found. It may have been interrupted before, and begins again.

    Raises:
        Unavailable: Another process is at it, or the folder cannot be written.
    """
    with translated("upgrading the workspace"):
        fd = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, FILE_MODE)
    try:
        if not try_lock(fd):
            raise Unavailable(
                f"another process brings {folder} to format {version}",
                code="upgrading",
                hint="Try again when it is done.",
            )
        found = _read(folder / _MARK, version)
        if found < version:
            upgrade(found)
            _write(folder / _MARK, version)
    finally:
        os.close(fd)


def _write(mark: Path, version: int) -> None:
    put_file(mark, json.dumps({"format": version}).encode())


def _read(mark: Path, version: int) -> int:
    try:
        found = json.loads(mark.read_bytes())["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise Corrupt(f"{mark} cannot be read", code="no-format") from error
    if not isinstance(found, int) or found > version:
        raise Unsupported(
            f"{mark.parent} was written in format {found}; this Trivet reads up to {version}",
            code="newer-format",
            hint="Install the newer Trivet that wrote it.",
        )
    return found
