"""How the bytes of a segment lie: header, anchor, frames, seal. Format 2, little-endian.

    0    header   magic, format, process, time of creation, stream, CRC-32
    448  anchor   how many bytes and frames are known to be durable, CRC-32
    512  frames   marker, length, sequence, durable, CRC-32, payload; one after the other
    …    seal     count, times, BLAKE3 of all frames, the owner's index, CRC-32; its own place

Only a sealed segment ends with a seal. In any other the anchor, rewritten after each sync, says
how far the frames must be whole. A frame's `durable` is the anchor as it stood when the frame
was written: it tells a broken frame that had been acknowledged (damage) from one that was cut
short together with its neighbours (a torn tail, the normal end after a crash).

A frame's checksum begins with its segment's salt, so that a segment stored inside a frame is
never taken for frames of the outer one.
"""

import os
import time
from collections.abc import Iterator
from struct import Struct
from typing import Final
from zlib import crc32

import msgspec

from trivet.core.errors import Corrupt, Unsupported

FORMAT: Final = 2
BODY: Final = 512
MAX_PAYLOAD_BYTES: Final = 1 << 30

_MAGIC: Final = b"TRVTSEG\n"
_HEADER: Final = Struct("<8sHHIQQ")  # magic, format, length of stream, process, created ms, random
_HEADER_BYTES: Final = 444
_ANCHOR: Final = Struct("<QQ44x")  # length, count
_ANCHOR_AT: Final = 448
_CRC: Final = Struct("<I")
_MARK: Final = 0x5254F1A7
_MARK_BYTES: Final = _CRC.pack(_MARK)
_FRAME: Final = Struct("<IIQQI")  # marker, length, sequence, durable, crc
_FRAME_REST: Final = Struct("<IQQ")  # what the checksum covers of it
FRAME_BYTES: Final = _FRAME.size
_SEAL_MAGIC: Final = b"\nSEALED:"
_SEAL: Final = Struct("<8sQQQQ32sQ")  # magic, end of body, count, first ms, last ms, digest, index
_END: Final = Struct("<QI")  # place of the seal, salted crc
_WINDOW_BYTES: Final = 1 << 20


class Header(msgspec.Struct, frozen=True):
    """Who began the segment, when, in which format, and the salt of its checksums."""

    format: int
    stream: str
    process: int
    created_ms: int
    salt: int


class Anchor(msgspec.Struct, frozen=True):
    """How many bytes (from the file's start) and frames are known to be durable."""

    length: int
    count: int


class Seal(msgspec.Struct, frozen=True):
    """What was recorded of a segment when it was closed for good."""

    body_end: int
    count: int
    first_ms: int
    last_ms: int
    digest: bytes
    index: bytes


def now_ms() -> int:
    """Return the present in milliseconds since 1970 (UTC)."""
    return time.time_ns() // 1_000_000


def pack_header(stream: str) -> bytes:
    """Make the first 512 bytes of a new segment: a header and an anchor over no frames."""
    name = stream.encode()
    random = int.from_bytes(os.urandom(8), "little")
    head = _HEADER.pack(_MAGIC, FORMAT, len(name), os.getpid(), now_ms(), random) + name
    head = head.ljust(_HEADER_BYTES, b"\0")
    return head + _CRC.pack(crc32(head)) + pack_anchor(Anchor(BODY, 0))


def read_header(fd: int) -> Header:
    """Read and check a segment's header.

    Raises:
        Corrupt: It is not whole.
        Unsupported: A newer Trivet wrote it.
    """
    head = os.pread(fd, _HEADER_BYTES + 4, 0)
    if len(head) < _HEADER_BYTES + 4 or _CRC.unpack_from(head, _HEADER_BYTES)[0] != crc32(
        head[:_HEADER_BYTES]
    ):
        raise Corrupt("its header is damaged", code="corrupt-segment")
    magic, version, length, process, created_ms, _ = _HEADER.unpack_from(head)
    if magic != _MAGIC:
        raise Corrupt("it is no segment", code="corrupt-segment")
    if version > FORMAT:
        raise Unsupported(
            f"it has format {version}; this Trivet reads up to {FORMAT}",
            code="newer-format",
            hint="Upgrade Trivet.",
        )
    stream = head[_HEADER.size : _HEADER.size + length].decode()
    return Header(version, stream, process, created_ms, salt_of(head))


def salt_of(header: bytes) -> int:
    """Return the salt of a segment that begins with these bytes: its header's checksum."""
    return _CRC.unpack_from(header, _HEADER_BYTES)[0]


def pack_anchor(anchor: Anchor) -> bytes:
    """Make the 64 bytes of an anchor; they lie within one sector, so a disk writes all or none."""
    packed = _ANCHOR.pack(anchor.length, anchor.count)
    return packed + _CRC.pack(crc32(packed))


def write_anchor(fd: int, anchor: Anchor) -> None:
    """Write the anchor, without a sync: it must outlive the process, not the machine."""
    os.pwrite(fd, pack_anchor(anchor), _ANCHOR_AT)


def read_anchor(fd: int) -> Anchor:
    """Read the anchor.

    Raises:
        Corrupt: It is not whole.
    """
    for _ in range(100):
        packed = os.pread(fd, _ANCHOR.size + 4, _ANCHOR_AT)
        body, check = packed[: _ANCHOR.size], packed[_ANCHOR.size :]
        if len(check) == 4 and _CRC.unpack(check)[0] == crc32(body):
            return Anchor(*_ANCHOR.unpack(body))
        time.sleep(0.0005)  # a writer may be in the middle of it
    raise Corrupt("its anchor is damaged", code="corrupt-segment")


def pack_frame(payload: bytes, sequence: int, durable: int, salt: int) -> bytes:
    """Make the 28 bytes that go before a payload."""
    rest = _FRAME_REST.pack(len(payload), sequence, durable)
    return _MARK_BYTES + rest + _CRC.pack(crc32(payload, crc32(rest, salt)))


def frames(fd: int, salt: int, start: int, end: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield (place, end, payload) of frames from `start` on; stop at `end` or at a broken frame.

    The caller compares the last `end` with what it expected.
    """
    base, wanted = start, _WINDOW_BYTES
    while base < end:
        window = os.pread(fd, min(wanted, end - base), base)
        at, read = 0, wanted
        while len(window) - at >= FRAME_BYTES:
            mark, length, _, _, check = _FRAME.unpack_from(window, at)
            stop = at + FRAME_BYTES + length
            if mark != _MARK or base + stop > end:
                return
            if stop > len(window):
                wanted = max(_WINDOW_BYTES, stop - at)
                break
            payload = window[at + FRAME_BYTES : stop]
            if crc32(payload, crc32(window[at + 4 : at + 24], salt)) != check:
                return
            yield base + at, base + stop, payload
            at = stop
        if at == 0 and wanted == read:
            return  # what is left is shorter than a frame
        base += at


def read_frame(fd: int, salt: int, place: int, length: int) -> bytes:
    """Read the one payload of `length` bytes that lies at `place`.

    Raises:
        Corrupt: The frame is damaged.
    """
    packed = os.pread(fd, FRAME_BYTES + length, place - FRAME_BYTES)
    payload = packed[FRAME_BYTES:]
    if len(payload) == length and _CRC.unpack_from(packed, FRAME_BYTES - _CRC.size)[0] == crc32(
        payload, crc32(packed[4 : FRAME_BYTES - _CRC.size], salt)
    ):
        return payload
    raise Corrupt(f"the frame before byte {place} is damaged", code="corrupt-segment")


def intact_frame_after(fd: int, salt: int, place: int, size_bytes: int) -> bool:
    """Say whether an intact frame that was written after `place` was durable lies behind it."""
    content = os.pread(fd, size_bytes - place, place)
    at = content.find(_MARK_BYTES, 1)
    while at >= 0:
        if len(content) - at >= FRAME_BYTES:
            _, length, _, durable, check = _FRAME.unpack_from(content, at)
            payload = content[at + FRAME_BYTES : at + FRAME_BYTES + length]
            rest = content[at + 4 : at + 24]
            if durable > place and crc32(payload, crc32(rest, salt)) == check:
                return True
        at = content.find(_MARK_BYTES, at + 1)
    return False


def pack_seal(seal: Seal, salt: int) -> bytes:
    """Make the bytes that close a segment."""
    packed = (
        _SEAL.pack(
            _SEAL_MAGIC,
            seal.body_end,
            seal.count,
            seal.first_ms,
            seal.last_ms,
            seal.digest,
            len(seal.index),
        )
        + seal.index
    )
    return packed + _CRC.pack(crc32(packed)) + _pack_end(seal.body_end, salt)


def _pack_end(place: int, salt: int) -> bytes:
    # Salted, because an unsealed segment ends with bytes that a client may have chosen.
    return _END.pack(place, crc32(place.to_bytes(8, "little"), salt))


def read_seal(fd: int, salt: int, size_bytes: int) -> Seal | None:
    """Read a segment's seal; None when it has none yet.

    Raises:
        Corrupt: It has one, which is damaged.
    """
    if size_bytes < BODY + _SEAL.size + 4 + _END.size:
        return None
    end = os.pread(fd, _END.size, size_bytes - _END.size)
    place: int = _END.unpack(end)[0]
    if end != _pack_end(place, salt):
        return None
    packed = os.pread(fd, size_bytes - _END.size - place, place)
    if len(packed) >= _SEAL.size + 4 and _CRC.unpack(packed[-4:])[0] == crc32(packed[:-4]):
        magic, body_end, count, first_ms, last_ms, digest, length = _SEAL.unpack_from(packed)
        index = packed[_SEAL.size : -4]
        if magic == _SEAL_MAGIC and body_end == place and length == len(index):
            return Seal(body_end, count, first_ms, last_ms, digest, index)
    raise Corrupt("its seal is damaged", code="corrupt-segment")


def has_whole_seal_at(fd: int, place: int, size_bytes: int) -> bool:
    """Say whether a seal as long as it says lies at `place`: then its end mark was damaged."""
    packed = os.pread(fd, _SEAL.size, place)
    if len(packed) < _SEAL.size or not packed.startswith(_SEAL_MAGIC):
        return False
    length = _SEAL.unpack(packed)[-1]
    return place + _SEAL.size + length + 4 + _END.size == size_bytes
