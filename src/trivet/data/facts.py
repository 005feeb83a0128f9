"""What the data room records: data commits, which name tables and file trees in one version."""

from datetime import datetime

import msgspec

from trivet.core.facts import Fact
from trivet.core.gates import Finding
from trivet.core.ports import TableVersion


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


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """A data commit with its identifier: what people call a version of a data set."""

    id: str
    commit: DataCommit

    @property
    def name(self) -> str:
        """The data set's name."""
        return self.commit.dataset
