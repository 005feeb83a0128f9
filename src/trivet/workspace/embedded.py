"""The embedded stores: opened together, and what their folder allows one process at a time.

The libraries behind them are loaded when the stores are opened, and heavy ones when first used.
"""

import os
import shutil
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from threading import Lock
from typing import cast

import msgspec

from trivet.core.catalog import Catalog
from trivet.core.disk import FILE_MODE, lock, try_lock
from trivet.core.errors import Conflict
from trivet.core.ports import Stores, Tables, Views
from trivet.core.work import Workers
from trivet.workspace.settings import Settings


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """The embedded stores, and how to close and copy what needs more than files."""

    stores: Stores
    workers: Workers
    folder: Path
    close: Callable[[], None]
    backup_ledger: Callable[[Path], Path]
    mend_columns: Callable[[], int]
    """Writes the catalog's columns again where they differ from its documents; says how many."""
    hold_merges: Callable[[], AbstractContextManager[None]]
    """Keeps segments as they are, in all processes, while it is entered."""


def open_embedded(folder: Path, settings: Settings) -> Opened:
    """Open the embedded stores of a folder that is of the present format.

    Args:
        folder: The workspace's own folder (`.trivet`); stores that are not there are made.
        settings: What the project's `trivet.toml` says.

    Raises:
        Unavailable: The folder cannot be written.
    """
    from trivet.adapters.files.blobs import FileBlobs
    from trivet.adapters.files.log import FileLog
    from trivet.adapters.files.series import FileSeries
    from trivet.adapters.process.pool import ProcessPool
    from trivet.adapters.sqlite.database import open_database

    database = open_database(folder / "ledger")
    log = FileLog(folder / "log", buffer_bytes=settings.serving.buffer_mib << 20)
    series = FileSeries(folder / "series")
    stores = Stores(
        ledger=database.ledger,
        journal=database.journal,
        views=database.views,
        catalog=database.catalog,
        series=series,
        blobs=FileBlobs(folder / "blobs"),
        tables=cast("Tables", _Later(lambda: _tables(folder))),
        log=log,
    )

    workers = ProcessPool(folder / "environments")

    def close() -> None:
        workers.close()
        log.close()
        series.close()
        database.close()

    return Opened(
        stores=stores,
        workers=workers,
        folder=folder,
        close=close,
        backup_ledger=database.backup,
        mend_columns=database.mend_columns,
        hold_merges=series.hold_merges,
    )


class Scratch(msgspec.Struct, frozen=True, kw_only=True):
    """Empty projections to work in."""

    catalog: Catalog
    views: Views


@contextmanager
def scratch_stores(folder: Path) -> Generator[Scratch]:
    """Open an empty catalog and views beside the stores, for one process at a time.

    Nothing of them stays.

    Args:
        folder: The workspace's own folder.

    Raises:
        Conflict: Another process has it open (code `rebuilding`).
    """
    from trivet.adapters.sqlite.database import open_database

    fd = os.open(folder / "rebuilding.lock", os.O_RDWR | os.O_CREAT, FILE_MODE)
    try:
        if not try_lock(fd):
            raise Conflict(
                "another process rebuilds the catalog already",
                code="rebuilding",
                hint="Wait until it is done.",
            )
        place = folder / "rebuilding"
        shutil.rmtree(place, ignore_errors=True)  # left behind by one that was killed
        with open_database(place) as database:
            yield Scratch(catalog=database.catalog, views=database.views)
        shutil.rmtree(place)
    finally:
        os.close(fd)


@contextmanager
def only_collector(folder: Path) -> Generator[None]:
    """Let no other process collect garbage, and none make a backup, meanwhile.

    Args:
        folder: The workspace's own folder.

    Raises:
        Conflict: Another process does (code `collecting`).
    """
    with _locking(folder) as fd:
        if not try_lock(fd):
            raise Conflict(
                "another process collects garbage or makes a backup",
                code="collecting",
                hint="Wait until it is done.",
            )
        yield


@contextmanager
def no_collector(folder: Path) -> Generator[None]:
    """Let nothing that a fact names be removed meanwhile; wait for a collector that is at it."""
    with _locking(folder) as fd:
        lock(fd, shared=True)
        yield


@contextmanager
def _locking(folder: Path) -> Generator[int]:
    fd = os.open(folder / "collecting.lock", os.O_RDWR | os.O_CREAT, FILE_MODE)
    try:
        yield fd
    finally:
        os.close(fd)


def _tables(folder: Path) -> Tables:
    from trivet.adapters.delta.tables import DeltaTables

    return DeltaTables(folder / "tables")


class _Later:
    """Stands for a store whose library is heavy, and opens it when it is first used."""

    def __init__(self, make: Callable[[], object]) -> None:
        self._make = make
        self._lock = Lock()
        self._made: object | None = None

    def __getattr__(self, name: str) -> object:
        with self._lock:
            if self._made is None:
                self._made = self._make()
        return getattr(self._made, name)
