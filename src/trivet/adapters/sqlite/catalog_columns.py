"""The columns that a search reads: one attribute of all documents of some groups, as arrays."""

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt

from trivet.adapters.sqlite.catalog_cells import (
    IDS,
    NO_CELL,
    NOTHING,
    SLOTS,
    Cell,
    number_of,
    place_of,
    unpack_texts,
)
from trivet.adapters.sqlite.catalog_writing import (
    groups_of,
    sort_of_attributes,
    sort_of_groups,
    to_document,
)
from trivet.adapters.sqlite.session import Session, numbers
from trivet.core.catalog import ORDERED_TEXT, Document

Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]
"""Places in a column."""
Doubt = tuple[bool, bool]
"""Whether something holds for sure, and whether it may."""
Judgement = tuple[Mask, Mask]
"""The same for every slot."""
_FEW: Final = 500
"""So many identifiers are looked up one by one more quickly than the column of them is read."""
_NO_TEXTS: Final[tuple[list[str], bytes]] = ([], b"")
_MISSING: Final = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


class Column:
    """One attribute of all slots: each has a number, a text, or nothing.

    Args:
        cells: For each block, the stored numbers and texts.
        widths: For each block, how many slots of it count.
    """

    def __init__(self, cells: Sequence[Cell], widths: Sequence[int]) -> None:
        self._cells = cells
        self._widths = widths

    @cached_property
    def numbers(self) -> npt.NDArray[np.float64]:
        """The numbers; where there is none, a NaN."""
        packed = (
            (numbers or b"").ljust(8 * width, NOTHING)
            for (numbers, _), width in zip(self._cells, self._widths, strict=True)
        )
        return np.frombuffer(b"".join(packed), np.dtype("<f8"))

    @cached_property
    def is_number(self) -> Mask:
        """Where a number is."""
        return self.numbers.view(np.uint64) != _MISSING

    @cached_property
    def _texts(self) -> tuple[list[str], npt.NDArray[np.int64]]:
        texts: list[str] = []
        packed: list[bytes] = []
        firsts = np.zeros(len(self._cells), np.int64)
        for place, ((_, cell), width) in enumerate(zip(self._cells, self._widths, strict=True)):
            distinct, codes = _NO_TEXTS if cell is None else unpack_texts(cell)
            firsts[place] = len(texts)
            texts += distinct
            packed.append(codes.ljust(width, NOTHING))
        slots = np.frombuffer(b"".join(packed), np.uint8)
        codes = np.repeat(firsts, self._widths) + slots
        codes[slots == NOTHING[0]] = -1
        return texts, codes

    @property
    def texts(self) -> list[str]:
        """The texts that `codes` stand for; the same may stand there several times."""
        return self._texts[0]

    @property
    def codes(self) -> npt.NDArray[np.int64]:
        """For each slot the place of its text, -1 where there is none."""
        return self._texts[1]

    @property
    def is_text(self) -> Mask:
        """Where a text is."""
        return self.codes >= 0

    def judge_texts(
        self, test: Callable[[str], bool], judge_long: Callable[[str], Doubt], among: Mask
    ) -> Judgement:
        """Judge texts; those of other slots than `among` may be judged not to hold.

        Args:
            test: Judges a text that is whole.
            judge_long: Judges the beginning of a text that may be longer.
            among: Which slots matter.
        """
        matter = np.zeros(len(self.texts) + 1, np.bool_)
        matter[self.codes[among]] = True
        places = np.flatnonzero(matter[:-1])
        texts = [self.texts[place] for place in places.tolist()]
        sure = np.zeros(len(matter), np.bool_)
        sure[places] = np.fromiter(map(test, texts), np.bool_, len(texts))
        may = sure.copy()
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        for place in np.flatnonzero(lengths >= ORDERED_TEXT).tolist():
            sure[places[place]], may[places[place]] = judge_long(texts[place])
        # The last is for slots without a text, whose code is -1.
        return sure[self.codes], may[self.codes]


class Shelf:
    """All documents of some groups of a collection, seen through one transaction.

    Args:
        session: Reads inside a transaction.
        collection: Whose documents.
        groups: Of which groups; None for all.
    """

    def __init__(self, session: Session, collection: str, groups: Iterable[str] | None) -> None:
        self._session = session
        self._sort = sort_of_attributes(collection)
        self._columns: dict[str | None, Column] = {}
        if groups is None:
            wanted = session.words.of_sort(sort_of_groups(collection))
        else:
            wanted = groups_of(session, collection, groups)
        rows = session.all("blocks_of", (numbers(wanted),)) if wanted else []
        self._blocks: list[int] = [block for block, _ in rows]
        # Groups may be many and small: of a block, only what is in use is read into columns.
        self._widths = [int.from_bytes(used, "little").bit_length() for _, used in rows]
        self._ends = np.cumsum(self._widths, dtype=np.int64)
        used = np.frombuffer(b"".join(used for _, used in rows), np.uint8)
        bits = np.unpackbits(used, bitorder="little").view(np.bool_).reshape(-1, SLOTS)
        counts = np.arange(SLOTS) < np.array(self._widths, np.int64).reshape(-1, 1)
        self.is_used: Mask = bits[counts]
        """Where documents are."""

    def column(self, name: str) -> Column:
        """Return an attribute of all slots."""
        if name not in self._columns:
            word = self._session.words.find(self._sort, name)
            self._columns[name] = self._read(word)
        return self._columns[name]

    def ids(self, rows: Rows) -> list[str]:
        """Return the identifiers of documents."""
        if len(rows) < _FEW:
            return [row[0] for row in self._session.all("ids_at", (numbers(self._numbers(rows)),))]
        if None not in self._columns:
            self._columns[None] = self._read(IDS)
        column = self._columns[None]
        texts = column.texts
        return [texts[code] for code in column.codes[rows].tolist()]

    def _read(self, word: int | None) -> Column:
        if word is None:
            return Column([NO_CELL] * len(self._blocks), self._widths)
        places = [place_of(block, word) for block in self._blocks]
        cells = self._session.all("cells_at", (numbers(places),)) if places else []
        return Column(cells, self._widths)

    def documents(self, rows: Rows, *, with_notes: bool = False) -> list[Document]:
        """Return documents, in the order asked for."""
        if not len(rows):
            return []
        wanted = numbers(self._numbers(rows))
        found: list[Any] = self._session.all("documents_at", (wanted,))
        word = self._session.words.word
        return [
            to_document(id_, word(group), attributes, notes if with_notes else None)
            for id_, group, attributes, notes in found
        ]

    def _numbers(self, rows: Rows) -> list[int]:
        places = np.searchsorted(self._ends, rows, side="right")
        slots = rows - self._ends[places] + np.array(self._widths, np.int64)[places]
        blocks = np.array(self._blocks, np.int64)[places]
        return list(map(number_of, cast("list[int]", blocks.tolist()), slots.tolist()))
