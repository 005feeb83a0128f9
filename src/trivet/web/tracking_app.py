"""The tracking server alone: runs, models and approvals, without serving and monitoring."""

from trivet.http.application import Application
from trivet.http.guards import DoorPolicy
from trivet.http.routes import RouteTable
from trivet.web.health import LIVE
from trivet.web.mlflow.errors import DIALECT
from trivet.web.projects import wire_routes
from trivet.web.sign_in import sign_in_routes
from trivet.workspace.doorkeeper import Doorkeeper
from trivet.workspace.workspace import Workspace


def build_tracking_app(workspace: Workspace, *, policy: DoorPolicy) -> Application:
    """Build the tracking server alone: MLflow's interface, that of Trivet's clients, signing in."""
    keeper = Doorkeeper(workspace)
    table = RouteTable((LIVE, *sign_in_routes(workspace, keeper), *wire_routes(workspace)))
    return Application(
        table,
        policy=policy,
        principal_of=keeper.principal_of,
        dialects=(DIALECT,),
        shutdown=keeper.leave,
    )
