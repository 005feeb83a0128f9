from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import Any

import pytest

from trivet.access.facts import WORKSPACE, PasswordSet, RoleGranted, TokenIssued
from trivet.access.permissions import ROLES, Permission, Principal
from trivet.access.service import AccessService
from trivet.access.tokens import new_token, token_digest
from trivet.core.clock import EventClock
from trivet.core.errors import Conflict, Forbidden, Invalid, NotFound
from trivet.core.facts import Scope, draft
from trivet.core.ports import Stores

START = datetime(2026, 1, 1, tzinfo=UTC)
PASSWORD = "correct horse battery staple"
ISSUER = "https://id.example"


@pytest.fixture
def clock() -> EventClock:
    return EventClock(START)


@pytest.fixture
def access(stores: Stores, clock: EventClock) -> AccessService:
    service = AccessService(stores, Scope(project="p", actor="ada"), clock)
    service.users.add("anna", email="anna@example.org")
    return service


def test_a_user_may_do_nothing_until_they_have_a_role(access: AccessService) -> None:
    token = access.issue("laptop", user="anna")
    assert access.principal(token).rights == {Permission.PUBLIC, Permission.SELF}
    access.users.grant("anna", "developer", None, None)
    assert access.principal(token).role == "developer"
    access.users.grant("anna", None, None, None)
    assert access.principal(token).role is None


def test_what_is_granted_in_a_project_counts_before_what_is_granted_in_all(
    access: AccessService,
) -> None:
    access.projects.add("q")
    token = access.issue("laptop", user="anna", project="*")
    access.users.grant("anna", "developer", "*", None)
    access.users.grant("anna", "viewer", "q", None)
    assert access.principal(token, "p").role == "developer"
    assert access.principal(token, "q").role == "viewer"
    access.users.grant("anna", "owner", "*", None)
    assert access.principal(token, "q").role == "owner"


def test_an_owner_is_one_of_the_whole_workspace_or_none(access: AccessService) -> None:
    for grant in (
        lambda: access.users.grant("anna", "owner", None, None),
        lambda: access.issue("bot", "owner"),
    ):
        with pytest.raises(Invalid):
            grant()


@pytest.mark.parametrize("name", ["anna", "bot"])
def test_a_name_in_the_record_stands_for_one_only(access: AccessService, name: str) -> None:
    access.issue("bot", "viewer")
    access.revoke("bot")
    with pytest.raises(Conflict):
        access.users.add(name)
    with pytest.raises(Conflict):
        access.issue("anna", "viewer")


def test_a_disabled_user_has_nothing_and_gets_nothing_back(access: AccessService) -> None:
    access.users.grant("anna", "admin", None, None)
    access.users.set_password("anna", PASSWORD)
    secrets = [access.issue("laptop", user="anna"), access.begin_session("anna", hours=1)]
    access.users.disable("anna")
    for act in (
        lambda: access.issue("new", user="anna"),
        lambda: access.begin_session("anna", hours=1),
        lambda: access.users.check_password("anna", PASSWORD),
    ):
        with pytest.raises(Forbidden):
            act()
    access.users.enable("anna")
    for secret in secrets:
        with pytest.raises(Forbidden):
            access.principal(secret)
    assert access.users.check_password("anna", PASSWORD).name == "anna"
    assert access.principal(access.issue("laptop", user="anna")).role == "admin"


def test_a_token_that_outlived_its_user_s_end_opens_nothing(
    access: AccessService, stores: Stores
) -> None:
    access.users.disable("anna")
    secret = new_token()
    left_over = TokenIssued(
        name="laptop",
        role=None,
        digest=token_digest(secret),
        expires=START + timedelta(days=1),
        project="*",
        user="anna",
    )
    stores.ledger.commit(Scope(project=WORKSPACE, actor="x").batch("x", [draft(left_over)]))
    with pytest.raises(Forbidden):
        access.principal(secret)


def test_a_new_password_ends_sessions_and_leaves_no_trace_of_the_old_one(
    access: AccessService, stores: Stores
) -> None:
    access.users.set_password("anna", PASSWORD)
    session, token = access.begin_session("anna", hours=1), access.issue("laptop", user="anna")
    access.users.set_password("anna", "another " + PASSWORD)
    with pytest.raises(Forbidden):
        access.users.check_password("anna", PASSWORD)
    with pytest.raises(Forbidden):
        access.principal(session)
    assert access.principal(token).name == "anna"
    facts = stores.ledger.find(PasswordSet.KIND, newest_first=False).entries
    assert [fact.payload is None for fact in facts] == [True, False]


def test_a_password_is_nowhere_in_the_ledger(access: AccessService, stores: Stores) -> None:
    access.users.set_password("anna", PASSWORD)
    assert all(PASSWORD.encode() not in (e.payload or b"") for e in stores.ledger.since(0))


@pytest.mark.parametrize(("user", "password"), [("anna", "wrong"), ("nobody", PASSWORD)])
def test_a_wrong_name_and_a_wrong_password_are_told_alike(
    access: AccessService, user: str, password: str
) -> None:
    access.users.set_password("anna", PASSWORD)
    with pytest.raises(Forbidden) as caught:
        access.users.check_password(user, password)
    assert (caught.value.code, caught.value.message) == (
        "bad-token",
        "the name or the password is not right",
    )


def test_a_program_has_no_password(access: AccessService) -> None:
    access.users.add("ci", is_service=True)
    with pytest.raises(Invalid):
        access.users.set_password("ci", PASSWORD)


def test_every_change_is_a_fact_of_the_workspace_in_the_name_of_who_made_it(
    access: AccessService, stores: Stores
) -> None:
    access.users.grant("anna", "viewer", None, None)
    access.issue("t", "viewer")
    access.revoke("t")
    facts = [e for e in stores.ledger.since(0) if e.kind.startswith("access.")]
    assert {(fact.project, fact.actor) for fact in facts} == {(WORKSPACE, "ada")}
    assert [fact.reason for fact in facts] == [
        "add user anna",
        "make anna viewer of project p",
        "issue token t",
        "revoke token t",
    ]


def test_what_was_remembered_is_old_after_every_change_and_not_before(
    access: AccessService,
) -> None:
    seen = [access.version()]
    changes: list[Any] = [
        lambda: access.users.grant("anna", "viewer", None, None),
        lambda: access.issue("t", "viewer"),
        lambda: access.rotate("t"),
        lambda: access.revoke("t"),
        lambda: access.projects.add("q"),
        lambda: access.users.set_password("anna", PASSWORD),
        lambda: access.end(access.known(access.begin_session("anna", hours=1), "p").token),
        lambda: access.users.disable("anna"),
        lambda: access.users.enable("anna"),
    ]
    for change in changes:
        change()
        assert access.version() == access.version()
        seen.append(access.version())
    assert len(set(seen)) == len(seen)


def test_of_many_who_take_a_name_at_once_one_gets_it(access: AccessService) -> None:
    done: list[str] = []

    def add() -> None:
        try:
            done.append(access.users.add("bert").name)
        except Conflict as error:
            done.append(error.code)

    threads = [Thread(target=add) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == ["bert", *["user-exists"] * 7]


def test_a_token_is_replaced_by_one_of_the_same_rights(
    access: AccessService, clock: EventClock
) -> None:
    old = access.issue("shop", "developer", only=[Permission.LOG], days=5)
    clock.move_to(START + timedelta(days=1))
    new = access.rotate("shop", days=30)
    with pytest.raises(Forbidden):
        access.principal(old)
    principal = access.principal(new)
    assert (principal.role, principal.only) == ("developer", frozenset({Permission.LOG}))
    again = access.rotate("shop")
    clock.move_to(START + timedelta(days=30, hours=23))
    assert access.principal(again).role == "developer"
    clock.move_to(START + timedelta(days=31, hours=1))
    with pytest.raises(Forbidden):
        access.principal(again)
    with pytest.raises(NotFound):
        access.rotate("other")


def test_a_token_may_be_one_of_another_project_alone(access: AccessService) -> None:
    access.projects.add("q")
    token = access.issue("shop", "admin", project="q")
    assert access.principal(token, "q").role == "admin"
    assert access.principal(token, "p").role is None
    with pytest.raises(NotFound):
        access.issue("other", "admin", project="nowhere")


@pytest.mark.parametrize("role", [r for r in ROLES if r != "owner"])
def test_nobody_hands_out_a_right_that_they_do_not_hold(access: AccessService, role: Any) -> None:
    granter = Principal(name="boss", role=role)
    for other, rights in ROLES.items():
        if other == "owner":
            continue
        if rights <= granter.rights:
            access.issue(f"{role}-{other}", other, granter=granter)
            access.users.grant("anna", other, None, granter)
        else:
            with pytest.raises(Forbidden):
                access.issue(f"{role}-{other}", other, granter=granter)
            with pytest.raises(Forbidden):
                access.users.grant("anna", other, None, granter)


def test_a_token_for_all_projects_is_for_an_owner_to_give(access: AccessService) -> None:
    admin, owner = Principal(name="b", role="admin"), Principal(name="o", role="owner")
    with pytest.raises(Forbidden):
        access.issue("wide", "viewer", project="*", granter=admin)
    access.issue("wide", "viewer", project="*", granter=owner)
    assert access.grants() == () or all(grant.project == "p" for grant in access.grants())
    assert [grant.project for grant in access.all_grants()] == ["*"]


def test_a_token_makes_no_tokens_and_nobody_makes_another_s(access: AccessService) -> None:
    for proof, user in (("token", "anna"), ("session", "bert"), ("folder", "")):
        granter = Principal(name="x", role="admin", user=user, proof=proof)  # type: ignore[arg-type]
        with pytest.raises(Forbidden):
            access.issue("more", user="anna", granter=granter)
    signed_in = Principal(name="anna", role=None, user="anna", proof="session")
    access.issue("more", user="anna", granter=signed_in)


class TestAtAProvider:
    def come(self, access: AccessService, subject: str = "1", name: str = "carl") -> Any:
        return access.users.of_provider(ISSUER, subject, name, "c@example.org", {"p": "viewer"})

    def test_who_comes_again_is_the_same_user_whatever_they_are_called_by_then(
        self, access: AccessService
    ) -> None:
        assert self.come(access).name == "carl"
        assert self.come(access, name="charles").name == "carl"
        assert access.users.role(access.users.get("carl"), "p") == "viewer"

    def test_nobody_becomes_another_by_being_called_like_them(self, access: AccessService) -> None:
        stranger = self.come(access, name="anna")
        assert stranger.name.startswith("anna-")
        assert self.come(access, subject="2", name="carl").name == "carl"
        assert self.come(access, subject="3", name="carl").name not in {"carl", "anna"}
        elsewhere = access.users.of_provider("https://other.example", "1", "anna", "", {})
        assert elsewhere.name not in {"anna", stranger.name}

    def test_names_that_are_none_here_are_made_fit(self, access: AccessService) -> None:
        names = [self.come(access, str(n), name).name for n, name in enumerate(ODD_NAMES)]
        assert len(set(names)) == len(ODD_NAMES)

    def test_a_disabled_user_does_not_come_in_by_another_door(self, access: AccessService) -> None:
        access.users.disable(self.come(access).name)
        with pytest.raises(Forbidden):
            self.come(access)

    def test_roles_follow_the_groups_of_the_last_time_and_grants_count_before(
        self, access: AccessService
    ) -> None:
        user = access.users.of_provider(ISSUER, "1", "carl", "", {"*": "developer"})
        assert access.users.role(user, "p") == "developer"
        access.users.grant("carl", "viewer", None, None)
        assert access.users.role(access.users.get("carl"), "p") == "viewer"
        access.users.grant("carl", None, None, None)
        user = access.users.of_provider(ISSUER, "1", "carl", "", {})
        assert access.users.role(user, "p") is None

    def test_who_comes_again_unchanged_leaves_no_fact(self, access: AccessService) -> None:
        self.come(access)
        before = access.version()
        self.come(access)
        assert access.version() == before


ODD_NAMES = ["Anna Ä", "张伟", "", "..", "x" * 500, "a/b", "@workspace", "-", "a\x00b"]


def test_kinds_of_the_record_are_found_by_their_fields() -> None:
    assert set(TokenIssued.INDEXED) == {"name", "digest", "user"}
    assert set(RoleGranted.INDEXED) == {"user", "project"}
