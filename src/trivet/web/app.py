"""The API application: every room's routes, health, and the document that describes them."""

from trivet.access.permissions import Permission
from trivet.http.application import Application, Handler, Reply, Request, json_reply
from trivet.http.guards import DoorPolicy
from trivet.http.routes import Route, RouteTable
from trivet.web import facts, rooms
from trivet.web.approving import is_approving
from trivet.web.document import openapi
from trivet.web.health import LIVE
from trivet.web.mlflow.errors import DIALECT
from trivet.web.projects import wire_routes
from trivet.web.sign_in import sign_in_routes
from trivet.web.syncing import is_sync
from trivet.workspace.doorkeeper import Doorkeeper
from trivet.workspace.workspace import Workspace


def build_app(workspace: Workspace, *, policy: DoorPolicy) -> Application:
    """Build the API of a workspace. Building fails when a route declares no permission."""
    keeper = Doorkeeper(workspace)
    table = route_table(workspace, keeper)
    return Application(
        table,
        policy=policy,
        principal_of=keeper.principal_of,
        dialects=(DIALECT,),
        shutdown=keeper.leave,
    )


def route_table(workspace: Workspace, keeper: Doorkeeper) -> RouteTable[Handler]:
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
    wire = wire_routes(workspace)
    # MLflow's wire is described by MLflow; the document is about what is Trivet's own.
    described: RouteTable[Handler] = RouteTable(
        (
            *own,
            *sign_in_routes(workspace, keeper),
            *rooms_routes,
            *(route for route in wire if _is_own(route)),
        )
    )
    return RouteTable((*described.routes, *(route for route in wire if not _is_own(route))))


def _is_own(route: Route[Handler]) -> bool:
    return is_sync(route) or is_approving(route)
