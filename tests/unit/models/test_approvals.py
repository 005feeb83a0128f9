from collections.abc import Callable
from typing import ClassVar

import pytest

from trivet.core.errors import Conflict, Forbidden, Invalid, NotFound
from trivet.core.facts import Scope, draft
from trivet.core.ports import Stores
from trivet.models.approvals import Approvals
from trivet.models.contents import Content
from trivet.models.facts import ApprovalUsed, NameRegistered, VersionsDeleted
from trivet.tracking.freezing import Place

Of = Callable[[str], Approvals]


class _Unchanged:
    """Whatever was asked for is still as it was, and none of its files are here."""

    known: ClassVar[dict[str, Content]] = {}

    def of(self, model: str) -> Content:
        return self.known[model]

    def place(self, model: str) -> Place | None:
        del model
        return None


@pytest.fixture
def of(stores: Stores) -> Of:
    """The approvals, in somebody's name."""
    return lambda actor: Approvals(stores, Scope(project="parcels", actor=actor), _Unchanged())


@pytest.fixture
def version(stores: Stores) -> str:
    """Any fact that an alias could point at."""
    fact = draft(NameRegistered(name="parcels"))
    stores.ledger.commit(Scope(project="parcels", actor="ada").batch("a version", [fact]))
    return fact.id


def asked(approvals: Approvals, content: Content, alias: str = "champion") -> str:
    """Try to move an alias, and return the request that was opened."""
    if content.model is not None:
        _Unchanged.known[content.model] = content
    with pytest.raises(Forbidden) as raised:
        approvals.demand("parcels", alias, lambda: content)
    assert raised.value.code == "approval-needed"
    assert raised.value.detail["request"] in raised.value.message
    return raised.value.detail["request"]


def test_what_is_not_protected_moves_freely(of: Of, version: str) -> None:
    def content() -> Content:
        pytest.fail("nobody has to know")

    passage = of("ada").demand("parcels", "champion", content)
    assert (passage.facts, passage.moves) == ((), ())
    del version


@pytest.mark.parametrize(
    ("pattern", "place", "is_meant"),
    [
        ("champion", "parcels@champion", True),
        ("champion", "parcels@champions", False),
        ("prod*", "letters@production", True),
        ("parcels@champion", "parcels@champion", True),
        ("parcels@champion", "letters@champion", False),
        ("*@champion", "letters@champion", True),
        ("stage/Production", "parcels@stage/Production", True),
        ("stage/Production", "parcels@stage/Staging", False),
        ("a@b@best", "a@b@best", True),
        ("Champion", "parcels@champion", False),
    ],
)
def test_a_pattern_means_aliases_and_stages(
    of: Of, pattern: str, place: str, is_meant: bool
) -> None:
    of("root").protect(pattern, 1)
    assert of("ada").needed(place) == int(is_meant)


def test_the_strictest_protection_counts_and_can_be_lifted(of: Of) -> None:
    of("root").protect("champion", 1)
    of("root").protect("parcels@*", 3)
    assert of("ada").needed("parcels@champion") == 3
    of("root").protect("parcels@*", 0)
    assert of("ada").needed("parcels@champion") == 1
    assert of("ada").protections() == {"champion": 1}


@pytest.mark.parametrize(
    "pattern",
    ["stage/production", "stage/Live", "Stage/*", "champion ", "parcels@best one", "päck chen"],
)
def test_a_pattern_that_no_alias_can_have_protects_nothing_and_is_refused(
    of: Of, pattern: str
) -> None:
    with pytest.raises(Invalid, match="would protect nothing"):
        of("root").protect(pattern, 1)
    of("root").protect(pattern, 0)  # what was let in before can be lifted


@pytest.mark.parametrize("pattern", ["päckchen", "pa\u0308ckchen", "parcels@生产*"])
def test_a_pattern_has_the_letters_that_aliases_may_have(of: Of, pattern: str) -> None:
    of("root").protect(pattern, 1)
    assert of("ada").needed(pattern.replace("*", "")) == 1


@pytest.mark.parametrize(("pattern", "approvals"), [("", 1), ("a\n", 1), ("a", -1), ("a", 11)])
def test_a_protection_that_makes_no_sense_is_refused(of: Of, pattern: str, approvals: int) -> None:
    with pytest.raises(Invalid):
        of("root").protect(pattern, approvals)


def test_an_alias_moves_once_enough_others_agreed(of: Of, stores: Stores, version: str) -> None:
    of("root").protect("champion", 2)
    content = Content(model=version, label="parcels:1", digest="d", verdict=None)
    request = asked(of("ada"), content)
    assert asked(of("ada"), content) == request
    of("bob").approve(request, "seen")
    assert asked(of("ada"), content) == request
    assert of("cy").approve(request, "seen, too").state == "approved"
    passage = of("ada").demand("parcels", "champion", lambda: content)
    assert len(passage.facts) == 1
    batch = Scope(project="parcels", actor="ada").batch("move", passage.facts, heads=passage.moves)
    stores.ledger.commit(batch)
    assert of("ada").get(request).state == "used"
    assert asked(of("ada"), content) != request


def test_one_approval_is_not_used_by_two(of: Of, stores: Stores, version: str) -> None:
    of("root").protect("champion", 1)
    content = Content(model=version, label="parcels:1")
    of("bob").approve(asked(of("ada"), content), "seen")
    passages = [
        of(actor).demand("parcels", "champion", lambda: content) for actor in ("ada", "bob")
    ]
    scope = Scope(project="parcels", actor="ada")
    stores.ledger.commit(scope.batch("move", passages[0].facts, heads=passages[0].moves))
    with pytest.raises(Conflict):
        stores.ledger.commit(scope.batch("move", passages[1].facts, heads=passages[1].moves))
    assert len(stores.ledger.find(ApprovalUsed.KIND).entries) == 1


def test_nobody_approves_what_they_asked_for(of: Of, version: str) -> None:
    of("root").protect("champion", 1)
    request = asked(of("ada"), Content(model=version, label="parcels:1"))
    with pytest.raises(Forbidden, match="asked for this") as raised:
        of("ada").approve(request, "I am sure")
    assert raised.value.code == "own-request"
    assert of("ada").refuse(request, "I was wrong").state == "refused"


def test_nobody_approves_twice(of: Of, version: str) -> None:
    of("root").protect("champion", 2)
    request = asked(of("ada"), Content(model=version, label="parcels:1"))
    of("bob").approve(request, "seen")
    with pytest.raises(Conflict, match=r"bob has approved the request .* already, and counts once"):
        of("bob").approve(request, "seen again")
    assert of("bob").get(request).state == "open"


def test_a_request_for_a_version_that_was_deleted_waits_for_nobody(
    of: Of, stores: Stores, version: str
) -> None:
    of("ada").protect("champion", 1)
    request = asked(of("ada"), Content(model=version, verdict=None, digest="d", label="parcels:1"))
    gone = draft(VersionsDeleted(name="parcels", models=(version,)), parents=[version])
    stores.ledger.commit(Scope(project="parcels", actor="ada").batch("delete it", [gone]))
    assert of("bob").get(request).state == "obsolete"
    for decide in (of("bob").approve, of("bob").refuse):
        with pytest.raises(Conflict, match="it was deleted"):
            decide(request, "I looked at it")


def test_a_refusal_is_the_end_of_a_request_and_not_of_the_wish(of: Of, version: str) -> None:
    of("root").protect("champion", 1)
    content = Content(model=version, label="parcels:1")
    request = asked(of("ada"), content)
    of("bob").refuse(request, "not yet")
    with pytest.raises(Conflict):
        of("cy").approve(request, "I like it")
    assert asked(of("ada"), content) != request


@pytest.mark.parametrize("other", [{"digest": "e"}, {"verdict": "v"}, {"model": None}])
def test_another_content_needs_another_approval(
    of: Of, stores: Stores, version: str, other: dict[str, str | None]
) -> None:
    of("root").protect("champion", 1)
    known = {"model": version, "label": "parcels:1", "digest": "d", "verdict": None}
    request = asked(of("ada"), Content(**known))  # type: ignore[arg-type]
    of("bob").approve(request, "seen")
    if "verdict" in other:
        fact = draft(NameRegistered(name="a verdict"))
        stores.ledger.commit(Scope(project="parcels", actor="ada").batch("v", [fact]))
        other = {"verdict": fact.id}
    assert asked(of("ada"), Content(**(known | other))) != request  # type: ignore[arg-type]


def test_a_stricter_rule_holds_for_what_was_approved_before(of: Of, version: str) -> None:
    of("root").protect("champion", 1)
    content = Content(model=version, label="parcels:1")
    request = asked(of("ada"), content)
    of("bob").approve(request, "seen")
    of("root").protect("champion", 2)
    assert asked(of("ada"), content) == request


def test_an_approval_is_of_one_place(of: Of, version: str) -> None:
    of("root").protect("*", 1)
    content = Content(model=version, label="parcels:1")
    of("bob").approve(asked(of("ada"), content), "seen")
    asked(of("ada"), content, alias="production")


def test_a_decision_needs_a_reason_and_a_request(of: Of, version: str) -> None:
    of("root").protect("champion", 1)
    request = asked(of("ada"), Content(model=version, label="parcels:1"))
    with pytest.raises(Invalid):
        of("bob").approve(request, " ")
    with pytest.raises(NotFound):
        of("bob").approve("0" * 32, "seen")


def test_another_project_decides_nothing_here(of: Of, stores: Stores, version: str) -> None:
    of("root").protect("champion", 1)
    request = asked(of("ada"), Content(model=version, label="parcels:1"))
    other = Approvals(stores, Scope(project="letters", actor="bob"))
    assert other.needed("parcels@champion") == 0
    with pytest.raises(NotFound):
        other.approve(request, "seen")
