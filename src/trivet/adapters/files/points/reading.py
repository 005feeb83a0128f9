"""Reading one series out of all segments."""

from collections.abc import Iterable

from trivet.adapters.files import segments
from trivet.adapters.files.points import columns, curves
from trivet.adapters.files.points.columns import Columns
from trivet.adapters.files.points.curves import Cut, Piece
from trivet.adapters.files.points.sources import Source
from trivet.adapters.files.points.tree import Key
from trivet.core.ports import Curve, Points


def read(sources: Iterable[Source], key: Key, first: int | None, last: int | None) -> Points:
    """Return the points of a series in a range of steps, as `Series.read` does.

    Raises:
        FileNotFoundError: A segment was merged meanwhile.
        Corrupt: A segment is damaged.
    """
    parts: list[Columns] = []
    for source in sources:
        found = source.found(key)
        parts.append(columns.columns_of_records(found.records))
        rows = columns.between(columns.rows_of(found.rows), first, last)
        with segments.named(source.place):
            parts += map(columns.columns_of, columns.contents(source.segment.fd, rows))
    return columns.clip(columns.join(parts), first, last).points()


def curve(sources: Iterable[Source], key: Key, cut: Cut) -> Curve:
    """Reduce a series, as `Series.curve` does.

    Raises:
        FileNotFoundError: A segment was merged meanwhile.
        Corrupt: A segment is damaged.
    """
    pieces: list[Piece] = []
    for source in sources:
        found = source.found(key)
        if found.rows or found.records:
            rows = columns.rows_of(found.rows)
            pieces.append(Piece(source, rows, columns.columns_of_records(found.records)))
    return curves.reduce(pieces, cut)
