"""Packaged and logged versions of one name: one line of numbers, one set of aliases."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from trivet.core.clock import SystemClock
from trivet.core.errors import Invalid, NotFound, Refused
from trivet.core.facts import Scope
from trivet.core.gates import Gate, check
from trivet.core.ports import Stores
from trivet.models.facts import Model, Version
from trivet.models.model_versions import ModelVersions, NewVersion
from trivet.models.origins import Origins
from trivet.models.packaging import Package
from trivet.models.registered_models import RegisteredModels
from trivet.models.searching import is_no_prompt
from trivet.models.service import ModelsService
from trivet.releases.service import ReleasesService
from trivet.tracking.facts import Run
from trivet.tracking.reporting.experiments import Experiments
from trivet.tracking.reporting.logged_models import LoggedModels
from trivet.tracking.reporting.points import Metrics
from trivet.tracking.reporting.runs import Opening, ReportedRuns


@dataclass(frozen=True)
class Registry:
    """Both doors to the registry, of one project."""

    service: ModelsService
    names: RegisteredModels
    versions: ModelVersions
    runs: ReportedRuns
    package: Package
    run: Run

    def log(self, name: str = "parcels") -> Version:
        run = self.runs.open(Opening(location="mlflow-artifacts:/0/{run}/artifacts"))
        return self.versions.make(name, NewVersion(source=f"runs:/{run.id}/model"))

    def register(self, name: str = "parcels") -> Model:
        verdict, _ = self.service.judge(name, self.package, _gate(), {}, run=self.run)
        return self.service.register(name, self.package, run=self.run, verdict_id=verdict)

    def listed(self) -> list[tuple[int, bool]]:
        found, _ = self.versions.search(is_no_prompt())
        return sorted((version.number, version.is_packaged) for version in found)


@pytest.fixture
def registry(
    stores: Stores, scope: Scope, service: ModelsService, a_run: Callable[..., Run], trained: Any
) -> Registry:
    clock, points = SystemClock(), Metrics(stores)
    experiments = Experiments(stores, scope, clock)
    runs = ReportedRuns(stores, scope, experiments, points)
    models = LoggedModels(stores, scope, experiments, points, clock)
    names = RegisteredModels(stores, scope, clock, ReleasesService(stores, scope).served_by)
    versions = ModelVersions(stores, scope, names, Origins(stores, scope, runs, models))
    run = a_run()
    package = service.package(trained.candidate, run=run)
    return Registry(service, names, versions, runs, package, run)


def _gate() -> Gate:
    return Gate(name="lenient", checks=(check("fine")(lambda _: True),))


def test_numbers_are_shared(registry: Registry) -> None:
    first = registry.register()
    second, third = registry.log(), registry.log()
    fourth = registry.register()
    assert [first.version.version, second.number, third.number, fourth.version.version] == [
        1,
        2,
        3,
        4,
    ]
    assert registry.listed() == [(1, True), (2, False), (3, False), (4, True)]
    assert [model.version.version for model in registry.service.versions("parcels")] == [4, 1]
    assert [version.number for version in registry.service.logged("parcels")] == [3, 2]


def test_a_package_makes_its_name_known_to_everybody(registry: Registry) -> None:
    model = registry.register()
    known = registry.names.get("parcels")
    found = registry.versions.get("parcels", 1)
    assert (known.name, known.user) == ("parcels", "ada")
    assert (found.id, found.run, found.is_packaged) == (model.id, registry.run.id, True)
    assert registry.package.digest in found.source
    assert found.location == ""


def test_what_is_only_logged_is_refused_where_a_package_is_needed(registry: Registry) -> None:
    registry.register()
    logged = registry.log()
    registry.names.set_alias("parcels", "newest", logged.number)
    for reference in ("parcels", "parcels:2", "parcels@newest", logged.id):
        with pytest.raises(Invalid, match="is logged and not packaged") as raised:
            registry.service.get(reference)
        assert raised.value.code == "not-packaged"
    assert registry.service.get("parcels:1").version.version == 1


def test_a_gate_does_not_pass_over_a_champion_that_it_cannot_compare_with(
    registry: Registry,
) -> None:
    registry.register()
    registry.names.set_alias("parcels", "champion", registry.log().number)
    with pytest.raises(Invalid, match="not packaged"):
        registry.service.champion("parcels")


def test_an_alias_may_point_at_either(registry: Registry) -> None:
    model, logged = registry.register(), registry.log()
    registry.service.set_alias("parcels", "ours", model, "it is ours")
    registry.names.set_alias("parcels", "theirs", logged.number)
    assert registry.names.aliases("parcels") == {"ours": 1, "theirs": 2}
    assert registry.service.aliases("parcels") == {"ours": model}
    assert registry.versions.get("parcels", 1).aliases == ("ours",)


def test_a_name_with_packages_keeps_it(registry: Registry) -> None:
    registry.names.make("letters")
    registry.names.rename("letters", "parcels")
    registry.register()
    with pytest.raises(Invalid, match="verdicts and releases know them"):
        registry.names.rename("parcels", "letters")
    registry.versions.delete("parcels", 1)
    assert registry.names.rename("parcels", "letters").name == "letters"


def test_a_package_is_never_copied_past_its_gate(registry: Registry) -> None:
    registry.register()
    registry.names.make("letters")
    with pytest.raises(Invalid, match="only logged ones are copied"):
        registry.versions.make("letters", NewVersion(source="models:/parcels/1"))


def test_a_deleted_package_is_hidden_and_its_number_stays_taken(registry: Registry) -> None:
    registry.register()
    registry.versions.delete("parcels", 1)
    with pytest.raises(NotFound):
        registry.service.get("parcels")
    assert registry.service.versions("parcels") == ()
    assert registry.register().version.version == 2
    registry.names.delete("parcels")
    assert registry.service.versions("parcels") == ()
    registry.names.make("parcels")
    assert registry.log().number == 3


def test_packages_want_the_stricter_name(registry: Registry) -> None:
    registry.names.make("Parcels & Letters")
    assert registry.log("Parcels & Letters").number == 1
    with pytest.raises(Invalid, match="no valid name"):
        registry.register("Parcels & Letters")


def test_only_a_judged_version_is_released(
    registry: Registry, stores: Stores, scope: Scope
) -> None:
    model, logged = registry.register(), registry.log()
    releases = ReleasesService(stores, scope)
    releases.release("front", model, why="judged")
    with pytest.raises(Invalid, match="served by the endpoint 'front'"):
        registry.versions.delete("parcels", 1)
    swapped = Model(id=logged.id, version=model.version)
    with pytest.raises((Refused, NotFound)):
        releases.release("front", swapped, why="a trick")


def test_another_project_sees_nothing(registry: Registry, stores: Stores) -> None:
    registry.register()
    scope = Scope(project="letters", actor="ada")
    names = RegisteredModels(stores, scope, SystemClock(), ReleasesService(stores, scope).served_by)
    with pytest.raises(NotFound):
        names.get("parcels")
    assert names.search(is_no_prompt()) == ((), None)
