"""The transaction log of a run, `run-*.wandb`: records of LevelDB's log format, in blocks."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from trivet.core.errors import Corrupt

_IDENTITY: Final = b":W&B"
_START: Final = 7
_BLOCK: Final = 32 << 10
_HEADER: Final = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
_MOST_BYTES: Final = 1 << 30


def read_log(path: Path) -> Iterator[bytes]:
    """Yield the records of a log that are whole; one that was cut off is its end.

    Raises:
        OSError: It cannot be read.
        Corrupt: It is no such log, or damaged; what came before was yielded.
    """
    with path.open("rb") as stream:
        start = stream.read(_START)
        if start[: len(_IDENTITY)] != _IDENTITY:
            raise Corrupt(f"{path} is no log of W&B")
        parts: list[bytes] = []
        for kind, data in _pieces(path):
            parts.append(data)
            if sum(map(len, parts[-2:])) > _MOST_BYTES or len(parts) > _MOST_BYTES // _BLOCK:
                raise Corrupt(f"{path} has a record that is too large")
            if kind in {_FULL, _LAST}:
                yield b"".join(parts)
                parts = []


def _pieces(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as stream:
        place = stream.seek(_START)
        while True:
            left = _BLOCK - place % _BLOCK
            if left < _HEADER.size:  # zeros, up to the next block
                place = stream.seek(place + left)
                continue
            header = stream.read(_HEADER.size)
            if len(header) < _HEADER.size:
                return
            checksum, length, kind = _HEADER.unpack(header)
            if kind == 0 and length == 0:
                return  # room that was taken before it was written
            data = stream.read(length)
            if len(data) < length:
                return
            if kind not in {_FULL, _FIRST, _MIDDLE, _LAST} or length > left - _HEADER.size:
                raise Corrupt(f"{path} is damaged at byte {place}")
            if zlib.crc32(data, zlib.crc32(bytes([kind]))) != checksum:
                raise Corrupt(f"{path} is damaged at byte {place}")
            yield kind, data
            place += _HEADER.size + length
