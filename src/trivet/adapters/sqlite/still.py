"""Reading while a full disk leaves no room even for the index of the write-ahead log.

SQLite makes that index, a file of 32 KiB, when the first connection opens a ledger. Where it
cannot, nobody else has the ledger open; and if the log is empty too, the database file is all there
is. It can then be read as a file that nobody changes, for as long as nobody does.
"""

import contextlib
from pathlib import Path

import apsw

from trivet.adapters.sqlite.connection import is_full, open_connection, pragma, told_apart
from trivet.core.errors import Unavailable

Stamp = tuple[int, int, int]


def open_reader(path: Path) -> tuple[apsw.Connection, Stamp | None]:
    """Open a ledger for reading.

    Returns:
        The connection, and None; or where the disk is full, the state of the file in which it may
        be read, see `is_as_it_was`.

    Raises:
        Unavailable: The file cannot be opened, or the disk is full and the log is not empty.
    """
    connection = open_connection(path, writes=False)
    try:
        with told_apart(path):
            pragma(connection, "schema_version")  # opens the index
    except BaseException as error:
        connection.close()
        cause = error.__cause__
        stamp = _stamp(path) if isinstance(cause, apsw.Error) and is_full(cause) else None
        if stamp is None:
            raise
        return open_connection(path, writes=False, is_still=True), stamp
    return connection, None


def check_still(path: Path, stamp: Stamp | None) -> None:
    """Check that what was read from a file that nobody changes was not changed meanwhile.

    Raises:
        Unavailable: It was.
    """
    if stamp is not None and not is_as_it_was(path, stamp):
        raise Unavailable(
            f"{path.name} was changed while it was read without a lock, on a full disk",
            code="changed-meanwhile",
            hint="Try again.",
        )


def is_as_it_was(path: Path, stamp: Stamp) -> bool:
    """Whether a file is as it was, and its log is empty still."""
    return _stamp(path) == stamp


def _stamp(path: Path) -> Stamp | None:
    """Return the state of the database file; None when its log is not empty."""
    with contextlib.suppress(FileNotFoundError):
        if path.with_name(f"{path.name}-wal").stat().st_size:
            return None
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
