"""Where facts are kept, for functions that stand outside of the rooms' services."""

from typing import Protocol

from trivet.core.facts import Scope
from trivet.core.ports import Stores


class Place(Protocol):
    """Stores, and in whose name they are written to. A `Workspace` is one."""

    @property
    def stores(self) -> Stores:
        """The stores."""
        ...

    @property
    def scope(self) -> Scope:
        """Project and actor."""
        ...
