"""Searches for versions of data sets.

Versions are few beside runs, and their facts say all there is: a search reads those, and asks the
same grammar and order as every other.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Final

import msgspec

from trivet.core.catalog import Condition, Document, Order, Position, Search, check_catalog_search
from trivet.core.clock import to_micros
from trivet.core.documents import arranged, holds, is_behind, position_of
from trivet.core.facts import Entry, read
from trivet.core.filtering import Entity, Grammar, Kind, parse_filter, parse_order
from trivet.core.ports import Ledger
from trivet.core.search import find_all
from trivet.data.facts import DataCommit

_KINDS: Final[dict[str, Kind]] = {
    "name": "text",
    "version": "text",
    "rows": "number",
    "bytes": "number",
    "files": "number",
    "width": "number",
    "source": "text",
    "message": "text",
    "synthetic": "text",
    "user": "text",
    "made": "time",
    "until": "time",
}
_COLLECTION: Final = "data"
_FIRST: Final = (Order("name"), Order("made", falls=True))


class FoundData(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a data set as a search finds it."""

    name: str
    version: str
    """The data commit's identifier."""
    rows: int
    """Of all tables."""
    bytes: int
    """Of all tables and file trees."""
    files: int
    """Of all file trees."""
    columns: dict[str, str]
    """Columns of all tables with their types."""
    source: str
    message: str
    synthetic: bool
    user: str
    made: datetime
    until: datetime | None
    tags: dict[str, str]


class FoundDatasets(msgspec.Struct, frozen=True, kw_only=True):
    """A page of versions; `after` continues the search, None when it is over."""

    versions: tuple[FoundData, ...]
    after: Position | None


def find_data(
    ledger: Ledger,
    project: str,
    text: str = "",
    *,
    every_version: bool = False,
    order: Iterable[str] = (),
    after: Position | None = None,
    limit: int = 1000,
) -> FoundDatasets:
    """Return a page of versions, by name and the newest first unless an order is given.

    Args:
        ledger: Where they are recorded.
        project: The project.
        text: A filter, such as `columns.age IS NOT NULL AND rows > 1000`. It speaks of name,
            version, rows, bytes, files, width (how many columns), source, message, synthetic
            (`yes` or `no`), user, made, until, columns (their types) and tags.
        every_version: All versions; otherwise the newest of each data set.
        order: Names to order by, each with ASC or DESC behind it when it matters.
        after: Where an earlier page of the same search ended.
        limit: 1 to 50,000.

    Raises:
        Invalid: The filter or an order does not follow the grammar, names what no version has
            (code `unknown-column`), or the limit is out of range.
    """
    entries = _entries(ledger, project, every_version=every_version)
    known = [(document, found) for document, found in map(_described, entries)]
    grammar = _grammar([document for document, _ in known])
    where = parse_filter(text, grammar)
    asked = tuple(parse_order(one, grammar) for one in order)
    orders = (*asked, *(one for one in _FIRST if one.name not in {o.name for o in asked}))
    check_catalog_search(
        Search(collection=_COLLECTION, where=where, order=orders, after=after, limit=limit)
    )
    found = {document.id: one for document, one in known}
    page = _page([document for document, _ in known], where, orders, after)
    is_more = len(page) > limit
    page = page[:limit]
    return FoundDatasets(
        versions=tuple(found[document.id] for document in page),
        after=position_of(page[-1], orders) if is_more else None,
    )


def _page(
    documents: Iterable[Document],
    where: Condition,
    orders: tuple[Order, ...],
    after: Position | None,
) -> list[Document]:
    met = [document for document in documents if holds(where, document.attributes)]
    ordered = arranged(met, orders)
    return ordered if after is None else [d for d in ordered if is_behind(d, orders, after)]


def _entries(ledger: Ledger, project: str, *, every_version: bool) -> list[Entry]:
    if every_version:
        found = find_all(ledger, DataCommit.KIND, where={}, project=project)
        return [entry for entry in found if entry.payload is not None]
    heads = ledger.heads(project, "data/")
    newest = (ledger.get(head.target) for head in heads)
    return [entry for entry in newest if entry is not None and entry.payload is not None]


def _grammar(documents: Iterable[Document]) -> Grammar:
    names = {name for document in documents for name in document.attributes}

    def known(prefix: str) -> Collection[str]:
        return [name for name in names if name.startswith(prefix)]

    own = Entity(prefix="", fields=_KINDS)
    return Grammar(
        entities={
            **dict.fromkeys(("columns", "column"), Entity(prefix="columns.")),
            **dict.fromkeys(("tags", "tag"), Entity(prefix="tags.")),
        },
        bare=own,
        aliases={"id": "version", "created": "made", "size_bytes": "bytes"},
        known=known,
    )


def _described(entry: Entry) -> tuple[Document, FoundData]:
    commit = read(entry, DataCommit)
    columns = {name: type_ for table in commit.tables for name, type_ in table.columns.items()}
    found = FoundData(
        name=commit.dataset,
        version=entry.id,
        rows=sum(table.rows for table in commit.tables),
        bytes=sum(part.size_bytes for part in (*commit.tables, *commit.trees)),
        files=sum(tree.files for tree in commit.trees),
        columns=columns,
        source=commit.source,
        message=commit.message,
        synthetic=commit.synthetic,
        user=entry.actor,
        made=entry.time,
        until=commit.until,
        tags=commit.tags,
    )
    until = {} if commit.until is None else {"until": _ms(commit.until)}
    document = Document(
        id=entry.id,
        group=entry.project,
        attributes={
            "name": found.name,
            "version": found.version,
            "rows": float(found.rows),
            "bytes": float(found.bytes),
            "files": float(found.files),
            "width": float(len(columns)),
            "source": found.source,
            "message": found.message,
            "synthetic": "yes" if found.synthetic else "no",
            "user": found.user,
            "made": _ms(found.made),
            **until,
            **{f"columns.{name}": type_ for name, type_ in columns.items()},
            **{f"tags.{name}": value for name, value in commit.tags.items()},
        },
        notes={},
    )
    return document, found


def _ms(time: datetime) -> float:
    return to_micros(time) / 1000
