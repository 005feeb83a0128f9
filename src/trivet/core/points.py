"""Points of series, and what is said of many of them at once."""

from collections.abc import Mapping
from typing import Any

import msgspec

Columns = Any
"""A buffer of numbers: array.array, memoryview or NumPy array; never copied more than once."""


class Points(msgspec.Struct, frozen=True):
    """Points of one series: steps (int64), times (int64), values (float64).

    In which unit the times are, the room says that writes them. Columns of equal length that speak
    the buffer protocol. Read back they are ordered by step, then time, and equal points appear
    once.
    """

    steps: Columns
    times: Columns
    values: Columns


class SeriesKey(msgspec.Struct, frozen=True, order=True):
    """Which series: `owner` is an identifier (a run, an endpoint), `name` the metric's name.

    Printable text: an owner of 1 to 256 characters, a name of 1 to 250.
    """

    owner: str
    name: str


class Point(msgspec.Struct, frozen=True):
    """One point of a series; `time` in the unit of its room."""

    step: int
    time: int
    value: float


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of some points of one series without reading them."""

    count: int
    first_step: int
    last_step: int
    least: float
    """The smallest value; NaN only when every value is NaN."""
    greatest: float
    latest: Point
    """The greatest by step, then time, then value; NaN stands behind all numbers."""


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """What was appended behind a position of the feed."""

    series: Mapping[SeriesKey, Summary]
    """Each series that got points, with the summary of those points alone."""
    position: str
    """Where to go on."""
    has_more: bool
    """Whether more had been appended already when this was read."""


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """A series reduced to buckets; one item per bucket that holds a point, in order."""

    first: Points
    """The first point of each bucket, in the order in which `Series.read` returns points."""
    last: Points
    """The last point of each bucket."""
    least: Columns
    """The smallest value (float64) of each bucket; NaN where all values are NaN."""
    greatest: Columns
    """The greatest value (float64) of each bucket."""
    sample: Points
    """Evenly spread points: the first of each bucket, but in the last one the last point."""
