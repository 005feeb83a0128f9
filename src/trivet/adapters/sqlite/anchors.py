"""Anchors: the last commits, noted outside the database, so that a lost tail is noticed.

SQLite takes a damaged frame of its write-ahead log for the harmless end of an interrupted write
and drops all that follows. After each durable commit its number and the chain's last link are
written here, without a sync: a database that ends before its last anchor has lost something.

The file is a ring of slots of 64 bytes: number of the commit, of the link, the link's hash, CRC-32.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

_RECORD = struct.Struct("<QQ32s")
_CHECK = struct.Struct("<I")
SLOT_BYTES: Final = 64
SLOTS: Final = 256
_PADDING: Final = bytes(SLOT_BYTES - _RECORD.size - _CHECK.size)
_EMPTY: Final = bytes(SLOT_BYTES)


class Anchor(msgspec.Struct, frozen=True, kw_only=True):
    """One durable commit: its number, and the chain's last link as it stood then."""

    commit: int
    link: int
    hash: bytes


class Anchors:
    """The ring of a folder; written by one thread of each process."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "anchors"

    def create(self) -> None:
        """Make an empty ring, durably; one that exists stays as it is."""
        self.path.touch(mode=0o600, exist_ok=True)
        with self.path.open("r+b", buffering=0) as ring:
            if os.fstat(ring.fileno()).st_size < SLOTS * SLOT_BYTES:
                ring.truncate(SLOTS * SLOT_BYTES)
            os.fsync(ring.fileno())

    def write(self, anchor: Anchor) -> None:
        """Note a commit that is durable. Not synced: it may only ever say too little."""
        record = _RECORD.pack(anchor.commit, anchor.link, anchor.hash)
        slot = record + _CHECK.pack(zlib.crc32(record)) + _PADDING
        if not self.path.exists():
            self.create()
        with self.path.open("r+b", buffering=0) as ring:
            ring.seek(anchor.commit % SLOTS * SLOT_BYTES)
            ring.write(slot)

    def read(self) -> Iterator[Anchor | int]:
        """Yield every anchor, and the number of each slot that is damaged."""
        try:
            ring = self.path.read_bytes()
        except FileNotFoundError:
            return
        if len(ring) != SLOTS * SLOT_BYTES:
            yield len(ring) // SLOT_BYTES
        for number in range(len(ring) // SLOT_BYTES):
            slot = ring[number * SLOT_BYTES : (number + 1) * SLOT_BYTES]
            if slot == _EMPTY:
                continue
            record, rest = slot[: _RECORD.size], slot[_RECORD.size :]
            commit, link, digest = _RECORD.unpack(record)
            if rest == _CHECK.pack(zlib.crc32(record)) + _PADDING and commit % SLOTS == number:
                yield Anchor(commit=commit, link=link, hash=digest)
            else:
                yield number

    def last(self) -> Anchor | None:
        """Return the newest anchor that can be read."""
        sound = [item for item in self.read() if isinstance(item, Anchor)]
        return max(sound, key=lambda anchor: anchor.commit, default=None)
