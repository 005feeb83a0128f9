"""All routes of MLflow's wire, under the prefixes that its clients use."""

from collections.abc import Sequence
from typing import Final

from trivet.access.permissions import Permission, Principal
from trivet.core.clock import SystemClock
from trivet.core.errors import Invalid, NotFound
from trivet.core.facts import Scope
from trivet.core.outbox import Poster
from trivet.core.ports import Stores
from trivet.http.application import Handler, Reply, Request, json_reply
from trivet.http.routes import Route
from trivet.models.deprecations import Deprecations
from trivet.models.model_versions import ModelVersions
from trivet.models.origins import Origins
from trivet.models.registered_models import RegisteredModels
from trivet.releases.service import ReleasesService
from trivet.tracking.artifacts import Artifacts
from trivet.tracking.reporting.experiments import Experiments
from trivet.tracking.reporting.logged_models import LoggedModels
from trivet.tracking.reporting.points import Metrics
from trivet.tracking.reporting.runs import ReportedRuns
from trivet.tracking.traces.assessments import Assessments
from trivet.tracking.traces.service import Traces
from trivet.tracking.uploads import Uploads
from trivet.tracking.webhooks.service import Webhooks
from trivet.web.mlflow import (
    assessments,
    experiments,
    folders,
    logged_models,
    metrics,
    model_versions,
    registered_models,
    runs,
    traces,
    traces_v2,
    webhooks,
)
from trivet.web.mlflow.artifacts import Check, artifact_routes
from trivet.web.mlflow.calls import Rooms, RoomsOf, routes
from trivet.web.mlflow.files import file_routes
from trivet.web.mlflow.locations import Kind, Place
from trivet.web.mlflow.uploads import upload_routes
from trivet.web.receiving import Threads
from trivet.workspace import wiring

VERSION: Final = "3.3.0"
"""Which MLflow this is to clients: one that takes no spans over OTLP."""
CALLS: Final = (
    *experiments.CALLS,
    *runs.CALLS,
    *metrics.CALLS,
    *folders.CALLS,
    *logged_models.CALLS,
    *registered_models.CALLS,
    *model_versions.CALLS,
    *traces_v2.CALLS,
    *webhooks.CALLS,
)
CALLS_3: Final = (*traces.CALLS_3, *assessments.CALLS_3)
_PREFIXES: Final = ("/api/2.0/mlflow", "/ajax-api/2.0/mlflow")
_PREFIXES_3: Final = ("/api/3.0/mlflow", "/ajax-api/3.0/mlflow")
_COLLECTIONS: Final[dict[Kind, str]] = {
    "run": "runs",
    "model": "logged-models",
    "trace": "traces",
}
_INFO: Final = {
    "store_type": "SqlStore",
    "workspaces_enabled": False,
    "artifact_serving_enabled": True,
    "multipart_uploads_enabled": True,
    "multipart_downloads_enabled": False,
}


def mlflow_routes(
    stores: Stores, scope: Scope, networks: Sequence[str] = (), *, elsewhere: bool = False
) -> list[Route[Handler]]:
    """Build the routes of a project.

    Args:
        stores: Where everything is kept.
        scope: The project; what is recorded is in the name of whoever calls.
        networks: Where web hooks may lead besides the public internet.
        elsewhere: Whether versions may have files in nobody's artifacts.
    """
    artifacts, threads = Artifacts(stores, scope), Threads()
    check = _check(stores, scope)
    rooms_of = _rooms_of(stores, scope, artifacts, wiring.poster(networks), elsewhere=elsewhere)
    return [
        *routes(CALLS, _PREFIXES, rooms_of),
        *routes(CALLS_3, _PREFIXES_3, rooms_of),
        *routes(traces.CALLS_BOTH, (*_PREFIXES, *_PREFIXES_3), rooms_of),
        *artifact_routes(artifacts, threads, check),
        *file_routes(artifacts, threads, check, rooms_of, _PREFIXES),
        *upload_routes(Uploads(stores, artifacts, scope.project, SystemClock()), threads, check),
        *_handshakes(),
    ]


def _rooms_of(
    stores: Stores, scope: Scope, artifacts: Artifacts, poster: Poster, *, elsewhere: bool
) -> RoomsOf:
    clock, points = SystemClock(), Metrics(stores)

    def rooms_of(actor: str) -> Rooms:
        own = Scope(project=scope.project, actor=actor)
        found, files = Experiments(stores, own, clock), artifacts.acting_for(actor)
        runs = ReportedRuns(stores, own, found, points)
        logged = LoggedModels(stores, own, found, points, clock)
        registered = RegisteredModels(
            stores,
            own,
            clock,
            served_by=ReleasesService(stores, own).served_by,
        )
        origins = Origins(stores, own, runs, logged, elsewhere=elsewhere)
        kept = Traces(stores, own, found, files)
        return Rooms(
            experiments=found,
            runs=runs,
            logged_models=logged,
            registered_models=registered,
            model_versions=ModelVersions(stores, own, registered, origins),
            deprecations=Deprecations(stores, own),
            artifacts=files,
            traces=kept,
            assessments=Assessments(kept, clock),
            webhooks=Webhooks(stores, own, clock, poster),
        )

    return rooms_of


def _check(stores: Stores, scope: Scope) -> Check:
    """Make sure that whoever artifacts belong to is there, and may still be written to."""

    def check(place: Place, _: Principal, permission: Permission) -> None:
        group = f"{scope.project}/{place.experiment}"
        collection = _COLLECTIONS.get(place.kind, "experiments")
        document = {
            "experiment": group,
            "trace": f"{scope.project}/{place.id}",
        }.get(place.kind, place.id)
        found = stores.catalog.get(collection, [document])
        where = found[0].group if found else ""
        is_here = where == group if place.experiment else where.startswith(f"{scope.project}/")
        if not found or (place.kind != "experiment" and not is_here):
            raise NotFound(f"there is no {place.kind} {place.id} in experiment {place.experiment}")
        if permission is not Permission.READ and found[0].attributes.get("stage") == "deleted":
            raise Invalid(
                f"The {place.kind} {place.id} must be in the 'active' state. Current state is "
                "deleted.",
                code="not-active",
                hint="Restore it first.",
            )

    return check


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
