"""The record of a table's versions: which files belong to it, and what is in them.

One record per version lies in `_trivet/` beside Delta's own log. It is written last, when all
that it names is durable, and a version without one does not exist. The record of an append names
only the files it added; every 64th names all, so that no reader follows a long chain.
"""

import os
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import blake3
import msgspec

from trivet.core import disk
from trivet.core.errors import Conflict, Corrupt
from trivet.core.ports import TableVersion

FOLDER: Final = "_trivet"
LOG: Final = "_delta_log"
CHAIN: Final = 64
_LOCK: Final = "lock"
_PATIENCE_S: Final = 60.0
_BLOCK_BYTES: Final = 1 << 20


class DataFile(msgspec.Struct, frozen=True, array_like=True):
    """One Parquet file: its name in the table's folder, size, rows and BLAKE3."""

    path: str
    size_bytes: int
    rows: int
    digest: str


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What is recorded of a version."""

    described: TableVersion
    files: list[DataFile]
    """Those added since `base`; all of them when there is no base."""
    base: int | None
    log: dict[str, str]
    """Files of Delta's log that this version wrote, and their digests."""


def place_of(folder: Path, version: int) -> Path:
    """Return where the record of a version lies."""
    return folder / FOLDER / f"{version:020d}.json"


def numbers(folder: Path) -> list[int]:
    """Return the versions of a table, rising."""
    try:
        names = [place.name for place in (folder / FOLDER).iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(
        int(name.removesuffix(".json"))
        for name in names
        if name.endswith(".json") and name.removesuffix(".json").isdecimal()
    )


def read(folder: Path, version: int) -> Record | None:
    """Read the record of a version, None when there is none.

    Raises:
        Corrupt: It is damaged.
    """
    place = place_of(folder, version)
    try:
        content = place.read_bytes()
    except FileNotFoundError:
        return None
    body, _, check = content.rstrip(b"\n").rpartition(b"\n")
    if content.endswith(b"\n") and not content.endswith(b"\n\n") and check == _check(body):
        return msgspec.json.decode(body, type=Record)
    raise Corrupt(
        f"the record of version {version} of table {folder.name} is damaged",
        code="corrupt-table",
        hint="Run `trivet fsck`, then restore the table from a backup.",
    )


def files(folder: Path, record: Record) -> list[DataFile]:
    """Return all files of a version, in the order of its rows.

    Raises:
        Corrupt: A record it builds on is damaged or missing.
    """
    parts = [record.files]
    while record.base is not None:
        before = read(folder, record.base)
        if before is None:
            raise Corrupt(
                f"the record of version {record.base} of table {folder.name} is missing",
                code="corrupt-table",
                hint="Run `trivet fsck`, then restore the table from a backup.",
            )
        record = before
        parts.append(record.files)
    return [file for part in reversed(parts) for file in part]


def write(folder: Path, record: Record) -> None:
    """Write a record durably: with this the version exists."""
    body = msgspec.json.encode(record)
    place = place_of(folder, record.described.version)
    disk.put_file(place, body + b"\n" + _check(body) + b"\n")


def _check(body: bytes) -> bytes:
    return blake3.blake3(body).hexdigest().encode()


def digest_of(place: Path) -> str:
    """Hash a file."""
    state = blake3.blake3()
    with place.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK_BYTES):
            state.update(block)
    return f"b3:{state.hexdigest()}"


def digest_over(held: Sequence[DataFile]) -> str:
    """Hash a version: the names, sizes and digests of its files, sorted."""
    state = blake3.blake3()
    for file in sorted(held, key=lambda file: file.path):
        state.update(f"{file.path} {file.size_bytes} {file.digest}\n".encode())
    return f"b3:{state.hexdigest()}"


@contextmanager
def locked(folder: Path) -> Generator[None]:
    """Be the only writer of a table, among all processes and threads.

    Raises:
        Conflict: Others held it for a minute.
    """
    with disk.translated(f"locking table {folder.name}"):
        fd = os.open(folder / FOLDER / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        give_up = time.monotonic() + _PATIENCE_S
        while not disk.try_lock(fd):
            if time.monotonic() > give_up:
                raise Conflict(
                    f"table {folder.name} was being written by others all the time",
                    code="busy-table",
                    hint="Write again; write larger parts less often.",
                )
            time.sleep(0.005)
        yield
    finally:
        os.close(fd)
