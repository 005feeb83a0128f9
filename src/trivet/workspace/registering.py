"""The doors to the registry through which all versions go, packaged and logged."""

from trivet.core.clock import SystemClock
from trivet.core.facts import Scope
from trivet.core.ports import Stores
from trivet.models.model_versions import ModelVersions
from trivet.models.origins import Origins
from trivet.models.registered_models import RegisteredModels
from trivet.releases.service import ReleasesService
from trivet.tracking.reporting.experiments import Experiments
from trivet.tracking.reporting.logged_models import LoggedModels
from trivet.tracking.reporting.points import Metrics
from trivet.tracking.reporting.runs import ReportedRuns


def registry_doors(stores: Stores, scope: Scope) -> tuple[RegisteredModels, ModelVersions]:
    """Build what names, moves and deletes versions, and refuses what something serves."""
    clock, points = SystemClock(), Metrics(stores)
    experiments = Experiments(stores, scope, clock)
    runs = ReportedRuns(stores, scope, experiments, points)
    logged = LoggedModels(stores, scope, experiments, points, clock)
    served_by = ReleasesService(stores, scope).served_by
    names = RegisteredModels(stores, scope, clock, served_by=served_by)
    return names, ModelVersions(stores, scope, names, Origins(stores, scope, runs, logged))
