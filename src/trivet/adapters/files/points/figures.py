"""Figures of a chunk: what is known of points without reading them.

Points are ordered by step, time and value; values by their bits, so that NaN equals itself and
-0.0 stands before 0.0. NaN of either sign stands behind all numbers.
"""

import math
from array import array
from collections.abc import Iterable
from functools import reduce
from struct import Struct
from typing import Final, NamedTuple

from trivet.core.points import Point, Summary

POINT_BYTES: Final = 24
_REAL: Final = Struct("<d")
_BITS: Final = Struct("<q")
_MASK: Final = 0x7FFF_FFFF_FFFF_FFFF
_FROM_LEAST: Final = 0x7FF0_0000_0000_0001


class Chunk(NamedTuple):
    """Where points of one series lie, and their figures.

    A chunk of `parts` > 0 is a list of so many others: at `place` lie their rows, whose checksum
    is `crc`. Any other has its columns at `place`: steps, times, values.
    """

    place: int
    crc: int
    parts: int
    points: int
    first_step: int
    first_time: int
    first_value: float
    last_step: int
    last_time: int
    last_value: float
    least: float
    greatest: float


ROW: Final = Struct("<QIIQqqdqqddd")
"""A chunk, packed."""

Figures = tuple[int, int, int, float, int, int, float, float, float]
"""A chunk from `points` on."""


def rank(value: float) -> int:
    """Place a value among others, from 0 to 2**64 - 1."""
    return rank_of_bits(_BITS.unpack(_REAL.pack(value))[0])


def rank_of_bits(bits: int) -> int:
    """Place a value, given as its bits, among others."""
    return ((bits ^ ((bits >> 63) & _MASK)) + _FROM_LEAST) & 0xFFFF_FFFF_FFFF_FFFF


def fold(one: Chunk, two: Chunk) -> Chunk:
    """Return the figures of two chunks together, in the place of the first."""
    first = _lower(one, two)
    last = _higher(one, two)
    return Chunk(
        one.place,
        one.crc,
        one.parts,
        one.points + two.points,
        first.first_step,
        first.first_time,
        first.first_value,
        last.last_step,
        last.last_time,
        last.last_value,
        two.least if two.least < one.least or math.isnan(one.least) else one.least,
        two.greatest if two.greatest > one.greatest or math.isnan(one.greatest) else one.greatest,
    )


def total(chunks: Iterable[Chunk]) -> Chunk:
    """Return the figures of one or more chunks together."""
    return reduce(fold, chunks)


def _lower(one: Chunk, two: Chunk) -> Chunk:
    a, b = (one.first_step, one.first_time), (two.first_step, two.first_time)
    if a != b:
        return one if a < b else two
    return one if rank(one.first_value) <= rank(two.first_value) else two


def _higher(one: Chunk, two: Chunk) -> Chunk:
    a, b = (one.last_step, one.last_time), (two.last_step, two.last_time)
    if a != b:
        return one if a > b else two
    return one if rank(one.last_value) >= rank(two.last_value) else two


def summary(chunk: Chunk) -> Summary:
    """Say what a chunk's figures are in the words of the port."""
    return Summary(
        count=chunk.points,
        first_step=chunk.first_step,
        last_step=chunk.last_step,
        least=chunk.least,
        greatest=chunk.greatest,
        latest=Point(chunk.last_step, chunk.last_time, chunk.last_value),
    )


def to_records(content: bytes) -> bytes:
    """Turn columns into records: step, time and value of each point next to each other."""
    count = len(content) // POINT_BYTES
    if count == 1:
        return content
    columns = array("q", content)
    records = array("q", bytes(len(content)))
    for field in range(3):
        records[field::3] = columns[field * count : (field + 1) * count]
    return records.tobytes()


def to_columns(records: bytes) -> bytes:
    """Turn records into columns."""
    whole = array("q", records)
    return b"".join(whole[field::3].tobytes() for field in range(3))
