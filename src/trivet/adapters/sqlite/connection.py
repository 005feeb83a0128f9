"""Connections to the database file, its named statements, and what SQLite's errors mean.

Every connection goes through SQLite's checksum layer (`cksumvfs`): each page carries eight bytes
that are checked whenever it is read, so damaged bytes are refused, not served.
"""

import re
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import apsw
import apsw.sqlite_extra

from trivet.core.errors import Corrupt, Invalid, TrivetError, Unavailable, Unsupported

PATIENCE_MS: Final = 30_000
PAGE_BYTES: Final = 4096
CHECKSUM_BYTES: Final = 8
_VFS: Final = "cksmvfs"
_SHOWN: Final = 80
"""So many characters of a text that is no text are shown."""
_OLDEST_SQLITE: Final = (3, 51, 3)  # the first without the WAL-reset bug
_NAME_LINE = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_vfs_lock = threading.Lock()


def load_queries(text: str) -> dict[str, str]:
    """Split a file of SQL into its named statements.

    A statement begins after a line `-- name: x` and ends at its semicolon.
    """
    pieces = _NAME_LINE.split(text)
    names, bodies = pieces[1::2], pieces[2::2]
    return {
        name: body[: body.index(";") + 1].strip() for name, body in zip(names, bodies, strict=True)
    }


QUERIES: Final = load_queries(
    files("trivet.adapters.sqlite").joinpath("queries.sql").read_text(encoding="utf-8")
)


def open_connection(
    path: Path, *, writes: bool, creates: bool = False, is_still: bool = False
) -> apsw.Connection:
    """Open the file, for reading alone unless `writes`.

    Args:
        path: The file.
        writes: Whether it may be written.
        creates: Whether it may be made.
        is_still: Read it without locks and without its log; see `still`.

    Raises:
        Unavailable: The file cannot be opened.
        Unsupported: This installation's SQLite is too old or has no checksum layer.
        Invalid: The path is no UTF-8, in which alone SQLite takes it.
    """
    _check_path(path)
    _register_checksums()
    flags = apsw.SQLITE_OPEN_READWRITE if writes else apsw.SQLITE_OPEN_READONLY
    if creates:
        flags |= apsw.SQLITE_OPEN_CREATE
    name = str(path)
    if is_still:
        flags |= apsw.SQLITE_OPEN_URI
        name = f"{path.absolute().as_uri()}?immutable=1"
    with told_apart(path):
        connection = apsw.Connection(name, flags=flags, vfs=_VFS)
        try:
            _prepare(connection, writes=writes, creates=creates)
        except BaseException:
            # It may hold a lock already, which would keep others from emptying the log.
            connection.close()
            raise
    return connection


def _check_path(path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise Invalid(
            f"the path {str(path)!r} is no UTF-8; expected a folder whose name is",
            code="bad-path",
            hint="Choose another folder, or rename it.",
        ) from error


def _prepare(connection: apsw.Connection, *, writes: bool, creates: bool) -> None:
    connection.set_busy_timeout(PATIENCE_MS)
    pragma(connection, "trusted_schema", 0)
    pragma(connection, "cell_size_check", 1)
    if creates:
        pragma(connection, "page_size", PAGE_BYTES)
        connection.reserve_bytes("main", CHECKSUM_BYTES)
        pragma(connection, "journal_mode", "wal")
    if writes:
        _prepare_writer(connection)


def _prepare_writer(connection: apsw.Connection) -> None:
    pragma(connection, "synchronous", "full")
    # macOS needs its own kind of sync to reach the disk; elsewhere these are ignored.
    pragma(connection, "fullfsync", 1)
    pragma(connection, "checkpoint_fullfsync", 1)
    pragma(connection, "secure_delete", 1)
    pragma(connection, "cache_size", -65_536)
    pragma(connection, "temp_store", "memory")
    pragma(connection, "journal_size_limit", 64 << 20)
    # The writer checkpoints by itself, after it has answered.
    connection.wal_autocheckpoint(0)


Bindings = Sequence[Any] | Mapping[str, Any]


def execute(connection: apsw.Connection, statement: str, bindings: Bindings = ()) -> Any:
    """Run a statement; return its cursor.

    Raises:
        Invalid: A text among the bindings has something that is no character.
    """
    try:
        return connection.execute(statement, bindings)  # pyright: ignore[reportUnknownMemberType]  # its stub needs Python 3.12
    except UnicodeEncodeError as error:  # an argument of a program that is no UTF-8
        raise Invalid(
            f"the text {_shortened(error.object)!r} has {error.object[error.start]!r}, which is no "
            "character",
            code="bad-text",
            hint="Write it in UTF-8.",
        ) from error


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def pragma(connection: apsw.Connection, name: str, *values: str | int) -> Any:
    """Set a pragma, or read it when no value is given."""
    return connection.pragma(name, *values)  # pyright: ignore[reportUnknownMemberType]  # its stub needs Python 3.12


@contextmanager
def told_apart(path: Path) -> Generator[None]:
    """Turn SQLite's errors into errors that say what a caller can do."""
    try:
        yield
    except apsw.Error as error:
        meaning = meaning_of(error, path)
        if meaning is None:
            raise
        raise meaning from error


def meaning_of(error: apsw.Error, path: Path) -> TrivetError | None:
    """Say what an error means for the caller; None when it is a mistake of this adapter."""
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return Unavailable(
            f"the ledger {path.name} was busy for {PATIENCE_MS // 1000} s",
            code="busy",
            hint="Look for a process that holds it, then try again.",
        )
    if is_full(error):
        return Unavailable(
            f"the disk is full: {path.name} cannot grow",
            code="disk-full",
            hint="Free some space and try again; nothing that was stored is lost.",
        )
    if isinstance(error, apsw.CorruptError | apsw.NotADBError) or is_checksum_failure(error):
        return Corrupt(
            f"a page of {path.name} is not as it was written",
            code="bad-page",
            hint="Run `trivet fsck`, then restore a backup.",
        )
    if isinstance(error, apsw.IOError | apsw.CantOpenError | apsw.ReadOnlyError):
        return Unavailable(
            f"{path.name} cannot be read or written: {error}",
            code="io-error",
            hint="Check the disk and the folder's permissions, then start again.",
            detail={"extended_code": extended_code(error)},
        )
    return None


def extended_code(error: apsw.Error) -> int:
    """Return SQLite's extended result code; 0 for errors of apsw itself."""
    return getattr(error, "extendedresult", 0)


def is_full(error: apsw.Error) -> bool:
    """Tell a full disk, also when it is the index of the write-ahead log that cannot grow."""
    return isinstance(error, apsw.FullError) or extended_code(error) == apsw.SQLITE_IOERR_SHMSIZE


def is_checksum_failure(error: apsw.Error) -> bool:
    """Tell a page whose checksum does not match from other I/O errors."""
    return isinstance(error, apsw.IOError) and extended_code(error) == apsw.SQLITE_IOERR_DATA


@cache
def _register_checksums() -> None:
    version = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if version < _OLDEST_SQLITE:
        raise Unsupported(
            f"apsw brings SQLite {apsw.sqlite_lib_version()}; expected at least "
            + ".".join(map(str, _OLDEST_SQLITE)),
            code="old-sqlite",
            hint="Upgrade it: pip install --upgrade apsw",
        )
    with _vfs_lock:
        if _VFS in apsw.vfs_names():
            return
        standard = apsw.vfs_names()[0]
        carrier = apsw.Connection(":memory:")
        try:
            apsw.sqlite_extra.load(carrier, "cksumvfs")
        except (apsw.sqlite_extra.NotAvailable, LookupError, apsw.Error) as error:
            raise Unsupported(
                "this installation of apsw has no page checksums (cksumvfs)",
                code="no-checksums",
                hint="Install apsw from a wheel: pip install --only-binary apsw apsw",
            ) from error
        finally:
            carrier.close()
        # The extension makes itself everybody's default; other users of SQLite keep theirs.
        apsw.set_default_vfs(standard)
