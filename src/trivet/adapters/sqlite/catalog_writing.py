"""Documents on their way into the database: whole rows, and the cells that searches read."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

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
from trivet.adapters.sqlite.session import Session, numbers
from trivet.core.catalog import ORDERED_TEXT, Amendment, Document, Value, is_same_value
from trivet.core.documents import amended

_FULL: Final = (1 << SLOTS) - 1
_attributes: Final = msgspec.msgpack.Decoder(dict[str, str | float])
_pack: Final = msgspec.msgpack.encode
Key = tuple[str, str]
"""A collection and an identifier."""


class Standing(NamedTuple):
    """A document as it is stored."""

    number: int
    document: Document
    attributes: bytes
    notes: bytes


def sort_of_groups(collection: str) -> str:
    """Return under which sort the words of a collection's groups are kept."""
    return f"group:{collection}"


def groups_of(session: Session, collection: str, groups: Iterable[str]) -> list[int]:
    """Return the words of those of some groups that there are."""
    sort = sort_of_groups(collection)
    found = (session.words.find(sort, group) for group in dict.fromkeys(groups))
    return [word for word in found if word is not None]


def sort_of_attributes(collection: str) -> str:
    """Return under which sort the words of a collection's attributes are kept."""
    return f"attribute:{collection}"


def to_document(identifier: str, group: str, attributes: bytes, notes: bytes | None) -> Document:
    """Read a document from its row; its notes may be left out."""
    return Document(
        id=identifier,
        group=group,
        attributes=_attributes.decode(attributes),
        notes={} if notes is None else msgspec.msgpack.decode(notes),
    )


def find_document(session: Session, collection: str, identifier: str) -> Document | None:
    """Return a document by its identifier."""
    found = _load(session, (collection, identifier))
    return None if found is None else found.document


def _load(session: Session, key: Key) -> Standing | None:
    collection, identifier = key
    row = session.one("document_by_id", (session.words.find("collection", collection), identifier))
    if row is None:
        return None
    number, group, attributes, notes = row
    document = to_document(identifier, session.words.word(group), attributes, notes)
    return Standing(number, document, attributes, notes)


def put_documents(session: Session, amendments: Iterable[Amendment]) -> None:
    """Change documents inside the session's transaction; the amendments were checked.

    Raises:
        Invalid: A new document has no group.
        Conflict: As `Catalog.write` says.
        NotFound: As `Catalog.write` says.
    """
    before: dict[Key, Standing | None] = {}
    after: dict[Key, Document | None] = {}
    for amendment in amendments:
        key = (amendment.collection, amendment.id)
        if key not in before:
            before[key] = found = _load(session, key)
            after[key] = None if found is None else found.document
        after[key] = amended(after[key], amendment)
    writing = _Writing(session)
    for key, document in after.items():
        writing.replace(key, before[key], document)
    writing.flush()


class _Writing:
    """The rows and cells of one batch, gathered and written together."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._blocks = _Blocks(session)
        self._rows: list[tuple[int, int, str, int, bytes, bytes]] = []
        self._changes: defaultdict[int, list[tuple[int, Value | None]]] = defaultdict(list)

    def replace(self, key: Key, before: Standing | None, document: Document | None) -> None:
        """Put a document in the place of another, or of nothing."""
        collection = key[0]
        if before is not None and (document is None or document.group != before.document.group):
            self._take_out(collection, before)
            before = None
        if document is None:
            return
        if before is None:
            self._put_in(collection, document)
        else:
            self._change(collection, before, document)

    def _put_in(self, collection: str, document: Document) -> None:
        group = self._group(collection, document)
        number = self._blocks.take(group)
        self._set(collection, number, document.attributes)
        self._set_id(number, document.id)
        word = self._session.words.intern("collection", collection)
        packed = _pack(document.attributes), _pack(document.notes)
        self._rows.append((number, word, document.id, group, *packed))

    def _take_out(self, collection: str, before: Standing) -> None:
        self._set(collection, before.number, dict.fromkeys(before.document.attributes))
        self._set_id(before.number, None)
        self._blocks.free(before.number, self._group(collection, before.document))
        self._session.run("drop_document", (before.number,))

    def _change(self, collection: str, before: Standing, document: Document) -> None:
        packed = _pack(document.attributes), _pack(document.notes)
        if packed == (before.attributes, before.notes):
            return
        self._set(collection, before.number, _changes(before.document, document))
        word = self._session.words.intern("collection", collection)
        group = self._group(collection, document)
        self._rows.append((before.number, word, document.id, group, *packed))

    def _group(self, collection: str, document: Document) -> int:
        return self._session.words.intern(sort_of_groups(collection), document.group)

    def _set(self, collection: str, number: int, changes: Mapping[str, Value | None]) -> None:
        intern, sort = self._session.words.intern, sort_of_attributes(collection)
        block, slot = slot_of(number)
        first = place_of(block, 0)
        for name, value in changes.items():
            self._changes[first | intern(sort, name)].append(
                (slot, value if value is None else cut(value))
            )

    def _set_id(self, number: int, identifier: str | None) -> None:
        block, slot = slot_of(number)
        self._changes[place_of(block, IDS)].append((slot, identifier))

    def flush(self) -> None:
        """Write what was gathered."""
        session = self._session
        session.many("put_document", self._rows)
        self._blocks.flush()
        places = sorted(self._changes)
        stored: list[Cell] = session.all("cells_at", (numbers(places),)) if places else []
        kept: list[tuple[int, bytes | None, bytes | None]] = []
        for place, cell in zip(places, stored, strict=True):
            changed = changed_cell(cell, self._changes[place])
            if changed == NO_CELL:
                session.run("drop_cell", (place,))
            elif changed != cell:
                kept.append((place, *changed))
        session.many("put_cell", kept)


def cut(value: Value | None) -> Value | None:
    """Return what a cell holds of an attribute's value."""
    return value[:ORDERED_TEXT] if isinstance(value, str) else value


def _changes(old: Document, new: Document) -> dict[str, Value | None]:
    """Return the attributes that differ, None for those that went away."""
    changes: dict[str, Value | None] = dict.fromkeys(old.attributes.keys() - new.attributes.keys())
    for name, value in new.attributes.items():
        known = old.attributes.get(name)
        if known is None or not is_same_value(known, value):
            changes[name] = value
    return changes


class _Blocks:
    """Which slots of which blocks are taken."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._used: dict[int, int] = {}
        self._changed: defaultdict[int, set[int]] = defaultdict(set)
        """By group: blocks that are not written yet."""
        self._open: dict[int, int] = {}

    def take(self, group: int) -> int:
        """Take a free slot of a group; return the number of the document that it is for."""
        block = self._open.get(group)
        if block is None or self._used[block] == _FULL:
            block = self._open[group] = self._with_room(group)
        used = self._used[block]
        self._used[block] = used | (used + 1)  # its lowest bit that is not set
        self._changed[group].add(block)
        return number_of(block, (~used & (used + 1)).bit_length() - 1)

    def _with_room(self, group: int) -> int:
        self._flush(group)
        row = self._session.one("block_with_room", (group,)) or self._session.one(
            "add_block", (group, bytes(SLOTS // 8), SLOTS)
        )
        block, used = row or (0, b"")
        self._used[block] = int.from_bytes(used, "little")
        return block

    def free(self, number: int, group: int) -> None:
        """Give the slot of a document back."""
        block, slot = slot_of(number)
        if block not in self._used:
            (used,) = self._session.one("block", (block,)) or (b"",)
            self._used[block] = int.from_bytes(used, "little")
        self._used[block] &= ~(1 << slot)
        self._changed[group].add(block)

    def flush(self) -> None:
        """Write which slots are taken."""
        for group in list(self._changed):
            self._flush(group)

    def _flush(self, group: int) -> None:
        for block in self._changed.pop(group, ()):
            used = self._used[block]
            packed = used.to_bytes(SLOTS // 8, "little")
            self._session.run("set_block", (packed, SLOTS - used.bit_count(), block))
