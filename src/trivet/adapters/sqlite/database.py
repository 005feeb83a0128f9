"""The database file: made whole or not at all, led to the newest format, backed up while in use."""

import contextlib
import os
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import apsw

from trivet.adapters.sqlite.anchors import Anchor, Anchors
from trivet.adapters.sqlite.catalog import SqliteCatalog
from trivet.adapters.sqlite.catalog_checks import mend_blocks
from trivet.adapters.sqlite.connection import execute, open_connection, pragma, told_apart
from trivet.adapters.sqlite.journal import SqliteJournal
from trivet.adapters.sqlite.ledger import SqliteLedger
from trivet.adapters.sqlite.readers import Readers
from trivet.adapters.sqlite.session import Session
from trivet.adapters.sqlite.still import check_still, open_reader
from trivet.adapters.sqlite.views import SqliteViews
from trivet.adapters.sqlite.writer import Writer
from trivet.core.disk import sync_folder
from trivet.core.errors import Conflict, Invalid, Unsupported
from trivet.core.ids import new_id

FILE_NAME: Final = "ledger.db"
APPLICATION_ID: Final = 0x54525654  # "TRVT"
_BLOCKS_AT_ONCE: Final = 50
_HERE = files("trivet.adapters.sqlite")


class Database:
    """The four ports over one file. Make it with `open_database`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._readers = Readers(path)
        self._writer = Writer(path)
        self.ledger = SqliteLedger(self._writer, self._readers)
        self.journal = SqliteJournal(self._writer, self._readers)
        self.views = SqliteViews(self._writer, self._readers)
        self.catalog = SqliteCatalog(self._writer, self._readers)

    def backup(self, folder: Path) -> Path:
        """Copy one consistent state into another folder, while writers go on.

        Returns:
            The copy, which `open_database(folder)` opens. It is complete and synced, or absent.

        Raises:
            Conflict: The folder holds a ledger already.
            Unavailable: The disk is full.
        """
        return _backup(self.path, folder)

    def mend_columns(self) -> int:
        """Write the columns of documents again where they differ; return how many blocks did.

        Others may write meanwhile.
        """
        mended, last = 0, 0
        while True:
            found, seen = self._writer.do(
                lambda session, after=last: mend_blocks(session, after, _BLOCKS_AT_ONCE)
            )
            mended += found
            if seen is None:
                return mended
            last = seen

    def close(self) -> None:
        """Finish what was submitted and let go of the file."""
        self._readers.close()
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_database(folder: Path | str) -> Database:
    """Open the ledger of a folder, making folder and file when they do not exist.

    Any number of processes and threads may have it open at once.

    Raises:
        Invalid: The file is no ledger.
        Unsupported: It was made by a newer Trivet, or apsw lacks what the ledger needs.
        Corrupt: Its first page is damaged.
        Unavailable: The folder cannot be written.
    """
    path = Path(folder) / FILE_NAME
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _create(path)
    _migrate(path)
    return Database(path)


def migrations() -> list[Traversable]:
    """Return the migration scripts in their order; the last one's number is the format's."""
    scripts = (_HERE / "migrations").iterdir()
    return sorted((item for item in scripts if item.name.endswith(".sql")), key=lambda x: x.name)


def _version_of(script: Traversable) -> int:
    return int(script.name[:4])


def _create(path: Path) -> None:
    """Make the file under another name and link it into place, so that nobody sees half of one."""
    fresh = path.with_name(f"{path.name}.{new_id()}.new")
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with contextlib.closing(_open_empty(fresh)) as connection, told_apart(fresh):
            with connection:
                execute(connection, (_HERE / "schema.sql").read_text(encoding="utf-8"))
                pragma(connection, "application_id", APPLICATION_ID)
                pragma(connection, "user_version", _version_of(migrations()[-1]))
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        # They stand before the first commit: their absence later means that they were removed.
        Anchors(path.parent).create()
        # Another process may have been quicker; its file is as good.
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)
    sync_folder(path.parent)


def _open_empty(path: Path) -> apsw.Connection:
    return open_connection(path, writes=True, creates=True)


def _migrate(path: Path) -> None:
    scripts = migrations()
    newest = _version_of(scripts[-1])
    # Read-only: closing a writer would move the whole write-ahead log into the database.
    reader, stamp = open_reader(path)
    with contextlib.closing(reader) as connection, told_apart(path):
        application = pragma(connection, "application_id")
        found = pragma(connection, "user_version")
    check_still(path, stamp)
    if application != APPLICATION_ID:
        raise Invalid(
            f"{path.name} is not a Trivet ledger",
            code="no-ledger",
            hint="Name the folder of a workspace, or an empty one.",
        )
    if found > newest:
        raise Unsupported(
            f"{path.name} has format {found}, made by a newer Trivet; expected at most {newest}",
            code="newer-format",
            hint="Upgrade: pip install --upgrade trivet",
        )
    if found < newest:
        with contextlib.closing(open_connection(path, writes=True)) as connection, told_apart(path):
            _lead_on(connection, scripts)


def _lead_on(connection: apsw.Connection, scripts: list[Traversable]) -> None:
    """Run the missing scripts in one transaction; who comes second finds nothing left to do."""
    execute(connection, "BEGIN EXCLUSIVE")
    with connection:
        found = pragma(connection, "user_version")
        for script in scripts:
            if _version_of(script) > found:
                execute(connection, script.read_text(encoding="utf-8"))
                pragma(connection, "user_version", _version_of(script))
    execute(connection, "COMMIT")


def _backup(source: Path, folder: Path) -> Path:
    target = folder / FILE_NAME
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = target.with_name(f"{target.name}.{new_id()}.new")
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with (
            contextlib.closing(open_connection(source, writes=False)) as reader,
            contextlib.closing(_open_empty(fresh)) as copy,
            told_apart(fresh),
        ):
            with copy.backup("main", reader, "main") as step:
                # All pages in one step: a reader's snapshot, which no writer waits for.
                step.step(-1)
            copy.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            session = Session(copy)
            (commit,) = session.one("counter") or (0,)
            number, digest, _ = session.one("last_link") or (0, bytes(32), 0)
        anchors = Anchors(folder)
        anchors.create()
        os.link(fresh, target)
        anchors.write(Anchor(commit=commit, link=number, hash=digest))
    except FileExistsError:
        raise Conflict(
            f"the folder of the backup holds a {target.name} already",
            code="backup-exists",
            hint="Name an empty folder.",
        ) from None
    finally:
        fresh.unlink(missing_ok=True)
    sync_folder(folder)
    return target
