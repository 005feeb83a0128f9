"""Curves: a long series reduced to buckets, mostly by the figures of its chunks.

A chunk that lies within one bucket is not read; the others are. Short series are read as a
whole.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from trivet.adapters.files import segments
from trivet.adapters.files.points import columns
from trivet.adapters.files.points.columns import NONE, ROWS, Columns, Ints
from trivet.adapters.files.points.sources import Source
from trivet.core.errors import Invalid
from trivet.core.ports import Curve

_WHOLE_POINTS: Final = 1 << 17

Rows = npt.NDArray[Any]


class Cut(NamedTuple):
    """How a series is to be reduced; see `Series.curve`."""

    points: int
    first: int | None
    last: int | None
    by: Literal["step", "order"]


class Piece(NamedTuple):
    """What one segment holds of a series: rows of chunks, and loose points."""

    source: Source
    rows: Rows
    loose: Columns

    def read(self) -> Iterator[Columns]:
        """Yield the points of each chunk."""
        with segments.named(self.source.place):
            yield from map(columns.columns_of, columns.contents(self.source.segment.fd, self.rows))


def reduce(pieces: Sequence[Piece], cut: Cut) -> Curve:
    """Reduce what some segments hold of one series to buckets, as `Series.curve` says.

    Raises:
        Invalid: The buckets are cut in no known way.
        Corrupt: A segment is damaged.
    """
    points, first, last, by = cut
    if by not in {"step", "order"}:
        raise Invalid(
            f"by is {by!r}; expected 'step' or 'order'",
            code="bad-cut",
            hint="Cut by step for a chart, by order for an even sample.",
        )
    pieces = [piece._replace(rows=columns.between(piece.rows, first, last)) for piece in pieces]
    if sum(int(piece.rows["points"].sum()) for piece in pieces) > _WHOLE_POINTS:
        whole, partial = _split(pieces, first, last)
        if by == "step":
            return _by_step(whole, columns.clip(_read(partial), first, last), points)
        if len(pieces) == 1 and _is_rising(pieces[0]):
            return _by_order(whole[0], columns.clip(_read(partial), first, last), points)
    read = columns.clip(_read(pieces), first, last)
    ends = read.steps if by == "step" else np.arange(len(read.steps))
    if not len(ends):
        return _curve(_entries(read, ends))
    edges = _edges(int(ends[0]), int(ends[-1]), points)
    return _curve(_entries(read, np.searchsorted(edges, ends, "right")))


def _split(
    pieces: Sequence[Piece], first: int | None, last: int | None
) -> tuple[list[Piece], list[Piece]]:
    """Tell chunks that lie wholly in a range from those, and the loose points, that it cuts."""
    whole: list[Piece] = []
    cut: list[Piece] = []
    for piece in pieces:
        is_cut = np.zeros(len(piece.rows), bool)
        if first is not None:
            is_cut |= piece.rows["first_step"] < first
        if last is not None:
            is_cut |= piece.rows["last_step"] > last
        whole.append(Piece(piece.source, piece.rows[~is_cut], NONE))
        cut.append(Piece(piece.source, piece.rows[is_cut], piece.loose))
    return whole, cut


def _by_step(whole: Sequence[Piece], read: Columns, points: int) -> Curve:
    rows = np.concatenate([piece.rows for piece in whole])
    lows = [*read.steps[:1].tolist(), *([int(rows["first_step"].min())] if len(rows) else [])]
    highs = [*read.steps[-1:].tolist(), *([int(rows["last_step"].max())] if len(rows) else [])]
    if not lows:
        return _curve(_entries(read, read.steps))
    edges = _edges(min(lows), max(highs), points)
    kept: list[Rows] = []
    buckets: list[Ints] = []
    straddling: list[Piece] = []
    for piece in whole:
        low = np.searchsorted(edges, piece.rows["first_step"], "right")
        is_within = low == np.searchsorted(edges, piece.rows["last_step"], "right")
        kept.append(piece.rows[is_within])
        buckets.append(low[is_within])
        straddling.append(Piece(piece.source, piece.rows[~is_within], NONE))
    read = columns.join([read, _read(straddling)])
    entries = _entries(read, np.searchsorted(edges, read.steps, "right"))
    return _curve(
        _Entries(np.concatenate([*buckets, entries.buckets]), np.concatenate([*kept, entries.rows]))
    )


def _by_order(piece: Piece, read: Columns, points: int) -> Curve:
    """Count through chunks that follow one another; those at the ends were read already."""
    rows = piece.rows
    middle = int(rows["first_step"][0]) if len(rows) else 2**63 - 1
    before = columns.place_of(read.steps, middle, "left")
    if len(rows):
        before += columns.place_of(
            read.times[before : columns.place_of(read.steps, middle, "right")],
            int(rows["first_time"][0]),
            "left",
        )
    counts = rows["points"].astype(np.int64)
    starts = before + np.cumsum(counts) - counts
    total = len(read.steps) + int(counts.sum())
    edges = _edges(0, total - 1, points)
    low = np.searchsorted(edges, starts, "right")
    is_within = low == np.searchsorted(edges, starts + counts - 1, "right")
    ends = _numbers(0, before, total - len(read.steps) + before, total)
    found = [_entries(read, np.searchsorted(edges, ends, "right"))]
    straddling = rows[~is_within]
    parts = Piece(piece.source, straddling, NONE).read()
    for start, part in zip(starts[~is_within].tolist(), parts, strict=True):
        ends = _numbers(start, start + len(part.steps))
        found.append(_entries(part, np.searchsorted(edges, ends, "right")))
    found.append(_Entries(low[is_within], rows[is_within]))
    return _curve(_Entries(*(np.concatenate(both) for both in zip(*found, strict=True))))


def _read(pieces: Sequence[Piece]) -> Columns:
    parts = [piece.loose for piece in pieces]
    for piece in pieces:
        parts += piece.read()
    return columns.join(parts)


def _is_rising(piece: Piece) -> bool:
    """Say whether all points lie in chunks that follow one another, as a merge writes them."""
    rows = piece.rows
    if len(piece.loose.steps) or not piece.source.is_merged:
        return False
    step, ahead = rows["last_step"][:-1], rows["first_step"][1:]
    is_later = rows["last_time"][:-1] < rows["first_time"][1:]
    return bool(((step < ahead) | ((step == ahead) & is_later)).all())


def _edges(low: int, high: int, points: int) -> Ints:
    """Return where buckets 1, 2, … begin: `low` to `high` in `points` parts of equal width.

    Those that would begin behind `high` are empty and left out: that may be no int64 any more.
    """
    span = high - low + 1
    edges = (low - (-at * span // points) for at in range(1, points))
    return np.array([edge for edge in edges if edge <= high], np.int64)


def _numbers(*bounds: int) -> Ints:
    """Return the whole numbers of one or several ranges."""
    return np.concatenate(
        [np.arange(*pair, dtype=np.int64) for pair in zip(bounds[::2], bounds[1::2], strict=True)]
    )


class _Entries(NamedTuple):
    """Figures (of type `ROWS`) and the buckets they belong to."""

    buckets: Ints
    rows: Rows


def _entries(ordered: Columns, buckets: Ints) -> _Entries:
    """Gather ordered points, whose buckets rise, to one row for each bucket."""
    starts = np.flatnonzero(np.diff(buckets, prepend=-1))
    rows = np.zeros(len(starts), ROWS)
    if len(starts):
        ends = np.append(starts[1:], len(buckets)) - 1
        for name, column in zip(("step", "time", "value"), ordered, strict=True):
            rows[f"first_{name}"] = column[starts]
            rows[f"last_{name}"] = column[ends]
        rows["least"], rows["greatest"] = _extents(ordered.values, ordered.values, starts)
    return _Entries(buckets[starts], rows)


def _extents(least: Any, greatest: Any, starts: Ints) -> tuple[Any, Any]:
    with np.errstate(invalid="ignore"):
        return np.fmin.reduceat(least, starts), np.fmax.reduceat(greatest, starts)


def _curve(entries: _Entries) -> Curve:
    """Put the figures of each bucket together."""
    rows = _sorted(entries, "first").rows
    at_end = _sorted(entries, "last")
    starts = np.flatnonzero(np.diff(at_end.buckets, prepend=-1))
    ends = np.append(starts[1:], len(at_end.rows)) - 1 if len(starts) else starts
    first, last = _points(rows[starts], "first"), _points(at_end.rows[ends], "last")
    least, greatest = rows["least"], rows["greatest"]
    if len(starts):
        least, greatest = _extents(least, greatest, starts)
    sample = columns.concatenated([first.part(slice(-1)), last.part(slice(-1, None))])
    return Curve(
        first=first.points(),
        last=last.points(),
        least=np.ascontiguousarray(least),
        greatest=np.ascontiguousarray(greatest),
        sample=sample.points(),
    )


def _sorted(entries: _Entries, edge: str) -> _Entries:
    rows = entries.rows
    ranks = columns.ranks(np.ascontiguousarray(rows[f"{edge}_value"]))
    order = np.lexsort((ranks, rows[f"{edge}_time"], rows[f"{edge}_step"], entries.buckets))
    return _Entries(entries.buckets[order], rows[order])


def _points(rows: Rows, edge: str) -> Columns:
    return Columns(
        *(np.ascontiguousarray(rows[f"{edge}_{name}"]) for name in ("step", "time", "value"))
    )
