"""What the data room records: data commits, which name tables and file trees in one version."""

from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar

import msgspec

from trivet.core.errors import Invalid, NotFound
from trivet.core.facts import Fact
from trivet.core.gates import Finding
from trivet.core.ports import TableVersion

_Part = TypeVar("_Part")


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """A file tree in one version: the Merkle root of its folders (`b3:` digest)."""

    name: str
    digest: str
    files: int
    size_bytes: int


class DataCommit(Fact, frozen=True, kw_only=True):
    """One version of a data set: tables and trees that became visible together."""

    KIND = "data.commit"
    INDEXED = ("dataset",)

    dataset: str
    tables: tuple[TableVersion, ...] = ()
    names: tuple[str, ...] = ()
    """What the tables are called in this data set, in the order of `tables`."""
    trees: tuple[Tree, ...] = ()
    source: str
    """Where it came from, in words for a person: a file's name, a query, captured traffic."""
    message: str = ""
    until: datetime | None = None
    """Event time up to which the data is complete, where that has a meaning."""
    profiles: dict[str, str] = {}
    """Table name to the blob digest of its profile."""
    findings: tuple[Finding, ...] = ()
    synthetic: bool = False
    """Some of it was made up. Whatever is made from it says so, too."""
    tags: dict[str, str] = {}
    """What people want to find it by."""

    @property
    def named_tables(self) -> dict[str, TableVersion]:
        """The tables' versions by the names they have in this data set."""
        return dict(zip(self.names, self.tables, strict=True))

    def table(self, name: str | None = None) -> tuple[str, TableVersion]:
        """Return a table's name and version; without a name, the data set's only table.

        Raises:
            NotFound: There is no such table, or none at all.
            Invalid: No name was given and there are several tables.
        """
        return _choose(self.dataset, "table", self.named_tables, name)

    def tree(self, name: str | None = None) -> Tree:
        """Return a file tree; without a name, the data set's only one.

        Raises:
            NotFound: There is no such tree, or none at all.
            Invalid: No name was given and there are several trees.
        """
        return _choose(self.dataset, "file tree", {t.name: t for t in self.trees}, name)[1]


def _choose(
    dataset: str, kind: str, held: Mapping[str, _Part], name: str | None
) -> tuple[str, _Part]:
    if name is None and len(held) > 1:
        raise Invalid(
            f"data set {dataset!r} has {len(held)} {kind}s; expected the name of one",
            code="which-part",
            hint=f"Name one of: {', '.join(held)}.",
        )
    chosen = next(iter(held), None) if name is None else name
    if chosen is None or chosen not in held:
        wanted = f"no {kind} {chosen!r}" if held else f"no {kind}s"
        raise NotFound(
            f"data set {dataset!r} has {wanted}",
            code="no-part",
            hint=f"It has: {', '.join(held)}." if held else "Look at what this version holds.",
        )
    return chosen, held[chosen]


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """A data commit with its identifier: what people call a version of a data set."""

    id: str
    commit: DataCommit

    @property
    def name(self) -> str:
        """The data set's name."""
        return self.commit.dataset
