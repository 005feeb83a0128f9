"""Both doors to the registry, Trivet's own and that of MLflow's clients, in anybody's name."""

from dataclasses import dataclass

from trivet.core.clock import SystemClock
from trivet.core.facts import Scope
from trivet.core.gates import Finding, Gate, check
from trivet.core.ports import Stores
from trivet.models.approvals import Approvals
from trivet.models.facts import Model, Version
from trivet.models.model_versions import ModelVersions, NewVersion
from trivet.models.origins import Origins
from trivet.models.packaging import Package
from trivet.models.registered_models import RegisteredModels
from trivet.models.searching import is_no_prompt
from trivet.models.service import ModelsService
from trivet.releases.service import ReleasesService
from trivet.tracking.artifacts import Artifacts, owner_of
from trivet.tracking.facts import Run
from trivet.tracking.reporting.experiments import Experiments
from trivet.tracking.reporting.logged_models import LoggedModels
from trivet.tracking.reporting.points import Metrics
from trivet.tracking.reporting.runs import Opening, ReportedRuns


@dataclass(frozen=True)
class Registry:
    """Both doors to the registry, of one project, in somebody's name."""

    stores: Stores
    scope: Scope
    service: ModelsService
    names: RegisteredModels
    versions: ModelVersions
    runs: ReportedRuns
    logged_models: LoggedModels
    files: Artifacts
    package: Package
    run: Run

    @property
    def approvals(self) -> Approvals:
        return self.names.approvals

    @property
    def releases(self) -> ReleasesService:
        return ReleasesService(self.stores, self.scope)

    def acting(self, actor: str) -> "Registry":
        """The same in somebody else's name."""
        scope = Scope(project=self.scope.project, actor=actor)
        return registry_of(self.stores, scope, self.package, self.run)

    def log(self, name: str = "parcels", weights: bytes | None = None) -> Version:
        run = self.runs.open(Opening(location="mlflow-artifacts:/0/{run}/artifacts"))
        if weights is not None:
            self.files.put(owner_of("run", run.id), "model/weights", weights)
        return self.versions.make(name, NewVersion(source=f"runs:/{run.id}/model"))

    def judge(self, name: str = "parcels", *, passed: bool = True) -> str:
        def answer(_: object) -> Finding:
            return Finding(check="fine", ok=passed, summary="it is as it is", value=0.5)

        gate = Gate(name="lenient", checks=(check("fine")(answer),))
        return self.service.judge(name, self.package, gate, {}, run=self.run)[0]

    def register(self, name: str = "parcels") -> Model:
        verdict = self.judge(name)
        return self.service.register(name, self.package, run=self.run, verdict_id=verdict)

    def listed(self) -> list[tuple[int, bool]]:
        found, _ = self.versions.search(is_no_prompt())
        return sorted((version.number, version.is_packaged) for version in found)


def registry_of(stores: Stores, scope: Scope, package: Package, run: Run) -> Registry:
    """Open both doors in somebody's name."""
    clock, points = SystemClock(), Metrics(stores)
    experiments = Experiments(stores, scope, clock)
    runs = ReportedRuns(stores, scope, experiments, points)
    models = LoggedModels(stores, scope, experiments, points, clock)
    served_by = ReleasesService(stores, scope).served_by
    names = RegisteredModels(stores, scope, clock, served_by=served_by)
    return Registry(
        stores=stores,
        scope=scope,
        service=ModelsService(stores, scope, ()),
        names=names,
        versions=ModelVersions(stores, scope, names, Origins(stores, scope, runs, models)),
        runs=runs,
        logged_models=models,
        files=Artifacts(stores, scope),
        package=package,
        run=run,
    )
