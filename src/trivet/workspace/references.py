"""References: which blobs anything names, and how often.

What a fact names stays: packages, data, code, results of steps, and files that stand at a path.
A file that was replaced or deleted is named by a fact alone that says it stood there: that one
does not count.
"""

import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from typing import Final

import msgspec

from trivet.core.clock import to_micros
from trivet.core.errors import Corrupt, NotFound
from trivet.core.facts import Entry, read
from trivet.core.ports import Row, Stores
from trivet.core.trees import digests_below
from trivet.tracking.facts import ArtifactStored
from trivet.tracking.shelves import ROWS
from trivet.tracking.uploads import PARTS

_DIGEST = re.compile(rb"b3:([0-9a-f]{64})")
_PAGE: Final = 1000
_LARGEST_FOLDER_BYTES: Final = 64 << 20
_MOST_TASKS: Final = 100_000


class DeadFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that stood at a path once, and does so no longer."""

    fact: str
    project: str
    digest: str
    time_ms: int
    """When it was stored."""


class References:
    """What is named, as of the last `follow`.

    Args:
        stores: The stores.
        without: `artifact` facts that are to go, and do not count.
        wanted: Digests whose references are counted by kind.
    """

    def __init__(
        self, stores: Stores, without: Collection[str] = (), wanted: Collection[str] = ()
    ) -> None:
        self._stores = stores
        self._without = without
        self._wanted = {_packed(digest) for digest in wanted}
        self._named: set[bytes] = set()
        self._seq = 0
        self.counts: dict[str, Counter[str]] = {}
        """By wanted digest, how many facts of which kind name it."""
        self.dead: list[DeadFile] = []
        stores.views.declare(ROWS)
        stores.views.declare(PARTS)

    def follow(self) -> "References":
        """Take in what was recorded since, and what stands now.

        Raises:
            Corrupt: A folder that is named cannot be read: what is in it is not known.
        """
        # Later on, the few that are new are looked up one by one.
        rows = () if self._seq else self._rows(ROWS.name, ROWS.key)
        standing = {row["fact"] for row in rows if row["digest"]}
        while page := self._stores.ledger.since(self._seq, _PAGE):
            for entry in page:
                self._take(entry, standing)
            self._seq = page[-1].seq
        for row in self._rows(PARTS.name, PARTS.key):
            self._named.add(_packed(row["digest"]))
        for state in ("ready", "running"):
            for task in self._stores.journal.tasks(state=state, limit=_MOST_TASKS):
                self._name(task.body, "task")
        return self

    def has(self, digest: str) -> bool:
        """Say whether anything names a blob."""
        return _packed(digest) in self._named

    def _take(self, entry: Entry, standing: Collection[str]) -> None:
        if entry.payload is None or entry.id in self._without:
            return
        if entry.kind == ArtifactStored.KIND:
            stored = read(entry, ArtifactStored)
            if entry.id in standing or self._stands(entry, stored):
                self._count(_packed(stored.digest), entry.kind)
            else:
                self.dead.append(
                    DeadFile(
                        fact=entry.id,
                        project=entry.project,
                        digest=stored.digest,
                        time_ms=to_micros(entry.time) // 1000,
                    )
                )
            return
        self._name(entry.payload, entry.kind)

    def _stands(self, entry: Entry, stored: ArtifactStored) -> bool:
        """Say whether a file that was not there a moment ago is there now."""
        key = {"project": entry.project, "owner": stored.owner, "path": stored.path}
        rows = self._stores.views.find(ROWS.name, where=key, limit=1)
        return bool(rows) and rows[0]["fact"] == entry.id

    def _name(self, payload: bytes, kind: str) -> None:
        for match in _DIGEST.finditer(payload):
            packed = bytes.fromhex(match.group(1).decode())
            is_new = packed not in self._named
            self._count(packed, kind)
            if is_new:
                for below in self._below(packed):
                    self._count(below, kind)

    def _count(self, packed: bytes, kind: str) -> None:
        self._named.add(packed)
        if packed in self._wanted:
            self.counts.setdefault("b3:" + packed.hex(), Counter())[kind] += 1

    def _below(self, packed: bytes) -> Iterable[bytes]:
        """Return what a folder holds; nothing when the digest is no folder's."""
        digest = "b3:" + packed.hex()
        try:
            with self._stores.blobs.open(digest) as stream:
                if len(stream.read(_LARGEST_FOLDER_BYTES + 1)) > _LARGEST_FOLDER_BYTES:
                    return ()
        except NotFound:
            return ()  # a table's digest, or bytes that are lost: `fsck` says which
        found: list[bytes] = []
        below = digests_below(self._stores.blobs, digest)
        try:
            found += map(_packed, itertools.islice(below, 1))
        except Corrupt as error:
            if error.code != "bad-tree":
                raise
            return ()  # bytes that are no folder
        try:
            found += map(_packed, below)
        except NotFound as error:
            raise Corrupt(
                f"a folder below {digest} is lost, so that nobody knows what is in it",
                code="bad-tree",
                hint="Run `trivet fsck`, and restore it from a backup.",
            ) from error
        return found

    def _rows(self, view: str, key: tuple[str, ...]) -> Iterator[Row]:
        after = None
        while rows := self._stores.views.find(view, after=after, limit=_PAGE):
            yield from rows
            after = tuple(rows[-1][name] for name in key)


def _packed(digest: str) -> bytes:
    return bytes.fromhex(digest.removeprefix("b3:"))
