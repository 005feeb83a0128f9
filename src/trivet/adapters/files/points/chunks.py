"""Chunks: the points that one append adds to its series, all in one frame.

The frame's payload is a letter and then, one after the other, of each chunk: the lengths of
owner and name, both names, the number of points, for a large chunk a checksum and its figures,
and the columns steps, times and values, raw and little-endian. Nothing here needs NumPy.
"""

from array import array
from collections.abc import Sequence
from struct import Struct
from typing import Any, Final, NamedTuple, cast
from zlib import crc32

from trivet.adapters.files.points.figures import POINT_BYTES, Chunk, Figures
from trivet.adapters.files.points.measuring import measure
from trivet.core.errors import Corrupt, Invalid
from trivet.core.ports import Points, SeriesKey

SMALL: Final = 32
"""A chunk of fewer points is kept by its points rather than by its place."""
POINTS: Final = b"P"
"""The letter of a frame that an append made; other letters belong to indexes."""
KEY: Final = Struct("<HH")
"""How many bytes owner and name have."""

_OTHERS: Final = (b"D", b"R", b"L", b"N")
_COUNT: Final = Struct("<I")
_LARGE: Final = Struct("<Iqqdqqddd")  # checksum, first and last point, least and greatest value
_ONE: Final = _COUNT.pack(1)
_MAX: Final = {"owner": 256, "name": 250}
_REMEMBERED: Final = 20_000
_FORMATS: Final = {"q": ("q", "l"), "d": ("d",)}


class Piece(NamedTuple):
    """One chunk of a frame: whose it is, and where its columns lie in the payload."""

    owner: bytes
    name: bytes
    at: int
    points: int
    chunk: Chunk | None
    """Its figures, when it is large; `place` counts from the payload."""


class Encoded(NamedTuple):
    """A frame's payload, and what it consists of."""

    payload: bytes
    pieces: list[Piece]


_names: dict[SeriesKey, tuple[bytes, bytes, bytes]] = {}


def encode(chunks: Sequence[tuple[SeriesKey, Points]]) -> Encoded:
    """Check chunks and make one frame's payload of them; empty ones are left out.

    Raises:
        Invalid: Columns differ in length or type, or a key is malformed.
    """
    parts: list[bytes] = [POINTS]
    pieces: list[Piece] = []
    at = 1
    for key, points in chunks:
        owner, name, packed = names_of(key)
        content = _content(points)
        count = len(content) // POINT_BYTES
        if count == 1:
            at += len(packed) + 4
            parts += (packed, _ONE, content)
            pieces.append(Piece(owner, name, at, 1, None))
        elif count:
            head = _COUNT.pack(count)
            chunk = None
            if count >= SMALL:
                check, figures = crc32(content), measure(content)
                head += _LARGE.pack(check, *figures[1:])
                chunk = _chunk(at + len(packed) + len(head), check, figures)
            at += len(packed) + len(head)
            parts += (packed, head, content)
            pieces.append(Piece(owner, name, at, count, chunk))
        at += len(content)
    return Encoded(b"".join(parts), pieces)


def _chunk(place: int, check: int, figures: Figures) -> Chunk:
    return Chunk(place, check, 0, *figures)


def decode(payload: bytes) -> list[Piece]:
    """Read the chunks of a frame; none when it is no frame of an append.

    Raises:
        Corrupt: It is a frame of no known kind.
    """
    pieces: list[Piece] = []
    if not payload.startswith(POINTS):
        if payload.startswith(_OTHERS):
            return pieces
        raise Corrupt("it has a frame of no known kind", code="corrupt-segment")
    at, end = 1, len(payload)
    while at < end:
        owner_bytes, name_bytes = KEY.unpack_from(payload, at)
        at += KEY.size
        middle = at + owner_bytes
        owner, name = payload[at:middle], payload[middle : middle + name_bytes]
        at = middle + name_bytes
        (count,) = _COUNT.unpack_from(payload, at)
        at += _COUNT.size
        chunk = None
        if count >= SMALL:
            check, *rest = _LARGE.unpack_from(payload, at)
            at += _LARGE.size
            chunk = Chunk(at, check, 0, count, *rest)
        pieces.append(Piece(owner, name, at, count, chunk))
        at += count * POINT_BYTES
    return pieces


def measured(piece: Piece, payload: bytes) -> Chunk:
    """Return the figures of a piece; a small one's are taken from its points."""
    if piece.chunk:
        return piece.chunk
    content = payload[piece.at : piece.at + piece.points * POINT_BYTES]
    return Chunk(piece.at, 0, 0, *measure(content))


def names_of(key: SeriesKey) -> tuple[bytes, bytes, bytes]:
    """Return owner and name in UTF-8, and both as frames and indexes hold them.

    Raises:
        Invalid: The key is malformed.
    """
    try:
        found = _names.get(key)
    except TypeError:  # a field that cannot be hashed is no text
        found = None
    if found is None:
        owner, name = _text(key.owner, "owner"), _text(key.name, "name")
        found = owner, name, KEY.pack(len(owner), len(name)) + owner + name
        if len(_names) >= _REMEMBERED:
            _names.clear()
        _names[key] = found
    return found


def _text(text: object, field: str) -> bytes:
    if isinstance(text, str) and 0 < len(text) <= _MAX[field] and text.isprintable():
        return text.encode()
    raise Invalid(
        f"the {field} of a series is a {type(text).__name__} that is no valid one; "
        f"expected 1 to {_MAX[field]} printable characters",
        code="bad-key",
        hint="Use a short text without line breaks, for example 'loss/train'.",
    )


def _content(points: Points) -> bytes:
    steps = _column(points.steps, "steps", "q")
    times = _column(points.times, "times", "q")
    values = _column(points.values, "values", "d")
    if not len(steps) == len(times) == len(values):
        raise Invalid(
            f"steps, times and values have {len(steps) // 8}, {len(times) // 8} and "
            f"{len(values) // 8} items; expected equal lengths",
            code="ragged-points",
            hint="Pass one step, one time and one value per point.",
        )
    return steps + times + values


def _column(column: object, field: str, kind: str) -> bytes:
    if type(column) is array and cast("array[Any]", column).typecode == kind:
        return cast("array[Any]", column).tobytes()
    try:
        view = memoryview(cast("bytes", column))
    except (TypeError, ValueError, BufferError):
        view = memoryview(b"")
    if view.ndim == 1 and view.itemsize == 8 and view.format.lstrip("=<@") in _FORMATS[kind]:
        return view.tobytes()
    wanted = "int64" if kind == "q" else "float64"
    raise Invalid(
        f"{field} is a {type(cast('object', column)).__name__}; "
        f"expected a one-dimensional buffer of {wanted}",
        code="bad-column",
        hint=f"Pass array('{kind}', ...) or a NumPy array of {wanted}.",
    )
