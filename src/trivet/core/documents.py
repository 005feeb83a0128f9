"""How documents change, which conditions they meet, and in which order they stand.

The rules that every adapter of `Catalog` keeps, on plain values, so that adapters cannot disagree.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from trivet.core.catalog import (
    ORDERED_TEXT,
    Amendment,
    Compare,
    Condition,
    Document,
    Either,
    Every,
    Has,
    OneOf,
    Operator,
    Order,
    Position,
    Value,
    is_same_value,
)
from trivet.core.errors import Conflict, Invalid, NotFound

_NUMBER, _TEXT, _NAN, _MISSING = range(4)


def amended(standing: Document | None, amendment: Amendment) -> Document | None:
    """Return what a checked amendment makes of a document; None when it is there no longer.

    The document given stays as it is.

    Raises:
        Invalid: A new document has no group.
        Conflict: As `Catalog.write` says.
        NotFound: As `Catalog.write` says.
    """
    if standing is None:
        return _new(amendment)
    if amendment.expect == "new":
        raise Conflict(
            f"{amendment.collection} has a document {amendment.id!r} already",
            code="document-exists",
            hint="Choose another identifier, or change the one that is there.",
            detail={"collection": amendment.collection, "id": amendment.id},
        )
    if amendment.remove:
        return None
    _check_once(standing, amendment)
    attributes = {**standing.attributes, **_floats(amendment.set), **_floats(amendment.once)}
    for name in amendment.drop:
        attributes.pop(name, None)
    return Document(
        id=standing.id,
        group=standing.group if amendment.group is None else amendment.group,
        attributes=attributes,
        notes=_without_none({**standing.notes, **_copied(amendment.note)}),
    )


def _new(amendment: Amendment) -> Document | None:
    if amendment.expect == "known":
        raise NotFound(
            f"{amendment.collection} has no document {amendment.id!r}",
            code="no-document",
            hint="Write it first, with its group.",
            detail={"collection": amendment.collection, "id": amendment.id},
        )
    if amendment.remove:
        return None
    if amendment.group is None:
        raise Invalid(
            f"the new document {amendment.id!r} of {amendment.collection} has no group",
            code="no-group",
            hint="Say which group a new document belongs to.",
            detail={"collection": amendment.collection, "id": amendment.id},
        )
    return Document(
        id=amendment.id,
        group=amendment.group,
        attributes={**_floats(amendment.set), **_floats(amendment.once)},
        notes=_without_none(_copied(amendment.note)),
    )


def _check_once(standing: Document, amendment: Amendment) -> None:
    for name, value in amendment.once.items():
        found = standing.attributes.get(name)
        if found is not None and not is_same_value(found, value):
            raise Conflict(
                f"{name!r} of the document {amendment.id!r} has another value already",
                code="other-value",
                hint="It is written once; leave it out, or write it under another name.",
                detail={
                    "collection": amendment.collection,
                    "id": amendment.id,
                    "name": name,
                    "found": found,
                    "given": value,
                },
            )


def _floats(values: Mapping[str, Value]) -> dict[str, Value]:
    return {name: v if isinstance(v, str) else float(v) for name, v in values.items()}


def _copied(note: dict[str, Any]) -> dict[str, Any]:
    """Return the note as a store gives it back: a copy that nobody else can change."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(note)) if note else {}


def _without_none(notes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in notes.items() if value is not None}


# ------------------------------------------------------------------ conditions


def holds(condition: Condition | None, attributes: Mapping[str, Value]) -> bool:
    """Whether a document with these attributes meets a condition."""
    if condition is None:
        return True
    if isinstance(condition, Every):
        return all(holds(part, attributes) for part in condition.parts)
    if isinstance(condition, Either):
        return any(holds(part, attributes) for part in condition.parts)
    value = attributes.get(condition.name)
    if isinstance(condition, Has):
        return (value is None) == condition.negated
    return value is not None and _is_met(condition, value)


def _is_met(condition: Compare | OneOf, value: Value) -> bool:
    if isinstance(condition, OneOf):
        wanted = {one if isinstance(one, str) else float(one) for one in condition.values}
        # NaN equals nothing, but a set finds the very same object.
        return (value == value and value in wanted) != condition.negated  # noqa: PLR0124
    if isinstance(condition.value, str):
        return isinstance(value, str) and text_test(condition.operator, condition.value)(value)
    return not isinstance(value, str) and _COMPARISONS[condition.operator](
        value, float(condition.value)
    )


_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": lambda one, two: one == two,
    "!=": lambda one, two: one != two,
    "<": lambda one, two: one < two,
    "<=": lambda one, two: one <= two,
    ">": lambda one, two: one > two,
    ">=": lambda one, two: one >= two,
}


def text_test(operator: Operator, wanted: str) -> Callable[[str], bool]:
    """Return the test that a comparison with a text puts other texts to."""
    if operator == "like":
        return _pattern_test(wanted)
    if operator == "ilike":
        matches = _pattern_test(wanted.casefold())
        return lambda text: matches(text.casefold())
    compare = _COMPARISONS[operator]
    return lambda text: compare(text, wanted)


def _pattern_test(pattern: str) -> Callable[[str], bool]:
    within = pattern.strip("%")
    # What is mostly asked for is a matter of one call.
    if pattern == f"%{within}%" and not {"%", "_"}.intersection(within):
        return lambda text: within in text
    return Pattern(pattern).matches


class Pattern:
    """A text in which `%` stands for any characters and `_` for one.

    Matching goes through the text once: each piece between two `%` is taken where it is found
    first, so that no pattern makes it try again and again.
    """

    def __init__(self, pattern: str) -> None:
        first, *others = pattern.split("%")
        self._whole = not others
        self._first = _Piece(first)
        self._last = _Piece(others[-1] if others else "")
        self._middle = [_Piece(piece) for piece in others[:-1] if piece]

    def matches(self, text: str) -> bool:
        """Whether all of the text is as the pattern says."""
        start, end = self._first.length, len(text) - self._last.length
        if start > end or (self._whole and start < end):
            return False
        if not (self._first.stands(text, 0) and self._last.stands(text, end)):
            return False
        for piece in self._middle:
            start = piece.find_end(text, start, end)
            if start < 0:
                return False
        return True


class _Piece:
    """What stands between two `%`."""

    def __init__(self, piece: str) -> None:
        self.length = len(piece)
        self._text = piece
        any_character = ("." if one == "_" else re.escape(one) for one in piece)
        self._sought = re.compile("".join(any_character), re.DOTALL) if "_" in piece else None

    def stands(self, text: str, place: int) -> bool:
        if self._sought is None:
            return text.startswith(self._text, place)
        return self._sought.match(text, place) is not None

    def find_end(self, text: str, start: int, end: int) -> int:
        """Return where the piece ends that is found first; -1 when there is none."""
        if self._sought is None:
            place = text.find(self._text, start, end)
            return place if place < 0 else place + self.length
        found = self._sought.search(text, start, end)
        return -1 if found is None else found.end()


# ---------------------------------------------------------------------- orders


def arranged(documents: Iterable[Document], order: tuple[Order, ...]) -> list[Document]:
    """Return documents in the order asked for."""
    found = sorted(documents, key=lambda document: document.id)
    for one in reversed(order):
        found = _arranged_by(found, one)
    return found


def _arranged_by(documents: list[Document], order: Order) -> list[Document]:
    classes: list[list[tuple[Any, Document]]] = [[], [], [], []]
    for document in documents:
        key = _key(document.attributes.get(order.name))
        classes[key[0]].append((key[1], document))
    for members in classes[:2]:
        members.sort(key=lambda item: item[0], reverse=order.falls)
    return [document for members in classes for _, document in members]


def _key(value: Value | None) -> tuple[int, Any]:
    if value is None:
        return _MISSING, 0
    if isinstance(value, str):
        return _TEXT, value[:ORDERED_TEXT]
    return (_NAN, 0) if math.isnan(value) else (_NUMBER, float(value))


def position_of(document: Document, order: tuple[Order, ...]) -> Position:
    """Return where a search that ends with this document goes on."""
    values = (document.attributes.get(one.name) for one in order)
    cut = (value[:ORDERED_TEXT] if isinstance(value, str) else value for value in values)
    return (*cut, document.id)


def is_behind(document: Document, order: tuple[Order, ...], after: Position) -> bool:
    """Whether a document stands behind a position."""
    for one, there in zip(order, after, strict=False):
        mine, other = _key(document.attributes.get(one.name)), _key(there)
        if mine == other:
            continue
        if mine[0] != other[0] or not one.falls:
            return mine > other
        return mine < other
    return document.id > str(after[-1])
