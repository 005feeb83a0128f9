"""The tracking server alone: it loads no room but tracking, so it is small and starts at once."""

from collections.abc import Callable

from trivet.access.permissions import Principal
from trivet.http.application import Application
from trivet.http.guards import DoorPolicy
from trivet.http.routes import RouteTable
from trivet.web.health import LIVE
from trivet.web.mlflow.errors import DIALECT
from trivet.web.mlflow.table import mlflow_routes
from trivet.workspace.workspace import Workspace


def build_tracking_app(
    workspace: Workspace, *, policy: DoorPolicy, principal_of: Callable[[str], Principal]
) -> Application:
    """Build the tracking server alone: MLflow's interface and liveness, and no other room."""
    settings = workspace.settings
    wire = mlflow_routes(
        workspace.stores,
        workspace.scope,
        settings.webhooks.networks,
        elsewhere=settings.registry.elsewhere,
    )
    table = RouteTable((LIVE, *wire))
    return Application(table, policy=policy, principal_of=principal_of, dialects=(DIALECT,))
