"""Documents with attributes, found by conditions: what every search of runs and models stands on.

A document is a projection: whatever it says was recorded as facts or points before. It is written
in the commit of the facts that it projects, so that no search ever sees one without the other.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, Protocol

import msgspec

from trivet.core.errors import Invalid
from trivet.core.ids import check_name

Value = str | float
"""Text, or a float64; NaN is a number that nothing equals. Whole numbers become float64, too."""
Position = tuple[Value | None, ...]
"""Where a search goes on: the last document's values in the order asked for, and its identifier."""
Operator = Literal["=", "!=", "<", "<=", ">", ">=", "like", "ilike"]

OPERATORS: Final = frozenset({"=", "!=", "<", "<=", ">", ">=", "like", "ilike"})
MOST_DOCUMENTS: Final = 50_000
ORDERED_TEXT: Final = 200
"""How many characters of a text an order looks at."""
_MOST_NAME: Final = 300
_MOST_TEXT: Final = 200_000
_MOST_PATTERN: Final = 2_000
_MOST_DEPTH: Final = 50
_MOST_ORDERS: Final = 50
_MOST_PARTS: Final = 2_000


class Amendment(msgspec.Struct, frozen=True, kw_only=True):
    """A change of one document; what it does not mention stays as it is.

    An attribute is named by one of `set`, `once` and `drop`.
    """

    collection: str
    """A name as people choose them: `runs`, `models`."""
    id: str
    group: str | None = None
    """What searches are narrowed to first, such as an experiment; required for a new document.

    Another group than that of a document that exists moves it there.
    """
    set: dict[str, Value] = {}
    once: dict[str, Value] = {}
    """Like `set`, but a value that stands there already and differs refuses the whole batch."""
    drop: tuple[str, ...] = ()
    """Attributes to take away; those that are not there are no error."""
    note: dict[str, Any] = {}
    """JSON-ready things to keep beside the attributes, not searched; None takes one away."""
    expect: Literal["any", "new", "known"] = "any"
    """Whether the document must not exist yet, or must."""
    remove: bool = False
    """The document goes away, with everything in it; one that is not there is no error."""


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """One document, whole."""

    id: str
    group: str
    attributes: dict[str, Value]
    notes: dict[str, Any]


class Compare(msgspec.Struct, frozen=True, tag="compare"):
    """The attribute is there and compares so.

    Text is compared by code points. `like` takes `%` for any characters and `_` for one, and minds
    case; `ilike` compares both sides as Unicode folds their case. NaN is `!=` to every number and
    nothing else. A number and a text never match.
    """

    name: str
    operator: Operator
    value: Value


class OneOf(msgspec.Struct, frozen=True, tag="one-of"):
    """The attribute is there and is one of the values, or with `negated` none of them.

    NaN is none of any values.
    """

    name: str
    values: tuple[Value, ...]
    negated: bool = False


class Has(msgspec.Struct, frozen=True, tag="has"):
    """The attribute is there, or with `negated` it is not."""

    name: str
    negated: bool = False


class Every(msgspec.Struct, frozen=True, tag="every"):
    """All parts hold; without parts it always does."""

    parts: tuple["Condition", ...]


class Either(msgspec.Struct, frozen=True, tag="either"):
    """At least one part holds; without parts it never does."""

    parts: tuple["Condition", ...]


Condition = Compare | OneOf | Has | Every | Either


class Order(msgspec.Struct, frozen=True):
    """One attribute to order by.

    Numbers stand before text, NaN behind all numbers and text, and documents without the attribute
    last: in both directions. Of a text the first 200 characters count.
    """

    name: str
    falls: bool = False


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for, in which order, and from where."""

    collection: str
    groups: tuple[str, ...] | None = None
    """Only documents of these groups; None: of all."""
    where: Condition | None = None
    order: tuple[Order, ...] = ()
    """Documents that are equal in all of it stand by their identifiers, rising."""
    after: Position | None = None
    limit: int = 100
    """1 to 50,000."""
    with_notes: bool = True
    """Whether documents come with their notes. Without, large pages are read twice as fast."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A page of documents; `after` continues the search, None when it is over."""

    documents: tuple[Document, ...]
    after: Position | None


class Catalog(Protocol):
    """Documents with attributes. They are also written by `Ledger.commit`."""

    def write(self, amendments: Iterable[Amendment], *, synced: bool = True) -> None:
        """Change documents, all or none; an amendment sees what those before it did.

        With `synced=False` the call does not wait for the disk, as in `Ledger.commit`.

        Raises:
            Invalid: A name or value is malformed, or a new document has no group.
            Conflict: A value of `once` is another by now (code `other-value`), or a document that
                was expected to be new exists (`document-exists`).
            NotFound: A document that was expected does not exist (`no-document`).
        """
        ...

    def get(self, collection: str, ids: Sequence[str]) -> tuple[Document, ...]:
        """Return the documents with these identifiers that exist, in the order asked for."""
        ...

    def search(self, search: Search) -> Found:
        """Return a page of the documents that a search is for.

        A page costs the same wherever it lies, and what is written meanwhile moves none of the
        documents that did not change.

        Raises:
            Invalid: The limit is out of range, `after` does not fit the order, or a condition is
                malformed.
        """
        ...

    def names(
        self, collection: str, prefix: str = "", *, groups: Sequence[str] | None = None
    ) -> tuple[str, ...]:
        """Return the names of attributes that documents have or had, sorted.

        Args:
            collection: Whose documents.
            prefix: What the names begin with.
            groups: Only of documents of these groups; None: of all.
        """
        ...


def check_amendment(amendment: Amendment) -> None:
    """Check all of an amendment that can be checked without a store.

    Raises:
        Invalid: A name is empty, too long or named twice, a value is neither text nor number, text
            is longer than 200,000 characters, or a note cannot be stored.
    """
    check_name(amendment.collection, "collection")
    _check_text(amendment.id, "id")
    if amendment.group is not None:
        _check_text(amendment.group, "group")
    for name, value in (*amendment.set.items(), *amendment.once.items()):
        _check_text(name, "attribute")
        _check_value(name, value)
    for name in amendment.drop:
        _check_text(name, "attribute")
    _check_note(amendment)
    parts = (amendment.set, amendment.once, amendment.drop)
    if len(set[str]().union(*parts)) < sum(map(len, parts)):
        raise Invalid(
            f"an attribute of the document {amendment.id!r} is named twice; expected it in one of "
            "set, once and drop",
            code="bad-document",
        )
    if amendment.remove and (any(parts) or amendment.note or amendment.expect == "new"):
        raise Invalid(
            f"the document {amendment.id!r} shall go away and be written; expected one of them",
            code="bad-document",
        )


def _check_value(name: str, value: object) -> None:
    if isinstance(value, str):
        fits = len(value) <= _MOST_TEXT and _is_text(value)
    else:
        fits = _is_number(value)
    if not fits:
        raise Invalid(
            f"attribute {name!r} is a {type(value).__name__}; expected a float64, or text of "
            f"at most {_MOST_TEXT} characters",
            code="bad-attribute",
        )


def _check_note(amendment: Amendment) -> None:
    try:
        for name in amendment.note:
            _check_text(name, "note")
        msgspec.msgpack.encode(amendment.note)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        if isinstance(error, Invalid):
            raise
        raise Invalid(
            f"a note of the document {amendment.id!r} cannot be stored: {error}", code="bad-note"
        ) from error


def check_catalog_search(search: Search) -> None:
    """Check a search.

    Raises:
        Invalid: The limit is out of range, `after` does not fit the order, there are more than 50
            orders or 2,000 conditions, or a condition compares with what is no text or number, has
            a pattern longer than 2,000 characters, or is nested deeper than 50.
    """
    if not 1 <= search.limit <= MOST_DOCUMENTS:
        raise Invalid(f"limit is {search.limit}; expected 1 to {MOST_DOCUMENTS}", code="bad-limit")
    if len(search.order) > _MOST_ORDERS:
        raise Invalid(
            f"order has {len(search.order)} attributes; expected at most {_MOST_ORDERS}",
            code="bad-order",
        )
    if search.where is not None:
        _check_condition(search.where)
    if search.after is not None:
        _check_after(search.after, len(search.order) + 1)


def _check_after(after: Position, expected: int) -> None:
    if len(after) != expected or not isinstance(after[-1], str):
        raise Invalid(
            f"after has {len(after)} values; expected {expected}, the last an identifier",
            code="bad-after",
        )
    for value in after:
        if value is not None and not _is_value(value):
            raise Invalid(
                f"after has a {type(value).__name__}; expected numbers, text or None",
                code="bad-after",
            )


def _check_condition(condition: Condition) -> None:
    """Check a condition level by level."""
    level: list[Condition] = [condition]
    parts = 0
    for _ in range(_MOST_DEPTH):
        parts += len(level)
        if parts > _MOST_PARTS:
            break
        deeper: list[Condition] = []
        for part in level:
            _check_part(part)
            if isinstance(part, Every | Either):
                deeper += part.parts
        level = deeper
    if level or parts > _MOST_PARTS:
        raise Invalid(
            f"there are more than {_MOST_PARTS} conditions, or they are nested deeper than "
            f"{_MOST_DEPTH}",
            code="bad-condition",
            hint="To ask for one of many values, use one condition with all of them.",
        )


def _check_part(part: Condition) -> None:
    if isinstance(part, OneOf):
        for value in part.values:
            _check_compared(part.name, value)
    elif isinstance(part, Compare):
        _check_compared(part.name, part.value)
        _check_operator(part)


def _check_compared(name: str, value: object) -> None:
    if not _is_value(value):
        raise Invalid(
            f"{name!r} is compared with a {type(value).__name__}; expected a number or text",
            code="bad-condition",
        )


def _check_operator(condition: Compare) -> None:
    if condition.operator not in OPERATORS:
        raise Invalid(
            f"{condition.operator!r} compares nothing; expected one of {sorted(OPERATORS)}",
            code="bad-condition",
        )
    is_pattern = condition.operator in {"like", "ilike"}
    if is_pattern and not (
        isinstance(condition.value, str) and len(condition.value) <= _MOST_PATTERN
    ):
        raise Invalid(
            f"{condition.name!r} is compared by {condition.operator} with a "
            f"{type(condition.value).__name__}; expected at most {_MOST_PATTERN} characters",
            code="bad-condition",
        )


def is_same_value(one: Value, two: Value) -> bool:
    """Whether two values are the same, NaN being the same as itself."""
    if isinstance(one, str) or isinstance(two, str):
        return one == two
    return one == two or (math.isnan(one) and math.isnan(two))


def _check_text(text: object, field: str) -> None:
    if not isinstance(text, str) or not 0 < len(text) <= _MOST_NAME or not _is_text(text):
        raise Invalid(
            f"the {field} of a document is a {type(text).__name__} that is no valid one; "
            f"expected 1 to {_MOST_NAME} characters",
            code="bad-document",
        )


def _is_value(value: object) -> bool:
    return _is_text(value) if isinstance(value, str) else _is_number(value)


def _is_text(text: str) -> bool:
    """Whether the text can be written as UTF-8: a lone surrogate cannot."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _is_number(value: object) -> bool:
    if isinstance(value, float):
        return True
    if isinstance(value, bool) or not isinstance(value, int):
        return False
    try:
        float(value)
        return True
    except OverflowError:
        return False
