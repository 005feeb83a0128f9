"""Packaged and logged versions of one name: one line of numbers, one set of aliases."""

import pytest
from tests.unit.models.doors import Registry

from trivet.core.errors import Forbidden, Invalid, NotFound, Refused
from trivet.core.facts import Scope
from trivet.core.ports import Stores
from trivet.models.approvals import Approvals
from trivet.models.facts import Model
from trivet.models.model_versions import NewVersion
from trivet.models.service import ModelsService
from trivet.releases.service import ReleasesService


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
    other = ModelsService(stores, Scope(project="letters", actor="ada"), ())
    assert other.names() == ()
    assert other.versions("parcels") == ()
    assert other.logged("parcels") == ()


def test_no_door_moves_a_protected_alias_without_an_approval(
    registry: Registry, stores: Stores, scope: Scope
) -> None:
    model, logged = registry.register(), registry.log()
    approvals = registry.names.approvals
    approvals.protect("champion", 1)
    releases = ReleasesService(stores, scope)
    for door in (
        lambda: registry.names.set_alias("parcels", "champion", 1),
        lambda: registry.service.set_alias("parcels", "champion", model, "because"),
        lambda: releases.release("front", model, why="because"),
    ):
        with pytest.raises(Forbidden) as raised:
            door()
        assert raised.value.code == "approval-needed"
    (request,) = approvals.requests()
    assert request.requested.digest == model.version.package
    assert request.requested.verdict == model.version.verdict
    other = Approvals(stores, Scope(project=scope.project, actor="bob"))
    other.approve(request.id, "seen in the acceptance test")
    releases.release("front", model, why="approved")
    assert registry.names.aliases("parcels") == {"champion": 1}
    releases.release("back", model, why="it is the champion already")
    with pytest.raises(Forbidden):
        registry.names.drop_alias("parcels", "champion")
    assert logged.number == 2


def test_what_a_protected_alias_points_at_stays(registry: Registry) -> None:
    registry.names.make("letters")
    registry.log("letters")
    registry.names.set_alias("letters", "best", 1)
    registry.names.approvals.protect("best", 1)
    for action in (
        lambda: registry.versions.delete("letters", 1),
        lambda: registry.names.delete("letters"),
        lambda: registry.names.rename("letters", "post"),
    ):
        with pytest.raises(Invalid, match="letters@best is protected"):
            action()
    registry.names.approvals.protect("best", 0)
    registry.names.approvals.protect("post@best", 1)
    with pytest.raises(Invalid, match="post@best is protected"):
        registry.names.rename("letters", "post")


def test_the_history_of_an_alias_tells_who_moved_it_where(registry: Registry) -> None:
    registry.register()
    registry.log()
    for number in (1, 2):
        registry.names.set_alias("parcels", "best", number)
    registry.names.drop_alias("parcels", "best")
    moves = registry.service.history("parcels", "best")
    assert [(move.before, move.label, move.by) for move in moves] == [
        ("parcels:2", "", "ada"),
        ("parcels:1", "parcels:2", "ada"),
        ("", "parcels:1", "ada"),
    ]
    assert registry.service.alias_names("parcels") == ()
