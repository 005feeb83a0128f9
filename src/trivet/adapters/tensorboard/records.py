"""Records of event files: length, checksum, bytes, checksum (TFRecord).

A file that is still written, or whose writer was killed, ends in the middle of a record; that is
its end. After a length that cannot be right nothing can be found again.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from trivet.core.errors import Corrupt

_HEADER: Final = struct.Struct("<QI")
_FOOTER: Final = struct.Struct("<I")
_LENGTH: Final = struct.Struct("<Q")
_MOST_BYTES: Final = 1 << 30
_MOST_CHECKED: Final = 1 << 18
"""Larger records are pictures and graphs; their own formats tell when they are damaged."""
_POLYNOMIAL: Final = 0x82F63B78


def _table() -> tuple[int, ...]:
    found: list[int] = []
    for number in range(256):
        value = number
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        found.append(value)
    return tuple(found)


_TABLE: Final = _table()


def masked_crc(data: bytes) -> int:
    """Return the checksum that stands beside bytes: CRC-32C, rotated and shifted.

    Example:
        >>> hex(masked_crc(b"123456789"))  # of CRC-32C 0xe3069283
        '0xc78ab0e5'
    """
    value = 0xFFFFFFFF
    for byte in data:
        value = _TABLE[(value ^ byte) & 0xFF] ^ (value >> 8)
    value ^= 0xFFFFFFFF
    return (((value >> 15) | (value << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def read_records(path: Path) -> Iterator[bytes]:
    """Yield the records of a file that are whole.

    Raises:
        OSError: It cannot be read.
        Corrupt: A length or a record is damaged; what came before it was yielded.
    """
    with path.open("rb") as stream:
        while len(header := stream.read(_HEADER.size)) == _HEADER.size:
            length, checksum = _HEADER.unpack(header)
            if masked_crc(header[: _LENGTH.size]) != checksum or length > _MOST_BYTES:
                raise Corrupt(f"{path} is damaged at byte {stream.tell() - _HEADER.size}")
            data = stream.read(length)
            footer = stream.read(_FOOTER.size)
            if len(data) < length or len(footer) < _FOOTER.size:
                return
            if length <= _MOST_CHECKED and masked_crc(data) != _FOOTER.unpack(footer)[0]:
                raise Corrupt(f"{path} is damaged before byte {stream.tell()}")
            yield data
