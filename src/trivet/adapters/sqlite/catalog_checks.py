"""Do the columns that searches read say what the documents say?"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from trivet.adapters.sqlite.catalog_cells import (
    IDS,
    NO_CELL,
    SLOTS,
    Cell,
    changed_cell,
    number_of,
    place_of,
    slot_of,
)
from trivet.adapters.sqlite.catalog_writing import cut, sort_of_attributes, to_document
from trivet.adapters.sqlite.session import Session
from trivet.core.catalog import Value
from trivet.core.ports import Damage

_HINT: Final = "Run `trivet fsck --rebuild-catalog`."


def damaged_blocks(session: Session) -> Iterator[Damage]:
    """Compare every block with its documents; yield what differs."""
    cells = documents = 0
    for block, group, used in session.all("all_blocks"):
        expected, slots = _expected(session, block, group)
        found = _found(session, block)
        if slots.to_bytes(SLOTS // 8, "little") != used:
            yield _damage(block, "holds other documents than it says")
        for place in expected.keys() | found.keys():
            if expected.get(place) != found.get(place):
                yield _damage(block, f"has another column {_name(session, place)} than documents")
        cells += len(found)
        documents += slots.bit_count()
    if [(documents, cells)] != session.all("count_documents"):
        yield Damage(
            store="ledger",
            name="catalog",
            problem="has documents or columns outside its blocks",
            hint=_HINT,
        )


def mend_blocks(session: Session, after: int, most: int) -> tuple[int, int | None]:
    """Write the columns of some blocks again where they differ from their documents.

    Args:
        session: Inside a transaction.
        after: The block behind which to begin; 0 for the first.
        most: How many blocks to look at.

    Returns:
        How many were mended, and the last block that was looked at; None: there was none.
    """
    mended, last = 0, None
    for block, group, used in session.all("blocks_after", (after, most)):
        last = block
        (expected, slots), found = _expected(session, block, group), _found(session, block)
        packed = slots.to_bytes(SLOTS // 8, "little")
        if expected == found and packed == used:
            continue
        for place in found.keys() - expected.keys():
            session.run("drop_cell", (place,))
        session.many("put_cell", [(place, *cell) for place, cell in expected.items()])
        session.run("set_block", (packed, SLOTS - slots.bit_count(), block))
        mended += 1
    return mended, last


def _found(session: Session, block: int) -> dict[int, Cell]:
    """Return the cells that are stored of a block."""
    between = (place_of(block, 0), place_of(block + 1, 0))
    return {
        place: (numbers, texts) for place, numbers, texts in session.all("cells_between", between)
    }


def _expected(session: Session, block: int, group: int) -> tuple[dict[int, Cell], int]:
    """Return the cells that a block's documents make, and a bit for each slot that one is in."""
    changes: defaultdict[int, list[tuple[int, Value | None]]] = defaultdict(list)
    slots = 0
    rows = session.all("documents_between", (number_of(block, 0), number_of(block + 1, 0)))
    for number, collection, identifier, own_group, attributes, notes in rows:
        slot = slot_of(number)[1]
        slots |= (own_group == group) << slot
        changes[place_of(block, IDS)].append((slot, identifier))
        document = to_document(identifier, "", attributes, notes)
        sort = sort_of_attributes(session.words.word(collection))
        for name, value in document.attributes.items():
            word = session.words.find(sort, name)
            changes[place_of(block, -1 if word is None else word)].append((slot, cut(value)))
    return {place: changed_cell(NO_CELL, values) for place, values in changes.items()}, slots


def _name(session: Session, place: int) -> str:
    word = place & (place_of(1, 0) - 1)
    return "of identifiers" if word == IDS else repr(session.words.word(word))


def _damage(block: int, problem: str) -> Damage:
    return Damage(store="ledger", name=f"block {block} of documents", problem=problem, hint=_HINT)
