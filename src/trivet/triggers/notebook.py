"""What triggers remember between two looks, and who asked to be looked at sooner.

Both are views: losing them costs a wait or a tick, never a run.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec

from trivet.core.clock import from_micros, to_micros
from trivet.core.facts import Scope
from trivet.core.ports import View, Views
from trivet.triggers.rules import Notes

_NOTES = View(
    name="trigger-notes",
    columns={"project": "text", "trigger": "text", "notes": "blob"},
    key=("project", "trigger"),
)
_WAKES = View(
    name="trigger-wakes",
    columns={"project": "text", "trigger": "text", "time": "integer"},
    key=("project", "trigger"),
)
_MOST_WAKES = 1000


class Notebook:
    """Notes by trigger.

    Args:
        views: Where they are kept.
        scope: The project.
    """

    view = _NOTES.name

    def __init__(self, views: Views, scope: Scope) -> None:
        self._views = views
        self._project = scope.project
        for view in (_NOTES, _WAKES):
            views.declare(view)

    def read(self, name: str) -> Notes:
        """Return what a trigger remembers."""
        where = {"project": self._project, "trigger": name}
        found = self._views.find(_NOTES.name, where=where, limit=1)
        return msgspec.msgpack.decode(found[0]["notes"], type=Notes) if found else Notes()

    def keep(self, name: str, notes: Notes) -> None:
        """Have a trigger remember something else."""
        self._views.put(_NOTES.name, [self.row(name, notes)])

    def row(self, name: str, notes: Notes) -> dict[str, Any]:
        """Return the row that keeps notes, for a commit that writes more than that."""
        packed = msgspec.msgpack.encode(notes)
        return {"project": self._project, "trigger": name, "notes": packed}

    def wake(self, name: str) -> datetime:
        """Note that somebody asked for a look; return when, by this machine's clock."""
        time = to_micros(datetime.now(UTC))
        row = {"project": self._project, "trigger": name, "time": time}
        self._views.put(_WAKES.name, [row])
        return from_micros(time)

    def wakes(self) -> dict[str, int]:
        """Return when each trigger was last woken, in microseconds."""
        where = {"project": self._project}
        rows = self._views.find(_WAKES.name, where=where, limit=_MOST_WAKES)
        return {row["trigger"]: row["time"] for row in rows}
