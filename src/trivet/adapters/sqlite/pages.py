"""The raw bytes: every page of the database file and every frame of the write-ahead log.

The database file is read through SQLite's own file layer. To open and close it in any other way
would drop this process's POSIX locks on it, and with them its protection from other writers.
"""

import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import apsw

from trivet.adapters.sqlite.connection import PAGE_BYTES, execute
from trivet.core.ports import Damage

_CHUNK_PAGES: Final = 256
_ATTEMPTS: Final = 4
_HINT: Final = "Restore a backup."
_LOG_HEADER: Final = struct.Struct(">8I")
_FRAME_HEADER: Final = struct.Struct(">6I")
_FRAME_BYTES: Final = _FRAME_HEADER.size + PAGE_BYTES
_BIG_ENDIAN_MAGIC: Final = 0x377F0683
_MASK: Final = 0xFFFF_FFFF


def damaged_pages(connection: apsw.Connection, path: Path) -> Iterator[Damage]:
    """Yield each page of the file whose checksum does not match, free pages included.

    A page that stands in the write-ahead log, too, is read from there and will be written anew: a
    power cut during a checkpoint may have torn it without harm.
    """
    flags = [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READONLY, 0]
    file = apsw.VFSFile("", str(path), flags)
    try:
        size = file.xFileSize()
        if size % PAGE_BYTES:
            yield _damage(path.name, "ends in the middle of a page")
        for place, page in _pages(file, size // PAGE_BYTES):
            if _is_sound(connection, page) or _settles(connection, file, place):
                continue
            if place + 1 not in _logged_pages(connection, path):
                yield _damage(f"page {place + 1} of {path.name}", "does not match its checksum")
    finally:
        file.xClose()


def _pages(file: apsw.VFSFile, count: int) -> Iterator[tuple[int, bytes]]:
    for first in range(0, count, _CHUNK_PAGES):
        pages = min(_CHUNK_PAGES, count - first)
        chunk = file.xRead(pages * PAGE_BYTES, first * PAGE_BYTES)
        for at in range(pages):
            yield first + at, chunk[at * PAGE_BYTES : (at + 1) * PAGE_BYTES]


def _is_sound(connection: apsw.Connection, page: bytes) -> bool:
    return execute(connection, "SELECT verify_checksum(?)", (page,)).fetchone() == (1,)


def _settles(connection: apsw.Connection, file: apsw.VFSFile, place: int) -> bool:
    """Look again: a checkpoint may have been writing the page while it was read."""
    for _ in range(_ATTEMPTS):
        time.sleep(0.01)
        if _is_sound(connection, file.xRead(PAGE_BYTES, place * PAGE_BYTES)):
            return True
    return False


def damaged_frames(connection: apsw.Connection, path: Path) -> Iterator[Damage]:
    """Yield the first frame in use of the write-ahead log that does not match its checksum.

    Frames behind the last one in use are leftovers, and harmless.
    """
    log = path.with_name(path.name + "-wal")
    for _ in range(_ATTEMPTS):
        in_use, _ = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
        if in_use <= 0 or not log.exists():
            return
        salts = _salts(log)
        sound = _sound_frames(log, in_use)
        if sound >= in_use:
            return
        if (
            salts == _salts(log)
            and in_use <= connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)[0]
        ):
            yield _damage(
                f"frame {sound + 1} of {log.name}",
                "does not match its checksum: a crash would lose it and all that follow",
            )
            return


def _logged_pages(connection: apsw.Connection, path: Path) -> set[int]:
    """Return the numbers of the pages that stand in the write-ahead log."""
    in_use, _ = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
    log = path.with_name(path.name + "-wal")
    if in_use <= 0 or not log.exists():
        return set()
    with log.open("rb") as file:
        pages: set[int] = set()
        for number in range(in_use):
            file.seek(_LOG_HEADER.size + number * _FRAME_BYTES)
            pages.add(int.from_bytes(file.read(4), "big"))
    return pages


def _salts(log: Path) -> bytes:
    with log.open("rb") as file:
        return file.read(_LOG_HEADER.size)[16:24]


def _sound_frames(log: Path, limit: int) -> int:
    """Count the frames from the log's beginning whose salts and running checksum match.

    Source: sqlite.org/fileformat2.html, sections 4.1 to 4.3.
    """
    with log.open("rb") as file:
        header = file.read(_LOG_HEADER.size)
        if len(header) < _LOG_HEADER.size:
            return 0
        magic, _, page_bytes, _, salt_1, salt_2, *stated = _LOG_HEADER.unpack(header)
        order = ">" if magic == _BIG_ENDIAN_MAGIC else "<"
        words = struct.Struct(f"{order}{PAGE_BYTES // 4}I")
        sums = _sum(struct.unpack(f"{order}6I", header[:24]), (0, 0))
        if page_bytes != PAGE_BYTES or list(sums) != stated:
            return 0
        for number in range(limit):
            frame = file.read(_FRAME_BYTES)
            if len(frame) < _FRAME_BYTES:
                return number
            _, _, *frame_salts = _FRAME_HEADER.unpack(frame[: _FRAME_HEADER.size])[:4]
            sums = _sum(struct.unpack(f"{order}2I", frame[:8]), sums)
            sums = _sum(words.unpack(frame[_FRAME_HEADER.size :]), sums)
            stated_sums = struct.unpack(">2I", frame[16:24])
            if frame_salts != [salt_1, salt_2] or sums != stated_sums:
                return number
    return limit


def _sum(words: tuple[int, ...], start: tuple[int, int]) -> tuple[int, int]:
    first, second = start
    numbers = iter(words)
    for even, odd in zip(numbers, numbers, strict=True):
        first = (first + even + second) & _MASK
        second = (second + odd + first) & _MASK
    return first, second


def _damage(name: str, problem: str) -> Damage:
    return Damage(store="ledger", name=name, problem=problem, hint=_HINT)
