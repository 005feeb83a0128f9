"""Who is let in, what is remembered of it, and for how long."""

import asyncio
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from trivet.access.permissions import Principal
from trivet.core.clock import EventClock
from trivet.core.errors import Forbidden, NotFound, Unavailable
from trivet.http.guards import Knock
from trivet.workspace.doorkeeper import Doorkeeper
from trivet.workspace.workspace import Workspace
from trivet.workspace.workspace import open as open_workspace

PASSWORD = "correct horse battery staple"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "trivet.toml").write_text('project = "left"\n')
    return tmp_path


@pytest.fixture
def workspace(folder: Path) -> Iterator[Workspace]:
    with open_workspace(folder) as workspace:
        workspace.access.users.add("anna")
        workspace.access.users.grant("anna", "developer", None, None)
        yield workspace


@pytest.fixture
def keeper(workspace: Workspace) -> Doorkeeper:
    return Doorkeeper(workspace)


def let_in(keeper: Doorkeeper, knock: Knock) -> Principal:
    async def ask() -> Principal:
        found = keeper.principal_of(knock)
        return found if isinstance(found, Principal) else await found

    return asyncio.run(ask())


def with_password(password: str = PASSWORD, user: str = "anna") -> Knock:
    return Knock(password, "basic", user, address="a")


def test_what_another_process_changes_counts_from_the_next_request_on(
    workspace: Workspace, keeper: Doorkeeper, folder: Path
) -> None:
    """The other one has the stores open itself, as the command line has beside a server."""
    knock = Knock(workspace.access.issue("laptop", user="anna", project="*"))
    below = Knock(knock.secret, project="right")
    with open_workspace(folder, actor="other") as other:
        assert let_in(keeper, knock).role == "developer"
        other.access.users.grant("anna", "viewer", None, None)
        assert let_in(keeper, knock).role == "viewer"
        with pytest.raises(NotFound):
            let_in(keeper, below)
        other.access.projects.add("right")
        other.access.users.grant("anna", "admin", "right", None)
        assert let_in(keeper, below).role == "admin"
        other.access.revoke("laptop", user="anna")
        with pytest.raises(Forbidden):
            let_in(keeper, knock)


def test_a_password_is_looked_at_once_and_forgotten_with_any_change(
    workspace: Workspace, keeper: Doorkeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = workspace.access.users
    users.set_password("anna", PASSWORD)
    looked: list[str] = []
    check = users.check_password

    def counted(name: str, password: str) -> Any:
        looked.append(name)
        return check(name, password)

    monkeypatch.setattr(users, "check_password", counted)
    for _ in range(5):
        assert let_in(keeper, with_password()).name == "anna"
    assert looked == ["anna"]
    users.set_password("anna", "another " + PASSWORD)
    with pytest.raises(Forbidden):
        let_in(keeper, with_password())
    assert let_in(keeper, with_password("another " + PASSWORD)).proof == "password"
    users.disable("anna")
    with pytest.raises(Forbidden):
        let_in(keeper, with_password("another " + PASSWORD))


def test_many_who_begin_at_once_with_one_password_are_all_let_in(
    workspace: Workspace, keeper: Doorkeeper
) -> None:
    workspace.access.users.set_password("anna", PASSWORD)

    async def all_at_once() -> list[str]:
        knocks = [keeper.principal_of(with_password()) for _ in range(100)]
        waiting = [knock for knock in knocks if not isinstance(knock, Principal)]
        return [principal.name for principal in await asyncio.gather(*waiting)]

    assert asyncio.run(all_at_once()) == ["anna"] * 100


def test_a_crowd_of_guessers_is_turned_away_before_it_costs_anything(
    workspace: Workspace, keeper: Doorkeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def stuck(name: str, password: str) -> Any:
        assert go_on.wait(20)
        raise Forbidden(f"{name} {password}", code="bad-token")

    monkeypatch.setattr(workspace.access.users, "check_password", stuck)

    async def crowd() -> list[Any]:
        tries = [keeper.check_password(f"u-{n}", "wrong", f"a-{n}") for n in range(80)]
        tasks = [asyncio.ensure_future(each) for each in tries]
        await asyncio.sleep(0.05)
        go_on.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = [type(error) for error in asyncio.run(crowd())]
    assert (found.count(Forbidden), found.count(Unavailable)) == (50, 30)


def test_a_password_that_was_changed_while_it_was_looked_at_is_not_remembered(
    workspace: Workspace, keeper: Doorkeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = workspace.access.users
    users.set_password("anna", PASSWORD)
    check, begun, go_on = users.check_password, threading.Event(), threading.Event()

    def slow(name: str, password: str) -> Any:
        found = check(name, password)
        begun.set()
        assert go_on.wait(20)
        return found

    monkeypatch.setattr(users, "check_password", slow)

    async def race() -> None:
        waiting = asyncio.ensure_future(keeper.principal_of(with_password()))  # type: ignore[arg-type]
        await asyncio.to_thread(begun.wait, 20)
        users.set_password("anna", "another " + PASSWORD)
        with pytest.raises(Forbidden):
            keeper.principal_of(Knock("trv_unknown"))  # somebody else comes in between
        go_on.set()
        await waiting

    asyncio.run(race())
    monkeypatch.setattr(users, "check_password", check)
    with pytest.raises(Forbidden):
        let_in(keeper, with_password())


def test_a_wrong_password_is_never_remembered_as_a_right_one(
    workspace: Workspace, keeper: Doorkeeper
) -> None:
    workspace.access.users.set_password("anna", PASSWORD)
    let_in(keeper, with_password())
    for wrong in (with_password("wrong"), with_password(user="ann"), with_password(user="")):
        with pytest.raises(Forbidden):
            let_in(keeper, wrong)


def test_who_was_let_in_stays_in_while_the_store_is_away(
    workspace: Workspace, keeper: Doorkeeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Serving answers while everything else is down, and nobody can revoke anything meanwhile."""
    knock = Knock(workspace.access.issue("shop", "application"))
    let_in(keeper, knock)

    def away() -> str:
        raise Unavailable("the store is away")

    monkeypatch.setattr(workspace.access, "version", away)
    assert let_in(keeper, knock).name == "shop"


def test_who_trusts_for_a_while_sees_a_change_after_it(workspace: Workspace) -> None:
    keeper = Doorkeeper(workspace, trust_s=0.2)
    knock = Knock(workspace.access.issue("shop", "application"))
    let_in(keeper, knock)
    workspace.access.revoke("shop")
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            let_in(keeper, knock)
        except Forbidden:
            return
        time.sleep(0.01)
    pytest.fail("the token was never refused")


def test_a_token_that_is_remembered_ends_with_its_time_all_the_same(workspace: Workspace) -> None:
    clock = EventClock(datetime(2026, 1, 1, tzinfo=UTC))
    settings, opened = workspace.settings, workspace.opened
    dated = Workspace(workspace.folder, settings, actor="ada", clock=clock, opened=opened)
    keeper = Doorkeeper(dated)
    knock = Knock(dated.access.issue("shop", "viewer", days=1))
    let_in(keeper, knock)
    clock.move_to(clock.now() + timedelta(days=1, seconds=1))
    with pytest.raises(Forbidden):
        let_in(keeper, knock)


def test_when_a_token_was_last_used_is_kept_once_a_minute_and_is_no_fact(
    workspace: Workspace, keeper: Doorkeeper
) -> None:
    knock = Knock(workspace.access.issue("shop", "application"))
    before = workspace.access.version(), len(workspace.stores.ledger.since(0))
    for _ in range(100):
        let_in(keeper, knock)
    keeper.close()
    (grant,) = workspace.access.grants()
    assert isinstance(grant.last_used, type(grant.token.expires))  # shown alike
    assert (workspace.access.version(), len(workspace.stores.ledger.since(0))) == before


def test_the_folder_s_own_token_opens_every_project_that_is_there_and_no_other(
    workspace: Workspace, keeper: Doorkeeper
) -> None:
    own = (workspace.opened.folder / "token").read_text().strip()
    workspace.access.projects.add("right")
    for project in (None, "left", "right"):
        assert let_in(keeper, Knock(own, project=project)).role == "owner"
    with pytest.raises(NotFound):
        let_in(keeper, Knock(own, project="nowhere"))
