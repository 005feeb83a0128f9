"""Projects of a workspace: the folder's own, and those that are reached below their names."""

from typing import Final

from trivet.access.facts import EVERYWHERE, ProjectAdded
from trivet.access.record import AccessRecord, Change
from trivet.core.errors import Conflict, Invalid, NotFound
from trivet.core.facts import draft
from trivet.core.ids import check_name

RESERVED: Final = frozenset(
    {
        *("access", "ajax-api", "alerts", "api", "approvals", "data", "endpoints", "facts"),
        *("get-artifact", "graphql", "head", "heads", "health", "labels", "lineage", "login"),
        *("logout", "metrics", "models", "monitoring", "openapi.json", "predict", "predictions"),
        *("projects", "releases", "runs", "server-info", "session", "static", "static-files"),
        *("cards", "model-versions", "origins", "sync"),
        *("tokens", "traces", "tracking", "triggers", "users", "v2", "version"),
    }
)
"""First words of addresses that mean something else than a project."""


class Projects:
    """The projects of a workspace.

    Args:
        record: Where they are recorded.
        own: The folder's own project; it is always there.
    """

    def __init__(self, record: AccessRecord, own: str) -> None:
        self._record = record
        self.own = own

    def add(self, name: str) -> ProjectAdded:
        """Add a project.

        Raises:
            Invalid: The name is none, or means something else in an address.
            Conflict: There is a project of this name.
        """
        check_name(name, "project")
        if name in RESERVED:
            raise Invalid(
                f"project is {name!r}, which is the beginning of other addresses of the server",
                code="reserved-name",
                hint="Choose another name.",
            )

        def decide() -> tuple[Change, ProjectAdded]:
            if self.has(name):
                raise Conflict(f"there is a project {name!r} already", code="project-exists")
            added = ProjectAdded(name=name)
            fact = draft(added)
            heads = {f"projects/{name}": fact.id}
            return Change(reason=f"add project {name}", facts=(fact,), heads=heads), added

        return self._record.change(decide)

    def has(self, name: str) -> bool:
        """Say whether there is a project of this name."""
        return name == self.own or self._record.entry_at(f"projects/{name}") is not None

    def names(self) -> tuple[str, ...]:
        """Return the names of all projects, the folder's own first."""
        added = self._record.below("projects/", ProjectAdded)
        return (self.own, *(item.name for item in added if item.name != self.own))

    def check(self, name: str | None) -> str:
        """Return the name of a project that is there; the folder's own for None, `*` for `*`.

        Raises:
            NotFound: There is none of this name.
        """
        if name is None:
            return self.own
        if name != EVERYWHERE and not self.has(name):
            raise NotFound(
                f"there is no project {name!r}",
                code="no-project",
                hint="See `trivet projects list`, or add it: `trivet projects add`.",
            )
        return name
