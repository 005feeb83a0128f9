import asyncio
import gzip
import json
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from trivet.access.permissions import Permission, Principal
from trivet.core.errors import NotFound, TrivetError
from trivet.http.application import Application, Dialect, Handler, Reply, Request
from trivet.http.bodies import ENCODINGS
from trivet.http.guards import loopback_policy
from trivet.http.routes import Method, Route, RouteTable

PORT = 7878


@dataclass
class Answer:
    """What was sent, and whether it was all."""

    messages: list[dict[str, Any]] = field(default_factory=list)

    @property
    def status(self) -> int:
        return self.messages[0]["status"]

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.messages[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message["body"] for message in self.messages[1:])

    @property
    def is_whole(self) -> bool:
        return not self.messages[-1].get("more_body", False)


def route(handler: Handler, method: Method = "GET", path: str = "/", **options: Any) -> Any:
    return Route(
        method=method,
        path=path,
        permission=Permission.READ,
        handler=handler,
        summary="",
        **options,
    )


def ask(
    routes: Sequence[Any],
    method: str = "GET",
    path: str = "/",
    body: bytes = b"",
    *,
    headers: Sequence[tuple[bytes, bytes]] = (),
    dialects: Sequence[Dialect] = (),
    gone_after: int | None = None,
    stalls: bool = False,
) -> Answer:
    """Ask an application; the client goes away after some parts, or takes none."""
    app = Application(
        RouteTable(routes),
        policy=msgspec.structs.replace(loopback_policy(PORT), patience_s=0.2 if stalls else 30.0),
        principal_of=lambda _: Principal(name="ada", role="developer"),
        dialects=dialects,
    )
    answer = Answer()

    async def run() -> None:
        asked = [{"type": "http.request", "body": body, "more_body": False}]
        leaves = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if asked:
                return asked.pop()
            await leaves.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if stalls and message["type"] == "http.response.body":
                await asyncio.Event().wait()
            answer.messages.append(message)
            if gone_after is not None and len(answer.messages) > gone_after:
                leaves.set()
                await asyncio.sleep(0)

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": [
                (b"host", b"127.0.0.1:7878"),
                (b"authorization", b"Bearer trv_x"),
                *headers,
            ],
        }
        await app(scope, receive, send)

    asyncio.run(run())
    return answer


class Parts:
    """Parts that know whether they were closed."""

    def __init__(self, parts: Sequence[bytes], error: Exception | None = None) -> None:
        self.left = list(parts)
        self.error = error
        self.closed = False

    def __iter__(self) -> "Parts":
        return self

    def __next__(self) -> bytes:
        if self.left:
            return self.left.pop(0)
        if self.error:
            raise self.error
        raise StopIteration

    def close(self) -> None:
        self.closed = True


def giving(parts: Any, length: int) -> Handler:
    async def answer(_: Request) -> Reply:
        return Reply(parts=parts, length=length, content_type=b"text/plain")

    return answer


def test_parts_are_sent_one_by_one_under_their_length() -> None:
    parts = Parts([b"one,", b"two"])
    answer = ask([route(giving(parts, 7))])
    assert (answer.status, answer.body, answer.is_whole) == (200, b"one,two", True)
    assert answer.headers[b"content-length"] == b"7"
    assert parts.closed


def test_parts_may_come_from_an_async_generator_that_is_closed_with_the_answer() -> None:
    closed: list[bool] = []

    async def parts() -> AsyncIterator[bytes]:
        try:
            for _ in range(1000):
                yield b"x"
        finally:
            closed.append(True)

    assert ask([route(giving(parts(), 1000))]).body == b"x" * 1000
    assert not ask([route(giving(parts(), 1000))], gone_after=3).is_whole
    assert closed == [True, True]


def test_a_client_that_goes_away_gets_no_more_parts_and_the_file_is_closed() -> None:
    parts = Parts([b"x"] * 1000)
    answer = ask([route(giving(parts, 1000))], gone_after=2)
    assert not answer.is_whole
    assert len(answer.messages) < 10
    assert parts.closed


def test_a_client_that_takes_nothing_is_given_up() -> None:
    parts = Parts([b"x"] * 1000)
    answer = ask([route(giving(parts, 1000))], stalls=True)
    assert len(answer.messages) == 1
    assert parts.closed


@pytest.mark.parametrize(
    ("parts", "length"),
    [
        (Parts([b"abc"], OSError("the disk is gone")), 6),
        (Parts([b"abc"]), 6),
        (Parts([b"abc", b"defg"]), 6),
    ],
    ids=["fails", "too short", "too long"],
)
def test_an_answer_that_goes_wrong_under_way_is_cut_and_never_ended(
    parts: Parts, length: int, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = ask([route(giving(parts, length))])
    assert not answer.is_whole
    assert parts.closed
    assert "Traceback" in capsys.readouterr().err


def test_a_head_has_the_headers_of_a_get_and_no_body() -> None:
    parts = Parts([b"x"] * 10)
    for handler in (giving(parts, 10), _constant(b"x" * 10)):
        answer = ask([route(handler)], "HEAD")
        assert (answer.status, answer.body, answer.is_whole) == (200, b"", True)
        assert answer.headers[b"content-length"] == b"10"
    assert parts.closed
    assert len(parts.left) == 10


def _constant(body: bytes) -> Handler:
    async def answer(_: Request) -> Reply:
        return Reply(body)

    return answer


async def _echo(request: Request) -> Reply:
    return Reply(request.body)


async def _count(request: Request) -> Reply:
    assert request.stream is not None
    assert request.body == b""
    size = 0
    async for piece in request.stream:
        size += len(piece)
    return Reply(b"%d" % size)


@pytest.mark.parametrize("method", ["DELETE", "PATCH", "PUT", "POST"])
def test_every_method_that_changes_something_has_a_body(method: Method) -> None:
    answer = ask([route(_echo, method)], method, body=b'{"key":"x"}')
    assert answer.body == b'{"key":"x"}'


PACKED = (b"content-encoding", b"gzip")


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_packed_body_is_unpacked_where_the_route_allows_it(is_streamed: bool) -> None:
    body = gzip.compress(b"x" * 50)
    options: dict[str, Any] = {"is_streamed": is_streamed, "max_body_bytes": 100}
    handler = _count if is_streamed else _echo
    allowed = [route(handler, "POST", encodings=ENCODINGS, **options)]
    answer = ask(allowed, "POST", body=body, headers=[PACKED])
    assert answer.body == (b"50" if is_streamed else b"x" * 50)
    too_large = ask(allowed, "POST", body=gzip.compress(b"x" * 101), headers=[PACKED])
    assert too_large.status == 413
    refused = ask([route(handler, "POST", **options)], "POST", body=body, headers=[PACKED])
    assert refused.status == 415


def test_a_route_s_own_limit_counts_instead_of_the_server_s() -> None:
    small = [route(_echo, "POST", max_body_bytes=10)]
    assert ask(small, "POST", body=b"x" * 10).status == 200
    assert ask(small, "POST", body=b"x" * 11).status == 413
    declared = (b"content-length", b"%d" % (1 << 30))
    assert ask(small, "POST", headers=[declared]).status == 413
    large = [route(_count, "PUT", is_streamed=True, max_body_bytes=1 << 40)]
    assert ask(large, "PUT", body=b"x", headers=[declared]).body == b"1"


def _say(error: TrivetError) -> tuple[int, Any]:
    return 418, {"error_code": error.code}


TEAPOT = Dialect(re.compile("/tea"), _say)


async def _missing(_: Request) -> Reply:
    raise NotFound("no such tea", code="no-tea")


async def _broken(_: Request) -> Reply:
    raise RuntimeError("a secret")


@pytest.mark.parametrize(
    ("path", "method", "code"),
    [
        ("/tea/pot", "GET", "no-tea"),
        ("/tea/nothing", "GET", "no-route"),
        ("/tea/pot", "POST", "other-method"),
        ("/tea/broken", "GET", "error"),
    ],
)
def test_errors_are_said_in_the_dialect_of_their_path(path: str, method: str, code: str) -> None:
    routes = [route(_missing, path="/tea/pot"), route(_broken, path="/tea/broken")]
    answer = ask(routes, method, path, dialects=[TEAPOT])
    assert (answer.status, json.loads(answer.body)) == (418, {"error_code": code})


def test_elsewhere_errors_keep_the_house_s_form() -> None:
    answer = ask([route(_missing)], dialects=[TEAPOT])
    assert answer.status == 404
    assert set(json.loads(answer.body)) == {"error", "code", "hint", "detail"}


def test_what_turns_a_request_away_at_the_door_is_said_in_the_dialect_too() -> None:
    foreign = [(b"origin", b"http://evil.example")]
    answer = ask([route(_missing, path="/tea/pot")], path="/tea/pot", headers=foreign,
                 dialects=[TEAPOT])  # fmt: skip
    assert json.loads(answer.body) == {"error_code": "bad-origin"}
