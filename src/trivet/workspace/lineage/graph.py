"""The graph of what came from what: boxes, and arrows from what was there to what was made."""

from datetime import datetime
from typing import Literal

import msgspec

from trivet.drawing.layout import Arrow

Direction = Literal["up", "down", "both"]


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """Something that was made, or used."""

    key: str
    """The fact's identifier; or what it is and how it is called, where it is no fact."""
    kind: str
    """One or two words, such as `data`, `run`, `model version` or `predictions`."""
    label: str
    detail: str = ""
    by: str = ""
    time: datetime | None = None


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """What something came from, and what came from it."""

    start: str
    """The key of what was asked about."""
    direction: Direction
    nodes: tuple[Node, ...]
    """What was asked about first, then nearest first."""
    arrows: tuple[Arrow, ...]
    """From what was there to what was made of it."""
    is_complete: bool
    """False when there is more than is told here."""

    def node(self, key: str) -> Node:
        """Return a node by its key."""
        return next(node for node in self.nodes if node.key == key)
