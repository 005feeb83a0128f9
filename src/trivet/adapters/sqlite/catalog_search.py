"""A page of a search: conditions and orders over columns, then the page's documents."""

import heapq
from bisect import bisect_left
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from trivet.adapters.sqlite.catalog_columns import Column, Mask, Rows, Shelf
from trivet.adapters.sqlite.catalog_conditions import rows_where
from trivet.adapters.sqlite.session import Session
from trivet.core.catalog import ORDERED_TEXT, Found, Search, Value
from trivet.core.documents import position_of

Keys = npt.NDArray[np.uint64]
"""Whole numbers that stand in the order of the values that they are made from."""
_LAST_NUMBER: Final = 0xFFF0_0000_0000_0000
"""The key of infinity; texts come behind it."""
_NAN: Final = 0xFFFF_FFFF_FFFF_FFFE
_MISSING: Final = 0xFFFF_FFFF_FFFF_FFFF
_SIGN: Final = np.uint64(1 << 63)


def find_page(session: Session, search: Search) -> Found:
    """Return a page of a search; the session is inside a transaction, the search was checked."""
    shelf = Shelf(session, search.collection, search.groups)
    rows = rows_where(shelf, search.where)
    keys: list[Keys] = []
    there: list[int] = []
    for place, order in enumerate(search.order):
        ranks = _Ranks(shelf.column(order.name), rows, falls=order.falls)
        keys.append(ranks.keys())
        if search.after is not None:
            there.append(ranks.key_of(search.after[place]))
    if search.after is not None:
        behind = _behind(shelf, rows, keys, there, str(search.after[-1]))
        rows, keys = rows[behind], [one[behind] for one in keys]
    page = _first(shelf, rows, keys, search.limit + 1)
    documents = tuple(shelf.documents(page[: search.limit], with_notes=search.with_notes))
    is_more = len(page) > search.limit
    return Found(
        documents=documents,
        after=position_of(documents[-1], search.order) if is_more else None,
    )


class _Ranks:
    """Gives the values of one order keys that stand in its order."""

    def __init__(self, column: Column, rows: Rows, *, falls: bool) -> None:
        self._column = column
        self._rows = rows
        self._falls = falls
        self._codes = column.codes[rows]
        self._texts = column.texts
        met: set[str] = {self._texts[code] for code in set(self._codes.tolist()) if code >= 0}
        self._sorted = sorted(met)

    def keys(self) -> Keys:
        """Return the key of every row."""
        values = self._column.numbers[self._rows]
        keys = self._of_numbers(values)
        keys[np.isnan(values)] = _NAN
        keys[~self._column.is_number[self._rows] & (self._codes < 0)] = _MISSING
        if self._sorted:
            rank_of = {text: rank for rank, text in enumerate(self._sorted)}
            ranks = np.array([rank_of.get(text, 0) for text in self._texts], np.uint64)
            is_text = self._codes >= 0
            keys[is_text] = self._of_ranks(ranks[self._codes[is_text]])
        return keys

    def key_of(self, value: Value | None) -> int:
        """Return the key of any value, also of one that no row has."""
        if value is None:
            return _MISSING
        if not isinstance(value, str):
            return _NAN if value != value else int(self._of_numbers(np.array([value], float))[0])  # noqa: PLR0124  # NaN
        text = value[:ORDERED_TEXT]
        rank = bisect_left(self._sorted, text)
        if rank < len(self._sorted) and self._sorted[rank] == text:
            return int(self._of_ranks(np.array([rank], np.uint64))[0])
        # Between the keys of two texts there is one for what stands between them.
        gap = len(self._sorted) - rank if self._falls else rank
        return _LAST_NUMBER + 1 + 2 * gap

    def _of_ranks(self, ranks: npt.NDArray[np.uint64]) -> Keys:
        steps = np.uint64(len(self._sorted) - 1) - ranks if self._falls else ranks
        return steps * np.uint64(2) + np.uint64(_LAST_NUMBER + 2)

    def _of_numbers(self, values: npt.NDArray[np.float64]) -> Keys:
        # Zero is added to make the negative zero positive.
        bits = ((-values if self._falls else values) + 0.0).view(np.uint64)
        return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _behind(shelf: Shelf, rows: Rows, keys: list[Keys], there: list[int], last: str) -> Mask:
    """Return which rows stand behind a position."""
    behind = np.zeros(len(rows), np.bool_)
    tied = np.ones(len(rows), np.bool_)
    for mine, other in zip(keys, there, strict=True):
        behind |= tied & (mine > np.uint64(other))
        tied &= mine == np.uint64(other)
    places = np.flatnonzero(tied)
    if len(places):
        behind[places] = [one > last for one in shelf.ids(rows[places])]
    return behind


def _first(shelf: Shelf, rows: Rows, keys: list[Keys], count: int) -> Rows:
    """Return the first rows in the order of their keys and then of their identifiers."""
    if keys and len(rows) > count:
        last = np.partition(keys[0], count - 1)[count - 1]
        kept = keys[0] <= last
        rows, keys = rows[kept], [one[kept] for one in keys]
    if keys:
        order = np.lexsort(keys[::-1])
        rows, keys = rows[order], [one[order] for one in keys]
    changes = np.zeros(max(0, len(rows) - 1), np.bool_)
    for one in keys:
        changes |= one[1:] != one[:-1]
    starts = [0, *(np.flatnonzero(changes) + 1).tolist(), len(rows)]
    found: list[Any] = []
    for start, end in pairwise(starts):
        found.append(_by_id(shelf, rows[start:end], count - start))
        if end >= count:
            break
    return np.concatenate(found)[:count] if found else rows


def _by_id(shelf: Shelf, rows: Rows, count: int) -> Rows:
    """Return the first rows in the order of their identifiers."""
    if len(rows) < 2:
        return rows
    ids = shelf.ids(rows)
    return rows[heapq.nsmallest(count, range(len(rows)), key=ids.__getitem__)]
