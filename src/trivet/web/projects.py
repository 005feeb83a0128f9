"""Projects over the wire: each has its routes below its name, confined to itself.

    MLFLOW_TRACKING_URI=http://127.0.0.1:7878/churn

The routes of a project are those of the root, built once more over the project's own scope. So a
handler cannot look beyond its project: it holds nothing that leads there.
"""

import threading
from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from trivet.core.facts import Scope
from trivet.http.application import Handler, Reply, Request
from trivet.http.routes import Route, under
from trivet.web.approving import approval_routes
from trivet.web.health import LIVE
from trivet.web.mlflow.table import mlflow_routes
from trivet.web.syncing import sync_routes
from trivet.workspace.workspace import Workspace

PREFIX: Final = "/{project}"
_NOWHERE: Final = "@nowhere"
"""A project that nobody can make: what is public answers there as it does in an empty one."""

Wire = Sequence[Route[Handler]]


def wire_routes(workspace: Workspace) -> list[Route[Handler]]:
    """Build a project's routes at the root, and below the name of every one that there will be.

    Below a name there is liveness, too.
    """
    own = _wire(workspace, workspace.scope.project)
    wires = _Wires(workspace, own)
    below = [replace(route, handler=_Below(wires, n)) for n, route in enumerate(own)]
    return [*own, *under(PREFIX, [*below, LIVE])]


def _wire(workspace: Workspace, project: str) -> Wire:
    scope = Scope(project=project, actor=workspace.scope.actor)
    settings = workspace.settings
    mlflow = mlflow_routes(
        workspace.stores,
        scope,
        settings.webhooks.networks,
        elsewhere=settings.registry.elsewhere,
    )
    approvals = approval_routes(workspace, project)
    return (*mlflow, *sync_routes(workspace.stores, scope), *approvals)


class _Wires:
    """The routes of each project, built when it is first asked for.

    Args:
        workspace: Where the projects are.
        own: The routes of the folder's own project.
    """

    def __init__(self, workspace: Workspace, own: Wire) -> None:
        self._workspace = workspace
        self._built: dict[str, Wire] = {workspace.scope.project: own}
        self._lock = threading.Lock()

    def of(self, project: str) -> Wire:
        found = self._built.get(project)
        if found is None:
            has = self._workspace.access.projects.has
            name = project if has(project) else _NOWHERE
            with self._lock:
                found = self._built.get(name)
                if found is None:
                    found = self._built[name] = _wire(self._workspace, name)
        return found


class _Below:
    """Answers a route below a project's name by that project's handler of it."""

    def __init__(self, wires: _Wires, number: int) -> None:
        self._wires = wires
        self._number = number

    async def __call__(self, request: Request) -> Reply:
        values = dict(request.values)
        route = self._wires.of(values.pop("project"))[self._number]
        return await route.handler(replace(request, values=values))
