"""Rebuilding: the catalog is made again from facts and points, while everything runs.

The documents are made in a catalog aside; then those that stand are compared with them, and what
differs is written. So nobody finds less meanwhile, what is sound is not touched, and a process
that is killed leaves a catalog that is no worse than before. Beginning anew ends the same.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from trivet.core.catalog import (
    Amendment,
    Catalog,
    Document,
    Position,
    Search,
    is_same_value,
)
from trivet.core.errors import Conflict, Invalid
from trivet.core.facts import HeadMove, Scope, draft
from trivet.core.ports import Ledger, Stores
from trivet.core.projecting import Projectors
from trivet.models import amending
from trivet.models.documents import REGISTERED, VERSIONS
from trivet.models.facts import ModelVersion, NameRegistered
from trivet.models.names import head_of, registered_head
from trivet.tracking import projecting
from trivet.tracking.reporting.documents import EXPERIMENTS, RUNS
from trivet.tracking.reporting.model_points import LOGGED_MODELS
from trivet.tracking.reporting.points import CURSORS, Metrics
from trivet.tracking.traces.documents import TRACES
from trivet.tracking.webhooks.announcing import WEBHOOKS
from trivet.tracking.webhooks.documents import PRIVATE
from trivet.workspace.replaying import Key, Replay, as_amendment
from trivet.workspace.reshelving import reshelve
from trivet.workspace.wiring import Opened, scratch_stores

PROJECTORS: Final[Projectors] = {**projecting.PROJECTORS, **amending.PROJECTORS}
COLLECTIONS: Final = (EXPERIMENTS, RUNS, LOGGED_MODELS, REGISTERED, VERSIONS, TRACES, WEBHOOKS)
_PAGE: Final = 2000
_TOLD: Final = 10_000
_ROUNDS: Final = 100

Tell = Callable[[str], None]
"""Told which part is done, for a person."""


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """What a rebuild read, and what it had to mend."""

    facts: int
    documents: int
    added: int
    """Documents that were missing."""
    changed: int
    """Documents that said something else than the facts."""
    removed: int
    """Documents that no fact speaks of."""
    troubles: tuple[str, ...]
    """What could not be made again, for a person."""
    names: int = 0
    """Names of packages that were registered now, because they were older than names are."""
    files: int = 0
    """Rows by which artifacts are listed that said something else than the facts."""
    columns: int = 0
    """Blocks whose columns said something else than their documents."""


def make_catalog_anew(opened: Opened, actor: str, tell: Tell | None = None) -> Rebuilt:
    """Make the catalog of embedded stores again: one that is damaged, or older than catalogs are.

    Others may write meanwhile. It can be killed and called again at any time.

    Args:
        opened: The open stores.
        actor: In whose name the names of older packages are registered.
        tell: Told now and then how far it is.

    Raises:
        Conflict: Another process is at it (code `rebuilding`).
    """
    with scratch_stores(opened.folder) as scratch:
        columns = opened.mend_columns()
        names = register_names(opened.stores.ledger, actor)
        report = rebuild_catalog(opened.stores, scratch.catalog, tell)
        files = reshelve(opened.stores, scratch.views, actor)
    return msgspec.structs.replace(report, names=names, columns=columns, files=files)


def rebuild_catalog(stores: Stores, scratch: Catalog, tell: Tell | None = None) -> Rebuilt:
    """Make the catalog say what facts and points say, in bounded memory.

    Writers may go on meanwhile. Web hooks' addresses and secrets are in no fact: they stay where
    they stand, and a web hook whose document is lost must be registered again.

    Args:
        stores: The stores; of them, the catalog changes.
        scratch: An empty catalog to work in.
        tell: Told now and then how far it is.
    """
    say: Tell = tell or _silent
    points = Metrics(stores)
    cursor = _followed(stores, points)
    replay = Replay(stores.ledger, scratch, PROJECTORS)
    while True:
        before = replay.seq
        replay.follow(_TOLD)
        if replay.seq == before:
            break
        say(f"{replay.read} facts read")
    aside = Metrics(msgspec.structs.replace(stores, catalog=scratch))
    aside.catch_up()
    say("points read")
    mending = _Mending(stores.catalog, scratch, replay, aside)
    for collection in COLLECTIONS:
        mending.mend(collection)
        say(f"{collection} compared")
    # Points that came meanwhile may have been overtaken: they are followed once more.
    stores.catalog.write(cursor)
    points.catch_up()
    return Rebuilt(
        facts=replay.read,
        documents=mending.documents,
        added=mending.added,
        changed=mending.changed,
        removed=mending.removed,
        troubles=(*replay.troubles, *mending.troubles),
    )


def register_names(ledger: Ledger, actor: str) -> int:
    """Register the names of packages that were made before names were facts; say how many.

    Args:
        ledger: The facts.
        actor: In whose name.
    """
    found: dict[tuple[str, str], None] = {}
    after: int | None = None
    while True:
        page = ledger.find(ModelVersion.KIND, after=after, limit=1000, newest_first=False)
        for entry in page.entries:
            if entry.payload is not None:
                name = msgspec.json.decode(entry.payload, type=ModelVersion).name
                found[entry.project, name] = None
        after = page.after
        if after is None:
            break
    return sum(_register(ledger, Scope(project=p, actor=actor), name) for p, name in found)


def _register(ledger: Ledger, scope: Scope, name: str) -> bool:
    # A name that has no version any more was given up.
    if ledger.head(scope.project, head_of(name)) is None:
        return False
    if ledger.head(scope.project, registered_head(name)) is not None:
        return False
    fact = draft(NameRegistered(name=name))
    move = HeadMove(name=registered_head(name), to=fact.id, expect=None)
    try:
        ledger.commit(scope.batch(f"register the name {name}", [fact], heads=[move]))
    except Conflict:
        return False  # another process did
    return True


class _Mending:
    """Compares the documents that stand with those that facts make, and writes what differs."""

    def __init__(self, catalog: Catalog, scratch: Catalog, replay: Replay, points: Metrics) -> None:
        self._catalog = catalog
        self._scratch = scratch
        self._replay = replay
        self._points = points
        self.documents = self.added = self.changed = self.removed = 0
        self.troubles: list[str] = []

    def mend(self, collection: str) -> None:
        """Mend one collection."""
        for page in _pages(self._scratch, collection):
            self.documents += len(page)
            self._compare(collection, page, self._catalog)
        for page in _pages(self._catalog, collection):
            self._compare(collection, page, self._scratch)

    def _compare(self, collection: str, page: tuple[Document, ...], other: Catalog) -> None:
        found = {one.id: one for one in other.get(collection, [one.id for one in page])}
        odd = [one.id for one in page if not _is_same(collection, one, found.get(one.id))]
        if odd:
            self._settle([(collection, identifier) for identifier in odd])

    def _settle(self, keys: list[Key]) -> None:
        """Mend documents that differ, so that no commit of this moment is undone.

        A document is compared while no fact about it comes in between, and looked at again when
        one came while it was written.
        """
        for _ in range(_ROUNDS):
            self._replay.follow()
            self._points.catch_up()
            wrong = [amendment for key in keys if (amendment := self._difference(key))]
            if self._replay.follow().intersection(keys):
                continue
            self._catalog.write(wrong)
            self._count(wrong)
            mended = {(amendment.collection, amendment.id) for amendment in wrong}
            keys = sorted(mended & self._replay.follow())
            if not keys:
                return
        self.troubles.append(
            f"{len(keys)} documents of {keys[0][0]} change faster than they can be compared"
        )

    def _difference(self, key: Key) -> Amendment | None:
        collection, identifier = key
        standing = _find(self._catalog, key)
        wanted = _find(self._scratch, key)
        if wanted is not None and collection == WEBHOOKS and standing is None:
            trouble = f"the web hook {identifier} is lost with its address: register it again"
            if trouble not in self.troubles:
                self.troubles.append(trouble)
            return None
        if _is_same(collection, standing, wanted):
            return None
        return _correction(collection, identifier, standing, wanted)

    def _count(self, written: Iterable[Amendment]) -> None:
        for amendment in written:
            if amendment.remove:
                self.removed += 1
            elif amendment.expect == "known":
                self.changed += 1
            else:
                self.added += 1


def _correction(
    collection: str, identifier: str, standing: Document | None, wanted: Document | None
) -> Amendment:
    if wanted is None:
        return Amendment(collection=collection, id=identifier, remove=True)
    if standing is None:
        return as_amendment(collection, wanted)
    private = PRIVATE if collection == WEBHOOKS else ()
    gone = standing.notes.keys() - wanted.notes.keys() - set(private)
    return Amendment(
        collection=collection,
        id=identifier,
        group=wanted.group,
        set=wanted.attributes,
        drop=tuple(standing.attributes.keys() - wanted.attributes.keys()),
        note={**dict.fromkeys(gone), **wanted.notes},
        expect="known",
    )


def _is_same(collection: str, one: Document | None, two: Document | None) -> bool:
    if one is None or two is None:
        return one is two
    private = PRIVATE if collection == WEBHOOKS else ()
    return (
        one.group == two.group
        and one.attributes.keys() == two.attributes.keys()
        and all(
            is_same_value(value, two.attributes[name]) for name, value in one.attributes.items()
        )
        and _packed(one, private) == _packed(two, private)
    )


def _packed(document: Document, private: Iterable[str]) -> bytes:
    # As bytes, NaN is the same as itself.
    notes = {name: note for name, note in document.notes.items() if name not in private}
    return msgspec.msgpack.encode(notes, order="deterministic")


def _find(catalog: Catalog, key: Key) -> Document | None:
    found = catalog.get(key[0], [key[1]])
    return found[0] if found else None


def _pages(catalog: Catalog, collection: str) -> Iterator[tuple[Document, ...]]:
    after: Position | None = None
    while True:
        page = catalog.search(Search(collection=collection, after=after, limit=_PAGE))
        if page.documents:
            yield page.documents
        after = page.after
        if after is None:
            return


def _followed(stores: Stores, points: Metrics) -> list[Amendment]:
    """Follow the points to their end; return what sets the documents' place back to this moment."""
    try:
        points.catch_up()
    except Invalid:  # the place is none: what was not followed is no damage, this is
        for page in _pages(stores.catalog, CURSORS):
            gone = [Amendment(collection=CURSORS, id=one.id, remove=True) for one in page]
            stores.catalog.write(gone)
        points.catch_up()
    return [
        as_amendment(CURSORS, cursor) for page in _pages(stores.catalog, CURSORS) for cursor in page
    ]


def _silent(part: str) -> None:
    del part
