from datetime import UTC, datetime, timedelta

import pytest

from trivet.access.permissions import ROLES, Permission, Principal, RoleName
from trivet.access.service import AccessService
from trivet.core.clock import EventClock
from trivet.core.errors import Conflict, Forbidden, Invalid, NotFound
from trivet.core.facts import Scope
from trivet.core.ports import Stores

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def clock() -> EventClock:
    return EventClock(START)


@pytest.fixture
def access(stores: Stores, clock: EventClock) -> AccessService:
    return AccessService(stores, Scope(project="p", actor="ada"), clock)


def test_a_token_names_its_holder_and_role(access: AccessService) -> None:
    secret = access.issue("shop", "application")
    assert access.principal(secret) == Principal(name="shop", role="application")


def test_a_token_is_nowhere_in_the_ledger(access: AccessService, stores: Stores) -> None:
    secret = access.issue("shop", "application")
    assert all(secret.encode() not in (entry.payload or b"") for entry in stores.ledger.since(0))


@pytest.mark.parametrize("damage", ["", "x", "trv_", "cut", "extended"])
def test_a_token_that_is_not_the_one_is_refused(access: AccessService, damage: str) -> None:
    secret = access.issue("shop", "application")
    wrong = {"cut": secret[:-1], "extended": secret + "A"}.get(damage, damage)
    with pytest.raises(Forbidden) as caught:
        access.principal(wrong)
    assert caught.value.code == "bad-token"


def test_a_token_ends_with_its_time(access: AccessService, clock: EventClock) -> None:
    secret = access.issue("shop", "application", days=1)
    clock.move_to(START + timedelta(days=1, seconds=1))
    with pytest.raises(Forbidden):
        access.principal(secret)


def test_a_revoked_token_ends_at_once_and_its_name_is_free(access: AccessService) -> None:
    secret = access.issue("shop", "application")
    assert access.revoke("shop") == 1
    with pytest.raises(Forbidden):
        access.principal(secret)
    access.issue("shop", "viewer")


def test_two_tokens_in_force_never_share_a_name(access: AccessService) -> None:
    access.issue("shop", "application")
    with pytest.raises(Conflict):
        access.issue("shop", "viewer")


@pytest.mark.parametrize("days", [0, -1, 367])
def test_a_token_without_an_end_in_sight_is_refused(access: AccessService, days: float) -> None:
    with pytest.raises(Invalid):
        access.issue("shop", "application", days=days)


def test_revoking_what_never_was_says_so(access: AccessService) -> None:
    with pytest.raises(NotFound):
        access.revoke("nobody")


@pytest.mark.parametrize("permission", list(Permission))
@pytest.mark.parametrize("role", list(ROLES))
def test_a_role_holds_what_is_written_and_nothing_else(
    role: RoleName, permission: Permission
) -> None:
    principal = Principal(name="x", role=role)
    if permission in ROLES[role]:
        principal.demand(permission)
        return
    assert not principal.may(permission)
    with pytest.raises(Forbidden):
        principal.demand(permission)


def test_an_application_cannot_look_around() -> None:
    assert Permission.READ not in ROLES["application"]
    assert Permission.RELEASE not in ROLES["developer"]
