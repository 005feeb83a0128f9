"""How one attribute of a block of documents is stored: numbers as an array, texts by their codes.

A block has `SLOTS` slots, each for one document of one group. A cell has, for each slot, a number,
a text, or nothing:

- `numbers`: one little-endian float64 per slot. Where there is none, all its bits are set, which
  is a NaN that no other is stored as. The end is cut off where nothing is.
- `texts`: MessagePack of [texts, codes], with the distinct texts and for each slot one byte, the
  text's place or 255. The end is cut off here, too. Attributes are stored by their first
  `ORDERED_TEXT` characters: what is longer is looked up in the document.
"""

import math
import struct
from collections.abc import Iterable
from typing import Final

import msgspec

from trivet.core.catalog import Value

SLOTS: Final = 120
"""Four cells of numbers fill a page."""
IDS: Final = 0
"""The word that stands for the identifiers."""
NOTHING: Final = b"\xff"
"""The byte of a slot in which nothing is."""
_SLOT_BITS: Final = 7
_WORD_BITS: Final = 32
_DOUBLE: Final = struct.Struct("<d")
_NAN: Final = _DOUBLE.pack(math.nan)
_MISSING: Final = NOTHING * 8
_decoder: Final = msgspec.msgpack.Decoder(tuple[list[str], bytes])

Cell = tuple[bytes | None, bytes | None]
"""What is stored: numbers and texts, None where there are none."""
NO_CELL: Final[Cell] = (None, None)


def number_of(block: int, slot: int) -> int:
    """Return the number of the document in a slot."""
    return (block << _SLOT_BITS) | slot


def slot_of(number: int) -> tuple[int, int]:
    """Return block and slot of a document's number."""
    return number >> _SLOT_BITS, number & ((1 << _SLOT_BITS) - 1)


def place_of(block: int, word: int) -> int:
    """Return where the cell of an attribute stands."""
    return (block << _WORD_BITS) | word


def unpack_texts(texts: bytes) -> tuple[list[str], bytes]:
    """Return the distinct texts of a cell and the code of each slot."""
    return _decoder.decode(texts)


def changed_cell(cell: Cell, changes: Iterable[tuple[int, Value | None]]) -> Cell:
    """Return a cell with values put into slots; None takes away what was there.

    However a cell came about, the same values make the same bytes.
    """
    numbers = bytearray(cell[0] or b"")
    slots = _unpacked(cell[1])
    for slot, value in changes:
        if isinstance(value, str):
            _put_number(numbers, slot, None)
            _put_text(slots, slot, value)
        else:
            _put_number(numbers, slot, value)
            _put_text(slots, slot, None)
    while numbers.endswith(_MISSING):
        del numbers[-8:]
    return bytes(numbers) or None, _packed(slots)


def _put_number(numbers: bytearray, slot: int, value: float | None) -> None:
    start = slot * 8
    if value is None and start >= len(numbers):
        return
    if len(numbers) < start + 8:
        numbers += NOTHING * (start + 8 - len(numbers))
    if value is None:
        numbers[start : start + 8] = _MISSING
    elif value != value:  # noqa: PLR0124  # NaN, of whatever bits
        numbers[start : start + 8] = _NAN
    else:
        _DOUBLE.pack_into(numbers, start, value)


def _put_text(slots: list[str | None], slot: int, value: str | None) -> None:
    if slot < len(slots):
        slots[slot] = value
    elif value is not None:
        slots += [None] * (slot - len(slots))
        slots.append(value)


def _unpacked(texts: bytes | None) -> list[str | None]:
    if texts is None:
        return []
    distinct, codes = unpack_texts(texts)
    by_code: list[str | None] = [*distinct, *[None] * (256 - len(distinct))]
    return list(map(by_code.__getitem__, codes))


def _packed(slots: list[str | None]) -> bytes | None:
    while slots and slots[-1] is None:
        slots.pop()
    if not slots:
        return None
    distinct = dict.fromkeys(slots)
    distinct.pop(None, None)
    codes: dict[str | None, int] = {text: code for code, text in enumerate(distinct)}
    codes[None] = NOTHING[0]
    return msgspec.msgpack.encode((list(distinct), bytes(map(codes.__getitem__, slots))))
