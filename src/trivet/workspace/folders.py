"""The workspace's own folder: owner-only, and marked with the version of its format."""

import json
from pathlib import Path

from trivet.core.disk import put_file
from trivet.core.errors import Corrupt, Unavailable, Unsupported

_MARK = "format.json"


def claim_folder(folder: Path, version: int) -> Path:
    """Make the folder when it is not there, and check the version of what is in it.

    Raises:
        Unsupported: It was written by a newer Trivet.
        Corrupt: It holds stores but no readable mark of its format.
        Unavailable: It cannot be made or written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mark = folder / _MARK
        if not mark.exists():
            if (folder / "ledger").exists():
                raise Corrupt(
                    f"{folder} holds stores but no {_MARK}",
                    code="no-format",
                    hint="Restore the folder from a backup: `trivet restore`.",
                )
            put_file(mark, json.dumps({"format": version}).encode())
    except OSError as error:
        raise Unavailable(
            f"the workspace folder {folder} cannot be written: {error.strerror or error}",
            code="no-folder",
            hint="Make the folder writable by its owner.",
        ) from error
    _check(mark, version)
    return folder


def _check(mark: Path, version: int) -> None:
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
