"""Deprecation: said once, seen wherever the version is shown, warned of wherever it is used."""

import warnings

import msgspec
import pytest
from tests.unit.models.doors import Registry

from trivet.core.catalog import Amendment, Document, Search
from trivet.core.errors import Forbidden, Invalid, NotFound
from trivet.core.facts import HeadMove, draft, read
from trivet.core.outbox import QUEUE, Order
from trivet.models.deprecations import Deprecations
from trivet.models.documents import REGISTERED, VERSIONS
from trivet.models.model_versions import NewVersion
from trivet.models.references import Finder
from trivet.models.remarks import AliasForced, Deprecated, DeprecatedModel
from trivet.models.tags import DEPRECATED, INSTEAD
from trivet.testing.memory_stores import memory_stores
from trivet.tracking.webhooks.announcing import ANY, WEBHOOKS, attribute_of
from trivet.tracking.webhooks.events import EVENTS
from trivet.workspace.rebuilding import rebuild_catalog


@pytest.fixture
def deprecations(registry: Registry) -> Deprecations:
    return Deprecations(registry.stores, registry.scope)


def said(registry: Registry, deprecations: Deprecations, reference: str) -> str | None:
    found = deprecations.of(Finder(registry.stores, registry.scope.project).subject(reference))
    return found and f"{found.why}|{found.instead}|{found.by}"


def forces(registry: Registry) -> list[str]:
    return [
        read(fact, Deprecated).force
        for fact in registry.stores.ledger.find(Deprecated.KIND).entries
    ]


def test_a_version_is_deprecated_and_restored(
    registry: Registry, deprecations: Deprecations
) -> None:
    registry.register()
    registry.register()
    deprecations.deprecate("parcels:1", "a broken feed", instead="parcels:2")
    assert said(registry, deprecations, "parcels@1") == "a broken feed|parcels:2|ada"
    assert said(registry, deprecations, "parcels:2") is None
    tags = registry.versions.get("parcels", 1).tags
    assert tags == {DEPRECATED: "a broken feed", INSTEAD: "parcels:2"}
    deprecations.deprecate("parcels:1", "a feed that was broken in May")
    assert registry.versions.get("parcels", 1).tags == {DEPRECATED: "a feed that was broken in May"}
    deprecations.lift("parcels:1", "it was mended")
    assert said(registry, deprecations, "parcels:1") is None
    assert registry.versions.get("parcels", 1).tags == {}
    facts = registry.stores.ledger.find(Deprecated.KIND).entries
    assert len(facts) == 3
    with pytest.raises(Invalid, match="is not deprecated"):
        deprecations.lift("parcels:1")


def test_a_deprecated_model_deprecates_all_its_versions(
    registry: Registry, deprecations: Deprecations
) -> None:
    registry.register()
    registry.log()
    deprecations.deprecate("parcels", "the product is gone")
    for reference in ("parcels", "parcels:1", "parcels:2"):
        assert said(registry, deprecations, reference) == "the product is gone||ada"
    assert registry.names.get("parcels").tags == {DEPRECATED: "the product is gone"}
    with pytest.raises(Invalid, match="its model is") as raised:
        deprecations.lift("parcels:1")
    assert raised.value.code == "model-deprecated"
    deprecations.lift("parcels")
    assert said(registry, deprecations, "parcels:2") is None


@pytest.mark.parametrize(
    ("reference", "why", "instead", "error"),
    [
        ("parcels:1", " ", "", Invalid),
        ("parcels:1", "a" * 5001, "", Invalid),
        ("parcels:1", "old", "parcels:1", Invalid),
        ("parcels:1", "old", "parcels:3", Invalid),
        ("parcels:1", "old", "parcels:9", NotFound),
        ("parcels:9", "old", "", NotFound),
        ("letters", "old", "", NotFound),
        ("", "old", "", Invalid),
    ],
)
def test_what_makes_no_sense_is_refused(
    registry: Registry,
    deprecations: Deprecations,
    reference: str,
    why: str,
    instead: str,
    error: type[Exception],
) -> None:
    for _ in range(3):
        registry.register()
    deprecations.deprecate("parcels:3", "old, too")
    with pytest.raises(error):
        deprecations.deprecate(reference, why, instead=instead)
    assert said(registry, deprecations, "parcels:1") is None


def test_whoever_uses_it_is_warned(registry: Registry, deprecations: Deprecations) -> None:
    model = registry.register()
    deprecations.deprecate("parcels:1", "a broken feed")
    for use in (
        lambda: registry.service.open(model),
        lambda: registry.service.open("parcels:1"),
        lambda: registry.service.set_alias("parcels", "best", model, "because"),
        lambda: registry.releases.release("front", model, why="because"),
    ):
        with pytest.warns(DeprecatedModel, match="parcels:1 is deprecated by ada.*a broken feed"):
            use()
    deprecations.lift("parcels:1")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        registry.service.open(model)
        registry.releases.release("back", model, why="because")


def test_a_protected_alias_takes_it_only_by_force_which_is_recorded(
    registry: Registry, deprecations: Deprecations
) -> None:
    first, second = registry.register(), registry.register()
    registry.service.set_alias("parcels", "champion", first, "the first")
    deprecations.deprecate("parcels:2", "a broken feed")
    registry.approvals.protect("champion", 1)
    doors = (
        lambda: registry.service.set_alias("parcels", "champion", second, "why not"),
        lambda: registry.names.set_alias("parcels", "champion", 2),
        lambda: registry.releases.release("front", second, why="why not"),
    )
    for door in doors:
        with pytest.raises(Forbidden, match="parcels:2 is deprecated") as raised:
            door()
        assert raised.value.code == "deprecated"
    assert registry.approvals.requests() == ()

    def force() -> None:
        registry.service.set_alias("parcels", "champion", second, "why not", force="the old fails")

    with pytest.raises(Forbidden) as raised:
        force()
    assert raised.value.code == "approval-needed"
    registry.acting("bob").approvals.approve(raised.value.detail["request"], "seen")
    with pytest.warns(DeprecatedModel):
        force()
    (entry,) = registry.stores.ledger.find(AliasForced.KIND).entries
    forced = msgspec.json.decode(entry.payload or b"", type=AliasForced)
    assert (forced.place, forced.reason, entry.actor) == (
        "parcels@champion",
        "the old fails",
        "ada",
    )


def test_what_a_protected_alias_points_at_is_deprecated_only_by_force(
    registry: Registry, deprecations: Deprecations
) -> None:
    model = registry.register()
    registry.log()
    registry.service.set_alias("parcels", "champion", model, "the first")
    registry.versions.move("parcels", 2, "Production", archive=False)
    registry.approvals.protect("champion", 1)
    registry.approvals.protect("stage/Production", 1)
    for reference in ("parcels:1", "parcels:2", "parcels"):
        with pytest.raises(Forbidden) as raised:
            deprecations.deprecate(reference, "a broken feed")
        assert raised.value.code == "protected"
        deprecations.deprecate(reference, "a broken feed", force="it must be seen now")
    assert forces(registry) == ["it must be seen now"] * 3


def test_force_where_nothing_is_protected_is_not_on_record(
    registry: Registry, deprecations: Deprecations
) -> None:
    registry.register()
    registry.approvals.protect("champion", 1)
    deprecations.deprecate("parcels:1", "a broken feed", force="why not")
    assert forces(registry) == [""]


def test_a_copy_of_a_deprecated_version_is_deprecated(
    registry: Registry, deprecations: Deprecations
) -> None:
    registry.names.make("letters")
    registry.names.make("copies")
    registry.log("letters", b"one")
    deprecations.deprecate("letters:1", "a broken feed")
    tags = registry.versions.get("letters", 1).tags
    registry.versions.make("copies", NewVersion(source="models:/letters/1", tags=tags))
    assert said(registry, deprecations, "copies:1") == "a broken feed||ada"


def test_its_tags_are_set_by_nothing_else(registry: Registry) -> None:
    registry.names.make("letters")
    registry.log("letters", b"one")
    for key in (DEPRECATED, INSTEAD):
        for change in (
            lambda key=key: registry.versions.tag("letters", 1, key, "x"),
            lambda key=key: registry.versions.untag("letters", 1, key),
            lambda key=key: registry.names.tag("letters", key, "x"),
            lambda key=key: registry.names.untag("letters", key),
        ):
            with pytest.raises(Invalid, match="says that something is deprecated"):
                change()


def test_web_hooks_are_told_of_what_trivet_does_itself(
    registry: Registry, deprecations: Deprecations
) -> None:
    listen(registry)
    first = registry.register()
    registry.service.set_alias("parcels", "best", first, "the first")
    registry.releases.release("front", first, why="the first")
    deprecations.deprecate("parcels:1", "a broken feed")
    deprecations.lift("parcels:1")
    told = [
        (order.message.event, order.message.detail)
        for order in (
            msgspec.json.decode(task.body, type=Order)
            for task in reversed(registry.stores.journal.tasks(QUEUE, limit=100))
        )
    ]
    assert [event for event, _ in told] == [
        "registered_model.created",
        "model_version.created",
        "model_version_alias.created",
        "model_version_alias.created",
        "model_version.deprecated",
        "model_version_tag.set",
        "model_version.restored",
        "model_version_tag.deleted",
    ]
    assert [told[2][1], told[3][1]] == [
        {"name": "parcels", "alias": alias, "version": "1"} for alias in ("best", "champion")
    ]
    assert told[4][1] == {
        "name": "parcels",
        "version": "1",
        "reason": "a broken feed",
        "instead": "",
    }


def test_the_catalog_made_anew_says_the_same(
    registry: Registry, deprecations: Deprecations
) -> None:
    first = registry.register()
    registry.log()
    registry.service.set_alias("parcels", "best", first, "the first")
    registry.releases.release("front", first, why="the first")
    deprecations.deprecate("parcels:1", "a broken feed", instead="parcels:2")
    deprecations.deprecate("parcels", "the product is gone")
    deprecations.lift("parcels:1")
    written = documents(registry)
    for collection in (VERSIONS, REGISTERED):
        for document in written[collection]:
            gone = Amendment(collection=collection, id=document.id, remove=True)
            registry.stores.catalog.write([gone])
    rebuild_catalog(registry.stores, memory_stores().catalog)
    assert documents(registry) == written


def documents(registry: Registry) -> dict[str, tuple[Document, ...]]:
    catalog = registry.stores.catalog
    return {
        name: catalog.search(Search(collection=name, limit=1000)).documents
        for name in (VERSIONS, REGISTERED)
    }


def listen(registry: Registry) -> None:
    """Register a web hook that is told of everything, as the tracking room writes it."""
    fact = draft(Deprecated(subject="nothing", why="any fact will do"))
    document = Amendment(
        collection=WEBHOOKS,
        id="a-hook",
        group=registry.scope.project,
        set={"creation_time": 0.0, "active": 1.0, **dict.fromkeys(map(attribute_of, EVENTS), 1.0)},
    )
    head = HeadMove(name=ANY, to=fact.id)
    registry.stores.ledger.commit(
        registry.scope.batch("listen", [fact], heads=[head], documents=[document])
    )
