"""What the suites of ledger, journal, views and catalog open, and the facts they write."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar, Protocol

import pytest

from trivet.core.catalog import Catalog
from trivet.core.facts import Draft, Fact, Scope, draft
from trivet.core.ports import Journal, Ledger, Views

SCOPE = Scope(project="shop", actor="ada")


class Trio(Protocol):
    """Three ports over one store, and the catalog beside them."""

    @property
    def ledger(self) -> Ledger:
        """The facts and heads."""
        ...

    @property
    def journal(self) -> Journal:
        """The work."""
        ...

    @property
    def views(self) -> Views:
        """The projections."""
        ...

    @property
    def catalog(self) -> Catalog:
        """The documents."""
        ...

    def close(self) -> None:
        """Let go of the store."""
        ...


OpenStores = Callable[[Path], Trio]
"""Opens the store of a folder; importable by name, so that other processes can open it, too."""


class Note(Fact, frozen=True, kw_only=True):
    """A fact with one indexed text and one indexed number."""

    KIND = "contract.note"
    INDEXED = ("about", "mark")

    about: str
    mark: int = 0
    text: str = ""


class Remark(Fact, frozen=True, kw_only=True):
    """A fact of another kind with a field of the same name."""

    KIND = "contract.remark"
    INDEXED = ("about",)

    about: str


def note(about: str = "tea", mark: int = 0, *, parents: tuple[str, ...] = ()) -> Draft:
    """Draft a note."""
    return draft(Note(about=about, mark=mark), parents=parents)


class OnTrio:
    """What a suite is told: how a folder's stores are opened, and whether that lasts."""

    open_stores: ClassVar[OpenStores]
    is_persistent: ClassVar[bool] = True
    """Whether a second opening of the folder finds what the first has written."""

    @pytest.fixture
    def stores(self, tmp_path: Path) -> Iterator[Trio]:
        """Open fresh stores."""
        stores = type(self).open_stores(tmp_path / "stores")
        yield stores
        stores.close()

    def needs_processes(self) -> None:
        """Skip the test when nobody else can open these stores."""
        if not self.is_persistent:
            pytest.skip("this store lives and dies with its object")
