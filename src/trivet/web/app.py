"""The API application: every room's routes, health, and the document that describes them."""

from collections.abc import Callable

from trivet.access.permissions import Permission, Principal
from trivet.http.application import Application, Handler, Reply, Request, json_reply
from trivet.http.guards import DoorPolicy
from trivet.http.routes import Route, RouteTable
from trivet.web import facts, rooms
from trivet.web.document import openapi
from trivet.web.health import LIVE
from trivet.web.mlflow.errors import DIALECT
from trivet.web.mlflow.table import mlflow_routes
from trivet.workspace.workspace import Workspace


def build_app(
    workspace: Workspace, *, policy: DoorPolicy, principal_of: Callable[[str], Principal]
) -> Application:
    """Build the API of a workspace. Building fails when a route declares no permission."""
    table = route_table(workspace)
    return Application(table, policy=policy, principal_of=principal_of, dialects=(DIALECT,))


def route_table(workspace: Workspace) -> RouteTable[Handler]:
    """Build the API's routes."""

    async def document(_: Request) -> Reply:
        return json_reply(openapi(described))

    own: tuple[Route[Handler], ...] = (
        LIVE,
        Route(
            method="GET",
            path="/openapi.json",
            permission=Permission.READ,
            handler=document,
            summary="The document that describes these routes",
        ),
    )
    rooms_routes = (build(workspace) for build in (*facts.ROUTES, *rooms.ROUTES))
    # MLflow's wire is described by MLflow; the document is about what is Trivet's own.
    described: RouteTable[Handler] = RouteTable((*own, *rooms_routes))
    settings = workspace.settings
    wire = mlflow_routes(
        workspace.stores,
        workspace.scope,
        settings.webhooks.networks,
        elsewhere=settings.registry.elsewhere,
    )
    return RouteTable((*described.routes, *wire))
