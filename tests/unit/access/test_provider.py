"""Attacks on signing in at a provider, against everything that is checked once signatures hold."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivet.access.provider import (
    answer,
    challenge_of,
    local_path,
    new_attempt,
    person,
    question,
    roles_of,
    token_hash,
)
from trivet.core.errors import Forbidden

ISSUER, CLIENT = "https://id.example", "trivet"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SKEW_S = 60.0
BACK = "http://127.0.0.1:7878/login/callback"


class Provider:
    """A provider whose signatures hold, and whose every word can be bent."""

    issuer = ISSUER
    client_id = CLIENT

    def __init__(self) -> None:
        self.about: dict[str, Any] = {"authorization_endpoint": f"{ISSUER}/authorize"}
        self.claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": CLIENT,
            "sub": "1",
            "iat": NOW.timestamp(),
            "exp": (NOW + timedelta(minutes=5)).timestamp(),
            "at_hash": token_hash("access", "RS256"),
        }
        self.tokens: dict[str, Any] = {"id_token": "signed", "access_token": "access"}
        self.asked: list[tuple[str, str, str]] = []

    def metadata(self) -> Mapping[str, Any]:
        return self.about

    def exchange(self, code: str, verifier: str, redirect_uri: str) -> Mapping[str, Any]:
        self.asked.append((code, verifier, redirect_uri))
        return self.tokens

    def verified(self, token: str) -> tuple[str, Mapping[str, Any]]:
        assert token == "signed"
        return "RS256", self.claims


def come_back(provider: Provider, **query: str) -> Mapping[str, Any]:
    attempt = new_attempt(BACK, "/session")
    provider.claims = {"nonce": attempt.nonce} | provider.claims
    given = {"state": attempt.state, "code": "c", **query}
    return answer(provider, attempt, given, NOW, SKEW_S)


def refusal(provider: Provider, **query: str) -> str:
    with pytest.raises(Forbidden) as caught:
        come_back(provider, **query)
    return caught.value.code


def test_an_answer_that_is_all_right_tells_who_it_is() -> None:
    provider = Provider()
    assert come_back(provider)["sub"] == "1"
    assert [asked[0] for asked in provider.asked] == ["c"]


def test_the_question_binds_the_answer_to_one_attempt_and_keeps_the_verifier_here() -> None:
    attempt = new_attempt(BACK, "/runs")
    url = question(Provider(), attempt, "openid email")
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert url.startswith(f"{ISSUER}/authorize?")
    assert query == {
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": BACK,
        "scope": "openid email",
        "state": attempt.state,
        "nonce": attempt.nonce,
        "code_challenge": challenge_of(attempt.verifier),
        "code_challenge_method": "S256",
    }
    assert attempt.verifier not in url
    again = new_attempt(BACK, "/runs")
    assert {again.state, again.nonce, again.verifier} & {
        attempt.state,
        attempt.nonce,
        attempt.verifier,
    } == set()


def test_the_challenge_is_that_of_the_standard() -> None:
    # The example of RFC 7636, appendix B.
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert challenge_of(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_the_hash_of_an_access_token_is_that_of_the_standard() -> None:
    # The example of OpenID Connect Core, appendix A.3.
    token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"
    assert token_hash(token, "RS256") == "77QmUPtjPfzWtF2AnpK9RQ"


@pytest.mark.parametrize(
    ("claim", "value", "code"),
    [
        ("iss", "https://evil.example", "bad-issuer"),
        ("iss", f"{ISSUER}/", "bad-issuer"),
        ("iss", None, "bad-issuer"),
        ("aud", "another", "bad-audience"),
        ("aud", [], "bad-audience"),
        ("aud", ["another"], "bad-audience"),
        ("aud", [CLIENT, "another"], "bad-audience"),
        ("aud", None, "bad-audience"),
        ("azp", "another", "bad-audience"),
        ("exp", (NOW - timedelta(seconds=61)).timestamp(), "expired"),
        ("exp", None, "bad-claims"),
        ("exp", "9999999999", "bad-claims"),
        ("exp", True, "bad-claims"),
        ("iat", None, "bad-claims"),
        ("iat", (NOW - timedelta(hours=2)).timestamp(), "expired"),
        ("iat", (NOW + timedelta(seconds=61)).timestamp(), "not-yet"),
        ("nbf", (NOW + timedelta(seconds=61)).timestamp(), "not-yet"),
        ("nonce", "another", "bad-nonce"),
        ("nonce", "", "bad-nonce"),
        ("nonce", None, "bad-nonce"),
        ("at_hash", token_hash("another", "RS256"), "bad-at-hash"),
        ("sub", "", "bad-claims"),
        ("sub", 1, "bad-claims"),
        ("sub", "x" * 256, "bad-claims"),
    ],
)
def test_a_token_that_is_not_for_this_attempt_is_refused(claim: str, value: Any, code: str) -> None:
    provider = Provider()
    provider.claims[claim] = value
    assert refusal(provider) == code


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": (NOW - timedelta(seconds=59)).timestamp()},
        {"iat": (NOW + timedelta(seconds=59)).timestamp()},
        {"aud": [CLIENT, "another"], "azp": CLIENT},
        {"nbf": NOW.timestamp()},
    ],
)
def test_clocks_may_differ_a_little_and_a_token_may_be_for_several(claims: dict[str, Any]) -> None:
    provider = Provider()
    provider.claims |= claims
    assert come_back(provider)["sub"] == "1"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"state": "another"}, "bad-state"),
        ({"state": ""}, "bad-state"),
        ({"iss": "https://evil.example"}, "bad-issuer"),
        ({"error": "access_denied"}, "not-signed-in"),
        ({"code": ""}, "not-signed-in"),
    ],
)
def test_an_answer_to_something_else_never_reaches_the_provider(
    query: dict[str, str], code: str
) -> None:
    provider = Provider()
    assert refusal(provider, **query) == code
    assert provider.asked == []


def test_a_provider_that_says_it_names_itself_must_name_itself() -> None:
    provider = Provider()
    provider.about["authorization_response_iss_parameter_supported"] = True
    assert refusal(provider) == "bad-issuer"
    del provider.claims["nonce"]
    assert come_back(provider, iss=ISSUER)["sub"] == "1"


def test_an_answer_without_an_id_token_is_refused() -> None:
    provider = Provider()
    del provider.tokens["id_token"]
    assert refusal(provider) == "no-id-token"


@pytest.mark.parametrize(
    "wished",
    [
        *("//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)"),
        *("", "evil", "/a\r\nset-cookie: x", "/a b", "\\\\evil", "/\tevil", " /runs", "///evil"),
    ],
)
def test_nobody_is_led_elsewhere_after_signing_in(wished: str) -> None:
    assert new_attempt(BACK, wished).onward == "/session"


@given(st.text())
def test_wherever_somebody_wants_to_go_it_is_a_path_of_this_server(wished: str) -> None:
    path = local_path(wished)
    parts = urlsplit(path)
    assert path.startswith("/")
    assert not path.startswith(("//", "/\\"))
    assert not (parts.scheme)
    assert not (parts.netloc)
    assert path.isascii()
    assert path.isprintable()


def test_a_person_has_the_name_that_the_provider_gives_or_their_address_s() -> None:
    claims = {"sub": "77", "email": "anna@example.org"}
    assert person(claims, "preferred_username", "groups").name == "anna"
    assert person(claims | {"preferred_username": "ann"}, "preferred_username", "g").name == "ann"
    assert person({"sub": "77"}, "preferred_username", "groups").name == "77"
    unproven = person(claims | {"email_verified": False}, "preferred_username", "groups")
    assert unproven.email == ""


@pytest.mark.parametrize(
    ("groups", "expected"), [(["a", "b", 5], ("a", "b")), ("a", ("a",)), (None, ()), ({}, ())]
)
def test_groups_are_text_or_nothing(groups: Any, expected: tuple[str, ...]) -> None:
    assert person({"sub": "1", "groups": groups}, "name", "groups").groups == expected


def test_of_several_groups_the_one_that_may_most_counts_in_each_project() -> None:
    table: Any = {"a": {"p": "viewer", "q": "admin"}, "b": {"p": "developer"}, "c": {"p": "admin"}}
    assert roles_of(["b", "a", "unknown"], table) == {"p": "developer", "q": "admin"}
    assert roles_of([], table) == {}
