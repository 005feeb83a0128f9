"""Reshelving: which file stands at which path, made again from the facts that say so."""

from collections.abc import Iterator
from typing import Final

import msgspec

from trivet.core.errors import Conflict
from trivet.core.facts import Entry, Scope, ViewFree, ViewPut, read
from trivet.core.ports import Row, Stores, Views
from trivet.tracking.facts import ArtifactsDeleted, ArtifactStored
from trivet.tracking.shelves import ROWS, Artifact, Shelves

_PAGE: Final = 1000
_ROUNDS: Final = 100
_KEY: Final = ROWS.key


def reshelve(stores: Stores, scratch: Views, actor: str) -> int:
    """Mend the rows by which artifacts are listed and found; return how many were wrong.

    Others may write meanwhile: a row is written only in place of the very one that was read.

    Args:
        stores: The stores; of them, the view of artifacts changes.
        scratch: Views without any artifacts, to work in.
        actor: In whose name.
    """
    stores.views.declare(ROWS)
    replay = _Replay(stores, scratch)
    replay.follow()
    mended = 0
    for here, there in ((scratch, stores.views), (stores.views, scratch)):
        for row in _rows(here):
            if _standing(row) != _standing(_find(there, row)):
                mended += _mend(stores, replay, row, actor)
    return mended


class _Replay:
    """The shelves as the facts read so far leave them."""

    def __init__(self, stores: Stores, scratch: Views) -> None:
        self._stores = stores
        self._scratch = scratch
        self._shelves: dict[str, Shelves] = {}
        self._seq = 0
        scratch.declare(ROWS)

    def follow(self) -> None:
        """Take in what was recorded since."""
        while page := self._stores.ledger.since(self._seq, _PAGE):
            for entry in page:
                rows = list(self._rows_of(entry))
                if rows:
                    self._scratch.put(ROWS.name, rows)
            self._seq = page[-1].seq

    def find(self, key: Row) -> Row | None:
        """Return the row of a key."""
        return _find(self._scratch, key)

    def _rows_of(self, entry: Entry) -> Iterator[Row]:
        if entry.payload is None:
            return
        shelves = self._shelves.setdefault(entry.project, Shelves(self._scratch, entry.project))
        if entry.kind == ArtifactStored.KIND:
            stored = read(entry, ArtifactStored)
            yield shelves.standing(Artifact(fact=entry.id, **msgspec.structs.asdict(stored))).row
        elif entry.kind == ArtifactsDeleted.KIND:
            deleted = read(entry, ArtifactsDeleted)
            file = shelves.find(deleted.owner, deleted.path) if deleted.path else None
            for one in [file] if file else shelves.below(deleted.owner, deleted.path):
                yield shelves.emptied(one, entry.id).row


def _mend(stores: Stores, replay: _Replay, key: Row, actor: str) -> bool:
    """Write one row as facts say it, in place of the very one that stands; say if it was wrong."""
    for _ in range(_ROUNDS):
        before = _find(stores.views, key)
        replay.follow()  # after that: what `before` may say already is known
        wanted = replay.find(key)
        if _standing(before) == _standing(wanted):
            return False
        row = wanted or {**{name: key[name] for name in _KEY}, "fact": None}
        expect = {} if before is None else {"fact": before["fact"], "digest": before["digest"]}
        batch = Scope(project=key["project"], actor=actor).batch(
            "artifacts as facts say", rows=[ViewPut(view=ROWS.name, row=row, expect=expect)]
        )
        place = tuple(key[name] for name in _KEY)
        free = [ViewFree(view=ROWS.name, first=place, last=place, column="digest")]
        try:
            stores.ledger.commit(
                batch if before else msgspec.structs.replace(batch, free=tuple(free))
            )
        except Conflict:
            continue  # somebody put or deleted it in this moment
        return True
    return False


def _rows(views: Views) -> Iterator[Row]:
    after = None
    while rows := views.find(ROWS.name, after=after, limit=_PAGE):
        yield from rows
        after = tuple(rows[-1][name] for name in _KEY)


def _find(views: Views, key: Row) -> Row | None:
    rows = views.find(ROWS.name, where={name: key[name] for name in _KEY}, limit=1)
    return rows[0] if rows else None


def _standing(row: Row | None) -> Row | None:
    """Return a row when a file stands there; one without a digest is as good as none."""
    return row if row is not None and row["digest"] is not None else None
