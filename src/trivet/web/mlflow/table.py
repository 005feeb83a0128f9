"""All routes of MLflow's wire, under the prefixes that its clients use."""

from typing import Final

from trivet.access.permissions import Permission
from trivet.core.clock import SystemClock
from trivet.core.facts import Scope
from trivet.core.ports import Stores
from trivet.http.application import Handler, Reply, Request, json_reply
from trivet.http.routes import Route
from trivet.tracking.reporting.experiments import Experiments
from trivet.tracking.reporting.logged_models import LoggedModels
from trivet.tracking.reporting.points import Metrics
from trivet.tracking.reporting.runs import ReportedRuns
from trivet.web.mlflow import experiments, logged_models, metrics, runs
from trivet.web.mlflow.calls import Rooms, RoomsOf, routes

VERSION: Final = "3.3.0"
"""Which MLflow this is to clients: one that takes no spans over OTLP."""
_PREFIXES: Final = ("/api/2.0/mlflow", "/ajax-api/2.0/mlflow")
_INFO: Final = {
    "store_type": "SqlStore",
    "workspaces_enabled": False,
    "artifact_serving_enabled": True,
}


def mlflow_routes(stores: Stores, scope: Scope) -> list[Route[Handler]]:
    """Build the routes of a project.

    Args:
        stores: Where everything is kept.
        scope: The project; what is recorded is in the name of whoever calls.
    """
    calls = (*experiments.CALLS, *runs.CALLS, *metrics.CALLS, *logged_models.CALLS)
    return [*routes(calls, _PREFIXES, _rooms_of(stores, scope)), *_handshakes()]


def _rooms_of(stores: Stores, scope: Scope) -> RoomsOf:
    clock, points = SystemClock(), Metrics(stores)

    def rooms_of(actor: str) -> Rooms:
        own = Scope(project=scope.project, actor=actor)
        found = Experiments(stores, own, clock)
        return Rooms(
            experiments=found,
            runs=ReportedRuns(stores, own, found, points),
            logged_models=LoggedModels(stores, own, found, points, clock),
        )

    return rooms_of


def _handshakes() -> list[Route[Handler]]:
    async def version(_: Request) -> Reply:
        return Reply(VERSION.encode(), content_type=b"text/plain")

    async def info(_: Request) -> Reply:
        return json_reply(_INFO)

    public = Permission.PUBLIC
    return [
        Route(
            method="GET",
            path="/version",
            permission=public,
            handler=version,
            summary="Which version of MLflow this answers like",
        ),
        *(
            Route(
                method="GET",
                path=f"/{api}/3.0/mlflow/server-info",
                permission=public,
                handler=info,
                summary="What this server can do",
            )
            for api in ("api", "ajax-api")
        ),
    ]
