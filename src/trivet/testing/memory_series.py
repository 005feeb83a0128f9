"""The in-memory twin of the store of series: points in dictionaries, and everything by counting.

It is slow and plain on purpose: adapters are compared with it.
"""

import math
import struct
import threading
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Literal, cast

from trivet.core.errors import Invalid
from trivet.core.points import Changes, Columns, Curve, Point, Points, SeriesKey, Summary
from trivet.core.ports import Damage

_SIGN_MASK = 0x7FFF_FFFF_FFFF_FFFF
_FROM_LEAST = 0x7FF0_0000_0000_0001
_LONGEST = {"owner": 256, "name": 250}
_MAX_BUCKETS = 100_000

Row = tuple[int, int, int]
"""Step, time and the bits of the value, so that equal means the same bytes: NaN, -0.0."""


class MemorySeries:
    """Points by series, in a dictionary; read back as `array.array` columns."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._points: dict[SeriesKey, list[Row]] = {}
        self._appends: list[list[tuple[SeriesKey, list[Row]]]] = []

    def append(self, chunks: Sequence[tuple[SeriesKey, Points]], *, synced: bool = True) -> None:
        del synced  # memory knows no disk
        checked = [(_check_key(key), _as_rows(points)) for key, points in chunks]
        checked = [(key, rows) for key, rows in checked if rows]
        with self._lock:
            for key, rows in checked:
                self._points.setdefault(key, []).extend(rows)
            if checked:
                self._appends.append(checked)

    def read(self, key: SeriesKey, *, first: int | None = None, last: int | None = None) -> Points:
        return _columns(self._kept(key, first, last))

    def curve(
        self,
        key: SeriesKey,
        *,
        points: int = 1000,
        first: int | None = None,
        last: int | None = None,
        by: Literal["step", "order"] = "step",
    ) -> Curve:
        _check_range(points, "points", _MAX_BUCKETS)
        if by not in {"step", "order"}:
            raise Invalid(f"by is {by!r}; expected 'step' or 'order'", code="bad-cut")
        rows = self._kept(key, first, last)
        ends = [row[0] for row in rows] if by == "step" else list(range(len(rows)))
        numbers = [(end - ends[0]) * points // (ends[-1] - ends[0] + 1) for end in ends]
        pairs = zip(numbers, rows, strict=True)
        buckets = [
            [row for _, row in group] for _, group in groupby(pairs, key=lambda pair: pair[0])
        ]
        extents = [_extent(bucket) for bucket in buckets]
        return Curve(
            first=_columns([bucket[0] for bucket in buckets]),
            last=_columns([bucket[-1] for bucket in buckets]),
            least=array("d", [least for least, _ in extents]),
            greatest=array("d", [greatest for _, greatest in extents]),
            sample=_columns(
                [bucket[0] for bucket in buckets[:-1]] + [bucket[-1] for bucket in buckets[-1:]]
            ),
        )

    def summaries(self, owner: str) -> Mapping[str, Summary]:
        _check_key(SeriesKey(owner, "-"))
        with self._lock:
            found = {
                key.name: set(rows) for key, rows in self._points.items() if key.owner == owner
            }
        return {name: _summary(sorted(found[name], key=_place)) for name in sorted(found)}

    def since(self, position: str | None, limit: int = 1000) -> Changes:
        _check_range(limit, "limit", None)
        if position is not None and not (
            isinstance(cast("object", position), str) and position.isdecimal()
        ):
            raise Invalid("position is no position of this feed", code="bad-position")
        at, told = int(position or 0), 0
        found: dict[SeriesKey, list[Row]] = {}
        with self._lock:
            while at < len(self._appends) and told < limit:
                for key, rows in self._appends[at]:
                    found.setdefault(key, []).extend(rows)
                told += len(self._appends[at])
                at += 1
            has_more = at < len(self._appends)
        series = {key: _summary(sorted(rows, key=_place)) for key, rows in found.items()}
        return Changes(series=series, position=str(at), has_more=has_more)

    def compact(self, *, without: Collection[str] = ()) -> None:
        """Leave out what is not wanted any more: memory is one segment."""
        with self._lock:
            for key in [key for key in self._points if key.owner in without]:
                del self._points[key]

    def verify(self) -> Iterator[Damage]:
        return iter(())

    def _kept(self, key: SeriesKey, first: int | None, last: int | None) -> list[Row]:
        _check_key(key)
        with self._lock:
            rows = set(self._points.get(key, ()))
        kept = [
            row
            for row in rows
            if (first is None or first <= row[0]) and (last is None or row[0] <= last)
        ]
        return sorted(kept, key=_place)


def _place(row: Row) -> tuple[int, int, int]:
    """Order rows: by step, time and value, with NaN behind all numbers."""
    step, time, bits = row
    return step, time, rank(bits)


def rank(bits: int) -> int:
    """Place a value's bits among others, from -inf as 0 on; NaN of either sign comes last."""
    return ((bits ^ ((bits >> 63) & _SIGN_MASK)) + _FROM_LEAST) % 2**64


def _value(bits: int) -> float:
    return struct.unpack("=d", struct.pack("=q", bits))[0]


def _columns(rows: Sequence[Row]) -> Points:
    bits = array("q", [row[2] for row in rows])
    return Points(
        steps=array("q", [row[0] for row in rows]),
        times=array("q", [row[1] for row in rows]),
        values=array("d", bits.tobytes()),
    )


def _extent(rows: Sequence[Row]) -> tuple[float, float]:
    values = [_value(row[2]) for row in rows]
    numbers = [value for value in values if not math.isnan(value)] or [math.nan]
    return min(numbers), max(numbers)


def _summary(rows: Sequence[Row]) -> Summary:
    least, greatest = _extent(rows)
    step, time, bits = rows[-1]
    return Summary(
        count=len(rows),
        first_step=rows[0][0],
        last_step=step,
        least=least,
        greatest=greatest,
        latest=Point(step, time, _value(bits)),
    )


def _check_range(number: object, field: str, most: int | None) -> None:
    if type(number) is not int or number < 1 or (most is not None and number > most):
        raise Invalid(f"{field} is {number!r}; expected a number in range", code="out-of-range")


def _check_key(key: SeriesKey) -> SeriesKey:
    for field, text in (("owner", key.owner), ("name", key.name)):
        if (
            not isinstance(cast("object", text), str)
            or not 0 < len(text) <= _LONGEST[field]
            or not text.isprintable()
        ):
            raise Invalid(
                f"the {field} of a series is a {type(text).__name__} that is no valid one; "
                f"expected 1 to {_LONGEST[field]} printable characters",
                code="bad-key",
                hint="Use a short text without line breaks, for example 'loss/train'.",
            )
    return key


def _as_rows(points: Points) -> list[tuple[int, int, int]]:
    steps = _column(points.steps, "steps", "q")
    times = _column(points.times, "times", "q")
    values = _column(points.values, "values", "d")
    if not len(steps) == len(times) == len(values):
        raise Invalid(
            f"steps, times and values have {len(steps)}, {len(times)} and {len(values)} items; "
            "expected equal lengths",
            code="ragged-points",
            hint="Pass one step, one time and one value per point.",
        )
    # Values travel as their bits, so that equal means the same bytes, also for NaN and -0.0.
    bits = struct.unpack(f"={len(values)}q", values.tobytes())
    return list(zip(steps.tolist(), times.tolist(), bits, strict=True))


def _column(column: Columns, field: str, kind: Literal["q", "d"]) -> Any:
    wanted = "int64" if kind == "q" else "float64"
    try:
        view = memoryview(column)
    except TypeError:
        view = memoryview(b"")
        fits = False
    else:
        formats = ("q", "l") if kind == "q" else ("d",)
        fits = view.ndim == 1 and view.itemsize == 8 and view.format.lstrip("=<@") in formats
    if not fits:
        raise Invalid(
            f"{field} is a {type(column).__name__}; expected a one-dimensional buffer of {wanted}",
            code="bad-column",
            hint=f"Pass array('{kind}', ...) or a NumPy array of {wanted}.",
        )
    return view
