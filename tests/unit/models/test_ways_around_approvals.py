"""Ways around a protected alias that somebody will try, and that lead nowhere."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.unit.models.doors import Registry

from trivet.access.facts import WORKSPACE, TokenIssued, TokenRevoked, User
from trivet.access.service import AccessService
from trivet.core.clock import SystemClock
from trivet.core.errors import Conflict, Forbidden, Invalid
from trivet.core.facts import Scope, draft
from trivet.models.model_versions import NewVersion


def asked(move: Callable[[], object]) -> str:
    with pytest.raises(Forbidden) as raised:
        move()
    assert raised.value.code == "approval-needed"
    return raised.value.detail["request"]


@pytest.fixture
def access(registry: Registry) -> AccessService:
    """Tokens, issued by the administrator."""
    scope = registry.acting("root").scope
    return AccessService(registry.stores, scope, SystemClock())


@pytest.fixture
def guarded(registry: Registry) -> Registry:
    """Two logged versions, and a champion that needs one approval."""
    registry.names.make("letters")
    registry.log("letters", b"one")
    registry.log("letters", b"two")
    registry.approvals.protect("champion", 1)
    return registry


def move(registry: Registry, number: int, alias: str = "champion") -> Callable[[], Any]:
    return lambda: registry.names.set_alias("letters", alias, number)


@pytest.mark.parametrize("spelling", ["Ada", "ADA", "ａｄａ", " ada"])
def test_another_spelling_of_ones_name_is_oneself(guarded: Registry, spelling: str) -> None:
    request = asked(move(guarded, 1))
    with pytest.raises(Forbidden, match="asked for this"):
        guarded.acting(spelling).approvals.approve(request, "I am somebody else")


def test_two_spellings_are_one_approver(guarded: Registry) -> None:
    guarded.approvals.protect("champion", 2)
    request = asked(move(guarded, 1))
    guarded.acting("bob").approvals.approve(request, "seen")
    with pytest.raises(Conflict, match="bob has approved"):
        guarded.acting("BOB").approvals.approve(request, "seen again")
    assert guarded.approvals.get(request).state == "open"


def test_a_token_issued_for_the_purpose_approves_nothing(guarded: Registry) -> None:
    request = asked(move(guarded, 1))
    own = AccessService(guarded.stores, guarded.scope, SystemClock())
    own.issue("friend", "approver")
    with pytest.raises(Forbidden, match="then issued friend's token"):
        guarded.acting("friend").approvals.approve(request, "sure")


def test_an_approval_by_a_token_that_was_revoked_does_not_count(
    guarded: Registry, access: AccessService
) -> None:
    access.issue("bob", "approver")
    request = asked(move(guarded, 1))
    assert guarded.acting("bob").approvals.approve(request, "seen").state == "approved"
    access.revoke("bob")
    found = guarded.approvals.get(request)
    assert (found.state, found.given, found.void) == ("open", (), ("bob",))
    assert asked(move(guarded, 1)) == request
    access.issue("bob", "approver")
    guarded.acting("bob").approvals.approve(request, "seen with the new token")
    guarded.names.set_alias("letters", "champion", 1)


def test_an_approval_by_a_user_who_was_disabled_does_not_count(guarded: Registry) -> None:
    everywhere = Scope(project=WORKSPACE, actor="root")

    def know(**said: Any) -> None:
        fact = draft(User(name="bob", **said))
        guarded.stores.ledger.commit(everywhere.batch("a user", [fact]))

    know()
    request = asked(move(guarded, 1))
    assert guarded.acting("bob").approvals.approve(request, "seen").state == "approved"
    know(is_disabled=True)
    assert guarded.approvals.get(request).void == ("bob",)
    assert asked(move(guarded, 1)) == request


def test_a_session_that_ends_takes_no_approval_with_it(guarded: Registry) -> None:
    everywhere = Scope(project=WORKSPACE, actor="root")
    session = TokenIssued(
        name="bob's browser",
        role=None,
        digest="d",
        expires=datetime(2100, 1, 1, tzinfo=UTC),
        user="bob",
        purpose="session",
    )
    begun = draft(session)
    guarded.stores.ledger.commit(everywhere.batch("sign in", [begun]))
    request = asked(move(guarded, 1))
    guarded.acting("bob").approvals.approve(request, "seen")
    ended = draft(TokenRevoked(token=begun.id), parents=[begun.id])
    guarded.stores.ledger.commit(everywhere.batch("sign out", [ended]))
    assert guarded.approvals.get(request).state == "approved"


def test_what_was_revoked_before_the_approval_says_nothing_about_it(
    guarded: Registry, access: AccessService
) -> None:
    access.issue("bob", "approver")
    access.revoke("bob")
    access.issue("bob", "approver")
    request = asked(move(guarded, 1))
    assert guarded.acting("bob").approvals.approve(request, "seen").state == "approved"


def test_an_approval_is_void_once_its_gate_judged_the_package_again(registry: Registry) -> None:
    registry.approvals.protect("champion", 1)
    model = registry.register()

    def crown() -> None:
        registry.service.set_alias("parcels", "champion", model, "it is good")

    request = asked(crown)
    registry.acting("bob").approvals.approve(request, "the gate said yes")
    again = registry.judge(passed=False)
    for door in (crown, lambda: registry.releases.release("front", model, why="it is good")):
        assert asked(door) != request
    newest = registry.approvals.requests()[0]
    assert newest.requested.verdict == again
    registry.judge()
    with pytest.raises(Conflict, match="is not what was asked for"):
        registry.acting("bob").approvals.approve(newest.id, "seen")


def test_an_old_approval_does_not_bring_back_an_old_champion(guarded: Registry) -> None:
    first, second = asked(move(guarded, 1)), asked(move(guarded, 2))
    for request in (first, second):
        guarded.acting("bob").approvals.approve(request, "seen")
    guarded.names.set_alias("letters", "champion", 2)
    assert asked(move(guarded, 1)) != first  # it was approved from where the alias stood then
    assert guarded.names.aliases("letters") == {"champion": 2}


def test_of_two_moves_at_once_one_wins(guarded: Registry) -> None:
    for number in (1, 2):
        guarded.acting("bob").approvals.approve(asked(move(guarded, number)), "seen")
    done: list[int] = []
    begin = threading.Barrier(2)

    def work(number: int) -> None:
        begin.wait()
        try:
            guarded.acting("ada").names.set_alias("letters", "champion", number)
        except (Conflict, Forbidden):
            return
        done.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 1
    assert guarded.names.aliases("letters") == {"champion": done[0]}


def test_of_using_and_refusing_at_once_one_wins(guarded: Registry) -> None:
    request = asked(move(guarded, 1))
    guarded.acting("bob").approvals.approve(request, "seen")
    begin = threading.Barrier(2)
    outcomes: list[str] = []

    def use() -> None:
        begin.wait()
        try:
            guarded.names.set_alias("letters", "champion", 1)
        except (Conflict, Forbidden):
            return
        outcomes.append("used")

    def refuse() -> None:
        begin.wait()
        try:
            guarded.acting("cy").approvals.refuse(request, "no")
        except Conflict:
            return
        outcomes.append("refused")

    threads = [threading.Thread(target=use), threading.Thread(target=refuse)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [guarded.approvals.get(request).state]


def test_a_version_does_not_leave_a_protected_stage_alone(guarded: Registry) -> None:
    guarded.versions.move("letters", 1, "Production", archive=False)
    guarded.approvals.protect("stage/Production", 1)

    def leave() -> None:
        guarded.versions.move("letters", 1, "Archived", archive=False)

    request = asked(leave)
    for way in (
        lambda: guarded.versions.delete("letters", 1),
        lambda: guarded.names.delete("letters"),
        lambda: guarded.names.rename("letters", "post"),
    ):
        with pytest.raises(Invalid, match="stage Production"):
            way()
    guarded.acting("bob").approvals.approve(request, "it goes")
    leave()
    assert guarded.versions.get("letters", 1).stage == "Archived"
    assert asked(lambda: guarded.versions.move("letters", 2, "Production", archive=True))


def test_the_approval_to_leave_a_stage_is_none_to_come_to_it(guarded: Registry) -> None:
    guarded.versions.move("letters", 1, "Production", archive=False)
    guarded.approvals.protect("stage/Production", 1)
    request = asked(lambda: guarded.versions.move("letters", 1, "None", archive=False))
    guarded.acting("bob").approvals.approve(request, "it goes")
    guarded.versions.move("letters", 1, "None", archive=False)
    assert asked(lambda: guarded.versions.move("letters", 1, "Production", archive=False))


def test_a_name_composed_otherwise_is_protected_the_same(registry: Registry) -> None:
    registry.approvals.protect("mod\u00e8le@champion", 1)
    registry.approvals.protect("a[b]@champion", 1)
    for name in ("mode\u0300le", "a[b]"):
        registry.names.make(name)
        registry.log(name, b"one")
        assert asked(lambda name=name: registry.names.set_alias(name, "champion", 1))


def test_a_copy_under_another_name_inherits_no_approval(guarded: Registry) -> None:
    guarded.acting("bob").approvals.approve(asked(move(guarded, 1)), "seen")
    guarded.names.set_alias("letters", "champion", 1)
    guarded.names.make("copies")
    guarded.versions.make("copies", NewVersion(source="models:/letters@champion"))
    assert asked(lambda: guarded.names.set_alias("copies", "champion", 1))


def test_a_name_made_anew_inherits_no_approval(guarded: Registry) -> None:
    request = asked(move(guarded, 1))
    guarded.acting("bob").approvals.approve(request, "seen")
    guarded.names.delete("letters")
    guarded.names.make("letters")
    guarded.log("letters", b"another")
    assert asked(move(guarded, 1)) != request


def test_a_deleted_version_is_not_approved(guarded: Registry) -> None:
    request = asked(move(guarded, 1))
    guarded.versions.delete("letters", 1)
    with pytest.raises(Conflict, match="was deleted"):
        guarded.acting("bob").approvals.approve(request, "seen")
