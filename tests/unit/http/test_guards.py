from base64 import b64encode

import pytest

from trivet.access.permissions import Permission, Principal
from trivet.core.errors import Forbidden, Invalid
from trivet.http.guards import (
    ANONYMOUS,
    CSRF,
    Knock,
    admit,
    check_body,
    check_door,
    csrf_of,
    loopback_policy,
    read_visitor,
)

POLICY = loopback_policy(7878, max_body_bytes=100)
GOOD_HOST = (b"host", b"127.0.0.1:7878")


def enter(*headers: tuple[bytes, bytes], changes: bool = False) -> None:
    check_door(read_visitor(headers), POLICY, changes=changes)


@pytest.mark.parametrize("host", [b"127.0.0.1:7878", b"localhost:7878", b"[::1]:7878"])
def test_the_server_s_own_names_are_let_in(host: bytes) -> None:
    enter((b"host", host))


@pytest.mark.parametrize(
    "host",
    [
        b"evil.example",
        b"evil.example:7878",
        b"127.0.0.1",
        b"127.0.0.1:7879",
        b"localhost.evil.example:7878",
        b"127.0.0.1:7878.evil.example",
        b"127.0.0.1:7878@evil.example",
        b"",
    ],
)
def test_any_other_host_is_turned_away(host: bytes) -> None:
    with pytest.raises(Forbidden) as caught:
        enter((b"host", host))
    assert caught.value.code == "bad-host"


def test_a_request_without_a_host_is_turned_away() -> None:
    with pytest.raises(Forbidden):
        enter()


@pytest.mark.parametrize(
    "origin",
    [
        b"http://evil.example",
        b"null",
        b"http://127.0.0.1:7878.evil.example",
        b"https://127.0.0.1:7878",
        b"http://127.0.0.1",
    ],
)
def test_a_foreign_origin_is_turned_away_even_when_it_only_reads(origin: bytes) -> None:
    with pytest.raises(Forbidden) as caught:
        enter(GOOD_HOST, (b"origin", origin))
    assert caught.value.code == "bad-origin"


@pytest.mark.parametrize("site", [b"cross-site", b"same-site", b"something"])
def test_a_cross_site_fetch_is_turned_away(site: bytes) -> None:
    with pytest.raises(Forbidden):
        enter(GOOD_HOST, (b"sec-fetch-site", site))


def test_a_cookie_alone_changes_nothing() -> None:
    cookie = (b"cookie", b"a=b; trivet_session=trv_x")
    enter(GOOD_HOST, cookie)
    with pytest.raises(Forbidden):
        enter(GOOD_HOST, cookie, changes=True)
    enter(GOOD_HOST, cookie, (b"origin", b"http://127.0.0.1:7878"), changes=True)


@pytest.mark.parametrize("name", [b"host", b"authorization", b"content-length", b"origin"])
def test_a_guarded_header_that_is_given_twice_is_refused(name: bytes) -> None:
    with pytest.raises(Invalid):
        read_visitor([(name, b"1"), (name, b"1")])


@pytest.mark.parametrize("length", [b"-1", b"1e9", b"", b"9" * 16, b"101"])
def test_a_body_length_that_is_none_or_too_great_is_refused(length: bytes) -> None:
    with pytest.raises(Invalid):
        check_body(read_visitor([GOOD_HOST, (b"content-length", length)]), limit_bytes=100)


def test_a_packed_body_is_taken_only_where_that_is_allowed() -> None:
    packed = read_visitor([GOOD_HOST, (b"content-encoding", b"GZip")])
    check_body(packed, 100, {b"gzip"})
    for allowed in ((), {b"deflate"}):
        with pytest.raises(Invalid) as caught:
            check_body(packed, 100, allowed)
        assert caught.value.code == "other-encoding"
    check_body(read_visitor([(b"content-encoding", b"identity")]), 100)


def basic(credentials: bytes) -> tuple[bytes, bytes]:
    return (b"authorization", b"Basic " + b64encode(credentials))


@pytest.mark.parametrize("user", [b"", b"ada", b"mlflow@example", "ä".encode()])
def test_a_basic_password_is_a_token_whoever_the_user_is(user: bytes) -> None:
    assert read_visitor([basic(user + b":trv_x")]).token == "trv_x"
    assert read_visitor([basic(user + b":trv:x")]).token == "trv:x"


@pytest.mark.parametrize("credentials", [b"", b"ada", b"ada:", b":"])
def test_basic_without_a_password_is_refused(credentials: bytes) -> None:
    with pytest.raises(Invalid):
        read_visitor([basic(credentials)])


@pytest.mark.parametrize(
    "value", [b"Basic abc", b"Basic", b"Basic YTpi*", b"Bearer", b"Bearer ", b"trv_x"]
)
def test_an_authorization_of_another_form_is_refused(value: bytes) -> None:
    with pytest.raises(Invalid):
        read_visitor([(b"authorization", value)])


def test_nobody_is_admitted_without_a_token_but_to_what_is_public() -> None:
    visitor = read_visitor([GOOD_HOST])

    def nobody(_: Knock) -> Principal:
        raise AssertionError("nobody was to be asked")

    assert admit(visitor, Permission.PUBLIC, nobody).name == "anonymous"
    with pytest.raises(Forbidden) as caught:
        admit(visitor, Permission.READ, nobody)
    assert caught.value.code == "no-token"


def test_whoever_is_admitted_is_who_the_doorkeeper_says() -> None:
    vera = Principal(name="vera", role="viewer")
    knocks: list[Knock] = []

    def principal_of(knock: Knock) -> Principal:
        knocks.append(knock)
        return vera

    for value in (b"Bearer trv_x", b"Basic " + b64encode(b"anna:trv_x")):
        visitor = read_visitor([GOOD_HOST, (b"authorization", value)])
        assert admit(visitor, Permission.READ, principal_of, project="left", address="::1") is vera
    assert knocks == [
        Knock("trv_x", "bearer", "", "left", "::1"),
        Knock("trv_x", "basic", "anna", "left", "::1"),
    ]


def test_a_session_s_cookie_changes_nothing_without_its_other_half() -> None:
    cookie = (b"cookie", b"trivet_session=trv_x")
    for other in ([], [(CSRF, b"")], [(CSRF, csrf_of("trv_y").encode())]):
        visitor = read_visitor([GOOD_HOST, cookie, *other])
        with pytest.raises(Forbidden) as caught:
            admit(visitor, Permission.RUN, lambda _: ANONYMOUS, changes=True)
        assert caught.value.code == "no-csrf"
        admit(visitor, Permission.RUN, lambda _: ANONYMOUS)
    visitor = read_visitor([GOOD_HOST, cookie, (CSRF, csrf_of("trv_x").encode())])
    admit(visitor, Permission.RUN, lambda _: ANONYMOUS, changes=True)
