"""fsck: every byte of every store is checked, and every fact's bytes are where it says.

Stores check themselves (`verify`); what lies between them is checked here: a digest that a fact
names must be a blob that exists, a table version that a fact names must exist with that digest.
"""

import re
from collections.abc import Callable, Iterator

import msgspec

from trivet.core.errors import Corrupt, NotFound
from trivet.core.facts import Entry, read
from trivet.core.ports import Damage, Link, Stores
from trivet.core.trees import read_tree
from trivet.data.facts import DataCommit
from trivet.tracking.facts import ArtifactStored

_DIGEST = re.compile(rb'"(b3:[0-9a-f]{64})"')
_PAGE = 1000
_LARGEST_FOLDER_BYTES = 64 << 20


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What was checked and what is damaged. Sound when `damages` is empty."""

    links: int
    facts: int
    blobs: int
    tables: int
    damages: tuple[Damage, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is damaged."""
        return not self.damages


def check_stores(stores: Stores, on_progress: Callable[[str], None] | None = None) -> Report:
    """Check every store and what lies between them.

    Args:
        stores: The stores; writers may go on meanwhile.
        on_progress: Told which part begins.
    """
    tell: Callable[[str], None] = on_progress or _silent
    damages: list[Damage] = []
    links = 0
    tell("ledger")
    for found in stores.ledger.verify():
        if isinstance(found, Link):
            links += 1
        else:
            damages.append(found)
    for name, verify in (
        ("blobs", stores.blobs.verify),
        ("tables", stores.tables.verify),
        ("series", stores.series.verify),
        ("log", stores.log.verify),
    ):
        tell(name)
        damages.extend(verify())
    tell("references")
    counts = _Counts()
    try:
        damages.extend(_unanswered(stores, counts))
    except Corrupt as error:
        # What the stores found already is not lost because their references cannot be followed.
        damages.append(
            Damage(
                store="ledger",
                name="references",
                problem=f"could not be followed to the end: {error.message}",
                hint="Mend what is named above first, then check again.",
            )
        )
    return Report(
        links=links,
        facts=counts.facts,
        blobs=counts.blobs,
        tables=counts.tables,
        damages=tuple(damages),
    )


class _Counts:
    """What was looked at so far."""

    def __init__(self) -> None:
        self.facts = self.blobs = self.tables = 0


def _unanswered(stores: Stores, counts: _Counts) -> Iterator[Damage]:
    """Yield everything that a fact names and no store holds."""
    sizes = dict(stores.blobs.list())
    seen: set[str] = set()
    for entry in _entries(stores):
        counts.facts += 1
        for digest in _digests(entry, seen):
            counts.blobs += 1
            yield from _missing(stores, entry, digest, sizes, seen)
        if entry.kind == DataCommit.KIND and entry.payload is not None:
            commit = read(entry, DataCommit)
            counts.tables += len(commit.tables)
            yield from _bad_tables(stores, entry, commit)


def _silent(part: str) -> None:
    del part


def _entries(stores: Stores) -> Iterator[Entry]:
    seq = 0
    while page := stores.ledger.since(seq, _PAGE):
        yield from page
        seq = page[-1].seq


def _digests(entry: Entry, seen: set[str]) -> Iterator[str]:
    """Yield the blob digests in a payload that were not met before; tables' are no blobs."""
    if entry.kind == DataCommit.KIND and entry.payload is not None:
        seen.update(table.digest for table in read(entry, DataCommit).tables)
    for match in _DIGEST.finditer(entry.payload or b""):
        digest = match.group(1).decode()
        if digest not in seen:
            # An artifact's digest may be met again as the root of somebody's tree.
            if entry.kind != ArtifactStored.KIND:
                seen.add(digest)
            yield digest


def _missing(
    stores: Stores, entry: Entry, digest: str, sizes: dict[str, int], seen: set[str]
) -> Iterator[Damage]:
    """Yield the blob, or the files of the tree under it, that a fact names and nobody holds."""
    if digest not in sizes:
        yield _lost(entry, digest)
        return
    # What somebody uploaded is bytes and no more, even if they look like a folder's.
    if sizes[digest] > _LARGEST_FOLDER_BYTES or entry.kind == ArtifactStored.KIND:
        return
    try:
        files = read_tree(stores.blobs, digest)
    except Corrupt:
        # Not a folder but plain bytes, or damaged: the blobs' own check has named it then.
        return
    except NotFound:
        yield _lost(entry, digest)
        return
    for file in files.values():
        if file.digest not in seen:
            seen.add(file.digest)
            if file.digest not in sizes:
                yield _lost(entry, file.digest)


def _lost(entry: Entry, digest: str) -> Damage:
    return Damage(
        store="blobs",
        name=digest,
        problem=f"missing, although the fact {entry.id} ({entry.kind}) needs it",
        hint="Restore it from a backup: `trivet restore`.",
    )


def _bad_tables(stores: Stores, entry: Entry, commit: DataCommit) -> Iterator[Damage]:
    for table in commit.tables:
        try:
            found = stores.tables.version(table.name, table.version)
        except Corrupt:
            continue  # the tables' own check has named it
        if found is None or found.digest != table.digest:
            problem = "missing" if found is None else "of another content"
            yield Damage(
                store="tables",
                name=f"{table.name} version {table.version}",
                problem=f"{problem}, although the fact {entry.id} names it",
                hint="Restore it from a backup: `trivet restore`.",
            )
